//! Messages that only the end of their connection ends, and that are not whole: their peer must not take them for whole.

use shuntyard_core::config::{ConnectionConfig, PathPattern, Protocol};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::Command;
use shuntyard_core::h2::{ClientEvent, StreamKey};
use shuntyard_core::key::ConnId;
use shuntyard_core::message::Version;
use shuntyard_core::record::{AttemptOutcome, Cause, Outcome};
use shuntyard_core::time::Duration;

use crate::memory::Memory;
use crate::memory::talk::{ask, events, ok, post, requests};
use crate::said;

const HTTP10: &str = "GET / HTTP/1.0\r\nhost: example.com\r\n\r\n";
const HTTP11: &str = "GET / HTTP/1.1\r\nhost: example.com\r\n\r\n";

/// A client that has asked, and has half of the answer.
fn half(request: &str) -> (Memory, ConnId, (ConnId, StreamKey)) {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    memory.inject(client, request.as_bytes());
    let backend = memory.backends().into_iter().find(|&id| id != client).expect("a backend");
    let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
    memory.backend(backend).send_response(stream, &ok(), false).expect("open");
    memory.backend(backend).send_data(stream, b"half", false).expect("open");
    memory.settle();
    assert!(said(&mut memory, client).contains("half"));
    (memory, client, (backend, stream))
}

#[test]
fn a_response_to_http10_that_breaks_off_breaks_its_connection() {
    let (mut memory, client, (backend, stream)) = half(HTTP10);
    memory.backend(backend).reset(stream, ErrorCode::INTERNAL_ERROR);
    memory.settle();
    assert_eq!((&memory.aborted[..], &memory.shutdowns[..]), (&[client][..], &[][..]));
    assert!(matches!(memory.records[0].outcome, Outcome::Truncated(_)));
    assert_eq!(memory.records[0].version, Version::Http10);
}

#[test]
fn the_deadline_of_a_drain_breaks_it_too() {
    let (mut memory, client, _) = half(HTTP10);
    memory.gateway.handle_command(Command::Drain { deadline: Duration::from_secs(1) }, memory.now);
    memory.wait(Duration::from_secs(2));
    assert_eq!((&memory.aborted[..], memory.drained), (&[client][..], Some(1)));
}

#[test]
fn what_was_cut_but_has_not_left_is_not_whole() {
    let (mut memory, client, (backend, stream)) = half(HTTP10);
    memory.backend(backend).send_data(stream, b"other half", true).expect("open");
    // The client takes nothing.
    let octets = memory.backend(backend).poll_transmit().expect("DATA").to_vec();
    memory.backend(backend).handle_sent(octets.len());
    let shuntyard_core::gateway::RecvBuf::Buffer(buffer) = memory.gateway.recv_buf(backend) else { panic!() };
    buffer[..octets.len()].copy_from_slice(&octets);
    memory.gateway.handle_recv(backend, octets.len(), memory.now);
    assert!(memory.gateway.poll_transmit(client, memory.now).is_some());
    while let Some(at) = memory.gateway.poll_timeout().filter(|_| memory.aborted.is_empty()) {
        memory.now = at;
        memory.gateway.handle_timeout(at);
        memory.act();
    }
    assert_eq!(memory.aborted, [client]);
}

#[test]
fn a_whole_response_ends_in_good_order() {
    let (mut memory, client, (backend, stream)) = half(HTTP10);
    memory.backend(backend).send_data(stream, b"other half", true).expect("open");
    memory.settle();
    assert_eq!((&memory.aborted[..], &memory.shutdowns[..]), (&[][..], &[client][..]));
}

#[test]
fn chunks_that_break_off_need_no_more_than_the_end() {
    let (mut memory, client, (backend, stream)) = half(HTTP11);
    memory.backend(backend).reset(stream, ErrorCode::INTERNAL_ERROR);
    memory.settle();
    assert_eq!((&memory.aborted[..], &memory.shutdowns[..]), (&[][..], &[client][..]));
    assert!(!said(&mut memory, client).contains("0\r\n\r\n"), "no last chunk");
}

/// A response of HTTP/1.0 without a length, of a backend whose connection breaks.
#[test]
fn a_backend_of_http10_that_breaks_off_is_no_clean_end() {
    for http2 in [true, false] {
        let mut memory = Memory::new(|config| config.upstreams[0].endpoints[0].protocol = Protocol::Http1);
        memory.mute_backends = true;
        let client = if http2 { memory.connect(ConnectionConfig::default()) } else { memory.connect_mute() };
        if http2 {
            ask(&mut memory, client, "/");
        } else {
            memory.inject(client, HTTP10.as_bytes());
        }
        let backend = memory.backends().into_iter().find(|&id| id != client).expect("a backend");
        memory.inject(backend, b"HTTP/1.0 200 OK\r\n\r\nhalf");
        memory.kill(backend);
        if http2 {
            let seen = events(&mut memory, client);
            let is_reset = |event: &ClientEvent| matches!(event, ClientEvent::Reset { .. });
            assert!(seen.iter().any(is_reset), "{seen:?}");
        } else {
            assert_eq!(memory.aborted, [client]);
        }
        assert!(matches!(memory.records[0].outcome, Outcome::Truncated(_)));
    }
}

/// Over HTTP/1.1 nobody resets a stream: a backend that ends its side in the middle of a response has left it incomplete, and is told so.
#[test]
fn a_backend_that_ends_in_the_middle_has_reset_nothing() {
    let incomplete = Cause::ResponseIncomplete;
    for octets in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ncontent-le",
    ] {
        let mut memory = Memory::new(|config| config.upstreams[0].endpoints[0].protocol = Protocol::Http1);
        memory.mute_backends = true;
        let client = memory.connect(ConnectionConfig::default());
        memory.client(client).send_request(&post("/"), true).expect("a slot");
        memory.settle();
        let backend = memory.backends()[0];
        memory.inject(backend, octets.as_bytes());
        memory.shut(backend);
        assert_eq!(memory.attempts[0].outcome, AttemptOutcome::Failed(incomplete), "{octets}");
        let has_begun = octets.contains("half");
        let outcome =
            if has_begun { Outcome::Truncated(incomplete) } else { Outcome::LocalReply(incomplete) };
        assert_eq!(memory.records[0].outcome, outcome, "{octets}");
        let of = &memory.gateway.snapshot(0, memory.now).upstreams[0];
        assert_eq!(of.endpoints[0].counters.wire.traffic.resets_recv, 0, "{octets}");
    }
}

/// A client that read too slowly for its route, of a response that its backend has ended: what has no room in the outbox is let go, with the memory for
/// it, and what has is no whole response.
#[test]
fn a_response_that_waits_for_room_when_its_time_is_over_breaks_off() {
    for request in [HTTP10, HTTP11] {
        let mut memory = Memory::new(|config| config.routes[0].timeout = Some(Duration::from_secs(30)));
        let client = memory.connect_mute();
        memory.inject(client, request.as_bytes());
        let backend = memory.backends().into_iter().find(|&id| id != client).expect("a backend");
        let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
        memory.deafen(client);
        memory.backend(backend).send_response(stream, &ok(), false).expect("open");
        memory.settle();
        memory.backend(backend).send_data(stream, &[7; 180_000], true).expect("open");
        for _ in 0..20 {
            memory.settle();
            while memory.backend(backend).poll_event().expect("sound").is_some() {}
        }
        assert!(memory.gateway.view().buffered_octets > 180_000);
        memory.wait(Duration::from_secs(31));
        assert!(matches!(memory.records[0].outcome, Outcome::Truncated(_)));
        let view = memory.gateway.view();
        assert!(view.reserved_octets == 0 && view.buffered_octets < 180_000, "{view:?}");
        memory.hear(client);
        let sent = memory.sent_to(client);
        assert!(sent.len() < 180_000 && !sent.ends_with(b"0\r\n\r\n"), "{} octets", sent.len());
        // Of the one only the end of the connection could tell that it is whole.
        let ends = (memory.aborted.contains(&client), memory.shutdowns.contains(&client));
        assert_eq!(ends, (request == HTTP10, request == HTTP11));
    }
}

/// Behind a response that took long.
#[test]
fn a_connection_ends_with_the_answer_to_a_request_that_never_came_whole() {
    let mut memory = Memory::new(|config| {
        let long = Duration::from_secs(200);
        (config.timeouts.response, config.timeouts.suspect_silent) = (long, long);
        config.routes[0].path = PathPattern::Prefix("/slow".into());
    });
    let client = memory.connect_mute();
    let refused = "GET /nowhere HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nfifty octets of a hundred, and then it ends.......";
    memory.inject(client, (HTTP11.replace(" / ", " /slow ") + refused).as_bytes());
    memory.shut(client);
    let backend = memory.backends().into_iter().find(|&id| id != client).expect("a backend");
    memory.wait(Duration::from_secs(80));
    let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
    memory.backend(backend).send_response(stream, &ok(), true).expect("open");
    memory.settle();
    let said = said(&mut memory, client);
    assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("HTTP/1.1 404 "), "{said}");
    assert!(memory.closed.contains(&client), "nothing more can come");
}
