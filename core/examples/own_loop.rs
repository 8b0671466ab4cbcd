//! The gateway in a loop of one's own: every step of the contract but TLS and names, for which its configuration has no use, on sockets of the
//! standard library, and two words of `socket2` that it lacks.
//! `cargo run -p shuntyard-core --example own_loop 127.0.0.1:8080 127.0.0.1:9000`
//!
//! It asks every socket in turn, and rests for a millisecond: a poll of the system's, as the adapters have it, does
//! better in one place.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::error::Error;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, SystemTime};

use shuntyard_core::address::Address;
use shuntyard_core::config::Config;
use shuntyard_core::gateway::{Accepted, Action, Closed, Command, ConnId, Connected, Gateway, RecvBuf};
use shuntyard_core::time::{Instant, WallClock};
use socket2::{Domain, SockRef, Type};

/// Connections accepted before the others have their turn.
const TURN_ACCEPTS: usize = 64;
/// More than the kernel lets wait.
const BACKLOG: usize = 4096;
/// How long a drain may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);

/// Serves as long as somebody says so, and finishes then what is there. The listener is the caller's to close.
pub(crate) fn serve(
    listener: &TcpListener,
    backend: SocketAddr,
    serves: impl Fn() -> bool,
) -> Result<(), Box<dyn Error>> {
    let zero = std::time::Instant::now();
    let wall = wall_clock(Instant::ZERO)?;
    // Nobody should be able to guess it. Where a run is to be the same twice, it is a number of one's own.
    let seed = RandomState::new().build_hasher().finish();
    let gateway = Gateway::new(Config::new(vec![backend.into()]), seed, Instant::ZERO, wall)?;
    let mut own = Loop { gateway, sockets: BTreeMap::new(), accepting: true, drained: false };
    listener.set_nonblocking(true)?;
    let (mut told, mut draining) = (Instant::ZERO, false);
    while !own.drained {
        let now = Instant::ZERO + zero.elapsed();
        if now.saturating_since(told) >= Duration::from_secs(1) {
            told = now;
            own.gateway.handle_command(Command::WallClock(wall_clock(now)?), now);
        }
        // Events in.
        if !draining {
            own.accept(listener, TURN_ACCEPTS, now)?;
            draining = !serves();
            if draining {
                // Whoever waits in the kernel's queue has connected, as far as they know.
                own.accept(listener, BACKLOG, now)?;
                own.gateway.handle_command(Command::Drain { deadline: DRAIN_TIMEOUT }, now);
            }
        }
        own.read(now);
        if own.gateway.poll_timeout().is_some_and(|at| at <= now) {
            own.gateway.handle_timeout(now);
        }
        // Actions out, and behind writing once more: what it frees may lead to some.
        own.act(now);
        own.write(now);
        own.act(now);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The civil time, of which the gateway's own clock knows nothing.
fn wall_clock(at: Instant) -> Result<WallClock, Box<dyn Error>> {
    let unix_seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    Ok(WallClock { at, unix_seconds })
}

struct Loop {
    gateway: Gateway,
    sockets: BTreeMap<ConnId, Socket>,
    /// Whether there is room for more clients: those beyond wait in the kernel's queue.
    accepting: bool,
    /// No connection is left.
    drained: bool,
}

/// A socket, and what is known of it.
struct Socket {
    stream: TcpStream,
    /// It was not accepted, but made.
    to_backend: bool,
    /// Whether the connection will stand is not known yet.
    connecting: bool,
    /// The end of what it sends has been read.
    ended: bool,
    /// Nothing can be written any more.
    broken: bool,
}

impl Socket {
    fn of(stream: TcpStream) -> Self {
        Self { stream, to_backend: false, connecting: false, ended: false, broken: false }
    }

    /// Begins to connect: nobody waits for it.
    fn connect(target: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(target), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&target.into()) {
            // The rest says that it is under way (EINPROGRESS), for which std has no stable word.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionRefused
                        | ErrorKind::AddrNotAvailable
                        | ErrorKind::NetworkUnreachable
                        | ErrorKind::HostUnreachable
                        | ErrorKind::PermissionDenied
                ) =>
            {
                return Err(error);
            }
            Ok(()) | Err(_) => {}
        }
        Ok(Self { to_backend: true, connecting: true, ..Self::of(socket.into()) })
    }
}

impl Loop {
    fn accept(&mut self, listener: &TcpListener, most: usize, now: Instant) -> io::Result<()> {
        let local = Address::from(listener.local_addr()?);
        for _ in 0..most {
            if !self.accepting {
                break;
            }
            // None waits; or that one has failed, or there is no descriptor for it: the next turn asks again.
            let Ok((stream, peer)) = listener.accept() else { break };
            stream.set_nonblocking(true)?;
            let accepted = Accepted { peer: peer.into(), local: local.clone() };
            let conn = self.gateway.handle_accept(accepted, now);
            self.sockets.insert(conn, Socket::of(stream));
            // It may have been the last that there is room for.
            self.act(now);
        }
        Ok(())
    }

    fn read(&mut self, now: Instant) {
        let Self { gateway, sockets, .. } = self;
        sockets.retain(|&conn, socket| {
            if socket.connecting {
                match (socket.stream.take_error(), socket.stream.peer_addr()) {
                    (Ok(None), Ok(_)) => {
                        socket.connecting = false;
                        gateway.handle_connected(conn, Connected::default(), now);
                    }
                    (Ok(None), Err(error)) if error.kind() == ErrorKind::NotConnected => return true,
                    _ => {
                        gateway.handle_closed(conn, Closed::ConnectFailed, now);
                        return false;
                    }
                }
            }
            // It goes on reading once output has left, and none can.
            let is_stuck = socket.broken && gateway.waits_for_output(conn);
            match gateway.recv_buf(conn) {
                RecvBuf::Buffer(_) if socket.ended => {}
                RecvBuf::Buffer(buffer) => match socket.stream.read(buffer) {
                    Ok(0) if !socket.broken => {
                        socket.ended = true;
                        gateway.handle_read_closed(conn, now);
                    }
                    Ok(n) if n > 0 => gateway.handle_recv(conn, n, now),
                    Err(error) if error.kind() == ErrorKind::WouldBlock && !socket.broken => {}
                    // Lost; or what could not be written to has been read out.
                    _ => {
                        gateway.handle_closed(conn, Closed::Reset, now);
                        return false;
                    }
                },
                RecvBuf::Pause if is_stuck => {
                    gateway.handle_closed(conn, Closed::Reset, now);
                    return false;
                }
                RecvBuf::Pause => {}
                RecvBuf::Gone => return false,
            }
            true
        });
    }

    /// Who has output is asked for it anyway, and who may be read from is read from.
    fn act(&mut self, now: Instant) {
        while let Some(action) = self.gateway.poll_action() {
            match action {
                Action::Connect { secure: Some(_), .. } => unreachable!("no upstream speaks TLS"),
                Action::Connect { conn, target, secure: None } => {
                    let Address::Inet(target) = target else { unreachable!("the backend is no Unix socket") };
                    match Socket::connect(target) {
                        Ok(socket) => drop(self.sockets.insert(conn, socket)),
                        Err(_) => self.gateway.handle_closed(conn, Closed::ConnectFailed, now),
                    }
                }
                Action::Resolve { .. } => unreachable!("the backend is an address"),
                Action::Shutdown(conn) => {
                    if let Some(socket) = self.sockets.get(&conn) {
                        socket.stream.shutdown(Shutdown::Write).unwrap_or_default();
                    }
                }
                Action::Close(conn) => drop(self.sockets.remove(&conn)),
                Action::Abort(conn) => {
                    // A reset, for the end of the connection would be the end of a message (RFC 9112 section 8).
                    if let Some(socket) = self.sockets.remove(&conn) {
                        SockRef::from(&socket.stream).set_linger(Some(Duration::ZERO)).unwrap_or_default();
                    }
                }
                Action::Accepting(accepting) => self.accepting = accepting,
                Action::Drained { cut } => {
                    self.drained = true;
                    if cut > 0 {
                        eprintln!("{cut} connections were cut");
                    }
                }
                Action::Readable(_) | Action::Writable(_) => {}
                Action::Record(_) => unreachable!("the configuration asks for none"),
            }
        }
    }

    fn write(&mut self, now: Instant) {
        let Self { gateway, sockets, .. } = self;
        sockets.retain(|&conn, socket| {
            while let Some(octets) =
                (!socket.connecting && !socket.broken).then(|| gateway.poll_transmit(conn, now)).flatten()
            {
                match socket.stream.write(octets) {
                    Ok(n) => gateway.handle_sent(conn, n, now),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // What a backend has said before it went is read out first: it may be its answer.
                    Err(_) if socket.to_backend && !socket.ended && !gateway.waits_for_output(conn) => {
                        socket.broken = true;
                    }
                    Err(_) => {
                        gateway.handle_closed(conn, Closed::Reset, now);
                        return false;
                    }
                }
            }
            true
        });
    }
}

#[allow(dead_code, reason = "the test of the examples calls what it calls")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(backend)) = (arguments.next(), arguments.next()) else {
        return Err("usage: own_loop LISTEN BACKEND".into());
    };
    serve(&TcpListener::bind(listen)?, backend.parse()?, || true)
}
