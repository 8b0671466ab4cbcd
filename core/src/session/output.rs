//! Content on its way out, and what waits to be written, in octets and in memory.

use crate::h2::{SendError, Sent, StreamKey};
use crate::session::Session;

impl Session {
    /// Appends content. A stream that is gone has failed its request already, or will with the next event: it takes all.
    #[inline]
    pub(crate) fn send_data(&mut self, key: StreamKey, data: &[u8], end: bool) -> Sent {
        let sent = match self {
            Self::H2(session) => session.send_data(key, data, end),
            Self::H1(session) => session.send_data(key, data, end),
            Self::Dormant(_) => Err(SendError::Gone),
        };
        // What waited before an owner's mistake still does.
        sent.unwrap_or_else(|_| Sent { cut: data.len(), waits: self.queued(key) > 0 })
    }

    /// Server: how much content a stream would take without a wait, if that were its end. What waits over HTTP/1.1 is little: one exchange is served at a time.
    pub(crate) fn room_at_once(&self, key: StreamKey) -> usize {
        match self {
            Self::H2(session) => session.room_at_once(key),
            Self::H1(_) => usize::MAX,
            Self::Dormant(_) => 0,
        }
    }

    /// Whether something of a message waits to be written, and not only what connections say of themselves.
    pub(crate) fn owes_messages(&self) -> bool {
        match self {
            Self::H2(session) => session.owes_messages(),
            Self::H1(session) => !session.transmit().is_empty(),
            Self::Dormant(_) => false,
        }
    }

    /// Octets that wait to be written.
    #[inline]
    pub(crate) fn output_waiting(&self) -> usize {
        match self {
            Self::H2(session) => session.outbox.len(),
            Self::H1(session) => session.output_waiting(),
            Self::Dormant(_) => 0,
        }
    }

    /// Memory of what waits to be written, when a section of so many octets has been added, if any, and what nobody asks for memory for.
    pub(crate) fn output_memory(&self, section: usize) -> usize {
        match self {
            Self::H2(session) => session.output_memory(section),
            Self::H1(session) => session.output_memory(section),
            Self::Dormant(_) => 0,
        }
    }

    /// How many octets ever left.
    pub(crate) fn octets_sent(&self) -> u64 {
        match self {
            Self::H2(session) => session.octets_sent(),
            Self::H1(session) => session.octets_sent(),
            Self::Dormant(dormant) => dormant.outside().traffic.sent_octets,
        }
    }

    /// How many octets will have left when what waits in the outbox now has.
    pub(crate) fn octets_queued(&self) -> u64 {
        match self {
            Self::H2(session) => session.octets_queued(),
            Self::H1(session) => session.octets_queued(),
            Self::Dormant(_) => self.octets_sent(),
        }
    }

    /// Server: octets of content that were ever cut, for whichever stream: the last digits. `None` over HTTP/1.1, where each response waits for the one
    /// before.
    pub(crate) fn content_cut(&self) -> Option<u32> {
        match self {
            Self::H2(session) => Some(session.content_cut()),
            Self::H1(_) | Self::Dormant(_) => None,
        }
    }
}
