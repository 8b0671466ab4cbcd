//! One worker: its tasks from their beginning to their end.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use shuntyard_adapter::{Desk, Equipment, Exit, Observer, Order};
use shuntyard_core::gateway::Command;
use shuntyard_core::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::LocalSet;

use crate::listener::{Listener, accept};
use crate::yard::Yard;
use crate::{alarm, listener, outcome_of};

/// A thread's share of a [`Server`](crate::Server). It shares nothing with the others.
pub struct Worker {
    equipment: Equipment,
    desk: Desk,
    orders: UnboundedReceiver<Order>,
    observer: Option<Observer>,
}

impl Worker {
    pub(crate) fn new(
        equipment: Equipment,
        (desk, orders): (Desk, UnboundedReceiver<Order>),
        observer: Option<Observer>,
    ) -> Self {
        Self { equipment, desk, orders, observer }
    }

    /// Serves until it is drained or stopped. Dropping the future closes everything at once. It wants a current-thread runtime, as
    /// [`Server::serve`](crate::Server::serve) does.
    ///
    /// # Errors
    /// The system's, where the runtime does not take a listener. A panic, with its words: of hooks, the observer or whoever looks
    /// ([`Handle::look`](crate::Handle::look)), which have then been called for the last time, or tokio's, where it is polled outside of a runtime with
    /// I/O and time enabled.
    pub async fn serve(self) -> io::Result<Exit> {
        // Whatever ends this future ends its tasks: they are in a set of their own.
        let tasks = LocalSet::new();
        let desk = tasks.spawn_local(self.work());
        outcome_of(tasks.run_until(desk).await)
    }

    async fn work(self) -> io::Result<Exit> {
        let Self { equipment, desk, mut orders, observer } = self;
        let Equipment { worker: number, gateway, listeners, clock, backs } = equipment;
        let listeners: Vec<_> = listeners.into_iter().map(Listener::new).collect::<io::Result<_>>()?;
        let numbers = 0..listeners.len();
        let yard = Rc::new(Yard::new((number, gateway), (listeners, backs), clock, observer, desk));
        for number in numbers {
            yard.spawn(accept(yard.clone(), number));
        }
        yard.spawn(alarm::ring(yard.clone()));
        let cut = poll_fn(|cx| yard.poll_desk(|| poll_desk(&yard, &mut orders, cx))).await?;
        Ok(Exit { cut })
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("listeners", &self.equipment.listeners).finish_non_exhaustive()
    }
}

/// Obeys what is ordered from outside. Ready at the end, with the connections that were cut.
fn poll_desk(yard: &Rc<Yard>, orders: &mut UnboundedReceiver<Order>, cx: &mut Context<'_>) -> Poll<u32> {
    while let Poll::Ready(Some(order)) = orders.poll_recv(cx) {
        match order {
            Order::Drain(deadline) => drain(yard, deadline),
            Order::Stop => {
                stop(yard);
                // Behind the tasks that were woken: what they close is broken off by them, and in good order without them.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Order::Command(command) => {
                yard.turn(|state| state.gateway.handle_command(command, state.now));
            }
            Order::Inspect(look) => yard.turn(|state| look(&state.gateway, state.now)),
        }
    }
    yard.poll_end(cx)
}

fn drain(yard: &Rc<Yard>, deadline: Duration) {
    // Whoever stands in the kernel's queue is connected as far as they know: they are served, not reset, as long as there are descriptors and places
    // for them.
    listener::accept_rest(yard);
    yard.turn(|state| state.gateway.handle_command(Command::Drain { deadline }, state.now));
}

fn stop(yard: &Rc<Yard>) {
    drain(yard, Duration::ZERO);
    yard.turn(|state| state.gateway.handle_timeout(state.now));
    yard.turn(|state| {
        let fronts = u32::try_from(state.gateway.view().fronts).unwrap_or(u32::MAX);
        state.end(fronts);
    });
}
