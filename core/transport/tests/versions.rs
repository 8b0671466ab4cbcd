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

/// A ClientHello (RFC 5246 section 7.4.1.2) of this version at most, with suites and a curve that TLS 1.1 has, too.
fn hello(version: [u8; 2]) -> Vec<u8> {
    // Supported groups, point formats, and signatures.
    let extensions =
        b"\x00\x0a\x00\x04\x00\x02\x00\x17\x00\x0b\x00\x02\x01\x00\x00\x0d\x00\x06\x00\x04\x04\x03\x04\x01";
    // ECDHE with AES by GCM and by CBC, and no compression.
    let suites = b"\x00\x08\xc0\x2b\xc0\x2f\xc0\x09\xc0\x13\x01\x00";
    let length = u8::try_from(extensions.len()).unwrap();
    let body = [&version[..], &[7; 32], &[0], suites, &[0, length], extensions].concat();
    let length = u8::try_from(body.len()).unwrap();
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length], &body[..]].concat()
}

#[test]
fn what_is_older_than_tls_1_2_is_not_spoken() {
    req!("9113-9.2-01");
    let authority = Authority::new();
    let identity = [authority.issue(&["a.example"])];
    let front = FrontTls::new(&identity, &[Protocol::Http2, Protocol::Http1], &ClientAuth::Off).unwrap();
    for (version, is_spoken) in [([3, 1], false), ([3, 2], false), ([3, 3], true)] {
        let mut server = End::new(Transport::front(&front).unwrap());
        server.hear(&hello(version), &mut Spare::default(), (usize::MAX, 64 << 10));
        // A record with a ServerHello, or with a fatal alert: protocol_version (RFC 5246 section 7.2.2).
        let said = server.speak();
        match is_spoken {
            true => assert!(said.starts_with(&[22, 3, 3]) && said[5] == 2, "{said:?}"),
            false => assert_eq!((said[0], &said[5..]), (21, &[2, 70][..]), "{version:?}"),
        }
        assert_eq!(server.failure.is_some(), !is_spoken, "{version:?}");
    }
}

/// Whoever does nothing but keep the other side busy is turned away after a few records, and no answers pile up meanwhile.
#[test]
fn floods_of_records_end_soon() {
    let authority = Authority::new();
    let identity = [authority.issue(&["a.example"])];
    let front = FrontTls::new(&identity, &[Protocol::Http1], &ClientAuth::Off).unwrap();
    let (mut spare, whole) = (Spare::default(), (usize::MAX, 64 << 10));
    // Before anything is agreed on, in clear: parts of a message with nothing in them, warnings, changes of cipher.
    for (record, most) in [
        (&b"\x16\x03\x01\x00\x00"[..], 40),
        (b"\x15\x03\x01\x00\x02\x01\x5a", 10),
        (b"\x14\x03\x01\x00\x01\x01", 10),
    ] {
        let mut server = End::new(Transport::front(&front).unwrap());
        let ends = (1..=1000).find(|_| {
            server.hear(record, &mut spare, whole);
            server.failure.is_some()
        });
        assert!(ends.is_some_and(|n| n <= most), "{record:?}: {ends:?}");
    }
    // Behind the handshake: new keys, and the wish that we change ours, by somebody who reads nothing.
    let mut client = client(&authority, &version::TLS13);
    let mut server = End::new(Transport::front(&front).unwrap());
    talk(&mut client, &mut server, &mut spare);
    let mut ends = None;
    for n in 1..=1000 {
        client.refresh_traffic_keys().unwrap();
        let mut flood = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flood).unwrap();
        }
        server.hear(&flood, &mut spare, whole);
        assert!(server.transport.pending().len() < 1000, "answers pile up");
        if server.failure.is_some() {
            ends = Some(n);
            break;
        }
    }
    assert!(ends.is_some_and(|n| n <= 40), "{ends:?}");
}
