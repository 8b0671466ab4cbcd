//! A gateway whose inputs may be recorded: the same verbs, so that an adapter is none the wiser.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use shuntyard_core::address::Address;
use shuntyard_core::gateway::{
    Accepted, Action, Closed, Command, ConnId, Connected, Gateway, RecvBuf, Transmit,
};
use shuntyard_core::time::Instant;

use crate::recording::recorder::Recorder;

/// A [`Gateway`], and perhaps somebody who writes down what it is told and asked. What only looks at it goes to the
/// gateway itself.
pub struct Recorded {
    gateway: Gateway,
    recorder: Option<Box<Recorder>>,
}

impl Recorded {
    pub(crate) fn new(gateway: Gateway, recorder: Option<Recorder>) -> Self {
        Self { gateway, recorder: recorder.map(Box::new) }
    }

    /// [`Gateway::handle_accept`].
    pub fn handle_accept(&mut self, info: Accepted, now: Instant) -> ConnId {
        let Some(recorder) = &mut self.recorder else { return self.gateway.handle_accept(info, now) };
        let conn = self.gateway.handle_accept(info.clone(), now);
        recorder.accept(&info, conn, now);
        conn
    }

    /// [`Gateway::handle_arriving`].
    pub fn handle_arriving(&mut self, info: Accepted, now: Instant) -> ConnId {
        let Some(recorder) = &mut self.recorder else { return self.gateway.handle_arriving(info, now) };
        let conn = self.gateway.handle_arriving(info.clone(), now);
        recorder.arriving(&info, conn, now);
        conn
    }

    /// [`Gateway::handle_introduced`].
    pub fn handle_introduced(&mut self, conn: ConnId, client: Option<Address>, now: Instant) {
        if let Some(recorder) = &mut self.recorder {
            recorder.introduced(conn, client.as_ref(), now);
        }
        self.gateway.handle_introduced(conn, client, now);
    }

    /// [`Gateway::handle_connected`].
    pub fn handle_connected(&mut self, conn: ConnId, facts: Connected, now: Instant) {
        if let Some(recorder) = &mut self.recorder {
            recorder.connected(conn, &facts, now);
        }
        self.gateway.handle_connected(conn, facts, now);
    }

    /// [`Gateway::recv_buf`]. It is written down with the octets.
    #[inline]
    pub fn recv_buf(&mut self, conn: ConnId) -> RecvBuf<'_> {
        self.gateway.recv_buf(conn)
    }

    /// [`Gateway::handle_recv`].
    #[inline]
    pub fn handle_recv(&mut self, conn: ConnId, n: usize, now: Instant) {
        // What comes out of turn is ignored by the gateway, and so here.
        if let Some(recorder) = &mut self.recorder
            && let Some(octets) = self.gateway.lent(conn, n)
        {
            recorder.received(conn, octets, now);
        }
        self.gateway.handle_recv(conn, n, now);
    }

    /// [`Gateway::handle_read_closed`].
    pub fn handle_read_closed(&mut self, conn: ConnId, now: Instant) {
        if let Some(recorder) = &mut self.recorder {
            recorder.read_closed(conn, now);
        }
        self.gateway.handle_read_closed(conn, now);
    }

    /// [`Gateway::handle_sent`].
    #[inline]
    pub fn handle_sent(&mut self, conn: ConnId, n: usize, now: Instant) {
        if let Some(recorder) = &mut self.recorder {
            let shown = self.gateway.shown(conn);
            recorder.sent(conn, n, &shown[..n.min(shown.len())], now);
        }
        self.gateway.handle_sent(conn, n, now);
    }

    /// [`Gateway::handle_closed`].
    pub fn handle_closed(&mut self, conn: ConnId, why: Closed, now: Instant) {
        if let Some(recorder) = &mut self.recorder {
            recorder.closed(conn, why, now);
        }
        self.gateway.handle_closed(conn, why, now);
    }

    /// [`Gateway::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(recorder) = &mut self.recorder {
            recorder.timeout(now);
        }
        self.gateway.handle_timeout(now);
        if self.recorder.as_ref().is_some_and(|recorder| recorder.is_over()) {
            self.recorder = None;
        }
    }

    /// [`Gateway::handle_command`].
    pub fn handle_command(&mut self, command: Command, now: Instant) {
        if let Some(recorder) = &mut self.recorder {
            recorder.command(&command, now);
        }
        self.gateway.handle_command(command, now);
    }

    /// [`Gateway::poll_action`].
    #[inline]
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.gateway.poll_action();
        if let Some(recorder) = &mut self.recorder {
            recorder.acted(action.as_ref());
        }
        action
    }

    /// [`Gateway::take_mistaken`]. A recording does not need it: nothing comes of it.
    #[inline]
    pub fn take_mistaken(&mut self) -> Option<Arc<str>> {
        self.gateway.take_mistaken()
    }

    /// [`Gateway::poll_transmit`].
    #[inline]
    pub fn poll_transmit(&mut self, conn: ConnId, now: Instant) -> Option<Transmit<'_>> {
        let transmit = self.gateway.poll_transmit(conn, now);
        if let Some(recorder) = &mut self.recorder {
            recorder.transmit(conn, transmit.as_ref().map_or(0, Transmit::remaining), now);
        }
        transmit
    }
}

/// To look at. Whatever changes something is a method of [`Recorded`].
impl Deref for Recorded {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        &self.gateway
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").field("recording", &self.recorder.is_some()).finish_non_exhaustive()
    }
}
