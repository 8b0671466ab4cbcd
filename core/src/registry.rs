//! The registry: one queue of frozen requests and the engines that pull from it.

use crate::config::UpstreamConfig;
use crate::key::{ConnId, Slab};
use crate::list::List;
use crate::request::{Queued, Request, RequestKey};

/// An endpoint and the engines that are connected, or connecting, to it.
#[derive(Debug, Default)]
struct Endpoint {
    engines: Vec<ConnId>,
    /// A dial that has not led to the peer's SETTINGS yet: there is one at a time.
    dialling: Option<ConnId>,
    /// Its last dial failed a moment ago.
    resting: bool,
    /// The streams that it allowed at a time when it was last asked: what holds on a new connection until it is told.
    streams_max: Option<u32>,
}

/// What serves one backend key.
#[derive(Debug)]
pub struct Registry {
    config: UpstreamConfig,
    queue: List<Request, Queued>,
    endpoints: Vec<Endpoint>,
    /// Whose turn it is to be dialled.
    next_endpoint: usize,
}

impl Registry {
    /// No engine, an empty queue.
    pub fn new(config: UpstreamConfig) -> Self {
        let endpoints = config.endpoints.iter().map(|_| Endpoint::default()).collect();
        Self { config, queue: List::default(), endpoints, next_endpoint: 0 }
    }

    /// What it was made from.
    pub fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// How many requests wait.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Whether one more request may wait.
    pub fn has_room(&self) -> bool {
        self.queue.len() < self.config.max_queued as usize
    }

    /// A frozen request waits for an engine.
    pub fn submit(&mut self, requests: &mut Slab<Request>, key: RequestKey) {
        self.queue.push_back(requests, key);
    }

    /// A request that was live waits again, in front of those that never were.
    pub fn resubmit(&mut self, requests: &mut Slab<Request>, key: RequestKey) {
        self.queue.push_front(requests, key);
    }

    /// The request that is thawed next.
    pub fn next(&self) -> Option<RequestKey> {
        self.queue.front()
    }

    /// The request that came last.
    pub fn last(&self) -> Option<RequestKey> {
        self.queue.back()
    }

    /// The request before this one in the queue.
    pub fn before(&self, requests: &Slab<Request>, key: RequestKey) -> Option<RequestKey> {
        self.queue.before(requests, key)
    }

    /// A request waits no longer.
    pub fn withdraw(&mut self, requests: &mut Slab<Request>, key: RequestKey) {
        self.queue.unlink(requests, key);
    }

    /// All engines.
    pub fn engines(&self) -> impl Iterator<Item = ConnId> {
        self.endpoints.iter().flat_map(|endpoint| endpoint.engines.iter().copied())
    }

    /// Where to dial next, if another engine is allowed: endpoints take turns, those with fewer engines first, and each
    /// has one dial under way at most (a limit of streams that is not known yet cannot be divided).
    pub fn dial_target(&self) -> Option<usize> {
        if self.endpoints.iter().any(|endpoint| endpoint.dialling.is_some()) {
            return None;
        }
        let count = self.endpoints.len();
        let max = self.config.max_connections_per_endpoint as usize;
        let deserted = self.is_deserted();
        let all_rest = self.endpoints.iter().all(|endpoint| endpoint.resting);
        (0..count)
            .map(|n| (self.next_endpoint + n) % count)
            .filter(|&n| self.endpoints[n].engines.len() < max)
            // A request that finds nobody at all is worth a try all the same.
            .filter(|&n| !self.endpoints[n].resting || (deserted && all_rest))
            .min_by_key(|&n| self.endpoints[n].engines.len())
    }

    /// An engine was ordered for an endpoint that [`dial_target`](Self::dial_target) named.
    pub fn register(&mut self, endpoint: usize, conn: ConnId) {
        self.next_endpoint = (endpoint + 1) % self.endpoints.len();
        if let Some(endpoint) = self.endpoints.get_mut(endpoint) {
            endpoint.engines.push(conn);
            endpoint.dialling = Some(conn);
        }
    }

    /// How many streams a new connection to the endpoint may open before its SETTINGS came: what it allowed before, and
    /// none where nothing is known. A backend that allows few must not be met with many.
    pub fn remembered_streams_max(&self, endpoint: usize) -> u32 {
        self.endpoints.get(endpoint).and_then(|endpoint| endpoint.streams_max).unwrap_or(0)
    }

    /// The peer said its limit.
    pub fn limit_told(&mut self, endpoint: usize, conn: ConnId, streams_max: Option<u32>) {
        let Some(endpoint) = self.endpoints.get_mut(endpoint) else { return };
        endpoint.streams_max = Some(streams_max.unwrap_or(u32::MAX));
        if endpoint.dialling == Some(conn) {
            endpoint.dialling = None;
            endpoint.resting = false;
        }
    }

    /// An engine is gone or takes nothing new: removed by identity, never by its endpoint (F3). Says whether its dial had
    /// not succeeded yet: then the endpoint rests until [`rested`](Self::rested).
    pub fn deregister(&mut self, endpoint: usize, conn: ConnId) -> bool {
        let Some(endpoint) = self.endpoints.get_mut(endpoint) else { return false };
        endpoint.engines.retain(|&other| other != conn);
        let dialling = endpoint.dialling == Some(conn);
        if dialling {
            endpoint.dialling = None;
            endpoint.resting = true;
        }
        dialling
    }

    /// The endpoint may be dialled again.
    pub fn rested(&mut self, endpoint: usize) {
        if let Some(endpoint) = self.endpoints.get_mut(endpoint) {
            endpoint.resting = false;
        }
    }

    /// Whether there is no engine, not even one that connects.
    pub fn is_deserted(&self) -> bool {
        self.endpoints.iter().all(|endpoint| endpoint.engines.is_empty())
    }

    /// Whether every endpoint was tried in vain a moment ago, and none has an engine.
    pub fn all_failed(&self) -> bool {
        self.is_deserted() && self.endpoints.iter().all(|endpoint| endpoint.resting)
    }
}
