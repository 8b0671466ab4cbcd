//! Limits, each from {smallest, tiny, default, huge}.

use shuntyard_core::config::{
    Balance, Config, ConnectionConfig, HostPattern, PathPattern, RouteConfig, Saturation, Scope,
    UpstreamConfig,
};
use shuntyard_core::time::Duration;

use super::faults::{Faults, Kind};
use crate::rng::Choices;
use crate::scenario::Backend;

pub(super) fn draw(config: &mut Config, seed: u64, backends: &[Backend], faults: &Faults) {
    let mut choices = Choices::new(seed, "config");
    connection(&mut config.front, &mut choices);
    connection(&mut config.backend, &mut choices);
    config.front.max_concurrent_streams = *choices.pick(&[100, 100, 1, 2, 7, u32::MAX >> 1]);
    config.backend.assumed_max_concurrent_streams = *choices.pick(&[100, 1, 2]);
    config.backend.max_concurrent_streams_cap = *choices.pick(&[250, 250, 1, 3]);
    config.recv_buffer_octets = *choices.pick(&[256 << 10, 33 << 10]);
    let window = u64::from(config.backend.initial_window_size);
    let needed = window.max(65_535);
    let ample = (needed * 64).max(1 << 30);
    config.ledger_octets = *choices.pick(&[ample, ample, needed * 3, needed]);
    config.ledger_front_octets = *choices.pick(&[ample, ample, needed * 2, needed]);
    config.upload_ledger_octets = *choices.pick(&[256 << 20, 256 << 20, 65_535, 0]);
    config.replay_ledger_octets = *choices.pick(&[64 << 20, 64 << 20, 0, 5000]);
    upstreams(config, &mut choices, backends);
    timeouts(config, &mut choices);
    config.head_ledger_octets = if choices.chance(8) { 3000 } else { 256 << 20 };
    if backends.iter().any(Backend::may_allow_nothing) {
        // The gateway gives up a connection that carries nothing, although requests wait for its next limit.
        config.timeouts.backend_idle = Duration::from_secs(60);
    }
    if faults.has(Kind::Tight) {
        tight(config, &mut choices);
    }
    config.fronts_awake = *choices.pick(&[256, 0, 0, 1]);
    for side in [&mut config.front, &mut config.backend] {
        side.stream_window_max = *choices.pick(&[1 << 20, 0, 70_000, 200_000]);
    }
    if faults.has(Kind::Tight) {
        config.max_fronts_per_client = *choices.pick(&[25_000, 2, 5]);
    }
    // A connection that ends within a second without having carried anything was made in vain for the gateway, whatever has ended it.
    let (is_short, age) = (choices.chance(15), *choices.pick(&[2000, 5000, 20_000]));
    if is_short {
        config.timeouts.backend_age = Duration::from_millis(age);
    }
    if faults.has(Kind::Tight) {
        config.backends_max = *choices.pick(&[u32::MAX, 1, 2, 4]);
    }
}

fn connection(connection: &mut ConnectionConfig, choices: &mut Choices) {
    connection.header_table_size = *choices.pick(&[4096, 4096, 0, 1, 31, 32, 33, 100, 65_536]);
    connection.encoder_table_size = *choices.pick(&[4096, 4096, 0, 33, 65_536]);
    connection.initial_window_size =
        *choices.pick(&[65_535, 65_535, 65_535, 1, 2, 100, 16_384, 1 << 20, (1 << 31) - 1]);
    connection.connection_window_size = *choices.pick(&[1 << 20, 1 << 20, 65_535, 65_536, (1 << 31) - 1]);
    connection.outbox_high_mark = *choices.pick(&[128 << 10, 128 << 10, 1, 100, 1000, 16_384]);
    connection.max_queued_control_frames = *choices.pick(&[1000, 1000, 100, 1_000_000]);
}

/// One upstream of all backends, or several that divide them; a route for each, and sometimes one for all else.
fn upstreams(config: &mut Config, choices: &mut Choices, backends: &[Backend]) {
    let count = if choices.chance(40) { choices.between(1, backends.len() as u64) as usize } else { 1 };
    config.upstreams.clear();
    config.routes.clear();
    for n in 0..count {
        let own = backends.iter().skip(n).step_by(count).map(|backend| backend.address.into());
        let mut upstream = UpstreamConfig::new(format!("u{n}"), own.collect());
        upstream.balance = *choices.pick(&[Balance::LeastActive, Balance::RoundRobin]);
        upstream.share = *choices.pick(&[Scope::Worker, Scope::Worker, Scope::Client, Scope::None]);
        upstream.on_saturation =
            *choices.pick(&[Saturation::Dial, Saturation::Dial, Saturation::Dial, Saturation::Queue]);
        upstream.connections_max = *choices.pick(&[16, 16, 1, 2]);
        upstream.connections_min = if choices.chance(10) { 1 } else { 0 };
        upstream.assumed_streams = *choices.pick(&[0, 0, 1, 100]);
        upstream.queue_timeout = Duration::from_secs(200);
        upstream.retry.replay_octets = *choices.pick(&[64 << 10, 0, 100, 1 << 20]);
        upstream.retry.budget_percent = *choices.pick(&[20, 0, 100]);
        upstream.retry.attempts = *choices.pick(&[2, 1, 5]);
        let mut route = RouteConfig::any(format!("r{n}"), format!("u{n}"));
        if count > 1 {
            let (prefix, host) = (format!("/u{n}/"), format!("u{n}.example"));
            match choices.between(0, 2) {
                0 => route.host = HostPattern::Exact(host.into()),
                1 => route.host = HostPattern::Below(host.into()),
                _ => route.path = PathPattern::Prefix(prefix.into()),
            }
        }
        config.upstreams.push(upstream);
        config.routes.push(route);
    }
}

/// So long that nothing but a fault reaches them; those that only close what nobody uses may be short.
fn timeouts(config: &mut Config, choices: &mut Choices) {
    let timeouts = &mut config.timeouts;
    timeouts.response = Duration::from_secs(200);
    timeouts.backend_idle =
        *choices.pick(&[Duration::from_secs(60), Duration::from_millis(1), Duration::from_millis(30)]);
    timeouts.linger = *choices.pick(&[Duration::from_secs(2), Duration::from_millis(1)]);
}

/// So short that healthy requests may fall to them.
fn tight(config: &mut Config, choices: &mut Choices) {
    let (tiny, short, long) = (Duration::from_millis(1), Duration::from_millis(50), Duration::from_secs(1));
    let timeouts = &mut config.timeouts;
    timeouts.response = *choices.pick(&[tiny, short, long]);
    timeouts.connect = *choices.pick(&[tiny, long]);
    timeouts.preface = *choices.pick(&[Duration::from_secs(10), short, long]);
    timeouts.front_idle = *choices.pick(&[Duration::from_secs(75), tiny, long]);
    timeouts.write_stall = *choices.pick(&[Duration::from_secs(60), short, long]);
    timeouts.stream_idle = *choices.pick(&[Duration::from_secs(300), short, long]);
    for upstream in &mut config.upstreams {
        upstream.queue_timeout = *choices.pick(&[Duration::from_millis(2), Duration::from_millis(100), long]);
        upstream.queue_max = *choices.pick(&[1, 3, 10_000]);
        upstream.retry.unprocessed_attempts = *choices.pick(&[1, 2, 32]);
        upstream.on_saturation = *choices.pick(&[Saturation::Dial, Saturation::Queue, Saturation::Refuse]);
    }
    for route in &mut config.routes {
        route.timeout = *choices.pick(&[None, None, Some(short), Some(long)]);
    }
    config.max_fronts = *choices.pick(&[100_000, 1, 3]);
}
