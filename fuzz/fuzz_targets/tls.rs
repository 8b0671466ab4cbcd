//! The body is `shuntyard_fuzz_bodies::tls`, which says what holds.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shuntyard_fuzz_bodies::tls::run(data));
