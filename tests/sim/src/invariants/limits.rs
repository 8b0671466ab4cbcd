//! Limits: what is counted and what is buffered.

use super::Scene;
use crate::ledger::{Attempt, Checks, Violation};

/// **N1, N2** (after every step). Promised memory within the ledgers; buffered octets within what windows and outboxes of
/// the connections there are may hold; the queue within its limit. Who was on a backend and waits again is not counted: it
/// came when there was room, and keeps its place beyond the limit rather than be refused for somebody else's request.
/// (An earlier version counted it.)
pub fn n_within_limits(scene: &mut Scene<'_>) -> Result<(), Violation> {
    let (view, config) = (scene.view, scene.config);
    let ledgers = config.ledger_octets + config.upload_ledger_octets + config.replay_ledger_octets;
    scene
        .checks
        .check("N1", view.reserved_octets <= ledgers, || format!("{view:?}, ledgers of {ledgers}"))?;
    scene.checks.check("N1", view.head_octets <= config.head_ledger_octets, || format!("{view:?}"))?;
    let most = buffered_octets_max(scene);
    scene
        .checks
        .check("N1", (view.buffered_octets as u64) <= most, || format!("{view:?}, at most {most}"))?;
    let again = |rid: &&u64| {
        let trace = &scene.ledger.traces[rid];
        !trace.attempts.is_empty() && trace.attempts.iter().all(Attempt::is_over)
    };
    let again = scene.ledger.active.iter().filter(again).count();
    let queued = scene.ledger.queued_max.saturating_add(again);
    scene.checks.check("N2", view.queued <= queued, || {
        format!("{} queued of {queued}, {again} of them again", view.queued)
    })
}

/// What the connections there are may make the gateway hold: of each, its outbox up to twice the mark with one more frame
/// and a burst of answers, and one whole frame of input; of each request, a window in either direction.
fn buffered_octets_max(scene: &Scene<'_>) -> u64 {
    let config = scene.config;
    let frame = 16_384 + 9;
    let conn = |mark: usize| 2 * mark as u64 + 2 * frame + config.recv_buffer_octets as u64 + (128 << 10);
    let windows = u64::from(config.front.initial_window_size).max(65_535)
        + u64::from(config.backend.initial_window_size.max(config.backend.stream_window_max)).max(65_535);
    scene.view.fronts as u64 * conn(config.front.outbox_high_mark)
        + scene.view.backends as u64 * conn(config.backend.outbox_high_mark)
        + scene.view.requests as u64 * windows
        + config.replay_ledger_octets
}

/// What a gateway has been given to do, and has had done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paid {
    /// Events and actions, calls for output included.
    pub calls: u64,
    /// Octets in either direction.
    pub octets: u64,
}

impl Paid {
    /// All so far.
    pub(crate) fn by(adapter: &crate::adapter::Adapter) -> Self {
        Self {
            calls: adapter.events + adapter.actions + adapter.asked,
            octets: adapter.octets + adapter.received,
        }
    }

    /// What has come since.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self { calls: self.calls - before.calls, octets: self.octets - before.octets }
    }
}

/// **N4** (after every step). The gateway's loops make no more steps than what came and went pays for: with each call the engines of one
/// queue may be looked at. A step may end all requests of a connection, which counts for some. That the number of others plays no part
/// is shown by `core/tests/scale.rs`, where there are many.
pub fn n4_work_is_paid_for(
    checks: &mut Checks,
    work: u64,
    paid: &Paid,
    engines: usize,
) -> Result<(), Violation> {
    let most = 1_000 + (10 + engines as u64) * paid.calls + paid.octets;
    checks.check("N4", work <= most, || format!("{work} units of work for {paid:?} with {engines} engines"))
}
