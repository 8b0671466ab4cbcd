//! From field blocks to field sections (RFC 7541 section 3).

use super::dynamic_table::{DynamicTable, TableState};
use super::forms::{Forms, Parts};
use super::static_table::{self, STATIC_ENTRIES};
use super::{DecodeError, Packed, Packing, huffman, integer};
use crate::fields::{FIELD_OVERHEAD, FieldFacts, FieldName, FieldSection, Lines, Origin, Repeats};

/// How large a decoded field section may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionLimits {
    /// Its size with 32 octets a line (RFC 9113 section 6.5.2), in octets.
    pub size: u32,
    /// How many lines, each cookie crumb counted.
    pub fields: u32,
}

impl SectionLimits {
    fn admit(self, size: usize, fields: usize) -> bool {
        size <= self.size as usize && fields <= self.fields as usize
    }
}

/// What came of a block that could be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The whole section is there.
    Whole,
    /// The section exceeds a limit and was dropped. The tables are in step: the connection can go on.
    OverLimit(LimitHit),
}

/// Which limit a section exceeded first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitHit {
    /// [`SectionLimits::size`].
    Size,
    /// [`SectionLimits::fields`].
    Fields,
}

/// A peer may announce at most the smallest and the last of the sizes that it passed through (RFC 7541 section 4.2).
const SIZE_UPDATES_MAX: u32 = 2;
/// So many octets of literals may follow the line that exceeded the limits of a section, whatever these are.
const DROPPED_MIN: usize = 1 << 20;

/// The longest block that is kept because it may come again, in octets: sections of a dozen indexed fields and a few short literals.
const KEPT_BLOCK_MAX: usize = 64;

/// Decodes the field blocks of one direction of a connection. Allocates nothing until an entry enters its table, or something comes again.
#[derive(Clone, Debug)]
pub struct Decoder {
    table: DynamicTable<FieldFacts>,
    seed: u64,
    identity: u32,
    /// Our SETTINGS_HEADER_TABLE_SIZE, as far as the peer knows it.
    table_size_limit: u32,
    /// The next block must start with an update to at most this size.
    size_update_due: Option<u32>,
    /// Blocks that change no table mean the same as long as no other does.
    repeats: Repeats<TableState, ()>,
    /// The same of blocks that differ in the path alone.
    forms: Forms,
}

impl Decoder {
    /// A decoder whose table may take up to `max_table_size` octets: for HTTP/2 the
    /// [default](super::DEFAULT_TABLE_SIZE), until our own SETTINGS are acknowledged.
    ///
    /// `seed` as for [`FieldFacts::of`]. `identity` names this decoder in [`Origin`]s: no two decoders whose lines may
    /// reach the same encoder may ever bear the same.
    pub fn new(max_table_size: u32, seed: u64, identity: u32) -> Self {
        Self {
            table: DynamicTable::new(max_table_size),
            seed,
            identity,
            table_size_limit: max_table_size,
            size_update_due: None,
            repeats: Repeats::default(),
            forms: Forms::default(),
        }
    }

    /// Our SETTINGS_HEADER_TABLE_SIZE is now `octets`: the peer acknowledged it. If that is less than the table may
    /// use now, the next block must start by saying so (RFC 9113 section 4.3.1, RFC 7541 section 4.2). If it is more,
    /// the table grows when the peer says so.
    pub fn set_max_table_size(&mut self, octets: u32) {
        self.table_size_limit = octets;
        let due = self.size_update_due.unwrap_or(self.table.max_size());
        if octets < due {
            self.size_update_due = Some(octets);
        }
    }

    /// Decodes one whole block into `out`, which is cleared first. A section beyond `limits` is not kept, but decoded
    /// to its end so that the table follows the peer's, unless that is far too much ([`DecodeError::LiteralsTooMany`]).
    ///
    /// Lines that need not be well-formed HTTP pass: see [`FieldFacts::well_formed`]. Lines that came as never indexed
    /// are marked. If the block came before, the section has an [origin](FieldSection::origin): what was found out about it need not be
    /// found out again. If it differs from those before in the path alone, all but the path is copied. The work is linear in the octets of the block and of the lines it names.
    ///
    /// # Errors
    ///
    /// A block that is no HPACK, or a bomb. The decoder is then of no further use, and `out` is empty.
    pub fn decode(
        &mut self,
        block: &[u8],
        limits: SectionLimits,
        out: &mut FieldSection,
    ) -> Result<Decoded, DecodeError> {
        if let Some(known) = self.known(block, limits) {
            *out = known;
            return Ok(Decoded::Whole);
        }
        self.decode_anew(block, limits, out)
    }

    /// The section of a block that came before, if it means the same as then.
    pub(crate) fn known(&self, block: &[u8], limits: SectionLimits) -> Option<FieldSection> {
        let repeat = self.repeats.find(block, &self.table.state())?;
        let section = &repeat.section;
        if self.size_update_due.is_some() || !limits.admit(section.size(), section.len()) {
            return None;
        }
        Some(section.share())
    }

    /// Decodes a block that is not known as a whole.
    pub(crate) fn decode_anew(
        &mut self,
        block: &[u8],
        limits: SectionLimits,
        out: &mut FieldSection,
    ) -> Result<Decoded, DecodeError> {
        out.clear();
        if self.decode_path(block, limits, out).is_some() {
            return Ok(Decoded::Whole);
        }
        out.clear();
        let before = self.table.state();
        let mut section = Section {
            out: out.lines_mut(),
            size_left: limits.size as usize,
            fields_left: limits.fields,
            hit: None,
            dropped_left: (limits.size as usize).saturating_mul(4).max(DROPPED_MIN),
            path: None,
        };
        match self.decode_block(block, &mut section) {
            Ok(()) => {
                let Section { hit, path, .. } = section;
                let changed_nothing = self.table.state() == before && !starts_with_size_update(block);
                if hit.is_none() && changed_nothing {
                    self.keep(block, path, before, out);
                }
                Ok(hit.map_or(Decoded::Whole, Decoded::OverLimit))
            }
            Err(error) => {
                out.clear();
                Err(error)
            }
        }
    }

    /// Decodes what is new in a block that differs from those before in the path alone, into `out`, which is empty. `None` for another one,
    /// and where it must be looked at as a whole: it breaks a rule, or has come before and may be known as a whole from now on.
    fn decode_path(&mut self, block: &[u8], limits: SectionLimits, out: &mut FieldSection) -> Option<()> {
        let table = self.table.state();
        let (form, mut string) = self.forms.find(block, table)?;
        let path = form.path()?;
        let lines = out.lines_mut();
        let name = path.read().name;
        lines.draft().extend_from_slice(name);
        let code = take_string(&mut string, lines.draft()).ok()?;
        let value = &lines.draft()[name.len()..];
        let facts = path.facts().with_value(value, self.seed);
        let (size, fields) = form.size();
        let size = size + value.len();
        if self.size_update_due.is_some() || !limits.admit(size, fields) {
            return None;
        }
        if block.len() <= KEPT_BLOCK_MAX && self.repeats.came((block, table.inserted), size).is_some() {
            return None;
        }
        lines.push_drafted(0, name.len(), &facts, path.never_indexed(), Origin::NONE);
        if let Some(code) = code {
            lines.keep_code(code);
        }
        out.take_form(form).then_some(())
    }

    /// A block that has left the table what it is was read as this section: it may come again, as a whole or but for its path.
    fn keep(
        &mut self,
        block: &[u8],
        path: Option<(usize, usize)>,
        table: TableState,
        section: &mut FieldSection,
    ) {
        let Self { identity, repeats, forms, .. } = self;
        let repeated = block.len() <= KEPT_BLOCK_MAX
            && repeats.read((block, table.inserted), table, *identity, section, ());
        if !repeated && let Some(parts) = path.and_then(|path| Parts::of(block, path)) {
            forms.read(parts, table, section, || repeats.next_origin(*identity));
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

    /// Octets of memory that the table holds on to, and what is kept of blocks that came again.
    pub fn capacity(&self) -> usize {
        self.table.capacity() + self.repeats.capacity() + self.forms.capacity()
    }

    /// Packs what the peer knows too, and what must not be given twice.
    pub(crate) fn pack(&self, packing: &mut Packing<'_>) {
        let Self { table, seed: _, identity, table_size_limit, size_update_due, repeats, forms: _ } = self;
        packing.parcel.number(*identity);
        packing.parcel.number(*table_size_limit);
        packing.parcel.perhaps(*size_update_due);
        packing.parcel.number(repeats.number());
        packing.table(table, |facts| facts.line_hash);
    }

    /// A decoder that was packed.
    pub(crate) fn unpack(packed: &mut Packed<'_>) -> Self {
        let identity = packed.parcel.small();
        let table_size_limit = packed.parcel.small();
        let size_update_due = packed.parcel.perhaps();
        let repeats = Repeats::after(packed.parcel.small());
        let (mut table, living) = packed.table();
        for line in (0..living).filter_map(|_| packed.line()) {
            table.insert(line.name, line.value, line.facts);
        }
        let (seed, forms) = (packed.seed(), Forms::default());
        Self { table, seed, identity, table_size_limit, size_update_due, repeats, forms }
    }

    /// 7541-2.1-02, 7541-3.2-01: one representation after the other.
    fn decode_block(&mut self, block: &[u8], section: &mut Section<'_>) -> Result<(), DecodeError> {
        let mut rest = block;
        self.size_updates(&mut rest)?;
        while let Some((&first, behind)) = rest.split_first() {
            match first {
                0x80.. => {
                    // Almost every index fits the prefix.
                    let index = if first < 0xff {
                        rest = behind;
                        (first & 0x7f).into()
                    } else {
                        take_integer(&mut rest, 7)?
                    };
                    self.indexed_field(index, section)?;
                }
                0x40.. => self.literal_with_indexing(&mut rest, section)?,
                0x20.. => return Err(DecodeError::SizeUpdateMisplaced),
                0x10.. => self.literal_not_indexed(&mut rest, section, true)?, // 7541-6.2.3-01
                0x00.. => self.literal_not_indexed(&mut rest, section, false)?,
            }
        }
        Ok(())
    }

    /// RFC 7541 sections 4.2 and 6.3.
    fn size_updates(&mut self, rest: &mut &[u8]) -> Result<(), DecodeError> {
        let mut count = 0;
        while starts_with_size_update(rest) {
            let size = take_integer(rest, 5)?;
            count += 1;
            if count > SIZE_UPDATES_MAX {
                return Err(DecodeError::SizeUpdatesTooMany);
            }
            if size > self.table_size_limit {
                return Err(DecodeError::SizeUpdateTooLarge); // 7541-6.3-02
            }
            self.table.resize(size);
            self.size_update_due = self.size_update_due.filter(|&due| size > due);
        }
        // 7541-4.2-02, 9113-4.3.1-02
        if self.size_update_due.is_some() { Err(DecodeError::SizeUpdateMissing) } else { Ok(()) }
    }

    /// RFC 7541 section 6.1.
    #[inline]
    fn indexed_field(&self, index: u32, section: &mut Section<'_>) -> Result<(), DecodeError> {
        if index > STATIC_ENTRIES {
            let (number, line) = self.table.at(index).ok_or(DecodeError::IndexUnknown)?; // 7541-2.3.3-01
            section.push(line.octets, line.name_len, line.note, Origin::of_entry(self.identity, number));
        } else {
            let line = static_table::get(index).ok_or(DecodeError::IndexZero)?; // 7541-6.1-01
            section.push(line.octets, line.name_len, &line.facts, Origin::NONE);
        }
        Ok(())
    }

    /// RFC 7541 section 6.2.1.
    fn literal_with_indexing(
        &mut self,
        rest: &mut &[u8],
        section: &mut Section<'_>,
    ) -> Result<(), DecodeError> {
        let literal = self.literal(rest, 6, section)?;
        let (name, value) = literal.split(section);
        let facts = literal.name_facts.with_value(value, self.seed);
        let number = self.table.insert(name, value, facts);
        let origin = number.map_or(Origin::NONE, |number| Origin::of_entry(self.identity, number));
        section.push_drafted(&literal, facts, false, origin)
    }

    /// RFC 7541 sections 6.2.2 and 6.2.3.
    fn literal_not_indexed(
        &self,
        rest: &mut &[u8],
        section: &mut Section<'_>,
        never_indexed: bool,
    ) -> Result<(), DecodeError> {
        let literal = self.literal(rest, 4, section)?;
        let (_, value) = literal.split(section);
        let facts = literal.name_facts.with_value(value, self.seed);
        if facts.name == FieldName::Path {
            section.path = Some(literal.string);
        }
        section.push_drafted(&literal, facts, never_indexed, Origin::NONE)
    }

    /// Decodes name and value of a literal representation into the draft of `section`.
    fn literal<'b>(
        &self,
        rest: &mut &'b [u8],
        prefix: u32,
        section: &mut Section<'_>,
    ) -> Result<Literal<'b>, DecodeError> {
        let index = take_integer(rest, prefix)?;
        let draft = section.out.draft();
        let start = draft.len();
        let name_facts = if index > STATIC_ENTRIES {
            let (_, line) = self.table.at(index).ok_or(DecodeError::IndexUnknown)?; // 7541-2.3.3-01
            draft.extend_from_slice(line.name());
            *line.note
        } else if let Some(line) = static_table::get(index) {
            draft.extend_from_slice(line.name());
            line.facts
        } else {
            take_string(rest, draft)?;
            FieldFacts::of_name(&draft[start..], self.seed)
        };
        let (value_start, from) = (draft.len(), rest.len());
        let code = take_string(rest, draft)?;
        Ok(Literal { start, value_start, name_facts, code, string: (from, rest.len()) })
    }
}

/// A literal whose octets are the last in the draft.
struct Literal<'b> {
    start: usize,
    value_start: usize,
    name_facts: FieldFacts,
    /// What the value came in, if that was Huffman code.
    code: Option<&'b [u8]>,
    /// How many octets of the block are left where the string of the value begins, and behind it.
    string: (usize, usize),
}

impl Literal<'_> {
    /// Name and value.
    fn split<'a>(&self, section: &'a mut Section<'_>) -> (&'a [u8], &'a [u8]) {
        let draft = section.out.draft();
        (&draft[self.start..self.value_start], &draft[self.value_start..])
    }
}

/// The section that is being decoded, and what its limits leave.
struct Section<'a> {
    out: &'a mut Lines,
    size_left: usize,
    fields_left: u32,
    hit: Option<LimitHit>,
    /// How much of literals is decoded although none is kept any more.
    dropped_left: usize,
    /// Where a path stands that enters no table, as [`Literal::string`].
    path: Option<(usize, usize)>,
}

impl Section<'_> {
    #[inline]
    fn push(&mut self, octets: &[u8], name_len: usize, facts: &FieldFacts, origin: Origin) {
        if self.admits(octets.len()) {
            self.out.push_joined(octets, name_len, facts, origin);
        }
    }

    fn push_drafted(
        &mut self,
        literal: &Literal<'_>,
        facts: FieldFacts,
        never_indexed: bool,
        origin: Origin,
    ) -> Result<(), DecodeError> {
        let Literal { start, value_start, .. } = *literal;
        let len = self.out.draft().len() - start;
        if self.admits(len) {
            self.out.push_drafted(start, value_start - start, &facts, never_indexed, origin);
            if let Some(code) = literal.code {
                self.out.keep_code(code);
            }
            Ok(())
        } else {
            self.drop_literal(len)
        }
    }

    /// A literal of `len` octets was made for the table's sake alone.
    #[cold]
    fn drop_literal(&mut self, len: usize) -> Result<(), DecodeError> {
        let left = self.dropped_left.checked_sub(len + FIELD_OVERHEAD);
        self.dropped_left = left.ok_or(DecodeError::LiteralsTooMany)?;
        Ok(())
    }

    /// Whether another line of `len` octets may be kept. If not, none is from now on.
    #[inline]
    fn admits(&mut self, len: usize) -> bool {
        let size = len + FIELD_OVERHEAD;
        if self.fields_left > 0 && size <= self.size_left {
            self.fields_left -= 1;
            self.size_left -= size;
            true
        } else {
            self.refuse();
            false
        }
    }

    #[cold]
    fn refuse(&mut self) {
        self.hit.get_or_insert(if self.fields_left == 0 { LimitHit::Fields } else { LimitHit::Size });
        self.fields_left = 0;
        self.out.clear();
    }
}

#[inline]
fn starts_with_size_update(block: &[u8]) -> bool {
    matches!(block.first(), Some(0x20..0x40))
}

#[inline]
fn take_integer(rest: &mut &[u8], prefix: u32) -> Result<u32, DecodeError> {
    let (value, len) = integer::decode(rest, prefix)?;
    *rest = &rest[len..];
    Ok(value)
}

/// Appends a string literal to `out` (RFC 7541 section 5.2). Says what it came in, if that was Huffman code.
fn take_string<'a>(rest: &mut &'a [u8], out: &mut Vec<u8>) -> Result<Option<&'a [u8]>, DecodeError> {
    let huffman_coded = rest.first().is_some_and(|first| first & 0x80 != 0);
    let len = take_integer(rest, 7)? as usize;
    let Some((string, behind)) = rest.split_at_checked(len) else { return Err(DecodeError::Truncated) };
    *rest = behind;
    if huffman_coded {
        huffman::decode(string, out)?;
        Ok(Some(string))
    } else {
        out.extend_from_slice(string);
        Ok(None)
    }
}
