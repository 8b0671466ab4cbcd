//! Queues linked through the entries of a slab: push, pop and unlink in constant time, without memory of their own.

use core::marker::PhantomData;

use crate::key::{Key, Slab};

const NONE: u64 = u64::MAX;
/// Stands for `prev` in an entry that is in no list. Like `NONE` it is no key: a slab has no such place.
const UNLINKED: u64 = u64::MAX - 1;

/// The place of an entry in a [`List`], kept inside the entry.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    prev: u64,
    next: u64,
}

impl Default for Links {
    fn default() -> Self {
        Self { prev: UNLINKED, next: NONE }
    }
}

impl Links {
    /// Whether the entry is in its list.
    pub(crate) const fn is_linked(&self) -> bool {
        self.prev != UNLINKED
    }
}

/// An entry that can be in the list named `L` (a marker type, so that an entry can be in several lists).
pub(crate) trait Linked<L>: Sized {
    /// The entry's place in that list.
    fn links(&self) -> &Links;
    /// The entry's place in that list.
    fn links_mut(&mut self) -> &mut Links;
}

/// A list owns nothing of these types.
type Marker<T, L, M> = PhantomData<fn() -> (T, L, M)>;

/// A doubly linked queue through the entries of one slab, whose keys are of type `Key<M>`.
#[derive(Debug)]
pub(crate) struct List<T, L, M = T> {
    head: u64,
    tail: u64,
    marker: Marker<T, L, M>,
}

impl<T, L, M> Clone for List<T, L, M> {
    fn clone(&self) -> Self {
        Self { head: self.head, tail: self.tail, marker: PhantomData }
    }
}

impl<T, L, M> Default for List<T, L, M> {
    fn default() -> Self {
        Self { head: NONE, tail: NONE, marker: PhantomData }
    }
}

impl<T: Linked<L>, L, M> List<T, L, M> {
    /// Whether no entry is linked.
    pub(crate) const fn is_empty(&self) -> bool {
        self.head == NONE
    }

    /// The first entry.
    pub(crate) const fn front(&self) -> Option<Key<M>> {
        if self.head == NONE { None } else { Some(Key::from_bits(self.head)) }
    }

    /// The last entry.
    pub(crate) const fn back(&self) -> Option<Key<M>> {
        if self.tail == NONE { None } else { Some(Key::from_bits(self.tail)) }
    }

    /// The entry before `key`.
    pub(crate) fn before(&self, slab: &Slab<T, M>, key: Key<M>) -> Option<Key<M>> {
        let prev = slab.get(key).map(Linked::links).filter(|links| links.is_linked())?.prev;
        (prev != NONE).then(|| Key::from_bits(prev))
    }

    /// The entries in order. `slab` is the one that the list is linked through.
    pub(crate) fn iter<'a>(&self, slab: &'a Slab<T, M>) -> impl Iterator<Item = Key<M>> + use<'a, T, L, M> {
        let key = |bits: u64| (bits != NONE).then(|| Key::from_bits(bits));
        core::iter::successors(key(self.head), move |&at| key(slab.get(at)?.links().next))
    }

    /// Links an entry at the end. Nothing happens where it is linked already or its key is stale.
    pub(crate) fn push_back(&mut self, slab: &mut Slab<T, M>, key: Key<M>) {
        let Some(links) = slab.get_mut(key).map(Linked::links_mut).filter(|links| !links.is_linked()) else {
            return;
        };
        let prev = core::mem::replace(&mut self.tail, key.to_bits());
        *links = Links { prev, next: NONE };
        if prev == NONE {
            self.head = key.to_bits();
        } else if let Some(entry) = slab.get_mut(Key::from_bits(prev)) {
            entry.links_mut().next = key.to_bits();
        }
    }

    /// Links an entry behind `after`, which is linked; at the front where it is `None`.
    #[inline(always)]
    pub(crate) fn insert_after(&mut self, slab: &mut Slab<T, M>, after: Option<Key<M>>, key: Key<M>) {
        if after == self.back() {
            return self.push_back(slab, key);
        }
        let prev = after.map_or(NONE, Key::to_bits);
        let next = match after.and_then(|after| slab.get(after)) {
            Some(entry) => entry.links().next,
            None => self.head,
        };
        let Some(links) = slab.get_mut(key).map(Linked::links_mut) else { return };
        if links.is_linked() {
            return;
        }
        *links = Links { prev, next };
        match slab.get_mut(Key::from_bits(prev)).filter(|_| prev != NONE) {
            Some(entry) => entry.links_mut().next = key.to_bits(),
            None => self.head = key.to_bits(),
        }
        match slab.get_mut(Key::from_bits(next)).filter(|_| next != NONE) {
            Some(entry) => entry.links_mut().prev = key.to_bits(),
            None => self.tail = key.to_bits(),
        }
    }

    /// Unlinks an entry; says whether it was linked.
    pub(crate) fn unlink(&mut self, slab: &mut Slab<T, M>, key: Key<M>) -> bool {
        let Some(links) = slab.get_mut(key).map(Linked::links_mut).filter(|links| links.is_linked()) else {
            return false;
        };
        let Links { prev, next } = core::mem::take(links);
        if prev == NONE {
            self.head = next;
        } else if let Some(entry) = slab.get_mut(Key::from_bits(prev)) {
            entry.links_mut().next = next;
        }
        if next == NONE {
            self.tail = prev;
        } else if let Some(entry) = slab.get_mut(Key::from_bits(next)) {
            entry.links_mut().prev = prev;
        }
        true
    }

    /// Unlinks the first entry.
    pub(crate) fn pop_front(&mut self, slab: &mut Slab<T, M>) -> Option<Key<M>> {
        let key = self.front()?;
        self.unlink(slab, key);
        Some(key)
    }

    /// Moves an entry to the end; says whether it was in the list.
    pub(crate) fn move_to_back(&mut self, slab: &mut Slab<T, M>, key: Key<M>) -> bool {
        // Mostly it is alone, and stands there.
        if self.tail == key.to_bits() {
            return true;
        }
        let was_linked = self.unlink(slab, key);
        if was_linked {
            self.push_back(slab, key);
        }
        was_linked
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    struct Queue;
    #[derive(Default)]
    struct Entry(Links);
    impl Linked<Queue> for Entry {
        fn links(&self) -> &Links {
            &self.0
        }
        fn links_mut(&mut self) -> &mut Links {
            &mut self.0
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_deque(operations in prop::collection::vec((0..6u8, 0..8usize), 0..200)) {
            let mut slab = Slab::<Entry>::default();
            let keys: Vec<_> = (0..8).map(|_| slab.insert(Entry::default())).collect();
            let (mut list, mut model) = (List::<Entry, Queue>::default(), VecDeque::new());
            for (operation, n) in operations {
                let key = keys[n];
                match operation {
                    0 => {
                        list.push_back(&mut slab, key);
                        if !model.contains(&key) { model.push_back(key) }
                    }
                    1 => {
                        let at = n % (model.len() + 1);
                        list.insert_after(&mut slab, at.checked_sub(1).map(|before| model[before]), key);
                        if !model.contains(&key) { model.insert(at, key) }
                    }
                    2 => {
                        prop_assert_eq!(list.unlink(&mut slab, key), model.contains(&key));
                        model.retain(|&other| other != key);
                    }
                    3 => prop_assert_eq!(list.pop_front(&mut slab), model.pop_front()),
                    4 => {
                        let is_in = model.contains(&key);
                        prop_assert_eq!(list.move_to_back(&mut slab, key), is_in);
                        model.retain(|&other| other != key);
                        if is_in { model.push_back(key) }
                    }
                    _ => {
                        let before = model.iter().position(|&other| other == key).and_then(|at| model.get(at.wrapping_sub(1)));
                        prop_assert_eq!(list.before(&slab, key), before.copied());
                    }
                }
                prop_assert!(list.iter(&slab).eq(model.iter().copied()));
                prop_assert_eq!((list.is_empty(), list.front(), list.back()), (model.is_empty(), model.front().copied(), model.back().copied()));
            }
        }
    }
}
