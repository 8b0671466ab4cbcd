//! Deadlines, each with its status and its cause; what was sent in vain is not sent again (B58).

use core::time::Duration;

use http::{Method, Request, Response};
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::Connected;
use shuntyard_core::h2::{ClientEvent, ServerEvent, StreamKey};
use shuntyard_core::key::ConnId;
use shuntyard_core::record::{AttemptOutcome, Cause, Outcome};

use crate::memory::Memory;
use crate::support::{
    answer, arrived, begin, content, is_answer, is_at_rest, is_error, read, seen, send, the_backend,
    the_request, wait, with_client,
};

const SECOND: Duration = Duration::from_secs(1);

/// The next stream that the gateway resets at the backend.
fn reset(memory: &mut Memory, backend: ConnId) -> Option<ErrorCode> {
    while let Some(event) = memory.backend(backend).poll_event().expect("a sound connection") {
        if let ServerEvent::Reset { error_code, .. } = event {
            return Some(error_code);
        }
    }
    None
}

#[test]
fn b58_no_response_in_time_is_504_and_not_asked_again() {
    let (mut memory, client) = with_client(|config| config.upstreams[0].retry.attempts = 100);
    let stream = send(&mut memory, client, Method::GET, "/", b"");
    let backend = the_backend(&memory);
    the_request(&mut memory, backend);
    wait(&mut memory, Duration::from_millis(59_999));
    assert_eq!(memory.records.len(), 0);
    wait(&mut memory, Duration::from_millis(1));
    assert_eq!(reset(&mut memory, backend), Some(ErrorCode::CANCEL));
    assert!(is_error(&seen(&mut memory, client, stream), Cause::ResponseTimeout));
    let record = &memory.records[0];
    assert_eq!((record.status, record.attempts, record.maybe_executed), (504, 1, 1));
    assert_eq!(memory.attempts[0].outcome, AttemptOutcome::Failed(Cause::ResponseTimeout));
    wait(&mut memory, SECOND);
    assert_eq!((memory.dials.len(), is_at_rest(&memory)), (1, true));
}

/// What has begun in time is not late because nobody has asked what to do since, and is watched from then on.
#[test]
fn b58_a_response_that_begins_with_the_deadline_is_watched_by_its_progress() {
    for asked in [true, false] {
        let (mut memory, client) = with_client(|_| {});
        let stream = send(&mut memory, client, Method::GET, "/", b"");
        let backend = the_backend(&memory);
        let request = the_request(&mut memory, backend);
        wait(&mut memory, Duration::from_millis(59_999));
        let server = memory.backend(backend);
        server.send_response(request.stream, &Response::new(()), false).expect("an open stream");
        let octets = server.poll_transmit().expect("a head").to_vec();
        server.handle_sent(octets.len());
        read(&mut memory, backend, &octets);
        if asked {
            memory.act();
        }
        memory.now = memory.now + Duration::from_millis(1);
        memory.gateway.handle_timeout(memory.now);
        memory.settle();
        assert_eq!((reset(&mut memory, backend), memory.records.len()), (None, 0), "{asked}");
        wait(&mut memory, Duration::from_millis(59_998));
        assert_eq!(memory.records.len(), 0, "{asked}");
        // From a moment on that lies up to a millisecond later.
        wait(&mut memory, Duration::from_millis(301_000 - 59_998));
        let seen = seen(&mut memory, client, stream);
        assert_eq!(
            (seen.status, memory.records[0].outcome),
            (200, Outcome::Truncated(Cause::ResponseTimeout))
        );
        assert!(is_at_rest(&memory));
    }
}

#[test]
fn b58_the_routes_deadline_holds_from_the_head_to_the_end() {
    // Unanswered, begun, whole in time.
    for (begun, whole) in [(false, false), (true, false), (true, true)] {
        let (mut memory, client) = with_client(|config| config.routes[0].timeout = Some(5 * SECOND));
        let stream = send(&mut memory, client, Method::GET, "/", b"");
        let backend = the_backend(&memory);
        let request = the_request(&mut memory, backend);
        wait(&mut memory, 4 * SECOND);
        if whole {
            answer(&mut memory, backend, request.stream, b"in time");
            assert!(is_answer(&seen(&mut memory, client, stream), b"in time"));
            assert!(is_at_rest(&memory));
            continue;
        }
        if begun {
            let head = Response::new(());
            memory.backend(backend).send_response(request.stream, &head, false).expect("an open stream");
        }
        wait(&mut memory, SECOND);
        assert_eq!(reset(&mut memory, backend), Some(ErrorCode::CANCEL));
        let seen = seen(&mut memory, client, stream);
        let outcome = memory.records[0].outcome;
        if begun {
            assert_eq!((seen.status, seen.reset), (200, Some(ErrorCode::INTERNAL_ERROR)));
            assert_eq!(outcome, Outcome::Truncated(Cause::ResponseTimeout));
        } else {
            assert!(is_error(&seen, Cause::ResponseTimeout));
            assert_eq!(outcome, Outcome::LocalReply(Cause::ResponseTimeout));
        }
        assert_eq!(memory.records[0].maybe_executed, u32::from(!begun));
    }
}

#[test]
fn b58_the_routes_deadline_counts_the_time_in_the_queue() {
    let (mut memory, client) = with_client(|config| {
        config.routes[0].timeout = Some(5 * SECOND);
        config.upstreams[0].connections_max = 1;
    });
    memory.backend_config.max_concurrent_streams = 1;
    send(&mut memory, client, Method::GET, "/live", b"");
    let stream = send(&mut memory, client, Method::GET, "/frozen", b"");
    wait(&mut memory, 5 * SECOND);
    let told = seen(&mut memory, client, stream);
    assert_eq!((told.status, &*told.proxy_status), (504, "shuntyard; error=connection_limit_reached"));
    assert_eq!((memory.records[1].attempts, memory.records[1].maybe_executed), (0, 0));
    // No backend is to blame who never had it.
    assert_eq!(memory.records[1].outcome, Outcome::LocalReply(Cause::QueueLimit));
    assert!(is_at_rest(&memory));
}

/// Who takes nothing of a response, or owes the rest of a request, has used the time up: an endpoint has not failed by that.
#[test]
fn b58_the_routes_deadline_is_the_fault_of_whoever_is_waited_for() {
    let (mut memory, _) = with_client(|config| config.routes[0].timeout = Some(5 * SECOND));
    let small = ConnectionConfig { initial_window_size: 1000, ..ConnectionConfig::default() };
    let client = memory.connect(small);
    let stream = send(&mut memory, client, Method::GET, "/", b"");
    let backend = the_backend(&memory);
    let request = the_request(&mut memory, backend);
    let server = memory.backend(backend);
    server.send_response(request.stream, &Response::new(()), false).expect("an open stream");
    server.send_data(request.stream, &content(2000), false).expect("an open stream");
    memory.settle();
    // The client gives no credit.
    wait(&mut memory, 5 * SECOND);
    assert_eq!(seen(&mut memory, client, stream).reset, Some(ErrorCode::CANCEL));
    assert_eq!(memory.records[0].outcome, Outcome::Truncated(Cause::StreamIdle));
    assert_eq!(memory.attempts[0].outcome, AttemptOutcome::Abandoned);

    let stream = begin(&mut memory, client, Method::POST, "/", false);
    memory.settle();
    wait(&mut memory, 5 * SECOND);
    assert!(is_error(&seen(&mut memory, client, stream), Cause::StreamIdle));
    assert_eq!(memory.records[1].outcome, Outcome::LocalReply(Cause::StreamIdle));
    assert_eq!(memory.attempts[1].outcome, AttemptOutcome::Abandoned);
    let endpoint = &memory.gateway.snapshot(0, memory.now).upstreams[0].endpoints[0];
    assert_eq!((endpoint.counters.failed, endpoint.counters.last_failure), (0, None));
}

#[test]
fn b28_who_waits_too_long_is_told_to_come_again() {
    let (mut memory, client) = with_client(|config| config.upstreams[0].connections_max = 1);
    memory.backend_config.max_concurrent_streams = 1;
    send(&mut memory, client, Method::GET, "/live", b"");
    let stream = send(&mut memory, client, Method::GET, "/frozen", b"");
    wait(&mut memory, Duration::from_millis(9_999));
    assert_eq!(memory.records.len(), 0);
    wait(&mut memory, Duration::from_millis(1));
    assert!(is_error(&seen(&mut memory, client, stream), Cause::QueueLimit));
    assert_eq!((memory.records[0].status, memory.records[0].attempts), (503, 0));
}

/// Content that stands still is the client's fault (408) or the backend's (504): whoever could go on and does not.
#[test]
fn an_upload_that_stands_still_is_the_fault_of_whoever_holds_it_up() {
    for (window, octets, cause) in
        [(65_535, 10, Cause::StreamIdle), (5, 10, Cause::ResponseTimeout), (0, 0, Cause::StreamIdle)]
    {
        let (mut memory, client) = with_client(|_| {});
        memory.backend_config.initial_window_size = window;
        let stream = begin(&mut memory, client, Method::POST, "/", false);
        memory.client(client).send_data(stream, &content(octets), false).expect("an open stream");
        memory.settle();
        let backend = the_backend(&memory);
        wait(&mut memory, 301 * SECOND);
        assert!(is_error(&seen(&mut memory, client, stream), cause), "window {window}");
        assert_eq!(reset(&mut memory, backend), Some(ErrorCode::CANCEL));
        assert_eq!(memory.records[0].maybe_executed, 1);
        assert!(is_at_rest(&memory));
    }
}

#[test]
fn b59_a_response_that_stands_still_is_reset() {
    let (mut memory, client) = with_client(|config| config.timeouts.stream_idle = 30 * SECOND);
    let stream = send(&mut memory, client, Method::GET, "/", b"");
    let backend = the_backend(&memory);
    let request = the_request(&mut memory, backend);
    let head = Response::new(());
    memory.backend(backend).send_response(request.stream, &head, false).expect("an open stream");
    memory.settle();
    for _ in 0..5 {
        wait(&mut memory, 20 * SECOND);
        memory.backend(backend).send_data(request.stream, b"slow", false).expect("an open stream");
        memory.settle();
    }
    assert_eq!(memory.records.len(), 0, "progress is progress");
    wait(&mut memory, 61 * SECOND);
    let seen = seen(&mut memory, client, stream);
    assert_eq!((seen.content.len(), seen.reset), (20, Some(ErrorCode::INTERNAL_ERROR)));
    assert_eq!(memory.records[0].outcome, Outcome::Truncated(Cause::ResponseTimeout));
    assert_eq!(memory.attempts[0].outcome, AttemptOutcome::Failed(Cause::ResponseTimeout));
}

/// A request for which the gateway has dialled, and has no answer.
fn dialled() -> (Memory, ConnId, StreamKey, ConnId) {
    let (mut memory, client) = with_client(|_| {});
    memory.hold_connects = true;
    let stream = send(&mut memory, client, Method::GET, "/", b"");
    let dialled = memory.held[0];
    (memory, client, stream, dialled)
}

#[test]
fn b53_a_dial_without_an_answer_is_504() {
    let (mut memory, client, stream, _) = dialled();
    wait(&mut memory, 5 * SECOND);
    let seen = seen(&mut memory, client, stream);
    assert!(is_error(&seen, Cause::ConnectionTimeout), "{seen:?}");
    assert_eq!((memory.records[0].attempts, memory.records[0].maybe_executed), (0, 0));
}

/// B65: a request may be on its way to a backend of which nothing is known yet. When the connection comes to its end, those who wait for it
/// hear of it what that request does.
#[test]
fn b65_who_waits_for_a_backend_is_told_the_same_as_who_is_with_it() {
    // It never says a word; what it says is no HTTP/2.
    for (words, cause) in
        [(&b""[..], Cause::ConnectionTimeout), (b"HTTP/1.1 400 Bad", Cause::BackendProtocol)]
    {
        let (mut memory, client) = with_client(|config| {
            config.upstreams[0].assumed_streams = 1;
            config.upstreams[0].queue_timeout = 60 * SECOND;
        });
        memory.mute_backends = true;
        send(&mut memory, client, Method::POST, "/with-it", b"");
        send(&mut memory, client, Method::POST, "/waits", b"");
        let backend = the_backend(&memory);
        memory.inject(backend, words);
        wait(&mut memory, 10 * SECOND);
        let told = memory.records.iter().map(|record| (record.attempts, record.outcome, record.status));
        let as_all = |attempts| (attempts, Outcome::LocalReply(cause), cause.status().0);
        assert_eq!(told.collect::<Vec<_>>(), [as_all(1), as_all(0)]);
        assert_eq!(memory.dials.len(), 1);
    }
}

#[test]
fn b53_a_backend_that_never_says_a_word_is_504() {
    let (mut memory, client, stream, backend) = dialled();
    // Its own time begins later than that of the request in the queue.
    wait(&mut memory, SECOND / 100);
    memory.gateway.handle_connected(backend, Connected::default(), memory.now);
    wait(&mut memory, 10 * SECOND);
    let seen = seen(&mut memory, client, stream);
    assert!(is_error(&seen, Cause::ConnectionTimeout), "{seen:?}");
    assert_eq!((memory.records[0].attempts, memory.records[0].maybe_executed), (0, 0));
}

#[test]
fn b53_a_backend_that_does_not_speak_http2_is_502() {
    let (mut memory, client, stream, backend) = dialled();
    memory.gateway.handle_connected(backend, Connected::default(), memory.now);
    read(&mut memory, backend, b"HTTP/1.1 400 Bad Request\r\n\r\n");
    memory.settle();
    let seen = seen(&mut memory, client, stream);
    assert!(is_error(&seen, Cause::BackendProtocol), "{seen:?}");
    assert_eq!((memory.records[0].attempts, memory.records[0].maybe_executed), (0, 0));
}

/// A field block has ten seconds from its first octet, whatever comes of it meanwhile.
#[test]
fn a_field_block_that_does_not_end_costs_the_client_its_connection() {
    let (mut memory, client) = with_client(|_| {});
    let other = send(&mut memory, client, Method::GET, "/other", b"");
    let backend = the_backend(&memory);
    the_request(&mut memory, backend);
    // 40 KiB of fields: HEADERS and two CONTINUATION frames.
    let much = "x".repeat(40_000);
    let request = Request::get("http://a/").header("much", much).body(()).expect("a request");
    memory.client(client).send_request(&request, true).expect("a slot");
    let octets = memory.client(client).poll_transmit().expect("a request").to_vec();
    memory.client(client).handle_sent(octets.len());
    let (_, trickle) = octets.split_last().expect("octets");
    for piece in trickle.chunks(trickle.len() / 90) {
        read(&mut memory, client, piece);
        wait(&mut memory, SECOND / 10);
        assert_eq!(memory.records.len(), 0);
    }
    wait(&mut memory, SECOND);
    assert_eq!(memory.records[0].outcome, Outcome::ClientError);
    let goaway = loop {
        match memory.client(client).poll_event() {
            Ok(Some(ClientEvent::GoAway { error_code, .. })) => break error_code,
            Ok(Some(_)) => {}
            ended => panic!("{ended:?}"),
        }
    };
    assert_eq!(goaway, ErrorCode::ENHANCE_YOUR_CALM);
    assert_eq!(
        reset(&mut memory, backend),
        Some(ErrorCode::CANCEL),
        "the other request lost its client: {other:?}"
    );
}

/// Whose fault it was that a client's connection ended is what its requests are told to have ended by.
#[test]
fn b65_requests_of_a_client_end_as_their_connection_does() {
    const WINDOW_UPDATE_OF_NOTHING: [u8; 13] = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    for (what, expected) in [
        ("breaks a rule", Outcome::ClientError),
        ("takes nothing", Outcome::Truncated(Cause::StreamIdle)),
        ("breaks", Outcome::ClientGone),
        ("closes", Outcome::ClientGone),
    ] {
        let (mut memory, client) = with_client(|config| {
            let hour = Duration::from_secs(3600);
            (config.timeouts.response, config.timeouts.suspect_silent) = (hour, hour);
        });
        send(&mut memory, client, Method::GET, "/", b"");
        let backend = the_backend(&memory);
        the_request(&mut memory, backend);
        match what {
            "breaks a rule" => memory.inject(client, &WINDOW_UPDATE_OF_NOTHING),
            "takes nothing" => {
                memory.deafen(client);
                memory.inject(client, &PING);
                assert!(memory.gateway.poll_transmit(client, memory.now).is_some());
                memory.gateway.handle_sent(client, 0, memory.now);
                memory.wait(61 * SECOND);
            }
            "breaks" => memory.kill(client),
            _ => memory.shut(client),
        }
        let outcomes: Vec<_> = memory.records.iter().map(|record| record.outcome).collect();
        assert_eq!(outcomes, [expected], "{what}");
        assert_eq!(reset(&mut memory, backend), Some(ErrorCode::CANCEL), "{what}");
    }
}

/// Each block has its own ten seconds, and nothing is left of a deadline that was met.
#[test]
fn field_blocks_that_end_in_time_may_follow_each_other() {
    let (mut memory, client) = with_client(|_| {});
    memory.settle();
    for n in 0..8 {
        begin(&mut memory, client, Method::GET, &format!("/{n}"), true);
    }
    let octets = memory.client(client).poll_transmit().expect("requests").to_vec();
    memory.client(client).handle_sent(octets.len());
    // The end of one comes with the beginning of the next: something is open all the time.
    for piece in octets.chunks(octets.len() / 8 - 1) {
        read(&mut memory, client, piece);
        wait(&mut memory, 3 * SECOND);
    }
    let backend = the_backend(&memory);
    assert_eq!(arrived(&mut memory, backend).len(), 8);
    assert!(memory.records.is_empty());
}

/// L1: a request that is answered has its records, although nothing is known of it.
#[test]
fn l1_a_head_beyond_the_limits_is_answered_and_recorded() {
    let mut memory = Memory::new(|config| config.front.max_header_list_size = 1000);
    // A client that was not told the limit yet.
    let client = memory.connect(ConnectionConfig::default());
    let request = Request::get("http://a/").header("much", "x".repeat(2000)).body(()).expect("a request");
    let stream = memory.client(client).send_request(&request, true).expect("a slot");
    memory.settle();
    let seen = seen(&mut memory, client, stream);
    assert!(is_error(&seen, Cause::RequestHeadTooLarge), "{seen:?}");
    assert_eq!((seen.status, seen.content.len()), (431, 0));
    assert_eq!((memory.started, memory.records.len()), (1, 1));
    let record = &memory.records[0];
    assert_eq!(record.outcome, Outcome::LocalReply(Cause::RequestHeadTooLarge));
    assert_eq!((record.status, record.attempts, record.route.clone()), (431, 0, None));
    assert!(is_at_rest(&memory));
}

/// The client of a tunnel owes nothing before it stands.
#[test]
fn a_tunnel_that_a_backend_does_not_answer_is_late_like_any_response() {
    let (mut memory, client) = with_client(|config| config.routes[0].connect = true);
    let connect = Request::connect("example.com:443").body(()).expect("a request");
    let stream = memory.client(client).send_request(&connect, false).expect("a slot");
    memory.settle();
    let backend = the_backend(&memory);
    the_request(&mut memory, backend);
    memory.client(client).send_data(stream, b"hello", false).expect("open");
    memory.settle();
    wait(&mut memory, Duration::from_millis(59_999));
    assert_eq!(memory.records.len(), 0);
    wait(&mut memory, Duration::from_millis(1));
    assert_eq!(reset(&mut memory, backend), Some(ErrorCode::CANCEL));
    assert!(is_error(&seen(&mut memory, client, stream), Cause::ResponseTimeout));
    assert_eq!(memory.records[0].status, 504);
    // A route's time is told likewise: its client owes nothing before there is an answer.
    memory.reconfigure(|config| config.routes[0].timeout = Some(5 * SECOND));
    memory.client(client).send_request(&connect, false).expect("a slot");
    memory.settle();
    the_request(&mut memory, backend);
    wait(&mut memory, 6 * SECOND);
    assert_eq!(
        (memory.records[1].status, memory.attempts[1].outcome),
        (504, AttemptOutcome::Failed(Cause::ResponseTimeout))
    );
    memory.records.clear();
    memory.reconfigure(|config| config.routes[0].timeout = None);
    // One that stands has no such deadline.
    let stream = memory.client(client).send_request(&connect, false).expect("a slot");
    memory.settle();
    let request = the_request(&mut memory, backend);
    memory.backend(backend).send_response(request.stream, &Response::new(()), false).expect("open");
    memory.settle();
    wait(&mut memory, 200 * SECOND);
    assert_eq!(memory.records.len(), 0);
    memory.client(client).send_data(stream, b"", true).expect("open");
    memory.backend(backend).send_data(request.stream, b"", true).expect("open");
    memory.settle();
    assert_eq!(memory.records[0].outcome, Outcome::Complete);
}

/// A client that waits for 100 (Continue) owes nothing before it has it (RFC 9110 section 10.1.1). From then on it does.
#[test]
fn who_waits_to_be_told_to_go_on_waits_for_the_backend() {
    for (told, status, cause) in [(false, 504, Cause::ResponseTimeout), (true, 408, Cause::StreamIdle)] {
        let (mut memory, client) = with_client(|_| {});
        let upload = Request::post("http://example.com/")
            .header("expect", "100-continue")
            .body(())
            .expect("a request");
        let stream = memory.client(client).send_request(&upload, false).expect("a slot");
        memory.settle();
        let backend = the_backend(&memory);
        let request = the_request(&mut memory, backend);
        if told {
            wait(&mut memory, 30 * SECOND);
            let goes_on = Response::builder().status(100).body(()).expect("a response");
            memory.backend(backend).send_response(request.stream, &goes_on, false).expect("open");
            memory.settle();
        }
        wait(&mut memory, Duration::from_millis(59_999));
        assert_eq!(memory.records.len(), 0);
        wait(&mut memory, if told { 271 * SECOND } else { Duration::from_millis(1) });
        assert!(is_error(&seen(&mut memory, client, stream), cause), "{told}");
        assert_eq!((memory.records[0].status, memory.records.len()), (status, 1));
    }
}

/// One that goes on without being told is waited for like any other.
#[test]
fn who_goes_on_by_itself_is_waited_for() {
    let (mut memory, client) = with_client(|_| {});
    let upload =
        Request::post("http://example.com/").header("expect", "100-continue").body(()).expect("a request");
    let stream = memory.client(client).send_request(&upload, false).expect("a slot");
    memory.settle();
    wait(&mut memory, 10 * SECOND);
    memory.client(client).send_data(stream, b"a", false).expect("open");
    memory.settle();
    wait(&mut memory, 299 * SECOND);
    assert_eq!(memory.records.len(), 0);
    wait(&mut memory, 62 * SECOND);
    assert!(is_error(&seen(&mut memory, client, stream), Cause::StreamIdle));
}

/// Who has sent all of its request waits for no word to go on, whatever it says.
#[test]
fn a_word_to_go_on_gives_a_backend_no_more_time_for_a_whole_request() {
    let (mut memory, client) = with_client(|_| {});
    let whole =
        Request::get("http://example.com/").header("expect", "100-continue").body(()).expect("a request");
    let stream = memory.client(client).send_request(&whole, true).expect("a slot");
    memory.settle();
    let backend = the_backend(&memory);
    let request = the_request(&mut memory, backend);
    let goes_on = Response::builder().status(100).body(()).expect("a response");
    memory.backend(backend).send_response(request.stream, &goes_on, false).expect("open");
    memory.settle();
    wait(&mut memory, 60 * SECOND);
    assert!(is_error(&seen(&mut memory, client, stream), Cause::ResponseTimeout));
}
