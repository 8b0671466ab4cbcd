//! What peers cost, and what they are made to bear.

use crate::session::Session;
use crate::time::Duration;

impl Session {
    /// So much time passed, which is worth something to a peer that costs more than it brings. Says how much of it was made use of: the rest is to be counted again.
    pub(crate) fn forgive(&mut self, time: Duration) -> Duration {
        match self {
            Self::H2(session) => session.forgive(time),
            Self::H1(session) => session.forgive(time),
            Self::Dormant(_) => {
                self.wake();
                self.forgive(time)
            }
        }
    }

    /// Client: a request was taken back. A connection of HTTP/1.1 has ended with it.
    pub(crate) fn strain(&mut self) {
        if let Self::H2(session) = self {
            session.strain();
        }
    }

    /// Client: so many requests were taken back that new ones have to wait.
    pub(crate) fn is_strained(&self) -> bool {
        matches!(self, Self::H2(session) if session.is_strained())
    }

    /// Server: what the client did was as dear as a reset. Should it owe too much for that, what it asks for next says so.
    pub(crate) fn charge_reset(&mut self) {
        match self {
            Self::H2(session) => session.charge_reset(),
            Self::H1(session) => session.charge_reset(),
            // Nothing of its is under way.
            Self::Dormant(_) => {}
        }
    }
}
