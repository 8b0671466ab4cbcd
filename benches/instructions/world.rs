//! A gateway between clients and backends that are joined to it by memory, driven as an adapter drives it: in each turn
//! what arrived is read, then every connection with output is written to.

use std::collections::BTreeMap;
use std::sync::Arc;

use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, ConnectionConfig, HostPattern, PathPattern, RouteConfig};
use shuntyard_core::fields::{FieldSection, FieldWriter};
use shuntyard_core::gateway::{Accepted, Action, ConnId, Connected, Gateway, RecvBuf};
use shuntyard_core::h2::{Connection, Event, Input, Role, StreamKey};
use shuntyard_core::time::{Duration, Instant, WallClock};

use crate::http1;
use crate::measured;
use crate::work::{self, Work};

/// Keys the hashes of all peers.
const SEED: u64 = 1;
/// The time of a turn, as if the machine had something else to do too.
const TURN: Duration = Duration::from_micros(100);

/// `warm_up` requests, or two for each stream if those are more, then `requests` that count.
pub(crate) fn run(work: &'static Work, warm_up: usize, requests: usize) -> String {
    let mut world = World::new(work);
    // Twice: some of those that ask once only fall asleep when others have been answered too.
    world.serve_until(2 * work.idle + warm_up.max(2 * work.clients * work.streams));
    let before = world.tally.answered;
    measured::from_here();
    world.serve_until(before + requests);
    let Tally { answered, records } = world.tally;
    let backends = world.peers.values().filter(|peer| peer.is_backend()).count();
    let records = if work.records { format!(", {records} records") } else { String::new() };
    format!(
        "{} requests answered after {before}, {} octets each, {backends} backend connections{records}",
        answered - before,
        work.response
    )
}

struct World {
    work: &'static Work,
    gateway: Gateway,
    now: Instant,
    peers: BTreeMap<ConnId, Peer>,
    /// Connections that the gateway has output for.
    dirty: Vec<ConnId>,
    script: Script,
    tally: Tally,
}

/// What the peers send.
struct Script {
    requests: Vec<FieldSection>,
    next_request: usize,
    request_content: Vec<u8>,
    response: FieldSection,
    response_content: Vec<u8>,
    /// Requests that each client has under way.
    streams: usize,
}

/// What came of it.
#[derive(Default)]
struct Tally {
    answered: usize,
    records: usize,
}

/// A client or a backend.
struct Peer {
    voice: Voice,
    inbox: Vec<u8>,
    /// How many requests a client still makes.
    left: usize,
}

/// What a peer speaks.
enum Voice {
    Http2(Role, Box<Connection>),
    /// A client of HTTP/1.1.
    Http1(http1::Client),
}

impl World {
    fn new(work: &'static Work) -> Self {
        let now = Instant::ZERO;
        let config = configuration(work);
        let wall = WallClock { at: now, unix_seconds: 1_795_420_800 };
        let mut world = Self {
            work,
            gateway: Gateway::new(config, SEED, now, wall).expect("the defaults are valid"),
            now,
            peers: BTreeMap::new(),
            dirty: Vec::new(),
            script: Script::new(work),
            tally: Tally::default(),
        };
        let busy = std::iter::repeat_n(usize::MAX, work.clients);
        for left in std::iter::repeat_n(1, work.idle).chain(busy) {
            let info = Accepted { peer: address(50_000), local: address(8080) };
            let conn = world.gateway.handle_accept(info, now);
            world.peers.insert(conn, Peer { left, ..Peer::client(work) });
        }
        world
    }

    fn serve_until(&mut self, answered: usize) {
        while self.tally.answered < answered {
            self.turn();
        }
    }

    fn turn(&mut self) {
        self.now = self.now + TURN;
        for peer in self.peers.values_mut() {
            peer.react(&mut self.script, &mut self.tally);
        }
        let mut moved = false;
        for (&conn, peer) in &mut self.peers {
            moved |= read(&mut self.gateway, conn, peer, self.now);
        }
        measured::timeout(&mut self.gateway, self.now);
        loop {
            self.act();
            if self.dirty.is_empty() {
                break;
            }
            let mut dirty = std::mem::take(&mut self.dirty);
            for conn in dirty.drain(..) {
                moved |= self.write(conn);
            }
            self.dirty = dirty;
        }
        assert!(moved, "{}: nothing moves any more", self.work.name);
    }

    fn act(&mut self) {
        while let Some(action) = measured::act(&mut self.gateway) {
            match action {
                Action::Connect { conn, .. } => {
                    self.peers.insert(conn, Peer::http2(Role::Server));
                    self.gateway.handle_connected(conn, Connected::default(), self.now);
                }
                Action::Writable(conn) => self.dirty.push(conn),
                Action::Record(_) => self.tally.records += 1,
                // Reading is tried in each turn anyway.
                Action::Readable(_) => {}
                Action::Close(_)
                | Action::Abort(_)
                | Action::Shutdown(_)
                | Action::Accepting(_)
                | Action::Resolve { .. }
                | Action::Drained { .. } => {
                    panic!("{}: nobody asked for {action:?}", self.work.name)
                }
            }
        }
    }

    fn write(&mut self, conn: ConnId) -> bool {
        let Some(peer) = self.peers.get_mut(&conn) else { return false };
        let mut moved = false;
        while let Some(octets) = measured::transmit(&mut self.gateway, conn, self.now) {
            peer.inbox.extend_from_slice(octets);
            let n = octets.len();
            measured::sent(&mut self.gateway, conn, n, self.now);
            moved = true;
        }
        moved
    }
}

/// The defaults, with room for all that the work has.
fn configuration(work: &Work) -> Config {
    let mut config = Config::new(vec![address(9000)]);
    config.records = work.records;
    config.max_fronts = (work.clients + work.idle).max(config.max_fronts as usize) as u32;
    config.max_fronts_per_client = config.max_fronts;
    let most = 2 * (work.idle + work.clients * work.streams) as u32;
    let streams = work.streams.max(config.front.max_concurrent_streams as usize);
    config.front.max_concurrent_streams = streams as u32;
    config.upstreams[0].queue_max = config.upstreams[0].queue_max.max(most);
    let served = config.routes[0].clone();
    config.routes.extend((0..work.routes).map(|n| RouteConfig {
        name: format!("other-{n}").into(),
        host: HostPattern::Exact(format!("host-{}.example", n / 4).into()),
        path: PathPattern::Prefix(format!("/part-{}/", n % 4).into()),
        ..served.clone()
    }));
    config
}

/// Carries to the gateway what a peer has sent, as far as one read takes it.
fn read(gateway: &mut Gateway, conn: ConnId, peer: &mut Peer, now: Instant) -> bool {
    let octets = peer.voice.transmit();
    if octets.is_empty() {
        return false;
    }
    let RecvBuf::Buffer(buffer) = measured::lend(gateway, conn) else { return false };
    let n = octets.len().min(buffer.len());
    buffer[..n].copy_from_slice(&octets[..n]);
    measured::recv(gateway, conn, n, now);
    peer.voice.sent(n);
    true
}

impl Voice {
    fn transmit(&self) -> &[u8] {
        match self {
            Voice::Http2(_, connection) => connection.transmit(),
            Voice::Http1(client) => client.transmit(),
        }
    }

    fn sent(&mut self, n: usize) {
        match self {
            Voice::Http2(_, connection) => connection.sent(n),
            Voice::Http1(client) => client.sent(n),
        }
    }
}

impl Peer {
    fn client(work: &Work) -> Self {
        if !work.is_http1 {
            return Self::http2(Role::Client);
        }
        Self { voice: Voice::Http1(http1::Client::new(work)), inbox: Vec::new(), left: 0 }
    }

    fn http2(role: Role) -> Self {
        let config = ConnectionConfig { max_concurrent_streams_cap: 1000, ..ConnectionConfig::default() };
        let connection = Connection::new(role, Arc::new(config), SEED, 0);
        Self { voice: Voice::Http2(role, Box::new(connection)), inbox: Vec::new(), left: 0 }
    }

    fn is_backend(&self) -> bool {
        matches!(self.voice, Voice::Http2(Role::Server, _))
    }

    /// Takes what has arrived and puts what follows from it into the outbox.
    fn react(&mut self, script: &mut Script, tally: &mut Tally) {
        let Self { voice, inbox, left } = self;
        let (role, connection) = match voice {
            Voice::Http2(role, connection) => (role, connection),
            Voice::Http1(client) => {
                tally.answered += client.react(inbox, left);
                return;
            }
        };
        let mut input = Input::new(inbox);
        while let Some(event) = connection.poll_event(&mut input).expect("the gateway speaks HTTP/2") {
            match event {
                Event::Request { stream, fields, end, .. } => {
                    connection.recycle(fields);
                    if end {
                        script.answer(connection, stream);
                    }
                }
                Event::Response { fields, head, .. } => {
                    assert_eq!(head.status, 200);
                    connection.recycle(fields);
                }
                Event::Data { stream, credit, end, .. } => {
                    connection.release(stream, credit);
                    match role {
                        Role::Server if end => script.answer(connection, stream),
                        Role::Server => {}
                        Role::Client => tally.answered += usize::from(end),
                    }
                }
                Event::Settings => {}
                // Among them `Failed`, which is what becomes of content shorter or longer than `content-length` says.
                event => panic!("nobody asked for {event:?}"),
            }
        }
        let taken = inbox.len() - input.remaining().len();
        inbox.drain(..taken);
        while *left > 0 && connection.open_streams() < script.streams && connection.open_slots() > 0 {
            *left -= 1;
            script.ask(connection);
        }
        while connection.cut().is_some() {}
    }
}

impl Script {
    fn new(work: &Work) -> Self {
        let mut writer = FieldWriter::new(SEED);
        let response = work::write_response(&mut writer, &work.response.to_string()).clone();
        Self {
            requests: work.request.sections(SEED),
            next_request: 0,
            request_content: vec![b'q'; work.request.content],
            response,
            response_content: vec![b'a'; work.response],
            streams: work.streams,
        }
    }

    fn ask(&mut self, connection: &mut Connection) {
        let fields = &self.requests[self.next_request];
        self.next_request = (self.next_request + 1) % self.requests.len();
        let end = self.request_content.is_empty();
        let stream = connection.open(fields, end).expect("fewer streams than the gateway allows");
        if !end {
            connection.send_data(stream, &self.request_content, true).expect("the stream was opened now");
        }
    }

    fn answer(&self, connection: &mut Connection, stream: StreamKey) {
        connection.send_head(stream, &self.response, false).expect("the stream waits for a response");
        connection.send_data(stream, &self.response_content, true).expect("the response was begun now");
    }
}

fn address(port: u16) -> Address {
    Address::from(std::net::SocketAddr::from(([127, 0, 0, 1], port)))
}
