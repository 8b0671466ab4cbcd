//! The body is `shuntyard_config_fuzz::run`, which says what holds.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shuntyard_config_fuzz::run(data));
