//! The queues of frozen requests: how requests get in, in which order they leave, who takes no turns for a while.

use crate::config::Scope;
use crate::key::{ConnId, EndpointId, EndpointKey, EntryKey, LaneKey, LaneMarker, Slab, UpstreamKey};
use crate::registry::{Entry, FrontLanes, Lane, Registry, Seat, Upstream};
use crate::request::{Needs, Request, RequestKey, Unserved};

/// The queue.
impl Registry {
    /// Whether one more request of the upstream may wait, whoever's it is: less than half of the queue is taken.
    pub(crate) fn has_room(&self, upstream: UpstreamKey) -> bool {
        self.upstreams.get(upstream).is_some_and(|of| 2 * of.queued < of.config().queue_max as usize)
    }

    /// How many more requests of the upstream may wait.
    pub(crate) fn places_left(&self, upstream: UpstreamKey) -> usize {
        let left = |of: &Upstream| (of.config().queue_max as usize).saturating_sub(of.queued);
        self.upstreams.get(upstream).map_or(0, left)
    }

    /// A frozen request of this client waits for an engine of the upstream, behind those that came before it and are as
    /// urgent. Says its lane; `None` where the upstream is gone.
    #[inline(always)]
    pub(crate) fn submit(
        &mut self,
        requests: &mut Slab<Request>,
        key: RequestKey,
        upstream: UpstreamKey,
        front: ConnId,
        lanes: &mut FrontLanes,
    ) -> Option<LaneKey> {
        let needs = requests.get(key)?.awaiting.needs;
        let lane = self.lane(upstream, front, needs, lanes)?;
        self.deposit_retry(upstream);
        self.enqueue(requests, key, lane);
        Some(lane)
    }

    /// A request of the lane has another urgency: where it waits, it gets another place.
    pub(crate) fn reorder(&mut self, requests: &mut Slab<Request>, key: RequestKey, at: LaneKey) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        if lane.requests.unlink(requests, key) {
            let after = lane.place(requests, key);
            lane.requests.insert_after(requests, after, key);
        }
    }

    #[inline(always)]
    pub(super) fn enqueue(&mut self, requests: &mut Slab<Request>, key: RequestKey, at: LaneKey) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        let (entry_key, is_in_line) = (lane.entry, lane.takes_turns());
        let after = lane.place(requests, key);
        lane.requests.insert_after(requests, after, key);
        let Some(entry) = self.entries.get_mut(entry_key) else { return };
        entry.queued += 1;
        if let Some(upstream) = self.upstreams.get_mut(entry.upstream) {
            upstream.queued += 1;
            if !is_in_line {
                upstream.get_in_line(&mut self.lanes, at, entry.has_no_engine());
            }
        }
        self.ready.push_back(&mut self.entries, entry_key);
    }

    /// The client's lane in the upstream's queue for requests with these needs.
    #[inline(always)]
    pub(crate) fn lane(
        &mut self,
        upstream: UpstreamKey,
        front: ConnId,
        needs: Needs,
        lanes: &mut FrontLanes,
    ) -> Option<LaneKey> {
        let mut other = None;
        for &(_, key) in lanes.0.iter().filter(|(of, _)| *of == upstream) {
            match self.lanes.get(key) {
                Some(lane) if lane.needs == needs => return Some(key),
                Some(lane) => other = Some(lane.entry),
                None => {}
            }
        }
        let of = self.upstreams.get_mut(upstream)?;
        let entry = match (of.config().share, of.shared) {
            // Lanes of one client share its engines.
            (Scope::Client, _) => match other {
                Some(entry) => entry,
                None => self.entries.insert(Entry::new(upstream, Some(front))),
            },
            (Scope::Worker | Scope::None, Some(entry)) => entry,
            (Scope::Worker | Scope::None, None) => {
                *of.shared.insert(self.entries.insert(Entry::new(upstream, None)))
            }
        };
        let lane = self.lanes.insert(Lane::new(entry, needs));
        if let Some(entry) = self.entries.get_mut(entry).filter(|entry| entry.front.is_some()) {
            entry.lanes[needs] = Some(lane);
        }
        self.leave_upstreams_that_are_gone(lanes);
        // Most clients use one upstream.
        lanes.0 = lanes.0.iter().copied().chain([(upstream, lane)]).collect();
        Some(lane)
    }

    /// What the client had at upstreams that are gone is of no use to anybody. Who stays for long sees many of them go.
    fn leave_upstreams_that_are_gone(&mut self, lanes: &mut FrontLanes) {
        let is_gone = |&(of, _): &(UpstreamKey, LaneKey)| self.upstreams.get(of).is_none();
        if !lanes.0.iter().any(is_gone) {
            return;
        }
        let (gone, kept): (Vec<_>, Vec<_>) = lanes.0.iter().copied().partition(is_gone);
        for (_, key) in gone {
            if let Some(lane) = self.lanes.remove(key) {
                self.forget_entry(lane.entry);
            }
        }
        lanes.0 = kept.into();
    }

    /// A client has nothing under way: of its lanes those go that no engines are kept for. They come again with its next request.
    pub(crate) fn leave_lanes(&mut self, lanes: &mut FrontLanes) {
        self.leave_upstreams_that_are_gone(lanes);
        let stays = |&&(_, key): &&(UpstreamKey, LaneKey)| {
            let Some(lane) = self.lanes.get(key) else { return false };
            let is_kept = self.entries.get(lane.entry).is_some_and(|entry| entry.front.is_some());
            let stays = is_kept || !lane.requests.is_empty() || lane.takes_turns();
            if !stays {
                self.lanes.discard(key);
            }
            stays
        };
        lanes.0 = lanes.0.iter().filter(stays).copied().collect();
    }

    /// A client is gone: its lanes are. Its requests have been withdrawn. Says which engines, if any, have lost their
    /// entry with it.
    pub(crate) fn forget_front(&mut self, lanes: FrontLanes) -> Vec<Seat> {
        let mut orphans = Vec::new();
        for &(_, key) in &lanes.0 {
            self.leave_turn(key);
        }
        for (_, key) in lanes.0 {
            let Some(lane) = self.lanes.remove(key) else { continue };
            if self.entries.get(lane.entry).is_some_and(|entry| entry.front.is_some()) {
                orphans.append(&mut self.forget_entry(lane.entry));
            }
        }
        orphans
    }

    pub(super) fn forget_entry(&mut self, key: EntryKey) -> Vec<Seat> {
        // Who starves has been offered a connection, and would have been the next to be offered memory.
        let was_to_be_served =
            self.ready.unlink(&mut self.entries, key) | self.starved.unlink(&mut self.entries, key);
        let Some(entry) = self.entries.remove(key) else { return Vec::new() };
        // What it was woken for is somebody else's now.
        if was_to_be_served {
            self.wake_upstream(entry.upstream);
            self.feed();
        }
        for seat in &entry.seats {
            self.left_seat(EndpointId { upstream: entry.upstream, key: seat.endpoint });
        }
        entry.seats
    }

    /// The entries of the upstream of which somebody stands in a line.
    pub(crate) fn waiting(&self, upstream: UpstreamKey) -> Vec<EntryKey> {
        let Some(of) = self.upstreams.get(upstream) else { return Vec::new() };
        if let Some(shared) = of.shared {
            return vec![shared];
        }
        let lanes = Needs::ALL.into_iter().flat_map(|needs| of.lines[needs].iter(&self.lanes));
        lanes.filter_map(|lane| self.entry_of(lane)).collect()
    }

    /// The request that the entry thaws next, of those that do not wait in vain, and what all in its lane need.
    pub(crate) fn next_request(&self, entry: EntryKey, unserved: Unserved) -> Option<(RequestKey, Needs)> {
        let lane = self.next_lane(entry, unserved)?;
        Some((lane.requests.front()?, lane.needs))
    }

    /// The lane whose turn it is.
    #[inline(always)]
    pub(super) fn next_lane(&self, entry: EntryKey, unserved: Unserved) -> Option<&Lane> {
        let entry = self.entries.get(entry)?;
        let upstream = self.upstreams.get(entry.upstream)?;
        let first = |needs| {
            let lane = if entry.front.is_some() { entry.lanes[needs] } else { upstream.lines[needs].front() };
            let lane = lane.filter(|_| !unserved.has(needs)).and_then(|lane| self.lanes.get(lane));
            lane.filter(|lane| lane.takes_turns())
        };
        // Mostly nobody needs anything special.
        if upstream.special == 0 {
            return first(Needs::Anything);
        }
        Needs::ALL.into_iter().filter_map(first).min_by_key(|lane| lane.turn_taken)
    }

    /// The entry that a lane belongs to.
    pub(crate) fn entry_of(&self, lane: LaneKey) -> Option<EntryKey> {
        self.lanes.get(lane).map(|lane| lane.entry)
    }

    /// A request of the lane was given to an engine: it is the next client's turn.
    pub(crate) fn thawed(
        &mut self,
        requests: &mut Slab<Request>,
        key: RequestKey,
        lane: LaneKey,
        by: EndpointKey,
    ) {
        let Some((upstream, needs, is_shared)) = self.take_out(requests, key, lane) else { return };
        if let Some(upstream) = self.upstreams.get_mut(upstream) {
            // A client with engines of its own has taken no turn of another's.
            if is_shared {
                upstream.end_turn(&mut self.lanes, lane, needs);
            }
            upstream.served_by(by);
        }
    }

    /// A request waits no longer.
    pub(crate) fn withdraw(&mut self, requests: &mut Slab<Request>, key: RequestKey, at: LaneKey) {
        self.take_out(requests, key, at);
    }

    /// The same. Says whose queue that was, what all in the lane need, and whether its entry is that of all clients.
    #[inline(always)]
    fn take_out(
        &mut self,
        requests: &mut Slab<Request>,
        key: RequestKey,
        at: LaneKey,
    ) -> Option<(UpstreamKey, Needs, bool)> {
        let lane = self.lanes.get_mut(at)?;
        let (needs, entry) = (lane.needs, self.entries.get_mut(lane.entry)?);
        let (of, is_shared) = (entry.upstream, entry.front.is_none());
        if lane.requests.unlink(requests, key) {
            let is_empty = lane.requests.is_empty();
            entry.queued -= 1;
            let upstream = self.upstreams.get_mut(of)?;
            if is_empty {
                upstream.leave_line(&mut self.lanes, at, needs, entry.has_no_engine());
            }
            upstream.queued -= 1;
        }
        Some((of, needs, is_shared))
    }
}

/// Shares: a client that holds as much as it may takes no turns.
impl Registry {
    /// The lane takes no turns until [`release`](Self::release).
    pub(crate) fn hold(&mut self, lane: LaneKey) {
        self.leave_turn(lane);
    }

    /// The client's lanes take turns again. Says whether requests wait in any.
    pub(crate) fn release(&mut self, lanes: &FrontLanes) -> bool {
        let mut waits = false;
        for &(_, key) in &lanes.0 {
            if let Some(lane) = self.lanes.get(key).filter(|lane| !lane.requests.is_empty()) {
                let entry = lane.entry;
                self.take_turn(key, entry);
                waits = true;
            }
        }
        waits
    }

    /// The lane gets in line, and its entry is looked at.
    fn take_turn(&mut self, at: LaneKey, entry_key: EntryKey) {
        let Some(entry) = self.entries.get(entry_key) else { return };
        if let Some(upstream) = self.upstreams.get_mut(entry.upstream) {
            upstream.get_in_line(&mut self.lanes, at, entry.has_no_engine());
        }
        self.ready.push_back(&mut self.entries, entry_key);
    }

    /// It is the turn of those behind the lane.
    pub(super) fn end_turn(&mut self, at: LaneKey) {
        let Some(lane) = self.lanes.get(at) else { return };
        let needs = lane.needs;
        let upstream = self.entries.get(lane.entry).and_then(|entry| self.upstreams.get_mut(entry.upstream));
        if let Some(upstream) = upstream {
            upstream.end_turn(&mut self.lanes, at, needs);
        }
    }

    fn leave_turn(&mut self, at: LaneKey) {
        let Some(lane) = self.lanes.get(at) else { return };
        let needs = lane.needs;
        let Some(entry) = self.entries.get(lane.entry) else { return };
        if let Some(upstream) = self.upstreams.get_mut(entry.upstream) {
            upstream.leave_line(&mut self.lanes, at, needs, entry.has_no_engine());
        }
    }
}

/// The lines of an upstream: who is in one has requests that wait, and takes turns.
impl Upstream {
    /// The lane stands at the end of its line, unless it is in it.
    fn get_in_line(&mut self, lanes: &mut Slab<Lane, LaneMarker>, at: LaneKey, has_no_engine: bool) {
        let Some(lane) = lanes.get_mut(at).filter(|lane| !lane.takes_turns()) else { return };
        let needs = lane.needs;
        self.turns_taken += 1;
        lane.turn_taken = self.turns_taken;
        self.lines[needs].push_back(lanes, at);
        self.special += usize::from(needs != Needs::Anything);
        self.without_engine[needs] += usize::from(has_no_engine);
    }

    /// The lane stands behind all others of its line, if it is in it.
    #[inline(always)]
    fn end_turn(&mut self, lanes: &mut Slab<Lane, LaneMarker>, at: LaneKey, needs: Needs) {
        if self.lines[needs].move_to_back(lanes, at)
            && let Some(lane) = lanes.get_mut(at)
        {
            self.turns_taken += 1;
            lane.turn_taken = self.turns_taken;
        }
    }

    /// The lane stands in its line no more.
    fn leave_line(
        &mut self,
        lanes: &mut Slab<Lane, LaneMarker>,
        at: LaneKey,
        needs: Needs,
        has_no_engine: bool,
    ) {
        if self.lines[needs].unlink(lanes, at) {
            self.special -= usize::from(needs != Needs::Anything);
            self.without_engine[needs] -= usize::from(has_no_engine);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;
    use crate::key::Key;

    proptest! {
        /// Who stands in a line is counted where it has no engine, and stands behind all who took their turn before.
        #[test]
        fn lines_are_in_the_order_of_turns_and_count_who_has_no_engine(
            steps in prop::collection::vec((0..4u8, 0..6usize), 0..100),
        ) {
            let backend = "127.0.0.1:9000".parse::<core::net::SocketAddr>().expect("an address");
            let mut upstream = Upstream::new(Config::new(vec![backend.into()]).upstreams[0].clone());
            let (mut lanes, needs) = (Slab::<Lane, LaneMarker>::default(), Needs::Anything);
            let keys: Vec<_> =
                (0..6).map(|n| lanes.insert(Lane::new(Key::from_bits(n), needs))).collect();
            let has_no_engine = |which: usize| which.is_multiple_of(2);
            let mut line = Vec::new();
            for (step, which) in steps {
                let (key, is_in) = (keys[which], line.contains(&which));
                match step {
                    0 | 1 => upstream.get_in_line(&mut lanes, key, has_no_engine(which)),
                    2 => upstream.end_turn(&mut lanes, key, needs),
                    _ => upstream.leave_line(&mut lanes, key, needs, has_no_engine(which)),
                }
                if step > 1 {
                    line.retain(|&other| other != which);
                }
                if (step < 2 && !is_in) || (step == 2 && is_in) {
                    line.push(which);
                }
                prop_assert!(upstream.lines[needs].iter(&lanes).eq(line.iter().map(|&which| keys[which])));
                let turns: Vec<_> = line.iter().map(|&which| lanes.get(keys[which]).map(|of| of.turn_taken)).collect();
                prop_assert!(turns.is_sorted_by(|one, next| one < next), "{:?}", turns);
                let without = line.iter().filter(|&&which| has_no_engine(which)).count();
                prop_assert_eq!(upstream.without_engine[needs], without);
            }
        }
    }

    /// With each reload an upstream goes that the client has used, and another comes in its place: of those that are gone nothing is kept, though the client
    /// stays.
    #[test]
    fn lanes_and_entries_go_with_their_upstream() {
        let backend = "127.0.0.1:9000".parse::<core::net::SocketAddr>().expect("an address");
        for (share, needs) in [(Scope::Client, 2), (Scope::Worker, 2), (Scope::Client, 1)] {
            let (mut registry, mut lanes) = (Registry::default(), FrontLanes::default());
            let front = Key::from_bits(1);
            let needs = &[Needs::Anything, Needs::Tunnel][..needs];
            let mut config = Config::new(vec![backend.into()]).upstreams.remove(0);
            config.share = share;
            for n in 0..100 {
                config.name = format!("upstream-{n}").into();
                registry.configure(core::slice::from_ref(&config), &Default::default());
                let upstream = registry.find(&config.name).expect("it is there");
                for &needs in needs {
                    registry.lane(upstream, front, needs, &mut lanes).expect("it is there");
                }
                let kept = (registry.entries.len(), registry.lanes.len(), lanes.0.len());
                assert_eq!(kept, (1, needs.len(), needs.len()), "{share:?}");
            }
            config.name = "last".into();
            registry.configure(&[config], &Default::default());
            let (mut awake, there) = (registry.clone(), FrontLanes(lanes.0.clone()));
            awake.forget_front(there);
            assert_eq!((awake.entries.len(), awake.lanes.len()), (0, 0), "the client goes, {share:?}");
            registry.leave_lanes(&mut lanes);
            let kept = (registry.entries.len(), registry.lanes.len(), lanes.0.len());
            assert_eq!(kept, (0, 0, 0), "the client has nothing under way, {share:?}");
        }
    }
}
