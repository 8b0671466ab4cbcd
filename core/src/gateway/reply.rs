//! Answers that the gateway makes itself, or a hook.

use bytes::Bytes;

use crate::fields::FieldSection;
use crate::gateway::Gateway;
use crate::gateway::answer::{Answer, Answerer};
use crate::h2::Sent;
use crate::hooks::{HookFailed, OUTPUT_OCTETS, Relay, Step, Transform};
use crate::message::Method;
use crate::record::Cause;
use crate::request::{ContentMemory, Request, RequestKey, ResponsePhase};
use crate::session::Session;
use crate::time::Instant;

impl Gateway {
    /// Answers in place of the backend. What the client still sends is discarded.
    pub(super) fn answer_locally(&mut self, key: RequestKey, cause: Cause, now: Instant) {
        self.answer_by(key, cause, |of, cause, request, room| of.answer(cause, request, room), now);
    }

    /// The same where the time that the whole exchange may take is over while no backend has the request.
    pub(super) fn answer_too_late(&mut self, key: RequestKey, cause: Cause, now: Instant) {
        self.answer_by(key, cause, |of, cause, request, room| of.too_late(cause, request, room), now);
    }

    fn answer_by(
        &mut self,
        key: RequestKey,
        cause: Cause,
        make: fn(Answerer<'_>, Cause, &Request, usize) -> Answer,
        now: Instant,
    ) {
        let Some(request) = self.requests.get(key) else { return };
        let front = request.awaiting.front;
        let room = self.conns.get(front.conn).map_or(0, |entry| entry.session.room_at_once(front.stream));
        let Answer { status, fields, content } = make(self.answerer(now), cause, request, room);
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
        let mut all_left = true;
        if self.answer_head_sent(key, (status, cause), fields, content.is_empty(), now)
            && let Some(request) = self.requests.get_mut(key)
            && let Some(entry) = self.conns.get_mut(request.awaiting.front.conn)
        {
            let stream = request.awaiting.front.stream;
            let Sent { cut, waits } = entry.session.send_data(stream, content, true);
            request.awaiting.response_octets += cut as u64;
            request.awaiting.falls_due(content.len() - cut, now);
            all_left = !waits;
        }
        self.answer_begun(key);
        if all_left {
            self.response_left(key, now);
        } else {
            self.watch_progress(key, now);
        }
    }

    /// The same with content of any length: what its stream has no room for stays where it is, and is copied step by step.
    pub(super) fn answer_with(
        &mut self,
        key: RequestKey,
        (status, cause): (u16, Cause),
        fields: &FieldSection,
        content: Bytes,
        now: Instant,
    ) {
        if content.len() <= OUTPUT_OCTETS {
            return self.answer(key, (status, cause), fields, &content, now);
        }
        if !self.answer_head_sent(key, (status, cause), fields, false, now) {
            self.answer_begun(key);
            return self.response_left(key, now);
        }
        if let Some(request) = self.requests.get_mut(key) {
            let mut relay = Relay::new(Box::new(Whole(content)));
            relay.put(&[], true);
            request.awaiting.relay = Some(Box::new(relay));
        }
        self.answer_begun(key);
        self.watch_progress(key, now);
        self.relay_response(key, now);
    }

    /// The head of an answer that was made here. Says whether content is to follow.
    fn answer_head_sent(
        &mut self,
        key: RequestKey,
        (status, cause): (u16, Cause),
        fields: &FieldSection,
        is_empty: bool,
        now: Instant,
    ) -> bool {
        let Some(request) = self.requests.get_mut(key) else { return false };
        let awaiting = &mut request.awaiting;
        let front = awaiting.front;
        let is_head = is_empty || awaiting.head.method == Method::Head; // 9110-9.3.2-01
        awaiting.response = ResponsePhase::Local(status, cause);
        awaiting.responded = Some(now);
        self.spare.take_back(core::mem::take(&mut awaiting.content));
        self.replays.end(awaiting, &mut self.conns, &mut self.spare);
        let Some(entry) = self.conns.get_mut(front.conn) else { return false };
        // What no backend has had earns nothing, nor what went beyond the client's share. Of a head that was too large the cost says already what its
        // answer earns.
        if let Session::H2(connection) = &mut entry.session
            && (awaiting.attempts == 0 || cause == Cause::MemoryLimit)
            && cause != Cause::RequestHeadTooLarge
        {
            connection.earns_nothing(front.stream);
        }
        entry.session.send_head(front.stream, fields, is_head).is_ok() && !is_head
    }

    /// It is on its way: what the client still sends is discarded.
    fn answer_begun(&mut self, key: RequestKey) {
        self.release_request(key, u32::MAX);
        if let Some(request) = self.requests.get(key) {
            self.touch(request.awaiting.front.conn);
        }
    }

    fn answerer(&self, now: Instant) -> Answerer<'_> {
        let unix_seconds = self.wall.unix_seconds_at(now);
        Answerer { name: &self.config.via, unix_seconds, seed: self.seed }
    }
}

/// Content that there is already: nothing is read, and it is written as far as there is room.
struct Whole(Bytes);

impl Transform for Whole {
    fn transform(&mut self, _: &[u8], _: bool, output: &mut [u8]) -> Result<Step, HookFailed> {
        let piece = self.0.split_to(self.0.len().min(output.len()));
        output[..piece.len()].copy_from_slice(&piece);
        Ok(Step { read: 0, written: piece.len(), more: !self.0.is_empty() })
    }
}
