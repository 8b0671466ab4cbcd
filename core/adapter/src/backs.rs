//! How upstreams are spoken to by TLS: what the adapter knows and the gateway does not.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use shuntyard_core::config::{Config, ConfigError, UpstreamConfig};
use shuntyard_core::gateway::Secure;
use shuntyard_core::tls::TlsFailure;
use shuntyard_transport::{BackTls, Transport};

use crate::Secured;

/// By the names of upstreams. Clones are the same: what is replaced in one holds for the next connection of every worker.
#[derive(Clone, Debug, Default)]
pub struct Backs(Arc<RwLock<Table>>);

#[derive(Debug, Default)]
struct Table {
    upstreams: HashMap<Arc<str>, BackTls>,
    /// Those that were the last to go: requests may still wait for them.
    gone: HashMap<Arc<str>, BackTls>,
}

impl Backs {
    /// These upstreams.
    pub fn new(upstreams: HashMap<Arc<str>, BackTls>) -> Self {
        Self(Arc::new(RwLock::new(Table { upstreams, gone: HashMap::new() })))
    }

    /// These instead of those before. Connections that stand stay as they are, and those that are not among these any more are spoken to as before,
    /// until others go.
    pub fn replace(&self, upstreams: HashMap<Arc<str>, BackTls>) {
        // Nothing in between panics.
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut gone = core::mem::replace(&mut table.upstreams, upstreams);
        gone.retain(|name, _| !table.upstreams.contains_key(name));
        if !gone.is_empty() {
            table.gone = gone;
        }
    }

    /// Whether each upstream of this configuration is among these that has an endpoint which speaks TLS, with a name for those of its endpoints that
    /// have none, which are Unix sockets: every request for another would fail.
    ///
    /// # Errors
    /// The first that is not.
    pub fn cover(&self, config: &Config) -> Result<(), ConfigError> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        config.upstreams.iter().try_for_each(|upstream| covers(table.upstreams.get(&upstream.name), upstream))
    }

    /// The beginning of a handshake.
    ///
    /// # Errors
    /// Nobody has said how TLS is spoken there, or the endpoint has no name that a certificate could be for.
    pub fn begin(&self, secure: &Secure) -> Result<Secured, TlsFailure> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = table.upstreams.get(&secure.upstream).or_else(|| table.gone.get(&secure.upstream));
        let tls = found.ok_or(TlsFailure::Internal)?;
        let transport = Transport::back(tls, &secure.host, secure.alpn)?;
        Ok(Secured::of_backend(transport, secure.upstream.clone(), secure.host.clone()))
    }
}

fn covers(tls: Option<&BackTls>, upstream: &UpstreamConfig) -> Result<(), ConfigError> {
    let mut secured = upstream.endpoints.iter().filter(|endpoint| endpoint.tls.is_some()).peekable();
    let Some(tls) = tls else {
        let unknown = ConfigError::UpstreamTls { upstream: upstream.name.clone() };
        return secured.peek().map_or(Ok(()), |_| Err(unknown));
    };
    match secured.find(|endpoint| !tls.is_named() && endpoint.host.name().is_empty()) {
        Some(endpoint) => Err(ConfigError::EndpointUnnamed { endpoint: endpoint.host.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use shuntyard_core::address::Address;
    use shuntyard_core::config::{Alpn, Host};
    use shuntyard_core::gateway::Closed;
    use shuntyard_transport::Trust;

    use super::*;
    use crate::Notice;

    #[test]
    fn a_backend_with_which_tls_fails_is_told_of_once() {
        let tls = BackTls::new(&Trust::Nobody, None, None).unwrap();
        let backs = Backs::new(HashMap::from([("a".into(), tls)]));
        let secure = Secure { upstream: "a".into(), host: "a.example".into(), alpn: Alpn::Either };
        let mut secured = backs.begin(&secure).unwrap();
        assert!(secured.complaint(Closed::Tls(TlsFailure::TimedOut)).is_none());
        let mut reset = backs.begin(&secure).unwrap();
        let told = reset.complaint(Closed::Reset);
        assert!(
            matches!(told, Some(Notice::BackendTlsFailed { failure: TlsFailure::Interrupted, .. })),
            "{told:?}"
        );
        let failed = Closed::Tls(TlsFailure::Misbehaved);
        let told = secured.complaint(failed);
        let Some(Notice::BackendTlsFailed { upstream, host, failure }) = told else { panic!("{told:?}") };
        assert_eq!((&*upstream, &*host, failure), ("a", "a.example", TlsFailure::Misbehaved));
        assert!(secured.complaint(failed).is_none());
    }

    /// There is nothing that its certificate could be for.
    #[test]
    fn a_unix_socket_that_speaks_tls_needs_a_name() {
        let place = Address::Unix("/run/a".into());
        let mut config = Config::new(vec![place.clone()]);
        let of = |name: Option<&str>| {
            let tls = BackTls::new(&Trust::Nobody, None, name).unwrap();
            Backs::new(HashMap::from([("default".into(), tls)]))
        };
        assert_eq!(of(None).cover(&config), Ok(()), "in clear");
        config.upstreams[0].endpoints[0].tls = Some(Alpn::Either);
        let unnamed = ConfigError::EndpointUnnamed { endpoint: Host::Address(place) };
        assert_eq!(of(None).cover(&config), Err(unnamed));
        assert_eq!(of(Some("a.example")).cover(&config), Ok(()));
    }

    /// A queue is older than the configuration without its upstream.
    #[test]
    fn an_upstream_that_is_gone_is_spoken_to_until_others_go() {
        let of = |names: &[&str]| {
            let tls = BackTls::new(&Trust::Nobody, None, None).unwrap();
            names.iter().map(|&name| (Arc::from(name), tls.clone())).collect::<HashMap<_, _>>()
        };
        let backs = Backs::new(of(&["a", "b"]));
        let known = |name: &str| {
            let secure = Secure { upstream: name.into(), host: "a.example".into(), alpn: Alpn::Either };
            backs.begin(&secure).map(drop)
        };
        for (names, found) in [
            (&["b", "c"][..], [true, true, true]),
            // Their files were read again.
            (&["b", "c"], [true, true, true]),
            (&["c"], [false, true, true]),
            (&["a"], [true, false, true]),
        ] {
            backs.replace(of(names));
            assert_eq!(["a", "b", "c"].map(|name| known(name).is_ok()), found, "{names:?}");
        }
    }
}
