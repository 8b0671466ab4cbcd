//! How requests of HTTP/1.1 share the connections to backends.

use shuntyard_core::config::Scope;

use crate::memory::talk::{ok, requests};
use crate::memory::{Memory, Peer};

/// A client of HTTP/1.1 has one request at a time, so it has none to hand over to an engine of its own; an engine that clients share
/// serves it like all others.
#[test]
fn b17_clients_of_http1_stand_alone_or_share_an_engine() {
    for (share, connections) in [(Scope::Worker, 1), (Scope::Client, 5), (Scope::None, 5)] {
        let mut memory = Memory::new(|config| config.upstreams[0].share = share);
        for n in 0..5 {
            let client = memory.connect_mute();
            memory.inject(client, format!("GET /{n} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes());
        }
        assert_eq!(memory.dials.len(), connections, "{share:?}");
        assert_eq!(answer_all(&mut memory), 5);
        let mut streams: Vec<_> = memory.attempts.iter().map(|attempt| attempt.stream_id).collect();
        streams.sort_unstable();
        let expected = if connections == 1 { vec![1, 3, 5, 7, 9] } else { vec![1; 5] };
        assert_eq!(streams, expected, "{share:?}");
    }
}

/// Before the backend's SETTINGS nothing of a request goes out, and so no content does.
#[test]
fn b08_a_new_connection_gets_no_content_before_its_backend_has_spoken() {
    let mut memory = Memory::new(|_| {});
    memory.mute_backends = true;
    let client = memory.connect_mute();
    memory.inject(client, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody");
    let backend = memory.held.pop().or_else(|| memory.peers.keys().copied().find(|&id| id != client));
    let backend = backend.expect("a connection was made");
    let is_data = |octets: &[u8]| octets.windows(4).any(|piece| piece == b"body");
    assert!(!is_data(&memory.sent_to(backend)), "the preface and SETTINGS");
    // Its SETTINGS: none.
    memory.inject(backend, &[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    assert!(is_data(&memory.sent_to(backend)));
}

/// Answers what reached backends; says how many clients have an answer.
fn answer_all(memory: &mut Memory) -> usize {
    let peers = memory.peers.iter().filter(|(_, peer)| matches!(peer, Peer::Backend(_)));
    for backend in peers.map(|(&id, _)| id).collect::<Vec<_>>() {
        for (stream, _) in requests(memory, backend) {
            memory.backend(backend).send_response(stream, &ok(), true).expect("open");
        }
    }
    memory.settle();
    let peers: Vec<_> = memory.peers.keys().copied().collect();
    let mut is_answered = |&conn: &_| {
        let octets = memory.sent_to(conn);
        octets.starts_with(b"HTTP/1.1 200 ")
    };
    peers.iter().filter(|conn| is_answered(conn)).count()
}
