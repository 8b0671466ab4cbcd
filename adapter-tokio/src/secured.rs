//! Sockets on which HTTP does not come first: with TLS the same turns as in clear, with a [`Secured`] between socket and gateway; before
//! it what a balancer says of whose they are.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use shuntyard_adapter::{Introduced, Reading, Wire, Writing, read_at_once};
use shuntyard_core::gateway::Closed;
use tokio::io::ReadBuf;

use crate::connection::{Connection, End, Stream};
use crate::sockets::Parting;
use crate::yard::State;

/// The socket, as far as the runtime says that it is ready; otherwise its task is woken when it is.
pub(crate) struct Ready<'a, 'b, S> {
    stream: &'a mut S,
    cx: &'a mut Context<'b>,
    /// It cannot be written to any more, and what can be read of it is there, whether or not the runtime has heard of it.
    broken: bool,
    /// There may be input of which the runtime knows nothing any more.
    unread: Option<&'a mut bool>,
}

impl<'a, 'b, S> Ready<'a, 'b, S> {
    pub(crate) fn new(stream: &'a mut S, cx: &'a mut Context<'b>, broken: Option<Closed>) -> Self {
        Self { stream, cx, broken: broken.is_some(), unread: None }
    }

    /// The same, of which that is known.
    pub(crate) fn unread(self, unread: &'a mut bool) -> Self {
        Self { unread: Some(unread), ..self }
    }
}

impl<S: Stream> Wire for Ready<'_, '_, S> {
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.broken {
            return read_at_once(self.stream, into);
        }
        if let Some(unread) = self.unread.as_deref_mut().filter(|unread| **unread) {
            match read_at_once(self.stream, into) {
                // From here on the runtime will tell.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => *unread = false,
                outcome => return outcome,
            }
        }
        let mut into = ReadBuf::new(into);
        match Pin::new(&mut *self.stream).poll_read(self.cx, &mut into) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(outcome) => outcome.map(|()| into.filled().len()),
        }
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.stream).poll_write(self.cx, octets) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(outcome) => outcome,
        }
    }
}

impl<S: Stream> Connection<S> {
    /// Reads whose the connection is. Says whether that is known now.
    pub(crate) fn introduce(&mut self, state: &mut State, cx: &mut Context<'_>) -> Result<bool, End> {
        let Some(introducing) = &mut self.introducing else { return Ok(true) };
        let mut wire = Ready::new(&mut self.stream, cx, None);
        let behind = self.secured.as_deref_mut().map(|secured| (secured, &mut state.spare));
        match introducing.read(&mut wire, &mut state.gateway, (self.conn, state.now), behind) {
            Introduced::Done => {
                self.introducing = None;
                Ok(true)
            }
            Introduced::Waits => Ok(false),
            // What the gateway wants done with the socket comes with its next action.
            Introduced::Gone => {
                self.introducing = None;
                Ok(false)
            }
            Introduced::Failed(why, notice) => {
                self.introducing = None;
                notice.into_iter().for_each(|notice| self.yard.observe(notice));
                Err(End::Failed(why))
            }
        }
    }

    /// A turn with TLS.
    pub(crate) fn serve_secured(&mut self, state: &mut State, cx: &mut Context<'_>) -> Result<(), End> {
        if self.back && self.broken.is_none() {
            self.read_secured(state, cx)?;
            if !state.gateway.knows(self.conn) {
                return Ok(());
            }
        }
        self.write_secured(state, cx)?;
        if self.reads_last() {
            self.read_secured(state, cx)?;
        }
        // Answers of TLS itself do not wait for the next turn.
        if self.secured.as_ref().is_some_and(|secured| secured.wants_write()) {
            self.write_secured(state, cx)?;
        }
        Ok(())
    }

    fn write_secured(&mut self, state: &mut State, cx: &mut Context<'_>) -> Result<(), End> {
        let Some(secured) = self.secured.as_mut().filter(|_| self.broken.is_none()) else { return Ok(()) };
        let socket = state.sockets.get_mut(self.conn).ok_or(End::Parted(Parting::Cut))?;
        if std::mem::take(&mut socket.shutdown) {
            secured.shut_down();
        } else if !socket.has_output && !secured.wants_write() {
            return Ok(());
        }
        let mut wire = Ready::new(&mut self.stream, cx, None);
        let turn = (self.conn, state.now);
        let writing = secured.write(&mut wire, &mut state.gateway, turn, &mut state.spare);
        match writing {
            Writing::Done => socket.has_output = false,
            Writing::Full => socket.has_output = true,
            Writing::Shutdown => {
                socket.has_output = false;
                self.close_output(cx);
            }
            Writing::Failed(why @ (Closed::Reset | Closed::Failed)) => return self.broke(state, why),
            Writing::Failed(why) => return Err(End::Failed(why)),
        }
        Ok(())
    }

    fn read_secured(&mut self, state: &mut State, cx: &mut Context<'_>) -> Result<(), End> {
        let Some(secured) = &mut self.secured else { return Ok(()) };
        let socket = state.sockets.get_mut(self.conn).ok_or(End::Parted(Parting::Cut))?;
        if self.ended {
            return self.glance(state, cx);
        }
        if socket.paused {
            return self.watch(state, cx);
        }
        let mut wire = Ready::new(&mut self.stream, cx, self.broken).unread(&mut self.unread);
        let turn = (self.conn, state.now);
        let reading = secured.read(&mut wire, &mut state.gateway, turn, &mut state.spare);
        if !secured.is_handshaking() {
            self.handshake = None;
        }
        match reading {
            Reading::Idle => self.read_out()?,
            Reading::Again => cx.waker().wake_by_ref(),
            Reading::Paused => self.pause(state, cx)?,
            Reading::Ended => {
                self.ended = true;
                self.read_out()?;
                self.glance(state, cx)?;
            }
            // What the gateway wants done with the socket comes with its next action.
            Reading::Gone => {}
            Reading::Refused(why) => {
                self.complain(why);
                cx.waker().wake_by_ref();
            }
            Reading::Failed(why) => return Err(End::Failed(why)),
        }
        Ok(())
    }

    /// If this is a client that has not been introduced, or whose handshake is not done, it ended so.
    pub(crate) fn complain(&mut self, why: Closed) {
        let late = self.introducing.take().map(|introducing| introducing.late());
        let failed = self.secured.as_mut().and_then(|secured| secured.complaint(why));
        late.into_iter().chain(failed).for_each(|notice| self.yard.observe(notice));
    }

    /// The socket goes, with last words. That nothing follows is said only where everything has left.
    pub(crate) fn take_leave(&mut self, state: &mut State, cx: &mut Context<'_>, whole: bool) {
        if let Some(secured) = &mut self.secured {
            // What was not read while reading rested is read now: closing a socket that has unread octets would take the last words with it.
            let mut wire = Ready::new(&mut self.stream, cx, None).unread(&mut self.unread);
            secured.farewell(&mut wire, &mut state.spare, whole);
        }
    }
}
