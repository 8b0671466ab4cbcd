//! How much there is to do for what comes: with the feature `observe` it is counted, so that tests can say that no peer makes it
//! more than it pays for. Without, nothing is left of it.

#[cfg(feature = "observe")]
use crate::gateway::Gateway;

/// Octets that are copied or looked at for what one step of a loop costs.
const OCTETS_PER_UNIT: usize = 64;

/// Units of work: a step of a loop each.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    #[cfg(feature = "observe")]
    units: u64,
}

impl Work {
    /// So many steps of a loop.
    #[inline]
    #[cfg_attr(
        not(feature = "observe"),
        expect(clippy::unused_self, reason = "there is nothing to count in")
    )]
    pub(super) const fn steps(&mut self, steps: usize) {
        #[cfg(feature = "observe")]
        {
            self.units += steps as u64;
        }
        #[cfg(not(feature = "observe"))]
        let _ = steps;
    }

    /// So many octets were copied, or looked at.
    #[inline]
    pub(super) const fn octets(&mut self, octets: usize) {
        self.steps(octets.div_ceil(OCTETS_PER_UNIT));
    }
}

#[cfg(feature = "observe")]
impl Gateway {
    /// Units of work done so far: steps of the loops over input, events, frames that are cut, requests that are thawed, engines and
    /// endpoints that are looked at for them, deadlines, and streams that end with their connection.
    pub fn work(&self) -> u64 {
        self.work.units
    }
}
