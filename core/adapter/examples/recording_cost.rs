//! W1 of the benches through a gateway that is recorded or not, for counting instructions:
//!
//!     cargo build --release -p shuntyard-adapter --example recording_cost
//!     valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/recording_cost MODE REQUESTS
//!
//! MODE is `none`, `heads` or `content`. Clients and backend cost the same in all three, so that the difference between
//! two modes is what recording takes, and between two numbers of requests, divided by theirs, what a request takes.

use std::collections::BTreeMap;
use std::error::Error;

use http::{Request, Response};
use shuntyard_adapter::{Options, Recorded, RecordingOptions, equip, replay};
use shuntyard_core::config::{Config, ConnectionConfig};
use shuntyard_core::gateway::{Accepted, Action, ConnId, Connected, RecvBuf};
use shuntyard_core::h2::{Client, ClientEvent, Server, ServerEvent};
use shuntyard_core::time::{Duration, Instant};

const CLIENTS: usize = 10;
const STREAMS: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().ok_or("none, heads or content?")?;
    let requests: usize = arguments.next().ok_or("how many requests?")?.parse()?;
    let file = std::env::temp_dir().join(format!("recording-cost-{}", std::process::id()));
    let backend: std::net::SocketAddr = "127.0.0.1:9000".parse()?;
    let mut options = Options::new(Vec::new());
    options.recording = (mode != "none").then(|| RecordingOptions {
        file: file.clone(),
        content: mode == "content",
        max_octets: 1 << 30,
    });
    let gateway = equip(&Config::new(vec![backend.into()]), &options)?.remove(0).gateway;
    let answered = World::new(gateway).serve(requests);
    let written = file.with_extension("0");
    if mode == "none" {
        println!("{answered} requests");
        return Ok(());
    }
    let size = std::fs::metadata(&written)?.len();
    println!("{answered} requests, {} octets of recording each", size / answered as u64);
    if std::env::var_os("REPLAY").is_some() {
        println!("{:?}", replay(&written)?);
    }
    std::fs::remove_file(written)?;
    Ok(())
}

struct World {
    gateway: Recorded,
    now: Instant,
    clients: BTreeMap<ConnId, Client>,
    backends: BTreeMap<ConnId, Server>,
    open: usize,
    answered: usize,
}

impl World {
    fn new(mut gateway: Recorded) -> Self {
        let now = Instant::from_nanos(1 << 40);
        let peer: std::net::SocketAddr = ([127, 0, 0, 1], 5000).into();
        let mut clients = BTreeMap::new();
        for n in 0..CLIENTS {
            let conn = gateway.handle_accept(Accepted { peer: peer.into(), local: peer.into() }, now);
            let client = Client::new(ConnectionConfig::default(), n as u64).expect("the defaults are valid");
            clients.insert(conn, client);
        }
        Self { gateway, now, clients, backends: BTreeMap::new(), open: 0, answered: 0 }
    }

    fn serve(mut self, requests: usize) -> usize {
        while self.answered < requests {
            self.now = self.now + Duration::from_micros(100);
            self.ask();
            self.peers_speak();
            while let Some(action) = self.gateway.poll_action() {
                match action {
                    Action::Connect { conn, .. } => {
                        let server = Server::new(ConnectionConfig::default(), 99).expect("valid defaults");
                        self.backends.insert(conn, server);
                        self.gateway.handle_connected(conn, Connected::default(), self.now);
                    }
                    Action::Writable(conn) => self.write(conn),
                    _ => {}
                }
            }
        }
        self.answered
    }

    fn ask(&mut self) {
        let request = Request::get("http://127.0.0.1/").header("user-agent", "h2load nghttp2/1.52.0");
        let request = request.body(()).expect("a request");
        for client in self.clients.values_mut() {
            while self.open < CLIENTS * STREAMS && client.send_request(&request, true).is_ok() {
                self.open += 1;
            }
        }
    }

    fn peers_speak(&mut self) {
        let clients = self.clients.iter_mut().filter_map(|(&id, peer)| {
            let octets = peer.poll_transmit()?.to_vec();
            peer.handle_sent(octets.len());
            Some((id, octets))
        });
        let backends = self.backends.iter_mut().filter_map(|(&id, peer)| {
            let octets = peer.poll_transmit()?.to_vec();
            peer.handle_sent(octets.len());
            Some((id, octets))
        });
        for (conn, octets) in clients.chain(backends) {
            if let RecvBuf::Buffer(buffer) = self.gateway.recv_buf(conn) {
                buffer[..octets.len()].copy_from_slice(&octets);
                self.gateway.handle_recv(conn, octets.len(), self.now);
            }
        }
    }

    fn write(&mut self, conn: ConnId) {
        while let Some(octets) = self.gateway.poll_transmit(conn, self.now).map(<[u8]>::to_vec) {
            self.gateway.handle_sent(conn, octets.len(), self.now);
            if let Some(client) = self.clients.get_mut(&conn) {
                client.handle_recv(&octets);
                while let Ok(Some(event)) = client.poll_event() {
                    if let ClientEvent::Data { stream, credit, end, .. } = event {
                        client.release(stream, credit);
                        self.answered += usize::from(end);
                        self.open -= usize::from(end);
                    }
                }
            } else if let Some(server) = self.backends.get_mut(&conn) {
                answer(server, &octets);
            }
        }
    }
}

fn answer(server: &mut Server, octets: &[u8]) {
    server.handle_recv(octets);
    while let Ok(Some(event)) = server.poll_event() {
        let ServerEvent::Request { stream, .. } = event else { continue };
        let response = Response::builder()
            .header("server", "nghttpd nghttp2/1.52.0")
            .header("date", "Mon, 23 Nov 2026 08:00:00 GMT")
            .header("content-type", "text/plain; charset=utf-8")
            .header("cache-control", "public, max-age=3600")
            .header("etag", "\"5f3e-8a7b6c5d4e3f2\"")
            .header("vary", "accept-encoding")
            .header("content-length", "100");
        // A stream that is gone needs no answer.
        let _ = server.send_response(stream, &response.body(()).expect("a response"), false);
        let _ = server.send_data(stream, &[b'x'; 100], true);
    }
}
