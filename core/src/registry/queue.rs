//! The queues of frozen requests: how requests get in, in which order they leave, who takes no turns for a while.

use crate::config::Scope;
use crate::key::{ConnId, EndpointKey, EntryKey, LaneKey, Slab, UpstreamKey};
use crate::registry::{Entry, FrontLanes, Lane, Registry, Seat};
use crate::request::{Needs, Request, RequestKey};

/// The queue.
impl Registry {
    /// Whether one more request of the upstream may wait.
    pub fn has_room(&self, upstream: UpstreamKey) -> bool {
        self.upstreams.get(upstream).is_some_and(|of| of.queued < of.config().queue_max as usize)
    }

    /// A frozen request of this client waits for an engine of the upstream, behind those that came before it and are as
    /// urgent. Says its lane; `None` where the upstream is gone.
    pub fn submit(
        &mut self,
        requests: &mut Slab<Request>,
        key: RequestKey,
        upstream: UpstreamKey,
        front: ConnId,
        lanes: &mut FrontLanes,
    ) -> Option<LaneKey> {
        let lane = self.lane(upstream, front, lanes)?;
        self.deposit_retry(upstream);
        let after = self.lanes.get(lane)?.place(requests, key);
        self.enqueue(requests, key, lane, after);
        Some(lane)
    }

    /// A request of the lane has another urgency: where it waits, it gets another place.
    pub fn reorder(&mut self, requests: &mut Slab<Request>, key: RequestKey, at: LaneKey) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        if lane.requests.unlink(requests, key) {
            let after = lane.place(requests, key);
            lane.requests.insert_after(requests, after, key);
        }
    }

    pub(super) fn enqueue(
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
        entry.queued += 1;
        if let Some(upstream) = self.upstreams.get_mut(entry.upstream) {
            upstream.queued += 1;
        }
        self.take_turn(at, entry_key);
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
        if lanes.0.is_empty() {
            // Most clients use one upstream.
            lanes.0.reserve_exact(1);
        }
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

    pub(super) fn forget_entry(&mut self, key: EntryKey) -> Vec<Seat> {
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

    /// The request that the entry thaws next of those that any backend can serve.
    pub fn next_of_any(&self, requests: &Slab<Request>, entry: EntryKey) -> Option<RequestKey> {
        let lanes = self.entries.get(entry)?.lanes.iter(&self.lanes);
        let waiting =
            lanes.filter_map(|lane| self.lanes.get(lane)).flat_map(|lane| lane.requests.iter(requests));
        let of_any = |request: &Request| request.awaiting.needs == Needs::Anything;
        waiting.into_iter().find(|&key| requests.get(key).is_some_and(of_any))
    }

    /// The entry that a lane belongs to.
    pub fn entry_of(&self, lane: LaneKey) -> Option<EntryKey> {
        self.lanes.get(lane).map(|lane| lane.entry)
    }

    /// A request of the lane was given to an engine: it is the next client's turn.
    pub fn thawed(&mut self, requests: &mut Slab<Request>, key: RequestKey, lane: LaneKey, by: EndpointKey) {
        self.withdraw(requests, key, lane);
        let Some(entry) = self.entry_of(lane).and_then(|entry| self.entries.get_mut(entry)) else { return };
        if entry.lanes.unlink(&mut self.lanes, lane) {
            entry.lanes.push_back(&mut self.lanes, lane);
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
        entry.queued -= 1;
        let of = entry.upstream;
        if is_empty {
            self.leave_turn(at, entry_key);
        }
        let Some(upstream) = self.upstreams.get_mut(of) else { return };
        upstream.queued -= 1;
        if upstream.retired && upstream.queued == 0 {
            upstream.retire();
            self.forget_if_over(of);
        }
    }
}

/// Shares: a client that holds as much as it may takes no turns.
impl Registry {
    /// The lane takes no turns until [`release`](Self::release).
    pub fn hold(&mut self, lane: LaneKey) {
        if let Some(entry) = self.entry_of(lane) {
            self.leave_turn(lane, entry);
        }
    }

    /// The client's lanes take turns again.
    pub fn release(&mut self, lanes: &FrontLanes) {
        for &(_, key) in &lanes.0 {
            if let Some(lane) = self.lanes.get(key).filter(|lane| !lane.requests.is_empty()) {
                let entry = lane.entry;
                self.take_turn(key, entry);
            }
        }
    }

    fn take_turn(&mut self, lane: LaneKey, entry_key: EntryKey) {
        let Some(entry) = self.entries.get_mut(entry_key) else { return };
        entry.lanes.push_back(&mut self.lanes, lane);
        let of = entry.upstream;
        if let Some(upstream) = self.upstreams.get_mut(of) {
            upstream.waiting.push_back(&mut self.entries, entry_key);
        }
        self.ready.push_back(&mut self.entries, entry_key);
    }

    fn leave_turn(&mut self, lane: LaneKey, entry_key: EntryKey) {
        let Some(entry) = self.entries.get_mut(entry_key) else { return };
        entry.lanes.unlink(&mut self.lanes, lane);
        let (of, nobody) = (entry.upstream, entry.lanes.is_empty());
        if nobody && let Some(upstream) = self.upstreams.get_mut(of) {
            upstream.waiting.unlink(&mut self.entries, entry_key);
        }
    }
}
