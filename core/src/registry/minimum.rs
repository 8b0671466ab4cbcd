//! Endpoints that should have more connections than they have, or fewer.

use std::collections::BTreeMap;

use crate::key::{EndpointId, EndpointKey, UpstreamKey};
use crate::registry::{Endpoint, Registry, Upstream};

impl Registry {
    /// The next upstream whose endpoints may have fewer connections than they should.
    pub(crate) fn next_short(&mut self) -> Option<UpstreamKey> {
        let key = self.short.pop()?;
        if let Some(of) = self.upstreams.get_mut(key) {
            of.short = false;
        }
        Some(key)
    }

    /// The endpoints of the upstream that have fewer connections than they should, and can have one more now.
    pub(crate) fn short_endpoints(&self, upstream: UpstreamKey) -> Vec<EndpointKey> {
        let Some(of) = self.upstreams.get(upstream) else { return Vec::new() };
        let short = |endpoint: &Endpoint| {
            endpoint.serving() < of.config().connections_min && !endpoint.resting && of.has_room(endpoint)
        };
        of.endpoints().filter(|(_, endpoint)| short(endpoint)).map(|(key, _)| key).collect()
    }

    /// Endpoints with more connections that take requests than they may have, and how many more.
    pub(crate) fn surplus(&self) -> BTreeMap<EndpointId, u32> {
        let of = |(of, upstream): (UpstreamKey, &Upstream)| {
            let surplus = |endpoint: &Endpoint| {
                endpoint.serving().checked_sub(upstream.connections_max(endpoint)).filter(|&more| more > 0)
            };
            let endpoints = upstream.endpoints();
            let id = |key| EndpointId { upstream: of, key };
            let found = endpoints.filter_map(|(key, endpoint)| Some((id(key), surplus(endpoint)?)));
            found.collect::<Vec<_>>()
        };
        self.upstreams.iter().flat_map(of).collect()
    }

    /// Something has changed after which endpoints of the upstream may have fewer connections than they should.
    pub(crate) fn look_for_short(&mut self, upstream: UpstreamKey) {
        let wants = |of: &&mut Upstream| of.config().connections_min > 0 && !of.retired;
        if let Some(of) = self.upstreams.get_mut(upstream).filter(wants)
            && !core::mem::replace(&mut of.short, true)
        {
            self.short.push(upstream);
        }
    }

    /// A rest of an endpoint has ended, or what kept it from being dialled: it may be dialled again, for whoever waits and for those that it should have.
    pub(crate) fn rested(&mut self, upstream: UpstreamKey) {
        self.look_for_short(upstream);
        self.wake_upstream(upstream);
    }
}
