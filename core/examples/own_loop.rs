//! The gateway in a loop of one's own: every step of the contract, on sockets of the standard library, and a word of `socket2` that it
//! lacks.
//! `cargo run --example own_loop 127.0.0.1:8080 127.0.0.1:9000`
//!
//! It asks every socket in turn, and rests for a millisecond: a poll of the system's, as the adapters have it, does
//! better in one place.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, SystemTime};

use shuntyard_core::address::Address;
use shuntyard_core::config::Config;
use shuntyard_core::gateway::{Accepted, Action, Closed, Connected, Gateway, RecvBuf};
use shuntyard_core::time::{Instant, WallClock};
use socket2::SockRef;

pub(crate) fn serve(
    listener: &TcpListener,
    backend: SocketAddr,
    serves: impl Fn() -> bool,
) -> Result<(), Box<dyn Error>> {
    let zero = std::time::Instant::now();
    let unix_seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let wall = WallClock { at: Instant::ZERO, unix_seconds };
    let mut gateway = Gateway::new(Config::new(vec![backend.into()]), 1, Instant::ZERO, wall)?;
    let mut sockets: BTreeMap<_, TcpStream> = BTreeMap::new();
    listener.set_nonblocking(true)?;
    while serves() {
        let now = Instant::ZERO + zero.elapsed();
        // Events in.
        if let Ok((socket, peer)) = listener.accept() {
            socket.set_nonblocking(true)?;
            let local = Address::from(listener.local_addr()?);
            sockets.insert(gateway.handle_accept(Accepted { peer: peer.into(), local }, now), socket);
        }
        sockets.retain(|&conn, socket| {
            match gateway.recv_buf(conn) {
                RecvBuf::Buffer(buffer) => match socket.read(buffer) {
                    Ok(0) => gateway.handle_read_closed(conn, now),
                    Ok(n) => gateway.handle_recv(conn, n, now),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => gateway.handle_closed(conn, Closed::Reset, now),
                },
                RecvBuf::Pause => {}
                RecvBuf::Gone => return false,
            }
            true
        });
        if gateway.poll_timeout().is_some_and(|at| at <= now) {
            gateway.handle_timeout(now);
        }
        // Actions out. Who has output is asked for it anyway, and who may be read from is read from.
        while let Some(action) = gateway.poll_action() {
            match action {
                Action::Connect { conn, target: Address::Inet(target), .. } => {
                    match TcpStream::connect(target) {
                        Ok(socket) => {
                            socket.set_nonblocking(true)?;
                            sockets.insert(conn, socket);
                            gateway.handle_connected(conn, Connected::default(), now);
                        }
                        Err(_) => gateway.handle_closed(conn, Closed::ConnectFailed, now),
                    }
                }
                Action::Shutdown(conn) => sockets[&conn].shutdown(Shutdown::Write).unwrap_or_default(),
                Action::Close(conn) => drop(sockets.remove(&conn)),
                Action::Abort(conn) => {
                    // A reset, for the end of the connection would be the end of a message (RFC 9112 section 8).
                    if let Some(socket) = sockets.remove(&conn) {
                        SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
                    }
                }
                _ => {}
            }
        }
        for (&conn, socket) in &mut sockets {
            while let Some(transmit) = gateway.poll_transmit(conn, now) {
                match socket.write(transmit.chunk()) {
                    Ok(n) => gateway.handle_sent(conn, n, now),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => gateway.handle_closed(conn, Closed::Reset, now),
                }
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

#[allow(dead_code, reason = "the test of the examples calls what it calls")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(backend)) = (arguments.next(), arguments.next()) else {
        return Err("usage: own_loop LISTEN BACKEND".into());
    };
    serve(&TcpListener::bind(listen)?, backend.parse()?, || true)
}
