//! The registry: upstreams, and for each backend key one queue of frozen requests with the engines that pull from it.
//!
//! ```text
//!   front --lane--+                        +-- seat: engine, its connection
//!   front --lane--+--> entry (queue) ------+-- seat: engine, its connection
//!   front --lane--+        |
//!                      upstream ---- endpoint: idle connections, health, known limits
//! ```
//!
//! In scope `worker` an upstream has one entry, in scope `client` one for each client connection. An engine that is out of
//! requests leaves its entry in the same step: its connection, with the session alive on it, is idle at its endpoint from
//! then on, and the next engine adopts it, whoever's that is.
//!
//! Nothing here scans: an entry for which something has changed is put into the list of ready ones, and what an upstream
//! or the ledger has to give goes to the first that waits for it.

mod endpoint;
mod entry;
mod upstream;

pub use endpoint::Endpoint;
pub use entry::{Entry, FrontLanes, Lane, Ready, Seat, Starved, Turn, Waiting};
pub use upstream::{Rank, Upstream};

use crate::config::{Saturation, Scope, UpstreamConfig};
use crate::key::{
    ConnId, EndpointKey, EntryKey, EntryMarker, LaneKey, LaneMarker, Slab, UpstreamKey, UpstreamMarker,
};
use crate::list::List;
use crate::request::{Request, RequestKey};

/// All upstreams with what serves them.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    upstreams: Slab<Upstream, UpstreamMarker>,
    entries: Slab<Entry, EntryMarker>,
    lanes: Slab<Lane, LaneMarker>,
    ready: List<Entry, Ready, EntryMarker>,
    starved: List<Entry, Starved, EntryMarker>,
}

/// Where the next request of an entry may go beside the engines that the entry has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Connections are idle at the endpoint: one can be adopted.
    Adopt(EndpointKey),
    /// A connection to the endpoint can be ordered.
    Dial(EndpointKey),
}

impl Registry {
    /// Takes these upstreams in place of those it had. Upstreams that keep name and scope keep what they have; those that
    /// are gone finish what they have.
    pub fn configure(&mut self, configs: &[UpstreamConfig]) {
        let keys: Vec<_> = self.upstreams.iter().map(|(key, _)| key).collect();
        for key in keys {
            let Some(upstream) = self.upstreams.get_mut(key).filter(|upstream| !upstream.retired) else {
                continue;
            };
            let successor = configs.iter().find(|config| {
                config.name == upstream.config().name && config.share == upstream.config().share
            });
            match successor {
                Some(config) => upstream.reconfigure(config.clone()),
                None => upstream.retire(),
            }
            self.forget_if_over(key);
        }
        for config in configs {
            if self.find(&config.name).is_none() {
                self.upstreams.insert(Upstream::new(config.clone()));
            }
        }
        self.ready_all();
    }

    /// Limits may have risen.
    fn ready_all(&mut self) {
        let keys: Vec<_> = self.entries.iter().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.wake(key));
    }

    fn forget_if_over(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.upstreams.get(key).filter(|upstream| upstream.is_over()) else { return };
        if let Some(entry) = upstream.shared {
            self.forget_entry(entry);
        }
        self.upstreams.remove(key);
    }

    /// The upstream that new requests of this name go to.
    pub fn find(&self, name: &str) -> Option<UpstreamKey> {
        let named = |(_, upstream): &(_, &Upstream)| !upstream.retired && &*upstream.config().name == name;
        self.upstreams.iter().find(named).map(|(key, _)| key)
    }

    /// All upstreams, those included that are being finished. For snapshots.
    pub fn upstreams(&self) -> impl Iterator<Item = (UpstreamKey, &Upstream)> {
        self.upstreams.iter()
    }

    /// An upstream, unless it is gone.
    pub fn upstream(&self, key: UpstreamKey) -> Option<&Upstream> {
        self.upstreams.get(key)
    }

    /// An endpoint, unless it is gone.
    pub fn endpoint(&self, upstream: UpstreamKey, endpoint: EndpointKey) -> Option<&Endpoint> {
        self.upstreams.get(upstream)?.endpoint(endpoint)
    }

    /// An endpoint, unless it is gone.
    pub fn endpoint_mut(&mut self, upstream: UpstreamKey, endpoint: EndpointKey) -> Option<&mut Endpoint> {
        self.upstreams.get_mut(upstream)?.endpoint_mut(endpoint)
    }

    /// All entries. For snapshots.
    pub fn entries(&self) -> impl Iterator<Item = (EntryKey, &Entry)> {
        self.entries.iter()
    }

    /// An entry, unless it is gone.
    pub fn entry(&self, key: EntryKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// How many requests wait, in all queues.
    pub fn queued(&self) -> usize {
        self.upstreams.iter().map(|(_, upstream)| upstream.queued).sum()
    }
}

/// The queue.
impl Registry {
    /// Whether one more request of the upstream may wait.
    pub fn has_room(&self, upstream: UpstreamKey) -> bool {
        self.upstreams.get(upstream).is_some_and(|of| of.queued < of.config().queue_max as usize)
    }

    /// A frozen request of this client waits for an engine of the upstream, behind those that came before it. Says its
    /// lane; `None` where the upstream is gone.
    pub fn submit(
        &mut self,
        requests: &mut Slab<Request>,
        key: RequestKey,
        upstream: UpstreamKey,
        front: ConnId,
        lanes: &mut FrontLanes,
    ) -> Option<LaneKey> {
        let lane = self.lane(upstream, front, lanes)?;
        let after = self.lanes.get(lane)?.requests.back();
        self.enqueue(requests, key, lane, after);
        Some(lane)
    }

    /// A request that was live waits again, at the place that it had by its age (B66).
    pub fn resubmit(&mut self, requests: &mut Slab<Request>, key: RequestKey, lane: LaneKey) {
        let Some(list) = self.lanes.get(lane).map(|lane| &lane.requests) else { return };
        let age = |of: RequestKey| requests.get(of).map(|request| request.awaiting.id);
        let own = age(key);
        let mut after = list.back();
        while let Some(other) = after.filter(|&other| age(other) > own) {
            after = list.before(requests, other);
        }
        self.enqueue(requests, key, lane, after);
    }

    fn enqueue(
        &mut self,
        requests: &mut Slab<Request>,
        key: RequestKey,
        at: LaneKey,
        after: Option<RequestKey>,
    ) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        let entry_key = lane.entry;
        lane.requests.insert_after(requests, after, key);
        let Some(entry) = self.entries.get_mut(entry_key) else { return };
        entry.lanes.push_back(&mut self.lanes, at);
        entry.queued += 1;
        let of = entry.upstream;
        if let Some(upstream) = self.upstreams.get_mut(of) {
            upstream.queued += 1;
            upstream.waiting.push_back(&mut self.entries, entry_key);
        }
        self.ready.push_back(&mut self.entries, entry_key);
    }

    /// The client's lane in the upstream's queue.
    fn lane(&mut self, upstream: UpstreamKey, front: ConnId, lanes: &mut FrontLanes) -> Option<LaneKey> {
        let known = lanes.0.iter().find(|(of, _)| *of == upstream).map(|&(_, lane)| lane);
        if let Some(lane) = known.filter(|&lane| self.lanes.get(lane).is_some()) {
            return Some(lane);
        }
        let of = self.upstreams.get_mut(upstream)?;
        let entry = match (of.config().share, of.shared) {
            (Scope::Client, _) => self.entries.insert(Entry::new(upstream, Some(front))),
            (Scope::Worker | Scope::None, Some(entry)) => entry,
            (Scope::Worker | Scope::None, None) => {
                *of.shared.insert(self.entries.insert(Entry::new(upstream, None)))
            }
        };
        let lane = self.lanes.insert(Lane::new(entry));
        lanes.0.retain(|(other, _)| *other != upstream);
        lanes.0.push((upstream, lane));
        Some(lane)
    }

    /// A client is gone: its lanes are. Its requests have been withdrawn. Says which engines, if any, have lost their
    /// entry with it.
    pub fn forget_front(&mut self, lanes: FrontLanes) -> Vec<Seat> {
        let mut orphans = Vec::new();
        for (_, key) in lanes.0 {
            let Some(lane) = self.lanes.remove(key) else { continue };
            if self.entries.get(lane.entry).is_some_and(|entry| entry.front.is_some()) {
                orphans.append(&mut self.forget_entry(lane.entry));
            }
        }
        orphans
    }

    fn forget_entry(&mut self, key: EntryKey) -> Vec<Seat> {
        self.ready.unlink(&mut self.entries, key);
        self.starved.unlink(&mut self.entries, key);
        let upstream = self.entries.get(key).map(|entry| entry.upstream);
        if let Some(upstream) = upstream.and_then(|upstream| self.upstreams.get_mut(upstream)) {
            upstream.waiting.unlink(&mut self.entries, key);
        }
        self.entries.remove(key).map(|entry| entry.seats).unwrap_or_default()
    }

    /// The request that the entry thaws next.
    pub fn next_request(&self, entry: EntryKey) -> Option<RequestKey> {
        let lane = self.entries.get(entry)?.lanes.front()?;
        self.lanes.get(lane)?.requests.front()
    }

    /// The entry that a lane belongs to.
    pub fn entry_of(&self, lane: LaneKey) -> Option<EntryKey> {
        self.lanes.get(lane).map(|lane| lane.entry)
    }

    /// A request of the lane was given to an engine: it is the next client's turn.
    pub fn thawed(&mut self, requests: &mut Slab<Request>, key: RequestKey, lane: LaneKey, by: EndpointKey) {
        self.withdraw(requests, key, lane);
        let Some(entry) = self.entry_of(lane).and_then(|entry| self.entries.get_mut(entry)) else { return };
        if entry.lanes.front() == Some(lane) {
            entry.lanes.rotate(&mut self.lanes);
        }
        if let Some(upstream) = self.upstreams.get_mut(entry.upstream) {
            upstream.served_by(by);
        }
    }

    /// A request waits no longer.
    pub fn withdraw(&mut self, requests: &mut Slab<Request>, key: RequestKey, at: LaneKey) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        let entry_key = lane.entry;
        if !lane.requests.unlink(requests, key) {
            return;
        }
        let is_empty = lane.requests.is_empty();
        let Some(entry) = self.entries.get_mut(entry_key) else { return };
        if is_empty {
            entry.lanes.unlink(&mut self.lanes, at);
        }
        entry.queued -= 1;
        let (of, is_empty) = (entry.upstream, entry.queued == 0);
        let Some(upstream) = self.upstreams.get_mut(of) else { return };
        upstream.queued -= 1;
        if is_empty {
            upstream.waiting.unlink(&mut self.entries, entry_key);
        }
        if upstream.retired && upstream.queued == 0 {
            upstream.retire();
            self.forget_if_over(of);
        }
    }
}

/// Who is looked at next.
impl Registry {
    /// Something has changed for the entry: a slot is free, a limit was told, a request came.
    pub fn wake(&mut self, entry: EntryKey) {
        if self.entries.get(entry).is_some_and(|entry| entry.queued > 0) {
            self.ready.push_back(&mut self.entries, entry);
        }
    }

    /// The upstream has something to give to anybody: an idle connection, an endpoint that may be dialled.
    pub fn wake_upstream(&mut self, upstream: UpstreamKey) {
        if let Some(entry) = self.upstreams.get(upstream).and_then(|of| of.waiting.front()) {
            self.ready.push_back(&mut self.entries, entry);
        }
    }

    /// The entry has had its turn at what the upstream gives, and there is more.
    pub fn wake_next(&mut self, entry: EntryKey) {
        let Some(of) = self.entries.get(entry).map(|entry| entry.upstream) else { return };
        let Some(upstream) = self.upstreams.get_mut(of) else { return };
        if upstream.waiting.front() == Some(entry) {
            upstream.waiting.rotate(&mut self.entries);
        }
        if upstream.waiting.front() != Some(entry) {
            self.wake_upstream(of);
        }
    }

    /// The ledger has no memory for the entry's next request.
    pub fn starve(&mut self, entry: EntryKey) {
        self.starved.push_back(&mut self.entries, entry);
    }

    /// The ledger got memory back: the first that waits for it is looked at.
    pub fn feed(&mut self) {
        if let Some(entry) = self.starved.pop_front(&mut self.entries) {
            self.ready.push_back(&mut self.entries, entry);
        }
    }

    /// The next entry to look at.
    pub fn next_ready(&mut self) -> Option<EntryKey> {
        self.ready.pop_front(&mut self.entries)
    }
}

/// The engines.
impl Registry {
    /// A way to serve the entry's next request that is better than an engine whose endpoint has the rank `best`; any way
    /// where there is none. An endpoint without a connection of this entry is one; an idle connection is adopted before
    /// another is made.
    pub fn better_way(&self, entry: EntryKey, best: Option<Rank>) -> Option<Way> {
        let entry = self.entries.get(entry)?;
        let upstream = self.upstreams.get(entry.upstream)?;
        // Dials that are under way serve requests that wait already.
        let enough_dials = entry.dials() >= entry.queued;
        upstream
            .ranked()
            // Equals stay where a connection is.
            .filter(|(rank, ..)| best.is_none_or(|best| rank.0 < best.0))
            .filter_map(|(rank, key, endpoint)| {
                if !endpoint.idle.is_empty() {
                    return Some((rank, Way::Adopt(key)));
                }
                let may_dial = !endpoint.resting && !enough_dials && !entry.has_engine_at(key);
                (may_dial && has_room(upstream, endpoint)).then_some((rank, Way::Dial(key)))
            })
            .min_by_key(|&(rank, _)| rank)
            .map(|(_, way)| way)
    }

    /// What is left where no engine has a slot and [`better_way`](Self::better_way) found nothing: one more connection to an
    /// endpoint that has some, if the policy dials; or a try in spite of everything, where there is nobody at all.
    pub fn last_resort(&self, entry: EntryKey) -> Option<EndpointKey> {
        let entry = self.entries.get(entry)?;
        let upstream = self.upstreams.get(entry.upstream)?;
        let deserted = entry.seats.is_empty() && upstream.all_rest();
        let dials = upstream.config().on_saturation == Saturation::Dial;
        let enough_dials = entry.dials() >= entry.queued;
        upstream
            .ranked()
            .filter(|(_, _, endpoint)| has_room(upstream, endpoint))
            .filter(|(_, key, endpoint)| {
                let dialling = entry.seats.iter().any(|seat| seat.dialling && seat.endpoint == *key);
                deserted || (dials && !endpoint.resting && !dialling && !enough_dials)
            })
            .min_by_key(|&(rank, ..)| rank)
            .map(|(_, key, _)| key)
    }

    /// Whether the entry's requests wait in vain: no engine, none on its way, and every endpoint was tried a moment ago.
    pub fn is_hopeless(&self, entry: EntryKey) -> bool {
        let Some(entry) = self.entries.get(entry) else { return false };
        let all_rest = |upstream: &Upstream| upstream.all_rest();
        entry.seats.is_empty() && self.upstreams.get(entry.upstream).is_none_or(all_rest)
    }

    /// Whether the entry's requests must not wait: every engine is full, none is on its way, and the policy is to refuse.
    pub fn is_refused(&self, entry: EntryKey) -> bool {
        let Some(entry) = self.entries.get(entry) else { return false };
        let refuses = |of: &Upstream| of.config().on_saturation == Saturation::Refuse;
        !entry.seats.is_empty()
            && entry.dials() == 0
            && self.upstreams.get(entry.upstream).is_some_and(refuses)
    }

    /// An endpoint's rank for the next request.
    pub fn rank(&self, upstream: UpstreamKey, endpoint: EndpointKey) -> Option<Rank> {
        let upstream = self.upstreams.get(upstream)?;
        upstream.endpoint(endpoint).map(|endpoint| upstream.rank(endpoint))
    }

    /// How many streams a connection of the upstream carries at most by its scope.
    pub fn streams_cap(&self, upstream: UpstreamKey) -> u32 {
        self.upstreams.get(upstream).map_or(0, Upstream::streams_cap)
    }

    /// A connection was ordered for an engine of the entry.
    pub fn register(&mut self, entry: EntryKey, endpoint: EndpointKey, conn: ConnId) {
        let Some(entry) = self.entries.get_mut(entry) else { return };
        entry.seats.push(Seat { conn, endpoint, dialling: true });
        if let Some(endpoint) =
            self.upstreams.get_mut(entry.upstream).and_then(|of| of.endpoint_mut(endpoint))
        {
            endpoint.connections += 1;
        }
    }

    /// An idle connection gets an engine of the entry. `None`: the endpoint has none.
    pub fn adopt(&mut self, entry: EntryKey, endpoint: EndpointKey) -> Option<ConnId> {
        let entry = self.entries.get_mut(entry)?;
        let conn = self.upstreams.get_mut(entry.upstream)?.endpoint_mut(endpoint)?.idle.pop()?;
        entry.seats.push(Seat { conn, endpoint, dialling: false });
        Some(conn)
    }

    /// The engine is out of requests: it is deregistered, and its connection is idle from now on, in one step (B31). Says
    /// whether its endpoint still wants the connection.
    pub fn deregister(
        &mut self,
        entry: Option<EntryKey>,
        upstream: UpstreamKey,
        endpoint: EndpointKey,
        conn: ConnId,
    ) -> bool {
        if let Some(entry) = entry {
            self.unseat(entry, conn);
        }
        let Some(endpoint) = self.endpoint_mut(upstream, endpoint).filter(|endpoint| !endpoint.retired)
        else {
            return false;
        };
        endpoint.idle.push(conn);
        self.wake_upstream(upstream);
        true
    }

    /// An engine leaves its entry, by its identity and never by its key (F3). Says whether its backend had not told its
    /// limits yet.
    pub fn unseat(&mut self, entry: EntryKey, conn: ConnId) -> bool {
        let Some(entry) = self.entries.get_mut(entry) else { return false };
        let Some(at) = entry.seats.iter().position(|seat| seat.conn == conn) else { return false };
        entry.seats.swap_remove(at).dialling
    }

    /// An idle connection is idle no longer.
    pub fn leave_idle(&mut self, upstream: UpstreamKey, endpoint: EndpointKey, conn: ConnId) {
        if let Some(endpoint) = self.endpoint_mut(upstream, endpoint) {
            endpoint.idle.retain(|&other| other != conn);
        }
    }

    /// A backend said its limit.
    pub fn limit_told(
        &mut self,
        upstream: UpstreamKey,
        entry: Option<EntryKey>,
        seat: Seat,
        streams_max: Option<u32>,
    ) {
        if let Some(endpoint) = self.endpoint_mut(upstream, seat.endpoint) {
            endpoint.streams_max = Some(streams_max.unwrap_or(u32::MAX));
            if seat.dialling {
                endpoint.succeeded();
            }
        }
        let Some(entry) = entry else { return };
        let seats = self.entries.get_mut(entry).map(|entry| &mut entry.seats);
        if let Some(seat) = seats.and_then(|seats| seats.iter_mut().find(|other| other.conn == seat.conn)) {
            seat.dialling = false;
        }
        self.wake(entry);
    }

    /// A request's stream of the endpoint is gone.
    pub fn stream_over(&mut self, upstream: UpstreamKey, endpoint: EndpointKey) {
        if let Some(endpoint) = self.endpoint_mut(upstream, endpoint) {
            endpoint.active = endpoint.active.saturating_sub(1);
        }
    }

    /// A connection of the endpoint is gone.
    pub fn connection_gone(&mut self, upstream: UpstreamKey, endpoint: EndpointKey) {
        if let Some(of) = self.upstreams.get_mut(upstream) {
            of.connection_gone(endpoint);
        }
        self.wake_upstream(upstream);
        self.forget_if_over(upstream);
    }
}

/// Whether the endpoint may have one more connection, and it is known where it is.
fn has_room(upstream: &Upstream, endpoint: &Endpoint) -> bool {
    endpoint.connections < upstream.config().connections_max && !endpoint.is_unresolved()
}
