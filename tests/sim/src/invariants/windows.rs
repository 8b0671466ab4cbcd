//! Flow control across connections: credit, what is held, and that nothing waits which could leave.

use shuntyard_core::gateway::View;

use super::Scene;
use crate::ledger::{Checks, Head, Ledger, Trace, Violation};
use crate::police::Police;

/// **W3** (after every step), stream level: credit for a request's content goes back to the client only as its octets are
/// cut for the backend, and the other way round. Padding is credited at once. Once a side is done with a stream the rest
/// is discarded and credited freely.
pub fn w3_credit_follows_content(scene: &mut Scene<'_>, rid: u64, trace: &Trace) -> Result<(), Violation> {
    let (Some((front, stream)), [attempt]) = (trace.front, trace.attempts.as_slice()) else { return Ok(()) };
    if trace.is_answered() || trace.head.is_some_and(|head| head != Head::Backend) || attempt.is_over() {
        return Ok(());
    }
    let (front, backend) = (&scene.police[front], &scene.police[attempt.link]);
    let uploaded = (front.credit_of(stream).unwrap_or(0), attempt.request_sent);
    let downloaded = (backend.credit_of(attempt.stream).unwrap_or(0), trace.sent);
    let fine = |(credit, cut): (u64, u64)| credit <= cut;
    scene.checks.check("W3", fine(uploaded) && fine(downloaded), || {
        format!(
            "request {rid}: credit and octets cut: upload {uploaded:?}, download {downloaded:?} of {trace:?}"
        )
    })
}

/// **W2** (after every step). A window that a peer raised beyond 2^31-1 ends its stream, or the connection (9113 section 6.9.1).
pub fn w2_an_overflow_is_an_error(scene: &mut Scene<'_>) -> Result<(), Violation> {
    for (link, police) in scene.police.iter().enumerate() {
        let swallowed = police.swallowed_overflow();
        scene.checks.check("W2", swallowed.is_none(), || {
            format!("link {link}: the window of stream {swallowed:?} overflowed, and nothing came of it")
        })?;
    }
    Ok(())
}

/// **W4** (after every step). With no stream open on a connection all that it received has been given back, or is owed: by the
/// gateway's own account, to the octet. What the peers see of that is judged at rest.
pub fn w4_no_octet_is_uncredited(checks: &mut Checks, view: &View) -> Result<(), Violation> {
    let lost = view.credit_lost;
    checks.check("W4", lost == 0, || format!("{lost} octets get no credit: {view:?}"))
}

/// **W4** (at rest), connection level: with no stream open nothing is held, so no more credit than half a window may be
/// outstanding, whatever was reset, padded or discarded before.
pub fn w4_no_credit_is_lost(ledger: &mut Ledger, police: &Police) -> Result<(), Violation> {
    if police.open_streams() > 0 || police.is_silent() {
        return Ok(());
    }
    let (window, configured) = (police.receive_window(), police.configured_window());
    ledger.check("W4", window * 2 >= configured, || {
        format!("{}: a receive window of {window} at rest, configured {configured}", police.describe())
    })
}

/// **W5** (after every step). What came from one side and has not left for the other fits the window that the sender was
/// given: so it is bounded for each stream, and by the ledgers for all of them. Content behind the whole of an early response goes nowhere:
/// it is thrown away as it comes, also while that response waits for its client. (An earlier version took it for held: seed 30007563.)
pub fn w5_what_is_held_fits_the_window(
    scene: &mut Scene<'_>,
    rid: u64,
    trace: &Trace,
) -> Result<(), Violation> {
    let Some((front, _)) = trace.front.filter(|_| !trace.is_answered()) else { return Ok(()) };
    if scene.police[front].is_hostile() || trace.attempts.len() > 1 {
        return Ok(());
    }
    let upload = trace.attempts.last().map_or(0, |last| last.request_sent);
    let window = u64::from(scene.config.front.initial_window_size).max(65_535);
    let goes_nowhere = trace.attempts.last().is_some_and(|last| last.ended && !last.malformed);
    let held = if goes_nowhere { 0 } else { trace.received.saturating_sub(upload) };
    scene
        .checks
        .check("W5", held <= window, || format!("request {rid}: {held} octets held, window {window}"))?;
    let Some(last) = trace.attempts.last().filter(|last| !last.is_over()) else { return Ok(()) };
    if scene.police[last.link].is_hostile() {
        return Ok(());
    }
    let config = &scene.config.backend;
    let window = u64::from(config.initial_window_size.max(config.stream_window_max)).max(65_535);
    let held = last.received.saturating_sub(trace.sent);
    scene
        .checks
        .check("W5", held <= window, || format!("response {rid}: {held} octets held, window {window}"))
}

/// **W6** (after every step). Work conservation: what came from one side, and for which both windows of the other are open,
/// has left, unless output in front of it is not taken; a response's head needs no window. No stream waits for an event that already happened.
pub fn w6_what_can_leave_has_left(scene: &mut Scene<'_>, rid: u64, trace: &Trace) -> Result<(), Violation> {
    let (Some((front, stream)), Some(last)) = (trace.front, trace.attempts.last()) else { return Ok(()) };
    let (front, backend) = (&scene.police[front], &scene.police[last.link]);
    let head = last.head && trace.head.is_none() && !last.malformed && !trace.is_answered();
    let still = !last.is_over() || (last.ended && !last.lost);
    let head_due = head && still && front.takes_output() && front.is_heard() && backend.is_heard();
    scene
        .checks
        .check("W6", !head_due, || format!("the head of response {rid} waits for nothing: {trace:?}"))?;
    if trace.is_answered() || front.is_over() || backend.is_over() || front.paused || backend.paused {
        return Ok(());
    }
    let download = trace.head == Some(Head::Backend)
        && !last.malformed
        && last.received > trace.sent
        && front.could_send(stream);
    scene.checks.premise("W6", trace.head == Some(Head::Backend) && last.received > trace.sent);
    scene
        .checks
        .check("W6", !download, || format!("content of response {rid} waits for nothing: {trace:?}"))?;
    let upload = !last.is_over()
        && !trace.malformed
        && trace.received > last.request_sent
        && backend.could_send(last.stream);
    scene.checks.check("W6", !upload, || format!("content of request {rid} waits for nothing: {trace:?}"))
}
