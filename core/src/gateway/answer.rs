//! Heads of answers that the gateway makes itself, in the form that the client expects: HTTP's, or gRPC's.

use std::borrow::Cow;

use crate::fields::{FieldLine, FieldName, FieldSection};
use crate::message::Version;
use crate::record::Cause;
use crate::request::Request;
use crate::time::imf_fixdate;

/// 9209-2-01: the gateway's name as a token of structured fields, which begin with a letter, or as a string.
pub(super) fn token_or_string(name: &str) -> Cow<'_, str> {
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("\"{name}\""))
    }
}

/// An answer of the gateway.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status on the wire.
    pub(super) status: u16,
    pub(super) fields: FieldSection,
    pub(super) content: String,
}

/// Who answers, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answerer<'a> {
    pub(super) name: &'a str,
    pub(super) unix_seconds: u64,
    pub(super) seed: u64,
}

impl Answerer<'_> {
    /// The answer for this cause, to this request, for which there is so much room: content that would have to wait for its client is left out, for all
    /// that the request holds would wait with it.
    pub(super) fn answer(self, cause: Cause, request: &Request, room: usize) -> Answer {
        if is_call(request) {
            self.grpc(cause, grpc_status(cause))
        } else {
            self.http(cause, cause.status().0, room)
        }
    }

    /// The answer to a request whose time is over, and which has waited for this: 504, whatever status the cause has by itself.
    pub(super) fn too_late(self, cause: Cause, request: &Request, room: usize) -> Answer {
        if is_call(request) { self.grpc(cause, DEADLINE_EXCEEDED) } else { self.http(cause, 504, room) }
    }

    fn http(self, cause: Cause, status: u16, room: usize) -> Answer {
        let error = cause.status().1;
        let content = match cause {
            // Nobody knows whether it was HEAD.
            _ if cause.is_refusal() => String::new(),
            Cause::LastForward => String::new(),
            _ => format!("{status} {error}\n"),
        };
        let content = if content.len() <= room { content } else { String::new() };
        let mut fields = FieldSection::new();
        let mut push = |name: &[u8], value: &[u8]| fields.push(FieldLine::new(name, value, self.seed));
        push(b":status", status.to_string().as_bytes());
        push(b"content-type", b"text/plain; charset=utf-8");
        push(b"content-length", content.len().to_string().as_bytes());
        self.push_common(&mut fields, error);
        if status == 503 {
            fields.push(FieldLine::new(b"retry-after", b"1", self.seed));
        }
        Answer { status, fields, content }
    }

    /// Trailers only: whoever calls by gRPC looks for its status in the one section of a response, whose HTTP status is 200; but that it came by the
    /// wrong connection is a word of HTTP (RFC 9110 section 15.5.20) for what makes connections below it, which may ask by another one.
    /// Who looks for gRPC's status finds that there, too.
    fn grpc(self, cause: Cause, grpc_status: u8) -> Answer {
        let status = if cause == Cause::Misdirected { cause.status().0 } else { 200 };
        let mut fields = FieldSection::new();
        let mut push = |name: &[u8], value: &[u8]| fields.push(FieldLine::new(name, value, self.seed));
        let error = cause.status().1;
        push(b":status", status.to_string().as_bytes());
        push(b"content-type", b"application/grpc");
        push(b"grpc-status", grpc_status.to_string().as_bytes());
        push(b"grpc-message", error.as_bytes());
        self.push_common(&mut fields, error);
        Answer { status, fields, content: String::new() }
    }

    fn push_common(self, fields: &mut FieldSection, error: &str) {
        let proxy_status = format!("{}; error={error}", token_or_string(self.name));
        fields.push(FieldLine::new(b"date", &imf_fixdate(self.unix_seconds), self.seed));
        fields.push(FieldLine::new(b"proxy-status", proxy_status.as_bytes(), self.seed));
    }
}

/// Whether a request is a call by gRPC, which there is over HTTP/2 only.
pub(super) fn is_call(request: &Request) -> bool {
    request.awaiting.version == Version::Http2 && is_grpc(&request.fields)
}

/// Whether a request over HTTP/2 is a call by gRPC: `application/grpc`, perhaps with a suffix or parameters.
/// `application/grpc-web` is another protocol, and a request for a tunnel is no call: 200 would say that it stands.
fn is_grpc(request: &FieldSection) -> bool {
    let kind = request.value_of(FieldName::ContentType).unwrap_or_default();
    let rest = kind.split_at_checked(16).filter(|(kind, _)| kind.eq_ignore_ascii_case(b"application/grpc"));
    rest.is_some_and(|(_, rest)| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
        && request.value_of(FieldName::Method) != Some(b"CONNECT")
}

/// gRPC's status of a call whose time is over.
const DEADLINE_EXCEEDED: u8 = 4;

/// The status that a gRPC client would make of the HTTP status, so that it is told the same whether it knows of gateways or
/// not; but where time has run out on a call that a backend may have executed, that is what is said.
const fn grpc_status(cause: Cause) -> u8 {
    const UNKNOWN: u8 = 2;
    const UNIMPLEMENTED: u8 = 12;
    const INTERNAL: u8 = 13;
    const UNAVAILABLE: u8 = 14;
    match (cause, cause.status().0) {
        (Cause::ResponseTimeout | Cause::StreamIdle, _) => DEADLINE_EXCEEDED,
        (_, 400 | 431) => INTERNAL,
        (_, 404 | 501) => UNIMPLEMENTED,
        (_, 429 | 502 | 503 | 504) => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_grpc_and_what_is_not() {
        let of = |kind: &str| {
            let mut fields = FieldSection::new();
            fields.push(FieldLine::new(b"content-type", kind.as_bytes(), 1));
            is_grpc(&fields)
        };
        for grpc in
            ["application/grpc", "application/grpc+proto", "Application/GRPC; a=b", "application/grpc ;a"]
        {
            assert!(of(grpc), "{grpc}");
        }
        for other in ["application/grpc-web", "application/grpcx", "application/json", "", "application/grp"]
        {
            assert!(!of(other), "{other}");
        }
        assert!(!is_grpc(&FieldSection::new()));
    }

    /// gRPC's mapping of HTTP statuses, cause by cause.
    #[test]
    fn causes_have_the_status_that_grpc_makes_of_theirs() {
        for cause in Cause::ALL {
            let expected = match cause {
                Cause::ResponseTimeout | Cause::StreamIdle => 4,
                Cause::RequestHeadTooLarge | Cause::BackendHeadLimit | Cause::RequestMalformed => 13,
                Cause::NoRoute | Cause::NotServed | Cause::CodingUnsupported => 12,
                Cause::HookAnswered | Cause::HookFailed(_) | Cause::LastForward => 2,
                Cause::RequestTargetTooLong | Cause::VersionUnsupported | Cause::Misdirected => 2,
                _ => 14,
            };
            assert_eq!(grpc_status(cause), expected, "{cause:?}");
        }
    }
}
