//! The answer of workers who are asked without anybody being blocked.

use std::collections::BTreeMap;
use std::fmt;
use std::iter;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The answer of [`Handle::look`](crate::Handle::look): by the workers' numbers, what was seen there.
#[must_use = "the answer comes to whoever awaits it"]
pub struct Looking<T>(Shared<T>);

type Shared<T> = Arc<Mutex<State<T>>>;

struct State<T> {
    answers: BTreeMap<usize, T>,
    /// Shares that are not given back.
    waiting: usize,
    waker: Option<Waker>,
}

/// A worker's share of it, which it gives back when it has answered, or when it has ended and will not.
pub(crate) struct Share<T>(Shared<T>);

impl<T> Looking<T> {
    /// And the shares of so many workers.
    pub(crate) fn new(workers: usize) -> (Self, Vec<Share<T>>) {
        let state = State { answers: BTreeMap::new(), waiting: workers, waker: None };
        let shared = Arc::new(Mutex::new(state));
        let shares = iter::repeat_with(|| Share(Arc::clone(&shared))).take(workers).collect();
        (Self(shared), shares)
    }
}

impl<T> Future for Looking<T> {
    type Output = BTreeMap<usize, T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.0);
        if state.waiting == 0 {
            return Poll::Ready(std::mem::take(&mut state.answers));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<T> fmt::Debug for Looking<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Looking").finish_non_exhaustive()
    }
}

impl<T> Share<T> {
    pub(crate) fn answer(self, number: usize, answer: T) {
        lock(&self.0).answers.insert(number, answer);
    }
}

impl<T> Drop for Share<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.waiting = state.waiting.saturating_sub(1);
        let woken = if state.waiting == 0 { state.waker.take() } else { None };
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// Nothing panics that holds it.
fn lock<T>(shared: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
