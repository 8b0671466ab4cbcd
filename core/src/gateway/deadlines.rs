//! What ends when a deadline comes.

use crate::deadline::DeadlineKey;
use crate::error::{ConnectionError, ErrorCode};
use crate::gateway::conn::{Conn, Life, Side};
use crate::gateway::due::{Armed, DeadlineTarget, Kind};
use crate::gateway::front::key_of;
use crate::gateway::leftover::LEFTOVER;
use crate::gateway::outcome::awaits_its_turn;
use crate::gateway::tunnel::Direction;
use crate::gateway::{ConnId, Gateway};
use crate::message::Method;
use crate::record::{AttemptOutcome, Cause};
use crate::request::{Awaiting, Place, Request, RequestKey, ResponsePhase, TAKEN};
use crate::session::Session;
use crate::time::{Duration, Instant};

/// How long clients get to see the first GOAWAY of a drain before the second names the last stream: a round trip, amply.
const DRAIN_STEP: Duration = Duration::from_millis(500);

/// How soon a connection that nobody uses, and that is kept all the same, is looked at again at the earliest.
const KEPT_IDLE: Duration = Duration::from_secs(1);

/// How long a strained backend rests between two looks: what makes up for one request that was taken back, and a little.
const EASE: Duration = Duration::from_millis(31);

/// How long nobody dials where the system had no descriptor, port or memory for it: what it lacks it may have again at any time, and nobody says so.
const MEANS: Duration = Duration::from_millis(100);

/// How often names are looked up again. The system's resolver tells no lifetime of its answers.
const RESOLVE: Duration = Duration::from_secs(30);

/// Arms a deadline of a request, in place of the one before.
#[inline(always)]
fn arm_for(
    deadlines: &mut Armed,
    deadline: &mut Option<DeadlineKey>,
    (kind, at): (Kind, Instant),
    key: RequestKey,
) {
    if !deadline.is_some_and(|old| deadlines.rearm(old, kind as u8, at)) {
        *deadline = Some(deadlines.arm(kind as u8, at, DeadlineTarget::Request(key)));
    }
}

impl Gateway {
    pub(super) fn duration(&self, kind: Kind) -> Duration {
        let timeouts = &self.config.timeouts;
        match kind {
            Kind::Connect => timeouts.connect,
            Kind::Preface => timeouts.preface,
            Kind::FieldBlock => timeouts.field_block,
            Kind::FrontIdle => timeouts.front_idle,
            Kind::BackendIdle => timeouts.backend_idle,
            Kind::Linger => timeouts.linger,
            Kind::WriteStall => timeouts.write_stall,
            Kind::Progress => timeouts.write_stall.min(timeouts.stream_idle),
            Kind::Response => timeouts.response,
            Kind::Means => MEANS,
            Kind::Resolve => RESOLVE,
            // Told by others than the timeouts alone.
            Kind::Queue | Kind::Pause | Kind::Total | Kind::Rest | Kind::Age | Kind::Vigil => Duration::ZERO,
            Kind::Ease => EASE,
            Kind::Leftover => LEFTOVER,
            Kind::DrainStep => DRAIN_STEP,
            Kind::Drain => self.drain.as_ref().map_or(Duration::ZERO, |drain| drain.deadline),
        }
    }

    /// Arms the one deadline of a connection's phase, in place of the one before.
    pub(super) fn arm_conn(&mut self, id: ConnId, kind: Kind, from: Instant) {
        self.arm_conn_at(id, kind, from + self.duration(kind));
    }

    pub(super) fn arm_conn_at(&mut self, id: ConnId, kind: Kind, at: Instant) {
        let Some(entry) = self.conns.get_mut(id) else { return };
        if let Some(old) = entry.deadline.take() {
            self.deadlines.cancel(old);
        }
        entry.deadline = Some(self.deadlines.arm(kind as u8, at, DeadlineTarget::Conn(id)));
    }

    /// Arms the one deadline of a request, in place of the one before.
    #[inline(always)]
    pub(super) fn arm_request(&mut self, key: RequestKey, kind: Kind, now: Instant) {
        let duration = if kind == Kind::Queue { self.queue_time_left(key, now) } else { self.duration(kind) };
        let at = now + duration;
        let Some(request) = self.requests.get_mut(key) else { return };
        arm_for(&mut self.deadlines, &mut request.awaiting.deadline, (kind, at), key);
    }

    /// Arms the deadline of the whole exchange.
    pub(super) fn arm_total(&mut self, key: RequestKey, at: Instant) {
        let Some(request) = self.requests.get_mut(key) else { return };
        request.awaiting.total =
            Some(self.deadlines.arm(Kind::Total as u8, at, DeadlineTarget::Request(key)));
    }

    /// A client that has begun a field block must end it in time: nothing else can come before it does.
    pub(super) fn watch_field_block(&mut self, id: ConnId, rest: &[u8], now: Instant) {
        let at = now + self.duration(Kind::FieldBlock);
        let Some(entry) = self.conns.get_mut(id).filter(|entry| entry.is_front()) else { return };
        // What we do not read cannot end.
        let open = !entry.paused && entry.life == Life::Open && entry.session.is_in_field_block(rest);
        let number = entry.session.field_blocks_received() as u32;
        if open && entry.block_deadline.is_some_and(|(watched, _)| watched == number) {
            return;
        }
        if let Some((_, old)) = entry.block_deadline.take() {
            self.deadlines.cancel(old);
        }
        if open {
            let deadline = self.deadlines.arm(Kind::FieldBlock as u8, at, DeadlineTarget::Conn(id));
            entry.block_deadline = Some((number, deadline));
        }
    }

    /// The whole request is on its way: the backend owes a response head, unless it has given it already.
    pub(super) fn await_response(&mut self, key: RequestKey, now: Instant) {
        let awaited = |request: &Request| request.awaiting.response == ResponsePhase::Awaited;
        if self.requests.get(key).is_some_and(awaited) {
            self.arm_request(key, Kind::Response, now);
        }
    }

    /// The end of the request was cut for the backend.
    pub(super) fn request_sent(&mut self, key: RequestKey, now: Instant) {
        let at = now + self.duration(Kind::Response);
        let Some(request) = self.requests.get_mut(key) else { return };
        if let Some(live) = request.live_mut() {
            live.attempt.sent = Some(now);
        }
        let awaiting = &mut request.awaiting;
        if awaiting.response == ResponsePhase::Awaited {
            arm_for(&mut self.deadlines, &mut awaiting.deadline, (Kind::Response, at), key);
        }
        let is_tunnel = awaiting.tunnel.is_some();
        // Nothing of its content waits any more.
        if let Some(upload) = awaiting.upload.take() {
            self.uploads.give_back(upload);
        }
        if is_tunnel {
            self.tunnel_ended(key, Direction::ToBackend, now);
        }
    }

    pub(super) fn disarm_request(&mut self, key: RequestKey) {
        if let Some(old) = self.requests.get_mut(key).and_then(|request| request.awaiting.deadline.take()) {
            self.deadlines.cancel(old);
        }
    }

    /// The peer must take output, or the connection ends. Looked at lazily: it is armed once and moves on by itself, so that
    /// nothing is armed or cancelled for each write.
    pub(super) fn arm_write_stall(&mut self, id: ConnId, now: Instant) {
        let at = now + self.duration(Kind::WriteStall);
        let Some(entry) = self.conns.get_mut(id) else { return };
        entry.waiting_since.get_or_insert(now);
        if entry.write_deadline.is_none() {
            let target = DeadlineTarget::Conn(id);
            entry.write_deadline = Some(self.deadlines.arm(Kind::WriteStall as u8, at, target));
        }
    }

    pub(super) fn expire(&mut self, kind: Kind, target: DeadlineTarget, now: Instant) {
        match target {
            DeadlineTarget::Conn(id) if kind == Kind::WriteStall => self.expire_write_stall(id, now),
            DeadlineTarget::Conn(id) if kind == Kind::FieldBlock => self.expire_field_block(id, now),
            DeadlineTarget::Conn(id) if kind == Kind::Age => self.expire_age(id, now),
            DeadlineTarget::Conn(id) if kind == Kind::Vigil => self.expire_vigil(id, now),
            DeadlineTarget::Conn(id) if kind == Kind::Ease => self.ease(id, now),
            DeadlineTarget::Conn(id) if kind == Kind::Leftover => self.expire_leftovers(id, now),
            DeadlineTarget::Conn(id) => self.expire_conn(id, kind, now),
            DeadlineTarget::Request(key) if kind == Kind::Progress => self.expire_progress(key, now),
            DeadlineTarget::Request(key) if kind == Kind::Total => self.expire_total(key, now),
            DeadlineTarget::Request(key) => self.expire_request(key, now),
            DeadlineTarget::Drain if kind == Kind::DrainStep => self.finish_goaway(now),
            DeadlineTarget::Drain => self.cut_drain(now),
            DeadlineTarget::Rest(endpoint) => self.rested(endpoint),
            DeadlineTarget::Means(endpoint) => self.try_means(endpoint),
            DeadlineTarget::Resolve(endpoint) => self.resolve(endpoint),
        }
    }

    fn expire_conn(&mut self, id: ConnId, kind: Kind, now: Instant) {
        let Some(entry) = self.conns.get_mut(id) else { return };
        entry.deadline = None;
        match kind {
            Kind::Connect | Kind::Preface if self.is_slow(id, kind, now) => {}
            Kind::Connect => self.cut_conn(id, Cause::ConnectionTimeout, now),
            Kind::Preface => self.expire_preface(id, now),
            Kind::FrontIdle | Kind::BackendIdle => self.expire_idle(id, now),
            Kind::Linger => self.close_now(id, now),
            Kind::WriteStall
            | Kind::FieldBlock
            | Kind::Pause
            | Kind::Total
            | Kind::Queue
            | Kind::Response
            | Kind::Progress
            | Kind::Rest
            | Kind::Means
            | Kind::Resolve
            | Kind::Age
            | Kind::Vigil
            | Kind::Ease
            | Kind::Leftover
            | Kind::DrainStep
            | Kind::Drain => {}
        }
    }

    /// RFC 9113 section 3.4, within a deadline. Octets that wait because the peer takes none of ours may be its preface: then it
    /// is the deadline for output that ends the connection.
    fn expire_preface(&mut self, id: ConnId, now: Instant) {
        // A handshake that takes so long is over: nothing can be said.
        if self.conns.get(id).is_some_and(|entry| entry.life == Life::Connecting) {
            self.count_connection_error(id, ConnectionError::PrefaceTimeout);
            return self.cut_conn(id, Cause::ConnectionTimeout, now);
        }
        if self.conns.get(id).is_some_and(Conn::has_unread) {
            return self.arm_conn(id, Kind::Preface, now);
        }
        self.end_late(id, ConnectionError::PrefaceTimeout, now);
    }

    fn expire_field_block(&mut self, id: ConnId, now: Instant) {
        let Some(entry) = self.conns.get_mut(id) else { return };
        entry.block_deadline = None;
        if entry.life != Life::Open {
            return;
        }
        let error = ConnectionError::FieldBlockTimeout;
        if entry.session.refuse_late_request() {
            entry.inbox = Default::default();
            return self.count_connection_error(id, error);
        }
        let trailers_of = entry.session.request_in_trailers(entry.inbox.as_slice()).map(key_of);
        let is_unanswered = |key: &RequestKey| {
            self.requests.get(*key).is_some_and(|of| of.awaiting.response == ResponsePhase::Awaited)
        };
        if let Some(key) = trailers_of.filter(is_unanswered) {
            // RFC 9110 section 15.5.9: as where content stands still.
            self.count_connection_error(id, error);
            self.cancel_backend(key, now);
            return self.stall(key, now);
        }
        self.end_late(id, error, now);
    }

    fn end_late(&mut self, id: ConnId, error: ConnectionError, now: Instant) {
        let Some(entry) = self.conns.get_mut(id) else { return };
        entry.session.fail(error);
        self.count_connection_error(id, error);
        self.end_conn(id, Cause::ConnectionTimeout, now);
    }

    /// The peer's preface is complete: idleness is what counts from now on.
    pub(super) fn established(&mut self, id: ConnId, now: Instant) {
        let Some(entry) = self.conns.get_mut(id).filter(|entry| !entry.established) else { return };
        entry.established = true;
        let preface = entry.deadline.take();
        // Who is leaving already has a time of its own.
        let is_leaving = entry.session.is_going_away();
        self.cancel_deadline(preface);
        if !is_leaving {
            self.arm_age(id, now);
        }
        self.arm_idle(id, now);
    }

    /// A connection without streams may stay so for a while.
    pub(super) fn arm_idle(&mut self, id: ConnId, now: Instant) {
        let Some(entry) = self.conns.get(id).filter(|entry| entry.established) else { return };
        if entry.session.open_streams() == 0 {
            self.arm_conn(id, if entry.is_front() { Kind::FrontIdle } else { Kind::BackendIdle }, now);
            if let Some(at) = self.backend_ends_at(id)
                && at < now + self.duration(Kind::BackendIdle)
            {
                self.arm_conn_at(id, Kind::BackendIdle, at);
            }
            self.stays_awake(id, now);
        }
    }

    /// A backend of HTTP/1.1 that has said for how long it keeps an idle connection does not meet a request on it at the end of that time.
    fn backend_ends_at(&self, id: ConnId) -> Option<Instant> {
        let entry = self.conns.get(id)?;
        Some(entry.vigil.as_ref()?.last_heard() + entry.session.idle_max()?)
    }

    /// Streams that came since leave the deadline armed, for it costs less to look here; the last of them arms it anew.
    fn expire_idle(&mut self, id: ConnId, now: Instant) {
        let (ends, again) = (self.backend_ends_at(id), now + self.duration(Kind::BackendIdle).max(KEPT_IDLE));
        // What its backend closes in a moment is of no use, however much it is wanted.
        if self.is_wanted_idle(id) && ends.is_none_or(|ends| ends > now) {
            self.arm_conn_at(id, Kind::BackendIdle, ends.map_or(again, |ends| ends.min(again)));
        } else if self.conns.get(id).is_some_and(Conn::is_asking) {
            // What it has begun to ask for has a deadline of its own.
            self.arm_idle(id, now);
        } else if self.conns.get(id).is_some_and(|entry| entry.session.open_streams() == 0) {
            self.close_gracefully(id, Cause::Draining, now);
        }
    }

    fn expire_write_stall(&mut self, id: ConnId, now: Instant) {
        let limit = self.duration(Kind::WriteStall);
        let Some(entry) = self.conns.get_mut(id) else { return };
        entry.write_deadline = None;
        let Some(since) = entry.waiting_since else { return };
        if now.saturating_since(since) < limit {
            let (at, target) = (since + limit, DeadlineTarget::Conn(id));
            entry.write_deadline = Some(self.deadlines.arm(Kind::WriteStall as u8, at, target));
            return;
        }
        let cause = match entry.side {
            Side::Front { .. } => Cause::StreamIdle,
            Side::Backend(_) => Cause::ResponseTimeout,
        };
        self.cut_conn(id, cause, now);
    }

    /// Requests of this turn that are still there get their deadline now: most of those that came have been thawed, and most of those whose
    /// response began have it whole.
    pub(super) fn watch_who_stays(&mut self, now: Instant) {
        let mut unwatched = core::mem::take(&mut self.unwatched);
        for key in unwatched.drain(..) {
            self.work.steps(1);
            let Some(Request { awaiting, place, .. }) = self.requests.get(key) else { continue };
            if matches!(awaiting.response, ResponsePhase::Begun(_)) {
                self.arm_request(key, Kind::Progress, awaiting.progress_at);
            } else if matches!(place, Place::Frozen(_)) && awaiting.deadline.is_none() {
                self.arm_request(key, Kind::Queue, now);
            }
        }
        self.unwatched = unwatched;
    }

    /// Content is on its way, in either direction. Looked at lazily, once a period.
    pub(super) fn watch_progress(&mut self, key: RequestKey, now: Instant) {
        if let Some(request) = self.requests.get_mut(key) {
            request.awaiting.progress_at = now;
            self.arm_request(key, Kind::Progress, now);
        }
    }

    fn expire_progress(&mut self, key: RequestKey, now: Instant) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let front = request.awaiting.front;
        let session = self.conns.get(front.conn).map(|entry| &entry.session);
        let queued = session.map_or(0, |session| session.queued(front.stream));
        let waits = queued > 0 || session.is_some_and(|of| awaits_its_turn(of, front.stream));
        // Behind others it is held up by nobody but those.
        if waits && session.is_some_and(|session| is_behind_others(session, &mut request.awaiting)) {
            request.awaiting.set_due(queued, now);
            return self.watch_progress(key, now);
        }
        let timeouts = &self.config.timeouts;
        let (since, limit) = if waits {
            // An octet now and then is no progress of a response that could go faster, and neither is what the client sends.
            request.awaiting.falls_due(queued, now);
            (request.awaiting.due_since, timeouts.write_stall)
        } else {
            (request.awaiting.progress_at, timeouts.stream_idle)
        };
        if now.saturating_since(since) < limit {
            return self.arm_request(key, Kind::Progress, now);
        }
        let Some(request) = self.requests.get(key) else { return };
        let cause = self.who_stands_still(request, waits);
        self.cancel_backend(key, now);
        match cause {
            Cause::ResponseTimeout => self.fail_request(key, cause, now),
            _ => self.stall(key, now),
        }
        // A client that takes nothing and asks for nothing else is not idle for a while first: it has been so for long enough.
        if waits && self.conns.get(front.conn).is_some_and(|entry| entry.session.open_streams() == 0) {
            self.close_gracefully(front.conn, Cause::ConnectionTerminated, now);
        }
    }

    /// Whether it is the client that neither takes nor gives, or the backend.
    fn who_stands_still(&self, request: &Request, client_has_output: bool) -> Cause {
        let Place::Live(live) = &request.place else { return Cause::StreamIdle };
        let backend_has_output =
            self.conns.get(live.conn()).is_some_and(|entry| entry.session.queued(live.stream()) > 0);
        // Who asks for a tunnel owes nothing before there is an answer, nor who waits for 100 (RFC 9110 section 10.1.1).
        let head = &request.awaiting.head;
        let is_asked = (head.method == Method::Connect || head.expect_continue)
            && request.awaiting.response == ResponsePhase::Awaited;
        let client_owes = !request.awaiting.content_end && !backend_has_output && !is_asked;
        if client_has_output || client_owes { Cause::StreamIdle } else { Cause::ResponseTimeout }
    }

    /// Nobody waits for the backend any more (B58).
    pub(super) fn cancel_backend(&mut self, key: RequestKey, now: Instant) {
        let live = self.requests.get_mut(key).and_then(Request::live_mut);
        if let Some((conn, stream)) = live.map(|live| (live.conn(), live.stream())) {
            self.reset_stream(conn, stream, ErrorCode::CANCEL, now);
        }
    }

    /// The route's deadline for the whole exchange. It is nobody's doing by itself: whoever the request waits for just now is who is told of.
    fn expire_total(&mut self, key: RequestKey, now: Instant) {
        let Some(request) = self.requests.get_mut(key) else { return };
        request.awaiting.total = None;
        // An answer of ours is on its way, and has a deadline of its own.
        if matches!(request.awaiting.response, ResponsePhase::Local(..)) {
            return;
        }
        let front = request.awaiting.front;
        // One that is whole and waits for those before has had its time.
        if self.is_in_line(front) {
            return;
        }
        let Some(request) = self.requests.get(key) else { return };
        if matches!(request.place, Place::Frozen(_)) {
            let awaiting = &request.awaiting;
            // In the pause before it is sent again nothing is waited for.
            let lost = awaiting.last_failure.filter(|_| awaiting.paused);
            let waited = || awaiting.lane.map_or(Cause::QueueLimit, |lane| self.registry.waited_for(lane));
            let cause = lost.unwrap_or_else(waited);
            self.disarm_request(key);
            self.leave_place(key, AttemptOutcome::Abandoned, now);
            return self.answer_too_late(key, cause, now);
        }
        let waits = self.conns.get(front.conn).is_some_and(|entry| entry.session.queued(front.stream) > 0);
        let Some(request) = self.requests.get(key) else { return };
        let cause = self.who_stands_still(request, waits);
        self.cancel_backend(key, now);
        match cause {
            Cause::ResponseTimeout => self.fail_request(key, cause, now),
            _ => self.stall(key, now),
        }
    }

    fn expire_request(&mut self, key: RequestKey, now: Instant) {
        let Some(request) = self.requests.get_mut(key) else { return };
        request.awaiting.deadline = None;
        match &request.place {
            Place::Frozen(_) if request.awaiting.paused => self.back_to_queue(key, now),
            Place::Frozen(_) => {
                let lane = request.awaiting.lane;
                let cause = lane.map_or(Cause::QueueLimit, |lane| self.registry.waited_for(lane));
                self.fail_request(key, cause, now);
            }
            // Its response began in this turn.
            Place::Live(_) if matches!(request.awaiting.response, ResponsePhase::Begun(_)) => {
                self.watch_progress(key, now);
            }
            Place::Live(_) => {
                self.cancel_backend(key, now);
                self.fail_request(key, Cause::ResponseTimeout, now);
            }
            Place::Finished(_) => {}
        }
    }
}

/// Whether a client's stream stands behind others, for which [enough](TAKEN) was cut since it was last held up by them. One that waits with all others for a
/// window of the connection that its client keeps shut does not (RFC 9113 section 10.5). Over HTTP/1.1 the one before has a deadline of its own.
fn is_behind_others(session: &Session, awaiting: &mut Awaiting) -> bool {
    let Some(cut) = session.content_cut() else { return session.stands_in_line(awaiting.front.stream) };
    let moves = cut.wrapping_sub(awaiting.cut_before) >= TAKEN as u32;
    if moves {
        awaiting.cut_before = cut;
    }
    moves && session.stands_in_line(awaiting.front.stream)
}
