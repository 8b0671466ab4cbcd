//! Input that was held back, and is taken up again: a connection was full of output, owed content that nobody had taken, or had a
//! request that had to wait for those before it.

use crate::gateway::conn::{Conn, Life};
use crate::gateway::{Action, ConnId, Gateway};
use crate::outbox::Held;
use crate::record::Cause;
use crate::session::Session;
use crate::time::Instant;

/// How many octets of the input before are copied for each that comes.
const COPIED_PER_OCTET: usize = 4;

impl Conn {
    /// Whether the connection is to be looked at when actions are asked for: it has room again, or came to its end, in the middle of
    /// something else.
    #[inline(always)]
    pub(super) fn wants_a_visit(&self) -> bool {
        self.has_input() || (self.life == Life::Open && (self.session.is_over() || self.owes_an_end()))
    }

    /// Whether there is input to be taken up: what was held back, or an end that nobody could make anything of when it came.
    #[inline(always)]
    fn has_input(&self) -> bool {
        if self.paused {
            self.session.has_room()
        } else {
            self.read_closed && self.life == Life::Open && self.session.owes_end()
        }
    }

    /// Whether our direction of a tunnel has ended with nothing to write, so that nothing else leads to its end.
    fn owes_an_end(&self) -> bool {
        let ended = self.session.is_write_closed() && !self.session.has_output();
        self.life == Life::Open && ended && !self.shut
    }

    /// Whether the peer has said something that nobody looks at now. It may be what would have been missed otherwise.
    pub(super) fn has_unread(&self) -> bool {
        self.paused && !self.inbox.is_empty()
    }
}

impl Gateway {
    /// Whether nothing is read from the connection until output has left (HTTP/2: what is read would be answered). Where none can leave
    /// any more, nothing will ever be read, and the connection is over.
    pub fn waits_for_output(&self, conn: ConnId) -> bool {
        let Some(entry) = self.conns.get(conn) else { return false };
        entry.paused && !entry.has_input() && matches!(entry.session, Session::H2(_))
    }

    /// Looks at the connections that want it.
    pub(super) fn revisit(&mut self, now: Instant) {
        while let Some(id) = self.revisited.pop() {
            self.work.steps(1);
            self.resume(id, now);
            let Some(entry) = self.conns.get(id).filter(|entry| entry.life == Life::Open) else { continue };
            if entry.session.has_failed() {
                // A message was broken off, and nothing can follow it.
                self.end_conn(id, Cause::ConnectionTerminated, now);
            } else if entry.session.is_over() {
                self.stream_ended(id, now);
            } else if entry.owes_an_end() {
                self.flush(id, now);
            }
        }
    }

    /// Takes up the input of a connection that was held back, if it has room.
    pub(super) fn resume(&mut self, id: ConnId, now: Instant) {
        let Some(entry) = self.conns.get_mut(id).filter(|entry| entry.has_input()) else { return };
        entry.paused = false;
        self.receive_held(id, now);
        if self.conns.get(id).is_some_and(|entry| !entry.paused && !entry.read_closed) {
            self.actions.push_back(Action::Readable(id));
        }
        self.dispatch_at = Some(now);
    }

    /// Takes what is whole of `held` octets that a connection holds and `n` that came behind them. The fewer are moved to where the
    /// others are: whoever sends octet by octet makes us copy no more than a few for each (RFC 9113 section 10.5).
    pub(super) fn take_in(&mut self, id: ConnId, held: usize, n: usize, now: Instant) {
        self.rouse(id, now);
        let Some(entry) = self.conns.get_mut(id) else { return };
        entry.forgive(now);
        let mut buffer = core::mem::take(&mut self.recv_buffer);
        let filled = held.saturating_add(n).min(buffer.len());
        // What was held may have been taken up since the buffer was lent.
        if entry.inbox.len() != held || held / COPIED_PER_OCTET > n {
            entry.inbox.extend(&buffer[held..filled]);
            self.work.octets(n);
            self.recv_buffer = buffer;
            return self.receive_held(id, now);
        }
        buffer[..held].copy_from_slice(entry.inbox.as_slice());
        // What is left goes into memory of its own size; an idle connection holds none.
        entry.inbox = Held::default();
        self.work.octets(filled);
        let left = self.receive(id, &buffer[..filled], now);
        if let Some(entry) = self.conns.get_mut(id)
            && left > 0
        {
            entry.inbox.extend(&buffer[filled - left..filled]);
        }
        self.recv_buffer = buffer;
    }

    /// Takes what is whole of the octets that a connection holds.
    fn receive_held(&mut self, id: ConnId, now: Instant) {
        let Some(entry) = self.conns.get_mut(id) else { return };
        entry.forgive(now);
        let mut inbox = core::mem::take(&mut entry.inbox);
        let left = self.receive(id, inbox.as_slice(), now);
        inbox.keep(left);
        if let Some(entry) = self.conns.get_mut(id)
            && left > 0
        {
            entry.inbox = inbox;
        }
        if self.conns.get(id).is_some_and(|entry| entry.read_closed && entry.life == Life::Open) {
            self.input_is_over(id, now);
        }
    }

    /// The peer has closed its side of a session that goes on.
    pub(super) fn input_ended(&mut self, id: ConnId, now: Instant) {
        if self.conns.get(id).is_some_and(|entry| !entry.paused) {
            self.receive_held(id, now);
        }
    }

    /// Everything that will ever come has been taken. A client's requests are still answered. What a backend has not begun to
    /// answer it never will.
    fn input_is_over(&mut self, id: ConnId, now: Instant) {
        let Some(entry) = self.conns.get(id).filter(|entry| !entry.paused) else { return };
        if !entry.is_front() && !entry.session.is_half_open() {
            return self.end_conn(id, Cause::ConnectionTerminated, now);
        }
        self.stream_ended(id, now);
    }
}
