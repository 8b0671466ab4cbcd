//! A whole world in virtual time around `shuntyard_core`.
#![forbid(unsafe_code)]

pub mod cut;
pub mod net;
pub mod refcodec;
pub mod rng;
pub mod world;
