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
}

/// What serves one backend key.
#[derive(Debug)]
pub struct Registry {
    config: UpstreamConfig,
    queue: List<Request, Queued>,
    endpoints: Vec<Endpoint>,
    /// Whose turn it is to be dialled.
    next_endpoint: usize,
    /// Dials that failed since the last that did not.
    failed_dials: usize,
    /// A dial failed a moment ago.
    pausing: bool,
}

impl Registry {
    /// No engine, an empty queue.
    pub fn new(config: UpstreamConfig) -> Self {
        let endpoints = config.endpoints.iter().map(|_| Endpoint::default()).collect();
        Self { config, queue: List::default(), endpoints, next_endpoint: 0, failed_dials: 0, pausing: false }
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
        if self.pausing || self.endpoints.iter().any(|endpoint| endpoint.dialling.is_some()) {
            return None;
        }
        let count = self.endpoints.len();
        let max = self.config.max_connections_per_endpoint as usize;
        (0..count)
            .map(|n| (self.next_endpoint + n) % count)
            .filter(|&n| self.endpoints[n].engines.len() < max)
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

    /// The dial led to a connection whose peer has said its limits.
    pub fn established(&mut self, endpoint: usize, conn: ConnId) {
        if let Some(endpoint) = self.endpoints.get_mut(endpoint).filter(|other| other.dialling == Some(conn))
        {
            endpoint.dialling = None;
            self.failed_dials = 0;
        }
    }

    /// An engine is gone or takes nothing new: removed by identity, never by its endpoint (F3). Says whether its dial had
    /// not succeeded yet.
    pub fn deregister(&mut self, endpoint: usize, conn: ConnId) -> bool {
        let Some(endpoint) = self.endpoints.get_mut(endpoint) else { return false };
        endpoint.engines.retain(|&other| other != conn);
        let dialling = endpoint.dialling == Some(conn);
        if dialling {
            endpoint.dialling = None;
            self.failed_dials += 1;
        }
        dialling
    }

    /// A dial failed while other engines go on: wait a little before the next.
    pub fn pause_dialling(&mut self) {
        self.pausing = true;
    }

    /// The pause is over.
    pub fn may_dial_again(&mut self) {
        self.pausing = false;
    }

    /// Whether there is no engine, not even one that connects.
    pub fn is_deserted(&self) -> bool {
        self.endpoints.iter().all(|endpoint| endpoint.engines.is_empty())
    }

    /// Whether every endpoint was tried in vain. Asking starts the next round.
    pub fn all_failed(&mut self) -> bool {
        let failed = self.failed_dials >= self.endpoints.len();
        if failed {
            self.failed_dials = 0;
        }
        failed
    }
}
