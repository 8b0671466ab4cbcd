//! A whole run of the simulator whose every choice the fuzzer makes: all of its invariants hold.

use shuntyard_sim::generate::generate;
use shuntyard_sim::rng::from_octets;
use shuntyard_sim::run::run as run_scenario;

/// The whole check: eight octets of the network's seed, then the choices of the generator in their order.
pub fn run(data: &[u8]) {
    let (seed, choices) = data.split_first_chunk().unwrap_or((&[0; 8], data));
    let scenario = from_octets(choices, || generate(u64::from_le_bytes(*seed)));
    if let Err(failure) = run_scenario(&scenario) {
        panic!("{failure}\n{scenario:#?}");
    }
}
