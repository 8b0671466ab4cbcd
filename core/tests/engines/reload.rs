//! A new configuration: routes and upstreams apply from the next request, nothing that is under way is lost.

use shuntyard_core::address::{Address, SocketAddr};
use shuntyard_core::config::{ConnectionConfig, RouteConfig, Scope, UpstreamConfig};
use shuntyard_core::gateway::RecvBuf;
use shuntyard_core::record::Outcome;
use shuntyard_core::time::Duration;

use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, ok, requests};

fn address(port: u16) -> Address {
    SocketAddr::from(([127, 0, 0, 1], port)).into()
}

#[test]
fn the_next_request_takes_the_new_route_and_the_old_one_finishes() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/old");
    memory.reconfigure(|config| {
        config.upstreams = vec![UpstreamConfig::new("new", vec![address(9009)])];
        config.routes = vec![RouteConfig::any("new", "new")];
    });
    ask(&mut memory, client, "/new");
    assert_eq!(memory.dials[1], address(9009));
    let mut served = answer_all(&mut memory);
    served.sort();
    assert_eq!(served, ["/new", "/old"]);
    assert!(memory.records.iter().all(|record| record.outcome == Outcome::Complete));
    memory.wait(Duration::from_secs(10));
    assert_eq!(memory.gateway.view().backends, 1, "what nobody needs any more is closed");
}

/// The old backend is taken down, which is why there is a new configuration: what it has not processed goes to another connection all the same.
#[test]
fn b56_b66_what_an_upstream_that_is_gone_has_under_way_may_be_sent_again() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/old");
    let first = memory.backends()[0];
    memory.mute(first);
    memory.reconfigure(|config| {
        config.upstreams = vec![UpstreamConfig::new("new", vec![address(9009)])];
        config.routes = vec![RouteConfig::any("new", "new")];
    });
    memory.inject(first, &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let second = *memory.backends().last().expect("another connection");
    let (stream, request) = requests(&mut memory, second).remove(0);
    assert_eq!((request.uri().path(), memory.dials.len()), ("/old", 2));
    memory.backend(second).send_response(stream, &ok(), true).expect("open");
    memory.settle();
    assert!(memory.records.iter().all(|record| record.outcome == Outcome::Complete));
    memory.wait(Duration::from_secs(10));
    assert_eq!(memory.gateway.view().backends, 0, "what nobody needs any more is closed");
}

#[test]
fn requests_that_wait_for_an_upstream_that_is_gone_are_still_served() {
    let mut memory = Memory::new(|config| config.upstreams[0].connections_max = 1);
    memory.backend_config.max_concurrent_streams = 1;
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..5 {
        ask(&mut memory, client, &format!("/{n}"));
    }
    memory.reconfigure(|config| {
        config.upstreams = vec![UpstreamConfig::new("new", vec![address(9009)])];
        config.routes = vec![RouteConfig::any("new", "new")];
    });
    for n in 0..5 {
        assert_eq!(answer_all(&mut memory), [format!("/{n}")]);
    }
    assert_eq!(memory.records.len(), 5);
    memory.wait(Duration::from_secs(10));
    assert_eq!(memory.gateway.view().backends, 0);
}

#[test]
fn an_endpoint_that_is_gone_finishes_what_it_has_and_gets_nothing_new() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints = vec![address(9001).into(), address(9002).into()];
    });
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..4 {
        ask(&mut memory, client, &format!("/{n}"));
    }
    memory.reconfigure(|config| _ = config.upstreams[0].endpoints.remove(0));
    for n in 4..8 {
        ask(&mut memory, client, &format!("/{n}"));
    }
    assert_eq!(answer_all(&mut memory).len(), 8);
    let at = |endpoint: &str| memory.attempts.iter().filter(|attempt| *attempt.endpoint == *endpoint).count();
    assert_eq!((at("127.0.0.1:9001"), at("127.0.0.1:9002")), (2, 6));
    memory.wait(Duration::from_secs(10));
    assert_eq!(memory.gateway.view().backends, 1);
}

#[test]
fn another_scope_applies_from_the_next_request() {
    let mut memory = Memory::new(|_| {});
    let clients: Vec<_> = (0..2).map(|_| memory.connect(ConnectionConfig::default())).collect();
    clients.iter().for_each(|&client| _ = ask(&mut memory, client, "/shared"));
    assert_eq!(memory.backends().len(), 1);
    memory.reconfigure(|config| config.upstreams[0].share = Scope::Client);
    clients.iter().for_each(|&client| _ = ask(&mut memory, client, "/own"));
    assert_eq!(memory.backends().len(), 3);
    assert_eq!(answer_all(&mut memory).len(), 4);
}

#[test]
fn a_configuration_that_cannot_work_changes_nothing() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    memory.reconfigure(|config| config.upstreams.clear());
    ask(&mut memory, client, "/");
    assert_eq!(answer_all(&mut memory), ["/"]);
}

/// Heads of HTTP/1.1 lie whole in the receive buffer: whoever may send longer ones finds it grown, and is never lent an empty one.
#[test]
fn a_larger_receive_buffer_applies_at_once() {
    let mut memory = Memory::new(|config| config.recv_buffer_octets = 33 << 10);
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/");
    assert_eq!(answer_all(&mut memory), ["/"]);
    let backend = memory.backends()[0];
    memory.reconfigure(|config| config.recv_buffer_octets = 256 << 10);
    let client = memory.connect_mute();
    let head = format!("GET /long HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(40 << 10));
    for piece in head.as_bytes().chunks(1 << 10) {
        let RecvBuf::Buffer(buffer) = memory.gateway.recv_buf(client) else { panic!("it takes nothing") };
        assert!(buffer.len() >= piece.len(), "{} octets are lent", buffer.len());
        buffer[..piece.len()].copy_from_slice(piece);
        memory.gateway.handle_recv(client, piece.len(), memory.now);
        memory.settle();
    }
    let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
    memory.backend(backend).send_response(stream, &ok(), true).expect("an open stream");
    memory.settle();
    assert!(memory.sent_to(client).starts_with(b"HTTP/1.1 200 "));
}
