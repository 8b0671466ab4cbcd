//! Descriptors: a connection takes one.

use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shuntyard_core::config::{Config, UpstreamConfig};

use crate::admin::GUESTS_MAX;
use crate::config::share_of_client;
use crate::settings::Settings;
use crate::systemd;

/// Streams, signals, logs, and files that are read again.
const OWN: u64 = 24;
/// What each worker has open, besides its listeners.
const OF_WORKER: u64 = 4;

/// Who shares the descriptors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared {
    workers: NonZeroUsize,
    /// Of the program itself.
    own: u64,
}

impl Shared {
    /// Those of a server that is started with these settings.
    pub(crate) fn new(settings: &Settings) -> Self {
        let listeners = (settings.listen.len() + settings.listen_tls.len()) as u64;
        let guests = settings.observe.admin.as_ref().map_or(0, |_| GUESTS_MAX as u64);
        let workers = settings.workers;
        let passed = systemd::opened().len() as u64;
        Self { workers, own: OWN + guests + passed + workers.get() as u64 * (OF_WORKER + listeners) }
    }

    /// How many clients each worker can serve with `may` descriptors, of as many as may come, and how many connections to backends it may have: what is left.
    /// Those may need a quarter of what there is for connections.
    fn connections(self, may: u64, config: &Config) -> (u32, u32) {
        let each = may.saturating_sub(self.own) / self.workers.get() as u64;
        let number = |of: u64| u32::try_from(of).unwrap_or(u32::MAX).max(1);
        let clients = number(each - needed_by_backends(config).min(each / 4)).min(config.max_fronts);
        (clients, number(each.saturating_sub(clients.into())))
    }
}

/// How many connections to backends the configuration allows.
fn needed_by_backends(config: &Config) -> u64 {
    let of = |upstream: &UpstreamConfig| {
        let endpoints = upstream.endpoints.iter();
        endpoints.fold(0, |sum: u64, endpoint| sum + u64::from(upstream.most_connections(endpoint)))
    };
    config.upstreams.iter().map(of).fold(0, u64::saturating_add)
}

/// Takes all descriptors that the program may have: many systems begin with fewer, for the sake of programs that use select(2). Where they are too
/// few for all clients that may come, fewer may: clients that are idle must not take what connections to backends need, nor these what clients and the
/// program itself do. What is to be said of that comes back.
pub(crate) fn take_all(settings: &mut Settings, shared: Shared) -> Option<Few> {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit { current: limit.maximum, ..limit };
    // Where the system does not keep its word, what there was stays. No number: as many as anybody likes.
    let may = if setrlimit(Resource::Nofile, all).is_ok() { limit.maximum } else { limit.current };
    let may = may?;
    let config = &mut settings.config;
    let (asked, needed) = (config.max_fronts, needed_by_backends(config));
    let (fit, backends) = shared.connections(may, config);
    let is_asked_for = (fit < asked && asks_for_clients(config))
        || (u64::from(backends) < needed && asks_for_backends(config));
    (config.max_fronts, config.backends_max) = (fit, backends);
    // A share of what there might have been would be all that there is.
    if fit < asked && !settings.share_written {
        config.max_fronts_per_client = share_of_client(fit);
    }
    let of_client = config.max_fronts_per_client.min(fit);
    let few = fit < asked || u64::from(backends) < needed;
    few.then_some(Few { may, clients: (fit, asked), of_client, backends: (backends, needed), is_asked_for })
}

/// Whether somebody has said how many clients may come.
fn asks_for_clients(config: &Config) -> bool {
    config.max_fronts != Config::new(Vec::new()).max_fronts
}

/// Whether somebody wants more connections of an endpoint than it may have where nothing is said.
fn asks_for_backends(config: &Config) -> bool {
    let default = UpstreamConfig::new("", Vec::new());
    config.upstreams.iter().any(|of| {
        of.connections_max > default.connections_max
            || of.http1_connections_max > default.http1_connections_max
    })
}

/// There are fewer descriptors than clients may come, or connections to backends be made: how many fit, and how many were asked for.
pub(crate) struct Few {
    may: u64,
    clients: (u32, u32),
    /// What one client may have of them.
    of_client: u32,
    backends: (u32, u64),
    /// Somebody has said that there may be so many. The defaults are more than most systems give.
    is_asked_for: bool,
}

impl Few {
    /// Says so, as a warning where somebody has asked for so many.
    pub(crate) fn tell(&self) {
        let words = self.words();
        if self.is_asked_for {
            tracing::warn!("{words}");
        } else {
            tracing::info!("{words}");
        }
    }

    fn words(&self) -> String {
        let Self { may, clients: (fit, asked), of_client, backends: (backends, needed), .. } = self;
        let parts = [
            (fit < asked).then(|| {
                format!("max_connections is {fit}, not {asked}, of which one client may have {of_client} (clients beyond wait to be accepted)")
            }),
            (u64::from(*backends) < *needed).then(|| {
                format!("backends have {backends} connections, and may need {needed} (requests beyond wait for one)")
            }),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        let parts = parts.join(", and ");
        format!("{may} descriptors are all that the system gives (ulimit -Hn): for each worker {parts}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_keep_what_they_may_need_or_a_quarter() {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 9)).into();
        let mut upstream = UpstreamConfig::new("a", vec![address]);
        let connections = |upstream: &UpstreamConfig, asked, may| {
            let workers = NonZeroUsize::MIN.saturating_add(1);
            let config = Config { max_fronts: asked, ..Config::of_upstream(upstream.clone()) };
            Shared { workers, own: 100 }.connections(may, &config)
        };
        upstream.connections_max = 10;
        assert_eq!(connections(&upstream, 5000, 2100), (980, 20), "as many again may be about to end");
        assert_eq!(connections(&upstream, 600, 2100), (600, 400), "whoever needs them");
        upstream.connections_max = 10_000;
        assert_eq!(connections(&upstream, 5000, 2100), (750, 250));
        assert_eq!(connections(&upstream, 5000, 50), (1, 1));
        assert_eq!(connections(&upstream, u32::MAX, u64::MAX), (u32::MAX, u32::MAX));
    }
}
