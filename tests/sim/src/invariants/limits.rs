//! Limits: what is counted and what is buffered.

use shuntyard_core::config::{Config, ConnectionConfig};
use shuntyard_core::gateway::{Inspection, View};

use super::Scene;
use crate::ledger::{Attempt, Checks, Violation};

/// **N1, N2** (after every step). Promised memory within each ledger, and what one client has of it within its share; buffered octets within
/// what windows and outboxes of the connections there are may hold; connections, streams of each client and each queue within their limits. Who was on a backend and waits again is not counted: it
/// came when there was room, and keeps its place beyond the limit rather than be refused for somebody else's request.
/// (An earlier version counted it.)
pub fn n_within_limits(scene: &mut Scene<'_>) -> Result<(), Violation> {
    let view = scene.view;
    n1_each_ledger_and_each_share(scene.checks, view, scene.seen, scene.config)?;
    n2_connections_and_streams(scene)?;
    n1_what_is_promised_is_reserved(scene)?;
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
    })?;
    let beyond = scene.seen.queue_beyond;
    scene.checks.check("N2", beyond <= again, || {
        format!("{beyond} requests wait beyond the limits of their queues, {again} wait again")
    })
}

/// **N1**: each ledger by itself, and what one client's connection has of it. Who has nothing is always given one window, which is a whole one until
/// its backend has read our SETTINGS.
pub fn n1_each_ledger_and_each_share(
    checks: &mut Checks,
    view: &View,
    seen: &Inspection,
    config: &Config,
) -> Result<(), Violation> {
    let window = u64::from(config.backend.initial_window_size).max(65_535);
    for (what, has, most) in [
        ("permits", seen.permits, config.ledger_octets),
        ("uploads", seen.uploads, config.upload_ledger_octets),
        ("replays", seen.replays, config.replay_ledger_octets),
        ("heads", view.head_octets, config.head_ledger_octets),
        ("permits of one client", seen.front_permits, config.ledger_front_octets.max(window)),
        ("replays of one client", seen.front_replays, config.replay_front_octets),
    ] {
        checks.check("N1", has <= most, || format!("{what}: {has} octets of {most}: {view:?}"))?;
    }
    let sum = seen.permits + seen.uploads + seen.replays;
    checks.check("N1", view.reserved_octets == sum, || format!("{view:?}, {seen:?}"))
}

/// **N2**: connections of clients, of all and of one, connections to backends, and streams of each client. (A stream beyond the limit is refused, whether its client has read our
/// SETTINGS or not, so none is counted.)
fn n2_connections_and_streams(scene: &mut Scene<'_>) -> Result<(), Violation> {
    let (view, seen, config) = (scene.view, scene.seen, scene.config);
    for (what, are, most) in [
        ("connections of clients", view.fronts, config.max_fronts),
        ("connections of one client", seen.client_fronts as usize, config.max_fronts_per_client),
        ("connections to backends", view.backends, config.backends_max),
        ("streams of one client", seen.front_streams, config.front.max_concurrent_streams),
    ] {
        scene
            .checks
            .check("N2", are <= most as usize, || format!("{are} {what}, {most} may be: {view:?}"))?;
    }
    Ok(())
}

/// **N1** once more: what backends may still send on streams that are open, and what has come of it and not left, is reserved.
fn n1_what_is_promised_is_reserved(scene: &mut Scene<'_>) -> Result<(), Violation> {
    // Before it has read our SETTINGS it has more, and that is reserved, too.
    let begins = u64::from(scene.config.backend.initial_window_size);
    let promised = |rid: &u64| {
        let trace = &scene.ledger.traces[rid];
        let last = trace.attempts.last().filter(|last| !last.is_over())?;
        let backend = &scene.police[last.link];
        if backend.is_over() || backend.is_hostile() || trace.is_answered() {
            return None;
        }
        Some(backend.open_window_of(last.stream, begins)? + last.received.saturating_sub(trace.sent))
    };
    let promised: u64 = scene.ledger.active.iter().filter_map(promised).sum();
    // (An earlier version took the memory of uploads and of replays for theirs, too.)
    let permits = scene.seen.permits;
    scene.checks.check("N1", promised <= permits, || {
        format!("{promised} octets are promised to backends, {permits} are reserved for them")
    })
}

/// **N5** (after every step). Who has cost more than its budget, with what nothing useful stands against, is not borne any longer.
pub fn n5_nobody_is_borne_for_ever(scene: &mut Scene<'_>) -> Result<(), Violation> {
    let most = u64::from(scene.config.front.misuse_max);
    for (link, police) in scene.police.iter().enumerate().filter(|(_, police)| !police.is_backend()) {
        let endured = police.endured(most);
        scene.checks.check("N5", endured.is_none(), || {
            format!("link {link} has cost {endured:?} points of {most}, and is there")
        })?;
    }
    Ok(())
}

/// What the connections there are may make the gateway hold: of each, its outbox up to twice the mark with one more frame
/// and a burst of answers, and one whole frame of input; of each request, what has come of its content in either direction, a window at
/// most, and once more what is kept to be sent again. Hostile clients have requests that nobody here knows.
fn buffered_octets_max(scene: &Scene<'_>) -> u64 {
    let config = scene.config;
    let frame = 16_384 + 9;
    let conn = |mark: usize| 2 * mark as u64 + 2 * frame + config.recv_buffer_octets as u64 + (128 << 10);
    let window =
        |side: &ConnectionConfig| u64::from(side.initial_window_size.max(side.stream_window_max)).max(65_535);
    let windows = [window(&config.front), window(&config.backend)];
    let content = |rid: &u64| {
        let trace = &scene.ledger.traces[rid];
        let kept = scene.ledger.upstream(*rid).map_or(0, |of| u64::from(of.retry.replay_octets));
        let came: u64 = trace.attempts.iter().map(|attempt| attempt.received).sum();
        (trace.received.min(windows[0]) + came.min(windows[1]), trace.received.min(kept))
    };
    let known = scene.ledger.active.iter().map(content);
    let (content, kept) = known.fold((0, 0), |(all, kept), (own, again)| (all + own, kept + again));
    let unknown = scene.police.iter().any(|police| !police.is_backend() && police.is_hostile());
    let (content, kept) = match unknown {
        true => (scene.view.requests as u64 * (windows[0] + windows[1]), config.replay_ledger_octets),
        false => (content, kept.min(config.replay_ledger_octets)),
    };
    scene.view.fronts as u64 * conn(config.front.outbox_high_mark)
        + scene.view.backends as u64 * conn(config.backend.outbox_high_mark)
        + content
        + kept
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
