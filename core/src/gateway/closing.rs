//! The ends of connections, and of the gateway.

use crate::counters::Limit;
use crate::engine::EnginePhase;
use crate::error::ConnectionError;
use crate::gateway::clients::client;
use crate::gateway::conn::{Conn, Life, Side};
use crate::gateway::due::{DeadlineTarget, Kind};
use crate::gateway::front::key_of;
use crate::gateway::{Action, ConnId, Gateway};
use crate::record::{Cause, Outcome};
use crate::session::Session;
use crate::time::{Duration, Instant};

/// Octets of a closing peer that are discarded before patience ends.
const LINGER_OCTETS_MAX: u32 = 1 << 20;

/// A drain under way.
#[derive(Clone, Debug)]
pub(super) struct Drain {
    pub(super) deadline: Duration,
    /// Connections of clients that were cut with streams open, or with output that had not left.
    cut: u32,
    reported: bool,
    /// Backends have been told.
    closing: bool,
}

impl Drain {
    /// One more backend is to be told, where others were already.
    pub(super) const fn dials(&mut self) {
        self.closing = false;
    }
}

impl Gateway {
    /// Whether there is such a connection. What it has shown of the output of one that is gone may be on its way elsewhere.
    pub fn knows(&self, conn: ConnId) -> bool {
        self.conns.get(conn).is_some()
    }

    /// The peer broke the protocol: GOAWAY is queued, everything on the connection ends.
    pub(super) fn connection_failed(&mut self, id: ConnId, error: ConnectionError, now: Instant) {
        if let Some(entry) = self.conns.get_mut(id) {
            entry.session.fail(error);
        }
        self.count_connection_error(id, error);
        self.end_conn(id, Cause::BackendProtocol, now);
    }

    /// The connection has failed: everything on it ends, then it does. A request of which nothing has left counts as not
    /// processed and may be with another backend by now (RFC 9113 section 8.7), so it must not leave any more: what waits
    /// in the outbox is given up, and our GOAWAY with it.
    pub(super) fn end_conn(&mut self, id: ConnId, cause: Cause, now: Instant) {
        if self.abandon_streams(id, cause, now) {
            self.cut_conn(id, cause, now);
        } else {
            self.close_gracefully(id, cause, now);
        }
    }

    /// Ends every request on the connection for `cause`, a client's as [`end_with_client`] says. Whether there were some of a backend of which nothing had left
    /// for it.
    fn abandon_streams(&mut self, id: ConnId, cause: Cause, now: Instant) -> bool {
        let mut unsent = false;
        self.end_as_stale(id, cause, now);
        while let Some(entry) = self.conns.get_mut(id) {
            let is_front = entry.is_front();
            let Some((_, tag)) = entry.session.abandon_stream() else { break };
            self.work.steps(1);
            if is_front {
                self.client_gone(key_of(tag), end_with_client(cause), now);
            } else {
                unsent |= self.lost_with(id, key_of(tag), cause, now);
            }
        }
        unsent
    }

    /// A stream of the connection ended: it may have been the last that a departing connection waited for.
    #[inline(always)]
    pub(super) fn stream_ended(&mut self, id: ConnId, now: Instant) {
        let Some(entry) = self.conns.get(id) else { return };
        // What has failed is ended by whoever found that, and who waits for it hears why (B65).
        if entry.life != Life::Open || entry.session.open_streams() > 0 || entry.session.has_failed() {
            return self.slot_freed(id, now);
        }
        let departing = match &entry.side {
            Side::Front { .. } => entry.session.goaway_is_final(),
            Side::Backend(engine) => {
                entry.session.is_going_away() || engine.phase() == crate::engine::EnginePhase::Draining
            }
        };
        if departing {
            self.close_gracefully(id, Cause::ConnectionTerminated, now);
        } else if !self.shed_if_full(id, now) {
            self.arm_idle(id, now);
            self.slot_freed(id, now);
        }
    }

    /// Says GOAWAY, flushes, shuts down, lingers, closes. How long the flush takes is up to the peer's progress.
    pub(super) fn close_gracefully(&mut self, id: ConnId, cause: Cause, now: Instant) {
        let Some(entry) = self.conns.get_mut(id).filter(|entry| entry.life == Life::Open) else { return };
        entry.session.goaway();
        entry.life = Life::Flushing;
        let deadlines = [entry.deadline.take(), entry.age_deadline.disarm()];
        deadlines.into_iter().for_each(|deadline| self.cancel_deadline(deadline));
        self.retire_engine(id, cause, now);
        self.touch(id);
        self.flush(id, now);
    }

    /// The peer got an answer in a protocol of its own.
    pub(super) fn close_after_answer(&mut self, id: ConnId) {
        if let Some(entry) = self.conns.get_mut(id) {
            entry.life = Life::Flushing;
        }
        self.touch(id);
    }

    /// A departing connection whose output has left goes a step further.
    pub(super) fn flush(&mut self, id: ConnId, now: Instant) {
        let Some(entry) = self.conns.get_mut(id) else { return };
        if !entry.session.transmit().is_empty() {
            return self.arm_write_stall(id, now);
        }
        entry.waiting_since = None;
        if entry.life == Life::Open && entry.session.is_write_closed() && !entry.shut {
            entry.shut = true;
            self.actions.push_back(Action::Shutdown(id));
            return;
        }
        if entry.life != Life::Flushing {
            return;
        }
        if entry.read_closed || entry.session.is_cut_short() {
            return self.close_now(id, now);
        }
        entry.life = Life::Lingering;
        entry.inbox = Default::default();
        self.actions.push_back(Action::Shutdown(id));
        if core::mem::take(&mut entry.paused) {
            self.actions.push_back(Action::Readable(id));
        }
        self.arm_conn(id, Kind::Linger, now); // 9113-5.4.1-02
    }

    /// Input of a departing connection.
    pub(super) fn discard(&mut self, id: ConnId, octets: usize, now: Instant) {
        let Some(entry) = self.conns.get_mut(id) else { return };
        entry.inbox = Default::default();
        entry.discarded = entry.discarded.saturating_add(u32::try_from(octets).unwrap_or(u32::MAX));
        if entry.discarded > LINGER_OCTETS_MAX {
            self.close_now(id, now);
        }
    }

    /// Tells the adapter to close, and forgets the connection. Its streams must be gone.
    pub(super) fn close_now(&mut self, id: ConnId, now: Instant) {
        if self.order_close(id) {
            self.forget_conn(id, now);
        }
    }

    /// Tells the adapter to close; says whether there is such a connection. A message that is not whole must not look so (RFC 9112
    /// section 8).
    fn order_close(&mut self, id: ConnId) -> bool {
        let Some(entry) = self.conns.get_mut(id) else { return false };
        let cut_short = entry.session.is_cut_short();
        // What ends with it must not close it again.
        entry.life = Life::Lingering;
        self.actions.push_back(if cut_short { Action::Abort(id) } else { Action::Close(id) });
        true
    }

    /// Gives a connection up that has lost its use: tells the adapter to close it, and ends what it carried.
    pub(super) fn cut_conn(&mut self, id: ConnId, cause: Cause, now: Instant) {
        if self.order_close(id) {
            self.remove_conn(id, cause, now);
        }
    }

    /// The transport is gone: what the connection carried ends for `cause`.
    pub(super) fn remove_conn(&mut self, id: ConnId, cause: Cause, now: Instant) {
        self.abandon_streams(id, cause, now);
        self.retire_engine(id, cause, now);
        self.forget_conn(id, now);
    }

    fn forget_conn(&mut self, id: ConnId, now: Instant) {
        let Some(mut entry) = self.conns.remove(id) else { return };
        self.cancel_deadline(entry.deadline);
        self.cancel_deadline(entry.write_deadline);
        self.cancel_deadline(entry.block_deadline.map(|(_, deadline)| deadline));
        self.cancel_deadline(entry.age_deadline.disarm());
        self.cancel_deadline(entry.vigil.as_ref().and_then(|vigil| vigil.deadline()));
        self.count_closed(&entry);
        match entry.side {
            Side::Front { lanes, peer, counted, shed, beyond, .. } => {
                beyond.into_iter().for_each(|beyond| self.heads.give_back(beyond));
                self.dismiss(counted.then_some(&peer), shed);
                self.clients.crowd.stop_waiting(client(&peer), id);
                self.front_gone(lanes, now);
                self.shed_on(now);
            }
            Side::Backend(engine) => {
                self.cancel_deadline(engine.easing);
                let was_draining = engine.phase() == EnginePhase::Draining;
                self.registry.leave_place(id);
                self.registry.connection_gone(engine.endpoint, was_draining);
                self.cancel_leftovers(engine.leftovers);
            }
        }
        self.go_on_draining(now);
    }

    /// Listeners rest while the table of clients is full, and for good in a drain.
    pub(super) fn pace_accepting(&mut self) {
        let accepting = self.drain.is_none() && self.fronts < self.config.max_fronts as usize;
        if accepting != self.accepting {
            self.accepting = accepting;
            if !accepting && self.drain.is_none() {
                // Whoever comes from now on waits in the kernel's queue, where nobody counts.
                self.account.hit(Limit::Fronts);
            }
            self.actions.push_back(Action::Accepting(accepting));
        }
    }

    /// RFC 9113 section 6.8 in two steps: clients hear that the end is near, and a PING tells when they have heard it.
    /// A drain that is ordered again may end earlier, not later.
    pub(super) fn begin_drain(&mut self, deadline: Duration, now: Instant) {
        if self.drain.as_ref().is_some_and(|drain| drain.reported) {
            return;
        }
        if self.drain.is_some() {
            self.deadlines.arm(Kind::Drain as u8, now + deadline, DeadlineTarget::Drain);
            return;
        }
        self.drain = Some(Drain { deadline, cut: 0, reported: false, closing: false });
        self.pace_accepting();
        let target = DeadlineTarget::Drain;
        for kind in [Kind::DrainStep, Kind::Drain] {
            let at = now + self.duration(kind);
            self.deadlines.arm(kind as u8, at, target);
        }
        for id in self.conn_ids() {
            if let Some(entry) = self.conns.get_mut(id)
                && entry.is_front()
                && entry.life == Life::Open
            {
                entry.session.announce_goaway();
                entry.session.ping(*b"draining");
                self.touch(id);
            }
        }
        self.go_on_draining(now);
    }

    /// The client answered a PING that followed our first GOAWAY.
    pub(super) fn goaway_was_seen(&mut self, id: ConnId, now: Instant) {
        if self.conns.get(id).is_some_and(|entry| entry.session.is_going_away()) {
            self.name_last_stream(id, now);
        }
    }

    /// The second step, for clients that did not answer.
    pub(super) fn finish_goaway(&mut self, now: Instant) {
        for id in self.conn_ids() {
            if self.conns.get(id).is_some_and(Conn::is_front) {
                self.name_last_stream(id, now);
            }
        }
    }

    /// Over HTTP/1.1 a head that has begun is waited for: it has a deadline, and its response is the last; so is one that was sent ahead.
    pub(super) fn name_last_stream(&mut self, id: ConnId, now: Instant) {
        let is_asking = |entry: &Conn| matches!(entry.session, Session::H1(_)) && entry.is_asking();
        if self.conns.get(id).is_some_and(is_asking) {
            return;
        }
        if let Some(entry) = self.conns.get_mut(id).filter(|entry| entry.life == Life::Open) {
            entry.session.goaway();
            self.touch(id);
            self.stream_ended(id, now);
        }
    }

    /// The deadline of the drain: whoever is still there is cut.
    pub(super) fn cut_drain(&mut self, now: Instant) {
        // Clients first: a backend that is cut would end their streams, and nobody could say any more whose were open.
        let (fronts, backends): (Vec<_>, Vec<_>) =
            self.conn_ids().into_iter().partition(|&id| self.conns.get(id).is_some_and(Conn::is_front));
        for id in fronts.into_iter().chain(backends) {
            let Some(entry) = self.conns.get(id) else { continue };
            // A response may have been cut into the outbox whole and wait there for a client that takes it slowly. What lingers has had all.
            let waits = matches!(entry.life, Life::Open | Life::Flushing) && entry.session.owes_messages();
            let in_use = entry.is_front() && (waits || entry.session.open_streams() > 0);
            if let Some(drain) = &mut self.drain {
                drain.cut += u32::from(in_use);
            }
            self.cut_conn(id, Cause::Draining, now);
        }
        self.go_on_draining(now);
    }

    /// Backends go when the last client has gone; with the last backend the drain is over.
    pub(super) fn go_on_draining(&mut self, now: Instant) {
        let Some(drain) = &mut self.drain else { return };
        if self.fronts > 0 || !self.requests.is_empty() {
            return;
        }
        // Once: nobody dials any more, and each of them comes here when it is gone.
        if !core::mem::replace(&mut drain.closing, true) {
            self.close_backends(now);
        }
        let Some(drain) = &mut self.drain else { return };
        if self.conns.is_empty() && !core::mem::replace(&mut drain.reported, true) {
            let cut = drain.cut;
            self.actions.push_back(Action::Drained { cut });
            self.deadlines = Default::default();
        }
    }

    fn close_backends(&mut self, now: Instant) {
        for id in self.conn_ids() {
            self.work.steps(1);
            let Some(entry) = self.conns.get(id) else { continue };
            let life = entry.life;
            self.retire_engine(id, Cause::Draining, now);
            let Some(entry) = self.conns.get_mut(id) else { continue };
            match life {
                Life::Connecting => self.close_now(id, now),
                Life::Open => {
                    entry.session.goaway();
                    entry.life = Life::Flushing;
                    self.touch(id);
                    // HTTP/1.1 says nothing that would have to leave first.
                    self.flush(id, now);
                }
                Life::Flushing | Life::Lingering => {}
            }
        }
    }

    fn conn_ids(&self) -> Vec<ConnId> {
        self.conns.iter().map(|(id, _)| id).collect()
    }
}

/// How the requests of a client end whose connection ends for `cause`.
const fn end_with_client(cause: Cause) -> Outcome {
    match cause {
        // A drain has no more time for it, or it takes no output.
        Cause::Draining | Cause::StreamIdle => Outcome::Truncated(cause),
        // It broke the protocol, or has not ended in time what it had begun.
        Cause::BackendProtocol | Cause::ConnectionTimeout => Outcome::ClientError,
        _ => Outcome::ClientGone,
    }
}
