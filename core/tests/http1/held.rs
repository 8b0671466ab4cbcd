//! Responses that wait for their client, whose request will never be whole: what they hold is counted until it has left.

use shuntyard_core::key::ConnId;
use shuntyard_core::record::{Cause, Outcome};
use shuntyard_core::time::Duration;

use crate::memory::Memory;
use crate::memory::talk::{ok, requests};
use crate::said;

const CONTENT: usize = 60_000;

/// A client that has begun a request, whose answer lies whole in the gateway, and takes nothing of it.
fn held(framing: &str) -> (Memory, ConnId) {
    let mut memory = Memory::new(|config| config.front.outbox_high_mark = 8_000);
    let client = memory.connect_mute();
    memory.deafen(client);
    memory.inject(client, format!("GET / HTTP/1.1\r\nhost: example.com\r\n{framing}\r\n\r\n").as_bytes());
    let backend = memory.backends().into_iter().find(|&id| id != client).expect("a backend");
    let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
    memory.backend(backend).send_response(stream, &ok(), false).expect("open");
    memory.backend(backend).send_data(stream, &[b'x'; CONTENT], true).expect("open");
    memory.settle();
    assert!(memory.gateway.view().reserved_octets > 40_000);
    (memory, client)
}

type Turn = fn(&mut Memory, ConnId);

/// What was begun is broken: a chunk that is none, or the end of the connection's input.
const TURNS: [(&str, Turn); 2] = [
    ("transfer-encoding: chunked", |memory, client| memory.inject(client, b"zz\r\n")),
    ("content-length: 9", |memory, client| memory.shut(client)),
];

#[test]
fn what_waits_for_a_client_is_reserved_whatever_became_of_its_request() {
    for (framing, turn) in TURNS {
        let (mut memory, client) = held(framing);
        turn(&mut memory, client);
        assert!(memory.gateway.view().reserved_octets > 40_000, "{framing}");
        assert!(memory.records.is_empty(), "{framing}: it goes on");
        // An octet now and then is nothing.
        for _ in 0..4 {
            memory.wait(Duration::from_secs(30));
            if memory.gateway.poll_transmit(client, memory.now).is_some() {
                memory.gateway.handle_sent(client, 1, memory.now);
                memory.settle();
            }
        }
        let outcome = memory.records.first().map(|record| &record.outcome);
        assert_eq!(outcome, Some(&Outcome::Truncated(Cause::StreamIdle)), "{framing}");
        assert_eq!(memory.gateway.view().reserved_octets, 0, "{framing}");
        memory.wait(Duration::from_secs(120));
        assert!(memory.closed.contains(&client) || memory.aborted.contains(&client), "{framing}");
    }
}

#[test]
fn who_takes_it_has_it_whole() {
    for (framing, turn) in TURNS {
        let (mut memory, client) = held(framing);
        turn(&mut memory, client);
        memory.hear(client);
        let content = said(&mut memory, client).matches('x').count();
        assert_eq!((content, &memory.records[0].outcome), (CONTENT, &Outcome::Complete), "{framing}");
        assert!(memory.aborted.is_empty() && memory.closed.len() + memory.shutdowns.len() == 1, "{framing}");
        assert_eq!(memory.gateway.view().reserved_octets, 0, "{framing}");
    }
}

/// A route's time is over while a response that has no content waits for those before: it has had its end, and is told as it is.
#[test]
fn a_whole_response_in_line_is_not_late() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    memory.inject(client, b"GET /1 HTTP/1.1\r\nhost: a\r\n\r\n");
    memory.reconfigure(|config| config.routes[0].timeout = Some(Duration::from_secs(5)));
    memory.inject(client, b"HEAD /2 HTTP/1.1\r\nhost: a\r\n\r\n");
    let backend = memory.backends().into_iter().find(|&id| id != client).expect("a backend");
    let asked = requests(&mut memory, backend);
    let streams: Vec<_> = asked.iter().map(|(stream, _)| *stream).collect();
    memory.backend(backend).send_response(streams[1], &ok(), true).expect("open");
    memory.settle();
    memory.wait(Duration::from_secs(7));
    assert!(memory.records.is_empty());
    memory.backend(backend).send_response(streams[0], &ok(), true).expect("open");
    memory.settle();
    let outcomes: Vec<_> = memory.records.iter().map(|record| (record.status, record.outcome)).collect();
    assert_eq!(outcomes, [(200, Outcome::Complete); 2]);
}
