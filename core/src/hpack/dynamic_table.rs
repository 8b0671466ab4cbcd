//! The dynamic table (RFC 7541 sections 2.3.2 and 4), for both roles.
//!
//! Entries are numbered from 1 in the order of insertion; a number is never used twice, so that it can be remembered
//! without being invalidated: either the entry still lives or it does not. What a role wants to keep with an entry is `T`.

use std::collections::VecDeque;

use super::static_table::STATIC_ENTRIES;
use crate::fields::FIELD_OVERHEAD;

#[derive(Clone, Debug)]
pub(super) struct DynamicTable<T> {
    /// Octets of dead entries, then of all living ones, oldest first: each entry lies in one piece.
    octets: Vec<u8>,
    /// Living entries, oldest first.
    entries: VecDeque<Entry<T>>,
    /// The position of the first of `octets`. Positions count inserted octets modulo 2^32.
    base: u32,
    max_size: u32,
    size: usize,
    inserted: u64,
}

/// What a block depends on beside its own octets: entries are never altered, only added behind and dropped in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableState {
    /// How many entries were ever inserted.
    pub(super) inserted: u64,
    /// How many live.
    living: u32,
    /// How large it may be: what was too large to enter it empties an empty table, and enters a larger one (RFC 7541 section 4.4).
    max_size: u32,
}

impl TableState {
    /// Before there was anything.
    pub(super) const NONE: Self = Self { inserted: 0, living: 0, max_size: 0 };
}

#[derive(Clone, Debug)]
struct Entry<T> {
    position: u32,
    name_len: u32,
    value_len: u32,
    note: T,
}

impl<T> Entry<T> {
    fn octets_len(&self) -> usize {
        self.name_len as usize + self.value_len as usize
    }

    /// RFC 7541 section 4.1.
    fn size(&self) -> usize {
        self.octets_len() + FIELD_OVERHEAD
    }
}

/// A living entry, borrowed.
#[derive(Debug)]
pub(super) struct Line<'a, T> {
    /// The name, and the value behind it.
    pub(super) octets: &'a [u8],
    pub(super) name_len: usize,
    pub(super) note: &'a T,
}

impl<'a, T> Line<'a, T> {
    pub(super) fn name(&self) -> &'a [u8] {
        &self.octets[..self.name_len]
    }

    pub(super) fn is(&self, name: &[u8], value: &[u8]) -> bool {
        self.octets.split_at(self.name_len) == (name, value)
    }
}

impl<T> DynamicTable<T> {
    /// An empty table. Allocates nothing.
    pub(super) fn new(max_size: u32) -> Self {
        Self { octets: Vec::new(), entries: VecDeque::new(), base: 0, max_size, size: 0, inserted: 0 }
    }

    /// An empty table that so many entries have gone through.
    pub(super) fn after(max_size: u32, inserted: u64) -> Self {
        Self { inserted, ..Self::new(max_size) }
    }

    pub(super) fn max_size(&self) -> u32 {
        self.max_size
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Octets of memory held.
    pub(super) fn capacity(&self) -> usize {
        self.octets.capacity() + self.entries.capacity() * size_of::<Entry<T>>()
    }

    /// How many entries were ever inserted; the number of the newest.
    pub(super) fn inserted(&self) -> u64 {
        self.inserted
    }

    /// As long as it is the same, blocks that leave it so mean the same.
    pub(super) fn state(&self) -> TableState {
        TableState { inserted: self.inserted, living: self.entries.len() as u32, max_size: self.max_size }
    }

    /// The index by which a block names the entry with this number, if it lives (RFC 7541 section 2.3.3).
    #[inline]
    pub(super) fn index_of(&self, number: u64) -> Option<usize> {
        let age = self.inserted.wrapping_sub(number);
        (age < self.entries.len() as u64).then(|| age as usize + STATIC_ENTRIES as usize + 1)
    }

    /// The entry that a block names by `index`, which is above those of the static table, and its number.
    #[inline]
    pub(super) fn at(&self, index: u32) -> Option<(u64, Line<'_, T>)> {
        let place = self.entries.len().checked_sub((index - STATIC_ENTRIES) as usize)?;
        let line = self.line(self.entries.get(place)?);
        Some((self.inserted - u64::from(index - STATIC_ENTRIES - 1), line))
    }

    /// The entry with this number, if it lives.
    #[inline]
    pub(super) fn get(&self, number: u64) -> Option<Line<'_, T>> {
        let index = self.index_of(number)? - STATIC_ENTRIES as usize;
        self.entries.get(self.entries.len() - index).map(|entry| self.line(entry))
    }

    #[inline]
    fn line<'a>(&'a self, entry: &'a Entry<T>) -> Line<'a, T> {
        let start = entry.position.wrapping_sub(self.base) as usize;
        Line {
            octets: &self.octets[start..][..entry.octets_len()],
            name_len: entry.name_len as usize,
            note: &entry.note,
        }
    }

    /// Living entries, newest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Line<'_, T>> {
        (0..self.entries.len() as u64).filter_map(|age| self.get(self.inserted - age))
    }

    /// Evicts until `max_size` is kept, from now on (RFC 7541 section 4.3).
    pub(super) fn resize(&mut self, max_size: u32) {
        self.max_size = max_size;
        self.evict_above(max_size as usize);
    }

    /// Inserts an entry and returns its number. One that is larger than the table empties it and is not inserted
    /// (RFC 7541 section 4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], note: T) -> Option<u64> {
        let len = name.len() + value.len();
        let size = len + FIELD_OVERHEAD;
        let Some(rest) = (self.max_size as usize).checked_sub(size) else {
            self.evict_above(0);
            return None;
        };
        self.evict_above(rest);
        self.make_room(len);
        let position = self.base.wrapping_add(self.octets.len() as u32);
        self.octets.extend_from_slice(name);
        self.octets.extend_from_slice(value);
        self.entries.push_back(Entry {
            position,
            name_len: name.len() as u32,
            value_len: value.len() as u32,
            note,
        });
        self.size += size;
        self.inserted += 1;
        Some(self.inserted)
    }

    fn evict_above(&mut self, size: usize) {
        while self.size > size {
            let Some(evicted) = self.entries.pop_front() else { break };
            self.size -= evicted.size();
        }
        if self.entries.is_empty() {
            self.forget(self.octets.len());
        }
    }

    /// Sees to it that `len` octets can be appended. Octets of dead entries are dropped only where at least half as
    /// many living ones must move: moving stays linear in what is inserted, memory below one and a half times the
    /// table's size.
    fn make_room(&mut self, len: usize) {
        if self.octets.capacity() - self.octets.len() >= len {
            return;
        }
        let dead = self.entries.front().map_or(0, |oldest| oldest.position.wrapping_sub(self.base) as usize);
        let live = self.octets.len() - dead;
        if dead >= live / 2 {
            self.forget(dead);
        }
        let needed = self.octets.len() + len;
        if self.octets.capacity() < needed {
            let most = self.max_size as usize * 3 / 2;
            let capacity = (needed * 2).min(most).max(needed);
            self.octets.reserve_exact(capacity - self.octets.len());
        }
    }

    fn forget(&mut self, octets: usize) {
        self.octets.drain(..octets);
        self.base = self.base.wrapping_add(octets as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(table: &DynamicTable<()>) -> Vec<&[u8]> {
        table.iter().map(|line| line.name()).collect()
    }

    #[test]
    fn rfc7541_2_3_2_first_in_first_out() {
        let mut table = DynamicTable::new(3 * 34);
        for name in [b"a", b"b", b"c", b"d"] {
            table.insert(name, b"1", ());
        }
        assert_eq!(names(&table), [b"d", b"c", b"b"]);
        assert_eq!((table.size(), table.len(), table.inserted()), (102, 3, 4));
        assert!(table.get(1).is_none() && table.get(5).is_none() && table.get(0).is_none());
        assert!(table.get(2).is_some_and(|line| line.is(b"b", b"1")));
        assert_eq!((table.index_of(4), table.index_of(2), table.index_of(1)), (Some(62), Some(64), None));
        let number_at = |index| table.at(index).map(|(number, _)| number);
        assert_eq!((number_at(62), number_at(64), number_at(65)), (Some(4), Some(2), None));
        assert_eq!(table.index_of(5), None);
    }

    #[test]
    fn rfc7541_4_3_eviction_when_the_size_changes() {
        let mut table = DynamicTable::new(4096);
        for name in [b"a", b"b", b"c"] {
            table.insert(name, b"1", ());
        }
        table.resize(67);
        assert_eq!(names(&table), [b"c"]);
        table.resize(0);
        assert_eq!((table.len(), table.size()), (0, 0));
        table.resize(100);
        assert_eq!(table.insert(b"d", b"", ()), Some(4));
        assert_eq!(names(&table), [b"d"]);
    }

    #[test]
    fn rfc7541_4_4_an_entry_larger_than_the_table_empties_it() {
        let mut table = DynamicTable::new(34);
        assert_eq!(table.insert(b"a", b"1", ()), Some(1));
        assert_eq!(table.insert(b"a", b"12", ()), None);
        assert_eq!((table.len(), table.size()), (0, 0));
        assert_eq!(table.insert(b"", b"", ()), Some(2));
    }

    #[test]
    fn memory_stays_within_one_and_a_half_times_the_size() {
        let mut table = DynamicTable::new(4096);
        assert_eq!(table.capacity(), 0);
        let value = [b'v'; 1500];
        let mut expected = VecDeque::new();
        for i in 0..10_000_usize {
            let value = &value[..i * 7919 % 1500];
            let name = i.to_string();
            table.insert(name.as_bytes(), value, ());
            expected.push_front((name, value));
            expected.truncate(table.len());
            assert!(table.octets.capacity() <= 4096 * 3 / 2);
            assert!(table.size() <= 4096);
            assert!(table.iter().zip(&expected).all(|(line, (name, value))| line.is(name.as_bytes(), value)));
        }
        assert_eq!(table.inserted(), 10_000);
    }

    /// The smallest entries there are, and then large ones: the index stays as it was when there were many.
    #[test]
    fn memory_stays_within_what_the_bound_takes_for_a_table() {
        for size in [0, 31, 32, 100, 4096, 5000, 35_000, 65_536] {
            let (mut table, facts) = (DynamicTable::new(size), crate::fields::FieldFacts::of_name(b"", 0));
            (0..=size / 32).for_each(|_| _ = table.insert(b"", b"", facts));
            let large = vec![b'v'; size as usize];
            for tenths in [4, 5, 3, 5, 2, 9, 1, 6] {
                table.insert(b"n", &large[..size as usize * tenths / 10], facts);
                let held = table.capacity() as u64;
                assert!(held <= crate::config::table_octets(size), "{held} of {size}");
            }
        }
    }

    #[test]
    fn positions_may_wrap() {
        let mut table = DynamicTable::new(1000);
        table.base = u32::MAX - 2;
        for name in [b"a", b"b", b"c", b"d"] {
            table.insert(name, b"value", ());
        }
        assert_eq!(names(&table), [b"d", b"c", b"b", b"a"]);
        assert!(table.get(1).is_some_and(|line| line.is(b"a", b"value")));
    }
}
