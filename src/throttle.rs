//! What peers can bring about is said so often and no more: neither a log nor whoever writes it is theirs to fill.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError};
use std::time::{Duration, Instant};

/// Names that are told apart. There are no more in a configuration, as a rule.
const NAMES_MAX: usize = 1024;

/// So many lines of one kind an interval.
#[derive(Debug)]
pub(crate) struct Throttle {
    interval: Duration,
    lines: u32,
    since: Option<Instant>,
    said: u32,
    unsaid: u64,
}

impl Throttle {
    pub(crate) const fn new(lines: u32, interval: Duration) -> Self {
        Self { interval, lines, since: None, said: 0, unsaid: 0 }
    }

    /// Whether its interval is over.
    fn is_over(&self, now: Instant) -> bool {
        self.since.is_none_or(|since| now.duration_since(since) >= self.interval)
    }

    /// Whether one more line may be said now, and how many were not said since the last one.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.is_over(now) {
            (self.since, self.said) = (Some(now), 0);
        }
        if self.said >= self.lines {
            self.unsaid += 1;
            return None;
        }
        self.said += 1;
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// A [`Throttle`] of all workers, of whom none waits for another.
#[derive(Debug)]
pub(crate) struct Shared {
    throttle: Mutex<Throttle>,
    /// Lines that were not said because another worker was about to say one.
    missed: AtomicU64,
}

impl Shared {
    pub(crate) const fn new(lines: u32, interval: Duration) -> Self {
        Self { throttle: Mutex::new(Throttle::new(lines, interval)), missed: AtomicU64::new(0) }
    }

    /// As [`Throttle::admit`].
    pub(crate) fn admit(&self, now: Instant) -> Option<u64> {
        let mut throttle = match self.throttle.try_lock() {
            Ok(throttle) => throttle,
            // It is whole after every change.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                return None;
            }
        };
        throttle.admit(now).map(|unsaid| unsaid + self.missed.swap(0, Ordering::Relaxed))
    }
}

/// So many lines an interval for each name: one that fails all the time does not hide another.
#[derive(Debug)]
pub(crate) struct ByName {
    interval: Duration,
    lines: u32,
    of: BTreeMap<Box<str>, Throttle>,
    /// For all for whom there is no room.
    others: Throttle,
}

impl ByName {
    pub(crate) const fn new(lines: u32, interval: Duration) -> Self {
        Self { interval, lines, of: BTreeMap::new(), others: Throttle::new(lines, interval) }
    }

    /// As [`Throttle::admit`], of this name.
    pub(crate) fn admit(&mut self, name: &str, now: Instant) -> Option<u64> {
        if !self.of.contains_key(name) {
            if self.of.len() >= NAMES_MAX {
                self.forget(now);
            }
            if self.of.len() >= NAMES_MAX {
                return self.others.admit(now);
            }
            self.of.insert(name.into(), Throttle::new(self.lines, self.interval));
        }
        self.of.get_mut(name)?.admit(now)
    }

    /// Forgets those that may say something again, as anybody may who comes: what a reload has taken away is not kept for ever.
    fn forget(&mut self, now: Instant) {
        let others = &mut self.others;
        self.of.retain(|_, throttle| {
            let stays = !throttle.is_over(now);
            others.unsaid += if stays { 0 } else { throttle.unsaid };
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_bound_are_counted_and_told_with_the_next_one() {
        let mut throttle = Throttle::new(2, Duration::from_secs(1));
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let said: Vec<_> = [0, 1, 2, 999, 1000, 1001, 1002, 2500].map(|ms| throttle.admit(at(ms))).to_vec();
        assert_eq!(said, [Some(0), Some(0), None, None, Some(2), Some(0), None, Some(1)]);
    }

    #[test]
    fn lines_that_another_worker_stood_in_the_way_of_are_counted_too() {
        let throttle = Shared::new(1, Duration::from_secs(10));
        let begin = Instant::now();
        let held = throttle.throttle.lock().unwrap();
        assert_eq!([throttle.admit(begin), throttle.admit(begin)], [None, None]);
        drop(held);
        let later = begin + Duration::from_secs(10);
        assert_eq!(
            [begin, begin, later, later].map(|now| throttle.admit(now)),
            [Some(2), None, Some(1), None]
        );
    }

    #[test]
    fn one_name_does_not_hide_another() {
        let mut throttle = ByName::new(1, Duration::from_secs(10));
        let now = Instant::now();
        let said = ["a", "b", "a", "b"].map(|name| throttle.admit(name, now));
        assert_eq!(said, [Some(0), Some(0), None, None]);
        let later = now + Duration::from_secs(10);
        assert_eq!(["a", "c"].map(|name| throttle.admit(name, later)), [Some(1), Some(0)]);
        let mut names = |now| {
            let throttle = |n: usize| throttle.admit(&n.to_string(), now);
            (0..3 * NAMES_MAX).filter_map(throttle).collect::<Vec<_>>()
        };
        // Beyond the names that are told apart all others are one.
        let first = names(later);
        assert!(first.len() <= NAMES_MAX + 1 && first.len() > NAMES_MAX - 3, "{}", first.len());
        assert!(names(later).is_empty(), "nobody is forgotten because others come");
        let again = names(later + Duration::from_secs(10));
        assert!(again.len() >= first.len() && again.iter().sum::<u64>() > 0, "{}", again.len());
        assert!(throttle.of.len() <= NAMES_MAX);
    }
}
