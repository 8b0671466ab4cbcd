//! TLS with backends.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use http::StatusCode;
use shuntyard_adapter::{Backs, Options};
use shuntyard_core::config::{Alpn, Config, EndpointConfig, Host, Protocol};
use shuntyard_core::h2::{ClientEvent, StreamKey};
use shuntyard_core::tls::TlsFailure;
use shuntyard_requirements::req;
use shuntyard_transport::{BackTls, ClientAuth, FrontTls, Identity, Trust};

use crate::adapters::{Adapter, Running};
use crate::authority::Authority;
use crate::on_every_adapter;
use crate::peers::{Answer, Peer, any_port};
use crate::secure::{HOST, SecureOrigin};

on_every_adapter! {
    b10_backends_are_spoken_to_as_alpn_decides,
    sessions_are_taken_up_again,
    b10_a_backend_that_does_not_prove_itself_gets_nothing,
    a_backend_in_clear_is_told_from_one_with_tls,
    who_must_show_a_certificate_does,
    an_end_that_was_not_announced_is_no_end,
    what_tls_needs_is_replaced,
}

const BOTH: [Protocol; 2] = [Protocol::Http2, Protocol::Http1];

/// A gateway in front of this endpoint, as `origin.test`.
fn start(adapter: &dyn Adapter, origin: &SecureOrigin, alpn: Alpn, tls: &BackTls) -> (Running, Backs) {
    start_at(adapter, origin.address, alpn, tls)
}

fn start_at(
    adapter: &dyn Adapter,
    address: std::net::SocketAddr,
    alpn: Alpn,
    tls: &BackTls,
) -> (Running, Backs) {
    let mut config = Config::new(Vec::new());
    let upstream = &mut config.upstreams[0];
    upstream.endpoints = vec![EndpointConfig {
        host: Host::Address(address.into()),
        protocol: Protocol::Http2,
        tls: Some(alpn),
    }];
    let backs = Backs::new(HashMap::from([(upstream.name.clone(), tls.clone())]));
    let options = Options { backs: backs.clone(), ..Options::new(vec![any_port()]) };
    (Running::start_with(adapter, config, options), backs)
}

fn trusting(authority: &Authority) -> BackTls {
    BackTls::new(&Trust::Authorities(authority.pem()), None, Some(HOST)).unwrap()
}

fn origin(authority: &Authority, protocols: &[Protocol]) -> SecureOrigin {
    SecureOrigin::start(&FrontTls::new(&[authority.issue(&[HOST])], protocols, &ClientAuth::Off).unwrap())
}

fn ask(server: &Running, path: &str) -> Answer {
    let mut client = Peer::connect(&server.address);
    client.ask(path)
}

fn told(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.headers);
    String::from_utf8(answer.content.clone()).unwrap()
}

fn b10_backends_are_spoken_to_as_alpn_decides(adapter: &dyn Adapter) {
    let authority = Authority::new();
    for (offered, alpn, spoken) in [
        (&BOTH[..], Alpn::Http2, "Some(Http2)"),
        (&BOTH[..], Alpn::Either, "Some(Http2)"),
        (&BOTH[1..], Alpn::Either, "Some(Http1)"),
        (&[], Alpn::Either, "None"),
    ] {
        let origin = origin(&authority, offered);
        let (server, _) = start(adapter, &origin, alpn, &trusting(&authority));
        let mut client = Peer::connect(&server.address);
        for _ in 0..3 {
            assert!(told(&client.ask("/")).starts_with(&format!("{spoken} {HOST} ")));
        }
        // As many at once as come, each with a connection of its own where HTTP/1.1 is spoken.
        let streams: Vec<StreamKey> = (0..10).map(|_| client.get("/")).collect();
        for answer in client.responses(&streams) {
            assert!(told(&answer).starts_with(&format!("{spoken} {HOST} ")));
        }
        drop(client);
        server.end_and_replay();
    }
}

fn sessions_are_taken_up_again(adapter: &dyn Adapter) {
    let authority = Authority::new();
    let origin = origin(&authority, &BOTH[1..]);
    let (server, _) = start(adapter, &origin, Alpn::Either, &trusting(&authority));
    let mut client = Peer::connect(&server.address);
    assert!(told(&client.ask("/")).ends_with("false"));
    // That one ends with its connection: the next request needs another.
    assert_eq!(client.ask("/whole").status, StatusCode::OK);
    assert!(told(&client.ask("/")).ends_with("true"));
    drop(client);
    server.end();
}

/// 502 with the reason, and no octet of a request.
fn b10_a_backend_that_does_not_prove_itself_gets_nothing(adapter: &dyn Adapter) {
    req!("9110-4.3.4-06");
    let authority = Authority::new();
    let (chain, key) = authority.issue_pem(&[HOST], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    });
    let expired = Identity::from_pem(&chain, &key).unwrap();
    let identities = [
        (expired, &BOTH[..], "tls_certificate_error"),
        (Authority::new().issue(&[HOST]), &BOTH[..], "tls_certificate_error"),
        (authority.issue(&["other.test"]), &BOTH[..], "tls_certificate_error"),
        (authority.issue(&[HOST]), &BOTH[1..], "tls_alert_received"),
        (authority.issue(&[HOST]), &[][..], "tls_protocol_error"),
    ];
    let mut failures = Vec::new();
    for (identity, offered, cause) in identities {
        let origin = SecureOrigin::start(&FrontTls::new(&[identity], offered, &ClientAuth::Off).unwrap());
        let (server, _) = start(adapter, &origin, Alpn::Http2, &trusting(&authority));
        let answer = ask(&server, "/");
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        let status = answer.headers["proxy-status"].to_str().unwrap();
        assert!(status.contains(&format!("error={cause}")), "{status}");
        // Whoever observes is told, and logs it.
        let told = server.unproven();
        assert!(!told.is_empty() && told.iter().all(|(of, _)| of.starts_with("default ")), "{told:?}");
        failures.push(told[0].1);
        server.end_and_replay();
    }
    assert_eq!(
        failures,
        [
            TlsFailure::CertificateExpired,
            TlsFailure::CertificateUnknownIssuer,
            TlsFailure::CertificateWrongName,
            TlsFailure::AlertReceived(120),
            TlsFailure::NoProtocol,
        ]
    );
}

fn a_backend_in_clear_is_told_from_one_with_tls(adapter: &dyn Adapter) {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let backend = thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = [0; 4096];
        let n = stream.read(&mut heard).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").unwrap();
        heard[..n].to_vec()
    });
    let (server, _) = start_at(adapter, address, Alpn::Either, &trusting(&authority));
    let answer = ask(&server, "/secret");
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(answer.headers["proxy-status"].to_str().unwrap().contains("tls_protocol_error"));
    let heard = backend.join().unwrap();
    assert!(heard[0] == 0x16 && !heard.windows(6).any(|octets| octets == b"secret"));
    server.end();
}

fn who_must_show_a_certificate_does(adapter: &dyn Adapter) {
    let (authority, clients) = (Authority::new(), Authority::new());
    let required = ClientAuth::Required(clients.pem());
    let origin = SecureOrigin::start(&FrontTls::new(&[authority.issue(&[HOST])], &BOTH, &required).unwrap());
    let trust = Trust::Authorities(authority.pem());
    let known = BackTls::new(&trust, Some(&clients.issue(&["gateway"])), Some(HOST)).unwrap();
    let (server, _) = start(adapter, &origin, Alpn::Http2, &known);
    assert!(told(&ask(&server, "/")).contains(" true "));
    server.end();
    let (server, _) = start(adapter, &origin, Alpn::Http2, &trusting(&authority));
    assert_eq!(ask(&server, "/").status, StatusCode::BAD_GATEWAY);
    server.end();
}

/// RFC 9112 section 9.8: content that ends with its connection is whole only if TLS says that nothing is missing.
fn an_end_that_was_not_announced_is_no_end(adapter: &dyn Adapter) {
    req!("9112-9.8-01", "9112-9.8-02");
    let authority = Authority::new();
    let origin = origin(&authority, &BOTH[1..]);
    let (server, _) = start(adapter, &origin, Alpn::Either, &trusting(&authority));
    let whole = ask(&server, "/whole");
    assert_eq!((whole.status, &whole.content[..]), (StatusCode::OK, &b"until the end"[..]));
    let mut client = Peer::connect(&server.address);
    let stream = client.get("/cut");
    let reset = client.find(|event| match event {
        ClientEvent::Reset { stream: of, error_code } if of == stream => Some(error_code),
        ClientEvent::Data { end: true, .. } => panic!("it was cut"),
        _ => None,
    });
    assert_ne!(reset, shuntyard_core::error::ErrorCode::NO_ERROR);
    drop(client);
    server.end();
}

/// A reload's new authorities hold for the next connection.
fn what_tls_needs_is_replaced(adapter: &dyn Adapter) {
    let (authority, next) = (Authority::new(), Authority::new());
    let origin = origin(&next, &BOTH);
    let (server, backs) = start(adapter, &origin, Alpn::Http2, &trusting(&authority));
    assert_eq!(ask(&server, "/").status, StatusCode::BAD_GATEWAY);
    let name: Arc<str> = Config::new(Vec::new()).upstreams[0].name.clone();
    backs.replace(HashMap::from([(name, trusting(&next))]));
    let until = std::time::Instant::now() + crate::peers::PATIENCE;
    // The endpoint rests a moment after a failure.
    while ask(&server, "/").status != StatusCode::OK {
        assert!(std::time::Instant::now() < until);
    }
    origin.tls().replace(&[next.issue(&[HOST])]).unwrap();
    server.end();
}
