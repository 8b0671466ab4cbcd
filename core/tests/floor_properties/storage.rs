//! Floor 1: slabs, deadlines, octets that wait.

use std::collections::{BTreeMap, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use shuntyard_core::deadline::{DeadlineKey, Deadlines};
use shuntyard_core::key::{Key, Slab};
use shuntyard_core::outbox::OctetQueue;
use shuntyard_core::time::Instant;

#[derive(Clone, Debug)]
enum Entry {
    Insert(u32),
    Remove(Index),
    Change(Index, u32),
    RemoveStale(Index),
}

fn entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        5 => any::<u32>().prop_map(Entry::Insert),
        4 => any::<Index>().prop_map(Entry::Remove),
        1 => (any::<Index>(), any::<u32>()).prop_map(|(at, value)| Entry::Change(at, value)),
        1 => any::<Index>().prop_map(Entry::RemoveStale),
    ]
}

fn key_at<V>(model: &BTreeMap<Key<u32>, V>, at: &Index) -> Option<Key<u32>> {
    (!model.is_empty()).then(|| *model.keys().nth(at.index(model.len())).expect("an index below the length"))
}

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

proptest! {
    /// A key finds its own entry or nothing, for ever.
    #[test]
    fn a_slab_is_a_map_whose_keys_are_never_used_twice(entries in vec(entry(), 0..300)) {
        let (mut slab, mut model) = (Slab::<u32>::default(), BTreeMap::new());
        let mut stale: Vec<Key<u32>> = Vec::new();
        for entry in entries {
            match entry {
                Entry::Insert(value) => {
                    let key = slab.insert(value);
                    prop_assert!(!stale.contains(&key), "{key:?} was another's");
                    prop_assert_eq!(Key::from_bits(key.to_bits()), key);
                    prop_assert_eq!(model.insert(key, value), None);
                }
                Entry::Remove(at) => {
                    let Some(key) = key_at(&model, &at) else { continue };
                    prop_assert_eq!(slab.remove(key), model.remove(&key));
                    stale.push(key);
                }
                Entry::Change(at, value) => {
                    let Some(key) = key_at(&model, &at) else { continue };
                    *slab.get_mut(key).expect("it is there") = value;
                    model.insert(key, value);
                }
                Entry::RemoveStale(at) if !stale.is_empty() => {
                    let key = stale[at.index(stale.len())];
                    prop_assert_eq!(slab.get(key), None);
                    prop_assert_eq!(slab.remove(key), None);
                }
                Entry::RemoveStale(_) => {}
            }
            prop_assert_eq!((slab.len(), slab.is_empty()), (model.len(), model.is_empty()));
            let found: BTreeMap<_, _> = slab.iter().map(|(key, &value)| (key, value)).collect();
            prop_assert_eq!(&found, &model);
        }
        prop_assert!(stale.iter().all(|&key| slab.get(key).is_none()));
    }

    /// Each deadline comes once, in order, not before its time, unless it was cancelled.
    #[test]
    fn deadlines_come_in_order(alarms in vec(alarm(), 0..300)) {
        let mut deadlines = Deadlines::<usize, 3>::default();
        let mut model: BTreeMap<usize, (u8, u64, DeadlineKey<usize>)> = BTreeMap::new();
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

    #[test]
    fn octets_leave_in_the_order_in_which_they_came(steps in vec((any::<bool>(), 0..5000_usize), 0..100)) {
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
