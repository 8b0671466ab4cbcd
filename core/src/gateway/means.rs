//! What a connection to a backend takes of the system, where there is not enough of it.

use crate::gateway::Gateway;
use crate::gateway::due::{DeadlineTarget, Kind};
use crate::key::EndpointId;
use crate::registry::Means;
use crate::time::Instant;

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
}
