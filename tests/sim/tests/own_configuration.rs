//! What README.md shows: swarm seeds on a configuration file. It is `shuntyard.toml` beside this package's manifest.

// README.md has it from here,
use shuntyard_sim::generate::generate_for;
use shuntyard_sim::run::run;
use shuntyard_sim::shrink::shrink;

/// More find more: try thousands once.
const SEEDS: u64 = 50;

#[test]
fn my_configuration_keeps_every_promise() {
    let text = std::fs::read_to_string("shuntyard.toml").unwrap();
    // A file that is wrong fails here, in the words of `shuntyard check`.
    let config = shuntyard::configuration("shuntyard.toml", &text).unwrap();
    for seed in 0..SEEDS {
        // Clients, backends at your endpoints, a network and faults are drawn; the configuration stays as it is.
        let scenario = generate_for(seed, &config);
        if let Err(failure) = run(&scenario) {
            panic!("{}", shrink(&scenario, *failure, 2000).report());
        }
    }
}
// to here.

#[test]
fn the_readme_shows_this_test() {
    let here = include_str!("own_configuration.rs");
    let (_, from) = here.split_once("it from here,\n").unwrap();
    let (shown, _) = from.split_once("// to here.").unwrap();
    let readme = include_str!("../README.md");
    assert!(readme.contains(&format!("```rust\n{shown}```\n")), "README.md must show:\n{shown}");
}

/// A budget so small that whoever keeps to the protocol may exceed it: no gateway is accused of that.
#[test]
fn a_small_budget_is_no_broken_promise() {
    let text = std::fs::read_to_string("shuntyard.toml").unwrap();
    let mut config = shuntyard::configuration("shuntyard.toml", &text).unwrap();
    config.front.misuse_max = 100;
    config.backend.misuse_max = 100;
    for seed in 0..SEEDS {
        if let Err(failure) = run(&generate_for(seed, &config)) {
            panic!("{failure}");
        }
    }
}
