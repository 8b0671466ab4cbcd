//! Connections and streams that break: the backend may have executed what was on them.

use http::{Method, Response};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::Closed;
use shuntyard_core::h2::StreamKey;
use shuntyard_core::key::ConnId;
use shuntyard_core::record::{AttemptOutcome, Cause, Outcome};
use shuntyard_requirements::req;

use crate::memory::Memory;
use crate::support::{
    answer, arrived, content, is_answer, is_at_rest, is_error, read, refuse, seen, send, the_backend,
    the_request, with_client,
};
use crate::wire::goaway;

const LOST: Cause = Cause::ConnectionTerminated;

#[test]
fn b57_what_is_idempotent_is_sent_again_once() {
    for (method, sent) in [(Method::GET, 0), (Method::PUT, 5000), (Method::DELETE, 0)] {
        let (mut memory, client) = with_client(|_| {});
        let stream = send(&mut memory, client, method, "/", &content(sent));
        let first = the_backend(&memory);
        the_request(&mut memory, first);
        memory.kill(first);
        let second = the_backend(&memory);
        let request = the_request(&mut memory, second);
        assert_eq!((request.content, request.end), (content(sent), true));
        answer(&mut memory, second, request.stream, b"again");
        assert!(is_answer(&seen(&mut memory, client, stream), b"again"));
        let record = &memory.records[0];
        assert_eq!((record.outcome, record.attempts, record.maybe_executed), (Outcome::Complete, 2, 1));
        assert_eq!(memory.attempts[0].outcome, AttemptOutcome::Failed(LOST));
        assert!(is_at_rest(&memory));
    }
}

#[test]
fn b57_twice_is_enough() {
    req!("9110-9.2.2-03");
    let (mut memory, client) = with_client(|_| {});
    let stream = send(&mut memory, client, Method::GET, "/", b"");
    for _ in 0..2 {
        let backend = the_backend(&memory);
        the_request(&mut memory, backend);
        memory.kill(backend);
    }
    assert_eq!(memory.backends(), []);
    assert!(is_error(&seen(&mut memory, client, stream), LOST));
    assert_eq!((memory.records[0].attempts, memory.records[0].maybe_executed), (2, 2));
}

/// F20: nobody but the client may decide that it is done twice.
#[test]
fn b57_f20_what_is_not_idempotent_is_never_sent_again() {
    for method in [Method::POST, Method::PATCH, Method::from_bytes(b"TRANSFER").expect("a method")] {
        let (mut memory, client) = with_client(|config| config.upstreams[0].retry.attempts = 100);
        let stream = send(&mut memory, client, method, "/", b"");
        let backend = the_backend(&memory);
        the_request(&mut memory, backend);
        memory.kill(backend);
        assert_eq!((memory.backends(), memory.dials.len()), (vec![], 1));
        assert!(is_error(&seen(&mut memory, client, stream), LOST));
        assert_eq!((memory.records[0].attempts, memory.records[0].maybe_executed), (1, 1));
    }
}

#[test]
fn b57_content_beyond_the_buffer_cannot_be_sent_again() {
    let (mut memory, client) = with_client(|config| config.upstreams[0].retry.replay_octets = 1000);
    let stream = send(&mut memory, client, Method::PUT, "/", &content(1001));
    let backend = the_backend(&memory);
    memory.kill(backend);
    assert!(is_error(&seen(&mut memory, client, stream), LOST));
    assert_eq!((memory.records[0].attempts, memory.records[0].maybe_executed), (1, 1));
}

/// F19, B59: what has begun is not begun again, and never ends as if it were whole.
#[test]
fn b59_f19_f22_a_response_that_has_begun_is_reset() {
    for octets in [0, 10] {
        let (mut memory, client) = with_client(|config| config.upstreams[0].retry.attempts = 100);
        let stream = send(&mut memory, client, Method::GET, "/", b"");
        let backend = the_backend(&memory);
        let request = the_request(&mut memory, backend);
        let head = Response::builder().status(200).body(()).expect("a response");
        memory.backend(backend).send_response(request.stream, &head, false).expect("an open stream");
        memory.backend(backend).send_data(request.stream, &content(octets), false).expect("an open stream");
        memory.settle();
        memory.kill(backend);
        let seen = seen(&mut memory, client, stream);
        assert_eq!((seen.status, seen.content), (200, content(octets)), "no error page behind it");
        assert_eq!(seen.reset, Some(ErrorCode::INTERNAL_ERROR));
        let record = &memory.records[0];
        assert_eq!((record.outcome, record.attempts), (Outcome::Truncated(LOST), 1));
        assert_eq!(record.maybe_executed, 0, "its response is no secret");
        assert_eq!(memory.attempts[0].outcome, AttemptOutcome::Failed(LOST));
    }
}

#[test]
fn b57_l8_an_interim_response_rules_a_second_attempt_out() {
    let (mut memory, client) = with_client(|_| {});
    let stream = send(&mut memory, client, Method::GET, "/", b"");
    let backend = the_backend(&memory);
    let request = the_request(&mut memory, backend);
    let hints = Response::builder().status(103).body(()).expect("a response");
    memory.backend(backend).send_response(request.stream, &hints, false).expect("an open stream");
    memory.settle();
    memory.kill(backend);
    let seen = seen(&mut memory, client, stream);
    assert!(is_error(&seen, LOST) && seen.interim == 1, "{seen:?}");
    assert_eq!((memory.records[0].attempts, memory.records[0].maybe_executed), (1, 1));
}

/// Of what never left the gateway no backend has seen anything: whatever it is, it is sent again.
#[test]
fn b57_what_never_left_is_sent_again_whatever_its_method() {
    let (mut memory, client, first, stream) = thawed_and_not_written();
    memory.peers.remove(&first);
    memory.gateway.handle_closed(first, Closed::Reset, memory.now);
    memory.settle();
    let second = the_backend(&memory);
    let request = the_request(&mut memory, second);
    assert!(request.content == content(3000) && request.end);
    answer(&mut memory, second, request.stream, b"here");
    assert!(is_answer(&seen(&mut memory, client, stream), b"here"));
    let record = memory.records.last().expect("a record");
    assert_eq!((record.attempts, record.maybe_executed), (2, 0));
    assert_eq!(memory.attempts[1].outcome, AttemptOutcome::Unprocessed(LOST));
}

/// A POST that is thawed and waits in the outbox of an old connection: nothing of it has been written.
fn thawed_and_not_written() -> (Memory, ConnId, ConnId, StreamKey) {
    let (mut memory, client) = with_client(|_| {});
    send(&mut memory, client, Method::GET, "/warm", b"");
    let first = the_backend(&memory);
    let warm = the_request(&mut memory, first);
    answer(&mut memory, first, warm.stream, b"");
    let stream = crate::support::begin(&mut memory, client, Method::POST, "/", false);
    memory.client(client).send_data(stream, &content(3000), true).expect("an open stream");
    let octets = memory.client(client).poll_transmit().expect("a request").to_vec();
    memory.client(client).handle_sent(octets.len());
    read(&mut memory, client, &octets);
    assert!(memory.gateway.poll_action().is_some());
    assert_eq!(memory.gateway.view().live, 1);
    (memory, client, first, stream)
}

/// A connection that has failed says goodbye where that is all it has to say. Where a request is before the goodbye that is
/// sent elsewhere, both stay unsaid: its first backend would execute it, too.
#[test]
fn b57_what_never_left_never_leaves_where_it_is_sent_again() {
    for how in ["FIN", "a protocol error", "a protocol error after GOAWAY"] {
        let (mut memory, client, first, stream) = thawed_and_not_written();
        let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        match how {
            "FIN" => memory.gateway.handle_read_closed(first, memory.now),
            // A SETTINGS frame of one octet (RFC 9113 section 6.5).
            "a protocol error" => read(&mut memory, first, &[0, 0, 1, 4, 0, 0, 0, 0, 0, 0]),
            _ => read(&mut memory, first, &[&goaway[..], &[0, 0, 1, 4, 0, 0, 0, 0, 0, 0]].concat()),
        }
        let shown = memory.gateway.poll_transmit(first, memory.now).map_or(0, <[u8]>::len);
        assert_eq!(shown, 0, "{how}");
        memory.settle();
        let backends = memory.backends();
        let &second = backends.iter().find(|&&of| of != first).expect("another connection");
        let request = the_request(&mut memory, second);
        assert!(request.content == content(3000) && request.end, "{how}");
        answer(&mut memory, second, request.stream, b"here");
        assert!(is_answer(&seen(&mut memory, client, stream), b"here"), "{how}");
        let record = memory.records.last().expect("a record");
        assert_eq!((record.attempts, record.maybe_executed), (2, 0), "{how}");
    }
}

/// Retries are a share of the upstream's requests, with a floor of ten: a backend in trouble is not met with twice its load.
#[test]
fn b57_retries_have_a_budget() {
    for (percent, again) in [(20, 10 + 6), (0, 0), (100, 30)] {
        let (mut memory, client) = with_client(|config| {
            config.upstreams[0].retry.budget_percent = percent;
        });
        for n in 0..30 {
            send(&mut memory, client, Method::GET, &format!("/{n}"), b"");
        }
        let first = the_backend(&memory);
        assert_eq!(arrived(&mut memory, first).len(), 30);
        memory.kill(first);
        let resent: usize =
            memory.backends().iter().map(|&backend| arrived(&mut memory, backend).len()).sum();
        assert_eq!((resent, memory.records.len()), (again, 30 - again), "{percent} percent");
        assert!(memory.records.iter().all(|record| record.status == 502 && record.maybe_executed == 1));
    }
}

#[test]
fn b56_a_reset_with_another_code_goes_by_the_method() {
    for (code, method, again) in [
        (ErrorCode::INTERNAL_ERROR, Method::GET, true),
        (ErrorCode::CANCEL, Method::GET, true),
        (ErrorCode::NO_ERROR, Method::GET, true),
        (ErrorCode::INTERNAL_ERROR, Method::POST, false),
        (ErrorCode::ENHANCE_YOUR_CALM, Method::GET, false),
        (ErrorCode::HTTP_1_1_REQUIRED, Method::GET, false),
    ] {
        let (mut memory, client) = with_client(|_| {});
        let stream = send(&mut memory, client, method, "/", b"");
        let backend = the_backend(&memory);
        let request = the_request(&mut memory, backend);
        refuse(&mut memory, backend, request.stream, code);
        let resent = arrived(&mut memory, backend).len();
        assert_eq!(resent, usize::from(again), "{code:?}");
        if !again {
            assert!(is_error(&seen(&mut memory, client, stream), Cause::BackendReset(code)));
        }
    }
}

/// B61: what is wrong with one response is no reason to send it again, and nobody else's concern.
#[test]
fn b61_a_response_head_beyond_the_limits_ends_its_stream_alone() {
    let (mut memory, client) = with_client(|config| config.backend.max_header_list_size = 1000);
    let other = send(&mut memory, client, Method::GET, "/other", b"");
    let backend = the_backend(&memory);
    let other_request = the_request(&mut memory, backend);
    let stream = send(&mut memory, client, Method::GET, "/", b"");
    let request = the_request(&mut memory, backend);
    let head = Response::builder().header("much", "x".repeat(2000)).body(()).expect("a response");
    memory.backend(backend).send_response(request.stream, &head, true).expect("an open stream");
    memory.settle();
    assert!(is_error(&seen(&mut memory, client, stream), Cause::ResponseHeadTooLarge));
    assert_eq!(arrived(&mut memory, backend).len(), 0, "not again");
    assert_eq!(memory.attempts[0].outcome, AttemptOutcome::Failed(Cause::ResponseHeadTooLarge));
    answer(&mut memory, backend, other_request.stream, b"fine");
    assert!(is_answer(&seen(&mut memory, client, other), b"fine"));
}

/// A backend that breaks the protocol takes its connection along. What is idempotent goes elsewhere.
#[test]
fn b57_a_backend_that_breaks_the_protocol_is_as_good_as_lost() {
    for (method, again) in [(Method::GET, true), (Method::POST, false)] {
        let (mut memory, client) = with_client(|_| {});
        let stream = send(&mut memory, client, method, "/", b"");
        let backend = the_backend(&memory);
        the_request(&mut memory, backend);
        // DATA on stream 0.
        read(&mut memory, backend, &[0, 0, 0, 0, 0, 0, 0, 0, 0]);
        memory.settle();
        let resent = memory.backends().into_iter().filter(|&other| other != backend);
        let resent: usize = resent.map(|other| arrived(&mut memory, other).len()).sum();
        assert_eq!(resent, usize::from(again));
        if !again {
            assert!(is_error(&seen(&mut memory, client, stream), Cause::BackendProtocol));
            assert_eq!(memory.records[0].maybe_executed, 1);
        }
    }
}

/// What a backend has begun to answer it has processed, whatever it says of it then.
#[test]
fn b59_a_response_that_has_begun_was_no_unprocessed_attempt() {
    for goes_away in [false, true] {
        let (mut memory, client) = with_client(|_| {});
        let stream = send(&mut memory, client, Method::GET, "/", b"");
        let backend = the_backend(&memory);
        let request = the_request(&mut memory, backend);
        let head = Response::builder().status(200).body(()).expect("a response");
        memory.backend(backend).send_response(request.stream, &head, false).expect("an open stream");
        memory.backend(backend).send_data(request.stream, b"half", false).expect("an open stream");
        memory.settle();
        let cause = if goes_away {
            memory.inject(backend, &goaway(0, ErrorCode::NO_ERROR));
            LOST
        } else {
            refuse(&mut memory, backend, request.stream, ErrorCode::REFUSED_STREAM);
            Cause::BackendReset(ErrorCode::REFUSED_STREAM)
        };
        assert_eq!(seen(&mut memory, client, stream).reset, Some(ErrorCode::INTERNAL_ERROR));
        assert_eq!(memory.records[0].outcome, Outcome::Truncated(cause));
        assert_eq!(memory.attempts[0].outcome, AttemptOutcome::Failed(cause));
    }
}
