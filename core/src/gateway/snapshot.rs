//! What there is at a moment, and what happened until then: plain data, for status pages, metrics and tests.
//!
//! A snapshot walks everything; it is for a person who looks, or somebody who asks every few seconds, not for each event.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::address::Address;
use crate::counters::{EndpointCounters, Limit, RouteCounters, SideCounters, Traffic, UpstreamCounters};
use crate::engine::{Engine, EnginePhase};
use crate::gateway::conn::{Conn, Life, Side};
use crate::gateway::{Gateway, View};
use crate::key::{ConnId, EndpointId, UpstreamKey};
use crate::record::Cause;
use crate::registry::{Endpoint, Upstream};
use crate::request::Place;
use crate::time::{Duration, Instant};

/// A gateway at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// When.
    pub at: Instant,
    /// Everything in one number each.
    pub totals: View,
    /// Whether clients are accepted.
    pub accepting: bool,
    /// Whether a drain was ordered.
    pub draining: bool,
    /// Octets promised in windows to backends, and what may be.
    pub ledger: (u64, u64),
    /// Octets kept for clients' content, and what may be.
    pub uploads: (u64, u64),
    /// Octets kept of requests, to be sent again, and what may be.
    pub replays: (u64, u64),
    /// Octets kept for heads and trailers, and what may be.
    pub heads: (u64, u64),
    /// Clients' connections, as many as were asked for.
    pub fronts: Vec<FrontSnapshot>,
    /// Upstreams, with their endpoints and engines.
    pub upstreams: Vec<UpstreamSnapshot>,
    /// Which clients have streams on which engines, among those that are listed.
    pub links: Vec<Link>,
    /// Routes, those included that the configuration has no more.
    pub routes: Vec<RouteSnapshot>,
    /// Requests that no route served.
    pub unrouted: RouteCounters,
    /// Clients' connections, those included that are gone.
    pub front: SideCounters,
    /// What happened at endpoints that are gone with their upstream.
    pub gone: EndpointCounters,
    /// How often somebody ran into a limit, in the order of [`Limit::ALL`].
    pub limits: [u64; Limit::ALL.len()],
    /// Events of the adapter that were ignored.
    pub ignored_events: u64,
}

/// One client's connection.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontSnapshot {
    /// Names it among the connections of its gateway.
    pub id: u64,
    /// The client.
    pub peer: Address,
    /// How long it has stood.
    pub age: Duration,
    /// Streams open.
    pub streams: u32,
    /// Of these: requests that are frozen.
    pub frozen: u32,
    /// It closes.
    pub closing: bool,
    /// Reading is paused, for its output is not taken.
    pub paused: bool,
    /// The connection's window: what we may send, and what it may.
    pub windows: (i32, i32),
    /// Octets buffered.
    pub buffered: u64,
    /// What has passed.
    pub traffic: Traffic,
}

/// One upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// A new configuration has it no more: it finishes what it has.
    pub retired: bool,
    /// Requests that wait for an engine.
    pub queued: usize,
    /// How many may.
    pub queue_max: u32,
    /// Its endpoints.
    pub endpoints: Vec<EndpointSnapshot>,
    /// What happened to its requests.
    pub counters: UpstreamCounters,
    /// What happened at endpoints of it that are gone.
    pub gone: EndpointCounters,
}

/// How an endpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointState {
    /// It is used.
    Ready,
    /// No address is known for its name.
    Unresolved,
    /// Its last dial failed a moment ago.
    Resting,
    /// The configuration has it no more.
    Retired,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointSnapshot {
    /// What the configuration calls it.
    pub label: Arc<str>,
    /// How it stands.
    pub state: EndpointState,
    /// Its connections, those being made included.
    pub connections: u32,
    /// Of these: idle ones.
    pub idle: u32,
    /// Requests on its streams.
    pub active: u32,
    /// The streams that it allows on a connection, once it has said so.
    pub streams_max: Option<u32>,
    /// Its connections by how they stand, in the order of [`EngineState::ALL`].
    pub engine_states: [u32; EngineState::ALL.len()],
    /// Its connections, as many as were asked for.
    pub engines: Vec<EngineSnapshot>,
    /// What happened there, on connections that are gone and on those that are not.
    pub counters: EndpointCounters,
}

/// How an engine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EngineState {
    /// The connection does not stand yet.
    Connecting,
    /// The backend's SETTINGS are awaited.
    Greeting,
    /// It serves.
    Open,
    /// Nobody has requests for it.
    Idle,
    /// It finishes what it has.
    Draining,
}

impl EngineState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Connecting, Self::Greeting, Self::Open, Self::Idle, Self::Draining];

    /// A word for it, in figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Greeting => "greeting",
            Self::Open => "open",
            Self::Idle => "idle",
            Self::Draining => "draining",
        }
    }
}

impl EndpointState {
    /// A word for it, in figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Unresolved => "unresolved",
            Self::Resting => "resting",
            Self::Retired => "retired",
        }
    }
}

/// One backend connection.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineSnapshot {
    /// Its number, as in attempt records.
    pub number: u64,
    /// How it stands.
    pub state: EngineState,
    /// How long it has stood.
    pub age: Duration,
    /// Streams open.
    pub streams: u32,
    /// Streams that could be opened now.
    pub slots: u32,
    /// The connection's window: what we may send, and what it may.
    pub windows: (i32, i32),
    /// Octets buffered.
    pub buffered: u64,
    /// What has passed.
    pub traffic: Traffic,
}

/// A client's streams on an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The client's connection, as in [`FrontSnapshot::id`].
    pub front: u64,
    /// The engine, as in [`EngineSnapshot::number`].
    pub engine: u64,
    /// How many streams.
    pub streams: u32,
}

/// One route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// What happened to its requests.
    pub counters: RouteCounters,
}

impl Gateway {
    /// What there is at `now`. Of clients' connections `connections_max` are listed, and as many of each endpoint's; the
    /// numbers are those of all.
    pub fn snapshot(&self, connections_max: usize, now: Instant) -> Snapshot {
        let mut upstreams: BTreeMap<UpstreamKey, UpstreamSnapshot> =
            self.registry.upstreams().map(|(key, upstream)| (key, upstream_snapshot(upstream))).collect();
        let mut places: BTreeMap<EndpointId, usize> = BTreeMap::new();
        for (key, upstream) in self.registry.upstreams() {
            let endpoints = upstream.all_endpoints().enumerate();
            places.extend(
                endpoints.map(|(place, (endpoint, _))| (EndpointId { upstream: key, key: endpoint }, place)),
            );
        }
        let mut fronts = Vec::new();
        let mut front = self.account.front.clone();
        for (id, conn) in self.conns.iter() {
            match &conn.side {
                Side::Front { peer, .. } => {
                    front.traffic.merge(&conn.session.traffic());
                    if fronts.len() < connections_max {
                        fronts.push(front_snapshot(id, peer, conn, now));
                    }
                }
                Side::Backend(engine) => {
                    let at = places.get(&engine.endpoint);
                    let endpoints = upstreams.get_mut(&engine.endpoint.upstream).map(|of| &mut of.endpoints);
                    let endpoint = endpoints.zip(at).and_then(|(endpoints, &at)| endpoints.get_mut(at));
                    let Some(endpoint) = endpoint else { continue };
                    endpoint.counters.wire.traffic.merge(&conn.session.traffic());
                    let engine = engine_snapshot(engine, conn, now);
                    endpoint.engine_states[engine.state as usize] += 1;
                    if endpoint.engines.len() < connections_max {
                        endpoint.engines.push(engine);
                    }
                }
            }
        }
        let links = self.requests_of(&mut fronts);
        let routes = &self.account.routes;
        let route = |(name, counters): &(Arc<str>, RouteCounters)| RouteSnapshot {
            name: Arc::clone(name),
            counters: counters.clone(),
        };
        Snapshot {
            at: now,
            totals: self.view(),
            accepting: self.accepting,
            draining: self.drain.is_some(),
            ledger: (self.ledger.reserved(), self.config.ledger_octets),
            uploads: (self.uploads.reserved(), self.config.upload_ledger_octets),
            replays: (self.replays.reserved(), self.config.replay_ledger_octets),
            heads: (self.heads.reserved(), self.config.head_ledger_octets),
            links,
            fronts,
            upstreams: upstreams.into_values().collect(),
            routes: routes.iter().map(route).collect(),
            unrouted: self.account.unrouted.clone(),
            front,
            gone: self.registry.gone.clone(),
            limits: self.account.limits,
            ignored_events: self.ignored_events,
        }
    }

    /// Where the requests of these clients are: which are frozen, and which are with an engine. There may be very many clients more, with a pair for
    /// each engine: nobody looks at them where none is listed.
    fn requests_of(&self, fronts: &mut [FrontSnapshot]) -> Vec<Link> {
        if fronts.is_empty() {
            return Vec::new();
        }
        let mut listed: BTreeMap<u64, &mut u32> =
            fronts.iter_mut().map(|front| (front.id, &mut front.frozen)).collect();
        let mut links: BTreeMap<(u64, u64), u32> = BTreeMap::new();
        for (_, request) in self.requests.iter() {
            let front = request.awaiting.front.conn.to_bits();
            let Some(frozen) = listed.get_mut(&front) else { continue };
            match &request.place {
                Place::Frozen(_) => **frozen += 1,
                Place::Live(live) => {
                    if let Some(Side::Backend(engine)) = self.conns.get(live.conn()).map(|conn| &conn.side) {
                        *links.entry((front, engine.number)).or_default() += 1;
                    }
                }
                Place::Finished(_) => {}
            }
        }
        links.into_iter().map(|((front, engine), streams)| Link { front, engine, streams }).collect()
    }
}

fn upstream_snapshot(upstream: &Upstream) -> UpstreamSnapshot {
    UpstreamSnapshot {
        name: Arc::clone(&upstream.config().name),
        retired: upstream.is_retired(),
        queued: upstream.queued(),
        queue_max: upstream.config().queue_max,
        endpoints: upstream.all_endpoints().map(|(_, endpoint)| endpoint_snapshot(endpoint)).collect(),
        counters: upstream.counters.clone(),
        gone: upstream.gone.clone(),
    }
}

fn endpoint_snapshot(endpoint: &Endpoint) -> EndpointSnapshot {
    let state = if endpoint.retired {
        EndpointState::Retired
    } else if endpoint.resting {
        EndpointState::Resting
    } else if endpoint.is_unresolved() {
        EndpointState::Unresolved
    } else {
        EndpointState::Ready
    };
    EndpointSnapshot {
        label: Arc::clone(&endpoint.label),
        state,
        connections: endpoint.connections,
        idle: endpoint.idle.len() as u32,
        active: endpoint.active,
        streams_max: endpoint.streams_max,
        engine_states: [0; EngineState::ALL.len()],
        engines: Vec::new(),
        counters: endpoint.counters.clone(),
    }
}

fn front_snapshot(id: ConnId, peer: &Address, conn: &Conn, now: Instant) -> FrontSnapshot {
    FrontSnapshot {
        id: id.to_bits(),
        peer: peer.clone(),
        age: now.saturating_since(conn.since),
        streams: conn.session.open_streams() as u32,
        frozen: 0,
        closing: matches!(conn.life, Life::Flushing | Life::Lingering),
        paused: conn.paused,
        windows: conn.session.windows(),
        buffered: (conn.inbox.len() + conn.session.buffered()) as u64,
        traffic: conn.session.traffic(),
    }
}

fn engine_snapshot(engine: &Engine, conn: &Conn, now: Instant) -> EngineSnapshot {
    let state = match engine.phase() {
        EnginePhase::Connecting => EngineState::Connecting,
        EnginePhase::Draining => EngineState::Draining,
        EnginePhase::Open if engine.idle => EngineState::Idle,
        EnginePhase::Open if conn.established => EngineState::Open,
        EnginePhase::Open => EngineState::Greeting,
    };
    EngineSnapshot {
        number: engine.number,
        state,
        age: now.saturating_since(conn.since),
        streams: conn.session.open_streams() as u32,
        slots: engine.free_slots(&conn.session),
        windows: conn.session.windows(),
        buffered: (conn.inbox.len() + conn.session.buffered()) as u64,
        traffic: conn.session.traffic(),
    }
}

impl Snapshot {
    /// Requests accepted.
    pub fn started(&self) -> u64 {
        self.all_routes().map(|route| route.started).sum()
    }

    /// Requests that have ended.
    pub fn ended(&self) -> u64 {
        self.all_routes().map(RouteCounters::ends).sum()
    }

    /// The counters of all routes, and of requests without one.
    pub fn all_routes(&self) -> impl Iterator<Item = &RouteCounters> {
        self.routes.iter().map(|route| &route.counters).chain([&self.unrouted])
    }

    /// The counters of all endpoints, and of those that are gone.
    pub fn all_endpoints(&self) -> impl Iterator<Item = &EndpointCounters> {
        self.upstreams
            .iter()
            .flat_map(|of| of.endpoints.iter().map(|endpoint| &endpoint.counters).chain([&of.gone]))
            .chain([&self.gone])
    }

    /// What went wrong last at an endpoint, how long ago.
    pub fn last_failure(&self, endpoint: &EndpointSnapshot) -> Option<(Duration, Cause)> {
        endpoint.counters.last_failure.map(|(at, cause)| (self.at.saturating_since(at), cause))
    }
}
