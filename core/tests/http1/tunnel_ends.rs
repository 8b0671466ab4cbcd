//! Tunnels whose backend has ended its direction, and whose transport ends behind that: what was said is not thrown away.

use shuntyard_core::gateway::{Closed, ConnId};
use shuntyard_core::h2::ClientEvent;
use shuntyard_core::record::{AttemptOutcome, Cause, Outcome};

use crate::memory::Memory;
use crate::said;
use crate::tunnel::{Side, agree, asking, backend_ends, client_ends};

/// The backend's transport is gone.
fn break_transport(memory: &mut Memory, backend: ConnId, why: Closed) {
    memory.peers.remove(&backend);
    memory.gateway.handle_closed(backend, why, memory.now);
    memory.settle();
}

/// What came out of the tunnel, and whether it ended in good order. Over HTTP/1.1 a close in the middle is an `Abort`.
fn received(memory: &mut Memory, client: Side) -> (usize, bool) {
    if client.stream.is_none() {
        let heard = said(memory, client.conn);
        let octets = heard.split_once("\r\n\r\n").map_or(0, |(_, content)| content.len());
        let ended = memory.shutdowns.contains(&client.conn) || memory.closed.contains(&client.conn);
        return (octets, ended && !memory.aborted.contains(&client.conn));
    }
    let (mut octets, mut ended) = (0, false);
    for _ in 0..100 {
        memory.settle();
        while let Some(event) = memory.client(client.conn).poll_event().expect("sound") {
            if let ClientEvent::Data { stream, data, credit, end } = event {
                octets += data.len();
                ended |= end;
                memory.client(client.conn).release(stream, credit);
            }
        }
    }
    (octets, ended)
}

/// The backend has said all that it had to say. Its transport breaks then, or a write to it fails: it wanted no more of what the client sends.
#[test]
fn a_tunnel_whose_backend_has_ended_outlives_the_backends_transport() {
    for (http2, http2_behind) in [(true, true), (true, false), (false, true), (false, false)] {
        for (octets, client_first) in [(4, false), (4, true), (60_000, false), (60_000, true)] {
            let (mut memory, client) = asking(http2, http2_behind, false);
            memory.release_connects();
            if client_first {
                client_ends(&mut memory, client, b"up");
            }
            let (backend, _) = agree(&mut memory, client.conn, http2_behind, false);
            // Most of it waits for the client.
            memory.deafen(client.conn);
            let content = vec![b'7'; octets];
            backend_ends(&mut memory, backend, &content);
            let why = if client_first { Closed::Reset } else { Closed::Failed };
            break_transport(&mut memory, backend.conn, why);
            memory.hear(client.conn);
            let what = (http2, http2_behind, octets, client_first);
            assert_eq!(received(&mut memory, client), (octets, true), "{what:?}");
            let outcomes: Vec<_> = memory.records.iter().map(|record| record.outcome).collect();
            let attempts: Vec<_> = memory.attempts.iter().map(|record| record.outcome).collect();
            assert_eq!((outcomes, attempts), (vec![Outcome::Complete], vec![AttemptOutcome::Complete]));
            let view = memory.gateway.view();
            assert_eq!((view.requests, view.reserved_octets, view.buffered_octets), (0, 0, 0), "{what:?}");
        }
    }
}

/// One that has not ended its direction has broken off, as far as there is a word for it: over HTTP/1.1 a tunnel ends with its connection.
#[test]
fn a_tunnel_whose_backend_has_not_ended_breaks_with_its_transport() {
    for (http2, http2_behind) in [(true, false), (false, false), (true, true), (false, true)] {
        let (mut memory, client) = asking(http2, http2_behind, false);
        memory.release_connects();
        let (backend, _) = agree(&mut memory, client.conn, http2_behind, false);
        client_ends(&mut memory, client, b"up");
        break_transport(&mut memory, backend.conn, Closed::Reset);
        assert_eq!(received(&mut memory, client), (0, !http2));
        assert_eq!(memory.records[0].outcome, Outcome::Truncated(Cause::ConnectionTerminated));
    }
}
