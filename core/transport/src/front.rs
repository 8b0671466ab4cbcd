//! TLS with clients.

use std::sync::Arc;

use rustls::server::{ServerConfig, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{RootCertStore, version};
use shuntyard_core::config::Protocol;

use crate::failure::TlsConfigError;
use crate::identity::{Certificates, Identity, certificates};
use crate::provider::{chosen, provider};

/// Sessions of TLS 1.2 clients without tickets that are remembered, over all workers.
const SESSIONS: usize = 4096;

/// Whether clients show certificates.
#[derive(Clone, Debug, Default)]
pub enum ClientAuth {
    /// None is asked for.
    #[default]
    Off,
    /// One is asked for. A client may have none; one that is not signed by these authorities (PEM) ends the handshake.
    Optional(Vec<u8>),
    /// Who has none that is signed by these authorities (PEM) is turned away.
    Required(Vec<u8>),
}

/// How a listener speaks TLS. Clones are the same listener: they share certificates and sessions.
#[derive(Clone, Debug)]
pub struct FrontTls {
    pub(crate) config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
}

impl FrontTls {
    /// Shows the first of these identities that is for the name which a client asks for, or the very first. `protocols` are offered by ALPN in
    /// this order; a client that names others only is turned away, and one that names none is served by its first octets.
    ///
    /// # Errors
    /// There is no identity, or no authority in what should hold some.
    pub fn new(
        identities: &[Identity],
        protocols: &[Protocol],
        clients: &ClientAuth,
    ) -> Result<Self, TlsConfigError> {
        let shown = Arc::new(Certificates::new(identities)?);
        let provider = provider();
        let other = |error: &dyn std::fmt::Display| TlsConfigError::Other(error.to_string());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|error| other(&error))?;
        let builder = match clients {
            ClientAuth::Off => builder.with_no_client_auth(),
            ClientAuth::Optional(roots) | ClientAuth::Required(roots) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(authorities(roots)?, provider);
                let verifier = match clients {
                    ClientAuth::Optional(_) => verifier.allow_unauthenticated(),
                    ClientAuth::Off | ClientAuth::Required(_) => verifier,
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| other(&error))?)
            }
        };
        let mut config = builder.with_cert_resolver(shown.clone());
        config.alpn_protocols = protocols.iter().map(|&protocol| alpn_name(protocol).to_vec()).collect();
        // RFC 8446 section 8: early data can be replayed by anybody who saw it.
        config.max_early_data_size = 0;
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        config.ticketer = chosen::Ticketer::new().map_err(|error| other(&error))?;
        Ok(Self { config: Arc::new(config), certificates: shown })
    }

    /// Shows these from the next handshake on. Connections and sessions that stand stay.
    ///
    /// # Errors
    /// There is none; then nothing has changed.
    pub fn replace(&self, identities: &[Identity]) -> Result<(), TlsConfigError> {
        self.certificates.replace(identities)
    }
}

/// What a protocol is called in ALPN (RFC 9113 section 3.1, RFC 7301 section 6).
pub(crate) const fn alpn_name(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Http2 => b"h2",
        Protocol::Http1 => b"http/1.1",
    }
}

/// The protocol that ALPN calls so.
pub(crate) fn alpn_protocol(name: &[u8]) -> Option<Protocol> {
    [Protocol::Http2, Protocol::Http1].into_iter().find(|&protocol| alpn_name(protocol) == name)
}

pub(crate) fn authorities(pem: &[u8]) -> Result<Arc<RootCertStore>, TlsConfigError> {
    let found = certificates(pem).map_err(|error| match error {
        TlsConfigError::NoCertificate => TlsConfigError::NoRoots,
        error => error,
    })?;
    let mut roots = RootCertStore::empty();
    for certificate in found {
        roots.add(certificate).map_err(|error| TlsConfigError::Unreadable(error.to_string()))?;
    }
    Ok(Arc::new(roots))
}
