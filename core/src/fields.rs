//! Field sections as they travel from decoder to encoder: an arena of octets and a small index, never a map.
//!
//! What is known of a field line ([`FieldFacts`]) is computed once, where its octets enter (for a line that an HPACK
//! table holds: when the entry is inserted), and copied with the line from then on. Nobody looks at the octets of an
//! indexed field again.

mod change;
mod name;

pub use change::FieldChanges;
pub use name::FieldName;
use name::FieldNames;

/// Overhead of a field line in the size of a section (RFC 9113 section 6.5.2) and of a table entry (RFC 7541 section 4.1).
pub const FIELD_OVERHEAD: usize = 32;

/// What a section may hold however small it is: memory is used again and again.
const ORDINARY_OCTETS: usize = 4 << 10;

/// What is known of a field line without looking at its octets again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldFacts {
    /// What the name means to HTTP.
    pub name: FieldName,
    /// The first entry of HPACK's static table that bears this name (1 to 61), or 0.
    pub static_name: u8,
    /// The entry of HPACK's static table that has this name and this value (1 to 61), or 0.
    pub static_line: u8,
    /// Whether name and value consist of octets that RFC 9113 section 8.2.1 allows.
    pub well_formed: bool,
    /// Whether the name alone does.
    pub name_well_formed: bool,
    /// Hash of the name.
    pub name_hash: u32,
    /// Hash of name and value.
    pub line_hash: u32,
}

impl FieldFacts {
    /// Looks at every octet of a field line once. `seed` keys the hashes, against chosen collisions; tables that share
    /// lines must share it.
    pub fn of(name: &[u8], value: &[u8], seed: u64) -> Self {
        Self::of_name(name, seed).with_value(value, seed)
    }

    /// The facts of a name that still lacks its value; see [`FieldFacts::with_value`].
    pub fn of_name(name: &[u8], seed: u64) -> Self {
        let (class, static_name) = name::classify(name);
        let well_formed = name::is_well_formed(name, class);
        Self {
            name: class,
            static_name,
            static_line: 0,
            well_formed,
            name_well_formed: well_formed,
            name_hash: if static_name == 0 { fold(hash(seed, name)) } else { static_hash(static_name) },
            line_hash: 0,
        }
    }

    /// The facts of a line with the same name and this value. The name's octets are not looked at again.
    pub fn with_value(self, value: &[u8], seed: u64) -> Self {
        let static_line = name::static_line(self.static_name, value);
        Self {
            static_line,
            well_formed: self.name_well_formed && value_is_well_formed(value),
            line_hash: if static_line == 0 {
                fold(hash(seed ^ u64::from(self.name_hash), value))
            } else {
                static_hash(static_line)
            },
            ..self
        }
    }

    /// The facts of an entry of HPACK's static table; they depend on no seed.
    pub(crate) const fn of_static_line(name: &[u8], index: u8) -> Self {
        let (class, static_name) = name::classify(name);
        Self {
            name: class,
            static_name,
            static_line: index,
            well_formed: true,
            name_well_formed: true,
            name_hash: static_hash(static_name),
            line_hash: static_hash(index),
        }
    }
}

/// What stands for a hash where the static table says which name or line it is. There are 61, nobody can choose them.
const fn static_hash(index: u8) -> u32 {
    (index as u32).wrapping_mul(0x9e37_79b9)
}

/// RFC 9113 section 8.2.1: no NUL, LF or CR anywhere, no SP or HTAB at either end.
fn value_is_well_formed(value: &[u8]) -> bool {
    let blank = |octet: Option<&u8>| matches!(octet, Some(b' ' | b'\t'));
    !blank(value.first())
        && !blank(value.last())
        && !value.iter().fold(false, |bad, &octet| bad | matches!(octet, 0 | b'\n' | b'\r'))
}

/// A multiply-rotate hash over eight octets at a time.
fn hash(seed: u64, octets: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = seed ^ (octets.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, rest) = octets.as_chunks::<8>();
    for word in words {
        state = (state.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(MULTIPLIER);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    (state.rotate_left(23) ^ u64::from_le_bytes(last)).wrapping_mul(MULTIPLIER)
}

fn fold(hash: u64) -> u32 {
    (hash ^ hash >> 32) as u32
}

/// Where a field line came from: an entry of a decoder's dynamic table, so that an encoder can remember what it
/// translated it to. [`Origin::NONE`] for everything else.
///
/// An origin stands for the octets of its line: whoever alters name or value must set it to [`Origin::NONE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin(pub u64);

impl Origin {
    /// Not an entry of a dynamic table.
    pub const NONE: Self = Self(0);

    /// The entry that the decoder `identity` inserted as its `number`th, counted from 1. An entry beyond the 2^32-1
    /// that can be told apart has no origin, nor has one of a decoder beyond the first 2^31, so that no origin ever stands
    /// for two lines.
    #[inline]
    pub(crate) fn of_entry(identity: u32, number: u64) -> Self {
        match u32::try_from(number) {
            Ok(number) if identity < DECODERS_MAX => Self(u64::from(identity) << 32 | u64::from(number)),
            _ => Self::NONE,
        }
    }

    /// A line of our own with another name and the value of the line from here; each origin has at most one such line.
    pub(crate) const fn renamed(self) -> Self {
        if self.0 >> 32 == 0 { Self::NONE } else { Self(self.0 | OWN) }
    }
}

/// Of the identities of decoders so many can be told apart.
pub(crate) const DECODERS_MAX: u32 = 1 << 31;

/// Marks the origins of lines that we have made.
const OWN: u64 = 1 << 63;

/// Gives origins to lines that we make and that come again, one after the other, each once. The decoder 0 has none to rename.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OwnOrigins(u32);

impl OwnOrigins {
    /// An origin that no line has had. None once 2^32-1 are used up.
    pub(crate) fn next(&mut self) -> Origin {
        self.0 = self.0.saturating_add(1);
        if self.0 == u32::MAX { Origin::NONE } else { Origin(OWN | u64::from(self.0)) }
    }
}

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

    /// Removes all lines and keeps the memory.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.entries.clear();
        self.size = 0;
        self.names = FieldNames::NONE;
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

    /// Octets of memory that the section holds on to.
    pub fn capacity(&self) -> usize {
        self.octets.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Gives memory back that lines before these have needed and these do not: of a section that is kept for long.
    pub(crate) fn fit(&mut self) {
        if self.capacity() > ORDINARY_OCTETS.max(2 * self.size()) {
            self.octets.shrink_to_fit();
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
        let value = entry.start as usize + entry.name_len as usize;
        let value = value..value + entry.value_len as usize;
        let start = self.octets.len();
        self.octets.extend_from_slice(name);
        self.octets.extend_from_within(value);
        self.push_drafted(start, name.len(), &facts, false, origin);
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
        let octets = &self.octets;
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
        entry.origin = Origin::NONE;
        true
    }

    /// Makes the section equal to another one, in its own memory.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.octets.clone_from(&other.octets);
        self.entries.clone_from(&other.entries);
        (self.size, self.names) = (other.size, other.names);
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
    use shuntyard_requirements::req;

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

    #[test]
    fn rfc9113_8_2_1_values() {
        req!("9113-8.2.1-02", "9113-8.2.1-05", "9113-8.2.1-06", "9110-5.5-04");
        for bad in [&b"\0"[..], b"a\nb", b"a\rb", b" a", b"a ", b"\ta", b"a\t", b" "] {
            assert!(!FieldFacts::of(b"x", bad, 0).well_formed, "{bad:?}");
        }
        for good in [&b""[..], b"a b", b"a\tb", b"\xff\x80", b"\x01"] {
            assert!(FieldFacts::of(b"x", good, 0).well_formed, "{good:?}");
        }
    }

    #[test]
    fn an_origin_never_stands_for_two_entries() {
        let last = u64::from(u32::MAX);
        assert!(
            Origin::of_entry(0, 1) != Origin::NONE && Origin::of_entry(0, last) != Origin::of_entry(1, last)
        );
        assert_eq!(Origin::of_entry(7, last + 1), Origin::NONE);
        assert_eq!(Origin::of_entry(7, last + 2), Origin::NONE);
    }

    #[test]
    fn hashes_depend_on_seed_name_value_and_length() {
        let line = |name: &[u8], value: &[u8], seed| FieldFacts::of(name, value, seed).line_hash;
        let all = [
            line(b"a", b"", 0),
            line(b"", b"a", 0),
            line(b"a", b"", 1),
            line(b"a", b"\0", 0),
            line(b"a", b"\0\0", 0),
            line(b"aaaaaaaa", b"", 0),
            line(b"aaaaaaaab", b"", 0),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
    }
}
