//! Request engines on real sockets: backends that go away, refuse and die, under load, on both adapters.
//!
//! What must hold is counted, not timed: every request is answered rightly or its failure is accounted for, and nothing is
//! executed twice behind its client's back. `SHUNTYARD_REQUESTS=100000` runs so many requests a test instead of a few
//! thousand. `README.md` beside this file says which test shows which behaviour of the design.

mod backend;
mod client;
mod failures;
mod gateway;
mod scopes;
mod slow;

/// Requests of each test.
fn requests() -> usize {
    let wanted = std::env::var("SHUNTYARD_REQUESTS").ok();
    wanted.map_or(4000, |text| text.parse().unwrap_or_else(|_| panic!("SHUNTYARD_REQUESTS is {text:?}")))
}

/// The content of the request with this number: none for the even ones, 16 KiB for the odd ones, no two alike.
fn content(number: usize) -> Vec<u8> {
    let octets = if number.is_multiple_of(2) { 0 } else { 16 << 10 };
    (0..octets).map(|at| (number.wrapping_mul(31) + at * 7 + at / 251) as u8).collect()
}

/// Makes a test for each adapter.
macro_rules! on_both_adapters {
    ($($test:ident,)+) => {
        mod mio {
            $(#[test] fn $test() { super::$test(crate::gateway::Adapter::Mio); })+
        }
        mod tokio {
            $(#[test] fn $test() { super::$test(crate::gateway::Adapter::Tokio); })+
        }
    };
}
use on_both_adapters;
