//! Field sections that are sent again although nobody says that they are: recognised by their lines, whatever their path.
//!
//! Sections that came over HTTP/2 and came again say so, by their [`Origin`](crate::fields::Origin), and leave as the block that they
//! left as before ([`Resent`](super::resent::Resent)). Those that were made here, or came over HTTP/1.1, do not: what an
//! owner of a connection sends over and over is compared, which takes less than to encode it.

use super::dynamic_table::TableState;
use crate::fields::{FieldForm, FieldSection, Unread};

/// How many are kept: requests of one kind, and of another.
const KEPT: usize = 2;
/// The longest block that is kept, in octets, without the path.
const BLOCK_MAX: usize = 64;
/// The largest section that is kept.
const SECTION_MAX: usize = 1 << 10;

/// Where what was kept last was of no use, one in so many takes its place: whoever sends for many others has more kinds than are kept.
const IN_VAIN: u8 = 64;

/// What was seen of sections, and what is kept of them. Small where nothing is.
#[derive(Clone, Debug, Default)]
pub(super) struct Recognised {
    /// Hashes, the newest first.
    seen: [u32; KEPT],
    kept: Option<Box<Memory>>,
}

#[derive(Clone, Debug, Default)]
struct Memory {
    kept: [Option<Kept>; KEPT],
    /// How many could have been kept since one of these was of use.
    in_vain: u8,
}

#[derive(Clone, Debug)]
struct Kept {
    table: TableState,
    form: FieldForm,
    /// The block, without what stands for the path.
    octets: Box<[u8]>,
    before: usize,
}

/// What a section is encoded to, but for its path.
pub(super) struct Found<'k, 'a> {
    pub(super) before: &'k [u8],
    pub(super) path: Option<Unread<'a>>,
    pub(super) behind: &'k [u8],
}

impl Recognised {
    /// What stands before the path and behind it, and the path, where a section of this form was kept when the table was this. Where the
    /// section has no path, both together are its block.
    pub(super) fn find<'a>(&self, fields: &'a FieldSection, table: TableState) -> Option<Found<'_, 'a>> {
        let mut kept = self.kept.as_deref()?.kept.iter().flatten().filter(|kept| kept.table == table);
        kept.find_map(|kept| {
            let path = kept.form.recognise(fields)?;
            let (before, behind) = kept.octets.split_at(kept.before);
            Some(Found { before, path, behind })
        })
    }

    /// What was found is sent.
    pub(super) fn was_of_use(&mut self) {
        if let Some(memory) = &mut self.kept {
            memory.in_vain = 0;
        }
    }

    /// The section was encoded to octets of which these stand before its path and behind it, and has left the table what it is. If it is
    /// the second of its form, that is kept.
    pub(super) fn encoded(
        &mut self,
        fields: &FieldSection,
        table: TableState,
        (before, behind): (&[u8], &[u8]),
    ) {
        if before.len() + behind.len() > BLOCK_MAX || fields.size() > SECTION_MAX {
            return;
        }
        let hash = fields.form_hash() as u32 ^ table.inserted as u32;
        if !self.seen.contains(&hash) {
            self.seen = [hash, self.seen[0]];
            return;
        }
        if let Some(memory) = &mut self.kept {
            memory.in_vain = (memory.in_vain + 1) % IN_VAIN;
            if memory.in_vain > KEPT as u8 {
                return;
            }
        }
        let Some(form) = FieldForm::to_recognise(fields) else { return };
        let octets = [before, behind].concat().into();
        let [newer, older] = &mut self.kept.get_or_insert_default().kept;
        *older = newer.replace(Kept { table, form, octets, before: before.len() });
    }

    /// Octets of memory held.
    pub(super) fn capacity(&self) -> usize {
        let of = |kept: &Kept| kept.octets.len() + kept.form.capacity();
        let Some(memory) = &self.kept else { return 0 };
        size_of_val(&**memory) + memory.kept.iter().flatten().map(of).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::FieldLine;
    use crate::hpack::dynamic_table::DynamicTable;
    use crate::hpack::forms::tests::section;

    fn find<'a>(
        recognised: &'a Recognised,
        fields: &FieldSection,
        table: TableState,
    ) -> Option<(&'a [u8], &'a [u8])> {
        recognised.find(fields, table).map(|found| (found.before, found.behind))
    }

    #[test]
    fn a_section_is_recognised_from_the_third_time_on_while_the_table_is_what_it_was() {
        let (mut recognised, mut table) = (Recognised::default(), DynamicTable::<()>::new(100));
        let now = table.state();
        let of = |path| section(&[(":method", "GET"), (":path", path), ("a", "b")]);
        recognised.encoded(&of("/1"), now, (&[1], &[2, 3]));
        assert!(find(&recognised, &of("/1"), now).is_none() && recognised.capacity() == 0);
        recognised.encoded(&of("/22"), now, (&[1], &[2, 3]));
        assert!((1..1024).contains(&recognised.capacity()), "{}", recognised.capacity());
        for path in ["/1", "/3", "", "/"] {
            assert_eq!(find(&recognised, &of(path), now), Some((&[1][..], &[2, 3][..])));
        }
        let mut marked = of("/1");
        marked.push(FieldLine::new(b"c", b"", 1).never_indexed());
        let mut marked_path = FieldSection::new();
        marked_path.push(FieldLine::new(b":method", b"GET", 1));
        marked_path.push(FieldLine::new(b":path", b"/1", 1).never_indexed());
        marked_path.push(FieldLine::new(b"a", b"b", 1));
        for other in [
            &section(&[(":method", "GET"), (":path", "/1"), ("a", "c")]),
            &section(&[(":method", "GET"), ("a", "b"), (":path", "/1")]),
            &section(&[(":method", "GET"), ("a", "b")]),
            &section(&[(":method", "GET"), (":path", "/1"), (":path", "/1"), ("a", "b")]),
            &section(&[(":method", "GET"), (":path", "/1"), (":path", "/1")]),
            &marked,
            &marked_path,
        ] {
            assert!(find(&recognised, other, now).is_none(), "{other:?}");
        }
        table.insert(b"name", b"value", ());
        assert!(find(&recognised, &of("/1"), table.state()).is_none());
    }

    #[test]
    fn two_are_kept_with_and_without_a_path_and_none_without_bounds() {
        let mut recognised = Recognised::default();
        let table = DynamicTable::<()>::new(100).state();
        let of = |status| section(&[(":status", status)]);
        for status in ["200", "404", "200", "404", "500", "500"] {
            recognised.encoded(&of(status), table, (status.as_bytes(), &[]));
        }
        let known = ["200", "404", "500"].map(|status| find(&recognised, &of(status), table));
        assert_eq!(known, [None, Some((&b"404"[..], &[][..])), Some((&b"500"[..], &[][..]))]);

        let mut recognised = Recognised::default();
        let large = section(&[("x", &"v".repeat(SECTION_MAX))]);
        let doubled = section(&[(":path", "/"), (":path", "/")]);
        for _ in 0..3 {
            recognised.encoded(&of("200"), table, (&[1; BLOCK_MAX], &[1]));
            recognised.encoded(&large, table, (&[1], &[]));
            recognised.encoded(&doubled, table, (&[1], &[]));
        }
        assert_eq!(recognised.capacity(), 0);
    }

    /// The memory bound takes 1.75 KiB for each; what their lines are counted by is not counted here.
    #[test]
    fn two_of_any_shape_are_kept_in_the_memory_that_is_accounted_for_them() {
        let (many, wide) = ([""; SECTION_MAX / 33], [&*"v".repeat(SECTION_MAX - 33)]);
        for values in [&many[..], &wide] {
            let mut recognised = Recognised::default();
            let table = DynamicTable::<()>::new(100).state();
            for name in ["m", "n"] {
                let fields = section(&values.iter().map(|value| (name, *value)).collect::<Vec<_>>());
                (0..2).for_each(|_| recognised.encoded(&fields, table, (&[1; BLOCK_MAX], &[])));
                assert!(find(&recognised, &fields, table).is_some(), "it is kept");
            }
            assert!(recognised.capacity() <= 2 * (1792 - 80), "{}", recognised.capacity());
        }
    }

    #[test]
    fn who_sends_of_too_many_kinds_hardly_ever_keeps_one() {
        let mut recognised = Recognised::default();
        let table = DynamicTable::<()>::new(100).state();
        let mut kept_of = |uses: bool| {
            let kinds = (0..1000).map(|n: u32| section(&[("n", &n.to_string())]));
            let kept = kinds.filter(|fields| {
                (0..2).for_each(|_| recognised.encoded(fields, table, (&[1], &[])));
                if uses {
                    recognised.was_of_use();
                }
                find(&recognised, fields, table).is_some()
            });
            kept.count()
        };
        assert!((10..100).contains(&kept_of(false)));
        assert!(kept_of(true) > 900);
    }
}
