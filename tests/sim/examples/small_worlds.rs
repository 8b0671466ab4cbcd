//! Explores the small worlds and prints how far: `cargo run --release -p shuntyard-sim --example small_worlds [DEPTH [STATES [SCOPE]]]`.
//! Without a depth each goes as deep as it says itself.

use std::time::Instant;

use shuntyard_sim::explore::{Bounds, Scope, explore, scopes};

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = || args.next().map(|text| text.parse().expect("a number"));
    let (depth, states) = (number(), number().unwrap_or(usize::MAX));
    let only = args.next();
    let wanted = scopes().into_iter().filter(|scope| only.as_ref().is_none_or(|only| only == scope.name));
    println!(
        "{:5} {:>9} {:>10} {:>6} {:>4} {:>7} {:>7}",
        "world", "states", "events", "depth", "all", "ends", "s"
    );
    // Each by itself, and none left out because another has failed.
    let failed = wanted.filter(|scope| !show(scope, depth.unwrap_or(scope.depth), states)).count();
    std::process::exit(i32::from(failed > 0));
}

/// Explores one world; whether all promises were kept.
fn show(scope: &Scope, depth: usize, states: usize) -> bool {
    let began = Instant::now();
    match explore(scope, Bounds { depth, states }) {
        Ok(found) => {
            let (all, time) = (if found.closed { "yes" } else { "no" }, began.elapsed().as_secs_f64());
            let (states, steps, depth, ends) = (found.states, found.steps, found.depth, found.ends);
            println!(
                "{:5} {states:9} {steps:10} {depth:6} {all:>4} {ends:7} {time:7.1}  {}",
                scope.name, scope.about
            );
            let layers = found.layers.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
            println!("      new at each depth: {layers}");
            true
        }
        Err(found) => {
            println!("{:5} {found}", scope.name);
            false
        }
    }
}
