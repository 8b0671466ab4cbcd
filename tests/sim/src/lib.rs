//! A whole world in virtual time around `shuntyard_core`: clients, backends, a network, and monitors that judge the gateway.
//!
//! ```
//! use shuntyard_sim::run::run;
//! use shuntyard_sim::scenario::{Backend, BackendFault, Exchange, GoAwayLast, Scenario, Session};
//!
//! let session = Session::new(vec![Exchange::get(1, 100_000), Exchange::echo(2, 5_000)]);
//! let mut backend = Backend::new(1);
//! backend.fault = Some((1, BackendFault::GoAway { after: 1, last: GoAwayLast::Before, code: 0 }));
//! let mut scenario = Scenario::new(7, vec![session], vec![backend]);
//! scenario.config.backend.initial_window_size = 1_000;
//! let report = run(&scenario).unwrap_or_else(|failure| panic!("{failure}"));
//! assert!(report.answers.values().all(|answer| answer.ended));
//! ```
#![forbid(unsafe_code)]

pub mod adapter;
pub mod backend;
pub mod client;
pub mod coverage;
pub mod cut;
pub mod endpoint;
pub mod explore;
pub mod generate;
pub mod http1;
pub mod invariants;
pub mod ledger;
pub mod mischief;
pub mod net;
pub mod peer;
pub mod police;
pub mod probe;
pub mod refcodec;
pub mod rng;
pub mod run;
pub mod scenario;
pub mod shrink;
pub mod stage;
pub mod swarm;
pub mod text;
pub mod truth;
pub mod world;
