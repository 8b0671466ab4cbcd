//! How upstreams are spoken to by TLS: what the adapter knows and the gateway does not.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use shuntyard_core::gateway::Secure;
use shuntyard_core::tls::TlsFailure;
use shuntyard_transport::{BackTls, Transport};

use crate::Secured;

/// By the names of upstreams. Clones are the same: what is replaced in one holds for the next connection of every worker.
#[derive(Clone, Debug, Default)]
pub struct Backs(Arc<RwLock<HashMap<Arc<str>, BackTls>>>);

impl Backs {
    /// These upstreams.
    pub fn new(upstreams: HashMap<Arc<str>, BackTls>) -> Self {
        Self(Arc::new(RwLock::new(upstreams)))
    }

    /// These instead of those before. Connections that stand stay as they are.
    pub fn replace(&self, upstreams: HashMap<Arc<str>, BackTls>) {
        // A table that is replaced as a whole is whole.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = upstreams;
    }

    /// The beginning of a handshake.
    ///
    /// # Errors
    /// Nobody has said how TLS is spoken there, or the endpoint has no name that a certificate could be for.
    pub fn begin(&self, secure: &Secure) -> Result<Secured, TlsFailure> {
        let upstreams = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let tls = upstreams.get(&secure.upstream).ok_or(TlsFailure::Internal)?;
        Transport::back(tls, &secure.host, secure.alpn).map(|transport| Secured::new(transport, None))
    }
}
