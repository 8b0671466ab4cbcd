//! Connections to backends that there may be, of all upstreams together.

use std::collections::BTreeMap;

use shuntyard_core::config::{
    Config, ConnectionConfig, EndpointConfig, PathPattern, Protocol, RouteConfig, Saturation, Scope,
    UpstreamConfig,
};
use shuntyard_core::h2::ClientEvent;
use shuntyard_core::key::ConnId;
use shuntyard_core::record::{Cause, Outcome};
use shuntyard_core::time::Duration;

use crate::endpoints::address;
use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, events};

const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// Upstreams `a`, `b` and `c` of HTTP/1.1, behind paths of these names.
fn three(places: u32, change: impl FnOnce(&mut Config)) -> Memory {
    let mut memory = Memory::new(|config| {
        let upstream = |n: u16| {
            let endpoint = EndpointConfig { protocol: Protocol::Http1, ..address(9000 + n).into() };
            let mut of = UpstreamConfig::new(["a", "b", "c"][usize::from(n)], Vec::new());
            (of.endpoints, of.http1_connections_max) = (vec![endpoint], 1000);
            of
        };
        config.upstreams = (0..3).map(upstream).collect();
        let route = |of: &UpstreamConfig| RouteConfig {
            path: PathPattern::Prefix(format!("/{}", of.name).into()),
            ..RouteConfig::any(&*of.name, of.name.clone())
        };
        config.routes = config.upstreams.iter().map(route).collect();
        config.backends_max = places;
        change(config);
    });
    memory.mute_backends = true;
    memory
}

fn statuses(memory: &mut Memory, client: ConnId) -> Vec<u16> {
    let status = |event: &ClientEvent| match event {
        ClientEvent::Response { response, .. } => Some(response.status().as_u16()),
        _ => None,
    };
    events(memory, client).iter().filter_map(status).collect()
}

/// Which backends have been asked for what since the last time, by path.
fn asked(memory: &mut Memory) -> BTreeMap<String, ConnId> {
    let backends = memory.backends().into_iter();
    let said = backends.map(|conn| (String::from_utf8(memory.sent_to(conn)).expect("text"), conn));
    said.filter_map(|(said, conn)| Some((said.split(' ').nth(1)?.to_owned(), conn))).collect()
}

fn ports(memory: &Memory) -> Vec<u16> {
    let port = |of: &shuntyard_core::address::Address| match of {
        shuntyard_core::address::Address::Inet(of) => of.port() - 9000,
        shuntyard_core::address::Address::Unix(_) => panic!("none of these"),
    };
    memory.dials.iter().map(port).collect()
}

/// The sum is bounded, whoever asks; a place that is free is used, and upstreams take turns at it.
#[test]
fn upstreams_take_turns_at_the_places_that_there_are() {
    let mut memory = three(2, |_| {});
    let client = memory.connect(ConnectionConfig::default());
    for path in ["/a/1", "/a/2", "/a/3", "/a/4", "/b/1", "/b/2", "/c/1"] {
        ask(&mut memory, client, path);
    }
    assert_eq!((ports(&memory), memory.gateway.view().frozen), (vec![0, 0], 5));
    for gone in 1..=7 {
        // Whichever has gone for longest without having been asked again.
        let backend = memory.backends()[0];
        memory.inject(backend, b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
        memory.shut(backend);
        assert!(memory.gateway.view().backends <= 2);
        assert_eq!(memory.dials.len(), 7.min(2 + gone), "{:?}", ports(&memory));
    }
    assert_eq!(ports(&memory), [0, 0, 0, 1, 2, 0, 1]);
    assert_eq!(statuses(&mut memory, client), [204; 7]);
}

/// Who waits does not wait for one that nobody uses.
#[test]
fn what_is_idle_elsewhere_makes_room() {
    let mut memory = three(3, |_| {});
    let client = memory.connect(ConnectionConfig::default());
    for path in ["/a/1", "/a/2", "/a/3"] {
        ask(&mut memory, client, path);
    }
    let of_a = asked(&mut memory);
    for (path, after) in [("/a/1", 5), ("/a/3", 9)] {
        memory.wait(Duration::from_secs(after));
        memory.inject(of_a[path], ANSWER);
    }
    ask(&mut memory, client, "/b/1");
    assert_eq!((ports(&memory), &memory.closed[..]), (vec![0, 0, 0, 1], &[of_a["/a/1"]][..]));
    assert!(asked(&mut memory).contains_key("/b/1"));
    ask(&mut memory, client, "/c/1");
    assert_eq!((ports(&memory), memory.closed.len()), (vec![0, 0, 0, 1, 2], 2));
    // All that is left is in use.
    ask(&mut memory, client, "/a/4");
    ask(&mut memory, client, "/b/2");
    assert_eq!((memory.dials.len(), memory.gateway.view().frozen), (5, 2));
    // One that becomes idle makes room, too, though its own upstream could use it again at any time.
    memory.inject(of_a["/a/2"], ANSWER);
    assert_eq!((memory.dials.len(), memory.gateway.view().frozen), (5, 1), "its own is first");
    memory.inject(of_a["/a/2"], ANSWER);
    assert_eq!((ports(&memory)[5..].to_vec(), memory.gateway.view().frozen), (vec![1], 0));
    assert_eq!(memory.gateway.view().backends, 3);
}

/// Over HTTP/2 it says so first, and its place is free when it has gone.
#[test]
fn what_is_idle_over_http2_takes_its_leave() {
    let mut memory = three(1, |config| {
        config.upstreams.iter_mut().for_each(|of| of.endpoints[0].protocol = Protocol::Http2);
        // It waits for who takes its leave, and is not refused.
        config.upstreams[1].on_saturation = Saturation::Refuse;
    });
    memory.mute_backends = false;
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/a/1");
    crate::memory::talk::answer_all(&mut memory);
    let first = memory.backends()[0];
    ask(&mut memory, client, "/b/1");
    assert_eq!((memory.shutdowns.clone(), ports(&memory)), (vec![first], vec![0]));
    memory.shut(first);
    assert_eq!(ports(&memory), [0, 1]);
    assert_eq!(crate::memory::talk::answer_all(&mut memory), ["/b/1"]);
}

/// As where an endpoint has all connections that it may have.
#[test]
fn who_waits_in_vain_or_does_not_wait_is_told() {
    let mut memory = three(1, |config| config.upstreams[2].on_saturation = Saturation::Refuse);
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/a/1");
    ask(&mut memory, client, "/b/1");
    ask(&mut memory, client, "/c/1");
    assert_eq!(statuses(&mut memory, client), [503], "who is refused");
    let patience = memory.config().upstreams[1].queue_timeout;
    memory.wait(patience);
    assert_eq!(statuses(&mut memory, client), [503]);
    assert!(memory.records.iter().all(|of| of.outcome == Outcome::LocalReply(Cause::QueueLimit)));
    // Nobody waits any more, and the place is whoever's that comes.
    let backend = asked(&mut memory)["/a/1"];
    memory.inject(backend, ANSWER);
    ask(&mut memory, client, "/c/2");
    assert_eq!(ports(&memory), [0, 2]);
}

/// In scope `client` each has an engine of its own, if there is a place for it.
#[test]
fn clients_with_engines_of_their_own_wait_in_turn() {
    let mut memory = three(2, |config| {
        for of in &mut config.upstreams {
            (of.share, of.on_saturation) = (Scope::Client, Saturation::Queue);
        }
    });
    let clients: Vec<_> = (0..6).map(|n| memory.connect_from(n, ConnectionConfig::default())).collect();
    for (n, &client) in clients.iter().enumerate() {
        ask(&mut memory, client, ["/a/1", "/b/1", "/c/1"][n % 3]);
    }
    for answered in 0..6 {
        assert_eq!(memory.gateway.view().backends, 2.min(6 - answered));
        let backend = memory.backends()[0];
        memory.inject(backend, b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
        memory.shut(backend);
    }
    for client in clients {
        assert_eq!(statuses(&mut memory, client), [204]);
    }
}

/// Connections that are kept although nobody needs them wait for those that somebody does, and turn no other away.
#[test]
fn a_minimum_takes_what_nobody_waits_for() {
    let mut memory = three(2, |config| config.upstreams.iter_mut().for_each(|of| of.connections_min = 1));
    memory.settle();
    assert_eq!(memory.dials.len(), 2, "{:?}", ports(&memory));
    memory.wait(Duration::from_secs(600));
    assert_eq!((memory.dials.len(), memory.closed.len()), (2, 0), "{:?}", ports(&memory));
    let lacking = (0..3).find(|n| !ports(&memory).contains(n)).expect("one of three");
    let client = memory.connect(ConnectionConfig::default());
    let path = ["/a/1", "/b/1", "/c/1"][usize::from(lacking)];
    ask(&mut memory, client, path);
    assert_eq!((ports(&memory)[2], memory.closed.len()), (lacking, 1));
    let backend = asked(&mut memory)[path];
    memory.inject(backend, b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
    memory.shut(backend);
    memory.settle();
    assert_eq!((memory.dials.len(), memory.gateway.view().backends), (4, 2), "{:?}", ports(&memory));
}

#[test]
fn another_configuration_may_have_more_places_or_fewer() {
    let mut memory = three(2, |_| {});
    let client = memory.connect(ConnectionConfig::default());
    for path in ["/a/1", "/b/1", "/c/1", "/c/2"] {
        ask(&mut memory, client, path);
    }
    assert_eq!(memory.dials.len(), 2);
    memory.reconfigure(|config| config.backends_max = 3);
    assert_eq!(ports(&memory), [0, 1, 2]);
    // What is there stays.
    memory.reconfigure(|config| config.backends_max = 1);
    let view = memory.gateway.view();
    assert_eq!((view.backends, view.frozen, memory.closed.len()), (3, 1, 0));
}

/// What is idle beyond other limits goes at once, for whoever asks.
#[test]
fn all_that_is_idle_beyond_fewer_places_makes_room() {
    let mut memory = three(10, |_| {});
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..10 {
        ask(&mut memory, client, &format!("/a/{n}"));
    }
    for conn in asked(&mut memory).into_values() {
        memory.inject(conn, ANSWER);
    }
    assert_eq!(statuses(&mut memory, client), [204; 10]);
    memory.reconfigure(|config| config.backends_max = 2);
    ask(&mut memory, client, "/b/1");
    assert_eq!(memory.dials.len(), 11, "{:?}", memory.records);
    assert_eq!(asked(&mut memory).keys().collect::<Vec<_>>(), ["/b/1"]);
}

/// A connection whose backend allows no stream, and that nobody waits for, is idle like any other.
#[test]
fn what_is_idle_and_allows_no_stream_makes_room() {
    let mut memory = three(1, |config| {
        config.upstreams.iter_mut().for_each(|of| of.endpoints = vec![of.endpoints[0].clone()]);
        config.upstreams[0].endpoints[0].protocol = Protocol::Http2;
    });
    memory.mute_backends = false;
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/a/1");
    assert_eq!(answer_all(&mut memory), ["/a/1"]);
    let idle = memory.backends()[0];
    memory.mute(idle);
    memory.inject(idle, &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0]);
    memory.mute_backends = true;
    ask(&mut memory, client, "/b/1");
    memory.wait(Duration::from_secs(5));
    assert_eq!(memory.dials.len(), 2, "{:?}", memory.records);
}
