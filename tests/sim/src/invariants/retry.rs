//! Requests that are sent again.

use shuntyard_core::config::Config;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::{Cause, EndRecord, Outcome};

use super::{Scene, is_hopeless, rid_of};
use crate::ledger::{Attempt, Checks, Ledger, Thaw, Violation};
use crate::police::Police;
use crate::refcodec::frame;
use crate::scenario::Method;
use crate::world::{MILLI, Nanos};

/// **R1** (when a request is sent again). Only what may have been kept from its first octet goes again: no attempt before had more of its
/// content than is kept of a request. That it begins with its first octet and leaves none out is D1 and D2.
pub fn r1_only_what_may_be_kept_is_sent_again(ledger: &mut Ledger, rid: u64) -> Result<(), Violation> {
    let trace = &ledger.trace(rid).attempts;
    let Some(given) = trace.iter().map(|attempt| attempt.request_sent).max() else { return Ok(()) };
    let most = ledger.upstream(rid).map_or(u64::MAX, |of| of.retry.replay_octets.into());
    ledger.check("R1", given <= most, || {
        format!("request {rid} again after {given} octets of its content, {most} are kept")
    })
}

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
    // What stands behind a frame that has broken the protocol was not heard.
    let heard = !(last.hostile && last.lost);
    let calm = heard && last.reset.is_some_and(|code| final_codes.contains(&code));
    let may = last.is_unprocessed() || (idempotent && !calm);
    ledger.check("R3", may, || format!("request {rid} again: {last:?}"))
}

/// The shortest pause before a request goes again that was refused so often: half of what it may be.
fn shortest_pause(refused: usize) -> Nanos {
    match refused {
        0 | 1 => 0,
        n => ((10 * MILLI) << (n - 2).min(10)).min(250 * MILLI) / 2,
    }
}

/// **R7** (after every step in which a request is sent again). Not before its pause is over: who was refused twice waits,
/// twice as long each time. A queue's deadline that comes first ends the pause. (Of a connection that has failed nobody can
/// say whether the refusal was looked at before. That it has failed shows at the end of the step: an earlier version asked
/// when the request went out, which may be before the connection's GOAWAY does, and took a refusal behind a frame that had
/// broken the protocol for one that had been heard. And a stream that was reset with another code is no refusal because a
/// GOAWAY, later, leaves it out.)
pub fn r7_pauses_are_kept(ledger: &Ledger, checks: &mut Checks, thaw: &Thaw) -> Result<(), Violation> {
    let trace = &ledger.traces[&thaw.rid];
    let before = trace.attempts.get(..thaw.attempt).unwrap_or_default();
    let looked_at = |attempt: &Attempt| !attempt.lost || attempt.left_out || attempt.never_left;
    let is_refusal = |of: &Attempt| of.is_unprocessed() && !of.told_late;
    let refused = before.iter().filter(|of| is_refusal(of) && looked_at(of)).count();
    let last = before.last().filter(|last| is_refusal(last) && !last.lost);
    let Some(at) = last.and_then(|last| last.refused_at) else { return Ok(()) };
    let queue = ledger.upstream(thaw.rid).and_then(|of| u64::try_from(of.queue_timeout.as_nanos()).ok());
    let queue = queue.unwrap_or(u64::MAX);
    let left = trace.arrived.saturating_add(queue).saturating_sub(at);
    let (pause, waited) = (shortest_pause(refused).min(left), thaw.at.saturating_sub(at));
    let rid = thaw.rid;
    checks.check("R7", waited >= pause, || {
        format!("request {rid} again after {waited} ns, its pause after {refused} refusals is {pause} ns")
    })
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

/// **R8** (when a request ends). Who was told by its backend that it was not processed is not told so in turn: while its attempts and
/// the time of a response are not used up and its content is kept, it is sent again (RFC 9113 section 8.7). Of a connection that is over, or whose input is not
/// read or not sound, nobody can say what was looked at.
pub fn r8_the_unprocessed_go_again(
    ledger: &mut Ledger,
    police: &[Police],
    record: &EndRecord,
    config: &Config,
) -> Result<(), Violation> {
    let refused =
        matches!(record.outcome, Outcome::LocalReply(Cause::BackendReset(ErrorCode::REFUSED_STREAM)));
    let left_out = record.outcome == Outcome::LocalReply(Cause::ConnectionTerminated);
    let Some(rid) = rid_of(record).filter(|_| refused || left_out) else {
        return Ok(());
    };
    let (Some(trace), Some(upstream)) = (ledger.traces.get(&rid), ledger.upstream(rid)) else {
        return Ok(());
    };
    let Some(last) = trace.attempts.last().filter(|_| !ledger.drain_excuses(trace)) else { return Ok(()) };
    let connection = &police[last.link];
    let told = last.is_unprocessed()
        && !(last.told_late || last.lost)
        && !(connection.is_over() || connection.is_hostile() || connection.paused);
    let silent = trace.head.is_none() && trace.attempts.iter().all(|of| of.interim == 0 && !of.head);
    // What all content there ever was needs is there for each.
    let kept = config.replay_ledger_octets.min(config.replay_front_octets);
    let all: u64 = ledger.traces.values().map(|trace| trace.received).sum();
    let held =
        trace.received <= u64::from(upstream.retry.replay_octets) && (trace.received == 0 || all <= kept);
    // Once backends have had it for as long as a response may take, all attempts together, it is not sent again.
    let in_time = record.ended.saturating_since(record.accepted) < config.timeouts.response;
    let again = in_time && (trace.attempts.len() as u32) < upstream.retry.unprocessed_attempts;
    let owed =
        told && silent && held && again && !is_hopeless(ledger, police, (upstream, trace.arrived), config);
    let text = owed.then(|| format!("request {rid} is told, {:?}: {trace:?}", record.outcome));
    ledger.checks.premise("R8", told && silent);
    ledger.check("R8", text.is_none(), || text.unwrap_or_default())
}
