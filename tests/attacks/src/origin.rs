//! The server behind the proxy: it counts what reaches it.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use http::Response;
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::h2::{Server, ServerEvent, StreamKey};

/// Octets of a large response.
pub const BIG: usize = 2 << 20;
/// Octets of a response without end that wait for windows.
const AHEAD: usize = 64 << 10;

/// An HTTP/2 server that lives as long as the process.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
}

impl Origin {
    /// Listens on a port that the kernel picks.
    ///
    /// # Errors
    ///
    /// Those of the sockets.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let origin = Self { address: listener.local_addr()?, requests: Arc::default() };
        let requests = origin.requests.clone();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let requests = requests.clone();
                // A proxy that goes away is nobody's trouble here.
                thread::spawn(move || serve(socket, &requests));
            }
        });
        Ok(origin)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests of attackers so far.
    pub fn attacked(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

fn serve(mut socket: TcpStream, attacked: &AtomicU64) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let config = ConnectionConfig {
        max_concurrent_streams: 1_000,
        misuse_max: 1_000_000_000,
        ..ConnectionConfig::default()
    };
    let mut server = Server::new(config, 1).map_err(io::Error::other)?;
    let (mut paths, mut endless) = (HashMap::new(), Vec::new());
    let mut octets = vec![0; 65_536];
    loop {
        go_on(&mut server, &mut endless);
        while let Some(out) = server.poll_transmit() {
            let n = out.len();
            socket.write_all(out)?;
            server.handle_sent(n);
            go_on(&mut server, &mut endless);
        }
        let n = socket.read(&mut octets)?;
        if n == 0 {
            return Ok(());
        }
        server.handle_recv(octets.get(..n).unwrap_or_default());
        while let Some(event) = server.poll_event().map_err(io::Error::other)? {
            told(&mut server, &mut paths, &mut endless, attacked, event);
        }
    }
}

fn told(
    server: &mut Server,
    paths: &mut HashMap<StreamKey, String>,
    endless: &mut Vec<StreamKey>,
    attacked: &AtomicU64,
    event: ServerEvent,
) {
    match event {
        ServerEvent::Request { stream, request, end } => {
            let path = request.uri().path().to_owned();
            if path.starts_with("/attack") || path == "/" {
                attacked.fetch_add(1, Ordering::Relaxed);
            }
            if path == "/attack/endless" {
                // A stream that is gone needs no answer.
                let _ = server.send_response(stream, &Response::new(()), false);
                endless.push(stream);
            } else if end {
                answer(server, stream, &path);
            } else {
                paths.insert(stream, path);
            }
        }
        ServerEvent::Data { stream, credit, end, .. } => {
            let path = paths.get(&stream).map_or("", String::as_str);
            if path != "/attack/unread" {
                server.release(stream, credit);
            }
            if end && let Some(path) = paths.remove(&stream) {
                answer(server, stream, &path);
            }
        }
        ServerEvent::Trailers { stream, .. } => {
            if let Some(path) = paths.remove(&stream) {
                answer(server, stream, &path);
            }
        }
        ServerEvent::Reset { stream, .. } | ServerEvent::Failed { stream, .. } => {
            paths.remove(&stream);
        }
        _ => {}
    }
}

/// Responses without end get more content. Those whose streams are gone are forgotten.
fn go_on(server: &mut Server, endless: &mut Vec<StreamKey>) {
    endless.retain(|&stream| {
        server.queued(stream) >= AHEAD || server.send_data(stream, &[b'e'; AHEAD], false).is_ok()
    });
}

fn answer(server: &mut Server, stream: StreamKey, path: &str) {
    if path == "/attack/never" {
        return;
    }
    let content = if path == "/attack/big" { vec![b'b'; BIG] } else { b"ok".to_vec() };
    let response = Response::new(());
    // A stream that is gone needs no answer.
    if server.send_response(stream, &response, false).is_ok() {
        let _ = server.send_data(stream, &content, true);
    }
}
