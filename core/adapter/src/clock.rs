//! The one place where adapters ask what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use shuntyard_core::time::{Instant, WallClock};

/// A monotonic clock whose zero is its making. Workers hold copies of one clock, so that their records agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    zero: std::time::Instant,
}

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self { zero: std::time::Instant::now() }
    }

    /// The time since it was made.
    pub fn now(self) -> Instant {
        Instant::from_nanos(u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// The civil time at `at`. A clock before 1970 counts as 1970.
pub fn wall_clock(at: Instant) -> WallClock {
    let unix_seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    WallClock { at, unix_seconds }
}
