//! Deadlines in ordered lists, one a kind: arming and cancelling in constant time where a kind has one duration. A deadline
//! that ends long before others of its kind stands in a tree instead.

use core::num::NonZeroU64;
use std::collections::BTreeMap;

use crate::key::{Key, Slab};
use crate::list::{Linked, Links, List};
use crate::time::Instant;

/// Which list a deadline stands in.
#[derive(Clone, Debug)]
pub(crate) enum Kind {}

/// One armed deadline.
#[derive(Clone, Debug)]
pub(crate) struct Deadline<T> {
    at: Instant,
    kind: u8,
    target: T,
    links: Links,
    /// Its place in the tree, where it is not in a list.
    place: Option<NonZeroU64>,
}

impl<T> Linked<Kind> for Deadline<T> {
    fn links(&self) -> &Links {
        &self.links
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// Marks the keys of deadlines.
#[derive(Debug)]
pub(crate) enum DeadlineMarker {}

/// The address of an armed deadline, whatever it is for.
pub(crate) type DeadlineKey = Key<DeadlineMarker>;

/// All armed deadlines, in `N` kinds. Within a kind deadlines are mostly armed in the order in which they end, so that
/// the place of a new one is at or near the end of its list.
#[derive(Clone, Debug)]
pub(crate) struct Deadlines<T, const N: usize> {
    slab: Slab<Deadline<T>, DeadlineMarker>,
    lists: [List<Deadline<T>, Kind, DeadlineMarker>; N],
    /// The kinds that have any in their list, a bit each: few of them at any time.
    present: u32,
    early: BTreeMap<(Instant, NonZeroU64), DeadlineKey>,
    /// How many of these there are of each kind.
    early_of: [u32; N],
    /// The last place in the tree that was given.
    places: NonZeroU64,
}

/// How far from the end of a list its place is looked for.
const STEPS_MAX: usize = 8;

impl<T, const N: usize> Default for Deadlines<T, N> {
    fn default() -> Self {
        Self {
            slab: Slab::default(),
            lists: core::array::from_fn(|_| List::default()),
            present: 0,
            early: BTreeMap::new(),
            early_of: [0; N],
            places: NonZeroU64::MIN,
        }
    }
}

impl<T: Copy, const N: usize> Deadlines<T, N> {
    const KINDS_HAVE_BITS: () = assert!(N <= u32::BITS as usize);

    /// How many are armed.
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Arms a deadline of a kind below `N`.
    pub(crate) fn arm(&mut self, kind: u8, at: Instant, target: T) -> DeadlineKey {
        () = Self::KINDS_HAVE_BITS;
        let key = self.slab.insert(Deadline { at, kind, target, links: Links::default(), place: None });
        self.link(key, kind, at);
        key
    }

    /// Arms one anew, as another kind or for another time; says whether it was still armed.
    pub(crate) fn rearm(&mut self, key: DeadlineKey, kind: u8, at: Instant) -> bool {
        self.unlink(key);
        let Some(deadline) = self.slab.get_mut(key) else { return false };
        (deadline.kind, deadline.at) = (kind, at);
        self.link(key, kind, at);
        true
    }

    #[inline(always)]
    fn link(&mut self, key: DeadlineKey, kind: u8, at: Instant) {
        let list = &mut self.lists[kind as usize];
        let mut after = list.back();
        let mut steps = 0;
        while let Some(key) = after
            && self.slab.get(key).is_some_and(|other| other.at > at)
            && steps < STEPS_MAX
        {
            after = list.before(&self.slab, key);
            steps += 1;
        }
        if steps < STEPS_MAX {
            self.present |= 1 << kind;
            return list.insert_after(&mut self.slab, after, key);
        }
        self.places = self.places.saturating_add(1);
        self.early.insert((at, self.places), key);
        self.early_of[kind as usize] += 1;
        if let Some(deadline) = self.slab.get_mut(key) {
            deadline.place = Some(self.places);
        }
    }

    #[inline(always)]
    fn unlink(&mut self, key: DeadlineKey) {
        let Some(deadline) = self.slab.get_mut(key) else { return };
        match deadline.place.take() {
            Some(place) => {
                self.early_of[deadline.kind as usize] -= 1;
                self.early.remove(&(deadline.at, place));
            }
            None => {
                let kind = deadline.kind;
                let list = &mut self.lists[kind as usize];
                list.unlink(&mut self.slab, key);
                if list.is_empty() {
                    self.present &= !(1 << kind);
                }
            }
        }
    }

    /// Disarms a deadline; a stale key is fine.
    pub(crate) fn cancel(&mut self, key: DeadlineKey) {
        self.unlink(key);
        self.slab.discard(key);
    }

    /// All that are armed, in no order: name, kind, end and target.
    #[cfg(feature = "observe")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (DeadlineKey, u8, Instant, T)> {
        self.slab.iter().map(|(key, deadline)| (key, deadline.kind, deadline.at, deadline.target))
    }

    /// When a deadline ends, if it is armed.
    pub(crate) fn end(&self, key: DeadlineKey) -> Option<Instant> {
        Some(self.slab.get(key)?.at)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        Some(self.slab.get(self.first()?)?.at)
    }

    /// Takes the earliest deadline, if it has come.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<(u8, T)> {
        let key = self.first()?;
        let deadline = self.slab.get(key).filter(|deadline| deadline.at <= now)?;
        let found = (deadline.kind, deadline.target);
        self.cancel(key);
        Some(found)
    }

    /// Takes the deadline of a kind that would come first of those that were armed in order, or of the others where there is none.
    pub(crate) fn pop_first(&mut self, kind: u8) -> Option<T> {
        let is_of_kind =
            |key: &DeadlineKey| self.slab.get(*key).is_some_and(|deadline| deadline.kind == kind);
        let early = || match self.early_of[kind as usize] {
            0 => None,
            _ => self.early.values().copied().find(is_of_kind),
        };
        let key = self.lists[kind as usize].front().or_else(early)?;
        let target = self.slab.get(key)?.target;
        self.cancel(key);
        Some(target)
    }

    fn first(&self) -> Option<DeadlineKey> {
        let early = self.early.first_key_value().map(|(_, &key)| key);
        let mut present = self.present;
        let lists = core::iter::from_fn(|| {
            let kind = present.trailing_zeros() as usize;
            present &= present.wrapping_sub(1);
            // Behind the last there is none: there are fewer kinds than bits.
            self.lists.get(kind)
        });
        let heads = lists.filter_map(List::front).chain(early);
        heads.min_by_key(|&key| self.slab.get(key).map(|deadline| deadline.at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    #[derive(Clone, Debug)]
    enum Alarm {
        Arm { kind: u8, at: u64 },
        Cancel(Index),
        Pass(u64),
    }

    fn alarm() -> impl Strategy<Value = Alarm> {
        // Mostly rising, as deadlines of one kind are; sometimes far ahead of others.
        let at = prop_oneof![4 => 50..60_u64, 1 => 0..100_u64];
        prop_oneof![
            6 => (0..3_u8, at).prop_map(|(kind, at)| Alarm::Arm { kind, at }),
            2 => any::<Index>().prop_map(Alarm::Cancel),
            1 => (0..20_u64).prop_map(Alarm::Pass),
        ]
    }

    /// Of those that were armed in order the first, and of the others when there are no more.
    #[test]
    fn all_of_a_kind_are_found_without_waiting_for_them() {
        let mut deadlines = Deadlines::<u32, 2>::default();
        for n in 0..9 {
            deadlines.arm(0, Instant::from_nanos(100 + u64::from(n)), n);
        }
        deadlines.arm(1, Instant::from_nanos(1), 20);
        deadlines.arm(0, Instant::from_nanos(1), 9);
        let all: Vec<_> = core::iter::from_fn(|| deadlines.pop_first(0)).collect();
        assert_eq!(all, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(deadlines.len(), 1, "the other kind's");
    }

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
        assert_eq!(deadlines.pop_first(1), Some(2));
        assert_eq!(deadlines.pop_first(1), None);
        assert_eq!(deadlines.pop_expired(at(40)), Some((0, 3)));
        assert_eq!((deadlines.len(), deadlines.next()), (0, None));
    }

    #[test]
    fn one_that_is_armed_anew_ends_once_and_when_it_was_said_last() {
        let mut deadlines = Deadlines::<u32, 2>::default();
        let at = Instant::from_nanos;
        let early: Vec<_> = (0..20).rev().map(|n| deadlines.arm(0, at(n), 0)).collect();
        let (first, last) = (early[0], early[19]);
        assert!(deadlines.rearm(first, 1, at(50)) && deadlines.rearm(last, 0, at(60)));
        assert!(deadlines.rearm(last, 1, at(40)));
        early[1..19].iter().for_each(|&key| deadlines.cancel(key));
        assert!(!deadlines.rearm(early[1], 0, at(1)), "it is armed no more");
        assert_eq!((deadlines.len(), deadlines.next()), (2, Some(at(40))));
        assert_eq!(deadlines.pop_expired(at(45)), Some((1, 0)));
        assert_eq!((deadlines.pop_expired(at(45)), deadlines.next()), (None, Some(at(50))));
    }

    #[test]
    fn many_that_end_early_are_found_and_cancelled_too() {
        let mut deadlines = Deadlines::<u64, 1>::default();
        let at = Instant::from_nanos;
        let keys: Vec<_> = (0..1000).rev().map(|n| deadlines.arm(0, at(n), n)).collect();
        keys.iter().skip(1).step_by(2).for_each(|&key| deadlines.cancel(key));
        assert_eq!(deadlines.len(), 500);
        let order: Vec<u64> =
            core::iter::from_fn(|| deadlines.pop_expired(at(1000)).map(|(_, target)| target)).collect();
        assert_eq!(order, (0..1000).filter(|n| n % 2 == 1).collect::<Vec<_>>());
    }

    proptest! {
        /// Each deadline comes once, in order, not before its time, unless it was cancelled.
        #[test]
        fn deadlines_come_in_order(alarms in vec(alarm(), 0..300)) {
            let mut deadlines = Deadlines::<usize, 3>::default();
            let mut model: BTreeMap<usize, (u8, u64, DeadlineKey)> = BTreeMap::new();
            let (mut now, mut done) = (0, Vec::new());
            for (target, alarm) in alarms.into_iter().enumerate() {
                match alarm {
                    Alarm::Arm { kind, at } => {
                        let at = now + at;
                        model.insert(target, (kind, at, deadlines.arm(kind, Instant::from_nanos(at), target)));
                    }
                    Alarm::Cancel(which) if !model.is_empty() => {
                        let target = *model.keys().nth(which.index(model.len())).expect("an index below the length");
                        let (_, _, key) = model.remove(&target).expect("it is there");
                        deadlines.cancel(key);
                        done.push(key);
                    }
                    Alarm::Cancel(_) => {}
                    Alarm::Pass(nanos) => {
                        now += nanos;
                        let mut last = 0;
                        while let Some((kind, target)) = deadlines.pop_expired(Instant::from_nanos(now)) {
                            let (expected, at, key) = model.remove(&target).expect("armed, and once");
                            prop_assert!(kind == expected && last <= at && at <= now, "{last} {at} {now}");
                            last = at;
                            done.push(key);
                        }
                    }
                }
                // Keys of the dead disturb nobody.
                done.iter().rev().take(3).for_each(|&key| deadlines.cancel(key));
                let earliest = model.values().map(|&(_, at, _)| Instant::from_nanos(at)).min();
                prop_assert_eq!((deadlines.len(), deadlines.next()), (model.len(), earliest));
            }
        }
    }
}
