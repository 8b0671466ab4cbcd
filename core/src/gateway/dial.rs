//! Connections to backends are ordered, and do not keep those who wait from being served elsewhere for long.

use crate::config::Protocol;
use crate::engine::{Engine, EnginePhase};
use crate::gateway::conn::{Conn, Life, Side};
use crate::gateway::due::Kind;
use crate::gateway::{Action, ConnId, Gateway, Secure};
use crate::h2::Role;
use crate::key::{EndpointId, EntryKey};
use crate::record::Cause;
use crate::session::Session;
use crate::time::{Duration, Instant};

/// A connection that has not told its limits after so long is not waited for alone: another endpoint is tried beside it. It has time until its
/// own deadline all the same.
const SLOW: Duration = Duration::from_millis(500);

impl Gateway {
    /// Orders a connection, for an engine of the entry, or for whoever needs it next.
    pub(super) fn dial(&mut self, endpoint: EndpointId, entry: Option<EntryKey>, now: Instant) {
        self.make_room_at(endpoint, now);
        let cap = self.registry.streams_cap(endpoint.upstream);
        let assumed = self.registry.upstream(endpoint.upstream).map_or(0, |of| of.config().assumed_streams);
        let Some(of) = self.registry.endpoint_mut(endpoint) else { return };
        // What it allowed before it could not be reached any more says nothing of now.
        let assumed = if of.is_in_doubt() { 0 } else { of.streams_max.unwrap_or(assumed) };
        let limits = (assumed, cap);
        let protocol = of.spoken();
        let tls = of.config.tls.map(|alpn| (alpn, of.config.host.name()));
        let Some(target) = of.take_address(now) else { return };
        let session = match protocol {
            Protocol::Http2 => Session::H2(self.new_connection(Role::Client)),
            Protocol::Http1 => self.new_http1(Role::Client),
        };
        let engine = Engine::new(self.next_engine, endpoint, entry, limits);
        self.next_engine += 1;
        self.count_dial(&engine);
        let mut conn = Conn::new(session, Side::Backend(engine), Life::Connecting, now);
        if let Some(vigil) = &mut conn.vigil {
            vigil.dialled = Some(target.clone());
        }
        let conn = self.conns.insert(conn);
        if let Some(drain) = &mut self.drain {
            drain.dials();
        }
        self.registry.register(endpoint, entry, conn);
        self.arm_dial(conn, Kind::Connect, now);
        let name = || self.registry.upstream(endpoint.upstream).map(|of| of.config().name.clone());
        let secure = tls.and_then(|(alpn, host)| Some(Secure { upstream: name()?, host, alpn }));
        self.actions.push_back(Action::Connect { conn, target, secure });
    }

    /// Where as many connections take their leave as there may be, and none serves, the one goes that was ordered first: what it still carries would keep
    /// everybody else from being served. They are looked for one by one, which is as rare as that.
    fn make_room_at(&mut self, endpoint: EndpointId, now: Instant) {
        let of = self.registry.upstream(endpoint.upstream).zip(self.registry.endpoint(endpoint));
        if !of.is_some_and(|(upstream, of)| upstream.makes_room(of)) {
            return;
        }
        self.work.steps(self.conns.len());
        let leaving = self.conns.iter().filter_map(|(id, entry)| match &entry.side {
            Side::Backend(engine)
                if engine.endpoint == endpoint && engine.phase() == EnginePhase::Draining =>
            {
                // Of one that carries nothing nobody misses anything.
                Some(((entry.session.open_streams() > 0, engine.number), id))
            }
            Side::Backend(_) | Side::Front { .. } => None,
        });
        if let Some((_, id)) = leaving.min_by_key(|&(order, _)| order) {
            self.cut_conn(id, Cause::ConnectionTerminated, now);
        }
    }

    /// Arms the deadline for what a backend owes before it can be asked for anything.
    pub(super) fn arm_dial(&mut self, conn: ConnId, kind: Kind, now: Instant) {
        let is_slow = self.conns.get_mut(conn).and_then(Conn::engine_mut).is_some_and(|engine| engine.slow);
        let whole = self.duration(kind);
        self.arm_conn_at(conn, kind, now + if is_slow { whole } else { whole.min(SLOW) });
    }

    /// Whether that was the first part of the deadline alone. Whoever waits for the backend is tried elsewhere from now on.
    pub(super) fn is_slow(&mut self, conn: ConnId, kind: Kind, now: Instant) -> bool {
        let rest = self.duration(kind).saturating_sub(SLOW);
        let Some(engine) = self.conns.get_mut(conn).and_then(Conn::engine_mut) else { return false };
        if rest == Duration::ZERO || core::mem::replace(&mut engine.slow, true) {
            return false;
        }
        if let Some(entry) = engine.entry {
            self.registry.dial_is_slow(entry, conn);
        }
        self.arm_conn_at(conn, kind, now + rest);
        true
    }
}
