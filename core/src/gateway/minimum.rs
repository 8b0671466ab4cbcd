//! Connections that are kept although nobody needs them now: the minimum of each endpoint.

use crate::engine::EnginePhase;
use crate::gateway::conn::Side;
use crate::gateway::{ConnId, Gateway};
use crate::key::EndpointId;
use crate::time::Instant;

impl Gateway {
    /// Orders connections for endpoints that have fewer than they should: to each one at a time.
    pub(super) fn keep_minimum(&mut self, now: Instant) {
        while let Some(upstream) = self.registry.next_short() {
            if self.drain.is_some() {
                continue;
            }
            for key in self.registry.short_endpoints(upstream) {
                if !self.registry.has_spare_place() {
                    self.registry.stay_short(upstream);
                    break;
                }
                self.dial(EndpointId { upstream, key }, None, now);
            }
        }
    }

    /// Whether the endpoint of an idle connection wants to keep it, or requests of its upstream wait: until it allows streams again, or
    /// for memory.
    pub(super) fn is_wanted_idle(&self, conn: ConnId) -> bool {
        let Some(Side::Backend(engine)) = self.conns.get(conn).map(|entry| &entry.side) else { return false };
        let Some(upstream) = self.registry.upstream(engine.endpoint.upstream) else { return false };
        if engine.phase() == EnginePhase::Draining {
            return false;
        }
        if upstream.queued() > 0 {
            return true;
        }
        let endpoint = upstream.endpoint(engine.endpoint.key);
        self.drain.is_none()
            && !upstream.is_retired()
            && endpoint.is_some_and(|of| !of.retired && of.serving() <= upstream.config().connections_min)
    }
}
