//! The file of a recording: chunks, one behind another, each with a checksum.
//!
//! | octets | what |
//! |---|---|
//! | 4 | `SYRC` |
//! | 8 | number of the chunk, from 0 |
//! | 4 | octets of its payload |
//! | 8 | the hash over actions and octets behind its last input |
//! | 8 | checksum over the three numbers before it |
//! | 8 | checksum over the payload |
//! | .. | payload: whole inputs; of chunk 0: the preamble |
//!
//! Numbers of fixed size are little-endian. A chunk that is not whole at the end of the file is where the recording was
//! cut off: its process was killed.

use std::fmt;
use std::fs::{self, File};
use std::hash::Hasher as _;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::recording::fold::Fold;

const MAGIC: [u8; 4] = *b"SYRC";
const HEADER: usize = 40;
/// Octets of it in front of its checksum.
const HEAD: usize = 24;

/// Removes a file or a link of this name, if it is there: whether it was.
pub(crate) fn remove(path: &Path) -> io::Result<bool> {
    let there = fs::symlink_metadata(path).is_ok_and(|found| found.is_file() || found.is_symlink());
    if there {
        fs::remove_file(path)?;
    }
    Ok(there)
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
        if self.written + size > self.most {
            return Ok(false);
        }
        let mut chunk = Vec::with_capacity(HEADER + payload.len());
        chunk.extend(MAGIC);
        chunk.extend(self.number.to_le_bytes());
        chunk.extend(len.to_le_bytes());
        chunk.extend(hash.to_le_bytes());
        chunk.extend(checksum(&chunk[MAGIC.len()..HEAD]).to_le_bytes());
        chunk.extend(checksum(payload).to_le_bytes());
        chunk.extend_from_slice(payload);
        self.file.write_all(&chunk)?;
        (self.number, self.written) = (self.number + 1, self.written + size);
        Ok(true)
    }
}

fn checksum(octets: &[u8]) -> u64 {
    let mut fold = Fold::default();
    fold.write(octets);
    fold.0
}

/// One chunk of a recording that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk<'a> {
    pub(crate) hash: u64,
    pub(crate) payload: &'a [u8],
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

/// The chunks of a file, all of them checked, and whether a last one is not whole.
pub(crate) fn chunks(file: &[u8]) -> Result<(Vec<Chunk<'_>>, bool), Damage> {
    let (mut chunks, mut at) = (Vec::new(), 0);
    while at < file.len() {
        let (number, rest) = (chunks.len() as u64, &file[at..]);
        let damage = |end: usize, what| Damage { chunk: number, begin: at as u64, end: end as u64, what };
        let magic = &rest[..rest.len().min(MAGIC.len())];
        if !MAGIC.starts_with(magic) {
            return Err(damage(at + magic.len(), "it does not begin as a chunk does"));
        }
        let Some((header, behind)) = rest.split_at_checked(HEADER) else { return Ok((chunks, true)) };
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| header[at + n]));
        if word(HEAD) != checksum(&header[MAGIC.len()..HEAD]) {
            return Err(damage(at + HEADER, "the checksum of its header is another"));
        }
        if word(4) != number {
            return Err(damage(at + HEADER, "its number is not the next"));
        }
        let len = u32::from_le_bytes(std::array::from_fn(|n| header[12 + n])) as usize;
        let Some(payload) = behind.get(..len) else { return Ok((chunks, true)) };
        if word(HEAD + 8) != checksum(payload) {
            return Err(damage(at + HEADER + len, "the checksum of its payload is another"));
        }
        chunks.push(Chunk { hash: word(16), payload });
        at += HEADER + len;
    }
    Ok((chunks, false))
}
