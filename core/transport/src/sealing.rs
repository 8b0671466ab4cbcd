//! What goes out: plaintext is sealed to records of the size that suits the path, and the end is said.

use rustls::unbuffered::{ConnectionState, EncryptError, UnbufferedStatus};
use shuntyard_core::time::{Duration, Instant};
use shuntyard_core::tls::TlsFailure;

use crate::output::BATCH;
use crate::transport::{RECORD, Side, Spare, Transport};

/// What a record is longer than its plaintext, at most: header, explicit nonce, type, tag.
const OVERHEAD: usize = 64;
/// Plaintext of a record that fits into one TCP segment with room to spare: its receiver need not wait for a second one.
const SMALL_RECORD: usize = 1360;
/// After so many octets without a pause the path is no longer slow to start, and full records are cheaper.
const SMALL_OCTETS: usize = 48 << 10;
/// A connection that has rested so long starts slowly again, as TCP does (RFC 5681 section 4.1).
const REST: Duration = Duration::from_secs(1);

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
                // What failed before that stays the reason.
                self.failure.get_or_insert(TlsFailure::Internal);
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

    /// Whether there is plaintext among them.
    pub fn holds_plaintext(&self) -> bool {
        self.output.holds_plaintext()
    }

    /// How much plaintext is in records that have not left whole.
    pub fn plaintext(&self) -> usize {
        self.output.plaintext()
    }

    /// The wire took `n` of the octets: says how much plaintext has left with them, in whole records.
    pub fn left(&mut self, n: usize) -> usize {
        self.output.left(n)
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
