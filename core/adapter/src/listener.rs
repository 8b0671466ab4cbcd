//! Listening sockets: how an address is taken, by one worker or by several.

use std::fs;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use shuntyard_core::address::Address;
use shuntyard_transport::FrontTls;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

/// Connections that the kernel completes before they are accepted. The kernel lowers it to its own limit (`somaxconn`).
pub const BACKLOG: i32 = 4096;

/// Whether connections have from their listener that they send at once what is written (TCP_NODELAY), which saves a system call for each.
pub const INHERITS_NO_DELAY: bool = cfg!(target_os = "linux");

/// One worker's share of a listening address. It does not block.
#[derive(Debug)]
pub struct Listener {
    /// The name of a Unix socket. It goes before the socket is closed: whoever finds the name finds somebody who answers.
    pub file: Option<Arc<SocketFile>>,
    /// The socket.
    pub socket: ListenSocket,
    /// Where it listens, with the port that the kernel picked.
    pub address: Address,
    /// Clients speak TLS there.
    pub tls: Option<FrontTls>,
    /// A balancer says first whose each connection is.
    pub introduced: bool,
}

/// A listening socket of either family.
#[derive(Debug)]
pub enum ListenSocket {
    /// IPv4 or IPv6.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// A socket that listens already. Whoever started the program has opened it and keeps it, so that clients can come while nobody serves.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Where it listens.
    pub address: Address,
    /// The socket.
    pub socket: Arc<ListenSocket>,
}

impl Opened {
    /// A share of it for each of `workers` workers. Whoever comes is accepted by one of them.
    ///
    /// # Errors
    /// The system's: as a rule the process has no descriptor left.
    pub fn share(&self, workers: usize) -> io::Result<Vec<Listener>> {
        let share = |_| {
            let address = self.address.clone();
            Ok(Listener { file: None, socket: self.socket.share()?, address, tls: None, introduced: false })
        };
        (0..workers).map(share).collect()
    }
}

impl ListenSocket {
    /// The same socket by another descriptor. It does not block.
    fn share(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => {
                // As of those that are made here.
                let _ = SockRef::from(socket).set_tcp_nodelay(INHERITS_NO_DELAY);
                socket.set_nonblocking(true)?;
                socket.try_clone().map(Self::Tcp)
            }
            Self::Unix(socket) => {
                socket.set_nonblocking(true)?;
                socket.try_clone().map(Self::Unix)
            }
        }
    }
}

impl Listener {
    /// Takes the address for `workers` workers.
    ///
    /// Workers get sockets of their own through SO_REUSEPORT (IPv4, IPv6), or share one (Unix).
    ///
    /// # Errors
    /// The system's; `AddrInUse` where anybody else listens there, even somebody who would share (SO_REUSEPORT).
    pub fn bind(address: &Address, workers: usize) -> io::Result<Vec<Self>> {
        match address {
            Address::Inet(address) => bind_inet(*address, workers),
            Address::Unix(path) => bind_unix(path, workers),
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
    // Whatever the system's default is.
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen(socket: Socket) -> io::Result<Listener> {
    // Frames are gathered before they are written. Where connections do not have it from here, adapters say it of each.
    let _ = socket.set_tcp_nodelay(INHERITS_NO_DELAY);
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let address = Address::Inet(listener.local_addr()?);
    Ok(Listener { file: None, socket: ListenSocket::Tcp(listener), address, tls: None, introduced: false })
}

fn bind_unix(path: &Arc<str>, workers: usize) -> io::Result<Vec<Listener>> {
    remove_stale_file(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(&**path)?)?;
    let file = Arc::new(SocketFile { path: path.clone(), file: file_at(path)? });
    // The standard library lets others wait: some hundreds, or more than a drain takes in.
    socket.listen(BACKLOG)?;
    let listener = UnixListener::from(socket);
    (0..workers)
        .map(|_| {
            let socket = ListenSocket::Unix(listener.try_clone()?);
            let address = Address::Unix(path.clone());
            Ok(Listener { file: Some(file.clone()), socket, address, tls: None, introduced: false })
        })
        .collect()
}

/// A socket file outlives a program that was killed. It goes if it is a socket and nobody answers there.
fn remove_stale_file(path: &str) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Whoever is too busy to answer is there.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(()) | Err(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// Which file has this name: that, and no other which may come to have it.
fn file_at(path: &str) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Closing the socket will reset the connection: its peer sees that it broke, and did not end. Of Unix sockets only those can
/// be reset whose input was not read; their peers are not told.
pub fn reset_on_close(socket: &impl AsFd) {
    // A socket whose peer is gone already needs no telling.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

/// Reads what the system has, although no poll may have told of it yet: behind a write that has failed this is all that will ever come.
///
/// # Errors
/// The system's. [`WouldBlock`](io::ErrorKind::WouldBlock): there is nothing more.
pub fn read_at_once(socket: &impl AsFd, into: &mut [u8]) -> io::Result<usize> {
    (&*SockRef::from(socket)).read(into)
}

/// The name of a Unix socket in the file system; removed when the last worker stops listening.
#[derive(Debug)]
pub struct SocketFile {
    path: Arc<str>,
    file: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Gone already is as good, and what somebody else has put in its place is theirs.
        if file_at(&self.path).is_ok_and(|found| found == self.file) {
            let _ = fs::remove_file(&*self.path);
        }
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
        let taken = listeners[0].address.clone();
        assert!(listeners.iter().all(|listener| listener.address == taken));
        for workers in [1, 2] {
            let error = Listener::bind(&taken, workers).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        drop(listeners);
        assert_eq!(Listener::bind(&taken, 2).unwrap().len(), 2);
    }

    #[test]
    fn connections_send_at_once_because_their_listener_does() {
        for listener in Listener::bind(&any_port(), 2).unwrap() {
            let (ListenSocket::Tcp(socket), Address::Inet(address)) = (&listener.socket, listener.address)
            else {
                panic!("it is no port");
            };
            socket.set_nonblocking(false).unwrap();
            let from = socket.local_addr().unwrap();
            assert_eq!(from, address);
            assert_eq!(SockRef::from(socket).tcp_nodelay().unwrap(), INHERITS_NO_DELAY);
        }
        let listener = Listener::bind(&any_port(), 1).unwrap().remove(0);
        let ListenSocket::Tcp(socket) = listener.socket else { panic!("it is no port") };
        socket.set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        let (accepted, _) = socket.accept().unwrap();
        assert_eq!(accepted.nodelay().unwrap(), INHERITS_NO_DELAY);
    }

    /// What its opener gave it stays: its name, and whoever waits there.
    #[test]
    fn a_socket_that_listens_already_is_shared_and_stays() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let opened = Opened { address: address.into(), socket: Arc::new(ListenSocket::Tcp(socket)) };
        let mut shares = opened.share(2).unwrap();
        let _client = std::net::TcpStream::connect(address).unwrap();
        for (share, accepts) in shares.drain(..).zip([true, false]) {
            let ListenSocket::Tcp(socket) = &share.socket else { panic!("it is no port") };
            let accepted = socket.accept();
            let would_block = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
            assert!(accepted.is_ok() == accepts && accepted.err().is_none_or(would_block));
            assert!(share.address == opened.address && share.file.is_none());
        }
        std::net::TcpStream::connect(address).unwrap();

        let path = std::env::temp_dir().join(format!("shuntyard-opened-{}.sock", std::process::id()));
        let socket = ListenSocket::Unix(UnixListener::bind(&path).unwrap());
        let address = Address::Unix(path.to_str().unwrap().into());
        drop(Opened { address, socket: Arc::new(socket) }.share(2).unwrap());
        assert!(path.exists());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_unix_socket_is_taken_while_somebody_answers_and_its_file_goes_with_the_last_listener() {
        let folder = std::env::temp_dir().join(format!("shuntyard-adapter-{}", std::process::id()));
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
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        assert_eq!(Listener::bind(&address, 1).unwrap().len(), 1);

        std::fs::write(&path, "not a socket").unwrap();
        assert!(Listener::bind(&address, 1).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"not a socket");
        std::fs::remove_file(&path).unwrap();

        // Somebody else has taken the name.
        let listeners = Listener::bind(&address, 1).unwrap();
        std::fs::remove_file(&path).unwrap();
        let others = Listener::bind(&address, 1).unwrap();
        drop(listeners);
        assert!(path.exists());
        drop(others);
        assert!(!path.exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_unix_socket_whose_queue_is_full_is_in_use() {
        let path = std::env::temp_dir().join(format!("shuntyard-full-{}.sock", std::process::id()));
        let name = SockAddr::unix(&path).unwrap();
        let socket = || Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        let busy = socket();
        busy.bind(&name).unwrap();
        busy.listen(0).unwrap();
        let waiting: Vec<_> = std::iter::repeat_with(socket)
            .take_while(|socket| socket.set_nonblocking(true).and_then(|()| socket.connect(&name)).is_ok())
            .collect();
        assert!(!waiting.is_empty());
        let address = Address::Unix(path.to_str().unwrap().into());
        let (sender, outcome) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(Listener::bind(&address, 1).unwrap_err().kind()));
        let outcome = outcome.recv_timeout(Duration::from_secs(20));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(outcome, Ok(io::ErrorKind::AddrInUse));
    }
}
