//! A whole world in virtual time around `shuntyard_core`.
#![forbid(unsafe_code)]

pub mod backend;
pub mod client;
pub mod cut;
pub mod endpoint;
pub mod net;
pub mod peer;
pub mod refcodec;
pub mod rng;
pub mod scenario;
pub mod truth;
pub mod world;
