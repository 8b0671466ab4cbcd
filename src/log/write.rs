//! Lines to their destination, many at a time while there are many.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::log::{Counts, Destination, Finished, Trust, line};

/// Octets that are collected before they are written.
pub(super) const BUFFER_OCTETS: usize = 64 << 10;
/// The same trouble is told again after this time.
const TROUBLE_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Writer {
    destination: Option<Destination>,
    file: Option<File>,
    query: bool,
    trust: Trust,
    buffer: Vec<u8>,
    /// Lines in the buffer.
    lines: u64,
    /// The last write ended in the middle of a line.
    torn: bool,
    trouble_told: Option<Instant>,
    counts: Arc<Counts>,
}

impl Writer {
    pub(super) fn open(
        destination: Option<Destination>,
        query: bool,
        trust: Trust,
        counts: Arc<Counts>,
    ) -> io::Result<Self> {
        let file = match &destination {
            Some(Destination::File(path)) => Some(append_to(path)?),
            Some(Destination::Stdout) | None => None,
        };
        Ok(Self {
            destination,
            file,
            query,
            trust,
            buffer: Vec::new(),
            lines: 0,
            torn: false,
            trouble_told: None,
            counts,
        })
    }

    pub(super) fn write(&mut self, finished: &Finished) {
        line::diagnose(finished);
        if self.destination.is_none() {
            return self.counts.waited(1);
        }
        let forwarding = self.trust.get();
        line::put(&mut self.buffer, finished, self.query, &forwarding);
        self.lines += 1;
        if self.buffer.len() >= BUFFER_OCTETS {
            self.flush();
        }
    }

    pub(super) fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        match self.put_out() {
            Ok(()) => {
                self.torn = false;
                self.counts.add(&self.counts.written, lines);
            }
            Err(error) => {
                self.torn = true;
                self.counts.add(&self.counts.failed, lines);
                self.complain(&error);
            }
        }
        self.counts.waited(lines);
        self.buffer.clear();
    }

    fn put_out(&mut self) -> io::Result<()> {
        let start: &[u8] = if self.torn { b"\n" } else { b"" };
        match &mut self.file {
            Some(file) => {
                file.write_all(start)?;
                file.write_all(&self.buffer)
            }
            None => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(start)?;
                stdout.write_all(&self.buffer)?;
                stdout.flush()
            }
        }
    }

    /// Opens the file by its name again. Where that fails, the old one stays.
    pub(super) fn reopen(&mut self) {
        self.flush();
        let Some(Destination::File(path)) = &self.destination else { return };
        match append_to(path) {
            Ok(file) => {
                self.file = Some(file);
                self.torn = false;
                tracing::info!(path = %path.display(), "the access log was opened again");
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the access log cannot be opened again; the old file stays");
            }
        }
    }

    fn complain(&mut self, error: &io::Error) {
        if self.trouble_told.is_none_or(|at| at.elapsed() >= TROUBLE_INTERVAL) {
            self.trouble_told = Some(Instant::now());
            tracing::warn!(%error, "the access log cannot be written");
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    // Opening waits for a reader, who may not come: whoever waits for the program is to know for whom it waits.
    if fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
        tracing::info!(path = %path.display(), "the access log is a pipe: it is opened once somebody reads from it");
    }
    OpenOptions::new().create(true).append(true).open(path)
}
