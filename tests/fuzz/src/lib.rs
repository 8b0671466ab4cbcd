//! What the fuzz targets do with their input, as plain functions.
//!
//! `fuzz/` hands them to cargo-fuzz; `tests/corpus.rs` replays the saved corpus of each under `cargo test`, on any
//! compiler. A function returns where every promise held, and panics where one is broken.
#![forbid(unsafe_code)]

pub mod connection;
pub mod fields;
pub mod frame_decode;
pub mod gateway_events;
pub mod h1;
pub mod h2_session;
pub mod hpack_decode_diff;
pub mod hpack_roundtrip;
pub mod octets;
pub mod proxy_protocol;
pub mod scenario;
pub mod speech;
pub mod tls;

/// A target: its name, which is that of its corpus and of its file in `fuzz/fuzz_targets`, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("config", shuntyard_config_fuzz::run),
    ("connection", connection::run),
    ("fields", fields::run),
    ("frame_decode", frame_decode::run),
    ("gateway_events", gateway_events::run),
    ("h1", h1::run),
    ("h2_session", h2_session::run),
    ("hpack_decode_diff", hpack_decode_diff::run),
    ("hpack_roundtrip", hpack_roundtrip::run),
    ("proxy_protocol", proxy_protocol::run),
    ("scenario", scenario::run),
    ("tls", tls::run),
];
