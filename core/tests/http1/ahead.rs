//! What a client of HTTP/1.1 has sent ahead lies here whole, and is asked for whatever happens to idle connections meanwhile.

use shuntyard_core::gateway::Command;
use shuntyard_core::key::ConnId;
use shuntyard_core::time::Duration;

use crate::memory::Memory;
use crate::memory::talk::{ok, requests};
use crate::said;

/// The second waits for the end of the first, since it is not safe.
const TWO: &str = "GET /a HTTP/1.1\r\nhost: example.com\r\n\r\n\
                   POST /b HTTP/1.1\r\nhost: example.com\r\ncontent-length: 2\r\n\r\nhi";

/// The backend answers what it was asked for, by heads alone.
fn answer(memory: &mut Memory, backend: ConnId) -> usize {
    let asked = requests(memory, backend);
    for (stream, _) in &asked {
        memory.backend(backend).send_response(*stream, &ok(), true).expect("open");
    }
    memory.settle();
    asked.len()
}

#[test]
fn a_full_table_does_not_lose_it() {
    let mut memory = Memory::new(|config| config.max_fronts = 1);
    let client = memory.connect_mute();
    memory.inject(client, TWO.as_bytes());
    let backend = backend(&memory, client);
    assert_eq!(answer(&mut memory, backend), 1);
    assert_eq!(answer(&mut memory, backend), 1, "the second one, too");
    assert_eq!(said(&mut memory, client).matches("HTTP/1.1 200 ").count(), 2);
}

#[test]
fn a_drain_does_not_lose_it() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    memory.inject(client, TWO.as_bytes());
    let backend = backend(&memory, client);
    let (stream, _) = requests(&mut memory, backend).pop().expect("the first");
    // Its head is on its way and says nothing of an end.
    memory.backend(backend).send_response(stream, &ok(), false).expect("open");
    memory.settle();
    memory.gateway.handle_command(Command::Drain { deadline: Duration::from_secs(60) }, memory.now);
    memory.settle();
    memory.wait(Duration::from_secs(2));
    memory.backend(backend).send_data(stream, b"a", true).expect("open");
    memory.settle();
    assert_eq!(answer(&mut memory, backend), 1, "the second one, too");
    let said = said(&mut memory, client);
    let (first, last) = said.split_once("\r\n\r\n1\r\na\r\n0\r\n\r\n").expect("two responses");
    assert!(!first.contains("connection: close"), "{first}");
    assert!(last.starts_with("HTTP/1.1 200 ") && last.contains("connection: close"), "{last}");
    // It lingers for a client that says no more.
    memory.wait(Duration::from_secs(20));
    assert_eq!(memory.drained, Some(0));
}

fn backend(memory: &Memory, client: ConnId) -> ConnId {
    memory.peers.keys().copied().find(|&id| id != client).expect("a backend")
}
