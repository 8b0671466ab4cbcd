//! Engines: freeze and thaw, the registry, who may use which connection.

use std::collections::BTreeMap;

use super::Scene;
use crate::ledger::{Head, Ledger, Trace, Violation};

/// **E1, E4, E7, E8, E12** (after every step), as far as counts show them.
///
/// E1: no more engines than the configuration allows to an endpoint. E4: whoever is frozen has an engine or a dial that it
/// waits for. E7: an engine has a connection of its own, so there are no more engines than backend connections. E8: nobody is
/// frozen while a usable connection has a free slot and the ledger has memory. E12: what is live is what has an attempt that
/// is not over.
pub fn e_engines_and_queue(scene: &mut Scene<'_>) -> Result<(), Violation> {
    let view = scene.view;
    scene.checks.check("E7", view.engines <= view.backends, || format!("{view:?}"))?;
    let served = view.queued == 0 || view.engines > 0 || scene.draining;
    scene.checks.check("E4", served, || format!("requests wait for nobody: {view:?}"))?;
    let most = scene.ledger.engines_max;
    scene.checks.check("E1", view.engines <= most, || format!("{} engines of {most}", view.engines))?;
    e8_nobody_waits_beside_a_free_slot(scene)?;
    e12_assigned_is_queued_and_live(scene)
}

fn e8_nobody_waits_beside_a_free_slot(scene: &mut Scene<'_>) -> Result<(), Violation> {
    let (view, config) = (scene.view, scene.config);
    let window = u64::from(config.backend.initial_window_size).max(65_535);
    let memory = view.reserved_octets + window <= config.ledger_octets;
    if view.queued == 0 || !memory || scene.draining {
        return Ok(());
    }
    let cap = config.backend.max_concurrent_streams_cap;
    let free = scene.police.iter().position(|police| police.has_free_slot(cap));
    scene.checks.check("E8", free.is_none(), || {
        format!("{} requests are frozen while link {free:?} has a free slot: {view:?}", view.queued)
    })
}

fn e12_assigned_is_queued_and_live(scene: &mut Scene<'_>) -> Result<(), Violation> {
    let blocked = scene.police.iter().any(|police| !police.is_over() && (police.waiting() > 0 || police.paused));
    if blocked || scene.draining {
        return Ok(());
    }
    let mut live = 0;
    for rid in &scene.ledger.active {
        let trace = &scene.ledger.traces[rid];
        let last = trace.attempts.last();
        live += usize::from(last.is_some_and(|last| !last.is_over()) && !trace.is_answered());
    }
    let view = scene.view;
    scene.checks.check("E12", live == view.live, || format!("{live} live by what crossed the wires, {view:?}"))
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

/// **E3** (after every step). Who is frozen gets no credit back on its stream: the window that it opened with is all that
/// can be buffered for it.
pub fn e3_frozen_requests_get_no_credit(
    scene: &mut Scene<'_>,
    rid: u64,
    trace: &Trace,
) -> Result<(), Violation> {
    let Some((front, stream)) = trace.front.filter(|_| trace.attempts.is_empty()) else { return Ok(()) };
    if trace.is_answered() || trace.head.is_some() {
        return Ok(());
    }
    let credit = scene.police[front].credit_of(stream).unwrap_or(0);
    scene.checks.check("E3", credit == 0, || format!("request {rid} is frozen and got {credit} octets back"))
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

/// **E8** (when a request gets its first stream). Requests of one front are thawed in the order in which they were frozen.
/// Those that were live before go first of all and are not compared.
pub fn e8_first_come_first_thawed(ledger: &mut Ledger, rid: u64) -> Result<(), Violation> {
    let trace = &ledger.traces[&rid];
    let (Some((link, stream)), 1) = (trace.front, trace.attempts.len()) else { return Ok(()) };
    let earlier = |other: &u64| {
        let other = &ledger.traces[other];
        let frozen = other.attempts.is_empty() && !other.is_answered() && other.head.is_none() && !other.malformed;
        frozen && other.front.is_some_and(|(l, s)| l == link && s < stream)
    };
    let overtaken = ledger.active.iter().copied().find(earlier);
    ledger.check("E8", overtaken.is_none(), || format!("request {rid} overtakes {overtaken:?}"))
}

/// **E10** (when a request goes to a backend). Nothing is asked for a client that has gone, once the gateway knows it.
pub fn e10_nothing_is_asked_for_who_has_gone(ledger: &mut Ledger, rid: u64) -> Result<(), Violation> {
    let gone = ledger.traces[&rid].front.is_some_and(|(link, _)| ledger.fronts_over.contains(&link));
    ledger.check("E10", !gone, || format!("request {rid} goes to a backend, its client has gone"))
}

/// **E10** (after every step). The end of a session ends its requests: what was in flight has been reset.
pub fn e10_who_has_gone_holds_no_stream(
    scene: &mut Scene<'_>,
    rid: u64,
    trace: &Trace,
) -> Result<(), Violation> {
    let (Some((front, _)), Some(last)) = (trace.front, trace.attempts.last()) else { return Ok(()) };
    if !scene.ledger.fronts_over.contains(&front) || scene.police[last.link].waiting() > 0 {
        return Ok(());
    }
    let over = last.is_over() || scene.police[last.link].is_over();
    scene.checks.check("E10", over, || format!("request {rid} is in flight, its client has gone: {trace:?}"))
}

/// **I3** (at the end). Streams served to each of the fronts, for whoever compares them.
pub fn served_by_front(ledger: &Ledger) -> BTreeMap<usize, usize> {
    let mut served = BTreeMap::new();
    for trace in ledger.traces.values().filter(|trace| trace.head == Some(Head::Backend)) {
        if let Some((link, _)) = trace.front {
            *served.entry(link).or_default() += 1;
        }
    }
    served
}
