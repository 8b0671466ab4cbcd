//! What backends send: responses go to the fronts that wait for them.

use crate::error::{ErrorCode, StreamError};
use crate::fields::FieldSection;
use crate::gateway::deadlines::Kind;
use crate::gateway::front::key_of;
use crate::gateway::{ConnId, Gateway, forward};
use crate::h2::{Cut, Event, StreamKey};
use crate::message::ResponseHead;
use crate::record::{AttemptOutcome, Cause};
use crate::request::{Place, RequestKey, ResponsePhase};
use crate::time::Instant;
use crate::window::{Both, Credit};

impl Gateway {
    pub(super) fn backend_event(&mut self, conn: ConnId, event: Event<'_>, now: Instant) {
        match event {
            Event::Interim { tag, fields, .. } => self.interim_response(key_of(tag), fields),
            Event::Response { tag, head, fields, end, .. } => {
                self.response_head(key_of(tag), head, fields, end, now);
            }
            Event::Data { stream, tag, data, credit, end } => {
                self.response_content((conn, stream), key_of(tag), data, credit, end, now);
            }
            Event::Trailers { tag, fields, .. } => self.response_trailers(key_of(tag), fields, now),
            Event::Reset { tag, error_code: ErrorCode::REFUSED_STREAM, .. } => {
                self.unprocessed(key_of(tag), Cause::BackendReset(ErrorCode::REFUSED_STREAM), now);
            }
            Event::Reset { tag, error_code, .. } => {
                self.fail_request(key_of(tag), Cause::BackendReset(error_code), now);
            }
            Event::Failed { tag, error: StreamError::FieldsTooLarge, .. } => {
                self.fail_request(key_of(tag), Cause::ResponseHeadTooLarge, now);
            }
            Event::Failed { tag, .. } => self.fail_request(key_of(tag), Cause::BackendProtocol, now),
            Event::Unprocessed { tag, .. } => self.unprocessed(key_of(tag), Cause::ConnectionTerminated, now),
            Event::Settings => self.settings_came(conn, now),
            Event::GoAway { .. } => self.backend_goes_away(conn, now),
            // We send no PING to backends yet.
            Event::PingAck { .. } => {}
            Event::Request { .. } | Event::RequestTooLarge { .. } => self.ignored_events += 1,
        }
    }

    fn interim_response(&mut self, key: RequestKey, fields: FieldSection) {
        let front = self.requests.get(key).map(|request| request.awaiting.front);
        if let Some(front) = front {
            if let Some(entry) = self.conns.get_mut(front.conn) {
                // A front that is gone has ended its request.
                let _ = entry.h2.send_head(front.stream, &fields, false);
            }
            self.touch(front.conn);
        }
        self.keep_section(fields);
    }

    fn response_head(
        &mut self,
        key: RequestKey,
        head: ResponseHead,
        mut fields: FieldSection,
        end: bool,
        now: Instant,
    ) {
        if let Some(request) = self.requests.get_mut(key) {
            let front = request.awaiting.front;
            request.awaiting.response = ResponsePhase::Begun(head.status);
            request.awaiting.responded = Some(now);
            if let Some(live) = request.live_mut() {
                live.attempt.responded = Some(now);
            }
            if let Some(route) = &request.awaiting.route {
                route.response_headers.apply(&mut fields);
            }
            forward::response(&mut fields, &self.via, head.content_length_repeated);
            self.watch_progress(key, now);
            self.lend_outbox(front.conn);
            if let Some(entry) = self.conns.get_mut(front.conn) {
                let _ = entry.h2.send_head(front.stream, &fields, end);
            }
            self.touch(front.conn);
            if end {
                self.backend_done(key, now);
                self.response_left(key, now);
            }
        }
        self.keep_section(fields);
    }

    fn response_content(
        &mut self,
        (conn, stream): (ConnId, StreamKey),
        key: RequestKey,
        data: &[u8],
        credit: Credit<Both>,
        end: bool,
        now: Instant,
    ) {
        let (mut owed, connection) = credit.split();
        // The octets lie in memory that the permit reserved, so that a slow client never stalls the others.
        if let Some(entry) = self.conns.get_mut(conn) {
            entry.h2.release_connection(connection);
        }
        let Some(request) = self.requests.get_mut(key) else { return };
        if let Some(live) = request.live_mut() {
            live.attempt.response_octets += data.len() as u64;
        }
        let front = request.awaiting.front;
        let cut =
            match self.conns.get_mut(front.conn).map(|entry| entry.h2.send_data(front.stream, data, end)) {
                Some(Ok(cut)) => cut,
                Some(Err(_)) | None => data.len(),
            };
        let taken_at_once = cut == data.len() && !end;
        let left = owed.take(cut as u32);
        request.awaiting.response_octets += cut as u64;
        if cut > 0 {
            request.awaiting.progress_at = now;
        }
        request.awaiting.response_credit.merge(owed);
        if left.octets() > 0
            && let Some(entry) = self.conns.get_mut(conn)
        {
            entry.h2.release_stream(stream, left);
        }
        self.touch(front.conn);
        if taken_at_once {
            self.widen_for_fast_client(key);
        }
        if end {
            self.backend_done(key, now);
            if cut == data.len() {
                self.response_left(key, now);
            }
        }
    }

    fn response_trailers(&mut self, key: RequestKey, fields: FieldSection, now: Instant) {
        let Some(front) = self.requests.get(key).map(|request| request.awaiting.front) else {
            return self.keep_section(fields);
        };
        let mut all_left = false;
        if let Some(entry) = self.conns.get_mut(front.conn) {
            all_left = entry.h2.queued(front.stream) == 0;
            let _ = entry.h2.send_trailers(front.stream, fields);
        }
        self.touch(front.conn);
        self.backend_done(key, now);
        if all_left {
            self.response_left(key, now);
        }
    }

    /// The backend's part is over: the response was received whole. An upload that goes on has lost its use
    /// (RFC 9113 section 8.1).
    fn backend_done(&mut self, key: RequestKey, now: Instant) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let Some(live) = request.take_live() else { return };
        let (conn, stream) = (live.conn(), live.stream());
        let (mut finished, attempt) = live.finish();
        let (id, status) = (request.awaiting.id, request.awaiting.status());
        let front = request.awaiting.front;
        let waiting = self.conns.get(front.conn).map_or(0, |entry| entry.h2.queued(front.stream));
        let surplus = finished.trim(waiting as u32);
        request.place = Place::Finished(finished);
        if let Some(surplus) = surplus {
            self.give_back(front.conn, surplus);
        }
        self.attempt_over(id, &attempt, AttemptOutcome::Complete, status, now);
        self.reset_stream(conn, stream, ErrorCode::CANCEL, now);
        self.release_request(key, u32::MAX);
        self.stream_ended(conn, now);
    }

    /// The backend says that it did not process the request: it may be sent again (RFC 9113 section 8.7), if nothing of
    /// it was given away and nothing of a response was passed on.
    fn unprocessed(&mut self, key: RequestKey, cause: Cause, now: Instant) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let awaiting = &mut request.awaiting;
        let intact = !awaiting.content_given && awaiting.response == ResponsePhase::Awaited;
        let upstream = awaiting.route.as_ref().and_then(|route| self.registry.upstream(route.upstream));
        let attempts_max = upstream.map_or(0, |upstream| upstream.config().retry.unprocessed_attempts);
        if !intact || awaiting.attempts >= attempts_max {
            return self.fail_attempt(key, AttemptOutcome::Unprocessed(cause), cause, now);
        }
        awaiting.frozen = now;
        let (id, lane, front) = (awaiting.id, awaiting.lane, awaiting.front);
        let Some(live) = request.take_live() else { return };
        let (frozen, permit, attempt) = live.refreeze();
        request.place = Place::Frozen(frozen);
        self.give_back(front.conn, permit);
        self.attempt_over(id, &attempt, AttemptOutcome::Unprocessed(cause), 0, now);
        if let Some(lane) = lane {
            self.registry.resubmit(&mut self.requests, key, lane);
        }
        self.arm_request(key, Kind::Queue, now);
        self.stream_ended(attempt.conn, now);
    }

    /// Octets of content were cut for one side: the other side gets its credit.
    pub(super) fn content_left(&mut self, conn: ConnId, cut: Cut, now: Instant) {
        let key = key_of(cut.tag);
        let is_front = self.conns.get(conn).is_some_and(super::conn::Conn::is_front);
        let Some(request) = self.requests.get_mut(key) else { return };
        let awaiting = &mut request.awaiting;
        if cut.octets > 0 {
            awaiting.progress_at = now;
        }
        if !is_front {
            if let Some(live) = request.live_mut() {
                live.attempt.request_octets += u64::from(cut.octets);
            }
            self.release_request(key, cut.octets);
            if cut.end {
                self.request_sent(key, now);
            }
            return;
        }
        awaiting.response_octets += u64::from(cut.octets);
        let credit = awaiting.response_credit.take(cut.octets);
        if let Place::Live(live) = &request.place {
            let (conn, stream) = (live.conn(), live.stream());
            if let Some(entry) = self.conns.get_mut(conn) {
                entry.h2.release_stream(stream, credit);
            }
            self.touch(conn);
        }
        if cut.end {
            self.response_left(key, now);
        }
    }
}
