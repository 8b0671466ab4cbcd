//! Deadlines in ordered lists, one a kind: arming and cancelling in constant time where a kind has one duration.

use crate::key::{Key, Slab};
use crate::list::{Linked, Links, List};
use crate::time::Instant;

/// Which list a deadline stands in.
#[derive(Clone, Debug)]
pub enum Kind {}

/// One armed deadline.
#[derive(Clone, Debug)]
pub struct Deadline<T> {
    at: Instant,
    kind: u8,
    target: T,
    links: Links,
}

impl<T> Linked<Kind> for Deadline<T> {
    fn links(&self) -> &Links {
        &self.links
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// The address of an armed deadline.
pub type DeadlineKey<T> = Key<Deadline<T>>;

/// All armed deadlines, in `N` kinds. Within a kind deadlines are mostly armed in the order in which they end, so that
/// the place of a new one is at or near the end of its list.
#[derive(Clone, Debug)]
pub struct Deadlines<T, const N: usize> {
    slab: Slab<Deadline<T>>,
    lists: [List<Deadline<T>, Kind>; N],
}

impl<T, const N: usize> Default for Deadlines<T, N> {
    fn default() -> Self {
        Self { slab: Slab::default(), lists: core::array::from_fn(|_| List::default()) }
    }
}

impl<T: Copy, const N: usize> Deadlines<T, N> {
    /// How many are armed.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether none is armed.
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// Arms a deadline of a kind below `N`.
    pub fn arm(&mut self, kind: u8, at: Instant, target: T) -> DeadlineKey<T> {
        let list = &mut self.lists[kind as usize];
        let mut after = list.back();
        while let Some(key) = after
            && self.slab.get(key).is_some_and(|other| other.at > at)
        {
            after = list.before(&self.slab, key);
        }
        let key = self.slab.insert(Deadline { at, kind, target, links: Links::default() });
        list.insert_after(&mut self.slab, after, key);
        key
    }

    /// Disarms a deadline; a stale key is fine.
    pub fn cancel(&mut self, key: DeadlineKey<T>) {
        if let Some(kind) = self.slab.get(key).map(|deadline| deadline.kind) {
            self.lists[kind as usize].unlink(&mut self.slab, key);
            self.slab.remove(key);
        }
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.lists.iter().filter_map(|list| Some(self.slab.get(list.front()?)?.at)).min()
    }

    /// Takes the earliest deadline, if it has come.
    pub fn pop_expired(&mut self, now: Instant) -> Option<(u8, T)> {
        let key = self
            .lists
            .iter()
            .filter_map(List::front)
            .min_by_key(|&key| self.slab.get(key).map(|deadline| deadline.at))
            .filter(|&key| self.slab.get(key).is_some_and(|deadline| deadline.at <= now))?;
        let found = self.slab.get(key).map(|deadline| (deadline.kind, deadline.target));
        self.cancel(key);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order_and_cancelled_ones_never() {
        let mut deadlines = Deadlines::<u32, 2>::default();
        let at = Instant::from_nanos;
        deadlines.arm(0, at(30), 3);
        let cancelled = deadlines.arm(0, at(10), 1);
        deadlines.arm(1, at(20), 2);
        assert_eq!(deadlines.next(), Some(at(10)));
        deadlines.cancel(cancelled);
        deadlines.cancel(cancelled);
        assert_eq!(deadlines.next(), Some(at(20)));
        assert_eq!(deadlines.pop_expired(at(19)), None);
        assert_eq!(deadlines.pop_expired(at(40)), Some((1, 2)));
        assert_eq!(deadlines.pop_expired(at(40)), Some((0, 3)));
        assert!(deadlines.is_empty() && deadlines.next().is_none());
    }
}
