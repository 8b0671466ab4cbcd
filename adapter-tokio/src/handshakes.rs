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
    /// It may begin. Where the places are taken, the oldest has lasted too long, and is [cut](Handshakes::to_cut) then.
    Free,
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
        let lasts = self.oldest().map(|(began, _)| now.saturating_since(began));
        if lasts.is_some_and(|lasts| lasts >= HANDSHAKE_PATIENCE) {
            return Room::Free;
        }
        self.waiting.borrow_mut().push(cx.waker().clone());
        let Some(lasts) = lasts else { return Room::Waits };
        if self.watched.replace(true) { Room::Waits } else { Room::In(HANDSHAKE_PATIENCE - lasts) }
    }

    /// The one that makes room for one that has begun: the oldest, if there are too many and it has lasted too long.
    pub(crate) fn to_cut(&self, now: Instant) -> Option<ConnId> {
        if self.open.get() <= HANDSHAKES_MAX {
            return None;
        }
        let (_, conn) =
            self.oldest().filter(|&(began, _)| now.saturating_since(began) >= HANDSHAKE_PATIENCE)?;
        self.begun.borrow_mut().pop_front();
        Some(conn)
    }

    /// The one that is under way longest.
    fn oldest(&self) -> Option<(Instant, ConnId)> {
        let mut begun = self.begun.borrow_mut();
        while begun.front().is_some_and(|(.., token)| token.strong_count() == 0) {
            begun.pop_front();
        }
        begun.front().map(|&(began, conn, _)| (began, conn))
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
