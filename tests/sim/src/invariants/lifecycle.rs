//! The life of a request: records, places, answers.

use std::collections::BTreeMap;

use shuntyard_core::address::Address;
use shuntyard_core::config::Scope;
use shuntyard_core::gateway::{AttemptOutcome, AttemptRecord, Cause, EndRecord, Outcome, RequestId, View};
use shuntyard_core::time::Instant;

use crate::client::Answer;
use crate::ledger::{Attempt, Checks, Head, Ledger, Trace, Violation};
use crate::refcodec::{Field, value_of};
use crate::scenario::Exchange;
use crate::truth;

/// **L1** (at the end). For every request there is exactly one start record and exactly one end record, start first; at the
/// end of a run no request is without its end record. The first half stands in [`Ledger::record`]; this is the second.
pub fn l1_every_request_has_ended(ledger: &mut Ledger) -> Result<(), Violation> {
    let open: Vec<_> = ledger.started.difference(&ledger.ended).copied().collect();
    ledger.check("L1", open.is_empty(), || format!("no end record for {open:?}"))?;
    // A request that reached a backend was started.
    let attempted = ledger.traces.values().filter(|trace| !trace.attempts.is_empty()).count();
    let started = ledger.started.len();
    ledger.check("L1", started >= attempted, || {
        format!("{attempted} requests reached backends, {started} started")
    })
}

/// **L2** (at the end). The end record's outcome, status, octets and attempts are what the police saw on the wires, and so
/// are the records of attempts: a backend's response that ended is complete and nothing else, an answer of the gateway's own is told as one, and
/// whoever is said to have gone has. Octets are compared where all are told of: those of a response where it is complete, those of
/// a request where its end was passed on. Of others a part may have been counted that nobody saw any more, or have come when the account was closed.
pub fn l2_records_tell_what_happened(ledger: &mut Ledger) -> Result<(), Violation> {
    let mut attempts: BTreeMap<RequestId, Vec<AttemptRecord>> = BTreeMap::new();
    for attempt in &ledger.attempt_records {
        attempts.entry(attempt.request).or_default().push(attempt.clone());
    }
    let records = std::mem::take(&mut ledger.end_records);
    for record in &records {
        let rid = rid_of(record);
        let Some(trace) = rid.and_then(|rid| ledger.traces.get(&rid)).filter(|trace| !trace.malformed) else {
            continue;
        };
        let attempts = attempts.remove(&record.request).unwrap_or_default();
        let difference = record_differs(record, trace, ledger).or(attempts_differ(
            (rid.unwrap_or_default(), trace),
            &attempts,
            ledger,
        ));
        let text =
            difference.map(|what| format!("request {rid:?}: {what}: {record:?}, {attempts:?}, {trace:?}"));
        ledger.check("L2", text.is_none(), || text.unwrap_or_default())?;
    }
    ledger.end_records = records;
    Ok(())
}

/// The number of the request that a record is about.
pub(crate) fn rid_of(record: &EndRecord) -> Option<u64> {
    truth::rid_in(|name| record.fields.get(name.as_bytes()))
}

fn attempts_differ(
    (rid, trace): (u64, &Trace),
    records: &[AttemptRecord],
    ledger: &Ledger,
) -> Option<&'static str> {
    if records.len() != trace.attempts.len() {
        return Some("records of attempts");
    }
    for (n, (record, attempt)) in records.iter().zip(&trace.attempts).enumerate() {
        let complete = record.outcome == AttemptOutcome::Complete;
        if record.number as usize != n + 1 || record.stream_id != attempt.stream {
            return Some("number or stream of an attempt");
        }
        if complete && (!attempt.ended || record.response_octets != attempt.received) {
            return Some("a complete attempt");
        }
        let whole =
            attempt.ended_in_time && !attempt.malformed && !attempt.hostile && !attempt.reset_by_gateway;
        // What a backend has said whole needs memory all the same, where it is a head or trailers; and one that is told to calm down may have said it
        // in the same moment.
        let unkept =
            matches!(record.outcome, AttemptOutcome::Failed(Cause::MemoryLimit | Cause::BackendProtocol));
        if whole && attempt.reset.is_none() && !attempt.left_out && !complete && !unkept {
            return Some("a complete attempt that is told as another end");
        }
        if complete && Some(record.status) != attempt.status {
            return Some("status of an attempt");
        }
        let (told, sent) = (record.request_octets, attempt.request_sent);
        if told < sent || attempt.request_ended && told != sent {
            return Some("octets of the request on an attempt");
        }
        if !went_to(rid, record, attempt.link, ledger) {
            return Some("endpoint of an attempt");
        }
    }
    None
}

/// Whether the connection of an attempt was made to the endpoint that its record names.
fn went_to(rid: u64, record: &AttemptRecord, link: usize, ledger: &Ledger) -> bool {
    let Some(&target) = ledger.targets.get(&link) else { return true };
    // It may be of a configuration that is gone; whose it is stands in front of the address, if at all.
    let (address, upstream) = (Address::from(target).to_string(), ledger.upstream(rid));
    record.endpoint.strip_suffix(&*address).is_some_and(|scheme| scheme.is_empty() || scheme.ends_with("://"))
        && upstream.is_none_or(|upstream| upstream.name == record.upstream)
}

fn record_differs(record: &EndRecord, trace: &Trace, ledger: &Ledger) -> Option<&'static str> {
    let complete = record.outcome == Outcome::Complete;
    let local = matches!(record.outcome, Outcome::LocalReply(_));
    let by_backend = trace.head == Some(Head::Backend);
    if record.attempts as usize != trace.attempts.len() {
        return Some("attempts");
    }
    // What was made for a client that has gone, and of whom the gateway did not know that yet, nobody sees (seed 2021).
    let known = trace.front.and_then(|(link, _)| ledger.fronts_over.get(&link));
    let unseen = trace.client_gone
        && !trace.gone_known
        && known.is_none_or(|&since| record.ended <= Instant::from_nanos(since));
    let seen = by_backend && trace.ended && record.response_octets == trace.sent;
    if complete && !seen && !unseen {
        return Some("a complete response");
    }
    let passed_on = trace.attempts.last().is_some_and(|last| last.request_ended);
    let (told, came) = (record.request_octets, trace.received);
    if told > came && complete || passed_on && told != came {
        return Some("octets of the request");
    }
    if local && by_backend {
        return Some("a response of the gateway's own");
    }
    if by_backend && trace.ended && !complete {
        return Some("a complete response that is told as another end");
    }
    if matches!(trace.head, Some(Head::Local(_))) && trace.ended && !local {
        return Some("an answer of the gateway's own that is told as another end");
    }
    let is_gone = trace.client_gone || trace.left_out;
    if record.outcome == Outcome::ClientGone && !is_gone {
        return Some("a client that has not gone");
    }
    let status = match trace.head {
        Some(Head::Local(status)) => Some(status),
        Some(Head::Backend) => trace.status,
        None => None,
    };
    status.is_some_and(|status| record.status != status).then_some("status")
}

/// **L3** (after every step). Every live request is in exactly one place, and the number of live requests is the sum over
/// the places. Seen from outside: the places add up, the queue holds exactly the frozen ones, and records agree.
pub fn l3_places_add_up(ledger: &Ledger, checks: &mut Checks, view: &View) -> Result<(), Violation> {
    let places = view.frozen + view.live + view.finished;
    checks.check("L3", view.requests == places, || {
        format!("{} requests in {places} places: {view:?}", view.requests)
    })?;
    checks.check("L3", view.queued == view.frozen, || format!("{view:?}"))?;
    let open = ledger.started.len() - ledger.ended.len();
    checks.check("L3", open == view.requests, || format!("{open} requests by the records, {view:?}"))
}

/// **L6** (when a response ends). A response that did not end cleanly at the backend (no END_STREAM, content-length not
/// met, a malformed head, a reset) never ends cleanly at the client.
pub fn l6_only_whole_responses_end_cleanly(ledger: &mut Ledger, rid: u64) -> Result<(), Violation> {
    let trace = ledger.trace(rid);
    if trace.head != Some(Head::Backend) {
        return Ok(());
    }
    let last = trace.attempts.last().cloned().unwrap_or_default();
    ledger.check("L6", last.ended && !last.malformed, || {
        format!("the response to {rid} ends cleanly at the client, and did not at the backend: {last:?}")
    })
}

/// **L7** (at the end). Untouched by faults, an answer is exactly the script's; touched, it is that, or the gateway's own
/// error, or nothing.
///
/// What touches a request is said by the scenario, never by the gateway: its own script, its session, a backend that it may
/// have gone to, a limit that was made tight. And a client whose output was `full` may miss early hints: the response is worth more.
pub fn l7_answers_are_the_scripts(
    ledger: &mut Ledger,
    exchange: &Exchange,
    answer: &Answer,
    exact: bool,
    full: bool,
) -> Result<(), Violation> {
    let rid = exchange.rid;
    ledger.checks.premise("L7", exact);
    if exact {
        let id = if exchange.response.early { "D5" } else { "L7" };
        ledger
            .check(id, answer.ended && answer.is_from_backend(), || format!("request {rid}: {answer:?}"))?;
    }
    if !answer.ended {
        return Ok(());
    }
    if !answer.is_from_backend() {
        let status = answer.status().unwrap_or_default();
        return ledger.check("L7", matches!(status, 404 | 408 | 431 | 502..=504), || {
            format!("request {rid}: the gateway says {status}")
        });
    }
    if exchange.response.mischief.is_some() {
        // What the backend said instead is judged by L6.
        return Ok(());
    }
    let difference =
        truth::field_difference(rid, &truth::response_head(exchange), answer.head.as_deref().unwrap_or(&[]));
    let whole = answer.content == truth::response_length(exchange)
        && answer.trailers.is_some() == exchange.response.trailers
        && (answer.interim.len() == usize::from(exchange.response.interim)
            || full && answer.interim.len() < usize::from(exchange.response.interim));
    ledger.check("L7", whole && difference.is_none(), || format!("request {rid}: {difference:?}, {answer:?}"))
}

/// In a part of a queue's time that is so large something of the queue goes to a backend, where it moves at all.
const PART_OF_A_WAIT: u64 = 4;

/// **L7, D5**: what else touches a request is seen at the wires: others that had their turn in its queue for all the time that it may wait
/// there. (An earlier version took 200 seconds for endless. Where one stream is allowed at a time, some are refused 32 times, and the network
/// moves a KiB a second, they are not: seed 9014930. Whoever waits while nothing moves waits in vain, and is no exception.)
pub fn l7_the_queue_was_long(ledger: &Ledger, rid: u64, answer: &Answer) -> bool {
    let (Some(trace), Some(upstream)) = (ledger.traces.get(&rid), ledger.upstream(rid)) else { return false };
    let own = |other: &Trace| {
        upstream.share != Scope::Client || other.front.map(|at| at.0) == trace.front.map(|at| at.0)
    };
    let of = ledger.upstream_of.get(&rid);
    let same =
        ledger.traces.iter().filter(|(other, trace)| ledger.upstream_of.get(other) == of && own(trace));
    let time = u64::try_from(upstream.queue_timeout.as_nanos()).unwrap_or(u64::MAX);
    let until = trace.arrived.saturating_add(time);
    let turns = same.flat_map(|(_, trace)| &trace.attempts).map(|attempt| attempt.opened);
    let mut turns: Vec<_> =
        turns.filter(|at| (trace.arrived..until).contains(at)).chain([trace.arrived, until]).collect();
    turns.sort_unstable();
    let moves = turns.windows(2).all(|two| two[1] - two[0] <= time / PART_OF_A_WAIT);
    answer.status() == Some(503) && trace.head == Some(Head::Local(503)) && moves
}

/// **L7, E9, LIVE**: what a crowd explains. Where others stand still on all slots or in all memory, a request may wait for as long as its queue
/// lets it, having been on no backend that took it, and is told so.
pub fn l7_there_was_no_room(ledger: &Ledger, rid: u64, answer: &Answer) -> bool {
    let (Some(trace), Some(upstream)) = (ledger.traces.get(&rid), ledger.upstream(rid)) else { return false };
    let waited =
        |record: &EndRecord| record.ended.saturating_since(record.accepted) >= upstream.queue_timeout;
    answer.status() == Some(503)
        && trace.head == Some(Head::Local(503))
        && trace.attempts.iter().all(Attempt::is_unprocessed)
        && ledger.end_records.iter().any(|record| rid_of(record) == Some(rid) && waited(record))
}

/// **L8** (when a head leaves for the client). A failed attempt leaves no visible trace: the head is the last attempt's, by
/// the backend's own word for its connection and stream.
pub fn l8_the_head_is_the_last_attempts(
    ledger: &mut Ledger,
    rid: u64,
    fields: &[Field],
) -> Result<(), Violation> {
    let Some(from) = value_of(fields, "x-from") else { return Ok(()) };
    let from = String::from_utf8_lossy(from).into_owned();
    let last = ledger.trace(rid).attempts.last().map(|last| format!("{}.{}", last.link, last.stream));
    ledger.check("L8", last.as_ref() == Some(&from), || {
        format!("request {rid} is answered by {from}, its last attempt is {last:?}")
    })
}
