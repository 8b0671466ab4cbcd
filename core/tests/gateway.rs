//! The gateway through its contract, between real clients and servers of this crate.

mod memory;

use http::{HeaderMap, HeaderValue, Response};
use memory::Memory;
use memory::talk::{events, get, ok, post, requests};
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::{ClientEvent, ServerEvent, StreamKey};
use shuntyard_core::key::ConnId;
use shuntyard_core::record::{Cause, Outcome};

#[test]
fn a_request_and_its_response_pass() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get("/a"), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let arrived = requests(&mut memory, backend);
    assert_eq!(arrived.len(), 1);
    let (stream, request) = &arrived[0];
    assert_eq!(request.uri(), "http://example.com/a");
    assert_eq!(request.headers()["via"], "2.0 shuntyard");
    memory.backend(backend).send_response(*stream, &ok(), false).expect("an open stream");
    memory.backend(backend).send_data(*stream, b"content", true).expect("an open stream");
    memory.settle();
    let events = events(&mut memory, client);
    assert!(
        matches!(&events[0], ClientEvent::Response { response, end: false, .. } if response.status() == 200)
    );
    assert!(matches!(&events[1], ClientEvent::Data { data, end: true, .. } if data == "content"));
    assert_eq!((memory.started, memory.records.len()), (1, 1));
    assert_eq!(memory.records[0].outcome, Outcome::Complete);
    assert_eq!((memory.records[0].status, memory.records[0].response_octets), (200, 7));
    assert_eq!(memory.gateway.view().requests, 0);
    assert_eq!(memory.gateway.view().reserved_octets, 0);
}

#[test]
fn trailers_and_interim_responses_pass_both_ways() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    let stream = memory.client(client).send_request(&post("/"), false).expect("a slot");
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", HeaderValue::from_static("17"));
    memory.client(client).send_data(stream, b"up", false).expect("an open stream");
    memory.client(client).send_trailers(stream, &trailers).expect("an open stream");
    memory.settle();
    let backend = memory.backends()[0];
    let mut got_trailers = false;
    let mut at = None;
    while let Some(event) = memory.backend(backend).poll_event().expect("a sound connection") {
        match event {
            ServerEvent::Request { stream, .. } => at = Some(stream),
            ServerEvent::Trailers { trailers, .. } => got_trailers = trailers["checksum"] == "17",
            _ => {}
        }
    }
    assert!(got_trailers);
    let at = at.expect("the request arrived");
    let hints = Response::builder().status(103).header("link", "</a>").body(()).expect("a response");
    memory.backend(backend).send_response(at, &hints, false).expect("an open stream");
    memory.backend(backend).send_response(at, &ok(), false).expect("an open stream");
    memory.backend(backend).send_data(at, b"down", false).expect("an open stream");
    memory.backend(backend).send_trailers(at, &trailers).expect("an open stream");
    memory.settle();
    let events = events(&mut memory, client);
    assert!(matches!(&events[0], ClientEvent::Interim { response, .. } if response.status() == 103));
    assert!(matches!(&events[1], ClientEvent::Response { .. }));
    assert!(matches!(&events[2], ClientEvent::Data { data, end: false, .. } if data == "down"));
    assert!(matches!(&events[3], ClientEvent::Trailers { trailers, .. } if trailers["checksum"] == "17"));
}

#[test]
fn b62_a_client_that_resets_frees_its_backend_stream() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    let first = memory.client(client).send_request(&get("/1"), true).expect("a slot");
    let _second = memory.client(client).send_request(&get("/2"), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    assert_eq!(requests(&mut memory, backend).len(), 2);
    memory.client(client).reset(first, ErrorCode::CANCEL);
    memory.settle();
    assert!(matches!(
        memory.backend(backend).poll_event(),
        Ok(Some(ServerEvent::Reset { error_code: ErrorCode::CANCEL, .. }))
    ));
    assert_eq!(memory.backend(backend).open_streams(), 1);
    assert_eq!(memory.records[0].outcome, Outcome::ClientGone);
    memory.kill(client);
    assert!(matches!(memory.backend(backend).poll_event(), Ok(Some(ServerEvent::Reset { .. }))));
    assert_eq!((memory.backend(backend).open_streams(), memory.gateway.view().requests), (0, 0));
}

#[test]
fn a_lost_backend_is_502_and_the_next_request_dials_anew() {
    let mut memory = Memory::new(|config| config.upstreams[0].retry.attempts = 1);
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get("/1"), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    memory.kill(backend);
    let answered = events(&mut memory, client);
    assert!(matches!(&answered[0], ClientEvent::Response { response, .. }
        if response.status() == 502 && response.headers()["proxy-status"] == "shuntyard; error=connection_terminated"));
    assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::ConnectionTerminated));
    memory.client(client).send_request(&get("/2"), true).expect("a slot");
    memory.settle();
    assert_eq!(memory.backends().len(), 1);
    assert_ne!(memory.backends()[0], backend);
}

#[test]
fn f22_a_response_cut_short_is_never_a_clean_end() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get("/1"), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let (stream, _) = requests(&mut memory, backend)[0];
    memory.backend(backend).send_response(stream, &ok(), false).expect("an open stream");
    memory.backend(backend).send_data(stream, b"half", false).expect("an open stream");
    memory.settle();
    memory.kill(backend);
    let events = events(&mut memory, client);
    assert!(matches!(events.last(), Some(ClientEvent::Reset { error_code: ErrorCode::INTERNAL_ERROR, .. })));
    assert_eq!(memory.records[0].outcome, Outcome::Truncated(Cause::ConnectionTerminated));
}

#[test]
fn b53_a_refused_connection_is_502_for_all_that_wait() {
    let mut memory = Memory::new(|_| {});
    memory.refuse = true;
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..3 {
        memory.client(client).send_request(&get(&format!("/{n}")), true).expect("a slot");
    }
    memory.settle();
    let refused = events(&mut memory, client)
        .iter()
        .filter(|event| matches!(event, ClientEvent::Response { response, .. } if response.status() == 502))
        .count();
    assert_eq!((refused, memory.records.len()), (3, 3));
}

#[test]
fn b27_the_backend_limit_is_never_exceeded_and_more_engines_are_dialled() {
    let mut memory = Memory::new(|_| {});
    memory.backend_config.max_concurrent_streams = 3;
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..20 {
        memory.client(client).send_request(&get(&format!("/{n}")), true).expect("a slot");
    }
    memory.settle();
    // Before anybody is answered each has a stream: seven connections.
    let mut carried = Vec::new();
    for backend in memory.backends() {
        let arrived = requests(&mut memory, backend);
        carried.push(arrived.len());
        for (stream, _) in arrived {
            memory.backend(backend).send_response(stream, &ok(), true).expect("an open stream");
        }
    }
    carried.sort_unstable();
    assert_eq!(carried, [2, 3, 3, 3, 3, 3, 3]);
    memory.settle();
    let answered = events(&mut memory, client)
        .iter()
        .filter(|event| matches!(event, ClientEvent::Response { response, .. } if response.status() == 200))
        .count();
    assert_eq!(answered, 20);
}

#[test]
fn b54_streams_above_goaway_go_to_another_engine() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get("/1"), true).expect("a slot");
    memory.settle();
    let old = memory.backends()[0];
    let (first, _) = requests(&mut memory, old)[0];
    // The backend decides to go before the second request reaches it.
    memory.backend(old).goaway();
    memory.client(client).send_request(&get("/2"), true).expect("a slot");
    memory.settle();
    let new = *memory.backends().iter().find(|&&id| id != old).expect("a second engine");
    let (second, request) = requests(&mut memory, new)[0].clone();
    assert_eq!(request.uri().path(), "/2");
    memory.backend(old).send_response(first, &ok(), true).expect("an open stream");
    memory.backend(new).send_response(second, &ok(), true).expect("an open stream");
    memory.settle();
    let answered = events(&mut memory, client)
        .iter()
        .filter(|event| matches!(event, ClientEvent::Response { response, .. } if response.status() == 200))
        .count();
    assert_eq!(answered, 2);
    memory.gateway.handle_read_closed(old, memory.now);
    memory.settle();
    assert!(memory.closed.contains(&old), "an engine out of streams after GOAWAY leaves");
}

#[test]
fn b46_a_slow_reader_does_not_stall_its_neighbour() {
    let mut memory = Memory::new(|_| {});
    let slow = memory.connect(ConnectionConfig::default());
    let fast = memory.connect(ConnectionConfig::default());
    memory.client(slow).send_request(&get("/slow"), true).expect("a slot");
    memory.client(fast).send_request(&get("/fast"), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    for (stream, _) in requests(&mut memory, backend) {
        memory.backend(backend).send_response(stream, &ok(), false).expect("an open stream");
        memory.backend(backend).send_data(stream, &vec![7; 1 << 20], true).expect("an open stream");
    }
    let (mut fast_octets, mut done) = (0, false);
    for _ in 0..100 {
        memory.settle();
        requests(&mut memory, backend);
        while let Some(event) = memory.client(fast).poll_event().expect("a sound connection") {
            if let ClientEvent::Data { stream, data, credit, end } = event {
                fast_octets += data.len();
                done |= end;
                memory.client(fast).release(stream, credit);
            }
        }
    }
    assert_eq!((fast_octets, done), (1 << 20, true));
    let slow_octets: usize = events(&mut memory, slow)
        .iter()
        .map(|event| if let ClientEvent::Data { data, .. } = event { data.len() } else { 0 })
        .sum();
    assert!(slow_octets <= 65_535, "{slow_octets}");
    memory.kill(slow);
    assert_eq!(memory.gateway.view().reserved_octets, 0);
}

#[test]
fn b67_a_drain_lets_requests_finish() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get("/1"), true).expect("a slot");
    memory.settle();
    let deadline = core::time::Duration::from_secs(5);
    memory.gateway.handle_command(shuntyard_core::gateway::Command::Drain { deadline }, memory.now);
    memory.settle();
    let backend = memory.backends()[0];
    let (stream, _) = requests(&mut memory, backend)[0];
    memory.backend(backend).send_response(stream, &ok(), true).expect("an open stream");
    memory.settle();
    let events = events(&mut memory, client);
    assert!(
        events
            .iter()
            .any(|event| matches!(event, ClientEvent::Response { response, .. } if response.status() == 200))
    );
    assert!(events.iter().any(|event| matches!(event, ClientEvent::GoAway { .. })));
    assert_eq!(farewells(&mut memory, backend), [], "the client may still need it");
    memory.gateway.handle_read_closed(client, memory.now);
    memory.settle();
    assert_eq!(
        farewells(&mut memory, backend),
        [ErrorCode::NO_ERROR],
        "backends are left with the last client"
    );
    memory.gateway.handle_read_closed(backend, memory.now);
    memory.settle();
    assert_eq!(memory.drained, Some(0));
    assert_eq!(memory.gateway.view(), Default::default());
}

/// The GOAWAYs that a backend was told, by their codes.
fn farewells(memory: &mut Memory, backend: ConnId) -> Vec<ErrorCode> {
    let mut codes = Vec::new();
    while let Some(event) = memory.backend(backend).poll_event().expect("a sound connection") {
        if let ServerEvent::GoAway { error_code, .. } = event {
            codes.push(error_code);
        }
    }
    codes
}

#[test]
fn fifty_slow_readers_beside_fifty_fast_ones() {
    const CONTENT: usize = 16 << 20;
    let mut memory = Memory::new(|_| {});
    let clients: Vec<ConnId> = (0..100).map(|_| memory.connect(ConnectionConfig::default())).collect();
    for &client in &clients {
        memory.client(client).send_request(&get("/"), true).expect("a slot");
    }
    memory.settle();
    let backend = memory.backends()[0];
    let mut left: Vec<(StreamKey, usize)> =
        requests(&mut memory, backend).into_iter().map(|(stream, _)| (stream, CONTENT)).collect();
    assert_eq!(left.len(), 100, "all of them share one backend connection");
    for &(stream, _) in &left {
        memory.backend(backend).send_response(stream, &ok(), false).expect("an open stream");
    }
    let (slow, fast) = clients.split_at(50);
    let chunk = vec![7; 64 << 10];
    let mut received = std::collections::BTreeMap::new();
    while fast.iter().any(|client| received.get(client).is_none_or(|&octets| octets < CONTENT)) {
        let before: usize = received.values().sum();
        for (stream, left) in &mut left {
            let server = memory.backend(backend);
            if *left > 0 && server.queued(*stream) == 0 {
                *left -= chunk.len();
                server.send_data(*stream, &chunk, *left == 0).expect("an open stream");
            }
        }
        memory.settle();
        requests(&mut memory, backend);
        for &client in fast {
            while let Some(event) = memory.client(client).poll_event().expect("a sound connection") {
                if let ClientEvent::Data { stream, data, credit, .. } = event {
                    *received.entry(client).or_insert(0) += data.len();
                    memory.client(client).release(stream, credit);
                }
            }
        }
        memory.settle();
        requests(&mut memory, backend);
        assert!(received.values().sum::<usize>() > before, "the fast ones stand still");
    }
    for &client in slow {
        let octets: usize = events(&mut memory, client)
            .iter()
            .map(|event| if let ClientEvent::Data { data, .. } = event { data.len() } else { 0 })
            .sum();
        assert!(octets <= 65_535, "{octets} octets for a client that never gave any back");
    }
}

/// Answers everything that arrives, round after round, and counts what the client gets with this status.
fn answer_all(memory: &mut Memory, client: ConnId, status: u16) -> usize {
    for _ in 0..30 {
        memory.settle();
        for backend in memory.backends() {
            for (stream, _) in requests(memory, backend) {
                memory.backend(backend).send_response(stream, &ok(), true).expect("an open stream");
            }
        }
    }
    events(memory, client)
        .iter()
        .filter(
            |event| matches!(event, ClientEvent::Response { response, .. } if response.status() == status),
        )
        .count()
}

#[test]
fn b28_a_backend_that_allows_few_streams_is_never_met_with_many() {
    let mut memory = Memory::new(|_| {});
    memory.backend_config.max_concurrent_streams = 4;
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..20 {
        let stream = memory.client(client).send_request(&post(&format!("/{n}")), false).expect("a slot");
        memory.client(client).send_data(stream, b"content", true).expect("an open stream");
    }
    assert_eq!(answer_all(&mut memory, client, 200), 20);
    assert!(memory.records.iter().all(|record| record.attempts == 1), "no stream was refused");
}

#[test]
fn an_endpoint_that_is_dead_does_not_keep_the_others_from_growing() {
    let dead: core::net::SocketAddr = "127.0.0.1:1".parse().expect("an address");
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints.insert(0, shuntyard_core::address::Address::from(dead).into())
    });
    memory.dead = Some(dead.into());
    memory.backend_config.max_concurrent_streams = 1;
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..10 {
        memory.client(client).send_request(&get(&format!("/{n}")), true).expect("a slot");
    }
    for _ in 0..30 {
        memory.settle();
        memory.backends().iter().for_each(|&backend| _ = requests(&mut memory, backend));
    }
    assert_eq!(memory.backends().len(), 10, "one engine a request that is not answered");
    assert_eq!(memory.dials.iter().filter(|&target| *target == dead.into()).count(), 1);
}

#[test]
fn a_backend_that_closes_at_once_is_not_dialled_for_ever() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get("/"), true).expect("a slot");
    for _ in 0..10 {
        memory.settle();
        for backend in memory.backends() {
            memory.peers.remove(&backend);
            memory.gateway.handle_read_closed(backend, memory.now);
        }
    }
    assert_eq!(memory.dials.len(), 2, "once more, for the request is idempotent");
    assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::ConnectionTerminated));
}

#[test]
fn b51_uploads_that_wait_frozen_do_not_stop_the_one_that_goes_on() {
    let mut memory = Memory::new(|config| {
        config.front.connection_window_size = 65_535;
        config.upstreams[0].connections_max = 1;
    });
    memory.backend_config.max_concurrent_streams = 1;
    let client = memory.connect(ConnectionConfig::default());
    let first = memory.client(client).send_request(&post("/live"), false).expect("a slot");
    memory.settle();
    for n in 0..4 {
        let stream = memory.client(client).send_request(&post(&format!("/{n}")), false).expect("a slot");
        memory.client(client).send_data(stream, &[1; 60_000], true).expect("an open stream");
    }
    memory.settle();
    memory.client(client).send_data(first, &vec![2; 500_000], true).expect("an open stream");
    assert_eq!(answer_all_read(&mut memory, client), 5);
    assert_eq!(memory.gateway.view().reserved_octets, 0);
}

/// Answers each request once it was read whole; counts the answers.
fn answer_all_read(memory: &mut Memory, client: ConnId) -> usize {
    let mut answers = 0;
    for _ in 0..200 {
        memory.settle();
        for backend in memory.backends() {
            let mut whole = Vec::new();
            while let Some(event) = memory.backend(backend).poll_event().expect("a sound connection") {
                if let ServerEvent::Data { stream, credit, end, .. } = event {
                    memory.backend(backend).release(stream, credit);
                    whole.extend(end.then_some(stream));
                }
            }
            for stream in whole {
                memory.backend(backend).send_response(stream, &ok(), true).expect("an open stream");
            }
        }
        answers += events(memory, client)
            .iter()
            .filter(
                |event| matches!(event, ClientEvent::Response { response, .. } if response.status() == 200),
            )
            .count();
    }
    answers
}

/// A response is cut as a whole into what waits for its client: who has not taken it when the time of a drain is over has lost its end.
#[test]
fn what_was_cut_but_has_not_left_counts_as_cut_by_a_drain() {
    let mut memory = Memory::new(|_| {});
    let clients = [(); 3].map(|()| memory.connect(ConnectionConfig::default()));
    for &client in &clients[..2] {
        memory.client(client).send_request(&get("/"), true).expect("a slot");
    }
    memory.settle();
    memory.deafen(clients[0]);
    // Of one that is idle nothing but GOAWAY is left to say.
    memory.deafen(clients[2]);
    let backend = memory.backends()[0];
    for (stream, _) in requests(&mut memory, backend) {
        memory.backend(backend).send_response(stream, &ok(), false).expect("an open stream");
        memory.backend(backend).send_data(stream, b"content", true).expect("an open stream");
    }
    memory.settle();
    // The kernel takes none of it.
    assert!(memory.gateway.poll_transmit(clients[0], memory.now).is_some());
    assert_eq!(memory.gateway.view().requests, 0, "all has been cut");
    let deadline = core::time::Duration::from_secs(5);
    memory.gateway.handle_command(shuntyard_core::gateway::Command::Drain { deadline }, memory.now);
    memory.settle();
    memory.wait(core::time::Duration::from_secs(6));
    assert_eq!(memory.drained, Some(1), "of three clients that have not gone, two have had all");
}
