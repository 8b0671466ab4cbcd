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
//! Nothing here scans, but for the place of a request among those of its own client that wait (`Lane::place`): an entry for
//! which something has changed is put into the list of ready ones, and what an upstream or the ledger has to give goes to
//! the first that waits for it.

mod endpoint;
mod entry;
mod minimum;
mod places;
mod queue;
mod retry;
mod seats;
mod upstream;

pub(crate) use endpoint::{Endpoint, Means};
pub(crate) use entry::{Entry, FrontLanes, Lane, Ready, Seat, Starved};
pub(crate) use seats::Way;
pub(crate) use upstream::{Rank, Upstream, Wanted};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::UpstreamConfig;
use crate::key::{EndpointId, EntryKey, EntryMarker, LaneMarker, Slab, UpstreamKey, UpstreamMarker};
use crate::list::List;
use crate::request::{Needs, Unserved};

type Asked = BTreeMap<(Arc<str>, u16), Vec<EndpointId>>;

/// All upstreams with what serves them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    upstreams: Slab<Upstream, UpstreamMarker>,
    /// Those that new requests go to, by their names.
    names: BTreeMap<Arc<str>, UpstreamKey>,
    entries: Slab<Entry, EntryMarker>,
    lanes: Slab<Lane, LaneMarker>,
    ready: List<Entry, Ready, EntryMarker>,
    starved: List<Entry, Starved, EntryMarker>,
    /// Upstreams whose endpoints may have fewer connections than they should.
    short: Vec<UpstreamKey>,
    /// Connections to backends that there may be.
    places: places::Places,
    /// Names that were asked for and not answered yet, by port, and for which endpoints.
    asked: Asked,
    /// What happened at upstreams that are gone.
    pub gone: crate::counters::EndpointCounters,
}

impl Registry {
    /// Takes these upstreams in place of those it had. Upstreams that keep name and scope keep what they have; those that
    /// are gone finish what they have: `underway` has the requests of each. What they have counted goes on where the name is there again.
    pub(crate) fn configure(&mut self, configs: &[UpstreamConfig], underway: &BTreeMap<UpstreamKey, usize>) {
        let named: BTreeMap<_, _> = configs.iter().map(|config| (&config.name, config)).collect();
        let keys: Vec<_> = self.upstreams.iter().map(|(key, _)| key).collect();
        for &key in &keys {
            let Some(upstream) = self.upstreams.get_mut(key).filter(|upstream| !upstream.retired) else {
                continue;
            };
            let same_scope = |config: &&&UpstreamConfig| config.share == upstream.config().share;
            match named.get(&upstream.config().name).filter(same_scope) {
                Some(&config) => upstream.reconfigure(config.clone()),
                None => {
                    self.names.remove(&upstream.config().name);
                    upstream.retire(underway.get(&key).copied().unwrap_or(0));
                }
            }
        }
        for config in configs {
            if self.find(&config.name).is_none() {
                let key = self.upstreams.insert(Upstream::new(config.clone()));
                self.names.insert(Arc::clone(&config.name), key);
            }
        }
        // Successors are there now, to take over what was counted.
        keys.into_iter().for_each(|key| self.forget_if_over(key));
        self.ready_all();
        let keys: Vec<_> = self.upstreams.iter().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.look_for_short(key));
    }

    /// Limits may have risen.
    fn ready_all(&mut self) {
        let keys: Vec<_> = self.entries.iter().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.wake(key));
    }

    /// A request of the upstream has ended. Says whether it was the last of one that is retired: its endpoints are then, too.
    #[inline(always)]
    pub(crate) fn request_ended(&mut self, key: UpstreamKey) -> bool {
        let Some(of) = self.upstreams.get_mut(key).filter(|of| of.retired) else { return false };
        let was_last = of.ended();
        if was_last {
            of.retire(0);
            self.forget_if_over(key);
        }
        was_last
    }

    pub(super) fn forget_if_over(&mut self, key: UpstreamKey) {
        self.hand_over(key);
        let Some(upstream) = self.upstreams.get(key).filter(|upstream| upstream.is_over()) else { return };
        if let Some(entry) = upstream.shared {
            self.forget_entry(entry);
        }
        if let Some(upstream) = self.upstreams.remove(key) {
            self.gone.take_over(&upstream.gone);
            let successor = self.find(&upstream.config().name).and_then(|key| self.upstreams.get_mut(key));
            if let Some(successor) = successor {
                successor.counters.merge(&upstream.counters);
            }
        }
    }

    /// Endpoints of one that is retired are gone: if their names are there again, what they have counted goes on. Figures only rise while what they tell
    /// of is served.
    fn hand_over(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.upstreams.get_mut(key).filter(|of| !of.left.is_empty()) else { return };
        let (left, name) = (core::mem::take(&mut upstream.left), Arc::clone(&upstream.config().name));
        let mut successor = self.find(&name).and_then(|key| self.upstreams.get_mut(key));
        for (label, counters) in left {
            match &mut successor {
                Some(successor) => successor.inherit(&label, &counters),
                None => self.gone.take_over(&counters),
            }
        }
    }

    /// The upstream that new requests of this name go to.
    pub(crate) fn find(&self, name: &str) -> Option<UpstreamKey> {
        self.names.get(name).copied()
    }

    /// The endpoint wants to know where its name is. Says whether that is to be asked: several endpoints may have one name, and one answer is for all of
    /// them.
    pub(crate) fn ask(&mut self, name: (Arc<str>, u16), of: EndpointId) -> bool {
        let of_name = self.asked.entry(name).or_default();
        of_name.push(of);
        of_name.len() == 1
    }

    /// There is an answer. Says which endpoints it is for, some of which may be gone.
    pub(crate) fn answered(&mut self, name: &(Arc<str>, u16)) -> Vec<EndpointId> {
        self.asked.remove(name).unwrap_or_default()
    }

    /// All upstreams, those included that are being finished. For snapshots.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = (UpstreamKey, &Upstream)> {
        self.upstreams.iter()
    }

    /// An upstream, unless it is gone.
    pub(crate) fn upstream(&self, key: UpstreamKey) -> Option<&Upstream> {
        self.upstreams.get(key)
    }

    /// An upstream, unless it is gone.
    pub(crate) fn upstream_mut(&mut self, key: UpstreamKey) -> Option<&mut Upstream> {
        self.upstreams.get_mut(key)
    }

    /// An endpoint, unless it is gone.
    pub(crate) fn endpoint(&self, endpoint: EndpointId) -> Option<&Endpoint> {
        self.upstreams.get(endpoint.upstream)?.endpoint(endpoint.key)
    }

    /// An endpoint, unless it is gone.
    pub(crate) fn endpoint_mut(&mut self, endpoint: EndpointId) -> Option<&mut Endpoint> {
        self.upstreams.get_mut(endpoint.upstream)?.endpoint_mut(endpoint.key)
    }

    /// All entries. For snapshots.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (EntryKey, &Entry)> {
        self.entries.iter()
    }

    /// An entry, unless it is gone.
    pub(crate) fn entry(&self, key: EntryKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// How many requests wait, in all queues.
    pub(crate) fn queued(&self) -> usize {
        self.upstreams.iter().map(|(_, upstream)| upstream.queued).sum()
    }
}

/// Who is looked at next.
impl Registry {
    /// Something has changed for the entry: a slot is free, a limit was told, a request came.
    #[inline(always)]
    pub(crate) fn wake(&mut self, entry: EntryKey) {
        let waits = self.entries.get(entry).is_some_and(|entry| entry.queued > 0);
        if waits && self.next_lane(entry, Unserved::default()).is_some() {
            self.ready.push_back(&mut self.entries, entry);
        }
    }

    /// The upstream has something to give to anybody: an idle connection, an endpoint that may be dialled. What it is good for
    /// is not known here, so that of each line the first is looked at.
    pub(crate) fn wake_upstream(&mut self, upstream: UpstreamKey) {
        let Some(of) = self.upstreams.get(upstream) else { return };
        if of.special == 0 {
            return self.wake_first(upstream, Needs::Anything);
        }
        let mut first = Needs::ALL.map(|needs| self.lanes.get(of.lines[needs].front()?));
        first.sort_by_key(|lane| lane.map(|lane| lane.turn_taken));
        for entry in first.into_iter().flatten().map(|lane| lane.entry) {
            self.ready.push_back(&mut self.entries, entry);
        }
    }

    /// How many entries there are.
    pub(crate) fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// The entry has had its turn at what the upstream gives: whether it has used any of it, and what of it waits in vain.
    /// What it did not need may serve the next.
    pub(crate) fn wake_next(&mut self, entry: EntryKey, used: bool, unserved: Unserved) {
        let Some(of) = self.entries.get(entry) else { return };
        if of.front.is_none() {
            // There is nobody else.
            return;
        }
        let (upstream, has_engine) = (of.upstream, !of.seats.is_empty());
        for needs in Needs::ALL {
            if !unserved.has(needs) {
                // What it left alone had been offered to the others, too, unless it was to have it and was gone.
                if used || unserved.is_empty() {
                    self.wake_first(upstream, needs);
                }
            } else if has_engine {
                self.pass_by(entry, upstream, needs);
            }
        }
    }

    /// The entry waits with an engine of its own, which may be why it could not use what there is: a connection that it has
    /// cannot be dialled again. Whoever has none may be able to.
    fn pass_by(&mut self, entry: EntryKey, upstream: UpstreamKey, needs: Needs) {
        let Some(of) = self.upstreams.get(upstream) else { return };
        let own = self.entries.get(entry).and_then(|entry| entry.lanes[needs]);
        let first = own.filter(|_| own == of.lines[needs].front());
        let next = of.without_engine[needs] > 0 && of.offers(needs);
        if let Some(lane) = first.filter(|_| next || needs != Needs::Anything) {
            self.end_turn(lane);
        }
        if next {
            self.wake_first(upstream, needs);
        }
    }

    /// The first in the line is looked at.
    fn wake_first(&mut self, upstream: UpstreamKey, needs: Needs) {
        let first = self.upstreams.get(upstream).and_then(|of| of.lines[needs].front());
        if let Some(lane) = first.and_then(|lane| self.lanes.get(lane)) {
            self.ready.push_back(&mut self.entries, lane.entry);
        }
    }

    /// The ledger has no memory for the entry's next request. Who has got some stands behind the others.
    pub(crate) fn starve(&mut self, entry: EntryKey, has_got: bool) {
        if has_got {
            self.starved.unlink(&mut self.entries, entry);
        }
        self.starved.push_back(&mut self.entries, entry);
    }

    /// It is not for want of memory that the entry waits, if it does: what it was offered is for the next.
    #[inline(always)]
    pub(crate) fn sated(&mut self, entry: EntryKey) {
        if self.starved.unlink(&mut self.entries, entry) {
            self.feed();
        }
    }

    /// The ledger got memory back: the first that waits for it is looked at. It keeps its place until it has got some, so that it does not matter how
    /// often that is said.
    #[inline(always)]
    pub(crate) fn feed(&mut self) {
        if let Some(entry) = self.starved.front() {
            self.ready.push_back(&mut self.entries, entry);
        }
    }

    /// The next entry to look at.
    pub(crate) fn next_ready(&mut self) -> Option<EntryKey> {
        self.ready.pop_front(&mut self.entries)
    }
}
