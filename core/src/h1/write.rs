//! Heads, chunks and trailers as they leave: field sections in the form of HTTP/2 to octets (RFC 9112).
//!
//! Sections come from peers that speak another protocol, so this is the last guard against a message that would be read as
//! two: what is no well-formed message of [`message`](crate::message) is not written, and control octets become spaces.

use crate::fields::{FieldLine, FieldName, FieldSection};
use crate::h1::framing::Framing;
use crate::h1::upgrade::{self, Upgrade};
use crate::message::{RequestHead, ResponseHead, Version};

/// What a response head says beside its fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseFrame<'a> {
    pub(crate) framing: Framing,
    /// A 2xx that opens a tunnel becomes 101 and agrees to this; a 426 offers it.
    pub(crate) upgrade: Option<&'a Upgrade>,
    /// No further request is read on the connection.
    pub(crate) close: bool,
    /// The client's version.
    pub(crate) version: Version,
}

/// So many octets at most a head takes that has these fields: a line takes fewer than its size has, and what is written beside them is
/// the first line, framing and an upgrade.
pub(crate) fn len_max(fields: &FieldSection) -> usize {
    fields.size() + BESIDE_FIELDS
}

/// Octets of a head at most that are not fields.
pub(crate) const BESIDE_FIELDS: usize = 512;

/// Writes a final response's head.
pub(crate) fn response(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    fields: &FieldSection,
    frame: &ResponseFrame<'_>,
) {
    let switching = frame.upgrade.filter(|_| frame.framing == Framing::Tunnel);
    status_line(out, if switching.is_some() { 101 } else { head.status });
    lines(out, fields, if switching.is_some() { b"sec-websocket-accept" } else { b"" });
    // 9110-7.8-04, 9110-15.2.2-01, 9110-7.8-10
    if let Some(upgrade) = switching {
        line(out, b"connection", b"Upgrade");
        line(out, b"upgrade", &upgrade.protocol);
        if let Some(accept) = &upgrade.accept {
            line(out, b"sec-websocket-accept", accept);
        }
        out.extend_from_slice(b"\r\n");
        return;
    }
    // 9112-6.1-02, 9112-6.2-01: one of them, and once.
    match frame.framing {
        // Of HEAD and 304 the length is what content would have (RFC 9110 section 8.6); 204 has none.
        Framing::None if head.status != 204 => length(out, head.content_length),
        Framing::Length(octets) => length(out, Some(octets)),
        Framing::Chunked => line(out, b"transfer-encoding", b"chunked"),
        Framing::None | Framing::UntilClose | Framing::Tunnel => {} // 9112-6.1-08
    }
    // 9110-15.5.22-01, 9110-7.8-07
    let offer = frame.upgrade.filter(|_| head.status == 426 && frame.version > Version::Http10);
    if let Some(Upgrade { protocol, .. }) = offer {
        line(out, b"upgrade", protocol);
        line(out, b"connection", b"Upgrade");
    }
    match frame.version {
        _ if frame.close => line(out, b"connection", b"close"), // 9112-9.6-04
        Version::Http10 if frame.framing != Framing::Tunnel => line(out, b"connection", b"keep-alive"),
        Version::Http10 | Version::Http11 | Version::Http2 => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes an interim response's head.
pub(crate) fn interim(out: &mut Vec<u8>, status: u16, fields: &FieldSection) {
    status_line(out, status);
    lines(out, fields, b"");
    out.extend_from_slice(b"\r\n");
}

/// 9112-4-04: a space follows the status code even where there is no reason phrase.
fn status_line(out: &mut Vec<u8>, status: u16) {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    out.extend_from_slice(b"HTTP/1.1 "); // 9112-2.3-01
    decimal(out, status.into());
    out.push(b' ');
    out.extend_from_slice(reason.unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes a request's head. `key`: what `Sec-WebSocket-Key` says, of an upgrade to WebSocket.
pub(crate) fn request(
    out: &mut Vec<u8>,
    head: &RequestHead,
    fields: &FieldSection,
    framing: Framing,
    key: Option<&[u8; upgrade::KEY_LEN]>,
) {
    let value = |name| fields.value_of(name).unwrap_or_default();
    let protocol = fields.value_of(FieldName::Protocol);
    let authority = fields.value_of(FieldName::Authority).unwrap_or_else(|| value(FieldName::Host));
    let method = if protocol.is_some() { b"GET" } else { value(FieldName::Method) };
    // 9112-3.2.1-01, 9112-3.2.3-01, 9112-3.2.4-01
    let target = if method == b"CONNECT" { authority } else { value(FieldName::Path) };
    for part in [method, b" ", target, b" HTTP/1.1\r\n"] {
        out.extend_from_slice(part);
    }
    line(out, b"host", authority); // 9113-8.3.1-07, 9112-3.2-03, 9112-3.2-04, 9112-3.2-05
    lines(out, fields, if protocol.is_some() { b"sec-websocket-key" } else { b"" });
    // 9112-6.1-02, 9112-6.2-01: one of them, and once.
    match framing {
        Framing::Length(octets) => length(out, Some(octets)),
        Framing::Chunked => line(out, b"transfer-encoding", b"chunked"),
        // RFC 9110 section 8.6: who might have sent content says that there is none.
        Framing::None if anticipates_content(head) => length(out, Some(0)),
        Framing::None | Framing::UntilClose | Framing::Tunnel => {}
    }
    match protocol {
        Some(protocol) => {
            line(out, b"connection", b"Upgrade");
            line(out, b"upgrade", protocol);
        }
        None if fields.value_of(FieldName::Te).is_some() => {
            line(out, b"te", b"trailers"); // 9112-7.4-01
            line(out, b"connection", b"TE"); // 9112-7.4-03, 9110-10.1.4-01
        }
        None => {}
    }
    if let Some(key) = key {
        line(out, b"sec-websocket-key", key);
    }
    out.extend_from_slice(b"\r\n");
}

fn anticipates_content(head: &RequestHead) -> bool {
    use crate::message::Method::{Patch, Post, Put};
    matches!(head.method, Post | Put | Patch)
}

/// The size of the chunk that follows (RFC 9112 section 7.1). Never 0: that would be the last.
pub(crate) fn chunk_size(out: &mut Vec<u8>, octets: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - octets.leading_zeros()).div_ceil(4);
    out.extend((0..digits).rev().map(|n| DIGITS[octets >> (4 * n) & 15]));
    out.extend_from_slice(b"\r\n");
}

/// The last chunk, and the trailer section.
pub(crate) fn last_chunk(out: &mut Vec<u8>, trailers: Option<&FieldSection>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(fields) = trailers {
        lines(out, fields, b"");
    }
    out.extend_from_slice(b"\r\n");
}

/// Lines as they are, without `except` and those that this file writes itself. Crumbs of a cookie are joined (RFC 9113 section 8.2.3).
fn lines(out: &mut Vec<u8>, fields: &FieldSection, except: &[u8]) {
    let mut cookie_written = false;
    for one in fields.iter() {
        match one.facts.name {
            FieldName::ContentLength | FieldName::Host | FieldName::Te | FieldName::ConnectionSpecific => {}
            name if name.is_pseudo() => {}
            FieldName::Cookie if cookie_written => {}
            FieldName::Cookie => {
                cookie_written = true;
                cookie(out, fields);
            }
            _ if !one.facts.well_formed || one.name == except || one.name == b"http2-settings" => {}
            _ => field(out, &one),
        }
    }
}

fn cookie(out: &mut Vec<u8>, fields: &FieldSection) {
    let crumbs = fields.iter().filter(|one| one.facts.name == FieldName::Cookie && one.facts.well_formed);
    let mut before = b"cookie: ".as_slice();
    for crumb in crumbs {
        out.extend_from_slice(before);
        let start = out.len();
        out.extend_from_slice(crumb.value);
        blank_controls(&mut out[start..]);
        before = b"; ";
    }
    if before == b"; " {
        out.extend_from_slice(b"\r\n");
    }
}

fn field(out: &mut Vec<u8>, one: &FieldLine<'_>) {
    let start = out.len();
    line(out, one.name, one.value);
    if !one.facts.value_is_text {
        let end = out.len() - 2;
        blank_controls(&mut out[start..end]);
    }
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// HTTP/2 lets more octets pass than a parser of HTTP/1.1 can be trusted with. RFC 9110 section 5.5: spaces in their place.
/// 9112-2.2-03, 9112-5.2-01: of CR, too.
fn blank_controls(text: &mut [u8]) {
    let is_control = |octet: &&mut u8| octet.is_ascii_control() && **octet != b'\t';
    text.iter_mut().filter(is_control).for_each(|octet| *octet = b' ');
}

fn length(out: &mut Vec<u8>, octets: Option<u64>) {
    if let Some(octets) = octets {
        out.extend_from_slice(b"content-length: ");
        decimal(out, octets);
        out.extend_from_slice(b"\r\n");
    }
}

fn decimal(out: &mut Vec<u8>, number: u64) {
    // 2^64 has twenty digits.
    let (mut digits, mut left) = ([b'0'; 20], number);
    let mut first = digits.len();
    while first == digits.len() || left > 0 {
        first -= 1;
        digits[first] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    out.extend_from_slice(&digits[first..]);
}

#[cfg(test)]
mod tests {
    use shuntyard_requirements::req;

    use super::*;
    use crate::fields::FieldLine;
    use crate::message;

    fn section(lines: &[(&str, &str)]) -> FieldSection {
        let mut fields = FieldSection::new();
        for (name, value) in lines {
            fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), 0));
        }
        fields
    }

    fn text_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rfc9112_3_a_request() {
        req!("9113-8.3.1-07", "9110-10.1.4-01", "9110-7.6.1-01");
        let fields = section(&[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/a?b"),
            (":authority", "example.org:81"),
            ("cookie", "a=1"),
            ("x", "y"),
            ("host", "example.org:81"),
            ("te", "trailers"),
            ("cookie", "b=2"),
        ]);
        let head = message::request(&fields, &message::RequestRules::default()).unwrap();
        assert_eq!(
            text_of(|out| request(out, &head, &fields, Framing::None, None)),
            "GET /a?b HTTP/1.1\r\nhost: example.org:81\r\ncookie: a=1; b=2\r\nx: y\r\nte: trailers\r\nconnection: TE\r\n\r\n"
        );
    }

    #[test]
    fn rfc9112_4_a_response() {
        req!("9112-4-04");
        let fields = section(&[(":status", "599"), ("x", "a\u{1}b\u{b}c\td\u{7f}")]);
        let head = message::response(&fields).unwrap();
        let frame =
            ResponseFrame { framing: Framing::Chunked, upgrade: None, close: true, version: Version::Http11 };
        assert_eq!(
            text_of(|out| response(out, &head, &fields, &frame)),
            "HTTP/1.1 599 \r\nx: a b c\td \r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        );
    }

    #[test]
    fn rfc9112_7_1_chunks() {
        for octets in [1, 15, 16, 255, 256, 0x1f_00a, 0xfff_ffff, usize::MAX] {
            assert_eq!(text_of(|out| chunk_size(out, octets)), format!("{octets:x}\r\n"));
        }
        assert_eq!(text_of(|out| last_chunk(out, None)), "0\r\n\r\n");
        let trailers = section(&[("x", "1"), ("bad\n", "1"), ("y", "a\r\nb")]);
        assert_eq!(text_of(|out| last_chunk(out, Some(&trailers))), "0\r\nx: 1\r\n\r\n");
    }
}
