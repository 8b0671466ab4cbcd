//! What becomes of engines: their limits are told, they run out of requests, their backend goes away.

use std::sync::Arc;

use crate::address::Address;
use crate::engine::EnginePhase;
use crate::gateway::conn::{Conn, Life, Side};
use crate::gateway::due::{DeadlineTarget, Kind};
use crate::gateway::front::key_of;
use crate::gateway::{Action, ConnId, Gateway};
use crate::key::{EndpointId, EntryKey, UpstreamKey};
use crate::record::Cause;
use crate::registry::{FrontLanes, Seat};
use crate::session::Session;
use crate::time::{Duration, Instant};

/// A connection that ends so soon after it was ordered, and of whose requests none came to anything, was in vain.
const IN_VAIN_WITHIN: Duration = Duration::from_secs(1);

impl Gateway {
    /// The backend's limits are known: what they allow is thawed, and another engine may be ordered if they do not
    /// suffice.
    pub(super) fn settings_came(&mut self, conn: ConnId, now: Instant) {
        let first = self.conns.get(conn).is_some_and(|entry| !entry.established);
        self.established(conn, now);
        if first {
            self.watch_established(conn);
        }
        let Some(entry) = self.conns.get(conn) else { return };
        let session = &entry.session;
        let limits = (session.peer_streams_max(), session.offers_tunnels(), session.peer_head_max());
        // What one says that goes away is not for others.
        if let Side::Backend(engine) = &entry.side
            && engine.phase() != EnginePhase::Draining
        {
            let seat = Seat { conn, endpoint: engine.endpoint.key, dialling: first, slow: false };
            self.registry.limit_told(engine.endpoint.upstream, engine.entry, seat, limits);
        }
        self.offer_tunnels(conn, limits.1);
        self.bar(conn, limits.0 == Some(0));
        self.run_out(conn, now);
    }

    /// The backend understands requests for tunnels on the connection, or does not. What one says that goes away is not for others.
    fn offer_tunnels(&mut self, conn: ConnId, offers: bool) {
        let Some(engine) = self.conns.get_mut(conn).and_then(Conn::engine_mut) else { return };
        let offers = offers && engine.phase() != EnginePhase::Draining;
        if core::mem::replace(&mut engine.offers_tunnels, offers) != offers {
            self.registry.offer_tunnels(engine.endpoint, offers);
        }
    }

    /// The backend allows no stream on the connection for now, or does again. Of one that goes away it means nothing.
    fn bar(&mut self, conn: ConnId, barred: bool) {
        let Some(engine) = self.conns.get_mut(conn).and_then(Conn::engine_mut) else { return };
        if engine.phase() != EnginePhase::Draining && core::mem::replace(&mut engine.barred, barred) != barred
        {
            self.registry.bar(engine.endpoint, barred);
        }
    }

    /// An engine without requests is deregistered: whoever needs its connection next adopts it (B31, B33).
    pub(super) fn run_out(&mut self, conn: ConnId, now: Instant) {
        if let Some(upstream) = self.leave_unused(conn, now) {
            self.registry.wake_upstream(upstream);
        }
    }

    /// Likewise, where nobody waits who could use it. Says whose connection is idle now, if it is.
    pub(super) fn leave_unused(&mut self, conn: ConnId, now: Instant) -> Option<UpstreamKey> {
        let entry = self.conns.get_mut(conn)?;
        let sound = entry.established && entry.life == Life::Open && !entry.session.has_failed();
        let unused = sound && entry.session.open_streams() == 0;
        let may_rest =
            |engine: &&mut crate::engine::Engine| engine.phase() == EnginePhase::Open && !engine.idle;
        let engine = entry.engine_mut().filter(|_| unused).filter(may_rest)?;
        let endpoint = engine.endpoint;
        engine.idle = true;
        let of = engine.entry.take();
        if self.registry.deregister(of, endpoint, conn) {
            return Some(endpoint.upstream);
        }
        self.close_gracefully(conn, Cause::ConnectionTerminated, now);
        None
    }

    /// A slot of the backend connection may be free: a stream has ended, or output has left that there was no room behind.
    #[inline(always)]
    pub(super) fn slot_freed(&mut self, conn: ConnId, now: Instant) {
        let Some(Conn { side: Side::Backend(engine), session, .. }) = self.conns.get(conn) else { return };
        // Nobody waits for one that is idle: who could only wait for it has adopted it. But a smaller window may be what there is memory for. One whose
        // client has gone was kept by a stream that had lost its request: now it is idle, too.
        let Some(entry) = engine.entry else {
            if session.open_streams() == 0 {
                self.run_out(conn, now);
            }
            return self.registry.feed();
        };
        // First it is idle, and whose turn it is gets it: that need not be who had it. One without slots may have been adopted to wait for them, by a
        // request that has gone since.
        if session.open_streams() == 0
            && (engine.free_slots(session) > 0
                || self.registry.entry(entry).is_some_and(|entry| entry.queued == 0))
        {
            self.run_out(conn, now);
        }
        self.registry.wake(entry);
    }

    /// A stream of the connection was reset. Of a backend's too many of that are not borne (CVE-2023-44487 is why they count), and the
    /// connection is everybody's: new requests wait until it has rested.
    pub(super) fn strain(&mut self, conn: ConnId, now: Instant) {
        let at = now + self.duration(Kind::Ease);
        let Some(entry) = self.conns.get_mut(conn).filter(|entry| !entry.is_front()) else { return };
        entry.session.strain();
        let strained = entry.session.is_strained();
        if let Some(engine) = entry.engine_mut()
            && strained
            && engine.easing.is_none()
        {
            engine.easing = Some(self.deadlines.arm(Kind::Ease as u8, at, DeadlineTarget::Conn(conn)));
        }
    }

    /// The backend has rested for a while.
    pub(super) fn ease(&mut self, conn: ConnId, now: Instant) {
        let at = now + self.duration(Kind::Ease);
        let Some(entry) = self.conns.get_mut(conn) else { return };
        entry.forgive(now);
        let strained = entry.session.is_strained();
        let Some(engine) = entry.engine_mut() else { return };
        engine.easing =
            strained.then(|| self.deadlines.arm(Kind::Ease as u8, at, DeadlineTarget::Conn(conn)));
        if !strained {
            self.slot_freed(conn, now);
        }
    }

    /// A client is gone. In scope `client` its engines are out of requests with it.
    pub(super) fn front_gone(&mut self, lanes: FrontLanes, now: Instant) {
        for Seat { conn, .. } in self.registry.forget_front(lanes) {
            if let Some(engine) = self.conns.get_mut(conn).and_then(Conn::engine_mut) {
                engine.entry = None;
            }
            self.run_out(conn, now);
        }
    }

    /// These engines take nothing new.
    pub(super) fn send_away(&mut self, conns: &[ConnId], now: Instant) {
        for &conn in conns {
            let connecting = self.conns.get(conn).is_some_and(|entry| entry.life == Life::Connecting);
            self.retire_engine(conn, Cause::Draining, now);
            if connecting {
                self.close_now(conn, now);
            } else {
                self.stream_ended(conn, now);
            }
        }
    }

    /// The engine takes nothing new; what is live goes on. `cause` is for those who wait, should nobody else serve them.
    pub(super) fn retire_engine(&mut self, conn: ConnId, cause: Cause, now: Instant) {
        let Some(entry) = self.conns.get_mut(conn) else { return };
        let dialling = !entry.established && !entry.has_unread();
        // Who is sent away, for its age or because nobody wants it, has not gone by itself.
        let sent_away = cause == Cause::Draining;
        let in_vain = !sent_away && is_in_vain(entry, now);
        let is_unheard = matches!(entry.session, Session::H1(_)) && is_unheard(entry);
        let broken_off = !in_vain && is_unheard && entry.session.traffic().resets_sent > 0;
        // What becomes of those that are still open decides.
        let undecided = !sent_away && !in_vain && entry.session.open_streams() > 0;
        let Some(engine) = entry.engine_mut() else { return };
        let again = engine.phase() == EnginePhase::Draining;
        engine.drain();
        let endpoint = engine.endpoint;
        if core::mem::take(&mut engine.offers_tunnels) {
            self.registry.offer_tunnels(endpoint, false);
        }
        let (idle, barred) = (core::mem::take(&mut engine.idle), core::mem::take(&mut engine.barred));
        let entry = engine.entry.take();
        if idle {
            self.registry.leave_idle(endpoint, conn);
        }
        // What is sent away says nothing of the endpoint, nor what was broken off here before it had said a word.
        let tells = !again && !dialling && !undecided && !sent_away && !broken_off;
        let in_vain = tells && self.ended_in_vain(endpoint, in_vain);
        // What nobody wants any more has not failed.
        let retired = self.registry.endpoint(endpoint).is_none_or(|of| of.retired);
        let failed = in_vain || (dialling && !again && !retired && !sent_away);
        if failed {
            self.dial_failed(endpoint, self.dialled(conn), cause, now);
        }
        if let Some(entry) = entry {
            self.engine_gone(conn, entry, (dialling && !sent_away, in_vain), cause, now);
        }
        // Whoever waits may have waited for it although it was nobody's, or another client's.
        if failed {
            self.fail_hopeless(endpoint.upstream, cause, now);
        }
        // What it had said of streams is not for its successor.
        if barred {
            self.registry.bar(endpoint, false);
        }
        if !again {
            self.registry.drains(endpoint);
        }
    }

    /// The connection has ended, and if it had been idle over HTTP/1.1, was asked and has not said a word since, it was stale: so are those of its endpoint,
    /// mostly, that have been idle as long (RFC 9112 section 9.3.1), be they kept without ever having been used. The next attempt would be lost on one of
    /// them, and so would each request whose method allows no other.
    pub(super) fn end_as_stale(&mut self, conn: ConnId, cause: Cause, now: Instant) {
        let broke = matches!(cause, Cause::ConnectionTerminated | Cause::Tls(_));
        let Some(entry) = self.conns.get(conn).filter(|entry| broke && entry.inbox.is_empty()) else {
            return;
        };
        let (Side::Backend(engine), Some(vigil)) = (&entry.side, &entry.vigil) else { return };
        let request = entry.session.unanswered_request().and_then(|tag| self.requests.get(key_of(tag)));
        let heard = vigil.last_heard();
        // One that was asked in the moment in which it stood, or had answered another, had not been idle.
        if request.and_then(|request| request.awaiting.thawed).is_none_or(|thawed| thawed <= heard) {
            return;
        }
        self.retire_as_stale(engine.endpoint, heard, now);
    }

    /// A connection of HTTP/1.1 was stale that had been heard last at this time: so are those that have been idle as long.
    pub(super) fn retire_as_stale(&mut self, endpoint: EndpointId, heard: Instant, now: Instant) {
        let is_stale = |other: &Conn| {
            let older = other.vigil.as_ref().is_some_and(|vigil| vigil.last_heard() <= heard);
            older && matches!(other.session, Session::H1(_))
        };
        let of = self.registry.endpoint(endpoint);
        let idle = of.map_or(&[][..], |of| &of.idle).iter().copied();
        let stale: Vec<_> = idle.filter(|&id| self.conns.get(id).is_some_and(is_stale)).collect();
        for id in stale {
            self.retire_engine(id, Cause::Draining, now);
            self.stream_ended(id, now);
        }
    }

    /// The connection has ended under a request. Over HTTP/1.1 no backend says which it has not processed: one that has closed without ever having said a word
    /// was of no use.
    pub(super) fn lost_unheard(&mut self, conn: ConnId, cause: Cause) {
        let broke = matches!(cause, Cause::ConnectionTerminated | Cause::Tls(_));
        let is_of_no_use =
            |entry: &&mut Conn| broke && is_unheard(entry) && matches!(entry.session, Session::H1(_));
        if let Some(engine) = self.conns.get_mut(conn).filter(is_of_no_use).and_then(Conn::engine_mut) {
            engine.in_vain = engine.in_vain.saturating_add(1);
        }
    }

    /// A request of the connection was not processed. Where that was the last of a backend that goes away, so soon, the connection was in vain all the same.
    pub(super) fn was_not_processed(&mut self, conn: ConnId, cause: Cause, now: Instant) {
        let Some(entry) = self.conns.get_mut(conn) else { return };
        let Some(engine) = entry.engine_mut() else { return };
        engine.in_vain = engine.in_vain.saturating_add(1);
        let endpoint = engine.endpoint;
        let goes = engine.phase() == EnginePhase::Draining && entry.session.is_going_away();
        let in_vain = goes && entry.established && is_in_vain(entry, now);
        if in_vain && self.ended_in_vain(endpoint, true) {
            self.dial_failed(endpoint, self.dialled(conn), cause, now);
            self.fail_hopeless(endpoint.upstream, cause, now);
        }
    }

    /// Where the connection was dialled.
    fn dialled(&self, conn: ConnId) -> Option<Address> {
        self.conns.get(conn)?.vigil.as_ref()?.dialled.clone()
    }

    /// Whether a connection that stood was the last of too many that ended in vain: whoever dials at once, again and again, dials as fast as the
    /// network lets it.
    fn ended_in_vain(&mut self, endpoint: EndpointId, in_vain: bool) -> bool {
        let in_vain = in_vain && self.drain.is_none();
        self.registry.endpoint_mut(endpoint).is_some_and(|of| of.ended(in_vain) && !of.retired)
    }

    /// An entry has lost an engine. Where its dial had failed and nothing else serves the queue, everybody in it is told.
    fn engine_gone(
        &mut self,
        conn: ConnId,
        entry: EntryKey,
        (dialling, in_vain): (bool, bool),
        cause: Cause,
        now: Instant,
    ) {
        let dial_failed = self.registry.unseat(entry, conn) && dialling;
        if (dial_failed || in_vain) && self.registry.is_hopeless(entry) {
            self.fail_queue(entry, cause, now);
        } else {
            // In scope `client` it may be who can have another here, though others stand before it.
            self.registry.wake(entry);
        }
    }

    /// A dial of the address came to nothing, or the name has no address.
    fn dial_failed(&mut self, endpoint: EndpointId, dialled: Option<Address>, cause: Cause, now: Instant) {
        if let Some(of) = self.registry.endpoint_mut(endpoint) {
            of.counters.dial_failed(cause, now);
            if of.has_another(dialled, now) {
                // Nothing of a request has left: it can wait for that.
                self.registry.look_for_short(endpoint.upstream);
                return self.registry.wake_upstream(endpoint.upstream);
            }
        }
        match cause {
            Cause::SystemLimit => self.lack_means(endpoint, now),
            _ => self.rest_endpoint(endpoint, now),
        }
    }

    fn rest_endpoint(&mut self, endpoint: EndpointId, now: Instant) {
        let Some(of) = self.registry.endpoint_mut(endpoint) else { return };
        if of.resting {
            return;
        }
        let rest = of.failed(now);
        // Of an earlier rest, which a backend that answered has cut short: it would end this one too early.
        if let Some(old) = of.rest_deadline.take() {
            self.deadlines.cancel(old);
        }
        let target = DeadlineTarget::Rest(endpoint);
        of.rest_deadline = Some(self.deadlines.arm(Kind::Rest as u8, now + rest, target));
    }

    /// The endpoint may be dialled again.
    pub(super) fn rested(&mut self, endpoint: EndpointId) {
        if let Some(of) = self.registry.endpoint_mut(endpoint) {
            of.resting = false;
        }
        self.registry.rested(endpoint.upstream);
    }

    /// The backend said GOAWAY.
    pub(super) fn backend_goes_away(&mut self, conn: ConnId, now: Instant) {
        self.retire_engine(conn, Cause::ConnectionTerminated, now);
        self.stream_ended(conn, now);
    }

    /// Asks for the addresses of the endpoints that the entry might use, where none is known.
    pub(super) fn resolve_for(&mut self, entry: EntryKey) {
        let Some(upstream) = self.registry.entry(entry).map(|entry| entry.upstream) else { return };
        self.resolve_unknown(upstream);
    }

    /// Asks for the addresses of the upstream's endpoints where none is known.
    pub(super) fn resolve_unknown(&mut self, upstream: UpstreamKey) {
        let Some(of) = self.registry.upstream(upstream) else { return };
        let unknown: Vec<_> =
            of.endpoints().filter(|(_, endpoint)| endpoint.is_unresolved()).map(|(key, _)| key).collect();
        for key in unknown {
            self.resolve(EndpointId { upstream, key });
        }
    }

    /// Asks for the addresses of one endpoint, unless somebody asks already.
    pub(super) fn resolve(&mut self, endpoint: EndpointId) {
        let Some(of) = self.registry.endpoint_mut(endpoint) else { return };
        let crate::config::Host::Name { name, port } = &of.config.host else { return };
        if core::mem::replace(&mut of.resolving, true) {
            return;
        }
        let (name, port) = (Arc::clone(name), *port);
        if self.registry.ask((Arc::clone(&name), port), endpoint) {
            self.actions.push_back(Action::Resolve { name, port });
        }
    }

    /// Addresses were found for a name, or none.
    pub(super) fn name_resolved(&mut self, name: (Arc<str>, u16), addresses: &[Address], now: Instant) {
        // What was asked for at once, every name by every worker, is not asked for at once again.
        let at = now + self.jittered(self.duration(Kind::Resolve));
        for endpoint in self.registry.answered(&name) {
            let Some(of) = self.registry.endpoint_mut(endpoint) else { continue };
            let news = of.resolved(addresses.to_vec());
            let unresolved = of.is_unresolved();
            // Requests may have asked before it was time.
            let old = of.resolve_deadline.take();
            self.cancel_deadline(old);
            let target = DeadlineTarget::Resolve(endpoint);
            let key = self.deadlines.arm(Kind::Resolve as u8, at, target);
            if let Some(of) = self.registry.endpoint_mut(endpoint) {
                of.resolve_deadline = Some(key);
            }
            if unresolved {
                self.dial_failed(endpoint, None, Cause::NameUnresolved, now);
                self.fail_hopeless(endpoint.upstream, Cause::NameUnresolved, now);
            } else if news {
                self.rested(endpoint);
            }
        }
    }

    /// Whoever waits for an upstream of which no endpoint can be found, or dialled, is told; unless it has connections, of which one may become idle.
    fn fail_hopeless(&mut self, upstream: UpstreamKey, cause: Cause, now: Instant) {
        if self.registry.is_at_work(upstream) {
            return;
        }
        for entry in self.registry.waiting(upstream) {
            if self.registry.is_hopeless(entry) {
                self.fail_queue(entry, cause, now);
            }
        }
    }
}

/// Whether a connection that is not old has carried nothing that came to anything.
fn is_in_vain(entry: &Conn, now: Instant) -> bool {
    let Side::Backend(engine) = &entry.side else { return false };
    let unused = entry.session.traffic().requests <= u64::from(engine.in_vain);
    unused && now.saturating_since(entry.since) < IN_VAIN_WITHIN
}

/// Whether the backend has never said a word on the connection.
fn is_unheard(entry: &Conn) -> bool {
    entry.session.traffic().recv_octets == 0 && entry.inbox.is_empty()
}
