//! Field sections as they travel from decoder to encoder: an arena of octets and a small index, never a map.
//!
//! What is known of a field line ([`FieldFacts`]) is computed once, where its octets enter (for a line that an HPACK
//! table holds: when the entry is inserted), and copied with the line from then on. Nobody looks at the octets of an
//! indexed field again.

use std::sync::Arc;

mod change;
mod facts;
mod form;
mod lines;
mod name;
mod origin;
mod repeats;
mod shared;
mod writer;

pub use change::FieldChanges;
pub use facts::FieldFacts;
pub(crate) use facts::fingerprint;
use facts::{MULTIPLIER, mix};
pub(crate) use form::FieldForm;
use lines::{Entry, line};
pub(crate) use lines::{Lines, Unread};
pub use name::FieldName;
use name::FieldNames;
pub use origin::Origin;
pub(crate) use origin::OwnOrigins;
pub(crate) use repeats::Repeats;
pub use shared::{SharedLine, SharedLines};
pub use writer::FieldWriter;

/// Overhead of a field line in the size of a section (RFC 9113 section 6.5.2) and of a table entry (RFC 7541 section 4.1).
pub const FIELD_OVERHEAD: usize = 32;

/// What a section may hold however small it is: memory is used again and again.
const ORDINARY_OCTETS: usize = 4 << 10;

/// One field line, borrowed from its section or made by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldLine<'a> {
    /// The name, in lower case where it is well formed.
    pub name: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// What is known of both, and believed by whoever sends the line: encoders write the line that the facts and the origin name. Another value
    /// has others ([`with_value`](Self::with_value)).
    pub facts: FieldFacts,
    /// Never to be put into a compression table, by us or by any later hop (RFC 7541 section 6.2.3).
    pub never_indexed: bool,
    /// The table entry it came from.
    pub origin: Origin,
}

impl<'a> FieldLine<'a> {
    /// A line made by hand. `seed` as for [`FieldFacts::of`].
    pub fn new(name: &'a [u8], value: &'a [u8], seed: u64) -> Self {
        let facts = FieldFacts::of(name, value, seed);
        Self { name, value, facts, never_indexed: false, origin: Origin::NONE }
    }

    /// The same line, marked never to be indexed.
    pub fn never_indexed(self) -> Self {
        Self { never_indexed: true, ..self }
    }

    /// Its share of the size of a section (RFC 9113 section 6.5.2).
    pub fn size(&self) -> usize {
        self.name.len() + self.value.len() + FIELD_OVERHEAD
    }
}

/// Field lines in order of arrival: a header section (pseudo-header fields included) or a trailer section.
///
/// ```
/// use shuntyard_core::fields::{FieldLine, FieldSection};
///
/// let mut fields = FieldSection::new();
/// fields.push(FieldLine::new(b":method", b"GET", 0));
/// fields.push(FieldLine::new(b"accept", b"*/*", 0));
/// assert_eq!(fields.get(b"accept"), Some(&b"*/*"[..]));
/// assert_eq!(fields.size(), 7 + 3 + 32 + 6 + 3 + 32);
/// ```
///
/// Sections that come again share their memory: one of them is copied when it is altered.
#[derive(Clone, Default)]
pub struct FieldSection {
    /// What is said here of all lines is said of the section, wherever its lines are.
    own: Lines,
    /// In place of its own: what others have as well. If there is a line beside, what is shared is a [`FieldForm`], and that is its path.
    shared: Option<Arc<Lines>>,
}

impl core::fmt::Debug for FieldSection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl FieldSection {
    /// An empty section. Allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty section with memory for the lines of most messages, so that it is asked for once.
    pub(crate) fn roomy() -> Self {
        let (octets, entries) = (Vec::with_capacity(512), Vec::with_capacity(24));
        Self { own: Lines { octets, entries, ..Lines::default() }, shared: None }
    }

    /// The lines, but for a path that stands apart.
    #[inline]
    fn lines(&self) -> &Lines {
        self.shared.as_deref().unwrap_or(&self.own)
    }

    /// The lines to be added to, or altered: nobody else's.
    #[inline]
    pub(crate) fn lines_mut(&mut self) -> &mut Lines {
        if self.shared.is_some() {
            self.part();
        }
        &mut self.own
    }

    #[cold]
    fn part(&mut self) {
        match self.shared.take() {
            Some(lines) if self.own.entries.is_empty() => self.own.copy_from(&lines),
            Some(form) => self.own.complete(&form),
            None => {}
        }
    }

    /// The same section, to be kept: whoever has it from there copies nothing.
    #[inline]
    pub(crate) fn share(&self) -> Self {
        match &self.shared {
            Some(shared) if self.own.entries.is_empty() => Self::of_shared(Arc::clone(shared)),
            _ => self.share_own(),
        }
    }

    #[inline]
    fn of_shared(lines: Arc<Lines>) -> Self {
        let Lines { size, names, origin, .. } = *lines;
        Self { own: Lines { size, names, origin, ..Lines::default() }, shared: Some(lines) }
    }

    #[cold]
    fn share_own(&self) -> Self {
        match self.shared {
            // Its path is its own.
            Some(_) => self.clone(),
            None => Self::of_shared(Arc::new(self.own.clone())),
        }
    }

    /// Sees to it that lines can be altered without asking for memory: where others share them, they are copied to this.
    pub(crate) fn move_to(&mut self, memory: impl FnOnce() -> Self) {
        if self.shared.is_some() {
            if self.own.capacity() == 0 {
                self.own = memory().own;
            }
            self.part();
        }
    }

    /// Removes all lines and keeps the memory that is its own.
    pub fn clear(&mut self) {
        self.shared = None;
        self.own.clear();
    }

    /// Becomes empty with the memory of another one, if that has any of its own.
    pub(crate) fn take_memory_of(&mut self, mut other: Self) {
        other.clear();
        if other.has_memory() {
            *self = other;
        }
    }

    /// Whether it has memory of its own.
    #[inline(always)]
    pub(crate) fn has_memory(&self) -> bool {
        self.own.octets.capacity() > 0 || self.own.entries.capacity() > 0
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lines().entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines().entries.is_empty()
    }

    /// The size by which SETTINGS_MAX_HEADER_LIST_SIZE counts (RFC 9113 section 6.5.2), in octets.
    pub fn size(&self) -> usize {
        self.own.size as usize
    }

    /// What all sections have in common that came with the same: the same lines in the same order, with the same marks. None of one that
    /// came for the first time, that was made by hand, or of which a line was altered.
    #[inline]
    pub fn origin(&self) -> Origin {
        self.own.origin
    }

    /// The section is what it will be wherever it has this origin.
    pub(crate) fn set_origin(&mut self, origin: Origin) {
        self.lines_mut().origin = origin;
    }

    /// A hash of all lines, without a look at their octets. It tells apart what nobody has made to collide.
    pub(crate) fn hash(&self) -> u64 {
        hash_of(self.unread().map(|line| (line.facts(), true)))
    }

    /// Octets of memory that the section holds on to, alone or with others.
    pub fn capacity(&self) -> usize {
        self.own.capacity() + self.shared.as_ref().map_or(0, |lines| lines.capacity())
    }

    /// Gives memory back that lines before these have needed, or lines that were taken out, and these do not: of a section that is
    /// kept for long.
    #[inline(always)]
    pub(crate) fn fit(&mut self) {
        if self.own.capacity() > ORDINARY_OCTETS.max(2 * self.own.size as usize) {
            self.own.fit();
        }
    }

    /// Appends a line. Sections are bounded by whoever fills them, far below 4 GiB.
    pub fn push(&mut self, line: FieldLine<'_>) {
        let lines = self.lines_mut();
        let start = lines.octets.len();
        lines.octets.extend_from_slice(line.name);
        lines.octets.extend_from_slice(line.value);
        lines.push_drafted(start, line.name.len(), &line.facts, line.never_indexed, line.origin);
    }

    /// Appends a line whose name and value lie side by side.
    #[inline]
    pub(crate) fn push_joined(&mut self, octets: &[u8], name_len: usize, facts: &FieldFacts, origin: Origin) {
        self.lines_mut().push_joined(octets, name_len, facts, origin);
    }

    /// Appends a line with the value of the first that means `of`, if there is one; `know` says of it what is known.
    pub(crate) fn push_value_of(
        &mut self,
        of: FieldName,
        name: &[u8],
        know: impl FnOnce(&FieldLine<'_>) -> (FieldFacts, Origin),
    ) {
        if !self.has(of) {
            return;
        }
        let lines = self.lines_mut();
        let Some(entry) = lines.find(of) else { return };
        let (facts, origin) = know(&lines.line(entry));
        // Under another name it is as secret as before (RFC 7541 section 7.1.3).
        let never_indexed = entry.never_indexed;
        let value = entry.start as usize + entry.name_len as usize;
        let value = value..value + entry.value_len as usize;
        let start = lines.octets.len();
        lines.octets.extend_from_slice(name);
        lines.octets.extend_from_within(value);
        lines.push_drafted(start, name.len(), &facts, never_indexed, origin);
    }

    /// The lines in order, for whom what is known of them is mostly enough.
    #[inline]
    pub(crate) fn unread(&self) -> impl ExactSizeIterator<Item = Unread<'_>> + Clone {
        let Lines { octets, entries, .. } = self.lines();
        let path = self.form().map(|(_, path)| path);
        entries.iter().map(move |entry| {
            let apart = path.filter(|_| entry.facts.name == FieldName::Path);
            apart.unwrap_or(Unread { octets, entry })
        })
    }

    /// Whether there is a line whose name means this.
    #[inline]
    pub fn has(&self, name: FieldName) -> bool {
        self.own.names.has(name)
    }

    /// The lines in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = FieldLine<'_>> + Clone {
        self.unread().map(Unread::read)
    }

    /// The value of the first line with this name.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|line| line.name == name).map(|line| line.value)
    }

    /// The value of the first line with this name, found without looking at octets. Not for [`FieldName::Other`].
    #[inline]
    pub fn value_of(&self, name: FieldName) -> Option<&[u8]> {
        if !self.has(name) {
            return None;
        }
        let lines = match &self.shared {
            Some(shared) if name != FieldName::Path || self.own.entries.is_empty() => shared,
            _ => &self.own,
        };
        lines.find(name).map(|entry| lines.line(entry).value)
    }

    /// Keeps the lines for which `keep` holds. Their octets stay until the section is cleared.
    pub fn retain(&mut self, mut keep: impl FnMut(FieldLine<'_>) -> bool) {
        let Lines { octets, entries, size, names, origin } = self.lines_mut();
        let before = entries.len();
        (*size, *names) = (0, FieldNames::NONE);
        entries.retain(|entry| {
            let line = line(octets, entry);
            let kept = keep(line);
            if kept {
                *size += line.size() as u32;
                names.add(line.facts.name);
            }
            kept
        });
        if entries.len() != before {
            *origin = Origin::NONE;
        }
    }

    /// Removes the lines with this name, of which these facts are known.
    pub(crate) fn remove(&mut self, name: &[u8], facts: &FieldFacts) {
        let same = |entry: &Entry| entry.facts.name_hash == facts.name_hash;
        if self.has(facts.name) && self.lines().entries.iter().any(same) {
            self.retain(|line| line.facts.name_hash != facts.name_hash || line.name != name);
        }
    }

    /// Gives the first line with this name another value, where it is; says whether there is one. Not for
    /// [`FieldName::Other`].
    pub(crate) fn replace_value(&mut self, name: FieldName, value: &[u8], seed: u64) -> bool {
        if !self.has(name) {
            return false;
        }
        let Lines { octets, entries, size, origin, .. } = self.lines_mut();
        let Some(entry) = entries.iter_mut().find(|entry| entry.facts.name == name) else {
            return false;
        };
        let (old, name_len) = (entry.start as usize, entry.name_len as usize);
        entry.start = octets.len() as u32;
        octets.extend_from_within(old..old + name_len);
        octets.extend_from_slice(value);
        *size = *size - entry.value_len + value.len() as u32;
        (entry.value_len, entry.code_len) = (value.len() as u32, 0);
        entry.facts = entry.facts.with_value(value, seed);
        (entry.origin, *origin) = (Origin::NONE, Origin::NONE);
        true
    }

    /// Makes the section equal to another one, in its own memory.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.clear();
        match other.form() {
            None => self.own.copy_from(other.lines()),
            Some(_) => {
                self.own.copy_from(&other.own);
                self.own.complete(other.lines());
            }
        }
    }
}

/// A hash of lines, without a look at their octets: of what is known of them, and whether their values matter. What goes in is keyed but for lines of
/// the static table: whoever remembers by it compares afterwards.
fn hash_of<'a>(lines: impl IntoIterator<Item = (&'a FieldFacts, bool)>) -> u64 {
    lines.into_iter().fold(1, |hash, (facts, with_value)| {
        let line = if with_value { facts.line_hash } else { 0 };
        mix(hash, u64::from(facts.name_hash) << 32 | u64::from(line), MULTIPLIER)
    })
}

impl PartialEq for FieldSection {
    /// Same lines, same order, same never-indexed marks.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .zip(other.iter())
                .all(|(a, b)| (a.name, a.value, a.never_indexed) == (b.name, b.value, b.never_indexed))
    }
}
impl Eq for FieldSection {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retaining_keeps_order_and_size() {
        let mut fields = FieldSection::new();
        for name in [&b"a"[..], b"bb", b"ccc"] {
            fields.push(FieldLine::new(name, b"v", 7));
        }
        fields.retain(|line| line.name != b"bb");
        assert_eq!(fields.iter().map(|line| line.name).collect::<Vec<_>>(), [&b"a"[..], b"ccc"]);
        assert_eq!(fields.size(), 1 + 1 + 32 + 3 + 1 + 32);
    }

    /// Whatever alters a line takes the origin away, and nothing else does.
    #[test]
    fn an_altered_section_has_no_origin() {
        let mut came = FieldSection::new();
        for name in [&b":authority"[..], b"b"] {
            came.push(FieldLine::new(name, b"value", 7));
        }
        let origin = OwnOrigins::default().next();
        came.set_origin(origin);
        let after = |alter: &dyn Fn(&mut FieldSection)| {
            let (mut fields, mut shared) = (FieldSection::new(), came.share());
            fields.copy_from(&came);
            for fields in [&mut fields, &mut shared] {
                alter(fields);
            }
            assert_eq!((&fields, fields.origin()), (&shared, shared.origin()), "shared or not");
            fields.origin()
        };
        let facts = FieldFacts::of_name(b"b", 7);
        let same: [&dyn Fn(&mut FieldSection); 5] = [
            &|_| {},
            &|fields| fields.lines_mut().keep_code(b"c"),
            &|fields| fields.retain(|_| true),
            &|fields| fields.remove(b"c", &FieldFacts::of_name(b"c", 7)),
            &FieldSection::fit,
        ];
        same.iter().for_each(|alter| assert_eq!(after(alter), origin));
        let other: [&dyn Fn(&mut FieldSection); 6] = [
            &|fields| fields.push(FieldLine::new(b"c", b"", 7)),
            &|fields| fields.push_joined(b"c", 1, &facts, Origin::NONE),
            &|fields| fields.push_value_of(FieldName::Authority, b"c", |line| (line.facts, line.origin)),
            &|fields| fields.remove(b"b", &facts),
            &|fields| assert!(fields.replace_value(FieldName::Authority, b"other", 7)),
            &FieldSection::clear,
        ];
        other.iter().for_each(|alter| assert_eq!(after(alter), Origin::NONE));
    }

    #[test]
    fn whoever_alters_a_shared_section_has_it_alone() {
        let mut first = FieldSection::new();
        first.push(FieldLine::new(b"a", b"value", 7));
        first.set_origin(OwnOrigins::default().next());
        let kept = first.share();
        let (mut second, mut third) = (kept.share(), kept.share());
        second.push(FieldLine::new(b"b", b"", 7));
        let mut asked = 0;
        let mut memory = || {
            asked += 1;
            FieldSection::roomy()
        };
        third.move_to(&mut memory);
        first.move_to(&mut memory);
        assert_eq!(asked, 1, "what nobody shares needs no memory");
        let room = third.capacity();
        third.retain(|_| false);
        assert_eq!((second.len(), third.len(), third.capacity()), (2, 0, room));
        assert_eq!((&kept, kept.origin()), (&first, first.origin()));
        second.take_memory_of(kept.share());
        assert!(second.capacity() > 0, "there is none to be taken");
        let mut copy = kept.share();
        copy.clear();
        assert_eq!((copy.len(), copy.capacity()), (0, 0));
    }

    #[test]
    fn what_was_taken_out_holds_no_memory() {
        let mut fields = FieldSection::new();
        fields.push(FieldLine::new(b"x-forwarded-large", &[b'x'; 60_000], 7));
        fields.push(FieldLine::new(b"a", b"vw", 7));
        fields.lines_mut().keep_code(b"c");
        let before = fields.clone();
        fields.fit();
        assert_eq!(fields, before);
        fields.push(FieldLine::new(b"b", b"w", 7));
        fields.retain(|line| line.name != b"x-forwarded-large");
        fields.fit();
        let lines: Vec<_> = fields.iter().map(|line| (line.name, line.value)).collect();
        assert_eq!(lines, [(&b"a"[..], &b"vw"[..]), (b"b", b"w")]);
        assert_eq!(fields.unread().map(Unread::code).collect::<Vec<_>>(), [Some(&b"c"[..]), None]);
        assert!(fields.capacity() <= ORDINARY_OCTETS.max(2 * fields.size()), "{}", fields.capacity());
    }
}
