//! Listening sockets in the poll.

use std::io;
use std::sync::Arc;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use shuntyard_adapter::transport::FrontTls;
use shuntyard_adapter::{ListenSocket, SocketFile};
use shuntyard_core::address::Address;
use shuntyard_core::gateway::Accepted;

use crate::socket::Stream;

/// One worker's share of a listening address.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Goes before the socket does.
    file: Option<Arc<SocketFile>>,
    socket: Listening,
    address: Address,
    /// Clients speak TLS there.
    pub(crate) tls: Option<FrontTls>,
    /// A balancer says first whose each connection is.
    pub(crate) introduced: bool,
    /// There may be connections to accept.
    pub(crate) ready: bool,
}

#[derive(Debug)]
enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(crate) fn new(listener: shuntyard_adapter::Listener) -> Self {
        let socket = match listener.socket {
            ListenSocket::Tcp(socket) => Listening::Tcp(TcpListener::from_std(socket)),
            ListenSocket::Unix(socket) => Listening::Unix(UnixListener::from_std(socket)),
        };
        Self {
            file: listener.file,
            socket,
            address: listener.address,
            tls: listener.tls,
            introduced: listener.introduced,
            ready: false,
        }
    }

    /// Where it listens, with the port that the kernel picked.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.source(), token, Interest::READABLE)
    }

    /// No event tells of it any more. Other workers may have the same socket: as long as they do, closing this descriptor is not enough for that.
    pub(crate) fn deregister(&mut self, registry: &Registry) {
        let _ = registry.deregister(self.source());
    }

    /// Nobody comes any more by the name of a Unix socket, once all workers have said so.
    pub(crate) fn remove_name(&mut self) {
        self.file = None;
    }

    /// The next connection. `WouldBlock` where there is none.
    pub(crate) fn accept(&self) -> io::Result<(Stream, Accepted)> {
        let local = self.address.clone();
        match &self.socket {
            Listening::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                Ok((Stream::accepted(stream), Accepted { peer: Address::from(peer), local }))
            }
            Listening::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                // Clients of Unix sockets have no name as a rule; they are known by where they came in.
                Ok((Stream::Unix(stream), Accepted { peer: local.clone(), local }))
            }
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match &mut self.socket {
            Listening::Tcp(listener) => listener,
            Listening::Unix(listener) => listener,
        }
    }
}
