//! Explores the small worlds and prints how far: `cargo run --release -p shuntyard-sim --example small_worlds [DEPTH [STATES [SCOPE]]]`.

use std::time::Instant;

use shuntyard_sim::explore::{Bounds, explore, scopes};

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |default| args.next().map_or(default, |text| text.parse().expect("a number"));
    let bounds = Bounds { depth: number(64), states: number(1_000_000) };
    let only = args.next();
    let mut failed = false;
    println!(
        "{:5} {:>9} {:>10} {:>6} {:>7} {:>6} {:>7}",
        "world", "states", "events", "depth", "all", "ends", "s"
    );
    for scope in scopes().into_iter().filter(|scope| only.as_ref().is_none_or(|only| only == scope.name)) {
        let began = Instant::now();
        match explore(&scope, bounds) {
            Ok(found) => {
                let (all, time) = (if found.closed { "yes" } else { "no" }, began.elapsed().as_secs_f64());
                let (states, steps, depth, ends) = (found.states, found.steps, found.depth, found.ends);
                println!(
                    "{:5} {states:9} {steps:10} {depth:6} {all:>7} {ends:6} {time:7.1}  {}",
                    scope.name, scope.about
                );
            }
            Err(found) => {
                failed = true;
                println!("{:5} {found}", scope.name);
            }
        }
    }
    if failed {
        std::process::exit(1);
    }
}
