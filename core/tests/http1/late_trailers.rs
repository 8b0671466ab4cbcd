//! Trailers that a client of HTTP/1.1 begins, and does not end in time.

use shuntyard_core::config::Protocol;
use shuntyard_core::key::ConnId;
use shuntyard_core::record::{AttemptOutcome, Cause, Outcome};
use shuntyard_core::time::Duration;

use crate::memory::Memory;
use crate::memory::talk::{ok, requests};
use crate::said;

const HALF: &str = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nup\r\n0\r\nx-sum: ";
/// Trailers have ten seconds.
const LATE: Duration = Duration::from_secs(11);

fn others(memory: &Memory, client: ConnId) -> Vec<ConnId> {
    memory.backends().into_iter().filter(|&id| id != client).collect()
}

/// As content that comes too slowly is: 408, and nothing is read behind it.
#[test]
fn rfc9110_15_5_9_trailers_that_come_too_slowly_are_answered() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut memory = Memory::new(|config| config.upstreams[0].endpoints[0].protocol = protocol);
        memory.mute_backends = protocol == Protocol::Http1;
        let client = memory.connect_mute();
        memory.inject(client, HALF.as_bytes());
        let backend = others(&memory, client)[0];
        memory.wait(LATE);
        let response = said(&mut memory, client);
        assert!(
            response.starts_with("HTTP/1.1 408 ") && response.contains("connection: close\r\n"),
            "{response}"
        );
        assert!(response.contains("proxy-status: shuntyard; error=http_request_error\r\n"), "{response}");
        let outcomes: Vec<_> = memory.records.iter().map(|record| (record.status, record.outcome)).collect();
        assert_eq!(outcomes, [(408, Outcome::LocalReply(Cause::StreamIdle))]);
        // Its backend hears that nothing more comes, and is not at fault.
        assert_eq!(memory.attempts[0].outcome, AttemptOutcome::Abandoned);
        memory.wait(LATE);
        assert_eq!(memory.backends().contains(&backend), protocol == Protocol::Http2);
        assert!(memory.closed.contains(&client) && memory.shutdowns.contains(&client));
        let view = memory.gateway.view();
        assert_eq!((view.requests, view.reserved_octets, view.buffered_octets, view.fronts), (0, 0, 0, 0));
    }
}

/// No backend has it yet.
#[test]
fn a_request_that_waits_is_answered_too() {
    let mut memory = Memory::new(|config| {
        (config.timeouts.connect, config.upstreams[0].queue_timeout) = (2 * LATE, 2 * LATE);
    });
    memory.hold_connects = true;
    let client = memory.connect_mute();
    memory.inject(client, HALF.as_bytes());
    memory.wait(LATE);
    let response = said(&mut memory, client);
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    assert_eq!(memory.gateway.view().requests, 0);
}

/// Requests before it are answered first.
#[test]
fn what_was_asked_before_is_answered_first() {
    let mut memory = Memory::new(|config| config.timeouts.suspect_silent = Duration::from_secs(1000));
    let client = memory.connect_mute();
    let before = "GET /before HTTP/1.1\r\nhost: a\r\n\r\n";
    memory.inject(client, before.as_bytes());
    let backend = others(&memory, client)[0];
    let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
    memory.inject(client, HALF.replace("POST", "GET").as_bytes());
    assert_eq!(memory.gateway.view().requests, 2);
    memory.wait(LATE);
    assert_eq!((said(&mut memory, client).as_str(), memory.closed.len()), ("", 0));
    memory.backend(backend).send_response(stream, &ok(), true).expect("open");
    memory.settle();
    let response = said(&mut memory, client);
    let codes: Vec<_> = response.split("HTTP/1.1 ").skip(1).map(|part| &part[..3]).collect();
    assert_eq!(codes, ["200", "408"], "{response}");
    memory.wait(LATE);
    assert!(memory.closed.contains(&client));
}

/// A response that has begun cannot be taken back: it breaks off.
#[test]
fn a_response_that_has_begun_is_no_408() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    memory.inject(client, HALF.as_bytes());
    let backend = others(&memory, client)[0];
    let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
    memory.backend(backend).send_response(stream, &ok(), false).expect("open");
    memory.backend(backend).send_data(stream, b"half", false).expect("open");
    memory.settle();
    memory.wait(LATE);
    let response = said(&mut memory, client);
    assert!(response.starts_with("HTTP/1.1 200 ") && !response.contains("408"), "{response}");
    assert_eq!(memory.records[0].outcome, Outcome::ClientError);
    memory.wait(LATE);
    assert_eq!(memory.gateway.view().fronts, 0);
}
