//! A new configuration with lower limits than before: what is beyond them goes, as far as nobody needs it, and nobody waits for what never comes.

use shuntyard_core::config::{Config, ConnectionConfig, Protocol, RouteConfig, UpstreamConfig};
use shuntyard_core::key::ConnId;
use shuntyard_core::record::Outcome;
use shuntyard_core::time::Duration;

use crate::endpoints::address;
use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, events, get, ok, requests};

/// Fewer clients may come than are there: those who only stay make room, however many they are, those who work finish, and newcomers are served.
#[test]
fn idle_clients_beyond_a_lower_limit_take_their_leave() {
    let mut memory = Memory::new(|config| config.max_fronts = 300);
    let clients: Vec<_> = (0..250).map(|_| memory.connect(ConnectionConfig::default())).collect();
    memory.settle();
    for &client in &clients[..3] {
        ask(&mut memory, client, "/works");
    }
    memory.wait(Duration::from_secs(1));
    memory.reconfigure(|config| config.max_fronts = 20);
    memory.wait(Duration::from_secs(15));
    assert_eq!(memory.gateway.view().fronts, 19, "all but a sixteenth of the table");
    assert!(memory.gateway.snapshot(0, memory.now).accepting, "there is room again");
    assert!(clients[..3].iter().all(|client| !memory.closed.contains(client)), "who works stays");
    assert_eq!(answer_all(&mut memory).len(), 3);
    let newcomer = memory.connect(ConnectionConfig::default());
    memory.settle();
    ask(&mut memory, newcomer, "/new");
    assert_eq!(answer_all(&mut memory), ["/new"]);
}

#[test]
fn the_same_limit_again_sends_nobody_away() {
    let mut memory = Memory::new(|config| config.max_fronts = 32);
    let clients: Vec<_> = (0..30).map(|_| memory.connect(ConnectionConfig::default())).collect();
    memory.settle();
    memory.reconfigure(|_| {});
    memory.wait(Duration::from_secs(5));
    assert!(clients.iter().filter(|client| memory.closed.contains(client)).count() <= 1);
}

/// Five connections with a request each, of which two are answered.
fn five_connections(protocol: Protocol) -> (Memory, Vec<ConnId>) {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints[0].protocol = protocol;
        (config.upstreams[0].connections_max, config.upstreams[0].http1_connections_max) = (5, 5);
    });
    memory.backend_config.max_concurrent_streams = 1;
    memory.mute_backends = protocol == Protocol::Http1;
    let client = memory.connect(ConnectionConfig::default());
    (0..5).for_each(|n| _ = ask(&mut memory, client, &format!("/{n}")));
    let backends = memory.backends();
    assert_eq!(backends.len(), 5);
    for &backend in &backends[..2] {
        answer(&mut memory, backend);
    }
    (memory, backends)
}

fn answer(memory: &mut Memory, backend: ConnId) {
    if memory.mute_backends {
        return memory.inject(backend, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    }
    for (stream, _) in requests(memory, backend) {
        memory.backend(backend).send_response(stream, &ok(), true).expect("open");
    }
    memory.settle();
}

/// More connections than an endpoint may have now: idle ones go first, the others with their last response.
#[test]
fn connections_beyond_a_lower_limit_take_nothing_new() {
    for protocol in [Protocol::Http2, Protocol::Http1] {
        let (mut memory, backends) = five_connections(protocol);
        memory.reconfigure(|config| {
            (config.upstreams[0].connections_max, config.upstreams[0].http1_connections_max) = (2, 2);
        });
        memory.wait(Duration::from_secs(5));
        assert_eq!(memory.gateway.view().backends, 3, "{protocol:?}: what is live goes on");
        backends[2..].iter().for_each(|&backend| answer(&mut memory, backend));
        memory.wait(Duration::from_secs(5));
        assert_eq!(memory.gateway.view().backends, 2, "{protocol:?}");
        assert_eq!(memory.records.iter().filter(|record| record.outcome == Outcome::Complete).count(), 5);
        assert_eq!(memory.dials.len(), 5, "{protocol:?}: nothing takes their place");
    }
}

/// A window once given stays with its connection. Where the whole ledger is smaller now, nothing could ever be asked for on it.
#[test]
fn a_ledger_smaller_than_windows_that_were_given_starves_nobody() {
    let set = |config: &mut Config, octets: u32| {
        config.backend.initial_window_size = octets;
        config.backend.stream_window_max = octets;
        (config.ledger_octets, config.ledger_front_octets) = (octets.into(), octets.into());
    };
    let mut memory = Memory::new(|config| set(config, 1 << 20));
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/first");
    assert_eq!(answer_all(&mut memory), ["/first"]);
    memory.reconfigure(|config| set(config, 100 << 10));
    ask(&mut memory, client, "/second");
    assert_eq!(answer_all(&mut memory), ["/second"]);
    assert_eq!(memory.dials.len(), 2);
}

/// Who waits for its own share of the ledger goes on where that is larger now.
#[test]
fn a_larger_share_of_the_ledger_lets_its_client_go_on() {
    let mut memory = Memory::new(|config| {
        (config.backend.initial_window_size, config.backend.stream_window_max) = (65_535, 65_535);
        config.ledger_front_octets = 2 * 65_535;
    });
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    (0..4)
        .for_each(|n| _ = memory.client(client).send_request(&get(&format!("/{n}")), true).expect("a slot"));
    memory.settle();
    let backend = memory.backends()[0];
    assert_eq!(requests(&mut memory, backend).len(), 2);
    memory.reconfigure(|config| config.ledger_front_octets = 4 * 65_535);
    assert_eq!(requests(&mut memory, backend).len(), 2, "the others");
    assert!(events(&mut memory, client).is_empty());
}

/// What is kept for the next request is of no use where there will be none.
#[test]
fn a_minimum_is_not_kept_for_an_upstream_that_is_gone() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].connections_min = 3;
        config.timeouts.backend_idle = Duration::from_secs(5);
    });
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    ask(&mut memory, client, "/old");
    assert_eq!(memory.gateway.view().backends, 3);
    memory.reconfigure(|config| {
        config.upstreams = vec![UpstreamConfig::new("new", vec![address(9009)])];
        config.routes = vec![RouteConfig::any("new", "new")];
    });
    memory.wait(Duration::from_secs(20));
    assert_eq!(memory.gateway.view().backends, 1, "the one with the request");
    assert_eq!(answer_all(&mut memory), ["/old"]);
}
