//! Answers that the gateway makes itself.

use crate::fields::FieldSection;
use crate::gateway::{Gateway, forward};
use crate::record::Cause;
use crate::request::{RequestKey, ResponsePhase};
use crate::time::Instant;

impl Gateway {
    /// Answers in place of the backend. What the client still sends is discarded.
    pub(super) fn answer_locally(&mut self, key: RequestKey, cause: Cause, now: Instant) {
        let (status, error) = cause.status();
        let content = match cause {
            // Nobody knows whether it was HEAD.
            _ if cause.is_refusal() => String::new(),
            _ => format!("{status} {error}\n"),
        };
        let fields = self.local_head(status, content.as_bytes(), error, now);
        self.answer(key, (status, cause), &fields, content.as_bytes(), now);
    }

    /// Sends an answer that was made here.
    pub(super) fn answer(
        &mut self,
        key: RequestKey,
        (status, cause): (u16, Cause),
        fields: &FieldSection,
        content: &[u8],
        now: Instant,
    ) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let awaiting = &mut request.awaiting;
        let (front, is_head) =
            (awaiting.front, content.is_empty() || awaiting.head.method == crate::message::Method::Head);
        awaiting.response = ResponsePhase::Local(status, cause);
        awaiting.content.clear();
        awaiting.replay.end(&mut self.replays);
        let mut all_left = true;
        if let Some(entry) = self.conns.get_mut(front.conn)
            && entry.session.send_head(front.stream, fields, is_head).is_ok()
            && !is_head
        {
            let cut = entry.session.send_data(front.stream, content, true).unwrap_or(content.len());
            awaiting.response_octets += cut as u64;
            all_left = cut == content.len();
        }
        self.release_request(key, u32::MAX);
        self.touch(front.conn);
        if all_left {
            self.response_left(key, now);
        } else {
            self.watch_progress(key, now);
        }
    }

    pub(super) fn local_head(&self, status: u16, content: &[u8], error: &str, now: Instant) -> FieldSection {
        let mut fields = FieldSection::new();
        let proxy_status = format!("{}; error={error}", forward::token_or_string(&self.config.via));
        let seconds = self.wall.unix_seconds_at(now);
        forward::local_response(&mut fields, status, content, &proxy_status, seconds, self.seed);
        fields
    }
}
