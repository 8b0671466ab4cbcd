//! Another configuration, while requests are under way.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::Config;
use crate::engine::{Engine, EnginePhase};
use crate::gateway::conn::{Conn, Side};
use crate::gateway::{ConnId, Gateway, tunnel};
use crate::routes::Routes;
use crate::time::Instant;

impl Gateway {
    /// Upstreams and routes as the configuration has them now. Names are looked up before the first request needs them.
    pub(super) fn route_anew(&mut self) {
        let mut underway = BTreeMap::<_, usize>::new();
        for upstream in self.requests.iter().filter_map(|(_, request)| request.awaiting.upstream()) {
            *underway.entry(upstream).or_default() += 1;
        }
        self.registry.set_places(self.config.backends_max);
        self.registry.configure(&self.config.upstreams, &underway);
        let (registry, account) = (&self.registry, &mut self.account);
        let find = |name: &str| registry.find(name);
        self.routes = Routes::new(&self.config.routes, self.seed, find, |name| account.number(name));
        let upstreams: Vec<_> = self.registry.upstreams().map(|(key, _)| key).collect();
        upstreams.into_iter().for_each(|upstream| self.resolve_unknown(upstream));
    }

    pub(super) fn configure(&mut self, config: Config, now: Instant) {
        if config.validate().is_err() {
            return;
        }
        self.front_config = Arc::new(tunnel::front_config(&config));
        self.backend_config = Arc::new(config.backend.clone());
        self.forward.configure(&config);
        self.ledger.set_limit(config.ledger_octets);
        self.uploads.set_limit(config.upload_ledger_octets);
        self.replays.set_limits(config.replay_ledger_octets, config.replay_front_octets);
        self.heads.set_limit(config.head_ledger_octets);
        let listeners = core::mem::take(&mut self.config.listeners);
        self.config = Config { listeners, ..config };
        // It never shrinks: heads that were begun may still fill it.
        self.recv_octets = self.recv_octets.max(self.config.recv_buffer_octets);
        if !self.recv_buffer.is_empty() {
            self.recv_buffer.resize(self.recv_octets, 0);
        }
        self.route_anew();
        self.retire_unwanted(now);
        self.retire_surplus(now);
        self.release_lanes();
        self.shed_surplus(now);
        self.pace_accepting();
    }

    /// Connections to backends that take requests, or will.
    fn serving(&self) -> impl Iterator<Item = (ConnId, &Conn, &Engine)> {
        self.conns.iter().filter_map(|(id, conn)| match &conn.side {
            Side::Backend(engine) if engine.phase() != EnginePhase::Draining => Some((id, conn, engine)),
            Side::Backend(_) | Side::Front { .. } => None,
        })
    }

    /// Engines of endpoints that the configuration has no more take nothing new. Nor do those whose windows are larger than the whole ledger: nobody
    /// could be given memory for a stream, and who waits for it would not have another one dialled.
    pub(super) fn retire_unwanted(&mut self, now: Instant) {
        let unwanted = |conn: &Conn, engine: &Engine| {
            u64::from(conn.session.stream_recv_window()) > self.config.ledger_octets
                || self.registry.endpoint(engine.endpoint).is_none_or(|of| of.retired)
        };
        let serving = self.serving().filter(|(_, conn, engine)| unwanted(conn, engine));
        let conns: Vec<_> = serving.map(|(id, ..)| id).collect();
        self.send_away(&conns, now);
    }

    /// Where an endpoint has more connections than it may have now, some take nothing new: idle ones first, then those with the fewest requests.
    fn retire_surplus(&mut self, now: Instant) {
        let mut surplus = self.registry.surplus();
        if surplus.is_empty() {
            return;
        }
        let serving = self.serving().filter(|(.., engine)| surplus.contains_key(&engine.endpoint));
        let mut serving: Vec<_> = serving
            .map(|(id, conn, engine)| ((!engine.idle, conn.session.open_streams()), id, engine.endpoint))
            .collect();
        serving.sort_unstable();
        serving.retain(|(_, _, of)| {
            let left = surplus.get_mut(of).filter(|left| **left > 0);
            left.map(|left| *left -= 1).is_some()
        });
        let conns: Vec<_> = serving.into_iter().map(|(_, id, _)| id).collect();
        self.send_away(&conns, now);
    }

    /// Who had reserved as much of the ledger as one client may may have more now.
    fn release_lanes(&mut self) {
        let is_held = |conn: &Conn| matches!(conn.side, Side::Front { held: true, .. });
        let conns: Vec<_> = self.conns.iter().filter(|(_, conn)| is_held(conn)).map(|(id, _)| id).collect();
        for id in conns {
            self.release_waiting(id);
        }
    }
}
