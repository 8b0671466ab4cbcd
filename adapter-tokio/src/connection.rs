//! The task of one connection: it owns the socket, reads and writes.

use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use shuntyard_adapter::{
    CONNECT_AGAIN, Introducing, Notice, Secured, TURN_OCTETS, Wire, connect_failure, is_queue_full,
    reset_on_close, transfer_failure,
};
use shuntyard_core::address::Address;
use shuntyard_core::gateway::{Closed, ConnId, Connected, RecvBuf};
use shuntyard_core::tls::TlsFailure;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Sleep, sleep};

use crate::handshakes::Handshake;
use crate::secured::Ready;
use crate::sockets::{Fate, Parting};
use crate::yard::{State, Yard};

/// A connected socket of either family.
pub(crate) trait Stream: AsyncRead + AsyncWrite + AsFd + Unpin + 'static {
    /// Whether there may be input. Otherwise the task is woken when there is.
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Whether there may be room for output. Otherwise the task is woken when there is.
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// The runtime forgets that there may be input: its task is woken when there is more. It does not forget an end.
    fn forget_input(&self);

    /// Whether the runtime knows that behind what can be read there is an end.
    fn is_end_known(&self) -> bool;

    /// What has broken the connection, if something has. It is told once.
    fn take_error(&self) -> io::Result<Option<io::Error>>;

    /// Whether the runtime knows that the connection is broken. `shut`: we have shut our sending direction down.
    fn is_broken(&self, shut: bool) -> bool;
}

impl Stream for TcpStream {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }

    fn forget_input(&self) {
        let _ = self.try_io(Interest::READABLE, nothing_there);
    }

    fn is_end_known(&self) -> bool {
        let ready = pin!(self.ready(Interest::READABLE)).poll(&mut Context::from_waker(Waker::noop()));
        matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.take_error()
    }

    fn is_broken(&self, _: bool) -> bool {
        let ready = pin!(self.ready(Interest::ERROR)).poll(&mut Context::from_waker(Waker::noop()));
        matches!(ready, Poll::Ready(Ok(ready)) if ready.is_error())
    }
}

impl Stream for UnixStream {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }

    fn forget_input(&self) {
        let _ = self.try_io(Interest::READABLE, nothing_there);
    }

    fn is_end_known(&self) -> bool {
        let ready = pin!(self.ready(Interest::READABLE)).poll(&mut Context::from_waker(Waker::noop()));
        matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.take_error()
    }

    /// Its peer has closed it: no error tells, but both directions are over.
    fn is_broken(&self, shut: bool) -> bool {
        let ready = pin!(self.ready(Interest::WRITABLE)).poll(&mut Context::from_waker(Waker::noop()));
        !shut && matches!(ready, Poll::Ready(Ok(ready)) if ready.is_write_closed())
    }
}

/// What makes the runtime forget that a socket was ready.
fn nothing_there() -> io::Result<()> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// A TCP socket sends at once what is written: frames are gathered before they are written.
pub(crate) fn without_delay(stream: TcpStream) -> TcpStream {
    // A socket whose peer is gone already refuses; reading from it tells why.
    let _ = stream.set_nodelay(true);
    stream
}

/// Makes a connection and serves it.
pub(crate) async fn connect(
    yard: Rc<Yard>,
    (conn, fate): (ConnId, Fate),
    target: Address,
    secured: Option<Result<Secured, TlsFailure>>,
) {
    let secured = match secured.transpose() {
        Ok(secured) => secured,
        Err(failure) => return yard.turn(|state| state.fail(conn, Closed::Tls(failure))),
    };
    match &target {
        Address::Inet(address) => {
            let outcome = TcpStream::connect(address).await.map(without_delay);
            serve_connected(yard, (conn, fate), (outcome, &target), secured).await;
        }
        Address::Unix(path) => {
            let mut outcome = UnixStream::connect(&**path).await;
            // Until the gateway has waited long enough, and this task is given up.
            while outcome.as_ref().is_err_and(|error| is_queue_full(&target, error)) {
                sleep(CONNECT_AGAIN).await;
                outcome = UnixStream::connect(&**path).await;
            }
            serve_connected(yard, (conn, fate), (outcome, &target), secured).await;
        }
    }
}

async fn serve_connected(
    yard: Rc<Yard>,
    (conn, fate): (ConnId, Fate),
    (outcome, target): (io::Result<impl Stream>, &Address),
    secured: Option<Secured>,
) {
    match (outcome, secured) {
        (Ok(stream), Some(secured)) => {
            Connection::new(yard, conn, stream, fate).made_by_us().with_tls(secured, None).await
        }
        (Ok(stream), None) => {
            yard.turn(|state| state.gateway.handle_connected(conn, Connected::default(), state.now));
            Connection::new(yard, conn, stream, fate).made_by_us().await;
        }
        (Err(error), _) => {
            yard.turn(|state| state.fail(conn, connect_failure(target, &error)));
            yard.observe(Notice::DialFailed { target: target.clone(), error });
        }
    }
}

/// Serves a connection until the gateway closes it or its transport fails.
pub(crate) struct Connection<S: AsFd> {
    pub(crate) yard: Rc<Yard>,
    pub(crate) conn: ConnId,
    pub(crate) stream: S,
    /// Where the gateway's parting is written down.
    fate: Fate,
    /// It goes to a backend.
    pub(crate) back: bool,
    /// Nothing can be written any more, for this reason. What a backend had said before is read out first: it may be why it has gone.
    pub(crate) broken: Option<Closed>,
    /// The end of the input has been read.
    pub(crate) ended: bool,
    /// There may be input of which the runtime knows nothing any more.
    pub(crate) unread: bool,
    /// We have shut our sending direction down.
    pub(crate) shut: bool,
    /// When to look whether a client whose input has ended is still there.
    pub(crate) glance: Option<Pin<Box<Sleep>>>,
    /// What a balancer says first, until it is said.
    pub(crate) introducing: Option<Box<Introducing>>,
    /// TLS, where it is spoken.
    pub(crate) secured: Option<Box<Secured>>,
    /// Until it is done, of a client.
    pub(crate) handshake: Option<Handshake>,
}

/// Why a connection's task ends.
pub(crate) enum End {
    /// The gateway has closed the connection, in this way.
    Parted(Parting),
    /// Its transport has failed.
    Failed(Closed),
}

impl<S: AsFd> Connection<S> {
    pub(crate) fn new(yard: Rc<Yard>, conn: ConnId, stream: S, fate: Fate) -> Self {
        Self {
            yard,
            conn,
            stream,
            fate,
            back: false,
            broken: None,
            ended: false,
            unread: false,
            shut: false,
            glance: None,
            introducing: None,
            secured: None,
            handshake: None,
        }
    }

    /// The same connection, to a backend.
    fn made_by_us(mut self) -> Self {
        self.back = true;
        self
    }

    /// The same connection, of which something is said first, if there is something.
    pub(crate) fn introduced(mut self, introducing: Option<Introducing>) -> Self {
        self.introducing = introducing.map(Box::new);
        self
    }

    /// The same connection, with TLS.
    pub(crate) fn with_tls(mut self, secured: Secured, handshake: Option<Handshake>) -> Self {
        (self.secured, self.handshake) = (Some(Box::new(secured)), handshake);
        self
    }
}

/// However its task ends, and be it with the worker before it had its turn again: what was broken off must not look whole.
impl<S: AsFd> Drop for Connection<S> {
    fn drop(&mut self) {
        if self.fate.get() == Parting::Broken {
            reset_on_close(&self.stream);
        }
    }
}

impl<S: Stream> Future for Connection<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let connection = self.get_mut();
        let yard = connection.yard.clone();
        yard.turn(|state| match connection.serve(state, cx) {
            Ok(()) => Poll::Pending,
            Err(End::Parted(Parting::Broken)) => Poll::Ready(()),
            Err(End::Parted(parting)) => {
                connection.complain(Closed::Tls(TlsFailure::TimedOut));
                connection.take_leave(state, cx, parting == Parting::Whole);
                Poll::Ready(())
            }
            Err(End::Failed(why)) => {
                connection.complain(why);
                connection.take_leave(state, cx, false);
                state.fail(connection.conn, why);
                Poll::Ready(())
            }
        })
    }
}

impl<S: Stream> Connection<S> {
    /// A turn. Towards clients writing comes first: what reading makes of output waits until the others' turns have added theirs. Towards backends
    /// reading does: an end that is known already is heard before a request is sent behind it, which nobody could tell from one that was executed.
    fn serve(&mut self, state: &mut State, cx: &mut Context<'_>) -> Result<(), End> {
        let socket = state.sockets.get_mut(self.conn).ok_or(End::Parted(self.fate.get()))?;
        socket.remember(cx);
        socket.takes_leave = self.secured.is_some() || self.introducing.is_some();
        if self.introducing.is_some() && !self.introduce(state, cx)? {
            return Ok(());
        }
        if self.secured.is_some() {
            return self.serve_secured(state, cx);
        }
        if self.back && self.broken.is_none() {
            self.read(state, cx)?;
            if !state.gateway.knows(self.conn) {
                return Ok(());
            }
        }
        if self.broken.is_none() {
            self.write(state, cx)?;
            self.shut_down(state, cx)?;
        }
        if self.reads_last() { self.read(state, cx) } else { Ok(()) }
    }

    /// Whether reading comes behind writing. A backend's connection was read from in front of it, and has to be read out where writing has failed.
    pub(crate) const fn reads_last(&self) -> bool {
        !self.back || self.broken.is_some()
    }

    /// Writing has failed. A backend's connection ends when it has been read out, any other at once, and so does one that is not read from until
    /// output has left.
    pub(crate) fn broke(&mut self, state: &State, why: Closed) -> Result<(), End> {
        if !self.back || self.ended || state.gateway.waits_for_output(self.conn) {
            return Err(End::Failed(why));
        }
        self.broken = Some(why);
        Ok(())
    }

    /// The gateway wants no input for now. Where it waits for output to leave, and none can, that will never change.
    pub(crate) fn pause(&mut self, state: &mut State, cx: &mut Context<'_>) -> Result<(), End> {
        if let Some(why) = self.broken.filter(|_| state.gateway.waits_for_output(self.conn)) {
            return Err(End::Failed(why));
        }
        if let Some(socket) = state.sockets.get_mut(self.conn) {
            socket.paused = true;
        }
        self.watch(state, cx)
    }

    /// The socket has no more to read.
    pub(crate) fn read_out(&self) -> Result<(), End> {
        self.broken.map_or(Ok(()), |why| Err(End::Failed(why)))
    }

    /// Writes until there is nothing more or no room.
    fn write(&mut self, state: &mut State, cx: &mut Context<'_>) -> Result<(), End> {
        let socket = state.sockets.get_mut(self.conn).ok_or(End::Parted(Parting::Cut))?;
        while socket.has_output && Stream::poll_write_ready(&self.stream, cx).is_ready() {
            let Some(octets) = state.gateway.poll_transmit(self.conn, state.now) else {
                socket.has_output = false;
                break;
            };
            match Pin::new(&mut self.stream).poll_write(cx, octets) {
                Poll::Pending => break,
                Poll::Ready(Ok(n)) => state.gateway.handle_sent(self.conn, n, state.now),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return self.broke(state, transfer_failure(&error)),
            }
        }
        Ok(())
    }

    /// Shuts the sending direction down where the gateway has asked for it.
    fn shut_down(&mut self, state: &mut State, cx: &mut Context<'_>) -> Result<(), End> {
        let socket = state.sockets.get_mut(self.conn).ok_or(End::Parted(Parting::Cut))?;
        if std::mem::take(&mut socket.shutdown) {
            self.close_output(cx);
        }
        Ok(())
    }

    pub(crate) fn close_output(&mut self, cx: &mut Context<'_>) {
        self.shut = true;
        // Never pending: it is one system call. A peer that is gone already shows itself by reading.
        let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
    }

    /// Reads until there is nothing more, the gateway wants no more, or it is the others' turn.
    fn read(&mut self, state: &mut State, cx: &mut Context<'_>) -> Result<(), End> {
        let socket = state.sockets.get_mut(self.conn).ok_or(End::Parted(Parting::Cut))?;
        if socket.paused {
            return self.watch(state, cx);
        }
        let mut octets = 0;
        while !self.ended {
            if octets >= TURN_OCTETS {
                cx.waker().wake_by_ref();
                break;
            }
            let is_told = self.broken.is_none() && !self.unread;
            if is_told && Stream::poll_read_ready(&self.stream, cx).is_pending() {
                break;
            }
            let buffer = match state.gateway.recv_buf(self.conn) {
                RecvBuf::Buffer(buffer) => buffer,
                RecvBuf::Pause => return self.pause(state, cx),
                // What the gateway wants done with the socket comes with its next action.
                RecvBuf::Gone => break,
            };
            match Ready::new(&mut self.stream, cx, self.broken).unread(&mut self.unread).read(buffer) {
                Ok(0) => {
                    // An end behind a failure is no end in good order.
                    self.read_out()?;
                    self.ended = true;
                    state.gateway.handle_read_closed(self.conn, state.now);
                }
                Ok(n) => {
                    octets += n;
                    state.gateway.handle_recv(self.conn, n, state.now);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return self.read_out(),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(End::Failed(transfer_failure(&error))),
                },
            }
        }
        if self.ended { self.glance(state, cx) } else { Ok(()) }
    }
}

impl State {
    /// The connection's transport has failed, or was never made.
    fn fail(&mut self, conn: ConnId, why: Closed) {
        self.sockets.remove(conn);
        self.gateway.handle_closed(conn, why, self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames are gathered before they are written: nothing waits for more of them.
    #[test]
    fn a_socket_sends_at_once() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            assert!(without_delay(dialled).nodelay().unwrap());
        });
    }
}
