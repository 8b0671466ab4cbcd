//! Searches each bug that is planted here. Built in the copy, by `shuntyard-planted`.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::panic;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use shuntyard_core::planted;
use shuntyard_sim::explore::{Bounds, explore, scopes};
use shuntyard_sim::generate::generate;
use shuntyard_sim::http1;
use shuntyard_sim::invariants::{self, State};
use shuntyard_sim::run::run;

/// From one place of the seeds to the next. The first is not where the swarm of every day begins.
const STEP: u64 = 1_000_000;
/// Seeds that must hold without any bug: what was planted and is switched off changes nothing.
const SOUND: u64 = 40;
/// How far a small world is explored for a bug.
const BOUNDS: Bounds = Bounds { depth: 6, states: 20_000 };

struct Bug {
    number: usize,
    name: String,
    within: u64,
    finds: Vec<String>,
    /// The small world that must find it, too.
    small: Option<String>,
    /// It is looked for where peers speak HTTP/1.1.
    http1: bool,
}

impl Bug {
    fn from_word(word: &str) -> Self {
        let mut parts = word.split('|');
        let mut part = || parts.next().unwrap_or_default();
        let (number, name, within) = (part(), part().to_owned(), part());
        let finds = part().split(' ').map(str::to_owned).collect();
        let small = Some(part().to_owned()).filter(|name| !name.is_empty());
        let http1 = part() == "http1";
        let number = number.parse().expect("a bug has a number");
        Self { number, name, within: within.parse().expect("a bug has a budget"), finds, small, http1 }
    }
}

/// After how many seeds a bug was found from one place, and which invariant told; `None`: not within its budget.
type Found = Option<(u64, &'static str)>;

fn search(bug: &Bug, base: u64) -> Found {
    if bug.http1 {
        return search_http1(bug, base);
    }
    let tells = |n: &u64| {
        let scenario = generate(base + n);
        planted::set(bug.number);
        let outcome = run(&scenario);
        let found = match outcome {
            Err(failure) => Some((n + 1, failure.violation.id)),
            // What must come out the same every time is tried twice.
            Ok(first) if bug.finds.iter().any(|id| id == "X1") => {
                let again = run(&scenario).map(|second| second.hash);
                (again.ok() != Some(first.hash)).then_some((n + 1, "X1"))
            }
            Ok(_) => None,
        };
        planted::set(0);
        // What fails without the bug, too, was not planted here.
        found.filter(|_| run(&scenario).is_ok())
    };
    (0..bug.within).find_map(|n| tells(&n))
}

fn search_http1(bug: &Bug, base: u64) -> Found {
    let tells = |n: u64| {
        let plan = http1::plan(base + n);
        planted::set(bug.number);
        let found = http1::run(&plan).err().map(|violation| (n + 1, violation.id));
        planted::set(0);
        found.filter(|_| http1::run(&plan).is_ok())
    };
    (0..bug.within).find_map(tells)
}

/// Which invariant tells in the small world, where one must; `None`: none of those that should.
fn search_small(bug: &Bug, name: &str) -> Option<&'static str> {
    let scope = scopes().into_iter().find(|scope| scope.name == name).expect("a small world");
    planted::set(bug.number);
    let told = explore(&scope, BOUNDS).err().map(|found| found.violation.id);
    planted::set(0);
    told.filter(|id| bug.finds.iter().any(|other| other == id))
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let bases: u64 = words.next().and_then(|text| text.parse().ok()).expect("how many bases");
    let bugs: Vec<Bug> = words.map(|word| Bug::from_word(&word)).collect();
    // Panics are violations; nobody wants to read them all.
    panic::set_hook(Box::new(|_| {}));
    if let Some(failure) = (0..SOUND).find_map(|seed| run(&generate(seed)).err()) {
        println!("without any bug: {failure}");
        return ExitCode::FAILURE;
    }
    let mut jobs: Vec<(usize, u64)> =
        (0..bugs.len()).flat_map(|bug| (1..=bases).map(move |n| (bug, n * STEP))).collect();
    // What may take longest begins first, so that at the end nobody is waited for alone.
    jobs.sort_by_key(|&(bug, _)| Reverse(bugs[bug].within));
    let (next, results) = (AtomicUsize::new(0), Mutex::new(vec![Vec::new(); bugs.len()]));
    let missed = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(&(bug, base)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found: Found = search(&bugs[bug], base);
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    results[bug].push(found);
                    if results[bug].len() as u64 == bases && !row(&bugs[bug], &results[bug]) {
                        missed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let missed = missed.into_inner();
    println!("{} bugs, {missed} missed, each from {bases} places", bugs.len());
    silent(&results.into_inner().unwrap_or_else(PoisonError::into_inner));
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says which invariants of the swarm have told of some bug, and which of none. No more: which one tells first of several is chance.
fn silent(results: &[Vec<Found>]) {
    let told: BTreeSet<&str> = results.iter().flatten().flatten().map(|&(_, id)| id).collect();
    let looks = invariants::ALL.iter().filter(|invariant| invariant.state == State::Swarm);
    let silent: Vec<&str> = looks.map(|invariant| invariant.id).filter(|id| !told.contains(id)).collect();
    println!("told: {}", told.into_iter().collect::<Vec<_>>().join(" "));
    println!("have told of nothing here: {}", silent.join(" "));
}

/// A line of the table; whether all is well.
fn row(bug: &Bug, found: &[Found]) -> bool {
    let mut seeds: Vec<u64> = found.iter().map(|found| found.map_or(u64::MAX, |(seeds, _)| seeds)).collect();
    seeds.sort_unstable();
    let ids: BTreeSet<&str> = found.iter().flatten().map(|&(_, id)| id).collect();
    let told = bug.finds.iter().any(|id| ids.contains(id.as_str()));
    let small = bug.small.as_deref().map(|name| (name, search_small(bug, name)));
    let well = told && found.iter().all(Option::is_some) && small.is_none_or(|(_, id)| id.is_some());
    let of_small =
        small.map_or_else(String::new, |(name, id)| format!(", in world {name} by {}", id.unwrap_or("-")));
    let word = |seeds: u64| if seeds == u64::MAX { "-".to_owned() } else { seeds.to_string() };
    let all = seeds.iter().map(|&seeds| word(seeds)).collect::<Vec<_>>().join(" ");
    let ids = ids.into_iter().collect::<Vec<_>>().join(" ");
    let (median, finds) = (word(seeds[seeds.len() / 2]), bug.finds.join(" "));
    let verdict = if well { "" } else { "   MISSED" };
    println!(
        "{:38} median {median:>5} of {:<5} ({all}) by {ids}{of_small}, expected {finds}{verdict}",
        bug.name, bug.within
    );
    well
}
