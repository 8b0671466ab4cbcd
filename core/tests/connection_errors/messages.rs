//! Sections 8.1 to 8.5: well-formed messages. What makes a single section malformed is tested exhaustively beside
//! `message`; here each cause is met once on the wire, and with it the rules that span several frames.

use http::Request;
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::{ErrorCode, StreamError};
use shuntyard_core::h2::{Client, Role, Server, ServerEvent};
use shuntyard_requirements::req;

use crate::wire::*;
use crate::*;

const PROTOCOL_ERROR: ErrorCode = ErrorCode::PROTOCOL_ERROR;

/// Requests that their owner never hears of: the stream is reset, the rest goes on.
#[track_caller]
fn refuse(rows: Vec<(&str, Vec<u8>, bool)>) {
    for (what, block, end) in rows {
        let mut streams = streams(Role::Server);
        assert_eq!(streams.subject.hear(&headers(IDLE, &block, end)), vec![], "{what}");
        only_reset(&mut streams.subject, IDLE, PROTOCOL_ERROR, what);
        nothing_else_is_disturbed(streams, what);
    }
}

fn without(name: &str) -> Vec<u8> {
    let lines = [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")];
    lines.iter().filter(|(other, _)| *other != name).flat_map(|(name, value)| line(name, value)).collect()
}

fn get_with(name: &str, value: &str) -> Vec<u8> {
    [get(), line(name, value)].concat()
}

#[test]
fn rfc9113_8_2_1_field_names_and_values() {
    req!(
        "9113-8.2.1-02",
        "9113-8.2.1-03",
        "9113-8.2.1-04",
        "9113-8.2.1-05",
        "9113-8.2.1-06",
        "9113-8.2.1-07",
        "9113-8.1.1-03"
    );
    refuse(vec![
        ("an upper-case name", get_with("X-Upper", "1"), true),
        ("a space in a name", get_with("a b", "1"), true),
        ("a colon in a name", get_with("a:b", "1"), true),
        ("no name", get_with("", "1"), true),
        ("an octet above 0x7e in a name", get_with("a\u{e9}", "1"), true),
        ("CR in a value", get_with("a", "1\r2"), true),
        ("LF in a value", get_with("a", "1\n2"), true),
        ("NUL in a value", get_with("a", "1\0"), true),
        ("a space in front of a value", get_with("a", " 1"), true),
        ("a tab behind a value", get_with("a", "1\t"), true),
    ]);
}

#[test]
fn rfc9113_8_2_2_connection_specific_fields() {
    req!("9113-8.2.2-02", "9113-8.2.2-03", "9113-8.1.1-03");
    refuse(vec![
        ("connection", get_with("connection", "close"), true),
        ("proxy-connection", get_with("proxy-connection", "close"), true),
        ("keep-alive", get_with("keep-alive", "1"), true),
        ("transfer-encoding", get_with("transfer-encoding", "chunked"), false),
        ("upgrade", get_with("upgrade", "h2c"), true),
        ("te", get_with("te", "gzip"), true),
    ]);
    let told = Subject::server().hear(&headers(1, &get_with("te", "trailers"), true));
    assert!(matches!(told[..], [Told::Request { .. }]));
}

#[test]
fn rfc9113_8_3_pseudo_header_fields() {
    req!(
        "9113-8.3-02",
        "9113-8.3-04",
        "9113-8.3-05",
        "9113-8.3-06",
        "9113-8.3-07",
        "9113-8.3-08",
        "9113-8.3.1-04",
        "9113-8.3.1-09",
        "9113-8.3.1-10",
        "9113-8.3.1-12",
        "9113-8.5-01",
        "9113-8.1.1-03"
    );
    refuse(vec![
        ("undefined", get_with(":undefined", "1"), true),
        (":status in a request", get_with(":status", "200"), true),
        ("behind a regular field", [line("a", "b"), get()].concat(), true),
        ("twice", [get(), line(":path", "/")].concat(), true),
        ("8.3.1: no :method", without(":method"), true),
        ("8.3.1: no :scheme", without(":scheme"), true),
        ("8.3.1: no :path", without(":path"), true),
        ("no authority", without(":authority"), true),
        (
            "8.3.1: an empty :path",
            [&[0x82, 0x86][..], &line(":path", ""), &line(":authority", "a")].concat(),
            true,
        ),
        ("8.3.1: userinfo", [&[0x82, 0x86, 0x84][..], &line(":authority", "me@a")].concat(), true),
        ("8.3.1: host and :authority differ", get_with("host", "other.example"), true),
        ("an empty block", vec![], true),
        (
            "8.5: CONNECT with a path",
            [&line(":method", "CONNECT")[..], &[0x84], &line(":authority", "a:1")].concat(),
            false,
        ),
        ("8.5: CONNECT without authority", line(":method", "CONNECT"), false),
        (
            "RFC 8441 4: :protocol that nobody offered",
            [
                line(":method", "CONNECT"),
                line(":protocol", "websocket"),
                vec![0x86, 0x84],
                line(":authority", "a"),
            ]
            .concat(),
            false,
        ),
    ]);
}

#[test]
fn rfc9113_8_1_1_content_length_of_requests() {
    req!("9113-8.1.1-03");
    let long = |value: &str, end| ("content-length", [post(), line("content-length", value)].concat(), end);
    refuse(vec![long("1", true), long("-1", false), long("99999999999999999999", false), long("1,1", false)]);
    let cases: [(&str, Vec<Vec<u8>>, bool); 7] = [
        ("exact", vec![data(1, b"12345", true)], true),
        (
            "exact, in parts and padding",
            vec![padded_data(1, b"123", 200, false), data(1, b"45", false), data(1, b"", true)],
            true,
        ),
        ("too much", vec![data(1, b"123456", true)], false),
        ("too much in the second frame", vec![data(1, b"1234", false), data(1, b"56", false)], false),
        ("too little", vec![data(1, b"1234", true)], false),
        (
            "too little, then trailers",
            vec![data(1, b"1234", false), headers(1, &line("a", "b"), true)],
            false,
        ),
        ("exact, then trailers", vec![data(1, b"12345", false), headers(1, &line("a", "b"), true)], true),
    ];
    for (what, frames, fine) in cases {
        let mut subject = Subject::server();
        let told = subject.hear(&headers(1, &[post(), line("content-length", "5")].concat(), false));
        let [Told::Request { key, .. }] = told[..] else { panic!("{told:?}") };
        let told = subject.hear(&frames.concat());
        let failed = Told::Failed { key, error: StreamError::ContentLengthMismatch };
        assert_eq!(told.last() != Some(&failed), fine, "{what}: {told:?}");
        if !fine {
            only_reset(&mut subject, 1, PROTOCOL_ERROR, what);
        }
    }
    // CONNECT has no content for a length to count (RFC 9110 9.3.6).
    let tunnel =
        [line(":method", "CONNECT"), line(":authority", "a.example:443"), line("content-length", "1")]
            .concat();
    let told =
        Subject::server().hear(&[headers(1, &tunnel, false), data(1, b"more than one", true)].concat());
    assert!(matches!(told[..], [Told::Request { .. }, Told::Data { end: true, .. }]), "{told:?}");
}

#[test]
fn rfc9113_8_1_trailers() {
    req!("9113-8.1-03", "9113-8.1-04", "9113-8.1-05", "9113-8.3-03", "9110-6.5.1-02");
    let fails = |what, frames: Vec<u8>, error| (what, frames, error, PROTOCOL_ERROR);
    reset_open_stream(
        Role::Server,
        vec![
            fails(
                "without END_STREAM",
                headers(HALF_CLOSED, &line("a", "b"), false),
                StreamError::TrailersWithoutEnd,
            ),
            fails(
                "a pseudo-header field",
                headers(HALF_CLOSED, &line(":path", "/"), true),
                StreamError::Malformed,
            ),
            fails(":status", headers(HALF_CLOSED, &OK, true), StreamError::Malformed),
            fails(
                "connection-specific",
                headers(HALF_CLOSED, &line("connection", "close"), true),
                StreamError::Malformed,
            ),
            fails("a bad name", headers(HALF_CLOSED, &line("A", "b"), true), StreamError::Malformed),
        ],
    );
    let mut streams = streams(Role::Server);
    let told = streams.subject.hear(&headers(OPEN, &[], true));
    assert_eq!(
        told,
        vec![Told::Trailers { key: streams.keys[0], fields: vec![] }],
        "an empty section is one"
    );
}

/// As [`reset_one_stream`], with stream [`HALF_CLOSED`] open on the peer's side.
#[track_caller]
fn reset_open_stream(role: Role, rows: Vec<Row<StreamError>>) {
    for (what, octets, error, code) in rows {
        let mut subject = Subject::with(role, ConnectionConfig::default(), &[]);
        let keys = if role == Role::Server {
            let told = [1, 3].map(|id| {
                let block = [post(), if id == 1 { kept_line("x-kept", "one") } else { vec![] }].concat();
                subject.hear(&headers(id, &block, false))
            });
            told.map(|told| if let [Told::Request { key, .. }] = told[..] { key } else { panic!("{told:?}") })
        } else {
            let keys = [1, 3].map(|_| subject.open("POST", false));
            subject.hear(&headers(OPEN, &[&OK[..], &kept_line("x-kept", "one")].concat(), false));
            keys
        };
        subject.speak();
        let told = subject.hear(&octets);
        assert_eq!(told.last(), Some(&Told::Failed { key: keys[1], error }), "{what}: {told:?}");
        only_reset(&mut subject, HALF_CLOSED, code, what);
        let streams = Streams { subject, keys: [keys[0]; 5] };
        nothing_else_is_disturbed(streams, what);
    }
}

fn status(value: &str) -> Vec<u8> {
    line(":status", value)
}

#[test]
fn rfc9113_8_1_responses() {
    req!("9113-8.1-03", "9113-8.1-05", "9113-8.1.1-05", "9113-8.3-02", "9113-8.3.2-01");
    let head = |block: &[u8], end| headers(HALF_CLOSED, block, end);
    let malformed = |what, octets| (what, octets, StreamError::Malformed, PROTOCOL_ERROR);
    let after_final = |octets: Vec<u8>| [head(&OK, false), octets].concat();
    let rows = vec![
        malformed("8.3.2: no :status", head(&line("a", "b"), true)),
        malformed("8.3.2: :status of two digits", head(&status("20"), true)),
        malformed("8.3: :path in a response", head(&[status("200"), line(":path", "/")].concat(), true)),
        malformed("8.6: 101", head(&status("101"), false)),
        malformed("8.2.2: connection", head(&[status("200"), line("connection", "close")].concat(), true)),
        malformed(
            "RFC 9110 8.6: content-length in 103",
            head(&[status("103"), line("content-length", "0")].concat(), false),
        ),
        (
            "an interim response that ends the stream",
            head(&status("103"), true),
            StreamError::InterimEnded,
            PROTOCOL_ERROR,
        ),
        (
            "DATA before any head",
            data(HALF_CLOSED, b"x", true),
            StreamError::DataBeforeHeaders,
            PROTOCOL_ERROR,
        ),
        (
            "DATA after an interim response only",
            [head(&status("103"), false), data(HALF_CLOSED, b"x", true)].concat(),
            StreamError::DataBeforeHeaders,
            PROTOCOL_ERROR,
        ),
        (
            "a second final response",
            after_final(head(&OK, false)),
            StreamError::TrailersWithoutEnd,
            PROTOCOL_ERROR,
        ),
        (
            "an interim response behind the final",
            after_final(head(&status("103"), false)),
            StreamError::TrailersWithoutEnd,
            PROTOCOL_ERROR,
        ),
        malformed("a final response as trailers", after_final(head(&OK, true))),
    ];
    reset_open_stream(Role::Client, rows.clone());
    // The same where we have ended our side: what ends the stream on both is an error all the same.
    reset_one_stream(&[Role::Client], HALF_CLOSED, rows);
}

#[test]
fn rfc9113_8_1_interim_responses_come_before_the_final_one() {
    req!("9110-15.2-02");
    let mut subject = Subject::client();
    let key = subject.open("GET", true);
    let frames = [
        headers(1, &status("100"), false),
        headers(1, &status("103"), false),
        headers(1, &status("199"), false),
        headers(1, &OK, false),
        data(1, b"x", false),
        headers(1, &line("a", "b"), true),
    ];
    let told = subject.hear(&frames.concat());
    let interim = |status| Told::Interim { key, status };
    assert_eq!(told[..3], [interim(100), interim(103), interim(199)]);
    assert!(matches!(
        told[3..],
        [Told::Response { status: 200, end: false, .. }, Told::Data { .. }, Told::Trailers { .. }]
    ));
    assert_eq!(subject.connection.open_streams(), 0);
}

#[test]
fn rfc9113_8_1_1_content_length_of_responses() {
    req!("9113-8.1.1-01", "9113-8.1.1-03", "9113-8.1.1-05");
    let mismatch = |what, octets: Vec<u8>| (what, octets, StreamError::ContentLengthMismatch, PROTOCOL_ERROR);
    let five = |end| headers(HALF_CLOSED, &[&OK[..], &line("content-length", "5")].concat(), end);
    let content = |content: &[u8], end| data(HALF_CLOSED, content, end);
    reset_open_stream(
        Role::Client,
        vec![
            mismatch("no content", five(true)),
            mismatch("too little", [five(false), content(b"1234", true)].concat()),
            mismatch("too much", [five(false), content(b"123456", false)].concat()),
            mismatch(
                "too little, then trailers",
                [five(false), content(b"1", false), headers(HALF_CLOSED, &[], true)].concat(),
            ),
            mismatch(
                "content with 204",
                [headers(HALF_CLOSED, &status("204"), false), content(b"1", true)].concat(),
            ),
            mismatch(
                "content with 304",
                [headers(HALF_CLOSED, &status("304"), false), content(b"1", true)].concat(),
            ),
        ],
    );
    // RFC 9110 6.4.1: no content, whatever content-length says.
    for (method, block) in [("HEAD", OK.to_vec()), ("GET", status("304"))] {
        for ending in [None, Some(data(1, b"", true)), Some(headers(1, &line("a", "b"), true))] {
            let mut subject = Subject::client();
            subject.open(method, true);
            let head = headers(1, &[block.clone(), line("content-length", "5")].concat(), ending.is_none());
            let told = subject.hear(&[head, ending.unwrap_or_default()].concat());
            assert!(told.iter().all(|told| !matches!(told, Told::Failed { .. })), "{method}: {told:?}");
            assert_eq!(subject.connection.open_streams(), 0);
        }
        let mut subject = Subject::client();
        subject.open(method, true);
        let told = subject.hear(&[headers(1, &block, false), data(1, b"x", true)].concat());
        assert!(matches!(told.last(), Some(Told::Failed { error: StreamError::ContentLengthMismatch, .. })));
    }
}

#[test]
fn rfc9113_8_1_a_response_before_the_end_of_the_request() {
    req!("9113-8.1-07");
    let mut subject = Subject::client();
    let key = subject.open("POST", false);
    subject.hear(&headers(1, &OK, true));
    subject.connection.send_data(key, b"still", false).expect("the request goes on");
    let told = subject.hear(&rst_stream(1, ErrorCode::NO_ERROR));
    assert_eq!(
        told,
        vec![Told::Reset { key, code: ErrorCode::NO_ERROR }],
        "a request to stop, after a whole response"
    );
    assert!(subject.connection.send_data(key, b"more", true).is_err());
}

#[test]
fn rfc9113_8_5_a_tunnel_carries_data_only() {
    req!("9113-8.5-02", "9110-9.3.6-07");
    let connect = [line(":method", "CONNECT"), line(":authority", "a.example:443")].concat();
    for block in [line("a", "b"), get()] {
        let mut subject = Subject::server();
        let told = subject.hear(&headers(1, &connect, false));
        let [Told::Request { key, .. }] = told[..] else { panic!("{told:?}") };
        subject.respond(key, false);
        subject.speak();
        let told = subject.hear(&[data(1, b"up", false), headers(1, &block, true)].concat());
        assert_eq!(told[1..], [Told::Failed { key, error: StreamError::Malformed }]);
        only_reset(&mut subject, 1, PROTOCOL_ERROR, "HEADERS in a tunnel");
    }
    // The client's side: a tunnel stands from a 2xx on, and content-length means nothing then.
    let fields = section(&[(":method", "CONNECT"), (":authority", "a.example:443")]);
    let mut subject = Subject::client();
    let key = subject.connection.open(&fields, false).expect("a slot");
    let head = headers(1, &[&OK[..], &line("content-length", "1")].concat(), false);
    let told = subject.hear(&[head, data(1, b"down", false), headers(1, &line("a", "b"), true)].concat());
    assert!(matches!(told[..2], [Told::Response { .. }, Told::Data { .. }]), "{told:?}");
    assert_eq!(told[2..], [Told::Failed { key, error: StreamError::Malformed }]);
    // So it does from a 204 on, which has no content elsewhere (RFC 9110 9.3.6).
    let mut subject = Subject::client();
    subject.connection.open(&fields, false).expect("a slot");
    let told = subject.hear(&[headers(1, &status("204"), false), data(1, b"down", true)].concat());
    assert!(matches!(told[..], [Told::Response { .. }, Told::Data { end: true, .. }]), "{told:?}");
    // Refused, it is a response like any other.
    let mut subject = Subject::client();
    subject.connection.open(&fields, false).expect("a slot");
    let told = subject.hear(&[headers(1, &status("403"), false), headers(1, &line("a", "b"), true)].concat());
    assert!(matches!(told[..], [Told::Response { .. }, Told::Trailers { .. }]), "{told:?}");
}

/// The types of the `http` crate on their way in and out.
#[test]
fn rfc9113_8_2_2_clients_and_servers_send_no_connection_specific_fields() {
    req!("9113-8.2.2-01");
    let hop =
        [("connection", "close"), ("keep-alive", "1"), ("transfer-encoding", "chunked"), ("te", "gzip")];
    let mut client = Client::new(ConnectionConfig::default(), 1).expect("a valid configuration");
    let mut server = Server::new(ConnectionConfig::default(), 2).expect("a valid configuration");
    let request = hop
        .iter()
        .fold(Request::get("http://a.example/"), |request, (name, value)| request.header(*name, *value));
    let request = request.header("accept", "*/*").body(()).expect("a request");
    client.send_request(&request, true).expect("a slot");
    server.handle_recv(client.poll_transmit().expect("a request"));
    let mut got = None;
    while let Some(event) = server.poll_event().expect("no error") {
        if let ServerEvent::Request { request, .. } = event {
            got = Some(request);
        }
    }
    let got = got.expect("a well-formed request");
    assert_eq!((got.version(), got.headers().len()), (http::Version::HTTP_2, 1));
}

#[test]
fn a_server_never_drops_an_authority() {
    for (authority, uri) in [("a.example:81", Some("http://a.example:81/")), ("a%41.example", None)] {
        let mut server = Server::new(ConnectionConfig::default(), 2).expect("a valid configuration");
        let block = [&[0x82, 0x86, 0x84][..], &line(":authority", authority)].concat();
        server.handle_recv(&[PREFACE, &settings(&[]), &headers(1, &block, true)].concat());
        let mut told = Vec::new();
        while let Some(event) = server.poll_event().expect("no error") {
            told.push(event);
        }
        match (told.last(), uri) {
            (Some(ServerEvent::Request { request, .. }), Some(uri)) => assert_eq!(request.uri(), uri),
            (Some(ServerEvent::Failed { error: StreamError::Malformed, .. }), None) => {}
            other => panic!("{other:?}"),
        }
    }
}
