//! What the adapters of [`shuntyard_core`] share, so that it stands once: options, notices and errors, how addresses
//! are taken, the clock, orders from other threads, and how fair a turn is. It drives no socket.
//!
//! Whoever serves uses `shuntyard-mio` or `shuntyard-tokio`, which show what of this is theirs to show. Whoever writes
//! an adapter of their own may begin here.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use shuntyard_core::address::Address;
use shuntyard_core::config::ConfigError;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::Record;
use shuntyard_core::hooks::Hooks;
use shuntyard_core::tls::TlsFailure;

use shuntyard_transport::{FrontTls, NotIntroduced};

mod admission;
mod backs;
mod clock;
mod equipment;
mod failure;
mod handle;
mod introducing;
mod listener;
mod looking;
mod recording;
mod resolve;
mod secured;
mod threads;

pub use admission::Admission;
pub use backs::Backs;
pub use clock::{Clock, wall_clock};
pub use equipment::{Equipment, equip};
pub use failure::{connect_failure, is_queue_full, is_transient, transfer_failure};
pub use handle::{Desk, Handle, Look, Order};
pub use introducing::{Introduced, Introducing};
pub use listener::{
    BACKLOG, INHERITS_NO_DELAY, ListenSocket, Listener, Opened, SocketFile, read_at_once, reset_on_close,
};
pub use looking::Looking;
pub use recording::{
    Damage, Difference, Ending, Input, Recorded, RecordingOptions, ReplayError, Replayed, StreamName,
    explain, explain_with, recording_octets_max, replay, replay_octets, replay_octets_with, replay_with,
};
pub use resolve::{addresses_of, resolve};
pub use secured::{Reading, Secured, Wire, Writing};
pub use shuntyard_transport as transport;
pub use threads::{panicked, run_threads};

/// Octets read from one socket before the others have their turn.
pub const TURN_OCTETS: usize = 256 << 10;
/// Connections accepted from one listener before the sockets have their turn.
pub const TURN_ACCEPTS: usize = 64;
/// Handshakes of TLS that a worker has under way with clients, at most. Whoever comes beyond waits in the kernel's queue, or takes the place of one
/// that has lasted longer than [`HANDSHAKE_PATIENCE`].
pub const HANDSHAKES_MAX: usize = 1024;
/// How long a handshake keeps its place where others wait for one: those who mean it are done by then.
pub const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(1);
/// How long a worker that ran out of descriptors accepts nothing.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// When a backend is called again whose queue of connections is full: one of a Unix socket turns us away at once, where one of TCP lets us wait. The
/// gateway's deadline for connecting ends it.
pub const CONNECT_AGAIN: Duration = Duration::from_millis(10);
/// How often the gateway is told the civil time, at most.
pub const WALL_CLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// How a server stands on this machine. What it does for its clients is in [`Config`](shuntyard_core::config::Config).
#[derive(Clone)]
pub struct Options {
    /// Where clients connect to. Port 0 is a port that the kernel picks. Every worker listens on all of them.
    pub listen: Vec<Address>,
    /// Where clients connect to and speak TLS. It comes behind the others in the list of addresses. The groups of names of each
    /// ([`FrontTls::by_name`]) are told to the gateway; [`Config::listeners`](shuntyard_core::config::Config::listeners) may repeat them, and must not say others.
    /// Each offers nothing but what is spoken there.
    pub listen_tls: Vec<(Address, FrontTls)>,
    /// Sockets that listen already, at addresses of the lists above: there none is made, and workers share the one that there is. One at any other
    /// address is refused ([`ConfigError::ListenerUnknown`]).
    pub opened: Vec<Opened>,
    /// How upstreams are spoken to by TLS: each that has an endpoint which speaks it ([`EndpointConfig::tls`](shuntyard_core::config::EndpointConfig::tls)).
    pub backs: Backs,
    /// Threads, each with a gateway of its own: the limits of [`Config`](shuntyard_core::config::Config) hold for each of them.
    pub workers: NonZeroUsize,
    /// Seeds the gateways' random choices and keys their hashes. The worker's number is added to it. Unpredictable in production, or clients could
    /// make hashes collide; fixed in tests that are to be the same twice.
    pub seed: u64,
    /// Is told of records and of trouble, on the thread that it happens on: a worker's, which it must not block, or one that looks a name up
    /// ([`Notice::NameUnresolved`]).
    pub observer: Option<Observer>,
    /// Makes the hooks of each worker, which knows nothing of the others'. A recording does not hold them: whoever replays one
    /// of a gateway with hooks needs the same hooks ([`replay_with`]), and where they look at content, a recording of it.
    pub hooks: Option<MakeHooks>,
    /// Whether the gateways' inputs are recorded, and where.
    pub recording: Option<RecordingOptions>,
}

impl Options {
    /// One worker, a seed that the system has drawn, no observer, no hooks, no recording.
    pub fn new(listen: Vec<Address>) -> Self {
        Self {
            listen,
            listen_tls: Vec::new(),
            opened: Vec::new(),
            backs: Backs::default(),
            workers: NonZeroUsize::MIN,
            seed: drawn_seed(),
            observer: None,
            hooks: None,
            recording: None,
        }
    }
}

/// Different each time: std seeds its hasher from the system's randomness.
fn drawn_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("listen_tls", &self.listen_tls)
            .field("opened", &self.opened)
            .field("workers", &self.workers)
            .field("recording", &self.recording)
            .finish_non_exhaustive()
    }
}

/// Is told what a server notices. Where it panics on a worker's thread, the server ends with an error.
pub type Observer = Arc<dyn Fn(Notice) + Send + Sync>;

/// Makes the hooks of the worker with this number, counted from 0.
pub type MakeHooks = Arc<dyn Fn(usize) -> Box<dyn Hooks> + Send + Sync>;

/// What a server noticed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// A gateway wrote something down ([`Config::records`](shuntyard_core::config::Config::records)). Each gateway numbers its requests for itself: records are of one request where both
    /// numbers are the same.
    Record {
        /// The worker's number, counted from 0.
        worker: usize,
        /// What it wrote down.
        record: Box<Record>,
    },
    /// A connection could not be accepted, as a rule because the process has no descriptor left (EMFILE).
    /// It waits in the kernel's queue; the worker tries again after the pause.
    AcceptPaused {
        /// Where the connection waits.
        listener: Address,
        /// What the system said.
        error: io::Error,
        /// How long nothing is accepted.
        pause: Duration,
    },
    /// The same in a drain, where there is no other try: the listener is closed, and those who wait there are reset.
    AcceptEnded {
        /// Where they wait.
        listener: Address,
        /// What the system said.
        error: io::Error,
    },
    /// A client's handshake of TLS failed.
    HandshakeFailed {
        /// The client.
        client: Address,
        /// Where it came in.
        listener: Address,
        /// Why.
        failure: TlsFailure,
    },
    /// A connection's first octets were no header of the PROXY protocol, at a listener that expects one.
    NotIntroduced {
        /// Who sent them.
        peer: Address,
        /// Where they came in.
        listener: Address,
        /// Why they are none.
        reason: NotIntroduced,
    },
    /// The addresses behind a name were not found. The gateway asks again when somebody needs them. As a rule it is told on a
    /// thread of its own, and on the worker's where the system gives none.
    NameUnresolved {
        /// The name.
        name: Arc<str>,
        /// What the system said.
        error: io::Error,
    },
    /// A connection to a backend could not be made. What ends at the gateway's own deadline is not among them: nobody has said why.
    DialFailed {
        /// The address that was dialled.
        target: Address,
        /// What the system said.
        error: io::Error,
    },
    /// TLS with a backend failed: in its handshake, or by what the backend said behind it. What ends at the gateway's own deadline is not among them.
    BackendTlsFailed {
        /// The upstream.
        upstream: Arc<str>,
        /// Who the backend has to be, unless the upstream says another name.
        host: Arc<str>,
        /// Why.
        failure: TlsFailure,
    },
    /// An endpoint answered in HTTP/1.1, where the configuration says HTTP/2. Each is told of once by each worker.
    AnsweredInHttp1 {
        /// What the configuration calls it.
        endpoint: Arc<str>,
    },
    /// A backend has ended a connection, and has said why: it may be for what it was sent.
    GoAway {
        /// The endpoint, as the configuration names it.
        endpoint: Arc<str>,
        /// Why, which is not NO_ERROR.
        code: ErrorCode,
        /// The beginning of what it adds for people. It may be anything.
        debug_data: Box<[u8]>,
    },
    /// Nothing more is recorded: the file is as large as it may be, or could not be written.
    RecordingEnded {
        /// The file. It can be replayed as far as it goes.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Why a server could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// The configuration is not valid.
    Config(ConfigError),
    /// An address could not be taken.
    Listen {
        /// The address.
        address: Address,
        /// What the system said.
        error: io::Error,
    },
    /// The system gave no poll.
    Poll(io::Error),
    /// The file of a recording could not be made.
    Recording {
        /// The file, without the worker's number.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "the configuration is not valid: {error}"),
            Self::Listen { address, error } => write!(f, "cannot listen on {address}: {error}"),
            Self::Poll(error) => write!(f, "cannot make a poll: {error}"),
            Self::Recording { file, error } => write!(f, "cannot record to {}: {error}", file.display()),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Listen { error, .. } | Self::Poll(error) | Self::Recording { error, .. } => Some(error),
        }
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Connections that were cut before their work was done, over all workers.
    pub cut: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that all programs share would be known to everybody.
    #[test]
    fn options_come_with_a_seed_of_their_own() {
        assert_ne!(Options::new(Vec::new()).seed, Options::new(Vec::new()).seed);
    }

    /// Whoever prints options must not tell it.
    #[test]
    fn a_seed_is_not_printed() {
        let options = Options { seed: 12_345_678, ..Options::new(Vec::new()) };
        assert!(!format!("{options:?}").contains("12345678"));
    }
}
