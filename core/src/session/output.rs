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

    /// Memory of what waits to be written, when a section of so many octets has been added, if any, and what nobody asks for memory for.
    pub fn output_memory(&self, section: usize) -> usize {
        match self {
            Self::H2(session) => session.output_memory(section),
            Self::H1(session) => session.output_memory(section),
            Self::Dormant(_) => 0,
        }
    }

    /// Server: octets of content that were ever cut, for whichever stream: the last digits. `None` over HTTP/1.1, where each response waits for the one
    /// before.
    pub fn content_cut(&self) -> Option<u32> {
        match self {
            Self::H2(session) => Some(session.content_cut()),
            Self::H1(_) | Self::Dormant(_) => None,
        }
    }
}
