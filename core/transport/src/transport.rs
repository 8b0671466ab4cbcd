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

    fn offering(tls: &BackTls, host: &str, offered: Vec<Vec<u8>>, alpn: Alpn) -> Result<Self, TlsFailure> {
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
        if self.input.len() == INPUT {
            let held = self.input[self.start..self.end].to_vec();
            spare.input = core::mem::replace(&mut self.input, held);
            (self.start, self.end) = (0, self.input.len());
        } else if self.start == self.end {
            self.input = Vec::new();
            (self.start, self.end) = (0, 0);
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
