//! Writes the inputs of one gateway down as they happen.

use std::io;
use std::path::PathBuf;

use shuntyard_core::address::Address;
use shuntyard_core::config::Config;
use shuntyard_core::gateway::{Accepted, Action, Closed, Command, ConnId, Connected, Gateway};
use shuntyard_core::time::{Duration, Instant, WallClock};

use crate::recording::chunk::{Stop, Writer};
use crate::recording::input::{
    ACCEPT, ACTIONS, ARRIVING, CLOSED, COMMAND, CONNECTED, INTRODUCED, POLLED_MAX, Pieces, READ_CLOSED,
    RECEIVED, SENT, TIMEOUT, TRANSMIT,
};
use crate::recording::names::{file_of, fresh};
use crate::recording::replay::ReplayError;
use crate::recording::witness::Witness;
use crate::recording::word::Word;
use crate::{MakeHooks, Notice, Observer};

/// The format of the files. A reader knows its own only.
pub(crate) const FORMAT: u64 = 7;
/// Octets of inputs that are gathered before they are written.
const CHUNK: usize = 64 << 10;
/// Inputs are not kept from the file for longer than this: long enough that a busy worker does not write for each of them.
pub(crate) const WRITE_INTERVAL: Duration = Duration::from_millis(100);

/// What is recorded, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingOptions {
    /// The file. The number of the worker is added to its name: FILE.0, FILE.1.
    pub file: PathBuf,
    /// Content of DATA frames, too. Without it a recording is small, and replayed with zeros in its place; heads and
    /// trailers are recorded in any case, and so is all that comes over HTTP/1.1.
    pub content: bool,
    /// Octets that each file may take. A recording that would grow beyond that ends: its beginning is worth more than its
    /// end, for nothing can be replayed without it.
    pub max_octets: u64,
}

/// What a replay needs besides the inputs.
#[derive(Debug)]
pub(crate) struct Preamble {
    pub(crate) version: String,
    pub(crate) content: bool,
    pub(crate) seed: u64,
    pub(crate) now: Instant,
    pub(crate) wall: WallClock,
    pub(crate) config: Config,
    /// The number of its worker, where the gateway had hooks, which are not recorded.
    pub(crate) hooked: Option<u64>,
}

impl Preamble {
    /// The gateway that it begins with, which has hooks where it had some when it was recorded.
    pub(crate) fn gateway(&self, hooks: Option<&MakeHooks>) -> Result<Gateway, ReplayError> {
        self.gateway_with(self.config.clone(), hooks)
    }

    /// The same with another configuration.
    pub(crate) fn gateway_with(
        &self,
        config: Config,
        hooks: Option<&MakeHooks>,
    ) -> Result<Gateway, ReplayError> {
        let gateway = Gateway::new(config, self.seed, self.now, self.wall).map_err(ReplayError::Config)?;
        match (self.hooked, hooks) {
            (None, _) => Ok(gateway),
            (Some(worker), Some(make)) => Ok(gateway.with_hooks(make(worker as usize))),
            (Some(_), None) => Err(ReplayError::Hooks),
        }
    }
}

/// Octets of memory that a worker's recording may take beside its file: how far each connection has come, what is not written yet, which grows by
/// doubling, and its copy with a header. `connections`: as many as there may be at a time.
pub fn recording_octets_max(config: &Config, connections: u64) -> u64 {
    // Lengths stand between what is content and what is not: two octets for ten, where frames have one octet of it each.
    let input = (config.recv_buffer_octets as u64).saturating_mul(5) / 4;
    let payload = input.saturating_add(CHUNK as u64);
    let tracks = connections.saturating_mul(Witness::TRACK_OCTETS);
    payload.saturating_mul(3).saturating_add(tracks.saturating_mul(2))
}

/// The recorder of one gateway.
pub(crate) struct Recorder {
    writer: Writer,
    path: PathBuf,
    observer: Option<Observer>,
    witness: Witness,
    /// Inputs that are not written yet.
    payload: Vec<u8>,
    /// The last of them was begun, and what came out of it is not known yet.
    lacks_check: bool,
    /// The gateway has not returned from the call that was written down last.
    in_call: bool,
    /// Calls of `poll_action` since the input before.
    polled: u64,
    /// The time of the input before.
    at: Instant,
    /// When what was gathered must be written.
    write_at: Option<Instant>,
    /// The file is full, or could not be written: nothing more is recorded.
    over: bool,
}

impl Recorder {
    /// Begins the file of the worker with this number, under the name that it has until it is [published](super::publish).
    pub(crate) fn create(
        options: &RecordingOptions,
        worker: u64,
        preamble: &Preamble,
        observer: Option<Observer>,
    ) -> io::Result<Self> {
        let path = file_of(&options.file, worker);
        let mut writer = Writer::create(&fresh(&path), options.max_octets)?;
        let mut payload = Vec::new();
        FORMAT.put(&mut payload);
        preamble.put(&mut payload);
        if !writer.write(&payload, 0)? {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "there is no room for the configuration",
            ));
        }
        payload.clear();
        Ok(Self {
            writer,
            path,
            observer,
            witness: Witness::new(options.content),
            payload,
            lacks_check: false,
            in_call: false,
            polled: 0,
            at: preamble.now,
            write_at: None,
            over: false,
        })
    }

    pub(crate) fn accept(&mut self, info: &Accepted, now: Instant) {
        self.begin(ACCEPT, now);
        info.put(&mut self.payload);
        self.lacks_check = true;
    }

    pub(crate) fn arriving(&mut self, info: &Accepted, now: Instant) {
        self.begin(ARRIVING, now);
        info.put(&mut self.payload);
        self.lacks_check = true;
    }

    /// The client that was just told of has this id.
    pub(crate) fn accepted(&mut self, conn: ConnId) {
        self.witness.accepted(conn);
        self.end_with_check();
        self.in_call = false;
    }

    pub(crate) fn introduced(&mut self, conn: ConnId, client: Option<&Address>, now: Instant) {
        self.begin(INTRODUCED, now);
        conn.put(&mut self.payload);
        client.cloned().put(&mut self.payload);
    }

    pub(crate) fn connected(&mut self, conn: ConnId, facts: &Connected, now: Instant) {
        self.begin(CONNECTED, now);
        conn.put(&mut self.payload);
        facts.put(&mut self.payload);
    }

    pub(crate) fn received(&mut self, conn: ConnId, octets: &[u8], now: Instant) {
        self.begin(RECEIVED, now);
        conn.put(&mut self.payload);
        let mut pieces = Pieces::new(octets.len(), &mut self.payload);
        self.witness.received(conn, octets, |piece, is_content| pieces.add(piece, is_content));
    }

    pub(crate) fn read_closed(&mut self, conn: ConnId, now: Instant) {
        self.begin(READ_CLOSED, now);
        conn.put(&mut self.payload);
    }

    pub(crate) fn transmit(&mut self, conn: ConnId, now: Instant) {
        self.begin(TRANSMIT, now);
        conn.put(&mut self.payload);
        self.lacks_check = true;
    }

    /// So many octets came of it, 0 for `None`.
    pub(crate) fn shown(&mut self, octets: usize) {
        self.witness.shown(octets);
        self.end_with_check();
        self.in_call = false;
    }

    /// `n` octets left, of which `octets` were there.
    pub(crate) fn sent(&mut self, conn: ConnId, n: usize, octets: &[u8], now: Instant) {
        self.begin(SENT, now);
        conn.put(&mut self.payload);
        n.put(&mut self.payload);
        self.witness.sent(conn, octets);
        self.end_with_check();
    }

    pub(crate) fn closed(&mut self, conn: ConnId, why: Closed, now: Instant) {
        self.begin(CLOSED, now);
        conn.put(&mut self.payload);
        why.put(&mut self.payload);
    }

    pub(crate) fn timeout(&mut self, now: Instant) {
        self.begin(TIMEOUT, now);
    }

    pub(crate) fn command(&mut self, command: &Command, now: Instant) {
        self.begin(COMMAND, now);
        command.put(&mut self.payload);
    }

    /// `poll_action` is called.
    pub(crate) fn asked(&mut self) {
        self.end_if_panicked();
        self.polled += 1;
        self.in_call = true;
    }

    /// And has answered.
    pub(crate) fn acted(&mut self, action: Option<&Action>) {
        self.witness.acted(action);
        self.in_call = false;
        if self.polled == POLLED_MAX {
            self.finish_polling();
        }
    }

    /// The gateway has returned.
    pub(crate) fn returned(&mut self) {
        self.in_call = false;
    }

    /// Writes down what was polled before, and begins the next input.
    fn begin(&mut self, tag: u8, now: Instant) {
        self.end_if_panicked();
        self.finish_polling();
        if self.payload.len() >= CHUNK || self.is_due(now) {
            self.write();
        }
        self.write_at.get_or_insert(now + WRITE_INTERVAL);
        self.in_call = true;
        self.payload.push(tag);
        now.saturating_since(self.at).put(&mut self.payload);
        self.at = self.at.max(now);
    }

    /// When it wants to write, though nothing comes.
    pub(crate) fn write_at(&self) -> Option<Instant> {
        self.write_at
    }

    /// It is time to. Whether it was.
    pub(crate) fn write_if_due(&mut self, now: Instant) -> bool {
        self.end_if_panicked();
        let due = self.is_due(now);
        if due {
            self.finish_polling();
            self.write();
        }
        due
    }

    fn is_due(&self, now: Instant) -> bool {
        self.write_at.is_some_and(|at| at <= now)
    }

    fn finish_polling(&mut self) {
        if self.polled > 0 {
            self.payload.push(ACTIONS);
            self.polled.put(&mut self.payload);
            self.polled = 0;
            self.end_with_check();
        }
    }

    fn end_with_check(&mut self) {
        self.lacks_check = false;
        self.payload.extend_from_slice(&self.witness.fold.check().to_le_bytes());
    }

    /// Writes what was gathered.
    fn write(&mut self) {
        if !self.over && !self.payload.is_empty() {
            match self.writer.write(&self.payload, self.witness.fold.0) {
                Ok(true) => {}
                Ok(false) => {
                    // Whoever cannot read how it ended takes it for one that was cut off.
                    let _ = self.writer.end(Stop::Full);
                    self.give_up(io::ErrorKind::FileTooLarge.into());
                }
                Err(error) => self.give_up(error),
            }
        }
        self.payload.clear();
        self.write_at = None;
    }

    fn give_up(&mut self, error: io::Error) {
        self.over = true;
        if let Some(observer) = &self.observer {
            observer(Notice::RecordingEnded { file: self.path.clone(), error });
        }
    }

    /// Whether nothing more is recorded.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }
}

impl Recorder {
    /// Whoever calls again after a call that did not return has caught a panic: what a gateway does that was left in the middle of something is nothing to
    /// be replayed.
    fn end_if_panicked(&mut self) {
        if self.in_call {
            self.end();
            self.over = true;
        }
    }

    /// Writes what is left, and how it ends.
    fn end(&mut self) {
        if self.lacks_check {
            // The gateway has panicked in that call. Of its check nothing is asked in a replay.
            self.end_with_check();
        }
        self.finish_polling();
        self.write();
        if !self.over {
            let stop = if self.in_call { Stop::Panicked } else { Stop::Ended };
            if let Err(error) = self.writer.end(stop) {
                self.give_up(error);
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
    }
}
