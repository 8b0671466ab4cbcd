//! Many seeds of the world of both versions (`shuntyard_sim::http1`). `SHUNTYARD_SEEDS=n` runs a tenth of n of them, since it
//! stands beside the swarm; `SHUNTYARD_FIRST=n` begins at n; `SHUNTYARD_SEED=n` runs one and shows it.

use std::collections::BTreeMap;

use shuntyard_sim::http1::{plan, run};

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

#[test]
fn c8_seeds_of_both_versions_without_a_violation() {
    if let Some(seed) = from_env("SHUNTYARD_SEED") {
        println!("{:#?}", plan(seed));
        return println!(
            "{:?}",
            run(&plan(seed)).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"))
        );
    }
    let count = from_env("SHUNTYARD_SEEDS").map_or(100, |seeds| seeds.div_ceil(10));
    let first = from_env("SHUNTYARD_FIRST").unwrap_or(0);
    let (mut totals, mut checks, mut failures) = ([0; 3], BTreeMap::new(), Vec::new());
    for seed in first..first + count {
        match run(&plan(seed)) {
            Ok(report) => {
                let counts = [report.requests, report.complete, report.executed];
                totals.iter_mut().zip(counts).for_each(|(total, n)| *total += n);
                report.checks.into_iter().for_each(|(id, n)| *checks.entry(id).or_insert(0) += n);
            }
            Err(violation) => failures.push(format!("seed {seed}: {violation}")),
        }
    }
    let [requests, complete, executed] = totals;
    println!(
        "seeds from {first}: {count} scenarios, {requests} requests, {complete} answered whole by backends"
    );
    println!("{executed} came to backends of HTTP/1.1; checks: {checks:?}, {} violations", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(executed > 0 && complete < requests, "a world in which nothing happens");
}

/// Seeds that once broke a promise. The first three: a client's chunk that the network cut into single octets was taken for as many tiny ones.
/// The others: where a response broke, and several before it left at once, those behind it left as well, one place too early.
#[test]
fn seeds_of_both_versions_that_once_failed() {
    for seed in [30_011_297, 30_020_329, 30_023_073, 31_008_761, 31_012_416] {
        run(&plan(seed)).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
    }
}
