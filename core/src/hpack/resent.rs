//! Field sections that are sent again leave as the block that they left as before.
//!
//! A block that has changed no table says the same as long as the table stays as it is. Sections are told apart by their
//! [`Origin`]: only those that came again have one, so that nothing is kept of any other. Of those that have their form in common what
//! stands around the path is kept, by the origin of that.

use super::dynamic_table::TableState;
use crate::fields::Origin;

/// How many blocks are kept at first, and at most. Powers of two.
const PLACES_MIN: usize = 2;
const PLACES_MAX: usize = 32;
/// The longest block that is kept, in octets: some thirty indexed fields, or a dozen and a short literal.
const BLOCK_MAX: usize = 38;

/// The blocks of sections that may be sent again; without memory until one was.
#[derive(Clone, Debug, Default)]
pub(super) struct Resent {
    blocks: Box<[Block]>,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    origin: Origin,
    /// What the table was when it was made, and is still.
    table: TableState,
    len: u8,
    /// Of a form: how many octets stand before the path. Of a section: [`WHOLE`].
    before: u8,
    octets: [u8; BLOCK_MAX],
}

/// No block has so many octets.
const WHOLE: u8 = u8::MAX;

impl Block {
    const NONE: Self =
        Self { origin: Origin::NONE, table: TableState::NONE, len: 0, before: WHOLE, octets: [0; BLOCK_MAX] };
}

/// What is known of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known<'a> {
    Whole(&'a [u8]),
    /// What stands before the path, and behind it.
    Around(&'a [u8], &'a [u8]),
}

impl Resent {
    /// The block of the section or form from there, if it was kept when the table was this.
    #[inline]
    pub(super) fn find(&self, origin: Origin, table: TableState) -> Option<Known<'_>> {
        let block = self.blocks.get(self.place_of(origin))?;
        if block.origin != origin || block.table != table || origin == Origin::NONE {
            return None;
        }
        let octets = block.octets.get(..usize::from(block.len))?;
        match block.before {
            WHOLE => Some(Known::Whole(octets)),
            before => {
                octets.split_at_checked(before.into()).map(|(before, behind)| Known::Around(before, behind))
            }
        }
    }

    /// The section from there was encoded to these octets, which has left the table what it is.
    pub(super) fn keep(&mut self, origin: Origin, table: TableState, octets: &[u8]) {
        self.put(Block { origin, table, ..Block::NONE }, octets, &[]);
    }

    /// A section of the form from there was encoded to octets of which these stand before its path and behind it, likewise. So would be any
    /// other that has the form.
    pub(super) fn keep_form(&mut self, form: Origin, table: TableState, before: &[u8], behind: &[u8]) {
        let len = before.len() as u8;
        self.put(Block { origin: form, table, before: len, ..Block::NONE }, before, behind);
    }

    fn put(&mut self, mut block: Block, before: &[u8], behind: &[u8]) {
        let (origin, table, len) = (block.origin, block.table, before.len() + behind.len());
        let Some(room) = block.octets.get_mut(..len).filter(|_| origin != Origin::NONE) else { return };
        let (front, back) = room.split_at_mut(before.len());
        front.copy_from_slice(before);
        back.copy_from_slice(behind);
        block.len = len as u8;
        if self.blocks.is_empty() {
            self.blocks = [Block::NONE; PLACES_MIN].into();
        }
        let place = self.blocks[self.place_of(origin)];
        let taken = place.origin != origin && place.origin != Origin::NONE && place.table == table;
        let wider = self.blocks.len() * 2;
        if taken && wider <= PLACES_MAX {
            let old = core::mem::replace(&mut self.blocks, vec![Block::NONE; wider].into());
            for other in old.into_iter().filter(|other| other.table == table) {
                let place = self.place_of(other.origin);
                self.blocks[place] = other;
            }
        }
        let place = self.place_of(origin);
        self.blocks[place] = block;
    }

    /// Octets of memory held.
    pub(super) fn capacity(&self) -> usize {
        size_of_val(&*self.blocks)
    }

    /// Where the block of a section stands, an index of `blocks` unless that is empty.
    #[inline]
    fn place_of(&self, origin: Origin) -> usize {
        origin.spread() & self.blocks.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::OwnOrigins;
    use crate::hpack::dynamic_table::DynamicTable;

    #[test]
    fn blocks_are_kept_while_the_table_is_what_it_was_and_within_bounds() {
        let mut table = DynamicTable::<()>::new(100);
        let before = table.state();
        table.insert(b"name", b"value", ());
        let now = table.state();
        table.resize(99);
        let smaller = table.state();
        table.insert(b"name", &[b'v'; 100], ());
        let emptied = table.state();

        let mut resent = Resent::default();
        let mut own = OwnOrigins::default();
        let origins: Vec<_> = (0..200).map(|_| own.next()).collect();
        let none = (resent.find(origins[0], before), resent.find(Origin::NONE, before), resent.capacity());
        assert_eq!(none, (None, None, 0));
        resent.keep(Origin::NONE, before, &[1]);
        resent.keep(origins[0], before, &[1; BLOCK_MAX + 1]);
        assert_eq!(resent.capacity(), 0, "neither can come again");
        for (n, &origin) in origins.iter().enumerate() {
            let block = [n as u8; BLOCK_MAX];
            resent.keep(origin, now, &block);
            assert_eq!(resent.find(origin, now), Some(Known::Whole(&block[..])));
            for other in [before, smaller, emptied] {
                assert_eq!(resent.find(origin, other), None);
            }
        }
        assert_eq!(resent.capacity(), PLACES_MAX * 64);
        let kept = origins.iter().filter(|&&origin| resent.find(origin, now).is_some()).count();
        assert!(kept > PLACES_MAX / 2, "{kept}");
        for table in [now, TableState::NONE] {
            assert_eq!(resent.find(Origin::NONE, table), None, "an empty place is no section's");
        }
    }

    #[test]
    fn of_a_form_what_stands_around_the_path_is_kept() {
        let (mut resent, mut own) = (Resent::default(), OwnOrigins::default());
        let (now, other) = (TableState::NONE, DynamicTable::<()>::new(100).state());
        let long = [7; BLOCK_MAX];
        for (before, behind) in [(&[1, 2][..], &[3][..]), (&[], &[4]), (&[5], &[]), (&[], &[]), (&long, &[])]
        {
            let form = own.next();
            assert_eq!(resent.find(form, now), None);
            resent.keep_form(form, now, before, behind);
            assert_eq!(resent.find(form, now), Some(Known::Around(before, behind)));
            assert_eq!(resent.find(form, other), None);
        }
        let form = own.next();
        resent.keep_form(form, now, &long, &[1]);
        resent.keep_form(Origin::NONE, now, &[1], &[1]);
        assert_eq!((resent.find(form, now), resent.find(Origin::NONE, now)), (None, None));
    }
}
