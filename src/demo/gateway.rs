//! The gateway of the demo: the same as `shuntyard run` has, on real sockets, with an account of its requests.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use shuntyard_adapter::transport::FrontTls;
use shuntyard_adapter::{Exit, Handle, Notice, Options};
use shuntyard_core::address::Address;
use shuntyard_core::config::Config;
use shuntyard_core::gateway::{Outcome, Record};

use crate::admin::{About, Admin};
use crate::cli::Adapter;
use crate::failure::Failure;
use crate::server::Server;

use super::certificate::{CLIENTS_NAME, CertificateFile, NAME};

/// A gateway that runs.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) address: SocketAddr,
    /// Where its status page is.
    pub(super) admin: SocketAddr,
    account: Arc<Account>,
    handle: Handle,
    thread: Option<JoinHandle<io::Result<Exit>>>,
}

/// What the gateway wrote down about its requests.
#[derive(Debug, Default)]
struct Account {
    started: AtomicU64,
    complete: AtomicU64,
    incomplete: AtomicU64,
    others: AtomicU64,
    retried: AtomicU64,
}

/// The account at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Balance {
    /// Requests that began.
    pub(super) started: u64,
    /// Requests of the demo's clients whose response left whole.
    pub(super) complete: u64,
    /// Requests of theirs that ended otherwise.
    pub(super) incomplete: u64,
    /// Requests of others than the demo's clients, however they ended: somebody looks in.
    pub(super) others: u64,
    /// Requests that were handed to a backend more than once.
    pub(super) retried: u64,
}

/// How the gateway ended.
#[derive(Debug)]
pub(super) enum End {
    /// It was drained; so many connections were cut.
    Drained { cut: u32 },
    /// Its event loop failed.
    Failed(io::Error),
    /// A thread panicked.
    Panicked,
}

impl Gateway {
    /// Listens on ports that the kernel picks: for clients, by TLS, and for a browser that looks on.
    pub(super) fn start(
        origins: &[SocketAddr],
        workers: NonZeroUsize,
        adapter: Adapter,
        tls: FrontTls,
    ) -> Result<Self, Failure> {
        let mut config = Config::new(origins.iter().copied().map(Address::Inet).collect());
        config.records = true;
        let account = Arc::new(Account::default());
        let writer = Arc::clone(&account);
        let mut options = Options::new(Vec::new());
        options.listen_tls = vec![(Address::Inet(([127, 0, 0, 1], 0).into()), tls)];
        options.workers = workers;
        options.observer = Some(Arc::new(move |notice| {
            if let Notice::Record { record, .. } = notice {
                writer.note(&record);
            }
        }));
        let server = Server::bind(adapter, config, options)?;
        let Some(&Address::Inet(address)) = server.local_addrs().first() else {
            let error = io::ErrorKind::AddrNotAvailable.into();
            return Err(Failure::System { what: "cannot listen", error });
        };
        let handle = server.handle();
        let page = Admin::bind(([127, 0, 0, 1], 0).into(), false)?;
        let admin = page.address();
        page.serve(About::new(server.handle(), adapter.name()))
            .map_err(|error| Failure::System { what: "cannot start a thread", error })?;
        let thread = thread::Builder::new()
            .name("gateway".to_owned())
            .spawn(move || server.run())
            .map_err(|error| Failure::System { what: "cannot start a thread", error })?;
        Ok(Self { address, admin, account, handle, thread: Some(thread) })
    }

    /// How curl gets something from it.
    pub(super) fn curl(&self, certificate: &CertificateFile, path: &str) -> String {
        let (file, port) = (certificate.path().display(), self.address.port());
        format!("curl --cacert {file} https://{NAME}:{port}/{path}")
    }

    pub(super) fn balance(&self) -> Balance {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Account { started, complete, incomplete, others, retried } = &*self.account;
        Balance {
            started: read(started),
            complete: read(complete),
            incomplete: read(incomplete),
            others: read(others),
            retried: read(retried),
        }
    }

    /// Lets what is under way finish, for so long.
    pub(super) fn drain(&self, deadline: Duration) {
        self.handle.drain(deadline);
    }

    /// Ends it, whatever is under way.
    pub(super) fn stop(&self) {
        self.handle.stop();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// How it ended. `None`: it has not, or that was told already.
    pub(super) fn end(&mut self) -> Option<End> {
        let thread = self.thread.take_if(|thread| thread.is_finished())?;
        Some(match thread.join() {
            Ok(Ok(Exit { cut })) => End::Drained { cut },
            Ok(Err(error)) => End::Failed(error),
            Err(_) => End::Panicked,
        })
    }
}

impl Account {
    fn note(&self, record: &Record) {
        let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        match record {
            Record::Started { .. } => add(&self.started),
            Record::Attempt(_) => 0,
            Record::Ended(end) => {
                let asked = end.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
                if asked != Some(CLIENTS_NAME) {
                    add(&self.others);
                    return;
                }
                if end.attempts > 1 {
                    add(&self.retried);
                }
                match end.outcome {
                    Outcome::Complete => add(&self.complete),
                    Outcome::LocalReply(_)
                    | Outcome::Truncated(_)
                    | Outcome::ClientGone
                    | Outcome::ClientError => add(&self.incomplete),
                }
            }
        };
    }
}
