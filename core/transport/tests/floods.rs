//! Records that cost their sender nothing, behind a handshake: whoever sends them is found out, or brings content.
#![cfg(feature = "aws-lc-rs")]

mod common;

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use common::{Authority, End};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::cipher::{AeadKey, Iv, MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::crypto::tls13::OkmBlock;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, ContentType, KeyLog, ProtocolVersion, RootCertStore, Tls13CipherSuite,
};
use shuntyard_core::config::Protocol;
use shuntyard_core::tls::TlsFailure;
use shuntyard_transport::{ClientAuth, FrontTls, Spare, Transport};

/// What a record has around its content: header, type, and tag (RFC 8446 section 5.2).
const AROUND: usize = 5 + 1 + 16;
/// A key update (RFC 8446 section 4.6.3) that asks for none.
const KEY_UPDATE: &[u8] = &[24, 0, 0, 1, 0];
/// As the transport has it: two of the longest records.
const WITHOUT_CONTENT_MAX: usize = 2 * (16 * 1024 + 2048);
const ROOM: (usize, usize) = (usize::MAX, 64 << 10);

/// The secret that the client's application data is sealed with.
#[derive(Debug, Default)]
struct Secret(Mutex<Vec<u8>>);

impl KeyLog for Secret {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        if label == "CLIENT_TRAFFIC_SECRET_0" {
            *self.0.lock().unwrap() = secret.to_vec();
        }
    }
}

/// A client that has shaken hands, its secret, and the server.
fn pair() -> (ClientConnection, Arc<Secret>, End) {
    let authority = Authority::new();
    let tls =
        FrontTls::new(&[authority.issue(&["a.example"])], &[Protocol::Http2], &ClientAuth::Off).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&authority.pem()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    let secret = Arc::<Secret>::default();
    config.key_log = secret.clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("a.example").unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let (mut server, mut spare) = (End::new(Transport::front(&tls).unwrap()), Spare::default());
    loop {
        let there = said(&mut client);
        server.hear(&there, &mut spare, ROOM);
        let back = server.speak();
        if there.is_empty() && back.is_empty() {
            assert!(server.facts.is_some() && !client.is_handshaking());
            return (client, secret, server);
        }
        client.read_tls(&mut &back[..]).unwrap();
        client.process_new_packets().unwrap();
    }
}

fn said(client: &mut ClientConnection) -> Vec<u8> {
    let mut octets = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut octets).unwrap();
    }
    octets
}

/// Makes records that no library would, with the client's keys.
struct Forger {
    suite: &'static Tls13CipherSuite,
    secret: OkmBlock,
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Forger {
    fn pair() -> (Self, End) {
        let (client, secret, server) = pair();
        let suite = client.negotiated_cipher_suite().and_then(|suite| suite.tls13()).expect("TLS 1.3");
        let secret = OkmBlock::new(&secret.0.lock().unwrap());
        (Self { suite, encrypter: encrypter(suite, &secret), secret, sequence: 0 }, server)
    }

    fn record(&mut self, typ: ContentType, content: &[u8]) -> Vec<u8> {
        let version = ProtocolVersion::TLSv1_3;
        let message = OutboundPlainMessage { typ, version, payload: OutboundChunks::Single(content) };
        self.sequence += 1;
        self.encrypter.encrypt(message, self.sequence - 1).unwrap().encode()
    }

    fn data(&mut self, content: &[u8]) -> Vec<u8> {
        self.record(ContentType::ApplicationData, content)
    }

    /// No content, and so many octets of padding behind its type (RFC 8446 section 5.4), of which the library believes that the last is the type.
    fn padding(&mut self, padding: usize) -> Vec<u8> {
        let inner = [vec![23], vec![0; padding - 1]].concat();
        self.record(ContentType::Unknown(0), &inner)
    }

    /// RFC 8446 section 7.2.
    fn key_update(&mut self) -> Vec<u8> {
        let octets = self.record(ContentType::Handshake, KEY_UPDATE);
        let mut next = vec![0; self.secret.as_ref().len()];
        expand(self.suite, &self.secret, b"tls13 traffic upd", &mut next);
        self.secret = OkmBlock::new(&next);
        (self.encrypter, self.sequence) = (encrypter(self.suite, &self.secret), 0);
        octets
    }
}

/// HKDF-Expand-Label without a context (RFC 8446 section 7.1).
fn expand(suite: &Tls13CipherSuite, secret: &OkmBlock, label: &[u8], into: &mut [u8]) {
    let length = (into.len() as u16).to_be_bytes();
    let expander = suite.hkdf_provider.expander_for_okm(secret);
    expander.expand_slice(&[&length, &[label.len() as u8], label, &[0]], into).unwrap();
}

/// RFC 8446 section 7.3.
fn encrypter(suite: &Tls13CipherSuite, secret: &OkmBlock) -> Box<dyn MessageEncrypter> {
    let (mut key, mut iv) = ([0; 32], [0; 12]);
    assert_eq!(suite.aead_alg.key_len(), key.len());
    expand(suite, secret, b"tls13 key", &mut key);
    expand(suite, secret, b"tls13 iv", &mut iv);
    suite.aead_alg.encrypter(AeadKey::from(key), Iv::from(iv))
}

/// How many turns a flood goes on for, and why no further.
fn flood(at_once: usize, turn: fn(&mut Forger) -> Vec<u8>) -> (usize, Option<TlsFailure>) {
    let (mut forger, mut server) = Forger::pair();
    let mut spare = Spare::default();
    let mut turns = 0;
    while server.failure.is_none() && turns < 20_000 {
        let octets: Vec<u8> = (0..at_once).flat_map(|_| turn(&mut forger)).collect();
        server.hear(&octets, &mut spare, ROOM);
        turns += at_once;
    }
    assert!(server.heard.is_empty() && server.transport.pending().len() < 100);
    (turns, server.failure)
}

/// However they arrive, one by one or many at once. The library bears 32 of a kind in a row; the transport so many octets of all kinds.
#[test]
fn records_without_content_end_the_connection() {
    for at_once in [1, 7, 500] {
        let ends = |records: usize| (records.next_multiple_of(at_once), Some(TlsFailure::Misbehaved));
        assert_eq!(flood(at_once, |forger| forger.data(b"")), ends(33), "empty");
        assert_eq!(flood(at_once, Forger::key_update), ends(33), "new keys");
        let padding = flood(at_once, |forger| forger.padding(4_000));
        assert_eq!(padding, ends(WITHOUT_CONTENT_MAX / (AROUND + 4_000) + 1), "padding");
        // The library counts them apart, and each makes it forget the other.
        let both = flood(at_once, |forger| [forger.data(b""), forger.key_update()].concat());
        let octets = 2 * AROUND + KEY_UPDATE.len();
        assert_eq!(both, ends(WITHOUT_CONTENT_MAX / octets + 1), "empty, and new keys");
    }
}

/// Content makes up for some, as who hides how much is said sends it; not for what was too much in front of it.
#[test]
fn records_without_content_are_borne_between_content() {
    let (mut forger, mut server) = Forger::pair();
    let mut spare = Spare::default();
    let few = WITHOUT_CONTENT_MAX / (AROUND + 4_000);
    let mut round = |few| -> Vec<u8> {
        let mut octets: Vec<u8> = (0..few).flat_map(|_| forger.padding(4_000)).collect();
        octets.extend(forger.data(b"content"));
        octets
    };
    for _ in 0..5 {
        server.hear(&round(few), &mut spare, ROOM);
    }
    assert_eq!((server.failure, server.heard.len()), (None, 5 * 7));
    server.hear(&round(few + 1), &mut spare, ROOM);
    assert_eq!(server.failure, Some(TlsFailure::Misbehaved));
}

/// What they cost is for those above to say.
#[test]
fn records_of_an_octet_are_content() {
    let (mut forger, mut server) = Forger::pair();
    let octets: Vec<u8> = (0..10_000).flat_map(|_| forger.data(b"t")).collect();
    server.hear(&octets, &mut Spare::default(), ROOM);
    assert_eq!((server.failure, server.heard.len()), (None, 10_000));
    assert!(server.transport.pending().is_empty());
}

/// RFC 8446 section 4.6.3: each may ask for an answer. Whoever reads none makes nobody hold them.
#[test]
fn answers_to_new_keys_are_not_piled_up() {
    let (mut client, _, mut server) = pair();
    let mut spare = Spare::default();
    for _ in 0..1_000 {
        client.refresh_traffic_keys().unwrap();
        client.writer().write_all(b"t").unwrap();
        server.hear(&said(&mut client), &mut spare, ROOM);
    }
    assert_eq!((server.failure, server.heard.len()), (None, 1_000));
    assert!(server.transport.pending().len() < 100, "{} octets", server.transport.pending().len());
}
