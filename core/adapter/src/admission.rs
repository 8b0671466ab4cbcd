//! Handshakes with clients are bounded: whoever comes beyond waits in the kernel's queue, until one ends or has lasted too long.

use std::collections::VecDeque;

use shuntyard_core::gateway::ConnId;
use shuntyard_core::time::Instant;

use crate::{HANDSHAKE_PATIENCE, HANDSHAKES_MAX};

/// The handshakes of a worker that are under way.
#[derive(Debug, Default)]
pub struct Admission {
    /// In the order in which they began.
    begun: VecDeque<(Instant, ConnId)>,
}

impl Admission {
    /// When one more may begin, if all places are taken now: the oldest has lasted too long then.
    pub fn room_at(&self) -> Option<Instant> {
        let &(began, _) = self.begun.front().filter(|_| self.begun.len() >= HANDSHAKES_MAX)?;
        Some(began + HANDSHAKE_PATIENCE)
    }

    /// Whether one more may begin. Where all places are taken, the oldest is [cut](Self::to_cut) then.
    pub fn has_room(&self, now: Instant) -> bool {
        self.room_at().is_none_or(|at| at <= now)
    }

    /// One begins.
    pub fn begin(&mut self, conn: ConnId, now: Instant) {
        self.begun.push_back((now, conn));
    }

    /// One is over, in one way or another. It may have been before.
    pub fn end(&mut self, conn: ConnId) {
        if let Some(place) = self.begun.iter().position(|&(_, other)| other == conn) {
            self.begun.remove(place);
        }
    }

    /// The one that makes room for one that has begun, and is over with that: the oldest, if there are too many and it has lasted too long. In a drain
    /// everybody comes in who waits, whether or not one has.
    pub fn to_cut(&mut self, now: Instant) -> Option<ConnId> {
        if self.begun.len() <= HANDSHAKES_MAX || !self.has_room(now) {
            return None;
        }
        self.begun.pop_front().map(|(_, conn)| conn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(number: usize) -> ConnId {
        ConnId::from_bits(number as u64)
    }

    #[test]
    fn beyond_the_bound_the_oldest_makes_room_when_it_has_lasted_too_long() {
        let mut admission = Admission::default();
        let (began, later) = (Instant::ZERO, Instant::ZERO + HANDSHAKE_PATIENCE);
        for number in 0..HANDSHAKES_MAX {
            assert!(admission.has_room(began) && admission.to_cut(later).is_none());
            admission.begin(conn(number), began);
        }
        assert_eq!((admission.room_at(), admission.has_room(began)), (Some(later), false));
        // One ends, be it told twice: another may begin.
        (0..2).for_each(|_| admission.end(conn(7)));
        assert_eq!((admission.room_at(), admission.has_room(began)), (None, true));
        admission.begin(conn(HANDSHAKES_MAX), began);
        // Nobody is cut before one that is over the bound has begun.
        assert!(admission.has_room(later) && admission.to_cut(later).is_none());
        admission.end(conn(0));
        admission.begin(conn(HANDSHAKES_MAX + 1), later);
        admission.begin(conn(HANDSHAKES_MAX + 2), later);
        assert_eq!((admission.to_cut(began), admission.to_cut(later)), (None, Some(conn(1))));
        assert_eq!(admission.to_cut(later), None);
    }
}
