//! The ends of a request: every way leads to one settlement.

use std::sync::Arc;

use crate::counters::Limit;
use crate::error::{ErrorCode, StreamError};
use crate::fields::FieldSection;
use crate::gateway::account::count_attempt;
use crate::gateway::conn::Conn;
use crate::gateway::{ConnId, Gateway};
use crate::h2::StreamKey;
use crate::record::{AttemptOutcome, AttemptRecord, Cause, EndRecord, Outcome, Record};
use crate::request::{Attempt, Awaiting, FrontAddress, Place, Request, RequestKey, ResponsePhase};
use crate::session::Session;
use crate::time::Instant;

impl Gateway {
    /// There will be no (whole) response from a backend. The client gets an answer of ours, or a reset where the
    /// response had begun: never a clean end.
    pub(super) fn fail_request(&mut self, key: RequestKey, cause: Cause, now: Instant) {
        self.fail_attempt(key, AttemptOutcome::Failed(cause), cause, now);
    }

    /// The same, where the attempt that failed, if there was one, ended in a way of its own.
    pub(super) fn fail_attempt(&mut self, key: RequestKey, how: AttemptOutcome, cause: Cause, now: Instant) {
        self.leave_place(key, how, now);
        let Some(request) = self.requests.get(key) else { return };
        let (front, response) = (request.awaiting.front, request.awaiting.response);
        let code = broken_off(&request.awaiting);
        // An answer of ours is on its way, and keeps the deadline that watches it.
        if !matches!(response, ResponsePhase::Local(..)) {
            self.disarm_request(key);
        }
        match response {
            ResponsePhase::Awaited => self.answer_locally(key, cause, now),
            // It was whole before.
            ResponsePhase::Begun(_) if self.is_in_line(front) => self.watch_progress(key, now),
            ResponsePhase::Begun(_) => {
                self.reset_stream(front.conn, front.stream, code, now);
                self.settle(key, Outcome::Truncated(cause), now);
            }
            ResponsePhase::Local(..) => {}
        }
    }

    /// Content has stood still for too long.
    pub(super) fn stall(&mut self, key: RequestKey, now: Instant) {
        let Some(request) = self.requests.get(key) else { return };
        let front = request.awaiting.front;
        if request.awaiting.response == ResponsePhase::Awaited {
            // Not the endpoint's failure.
            return self.fail_attempt(key, AttemptOutcome::Abandoned, Cause::StreamIdle, now);
        }
        self.reset_stream(front.conn, front.stream, ErrorCode::CANCEL, now);
        self.settle(key, Outcome::Truncated(Cause::StreamIdle), now);
    }

    /// The client's stream is gone: the backend hears of it at once.
    pub(super) fn client_gone(&mut self, key: RequestKey, outcome: Outcome, now: Instant) {
        self.leave_backend_of(key, now);
        self.settle(key, outcome, now);
    }

    fn leave_backend_of(&mut self, key: RequestKey, now: Instant) {
        let backend = self.requests.get(key).and_then(|request| match &request.place {
            Place::Live(live) => Some((live.conn(), live.stream())),
            Place::Frozen(_) | Place::Finished(_) => None,
        });
        if let Some((conn, stream)) = backend {
            self.reset_stream(conn, stream, ErrorCode::CANCEL, now);
        }
    }

    /// The client's stream has failed. Over HTTP/1.1 its connection may have answered by itself.
    pub(super) fn client_failed(
        &mut self,
        (conn, key): (ConnId, RequestKey),
        error: StreamError,
        now: Instant,
    ) {
        self.count_stream_error(conn, error);
        let said = self.conns.get(conn).and_then(|entry| match &entry.session {
            Session::H1(session) => session.refused(),
            Session::H2(_) | Session::Dormant(_) => None,
        });
        if said == Some(431) {
            self.account.hit(Limit::RequestHead);
        }
        self.leave_backend_of(key, now);
        self.leave_place(key, AttemptOutcome::Abandoned, now);
        if let (Some(request), Some(status)) = (self.requests.get_mut(key), said)
            && request.awaiting.response == ResponsePhase::Awaited
        {
            request.awaiting.response = ResponsePhase::Begun(status);
        }
        self.settle(key, Outcome::ClientError, now);
    }

    /// The whole response is in the client's outbox, or waits for others to leave. A client that is still sending is told to stop, without an error
    /// (RFC 9113 section 8.1).
    pub(super) fn response_left(&mut self, key: RequestKey, now: Instant) {
        let Some(request) = self.requests.get(key) else { return };
        let front = request.awaiting.front;
        let outcome = match request.awaiting.response {
            ResponsePhase::Awaited | ResponsePhase::Begun(_) => Outcome::Complete,
            ResponsePhase::Local(_, cause) => Outcome::LocalReply(cause),
        };
        let session = self.conns.get(front.conn).map(|entry| &entry.session);
        if session.is_some_and(|session| session.stream_id(front.stream).is_some()) {
            if self.is_in_line(front) {
                return self.watch_progress(key, now);
            }
            self.reset_stream(front.conn, front.stream, ErrorCode::NO_ERROR, now);
        }
        self.settle(key, outcome, now);
    }

    /// Whether the response is whole and waits for those before.
    pub(super) fn is_in_line(&self, front: FrontAddress) -> bool {
        self.conns.get(front.conn).is_some_and(|entry| awaits_its_turn(&entry.session, front.stream))
    }

    /// Takes the request from wherever it is to where nobody but its front holds it.
    #[inline(always)]
    pub(super) fn leave_place(&mut self, key: RequestKey, how: AttemptOutcome, now: Instant) {
        let Some(request) = self.requests.get_mut(key) else { return };
        match request.place {
            Place::Finished(_) => {}
            Place::Frozen(_) => {
                request.abandon();
                request.awaiting.paused = false;
                let crowds = request.awaiting.crowds;
                if let Some(lane) = request.awaiting.lane {
                    self.registry.withdraw(&mut self.requests, key, lane);
                }
                if crowds {
                    self.leave_crowd(key);
                }
            }
            Place::Live(_) => {
                let Some(attempt) = request.finish() else { return };
                if request.awaiting.response == ResponsePhase::Awaited {
                    request.awaiting.count(how);
                }
                self.attempt_over(key, &attempt, how, now);
                self.stream_ended(attempt.conn, now);
            }
        }
    }

    /// A backend is done with a request, one way or the other.
    pub(super) fn attempt_over(
        &mut self,
        key: RequestKey,
        attempt: &Attempt,
        outcome: AttemptOutcome,
        now: Instant,
    ) {
        let request = self.requests.get_mut(key);
        // An endpoint is there as long as it has connections.
        if let Some(endpoint) = self.registry.endpoint_mut(attempt.endpoint) {
            endpoint.stream_over();
            if let Some(request) = &request
                && count_attempt(endpoint, attempt, (&request.awaiting, outcome), now)
            {
                self.registry.rested(attempt.endpoint.upstream);
            }
        }
        let Some(request) = request else { return };
        request.awaiting.last_failure = outcome.cause();
        let id = request.awaiting.id;
        if !self.has_readers() {
            return;
        }
        let engine =
            self.conns.get_mut(attempt.conn).and_then(Conn::engine_mut).map_or(0, |engine| engine.number);
        let record = AttemptRecord {
            request: id,
            number: attempt.number,
            upstream: self
                .registry
                .upstream(attempt.endpoint.upstream)
                .map_or_else(Default::default, |of| of.config().name.clone()),
            endpoint: self
                .registry
                .endpoint(attempt.endpoint)
                .map_or_else(Default::default, |of| of.label.clone()),
            engine,
            stream_id: attempt.stream_id,
            outcome,
            status: attempt.status,
            request_octets: attempt.request_octets,
            response_octets: attempt.response_octets,
            thawed: attempt.thawed,
            sent: attempt.sent,
            responded: attempt.responded,
            ended: now,
        };
        self.write_record(Record::Attempt(record));
    }

    /// The one completion: the record is written, everything the request held is given back.
    fn settle(&mut self, key: RequestKey, outcome: Outcome, now: Instant) {
        self.leave_place(key, AttemptOutcome::Abandoned, now);
        let Some(Request { awaiting, .. }) = self.requests.get_mut(key) else { return };
        let deadline = awaiting.deadline.take();
        let (front, stream) = (awaiting.front, awaiting.request_credit.take(u32::MAX));
        let connection = awaiting.request_connection_credit.take(u32::MAX);
        self.cancel_deadline(deadline);
        self.release_front(front, stream, connection);
        // What it held is taken out where it stands: it is large, and moving it costs as much as all of this.
        let Some(request) = self.requests.get_mut(key) else { return };
        let settled = request.settle();
        let awaiting = &mut request.awaiting;
        let of = awaiting.upstream();
        if let Some(upload) = awaiting.upload.take() {
            self.uploads.give_back(upload);
        }
        let sections = awaiting.sections.take();
        self.replays.settle(awaiting, &mut self.conns, &mut self.spare);
        let total = awaiting.total.take();
        let fields = core::mem::take(&mut request.fields);
        if let Some(held) = settled {
            self.account.count_end(awaiting, outcome, now);
            let crowds = awaiting.crowds_memory;
            if let Some(held) = held {
                if crowds > 0 {
                    self.leave_memory(key, crowds);
                }
                self.give_back(front.conn, held);
            }
            self.write_end(key, fields, outcome, now);
        }
        self.end_sections(front.conn, sections);
        self.requests.discard(key);
        self.cancel_deadline(total);
        self.stream_ended(front.conn, now);
        if of.is_some_and(|of| self.registry.request_ended(of)) {
            self.retire_unwanted(now);
        }
    }

    fn write_end(&mut self, key: RequestKey, fields: FieldSection, outcome: Outcome, now: Instant) {
        if !self.has_readers() {
            return self.keep_section(fields);
        }
        let Some(Request { awaiting, .. }) = self.requests.get(key) else { return };
        let upstream = awaiting.upstream().and_then(|of| self.registry.upstream(of));
        let record = EndRecord {
            request: awaiting.id,
            client: self.client_of(awaiting.front.conn),
            tls: self.conns.get(awaiting.front.conn).and_then(|entry| entry.tls.clone()),
            version: awaiting.version,
            fields,
            route: awaiting.route.as_ref().map(|route| Arc::clone(&route.name)),
            upstream: upstream.map(|of| Arc::clone(&of.config().name)),
            status: awaiting.status(),
            outcome,
            request_octets: awaiting.request_octets,
            response_octets: awaiting.response_octets,
            attempts: awaiting.attempts,
            maybe_executed: awaiting.maybe_executed,
            accepted: awaiting.accepted,
            frozen: awaiting.frozen,
            thawed: awaiting.thawed,
            responded: awaiting.responded,
            ended: now,
        };
        self.write_record(Record::Ended(record));
    }
}

/// By what code a client hears that its response broke off (9113-8.7-02), or its tunnel (RFC 8441 section 5, RFC 9113 section 8.5).
fn broken_off(awaiting: &Awaiting) -> ErrorCode {
    match &awaiting.tunnel {
        None => ErrorCode::INTERNAL_ERROR,
        Some(_) if awaiting.head.extended_connect => ErrorCode::CANCEL,
        Some(_) => ErrorCode::CONNECT_ERROR,
    }
}

/// Whether a response is whole and waits for those before, although no content of it does. Over HTTP/2 it leaves at once.
pub(super) fn awaits_its_turn(session: &Session, stream: StreamKey) -> bool {
    matches!(session, Session::H1(session) if session.awaits_its_turn(stream))
}
