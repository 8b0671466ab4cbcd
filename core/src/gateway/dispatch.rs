//! Frozen requests to engines: thaw where there is a slot, adopt or dial where there is none.

use crate::gateway::conn::{Conn, Side};
use crate::gateway::deadlines::Kind;
use crate::gateway::front::tag_of;
use crate::gateway::{ConnId, Gateway};
use crate::key::{EndpointKey, EntryKey};
use crate::record::Cause;
use crate::registry::{Rank, Seat, Way};
use crate::request::{Attempt, Place, RequestKey};
use crate::time::Instant;

/// What came of an attempt to thaw.
enum Thawed {
    /// The request is live.
    Yes,
    /// The ledger has no memory for its window; it stays frozen.
    Starved,
    /// Its client has reserved as much as one client may; it stays frozen, and the next client has its turn.
    Held,
    /// There was no slot after all; it stays frozen.
    NoSlot,
}

impl Gateway {
    /// Serves the entries for which something has changed. Whoever still waits after that, waits against a deadline.
    pub(super) fn dispatch(&mut self, now: Instant) {
        self.keep_minimum(now);
        while let Some(entry) = self.registry.next_ready() {
            self.serve(entry, now);
        }
        let mut newcomers = core::mem::take(&mut self.newcomers);
        for key in newcomers.drain(..) {
            let waits = |request: &crate::request::Request| {
                matches!(request.place, Place::Frozen(_)) && request.awaiting.deadline.is_none()
            };
            if self.requests.get(key).is_some_and(waits) {
                self.arm_request(key, Kind::Queue, now);
            }
        }
        self.newcomers = newcomers;
    }

    /// Thaws requests of the entry while there are engines with slots and the ledger has memory; then sees to more engines.
    fn serve(&mut self, entry: EntryKey, now: Instant) {
        while let Some(key) = self.registry.next_request(entry) {
            let Some(conn) = self.engine_for(entry, now) else { return self.saturated(entry, now) };
            match self.thaw(key, conn, now) {
                Thawed::Yes | Thawed::Held => {}
                Thawed::Starved => return self.registry.starve(entry),
                Thawed::NoSlot => return,
            }
        }
        // What it did not need may serve the next.
        self.registry.wake_next(entry);
        self.registry.feed();
    }

    /// The engine for the entry's next request: of those with a free slot the one whose endpoint ranks best, and there the
    /// one with the fewest streams. An endpoint that ranks better without having an engine gets one.
    fn engine_for(&mut self, entry: EntryKey, now: Instant) -> Option<ConnId> {
        let best = self.best_seat(entry);
        match self.registry.better_way(entry, best.map(|(rank, _)| rank)) {
            Some(Way::Adopt(endpoint)) => self.adopt(entry, endpoint).or(best.map(|(_, conn)| conn)),
            Some(Way::Dial(endpoint)) => {
                self.dial_for(entry, endpoint, now);
                best.map(|(_, conn)| conn)
            }
            None => best.map(|(_, conn)| conn),
        }
    }

    fn best_seat(&self, entry: EntryKey) -> Option<(Rank, ConnId)> {
        let entry = self.registry.entry(entry)?;
        entry
            .seats
            .iter()
            .filter_map(|&Seat { conn, endpoint, .. }| {
                let rank = self.registry.rank(entry.upstream, endpoint)?;
                let streams = self.streams_where_free(conn)?;
                Some(((rank, streams), conn))
            })
            .min_by_key(|&(order, _)| order)
            .map(|((rank, _), conn)| (rank, conn))
    }

    /// The streams of a backend connection, if it has a free slot.
    fn streams_where_free(&self, conn: ConnId) -> Option<usize> {
        let entry = self.conns.get(conn)?;
        let Side::Backend(engine) = &entry.side else { return None };
        (engine.free_slots(&entry.h2) > 0).then(|| entry.h2.open_streams())
    }

    /// An idle connection gets an engine of the entry.
    fn adopt(&mut self, entry: EntryKey, endpoint: EndpointKey) -> Option<ConnId> {
        let conn = self.registry.adopt(entry, endpoint)?;
        if let Some(engine) = self.conns.get_mut(conn).and_then(Conn::engine_mut) {
            engine.entry = Some(entry);
            engine.idle = false;
        }
        self.streams_where_free(conn).map(|_| conn)
    }

    /// No engine has a slot: one more is ordered, or those who wait are told, or they wait.
    fn saturated(&mut self, entry: EntryKey, now: Instant) {
        if self.registry.is_refused(entry) {
            return self.fail_queue(entry, Cause::QueueLimit, now);
        }
        if let Some(endpoint) = self.registry.last_resort(entry) {
            return self.dial_for(entry, endpoint, now);
        }
        self.resolve_for(entry);
    }

    fn dial_for(&mut self, entry: EntryKey, endpoint: EndpointKey, now: Instant) {
        if let Some(upstream) = self.registry.entry(entry).map(|entry| entry.upstream) {
            self.dial(upstream, endpoint, Some(entry), now);
        }
    }

    /// Everybody in the queue is told.
    pub(super) fn fail_queue(&mut self, entry: EntryKey, cause: Cause, now: Instant) {
        let upstream = self.registry.entry(entry).map(|entry| entry.upstream);
        while let Some(key) = self.registry.next_request(entry) {
            self.fail_request(key, cause, now);
        }
        if let Some(upstream) = upstream {
            self.registry.wake_upstream(upstream);
        }
    }

    /// Gives the request a stream.
    fn thaw(&mut self, key: RequestKey, conn: ConnId, now: Instant) -> Thawed {
        self.lend_outbox(conn);
        let Some(entry) = self.conns.get(conn) else { return Thawed::NoSlot };
        let Side::Backend(engine) = &entry.side else { return Thawed::NoSlot };
        let (upstream, endpoint) = (engine.upstream, engine.endpoint);
        let window = entry.h2.stream_recv_window();
        let Some(request) = self.requests.get(key) else { return Thawed::NoSlot };
        let front = request.awaiting.front.conn;
        if !self.share_allows(front, window) {
            self.hold_lane(front, key);
            return Thawed::Held;
        }
        let Some(entry) = self.conns.get_mut(conn) else { return Thawed::NoSlot };
        let Side::Backend(engine) = &entry.side else { return Thawed::NoSlot };
        let Some(request) = self.requests.get_mut(key) else { return Thawed::NoSlot };
        let Some(permit) = engine.permit(&entry.h2, &mut self.ledger, window) else { return Thawed::Starved };
        let Some(frozen) = request.take_frozen() else {
            self.ledger.give_back(permit);
            return Thawed::NoSlot;
        };
        let awaiting = &mut request.awaiting;
        let end = awaiting.content_end && awaiting.content.is_empty() && awaiting.trailers.is_none();
        let changed = self.spare.changed(frozen.fields(), awaiting.route.as_deref());
        let opened = entry.h2.open(changed.as_ref().unwrap_or(frozen.fields()), end);
        self.spare.keep_section(changed.unwrap_or_default());
        let Ok(stream) = opened else {
            request.place = Place::Frozen(frozen);
            self.ledger.give_back(permit);
            return Thawed::NoSlot;
        };
        entry.h2.set_tag(stream, tag_of(key));
        awaiting.attempts += 1;
        awaiting.thawed = Some(now);
        let attempt = Attempt {
            number: awaiting.attempts,
            upstream,
            endpoint,
            conn,
            stream,
            stream_id: entry.h2.stream_id(stream).unwrap_or(0),
            thawed: now,
            sent: None,
            responded: None,
            request_octets: 0,
            response_octets: 0,
        };
        let lane = awaiting.lane;
        request.place = Place::Live(frozen.thaw(permit, attempt));
        if let Some(lane) = lane {
            self.registry.thawed(&mut self.requests, key, lane, endpoint);
        }
        if end {
            self.request_sent(key, now);
        } else {
            self.give_content(key, now);
        }
        self.charge(front, window);
        self.watch(conn, now);
        self.touch(conn);
        Thawed::Yes
    }

    /// What came of the content while the request was frozen follows its head.
    fn give_content(&mut self, key: RequestKey, now: Instant) {
        self.disarm_request(key);
        let Some(request) = self.requests.get_mut(key) else { return };
        let Place::Live(live) = &mut request.place else { return };
        let (conn, stream) = (live.conn(), live.stream());
        let awaiting = &mut request.awaiting;
        let content = core::mem::take(&mut awaiting.content);
        let trailers = awaiting.trailers.take();
        let end = awaiting.content_end && trailers.is_none();
        let Some(entry) = self.conns.get_mut(conn) else { return };
        awaiting.content_given |= !content.is_empty() || trailers.is_some();
        // The stream was opened a moment ago: it takes content.
        let cut = entry.h2.send_data(stream, content.as_slice(), end).unwrap_or(0);
        live.attempt.request_octets += cut as u64;
        if let Some(trailers) = trailers {
            let _ = entry.h2.send_trailers(stream, trailers);
        }
        let all_left = awaiting.content_end && cut == content.len();
        self.release_request(key, cut as u32);
        if all_left {
            self.request_sent(key, now);
        } else {
            self.watch_progress(key, now);
        }
    }
}
