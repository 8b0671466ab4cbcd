//! Memory that passes from one connection to the next, so that neither idle connections hold any nor busy ones ask for it.

use crate::fields::FieldSection;
use crate::gateway::conn::Conn;
use crate::gateway::{ConnId, Gateway};
use crate::outbox::{FIRST_CAPACITY, OctetQueue, PASSED_ON_CAPACITY};
use crate::request::ContentMemory;

/// What one piece may hold to be worth keeping, in octets.
const PIECE_OCTETS_MAX: usize = 64 << 10;
/// How many outboxes are kept that hold more, for who is loud.
const LOUD_OUTBOXES_MAX: usize = 2;
/// How many outboxes are kept: so many connections are rarely written to in one turn.
const OUTBOXES_MAX: usize = 256;
/// What sections and content may hold together, in octets: those of some thousand requests.
const REQUEST_OCTETS_MAX: usize = (4 << 20) - LOUD_OUTBOXES_MAX * PASSED_ON_CAPACITY;
/// The sizes of the memory for content that is kept: powers of two from the least that a queue has, as queues grow to them. To ask for more costs
/// little beside copying what comes there, and what is kept of it would be nobody else's.
const CONTENT_SIZES: usize = 3;
/// What the outboxes may.
const OUTBOX_OCTETS_MAX: usize = 1 << 20;

/// What waits for use.
#[derive(Debug, Default)]
pub(super) struct Spare {
    sections: Vec<FieldSection>,
    /// By their size, for a request's content is to have no more memory than is accounted for it.
    contents: [Vec<Vec<u8>>; CONTENT_SIZES],
    /// Of both.
    request_octets: usize,
    outboxes: Vec<Vec<u8>>,
    /// Large ones.
    loud_outboxes: Vec<Vec<u8>>,
    outbox_octets: usize,
}

/// Which size of content so many octets have, if memory of that size is kept.
fn content_size(octets: usize) -> Option<usize> {
    let size = octets.div_ceil(FIRST_CAPACITY).next_power_of_two().ilog2() as usize;
    (size < CONTENT_SIZES).then_some(size)
}

/// Whether a piece of this capacity is kept beside pieces of `held` octets, `max` of which may be.
fn is_worth_keeping(capacity: usize, held: usize, max: usize) -> bool {
    (1..=PIECE_OCTETS_MAX).contains(&capacity) && held + capacity <= max
}

impl Spare {
    /// Keeps the memory of a section for the next one.
    #[inline(always)]
    pub(super) fn keep_section(&mut self, mut fields: FieldSection) {
        // What it shares is not its own to be kept.
        if !fields.has_memory() {
            return;
        }
        fields.clear();
        if is_worth_keeping(fields.capacity(), self.request_octets, REQUEST_OCTETS_MAX) {
            self.request_octets += fields.capacity();
            self.sections.push(fields);
        }
    }

    /// Memory for a section. New, where none is kept.
    pub(super) fn take_section(&mut self) -> FieldSection {
        let Some(section) = self.sections.pop() else { return FieldSection::roomy() };
        self.request_octets -= section.capacity();
        section
    }

    /// Memory for what goes out, where there is none. Whoever takes none here and gives some back fills the store for nothing.
    #[inline(always)]
    pub(super) fn lend_outbox(&mut self, entry: &mut Conn) {
        if entry.session.outbox_capacity() > 0 {
            return;
        }
        if entry.side.loudness().is_loud()
            && let Some(spare) = self.loud_outboxes.pop()
        {
            entry.session.give_outbox_memory(spare);
        } else if let Some(spare) = self.outboxes.pop() {
            self.outbox_octets -= spare.capacity();
            entry.session.give_outbox_memory(spare);
        }
    }

    /// Takes back what an empty outbox holds.
    #[inline]
    fn keep_outbox(&mut self, memory: Vec<u8>) {
        let capacity = memory.capacity();
        if is_worth_keeping(capacity, self.outbox_octets, OUTBOX_OCTETS_MAX) {
            if self.outboxes.len() < OUTBOXES_MAX {
                self.outbox_octets += capacity;
                self.outboxes.push(memory);
            }
        } else if (PIECE_OCTETS_MAX + 1..=PASSED_ON_CAPACITY).contains(&capacity)
            && self.loud_outboxes.len() < LOUD_OUTBOXES_MAX
        {
            self.loud_outboxes.push(memory);
        }
    }
}

impl ContentMemory for Spare {
    /// Of the size that the queue would grow to.
    #[inline]
    fn lend(&mut self, queue: &mut OctetQueue, octets: usize) {
        if queue.capacity() == 0
            && let Some(memory) = content_size(octets).and_then(|size| self.contents[size].pop())
        {
            self.request_octets -= memory.capacity();
            queue.give_memory(memory);
        }
    }

    fn take_back(&mut self, mut content: OctetQueue) {
        content.clear();
        let capacity = content.capacity();
        if let Some(size) = content_size(capacity)
            && capacity == FIRST_CAPACITY << size
            && is_worth_keeping(capacity, self.request_octets, REQUEST_OCTETS_MAX)
        {
            self.request_octets += capacity;
            self.contents[size].push(content.take_memory());
        }
    }
}

impl Conn {
    /// What waits to be written. Who has much to say at once is given much memory for it the next times.
    pub(super) fn look_at_output(&mut self) -> &[u8] {
        let octets = self.session.transmit();
        self.side.loudness().look(octets.len());
        octets
    }
}

impl Gateway {
    /// Keeps the memory of a section for the next one.
    pub(super) fn keep_section(&mut self, fields: FieldSection) {
        self.spare.keep_section(fields);
    }

    /// Lends memory for what the connection is about to send.
    pub(super) fn lend_outbox(&mut self, id: ConnId) {
        if let Some(entry) = self.conns.get_mut(id) {
            self.spare.lend_outbox(entry);
        }
    }

    /// Takes back what an empty outbox holds.
    pub(super) fn keep_outbox(&mut self, id: ConnId) {
        let Some(entry) = self.conns.get_mut(id) else { return };
        self.spare.keep_outbox(entry.session.take_outbox_memory());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(octets: usize) -> OctetQueue {
        let mut queue = OctetQueue::default();
        queue.extend(&vec![1; octets]);
        queue
    }

    /// A request's content has the memory that is accounted for it, whoever had that before.
    #[test]
    fn content_is_lent_what_it_would_have_taken() {
        for octets in [1, 1024, 1025, 3000, 4 << 10] {
            let (mut spare, waiting) = (Spare::default(), content(octets));
            let capacity = waiting.capacity();
            spare.take_back(waiting);
            let lent = |spare: &mut Spare, octets| {
                let mut queue = OctetQueue::default();
                spare.lend(&mut queue, octets);
                (queue.capacity(), queue.len())
            };
            assert_eq!(lent(&mut spare, capacity + 1), (0, 0), "less than is wanted");
            assert_eq!(lent(&mut spare, capacity / 2), (if capacity > 1024 { 0 } else { 1024 }, 0));
            spare.take_back(content(octets));
            assert_eq!(lent(&mut spare, octets), (capacity, 0));
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut spare = Spare::default();
        for _ in 0..10_000 {
            spare.take_back(content(1000));
            spare.take_back(content(4 << 10));
            spare.take_back(content((4 << 10) + 1));
            spare.take_back(content(100_000));
            spare.keep_section(FieldSection::roomy());
            spare.keep_outbox(Vec::with_capacity(PIECE_OCTETS_MAX));
            spare.keep_outbox(Vec::with_capacity(PASSED_ON_CAPACITY));
            spare.keep_outbox(Vec::with_capacity(PASSED_ON_CAPACITY + 1));
        }
        let octets = |pieces: &[Vec<u8>]| pieces.iter().map(Vec::capacity).sum::<usize>();
        let contents: usize = spare.contents.iter().map(|pieces| octets(pieces)).sum();
        let sections: usize = spare.sections.iter().map(FieldSection::capacity).sum();
        assert_eq!(contents + sections, spare.request_octets);
        let of_requests = contents + sections + octets(&spare.loud_outboxes);
        assert!((3 << 20..=4 << 20).contains(&of_requests), "{of_requests}");
        assert_eq!(octets(&spare.outboxes), OUTBOX_OCTETS_MAX);
        assert_eq!(octets(&spare.loud_outboxes), LOUD_OUTBOXES_MAX * PASSED_ON_CAPACITY);
    }
}
