//! Backends that go away: GOAWAY says which streams were processed (RFC 9113 section 6.8).

use http::Method;
use shuntyard_core::record::{AttemptOutcome, Cause};

use crate::support::{
    answer, arrived, content, first_arrived, is_answer, is_at_rest, seen, send, the_backend, the_request,
    wait, with_client,
};

#[test]
fn b54_goaway_splits_streams_by_last_id() {
    let (mut memory, client) = with_client(|_| {});
    send(&mut memory, client, Method::GET, "/warm", b"");
    let old = the_backend(&memory);
    let warm = the_request(&mut memory, old);
    let streams: Vec<_> = (0..6)
        .map(|n| {
            let method = if n % 2 == 0 { Method::POST } else { Method::GET };
            let content = if n % 2 == 0 { content(1000 + n) } else { Vec::new() };
            send(&mut memory, client, method, &format!("/{n}"), &content)
        })
        .collect();
    // The backend has read the first three when it decides to go.
    let processed = first_arrived(&mut memory, old, 3);
    memory.backend(old).goaway();
    memory.settle();
    let new = *memory.backends().iter().find(|&&id| id != old).expect("another engine");
    let resent = arrived(&mut memory, new);
    let paths: Vec<_> = resent.iter().map(|request| &request.path[..]).collect();
    assert_eq!(paths, ["/3", "/4", "/5"], "in the order of their arrival");
    assert_eq!(resent[1].content, content(1004));
    for request in resent {
        answer(&mut memory, new, request.stream, b"new");
    }
    // Those that the backend may process go on, and nothing new comes there.
    send(&mut memory, client, Method::GET, "/after", b"");
    assert_eq!(the_request(&mut memory, new).path, "/after");
    assert!(arrived(&mut memory, old).is_empty());
    for request in processed.iter().chain([&warm]) {
        answer(&mut memory, old, request.stream, b"old");
    }
    for (n, stream) in streams.into_iter().enumerate() {
        if n == 0 {
            // The others' events are lost to it; one is enough to know both ways.
            assert!(is_answer(&seen(&mut memory, client, stream), b"old"));
        }
    }
    let unprocessed = AttemptOutcome::Unprocessed(Cause::ConnectionTerminated);
    let refused = memory.attempts.iter().filter(|attempt| attempt.outcome == unprocessed).count();
    assert_eq!(refused, 3);
    assert!(memory.records.iter().all(|record| record.status == 200 && record.maybe_executed == 0));
    assert_eq!(memory.records.len(), 7);
}

#[test]
fn b55_two_steps_lose_nothing_and_double_nothing() {
    let (mut memory, client) = with_client(|_| {});
    for n in 0..4 {
        send(&mut memory, client, Method::POST, &format!("/{n}"), &content(100));
    }
    let old = the_backend(&memory);
    memory.backend(old).announce_goaway();
    memory.settle();
    // 2^31-1 excludes nothing, but nothing new is sent.
    send(&mut memory, client, Method::POST, "/4", &content(100));
    let new = *memory.backends().iter().find(|&&id| id != old).expect("another engine");
    let mut executed: Vec<String> = Vec::new();
    let processed = first_arrived(&mut memory, old, 2);
    memory.backend(old).goaway();
    memory.settle();
    for (backend, requests) in [(old, processed), (new, arrived(&mut memory, new))] {
        for request in requests {
            answer(&mut memory, backend, request.stream, b"");
            executed.push(request.path);
        }
    }
    executed.sort();
    assert_eq!(executed, ["/0", "/1", "/2", "/3", "/4"]);
    assert!(memory.records.iter().all(|record| record.status == 200 && record.maybe_executed == 0));
    assert_eq!(memory.records.len(), 5);
}

/// F23: the connection that is used again was on its way out already, and what was sent on it is not lost.
#[test]
fn f23_b63_goaway_that_crosses_a_request_costs_nothing() {
    let (mut memory, client) = with_client(|_| {});
    send(&mut memory, client, Method::GET, "/warm", b"");
    let old = the_backend(&memory);
    let warm = the_request(&mut memory, old);
    answer(&mut memory, old, warm.stream, b"");
    // Decided before the request was read, heard of after it was sent.
    memory.backend(old).goaway();
    let stream = send(&mut memory, client, Method::POST, "/", &content(20_000));
    let new = *memory.backends().iter().find(|&&id| id != old).expect("another engine");
    let request = the_request(&mut memory, new);
    assert!(request.content == content(20_000) && request.end);
    answer(&mut memory, new, request.stream, b"here");
    assert!(is_answer(&seen(&mut memory, client, stream), b"here"));
}

/// A backend that sends each connection away at once gets no more than a request's attempts, with pauses.
#[test]
fn f18_connections_that_go_away_at_once_are_not_opened_without_end() {
    let (mut memory, client) = with_client(|_| {});
    send(&mut memory, client, Method::POST, "/", &content(100));
    for _ in 0..20_000 {
        let backends = memory.backends();
        for &backend in &backends {
            memory.backend(backend).goaway();
        }
        wait(&mut memory, core::time::Duration::from_millis(1));
        for backend in backends {
            memory.gateway.handle_read_closed(backend, memory.now);
        }
    }
    let record = &memory.records[0];
    assert_eq!((record.status, record.attempts, record.maybe_executed), (502, 32, 0));
    assert_eq!(memory.dials.len(), 32);
    assert!(is_at_rest(&memory));
}
