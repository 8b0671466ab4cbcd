//! One upstream: its endpoints, and which of them is the best for the next request.

use std::sync::Arc;

use crate::config::{Balance, EndpointConfig, Protocol, Scope, UpstreamConfig};
use crate::counters::{EndpointCounters, UpstreamCounters};
use crate::key::{EndpointKey, EndpointMarker, EntryKey, LaneMarker, Slab};
use crate::list::List;
use crate::registry::endpoint::{Endpoint, Means};
use crate::registry::entry::{Lane, Turn};
use crate::registry::retry::RetryBudget;
use crate::request::{ByNeeds, Needs};

/// How an endpoint stands among those of its upstream: the lowest is the best. The second number decides among equals.
pub(crate) type Rank = (u32, usize);

/// What the next request of an entry wants of its endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The endpoint that has failed it: any other is better.
    pub avoid: Option<EndpointKey>,
    /// What it needs.
    pub needs: Needs,
    /// How large its head is, where an endpoint has not taken it.
    pub head: u32,
}

/// An upstream.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    config: UpstreamConfig,
    endpoints: Slab<Endpoint, EndpointMarker>,
    /// In the order of the configuration.
    order: Vec<EndpointKey>,
    /// Balance `round-robin`: whose turn it is.
    turn: usize,
    /// The entry of all clients; none in scope `client`.
    pub(super) shared: Option<EntryKey>,
    /// Lanes with requests, of all entries, in turn.
    pub(super) lines: ByNeeds<List<Lane, Turn, LaneMarker>>,
    /// How many turns were taken.
    pub(super) turns_taken: u64,
    /// How many of the lanes in these lines are for requests that need a backend of a special kind.
    pub(super) special: usize,
    /// In scope `client`: how many of these lanes have no engine at all.
    pub(super) without_engine: ByNeeds<usize>,
    /// Requests in the queues of all entries.
    pub(super) queued: usize,
    /// Retries that it allows.
    pub(super) retries: RetryBudget,
    /// It stands among those whose endpoints may have fewer connections than they should.
    pub(super) short: bool,
    /// It stands among those that wait for a place.
    pub(super) awaits_place: bool,
    /// A new configuration has it no more: what it has is finished.
    pub(super) retired: bool,
    /// Then: its requests that have not ended. Each may come back to be sent again.
    underway: usize,
    /// What happened to its requests.
    pub counters: UpstreamCounters,
    /// What happened at endpoints that are gone.
    pub gone: EndpointCounters,
    /// Once it is retired: likewise, for whoever comes after it under the same name.
    pub(super) left: Vec<(Arc<str>, EndpointCounters)>,
}

impl Upstream {
    pub(super) fn new(config: UpstreamConfig) -> Self {
        let mut upstream = Self {
            endpoints: Slab::default(),
            order: Vec::new(),
            turn: 0,
            shared: None,
            lines: ByNeeds::default(),
            turns_taken: 0,
            special: 0,
            without_engine: ByNeeds::default(),
            queued: 0,
            retries: RetryBudget::default(),
            short: false,
            awaits_place: false,
            retired: false,
            underway: 0,
            counters: UpstreamCounters::default(),
            gone: EndpointCounters::default(),
            left: Vec::new(),
            config,
        };
        let keys =
            upstream.config.endpoints.iter().map(|of| upstream.endpoints.insert(Endpoint::new(of.clone())));
        upstream.order = keys.collect();
        upstream.number_places();
        upstream
    }

    fn number_places(&mut self) {
        for (place, &key) in self.order.iter().enumerate() {
            if let Some(endpoint) = self.endpoints.get_mut(key) {
                endpoint.place = place;
            }
        }
    }

    /// What it was made from.
    pub(crate) fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// A new configuration, of the same scope. Endpoints that it has no more are retired, their connections finish.
    pub(super) fn reconfigure(&mut self, config: UpstreamConfig) {
        let order = config.endpoints.iter().map(|of| match self.find(of) {
            Some(key) => key,
            None => self.endpoints.insert(Endpoint::new(of.clone())),
        });
        let order: Vec<_> = order.collect();
        for key in core::mem::replace(&mut self.order, order) {
            if !self.order.contains(&key) {
                self.retire_endpoint(key);
            }
        }
        self.number_places();
        self.config = config;
        self.turn = 0;
    }

    fn find(&self, config: &EndpointConfig) -> Option<EndpointKey> {
        self.order.iter().copied().find(|&key| self.endpoint(key).is_some_and(|of| of.config == *config))
    }

    fn retire_endpoint(&mut self, key: EndpointKey) {
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        endpoint.retired = true;
        self.remove_if_over(key);
    }

    fn remove_if_over(&mut self, key: EndpointKey) {
        let over = |endpoint: &Endpoint| endpoint.retired && endpoint.connections == 0;
        if self.endpoints.get(key).is_some_and(over)
            && let Some(endpoint) = self.endpoints.remove(key)
        {
            if self.retired {
                self.left.push((endpoint.label, endpoint.counters));
            } else {
                self.inherit(&endpoint.label, &endpoint.counters);
            }
        }
    }

    /// What an endpoint that is gone has counted. One of the same name goes on with it, if there is one.
    pub(super) fn inherit(&mut self, label: &str, counters: &EndpointCounters) {
        let named = |key: &EndpointKey| self.endpoints.get(*key).is_some_and(|of| &*of.label == label);
        let heir = self.order.iter().copied().find(named);
        match heir.and_then(|key| self.endpoints.get_mut(key)) {
            Some(heir) => heir.counters.take_over(counters),
            None => self.gone.take_over(counters),
        }
    }

    /// Nothing new comes. Once its `underway` requests have ended, its endpoints are retired.
    pub(super) fn retire(&mut self, underway: usize) {
        self.retired = true;
        self.underway = underway;
        if underway > 0 {
            return;
        }
        for key in core::mem::take(&mut self.order) {
            self.retire_endpoint(key);
        }
    }

    /// A request of one that is retired has ended. Says whether it was the last.
    pub(super) fn ended(&mut self) -> bool {
        self.underway = self.underway.saturating_sub(1);
        self.underway == 0
    }

    /// Whether nothing is left of it.
    pub(super) fn is_over(&self) -> bool {
        self.retired && self.underway == 0 && self.endpoints.is_empty()
    }

    /// An endpoint, unless it is gone.
    pub(crate) fn endpoint(&self, key: EndpointKey) -> Option<&Endpoint> {
        self.endpoints.get(key)
    }

    /// An endpoint, unless it is gone.
    pub(crate) fn endpoint_mut(&mut self, key: EndpointKey) -> Option<&mut Endpoint> {
        self.endpoints.get_mut(key)
    }

    /// Requests in the queues of all its entries.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Whether a new configuration has it no more.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired
    }

    /// A connection of the endpoint is gone.
    pub(super) fn connection_gone(&mut self, key: EndpointKey, was_draining: bool) {
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        endpoint.connections = endpoint.connections.saturating_sub(1);
        endpoint.draining = endpoint.draining.saturating_sub(u32::from(was_draining));
        endpoint.forget_what_was_offered();
        if endpoint.means == Means::Tried {
            endpoint.means = Means::Doubtful;
        }
        self.remove_if_over(key);
    }

    /// The endpoints in the order of the configuration.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (EndpointKey, &Endpoint)> {
        self.order.iter().filter_map(|&key| Some((key, self.endpoints.get(key)?)))
    }

    /// All endpoints, those included that the configuration has no more. Walks everything: for snapshots.
    pub(crate) fn all_endpoints(&self) -> impl Iterator<Item = (EndpointKey, &Endpoint)> {
        self.endpoints.iter()
    }

    /// How an endpoint stands for the next request. One that has failed it is the last of all.
    pub(crate) fn rank(&self, key: EndpointKey, endpoint: &Endpoint, wanted: Wanted) -> Rank {
        let rank = match self.config.balance {
            Balance::LeastActive => (endpoint.active, endpoint.place),
            Balance::RoundRobin => {
                let count = self.order.len().max(1);
                (((endpoint.place + count - self.turn) % count) as u32, 0)
            }
        };
        if wanted.avoid == Some(key) { (u32::MAX, rank.1) } else { rank }
    }

    /// How an endpoint of this rank stands for the next dial, where so many are under way to it: each is for a request that will be there.
    pub(super) fn rank_of_dial(&self, (load, place): Rank, dialling: u32) -> Rank {
        match self.config.balance {
            Balance::LeastActive => (load.saturating_add(dialling), place),
            Balance::RoundRobin => (dialling, load as usize),
        }
    }

    /// An endpoint's rank for the next request, if it may serve it.
    #[inline(always)]
    pub(crate) fn rank_of(&self, key: EndpointKey, wanted: Wanted) -> Option<Rank> {
        let endpoint = self.endpoint(key).filter(|of| of.serves(wanted.needs, wanted.head))?;
        Some(self.rank(key, endpoint, wanted))
    }

    /// The endpoints that may serve the next request, with their ranks for it.
    pub(super) fn ranked(&self, wanted: Wanted) -> impl Iterator<Item = (Rank, EndpointKey, &Endpoint)> {
        self.endpoints()
            .filter(move |(_, endpoint)| endpoint.serves(wanted.needs, wanted.head))
            .map(move |(key, endpoint)| (self.rank(key, endpoint, wanted), key, endpoint))
    }

    /// Whether it has one endpoint and no other, not even one that is being finished.
    pub(super) fn is_alone(&self) -> bool {
        self.endpoints.len() == 1
    }

    /// A request was given to the endpoint.
    pub(super) fn served_by(&mut self, key: EndpointKey) {
        if self.config.balance == Balance::RoundRobin
            && let Some(place) = self.order.iter().position(|&other| other == key)
        {
            self.turn = (place + 1) % self.order.len();
        }
        if let Some(endpoint) = self.endpoints.get_mut(key) {
            endpoint.active += 1;
        }
    }

    /// How many streams a connection of this upstream carries at most, beside the peer's and the gateway's limits.
    pub(super) fn streams_cap(&self) -> u32 {
        match self.config.share {
            Scope::Client | Scope::Worker => u32::MAX,
            Scope::None => 1,
        }
    }

    /// How many connections the endpoint may have that take requests.
    pub(super) fn connections_max(&self, endpoint: &Endpoint) -> u32 {
        match endpoint.spoken() {
            Protocol::Http2 => self.config.connections_max,
            Protocol::Http1 => self.config.http1_connections_max,
        }
    }

    /// Whether a connection of the endpoint may be replaced before it has ended: streams may last long on one that takes no more. Of those there are
    /// no more than of the others.
    pub(crate) fn has_room_for_successor(&self, endpoint: &Endpoint) -> bool {
        endpoint.spoken() == Protocol::Http1 || endpoint.draining < self.config.connections_max
    }

    /// Whether every endpoint was tried in vain a moment ago.
    pub(super) fn all_rest(&self) -> bool {
        self.endpoints().all(|(_, endpoint)| endpoint.resting)
    }
}
