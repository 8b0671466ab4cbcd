//! The adapters under test, and a server on one of them.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use shuntyard_adapter::{BindError, Exit, Handle, Notice, Observer, Options, RecordingOptions, replay};
use shuntyard_core::address::Address;
use shuntyard_core::config::Config;
use shuntyard_core::error::ConnectionError;
use shuntyard_core::gateway::{AttemptRecord, Gateway, Record};
use shuntyard_core::tls::TlsFailure;
use shuntyard_transport::NotIntroduced;

use crate::peers::{PATIENCE, any_port};
use crate::process::Recording;

/// What an adapter is for the suite.
pub(crate) trait Adapter {
    fn bind(&self, config: Config, options: Options) -> Result<Bound, BindError>;
}

/// A server that listens and does not run yet.
pub(crate) struct Bound {
    pub(crate) addresses: Vec<Address>,
    pub(crate) handle: Handle,
    run: Box<dyn FnOnce() -> io::Result<Exit> + Send>,
}

impl Bound {
    pub(crate) fn run(self) -> Exit {
        (self.run)().expect("the system refuses nothing here")
    }
}

/// The hand-rolled event loop.
pub(crate) struct Mio;

impl Adapter for Mio {
    fn bind(&self, config: Config, options: Options) -> Result<Bound, BindError> {
        let server = shuntyard_mio::Server::bind(config, options)?;
        Ok(Bound {
            addresses: server.local_addrs().to_vec(),
            handle: server.handle(),
            run: Box::new(|| server.run()),
        })
    }
}

/// tokio with threads and runtimes of the adapter's own.
pub(crate) struct Tokio;

impl Adapter for Tokio {
    fn bind(&self, config: Config, options: Options) -> Result<Bound, BindError> {
        let server = shuntyard_tokio::Server::bind(config, options)?;
        Ok(Bound {
            addresses: server.local_addrs().to_vec(),
            handle: server.handle(),
            run: Box::new(|| server.run()),
        })
    }
}

/// tokio on a runtime of somebody else's, who has more than one thread.
pub(crate) struct TokioEmbedded;

impl Adapter for TokioEmbedded {
    fn bind(&self, config: Config, options: Options) -> Result<Bound, BindError> {
        let server = shuntyard_tokio::Server::bind(config, options)?;
        let run = |server: shuntyard_tokio::Server| {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(1).enable_io().enable_time().build()?.block_on(server.serve())
        };
        Ok(Bound {
            addresses: server.local_addrs().to_vec(),
            handle: server.handle(),
            run: Box::new(move || run(server)),
        })
    }
}

/// A server on a thread of its own, which keeps account of its requests. What it was told is recorded, and stays on disk
/// where the test fails.
pub(crate) struct Running {
    pub(crate) address: Address,
    /// Of all listeners.
    pub(crate) addresses: Vec<Address>,
    pub(crate) handle: Handle,
    thread: JoinHandle<Exit>,
    account: Arc<Account>,
    _finisher: Finisher,
    pub(crate) recording: Recording,
}

/// Ends the server of a test that fails: what was recorded last is written when its worker ends.
struct Finisher {
    handle: Handle,
    ended: Receiver<()>,
}

impl Drop for Finisher {
    fn drop(&mut self) {
        if thread::panicking() {
            self.handle.stop();
            // Where it does not end, what has been written must do.
            let _ = self.ended.recv_timeout(Duration::from_secs(5));
        }
    }
}

/// What the recording of one worker in one test may take on disk.
const RECORDING_OCTETS: u64 = 64 << 20;

/// Every request that was accepted ends exactly once, whatever happens.
#[derive(Default)]
struct Account {
    started: AtomicU64,
    ended: AtomicU64,
    attempts: Mutex<Vec<AttemptRecord>>,
    /// Why handshakes of clients failed.
    turned_away: Mutex<Vec<TlsFailure>>,
    /// Why handshakes with backends failed, and with whom.
    unproven: Mutex<Vec<(String, TlsFailure)>>,
    /// Why connections were not introduced.
    strangers: Mutex<Vec<NotIntroduced>>,
}

impl Running {
    /// One worker on a port that the kernel picks.
    pub(crate) fn start(adapter: &dyn Adapter, config: Config) -> Self {
        Self::start_with(adapter, config, Options::new(vec![any_port()]))
    }

    pub(crate) fn start_workers(adapter: &dyn Adapter, config: Config, workers: usize) -> Self {
        let workers = NonZeroUsize::new(workers).unwrap();
        Self::start_with(adapter, config, Options { workers, ..Options::new(vec![any_port()]) })
    }

    pub(crate) fn start_with(adapter: &dyn Adapter, config: Config, options: Options) -> Self {
        let account = Arc::<Account>::default();
        let config = Config { records: true, ..config };
        let recording = Recording::new();
        let file = recording.path().to_owned();
        let record = RecordingOptions { file, content: true, max_octets: RECORDING_OCTETS };
        let options =
            Options { observer: Some(account.clone().observer()), recording: Some(record), ..options };
        let bound = adapter.bind(config, options).unwrap();
        let (addresses, handle) = (bound.addresses.clone(), bound.handle.clone());
        let address = addresses[0].clone();
        let (running, ended) = channel::<()>();
        let run = move || {
            let exit = bound.run();
            drop(running);
            exit
        };
        let _finisher = Finisher { handle: handle.clone(), ended };
        Self { address, addresses, handle, thread: thread::spawn(run), account, _finisher, recording }
    }

    /// Drains it; it must end without a cut.
    pub(crate) fn end(self) {
        self.handle.drain(PATIENCE);
        assert_eq!(self.wait(), Exit { cut: 0 });
    }

    /// Drains it; what its gateways were told makes others do the same.
    pub(crate) fn end_and_replay(mut self) {
        let recording = std::mem::replace(&mut self.recording, Recording::new());
        self.end();
        for file in recording.files() {
            let replayed = replay(&file).expect("a recording");
            assert!(replayed.difference.is_none() && replayed.inputs > 0, "{replayed:?}");
        }
    }

    /// Drains it with a deadline that must cut so many connections.
    pub(crate) fn cut(self, deadline: Duration, connections: u32) {
        self.handle.drain(deadline);
        assert_eq!(self.wait(), Exit { cut: connections });
    }

    /// Waits for its end.
    pub(crate) fn wait(self) -> Exit {
        let exit = self.thread.join().unwrap();
        let [started, ended] =
            [&self.account.started, &self.account.ended].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(started, ended, "requests accepted and requests ended");
        exit
    }

    /// Attempts that are over, in the order of their ends. Take them after [`end`](Self::end).
    pub(crate) fn attempts(&self) -> impl FnOnce() -> Vec<AttemptRecord> + use<> {
        let account = self.account.clone();
        move || account.attempts.lock().unwrap().clone()
    }

    /// Why handshakes of clients have failed so far.
    pub(crate) fn turned_away(&self) -> Vec<TlsFailure> {
        self.account.turned_away.lock().unwrap().clone()
    }

    /// Why handshakes with backends have failed so far, each with its upstream and host.
    pub(crate) fn unproven(&self) -> Vec<(String, TlsFailure)> {
        self.account.unproven.lock().unwrap().clone()
    }

    /// Why connections were not introduced, so far.
    pub(crate) fn strangers(&self) -> Vec<NotIntroduced> {
        self.account.strangers.lock().unwrap().clone()
    }

    /// Connections of clients that had not said what they had to in time.
    pub(crate) fn late(&self) -> u64 {
        let late = |gateway: &Gateway, now| {
            gateway.snapshot(0, now).front.connection_errors.0[ConnectionError::PrefaceTimeout as usize]
        };
        self.handle.inspect(PATIENCE, late).into_iter().sum()
    }

    /// Requests accepted so far.
    pub(crate) fn requests(&self) -> u64 {
        self.account.started.load(Ordering::Relaxed)
    }
}

impl Account {
    fn observer(self: Arc<Self>) -> Observer {
        Arc::new(move |notice| {
            if let Notice::HandshakeFailed { failure, .. } = notice {
                self.turned_away.lock().unwrap().push(failure);
            } else if let Notice::BackendTlsFailed { upstream, host, failure } = notice {
                self.unproven.lock().unwrap().push((format!("{upstream} {host}"), failure));
            } else if let Notice::NotIntroduced { reason, .. } = notice {
                self.strangers.lock().unwrap().push(reason);
            } else if let Notice::Record { record, .. } = notice {
                let count = match *record {
                    Record::Started { .. } => &self.started,
                    Record::Attempt(attempt) => {
                        self.attempts.lock().unwrap().push(attempt);
                        return;
                    }
                    Record::Ended(_) => &self.ended,
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
    }
}
