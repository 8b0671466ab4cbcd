//! Seed to scenario: each seed draws its own mix of features, limits and faults.

use shuntyard_core::config::Config;
use shuntyard_core::time::Duration;

use crate::cut::Segmentation;
use crate::net::PipePolicy;
use crate::refcodec::frame;
use crate::refcodec::hpack::Indexing;
use crate::rng::Choices;
use crate::scenario::{
    AdapterPlan, Backend, BackendFault, Exchange, Leave, Method, Pace, PeerPlan, Phase, ResponseKind,
    Scenario, Session,
};
use crate::world::{MICRO, MILLI, Nanos};

/// What may go wrong in a scenario; each kind is drawn by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FaultKind {
    Refuse,
    GoAway,
    BackendLeaves,
    BackendReset,
    StreamReset,
    Cancel,
    ClientLeaves,
    Tight,
}

const FAULT_KINDS: [FaultKind; 8] = [
    FaultKind::Refuse,
    FaultKind::GoAway,
    FaultKind::BackendLeaves,
    FaultKind::BackendReset,
    FaultKind::StreamReset,
    FaultKind::Cancel,
    FaultKind::ClientLeaves,
    FaultKind::Tight,
];

/// The scenario of a seed. 30 of 100 have no fault, 30 one kind, the rest a subset.
pub fn generate(seed: u64) -> Scenario {
    let mut choices = Choices::new(seed, "scenario");
    let faults: Vec<FaultKind> = match choices.between(1, 100) {
        1..=30 => Vec::new(),
        31..=60 => vec![*choices.pick(&FAULT_KINDS)],
        _ => FAULT_KINDS.into_iter().filter(|_| choices.chance(40)).collect(),
    };
    let backends: Vec<Backend> = (0..choices.between(1, 3))
        .map(|n| backend(seed, u8::try_from(n).expect("at most 3"), &faults))
        .collect();
    let config = config(seed, &backends, &faults);
    let smallest = backends.iter().map(|backend| smallest_window(&backend.peer));
    let smallest = smallest
        .chain([config.front.initial_window_size, config.backend.initial_window_size])
        .min()
        .unwrap_or(1);
    let small_pieces = backends.iter().any(|backend| backend.network.iter().any(is_costly));
    let mut rid = 1;
    let sessions = (0..choices.between(1, 5))
        .map(|n| {
            let session = session(seed, n, rid, smallest, small_pieces, &faults);
            rid += session.exchanges.len() as u64;
            session
        })
        .collect();
    let mut scenario = Scenario::new(seed, sessions, backends);
    scenario.config = config;
    scenario.adapter = AdapterPlan {
        eager: choices.chance(50),
        write_max: *choices.pick(&[1 << 20, 1 << 20, 5000, 100, 9]),
        read_max: *choices.pick(&[1 << 20, 1 << 20, 3000, 20]),
    };
    scenario
}

/// Octets of content that a run can move through windows or pieces of this size in reasonable time.
fn affordable(window: u32, small_pieces: bool) -> u64 {
    let by_window = u64::from(window).saturating_mul(100).clamp(1, 400_000);
    if small_pieces { by_window.min(4000) } else { by_window }
}

/// The smallest window that the peer opens a stream with at any time.
fn smallest_window(peer: &PeerPlan) -> u32 {
    let later = peer.later_settings.iter().flat_map(|(_, settings)| settings);
    let later = later.filter(|(id, _)| *id == frame::INITIAL_WINDOW_SIZE).map(|&(_, value)| value);
    (peer.initial_window + peer.window_at_open).min(later.min().unwrap_or(u32::MAX)).max(1)
}

fn is_costly(policy: &PipePolicy) -> bool {
    let small = matches!(policy.segmentation, Segmentation::Fixed(n) | Segmentation::Random(n) if n < 100);
    small || policy.capacity < 200
}

fn config(seed: u64, backends: &[Backend], faults: &[FaultKind]) -> Config {
    let mut choices = Choices::new(seed, "config");
    let mut config = Config::new(backends.iter().map(|backend| backend.address.into()).collect());
    config.records = true;
    for connection in [&mut config.front, &mut config.backend] {
        connection.header_table_size = *choices.pick(&[4096, 4096, 0, 100, 65_536]);
        connection.encoder_table_size = *choices.pick(&[4096, 4096, 0, 33, 65_536]);
        connection.initial_window_size = *choices.pick(&[65_535, 65_535, 1, 100, 16_384, 1 << 20]);
        connection.connection_window_size = *choices.pick(&[1 << 20, 65_535, 65_536]);
        connection.outbox_high_mark = *choices.pick(&[128 << 10, 128 << 10, 1, 100, 1000, 16_384]);
    }
    config.front.max_concurrent_streams = *choices.pick(&[100, 100, 1, 2, 7]);
    config.backend.assumed_max_concurrent_streams = *choices.pick(&[100, 1, 2]);
    config.backend.max_concurrent_streams_cap = *choices.pick(&[250, 250, 1, 3]);
    config.upstreams[0].connections_max = *choices.pick(&[16, 1, 2]);
    config.recv_buffer_octets = *choices.pick(&[256 << 10, 33 << 10]);
    let window = u64::from(config.backend.initial_window_size);
    config.ledger_octets = *choices.pick(&[1 << 30, 1 << 30, window * 3, window]);
    let timeouts = &mut config.timeouts;
    if faults.contains(&FaultKind::Tight) {
        timeouts.response =
            *choices.pick(&[Duration::from_millis(1), Duration::from_millis(50), Duration::from_secs(1)]);
        config.upstreams[0].queue_timeout =
            *choices.pick(&[Duration::from_millis(2), Duration::from_millis(100)]);
        timeouts.connect = *choices.pick(&[Duration::from_millis(1), Duration::from_secs(1)]);
        config.upstreams[0].queue_max = *choices.pick(&[1, 3, 10_000]);
        let retry = &mut config.upstreams[0].retry;
        retry.unprocessed_attempts = *choices.pick(&[1, 2, 8]);
        retry.attempts = *choices.pick(&[2, 1, 5]);
        retry.replay_octets = *choices.pick(&[64 << 10, 0, 100, 1000]);
        config.replay_ledger_octets = *choices.pick(&[64 << 20, 0, 5000]);
    } else {
        // So long that nothing but a fault reaches them.
        (timeouts.response, config.upstreams[0].queue_timeout) =
            (Duration::from_secs(200), Duration::from_secs(200));
    }
    config
}

fn network(choices: &mut Choices) -> PipePolicy {
    PipePolicy {
        capacity: *choices.pick(&[1 << 20, 1 << 20, 64 << 10, 5000, 300, 11]),
        delay: *choices.pick(&[50 * MICRO, 0, MICRO, 5 * MILLI]),
        gap: *choices.pick(&[0, 0, 10 * MICRO]),
        segmentation: *choices.pick(&[
            Segmentation::Whole,
            Segmentation::Whole,
            Segmentation::FrameBoundary,
            Segmentation::Random(4000),
            Segmentation::Fixed(1460),
            Segmentation::Random(20),
            Segmentation::Fixed(1),
        ]),
        short_writes: *choices.pick(&[0, 0, 30]),
        reset_after: None,
    }
}

fn peer(choices: &mut Choices) -> PeerPlan {
    let initial_window = *choices.pick(&[65_535, 65_535, 0, 1, 100, 16_384, 1 << 20]);
    let least = if initial_window == 0 { 1 } else { 0 };
    PeerPlan {
        initial_window,
        window_at_open: (*choices.pick(&[0, 0, 50, 70_000])).max(least),
        connection_extra: *choices.pick(&[0, 0, 1 << 20]),
        grant_percent: *choices.pick(&[50, 1, 100]),
        max_frame: *choices.pick(&[16_384, 16_384, 16_385, 1 << 20]),
        header_table: *choices.pick(&[4096, 4096, 0, 50, 300, 65_536]),
        max_concurrent: None,
        indexing: *choices.pick(&[
            Indexing::Incremental,
            Indexing::Incremental,
            Indexing::Without,
            Indexing::Never,
        ]),
        huffman: choices.chance(70),
        block_max: *choices.pick(&[16_384, 16_384, 60, 200]),
        read: *choices.pick(&[None, None, Some((1000, 100 * MICRO)), Some((70, 10 * MICRO))]),
        later_settings: later_settings(choices),
        pings: *choices.pick(&[None, None, Some((3, MILLI))]),
    }
}

fn later_settings(choices: &mut Choices) -> Vec<(Nanos, Vec<(u16, u32)>)> {
    let mut later = Vec::new();
    if choices.chance(30) {
        let at = choices.between(0, 5 * MILLI);
        later.push((at, vec![(frame::INITIAL_WINDOW_SIZE, *choices.pick(&[10, 1000, 65_535, 200_000]))]));
    }
    if choices.chance(20) {
        let at = 5 * MILLI + choices.between(0, 5 * MILLI);
        later.push((at, vec![(frame::HEADER_TABLE_SIZE, *choices.pick(&[0, 40, 4096]))]));
    }
    later
}

fn backend(seed: u64, n: u8, faults: &[FaultKind]) -> Backend {
    let mut choices = Choices::new(seed, format!("backend{n}"));
    let mut backend = Backend::new(n + 1);
    backend.connect_delay = *choices.pick(&[200 * MICRO, 0, 20 * MILLI]);
    backend.peer = peer(&mut choices);
    backend.peer.max_concurrent = *choices.pick(&[Some(100), Some(100), None, Some(1), Some(2), Some(0)]);
    if backend.peer.max_concurrent == Some(0) || choices.chance(20) {
        let at = choices.between(0, 20 * MILLI);
        backend
            .peer
            .later_settings
            .push((at.max(10 * MILLI), vec![(frame::MAX_CONCURRENT_STREAMS, *choices.pick(&[1, 3, 100]))]));
    }
    backend.network = [network(&mut choices), network(&mut choices)];
    let leave = *choices.pick(&[Leave::Close, Leave::Reset]);
    let streams = u32::try_from(choices.between(1, 6)).expect("at most 6");
    let connections = u32::try_from(choices.between(1, 4)).expect("at most 4");
    let octets = choices.between(20, 3000);
    let candidates = [
        (FaultKind::Refuse, BackendFault::Refuse),
        (FaultKind::GoAway, BackendFault::GoAway { after: streams, spare: choices.chance(50) }),
        (FaultKind::BackendLeaves, BackendFault::Leave { after: streams, how: leave }),
        (FaultKind::BackendReset, BackendFault::ResetAfter(octets)),
    ];
    let possible: Vec<_> = candidates.into_iter().filter(|(kind, _)| faults.contains(kind)).collect();
    if !possible.is_empty() && choices.chance(70) {
        backend.fault = Some((connections, choices.pick(&possible).1));
    }
    backend
}

fn session(seed: u64, n: u64, rid: u64, smallest: u32, small_pieces: bool, faults: &[FaultKind]) -> Session {
    let mut choices = Choices::new(seed, format!("session{n}"));
    let peer = peer(&mut choices);
    let network = [network(&mut choices), network(&mut choices)];
    let window = smallest.min(smallest_window(&peer));
    let most = affordable(window, small_pieces || network.iter().any(is_costly));
    let count = *choices.pick(&[1, 2, 5, 10, 20]);
    Session {
        start: choices.between(0, 3 * MILLI),
        concurrency: *choices.pick(&[100, 100, 1, 3]),
        patient: choices.chance(70),
        peer,
        network,
        exchanges: (rid..rid + count).map(|rid| exchange(seed, rid, most, faults)).collect(),
        leave: (faults.contains(&FaultKind::ClientLeaves) && choices.chance(40)).then(|| {
            (3 * MILLI + choices.between(0, 20 * MILLI), *choices.pick(&[Leave::Close, Leave::Reset]))
        }),
    }
}

fn exchange(seed: u64, rid: u64, most: u64, faults: &[FaultKind]) -> Exchange {
    let mut choices = Choices::new(seed, format!("exchange{rid}"));
    let mut exchange = Exchange::get(rid, 0);
    let size = |choices: &mut Choices| match choices.between(0, 5) {
        0 => 0,
        1 => 1,
        2 | 3 => choices.between(1, most.min(2000)),
        _ => choices.between(1, most),
    };
    let request = &mut exchange.request;
    request.method = *choices.pick(&[Method::Get, Method::Get, Method::Post, Method::Post, Method::Head]);
    if request.method == Method::Post {
        request.content = size(&mut choices);
        request.declare_length = choices.chance(50);
        request.trailers = choices.chance(20);
        request.pace = pace(&mut choices, request.content);
    }
    let content = request.content;
    let response = &mut exchange.response;
    response.status = *choices.pick(&[200, 200, 200, 404, 500, 204]);
    response.kind = match choices.between(0, 3) {
        0 if content > 0 => ResponseKind::Echo,
        1 => ResponseKind::Sink,
        _ => ResponseKind::Source(size(&mut choices)),
    };
    response.early = choices.chance(15);
    response.delay = *choices.pick(&[0, 100 * MICRO, 5 * MILLI]);
    response.interim = *choices.pick(&[0, 0, 0, 1, 3]);
    response.declare_length = choices.chance(50);
    response.trailers =
        choices.chance(25) && response.status != 204 && exchange.request.method != Method::Head;
    response.pace = pace(&mut choices, most);
    let phase = |choices: &mut Choices| {
        let octets = choices.between(0, most);
        *choices.pick(&[Phase::RequestHead, Phase::ResponseHead, Phase::Sent(octets), Phase::Sent(0)])
    };
    if faults.contains(&FaultKind::Cancel) && choices.chance(30) {
        exchange.request.cancel = Some(phase(&mut choices));
    }
    if faults.contains(&FaultKind::StreamReset) && choices.chance(30) {
        let code = *choices.pick(&[frame::REFUSED_STREAM, frame::CANCEL, 2]);
        // A backend that has begun to answer cannot say that it did nothing.
        let phase = if code == frame::REFUSED_STREAM { Phase::RequestHead } else { phase(&mut choices) };
        exchange.response.reset = Some((phase, code));
    }
    exchange
}

/// Thinking and padding are for short content: a frame may carry as little as one octet where windows are small.
fn pace(choices: &mut Choices, content: u64) -> Pace {
    let think = *choices.pick(&[0, 0, 0, 100 * MICRO]);
    let padding = *choices.pick(&[None, None, None, Some(0), Some(40), Some(255)]);
    Pace {
        frame: *choices.pick(&[16_384, 16_384, 1000, 100_000, 20]),
        padding: if content > 20_000 { None } else { padding },
        think: if content > 1000 { 0 } else { think },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_is_valid_and_the_mix_is_as_said() {
        let scenarios: Vec<Scenario> = (0..500).map(generate).collect();
        assert!(scenarios.iter().all(|scenario| scenario.config.validate().is_ok()));
        let healthy = scenarios.iter().filter(|scenario| !scenario.has_faults()).count();
        assert!((130..350).contains(&healthy), "{healthy} of 500 without faults");
        let with = |test: fn(&BackendFault) -> bool| {
            let fault = |backend: &Backend| backend.fault.is_some_and(|(_, fault)| test(&fault));
            scenarios.iter().filter(|scenario| scenario.backends.iter().any(fault)).count()
        };
        assert!(with(|fault| *fault == BackendFault::Refuse) > 10);
        assert!(with(|fault| matches!(fault, BackendFault::GoAway { .. })) > 10);
        assert!(with(|fault| matches!(fault, BackendFault::Leave { .. })) > 10);
        assert!(with(|fault| matches!(fault, BackendFault::ResetAfter(_))) > 10);
    }
}
