//! Counters and records tell the same story, whatever happens.

mod account;
#[allow(dead_code, reason = "shared with other test binaries")]
mod memory;

use core::time::Duration;

use http::{Request, Response};
use memory::{Memory, Peer};
use shuntyard_core::address::Address;
use shuntyard_core::config::{
    ConnectionConfig, EndpointConfig, HostPattern, PathPattern, RouteConfig, Scope, UpstreamConfig,
};
use shuntyard_core::counters::{Limit, RequestEnd, RouteCounters};
use shuntyard_core::error::{ConnectionError, ErrorCode};
use shuntyard_core::gateway::{Command, EndpointState, EngineState, RecvBuf, Snapshot};
use shuntyard_core::h2::{ServerEvent, StreamKey};
use shuntyard_core::key::ConnId;
use shuntyard_core::message::Method;
use shuntyard_core::random::Random;
use shuntyard_core::record::{Cause, Outcome};

fn request(method: &str, path: &str) -> Request<()> {
    let uri = format!("http://example.com{path}");
    Request::builder().method(method).uri(uri).body(()).expect("a request")
}

fn answer(status: u16) -> Response<()> {
    Response::builder().status(status).body(()).expect("a response")
}

/// A gateway with two upstreams behind three routes; requests for `/nowhere` have none.
fn gateway() -> Memory {
    let mut memory = Memory::new(|config| {
        let address = |port: u16| core::net::SocketAddr::from(([127, 0, 0, 1], port)).into();
        let upstream = UpstreamConfig::new("api", vec![address(9001), address(9002)]);
        config.upstreams.push(UpstreamConfig { queue_max: 40, ..upstream });
        let prefix = |path: &str, to: &str| RouteConfig {
            path: PathPattern::Prefix(path.into()),
            ..RouteConfig::any(path, to)
        };
        config.routes = vec![prefix("/api/", "api"), prefix("/slow/", "api"), prefix("/site/", "default")];
        config.timeouts.response = Duration::from_secs(20);
    });
    memory.backend_config.max_concurrent_streams = 5;
    memory
}

fn snapshot(memory: &Memory) -> Snapshot {
    memory.gateway.snapshot(100, memory.now)
}

#[test]
fn the_counters_are_the_sums_of_the_records_under_faults() {
    let seeds = std::env::var("SHUNTYARD_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    for seed in 0..seeds {
        println!("seed {seed}");
        let mut world = World { memory: gateway(), random: Random::new(seed), streams: Vec::new() };
        for _ in 0..60 {
            world.step();
        }
        world.finish();
        let of = snapshot(&world.memory);
        let Memory { records, attempts, started, .. } = &world.memory;
        assert_eq!((records.len(), of.totals.requests), (*started, 0));
        account::assert_agree(&[of], records, attempts);
    }
}

/// An operator sees the workers as one: what two counted comes to what one would have.
#[test]
fn counters_of_two_gateways_add_up_to_those_of_one() {
    let mut random = Random::new(5);
    let mut draw = |n: usize| (random.next_u64() % n as u64) as usize;
    let (mut one, mut two) = (RouteCounters::default(), [RouteCounters::default(), RouteCounters::default()]);
    for _ in 0..500 {
        let cause = [Cause::ConnectionRefused, Cause::QueueLimit][draw(2)];
        let outcomes = [
            Outcome::Complete,
            Outcome::LocalReply(cause),
            Outcome::Truncated(cause),
            Outcome::ClientGone,
            Outcome::ClientError,
        ];
        let end = RequestEnd {
            method: [Method::Get, Method::Other][draw(2)],
            status: [0, 200, 503, 999][draw(4)],
            outcome: outcomes[draw(5)],
            request_octets: draw(1000) as u64,
            response_octets: draw(1000) as u64,
            attempts: draw(4) as u32,
            maybe_executed: draw(2) as u32,
            duration: Duration::from_micros(draw(1 << 24) as u64),
            first_octet: (draw(2) > 0).then(|| Duration::from_micros(draw(1 << 20) as u64)),
        };
        for counters in [&mut one, &mut two[draw(2)]] {
            counters.started += 1;
            counters.ended(&end);
        }
    }
    let [mut sum, other] = two;
    assert!(sum.ends() > 100 && other.ends() > 100);
    sum.merge(&other);
    // They stand in the order in which they were seen, which may be another.
    let durations = |of: &mut RouteCounters| {
        let durations = std::mem::take(&mut of.durations);
        let mut series: Vec<_> = durations.iter().map(|(labels, of)| format!("{labels:?} {of:?}")).collect();
        series.sort();
        series
    };
    assert_eq!(durations(&mut sum), durations(&mut one));
    assert_eq!((&sum, sum.ends()), (&one, 500));
}

struct World {
    memory: Memory,
    random: Random,
    /// Requests that clients have sent.
    streams: Vec<(ConnId, StreamKey)>,
}

impl World {
    fn draw(&mut self, n: usize) -> usize {
        (self.random.next_u64() % n as u64) as usize
    }

    fn step(&mut self) {
        match self.draw(12) {
            0 => _ = self.memory.connect(ConnectionConfig::default()),
            1..=4 => self.ask(),
            5..=7 => self.answer_some(),
            8 => self.reset_one(),
            9 if self.draw(3) == 0 => self.lose_one(),
            10 => self.let_time_pass(),
            11 => self.go_away(),
            _ => {}
        }
        self.memory.settle();
    }

    fn clients(&self) -> Vec<ConnId> {
        let client = |(&id, peer): (&ConnId, &Peer)| matches!(peer, Peer::Client(_)).then_some(id);
        self.memory.peers.iter().filter_map(client).collect()
    }

    fn ask(&mut self) {
        let clients = self.clients();
        if clients.is_empty() {
            return;
        }
        let client = clients[self.draw(clients.len())];
        for _ in 0..self.draw(30) {
            let path = ["/api/x", "/slow/x", "/site/x", "/nowhere"][self.draw(4)];
            let method = ["GET", "POST", "DELETE", "BREW", "HEAD"][self.draw(5)];
            let with_content = method == "POST";
            let sent = self.memory.client(client).send_request(&request(method, path), !with_content);
            let Ok(stream) = sent else { return };
            if with_content {
                let octets = vec![7; self.draw(3000)];
                let end = self.draw(4) > 0;
                self.memory.client(client).send_data(stream, &octets, end).expect("an open stream");
            }
            self.streams.push((client, stream));
        }
    }

    /// Some requests that have arrived are answered, in one way or another.
    fn answer_some(&mut self) {
        for backend in self.memory.backends() {
            let mut arrived = Vec::new();
            while let Ok(Some(event)) = self.memory.backend(backend).poll_event() {
                match event {
                    ServerEvent::Request { stream, .. } => arrived.push(stream),
                    ServerEvent::Data { stream, credit, .. } => {
                        self.memory.backend(backend).release(stream, credit)
                    }
                    _ => {}
                }
            }
            for stream in arrived {
                let (kind, octets) = (self.draw(8), vec![9; self.draw(5000)]);
                let status = [200, 204, 301, 404, 500, 999][self.draw(6)];
                let server = self.memory.backend(backend);
                // A stream that the gateway has reset meanwhile takes nothing.
                match kind {
                    0 => server.reset(stream, ErrorCode::REFUSED_STREAM),
                    1 => server.reset(stream, ErrorCode::INTERNAL_ERROR),
                    2 => {}
                    3 => _ = server.send_response(stream, &answer(status), true),
                    4 => {
                        let _ = server.send_response(stream, &answer(200), false);
                        let _ = server.send_data(stream, &octets, false);
                        server.reset(stream, ErrorCode::CANCEL);
                    }
                    _ => {
                        let _ = server.send_response(stream, &answer(200), false);
                        let _ = server.send_data(stream, &octets, true);
                    }
                }
            }
        }
    }

    fn reset_one(&mut self) {
        if self.streams.is_empty() {
            return;
        }
        let at = self.draw(self.streams.len());
        let (client, stream) = self.streams.swap_remove(at);
        if self.memory.peers.contains_key(&client) {
            self.memory.client(client).reset(stream, ErrorCode::CANCEL);
        }
    }

    /// A connection breaks, or says what is no HTTP/2.
    fn lose_one(&mut self) {
        let peers: Vec<_> = self.memory.peers.keys().copied().collect();
        if peers.is_empty() {
            return;
        }
        let conn = peers[self.draw(peers.len())];
        if self.draw(2) == 0 {
            return self.memory.kill(conn);
        }
        let RecvBuf::Buffer(buffer) = self.memory.gateway.recv_buf(conn) else { return };
        buffer[..9].copy_from_slice(&[0, 0, 0, 0x6, 0, 0, 0, 0, 7]);
        self.memory.gateway.handle_recv(conn, 9, self.memory.now);
    }

    fn go_away(&mut self) {
        let backends = self.memory.backends();
        if let Some(&backend) = backends.get(self.draw(backends.len().max(1))) {
            self.memory.backend(backend).goaway();
        }
    }

    fn let_time_pass(&mut self) {
        let seconds = self.draw(9) as u64;
        self.memory.now = self.memory.now + Duration::from_micros(seconds * 1_000_000 + 1234);
        self.memory.gateway.handle_timeout(self.memory.now);
        self.memory.refuse = self.draw(5) == 0;
    }

    /// Everybody goes.
    fn finish(&mut self) {
        for client in self.clients() {
            self.memory.kill(client);
        }
        self.memory.settle();
    }
}

#[test]
fn octets_and_requests_on_the_wire_are_counted_on_both_sides() {
    let mut memory = gateway();
    let client = memory.connect(ConnectionConfig::default());
    for _ in 0..3 {
        memory.client(client).send_request(&request("GET", "/site/x"), true).expect("a slot");
    }
    memory.settle();
    let of = snapshot(&memory);
    let wire = of.upstreams[0].endpoints[0].counters.wire.clone();
    assert_eq!((of.front.opened, of.front.traffic.requests), (1, 3));
    assert_eq!((wire.opened, wire.traffic.requests), (1, 3));
    assert_eq!((of.fronts.len(), of.fronts[0].streams, of.fronts[0].frozen), (1, 3, 0));
    let engine = &of.upstreams[0].endpoints[0].engines[0];
    assert_eq!((engine.state, engine.streams, engine.slots), (EngineState::Open, 3, 2));
    assert_eq!(of.upstreams[0].endpoints[0].engine_states[EngineState::Open as usize], 1);
    assert_eq!(
        of.links,
        [shuntyard_core::gateway::Link { front: of.fronts[0].id, engine: engine.number, streams: 3 }]
    );
    // Each side has sent what the gateway has received.
    while let Ok(Some(_)) = memory.client(client).poll_event() {}
    let Some(Peer::Client(peer)) = memory.peers.get(&client) else { panic!("a client") };
    assert_eq!(of.front.traffic.recv_octets, peer.traffic().sent_octets);
    assert_eq!(of.front.traffic.sent_octets, peer.traffic().recv_octets);
    // What is gone still counts.
    memory.kill(client);
    let after = snapshot(&memory);
    assert_eq!((after.front.closed, after.front.traffic), (1, of.front.traffic));
    assert_eq!(after.upstreams[0].endpoints[0].counters.wire.traffic.resets_sent, 3);
}

/// There may be very many others, each with a pair for each engine.
#[test]
fn who_is_not_listed_has_no_links() {
    let mut memory = gateway();
    for _ in 0..3 {
        let client = memory.connect(ConnectionConfig::default());
        for _ in 0..3 {
            memory.client(client).send_request(&request("GET", "/site/x"), true).expect("a slot");
        }
        memory.settle();
    }
    let all = snapshot(&memory);
    let few = memory.gateway.snapshot(1, memory.now);
    assert_eq!((few.totals.fronts, few.fronts.len()), (3, 1));
    assert_eq!(few.fronts[0], all.fronts[0]);
    let own: Vec<_> = all.links.iter().filter(|link| link.front == few.fronts[0].id).copied().collect();
    assert!(all.links.len() > own.len() && !own.is_empty());
    assert_eq!(few.links, own);
    let streams: u32 = all.links.iter().map(|link| link.streams).sum();
    let frozen: u32 = all.fronts.iter().map(|front| front.frozen).sum();
    assert_eq!((streams as usize, frozen as usize), (all.totals.live, all.totals.frozen));
    assert!(memory.gateway.snapshot(0, memory.now).links.is_empty());
}

#[test]
fn a_snapshot_says_how_endpoints_stand_and_what_went_wrong() {
    let mut memory = gateway();
    memory.refuse = true;
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&request("GET", "/site/x"), true).expect("a slot");
    memory.settle();
    let of = snapshot(&memory);
    let endpoint = &of.upstreams[0].endpoints[0];
    assert_eq!((endpoint.state, endpoint.connections), (EndpointState::Resting, 0));
    let (age, cause) = of.last_failure(endpoint).expect("a failure");
    assert_eq!((age, cause.name()), (Duration::ZERO, "connection_refused"));
    assert_eq!(endpoint.counters.dials_failed.of(cause), 1);
    assert_eq!(of.routes[2].counters.causes.of(cause), 1);
}

#[test]
fn limits_that_are_hit_are_counted() {
    let mut memory = Memory::new(|config| {
        config.max_fronts = 1;
        config.upstreams[0].queue_max = 2;
        config.front.max_header_list_size = 1000;
    });
    memory.backend_config.max_concurrent_streams = 1;
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    let fronts = |memory: &Memory| snapshot(memory).limits[Limit::Fronts as usize];
    // Whoever comes now waits where nobody sees it.
    assert_eq!(fronts(&memory), 1);
    for _ in 0..5 {
        memory.client(client).send_request(&request("GET", "/"), true).expect("a slot");
    }
    let mut large = request("GET", "/");
    large.headers_mut().insert("x", "y".repeat(2000).parse().expect("a value"));
    memory.client(client).send_request(&large, true).expect("a slot");
    memory.settle();
    let _second = memory.connect(ConnectionConfig::default());
    memory.settle();
    let limits = snapshot(&memory).limits;
    let hit = |limit: Limit| limits[limit as usize];
    assert_eq!((hit(Limit::Queue), hit(Limit::RequestHead), hit(Limit::Fronts)), (3, 1, 2));
}

/// That nobody is accepted in a drain is no limit.
#[test]
fn a_drain_does_not_count_as_a_full_table() {
    let mut memory = Memory::new(|config| config.max_fronts = 2);
    let _client = memory.connect(ConnectionConfig::default());
    memory.settle();
    let drain = Command::Drain { deadline: Duration::from_secs(5) };
    memory.gateway.handle_command(drain, memory.now);
    memory.settle();
    assert_eq!(snapshot(&memory).limits[Limit::Fronts as usize], 0);
}

/// A backend may end connections for what it was sent: how often it does, and why, is seen.
#[test]
fn why_backends_go_away_is_counted_and_told() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    let long = [b'x'; 1000];
    let ends = [
        (ErrorCode::NO_ERROR, &b"bye"[..]),
        (ErrorCode::ENHANCE_YOUR_CALM, b"too_many_pings"),
        (ErrorCode(77), &long),
    ];
    for (code, debug) in ends {
        memory.client(client).send_request(&request("GET", "/"), true).expect("a slot");
        memory.settle();
        let backend = memory.backends()[0];
        memory::talk::answer_all(&mut memory);
        let payload = [&1u32.to_be_bytes(), &code.0.to_be_bytes(), debug].concat();
        let length = u32::try_from(payload.len()).expect("a length").to_be_bytes();
        memory.inject(backend, &[&length[1..], &[7, 0, 0, 0, 0, 0], &payload].concat());
        let told = memory.gateway.take_farewell();
        let debug_data = debug[..debug.len().min(256)].into();
        assert_eq!(told, (code != ErrorCode::NO_ERROR).then(|| ("127.0.0.1:9000".into(), code, debug_data)));
        assert_eq!(memory.gateway.take_farewell(), None);
        memory.wait(Duration::from_secs(3));
    }
    let of = snapshot(&memory);
    let counted = of.upstreams[0].endpoints[0].counters.goaways.iter().filter(|&(_, n)| n > 0);
    assert_eq!(counted.collect::<Vec<_>>(), [("NO_ERROR", 1), ("ENHANCE_YOUR_CALM", 1), ("unknown", 1)]);
}

/// Whoever wrote down the wrong protocol hears of it once.
#[test]
fn an_endpoint_that_speaks_http1_is_named_once() {
    let mut memory = Memory::new(|_| {});
    memory.mute_backends = true;
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    for first in [true, false] {
        memory.client(client).send_request(&request("POST", "/"), true).expect("a slot");
        memory.settle();
        let backend = *memory.backends().last().expect("a dial");
        memory.inject(backend, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        memory.settle();
        let told = memory.gateway.take_mistaken();
        assert_eq!(told.as_deref(), first.then_some("127.0.0.1:9000"));
        assert_eq!(memory.gateway.take_mistaken(), None);
        memory.wait(Duration::from_secs(60));
    }
    let of = snapshot(&memory);
    let errors = of.upstreams[0].endpoints[0].counters.wire.connection_errors.0;
    assert_eq!(errors[ConnectionError::AnsweredInHttp1 as usize], 2);
}

/// A configuration that has neither route nor endpoint any more takes nothing away from the sums.
#[test]
fn what_happened_stays_counted_when_the_configuration_changes() {
    let mut memory = gateway();
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&request("GET", "/site/x"), true).expect("a slot");
    memory.settle();
    let mut config = shuntyard_core::config::Config::of_upstream(UpstreamConfig::new(
        "other",
        vec![core::net::SocketAddr::from(([127, 0, 0, 1], 9009)).into()],
    ));
    config.routes[0].host = HostPattern::Exact("other.test".into());
    memory.gateway.handle_command(Command::Configure(Box::new(config)), memory.now);
    memory.kill(client);
    memory.backends().into_iter().for_each(|backend| memory.kill(backend));
    let of = snapshot(&memory);
    let names: Vec<_> = of.upstreams.iter().map(|upstream| &*upstream.name).collect();
    assert_eq!(names, ["other"]);
    assert_eq!((of.started(), of.ended(), of.gone.attempts, of.gone.abandoned), (1, 1, 1, 1));
    assert_eq!(of.all_endpoints().map(|endpoint| endpoint.attempts).sum::<u64>(), 1);
}

/// A scraper takes a figure that falls for a restart, and counts all again: figures rise while the upstream and the endpoint are there by their names, whatever
/// else a new configuration says of them.
#[test]
fn figures_only_rise_while_their_endpoint_is_served() {
    let counted = |memory: &Memory| {
        let of = snapshot(memory);
        let own = of.upstreams.iter().filter(|upstream| &*upstream.name == "default");
        let waits: u64 = own.clone().map(|upstream| upstream.counters.waits.count()).sum();
        let attempts: u64 = own.flat_map(|of| &of.endpoints).map(|endpoint| endpoint.counters.attempts).sum();
        (waits, attempts)
    };
    let ask = |memory: &mut Memory, client: ConnId| {
        memory.client(client).send_request(&request("GET", "/site/x"), true).expect("a slot");
        memory.settle();
    };
    let mut memory = gateway();
    let [first, client] = [(); 2].map(|()| memory.connect(ConnectionConfig::default()));
    ask(&mut memory, first);
    // Another scope makes another upstream of it: what the first has is finished beside it.
    memory.reconfigure(|config| config.upstreams[0].share = Scope::Client);
    assert_eq!(counted(&memory), (1, 1));
    ask(&mut memory, client);
    assert_eq!((counted(&memory), snapshot(&memory).upstreams.len()), ((2, 2), 3));
    memory.kill(first);
    memory.wait(Duration::from_secs(10));
    let (waits, attempts) = counted(&memory);
    assert_eq!((waits, attempts, snapshot(&memory).upstreams.len()), (2, 2, 2));
    // Likewise an endpoint that is taken out, and is there again before its connection has ended.
    let endpoint = memory.config().upstreams[0].endpoints.clone();
    let other = EndpointConfig::from(Address::from(core::net::SocketAddr::from(([127, 0, 0, 1], 9100))));
    memory.reconfigure(|config| config.upstreams[0].endpoints = vec![other]);
    memory.reconfigure(|config| config.upstreams[0].endpoints = endpoint);
    assert_eq!(counted(&memory), (waits, attempts));
    memory.kill(client);
    memory.backends().into_iter().for_each(|backend| memory.kill(backend));
    assert_eq!(counted(&memory), (waits, attempts));
    assert_eq!(snapshot(&memory).all_endpoints().map(|endpoint| endpoint.attempts).sum::<u64>(), attempts);
}
