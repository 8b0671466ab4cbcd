//! Lines to their destination, many at a time while there are many.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::log::{Counts, Destination, Finished, Trust, line};

/// Octets that are collected before they are written.
pub(super) const BUFFER_OCTETS: usize = 64 << 10;
/// The same trouble is told again after this time.
const TROUBLE_INTERVAL: Duration = Duration::from_secs(10);
/// Between two looks at a destination that would block: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

pub(super) struct Writer {
    destination: Option<Destination>,
    file: Option<File>,
    query: bool,
    trust: Trust,
    buffer: Vec<u8>,
    /// Lines in the buffer.
    lines: u64,
    /// What was written last is the middle of a line.
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
            // As it is, without the buffer of the library, of which nobody knows how much has left.
            Some(Destination::Stdout) => Some(io::stdout().as_fd().try_clone_to_owned()?.into()),
            None => None,
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

    /// Into this file, as if it were standard output.
    #[cfg(test)]
    pub(super) fn into(file: File, counts: Arc<Counts>) -> Self {
        let nowhere = Self::open(None, false, Trust::default(), counts).expect("no file");
        Self { destination: Some(Destination::Stdout), file: Some(file), ..nowhere }
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
        if let Some(mut file) = self.file.take() {
            self.flush_to(&mut file);
            self.file = Some(file);
        }
    }

    /// Lines that left before a write failed have left; one that was torn is lost, and the next one does not stand behind it.
    fn flush_to(&mut self, out: &mut impl Write) {
        if self.buffer.is_empty() {
            return;
        }
        let (done, result) = put_out(out, &mut self.torn, &self.buffer);
        let lines = std::mem::take(&mut self.lines);
        let left = self.buffer.get(..done).unwrap_or_default();
        let written = left.iter().filter(|&&octet| octet == b'\n').count() as u64;
        self.torn = left.last().map_or(self.torn, |&last| last != b'\n');
        self.counts.add(&self.counts.written, written);
        self.counts.add(&self.counts.failed, lines.saturating_sub(written));
        self.counts.waited(lines);
        self.buffer.clear();
        result.err().iter().for_each(|error| self.complain(error));
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

/// Writes lines, and before them the end of one that was torn. Says how many of their octets have left, whatever became of the rest. Waits for room
/// as long as there is none, also where the destination itself would not: whoever ends the log waits for this no longer than his patience lasts.
fn put_out(out: &mut impl Write, torn: &mut bool, lines: &[u8]) -> (usize, io::Result<()>) {
    let mut done = 0;
    let mut pause = PAUSE_MIN;
    while done < lines.len() {
        let rest: &[u8] = if *torn { b"\n" } else { &lines[done..] };
        match out.write(rest) {
            Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => {
                // The end of a torn line is none of these lines' octets.
                done += if std::mem::take(torn) { 0 } else { n };
                pause = PAUSE_MIN;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(pause);
                pause = (2 * pause).min(PAUSE_MAX);
            }
            Err(error) => return (done, Err(error)),
        }
    }
    (done, out.flush())
}

fn append_to(path: &Path) -> io::Result<File> {
    // Opening waits for a reader, who may not come: whoever waits for the program is to know for whom it waits.
    if fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
        tracing::info!(path = %path.display(), "the access log is a pipe: it is opened once somebody reads from it");
    }
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Takes so many octets, and then none before it is told to.
    #[derive(Default)]
    struct Full {
        came: Vec<u8>,
        room: usize,
    }

    impl Write for Full {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let n = octets.len().min(self.room).min(7);
            self.room -= n;
            self.came.extend_from_slice(&octets[..n]);
            if n == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(n) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_left_before_a_write_failed_is_written_and_no_line_is_empty() {
        let counts = Arc::<Counts>::default();
        let mut writer = Writer::open(None, false, Trust::default(), Arc::clone(&counts)).expect("no file");
        let mut full = Full::default();
        // Room for: all; nothing; the first line; that and a part; nothing; all.
        for (room, expected) in
            [(100, [3, 0]), (0, [3, 3]), (8, [4, 5]), (11, [5, 7]), (0, [5, 10]), (100, [8, 10])]
        {
            full.room = room;
            writer.buffer.extend(b"line one\nline two\nline three\n".iter().filter(|&&octet| octet != b' '));
            writer.lines = 3;
            counts.add(&counts.waiting, 3);
            writer.flush_to(&mut full);
            let [written, _, failed] = counts.read();
            assert_eq!([written, failed], expected, "{room}");
        }
        let all = "lineone\nlinetwo\nlinethree\n";
        let expected = format!("{all}lineone\nlineone\nlin\n{all}");
        assert_eq!(String::from_utf8(full.came).expect("text"), expected);
    }

    /// Whoever made stdout non-blocking, as some do for their own end of it, reads no less than others.
    #[test]
    fn a_destination_that_would_block_is_waited_for() {
        const LINES: usize = 20_000;
        let (mut out, mut reader) = UnixStream::pair().expect("a pair");
        out.set_nonblocking(true).expect("non-blocking");
        let counts = Arc::<Counts>::default();
        let mut writer = Writer::open(None, false, Trust::default(), Arc::clone(&counts)).expect("no file");
        let read = thread::spawn(move || {
            // Until then it is full.
            thread::sleep(Duration::from_millis(50));
            io::read_to_string(&mut reader).expect("lines are text")
        });
        let line = format!("{}\n", "x".repeat(99));
        writer.buffer.extend(line.repeat(LINES).as_bytes());
        writer.lines = LINES as u64;
        counts.add(&counts.waiting, writer.lines);
        writer.flush_to(&mut out);
        drop(out);
        assert_eq!(counts.read(), [LINES as u64, 0, 0]);
        assert_eq!(read.join().expect("no panic"), line.repeat(LINES));
    }
}
