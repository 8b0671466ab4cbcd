//! What is scarce: once more than half of it is taken, each client may have as much of the rest as is left. So one alone never takes the last
//! quarter, and whoever has nothing finds something as long as there is any.

use core::net::IpAddr;
use core::ops::Bound;
use std::collections::{BTreeMap, BTreeSet};

use crate::gateway::clients::client;
use crate::gateway::conn::Side;
use crate::gateway::{ConnId, Gateway};
use crate::key::UpstreamKey;
use crate::request::RequestKey;

/// Of the clients that wait for memory so many are looked at each time that some is given back, or as many as may have their first window of that.
const LOOKED_AT: usize = 8;

/// What clients have of what is scarce.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd {
    /// Places of those who have any in queues of which more than half is taken, by the upstreams that the queues are of.
    places: BTreeMap<(UpstreamKey, IpAddr), u32>,
    /// Octets of the ledger, reserved while more than half of it was.
    memory: BTreeMap<IpAddr, u64>,
    /// Clients that wait for memory that they may have. However many connections one has that wait, it has one turn among the others.
    waiting: BTreeMap<IpAddr, Waiting>,
    /// Which of them was looked at last.
    looked_at: Option<IpAddr>,
}

/// Connections of one client that wait for memory: never none.
#[derive(Clone, Debug, Default)]
struct Waiting {
    fronts: BTreeSet<ConnId>,
    /// Which of them had its turn last.
    woken: Option<ConnId>,
}

impl Crowd {
    /// The next of those that wait for memory, in turn.
    fn next_waiting(&mut self) -> Option<IpAddr> {
        let behind = self.looked_at.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.waiting.range((behind, Bound::Unbounded)).next();
        let (&client, _) = next.or_else(|| self.waiting.first_key_value())?;
        self.looked_at = Some(client);
        Some(client)
    }

    /// The connection of the client whose turn it is waits no more.
    fn take_waiting(&mut self, client: IpAddr) -> Option<ConnId> {
        let waiting = self.waiting.get_mut(&client)?;
        let behind = waiting.woken.map_or(Bound::Unbounded, Bound::Excluded);
        let next = waiting.fronts.range((behind, Bound::Unbounded)).next();
        let &front = next.or_else(|| waiting.fronts.first())?;
        waiting.woken = Some(front);
        self.stop_waiting(Some(client), front);
        Some(front)
    }

    /// The connection of this client waits for memory no more.
    pub(super) fn stop_waiting(&mut self, client: Option<IpAddr>, front: ConnId) {
        if let Some(client) = client
            && let Some(waiting) = self.waiting.get_mut(&client)
        {
            waiting.fronts.remove(&front);
            if waiting.fronts.is_empty() {
                self.waiting.remove(&client);
            }
        }
    }
}

/// Places in queues.
impl Gateway {
    /// More than half of the upstream's queue is taken. Says whether the request may wait there all the same.
    pub(super) fn crowd_in(&mut self, key: RequestKey, upstream: UpstreamKey) -> bool {
        let left = self.registry.places_left(upstream);
        let Some(front) = self.requests.get(key).map(|request| request.awaiting.front.conn) else {
            return false;
        };
        let Some(client) = client(&self.client_of(front)) else { return left > 0 };
        let has = self.clients.crowd.places.get(&(upstream, client)).copied().unwrap_or(0);
        if has as usize >= left {
            return false;
        }
        self.clients.crowd.places.insert((upstream, client), has + 1);
        if let Some(request) = self.requests.get_mut(key) {
            request.awaiting.crowds = true;
        }
        true
    }

    /// A request that has such a place waits no longer.
    pub(super) fn leave_crowd(&mut self, key: RequestKey) {
        let Some(request) = self.requests.get_mut(key) else { return };
        request.awaiting.crowds = false;
        let (front, upstream) = (request.awaiting.front.conn, request.awaiting.upstream());
        if let Some(place) = upstream.zip(client(&self.client_of(front)))
            && let Some(places) = self.clients.crowd.places.get_mut(&place)
        {
            *places -= 1;
            if *places == 0 {
                self.clients.crowd.places.remove(&place);
            }
        }
    }
}

/// Memory of the ledger.
impl Gateway {
    /// More than half of the ledger is reserved. Says whether the client of this connection may reserve so much more, with all of its connections.
    /// Where it may not, its lanes are to be [held](Self::hold_lane) until [that changes](Self::wake_crowd).
    pub(super) fn memory_allows(&mut self, front: ConnId, octets: u32) -> bool {
        let left = self.ledger.left();
        // Where there is not even that all starve alike.
        if left < octets.into() {
            return true;
        }
        let Some(client) = client(&self.client_of(front)) else { return true };
        if self.may_have(client) {
            return true;
        }
        self.clients.crowd.waiting.entry(client).or_default().fronts.insert(front);
        false
    }

    /// Whether the client may have some of what is left.
    fn may_have(&self, client: IpAddr) -> bool {
        self.clients.crowd.memory.get(&client).is_none_or(|&octets| octets <= self.ledger.left())
    }

    /// A request of the client has reserved so much while more than half of the ledger was.
    pub(super) fn crowd_memory(&mut self, key: RequestKey, octets: u32) {
        let Some(front) = self.requests.get(key).map(|request| request.awaiting.front.conn) else { return };
        let Some(client) = client(&self.client_of(front)) else { return };
        *self.clients.crowd.memory.entry(client).or_default() += u64::from(octets);
        if let Some(request) = self.requests.get_mut(key) {
            request.awaiting.crowds_memory = octets;
        }
    }

    /// It gives so much of that back.
    pub(super) fn leave_memory(&mut self, key: RequestKey, octets: u32) {
        let Some(awaiting) = self.requests.get_mut(key).map(|request| &mut request.awaiting) else { return };
        let (octets, front) = (octets.min(awaiting.crowds_memory), awaiting.front.conn);
        awaiting.crowds_memory -= octets;
        let Some(client) = client(&self.client_of(front)) else { return };
        let Some(held) = self.clients.crowd.memory.get_mut(&client) else { return };
        *held = held.saturating_sub(octets.into());
        if *held == 0 {
            self.clients.crowd.memory.remove(&client);
        }
    }

    /// So much memory of the ledger is free, whoever's it was. Of the clients that wait for some the next few are looked at, or all connections once half of it is free.
    #[inline]
    pub(super) fn wake_crowd(&mut self, octets: u32) {
        if !self.clients.crowd.waiting.is_empty() {
            self.look_at_waiting(octets);
        }
    }

    #[cold]
    fn look_at_waiting(&mut self, octets: u32) {
        let windows = octets / self.backend_config.initial_window_size.max(1);
        let all = || self.clients.crowd.waiting.values().map(|waiting| waiting.fronts.len()).sum();
        let mut looks = if self.ledger.is_half_taken() { LOOKED_AT.max(windows as usize) } else { all() };
        // Of those that may have none each is looked at once.
        let mut in_vain = 0;
        while looks > 0
            && in_vain < self.clients.crowd.waiting.len()
            && let Some(client) = self.clients.crowd.next_waiting()
        {
            let may_have = self.may_have(client);
            let front = if may_have { self.clients.crowd.take_waiting(client) } else { None };
            in_vain = if front.is_some() { 0 } else { in_vain + 1 };
            // A connection whose requests have gone meanwhile keeps nobody else waiting.
            if front.is_none_or(|front| self.release_waiting(front)) {
                looks -= 1;
            }
        }
    }

    /// The connection need not wait for memory any more. Says whether requests of its did.
    pub(super) fn release_waiting(&mut self, front: ConnId) -> bool {
        let Some(Side::Front { held, lanes, peer, .. }) =
            self.conns.get_mut(front).map(|entry| &mut entry.side)
        else {
            return false;
        };
        self.clients.crowd.stop_waiting(client(peer), front);
        core::mem::take(held) && self.registry.release(lanes)
    }
}
