//! Listening sockets: the task that accepts from one of them.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use shuntyard_adapter::transport::{FrontTls, Transport};
use shuntyard_adapter::{
    ACCEPT_PAUSE, BACKLOG, INHERITS_NO_DELAY, Introducing, ListenSocket, Secured, SocketFile, TURN_ACCEPTS,
    is_transient,
};
use shuntyard_core::address::Address;
use shuntyard_core::gateway::{Accepted, Closed, ConnId};
use shuntyard_core::tls::TlsFailure;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::Notice;
use crate::connection::{Connection, Stream, without_delay};
use crate::handshakes::{Handshake, Room};
use crate::sockets::{Fate, Socket};
use crate::yard::{State, Yard};

/// One worker's share of a listening address.
pub(crate) struct Listener {
    /// Goes before the socket does.
    file: Option<Arc<SocketFile>>,
    socket: Listening,
    manner: Manner,
    waker: Option<Waker>,
}

/// Where clients come in, and what stands in front of HTTP there.
#[derive(Clone)]
struct Manner {
    address: Address,
    /// Clients speak TLS there.
    tls: Option<FrontTls>,
    /// A balancer says first whose each connection is.
    introduced: bool,
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Incoming {
    Tcp(TcpStream, std::net::SocketAddr),
    Unix(UnixStream),
}

impl Listener {
    /// Gives the socket to the runtime.
    pub(crate) fn new(listener: shuntyard_adapter::Listener) -> io::Result<Self> {
        let socket = match listener.socket {
            ListenSocket::Tcp(socket) => Listening::Tcp(TcpListener::from_std(socket)?),
            ListenSocket::Unix(socket) => Listening::Unix(UnixListener::from_std(socket)?),
        };
        let shuntyard_adapter::Listener { file, address, tls, introduced, .. } = listener;
        Ok(Self { file, socket, manner: Manner { address, tls, introduced }, waker: None })
    }

    /// Wakes its task.
    pub(crate) fn rouse(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        match &self.socket {
            Listening::Tcp(socket) => {
                socket.poll_accept(cx).map_ok(|(stream, peer)| Incoming::Tcp(accepted(stream), peer))
            }
            Listening::Unix(socket) => socket.poll_accept(cx).map_ok(|(stream, _)| Incoming::Unix(stream)),
        }
    }
}

impl Listening {
    /// Takes the socket back from the runtime.
    fn into_std(self) -> io::Result<ListenSocket> {
        match self {
            Self::Tcp(socket) => socket.into_std().map(ListenSocket::Tcp),
            Self::Unix(socket) => socket.into_std().map(ListenSocket::Unix),
        }
    }
}

/// Accepts from the listener of this number until nobody listens any more.
pub(crate) async fn accept(yard: Rc<Yard>, number: usize) {
    while let Some((listener, error)) =
        poll_fn(|cx| yard.turn(|state| poll_accept(&yard, state, number, cx))).await
    {
        yard.observe(Notice::AcceptPaused { listener, error, pause: ACCEPT_PAUSE });
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// A listener's turn. Ready where accepting must pause because the system refuses, or at its end with `None`.
fn poll_accept(
    yard: &Rc<Yard>,
    state: &mut State,
    number: usize,
    cx: &mut Context<'_>,
) -> Poll<Option<(Address, io::Error)>> {
    for _ in 0..TURN_ACCEPTS {
        let Some(listener) = state.listeners.get_mut(number) else { return Poll::Ready(None) };
        if !state.accepting {
            listener.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if listener.manner.tls.is_some() && !has_room(yard, state, cx) {
            return Poll::Pending;
        }
        let Some(listener) = state.listeners.get_mut(number) else { return Poll::Ready(None) };
        match std::task::ready!(listener.poll_accept(cx)) {
            Ok(incoming) => {
                let manner = listener.manner.clone();
                admit(yard, state, incoming, &manner);
                make_room(state);
            }
            Err(error) if is_transient(&error) => {}
            Err(error) => return Poll::Ready(Some((listener.manner.address.clone(), error))),
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Whether one more client may shake hands. Otherwise the listener's task is woken when one may.
fn has_room(yard: &Rc<Yard>, state: &mut State, cx: &Context<'_>) -> bool {
    match state.handshakes.room(state.now, cx) {
        Room::Free => return true,
        Room::Waits => {}
        Room::In(patience) => {
            let handshakes = state.handshakes.clone();
            yard.spawn(async move {
                tokio::time::sleep(patience).await;
                handshakes.rouse();
            });
        }
    }
    false
}

/// Whoever has shaken hands longest makes room for the one that came.
fn make_room(state: &mut State) {
    if let Some(conn) = state.handshakes.to_cut(state.now) {
        // Its task closes the socket when it sees that it is gone from the list.
        state.sockets.give_up(conn);
        state.gateway.handle_closed(conn, Closed::Tls(TlsFailure::TimedOut), state.now);
    }
}

/// Accepts what stands in the kernel's queues, then closes the listeners.
pub(crate) fn accept_rest(yard: &Rc<Yard>) {
    yard.turn(|state| {
        for listener in std::mem::take(&mut state.listeners) {
            let Listener { file, socket, manner, .. } = listener;
            let outcome = socket.into_std().and_then(|socket| {
                // Whoever came by the name behind the last that is accepted would be reset.
                drop(file);
                accept_queue(yard, state, &socket, &manner)
            });
            if let Err(error) = outcome {
                yard.observe(Notice::AcceptEnded { listener: manner.address, error });
            }
        }
    });
}

/// Accepts until nobody waits. The runtime may not know yet that somebody does: the system is asked.
fn accept_queue(
    yard: &Rc<Yard>,
    state: &mut State,
    socket: &ListenSocket,
    manner: &Manner,
) -> io::Result<()> {
    // The kernel lets one more wait than it was told.
    for _ in 0..=BACKLOG {
        if !state.accepting {
            break;
        }
        match accept_now(socket) {
            Ok(incoming) => admit(yard, state, incoming, manner),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if is_transient(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A connection sends at once what is written. As a rule that was said of its listener.
fn accepted(stream: TcpStream) -> TcpStream {
    if INHERITS_NO_DELAY { stream } else { without_delay(stream) }
}

fn accept_now(socket: &ListenSocket) -> io::Result<Incoming> {
    match socket {
        ListenSocket::Tcp(socket) => {
            let (stream, peer) = socket.accept()?;
            stream.set_nonblocking(true)?;
            Ok(Incoming::Tcp(accepted(TcpStream::from_std(stream)?), peer))
        }
        ListenSocket::Unix(socket) => {
            let (stream, _) = socket.accept()?;
            stream.set_nonblocking(true)?;
            Ok(Incoming::Unix(UnixStream::from_std(stream)?))
        }
    }
}

/// Tells the gateway of a connection and starts its task.
fn admit(yard: &Rc<Yard>, state: &mut State, incoming: Incoming, manner: &Manner) {
    // Clients of Unix sockets have no name as a rule; they are known by where they came in.
    let local = manner.address.clone();
    let peer = match &incoming {
        Incoming::Tcp(_, peer) => Address::from(*peer),
        Incoming::Unix(_) => local.clone(),
    };
    if manner.tls.is_none() && !manner.introduced {
        let conn = state.gateway.handle_accept(Accepted { peer, local }, state.now);
        start(yard, state, conn, incoming, Before::default());
    } else {
        admit_arriving(yard, state, incoming, Accepted { peer, local }, manner);
    }
    // The gateway may have had enough with this one.
    yard.act(state);
}

/// What stands in front of HTTP on a connection.
#[derive(Default)]
struct Before {
    introducing: Option<Introducing>,
    /// One that was refused at once shakes no hands, and takes nobody's place.
    tls: Option<(Secured, Option<Handshake>)>,
}

/// A client that is to be introduced, will shake hands, or both.
fn admit_arriving(yard: &Rc<Yard>, state: &mut State, incoming: Incoming, info: Accepted, manner: &Manner) {
    let client = (info.peer.clone(), info.local.clone());
    let conn = state.gateway.handle_arriving(info, state.now);
    let transport = match manner.tls.as_ref().map(Transport::front).transpose() {
        Ok(transport) => transport,
        Err(failure) => return state.gateway.handle_closed(conn, Closed::Tls(failure), state.now),
    };
    let introduced = manner.introduced && state.gateway.knows(conn);
    let introducing = introduced.then(|| Introducing::new(client.0.clone(), client.1.clone()));
    let secure = |transport| {
        let secured = Secured::arriving(transport, client, &state.gateway, conn);
        let begins = state.gateway.knows(conn);
        (secured, begins.then(|| state.handshakes.begin(conn, state.now)))
    };
    let before = Before { introducing, tls: transport.map(secure) };
    start(yard, state, conn, incoming, before);
}

/// Starts the task of a connection.
fn start(yard: &Rc<Yard>, state: &mut State, conn: ConnId, incoming: Incoming, before: Before) {
    let fate = Fate::default();
    let task = match incoming {
        Incoming::Tcp(stream, _) => {
            yard.spawn(before.on(Connection::new(yard.clone(), conn, stream, fate.clone())))
        }
        Incoming::Unix(stream) => {
            yard.spawn(before.on(Connection::new(yard.clone(), conn, stream, fate.clone())))
        }
    };
    state.sockets.insert(conn, Socket::new(task, fate));
}

impl Before {
    fn on<S: Stream>(self, connection: Connection<S>) -> Connection<S> {
        let connection = connection.introduced(self.introducing);
        match self.tls {
            Some((secured, handshake)) => connection.with_tls(secured, handshake),
            None => connection,
        }
    }
}
