//! Which way a request is served where none is open: a connection that stands, one that is made, one that becomes free.

use shuntyard_core::config::{Balance, ConnectionConfig, Protocol, Saturation, Scope};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::record::{Cause, Outcome};
use shuntyard_core::time::Duration;

use crate::endpoints::address;
use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, ok, requests};

/// GOAWAY with the last stream 1 and no error.
const GOAWAY_BEHIND_1: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];

/// B33: who can be served at once does not wait for a dial, which may come to nothing.
#[test]
fn b33_an_idle_connection_serves_while_another_endpoint_is_dialled() {
    for balance in [Balance::LeastActive, Balance::RoundRobin] {
        let mut memory = Memory::new(|config| {
            config.upstreams[0].balance = balance;
            config.upstreams[0].endpoints = (9001..=9002).map(|port| address(port).into()).collect();
        });
        let client = memory.connect(ConnectionConfig::default());
        memory.dead = Some(address(9001));
        ask(&mut memory, client, "/first");
        assert_eq!(answer_all(&mut memory), ["/first"]);
        // It has rested, and dials to it end in nothing for a while.
        memory.wait(Duration::from_secs(31));
        memory.dead = None;
        memory.hold_connects = true;
        for n in 0..3 {
            ask(&mut memory, client, "/next");
            assert_eq!(answer_all(&mut memory), ["/next"], "{n} {balance:?}");
        }
        let to_first = memory.dials[2..].iter().filter(|dialled| **dialled == address(9001)).count();
        assert!(to_first <= 1, "{balance:?}: {:?}", memory.dials);
        // Equals stay where a connection is.
        assert_eq!(to_first, usize::from(balance == Balance::RoundRobin));
    }
}

/// Scope `client`: a connection that goes away leaves its place in the pool at once, and whoever waits gets it, of whatever client it was.
#[test]
fn b13_the_place_of_one_that_goes_away_is_offered_to_other_clients() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].share = Scope::Client;
        config.upstreams[0].connections_max = 1;
    });
    let clients = [(); 2].map(|()| memory.connect(ConnectionConfig::default()));
    ask(&mut memory, clients[0], "/long");
    let first = memory.backends()[0];
    ask(&mut memory, clients[1], "/waits");
    assert_eq!((memory.dials.len(), memory.gateway.view().frozen), (1, 1));
    memory.mute(first);
    memory.inject(first, &GOAWAY_BEHIND_1);
    assert_eq!((memory.dials.len(), memory.gateway.view().frozen), (2, 0));
}

/// A minimum is of connections that take requests, and is made up for while those last that do not: within the limit of all.
#[test]
fn a_minimum_is_kept_while_connections_drain_and_within_the_limit() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].connections_min = 2;
        config.upstreams[0].connections_max = 2;
    });
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    let mut left = Vec::new();
    for n in 0..12 {
        ask(&mut memory, client, &format!("/long/{n}"));
        let asked = memory
            .backends()
            .into_iter()
            .find(|&conn| !left.contains(&conn) && !requests(&mut memory, conn).is_empty());
        let Some(asked) = asked else { break };
        memory.mute(asked);
        memory.inject(asked, &GOAWAY_BEHIND_1);
        left.push(asked);
        let connections = memory.gateway.view().backends;
        assert!(connections <= 4, "{connections} after {n}");
        assert_eq!(connections, (left.len() + 2).min(4), "two take requests, as long as there is room");
    }
    assert_eq!(left.len(), 12, "who has drained longest makes room for a request that nobody else serves");
    for conn in left.split_off(8) {
        memory.kill(conn);
        assert!(memory.gateway.view().backends <= 4);
    }
}

/// B27: where a connection carries one request, those behind it do not wait for its dial.
#[test]
fn b27_dials_of_one_stream_each_are_made_side_by_side() {
    for (protocol, share) in [(Protocol::Http1, Scope::Worker), (Protocol::Http2, Scope::None)] {
        let mut memory = Memory::new(|config| {
            config.upstreams[0].share = share;
            config.upstreams[0].endpoints[0].protocol = protocol;
        });
        memory.hold_connects = true;
        let client = memory.connect(ConnectionConfig::default());
        for n in 0..10 {
            ask(&mut memory, client, &format!("/{n}"));
        }
        assert_eq!(memory.dials.len(), 10, "{protocol:?}");
    }
}

/// B27: and at all endpoints, however long one of them takes. One that could not be reached a moment ago is tried by one.
#[test]
fn b27_dials_of_one_stream_each_go_to_all_endpoints() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints = (9001..=9002).map(|port| address(port).into()).collect();
        config.upstreams[0].endpoints.iter_mut().for_each(|endpoint| endpoint.protocol = Protocol::Http1);
        config.timeouts.connect = Duration::from_secs(1);
    });
    memory.hold_connects = true;
    let client = memory.connect(ConnectionConfig::default());
    (0..10).for_each(|n| _ = ask(&mut memory, client, &format!("/{n}")));
    let at = |memory: &Memory, port| memory.dials.iter().filter(|&to| *to == address(port)).count();
    assert_eq!((at(&memory, 9001), at(&memory, 9002)), (5, 5));
    memory.wait(Duration::from_secs(3));
    memory.dials.clear();
    (0..10).for_each(|n| _ = ask(&mut memory, client, &format!("/{n}")));
    assert_eq!((at(&memory, 9001), at(&memory, 9002)), (1, 1));
}

/// B27: where a connection only has to end before another takes its place, whoever comes waits for that.
#[test]
fn b27_policy_refuse_refuses_nobody_while_a_connection_ends() {
    const LAST: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let mut memory = Memory::new(|config| {
        config.upstreams[0].on_saturation = Saturation::Refuse;
        config.upstreams[0].http1_connections_max = 1;
        config.upstreams[0].endpoints[0].protocol = Protocol::Http1;
    });
    memory.mute_backends = true;
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/first");
    let first = memory.backends()[0];
    // While it serves, there is nothing to wait for.
    ask(&mut memory, client, "/refused");
    assert_eq!(memory.records.len(), 1);
    memory.inject(first, LAST);
    ask(&mut memory, client, "/second");
    assert_eq!((memory.records.len(), memory.gateway.view().frozen), (2, 1));
    memory.shut(first);
    assert_eq!((memory.dials.len(), memory.gateway.view().live), (2, 1));
    assert!(memory.sent_to(memory.backends()[0]).starts_with(b"GET /second "));
}

/// B27: where a connection is on its way that nobody has ordered, or has just gone, whoever comes waits for it.
#[test]
fn b27_policy_refuse_refuses_nobody_while_the_pool_is_made_up_for() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].on_saturation = Saturation::Refuse;
        config.upstreams[0].connections_max = 1;
        config.upstreams[0].connections_min = 1;
    });
    memory.hold_connects = true;
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    for n in 0..3 {
        assert_eq!(memory.held.len(), 1, "round {n}");
        ask(&mut memory, client, "/");
        memory.release_connects();
        assert_eq!(answer_all(&mut memory), ["/"]);
        memory.hold_connects = true;
        let backend = memory.backends()[0];
        memory.kill(backend);
    }
    assert!(memory.records.iter().all(|record| record.outcome == Outcome::Complete));
}

/// B27: in scope `client` one that another has ordered, who has gone, is somebody's to wait for.
#[test]
fn b27_policy_refuse_lets_clients_wait_for_what_another_has_ordered() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].share = Scope::Client;
        config.upstreams[0].on_saturation = Saturation::Refuse;
        config.upstreams[0].connections_max = 1;
    });
    let clients = [(); 2].map(|()| memory.connect(ConnectionConfig::default()));
    memory.settle();
    memory.hold_connects = true;
    ask(&mut memory, clients[0], "/");
    memory.kill(clients[0]);
    memory.records.clear();
    ask(&mut memory, clients[1], "/waits");
    assert_eq!(memory.gateway.view().frozen, 1);
    memory.release_connects();
    assert_eq!(answer_all(&mut memory), ["/waits"]);
}

/// B27: policy `refuse` refuses who has no engine, where there is no place for one.
#[test]
fn b27_policy_refuse_refuses_a_client_without_an_engine() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].share = Scope::Client;
        config.upstreams[0].on_saturation = Saturation::Refuse;
        config.upstreams[0].connections_max = 1;
    });
    let clients = [(); 3].map(|()| memory.connect(ConnectionConfig::default()));
    memory.hold_connects = true;
    ask(&mut memory, clients[0], "/long");
    ask(&mut memory, clients[1], "/other");
    assert_eq!(memory.records.len(), 1);
    assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::QueueLimit));
    // Once the place is free it is anybody's.
    memory.hold_connects = false;
    memory.release_connects();
    assert_eq!(answer_all(&mut memory), ["/long"]);
    ask(&mut memory, clients[2], "/third");
    assert_eq!(answer_all(&mut memory), ["/third"]);
}

/// B53: where a dial has failed and nobody else is there, those are told as well who had no place to dial.
#[test]
fn b53_clients_beyond_the_limit_are_told_with_the_others() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].share = Scope::Client;
        config.upstreams[0].connections_max = 2;
        config.timeouts.connect = Duration::from_secs(5);
    });
    memory.hold_connects = true;
    let clients = [(); 5].map(|()| memory.connect(ConnectionConfig::default()));
    for client in clients {
        ask(&mut memory, client, "/");
    }
    memory.wait(Duration::from_secs(6));
    let causes: Vec<_> = memory.records.iter().map(|record| record.outcome).collect();
    assert_eq!(causes, [Outcome::LocalReply(Cause::ConnectionTimeout); 5]);
}

/// B28: one connection that has slots again is enough, whatever another one of its endpoint says.
#[test]
fn b28_an_idle_connection_that_allows_streams_again_serves_who_waits_for_another() {
    let mut memory = Memory::new(|config| config.upstreams[0].share = Scope::Client);
    let clients = [(); 2].map(|()| memory.connect(ConnectionConfig::default()));
    clients.iter().for_each(|&client| _ = ask(&mut memory, client, "/first"));
    assert_eq!(answer_all(&mut memory).len(), 2);
    let backends = memory.backends();
    let limit = |memory: &mut Memory, conn, streams: u8| {
        memory.inject(conn, &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, streams]);
    };
    backends.iter().for_each(|&conn| limit(&mut memory, conn, 0));
    ask(&mut memory, clients[0], "/waits");
    assert_eq!(memory.gateway.view().frozen, 1);
    // It waits for the one that was used last.
    limit(&mut memory, backends[0], 10);
    assert_eq!((backends.len(), memory.gateway.view().frozen), (2, 0));
}

/// B28: a minimum that was not made up for while another would have fared no better is, once it would.
#[test]
fn b28_a_minimum_is_made_up_for_when_streams_are_allowed_again() {
    let mut memory = Memory::new(|config| config.upstreams[0].connections_min = 2);
    memory.settle();
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/");
    assert_eq!((answer_all(&mut memory).len(), memory.dials.len()), (1, 2));
    let backends = memory.backends();
    let limit = |streams: u8| [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, streams];
    memory.inject(backends[0], &limit(0));
    memory.wait(Duration::from_secs(2));
    memory.kill(backends[1]);
    assert_eq!(memory.dials.len(), 2);
    memory.inject(backends[0], &limit(100));
    assert_eq!(memory.dials.len(), 3);
}

/// Connections that end because they have had their time have not ended in vain, however short that is.
#[test]
fn who_is_sent_away_for_its_age_was_not_made_in_vain() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].connections_min = 1;
        config.timeouts.backend_age = Duration::from_millis(500);
    });
    memory.settle();
    memory.wait(Duration::from_secs(60));
    assert!(memory.dials.len() > 100, "it rests: {} dials", memory.dials.len());
}

/// A reload takes an endpoint away that is being dialled: the connection is given up, and nothing has failed.
#[test]
fn a_dial_to_an_endpoint_that_is_taken_away_is_given_up() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints = (9001..=9002).map(|port| address(port).into()).collect();
    });
    memory.hold_connects = true;
    let client = memory.connect(ConnectionConfig::default());
    let stream = ask(&mut memory, client, "/");
    let dialled = memory.dials[0].clone();
    memory.client(client).reset(stream, ErrorCode::CANCEL);
    memory.settle();
    memory.reconfigure(|config| {
        config.upstreams[0].endpoints.retain(|endpoint| endpoint != &dialled.clone().into());
    });
    memory.settle();
    assert_eq!((memory.gateway.view().backends, memory.closed.len()), (0, 1));
    memory.hold_connects = false;
    ask(&mut memory, client, "/later");
    let other = *memory.backends().last().expect("a connection to the other");
    let (stream, _) = requests(&mut memory, other).remove(0);
    memory.backend(other).send_response(stream, &ok(), true).expect("open");
    memory.settle();
    assert_eq!(memory.records.last().map(|record| record.outcome), Some(Outcome::Complete));
}
