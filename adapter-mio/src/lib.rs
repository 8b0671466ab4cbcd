//! Binds [`shuntyard_core`] to sockets with a hand-rolled [`mio`] event loop.
//!
//! A [`Server`] has a number of workers. Each is a thread with a poll, listening sockets and a [`Gateway`](shuntyard_core::gateway::Gateway) of its own;
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
//! # Hooks
//!
//! Code of one's own on the way of each request ([`shuntyard_core::hooks`]) is given by a factory, for each worker has its own:
//!
//! ```
//! # use std::sync::Arc;
//! # use shuntyard_core::hooks::Hooks;
//! # use shuntyard_mio::Options;
//! struct Nothing;
//! impl Hooks for Nothing {}
//! let options = Options { hooks: Some(Arc::new(|_worker| Box::new(Nothing))), ..Options::new(vec![]) };
//! # let _ = options;
//! ```
//!
//! The example `hooked` has hooks that change heads and content: `cargo run -p shuntyard-mio --example hooked LISTEN BACKEND`.
//!
//! # One turn of a worker
//!
//! ```text
//!      poll, until the gateway's deadline or a socket
//!        |
//!      accept                      at most 64 connections a listener
//!      read what is ready          at most 256 KiB a socket, then the others' turn; poll_action until empty after each
//!      handle_timeout              if it is time
//!        |
//!   +--> poll_action until empty   connect, resume reading, shut down, close; note who has output
//!   +--- write each of those once  until it has no more output or the socket has no more room
//! ```
//!
//! Polling is edge-triggered: the worker remembers who may be read from and written to until a system call says otherwise,
//! so that a socket costs one `epoll_ctl` in its life. In steady state a turn allocates nothing.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::channel;

use mio::{Poll, Waker};
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
use shuntyard_adapter::{Desk, Equipment, equip, run_threads};
use shuntyard_core::address::Address;
use shuntyard_core::config::Config;

mod connecting;
mod ending;
mod listener;
mod secured;
mod socket;
mod worker;

use listener::Listener;
use worker::{WAKE, Worker, listener_token};

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
        let equipment = equip(&config, &options)?;
        let listeners = equipment.first().map_or(&[][..], |first| &first.listeners);
        let addresses = listeners.iter().map(|listener| listener.address.clone()).collect();
        let mut workers = Vec::new();
        let mut desks = Vec::new();
        for equipment in equipment {
            let (worker, desk) = employ(equipment, options.observer.clone()).map_err(BindError::Poll)?;
            workers.push(worker);
            desks.push(desk);
        }
        Ok(Self { workers, addresses, handle: Handle::of(desks, &config, &options) })
    }

    /// Where it listens, in the order of [`Options::listen`], with the ports that the kernel picked.
    pub fn local_addrs(&self) -> &[Address] {
        &self.addresses
    }

    /// What ends the server, configures it, looks at it and parts it from clients, from another thread.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until the server was drained or stopped through its [`handle`](Self::handle).
    ///
    /// # Errors
    /// The system's, where polling fails; that of a worker that has panicked. Then all workers have ended.
    pub fn run(self) -> io::Result<Exit> {
        let Self { workers, handle, .. } = self;
        run_threads(workers, &handle, Worker::run)
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
fn employ(equipment: Equipment, observer: Option<Observer>) -> io::Result<(Worker, Desk)> {
    let Equipment { worker: number, gateway, listeners, clock, backs } = equipment;
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKE)?;
    let mut listeners: Vec<_> = listeners.into_iter().map(Listener::new).collect();
    for (number, listener) in listeners.iter_mut().enumerate() {
        listener.register(poll.registry(), listener_token(number))?;
    }
    let (sender, orders) = channel();
    let desk: Desk = Arc::new(move |order| {
        // A worker that has ended needs no orders.
        let _ = sender.send(order);
        let _ = waker.wake();
    });
    let worker = Worker::new(
        (number, gateway),
        poll,
        (listeners, backs),
        (Arc::clone(&desk), orders),
        clock,
        observer,
    );
    Ok((worker, desk))
}
