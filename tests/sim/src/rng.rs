//! Keyed randomness: each choice is a function of (seed, label, n), and no state is shared.
//!
//! Taking one part out of a scenario leaves every other part's choices as they were; without that, shrinking does not work.

use std::cell::RefCell;

/// One random number for the `n`-th choice that `label` makes under `seed`.
pub fn rng(seed: u64, label: &str, n: u64) -> u64 {
    mix(seed ^ fnv(FNV_START, label.as_bytes()).wrapping_add(n.wrapping_mul(GOLDEN)))
}

/// The offset basis of [`fnv`].
pub const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Continues the 64-bit FNV-1a hash `state` over `octets`.
pub fn fnv(state: u64, octets: &[u8]) -> u64 {
    octets.iter().fold(state, |hash, &octet| (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The finalizer of splitmix64.
pub fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A fuzzer's octets in place of randomness: every choice takes the next two, and behind the end every choice is the first.
#[derive(Debug)]
struct Tape {
    octets: Vec<u8>,
    at: usize,
}

impl Tape {
    fn draw(&mut self) -> u64 {
        let octets: [u8; 2] = std::array::from_fn(|n| self.octets.get(self.at + n).copied().unwrap_or(0));
        self.at += 2;
        u16::from_le_bytes(octets).into()
    }
}

thread_local! {
    /// What [`Choices`] of this thread are made of, while there is a tape.
    static TAPE: RefCell<Option<Tape>> = const { RefCell::new(None) };
}

/// What `generate` makes where each choice, in the order in which they are made, comes from `octets`, whatever the seed.
pub fn from_octets<T>(octets: &[u8], generate: impl FnOnce() -> T) -> T {
    TAPE.set(Some(Tape { octets: octets.to_vec(), at: 0 }));
    let made = generate();
    TAPE.set(None);
    made
}

/// The choices of one entity, counted: convenience over [`rng`].
#[derive(Clone, Debug)]
pub struct Choices {
    seed: u64,
    label: String,
    n: u64,
}

impl Choices {
    /// The choices that `label` makes under `seed`.
    pub fn new(seed: u64, label: impl Into<String>) -> Self {
        Self { seed, label: label.into(), n: 0 }
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.n += 1;
        TAPE.with_borrow_mut(|tape| tape.as_mut().map(Tape::draw))
            .unwrap_or_else(|| rng(self.seed, &self.label, self.n))
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        let span = (high - low).wrapping_add(1);
        if span == 0 { self.draw() } else { low + self.draw() % span }
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.between(1, 100) <= percent
    }

    /// One of several; the list must not be empty.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.between(0, from.len() as u64 - 1);
        &from[usize::try_from(at).expect("less than the list's length")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_depend_on_seed_label_and_number_only() {
        assert_eq!(rng(1, "a", 1), rng(1, "a", 1));
        assert_ne!(rng(1, "a", 1), rng(2, "a", 1));
        assert_ne!(rng(1, "a", 1), rng(1, "b", 1));
        assert_ne!(rng(1, "a", 1), rng(1, "a", 2));
        assert_eq!(fnv(FNV_START, b"a"), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn octets_choose_in_place_of_the_seed() {
        let draw = |seed| {
            let mut choices = Choices::new(seed, "a");
            [choices.between(0, 9), choices.between(5, 9), choices.between(0, 1 << 40), choices.between(3, 9)]
        };
        assert_eq!(from_octets(&[4, 0, 1, 0, 0, 1], || draw(1)), [4, 6, 256, 3]);
        assert_eq!(from_octets(&[4, 0, 1, 0, 0, 1], || draw(2)), [4, 6, 256, 3]);
        assert_ne!(draw(1), draw(2), "and then the seed chooses again");
    }

    #[test]
    fn every_value_of_a_range_is_drawn() {
        let mut choices = Choices::new(7, "range");
        let mut hits = [0; 5];
        (0..1000).for_each(|_| hits[choices.between(0, 4) as usize] += 1);
        assert!(hits.iter().all(|&n| n > 100), "{hits:?}");
    }
}
