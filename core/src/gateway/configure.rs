//! Another configuration, while requests are under way.

use std::sync::Arc;

use crate::config::Config;
use crate::gateway::{Gateway, tunnel};
use crate::routes::Routes;
use crate::time::Instant;

impl Gateway {
    /// Upstreams and routes as the configuration has them now. Names are looked up before the first request needs them.
    pub(super) fn route_anew(&mut self) {
        let of =
            |key| self.requests.iter().filter(move |(_, request)| request.awaiting.upstream() == Some(key));
        self.registry.configure(&self.config.upstreams, |key| of(key).count());
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
        self.pace_accepting();
    }
}
