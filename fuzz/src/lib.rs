//! What the fuzz targets do with their input, as plain functions. They also run under `cargo test --workspace`, over
//! the saved corpus and more: `core/tests/fuzz_*.rs` includes the same files.
#![forbid(unsafe_code)]

pub mod connection;
