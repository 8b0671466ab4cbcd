//! Requests that are sent again.

use super::Scene;
use crate::ledger::{Attempt, Ledger, Violation};
use crate::refcodec::frame;
use crate::scenario::Method;

/// **R2, R3** (when a request is sent again). Nothing of a response may have left for the client; the attempt before must be
/// over; and a request that may have been executed goes again only if it is idempotent, and not where the backend asked for
/// calm or for another protocol. (An earlier version allowed that only after the connection was lost; a stream that was
/// reset is no different by RFC 9110 section 9.2.2.)
pub fn r3_only_unprocessed_requests_are_sent_again(ledger: &mut Ledger, rid: u64) -> Result<(), Violation> {
    let trace = ledger.trace(rid).clone();
    let Some(last) = trace.attempts.last() else { return Ok(()) };
    let clean = trace.head.is_none() && trace.interim == 0 && trace.sent == 0;
    ledger.check("R2", clean, || format!("request {rid} again after a response began: {trace:?}"))?;
    let idempotent = ledger.scripts.get(&rid).is_none_or(|exchange| exchange.request.method != Method::Post);
    let final_codes = [frame::ENHANCE_YOUR_CALM, frame::HTTP_1_1_REQUIRED];
    let calm = last.reset.is_some_and(|code| final_codes.contains(&code));
    let may = last.is_unprocessed() || (idempotent && !calm);
    ledger.check("R3", may, || format!("request {rid} again: {last:?}"))
}

/// **R2** (after every step in which a request went to a backend). It is on one stream at a time.
pub fn r2_one_stream_at_a_time(scene: &mut Scene<'_>, rid: u64) -> Result<(), Violation> {
    let [before @ .., _] = scene.ledger.traces[&rid].attempts.as_slice() else { return Ok(()) };
    let over = |attempt: &Attempt| attempt.is_over() || scene.police[attempt.link].is_over();
    let all_over = before.iter().all(over);
    scene.checks.check("R2", all_over, || format!("request {rid} on two streams at a time: {before:?}"))
}

/// **R4, R5** (when a request goes to a backend). One counter bounds all attempts together; every attempt has the same head.
pub fn r4_r5_attempts_are_few_and_alike(ledger: &mut Ledger, rid: u64) -> Result<(), Violation> {
    let attempts = &ledger.traces[&rid].attempts;
    let (count, before) = (attempts.len(), &attempts[..attempts.len() - 1]);
    let executed = before.iter().filter(|attempt| !attempt.is_unprocessed()).count();
    let retry = ledger.upstream(rid).map(|upstream| upstream.retry.clone()).unwrap_or_default();
    // What was not processed has a limit of its own (B66), beside which the others may come.
    let (most, all) =
        (retry.attempts as usize, (retry.unprocessed_attempts + retry.attempts).saturating_sub(1) as usize);
    ledger.check("R4", executed < most.max(1) && count <= all.max(1), || {
        format!("request {rid} has {count} attempts of {all}, {executed} may have been executed, of {most}")
    })?;
    let [.., before, last] = ledger.traces[&rid].attempts.as_slice() else { return Ok(()) };
    let alike = before.fields == last.fields;
    let text = (!alike).then(|| format!("request {rid}: {:?} and {:?}", before.fields, last.fields));
    ledger.check("R5", alike, || text.unwrap_or_default())
}
