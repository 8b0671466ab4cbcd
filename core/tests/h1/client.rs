//! Client: one request at a time, and what may answer it.

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::{ErrorCode, StreamError};
use shuntyard_core::h2::{OpenError, Role, SendError, Sent};
use shuntyard_core::message::Version;
use shuntyard_requirements::req;

use crate::talk::{Talk, Told, data, response, section};

const GET: [&str; 4] = [":method: GET", ":scheme: http", ":authority: a", ":path: /"];

fn with(method: &str, more: &[&str]) -> Vec<String> {
    let method = format!(":method: {method}");
    [&[method.as_str()], &GET[1..], more].concat().iter().map(|&line| line.to_owned()).collect()
}

fn lines(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

/// A client that has sent a request, and the stream.
fn asked(method: &str) -> Talk {
    let mut client = Talk::client();
    client.open(&lines(&with(method, &[])), true);
    client.out();
    client
}

/// It may read no more until it has written: whoever waited for the other way round would wait for ever.
#[test]
fn a_response_is_read_although_the_request_does_not_leave() {
    let config = ConnectionConfig { outbox_high_mark: 16 << 10, ..ConnectionConfig::default() };
    let window = config.initial_window_size as usize;
    let mut client = Talk::with(Role::Client, config);
    client.kept = Some(Vec::new());
    let stream = client.open(&lines(&with("POST", &[])), false);
    client.connection.send_data(stream, &[b'a'; 100_000], false).expect("open");
    while client.connection.cut().is_some() {}
    client.connection.sent(1);
    assert!(client.connection.transmit().len() > 16 << 10);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 2 * window);
    client.recv(head + &".".repeat(2 * window));
    assert!(client.connection.is_congested() && !client.connection.has_room());
    for (stream, credit) in client.kept.take().expect("kept") {
        client.connection.release(stream, credit);
    }
    assert!(client.connection.has_room() && !client.connection.is_congested());
    let rest: Vec<Told> = client.again();
    assert!(matches!(rest.last(), Some(Told::Data(_, true))), "{}", rest.len());
}

#[test]
fn rfc9112_9_3_requests_follow_each_other() {
    req!(
        "9112-3.2-03",
        "9112-3.2-04",
        "9112-3.2.1-01",
        "9112-9.3-06",
        "9112-4-03",
        "9112-2.2-05",
        "9112-2.2-08",
        "9112-5.1-02"
    );
    let mut client = Talk::client();
    for n in 1..=3 {
        assert!(client.connection.open_slots() == 1 && client.connection.is_established());
        let stream = client.open(&GET, true);
        assert_eq!(client.out(), "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(client.connection.open_slots(), 0);
        assert_eq!(client.connection.open(&section(&GET), true), Err(OpenError::NoSlot));
        assert_eq!(client.connection.stream_id(stream), Some(n));
        client.connection.set_tag(stream, 9);
        let told = client.recv("HTTP/1.1 200 Whatever it\tmay say\r\nContent-Length : 5\r\nX: y\r\n\r\nhel");
        assert_eq!(
            told,
            [response(&[":status: 200", "content-length: 5", "x: y"], false), data("hel", false)]
        );
        assert_eq!(client.connection.open_slots(), 0);
        assert_eq!(client.recv("lo"), [data("lo", true)]);
        assert_eq!((client.connection.open_streams(), client.connection.traffic().requests), (0, n.into()));
    }
    assert_eq!(Talk::server().connection.open(&section(&GET), true), Err(OpenError::NotClient));
    assert_eq!(Talk::server().connection.open_slots(), 0);
}

#[test]
fn rfc9112_6_3_content_of_requests() {
    req!(
        "9112-6.2-01",
        "9112-6.3-11",
        "9112-6.3-12",
        "9112-6.1-02",
        "9112-7.4-01",
        "9112-7.4-03",
        "9112-3.2-05",
        "9112-3.2.4-01"
    );
    for (method, more, content, expected) in [
        ("GET", &[][..], None, "\r\n"),
        ("DELETE", &[], None, "\r\n"),
        ("POST", &[], None, "content-length: 0\r\n\r\n"),
        ("PUT", &["content-length: 0"], None, "content-length: 0\r\n\r\n"),
        ("POST", &["content-length: 5"], Some("hello"), "content-length: 5\r\n\r\nhello"),
        ("POST", &[], Some("hello"), "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        ("GET", &[], Some(""), "transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ] {
        let mut client = Talk::client();
        let stream = client.open(&lines(&with(method, more)), content.is_none());
        if let Some(content) = content {
            assert_eq!(
                client.connection.send_data(stream, content.as_bytes(), true),
                Ok(Sent { cut: content.len(), waits: false })
            );
        }
        assert_eq!(client.out(), format!("{method} / HTTP/1.1\r\nhost: a\r\n{expected}"));
        assert_eq!(client.connection.send_data(stream, b"more", true), Err(SendError::Gone));
    }
    // Other forms of targets.
    let mut client = Talk::client();
    client.open(&[":method: OPTIONS", ":scheme: http", ":authority: a", ":path: *"], true);
    assert_eq!(client.out(), "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut client = Talk::client();
    client.open(&[":method: GET", ":scheme: http", ":path: /"], true);
    assert_eq!(client.out(), "GET / HTTP/1.1\r\nhost: \r\n\r\n");
    // Trailers, and content that waits for room.
    let config = ConnectionConfig { outbox_high_mark: 70, ..ConnectionConfig::default() };
    let mut client = Talk::with(Role::Client, config);
    let stream = client.open(&lines(&with("POST", &["te: trailers"])), false);
    assert!(client.connection.send_data(stream, b"0123456789", false).unwrap().waits);
    client.connection.send_trailers(stream, section(&["x: y"])).unwrap();
    let out = client.out();
    let head =
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nte: trailers\r\nconnection: TE\r\n\r\n";
    assert_eq!(out, format!("{head}a\r\n0123456789\r\n0\r\nx: y\r\n\r\n"));
    // What promises more, or less, than comes.
    for (content, end) in [("123456", false), ("1234", true)] {
        let mut client = Talk::client();
        let stream = client.open(&lines(&with("POST", &["content-length: 5"])), false);
        assert_eq!(client.connection.send_data(stream, content.as_bytes(), end), Err(SendError::Gone));
        assert!(client.connection.has_failed());
    }
}

/// B75: nothing that comes over HTTP/2 becomes two requests.
#[test]
fn b75_what_is_no_request_is_not_written() {
    req!("9113-10.3-01", "9112-2.2-03", "9112-5.2-01");
    let mut bad = vec![with("GET / HTTP/1.1\r\nx:", &[]), with("", &[]), with("GET", &["content-length: 5"])];
    for line in [
        ":path: /a HTTP/1.1\r\n\r\nGET /b",
        ":path: /\t",
        ":path: a",
        ":path: *",
        ":authority: a\r\nx: y",
        ":authority: a b",
        ":authority: a/b",
        ":scheme: h\r\n",
    ] {
        let name = line.split(": ").next().unwrap();
        let mut head = with("GET", &[]);
        head.retain(|one| !one.starts_with(name));
        head.insert(0, line.to_owned());
        bad.push(head);
    }
    for line in [
        "x: a\r\nb: c",
        "x\r\ny: z",
        "x: a\0",
        "x: a\nb",
        "transfer-encoding: chunked",
        "connection: x",
        "content-length: 1, 1",
        "te: gzip",
        "Upper: a",
        "a b: c",
    ] {
        bad.push(with("GET", &[line]));
    }
    for head in bad {
        let mut client = Talk::client();
        let mut fields = section(&[]);
        for line in &head {
            // Values as they are.
            let (name, value) = line.split_at(1 + line[1..].find(':').unwrap());
            let value = value[1..].strip_prefix(' ').unwrap_or(&value[1..]);
            fields.push(shuntyard_core::fields::FieldLine::new(name.as_bytes(), value.as_bytes(), 7));
        }
        assert_eq!(client.connection.open(&fields, true), Err(OpenError::Malformed), "{head:?}");
        assert_eq!((client.out().as_str(), client.connection.open_slots()), ("", 1));
    }
}

#[test]
fn rfc9112_6_3_responses_are_framed_by_the_rules() {
    req!("9112-6.1-06", "9112-9.6-08");
    let ok = [":status: 200"];
    for (method, octets, expected, rest, reusable) in [
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", vec![response(&[":status: 204"], true)], "", true),
        (
            "GET",
            "HTTP/1.1 304\r\ncontent-length: 7\r\n\r\n",
            vec![response(&[":status: 304", "content-length: 7"], true)],
            "",
            true,
        ),
        (
            "HEAD",
            "HTTP/1.1 200 \r\ncontent-length: 7\r\n\r\n",
            vec![response(&[":status: 200", "content-length: 7"], true)],
            "",
            true,
        ),
        ("HEAD", "HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n", vec![response(&ok, true)], "", true),
        (
            "GET",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            vec![response(&[":status: 200", "content-length: 0"], true)],
            "",
            true,
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx: y\r\n\r\n",
            vec![response(&ok, false), data("ab", false), Told::Trailers(vec!["x: y".into()])],
            "",
            true,
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            vec![response(&[":status: 200", "content-length: 0"], true)],
            "",
            false,
        ),
        (
            "GET",
            "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
            vec![response(&[":status: 200", "content-length: 0"], true)],
            "",
            false,
        ),
        (
            "GET",
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
            vec![response(&[":status: 200", "content-length: 0"], true)],
            "",
            false,
        ),
        ("GET", "HTTP/1.1 200 OK\r\n\r\nabc", vec![response(&ok, false), data("abc", false)], "", false),
    ] {
        let mut client = asked(method);
        assert_eq!(client.recv(octets), expected, "{octets:?}");
        assert_eq!(client.inbox, rest.as_bytes());
        assert_eq!(client.connection.is_going_away(), !reusable, "{octets:?}");
        assert_eq!(client.connection.open_slots(), u32::from(reusable));
    }
}

#[test]
fn rfc9112_6_3_responses_whose_framing_cannot_be_trusted() {
    req!("9112-6.3-06", "9112-5.2-03", "9112-6.1-14", "9112-2.2-04", "9112-6.3-02");
    for octets in [
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1,1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: content-length\r\ncontent-length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: y\r\n z\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: y\rz: 1\r\n\r\n",
        "HTTP/1.1 200 OK\nx: y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 99 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "\nHTTP/1.1 200 OK\r\n\r\n",
        " HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n\u{0}",
    ] {
        let mut client = asked("GET");
        let told = client.recv(octets);
        if octets.ends_with('\0') {
            assert!(matches!(&told[..], [Told::Response(..), Told::Data(..)]), "a response until the end");
            continue;
        }
        assert_eq!(told, [Told::Failed(StreamError::Malformed)], "{octets:?}");
        assert!(client.connection.has_failed() && client.connection.is_going_away());
        assert_eq!(client.connection.open_streams(), 0);
    }
    for octets in [format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(3000)), "x".repeat(3000)] {
        assert_eq!(asked("GET").recv(octets), [Told::Failed(StreamError::FieldsTooLarge)]);
    }
    // In the middle of content.
    let mut client = asked("GET");
    let told = client.recv("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc");
    assert_eq!(told[1..], [data("ab", false), Told::Failed(StreamError::Malformed)]);
    assert!(client.connection.has_failed());
}

/// RFC 9112 section 6.3, rule 1: they end with their heads. What is believed to follow is not waited for, nor is it taken for anything.
#[test]
fn rfc9112_6_3_responses_that_end_with_their_head_whatever_it_says() {
    for lines in
        ["content-length: 5", "transfer-encoding: chunked", "transfer-encoding: gzip", "content-length: x"]
    {
        let mut client = asked("GET");
        let told = client.recv(format!("HTTP/1.1 204 No Content\r\nx: y\r\n{lines}\r\n\r\n"));
        assert_eq!(told, [response(&[":status: 204", "x: y"], true)], "{lines}");
        assert!(client.connection.is_going_away() && !client.connection.has_failed(), "{lines}");
        assert_eq!(client.recv("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"), [], "{lines}");
        let mut client = asked("GET");
        let told = client.recv(format!("HTTP/1.1 103 Hints\r\nx: y\r\n{lines}\r\n\r\n"));
        assert_eq!(told, [Told::Interim(vec![":status: 103".into(), "x: y".into()])], "{lines}");
        let told = client.recv("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        assert_eq!(
            told,
            [response(&[":status: 200", "content-length: 2"], false), data("ok", true)],
            "{lines}"
        );
        assert!(client.connection.is_going_away() && !client.connection.has_failed(), "{lines}");
    }
    // A length of nothing is common, and says what is true.
    let mut client = asked("GET");
    let told = client.recv(
        "HTTP/1.1 103 Hints\r\ncontent-length: 0\r\n\r\nHTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
    );
    assert_eq!(told, [Told::Interim(vec![":status: 103".into()]), response(&[":status: 204"], true)]);
    assert_eq!((client.connection.is_going_away(), client.connection.open_slots()), (false, 1));
}

#[test]
fn rfc9110_15_2_interim_responses() {
    let interim = |status: &str, more: &[&str]| {
        let status = format!(":status: {status}");
        Told::Interim([&[status.as_str()], more].concat().iter().map(|&line| line.to_owned()).collect())
    };
    let mut client = asked("GET");
    let told =
        client.recv("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nlink: b\r\n\r\nHTTP/1.1 204 \r\n\r\n");
    assert_eq!(told, [interim("100", &[]), interim("103", &["link: b"]), response(&[":status: 204"], true)]);
    assert_eq!(client.connection.open_slots(), 1);
    let config = ConnectionConfig { max_interim_responses: 2, ..ConnectionConfig::default() };
    let mut client = Talk::with(Role::Client, config);
    client.open(&GET, true);
    client.out();
    let told = client.recv("HTTP/1.1 100 \r\n\r\n".repeat(3));
    assert_eq!(told[2..], [Told::Failed(StreamError::InterimTooMany)]);
}

#[test]
fn rfc9112_9_2_what_nobody_asked_for_is_no_response() {
    req!("9112-9.2-01", "9112-9.2-02", "9112-6.3-15");
    let stray = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    // Before any request; behind a response; in one piece with it.
    let mut client = Talk::client();
    assert_eq!(client.recv(stray), []);
    assert_eq!(client.connection.open(&section(&GET), true), Err(OpenError::GoingAway));
    for together in [true, false] {
        let mut client = asked("GET");
        let first = "HTTP/1.1 204 \r\n\r\n";
        let told = if together { client.recv(first.to_owned() + stray) } else { client.recv(first) };
        assert_eq!(told.len(), 1);
        if !together {
            assert_eq!(client.recv(stray), []);
        }
        assert!(client.connection.is_going_away() && client.connection.is_over());
        assert_eq!(client.connection.open_slots(), 0);
    }
    // Empty lines are nothing that was said: in front of a request, behind it, and behind a response, however they come; too many are.
    let mut client = Talk::client();
    assert_eq!(client.recv("\r\n"), []);
    for stray in ["", "\r\n", "\r\n\r\n\r\n\r\n"] {
        client.open(&GET, true);
        assert!(!client.out().is_empty());
        assert_eq!(client.recv("\r"), []);
        assert_eq!(client.recv("\nHTTP/1.1 204 \r\n\r\n".to_owned() + stray).len(), 1);
        assert_eq!((client.connection.open_slots(), client.connection.is_going_away()), (1, false));
        client.connection.open(&section(&GET), true).expect("a slot");
        assert!(!client.out().is_empty());
        assert_eq!(client.recv("HTTP/1.1 204 \r\n\r\n").len(), 1);
    }
    assert_eq!(client.recv("\r\n".repeat(5)), []);
    assert!(client.connection.is_going_away());
    let mut client = asked("GET");
    let told = client.recv("\r\n".repeat(5) + "HTTP/1.1 204 \r\n\r\n");
    assert_eq!(told, [Told::Failed(StreamError::Malformed)]);
    // Before anything of the request has left: that never leaves.
    let mut client = Talk::client();
    client.open(&GET, true);
    assert_eq!(client.recv("HTTP/1.1 408 Request Timeout\r\n\r\n"), [Told::Unprocessed]);
    assert!(client.out().is_empty() && client.connection.has_failed());
    // Behind a response that overtook its request.
    let mut client = Talk::client();
    let stream = client.open(&lines(&with("POST", &["content-length: 5"])), false);
    client.out();
    assert_eq!(client.recv("HTTP/1.1 204 \r\n\r\n".to_owned() + stray).len(), 1);
    assert_eq!(client.connection.send_data(stream, b"12345", true), Ok(Sent { cut: 5, waits: false }));
    assert!(client.connection.is_going_away() && client.connection.is_over());
}

#[test]
fn rfc9112_9_3_the_server_closes_its_side() {
    req!("9112-6.3-08", "9112-8-02");
    let closed = |octets: &str| {
        let mut client = asked("GET");
        client.recv(octets);
        client.connection.read_closed();
        let told = client.again();
        assert!(client.connection.is_going_away() && client.again().is_empty());
        (told, client)
    };
    let reset = [Told::Reset(ErrorCode::INTERNAL_ERROR)];
    // Nothing came: the owner may try elsewhere.
    let (told, mut client) = closed("");
    assert_eq!((told.len(), client.connection.open_streams()), (0, 1));
    assert_eq!(client.connection.abandon_stream(), Some((client.last(), 0)));
    assert_eq!(client.connection.abandon_stream(), None);
    // Until the end is how it is framed.
    let (told, client) = closed("HTTP/1.1 200 OK\r\n\r\nabc");
    assert_eq!((told, client.connection.open_streams()), (vec![data("", true)], 0));
    assert!(!client.connection.has_failed());
    for cut_short in [
        "H",
        "HTTP/1.1 100 \r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
    ] {
        let (told, client) = closed(cut_short);
        assert_eq!((&told[..], client.connection.open_streams()), (&reset[..], 0), "{cut_short}");
    }
    // Behind a whole response.
    let (told, client) = closed("HTTP/1.1 204 \r\n\r\n");
    assert!(told.is_empty() && client.connection.is_over());
}

#[test]
fn a_request_can_be_given_up_only_with_its_connection() {
    for octets in ["", "HTTP/1.1 200 OK\r\n\r\nabc"] {
        let mut client = asked("GET");
        client.recv(octets);
        client.connection.reset(client.last(), ErrorCode::CANCEL);
        assert!(client.connection.has_failed() && client.connection.is_over());
        assert_eq!(client.recv("HTTP/1.1 200 OK\r\n\r\n"), []);
    }
    let mut client = asked("GET");
    client.recv("HTTP/1.1 204 \r\n\r\n");
    client.connection.reset(client.last(), ErrorCode::CANCEL);
    assert!(!client.connection.has_failed() && client.connection.open_slots() == 1, "it was over");
}

#[test]
fn rfc9112_9_5_a_response_may_overtake_its_request() {
    req!("9112-9.5-05");
    let early = || {
        let mut client = Talk::client();
        let stream = client.open(&lines(&with("POST", &["content-length: 5"])), false);
        client.connection.send_data(stream, b"ab", false).unwrap();
        client.out();
        let told = client.recv("HTTP/1.1 413 \r\ncontent-length: 2\r\n\r\nno");
        assert_eq!(told[1..], [data("no", true)]);
        assert!(client.connection.is_going_away() && client.connection.open_streams() == 1);
        (client, stream)
    };
    let (mut client, stream) = early();
    client.connection.reset(stream, ErrorCode::CANCEL);
    assert!(client.connection.has_failed());
    // The request may go on, and then nothing is wrong.
    let (mut client, stream) = early();
    assert_eq!(client.connection.send_data(stream, b"cde", true), Ok(Sent { cut: 3, waits: false }));
    assert!(!client.connection.is_going_away() && client.connection.open_slots() == 1);
    // Until the end, with the request still on its way.
    let mut client = Talk::client();
    client.open(&lines(&with("POST", &["content-length: 5"])), false);
    client.out();
    let told = client.recv("HTTP/1.1 413 \r\n\r\nno");
    assert_eq!((told[1].clone(), client.connection.version()), (data("no", false), Version::Http11));
    client.connection.read_closed();
    assert_eq!(client.again(), [data("", true)]);
    assert!(client.connection.is_going_away());
}
