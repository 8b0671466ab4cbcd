//! Section 8 of RFC 9113: what is malformed is not passed on, and what is passed on is well-formed.

use std::time::Duration;

use shuntyard_core::config::HostPattern;
use shuntyard_core::error::ErrorCode;
use shuntyard_requirements::req;

use crate::rig::{Rig, Said};
use crate::wire::*;

#[test]
fn rfc9113_8_1_1_a_malformed_request_is_not_forwarded() {
    req!("9113-8.1.1-02", "9113-8.1.1-03", "9113-8.2.1-08");
    let with = |name: &str, value: &str| [get(), line(name, value)].concat();
    let blocks = [
        with("a b", "1"),
        with("X-Upper", "1"),
        with("a:b", "1"),
        with("a", "1\r\nb: 2"),
        with("a", "1\0"),
        with("a", " 1"),
        with("a", "1\t"),
        with("connection", "close"),
        with("te", "gzip"),
        with(":status", "200"),
        with("content-length", "7"),
        [line("a", "b"), get()].concat(),
    ];
    for block in blocks {
        let mut rig = Rig::new(|_| {});
        rig.client_says(&headers(1, &block, true));
        assert_eq!(rig.said_to_client(), [Said::Reset { stream: 1, code: ErrorCode::PROTOCOL_ERROR }]);
        assert!(rig.backends.is_empty(), "nobody hears of {block:?}");
    }
}

/// What turns out to be malformed after its head was forwarded never looks whole.
#[test]
fn rfc9113_8_1_1_a_request_that_becomes_malformed_is_cut_short() {
    req!("9113-8.1.1-02", "9110-8.6-09");
    let bad = [data(1, b"1234", true), data(1, b"123456", false), headers(1, &line("A", "b"), true)];
    for bad in bad {
        let mut rig = Rig::new(|_| {});
        rig.client_says(&headers(1, &[post(), line("content-length", "5")].concat(), false));
        assert!(matches!(rig.said_to_backend()[..], [Said::Fields { end: false, .. }]));
        rig.client_says(&bad);
        let said = rig.said_to_backend();
        assert!(matches!(said[..], [Said::Reset { stream: 1, .. }]), "{said:?}");
    }
}

#[test]
fn rfc9113_8_1_1_a_malformed_response_is_not_forwarded() {
    req!("9113-8.1.1-02", "9113-8.1.1-05", "9113-8.2.1-08");
    let with = |name: &str, value: &str| [&OK[..], &line(name, value)].concat();
    let blocks = [
        with("a b", "1"),
        with("A", "1"),
        with("a", "1\n2"),
        with("transfer-encoding", "chunked"),
        with(":path", "/"),
        line("a", "b"),
        line(":status", "2000"),
    ];
    for block in blocks {
        let mut rig = Rig::new(|_| {});
        rig.client_says(&headers(1, &get(), true));
        rig.said_to_backend();
        rig.backend_says(&headers(1, &block, true));
        let said = rig.said_to_client();
        assert_eq!(said[0].value(":status"), Some("502"), "{block:?}");
        assert_eq!(said[0].value("a"), None);
        let reset = Said::Reset { stream: 1, code: ErrorCode::PROTOCOL_ERROR };
        assert_eq!(rig.said_to_backend(), [reset]);
    }
    // Behind the head: trailers that are none, content that is too short.
    for bad in [headers(1, &OK, true), headers(1, &line("A", "b"), true), data(1, b"1234", true)] {
        let mut rig = Rig::new(|_| {});
        rig.client_says(&headers(1, &get(), true));
        rig.backend_says(&headers(1, &with("content-length", "5"), false));
        rig.said_to_client();
        rig.backend_says(&bad);
        let said = rig.said_to_client();
        assert!(matches!(said[..], [Said::Reset { stream: 1, .. }]), "{said:?}");
    }
}

#[test]
fn rfc9113_8_3_1_the_authority_is_that_of_the_request() {
    req!("9113-8.3.1-06", "9110-7.7-02");
    let head = |lines: &[(&str, &str)]| {
        let lines = lines.iter().map(|(name, value)| line(name, value)).collect::<Vec<_>>().concat();
        [&[0x82, 0x86, 0x84][..], &lines].concat()
    };
    let forwarded = |block: &[u8]| {
        let mut rig = Rig::new(|config| config.front.authority_required = false);
        rig.client_says(&headers(1, block, true));
        let said = rig.said_to_backend();
        let value = |name| said[0].value(name).map(str::to_owned);
        (value(":authority"), value("host"))
    };
    let named =
        |authority: Option<&str>, host: Option<&str>| (authority.map(str::to_owned), host.map(str::to_owned));
    assert_eq!(forwarded(&head(&[(":authority", "a.example:81")])), named(Some("a.example:81"), None));
    assert_eq!(forwarded(&head(&[("host", "b.example")])), named(Some("b.example"), None));
    let both = head(&[(":authority", "a.example"), ("host", "A.EXAMPLE:80")]);
    assert_eq!(forwarded(&both), named(Some("a.example"), Some("A.EXAMPLE:80")));
    assert_eq!(forwarded(&head(&[])), named(None, None));
}

/// Of the fields that concern one connection only `te: trailers` can come at all, and the gateway could say it itself.
#[test]
fn rfc9113_10_3_fields_of_one_connection_are_not_forwarded() {
    req!("9113-10.3-02", "9113-8.2.2-03", "9110-7.6.1-03");
    let mut rig = Rig::new(|_| {});
    rig.client_says(&headers(1, &[get(), line("te", "trailers")].concat(), true));
    assert_eq!(rig.said_to_backend()[0].value("te"), Some("trailers"));
    for name in ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"] {
        let mut rig = Rig::new(|_| {});
        rig.client_says(&headers(1, &[get(), line(name, "trailers")].concat(), true));
        assert!(rig.backends.is_empty(), "{name}");
    }
}

/// What happens behind a request.
type Then = fn(&mut Rig);

/// Requests that the gateway answers by itself, each with what comes of it.
fn own_answers() -> Vec<(&'static str, Vec<Said>)> {
    let loses: Then = |rig| rig.lose(rig.backend());
    let waits: Then = |rig| rig.pass(Duration::from_secs(61));
    let nothing: Then = |_| {};
    let connect = [line(":method", "CONNECT"), line(":authority", "example.com:443")].concat();
    let options =
        [&line(":method", "OPTIONS")[..], &[0x86, 0x84], &line(":authority", "example.com")].concat();
    let elsewhere = [&[0x82, 0x86, 0x84][..], &line(":authority", "b.example")].concat();
    let cases: [(_, _, Then); 6] = [
        ("502", get(), loses),
        ("504", get(), waits),
        ("501", connect, nothing),
        ("404", elsewhere, nothing),
        ("431", [get(), line("x-large", &"v".repeat(1000))].concat(), nothing),
        ("200", [options, line("max-forwards", "0")].concat(), nothing),
    ];
    let answer = |(status, block, then): (_, Vec<u8>, Then)| {
        let mut rig = Rig::new(|config| {
            config.upstreams[0].retry.attempts = 1;
            config.routes[0].host = HostPattern::Exact("example.com".into());
            config.front.max_header_list_size = 1000;
        });
        rig.client_says(&headers(1, &block, true));
        then(&mut rig);
        (status, rig.said_to_client())
    };
    cases.into_iter().map(answer).collect()
}

/// RFC 9110 sections 5.1, 5.5 and 5.6.2, in lower case (RFC 9113 section 8.2).
fn is_field((name, value): &(String, String)) -> bool {
    let is_name = |c: char| c.is_ascii_digit() || c.is_ascii_lowercase() || "!#$%&'*+-.^_`|~".contains(c);
    let is_value = |c: char| c == ' ' || c == '\t' || c > ' ' && c != '\u{7f}';
    !name.is_empty() && name.chars().all(is_name) && value.chars().all(is_value) && value.trim() == value
}

#[test]
fn rfc9113_8_3_answers_of_the_gateway_are_well_formed() {
    req!("9113-8.2-01", "9113-8.3-01", "9113-8.3.2-01", "9110-2.2-01", "9110-2.2-02");
    // Fields of requests (RFC 9110 sections 7.2, 10.1, 11 to 13), and of one connection.
    const FOREIGN: [&str; 16] = [
        "host",
        "expect",
        "from",
        "referer",
        "te",
        "user-agent",
        "max-forwards",
        "authorization",
        "proxy-authorization",
        "if-match",
        "if-none-match",
        "range",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "upgrade",
    ];
    for (status, said) in own_answers() {
        let Some(Said::Fields { lines, .. }) = said.first() else { panic!("{status}: {said:?}") };
        assert_eq!(lines[0], (":status".to_owned(), status.to_owned()), "{lines:?}");
        assert!(lines[1..].iter().all(is_field), "{lines:?}");
        assert!(lines.iter().all(|(name, _)| !FOREIGN.contains(&name.as_str())), "{lines:?}");
        let content = |said: &Said| if let Said::Content { octets, .. } = said { octets.len() } else { 0 };
        let length = said[0].value("content-length").map_or(0, |length| length.parse().expect("a number"));
        assert_eq!(said.iter().map(content).sum::<usize>(), length, "{said:?}");
    }
}
