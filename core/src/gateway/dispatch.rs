//! Frozen requests to engines: thaw where there is a slot, dial where there is none.

use crate::engine::Engine;
use crate::gateway::conn::{Conn, Life, Side};
use crate::gateway::deadlines::Kind;
use crate::gateway::front::tag_of;
use crate::gateway::{Action, ConnId, Gateway};
use crate::h2::Role;
use crate::record::Cause;
use crate::request::{Place, RequestKey};
use crate::time::Instant;

impl Gateway {
    /// Thaws requests while engines have slots and the ledger has memory; then orders one more engine, if one may be.
    /// Whoever still waits, waits against a deadline.
    pub(super) fn dispatch(&mut self, now: Instant) {
        while let Some(key) = self.registry.next() {
            let Some(conn) = self.least_loaded() else {
                self.dial(now);
                break;
            };
            if !self.thaw(key, conn, now) {
                break;
            }
        }
        self.arm_newcomers(now);
    }

    /// Requests that came since the last time stand together at the end of the queue.
    fn arm_newcomers(&mut self, now: Instant) {
        let mut newest = self.registry.last();
        while let Some(key) = newest
            && self.requests.get(key).is_some_and(|request| request.awaiting.deadline.is_none())
        {
            self.arm_request(key, Kind::Queue, now);
            newest = self.registry.before(&self.requests, key);
        }
    }

    /// The engine with a free slot and the fewest streams.
    fn least_loaded(&self) -> Option<ConnId> {
        self.registry
            .engines()
            .filter_map(|conn| {
                let entry = self.conns.get(conn)?;
                let Side::Backend(engine) = &entry.side else { return None };
                (engine.free_slots(&entry.h2) > 0).then(|| (entry.h2.open_streams(), conn))
            })
            .min_by_key(|&(streams, _)| streams)
            .map(|(_, conn)| conn)
    }

    /// Gives the request a stream. `false`: no memory for its window, or no slot after all; it stays frozen.
    fn thaw(&mut self, key: RequestKey, conn: ConnId, now: Instant) -> bool {
        self.lend_outbox(conn);
        let Some(entry) = self.conns.get_mut(conn) else { return false };
        let Side::Backend(engine) = &entry.side else { return false };
        let (endpoint, window) = (engine.endpoint, entry.h2.stream_recv_window());
        let Some(request) = self.requests.get_mut(key) else { return false };
        let Some(permit) = engine.permit(&entry.h2, &mut self.ledger, window) else { return false };
        let Some(frozen) = request.take_frozen() else {
            self.ledger.give_back(permit);
            return false;
        };
        let awaiting = &mut request.awaiting;
        let end = awaiting.content_end && awaiting.content.is_empty() && awaiting.trailers.is_none();
        let stream = match entry.h2.open(frozen.fields(), end) {
            Ok(stream) => stream,
            Err(_) => {
                request.place = Place::Frozen(frozen);
                self.ledger.give_back(permit);
                return false;
            }
        };
        entry.h2.set_tag(stream, tag_of(key));
        request.place = Place::Live(frozen.thaw(permit, conn, stream));
        awaiting.attempts += 1;
        awaiting.endpoint = Some(endpoint);
        awaiting.thawed = Some(now);
        self.registry.withdraw(&mut self.requests, key);
        if end {
            self.await_response(key, now);
        } else {
            self.give_content(key, now);
        }
        self.touch(conn);
        true
    }

    /// What came of the content while the request was frozen follows its head.
    fn give_content(&mut self, key: RequestKey, now: Instant) {
        self.disarm_request(key);
        let Some(request) = self.requests.get_mut(key) else { return };
        let Place::Live(live) = &request.place else { return };
        let (conn, stream) = (live.conn(), live.stream());
        let awaiting = &mut request.awaiting;
        let content = core::mem::take(&mut awaiting.content);
        let trailers = awaiting.trailers.take();
        let end = awaiting.content_end && trailers.is_none();
        let Some(entry) = self.conns.get_mut(conn) else { return };
        awaiting.content_given |= !content.is_empty() || trailers.is_some();
        // The stream was opened a moment ago: it takes content.
        let cut = entry.h2.send_data(stream, content.as_slice(), end).unwrap_or(0);
        if let Some(trailers) = trailers {
            let _ = entry.h2.send_trailers(stream, trailers);
        }
        let all_left = awaiting.content_end && cut == content.len();
        self.release_request(key, cut as u32);
        if all_left {
            self.await_response(key, now);
        } else {
            self.watch_progress(key, now);
        }
    }

    fn dial(&mut self, now: Instant) {
        let Some(endpoint) = self.registry.dial_target() else { return };
        let Some(target) = self.config.upstream.endpoints.get(endpoint).cloned() else { return };
        let h2 = self.new_connection(Role::Client);
        let side = Side::Backend(Engine::new(endpoint, self.registry.remembered_streams_max(endpoint)));
        let conn = self.conns.insert(Conn::new(h2, side, Life::Connecting));
        self.registry.register(endpoint, conn);
        self.arm_conn(conn, Kind::Connect, now);
        self.actions.push_back(Action::Connect { conn, target });
    }

    /// The backend's limits are known: what they allow is thawed, and another engine may be ordered if they do not
    /// suffice.
    pub(super) fn settings_came(&mut self, conn: ConnId, now: Instant) {
        self.established(conn, now);
        let Some(entry) = self.conns.get(conn) else { return };
        let streams_max = entry.h2.peer_settings().max_concurrent_streams;
        if let Side::Backend(engine) = &entry.side {
            self.registry.limit_told(engine.endpoint, conn, streams_max);
        }
    }

    /// The engine takes nothing new; what is live goes on. `cause` is for those who wait, should nobody else serve them.
    pub(super) fn retire_engine(&mut self, conn: ConnId, cause: Cause, now: Instant) {
        let Some(engine) = self.conns.get_mut(conn).and_then(Conn::engine_mut) else { return };
        engine.drain();
        let endpoint = engine.endpoint;
        self.engine_gone(endpoint, conn, cause, now);
    }

    pub(super) fn backend_goes_away(&mut self, conn: ConnId, now: Instant) {
        self.retire_engine(conn, Cause::ConnectionTerminated, now);
        self.stream_ended(conn, now);
    }

    /// An engine is gone. Where its dial had failed and nothing else serves the queue, everybody in it is told.
    pub(super) fn engine_gone(&mut self, endpoint: usize, conn: ConnId, cause: Cause, now: Instant) {
        if !self.registry.deregister(endpoint, conn) {
            return;
        }
        let at = now + self.duration(Kind::Redial);
        self.deadlines.arm(Kind::Redial as u8, at, crate::request::DeadlineTarget::Redial(endpoint));
        if self.registry.all_failed() {
            while let Some(key) = self.registry.next() {
                self.fail_request(key, cause, now);
            }
        }
    }
}
