//! Sections that come again, octet for octet: calls of the same method, polls, checks of health.
//!
//! Of those that were seen twice the section is kept, and is copied from then on instead of being read. Whatever differs from time to
//! time costs a hash of its octets and no memory.

use core::num::NonZeroU32;

use super::{FieldSection, Origin, fingerprint};

/// How many are kept: as many as a response of gRPC has.
const KEPT: usize = 2;
/// The largest section that is kept, by its size in HPACK (RFC 7541 section 4.1).
const SECTION_MAX: usize = 1 << 10;

/// What may come again. Small where nothing has. `C`: what a meaning depends on beside the octets; `M`: what they mean beside the
/// section.
#[derive(Clone, Debug)]
pub(crate) struct Repeats<C, M> {
    /// Hashes of what was seen, and whose turn it is to be forgotten.
    seen: [u32; KEPT],
    turn: u8,
    /// The number that was given last.
    number: u32,
    kept: Option<Box<Kept<C, M>>>,
}

type Kept<C, M> = [Option<Repeat<C, M>>; KEPT];

/// Octets with what they mean.
#[derive(Clone, Debug)]
pub(crate) struct Repeat<C, M> {
    octets: Box<[u8]>,
    context: C,
    pub(crate) section: FieldSection,
    pub(crate) meaning: M,
}

impl<C, M> Default for Repeats<C, M> {
    fn default() -> Self {
        Self { seen: [0; KEPT], turn: 0, number: 0, kept: None }
    }
}

impl<C: PartialEq, M> Repeats<C, M> {
    /// Nothing is known to have come before, and so many numbers were given.
    pub(crate) fn after(number: u32) -> Self {
        Self { number, ..Self::default() }
    }

    /// The number that was given last.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// An origin that no other section of the reader `identity` has had, for one that is kept elsewhere; none if they have run out.
    pub(crate) fn next_origin(&mut self, identity: u32) -> Option<Origin> {
        let number = NonZeroU32::new(self.number.wrapping_add(1))?;
        self.number = number.get();
        Some(Origin::of_section(identity, number)).filter(|&origin| origin != Origin::NONE)
    }

    /// What these octets mean, if that is known.
    #[inline]
    pub(crate) fn find(&self, octets: &[u8], context: &C) -> Option<&Repeat<C, M>> {
        let is_it = |repeat: &&Repeat<C, M>| repeat.context == *context && *repeat.octets == *octets;
        self.kept.as_ref()?.iter().flatten().find(is_it)
    }

    /// Whether octets that mean a section of this size would be kept if they came again, and have come before, with the same `seed` of their
    /// hash: their place. They have from now on.
    pub(crate) fn came(&mut self, (octets, seed): (&[u8], u64), size: usize) -> Option<usize> {
        if size > SECTION_MAX {
            return None;
        }
        // Whoever makes two collide has the wrong one kept, and nothing else.
        let hash = fingerprint(seed, octets);
        let place = self.seen.iter().position(|&seen| seen == hash);
        if place.is_none() {
            self.seen[usize::from(self.turn)] = hash;
            self.turn = (self.turn + 1) % KEPT as u8;
        }
        place
    }

    /// The octets were read as this section by the reader `identity`. If they have come before, with the same `seed` of their hash, the
    /// section gets an origin, by which it is known if it comes again. Says whether they have.
    pub(crate) fn read(
        &mut self,
        (octets, seed): (&[u8], u64),
        context: C,
        identity: u32,
        section: &mut FieldSection,
        meaning: M,
    ) -> bool {
        let Some(place) = self.came((octets, seed), section.size()) else { return false };
        let Some(origin) = self.next_origin(identity) else { return true };
        section.set_origin(origin);
        let repeat = Repeat { octets: octets.into(), context, section: section.share(), meaning };
        self.kept.get_or_insert_default()[place] = Some(repeat);
        true
    }

    /// Octets of memory held.
    pub(crate) fn capacity(&self) -> usize {
        let of = |repeat: &Repeat<C, M>| repeat.octets.len() + repeat.section.capacity();
        self.kept
            .as_ref()
            .map_or(0, |kept| size_of_val(&**kept) + kept.iter().flatten().map(of).sum::<usize>())
    }
}
