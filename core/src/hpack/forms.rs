//! Blocks that differ from known ones in the value of `:path` alone.
//!
//! What stands before and behind the value, and the section without it, is kept of those of which it was seen twice. A block that begins and
//! ends like that, with one string between, says the same but for the path, as long as the table is what it was: octets in front are
//! read before the string, and what is behind it does not hang on it.

use super::dynamic_table::TableState;
use super::integer;
use crate::fields::{FieldForm, FieldSection, Origin, fingerprint};

/// How many are kept: a browser asks for pages in one way, and for what is in them in another.
const KEPT: usize = 2;
/// The longest block that is kept, in octets, without the string.
const OCTETS_MAX: usize = 64;
/// The largest section that is kept, without the value of its path.
const SECTION_MAX: usize = 1 << 10;

/// What was seen of blocks, and what is kept of them. Small where nothing is.
#[derive(Clone, Debug, Default)]
pub(super) struct Forms {
    /// Hashes, the newest first.
    seen: [u32; KEPT],
    kept: Option<Box<[Option<Kept>; KEPT]>>,
}

#[derive(Clone, Debug)]
struct Kept {
    /// What stands before the string, and what stands behind it.
    octets: Box<[u8]>,
    before: usize,
    table: TableState,
    form: FieldForm,
}

/// A block in which the value of a `:path` is a string literal (RFC 7541 section 5.2) that enters no table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    before: &'a [u8],
    behind: &'a [u8],
}

impl<'a> Parts<'a> {
    /// The string begins where so many octets are left, and so many are left behind it.
    pub(super) fn of(block: &'a [u8], (from, behind): (usize, usize)) -> Option<Self> {
        let before = block.get(..block.len().checked_sub(from)?)?;
        let behind = block.get(block.len().checked_sub(behind)?..)?;
        Some(Self { before, behind })
    }
}

impl Forms {
    /// The form of the section that the block means, if that is known, and the string that is its path.
    #[inline]
    pub(super) fn find<'b>(&self, block: &'b [u8], table: TableState) -> Option<(&FieldForm, &'b [u8])> {
        let string_in = |kept: &Kept| {
            let (before, behind) = kept.octets.split_at(kept.before);
            let string = block.strip_prefix(before)?.strip_suffix(behind)?;
            (kept.table == table && is_string(string)).then_some(string)
        };
        let mut kept = self.kept.as_deref()?.iter().flatten();
        kept.find_map(|kept| string_in(kept).map(|string| (&kept.form, string)))
    }

    /// A block of these parts was read as this section and has left the table what it is. If it is the second one, its form is kept, by the
    /// origin that there is for it.
    pub(super) fn read(
        &mut self,
        parts: Parts<'_>,
        table: TableState,
        section: &FieldSection,
        origin: impl FnOnce() -> Option<Origin>,
    ) {
        let Parts { before, behind } = parts;
        if before.len() + behind.len() > OCTETS_MAX {
            return;
        }
        // Whoever makes two collide has one kept that does not come again, and nothing else.
        let hash = fingerprint(fingerprint(table.inserted, before).into(), behind);
        if !self.seen.contains(&hash) {
            self.seen = [hash, self.seen[0]];
            return;
        }
        let Some(form) = origin().and_then(|origin| FieldForm::of(section, origin)) else { return };
        if form.size().0 > SECTION_MAX {
            return;
        }
        let kept = self.kept.get_or_insert_default();
        let octets = [before, behind].concat().into();
        let [newer, older] = &mut **kept;
        *older = newer.replace(Kept { octets, before: before.len(), table, form });
    }

    /// Octets of memory held.
    pub(super) fn capacity(&self) -> usize {
        let of = |kept: &Kept| kept.octets.len() + kept.form.capacity();
        let all = self.kept.iter().flat_map(|kept| kept.iter().flatten());
        self.kept.as_ref().map_or(0, |kept| size_of_val(&**kept)) + all.map(of).sum::<usize>()
    }
}

/// Whether these octets are one string literal (RFC 7541 section 5.2).
#[inline]
fn is_string(octets: &[u8]) -> bool {
    integer::decode(octets, 7).is_ok_and(|(len, at)| octets.len() - at == len as usize)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::fields::{FieldLine, OwnOrigins};
    use crate::hpack::dynamic_table::DynamicTable;

    pub(in crate::hpack) fn section(lines: &[(&str, &str)]) -> FieldSection {
        let mut fields = FieldSection::new();
        lines.iter().for_each(|(name, value)| {
            fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), 1));
        });
        fields
    }

    fn reads(forms: &mut Forms, own: &mut OwnOrigins, block: &[u8], cut: (usize, usize), table: TableState) {
        let parts = Parts::of(block, cut).expect("it is in there");
        forms.read(parts, table, &section(&[(":method", "GET"), (":path", "/a")]), || Some(own.next()));
    }

    #[test]
    fn a_form_is_kept_from_the_second_time_on_while_the_table_is_what_it_was() {
        let (mut forms, mut own) = (Forms::default(), OwnOrigins::default());
        let mut table = DynamicTable::<()>::new(100);
        let now = table.state();
        reads(&mut forms, &mut own, &[0x82, 4, 2, b'/', b'a', 0x86], (4, 1), now);
        assert!(forms.find(&[0x82, 4, 2, b'/', b'a', 0x86], now).is_none() && forms.capacity() == 0);
        reads(&mut forms, &mut own, &[0x82, 4, 1, b'/', 0x86], (3, 1), now);
        assert!((1..1024).contains(&forms.capacity()), "{}", forms.capacity());
        let string =
            |forms: &Forms, block: &[u8], table| forms.find(block, table).map(|(_, string)| string.to_vec());
        let string = |block: &[u8]| string(&forms, block, now);
        assert_eq!(string(&[0x82, 4, 3, b'/', b'b', b'c', 0x86]), Some(vec![3, b'/', b'b', b'c']));
        assert_eq!(string(&[0x82, 4, 0x81, 0x86, 0x86]), Some(vec![0x81, 0x86]));
        assert_eq!(string(&[0x82, 4, 0, 0x86]), Some(vec![0]), "an empty one");
        // Another name or mark; another line in front or behind; one more, or one less; too long or too short a string; none.
        for other in [
            &[0x82, 0x14, 1, b'/', 0x86][..],
            &[0x82, 5, 1, b'/', 0x86],
            &[0x83, 4, 1, b'/', 0x86],
            &[0x82, 4, 1, b'/', 0x87],
            &[0x82, 4, 1, b'/', 0x86, 0x86],
            &[0x82, 4, 1, b'/', 0x90, 0x86],
            &[0x82, 4, 1, b'/'],
            &[0x82, 4, 2, b'/', 0x86],
            &[0x82, 4, 0, b'/', 0x86],
            &[0x82, 4, 0xff, 0x86],
            &[0x82, 4, 0x86],
            &[0x82, 4],
            &[],
        ] {
            assert_eq!(string(other), None, "{other:x?}");
        }
        table.insert(b"name", b"value", ());
        assert!(forms.find(&[0x82, 4, 1, b'/', 0x86], table.state()).is_none());
    }

    #[test]
    fn two_are_kept_and_none_without_bounds() {
        let (mut forms, mut own) = (Forms::default(), OwnOrigins::default());
        let table = DynamicTable::<()>::new(100).state();
        let block = |n: u8| [0x80 | n, 4, 1, b'/'];
        for n in [1, 2, 1, 2, 3, 3] {
            reads(&mut forms, &mut own, &block(n), (2, 0), table);
        }
        let known = [1, 2, 3].map(|n| forms.find(&block(n), table).is_some());
        assert_eq!(known, [false, true, true]);
        let origin = |n| forms.find(&block(n), table).map(|(form, _)| form.origin());
        assert_ne!(origin(2), origin(3));

        let mut forms = Forms::default();
        let long = [&[0x82; OCTETS_MAX][..], &[4, 1, b'/']].concat();
        let first = block(1);
        let parts = Parts::of(&first, (2, 0)).expect("it is in there");
        let large = section(&[(":path", "/"), ("x", &"v".repeat(SECTION_MAX))]);
        let doubled = section(&[(":path", "/"), (":path", "/")]);
        for _ in 0..3 {
            reads(&mut forms, &mut own, &long, (2, 0), table);
            forms.read(parts, table, &large, || Some(own.next()));
            forms.read(parts, table, &doubled, || Some(own.next()));
        }
        forms.read(parts, table, &section(&[(":path", "/")]), || None);
        assert_eq!(forms.capacity(), 0);
        assert!(Parts::of(&first, (5, 0)).is_none() && Parts::of(&first, (2, 5)).is_none());
    }
}
