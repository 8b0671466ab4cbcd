//! What an upstream allows by way of retries, and the way back into its queue.

use crate::key::{LaneKey, Slab, UpstreamKey};
use crate::registry::Registry;
use crate::request::{Request, RequestKey};
use crate::time::{Duration, Instant};

/// How many retries may be saved up by requests.
const SAVED_MAX: u32 = 100;
/// An upstream with few requests gets a retry as often as this all the same...
const FLOOR: Duration = Duration::from_millis(100);
/// ... and saves up so many. linkerd2: ten a second over ten seconds; Finagle: the same.
const FLOOR_MAX: u32 = 10;

/// The retry budget of an upstream: retries of requests that may have been executed are a share of all its requests, so
/// that a backend in trouble is not met with a multiple of its load.
#[derive(Clone, Debug, Default)]
pub(super) struct RetryBudget {
    /// In hundredths of a retry.
    saved: u32,
    /// Of the floor: retries taken since `floor_from`.
    taken: u32,
    /// The floor has been full until then.
    floor_from: Instant,
}

impl RetryBudget {
    /// A request came.
    pub(super) fn deposit(&mut self, percent: u32) {
        self.saved = self.saved.saturating_add(percent).min(SAVED_MAX * 100);
    }

    /// Takes a retry. With a share of 0 there is none.
    pub(super) fn withdraw(&mut self, percent: u32, now: Instant) -> bool {
        if percent == 0 {
            return false;
        }
        if let Some(saved) = self.saved.checked_sub(100) {
            self.saved = saved;
            return true;
        }
        let refilled = now.saturating_since(self.floor_from).as_nanos() / FLOOR.as_nanos();
        if refilled >= u128::from(self.taken) {
            (self.taken, self.floor_from) = (0, now);
        } else {
            // Less than `taken`, which is small.
            self.taken -= refilled as u32;
            self.floor_from = self.floor_from + FLOOR.saturating_mul(refilled as u32);
        }
        let may = self.taken < FLOOR_MAX;
        self.taken += u32::from(may);
        may
    }
}

impl Registry {
    /// A request came: the upstream's retry budget grows.
    pub(super) fn deposit_retry(&mut self, upstream: UpstreamKey) {
        let Some(of) = self.upstreams.get_mut(upstream) else { return };
        let percent = of.config().retry.budget_percent;
        of.retries.deposit(percent);
    }

    /// Octets of a request's content that are kept to be sent again.
    pub(crate) fn replay_octets(&self, upstream: UpstreamKey) -> u32 {
        self.upstreams.get(upstream).map_or(0, |of| of.config().retry.replay_octets)
    }

    /// Takes a retry of a request that may have been executed from the upstream's budget.
    pub(crate) fn take_retry(&mut self, upstream: UpstreamKey, now: Instant) -> bool {
        let Some(of) = self.upstreams.get_mut(upstream) else { return false };
        let percent = of.config().retry.budget_percent;
        of.retries.withdraw(percent, now)
    }

    /// A request that was live waits again, at the place that it had by its age (B66). `false`: there is no queue any more
    /// that an engine could serve.
    pub(crate) fn resubmit(&mut self, requests: &mut Slab<Request>, key: RequestKey, lane: LaneKey) -> bool {
        let Some(of) = self.lanes.get(lane) else { return false };
        let upstream = self.entries.get(of.entry).and_then(|entry| self.upstreams.get(entry.upstream));
        if upstream.is_none_or(|upstream| upstream.endpoints().next().is_none()) {
            return false;
        }
        self.enqueue(requests, key, lane);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_requests_may_be_sent_again() {
        let mut budget = RetryBudget::default();
        (0..50).for_each(|_| budget.deposit(20));
        let now = Instant::ZERO;
        let granted = (0..100).filter(|_| budget.withdraw(20, now)).count();
        assert_eq!(granted, 10 + FLOOR_MAX as usize, "a fifth of 50, and the floor");
    }

    #[test]
    fn a_quiet_upstream_gets_its_floor_back_in_time() {
        let mut budget = RetryBudget::default();
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        assert_eq!((0..100).filter(|_| budget.withdraw(20, at(0))).count(), 10);
        assert_eq!((0..100).filter(|_| budget.withdraw(20, at(99))).count(), 0);
        assert_eq!((0..100).filter(|_| budget.withdraw(20, at(250))).count(), 2);
        assert_eq!((0..100).filter(|_| budget.withdraw(20, at(300))).count(), 1);
        assert_eq!((0..100).filter(|_| budget.withdraw(20, at(60_000))).count(), 10);
    }

    #[test]
    fn savings_are_bounded_and_a_share_of_nothing_is_nothing() {
        let mut budget = RetryBudget::default();
        (0..1_000_000).for_each(|_| budget.deposit(100));
        let granted = (0..1000).filter(|_| budget.withdraw(100, Instant::ZERO)).count();
        assert_eq!(granted, (SAVED_MAX + FLOOR_MAX) as usize);
        (0..1000).for_each(|_| budget.deposit(0));
        assert!(!budget.withdraw(0, Instant::from_nanos(u64::MAX)));
    }
}
