//! Who gets what has become free: connections that are idle again, slots, memory. Nobody waits beside something that nobody else could use.

use shuntyard_core::config::{ConnectionConfig, HostPattern, RouteConfig, Saturation, Scope, UpstreamConfig};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::{Protocol, StreamKey};
use shuntyard_core::key::ConnId;
use shuntyard_core::time::Duration;

use crate::endpoints::address;
use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, events, get, ok, requests};

/// Clients with engines of their own, of a backend that allows one connection.
fn one_connection(streams: u32) -> Memory {
    let mut memory = Memory::new(|config| {
        let upstream = &mut config.upstreams[0];
        (upstream.share, upstream.on_saturation) = (Scope::Client, Saturation::Queue);
        upstream.connections_max = 1;
    });
    memory.backend_config.max_concurrent_streams = streams;
    memory
}

/// A client that always has more to ask for gives its connection to whoever waits, when it has had its turn.
#[test]
fn b16_f44_a_client_with_a_backlog_does_not_take_its_connection_back_for_ever() {
    let mut memory = one_connection(1);
    let [greedy, modest] = [(); 2].map(|()| memory.connect(ConnectionConfig::default()));
    for n in 0..3 {
        ask(&mut memory, greedy, &format!("/greedy/{n}"));
    }
    ask(&mut memory, modest, "/modest");
    let mut served = Vec::new();
    for n in 3..20 {
        served.append(&mut answer_all(&mut memory));
        ask(&mut memory, greedy, &format!("/greedy/{n}"));
    }
    let at = served.iter().position(|path| path == "/modest");
    assert!(at.is_some_and(|at| at <= 2), "{served:?}");
}

/// Two that have much to ask for take turns.
#[test]
fn b16_clients_with_backlogs_take_turns_at_a_connection() {
    let mut memory = one_connection(1);
    let clients = [(); 2].map(|()| memory.connect(ConnectionConfig::default()));
    let mut served = [0usize; 2];
    for _ in 0..40 {
        for (n, &client) in clients.iter().enumerate() {
            ask(&mut memory, client, &format!("/{n}"));
        }
        for path in answer_all(&mut memory) {
            served[usize::from(path == "/1")] += 1;
        }
    }
    assert!(served[0] + served[1] >= 39 && served[0].abs_diff(served[1]) <= 2, "{served:?}");
}

/// Who has adopted a connection without slots, to wait for it, and takes its request back, leaves it to others.
#[test]
fn e8_a_connection_that_was_waited_for_in_vain_is_idle_again() {
    let mut memory = one_connection(100);
    let [first, second] = [(); 2].map(|()| memory.connect(ConnectionConfig::default()));
    ask(&mut memory, first, "/first");
    assert_eq!(answer_all(&mut memory), ["/first"]);
    events(&mut memory, first);
    // So many requests are taken back that the connection rests.
    for count in [100, 60] {
        let streams: Vec<_> = (0..count)
            .map(|_| memory.client(first).send_request(&get("/back"), true).expect("a slot"))
            .collect();
        memory.settle();
        streams.iter().for_each(|&stream| memory.client(first).reset(stream, ErrorCode::CANCEL));
        memory.settle();
    }
    let stream = ask(&mut memory, first, "/waits");
    assert_eq!((memory.gateway.view().frozen, memory.dials.len()), (1, 1));
    memory.client(first).reset(stream, ErrorCode::CANCEL);
    memory.settle();
    ask(&mut memory, second, "/second");
    memory.wait(Duration::from_secs(5));
    let backend = memory.backends()[0];
    assert!(requests(&mut memory, backend).iter().any(|(_, request)| request.uri().path() == "/second"));
}

/// What has reached backends and is not answered.
#[derive(Default)]
struct Asked(Vec<(ConnId, StreamKey, String)>);

impl Asked {
    /// Answers what was asked for at this path.
    fn answer(&mut self, memory: &mut Memory, path: &str) {
        for backend in memory.backends() {
            let new = requests(memory, backend).into_iter();
            self.0.extend(new.map(|(stream, request)| (backend, stream, request.uri().path().to_owned())));
        }
        let at = self.0.iter().position(|(.., asked)| asked == path);
        let (backend, stream, _) = self.0.remove(at.unwrap_or_else(|| panic!("nobody was asked for {path}")));
        memory.backend(backend).send_response(stream, &ok(), true).expect("open");
        memory.settle();
    }
}

const HOSTS: [&str; 4] = ["a", "b", "c", "d"];

/// Upstreams `a` to `d` with the memory for so many windows, and an idle connection to each.
fn starving(windows: u64, share: Scope) -> (Memory, Vec<ConnId>) {
    let mut memory = Memory::new(|config| {
        let upstream = |(n, name): (u16, &&str)| UpstreamConfig::new(*name, vec![address(9000 + n)]);
        config.upstreams = (1..).zip(&HOSTS).map(upstream).collect();
        let route = |name: &str| {
            let host = HostPattern::Exact(name.into());
            RouteConfig { host, ..RouteConfig::any(name, name) }
        };
        config.routes = HOSTS.map(route).to_vec();
        config.ledger_octets = windows * 65_535;
        for upstream in &mut config.upstreams {
            (upstream.share, upstream.on_saturation) = (share, Saturation::Queue);
            upstream.connections_max = 1;
        }
    });
    let client = memory.connect(ConnectionConfig::default());
    for host in HOSTS {
        ask_at(&mut memory, client, host, "/first");
        Asked::default().answer(&mut memory, "/first");
    }
    if share == Scope::Client {
        memory.kill(client);
    }
    let idle = memory.backends();
    (memory, idle)
}

fn ask_at(memory: &mut Memory, client: ConnId, host: &str, path: &str) {
    let request = http::Request::get(format!("http://{host}{path}")).body(()).expect("a request");
    memory.client(client).send_request(&request, true).expect("a slot");
    memory.settle();
}

/// Memory that two were woken for whose backends have gone is had by the third.
#[test]
fn l7_memory_that_nobody_can_use_for_want_of_an_engine_goes_to_the_next() {
    let (mut memory, idle) = starving(1, Scope::Worker);
    let client = memory.connect(ConnectionConfig::default());
    for host in HOSTS {
        ask_at(&mut memory, client, host, &format!("/{host}"));
    }
    assert_eq!((memory.gateway.view().live, memory.gateway.view().frozen), (1, 3));
    memory.hold_connects = true;
    memory.kill(idle[1]);
    memory.kill(idle[2]);
    let mut asked = Asked::default();
    for path in ["/a", "/d"] {
        asked.answer(&mut memory, path);
    }
}

/// A client that had been offered a connection, and starved, leaves both to others when it goes.
#[test]
fn l7_what_was_offered_to_a_client_that_starves_and_leaves_goes_to_the_next() {
    let (mut memory, _) = starving(2, Scope::Client);
    let clients: Vec<_> = (0..5).map(|_| memory.connect(ConnectionConfig::default())).collect();
    ask_at(&mut memory, clients[0], "a", "/live");
    ask_at(&mut memory, clients[1], "b", "/other");
    ask_at(&mut memory, clients[2], "c", "/starves");
    ask_at(&mut memory, clients[3], "a", "/leaves");
    ask_at(&mut memory, clients[4], "a", "/stays");
    assert_eq!((memory.gateway.view().live, memory.gateway.view().frozen), (2, 3));
    let mut asked = Asked::default();
    asked.answer(&mut memory, "/live");
    memory.kill(clients[3]);
    for path in ["/other", "/starves", "/stays"] {
        asked.answer(&mut memory, path);
    }
}

/// Asks for a tunnel.
fn tunnel(memory: &mut Memory, client: ConnId, path: &str) {
    let request = http::Request::connect(format!("http://example.com{path}"))
        .extension(Protocol("websocket".to_owned()))
        .body(())
        .expect("a request");
    memory.client(client).send_request(&request, false).expect("a slot");
}

/// RFC 8441 section 3: whether tunnels are understood is said by each connection, and backends behind one address may differ.
#[test]
fn rfc8441_3_a_tunnel_goes_to_a_connection_that_offers_tunnels() {
    for newer_offers in [true, false] {
        let mut memory = Memory::new(|config| config.upstreams[0].on_saturation = Saturation::Dial);
        memory.backend_config.max_concurrent_streams = 2;
        memory.backend_config.extended_connect = !newer_offers;
        let client = memory.connect(ConnectionConfig::default());
        memory.learn_offers(client);
        ask(&mut memory, client, "/1");
        ask(&mut memory, client, "/2");
        memory.backend_config.extended_connect = newer_offers;
        ask(&mut memory, client, "/3");
        let backends = memory.backends();
        assert_eq!(backends.len(), 2);
        let mut asked = Asked::default();
        asked.answer(&mut memory, "/1");
        tunnel(&mut memory, client, "/tunnel");
        memory.settle();
        let offering = backends[usize::from(newer_offers)];
        assert_eq!(requests(&mut memory, offering).pop().expect("the tunnel").1.uri().path(), "/tunnel");
    }
}

/// Who must not wait is told, however many there are.
#[test]
fn who_is_refused_a_tunnel_is_told_at_once() {
    let mut memory = Memory::new(|config| {
        (config.upstreams[0].on_saturation, config.upstreams[0].connections_max) = (Saturation::Refuse, 1);
    });
    memory.backend_config.max_concurrent_streams = 1;
    memory.backend_config.extended_connect = true;
    let client = memory.connect(ConnectionConfig::default());
    memory.learn_offers(client);
    ask(&mut memory, client, "/long");
    for n in 0..3 {
        tunnel(&mut memory, client, &format!("/{n}"));
    }
    memory.settle();
    assert_eq!((memory.records.len(), memory.gateway.view().frozen), (3, 0));
}

/// Where there is memory for a window, but not for the one that holds until our SETTINGS are acknowledged.
#[test]
fn who_starves_beside_an_idle_connection_is_served_when_its_window_has_shrunk() {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const ACK: [u8; 9] = [0, 0, 0, 4, 1, 0, 0, 0, 0];
    let mut memory = Memory::new(|config| {
        config.ledger_octets = 32_768;
        config.backend.initial_window_size = 32_768;
    });
    memory.mute_backends = true;
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/");
    let backend = memory.backends()[0];
    memory.inject(backend, &SETTINGS);
    assert_eq!(memory.gateway.view().frozen, 1, "65,535 octets are more than there are");
    memory.inject(backend, &ACK);
    assert_eq!(memory.gateway.view().live, 1);
}

/// A minimum is not more than what an endpoint may have.
#[test]
fn a_minimum_stays_below_the_maximum() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints[0].protocol = shuntyard_core::config::Protocol::Http1;
        config.upstreams[0].connections_min = 2;
        config.upstreams[0].http1_connections_max = 1;
    });
    memory.mute_backends = true;
    memory.settle();
    memory.wait(Duration::from_secs(1));
    assert_eq!(memory.dials.len(), 1);
}

/// However much one upstream is asked for, who waits for memory gets it in turn.
#[test]
fn l7_upstreams_take_turns_at_the_memory() {
    let (mut memory, _) = starving(1, Scope::Worker);
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..6 {
        ask_at(&mut memory, client, "a", &format!("/a{n}"));
    }
    for host in ["b", "c"] {
        ask_at(&mut memory, client, host, &format!("/{host}"));
    }
    let mut asked = Asked::default();
    // Who has got some stands behind those who have not.
    for path in ["/a0", "/a1", "/b", "/c", "/a2"] {
        asked.answer(&mut memory, path);
    }
}

/// How often it is looked whether there is memory changes nothing about whose turn it is.
#[test]
fn x2_who_waits_for_memory_keeps_his_place_however_input_is_cut() {
    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    for cut in [0, 9] {
        let (mut memory, idle) = starving(1, Scope::Worker);
        let client = memory.connect(ConnectionConfig::default());
        for host in ["a", "b", "c"] {
            ask_at(&mut memory, client, host, &format!("/{host}"));
        }
        memory.inject(idle[3], &PING[..cut]);
        memory.inject(idle[3], &PING[cut..]);
        let mut asked = Asked::default();
        for path in ["/a", "/b", "/c"] {
            asked.answer(&mut memory, path);
        }
    }
}

/// What a connection has offered that goes away is not expected of its successor.
#[test]
fn rfc8441_3_tunnels_end_with_the_last_connection_that_offers_them() {
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    let mut memory = Memory::new(|_| {});
    memory.backend_config.extended_connect = true;
    let client = memory.connect(ConnectionConfig::default());
    memory.learn_offers(client);
    ask(&mut memory, client, "/long");
    let first = memory.backends()[0];
    memory.inject(first, &GOAWAY);
    memory.backend_config.extended_connect = false;
    ask(&mut memory, client, "/next");
    assert_eq!(memory.dials.len(), 2);
    tunnel(&mut memory, client, "/tunnel");
    memory.settle();
    assert_eq!((memory.dials.len(), memory.gateway.view().frozen), (2, 0), "nobody offers tunnels any more");
}
