//! Clients and what they ask.

use shuntyard_core::config::{HostPattern, PathPattern, RouteConfig};

use super::faults::Faults;
use crate::net::PipePolicy;
use crate::refcodec::hpack::Indexing;
use crate::rng::Choices;
use crate::scenario::{Exchange, Method, Pace, RequestPlan, ResponseKind, Session};
use crate::world::{MICRO, MILLI};

/// The `n`-th session, whose requests begin at `rid`. `world` says what it can move: the smallest window on the other side,
/// whether pieces are small there, how many sessions there are, and whether there is room for long lines.
pub(super) fn session(
    seed: u64,
    n: usize,
    rid: u64,
    world: (u32, bool, usize, bool),
    faults: &Faults,
    routes: &[RouteConfig],
) -> Session {
    let (smallest, small_pieces, sessions, roomy) = world;
    let mut choices = Choices::new(seed, format!("session{n}"));
    let peer = super::peers::peer(seed, &mut choices, faults);
    let network = [super::peers::network(seed, &mut choices), super::peers::network(seed, &mut choices)];
    let window = smallest.min(super::smallest_window(&peer));
    let small_pieces = small_pieces || network.iter().any(super::is_costly);
    let most = super::affordable(window, small_pieces, sessions);
    let mut hostile = faults.hostile(&mut choices);
    let mut network = network;
    if let Some((_, acts, what)) = &mut hostile
        && what.is_heavy()
    {
        *acts = (*acts).min(3);
        network = [PipePolicy::default(); 2];
    }
    let counts = if sessions > 5 { [1, 2, 3, 5, 10] } else { [1, 2, 5, 10, 40] };
    let count = *choices.pick(&counts);
    let slow = small_pieces || peer.read.is_some();
    let bulks = super::affordable_bulks(roomy, slow, sessions);
    let mut session = Session {
        n,
        start: choices.between(0, 3 * MILLI),
        concurrency: *choices.pick(&[100, 100, 1, 3]),
        patient: choices.chance(70),
        peer,
        network,
        exchanges: (rid..rid + count).map(|rid| exchange(seed, rid, (most, bulks), faults, routes)).collect(),
        leave: faults.leave(&mut choices),
        hostile,
    };
    make_alike(seed, &mut session);
    if session.leave.is_none() && session.hostile.is_none() {
        session.network[0].fin_after = faults.fin(&mut Choices::new(seed, format!("fin{n}")));
    }
    let longest = session.exchanges.iter().map(|exchange| exchange.request.bulk).max();
    session.peer.block_max = session.peer.block_max.max(super::whole_within(longest));
    session
}

/// Requests that differ in their path alone, as they come from browsers, and responses that differ in nothing.
fn make_alike(seed: u64, session: &mut Session) {
    let mut choices = Choices::new(seed, format!("alike{}", session.n));
    let responses = super::weight(seed, "alike responses");
    for exchange in &mut session.exchanges {
        exchange.response.alike = choices.chance(responses);
    }
    if !choices.chance(super::weight(seed, "alike requests")) {
        return;
    }
    session.peer.indexing = *choices.pick(&[Indexing::ButPath, Indexing::OwnNames]);
    let Some(first) = session.exchanges.first().map(|first| first.request.clone()) else { return };
    for Exchange { request, response, .. } in &mut session.exchanges {
        if choices.chance(80) {
            let (pace, cancel) = (request.pace, request.cancel);
            *request = RequestPlan { alike: true, pace, cancel, ..first.clone() };
            response.trailers &= request.method != Method::Head;
        }
    }
}

fn exchange(
    seed: u64,
    rid: u64,
    (most, bulks): (u64, &[u32]),
    faults: &Faults,
    routes: &[RouteConfig],
) -> Exchange {
    let mut choices = Choices::new(seed, format!("exchange{rid}"));
    let mut exchange = Exchange::get(rid, 0);
    let size = |choices: &mut Choices| match choices.between(0, 5) {
        0 => 0,
        1 => 1,
        2 | 3 => choices.between(1, most.min(2000)),
        _ => choices.between(1, most),
    };
    let request = &mut exchange.request;
    if !routes.is_empty() {
        (request.host, request.path) = wanted(choices.pick(routes));
    }
    let methods = [Method::Get, Method::Get, Method::Post, Method::Post, Method::Put, Method::Head];
    request.method = *choices.pick(&methods);
    if matches!(request.method, Method::Post | Method::Put) {
        request.content = size(&mut choices);
        request.declare_length = choices.chance(50);
        request.trailers = choices.chance(super::weight(seed, "request trailers") / 2);
        request.expect = choices.chance(super::weight(seed, "expect") / 2);
        request.pace = pace(&mut choices, request.content);
    }
    let extras = choices.between(1, 8);
    request.extras = if choices.chance(super::weight(seed, "extras")) { extras as u8 } else { 0 };
    let content = request.content;
    let response = &mut exchange.response;
    response.status = *choices.pick(&[200, 200, 200, 404, 500, 204, 304]);
    response.kind = match choices.between(0, 3) {
        0 if content > 0 => ResponseKind::Echo,
        1 => ResponseKind::Sink,
        _ => ResponseKind::Source(size(&mut choices)),
    };
    response.early = choices.chance(super::weight(seed, "early") / 2);
    response.delay = *choices.pick(&[0, 100 * MICRO, 5 * MILLI]);
    response.interim = *choices.pick(&[0, 0, 0, 1, 3]);
    response.declare_length = choices.chance(50);
    let bodiless = matches!(response.status, 204 | 304) || exchange.request.method == Method::Head;
    response.trailers = choices.chance(super::weight(seed, "response trailers") / 2) && !bodiless;
    response.pace = pace(&mut choices, most);
    exchange.request.cancel = faults.cancel(&mut choices, most);
    exchange.response.reset = faults.stream_reset(&mut choices, most);
    exchange.response.mischief = faults.response_mischief(&mut choices);
    more(&mut exchange, &mut choices, faults);
    let (bulky, [of_request, of_response]) =
        (choices.chance(super::weight(seed, "bulk")), [choices.pick(bulks), choices.pick(bulks)]);
    if bulky {
        (exchange.request.bulk, exchange.response.bulk) = (*of_request, *of_response);
    }
    // Drawn by itself, so that all else of a seed stays as it was.
    let mut choices = Choices::new(seed, format!("reset{rid}"));
    exchange.response.reset =
        exchange.response.reset.map(|reset| Faults::telling_reset(&mut choices, reset, most));
    exchange
}

/// What was thought of later: drawn last, so that all else of a seed stays as it was.
fn more(exchange: &mut Exchange, choices: &mut Choices, faults: &Faults) {
    let Exchange { request, response, .. } = exchange;
    request.pace.bare_end = choices.chance(20);
    response.pace.bare_end = choices.chance(20);
    let pause = *choices.pick(&[0, 100 * MICRO, 5 * MILLI]);
    let (reset, cancel) = (faults.interim_reset(choices), faults.interim_cancel(choices));
    if response.interim > 0 {
        response.interim_pause = pause;
        response.reset = reset.or(response.reset);
        request.cancel = cancel.or(request.cancel);
    }
}

/// An authority and a path that a route serves.
pub(crate) fn wanted(route: &RouteConfig) -> (String, String) {
    let host = match &route.host {
        HostPattern::Any => "sim.example".to_owned(),
        HostPattern::Exact(host) => host.to_string(),
        HostPattern::Below(domain) => format!("www.{domain}"),
    };
    let path = match &route.path {
        PathPattern::Any => "/r".to_owned(),
        PathPattern::Exact(path) => path.to_string(),
        PathPattern::Prefix(begin) => format!("{begin}r"),
    };
    (host, path)
}

/// Thinking and padding are for short content: a frame may carry as little as one octet where windows are small.
fn pace(choices: &mut Choices, content: u64) -> Pace {
    let think = *choices.pick(&[0, 0, 0, 100 * MICRO]);
    let padding = *choices.pick(&[None, None, None, Some(0), Some(40), Some(255)]);
    Pace {
        frame: *choices.pick(&[16_384, 16_384, 1000, 100_000, 20]),
        padding: if content > 20_000 { None } else { padding },
        think: if content > 1000 { 0 } else { think },
        bare_end: false,
    }
}
