//! A hostile adapter: any events, for any connections, in any order, while peers say any frames.
//!
//! Nothing panics. Events for connections that are gone are counted and bring nothing about (X6). The same events give
//! the same actions and octets (X1). What the gateway wants comes to an end at every moment (T5). And when it is
//! drained by an adapter that keeps the contract, nothing is left (Q1, Q2), with every request ended once (L1).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use shuntyard_core::address::Address;
use shuntyard_core::config::{
    Balance, Config, EndpointConfig, Host, HostPattern, ListenerConfig, NameGroups, PathPattern, Protocol,
    RouteConfig, Saturation, Scope, UpstreamConfig,
};
use shuntyard_core::frame::PREFACE;
use shuntyard_core::gateway::{
    Accepted, Action, Closed, Command, ConnId, Connected, Gateway, Record, RecvBuf, View,
};
use shuntyard_core::time::{Duration, Instant, WallClock};
use shuntyard_core::tls::{TlsFacts, TlsFailure};
use shuntyard_sim::refcodec::frame::Frame;
use shuntyard_sim::rng::{FNV_START, fnv};

use crate::octets::Octets;
use crate::speech::Speech;

/// How many actions, or pieces of output, may follow one event: far above what so little input can bring about.
const TURNS_MAX: u32 = 100_000;
/// Events in a case at most.
const EVENTS_MAX: u32 = 2000;
/// Connections at a time at most.
const CONNS_MAX: usize = 12;

/// A name that asks for certificates.
const ASKING: &str = "admin.test";

/// Where clients come in, by number; two of them the configuration knows.
fn listener(number: u8) -> Address {
    SocketAddr::from(([192, 0, 2, 200], 440 + u16::from(number))).into()
}

/// The whole check.
pub fn run(data: &[u8]) {
    let first = Hostile::new(data).play();
    assert_eq!(Hostile::new(data).play(), first, "X1: the same events");
}

/// A gateway in bad hands.
struct Hostile<'a> {
    octets: Octets<'a>,
    gateway: Gateway,
    now: Instant,
    /// Connections that the gateway has not closed and of which we have not said that they are gone.
    conns: BTreeMap<ConnId, Peer>,
    gone: Vec<ConnId>,
    hash: u64,
    started: BTreeSet<String>,
    drained: u32,
}

/// Whoever is on the other side of a connection.
#[derive(Default)]
struct Peer {
    speech: Speech,
    /// The gateway dials, and has not heard that it stands.
    connecting: bool,
    /// A client that came before it was known whose it is, or what it speaks.
    arriving: bool,
}

impl<'a> Hostile<'a> {
    fn new(data: &'a [u8]) -> Self {
        let mut octets = Octets(data);
        let now = Instant::ZERO;
        let wall = WallClock { at: now, unix_seconds: 784_111_777 };
        let gateway = Gateway::new(config(&mut octets), 7, now, wall).expect("a valid configuration");
        Self {
            octets,
            gateway,
            now,
            conns: BTreeMap::new(),
            gone: Vec::new(),
            hash: FNV_START,
            started: BTreeSet::new(),
            drained: 0,
        }
    }

    /// All events, then a drain as it should be; the hash of all that came out.
    fn play(mut self) -> u64 {
        for _ in 0..EVENTS_MAX {
            if self.octets.is_empty() {
                break;
            }
            self.event();
        }
        self.drain();
        self.hash
    }

    fn event(&mut self) {
        match self.octets.octet() % 20 {
            0 | 1 => self.accept(),
            2..=6 => self.speak(),
            7 => self.connected(),
            8 => self.closed(),
            9 => self.read_closed(),
            10 => self.sent(),
            11 | 12 => self.transmit(),
            13..=15 => self.round(),
            16 => self.pass(),
            17 => self.command(),
            18 => self.recv_out_of_turn(),
            _ => _ = self.act(self.octets.0.len() as u32 % 3),
        }
    }

    /// One that there is, one that is gone, or one that never was.
    fn any_conn(&mut self) -> ConnId {
        let which = usize::from(self.octets.octet());
        if which < 230
            && let Some(&id) = self.conns.keys().nth(which % self.conns.len().max(1))
        {
            return id;
        }
        match self.gone.get(which % self.gone.len().max(1)) {
            Some(&id) if which < 245 => id,
            // Of a generation that no slot reaches: of others there may be one that we have not been told of yet.
            _ => {
                let generation = self.octets.u32() | 1 << 31;
                ConnId::from_bits(u64::from(generation) << 32 | u64::from(self.octets.octet()))
            }
        }
    }

    /// What an event that names a connection may do: nothing but be counted where the connection is none.
    fn tell(&mut self, id: ConnId, event: impl FnOnce(&mut Gateway, Instant)) {
        let (before, now) = (self.gateway.ignored_events(), self.now);
        if self.conns.contains_key(&id) {
            return event(&mut self.gateway, now);
        }
        let view = self.gateway.view();
        event(&mut self.gateway, now);
        assert_eq!(self.gateway.ignored_events(), before + 1, "X6: {id:?} is none, and that is counted");
        assert_eq!(self.gateway.view(), view, "X6: {id:?} is none");
    }

    fn accept(&mut self) {
        if self.conns.len() >= CONNS_MAX {
            return;
        }
        let peer = SocketAddr::from(([192, 0, 2, 1], 5000)).into();
        let how = self.octets.octet();
        let local = match how {
            0..=215 => Address::clone(&peer),
            216..=235 => listener(1),
            _ => listener(2),
        };
        let (info, arriving) = (Accepted { peer, local }, how > 215);
        let id = if arriving {
            self.gateway.handle_arriving(info, self.now)
        } else {
            self.gateway.handle_accept(info, self.now)
        };
        assert!(!self.conns.contains_key(&id) && !self.gone.contains(&id), "an id is never given twice");
        self.conns.insert(id, Peer { arriving, ..Peer::default() });
        if how < 200 {
            let mut hello = PREFACE.to_vec();
            hello.extend(Frame::Settings { ack: false, settings: Vec::new() }.encode());
            self.recv(id, &hello);
        }
    }

    /// A peer says something, which arrives whole or in two pieces.
    fn speak(&mut self) {
        let id = self.any_conn();
        let mut said = Vec::new();
        for _ in 0..=self.octets.octet() % 8 {
            match self.conns.get_mut(&id) {
                Some(peer) => said.extend(peer.speech.say(&mut self.octets)),
                None => said.extend(Speech::default().say(&mut self.octets)),
            }
        }
        let at = usize::from(self.octets.octet()) % (said.len() + 1);
        self.recv(id, &said[..at]);
        self.recv(id, &said[at..]);
    }

    /// What does not fit, or comes while reading is paused, is lost: nobody promised this peer a sound transport.
    fn recv(&mut self, id: ConnId, octets: &[u8]) {
        match self.gateway.recv_buf(id) {
            RecvBuf::Buffer(buffer) => {
                assert!(self.conns.contains_key(&id) && !buffer.is_empty(), "a buffer for {id:?}");
                let n = octets.len().min(buffer.len());
                buffer[..n].copy_from_slice(&octets[..n]);
                self.gateway.handle_recv(id, n, self.now);
            }
            RecvBuf::Pause => assert!(self.conns.contains_key(&id)),
            // It is none, does not stand yet, or is to be closed and the action that says so still waits.
            RecvBuf::Gone => {}
        }
    }

    /// `handle_recv` for nobody who was lent the buffer, or for more octets than it holds.
    fn recv_out_of_turn(&mut self) {
        let (lent, named) = (self.any_conn(), self.any_conn());
        let n = self.octets.number() as usize;
        if self.octets.octet() & 1 == 0 || !matches!(self.gateway.recv_buf(lent), RecvBuf::Buffer(_)) {
            let before = self.gateway.ignored_events();
            self.gateway.handle_recv(named, n, self.now);
            assert_eq!(self.gateway.ignored_events(), before + 1, "nothing was lent");
        } else {
            self.gateway.handle_recv(named, n, self.now);
        }
    }

    fn connected(&mut self) {
        let id = self.any_conn();
        let arriving = self.conns.get(&id).is_some_and(|peer| peer.arriving);
        let facts = if arriving { self.found() } else { Connected::default() };
        self.tell(id, |gateway, now| gateway.handle_connected(id, facts, now));
        let Some(peer) = self.conns.get_mut(&id) else { return };
        if std::mem::take(&mut peer.connecting) && self.octets.octet() < 220 {
            let limit = self.octets.number();
            let settings = vec![(shuntyard_sim::refcodec::frame::MAX_CONCURRENT_STREAMS, limit)];
            self.recv(id, &Frame::Settings { ack: false, settings }.encode());
        }
    }

    /// What a handshake may find.
    fn found(&mut self) -> Connected {
        let protocol = self.octets.pick(&[Some(Protocol::Http2), Some(Protocol::Http1), None]);
        let server_name = self.octets.pick(&[None, Some("a.test"), Some(ASKING)]).map(Arc::from);
        let certificate = self.octets.pick(&[None, Some([7; 32])]).map(Arc::new);
        let facts = TlsFacts { server_name, certificate, ..TlsFacts::default() };
        Connected { protocol, tls: self.octets.pick(&[true, false]).then(|| Arc::new(facts)) }
    }

    /// Somebody has said whose a connection is: once, twice, at a listener where nobody does, or of one that stands.
    fn introduced(&mut self) {
        let (id, other) = (self.any_conn(), SocketAddr::from(([198, 51, 100, self.octets.octet()], 9)));
        let client = self.octets.pick(&[Some(Address::from(other)), None]);
        self.tell(id, |gateway, now| gateway.handle_introduced(id, client, now));
    }

    fn closed(&mut self) {
        let id = self.any_conn();
        let why = self.octets.pick(&[
            Closed::ConnectRefused,
            Closed::ConnectTimedOut,
            Closed::ConnectFailed,
            Closed::Reset,
            Closed::Failed,
            Closed::Tls(TlsFailure::Interrupted),
            Closed::ConnectExhausted,
        ]);
        self.tell(id, |gateway, now| gateway.handle_closed(id, why, now));
        if self.conns.remove(&id).is_some() {
            self.gone.push(id);
        }
    }

    fn read_closed(&mut self) {
        let id = self.any_conn();
        self.tell(id, |gateway, now| gateway.handle_read_closed(id, now));
    }

    /// More or less than was shown, or although nothing was.
    fn sent(&mut self) {
        let (id, n) = (self.any_conn(), self.octets.number() as usize);
        self.tell(id, |gateway, now| gateway.handle_sent(id, n, now));
    }

    fn transmit(&mut self) {
        let (id, part) = (self.any_conn(), usize::from(self.octets.octet()));
        self.transmit_part(id, |len| len * part / 255);
    }

    /// Takes what `part` says of what waits; whether anything left.
    fn transmit_part(&mut self, id: ConnId, part: impl FnOnce(usize) -> usize) -> bool {
        let Some(octets) = self.gateway.poll_transmit(id, self.now) else { return false };
        assert!(self.conns.contains_key(&id), "output for {id:?}, which is none");
        let n = part(octets.len());
        self.hash = fnv(self.hash, &id.to_bits().to_le_bytes());
        self.hash = fnv(self.hash, &octets[..n.min(octets.len())]);
        self.gateway.handle_sent(id, n, self.now);
        n > 0
    }

    /// Time passes; whether the gateway is woken for it is another matter.
    fn pass(&mut self) {
        let unit = self.octets.pick(&[0, 1, 1_000_000, 100_000_000, 10_000_000_000, 3_600_000_000_000]);
        self.now = self.now + Duration::from_nanos(u64::from(self.octets.octet()) * unit);
        if self.octets.octet() < 200 {
            self.gateway.handle_timeout(self.now);
        }
    }

    fn command(&mut self) {
        let command = match self.octets.octet() {
            0..=7 => Command::Drain { deadline: Duration::from_millis(self.octets.u16().into()) },
            8..=99 => {
                let name = self.octets.pick(&["b.test", "b.test", "nobody.test"]).into();
                let count = self.octets.octet() % 3;
                let address = |n: u8| SocketAddr::from(([10, 0, 1, n], 80)).into();
                Command::Resolved { name, port: 80, addresses: (0..count).map(address).collect() }
            }
            100..=199 => Command::Configure(Box::new(config(&mut self.octets))),
            200..=215 => Command::Part { listener: listener(self.octets.octet() % 4) },
            216..=235 => return self.introduced(),
            _ => {
                let unix_seconds = self.octets.u32().into();
                Command::WallClock(WallClock { at: self.now, unix_seconds })
            }
        };
        self.gateway.handle_command(command, self.now);
    }

    /// Takes up to so many actions; whether there was any.
    fn act(&mut self, most: u32) -> bool {
        for n in 0..most {
            let Some(action) = self.gateway.poll_action() else { return n > 0 };
            let text = format!("{action:?}");
            self.hash = fnv(self.hash, text.as_bytes());
            self.execute(action, text);
        }
        most > 0
    }

    fn execute(&mut self, action: Action, text: String) {
        match action {
            Action::Connect { conn, .. } => {
                let new = self.conns.insert(conn, Peer { connecting: true, ..Peer::default() });
                assert!(new.is_none() && !self.gone.contains(&conn), "an id is never given twice");
            }
            Action::Close(id) | Action::Abort(id) => {
                // It may have been asked for before we said that the connection was gone.
                let known = self.conns.remove(&id).is_some();
                assert!(known || self.gone.contains(&id), "{id:?} was never there");
                self.gone.push(id);
            }
            Action::Record(record) => match *record {
                Record::Started { request, .. } => {
                    assert!(self.started.insert(format!("{request:?}")), "L1: {text} again");
                }
                Record::Ended(end) => {
                    assert!(self.started.remove(&format!("{:?}", end.request)), "L1: {text}");
                }
                Record::Attempt(attempt) => {
                    assert!(self.started.contains(&format!("{:?}", attempt.request)), "L1: {text}");
                }
            },
            Action::Drained { .. } => self.drained += 1,
            Action::Readable(_)
            | Action::Writable(_)
            | Action::Shutdown(_)
            | Action::Accepting(_)
            | Action::Resolve { .. } => {}
        }
    }

    /// Everything that the gateway wants, until it wants nothing.
    fn round(&mut self) {
        for _ in 0..TURNS_MAX {
            let mut moved = self.act(TURNS_MAX);
            for id in self.conns.keys().copied().collect::<Vec<_>>() {
                moved |= self.transmit_part(id, |len| len);
            }
            if !moved {
                return;
            }
        }
        panic!("T5: it never wants nothing");
    }

    /// An adapter as it should be: nobody answers, dials fail, time goes on.
    fn drain(&mut self) {
        self.round();
        self.gateway.handle_command(Command::Drain { deadline: Duration::from_secs(5) }, self.now);
        for _ in 0..10_000 {
            self.round();
            let dials: Vec<_> =
                self.conns.iter().filter(|(_, peer)| peer.connecting).map(|(&id, _)| id).collect();
            for id in dials {
                self.conns.remove(&id);
                self.gone.push(id);
                self.gateway.handle_closed(id, Closed::ConnectFailed, self.now);
            }
            self.round();
            let Some(at) = self.gateway.poll_timeout() else { break };
            self.now = self.now.max(at);
            self.gateway.handle_timeout(self.now);
            assert!(self.gateway.poll_timeout() != Some(at), "T5: the deadline that came is still there");
        }
        assert_eq!(self.gateway.view(), View::default(), "Q1");
        assert_eq!(self.conns.keys().collect::<Vec<_>>(), Vec::<&ConnId>::new(), "Q1: connections");
        assert!(self.drained >= 1, "Q2: it says that it is drained");
        assert!(self.started.is_empty(), "L1: {:?} never ended", self.started);
    }
}

/// Small limits, so that few events reach them; one upstream of addresses, and one with a name among them.
fn config(octets: &mut Octets<'_>) -> Config {
    let address = |n: u8| EndpointConfig::from(Address::from(SocketAddr::from(([10, 0, 0, n], 80))));
    let name = EndpointConfig {
        host: Host::Name { name: "b.test".into(), port: 80 },
        protocol: Protocol::Http2,
        tls: None,
    };
    let first = upstream("first", vec![address(1), address(2)], octets);
    let mut config = Config::of_upstream(first);
    config.upstreams.push(upstream("second", vec![name, address(3)], octets));
    let mut route = RouteConfig::any("second", "second");
    route.path = PathPattern::Prefix("/b".into());
    config.routes.insert(0, route);
    config.records = true;
    // One where clients shake hands, and some names ask for certificates; at the other a balancer says first whose they are.
    let groups = NameGroups(vec![vec![HostPattern::Exact(ASKING.into())]]);
    let shakes_hands = ListenerConfig { groups, ..ListenerConfig::new(listener(1)) };
    let introduced = ListenerConfig { introduced: true, ..ListenerConfig::new(listener(2)) };
    config.listeners = vec![shakes_hands, introduced];
    for connection in [&mut config.front, &mut config.backend] {
        connection.initial_window_size = octets.pick(&[65_535, 2, 1, 100, 1 << 20]);
        connection.outbox_high_mark = octets.pick(&[128 << 10, 1, 100, 5000]);
        connection.max_concurrent_streams = octets.pick(&[100, 1, 3]);
        connection.header_table_size = octets.pick(&[4096, 0, 100]);
    }
    let least = config.backend.initial_window_size.into();
    config.ledger_octets = octets.pick(&[1 << 30, 65_535, 200_000]).max(least);
    config.upload_ledger_octets = octets.pick(&[1 << 30, 0, 65_535]);
    config.max_fronts = octets.pick(&[100, 1, 3]);
    config.backends_max = octets.pick(&[u32::MAX, 1, 2]);
    config.recv_buffer_octets = octets.pick(&[33 << 10, 256 << 10]);
    // Tunnels, and a backend that may speak HTTP/1.1.
    for route in &mut config.routes {
        route.connect = octets.pick(&[true, false]);
        route.upgrades = octets.pick(&[&["x"] as &[&str], &[]]).iter().map(|&name| name.into()).collect();
    }
    config.upstreams[0].endpoints[1].protocol = octets.pick(&[Protocol::Http1, Protocol::Http2]);
    config
}

fn upstream(name: &str, endpoints: Vec<EndpointConfig>, octets: &mut Octets<'_>) -> UpstreamConfig {
    let mut upstream = UpstreamConfig::new(name, Vec::new());
    upstream.endpoints = endpoints;
    upstream.share = octets.pick(&[Scope::Worker, Scope::Client, Scope::None]);
    upstream.on_saturation = octets.pick(&[Saturation::Dial, Saturation::Queue, Saturation::Refuse]);
    upstream.balance = octets.pick(&[Balance::LeastActive, Balance::RoundRobin]);
    upstream.connections_max = octets.pick(&[16, 1, 2]);
    upstream.connections_min = octets.pick(&[0, 0, 1]);
    upstream.assumed_streams = octets.pick(&[0, 1, 100]);
    upstream.queue_max = octets.pick(&[10_000, 1, 2]);
    upstream.queue_timeout = octets.pick(&[Duration::from_secs(10), Duration::from_millis(1)]);
    upstream.retry.attempts = octets.pick(&[2, 1, 5]);
    upstream.retry.unprocessed_attempts = octets.pick(&[32, 1, 2]);
    upstream.retry.budget_percent = octets.pick(&[20, 0, 100]);
    upstream.retry.replay_octets = octets.pick(&[64 << 10, 0, 10]);
    upstream
}
