//! Section 8 of RFC 9113: what is malformed is not passed on, and what is passed on is well-formed.

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

#[test]
fn rfc9113_8_3_answers_of_the_gateway_are_well_formed() {
    req!("9113-8.2-01", "9113-8.3-01", "9113-8.3.2-01", "9110-2.2-01", "9110-2.2-02");
    let mut rig = Rig::new(|config| config.upstreams[0].retry.attempts = 1);
    rig.client_says(&headers(1, &get(), true));
    let backend = rig.backend();
    rig.lose(backend);
    let said = rig.said_to_client();
    let Said::Fields { lines, .. } = &said[0] else { panic!("{said:?}") };
    let pseudo: Vec<_> = lines.iter().filter(|(name, _)| name.starts_with(':')).collect();
    assert!(pseudo.len() == 1 && lines[0].0 == ":status", "{lines:?}");
    assert!(lines.iter().all(|(name, _)| !name.contains(|c: char| c.is_ascii_uppercase())), "{lines:?}");
}
