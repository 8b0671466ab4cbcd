//! A server, whichever adapter drives its sockets.

use std::io;

use shuntyard_adapter::{BindError, Exit, Handle, Options};
use shuntyard_core::address::Address;
use shuntyard_core::config::Config;

use crate::cli::Adapter;

/// A server on either adapter.
pub(crate) enum Server {
    Mio(shuntyard_mio::Server),
    Tokio(shuntyard_tokio::Server),
}

impl Server {
    /// Takes the addresses.
    pub(crate) fn bind(adapter: Adapter, config: Config, options: Options) -> Result<Self, BindError> {
        match adapter {
            Adapter::Mio => shuntyard_mio::Server::bind(config, options).map(Self::Mio),
            Adapter::Tokio => shuntyard_tokio::Server::bind(config, options).map(Self::Tokio),
        }
    }

    /// Where it listens.
    pub(crate) fn local_addrs(&self) -> &[Address] {
        match self {
            Self::Mio(server) => server.local_addrs(),
            Self::Tokio(server) => server.local_addrs(),
        }
    }

    /// What ends it, changes it and looks into it from another thread.
    pub(crate) fn handle(&self) -> Handle {
        match self {
            Self::Mio(server) => server.handle(),
            Self::Tokio(server) => server.handle(),
        }
    }

    /// Serves until it was drained or stopped.
    pub(crate) fn run(self) -> io::Result<Exit> {
        match self {
            Self::Mio(server) => server.run(),
            Self::Tokio(server) => server.run(),
        }
    }
}
