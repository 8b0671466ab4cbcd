//! Handshakes with clients are bounded ([`Admission`]); listeners that wait until one may begin are woken.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

use shuntyard_adapter::Admission;
use shuntyard_core::gateway::ConnId;
use shuntyard_core::time::{Duration, Instant};

/// The handshakes of a worker that are under way.
#[derive(Default)]
pub(crate) struct Handshakes {
    admission: RefCell<Admission>,
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
        let Some(at) = self.admission.borrow().room_at().filter(|&at| at > now) else { return Room::Free };
        self.waiting.borrow_mut().push(cx.waker().clone());
        if self.watched.replace(true) { Room::Waits } else { Room::In(at.saturating_since(now)) }
    }

    /// The one that makes room for one that has begun.
    pub(crate) fn to_cut(&self, now: Instant) -> Option<ConnId> {
        self.admission.borrow_mut().to_cut(now)
    }

    /// One begins. It ends when what this gives is dropped.
    pub(crate) fn begin(self: &Rc<Self>, conn: ConnId, now: Instant) -> Handshake {
        self.admission.borrow_mut().begin(conn, now);
        Handshake { of: self.clone(), conn }
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
    conn: ConnId,
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.of.admission.borrow_mut().end(self.conn);
        self.of.waiting.take().into_iter().for_each(Waker::wake);
    }
}
