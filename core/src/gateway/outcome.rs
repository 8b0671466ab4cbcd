//! The ends of a request: every way leads to one settlement.

use crate::error::ErrorCode;
use crate::gateway::conn::Side;
use crate::gateway::{Action, Gateway};
use crate::record::{Cause, Outcome, Record};
use crate::request::{Place, RequestKey, ResponsePhase};
use crate::time::Instant;

impl Gateway {
    /// There will be no (whole) response from a backend. The client gets an answer of ours, or a reset where the
    /// response had begun: never a clean end.
    pub(super) fn fail_request(&mut self, key: RequestKey, cause: Cause, now: Instant) {
        self.leave_place(key, now);
        self.disarm_request(key);
        let Some(request) = self.requests.get_mut(key) else { return };
        let front = request.awaiting.front;
        match request.awaiting.response {
            ResponsePhase::Awaited => self.answer_locally(key, cause, now),
            ResponsePhase::Begun(_) => {
                self.reset_stream(front.conn, front.stream, ErrorCode::INTERNAL_ERROR, now);
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
            return self.fail_request(key, Cause::StreamIdle, now);
        }
        self.reset_stream(front.conn, front.stream, ErrorCode::CANCEL, now);
        self.settle(key, Outcome::Truncated(Cause::StreamIdle), now);
    }

    /// The client's stream is gone: the backend hears of it at once.
    pub(super) fn client_gone(&mut self, key: RequestKey, outcome: Outcome, now: Instant) {
        let backend = self.requests.get(key).and_then(|request| match &request.place {
            Place::Live(live) => Some((live.conn(), live.stream())),
            Place::Frozen(_) | Place::Finished(_) | Place::Moving => None,
        });
        if let Some((conn, stream)) = backend {
            self.reset_stream(conn, stream, ErrorCode::CANCEL, now);
        }
        self.settle(key, outcome, now);
    }

    /// The whole response is in the client's outbox. A client that is still sending is told to stop, without an error
    /// (RFC 9113 section 8.1).
    pub(super) fn response_left(&mut self, key: RequestKey, now: Instant) {
        let Some(request) = self.requests.get(key) else { return };
        let front = request.awaiting.front;
        let outcome = match request.awaiting.response {
            ResponsePhase::Awaited | ResponsePhase::Begun(_) => Outcome::Complete,
            ResponsePhase::Local(_, cause) => Outcome::LocalReply(cause),
        };
        self.reset_stream(front.conn, front.stream, ErrorCode::NO_ERROR, now);
        self.settle(key, outcome, now);
    }

    /// Takes the request from wherever it is to where nobody but its front holds it.
    fn leave_place(&mut self, key: RequestKey, now: Instant) {
        let Some(request) = self.requests.get_mut(key) else { return };
        match request.place.take() {
            Place::Frozen(frozen) => {
                let (finished, fields) = frozen.abandon();
                request.place = Place::Finished(finished);
                self.registry.withdraw(&mut self.requests, key);
                self.keep_section(fields);
            }
            Place::Live(live) => {
                let conn = live.conn();
                let (finished, fields) = live.finish();
                request.place = Place::Finished(finished);
                self.keep_section(fields);
                self.stream_ended(conn, now);
            }
            place @ (Place::Finished(_) | Place::Moving) => request.place = place,
        }
    }

    /// The one completion: the record is written, everything the request held is given back.
    fn settle(&mut self, key: RequestKey, outcome: Outcome, now: Instant) {
        self.leave_place(key, now);
        self.disarm_request(key);
        self.release_request(key, u32::MAX);
        let Some(mut request) = self.requests.remove(key) else { return };
        let front = request.awaiting.front;
        if let Some(upload) = request.awaiting.upload.take() {
            self.uploads.give_back(upload);
        }
        if let Place::Finished(finished) = request.place {
            let client = match self.conns.get(front.conn).map(|entry| &entry.side) {
                Some(Side::Front { peer }) if self.config.records => peer.clone(),
                _ => crate::address::Address::unspecified(),
            };
            let endpoint = request.awaiting.endpoint.filter(|_| self.config.records);
            let endpoint = endpoint.and_then(|n| self.config.upstream.endpoints.get(n).cloned());
            let (record, held) = request.awaiting.settle(finished, outcome, client, endpoint, now);
            if let Some(held) = held {
                self.ledger.give_back(held);
            }
            if self.config.records {
                self.actions.push_back(Action::Record(Box::new(Record::Ended(record))));
            }
        }
        self.stream_ended(front.conn, now);
    }
}
