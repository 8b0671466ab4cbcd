//! Bugs that are planted into a copy of the core, to see the simulator find them: whoever says that it would notice a
//! mistake should have noticed some.
//!
//! `bugs.txt` has a block for each: what is wrong, which invariant must tell, within how many seeds, and lines of the core with
//! what stands there instead. Lines are found by their words and not by their number; they must be there exactly once, which
//! a test holds. In what stands there instead, `PLANTED` is the question whether this bug is switched on: so one copy has them
//! all, is built once, and each thread chooses its own. The core itself carries no trace of this.
//!
//! Some must be found by the exploration of a small world (`small`), too: that sees what becomes of few requests in every order of events.
//!
//! `cargo run -p shuntyard-planted` makes the copy below `target/planted`, builds it with the simulator, and searches.

pub mod copy;
pub mod table;

pub use table::{Bug, bugs};
