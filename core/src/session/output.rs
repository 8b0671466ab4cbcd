//! What waits to be written, in octets and in memory.

use crate::session::Session;

impl Session {
    /// Octets that wait to be written.
    #[inline]
    pub fn output_waiting(&self) -> usize {
        match self {
            Self::H2(session) => session.outbox.len(),
            Self::H1(session) => session.output_waiting(),
            Self::Dormant(_) => 0,
        }
    }

    /// Memory of what waits to be written, when a section of so many octets has been added, if any.
    pub fn output_memory(&self, section: usize) -> usize {
        match self {
            Self::H2(session) => session.output_memory(section),
            Self::H1(session) => session.output_memory(section),
            Self::Dormant(_) => 0,
        }
    }
}
