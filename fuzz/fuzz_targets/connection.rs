//! Any octets, cut anywhere, into one HTTP/2 connection of either role.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shuntyard_fuzz::connection::run(data));
