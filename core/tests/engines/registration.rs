//! Who gets an engine, and what an engine is handed.

use shuntyard_core::address::SocketAddr;
use shuntyard_core::config::{ConnectionConfig, HostPattern, RouteConfig, UpstreamConfig};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::ClientEvent;
use shuntyard_core::record::{Cause, Outcome};

use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, events, get, post, requests};

#[test]
fn b11_the_first_request_for_a_key_registers_an_engine() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    assert_eq!(memory.gateway.view().engines, 0);
    ask(&mut memory, client, "/");
    let view = memory.gateway.view();
    assert_eq!((view.engines, view.live, view.frozen), (1, 1, 0));
}

#[test]
fn b12_later_requests_are_the_next_streams_of_the_same_connection() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..3 {
        ask(&mut memory, client, &format!("/{n}"));
    }
    assert_eq!(memory.dials.len(), 1);
    let view = memory.gateway.view();
    assert_eq!((view.engines, view.live), (1, 3));
    answer_all(&mut memory);
    let streams: Vec<_> = memory.attempts.iter().map(|attempt| (attempt.engine, attempt.stream_id)).collect();
    assert_eq!(streams, [(1, 1), (1, 3), (1, 5)]);
}

#[test]
fn b13_a_hundred_requests_take_one_connection() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..100 {
        memory.client(client).send_request(&get(&format!("/{n}")), true).expect("a slot");
    }
    memory.settle();
    assert_eq!((memory.dials.len(), memory.gateway.view().live), (1, 100));
    assert_eq!(answer_all(&mut memory).len(), 100);
    assert_eq!(memory.records.len(), 100);
}

/// Two upstreams that differ in the port alone, behind two hosts.
fn two_upstreams() -> Memory {
    Memory::new(|config| {
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port)).into();
        config.upstreams = vec![
            UpstreamConfig::new("a", vec![address(9001)]),
            UpstreamConfig::new("b", vec![address(9002)]),
        ];
        config.routes = ["a", "b"]
            .map(|name| RouteConfig {
                host: HostPattern::Exact(format!("{name}.example").into()),
                ..RouteConfig::any(name, name)
            })
            .to_vec();
    })
}

fn get_from(host: &str) -> http::Request<()> {
    http::Request::get(format!("http://{host}/")).body(()).expect("a request")
}

/// What a client has in the queue of one upstream leaves it its places in another's.
#[test]
fn i3_places_in_queues_are_counted_by_upstream() {
    let mut memory = two_upstreams();
    memory.reconfigure(|config| {
        for (upstream, queue_max) in config.upstreams.iter_mut().zip([32, 4]) {
            (upstream.connections_max, upstream.queue_max) = (1, queue_max);
        }
    });
    memory.backend_config.max_concurrent_streams = 1;
    let client = memory.connect(ConnectionConfig::default());
    let mut ask = |host: &str, count: usize| {
        for _ in 0..count {
            memory.client(client).send_request(&get_from(host), true).expect("a slot");
        }
        memory.settle();
        memory.gateway.view().queued
    };
    // One of each has a stream, when it can.
    assert_eq!(ask("a.example", 40), 23);
    assert_eq!(ask("b.example", 10) - 23, 2);
}

#[test]
fn b14_b15_different_keys_have_engines_of_their_own_even_on_one_host() {
    let mut memory = two_upstreams();
    let client = memory.connect(ConnectionConfig::default());
    for host in ["a.example", "b.example", "a.example", "b.example"] {
        memory.client(client).send_request(&get_from(host), true).expect("a slot");
    }
    memory.settle();
    assert_eq!(memory.dials.len(), 2);
    assert_eq!(memory.gateway.view().engines, 2);
    for backend in memory.backends() {
        let hosts: Vec<_> = requests(&mut memory, backend)
            .iter()
            .map(|(_, request)| request.uri().host().map(str::to_owned))
            .collect();
        assert_eq!(hosts.len(), 2);
        assert_eq!(hosts[0], hosts[1], "F2: no request goes to another upstream");
    }
}

#[test]
fn a_request_that_no_route_serves_is_404_and_disturbs_nobody() {
    let mut memory = two_upstreams();
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get_from("c.example"), true).expect("a slot");
    memory.settle();
    assert!(matches!(&events(&mut memory, client)[0],
        ClientEvent::Response { response, .. } if response.status() == 404));
    assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::NoRoute));
    assert_eq!(memory.dials, []);
}

#[test]
fn b21_f34_a_request_that_was_reset_while_frozen_reaches_no_backend() {
    let mut memory = Memory::new(|config| config.upstreams[0].connections_max = 1);
    memory.backend_config.max_concurrent_streams = 1;
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/live");
    let frozen = ask(&mut memory, client, "/frozen");
    assert_eq!(memory.gateway.view().frozen, 1);
    memory.client(client).reset(frozen, ErrorCode::CANCEL);
    memory.settle();
    assert_eq!(memory.gateway.view().frozen, 0);
    assert_eq!(answer_all(&mut memory), ["/live"]);
    assert_eq!(answer_all(&mut memory), [""; 0]);
    assert_eq!(memory.attempts.len(), 1);
}

#[test]
fn b25_of_a_frozen_request_nothing_reaches_anybody() {
    let mut memory = Memory::new(|config| config.upstreams[0].connections_max = 1);
    memory.backend_config.max_concurrent_streams = 1;
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/live");
    let frozen = memory.client(client).send_request(&post("/frozen"), false).expect("a slot");
    memory.client(client).send_data(frozen, &[1; 100_000], true).expect("an open stream");
    memory.settle();
    let backend = memory.backends()[0];
    assert_eq!(requests(&mut memory, backend).len(), 1);
    assert!(events(&mut memory, client).is_empty());
    // Its content waits in the stream that it came by, inside the window that the client was given.
    let held = memory.gateway.view().buffered_octets;
    assert!(held <= 65_535, "{held} octets");
}

#[test]
fn b29_counts_agree_and_end_at_zero() {
    let mut memory = Memory::new(|config| config.upstreams[0].connections_max = 1);
    memory.backend_config.max_concurrent_streams = 2;
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..5 {
        ask(&mut memory, client, &format!("/{n}"));
    }
    let view = memory.gateway.view();
    assert_eq!((view.queued, view.frozen, view.live, view.requests), (3, 3, 2, 5));
    while !answer_all(&mut memory).is_empty() {}
    let view = memory.gateway.view();
    assert_eq!((view.queued, view.live, view.requests, view.engines), (0, 0, 0, 0));
    assert_eq!((memory.attempts.len(), memory.records.len()), (5, 5));
}

#[test]
fn b43_b62_f5_the_request_that_registered_the_engine_is_like_any_other() {
    for reset in [true, false] {
        let mut memory = Memory::new(|_| {});
        let client = memory.connect(ConnectionConfig::default());
        let host = ask(&mut memory, client, "/host");
        ask(&mut memory, client, "/guest");
        let backend = memory.backends()[0];
        let arrived = requests(&mut memory, backend);
        if reset {
            memory.client(client).reset(host, ErrorCode::CANCEL);
        } else {
            let response = crate::memory::talk::ok();
            memory.backend(backend).send_response(arrived[0].0, &response, true).expect("an open stream");
        }
        memory.settle();
        // B43: its record is complete at its own end, not at the engine's.
        assert_eq!((memory.records.len(), memory.gateway.view().engines), (1, 1));
        let response = crate::memory::talk::ok();
        memory.backend(backend).send_response(arrived[1].0, &response, true).expect("an open stream");
        memory.settle();
        assert_eq!((memory.records.len(), memory.records[1].outcome), (2, Outcome::Complete));
        assert_eq!(memory.dials.len(), 1);
    }
}
