//! Binds [`shuntyard_core`] to sockets with [`tokio`].
//!
//! A [`Server`] has a number of workers. Each is a thread with a current-thread runtime, listening sockets and a
//! gateway of its own; they share nothing. The kernel spreads connections over them (SO_REUSEPORT).
//!
//! ```no_run
//! use std::time::Duration;
//! use shuntyard_core::address::{Address, SocketAddr};
//! use shuntyard_core::config::Config;
//! use shuntyard_tokio::{Options, Server};
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
//! # Inside a program that has a runtime
//!
//! [`Server::serve`] is `run` as a future: it starts no runtime, and no thread but those that look up the names of endpoints, where some
//! have names. It stays on the thread that polls it, so it stands in `block_on`, or in a local task.
//!
//! ```
//! # use std::time::Duration;
//! # use shuntyard_core::address::{Address, SocketAddr};
//! # use shuntyard_core::config::Config;
//! # use shuntyard_tokio::{Options, Server};
//! # let backend = Address::from("127.0.0.1:9000".parse::<SocketAddr>()?);
//! # let listen = Address::from("127.0.0.1:0".parse::<SocketAddr>()?);
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
//! let server = Server::bind(Config::new(vec![backend]), Options::new(vec![listen]))?;
//! let handle = server.handle();
//! let exit = runtime.block_on(async {
//!     let own_work = async move { handle.drain(Duration::from_secs(25)) };
//!     tokio::join!(server.serve(), own_work).0
//! })?;
//! assert_eq!(exit.cut, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What the gateway is doing tells [`Handle::look`] there; [`Handle::inspect`] would block the thread that has to answer.
//!
//! The example `embedded` is such a program, with a service of its own beside the gateway:
//! `cargo run -p shuntyard-tokio --example embedded LISTEN BACKEND GREETER`. [`Options::hooks`] puts code of the program on the
//! way of each request ([`shuntyard_core::hooks`]).
//!
//! # The tasks of a worker
//!
//! ```text
//!   a client     write what the gateway has for it, until it has no more or the socket has no more room;
//!                then read: at most 256 KiB, then the others' turn
//!   a backend    the other way round: nothing is sent behind an end that is known already
//!   a listener   accept: at most 64 connections, then the others' turn
//!   the alarm    sleep until the gateway's deadline
//!   the desk     orders from other threads; the end
//! ```
//!
//! Every one of them has its turn with the gateway and does what `poll_action` names before it yields; a socket that is
//! to be written to or read from again is woken. Since tasks run in the order in which they were woken, what many
//! clients send to one backend gathers before that backend's task writes it, once.

use std::fmt;
use std::io;
use std::sync::Arc;

#[doc(inline)]
pub use shuntyard_adapter::transport::{
    BackTls, ClientAuth, FrontTls, Identity, NotIntroduced, TlsConfigError, Trust,
};
#[doc(inline)]
pub use shuntyard_adapter::{
    Backs, BindError, Damage, Difference, Ending, Exit, Handle, ListenSocket, Looking, MakeHooks, Notice,
    Observer, Opened, Options, RecordingOptions, ReplayError, Replayed, StreamName, explain, explain_with,
    replay, replay_octets, replay_octets_with, replay_with,
};
use shuntyard_adapter::{Desk, Equipment, equip, panicked, run_threads};
use shuntyard_core::address::Address;
use shuntyard_core::config::Config;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::{JoinError, JoinSet, LocalSet};

mod alarm;
mod connection;
mod handshakes;
mod listener;
mod presence;
mod secured;
mod sockets;
mod worker;
mod yard;

pub use worker::Worker;

/// Gateways that listen and wait to be run.
pub struct Server {
    workers: Vec<Worker>,
    addresses: Vec<Address>,
    handle: Handle,
}

impl Server {
    /// Takes the addresses. From now on clients can connect; they are served once [`run`](Self::run) is called, or
    /// [`serve`](Self::serve) polled. Needs no runtime.
    ///
    /// # Errors
    /// An address that is taken, even by a program that would share it (SO_REUSEPORT); a value of the configuration
    /// outside its range. Nothing stays bound then.
    pub fn bind(config: Config, options: Options) -> Result<Self, BindError> {
        let equipment = equip(&config, &options)?;
        let listeners = equipment.first().map_or(&[][..], |first| &first.listeners);
        let addresses = listeners.iter().map(|listener| listener.address.clone()).collect();
        let (workers, desks) =
            equipment.into_iter().map(|equipment| employ(equipment, options.observer.clone())).unzip();
        Ok(Self { workers, addresses, handle: Handle::of(desks, &config, &options) })
    }

    /// Where it listens, in the order of [`Options::listen`], with the ports that the kernel picked.
    pub fn local_addrs(&self) -> &[Address] {
        &self.addresses
    }

    /// What ends the server, configures it, looks at it and parts it from clients, from another thread or task.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until the server was drained or stopped through its [`handle`](Self::handle), each worker on a thread and
    /// a runtime of its own.
    ///
    /// It blocks its thread until then. Inside of a runtime that is one of the runtime's, whose other tasks stand still meanwhile: there
    /// [`serve`](Self::serve) is the way, or a thread for what blocks (`tokio::task::spawn_blocking`).
    ///
    /// # Errors
    /// The system's, where it gives no runtime; a worker's, as [`serve`](Self::serve) has them. Then all workers have ended.
    pub fn run(self) -> io::Result<Exit> {
        // A runtime ends on the thread of its worker, whatever becomes of the others: on one of another runtime's it would panic.
        run_threads(self.workers, &self.handle, |worker| {
            runtime()?.block_on(worker.serve()).map(|exit| exit.cut)
        })
    }

    /// Serves until the server was drained or stopped through its [`handle`](Self::handle), with all workers on the
    /// thread that polls the future: one is enough. Dropping the future closes everything at once.
    ///
    /// It wants a current-thread runtime. Another one wakes tasks from threads of its own: they have their turns in another order than that in which
    /// they had something to do, so that what many clients send to one backend gathers less, and each wake-up crosses threads.
    ///
    /// # Errors
    /// The system's, where the runtime does not take a listener. A panic, with its words: of hooks, the observer or whoever looks
    /// ([`Handle::look`]), or tokio's, where it is polled outside of a runtime with I/O and time enabled. Then all workers have ended.
    pub async fn serve(self) -> io::Result<Exit> {
        let (local, mut tasks) = (LocalSet::new(), JoinSet::new());
        for worker in self.workers {
            tasks.spawn_local_on(worker.serve(), &local);
        }
        // A server with fewer workers than it should have would look healthy: the first failure ends all.
        let ends = async {
            let mut exit = Exit { cut: 0 };
            while let Some(outcome) = tasks.join_next().await {
                exit.cut = exit.cut.saturating_add(outcome_of(outcome)?.cut);
            }
            Ok(exit)
        };
        local.run_until(ends).await
    }

    /// The workers one by one, for a program that has a runtime on each of its threads. The
    /// [`handle`](Self::handle) orders all of them.
    pub fn into_workers(self) -> Vec<Worker> {
        self.workers
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

/// A worker and the desk that takes its orders.
fn employ(equipment: Equipment, observer: Option<Observer>) -> (Worker, Desk) {
    let (sender, orders) = unbounded_channel();
    let desk: Desk = Arc::new(move |order| {
        // A worker that has ended needs no orders.
        let _ = sender.send(order);
    });
    (Worker::new(equipment, (Arc::clone(&desk), orders), observer), desk)
}

/// A task's own outcome. Its panic is an error: whoever embeds the gateway goes on.
fn outcome_of<T>(outcome: Result<io::Result<T>, JoinError>) -> io::Result<T> {
    match outcome {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => Err(panicked(&*panic)),
            Err(cancelled) => Err(io::Error::other(cancelled)),
        },
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_io().enable_time().build()
}
