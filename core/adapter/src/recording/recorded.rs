//! A gateway whose inputs may be recorded: the same verbs, so that an adapter is none the wiser.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use shuntyard_core::address::Address;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::{Accepted, Action, Closed, Command, ConnId, Connected, Gateway, RecvBuf};
use shuntyard_core::time::Instant;

use crate::recording::recorder::Recorder;

/// A [`Gateway`], and perhaps somebody who writes down what it is told and asked. What only looks at it goes to the
/// gateway itself.
///
/// Every call is written down before the gateway has it: one in which it panics is the last of the recording. [`equip`](crate::equip) makes it.
pub struct Recorded {
    gateway: Gateway,
    recorder: Option<Box<Recorder>>,
}

impl Recorded {
    pub(crate) fn new(gateway: Gateway, recorder: Option<Recorder>) -> Self {
        Self { gateway, recorder: recorder.map(Box::new) }
    }

    #[inline]
    fn returned(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.returned();
        }
    }

    /// [`Gateway::handle_accept`].
    pub fn handle_accept(&mut self, info: Accepted, now: Instant) -> ConnId {
        if let Some(recorder) = &mut self.recorder {
            recorder.accept(&info, now);
        }
        let conn = self.gateway.handle_accept(info, now);
        if let Some(recorder) = &mut self.recorder {
            recorder.accepted(conn);
        }
        conn
    }

    /// [`Gateway::handle_arriving`].
    pub fn handle_arriving(&mut self, info: Accepted, now: Instant) -> ConnId {
        if let Some(recorder) = &mut self.recorder {
            recorder.arriving(&info, now);
        }
        let conn = self.gateway.handle_arriving(info, now);
        if let Some(recorder) = &mut self.recorder {
            recorder.accepted(conn);
        }
        conn
    }

    /// [`Gateway::handle_introduced`].
    pub fn handle_introduced(&mut self, conn: ConnId, client: Option<Address>, now: Instant) {
        if let Some(recorder) = &mut self.recorder {
            recorder.introduced(conn, client.as_ref(), now);
        }
        self.gateway.handle_introduced(conn, client, now);
        self.returned();
    }

    /// [`Gateway::handle_connected`].
    pub fn handle_connected(&mut self, conn: ConnId, facts: Connected, now: Instant) {
        if let Some(recorder) = &mut self.recorder {
            recorder.connected(conn, &facts, now);
        }
        self.gateway.handle_connected(conn, facts, now);
        self.returned();
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
        self.returned();
    }

    /// [`Gateway::handle_read_closed`].
    pub fn handle_read_closed(&mut self, conn: ConnId, now: Instant) {
        if let Some(recorder) = &mut self.recorder {
            recorder.read_closed(conn, now);
        }
        self.gateway.handle_read_closed(conn, now);
        self.returned();
    }

    /// [`Gateway::handle_sent`].
    #[inline]
    pub fn handle_sent(&mut self, conn: ConnId, n: usize, now: Instant) {
        if let Some(recorder) = &mut self.recorder {
            let shown = self.gateway.shown(conn);
            recorder.sent(conn, n, &shown[..n.min(shown.len())], now);
        }
        self.gateway.handle_sent(conn, n, now);
        self.returned();
    }

    /// [`Gateway::handle_closed`].
    pub fn handle_closed(&mut self, conn: ConnId, why: Closed, now: Instant) {
        if let Some(recorder) = &mut self.recorder {
            recorder.closed(conn, why, now);
        }
        self.gateway.handle_closed(conn, why, now);
        self.returned();
    }

    /// [`Gateway::poll_timeout`], or when something must be written, if that is sooner: nothing may come for long, and what came
    /// last is what matters of a process that hangs or is killed.
    #[inline]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let write_at = self.recorder.as_ref().and_then(|recorder| recorder.write_at());
        self.gateway.poll_timeout().into_iter().chain(write_at).min()
    }

    /// [`Gateway::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        let wrote = self.recorder.as_mut().is_some_and(|recorder| recorder.write_if_due(now));
        if wrote && self.gateway.poll_timeout().is_none_or(|at| at > now) {
            // It was not the gateway that wanted to know the time.
            return self.end_if_over();
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.timeout(now);
        }
        self.gateway.handle_timeout(now);
        self.returned();
        self.end_if_over();
    }

    fn end_if_over(&mut self) {
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
        self.returned();
    }

    /// [`Gateway::poll_action`].
    #[inline]
    pub fn poll_action(&mut self) -> Option<Action> {
        if let Some(recorder) = &mut self.recorder {
            recorder.asked();
        }
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

    /// [`Gateway::take_farewell`]. Likewise.
    #[inline]
    pub fn take_farewell(&mut self) -> Option<(Arc<str>, ErrorCode, Box<[u8]>)> {
        self.gateway.take_farewell()
    }

    /// [`Gateway::poll_transmit`].
    #[inline]
    pub fn poll_transmit(&mut self, conn: ConnId, now: Instant) -> Option<&[u8]> {
        if let Some(recorder) = &mut self.recorder {
            recorder.transmit(conn, now);
        }
        let shown = self.gateway.poll_transmit(conn, now);
        if let Some(recorder) = &mut self.recorder {
            recorder.shown(shown.map_or(0, <[u8]>::len));
        }
        shown
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
