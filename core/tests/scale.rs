//! Nothing scans: what a request costs does not depend on how many others there are (invariant N4). Counted in steps of the gateway's
//! loops, so that the figures come out the same everywhere.
#![cfg(feature = "observe")]

#[path = "memory/mod.rs"]
mod memory;

use http::Request;
use memory::Memory;
use memory::talk::{answer_all, ask, events, get};
use shuntyard_core::config::{Config, ConnectionConfig, Scope};
use shuntyard_core::gateway::Command;
use shuntyard_core::h2::Protocol;
use shuntyard_core::key::ConnId;

const ROUNDS: u64 = 20;

/// Units of work of a request that is asked and answered, among others that stay as they are.
fn cost_of_a_request(memory: &mut Memory, client: ConnId) -> u64 {
    // The first ones find their memory, and the connection to the backend.
    for path in ["/first", "/second"] {
        ask(memory, client, path);
        answer_all(memory);
    }
    let before = memory.gateway.work();
    for _ in 0..ROUNDS {
        ask(memory, client, "/counted");
        assert_eq!(answer_all(memory), ["/counted"]);
        events(memory, client);
    }
    (memory.gateway.work() - before) / ROUNDS
}

#[track_caller]
fn same(what: &str, few: u64, many: u64) {
    println!("{what}: {few} units of work with few, {many} with many");
    assert!(few > 0 && many * 10 <= few * 11, "{what}: {few} units with few, {many} with many");
}

#[test]
fn n4_connections_that_stand_cost_nothing() {
    let cost = |others: usize| {
        // Whether others sleep is asked with few as with many.
        let mut memory = Memory::new(|config: &mut Config| config.fronts_awake = 0);
        let client = memory.connect(ConnectionConfig::default());
        for _ in 0..others {
            memory.connect(ConnectionConfig::default());
        }
        memory.settle();
        cost_of_a_request(&mut memory, client)
    };
    same("connections", cost(10), cost(5_000));
}

/// Ever the same backend with one stream: when a request is answered the next is thawed, however many wait.
#[test]
fn n4_requests_that_wait_cost_nothing() {
    let cost = |clients: usize| {
        let mut memory = Memory::new(|config: &mut Config| {
            config.upstreams[0].connections_max = 1;
            config.upstreams[0].queue_max = 100_000;
            config.backend.max_concurrent_streams_cap = 1;
        });
        for _ in 0..clients {
            let client = memory.connect(ConnectionConfig::default());
            memory.settle();
            for _ in 0..100 {
                ask(&mut memory, client, "/waits");
            }
        }
        let before = memory.gateway.work();
        for _ in 0..ROUNDS {
            assert_eq!(answer_all(&mut memory).len(), 1);
        }
        (memory.gateway.work() - before) / ROUNDS
    };
    same("frozen requests", cost(1), cost(100));
}

/// Octets that come one by one cost a constant each: frames are not looked at anew with each of them.
#[test]
fn n4_work_is_linear_in_what_comes() {
    let cost = |size: usize| {
        let mut memory = Memory::new(|_| {});
        let client = memory.connect_mute();
        let head = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(size));
        let before = memory.gateway.work();
        for octet in head.as_bytes() {
            memory.inject(client, core::slice::from_ref(octet));
        }
        (memory.gateway.work() - before) / head.len() as u64
    };
    let (short, long) = (cost(100), cost(4_000));
    println!("units of work an octet: {short} of a short head, {long} of a long one");
    assert_eq!(long, short);
}

fn tunnel() -> Request<()> {
    Request::connect("http://example.com/chat")
        .extension(Protocol("websocket".to_owned()))
        .body(())
        .expect("a request")
}

/// A gateway in front of a backend that serves one request at a time and no tunnels, and of one that is dialled and does not
/// answer. So many clients wait for as many tunnels each.
fn before_tunnels(share: Scope, clients: usize, each: usize) -> (Memory, ConnId) {
    let mut memory = Memory::new(|config: &mut Config| {
        let silent: core::net::SocketAddr = "127.0.0.1:9001".parse().expect("an address");
        let upstream = &mut config.upstreams[0];
        upstream.endpoints.push(shuntyard_core::address::Address::from(silent).into());
        (upstream.share, upstream.connections_max, upstream.queue_max) = (share, 1, 100_000);
        config.backend.max_concurrent_streams_cap = 1;
        config.fronts_awake = 0;
    });
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/first");
    memory.hold_connects = true;
    let waiting: Vec<ConnId> = (0..clients).map(|_| memory.connect(ConnectionConfig::default())).collect();
    memory.settle();
    for &client in &waiting {
        while memory.client(client).poll_event().expect("a sound connection").is_some() {}
        for _ in 0..each {
            memory.client(client).send_request(&tunnel(), false).expect("a slot");
        }
    }
    memory.settle();
    assert_eq!(memory.gateway.view().frozen, clients * each, "{share:?}");
    assert_eq!((memory.dials.len(), memory.held.len()), (2, 1), "{share:?}");
    (memory, client)
}

/// Who waits for a tunnel that nobody offers yet stands in nobody's way, and is not passed one by one either.
#[test]
fn n4_who_waits_for_a_tunnel_costs_others_nothing() {
    let cost = |share: Scope, clients: usize, each: usize| {
        let (mut memory, client) = before_tunnels(share, clients, each);
        for _ in 0..ROUNDS {
            memory.client(client).send_request(&get("/counted"), true).expect("a slot");
        }
        memory.settle();
        let before = memory.gateway.work();
        for _ in 0..ROUNDS {
            assert_eq!(answer_all(&mut memory).len(), 1);
        }
        (memory.gateway.work() - before) / ROUNDS
    };
    for share in [Scope::Worker, Scope::Client] {
        same("tunnels of few clients", cost(share, 1, 10), cost(share, 100, 100));
        same("tunnels of many clients", cost(share, 10, 1), cost(share, 10_000, 1));
    }
}

/// The same where each request leaves its connection idle, so that all who wait might have it.
#[test]
fn n4_idle_connections_are_not_offered_to_each_who_cannot_use_them() {
    let cost = |clients: usize| {
        let (mut memory, client) = before_tunnels(Scope::Client, clients, 1);
        answer_all(&mut memory);
        cost_of_a_request(&mut memory, client)
    };
    same("tunnels beside idle connections", cost(10), cost(10_000));
}

/// A drain tells backends once, however many of them there are to go.
#[test]
fn n4_the_end_of_a_drain_is_no_square() {
    let cost = |backends: u32| {
        let mut memory = Memory::new(|config: &mut Config| {
            config.upstreams[0].endpoints[0].protocol = shuntyard_core::config::Protocol::Http1;
            config.upstreams[0].connections_min = backends;
            config.upstreams[0].http1_connections_max = backends;
        });
        memory.mute_backends = true;
        memory.wait(core::time::Duration::from_secs(1));
        memory.settle();
        assert_eq!(memory.backends().len(), backends as usize);
        let before = memory.gateway.work();
        let deadline = core::time::Duration::from_secs(30);
        memory.gateway.handle_command(Command::Drain { deadline }, memory.now);
        memory.settle();
        memory.wait(deadline);
        assert_eq!(memory.drained, Some(0));
        (memory.gateway.work() - before) / u64::from(backends)
    };
    same("connections to backends in a drain", cost(100), cost(1_000));
}
