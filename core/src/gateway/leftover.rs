//! What is left of a backend's response whose client has got another (B76): if it is little it may come, and is dropped. A reset
//! would cost more: backends count the resets that they get, and over HTTP/1.1 it ends the connection.

use crate::engine::{Leftover, Leftovers};
use crate::error::ErrorCode;
use crate::gateway::conn::Conn;
use crate::gateway::due::{DeadlineTarget, Kind};
use crate::gateway::{ConnId, Gateway};
use crate::h2::{Event, StreamKey};
use crate::message::Method;
use crate::request::{Place, Request, RequestKey, ResponsePhase};
use crate::session::Session;
use crate::time::{Duration, Instant};
use crate::window::{Both, Credit};

/// Octets of content that may come.
const OCTETS_MAX: u32 = 16 << 10;
/// How long they may take.
pub(super) const LEFTOVER: Duration = Duration::from_secs(1);
/// The tag of a stream that has no request: what connections say until they are told one.
pub(super) const NOBODY: u64 = 0;

/// Whether content of this length may come, or content of a length that nobody has told.
fn is_little(length: Option<u64>) -> bool {
    length.is_none_or(|length| length <= u64::from(OCTETS_MAX))
}

impl Gateway {
    /// Its backend has answered what is no answer to the request, which fails: what has this length may come.
    pub(super) fn ignore_response(&mut self, key: RequestKey, length: Option<u64>, now: Instant) {
        let live = self.requests.get_mut(key).and_then(Request::live_mut);
        let Some((conn, stream)) = live.map(|live| (live.conn(), live.stream())) else { return };
        if length.is_some_and(|length| length <= u64::from(OCTETS_MAX)) {
            self.let_run_out(conn, stream, now);
        } else {
            self.cancel_backend(key, now);
        }
    }

    /// A backend has answered a request that has not left whole: what is left of it has lost its use (RFC 9113 section 8.1). Backends count the reset, and
    /// over HTTP/1.1 it is the end of their connection. Where the client owes the rest it pays for that as for resets of its own: who has sent much content
    /// owes nothing.
    pub(super) fn end_upload(&mut self, key: RequestKey, (conn, stream): (ConnId, StreamKey), now: Instant) {
        // A backend of HTTP/1.1 that declines an upgrade has had all there is. Where none has answered yet a hook has failed, which is not the client's doing.
        let counts = self.conns.get(conn).is_some_and(|entry| entry.session.stream_id(stream).is_some());
        self.reset_stream(conn, stream, ErrorCode::CANCEL, now);
        let owes = |request: &Request| {
            let unanswered = matches!(&request.place, Place::Live(live) if live.attempt.responded.is_none());
            !request.awaiting.content_end && !unanswered
        };
        if counts && self.requests.get(key).is_some_and(owes) {
            self.charge_client(key);
        }
    }

    /// A tunnel was declined: nothing goes into it, and its end is said, which no backend counts. Says whether it is.
    pub(super) fn end_declined(&mut self, key: RequestKey, (conn, stream): (ConnId, StreamKey)) -> bool {
        // What a hook says for a backend that has agreed leaves a tunnel there.
        let is_declined = |request: &Request| {
            let told = match &request.place {
                Place::Live(live) => live.attempt.status,
                Place::Frozen(_) | Place::Finished(_) => match request.awaiting.response {
                    ResponsePhase::Begun(status) => status,
                    ResponsePhase::Awaited | ResponsePhase::Local(..) => 0,
                },
            };
            request.awaiting.head.method == Method::Connect && told >= 300
        };
        let is_declined = self.requests.get(key).is_some_and(is_declined);
        let Some(entry) = self.conns.get_mut(conn).filter(|_| is_declined) else { return false };
        let of_http2 = matches!(entry.session, Session::H2(_));
        if !of_http2 || entry.session.stream_id(stream).is_none() || entry.session.queued(stream) > 0 {
            return false;
        }
        entry.session.send_data(stream, &[], true);
        self.touch(conn);
        true
    }

    /// What the client did was as dear to a backend as if it had taken the request back.
    pub(super) fn charge_client(&mut self, key: RequestKey) {
        let front = self.requests.get(key).map(|request| request.awaiting.front.conn);
        if let Some(entry) = front.and_then(|front| self.conns.get_mut(front)) {
            entry.session.charge_reset();
        }
    }

    /// The request has its answer, and wants no more of its backend, whose response has content of this length, if that is
    /// known. An upload that goes on has lost its use (RFC 9113 section 8.1), so that there is a reset for it in any case.
    pub(super) fn leave_backend(&mut self, key: RequestKey, length: Option<u64>, now: Instant) {
        let Some((conn, stream, is_sent)) = self.take_from_backend(key, now) else { return };
        self.let_go(key, (conn, stream), is_sent, length, now);
        self.release_request(key, u32::MAX);
        self.stream_ended(conn, now);
    }

    /// A hook has said the last word about the request, whose response has content of this length, if it has begun and that is known.
    /// The attempt ends as its caller says.
    pub(super) fn drop_response(&mut self, key: RequestKey, length: Option<u64>, now: Instant) {
        let live = self.requests.get_mut(key).and_then(Request::live_mut);
        if let Some((of, is_sent)) =
            live.map(|live| ((live.conn(), live.stream()), live.attempt.sent.is_some()))
        {
            self.let_go(key, of, is_sent, length, now);
        }
    }

    /// What little may come runs out. A request that has not left whole goes on for nothing (RFC 9113 section 8.1), and needs its reset.
    fn let_go(
        &mut self,
        key: RequestKey,
        (conn, stream): (ConnId, StreamKey),
        is_sent: bool,
        length: Option<u64>,
        now: Instant,
    ) {
        if !is_sent && !self.end_declined(key, (conn, stream)) {
            self.end_upload(key, (conn, stream), now);
        } else if is_little(length) {
            self.let_run_out(conn, stream, now);
        } else {
            self.reset_stream(conn, stream, ErrorCode::CANCEL, now);
        }
    }

    fn let_run_out(&mut self, conn: ConnId, stream: StreamKey, now: Instant) {
        let until = now + LEFTOVER;
        let Some(entry) = self.conns.get_mut(conn).filter(|entry| entry.session.stream_id(stream).is_some())
        else {
            return;
        };
        entry.session.set_tag(stream, NOBODY);
        let Some(engine) = entry.engine_mut() else { return };
        let leftovers = engine.leftovers.get_or_insert_default();
        leftovers.streams.push(Leftover { stream, octets: OCTETS_MAX, until });
        if leftovers.deadline.is_none() {
            let target = DeadlineTarget::Conn(conn);
            leftovers.deadline = Some(self.deadlines.arm(Kind::Leftover as u8, until, target));
        }
    }

    /// Whether the event is of a stream that has no request.
    pub(super) fn is_of_nobody(event: &Event<'_>) -> bool {
        match event {
            Event::Interim { tag, .. }
            | Event::Response { tag, .. }
            | Event::Data { tag, .. }
            | Event::Trailers { tag, .. }
            | Event::Reset { tag, .. }
            | Event::Failed { tag, .. }
            | Event::Unprocessed { tag, .. } => *tag == NOBODY,
            Event::Request { .. }
            | Event::RequestRefused { .. }
            | Event::Reprioritized { .. }
            | Event::Settings
            | Event::GoAway { .. }
            | Event::PingAck { .. } => false,
        }
    }

    /// Something came on a stream that has no request.
    pub(super) fn leftover_event(&mut self, conn: ConnId, event: Event<'_>, now: Instant) {
        match event {
            Event::Data { stream, data, credit, end, .. } => {
                self.leftover_content((conn, stream), data.len(), credit, end, now);
            }
            Event::Trailers { stream, fields, .. } => {
                self.keep_section(fields);
                self.leftover_over(conn, stream, now);
            }
            Event::Failed { stream, error, .. } => {
                self.count_stream_error(conn, error);
                self.leftover_over(conn, stream, now);
            }
            Event::Reset { stream, .. } | Event::Unprocessed { stream, .. } => {
                self.leftover_over(conn, stream, now);
            }
            // A head has come before the stream lost its request.
            _ => self.ignored_events += 1,
        }
    }

    fn leftover_content(
        &mut self,
        (conn, stream): (ConnId, StreamKey),
        octets: usize,
        credit: Credit<Both>,
        end: bool,
        now: Instant,
    ) {
        let (owed, connection) = credit.split();
        let Some(entry) = self.conns.get_mut(conn) else { return };
        entry.session.release_connection(connection);
        let left = entry
            .engine_mut()
            .and_then(|engine| engine.leftovers.as_mut())
            .and_then(|of| of.streams.iter_mut().find(|of| of.stream == stream))
            .and_then(|of| {
                of.octets = of.octets.checked_sub(octets as u32)?;
                Some(of.octets)
            });
        match left {
            Some(_) if !end => entry.session.release_stream(stream, owed),
            Some(_) => self.leftover_over(conn, stream, now),
            None => {
                self.reset_stream(conn, stream, ErrorCode::CANCEL, now);
                self.leftover_over(conn, stream, now);
            }
        }
        self.touch(conn);
    }

    /// Nothing more comes on the stream.
    fn leftover_over(&mut self, conn: ConnId, stream: StreamKey, now: Instant) {
        let engine = self.conns.get_mut(conn).and_then(Conn::engine_mut);
        if let Some(of) = engine.and_then(|engine| engine.leftovers.as_mut()) {
            of.streams.retain(|of| of.stream != stream);
        }
        self.watch_leftovers(conn);
        self.stream_ended(conn, now);
    }

    /// The deadline goes with the last of them.
    fn watch_leftovers(&mut self, conn: ConnId) {
        let Some(engine) = self.conns.get_mut(conn).and_then(Conn::engine_mut) else { return };
        if let Some(of) = engine.leftovers.take_if(|of| of.streams.is_empty()) {
            self.cancel_leftovers(Some(of));
        }
    }

    pub(super) fn cancel_leftovers(&mut self, of: Option<Box<Leftovers>>) {
        self.cancel_deadline(of.and_then(|of| of.deadline));
    }

    /// The first has had its time, and perhaps others.
    pub(super) fn expire_leftovers(&mut self, conn: ConnId, now: Instant) {
        let engine = self.conns.get_mut(conn).and_then(Conn::engine_mut);
        let Some(of) = engine.and_then(|engine| engine.leftovers.as_mut()) else { return };
        of.deadline = None;
        let due = of.streams.iter().take_while(|of| of.until <= now).count();
        let due: Vec<_> = of.streams.drain(..due).collect();
        if let Some(first) = of.streams.first() {
            let target = DeadlineTarget::Conn(conn);
            of.deadline = Some(self.deadlines.arm(Kind::Leftover as u8, first.until, target));
        }
        for Leftover { stream, .. } in due {
            self.reset_stream(conn, stream, ErrorCode::CANCEL, now);
        }
        self.watch_leftovers(conn);
        self.stream_ended(conn, now);
    }
}
