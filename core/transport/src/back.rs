//! TLS with backends.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme, version};
use shuntyard_core::config::{Alpn, Protocol};

use crate::failure::TlsConfigError;
use crate::front::{alpn_name, authorities};
use crate::identity::Identity;
use crate::provider::provider;

/// Whose word is taken for who a backend is.
#[derive(Clone, Debug)]
pub enum Trust {
    /// These authorities', as PEM.
    Authorities(Vec<u8>),
    /// These authorities', each as DER: the system's, as a rule. Those that cannot be read are left out.
    Roots(Vec<Vec<u8>>),
    /// Nobody's: every certificate is taken, whoever shows it. Whoever is between can read and change everything.
    Nobody,
}

/// How an upstream is spoken to by TLS. Clones are the same upstream: they share sessions.
#[derive(Clone, Debug)]
pub struct BackTls {
    pub(crate) config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
    pub(crate) verifies: bool,
}

impl BackTls {
    /// Backends must prove that they are `name`, which they are asked for (SNI); without it, the host by which they are written down. With
    /// an identity it is shown to backends that ask for one.
    ///
    /// # Errors
    /// There is no authority in what should hold some; `name` is no name.
    pub fn new(
        trust: &Trust,
        identity: Option<&Identity>,
        name: Option<&str>,
    ) -> Result<Self, TlsConfigError> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&version::TLS13, &version::TLS12]) // 9113-9.2-01
            .map_err(|error| TlsConfigError::Other(error.to_string()))?;
        let builder = match trust {
            // 9113-9.1.1-02, 9110-4.3.4-01, 9110-4.3.4-02, 9110-4.3.4-05
            Trust::Authorities(pem) => builder.with_root_certificates(authorities(pem)?),
            Trust::Roots(roots) => {
                let mut store = RootCertStore::empty();
                let (added, _) = store
                    .add_parsable_certificates(roots.iter().map(|der| CertificateDer::from(der.as_slice())));
                if added == 0 {
                    return Err(TlsConfigError::NoRoots);
                }
                builder.with_root_certificates(store)
            }
            Trust::Nobody => {
                let schemes = provider.signature_verification_algorithms.supported_schemes();
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(schemes)))
            }
        };
        let mut config = match identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(
                rustls::sign::SingleCertAndKey::from(identity.key.clone()),
            )),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(256);
        let name = name.map(server_name).transpose()?;
        let verifies = !matches!(trust, Trust::Nobody);
        Ok(Self { config: Arc::new(config), name, verifies })
    }

    /// Whether it has a name for backends, whatever they are written down as.
    pub fn is_named(&self) -> bool {
        self.name.is_some()
    }

    /// Who the backend must be that is written down as `host`, by name or address.
    pub(crate) fn name_for(&self, host: &str) -> Result<ServerName<'static>, TlsConfigError> {
        self.name.clone().map_or_else(|| server_name(host), Ok)
    }
}

/// What is offered to a backend.
pub(crate) fn offered(alpn: Alpn) -> Vec<Vec<u8>> {
    let protocols = match alpn {
        Alpn::Http2 => &[Protocol::Http2][..],
        Alpn::Either => &[Protocol::Http2, Protocol::Http1],
    };
    protocols.iter().map(|&protocol| alpn_name(protocol).to_vec()).collect()
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsConfigError> {
    // 9110-4.3.4-03
    ServerName::try_from(name.to_owned()).map_err(|_| TlsConfigError::Name(name.to_owned()))
}

/// Takes every certificate. That its holder has the key is checked all the same: a session belongs to whoever it was made with.
#[derive(Debug)]
struct Unverified(Vec<SignatureScheme>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
