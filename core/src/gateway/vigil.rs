//! Whether backends are still there: a PING on suspicion, one at a time.
//!
//! A connection is suspected when it is used again after a while in which nothing was heard, or when nothing is heard while
//! streams wait. Requests go out all the same; where no answer comes, the connection is given up. In one silence a backend
//! is asked once, and once more where a request is given to it later: there are servers that take a third question for abuse.

use crate::address::Address;
use crate::deadline::DeadlineKey;
use crate::gateway::conn::{Conn, Life};
use crate::gateway::due::{DeadlineTarget, Kind};
use crate::gateway::{ConnId, Gateway};
use crate::record::Cause;
use crate::time::Instant;

/// So often a backend is asked in one silence in which requests are given to it: it may have died since it answered.
const QUESTIONS_MAX: u8 = 2;
/// A PING frame (RFC 9113 section 6.7).
const PING_OCTETS: u64 = 17;

/// What is known of the peer's life.
#[derive(Clone, Debug)]
pub(super) struct Vigil {
    /// When it was last heard, or the connection stood, or was ordered.
    heard: Instant,
    /// How often it was asked since it was heard last, but for its answers.
    asked: u8,
    /// So many octets had come in whole frames when it was asked.
    recv_at: u64,
    /// Until it must have answered, or until the next look at it.
    deadline: Option<DeadlineKey>,
    /// Whether the deadline is that of an answer.
    pinged: bool,
    /// Where in the output the question ends: as long as it waits behind others no answer is due.
    ping_at: u64,
    /// How much had left at the last look.
    seen_at: u64,
    /// When the question left.
    left: Option<Instant>,
    /// The last request that it was given after it had not been heard for a while, by its number, and when it had been heard then.
    rested: Option<(u64, Instant)>,
    /// Where it was dialled.
    pub(super) dialled: Option<Address>,
}

impl Vigil {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            heard: now,
            asked: 0,
            recv_at: 0,
            deadline: None,
            pinged: false,
            ping_at: 0,
            seen_at: 0,
            left: None,
            rested: None,
            dialled: None,
        }
    }

    /// Whether the silence is still that in which it was asked: nothing has come since, or nothing but the answer. What came beside it may have come
    /// in the same moment.
    const fn is_asked_in_this_silence(&self, recv_octets: u64) -> bool {
        self.asked > 0 && (self.pinged || recv_octets <= self.recv_at + PING_OCTETS)
    }

    /// The connection stands: somebody is there.
    pub(super) const fn stands(&mut self, now: Instant) {
        self.heard = now;
    }

    /// When it was last heard, or else when the connection stood.
    pub(super) const fn last_heard(&self) -> Instant {
        self.heard
    }

    /// When it had been heard last before it was given its request of this number, if that was a while ago.
    pub(super) fn heard_before(&self, request: u64) -> Option<Instant> {
        self.rested.filter(|&(number, _)| number == request).map(|(_, heard)| heard)
    }

    /// The connection is gone.
    pub(super) const fn deadline(&self) -> Option<DeadlineKey> {
        self.deadline
    }
}

impl Gateway {
    /// Octets came from a backend, whatever they say.
    pub(super) fn heard(&mut self, conn: ConnId, now: Instant) {
        let Some(vigil) = self.conns.get_mut(conn).and_then(|entry| entry.vigil.as_mut()) else { return };
        // X2: however the octets of one moment are cut, they are one answer.
        let later = now > vigil.heard;
        vigil.heard = now;
        if core::mem::take(&mut vigil.pinged) {
            let deadline = vigil.deadline.take();
            self.cancel_deadline(deadline);
            self.look_later(conn);
        } else if later && core::mem::take(&mut vigil.asked) > 0 && vigil.deadline.is_none() {
            // The next silence is another one.
            self.look_later(conn);
        }
    }

    /// A request was given to the connection. Before the backend's SETTINGS another deadline watches it.
    pub(super) fn watch(&mut self, conn: ConnId, now: Instant) {
        let limit = self.config.timeouts.suspect_idle;
        let Some(entry) = self.conns.get_mut(conn).filter(|entry| entry.established) else { return };
        let Some(vigil) = &mut entry.vigil else { return };
        if now.saturating_since(vigil.heard) >= limit {
            vigil.rested = Some((entry.session.traffic().requests, vigil.heard));
            self.ask(conn, QUESTIONS_MAX, now);
        } else if vigil.deadline.is_none() {
            self.look_later(conn);
        }
    }

    /// The backend's SETTINGS came: requests that were given to the connection before are watched from now on.
    pub(super) fn watch_established(&mut self, conn: ConnId) {
        if self.conns.get(conn).is_some_and(|entry| entry.session.open_streams() > 0) {
            self.look_later(conn);
        }
    }

    /// Looks at the connection once nothing was heard for a while.
    fn look_later(&mut self, conn: ConnId) {
        let Some(vigil) = self.conns.get(conn).and_then(|entry| entry.vigil.as_ref()) else { return };
        let at = vigil.heard + self.config.timeouts.suspect_silent;
        self.arm_vigil(conn, at);
    }

    fn arm_vigil(&mut self, conn: ConnId, at: Instant) {
        let Some(vigil) = self.conns.get_mut(conn).and_then(|entry| entry.vigil.as_mut()) else { return };
        let key = self.deadlines.arm(Kind::Vigil as u8, at, DeadlineTarget::Conn(conn));
        let old = vigil.deadline.replace(key);
        self.cancel_deadline(old);
    }

    /// B5, B7, F24: one PING, and no other before the answer.
    fn ask(&mut self, conn: ConnId, most: u8, now: Instant) {
        let limit = self.config.timeouts.ping;
        let Some(Conn { session, vigil: Some(vigil), .. }) = self.conns.get_mut(conn) else { return };
        let recv_at = session.traffic().recv_octets;
        let before = if vigil.is_asked_in_this_silence(recv_at) { vigil.asked } else { 0 };
        if vigil.pinged || before >= most || !session.ping(*b"in there") {
            return;
        }
        (vigil.asked, vigil.pinged, vigil.recv_at) = (before + 1, true, recv_at);
        (vigil.ping_at, vigil.seen_at, vigil.left) = (session.octets_queued(), session.octets_sent(), None);
        self.arm_vigil(conn, now + limit);
        self.touch(conn);
    }

    /// Octets of the connection have left, the question perhaps among them.
    #[inline(always)]
    pub(super) fn asked(entry: &mut Conn, now: Instant) {
        if let Some(vigil) = entry.vigil.as_mut().filter(|vigil| vigil.pinged && vigil.left.is_none())
            && entry.session.octets_sent() >= vigil.ping_at
        {
            (vigil.left, vigil.seen_at) = (Some(now), entry.session.octets_sent());
        }
    }

    /// The answer is overdue, or it is time for a look.
    pub(super) fn expire_vigil(&mut self, conn: ConnId, now: Instant) {
        let Some(entry) = self.conns.get_mut(conn) else { return };
        let wanted = entry.life == Life::Open && entry.established && entry.session.open_streams() > 0;
        let Some(vigil) = &mut entry.vigil else { return };
        vigil.deadline = None;
        if vigil.pinged {
            let limit = self.config.timeouts.ping;
            let sent = entry.session.octets_sent();
            if let Some(left) = vigil.left.filter(|&left| now < left + limit) {
                return self.arm_vigil(conn, left + limit);
            }
            let moves = sent > core::mem::replace(&mut vigil.seen_at, sent);
            match vigil.left {
                // A backend that reads slowly is there.
                None if moves => return self.arm_vigil(conn, now + limit),
                // The question may lie in the system's memory, behind what it has not read. That is full where output waits: as long as some gets in, some
                // was read.
                Some(_) if moves && !entry.session.transmit().is_empty() => {
                    return self.arm_vigil(conn, now + limit);
                }
                _ => {}
            }
            return self.cut_conn(conn, Cause::ConnectionTerminated, now);
        }
        if !wanted || vigil.is_asked_in_this_silence(entry.session.traffic().recv_octets) {
            return;
        }
        let silent = now.saturating_since(vigil.heard);
        if silent >= self.config.timeouts.suspect_silent {
            self.ask(conn, 1, now);
        } else {
            self.look_later(conn);
        }
    }
}
