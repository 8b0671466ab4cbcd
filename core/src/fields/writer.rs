//! Sections made one after the other, each in place of the last: what is said over and over is looked at once.
//!
//! Clients ask for much the same each time, and servers answer so. A line that stands where it stood in the section before is compared with
//! that, which takes a fifth of what it takes to check it, to find out what it means and to hash it.

use super::lines::{Entry, Lines};
use super::{FIELD_OVERHEAD, FieldFacts, FieldName, FieldNames, FieldSection, Origin};

/// Makes the sections that an owner of a connection sends.
///
/// ```
/// use shuntyard_core::fields::FieldWriter;
///
/// let mut writer = FieldWriter::new(1);
/// for path in ["/", "/style.css"] {
///     writer.restart();
///     writer.push(b":method", b"GET");
///     writer.push(b":path", path.as_bytes());
///     writer.push_never_indexed(b"authorization", b"Basic YTpi");
///     assert_eq!(writer.section().get(b":path"), Some(path.as_bytes()));
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct FieldWriter {
    /// Lines side by side, without codes: those of this section, then what is left of the one before.
    section: FieldSection,
    seed: u64,
    written: Written,
    /// In what the lines that were written differ from those of the section before.
    change: Change,
    /// How many sections have in a row had the same form, as far as that is counted.
    alike: u8,
    /// The section, with a form that those before it had: whoever has seen one of them knows it by that, and compares no lines.
    formed: Option<FieldSection>,
}

/// From so many on, sections that have the same lines but for the value of `:path` get their form.
const ALIKE: u8 = 4;

/// Where a line has another length, and more octets than these stand behind it, those are made anew in place of being moved: a section whose lines all
/// have other lengths would be moved once for each.
const MOVED_MAX: usize = 2 << 10;

/// What there is of the section so far.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    lines: usize,
    octets: usize,
    names: FieldNames,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    #[default]
    None,
    /// The value of `:path`.
    Path,
    /// Anything else.
    Form,
}

impl FieldWriter {
    /// A writer without lines. `seed` is that of the connection, as for [`FieldFacts::of`].
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Begins another section.
    pub fn restart(&mut self) {
        self.written = Written::default();
    }

    /// Appends a line.
    #[inline]
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.line(name, value, false);
    }

    /// Appends a line that enters no compression table, here or at any later hop (RFC 7541 section 6.2.3).
    #[inline]
    pub fn push_never_indexed(&mut self, name: &[u8], value: &[u8]) {
        self.line(name, value, true);
    }

    /// The section that was written since [`restart`](Self::restart).
    pub fn section(&mut self) -> &FieldSection {
        let Written { lines, octets, names } = self.written;
        let own = self.section.lines_mut();
        let is_shorter = lines < own.entries.len();
        own.entries.truncate(lines);
        own.octets.truncate(octets);
        own.size = (octets + lines * FIELD_OVERHEAD) as u32;
        (own.names, own.origin) = (names, Origin::NONE);
        self.section.fit();
        match core::mem::take(&mut self.change) {
            change if is_shorter || change == Change::Form => (self.alike, self.formed) = (0, None),
            _ if self.alike < ALIKE => {
                self.alike += 1;
                self.formed = (self.alike == ALIKE).then(|| self.section.with_own_form()).flatten();
            }
            Change::Path => self.formed.iter_mut().for_each(|formed| formed.take_path_of(&self.section)),
            _ => {}
        }
        self.formed.as_ref().unwrap_or(&self.section)
    }

    /// Octets of memory held.
    pub fn capacity(&self) -> usize {
        self.section.capacity() + self.formed.as_ref().map_or(0, FieldSection::capacity)
    }

    #[inline(always)]
    fn line(&mut self, name: &[u8], value: &[u8], never_indexed: bool) {
        let Self { section, seed, written, change, .. } = self;
        let lines = section.lines_mut();
        let meaning = match lines.entries.get_mut(written.lines) {
            Some(entry) if entry.is(name, value, never_indexed, &lines.octets[written.octets..]) => {
                // A line before it may have become longer or shorter.
                entry.start = written.octets as u32;
                entry.facts.name
            }
            _ => {
                let (meaning, changed) = lines.rewrite(written, name, value, never_indexed, *seed);
                *change = changed.max(*change);
                meaning
            }
        };
        written.names.add(meaning);
        written.lines += 1;
        written.octets += name.len() + value.len();
    }
}

impl Entry {
    /// Whether these octets begin with that line, of which this is known.
    #[inline(always)]
    fn is(&self, name: &[u8], value: &[u8], never_indexed: bool, octets: &[u8]) -> bool {
        let lens = (name.len(), value.len(), never_indexed);
        if (self.name_len as usize, self.value_len as usize, self.never_indexed) != lens {
            return false;
        }
        let of_both = octets.get(..name.len() + value.len());
        of_both
            .map(|octets| octets.split_at(name.len()))
            .is_some_and(|own| is_same(own.0, name) && is_same(own.1, value))
    }
}

/// Whether two strings of one length are the same. Most are short, and need fewer instructions than a call.
#[inline(always)]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() > 16 {
        return a == b;
    }
    if let (Some(a), Some(b)) = (ends::<8>(a), ends::<8>(b)) {
        return a.map(|&end| u64::from_le_bytes(end)) == b.map(|&end| u64::from_le_bytes(end));
    }
    if let (Some(a), Some(b)) = (ends::<4>(a), ends::<4>(b)) {
        return a.map(|&end| u32::from_le_bytes(end)) == b.map(|&end| u32::from_le_bytes(end));
    }
    a == b
}

/// The first octets and the last, which may be some of the first once more.
#[inline(always)]
fn ends<const N: usize>(octets: &[u8]) -> Option<[&[u8; N]; 2]> {
    Some([octets.first_chunk()?, octets.last_chunk()?])
}

impl Lines {
    /// Puts a line in place of the one that stands behind those which are written, or behind all. Says what its name means, and
    /// in what it is another.
    #[inline(never)]
    fn rewrite(
        &mut self,
        written: &Written,
        name: &[u8],
        value: &[u8],
        never_indexed: bool,
        seed: u64,
    ) -> (FieldName, Change) {
        let (at, start) = (written.lines, written.octets);
        let old = self.entries.get(at).copied();
        let old_len = old.map_or(0, |old| old.octets_len());
        let behind = self.octets.len().saturating_sub(start + old_len);
        let is_moved = behind > MOVED_MAX && old_len != name.len() + value.len();
        let facts = match old {
            Some(old) if self.octets.get(start..start + old.name_len as usize) == Some(name) => {
                old.facts.with_value(value, seed)
            }
            _ => FieldFacts::of(name, value, seed),
        };
        if is_moved {
            self.entries.truncate(at);
            self.octets.truncate(start + old_len);
        }
        self.make_room(start, old_len, name.len() + value.len());
        let (of_name, behind) = self.octets[start..].split_at_mut(name.len());
        of_name.copy_from_slice(name);
        behind[..value.len()].copy_from_slice(value);
        let entry = Entry {
            start: start as u32,
            name_len: name.len() as u32,
            value_len: value.len() as u32,
            code_len: 0,
            facts,
            never_indexed,
            origin: Origin::NONE,
        };
        match self.entries.get_mut(at) {
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
        // Lines that were taken away are no lines of the section before any more, whatever follows.
        let is_path = !is_moved
            && old.is_some_and(|old| {
                (old.facts.name, old.never_indexed, facts.name)
                    == (FieldName::Path, never_indexed, FieldName::Path)
            });
        (facts.name, if is_path { Change::Path } else { Change::Form })
    }

    /// What stands behind so many octets from there on is moved, so that there are others in their place.
    fn make_room(&mut self, start: usize, old_len: usize, len: usize) {
        let all = self.octets.len() - old_len + len;
        if len > old_len {
            self.octets.resize(all, 0);
        }
        let tail = all - start - len;
        self.octets.copy_within(start + old_len..start + old_len + tail, start + len);
        self.octets.truncate(all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::FieldLine;

    const SEED: u64 = 7;

    type Line<'a> = (&'a str, &'a str, bool);

    fn written<'w>(writer: &'w mut FieldWriter, lines: &[Line<'_>]) -> &'w FieldSection {
        writer.restart();
        for (name, value, never_indexed) in lines {
            writer.line(name.as_bytes(), value.as_bytes(), *never_indexed);
        }
        writer.section()
    }

    /// Whatever was written before, a section is what it is when its lines are pushed by hand, with all that is known of them, and its
    /// octets lie side by side.
    #[test]
    fn what_was_written_before_is_not_seen() {
        let path = |path| vec![(":method", "GET", false), (":path", path, false), ("a", "b", false)];
        let sections: [Vec<Line<'_>>; 11] = [
            path("/"),
            path("/longer"),
            path("/s"),
            path(""),
            vec![(":method", "GET", false), (":path", "/s", true), ("a", "b", false)],
            vec![(":method", "GET", false), ("a", "b", false)],
            vec![],
            vec![(":metho", "dGET", false), ("ab", "", false), ("", "ab", false)],
            vec![(":method", "GET", false), ("ab", "c", false), ("abc", "", false), ("x", " ", false)],
            vec![(":method", "POST", false), ("content-length", "1", false), ("te", "trailers", false)],
            vec![("a", "b", true), ("a", "b", false)],
        ];
        let mut writer = FieldWriter::new(SEED);
        for before in &sections {
            for lines in &sections {
                written(&mut writer, before);
                let mut by_hand = FieldSection::new();
                for (name, value, never_indexed) in lines {
                    let line = FieldLine::new(name.as_bytes(), value.as_bytes(), SEED);
                    by_hand.push(if *never_indexed { line.never_indexed() } else { line });
                }
                let made = written(&mut writer, lines);
                assert!(made.iter().eq(by_hand.iter()), "{made:?} after {before:?}");
                assert_eq!((made.size(), made.origin()), (by_hand.size(), Origin::NONE));
                for meaning in [FieldName::Path, FieldName::Te, FieldName::Other] {
                    assert_eq!(made.has(meaning), by_hand.has(meaning), "{meaning:?} in {made:?}");
                }
                let mut end = 0;
                for line in writer.section.unread() {
                    assert_eq!(line.entry.start, end);
                    end += line.entry.name_len + line.entry.value_len;
                }
            }
        }
    }

    /// Where each line has another length than before, the others are not moved for each.
    #[test]
    fn long_sections_of_other_lengths_are_made_anew() {
        let lines = |len: usize| -> Vec<String> { (0..100).map(|n| format!("{n:0>len$}")).collect() };
        let mut writer = FieldWriter::new(SEED);
        for len in [100, 99, 101, 101, 20, 30] {
            let values = lines(len);
            let section: Vec<Line<'_>> = values.iter().map(|value| ("name", &**value, false)).collect();
            let made = written(&mut writer, &section);
            assert!(made.iter().map(|line| line.value).eq(values.iter().map(|value| value.as_bytes())));
            assert_eq!(made.size(), 100 * (4 + len + FIELD_OVERHEAD));
        }
        // The first line of a section that differs has the rest behind it: that is gone, and not moved.
        let values = lines(40);
        writer.restart();
        writer.push(b"name", values[0].as_bytes());
        assert_eq!(writer.section.len(), 1);
    }

    /// Sections that have a form, then one whose path has another length and stands last: what stood far behind the path before it is gone.
    #[test]
    fn a_form_keeps_no_lines_that_were_not_written() {
        let cookie = "c".repeat(MOVED_MAX);
        let mut writer = FieldWriter::new(SEED);
        for path in ["/1", "/2", "/3", "/4", "/5", "/6"] {
            written(&mut writer, &[(":path", path, false), ("cookie", &cookie, false)]);
        }
        assert!(writer.formed.is_some());
        for path in ["/longer", "/even/longer", "/"] {
            let made = written(&mut writer, &[(":path", path, false)]);
            assert!(made.iter().map(|line| line.value).eq([path.as_bytes()]), "{made:?}");
            assert_eq!(made.size(), 5 + path.len() + FIELD_OVERHEAD);
        }
    }

    /// A section that was begun, and never asked for, leaves nothing behind either.
    #[test]
    fn what_was_begun_is_not_seen() {
        let mut writer = FieldWriter::new(SEED);
        written(&mut writer, &[("a", "b", false), ("c", "d", false)]);
        writer.restart();
        writer.push(b"longer", b"than before");
        let lines = [("a", "b", false), ("c", "d", false), ("e", "f", true)];
        let read = |made: &FieldSection| made.iter().map(|line| line.name.to_vec()).collect::<Vec<_>>();
        assert_eq!(read(written(&mut writer, &lines)), [b"a", b"c", b"e"]);
        let large = "v".repeat(60_000);
        written(&mut writer, &[("a", &large, false)]);
        assert!(writer.capacity() > 60_000);
        written(&mut writer, &lines);
        assert!(writer.capacity() < 10_000, "{}", writer.capacity());
    }
}
