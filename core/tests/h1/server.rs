//! Server: requests come, responses leave in order.

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::{ConnectionError, ErrorCode, StreamError};
use shuntyard_core::h2::{Event, Input, Role, SendError, Sent};
use shuntyard_core::message::Refusal;
use shuntyard_core::message::Version;
use shuntyard_requirements::req;

use crate::talk::{Talk, Told, data, get, request, response, section};

#[test]
fn a_request_has_the_form_of_http2() {
    req!("9112-6.3-09", "9113-8.2.2-04", "9110-7.6-01", "9110-7.6.1-02");
    let mut server = Talk::server();
    let told = server.recv(
        "GET /a?b HTTP/1.1\r\nHost: example.org\r\nUser-Agent:curl/8\r\nX:  y z \t\r\nX-Empty:\r\nConnection: close, X-Hop\r\n\
         X-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: a\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nTE: gzip, trailers\r\n\r\n",
    );
    let lines = [
        ":method: GET",
        ":scheme: http",
        ":authority: example.org",
        ":path: /a?b",
        "user-agent: curl/8",
        "x: y z",
        "x-empty: ",
        "te: trailers",
    ];
    assert_eq!(told, [request(&lines, true)]);
    assert_eq!(server.connection.version(), Version::Http11);
    assert_eq!(server.connection.stream_id(server.last()), Some(1));
    server.answer(server.last(), &[":status: 200", "x: y"], "hello");
    assert_eq!(
        server.out(),
        "HTTP/1.1 200 OK\r\nx: y\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    );
    assert!(server.connection.is_over() && server.connection.goaway_is_final());
    assert_eq!(server.recv(get("/next")), []);
}

#[test]
fn rfc9112_9_3_requests_follow_each_other() {
    req!("9112-9.3-01");
    let mut server = Talk::server();
    for n in 1..=3 {
        assert_eq!(server.recv(get("/")).len(), 1);
        server.answer(server.last(), &[":status: 200", "content-length: 2"], "ok");
        assert_eq!(server.out(), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        assert_eq!((server.connection.open_streams(), server.connection.traffic().requests), (0, n));
        assert!(!server.connection.is_over());
    }
}

#[test]
fn rfc9112_6_3_content_with_a_length() {
    let mut server = Talk::server();
    let told = server.recv("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    assert_eq!(told.len(), 2);
    assert!(matches!(&told[0], Told::Request(_, false)));
    assert_eq!(told[1], data("hel", false));
    assert_eq!(server.recv("loGET"), [data("lo", true)]);
    assert_eq!(server.inbox, b"GET", "the next request waits for this one");
    assert!(server.connection.is_congested());
    server.answer(server.last(), &[":status: 204"], "");
    assert_eq!(server.out(), "HTTP/1.1 204 No Content\r\n\r\n");
    assert!(server.connection.has_room());
    assert_eq!(server.recv(" / HTTP/1.1\r\nhost: a\r\n\r\n").len(), 1);
}

#[test]
fn rfc9112_7_1_content_in_chunks() {
    req!("9112-6.1-01", "9112-7.1-02", "9112-7.1.1-01", "9112-7.1.2-02", "9112-7.1.2-03");
    let mut server = Talk::server();
    let told = server.recv(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n1\r\nd\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    let lines = [":method: POST", ":scheme: http", ":authority: a", ":path: /"];
    let trailers = Told::Trailers(vec!["x-sum: 1".into()]);
    assert_eq!(told, [request(&lines, false), data("abc", false), data("d", false), trailers]);
    let stream = server.last();
    server.connection.send_head(stream, &section(&[":status: 200"]), false).unwrap();
    assert_eq!(
        server.connection.send_data(stream, b"0123456789abcdefg", false),
        Ok(Sent { cut: 17, waits: false })
    );
    server.connection.send_trailers(stream, section(&["x: y"])).unwrap();
    assert_eq!(
        server.out(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n11\r\n0123456789abcdefg\r\n0\r\nx: y\r\n\r\n"
    );
    assert_eq!(server.connection.open_streams(), 0);
}

#[test]
fn rfc9112_9_3_2_safe_requests_are_served_together_and_answered_in_order() {
    req!("9112-9.3.2-02");
    let mut server = Talk::server();
    let told = server.recv(get("/1") + &get("/2") + &get("/3"));
    assert_eq!(told.len(), 3);
    let [first, second, third] = server.streams[..] else { unreachable!() };
    server.answer(third, &[":status: 203"], "three");
    server.answer(second, &[":status: 202"], "");
    // All of its response is there, so its owner is done with it.
    server.connection.reset(second, ErrorCode::NO_ERROR);
    assert_eq!((server.out().as_str(), server.connection.queued(third)), ("", 5));
    assert_eq!(server.connection.open_streams(), 2);
    server.answer(first, &[":status: 201"], "one");
    let out = server.out();
    assert_eq!(
        out,
        "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n\
         HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n\
         HTTP/1.1 203 Non Authoritative Information\r\ntransfer-encoding: chunked\r\n\r\n5\r\nthree\r\n0\r\n\r\n"
    );
    assert_eq!(server.connection.open_streams(), 0);
}

#[test]
fn rfc9112_9_3_2_an_unsafe_request_waits_and_is_waited_for() {
    req!("9112-9.3.2-02");
    let post = "POST /post HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx";
    let mut server = Talk::server();
    let ok = [":status: 200"];
    assert_eq!(server.recv(get("/1") + &get("/2") + post + &get("/3")).len(), 2);
    assert!(server.connection.is_congested() && !server.connection.has_room());
    let [first, second] = server.streams[..] else { unreachable!() };
    server.answer(first, &ok, "");
    assert_eq!(server.again(), [], "one is still open");
    server.answer(second, &ok, "");
    let told = server.again();
    assert!(matches!(&told[..], [Told::Request(..), Told::Data(..)]), "{told:?}");
    assert!(server.connection.is_congested());
    server.answer(server.last(), &ok, "");
    assert!(server.connection.has_room());
    assert_eq!(server.again().len(), 1);
    // Not more than it is bound to serve at a time.
    let mut server = Talk::server();
    assert_eq!(server.recv(get("/").repeat(40)).len(), 16);
    let first = server.streams[0];
    server.answer(first, &ok, "");
    assert_eq!(server.again().len(), 1);
}

#[test]
fn content_is_told_as_far_as_it_was_promised() {
    req!("9112-9.5-04");
    let config = ConnectionConfig { initial_window_size: 10, ..ConnectionConfig::default() };
    for head in ["content-length: 25\r\n\r\n", "transfer-encoding: chunked\r\n\r\n19\r\n"] {
        let mut server = Talk::with(Role::Server, config.clone());
        server.kept = Some(Vec::new());
        let told = server.recv(format!("PUT / HTTP/1.1\r\nhost: a\r\n{head}{}", "x".repeat(25)));
        assert_eq!(told[1..], [data("xxxxxxxxxx", false)]);
        assert!(server.connection.is_congested() && !server.connection.has_room());
        assert_eq!(server.connection.recv_window_size(server.last()), Some(10));
        let (stream, mut credit) = server.kept.as_mut().unwrap().pop().unwrap();
        server.connection.release(stream, credit.take(4));
        assert!(!server.connection.has_room(), "not for every octet");
        server.connection.release(stream, credit);
        assert!(server.connection.has_room());
        assert_eq!(server.again(), [data("xxxxxxxxxx", false)]);
        server.connection.widen_recv_window(stream, 10);
        assert!(server.connection.has_room());
        let told = server.again();
        assert!(matches!(&told[..], [Told::Data(content, _)] if content == "xxxxx"), "{told:?}");
        // Who was kept waiting is served, and so is the next request.
        server.recv(if head.starts_with('c') { "" } else { "\r\n0\r\n\r\n" });
        server.answer(server.last(), &[":status: 204"], "");
        assert_eq!(server.recv(get("/")), [request(&GET_A, true)]);
        server.answer(server.last(), &[":status: 204"], "");
        assert_eq!(server.out(), "HTTP/1.1 204 No Content\r\n\r\n".repeat(2));
    }
}

#[test]
fn content_waits_for_room_in_the_outbox() {
    let config = ConnectionConfig { outbox_high_mark: 100, ..ConnectionConfig::default() };
    let mut server = Talk::with(Role::Server, config);
    server.recv(get("/"));
    let stream = server.last();
    server.connection.set_tag(stream, 5);
    server.connection.send_head(stream, &section(&[":status: 200", "content-length: 300"]), false).unwrap();
    let at_once = server.connection.send_data(stream, &[b'x'; 300], true).unwrap().cut;
    assert_eq!((at_once + server.connection.queued(stream), server.connection.buffered()), (300, 340));
    assert!(at_once < 100 && server.connection.cut().is_none());
    server.connection.sent(100);
    let cut = server.connection.cut().unwrap();
    assert_eq!((cut.stream, cut.tag, cut.octets, cut.end), (stream, 5, 100, false));
    assert_eq!(server.connection.cut(), None);
    server.connection.sent(100);
    let cut = server.connection.cut().unwrap();
    assert!(cut.octets == 100 && !cut.end && server.connection.has_output());
    server.connection.sent(100);
    let cut = server.connection.cut().unwrap();
    assert!(cut.octets == 40 && cut.end, "{cut:?}");
    assert_eq!(server.connection.open_streams(), 0);
    server.connection.sent(usize::MAX);
    assert_eq!(server.connection.octets_sent(), 340);
}

/// The methods and statuses whose responses have no content.
#[test]
fn rfc9112_6_3_responses_without_content() {
    req!("9112-6.1-07", "9112-2.2-08");
    for (method, status, field, expected) in [
        ("HEAD", "200", "content-length: 7", "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"),
        ("HEAD", "200", "x: y", "HTTP/1.1 200 OK\r\nx: y\r\n\r\n"),
        ("GET", "304", "content-length: 7", "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n"),
        ("GET", "204", "content-length: 0", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "200", "x: y", "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 0\r\n\r\n"),
        ("POST", "404", "content-length: 0", "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
    ] {
        let mut server = Talk::server();
        server.recv(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n"));
        server.answer(server.last(), &[&format!(":status: {status}"), field], "");
        assert_eq!((server.out().as_str(), server.connection.open_streams()), (expected, 0));
    }
    // Interim responses say nothing of content.
    let mut server = Talk::server();
    server.recv(get("/"));
    server.connection.send_head(server.last(), &section(&[":status: 103", "link: a"]), false).unwrap();
    assert_eq!(server.out(), "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n");
    // What may not be sent is not.
    let mut server = Talk::server();
    server.recv("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
    server.answer(server.last(), &[":status: 200"], "hello");
    assert_eq!(server.out(), "HTTP/1.1 200 OK\r\n\r\n");
}

#[test]
fn rfc9112_9_3_http10() {
    req!("9112-6.1-11", "9112-2.3-01", "9112-2.3-03", "9110-15.2-01");
    let mut server = Talk::server();
    assert_eq!(server.recv("GET / HTTP/1.0\r\nhost: a\r\nexpect: 100-continue\r\n\r\n").len(), 1);
    assert_eq!(server.connection.version(), Version::Http10);
    let stream = server.last();
    server.connection.send_head(stream, &section(&[":status: 103", "link: a"]), false).unwrap();
    server.answer(stream, &[":status: 200"], "hello");
    assert_eq!(server.out(), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello");
    assert!(server.connection.is_over());
    // Without content of unknown length it may go on, if it wants to.
    let mut server = Talk::server();
    server.recv(
        "GET / HTTP/1.0\r\nhost: a\r\nconnection: Keep-Alive\r\n\r\nGET /2 HTTP/1.0\r\nhost: a\r\n\r\n",
    );
    server.answer(server.last(), &[":status: 200", "content-length: 5"], "hello");
    assert_eq!(server.out(), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\nhello");
    assert!(!server.connection.is_over());
    assert_eq!(server.again().len(), 1);
    server.answer(server.last(), &[":status: 200", "content-length: 5"], "hello");
    assert_eq!(server.out(), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
    // What has no length ends with the connection.
    let mut server = Talk::server();
    server.recv("GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n");
    server.answer(server.last(), &[":status: 200"], "hello");
    assert_eq!(server.out(), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello");
    assert!(server.connection.is_over());
}

#[test]
fn rfc9112_9_6_the_last_response_says_so() {
    req!("9112-9.6-01", "9112-9.6-03", "9112-9.6-04", "9112-9.6-05", "9112-9.6-07", "9112-9.6-06");
    let mut server = Talk::server();
    server.recv(get("/1") + "GET /2 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n" + &get("/3"));
    assert_eq!(server.streams.len(), 2);
    for stream in server.streams.clone() {
        server.answer(stream, &[":status: 204"], "");
    }
    assert_eq!(
        server.out(),
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
    );
    assert!(server.connection.is_over());
    for announce in [true, false] {
        let mut server = Talk::server();
        server.recv(get("/1"));
        if announce {
            server.connection.announce_goaway();
        } else {
            server.connection.goaway();
        }
        assert!(server.connection.is_going_away() && !server.connection.goaway_is_final());
        assert_eq!(server.recv(get("/2")), []);
        server.answer(server.last(), &[":status: 204"], "");
        assert_eq!(server.out(), "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
        assert!(server.connection.goaway_is_final());
    }
}

#[test]
fn rfc9112_9_3_content_that_nobody_wants_is_read_within_a_bound() {
    req!("9112-9.3-05");
    let mut server = Talk::server();
    server.recv("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12345");
    server.answer(server.last(), &[":status: 413", "content-length: 0"], "");
    server.connection.reset(server.last(), ErrorCode::NO_ERROR);
    assert_eq!(server.out(), "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\n\r\n");
    let told = server.recv("67890".to_owned() + &get("/next"));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(!server.connection.is_going_away());
    // How much it will be is not known.
    let mut server = Talk::server();
    server.recv("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nfffff\r\n");
    server.answer(server.last(), &[":status: 200"], "");
    server.connection.reset(server.last(), ErrorCode::NO_ERROR);
    server.out();
    assert!(!server.connection.is_over());
    server.recv([b'x'; 65_000]);
    assert!(!server.connection.is_over());
    server.recv([b'x'; 1000]);
    assert!(server.connection.is_over());
}

#[test]
fn rfc9110_10_1_1_a_client_that_waits_for_100() {
    req!("9110-10.1.1-07");
    let post = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    let mut server = Talk::server();
    server.recv(post);
    server.connection.send_head(server.last(), &section(&[":status: 100"]), false).unwrap();
    assert_eq!(server.out(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(server.recv("ab"), [data("ab", true)]);
    server.answer(server.last(), &[":status: 204"], "");
    assert_eq!(server.out(), "HTTP/1.1 204 No Content\r\n\r\n");
    // It did not wait long.
    server.recv(post.to_owned() + "a");
    server.answer(server.last(), &[":status: 204"], "");
    assert_eq!(server.out(), "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(server.recv("b"), [data("b", true)]);
    // Whether it sends its content now is anybody's guess.
    server.recv(post);
    server.answer(server.last(), &[":status: 417"], "");
    assert_eq!(
        server.out(),
        "HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    server.connection.reset(server.last(), ErrorCode::NO_ERROR);
    assert_eq!(server.recv("xy".to_owned() + &get("/")), []);
    assert!(server.connection.is_over());
    // Whatever a hop in front of us makes of it: what comes next may be content, or a request.
    for lines in [
        "expect: 100-continue, 100-continue",
        "expect: 100-continue\r\nexpect: 100-continue",
        "connection: expect\r\nexpect: 100-continue",
        "expect: something-else",
        "Expect:",
    ] {
        let mut server = Talk::server();
        server.recv(format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\ncontent-length: 2\r\n\r\n"));
        server.answer(server.last(), &[":status: 403"], "");
        assert!(server.out().contains("connection: close\r\n"), "{lines}");
        server.connection.reset(server.last(), ErrorCode::NO_ERROR);
        assert_eq!(server.recv("xy".to_owned() + &get("/")), [], "{lines}");
    }
    // HTTP/1.0 knows no expectations (section 10.1.1), and without content there is nothing to wait for.
    for head in [
        "POST / HTTP/1.0\r\nhost: a\r\nexpect: 100-continue\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\r\n",
    ] {
        let mut server = Talk::server();
        server.recv(head);
        server.answer(server.last(), &[":status: 403"], "");
        assert!(!server.out().contains("connection: close\r\n"), "{head}");
    }
}

#[test]
fn a_response_that_cannot_be_whole_is_never_ended() {
    let start = || {
        let mut server = Talk::server();
        server.recv(get("/1") + &get("/2"));
        let [first, second] = server.streams[..] else { unreachable!() };
        (server, first, second)
    };
    let head = section(&[":status: 200", "content-length: 10"]);
    // Broken off by its owner.
    let (mut server, first, _) = start();
    server.connection.send_head(first, &section(&[":status: 200"]), false).unwrap();
    server.connection.send_data(first, b"half", false).unwrap();
    server.connection.reset(first, ErrorCode::INTERNAL_ERROR);
    assert!(server.connection.has_failed());
    assert_eq!(server.out(), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    // Too long, too short, and a head that promises what does not come.
    let (mut server, first, _) = start();
    server.connection.send_head(first, &head, false).unwrap();
    assert_eq!(server.connection.send_data(first, b"0123456789a", true), Err(SendError::Gone));
    assert!(server.connection.has_failed());
    let (mut server, first, _) = start();
    server.connection.send_head(first, &head, false).unwrap();
    assert_eq!(server.connection.send_data(first, b"012345678", true), Err(SendError::Gone));
    assert!(server.connection.has_failed());
    let (mut server, first, _) = start();
    server.connection.send_head(first, &head, false).unwrap();
    assert_eq!(server.connection.send_trailers(first, section(&["x: y"])), Err(SendError::Gone));
    assert!(server.connection.has_failed());
    let (mut server, first, _) = start();
    assert_eq!(server.connection.send_head(first, &head, true), Err(SendError::Gone));
    assert!(server.connection.has_failed() && server.out().is_empty());
    // A later one breaks in its turn.
    let (mut server, first, second) = start();
    server.connection.send_head(second, &head, false).unwrap();
    server.connection.reset(second, ErrorCode::INTERNAL_ERROR);
    assert!(!server.connection.has_failed() && server.connection.is_going_away());
    server.answer(first, &[":status: 204"], "");
    assert_eq!(server.out(), "HTTP/1.1 204 No Content\r\n\r\n");
    assert!(server.connection.has_failed() && server.connection.is_over());
}

/// Those behind a response that breaks are never sent: the client would take the next one for it. How many before it have their turn
/// at once makes no difference.
#[test]
fn rfc9112_9_3_2_nothing_follows_a_response_that_breaks_in_its_turn() {
    req!("9112-9.3.2-02");
    for before in 1..4 {
        let mut server = Talk::server();
        server.recv((0..before + 2).map(|n| get(&format!("/{n}"))).collect::<String>());
        let streams = server.streams.clone();
        let (broken, behind) = (streams[before], streams[before + 1]);
        server.connection.send_head(broken, &section(&[":status: 200"]), false).unwrap();
        server.connection.reset(broken, ErrorCode::INTERNAL_ERROR);
        server.answer(behind, &[":status: 404"], "");
        // The first comes last, so that all of them have their turn with it.
        for &stream in streams[..before].iter().rev() {
            server.answer(stream, &[":status: 204"], "");
        }
        assert_eq!(server.out(), "HTTP/1.1 204 No Content\r\n\r\n".repeat(before), "{before} before it");
        assert!(server.connection.has_failed());
    }
}

/// A message that has come whole is whole, although its window is full when the client has closed its side and its owner asks once more.
#[test]
fn what_has_come_is_not_lost_for_want_of_a_window() {
    for framing in ["content-length: 150\r\n\r\n", "transfer-encoding: chunked\r\n\r\n96\r\n"] {
        let config = ConnectionConfig { initial_window_size: 100, ..ConnectionConfig::default() };
        let mut server = Talk::with(Role::Server, config).connection;
        let end = if framing.starts_with('c') { "" } else { "\r\n0\r\n\r\n" };
        let octets = format!("PUT / HTTP/1.1\r\nhost: a\r\n{framing}{}{end}", "a".repeat(150));
        server.read_closed();
        let mut input = Input::new(octets.as_bytes());
        let (mut came, mut ended, mut owed) = (0, false, Vec::new());
        for _ in 0..10 {
            match server.poll_event(&mut input).expect("sound octets") {
                Some(Event::Data { stream, data, credit, end, .. }) => {
                    (came, ended) = (came + data.len(), end);
                    owed.push((stream, credit));
                }
                Some(Event::Request { .. }) => {}
                Some(event) => panic!("{event:?} after {came} octets"),
                None => owed.drain(..).for_each(|(stream, credit)| server.release(stream, credit)),
            }
        }
        assert_eq!((came, ended), (150, true), "{framing:?}");
    }
}

#[test]
fn rfc9112_9_5_the_client_closes_its_side() {
    req!("9112-6.3-08", "9112-9.5-02");
    // Behind a whole request: it is answered.
    let mut server = Talk::server();
    server.recv(get("/"));
    server.connection.read_closed();
    assert_eq!(server.again(), []);
    assert!(server.connection.is_going_away() && !server.connection.is_over());
    server.answer(server.last(), &[":status: 200"], "hello");
    assert!(server.out().ends_with("5\r\nhello\r\n0\r\n\r\n") && server.connection.is_over());
    // In the middle of content: there is nobody to answer.
    for head in ["content-length: 9\r\n\r\n", "transfer-encoding: chunked\r\n\r\n9\r\n"] {
        let mut server = Talk::server();
        server.recv(get("/before") + "PUT / HTTP/1.1\r\nhost: a\r\n");
        assert_eq!(server.streams.len(), 1);
        server.answer(server.last(), &[":status: 204"], "");
        server.recv(head.to_owned() + "half");
        server.connection.read_closed();
        assert_eq!(server.again(), [Told::Reset(ErrorCode::CANCEL)]);
        assert!(server.connection.is_over() && server.out().starts_with("HTTP/1.1 204"));
    }
    // In the middle of a head, or before one.
    for part in ["", "GE", "GET / HTTP/1.1\r\n", "\r\n"] {
        let mut server = Talk::server();
        server.recv(part);
        server.connection.read_closed();
        assert_eq!(server.again(), []);
        assert!(server.connection.is_over() && server.out().is_empty());
    }
    // Requests that had to wait are still served.
    let mut server = Talk::server();
    server.recv("POST / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(2));
    server.connection.read_closed();
    assert_eq!(server.again(), []);
    server.answer(server.last(), &[":status: 204"], "");
    assert!(!server.connection.is_over(), "one is still to come");
    assert_eq!(server.again().len(), 1);
    server.answer(server.last(), &[":status: 204"], "");
    assert!(server.again().is_empty() && server.connection.is_over());
}

#[test]
fn rfc9110_15_5_9_a_head_that_does_not_come_in_time() {
    let timeout = ConnectionError::FieldBlockTimeout;
    let mut server = Talk::server();
    server.recv("GET / HT");
    assert!(server.connection.is_in_field_block(&server.inbox));
    server.connection.fail(timeout);
    assert!(server.out().starts_with("HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n"));
    assert!(server.connection.has_failed() && server.recv(get("/")).is_empty());
    // Not where something else is on its way, nor to a backend.
    let mut server = Talk::server();
    server.recv(get("/") + "GET");
    server.connection.fail(timeout);
    assert_eq!((server.out().as_str(), server.connection.open_streams()), ("", 1));
    assert_eq!(server.connection.abandon_stream(), Some((server.last(), 0)));
    let mut client = Talk::client();
    client.connection.fail(timeout);
    assert_eq!(client.out(), "");
}

/// What came before it is not lost with it.
#[test]
fn rfc9110_15_5_9_a_head_behind_others_that_does_not_come_in_time() {
    let mut server = Talk::server();
    server.recv(get("/1") + &get("/2") + "GET /3");
    assert!(server.connection.is_in_field_block(&server.inbox) && server.connection.refuse_late_request());
    let [first, second] = server.streams[..] else { unreachable!() };
    assert_eq!(server.recv(" HTTP/1.1\r\nhost: a\r\n\r\n"), [], "too late");
    server.answer(second, &[":status: 204"], "");
    assert_eq!(server.out(), "");
    assert!(!server.connection.is_over() && !server.connection.has_failed());
    server.answer(first, &[":status: 200", "content-length: 2"], "hi");
    assert_eq!(
        server.out(),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 204 No Content\r\n\r\n\
         HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    assert!(server.connection.is_over());
    // Where the last of them says that it is the last, nothing is owed behind it.
    let mut server = Talk::server();
    server.recv(get("/1") + "GET /2");
    server.connection.goaway();
    assert!(server.connection.refuse_late_request() && !server.connection.refuse_late_request());
    assert_eq!(server.recv(" HTTP/1.1\r\nhost: a\r\n\r\n"), [], "too late");
    server.answer(server.streams[0], &[":status: 204"], "");
    assert_eq!(server.out(), "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
    assert!(server.connection.is_over());
    // Where there is none before it, and to a backend.
    let mut server = Talk::server();
    server.recv("GET /");
    assert!(!server.connection.refuse_late_request());
    let mut client = Talk::client();
    client.open(&[":method: GET", ":scheme: http", ":authority: a", ":path: /"], true);
    assert!(!client.connection.refuse_late_request());
}

/// What every idle connection costs, and every request.
#[test]
fn a_connection_stays_small() {
    let sizes = (size_of::<shuntyard_core::h1::Connection>(), Talk::server().connection.outbox_capacity());
    assert!(sizes.0 <= 600 && sizes.1 == 0, "{sizes:?}");
}

#[test]
fn rfc9112_3_limits() {
    req!("9112-3-03", "9112-3-04");
    let fill = |n: usize| "x".repeat(n);
    for (octets, refusal) in [
        (format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", fill(1000)), None),
        (format!("GET /{}", fill(3000)), Some(Refusal::TargetTooLong)),
        (format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", fill(3000)), Some(Refusal::HeadTooLarge)),
        (format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", fill(3000)), Some(Refusal::HeadTooLarge)),
        (format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "a: b\r\n".repeat(200)), Some(Refusal::HeadTooLarge)),
        (format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "a: b\r\n".repeat(120)), None),
    ] {
        for step in [1, 7, octets.len()] {
            let mut server = Talk::server();
            let told: Vec<Told> = octets.as_bytes().chunks(step).flat_map(|part| server.recv(part)).collect();
            match (&told[..], refusal) {
                ([Told::Refused(told)], Some(refusal)) => assert_eq!(*told, refusal),
                ([Told::Request(..)], None) => {}
                _ => panic!("{told:?} of {octets:?}"),
            }
        }
    }
    // Lines of 8000 octets pass where heads may be longer.
    let config = std::sync::Arc::new(ConnectionConfig::default());
    let mut server = Talk::server();
    server.connection = shuntyard_core::h1::Connection::new(Role::Server, config, 7, 16 << 10);
    assert!(matches!(server.recv(get(&format!("/{}", fill(7985))))[..], [Told::Request(..)]));
    // In its turn, and as the last.
    let mut server = Talk::server();
    server.recv(get("/") + "GET http:/ HTTP/1.1\r\n\r\n" + &get("/"));
    let [first, second] = server.streams[..] else { panic!() };
    server.answer(second, &[":status: 400"], "");
    assert_eq!(server.out(), "");
    server.answer(first, &[":status: 204"], "");
    assert_eq!(
        server.out(),
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    assert!(server.connection.is_over());
}

#[test]
fn rfc9112_6_3_content_that_cannot_be_read() {
    req!("9112-6.3-05");
    let post = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    // Nothing was said: it is said here.
    let mut server = Talk::server();
    server.recv(post);
    assert_eq!(server.recv("x\r\n".to_owned() + &get("/")), [Told::Failed(StreamError::Malformed)]);
    assert_eq!(server.out(), "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    assert!(server.connection.is_over());
    // Behind the response to another request, which is not the last then.
    let mut server = Talk::server();
    server.recv(get("/") + &post.replace("POST", "GET") + "x\r\n");
    server.answer(server.streams[0], &[":status: 204"], "");
    assert_eq!(
        server.out(),
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    assert!(server.connection.is_over());
    // The response had begun.
    let mut server = Talk::server();
    server.recv(post);
    server.connection.send_head(server.last(), &section(&[":status: 200"]), false).unwrap();
    server.recv("x\r\n");
    assert!(server.connection.has_failed() && server.connection.is_over());
    assert_eq!(server.out(), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    // It was whole.
    let mut server = Talk::server();
    server.recv(post);
    server.answer(server.last(), &[":status: 200"], "");
    server.recv("x\r\n");
    assert_eq!(server.out(), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert!(server.connection.is_over() && !server.connection.has_failed());
    // Trailers beyond the limits.
    let mut server = Talk::server();
    server.recv(post);
    let told = server.recv(format!("0\r\nx: {}\r\n\r\n", "x".repeat(9000)));
    assert_eq!(
        (told, server.connection.refused()),
        (vec![Told::Failed(StreamError::FieldsTooLarge)], Some(431))
    );
    assert!(
        server.out().starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n")
    );
    // Trailers that frame or route.
    for trailer in ["content-length: 1", "host: b", "transfer-encoding: chunked", "connection: x", ":path: /"]
    {
        let mut server = Talk::server();
        server.recv(post);
        let told = server.recv(format!("1\r\na\r\n0\r\n{trailer}\r\n\r\n"));
        assert_eq!(told, [data("a", false), Told::Failed(StreamError::Malformed)], "{trailer}");
    }
}

/// 9110-7.6.1-02: what the head calls its connection's own, the trailers do not bring on.
#[test]
fn rfc9110_7_6_1_what_connection_names_stays_behind_in_trailers() {
    req!("9110-7.6.1-02");
    let chunks = "1\r\na\r\n0\r\nX-Hop: 1\r\nx-a: 2\r\nX-SESSION: 3\r\nx-ho: 4\r\nhttp2-settings: AA\r\nclose: 5\r\n\r\n";
    let trailers = Told::Trailers(vec!["x-a: 2".into(), "x-ho: 4".into(), "close: 5".into()]);
    let mut server = Talk::server().with_identity();
    let head = "POST / HTTP/1.1\r\nhost: a\r\nconnection: x-Hop, keep-alive\r\nconnection: x-session\r\ntransfer-encoding: chunked\r\n\r\n";
    for _ in 0..3 {
        let told = server.recv(head.to_owned() + chunks);
        assert_eq!(told[1..], [data("a", false), trailers.clone()]);
        server.answer(server.last(), &[":status: 204"], "");
        server.out();
    }
    // Of another message nothing is known.
    let told =
        server.recv("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-hop: 1\r\n\r\n");
    assert_eq!(told[1..], [Told::Trailers(vec!["x-hop: 1".into()])]);
    let mut client = Talk::client();
    client.open(&[":method: GET", ":scheme: http", ":authority: a", ":path: /"], true);
    client.out();
    let head = "HTTP/1.1 200 OK\r\nconnection: x-hop, x-session\r\ntransfer-encoding: chunked\r\n\r\n";
    let told = client.recv(head.to_owned() + chunks);
    assert_eq!(told, [response(&[":status: 200"], false), data("a", false), trailers]);
}

/// A connection keeps the names only so long as they are short.
#[test]
fn connection_names_no_more_than_is_kept() {
    let head =
        |octets: usize| format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: a, {}\r\n\r\n", "x".repeat(octets));
    assert_eq!(Talk::server().recv(head(511)), [request(&GET_A, true)]);
    assert_eq!(Talk::server().recv(head(512)), [Told::Refused(Refusal::Malformed)]);
}

const GET_A: [&str; 4] = [":method: GET", ":scheme: http", ":authority: a", ":path: /"];

/// Who hears that its request has failed, or is answered already, also hears that the connection ends, where it will.
#[test]
fn rfc9112_9_6_an_answer_before_the_end_of_a_long_request_is_the_last() {
    req!("9112-9.6-04", "9110-10.1.1-10");
    let post = |how: &str| format!("POST / HTTP/1.1\r\nhost: a\r\n{how}\r\n\r\n");
    for (how, head, content, closes) in [
        ("content-length: 65537", ":status: 413", "", true),
        ("content-length: 65537", ":status: 503", "no", true),
        ("content-length: 65537", ":status: 200", "", true),
        // It may go on for as long as the response does.
        ("content-length: 65537", ":status: 200", "ok", false),
        ("content-length: 65536", ":status: 503", "no", false),
        // Of chunks nobody knows.
        ("transfer-encoding: chunked", ":status: 503", "no", true),
        ("transfer-encoding: chunked", ":status: 200", "", false),
        ("transfer-encoding: chunked", ":status: 408", "no", true),
        ("content-length: 1", ":status: 408", "no", true),
        ("content-length: 0", ":status: 408", "no", false),
    ] {
        let mut server = Talk::server();
        server.recv(post(how));
        server.answer(server.last(), &[head], content);
        assert_eq!(server.out().contains("\r\nconnection: close\r\n"), closes, "{how} {head} {content}");
        server.connection.reset(server.last(), ErrorCode::NO_ERROR);
        if closes {
            assert!(server.connection.is_over());
        }
    }
}

/// A 426 says to what (RFC 9110 section 15.5.22), where somebody knows.
#[test]
fn rfc9110_15_5_22_a_426_offers_what_there_is() {
    req!("9110-15.5.22-01", "9110-7.8-07");
    let answered = |request: &str, offers: &[std::sync::Arc<str>], status: &str| {
        let mut server = Talk::server();
        server.recv(request);
        server.connection.offer_upgrades(server.last(), offers);
        server.answer(server.last(), &[status], "");
        server.out()
    };
    let offers = ["websocket".into(), "foo".into()];
    let of_status = |status: &str| answered(&get("/"), &offers, status);
    assert_eq!(
        of_status(":status: 426"),
        "HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\nupgrade: websocket, foo\r\nconnection: Upgrade\r\n\r\n"
    );
    assert!(!of_status(":status: 400").contains("pgrade"));
    assert!(!answered(&get("/"), &[], ":status: 426").contains("upgrade:"));
    // A client of HTTP/1.0 could not; and a CONNECT stays one.
    let old = "GET / HTTP/1.0\r\nhost: a\r\n\r\n";
    assert!(!answered(old, &offers, ":status: 426").contains("upgrade:"));
    let connect = "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n";
    assert!(answered(connect, &offers, ":status: 426").contains("connection: close\r\n"));
}
