//! Content and fields: whose they are, where they belong, when they end.

use super::Scene;
use crate::ledger::{Head, Ledger, Trace, Violation};

/// **D1** (after every step). What of a request's content leaves on an attempt is a prefix of what came from the client,
/// and all of it when END_STREAM leaves. What of a response's content leaves for the client is a prefix of what came on
/// the last attempt, and all of it on success. D2 proves each octet's owner and offset, so lengths suffice here.
pub fn d1_content_is_a_prefix(ledger: &mut Ledger, rid: u64) -> Result<(), Violation> {
    let Some(trace) = ledger.traces.get(&rid) else { return Ok(()) };
    let upload = trace.attempts.iter().all(|attempt| {
        let prefix = attempt.request_sent <= trace.received;
        prefix && (!attempt.request_ended || (trace.request_ended && attempt.request_sent == trace.received))
    });
    let download = trace.head != Some(Head::Backend)
        || trace.attempts.last().is_some_and(|last| {
            trace.sent <= last.received && (!trace.ended || (last.ended && trace.sent == last.received))
        });
    let text = (!upload || !download).then(|| format!("request {rid}: {trace:?}"));
    ledger.check("D1", text.is_none(), || text.unwrap_or_default())
}

/// **D2** (at the end, of the client's own account). Every octet of content at offset k is the one that belongs there, and
/// every tagged value belongs to its request. The police checks the same at the gateway's sockets.
pub fn d2_content_is_true(ledger: &mut Ledger, rid: u64, first_wrong: Option<u64>) -> Result<(), Violation> {
    ledger.check("D2", first_wrong.is_none(), || format!("response {rid} is wrong at octet {first_wrong:?}"))
}

/// **D4** (after every step). When the last octet is emitted and the end is known, the end marker is there as well: no end
/// waits for a window, for a turn or for a timer. Only output that its receiver does not take may be in front of it. (An earlier version
/// wanted the other side to take its output as well, and to be there.)
pub fn d4_the_end_leaves_at_once(scene: &mut Scene<'_>, rid: u64, trace: &Trace) -> Result<(), Violation> {
    let (Some((front, _)), Some(last)) = (trace.front, trace.attempts.last()) else { return Ok(()) };
    let (front, backend) = (&scene.police[front], &scene.police[last.link]);
    let response_due = front.takes_output()
        && backend.is_heard()
        && trace.head == Some(Head::Backend)
        && last.ended
        && !last.malformed
        && trace.sent == last.received
        && !trace.is_answered();
    scene.checks.premise("D4", last.ended && trace.ended && trace.sent == last.received);
    scene.checks.check("D4", !response_due, || format!("the end of response {rid} waits: {trace:?}"))?;
    let request_due = backend.takes_output()
        && front.is_heard()
        && trace.request_ended
        && last.request_sent == trace.received
        && !last.request_ended
        && !last.is_over()
        && !trace.is_answered();
    scene.checks.check("D4", !request_due, || format!("the end of request {rid} waits: {trace:?}"))
}
