//! Whether a client is still there of whom nothing is read: one that is not read from for now, or whose input has ended. What its request costs is for
//! nobody where it is gone.

use std::task::{Context, Poll};

use shuntyard_core::gateway::Closed;
use tokio::time::{Duration, Instant, sleep};

use crate::connection::{Connection, End, Stream};
use crate::yard::State;

/// How often it is looked whether a client whose input has ended is still there. The runtime knows, and wakes nobody.
const GLANCE: Duration = Duration::from_secs(1);

impl<S: Stream> Connection<S> {
    /// A client that is not read from may be gone. Whatever comes in wakes the task, to look whether it was a reset. Behind the end of the input, be it
    /// read or only known, the runtime tells of nothing more, and is asked from time to time.
    pub(crate) fn watch(&mut self, state: &State, cx: &mut Context<'_>) -> Result<(), End> {
        if self.back {
            return Ok(());
        }
        if self.ended {
            return self.glance(state, cx);
        }
        // Once more, behind what has been forgotten.
        for _ in 0..2 {
            if Stream::poll_read_ready(&self.stream, cx).is_pending() {
                return Ok(());
            }
            if !matches!(self.stream.take_error(), Ok(None)) {
                return Err(End::Failed(Closed::Reset));
            }
            self.unread = true;
            // The runtime would call the socket readable again and again.
            if self.stream.is_end_known() {
                return self.glance(state, cx);
            }
            self.stream.forget_input();
        }
        // Something came each time: nobody is registered to be woken.
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// The same of one whose input has ended.
    pub(crate) fn glance(&mut self, state: &State, cx: &mut Context<'_>) -> Result<(), End> {
        if self.back || !state.gateway.knows(self.conn) {
            return Ok(());
        }
        if self.stream.is_broken(self.shut) {
            return Err(End::Failed(Closed::Reset));
        }
        let glance = self.glance.get_or_insert_with(|| Box::pin(sleep(GLANCE)));
        while let Poll::Ready(()) = glance.as_mut().poll(cx) {
            glance.as_mut().reset(Instant::now() + GLANCE);
        }
        Ok(())
    }
}
