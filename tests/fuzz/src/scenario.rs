//! A whole run of the simulator whose every choice the fuzzer makes: all of its invariants hold.

use shuntyard_sim::generate::generate;
use shuntyard_sim::rng::from_octets;
use shuntyard_sim::run::run as run_scenario;
use shuntyard_sim::shrink::shrink;

/// How many runs may be spent on a smaller scenario that fails as well.
const SHRINK_RUNS: usize = 1000;

/// The whole check: eight octets of the network's seed, then the choices of the generator in their order.
pub fn run(data: &[u8]) {
    let (seed, choices) = data.split_first_chunk().unwrap_or((&[0; 8], data));
    let scenario = from_octets(choices, || generate(u64::from_le_bytes(*seed)));
    if let Err(failure) = run_scenario(&scenario) {
        // The text can be saved among the regressions of the simulator, and replayed there.
        panic!("{}", shrink(&scenario, *failure, SHRINK_RUNS).report());
    }
}
