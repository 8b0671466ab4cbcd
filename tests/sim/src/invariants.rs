//! The invariants that span connections, each a function with its id, its words and its reasons.
//!
//! A check that turns out to be too strict is corrected here, with the reason; it is never silenced for a seed.

use shuntyard_core::gateway::View;

use crate::ledger::{Head, Ledger, Trace, Violation};
use crate::police::Police;
use crate::refcodec::frame;
use crate::scenario::Method;

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

/// **L3** (after every step). Every live request is in exactly one place, and the number of live requests is the sum over
/// the places. Seen from outside: the places add up, the queue holds exactly the frozen ones, and records agree.
pub fn l3_places_add_up(ledger: &mut Ledger, view: &View) -> Result<(), Violation> {
    let places = view.frozen + view.live + view.finished;
    ledger.check("L3", view.requests == places, || {
        format!("{} requests in {places} places: {view:?}", view.requests)
    })?;
    ledger.check("L3", view.queued == view.frozen, || format!("{view:?}"))?;
    let open = ledger.started.len() - ledger.ended.len();
    ledger.check("L3", open == view.requests, || format!("{open} requests by the records, {view:?}"))
}

/// **D1** (after every step). What of a request's content leaves on an attempt is a prefix of what came from the client,
/// and all of it when END_STREAM leaves. What of a response's content leaves for the client is a prefix of what came on
/// the last attempt, and all of it on success. D2 proves each octet's owner and offset, so lengths suffice here.
pub fn d1_content_is_a_prefix(ledger: &mut Ledger, rid: u64) -> Result<(), Violation> {
    let trace = ledger.trace(rid).clone();
    for attempt in &trace.attempts {
        let prefix = attempt.request_sent <= trace.received;
        let whole = !attempt.request_ended || (trace.request_ended && attempt.request_sent == trace.received);
        ledger.check("D1", prefix && whole, || format!("request {rid}: {attempt:?} of {trace:?}"))?;
    }
    if trace.head != Some(Head::Backend) {
        return Ok(());
    }
    let last = trace.attempts.last().cloned().unwrap_or_default();
    let prefix = trace.sent <= last.received;
    let whole = !trace.ended || (last.ended && trace.sent == last.received);
    ledger.check("D1", prefix && whole, || format!("response {rid}: {trace:?}"))
}

/// **D2** (at the end, of the client's own account). Every octet of content at offset k is the one that belongs there, and
/// every tagged value belongs to its request. The police checks the same at the gateway's sockets.
pub fn d2_content_is_true(ledger: &mut Ledger, rid: u64, first_wrong: Option<u64>) -> Result<(), Violation> {
    ledger.check("D2", first_wrong.is_none(), || format!("response {rid} is wrong at octet {first_wrong:?}"))
}

/// **E2** (after every step). From freeze to thaw nothing of a request is emitted: its client sees nothing but a local
/// final error. So whatever of a backend's response leaves, that response must have come on the last attempt; and what the
/// gateway says by itself is a final error. (That error may follow interim responses which were passed on while the request
/// was live: RFC 9110 section 15.2 lets any final response follow them. An earlier version forbade it.)
pub fn e2_a_frozen_request_shows_nothing(ledger: &mut Ledger, rid: u64) -> Result<(), Violation> {
    let trace = ledger.trace(rid).clone();
    let last = trace.attempts.last().cloned().unwrap_or_default();
    ledger.check("E2", trace.interim <= last.interim, || {
        format!("request {rid}: an interim response: {trace:?}")
    })?;
    let fine = match trace.head {
        None => true,
        Some(Head::Backend) => last.head,
        Some(Head::Local(status)) => (400..600).contains(&status),
    };
    ledger.check("E2", fine, || format!("request {rid}: a response from nowhere: {trace:?}"))
}

/// **R2, R3** (when a request is sent again). Nothing of a response may have left for the client; the attempt before must be
/// over; and a request that may have been executed goes again only if it is idempotent, and not where the backend asked for
/// calm or for another protocol. (An earlier version allowed that only after the connection was lost; a stream that was
/// reset is no different by RFC 9110 section 9.2.2.)
pub fn r3_only_unprocessed_requests_are_sent_again(ledger: &mut Ledger, rid: u64) -> Result<(), Violation> {
    let trace = ledger.trace(rid).clone();
    let Some(last) = trace.attempts.last() else { return Ok(()) };
    let clean = trace.head.is_none() && trace.interim == 0 && trace.sent == 0 && !last.head;
    ledger.check("R2", clean, || format!("request {rid} again after a response began: {trace:?}"))?;
    ledger.check("R2", last.is_over(), || format!("request {rid} on two streams at a time: {trace:?}"))?;
    let idempotent = ledger.scripts.get(&rid).is_none_or(|exchange| exchange.request.method != Method::Post);
    let final_codes = [frame::ENHANCE_YOUR_CALM, frame::HTTP_1_1_REQUIRED];
    let broke = last.lost || last.reset.is_some_and(|code| !final_codes.contains(&code));
    let may = last.is_unprocessed() || (broke && idempotent);
    ledger.check("R3", may, || format!("request {rid} again: {last:?}"))
}

/// **E6** (at the end). No request is lost: whatever happened to its engines, each request that a client sent has been
/// answered, by a backend or by the gateway, was reset, or was left out by GOAWAY; exactly once by construction of the
/// stream (police). A client that went away wants no answer.
pub fn e6_no_request_is_lost(ledger: &mut Ledger) -> Result<(), Violation> {
    let lost = |(_, trace): &(&u64, &Trace)| trace.front.is_some() && !trace.is_answered();
    let lost: Vec<(u64, Trace)> =
        ledger.traces.iter().filter(lost).map(|(&rid, trace)| (rid, trace.clone())).collect();
    ledger.check("E6", lost.is_empty(), || format!("no answer to {lost:?}"))
}

/// **W3** (after every step), stream level: credit for a request's content goes back to the client only as its octets are
/// cut for the backend, and the other way round. Padding is credited at once. Once a side is done with a stream the rest
/// is discarded and credited freely.
pub fn w3_credit_follows_content(ledger: &mut Ledger, police: &[Police]) -> Result<(), Violation> {
    let checked =
        ledger.traces.values().filter_map(|trace| credit_beyond_content(trace, police)).find_map(Result::err);
    ledger.check("W3", checked.is_none(), || checked.unwrap_or_default())
}

fn credit_beyond_content(trace: &Trace, police: &[Police]) -> Option<Result<(), String>> {
    let (Some((front, stream)), [attempt]) = (trace.front, trace.attempts.as_slice()) else { return None };
    if trace.is_answered() || trace.head.is_some_and(|head| head != Head::Backend) || attempt.is_over() {
        return None;
    }
    let (front, backend) = (&police[front], &police[attempt.link]);
    let uploaded = (front.credit_of(stream)?, attempt.request_sent);
    let downloaded = (backend.credit_of(attempt.stream)?, trace.sent);
    let fine = |(credit, cut): (u64, u64)| credit <= cut;
    let message =
        || format!("credit and octets cut: upload {uploaded:?}, download {downloaded:?} of {trace:?}");
    Some(if fine(uploaded) && fine(downloaded) { Ok(()) } else { Err(message()) })
}

/// **W3, W4** (at rest), connection level: with no stream open nothing is held, so no more credit than half a window may be
/// outstanding, whatever was reset, padded or discarded before.
pub fn w3_no_credit_is_lost(ledger: &mut Ledger, police: &Police) -> Result<(), Violation> {
    if police.open_streams() > 0 {
        return Ok(());
    }
    let (window, configured) = (police.receive_window(), police.configured_window());
    ledger.check("W3", window * 2 >= configured, || {
        format!("{}: a receive window of {window} at rest, configured {configured}", police.describe())
    })
}

/// **C5** (at rest). Each SETTINGS and PING was acknowledged. Order and number are the police's.
pub fn c5_everything_is_acknowledged(ledger: &mut Ledger, police: &Police) -> Result<(), Violation> {
    let open = police.unacknowledged();
    ledger.check("C5", open.is_none(), || open.unwrap_or_default())
}

/// **Q1** (after the drain). `Drained` came, no connection is left, and the gateway holds nothing.
pub fn q1_nothing_is_left(
    ledger: &mut Ledger,
    drained: bool,
    links: usize,
    view: &View,
) -> Result<(), Violation> {
    ledger.check("Q1", drained, || "no Action::Drained".into())?;
    ledger.check("Q1", links == 0, || format!("{links} connections of the adapter are open"))?;
    ledger.check("Q1", *view == View::default(), || format!("{view:?}"))
}

/// **X1** (by comparing runs). The same scenario gives the same log of actions and octets.
pub fn x1_runs_are_equal(ledger: &mut Ledger, first: u64, second: u64) -> Result<(), Violation> {
    ledger.check("X1", first == second, || format!("log hashes {first:016x} and {second:016x}"))
}
