//! Frozen requests to engines: thaw where there is a slot, adopt or dial where there is none.

use crate::counters::Limit;
use crate::engine::Engine;
use crate::gateway::conn::{Conn, Side};
use crate::gateway::front::tag_of;
use crate::gateway::hooked::Outgoing;
use crate::gateway::{ConnId, Gateway};
use crate::h2::{OpenError, Sent};
use crate::hooks::strip;
use crate::key::{EndpointId, EndpointKey, EntryKey};
use crate::ledger::Permit;
use crate::message::Method;
use crate::record::Cause;
use crate::registry::{Rank, Seat, Wanted, Way};
use crate::request::{Attempt, Awaiting, Needs, Place, RequestKey, Unserved};
use crate::session::Session;
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
    /// It has its answer: of a hook, or because it cannot be sent.
    Answered,
    /// Its head is too large for this backend: it waits for another, or has its answer.
    TooLarge,
}

/// Why a request got no stream.
enum Unopened {
    /// Its head is larger than the backend takes: this large.
    TooLarge(u32),
    Refused(OpenError),
}

impl Gateway {
    /// Serves the entries for which something has changed. Whoever still waits after that, waits against a deadline.
    pub(super) fn dispatch(&mut self, now: Instant) {
        loop {
            self.keep_minimum(now);
            // Whoever waits for a backend of a special kind hands on what it cannot use; once around all is enough.
            let mut in_vain = 0;
            while let Some(entry) = self.registry.next_ready() {
                let hands_on = in_vain < self.registry.entry_count();
                in_vain = if self.serve(entry, hands_on, now) { 0 } else { in_vain + 1 };
            }
            if !self.offer_place(now) {
                break;
            }
        }
        self.watch_who_stays(now);
    }

    /// Thaws requests of the entry while there are engines with slots and the ledger has memory; then sees to more engines.
    /// `false`: nothing came of it, for all that wait want a backend of a special kind.
    fn serve(&mut self, entry: EntryKey, hands_on: bool, now: Instant) -> bool {
        let mut adopted = None;
        let served = self.thaw_all(entry, &mut adopted, hands_on, now);
        // What came to nothing is not kept from others.
        if let Some(conn) = adopted {
            self.leave_unused(conn, now);
        }
        served
    }

    fn thaw_all(
        &mut self,
        entry: EntryKey,
        adopted: &mut Option<ConnId>,
        hands_on: bool,
        now: Instant,
    ) -> bool {
        let (mut in_vain, mut unserved) = (true, Unserved::default());
        while let Some((key, needs)) = self.registry.next_request(entry, unserved) {
            self.work.steps(1);
            if let Some(cause) = self.unservable(key) {
                self.fail_request(key, cause, now);
                in_vain = false;
                continue;
            }
            let wanted = self.wanted(key);
            let Some(conn) = self.engine_for(entry, wanted, adopted, now) else {
                // Who waits for a backend of a special kind keeps its turn, and holds nobody up who can do with any.
                if !self.saturated(entry, key, wanted, now) {
                    unserved.add(needs);
                }
                continue;
            };
            match self.thaw(key, conn, now) {
                Thawed::Yes | Thawed::Held | Thawed::Answered | Thawed::TooLarge => in_vain = false,
                Thawed::Starved => {
                    self.account.hit(Limit::Ledger);
                    self.registry.starve(entry, !in_vain);
                    return true;
                }
                Thawed::NoSlot => {
                    self.registry.sated(entry);
                    return true;
                }
            }
        }
        // What it did not need may serve the next.
        if hands_on || !in_vain {
            self.registry.wake_next(entry, !in_vain, unserved);
        }
        self.registry.sated(entry);
        !in_vain || unserved.is_empty() || unserved.has(Needs::Anything)
    }

    /// The engine for a request of the entry: of those with a free slot the one whose endpoint ranks best, and there the
    /// one with the fewest streams. An endpoint that ranks better without having an engine gets one.
    fn engine_for(
        &mut self,
        entry: EntryKey,
        wanted: Wanted,
        adopted: &mut Option<ConnId>,
        now: Instant,
    ) -> Option<ConnId> {
        let best = self.best_seat(entry, wanted);
        self.work.steps(1);
        let has_slot = |conn| self.is_fit(conn, wanted, true);
        let idle = match self.registry.better_way(entry, best.map(|((rank, _), _)| rank), wanted, has_slot) {
            Some(Way::Adopt(endpoint, conn)) => Some((endpoint, conn)),
            Some(Way::Dial(endpoint)) => {
                let dialled = self.dial_for(entry, endpoint, now);
                // Until that stands, or has come to nothing, another will do that stands already.
                let has_slot = |conn| self.is_fit(conn, wanted, true);
                let idle =
                    if best.is_none() { self.registry.idle_way(entry, wanted, has_slot) } else { None };
                // One that could not be reached the last time is not the only one that is tried.
                let next = best.is_none() && idle.is_none() && dialled;
                if next && self.registry.is_in_doubt(entry, endpoint) {
                    return self.engine_for(entry, wanted, adopted, now);
                }
                idle
            }
            None => {
                // One without a slot is somebody to wait for.
                let is_fit = |conn| self.is_fit(conn, wanted, false);
                if best.is_none()
                    && let Some((endpoint, conn)) = self.registry.idle_way(entry, wanted, is_fit)
                {
                    self.adopt(entry, endpoint, conn);
                }
                None
            }
        };
        if let Some((endpoint, conn)) = idle {
            self.adopt(entry, endpoint, conn);
            self.try_out(conn, adopted, now);
            return Some(conn);
        }
        let ((_, streams), conn) = best?;
        // It was adopted to be waited for.
        if streams == 0 {
            self.try_out(conn, adopted, now);
        }
        Some(conn)
    }

    /// Whether the connection can carry a request that wants this: now, or at some time.
    fn is_fit(&self, conn: ConnId, wanted: Wanted, now: bool) -> bool {
        let fit = |conn: &Conn| offers(conn, wanted) && (!now || streams_where_free(conn).is_some());
        self.conns.get(conn).is_some_and(fit)
    }

    /// The connection carries nothing yet, and is left again if nothing comes of that.
    fn try_out(&mut self, conn: ConnId, adopted: &mut Option<ConnId>, now: Instant) {
        if let Some(other) = adopted.replace(conn).filter(|&other| other != conn) {
            self.leave_unused(other, now);
        }
    }

    /// Why nobody of its upstream can serve the request, if that is so.
    #[inline(always)]
    pub(super) fn unservable(&self, key: RequestKey) -> Option<Cause> {
        let &Awaiting { needs, large_head, ref route, .. } = &self.requests.get(key)?.awaiting;
        if needs == Needs::Anything {
            return None;
        }
        let upstream = route.as_ref()?.upstream;
        let cause = if needs == Needs::LargeHead { Cause::BackendHeadLimit } else { Cause::NoTunnel };
        self.registry.lacks(upstream, needs, large_head).then_some(cause)
    }

    /// What the request wants.
    fn wanted(&self, key: RequestKey) -> Wanted {
        self.requests.get(key).map_or_else(Wanted::default, |request| wanted_by(&request.awaiting))
    }

    /// The connection of the best engine, with the rank of its endpoint and its streams.
    fn best_seat(&mut self, entry: EntryKey, wanted: Wanted) -> Option<((Rank, usize), ConnId)> {
        let entry = self.registry.entry(entry)?;
        self.work.steps(entry.seats.len());
        let upstream = self.registry.upstream(entry.upstream)?;
        entry
            .seats
            .iter()
            .filter_map(|&Seat { conn: id, endpoint, .. }| {
                let conn = self.conns.get(id)?;
                // Where many wait, hardly anybody has a slot.
                let streams = streams_where_free(conn)?;
                let rank = upstream.rank_of(endpoint, wanted)?;
                offers(conn, wanted).then_some(((rank, streams), id))
            })
            .min_by_key(|&(order, _)| order)
    }

    /// Whether an engine of the entry rests: it will have slots again soon.
    fn is_strained(&self, entry: EntryKey) -> bool {
        let rests = |seat: &Seat| self.conns.get(seat.conn).is_some_and(|conn| conn.session.is_strained());
        self.registry.entry(entry).is_some_and(|entry| entry.seats.iter().any(rests))
    }

    /// An idle connection gets an engine of the entry.
    fn adopt(&mut self, entry: EntryKey, endpoint: EndpointKey, conn: ConnId) {
        self.registry.adopt(entry, endpoint, conn);
        if let Some(engine) = self.conns.get_mut(conn).and_then(Conn::engine_mut) {
            engine.entry = Some(entry);
            engine.idle = false;
        }
    }

    /// No engine has a slot: one more is ordered, or those who wait are told, or they wait. Says whether they were told.
    fn saturated(&mut self, entry: EntryKey, key: RequestKey, wanted: Wanted, now: Instant) -> bool {
        if self.registry.awaits_place(entry) {
            self.make_place(now);
        }
        if self.registry.is_refused(entry) && !self.is_strained(entry) {
            match wanted.needs {
                Needs::Anything => self.fail_queue(entry, Cause::QueueLimit, now),
                Needs::Tunnel | Needs::Http1 | Needs::LargeHead => {
                    self.fail_request(key, Cause::QueueLimit, now)
                }
            }
            return true;
        }
        let Some(endpoint) = self.registry.last_resort(entry, wanted, false) else {
            self.resolve_for(entry);
            return false;
        };
        let mut dialled = self.dial_for(entry, endpoint, now);
        // Where each request needs a connection of its own, those behind it do not wait for one another.
        let wanted = Wanted { avoid: None, ..wanted };
        while dialled && let Some(endpoint) = self.registry.last_resort(entry, wanted, true) {
            dialled = self.dial_for(entry, endpoint, now);
        }
        false
    }

    /// Orders a connection, if there is a place for it. Says whether there is.
    fn dial_for(&mut self, entry: EntryKey, endpoint: EndpointKey, now: Instant) -> bool {
        let Some(upstream) = self.registry.entry(entry).map(|entry| entry.upstream) else { return false };
        let has_place = self.registry.has_place(upstream);
        if has_place {
            self.dial(EndpointId { upstream, key: endpoint }, Some(entry), now);
        } else {
            self.registry.await_place(upstream);
        }
        has_place
    }

    /// Everybody in the queue is told.
    pub(super) fn fail_queue(&mut self, entry: EntryKey, cause: Cause, now: Instant) {
        let upstream = self.registry.entry(entry).map(|entry| entry.upstream);
        while let Some((key, _)) = self.registry.next_request(entry, Unserved::default()) {
            self.fail_request(key, cause, now);
        }
        if let Some(upstream) = upstream {
            self.registry.wake_upstream(upstream);
        }
    }

    /// Gives the request a stream.
    fn thaw(&mut self, key: RequestKey, conn: ConnId, now: Instant) -> Thawed {
        let Some(entry) = self.conns.get(conn) else { return Thawed::NoSlot };
        let Side::Backend(engine) = &entry.side else { return Thawed::NoSlot };
        let endpoint = engine.endpoint;
        let window = entry.session.stream_recv_window();
        let Some(request) = self.requests.get(key) else { return Thawed::NoSlot };
        let front = request.awaiting.front.conn;
        let crowds = self.ledger.is_half_taken();
        if !self.share_allows(front, window) || (crowds && !self.memory_allows(front, window)) {
            self.hold_lane(front, key);
            return Thawed::Held;
        }
        let Some(entry) = self.conns.get_mut(conn) else { return Thawed::NoSlot };
        let Side::Backend(engine) = &entry.side else { return Thawed::NoSlot };
        let Some(request) = self.requests.get_mut(key) else { return Thawed::NoSlot };
        let Some(permit) = engine.permit(&entry.session, &mut self.ledger, window) else {
            return Thawed::Starved;
        };
        let awaiting = &request.awaiting;
        let end = awaiting.content_end && awaiting.content.is_empty() && awaiting.trailers.is_none();
        let outgoing = match self.outgoing(key, endpoint, end, now) {
            Ok(outgoing) => outgoing,
            Err(instead) => {
                self.ledger.give_back(permit);
                self.answer_instead(key, instead, None, now);
                return Thawed::Answered;
            }
        };
        self.hand_over(key, conn, permit, outgoing, end, now)
    }

    /// Opens the stream, and sends what there is of the request.
    fn hand_over(
        &mut self,
        key: RequestKey,
        conn: ConnId,
        permit: Permit,
        outgoing: Outgoing,
        end: bool,
        now: Instant,
    ) -> Thawed {
        let (Some(entry), Some(request)) = (self.conns.get_mut(conn), self.requests.get_mut(key)) else {
            return self.stay_frozen(permit);
        };
        let (&Side::Backend(Engine { endpoint, .. }), Place::Frozen(_)) = (&entry.side, &request.place)
        else {
            return self.stay_frozen(permit);
        };
        self.spare.lend_outbox(entry);
        let head_at = entry.session.octets_queued();
        let head = outgoing.fields.as_ref().unwrap_or(&request.fields);
        // What it does not take may end the connection that it shares with others (RFC 9113 section 10.5.1).
        let opened = match entry.session.peer_head_max() {
            Some(max) if head.size() as u64 > u64::from(max) => {
                Err(Unopened::TooLarge(head.size().try_into().unwrap_or(u32::MAX)))
            }
            _ => entry.session.open(head, end).map_err(Unopened::Refused),
        };
        if let Some(fields) = outgoing.fields {
            self.spare.keep_section(fields);
        }
        let stream = match opened {
            Ok(stream) => stream,
            Err(Unopened::TooLarge(size)) => {
                self.ledger.give_back(permit);
                self.seek_another(key, size, now);
                return Thawed::TooLarge;
            }
            // No backend of this protocol can be asked for it.
            Err(Unopened::Refused(OpenError::Malformed)) => {
                self.ledger.give_back(permit);
                self.fail_request(key, Cause::RequestMalformed, now);
                return Thawed::Answered;
            }
            Err(Unopened::Refused(
                OpenError::NotClient | OpenError::NoSlot | OpenError::GoingAway | OpenError::NotOffered,
            )) => {
                return self.stay_frozen(permit);
            }
        };
        let awaiting = &mut request.awaiting;
        let stream_id = entry.session.set_tag(stream, tag_of(key)).unwrap_or(0);
        let is_last = entry.session.is_last_by_proof(stream);
        awaiting.attempts += 1;
        awaiting.thawed = Some(now);
        let attempt = Attempt {
            number: awaiting.attempts,
            endpoint,
            conn,
            stream,
            stream_id,
            head_at,
            thawed: now,
            sent: None,
            responded: None,
            status: 0,
            request_octets: 0,
            response_octets: 0,
        };
        let (lane, front, crowds) = (awaiting.lane, awaiting.front.conn, awaiting.crowds);
        let (frozen_at, again) = (awaiting.frozen, awaiting.last_failure.take());
        let reserved = permit.octets();
        request.thaw(permit, attempt, (outgoing.relay, outgoing.kept_out));
        self.charge(front, reserved);
        if self.ledger.is_half_taken() {
            self.crowd_memory(key, reserved);
        }
        self.count_thaw(&attempt, frozen_at, again);
        if let Some(lane) = lane {
            self.registry.thawed(&mut self.requests, key, lane, endpoint.key);
        }
        if crowds {
            self.leave_crowd(key);
        }
        // That an attempt was lost is not its doing.
        if is_last && attempt.number == 1 {
            self.charge_client(key);
        }
        if end {
            self.request_sent(key, now);
        } else {
            self.give_content(key, now);
        }
        self.watch(conn, now);
        if let Some(entry) = self.conns.get_mut(conn) {
            // B64: it had the last identifier.
            if entry.session.is_going_away() {
                self.retire_engine(conn, Cause::ConnectionTerminated, now);
                self.touch(conn);
            } else {
                entry.show(conn, &mut self.actions, &mut self.revisited);
            }
        }
        Thawed::Yes
    }

    /// It is not thawed after all.
    fn stay_frozen(&mut self, permit: Permit) -> Thawed {
        self.ledger.give_back(permit);
        Thawed::NoSlot
    }

    /// What came of the content while the request was frozen follows its head.
    fn give_content(&mut self, key: RequestKey, now: Instant) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let Place::Live(live) = &mut request.place else { return };
        let (conn, stream) = (live.conn(), live.stream());
        let awaiting = &mut request.awaiting;
        let content = core::mem::take(&mut awaiting.content);
        let trailers = awaiting.trailers.take();
        let end = awaiting.content_end && trailers.is_none();
        let Some(entry) = self.conns.get_mut(conn) else { return };
        let Sent { cut, waits } = match &mut live.relay {
            Some(relay) => {
                relay.put(content.as_slice(), end);
                Sent { cut: 0, waits: true }
            }
            None => entry.session.send_data(stream, content.as_slice(), end),
        };
        live.attempt.request_octets += cut as u64;
        let is_tunnel = awaiting.head.method == Method::Connect;
        let awaits_continue = awaiting.head.expect_continue;
        let relayed = live.relay.is_some();
        let mut all_left = !waits && awaiting.content_end;
        let max = awaiting.route.as_ref().map_or(0, |of| self.registry.replay_octets(of.upstream));
        self.replays.keep_all(content, max, awaiting, &mut self.conns, &mut self.spare);
        if let Some(mut trailers) = trailers {
            awaiting.replay.keep_trailers(&trailers);
            strip(&mut trailers, live.kept_out.as_deref());
            match &mut live.relay {
                Some(relay) => relay.put_trailers(trailers),
                None => {
                    if let Some(entry) = self.conns.get_mut(conn) {
                        // As it takes content, so it does trailers.
                        all_left &= entry.session.send_trailers(stream, trailers).unwrap_or(true);
                    }
                }
            }
        }
        self.content_cut(key, cut as u32);
        if all_left {
            self.request_sent(key, now);
        } else if is_tunnel || awaits_continue {
            // Its client owes nothing before there is an answer.
            self.await_response(key, now);
        } else {
            self.watch_progress(key, now);
        }
        if relayed {
            self.relay_request(key, now);
        }
    }
}

/// What a request wants.
pub(super) fn wanted_by(awaiting: &Awaiting) -> Wanted {
    let &Awaiting { avoid, needs, large_head, .. } = awaiting;
    Wanted { avoid, needs, head: large_head }
}

/// Whether the backend has offered on this connection what a request needs: others behind the same address may differ (RFC 8441 section 3).
#[inline(always)]
pub(super) fn offers(conn: &Conn, wanted: Wanted) -> bool {
    let is_of_the_kind = match wanted.needs {
        Needs::Anything => return true,
        Needs::LargeHead => true,
        Needs::Tunnel => conn.established && conn.session.offers_tunnels(), // 9113-5.5-05
        // Of several behind one address some may speak HTTP/2.
        Needs::Http1 => matches!(conn.session, Session::H1(_)),
    };
    is_of_the_kind && conn.session.peer_head_max().is_none_or(|max| wanted.head <= max)
}

/// The streams of a backend connection, if it has a free slot.
#[inline(always)]
fn streams_where_free(conn: &Conn) -> Option<usize> {
    let Side::Backend(engine) = &conn.side else { return None };
    (engine.free_slots(&conn.session) > 0).then(|| conn.session.open_streams())
}
