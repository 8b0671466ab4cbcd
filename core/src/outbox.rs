//! Octets that wait to leave, in order.

/// A queue of octets in one piece of memory: appended behind, consumed in front. While empty it keeps little memory,
/// which [`take_memory`](Self::take_memory) takes away.
#[derive(Clone, Default)]
pub(crate) struct OctetQueue {
    octets: Vec<u8>,
    start: usize,
}

/// What may enter a connection's outbox behind a head without having asked for memory: answers of our own to what else it asks for, and resets.
pub(crate) const UNASKED: usize = 32 << 10;

/// Small enough for a handful of control frames, large enough that growing from it takes few steps.
pub(crate) const FIRST_CAPACITY: usize = 1024;
/// All frames that have no content and no fields are shorter, and a client's preface with its SETTINGS.
const SHORT_FRAMES: usize = 128;
/// What an empty queue may keep for what comes next.
const KEPT_CAPACITY: usize = 64 << 10;
/// So large a part of what waits may lie consumed in front of it.
const PART_IN_FRONT: usize = 8;
/// What one may have too much that is not to grow any more.
const KEPT_FITTED: usize = 4 << 10;
/// What one may keep whose memory passes on: all that an outbox of ordinary limits grows to.
pub(crate) const PASSED_ON_CAPACITY: usize = 256 << 10;

/// Whether an owner of an outbox has had much in it at once lately. Nothing but the memory that he is given hangs on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loudness(u8);

impl Loudness {
    /// There was nothing yet.
    pub(crate) const QUIET: Self = Self(0);
    /// For so many looks it is remembered.
    const LOOKS: u8 = 8;

    /// A look at an outbox that has so many octets.
    pub(crate) const fn look(&mut self, octets: usize) {
        self.0 = if octets > KEPT_CAPACITY { Self::LOOKS } else { self.0.saturating_sub(1) };
    }

    /// Whether there was much at one of the last looks.
    pub(crate) const fn is_loud(self) -> bool {
        self.0 > 0
    }
}

/// What waits; what was consumed is nobody's.
impl core::fmt::Debug for OctetQueue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // A number for a mebibyte: whoever compares states by their text does so often.
        let word = |hash: u64, word: &[u8]| {
            let mut octets = [0; 8];
            octets[..word.len()].copy_from_slice(word);
            (hash ^ u64::from_le_bytes(octets)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
        };
        let hash = self.as_slice().chunks(8).fold(0, word);
        f.debug_struct("OctetQueue").field("len", &self.len()).field("hash", &hash).finish()
    }
}

impl OctetQueue {
    /// How many octets wait.
    pub(crate) fn len(&self) -> usize {
        self.octets.len() - self.start
    }

    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets of memory held.
    pub(crate) fn capacity(&self) -> usize {
        self.octets.capacity()
    }

    /// What waits.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.octets[self.start..]
    }

    /// Appends octets. Before it asks for more memory it looks for some in front: eight octets are moved at most for each that was
    /// consumed. It grows to powers of two, so that a queue that holds one window has the memory of one; one from which something was consumed,
    /// to an eighth more: what lies in front then has room, until it is worth being used again.
    pub(crate) fn extend(&mut self, octets: &[u8]) {
        self.tail_for(octets.len()).extend_from_slice(octets);
    }

    #[inline(never)]
    fn make_room(&mut self, n: usize) {
        if self.start > self.len() / PART_IN_FRONT {
            self.compact();
        }
        if n > self.octets.capacity() - self.octets.len() {
            self.octets.reserve_exact(self.grown_for(n) - self.octets.len());
        }
    }

    /// The memory that is asked for where so many octets more have no room.
    fn grown_for(&self, n: usize) -> usize {
        let whole = (self.len() + n).next_power_of_two().max(FIRST_CAPACITY);
        if self.start > 0 { whole + whole / PART_IN_FRONT } else { whole }
    }

    /// Where to append a frame without content. Writers push; they never look at or change what is there.
    #[inline]
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        self.tail_for(SHORT_FRAMES)
    }

    /// Where to append so many octets, or fewer: as [`extend`](Self::extend) there is memory then.
    #[inline]
    pub(crate) fn tail_for(&mut self, n: usize) -> &mut Vec<u8> {
        if n > self.octets.capacity() - self.octets.len() {
            self.make_room(n);
        }
        &mut self.octets
    }

    /// Octets of memory held at most, when so many more have been appended.
    pub(crate) fn capacity_for(&self, n: usize) -> usize {
        let capacity = self.octets.capacity();
        if n <= capacity - self.octets.len() { capacity } else { capacity.max(self.grown_for(n)) }
    }

    fn compact(&mut self) {
        self.octets.copy_within(self.start.., 0);
        self.octets.truncate(self.octets.len() - self.start);
        self.start = 0;
    }

    /// Drops `n` octets in front, or all where there are fewer; says how many.
    pub(crate) fn consume(&mut self, n: usize) -> usize {
        self.advance(n, KEPT_CAPACITY, 4)
    }

    /// The same for one of many queues that share a bound: it has less than the double of what waits, or the least.
    pub(crate) fn consume_and_fit(&mut self, n: usize) -> usize {
        self.advance(n, FIRST_CAPACITY, 2)
    }

    /// The same for a queue from whose owner the memory is taken soon when it is empty.
    pub(crate) fn pass_on(&mut self, n: usize) -> usize {
        self.advance(n, PASSED_ON_CAPACITY, 4)
    }

    /// More than `kept` octets of memory are kept where more than one in `part` of them is taken.
    fn advance(&mut self, n: usize, kept: usize, part: usize) -> usize {
        let n = n.min(self.len());
        self.start += n;
        if self.is_empty() {
            self.empty(kept);
        } else if self.octets.capacity() > kept && self.len() <= self.octets.capacity() / part {
            // Whoever takes all but a little is not to keep the memory of all. It had grown to that by as many octets.
            // What is left has room for half of that more, so that it is worth while to move it the next time.
            let wanted = self.len() + self.len() / 2;
            self.fit(if part > 2 { wanted.next_power_of_two() } else { wanted });
        }
        n
    }

    /// Moves what waits to memory of this size.
    fn fit(&mut self, capacity: usize) {
        let mut octets = Vec::with_capacity(capacity);
        octets.extend_from_slice(self.as_slice());
        (self.octets, self.start) = (octets, 0);
    }

    /// The same, where that is more than half. Says how much memory is held, if anything waits.
    pub(crate) fn fit_if_roomy(&mut self) -> usize {
        if self.capacity() > KEPT_FITTED + 2 * self.len() {
            self.fit(self.len());
        }
        if self.is_empty() { 0 } else { self.capacity() }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.empty(KEPT_CAPACITY);
    }

    fn empty(&mut self, kept: usize) {
        self.octets.clear();
        self.start = 0;
        if self.octets.capacity() > kept {
            self.octets = Vec::new();
        }
    }

    /// Takes the memory of an empty queue away, for another to use.
    pub(crate) fn take_memory(&mut self) -> Vec<u8> {
        if self.is_empty() { core::mem::take(self).octets } else { Vec::new() }
    }

    /// Gives memory to a queue that has none.
    pub(crate) fn give_memory(&mut self, mut memory: Vec<u8>) {
        if self.octets.capacity() == 0 {
            memory.clear();
            self.octets = memory;
        }
    }
}

/// A queue that is mostly empty, and then holds nothing at all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held(Option<Box<OctetQueue>>);

impl Held {
    /// How many octets wait.
    pub(crate) fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What waits.
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], OctetQueue::as_slice)
    }

    /// Appends octets.
    pub(crate) fn extend(&mut self, octets: &[u8]) {
        if !octets.is_empty() {
            self.0.get_or_insert_default().extend(octets);
        }
    }

    /// Drops all but the last `left` octets, and the memory with the last.
    pub(crate) fn keep(&mut self, left: usize) {
        if let Some(queue) = &mut self.0 {
            queue.consume(queue.len().saturating_sub(left));
        }
        if left == 0 {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_window_takes_the_memory_of_one() {
        const WINDOW: usize = 1 << 17;
        let mut queue = OctetQueue::default();
        for _ in 0..WINDOW / 1000 {
            queue.extend(&[0; 1000]);
        }
        queue.extend(&[0; WINDOW % 1000]);
        for _ in 0..100 {
            let n = queue.consume(WINDOW / 8 + 1);
            queue.extend(&vec![0; n]);
        }
        assert_eq!((queue.len(), queue.capacity()), (WINDOW, WINDOW));
    }

    #[test]
    fn nor_does_it_take_that_of_two_however_it_is_consumed() {
        const WINDOW: usize = 1 << 16;
        for step in [1, 100, 6_000, WINDOW / 8 - 1, WINDOW / 8, 30_000, WINDOW - 1] {
            let (mut queue, mut moves) = (OctetQueue::default(), 0);
            queue.extend(&[0; 60_000]);
            for _ in 0..500 {
                queue.consume_and_fit(step.min(queue.len() - 1));
                let before = queue.octets.as_ptr();
                queue.extend(&vec![0; WINDOW - queue.len()]);
                moves += usize::from(queue.octets.as_ptr() != before);
                assert_eq!(queue.len(), WINDOW);
                assert!(queue.capacity() <= WINDOW + WINDOW / 8, "{step}: {}", queue.capacity());
            }
            assert!(moves < 10 || step > WINDOW / 4, "{step}: new memory {moves} times");
        }
    }

    #[test]
    fn an_octet_more_and_an_octet_less_move_none() {
        for len in [1 << 11, (1 << 19) - 1, 1 << 19, (1 << 19) + 1, 3 << 18] {
            let mut queue = OctetQueue::default();
            queue.extend(&vec![0; len]);
            let mut sizes = vec![queue.capacity()];
            for _ in 0..1000 {
                queue.extend(&[0]);
                sizes.push(queue.capacity());
                queue.consume_and_fit(1);
                sizes.push(queue.capacity());
            }
            sizes.dedup();
            assert!(sizes.len() < 5, "{len}: {sizes:?}");
        }
    }

    #[test]
    fn an_outbox_that_is_read_in_parts_grows_to_the_next_power_of_two_and_an_eighth() {
        let (waiting, max) = (330 << 10, 9 * (512 << 10) / 8);
        for (first, part) in [(0, 16 << 10), (0, 16_393), (40_000, 16_393), (130_000, 1000), (3, 70_000)] {
            for taken in [1, 1000, 80 << 10, 164 << 10, 300 << 10] {
                let mut queue = OctetQueue::default();
                queue.tail_for(first).extend_from_slice(&vec![0; first]);
                for _ in 0..300 {
                    while queue.len() + part <= waiting {
                        queue.tail_for(part).extend_from_slice(&vec![0; part]);
                    }
                    assert!(queue.capacity() <= max, "{first} {part} {taken}: {}", queue.capacity());
                    queue.pass_on(taken);
                }
            }
        }
    }

    #[test]
    fn what_was_consumed_is_room_before_there_is_more_memory() {
        let mut queue = OctetQueue::default();
        for (taken, part) in [(0, 190 << 10), (0, 190 << 10), (189 << 10, 200 << 10)] {
            queue.pass_on(taken);
            queue.tail_for(part).extend_from_slice(&vec![0; part]);
        }
        assert_eq!((queue.len(), queue.capacity()), (391 << 10, 512 << 10));
    }

    /// Who takes all but a little of what waits does not keep the memory of all.
    #[test]
    fn what_little_waits_has_little_memory() {
        let mut queue = OctetQueue::default();
        queue.extend(&[7; 1 << 20]);
        queue.consume((1 << 20) - 600);
        assert_eq!((queue.len(), queue.capacity()), (600, 1024));
        // Of many that share a bound none has the double of what waits.
        queue.extend(&[7; 1 << 16]);
        while queue.len() > 600 {
            queue.consume_and_fit(1000);
            assert!(
                queue.capacity() < 2 * queue.len().max(1 << 10),
                "{} of {}",
                queue.capacity(),
                queue.len()
            );
        }
        queue.consume_and_fit(600);
        assert!(queue.capacity() <= 1 << 10);
    }

    proptest! {
        #[test]
        fn no_more_memory_is_held_than_was_foretold(steps in prop::collection::vec((0..90_000usize, 0..90_000usize), 0..50)) {
            let mut queue = OctetQueue::default();
            for (push, take) in steps {
                let foretold = queue.capacity_for(push);
                queue.tail_for(push).extend_from_slice(&vec![0; push]);
                prop_assert!(queue.capacity() <= foretold);
                queue.pass_on(take);
            }
        }

        #[test]
        fn what_goes_in_comes_out_in_order(steps in prop::collection::vec((0..5000usize, 0..5000usize), 0..50)) {
            let (mut queue, mut sent, mut taken) = (OctetQueue::default(), 0usize, 0usize);
            for (push, take) in steps {
                queue.extend(&(sent..sent + push).map(|n| n as u8).collect::<Vec<_>>());
                sent += push;
                let take = take.min(queue.len());
                prop_assert!(queue.as_slice()[..take].iter().zip(taken..).all(|(&octet, n)| octet == n as u8));
                prop_assert_eq!(queue.consume(take), take);
                taken += take;
                prop_assert_eq!(queue.len(), sent - taken);
            }
            queue.consume(usize::MAX);
            prop_assert!(queue.capacity() <= KEPT_CAPACITY);
            queue.take_memory();
            prop_assert_eq!(queue.capacity(), 0);
        }

        #[test]
        fn octets_leave_in_the_order_in_which_they_came(steps in prop::collection::vec((any::<bool>(), 0..5000_usize), 0..100)) {
            let (mut queue, mut model) = (OctetQueue::default(), VecDeque::new());
            let mut next = 0_u8;
            for (extend, octets) in steps {
                if extend {
                    let octets: Vec<u8> = (0..octets).map(|_| { next = next.wrapping_add(1); next }).collect();
                    queue.extend(&octets);
                    model.extend(octets);
                } else {
                    prop_assert_eq!(queue.consume(octets), octets.min(model.len()));
                    model.drain(..octets.min(model.len()));
                }
                prop_assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(queue.as_slice(), model.make_contiguous());
            }
            queue.clear();
            prop_assert!(queue.is_empty());
        }
    }
}
