//! Tunnels with HTTP/1.1 on at least one side. HTTP/2 on both is in `tunnels.rs`.

use http::{Method, Request, Response};
use shuntyard_core::config::{ConnectionConfig, PathPattern, Protocol, Scope};
use shuntyard_core::counters::Durations;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::fields::FieldName;
use shuntyard_core::h2::{ClientEvent, Protocol as Upgrade, ServerEvent, StreamKey};
use shuntyard_core::key::ConnId;
use shuntyard_core::message::Method as Counted;
use shuntyard_core::record::{Cause, Outcome};
use shuntyard_core::time::Duration;
use shuntyard_requirements::req;

use crate::memory::Memory;
use crate::memory::talk::{ask, content, events, ok, requests};
use crate::said;

/// The key of RFC 6455 section 1.3, and what answers it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(super) fn handshake() -> String {
    format!(
        "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
    )
}

/// The answer that fits the key in a request.
fn accept_of(request: &str) -> String {
    let key = request.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
    let digest = sha1_smol::Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")).digest().bytes();
    base64(&digest)
}

fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in octets.chunks(3) {
        let bits =
            three.iter().fold(0u32, |bits, &octet| bits << 8 | u32::from(octet)) << (8 * (3 - three.len()));
        for n in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * n) & 63) as usize];
            text.push(if n <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// What a backend says that accepts an upgrade.
fn switching(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
    )
}

/// The backend accepts the upgrade that it was asked for.
pub(super) fn switch(memory: &mut Memory, backend: ConnId) {
    let accept = accept_of(&said(memory, backend));
    memory.inject(backend, switching(&accept).as_bytes());
}

pub(super) fn http1_behind() -> Memory {
    let mut memory = Memory::new(|config| config.upstreams[0].endpoints[0].protocol = Protocol::Http1);
    memory.mute_backends = true;
    memory
}

pub(super) fn backend(memory: &Memory, client: ConnId) -> ConnId {
    *memory.backends().iter().find(|&&id| id != client).expect("a backend")
}

#[test]
fn b73_http1_in_front_of_http2() {
    req!("8441-5-02", "8441-5-03");
    let mut memory = Memory::new(|_| {});
    memory.backend_config.extended_connect = true;
    let client = memory.connect_mute();
    memory.inject(client, handshake().as_bytes());
    let backend = backend(&memory, client);
    let (stream, request) = requests(&mut memory, backend).pop().expect("the request");
    assert_eq!((request.method(), request.uri().path()), (&Method::CONNECT, "/chat"));
    assert_eq!(request.extensions().get::<Upgrade>(), Some(&Upgrade("websocket".to_owned())));
    assert!(!request.headers().contains_key("sec-websocket-key"));
    assert_eq!(request.uri().scheme_str(), Some("http"), "the client has no TLS");
    memory.backend(backend).send_response(stream, &ok(), false).expect("open");
    memory.backend(backend).send_data(stream, b"hello", false).expect("open");
    memory.settle();
    let response = said(&mut memory, client);
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
    assert!(response.contains(&format!("sec-websocket-accept: {ACCEPT}\r\n")), "{response}");
    assert!(response.ends_with("\r\n\r\nhello"), "{response}");
    memory.inject(client, b"up");
    let mut up = Vec::new();
    while let Some(event) = memory.backend(backend).poll_event().expect("sound") {
        if let ServerEvent::Data { data, .. } = event {
            up.extend_from_slice(&data);
        }
    }
    assert_eq!(up, b"up");
    // The backend ends first: the client's direction stays open.
    memory.backend(backend).send_data(stream, b"bye", true).expect("open");
    memory.settle();
    assert_eq!(said(&mut memory, client), "bye");
    assert_eq!(memory.shutdowns, [client]);
    assert!(memory.records.is_empty());
    memory.inject(client, b"last");
    memory.shut(client);
    assert_eq!(memory.records[0].outcome, Outcome::Complete);
    assert!(memory.closed.contains(&client));
}

/// Its backend is done with it, and says so: it wants no more of what the client sends.
#[test]
fn a_tunnel_that_its_http2_backend_closes_without_an_error_ends_in_good_order() {
    req!("9113-8.1-07");
    for deaf in [false, true] {
        let mut memory = Memory::new(|_| {});
        memory.backend_config.extended_connect = true;
        let client = memory.connect_mute();
        memory.inject(client, handshake().as_bytes());
        let backend = backend(&memory, client);
        let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
        if deaf {
            memory.deafen(client);
        }
        memory.backend(backend).send_response(stream, &ok(), false).expect("open");
        memory.backend(backend).send_data(stream, &[b'7'; 60_000], true).expect("open");
        memory.backend(backend).reset(stream, ErrorCode::NO_ERROR);
        memory.settle();
        if deaf {
            memory.hear(client);
        }
        let response = said(&mut memory, client);
        assert_eq!(response.split_once("\r\n\r\n").map(|(_, content)| content.len()), Some(60_000));
        assert_eq!((&memory.shutdowns[..], &memory.aborted[..]), (&[client][..], &[][..]));
        assert_eq!(memory.records[0].outcome, Outcome::Complete);
        assert_eq!(memory.gateway.view().requests, 0);
    }
}

#[test]
fn b73_http2_in_front_of_http1() {
    let mut memory = http1_behind();
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri("http://a/chat")
        .header("sec-websocket-version", "13")
        .extension(Upgrade("websocket".to_owned()))
        .body(())
        .expect("a request");
    events(&mut memory, client);
    let stream = memory.client(client).send_request(&request, false).expect("tunnels are offered");
    // A client that does not wait for its answer must not put a second request into the connection.
    memory.client(client).send_data(stream, b"GET /evil HTTP/1.1\r\nhost: a\r\n\r\n", false).expect("open");
    memory.settle();
    let backend = backend(&memory, client);
    let request = said(&mut memory, backend);
    assert!(request.starts_with("GET /chat HTTP/1.1\r\nhost: a\r\n"), "{request}");
    assert!(request.contains("upgrade: websocket\r\n") && request.ends_with("\r\n\r\n"), "{request}");
    assert!(!request.contains("evil"), "{request}");
    let accept = accept_of(&request);
    memory.inject(backend, (switching(&accept) + "hello").as_bytes());
    let seen = events(&mut memory, client);
    assert!(
        matches!(&seen[0], ClientEvent::Response { response, end: false, .. } if response.status() == 200),
        "{seen:?}"
    );
    assert!(matches!(&seen[1], ClientEvent::Data { data, .. } if &data[..] == b"hello"), "{seen:?}");
    assert!(said(&mut memory, backend).starts_with("GET /evil "), "content of the tunnel now");
    memory.client(client).send_data(stream, b"bye", true).expect("open");
    memory.settle();
    assert_eq!(said(&mut memory, backend), "bye");
    assert_eq!(memory.shutdowns, [backend]);
    memory.inject(backend, b"answer");
    memory.shut(backend);
    let seen = events(&mut memory, client);
    assert!(seen.iter().any(|event| matches!(event, ClientEvent::Data { end: true, .. })), "{seen:?}");
    assert_eq!(memory.records[0].outcome, Outcome::Complete);
}

#[test]
fn b73_http1_on_both_sides() {
    let mut memory = http1_behind();
    let client = memory.connect_mute();
    memory.inject(client, handshake().as_bytes());
    let backend = backend(&memory, client);
    switch(&mut memory, backend);
    assert!(said(&mut memory, client).contains(ACCEPT));
    memory.inject(client, b"ping");
    memory.inject(backend, b"pong");
    assert_eq!((said(&mut memory, backend).as_str(), said(&mut memory, client).as_str()), ("ping", "pong"));
    memory.kill(backend);
    assert_eq!(memory.records[0].outcome, Outcome::Truncated(Cause::ConnectionTerminated));
    assert!(memory.closed.contains(&client) || memory.shutdowns.contains(&client));
}

/// Until the backend agrees it is a GET, and nothing that was meant for the tunnel has left.
#[test]
fn a_handshake_that_is_lost_with_a_stale_connection_is_sent_again() {
    for http2 in [false, true] {
        let mut memory = http1_behind();
        memory.mute_backends = true;
        let client = if http2 { memory.connect(ConnectionConfig::default()) } else { memory.connect_mute() };
        if http2 {
            ask(&mut memory, client, "/before");
        } else {
            memory.inject(client, b"GET /before HTTP/1.1\r\nhost: a\r\n\r\n");
        }
        let stale = backend(&memory, client);
        memory.inject(stale, b"HTTP/1.1 204 No Content\r\n\r\n");
        said(&mut memory, stale);
        if http2 {
            events(&mut memory, client);
            let stream =
                memory.client(client).send_request(&websocket(), false).expect("tunnels are offered");
            memory.client(client).send_data(stream, b"first", false).expect("open");
            memory.settle();
        } else {
            memory.sent_to(client);
            memory.inject(client, handshake().as_bytes());
        }
        let asked = said(&mut memory, stale);
        assert!(asked.starts_with("GET ") && asked.ends_with("\r\n\r\n"), "{asked}");
        memory.kill(stale);
        let fresh = memory.backends().into_iter().find(|&id| id != client && id != stale).expect("another");
        let asked = said(&mut memory, fresh);
        assert!(asked.starts_with("GET ") && asked.contains("upgrade: websocket\r\n"), "{asked}");
        memory.inject(fresh, switching(&accept_of(&asked)).as_bytes());
        assert_eq!(said(&mut memory, fresh), if http2 { "first" } else { "" });
        // In the tunnel nothing is sent again.
        memory.kill(fresh);
        assert_eq!(memory.dials.len(), 2);
        let tunnel = memory.attempts.last().expect("an attempt");
        assert_eq!((tunnel.number, memory.attempts.len()), (2, 3));
    }
}

/// Clients that wait for a tunnel do not hand their turn to each other for ever.
#[test]
fn several_wait_for_a_tunnel_where_there_is_room_for_one() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints[0].protocol = Protocol::Http1;
        config.upstreams[0].share = Scope::Client;
        config.upstreams[0].http1_connections_max = 1;
    });
    memory.mute_backends = true;
    let clients: Vec<ConnId> = (0..3).map(|_| memory.connect_mute()).collect();
    for &client in &clients {
        memory.inject(client, handshake().as_bytes());
    }
    for (n, &client) in clients.iter().enumerate() {
        assert_eq!(memory.dials.len(), n + 1);
        let backend = *memory.backends().iter().find(|id| !clients.contains(id)).expect("one");
        switch(&mut memory, backend);
        assert!(said(&mut memory, client).contains(ACCEPT));
        memory.kill(client);
        memory.shut(backend);
    }
}

/// Each direction ends by itself, also where its last octets left long ago.
#[test]
fn the_end_of_a_direction_passes_without_an_octet() {
    for client_first in [true, false] {
        let mut memory = http1_behind();
        let client = memory.connect_mute();
        memory.inject(client, handshake().as_bytes());
        let backend = backend(&memory, client);
        switch(&mut memory, backend);
        memory.inject(client, b"ping");
        memory.inject(backend, b"pong");
        let (first, second) = if client_first { (client, backend) } else { (backend, client) };
        memory.shut(first);
        assert_eq!(memory.shutdowns, [second], "{client_first}");
        assert!(memory.records.is_empty());
        memory.inject(second, b"last");
        assert!(said(&mut memory, first).ends_with("last"));
        memory.shut(second);
        assert_eq!(memory.records[0].outcome, Outcome::Complete);
        assert_eq!(memory.gateway.view().requests, 0);
    }
}

#[test]
fn an_http1_backend_that_switches_with_a_wrong_accept_is_502() {
    let mut memory = http1_behind();
    let client = memory.connect_mute();
    memory.inject(client, handshake().as_bytes());
    let backend = backend(&memory, client);
    memory.inject(backend, switching(ACCEPT).as_bytes());
    let response = said(&mut memory, client);
    assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
}

/// A backend need not know of upgrades: then it has answered a GET. A client that has asked for a tunnel by extended CONNECT has not
/// asked for that.
#[test]
fn rfc9110_7_8_an_upgrade_that_a_backend_ignores_is_a_get() {
    req!("9110-7.8-02");
    for half_closed in [false, true] {
        let mut memory = http1_behind();
        let client = memory.connect_mute();
        memory.inject(client, handshake().as_bytes());
        if half_closed {
            memory.shut(client);
        }
        let backend = backend(&memory, client);
        memory.inject(backend, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe");
        memory.inject(backend, b"llo");
        let response = said(&mut memory, client);
        assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("\r\n\r\nhello"), "{response}");
        assert_eq!(memory.closed.contains(&client), half_closed);
        if !half_closed {
            memory.inject(client, b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n");
            assert!(said(&mut memory, backend).contains("GET /next "), "both connections go on");
            memory.inject(backend, b"HTTP/1.1 204 No Content\r\n\r\n");
            assert!(said(&mut memory, client).starts_with("HTTP/1.1 204 "));
        }
        let end = &memory.records[0];
        assert_eq!((end.field(FieldName::Method), end.field(FieldName::Protocol)), (Some(&b"GET"[..]), None));
        assert!(memory.records.iter().all(|record| record.outcome == Outcome::Complete));
        assert_eq!((memory.gateway.view().requests, memory.gateway.view().reserved_octets), (0, 0));
    }
    let (mut memory, client) = asking(true, false, false);
    memory.release_connects();
    let backend = backend(&memory, client.conn);
    memory.inject(backend, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    let seen = events(&mut memory, client.conn);
    let refused = |event: &ClientEvent| matches!(event, ClientEvent::Response { response, .. } if response.status() == 502);
    assert!(seen.iter().any(refused), "{seen:?}");
    assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::BackendProtocol));
    memory.wait(Duration::from_millis(100));
    assert!(!memory.closed.contains(&backend), "all has been said on it");
    memory.sent_to(backend);
    let next = http::Request::get("http://a/next").body(()).expect("a request");
    memory.client(client.conn).send_request(&next, true).expect("a slot");
    memory.settle();
    assert!(said(&mut memory, backend).contains("GET /next "));
}

/// Such an answer may be long: nobody takes it, and its connection makes room for another.
#[test]
fn what_a_backend_says_in_place_of_a_tunnel_holds_no_connection() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints[0].protocol = Protocol::Http1;
        config.upstreams[0].http1_connections_max = 1;
    });
    memory.mute_backends = true;
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    events(&mut memory, client);
    memory.client(client).send_request(&websocket(), false).expect("tunnels are offered");
    memory.settle();
    let first = backend(&memory, client);
    memory.inject(first, b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nhe");
    let next = http::Request::get("http://a/next").body(()).expect("a request");
    memory.client(client).send_request(&next, true).expect("a slot");
    memory.settle();
    memory.wait(Duration::from_secs(5));
    assert!(memory.closed.contains(&first));
    let second = backend(&memory, client);
    assert!(said(&mut memory, second).contains("GET /next "));
}

/// A client whose wish for an upgrade was declined owes nothing more: a backend that falls silent does.
#[test]
fn who_asked_for_an_upgrade_that_was_declined_is_not_waited_for() {
    let mut memory = http1_behind();
    let client = memory.connect_mute();
    memory.inject(client, handshake().as_bytes());
    let backend = backend(&memory, client);
    memory.inject(backend, b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n0123456789");
    memory.wait(Duration::from_secs(400));
    assert_eq!(memory.records[0].outcome, Outcome::Truncated(Cause::ResponseTimeout));
}

/// What a backend wants is what its route allows: that is offered.
#[test]
fn rfc9110_15_5_22_a_backend_that_wants_an_upgrade_is_understood() {
    req!("9110-15.5.22-01");
    for replaced in [false, true] {
        let mut memory = Memory::new(|config| {
            config.upstreams[0].endpoints[0].protocol = Protocol::Http1;
            config.routes[0].replace_errors = if replaced { vec![426] } else { Vec::new() };
        });
        memory.mute_backends = true;
        let client = memory.connect_mute();
        memory.inject(client, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        let backend = backend(&memory, client);
        memory.inject(
            backend,
            b"HTTP/1.1 426 \r\nupgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 0\r\n\r\n",
        );
        let response = said(&mut memory, client);
        assert!(response.starts_with("HTTP/1.1 426 "), "{response}");
        assert!(response.contains("\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"), "{response}");
    }
}

/// Between the two it is an extended CONNECT, which is nothing that a client of HTTP/1.1 or its backend would know of.
#[test]
fn an_upgrade_is_counted_as_what_was_on_the_wire() {
    for http2_behind in [false, true] {
        let mut memory = if http2_behind { Memory::new(|_| {}) } else { http1_behind() };
        memory.backend_config.extended_connect = true;
        let client = memory.connect_mute();
        memory.inject(client, handshake().as_bytes());
        let backend = backend(&memory, client);
        if http2_behind {
            let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
            memory.backend(backend).send_response(stream, &ok(), true).expect("open");
            memory.settle();
        } else {
            switch(&mut memory, backend);
            memory.kill(backend);
        }
        memory.kill(client);
        let snapshot = memory.gateway.snapshot(100, memory.now);
        let labels = |durations: &Durations| -> Vec<_> {
            let of = durations.iter().filter(|(_, histogram)| histogram.count() > 0);
            of.map(|(labels, _)| (labels.method, labels.status)).collect()
        };
        assert_eq!(labels(&snapshot.routes[0].counters.durations), [(Counted::Get, 101)]);
        let expected = if http2_behind { (Counted::Connect, 200) } else { (Counted::Get, 101) };
        assert_eq!(labels(&snapshot.upstreams[0].endpoints[0].counters.durations), [expected]);
    }
}

#[test]
fn a_refused_upgrade_is_an_ordinary_response() {
    let mut memory = http1_behind();
    let client = memory.connect_mute();
    memory.inject(client, handshake().as_bytes());
    let backend = backend(&memory, client);
    memory.inject(backend, b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
    let response = said(&mut memory, client);
    assert!(response.starts_with("HTTP/1.1 403 ") && response.ends_with("\r\n\r\nno"), "{response}");
    assert_eq!(memory.records[0].outcome, Outcome::Complete);
}

#[test]
fn rfc9110_7_8_an_upgrade_that_no_route_allows_is_ignored() {
    req!("9110-7.8-02");
    for (upgrades, method) in [(vec![], Method::GET), (vec!["WebSocket".into()], Method::CONNECT)] {
        let mut memory = Memory::new(|config| config.routes[0].upgrades = upgrades);
        memory.backend_config.extended_connect = true;
        let client = memory.connect_mute();
        memory.inject(client, handshake().as_bytes());
        let backend = backend(&memory, client);
        let (_, request) = requests(&mut memory, backend).pop().expect("the request");
        assert_eq!(request.method(), method);
    }
    // What another route allows is known, and not given here.
    let mut memory = Memory::new(|config| {
        let mut chat = config.routes[0].clone();
        chat.path = PathPattern::Exact("/other".into());
        config.routes[0].upgrades.clear();
        config.routes.insert(0, chat);
    });
    memory.backend_config.extended_connect = true;
    let client = memory.connect_mute();
    memory.inject(client, (handshake() + "GET /next HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes());
    let backend = backend(&memory, client);
    let asked = requests(&mut memory, backend);
    let forms: Vec<_> = asked.iter().map(|(_, of)| (of.method().as_str(), of.uri().path())).collect();
    assert_eq!(forms, [("GET", "/chat"), ("GET", "/next")]);
    assert!(asked[0].1.extensions().get::<Upgrade>().is_none());
    for (stream, _) in asked {
        memory.backend(backend).send_response(stream, &ok(), true).expect("open");
    }
    memory.settle();
    assert_eq!(said(&mut memory, client).matches("HTTP/1.1 200 ").count(), 2);
    assert_eq!(memory.records[0].field(FieldName::Method), Some(&b"GET"[..]));
    assert!(memory.records.iter().all(|record| record.outcome == Outcome::Complete));
}

#[test]
fn upgrade_to_h2c_is_served_as_http1() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    memory.inject(
        client,
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
    );
    let backend = backend(&memory, client);
    let (stream, request) = requests(&mut memory, backend).pop().expect("the request");
    assert_eq!(request.method(), Method::GET);
    assert!(!request.headers().contains_key("http2-settings"));
    memory.backend(backend).send_response(stream, &ok(), true).expect("open");
    memory.settle();
    assert!(said(&mut memory, client).starts_with("HTTP/1.1 200 "));
}

/// One that was asked for behind another request is its own, whichever of the two is answered first.
#[test]
fn a_tunnel_behind_another_request_stands_whoever_is_answered_first() {
    for tunnel_first in [false, true] {
        let mut memory = http1_behind();
        let client = memory.connect_mute();
        let both = "GET /a HTTP/1.1\r\nhost: a\r\n\r\n".to_owned() + &handshake();
        memory.inject(client, both.as_bytes());
        let behind: Vec<_> = memory.backends().into_iter().filter(|&id| id != client).collect();
        let [plain, tunnel] = behind[..] else { panic!("{behind:?}") };
        let asked = said(&mut memory, tunnel);
        let plain_answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na";
        if !tunnel_first {
            memory.inject(plain, plain_answer);
        }
        memory.inject(tunnel, switching(&accept_of(&asked)).as_bytes());
        if tunnel_first {
            memory.inject(plain, plain_answer);
        }
        let answers = said(&mut memory, client);
        assert!(answers.starts_with("HTTP/1.1 200 ") && answers.contains(ACCEPT), "{answers}");
        memory.inject(client, b"ping");
        assert_eq!(said(&mut memory, tunnel), "ping", "{tunnel_first}");
        memory.shut(client);
        assert_eq!(memory.shutdowns, [tunnel]);
        memory.inject(tunnel, b"last");
        memory.shut(tunnel);
        assert_eq!(said(&mut memory, client), "last");
        let outcomes: Vec<_> = memory.records.iter().map(|record| record.outcome).collect();
        assert_eq!((outcomes, memory.gateway.view().requests), (vec![Outcome::Complete; 2], 0));
        assert!(memory.closed.contains(&client));
    }
}

/// One side of a tunnel, in either protocol.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub(super) conn: ConnId,
    /// Over HTTP/2.
    pub(super) stream: Option<StreamKey>,
}

fn websocket() -> Request<()> {
    Request::builder()
        .method(Method::CONNECT)
        .uri("http://a/chat")
        .header("sec-websocket-version", "13")
        .extension(Upgrade("websocket".to_owned()))
        .body(())
        .expect("a request")
}

/// A client of this protocol that asks for a tunnel, of a backend of that one; the backend's connection is not made yet.
pub(super) fn asking(http2: bool, http2_behind: bool, end: bool) -> (Memory, Side) {
    let mut memory = if http2_behind { Memory::new(|_| {}) } else { http1_behind() };
    memory.backend_config.extended_connect = true;
    memory.hold_connects = true;
    let conn = if http2 { memory.connect(ConnectionConfig::default()) } else { memory.connect_mute() };
    memory.settle();
    let stream = http2.then(|| {
        events(&mut memory, conn);
        memory.client(conn).send_request(&websocket(), end).expect("tunnels are offered")
    });
    if !http2 {
        memory.inject(conn, handshake().as_bytes());
    }
    memory.settle();
    (memory, Side { conn, stream })
}

/// The client sends this, and ends its direction.
pub(super) fn client_ends(memory: &mut Memory, client: Side, octets: &[u8]) {
    match client.stream {
        Some(stream) => {
            memory.client(client.conn).send_data(stream, octets, true).expect("open");
            memory.settle();
        }
        None => {
            if !octets.is_empty() {
                memory.inject(client.conn, octets);
            }
            memory.shut(client.conn);
        }
    }
}

/// What a backend has heard since the last time, and whether the client's direction has ended.
fn heard(memory: &mut Memory, backend: Side) -> (Vec<u8>, bool) {
    if backend.stream.is_none() {
        return (memory.sent_to(backend.conn), memory.shutdowns.contains(&backend.conn));
    }
    let (mut octets, mut ended) = (Vec::new(), false);
    while let Some(event) = memory.backend(backend.conn).poll_event().expect("sound") {
        if let ServerEvent::Data { data, end, .. } = event {
            octets.extend_from_slice(&data);
            ended |= end;
        }
    }
    (octets, ended)
}

/// The backend agrees. Says whether the request had ended with its head; over HTTP/2 with `end` so does the tunnel.
pub(super) fn agree(memory: &mut Memory, client: ConnId, http2: bool, end: bool) -> (Side, bool) {
    let conn = backend(memory, client);
    if !http2 {
        switch(memory, conn);
        return (Side { conn, stream: None }, false);
    }
    while let Some(event) = memory.backend(conn).poll_event().expect("sound") {
        if let ServerEvent::Request { stream, end: ended, .. } = event {
            memory.backend(conn).send_response(stream, &ok(), end).expect("open");
            memory.settle();
            return (Side { conn, stream: Some(stream) }, ended);
        }
    }
    panic!("it was not asked");
}

pub(super) fn backend_ends(memory: &mut Memory, backend: Side, octets: &[u8]) {
    match backend.stream {
        Some(stream) => {
            memory.backend(backend.conn).send_data(stream, octets, true).expect("open");
            memory.settle();
        }
        None => {
            memory.inject(backend.conn, octets);
            memory.shut(backend.conn);
        }
    }
}

/// The client has all of what the backend sent, and its end.
fn assert_has(memory: &mut Memory, client: Side, octets: &[u8]) {
    if client.stream.is_some() {
        let seen = events(memory, client.conn);
        assert_eq!(content(&seen), (octets.to_vec(), true), "{seen:?}");
    } else {
        let said = said(memory, client.conn);
        assert!(said.starts_with("HTTP/1.1 101 ") && said.as_bytes().ends_with(octets), "{said}");
        assert!(memory.closed.contains(&client.conn) || memory.shutdowns.contains(&client.conn));
    }
}

fn assert_over(memory: &Memory) {
    let outcomes: Vec<_> = memory.records.iter().map(|record| record.outcome).collect();
    let view = memory.gateway.view();
    assert_eq!((outcomes, view.requests, view.reserved_octets), (vec![Outcome::Complete], 0, 0));
}

/// Between all pairs of protocols: with the head, before the request is handed over, before it is answered.
#[test]
fn b73_a_client_that_ends_its_direction_before_the_tunnel_stands_has_ended_it() {
    for (http2, http2_behind) in [(true, true), (true, false), (false, true), (false, false)] {
        for (with_head, frozen, octets) in [
            (true, true, ""),
            (false, true, ""),
            (false, true, "up"),
            (false, false, ""),
            (false, false, "up"),
        ] {
            let (mut memory, client) = asking(http2, http2_behind, with_head);
            if frozen && !(http2 && with_head) {
                client_ends(&mut memory, client, octets.as_bytes());
            }
            memory.release_connects();
            if !frozen {
                client_ends(&mut memory, client, octets.as_bytes());
            }
            let (backend, ended) = agree(&mut memory, client.conn, http2_behind, false);
            let (got, ends) = heard(&mut memory, backend);
            assert_eq!((&got[..], ended || ends), (octets.as_bytes(), true), "{http2} {http2_behind}");
            assert!(memory.records.is_empty(), "the backend's direction is open");
            backend_ends(&mut memory, backend, b"last");
            assert_has(&mut memory, client, b"last");
            assert_over(&memory);
        }
    }
}

/// RFC 9113 section 8.5: the tunnel stands, and nothing comes out of it.
#[test]
fn a_backend_that_ends_its_direction_with_its_agreement_leaves_the_other_open() {
    for (http2, with_head) in [(true, false), (true, true), (false, false)] {
        let (mut memory, client) = asking(http2, true, with_head);
        memory.release_connects();
        let (backend, _) = agree(&mut memory, client.conn, true, true);
        if !with_head {
            assert!(memory.records.is_empty(), "the client's direction is open");
            client_ends(&mut memory, client, b"up");
            assert_eq!(heard(&mut memory, backend), (b"up".to_vec(), true));
        }
        if let Some(stream) = client.stream {
            let seen = events(&mut memory, client.conn);
            let agreed = |event: &ClientEvent| matches!(event, ClientEvent::Response { response, end: true, .. } if response.status() == 200);
            assert!(seen.iter().any(agreed) && seen.len() == 1, "{seen:?} on {stream:?}");
        } else {
            assert_has(&mut memory, client, b"\r\n\r\n");
        }
        assert_over(&memory);
    }
}

/// A tunnel has no length and no coding, whatever its backend says of it.
#[test]
fn rfc9110_9_3_6_a_client_that_has_its_tunnel_hears_of_no_framing() {
    req!("9110-9.3.6-06");
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut memory = Memory::new(|config| {
            config.upstreams[0].endpoints[0].protocol = protocol;
            config.routes[0].connect = true;
        });
        memory.mute_backends = protocol == Protocol::Http1;
        let client = memory.connect_mute();
        memory.inject(client, b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n");
        let backend = backend(&memory, client);
        if protocol == Protocol::Http1 {
            memory.inject(
                backend,
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\nx: y\r\n\r\nhello",
            );
        } else {
            let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
            let agreed = Response::builder().header("content-length", "5").header("x", "y");
            let agreed = agreed.body(()).expect("a response");
            memory.backend(backend).send_response(stream, &agreed, false).expect("open");
            memory.backend(backend).send_data(stream, b"hello", false).expect("open");
            memory.settle();
        }
        let response = said(&mut memory, client);
        assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("\r\n\r\nhello"), "{response}");
        let names = ["transfer-encoding", "content-length"];
        assert!(
            response.contains("x: y\r\n") && !names.iter().any(|name| response.contains(name)),
            "{response}"
        );
    }
}

/// Whatever its answer is, a client that has shut its side down gets it, and then its connection ends.
#[test]
fn a_client_that_went_before_its_tunnel_was_refused_is_answered_and_closed() {
    let connect = "CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n".to_owned();
    for request in [handshake(), connect] {
        let mut memory = Memory::new(|config| {
            config.upstreams[0].endpoints[0].protocol = Protocol::Http1;
            config.routes[0].connect = true;
        });
        memory.mute_backends = true;
        let client = memory.connect_mute();
        memory.inject(client, request.as_bytes());
        memory.shut(client);
        let backend = backend(&memory, client);
        memory.inject(backend, b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
        assert!(said(&mut memory, client).starts_with("HTTP/1.1 403 "));
        assert!(memory.closed.contains(&client), "{request}");
        assert_eq!(memory.gateway.view().requests, 0);
    }
}
