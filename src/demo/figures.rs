//! What the clients counted and measured.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Failures that are told in words; the others are only counted.
const COMPLAINTS_MAX: usize = 5;
/// The longest time that is told apart, in microseconds.
const LONGEST_US: u64 = 600_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// Written by the clients, read by the story.
#[derive(Debug)]
pub(super) struct Figures {
    /// Requests whose response was right.
    pub(super) requests: u64,
    /// Requests that had no response, or a wrong one.
    pub(super) failed: u64,
    /// Of these: with octets that were not the right ones.
    pub(super) wrong: u64,
    /// Octets of content that were the right ones.
    pub(super) octets: u64,
    /// Requests without a whole response yet.
    pub(super) in_flight: usize,
    /// The first failures, in words.
    pub(super) complaints: Vec<String>,
    /// When the last right response came.
    pub(super) last_success: Instant,
    run: Histogram<u64>,
    lap: Histogram<u64>,
    lap_begun: Instant,
}

/// Times of responses: half of them, 99 % and 99.9 % came within these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) p999: Duration,
}

/// A stretch of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Lap {
    pub(super) requests_per_second: f64,
    pub(super) times: Times,
}

/// What one turn of the clients brought: counted without a lock.
#[derive(Debug, Default)]
pub(super) struct Tally {
    successes: Vec<Duration>,
    failed: u64,
    wrong: u64,
    octets: u64,
    complaints: Vec<String>,
}

impl Tally {
    /// A response was right from its head to its end.
    pub(super) fn succeed(&mut self, took: Duration) {
        self.successes.push(took);
    }

    /// Octets of content were the right ones.
    pub(super) fn verified(&mut self, octets: usize) {
        self.octets += octets as u64;
    }

    /// A request failed; `wrong`: because of its octets.
    pub(super) fn fail(&mut self, wrong: bool, complaint: impl FnOnce() -> String) {
        self.failed += 1;
        self.wrong += u64::from(wrong);
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(complaint());
        }
    }
}

impl Figures {
    pub(super) fn new(now: Instant) -> Self {
        let histogram = || {
            Histogram::new_with_bounds(1, LONGEST_US, SIGNIFICANT_DIGITS)
                .expect("the bounds are in order and 3 digits are allowed")
        };
        Self {
            requests: 0,
            failed: 0,
            wrong: 0,
            octets: 0,
            in_flight: 0,
            complaints: Vec::new(),
            last_success: now,
            run: histogram(),
            lap: histogram(),
            lap_begun: now,
        }
    }

    /// Takes over what a turn of the clients brought, and leaves the tally empty.
    pub(super) fn add(&mut self, tally: &mut Tally, in_flight: usize, now: Instant) {
        self.requests += tally.successes.len() as u64;
        if !tally.successes.is_empty() {
            self.last_success = now;
        }
        for took in tally.successes.drain(..) {
            let took = took.as_micros().try_into().unwrap_or(u64::MAX);
            self.run.saturating_record(took);
            self.lap.saturating_record(took);
        }
        self.failed += std::mem::take(&mut tally.failed);
        self.wrong += std::mem::take(&mut tally.wrong);
        self.octets += std::mem::take(&mut tally.octets);
        let room = COMPLAINTS_MAX.saturating_sub(self.complaints.len());
        self.complaints.extend(tally.complaints.drain(..).take(room));
        self.in_flight = in_flight;
    }

    /// Times of the whole run.
    pub(super) fn times(&self) -> Times {
        times(&self.run)
    }

    /// What happened since the last time this was asked.
    pub(super) fn take_lap(&mut self, now: Instant) -> Lap {
        let seconds = now.duration_since(self.lap_begun).as_secs_f64().max(1e-3);
        let lap = Lap { requests_per_second: self.lap.len() as f64 / seconds, times: times(&self.lap) };
        self.lap.reset();
        self.lap_begun = now;
        lap
    }
}

fn times(histogram: &Histogram<u64>) -> Times {
    let at = |quantile| Duration::from_micros(histogram.value_at_quantile(quantile));
    Times { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
}
