//! Answers that the gateway makes itself.

use crate::fields::FieldSection;
use crate::gateway::Gateway;
use crate::gateway::answer::{Answer, Answerer};
use crate::record::Cause;
use crate::request::{ContentMemory, RequestKey, ResponsePhase};
use crate::time::Instant;

impl Gateway {
    /// Answers in place of the backend. What the client still sends is discarded.
    pub(super) fn answer_locally(&mut self, key: RequestKey, cause: Cause, now: Instant) {
        let fields = self.requests.get(key).and_then(|request| request.place.fields());
        let Answer { status, fields, content } = self.answerer(now).answer(cause, fields);
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
            // 9110-9.3.2-01
            (awaiting.front, content.is_empty() || awaiting.head.method == crate::message::Method::Head);
        awaiting.response = ResponsePhase::Local(status, cause);
        self.spare.take_back(core::mem::take(&mut awaiting.content));
        self.replays.end(awaiting, &mut self.conns, &mut self.spare);
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

    fn answerer(&self, now: Instant) -> Answerer<'_> {
        let unix_seconds = self.wall.unix_seconds_at(now);
        Answerer { name: &self.config.via, unix_seconds, seed: self.seed }
    }
}
