//! Listeners behind a balancer that says whose each connection is (the PROXY protocol).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use http::StatusCode;
use shuntyard_adapter::Options;
use shuntyard_core::config::{Alpn, Config, ListenerConfig, Protocol};
use shuntyard_core::h2::{Client, ServerEvent};
use shuntyard_transport::{BackTls, FrontTls, NotIntroduced, Transport};

use crate::adapters::{Adapter, Running};
use crate::on_every_adapter;
use crate::peers::{PATIENCE, Peer, any_port, backend, inet, nobody};
use crate::secure::{HOST, Secure, listener};

on_every_adapter! {
    who_is_introduced_is_the_client_in_clear_and_over_tls,
    a_header_comes_in_pieces_and_with_what_is_behind_it,
    a_balancer_speaks_for_itself_too,
    who_does_not_begin_with_a_header_is_not_served,
    a_header_that_does_not_come_ends_with_the_deadline,
    connections_count_as_those_of_their_clients,
}

const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\n";
const BINARY: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f\xc0\x00\x02\x07\xc0\x00\x02\x01\x13\x88\x01\xbb\x04\x00\x00";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

fn start(adapter: &dyn Adapter, mut config: Config, tls: Option<&FrontTls>) -> Running {
    config.listeners = vec![ListenerConfig { introduced: true, ..ListenerConfig::new(any_port()) }];
    let options = match tls {
        Some(tls) => Options { listen_tls: vec![(any_port(), tls.clone())], ..Options::new(Vec::new()) },
        None => Options::new(vec![any_port()]),
    };
    Running::start_with(adapter, config, options)
}

/// A backend that tells of each client what it was told of it, on as many connections as come. It ends with the process: how many will come is the
/// gateway's to say.
fn telling() -> Config {
    let (listener, config) = backend();
    thread::spawn(move || {
        loop {
            let mut peer = Peer::accept(&listener);
            thread::spawn(move || {
                while let Some(event) = peer.next() {
                    if let ServerEvent::Request { stream, request, .. } = event {
                        let told = request.headers().get("x-forwarded-for").cloned().unwrap();
                        peer.answer(stream, told.as_bytes());
                    }
                }
            });
        }
    });
    config
}

/// A connection that says this first.
fn introduced(server: &Running, header: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(inet(&server.address)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(header).unwrap();
    stream
}

fn over(stream: TcpStream, trusting: Option<&BackTls>) -> Peer<Client> {
    Peer::on(match trusting {
        Some(tls) => {
            let transport = Transport::back(tls, HOST, Alpn::Either).unwrap();
            Box::new(Secure::shake_hands(stream, transport).unwrap())
        }
        None => Box::new(stream),
    })
}

fn who_is_introduced_is_the_client_in_clear_and_over_tls(adapter: &dyn Adapter) {
    let (front, trusting) = listener(&[Protocol::Http2]);
    for tls in [false, true] {
        let config = telling();
        let server = start(adapter, config, tls.then_some(&front));
        for header in [LINE, BINARY] {
            let mut client = over(introduced(&server, header), tls.then_some(&trusting));
            let answer = client.ask("/");
            assert_eq!((answer.status, &answer.content[..]), (StatusCode::OK, &b"192.0.2.7"[..]));
        }
        // What the gateway was told holds whose the connections are: it does the same again.
        server.end_and_replay();
    }
}

fn a_header_comes_in_pieces_and_with_what_is_behind_it(adapter: &dyn Adapter) {
    let config = telling();
    let server = start(adapter, config, None);
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for header in [LINE, BINARY] {
        let mut client = introduced(&server, b"");
        client.set_nodelay(true).unwrap();
        for octet in &header[..header.len() - 1] {
            client.write_all(&[*octet]).unwrap();
        }
        client.write_all(&[&header[header.len() - 1..], request].concat()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("\r\n192.0.2.7\r\n"), "{answer}");
    }
    server.end();
}

/// Its health checks, for one. Then it is the client itself.
fn a_balancer_speaks_for_itself_too(adapter: &dyn Adapter) {
    let config = telling();
    let server = start(adapter, config, None);
    for header in [LOCAL, b"PROXY UNKNOWN\r\n"] {
        let mut client = over(introduced(&server, header), None);
        assert_eq!(client.ask("/").content, b"127.0.0.1");
    }
    server.end();
}

fn who_does_not_begin_with_a_header_is_not_served(adapter: &dyn Adapter) {
    let (front, _) = listener(&[]);
    for tls in [None, Some(&front)] {
        let config = nobody();
        let server = start(adapter, config, tls);
        let request = &b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..];
        let handshake = &b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"[..];
        let unlikely = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 http\r\n";
        for octets in [request, shuntyard_core::frame::PREFACE, handshake, unlikely] {
            let mut answer = Vec::new();
            // The end or a reset, and no word.
            let _ = introduced(&server, octets).read_to_end(&mut answer);
            assert!(answer.is_empty(), "{answer:?}");
        }
        // One that ends within its header.
        drop(introduced(&server, &LINE[..20]));
        assert_eq!(server.requests(), 0);
        server.end();
    }
}

fn a_header_that_does_not_come_ends_with_the_deadline(adapter: &dyn Adapter) {
    let mut config = nobody();
    config.timeouts.preface = Duration::from_millis(200);
    let server = start(adapter, config, None);
    for begun in [&b""[..], &LINE[..20], &BINARY[..20]] {
        let mut client = introduced(&server, begun);
        assert!(matches!(client.read(&mut [0; 100]), Ok(0) | Err(_)));
    }
    assert_eq!(server.strangers(), [NotIntroduced::TimedOut; 3], "one word for each");
    assert_eq!(server.late(), 3, "and each counts");
    server.end();
}

/// Of one client no more than its share, however many come through the same balancer.
fn connections_count_as_those_of_their_clients(adapter: &dyn Adapter) {
    let mut config = telling();
    config.max_fronts_per_client = 2;
    let server = start(adapter, config, None);
    let line = |client: u8| format!("PROXY TCP4 192.0.2.{client} 192.0.2.1 5000 443\r\n").into_bytes();
    let waiting: Vec<_> = (0..4).map(|_| introduced(&server, b"")).collect();
    let mut clients = Vec::new();
    for client in [1, 1, 2] {
        let mut peer = over(introduced(&server, &line(client)), None);
        assert_eq!(peer.ask("/").content, format!("192.0.2.{client}").as_bytes());
        clients.push(peer);
    }
    let mut third = introduced(&server, &line(1));
    assert!(matches!(third.read(&mut [0; 100]), Ok(0) | Err(_)), "one more than its share");
    assert_eq!(server.handle.inspect(PATIENCE, |gateway, _| gateway.view().fronts), [7]);
    drop((clients, waiting));
    server.end();
}
