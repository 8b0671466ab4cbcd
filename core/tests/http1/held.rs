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

/// What was begun is broken: a chunk that is none, or the end of the connection's input.
const TURNS: [(&str, fn(&mut Memory, ConnId)); 2] = [
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
