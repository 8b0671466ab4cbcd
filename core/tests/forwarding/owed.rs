//! What a gateway adds to messages: `via`, `date`, what it knows of the client; and its own answers to calls by gRPC.

use std::time::Duration;

use shuntyard_core::error::ErrorCode;
use shuntyard_core::record::Outcome;
use shuntyard_requirements::req;

use crate::rig::{Rig, Said};
use crate::wire::*;

#[test]
fn b69_via_says_who_forwarded_both_ways_or_one() {
    req!("9110-7.6.3-02");
    for (in_responses, expected) in [(true, Some("2.0 yard")), (false, None)] {
        let mut rig = Rig::new(|config| {
            config.via = "yard".to_owned();
            config.via_in_responses = in_responses;
        });
        rig.client_says(&headers(1, &get(), true));
        assert_eq!(rig.said_to_backend()[0].value("via"), Some("2.0 yard"));
        rig.backend_says(&headers(1, &OK, true));
        assert_eq!(rig.said_to_client()[0].value("via"), expected);
    }
}

#[test]
fn rfc9110_7_6_a_request_that_has_been_here_goes_no_further() {
    req!("9110-7.6-02", "9209-2.1.1-01");
    let mut rig = Rig::new(|_| {});
    rig.client_says(&headers(1, &[get(), line("via", "1.1 other, 2.0 shuntyard")].concat(), true));
    let said = rig.said_to_client();
    assert_eq!(said[0].value(":status"), Some("502"));
    assert_eq!(said[0].value("proxy-status"), Some("shuntyard; error=proxy_loop_detected"));
    assert!(rig.backends.is_empty());
    rig.client_says(&headers(3, &[get(), line("via", "2.0 shuntyard-2")].concat(), true));
    assert_eq!(rig.backends.len(), 1, "another gateway is no circle");
}

#[test]
fn rfc9110_6_6_1_a_response_without_date_gets_one() {
    req!("9110-6.6.1-04");
    let answered = |lines: &[Vec<u8>]| {
        let mut rig = Rig::new(|_| {});
        rig.client_says(&headers(1, &get(), true));
        let interim = headers(1, &line(":status", "103"), false);
        rig.backend_says(&[interim, headers(1, &[&OK[..], &lines.concat()].concat(), true)].concat());
        let said = rig.said_to_client();
        assert_eq!(said[0].value("date"), None, "an interim response needs none");
        said[1].value("date").map(str::to_owned)
    };
    assert_eq!(answered(&[]).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    let own = "Sat, 05 Nov 1994 08:49:37 GMT";
    assert_eq!(answered(&[line("date", own)]).as_deref(), Some(own));
}

#[test]
fn b69_backends_are_told_of_the_client_and_not_what_it_makes_up() {
    let lies =
        [line("x-forwarded-for", "203.0.113.9"), line("forwarded", "for=b"), line("x-forwarded-ssl", "on")]
            .concat();
    // To applications that see fields as variables it is the same name.
    let underlined = [line("x_forwarded_for", "203.0.113.9"), line("x-forwarded_proto", "https")].concat();
    let mut rig = Rig::new(|_| {});
    rig.client_says(&headers(1, &[get(), underlined].concat(), true));
    let said = rig.said_to_backend().remove(0);
    assert_eq!(["x_forwarded_for", "x-forwarded_proto"].map(|name| said.value(name)), [None; 2]);
    let told = |trusted: &[&str]| {
        let trusted = trusted.iter().map(|peers| peers.parse().expect("peers")).collect();
        let mut rig = Rig::new(|config| config.forwarding.trusted = trusted);
        rig.client_says(&headers(1, &[get(), lies.clone()].concat(), true));
        let said = rig.said_to_backend().remove(0);
        ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-ssl", "forwarded"]
            .map(|name| said.value(name).map(str::to_owned))
    };
    let lines = |lines: [Option<&str>; 5]| lines.map(|line| line.map(str::to_owned));
    let host = Some("example.com");
    assert_eq!(told(&[]), lines([Some("127.0.0.1"), Some("http"), host, None, None]));
    let behind = [Some("203.0.113.9, 127.0.0.1"), Some("http"), host, Some("on"), Some("for=b")];
    assert_eq!(told(&["127.0.0.0/8"]), lines(behind));
}

/// A call that nobody serves, one that is lost, and one whose backend takes too long.
#[test]
fn grpc_calls_are_answered_by_trailers_only() {
    let call = |path: &str| {
        let kind = line("content-type", "application/grpc+proto");
        [post(), line("te", "trailers"), kind, line("x-path", path)].concat()
    };
    let expected = |said: &Said, status: &str, error: &str| {
        assert!(matches!(said, Said::Fields { end: true, .. }), "{said:?}");
        let values = [":status", "content-type", "grpc-status", "grpc-message", "proxy-status"]
            .map(|name| said.value(name).unwrap_or_default());
        assert_eq!(values, ["200", "application/grpc", status, error, &format!("shuntyard; error={error}")]);
        assert!(said.value("date").is_some() && said.value("content-length").is_none(), "{said:?}");
    };
    let mut rig = Rig::new(|config| config.routes.clear());
    rig.client_says(&headers(1, &call("/nowhere"), false));
    let said = rig.said_to_client();
    expected(&said[0], "12", "destination_not_found");
    assert_eq!(said[1..], [Said::Reset { stream: 1, code: ErrorCode::NO_ERROR }]);

    let mut rig = Rig::new(|config| config.upstreams[0].retry.attempts = 1);
    rig.client_says(&headers(1, &call("/lost"), true));
    let backend = rig.backend();
    rig.lose(backend);
    expected(&rig.said_to_client()[0], "14", "connection_terminated");

    rig.client_says(&headers(3, &call("/slow"), true));
    rig.pass(Duration::from_secs(3_000));
    expected(&rig.said_to_client()[0], "4", "http_response_timeout");

    // gRPC-Web is another protocol.
    let mut rig = Rig::new(|config| config.routes.clear());
    rig.client_says(&headers(1, &[post(), line("content-type", "application/grpc-web")].concat(), true));
    assert_eq!(rig.said_to_client()[0].value(":status"), Some("404"));
}

/// Fields pass as they are; frames are for the gateway alone. A frozen request heeds both.
#[test]
fn rfc9218_7_a_frozen_request_is_moved_by_a_later_signal() {
    req!("9218-7-03");
    let mut rig = Rig::new(|config| config.upstreams[0].connections_max = 1);
    let ask = |id: u32, signal: &str| headers(id, &[get(), line("priority", signal)].concat(), true);
    rig.client_says(&ask(1, "u=3"));
    let backend = rig.backend();
    rig.hear(backend, &settings(&[(MAX_CONCURRENT_STREAMS, 1)]));
    rig.client_says(&[ask(3, "u=2"), ask(5, "u=4")].concat());
    rig.client_says(&[priority_update(5, "u=1"), priority_update(3, "unreadable!")].concat());
    assert_eq!(rig.said_to_backend().len(), 1);
    rig.backend_says(&headers(1, &[&OK[..], &line("priority", "u=6")].concat(), true));
    assert_eq!(rig.said_to_client()[0].value("priority"), Some("u=6"));
    assert_eq!(rig.said_to_backend()[0].value("priority"), Some("u=4"), "moved, and not rewritten");
    rig.backend_says(&headers(3, &OK, true));
    assert_eq!(rig.said_to_backend()[0].value("priority"), Some("u=2"));
}

#[test]
fn rfc9110_7_6_2_options_for_the_gateway_itself_is_answered() {
    req!("9110-7.6.2-01", "9110-7.6.2-02");
    let ask = |id: u32, method: &str, left: &str| {
        let head = [&line(":method", method)[..], &[0x86, 0x84], &line(":authority", "a.example")].concat();
        headers(id, &[head, line("max-forwards", left), line("authorization", "Basic YTpi")].concat(), true)
    };
    let mut rig = Rig::new(|_| {});
    rig.client_says(&ask(1, "OPTIONS", "0"));
    let said = rig.said_to_client();
    assert_eq!((said[0].value(":status"), said[0].value("content-length")), (Some("200"), Some("0")));
    assert!(matches!(said[..], [Said::Fields { end: true, .. }]), "{said:?}");
    // Nothing is reflected.
    rig.client_says(&ask(3, "TRACE", "0"));
    let said = rig.said_to_client();
    assert_eq!(said[0].value(":status"), Some("501"));
    assert!(rig.backends.is_empty() && !format!("{said:?}").contains("YTpi"));
    rig.client_says(&ask(5, "OPTIONS", "2"));
    assert_eq!(rig.said_to_backend()[0].value("max-forwards"), Some("1"));
}

/// Another authority for the backend, and what it says by that name.
#[test]
fn b68_authority_is_kept_or_rewritten_and_mapped_back() {
    let answered = |authority: Option<&str>, map_back: bool| {
        let mut rig = Rig::new(|config| {
            config.routes[0].authority = authority.map(Into::into);
            config.routes[0].map_back = map_back;
        });
        let copy = [line("host", "example.com"), line("destination", "https://example.com/copy")].concat();
        rig.client_says(&headers(1, &[get(), copy].concat(), true));
        let asked = rig.said_to_backend().remove(0);
        let lines = [
            line(":status", "302"),
            line("location", "http://app.internal:81/next"),
            line("content-location", "http://elsewhere/x"),
            line("set-cookie", "a=b; Domain=app.internal; Path=/"),
            line("link", "<http://app.internal:81/a.css>; rel=preload"),
            line("uri", "http://app.internal:81/x"),
            line("destination", "http://app.internal:81/y"),
        ];
        rig.backend_says(&headers(1, &lines.concat(), true));
        (asked, rig.said_to_client().remove(0))
    };
    let (asked, told) = answered(Some("app.internal:81"), true);
    assert_eq!((asked.value(":authority"), asked.value("host")), (Some("app.internal:81"), None));
    assert_eq!(asked.value("x-forwarded-host"), Some("example.com"));
    assert_eq!(asked.value("destination"), Some("/copy"));
    assert_eq!(told.value("location"), Some("/next"));
    assert_eq!(told.value("content-location"), Some("http://elsewhere/x"));
    assert_eq!(told.value("set-cookie"), Some("a=b; Path=/"));
    assert_eq!(told.value("link"), Some("</a.css>; rel=preload"));
    assert_eq!((told.value("uri"), told.value("destination")), (Some("/x"), Some("/y")));
    let (asked, told) = answered(Some("app.internal:81"), false);
    assert_eq!(asked.value(":authority"), Some("app.internal:81"));
    assert_eq!(asked.value("destination"), Some("https://example.com/copy"));
    assert_eq!(told.value("location"), Some("http://app.internal:81/next"));
    let (asked, told) = answered(None, true);
    assert_eq!((asked.value(":authority"), asked.value("host")), (Some("example.com"), Some("example.com")));
    assert_eq!(asked.value("destination"), Some("https://example.com/copy"));
    assert_eq!(told.value("set-cookie"), Some("a=b; Domain=app.internal; Path=/"));
}

/// The backend's errors are its own affair: clients see a line of the gateway's.
#[test]
fn b76_content_of_errors_is_replaced() {
    req!("9209-2.1.4-01");
    let rig = || Rig::new(|config| config.routes[0].replace_errors = vec![401, 500]);
    let answered = |method: &str, status: &str, kind: &str| {
        let mut rig = rig();
        let head =
            [line(":method", method), line(":scheme", "http"), line(":authority", "a"), line(":path", "/")];
        rig.client_says(&headers(1, &[head.concat(), line("content-type", kind)].concat(), true));
        rig.said_to_backend();
        let lines = [
            line(":status", status),
            line("content-type", "text/html"),
            line("content-encoding", "gzip"),
            line("etag", "\"x\""),
            line("www-authenticate", "Basic realm=a"),
        ];
        rig.backend_says(&headers(1, &lines.concat(), false));
        rig.backend_says(&data(1, b"panic at app.rs:17", false));
        (rig.said_to_client(), rig.said_to_backend(), rig.memory.records)
    };
    let (told, asked, records) = answered("GET", "500", "text/plain");
    let content = b"500 Internal Server Error\n";
    assert_eq!(told[0].value(":status"), Some("500"));
    assert_eq!(told[0].value("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(told[0].value("content-length"), Some(content.len().to_string().as_str()));
    assert_eq!(told[0].value("proxy-status"), Some("shuntyard; received-status=500"));
    assert_eq!((told[0].value("etag"), told[0].value("content-encoding")), (None, None));
    assert_eq!(told[1], Said::Content { stream: 1, octets: content.to_vec(), end: true });
    assert_eq!(told.len(), 2);
    assert!(asked.is_empty(), "the rest may come: {asked:?}");
    assert_eq!((records[0].status, records[0].outcome), (500, Outcome::Complete));
    assert_eq!(records[0].response_octets, content.len() as u64);

    let (told, ..) = answered("HEAD", "401", "text/plain");
    assert!(matches!(told[..], [Said::Fields { end: true, .. }]), "{told:?}");
    assert_eq!(told[0].value("www-authenticate"), Some("Basic realm=a"), "what the status needs stays");
    assert_eq!(told[0].value("content-length"), Some("17"));
    for (status, kind) in [("503", "text/plain"), ("500", "application/grpc")] {
        let (told, asked, _) = answered("GET", status, kind);
        assert_eq!(told[0].value("content-encoding"), Some("gzip"), "{status} {kind}");
        assert!(matches!(&told[1], Said::Content { octets, .. } if octets.starts_with(b"panic")));
        assert!(asked.is_empty());
    }
}

/// A 416 tells of the resource, whatever its content is.
#[test]
fn b76_what_tells_of_the_resource_stays() {
    for (status, range) in [("416", Some("bytes */9")), ("500", None)] {
        let mut rig = Rig::new(|config| config.routes[0].replace_errors = vec![416, 500]);
        rig.client_says(&headers(1, &get(), true));
        let lines = [
            line(":status", status),
            line("content-range", "bytes */9"),
            line("content-md5", "x"),
            line("digest", "y"),
        ];
        rig.backend_says(&headers(1, &lines.concat(), true));
        let told = rig.said_to_client();
        let values = ["content-range", "content-md5", "digest"].map(|name| told[0].value(name));
        assert_eq!(values, [range, None, None]);
    }
}

/// What is left of an error that was replaced is let pass if it is little, and soon over: a reset is what backends count.
#[test]
fn b76_a_little_that_is_left_costs_no_reset() {
    let cancelled = [Said::Reset { stream: 1, code: ErrorCode::CANCEL }];
    let replaced = |request: &[u8], length: Option<&str>| {
        let mut rig = Rig::new(|config| config.routes[0].replace_errors = vec![500]);
        rig.client_says(request);
        rig.said_to_backend();
        let length = length.map_or(Vec::new(), |length| line("content-length", length));
        let before = rig.memory.gateway.view().deadlines;
        rig.backend_says(&headers(1, &[line(":status", "500"), length].concat(), false));
        let told = rig.said_to_client();
        assert!(matches!(&told[..2], [Said::Fields { .. }, Said::Content { end: true, .. }]), "{told:?}");
        assert_eq!(rig.memory.records.len(), 1);
        assert_eq!(rig.memory.gateway.view().requests, 0);
        (rig, before)
    };
    let asked = headers(1, &get(), true);
    let sixteen = vec![b'x'; 16 * 1024];
    // Whole: the connection is idle, and serves the next. Nothing of it is passed on, and nothing is watched any more.
    for (length, trailers) in [(None, false), (Some("16384"), false), (None, true)] {
        let (mut rig, deadlines) = replaced(&asked, length);
        assert_eq!(rig.memory.gateway.view().engines, 1, "the stream is open");
        rig.backend_says(&data(1, &sixteen, !trailers));
        if trailers {
            rig.backend_says(&headers(1, &line("a", "b"), true));
        }
        assert_eq!((rig.said_to_backend(), rig.said_to_client()), (vec![], vec![]), "{length:?} {trailers}");
        assert_eq!(rig.memory.gateway.view().engines, 0);
        assert!(rig.memory.gateway.view().deadlines <= deadlines);
        rig.client_says(&headers(3, &get(), true));
        assert_eq!((rig.said_to_backend().len(), rig.backends.len()), (1, 1));
    }
    // Too much, told before or not.
    let (mut rig, _) = replaced(&asked, Some("16385"));
    assert_eq!(rig.said_to_backend(), cancelled);
    let (mut rig, _) = replaced(&asked, None);
    rig.backend_says(&data(1, &sixteen, false));
    assert!(rig.said_to_backend().is_empty());
    rig.backend_says(&data(1, b"x", false));
    assert_eq!(rig.said_to_backend(), cancelled);
    assert_eq!(rig.memory.gateway.view().engines, 0);
    // Too late.
    let (mut rig, _) = replaced(&asked, None);
    rig.pass(Duration::from_millis(999));
    assert!(rig.said_to_backend().is_empty());
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.said_to_backend(), cancelled);
    assert_eq!(rig.memory.gateway.view().engines, 0);
    // Each has its own time.
    let (mut rig, _) = replaced(&asked, None);
    rig.pass(Duration::from_millis(400));
    rig.client_says(&headers(3, &get(), true));
    rig.said_to_backend();
    rig.backend_says(&headers(3, &line(":status", "500"), false));
    rig.pass(Duration::from_millis(600));
    assert_eq!(rig.said_to_backend(), cancelled);
    assert_eq!(rig.memory.gateway.view().engines, 1);
    rig.pass(Duration::from_millis(400));
    assert_eq!(rig.said_to_backend(), [Said::Reset { stream: 3, code: ErrorCode::CANCEL }]);
    assert_eq!(rig.memory.gateway.view().engines, 0);
    // The client is still sending: its backend must be told in any case.
    let (mut rig, _) = replaced(&headers(1, &post(), false), None);
    assert_eq!(rig.said_to_backend(), cancelled);
    // The backend breaks it off, or is gone.
    let (mut rig, _) = replaced(&asked, None);
    rig.backend_says(&rst_stream(1, ErrorCode::INTERNAL_ERROR));
    assert!(rig.said_to_backend().is_empty());
    assert_eq!(rig.memory.gateway.view().engines, 0);
    let (mut rig, deadlines) = replaced(&asked, None);
    rig.lose(rig.backend());
    assert_eq!(rig.memory.gateway.view().backends, 0);
    assert!(rig.memory.gateway.view().deadlines <= deadlines);
}

#[test]
fn b70_crumbs_of_cookies_pass_as_they_are() {
    let mut rig = Rig::new(|_| {});
    let crumbs = [line("cookie", "a=1"), line("accept", "*/*"), line("cookie", "b=2"), line("cookie", "c=3")];
    rig.client_says(&headers(1, &[get(), crumbs.concat()].concat(), true));
    let said = rig.said_to_backend();
    let Said::Fields { lines, .. } = &said[0] else { panic!("{said:?}") };
    let crumbs: Vec<_> =
        lines.iter().filter(|(name, _)| name == "cookie").map(|(_, value)| &**value).collect();
    assert_eq!(crumbs, ["a=1", "b=2", "c=3"]);
}

/// The client waits with its content; the backend asks for it, or answers without.
#[test]
fn b71_expectations_are_the_backends_to_meet() {
    req!("9110-10.1.1-13", "9110-10.1.1-09");
    let expecting = headers(1, &[post(), line("expect", "100-continue")].concat(), false);
    let mut rig = Rig::new(|_| {});
    rig.client_says(&expecting);
    let said = rig.said_to_backend();
    assert!(matches!(said[..], [Said::Fields { end: false, .. }]), "the head goes at once: {said:?}");
    assert_eq!(said[0].value("expect"), Some("100-continue"));
    rig.backend_says(&headers(1, &line(":status", "100"), false));
    assert_eq!(rig.said_to_client()[0].value(":status"), Some("100"));
    rig.client_says(&data(1, b"content", true));
    assert_eq!(rig.said_to_backend(), [Said::Content { stream: 1, octets: b"content".to_vec(), end: true }]);
    rig.backend_says(&headers(1, &OK, true));
    assert_eq!(rig.said_to_client()[0].value(":status"), Some("200"));

    let mut rig = Rig::new(|_| {});
    rig.client_says(&expecting);
    rig.backend_says(&headers(1, &line(":status", "417"), true));
    let said = rig.said_to_client();
    assert_eq!(said[0].value(":status"), Some("417"));
    assert_eq!(said[1..], [Said::Reset { stream: 1, code: ErrorCode::NO_ERROR }], "and no content is wanted");
    rig.client_says(&data(1, b"content", true));
    assert!(rig.said_to_backend().iter().all(|said| !matches!(said, Said::Content { .. })));
}

/// A final response that begins before the request has ended: both go on.
#[test]
fn b72_an_early_response_and_the_upload_go_on_side_by_side() {
    let mut rig = Rig::new(|_| {});
    rig.client_says(&[headers(1, &post(), false), data(1, b"a", false)].concat());
    rig.backend_says(&headers(1, &OK, false));
    assert!(matches!(rig.said_to_client()[..], [Said::Fields { end: false, .. }]), "before any content");
    rig.said_to_backend();
    for octets in [b"b", b"c"] {
        rig.client_says(&data(1, octets, false));
        assert_eq!(rig.said_to_backend(), [Said::Content { stream: 1, octets: octets.to_vec(), end: false }]);
        rig.backend_says(&data(1, octets, false));
        assert_eq!(rig.said_to_client(), [Said::Content { stream: 1, octets: octets.to_vec(), end: false }]);
    }
    rig.client_says(&headers(1, &line("x-sum", "1"), true));
    assert_eq!(rig.said_to_backend()[0].value("x-sum"), Some("1"));
    rig.backend_says(&headers(1, &line("grpc-status", "0"), true));
    assert!(
        matches!(&rig.said_to_client()[..], [said @ Said::Fields { end: true, .. }] if said.value("grpc-status") == Some("0"))
    );
}

#[test]
fn b74_early_hints_pass_and_pushes_do_not() {
    let mut rig = Rig::new(|_| {});
    rig.client_says(&headers(1, &get(), true));
    rig.backend_says(&headers(
        1,
        &[line(":status", "103"), line("link", "</a>; rel=preload")].concat(),
        false,
    ));
    let said = rig.said_to_client();
    assert_eq!((said[0].value(":status"), said[0].value("link")), (Some("103"), Some("</a>; rel=preload")));
    rig.said_to_backend();
    rig.backend_says(&frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &get()].concat()));
    assert!(matches!(rig.said_to_backend()[..], [Said::GoAway { code: ErrorCode::PROTOCOL_ERROR, .. }, ..]));
}

/// No content where there is none, whatever content-length says; and none that differs from it.
#[test]
fn b77_content_is_as_the_head_says() {
    req!("9110-8.6-03", "9110-8.6-04");
    let length = line("content-length", "5");
    for (method, status) in [("HEAD", "200"), ("GET", "304")] {
        let head = [&line(":method", method)[..], &[0x86, 0x84], &line(":authority", "a.example")].concat();
        let mut rig = Rig::new(|_| {});
        rig.client_says(&headers(1, &head, true));
        rig.backend_says(&headers(1, &[line(":status", status), length.clone()].concat(), true));
        let said = rig.said_to_client();
        assert!(matches!(said[..], [Said::Fields { end: true, .. }]), "{said:?}");
        assert_eq!(said[0].value("content-length"), Some("5"), "it is the backend's to know");
    }
    for content in [&b"1234"[..], b"123456"] {
        let mut rig = Rig::new(|_| {});
        rig.client_says(&headers(1, &get(), true));
        rig.backend_says(&[headers(1, &[&OK[..], &length].concat(), false), data(1, content, true)].concat());
        let said = rig.said_to_client();
        assert!(matches!(said.last(), Some(Said::Reset { .. })), "{content:?}: {said:?}");
    }
}

/// Of a 204 that says how much content it does not have nobody has to do without the response; it is forwarded as it should have been.
#[test]
fn rfc9110_8_6_a_204_has_no_content_length() {
    req!("9110-8.6-05");
    for (length, status) in [(None, "204"), (Some("0"), "204"), (Some("3"), "502")] {
        let length = length.map_or(vec![], |length| line("content-length", length));
        let mut rig = Rig::new(|_| {});
        rig.client_says(&headers(1, &get(), true));
        rig.backend_says(&headers(1, &[line(":status", "204"), length].concat(), true));
        let said = rig.said_to_client();
        assert_eq!(said[0].value(":status"), Some(status));
        assert_eq!(said[0].value("content-length").filter(|_| status == "204"), None);
    }
}

/// What is not known here is forwarded: statuses by their class, and what other gateways said of theirs.
#[test]
fn rfc9110_15_statuses_and_words_of_others_pass() {
    req!("9110-15-01", "9209-2-03");
    for status in ["299", "399", "499", "599"] {
        let mut rig = Rig::new(|_| {});
        rig.client_says(&headers(1, &get(), true));
        let head = [line(":status", status), line("proxy-status", "inner; error=dns_error; x=1")].concat();
        rig.backend_says(&[headers(1, &head, false), data(1, b"why", true)].concat());
        let said = rig.said_to_client();
        assert_eq!(said[0].value(":status"), Some(status));
        assert_eq!(said[0].value("proxy-status"), Some("inner; error=dns_error; x=1"));
        assert_eq!(said.len(), 2, "with its content");
    }
}
