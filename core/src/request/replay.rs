//! What is kept of a request's content, so that it can be sent again.

use crate::fields::FieldSection;
use crate::ledger::{Ledger, Reservation};
use crate::outbox::OctetQueue;

/// A copy of what a backend was given beside the head, kept until something of a response is passed on. With it a request
/// that was not processed is sent again whole, whatever its method; without it, not at all.
///
/// The memory for it is reserved octet by octet in a ledger of its own. While the content is sent again, it may lie in the
/// stream's queue for a second time: the bound of a configuration counts that ledger more than once ([`memory_bound`](crate::config::Config::memory_bound)).
#[cfg_attr(feature = "fork", derive(Clone))]
#[derive(Debug, Default)]
pub(crate) struct Replay {
    content: OctetQueue,
    trailers: Option<Box<FieldSection>>,
    held: Option<Reservation>,
    /// Something was given that is not kept, or something of a response was passed on.
    over: bool,
    /// Octets at the front of what is sent, for which the client has its credit since they were sent the first time.
    credited: u32,
}

impl Replay {
    /// Whether the request can be sent again: all that a backend was given is here, and nothing of a response was passed on.
    pub(crate) const fn is_possible(&self) -> bool {
        !self.over
    }

    /// Octets kept.
    pub(crate) fn len(&self) -> usize {
        self.content.len()
    }

    /// Octets of memory that are reserved for it.
    pub(crate) fn reserved(&self) -> u32 {
        self.held.as_ref().map_or(0, Reservation::octets)
    }

    /// Content is given to a backend. Beyond `max` octets, or where the ledger has no memory, it is not kept, and the request
    /// cannot be sent again.
    pub(crate) fn keep(
        &mut self,
        data: &[u8],
        max: u32,
        ledger: &mut Ledger,
        memory: &mut impl ContentMemory,
    ) {
        if self.over || data.is_empty() {
            return;
        }
        if self.has_room(data.len(), max, ledger) {
            memory.lend(&mut self.content, data.len());
            self.content.extend(data);
        } else {
            self.end(ledger, memory);
        }
    }

    /// The same for content that waited, which is moved here.
    pub(crate) fn keep_all(
        &mut self,
        content: OctetQueue,
        max: u32,
        ledger: &mut Ledger,
        memory: &mut impl ContentMemory,
    ) {
        if self.over || content.is_empty() {
            memory.take_back(content);
        } else if self.has_room(content.len(), max, ledger) {
            self.content = content;
        } else {
            memory.take_back(content);
            self.end(ledger, memory);
        }
    }

    fn has_room(&mut self, octets: usize, max: u32, ledger: &mut Ledger) -> bool {
        let kept = self.content.len().saturating_add(octets);
        u32::try_from(kept).is_ok_and(|kept| kept <= max && ledger.raise(&mut self.held, kept))
    }

    /// Trailers are given to a backend.
    pub(crate) fn keep_trailers(&mut self, trailers: &FieldSection) {
        if !self.over {
            self.trailers = Some(Box::new(trailers.clone()));
        }
    }

    /// The request goes back to where nobody has been given anything. Of its content the client is owed the window of the
    /// last `owed` octets.
    pub(crate) fn take(&mut self, owed: u32) -> (OctetQueue, Option<FieldSection>) {
        // What is kept is bounded by a u32.
        self.credited = (self.content.len() as u32).saturating_sub(owed);
        (core::mem::take(&mut self.content), self.trailers.take().map(|trailers| *trailers))
    }

    /// Octets were cut for a backend: how many of them for the first time.
    pub(crate) fn cut(&mut self, octets: u32) -> u32 {
        let again = octets.min(self.credited);
        self.credited -= again;
        octets - again
    }

    /// The request will not be sent again. Memory stays reserved for what is sent a second time and waits in its stream.
    #[inline(always)]
    pub(crate) fn end(&mut self, ledger: &mut Ledger, memory: &mut impl ContentMemory) {
        self.over = true;
        self.trailers = None;
        if self.content.capacity() > 0 {
            memory.take_back(core::mem::take(&mut self.content));
        }
        if let Some(held) = &mut self.held {
            ledger.give_back(held.trim(self.credited));
        }
    }

    /// The request is over.
    #[inline]
    pub(crate) fn settle(&mut self, ledger: &mut Ledger, memory: &mut impl ContentMemory) {
        self.credited = 0;
        self.end(ledger, memory);
        self.held = None;
    }
}

/// Where the memory for content comes from, and where it goes.
pub(crate) trait ContentMemory {
    /// Gives the queue memory for so many octets, if it has none and there is some.
    fn lend(&mut self, queue: &mut OctetQueue, octets: usize);
    /// Takes the memory of content that nobody needs any more.
    fn take_back(&mut self, content: OctetQueue);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory that is new each time.
    struct New;

    impl ContentMemory for New {
        fn lend(&mut self, _: &mut OctetQueue, _: usize) {}
        fn take_back(&mut self, _: OctetQueue) {}
    }

    #[test]
    fn what_is_kept_is_reserved_and_given_back() {
        let mut ledger = Ledger::new(100);
        let mut replay = Replay::default();
        replay.keep(&[1; 30], 60, &mut ledger, &mut New);
        replay.keep(&[2; 20], 60, &mut ledger, &mut New);
        assert_eq!((replay.len(), ledger.reserved()), (50, 50));
        // 15 octets of 50 never left: the client is owed their window.
        let (content, _) = replay.take(15);
        assert_eq!((content.len(), ledger.reserved()), (50, 50), "the octets are still there");
        replay.keep_all(content, 60, &mut ledger, &mut New);
        assert_eq!((replay.len(), ledger.reserved()), (50, 50), "and are not counted twice");
        assert_eq!((replay.cut(30), replay.cut(10)), (0, 5));
        replay.keep(&[3; 20], 60, &mut ledger, &mut New);
        assert_eq!((replay.is_possible(), replay.len(), ledger.reserved()), (false, 0, 0));
        replay.settle(&mut ledger, &mut New);
        assert_eq!(ledger.reserved(), 0);
    }

    #[test]
    fn memory_stays_reserved_while_octets_wait_a_second_time() {
        let mut ledger = Ledger::new(100);
        let mut replay = Replay::default();
        replay.keep(&[1; 30], 60, &mut ledger, &mut New);
        let (content, _) = replay.take(0);
        replay.keep_all(content, 60, &mut ledger, &mut New);
        assert_eq!(replay.cut(10), 0);
        replay.end(&mut ledger, &mut New);
        assert_eq!(ledger.reserved(), 20);
        replay.settle(&mut ledger, &mut New);
        assert_eq!(ledger.reserved(), 0);
    }

    #[test]
    fn without_memory_nothing_is_kept() {
        let mut ledger = Ledger::new(10);
        let mut replay = Replay::default();
        replay.keep(&[1; 11], 60, &mut ledger, &mut New);
        assert_eq!((replay.is_possible(), ledger.reserved()), (false, 0));
    }
}
