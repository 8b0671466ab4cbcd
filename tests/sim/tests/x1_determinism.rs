//! X1: the same scenario gives the same actions and the same octets, to the bit.

use shuntyard_sim::generate::generate;
use shuntyard_sim::invariants;
use shuntyard_sim::ledger::Ledger;
use shuntyard_sim::run::{Options, run, run_as};

/// The hash of each seed's log, or of the violation that ends it.
fn hashes(seeds: std::ops::Range<u64>) -> Vec<Result<u64, String>> {
    seeds
        .map(|seed| run(&generate(seed)).map(|report| report.hash).map_err(|failure| failure.to_string()))
        .collect()
}

#[test]
fn x1_two_runs_in_two_threads_are_equal() {
    const SEEDS: std::ops::Range<u64> = 1000..1060;
    let first = std::thread::spawn(|| hashes(SEEDS));
    // Other allocations before the second run: addresses must not matter.
    let padding: Vec<Vec<u8>> = (1..300).map(|n| vec![0; n * 17]).collect();
    let second = hashes(SEEDS);
    assert_eq!(padding.len(), 299);
    // The same in every process and with every profile: TESTED.md.
    let all = second.iter().flatten().fold(0_u64, |sum, hash| sum.rotate_left(7) ^ hash);
    println!("debug assertions {}, all seeds {all:016x}", cfg!(debug_assertions));
    for (seed, (one, two)) in SEEDS.zip(first.join().expect("the first run ends").into_iter().zip(second)) {
        let (one, two) =
            (one.unwrap_or_else(|text| panic!("{text}")), two.unwrap_or_else(|text| panic!("{text}")));
        invariants::x1_runs_are_equal(&mut Ledger::default(), one, two)
            .unwrap_or_else(|v| panic!("seed {seed}: {v}"));
    }
}

/// X5: a gateway that is exchanged for its copy, over and over, does what the original would have done.
#[test]
fn x5_a_copy_goes_on_alike() {
    for seed in 1060..1090 {
        let scenario = generate(seed);
        let hash = |fork| {
            let outcome = run_as(&scenario, Options { fork, ..Options::default() });
            outcome.unwrap_or_else(|failure| panic!("{fork:?}: {failure}")).hash
        };
        assert_eq!(hash(None), hash(Some(7)), "seed {seed}");
    }
}

#[test]
fn x1_the_hash_sees_a_difference() {
    let scenario = generate(1000);
    let mut other = scenario.clone();
    other.config.via = "elsewhere".to_owned();
    assert_ne!(run(&scenario).unwrap().hash, run(&other).unwrap().hash);
}
