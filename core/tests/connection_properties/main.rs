//! One connection against any octets, and two against each other. proptest prints the seed of a failure.

mod replay;
mod steps;
mod talk;
#[path = "../wire/mod.rs"]
mod wire;
