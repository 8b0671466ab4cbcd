//! Endpoints that should have more connections than they have.

use crate::key::{EndpointKey, UpstreamKey};
use crate::registry::{Endpoint, Registry, Upstream};

impl Registry {
    /// The next upstream whose endpoints may have fewer connections than they should.
    pub(crate) fn next_short(&mut self) -> Option<UpstreamKey> {
        self.short.pop()
    }

    /// The endpoints of the upstream that have fewer connections than they should, and can have one more now.
    pub(crate) fn short_endpoints(&self, upstream: UpstreamKey) -> Vec<EndpointKey> {
        let Some(of) = self.upstreams.get(upstream) else { return Vec::new() };
        let short = |endpoint: &Endpoint| {
            endpoint.serving() < of.config().connections_min && !endpoint.resting && of.has_room(endpoint)
        };
        of.endpoints().filter(|(_, endpoint)| short(endpoint)).map(|(key, _)| key).collect()
    }

    /// Something has changed after which endpoints of the upstream may have fewer connections than they should.
    pub(crate) fn look_for_short(&mut self, upstream: UpstreamKey) {
        let wants = |of: &Upstream| of.config().connections_min > 0 && !of.retired;
        if self.upstreams.get(upstream).is_some_and(wants) && !self.short.contains(&upstream) {
            self.short.push(upstream);
        }
    }
}
