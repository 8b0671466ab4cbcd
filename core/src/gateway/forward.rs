//! What a gateway owes to the fields of a message that it forwards (RFC 9110 section 7.6, RFC 9113 section 8).

use std::borrow::Cow;

use crate::fields::{FieldFacts, FieldLine, FieldName, FieldSection, Origin};
use crate::message::RequestHead;
use crate::time::imf_fixdate;

/// The `via` line of this gateway (RFC 9110 section 7.6.3), made once.
#[derive(Debug)]
pub(super) struct Via {
    value: Vec<u8>,
    facts: FieldFacts,
}

impl Via {
    pub(super) fn new(name: &str, seed: u64) -> Self {
        let value = format!("2.0 {name}").into_bytes();
        Self { facts: FieldFacts::of(b"via", &value, seed), value }
    }

    fn line(&self) -> FieldLine<'_> {
        let (name, value) = (&b"via"[..], &self.value[..]);
        FieldLine { name, value, facts: self.facts, never_indexed: false, origin: Origin::NONE }
    }
}

/// A request on its way to a backend. Connection-specific fields cannot be there: RFC 9113 section 8.2.2 makes such a
/// message malformed. `te: trailers` stays, for trailers are forwarded.
pub(super) fn request(fields: &mut FieldSection, head: &RequestHead, via: &Via, seed: u64) {
    keep_one_content_length(fields, head.content_length_repeated);
    if head.has_host && !head.has_authority {
        *fields = with_authority(fields, seed);
    }
    fields.push(via.line());
}

/// 9113-8.3.1-06: who forwards over HTTP/2 says the authority in `:authority`.
fn with_authority(fields: &FieldSection, seed: u64) -> FieldSection {
    let mut whole = FieldSection::new();
    fields.iter().filter(|line| line.facts.name.is_pseudo()).for_each(|line| whole.push(line));
    if let Some(host) = fields.value_of(FieldName::Host) {
        whole.push(FieldLine::new(b":authority", host, seed));
    }
    let rest =
        fields.iter().filter(|line| !line.facts.name.is_pseudo() && line.facts.name != FieldName::Host);
    rest.for_each(|line| whole.push(line));
    whole
}

/// A final response on its way to a client.
pub(super) fn response(fields: &mut FieldSection, via: &Via, content_length_repeated: bool) {
    keep_one_content_length(fields, content_length_repeated);
    fields.push(via.line());
}

/// RFC 9110 section 8.6: lines that say the same are forwarded as one.
fn keep_one_content_length(fields: &mut FieldSection, repeated: bool) {
    if repeated {
        let mut seen = false;
        fields.retain(|line| {
            line.facts.name != FieldName::ContentLength || !core::mem::replace(&mut seen, true)
        });
    }
}

/// 9209-2-01: the gateway's name as a token of structured fields, which begin with a letter, or as a string.
pub(super) fn token_or_string(name: &str) -> Cow<'_, str> {
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("\"{name}\""))
    }
}

/// The head of a response that the gateway makes itself.
pub(super) fn local_response(
    fields: &mut FieldSection,
    status: u16,
    content: &[u8],
    proxy_status: &str,
    unix_seconds: u64,
    seed: u64,
) {
    let mut push = |name: &[u8], value: &[u8]| fields.push(FieldLine::new(name, value, seed));
    push(b":status", status.to_string().as_bytes());
    push(b"content-type", b"text/plain; charset=utf-8");
    push(b"content-length", content.len().to_string().as_bytes());
    push(b"date", &imf_fixdate(unix_seconds));
    push(b"proxy-status", proxy_status.as_bytes());
    if status == 503 {
        push(b"retry-after", b"1");
    }
}
