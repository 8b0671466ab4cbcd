//! Field blocks that come again, octet for octet: calls of the same method, polls, checks of health.
//!
//! A block that changes no table means the same as long as no other does. Of those that were seen twice the section is kept, and
//! is copied from then on instead of being decoded. Whatever differs from block to block costs a hash of its octets and no memory.

use core::num::NonZeroU32;

use crate::fields::{FieldSection, Origin, fold, hash};

/// How many blocks are kept: as many as a response of gRPC has.
const KEPT: usize = 2;
/// The longest block that is kept, in octets: sections of a dozen indexed fields and a few short literals.
const BLOCK_MAX: usize = 64;
/// The largest section that is kept, by its size in HPACK (RFC 7541 section 4.1).
const SECTION_MAX: usize = 1 << 10;

/// What a block depends on beside its own octets: entries are never altered, only added behind and dropped in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableState {
    /// How many entries were ever inserted.
    pub(super) inserted: u64,
    /// How many live.
    pub(super) living: usize,
    /// How large it may be: what was too large to enter it empties an empty table, and enters a larger one (RFC 7541 section 4.4).
    pub(super) max_size: u32,
}

/// The blocks that may come again. Small where none has.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats {
    /// Hashes of blocks that were seen, and whose turn it is to be forgotten.
    seen: [u32; KEPT],
    turn: u8,
    kept: Option<Box<Kept>>,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    repeats: [Option<Repeat>; KEPT],
    /// The number that was given last.
    number: u32,
}

/// A block with what it means.
#[derive(Clone, Debug)]
pub(super) struct Repeat {
    block: Box<[u8]>,
    table: TableState,
    pub(super) section: FieldSection,
}

impl Repeats {
    /// What this block means, if that is known.
    #[inline]
    pub(super) fn find(&self, block: &[u8], table: TableState) -> Option<&Repeat> {
        let is_it = |repeat: &&Repeat| *repeat.block == *block && repeat.table == table;
        self.kept.as_ref()?.repeats.iter().flatten().find(is_it)
    }

    /// The block was decoded to this section by the decoder `identity`, and has changed nothing. If it has come before, the section gets an
    /// origin, by which it is known if it comes again.
    pub(super) fn decoded(
        &mut self,
        block: &[u8],
        table: TableState,
        identity: u32,
        section: &mut FieldSection,
    ) {
        if block.len() > BLOCK_MAX || section.size() > SECTION_MAX {
            return;
        }
        // Whoever makes two blocks collide has the wrong one kept, and nothing else.
        let hash = fold(hash(table.inserted, block));
        let Some(place) = self.seen.iter().position(|&seen| seen == hash) else {
            self.seen[usize::from(self.turn)] = hash;
            self.turn = (self.turn + 1) % KEPT as u8;
            return;
        };
        let kept = self.kept.get_or_insert_default();
        let Some(number) = NonZeroU32::new(kept.number.wrapping_add(1)) else { return };
        kept.number = number.get();
        section.set_origin(Origin::of_section(identity, number));
        let mut own = FieldSection::new();
        own.copy_from(section);
        kept.repeats[place] = Some(Repeat { block: block.into(), table, section: own });
    }

    /// Octets of memory held.
    pub(super) fn capacity(&self) -> usize {
        let of = |repeat: &Repeat| repeat.block.len() + repeat.section.capacity();
        self.kept
            .as_ref()
            .map_or(0, |kept| size_of::<Kept>() + kept.repeats.iter().flatten().map(of).sum::<usize>())
    }
}
