//! What a peer is charged with: what it costs, and what it is made to bear.

use crate::error::ConnectionError;
use crate::h2::budget::{STRAIN_MAX, cost};
use crate::h2::connection::Connection;
use crate::time::Duration;

/// What either side has to bear of the other.
impl Connection {
    /// The peer cost so many points beyond what it brought. What costs nothing is no reason to end the connection, whatever is owed: it may be content that pays, or have
    /// been on its way.
    pub(crate) fn spend(&mut self, points: u32) -> Result<(), ConnectionError> {
        if points == 0 {
            return Ok(());
        }
        let over = self.misuse.spend(points, self.config.misuse_max);
        self.traffic.misuse_peak = self.traffic.misuse_peak.max(self.misuse.points());
        if over { Err(ConnectionError::Misuse) } else { Ok(()) }
    }

    /// What the peer did was as dear as a reset. Should it owe too much for that, its next request or frame that costs something says so.
    pub(crate) fn charge_reset(&mut self) {
        self.misuse.bear(cost::RESET, u32::MAX);
        self.traffic.misuse_peak = self.traffic.misuse_peak.max(self.misuse.points());
    }

    /// Whether the peer owes more than it may.
    pub(crate) fn owes_too_much(&self) -> bool {
        self.misuse.points() > self.config.misuse_max
    }

    /// So much time passed, which is worth something to a peer that owes. Says how much of it was made use of: the rest is to be
    /// counted again.
    pub fn forgive(&mut self, time: Duration) -> Duration {
        self.misuse.forgive(time).min(self.strain.forgive(time))
    }

    /// A request was taken back, for no fault of the peer's.
    pub fn strain(&mut self) {
        self.strain.bear(cost::TAKEN_BACK, 2 * STRAIN_MAX);
    }

    /// Whether so many requests were taken back lately that new ones have to wait: a peer that counts resets would end the connection.
    /// Whole messages and [time](Self::forgive) make up for it.
    pub fn is_strained(&self) -> bool {
        self.strain.points() > STRAIN_MAX
    }

    /// What the peer has cost beyond what it has brought, in points
    /// ([`misuse_max`](crate::config::ConnectionConfig::misuse_max)).
    pub fn misuse(&self) -> u32 {
        self.misuse.points()
    }
}
