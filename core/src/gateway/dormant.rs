//! Clients that sleep: a few that were idle last keep the memory that they work with, the others give it back.
//!
//! No deadline is armed: with each client that falls idle one or two of the others are looked at, those first that have been looked at least
//! lately. So a gateway with no more idle clients than may stay awake lets nobody sleep, and one without traffic does nothing.
//! Nobody falls asleep who has just woken: that is dearer than a frame, and no peer is to make us do it for each of its frames.

use std::collections::VecDeque;

use crate::fields::SharedLines;
use crate::gateway::conn::{Conn, Life, Side};
use crate::gateway::{ConnId, Gateway};
use crate::time::{Duration, Instant};

/// How many are looked at for one that falls idle: more than one, or the awake would not become fewer.
const LOOKED_AT: usize = 2;

/// So long nobody sleeps who woke, or fell idle.
const AWAKE_MIN: Duration = Duration::from_millis(100);

/// Who is awake and idle, or was when it was looked at last.
#[derive(Debug, Default)]
pub(super) struct Dormancy {
    pub(super) awake: VecDeque<ConnId>,
    /// The lines that sleepers have in common.
    pub(super) shared: SharedLines,
}

/// What is known of one client's rest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wakefulness {
    /// It stands among those that are looked at.
    listed: bool,
    /// It has been of use since it was put there, or looked at last.
    used: bool,
    /// When it woke, or fell idle last.
    since: Instant,
}

impl Wakefulness {
    pub(super) fn new(now: Instant) -> Self {
        Self { listed: false, used: false, since: now }
    }
}

impl Conn {
    /// Whether nothing has begun that is not over: nothing waits on either side, for anything.
    fn is_at_rest(&self) -> bool {
        let reads =
            !self.paused && !self.read_closed && self.inbox.is_empty() && self.block_deadline.is_none();
        let writes = self.waiting_since.is_some() || self.session.has_output();
        self.established && reads && !writes
    }
}

impl Gateway {
    /// A client has nothing under way. If more are awake than may be, others fall asleep.
    pub(super) fn stays_awake(&mut self, id: ConnId, now: Instant) {
        let Some(entry) = self.conns.get_mut(id).filter(|entry| entry.is_front()) else { return };
        let listed = core::mem::replace(&mut entry.wakefulness.listed, true);
        entry.wakefulness.used = listed;
        entry.wakefulness.since = now;
        if !listed {
            self.dormancy.awake.push_back(id);
        }
        for _ in 0..LOOKED_AT {
            if self.dormancy.awake.len() <= self.config.fronts_awake as usize {
                return;
            }
            self.work.steps(1);
            if let Some(id) = self.dormancy.awake.pop_front() {
                self.consider(id, now);
            }
        }
    }

    /// One that was awake may fall asleep, if it has not been of use meanwhile.
    fn consider(&mut self, id: ConnId, now: Instant) {
        let Some(entry) = self.conns.get_mut(id) else { return };
        // Who has streams comes back with the end of the last.
        entry.wakefulness.listed = entry.life == Life::Open && entry.session.open_streams() == 0;
        if !entry.wakefulness.listed {
            return;
        }
        let fresh = now.saturating_since(entry.wakefulness.since) < AWAKE_MIN;
        if core::mem::take(&mut entry.wakefulness.used) || fresh || !entry.is_at_rest() {
            return self.dormancy.awake.push_back(id);
        }
        entry.wakefulness.listed = false;
        let Side::Front { lanes, .. } = &mut entry.side else { return };
        self.registry.leave_lanes(lanes);
        let spare = entry.session.sleep(&mut self.dormancy.shared);
        let stall = entry.write_deadline.take();
        self.cancel_deadline(stall);
        if let Some(spare) = spare {
            self.keep_section(spare);
            self.age_asleep(id);
        }
    }

    /// Octets have come for a client. If it sleeps it wakes, and stays so for a moment: whoever reads them finds it awake.
    #[inline]
    pub(super) fn rouse(&mut self, id: ConnId, now: Instant) {
        if let Some(entry) = self.conns.get_mut(id).filter(|entry| entry.session.is_asleep()) {
            entry.session.wake();
            self.age_awake(id);
            self.stays_awake(id, now);
        }
    }
}
