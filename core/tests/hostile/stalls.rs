//! Stalls and losses that other implementations were reported for, each with the place of the report.

use http::Method;
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::h2::{ClientEvent, StreamKey};
use shuntyard_core::key::ConnId;

use crate::memory::Memory;
use crate::memory::talk::{answer_with, ask, content, events, get, post, requests};

/// Reads what came, and gives back the windows of the streams that are wanted. Says which ended.
fn read(memory: &mut Memory, client: ConnId, wanted: impl Fn(StreamKey) -> bool) -> Vec<StreamKey> {
    let mut ended = Vec::new();
    for event in events(memory, client) {
        match event {
            ClientEvent::Data { stream, credit, end, .. } if wanted(stream) => {
                memory.client(client).release(stream, credit);
                ended.extend(end.then_some(stream));
            }
            ClientEvent::Response { stream, end: true, .. } => ended.push(stream),
            _ => {}
        }
    }
    memory.settle();
    ended
}

/// hyperium/hyper #2899: one stream that is not read stalls the others of its connection.
#[test]
fn a_stream_that_is_not_read_stalls_no_other() {
    let mut memory = Memory::new(|_| {});
    // The connection's window has room for more than one stream that stands still.
    let client =
        memory.connect(ConnectionConfig { connection_window_size: 1 << 20, ..ConnectionConfig::default() });
    let slow = ask(&mut memory, client, "/slow");
    let fast: Vec<_> = (0..20).map(|n| ask(&mut memory, client, &format!("/{n}"))).collect();
    assert_eq!(answer_with(&mut memory, 1 << 20), 21);
    let mut ended = Vec::new();
    for _ in 0..400 {
        ended.extend(read(&mut memory, client, |stream| stream != slow));
        let backend = memory.backends()[0];
        requests(&mut memory, backend);
    }
    ended.sort();
    assert_eq!(ended, fast);
}

/// hyperium/h2 #573: more streams that are not read than the backend connection's window has room for.
#[test]
fn more_slow_streams_than_the_connection_window_holds_stall_no_other() {
    let mut memory = Memory::new(|config| {
        config.backend.connection_window_size = 65_535;
        config.backend.initial_window_size = 65_535;
    });
    let slow = memory.connect(ConnectionConfig::default());
    for n in 0..20 {
        ask(&mut memory, slow, &format!("/slow/{n}"));
    }
    assert_eq!(answer_with(&mut memory, 1 << 20), 20);
    let fast = memory.connect(ConnectionConfig::default());
    let stream = ask(&mut memory, fast, "/fast");
    answer_with(&mut memory, 1 << 20);
    let mut ended = Vec::new();
    for _ in 0..400 {
        ended.extend(read(&mut memory, fast, |_| true));
        for backend in memory.backends() {
            requests(&mut memory, backend);
        }
    }
    assert_eq!(ended, [stream]);
}

/// hyperium/h2 #853: many streams with content both ways at a time, over windows that are all used up.
#[test]
fn uploads_and_downloads_at_a_time_come_to_an_end() {
    let mut memory = Memory::new(|config| {
        config.front.initial_window_size = 16_384;
        config.backend.initial_window_size = 16_384;
    });
    memory.backend_config.max_concurrent_streams = 7;
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    let streams: Vec<_> = (0..100)
        .map(|n| {
            let stream = memory.client(client).send_request(&post(&format!("/{n}")), false).expect("a slot");
            memory.client(client).send_data(stream, &vec![n as u8; 100_000], true).expect("an open stream");
            stream
        })
        .collect();
    let mut ended = Vec::new();
    for _ in 0..1000 {
        answer_with(&mut memory, 100_000);
        ended.extend(read(&mut memory, client, |_| true));
        if ended.len() == streams.len() {
            break;
        }
    }
    ended.sort();
    assert_eq!(ended, streams);
}

/// traefik #10111: a request with content that a GOAWAY leaves out is lost.
#[test]
fn a_request_with_content_that_goaway_leaves_out_is_sent_again_whole() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/warm");
    let old = memory.backends()[0];
    assert_eq!(requests(&mut memory, old).len(), 1);
    let stream = memory.client(client).send_request(&post("/lost"), false).expect("a slot");
    memory.client(client).send_data(stream, &[9; 10_000], true).expect("an open stream");
    // It has left, and the backend goes without having read it.
    memory.backend(old).goaway();
    memory.settle();
    let new = *memory.backends().iter().find(|&&id| id != old).expect("another connection");
    let (mut octets, mut methods) = (0, Vec::new());
    while let Some(event) = memory.backend(new).poll_event().expect("a sound connection") {
        match event {
            shuntyard_core::h2::ServerEvent::Request { request, .. } => {
                methods.push(request.method().clone())
            }
            shuntyard_core::h2::ServerEvent::Data { data, .. } => octets += data.len(),
            _ => {}
        }
    }
    assert_eq!((methods, octets), (vec![Method::POST], 10_000));
}

/// nginx #1431: a backend that goes away as it should counts as one that failed.
#[test]
fn a_graceful_goaway_is_no_failure() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    for round in 0..20 {
        ask(&mut memory, client, &format!("/{round}"));
        assert_eq!(answer_with(&mut memory, 10), 1, "round {round}");
        let backend = memory.backends()[0];
        memory.backend(backend).announce_goaway();
        memory.settle();
        memory.backend(backend).goaway();
        memory.settle();
        memory.gateway.handle_read_closed(backend, memory.now);
        memory.settle();
    }
    assert_eq!(memory.dials.len(), 20);
    let snapshot = memory.gateway.snapshot(0, memory.now);
    let endpoint = &snapshot.upstreams[0].endpoints[0];
    assert_eq!(endpoint.state, shuntyard_core::gateway::EndpointState::Ready);
    assert_eq!(snapshot.last_failure(endpoint), None);
    let (octets, ended) = content(&events(&mut memory, client));
    assert!(ended && octets.len() == 200);
}

/// linkerd2 #5599: the eleventh stream of a backend that allows ten.
#[test]
fn the_eleventh_stream_of_a_backend_that_allows_ten_waits() {
    let mut memory = Memory::new(|config| config.upstreams[0].connections_max = 1);
    memory.backend_config.max_concurrent_streams = 10;
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    for n in 0..11 {
        memory.client(client).send_request(&get(&format!("/{n}")), true).expect("a slot");
    }
    assert_eq!(answer_with(&mut memory, 10), 10, "as many as it allows");
    assert_eq!(answer_with(&mut memory, 10), 1, "and the last one behind them");
    let statuses = events(&mut memory, client).into_iter().filter_map(|event| match event {
        ClientEvent::Response { response, .. } => Some(response.status().as_u16()),
        _ => None,
    });
    assert_eq!(statuses.collect::<Vec<_>>(), [200; 11]);
}
