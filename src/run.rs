//! `shuntyard run`: from the command line to a server and its end.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::num::NonZeroUsize;
use std::thread;

use shuntyard_adapter::{BindError, Exit, Handle, Options};
use shuntyard_core::address::Address;
use shuntyard_core::config::Config;

use crate::address::{Endpoint, ListenAddress};
use crate::cli::{Adapter, RunArgs};
use crate::failure::Failure;
use crate::observation::Observation;
use crate::signals;

/// Serves until a signal has drained the server.
pub(crate) fn run(args: RunArgs) -> Result<(), Failure> {
    let mut observation = Observation::start(&args.observe)?;
    let mut config = Config::new(all(&args.backend, Endpoint::resolve)?);
    config.records = observation.wants_records();
    let options = Options {
        listen: all(&args.listen, ListenAddress::resolve)?,
        workers: args.workers.unwrap_or_else(processors),
        seed: seed(),
        observer: Some(observation.observer()),
    };
    let server = Server::bind(args.adapter, config, options)?;
    let drain_timeout = args.drain_timeout;
    let (first, second) = (server.handle(), server.handle());
    signals::watch(
        move |signal| {
            tracing::info!("{signal}: draining for {drain_timeout:?} at most; once more to end now");
            first.drain(drain_timeout);
        },
        move |signal| {
            tracing::info!("{signal}: ending now");
            second.stop();
        },
    )
    .map_err(|error| Failure::System { what: "cannot watch for signals", error })?;
    for address in server.local_addrs() {
        tracing::info!("listening on {address} (HTTP/2 with prior knowledge)");
    }
    observation.attend(server.handle(), args.adapter.name())?;
    let exit = server.run();
    observation.end();
    let exit = exit.map_err(|error| Failure::System { what: "the event loop failed", error })?;
    match exit.cut {
        0 => Ok(()),
        connections => Err(Failure::Cut { connections }),
    }
}

/// A server on either adapter.
enum Server {
    Mio(shuntyard_mio::Server),
    Tokio(shuntyard_tokio::Server),
}

impl Server {
    fn bind(adapter: Adapter, config: Config, options: Options) -> Result<Self, BindError> {
        match adapter {
            Adapter::Mio => shuntyard_mio::Server::bind(config, options).map(Self::Mio),
            Adapter::Tokio => shuntyard_tokio::Server::bind(config, options).map(Self::Tokio),
        }
    }

    fn local_addrs(&self) -> &[Address] {
        match self {
            Self::Mio(server) => server.local_addrs(),
            Self::Tokio(server) => server.local_addrs(),
        }
    }

    fn handle(&self) -> Handle {
        match self {
            Self::Mio(server) => server.handle(),
            Self::Tokio(server) => server.handle(),
        }
    }

    fn run(self) -> io::Result<Exit> {
        match self {
            Self::Mio(server) => server.run(),
            Self::Tokio(server) => server.run(),
        }
    }
}

/// The addresses of all, each of them once.
fn all<T>(
    values: &[T],
    resolve: impl Fn(&T) -> Result<Vec<Address>, Failure>,
) -> Result<Vec<Address>, Failure> {
    let mut addresses = Vec::new();
    for value in values {
        for address in resolve(value)? {
            let port_to_be_picked = matches!(&address, Address::Inet(address) if address.port() == 0);
            if port_to_be_picked || !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    Ok(addresses)
}

fn processors() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Different with every start: std seeds its hasher from the system's randomness.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
