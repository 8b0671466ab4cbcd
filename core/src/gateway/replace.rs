//! Errors of backends whose content is replaced by our own (B76): what an application says of its troubles is not always for its
//! clients' eyes.

use crate::fields::{FieldLine, FieldSection};
use crate::gateway::Gateway;
use crate::gateway::answer::{is_call, token_or_string};
use crate::h2::Sent;
use crate::message::Method;
use crate::request::{Request, RequestKey};
use crate::time::Instant;

impl Gateway {
    /// The content that the client gets instead of a backend's, where its route wants that.
    pub(super) fn own_content(request: &Request, status: u16) -> Option<String> {
        let route = request.awaiting.route.as_ref()?;
        // Calls by gRPC have their status in fields, and no content that people read.
        let wanted = route.replace_errors.contains(&status) && !is_call(request);
        wanted.then(|| {
            match http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason()) {
                Some(reason) => format!("{status} {reason}\n"),
                None => format!("{status}\n"),
            }
        })
    }

    /// Sends the backend's head with our content, and wants no more of the backend. `length` is that of its own content, if known.
    pub(super) fn answer_in_place(
        &mut self,
        key: RequestKey,
        (status, length): (u16, Option<u64>),
        mut fields: FieldSection,
        content: &str,
        now: Instant,
    ) {
        let Some(request) = self.requests.get(key) else { return self.keep_section(fields) };
        let (front, is_head) = (request.awaiting.front, request.awaiting.head.method == Method::Head);
        self.describe(&mut fields, status, content.len());
        self.lend_outbox(front.conn);
        let mut sent = Sent { cut: 0, waits: false };
        if let Some(entry) = self.conns.get_mut(front.conn)
            && entry.session.send_head(front.stream, &fields, is_head).is_ok()
            && !is_head
        {
            sent = entry.session.send_data(front.stream, content.as_bytes(), true);
        }
        self.keep_section(fields);
        if let Some(request) = self.requests.get_mut(key) {
            request.awaiting.response_octets += sent.cut as u64;
        }
        self.touch(front.conn);
        self.leave_backend(key, length, now);
        if !sent.waits {
            self.response_left(key, now);
        } else {
            self.watch_progress(key, now);
        }
    }

    /// What the head says of content is said of ours. RFC 9209 section 2.1.4 has a word for a status that was received.
    fn describe(&self, fields: &mut FieldSection, status: u16, octets: usize) {
        // RFC 9110 section 15.5.17: there it tells how long the resource is.
        let of_resource = |name: &[u8]| status == 416 && name == b"content-range";
        fields.retain(|line| !OF_CONTENT.contains(&line.name) || of_resource(line.name));
        let mut push =
            |name: &[u8], value: &str| fields.push(FieldLine::new(name, value.as_bytes(), self.seed));
        push(b"content-type", "text/plain; charset=utf-8");
        push(b"content-length", &octets.to_string());
        push(b"proxy-status", &format!("{}; received-status={status}", token_or_string(&self.config.via)));
    }
}

/// Fields that tell of the content, or of the representation in it (RFC 9110 sections 6.6.2, 8 and 14; RFC 6266; RFC 9530), or
/// told of it (RFC 1864, RFC 3230).
const OF_CONTENT: [&[u8]; 15] = [
    b"accept-ranges",
    b"content-digest",
    b"content-disposition",
    b"content-encoding",
    b"content-language",
    b"content-length",
    b"content-location",
    b"content-md5",
    b"content-range",
    b"content-type",
    b"digest",
    b"etag",
    b"last-modified",
    b"repr-digest",
    b"trailer",
];
