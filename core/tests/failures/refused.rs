//! Streams that a backend refuses: it says that it did not process them (RFC 9113 section 8.7).

use core::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Response};
use shuntyard_core::address::Address;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::ServerEvent;
use shuntyard_core::record::{AttemptOutcome, Cause, Outcome};
use shuntyard_core::time::Instant;

use crate::support::{
    answer, arrived, begin, content, is_answer, is_at_rest, is_error, refuse, seen, send, the_backend,
    the_request, wait, with_client,
};

const REFUSED: Cause = Cause::BackendReset(ErrorCode::REFUSED_STREAM);

#[test]
fn b56_a_refused_post_is_sent_again_with_its_content() {
    let (mut memory, client) = with_client(|_| {});
    let sent = content(16 << 10);
    let stream = send(&mut memory, client, Method::POST, "/", &sent);
    let backend = the_backend(&memory);
    let first = the_request(&mut memory, backend);
    assert_eq!((first.content, first.end), (sent.clone(), true));
    assert_eq!(memory.gateway.view().reserved_octets, 65_535 + (16 << 10), "a window, and what is kept");
    refuse(&mut memory, backend, first.stream, ErrorCode::REFUSED_STREAM);
    let second = the_request(&mut memory, backend);
    assert_eq!((second.content, second.end), (sent, true));
    answer(&mut memory, backend, second.stream, b"done");
    assert!(is_answer(&seen(&mut memory, client, stream), b"done"));
    let record = &memory.records[0];
    assert_eq!((record.outcome, record.attempts, record.maybe_executed), (Outcome::Complete, 2, 0));
    assert_eq!(record.request_octets, 16 << 10, "counted once");
    let outcomes: Vec<_> = memory.attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [AttemptOutcome::Unprocessed(REFUSED), AttemptOutcome::Complete]);
    assert!(memory.attempts.iter().all(|attempt| attempt.request_octets == 16 << 10));
    assert!(is_at_rest(&memory));
}

#[test]
fn b56_trailers_are_sent_again_too() {
    for late in [false, true] {
        let (mut memory, client) = with_client(|_| {});
        let stream = begin(&mut memory, client, Method::POST, "/", false);
        memory.client(client).send_data(stream, b"content", false).expect("an open stream");
        if late {
            memory.settle();
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("checksum", HeaderValue::from_static("17"));
        memory.client(client).send_trailers(stream, &trailers).expect("an open stream");
        memory.settle();
        let backend = the_backend(&memory);
        for _ in 0..2 {
            let request = the_request(&mut memory, backend);
            assert_eq!((&request.content[..], request.trailers), (&b"content"[..], Some(trailers.clone())));
            refuse(&mut memory, backend, request.stream, ErrorCode::REFUSED_STREAM);
            wait(&mut memory, Duration::from_millis(10));
        }
        let request = the_request(&mut memory, backend);
        answer(&mut memory, backend, request.stream, b"");
        assert_eq!(seen(&mut memory, client, stream).status, 200, "late: {late}");
        assert!(is_at_rest(&memory));
    }
}

#[test]
fn b56_content_that_goes_on_while_the_request_is_frozen_again_follows() {
    let (mut memory, client) = with_client(|config| config.upstreams[0].connections_max = 1);
    memory.backend_config.initial_window_size = 1000;
    let sent = content(40_000);
    let stream = begin(&mut memory, client, Method::POST, "/", false);
    memory.client(client).send_data(stream, &sent[..30_000], false).expect("an open stream");
    memory.settle();
    let backend = the_backend(&memory);
    let first = the_request(&mut memory, backend);
    assert_eq!(first.content.len(), 1000, "the rest waits for the backend's window");
    for n in [1, 2] {
        let stream = if n == 1 { first.stream } else { the_request(&mut memory, backend).stream };
        refuse(&mut memory, backend, stream, ErrorCode::REFUSED_STREAM);
    }
    // It rests now.
    memory.client(client).send_data(stream, &sent[30_000..], true).expect("an open stream");
    memory.settle();
    assert_eq!((memory.gateway.view().frozen, memory.gateway.view().queued), (1, 1));
    wait(&mut memory, Duration::from_millis(10));
    let last = arrived(&mut memory, backend).remove(0);
    let mut got = last.content;
    while got.len() < sent.len() {
        memory.settle();
        let before = got.len();
        while let Some(event) = memory.backend(backend).poll_event().expect("a sound connection") {
            if let ServerEvent::Data { stream, data, credit, .. } = event {
                memory.backend(backend).release(stream, credit);
                got.extend_from_slice(&data);
            }
        }
        assert!(got.len() > before, "{before} octets, and no more");
    }
    assert!(got == sent, "the same octets in the same order");
    answer(&mut memory, backend, last.stream, b"done");
    assert!(is_answer(&seen(&mut memory, client, stream), b"done"));
    assert!(is_at_rest(&memory), "{:?}", memory.gateway.view());
}

/// Octets that were sent twice give the client its window back once.
#[test]
fn w3_content_that_is_sent_again_is_not_credited_again() {
    let (mut memory, client) = with_client(|config| {
        config.upstreams[0].retry.replay_octets = 1 << 20;
        config.upstreams[0].connections_max = 1;
    });
    memory.backend_config.initial_window_size = 50_000;
    let stream = begin(&mut memory, client, Method::POST, "/", false);
    memory.client(client).send_data(stream, &content(500_000), true).expect("an open stream");
    memory.settle();
    let backend = the_backend(&memory);
    for attempt in 0..4 {
        // What comes of the content is not read: the backend gives no window back.
        let refused = loop {
            if let Some(ServerEvent::Request { stream, .. }) =
                memory.backend(backend).poll_event().expect("sound")
            {
                break stream;
            }
        };
        seen(&mut memory, client, stream);
        memory.settle();
        let taken = 500_000 - memory.client(client).queued(stream);
        assert_eq!(taken, 50_000 + 65_535, "attempt {attempt}: what left, and the client's window");
        let view = memory.gateway.view();
        assert!(view.buffered_octets as u64 <= view.reserved_octets * 2, "{view:?}");
        refuse(&mut memory, backend, refused, ErrorCode::REFUSED_STREAM);
        wait(&mut memory, Duration::from_millis(50));
    }
}

#[test]
fn b56_beyond_the_replay_buffer_a_request_is_sent_once() {
    let (large, ample) = (64 << 10, 64 << 20);
    for (max, ledger, share) in
        [(1000, ample, ample), (0, ample, ample), (large, 1000, ample), (large, ample, 1000)]
    {
        let (mut memory, client) = with_client(|config| {
            config.upstreams[0].retry.replay_octets = max;
            (config.replay_ledger_octets, config.replay_front_octets) = (ledger, share);
        });
        let stream = send(&mut memory, client, Method::PUT, "/", &content(1001));
        let backend = the_backend(&memory);
        let request = the_request(&mut memory, backend);
        refuse(&mut memory, backend, request.stream, ErrorCode::REFUSED_STREAM);
        assert!(arrived(&mut memory, backend).is_empty());
        assert!(is_error(&seen(&mut memory, client, stream), REFUSED));
        let record = &memory.records[0];
        assert_eq!(
            (record.attempts, record.maybe_executed),
            (1, 0),
            "it was not executed, and the record says so"
        );
        assert!(is_at_rest(&memory));
    }
}

/// L8, B60: what the client has seen of an attempt rules another out, even if the backend says that it did nothing.
#[test]
fn l8_after_an_interim_response_nothing_is_sent_again() {
    let (mut memory, client) = with_client(|_| {});
    let stream = send(&mut memory, client, Method::GET, "/", b"");
    let backend = the_backend(&memory);
    let request = the_request(&mut memory, backend);
    let hints = Response::builder().status(103).body(()).expect("a response");
    memory.backend(backend).send_response(request.stream, &hints, false).expect("an open stream");
    refuse(&mut memory, backend, request.stream, ErrorCode::REFUSED_STREAM);
    let seen = seen(&mut memory, client, stream);
    assert!(is_error(&seen, REFUSED) && seen.interim == 1, "{seen:?}");
    assert_eq!(memory.records[0].attempts, 1);
}

/// B60, F21: the client sees the last attempt, and only that.
#[test]
fn b60_f21_a_failed_attempt_leaves_no_trace() {
    let (mut memory, client) = with_client(|_| {});
    let stream = send(&mut memory, client, Method::GET, "/", b"");
    let backend = the_backend(&memory);
    for n in 0..5 {
        let request = the_request(&mut memory, backend);
        assert_eq!(seen(&mut memory, client, stream), Default::default(), "attempt {n}");
        refuse(&mut memory, backend, request.stream, ErrorCode::REFUSED_STREAM);
        wait(&mut memory, Duration::from_secs(1));
    }
    let request = the_request(&mut memory, backend);
    answer(&mut memory, backend, request.stream, b"at last");
    assert!(is_answer(&seen(&mut memory, client, stream), b"at last"));
}

/// F18, B66: whatever refuses, the attempts of a request are counted in one place, and pause.
#[test]
fn f18_b66_a_backend_that_refuses_everything_is_not_hammered() {
    let (mut memory, client) = with_client(|_| {});
    let stream = send(&mut memory, client, Method::GET, "/", b"");
    let backend = the_backend(&memory);
    let mut at = Vec::new();
    while memory.records.is_empty() {
        for request in arrived(&mut memory, backend) {
            at.push(memory.now);
            refuse(&mut memory, backend, request.stream, ErrorCode::REFUSED_STREAM);
        }
        wait(&mut memory, Duration::from_millis(1));
    }
    assert_eq!(at.len(), 32);
    assert!(is_error(&seen(&mut memory, client, stream), REFUSED));
    assert_eq!((memory.records[0].attempts, memory.records[0].maybe_executed), (32, 0));
    let within = |from: u64, to: u64| {
        let millis = |at: &&Instant| (from..to).contains(&(at.as_nanos() / 1_000_000));
        at.iter().filter(millis).count()
    };
    assert!(within(0, 1000) <= 14, "{at:?}");
    assert!((1..10).all(|second| within(second * 1000, second * 1000 + 1000) <= 8), "{at:?}");
    assert!(is_at_rest(&memory));
}

/// Those that were refused together do not come back together: at some time between half a pause and a whole one, each at its own.
#[test]
fn b66_refused_together_they_come_back_one_by_one() {
    const REQUESTS: usize = 40;
    let (mut memory, client) = with_client(|_| {});
    for n in 0..REQUESTS {
        begin(&mut memory, client, Method::GET, &format!("/{n}"), true);
    }
    memory.settle();
    let backend = the_backend(&memory);
    // The first pause is none.
    for _ in 0..2 {
        let all = arrived(&mut memory, backend);
        assert_eq!(all.len(), REQUESTS);
        for request in all {
            refuse(&mut memory, backend, request.stream, ErrorCode::REFUSED_STREAM);
        }
    }
    let refused = memory.now;
    let mut back = Vec::new();
    while back.len() < REQUESTS {
        wait(&mut memory, Duration::from_micros(100));
        let after = memory.now.saturating_since(refused);
        back.extend(arrived(&mut memory, backend).iter().map(|_| after));
        assert!(after < Duration::from_secs(1), "{back:?}");
    }
    let spread = back[REQUESTS - 1] - back[0];
    assert!(spread >= back[REQUESTS - 1] / 4, "{back:?}");
    back.dedup();
    assert!(back.len() > REQUESTS / 2, "{back:?}");
}

/// The queue's deadline counts all the time that a request waits, between attempts as well.
#[test]
fn b66_the_deadline_of_the_queue_ends_the_pauses() {
    let (mut memory, client) =
        with_client(|config| config.upstreams[0].queue_timeout = Duration::from_millis(100));
    let stream = send(&mut memory, client, Method::GET, "/", b"");
    let backend = the_backend(&memory);
    for _ in 0..1000 {
        for request in arrived(&mut memory, backend) {
            refuse(&mut memory, backend, request.stream, ErrorCode::REFUSED_STREAM);
        }
        wait(&mut memory, Duration::from_millis(1));
    }
    assert!(is_error(&seen(&mut memory, client, stream), Cause::QueueLimit));
    let record = &memory.records[0];
    let waited = record.ended.saturating_since(record.accepted);
    assert!((100..=105).contains(&waited.as_millis()), "{waited:?}");
    assert!(record.attempts < 10 && record.maybe_executed == 0);
    assert!(is_at_rest(&memory));
}

/// Who refuses late has had the time of a response: all of them together have it once.
#[test]
fn b66_late_refusals_do_not_add_up() {
    let (mut memory, client) = with_client(|config| config.timeouts.response = Duration::from_secs(10));
    let stream = send(&mut memory, client, Method::GET, "/", b"");
    let backend = the_backend(&memory);
    for _ in 0..2 {
        let request = the_request(&mut memory, backend);
        assert_eq!(memory.records.len(), 0);
        wait(&mut memory, Duration::from_secs(9));
        refuse(&mut memory, backend, request.stream, ErrorCode::REFUSED_STREAM);
    }
    assert!(is_error(&seen(&mut memory, client, stream), REFUSED));
    assert_eq!((memory.records[0].attempts, memory.records[0].maybe_executed), (2, 0));
    assert!(is_at_rest(&memory));
}

#[test]
fn b66_a_client_that_leaves_in_a_pause_is_forgotten() {
    let (mut memory, client) = with_client(|_| {});
    let stream = send(&mut memory, client, Method::GET, "/", b"");
    let backend = the_backend(&memory);
    for _ in 0..2 {
        let request = the_request(&mut memory, backend);
        refuse(&mut memory, backend, request.stream, ErrorCode::REFUSED_STREAM);
    }
    assert_eq!((memory.gateway.view().frozen, memory.gateway.view().queued), (1, 1));
    memory.client(client).reset(stream, ErrorCode::CANCEL);
    memory.settle();
    assert!(is_at_rest(&memory));
    wait(&mut memory, Duration::from_secs(1));
    assert!(arrived(&mut memory, backend).is_empty());
    assert_eq!((memory.records.len(), memory.records[0].outcome), (1, Outcome::ClientGone));
}

#[test]
fn b66_a_refused_request_keeps_its_place() {
    let (mut memory, client) = with_client(|config| config.upstreams[0].connections_max = 1);
    memory.backend_config.max_concurrent_streams = 1;
    for path in ["/1", "/2", "/3"] {
        send(&mut memory, client, Method::GET, path, b"");
    }
    let backend = the_backend(&memory);
    let first = the_request(&mut memory, backend);
    refuse(&mut memory, backend, first.stream, ErrorCode::REFUSED_STREAM);
    let mut order = vec![first.path];
    for _ in 0..3 {
        let next = the_request(&mut memory, backend);
        answer(&mut memory, backend, next.stream, b"");
        order.push(next.path);
    }
    assert_eq!(order, ["/1", "/1", "/2", "/3"]);
}

/// What was not processed spends neither the attempts nor the budget of those that may have been executed.
#[test]
fn b66_two_limits_in_one_account() {
    let (mut memory, client) = with_client(|config| config.upstreams[0].retry.unprocessed_attempts = 4);
    let stream = send(&mut memory, client, Method::GET, "/", b"");
    for n in 0..5 {
        wait(&mut memory, Duration::from_millis(100));
        let backend = the_backend(&memory);
        let request = the_request(&mut memory, backend);
        // Refused, refused, broken once, refused, and the fourth refusal is one too many.
        let code = if n == 2 { ErrorCode::INTERNAL_ERROR } else { ErrorCode::REFUSED_STREAM };
        refuse(&mut memory, backend, request.stream, code);
    }
    assert!(is_error(&seen(&mut memory, client, stream), REFUSED));
    assert_eq!((memory.records[0].attempts, memory.records[0].maybe_executed), (5, 1));
}

#[test]
fn b66_another_endpoint_is_preferred() {
    let other: core::net::SocketAddr = "127.0.0.1:9001".parse().expect("an address");
    let (mut memory, client) =
        with_client(|config| config.upstreams[0].endpoints.push(Address::from(other).into()));
    let stream = send(&mut memory, client, Method::GET, "/1", b"");
    let first = the_backend(&memory);
    let request = the_request(&mut memory, first);
    // The first endpoint has no request then, and would be the better one again.
    refuse(&mut memory, first, request.stream, ErrorCode::REFUSED_STREAM);
    let second = *memory.backends().iter().find(|&&id| id != first).expect("the other endpoint");
    wait(&mut memory, Duration::from_millis(10));
    let refused = arrived(&mut memory, first).pop();
    if let Some(request) = &refused {
        // It went there while the other endpoint was dialled.
        refuse(&mut memory, first, request.stream, ErrorCode::REFUSED_STREAM);
        wait(&mut memory, Duration::from_millis(10));
    }
    let again = the_request(&mut memory, second);
    answer(&mut memory, second, again.stream, b"elsewhere");
    assert!(is_answer(&seen(&mut memory, client, stream), b"elsewhere"));
    let endpoints: Vec<_> = memory.attempts.iter().rev().map(|attempt| &*attempt.endpoint).collect();
    assert_eq!(endpoints[..2], ["127.0.0.1:9001", "127.0.0.1:9000"]);
}
