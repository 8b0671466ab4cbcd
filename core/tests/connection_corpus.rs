//! Recorded clients against a server's connection and against a gateway: no panic, bounded output, nothing left behind.

mod wire;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use shuntyard_core::config::{Config, ConnectionConfig};
use shuntyard_core::gateway::{Accepted, Action, Closed, Command, ConnId, Connected, Gateway, RecvBuf};
use shuntyard_core::h2::Role;
use shuntyard_core::time::{Duration, Instant, WallClock};
use wire::*;

/// Every recorded stream, wherever it lies; `None` where there is none, which is said.
fn corpus() -> Option<Vec<(PathBuf, Vec<u8>)>> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder =
        std::env::var_os("SHUNTYARD_DATA").map_or_else(beside, PathBuf::from).join("nghttp2-corpus/corpus");
    let mut folders = vec![folder.clone()];
    let mut streams = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => streams.push((path.clone(), std::fs::read(&path).expect("a file that can be read"))),
            }
        }
    }
    streams.sort();
    if streams.is_empty() {
        // Not captured by the test runner.
        let _ = writeln!(std::io::stderr(), "SKIPPED recorded clients: nothing in {}", folder.display());
        return None;
    }
    Some(streams)
}

/// What may come out of so much input: answers are no longer than twice what asks for them, and some are unasked.
fn output_max(input: usize) -> usize {
    2 * input + 4096
}

#[test]
fn recorded_clients_meet_a_server() {
    for (path, octets) in corpus().into_iter().flatten() {
        for size in [usize::MAX, 1, 100] {
            let mut subject = Subject::fresh(Role::Server, ConnectionConfig::default());
            let (mut told, mut said, mut failed) = (0, 0, false);
            for piece in octets.chunks(size.min(octets.len().max(1))) {
                let (events, error) = subject.try_hear(piece);
                assert!(error.is_none() || !std::mem::replace(&mut failed, true), "{}", path.display());
                told += events.len();
                for event in &events {
                    if let Told::Request { key, .. } | Told::TooLarge { key } = event {
                        let _ = subject.connection.send_head(*key, &section(&[(":status", "200")]), true);
                    }
                }
                said += subject.speak_octets().len();
            }
            assert!(told <= octets.len() / 9 + 1, "{}: {told} events", path.display());
            assert!(said <= output_max(octets.len()), "{}: {said} octets", path.display());
        }
    }
}

/// A gateway whose backends take requests and say nothing but their SETTINGS.
struct Silent {
    gateway: Gateway,
    now: Instant,
    conns: Vec<ConnId>,
    front: ConnId,
    to_client: usize,
    to_backends: usize,
}

impl Silent {
    fn new() -> Self {
        let address: core::net::SocketAddr = "127.0.0.1:9000".parse().expect("an address");
        let now = Instant::ZERO;
        let config = Config::new(vec![address.into()]);
        let wall = WallClock { at: now, unix_seconds: 0 };
        let mut gateway = Gateway::new(config, 7, now, wall).expect("a valid configuration");
        let front = gateway.handle_accept(Accepted { peer: address.into(), local: address.into() }, now);
        Self { gateway, now, conns: vec![front], front, to_client: 0, to_backends: 0 }
    }

    fn recv(&mut self, id: ConnId, octets: &[u8]) {
        let RecvBuf::Buffer(buffer) = self.gateway.recv_buf(id) else { return };
        let n = octets.len().min(buffer.len());
        buffer[..n].copy_from_slice(&octets[..n]);
        self.gateway.handle_recv(id, n, self.now);
        self.act();
    }

    fn act(&mut self) {
        let mut idle = false;
        while !std::mem::replace(&mut idle, true) {
            while let Some(action) = self.gateway.poll_action() {
                idle = false;
                match action {
                    Action::Connect { conn, .. } => {
                        self.conns.push(conn);
                        self.gateway.handle_connected(conn, Connected::default(), self.now);
                        self.recv(conn, &settings(&[(MAX_CONCURRENT_STREAMS, 10)]));
                    }
                    Action::Close(id) | Action::Abort(id) => self.conns.retain(|&other| other != id),
                    _ => {}
                }
            }
            for id in self.conns.clone() {
                while let Some(n) = self.gateway.poll_transmit(id, self.now).map(<[u8]>::len) {
                    *(if id == self.front { &mut self.to_client } else { &mut self.to_backends }) += n;
                    self.gateway.handle_sent(id, n, self.now);
                    idle = false;
                }
            }
        }
    }
}

#[test]
fn recorded_clients_meet_a_gateway() {
    for (path, octets) in corpus().into_iter().flatten() {
        for size in [16_384, 1, 100] {
            let mut silent = Silent::new();
            for piece in octets.chunks(size) {
                silent.recv(silent.front, piece);
            }
            if size == 100 {
                silent.gateway.handle_closed(silent.front, Closed::Reset, silent.now);
            }
            silent.gateway.handle_command(Command::Drain { deadline: Duration::from_secs(90) }, silent.now);
            silent.act();
            for _ in 0..100 {
                silent.now = silent.now + Duration::from_secs(1);
                silent.gateway.handle_timeout(silent.now);
                silent.act();
            }
            // 503 or 504 for each request, `via` and `:authority` of each request: a few hundred octets a frame.
            let max = output_max(octets.len()) + octets.len() / 9 * 300;
            let (to_client, to_backends) = (silent.to_client, silent.to_backends);
            assert!(to_client <= max && to_backends <= max, "{}: {to_client}, {to_backends}", path.display());
            assert_eq!(silent.gateway.view(), Default::default(), "{}", path.display());
        }
    }
}
