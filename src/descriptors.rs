//! Descriptors: a connection takes one.

use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shuntyard_core::config::Config;

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

    /// How many clients each worker can serve with `may` descriptors. Backends may need a quarter of what is left for connections.
    fn clients(self, may: u64, config: &Config) -> u32 {
        let each = may.saturating_sub(self.own) / self.workers.get() as u64;
        let of = |upstream: &shuntyard_core::config::UpstreamConfig| {
            let endpoints = upstream.endpoints.iter();
            endpoints.fold(0, |sum: u64, endpoint| sum + u64::from(upstream.most_connections(endpoint)))
        };
        let backends = config.upstreams.iter().map(of).fold(0, u64::saturating_add).min(each / 4);
        u32::try_from(each - backends).unwrap_or(u32::MAX).max(1)
    }
}

/// Takes all descriptors that the program may have: many systems begin with fewer, for the sake of programs that use select(2). Where they are too
/// few for all clients that may come, fewer may: clients that are idle must not take what connections to backends need.
/// What is to be said of that comes back.
pub(crate) fn take_all(settings: &mut Settings, shared: Shared) -> Option<Few> {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit { current: limit.maximum, ..limit };
    // Where the system does not keep its word, what there was stays. No number: as many as anybody likes.
    let may = if setrlimit(Resource::Nofile, all).is_ok() { limit.maximum } else { limit.current };
    let may = may?;
    let config = &mut settings.config;
    let (asked, fit) = (config.max_fronts, shared.clients(may, config));
    if fit >= asked {
        return None;
    }
    config.max_fronts = fit;
    // A share of what there might have been would be all that there is.
    if !settings.share_written {
        config.max_fronts_per_client = share_of_client(fit);
    }
    Some(Few { may, fit, asked, of_client: config.max_fronts_per_client.min(fit) })
}

/// There are fewer descriptors than clients may come.
pub(crate) struct Few {
    may: u64,
    fit: u32,
    asked: u32,
    /// What one client may have of them.
    of_client: u32,
}

impl Few {
    /// Says so. That is worth a warning only where somebody has asked for so many: the default is more than most systems give.
    pub(crate) fn tell(&self) {
        let Self { may, fit, asked, of_client } = self;
        let words = format!(
            "{may} descriptors are all that the system gives (ulimit -Hn): max_connections is {fit} for each worker, not {asked}, of which one client may \
             have {of_client}; clients beyond wait to be accepted"
        );
        if *asked == Config::new(Vec::new()).max_fronts {
            tracing::info!("{words}");
        } else {
            tracing::warn!("{words}");
        }
    }
}

#[cfg(test)]
mod tests {
    use shuntyard_core::config::UpstreamConfig;

    use super::*;

    #[test]
    fn backends_keep_what_they_may_need_or_a_quarter() {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 9)).into();
        let mut upstream = UpstreamConfig::new("a", vec![address]);
        let clients = |upstream: &UpstreamConfig, may| {
            let workers = NonZeroUsize::MIN.saturating_add(1);
            Shared { workers, own: 100 }.clients(may, &Config::of_upstream(upstream.clone()))
        };
        upstream.connections_max = 10;
        assert_eq!(clients(&upstream, 2100), 1000 - 20, "as many again may be about to end");
        upstream.connections_max = 10_000;
        assert_eq!(clients(&upstream, 2100), 750);
        assert_eq!(clients(&upstream, 50), 1);
        assert_eq!(clients(&upstream, u64::MAX), u32::MAX);
    }
}
