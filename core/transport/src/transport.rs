//! One connection: what it is made of, and what it keeps between turns. What comes in is in `input`, what goes out in `sealing`.

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use shuntyard_core::config::{Alpn, Protocol};
use shuntyard_core::time::Instant;
use shuntyard_core::tls::TlsFailure;

use crate::back::{BackTls, offered};
use crate::choosing::Choosing;
use crate::failure::failure_of;
use crate::front::{Chosen, FrontTls, alpn_name};
use crate::output::{Memory, OUTPUT, Output};

/// Octets that are read from the wire at a time: several full records, and more than the longest message of a handshake that is taken.
pub(crate) const INPUT: usize = 80 << 10;
/// Plaintext of one record (RFC 8446 section 5.1).
pub(crate) const RECORD: usize = 16 << 10;

/// What one connection may hold at most, in octets: input that waits, its plaintext that waits, output that waits, the certificates of its peer
/// (a message of a handshake has 64 KiB at most) and its state. Nothing that a peer sends exceeds it.
pub const CONNECTION_OCTETS: u64 = (2 * INPUT + OUTPUT + (64 << 10) + (16 << 10)) as u64;

/// The large buffers of a worker, lent to one connection at a time.
#[derive(Debug, Default)]
pub struct Spare {
    pub(crate) input: Vec<u8>,
    pub(crate) output: Memory,
}

pub(crate) enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// One connection of TLS.
pub struct Transport {
    pub(crate) side: Side,
    /// How TLS is spoken depends on a name that has not come.
    pub(crate) choosing: Option<Box<Choosing>>,
    /// Of a client, until the handshake is done.
    pub(crate) chosen: Option<Chosen>,
    /// Of a backend: its certificate is held against authorities.
    pub(crate) verifies: bool,
    /// Octets of the wire that are no whole record yet, or whose turn has not come: those from `start` to `end`.
    pub(crate) input: Vec<u8>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// They stand in the worker's memory, which is [`INPUT`] octets long.
    pub(crate) lent: bool,
    /// The worker's memory, where octets of the wire are read to behind room for those that are held.
    pub(crate) landing: Vec<u8>,
    /// Octets that were moved from one memory to another.
    #[cfg(test)]
    pub(crate) moved: usize,
    /// Plaintext that nobody had room for.
    pub(crate) plain: Vec<u8>,
    pub(crate) output: Output,
    /// Of a backend: HTTP/2 or nothing.
    pub(crate) needs_http2: bool,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) phase: Phase,
    pub(crate) peer_ended: bool,
    /// Octets of the wire since content came last.
    pub(crate) without_content: usize,
    pub(crate) closing: bool,
    pub(crate) failure: Option<TlsFailure>,
    /// Octets sealed since the connection last rested.
    pub(crate) sealed: usize,
    pub(crate) sealed_at: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Server: nothing has come yet. The first octet tells whether it is TLS.
    Fresh,
    Handshake,
    Open,
}

impl Transport {
    /// A client's connection.
    ///
    /// # Errors
    /// The library does not work with its configuration.
    pub fn front(tls: &FrontTls) -> Result<Self, TlsFailure> {
        let chosen = tls.chosen_for(None);
        let conn =
            UnbufferedServerConnection::new(chosen.config.clone()).map_err(|error| failure_of(&error))?;
        let choosing = tls.is_by_name().then(|| Box::new(Choosing::new(tls)));
        Ok(Self { choosing, chosen: Some(chosen), ..Self::new(Side::Server(conn), Phase::Fresh) })
    }

    /// A connection to the backend that is written down as `host`. The first octets
    /// are [`pending`](Self::pending) at once.
    ///
    /// # Errors
    /// `host` cannot be in a certificate.
    pub fn back(tls: &BackTls, host: &str, alpn: Alpn) -> Result<Self, TlsFailure> {
        Self::offering(tls, host, offered(alpn), alpn)
    }

    /// A connection to the backend that is written down as `host`, which is offered this protocol only. For tests of servers.
    ///
    /// # Errors
    /// As [`back`](Self::back).
    pub fn back_by(tls: &BackTls, host: &str, protocol: Protocol) -> Result<Self, TlsFailure> {
        let alpn = if protocol == Protocol::Http2 { Alpn::Http2 } else { Alpn::Either };
        Self::offering(tls, host, vec![alpn_name(protocol).to_vec()], alpn)
    }

    pub(crate) fn offering(
        tls: &BackTls,
        host: &str,
        offered: Vec<Vec<u8>>,
        alpn: Alpn,
    ) -> Result<Self, TlsFailure> {
        let name = tls.name_for(host).map_err(|_| TlsFailure::CertificateWrongName)?;
        let asked: Arc<str> = name.to_str().into();
        // 9113-9.2-04
        let conn = UnbufferedClientConnection::new_with_alpn(tls.config.clone(), name, offered)
            .map_err(|error| failure_of(&error))?;
        let mut transport = Self::new(Side::Client(conn), Phase::Handshake);
        transport.verifies = tls.verifies;
        (transport.needs_http2, transport.name) = (alpn == Alpn::Http2, Some(asked));
        transport.step_until_rest();
        Ok(transport)
    }

    fn new(side: Side, phase: Phase) -> Self {
        Self {
            side,
            choosing: None,
            chosen: None,
            verifies: true,
            input: Vec::new(),
            start: 0,
            end: 0,
            lent: false,
            landing: Vec::new(),
            #[cfg(test)]
            moved: 0,
            plain: Vec::new(),
            output: Output::default(),
            needs_http2: false,
            name: None,
            phase,
            peer_ended: false,
            without_content: 0,
            closing: false,
            failure: None,
            sealed: 0,
            sealed_at: Instant::ZERO,
        }
    }

    /// Whether the handshake is still under way, or was when it failed.
    pub fn is_handshaking(&self) -> bool {
        self.phase != Phase::Open
    }

    /// Whether this is a client's, and not one octet has come.
    pub fn is_untouched(&self) -> bool {
        self.phase == Phase::Fresh && self.start == self.end && self.failure.is_none()
    }

    /// Whether plaintext can be sealed.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open && self.failure.is_none()
    }

    /// Why it is over, even if plaintext that came before has not been taken.
    pub fn failed(&self) -> Option<TlsFailure> {
        self.failure
    }

    /// Why it is over, once all plaintext that came before has been taken.
    pub fn failure(&self) -> Option<TlsFailure> {
        self.failure.filter(|_| self.plain.is_empty())
    }

    /// The turn is over: large buffers go back to the worker.
    pub fn rest(&mut self, spare: &mut Spare) {
        self.output.give_back(&mut spare.output);
        if !self.landing.is_empty() {
            spare.input = core::mem::take(&mut self.landing);
        }
        if core::mem::take(&mut self.lent) {
            let held = self.input[self.start..self.end].to_vec();
            self.count_moved(held.len());
            spare.input = core::mem::replace(&mut self.input, held);
            (self.start, self.end) = (0, self.input.len());
        } else if self.start == self.end {
            self.input = Vec::new();
            (self.start, self.end) = (0, 0);
        }
    }

    /// So many octets were moved: tests hold them against those that came.
    pub(crate) const fn count_moved(&mut self, _octets: usize) {
        #[cfg(test)]
        {
            self.moved += _octets;
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("open", &self.is_open())
            .field("pending", &self.pending().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Plain, Trust};

    /// A record that comes octet by octet, with a turn for each, costs about as much as one that comes at once.
    #[test]
    fn what_is_held_is_not_moved_for_every_octet_that_follows() {
        let tls = BackTls::new(&Trust::Nobody, None, None).unwrap();
        let mut transport = Transport::back(&tls, "a.example", Alpn::Either).unwrap();
        let mut spare = Spare::default();
        // The last octet of the record does not come.
        let record = [&[22, 3, 3, 0x40, 0][..], &vec![1; RECORD - 1]].concat();
        for octet in &record {
            transport.recv_buf(&mut spare).expect("there is room")[0] = *octet;
            transport.received(1);
            assert!(!transport.has_input());
            transport.rest(&mut spare);
            assert_eq!((spare.input.len(), transport.landing.len()), (INPUT, 0));
        }
        assert_eq!(transport.input[transport.start..transport.end], record[..]);
        assert!(transport.moved < 4 * record.len(), "{} octets were moved", transport.moved);
        assert!(transport.input.capacity() <= 2 * record.len());
    }

    /// Messages of a handshake that stand in many records are held too.
    #[test]
    fn so_much_waits_and_no_more() {
        let tls = BackTls::new(&Trust::Nobody, None, None).unwrap();
        let mut transport = Transport::back(&tls, "a.example", Alpn::Either).unwrap();
        let mut spare = Spare::default();
        // ServerHello, of a length that exceeds all that is taken, an octet a record.
        let message = [2, 0, 0xff, 0xff].into_iter().chain(std::iter::repeat(3));
        let records: Vec<u8> = message.take(INPUT / 3).flat_map(|octet| [22, 3, 3, 0, 1, octet]).collect();
        let (mut moved, mut most, mut last) = (0, 0, None);
        for piece in records.chunks(97) {
            let Some(room) = transport.recv_buf(&mut spare) else { break };
            let n = piece.len().min(room.len());
            room[..n].copy_from_slice(&piece[..n]);
            transport.received(n);
            most = most.max(transport.end - transport.start);
            if let Plain::Failed(failure) = transport.poll_plain(&mut []) {
                last = Some(failure);
                break;
            }
            transport.rest(&mut spare);
            assert!(transport.input.capacity() <= INPUT);
            moved = transport.moved;
        }
        assert_eq!((most, last), (INPUT, Some(TlsFailure::Misbehaved)));
        assert!(moved < 8 * INPUT, "{moved} octets were moved");
    }
}
