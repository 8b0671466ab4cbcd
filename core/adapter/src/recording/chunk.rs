//! The file of a recording: chunks, one behind another, each with a checksum.
//!
//! | octets | what |
//! |---|---|
//! | 4 | `SYRC` |
//! | 8 | number of the chunk, from 0 |
//! | 4 | octets of its payload |
//! | 8 | the hash over actions and octets behind its last input; of the last chunk: 0 |
//! | 8 | checksum over the three numbers before it |
//! | 8 | checksum over the payload |
//! | .. | payload: whole inputs; of chunk 0: the preamble; of the last: 255, which no input begins with, and how it ended |
//!
//! Numbers of fixed size are little-endian. A file without its last chunk, or with one that is not whole, is of a process
//! that was killed or still runs.

use std::fmt;
use std::fs::{self, File};
use std::hash::Hasher as _;
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::recording::fold::Fold;

const MAGIC: [u8; 4] = *b"SYRC";
const HEADER: usize = 40;
/// Octets of it in front of its checksum.
const HEAD: usize = 24;
/// What the payload of the last chunk begins with.
const END: u8 = 0xff;
/// Octets of the last chunk, for which there is always room.
const END_OCTETS: u64 = HEADER as u64 + 2;

/// Why nothing follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Ended,
    Full,
    Panicked,
}

impl Stop {
    const ALL: [Self; 3] = [Self::Ended, Self::Full, Self::Panicked];
}

/// Whether a file or a link of this name is there.
pub(crate) fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file() || found.is_symlink())
}

/// Whether a recording has more than its preamble and its end. What cannot be read is taken for one that has; a link leads to what is somebody else's.
pub(crate) fn has_input(path: &Path) -> bool {
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        return false;
    }
    let Ok(file) = File::open(path) else { return true };
    let mut chunks = Chunks::new(BufReader::new(file));
    let is_empty = match chunks.next() {
        Ok(Ok(_preamble)) => matches!(chunks.next(), Ok(Err(Ending::Ended | Ending::Missing))),
        first => matches!(first, Ok(Err(Ending::Missing))),
    };
    !is_empty
}

/// Removes a file or a link of this name, if it is there: whether it was.
pub(crate) fn remove(path: &Path) -> io::Result<bool> {
    let there = is_there(path);
    if there {
        fs::remove_file(path)?;
    }
    Ok(there)
}

/// Gives a file another name. A link is removed: what it leads to is somebody else's.
pub(crate) fn set_aside(path: &Path, name: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_symlink() {
        return fs::remove_file(path);
    }
    fs::rename(path, name)
}

/// A recording that is written.
#[derive(Debug)]
pub(crate) struct Writer {
    file: File,
    number: u64,
    written: u64,
    most: u64,
}

impl Writer {
    /// Makes a file that may grow to `most` octets, for its owner only: secrets are in it. A file or a link of its name is removed before, for it
    /// may be somebody else's, or be open to others; what else has its name stays, and nothing is written.
    pub(crate) fn create(path: &Path, most: u64) -> io::Result<Self> {
        remove(path)?;
        let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self { file, number: 0, written: 0, most })
    }

    /// Writes a chunk. `Ok(false)`: it would make the file too large, and was not written.
    pub(crate) fn write(&mut self, payload: &[u8], hash: u64) -> io::Result<bool> {
        let len = u32::try_from(payload.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let size = (HEADER + payload.len()) as u64;
        if self.written + size + END_OCTETS > self.most {
            return Ok(false);
        }
        self.append(payload, len, hash)?;
        Ok(true)
    }

    /// Writes the last chunk, for which room was left.
    pub(crate) fn end(&mut self, stop: Stop) -> io::Result<()> {
        self.append(&[END, stop as u8], 2, 0)
    }

    fn append(&mut self, payload: &[u8], len: u32, hash: u64) -> io::Result<()> {
        let mut chunk = Vec::with_capacity(HEADER + payload.len());
        chunk.extend(MAGIC);
        chunk.extend(self.number.to_le_bytes());
        chunk.extend(len.to_le_bytes());
        chunk.extend(hash.to_le_bytes());
        chunk.extend(checksum(&chunk[MAGIC.len()..HEAD]).to_le_bytes());
        chunk.extend(checksum(payload).to_le_bytes());
        chunk.extend_from_slice(payload);
        self.file.write_all(&chunk)?;
        (self.number, self.written) = (self.number + 1, self.written + chunk.len() as u64);
        Ok(())
    }
}

fn checksum(octets: &[u8]) -> u64 {
    let mut fold = Fold::default();
    fold.write(octets);
    fold.0
}

/// One chunk of a recording that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) hash: u64,
    pub(crate) payload: Vec<u8>,
}

/// How a recording ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With its gateway: it is whole.
    Ended,
    /// The file was full, and the gateway went on.
    Full,
    /// With a call in which the gateway panicked.
    Panicked,
    /// Without a word: its process was killed, or still runs, or could not write.
    Missing,
    /// What follows is not as it was written.
    Damaged(Damage),
}

/// A place in a recording that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The chunk, counted from 0.
    pub chunk: u64,
    /// Where it begins in the file, in octets.
    pub begin: u64,
    /// Where it ends.
    pub end: u64,
    /// What is wrong.
    pub what: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chunk, begin, end, what } = self;
        write!(f, "chunk {chunk} (octets {begin} to {end} of the file) is damaged: {what}")
    }
}

impl std::error::Error for Damage {}

/// A recording that is read, chunk by chunk: each is checked before it is shown.
#[derive(Debug)]
pub(crate) struct Chunks<R> {
    source: R,
    number: u64,
    at: u64,
}

impl<R: Read> Chunks<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, number: 0, at: 0 }
    }

    /// The next chunk, or how the recording ends.
    pub(crate) fn next(&mut self) -> io::Result<Result<Chunk, Ending>> {
        let (number, begin) = (self.number, self.at);
        let damaged = |octets: usize, what| {
            let end = begin + octets as u64;
            Ok(Err(Ending::Damaged(Damage { chunk: number, begin, end, what })))
        };
        let header = self.take(HEADER)?;
        let magic = &header[..header.len().min(MAGIC.len())];
        if !MAGIC.starts_with(magic) {
            return damaged(magic.len(), "it does not begin as a chunk does");
        }
        if header.len() < HEADER {
            return Ok(Err(Ending::Missing));
        }
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| header[at + n]));
        if word(HEAD) != checksum(&header[MAGIC.len()..HEAD]) {
            return damaged(HEADER, "the checksum of its header is another");
        }
        if word(4) != number {
            return damaged(HEADER, "its number is not the next");
        }
        let len = u32::from_le_bytes(std::array::from_fn(|n| header[12 + n])) as usize;
        let payload = self.take(len)?;
        if payload.len() < len {
            return Ok(Err(Ending::Missing));
        }
        if word(HEAD + 8) != checksum(&payload) {
            return damaged(HEADER + len, "the checksum of its payload is another");
        }
        (self.number, self.at) = (number + 1, begin + (HEADER + len) as u64);
        let [END, how] = payload[..] else { return Ok(Ok(Chunk { hash: word(16), payload })) };
        if !self.take(1)?.is_empty() {
            return damaged(HEADER + len, "something stands behind the last");
        }
        match Stop::ALL.into_iter().find(|stop| *stop as u8 == how) {
            Some(Stop::Ended) => Ok(Err(Ending::Ended)),
            Some(Stop::Full) => Ok(Err(Ending::Full)),
            Some(Stop::Panicked) => Ok(Err(Ending::Panicked)),
            None => damaged(HEADER + len, "it ends in a way that this version does not know"),
        }
    }

    /// The next octets, fewer at the end of the file. A length that is a lie costs no memory.
    fn take(&mut self, octets: usize) -> io::Result<Vec<u8>> {
        let mut taken = Vec::new();
        (&mut self.source).take(octets as u64).read_to_end(&mut taken)?;
        Ok(taken)
    }
}
