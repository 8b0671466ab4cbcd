//! What is scarce: once more than half of it is taken, each client may have as much of the rest as is left. So one alone never takes the last
//! quarter, and whoever has nothing finds something as long as there is any.

use core::net::IpAddr;
use std::collections::{BTreeMap, VecDeque};

use crate::gateway::clients::client;
use crate::gateway::conn::Side;
use crate::gateway::{ConnId, Gateway};
use crate::key::UpstreamKey;
use crate::request::RequestKey;

/// What clients have of what is scarce.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd {
    /// Places of those who have any in queues of which more than half is taken, by the upstreams that the queues are of.
    places: BTreeMap<(UpstreamKey, IpAddr), u32>,
    /// Of the ledger, reserved while more than half of it was.
    memory: BTreeMap<IpAddr, Memory>,
}

/// What one client has of the ledger.
#[derive(Clone, Debug, Default)]
struct Memory {
    octets: u64,
    /// Its connections that wait for some of that to be given back.
    waiting: VecDeque<ConnId>,
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
    /// Where it may not, its lanes are [held](Self::hold_lane), until [some is given back](Self::leave_memory).
    pub(super) fn memory_allows(&mut self, front: ConnId, octets: u32) -> bool {
        let left = self.ledger.left();
        // Where there is not even that all starve alike.
        if left < octets.into() {
            return true;
        }
        let Some(client) = client(&self.client_of(front)) else { return true };
        let Some(memory) = self.clients.crowd.memory.get_mut(&client).filter(|memory| memory.octets > left)
        else {
            return true;
        };
        // One that is held stands there already, or is let go by what it gives back itself.
        if matches!(self.conns.get(front).map(|of| &of.side), Some(Side::Front { held: false, .. })) {
            memory.waiting.push_back(front);
        }
        false
    }

    /// A request of the client has reserved so much while more than half of the ledger was.
    pub(super) fn crowd_memory(&mut self, key: RequestKey, octets: u32) {
        let Some(front) = self.requests.get(key).map(|request| request.awaiting.front.conn) else { return };
        let Some(client) = client(&self.client_of(front)) else { return };
        self.clients.crowd.memory.entry(client).or_default().octets += u64::from(octets);
        if let Some(request) = self.requests.get_mut(key) {
            request.awaiting.crowds_memory = octets;
        }
    }

    /// It gives so much of that back: one of its client's connections that wait for it may go on, or all where the client has no more.
    pub(super) fn leave_memory(&mut self, key: RequestKey, octets: u32) {
        let Some(awaiting) = self.requests.get_mut(key).map(|request| &mut request.awaiting) else { return };
        let (octets, front) = (octets.min(awaiting.crowds_memory), awaiting.front.conn);
        awaiting.crowds_memory -= octets;
        if octets == 0 {
            return;
        }
        let Some(client) = client(&self.client_of(front)) else { return };
        let Some(memory) = self.clients.crowd.memory.get_mut(&client) else { return };
        memory.octets = memory.octets.saturating_sub(octets.into());
        let is_all = memory.octets == 0;
        while let Some(next) =
            self.clients.crowd.memory.get_mut(&client).and_then(|of| of.waiting.pop_front())
        {
            if self.release_waiting(next) && !is_all {
                return;
            }
        }
        if is_all {
            self.clients.crowd.memory.remove(&client);
        }
    }

    /// The connection need not wait for memory any more. Says whether it did, and is there.
    pub(super) fn release_waiting(&mut self, front: ConnId) -> bool {
        let Some(Side::Front { held, lanes, .. }) = self.conns.get_mut(front).map(|entry| &mut entry.side)
        else {
            return false;
        };
        let waited = core::mem::take(held);
        if waited {
            self.registry.release(lanes);
        }
        waited
    }
}
