//! Somebody who only wants to be served.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use http::Request;
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::h2::{Client, ClientEvent};

/// A request is one that failed if it is not answered within this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two requests.
const PAUSE: Duration = Duration::from_millis(20);

/// How a bystander fared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fare {
    /// Requests that were answered with 200.
    pub served: u64,
    /// Those that were not.
    pub failed: u64,
    /// The longest that one took.
    pub worst: Duration,
}

/// A client of its own on a connection of its own.
#[derive(Debug)]
pub struct Bystander {
    leave: Arc<AtomicBool>,
    thread: JoinHandle<Fare>,
}

impl Bystander {
    /// Begins to ask.
    pub fn start(proxy: SocketAddr) -> Self {
        let leave = Arc::<AtomicBool>::default();
        let left = leave.clone();
        let thread = thread::spawn(move || {
            let (mut fare, mut line) = (Fare::default(), None);
            loop {
                // The last request is made when the attack is over: whom nobody served then has lost, too.
                let last = left.load(Ordering::Relaxed);
                let began = Instant::now();
                match ask(proxy, &mut line) {
                    Ok(true) => fare.served += 1,
                    Ok(false) => fare.failed += 1,
                    Err(_) => {
                        fare.failed += 1;
                        line = None;
                    }
                }
                fare.worst = fare.worst.max(began.elapsed());
                if last {
                    return fare;
                }
                thread::sleep(PAUSE);
            }
        });
        Self { leave, thread }
    }

    /// Ends it.
    ///
    /// # Panics
    ///
    /// If its thread did.
    pub fn end(self) -> Fare {
        self.leave.store(true, Ordering::Relaxed);
        self.thread.join().expect("a bystander does not panic")
    }
}

/// One request. Says whether it was answered with 200.
///
/// # Errors
///
/// Those of the socket, or the proxy broke a rule of the protocol.
pub fn ask(proxy: SocketAddr, line: &mut Option<(TcpStream, Client)>) -> io::Result<bool> {
    let (socket, client) = match line {
        Some(line) => line,
        None => {
            let socket = TcpStream::connect(proxy)?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            let client = Client::new(ConnectionConfig::default(), 1).map_err(io::Error::other)?;
            line.insert((socket, client))
        }
    };
    let request = Request::get("http://victim.example/bystander").body(()).map_err(io::Error::other)?;
    let asked = client.send_request(&request, true).map_err(io::Error::other)?;
    let mut octets = vec![0; 16_384];
    // The head comes in one turn, the end of the content often in another.
    let (mut status, mut whole) = (None, false);
    loop {
        while let Some(out) = client.poll_transmit() {
            let n = out.len();
            socket.write_all(out)?;
            client.handle_sent(n);
        }
        let n = socket.read(&mut octets)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        client.handle_recv(octets.get(..n).unwrap_or_default());
        while let Some(event) = client.poll_event().map_err(io::Error::other)? {
            match event {
                ClientEvent::Response { stream, response, end } if stream == asked => {
                    status = Some(response.status());
                    whole |= end;
                }
                ClientEvent::Data { stream, end, credit, .. } => {
                    client.release(stream, credit);
                    whole |= end && stream == asked;
                }
                ClientEvent::Reset { stream, .. } if stream == asked => return Ok(false),
                _ => {}
            }
        }
        if whole {
            return Ok(status.is_some_and(|status| status == 200));
        }
    }
}
