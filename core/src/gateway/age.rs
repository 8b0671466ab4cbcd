//! The age of connections: clients are asked to leave, backend connections take no more requests.
//!
//! Balancers spread connections, not requests; one that lasts for ever pins its load to where it once went.

use crate::gateway::conn::{Age, Conn, Life, Side};
use crate::gateway::due::{DeadlineTarget, Kind};
use crate::gateway::{ConnId, Gateway};
use crate::record::Cause;
use crate::time::{Duration, Instant};

impl Gateway {
    /// The connection stands: it may last so long, a tenth more or less.
    pub(super) fn arm_age(&mut self, id: ConnId, now: Instant) {
        let Some(entry) = self.conns.get(id) else { return };
        let age = match entry.side {
            Side::Front { .. } => self.config.timeouts.front_age,
            Side::Backend(_) => self.config.timeouts.backend_age,
        };
        let at = now + self.jittered(age);
        self.arm_age_at(id, at);
    }

    fn arm_age_at(&mut self, id: ConnId, at: Instant) {
        let key = self.deadlines.arm(Kind::Age as u8, at, DeadlineTarget::Conn(id));
        let Some(entry) = self.conns.get_mut(id) else { return };
        let old = entry.age_deadline.disarm();
        entry.age_deadline = Age::Armed(key);
        self.cancel_deadline(old);
    }

    /// A client falls asleep: if it is to be closed for idleness before its time is over, that need not be watched meanwhile.
    pub(super) fn age_asleep(&mut self, id: ConnId) {
        let Some(entry) = self.conns.get_mut(id) else { return };
        let (Age::Armed(age), Some(idle)) = (entry.age_deadline, entry.deadline) else { return };
        let (age_at, idle_at) = (self.deadlines.end(age), self.deadlines.end(idle));
        if let (Some(age_at), Some(idle_at)) = (age_at, idle_at)
            && idle_at < age_at
        {
            entry.age_deadline = Age::Asleep(age_at);
            self.deadlines.cancel(age);
        }
    }

    /// It has woken.
    pub(super) fn age_awake(&mut self, id: ConnId) {
        if let Some(Age::Asleep(at)) = self.conns.get(id).map(|entry| entry.age_deadline) {
            self.arm_age_at(id, at);
        }
    }

    /// Whether a backend's connection that has become old would have a successor.
    fn may_retire(&self, id: ConnId) -> bool {
        let Some(Side::Backend(engine)) = self.conns.get(id).map(|entry| &entry.side) else { return false };
        let of = self.registry.upstream(engine.endpoint.upstream);
        let endpoint = of.and_then(|of| Some((of, of.endpoint(engine.endpoint.key)?)));
        endpoint.is_none_or(|(of, endpoint)| of.has_room_for_successor(endpoint))
    }

    /// A tenth more or less, so that what began together does not end together.
    pub(super) fn jittered(&mut self, duration: Duration) -> Duration {
        let tenth = duration / 10;
        let span = u64::try_from(tenth.as_nanos()).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(1);
        let more = Duration::from_nanos(self.random.next_u64() % span);
        (duration - tenth).saturating_add(more)
    }

    /// A client is told of it, and a backend connection takes no new requests. Over HTTP/1.1 only a response can tell: one that is idle may have a request
    /// on its way, and it is `idle_timeout` that ends who has none.
    pub(super) fn expire_age(&mut self, id: ConnId, now: Instant) {
        let stays = |entry: &&mut Conn| {
            entry.is_front() && entry.life == Life::Open && !entry.session.is_going_away()
        };
        let Some(entry) = self.conns.get_mut(id).filter(stays) else { return self.ask_to_leave(id, now) };
        if entry.session.leave_in_turn() {
            entry.age_deadline = Age::Endless;
        } else {
            self.ask_to_leave(id, now);
        }
    }

    /// A client hears first that the end is near, and a while later which stream was the last (RFC 9113 section 6.8). A
    /// backend connection takes no new requests.
    pub(super) fn ask_to_leave(&mut self, id: ConnId, now: Instant) {
        // Where it is asked to leave before its time, that is still armed.
        let armed = self.conns.get_mut(id).and_then(|entry| entry.age_deadline.disarm());
        self.cancel_deadline(armed);
        let may_retire = self.may_retire(id);
        let Some(entry) = self.conns.get_mut(id).filter(|entry| entry.life == Life::Open) else { return };
        match entry.side {
            Side::Front { .. } if entry.session.is_going_away() => self.name_last_stream(id, now),
            Side::Front { .. } => {
                entry.session.announce_goaway();
                entry.session.ping(*b"too old.");
                let at = now + self.duration(Kind::DrainStep);
                self.arm_age_at(id, at);
                self.touch(id);
            }
            // Too many are old and cannot end: this one stays instead of them.
            Side::Backend(_) if !may_retire => self.arm_age(id, now),
            Side::Backend(_) => {
                self.retire_engine(id, Cause::Draining, now);
                self.stream_ended(id, now);
            }
        }
    }
}
