//! What two readers could read in two ways: refused and closed, or forwarded in a form that has one reading
//! (RFC 9112 section 11.2).

use shuntyard_core::error::StreamError;
use shuntyard_core::message::Refusal::{self, CodingUnsupported, Malformed, VersionUnsupported};
use shuntyard_requirements::req;

use crate::talk::{Talk, Told, get};

/// A request with these lines in its head, a body behind it, and one more request inside of the body.
fn post(lines: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n{body}")
}

/// Refused with `refusal`, however it is cut; nothing behind it is looked at, and the answer is the last.
fn refused(octets: &str, refusal: Refusal) {
    for step in [1, 3, octets.len()] {
        let mut server = Talk::server();
        let octets = octets.to_owned() + &get("/smuggled");
        let told: Vec<Told> = octets.as_bytes().chunks(step).flat_map(|part| server.recv(part)).collect();
        assert_eq!(told, [Told::Refused(refusal)], "{octets:?}");
        server.answer(server.last(), &[":status: 400"], "");
        assert!(server.out().ends_with("connection: close\r\n\r\n") && server.connection.is_over());
        assert_eq!(server.again(), []);
    }
}

#[test]
fn rfc9112_6_3_two_ends_of_one_message() {
    req!(
        "9112-6.1-09",
        "9112-6.1-12",
        "9112-6.1-13",
        "9112-6.1-14",
        "9112-6.3-03",
        "9112-6.3-04",
        "9112-6.3-05"
    );
    let chunked = "0\r\n\r\n";
    for (lines, refusal) in [
        // Both.
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", Malformed),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", Malformed),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0", Malformed),
        ("content-length:\r\ntransfer-encoding: chunked", Malformed),
        // Variants of the coding.
        ("Transfer-Encoding: xchunked", Malformed),
        ("Transfer-Encoding: chunkedx", Malformed),
        ("Transfer-Encoding: chunked, identity", Malformed),
        ("Transfer-Encoding: identity", Malformed),
        ("Transfer-Encoding: identity, chunked", CodingUnsupported),
        ("Transfer-Encoding: gzip, chunked", CodingUnsupported),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", CodingUnsupported),
        ("Transfer-Encoding: gzip", Malformed),
        ("Transfer-Encoding: chunked, chunked", Malformed),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Malformed),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", Malformed),
        ("Transfer-Encoding: chunked,", Malformed),
        ("Transfer-Encoding: ,chunked", Malformed),
        ("Transfer-Encoding:", Malformed),
        ("Transfer-Encoding: \"chunked\"", Malformed),
        ("Transfer-Encoding: chunked;q=1", Malformed),
        ("Transfer-Encoding: chun ked", Malformed),
        ("Transfer-Encoding: \x0bchunked", Malformed),
        ("Transfer-Encoding: chunked\x0b", Malformed),
        ("Transfer-Encoding\t: chunked", Malformed),
        ("Transfer-Encoding : chunked", Malformed),
        (" Transfer-Encoding: chunked", Malformed),
        ("Transfer-Encoding:\r\n chunked", Malformed),
        ("Transfer-Encoding\r\n: chunked", Malformed),
        ("X: y\r\n\tTransfer-Encoding: chunked", Malformed),
        ("X: y\nTransfer-Encoding: chunked", Malformed),
        ("X: y\rTransfer-Encoding: chunked", Malformed),
        ("Transfer-Encoding: chunked\nX: y", Malformed),
        // Lengths.
        ("Content-Length: 5\r\nContent-Length: 6", Malformed),
        ("Content-Length: 5\r\nContent-Length: 5", Malformed),
        ("Content-Length: 5, 5", Malformed),
        ("Content-Length: 5,6", Malformed),
        ("Content-Length: +5", Malformed),
        ("Content-Length: -5", Malformed),
        ("Content-Length: 0x5", Malformed),
        ("Content-Length: 5 5", Malformed),
        ("Content-Length: 5.0", Malformed),
        ("Content-Length: five", Malformed),
        ("Content-Length: \u{0665}", Malformed),
        ("Content-Length:", Malformed),
        ("Content-Length: 18446744073709551616", Malformed),
        ("Content-Length: 99999999999999999999999", Malformed),
        ("Content-Length : 5", Malformed),
        ("Content_Length: 5\r\nContent-Length: 5\r\ncontent-length: 7", Malformed),
        ("Content-Length: 5\r\n 6", Malformed),
        // Who names them as fields of the connection wants the next hop not to see them.
        ("Content-Length: 5\r\nConnection: content-length", Malformed),
        ("Content-Length: 5\r\nConnection: close, Content-Length", Malformed),
        ("Content-Length: 5\r\nConnection: host", Malformed),
    ] {
        refused(&post(lines, chunked), refusal);
    }
    let coded = "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    refused(coded, Malformed);
}

#[test]
fn rfc9112_2_and_5_lines_that_are_none() {
    req!("9112-2.2-04", "9112-2.2-09", "9112-2.2-10", "9112-5.1-01", "9112-5.2-02", "9112-2.2-07");
    for lines in [
        // obs-fold, and white space in front of the first line.
        "X: y\r\n z",
        "X: y\r\n\tz",
        "X:\r\n y",
        "X: y\r\n ",
        " X: y",
        "\tX: y",
        " ",
        // Bare CR, LF, NUL, and other control octets.
        "X: y\nz: a",
        "X: y\rz: a",
        "X: y\r\r",
        "X: y\n\r",
        "X: \0",
        "X\0: y",
        "X: a\x01b",
        "X: a\x7fb",
        "X: a\x0bb",
        // Names.
        "X : y",
        "X\t: y",
        ": y",
        "X y: z",
        "X",
        "X\u{e9}: y",
        "(X): y",
        "X[0]: y",
        "{}: y",
        "X@: y",
        ":path: /",
        ":authority: b",
    ] {
        refused(&format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n"), Malformed);
        refused(&format!("GET / HTTP/1.1\r\n{lines}\r\nHost: a\r\n\r\n"), Malformed);
    }
    refused("GET / HTTP/1.1\nHost: a\n\n", Malformed);
    refused("GET / HTTP/1.1\r\nHost: a\r\n\n", Malformed);
    refused("GET / HTTP/1.1\r\nHost: a\n\r\n", Malformed);
    refused("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed);
    refused("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed);
    refused(&("\r\n".repeat(5) + "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Malformed);
    assert_eq!(Talk::server().recv("\r\n".repeat(4) + &get("/")).len(), 1);
}

#[test]
fn rfc9112_3_request_lines_that_are_none() {
    req!("9112-3.2-01", "9112-3.2-02", "9112-2.2-10", "9110-6.2-06");
    for (line, refusal) in [
        ("GET /", Malformed),
        ("GET", Malformed),
        ("GET  / HTTP/1.1", Malformed),
        ("GET /  HTTP/1.1", Malformed),
        ("GET / HTTP/1.1 ", Malformed),
        (" GET / HTTP/1.1", Malformed),
        ("GET\t/ HTTP/1.1", Malformed),
        ("GET /\tHTTP/1.1", Malformed),
        ("GET /\x0bHTTP/1.1", Malformed),
        ("GET / /b HTTP/1.1", Malformed),
        ("GET /a b HTTP/1.1", Malformed),
        ("GET / HTTP/1.1\0", Malformed),
        ("GET /\0 HTTP/1.1", Malformed),
        ("GET /\u{e9} HTTP/1.1", Malformed),
        ("GET /\x7f HTTP/1.1", Malformed),
        ("GET /#a HTTP/1.1", Malformed),
        ("GET a HTTP/1.1", Malformed),
        ("GET * HTTP/1.1", Malformed),
        ("GET ** HTTP/1.1", Malformed),
        ("GET a:80 HTTP/1.1", Malformed),
        ("GET ?a HTTP/1.1", Malformed),
        ("GET http:/a/ HTTP/1.1", Malformed),
        ("GET http:///a HTTP/1.1", Malformed),
        ("GET ftp://a/ HTTP/1.1", Malformed),
        ("GET http://u@a/ HTTP/1.1", Malformed),
        ("GET http://a:b/ HTTP/1.1", Malformed),
        ("GET http://a\\b/ HTTP/1.1", Malformed),
        ("GET http://a/b#c HTTP/1.1", Malformed),
        ("GET http://a#/b HTTP/1.1", Malformed),
        ("G(T / HTTP/1.1", Malformed),
        ("GET\u{e9} / HTTP/1.1", Malformed),
        ("GET: / HTTP/1.1", Malformed),
        ("GET / http/1.1", Malformed),
        ("GET / HTTP/11", Malformed),
        ("GET / HTTP/1.", Malformed),
        ("GET / HTTP/1.10", Malformed),
        ("GET / HTTP/01.1", Malformed),
        ("GET / HTTP/+1.1", Malformed),
        ("GET / HTTPS/1.1", Malformed),
        ("GET / HTTP/1.1HTTP/1.1", Malformed),
        ("GET / HTTP/2.0", VersionUnsupported),
        ("GET / HTTP/0.9", VersionUnsupported),
        ("GET / HTTP/1.2", VersionUnsupported),
        ("GET / HTTP/3.0", VersionUnsupported),
    ] {
        refused(&format!("{line}\r\nHost: a\r\n\r\n"), refusal);
    }
}

#[test]
fn rfc9112_3_2_hosts() {
    req!(
        "9112-3.2-06",
        "9112-3.2.2-03",
        "9112-3.2.2-04",
        "9112-3.2.2-05",
        "9112-3.2.2-06",
        "9112-3.2.4-02",
        "9112-3.2.1-02"
    );
    for lines in [
        "X: y",
        "Host: a\r\nHost: a",
        "Host: a\r\nX: y\r\nHOST: b",
        "Host: a, b",
        "Host: a b",
        "Host: u@a",
        "Host: a/b",
        "Host: http://a",
        "Host: a:b",
        "Host: a:99999",
        "Host:",
        "Host: [::1",
        "Host: a\\b",
        "Host: a%zz",
        "Host: \u{e9}",
    ] {
        refused(&format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n"), Malformed);
        refused(&format!("GET http://b/ HTTP/1.1\r\n{lines}\r\n\r\n"), Malformed);
    }
    // The target says which host is meant, whatever the field says.
    for (method, target, path, authority) in [
        ("GET", "http://b/c?d", "/c?d", "b"),
        ("GET", "HTTP://b:81", "/", "b:81"),
        ("OPTIONS", "http://b", "*", "b"),
        ("OPTIONS", "http://b?", "/?", "b"),
        ("OPTIONS", "*", "*", "a"),
        ("GET", "//b/c", "//b/c", "a"),
        ("GET", "/http://b/c", "/http://b/c", "a"),
        ("GET", "http://b?c", "/?c", "b"),
    ] {
        let mut server = Talk::server();
        let told = server.recv(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let expected = [
            format!(":method: {method}"),
            ":scheme: http".into(),
            format!(":authority: {authority}"),
            format!(":path: {path}"),
        ];
        assert_eq!(told, [Told::Request(expected.to_vec(), true)], "{target}");
    }
    // HTTP/1.0 has no Host; who guesses one routes by accident.
    refused("GET / HTTP/1.0\r\n\r\n", Malformed);
    assert_eq!(Talk::server().recv("GET http://b/ HTTP/1.0\r\n\r\n").len(), 1);
}

#[test]
fn rfc9112_7_1_chunks_that_hide_something() {
    req!("9112-7.1-03", "9112-7.1-04");
    let chunked = |body: &str| post("Transfer-Encoding: chunked", body) + &get("/smuggled");
    for body in [
        "10000000000000000\r\n",
        "ffffffffffffffffff\r\n",
        "-1\r\n",
        "+1\r\na\r\n",
        "0x1\r\na\r\n",
        "1 \r\na\r\n",
        " 1\r\na\r\n",
        "1\na\n",
        "1\ra\r\n",
        "1;a\nb\r\nc\r\n",
        "1;a\rb\r\nc\r\n",
        "1;\0\r\na\r\n",
        "1,\r\na\r\n",
        "\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\n \r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\nX: y\r\n z\r\n\r\n",
        "0\r\nX\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
    ] {
        for step in [1, 1000] {
            let mut server = Talk::server();
            let octets = chunked(body);
            let told: Vec<Told> = octets.as_bytes().chunks(step).flat_map(|part| server.recv(part)).collect();
            assert_eq!(told[1..], [Told::Failed(StreamError::Malformed)], "{body:?}");
            assert!(server.out().starts_with("HTTP/1.1 400 ") && server.connection.is_over());
        }
    }
    // A chunk that says less, or more, than it holds.
    for body in ["2\r\nabc\r\n", "3\r\nab\r\n0\r\n\r\n"] {
        let mut server = Talk::server();
        let told = server.recv(chunked(body));
        assert_eq!(told.last(), Some(&Told::Failed(StreamError::Malformed)), "{body:?}");
        assert_eq!(server.streams.len(), 1);
    }
}

/// What is left is what one reader would read: lengths and codings are ours when a message leaves, fields that concern one
/// connection are gone.
#[test]
fn what_is_taken_has_one_reading() {
    let mut server = Talk::server();
    let octets = post(
        "Transfer-Encoding: cHuNkEd\r\nConnection: x-a, TE, Transfer-Encoding\r\nX-A: 1\r\nTE: chunked\r\nKeep-Alive: x\r\n\
         Cookie: a=1\r\nCookie: b=2\r\nContent_Length: 7",
        "2;a=\"\tb\"\r\nhi\r\n0\r\n\r\n",
    );
    let told = server.recv(octets);
    let Told::Request(lines, false) = &told[0] else { panic!("{told:?}") };
    let kept = ["cookie: a=1", "cookie: b=2", "content_length: 7"];
    assert_eq!(lines[4..], kept);
    let mut client = Talk::client();
    let head: Vec<&str> = lines.iter().map(String::as_str).collect();
    let stream = client.open(&head, false);
    client.connection.send_data(stream, b"hi", true).unwrap();
    assert_eq!(
        client.out(),
        "POST / HTTP/1.1\r\nhost: a\r\ncookie: a=1; b=2\r\ncontent_length: 7\r\ntransfer-encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\n\r\n"
    );
}
