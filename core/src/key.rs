//! Generational slab: a stale key is an error, never another entry.

use core::fmt;
use core::hint::cold_path;
use core::marker::PhantomData;

/// The address of an entry of a slab. `Copy`, and grants nothing: the entry may be gone.
pub struct Key<T> {
    index: u32,
    generation: u32,
    marker: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// Both halves in one number: for poll tokens, tags and recordings.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The reverse of [`to_bits`](Self::to_bits). Any number is a legal key; most are stale.
    pub const fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32, marker: PhantomData }
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Key<T> {}
impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}
impl<T> Eq for Key<T> {}
impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.to_bits().cmp(&other.to_bits())
    }
}
impl<T> core::hash::Hash for Key<T> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.to_bits().hash(state);
    }
}
impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}v{}", self.index, self.generation)
    }
}

#[derive(Clone)]
struct Slot<T> {
    /// Rises with each removal, so that the keys of the entry that was here are stale.
    generation: u32,
    state: State<T>,
}

#[derive(Clone)]
enum State<T> {
    Used(T),
    Free { next: u32 },
}

const NONE: u32 = u32::MAX;

/// Marks the keys of connections.
#[derive(Debug)]
pub enum ConnMarker {}

/// The address of one connection of a gateway, front or backend. Stale once the connection is gone.
pub type ConnId = Key<ConnMarker>;

/// Marks the keys of upstreams.
#[derive(Debug)]
pub enum UpstreamMarker {}

/// The address of one upstream of a gateway. Stale once a new configuration has none of its name and its last
/// connection is gone.
pub type UpstreamKey = Key<UpstreamMarker>;

/// Marks the keys of endpoints.
#[derive(Debug)]
pub enum EndpointMarker {}

/// The address of an endpoint in its upstream.
pub type EndpointKey = Key<EndpointMarker>;

/// The address of an endpoint in its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointId {
    /// Its upstream.
    pub upstream: UpstreamKey,
    /// The endpoint in there.
    pub key: EndpointKey,
}

/// Marks the keys of registry entries.
#[derive(Debug)]
pub(crate) enum EntryMarker {}

/// The address of one entry of the registry: a queue of frozen requests with its engines.
pub(crate) type EntryKey = Key<EntryMarker>;

/// Marks the keys of lanes.
#[derive(Debug)]
pub(crate) enum LaneMarker {}

/// The address of one client connection's lane in a queue of frozen requests.
pub(crate) type LaneKey = Key<LaneMarker>;

/// Entries with stable addresses; insertion and removal in constant time, the last freed place is used first.
///
/// `M` names the keys where lower floors must speak of entries that they cannot see.
pub(crate) struct Slab<T, M = T> {
    slots: Vec<Slot<T>>,
    free: u32,
    /// What new places begin with: what those had come to whose memory was given back.
    first_generation: u32,
    len: usize,
    marker: PhantomData<fn() -> M>,
}

impl<T: Clone, M> Clone for Slab<T, M> {
    fn clone(&self) -> Self {
        let Self { free, first_generation, len, .. } = *self;
        Self { slots: self.slots.clone(), free, first_generation, len, marker: PhantomData }
    }
}

impl<T: fmt::Debug, M> fmt::Debug for Slab<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<T, M> Default for Slab<T, M> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: NONE, first_generation: 0, len: 0, marker: PhantomData }
    }
}

impl<T, M> Slab<T, M> {
    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many entries there is memory for.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// Gives the memory back where no entry is left. Keys that were given stay stale.
    pub(crate) fn release_memory(&mut self) {
        // A place whose generations are used up keeps them.
        if let Some(generation) = self.next_generation() {
            *self = Self::beginning_with(generation);
        }
    }

    /// What the keys of an empty slab begin with where the keys of this one stay stale. `None` where it is not empty, or its generations
    /// are used up.
    pub(crate) fn next_generation(&self) -> Option<u32> {
        let used = self.slots.iter().map(|slot| slot.generation).max();
        Some(used.unwrap_or(self.first_generation))
            .filter(|&generation| self.len == 0 && generation != u32::MAX)
    }

    /// An empty slab whose keys begin with this generation.
    pub(crate) fn beginning_with(generation: u32) -> Self {
        Self { first_generation: generation, ..Self::default() }
    }

    /// Adds an entry.
    #[inline(always)]
    pub(crate) fn insert(&mut self, value: T) -> Key<M> {
        self.len += 1;
        let Some(slot) = self.slots.get_mut(self.free as usize) else { return self.insert_behind(value) };
        let key = Key { index: self.free, generation: slot.generation, marker: PhantomData };
        if let State::Free { next } = slot.state {
            self.free = next;
        }
        // A free place holds nothing that would have to be dropped: the entry is written where it stays.
        core::mem::forget(core::mem::replace(&mut slot.state, State::Used(value)));
        key
    }

    /// Adds one where no place is free.
    #[cold]
    fn insert_behind(&mut self, value: T) -> Key<M> {
        let index = u32::try_from(self.slots.len());
        let index = index.expect("fewer than 2^32 entries: every slab has a limit");
        let generation = self.first_generation;
        // Most slabs of a connection's streams never hold a second entry.
        if self.slots.is_empty() {
            self.slots.reserve_exact(1);
        }
        self.slots.push(Slot { generation, state: State::Used(value) });
        Key { index, generation, marker: PhantomData }
    }

    /// The entry, unless the key is stale.
    pub(crate) fn get(&self, key: Key<M>) -> Option<&T> {
        match self.slots.get(key.index as usize) {
            Some(Slot { generation, state: State::Used(value) }) if *generation == key.generation => {
                Some(value)
            }
            _ => {
                cold_path();
                None
            }
        }
    }

    /// The entry, unless the key is stale.
    pub(crate) fn get_mut(&mut self, key: Key<M>) -> Option<&mut T> {
        match self.slots.get_mut(key.index as usize) {
            Some(Slot { generation, state: State::Used(value) }) if *generation == key.generation => {
                Some(value)
            }
            _ => {
                cold_path();
                None
            }
        }
    }

    /// Takes the entry out and makes its key stale.
    pub(crate) fn remove(&mut self, key: Key<M>) -> Option<T> {
        self.get(key)?;
        let free = State::Free { next: self.free };
        let state = core::mem::replace(&mut self.slots[key.index as usize].state, free);
        self.retire(key.index);
        match state {
            State::Used(value) => Some(value),
            State::Free { .. } => None,
        }
    }

    /// Drops the entry where it is and makes its key stale.
    pub(crate) fn discard(&mut self, key: Key<M>) {
        if self.get(key).is_some() {
            self.slots[key.index as usize].state = State::Free { next: self.free };
            self.retire(key.index);
        }
    }

    /// A place has become free.
    fn retire(&mut self, index: u32) {
        let generation = &mut self.slots[index as usize].generation;
        // A place whose generations are used up is never used again.
        if *generation != u32::MAX {
            self.free = index;
        }
        *generation = generation.saturating_add(1);
        self.len -= 1;
    }

    /// All entries in the order of their places. For rare walks (drain, snapshots), never for each event.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key<M>, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| match &slot.state {
            State::Used(value) => {
                Some((Key { index: index as u32, generation: slot.generation, marker: PhantomData }, value))
            }
            State::Free { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

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
        (!model.is_empty())
            .then(|| *model.keys().nth(at.index(model.len())).expect("an index below the length"))
    }

    #[test]
    fn a_stale_key_finds_nothing_although_its_place_is_used_again() {
        let mut slab = Slab::<&str>::default();
        let first = slab.insert("a");
        assert_eq!(slab.remove(first), Some("a"));
        let second = slab.insert("b");
        assert_eq!(slab.remove(first), None);
        assert_eq!((slab.get(first), slab.get(second)), (None, Some(&"b")));
        assert_ne!(first, second);
        assert_eq!(Key::<&str>::from_bits(second.to_bits()), second);
    }

    #[test]
    fn memory_that_was_given_back_makes_no_key_fresh() {
        let mut slab = Slab::<i32>::default();
        slab.release_memory();
        let old: Vec<_> = (0..3).map(|n| slab.insert(n)).collect();
        slab.release_memory();
        assert_eq!((slab.len(), slab.get(old[1])), (3, Some(&1)), "it is in use");
        old.iter().for_each(|&key| assert!(slab.remove(key).is_some()));
        slab.release_memory();
        assert_eq!(slab.slots.capacity(), 0);
        let new: Vec<_> = (10..14).map(|n| slab.insert(n)).collect();
        assert!(old.iter().all(|&key| slab.get(key).is_none()));
        assert!(new.iter().all(|&key| slab.get(key).is_some()));
    }

    #[test]
    fn places_are_reused_before_new_ones_are_made() {
        let mut slab = Slab::<i32>::default();
        let keys: Vec<_> = (0..10).map(|n| slab.insert(n)).collect();
        let (taken, dropped) = keys.split_at(5);
        taken.iter().for_each(|&key| assert!(slab.remove(key).is_some()));
        dropped.iter().chain(taken).for_each(|&key| slab.discard(key));
        assert!(slab.is_empty());
        (10..20).for_each(|n| _ = slab.insert(n));
        assert_eq!((slab.len(), slab.slots.len()), (10, 10));
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
    }
}
