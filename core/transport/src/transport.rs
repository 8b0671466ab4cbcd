//! One connection: octets of the wire to plaintext and back.

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{CommonState, Error, HandshakeKind};
use shuntyard_core::config::{Alpn, Protocol};
use shuntyard_core::gateway::Connected;
use shuntyard_core::time::{Duration, Instant};
use shuntyard_core::tls::{TlsFacts, TlsFailure};

use crate::back::{BackTls, offered};
use crate::failure::failure_of;
use crate::front::{FrontTls, alpn_name, alpn_protocol};
use crate::identity::take_asked;
use crate::output::{BATCH, Memory, Output};
use crate::provider::sha256;

/// Octets that are read from the wire at a time: several full records, and more than the longest message of a handshake that is taken.
const INPUT: usize = 80 << 10;
/// Plaintext of one record (RFC 8446 section 5.1).
const RECORD: usize = 16 << 10;
/// What stands in front of a record.
const HEADER: usize = 5;
/// What a record is longer than its plaintext, at most: header, explicit nonce, type, tag.
const OVERHEAD: usize = 64;
/// Plaintext of a record that fits into one TCP segment with room to spare: its receiver need not wait for a second one.
const SMALL_RECORD: usize = 1360;
/// After so many octets without a pause the path is no longer slow to start, and full records are cheaper.
const SMALL_OCTETS: usize = 48 << 10;
/// A connection that has rested so long starts slowly again, as TCP does (RFC 5681 section 4.1).
const REST: Duration = Duration::from_secs(1);

/// The answer to a client that speaks HTTP in clear where TLS is spoken.
const CLEAR_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 53\r\n\
    connection: close\r\n\
    \r\n\
    This port speaks TLS. Ask again with https:// instead";

/// The large buffers of a worker, lent to one connection at a time.
#[derive(Debug, Default)]
pub struct Spare {
    input: Vec<u8>,
    output: Memory,
}

/// What came of the wire.
#[derive(Debug)]
pub enum Plain {
    /// So many octets of plaintext were put in front, at least one.
    Octets(usize),
    /// The handshake is done. Plaintext may follow at once.
    Connected(Connected),
    /// More octets of the wire are needed.
    Starved,
    /// The peer has ended its direction, by word (close_notify).
    Ended,
    /// It is over. What is [`pending`](Transport::pending) tells the peer why.
    Failed(TlsFailure),
}

enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// One connection of TLS.
pub struct Transport {
    side: Side,
    /// Octets of the wire that are no whole record yet, or whose turn has not come: those from `start` to `end`.
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// Plaintext that nobody had room for.
    plain: Vec<u8>,
    output: Output,
    /// Of a backend: HTTP/2 or nothing.
    needs_http2: bool,
    name: Option<Arc<str>>,
    phase: Phase,
    peer_ended: bool,
    closing: bool,
    failure: Option<TlsFailure>,
    /// Octets sealed since the connection last rested.
    sealed: usize,
    sealed_at: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Server: nothing has come yet. The first octet tells whether it is TLS.
    Fresh,
    Handshake,
    Open,
}

/// What one step came to.
enum Step {
    Again,
    /// rustls wants nothing but input or output.
    Rest,
}

impl Transport {
    /// A client's connection.
    ///
    /// # Errors
    /// The library does not work with its configuration.
    pub fn front(tls: &FrontTls) -> Result<Self, TlsFailure> {
        let conn = UnbufferedServerConnection::new(tls.config.clone()).map_err(|error| failure_of(&error))?;
        Ok(Self::new(Side::Server(conn), Phase::Fresh))
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
        let conn = UnbufferedClientConnection::new_with_alpn(tls.config.clone(), name, offered)
            .map_err(|error| failure_of(&error))?;
        let mut transport = Self::new(Side::Client(conn), Phase::Handshake);
        (transport.needs_http2, transport.name) = (alpn == Alpn::Http2, Some(asked));
        transport.step_until_rest();
        Ok(transport)
    }

    fn new(side: Side, phase: Phase) -> Self {
        Self {
            side,
            input: Vec::new(),
            start: 0,
            end: 0,
            plain: Vec::new(),
            output: Output::default(),
            needs_http2: false,
            name: None,
            phase,
            peer_ended: false,
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
}

/// What comes in.
impl Transport {
    /// Where octets of the wire may be read to; `None` where so many wait that some must be taken first.
    pub fn recv_buf(&mut self, spare: &mut Spare) -> Option<&mut [u8]> {
        if self.input.len() < INPUT {
            // Held octets move to the front of the worker's memory.
            let held = core::mem::replace(&mut self.input, core::mem::take(&mut spare.input));
            self.input.resize(INPUT, 0);
            let held = &held[self.start..self.end];
            self.input[..held.len()].copy_from_slice(held);
            (self.start, self.end) = (0, held.len());
        } else if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.input.len() { None } else { Some(&mut self.input[self.end..]) }
    }

    /// `n` octets were read to where [`recv_buf`](Self::recv_buf) had said.
    pub fn received(&mut self, n: usize) {
        self.end = (self.end + n).min(self.input.len());
    }

    /// Whether [`poll_plain`](Self::poll_plain) has something to say without another octet of the wire.
    pub fn has_input(&self) -> bool {
        !self.plain.is_empty() || self.peer_ended || self.failure.is_some() || self.has_record()
    }

    /// Whether a whole record waits.
    fn has_record(&self) -> bool {
        match &self.input[self.start..self.end] {
            [] => false,
            // What does not begin like a record is looked at at once.
            [kind, ..] if !(20..=24).contains(kind) => true,
            [_, _, _, high, low, rest @ ..] => rest.len() >= usize::from(u16::from_be_bytes([*high, *low])),
            _ => false,
        }
    }

    /// Plaintext, or what else the wire says. Stops in front of a record for which there may be no room.
    pub fn poll_plain(&mut self, into: &mut [u8]) -> Plain {
        if let Some(failure) = self.failure {
            return Plain::Failed(failure);
        }
        if self.phase == Phase::Fresh && self.start < self.end {
            self.phase = Phase::Handshake;
            if let Some(answer) = answer_in_clear(&self.input[self.start..self.end]) {
                self.output.extend(answer);
                return self.fail(TlsFailure::NotTls);
            }
        }
        let mut filled = self.take_plain(into);
        while into.len() - filled >= RECORD || filled == 0 {
            let (step, n) = match self.step(&mut into[filled..]) {
                Ok(step) => step,
                Err(failure) => return Plain::Failed(failure),
            };
            filled += n;
            if self.phase != Phase::Open && !self.common().is_handshaking() {
                // What came behind the handshake waits until the gateway has heard of it.
                if filled > 0 {
                    self.plain.extend_from_slice(&into[..filled]);
                }
                return self.connected();
            }
            if matches!(step, Step::Rest) || filled > 0 && filled == into.len() {
                break;
            }
        }
        match filled {
            0 if self.peer_ended => Plain::Ended,
            0 if self.end - self.start == self.input.len() && self.input.len() == INPUT => {
                // A message of a handshake that is longer than all memory for it.
                self.fail(TlsFailure::Misbehaved)
            }
            0 => Plain::Starved,
            n => Plain::Octets(n),
        }
    }

    fn take_plain(&mut self, into: &mut [u8]) -> usize {
        let n = self.plain.len().min(into.len());
        into[..n].copy_from_slice(&self.plain[..n]);
        self.plain.drain(..n);
        if self.plain.is_empty() {
            self.plain = Vec::new();
        }
        n
    }

    fn connected(&mut self) -> Plain {
        self.phase = Phase::Open;
        // In TLS 1.2 the server's last words of the handshake are still to come, and the client waits for them.
        self.step_until_rest();
        let common = self.common();
        let protocol = common.alpn_protocol().and_then(alpn_protocol);
        let facts = TlsFacts {
            server_name: self.name.clone(),
            certificate: common
                .peer_certificates()
                .and_then(<[_]>::first)
                .map(|first| Arc::new(sha256(first))),
            resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
        };
        // RFC 9113 section 3.2: HTTP/2 is spoken where ALPN has said so. HTTP/1.1 needs no word.
        if self.needs_http2 && protocol != Some(Protocol::Http2) {
            return self.fail(TlsFailure::NoProtocol);
        }
        let protocol = match self.side {
            Side::Server(_) => protocol,
            Side::Client(_) => Some(protocol.unwrap_or(Protocol::Http1)),
        };
        Plain::Connected(Connected { protocol, tls: Some(Arc::new(facts)) })
    }

    /// The wire has ended (FIN). True where the peer had said so before (close_notify), and nothing of what it sent is missing.
    pub fn wire_ended(&mut self) -> bool {
        self.peer_ended
    }

    fn fail(&mut self, failure: TlsFailure) -> Plain {
        self.failure = Some(failure);
        Plain::Failed(failure)
    }

    fn common(&self) -> &CommonState {
        match &self.side {
            Side::Server(conn) => conn,
            Side::Client(conn) => conn,
        }
    }

    fn step_until_rest(&mut self) {
        while self.failure.is_none() && matches!(self.step(&mut []), Ok((Step::Again, _))) {}
    }

    /// One step; says how much plaintext was put in front.
    fn step(&mut self, into: &mut [u8]) -> Result<(Step, usize), TlsFailure> {
        self.call(into).map_err(|error| {
            let failure = failure_of(&error);
            self.failure = Some(failure);
            // What the library has to say about it to the peer comes out of the next call. Where input is left that would be looked at
            // again, there is no further one.
            while matches!(self.call(&mut []), Ok((Step::Again, _))) && self.start == self.end {}
            failure
        })
    }

    /// One call of the library.
    fn call(&mut self, into: &mut [u8]) -> Result<(Step, usize), Error> {
        let input = &mut self.input[self.start..self.end];
        let mut hands = Hands {
            output: &mut self.output,
            plain: &mut self.plain,
            peer_ended: &mut self.peer_ended,
            into,
            filled: 0,
        };
        let (discard, step) = match &mut self.side {
            Side::Server(conn) => {
                let taken = hands.take(conn.process_tls_records(input));
                let asked = take_asked();
                self.name = self.name.take().or(asked);
                taken
            }
            Side::Client(conn) => hands.take(conn.process_tls_records(input)),
        };
        let filled = hands.filled;
        self.start += discard;
        if self.start >= self.end {
            (self.start, self.end) = (0, 0);
        }
        step.map(|step| (step, filled))
    }
}

/// What a step may touch.
struct Hands<'a> {
    output: &'a mut Output,
    plain: &'a mut Vec<u8>,
    peer_ended: &'a mut bool,
    into: &'a mut [u8],
    filled: usize,
}

impl Hands<'_> {
    /// Does what the library asks for; says how many octets of the input are done with.
    fn take<Data>(&mut self, status: UnbufferedStatus<'_, '_, Data>) -> (usize, Result<Step, Error>) {
        let mut discard = status.discard;
        let step = match status.state {
            Err(error) => Err(error),
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => {
                            discard += record.discard;
                            self.put(record.payload);
                        }
                        Err(error) => return (discard, Err(error)),
                    }
                }
                Ok(Step::Again)
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
                    let room = self.output.room(size.required_size);
                    if let Ok(n) = data.encode(room) {
                        self.output.put(n, 0);
                    }
                }
                Ok(Step::Again)
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                // It leaves in its order: nothing overtakes what is in the output.
                data.done();
                Ok(Step::Again)
            }
            Ok(ConnectionState::PeerClosed) => {
                *self.peer_ended = true;
                Ok(Step::Again)
            }
            // Early data is never accepted, and so never shown.
            Ok(ConnectionState::ReadEarlyData(_)) => Err(Error::General("early data".to_owned())),
            Ok(_) => Ok(Step::Rest),
        };
        (discard, step)
    }

    fn put(&mut self, payload: &[u8]) {
        let n = if self.plain.is_empty() { payload.len().min(self.into.len() - self.filled) } else { 0 };
        self.into[self.filled..self.filled + n].copy_from_slice(&payload[..n]);
        self.filled += n;
        self.plain.extend_from_slice(&payload[n..]);
    }
}

/// What goes out.
impl Transport {
    /// Seals the plaintext, or as much of it as leaves at a time, for the wire. Call it when nothing is [`pending`](Self::pending), with what
    /// the gateway shows; [`left`](Self::left) tells when it has gone.
    pub fn seal(&mut self, plaintext: &[u8], spare: &mut Spare, now: Instant) {
        if !self.is_open() || self.closing {
            return;
        }
        if now.saturating_since(self.sealed_at) >= REST {
            self.sealed = 0;
        }
        self.sealed_at = now;
        self.output.borrow(&mut spare.output);
        // Answers to what the peer has said stand in front: tickets, new keys.
        self.step_until_rest();
        let mut rest = &plaintext[..plaintext.len().min(BATCH)];
        while !rest.is_empty() {
            let size = if self.sealed < SMALL_OCTETS { SMALL_RECORD } else { RECORD };
            let (record, behind) = rest.split_at(size.min(rest.len()));
            let sealed = self.encrypt(record.len() + OVERHEAD, |writer, room| writer.encrypt(record, room));
            let Some(n) = sealed else {
                self.failure = Some(TlsFailure::Internal);
                return;
            };
            self.output.put(n, record.len());
            self.sealed += record.len();
            rest = behind;
        }
    }

    /// Says that nothing more is to come (close_notify). It is [`pending`](Self::pending) then.
    pub fn close(&mut self) {
        if !self.is_open() || core::mem::replace(&mut self.closing, true) {
            return;
        }
        self.step_until_rest();
        if let Some(n) = self.encrypt(OVERHEAD, |writer, room| writer.close_notify(room)) {
            self.output.put(n, 0);
        }
    }

    /// Octets that wait for the wire.
    pub fn pending(&self) -> &[u8] {
        self.output.pending()
    }

    /// The wire took `n` of the octets: says how much plaintext has left with them, in whole records.
    pub fn left(&mut self, n: usize) -> usize {
        self.output.left(n)
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

    /// Puts something sealed into the output. `None` where the library does not, which its limits alone can be the reason of.
    fn encrypt(
        &mut self,
        room: usize,
        put: impl Fn(&mut dyn Writer, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Option<usize> {
        // It writes when it has nothing else to say: each step before that takes something of the input, or empties a queue of its own.
        self.step_until_rest();
        if self.failure.is_some() {
            return None;
        }
        let input = &mut self.input[self.start..self.end];
        let room = self.output.room(room);
        match &mut self.side {
            Side::Server(conn) => write(conn.process_tls_records(input), room, &put),
            Side::Client(conn) => write(conn.process_tls_records(input), room, &put),
        }
    }
}

/// The library has nothing else to say, and so it writes.
fn write<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    room: &mut [u8],
    put: &impl Fn(&mut dyn Writer, &mut [u8]) -> Result<usize, EncryptError>,
) -> Option<usize> {
    match status.state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => put(&mut traffic, room).ok(),
        _ => None,
    }
}

/// What writes, of either side.
trait Writer {
    fn encrypt(&mut self, plaintext: &[u8], into: &mut [u8]) -> Result<usize, EncryptError>;
    fn close_notify(&mut self, into: &mut [u8]) -> Result<usize, EncryptError>;
}

impl<Data> Writer for rustls::unbuffered::WriteTraffic<'_, Data> {
    fn encrypt(&mut self, plaintext: &[u8], into: &mut [u8]) -> Result<usize, EncryptError> {
        rustls::unbuffered::WriteTraffic::encrypt(self, plaintext, into)
    }

    fn close_notify(&mut self, into: &mut [u8]) -> Result<usize, EncryptError> {
        self.queue_close_notify(into)
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

/// Whoever begins with a method, in clear, is told so in clear.
fn answer_in_clear(octets: &[u8]) -> Option<&'static [u8]> {
    octets[0].is_ascii_uppercase().then_some(CLEAR_ANSWER)
}

const _: () = assert!(CLEAR_ANSWER.len() == 26 + 41 + 20 + 19 + 2 + 53, "content-length and content agree");
const _: () = assert!(HEADER + 0xffff < INPUT, "the longest record has room");
