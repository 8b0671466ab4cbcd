//! Many seeds against the real gateway. `SHUNTYARD_SEEDS=n` runs n of them, `SHUNTYARD_FIRST=n` begins at n,
//! `SHUNTYARD_CANARY=n` falsifies the n-th octet that the gateway emits, and must fail; `SHUNTYARD_MINUTES=n` ends after that time, `SHUNTYARD_SEED=n` replays one and shows its last
//! actions and frames, `SHUNTYARD_LINES=n` of them.

use std::time::{Duration, Instant};

use shuntyard_sim::coverage::Coverage;
use shuntyard_sim::generate::generate;
use shuntyard_sim::invariants::{self, State};
use shuntyard_sim::run::{Options, run_as, run_with};
use shuntyard_sim::shrink::shrink;
use shuntyard_sim::swarm::{Totals, swarm_as};
use shuntyard_sim::text;

/// Seeds without any wish of the caller.
const SEEDS: u64 = 200;
/// Scenarios among which every pair of features comes together.
const PAIRED: u64 = 40_000;
/// Seeds after which there was something to look at for each check.
const PREMISED: u64 = 2_000;
/// Seeds after which somebody has run into each limit.
const ENOUGH: u64 = 10_000;
/// Runs to shrink one failure.
const SHRINK_RUNS: usize = 3000;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

#[test]
fn seeds_without_a_violation() {
    if let Some(seed) = from_env("SHUNTYARD_SEED") {
        return replay(seed);
    }
    let first = from_env("SHUNTYARD_FIRST").unwrap_or(0);
    let minutes = from_env("SHUNTYARD_MINUTES");
    let count = from_env("SHUNTYARD_SEEDS").unwrap_or(if minutes.is_some() { u64::MAX / 2 } else { SEEDS });
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("seeds from {first}, {threads} threads");
    let began = Instant::now();
    let in_time =
        |_: &Totals| minutes.is_none_or(|minutes| began.elapsed() < Duration::from_secs(60 * minutes));
    let options = Options { canary: from_env("SHUNTYARD_CANARY"), ..Options::default() };
    let totals = swarm_as(first, count, threads, options, generate, in_time);
    let seconds = began.elapsed().as_secs_f64();
    totals.lines().iter().for_each(|line| println!("{line}"));
    let rate = |count: u64| count as f64 / seconds;
    println!(
        "in {seconds:.0} s; a second: {:.0} scenarios, {:.0} requests, {:.0} events and actions, {:.0} faults",
        rate(totals.scenarios),
        rate(totals.requests),
        rate(totals.events),
        rate(totals.faults)
    );
    totals.coverage.lines().iter().for_each(|line| println!("{line}"));
    invariants::lines(&totals.checks).iter().for_each(|line| println!("{line}"));
    if let Some(failure) = totals.failures.values().next() {
        totals.failures.values().take(40).for_each(|failure| println!("{failure}"));
        if options.canary.is_none() {
            println!("\n{}", shrink(&generate(failure.seed), failure.clone(), SHRINK_RUNS).report());
        }
        panic!("{} of {} seeds failed", totals.failures.len(), totals.scenarios);
    }
    totals.requirements.iter().for_each(|(id, times)| shuntyard_requirements::counted(id, *times));
    assert_eq!(invariants::never_checked(&totals.checks), [""; 0], "checks that were never made");
    println!("what rare checks are about: {:?}", totals.premises);
    if totals.scenarios >= PREMISED {
        assert_eq!(invariants::never_arose(&totals.premises), [""; 0], "checks that had nothing to look at");
    }
    if totals.scenarios >= ENOUGH {
        assert!(totals.limits.iter().all(|&n| n > 0), "a limit that nobody ever ran into");
    }
}

/// Scenarios are generated here and not run, so that what is generated is judged by the same ones however many are run.
#[test]
fn every_pair_of_features_is_generated() {
    let mut coverage = Coverage::default();
    (0..PAIRED).for_each(|seed| coverage.note(&generate(seed)));
    coverage.lines().iter().for_each(|line| println!("{line}"));
    assert_eq!(coverage.missing(), [], "pairs of features that never came together");
}

/// One octet of several thousand, changed on its way to those who judge it: they notice. What the gateway may choose as it
/// likes they do not: values of its settings, increments within what is owed, codes of errors, words of its own answers.
#[test]
fn an_octet_that_is_changed_is_noticed() {
    let (mut noticed, mut unnoticed) = (0, Vec::new());
    for n in 0..60 {
        let at = 100 + 89 * n;
        let options = Options { canary: Some(at), keep: true, ..Options::default() };
        match run_as(&generate(n % 10), options) {
            Err(_) => noticed += 1,
            Ok(report) if report.octets > at => unnoticed.push((n % 10, at)),
            // So much was not emitted.
            Ok(_) => {}
        }
    }
    println!("{noticed} noticed, unnoticed by seed and place: {unnoticed:?}");
    assert!(noticed >= 2 * unnoticed.len() && noticed > 20, "{noticed} noticed, not: {unnoticed:?}");
}

fn replay(seed: u64) {
    let scenario = generate(seed);
    println!("{}", text::print(&scenario));
    match run_with(&scenario, true) {
        Ok(report) => println!("seed {seed}: fine, hash {:016x}, {} steps", report.hash, report.steps),
        Err(failure) => {
            let lines = from_env("SHUNTYARD_LINES").map_or(200, |lines| lines as usize);
            failure.log.iter().rev().take(lines).rev().for_each(|line| println!("{line}"));
            if std::env::var_os("SHUNTYARD_SHRINK").is_some() {
                println!("\n{}", shrink(&scenario, (*failure).clone(), SHRINK_RUNS).report());
            }
            panic!("{failure}");
        }
    }
}

/// The table says of each of the 76 what is done about it, and every test that it names is there.
#[test]
fn the_table_of_invariants_names_tests_that_are_there() {
    let here = ["x1_determinism.rs", "x2_cut_independence.rs", "comparisons.rs", "http1.rs"];
    let sources: Vec<String> = here
        .iter()
        .map(|file| {
            let path = format!("{}/tests/{file}", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
        })
        .collect();
    for invariant in invariants::ALL {
        let (name, there) = match invariant.state {
            State::Test(name) => (name, sources.clone()),
            State::Elsewhere(folder, name) => (name, sources_of(folder)),
            State::Swarm | State::Follows(_) | State::Open(_) => continue,
        };
        let text = format!("fn {name}(");
        assert!(there.iter().any(|source| source.contains(&text)), "{}: no test {name}", invariant.id);
    }
}

/// The sources of a folder of the repository.
fn sources_of(folder: &str) -> Vec<String> {
    let path = format!("{}/../../{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let paths = files.map(|file| file.expect("the folder is read").path());
    let sources = paths.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    sources.map(|path| std::fs::read_to_string(path).expect("a source is text")).collect()
}
