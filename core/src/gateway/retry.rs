//! Attempts that were lost: the request goes back to the queue, or it ends.

use crate::error::ErrorCode;
use crate::gateway::conn::Side;
use crate::gateway::due::{DeadlineTarget, Kind};
use crate::gateway::{ConnId, Gateway};
use crate::record::{AttemptOutcome, Cause};
use crate::request::{Loss, Needs, Place, Request, RequestKey, next_attempt};
use crate::session::Session;
use crate::time::{Duration, Instant};

/// What comes so soon behind a request was on its way before that, as far as anybody can tell: a round trip, amply.
const CROSSING: Duration = Duration::from_secs(1);

impl Gateway {
    /// A backend failed a request before its response was whole. It is sent again where that is safe (RFC 9113 section 8.7,
    /// RFC 9110 section 9.2.2), or it ends.
    pub(super) fn attempt_lost(&mut self, key: RequestKey, loss: Loss, cause: Cause, now: Instant) {
        let attempt = self.requests.get_mut(key).and_then(Request::live_mut).map(|live| live.attempt);
        let has_begun = attempt.is_some_and(|attempt| attempt.responded.is_some());
        // What was answered was processed, whatever the backend says of it then.
        let how = if has_begun { AttemptOutcome::Failed(cause) } else { loss.outcome(cause) };
        match self.pause_before_next(key, loss, now) {
            Some(pause) => self.refreeze(key, how, pause, now),
            None => self.fail_attempt(key, how, cause, now),
        }
        if let (AttemptOutcome::Unprocessed(_), Some(attempt)) = (how, attempt) {
            self.was_not_processed(attempt.conn, cause, now);
        }
    }

    /// The connection that carried the request is gone. Where nothing of the request had left, no backend has seen it, nor
    /// will: whoever is told so sees to that.
    pub(super) fn lost_with(&mut self, conn: ConnId, key: RequestKey, cause: Cause, now: Instant) -> bool {
        let sent = self.conns.get(conn).map(|entry| entry.session.octets_sent());
        let live = self.requests.get(key).and_then(|request| match &request.place {
            Place::Live(live) => Some(live.attempt.head_at),
            Place::Frozen(_) | Place::Finished(_) => None,
        });
        let never_left = sent.zip(live).is_some_and(|(sent, head_at)| sent <= head_at);
        // What has been answered has left.
        if self.backend_leaves_tunnel(key, now) {
            return false;
        }
        self.lost_unheard(conn, cause);
        let loss = if never_left { Loss::Unprocessed } else { Loss::of_connection(cause) };
        self.attempt_lost(key, loss, cause, now);
        never_left
    }

    /// A backend of HTTP/1.1 says 408, and nothing more on this connection. Where that had been idle for a while when the request was given to it, the server has
    /// waited for one for too long and not seen this one, which crosses what it says (RFC 9110 section 15.5.9): it is no answer, and the request goes on
    /// elsewhere if it can. Says whether it does.
    pub(super) fn crosses_timeout(&mut self, key: RequestKey, now: Instant) -> bool {
        let Some(request) = self.requests.get_mut(key) else { return false };
        let may_go_on = request.awaiting.replay.is_possible();
        let Some(live) = request.live_mut().filter(|_| may_go_on) else { return false };
        let Some(entry) = self.conns.get(live.conn()) else { return false };
        let is_last = matches!(entry.session, Session::H1(_)) && entry.session.is_going_away();
        let requests = entry.session.traffic().requests;
        let heard = entry.vigil.as_ref().filter(|_| is_last).and_then(|vigil| vigil.heard_before(requests));
        let Some(heard) = heard.filter(|_| now.saturating_since(live.attempt.thawed) < CROSSING) else {
            return false;
        };
        let (endpoint, conn) = (live.attempt.endpoint, live.conn());
        let Some(pause) = self.pause_before_next(key, Loss::Unprocessed, now) else { return false };
        if let Some(live) = self.requests.get_mut(key).and_then(Request::live_mut) {
            live.attempt.status = 408;
        }
        let cause = Cause::ConnectionTerminated;
        self.retire_as_stale(endpoint, heard, now);
        self.cancel_backend(key, now);
        self.refreeze(key, Loss::Unprocessed.outcome(cause), pause, now);
        self.was_not_processed(conn, cause, now);
        true
    }

    /// What a reset of the backend's stands for. Where it asks for HTTP/1.1, the request has not been processed, and goes to an
    /// endpoint that speaks it, if the upstream has one (RFC 9113 section 7).
    pub(super) fn loss_by_reset(&mut self, key: RequestKey, code: ErrorCode) -> Loss {
        let loss = Loss::of_stream(code);
        let Some(awaiting) = self.requests.get_mut(key).map(|request| &mut request.awaiting) else {
            return loss;
        };
        let upstream = awaiting.route.as_ref().map(|route| route.upstream);
        let elsewhere = upstream.is_some_and(|upstream| !self.registry.lacks(upstream, Needs::Http1, 0));
        if code != ErrorCode::HTTP_1_1_REQUIRED || !elsewhere {
            return loss;
        }
        awaiting.needs = Needs::Http1;
        let front = awaiting.front.conn;
        self.change_lane(key, front);
        Loss::Unprocessed
    }

    /// The endpoint that it was to be given to does not take a head of this size. Another may: it waits in a lane of those that look for one, so that
    /// nobody waits behind it who can be served. One that needs a backend of another kind would hold up others that need one, and has its answer.
    pub(super) fn seek_another(&mut self, key: RequestKey, head: u32, now: Instant) {
        let Some(awaiting) = self.requests.get_mut(key).map(|request| &mut request.awaiting) else { return };
        awaiting.large_head = head;
        let (front, needs, lane) = (awaiting.front.conn, awaiting.needs, awaiting.lane);
        match (needs, lane) {
            (Needs::Anything, Some(lane)) => {
                awaiting.needs = Needs::LargeHead;
                self.registry.withdraw(&mut self.requests, key, lane);
                self.change_lane(key, front);
                let lane = self.requests.get(key).and_then(|request| request.awaiting.lane).unwrap_or(lane);
                self.registry.resubmit(&mut self.requests, key, lane);
            }
            (Needs::LargeHead, _) => {}
            _ => return self.fail_request(key, Cause::BackendHeadLimit, now),
        }
        if let Some(cause) = self.unservable(key) {
            self.fail_request(key, cause, now);
        }
    }

    /// What a request needs has changed: it will wait in another lane of its client.
    fn change_lane(&mut self, key: RequestKey, front: ConnId) {
        let Some(awaiting) = self.requests.get_mut(key).map(|request| &mut request.awaiting) else { return };
        let Some(upstream) = awaiting.route.as_ref().map(|route| route.upstream) else { return };
        if let Some(Side::Front { lanes, .. }) = self.conns.get_mut(front).map(|entry| &mut entry.side) {
            awaiting.lane = self.registry.lane(upstream, front, awaiting.needs, lanes).or(awaiting.lane);
        }
    }

    fn pause_before_next(&mut self, key: RequestKey, loss: Loss, now: Instant) -> Option<Duration> {
        let Request { awaiting, place, .. } = self.requests.get(key)?;
        let upstream = awaiting.route.as_ref()?.upstream;
        // Backends that refuse late are not asked again and again: all of them together have the time that one has for a response.
        let had = if let Place::Live(live) = place { live.attempt.had_for(now) } else { Duration::ZERO };
        if awaiting.tried + had >= self.duration(Kind::Response) {
            return None;
        }
        let config = self.registry.upstream(upstream)?.config().retry.clone();
        // Over HTTP/1.1 a tunnel takes nothing before the backend has agreed to it.
        let asked_as_get = awaiting.head.extended_connect
            && matches!(place, Place::Live(live) if self.conns.get(live.conn()).is_some_and(|of| matches!(of.session, Session::H1(_))));
        let pause =
            next_attempt(awaiting, loss, asked_as_get, &config, || self.registry.take_retry(upstream, now))?;
        // Many that were refused together should not come back together.
        let half = pause / 2;
        let jitter = self.random.next_u64() % (half.as_nanos() as u64).max(1);
        Some(if pause.is_zero() { pause } else { half + Duration::from_nanos(jitter) })
    }

    /// The request is frozen again, with the content that it had given away, after a pause.
    fn refreeze(&mut self, key: RequestKey, how: AttemptOutcome, pause: Duration, now: Instant) {
        self.disarm_request(key);
        let Some(request) = self.requests.get_mut(key) else { return };
        let Some(live) = request.take_live() else { return };
        let (frozen, permit, attempt) = live.refreeze();
        request.place = Place::Frozen(frozen);
        let awaiting = &mut request.awaiting;
        awaiting.count(how);
        awaiting.take_back(&attempt, now);
        awaiting.paused = !pause.is_zero();
        let front = awaiting.front.conn;
        let left = self.queue_time_left(key, now);
        self.leave_memory(key, u32::MAX);
        self.give_back(front, permit);
        self.attempt_over(key, &attempt, how, now);
        if pause.is_zero() {
            self.back_to_queue(key, now);
        } else {
            let at = now + pause.min(left);
            let deadline = self.deadlines.arm(Kind::Pause as u8, at, DeadlineTarget::Request(key));
            if let Some(request) = self.requests.get_mut(key) {
                request.awaiting.deadline = Some(deadline);
            }
        }
        self.stream_ended(attempt.conn, now);
    }

    /// The pause is over.
    pub(super) fn back_to_queue(&mut self, key: RequestKey, now: Instant) {
        let Some(request) = self.requests.get_mut(key) else { return };
        request.awaiting.paused = false;
        let lane = request.awaiting.lane;
        if lane.is_some_and(|lane| self.registry.resubmit(&mut self.requests, key, lane)) {
            self.arm_request(key, Kind::Queue, now);
        } else {
            self.fail_request(key, Cause::NoEndpoint, now);
        }
    }

    /// How long the request may still wait frozen: what it has waited before counts.
    pub(super) fn queue_time_left(&self, key: RequestKey, now: Instant) -> Duration {
        let left = || {
            let awaiting = &self.requests.get(key)?.awaiting;
            let upstream = self.registry.upstream(awaiting.route.as_ref()?.upstream)?;
            let waited = awaiting.waited + now.saturating_since(awaiting.frozen);
            Some(upstream.config().queue_timeout.saturating_sub(waited))
        };
        left().unwrap_or_default()
    }
}
