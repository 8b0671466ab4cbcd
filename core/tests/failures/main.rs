//! What becomes of requests whose backend fails them: sent again where that is safe, told to the client where it is not.
//!
//! The behaviours of the design (B53-B67, F18-F23) by their numbers, each against the contract, in memory.

mod deadlines;
mod goaway;
mod in_vain;
mod lost;
#[path = "../memory/mod.rs"]
#[allow(dead_code, reason = "shared with other test binaries")]
mod memory;
mod refused;
mod rests;
mod support;
#[path = "../wire/mod.rs"]
mod wire;
