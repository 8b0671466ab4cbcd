//! A gateway between clients and backends, joined by memory: every step of the contract, no time passing.
#![allow(unreachable_pub, reason = "a module of test binaries")]

pub mod talk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, ConnectionConfig};
use shuntyard_core::gateway::{Accepted, Action, Command, ConnId, Connected, Gateway, RecvBuf};
use shuntyard_core::h2::{Client, Server, ServerEvent};
use shuntyard_core::record::{AttemptRecord, EndRecord, Record};
use shuntyard_core::time::{Duration, Instant, WallClock};

/// The other end of one of the gateway's connections.
pub enum Peer {
    Client(Box<Client>),
    /// A backend that says what the test says, and nothing else.
    Mute,
    Backend(Box<Server>),
}

/// The gateway and everybody around it.
pub struct Memory {
    pub gateway: Gateway,
    pub now: Instant,
    pub peers: BTreeMap<ConnId, Peer>,
    /// Connections that asked to be written to.
    writable: Vec<ConnId>,
    /// Connections whose other end takes nothing, and whether something waits for it.
    deaf: BTreeMap<ConnId, bool>,
    pub closed: Vec<ConnId>,
    /// Those whose peer was to see that they broke.
    pub aborted: Vec<ConnId>,
    pub records: Vec<EndRecord>,
    pub attempts: Vec<AttemptRecord>,
    /// Names that were to be resolved.
    pub lookups: Vec<(Arc<str>, u16)>,
    pub started: usize,
    pub drained: Option<u32>,
    pub backend_config: ConnectionConfig,
    /// Backends that have read the preface.
    greeted: BTreeSet<ConnId>,
    /// Dials are refused.
    pub refuse: bool,
    /// This system has nothing to dial with.
    pub exhausted: bool,
    /// It has no port for this endpoint.
    pub portless: Option<Address>,
    /// Dials to this endpoint are refused.
    pub dead: Option<Address>,
    pub dials: Vec<Address>,
    /// Dials are neither answered nor refused until [`release_connects`](Self::release_connects).
    pub hold_connects: bool,
    /// Backends say nothing by themselves.
    pub mute_backends: bool,
    /// What the gateway wrote to each connection since somebody looked.
    sent: BTreeMap<ConnId, Vec<u8>>,
    /// Those dials.
    pub held: Vec<ConnId>,
    /// Connections whose sending direction the gateway has shut down.
    pub shutdowns: Vec<ConnId>,
    config: Config,
}

impl Memory {
    pub fn new(change: impl FnOnce(&mut Config)) -> Self {
        Self::of(change, |gateway| gateway)
    }

    /// The same, of a gateway that something more is done to.
    pub fn of(change: impl FnOnce(&mut Config), with: impl FnOnce(Gateway) -> Gateway) -> Self {
        let endpoint: core::net::SocketAddr = "127.0.0.1:9000".parse().expect("an address");
        let mut config = Config::new(vec![endpoint.into()]);
        config.records = true;
        change(&mut config);
        let now = Instant::ZERO;
        let wall = WallClock { at: now, unix_seconds: 784_111_777 };
        Self {
            gateway: with(Gateway::new(config.clone(), 7, now, wall).expect("a valid configuration")),
            now,
            peers: BTreeMap::new(),
            writable: Vec::new(),
            deaf: BTreeMap::new(),
            closed: Vec::new(),
            aborted: Vec::new(),
            records: Vec::new(),
            attempts: Vec::new(),
            lookups: Vec::new(),
            started: 0,
            drained: None,
            backend_config: ConnectionConfig::default(),
            greeted: BTreeSet::new(),
            refuse: false,
            exhausted: false,
            portless: None,
            dead: None,
            dials: Vec::new(),
            hold_connects: false,
            mute_backends: false,
            sent: BTreeMap::new(),
            held: Vec::new(),
            shutdowns: Vec::new(),
            config,
        }
    }

    #[allow(dead_code, reason = "not every test binary has clients at one address")]
    pub fn connect(&mut self, config: ConnectionConfig) -> ConnId {
        self.connect_from(1, config)
    }

    /// A client at another address than those of other numbers.
    pub fn connect_from(&mut self, number: u8, config: ConnectionConfig) -> ConnId {
        let peer = core::net::SocketAddr::from(([127, 0, 0, number], 50_000));
        let id = self.gateway.handle_accept(Accepted { peer: peer.into(), local: peer.into() }, self.now);
        let client = Client::new(config, 1).expect("a valid configuration");
        self.peers.insert(id, Peer::Client(Box::new(client)));
        id
    }

    /// A client that says what the test says, and nothing else.
    #[allow(dead_code, reason = "not every test binary speaks HTTP/1.1")]
    pub fn connect_mute(&mut self) -> ConnId {
        let peer: core::net::SocketAddr = "127.0.0.1:50001".parse().expect("an address");
        let id = self.gateway.handle_accept(Accepted { peer: peer.into(), local: peer.into() }, self.now);
        self.peers.insert(id, Peer::Mute);
        id
    }

    /// The other end of a connection shuts its sending direction down.
    #[allow(dead_code, reason = "not every test binary speaks HTTP/1.1")]
    pub fn shut(&mut self, conn: ConnId) {
        self.gateway.handle_read_closed(conn, self.now);
        self.settle();
    }

    pub fn client(&mut self, id: ConnId) -> &mut Client {
        match self.peers.get_mut(&id) {
            Some(Peer::Client(client)) => client,
            _ => panic!("{id:?} is no client"),
        }
    }

    pub fn backends(&self) -> Vec<ConnId> {
        self.peers
            .iter()
            .filter(|(_, peer)| matches!(peer, Peer::Backend(_) | Peer::Mute))
            .map(|(&id, _)| id)
            .collect()
    }

    pub fn backend(&mut self, id: ConnId) -> &mut Server {
        match self.peers.get_mut(&id) {
            Some(Peer::Backend(server)) => server,
            _ => panic!("{id:?} is no backend"),
        }
    }

    /// Does what the gateway asks for.
    pub fn act(&mut self) {
        while let Some(action) = self.gateway.poll_action() {
            match action {
                Action::Connect { conn, target, .. }
                    if self.refuse || self.dead.as_ref() == Some(&target) =>
                {
                    self.dials.push(target);
                    self.gateway.handle_closed(
                        conn,
                        shuntyard_core::gateway::Closed::ConnectRefused,
                        self.now,
                    );
                }
                Action::Connect { conn, target, .. }
                    if self.exhausted || self.portless.as_ref() == Some(&target) =>
                {
                    self.dials.push(target);
                    let why = shuntyard_core::gateway::Closed::ConnectExhausted;
                    self.gateway.handle_closed(conn, why, self.now);
                }
                Action::Connect { conn, target, .. } => {
                    self.dials.push(target);
                    self.held.push(conn);
                    if !self.hold_connects {
                        self.accept_held();
                    }
                }
                Action::Writable(conn) => self.writable.push(conn),
                Action::Close(conn) => {
                    self.closed.push(conn);
                    self.peers.remove(&conn);
                }
                Action::Abort(conn) => {
                    self.aborted.push(conn);
                    self.peers.remove(&conn);
                }
                Action::Record(record) => match *record {
                    Record::Started { .. } => self.started += 1,
                    Record::Attempt(record) => self.attempts.push(record),
                    Record::Ended(record) => self.records.push(record),
                },
                Action::Resolve { name, port } => self.lookups.push((name, port)),
                Action::Drained { cut } => self.drained = Some(cut),
                Action::Shutdown(conn) => self.shutdowns.push(conn),
                Action::Readable(_) | Action::Accepting(_) => {}
            }
        }
    }

    /// Carries octets both ways until nobody has any. What arrives waits for `poll_event` of its client or server.
    /// A client that has asked for nothing yet learns what the gateway offers: it may ask for tunnels then (RFC 8441 section 3).
    #[allow(dead_code, reason = "not every test binary asks for tunnels")]
    pub fn learn_offers(&mut self, client: ConnId) {
        self.settle();
        while self.client(client).poll_event().expect("a sound connection").is_some() {}
    }

    pub fn settle(&mut self) {
        loop {
            self.act();
            let mut moved = false;
            for conn in std::mem::take(&mut self.writable) {
                if let Some(waits) = self.deaf.get_mut(&conn) {
                    *waits = true;
                    continue;
                }
                moved |= self.write(conn);
            }
            for conn in self.peers.keys().copied().collect::<Vec<_>>() {
                moved |= self.read(conn);
            }
            if !moved {
                break;
            }
        }
    }

    fn write(&mut self, conn: ConnId) -> bool {
        let mut moved = false;
        while let Some(octets) = self.gateway.poll_transmit(conn, self.now).map(<[u8]>::to_vec) {
            self.sent.entry(conn).or_default().extend_from_slice(&octets);
            match self.peers.get_mut(&conn) {
                Some(Peer::Client(client)) => client.handle_recv(&octets),
                Some(Peer::Backend(server)) => {
                    server.handle_recv(&octets);
                    // The gateway waits for SETTINGS, which a server sends once it has read the preface.
                    if self.greeted.insert(conn) {
                        let event = server.poll_event();
                        assert!(matches!(event, Ok(Some(ServerEvent::Settings))), "{event:?}");
                    }
                }
                Some(Peer::Mute) | None => {}
            }
            self.gateway.handle_sent(conn, octets.len(), self.now);
            moved = true;
        }
        moved
    }

    fn read(&mut self, conn: ConnId) -> bool {
        let octets = match self.peers.get_mut(&conn) {
            Some(Peer::Client(client)) => take(client.poll_transmit(), 1 << 16),
            Some(Peer::Backend(server)) => take(server.poll_transmit(), 1 << 16),
            Some(Peer::Mute) | None => return false,
        };
        if octets.is_empty() {
            return false;
        }
        let RecvBuf::Buffer(buffer) = self.gateway.recv_buf(conn) else { return false };
        let n = octets.len().min(buffer.len());
        buffer[..n].copy_from_slice(&octets[..n]);
        self.gateway.handle_recv(conn, n, self.now);
        match self.peers.get_mut(&conn) {
            Some(Peer::Client(client)) => client.handle_sent(n),
            Some(Peer::Backend(server)) => server.handle_sent(n),
            Some(Peer::Mute) | None => {}
        }
        self.act();
        true
    }

    fn accept_held(&mut self) {
        std::mem::take(&mut self.held).into_iter().for_each(|conn| self.made(conn));
    }

    fn made(&mut self, conn: ConnId) {
        let server = Server::new(self.backend_config.clone(), 2).expect("a valid configuration");
        let peer = if self.mute_backends { Peer::Mute } else { Peer::Backend(Box::new(server)) };
        self.peers.insert(conn, peer);
        self.gateway.handle_connected(conn, Connected::default(), self.now);
    }

    /// The first of the dials that were held succeeds, and the others are held on.
    #[allow(dead_code, reason = "not every test binary holds them")]
    pub fn release_connect(&mut self) {
        let conn = self.held.remove(0);
        self.made(conn);
        self.settle();
    }

    /// The dials that were held succeed.
    #[allow(dead_code, reason = "not every test binary holds them")]
    pub fn release_connects(&mut self) {
        self.hold_connects = false;
        self.accept_held();
        self.settle();
    }

    /// What the gateway was made from.
    #[allow(dead_code, reason = "not every test binary asks")]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The operator changes the configuration.
    #[allow(dead_code, reason = "not every test binary has an operator")]
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        let command = Command::Configure(Box::new(self.config.clone()));
        self.gateway.handle_command(command, self.now);
        self.settle();
    }

    /// Takes what the gateway wrote to a connection since the last time: whole frames, where all output was taken.
    #[allow(dead_code, reason = "not every test binary reads frames")]
    pub fn sent_to(&mut self, conn: ConnId) -> Vec<u8> {
        self.sent.remove(&conn).unwrap_or_default()
    }

    /// The other end of a connection takes nothing from now on.
    #[allow(dead_code, reason = "not every test binary has deaf peers")]
    pub fn deafen(&mut self, conn: ConnId) {
        self.deaf.insert(conn, false);
    }

    /// It takes all that waits, and what comes.
    #[allow(dead_code, reason = "not every test binary has deaf peers")]
    pub fn hear(&mut self, conn: ConnId) {
        if self.deaf.remove(&conn) == Some(true) {
            self.writable.push(conn);
        }
        self.settle();
    }

    /// The backend falls silent, without a word.
    #[allow(dead_code, reason = "not every test binary has silent backends")]
    pub fn mute(&mut self, conn: ConnId) {
        self.peers.insert(conn, Peer::Mute);
    }

    /// Gives the gateway octets as if the other end of a connection had sent them.
    #[allow(dead_code, reason = "not every test binary forges frames")]
    pub fn inject(&mut self, conn: ConnId, octets: &[u8]) {
        let RecvBuf::Buffer(buffer) = self.gateway.recv_buf(conn) else { panic!("{conn:?} takes nothing") };
        buffer[..octets.len()].copy_from_slice(octets);
        self.gateway.handle_recv(conn, octets.len(), self.now);
        self.settle();
    }

    /// Time passes; whatever is due meanwhile happens when it is due.
    #[allow(dead_code, reason = "not every test binary waits")]
    pub fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.gateway.poll_timeout().filter(|&at| at <= until) {
            self.now = self.now.max(at);
            self.gateway.handle_timeout(self.now);
            self.settle();
        }
        self.now = until;
    }

    /// The other end of a connection vanishes.
    #[allow(dead_code, reason = "not every test binary kills")]
    pub fn kill(&mut self, conn: ConnId) {
        self.peers.remove(&conn);
        self.gateway.handle_closed(conn, shuntyard_core::gateway::Closed::Reset, self.now);
        self.settle();
    }
}

fn take(octets: Option<&[u8]>, max: usize) -> Vec<u8> {
    octets.map_or(Vec::new(), |octets| octets[..octets.len().min(max)].to_vec())
}
