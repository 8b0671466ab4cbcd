//! Listening sockets: how an address is taken, by one worker or by several.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::sync::Arc;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use shuntyard_core::address::Address;
use shuntyard_core::gateway::Accepted;
use socket2::{Domain, Protocol, Socket, Type};

use crate::socket::Stream;

/// Connections that the kernel completes before they are accepted. The kernel lowers it to its own limit (`somaxconn`).
pub(crate) const BACKLOG: i32 = 4096;

/// One worker's share of a listening address.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: ListenSocket,
    address: Address,
    /// There may be connections to accept.
    pub(crate) ready: bool,
}

#[derive(Debug)]
enum ListenSocket {
    Tcp(TcpListener),
    /// The file goes before the socket is closed: whoever finds the name finds somebody who answers.
    Unix {
        _file: Arc<SocketFile>,
        listener: UnixListener,
    },
}

impl Listener {
    /// Takes the address for `workers` workers. Fails where anybody else listens on it.
    ///
    /// Workers get sockets of their own through SO_REUSEPORT (IPv4, IPv6), or share one (Unix).
    pub(crate) fn bind(address: &Address, workers: usize) -> io::Result<Vec<Self>> {
        match address {
            Address::Inet(address) => bind_inet(*address, workers),
            Address::Unix(path) => bind_unix(path, workers),
        }
    }

    /// Where it listens, with the port that the kernel picked.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.source(), token, Interest::READABLE)
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) {
        // Closing the descriptor takes it out of the poll in any case.
        let _ = registry.deregister(self.source());
    }

    /// The next connection. `WouldBlock` where there is none.
    pub(crate) fn accept(&self) -> io::Result<(Stream, Accepted)> {
        let local = self.address.clone();
        match &self.socket {
            ListenSocket::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                Ok((Stream::tcp(stream), Accepted { peer: Address::Inet(peer), local }))
            }
            ListenSocket::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                // Clients of Unix sockets have no name as a rule; they are known by where they came in.
                Ok((Stream::Unix(stream), Accepted { peer: local.clone(), local }))
            }
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match &mut self.socket {
            ListenSocket::Tcp(listener) => listener,
            ListenSocket::Unix { listener, .. } => listener,
        }
    }
}

fn bind_inet(address: SocketAddr, workers: usize) -> io::Result<Vec<Listener>> {
    // With SO_REUSEPORT alone a second program would take its share of a port that is in use, and nobody would notice.
    let alone = bound(address, false)?;
    if workers == 1 {
        return Ok(vec![listen(alone)?]);
    }
    drop(alone);
    let first = listen(bound(address, true)?)?;
    let Address::Inet(taken) = first.address else { return Ok(vec![first]) };
    let rest = (1..workers).map(|_| listen(bound(taken, true)?));
    std::iter::once(Ok(first)).chain(rest).collect()
}

fn bound(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Connections of a former process in TIME_WAIT don't keep the port.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen(socket: Socket) -> io::Result<Listener> {
    socket.listen(BACKLOG)?;
    let listener = std::net::TcpListener::from(socket);
    let address = Address::Inet(listener.local_addr()?);
    Ok(Listener { socket: ListenSocket::Tcp(TcpListener::from_std(listener)), address, ready: false })
}

fn bind_unix(path: &Arc<str>, workers: usize) -> io::Result<Vec<Listener>> {
    remove_stale_file(path)?;
    let listener = StdUnixListener::bind(&**path)?;
    let file = Arc::new(SocketFile(path.clone()));
    listener.set_nonblocking(true)?;
    (0..workers)
        .map(|_| {
            let listener = UnixListener::from_std(listener.try_clone()?);
            let socket = ListenSocket::Unix { _file: file.clone(), listener };
            Ok(Listener { socket, address: Address::Unix(path.clone()), ready: false })
        })
        .collect()
}

/// A socket file outlives a program that was killed. It goes if it is a socket and nobody answers there.
fn remove_stale_file(path: &str) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match StdUnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Ok(_) | Err(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// The name of a Unix socket in the file system; removed when the last worker stops listening.
#[derive(Debug)]
struct SocketFile(Arc<str>);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = std::fs::remove_file(&*self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any_port() -> Address {
        Address::Inet(([127, 0, 0, 1], 0).into())
    }

    #[test]
    fn workers_share_the_port_that_the_kernel_picked_and_nobody_else_gets_it() {
        let listeners = Listener::bind(&any_port(), 3).unwrap();
        assert_eq!(listeners.len(), 3);
        let taken = listeners[0].address().clone();
        assert!(listeners.iter().all(|listener| *listener.address() == taken));
        for workers in [1, 2] {
            let error = Listener::bind(&taken, workers).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        drop(listeners);
        assert_eq!(Listener::bind(&taken, 2).unwrap().len(), 2);
    }

    #[test]
    fn a_unix_socket_is_taken_while_somebody_answers_and_its_file_goes_with_the_last_listener() {
        let folder = std::env::temp_dir().join(format!("shuntyard-mio-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("listener.sock");
        let address = Address::Unix(path.to_str().unwrap().into());

        let mut listeners = Listener::bind(&address, 2).unwrap();
        assert_eq!(Listener::bind(&address, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        listeners.pop();
        assert!(path.exists());
        listeners.pop();
        assert!(!path.exists());

        // The std type leaves its file behind, as a killed program does.
        drop(StdUnixListener::bind(&path).unwrap());
        assert!(path.exists());
        assert_eq!(Listener::bind(&address, 1).unwrap().len(), 1);

        std::fs::write(&path, "not a socket").unwrap();
        assert!(Listener::bind(&address, 1).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"not a socket");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
