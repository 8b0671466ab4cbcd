//! Windows that backends are given, and the memory for them: the worker's ledger, with a share for each client.

use crate::counters::Limit;
use crate::gateway::clients::client;
use crate::gateway::conn::Side;
use crate::gateway::{ConnId, Gateway};
use crate::ledger::Reservation;
use crate::request::RequestKey;
use crate::time::{Duration, Instant};

/// Twice the window in so much time is what a wider one may help. Two windows take two round trips at least: where those take longer, as to a backend more than half a
/// second away, windows stay as they were at first. Without this limit, streams that trickle would have the memory of all.
const FAST: Duration = Duration::from_secs(1);

impl Gateway {
    /// Whether the client's requests may reserve so many octets more. Who has nothing may always have one: until a backend has
    /// acknowledged our SETTINGS a window is larger than a share need be, and nothing that is given back would end the wait.
    pub(super) fn share_allows(&self, front: ConnId, octets: u32) -> bool {
        let limit = self.config.ledger_front_octets;
        match self.conns.get(front).map(|entry| &entry.side) {
            Some(Side::Front { reserved, .. }) => {
                *reserved == 0 || reserved.saturating_add(octets.into()) <= limit
            }
            Some(Side::Backend(_)) | None => true,
        }
    }

    /// The client's requests have reserved so many octets more.
    pub(super) fn charge(&mut self, front: ConnId, octets: u32) {
        if let Some(Side::Front { reserved, .. }) = self.conns.get_mut(front).map(|entry| &mut entry.side) {
            *reserved += u64::from(octets);
        }
    }

    /// The client's lanes take no turns until some of what it has reserved is given back.
    pub(super) fn hold_lane(&mut self, front: ConnId, key: RequestKey) {
        let lane = self.requests.get(key).and_then(|request| request.awaiting.lane);
        if let Some(Side::Front { held, .. }) = self.conns.get_mut(front).map(|entry| &mut entry.side)
            && let Some(lane) = lane
        {
            if !core::mem::replace(held, true) {
                self.account.hit(Limit::Share);
            }
            self.registry.hold(lane);
        }
    }

    /// Memory of the ledger is free: the client's own requests may go on, and the first of all that wait for memory is
    /// looked at.
    pub(super) fn give_back(&mut self, front: ConnId, reservation: impl Into<Reservation>) {
        let reservation = reservation.into();
        let octets = reservation.octets();
        if let Some(Side::Front { reserved, held, lanes, peer, .. }) =
            self.conns.get_mut(front).map(|entry| &mut entry.side)
        {
            *reserved = reserved.saturating_sub(reservation.octets().into());
            if core::mem::take(held) {
                self.clients.crowd.stop_waiting(client(peer), front);
                self.registry.release(lanes);
            }
        }
        self.ledger.give_back(reservation);
        self.wake_crowd(octets);
        self.registry.feed();
    }

    /// Content that the client takes as fast as it comes gets a larger window: twice as large each time that twice the
    /// window has passed [soon](FAST) enough, where half of the ledger and half of the client's share have memory for it: the rest is for
    /// requests to come. What limits such a stream is the window, or the backend, which a larger window does not hurt.
    pub(super) fn widen_for_fast_client(&mut self, key: RequestKey, now: Instant) {
        let max = self.backend_config.stream_window_max;
        let Some(live) = self.requests.get_mut(key).and_then(crate::request::Request::live_mut) else {
            return;
        };
        let (conn, stream) = (live.conn(), live.stream());
        let received = live.attempt.response_octets;
        let (since, before) = live.pace;
        let Some(size) = self.conns.get(conn).and_then(|entry| entry.session.recv_window_size(stream)) else {
            return;
        };
        let by = size.min(max.saturating_sub(size));
        // A short response is over before a larger window could help it.
        if by == 0 || received < before + 2 * u64::from(size) {
            return;
        }
        if let Some(live) = self.requests.get_mut(key).and_then(crate::request::Request::live_mut) {
            live.pace = (now, received);
        }
        // What comes slower is not held up by its window, or comes from far away.
        if now.saturating_since(since) > FAST {
            return;
        }
        let Some(front) = self.requests.get(key).map(|request| request.awaiting.front) else { return };
        let waits = self.conns.get(front.conn).is_none_or(|entry| entry.session.queued(front.stream) > 0);
        // Half of the share is for further requests: what a window has grown by comes back with the end of its stream alone.
        let spared = u32::try_from(self.config.ledger_front_octets / 2).unwrap_or(u32::MAX);
        if waits || !self.share_allows(front.conn, by.saturating_add(spared)) {
            return;
        }
        let Some(more) = self.ledger.reserve_of_half(by) else { return };
        self.charge(front.conn, by);
        if let Some(live) = self.requests.get_mut(key).and_then(crate::request::Request::live_mut) {
            live.widen(more);
        }
        if let Some(entry) = self.conns.get_mut(conn) {
            entry.session.widen_recv_window(stream, by);
        }
        self.touch(conn);
    }
}
