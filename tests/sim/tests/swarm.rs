//! Many seeds against the real gateway. `SHUNTYARD_SEEDS=n` runs n of them, `SHUNTYARD_FIRST=n` begins at n,
//! `SHUNTYARD_SEED=n` replays one and shows its last actions and frames.

use std::collections::BTreeMap;

use shuntyard_sim::generate::generate;
use shuntyard_sim::run::{Failure, run, run_with};

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

#[test]
fn swarm() {
    if let Some(seed) = from_env("SHUNTYARD_SEED") {
        return replay(seed);
    }
    let (first, count) =
        (from_env("SHUNTYARD_FIRST").unwrap_or(0), from_env("SHUNTYARD_SEEDS").unwrap_or(300));
    println!("seeds {first} to {}", first + count);
    let mut checks: BTreeMap<&str, u64> = BTreeMap::new();
    let mut requirements: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut requests, mut complete, mut steps, mut attempts) = (0, 0, 0, 0);
    let mut failures: Vec<Failure> = Vec::new();
    for seed in first..first + count {
        match run(&generate(seed)) {
            Ok(report) => {
                requests += report.answers.len();
                complete +=
                    report.answers.values().filter(|answer| answer.ended && answer.is_from_backend()).count();
                steps += report.steps;
                attempts += report.attempts;
                report.checks.into_iter().for_each(|(id, n)| *checks.entry(id).or_default() += n);
                report.requirements.into_iter().for_each(|(id, n)| *requirements.entry(id).or_default() += n);
            }
            Err(failure) => failures.push(*failure),
        }
    }
    println!("{requests} requests, {complete} answered by backends, {attempts} attempts, {steps} steps");
    println!("checks: {checks:?}");
    failures.iter().for_each(|failure| println!("{failure}"));
    assert!(
        failures.is_empty(),
        "{} of {count} seeds failed; replay with SHUNTYARD_SEED={}",
        failures.len(),
        failures[0].seed
    );
    requirements.iter().for_each(|(id, times)| shuntyard_requirements::counted(id, *times));
}

fn replay(seed: u64) {
    let scenario = generate(seed);
    println!("{scenario:#?}");
    match run_with(&scenario, true) {
        Ok(report) => println!("seed {seed}: fine, hash {:016x}, {} steps", report.hash, report.steps),
        Err(failure) => {
            failure.log.iter().rev().take(200).rev().for_each(|line| println!("{line}"));
            panic!("{failure}");
        }
    }
}
