//! Field sections as they travel from decoder to encoder: an arena of octets and a small index, never a map.
//!
//! What is known of a field line ([`FieldFacts`]) is computed once, where its octets enter (for a line that an HPACK
//! table holds: when the entry is inserted), and copied with the line from then on. Nobody looks at the octets of an
//! indexed field again.

mod change;
mod facts;
mod name;
mod origin;
mod repeats;
mod shared;

pub use change::FieldChanges;
pub use facts::FieldFacts;
use facts::{fold, hash};
pub use name::FieldName;
use name::FieldNames;
pub use origin::Origin;
pub(crate) use origin::OwnOrigins;
pub(crate) use repeats::Repeats;
pub use shared::{SharedLine, SharedLines};

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
    /// What is known of both.
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

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    name_len: u32,
    value_len: u32,
    /// Behind the value lies its Huffman code, of so many octets; 0 where it does not.
    code_len: u32,
    facts: FieldFacts,
    never_indexed: bool,
    origin: Origin,
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
#[derive(Clone, Debug, Default)]
pub struct FieldSection {
    octets: Vec<u8>,
    entries: Vec<Entry>,
    /// 32 bits are enough: sections are bounded by whoever fills them.
    size: u32,
    /// The meanings of all names, so that most questions for a field that is not there end here.
    names: FieldNames,
    /// Of the lines as they are; none where a line was altered since.
    origin: Origin,
}

/// A line whose octets nobody has looked at: what is known of it is mostly enough.
#[derive(Clone, Copy)]
pub(crate) struct Unread<'a> {
    octets: &'a [u8],
    entry: &'a Entry,
}

impl<'a> Unread<'a> {
    #[inline]
    pub(crate) fn facts(self) -> &'a FieldFacts {
        &self.entry.facts
    }

    #[inline]
    pub(crate) fn never_indexed(self) -> bool {
        self.entry.never_indexed
    }

    #[inline]
    pub(crate) fn origin(self) -> Origin {
        self.entry.origin
    }

    /// The Huffman code of the value (RFC 7541 section 5.2), where it came in that and is shorter.
    #[inline]
    pub(crate) fn code(self) -> Option<&'a [u8]> {
        let Entry { start, name_len, value_len, code_len, .. } = *self.entry;
        let from = (start + name_len + value_len) as usize;
        if code_len == 0 { None } else { self.octets.get(from..from + code_len as usize) }
    }

    /// The line itself.
    #[inline]
    pub(crate) fn read(self) -> FieldLine<'a> {
        line(self.octets, self.entry)
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
        Self { octets, entries, ..Self::default() }
    }

    /// Removes all lines and keeps the memory.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.entries.clear();
        self.size = 0;
        self.names = FieldNames::NONE;
        self.origin = Origin::NONE;
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The size by which SETTINGS_MAX_HEADER_LIST_SIZE counts (RFC 9113 section 6.5.2), in octets.
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// What all sections have in common that came with the same: the same lines in the same order, with the same marks. None of one that
    /// came for the first time, that was made by hand, or of which a line was altered.
    #[inline]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The section is what it will be wherever it has this origin.
    pub(crate) fn set_origin(&mut self, origin: Origin) {
        self.origin = origin;
    }

    /// Octets of memory that the section holds on to.
    pub fn capacity(&self) -> usize {
        self.octets.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Gives memory back that lines before these have needed, or lines that were taken out, and these do not: of a section that is
    /// kept for long.
    pub(crate) fn fit(&mut self) {
        if self.capacity() > ORDINARY_OCTETS.max(2 * self.size()) {
            let octets_of = |entry: &Entry| entry.name_len + entry.value_len + entry.code_len;
            let all = self.entries.iter().map(octets_of).sum::<u32>();
            let mut octets = Vec::with_capacity(all as usize);
            for entry in &mut self.entries {
                let start = octets.len() as u32;
                octets.extend_from_slice(&self.octets[entry.start as usize..][..octets_of(entry) as usize]);
                entry.start = start;
            }
            self.octets = octets;
            self.entries.shrink_to_fit();
        }
    }

    /// Appends a line. Sections are bounded by whoever fills them, far below 4 GiB.
    pub fn push(&mut self, line: FieldLine<'_>) {
        let start = self.octets.len();
        self.octets.extend_from_slice(line.name);
        self.octets.extend_from_slice(line.value);
        self.push_drafted(start, line.name.len(), &line.facts, line.never_indexed, line.origin);
    }

    /// Appends a line whose name and value lie side by side.
    #[inline]
    pub(crate) fn push_joined(&mut self, octets: &[u8], name_len: usize, facts: &FieldFacts, origin: Origin) {
        let start = self.octets.len();
        self.octets.extend_from_slice(octets);
        self.push_entry(start, name_len, octets.len() - name_len, facts, false, origin);
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
        let Some(entry) = self.entries.iter().find(|entry| entry.facts.name == of) else { return };
        let (facts, origin) = know(&self.line(entry));
        // Under another name it is as secret as before (RFC 7541 section 7.1.3).
        let never_indexed = entry.never_indexed;
        let value = entry.start as usize + entry.name_len as usize;
        let value = value..value + entry.value_len as usize;
        let start = self.octets.len();
        self.octets.extend_from_slice(name);
        self.octets.extend_from_within(value);
        self.push_drafted(start, name.len(), &facts, never_indexed, origin);
    }

    /// Where the octets of a line can be composed behind those of the lines before, for
    /// [`push_drafted`](Self::push_drafted) or to be truncated again.
    pub(crate) fn draft(&mut self) -> &mut Vec<u8> {
        &mut self.octets
    }

    /// Makes a line of the octets drafted from `start` on.
    pub(crate) fn push_drafted(
        &mut self,
        start: usize,
        name_len: usize,
        facts: &FieldFacts,
        never_indexed: bool,
        origin: Origin,
    ) {
        let value_len = self.octets.len() - start - name_len;
        self.push_entry(start, name_len, value_len, facts, never_indexed, origin);
    }

    /// Keeps the Huffman code of the last line's value with it, where that is shorter: whoever sends the value on need not code it
    /// again.
    pub(crate) fn keep_code(&mut self, code: &[u8]) {
        if let Some(last) = self.entries.last_mut()
            && code.len() < last.value_len as usize
        {
            last.code_len = code.len() as u32;
            self.octets.extend_from_slice(code);
        }
    }

    #[inline]
    fn push_entry(
        &mut self,
        start: usize,
        name_len: usize,
        value_len: usize,
        facts: &FieldFacts,
        never_indexed: bool,
        origin: Origin,
    ) {
        self.size += (name_len + value_len + FIELD_OVERHEAD) as u32;
        self.names.add(facts.name);
        self.origin = Origin::NONE;
        self.entries.push(Entry {
            start: start as u32,
            name_len: name_len as u32,
            value_len: value_len as u32,
            code_len: 0,
            facts: *facts,
            never_indexed,
            origin,
        });
    }

    /// The lines in order, for whom what is known of them is mostly enough.
    #[inline]
    pub(crate) fn unread(&self) -> impl Iterator<Item = Unread<'_>> {
        self.entries.iter().map(|entry| Unread { octets: &self.octets, entry })
    }

    /// Whether there is a line whose name means this.
    #[inline]
    pub fn has(&self, name: FieldName) -> bool {
        self.names.has(name)
    }

    /// The lines in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = FieldLine<'_>> + Clone {
        self.entries.iter().map(|entry| self.line(entry))
    }

    /// The value of the first line with this name.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|line| line.name == name).map(|line| line.value)
    }

    /// The value of the first line with this name, found without looking at octets. Not for [`FieldName::Other`].
    pub fn value_of(&self, name: FieldName) -> Option<&[u8]> {
        if !self.has(name) {
            return None;
        }
        self.entries.iter().find(|entry| entry.facts.name == name).map(|entry| self.line(entry).value)
    }

    /// Keeps the lines for which `keep` holds. Their octets stay until the section is cleared.
    pub fn retain(&mut self, mut keep: impl FnMut(FieldLine<'_>) -> bool) {
        let (octets, before) = (&self.octets, self.entries.len());
        let (mut size, mut names) = (0, FieldNames::NONE);
        self.entries.retain(|entry| {
            let line = line(octets, entry);
            let kept = keep(line);
            if kept {
                size += line.size() as u32;
                names.add(line.facts.name);
            }
            kept
        });
        (self.size, self.names) = (size, names);
        if self.entries.len() != before {
            self.origin = Origin::NONE;
        }
    }

    /// Removes the lines with this name, of which these facts are known.
    pub(crate) fn remove(&mut self, name: &[u8], facts: &FieldFacts) {
        let same = |entry: &Entry| entry.facts.name_hash == facts.name_hash;
        if self.has(facts.name) && self.entries.iter().any(same) {
            self.retain(|line| line.facts.name_hash != facts.name_hash || line.name != name);
        }
    }

    /// Gives the first line with this name another value, where it is; says whether there is one. Not for
    /// [`FieldName::Other`].
    pub(crate) fn replace_value(&mut self, name: FieldName, value: &[u8], seed: u64) -> bool {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.facts.name == name) else {
            return false;
        };
        let (old, name_len) = (entry.start as usize, entry.name_len as usize);
        entry.start = self.octets.len() as u32;
        self.octets.extend_from_within(old..old + name_len);
        self.octets.extend_from_slice(value);
        self.size = self.size - entry.value_len + value.len() as u32;
        (entry.value_len, entry.code_len) = (value.len() as u32, 0);
        entry.facts = entry.facts.with_value(value, seed);
        (entry.origin, self.origin) = (Origin::NONE, Origin::NONE);
        true
    }

    /// Makes the section equal to another one, in its own memory.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.octets.clone_from(&other.octets);
        self.entries.clone_from(&other.entries);
        (self.size, self.names, self.origin) = (other.size, other.names, other.origin);
    }

    fn line(&self, entry: &Entry) -> FieldLine<'_> {
        line(&self.octets, entry)
    }
}

#[inline]
fn line<'a>(octets: &'a [u8], entry: &Entry) -> FieldLine<'a> {
    let octets = &octets[entry.start as usize..][..(entry.name_len + entry.value_len) as usize];
    let (name, value) = octets.split_at(entry.name_len as usize);
    FieldLine { name, value, facts: entry.facts, never_indexed: entry.never_indexed, origin: entry.origin }
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
            let mut fields = FieldSection::new();
            fields.copy_from(&came);
            alter(&mut fields);
            fields.origin()
        };
        let facts = FieldFacts::of_name(b"b", 7);
        let same: [&dyn Fn(&mut FieldSection); 5] = [
            &|_| {},
            &|fields| fields.keep_code(b"c"),
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
    fn what_was_taken_out_holds_no_memory() {
        let mut fields = FieldSection::new();
        fields.push(FieldLine::new(b"x-forwarded-large", &[b'x'; 60_000], 7));
        fields.push(FieldLine::new(b"a", b"vw", 7));
        fields.keep_code(b"c");
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
