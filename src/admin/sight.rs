//! The snapshots of all workers as one. What a worker has counted stays counted when it has ended: figures of a drain go up, too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use shuntyard_core::counters::{EndpointCounters, Limit, RouteCounters, SideCounters, UpstreamCounters};
use shuntyard_core::gateway::{EndpointState, EngineState, Gateway, Snapshot, UpstreamSnapshot, View};

use crate::admin::About;
use crate::pulse;

/// What was seen of all workers.
pub(super) struct Sight {
    /// When it was begun.
    pub(super) time: SystemTime,
    /// One for each worker that has answered, by its number.
    pub(super) workers: BTreeMap<usize, Snapshot>,
    /// Workers that have neither answered nor ended. What they have counted is told as they told it last.
    pub(super) stuck: BTreeSet<usize>,
    /// Numbers of all workers together.
    pub(super) totals: View,
    pub(super) ledger: (u64, u64),
    pub(super) uploads: (u64, u64),
    pub(super) replays: (u64, u64),
    pub(super) heads: (u64, u64),
    /// By name. Requests without a route have none.
    pub(super) routes: BTreeMap<Option<Arc<str>>, RouteSight>,
    pub(super) upstreams: BTreeMap<Arc<str>, UpstreamSight>,
    pub(super) front: SideCounters,
    /// Connections to all endpoints, those included that are gone.
    pub(super) backend: SideCounters,
    pub(super) limits: [u64; Limit::ALL.len()],
    pub(super) ignored_events: u64,
}

/// A route on all workers.
#[derive(Default)]
pub(super) struct RouteSight {
    pub(super) counters: RouteCounters,
    /// Requests that have not ended.
    pub(super) active: u64,
}

/// An upstream on all workers.
#[derive(Default)]
pub(super) struct UpstreamSight {
    pub(super) queued: u64,
    /// How many may, where the configuration still has it.
    pub(super) queue_max: Option<u64>,
    pub(super) counters: UpstreamCounters,
    /// By what the configuration calls them.
    pub(super) endpoints: BTreeMap<Arc<str>, EndpointSight>,
}

/// An endpoint on all workers.
#[derive(Default)]
pub(super) struct EndpointSight {
    /// How it stands, on each worker that has it.
    pub(super) states: Vec<EndpointState>,
    pub(super) connections: [u64; EngineState::ALL.len()],
    pub(super) active: u64,
    pub(super) streams_max: Option<u32>,
    pub(super) counters: EndpointCounters,
    /// What went wrong last, and how many milliseconds ago.
    pub(super) last_failure: Option<(u64, &'static str)>,
}

impl EndpointSight {
    /// How it stands where it is served: what it was before another configuration may be finished beside it.
    pub(super) fn served(&self) -> impl Iterator<Item = EndpointState> + Clone {
        self.states.iter().copied().filter(|state| *state != EndpointState::Retired)
    }

    /// Whether some worker can use it. `None`: no worker is to, for the configuration has it no more.
    pub(super) fn is_up(&self) -> Option<bool> {
        self.served().next()?;
        Some(self.states.contains(&EndpointState::Ready))
    }
}

/// What each worker told last.
#[derive(Default)]
pub(super) struct Told(Mutex<BTreeMap<usize, Snapshot>>);

impl Told {
    /// What those told last who have ended, or do not answer: all but these. What these tell is kept, without the lists of connections.
    fn of_others(&self, workers: &BTreeMap<usize, Snapshot>) -> Vec<Snapshot> {
        // It is whole after every change.
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (worker, snapshot) in workers {
            // Two may look at the same time.
            if told.get(worker).is_none_or(|before| before.at <= snapshot.at) {
                told.insert(*worker, without_lists(snapshot));
            }
        }
        let others = told.iter().filter(|(worker, _)| !workers.contains_key(worker));
        others.map(|(_, snapshot)| snapshot.clone()).collect()
    }
}

fn without_lists(snapshot: &Snapshot) -> Snapshot {
    let mut kept = Snapshot { fronts: Vec::new(), links: Vec::new(), ..snapshot.clone() };
    let endpoints = kept.upstreams.iter_mut().flat_map(|upstream| &mut upstream.endpoints);
    endpoints.for_each(|endpoint| endpoint.engines = Vec::new());
    kept
}

impl Sight {
    /// Wakes the workers and looks.
    pub(super) fn take(about: &About, connections_max: usize) -> Self {
        let time = SystemTime::now();
        let look = move |gateway: &Gateway, now| gateway.snapshot(connections_max, now);
        let (workers, stuck) = about.handle.inspect_or_stuck(pulse::PATIENCE, look);
        let others = about.told.of_others(&workers);
        Self { time, ..Self::new((workers, stuck), &others) }
    }

    /// Of what these tell, and what others have told last.
    pub(super) fn new(
        (workers, stuck): (BTreeMap<usize, Snapshot>, BTreeSet<usize>),
        others: &[Snapshot],
    ) -> Self {
        let mut sight = Self {
            time: SystemTime::now(),
            workers: BTreeMap::new(),
            stuck,
            totals: View::default(),
            ledger: (0, 0),
            uploads: (0, 0),
            replays: (0, 0),
            heads: (0, 0),
            routes: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            front: SideCounters::default(),
            backend: SideCounters::default(),
            limits: [0; Limit::ALL.len()],
            ignored_events: 0,
        };
        others.iter().for_each(|worker| sight.count(worker));
        for worker in workers.values() {
            sight.count(worker);
            sight.add(worker);
        }
        sight.workers = workers;
        sight
    }

    /// Whether the server is about to end.
    pub(super) fn draining(&self) -> bool {
        let all_ended = self.workers.is_empty() && self.stuck.is_empty();
        all_ended || self.workers.values().any(|worker| worker.draining)
    }

    /// What has happened on a worker.
    fn count(&mut self, worker: &Snapshot) {
        self.routes.entry(None).or_default().counters.merge(&worker.unrouted);
        for route in &worker.routes {
            self.routes.entry(Some(Arc::clone(&route.name))).or_default().counters.merge(&route.counters);
        }
        for upstream in &worker.upstreams {
            self.upstreams.entry(Arc::clone(&upstream.name)).or_default().count(upstream);
        }
        self.front.merge(&worker.front);
        worker.all_endpoints().for_each(|endpoint| self.backend.merge(&endpoint.wire));
        self.limits.iter_mut().zip(worker.limits).for_each(|(limit, hits)| *limit += hits);
        self.ignored_events += worker.ignored_events;
    }

    /// What there is on a worker.
    fn add(&mut self, worker: &Snapshot) {
        self.totals = sum(self.totals, worker.totals);
        self.ledger = (self.ledger.0 + worker.ledger.0, self.ledger.1 + worker.ledger.1);
        self.uploads = (self.uploads.0 + worker.uploads.0, self.uploads.1 + worker.uploads.1);
        self.replays = (self.replays.0 + worker.replays.0, self.replays.1 + worker.replays.1);
        self.heads = (self.heads.0 + worker.heads.0, self.heads.1 + worker.heads.1);
        let routes = worker.routes.iter().map(|route| (Some(Arc::clone(&route.name)), &route.counters));
        for (name, counters) in routes.chain([(None, &worker.unrouted)]) {
            self.routes.entry(name).or_default().active += counters.started.saturating_sub(counters.ends());
        }
        for upstream in &worker.upstreams {
            self.upstreams.entry(Arc::clone(&upstream.name)).or_default().add(upstream, worker);
        }
    }
}

impl UpstreamSight {
    fn count(&mut self, upstream: &UpstreamSnapshot) {
        self.counters.merge(&upstream.counters);
        for endpoint in &upstream.endpoints {
            let sight = self.endpoints.entry(Arc::clone(&endpoint.label)).or_default();
            sight.counters.merge(&endpoint.counters);
        }
    }

    fn add(&mut self, upstream: &UpstreamSnapshot, worker: &Snapshot) {
        self.queued += upstream.queued as u64;
        if !upstream.retired {
            self.queue_max = Some(self.queue_max.unwrap_or_default() + u64::from(upstream.queue_max));
        }
        for endpoint in &upstream.endpoints {
            let sight = self.endpoints.entry(Arc::clone(&endpoint.label)).or_default();
            sight.states.push(if upstream.retired { EndpointState::Retired } else { endpoint.state });
            sight.active += u64::from(endpoint.active);
            sight.streams_max = endpoint.streams_max.or(sight.streams_max);
            sight
                .connections
                .iter_mut()
                .zip(endpoint.engine_states)
                .for_each(|(all, one)| *all += u64::from(one));
            if let Some((age, cause)) = worker.last_failure(endpoint) {
                let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
                if sight.last_failure.is_none_or(|(before, _)| age < before) {
                    sight.last_failure = Some((age, cause.name()));
                }
            }
        }
    }
}

fn sum(a: View, b: View) -> View {
    View {
        fronts: a.fronts + b.fronts,
        asleep: a.asleep + b.asleep,
        backends: a.backends + b.backends,
        engines: a.engines + b.engines,
        requests: a.requests + b.requests,
        frozen: a.frozen + b.frozen,
        live: a.live + b.live,
        finished: a.finished + b.finished,
        queued: a.queued + b.queued,
        buffered_octets: a.buffered_octets + b.buffered_octets,
        reserved_octets: a.reserved_octets + b.reserved_octets,
        head_octets: a.head_octets + b.head_octets,
        deadlines: a.deadlines + b.deadlines,
        credit_lost: a.credit_lost + b.credit_lost,
    }
}
