//! Any lines, as requests, responses and trailers: what we accept the reference accepts, and what we refuse beyond it
//! is on a list of causes that are stricter than RFC 9113 by intent.

use shuntyard_core::fields::{FieldFacts, FieldLine, FieldSection};
use shuntyard_core::message::{self, Malformed, Method, RequestRules};
use shuntyard_sim::refcodec::message::{CONNECTION_SPECIFIC, Section, content_length, malformed};
use shuntyard_sim::refcodec::{Field, field, value_of};

use crate::octets::Octets;

const SEED: u64 = 9113;

const NAMES: &[&str] = &[
    ":method",
    ":scheme",
    ":authority",
    ":path",
    ":status",
    ":protocol",
    "host",
    "content-length",
    "te",
    "connection",
    "transfer-encoding",
    "cookie",
    "expect",
    "via",
    "x-a",
    ":unknown",
    "X-Upper",
    "a b",
    "",
];
const VALUES: &[&str] = &[
    "",
    "GET",
    "CONNECT",
    "OPTIONS",
    "http",
    "https",
    "example.com",
    "example.com:80",
    "[::1]:8080",
    "/",
    "*",
    "/a?b",
    "200",
    "204",
    "304",
    "100",
    "101",
    "0",
    "17",
    "trailers",
    "gzip",
    "close",
    "100-continue",
    " a",
    "a\0",
];

/// The whole check: an octet that says what the lines are, then lines.
pub fn run(data: &[u8]) {
    let mut octets = Octets(data);
    let kind = octets.octet();
    let lines = lines(&mut octets, kind & 4 == 0);
    let fields = section(&lines);
    stored_as_pushed(&fields, &lines);
    facts_are_true(&lines);
    let rules = RequestRules { extended_connect: kind & 8 != 0, authority_required: kind & 16 == 0 };
    match kind % 3 {
        0 => request(&fields, &lines, &rules),
        1 => response(&fields, &lines),
        _ => trailers(&fields, &lines),
    }
}

/// Lines, each known or any octets. `usual`: behind the four of a plain request or the one of a response.
fn lines(octets: &mut Octets<'_>, usual: bool) -> Vec<Field> {
    let mut lines = Vec::new();
    if usual {
        let which = octets.octet();
        let head = [(":method", "GET"), (":scheme", "https"), (":authority", "example.com"), (":path", "/")];
        let present = head.iter().enumerate().filter(|(at, _)| which & 1 << at == 0);
        lines.extend(present.map(|(_, (name, value))| field(name, value)));
        if which & 16 != 0 {
            lines.push(field(":status", "200"));
        }
    }
    while !octets.is_empty() && lines.len() < 40 {
        let kind = octets.octet();
        let name = if kind & 3 == 0 { octets.run(100) } else { octets.pick(NAMES).as_bytes() };
        let value = if kind & 12 == 0 { octets.run(300) } else { octets.pick(VALUES).as_bytes() };
        lines.push(field(name, value));
    }
    lines
}

fn section(lines: &[Field]) -> FieldSection {
    let mut fields = FieldSection::new();
    lines.iter().for_each(|(name, value)| fields.push(FieldLine::new(name, value, SEED)));
    fields
}

/// A section gives back what was put in, and `retain` keeps what it should.
fn stored_as_pushed(fields: &FieldSection, lines: &[Field]) {
    let pair = |line: FieldLine<'_>| (line.name.to_vec(), line.value.to_vec());
    assert!(fields.iter().map(pair).eq(lines.iter().cloned()));
    assert_eq!(fields.len(), lines.len());
    let size: usize = lines.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
    assert_eq!(fields.size(), size);
    for (name, _) in lines {
        let first = lines.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_slice());
        assert_eq!(fields.get(name), first);
    }
    let mut odd = fields.clone();
    odd.retain(|line| line.value.len() % 2 == 1);
    let expected = lines.iter().filter(|(_, value)| value.len() % 2 == 1).cloned();
    assert!(odd.iter().map(pair).eq(expected), "retain");
}

/// The octets of a line are allowed where the reference allows them. Which pseudo-header fields there are, and whether
/// a line stands where it may, are other questions.
fn facts_are_true(lines: &[Field]) {
    for (name, value) in lines {
        let facts = FieldFacts::of(name, value, SEED);
        let known = CONNECTION_SPECIFIC.iter().any(|other| other.as_bytes() == name);
        if !known && name != b"te" && name.first() != Some(&b':') {
            let reason = malformed(Section::Trailers, &[field(name, value)]);
            assert_eq!(facts.well_formed, reason.is_none(), "{name:?}: {value:?}: {reason:?}");
        }
        let pieces = FieldFacts::of_name(name, SEED).with_value(value, SEED);
        assert_eq!(pieces, facts, "name and value apart");
    }
}

/// The reference's reason against the head, content-length included.
fn reason(section: Section, lines: &[Field]) -> Option<String> {
    malformed(section, lines).or_else(|| content_length(lines).err())
}

fn request(fields: &FieldSection, lines: &[Field], rules: &RequestRules) {
    let reason = reason(Section::Request, lines);
    match message::request(fields, rules) {
        Ok(head) => {
            assert_eq!(reason, None, "we accept {lines:?}");
            let method = value_of(lines, ":method").expect("a method was found");
            assert_eq!(Method::from_token(method), Some(head.method));
            assert_eq!(head.has_authority, value_of(lines, ":authority").is_some());
            assert_eq!(head.has_host, value_of(lines, "host").is_some());
            assert_eq!(head.extended_connect, value_of(lines, ":protocol").is_some());
            let length = content_length(lines).expect("it was accepted");
            assert_eq!(head.content_length, length.filter(|_| head.method != Method::Connect));
            assert!(!rules.authority_required || head.has_authority || head.has_host || !is_http(lines));
        }
        Err(cause) => {
            assert!(reason.is_some() || stricter_in_requests(cause), "{cause:?} for {lines:?} alone");
        }
    }
}

fn is_http(lines: &[Field]) -> bool {
    let scheme = value_of(lines, ":scheme").unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https")
}

/// Rules about a request's target that the reference does not have: it looks at HTTP/2's words only.
fn stricter_in_requests(cause: Malformed) -> bool {
    matches!(
        cause,
        Malformed::MethodInvalid
            | Malformed::SchemeInvalid
            | Malformed::PathInvalid
            | Malformed::AuthorityMissing
            | Malformed::AuthorityInvalid
            | Malformed::AuthorityMismatch
            | Malformed::HostInvalid
            | Malformed::HostRepeated
            | Malformed::ConnectForm
            | Malformed::ProtocolUnexpected
            | Malformed::ProtocolInvalid
    )
}

fn response(fields: &FieldSection, lines: &[Field]) {
    let reason = reason(Section::Response, lines);
    match message::response(fields) {
        Ok(head) => {
            assert_eq!(reason, None, "we accept {lines:?}");
            let status = value_of(lines, ":status").expect("a status was found");
            assert_eq!(head.status.to_string().as_bytes(), status);
            assert_eq!(Ok(head.content_length), content_length(lines));
        }
        // Te has no meaning in a response, and some responses can have no content.
        Err(Malformed::Te | Malformed::ContentLengthForbidden) => {}
        Err(cause) => assert!(reason.is_some(), "{cause:?} for {lines:?} alone"),
    }
}

fn trailers(fields: &FieldSection, lines: &[Field]) {
    let reason = malformed(Section::Trailers, lines);
    match message::trailers(fields) {
        Ok(()) => assert_eq!(reason, None, "we accept {lines:?}"),
        // Fields that frame or route a message have come too late (RFC 9110 section 6.5.1).
        Err(Malformed::HeadFieldInTrailers | Malformed::Te) => {}
        Err(cause) => assert!(reason.is_some(), "{cause:?} for {lines:?} alone"),
    }
}
