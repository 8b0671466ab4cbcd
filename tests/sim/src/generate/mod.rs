//! Seed to scenario: each seed draws its own mix of features, limits and faults.
//!
//! A mix switches features on and off and gives each a weight of its own: runs that do everything a little find less than
//! runs that do few things a lot.

mod config;
mod faults;
mod peers;
mod traffic;

use shuntyard_core::config::Config;

use crate::cut::Segmentation;
use crate::net::PipePolicy;
use crate::refcodec::frame;
use crate::rng::Choices;
use crate::scenario::{AdapterPlan, Backend, PeerPlan, Scenario, Session};
use crate::world::{MILLI, Nanos, SECOND};
use faults::Faults;
pub(crate) use traffic::wanted;

/// A drain in which everything that has begun may end.
pub(crate) const AMPLE_DRAIN: Nanos = 900 * SECOND;

/// The scenario of a seed. 30 of 100 have no fault, 30 one kind, the rest a subset.
pub fn generate(seed: u64) -> Scenario {
    let faults = Faults::draw(seed);
    let mut scenario = around(seed, &faults, None);
    config::draw(&mut scenario.config, seed, &scenario.backends, &faults);
    traffic(&mut scenario, &faults);
    scenario
}

/// The scenario of a seed around a configuration of one's own: clients, network and faults are drawn, the configuration stays
/// as it is, and each of its endpoints is a backend.
pub fn generate_for(seed: u64, config: &Config) -> Scenario {
    let faults = Faults::draw(seed).without_tight_limits();
    let mut scenario = around(seed, &faults, Some(config));
    traffic(&mut scenario, &faults);
    scenario
}

/// Everything but the clients.
fn around(seed: u64, faults: &Faults, own: Option<&Config>) -> Scenario {
    let mut choices = Choices::new(seed, "scenario");
    let count = *choices.pick(&[1, 1, 2, 3, 5]);
    let drawn = (1..=count).map(|n| Backend::new(n).address);
    let addresses: Vec<_> = own.map_or(drawn.collect(), crate::scenario::inet_endpoints);
    let backends =
        (0_u8..).zip(addresses).map(|(n, address)| peers::backend(seed, n, address, faults)).collect();
    let mut scenario = Scenario::new(seed, Vec::new(), backends);
    if let Some(config) = own {
        scenario.config = config.clone();
        scenario.config.records = true;
    }
    scenario.adapter = adapter(seed);
    scenario.drain = *choices.pick(&[5 * SECOND, 5 * SECOND, 100 * MILLI, 30 * SECOND]);
    scenario.jumps = faults.jumps(seed);
    let mut choices = Choices::new(seed, "early drain");
    if choices.chance(10) {
        scenario.drain_at = Some(early_moment(&mut choices));
        scenario.drain = *choices.pick(&[AMPLE_DRAIN, AMPLE_DRAIN, SECOND, 10 * MILLI]);
    }
    scenario
}

/// The clients, with as much to do as the world can move in reasonable time.
fn traffic(scenario: &mut Scenario, faults: &Faults) {
    let seed = scenario.seed;
    let mut choices = Choices::new(seed, "clients");
    let config = &scenario.config;
    let smallest = scenario.backends.iter().map(|backend| smallest_window(&backend.peer));
    let ours = [config.front.initial_window_size, config.backend.initial_window_size];
    let smallest = smallest.chain(ours).min().unwrap_or(1).max(1);
    let small_pieces = scenario.backends.iter().any(|backend| backend.network.iter().any(is_costly))
        || scenario.adapter.read_max < 100
        || scenario.adapter.write_max < 100;
    let sessions = *choices.pick(&[1, 1, 2, 3, 5, 8, 20]);
    // In a configuration of one's own there may be no room for long lines.
    let roomy = [&config.front, &config.backend]
        .iter()
        .all(|side| side.max_header_list_size >= 64 << 10 && side.max_continuations >= 8);
    let routes = scenario.config.routes.clone();
    let mut rid = 1;
    for n in 0..sessions {
        let session =
            traffic::session(seed, n, rid, (smallest, small_pieces, sessions, roomy), faults, &routes);
        rid += session.exchanges.len() as u64;
        scenario.sessions.push(session);
    }
    let exchanges = scenario.sessions.iter().flat_map(|session| &session.exchanges);
    let pieces = whole_within(exchanges.map(|exchange| exchange.response.bulk).max());
    for Backend { peer, .. } in &mut scenario.backends {
        peer.block_max = peer.block_max.max(pieces);
    }
}

/// How long the pieces of a field block must be that nobody says it has too many (`max_continuations` is 8).
fn whole_within(longest: Option<u32>) -> usize {
    longest.filter(|octets| *octets > 0).map_or(1, |octets| octets as usize / 8 + 150)
}

/// Octets of one long line in each section. Where pieces are small it takes its time.
fn affordable_bulks(roomy: bool, slow: bool, sessions: usize) -> &'static [u32] {
    match (roomy, slow || sessions > 5) {
        (false, _) => &[0],
        (true, true) => &[0, 0, 0, 300, 4000],
        (true, false) => &[0, 0, 300, 4000, 30_000],
    }
}

fn adapter(seed: u64) -> AdapterPlan {
    let mut choices = Choices::new(seed, "adapter-plan");
    AdapterPlan {
        eager: choices.chance(50),
        write_max: *choices.pick(&[1 << 20, 1 << 20, 5000, 100, 9]),
        read_max: *choices.pick(&[1 << 20, 1 << 20, 3000, 20]),
        hostile: *choices.pick(&[0, 0, 1, 20]),
        late: *choices.pick(&[0, 0, MILLI, SECOND]),
        spurious: *choices.pick(&[0, 0, 1, 20]),
    }
}

/// Octets of content that a run can move through windows or pieces of this size in reasonable time.
fn affordable(window: u32, small_pieces: bool, sessions: usize) -> u64 {
    let by_window = u64::from(window).saturating_mul(100).clamp(1, 400_000);
    let most = if small_pieces { by_window.min(4000) } else { by_window };
    if sessions > 5 { most.min(20_000) } else { most }
}

/// The smallest window that the peer opens a stream with at any time.
fn smallest_window(peer: &PeerPlan) -> u32 {
    let later = peer.later_settings.iter().filter(|(_, id, _)| *id == frame::INITIAL_WINDOW_SIZE);
    let later = later.map(|&(.., value)| value).min().unwrap_or(u32::MAX);
    peer.initial_window.saturating_add(peer.window_at_open).min(later).max(1)
}

fn is_costly(policy: &PipePolicy) -> bool {
    let small = matches!(policy.segmentation, Segmentation::Fixed(n) | Segmentation::Random(n) if n < 100);
    small || policy.capacity < 200
}

/// A switch that is off in half of all mixes, and has a weight of 1 to 100 in the others.
fn weight(seed: u64, feature: &str) -> u64 {
    let mut choices = Choices::new(seed, format!("mix.{feature}"));
    if choices.chance(50) { 0 } else { choices.between(1, 100) }
}

/// A moment in the first part of a run, in which most things happen.
fn early_moment(choices: &mut Choices) -> Nanos {
    *choices.pick(&[0, 100_000, MILLI, 5 * MILLI, 30 * MILLI]) + choices.between(0, MILLI)
}

/// The sessions of a scenario need not be the gateway's friends.
pub fn is_friendly(session: &Session) -> bool {
    session.hostile.is_none() && session.leave.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    #[test]
    fn every_configuration_is_valid_and_the_mix_is_as_said() {
        let scenarios: Vec<Scenario> = (0..1000).map(generate).collect();
        for scenario in &scenarios {
            assert_eq!(scenario.config.validate(), Ok(()), "seed {}", scenario.seed);
        }
        let healthy = scenarios.iter().filter(|scenario| !scenario.has_faults()).count();
        assert!((250..450).contains(&healthy), "{healthy} of 1000 without faults");
    }

    #[test]
    fn every_scenario_survives_its_text() {
        for seed in 0..500 {
            let scenario = generate(seed);
            let text = text::print(&scenario);
            let again = text::parse(&text).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
            assert_eq!(again, scenario, "seed {seed}:\n{text}");
        }
    }

    #[test]
    fn a_configuration_of_ones_own_stays_as_it_is() {
        let mut config = Scenario::new(0, Vec::new(), vec![Backend::new(1), Backend::new(2)]).config;
        config.front.max_concurrent_streams = 3;
        for seed in 0..20 {
            let scenario = generate_for(seed, &config);
            assert_eq!((&scenario.config, scenario.backends.len()), (&config, 2));
        }
    }
}
