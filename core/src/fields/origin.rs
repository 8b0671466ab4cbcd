//! Where a field line or a section came from, so that it need not be compared with others by its octets.

use core::num::NonZeroU32;

/// Where a field line came from: an entry of a decoder's dynamic table, so that an encoder can remember what it
/// translated it to. [`Origin::NONE`] for everything else. A section has one where its block came before.
///
/// An origin stands for the octets of its line: whoever alters name or value must set it to [`Origin::NONE`]. That of a section stands
/// for all its lines and their marks; a [`FieldSection`](super::FieldSection) sees to that itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin(pub u64);

impl Origin {
    /// Not an entry of a dynamic table.
    pub const NONE: Self = Self(0);

    /// The entry that the decoder `identity` inserted as its `number`th, counted from 1. An entry beyond the 2^32-1
    /// that can be told apart has no origin, nor has one of a decoder beyond the first 2^30, so that no origin ever stands
    /// for two lines.
    #[inline]
    pub(crate) fn of_entry(identity: u32, number: u64) -> Self {
        match u32::try_from(number) {
            Ok(number) if identity < DECODERS_MAX => Self(u64::from(identity) << 32 | u64::from(number)),
            _ => Self::NONE,
        }
    }

    /// The section that the decoder `identity` gave its `number`th number to.
    pub(crate) fn of_section(identity: u32, number: NonZeroU32) -> Self {
        Self::of_entry(identity, number.get().into())
    }

    /// Bits of which the low ones differ where origins do, as far as bits can: for places in small tables.
    #[inline]
    pub(crate) const fn spread(self) -> usize {
        (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize
    }

    /// A line of our own with another name and the value of the line from here; each origin has at most one such line.
    pub(crate) const fn renamed(self) -> Self {
        if self.0 == 0 { Self::NONE } else { Self(self.0 | RENAMED) }
    }
}

/// Of the identities of decoders so many can be told apart.
const DECODERS_MAX: u32 = 1 << 30;

/// Marks the origins of lines that we have made with the value of one that came.
const RENAMED: u64 = 1 << 63;
/// Marks the origins of lines that are ours alone.
const OWN: u64 = 1 << 62;

/// Gives origins to lines and sections that we make and that come again, one after the other, each once. They do not run out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OwnOrigins(u64);

impl OwnOrigins {
    /// An origin that neither a line nor a section has had.
    pub(crate) fn next(&mut self) -> Origin {
        self.0 += 1;
        Origin(OWN | self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_never_stands_for_two_entries() {
        let last = u64::from(u32::MAX);
        assert!(
            Origin::of_entry(0, 1) != Origin::NONE && Origin::of_entry(0, last) != Origin::of_entry(1, last)
        );
        assert_eq!(Origin::of_entry(7, last + 1), Origin::NONE);
        assert_eq!(Origin::of_entry(7, last + 2), Origin::NONE);
        assert_eq!(Origin::of_entry(DECODERS_MAX, 1), Origin::NONE);
    }

    #[test]
    fn lines_of_our_own_have_origins_of_their_own() {
        let mut own = OwnOrigins::default();
        let came = Origin::of_entry(DECODERS_MAX - 1, 1);
        let all = [came, came.renamed(), Origin::of_entry(1, 1).renamed(), own.next(), own.next()];
        for (at, origin) in all.iter().enumerate() {
            assert!(*origin != Origin::NONE && !all[at + 1..].contains(origin));
        }
        assert_eq!(Origin::NONE.renamed(), Origin::NONE);
    }
}
