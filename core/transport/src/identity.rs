//! Certificates with their keys: who one is for the other side, and which of several is shown.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{Error, InconsistentKeys};

use crate::failure::{TlsConfigError, of_der};
use crate::provider::provider;
use crate::subject::text_of;

/// A chain of certificates, the own first, with the private key of the first.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(crate) key: Arc<CertifiedKey>,
    /// The names of DNS that the first certificate is for, in lower case, wildcards included.
    names: Vec<String>,
}

impl Identity {
    /// Reads both from PEM: RSA, ECDSA and Ed25519, as PKCS#8, PKCS#1 or SEC1. One file may hold both.
    ///
    /// # Errors
    /// Either is missing or cannot be read, or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsConfigError> {
        let (chain, names) = chain_of(chain)?;
        let key = CertifiedKey::new(chain, key_of(key)?);
        match key.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => return Err(TlsConfigError::KeyMismatch),
            Err(error) => return Err(TlsConfigError::Unreadable(error.to_string())),
        }
        Ok(Self { key: Arc::new(key), names })
    }

    /// Whether this is a chain, whatever its key.
    ///
    /// # Errors
    /// There is no certificate in it, or one that cannot be read.
    pub fn check_chain(pem: &[u8]) -> Result<(), TlsConfigError> {
        chain_of(pem).map(drop)
    }

    /// Whether this is a private key, whatever its certificate.
    ///
    /// # Errors
    /// There is none in it, or one that cannot be read or is not supported.
    pub fn check_key(pem: &[u8]) -> Result<(), TlsConfigError> {
        key_of(pem).map(drop)
    }

    /// The first certificate of the chain, in DER: whose key it is.
    pub fn certificate(&self) -> &[u8] {
        // There is one, or there would be no identity.
        self.key.cert.first().map_or(&[], |certificate| certificate.as_ref())
    }

    /// The names that the certificate is for, as they stand in it, in lower case.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// The certificates, and the names of the first.
fn chain_of(pem: &[u8]) -> Result<(Vec<CertificateDer<'static>>, Vec<String>), TlsConfigError> {
    let chain = certificates(pem)?;
    let names = names_of(&chain[0])?;
    Ok((chain, names))
}

fn key_of(pem: &[u8]) -> Result<Arc<dyn SigningKey>, TlsConfigError> {
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| TlsConfigError::of_key(&error, pem))?;
    let loaded = provider().key_provider.load_private_key(key);
    loaded.map_err(|error| TlsConfigError::KeyUnsupported(in_words(error)))
}

/// What is wrong with a key, in the words of who does the cryptography.
fn in_words(error: Error) -> String {
    match error {
        Error::General(what) => what,
        error => error.to_string(),
    }
}

/// The certificates of a PEM, in their order.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| TlsConfigError::of_certificates(&error, pem))?;
    if found.is_empty() { Err(TlsConfigError::of_no_certificate(pem)) } else { Ok(found) }
}

fn names_of(certificate: &CertificateDer<'_>) -> Result<Vec<String>, TlsConfigError> {
    let parsed = webpki::EndEntityCert::try_from(certificate).map_err(|error| of_der(&error))?;
    Ok(parsed.valid_dns_names().map(str::to_ascii_lowercase).collect())
}

/// Whom the certificate names.
pub(crate) fn subject_of(certificate: &CertificateDer<'_>) -> Option<String> {
    text_of(webpki::EndEntityCert::try_from(certificate).ok()?.subject())
}

thread_local! {
    /// The name that the client asked for in the ClientHello that is being looked at. rustls asks for a certificate while it takes the
    /// ClientHello, on the thread that gave it, and keeps the name to itself.
    static ASKED: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// The name that was asked for since the last look, on this thread.
pub(crate) fn take_asked() -> Option<Arc<str>> {
    ASKED.take()
}

/// The certificates of a listener, which may be replaced while it serves.
#[derive(Debug)]
pub(crate) struct Certificates(RwLock<Table>);

/// By name: exact, then the wildcard of its domain (RFC 9525 section 6.3: one label), then the default.
#[derive(Debug)]
struct Table {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

impl Table {
    fn new(identities: &[Identity]) -> Result<Self, TlsConfigError> {
        let default = identities.first().ok_or(TlsConfigError::NoCertificate)?.key.clone();
        let mut by_name = HashMap::new();
        for identity in identities {
            for name in &identity.names {
                // The first that is for a name shows itself.
                by_name.entry(name.clone()).or_insert_with(|| identity.key.clone());
            }
        }
        Ok(Self { by_name, default })
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        self.by_name.get(name).or_else(|| {
            let (_, domain) = name.split_once('.')?;
            self.by_name.get(&format!("*.{domain}"))
        })
    }
}

impl Certificates {
    pub(crate) fn new(identities: &[Identity]) -> Result<Self, TlsConfigError> {
        Ok(Self(RwLock::new(Table::new(identities)?)))
    }

    pub(crate) fn replace(&self, identities: &[Identity]) -> Result<(), TlsConfigError> {
        let table = Table::new(identities)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = table;
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // 9113-9.2-03
        let asked: Option<Arc<str>> = hello.server_name().map(|name| name.to_ascii_lowercase().into());
        // A table that is replaced as a whole is whole.
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = asked.as_deref().and_then(|name| table.find(name)).unwrap_or(&table.default).clone();
        ASKED.set(asked);
        Some(found)
    }
}
