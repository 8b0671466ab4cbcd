//! Input that was held back, and is taken up again: a connection was full of output, owed content that nobody had taken, or had a
//! request that had to wait for those before it.

use crate::gateway::conn::{Conn, Life};
use crate::gateway::{Action, ConnId, Gateway};
use crate::record::Cause;
use crate::time::Instant;

impl Conn {
    /// Whether the connection is to be looked at when actions are asked for: it has room again, or came to its end, in the middle of
    /// something else.
    pub(super) fn wants_a_visit(&self) -> bool {
        (self.paused && self.session.has_room()) || (self.life == Life::Open && self.session.is_over())
    }

    /// Whether the peer has said something that nobody looks at now. It may be what would have been missed otherwise.
    pub(super) fn has_unread(&self) -> bool {
        self.paused && !self.inbox.is_empty()
    }
}

impl Gateway {
    /// Looks at the connections that want it.
    pub(super) fn revisit(&mut self, now: Instant) {
        while let Some(id) = self.revisited.pop() {
            self.resume(id, now);
            let Some(entry) = self.conns.get(id).filter(|entry| entry.life == Life::Open) else { continue };
            if entry.session.has_failed() {
                // A message was broken off, and nothing can follow it.
                self.end_conn(id, Cause::ConnectionTerminated, now);
            } else if entry.session.is_over() {
                self.stream_ended(id, now);
            }
        }
    }

    /// Takes up the input of a connection that was held back, if it has room.
    pub(super) fn resume(&mut self, id: ConnId, now: Instant) {
        let may_go_on = |entry: &&mut Conn| entry.paused && entry.session.has_room();
        let Some(entry) = self.conns.get_mut(id).filter(may_go_on) else { return };
        entry.paused = false;
        self.receive_held(id, now);
        if self.conns.get(id).is_some_and(|entry| !entry.paused && !entry.read_closed) {
            self.actions.push_back(Action::Readable(id));
        }
        self.dispatch_at = Some(now);
    }

    /// Takes what is whole of the octets that a connection holds.
    fn receive_held(&mut self, id: ConnId, now: Instant) {
        let Some(entry) = self.conns.get_mut(id) else { return };
        let mut inbox = core::mem::take(&mut entry.inbox);
        let left = self.receive(id, inbox.as_slice(), now);
        inbox.consume(inbox.len() - left);
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
