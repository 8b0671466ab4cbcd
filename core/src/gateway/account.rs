//! What happened, in numbers: where the gateway's own counters stand, and who adds to them.
//!
//! Those of an upstream and of an endpoint stand with these, those of a connection with the connection until it is gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::Protocol;
use crate::counters::{AttemptEnd, Limit, RequestEnd, RouteCounters, SideCounters};
use crate::engine::Engine;
use crate::error::{ConnectionError, ErrorCode, StreamError};
use crate::gateway::conn::{Conn, Side};
use crate::gateway::{ConnId, Gateway};
use crate::message::{Method, Version};
use crate::record::{AttemptOutcome, Cause, Outcome};
use crate::registry::{Endpoint, Registry};
use crate::request::{Attempt, Awaiting};
use crate::time::Instant;

/// Counters that belong to the gateway as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// By a route's number. A route that a new configuration has no more keeps its place: requests may be under way.
    pub(super) routes: Vec<(Arc<str>, RouteCounters)>,
    numbers: BTreeMap<Arc<str>, u32>,
    /// Requests that no route serves.
    pub(super) unrouted: RouteCounters,
    /// Connections of clients; of what passed, what did on those that are gone.
    pub(super) front: SideCounters,
    pub(super) limits: [u64; Limit::ALL.len()],
    /// Endpoints that were found to speak HTTP/1.1 alone, and of which nobody has been told. Each comes here once at most.
    mistaken: Vec<Arc<str>>,
    /// Why backends have ended connections, and what they added for people, of which nobody has been told.
    farewells: Vec<(Arc<str>, ErrorCode, Box<[u8]>)>,
}

/// So many are kept for whoever is to be told.
const FAREWELLS_MAX: usize = 16;
/// So many octets of what a backend adds for people.
const DEBUG_DATA_MAX: usize = 256;

impl Account {
    /// Where the requests of the route of this name are counted: the same place for the same name, for ever.
    pub(super) fn number(&mut self, name: &Arc<str>) -> u32 {
        let next = self.routes.len() as u32;
        let number = *self.numbers.entry(Arc::clone(name)).or_insert(next);
        if number == next {
            self.routes.push((Arc::clone(name), RouteCounters::default()));
        }
        number
    }

    pub(super) fn hit(&mut self, limit: Limit) {
        self.limits[limit as usize] += 1;
    }

    /// The counters of a request's route.
    pub(super) fn route(&mut self, number: Option<u32>) -> &mut RouteCounters {
        match number.and_then(|number| self.routes.get_mut(number as usize)) {
            Some((_, counters)) => counters,
            None => &mut self.unrouted,
        }
    }

    /// A request is over.
    pub(super) fn count_end(&mut self, awaiting: &Awaiting, outcome: Outcome, now: Instant) {
        let number = awaiting.route.as_ref().map(|route| route.number);
        let (method, status) = said(awaiting, awaiting.status(), awaiting.version < Version::Http2);
        self.route(number).ended(&RequestEnd {
            method,
            status,
            outcome,
            request_octets: awaiting.request_octets,
            response_octets: awaiting.response_octets,
            attempts: awaiting.attempts,
            maybe_executed: awaiting.maybe_executed,
            duration: now.saturating_since(awaiting.accepted),
            first_octet: awaiting.responded.map(|at| at.saturating_since(awaiting.accepted)),
        });
    }
}

/// The method and the status as they were on the wire: an upgrade over HTTP/1.1 is an extended CONNECT, and agreed to with 2xx, in here only. One that lasts for
/// hours is nothing to measure GETs by that were answered with 200.
fn said(awaiting: &Awaiting, status: u16, http1: bool) -> (Method, u16) {
    if http1 && awaiting.head.extended_connect {
        (Method::Get, if (200..300).contains(&status) { 101 } else { status })
    } else {
        (awaiting.head.method, status)
    }
}

/// A backend is done with a request. Says whether a rest of the endpoint ends with that.
pub(super) fn count_attempt(
    endpoint: &mut Endpoint,
    attempt: &Attempt,
    (awaiting, outcome): (&Awaiting, AttemptOutcome),
    now: Instant,
) -> bool {
    let rest_ends = outcome == AttemptOutcome::Complete && endpoint.served(now);
    let (method, status) = said(awaiting, attempt.status, endpoint.spoken() == Protocol::Http1);
    endpoint.counters.ended(&AttemptEnd {
        method,
        status,
        outcome,
        request_octets: attempt.request_octets,
        response_octets: attempt.response_octets,
        duration: now.saturating_since(attempt.thawed),
        first_octet: attempt.responded.map(|at| at.saturating_since(attempt.thawed)),
        at: now,
    });
    rest_ends
}

impl Gateway {
    /// A request was given to a backend, which waited since `frozen`.
    pub(super) fn count_thaw(&mut self, attempt: &Attempt, frozen: Instant, again: Option<Cause>) {
        let Some(upstream) = self.registry.upstream_mut(attempt.endpoint.upstream) else { return };
        upstream.counters.waits.observe(attempt.thawed.saturating_since(frozen));
        if let Some(cause) = again {
            upstream.counters.retries.add(cause);
        }
        if let Some(endpoint) = upstream.endpoint_mut(attempt.endpoint.key) {
            endpoint.counters.attempts += 1;
        }
    }

    /// A connection was ordered to the engine's endpoint.
    pub(super) fn count_dial(&mut self, engine: &Engine) {
        if let Some(endpoint) = self.registry.endpoint_mut(engine.endpoint) {
            endpoint.counters.wire.opened += 1;
        }
    }

    /// A connection is gone.
    pub(super) fn count_closed(&mut self, conn: &Conn) {
        if let Some(side) = counters_of(&mut self.account, &mut self.registry, &conn.side) {
            side.closed += 1;
            side.traffic.merge(&conn.session.traffic());
        }
    }

    /// The peer broke the protocol.
    pub(super) fn count_connection_error(&mut self, id: ConnId, error: ConnectionError) {
        if let Some(side) = self.side_at(id) {
            side.connection_error(error);
        }
        if error == ConnectionError::AnsweredInHttp1 {
            self.note_mistaken(id);
        }
    }

    /// The first time of an endpoint somebody is to be told: the configuration is wrong, and will be at the next request.
    fn note_mistaken(&mut self, id: ConnId) {
        let Some(Side::Backend(engine)) = self.conns.get(id).map(|entry| &entry.side) else { return };
        let Some(endpoint) = self.registry.endpoint_mut(engine.endpoint) else { return };
        if endpoint.counters.wire.connection_errors.0[ConnectionError::AnsweredInHttp1 as usize] == 1 {
            self.account.mistaken.push(Arc::clone(&endpoint.label));
        }
    }

    /// An endpoint that speaks HTTP/1.1, where the configuration says HTTP/2: as the configuration names it, each once. Adapters ask after every
    /// turn, to tell an operator; nothing else comes of it.
    #[inline]
    pub fn take_mistaken(&mut self) -> Option<Arc<str>> {
        self.account.mistaken.pop()
    }

    /// A backend goes away. Where it says why, somebody is to be told.
    pub(super) fn count_goaway(&mut self, id: ConnId, code: ErrorCode, debug_data: &[u8]) {
        let Some(Side::Backend(engine)) = self.conns.get(id).map(|entry| &entry.side) else { return };
        let Some(endpoint) = self.registry.endpoint_mut(engine.endpoint) else { return };
        endpoint.counters.goaways.add(code);
        let farewells = &mut self.account.farewells;
        if code != ErrorCode::NO_ERROR && farewells.len() < FAREWELLS_MAX {
            let debug_data = debug_data[..debug_data.len().min(DEBUG_DATA_MAX)].into();
            farewells.push((Arc::clone(&endpoint.label), code, debug_data));
        }
    }

    /// Which endpoint has ended a connection, for which reason but NO_ERROR (RFC 9113 section 6.8), and the beginning of what it added for people, which may
    /// be anything. Adapters ask after every turn, to tell an operator; nothing else comes of it.
    #[inline]
    pub fn take_farewell(&mut self) -> Option<(Arc<str>, ErrorCode, Box<[u8]>)> {
        self.account.farewells.pop()
    }

    /// The peer broke the protocol on one stream.
    pub(super) fn count_stream_error(&mut self, id: ConnId, error: StreamError) {
        if let Some(side) = self.side_at(id) {
            side.stream_error(error);
        }
    }

    fn side_at(&mut self, id: ConnId) -> Option<&mut SideCounters> {
        let side = &self.conns.get(id)?.side;
        counters_of(&mut self.account, &mut self.registry, side)
    }
}

/// Where what a connection does is counted.
fn counters_of<'a>(
    account: &'a mut Account,
    registry: &'a mut Registry,
    side: &Side,
) -> Option<&'a mut SideCounters> {
    match side {
        Side::Front { .. } => Some(&mut account.front),
        Side::Backend(engine) => Some(&mut registry.endpoint_mut(engine.endpoint)?.counters.wire),
    }
}
