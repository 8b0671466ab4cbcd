//! What a client and a server of the `http` crate's types make of messages: the octets are made and read by hand.

#[path = "wire/mod.rs"]
mod wire;

use http::{HeaderValue, Method, Request, Response, Uri, header};
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::{ConnectionError, ErrorCode, StreamError};
use shuntyard_core::fields::FieldSection;
use shuntyard_core::h2::{
    Client, ClientEvent, OpenError, Protocol, SendError, Server, ServerEvent, StreamKey,
};
use shuntyard_core::hpack::{Decoder, SectionLimits};
use shuntyard_core::time::Duration;
use shuntyard_requirements::req;
use wire::*;

/// The field lines of the first HEADERS frame among these octets.
fn first_section(octets: &[u8]) -> Vec<(String, String)> {
    let mut octets = octets.strip_prefix(PREFACE).unwrap_or(octets).to_vec();
    let frames = take_frames(&mut octets);
    let headers = frames.iter().find(|frame| frame.frame_type == HEADERS).expect("a field block");
    let (mut decoder, mut fields) = (Decoder::new(4096, 1, 0), FieldSection::new());
    let limits = SectionLimits { size: u32::MAX, fields: u32::MAX };
    decoder.decode(&headers.payload, limits, &mut fields).expect("a field block of ours");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    fields.iter().map(|line| (text(line.name), text(line.value))).collect()
}

/// What a client sends for a request.
fn sent(request: &Request<()>) -> Vec<(String, String)> {
    let mut client = Client::new(ConnectionConfig::default(), 1).expect("a valid configuration");
    client.send_request(request, true).expect("a slot");
    first_section(client.poll_transmit().expect("a request"))
}

fn get(uri: &str) -> Request<()> {
    let uri: Uri = uri.parse().expect("a URI");
    Request::get(uri).body(()).expect("a request")
}

/// The value of the only line with this name.
fn value<'a>(lines: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = lines.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
    let value = values.next();
    assert_eq!(values.next(), None, "{name} stands there once");
    value
}

/// What a server tells of a request with these field lines.
fn received(block: &[u8]) -> Request<()> {
    let mut server = Server::new(ConnectionConfig::default(), 2).expect("a valid configuration");
    server.handle_recv(&[PREFACE, &settings(&[]), &headers(1, block, true)].concat());
    while let Some(event) = server.poll_event().expect("no error") {
        if let ServerEvent::Request { request, .. } = event {
            return request;
        }
    }
    panic!("no request came")
}

/// A client that asks and reads nothing: who heeds `wants_input` is not made to hold more than twice the mark, and one answer.
#[test]
fn a_server_wants_no_input_while_nobody_takes_its_output() {
    const MARK: usize = 64 << 10;
    let config = ConnectionConfig { outbox_high_mark: MARK, ..ConnectionConfig::default() };
    let mut server = Server::new(config, 2).expect("a valid configuration");
    server.handle_recv(&[PREFACE, &settings(&[])].concat());
    let response = Response::builder().status(302).header("location", "/elsewhere").body(()).expect("a head");
    let (mut stream_id, mut asked) = (1, 0);
    while server.wants_input() {
        assert!(asked < 2 * MARK, "it has no end");
        // GET, http, /
        server.handle_recv(&headers(stream_id, &[0x82, 0x86, 0x84, 0x01, 1, b'a'], true));
        while let Some(event) = server.poll_event().expect("no error") {
            if let ServerEvent::Request { stream, .. } = event {
                server.send_response(stream, &response, true).expect("an open stream");
            }
        }
        (stream_id, asked) = (stream_id + 2, asked + 1);
    }
    let waiting = server.poll_transmit().expect("answers").len();
    assert!((2 * MARK..2 * MARK + 200).contains(&waiting), "{waiting}");
    server.handle_sent(waiting);
    assert!(server.wants_input());
}

#[test]
fn rfc9113_8_3_1_a_client_says_the_authority_once() {
    req!("9113-8.3.1-02", "9113-8.3.1-03");
    let lines = sent(&get("http://a.example:81/x"));
    assert_eq!((value(&lines, ":authority"), value(&lines, "host")), (Some("a.example:81"), None));
    // The URI names the target; a `host` that differs must not stand beside it.
    for host in ["b.example", "a.example:81"] {
        let mut request = get("http://a.example:81/x");
        request.headers_mut().insert(header::HOST, host.parse().expect("a value"));
        let lines = sent(&request);
        assert_eq!(
            (value(&lines, ":authority"), value(&lines, "host")),
            (Some("a.example:81"), None),
            "{host}"
        );
    }
    // Without an authority in the URI, `host` has it.
    let mut request = get("/x");
    request.headers_mut().insert(header::HOST, "b.example".parse().expect("a value"));
    let lines = sent(&request);
    assert_eq!((value(&lines, ":authority"), value(&lines, "host")), (Some("b.example"), None));
    // Without any, there is none to convey.
    let lines = sent(&get("/x"));
    assert_eq!((value(&lines, ":authority"), value(&lines, "host")), (None, None));
}

#[test]
fn rfc9113_8_3_1_a_client_sends_no_userinfo() {
    req!("9113-8.3.1-09", "9110-4.2.4-01");
    let lines = sent(&get("http://me:secret@a.example:81/"));
    assert_eq!(value(&lines, ":authority"), Some("a.example:81"));
}

#[test]
fn rfc9113_8_3_1_a_client_sends_a_path() {
    req!("9113-8.3.1-10", "9113-8.3.1-11", "9113-8.3.1-12");
    for (uri, path) in [
        ("http://a.example", "/"),
        ("http://a.example/", "/"),
        ("http://a.example?q=1", "/?q=1"),
        ("http://a.example/b?q=1", "/b?q=1"),
        ("/b", "/b"),
    ] {
        let lines = sent(&get(uri));
        assert_eq!(value(&lines, ":path"), Some(path), "{uri}");
        assert_eq!(
            (value(&lines, ":method"), value(&lines, ":scheme")),
            (Some("GET"), Some("http")),
            "{uri}"
        );
    }
    // OPTIONS of a server as a whole. The `http` crate writes that as the URI "*" and the authority in `host`.
    let request = Request::options("*").header(header::HOST, "a.example").body(()).expect("a request");
    let lines = sent(&request);
    assert_eq!((value(&lines, ":path"), value(&lines, ":authority")), (Some("*"), Some("a.example")));
}

#[test]
fn rfc9113_8_5_a_client_sends_connect_without_scheme_and_path() {
    req!("9113-8.5-01");
    let request =
        Request::builder().method(Method::CONNECT).uri("a.example:443").body(()).expect("a request");
    let lines = sent(&request);
    let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(lines, [line(":method", "CONNECT"), line(":authority", "a.example:443")]);
}

#[test]
fn rfc9113_8_2_names_are_lower_case_on_the_wire() {
    req!("9113-8.2-01");
    let mut request = get("http://a.example/");
    let name: header::HeaderName = "X-Upper-Case".parse().expect("a name");
    request.headers_mut().insert(name, "Value".parse().expect("a value"));
    assert_eq!(value(&sent(&request), "x-upper-case"), Some("Value"));
    let mut server = Server::new(ConnectionConfig::default(), 2).expect("a valid configuration");
    server.handle_recv(&[PREFACE, &settings(&[]), &headers(1, &wire::get(), true)].concat());
    while let Some(event) = server.poll_event().expect("no error") {
        if let ServerEvent::Request { stream, .. } = event {
            let response = Response::builder().header("X-Upper", "1").body(()).expect("a response");
            server.send_response(stream, &response, true).expect("an open stream");
        }
    }
    assert_eq!(value(&first_section(server.poll_transmit().expect("a response")), "x-upper"), Some("1"));
}

/// The types of `http` take what HTTP does not.
#[test]
fn rfc9113_8_2_1_what_http_does_not_allow_does_not_leave() {
    let blank = |value: &'static str| HeaderValue::from_static(value);
    let mut client = Client::new(ConnectionConfig::default(), 1).expect("a valid configuration");
    let mut server = Server::new(ConnectionConfig::default(), 2).expect("a valid configuration");
    let mut request = get("/b");
    request.headers_mut().insert(header::HOST, blank(" a.example\t"));
    request.headers_mut().insert("x", blank("\t a b "));
    request.headers_mut().insert("y", blank(" \t"));
    request.headers_mut().insert(header::TE, blank(" trailers"));
    let stream = client.send_request(&request, false).expect("a slot");
    let trailers = [(header::ETAG, blank(" \"a\""))].into_iter().collect();
    client.send_trailers(stream, &trailers).expect("an open stream");
    server.handle_recv(client.poll_transmit().expect("a request"));
    let (mut arrived, mut ended) = (None, None);
    while let Some(event) = server.poll_event().expect("no error") {
        match event {
            ServerEvent::Request { stream, request, .. } => arrived = Some((stream, request)),
            ServerEvent::Trailers { trailers, .. } => ended = Some(trailers),
            ServerEvent::Settings => {}
            event => panic!("{event:?}"),
        }
    }
    let (stream, request) = arrived.expect("a request");
    assert_eq!(request.uri().to_string(), "http://a.example/b");
    let values: Vec<_> = ["x", "y", "te"].map(|name| request.headers()[name].as_bytes()).into();
    assert_eq!(values, [&b"a b"[..], b"", b"trailers"]);
    assert_eq!(ended.expect("trailers")[header::ETAG], "\"a\"");
    let response = Response::builder().header("x", blank(" b ")).body(()).expect("a response");
    server.send_response(stream, &response, true).expect("an open stream");
    assert_eq!(value(&first_section(server.poll_transmit().expect("a response")), "x"), Some("b"));

    let tunnel = |protocol: &str, method| {
        let mut request = get("http://a.example/");
        *request.method_mut() = method;
        request.extensions_mut().insert(Protocol(protocol.to_owned()));
        request
    };
    let mut strange = vec![tunnel("websocket", Method::GET)];
    strange.extend(["", "a b", "a\r\nb", "a/b"].map(|protocol| tunnel(protocol, Method::CONNECT)));
    // RFC 3986 knows no such octets; the asterisk is for OPTIONS.
    strange.extend(["http://a/\u{e9}", "http://a/?q=\u{e9}", "*"].map(get));
    for host in ["a b", "me@a", ""] {
        let mut request = get("/");
        request.headers_mut().insert(header::HOST, blank(host));
        strange.push(request);
    }
    for request in strange {
        let open = client.send_request(&request, true);
        assert_eq!(open, Err(OpenError::Malformed), "{request:?}");
    }
}

#[test]
fn rfc9113_8_3_messages_of_ours_have_the_defined_pseudo_header_fields_only() {
    req!("9113-8.3-01", "9113-8.3-05");
    let lines = sent(&get("http://a.example/"));
    let names: Vec<&str> = lines.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [":method", ":scheme", ":authority", ":path"]);
}

#[test]
fn rfc9113_8_2_3_a_server_joins_cookie_lines() {
    req!("9113-8.2.3-02");
    let crumbs = [
        wire::get(),
        line("cookie", "a=1"),
        line("x-between", "here"),
        line("cookie", "b=2; c=3"),
        line("cookie", "d=4"),
    ];
    let request = received(&crumbs.concat());
    let cookies: Vec<_> = request.headers().get_all(header::COOKIE).iter().collect();
    assert_eq!(cookies, ["a=1; b=2; c=3; d=4"]);
    assert_eq!(request.headers().get("x-between").expect("the line between"), "here");
    let two = [wire::get(), line("cookie", "a=1"), line("cookie", "")].concat();
    let request = received(&two);
    let cookies: Vec<_> = request.headers().get_all(header::COOKIE).iter().collect();
    assert_eq!(cookies, ["a=1; "]);
    let request = received(&[wire::get(), line("cookie", "a=1")].concat());
    assert_eq!(request.headers().get(header::COOKIE).expect("one line"), "a=1");
}

/// A server, and the stream of a request that it has got.
fn asked(block: &[u8]) -> (Server, StreamKey) {
    let mut server = Server::new(ConnectionConfig::default(), 2).expect("a valid configuration");
    server.handle_recv(&[PREFACE, &settings(&[]), &headers(1, block, true)].concat());
    while let Some(event) = server.poll_event().expect("no error") {
        if let ServerEvent::Request { stream, .. } = event {
            return (server, stream);
        }
    }
    panic!("no request came")
}

fn status(code: u16) -> Response<()> {
    Response::builder().status(code).body(()).expect("a head")
}

/// Whoever answers every request alike would break the connection to a client that asks for a head only.
#[test]
fn rfc9110_6_4_1_a_server_sends_no_content_where_there_is_none() {
    req!("9110-9.3.2-01");
    let head = [&line(":method", "HEAD")[..], &[0x86, 0x84], &line(":authority", "example.com")].concat();
    for (block, code, refused) in [
        (&head, 200, true),
        (&head, 404, true),
        (&wire::get(), 204, true),
        (&wire::get(), 205, true),
        (&wire::get(), 304, true),
        (&wire::get(), 200, false),
    ] {
        let (mut server, stream) = asked(block);
        // An interim head says nothing of what follows.
        server.send_response(stream, &status(103), false).expect("an open stream");
        server.send_response(stream, &status(code), false).expect("an open stream");
        let content = server.send_data(stream, b"content", false);
        assert_eq!(content, if refused { Err(SendError::NoContent) } else { Ok(()) }, "{code}");
        assert_eq!(server.send_data(stream, b"", true), Ok(()), "it may end");
        let mut octets = server.poll_transmit().expect("a response").to_vec();
        let data: usize = take_frames(&mut octets)
            .iter()
            .filter(|frame| frame.frame_type == DATA)
            .map(|frame| frame.payload.len())
            .sum();
        assert_eq!(data, if refused { 0 } else { 7 });
    }
}

/// Else nothing could ever come where streams begin without.
#[test]
fn a_stream_that_begins_without_a_window_is_widened() {
    let config = ConnectionConfig { initial_window_size: 0, ..ConnectionConfig::default() };
    let post = [&line(":method", "POST")[..], &[0x86, 0x84], &line(":authority", "example.com")].concat();
    let mut server = Server::new(config, 2).expect("a valid configuration");
    server.handle_recv(&[PREFACE, &settings(&[]), &headers(1, &post, false)].concat());
    let mut asked = None;
    while let Some(event) = server.poll_event().expect("no error") {
        if let ServerEvent::Request { stream, .. } = event {
            asked = Some(stream);
        }
    }
    let sent = server.poll_transmit().expect("SETTINGS").len();
    server.handle_sent(sent);
    server.widen(asked.expect("a request"), 10);
    let mut octets = server.poll_transmit().expect("a window").to_vec();
    let frames = take_frames(&mut octets);
    assert!(frames.iter().any(|frame| frame.frame_type == 8 && frame.payload == [0, 0, 0, 10]));
    server.handle_recv(&data(1, b"0123456789", true));
    let came = |event| matches!(event, Some(ServerEvent::Data { data, end: true, .. }) if data.len() == 10);
    assert!(came(server.poll_event().expect("no error")));
}

/// The client has applied SETTINGS before the server hears of it: a window that is widened meanwhile must not end beyond 2^31-1.
#[test]
fn rfc9113_6_9_1_no_window_is_widened_beyond_what_settings_make_of_it() {
    const MOST: u32 = 0x7fff_ffff;
    for (initial, widened) in [(MOST, None), (MOST - 500, Some(500)), (65_535, Some(1000)), (0, Some(1000))] {
        let config = ConnectionConfig { initial_window_size: initial, ..ConnectionConfig::default() };
        let mut server = Server::new(config, 2).expect("a valid configuration");
        let mut client = Client::new(ConnectionConfig::default(), 1).expect("a valid configuration");
        let post = Request::post("http://example.com/").body(()).expect("a request");
        client.send_request(&post, false).expect("a slot");
        server.handle_recv(client.poll_transmit().expect("a request"));
        let mut asked = None;
        while let Some(event) = server.poll_event().expect("no error") {
            if let ServerEvent::Request { stream, .. } = event {
                asked = Some(stream);
            }
        }
        server.widen(asked.expect("a request"), 1000);
        let octets = server.poll_transmit().expect("SETTINGS").to_vec();
        client.handle_recv(&octets);
        while let Some(event) = client.poll_event().expect("no error") {
            assert!(!matches!(event, ClientEvent::Failed { .. }), "{initial}: {event:?}");
        }
        let frames = take_frames(&mut octets.clone());
        let update = frames.iter().find(|frame| (frame.frame_type, frame.stream_id) == (WINDOW_UPDATE, 1));
        assert_eq!(update.map(|frame| frame.word(0)), widened, "{initial}");
    }
}

/// Of a stream that is gone the connection's window is owed all the same.
#[test]
fn credit_of_streams_that_are_gone_goes_back_or_is_lost() {
    let post = [&line(":method", "POST")[..], &[0x86, 0x84], &line(":authority", "a")].concat();
    for released in [true, false] {
        let mut server = Server::new(ConnectionConfig::default(), 2).expect("a valid configuration");
        server.handle_recv(&[PREFACE, &settings(&[]), &headers(1, &post, false)].concat());
        server.handle_recv(&data(1, b"0123456789", false));
        let (stream, credit) = loop {
            match server.poll_event().expect("no error") {
                Some(ServerEvent::Data { stream, credit, .. }) => break (stream, credit),
                Some(_) => {}
                None => panic!("no content came"),
            }
        };
        server.reset(stream, ErrorCode::CANCEL);
        if released {
            server.release(stream, credit);
        } else {
            drop(credit);
        }
        assert_eq!(server.credit_lost(), if released { 0 } else { 10 });
    }
}

/// Whoever asks again learns from `has_failed` that nothing more comes.
#[test]
fn an_error_of_the_connection_is_told_once() {
    let (mut server, _) = asked(&wire::get());
    server.handle_recv(&frame(PING, 0, 0, b"short"));
    assert_eq!(server.poll_event().err(), Some(ConnectionError::PingSize));
    server.handle_recv(&headers(3, &wire::get(), true));
    assert!(matches!(server.poll_event(), Ok(None)));
    assert!(server.has_failed());
}

#[test]
fn rfc9113_8_6_a_server_switches_no_protocols() {
    let (mut server, stream) = asked(&wire::get());
    assert_eq!(server.send_response(stream, &status(101), false), Err(SendError::Status));
    assert_eq!(server.send_response(stream, &status(200), true), Ok(()));
}

#[test]
fn rfc8441_3_a_client_waits_for_the_word_that_extended_connect_is_understood() {
    let mut request = get("http://a.example/chat");
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(Protocol("websocket".to_owned()));
    let mut client = Client::new(ConnectionConfig::default(), 1).expect("a valid configuration");
    assert_eq!(client.send_request(&request, false), Err(OpenError::NotOffered));
    for (value, understood) in [(0, false), (1, true)] {
        client.handle_recv(&settings(&[(0x8, value)]));
        while client.poll_event().expect("no error").is_some() {}
        assert_eq!(client.peer_settings().enable_connect_protocol, understood);
        assert_eq!(client.send_request(&request, false).is_ok(), understood);
    }
}

#[test]
fn rfc9113_8_5_a_connect_without_authority_is_not_sent() {
    req!("9113-8.5-01");
    let mut client = Client::new(ConnectionConfig::default(), 1).expect("a valid configuration");
    let request = Request::connect("/nowhere").body(()).expect("a request");
    assert_eq!(client.send_request(&request, false), Err(OpenError::Malformed));
    let request = Request::connect("a.example:443").body(()).expect("a request");
    assert!(client.send_request(&request, false).is_ok());
}

/// A cookie is a secret for HPACK, joined or not.
#[test]
fn rfc7541_7_1_3_joined_cookies_stay_never_indexed() {
    req!("7541-6.2.3-03");
    let never = [&[0x1f, 17][..], &[3], b"b=2"].concat();
    let request = received(&[wire::get(), line("cookie", "a=1"), never].concat());
    let cookie = request.headers().get(header::COOKIE).expect("a cookie");
    assert!(cookie == "a=1; b=2" && cookie.is_sensitive(), "{cookie:?}");
}

/// `host` may say the same in other words; the target is what `:authority` says.
#[test]
fn rfc9113_8_3_1_a_server_takes_the_target_from_authority() {
    req!("9113-8.3.1-01");
    let block = [&[0x82, 0x86, 0x84][..], &line(":authority", "a.example"), &line("host", "A.EXAMPLE:80")];
    assert_eq!(received(&block.concat()).uri(), "http://a.example/");
}

/// Who keeps a connection for days says that time passes.
#[test]
fn a_ping_now_and_then_is_no_misuse() {
    let mut server = Server::new(ConnectionConfig::default(), 2).expect("a valid configuration");
    server.handle_recv(&[PREFACE, &settings(&[])].concat());
    for _ in 0..3000 {
        server.forgive(Duration::from_secs(30));
        server.handle_recv(&ping(b"keepkeep"));
        while server.poll_event().expect("no error").is_some() {}
        let n = server.poll_transmit().map_or(0, <[u8]>::len);
        server.handle_sent(n);
    }
    assert!(!server.has_failed());
}

/// What the types of the `http` crate do not take is reset, which costs its client what each reset costs.
#[test]
fn resets_for_what_the_types_do_not_take_are_paid_for() {
    let mut server = Server::new(ConnectionConfig::default(), 2).expect("a valid configuration");
    server.handle_recv(&[PREFACE, &settings(&[])].concat());
    let strange = [vec![0x82, 0x86, 0x84], line(":authority", "a%41")].concat();
    let mut served = 0;
    while !server.has_failed() {
        assert!(served < 200, "nothing ends it");
        server.handle_recv(&headers(2 * served + 1, &strange, true));
        while let Ok(Some(_)) = server.poll_event() {}
        let n = server.poll_transmit().map_or(0, <[u8]>::len);
        server.handle_sent(n);
        served += 1;
    }
    assert_eq!(served, 167);
}

/// HTTP allows them, and whoever needs them has the connection below.
#[test]
fn what_the_types_do_not_take_is_told_as_malformed() {
    let requests = [
        [vec![0x82, 0x86], line(":path", "/a`b"), line(":authority", "a")].concat(),
        [vec![0x82, 0x86], line(":path", "/a<b"), line(":authority", "a")].concat(),
        [vec![0x82, 0x86, 0x84], line(":authority", "a%41")].concat(),
        [wire::get(), line("x", "\u{1}")].concat(),
    ];
    for (n, block) in requests.iter().enumerate() {
        let mut server = Server::new(ConnectionConfig::default(), 2).expect("a valid configuration");
        server.handle_recv(&[PREFACE, &settings(&[]), &headers(1, block, true)].concat());
        let mut told = Vec::new();
        while let Some(event) = server.poll_event().expect("no error") {
            told.push(event);
        }
        let malformed = matches!(told[..], [_, ServerEvent::Failed { error: StreamError::Malformed, .. }]);
        assert!(malformed, "{n}: {told:?}");
        let told = Subject::server().hear(&headers(1, block, true));
        assert!(matches!(told[..], [Told::Request { .. }]), "{n}: {told:?}");
    }
}

/// Each is told for itself, and then that the connection has ended by them: nothing that comes later is told at all.
#[test]
fn a_server_says_when_messages_that_the_crate_does_not_take_have_ended_the_connection() {
    let mut server = Server::new(ConnectionConfig::default(), 2).expect("a valid configuration");
    server.handle_recv(&[PREFACE, &settings(&[])].concat());
    let (mut refused, mut error) = (0, None);
    for n in 0..300 {
        let block = [wire::get(), line("x", "\u{7f}")].concat();
        server.handle_recv(&headers(2 * n + 1, &block, true));
        error = loop {
            match server.poll_event() {
                Ok(Some(ServerEvent::Failed { .. })) => refused += 1,
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        if error.is_some() {
            break;
        }
        let sent = server.poll_transmit().map_or(0, <[u8]>::len);
        server.handle_sent(sent);
    }
    assert_eq!((refused, error), (167, Some(ConnectionError::Misuse)));
    assert!(server.has_failed());
}
