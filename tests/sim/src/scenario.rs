//! Plain data: everything that will happen in one run.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use shuntyard_core::config::Config;
use shuntyard_core::time::Duration;

use crate::net::PipePolicy;
use crate::refcodec::hpack::Indexing;
use crate::world::{MICRO, Nanos, SECOND};

/// A whole run: configuration, clients, backends, network, faults.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The gateway's seed, and the key of every random choice in the network.
    pub seed: u64,
    /// The gateway's configuration. Its endpoints are the addresses of `backends`.
    pub config: Config,
    /// The clients' connections.
    pub sessions: Vec<Session>,
    /// The backends, in the order of the configuration's endpoints.
    pub backends: Vec<Backend>,
    /// How the adapter behaves within the freedom that the contract leaves.
    pub adapter: AdapterPlan,
    /// When the safety phase ends at the latest.
    pub safety: Nanos,
    /// The deadline of the drain at the end.
    pub drain: Nanos,
}

impl Scenario {
    /// Every exchange by its request's number.
    pub fn exchanges(&self) -> BTreeMap<u64, Exchange> {
        let all = self.sessions.iter().flat_map(|session| &session.exchanges);
        all.map(|exchange| (exchange.rid, exchange.clone())).collect()
    }

    /// Whether anything in it may keep a request from its expected response.
    pub fn has_faults(&self) -> bool {
        let session = |session: &Session| {
            session.leave.is_some()
                || session.exchanges.iter().any(|e| e.request.cancel.is_some() || e.response.reset.is_some())
        };
        let timeouts = &self.config.timeouts;
        let tight = timeouts.response.min(self.config.upstreams[0].queue_timeout) < Duration::from_secs(10)
            || self.config.upstreams[0].queue_max < 1000;
        tight
            || self.sessions.iter().any(session)
            || self.backends.iter().any(|backend| backend.fault.is_some())
    }
}

/// What the contract leaves open to an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdapterPlan {
    /// Take actions after each event (`true`), or once after all events of a moment.
    pub eager: bool,
    /// Octets offered to one write.
    pub write_max: usize,
    /// Octets read at once.
    pub read_max: usize,
}

impl Default for AdapterPlan {
    fn default() -> Self {
        Self { eager: false, write_max: 1 << 20, read_max: 1 << 20 }
    }
}

/// One client connection with its requests.
#[derive(Clone, Debug)]
pub struct Session {
    /// When it connects.
    pub start: Nanos,
    /// Streams that it keeps open at a time.
    pub concurrency: usize,
    /// Whether it waits for the gateway's SETTINGS before its first request. Who does not may be refused.
    pub patient: bool,
    /// How it speaks HTTP/2.
    pub peer: PeerPlan,
    /// From client to gateway, from gateway to client.
    pub network: [PipePolicy; 2],
    /// What it asks, in order.
    pub exchanges: Vec<Exchange>,
    /// When and how it goes away before it is done.
    pub leave: Option<(Nanos, Leave)>,
}

/// How a peer goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It closes both directions.
    Close,
    /// It resets the connection.
    Reset,
}

/// One request and the script of its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The request's number, unique in the scenario; `x-rid` on the wire.
    pub rid: u64,
    /// What the client sends.
    pub request: RequestPlan,
    /// What the backend answers.
    pub response: ResponsePlan,
}

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
}

/// What the client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPlan {
    /// The method.
    pub method: Method,
    /// Octets of content.
    pub content: u64,
    /// Whether `content-length` is sent.
    pub declare_length: bool,
    /// Whether trailers follow.
    pub trailers: bool,
    /// How content is sent.
    pub pace: Pace,
    /// When the client resets the stream.
    pub cancel: Option<Phase>,
}

/// How content is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Octets of content in a DATA frame at most. At least 1.
    pub frame: usize,
    /// Octets of padding in each.
    pub padding: Option<u8>,
    /// Between two DATA frames.
    pub think: Nanos,
}

/// A point in the life of a stream, seen by the peer that acts there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The request's head was sent (client) or received (backend).
    RequestHead,
    /// So many octets of the sender's own content were sent.
    Sent(u64),
    /// The response's head was received (client) or sent (backend).
    ResponseHead,
}

/// What the backend answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponsePlan {
    /// The final status.
    pub status: u16,
    /// Where the content comes from.
    pub kind: ResponseKind,
    /// Answer without waiting for the end of the request.
    pub early: bool,
    /// From when the response may begin to when it begins.
    pub delay: Nanos,
    /// Interim responses (103) before the final one.
    pub interim: u8,
    /// Whether `content-length` is sent.
    pub declare_length: bool,
    /// Whether trailers follow.
    pub trailers: bool,
    /// How content is sent.
    pub pace: Pace,
    /// When and with which code the backend resets the stream.
    pub reset: Option<(Phase, u32)>,
}

/// Where a response's content comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseKind {
    /// As many octets as the request has, as they come.
    Echo,
    /// A few octets after the whole request.
    Sink,
    /// This many octets.
    Source(u64),
}

/// How a model peer speaks HTTP/2.
#[derive(Clone, Debug)]
pub struct PeerPlan {
    /// SETTINGS_INITIAL_WINDOW_SIZE.
    pub initial_window: u32,
    /// An increment for each stream as it is opened, above the initial window.
    pub window_at_open: u32,
    /// An increment for the connection at its begin.
    pub connection_extra: u32,
    /// Credit is given back once this many of 100 octets of a window were used.
    pub grant_percent: u8,
    /// SETTINGS_MAX_FRAME_SIZE.
    pub max_frame: u32,
    /// SETTINGS_HEADER_TABLE_SIZE.
    pub header_table: u32,
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub max_concurrent: Option<u32>,
    /// How field lines are represented.
    pub indexing: Indexing,
    /// Whether strings are Huffman-encoded.
    pub huffman: bool,
    /// Octets of a field block in one frame at most. At least 1.
    pub block_max: usize,
    /// At most so many octets are read each so often.
    pub read: Option<(usize, Nanos)>,
    /// SETTINGS that are sent so long after the begin.
    pub later_settings: Vec<(Nanos, Vec<(u16, u32)>)>,
    /// PINGs that are sent, one each so often.
    pub pings: Option<(u32, Nanos)>,
}

impl Default for PeerPlan {
    fn default() -> Self {
        Self {
            initial_window: 65_535,
            window_at_open: 0,
            connection_extra: 0,
            grant_percent: 50,
            max_frame: 16_384,
            header_table: 4096,
            max_concurrent: None,
            indexing: Indexing::Incremental,
            huffman: true,
            block_max: 16_384,
            read: None,
            later_settings: Vec::new(),
            pings: None,
        }
    }
}

/// One backend.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    /// From the attempt to the answer.
    pub connect_delay: Nanos,
    /// How it speaks HTTP/2.
    pub peer: PeerPlan,
    /// From gateway to backend, from backend to gateway.
    pub network: [PipePolicy; 2],
    /// What goes wrong, on its first so many connections.
    pub fault: Option<(u32, BackendFault)>,
}

/// What goes wrong with a backend's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendFault {
    /// It refuses the connection.
    Refuse,
    /// After so many streams it sends GOAWAY, naming the newest stream or (`spare`) the one before, serves what that covers,
    /// and closes.
    GoAway {
        /// Streams.
        after: u32,
        /// Whether the newest stream is left out.
        spare: bool,
    },
    /// After so many streams it goes away.
    Leave {
        /// Streams.
        after: u32,
        /// How.
        how: Leave,
    },
    /// The connection is reset once the backend has written so many octets.
    ResetAfter(u64),
}

impl Exchange {
    /// A GET with a response of `octets`.
    pub fn get(rid: u64, octets: u64) -> Self {
        let pace = Pace { frame: 16_384, padding: None, think: 0 };
        Self {
            rid,
            request: RequestPlan {
                method: Method::Get,
                content: 0,
                declare_length: false,
                trailers: false,
                pace,
                cancel: None,
            },
            response: ResponsePlan {
                status: 200,
                kind: ResponseKind::Source(octets),
                early: false,
                delay: 100 * MICRO,
                interim: 0,
                declare_length: true,
                trailers: false,
                pace,
                reset: None,
            },
        }
    }

    /// A POST of `octets` that the response echoes.
    pub fn echo(rid: u64, octets: u64) -> Self {
        let mut exchange = Self::get(rid, 0);
        exchange.request.method = Method::Post;
        exchange.request.content = octets;
        exchange.response.kind = ResponseKind::Echo;
        exchange
    }
}

impl Session {
    /// A session from the begin with default behaviour.
    pub fn new(exchanges: Vec<Exchange>) -> Self {
        Self {
            start: 0,
            concurrency: 100,
            patient: true,
            peer: PeerPlan::default(),
            network: [PipePolicy::default(); 2],
            exchanges,
            leave: None,
        }
    }
}

impl Backend {
    /// The `n`-th backend (0 to 255) with default behaviour.
    pub fn new(n: u8) -> Self {
        Self {
            address: SocketAddr::from(([10, 0, 0, n], 8080)),
            connect_delay: 200 * MICRO,
            peer: PeerPlan { max_concurrent: Some(100), ..PeerPlan::default() },
            network: [PipePolicy::default(); 2],
            fault: None,
        }
    }
}

impl Scenario {
    /// A scenario with the default configuration.
    pub fn new(seed: u64, sessions: Vec<Session>, backends: Vec<Backend>) -> Self {
        let mut config = Config::new(backends.iter().map(|backend| backend.address.into()).collect());
        config.records = true;
        Self {
            seed,
            config,
            sessions,
            backends,
            adapter: AdapterPlan::default(),
            safety: 600 * SECOND,
            drain: 5 * SECOND,
        }
    }
}
