//! TLS with clients.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use http::{Method, Response, StatusCode};
use shuntyard_adapter::{HANDSHAKE_PATIENCE, HANDSHAKES_MAX, Options};
use shuntyard_core::config::{Config, Protocol};
use shuntyard_core::h2::{ServerEvent, StreamKey};
use shuntyard_core::tls::TlsFailure;
use shuntyard_requirements::req;
use shuntyard_transport::{BackTls, ClientAuth, FrontTls, Trust};

use crate::adapters::{Adapter, Running};
use crate::authority::Authority;
use crate::on_every_adapter;
use crate::peers::{Origin, PATIENCE, Peer, Stream as _, any_port, backend, inet, nobody, wait_until};
use crate::secure::{HOST, Secure, listener};

on_every_adapter! {
    requests_over_tls_are_served_and_replay_without_keys,
    what_alpn_said_is_spoken,
    an_upgrade_over_tls_is_asked_for_by_https,
    content_comes_whole_both_ways,
    the_end_is_said_in_tls_too,
    what_was_cut_off_does_not_look_whole,
    no_end_is_said_behind_a_transport_that_failed,
    who_speaks_in_clear_is_told_so,
    who_is_turned_away_reads_why_however_much_it_has_sent,
    a_handshake_that_stands_still_ends_and_disturbs_nobody,
    handshakes_are_bounded,
    a_handshake_that_lasts_is_cut_for_somebody_only,
    a_certificate_is_replaced_under_load,
}

const BOTH: [Protocol; 2] = [Protocol::Http2, Protocol::Http1];

fn start(adapter: &dyn Adapter, config: Config, tls: &FrontTls) -> Running {
    let listen_tls = vec![(any_port(), tls.clone())];
    Running::start_with(adapter, config, Options { listen_tls, ..Options::new(Vec::new()) })
}

fn connect(server: &Running, tls: &BackTls) -> Peer<shuntyard_core::h2::Client> {
    Peer::on(Box::new(Secure::connect(&server.address, tls, None).unwrap()))
}

fn requests_over_tls_are_served_and_replay_without_keys(adapter: &dyn Adapter) {
    req!("9112-9.7-01", "9112-9.8-05", "9113-3.2-02");
    let (listener, config) = backend();
    let (front, trusting) = listener_pair();
    let server = start(adapter, config, &front);
    let seen = thread::spawn(move || {
        let mut backend = Peer::accept(&listener);
        let (stream, proto) = backend.find(|event| match event {
            ServerEvent::Request { stream, request, .. } => {
                Some((stream, request.headers().get("x-forwarded-proto").cloned()))
            }
            _ => None,
        });
        backend.answer(stream, b"answer");
        backend.read_to_end();
        proto
    });
    let mut client = connect(&server, &trusting);
    let answer = client.ask("/over-tls");
    assert_eq!((answer.status, &answer.content[..]), (StatusCode::OK, &b"answer"[..]));
    drop(client);
    server.end_and_replay();
    assert_eq!(seen.join().unwrap().unwrap(), "https");
}

/// What its client has asked for is `wss`.
fn an_upgrade_over_tls_is_asked_for_by_https(adapter: &dyn Adapter) {
    req!("8441-5-02");
    let (listener, config) = backend();
    let (front, trusting) = listener_pair();
    let server = start(adapter, config, &front);
    let mut client = Secure::connect(&server.address, &trusting, Some(Protocol::Http1)).unwrap();
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    write!(client, "GET /chat HTTP/1.1\r\nhost: {HOST}\r\n{upgrade}\r\n").unwrap();
    let mut backend = Peer::accept_for_tunnels(&listener);
    let (stream, method, target) = backend.find(|event| match event {
        ServerEvent::Request { stream, request, .. } => {
            Some((stream, request.method().clone(), request.uri().to_string()))
        }
        _ => None,
    });
    assert_eq!((method, target), (Method::CONNECT, format!("https://{HOST}/chat")));
    backend.answer(stream, b"");
    let mut head = [0; 12];
    client.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    drop((client, backend));
    server.end();
}

fn listener_pair() -> (FrontTls, BackTls) {
    listener(&BOTH)
}

fn what_alpn_said_is_spoken(adapter: &dyn Adapter) {
    req!("9113-3.3-01");
    let (origin, config) = Origin::start();
    let (front, trusting) = listener_pair();
    let server = start(adapter, config, &front);
    let mut client = Secure::connect(&server.address, &trusting, Some(Protocol::Http1)).unwrap();
    assert_eq!(client.facts.as_ref().unwrap().protocol, Some(Protocol::Http1));
    client.write_all(b"GET /one HTTP/1.1\r\nhost: origin.test\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("/one\r\n"), "{answer}");
    assert!(client.ended, "it was said that nothing follows");
    // HTTP/2 was not agreed on, and so its preface is nothing.
    let mut client = Secure::connect(&server.address, &trusting, Some(Protocol::Http1)).unwrap();
    client.write_all(shuntyard_core::frame::PREFACE).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 "), "{:?}", String::from_utf8_lossy(&answer));
    // Nor is HTTP/1.1 where HTTP/2 was.
    let mut client = Secure::connect(&server.address, &trusting, Some(Protocol::Http2)).unwrap();
    client.write_all(b"GET /one HTTP/1.1\r\nhost: origin.test\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert!(!answer.starts_with(b"HTTP"), "{:?}", String::from_utf8_lossy(&answer));
    server.end();
    origin.end();
}

fn content_comes_whole_both_ways(adapter: &dyn Adapter) {
    const OCTETS: usize = 3 << 20;
    let (listener, config) = backend();
    let (front, trusting) = listener_pair();
    let server = start(adapter, config, &front);
    let echo = thread::spawn(move || {
        let mut backend = Peer::accept(&listener);
        let (mut content, mut of) = (Vec::new(), None);
        loop {
            match backend.next().expect("the whole request") {
                ServerEvent::Request { stream, .. } => of = Some(stream),
                ServerEvent::Data { stream, data, credit, end } => {
                    content.extend_from_slice(&data);
                    backend.http.release(stream, credit);
                    if end {
                        break;
                    }
                }
                _ => {}
            }
        }
        backend.answer(of.unwrap(), &content);
        backend.read_to_end();
    });
    let content: Vec<u8> = (0..OCTETS).map(|n| (n % 251) as u8).collect();
    let mut client = connect(&server, &trusting);
    let stream = client.post("/echo");
    client.http.send_data(stream, &content, true).unwrap();
    assert!(client.response(stream).content == content);
    drop(client);
    server.end();
    echo.join().unwrap();
}

/// A drained connection ends with GOAWAY, then with TLS's own word for the end: nothing was cut off.
fn the_end_is_said_in_tls_too(adapter: &dyn Adapter) {
    req!("9112-9.8-03", "9112-9.8-06");
    let (origin, config) = Origin::start();
    let (front, trusting) = listener_pair();
    let server = start(adapter, config, &front);
    let mut client = Secure::connect(&server.address, &trusting, Some(Protocol::Http1)).unwrap();
    client.write_all(b"GET /one HTTP/1.1\r\nhost: origin.test\r\n\r\n").unwrap();
    let mut answer = [0; 4096];
    let n = client.read(&mut answer).unwrap();
    assert!(answer[..n].starts_with(b"HTTP/1.1 200 "));
    server.handle.drain(PATIENCE);
    while client.read(&mut answer).unwrap() > 0 {}
    assert!(client.ended);
    client.close();
    drop(client);
    server.wait();
    origin.end();
}

/// Asks as HTTP/1.0, which reads until the end, and reads the first half of the answer. Says whose turn it is then.
fn half_an_answer(
    server: &Running,
    trusting: &BackTls,
    listener: &TcpListener,
) -> (Secure, Peer<shuntyard_core::h2::Server>, StreamKey) {
    let mut client = Secure::connect(&server.address, trusting, Some(Protocol::Http1)).unwrap();
    client.write_all(b"GET /half HTTP/1.0\r\nhost: a\r\n\r\n").unwrap();
    let mut upstream = Peer::accept(listener);
    let (stream, _) = upstream.request();
    let head = Response::builder().status(200).body(()).unwrap();
    upstream.http.send_response(stream, &head, false).unwrap();
    upstream.http.send_data(stream, b"half", false).unwrap();
    upstream.flush();
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(b"\r\n\r\nhalf") {
        let n = client.read(&mut buffer).unwrap();
        assert!(n > 0, "{answer:?}");
        answer.extend_from_slice(&buffer[..n]);
    }
    (client, upstream, stream)
}

/// Only the end of the connection ends such a response, and only close_notify says that nothing of it is missing.
fn what_was_cut_off_does_not_look_whole(adapter: &dyn Adapter) {
    let (listener, config) = backend();
    let (front, trusting) = listener_pair();
    let server = start(adapter, config, &front);
    for whole in [true, false] {
        let (mut client, mut upstream, stream) = half_an_answer(&server, &trusting, &listener);
        if whole {
            upstream.http.send_data(stream, b"", true).unwrap();
            upstream.flush();
        }
        drop(upstream);
        let end = client.read(&mut [0; 100]).map_err(|error| error.kind());
        assert_eq!((end.is_ok(), client.ended), (whole, whole), "{end:?}");
    }
    server.end();
}

/// A client that ends without a word in the middle of its answer learns nothing that looks like the answer's end.
fn no_end_is_said_behind_a_transport_that_failed(adapter: &dyn Adapter) {
    let (listener, config) = backend();
    let (front, trusting) = listener_pair();
    let server = start(adapter, config, &front);
    let (mut client, upstream, _) = half_an_answer(&server, &trusting, &listener);
    client.shut_down(Shutdown::Write);
    let end = client.read(&mut [0; 100]);
    assert!(end.is_err() && !client.ended, "{end:?}");
    drop(upstream);
    server.end();
}

fn who_speaks_in_clear_is_told_so(adapter: &dyn Adapter) {
    let (front, _) = listener_pair();
    let server = start(adapter, nobody(), &front);
    for request in [&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], shuntyard_core::frame::PREFACE] {
        let mut client = TcpStream::connect(inet(&server.address)).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(request).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
    }
    assert_eq!(server.requests(), 0);
    server.end();
}

/// In TLS 1.3 a client is done before it is judged, and speaks at once: what nobody reads must not destroy the word that it gets.
fn who_is_turned_away_reads_why_however_much_it_has_sent(adapter: &dyn Adapter) {
    let authority = Authority::new();
    let (required, identity) = (ClientAuth::Required(authority.pem()), authority.issue(&[HOST]));
    let front = FrontTls::new(&[identity], &BOTH, &required).unwrap();
    let trusting = BackTls::new(&Trust::Authorities(authority.pem()), None, None).unwrap();
    let server = start(adapter, nobody(), &front);
    let mut client = Secure::connect(&server.address, &trusting, None).unwrap();
    for _ in 0..8 {
        client.write_all(&[b'x'; 32 << 10]).unwrap();
        // By then whoever closes has closed.
        thread::sleep(Duration::from_millis(20));
    }
    let end = client.read(&mut [0; 100]).unwrap_err();
    assert!(end.to_string().contains("AlertReceived(116)"), "{end}");
    drop(client);
    // In clear it is the same: a request that is longer than what is read of it.
    let mut client = TcpStream::connect(inet(&server.address)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..8 {
        client.write_all(&b"POST / HTTP/1.1\r\n".repeat(1000)).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    drop(client);
    // Who goes on for ever is not heard for ever.
    let mut client = TcpStream::connect(inet(&server.address)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    let more = b"POST / HTTP/1.1\r\n".repeat(4000);
    assert!((0..1000).any(|_| client.write_all(&more).is_err()));
    assert_eq!(
        server.turned_away(),
        [TlsFailure::CertificateMissing, TlsFailure::NotTls, TlsFailure::NotTls],
        "one word for each"
    );
    server.end();
}

fn a_handshake_that_stands_still_ends_and_disturbs_nobody(adapter: &dyn Adapter) {
    let (origin, mut config) = Origin::start();
    // It binds the good client, too, which may have to wait for a processor.
    config.timeouts.preface = Duration::from_secs(2);
    let (front, trusting) = listener_pair();
    let server = start(adapter, config, &front);
    let mut dead: Vec<_> = (0..20).map(|_| TcpStream::connect(inet(&server.address)).unwrap()).collect();
    // Some have begun.
    dead.iter_mut().step_by(2).for_each(|dead| dead.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap());
    let mut client = connect(&server, &trusting);
    assert_eq!(client.ask("/").status, StatusCode::OK);
    for mut dead in dead {
        dead.set_read_timeout(Some(PATIENCE)).unwrap();
        // The end, or a reset: what it had sent was not read.
        assert!(matches!(dead.read(&mut [0; 100]), Ok(0) | Err(_)));
    }
    assert_eq!(client.ask("/").status, StatusCode::OK);
    assert_eq!(server.turned_away(), [TlsFailure::TimedOut; 10], "one word for each that has begun");
    assert_eq!(server.late(), 20, "and each counts");
    drop(client);
    server.end();
    origin.end();
}

/// Whoever comes beyond waits until others have lasted too long, however long the deadline is, and whether they have said something or not.
fn handshakes_are_bounded(adapter: &dyn Adapter) {
    let (origin, mut config) = Origin::start();
    config.timeouts.preface = PATIENCE * 4;
    let (front, trusting) = listener_pair();
    let server = start(adapter, config, &front);
    let mut dead: Vec<_> =
        (0..HANDSHAKES_MAX + 50).map(|_| TcpStream::connect(inet(&server.address)).unwrap()).collect();
    dead.iter_mut().step_by(2).for_each(|dead| _ = dead.write_all(b"\x16\x03\x01\x02\x00\x01"));
    let fronts = server.handle.inspect(PATIENCE, |gateway, _| gateway.view().fronts);
    assert!(fronts[0] <= HANDSHAKES_MAX as u64 as _, "{fronts:?}");
    let mut client = connect(&server, &trusting);
    assert_eq!(client.ask("/").status, StatusCode::OK);
    // Who was cut for that is told of, one by one.
    let told = server.turned_away();
    assert!(!told.is_empty() && told.iter().all(|&why| why == TlsFailure::TimedOut), "{told:?}");
    drop((client, dead));
    server.end();
    origin.end();
}

/// All places are taken, and nobody else wants one.
fn a_handshake_that_lasts_is_cut_for_somebody_only(adapter: &dyn Adapter) {
    let (origin, mut config) = Origin::start();
    config.timeouts.preface = PATIENCE * 4;
    let (front, trusting) = listener_pair();
    let server = start(adapter, config, &front);
    let connect_dead = |_| {
        let mut dead = TcpStream::connect(inet(&server.address)).unwrap();
        dead.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
        dead
    };
    let dead: Vec<_> = (0..HANDSHAKES_MAX).map(connect_dead).collect();
    wait_until("a handshake in every place", || {
        server.handle.inspect(PATIENCE, |gateway, _| gateway.view().fronts) == [HANDSHAKES_MAX]
    });
    thread::sleep(HANDSHAKE_PATIENCE * 3 / 2);
    assert_eq!(server.turned_away(), []);
    let mut client = connect(&server, &trusting);
    assert_eq!(client.ask("/").status, StatusCode::OK);
    assert_eq!(server.turned_away(), [TlsFailure::TimedOut]);
    drop((client, dead));
    server.end();
    origin.end();
}

/// No request fails, and whoever comes then sees the new one.
fn a_certificate_is_replaced_under_load(adapter: &dyn Adapter) {
    let (origin, config) = Origin::start();
    let (front, old) = listener_pair();
    let server = start(adapter, config, &front);
    let next = Authority::new();
    let new = BackTls::new(&Trust::Authorities(next.pem()), None, None).unwrap();
    let (over, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let (ready, is_ready) = channel();
    let load: Vec<_> = (0..3)
        .map(|_| {
            let mut client = connect(&server, &old);
            let (over, asked, ready) = (over.clone(), asked.clone(), ready.clone());
            thread::spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    assert_eq!(client.ask("/load").status, StatusCode::OK);
                    if asked.fetch_add(1, Ordering::SeqCst) == 20 {
                        ready.send(()).unwrap();
                    }
                }
            })
        })
        .collect();
    is_ready.recv_timeout(PATIENCE).unwrap();
    assert!(Secure::connect(&server.address, &new, None).is_err());
    front.replace(&[next.issue(&[HOST])]).unwrap();
    let mut client = connect(&server, &new);
    assert_eq!(client.ask("/").status, StatusCode::OK);
    let then = asked.load(Ordering::SeqCst);
    wait_until("twenty more answers", || asked.load(Ordering::SeqCst) >= then + 20);
    over.store(true, Ordering::SeqCst);
    load.into_iter().for_each(|client| client.join().unwrap());
    drop(client);
    server.end();
    origin.end();
}
