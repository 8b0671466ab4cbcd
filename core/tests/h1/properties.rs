//! What holds for every message: however it is cut, and there and back again.

use proptest::prelude::*;
use proptest::sample::select;
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::fields::{FieldName, FieldSection};
use shuntyard_core::h2::Role;
use shuntyard_core::message::{self, RequestRules};
use shuntyard_core::strategies::{self, Line};
use shuntyard_requirements::req;

use crate::talk::{HEAD_MAX, SEED, Talk, Told, section};

/// Pieces of HTTP/1.1, right and wrong, that are put together at random.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(
        &[
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /b HTTP/1.1\r\nHost: a\r\n",
            "HEAD / HTTP/1.1\r\nHost: a\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\n",
            "PUT http://b/c HTTP/1.0\r\n",
            "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 204 \r\n\r\n",
            "HTTP/1.1 103 \r\n\r\n",
            "HTTP/1.0 200 OK\r\n",
            "HTTP/1.1 304 x\r\n",
            "Content-Length: 5\r\n",
            "Content-Length: 0\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Connection: close\r\n",
            "Connection: keep-alive\r\n",
            "Expect: 100-continue\r\n",
            "X: y\r\n",
            "\r\n",
            "hello",
            "5\r\nhello\r\n",
            "0\r\n\r\n",
            "0\r\n",
            "3;x\r\nabc\r\n",
            "a",
            ":",
            " ",
            "\r",
            "\n",
            "\0",
        ][..],
    );
    let random = prop::collection::vec(any::<u8>(), 0..4);
    prop::collection::vec(
        prop_oneof![30 => piece.prop_map(|text| text.as_bytes().to_vec()), 1 => random],
        0..14,
    )
    .prop_map(|pieces| pieces.concat())
}

/// The longest line with a chunk's size: sixteen digits, 4096 octets of extensions, and its end.
const CHUNK_LINE_MAX: usize = 16 + 4096 + 2;

/// Something that is begun, and goes on for long: a line, a head, extensions of a chunk, trailers.
fn endless() -> impl Strategy<Value = Vec<u8>> {
    let begun = select(
        &[
            "",
            "GET /",
            "GET / HTTP/1.1\r\nHost: a\r\nX: ",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
            "HTTP/1.1 200 ",
            "HTTP/1.1 200 OK\r\nX: ",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        ][..],
    );
    let more = select(&["x", "x\r\ny: "][..]);
    (begun, more, 0..6000_usize)
        .prop_map(|(begun, more, length)| begun.bytes().chain(more.bytes().cycle().take(length)).collect())
}

/// Content of one message is one piece, however it was told.
fn joined(told: Vec<Told>) -> Vec<Told> {
    let mut all: Vec<Told> = Vec::new();
    for one in told {
        match (all.last_mut(), one) {
            (Some(Told::Data(content, end)), Told::Data(more, last)) if !*end => {
                content.push_str(&more);
                *end = last;
            }
            (_, Told::Data(content, false)) if content.is_empty() => {}
            (_, one) => all.push(one),
        }
    }
    all
}

/// Everything that a server tells of the octets, and says, when requests are answered as soon as nothing else can come.
fn served(octets: &[u8], cuts: &[usize]) -> (Vec<Told>, String) {
    let config = ConnectionConfig { initial_window_size: 7, ..ConnectionConfig::default() };
    let mut server = Talk::with(Role::Server, config);
    let mut all = Vec::new();
    let mut out = String::new();
    for piece in strategies::pieces(octets, cuts) {
        all.extend(server.recv(piece));
    }
    for n in 0..40 {
        if let Some(stream) = server.streams.get(n).copied() {
            // Some have failed already.
            let _ = server.connection.send_head(stream, &section(&[":status: 200"]), false);
            let _ = server.connection.send_data(stream, b"ok", true);
        }
        out += &server.out();
        all.extend(server.again());
    }
    server.connection.read_closed();
    all.extend(server.again());
    (joined(all), out + &server.out())
}

/// A client that has asked, and what it is told of the octets.
fn answered(octets: &[u8], cuts: &[usize], method: &str) -> Vec<Told> {
    let mut client = Talk::client();
    let method = format!(":method: {method}");
    client.open(&[&method, ":scheme: http", ":authority: a", ":path: /"], true);
    client.out();
    let mut all = Vec::new();
    for piece in strategies::pieces(octets, cuts) {
        all.extend(client.recv(piece));
    }
    client.connection.read_closed();
    all.extend(client.again());
    assert!(client.connection.is_going_away());
    joined(all)
}

/// A field section as HTTP/1.1 gives it back: crumbs joined in the place of the first, control octets as spaces, of which none are left at the ends, no
/// `te`, `host` or `http2-settings`.
fn as_written(fields: &FieldSection, keep: impl Fn(FieldName) -> bool) -> Vec<(String, String)> {
    let text = |octets: &[u8]| octets.iter().map(|&octet| char::from(octet)).collect::<String>();
    let blank = |octet: char| if octet.is_ascii_control() && octet != '\t' { ' ' } else { octet };
    let mut all: Vec<(String, String)> = Vec::new();
    for line in fields.iter().filter(|line| keep(line.facts.name)) {
        let (name, value) = (text(line.name), text(line.value));
        let crumbs = all.iter_mut().find(|(other, _)| name == "cookie" && *other == name);
        match (name.as_str(), crumbs) {
            ("te" | "host" | "http2-settings", _) => {}
            (_, Some((_, joined))) => *joined += &format!("; {value}"),
            _ => all.push((name, value)),
        }
    }
    for (_, value) in &mut all {
        *value = value.chars().map(blank).collect::<String>().trim_matches([' ', '\t']).to_owned();
    }
    all.sort();
    all
}

/// Whether there is a line for the next hop's own use (RFC 7540 section 3.2.1). Who reads it leaves it out, too.
fn says_settings(octets: &[u8]) -> bool {
    let line = b"\r\nhttp2-settings:";
    octets.windows(line.len()).any(|at| at == line)
}

fn told_lines(told: &Told) -> Vec<(String, String)> {
    let (Told::Request(lines, _) | Told::Response(lines, _) | Told::Trailers(lines) | Told::Interim(lines)) =
        told
    else {
        panic!("{told:?} has no lines")
    };
    let split = |line: &String| {
        let (name, value) = line.split_at(1 + line[1..].find(": ").expect("a colon"));
        (name.to_owned(), value[2..].to_owned())
    };
    let mut all: Vec<(String, String)> = lines.iter().map(split).collect();
    all.sort();
    all
}

/// Content in pieces, with or without a length that is told before.
fn content() -> impl Strategy<Value = (Vec<Vec<u8>>, bool)> {
    let piece = prop::collection::vec(any::<u8>(), 0..50);
    (prop::collection::vec(piece, 0..5), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn however_the_input_is_cut_the_events_are_the_same(octets in octets(), cuts in strategies::cuts()) {
        prop_assert_eq!(served(&octets, &cuts), served(&octets, &[]));
        for method in ["GET", "HEAD"] {
            prop_assert_eq!(answered(&octets, &cuts, method), answered(&octets, &[], method));
        }
    }

    /// What a client writes, a server reads as the same message, and nothing else.
    #[test]
    fn a_request_goes_there_and_back(
        request in strategies::request(),
        (pieces, counted) in content(),
        trailers in prop::option::of(strategies::trailers()),
        cuts in strategies::cuts(),
    ) {
        req!("9112-2.2-01");
        // Over HTTP/1.1 the scheme is not said.
        let request: Vec<Line> = request.into_iter().map(|line| if line.name == b":scheme" { Line::new(":scheme", "http") } else { line }).collect();
        let mut fields = strategies::section(&request, SEED);
        let rules = RequestRules { extended_connect: true, authority_required: false };
        prop_assume!(message::request(&fields, &rules).is_ok() && fields.size() < HEAD_MAX);
        let whole = pieces.concat();
        let end = pieces.is_empty() && trailers.is_none();
        if counted && !end {
            let length = whole.len().to_string();
            fields.push(shuntyard_core::fields::FieldLine::new(b"content-length", length.as_bytes(), SEED));
        }
        let mut client = Talk::client();
        let stream = client.connection.open(&fields, end).unwrap();
        if !end {
            for piece in &pieces {
                client.connection.send_data(stream, piece, false).unwrap();
            }
            match &trailers {
                Some(trailers) => _ = client.connection.send_trailers(stream, strategies::section(trailers, SEED)).unwrap(),
                None => _ = client.connection.send_data(stream, b"", true).unwrap(),
            }
        }
        let octets: Vec<u8> = client.out().chars().map(|octet| octet as u8).collect();
        prop_assert!(!says_settings(&octets));
        let mut server = Talk::server();
        let told: Vec<Told> = strategies::pieces(&octets, &cuts).into_iter().flat_map(|piece| server.recv(piece)).collect();
        let told = joined(told);
        prop_assert!(server.inbox.is_empty() && server.streams.len() == 1, "{told:?}");
        prop_assert_eq!(
            told_lines(&told[0]).into_iter().filter(|(name, _)| name != "content-length").collect::<Vec<_>>(),
            as_written(&fields, |name| name != FieldName::ContentLength)
        );
        let content: String = told.iter().filter_map(|one| match one { Told::Data(content, _) => Some(content.as_str()), _ => None }).collect();
        prop_assert_eq!(content.chars().map(|octet| octet as u8).collect::<Vec<u8>>(), whole);
        let last = told.last().unwrap();
        let trailers = trailers.map_or_else(Vec::new, |trailers| as_written(&strategies::section(&trailers, SEED), |_| true));
        // Behind content whose length was said there is no place for them.
        if trailers.is_empty() || counted {
            prop_assert!(matches!(last, Told::Request(_, true) | Told::Data(_, true)), "{last:?}");
        } else {
            prop_assert!(matches!(last, Told::Trailers(_)), "{last:?}");
            prop_assert_eq!(told_lines(last), trailers);
        }
    }

    /// The other way round.
    #[test]
    fn a_response_goes_there_and_back(
        response in strategies::response(),
        method in select(&["GET", "HEAD", "POST"][..]),
        (pieces, counted) in content(),
        cuts in strategies::cuts(),
    ) {
        let mut fields = strategies::section(&response, SEED);
        let Ok(head) = message::response(&fields) else { return Ok(()) };
        prop_assume!(fields.size() < HEAD_MAX);
        let interim = head.status < 200;
        let bare = method == "HEAD" || matches!(head.status, 204 | 304);
        let whole = if bare || interim { Vec::new() } else { pieces.concat() };
        if counted && !interim && head.status != 204 && head.content_length.is_none() {
            let length = whole.len().to_string();
            fields.push(shuntyard_core::fields::FieldLine::new(b"content-length", length.as_bytes(), SEED));
        }
        let mut server = Talk::server();
        server.recv(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        let stream = server.last();
        server.connection.send_head(stream, &fields, whole.is_empty() && !interim).unwrap();
        if !whole.is_empty() {
            for piece in &pieces {
                server.connection.send_data(stream, piece, false).unwrap();
            }
            server.connection.send_data(stream, b"", true).unwrap();
        }
        let octets: Vec<u8> = server.out().chars().map(|octet| octet as u8).collect();
        prop_assert!(!says_settings(&octets));
        let mut client = Talk::client();
        client.open(&[&format!(":method: {method}"), ":scheme: http", ":authority: a", ":path: /"], true);
        client.out();
        let told: Vec<Told> = strategies::pieces(&octets, &cuts).into_iter().flat_map(|piece| client.recv(piece)).collect();
        let told = joined(told);
        prop_assert!(client.inbox.is_empty());
        prop_assert_eq!(
            told_lines(&told[0]).into_iter().filter(|(name, _)| name != "content-length").collect::<Vec<_>>(),
            as_written(&fields, |name| name != FieldName::ContentLength)
        );
        prop_assert_eq!(matches!(told[0], Told::Interim(_)), interim);
        let content: String = told.iter().filter_map(|one| match one { Told::Data(content, _) => Some(content.as_str()), _ => None }).collect();
        prop_assert_eq!(content.chars().map(|octet| octet as u8).collect::<Vec<u8>>(), whole);
        prop_assert_eq!(client.connection.open_slots(), u32::from(!interim));
    }

    /// Whatever comes: no panic, no loop, and no more memory than was agreed on.
    #[test]
    fn any_octets_will_do(
        octets in prop_oneof![prop::collection::vec(any::<u8>(), 0..400), endless()],
        cuts in strategies::cuts(),
    ) {
        for role in [Role::Server, Role::Client] {
            let mut talk = Talk::new(role);
            let mut kept_max = HEAD_MAX;
            if role == Role::Client {
                talk.open(&[":method: GET", ":scheme: http", ":authority: a", ":path: /"], true);
                talk.out();
            }
            for piece in strategies::pieces(&octets, &cuts) {
                // Behind a head may stand the line of a chunk.
                if !talk.recv(piece).is_empty() {
                    kept_max = CHUNK_LINE_MAX;
                }
                prop_assert!(talk.inbox.len() <= kept_max || talk.connection.is_congested(), "{} of {}", talk.inbox.len(), kept_max);
            }
        }
    }
}
