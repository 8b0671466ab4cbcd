//! Binds [`shuntyard_core`] to sockets with a hand-rolled [`mio`] event loop.
//!
//! A [`Server`] has a number of workers. Each is a thread with a poll, listening sockets and a [`Gateway`] of its own;
//! they share nothing. The kernel spreads connections over them (SO_REUSEPORT).
//!
//! ```no_run
//! use std::time::Duration;
//! use shuntyard_core::address::{Address, SocketAddr};
//! use shuntyard_core::config::Config;
//! use shuntyard_mio::{Options, Server};
//!
//! let backend = Address::from("127.0.0.1:9000".parse::<SocketAddr>()?);
//! let listen = Address::from("127.0.0.1:8080".parse::<SocketAddr>()?);
//! let server = Server::bind(Config::new(vec![backend]), Options::new(vec![listen]))?;
//!
//! let handle = server.handle();
//! std::thread::spawn(move || {
//!     // ... when it is time to go:
//!     handle.drain(Duration::from_secs(25));
//! });
//! let exit = server.run()?;
//! assert_eq!(exit.cut, 0, "every request was finished");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # One turn of a worker
//!
//! ```text
//!      poll, until the gateway's deadline or a socket
//!        |
//!      accept                      at most 64 connections a listener
//!      read what is ready          at most 256 KiB a socket, then the others' turn
//!      handle_timeout              if it is time
//!        |
//!   +--> poll_action until empty   connect, resume reading, shut down, close; note who has output
//!   +--- write each of those once  vectored, until it has no more output or the socket has no more room
//! ```
//!
//! Polling is edge-triggered: the worker remembers who may be read from and written to until a system call says otherwise,
//! so that a socket costs one `epoll_ctl` in its life. In steady state a turn allocates nothing.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use mio::{Poll, Waker};
use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, ConfigError};
use shuntyard_core::gateway::{Gateway, Record};

mod clock;
mod listener;
mod socket;
mod worker;

use clock::{Clock, wall_clock};
use listener::Listener;
use worker::{Order, WAKE, Worker, listener_token};

/// How a [`Server`] stands on this machine. What it does for its clients is in [`Config`].
#[derive(Clone)]
pub struct Options {
    /// Where clients connect to. Port 0 is a port that the kernel picks. Every worker listens on all of them.
    pub listen: Vec<Address>,
    /// Threads, each with a gateway of its own: the limits of [`Config`] hold for each of them.
    pub workers: NonZeroUsize,
    /// Seeds the gateways' random choices. The worker's number is added to it.
    pub seed: u64,
    /// Is told of records and of trouble. Runs on the workers' threads, so it must not block.
    pub observer: Option<Observer>,
}

impl Options {
    /// One worker, seed 0, no observer.
    pub fn new(listen: Vec<Address>) -> Self {
        Self { listen, workers: NonZeroUsize::MIN, seed: 0, observer: None }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("workers", &self.workers)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// Is told what a [`Server`] notices.
pub type Observer = Arc<dyn Fn(Notice) + Send + Sync>;

/// What a [`Server`] noticed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// A gateway wrote something down ([`Config::records`]).
    Record(Box<Record>),
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
}

/// Why a [`Server`] could not be made.
#[derive(Debug)]
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
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "the configuration is not valid: {error}"),
            Self::Listen { address, error } => write!(f, "cannot listen on {address}: {error}"),
            Self::Poll(error) => write!(f, "cannot make a poll: {error}"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Listen { error, .. } | Self::Poll(error) => Some(error),
        }
    }
}

/// How a [`Server`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Connections that were cut before their work was done, over all workers.
    pub cut: u32,
}

/// Gateways that listen and wait to be run.
pub struct Server {
    workers: Vec<Worker>,
    addresses: Vec<Address>,
    handle: Handle,
}

impl Server {
    /// Takes the addresses. From now on clients can connect; they are served once [`run`](Self::run) is called.
    ///
    /// # Errors
    /// An address that is taken, even by a program that would share it (SO_REUSEPORT); a value of the configuration
    /// outside its range; a system that gives no descriptors. Nothing stays bound then.
    pub fn bind(config: Config, options: Options) -> Result<Self, BindError> {
        config.validate().map_err(BindError::Config)?;
        let mut addresses = Vec::new();
        let mut shares: Vec<Vec<Listener>> = Vec::new();
        shares.resize_with(options.workers.get(), Vec::new);
        for address in &options.listen {
            let listeners = Listener::bind(address, options.workers.get())
                .map_err(|error| BindError::Listen { address: address.clone(), error })?;
            addresses.extend(listeners.first().map(|listener| listener.address().clone()));
            for (share, listener) in shares.iter_mut().zip(listeners) {
                share.push(listener);
            }
        }

        let clock = Clock::start();
        let mut workers = Vec::new();
        let mut desks = Vec::new();
        for (number, listeners) in (0..).zip(shares) {
            let now = clock.now();
            let seed = options.seed.wrapping_add(number);
            let gateway =
                Gateway::new(config.clone(), seed, now, wall_clock(now)).map_err(BindError::Config)?;
            let (worker, desk) =
                employ(gateway, listeners, clock, options.observer.clone()).map_err(BindError::Poll)?;
            workers.push(worker);
            desks.push(desk);
        }
        Ok(Self { workers, addresses, handle: Handle { desks: desks.into() } })
    }

    /// Where it listens, in the order of [`Options::listen`], with the ports that the kernel picked.
    pub fn local_addrs(&self) -> &[Address] {
        &self.addresses
    }

    /// What ends the server from another thread.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until the server was drained or stopped through its [`handle`](Self::handle).
    ///
    /// # Errors
    /// The system's, where polling fails. Then all workers have ended.
    ///
    /// # Panics
    /// Where a worker does. The others are stopped first.
    pub fn run(self) -> io::Result<Exit> {
        let Self { workers, handle, .. } = self;
        let handle = &handle;
        thread::scope(|scope| {
            let threads: Vec<_> = (0..)
                .zip(workers)
                .map(|(number, worker)| {
                    thread::Builder::new().name(format!("worker-{number}")).spawn_scoped(scope, move || {
                        let _stop = StopOthersOnFailure(handle);
                        let outcome = worker.run();
                        if outcome.is_err() {
                            handle.stop();
                        }
                        outcome
                    })
                })
                .collect();
            if threads.iter().any(Result::is_err) {
                handle.stop();
            }
            let mut exit = Exit { cut: 0 };
            for thread in threads {
                let outcome = thread?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                exit.cut = exit.cut.saturating_add(outcome?);
            }
            Ok(exit)
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("workers", &self.workers.len())
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// Ends a [`Server`] from another thread. What is ordered before [`Server::run`] is done when it runs.
#[derive(Clone)]
pub struct Handle {
    desks: Arc<[Desk]>,
}

impl Handle {
    /// Lets every worker finish what is there and accept nothing new. After the deadline, counted from now,
    /// what is still unfinished is cut. [`Server::run`] returns when no connection is left.
    pub fn drain(&self, deadline: Duration) {
        self.order(Order::Drain(deadline));
    }

    /// Ends now. What is unfinished is cut.
    pub fn stop(&self) {
        self.order(Order::Stop);
    }

    fn order(&self, order: Order) {
        for desk in self.desks.iter() {
            // A worker that has ended needs no orders.
            let _ = desk.orders.send(order);
            let _ = desk.waker.wake();
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// Where a worker takes its orders.
struct Desk {
    orders: Sender<Order>,
    waker: Waker,
}

fn employ(
    gateway: Gateway,
    mut listeners: Vec<Listener>,
    clock: Clock,
    observer: Option<Observer>,
) -> io::Result<(Worker, Desk)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKE)?;
    for (number, listener) in listeners.iter_mut().enumerate() {
        listener.register(poll.registry(), listener_token(number))?;
    }
    let (sender, orders) = channel();
    let worker = Worker::new(gateway, poll, listeners, orders, clock, observer);
    Ok((worker, Desk { orders: sender, waker }))
}

/// A server with fewer workers than it should have would look healthy.
struct StopOthersOnFailure<'a>(&'a Handle);

impl Drop for StopOthersOnFailure<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}
