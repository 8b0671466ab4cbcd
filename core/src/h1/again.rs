//! Of a server: heads of requests that come again, octet for octet, are not read again; and those of responses that go out again are not written again.
//!
//! A client that asks for the same in the same way gives rise to the same section, which has an
//! [origin](FieldSection::origin) from then on, so that all that follows from it is known as well.

use crate::fields::{FieldSection, Origin, Repeats};
use crate::h1::connection::Connection;
use crate::h1::framing::Framing;
use crate::h1::head::{self, RequestParts};
use crate::h1::write::{self, ResponseFrame};
use crate::message::{self, Malformed, Refusal, ResponseHead, Version};

/// The longest head that is kept, in octets.
const KEPT_HEAD_MAX: usize = 1 << 10;

/// What a server remembers. Small, until something came or left twice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Again {
    /// Names the connection in origins. Nothing that comes is remembered without.
    identity: Option<u32>,
    requests: Repeats<(), RequestParts>,
    /// The section that left last.
    last: Origin,
    response: Option<Box<Response>>,
}

/// The head of a response as it left.
#[derive(Clone, Debug)]
struct Response {
    origin: Origin,
    head: ResponseHead,
    frame: (Framing, bool, Version),
    octets: Box<[u8]>,
}

/// What a head depends on beside its section, unless that is an upgrade.
fn plain(frame: &ResponseFrame<'_>) -> Option<(Framing, bool, Version)> {
    if frame.upgrade.is_some() { None } else { Some((frame.framing, frame.close, frame.version)) }
}

impl Connection {
    /// The same connection with a name of its own: its sections may have [origins](FieldSection::origin). `identity` as for
    /// [`Decoder::new`](crate::hpack::Decoder::new).
    pub fn with_identity(mut self, identity: u32) -> Self {
        self.again.identity = Some(identity);
        self
    }

    /// What the head of a request says that came before.
    pub(crate) fn known_request(&self, octets: &[u8]) -> Option<(RequestParts, FieldSection)> {
        let repeat = self.again.requests.find(octets, &())?;
        Some((repeat.meaning.clone(), repeat.section.share()))
    }

    /// Reads the head of a request, as [`head::request`] does.
    pub(crate) fn read_request(
        &mut self,
        octets: &[u8],
        fields: &mut FieldSection,
    ) -> Result<RequestParts, Refusal> {
        let parts = head::request(octets, &self.rules(), fields)?;
        if let Some(identity) = self.again.identity
            && octets.len() <= KEPT_HEAD_MAX
            && parts.upgrade.is_none()
        {
            self.again.requests.read((octets, self.seed), (), identity, fields, parts.clone());
        }
        Ok(parts)
    }
}

impl Again {
    /// What the head of a response says.
    pub(crate) fn response_head(&self, fields: &FieldSection) -> Result<ResponseHead, Malformed> {
        match &self.response {
            Some(response) if response.origin == fields.origin() => Ok(response.head),
            _ => message::response(fields),
        }
    }

    /// Writes the head of a final response, as [`write::response`] does.
    pub(crate) fn write_response(
        &mut self,
        out: &mut Vec<u8>,
        head: &ResponseHead,
        fields: &FieldSection,
        frame: &ResponseFrame<'_>,
    ) {
        let (origin, plain) = (fields.origin(), plain(frame));
        if let Some(response) = &self.response
            && response.origin == origin
            && Some(response.frame) == plain
        {
            return out.extend_from_slice(&response.octets);
        }
        let start = out.len();
        write::response(out, head, fields, frame);
        let before = core::mem::replace(&mut self.last, origin);
        if let Some(frame) = plain
            && origin != Origin::NONE
            && origin == before
            && out.len() - start <= KEPT_HEAD_MAX
        {
            self.response =
                Some(Box::new(Response { origin, head: *head, frame, octets: out[start..].into() }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{FieldLine, OwnOrigins};
    use crate::h2::Role;

    /// Of heads that come one after the other, whether each has an origin.
    fn known(server: &mut Connection, heads: &[&str]) -> Vec<bool> {
        let read = |head: &&str| {
            let mut anew = FieldSection::new();
            let (parts, fields) = server.known_request(head.as_bytes()).unwrap_or_else(|| {
                let mut fields = FieldSection::new();
                (server.read_request(head.as_bytes(), &mut fields).expect("a request"), fields)
            });
            let expected = head::request(head.as_bytes(), &server.rules(), &mut anew).expect("a request");
            assert_eq!((format!("{parts:?}"), &fields), (format!("{expected:?}"), &anew));
            fields.origin() != Origin::NONE
        };
        heads.iter().map(read).collect()
    }

    #[test]
    fn what_came_twice_is_known() {
        let new = || Connection::new(Role::Server, Default::default(), 1, 4096);
        let [a, b, c] = ["/a", "/b", "/c"]
            .map(|path| format!("GET {path} HTTP/1.1\r\nHost: a.example\r\nX-Y: z\r\n\r\n"));
        let heads = [&a[..], &a, &a, &b, &a, &b, &c, &c, &b];
        let expected = [false, true, true, false, true, true, false, true, true];
        assert_eq!(known(&mut new().with_identity(7), &heads), expected);
        assert_eq!(known(&mut new(), &heads), [false; 9], "without a name nothing is");
    }

    #[test]
    fn long_heads_and_upgrades_are_not_kept() {
        let long = format!("GET /{} HTTP/1.1\r\nHost: a.example\r\n\r\n", "x".repeat(KEPT_HEAD_MAX));
        let upgrade = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let mut server = Connection::new(Role::Server, Default::default(), 1, 4096).with_identity(7);
        assert_eq!(known(&mut server, &[&long, &long, upgrade, upgrade]), [false; 4]);
    }

    fn response(origin: Origin, value: &str) -> FieldSection {
        let mut fields = FieldSection::new();
        for (name, value) in [(":status", "200"), ("x", value)] {
            fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), 1));
        }
        fields.set_origin(origin);
        fields
    }

    /// Whatever left before, and however it was framed.
    #[test]
    fn what_left_twice_leaves_as_it_left() {
        let mut own = OwnOrigins::default();
        let sections = [(own.next(), "1"), (own.next(), "2"), (Origin::NONE, "3")]
            .map(|(origin, value)| response(origin, value));
        let plain = ResponseFrame {
            framing: Framing::Length(3),
            upgrade: None,
            close: false,
            version: Version::Http11,
        };
        let frames = [
            plain,
            ResponseFrame { close: true, ..plain },
            ResponseFrame { framing: Framing::Length(4), ..plain },
            ResponseFrame { version: Version::Http10, ..plain },
        ];
        let mut again = Again::default();
        let mut write = |fields: &FieldSection, frame: &ResponseFrame<'_>| {
            let head = again.response_head(fields).expect("a response");
            assert_eq!(Ok(head), message::response(fields));
            let (mut out, mut expected) = (b"before".to_vec(), b"before".to_vec());
            again.write_response(&mut out, &head, fields, frame);
            write::response(&mut expected, &head, fields, frame);
            assert_eq!(out, expected);
            again.response.as_ref().map(|response| response.origin)
        };
        for frame in &frames {
            for fields in sections.iter().chain(&sections) {
                let kept = (0..3).map(|_| write(fields, frame)).last().flatten();
                assert!(fields.origin() == Origin::NONE || kept == Some(fields.origin()));
            }
        }
        for fields in sections.iter().cycle().take(7) {
            for frame in &frames {
                write(fields, frame);
            }
        }
    }
}
