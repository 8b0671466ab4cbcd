//! What the monitor of a connection tells others: the account of windows, slots and acknowledgements as it stands.

use super::outbound::STRAIN_MAX;
use super::{Police, Side};
use crate::world::{Nanos, SECOND};

impl Police {
    /// C5: nothing waits for an acknowledgement. Asked when the world is at rest.
    pub fn unacknowledged(&self) -> Option<String> {
        let (settings, pings) = (self.peer_settings.len(), self.peer_pings.len());
        (settings + pings > 0 && self.last_goaway.is_none()).then(|| {
            format!("link {}: {settings} SETTINGS and {pings} PINGs are not acknowledged", self.link)
        })
    }

    /// The connection-level receive window that the gateway leaves open now.
    pub fn receive_window(&self) -> i64 {
        let as_signed = |octets: u64| i64::try_from(octets).expect("no run moves 2^63 octets");
        65_535 + as_signed(self.credited) - as_signed(self.received)
    }

    /// The receive window that the configuration asks for.
    pub fn configured_window(&self) -> i64 {
        65_535 + i64::try_from(self.growth).expect("a window is less than 2^31")
    }

    /// The link, and its account on the connection's level.
    pub fn describe(&self) -> String {
        let (received, credited) = (self.received, self.credited);
        format!("link {} ({:?}), {received} octets received, {credited} credited", self.link, self.side)
    }

    /// Streams on which either side is not done.
    pub fn open_streams(&self) -> usize {
        self.open.len()
    }

    /// Whether it has taken back so many requests lately that it lets its backend breathe.
    fn is_strained(&self, now: Nanos) -> bool {
        let lately = |at: &Nanos| now.saturating_sub(*at) <= 6 * SECOND;
        self.taken_back.len() >= STRAIN_MAX && self.taken_back.front().is_some_and(lately)
    }

    /// Whether the gateway could open one more stream here, of `cap` at most: nothing forbids it, nothing is in the way. (An earlier version did
    /// not know that a backend from which much was taken back is let breathe.)
    pub fn has_free_slot(&self, cap: u32, now: Nanos) -> bool {
        let usable = self.side == Side::Backend
            && self.established
            && !self.is_over()
            && !self.peer_gone
            && !self.paused
            && !self.inbound_broken
            && !self.is_strained(now)
            && self.last_goaway.is_none()
            && !self.peer_goaway_came
            && self.waiting() == 0;
        usable && self.max_concurrent.is_some_and(|limit| self.open.len() < limit.min(cap) as usize)
    }

    /// Whether its backend has said that it allows no stream.
    pub fn allows_nothing(&self) -> bool {
        self.max_concurrent == Some(0)
    }

    /// Whether it counts as an engine's: neither over nor going away.
    pub fn is_engine(&self) -> bool {
        !(self.over
            || self.peer_gone
            || self.peer_goaway_came
            || self.last_goaway.is_some()
            || self.ended_by_gateway)
    }

    /// Whether it had been dialled in vain then, not longer ago than `within`: its peer had not said its SETTINGS when it was over, or when there was no more
    /// time to `connect`.
    pub fn had_failed(&self, then: Nanos, connect: Nanos, within: Nanos) -> bool {
        let failed = match self.retired.filter(|&at| at <= then) {
            Some(at) => then - at <= within,
            None => self.born.saturating_add(connect) <= then,
        };
        failed && !self.established
    }

    /// Whether it was being dialled then: its peer had said nothing (nor has since), and had time.
    pub fn was_dialled(&self, then: Nanos, connect: Nanos) -> bool {
        let there = self.born < then && self.retired.is_none_or(|at| at > then);
        self.side == Side::Backend && !self.established && there && then - self.born < connect
    }

    /// When it was over, or was going to be.
    pub fn retired(&self) -> Option<Nanos> {
        self.retired
    }

    fn ended_lately(&self, now: Nanos) -> bool {
        self.retired.is_some_and(|at| now.saturating_sub(at) <= 60 * SECOND)
    }

    /// Whether it is an end to a connection, in the last minute, after which its endpoint may be let rest.
    pub fn may_rest_its_endpoint(&self, now: Nanos) -> bool {
        self.side == Side::Backend
            && self.ended_lately(now)
            && (!self.established || self.processed_nothing())
    }

    /// The gateway looks at the connection again: what had come before it has only seen now.
    pub fn resumed(&mut self, now: Nanos) {
        self.paused = false;
        self.idle_since = self.idle_since.max(now);
    }

    /// For how long a backend connection has stood without a stream, as the gateway has seen it, if it should give it up some time.
    pub fn idle_for(&self, now: Nanos) -> Option<Nanos> {
        let seen = !self.paused && self.established;
        let idle = self.side == Side::Backend && seen && self.is_engine() && self.open.is_empty();
        (idle && !self.inbound_broken).then(|| now.saturating_sub(self.idle_since))
    }

    /// Whether it is a backend connection that the gateway has given up after it had been idle for so long.
    pub fn was_given_up_after(&self, idle: Nanos) -> bool {
        let for_long = self.retired.is_some_and(|at| at.saturating_sub(self.idle_since) >= idle);
        let stood = self.side == Side::Backend && self.established && self.ended_by_gateway;
        stood && for_long && self.open.is_empty()
    }

    /// The requests on streams that are open.
    pub fn open_requests(&self) -> impl Iterator<Item = u64> {
        self.open.iter().filter_map(|stream| self.streams.get(stream)?.rid)
    }

    /// Whether nothing is in the way of what leaves here.
    pub fn takes_output(&self) -> bool {
        self.waiting() == 0 && !self.over
    }

    /// Whether what came here was looked at, and means what it seems to.
    pub fn is_heard(&self) -> bool {
        !self.paused && !self.inbound_broken
    }

    /// Whether content of a stream could leave now: both windows are open and no output is in front of it.
    pub fn could_send(&self, stream: u32) -> bool {
        let window = self.streams.get(&stream).map_or(0, |entry| entry.window);
        window > 0
            && self.window > 0
            && self.waiting() == 0
            && !self.inbound_broken
            && self.overflowed.is_empty()
    }

    /// A stream (0: the connection) whose window the peer made overflow, and on which nothing came of it.
    pub fn swallowed_overflow(&self) -> Option<u32> {
        let ended = self.over || self.peer_gone || self.last_goaway.is_some() || self.inbound_broken;
        if ended || self.paused || self.overflowed_for_sure.is_empty() {
            return None;
        }
        let open = |stream: u32| stream == 0 || self.open.contains(&stream);
        self.overflowed_for_sure.iter().copied().find(|&stream| open(stream))
    }
}
