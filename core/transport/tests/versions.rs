//! A client of another kind, of either version: rustls's own, with buffers.

mod common;

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use common::{Authority, End};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion, version};
use shuntyard_core::config::Protocol;
use shuntyard_core::time::Instant;
use shuntyard_requirements::req;
use shuntyard_transport::{ClientAuth, FrontTls, Spare, Transport};

fn client(authority: &Authority, version: &'static SupportedProtocolVersion) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&authority.pem()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    ClientConnection::new(Arc::new(config), "a.example".try_into().unwrap()).unwrap()
}

/// Octets go to and fro until nobody has any; says what the client has read.
fn talk(client: &mut ClientConnection, server: &mut End, spare: &mut Spare) -> Vec<u8> {
    let mut heard = Vec::new();
    loop {
        let mut there = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut there).unwrap();
        }
        server.hear(&there, spare, (usize::MAX, 64 << 10));
        let back = server.speak();
        if there.is_empty() && back.is_empty() {
            return heard;
        }
        let mut rest = &back[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets().unwrap();
            // Nothing more for now is no end.
            let _ = client.reader().read_to_end(&mut heard);
        }
    }
}

/// The one suite with the one curve that everybody has.
#[test]
fn the_suite_that_everybody_has_is_there() {
    req!("9113-9.2.2-04");
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let has = |suite| provider.cipher_suites.iter().any(|of| of.suite() == suite);
    assert!(has(rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256));
    let groups: Vec<_> = provider.kx_groups.iter().map(|group| group.name()).collect();
    assert!(groups.contains(&rustls::NamedGroup::secp256r1));
    // And first the one that withstands what may come.
    assert_eq!(groups[0], rustls::NamedGroup::X25519MLKEM768);
    // RFC 9113 appendix A: none of TLS 1.2 that has no ephemeral key, or is no AEAD.
    let prohibited = provider.cipher_suites.iter().find(|suite| {
        let name = format!("{:?}", suite.suite());
        suite.tls13().is_none()
            && !(name.starts_with("TLS_ECDHE_") && (name.contains("_GCM_") || name.contains("POLY1305")))
    });
    assert!(prohibited.is_none(), "{prohibited:?}");
}

#[test]
fn both_versions_are_spoken() {
    req!("9113-9.2-01");
    let authority = Authority::new();
    let identity = [authority.issue(&["a.example"])];
    let front = FrontTls::new(&identity, &[Protocol::Http2, Protocol::Http1], &ClientAuth::Off).unwrap();
    for version in [&version::TLS12, &version::TLS13] {
        let mut client = client(&authority, version);
        let mut server = End::new(Transport::front(&front).unwrap());
        let mut spare = Spare::default();
        talk(&mut client, &mut server, &mut spare);
        assert!(!client.is_handshaking(), "{version:?}");
        assert_eq!(server.facts.as_ref().unwrap().protocol, Some(Protocol::Http1));
        client.writer().write_all(b"a question").unwrap();
        server.say(&[7; 5000], &mut spare, Instant::ZERO);
        assert_eq!(talk(&mut client, &mut server, &mut spare), [7; 5000]);
        assert_eq!(server.heard, b"a question");
        client.send_close_notify();
        talk(&mut client, &mut server, &mut spare);
        assert!(server.ended);
    }
}
