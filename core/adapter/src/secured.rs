//! A connection with TLS between its socket and the gateway: what both adapters do with it when the socket is ready.

use std::io;
use std::sync::Arc;

use shuntyard_core::address::Address;
use shuntyard_core::gateway::{Closed, ConnId, RecvBuf};
use shuntyard_core::time::Instant;
use shuntyard_core::tls::TlsFailure;
use shuntyard_transport::{Plain, Spare, Transport};

use crate::{Notice, Recorded, TURN_OCTETS, transfer_failure};

/// Octets of a client that was turned away which are thrown away before patience ends.
const LINGER_OCTETS: usize = 1 << 20;

/// A socket that does not block: it says `WouldBlock` where nothing is to be had.
pub trait Wire {
    /// Reads what there is.
    ///
    /// # Errors
    /// The system's.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// Writes what there is room for.
    ///
    /// # Errors
    /// The system's.
    fn write(&mut self, octets: &[u8]) -> io::Result<usize>;
}

/// How a turn of reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The socket has no more.
    Idle,
    /// There may be more, but it is the others' turn.
    Again,
    /// The gateway wants no more.
    Paused,
    /// The peer will send nothing any more.
    Ended,
    /// The gateway has forgotten the connection.
    Gone,
    /// The client is turned away: write what is left, and tell what there is to [tell](Secured::complaint). It is read from until it has ended, or the
    /// gateway wants it closed: a socket that is closed before destroys what is on its way, and the client would never learn why.
    Refused(Closed),
    /// It is over: write what is left, close the socket, and tell the gateway.
    Failed(Closed),
}

/// How a turn of writing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// All has left.
    Done,
    /// The socket has no more room.
    Full,
    /// All has left, the end included: shut the sending direction of the socket down.
    Shutdown,
    /// It is over: close the socket, and tell the gateway.
    Failed(Closed),
}

/// A connection with TLS.
#[derive(Debug)]
pub struct Secured {
    transport: Transport,
    /// A client, and where it came in.
    pub client: Option<(Address, Address)>,
    /// A backend: its upstream, and who it has to be.
    backend: Option<(Arc<str>, Arc<str>)>,
    /// The gateway has ended what it sends.
    shutdown: bool,
    ended: bool,
    leaving: Option<Leaving>,
    told: bool,
}

/// A client that was turned away and may not have read why.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    why: Closed,
    /// Octets that were thrown away since.
    discarded: usize,
    /// It has been told that nothing follows.
    shut: bool,
}

impl Secured {
    /// With TLS on both its sides: what a client is known by is told where its handshake fails.
    pub const fn new(transport: Transport, client: Option<(Address, Address)>) -> Self {
        Self { transport, client, backend: None, shutdown: false, ended: false, leaving: None, told: false }
    }

    /// With a backend of this upstream, which has to be this host: where TLS with it fails, that is told.
    pub(crate) fn of_backend(transport: Transport, upstream: Arc<str>, host: Arc<str>) -> Self {
        Self { backend: Some((upstream, host)), ..Self::new(transport, None) }
    }

    /// With a client that has just arrived. Where the gateway has refused it, because it has as many connections as it may, there is nothing to
    /// tell of a handshake.
    pub fn arriving(
        transport: Transport,
        client: (Address, Address),
        gateway: &Recorded,
        conn: ConnId,
    ) -> Self {
        let mut secured = Self::new(transport, Some(client));
        secured.told = !gateway.knows(conn);
        secured
    }

    /// Likewise, of one that the gateway has refused when it learnt who it is.
    pub(crate) const fn refused(&mut self) {
        self.told = true;
    }

    /// Whether the handshake is still under way, or was when it failed.
    pub fn is_handshaking(&self) -> bool {
        self.transport.is_handshaking()
    }

    /// Whether the handshake is done, and nothing has failed since.
    pub fn is_open(&self) -> bool {
        self.transport.is_open()
    }

    /// Whether there is something to read without another octet of the socket.
    pub fn has_input(&self) -> bool {
        !self.ended && self.leaving.is_none() && self.transport.has_input()
    }

    /// Whether octets wait for the socket.
    pub fn has_output(&self) -> bool {
        !self.transport.pending().is_empty()
    }

    /// Whether there is something to write although the gateway has nothing to say.
    pub fn wants_write(&self) -> bool {
        self.has_output() || self.leaving.is_some_and(|leaving| !leaving.shut)
    }

    /// What there is to tell of a client whose connection ended so: once, whoever finds it first. Whoever has begun to shake hands and is gone has
    /// failed, however it went. Whoever has not said a word has looked whether somebody listens. Of a backend it is told where TLS has failed, be it after
    /// its handshake: one that is not shown the certificate that it asks for says so afterwards.
    pub fn complaint(&mut self, why: Closed) -> Option<Notice> {
        if let Some((upstream, host)) = &self.backend {
            let failure = match why {
                Closed::Tls(failure) => failure,
                // A handshake that was reset, by whom it was begun with or by somebody between.
                _ if self.transport.is_handshaking() => TlsFailure::Interrupted,
                _ => return None,
            };
            // What ends at the gateway's own deadline nobody has said why.
            let first = failure != TlsFailure::TimedOut && !core::mem::replace(&mut self.told, true);
            let (upstream, host) = (upstream.clone(), host.clone());
            return first.then_some(Notice::BackendTlsFailed { upstream, host, failure });
        }
        let begun = self.is_handshaking() && !self.transport.is_untouched();
        let (client, listener) = self.client.clone().filter(|_| begun)?;
        let failure = match why {
            Closed::Tls(failure) => failure,
            _ => TlsFailure::Interrupted,
        };
        let first = !core::mem::replace(&mut self.told, true);
        first.then_some(Notice::HandshakeFailed { client, listener, failure })
    }

    /// Nothing follows what the gateway has sent: the peer is told so, then [`Writing::Shutdown`].
    pub const fn shut_down(&mut self) {
        self.shutdown = true;
    }

    /// Octets that were read before the handshake began.
    pub fn receive(&mut self, octets: &[u8], spare: &mut Spare) {
        if let Some(room) = self.transport.recv_buf(spare) {
            // A fresh connection has room for more than anybody reads at a time.
            let n = octets.len().min(room.len());
            room[..n].copy_from_slice(&octets[..n]);
            self.transport.received(n);
        }
        self.transport.rest(spare);
    }

    /// A turn of reading: the octets of the socket become those of the gateway.
    pub fn read(
        &mut self,
        wire: &mut impl Wire,
        gateway: &mut Recorded,
        (conn, now): (ConnId, Instant),
        spare: &mut Spare,
    ) -> Reading {
        if let Some(leaving) = &mut self.leaving {
            return leaving.read(wire);
        }
        let reading = self.read_on(wire, gateway, (conn, now), spare);
        self.transport.rest(spare);
        self.ended |= reading == Reading::Ended;
        reading
    }

    fn read_on(
        &mut self,
        wire: &mut impl Wire,
        gateway: &mut Recorded,
        (conn, now): (ConnId, Instant),
        spare: &mut Spare,
    ) -> Reading {
        let mut octets = 0;
        loop {
            while self.transport.has_input() {
                // Before the handshake is done, there is nothing that the gateway could take.
                let plain = if self.transport.may_fill() {
                    match gateway.recv_buf(conn) {
                        RecvBuf::Buffer(buffer) => self.transport.poll_plain(buffer),
                        RecvBuf::Pause => return Reading::Paused,
                        RecvBuf::Gone => return Reading::Gone,
                    }
                } else {
                    self.transport.poll_plain(&mut [])
                };
                match plain {
                    Plain::Octets(n) => gateway.handle_recv(conn, n, now),
                    Plain::Connected(facts) => gateway.handle_connected(conn, facts, now),
                    Plain::Starved => break,
                    Plain::Ended => {
                        gateway.handle_read_closed(conn, now);
                        return Reading::Ended;
                    }
                    Plain::Failed(failure) => return self.refuse(Closed::Tls(failure)),
                }
            }
            if octets >= TURN_OCTETS {
                return Reading::Again;
            }
            let Some(room) = self.transport.recv_buf(spare) else {
                return Reading::Failed(Closed::Tls(TlsFailure::Misbehaved));
            };
            match wire.read(room) {
                Ok(0) => return Reading::Failed(self.cut()),
                Ok(n) => {
                    octets += n;
                    self.transport.received(n);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Reading::Idle,
                    io::ErrorKind::Interrupted => {}
                    _ => return Reading::Failed(transfer_failure(&error)),
                },
            }
        }
    }

    /// TLS has failed. A client whose handshake it ends has asked for nothing yet, and may still be at it: it is given time to read why.
    fn refuse(&mut self, why: Closed) -> Reading {
        if self.client.is_none() || !self.is_handshaking() {
            return Reading::Failed(why);
        }
        self.leaving = Some(Leaving { why, discarded: 0, shut: false });
        Reading::Refused(why)
    }

    /// The socket has ended without a word of TLS: whoever is between may have cut off what was to come (RFC 9112 section 9.8). Whoever has said
    /// nothing at all has looked whether somebody listens.
    fn cut(&self) -> Closed {
        if self.transport.is_open() || self.transport.is_untouched() {
            Closed::Reset
        } else {
            Closed::Tls(TlsFailure::Interrupted)
        }
    }

    /// A turn of writing: what waits, then what the gateway has, until there is nothing more or no room.
    pub fn write(
        &mut self,
        wire: &mut impl Wire,
        gateway: &mut Recorded,
        (conn, now): (ConnId, Instant),
        spare: &mut Spare,
    ) -> Writing {
        let writing = self.write_on(wire, gateway, (conn, now), spare);
        self.transport.rest(spare);
        writing
    }

    /// Whether octets for a backend wait of which the gateway does not know that they have left. When the connection is over, the requests in
    /// them may be on another connection.
    fn holds_requests(&self) -> bool {
        self.client.is_none() && self.transport.holds_plaintext()
    }

    /// Whether the gateway has given up some of those: what it shows no longer has them in front. Their requests may be on another connection.
    fn is_given_up(&self, gateway: &Recorded, conn: ConnId) -> bool {
        self.holds_requests() && gateway.shown(conn).len() < self.transport.plaintext()
    }

    fn write_on(
        &mut self,
        wire: &mut impl Wire,
        gateway: &mut Recorded,
        (conn, now): (ConnId, Instant),
        spare: &mut Spare,
    ) -> Writing {
        loop {
            while self.has_output() {
                if self.is_given_up(gateway, conn) {
                    return Writing::Done;
                }
                match wire.write(self.transport.pending()) {
                    Ok(n) => {
                        let plaintext = self.transport.left(n);
                        if plaintext > 0 {
                            gateway.handle_sent(conn, plaintext, now);
                        }
                    }
                    Err(error) => match error.kind() {
                        io::ErrorKind::WouldBlock => return Writing::Full,
                        io::ErrorKind::Interrupted => {}
                        _ => return Writing::Failed(transfer_failure(&error)),
                    },
                }
            }
            if let Some(leaving) = &mut self.leaving {
                let told = core::mem::replace(&mut leaving.shut, true);
                return if told { Writing::Done } else { Writing::Shutdown };
            }
            // The peer has been told; now the gateway is.
            if let Some(failure) = self.transport.failure() {
                return Writing::Failed(Closed::Tls(failure));
            }
            if let Some(failure) = self.transport.failed() {
                // The gateway may take what came before only when its output has left, which cannot be.
                let is_stuck = gateway.poll_transmit(conn, now).is_some();
                return if is_stuck { Writing::Failed(Closed::Tls(failure)) } else { Writing::Done };
            }
            if !self.transport.is_open() {
                return Writing::Done;
            }
            match gateway.poll_transmit(conn, now) {
                Some(octets) => {
                    self.transport.seal(octets, spare, now);
                    if !self.has_output() && self.transport.is_open() {
                        return Writing::Failed(Closed::Tls(TlsFailure::Internal));
                    }
                }
                None if self.shutdown => {
                    self.transport.close();
                    if !self.has_output() {
                        return Writing::Shutdown;
                    }
                }
                None => return Writing::Done,
            }
        }
    }

    /// Last words, as far as the socket takes them: what waits, alerts among it, and, where all that the gateway had has left (`whole`), that
    /// nothing follows. Behind a message that was cut off that would say that the message was whole (RFC 9112 section 9.8). What the peer has
    /// sent meanwhile is thrown away, for a socket that is closed before it was read destroys what is on its way. Of requests nothing leaves
    /// any more.
    pub fn farewell(&mut self, wire: &mut impl Wire, spare: &mut Spare, whole: bool) {
        if whole && !self.has_output() {
            self.transport.close();
        }
        while self.has_output() && !self.holds_requests() {
            match wire.write(self.transport.pending()) {
                Ok(n) if n > 0 => _ = self.transport.left(n),
                _ => break,
            }
        }
        let mut last = [0; 4096];
        let mut patience = TURN_OCTETS / last.len();
        while patience > 0 && matches!(wire.read(&mut last), Ok(1..)) {
            patience -= 1;
        }
        self.transport.rest(spare);
    }
}

impl Leaving {
    /// A turn of reading: what comes is nobody's.
    fn read(&mut self, wire: &mut impl Wire) -> Reading {
        let (mut nobodys, mut octets) = ([0; 4096], 0);
        while self.discarded < LINGER_OCTETS {
            if octets >= TURN_OCTETS {
                return Reading::Again;
            }
            match wire.read(&mut nobodys) {
                Ok(0) => break,
                Ok(n) => {
                    octets += n;
                    self.discarded += n;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Reading::Idle,
                    io::ErrorKind::Interrupted => {}
                    _ => break,
                },
            }
        }
        Reading::Failed(self.why)
    }
}
