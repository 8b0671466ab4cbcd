//! What a client costs that has asked once and says no more, counted at the allocator: the gateway alone, without sockets.
//!
//! `cargo test -p shuntyard-core --test idle_memory -- --nocapture` prints the figures.

use std::alloc::System;

use http::Response;
use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, ConnectionConfig};
use shuntyard_core::frame::PREFACE;
use shuntyard_core::gateway::{Accepted, Action, ConnId, Connected, Gateway, RecvBuf};
use shuntyard_core::h2::{Server, ServerEvent};
use shuntyard_core::time::{Duration, Instant, WallClock};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// From one client to the next: nobody falls asleep who was heard a moment ago.
const PAUSE: Duration = Duration::from_millis(10);

/// What a block costs beside its octets: the C library's length in front of it, and half of what it is rounded up to.
const BLOCK: i64 = 16;

/// Octets in use, with what blocks cost.
fn in_use() -> i64 {
    let stats = COUNTED.stats();
    let blocks = stats.allocations as i64 - stats.deallocations as i64;
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64 + blocks * BLOCK
}

/// A gateway between clients and one backend.
struct Yard {
    gateway: Gateway,
    now: Instant,
    backend: Option<(ConnId, Server)>,
    clients: usize,
}

impl Yard {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(vec![Address::unspecified()]);
        change(&mut config);
        let wall = WallClock { at: Instant::ZERO, unix_seconds: 784_111_777 };
        let gateway = Gateway::new(config, 1, Instant::ZERO, wall).expect("a configuration");
        Self { gateway, now: Instant::ZERO, backend: None, clients: 0 }
    }

    /// One more client, which asks by these octets, hears the answer, and says these.
    fn serve(&mut self, question: &[u8], thanks: &[u8]) {
        let peer =
            std::net::SocketAddr::from(([10, 0, (self.clients >> 8) as u8, self.clients as u8], 50_000));
        self.clients += 1;
        self.now = self.now + PAUSE;
        let client = self.gateway.handle_accept(Accepted { peer: peer.into(), local: peer.into() }, self.now);
        self.read(client, question);
        self.settle(client);
        self.read(client, thanks);
        self.settle(client);
    }

    fn read(&mut self, conn: ConnId, octets: &[u8]) {
        if octets.is_empty() {
            return;
        }
        let RecvBuf::Buffer(buffer) = self.gateway.recv_buf(conn) else { panic!("reading is not paused") };
        buffer[..octets.len()].copy_from_slice(octets);
        self.gateway.handle_recv(conn, octets.len(), self.now);
    }

    fn settle(&mut self, client: ConnId) {
        loop {
            while let Some(action) = self.gateway.poll_action() {
                if let Action::Connect { conn, .. } = action {
                    let config = ConnectionConfig::default();
                    self.backend = Some((conn, Server::new(config, 2).expect("a configuration")));
                    self.gateway.handle_connected(conn, Connected::default(), self.now);
                }
            }
            let said = write(&mut self.gateway, client, self.now);
            let Some((conn, mut server)) = self.backend.take() else { return };
            server.handle_recv(&write(&mut self.gateway, conn, self.now));
            while let Ok(Some(event)) = server.poll_event() {
                if let ServerEvent::Request { stream, .. } = event {
                    answer(&mut server, stream);
                }
            }
            let answers = server.poll_transmit().map_or_else(Vec::new, <[u8]>::to_vec);
            server.handle_sent(answers.len());
            self.backend = Some((conn, server));
            self.read(conn, &answers);
            if said.is_empty() && answers.is_empty() {
                return;
            }
        }
    }
}

fn write(gateway: &mut Gateway, conn: ConnId, now: Instant) -> Vec<u8> {
    let mut octets = Vec::new();
    while let Some(waiting) = gateway.poll_transmit(conn, now) {
        octets.extend_from_slice(waiting);
        let n = waiting.len();
        gateway.handle_sent(conn, n, now);
    }
    octets
}

fn answer(server: &mut Server, stream: shuntyard_core::h2::StreamKey) {
    let response = Response::builder()
        .header("server", "dumborigin/1")
        .header("content-type", "text/plain; charset=utf-8")
        .header("content-length", "100")
        .header("cache-control", "public, max-age=3600")
        .header("etag", "\"5f3e-8a7b6c5d4e3f2\"")
        .header("vary", "accept-encoding")
        .body(())
        .expect("a response");
    server.send_response(stream, &response, false).expect("a stream");
    server.send_data(stream, &[b'a'; 100], true).expect("a stream");
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags, 0, 0, 0, stream]);
    frame.extend_from_slice(payload);
    frame
}

/// The preface and a request whose field block this is.
fn asks_by(block: &[u8]) -> Vec<u8> {
    [PREFACE.to_vec(), frame(4, 0, 0, b""), frame(1, 5, 1, block)].concat()
}

/// A literal, indexed or not.
fn literal(indexed: bool, name: &str, value: &str) -> Vec<u8> {
    let mut octets = vec![if indexed { 0x40 } else { 0 }, name.len() as u8];
    octets.extend_from_slice(name.as_bytes());
    octets.push(value.len() as u8);
    octets.extend_from_slice(value.as_bytes());
    octets
}

/// GET and `http` by their index, and what a browser says of itself, each of it kept in the table.
fn browser(number: usize) -> Vec<u8> {
    let cookie = format!("session=abcdef0123456789; id={number:08}");
    let lines = [
        (":authority", "localhost:8020"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
        ),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br"),
        ("sec-ch-ua", "\"Not_A Brand\";v=\"8\", \"Chromium\";v=\"120\""),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "navigate"),
        ("cookie", &cookie),
    ];
    let mut block = vec![0x82, 0x86, 0x84];
    lines.iter().for_each(|(name, value)| block.extend(literal(true, name, value)));
    block
}

/// GET, `http` and `/` by their index, and two lines that enter no table.
fn plain() -> Vec<u8> {
    let lines = [literal(false, ":authority", "localhost"), literal(false, "user-agent", "idle/1")];
    [&[0x82, 0x86, 0x84][..], &lines.concat()].concat()
}

/// Octets for each client beyond the first thousand. Slabs grow by doubling: of 4000 the last 96 places are free.
fn cost_of(
    what: &str,
    change: impl FnOnce(&mut Config),
    question: impl Fn(usize) -> Vec<u8>,
    thanks: &[u8],
) -> i64 {
    let mut yard = Yard::new(change);
    (0..1000).for_each(|n| yard.serve(&question(n), thanks));
    let before = in_use();
    (1000..4000).for_each(|n| yard.serve(&question(n), thanks));
    let octets = (in_use() - before) / 3000;
    let view = yard.gateway.view();
    assert_eq!((view.fronts, view.backends, view.requests), (4000, 1, 0));
    println!("{what}: {octets} octets");
    octets
}

const SETTINGS_ACK: &[u8] = &[0, 0, 0, 4, 1, 0, 0, 0, 0];

/// One test: the counter is the process's.
#[test]
fn an_idle_client_costs_little() {
    let asked_once = cost_of("HTTP/2, asked once", |_| {}, |_| asks_by(&plain()), SETTINGS_ACK);
    let browsers = cost_of("HTTP/2, fields of a browser", |_| {}, |n| asks_by(&browser(n)), SETTINGS_ACK);
    let http1 = cost_of(
        "HTTP/1.1, asked once",
        |_| {},
        |_| b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
        b"",
    );
    assert!(asked_once <= 676 && browsers <= 796 && http1 <= 1064, "{asked_once} {browsers} {http1}");
    // Where nobody may sleep.
    let all_awake = |config: &mut Config| config.fronts_awake = 10_000;
    let awake = cost_of("HTTP/2, awake", all_awake, |_| asks_by(&plain()), SETTINGS_ACK);
    assert!((2000..=3350).contains(&awake), "{awake}");
}
