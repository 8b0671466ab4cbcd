//! A network that does what it likes: octets come in pieces, late, or not at all, between clients, gateway and backends.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use shuntyard_core::config::{Config, ConnectionConfig};
use shuntyard_core::h2::{Client, ClientEvent, Server, ServerEvent};

use crate::adapters::{Adapter, Running};
use crate::on_every_adapter;
use crate::peers::{PATIENCE, Peer, inet, wait_until};

on_every_adapter! {
    what_a_network_cuts_is_answered_or_reset_and_never_wrong,
}

const CLIENTS: u64 = 6;
const REQUESTS: usize = 30;
/// Of all of them, where 120 to 134 were seen: how octets are cut on their way is not the seed's doing alone.
const WHOLE_MIN: usize = 60;

/// Numbers that a seed brings about, one after the other (xorshift64*, Vigna 2016).
struct Choices(u64);

impl Choices {
    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

/// A stretch of network in front of `target`. Of its connections some are cut, one in `cuts`, until it is calm.
struct Network {
    address: SocketAddr,
    calm: Arc<AtomicBool>,
    leave: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Network {
    fn start(target: SocketAddr, seed: u64, cuts: u64) -> Self {
        let mut choices = Choices(seed);
        let calm = Arc::<AtomicBool>::default();
        let is_calm = calm.clone();
        let (address, leave, thread) = accept_all(move |near| {
            // A gateway that has left takes nobody.
            let Ok(far) = TcpStream::connect(target) else { return };
            for (from, to) in [(&near, &far), (&far, &near)] {
                let cut = choices.below(cuts) == 0;
                let octets = if cut { choices.below(200_000) } else { u64::MAX };
                let pace = Choices(choices.below(u64::MAX) | 1);
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let calm = is_calm.clone();
                thread::spawn(move || carry(from, to, octets, pace, &calm));
            }
        });
        Self { address, calm, leave, thread }
    }

    /// From now on nothing is cut.
    fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    fn end(self) {
        leave(self.address, &self.leave);
        self.thread.join().unwrap();
    }
}

/// Carries so many octets, in pieces, with pauses; then both ends are cut off, unless it is calm.
fn carry(mut from: TcpStream, mut to: TcpStream, mut octets: u64, mut choices: Choices, calm: &AtomicBool) {
    let mut buffer = [0; 4096];
    // What goes wrong on one side ends the other.
    let _ = (|| -> io::Result<()> {
        while octets > 0 || calm.load(Ordering::Relaxed) {
            let n = from.read(&mut buffer)?;
            if n == 0 {
                return to.shutdown(Shutdown::Write);
            }
            if calm.load(Ordering::Relaxed) {
                octets = u64::MAX;
            }
            let mut piece = &buffer[..n.min(usize::try_from(octets).unwrap_or(n))];
            octets -= piece.len() as u64;
            while !piece.is_empty() {
                let limit = [1, 10, 100, 5000][choices.below(4) as usize];
                let (head, rest) = piece.split_at(piece.len().min(1 + choices.below(limit) as usize));
                to.write_all(head)?;
                piece = rest;
                if choices.below(50) == 0 {
                    thread::sleep(Duration::from_millis(choices.below(5)));
                }
            }
        }
        from.shutdown(Shutdown::Both)?;
        to.shutdown(Shutdown::Both)
    })();
}

/// A listener whose connections are taken one after the other, until somebody says so.
fn accept_all(
    mut take: impl FnMut(TcpStream) + Send + 'static,
) -> (SocketAddr, Arc<AtomicBool>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let leave = Arc::<AtomicBool>::default();
    let left = leave.clone();
    let thread = thread::spawn(move || {
        for socket in listener.incoming() {
            if left.load(Ordering::Relaxed) {
                return;
            }
            let socket = socket.unwrap();
            socket.set_nodelay(true).unwrap();
            take(socket);
        }
    });
    (address, leave, thread)
}

fn leave(address: SocketAddr, leave: &AtomicBool) {
    leave.store(true, Ordering::Relaxed);
    // Wakes whoever waits for a connection.
    drop(TcpStream::connect(address));
}

/// `/N` is answered with N octets that only it has.
fn content(octets: usize) -> Vec<u8> {
    (0..octets).map(|at| (at ^ octets ^ (at >> 8)) as u8).collect()
}

/// A backend that takes its connections as they are.
fn serve(mut socket: TcpStream) -> io::Result<()> {
    let mut server = Server::new(ConnectionConfig::default(), 1).unwrap();
    let mut buffer = [0; 16_384];
    loop {
        while let Some(octets) = server.poll_transmit() {
            socket.write_all(octets)?;
            let n = octets.len();
            server.handle_sent(n);
        }
        let n = socket.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        server.handle_recv(&buffer[..n]);
        while let Some(event) = server.poll_event().map_err(io::Error::other)? {
            if let ServerEvent::Request { stream, request, .. } = event {
                let octets = request.uri().path()[1..].parse().unwrap();
                // A stream that is gone wants no answer.
                let _ = server.send_response(stream, &Response::new(()), false);
                let _ = server.send_data(stream, &content(octets), true);
            }
        }
    }
}

/// How requests ended.
#[derive(Debug, Default)]
struct Ends {
    whole: usize,
    answered: usize,
    cut: usize,
}

/// One request after the other, on one connection after the other where one is cut.
fn ask(gateway: SocketAddr, mut choices: Choices) -> Ends {
    let mut ends = Ends::default();
    let mut line = None;
    for _ in 0..REQUESTS {
        let octets = [0, 1, 1000, 100_000][choices.below(4) as usize] + choices.below(50) as usize;
        match request(gateway, &mut line, octets) {
            Ok(Some((StatusCode::OK, got))) => {
                assert!(got == content(octets), "a whole response of other octets");
                ends.whole += 1;
            }
            Ok(Some((status, _))) => {
                assert!(status.is_server_error(), "{status}");
                ends.answered += 1;
            }
            Ok(None) => ends.cut += 1,
            Err(error) => {
                let timed_out = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind());
                assert!(!timed_out, "a request of {octets} octets that never ended");
                ends.cut += 1;
                line = None;
            }
        }
    }
    ends
}

type Line = Option<(TcpStream, Client)>;

/// Status and content; `None` where the stream was reset.
fn request(gateway: SocketAddr, line: &mut Line, octets: usize) -> io::Result<Option<(StatusCode, Vec<u8>)>> {
    let (socket, client) = match line {
        Some(line) => line,
        None => {
            let socket = TcpStream::connect(gateway)?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            line.insert((socket, Client::new(ConnectionConfig::default(), 1).unwrap()))
        }
    };
    let request = Request::get(format!("http://origin.test/{octets}")).body(()).unwrap();
    let asked = client.send_request(&request, true).map_err(io::Error::other)?;
    let (mut status, mut got) = (StatusCode::IM_A_TEAPOT, Vec::new());
    let mut buffer = [0; 16_384];
    loop {
        while let Some(octets) = client.poll_transmit() {
            socket.write_all(octets)?;
            let n = octets.len();
            client.handle_sent(n);
        }
        let n = socket.read(&mut buffer)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        client.handle_recv(&buffer[..n]);
        let mut over = None;
        while let Some(event) = client.poll_event().map_err(io::Error::other)? {
            match event {
                ClientEvent::Response { stream, response, end } if stream == asked => {
                    status = response.status();
                    over = end.then_some(true).or(over);
                }
                ClientEvent::Data { stream, data, credit, end } => {
                    client.release(stream, credit);
                    if stream == asked {
                        got.extend_from_slice(&data);
                        over = end.then_some(true).or(over);
                    }
                }
                ClientEvent::Reset { stream, .. } if stream == asked => over = Some(false),
                _ => {}
            }
        }
        match over {
            Some(true) => return Ok(Some((status, got))),
            Some(false) => return Ok(None),
            None => {}
        }
    }
}

fn what_a_network_cuts_is_answered_or_reset_and_never_wrong(adapter: &dyn Adapter) {
    const SEED: u64 = 0x5eed;
    println!("seed {SEED:#x}");
    let (origin, gone, origin_thread) = accept_all(|socket| {
        // What a network does to a connection is not the backend's fault.
        thread::spawn(move || serve(socket));
    });
    let backends: Vec<_> = (1..3).map(|n| Network::start(origin, SEED + n, 1)).collect();
    let config = Config::new(backends.iter().map(|network| network.address.into()).collect());
    let server = Running::start(adapter, config);
    let front = Network::start(inet(&server.address), SEED, 2);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (gateway, choices) = (front.address, Choices(SEED ^ (n + 1) << 40));
            thread::spawn(move || ask(gateway, choices))
        })
        .collect();
    let mut all = Ends::default();
    for client in clients {
        let ends = client.join().unwrap();
        (all.whole, all.answered, all.cut) =
            (all.whole + ends.whole, all.answered + ends.answered, all.cut + ends.cut);
    }
    println!("{all:?}");
    assert_eq!(all.whole + all.answered + all.cut, CLIENTS as usize * REQUESTS);
    assert!(
        all.whole >= WHOLE_MIN && all.whole < CLIENTS as usize * REQUESTS,
        "a network that cuts some: {all:?}"
    );
    front.end();
    // Behind all that the gateway is as good as new, once it has heard of what was cut last.
    backends.iter().for_each(Network::calm_down);
    let mut client = Peer::connect(&server.address);
    wait_until("a backend that is asked again", || client.ask("/10").status == StatusCode::OK);
    (0..20).for_each(|_| assert_eq!(client.ask("/10").status, StatusCode::OK));
    drop(client);
    server.end();
    backends.into_iter().for_each(Network::end);
    leave(origin, &gone);
    origin_thread.join().unwrap();
}
