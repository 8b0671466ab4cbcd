//! Plain data: everything that will happen in one run.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use shuntyard_core::address::Address;
use shuntyard_core::config::{
    Config, EndpointConfig, Host, HostPattern, PathPattern, RouteConfig, Saturation, Scope, UpstreamConfig,
};
use shuntyard_core::time::Duration;

use crate::net::PipePolicy;
use crate::police::BUDGET;
use crate::refcodec::hpack::Indexing;
use crate::world::{MICRO, Nanos, SECOND};

/// A whole run: configuration, clients, backends, network, faults.
#[derive(Clone, Debug, PartialEq)]
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
    /// When the drain is ordered, where it is not at the end.
    pub drain_at: Option<Nanos>,
    /// When the clock jumps, and by how much: everything that was due in between is late.
    pub jumps: Vec<(Nanos, Nanos)>,
}

impl Scenario {
    /// Every exchange by its request's number, those that hostile clients have beside their scripts, and the probe's.
    pub fn exchanges(&self) -> BTreeMap<u64, Exchange> {
        let scripts = self.sessions.iter().flat_map(|session| session.exchanges.iter().cloned());
        let decoys = self.sessions.iter().flat_map(crate::mischief::decoys);
        let probes = crate::probe::exchanges(&self.config);
        scripts.chain(decoys).chain(probes).map(|exchange| (exchange.rid, exchange)).collect()
    }

    /// Whether anything in it may keep a request from its expected response.
    pub fn has_faults(&self) -> bool {
        let session = |s: &Session| s.is_touched() || s.exchanges.iter().any(Exchange::is_touched);
        self.drain_at.is_some()
            || self.touches_all()
            || !self.touched_upstreams().is_empty()
            || self.sessions.iter().any(session)
    }

    /// Whether something in it may keep any request at all from its expected response: a fault that cannot be told to be
    /// some requests' only.
    pub fn touches_all(&self) -> bool {
        self.has_tight_limits() || !self.jumps.is_empty()
    }

    /// The names of upstreams whose requests something may keep from their expected response.
    pub fn touched_upstreams(&self) -> BTreeSet<Arc<str>> {
        let sick = |endpoint: &EndpointConfig| match &endpoint.host {
            Host::Address(Address::Inet(address)) => {
                let backend = self.backends.iter().find(|backend| backend.address == *address);
                backend.is_none_or(Backend::is_touched)
            }
            Host::Address(Address::Unix(_)) | Host::Name { .. } => true,
        };
        let tight = |upstream: &UpstreamConfig| {
            upstream.queue_timeout < Duration::from_secs(100)
                || upstream.queue_max < 1000
                || upstream.on_saturation == Saturation::Refuse
        };
        // DATA behind the end of a stream ends the connection (RFC 9113 section 5.1), and with it everybody on it; so do
        // too many fields where it takes too many CONTINUATION frames to say them (section 10.5.1).
        let in_pieces = self.backends.iter().any(|backend| backend.peer.block_max < 16_384);
        let ends_all = |e: &&Exchange| match e.response.mischief {
            Some(ResponseMischief::DataAfterEnd) => true,
            Some(ResponseMischief::TooManyFields) => in_pieces,
            _ => false,
        };
        let exchanges = self.sessions.iter().flat_map(|session| &session.exchanges).filter(ends_all);
        let hit: BTreeSet<_> =
            exchanges.filter_map(|e| Some(Arc::clone(&self.upstream_of(e)?.name))).collect();
        let sick = |u: &UpstreamConfig| tight(u) || hit.contains(&u.name) || u.endpoints.iter().any(sick);
        self.config.upstreams.iter().filter(|u| sick(u)).map(|u| Arc::clone(&u.name)).collect()
    }

    /// The route that serves a request, by the words of its configuration: the first that matches.
    pub fn route_of(&self, exchange: &Exchange) -> Option<&RouteConfig> {
        let RequestPlan { host, path, .. } = &exchange.request;
        self.config.routes.iter().find(|route| {
            let host_fits = match &route.host {
                HostPattern::Any => true,
                HostPattern::Exact(name) => host.eq_ignore_ascii_case(name),
                HostPattern::Below(domain) => {
                    host.to_ascii_lowercase().ends_with(&format!(".{}", domain.to_ascii_lowercase()))
                }
            };
            let path_fits = match &route.path {
                PathPattern::Any => true,
                PathPattern::Exact(whole) => path.as_str() == &**whole,
                PathPattern::Prefix(begin) => path.starts_with(&**begin),
            };
            host_fits && path_fits
        })
    }

    /// The upstream that serves a request.
    pub fn upstream_of(&self, exchange: &Exchange) -> Option<&UpstreamConfig> {
        let route = self.route_of(exchange)?;
        self.config.upstreams.iter().find(|upstream| upstream.name == route.upstream)
    }

    /// Limits that healthy requests may fall to.
    pub(crate) fn has_tight_limits(&self) -> bool {
        let timeouts = &self.config.timeouts;
        let all = [timeouts.response, timeouts.connect, timeouts.preface];
        let more = [timeouts.front_idle, timeouts.write_stall, timeouts.stream_idle];
        let routes = self.config.routes.iter().filter_map(|route| route.timeout);
        all.into_iter().chain(more).chain(routes).any(|timeout| timeout < Duration::from_secs(5))
            || (self.config.max_fronts as usize) < self.sessions.len() + 1
            || self.config.head_ledger_octets < 1 << 20
            || self.config.front.misuse_max.min(self.config.backend.misuse_max) < BUDGET
    }

    /// Whether who stands still may leave no room for the others: few slots, or little memory. They may wait in vain, and nothing else may
    /// happen to them. (An earlier version let it explain everything.)
    pub(crate) fn is_crowded(&self) -> bool {
        let stands = |s: &Session| {
            s.hostile.is_some()
                || s.peer.never_grants()
                || s.exchanges.iter().any(|e| e.response.mischief == Some(ResponseMischief::Stops))
                || self.stands_in_its_own_way(s)
        };
        (self.sessions.iter().any(stands) || self.backends.iter().any(|backend| backend.peer.never_grants()))
            && self.is_narrow()
    }

    /// Whether a client's own uploads that wait may keep from it the one that goes: there is no memory for them, so that they fill the window of
    /// its connection. Then nothing of it goes on before the queue's deadline (seed 30003836).
    pub(crate) fn stands_in_its_own_way(&self, session: &Session) -> bool {
        let content = |s: &Session| s.exchanges.iter().map(|e| e.request.content).sum::<u64>();
        let all = self.sessions.iter().map(content).sum::<u64>();
        self.is_narrow()
            && self.config.upload_ledger_octets < all
            && content(session) >= u64::from(self.config.front.connection_window_size)
    }

    /// Few slots, or little memory.
    fn is_narrow(&self) -> bool {
        let few = |backend: &Backend| {
            let limit =
                |&&(_, id, _): &&(Nanos, u16, u32)| id == crate::refcodec::frame::MAX_CONCURRENT_STREAMS;
            let later = backend.peer.later_settings.iter().filter(limit).map(|(.., value)| *value);
            later.chain(backend.peer.max_concurrent).any(|limit| limit < 100)
        };
        let narrow = |u: &UpstreamConfig| u.share != Scope::Worker || u.on_saturation != Saturation::Dial;
        let window = self.config.backend.initial_window_size.max(65_535);
        // A client's share may be held by its own requests alone.
        let memory = self.config.ledger_octets.min(self.config.ledger_front_octets);
        self.config.backend.max_concurrent_streams_cap < 100
            || memory < (64 << 20).max(64 * u64::from(window))
            || self.config.upstreams.iter().any(narrow)
            || self.backends.iter().any(few)
    }
}

/// The endpoints of a configuration that have an IP address.
pub fn inet_endpoints(config: &Config) -> Vec<SocketAddr> {
    let inet = |endpoint: &EndpointConfig| match &endpoint.host {
        Host::Address(Address::Inet(address)) => Some(*address),
        Host::Address(Address::Unix(_)) | Host::Name { .. } => None,
    };
    config.upstreams.iter().flat_map(|upstream| &upstream.endpoints).filter_map(inet).collect()
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
    /// In this many of 100 quiet moments it breaks the contract: stale ids, events that nobody asked for.
    pub hostile: u8,
    /// Timers come so late at most.
    pub late: Nanos,
    /// In this many of 100 quiet moments it asks for what is not due: timeouts, actions, output.
    pub spurious: u8,
}

impl Default for AdapterPlan {
    fn default() -> Self {
        Self { eager: false, write_max: 1 << 20, read_max: 1 << 20, hostile: 0, late: 0, spurious: 0 }
    }
}

/// One client connection with its requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Names its random choices: who stays keeps its number when others are taken out.
    pub n: usize,
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
    /// From when on, how often and in which way it breaks the protocol.
    pub hostile: Option<(Nanos, u32, ClientMischief)>,
}

/// How a peer goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It closes both directions.
    Close,
    /// It resets the connection.
    Reset,
    /// It finishes its sending direction and goes on reading.
    HalfClose,
}

/// How a client breaks the protocol or strains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientMischief {
    /// Requests, each reset at once (CVE-2023-44487).
    RapidReset,
    /// Frames that make the gateway reset the client's streams (CVE-2025-8671).
    ProvokedResets,
    /// A field block in CONTINUATION frames without end (CVE-2024-27316).
    Continuations,
    /// References to one large entry of the table.
    HeaderBomb,
    /// Many cookie crumbs.
    Crumbs,
    /// PINGs (CVE-2019-9512).
    Pings,
    /// SETTINGS (CVE-2019-9515).
    Settings,
    /// DATA frames without content (CVE-2019-9518).
    EmptyData,
    /// PRIORITY frames (CVE-2019-9513).
    Priorities,
    /// WINDOW_UPDATE beyond 2^31-1 (9113 section 6.9.1).
    WindowOverflow,
    /// SETTINGS_INITIAL_WINDOW_SIZE up and down, below what was used.
    WindowFlapping,
    /// SETTINGS_HEADER_TABLE_SIZE up and down.
    TableFlapping,
    /// Frames of unknown types, unknown settings and unknown flags (9113 section 5.5).
    UnknownFrames,
    /// DATA on a stream that nobody opened.
    IdleStream,
    /// DATA on a stream that is closed.
    ClosedStream,
    /// A request on an even stream.
    EvenStream,
    /// A request on a stream below the newest.
    OldStream,
    /// PUSH_PROMISE, which clients do not send.
    PushPromise,
    /// Padding longer than its frame.
    BadPadding,
    /// Pseudo-header fields that are missing, repeated, misplaced.
    BadPseudo,
    /// Less content than content-length says.
    LengthMismatch,
    /// CR, LF and NUL in field values.
    BadOctets,
    /// A field block that is none.
    BadHpack,
    /// A frame longer than allowed.
    TooLargeFrame,
    /// WINDOW_UPDATE of 0.
    ZeroIncrement,
    /// Settings out of range.
    BadSettings,
    /// Questions whose answers it does not read.
    UnreadAnswers,
    /// Octets that are no HTTP/2.
    NotHttp2,
    /// A frame that never becomes whole.
    HalfFrame,
    /// More content than the window allows.
    WindowExceeded,
    /// A frame between HEADERS and CONTINUATION.
    InterruptedBlock,
    /// Connection-specific fields.
    ConnectionFields,
}

/// One request and the script of its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The request's number, unique in the scenario; `x-rid` on the wire, or in the path.
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
    /// PUT: with content, and idempotent.
    Put,
}

/// What the client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPlan {
    /// The method.
    pub method: Method,
    /// The authority.
    pub host: String,
    /// The path, without the query.
    pub path: String,
    /// Octets of content.
    pub content: u64,
    /// Whether `content-length` is sent.
    pub declare_length: bool,
    /// Whether trailers follow.
    pub trailers: bool,
    /// So many more lines: cookie crumbs, repeated names, lines that must never be indexed.
    pub extras: u8,
    /// Octets of one more line, in the head and in trailers.
    pub bulk: u32,
    /// Whether it says `expect: 100-continue` and waits for an interim response before it sends content.
    pub expect: bool,
    /// Whether nothing but its path tells it from others of its kind.
    pub alike: bool,
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
    /// END_STREAM comes behind the last octet, in a DATA frame of its own.
    pub bare_end: bool,
}

/// A point in the life of a stream, seen by the peer that acts there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The request's head was sent (client) or received (backend).
    RequestHead,
    /// So many octets of the sender's own content were sent.
    Sent(u64),
    /// An interim response was received (client), or all were sent (backend) and the final one was not.
    Interim,
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
    /// From them to the final one.
    pub interim_pause: Nanos,
    /// Whether `content-length` is sent.
    pub declare_length: bool,
    /// Whether trailers follow.
    pub trailers: bool,
    /// Octets of one more line, in each head and in trailers.
    pub bulk: u32,
    /// Whether its head tells it from no other of its kind.
    pub alike: bool,
    /// How content is sent.
    pub pace: Pace,
    /// When and with which code the backend resets the stream.
    pub reset: Option<(Phase, u32)>,
    /// How the backend breaks the protocol on this stream.
    pub mischief: Option<ResponseMischief>,
}

/// How a backend breaks the protocol on one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResponseMischief {
    /// A head without `:status`.
    NoStatus,
    /// A hundred interim responses.
    InterimStorm,
    /// DATA before HEADERS.
    DataFirst,
    /// DATA after END_STREAM.
    DataAfterEnd,
    /// Less content than content-length says.
    TooShort,
    /// More content than content-length says.
    TooLong,
    /// A second field section without END_STREAM.
    TrailersWithoutEnd,
    /// CR and LF in a value.
    BadField,
    /// More fields than the gateway takes.
    TooManyFields,
    /// The response stops for ever after half its content.
    Stops,
    /// A field name in upper case.
    Uppercase,
    /// A connection-specific field.
    ConnectionField,
    /// An interim response with END_STREAM.
    InterimWithEnd,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerPlan {
    /// SETTINGS_INITIAL_WINDOW_SIZE.
    pub initial_window: u32,
    /// An increment for each stream as it is opened, above the initial window.
    pub window_at_open: u32,
    /// An increment for the connection at its begin.
    pub connection_extra: u32,
    /// Credit is given back once this many of 100 octets of a window were used; above 100, never.
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
    /// Settings that are sent so long after the begin: when, which, value. Neighbours of one time share a frame.
    pub later_settings: Vec<(Nanos, u16, u32)>,
    /// PINGs that are sent, one each so often.
    pub pings: Option<(u32, Nanos)>,
}

impl PeerPlan {
    /// Whether it gives no credit back, ever.
    pub fn never_grants(&self) -> bool {
        self.grant_percent > 100
    }
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
#[derive(Clone, Debug, PartialEq)]
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

/// Which stream a backend's GOAWAY names as the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GoAwayLast {
    /// The newest.
    Newest,
    /// The one before the newest.
    Before,
    /// 0: none was processed.
    None,
    /// One that was not opened yet.
    Beyond,
    /// First 2^31-1, then the newest.
    TwoStep,
}

/// What goes wrong with a backend's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendFault {
    /// It refuses the connection.
    Refuse,
    /// The attempt to connect is never answered.
    NoAnswer,
    /// It accepts and is silent for ever.
    Silent,
    /// After so many streams it sends GOAWAY, serves what that covers, and closes.
    GoAway {
        /// Streams.
        after: u32,
        /// What the GOAWAY says.
        last: GoAwayLast,
        /// Its error code.
        code: u32,
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
    /// Its sending direction ends after so many octets, wherever in a frame that is.
    FinAfter(u64),
    /// After so many streams it breaks the protocol.
    Mischief {
        /// Streams.
        after: u32,
        /// How.
        what: BackendMischief,
    },
}

/// How a backend breaks the protocol of a connection or strains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BackendMischief {
    /// Octets that are no HTTP/2.
    NotHttp2,
    /// A field block that is none.
    BadHpack,
    /// PUSH_PROMISE, which the gateway has forbidden.
    PushPromise,
    /// HEADERS on a stream that nobody opened.
    WrongStream,
    /// A frame longer than allowed.
    TooLargeFrame,
    /// WINDOW_UPDATE beyond 2^31-1.
    WindowOverflow,
    /// More content than the connection's window allows.
    WindowExceeded,
    /// Settings out of range.
    BadSettings,
    /// A frame between HEADERS and CONTINUATION.
    InterruptedBlock,
    /// SETTINGS, thousands of them.
    SettingsFlood,
    /// PINGs, thousands of them.
    PingFlood,
    /// Frames of unknown types.
    UnknownFrames,
}

impl ClientMischief {
    /// Whether one act is hundreds of thousands of octets.
    pub fn is_heavy(self) -> bool {
        matches!(self, Self::WindowExceeded | Self::Continuations | Self::HeaderBomb | Self::Crumbs)
    }
}

impl BackendMischief {
    /// Whether it is hundreds of thousands of octets.
    pub fn is_heavy(self) -> bool {
        matches!(self, Self::WindowExceeded | Self::SettingsFlood | Self::PingFlood)
    }

    /// Whether the protocol allows it, so that no request may suffer.
    pub fn is_allowed(self) -> bool {
        matches!(self, Self::UnknownFrames)
    }
}

impl Exchange {
    /// A GET with a response of `octets`.
    pub fn get(rid: u64, octets: u64) -> Self {
        let pace = Pace { frame: 16_384, padding: None, think: 0, bare_end: false };
        Self {
            rid,
            request: RequestPlan {
                method: Method::Get,
                host: "sim.example".to_owned(),
                path: "/r".to_owned(),
                content: 0,
                declare_length: false,
                trailers: false,
                extras: 0,
                bulk: 0,
                expect: false,
                alike: false,
                pace,
                cancel: None,
            },
            response: ResponsePlan {
                status: 200,
                kind: ResponseKind::Source(octets),
                early: false,
                delay: 100 * MICRO,
                interim: 0,
                interim_pause: 0,
                declare_length: true,
                trailers: false,
                bulk: 0,
                alike: false,
                pace,
                reset: None,
                mischief: None,
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

    /// Whether its own script may keep it from the expected response.
    pub fn is_touched(&self) -> bool {
        self.request.cancel.is_some() || self.response.reset.is_some() || self.response.mischief.is_some()
    }
}

impl Session {
    /// A session from the begin with default behaviour.
    pub fn new(exchanges: Vec<Exchange>) -> Self {
        Self {
            n: 0,
            start: 0,
            concurrency: 100,
            patient: true,
            peer: PeerPlan::default(),
            network: [PipePolicy::default(); 2],
            exchanges,
            leave: None,
            hostile: None,
        }
    }

    /// Whether it may take less of a response than it has to in the time for that: it grants few octets at a time, by a pipe that takes few as well (seed
    /// 4444).
    pub fn takes_slowly(&self) -> bool {
        let window = self.peer.initial_window.max(self.peer.window_at_open);
        u64::from(window) * u64::from(self.peer.grant_percent) < 1000 && self.network[0].capacity < 100
    }

    /// Whether it may keep its own requests from their expected responses.
    pub fn is_touched(&self) -> bool {
        let cut = |policy: &PipePolicy| policy.reset_after.is_some() || policy.fin_after.is_some();
        self.leave.is_some()
            || self.hostile.is_some()
            || self.peer.never_grants()
            || self.network.iter().any(cut)
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

    /// Whether it allows no stream at some time.
    pub fn may_allow_nothing(&self) -> bool {
        let nothing = |&(_, id, value): &(Nanos, u16, u32)| {
            id == crate::refcodec::frame::MAX_CONCURRENT_STREAMS && value == 0
        };
        self.peer.max_concurrent == Some(0) || self.peer.later_settings.iter().any(nothing)
    }

    /// Whether it may keep requests from their expected responses.
    pub fn is_touched(&self) -> bool {
        let cut = |policy: &PipePolicy| policy.reset_after.is_some() || policy.fin_after.is_some();
        let fault = self.fault.is_some_and(|(_, fault)| match fault {
            BackendFault::Mischief { what, .. } => !what.is_allowed(),
            _ => true,
        });
        fault || self.peer.never_grants() || self.network.iter().any(cut)
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
            safety: 7200 * SECOND,
            drain: 5 * SECOND,
            drain_at: None,
            jumps: Vec::new(),
        }
    }
}
