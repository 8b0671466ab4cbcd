//! A recording, played to a new gateway.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use shuntyard_core::config::ConfigError;
use shuntyard_core::gateway::{Gateway, RecvBuf};
use shuntyard_core::time::Instant;

use crate::MakeHooks;
use crate::recording::chunk::{Chunks, Damage, Ending};
use crate::recording::input::{Entry, Input};
use crate::recording::recorder::{FORMAT, Preamble};
use crate::recording::witness::Witness;
use crate::recording::word::Word;

/// Why a recording cannot be replayed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file cannot be read.
    File(io::Error),
    /// An octet is not as it was written where the file says what it is of.
    Damaged(Damage),
    /// It is no recording, or one without its preamble.
    NoRecording,
    /// The format of another version.
    Format(u64),
    /// The configuration is none for this version.
    Config(ConfigError),
    /// The gateway had hooks, which are not recorded, and none were given to the replay.
    Hooks,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(f, "cannot read: {error}"),
            Self::Damaged(damage) => damage.fmt(f),
            Self::NoRecording => f.write_str("it is no recording"),
            Self::Format(format) => write!(f, "it has format {format}, and this version reads {FORMAT}"),
            Self::Config(error) => write!(f, "its configuration is none for this version: {error}"),
            Self::Hooks => f.write_str("its gateway had hooks, which only the program has that recorded it"),
        }
    }
}

impl std::error::Error for ReplayError {}

impl From<io::Error> for ReplayError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// The first input after which the replay went another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The input, counted from 0.
    pub input: u64,
    /// When, on the recorded clock.
    pub at: Instant,
    /// What it was.
    pub what: String,
    /// The gateway panics in that call. It may have done so when it was recorded, too.
    pub panics: bool,
}

/// How a replay went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The version of whoever recorded.
    pub version: String,
    /// Whether content was recorded.
    pub content: bool,
    /// Inputs played.
    pub inputs: u64,
    /// From the first to the last, in nanoseconds of the recorded clock.
    pub nanos: u64,
    /// The hash over actions and octets at the end.
    pub hash: u64,
    /// Where it was not the recorded one.
    pub difference: Option<Difference>,
    /// How the recording ends; not known where there is a difference before.
    pub ending: Option<Ending>,
}

/// Replays the file at `path`.
///
/// # Errors
/// A file that cannot be read, or is no recording; or of a gateway with hooks.
pub fn replay(path: &Path) -> Result<Replayed, ReplayError> {
    play(File::open(path)?, None)
}

/// Replays the file at `path`, to the same hooks as those of the gateway that was recorded. One that had none has none here.
///
/// # Errors
/// A file that cannot be read, or is no recording.
pub fn replay_with(path: &Path, hooks: &MakeHooks) -> Result<Replayed, ReplayError> {
    play(File::open(path)?, Some(hooks))
}

/// Replays the octets of a file.
///
/// # Errors
/// Octets that are no recording, or of a gateway with hooks.
pub fn replay_octets(file: &[u8]) -> Result<Replayed, ReplayError> {
    play(file, None)
}

/// Replays the octets of a file as [`replay_with`] does.
///
/// # Errors
/// Octets that are no recording.
pub fn replay_octets_with(file: &[u8], hooks: &MakeHooks) -> Result<Replayed, ReplayError> {
    play(file, Some(hooks))
}

fn play(source: impl Read, hooks: Option<&MakeHooks>) -> Result<Replayed, ReplayError> {
    Recording::read(source)?.play(hooks, |_| {})
}

/// A file whose preamble was read.
pub(crate) struct Recording<R> {
    pub(crate) preamble: Preamble,
    chunks: Chunks<R>,
}

/// What stands in a recording.
pub(crate) enum Step {
    Input(Entry),
    /// What the hash was there.
    ChunkEnd {
        hash: u64,
    },
}

impl<R: Read> Recording<R> {
    pub(crate) fn read(source: R) -> Result<Self, ReplayError> {
        let mut chunks = Chunks::new(source);
        let first = match chunks.next()? {
            Ok(first) => first.payload,
            Err(Ending::Damaged(damage)) => return Err(ReplayError::Damaged(damage)),
            Err(_) => return Err(ReplayError::NoRecording),
        };
        let mut payload = first.as_slice();
        let format = u64::take(&mut payload).ok_or(ReplayError::NoRecording)?;
        if format != FORMAT {
            return Err(ReplayError::Format(format));
        }
        let preamble = Preamble::take(&mut payload).ok_or(ReplayError::NoRecording)?;
        Ok(Self { preamble, chunks })
    }

    /// Replays it, and shows each input before it is played.
    pub(crate) fn play(
        mut self,
        hooks: Option<&MakeHooks>,
        mut show: impl FnMut(&Entry),
    ) -> Result<Replayed, ReplayError> {
        let mut replay = Replay::new(&self.preamble, hooks)?;
        let ending = self.each(|step| {
            match step {
                Step::Input(entry) => {
                    show(&entry);
                    // Nothing is asked of the gateway after that.
                    if catch_unwind(AssertUnwindSafe(|| replay.play(&entry))).is_err() {
                        replay.differs(entry.input.to_string(), true);
                    }
                }
                Step::ChunkEnd { hash } if hash != replay.witness.fold.0 => {
                    replay.differs("the end of a chunk".to_owned(), false);
                }
                Step::ChunkEnd { .. } => {}
            }
            replay.difference.is_none()
        })?;
        let Preamble { version, content, now: begin, .. } = self.preamble;
        Ok(Replayed {
            version,
            content,
            inputs: replay.inputs,
            nanos: replay.now.as_nanos() - begin.as_nanos(),
            hash: replay.witness.fold.0,
            difference: replay.difference,
            ending,
        })
    }

    /// Shows every step, until `show` has had enough. How the recording ends, if it came to that.
    pub(crate) fn each(&mut self, mut show: impl FnMut(Step) -> bool) -> Result<Option<Ending>, ReplayError> {
        let mut next = self.chunks.next();
        loop {
            let chunk = match next? {
                Ok(chunk) => chunk,
                Err(ending) => return Ok(Some(ending)),
            };
            next = self.chunks.next();
            let panicked = matches!(next, Ok(Err(Ending::Panicked)));
            let mut payload = chunk.payload.as_slice();
            while !payload.is_empty() {
                // Its checksum is right: another version has written something that this one does not know.
                let mut entry = Entry::take(&mut payload).ok_or(ReplayError::NoRecording)?;
                if panicked && payload.is_empty() {
                    // That call did not return: nothing is known of what comes out of it.
                    entry.check = None;
                }
                if !show(Step::Input(entry)) {
                    return Ok(None);
                }
            }
            if !panicked && !show(Step::ChunkEnd { hash: chunk.hash }) {
                return Ok(None);
            }
        }
    }
}

struct Replay {
    gateway: Gateway,
    witness: Witness,
    now: Instant,
    inputs: u64,
    difference: Option<Difference>,
}

impl Replay {
    fn new(preamble: &Preamble, hooks: Option<&MakeHooks>) -> Result<Self, ReplayError> {
        Ok(Self {
            gateway: preamble.gateway(hooks)?,
            witness: Witness::new(preamble.content),
            now: preamble.now,
            inputs: 0,
            difference: None,
        })
    }

    fn play(&mut self, entry: &Entry) {
        self.now = self.now + entry.since;
        let Self { gateway, witness, .. } = self;
        let possible = match &entry.input {
            Input::Actions(n) => {
                (0..*n).for_each(|_| witness.acted(gateway.poll_action().as_ref()));
                true
            }
            input => tell(gateway, input, self.now, witness),
        };
        let agrees = entry.check.is_none_or(|check| check == witness.fold.check());
        if !possible || !agrees {
            self.differs(entry.input.to_string(), false);
        }
        self.inputs += 1;
    }

    fn differs(&mut self, what: String, panics: bool) {
        self.difference = Some(Difference { input: self.inputs, at: self.now, what, panics });
    }
}

/// Tells the gateway what was recorded; whether it could be told. Actions are for the caller to ask for.
pub(crate) fn tell(gateway: &mut Gateway, input: &Input, now: Instant, witness: &mut Witness) -> bool {
    match input {
        Input::Accept(info) => witness.accepted(gateway.handle_accept(info.clone(), now)),
        Input::Arriving(info) => witness.accepted(gateway.handle_arriving(info.clone(), now)),
        Input::Introduced(conn, client) => gateway.handle_introduced(*conn, client.clone(), now),
        Input::Connected(conn, facts) => gateway.handle_connected(*conn, facts.clone(), now),
        Input::Received(conn, octets) => match gateway.recv_buf(*conn) {
            RecvBuf::Buffer(buffer) if buffer.len() >= octets.len() => {
                buffer[..octets.len()].copy_from_slice(octets);
                // It says what is spoken on the connection.
                witness.received(*conn, octets, |_, _| {});
                gateway.handle_recv(*conn, octets.len(), now);
            }
            RecvBuf::Buffer(_) | RecvBuf::Pause | RecvBuf::Gone => return false,
        },
        Input::ReadClosed(conn) => gateway.handle_read_closed(*conn, now),
        Input::Transmit(conn) => {
            witness.shown(gateway.poll_transmit(*conn, now).map_or(0, <[u8]>::len));
        }
        Input::Sent(conn, n) => {
            let shown = gateway.shown(*conn);
            witness.sent(*conn, &shown[..(*n).min(shown.len())]);
            gateway.handle_sent(*conn, *n, now);
        }
        Input::Closed(conn, why) => gateway.handle_closed(*conn, *why, now),
        Input::Timeout => gateway.handle_timeout(now),
        Input::Command(command) => gateway.handle_command(command.clone(), now),
        Input::Actions(_) => {}
    }
    true
}
