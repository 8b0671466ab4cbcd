//! From field sections to field blocks (RFC 7541 sections 2 and 6).

use core::ops::Range;

use super::dynamic_table::{DynamicTable, TableState};
use super::recognised::Recognised;
use super::resent::{Known, Resent};
use super::static_table::STATIC_ENTRIES;
use super::{DEFAULT_TABLE_SIZE, Indexing, IndexingPolicy, Packed, Packing, huffman, integer};
use crate::fields::{FieldLine, FieldName, FieldSection, Origin, Unread};

/// How far a search follows a chain. Longer chains take a peer that sees the seed, or luck; giving up only costs octets.
const SEARCH_STEPS_MAX: usize = 16;
/// How many translations are remembered at first, and at most. Powers of two.
const TRANSLATIONS_MIN: usize = 16;
const TRANSLATIONS_MAX: usize = 256;

/// Encodes the field blocks of one direction of a connection. Allocates nothing until an entry enters its table, or something comes again.
#[derive(Clone, Debug)]
pub struct Encoder {
    table: DynamicTable<Links>,
    /// The newest entry in each class of lines, in each class of names; empty until used.
    heads: Vec<Head>,
    /// What lines of decoders were translated to; empty until used.
    translations: Vec<Translation>,
    resent: Resent,
    recognised: Recognised,
    policy: IndexingPolicy,
    table_size_cap: u32,
    /// The smallest size that the table had to take since the last block, and the last one.
    smallest_table_size: u32,
    table_size: u32,
}

/// Numbers of entries, modulo 2^32, 0 for none. They are hints: what they name is compared before it is believed.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    line: u32,
    name: u32,
}

/// What the encoder keeps with an entry: its hashes, and the entry before it in the same class of lines and of names.
/// Entries die oldest first, so a chain that reaches a dead one is at its end and nothing is ever unlinked.
#[derive(Clone, Copy, Debug)]
struct Links {
    line_hash: u32,
    name_hash: u32,
    older: Head,
}

/// An entry of a decoder and the number of our entry for the same line. Origins and numbers are never used twice and
/// entries never change, so all that can become of this is that our entry dies.
#[derive(Clone, Copy, Debug, Default)]
struct Translation {
    origin: Origin,
    number: u64,
}

impl Encoder {
    /// An encoder with the default policy whose table never takes more than `max_table_size` octets, whatever the peer
    /// allows.
    pub fn new(max_table_size: u32) -> Self {
        Self::with_policy(max_table_size, IndexingPolicy::default())
    }

    /// An encoder with a policy of its own.
    pub fn with_policy(max_table_size: u32, policy: IndexingPolicy) -> Self {
        let table_size = max_table_size.min(DEFAULT_TABLE_SIZE);
        Self {
            table: DynamicTable::new(DEFAULT_TABLE_SIZE),
            heads: Vec::new(),
            translations: Vec::new(),
            resent: Resent::default(),
            recognised: Recognised::default(),
            policy,
            table_size_cap: max_table_size,
            smallest_table_size: table_size,
            table_size,
        }
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE is now `octets`. Takes effect with the next block, which announces what it
    /// changes (RFC 7541 section 4.2).
    pub fn set_peer_max_table_size(&mut self, octets: u32) {
        self.table_size = octets.min(self.table_size_cap); // 7541-4.2-01, 7541-6.3-01
        self.smallest_table_size = self.smallest_table_size.min(self.table_size);
    }

    /// Appends the block of a whole section to `out`. Once encoded, a block must be sent.
    pub fn encode(&mut self, fields: &FieldSection, out: &mut Vec<u8>) {
        self.begin(out);
        let (start, table) = (out.len(), self.table.state());
        match self.resent.find(fields.form_or_origin(), table) {
            Some(Known::Whole(block)) => return out.extend_from_slice(block),
            Some(Known::Around(before, behind)) => {
                if let Some((_, path)) = fields.form() {
                    out.extend_from_slice(before);
                    self.outside(path, out);
                    return out.extend_from_slice(behind);
                }
            }
            None => {}
        }
        // Of a section that has an origin, or a form with one, all that is known is known by that.
        if fields.form_or_origin() == Origin::NONE && self.encode_recognised(fields, table, out) {
            return;
        }
        let mut path = start..start;
        // 7541-2.1-01
        for line in fields.unread() {
            let at = out.len();
            self.unread(line, out);
            if line.facts().name == FieldName::Path {
                path = at..out.len();
            }
        }
        if self.table.state() == table {
            self.keep(fields, table, &out[start..], path.start - start..path.end - start);
        }
    }

    /// The section was encoded to this block, with the path at that place of it, and has left the table what it is.
    fn keep(&mut self, fields: &FieldSection, table: TableState, block: &[u8], at: Range<usize>) {
        if fields.origin() != Origin::NONE {
            return self.resent.keep(fields.origin(), table, block);
        }
        // With a path that may enter the table each section must be looked at as a whole.
        if !at.is_empty() && fields.path().is_some_and(|path| !self.policy.excludes_name(&path.read())) {
            return;
        }
        let (before, behind) = (&block[..at.start], &block[at.end..]);
        match fields.form() {
            Some((form, _)) if form != Origin::NONE => self.resent.keep_form(form, table, before, behind),
            _ => self.recognised.encoded(fields, table, (before, behind)),
        }
    }

    /// Appends the block of a section of which nobody says where it comes from, if it is one that comes again.
    fn encode_recognised(&mut self, fields: &FieldSection, table: TableState, out: &mut Vec<u8>) -> bool {
        let Some(found) = self.recognised.find(fields, table) else { return false };
        out.extend_from_slice(found.before);
        if let Some(path) = found.path {
            self.outside(path, out);
        }
        out.extend_from_slice(found.behind);
        self.recognised.was_of_use();
        true
    }

    #[inline]
    fn unread(&mut self, line: Unread<'_>, out: &mut Vec<u8>) {
        match self.known(line.never_indexed(), line.facts().static_line, line.origin()) {
            Some(index) => {
                debug_assert!(self.holds(index, &line.read()));
                integer::encode(index, 7, 0x80, out);
            }
            None => self.unknown(&line.read(), line.code(), out),
        }
    }

    /// The same of a line whose name the policy keeps out of the table.
    fn outside(&self, line: Unread<'_>, out: &mut Vec<u8>) {
        match self.known(line.never_indexed(), line.facts().static_line, line.origin()) {
            Some(index) => integer::encode(index, 7, 0x80, out),
            None => {
                let (code, line) = (line.code(), line.read());
                self.literal(&line, code, self.policy.decide(&line, self.table.max_size()), out);
            }
        }
    }

    /// Starts a block: appends the dynamic table size updates that are due, if any. Lines follow by
    /// [`line`](Self::line).
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        let (smallest, last) = (self.smallest_table_size, self.table_size);
        if smallest < self.table.max_size() && smallest < last {
            self.update_size(smallest, out); // 7541-4.2-03
        }
        if last != self.table.max_size() {
            self.update_size(last, out); // 9113-4.3.1-01
        }
        self.smallest_table_size = last;
    }

    /// Appends a line to the block that was begun. Its facts must have been computed with the seed of all others.
    pub fn line(&mut self, line: &FieldLine<'_>, out: &mut Vec<u8>) {
        match self.known(line.never_indexed, line.facts.static_line, line.origin) {
            Some(index) => integer::encode(index, 7, 0x80, out),
            None => self.unknown(line, None, out),
        }
    }

    /// The index of a line, where it is known without a look at its octets.
    #[inline]
    fn known(&self, never_indexed: bool, static_line: u8, origin: Origin) -> Option<usize> {
        match static_line {
            _ if never_indexed => None, // 7541-6.2.3-02, 7541-7.1.3-01
            0 => self.translated(origin),
            _ => Some(static_line.into()),
        }
    }

    /// Appends a line that is in no table, as far as is known so far. `code` is the Huffman code of its value, where that is known.
    fn unknown(&mut self, line: &FieldLine<'_>, code: Option<&[u8]>, out: &mut Vec<u8>) {
        // The policy never overrules the mark: 7541-6.2.3-03, 7541-7.1.3-02
        let indexing = self.policy.decide(line, self.table.max_size());
        // What never enters the table is not looked for. A line that is too large now may have entered when the table was larger.
        if indexing == Indexing::Never || self.policy.excludes_name(line) {
            return self.literal(line, code, indexing, out);
        }
        let number = if let Some((number, index)) = self.find_line(line) {
            integer::encode(index, 7, 0x80, out);
            Some(number)
        } else {
            self.literal(line, code, indexing, out);
            if indexing == Indexing::Index { self.insert(line) } else { None }
        };
        if let Some(number) = number
            && line.origin != Origin::NONE
        {
            self.remember(Translation { origin: line.origin, number });
        }
    }

    /// The size of the dynamic table (RFC 7541 section 4.1), in octets.
    pub fn table_size(&self) -> usize {
        self.table.size()
    }

    /// How many entries the dynamic table has.
    pub fn entry_count(&self) -> usize {
        self.table.len()
    }

    /// The entries of the dynamic table, newest first: names and values.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.table.iter().map(|line| line.octets.split_at(line.name_len))
    }

    /// Octets of memory that the tables hold on to.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
            + self.heads.capacity() * size_of::<Head>()
            + self.translations.capacity() * size_of::<Translation>()
            + self.resent.capacity()
            + self.recognised.capacity()
    }

    /// Packs what the peer knows too. What is only remembered to be quick is found out again.
    pub(crate) fn pack(&self, packing: &mut Packing<'_>) {
        let Self { table, heads: _, translations: _, resent: _, recognised: _, policy: _, .. } = self;
        let &Self { table_size_cap: _, smallest_table_size, table_size, .. } = self;
        packing.parcel.number(smallest_table_size);
        packing.parcel.number(table_size);
        packing.table(table, |links| links.line_hash);
    }

    /// An encoder with the default policy that was packed. `max_table_size` as for [`new`](Self::new).
    pub(crate) fn unpack(packed: &mut Packed<'_>, max_table_size: u32) -> Self {
        let mut encoder = Self::new(max_table_size);
        encoder.smallest_table_size = packed.parcel.small();
        encoder.table_size = packed.parcel.small();
        let (table, living) = packed.table();
        encoder.table = table;
        (0..living).filter_map(|_| packed.line()).for_each(|line| _ = encoder.insert(&line));
        encoder
    }

    /// RFC 7541 section 6.3.
    fn update_size(&mut self, size: u32, out: &mut Vec<u8>) {
        self.table.resize(size);
        integer::encode(size as usize, 5, 0x20, out);
    }

    /// The index of our entry for the line from there, as far as it is remembered.
    #[inline]
    fn translated(&self, origin: Origin) -> Option<usize> {
        let remembered = self.translations.get(self.translation_slot(origin))?;
        if remembered.origin != origin || origin == Origin::NONE {
            return None;
        }
        self.table.index_of(remembered.number)
    }

    /// Whether the line is what stands at this index; what the static table has is taken on trust.
    fn holds(&self, index: usize, line: &FieldLine<'_>) -> bool {
        index <= STATIC_ENTRIES as usize
            || self.table.at(index as u32).is_some_and(|(_, own)| own.is(line.name, line.value))
    }

    /// RFC 7541 section 6.2.
    fn literal(&self, line: &FieldLine<'_>, code: Option<&[u8]>, indexing: Indexing, out: &mut Vec<u8>) {
        let name_index = match line.facts.static_name {
            0 => self.find_name(line).unwrap_or(0),
            static_name => static_name.into(),
        };
        match indexing {
            Indexing::Index => integer::encode(name_index, 6, 0x40, out),
            Indexing::WithoutIndexing => integer::encode(name_index, 4, 0x00, out),
            Indexing::Never => integer::encode(name_index, 4, 0x10, out), // 7541-6.2.3-01, 7541-6.2.3-02
        }
        if name_index == 0 {
            string(line.name, out);
        }
        match code {
            Some(code) => {
                integer::encode(code.len(), 7, 0x80, out);
                out.extend_from_slice(code);
            }
            None => string(line.value, out),
        }
    }

    /// Number and index of the entry that is this line.
    fn find_line(&self, line: &FieldLine<'_>) -> Option<(u64, usize)> {
        let mut low = self.heads.get(self.class(line.facts.line_hash))?.line;
        for _ in 0..SEARCH_STEPS_MAX {
            let number = self.full_number(low);
            let entry = self.table.get(number)?;
            if entry.note.line_hash == line.facts.line_hash && entry.is(line.name, line.value) {
                return Some((number, self.table.index_of(number)?));
            }
            low = entry.note.older.line;
        }
        None
    }

    /// The index of the newest entry with the name of this line.
    fn find_name(&self, line: &FieldLine<'_>) -> Option<usize> {
        let mut low = self.heads.get(self.class(line.facts.name_hash))?.name;
        for _ in 0..SEARCH_STEPS_MAX {
            let number = self.full_number(low);
            let entry = self.table.get(number)?;
            if entry.note.name_hash == line.facts.name_hash && entry.name() == line.name {
                return self.table.index_of(number);
            }
            low = entry.note.older.name;
        }
        None
    }

    #[inline(always)]
    fn insert(&mut self, line: &FieldLine<'_>) -> Option<u64> {
        if self.heads.is_empty() {
            self.heads = vec![Head::default(); classes(self.table_size_cap)];
        }
        let (line_hash, name_hash) = (line.facts.line_hash, line.facts.name_hash);
        let (line_class, name_class) = (self.class(line_hash), self.class(name_hash));
        let older = Head { line: self.heads[line_class].line, name: self.heads[name_class].name };
        let number = self.table.insert(line.name, line.value, Links { line_hash, name_hash, older })?;
        self.heads[line_class].line = number as u32;
        // Names of the static table are never looked for here.
        if line.facts.static_name == 0 {
            self.heads[name_class].name = number as u32;
        }
        Some(number)
    }

    /// One that lives is not pushed out while the memory may grow: connections that share few lines with others hold little.
    fn remember(&mut self, translation: Translation) {
        if self.translations.is_empty() {
            self.translations = vec![Translation::default(); TRANSLATIONS_MIN];
        }
        let place = self.translations[self.translation_slot(translation.origin)];
        let taken = place.origin != translation.origin && self.table.index_of(place.number).is_some();
        let wider = self.translations.len() * 2;
        if taken && wider <= TRANSLATIONS_MAX {
            let old = core::mem::replace(&mut self.translations, vec![Translation::default(); wider]);
            for other in old.into_iter().filter(|other| self.table.index_of(other.number).is_some()) {
                let slot = self.translation_slot(other.origin);
                self.translations[slot] = other;
            }
        }
        let slot = self.translation_slot(translation.origin);
        self.translations[slot] = translation;
    }

    /// Where the translation of an origin stands, an index of `translations` unless that is empty.
    #[inline]
    fn translation_slot(&self, origin: Origin) -> usize {
        origin.spread() & self.translations.len().wrapping_sub(1)
    }

    /// The class of a hash, an index of `heads` unless that is empty.
    fn class(&self, hash: u32) -> usize {
        hash as usize & self.heads.len().wrapping_sub(1)
    }

    /// The number of a living entry from its low half.
    fn full_number(&self, low: u32) -> u64 {
        let newest = self.table.inserted();
        newest.wrapping_sub(u64::from((newest as u32).wrapping_sub(low)))
    }
}

/// How many classes keep chains short in a table of this size, whose entries take 32 octets at least: a power of two.
fn classes(table_size: u32) -> usize {
    (table_size as usize / 64).clamp(16, 1024).next_power_of_two()
}

/// RFC 7541 section 5.2: Huffman-coded where that is shorter.
fn string(octets: &[u8], out: &mut Vec<u8>) {
    /// The longest string whose length fits into its prefix.
    const SHORT: usize = 126;
    if octets.len() > SHORT {
        return long_string(octets, out);
    }
    // Cheaper than to find out beforehand how long the code is, for it is nearly always shorter.
    let start = out.len();
    out.push(0);
    huffman::encode(octets, out);
    let coded_len = out.len() - start - 1;
    if coded_len < octets.len() {
        out[start] = 0x80 | coded_len as u8;
    } else {
        out[start] = octets.len() as u8;
        out.truncate(start + 1);
        out.extend_from_slice(octets);
    }
}

fn long_string(octets: &[u8], out: &mut Vec<u8>) {
    let coded_len = huffman::encoded_len(octets);
    if coded_len < octets.len() {
        integer::encode(coded_len, 7, 0x80, out);
        huffman::encode(octets, out);
    } else {
        integer::encode(octets.len(), 7, 0x00, out);
        out.extend_from_slice(octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{class_octets, table_octets};

    /// Beside its table it holds classes, and what was translated: 4 KiB at most (`config/bound`).
    #[test]
    fn what_an_encoder_of_a_full_table_holds_is_what_the_bound_takes() {
        for size in [0, 100, 4096, 65_536] {
            let mut encoder = Encoder::new(size);
            encoder.set_peer_max_table_size(size);
            for number in 1..=size / 16 {
                let mut fields = FieldSection::new();
                let origin = Origin::of_entry(1, number.into());
                fields.push(FieldLine { origin, ..FieldLine::new(number.to_string().as_bytes(), b"", 1) });
                encoder.encode(&fields, &mut Vec::new());
            }
            assert_eq!(class_octets(size), (classes(size) * size_of::<Head>()) as u64);
            let bound = table_octets(size) + class_octets(size) + 4096;
            assert!(encoder.capacity() as u64 <= bound, "{} of {bound}", encoder.capacity());
        }
    }
}
