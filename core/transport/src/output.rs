//! Octets of the wire that wait for the socket, and which plaintext stands in them.

/// Octets that are sealed at a time: four full records. One system call takes them.
pub(crate) const BATCH: usize = 64 << 10;
/// What a batch may grow by on the wire, with the records of a handshake in front of it.
const SLACK: usize = 16 << 10;
/// The memory of an output.
pub(crate) const OUTPUT: usize = BATCH + SLACK;

/// The memory of an output, all of it initialised once.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    octets: Vec<u8>,
    /// Where a record ends, and how much plaintext is in it.
    marks: Vec<(usize, usize)>,
}

/// Records in the order in which they leave.
#[derive(Debug, Default)]
pub(crate) struct Output {
    memory: Memory,
    start: usize,
    end: usize,
    /// Marks that have been passed.
    passed: usize,
}

impl Output {
    pub(crate) fn pending(&self) -> &[u8] {
        &self.memory.octets[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether there is plaintext whose record has not left whole.
    pub(crate) fn holds_plaintext(&self) -> bool {
        self.passed < self.memory.marks.len()
    }

    /// How much plaintext is in records that have not left whole.
    pub(crate) fn plaintext(&self) -> usize {
        self.memory.marks[self.passed..].iter().map(|(_, n)| n).sum()
    }

    /// Takes memory of the worker, unless it has some.
    pub(crate) fn borrow(&mut self, spare: &mut Memory) {
        if self.is_empty() && self.memory.octets.is_empty() {
            self.memory = core::mem::take(spare);
            self.memory.marks.clear();
            self.memory.octets.resize(OUTPUT, 0);
            (self.start, self.end, self.passed) = (0, 0, 0);
        }
    }

    /// Gives the memory back. What still waits moves into memory of its own size.
    pub(crate) fn give_back(&mut self, spare: &mut Memory) {
        if self.memory.octets.len() < BATCH {
            if self.is_empty() {
                *self = Self::default();
            }
            return;
        }
        let rest = self.pending().to_vec();
        let marks = self.memory.marks[self.passed..].iter().map(|&(end, n)| (end - self.start, n)).collect();
        *spare = core::mem::take(&mut self.memory);
        *self = Self { end: rest.len(), memory: Memory { octets: rest, marks }, start: 0, passed: 0 };
    }

    /// Room for `n` octets behind all others.
    pub(crate) fn room(&mut self, n: usize) -> &mut [u8] {
        let wanted = self.end + n;
        if self.memory.octets.len() < wanted {
            self.memory.octets.resize(wanted, 0);
        }
        &mut self.memory.octets[self.end..]
    }

    /// `n` octets were put into the room: a record, or several, with so much plaintext.
    pub(crate) fn put(&mut self, n: usize, plaintext: usize) {
        self.end += n;
        if plaintext > 0 {
            self.memory.marks.push((self.end, plaintext));
        }
    }

    pub(crate) fn extend(&mut self, octets: &[u8]) {
        self.room(octets.len())[..octets.len()].copy_from_slice(octets);
        self.put(octets.len(), 0);
    }

    /// The socket took `n` octets: says how much plaintext was in the records that have left whole.
    pub(crate) fn left(&mut self, n: usize) -> usize {
        self.start = (self.start + n).min(self.end);
        let mut plaintext = 0;
        while let Some(&(end, n)) = self.memory.marks.get(self.passed).filter(|(end, _)| *end <= self.start) {
            debug_assert!(end <= self.end);
            plaintext += n;
            self.passed += 1;
        }
        if self.is_empty() {
            (self.start, self.end, self.passed) = (0, 0, 0);
            self.memory.marks.clear();
        }
        plaintext
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_has_left_with_the_last_octet_of_its_record() {
        let (mut output, mut spare) = (Output::default(), Memory::default());
        output.borrow(&mut spare);
        output.extend(b"ticket");
        for n in [10, 20] {
            output.room(n + 5)[..n + 5].fill(1);
            output.put(n + 5, n);
        }
        assert_eq!(output.left(20), 0);
        // A turn ends in the middle: what is left moves, and the worker's memory is free.
        output.give_back(&mut spare);
        assert!(output.memory.octets.len() == 26 && spare.octets.len() >= BATCH);
        assert_eq!(output.left(1), 10);
        assert_eq!(output.left(24), 0);
        assert_eq!(output.pending().len(), 1);
        assert_eq!(output.left(1), 20);
        output.give_back(&mut spare);
        assert!(output.is_empty() && output.memory.octets.capacity() == 0);
    }
}
