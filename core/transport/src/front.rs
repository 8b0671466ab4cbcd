//! TLS with clients.

use std::iter;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::{RootCertStore, version};
use shuntyard_core::config::{HostPattern, NameGroups, Protocol};
use shuntyard_core::tls::TlsFailure;

use crate::failure::{TlsConfigError, of_der};
use crate::identity::{Certificates, Identity, certificates};
use crate::provider::{chosen, provider};
use crate::sessions::Sessions;

/// Whether clients show certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
pub struct FrontTls(Arc<Listener>);

#[derive(Debug)]
struct Listener {
    certificates: Arc<Certificates>,
    protocols: Vec<Protocol>,
    groups: NameGroups,
    /// How TLS is spoken with clients of no group, then with those of each. Sessions of one are none of another's.
    configs: RwLock<Vec<Asked>>,
}

/// How clients are asked for certificates, and TLS is spoken with them then.
#[derive(Clone, Debug)]
struct Asked {
    clients: ClientAuth,
    config: Arc<ServerConfig>,
}

impl FrontTls {
    /// Shows the first of these identities that is for the name which a client asks for, or the very first. `protocols` are offered by ALPN in
    /// this order; a client that names others only is turned away, and one that names none is spoken to in
    /// HTTP/1.1, or turned away where that is not among them.
    ///
    /// # Errors
    /// There is no identity, or no authority in what should hold some.
    pub fn new(
        identities: &[Identity],
        protocols: &[Protocol],
        clients: &ClientAuth,
    ) -> Result<Self, TlsConfigError> {
        Self::by_name(identities, protocols, clients, &[])
    }

    /// Likewise, but clients that ask for a name of one of these groups (SNI) show certificates as is said there. The gateway must know the same
    /// groups ([`ListenerConfig::groups`](shuntyard_core::config::ListenerConfig::groups)), for it refuses requests for names of others: the servers of
    /// `shuntyard-mio` and `shuntyard-tokio` tell it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn by_name(
        identities: &[Identity],
        protocols: &[Protocol],
        clients: &ClientAuth,
        groups: &[(Vec<HostPattern>, ClientAuth)],
    ) -> Result<Self, TlsConfigError> {
        let certificates = Arc::new(Certificates::new(identities)?);
        let clients = iter::once(clients).chain(groups.iter().map(|(_, clients)| clients));
        let configs: Result<_, _> = clients.map(|of| asked(&certificates, protocols, of)).collect();
        let groups = NameGroups(groups.iter().map(|(names, _)| names.clone()).collect());
        let configs = RwLock::new(configs?);
        Ok(Self(Arc::new(Listener { certificates, protocols: protocols.to_vec(), groups, configs })))
    }

    /// Shows these from the next handshake on. Connections and sessions that stand stay.
    ///
    /// # Errors
    /// There is none; then nothing has changed.
    pub fn replace(&self, identities: &[Identity]) -> Result<(), TlsConfigError> {
        self.0.certificates.replace(identities)
    }

    /// Asks for certificates in this way from now on, and of those of each group in their order. Connections that stand stay; a handshake that is
    /// under way fails if its client shows a certificate; no session is taken up again that was begun before, for its client was held against other authorities.
    /// A group that is asked as it was keeps its handshakes and sessions.
    ///
    /// # Errors
    /// There is no authority in what should hold some, or there are more or fewer groups; then nothing has changed.
    pub fn replace_clients(&self, clients: &ClientAuth, groups: &[ClientAuth]) -> Result<(), TlsConfigError> {
        let listener = &*self.0;
        if groups.len() != listener.groups.0.len() {
            return Err(TlsConfigError::Other("there are other groups of names".to_owned()));
        }
        let before = listener.configs.read().unwrap_or_else(PoisonError::into_inner).clone();
        let clients = iter::once(clients).chain(groups);
        let make = |(of, before): (&ClientAuth, Asked)| match before {
            same if same.clients == *of => Ok(same),
            _ => asked(&listener.certificates, &listener.protocols, of),
        };
        let configs = clients.zip(before).map(make).collect::<Result<_, _>>()?;
        // A list that is replaced as a whole is whole.
        *listener.configs.write().unwrap_or_else(PoisonError::into_inner) = configs;
        Ok(())
    }

    /// The protocols that are offered.
    pub fn protocols(&self) -> &[Protocol] {
        &self.0.protocols
    }

    /// The groups of names that are asked for certificates in a way of their own.
    pub fn groups(&self) -> &NameGroups {
        &self.0.groups
    }

    /// How TLS is spoken with who asks for this name.
    pub(crate) fn chosen_for(&self, name: Option<&str>) -> Chosen {
        let group = name.and_then(|name| self.0.groups.of(name.as_bytes()));
        let configs = self.0.configs.read().unwrap_or_else(PoisonError::into_inner);
        let config = configs[group.map_or(0, |group| group + 1)].config.clone();
        Chosen { tls: self.clone(), group, config }
    }

    /// Whether that depends on the name.
    pub(crate) fn is_by_name(&self) -> bool {
        !self.0.groups.is_empty()
    }
}

/// How TLS is spoken with a client, as it was chosen before the handshake.
pub(crate) struct Chosen {
    tls: FrontTls,
    group: Option<usize>,
    pub(crate) config: Arc<ServerConfig>,
}

impl Chosen {
    /// What is wrong with a handshake that went so: its client has asked for a name of which other things are asked, or has proved who it is to
    /// authorities that are not trusted any more; or it has `agreed` on no protocol, so that it is spoken to in HTTP/1.1 or not at all (RFC 9113 section 3.2).
    pub(crate) fn fault(&self, name: Option<&str>, certified: bool, agreed: bool) -> Option<TlsFailure> {
        let now = self.tls.chosen_for(name);
        let protocols = &self.tls.0.protocols;
        if now.group != self.group {
            Some(TlsFailure::Misbehaved)
        } else if certified && !Arc::ptr_eq(&now.config, &self.config) {
            Some(TlsFailure::CertificateUnknownIssuer)
        } else if !agreed && !protocols.is_empty() && !protocols.contains(&Protocol::Http1) {
            Some(TlsFailure::NoProtocol)
        } else {
            None
        }
    }
}

fn asked(
    certificates: &Arc<Certificates>,
    protocols: &[Protocol],
    clients: &ClientAuth,
) -> Result<Asked, TlsConfigError> {
    Ok(Asked { clients: clients.clone(), config: server_config(certificates, protocols, clients)? })
}

fn server_config(
    certificates: &Arc<Certificates>,
    protocols: &[Protocol],
    clients: &ClientAuth,
) -> Result<Arc<ServerConfig>, TlsConfigError> {
    let provider = provider();
    let other = |error: &dyn std::fmt::Display| TlsConfigError::Other(error.to_string());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12]) // 9113-9.2-01
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
    let mut config = builder.with_cert_resolver(certificates.clone());
    config.alpn_protocols = protocols.iter().map(|&protocol| alpn_name(protocol).to_vec()).collect();
    // RFC 8446 section 8: early data can be replayed by anybody who saw it.
    config.max_early_data_size = 0;
    config.session_storage = Sessions::new();
    config.ticketer = chosen::Ticketer::new().map_err(|error| other(&error))?;
    Ok(Arc::new(config))
}

/// What a protocol is called in ALPN (RFC 9113 section 3.1, RFC 7301 section 6).
pub(crate) const fn alpn_name(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Http2 => b"h2", // 9113-3.2-01
        Protocol::Http1 => b"http/1.1",
    }
}

/// The protocol that ALPN calls so.
pub(crate) fn alpn_protocol(name: &[u8]) -> Option<Protocol> {
    [Protocol::Http2, Protocol::Http1].into_iter().find(|&protocol| alpn_name(protocol) == name)
}

/// Whether these are certificates of authorities, as PEM.
///
/// # Errors
/// There is none among them, or one that cannot be read.
pub fn check_authorities(pem: &[u8]) -> Result<(), TlsConfigError> {
    authorities(pem).map(drop)
}

pub(crate) fn authorities(pem: &[u8]) -> Result<Arc<RootCertStore>, TlsConfigError> {
    let found = certificates(pem).map_err(|error| match error {
        TlsConfigError::NoCertificate => TlsConfigError::NoRoots,
        error => error,
    })?;
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        let root = webpki::anchor_from_trusted_cert(certificate).map_err(|error| of_der(&error))?;
        roots.roots.push(root.to_owned());
    }
    Ok(Arc::new(roots))
}

#[cfg(test)]
mod tests {
    use shuntyard_core::config::Alpn;

    use super::*;
    use crate::common::{Authority, Pair};
    use crate::{BackTls, Transport, Trust};

    /// Whoever runs the listener hears of it, for the handshake counts as one that has failed.
    #[test]
    fn rfc9113_3_2_who_names_no_protocol_is_turned_away_where_http1_is_not_spoken() {
        let authority = Authority::new();
        let back = BackTls::new(&Trust::Authorities(authority.pem()), None, None).unwrap();
        let (one, both) = ([Protocol::Http2], [Protocol::Http2, Protocol::Http1]);
        for (spoken, failure) in [(&one[..], Some(TlsFailure::NoProtocol)), (&both, None), (&[], None)] {
            let front = FrontTls::new(&[authority.issue(&["a.example"])], spoken, &ClientAuth::Off).unwrap();
            let silent = Transport::offering(&back, "a.example", Vec::new(), Alpn::Either).unwrap();
            let mut pair = Pair::new(silent, Transport::front(&front).unwrap());
            pair.run();
            assert_eq!((pair.server.failure, pair.server.facts.is_some()), (failure, failure.is_none()));
            assert_eq!(pair.server.transport.is_handshaking(), failure.is_some());
            assert_eq!(pair.client.ended, failure.is_some(), "it is told that this is the end");
        }
    }

    /// RFC 8446 section 8: nobody may send what can be replayed.
    #[test]
    fn no_early_data_is_taken() {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        let identity = Identity::from_pem(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes());
        let front = FrontTls::new(&[identity.unwrap()], &[Protocol::Http2], &ClientAuth::Off).unwrap();
        let configs = front.0.configs.read().unwrap();
        assert!(!configs.is_empty() && configs.iter().all(|asked| asked.config.max_early_data_size == 0));
    }
}
