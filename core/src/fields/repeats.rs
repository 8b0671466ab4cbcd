//! Sections that come again, octet for octet: calls of the same method, polls, checks of health.
//!
//! Of those that were seen twice the section is kept, and is copied from then on instead of being read. Whatever differs from time to
//! time costs a hash of its octets and no memory.

use core::num::NonZeroU32;

use super::{FieldSection, Origin, fold, hash};

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
    kept: Option<Box<Kept<C, M>>>,
}

#[derive(Clone, Debug)]
struct Kept<C, M> {
    repeats: [Option<Repeat<C, M>>; KEPT],
    /// The number that was given last.
    number: u32,
}

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
        Self { seen: [0; KEPT], turn: 0, kept: None }
    }
}

impl<C, M> Kept<C, M> {
    fn after(number: u32) -> Box<Self> {
        Box::new(Self { repeats: [const { None }; KEPT], number })
    }
}

impl<C: PartialEq, M> Repeats<C, M> {
    /// Nothing is known to have come before, and so many numbers were given.
    pub(crate) fn after(number: u32) -> Self {
        Self { kept: (number > 0).then(|| Kept::after(number)), ..Self::default() }
    }

    /// The number that was given last.
    pub(crate) fn number(&self) -> u32 {
        self.kept.as_ref().map_or(0, |kept| kept.number)
    }

    /// What these octets mean, if that is known.
    #[inline]
    pub(crate) fn find(&self, octets: &[u8], context: &C) -> Option<&Repeat<C, M>> {
        let is_it = |repeat: &&Repeat<C, M>| *repeat.octets == *octets && repeat.context == *context;
        self.kept.as_ref()?.repeats.iter().flatten().find(is_it)
    }

    /// The octets were read as this section by the reader `identity`. If they have come before, with the same `seed` of their hash, the
    /// section gets an origin, by which it is known if it comes again.
    pub(crate) fn read(
        &mut self,
        (octets, seed): (&[u8], u64),
        context: C,
        identity: u32,
        section: &mut FieldSection,
        meaning: M,
    ) {
        if section.size() > SECTION_MAX {
            return;
        }
        // Whoever makes two collide has the wrong one kept, and nothing else.
        let hash = fold(hash(seed, octets));
        let Some(place) = self.seen.iter().position(|&seen| seen == hash) else {
            self.seen[usize::from(self.turn)] = hash;
            self.turn = (self.turn + 1) % KEPT as u8;
            return;
        };
        let kept = self.kept.get_or_insert_with(|| Kept::after(0));
        let Some(number) = NonZeroU32::new(kept.number.wrapping_add(1)) else { return };
        kept.number = number.get();
        section.set_origin(Origin::of_section(identity, number));
        kept.repeats[place] =
            Some(Repeat { octets: octets.into(), context, section: section.share(), meaning });
    }

    /// Octets of memory held.
    pub(crate) fn capacity(&self) -> usize {
        let of = |repeat: &Repeat<C, M>| repeat.octets.len() + repeat.section.capacity();
        self.kept
            .as_ref()
            .map_or(0, |kept| size_of_val(&**kept) + kept.repeats.iter().flatten().map(of).sum::<usize>())
    }
}
