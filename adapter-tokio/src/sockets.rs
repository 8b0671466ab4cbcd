//! What is known about each socket, and how its task is woken.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Waker};

use shuntyard_core::gateway::ConnId;
use tokio::task::AbortHandle;

/// How the gateway has parted with a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Parting {
    /// It is closed before everything has left.
    #[default]
    Cut,
    /// It is closed, and everything has left.
    Whole,
    /// Its peer is to see that it broke.
    Broken,
    /// It has shaken hands for too long, and others wait.
    Replaced,
}

/// What a connection's task finds when its socket is gone from the list. Both have it, for the place in the list may be another's by then.
pub(crate) type Fate = Rc<Cell<Parting>>;

/// What a connection's task has to do. The socket itself belongs to the task.
pub(crate) struct Socket {
    task: AbortHandle,
    fate: Fate,
    waker: Option<Waker>,
    /// The gateway wants no input.
    pub(crate) paused: bool,
    /// The gateway has output.
    pub(crate) has_output: bool,
    /// The sending direction is to be shut down.
    pub(crate) shutdown: bool,
    /// Its task has last words to say when the connection is closed.
    pub(crate) takes_leave: bool,
}

impl Socket {
    pub(crate) fn new(task: AbortHandle, fate: Fate) -> Self {
        Self {
            task,
            fate,
            waker: None,
            paused: false,
            has_output: false,
            shutdown: false,
            takes_leave: false,
        }
    }

    /// The task that is being polled is the one to wake.
    pub(crate) fn remember(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
    }
}

/// The sockets of a worker, each at the place that the slab of the gateway gave to its connection.
#[derive(Default)]
pub(crate) struct Sockets {
    places: Vec<Option<(ConnId, Socket)>>,
}

impl Sockets {
    pub(crate) fn insert(&mut self, conn: ConnId, socket: Socket) {
        let place = place(conn);
        if self.places.len() <= place {
            self.places.resize_with(place + 1, || None);
        }
        self.places[place] = Some((conn, socket));
    }

    /// The socket of the connection, unless it is gone.
    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Socket> {
        let (owner, socket) = self.places.get_mut(place(conn))?.as_mut()?;
        (*owner == conn).then_some(socket)
    }

    /// Changes what is known about a socket and wakes its task.
    pub(crate) fn rouse(&mut self, conn: ConnId, change: impl FnOnce(&mut Socket)) {
        if let Some(socket) = self.get_mut(conn) {
            change(socket);
            // A task that has not begun yet will look by itself.
            if let Some(waker) = &socket.waker {
                waker.wake_by_ref();
            }
        }
    }

    /// Forgets the socket. Its task ends by itself.
    pub(crate) fn remove(&mut self, conn: ConnId) -> Option<Socket> {
        let place = self.places.get_mut(place(conn))?;
        place.take_if(|(owner, _)| *owner == conn).map(|(_, socket)| socket)
    }

    /// Forgets the socket. Its task closes it, so that its peer sees that the connection broke.
    pub(crate) fn abort(&mut self, conn: ConnId) {
        if let Some(socket) = self.remove(conn) {
            socket.fate.set(Parting::Broken);
            // A task that has not begun yet will look by itself.
            if let Some(waker) = socket.waker {
                waker.wake();
            }
        }
    }

    /// Forgets the socket of a client that has not shaken hands. Its task closes it.
    pub(crate) fn give_up(&mut self, conn: ConnId) {
        if let Some(socket) = self.remove(conn) {
            socket.fate.set(Parting::Replaced);
            if let Some(waker) = socket.waker {
                waker.wake();
            }
        }
    }

    /// Closes the socket, or gives up making it.
    pub(crate) fn close(&mut self, conn: ConnId) {
        if let Some(socket) = self.remove(conn) {
            socket.fate.set(if socket.has_output { Parting::Cut } else { Parting::Whole });
            match &socket.waker {
                Some(waker) if socket.takes_leave => waker.wake_by_ref(),
                _ => socket.task.abort(),
            }
        }
    }
}

/// The slab's index of the connection: the lower half of its id.
fn place(conn: ConnId) -> usize {
    conn.to_bits() as u32 as usize
}
