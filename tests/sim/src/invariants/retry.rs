//! Requests that are sent again.

use crate::ledger::{Ledger, Violation};
use crate::scenario::Method;

/// **R2, R3** (when a request is sent again). Nothing of a response may have left for the client; the attempt before must be
/// over; and a request that is not idempotent goes again only where the backend said that it did not process it.
pub fn r3_only_unprocessed_requests_are_sent_again(ledger: &mut Ledger, rid: u64) -> Result<(), Violation> {
    let trace = ledger.trace(rid).clone();
    let Some(last) = trace.attempts.last() else { return Ok(()) };
    let clean = trace.head.is_none() && trace.interim == 0 && trace.sent == 0 && !last.head;
    ledger.check("R2", clean, || format!("request {rid} again after a response began: {trace:?}"))?;
    ledger.check("R2", last.is_over(), || format!("request {rid} on two streams at a time: {trace:?}"))?;
    let idempotent = ledger.scripts.get(&rid).is_none_or(|exchange| exchange.request.method != Method::Post);
    let may = last.is_unprocessed() || (last.lost && idempotent);
    ledger.check("R3", may, || format!("request {rid} again: {last:?}"))
}

/// **R4, R5** (when a request goes to a backend). One counter bounds all attempts together; every attempt has the same head.
pub fn r4_r5_attempts_are_few_and_alike(ledger: &mut Ledger, rid: u64) -> Result<(), Violation> {
    let (attempts, most) = (ledger.traces[&rid].attempts.len(), ledger.attempts_max);
    ledger.check("R4", attempts <= most, || format!("request {rid} has {attempts} attempts of {most}"))?;
    let [.., before, last] = ledger.traces[&rid].attempts.as_slice() else { return Ok(()) };
    let alike = before.fields == last.fields;
    let text = (!alike).then(|| format!("request {rid}: {:?} and {:?}", before.fields, last.fields));
    ledger.check("R5", alike, || text.unwrap_or_default())
}
