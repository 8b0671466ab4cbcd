//! Handshakes with clients are bounded: whoever comes beyond waits in the kernel's queue, until one ends or has lasted too long.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::task::{Context, Waker};

use shuntyard_adapter::{HANDSHAKE_PATIENCE, HANDSHAKES_MAX};
use shuntyard_core::gateway::ConnId;
use shuntyard_core::time::{Duration, Instant};

/// The handshakes of a worker that are under way.
#[derive(Default)]
pub(crate) struct Handshakes {
    open: Cell<usize>,
    /// In the order in which they began, among those that are over.
    begun: RefCell<VecDeque<(Instant, ConnId, Weak<()>)>>,
    /// Listeners that wait until one of them ends.
    waiting: RefCell<Vec<Waker>>,
    /// Somebody sleeps until the oldest has lasted too long.
    watched: Cell<bool>,
}

/// What becomes of one more.
pub(crate) enum Room {
    /// It may begin.
    Free,
    /// It waits, and is told when it may. This one has lasted too long, and is to be cut.
    Cut(ConnId),
    /// It waits, and is told when it may. In so long the oldest will have lasted too long: somebody must call
    /// [`Handshakes::rouse`] then.
    In(Duration),
    /// It waits, and is told when it may.
    Waits,
}

impl Handshakes {
    /// Whether one more may begin.
    pub(crate) fn room(&self, now: Instant, cx: &Context<'_>) -> Room {
        if self.open.get() < HANDSHAKES_MAX {
            return Room::Free;
        }
        self.waiting.borrow_mut().push(cx.waker().clone());
        let mut begun = self.begun.borrow_mut();
        while begun.front().is_some_and(|(.., token)| token.strong_count() == 0) {
            begun.pop_front();
        }
        let Some(&(began, conn, _)) = begun.front() else { return Room::Waits };
        let lasts = now.saturating_since(began);
        if lasts >= HANDSHAKE_PATIENCE {
            begun.pop_front();
            return Room::Cut(conn);
        }
        if self.watched.replace(true) { Room::Waits } else { Room::In(HANDSHAKE_PATIENCE - lasts) }
    }

    /// One begins. It ends when what this gives is dropped.
    pub(crate) fn begin(self: &Rc<Self>, conn: ConnId, now: Instant) -> Handshake {
        self.open.set(self.open.get() + 1);
        let token = Rc::new(());
        let mut begun = self.begun.borrow_mut();
        begun.push_back((now, conn, Rc::downgrade(&token)));
        if begun.len() > 2 * HANDSHAKES_MAX {
            begun.retain(|(.., token)| token.strong_count() > 0);
        }
        Handshake { of: self.clone(), _token: token }
    }

    /// Listeners look again whether there is room.
    pub(crate) fn rouse(&self) {
        self.watched.set(false);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}

/// A handshake that is under way.
pub(crate) struct Handshake {
    of: Rc<Handshakes>,
    /// Lives as long as it does.
    _token: Rc<()>,
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.of.open.set(self.of.open.get() - 1);
        self.of.waiting.take().into_iter().for_each(Waker::wake);
    }
}
