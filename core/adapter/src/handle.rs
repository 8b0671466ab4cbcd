//! How a server is ended from outside of its threads.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Ends a server from another thread. What is ordered before it runs is done when it runs.
#[derive(Clone)]
pub struct Handle {
    desks: Arc<[Desk]>,
}

/// Takes the orders for one worker, and wakes it. A worker that has ended needs none.
pub type Desk = Box<dyn Fn(Order) + Send + Sync>;

/// What a worker is told from outside of its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Finish what is there.
    Drain(Duration),
    /// End at once.
    Stop,
}

impl Handle {
    /// Gives orders through these desks, one a worker.
    pub fn new(desks: Vec<Desk>) -> Self {
        Self { desks: desks.into() }
    }

    /// Lets every worker finish what is there and accept nothing new. After the deadline, counted from now,
    /// what is still unfinished is cut. The server ends when no connection is left.
    pub fn drain(&self, deadline: Duration) {
        self.order(Order::Drain(deadline));
    }

    /// Ends now. What is unfinished is cut.
    pub fn stop(&self) {
        self.order(Order::Stop);
    }

    fn order(&self, order: Order) {
        for desk in self.desks.iter() {
            desk(order);
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}
