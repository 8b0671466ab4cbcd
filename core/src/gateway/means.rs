//! What a connection to a backend takes of the system, where there is not enough of it.

use crate::engine::Engine;
use crate::gateway::conn::Side;
use crate::gateway::due::{DeadlineTarget, Kind};
use crate::gateway::{ConnId, Gateway};
use crate::key::EndpointId;
use crate::record::Cause;
use crate::registry::{Means, Upstream};
use crate::session::Session;
use crate::time::Instant;

/// How many deadlines are looked at for one idle connection: most belong to connections that are.
const LOOKED_AT: usize = 16;

impl Gateway {
    /// The system had no descriptor, port or memory for a connection to the endpoint, which has not failed by that: whoever waits for it goes on waiting.
    /// Each other dial would find as little now, and there may be as many as requests wait.
    pub(super) fn lack_means(&mut self, endpoint: EndpointId, now: Instant) {
        let Some(of) = self.registry.endpoint_mut(endpoint) else { return };
        if core::mem::replace(&mut of.means, Means::Wanting) != Means::Wanting {
            let at = now + self.duration(Kind::Means);
            self.deadlines.arm(Kind::Means as u8, at, DeadlineTarget::Means(endpoint));
        }
    }

    /// The system may have it again.
    pub(super) fn try_means(&mut self, endpoint: EndpointId) {
        if let Some(of) = self.registry.endpoint_mut(endpoint) {
            of.means = Means::Doubtful;
        }
        self.registry.rested(endpoint.upstream);
    }

    /// Where all places for connections to backends are taken, one that is idle makes room for a request that needs another. A place that is free goes to the
    /// upstream that has waited longest, and is nobody else's until that was looked at. Says whether there is such a place.
    pub(super) fn offer_place(&mut self, now: Instant) -> bool {
        if self.registry.wants_place() {
            self.make_place(now);
        }
        self.registry.grant_place()
    }

    /// The connection goes that has been idle longest. One whose backend allows no stream for now is what somebody waits for.
    pub(super) fn make_place(&mut self, now: Instant) {
        for _ in 0..LOOKED_AT {
            if !self.registry.wants_place() {
                return;
            }
            let first = self.deadlines.pop_first(Kind::BackendIdle as u8);
            let Some(DeadlineTarget::Conn(id)) = first else { return };
            let Some(entry) = self.conns.get_mut(id) else { continue };
            entry.deadline = None;
            let is_awaited = |engine: &Engine| {
                let queued = self.registry.upstream(engine.endpoint.upstream).map_or(0, Upstream::queued);
                engine.barred && queued > 0
            };
            match &entry.side {
                Side::Backend(engine) if engine.idle && !is_awaited(engine) => self.give_way(id, now),
                // Of streams that came since the last arms the deadline anew.
                _ => self.arm_idle(id, now),
            }
        }
    }

    fn give_way(&mut self, id: ConnId, now: Instant) {
        self.registry.makes_room(id);
        self.retire_engine(id, Cause::Draining, now);
        match self.conns.get(id).map(|entry| &entry.session) {
            // It has no word for it that would have to leave first.
            Some(Session::H1(_)) => self.close_now(id, now),
            _ => self.stream_ended(id, now),
        }
    }
}
