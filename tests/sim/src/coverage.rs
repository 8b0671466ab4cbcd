//! Which features a scenario has, and which of them came together: a pair that never did is a gap of the generator.

use std::collections::BTreeMap;

use shuntyard_core::config::{Balance, Saturation, Scope};

use crate::cut::Segmentation;
use crate::net::PipePolicy;
use crate::refcodec::hpack::Indexing;
use crate::scenario::{BackendFault, Exchange, Leave, Method, PeerPlan, ResponseKind, Scenario};

macro_rules! features {
    ($($feature:ident => $holds:expr),* $(,)?) => {
        /// Something that a scenario has or has not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum Feature { $($feature),* }

        /// All of them, with how to tell.
        const FEATURES: &[(Feature, fn(&Scenario) -> bool)] = &[$((Feature::$feature, $holds)),*];
    };
}

features! {
    ManySessions => |s| s.sessions.len() > 2,
    ManyBackends => |s| s.backends.len() > 1,
    OneStreamOnly => |s| s.backends.iter().any(|b| b.peer.max_concurrent == Some(1)),
    NoStreamsAtFirst => |s| s.backends.iter().any(|b| b.peer.max_concurrent == Some(0)),
    Echo => |s| any(s, |e| e.response.kind == ResponseKind::Echo),
    Head => |s| any(s, |e| e.request.method == Method::Head),
    Put => |s| any(s, |e| e.request.method == Method::Put && e.request.content > 0),
    RequestTrailers => |s| any(s, |e| e.request.trailers),
    ResponseTrailers => |s| any(s, |e| e.response.trailers),
    Early => |s| any(s, |e| e.response.early && e.request.content > 0),
    Interim => |s| any(s, |e| e.response.interim > 0),
    PausedInterim => |s| any(s, |e| e.response.interim > 0 && e.response.interim_pause > 0),
    BareEnd => |s| any(s, |e| e.response.pace.bare_end || (e.request.pace.bare_end && e.request.content > 0)),
    Expect => |s| any(s, |e| e.request.expect),
    Bulk => |s| any(s, |e| e.request.bulk.max(e.response.bulk) > 1000),
    Extras => |s| any(s, |e| e.request.extras > 0),
    AlikeRequests => |s| s.sessions.iter().any(|session| matches!(session.peer.indexing, Indexing::ButPath | Indexing::OwnNames)
        && session.exchanges.iter().filter(|e| e.request.alike).count() > 2),
    AlikeResponses => |s| any(s, |e| e.response.alike),
    Padding => |s| any(s, |e| e.request.pace.padding.is_some() || e.response.pace.padding.is_some()),
    LargeContent => |s| any(s, |e| e.request.content > 70_000 || matches!(e.response.kind, ResponseKind::Source(n) if n > 70_000)),
    Cancel => |s| any(s, |e| e.request.cancel.is_some()),
    StreamReset => |s| any(s, |e| e.response.reset.is_some()),
    ResponseMischief => |s| any(s, |e| e.response.mischief.is_some()),
    HostileClient => |s| s.sessions.iter().any(|session| session.hostile.is_some()),
    ClientLeaves => |s| s.sessions.iter().any(|session| session.leave.is_some()),
    Impatient => |s| s.sessions.iter().any(|session| !session.patient),
    Refused => |s| fault(s, |f| matches!(f, BackendFault::Refuse | BackendFault::NoAnswer | BackendFault::Silent)),
    GoAway => |s| fault(s, |f| matches!(f, BackendFault::GoAway { .. })),
    BackendLeaves => |s| fault(s, |f| matches!(f, BackendFault::Leave { .. } | BackendFault::ResetAfter(_) | BackendFault::FinAfter(_))),
    HalfClose => |s| fault(s, |f| matches!(f, BackendFault::Leave { how: Leave::HalfClose, .. }))
        || s.sessions.iter().any(|session| matches!(session.leave, Some((_, Leave::HalfClose)))),
    BackendMischief => |s| fault(s, |f| matches!(f, BackendFault::Mischief { .. })),
    NeverGrants => |s| peers(s).any(PeerPlan::never_grants),
    SmallWindows => |s| peers(s).any(|peer| peer.initial_window < 1000),
    OurSmallWindows => |s| s.config.front.initial_window_size.min(s.config.backend.initial_window_size) < 1000,
    SmallOutbox => |s| s.config.front.outbox_high_mark.min(s.config.backend.outbox_high_mark) <= 1000,
    LittleMemory => |s| s.config.ledger_octets < 1 << 20,
    NoUploadMemory => |s| s.config.upload_ledger_octets < 1 << 20,
    LittleMemoryForHeads => |s| s.config.head_ledger_octets < 1 << 20,
    TinyTables => |s| s.config.front.header_table_size.min(s.config.backend.encoder_table_size) < 100,
    NeverIndexed => |s| peers(s).any(|peer| peer.indexing == Indexing::Never),
    ChangingSettings => |s| peers(s).any(|peer| !peer.later_settings.is_empty()),
    ShortWrites => |s| pipes(s).any(|pipe| pipe.short_writes > 0) || s.adapter.write_max < 100,
    OneOctetAtATime => |s| pipes(s).any(|pipe| pipe.segmentation == Segmentation::Fixed(1)) || s.adapter.read_max < 100,
    Stalls => |s| pipes(s).any(|pipe| pipe.stall.is_some()),
    Jitter => |s| pipes(s).any(|pipe| pipe.jitter > 0),
    TinyPipes => |s| pipes(s).any(|pipe| pipe.capacity < 500),
    TightTimeouts => |s| s.config.timeouts.response.as_millis() < 2000,
    TightQueue => |s| s.config.upstreams.iter().any(|u| u.queue_max < 100),
    ManyUpstreams => |s| s.config.upstreams.len() > 1,
    OfClients => |s| s.config.upstreams.iter().any(|u| u.share == Scope::Client),
    OfNobody => |s| s.config.upstreams.iter().any(|u| u.share == Scope::None),
    SaturationQueues => |s| s.config.upstreams.iter().any(|u| u.on_saturation == Saturation::Queue),
    SaturationRefuses => |s| s.config.upstreams.iter().any(|u| u.on_saturation == Saturation::Refuse),
    RoundRobin => |s| s.config.upstreams.iter().any(|u| u.balance == Balance::RoundRobin),
    KeptConnections => |s| s.config.upstreams.iter().any(|u| u.connections_min > 0),
    AssumedStreams => |s| s.config.upstreams.iter().any(|u| u.assumed_streams > 0),
    NoReplay => |s| s.config.upstreams.iter().any(|u| u.retry.replay_octets == 0),
    RouteTimeout => |s| s.config.routes.iter().any(|r| r.timeout.is_some()),
    EarlyDrain => |s| s.drain_at.is_some(),
    Jumps => |s| !s.jumps.is_empty(),
    LateTimers => |s| s.adapter.late > 0,
    HostileAdapter => |s| s.adapter.hostile > 0,
    Spurious => |s| s.adapter.spurious > 0,
    Eager => |s| s.adapter.eager,
}

fn any(scenario: &Scenario, holds: fn(&Exchange) -> bool) -> bool {
    scenario.sessions.iter().flat_map(|session| &session.exchanges).any(holds)
}

fn fault(scenario: &Scenario, holds: fn(&BackendFault) -> bool) -> bool {
    scenario.backends.iter().filter_map(|backend| backend.fault.as_ref()).any(|(_, fault)| holds(fault))
}

fn peers(scenario: &Scenario) -> impl Iterator<Item = &PeerPlan> {
    let clients = scenario.sessions.iter().map(|session| &session.peer);
    clients.chain(scenario.backends.iter().map(|backend| &backend.peer))
}

fn pipes(scenario: &Scenario) -> impl Iterator<Item = &PipePolicy> {
    let clients = scenario.sessions.iter().flat_map(|session| &session.network);
    clients.chain(scenario.backends.iter().flat_map(|backend| &backend.network))
}

/// What is planned to go wrong in a scenario, counted.
pub fn faults(scenario: &Scenario) -> u64 {
    let exchanges = scenario.sessions.iter().flat_map(|session| &session.exchanges);
    let of_exchanges = exchanges.filter(|exchange| exchange.is_touched()).count() as u64;
    let of_sessions: u64 = scenario
        .sessions
        .iter()
        .map(|s| u64::from(s.leave.is_some()) + u64::from(s.hostile.map_or(0, |(_, acts, _)| acts)))
        .sum();
    let of_backends: u64 = scenario
        .backends
        .iter()
        .filter_map(|backend| backend.fault)
        .map(|(connections, _)| if connections == u32::MAX { 1 } else { connections.into() })
        .sum();
    let stalls = pipes(scenario).filter(|pipe| pipe.stall.is_some()).count() as u64;
    of_exchanges + of_sessions + of_backends + stalls + scenario.jumps.len() as u64
}

/// What the generator keeps apart: content is at most a hundred of the smallest windows, so that a run ends in reasonable time,
/// and ours count as small below 1000 octets.
const KEPT_APART: [(Feature, Feature); 1] = [(Feature::LargeContent, Feature::OurSmallWindows)];

/// How often features came, alone and in pairs.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// A feature paired with itself counts its own.
    pairs: BTreeMap<(Feature, Feature), u64>,
    scenarios: u64,
}

impl Coverage {
    /// Counts a scenario.
    pub fn note(&mut self, scenario: &Scenario) {
        let there: Vec<Feature> =
            FEATURES.iter().filter(|(_, holds)| holds(scenario)).map(|(feature, _)| *feature).collect();
        for (at, &one) in there.iter().enumerate() {
            for &other in &there[at..] {
                *self.pairs.entry((one, other)).or_default() += 1;
            }
        }
        self.scenarios += 1;
    }

    /// Adds what another counted.
    pub fn merge(&mut self, other: Self) {
        other.pairs.into_iter().for_each(|(pair, n)| *self.pairs.entry(pair).or_default() += n);
        self.scenarios += other.scenarios;
    }

    /// Pairs that never came together, those excepted that the generator keeps apart.
    pub fn missing(&self) -> Vec<(Feature, Feature)> {
        let all = FEATURES
            .iter()
            .enumerate()
            .flat_map(|(at, (one, _))| FEATURES[at..].iter().map(move |(other, _)| (*one, *other)));
        all.filter(|pair| !self.pairs.contains_key(pair) && !KEPT_APART.contains(pair)).collect()
    }

    /// The rarest features and pairs.
    pub fn lines(&self) -> Vec<String> {
        let mut counted: Vec<_> = self.pairs.iter().collect();
        counted.sort_by_key(|(_, n)| **n);
        let rare = counted.iter().take(5).map(|((one, other), n)| format!("{one:?}+{other:?} {n}"));
        let count = FEATURES.len();
        vec![format!(
            "{} of {} pairs of {count} features in {} scenarios; the rarest: {}",
            self.pairs.len(),
            count * (count + 1) / 2,
            self.scenarios,
            rare.collect::<Vec<_>>().join(", ")
        )]
    }
}
