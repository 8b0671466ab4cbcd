//! CONNECT, and upgrades as extended CONNECT, on either side.

use shuntyard_core::error::{ErrorCode, StreamError};
use shuntyard_core::h2::Sent;
use shuntyard_core::message::Refusal;
use shuntyard_requirements::req;

use crate::talk::{Talk, Told, data, get, request, response};

const WEBSOCKET: &str = "GET /chat?x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
/// RFC 6455 section 1.3.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const EXTENDED: [&str; 6] = [
    ":method: CONNECT",
    ":protocol: websocket",
    ":scheme: http",
    ":authority: a",
    ":path: /chat?x",
    "sec-websocket-version: 13",
];
const CONNECT: [&str; 2] = [":method: CONNECT", ":authority: b:1"];

#[test]
fn rfc6455_4_2_an_upgrade_becomes_extended_connect_and_200_becomes_101() {
    req!("9110-7.8-03", "9110-7.8-04", "9110-7.8-05", "9110-7.8-10", "9110-15.2.2-01");
    let mut server = Talk::server();
    let told = server.recv(WEBSOCKET);
    assert_eq!(told, [request(&[&EXTENDED[..], &["sec-websocket-protocol: chat"]].concat(), false)]);
    let stream = server.last();
    assert_eq!(server.recv("early"), []);
    assert!(server.connection.is_congested(), "a tunnel, or the next request");
    let head =
        [":status: 200", "sec-websocket-protocol: chat", "content-length: 0", "sec-websocket-accept: x"];
    server.connection.send_head(stream, &crate::talk::section(&head), false).unwrap();
    assert_eq!(
        server.out(),
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-protocol: chat\r\nconnection: Upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-accept: {ACCEPT}\r\n\r\n"
        )
    );
    assert_eq!(server.again(), [data("early", false)]);
    assert_eq!(server.recv("GET / HTTP/1.1\r\n\r\n"), [data("GET / HTTP/1.1\r\n\r\n", false)]);
    assert_eq!(server.connection.send_data(stream, b"hello", false), Ok(Sent { cut: 5, waits: false }));
    assert_eq!(server.out(), "hello");
    // Half-close, in either direction.
    assert_eq!(server.connection.send_data(stream, b"bye", true), Ok(Sent { cut: 3, waits: false }));
    assert_eq!(server.out(), "bye");
    assert!(server.connection.is_write_closed() && !server.connection.is_over());
    assert_eq!(server.recv("more"), [data("more", false)]);
    server.connection.read_closed();
    assert_eq!(server.again(), [data("", true)]);
    assert!(server.connection.is_over() && !server.connection.has_failed());
}

/// Whoever waits to go on is told so before anything else, once.
#[test]
fn rfc9110_7_8_100_comes_before_101() {
    req!("9110-7.8-12");
    for told_before in [false, true] {
        let mut server = Talk::server();
        server.recv(WEBSOCKET.replace("Host: a", "Host: a\r\nExpect: 100-continue"));
        let head = |status: &str| crate::talk::section(&[status]);
        if told_before {
            server.connection.send_head(server.last(), &head(":status: 100"), false).unwrap();
        }
        server.connection.send_head(server.last(), &head(":status: 200"), false).unwrap();
        let out = server.out();
        assert!(
            out.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n"),
            "{out}"
        );
    }
}

#[test]
fn rfc9110_7_8_an_upgrade_may_be_declined() {
    req!("9110-7.8-02", "9110-7.8-09", "9110-7.8-11");
    let mut server = Talk::server();
    server.recv(WEBSOCKET.to_owned() + &get("/next"));
    assert_eq!(server.streams.len(), 1);
    server.answer(server.last(), &[":status: 403"], "no");
    assert!(server.out().ends_with("2\r\nno\r\n0\r\n\r\n"));
    assert_eq!(server.again().len(), 1, "the next request");
    // Without a whole upgrade, or one that is offered, it is a request as any other.
    for (line, with) in [
        ("Upgrade: WebSocket", "Upgrade: h2c"),
        ("Upgrade: WebSocket", "Upgrade: websocket, foo"),
        ("Upgrade: WebSocket", "Upgrade: websocket\r\nUpgrade: websocket"),
        ("Upgrade: WebSocket", "Upgrade: TLS/1.0"),
        ("Connection: keep-alive, Upgrade", "Connection: keep-alive"),
        ("GET", "POST"),
        ("GET", "HEAD"),
        ("HTTP/1.1", "HTTP/1.0"),
        ("Host: a", "Host: a\r\nContent-Length: 1"),
        ("Host: a", "Host: a\r\nTransfer-Encoding: chunked"),
    ] {
        let mut server = Talk::server();
        let told = server.recv(WEBSOCKET.replacen(line, with, 1));
        let Told::Request(lines, _) = &told[0] else { panic!("{told:?} with {with}") };
        assert!(!lines.iter().any(|line| line.starts_with(":protocol")), "{with}");
        assert!(
            !lines.iter().any(|line| line == ":method: CONNECT" || line.starts_with("upgrade:")),
            "{with}"
        );
    }
    // Other protocols are to be allowed, and need no key.
    let config =
        shuntyard_core::config::ConnectionConfig { upgrades: vec!["foo".into()], ..Default::default() };
    let mut server = Talk::with(shuntyard_core::h2::Role::Server, config);
    let told = server.recv(
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: Foo\r\ncontent-length: 0\r\n\r\n",
    );
    let lines = [":method: CONNECT", ":protocol: foo", ":scheme: http", ":authority: a", ":path: /"];
    assert_eq!(told, [request(&lines, false)]);
    server.connection.send_head(server.last(), &crate::talk::section(&[":status: 204"]), false).unwrap();
    assert_eq!(
        server.out(),
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: foo\r\n\r\n"
    );
    // A key that is none.
    for key in ["", "abc", "dGhlIHNhbXBsZSBub25jZQ=="] {
        let doubled = if key.len() == 24 { "Sec-WebSocket-Key: x\r\n" } else { "" };
        let head = WEBSOCKET.replace("dGhlIHNhbXBsZSBub25jZQ==\r\n", &format!("{key}\r\n{doubled}"));
        assert_eq!(Talk::server().recv(head), [Told::Refused(Refusal::Malformed)], "{key}");
    }
}

#[test]
fn rfc9110_9_3_6_connect() {
    req!("9112-3.2.3-01", "9112-6.1-08");
    let mut server = Talk::server();
    let told = server.recv("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n");
    assert_eq!(told, [request(&[":method: CONNECT", ":authority: example.org:443"], false)]);
    server.connection.send_head(server.last(), &crate::talk::section(&[":status: 200"]), false).unwrap();
    assert_eq!(server.out(), "HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(server.recv("abc"), [data("abc", false)]);
    server.connection.reset(server.last(), ErrorCode::CANCEL);
    assert!(server.connection.has_failed());
    // What follows one that is declined may be meant for the tunnel.
    let mut server = Talk::server();
    server.recv("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n".to_owned() + &get("/"));
    server.answer(server.last(), &[":status: 403"], "");
    assert_eq!(server.out(), "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert_eq!(server.again(), []);
    assert!(server.connection.is_over());
    for bad in [
        "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a b\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(Talk::server().recv(bad), [Told::Refused(Refusal::Malformed)], "{bad}");
    }
}

/// The answer to the key of the request that was written.
fn accept_of(out: &str) -> String {
    let key = out.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
    let mut server = Talk::server();
    server.recv(WEBSOCKET.replace("dGhlIHNhbXBsZSBub25jZQ==", key));
    server.connection.send_head(server.last(), &crate::talk::section(&[":status: 200"]), false).unwrap();
    let out = server.out();
    out.lines().find_map(|line| line.strip_prefix("sec-websocket-accept: ")).expect("an answer").to_owned()
}

/// B73, the side of the backend.
#[test]
fn b73_extended_connect_becomes_an_upgrade_that_must_be_proven() {
    req!("9110-7.8-01", "9110-7.8-10", "9110-7.6.1-01", "9112-6.3-01");
    let start = || {
        let mut client = Talk::client();
        client.open(&EXTENDED, false);
        let out = client.out();
        assert!(out.starts_with("GET /chat?x HTTP/1.1\r\nhost: a\r\nsec-websocket-version: 13\r\n"), "{out}");
        assert!(
            out.contains("\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: "),
            "{out}"
        );
        (accept_of(&out), client)
    };
    let (accept, mut client) = start();
    let switched = |accept: &str| {
        format!(
            "HTTP/1.1 101 \r\nConnection: upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        )
    };
    let told = client.recv(switched(&accept) + "hello");
    assert_eq!(told, [response(&[":status: 200"], false), data("hello", false)]);
    let stream = client.last();
    assert_eq!(client.connection.send_data(stream, b"abc", true), Ok(Sent { cut: 3, waits: false }));
    assert_eq!(client.out(), "abc");
    assert!(client.connection.is_write_closed() && client.connection.is_going_away());
    client.connection.read_closed();
    assert_eq!(client.again(), [data("", true)]);
    assert!(client.connection.is_over());
    // Not proven, or not switched.
    for wrong in [
        switched(ACCEPT),
        switched(""),
        switched(&accept).replace("Upgrade: WebSocket", "Upgrade: foo"),
        switched(&accept).replace("Connection: upgrade\r\n", ""),
    ] {
        let (_, mut client) = start();
        // Each client has the same seed here, and so the same key.
        assert_eq!(client.recv(&wrong), [Told::Failed(StreamError::Malformed)], "{wrong}");
        assert!(client.connection.has_failed());
    }
    // Declined: an ordinary response. Nothing that was meant for the tunnel has left.
    let (_, mut client) = start();
    assert_eq!(
        client.connection.send_data(client.last(), b"GET / HTTP/1.1\r\n\r\n", true),
        Ok(Sent { cut: 0, waits: true })
    );
    assert_eq!((client.out().as_str(), client.connection.queued(client.last())), ("", 18));
    let told = client.recv("HTTP/1.1 403 \r\ncontent-length: 2\r\n\r\nno");
    assert_eq!(told, [response(&[":status: 403", "content-length: 2"], false), data("no", true)]);
    assert_eq!((client.out().as_str(), client.connection.open_slots()), ("", 1));
    // So is one that takes the request for the GET that it is.
    let (_, mut client) = start();
    assert_eq!(
        client.connection.send_data(client.last(), b"GET / HTTP/1.1\r\n\r\n", true),
        Ok(Sent { cut: 0, waits: true })
    );
    let told = client.recv("HTTP/1.1 200 \r\nupgrade: websocket\r\ncontent-length: 2\r\n\r\nok");
    assert_eq!(told, [response(&[":status: 200", "content-length: 2"], false), data("ok", true)]);
    assert_eq!((client.out().as_str(), client.connection.open_slots()), ("", 1));
    // Agreed: then it leaves.
    let (accept, mut client) = start();
    assert_eq!(client.connection.send_data(client.last(), b"hello", true), Ok(Sent { cut: 0, waits: true }));
    assert_eq!((client.recv(switched(&accept)).len(), client.out().as_str()), (1, "hello"));
    assert!(client.connection.is_write_closed());
    // CONNECT, where 2xx means that it stands, whatever it says of its content.
    let mut client = Talk::client();
    client.open(&[":method: CONNECT", ":authority: b:1"], false);
    assert_eq!(client.out(), "CONNECT b:1 HTTP/1.1\r\nhost: b:1\r\n\r\n");
    let told = client.recv("HTTP/1.1 200 \r\ncontent-length: 0\r\ntransfer-encoding: chunked\r\n\r\nx");
    assert_eq!(told, [response(&[":status: 200"], false), data("x", false)]);
}

/// Answers to other requests say nothing about it, whenever they come.
#[test]
fn only_its_own_answer_decides_about_a_tunnel() {
    for tunnel_first in [false, true] {
        for agreed in [true, false] {
            let mut server = Talk::server();
            server.recv(get("/a") + WEBSOCKET);
            let [plain, tunnel] = server.streams[..] else { panic!("two requests") };
            let turns = if tunnel_first { [tunnel, plain] } else { [plain, tunnel] };
            for stream in turns {
                if stream == plain {
                    server.answer(plain, &[":status: 200"], "a");
                } else if agreed {
                    let head = crate::talk::section(&[":status: 200"]);
                    server.connection.send_head(tunnel, &head, false).unwrap();
                } else {
                    server.answer(tunnel, &[":status: 403"], "no");
                }
                assert_eq!(server.again(), []);
            }
            let out = server.out();
            assert!(out.starts_with("HTTP/1.1 200 OK\r\n") && !out.contains("connection: close"), "{out}");
            if agreed {
                assert!(out.contains("HTTP/1.1 101 "), "{out}");
                assert_eq!(server.recv("hello"), [data("hello", false)]);
                server.connection.read_closed();
                assert_eq!(server.again(), [data("", true)]);
            } else {
                assert_eq!(server.recv(get("/next")).len(), 1, "a request as any other");
            }
        }
    }
}

/// The end of what the client sends is told when there is an answer to what it asked for.
#[test]
fn an_end_that_came_before_the_answer_is_told_behind_it() {
    for (request, agreed, closes) in [
        (WEBSOCKET, true, true),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", true, true),
        (WEBSOCKET, false, true),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", false, true),
    ] {
        let mut server = Talk::server();
        server.recv(request);
        server.connection.read_closed();
        assert_eq!(server.again(), []);
        assert!(!server.connection.owes_end(), "nobody knows of what it is the end");
        if agreed {
            let head = crate::talk::section(&[":status: 200"]);
            server.connection.send_head(server.last(), &head, false).unwrap();
        } else {
            server.answer(server.last(), &[":status: 403"], "");
            server.connection.reset(server.last(), ErrorCode::NO_ERROR);
        }
        assert!(server.connection.owes_end(), "{request}");
        assert_eq!(server.again(), if agreed { vec![data("", true)] } else { vec![] });
        assert!(!server.connection.owes_end());
        if agreed {
            server.connection.send_data(server.last(), b"", true).unwrap();
        }
        assert_eq!(server.connection.is_over(), closes, "{request}");
    }
}

/// RFC 9110 section 9.3.6: a tunnel of which one direction has ended before it stood.
#[test]
fn a_tunnel_may_have_ended_on_one_side_when_it_begins() {
    // What the backend sends.
    let mut server = Talk::server();
    server.recv(WEBSOCKET);
    server.connection.send_head(server.last(), &crate::talk::section(&[":status: 200"]), true).unwrap();
    assert!(server.out().starts_with("HTTP/1.1 101 "));
    assert!(server.connection.is_write_closed() && !server.connection.is_over());
    assert_eq!(server.recv("up"), [data("up", false)]);
    server.connection.read_closed();
    assert_eq!(server.again(), [data("", true)]);
    assert!(server.connection.is_over() && !server.connection.has_failed());
    // In its turn.
    let mut server = Talk::server();
    server.recv(get("/a") + WEBSOCKET);
    server.connection.send_head(server.last(), &crate::talk::section(&[":status: 200"]), true).unwrap();
    assert!(!server.connection.is_write_closed());
    server.answer(server.streams[0], &[":status: 200"], "a");
    assert!(server.out().contains("HTTP/1.1 101 ") && server.connection.is_write_closed());
    // What the client sends: nothing is ended before the server has agreed, for it may not, and go on in HTTP.
    for (head, agreed) in [(&EXTENDED[..], false), (&EXTENDED, true), (&CONNECT, false), (&CONNECT, true)] {
        let mut client = Talk::client();
        let stream = client.open(head, true);
        let out = client.out();
        assert!(!out.is_empty() && !client.connection.is_write_closed());
        assert!(!client.connection.has_sent(stream));
        if !agreed {
            assert_eq!(client.recv("HTTP/1.1 403 \r\ncontent-length: 2\r\n\r\nno").len(), 2);
            assert!(!client.connection.is_write_closed());
            assert_eq!(client.connection.open_slots(), u32::from(head.len() > 2));
            continue;
        }
        let answer = match head.len() {
            2 => "HTTP/1.1 200 \r\n\r\n".to_owned(),
            _ => format!(
                "HTTP/1.1 101 \r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {}\r\n\r\n",
                accept_of(&out)
            ),
        };
        assert_eq!(client.recv(answer + "x"), [response(&[":status: 200"], false), data("x", false)]);
        assert!(client.connection.has_output());
        let cut = client.connection.cut().expect("the end");
        assert_eq!((cut.stream, cut.octets, cut.end), (stream, 0, true));
        assert!(client.connection.is_write_closed() && client.connection.has_sent(stream));
        client.connection.read_closed();
        assert_eq!(client.again(), [data("", true)]);
        assert!(client.connection.is_over() && !client.connection.has_failed());
    }
}
