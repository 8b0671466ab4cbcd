//! What every adapter owes to its clients, backends and operator: one suite, run by each of them on real sockets.
//!
//! A test is a function of an [`Adapter`](adapters::Adapter); `on_every_adapter!` makes one test of it for each. Peers are
//! blocking sockets around the core's own `Client` and `Server`. What should come is waited for, and what must not come is looked
//! for when something later has come. A few tests sleep for what shows itself by nothing, as that octets have come to rest: where that
//! is too short they show less, and fail no sooner.

#[path = "../../core/tests/account/mod.rs"]
mod account;
mod adapters;
#[path = "../../core/transport/tests/common/mod.rs"]
mod authority;
mod chaos;
mod contents;
mod early;
mod endings;
mod exchanges;
mod figures;
mod hooks;
mod introduced;
mod limits;
mod peers;
#[path = "../process/mod.rs"]
mod process;
mod programs;
mod reloads;
mod routes;
mod secure;
mod seeing;
mod tls;
mod tls_backends;
mod turns;

/// Makes tests of functions that take an adapter.
macro_rules! on_every_adapter {
    ($($test:ident,)+) => {
        mod mio {
            $(#[test] fn $test() { super::$test(&crate::adapters::Mio); })+
        }
        mod tokio {
            $(#[test] fn $test() { super::$test(&crate::adapters::Tokio); })+
        }
        mod tokio_embedded {
            $(#[test] fn $test() { super::$test(&crate::adapters::TokioEmbedded); })+
        }
    };
}
use on_every_adapter;
