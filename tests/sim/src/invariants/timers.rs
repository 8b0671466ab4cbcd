//! Deadlines.

use shuntyard_core::config::{Config, Saturation, UpstreamConfig};
use shuntyard_core::gateway::{Cause, EndRecord, Inspection, Outcome, View};
use shuntyard_core::time::{Duration, Instant};

use super::{Scene, rid_of};
use crate::ledger::{Checks, Ledger, Violation};

/// **T1** (after every step). `poll_timeout` names the earliest of all deadlines that are armed.
pub fn t1_the_earliest_deadline_is_named(
    checks: &mut Checks,
    next: Option<Instant>,
    earliest: Option<Instant>,
) -> Result<(), Violation> {
    checks.check("T1", next == earliest, || format!("{next:?} is named, {earliest:?} is the earliest"))
}

/// **T2, T3** (after every step). Whoever waits, waits against a deadline of its own: each request that is frozen or with a backend, each
/// connection in a phase that ends some time, or whose output waits. And none belongs to the dead: each is known to what it is for.
pub fn t_deadlines_are_armed(scene: &mut Scene<'_>) -> Result<(), Violation> {
    let view = scene.view;
    t2_t3_each_has_its_deadline(scene.checks, view, scene.seen)?;
    // A front with streams that all wait for their backend has no deadline of its own; the requests have.
    let somebody = view.requests > 0 || view.fronts + view.backends > 0;
    scene.checks.check("T2", !somebody || scene.next_timeout.is_some(), || {
        format!("nothing will ever wake the gateway: {view:?}")
    })?;
    // Of a connection: its phase, its output, its age, its PING. Of a request: what it waits for, and its route's limit.
    let most = 4 * (view.fronts + view.backends) + 2 * view.requests + 2 * scene.ledger.endpoints + 4;
    scene.checks.check("T3", view.deadlines <= most, || format!("{view:?}, at most {most} deadlines"))
}

/// **T2, T3** once more, each by itself.
pub fn t2_t3_each_has_its_deadline(
    checks: &mut Checks,
    view: &View,
    seen: &Inspection,
) -> Result<(), Violation> {
    let bare = seen.unwatched_requests + seen.unwatched_conns;
    checks.check("T2", bare == 0, || format!("{bare} wait without a deadline: {view:?}, {seen:?}"))?;
    let stray = seen.stray_deadlines;
    checks.check("T3", stray == 0, || format!("{stray} deadlines are for nobody: {view:?}"))
}

/// Whether the request's client was cut off.
fn is_left_out(ledger: &Ledger, record: &EndRecord) -> bool {
    rid_of(record).and_then(|rid| ledger.traces.get(&rid)).is_some_and(|trace| trace.left_out)
}

/// **T4** (when a request ends for a deadline). It acts when its time has come and never earlier. Three causes can be judged from outside: a
/// response that does not come, a queue, content that stands still. Deadlines of connections (connect, preface, field block, idle,
/// write stall, linger, PING, age) are not: `core/tests/failures/deadlines.rs`, `core/tests/engines` and `core/tests/gateway_stalls.rs` have them.
pub fn t4_no_deadline_acts_early(
    ledger: &mut Ledger,
    record: &EndRecord,
    config: &Config,
) -> Result<(), Violation> {
    let cause = match record.outcome {
        Outcome::LocalReply(cause) | Outcome::Truncated(cause) => cause,
        Outcome::Complete | Outcome::ClientGone | Outcome::ClientError => return Ok(()),
    };
    let since = |from| record.ended.saturating_since(from);
    let (waited, limit) = match cause {
        // The last attempt may be a later one than that which waited in vain: so it is judged from the begin. Where the
        // response had begun, or the backend does not take the request, it is content that stands still. (An earlier
        // version did not know that a backend can be to blame for that, too.)
        // Who was with no backend has waited for a connection that took no output: it is told when that is given up, by a clock
        // that began with the connection. (An earlier version took it for the request's: seed 7057.)
        Cause::ResponseTimeout if record.attempts == 0 => return Ok(()),
        Cause::ResponseTimeout => {
            let timeouts = &config.timeouts;
            let last = rid_of(record).and_then(|rid| ledger.traces.get(&rid)?.attempts.last());
            if last.is_some_and(|last| last.lost) {
                // Its connection was given up: that took no output before the request came to it. (An earlier version took
                // the deadline for the request's.)
                return Ok(());
            }
            let sent = last.is_some_and(|last| last.request_ended);
            // Who waits to be told to go on owes nothing before that.
            let trace = rid_of(record).filter(|rid| ledger.expecting.contains(rid));
            let trace = trace.and_then(|rid| ledger.traces.get(&rid));
            // Of interim responses 100 alone tells it.
            let awaits = trace.is_some_and(|trace| trace.received == 0);
            let is_asked = matches!(record.outcome, Outcome::LocalReply(_)) && (sent || awaits);
            (since(record.accepted), if is_asked { timeouts.response } else { timeouts.stream_idle })
        }
        Cause::QueueLimit if record.ended > record.accepted && record.attempts == 0 => {
            // A queue that is full, or a policy that lets nobody wait, need no time: its own.
            let full = |u: &&UpstreamConfig| u.on_saturation == Saturation::Refuse || u.queue_max < 1000;
            let upstream = rid_of(record).and_then(|rid| ledger.upstream(rid));
            let limit = upstream.filter(|of| !full(of)).map(|upstream| upstream.queue_timeout);
            (since(record.accepted), limit.unwrap_or_default())
        }
        // Its connection took no output, by a clock of its own.
        Cause::StreamIdle if is_left_out(ledger, record) => return Ok(()),
        Cause::StreamIdle => {
            (since(record.accepted), config.timeouts.stream_idle.min(config.timeouts.write_stall))
        }
        _ => return Ok(()),
    };
    let limit = config.routes.iter().filter_map(|route| route.timeout).fold(limit, Duration::min);
    // A backend that takes no output for too long is a response that does not come.
    let limit = if cause == Cause::ResponseTimeout { limit.min(config.timeouts.write_stall) } else { limit };
    ledger.check("T4", waited >= limit, || format!("after {waited:?} of {limit:?}: {record:?}"))
}
