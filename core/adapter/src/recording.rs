//! Record and replay: what a gateway was told and asked, in a file, and a new gateway that is told and asked the same.
//!
//! A gateway is a function of configuration, seed, inputs and times. [`Recorded`] writes all of them down, and a running
//! hash over what came out; [`replay`] needs nothing else, and says which input was the first after which something else
//! came out. Hooks are code, and not recorded: [`replay_with`] is given them.

mod chunk;
mod content;
mod explain;
mod fold;
mod heads;
mod input;
mod names;
mod recorded;
mod recorder;
mod replay;
mod witness;
mod word;

pub use chunk::{Damage, Ending};
pub use explain::{StreamName, explain, explain_with};
pub use input::Input;
pub(crate) use names::{discard, may_begin, publish};
pub use recorded::Recorded;
pub(crate) use recorder::{Preamble, Recorder};
pub use recorder::{RecordingOptions, recording_octets_max};
pub use replay::{Difference, ReplayError, Replayed, replay, replay_octets, replay_octets_with, replay_with};

#[cfg(test)]
mod tests;
