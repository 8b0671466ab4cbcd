//! Heads and trailers, each bad one with its exact cause.

use shuntyard_requirements::req;

use super::*;

mod random;

/// `"name value"` lines to a section: the name ends with the first space.
fn section<'a>(lines: impl IntoIterator<Item = &'a str>) -> FieldSection {
    let mut fields = FieldSection::new();
    for line in lines {
        let (name, value) = line.split_once(' ').unwrap();
        fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), 0));
    }
    fields
}

const RULES: RequestRules = RequestRules { extended_connect: false, authority_required: true };
const EXTENDED: RequestRules = RequestRules { extended_connect: true, authority_required: true };
const LENIENT: RequestRules = RequestRules { extended_connect: false, authority_required: false };

/// The head that the tables below vary.
const GET: [&str; 4] = [":method GET", ":scheme https", ":authority example.org", ":path /"];

fn get_and(more: &[&str]) -> Result<RequestHead, Malformed> {
    request(&section(GET.iter().chain(more).copied()), &RULES)
}

/// [`GET`] with the line of one pseudo-header field replaced.
fn get_with(line: &str) -> Result<RequestHead, Malformed> {
    let name = line.split(' ').next().unwrap();
    let lines = GET.map(|old| if old.split(' ').next() == Some(name) { line } else { old });
    assert!(lines.contains(&line));
    request(&section(lines), &RULES)
}

fn get_without(name: &str, rules: &RequestRules) -> Result<RequestHead, Malformed> {
    request(&section(GET.into_iter().filter(|line| !line.starts_with(name))), rules)
}

#[test]
fn a_request_says_what_it_is() {
    let head = get_and(&[]).unwrap();
    let expected = RequestHead {
        method: Method::Get,
        content_length: None,
        content_length_repeated: false,
        expect_continue: false,
        has_authority: true,
        has_host: false,
        has_via: false,
        extended_connect: false,
    };
    assert_eq!(head, expected);
    let head =
        get_and(&["host example.org", "expect 100-Continue", "content-length 7", "te Trailers"]).unwrap();
    let expected = RequestHead { content_length: Some(7), expect_continue: true, has_host: true, ..expected };
    assert_eq!(head, expected);
    assert!(!get_and(&["expect something-else"]).unwrap().expect_continue);
}

#[test]
fn rfc9113_8_2_1_fields() {
    req!("9113-8.2.1-07");
    for bad in [
        "X-Upper a",
        " a",
        "a\u{7f} b",
        "a:b c",
        "a\0 b",
        "x a\rb",
        "x a\nb",
        "x a\0b",
        "x  a",
        "x a\t",
        "x a ",
    ] {
        assert_eq!(get_and(&[bad]), Err(Malformed::BadField), "{bad:?}");
        assert_eq!(response(&section([":status 200", bad])), Err(Malformed::BadField), "{bad:?}");
        assert_eq!(trailers(&section([bad])), Err(Malformed::BadField), "{bad:?}");
    }
    for good in ["x ", "x-y a b\tc", "x \u{e9}", "cookie a=b; c=d"] {
        assert!(get_and(&[good]).is_ok(), "{good:?}");
        assert_eq!(trailers(&section([good])), Ok(()), "{good:?}");
    }
    assert_eq!(get_with(":path /a\rb"), Err(Malformed::BadField));
}

#[test]
fn rfc9113_8_2_2_connection_specific_fields() {
    req!("9113-8.2.2-02");
    let names = ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"];
    for name in names {
        let line = format!("{name} trailers");
        assert_eq!(get_and(&[&line]), Err(Malformed::ConnectionSpecific));
        assert_eq!(response(&section([":status 200", &line])), Err(Malformed::ConnectionSpecific));
        assert_eq!(trailers(&section([line.as_str()])), Err(Malformed::ConnectionSpecific));
    }
}

#[test]
fn rfc9113_8_2_2_te() {
    req!("9113-8.2.2-03");
    for good in ["te trailers", "te TRAILERS"] {
        assert!(get_and(&[good]).is_ok());
        assert_eq!(response(&section([":status 200", good])), Err(Malformed::Te));
        assert_eq!(trailers(&section([good])), Err(Malformed::Te));
    }
    for bad in ["te ", "te gzip", "te trailers, gzip", "te trailers;q=1"] {
        assert_eq!(get_and(&[bad]), Err(Malformed::Te), "{bad}");
    }
}

#[test]
fn rfc9113_8_3_pseudo_header_fields() {
    req!(
        "9113-8.1-04",
        "9113-8.3-02",
        "9113-8.3-03",
        "9113-8.3-04",
        "9113-8.3-05",
        "9113-8.3-06",
        "9113-8.3-07",
        "9113-8.3-08"
    );
    for (index, line) in GET.into_iter().enumerate() {
        let mut doubled = GET.to_vec();
        doubled.insert(index, line);
        assert_eq!(request(&section(doubled), &RULES), Err(Malformed::PseudoDoubled), "{line}");
        let mut late = GET.to_vec();
        late.remove(index);
        late.extend(["accept */*", line]);
        assert_eq!(request(&section(late), &RULES), Err(Malformed::PseudoAfterRegular), "{line}");
        assert_eq!(trailers(&section([line])), Err(Malformed::PseudoInTrailers), "{line}");
    }
    for line in [":unknown a", ": a", ":Path /", "::path /", ":path: /"] {
        assert_eq!(request(&section([line].into_iter().chain(GET)), &RULES), Err(Malformed::UnknownPseudo));
        assert_eq!(response(&section([":status 200", line])), Err(Malformed::UnknownPseudo));
        assert_eq!(trailers(&section([line])), Err(Malformed::PseudoInTrailers));
    }
    let with_status = section(GET.into_iter().chain([":status 200"]));
    assert_eq!(request(&with_status, &RULES), Err(Malformed::ResponsePseudoInRequest));
    for line in GET.into_iter().chain([":protocol websocket"]) {
        let fields = section([":status 200", line]);
        assert_eq!(response(&fields), Err(Malformed::RequestPseudoInResponse), "{line}");
    }
    // Any order among themselves will do.
    assert!(request(&section(GET.into_iter().rev()), &RULES).is_ok());
}

#[test]
fn rfc9113_8_3_1_what_a_request_must_have() {
    req!("9113-8.3.1-12");
    assert_eq!(get_without(":method", &RULES), Err(Malformed::MethodMissing));
    assert_eq!(get_without(":scheme", &RULES), Err(Malformed::SchemeMissing));
    assert_eq!(get_without(":path", &RULES), Err(Malformed::PathMissing));
    assert_eq!(get_without(":authority", &RULES), Err(Malformed::AuthorityMissing));
    assert_eq!(request(&FieldSection::new(), &RULES), Err(Malformed::MethodMissing));
    let head = get_without(":authority", &LENIENT).unwrap();
    assert!(!head.has_authority && !head.has_host);
    let host_only = section([":method GET", ":scheme http", ":path /", "host example.org"]);
    let head = request(&host_only, &RULES).unwrap();
    assert!(!head.has_authority && head.has_host);
    // Of other schemes nothing is known (RFC 3986 section 3.2: an authority is optional).
    assert!(request(&section([":method GET", ":scheme urn", ":path /"]), &RULES).is_ok());
}

#[test]
fn rfc9113_8_3_1_method() {
    req!("9113-8.3.1-12");
    let known = [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("DELETE", Method::Delete),
        ("OPTIONS", Method::Options),
        ("TRACE", Method::Trace),
        ("PATCH", Method::Patch),
        ("get", Method::Other),
        ("M-SEARCH", Method::Other),
        ("!#$%&'*+-.^_`|~09azAZ", Method::Other),
    ];
    for (token, method) in known {
        assert_eq!(get_with(&format!(":method {token}")).map(|head| head.method), Ok(method));
    }
    for bad in ["", "GET /", "G\tT", "GET,", "(GET)", "G\u{e9}T", "GET:", "G\"T"] {
        assert_eq!(get_with(&format!(":method {bad}")), Err(Malformed::MethodInvalid), "{bad:?}");
    }
}

#[test]
fn rfc9110_9_2_2_idempotent_methods() {
    let methods = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"];
    assert!(methods.iter().all(|token| Method::from_token(token.as_bytes()).unwrap().is_idempotent()));
    let methods = ["POST", "PATCH", "CONNECT", "MKCOL"];
    assert!(!methods.iter().any(|token| Method::from_token(token.as_bytes()).unwrap().is_idempotent()));
}

#[test]
fn rfc9113_8_3_1_scheme() {
    req!("9113-8.3.1-12");
    for good in ["http", "https", "HTTPS", "HtTp", "a", "z39.50r", "coap+tcp", "a-b"] {
        assert!(get_with(&format!(":scheme {good}")).is_ok(), "{good}");
    }
    for bad in ["", "1http", "ht tp", "http:", "http://", "+a", "h\u{e9}", "http://a/?"] {
        assert_eq!(get_with(&format!(":scheme {bad}")), Err(Malformed::SchemeInvalid), "{bad:?}");
    }
}

#[test]
fn rfc9113_8_3_1_path() {
    req!("9113-8.3.1-10", "9113-8.3.1-11", "9113-8.3.1-12", "9110-7.1-01");
    for good in ["/", "//", "/a/b?c=d&e", "/?", "/%00", "/a|b", "/*", "/~{}\"<>\\^`|"] {
        assert!(get_with(&format!(":path {good}")).is_ok(), "{good}");
    }
    for bad in
        ["", "a", "*", "http://example.org/", "?a", "/a b", "/a\tb", "/#", "/\u{7f}", "/\u{1}", "/\u{e9}"]
    {
        assert_eq!(get_with(&format!(":path {bad}")), Err(Malformed::PathInvalid), "{bad:?}");
    }
    let options = |path| {
        let path = format!(":path {path}");
        request(&section([":method OPTIONS", ":scheme https", ":authority a", &path]), &RULES)
    };
    assert!(options("*").is_ok() && options("/").is_ok());
    for bad in ["", "**", "*/", "*?"] {
        assert_eq!(options(bad), Err(Malformed::PathInvalid), "{bad}");
    }
}

const GOOD_AUTHORITIES: [&str; 14] = [
    "a",
    "example.org",
    "EXAMPLE.org:443",
    "example.org:",
    "example.org:0",
    "example.org:65535",
    "127.0.0.1:8080",
    "[::1]",
    "[::1]:80",
    "[2001:DB8::1]:",
    "[::ffff:1.2.3.4]",
    "a%20b",
    "a_b.c~d-e",
    "a!$&'()*+,;=",
];

const BAD_AUTHORITIES: [&str; 27] = [
    "",
    ":80",
    ":",
    "user@example.org",
    "user:pass@example.org",
    "@",
    "example.org:http",
    "example.org:65536",
    "example.org:-1",
    "example.org:1:2",
    "example.org/",
    "example.org?a",
    "example.org#a",
    "a b",
    "a\\b",
    "a%2",
    "a%zz",
    "%",
    "b\u{fc}cher.example",
    "[::1",
    "::1",
    "[]",
    "[::1]80",
    "[::1%25eth0]",
    "[v1.a]",
    "[1.2.3.4]",
    "a[::1]",
];

#[test]
fn rfc9113_8_3_1_authority() {
    req!("9113-8.3.1-09", "9113-8.3.1-10", "9110-4.2.1-02", "9110-4.2.2-02", "9110-4.2.4-02");
    for good in GOOD_AUTHORITIES {
        assert!(get_with(&format!(":authority {good}")).is_ok(), "{good}");
    }
    for bad in BAD_AUTHORITIES {
        assert_eq!(get_with(&format!(":authority {bad}")), Err(Malformed::AuthorityInvalid), "{bad:?}");
    }
}

#[test]
fn rfc9110_7_2_host() {
    let host_only = |host| {
        let host = format!("host {host}");
        request(&section([":method GET", ":scheme http", ":path /", &host]), &RULES)
    };
    for good in GOOD_AUTHORITIES {
        assert!(host_only(good).is_ok(), "{good}");
    }
    for bad in BAD_AUTHORITIES {
        assert_eq!(host_only(bad), Err(Malformed::HostInvalid), "{bad:?}");
        assert_eq!(get_and(&[&format!("host {bad}")]), Err(Malformed::HostInvalid), "{bad:?}");
    }
    let twice = get_and(&["host example.org", "host example.org"]);
    assert_eq!(twice, Err(Malformed::HostRepeated));
}

#[test]
fn rfc9113_8_3_1_host_names_what_authority_names() {
    req!("9113-8.3.1-04", "9113-8.3.1-05");
    let cases = [
        ("https", "example.org", "example.org", true),
        ("https", "example.org", "EXAMPLE.ORG", true),
        ("https", "example.org", "example.org:443", true),
        ("https", "example.org:443", "example.org:", true),
        ("https", "example.org", "example.org:0443", true),
        ("http", "example.org:80", "example.org", true),
        ("HTTP", "[::A]", "[::a]:80", true),
        ("https", "example.org", "example.org:80", false),
        ("http", "example.org", "example.org:443", false),
        ("https", "example.org", "example.net", false),
        ("https", "example.org", "example.org.", false),
        ("https", "example.org:1", "example.org:2", false),
        ("coap", "example.org", "example.org:5683", false),
    ];
    for (scheme, authority, host, same) in cases {
        let (scheme, authority) = (format!(":scheme {scheme}"), format!(":authority {authority}"));
        let host = format!("host {host}");
        let result = request(&section([":method GET", &scheme, &authority, ":path /", &host]), &RULES);
        let expected = if same { None } else { Some(Malformed::AuthorityMismatch) };
        assert_eq!(result.err(), expected, "{scheme} {authority} {host}");
    }
}

#[test]
fn rfc9113_8_5_connect() {
    req!("9113-8.5-01", "9110-9.3.6-02");
    let connect = |lines: &[&str]| {
        request(&section([":method CONNECT"].into_iter().chain(lines.iter().copied())), &RULES)
    };
    let head = connect(&[":authority example.org:443", "content-length 3"]).unwrap();
    assert_eq!((head.method, head.content_length, head.extended_connect), (Method::Connect, None, false));
    assert!(connect(&[":authority [::1]:443", "host [::1]:443"]).is_ok());
    let bad: [(&[&str], Malformed); 9] = [
        (&[], Malformed::ConnectForm),
        (&["host example.org:443"], Malformed::ConnectForm),
        (&[":authority example.org"], Malformed::ConnectForm),
        (&[":authority example.org:"], Malformed::ConnectForm),
        (&[":authority example.org:0"], Malformed::ConnectForm),
        (&[":authority example.org:99999"], Malformed::AuthorityInvalid),
        (&[":authority example.org:443", ":scheme https"], Malformed::ConnectForm),
        (&[":authority example.org:443", ":path /"], Malformed::ConnectForm),
        (&[":authority example.org:443", "host example.org:80"], Malformed::AuthorityMismatch),
    ];
    for (lines, cause) in bad {
        assert_eq!(connect(lines), Err(cause), "{lines:?}");
    }
}

#[test]
fn rfc8441_4_extended_connect() {
    req!("8441-4-02");
    const FULL: [&str; 5] =
        [":method CONNECT", ":protocol websocket", ":scheme https", ":authority example.org", ":path /chat"];
    let head = request(&section(FULL), &EXTENDED).unwrap();
    assert!(head.extended_connect && head.method == Method::Connect);
    assert_eq!(request(&section(FULL), &RULES), Err(Malformed::ProtocolUnexpected));
    let missing =
        [(2, Malformed::SchemeMissing), (3, Malformed::AuthorityMissing), (4, Malformed::PathMissing)];
    for (index, cause) in missing {
        let mut lines = FULL.to_vec();
        lines.remove(index);
        assert_eq!(request(&section(lines), &EXTENDED), Err(cause));
    }
    let with = |protocol: &'static str| {
        let mut lines = FULL;
        lines[1] = protocol;
        request(&section(lines), &EXTENDED).map(|head| head.extended_connect)
    };
    // RFC 9110 section 7.8: a protocol may have a version.
    assert_eq!(with(":protocol tls/1.0"), Ok(true));
    for none in
        [":protocol web socket", ":protocol tls/", ":protocol /1.0", ":protocol tls/1/0", ":protocol "]
    {
        assert_eq!(with(none), Err(Malformed::ProtocolInvalid), "{none}");
    }
    let mut lines = FULL;
    lines[0] = ":method GET";
    assert_eq!(request(&section(lines), &EXTENDED), Err(Malformed::ProtocolUnexpected));
}

#[test]
fn rfc9110_8_6_content_length() {
    req!("9110-8.6-08", "9110-8.6-10");
    let lengths = [("0", 0), ("10", 10), ("0010", 10), ("18446744073709551615", u64::MAX)];
    for (value, length) in lengths {
        let head = get_and(&[&format!("content-length {value}")]).unwrap();
        assert_eq!((head.content_length, head.content_length_repeated), (Some(length), false));
    }
    for bad in
        ["", "+1", "-1", "1 1", "1,1", "1, 1", "0x1", "1.0", "18446744073709551616", "99999999999999999999"]
    {
        let line = format!("content-length {bad}");
        assert_eq!(get_and(&[&line]), Err(Malformed::ContentLengthInvalid), "{bad:?}");
        let fields = section([":status 200", &line]);
        assert_eq!(response(&fields), Err(Malformed::ContentLengthInvalid), "{bad:?}");
    }
    let head = get_and(&["content-length 5", "accept */*", "content-length 05"]).unwrap();
    assert_eq!((head.content_length, head.content_length_repeated), (Some(5), true));
    let conflict = ["content-length 5", "content-length 5", "content-length 6"];
    assert_eq!(get_and(&conflict), Err(Malformed::ContentLengthConflict));
}

#[test]
fn rfc9113_8_3_2_status() {
    req!("9113-8.3.2-01");
    for status in (100..=999).filter(|&status| status != 101) {
        let head = response(&section([format!(":status {status}").as_str()])).unwrap();
        assert_eq!(
            head,
            ResponseHead {
                status,
                content_length: None,
                content_length_repeated: false,
                declines_upgrade: false
            }
        );
    }
    for bad in ["", "0", "20", "099", "000", "2000", "0200", "+20", "2 0", "20x", "\u{665}"] {
        let line = format!(":status {bad}");
        assert_eq!(response(&section([line.as_str()])), Err(Malformed::StatusInvalid), "{bad:?}");
    }
    assert_eq!(response(&section([":status 101"])), Err(Malformed::StatusSwitchingProtocols));
    assert_eq!(response(&section(["accept-ranges none"])), Err(Malformed::StatusMissing));
    assert_eq!(response(&FieldSection::new()), Err(Malformed::StatusMissing));
    assert_eq!(response(&section([":status 200", ":status 200"])), Err(Malformed::PseudoDoubled));
    assert_eq!(response(&section(["a b", ":status 200"])), Err(Malformed::PseudoAfterRegular));
}

#[test]
fn rfc9110_8_6_responses_without_content() {
    req!("9110-8.6-05");
    let with_length = |status: &str, length: &str| response(&section([status, length]));
    assert_eq!(with_length(":status 200", "content-length 3").unwrap().content_length, Some(3));
    assert!(with_length(":status 204", "content-length 0").is_ok());
    assert!(with_length(":status 304", "content-length 3").is_ok());
    let forbidden = [
        (":status 100", "content-length 0"),
        (":status 199", "content-length 1"),
        (":status 204", "content-length 1"),
    ];
    for (status, length) in forbidden {
        assert_eq!(with_length(status, length), Err(Malformed::ContentLengthForbidden), "{status}");
    }
}

#[test]
fn rfc9110_6_5_1_trailers() {
    req!("9113-8.1-04", "9110-6.5.1-02");
    assert_eq!(trailers(&FieldSection::new()), Ok(()));
    assert_eq!(trailers(&section(["grpc-status 0", "x-checksum abc", "set-cookie a=b"])), Ok(()));
    assert_eq!(trailers(&section(["a b", "content-length 0"])), Err(Malformed::HeadFieldInTrailers));
    assert_eq!(trailers(&section(["host a"])), Err(Malformed::HeadFieldInTrailers));
    assert_eq!(trailers(&section([":status 200"])), Err(Malformed::PseudoInTrailers));
}

#[test]
fn rfc9113_8_1_1_every_cause_names_its_section() {
    for cause in Malformed::ALL {
        let text = cause.to_string();
        assert!(text.ends_with(')') && text.contains('('), "{text}");
    }
    assert_eq!(crate::error::StreamError::from(Malformed::Te), crate::error::StreamError::Malformed);
}
