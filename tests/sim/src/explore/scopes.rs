//! The small worlds.

use std::net::SocketAddr;

use shuntyard_core::config::Config;

use crate::scenario::{Exchange, Method, PeerPlan};

/// A small world: who is there, and what can happen.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Names it.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// How deep to look where nobody says otherwise: to the end, or as deep as some minutes allow.
    pub depth: usize,
    /// The gateway's configuration, with one upstream.
    pub config: Config,
    /// The requests of each client, in order.
    pub clients: Vec<Vec<Exchange>>,
    /// How clients and backends speak.
    pub peers: [PeerPlan; 2],
    /// Limits of streams that a backend may tell.
    pub limits: Vec<u32>,
    /// How often a connection's backend may tell another.
    pub limits_told_max: u32,
    /// GOAWAY may come.
    pub goaway: bool,
    /// How many dials may be refused, and backend connections break.
    pub losses_max: u32,
    /// Streams may be reset, by either side.
    pub resets: bool,
    /// Clients may leave.
    pub leaving: bool,
    /// So often the gateway's clock may go on to its next deadline.
    pub timers_max: u32,
    /// The operator may order the drain.
    pub drain: bool,
    /// Output of the gateway waits in sockets until it is taken, so that frames cross.
    pub crossing: bool,
}

/// An address that nobody is at.
pub(super) fn backend_address() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 80))
}

fn scope(name: &'static str, about: &'static str, clients: Vec<Vec<Exchange>>) -> Scope {
    let mut config = Config::new(vec![backend_address().into()]);
    config.records = true;
    config.recv_buffer_octets = 33 << 10;
    for connection in [&mut config.front, &mut config.backend] {
        // Tables that stay empty: what was indexed would tell states apart that are the same.
        (connection.header_table_size, connection.encoder_table_size) = (0, 0);
    }
    config.upstreams[0].connections_max = 1;
    config.upstreams[0].retry.unprocessed_attempts = 2;
    let plan = PeerPlan { header_table: 0, grant_percent: 101, ..PeerPlan::default() };
    Scope {
        name,
        about,
        depth: 10,
        config,
        clients,
        peers: [plan.clone(), plan],
        limits: vec![1],
        limits_told_max: 0,
        goaway: false,
        losses_max: 0,
        resets: true,
        leaving: true,
        timers_max: 1,
        drain: true,
        crossing: false,
    }
}

fn put(rid: u64, content: u64, response: u64) -> Exchange {
    let mut exchange = Exchange::get(rid, response);
    exchange.request.method = Method::Put;
    exchange.request.content = content;
    exchange
}

/// All small worlds.
pub fn scopes() -> Vec<Scope> {
    let mut a =
        scope("A", "one client, two requests, one stream", vec![vec![put(1, 1, 1), Exchange::get(2, 0)]]);
    a.depth = 64;
    a.losses_max = 1;
    a.timers_max = 0;
    a.drain = false;

    let two = vec![vec![Exchange::get(1, 1)], vec![put(2, 1, 0)]];
    let mut b = scope("B", "two clients share one connection of one or two streams", two);
    b.limits = vec![0, 1, 2];
    b.limits_told_max = 1;

    let mut c = scope("C", "windows of an octet or two, three octets each way", vec![vec![put(1, 3, 3)]]);
    c.depth = 64;
    c.peers[0].initial_window = 2;
    c.peers[1].initial_window = 1;
    c.config.front.initial_window_size = 1;
    c.config.front.stream_window_max = 1;
    c.config.backend.initial_window_size = 2;
    c.config.backend.stream_window_max = 2;
    c.timers_max = 0;
    c.leaving = false;
    c.drain = false;

    let twice = vec![vec![Exchange::get(1, 1), put(2, 1, 0)]];
    let mut d = scope("D", "GOAWAY, lost connections and refusals, two attempts", twice);
    d.goaway = true;
    d.losses_max = 3;
    d.limits = vec![1, 2];
    d.timers_max = 2;
    d.leaving = false;
    d.drain = false;

    let mut e = scope("E", "the gateway's frames cross those of its peers", vec![vec![put(1, 1, 1)]]);
    e.depth = 12;
    e.crossing = true;
    e.goaway = true;
    e.losses_max = 1;
    e.timers_max = 0;

    let mut f = scope("F", "one request, and everything that can go wrong", vec![vec![put(1, 1, 1)]]);
    f.limits = vec![0, 1];
    f.limits_told_max = 1;
    f.goaway = true;
    f.losses_max = 1;
    vec![a, b, c, d, e, f]
}
