//! Who meets: our end and a peer's, with certificates that are made once a process.

use std::sync::{Arc, OnceLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ED25519};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection, version,
};
use shuntyard_core::config::{Alpn, HostPattern, Protocol};
use shuntyard_core::tls::TlsFailure;
use shuntyard_transport::{BackTls, ClientAuth, FrontTls, Identity, Transport, Trust};

const NAME: &str = "a.example";
/// A name of the group that asks for certificates.
const ASKING: &str = "admin.example";

/// Two that meet, and what comes of it where nobody meddles.
pub(super) struct Parties {
    pub(super) we_serve: bool,
    /// They do not agree, and this is why.
    pub(super) refused: Option<TlsFailure>,
    kind: u8,
}

impl Parties {
    /// A bit each: who serves, the version, what is asked for, shown, offered, and whether they know each other.
    pub(super) fn new(kind: u8) -> Self {
        let we_serve = kind & 1 == 0;
        let mut parties = Self { we_serve, refused: None, kind };
        parties.refused = if we_serve {
            // A certificate that is asked for by name, and not shown.
            (parties.asks() && !parties.shows()).then_some(TlsFailure::CertificateMissing)
        } else if !parties.offers_h2() {
            Some(TlsFailure::NoProtocol)
        } else {
            None
        };
        parties
    }

    fn is_tls12(&self) -> bool {
        self.kind & 2 > 0
    }

    fn asks(&self) -> bool {
        self.kind & 4 > 0
    }

    fn shows(&self) -> bool {
        self.kind & 8 > 0
    }

    fn offers_h2(&self) -> bool {
        self.kind & 16 == 0
    }

    /// Whether one handshake comes before, so that this one may take its session up again.
    fn comes_again(&self) -> bool {
        self.kind & 32 > 0
    }

    /// Both ends, before the first octet.
    pub(super) fn meet(&self) -> (Transport, Connection) {
        if self.we_serve { self.we_serve() } else { self.they_serve() }
    }

    fn we_serve(&self) -> (Transport, Connection) {
        let cast = cast();
        let name = ServerName::try_from(if self.asks() { ASKING } else { NAME }).expect("a name");
        let mut config = cast.client[usize::from(self.is_tls12())][usize::from(self.shows())].clone();
        config.alpn_protocols = vec![if self.offers_h2() { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        config.resumption =
            if self.comes_again() { Resumption::in_memory_sessions(4) } else { Resumption::disabled() };
        let config = Arc::new(config);
        let meet = || {
            let client = ClientConnection::new(config.clone(), name.clone()).expect("a client");
            let server = Transport::front(&cast.front).expect("a server");
            (server, Connection::from(client))
        };
        if self.comes_again() && self.refused.is_none() {
            carry(meet());
        }
        meet()
    }

    fn they_serve(&self) -> (Transport, Connection) {
        let cast = cast();
        let mut config = cast.server[usize::from(self.is_tls12())].clone();
        config.alpn_protocols = if self.offers_h2() { vec![b"h2".to_vec()] } else { Vec::new() };
        if !self.comes_again() {
            config.send_tls13_tickets = 0;
            config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        }
        let config = Arc::new(config);
        // Sessions are its own: those of former inputs would change what this one does.
        let back =
            BackTls::new(&Trust::Authorities(cast.authority.clone()), None, None).expect("authorities");
        let meet = || {
            let server = ServerConnection::new(config.clone()).expect("a server");
            let client = Transport::back(&back, NAME, Alpn::Http2).expect("a client");
            (client, Connection::from(server))
        };
        if self.comes_again() && self.refused.is_none() {
            carry(meet());
        }
        meet()
    }
}

/// A whole handshake, and what is said of its session behind it.
fn carry((mut transport, mut peer): (Transport, Connection)) {
    let mut spare = shuntyard_transport::Spare::default();
    for _ in 0..6 {
        let mut octets = transport.pending();
        while !octets.is_empty() {
            peer.read_tls(&mut octets).expect("its buffers are emptied");
            peer.process_new_packets().expect("a sound handshake");
        }
        transport.left(usize::MAX >> 1);
        let mut back = Vec::new();
        while peer.wants_write() {
            peer.write_tls(&mut back).expect("memory takes everything");
        }
        let room = transport.recv_buf(&mut spare).expect("room");
        room[..back.len()].copy_from_slice(&back);
        transport.received(back.len());
        while !matches!(transport.poll_plain(&mut [0; 100]), shuntyard_transport::Plain::Starved) {}
    }
    assert!(transport.is_open() && !peer.is_handshaking(), "a sound handshake");
}

/// All that is the same for every input.
struct Cast {
    authority: Vec<u8>,
    front: FrontTls,
    /// By version, then without and with a certificate.
    client: [[ClientConfig; 2]; 2],
    /// By version.
    server: [ServerConfig; 2],
}

fn cast() -> &'static Cast {
    static CAST: OnceLock<Cast> = OnceLock::new();
    CAST.get_or_init(Cast::new)
}

impl Cast {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("an authority");
        let authority = issuer.pem().into_bytes();
        let (chain, private) = issue(&issuer);
        let identity = Identity::from_pem(&chain, &private).expect("an identity");
        let asking = HostPattern::Exact(ASKING.into());
        let front = FrontTls::by_name(
            &[identity],
            &[Protocol::Http2, Protocol::Http1],
            &ClientAuth::Optional(authority.clone()),
            &[(vec![asking], ClientAuth::Required(authority.clone()))],
        );
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&authority).expect("PEM")).expect("an authority");
        let pair = (chain, private);
        let client = [&version::TLS13, &version::TLS12]
            .map(|version| [None, Some(&pair)].map(|shown| client(version, &roots, shown)));
        let server = [&version::TLS13, &version::TLS12].map(|version| server(version, &pair));
        Self { authority, front: front.expect("a listener"), client, server }
    }
}

type Pem = (Vec<u8>, Vec<u8>);

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).expect("a key")
}

fn issue(issuer: &CertifiedIssuer<'static, KeyPair>) -> Pem {
    let key = key();
    let params = CertificateParams::new([NAME.to_owned(), ASKING.to_owned()]).expect("names");
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    (certificate.pem().into_bytes(), key.serialize_pem().into_bytes())
}

fn read((chain, key): &Pem) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().expect("a chain");
    (chain, PrivateKeyDer::from_pem_slice(key).expect("a key"))
}

fn client(
    version: &'static rustls::SupportedProtocolVersion,
    roots: &RootCertStore,
    shown: Option<&Pem>,
) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots.clone());
    match shown.map(read) {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).expect("a pair"),
        None => builder.with_no_client_auth(),
    }
}

fn server(version: &'static rustls::SupportedProtocolVersion, pair: &Pem) -> ServerConfig {
    let (chain, key) = read(pair);
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a pair")
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
