//! An entry of the registry: one queue of frozen requests, and the engines that pull from it.
//!
//! The queue has a lane for each client connection, and one more for those of its requests that need a backend of a special
//! kind. Clients take turns, whoever has asked for more has to wait longer (F44, I3); within a lane the more urgent come
//! first, and of equals the older. Lanes stand in line by what their requests need, so that nobody has to look past those
//! who cannot be served.

use crate::key::{ConnId, EndpointKey, EntryKey, LaneKey, Slab, UpstreamKey};
use crate::list::{Linked, Links, List};
use crate::request::{ByNeeds, Needs, Queued, Request, RequestKey};

/// What serves one backend key: an upstream, and in scope `client` one client connection.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The upstream.
    pub upstream: UpstreamKey,
    /// In scope `client`: whose requests it serves.
    pub front: Option<ConnId>,
    /// In scope `client`: the client's lanes. In the others all lanes of the upstream are its own.
    pub(super) lanes: ByNeeds<Option<LaneKey>>,
    /// Requests in all lanes.
    pub queued: usize,
    /// The engines.
    pub seats: Vec<Seat>,
    ready: Links,
    starved: Links,
}

/// An engine's place in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    /// The engine, by its connection.
    pub conn: ConnId,
    /// The endpoint that it is connected to.
    pub endpoint: EndpointKey,
    /// Its backend's SETTINGS have not come yet. An entry has one such engine for each endpoint, since a limit that is not known cannot be
    /// divided; more where each connection carries one request.
    pub dialling: bool,
    /// They are late, or will be, for the endpoint could not be reached the last time: others are tried beside it.
    pub slow: bool,
}

impl Entry {
    /// An entry without engines and requests.
    pub(crate) fn new(upstream: UpstreamKey, front: Option<ConnId>) -> Self {
        Self {
            upstream,
            front,
            lanes: ByNeeds::default(),
            queued: 0,
            seats: Vec::new(),
            ready: Links::default(),
            starved: Links::default(),
        }
    }

    /// Whether it is of a client that has no engine at all, and waits for what others have.
    pub(super) fn has_no_engine(&self) -> bool {
        self.front.is_some() && self.seats.is_empty()
    }

    /// Whether an engine of this entry is connected, or connecting, to the endpoint.
    pub(crate) fn has_engine_at(&self, endpoint: EndpointKey) -> bool {
        self.seats.iter().any(|seat| seat.endpoint == endpoint)
    }

    /// Engines at the endpoint whose limits are not known yet.
    pub(crate) fn dials_at(&self, endpoint: EndpointKey) -> u32 {
        self.seats.iter().filter(|seat| seat.dialling && seat.endpoint == endpoint).count() as u32
    }

    /// Whether one of them is late.
    pub(super) fn is_slow_at(&self, endpoint: EndpointKey) -> bool {
        self.seats.iter().any(|seat| seat.dialling && seat.slow && seat.endpoint == endpoint)
    }

    /// Engines whose limits are not known yet.
    pub(crate) fn dials(&self) -> usize {
        self.seats.iter().filter(|seat| seat.dialling).count()
    }

    /// Those of them that are not late.
    pub(super) fn prompt_dials(&self) -> usize {
        self.seats.iter().filter(|seat| seat.dialling && !seat.slow).count()
    }
}

/// One client connection's requests in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    /// The queue.
    pub entry: EntryKey,
    /// What all of its requests need.
    pub needs: Needs,
    /// The requests: the more urgent first, of equals the older (RFC 9218 section 10).
    pub requests: List<Request, Queued>,
    /// When it took its turn, as a number: whoever has the lower one is first, whatever it needs.
    pub(super) turn_taken: u64,
    turn: Links,
}

impl Lane {
    /// A lane without requests.
    pub(crate) fn new(entry: EntryKey, needs: Needs) -> Self {
        Self { entry, needs, requests: List::default(), turn_taken: 0, turn: Links::default() }
    }

    /// Whether it stands in line.
    pub(super) const fn takes_turns(&self) -> bool {
        self.turn.is_linked()
    }

    /// Behind whom a request has its place. Mostly that is the last; at most as many are walked past as the client has streams.
    pub(super) fn place(&self, requests: &Slab<Request>, key: RequestKey) -> Option<RequestKey> {
        let rank = |of| requests.get(of).map(|request| (request.awaiting.urgency, request.awaiting.id));
        let own = rank(key);
        let mut after = self.requests.back();
        while let Some(other) = after.filter(|&other| rank(other) > own) {
            after = self.requests.before(requests, other);
        }
        after
    }
}

/// The lanes that a client connection has: for each upstream that it uses one, and one more for each special need.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrontLanes(pub(super) Box<[(UpstreamKey, LaneKey)]>);

/// Names the line of lanes with requests.
#[derive(Debug)]
pub(crate) enum Turn {}

impl Linked<Turn> for Lane {
    fn links(&self) -> &Links {
        &self.turn
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.turn
    }
}

/// Names the list of entries for which something has changed.
#[derive(Debug)]
pub(crate) enum Ready {}

impl Linked<Ready> for Entry {
    fn links(&self) -> &Links {
        &self.ready
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.ready
    }
}

/// Names the list of entries that wait for memory of the ledger.
#[derive(Debug)]
pub(crate) enum Starved {}

impl Linked<Starved> for Entry {
    fn links(&self) -> &Links {
        &self.starved
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.starved
    }
}
