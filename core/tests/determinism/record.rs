//! Scripts of inputs, recorded between a gateway and real clients and backends.
#![allow(unreachable_pub, reason = "a module of one test binary")]

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue, Request, Response};
use proptest::prelude::*;
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::ConnId;
use shuntyard_core::h2::{Client, ClientEvent, Server, ServerEvent, StreamKey};

use crate::replay::Replay;

/// What a gateway is told, and when it is asked.
#[derive(Clone, Debug)]
pub enum Input {
    Accept,
    Connected(ConnId),
    Refused(ConnId),
    Recv(ConnId, Vec<u8>),
    ReadClosed(ConnId),
    Closed(ConnId),
    /// Milliseconds pass.
    Time(u64),
    Drain,
    /// Everything is taken that the gateway has to say.
    Round,
}

#[derive(Clone)]
pub struct Script {
    pub outbox_high_mark: usize,
    pub ledger_octets: u64,
    pub inputs: Vec<Input>,
    steps: Vec<Step>,
}

/// The inputs follow from the steps.
impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { outbox_high_mark, ledger_octets, steps, .. } = self;
        write!(f, "session({outbox_high_mark}, {ledger_octets}, {steps:?})")
    }
}

/// What happens around the gateway. Numbers choose among what there is.
#[derive(Clone, Debug)]
pub enum Step {
    Connect,
    Get {
        client: usize,
    },
    Post {
        client: usize,
        octets: usize,
        end: bool,
    },
    Send {
        client: usize,
        octets: usize,
        end: bool,
    },
    Trailers {
        client: usize,
    },
    Ping {
        client: usize,
        count: usize,
    },
    ResetByClient {
        client: usize,
    },
    /// A backend answers its oldest request.
    Serve {
        backend: usize,
        octets: usize,
        trailers: bool,
    },
    ResetByBackend {
        backend: usize,
        refused: bool,
    },
    BackendGoesAway {
        backend: usize,
    },
    Garbage {
        client: usize,
        octets: Vec<u8>,
    },
    /// Clients give credit back.
    Release,
    Close {
        peer: usize,
    },
    Fin {
        peer: usize,
    },
    Time {
        ms: u64,
    },
    Refuse,
    Drain,
    /// The peers' octets travel and the gateway answers.
    Exchange,
}

pub fn step() -> impl Strategy<Value = Step> {
    let octets = || prop_oneof![0..100usize, 0..100_000usize];
    let n = || 0..4usize;
    prop_oneof![
        2 => Just(Step::Connect),
        4 => n().prop_map(|client| Step::Get { client }),
        3 => (n(), octets(), any::<bool>()).prop_map(|(client, octets, end)| Step::Post { client, octets, end }),
        2 => (n(), octets(), any::<bool>()).prop_map(|(client, octets, end)| Step::Send { client, octets, end }),
        1 => n().prop_map(|client| Step::Trailers { client }),
        1 => (n(), 1..200usize).prop_map(|(client, count)| Step::Ping { client, count }),
        1 => n().prop_map(|client| Step::ResetByClient { client }),
        5 => (n(), octets(), any::<bool>()).prop_map(|(backend, octets, trailers)| Step::Serve { backend, octets, trailers }),
        1 => (n(), any::<bool>()).prop_map(|(backend, refused)| Step::ResetByBackend { backend, refused }),
        1 => n().prop_map(|backend| Step::BackendGoesAway { backend }),
        1 => (n(), prop::collection::vec(any::<u8>(), 1..50)).prop_map(|(client, octets)| Step::Garbage { client, octets }),
        2 => Just(Step::Release),
        1 => n().prop_map(|peer| Step::Close { peer }),
        1 => n().prop_map(|peer| Step::Fin { peer }),
        1 => (1..30_000u64).prop_map(|ms| Step::Time { ms }),
        1 => Just(Step::Refuse),
        1 => Just(Step::Drain),
        14 => Just(Step::Exchange),
    ]
}

/// The gateway's surroundings while a script is recorded.
struct Recorder {
    replay: Replay,
    script: Script,
    clients: BTreeMap<ConnId, Client>,
    streams: BTreeMap<ConnId, Vec<StreamKey>>,
    held: Vec<(ConnId, StreamKey, shuntyard_core::window::Credit<shuntyard_core::window::Both>)>,
    backends: BTreeMap<ConnId, Server>,
    waiting: BTreeMap<ConnId, Vec<StreamKey>>,
    refuse: bool,
}

/// Records what a gateway is told while these steps happen, and a while after.
pub fn session(outbox_high_mark: usize, ledger_octets: u64, steps: &[Step]) -> Script {
    let script = Script { outbox_high_mark, ledger_octets, inputs: vec![], steps: steps.to_vec() };
    let mut recorder = Recorder {
        replay: Replay::new(&script, 0),
        script,
        clients: BTreeMap::new(),
        streams: BTreeMap::new(),
        held: vec![],
        backends: BTreeMap::new(),
        waiting: BTreeMap::new(),
        refuse: false,
    };
    for step in steps {
        recorder.step(step);
    }
    for _ in 0..4 {
        recorder.exchange();
        recorder.step(&Step::Release);
    }
    recorder.input(Input::Drain);
    for _ in 0..10 {
        recorder.exchange();
        recorder.input(Input::Time(1000));
    }
    recorder.script
}

fn chosen<T>(among: &BTreeMap<ConnId, T>, n: usize) -> Option<ConnId> {
    among.keys().nth(n % among.len().max(1)).copied()
}

fn request(method: &str) -> Request<()> {
    Request::builder().method(method).uri("http://example.com/").body(()).expect("a request")
}

impl Recorder {
    fn input(&mut self, input: Input) {
        self.replay.play(&input, &mut |_| vec![]);
        self.script.inputs.push(input);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Connect => self.connect(),
            Step::Get { client } => self.open(*client, "GET", None),
            Step::Post { client, octets, end } => self.open(*client, "POST", Some((*octets, *end))),
            Step::Send { client, octets, end } => self.with_stream(*client, |client, stream| {
                let _ = client.send_data(stream, &vec![3; *octets], *end);
            }),
            Step::Trailers { client } => self.with_stream(*client, |client, stream| {
                let _ = client.send_trailers(stream, &trailers());
            }),
            Step::Ping { client, count } => {
                if let Some(client) = chosen(&self.clients, *client).and_then(|id| self.clients.get_mut(&id))
                {
                    (0..*count).for_each(|n| client.ping([n as u8; 8]));
                }
            }
            Step::ResetByClient { client } => {
                self.with_stream(*client, |client, stream| client.reset(stream, ErrorCode::CANCEL));
            }
            Step::Serve { backend, octets, trailers } => self.serve(*backend, *octets, *trailers),
            Step::ResetByBackend { backend, refused } => {
                let code = if *refused { ErrorCode::REFUSED_STREAM } else { ErrorCode::INTERNAL_ERROR };
                self.with_request(*backend, |server, stream| server.reset(stream, code));
            }
            Step::BackendGoesAway { backend } => {
                if let Some(server) =
                    chosen(&self.backends, *backend).and_then(|id| self.backends.get_mut(&id))
                {
                    server.goaway();
                }
            }
            Step::Garbage { client, octets } => {
                if let Some(id) = chosen(&self.clients, *client) {
                    self.input(Input::Recv(id, octets.clone()));
                }
            }
            Step::Release => {
                for (id, stream, credit) in std::mem::take(&mut self.held) {
                    if let Some(client) = self.clients.get_mut(&id) {
                        client.release(stream, credit);
                    }
                }
            }
            Step::Close { peer } | Step::Fin { peer } => {
                let ids: Vec<_> = self.clients.keys().chain(self.backends.keys()).copied().collect();
                let Some(&id) = ids.get(peer % ids.len().max(1)) else { return };
                self.clients.remove(&id);
                self.backends.remove(&id);
                let closed = matches!(step, Step::Close { .. });
                self.input(if closed { Input::Closed(id) } else { Input::ReadClosed(id) });
            }
            Step::Time { ms } => self.input(Input::Time(*ms)),
            Step::Refuse => self.refuse = !self.refuse,
            Step::Drain => self.input(Input::Drain),
            Step::Exchange => self.exchange(),
        }
    }

    fn connect(&mut self) {
        let before = self.replay.conns().clone();
        self.input(Input::Accept);
        let Some(&id) = self.replay.conns().iter().find(|id| !before.contains(id)) else { return };
        let client = Client::new(ConnectionConfig::default(), 1).expect("a valid configuration");
        self.clients.insert(id, client);
    }

    fn open(&mut self, client: usize, method: &str, content: Option<(usize, bool)>) {
        let Some(id) = chosen(&self.clients, client) else { return };
        let Some(client) = self.clients.get_mut(&id) else { return };
        let Ok(stream) = client.send_request(&request(method), content.is_none()) else { return };
        if let Some((octets, end)) = content {
            client.send_data(stream, &vec![2; octets], end).expect("an open stream");
        }
        self.streams.entry(id).or_default().push(stream);
    }

    fn with_stream(&mut self, client: usize, act: impl FnOnce(&mut Client, StreamKey)) {
        let Some(id) = chosen(&self.clients, client) else { return };
        let stream = self.streams.get(&id).and_then(|streams| streams.last().copied());
        if let (Some(stream), Some(client)) = (stream, self.clients.get_mut(&id)) {
            act(client, stream);
        }
    }

    fn with_request(&mut self, backend: usize, act: impl FnOnce(&mut Server, StreamKey)) {
        let Some(id) = chosen(&self.backends, backend) else { return };
        let Some(waiting) = self.waiting.get_mut(&id).filter(|waiting| !waiting.is_empty()) else { return };
        let stream = waiting.remove(0);
        if let Some(server) = self.backends.get_mut(&id) {
            act(server, stream);
        }
    }

    fn serve(&mut self, backend: usize, octets: usize, with_trailers: bool) {
        let response = Response::builder().status(200).body(()).expect("a response");
        self.with_request(backend, |server, stream| {
            let _ = server.send_response(stream, &response, false);
            let _ = server.send_data(stream, &vec![1; octets], !with_trailers);
            if with_trailers {
                let _ = server.send_trailers(stream, &trailers());
            }
        });
    }

    /// The gateway says what it has to say, its peers hear it, and what they say then arrives.
    fn exchange(&mut self) {
        for _ in 0..3 {
            self.peers_speak();
            self.input(Input::Round);
            let output = self.replay.outcome.output.last().cloned().unwrap_or_default();
            self.answer_dials();
            for (id, octets) in output {
                self.peer_hears(id, &octets);
            }
        }
    }

    fn peers_speak(&mut self) {
        let ids: Vec<_> = self.clients.keys().chain(self.backends.keys()).copied().collect();
        for id in ids {
            let mut said = Vec::new();
            if let Some(client) = self.clients.get_mut(&id) {
                while let Some(octets) = client.poll_transmit().map(<[u8]>::to_vec) {
                    client.handle_sent(octets.len());
                    said.extend(octets);
                }
            }
            if let Some(server) = self.backends.get_mut(&id) {
                while let Some(octets) = server.poll_transmit().map(<[u8]>::to_vec) {
                    server.handle_sent(octets.len());
                    said.extend(octets);
                }
            }
            if !said.is_empty() {
                self.input(Input::Recv(id, said));
            }
        }
    }

    fn answer_dials(&mut self) {
        let closed = self.replay.take_closed();
        let dials = self.replay.take_dials();
        for id in dials.into_iter().filter(|id| !closed.contains(id)) {
            if self.refuse {
                self.input(Input::Refused(id));
            } else {
                let config = ConnectionConfig { max_concurrent_streams: 3, ..ConnectionConfig::default() };
                self.backends.insert(id, Server::new(config, 2).expect("a valid configuration"));
                self.input(Input::Connected(id));
            }
        }
        for id in closed {
            self.clients.remove(&id);
            self.backends.remove(&id);
        }
    }

    fn peer_hears(&mut self, id: ConnId, octets: &[u8]) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.handle_recv(octets);
            while let Ok(Some(event)) = client.poll_event() {
                if let ClientEvent::Data { stream, credit, .. } = event {
                    self.held.push((id, stream, credit));
                }
            }
        }
        if let Some(server) = self.backends.get_mut(&id) {
            server.handle_recv(octets);
            while let Ok(Some(event)) = server.poll_event() {
                match event {
                    ServerEvent::Request { stream, .. } => self.waiting.entry(id).or_default().push(stream),
                    ServerEvent::Data { stream, credit, .. } => server.release(stream, credit),
                    _ => {}
                }
            }
        }
    }
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("checksum"), HeaderValue::from_static("17"))])
}
