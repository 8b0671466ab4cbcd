//! Many seeds on all cores, in an order that does not show: what comes out is the same however many threads there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use shuntyard_core::counters::Limit;

use crate::coverage::Coverage;
use crate::run::{Failure, Options, Report, run_as};
use crate::scenario::Scenario;

/// What many runs came to.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Scenarios that were run.
    pub scenarios: u64,
    /// Requests that clients had in their scripts.
    pub requests: u64,
    /// Of these: answered whole by a backend.
    pub complete: u64,
    /// Attempts on backends.
    pub attempts: u64,
    /// Moments at which something happened.
    pub steps: u64,
    /// Events that the gateway was given, and actions it gave.
    pub events: u64,
    /// Octets that the gateway wrote.
    pub octets: u64,
    /// Faults in the scenarios: what they plan to go wrong.
    pub faults: u64,
    /// How often each check was made.
    pub checks: BTreeMap<&'static str, u64>,
    /// How often there was what a check is about, where that is rarer.
    pub premises: BTreeMap<&'static str, u64>,
    /// The same by requirement of an RFC.
    pub requirements: BTreeMap<&'static str, u64>,
    /// How often somebody ran into each limit of the gateway.
    pub limits: [u64; Limit::ALL.len()],
    /// Which features came together.
    pub coverage: Coverage,
    /// Failures, by seed.
    pub failures: BTreeMap<u64, Failure>,
}

impl Totals {
    fn add(&mut self, scenario: &Scenario, outcome: Result<Report, Box<Failure>>) {
        self.scenarios += 1;
        self.coverage.note(scenario);
        self.faults += crate::coverage::faults(scenario);
        match outcome {
            Ok(report) => {
                self.requests += report.answers.len() as u64;
                let complete =
                    report.answers.values().filter(|answer| answer.ended && answer.is_from_backend());
                self.complete += complete.count() as u64;
                self.steps += report.steps;
                self.attempts += report.attempts;
                self.events += report.events;
                self.octets += report.octets;
                self.limits.iter_mut().zip(report.limits).for_each(|(all, n)| *all += n);
                report.checks.into_iter().for_each(|(id, n)| *self.checks.entry(id).or_default() += n);
                report.premises.into_iter().for_each(|(id, n)| *self.premises.entry(id).or_default() += n);
                report
                    .requirements
                    .into_iter()
                    .for_each(|(id, n)| *self.requirements.entry(id).or_default() += n);
            }
            Err(failure) => _ = self.failures.insert(scenario.seed, *failure),
        }
    }

    fn merge(&mut self, other: Self) {
        self.scenarios += other.scenarios;
        self.requests += other.requests;
        self.complete += other.complete;
        self.attempts += other.attempts;
        self.steps += other.steps;
        self.events += other.events;
        self.octets += other.octets;
        self.limits.iter_mut().zip(other.limits).for_each(|(all, n)| *all += n);
        self.faults += other.faults;
        other.checks.into_iter().for_each(|(id, n)| *self.checks.entry(id).or_default() += n);
        other.premises.into_iter().for_each(|(id, n)| *self.premises.entry(id).or_default() += n);
        other.requirements.into_iter().for_each(|(id, n)| *self.requirements.entry(id).or_default() += n);
        self.coverage.merge(other.coverage);
        self.failures.extend(other.failures);
    }

    /// Lines for people.
    pub fn lines(&self) -> Vec<String> {
        let ids: BTreeSet<&str> = self.failures.values().map(|failure| failure.violation.id).collect();
        vec![
            format!(
                "{} scenarios, {} requests, {} faults planned",
                self.scenarios, self.requests, self.faults
            ),
            format!("{} answered whole by backends, {} attempts", self.complete, self.attempts),
            format!(
                "{} moments, {} events and actions, {} octets written",
                self.steps, self.events, self.octets
            ),
            format!(
                "limits that somebody ran into: {}",
                Limit::ALL
                    .iter()
                    .zip(self.limits)
                    .map(|(limit, n)| format!("{} {n}", limit.name()))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            format!(
                "{} checks, {} violations {ids:?}",
                self.checks.values().sum::<u64>(),
                self.failures.len()
            ),
        ]
    }
}

/// Runs the scenarios of seeds `first` to `first + count` on `threads` threads, until `go_on` says no.
pub fn swarm(
    first: u64,
    count: u64,
    threads: usize,
    generate: impl Fn(u64) -> Scenario + Sync,
    go_on: impl Fn(&Totals) -> bool + Sync,
) -> Totals {
    swarm_as(first, count, threads, Options::default(), generate, go_on)
}

/// The same in a way of one's own.
pub fn swarm_as(
    first: u64,
    count: u64,
    threads: usize,
    options: Options,
    generate: impl Fn(u64) -> Scenario + Sync,
    go_on: impl Fn(&Totals) -> bool + Sync,
) -> Totals {
    let next = AtomicU64::new(first);
    let totals = Mutex::new(Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let mut own = Totals::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || !go_on(&own) {
                        break;
                    }
                    let scenario = generate(seed);
                    let outcome = run_as(&scenario, options);
                    own.add(&scenario, outcome);
                }
                totals.lock().unwrap_or_else(PoisonError::into_inner).merge(own);
            });
        }
    });
    totals.into_inner().unwrap_or_else(PoisonError::into_inner)
}
