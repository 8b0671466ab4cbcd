//! What comes in: octets of the wire are gathered to records, and become plaintext.

use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{CommonState, Error, HandshakeKind};
use shuntyard_core::config::Protocol;
use shuntyard_core::gateway::Connected;
use shuntyard_core::tls::{TlsFacts, TlsFailure};

use crate::choosing::Unreadable;
use crate::failure::failure_of;
use crate::front::alpn_protocol;
use crate::identity::{subject_of, take_asked};
use crate::output::Output;
use crate::provider::sha256;
use crate::transport::{INPUT, Phase, RECORD, Side, Spare, Transport};

/// What stands in front of a record.
const HEADER: usize = 5;
/// The longest record: that of TLS 1.2 may grow by so much (RFC 5246 section 6.2.3), that of TLS 1.3 by less (RFC 8446 section 5.2).
const LONGEST: usize = RECORD + 2048;

/// Octets of the wire that bring no content, in a row: empty records and padding (RFC 8446 section 5.4 lets them hide how much is said), new
/// keys, tickets. Nobody above sees them, so nobody else could end a flood of them.
const WITHOUT_CONTENT_MAX: usize = 2 * LONGEST;

/// A fatal alert, unexpected_message (RFC 8446 section 6.2), for what the library has nothing to say about.
const UNEXPECTED: &[u8] = &[21, 3, 3, 0, 2, 2, 10];

/// The answer to a client that speaks HTTP in clear where TLS is spoken.
const CLEAR_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 53\r\n\
    connection: close\r\n\
    \r\n\
    This port speaks TLS. Ask again with https:// instead";

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

/// What one step came to.
enum Step {
    Again,
    /// rustls wants nothing but input or output.
    Rest,
}

/// What comes in.
impl Transport {
    /// Where octets of the wire may be read to; `None` where so many wait that some must be taken first.
    pub fn recv_buf(&mut self, spare: &mut Spare) -> Option<&mut [u8]> {
        let held = self.end - self.start;
        if held >= INPUT {
            return None;
        }
        if self.lent {
            self.move_to_front();
            return Some(&mut self.input[self.end..]);
        }
        if self.landing.is_empty() {
            self.landing = core::mem::take(&mut spare.input);
            self.landing.resize(INPUT, 0);
        }
        Some(&mut self.landing[held..])
    }

    /// `n` octets were read to where [`recv_buf`](Self::recv_buf) had said. They join those that are held, or the other way round: whichever are fewer
    /// move, so that nobody who sends a long record octet by octet has each of them moved again for every one that follows.
    pub fn received(&mut self, n: usize) {
        if self.lent {
            self.end = (self.end + n).min(INPUT);
            return;
        }
        let held = self.end - self.start;
        let n = n.min(self.landing.len().saturating_sub(held));
        if n >= held {
            self.landing[..held].copy_from_slice(&self.input[self.start..self.end]);
            self.input = core::mem::take(&mut self.landing);
            self.lent = true;
            self.count_moved(held);
        } else {
            self.move_to_front();
            self.input.truncate(held);
            if self.input.capacity() < held + n {
                // Twice as much as before, but never more than is taken at all.
                let wanted = (2 * self.input.capacity()).clamp(held + n, INPUT);
                self.input.reserve_exact(wanted - held);
                self.count_moved(held);
            }
            self.input.extend_from_slice(&self.landing[held..held + n]);
            self.count_moved(n);
        }
        (self.start, self.end) = (0, held + n);
    }

    /// What is held begins where its memory does.
    fn move_to_front(&mut self) {
        if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            self.count_moved(self.end);
        }
    }

    /// Whether [`poll_plain`](Self::poll_plain) has something to say without another octet of the wire.
    pub fn has_input(&self) -> bool {
        !self.plain.is_empty() || self.peer_ended || self.failure.is_some() || self.has_record()
    }

    /// Whether [`poll_plain`](Self::poll_plain) may have plaintext to put somewhere.
    pub fn may_fill(&self) -> bool {
        self.is_open() || self.phase == Phase::Open && !self.plain.is_empty()
    }

    /// Whether a whole record waits, or what will never be one.
    fn has_record(&self) -> bool {
        match &self.input[self.start..self.end] {
            [] => false,
            // What does not begin like a record is looked at at once.
            [kind, ..] if !(20..=24).contains(kind) => true,
            [_, _, _, high, low, rest @ ..] => {
                let announced = usize::from(u16::from_be_bytes([*high, *low]));
                // One that is too long is refused for its header: nobody waits for the rest of it.
                announced > LONGEST || rest.len() >= announced
            }
            _ => false,
        }
    }

    /// Plaintext, or what else the wire says. Stops in front of a record for which there may be no room.
    pub fn poll_plain(&mut self, into: &mut [u8]) -> Plain {
        if let Some(failure) = self.failure {
            // What came before it is as good as ever.
            return match self.take_plain(into) {
                0 => Plain::Failed(failure),
                n => Plain::Octets(n),
            };
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
            let (n, step) = self.step(&mut into[filled..]);
            filled += n;
            let step = match step {
                Ok(step) => step,
                // The failure is told by the next call.
                Err(_) if filled > 0 && self.phase == Phase::Open => break,
                Err(failure) => return Plain::Failed(failure),
            };
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
            0 if self.end - self.start >= INPUT => {
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
        let certified = self.common().peer_certificates().is_some();
        let agreed = self.common().alpn_protocol().is_some();
        let chosen = self.chosen.take();
        let fault = chosen.and_then(|chosen| chosen.fault(self.name.as_deref(), certified, agreed));
        if let Some(failure) = fault {
            // The library has no alert for what it knows nothing of. That this is the end is said all the same, and that no answer was cut off.
            self.phase = Phase::Open;
            self.close();
            self.phase = Phase::Handshake;
            return self.fail(failure);
        }
        self.phase = Phase::Open;
        // In TLS 1.2 the server's last words of the handshake are still to come, and the client waits for them.
        self.step_until_rest();
        let common = self.common();
        let certificate = common.peer_certificates().and_then(<[_]>::first);
        let protocol = common.alpn_protocol().and_then(alpn_protocol);
        let facts = TlsFacts {
            server_name: self.name.clone(),
            certificate: certificate.map(|certificate| Arc::new(sha256(certificate))),
            subject: certificate.and_then(subject_of).map(Arc::from),
            verified: certificate.is_some() && self.verifies,
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

    fn fail(&mut self, failure: TlsFailure) -> Plain {
        self.plain = Vec::new();
        self.failure = Some(failure);
        Plain::Failed(failure)
    }

    fn common(&self) -> &CommonState {
        match &self.side {
            Side::Server(conn) => conn,
            Side::Client(conn) => conn,
        }
    }

    pub(crate) fn step_until_rest(&mut self) {
        while self.failure.is_none() && matches!(self.step(&mut []), (_, Ok(Step::Again))) {}
    }

    /// Whether it is known how TLS is spoken.
    fn choose(&mut self) -> Result<bool, TlsFailure> {
        let Some(choosing) = &mut self.choosing else { return Ok(true) };
        match choosing.hear(&self.input[self.start..self.end]) {
            Ok(None) => Ok(false),
            Ok(Some(chosen)) => {
                let conn = UnbufferedServerConnection::new(chosen.config.clone());
                self.side = Side::Server(conn.map_err(|error| failure_of(&error))?);
                (self.choosing, self.chosen) = (None, Some(chosen));
                Ok(true)
            }
            Err(Unreadable(failure, alert)) => {
                let mut told = Vec::new();
                // Memory takes all that is written.
                let _ = alert.map(|mut alert| alert.write_all(&mut told));
                self.output.extend(if told.is_empty() { UNEXPECTED } else { &told });
                Err(failure)
            }
        }
    }

    /// One step; says how much plaintext was put in front.
    fn step(&mut self, into: &mut [u8]) -> (usize, Result<Step, TlsFailure>) {
        match self.choose() {
            Ok(true) => {}
            Ok(false) => return (0, Ok(Step::Rest)),
            Err(failure) => {
                self.failure = Some(failure);
                return (0, Err(failure));
            }
        }
        let (filled, step) = self.call(into);
        let step = step.map_err(|error| {
            let failure = failure_of(&error);
            self.failure = Some(failure);
            // What the library has to say about it to the peer comes out of the next call. Where input is left that would be looked at
            // again, there is no further one.
            while matches!(self.call(&mut []), (_, Ok(Step::Again))) && self.start == self.end {}
            failure
        });
        if step.is_ok() && self.without_content > WITHOUT_CONTENT_MAX {
            self.failure = Some(TlsFailure::Misbehaved);
            return (filled, Err(TlsFailure::Misbehaved));
        }
        (filled, step)
    }

    /// One call of the library; says how much plaintext was put in front, failed or not.
    fn call(&mut self, into: &mut [u8]) -> (usize, Result<Step, Error>) {
        let input = &mut self.input[self.start..self.end];
        let mut hands = Hands {
            output: &mut self.output,
            plain: &mut self.plain,
            peer_ended: &mut self.peer_ended,
            into,
            filled: 0,
            content: 0,
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
        let (filled, content) = (hands.filled, hands.content);
        self.start += discard;
        if self.phase == Phase::Open {
            self.count(discard, content);
        }
        if self.start >= self.end {
            (self.start, self.end) = (0, 0);
        }
        (filled, step)
    }

    /// Content comes last of what the library takes at a time: it makes up for nothing that was too much in front of it.
    fn count(&mut self, taken: usize, content: usize) {
        self.without_content += taken.saturating_sub(content);
        if content > 0 && self.without_content <= WITHOUT_CONTENT_MAX {
            self.without_content = 0;
        }
    }
}

/// What a step may touch.
struct Hands<'a> {
    output: &'a mut Output,
    plain: &'a mut Vec<u8>,
    peer_ended: &'a mut bool,
    into: &'a mut [u8],
    filled: usize,
    /// Octets of plaintext that came, wherever they were put.
    content: usize,
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
        self.content += payload.len();
        let n = if self.plain.is_empty() { payload.len().min(self.into.len() - self.filled) } else { 0 };
        self.into[self.filled..self.filled + n].copy_from_slice(&payload[..n]);
        self.filled += n;
        self.plain.extend_from_slice(&payload[n..]);
    }
}

/// Whoever begins with a method, in clear, is told so in clear.
fn answer_in_clear(octets: &[u8]) -> Option<&'static [u8]> {
    octets[0].is_ascii_uppercase().then_some(CLEAR_ANSWER)
}

const _: () = assert!(CLEAR_ANSWER.len() == 26 + 41 + 20 + 19 + 2 + 53, "content-length and content agree");
const _: () = assert!(HEADER + LONGEST < INPUT, "the longest record has room");
