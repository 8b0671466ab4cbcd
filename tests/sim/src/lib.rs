//! A whole world in virtual time around `shuntyard_core`.
#![forbid(unsafe_code)]

pub mod adapter;
pub mod backend;
pub mod client;
pub mod cut;
pub mod endpoint;
pub mod generate;
pub mod invariants;
pub mod ledger;
pub mod net;
pub mod peer;
pub mod police;
pub mod refcodec;
pub mod rng;
pub mod run;
pub mod scenario;
pub mod stage;
pub mod truth;
pub mod world;
