//! A recording, played to a new gateway.

use std::fmt;
use std::io;
use std::path::Path;

use shuntyard_core::config::ConfigError;
use shuntyard_core::gateway::{Connected, Gateway, RecvBuf};
use shuntyard_core::time::Instant;

use crate::recording::chunk::{Damage, chunks};
use crate::recording::input::{Entry, Input};
use crate::recording::recorder::{FORMAT, Preamble};
use crate::recording::witness::Witness;
use crate::recording::word::Word;

/// Why a recording cannot be replayed.
#[derive(Debug)]
pub enum ReplayError {
    /// The file cannot be read.
    File(io::Error),
    /// An octet of the file is not as it was written.
    Damaged(Damage),
    /// It is no recording, or one without its preamble.
    NoRecording,
    /// The format of another version.
    Format(u64),
    /// The configuration is none for this version.
    Config(ConfigError),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(f, "cannot read: {error}"),
            Self::Damaged(damage) => damage.fmt(f),
            Self::NoRecording => f.write_str("it is no recording"),
            Self::Format(format) => write!(f, "it has format {format}, and this version reads {FORMAT}"),
            Self::Config(error) => write!(f, "its configuration is none for this version: {error}"),
        }
    }
}

impl std::error::Error for ReplayError {}

impl From<Damage> for ReplayError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
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
    /// The recording breaks off within a chunk: its process was killed.
    pub broken_off: bool,
}

/// Replays the file at `path`.
///
/// # Errors
/// A file that cannot be read, or in which something is not as it was written.
pub fn replay(path: &Path) -> Result<Replayed, ReplayError> {
    replay_octets(&std::fs::read(path).map_err(ReplayError::File)?)
}

/// Replays the octets of a file.
///
/// # Errors
/// Octets that are not as they were written.
pub fn replay_octets(file: &[u8]) -> Result<Replayed, ReplayError> {
    watched(file, |_, _, _, _| {})
}

/// Replays, and shows the gateway after each input.
pub(crate) fn watched(
    file: &[u8],
    mut watch: impl FnMut(&mut Gateway, u64, Instant, &Input),
) -> Result<Replayed, ReplayError> {
    let (chunks, broken_off) = chunks(file)?;
    let (first, rest) = chunks.split_first().ok_or(ReplayError::NoRecording)?;
    let mut payload = first.payload;
    let format = u64::take(&mut payload).ok_or(ReplayError::NoRecording)?;
    if format != FORMAT {
        return Err(ReplayError::Format(format));
    }
    let preamble = Preamble::take(&mut payload).ok_or(ReplayError::NoRecording)?;
    let mut replay = Replay::new(&preamble)?;
    for (number, chunk) in (1_u64..).zip(rest) {
        let mut payload = chunk.payload;
        while !payload.is_empty() && replay.difference.is_none() {
            let entry = Entry::take(&mut payload).ok_or(Damage {
                chunk: number,
                begin: 0,
                end: file.len() as u64,
                what: "an input in it cannot be read",
            })?;
            replay.play(&entry);
            watch(&mut replay.gateway, replay.inputs - 1, replay.now, &entry.input);
        }
        if replay.difference.is_none() && replay.witness.fold.0 != chunk.hash {
            replay.differs("the end of a chunk".to_owned());
        }
    }
    Ok(Replayed {
        version: preamble.version,
        content: preamble.content,
        inputs: replay.inputs,
        nanos: replay.now.as_nanos() - preamble.now.as_nanos(),
        hash: replay.witness.fold.0,
        difference: replay.difference,
        broken_off,
    })
}

struct Replay {
    gateway: Gateway,
    witness: Witness,
    now: Instant,
    inputs: u64,
    difference: Option<Difference>,
}

impl Replay {
    fn new(preamble: &Preamble) -> Result<Self, ReplayError> {
        let Preamble { content, seed, now, wall, config, .. } = preamble;
        Ok(Self {
            gateway: Gateway::new(config.clone(), *seed, *now, *wall).map_err(ReplayError::Config)?,
            witness: Witness::new(*content),
            now: *now,
            inputs: 0,
            difference: None,
        })
    }

    fn play(&mut self, entry: &Entry) {
        self.now = self.now + entry.since;
        let now = self.now;
        let Self { gateway, witness, .. } = self;
        let mut possible = true;
        match &entry.input {
            Input::Accept(info) => witness.accepted(gateway.handle_accept(info.clone(), now)),
            Input::Connected(conn) => gateway.handle_connected(*conn, Connected::default(), now),
            Input::Received(conn, octets) => match gateway.recv_buf(*conn) {
                RecvBuf::Buffer(buffer) if buffer.len() >= octets.len() => {
                    buffer[..octets.len()].copy_from_slice(octets);
                    witness.received(*conn, octets, |_, _| {});
                    gateway.handle_recv(*conn, octets.len(), now);
                }
                RecvBuf::Buffer(_) | RecvBuf::Pause | RecvBuf::Gone => possible = false,
            },
            Input::ReadClosed(conn) => gateway.handle_read_closed(*conn, now),
            Input::Transmit(conn) => {
                witness.shown(gateway.poll_transmit(*conn, now).map_or(0, |shown| shown.remaining()));
            }
            Input::Sent(conn, n) => {
                let shown = gateway.shown(*conn);
                witness.sent(*conn, &shown[..(*n).min(shown.len())]);
                gateway.handle_sent(*conn, *n, now);
            }
            Input::Closed(conn, why) => gateway.handle_closed(*conn, *why, now),
            Input::Timeout => gateway.handle_timeout(now),
            Input::Command(command) => gateway.handle_command(command.clone(), now),
            Input::Actions(n) => (0..*n).for_each(|_| witness.acted(gateway.poll_action().as_ref())),
        }
        let agrees = entry.check.is_none_or(|check| check == witness.fold.check());
        if !possible || !agrees {
            self.differs(entry.input.to_string());
        }
        self.inputs += 1;
    }

    fn differs(&mut self, what: String) {
        self.difference = Some(Difference { input: self.inputs, at: self.now, what });
    }
}
