//! What peers can bring about is said so often and no more: neither a log nor whoever writes it is theirs to fill.

use std::time::{Duration, Instant};

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

    /// Whether one more line may be said now, and how many were not said since the last one.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.duration_since(since) >= self.interval) {
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
}
