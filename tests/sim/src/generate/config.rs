//! Limits, each from {smallest, tiny, default, huge}.

use shuntyard_core::config::{Config, ConnectionConfig};
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
    let window = u64::from(config.backend.initial_window_size).max(1);
    let needed = window.max(65_535);
    config.ledger_octets = *choices.pick(&[1 << 30, 1 << 30, needed * 3, needed]);
    config.upload_ledger_octets = *choices.pick(&[256 << 20, 256 << 20, 65_535, 0]);
    upstream(config, &mut choices, backends);
    timeouts(config, &mut choices);
    if faults.has(Kind::Tight) {
        tight(config, &mut choices);
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

fn upstream(config: &mut Config, choices: &mut Choices, backends: &[Backend]) {
    let upstream = &mut config.upstream;
    upstream.endpoints = backends.iter().map(|backend| backend.address.into()).collect();
    upstream.max_connections_per_endpoint = *choices.pick(&[16, 16, 1, 2]);
}

/// So long that nothing but a fault reaches them; those that only close what nobody uses may be short.
fn timeouts(config: &mut Config, choices: &mut Choices) {
    let timeouts = &mut config.timeouts;
    (timeouts.response, timeouts.queue) = (Duration::from_secs(200), Duration::from_secs(200));
    timeouts.backend_idle =
        *choices.pick(&[Duration::from_secs(60), Duration::from_millis(1), Duration::from_millis(30)]);
    timeouts.linger = *choices.pick(&[Duration::from_secs(2), Duration::from_millis(1)]);
}

/// So short that healthy requests may fall to them.
fn tight(config: &mut Config, choices: &mut Choices) {
    let (tiny, short, long) = (Duration::from_millis(1), Duration::from_millis(50), Duration::from_secs(1));
    let timeouts = &mut config.timeouts;
    timeouts.response = *choices.pick(&[tiny, short, long]);
    timeouts.queue = *choices.pick(&[Duration::from_millis(2), Duration::from_millis(100), long]);
    timeouts.connect = *choices.pick(&[tiny, long]);
    timeouts.preface = *choices.pick(&[Duration::from_secs(10), short, long]);
    timeouts.front_idle = *choices.pick(&[Duration::from_secs(75), tiny, long]);
    timeouts.write_stall = *choices.pick(&[Duration::from_secs(60), short, long]);
    timeouts.stream_idle = *choices.pick(&[Duration::from_secs(300), short, long]);
    config.upstream.max_queued = *choices.pick(&[1, 3, 10_000]);
    config.upstream.max_attempts = *choices.pick(&[1, 2, 32]);
    config.max_fronts = *choices.pick(&[100_000, 1, 3]);
}
