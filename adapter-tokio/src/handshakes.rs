//! Handshakes with clients are bounded: whoever comes beyond waits in the kernel's queue.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

use shuntyard_adapter::HANDSHAKES_MAX;

/// The handshakes of a worker that are under way.
#[derive(Default)]
pub(crate) struct Handshakes {
    open: Cell<usize>,
    /// Listeners that wait until one of them ends.
    waiting: RefCell<Vec<Waker>>,
}

impl Handshakes {
    /// Whether one more may begin. Otherwise the task is woken when it may.
    pub(crate) fn may_begin(&self, cx: &Context<'_>) -> bool {
        let may = self.open.get() < HANDSHAKES_MAX;
        if !may {
            self.waiting.borrow_mut().push(cx.waker().clone());
        }
        may
    }

    /// One begins. It ends when what this gives is dropped.
    pub(crate) fn begin(self: &Rc<Self>) -> Handshake {
        self.open.set(self.open.get() + 1);
        Handshake(self.clone())
    }
}

/// A handshake that is under way.
pub(crate) struct Handshake(Rc<Handshakes>);

impl Drop for Handshake {
    fn drop(&mut self) {
        let Self(handshakes) = self;
        handshakes.open.set(handshakes.open.get() - 1);
        handshakes.waiting.take().into_iter().for_each(Waker::wake);
    }
}
