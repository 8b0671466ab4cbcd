//! S4: the first steps into each small world. `cargo run --release -p shuntyard-sim --example small_worlds` goes on.

use shuntyard_sim::explore::{Bounds, explore, scopes};

#[test]
fn s4_every_order_of_the_first_events_keeps_all_promises() {
    for scope in scopes() {
        let depth = if scope.name == "C" { 9 } else { 5 };
        let found = explore(&scope, Bounds { depth, states: 20_000 })
            .unwrap_or_else(|found| panic!("world {}: {found}", scope.name));
        assert!(found.depth == depth || found.closed, "world {}: {found:?}", scope.name);
        println!("world {}, {}: {found:?}", scope.name, scope.about);
    }
}

#[test]
fn s4_a_world_that_is_small_enough_is_explored_to_its_end() {
    let mut scope = scopes().remove(0);
    scope.clients[0].truncate(1);
    (scope.resets, scope.leaving, scope.losses_max) = (false, false, 0);
    let found =
        explore(&scope, Bounds { depth: 100, states: 100_000 }).unwrap_or_else(|found| panic!("{found}"));
    assert!(found.closed && found.ends > 0, "{found:?}");
    println!("{found:?}");
}
