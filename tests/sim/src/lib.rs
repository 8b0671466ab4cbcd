//! A whole world in virtual time around `shuntyard_core`.
#![forbid(unsafe_code)]

pub mod refcodec;
