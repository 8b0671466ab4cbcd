//! The access log: one JSON line for each request that has ended.
//!
//! Workers hand the plain records over and go on; lines are made and written on a thread of its own. Between them is a
//! queue of bounded length: when it is full, requests are not written and are counted instead, for a slow disk must not
//! slow anybody down.

mod client;
mod gather;
mod line;
mod object;
mod write;

use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use shuntyard_core::config::{Config, ForwardingConfig};
use shuntyard_core::gateway::Record;

pub(crate) use gather::{Finished, attempts_octets_max};
pub(crate) use line::{rfc3339, rfc3339_seconds};
use write::Writer;

use crate::settings::count;

/// Requests that may wait to be written.
const QUEUE_MAX: usize = 8192;
/// Octets of memory that they may come to: mostly it is some two thousand each, but clients can make heads large with few octets.
const QUEUE_OCTETS_MAX: usize = 32 << 20;
/// Octets of fields that the gateway adds to a head, at most.
const HEAD_ADDED_OCTETS: u64 = 4 << 10;
/// How long the end of the program waits for what is queued.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// Octets of memory that the log of all workers takes at most: what is queued, one request of any size, and lines that are being written.
pub(crate) fn octets_max(config: &Config) -> u64 {
    // A section that has grown has up to twice its size; what is owed to a message that goes on is in it.
    let head = 2 * (u64::from(config.front.max_header_list_size) + HEAD_ADDED_OCTETS);
    let one = head + size_of::<Finished>() as u64 + attempts_octets_max(config);
    let queue = (QUEUE_OCTETS_MAX as u64).max(one) + (QUEUE_MAX * size_of::<Order>()) as u64;
    // Who escapes octets writes up to six for one.
    queue + 2 * (write::BUFFER_OCTETS as u64 + 6 * head)
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Standard output.
    Stdout,
    /// Appended to this file, which is made if it is not there.
    File(PathBuf),
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("name a file, or - for standard output".to_owned()),
            "-" => Ok(Self::Stdout),
            path => Ok(Self::File(path.into())),
        }
    }
}

/// An access log that is being written.
pub(crate) struct AccessLog {
    sender: SyncSender<Order>,
    counts: Arc<Counts>,
    /// Octets of memory in the queue.
    queued: Arc<AtomicUsize>,
    /// Whether there is a log, or diagnostics are all there is.
    is_written: bool,
    thread: JoinHandle<()>,
}

/// Whose word of clients is taken. A reload may change it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust(Arc<Mutex<Arc<ForwardingConfig>>>);

impl Trust {
    /// From the next line on this holds.
    pub(crate) fn set(&self, forwarding: ForwardingConfig) {
        // It is whole after every change.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(forwarding);
    }

    fn get(&self) -> Arc<ForwardingConfig> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What became of the lines.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Requests whose line was written.
    pub(crate) written: AtomicU64,
    /// Requests that came while the queue was full.
    pub(crate) dropped: AtomicU64,
    /// Requests whose line could not be written.
    pub(crate) failed: AtomicU64,
    /// Requests that wait for their line, in the queue or in lines that are being written.
    waiting: AtomicU64,
}

impl Counts {
    fn add(&self, counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// So many wait no more, whatever became of them.
    fn waited(&self, n: u64) {
        self.waiting.fetch_sub(n, Ordering::Relaxed);
    }

    /// Lines written, dropped, failed.
    pub(crate) fn read(&self) -> [u64; 3] {
        [&self.written, &self.dropped, &self.failed].map(|counter| counter.load(Ordering::Relaxed))
    }
}

enum Order {
    Write(Box<Finished>),
    Reopen,
    End,
}

impl AccessLog {
    /// Opens the destination; `None` writes nothing and tells diagnostics only. `query` shows query strings.
    pub(crate) fn open(destination: Option<Destination>, query: bool, trust: Trust) -> io::Result<Self> {
        let counts = Arc::<Counts>::default();
        let is_written = destination.is_some();
        let writer = Writer::open(destination, query, trust, Arc::clone(&counts))?;
        Self::start(writer, counts, is_written)
    }

    /// Writes by this writer, which has these counts.
    fn start(mut writer: Writer, counts: Arc<Counts>, is_written: bool) -> io::Result<Self> {
        let (sender, orders) = sync_channel(QUEUE_MAX);
        let queued = Arc::<AtomicUsize>::default();
        let taken = Arc::clone(&queued);
        let thread = thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            loop {
                let order = match orders.try_recv() {
                    Ok(order) => order,
                    Err(_) => {
                        writer.flush();
                        let Ok(order) = orders.recv() else { return };
                        order
                    }
                };
                match order {
                    Order::Write(finished) => {
                        writer.write(&finished);
                        taken.fetch_sub(finished.octets(), Ordering::Relaxed);
                    }
                    Order::Reopen => writer.reopen(),
                    Order::End => return writer.flush(),
                }
            }
        })?;
        Ok(Self { sender, counts, queued, is_written, thread })
    }

    /// What workers tell of their records.
    pub(crate) fn note(&self) -> impl Fn(usize, Record) + Send + Sync + use<> {
        let (sender, counts) = (self.sender.clone(), Arc::clone(&self.counts));
        let queued = Arc::clone(&self.queued);
        move |worker, record| {
            let Some(finished) = gather::gather(worker, record) else { return };
            let octets = finished.octets();
            // One may be there whatever its size. It is taken off when it was written, or was not queued.
            let before = queued.fetch_add(octets, Ordering::Relaxed);
            let fits = before == 0 || before.saturating_add(octets) <= QUEUE_OCTETS_MAX;
            counts.add(&counts.waiting, 1);
            if !fits || sender.try_send(Order::Write(Box::new(finished))).is_err() {
                queued.fetch_sub(octets, Ordering::Relaxed);
                counts.waited(1);
                counts.add(&counts.dropped, 1);
            }
        }
    }

    /// Opens the file again by its name, for whoever has moved it away.
    pub(crate) fn reopener(&self) -> impl Fn() + Send + use<> {
        let sender = self.sender.clone();
        // A log that has ended needs no other file.
        move || _ = sender.send(Order::Reopen)
    }

    /// What became of the lines so far.
    pub(crate) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Writes what is queued and ends. What a destination that takes nothing does not get within a while is lost.
    pub(crate) fn end(self) {
        self.end_within(END_PATIENCE).iter().for_each(|lost| tracing::warn!("{lost}"));
    }

    /// Says what is lost.
    fn end_within(self, patience: Duration) -> Vec<String> {
        let until = Instant::now() + patience;
        let mut told = false;
        while !self.thread.is_finished() && Instant::now() < until {
            told = told || self.sender.try_send(Order::End).is_ok();
            thread::sleep(Duration::from_millis(1));
        }
        let [_, dropped, failed] = self.counts.read();
        let left = self.counts.waiting.load(Ordering::Relaxed);
        // Without a log nobody misses lines in it: diagnostics go the same way.
        let what = if self.is_written { "the access log lacks" } else { "diagnostics lack" };
        let lost = [
            (dropped, "could not be written fast enough".to_owned()),
            (left, format!("were not written within {patience:?} of the end")),
            (failed, "could not be written".to_owned()),
        ];
        let lost = lost.into_iter().filter(|(n, _)| *n > 0);
        let requests = |n: u64| count(usize::try_from(n).unwrap_or(usize::MAX), "request");
        lost.map(|(n, why)| format!("{what} {}: they {why}", requests(n))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe that nobody reads from takes a few thousand lines and then none.
    #[test]
    fn a_queue_that_is_full_drops_and_counts() {
        let (written, dropped) = stuck(60_000, &[]);
        assert!(dropped > 0, "{written} and {dropped}");
    }

    /// Fewer requests than may wait, if their heads were small.
    #[test]
    fn a_queue_of_large_heads_drops_and_counts() {
        let large = vec![b'x'; 60_000];
        let (written, dropped) = stuck(2000, &[(b"x-large", &large)]);
        assert!((200..1500).contains(&written) && dropped > 0, "{written} and {dropped}");
    }

    /// What nobody takes is lost with the program, and whoever reads its last words is told of each request.
    #[test]
    fn what_waits_at_the_end_of_patience_is_told() {
        let folder = std::env::temp_dir().join(format!("shuntyard-log-end-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (log, reader) = into_pipe(&folder);
        let note = log.note();
        (0..1000).for_each(|_| note(0, Record::Ended(line::tests::finished(&[]).end)));
        let counts = log.counts();
        let lost = log.end_within(Duration::from_millis(200));
        let [written, dropped, failed] = counts.read();
        let left = 1000 - written;
        assert_eq!((dropped, failed), (0, 0));
        let why = "they were not written within 200ms of the end";
        assert_eq!(lost, [format!("the access log lacks {left} requests: {why}")]);
        drop(reader);
        std::fs::remove_dir_all(folder).expect("the folder is ours");
    }

    /// Likewise where the destination itself would not wait.
    #[test]
    fn a_destination_that_would_block_for_ever_holds_up_no_end() {
        let (out, reader) = std::os::unix::net::UnixStream::pair().expect("a pair");
        out.set_nonblocking(true).expect("non-blocking");
        let counts = Arc::<Counts>::default();
        let file = std::fs::File::from(std::os::fd::OwnedFd::from(out));
        let writer = Writer::into(file, Arc::clone(&counts));
        let log = AccessLog::start(writer, Arc::clone(&counts), true).expect("a thread");
        let note = log.note();
        (0..2000).for_each(|_| note(0, Record::Ended(line::tests::finished(&[]).end)));
        let lost = log.end_within(Duration::from_millis(200));
        let [written, dropped, failed] = counts.read();
        assert_eq!((dropped, failed), (0, 0));
        let why = "they were not written within 200ms of the end";
        assert_eq!(lost, [format!("the access log lacks {} requests: {why}", 2000 - written)]);
        drop(reader);
    }

    /// With -v alone there is no log that could lack something.
    #[test]
    fn diagnostics_without_a_log_lack_nothing_of_one() {
        let log = AccessLog::open(None, false, Trust::default()).expect("a thread");
        let note = log.note();
        (0..10).for_each(|_| note(0, Record::Ended(line::tests::finished(&[]).end)));
        log.counts.add(&log.counts.dropped, 1);
        assert_eq!(
            log.end_within(END_PATIENCE),
            ["diagnostics lack 1 request: they could not be written fast enough"]
        );
    }

    /// A log into a pipe that is open for reading, and its other end.
    fn into_pipe(folder: &std::path::Path) -> (AccessLog, std::fs::File) {
        let path = folder.join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
        assert!(made.success());
        let opened = path.clone();
        let reader = thread::spawn(move || std::fs::File::open(opened).expect("the pipe opens"));
        let log =
            AccessLog::open(Some(Destination::File(path)), false, Trust::default()).expect("the pipe opens");
        (log, reader.join().expect("no panic"))
    }

    /// A log whose file takes nothing until so many requests with these fields have ended: how many were written, and dropped.
    fn stuck(requests: u64, fields: &[(&[u8], &[u8])]) -> (u64, u64) {
        let folder = std::env::temp_dir().join(format!("shuntyard-log-{}-{requests}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (log, mut reader) = into_pipe(&folder);
        let (note, counts) = (log.note(), log.counts());
        for _ in 0..requests {
            note(0, Record::Ended(line::tests::finished(fields).end));
        }
        let [_, dropped, _] = counts.read();
        assert!(dropped < requests, "{dropped} were dropped");
        let read = thread::spawn(move || io::read_to_string(&mut reader).expect("lines are text"));
        log.end();
        drop(note);
        let [written, dropped, failed] = counts.read();
        assert_eq!((written + dropped, failed), (requests, 0));
        assert_eq!(counts.waiting.load(Ordering::Relaxed), 0);
        let text = read.join().expect("no panic");
        assert_eq!(text.lines().count() as u64, written);
        std::fs::remove_dir_all(folder).expect("the folder is ours");
        (written, dropped)
    }

    /// What is queued is counted by the memory it holds, and never comes to more than is said of it.
    #[test]
    fn the_bound_holds_a_queue_that_is_full_and_one_large_request() {
        let large = vec![b'x'; 60_000];
        let finished = line::tests::finished(&[(b"x-large", &large)]);
        assert!(finished.octets() > 60_000 + size_of::<Finished>());
        let mut config = Config::new(Vec::new());
        let bound = octets_max(&config);
        assert!((32 << 20..48 << 20).contains(&bound), "{bound}");
        // One may be there whatever its size.
        config.front.max_header_list_size = 16 << 20;
        assert!(octets_max(&config) > bound);
    }

    #[test]
    fn a_destination_is_a_file_or_standard_output() {
        assert_eq!("-".parse(), Ok(Destination::Stdout));
        assert_eq!("a/b".parse(), Ok(Destination::File("a/b".into())));
        assert!("".parse::<Destination>().is_err());
    }
}
