//! The task that wakes at the gateway's deadline.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use shuntyard_core::time::{Duration, Instant};
use tokio::time::{Sleep, sleep};

use crate::yard::Yard;

/// When the task will wake. Most deadlines are cancelled before it is time, so that it is moved only to an earlier one;
/// a later one it finds when it wakes.
#[derive(Default)]
pub(crate) struct Alarm {
    at: Option<Instant>,
    /// Its task, while it sleeps.
    waker: Option<Waker>,
}

impl Alarm {
    /// `next` is the gateway's deadline now: wakes the task if it would sleep longer.
    pub(crate) fn advance(&mut self, next: Option<Instant>) {
        if next.is_some_and(|next| self.at.is_none_or(|at| next < at))
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }
}

/// Tells the gateway of the time whenever it wants to know, for as long as the worker lasts.
pub(crate) async fn ring(yard: Rc<Yard>) {
    let mut sleep = pin!(sleep(Duration::ZERO));
    poll_fn(|cx| poll_ring(&yard, sleep.as_mut(), cx)).await;
}

fn poll_ring(yard: &Rc<Yard>, mut sleep: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    yard.turn(|state| {
        if state.gateway.poll_timeout().is_some_and(|at| at <= state.now) {
            state.gateway.handle_timeout(state.now);
        }
    });
    let patience = yard.turn(|state| {
        let at = state.gateway.poll_timeout();
        state.alarm = Alarm { at, waker: Some(cx.waker().clone()) };
        at.map(|at| at.saturating_since(state.now))
    });
    if let Some(patience) = patience {
        sleep.as_mut().reset(tokio::time::Instant::now() + patience);
        if sleep.poll(cx).is_ready() {
            // The others have their turn before the next look at the clock.
            cx.waker().wake_by_ref();
        }
    }
    Poll::Pending
}
