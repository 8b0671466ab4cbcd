//! Who shares an engine: one client, all of a worker, nobody.

use std::collections::BTreeMap;

use shuntyard_core::config::{ConnectionConfig, Saturation, Scope};
use shuntyard_core::gateway::{Closed, RecvBuf};
use shuntyard_core::key::ConnId;

use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, events, ok, post, requests};

fn scoped(scope: Scope) -> Memory {
    Memory::new(|config| config.upstreams[0].share = scope)
}

/// Three clients with four requests each, all under way at once. Says to how many connections they went.
fn connections_for_twelve(scope: Scope) -> usize {
    let mut memory = scoped(scope);
    let clients: Vec<ConnId> = (0..3).map(|_| memory.connect(ConnectionConfig::default())).collect();
    for n in 0..4 {
        for &client in &clients {
            ask(&mut memory, client, &format!("/{n}"));
        }
    }
    assert_eq!(memory.gateway.view().live, 12);
    let connections = memory.backends().len();
    assert_eq!(memory.gateway.view().engines, connections);
    assert_eq!(answer_all(&mut memory).len(), 12);
    for client in clients {
        assert_eq!(events(&mut memory, client).len(), 4, "{scope:?}");
    }
    assert_eq!(memory.gateway.view().engines, 0, "B33, {scope:?}");
    connections
}

#[test]
fn b16_scopes_differ_in_connections_and_in_nothing_that_a_client_sees() {
    assert_eq!(connections_for_twelve(Scope::Worker), 1);
    assert_eq!(connections_for_twelve(Scope::Client), 3);
    assert_eq!(connections_for_twelve(Scope::None), 12);
}

#[test]
fn b16_in_scope_client_no_stream_is_beside_anothers() {
    let mut memory = scoped(Scope::Client);
    let clients: Vec<ConnId> = (0..4).map(|_| memory.connect(ConnectionConfig::default())).collect();
    for round in 0..3 {
        for (n, &client) in clients.iter().enumerate() {
            memory
                .client(client)
                .send_request(&crate::memory::talk::get(&format!("/client-{n}/{round}")), true)
                .expect("a slot");
        }
    }
    memory.settle();
    let mut seen = BTreeMap::<ConnId, Vec<String>>::new();
    for backend in memory.backends() {
        for (_, request) in requests(&mut memory, backend) {
            let client = request.uri().path().split('/').nth(1).expect("a client").to_owned();
            seen.entry(backend).or_default().push(client);
        }
    }
    assert_eq!(seen.len(), 4);
    for clients in seen.values() {
        assert_eq!(clients.len(), 3);
        assert!(clients.iter().all(|client| *client == clients[0]), "{clients:?}");
    }
}

#[test]
fn scope_none_carries_one_request_at_a_time_and_uses_connections_again() {
    let mut memory = scoped(Scope::None);
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..3 {
        ask(&mut memory, client, &format!("/{n}"));
        answer_all(&mut memory);
    }
    assert_eq!(memory.dials.len(), 1);
    let streams: Vec<_> = memory.attempts.iter().map(|attempt| attempt.stream_id).collect();
    assert_eq!(streams, [1, 3, 5], "B2");
}

#[test]
fn e1_scope_client_with_policy_queue_has_one_engine_a_client() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].share = Scope::Client;
        config.upstreams[0].on_saturation = Saturation::Queue;
    });
    memory.backend_config.max_concurrent_streams = 1;
    let clients: Vec<ConnId> = (0..2).map(|_| memory.connect(ConnectionConfig::default())).collect();
    for n in 0..5 {
        for &client in &clients {
            ask(&mut memory, client, &format!("/{n}"));
        }
    }
    assert_eq!(memory.gateway.view().engines, 2);
    assert_eq!(memory.gateway.view().queued, 8);
    let mut answered = 0;
    while answered < 10 {
        let paths = answer_all(&mut memory);
        assert_eq!(paths.len(), 2, "one a client at a time");
        answered += paths.len();
    }
    assert_eq!(memory.dials.len(), 2);
}

#[test]
fn b37_a_client_that_goes_takes_its_engines_along_and_leaves_the_connection() {
    let mut memory = scoped(Scope::Client);
    let (gone, stays) =
        (memory.connect(ConnectionConfig::default()), memory.connect(ConnectionConfig::default()));
    ask(&mut memory, gone, "/gone");
    ask(&mut memory, stays, "/stays");
    memory.kill(gone);
    let view = memory.gateway.view();
    assert_eq!((view.engines, view.live, view.backends), (1, 1, 2));
    // The connection passes to another client's engine: identity is no part of the key.
    let next = memory.connect(ConnectionConfig::default());
    ask(&mut memory, next, "/next");
    assert_eq!(memory.dials.len(), 2);
    memory.kill(next);
    memory.kill(stays);
    assert_eq!(memory.gateway.view().engines, 0);
    assert_eq!(memory.gateway.view().requests, 0);
}

#[test]
fn b37_a_client_that_goes_while_its_engine_connects_leaves_no_trace() {
    let mut memory = scoped(Scope::Client);
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&crate::memory::talk::get("/"), true).expect("a slot");
    memory.hold_connects = true;
    memory.settle();
    assert_eq!(memory.gateway.view().engines, 1);
    memory.kill(client);
    assert_eq!((memory.gateway.view().engines, memory.gateway.view().requests), (0, 0));
    memory.release_connects();
    let next = memory.connect(ConnectionConfig::default());
    ask(&mut memory, next, "/next");
    assert_eq!(answer_all(&mut memory), ["/next"]);
    assert_eq!(memory.dials.len(), 1, "the connection that was made for nobody is used");
}

/// What a client asks of different backends waits in lanes of its own; its engines are the same.
#[test]
fn b16_a_tunnel_shares_its_clients_engine() {
    let mut memory = scoped(Scope::Client);
    memory.backend_config.extended_connect = true;
    let client = memory.connect(ConnectionConfig::default());
    memory.learn_offers(client);
    ask(&mut memory, client, "/");
    let tunnel = http::Request::connect("http://example.com/chat")
        .extension(shuntyard_core::h2::Protocol("websocket".to_owned()))
        .body(())
        .expect("a request");
    memory.client(client).send_request(&tunnel, false).expect("a slot");
    memory.settle();
    let view = memory.gateway.view();
    assert_eq!((memory.dials.len(), view.engines, view.live), (1, 1, 2));
}

/// Clients of a backend that serves one request on a connection, where nobody gets a second connection.
fn queueing(connections_max: u32) -> Memory {
    let mut memory = Memory::new(|config| {
        let upstream = &mut config.upstreams[0];
        (upstream.share, upstream.on_saturation) = (Scope::Client, Saturation::Queue);
        upstream.connections_max = connections_max;
    });
    memory.backend_config.max_concurrent_streams = 1;
    memory
}

/// Room for a connection is offered first to who has waited longest. If that one has an engine and may not have another, the
/// room is not lost.
#[test]
fn l7_who_has_no_engine_gets_the_room_that_who_has_one_cannot_use() {
    let mut memory = queueing(2);
    let [long, lost, waits] = [(); 3].map(|()| memory.connect(ConnectionConfig::default()));
    ask(&mut memory, long, "/takes-long");
    ask(&mut memory, long, "/behind-it");
    let stream = memory.client(lost).send_request(&post("/lost"), true).expect("a slot");
    memory.settle();
    ask(&mut memory, waits, "/waits");
    assert_eq!((memory.dials.len(), memory.gateway.view().frozen), (2, 2), "{stream:?}");
    let second = memory.attempts.len();
    let backend = memory.backends()[1];
    memory.kill(backend);
    assert_eq!(memory.attempts.len(), second + 1, "it is not sent again");
    assert_eq!((memory.dials.len(), memory.gateway.view().frozen), (3, 1));
}

/// A connection was to go to a client that leaves in the same moment: the next one has it.
#[test]
fn l7_what_was_meant_for_a_client_that_has_left_goes_to_the_next() {
    let mut memory = queueing(1);
    let [first, leaves, waits] = [(); 3].map(|()| memory.connect(ConnectionConfig::default()));
    for client in [first, leaves, waits] {
        ask(&mut memory, client, "/");
    }
    let backend = memory.backends()[0];
    let (stream, _) = requests(&mut memory, backend).pop().expect("the first request");
    memory.backend(backend).send_response(stream, &ok(), true).expect("open");
    let octets = memory.backend(backend).poll_transmit().expect("a response").to_vec();
    memory.backend(backend).handle_sent(octets.len());
    let RecvBuf::Buffer(buffer) = memory.gateway.recv_buf(backend) else { panic!("it reads") };
    buffer[..octets.len()].copy_from_slice(&octets);
    memory.gateway.handle_recv(backend, octets.len(), memory.now);
    memory.peers.remove(&leaves);
    memory.gateway.handle_closed(leaves, Closed::Reset, memory.now);
    memory.settle();
    assert_eq!(answer_all(&mut memory).len(), 1);
    assert_eq!(events(&mut memory, waits).len(), 1);
}

/// A stream that has lost its request keeps its connection for a while, and its client may be gone by then: it is anybody's all the same.
#[test]
fn b33_f3_what_is_left_of_a_client_that_has_gone_leaves_its_connection_idle() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].share = Scope::Client;
        config.upstreams[0].connections_max = 1;
        config.routes[0].replace_errors = vec![500];
    });
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/error");
    let backend = memory.backends()[0];
    let (stream, _) = requests(&mut memory, backend).remove(0);
    let failed = http::Response::builder().status(500).body(()).expect("a response");
    memory.backend(backend).send_response(stream, &failed, false).expect("open");
    memory.settle();
    memory.kill(client);
    memory.backend(backend).send_data(stream, b"little", true).expect("open");
    memory.settle();
    let other = memory.connect(ConnectionConfig::default());
    ask(&mut memory, other, "/next");
    assert_eq!(answer_all(&mut memory), ["/next"]);
    assert_eq!(memory.dials.len(), 1);
}
