//! TLS between a client's socket and its connection: the gateway's own layer, in the client's place.

use std::io;
use std::time::Instant;

use shuntyard_adapter::transport::{BackTls, Plain, Spare, Transport};
use shuntyard_core::config::{Alpn, Protocol};
use shuntyard_core::time::Instant as Moment;

use super::certificate::CLIENTS_NAME;
use super::link::Peer;

/// One client's end of TLS, with HTTP/2 in it.
#[derive(Debug)]
pub(super) struct Secure {
    transport: Transport,
    spare: Spare,
    begun: Instant,
}

/// What came out of what was received.
pub(super) enum Opened {
    /// So many octets.
    Octets(usize),
    /// Nothing: more must be received.
    Starved,
    /// The other side has said that nothing follows.
    Ended,
}

impl Secure {
    /// Begins a handshake.
    pub(super) fn new(tls: &BackTls) -> io::Result<Self> {
        let transport = Transport::back(tls, CLIENTS_NAME, Alpn::Http2).map_err(failed)?;
        Ok(Self { transport, spare: Spare::default(), begun: Instant::now() })
    }

    /// Room for octets of the socket, which is not empty once all that can be opened was opened.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.transport.recv_buf(&mut self.spare).unwrap_or_default()
    }

    /// So many octets were put into the room.
    pub(super) fn received(&mut self, n: usize) {
        self.transport.received(n);
    }

    /// Opens what was received.
    pub(super) fn open(&mut self, into: &mut [u8]) -> io::Result<Opened> {
        while self.transport.has_input() {
            match self.transport.poll_plain(into) {
                Plain::Octets(n) => return Ok(Opened::Octets(n)),
                Plain::Connected(found) if found.protocol == Some(Protocol::Http2) => {}
                Plain::Connected(_) => return Err(io::Error::other("the gateway does not speak HTTP/2")),
                Plain::Starved => break,
                Plain::Ended => return Ok(Opened::Ended),
                Plain::Failed(failure) => return Err(failed(failure)),
            }
        }
        Ok(Opened::Starved)
    }

    /// Octets for the socket: those that wait, or the peer's next. None before the handshake has an answer.
    pub(super) fn seal(&mut self, peer: &mut impl Peer) -> Option<&[u8]> {
        if self.transport.pending().is_empty()
            && self.transport.is_open()
            && let Some(octets) = peer.transmit()
        {
            let now = Moment::ZERO + self.begun.elapsed();
            self.transport.seal(octets, &mut self.spare, now);
        }
        Some(self.transport.pending()).filter(|octets| !octets.is_empty())
    }

    /// The socket took `n` octets: so many of the peer's are in records that have left whole.
    pub(super) fn left(&mut self, n: usize) -> usize {
        self.transport.left(n)
    }
}

fn failed(failure: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("TLS: {failure}"))
}
