//! Engines: freeze and thaw, the registry, who may use which connection.

use std::collections::BTreeMap;

use shuntyard_core::config::{Config, Host, Scope, UpstreamConfig};
use shuntyard_core::gateway::{Cause, EndRecord, Outcome};

use super::{Scene, rid_of};
use crate::ledger::{Attempt, Head, Ledger, Thaw, Trace, Violation};
use crate::world::{Nanos, SECOND};

/// **E1, E4, E5, E7, E8, E12** (after every step), as far as counts show them.
///
/// E4: while no backend connection has ended unused in the last minute (then its endpoint may rest), whoever is frozen waits for memory, or has an engine or a dial that it waits for, or a connection whose backend allows no stream for now
/// (one that carries nothing is deregistered even so; the next limit that its backend tells brings it back). E5: a backend
/// connection that nobody uses is closed when its time is over. E7: an engine has a connection of its own, so there are no
/// more engines than backend connections. E8: nobody is frozen while a connection that serves its kind has a free slot and
/// the ledger has memory. E12: what is live is what has an attempt that is not over.
pub fn e_engines_and_queue(scene: &mut Scene<'_>) -> Result<(), Violation> {
    let view = scene.view;
    scene.checks.check("E7", view.engines <= view.backends, || format!("{view:?}"))?;
    let served = view.queued == 0
        || view.engines + view.backends > 0
        || scene.draining
        || scene.late
        || rests_or_pauses(scene)
        || !has_memory(scene);
    scene.checks.check("E4", served, || format!("requests wait for nobody: {view:?}"))?;
    e4_who_waits_has_somebody(scene)?;
    for &link in &scene.ledger.dialled {
        e1_engines_are_few(scene, link)?;
    }
    e5_idle_connections_go(scene)?;
    e8_nobody_waits_beside_a_free_slot(scene)?;
    e12_assigned_is_queued_and_live(scene)
}

/// Whether an endpoint may rest, or somebody who goes again may have to pause before. (An earlier version took any connection that was over for
/// a reason, so that a run had no more of E4 once the first had been idle for too long.)
fn rests_or_pauses(scene: &Scene<'_>) -> bool {
    let now = scene.ledger.now;
    let again = |rid: &u64| {
        let trace = &scene.ledger.traces[rid];
        !trace.attempts.is_empty() && trace.attempts.iter().all(Attempt::is_over)
    };
    scene.police.iter().any(|police| police.may_rest_its_endpoint(now))
        || scene.ledger.active.iter().any(again)
}

/// E4 once more, for requests that were with no backend yet and may be with any: where an endpoint and the gateway have room for a connection, connections that go away are nobody to wait for.
/// (An earlier version counted them, and could not see that a queue was forgotten with the engine that GOAWAY took away.)
fn e4_who_waits_has_somebody(scene: &mut Scene<'_>) -> Result<(), Violation> {
    let (view, ledger, police) = (scene.view, scene.ledger, scene.police);
    let backends = || police.iter().filter(|police| police.is_backend());
    // An endpoint may rest, or be closed.
    let is_plain = |police: &crate::police::Police| {
        !police.may_rest_its_endpoint(ledger.now) && (police.is_over() || !police.allows_nothing())
    };
    if view.queued == 0
        || view.engines > 0
        || view.backends >= scene.config.backends_max as usize
        || scene.draining
        || scene.late
        || !has_memory(scene)
        || !backends().all(is_plain)
    {
        return Ok(());
    }
    let connections = |upstream: &UpstreamConfig, host: &Host| {
        let to = |link: &usize| ledger.targets.get(link).is_some_and(|&to| *host == Host::Address(to.into()));
        let there = |link: &usize| police[*link].is_backend() && !police[*link].closed;
        let own = (0..police.len()).filter(there).filter(to).count();
        own < upstream.connections_max as usize
    };
    let deserted = ledger.active.iter().find(|&rid| {
        let trace = &ledger.traces[rid];
        let frozen = trace.attempts.is_empty() && trace.head.is_none() && !trace.malformed;
        let (Some((front, _)), Some(upstream)) = (trace.front, ledger.upstream(*rid)) else { return false };
        let served = |link: usize| police[link].is_engine() && leads_to(ledger, link, upstream);
        frozen
            && !trace.is_answered()
            && !police[front].paused
            && upstream.share != Scope::Client
            && upstream.endpoints.iter().any(|endpoint| connections(upstream, &endpoint.host))
            && !(0..police.len()).any(|link| police[link].is_backend() && served(link))
    });
    scene.checks.check("E4", deserted.is_none(), || {
        format!("request {deserted:?} waits for connections that go away: {view:?}")
    })
}

/// **E1** (after every step in which a connection was ordered). No more engines than the configuration allows to an
/// endpoint. A connection that is going away is no engine any more, nor is one that may have become old: what goes on on it goes on beside its
/// successor.
fn e1_engines_are_few(scene: &mut Scene<'_>, link: usize) -> Result<(), Violation> {
    let (ledger, police) = (scene.ledger, scene.police);
    let age = u64::try_from(scene.config.timeouts.backend_age.as_nanos()).unwrap_or(u64::MAX);
    let is_young = |at: usize| police[at].age(ledger.now) < age - age / 10;
    let Some(&target) = ledger.targets.get(&link) else { return Ok(()) };
    let upstreams = ledger.upstreams.iter().filter(|upstream| leads_to(ledger, link, upstream));
    let most: usize = upstreams.map(|upstream| upstream.connections_max as usize).sum();
    let engines = ledger
        .targets
        .iter()
        .filter(|&(&at, &to)| to == target && police[at].is_engine() && is_young(at))
        .count();
    scene.checks.check("E1", engines <= most, || {
        format!("link {link} is connection {engines} to {target}, at most {most} may be")
    })
}

/// **E5** (after every step). An engine that nobody needs gives its connection up when the idle time is over. It may be
/// looked at lazily: the deadline of an earlier idleness is noticed first. While requests wait, they may wait for it: for
/// streams that its backend does not allow now, or for memory. As many as are the minimum of an endpoint stay there.
pub fn e5_idle_connections_go(scene: &mut Scene<'_>) -> Result<(), Violation> {
    let idle = u64::try_from(scene.config.timeouts.backend_idle.as_nanos()).unwrap_or(u64::MAX);
    let most = idle.saturating_mul(2) + scene.slack;
    let now = scene.ledger.now;
    let alone = now.saturating_sub(scene.ledger.queued_at);
    let idle_for = |police: &crate::police::Police| police.idle_for(now).map(|time| time.min(alone));
    let lazy = |link: &usize| idle_for(&scene.police[*link]).is_some_and(|time| time > most);
    let lazy: Vec<usize> = (0..scene.police.len()).filter(lazy).collect();
    let to = |link: usize| scene.ledger.targets.get(&link);
    // So many of an endpoint's are kept for each upstream that has it.
    let too_many = lazy.iter().find(|&&link| {
        let there = lazy.iter().filter(|&&other| to(other) == to(link)).count();
        let upstreams =
            scene.config.upstreams.iter().filter(|upstream| leads_to(scene.ledger, link, upstream));
        there > upstreams.map(|upstream| upstream.connections_min as usize).sum()
    });
    scene.checks.premise("E5", scene.police.iter().any(|police| police.was_given_up_after(idle)));
    scene
        .checks
        .check("E5", too_many.is_none(), || format!("link {too_many:?} of {lazy:?} is idle and stays"))
}

/// Whether there is memory for every request there is and one more, so that nobody can be waiting for it: once half of it is taken, each client may
/// have as much of the rest as is left, which may be too little for one that asks for much.
pub(super) fn has_memory(scene: &Scene<'_>) -> bool {
    let config = scene.config;
    let window =
        u64::from(config.backend.initial_window_size.max(config.backend.stream_window_max)).max(65_535);
    scene.view.requests as u64 * window + window <= (config.ledger_octets / 2).min(config.ledger_front_octets)
}

/// Where requests are looked at, and only while memory cannot be what they wait for: those that are frozen, beside the connections that carry others of their kind. An idle
/// connection is not counted: the gateway may prefer another endpoint.
fn e8_nobody_waits_beside_a_free_slot(scene: &mut Scene<'_>) -> Result<(), Violation> {
    let view = scene.view;
    let memory = has_memory(scene);
    if view.queued == 0 || !memory {
        return Ok(());
    }
    let free: Vec<usize> = (0..scene.police.len()).filter(|&link| is_free(scene, link)).collect();
    for (rid, front, upstream) in who_is_frozen(scene) {
        let serves = |link: &&usize| {
            let police = &scene.police[**link];
            let same_front = |rid: u64| scene.ledger.traces[&rid].front.is_some_and(|(at, _)| at == front);
            police.open_streams() > 0
                && leads_to(scene.ledger, **link, upstream)
                && match upstream.share {
                    Scope::Worker => true,
                    Scope::Client => police.open_requests().all(same_front),
                    Scope::None => false,
                }
        };
        let unused = free.iter().find(serves);
        scene.checks.check("E8", unused.is_none(), || {
            let trace = &scene.ledger.traces[&rid];
            format!("request {rid} is frozen while link {unused:?} has a free slot: {view:?}, {trace:?}")
        })?;
    }
    Ok(())
}

/// Whether the link has a free slot. A connection that has had its time takes nothing new, and need not say so; ages have jitter.
pub(super) fn is_free(scene: &Scene<'_>, link: usize) -> bool {
    let (config, now) = (scene.config, scene.ledger.now);
    let old = u64::try_from(config.timeouts.backend_age.as_nanos()).unwrap_or(u64::MAX) / 10 * 9;
    let police = &scene.police[link];
    police.has_free_slot(config.backend.max_concurrent_streams_cap, now) && police.age(now) < old
}

/// Requests that are frozen and were with no backend yet, with their clients' links and their upstreams, as far as the gateway has looked at them and a
/// drain leaves them their time. Who waits to be tried again may have to let some time pass.
pub(super) fn who_is_frozen<'a>(scene: &Scene<'a>) -> Vec<(u64, usize, &'a UpstreamConfig)> {
    let (ledger, police) = (scene.ledger, scene.police);
    let frozen = |&rid: &u64| {
        let trace = &ledger.traces[&rid];
        let frozen = trace.attempts.is_empty() && trace.head.is_none() && !trace.malformed;
        let (front, _) = trace.front?;
        let waits = frozen && !trace.is_answered() && !police[front].paused && !ledger.drain_excuses(trace);
        Some((rid, front, ledger.upstream(rid)?)).filter(|_| waits)
    };
    ledger.active.iter().filter_map(frozen).collect()
}

pub(super) fn leads_to(ledger: &Ledger, link: usize, upstream: &UpstreamConfig) -> bool {
    let Some(&target) = ledger.targets.get(&link) else { return false };
    let host = Host::Address(target.into());
    upstream.endpoints.iter().any(|endpoint| endpoint.host == host)
}

/// **E11** (when a request goes to a backend). It goes where its route leads, and shares the connection with nobody that its
/// upstream keeps apart: with no other client's requests, or with none at all. (TLS, which would add to the key, is not
/// there.)
pub fn e11_connections_are_shared_as_configured(
    ledger: &mut Ledger,
    rid: u64,
    link: usize,
    beside: &[u64],
) -> Result<(), Violation> {
    if ledger.upstreams.is_empty() {
        return Ok(());
    }
    let Some(upstream) = ledger.upstream(rid).cloned() else {
        return ledger.check("E11", false, || format!("request {rid} has no route and goes to link {link}"));
    };
    let right = leads_to(ledger, link, &upstream);
    ledger.check("E11", right, || format!("request {rid} of {} goes to link {link}", upstream.name))?;
    let front = |rid: &u64| ledger.traces.get(rid).and_then(|trace| trace.front).map(|(link, _)| link);
    let apart = match upstream.share {
        Scope::Worker => true,
        Scope::Client => beside.iter().all(|other| front(other) == front(&rid)),
        Scope::None => beside.is_empty(),
    };
    ledger.check("E11", apart, || format!("request {rid} shares link {link} with {beside:?}"))
}

fn e12_assigned_is_queued_and_live(scene: &mut Scene<'_>) -> Result<(), Violation> {
    if scene.draining {
        return Ok(());
    }
    // Of whom something waits, or is not read, nobody can say: it may have been told already, or not.
    let blocked = |link: usize| {
        let police = &scene.police[link];
        !police.is_over() && (police.waiting() > 0 || police.paused)
    };
    let (mut sure, mut unsure) = (0, 0);
    for rid in &scene.ledger.active {
        let trace = &scene.ledger.traces[rid];
        let Some(last) = trace.attempts.last() else { continue };
        let may_differ = trace.attempts.iter().any(|of| blocked(of.link))
            || trace.front.is_some_and(|(front, _)| blocked(front));
        sure += usize::from(!may_differ && !last.is_over());
        unsure += usize::from(may_differ);
    }
    let view = scene.view;
    scene.checks.check("E12", (sure..=sure + unsure).contains(&view.live), || {
        format!("{sure} live by what crossed the wires, and {unsure} may be, {view:?}")
    })
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

/// So many connections that have carried nothing may be followed by another at once.
const CONNECTIONS_IN_VAIN: usize = 3;

/// **E6** (when a request ends). Who was on no backend is not told of a connection that broke: another can be made. Only where
/// each endpoint was dialled in vain there is nobody to wait for; or where so many connections to it ended as soon as they stood; or where it has waited for
/// as long as may be, and no connection has come.
pub fn e6_only_the_hopeless_are_told(
    ledger: &mut Ledger,
    police: &[crate::police::Police],
    record: &EndRecord,
    config: &Config,
) -> Result<(), Violation> {
    let broken = matches!(
        record.outcome,
        Outcome::LocalReply(
            Cause::ConnectionTerminated
                | Cause::ConnectionRefused
                | Cause::ConnectionTimeout
                | Cause::BackendProtocol
        )
    );
    let upstream = rid_of(record).and_then(|rid| ledger.upstream(rid));
    let Some(upstream) = upstream.filter(|_| broken && record.attempts == 0) else { return Ok(()) };
    // The time of its route may be over before that of the queue.
    let route = config.routes.iter().find(|route| record.route.as_ref() == Some(&route.name));
    let patience =
        route.and_then(|route| route.timeout).unwrap_or(upstream.queue_timeout).min(upstream.queue_timeout);
    let in_vain = record.outcome == Outcome::LocalReply(Cause::ConnectionTimeout)
        && record.ended.saturating_since(record.accepted) >= patience;
    let arrived = rid_of(record).map_or(0, |rid| ledger.traces.get(&rid).map_or(0, |trace| trace.arrived));
    let hopeless = in_vain || is_hopeless(ledger, police, (upstream, arrived), config);
    ledger.checks.premise("E6", true);
    ledger.check("E6", hopeless, || format!("told though it could wait: {:?}", record.outcome))
}

/// How long an answer of the gateway's own may wait for its client before its record comes.
const TOLD_WITHIN: Nanos = 60 * SECOND;

/// Whether at some time, since the request came, each endpoint had been dialled in vain in the last minute, or so many connections to it had ended as soon as they
/// stood, and nobody was on the way whom all that wait for the upstream may wait for. The record comes when the answer has left: what is so then need not
/// have been so when it was made. (An earlier version took a dial that was under way for one in vain, and one that had failed long ago for one of now: it
/// excused nearly everything.)
pub(super) fn is_hopeless(
    ledger: &Ledger,
    police: &[crate::police::Police],
    (upstream, arrived): (&UpstreamConfig, Nanos),
    config: &Config,
) -> bool {
    // Who stands and says no SETTINGS has failed by the deadline for those.
    let patience = config.timeouts.connect.min(config.timeouts.preface);
    let connect = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
    // An endpoint rests for longer where the timer that ends it is late.
    let within = (60 * SECOND).saturating_add(ledger.slack);
    // Links to each endpoint, and whether one that comes there is for all that wait: of one that another upstream, or a client by itself, may have
    // ordered they need not know.
    let endpoints = upstream.endpoints.iter().map(|endpoint| {
        let host = &endpoint.host;
        let links = ledger.targets.iter().filter(|&(_, &to)| *host == Host::Address(to.into()));
        let links: Vec<_> = links.map(|(&link, _)| &police[link]).collect();
        (links, upstream.share == Scope::Worker && is_of_one_upstream(ledger, host))
    });
    let endpoints: Vec<_> = endpoints.collect();
    let was_hopeless = |then: Nanos| {
        endpoints.iter().all(|(links, for_all)| {
            let useless =
                links.iter().filter(|police| police.processed_nothing() && police.is_leaving()).count();
            let in_vain = links.iter().any(|police| police.had_failed(then, connect, within));
            let comes = *for_all && links.iter().any(|police| police.was_dialled(then, connect));
            (in_vain || useless > CONNECTIONS_IN_VAIN) && !comes
        })
    };
    let lately = arrived.max(ledger.now.saturating_sub(TOLD_WITHIN));
    let ends = endpoints.iter().flat_map(|(links, _)| links).filter_map(|police| police.retired());
    ends.filter(|&at| at >= lately).chain([ledger.now]).any(was_hopeless)
}

/// Whether one upstream alone has the endpoint, so that its connections are for whoever waits there.
pub(super) fn is_of_one_upstream(ledger: &Ledger, host: &Host) -> bool {
    let all = ledger.upstreams.iter().flat_map(|upstream| &upstream.endpoints);
    all.filter(|endpoint| endpoint.host == *host).count() == 1
}

/// **E8** (after every step). Requests of one front are thawed in the order in which they were frozen.
/// Those that were live before go first of all and are not compared.
pub fn e8_first_come_first_thawed(scene: &mut Scene<'_>, rid: u64) -> Result<(), Violation> {
    let ledger = scene.ledger;
    let trace = &ledger.traces[&rid];
    let of = ledger.upstream_of.get(&rid);
    let (Some((link, stream)), 1) = (trace.front, trace.attempts.len()) else { return Ok(()) };
    let earlier = |other: &u64| {
        if ledger.upstream_of.get(other) != of {
            return false;
        }
        let other = &ledger.traces[other];
        let frozen =
            other.attempts.is_empty() && !other.is_answered() && other.head.is_none() && !other.malformed;
        frozen && other.front.is_some_and(|(l, s)| l == link && s < stream)
    };
    let overtaken = ledger.active.iter().copied().find(earlier);
    scene.checks.check("E8", overtaken.is_none(), || format!("request {rid} overtakes {overtaken:?}"))
}

/// **E10** (when a request goes to a backend). Nothing is asked for a client that has gone, once the gateway knows it.
pub fn e10_nothing_is_asked_for_who_has_gone(ledger: &mut Ledger, rid: u64) -> Result<(), Violation> {
    let trace = &ledger.traces[&rid];
    let gone =
        trace.gone_known || trace.front.is_some_and(|(link, _)| ledger.fronts_over.contains_key(&link));
    ledger.check("E10", !gone, || format!("request {rid} goes to a backend, its client has gone"))
}

/// **E10** (after every step). The end of a session ends its requests: what was in flight has been reset.
pub fn e10_who_has_gone_holds_no_stream(
    scene: &mut Scene<'_>,
    rid: u64,
    trace: &Trace,
) -> Result<(), Violation> {
    let (Some((front, _)), Some(last)) = (trace.front, trace.attempts.last()) else { return Ok(()) };
    let gone = trace.gone_known || scene.ledger.fronts_over.contains_key(&front);
    if !gone || scene.police[last.link].waiting() > 0 {
        return Ok(());
    }
    let over = last.is_over() || scene.police[last.link].is_over();
    scene.checks.check("E10", over, || format!("request {rid} is in flight, its client has gone: {trace:?}"))
}

/// How often clients had their turn while others waited: by upstream, by the link of who waits and of who was served.
#[derive(Clone, Debug, Default)]
pub struct Turns(BTreeMap<(usize, usize), Passed>);

/// By whom one client was passed.
#[derive(Clone, Debug, Default)]
struct Passed {
    /// Heads of requests that had come when it was passed last.
    heads: u64,
    times: BTreeMap<usize, u32>,
}

/// Turns of one client while another waits: one a round, and one more for a round that was under way.
const TURNS_MAX: u32 = 2;

/// **I3** (after every step in which a request went to a backend). Between two clients of a shared upstream that both wait
/// none is served more than its turn: whoever has waited since then has been passed by each other at most twice. It is looked at
/// while memory cannot be what somebody waits for; a client whose input is not read now is left out. (An earlier version took
/// whoever waited at the end of a moment for one who had waited through all of it: after a jump of the clock much comes and
/// goes in one. Another took the order in which requests of one moment leave for that of turns: each leaves when its connection writes, so
/// that who had a turn among them may have had it first or last. It may be passed once more for each, and is counted anew after that. And one
/// took whoever was told an error, and asked again, for one who had waited all the while.)
pub fn i3_clients_take_turns(scene: &mut Scene<'_>) -> Result<(), Violation> {
    if !has_memory(scene) || scene.draining {
        scene.turns.0.clear();
        return Ok(());
    }
    let ledger = scene.ledger;
    let front_of = |rid: &u64| ledger.traces[rid].front.map(|(link, _)| link);
    let shared = |of: usize| ledger.upstreams.get(of).is_some_and(|of| of.share != Scope::Client);
    // Who waits, and since which head of a request.
    let mut waiting: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    for rid in &ledger.active {
        let trace = &ledger.traces[rid];
        let frozen =
            trace.attempts.is_empty() && trace.head.is_none() && !trace.malformed && !trace.is_answered();
        if let (true, Some(front), Some(&of)) = (frozen, front_of(rid), ledger.upstream_of.get(rid))
            && !scene.police[front].paused
        {
            let since = waiting.entry((of, front)).or_insert(trace.nth);
            *since = trace.nth.min(*since);
        }
    }
    scene.turns.0.retain(|who, _| waiting.contains_key(who));
    let whose = |thaw: &Thaw| Some((*ledger.upstream_of.get(&thaw.rid)?, front_of(&thaw.rid)?));
    let mut own: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    ledger.thawed.iter().filter_map(whose).for_each(|who| *own.entry(who).or_default() += 1);
    for thaw in &ledger.thawed {
        let Some((of, served)) = whose(thaw) else { continue };
        let passed = |&(&(u, front), since): &(&(usize, usize), &u64)| {
            u == of && front != served && shared(of) && *since <= thaw.heads
        };
        for (&(_, front), &since) in waiting.iter().filter(passed) {
            let passed = scene.turns.0.entry((of, front)).or_default();
            // All that waited then have gone.
            if since > passed.heads {
                passed.times.clear();
            }
            passed.heads = thaw.heads;
            let times = passed.times.entry(served).or_default();
            *times += 1;
            let (times, own) = (*times, own.get(&(of, front)).copied().unwrap_or_default());
            scene.checks.check("I3", times <= TURNS_MAX + own, || {
                format!("the client on link {front} waits and was passed {times} times by that on {served}")
            })?;
        }
    }
    scene.turns.0.retain(|who, _| !own.contains_key(who));
    Ok(())
}
