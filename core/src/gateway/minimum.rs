//! Connections that are kept although nobody needs them now: the minimum of each endpoint.

use crate::config::Protocol;
use crate::engine::{Engine, EnginePhase};
use crate::gateway::conn::{Conn, Life, Side};
use crate::gateway::deadlines::Kind;
use crate::gateway::{Action, ConnId, Gateway, Secure};
use crate::h2::Role;
use crate::key::{EndpointKey, EntryKey, UpstreamKey};
use crate::session::Session;
use crate::time::Instant;

impl Gateway {
    /// Orders connections for endpoints that have fewer than they should: to each one at a time.
    pub(super) fn keep_minimum(&mut self, now: Instant) {
        while let Some(upstream) = self.registry.next_short() {
            if self.drain.is_some() {
                continue;
            }
            for endpoint in self.registry.short_endpoints(upstream) {
                self.dial(upstream, endpoint, None, now);
            }
        }
    }

    /// Whether the endpoint of an idle connection wants to keep it, or requests of its upstream wait: until it allows streams again, or
    /// for memory.
    pub(super) fn is_wanted_idle(&self, conn: ConnId) -> bool {
        let Some(Side::Backend(engine)) = self.conns.get(conn).map(|entry| &entry.side) else { return false };
        let Some(upstream) = self.registry.upstream(engine.upstream) else { return false };
        if engine.phase() == EnginePhase::Draining {
            return false;
        }
        if upstream.queued() > 0 {
            return true;
        }
        let endpoint = upstream.endpoint(engine.endpoint);
        self.drain.is_none()
            && endpoint.is_some_and(|of| !of.retired && of.serving() <= upstream.config().connections_min)
    }

    /// Orders a connection, for an engine of the entry, or for whoever needs it next.
    pub(super) fn dial(
        &mut self,
        upstream: UpstreamKey,
        endpoint: EndpointKey,
        entry: Option<EntryKey>,
        now: Instant,
    ) {
        let cap = self.registry.streams_cap(upstream);
        let assumed = self.registry.upstream(upstream).map_or(0, |of| of.config().assumed_streams);
        let Some(of) = self.registry.endpoint_mut(upstream, endpoint) else { return };
        let limits = (of.streams_max.unwrap_or(assumed), cap);
        let protocol = of.spoken();
        let tls = of.config.tls.map(|alpn| (alpn, of.config.host.name()));
        let Some(target) = of.take_address() else { return };
        let session = match protocol {
            Protocol::Http2 => Session::H2(self.new_connection(Role::Client)),
            Protocol::Http1 => self.new_http1(Role::Client),
        };
        let engine = Engine::new(self.next_engine, upstream, endpoint, entry, limits);
        self.next_engine += 1;
        self.count_dial(&engine);
        let mut conn = Conn::new(session, Side::Backend(engine), Life::Connecting, now);
        if let Some(vigil) = &mut conn.vigil {
            vigil.dialled = Some(target.clone());
        }
        let conn = self.conns.insert(conn);
        self.registry.register(upstream, endpoint, entry, conn);
        self.arm_conn(conn, Kind::Connect, now);
        let name = || self.registry.upstream(upstream).map(|of| of.config().name.clone());
        let secure = tls.and_then(|(alpn, host)| Some(Secure { upstream: name()?, host, alpn }));
        self.actions.push_back(Action::Connect { conn, target, secure });
    }
}
