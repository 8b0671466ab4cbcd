//! Header compression of RFC 7541: a decoder and an encoder over a list of pairs.

use std::fmt;

use super::huffman;
use super::{Field, field};

/// Why a field block is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HpackError(pub String);

impl fmt::Display for HpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn error<T>(text: impl Into<String>) -> Result<T, HpackError> {
    Err(HpackError(text.into()))
}

/// A field line with what its representation says about indexing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Name and value.
    pub field: Field,
    /// Literal Header Field Never Indexed (6.2.3).
    pub never_indexed: bool,
}

/// The dynamic table (2.3.2): newest entry first.
#[derive(Clone, Debug)]
pub struct Table {
    entries: Vec<Field>,
    max_size: usize,
}

impl Table {
    fn new() -> Self {
        Self { entries: Vec::new(), max_size: 4096 }
    }

    /// The entries, newest first.
    pub fn entries(&self) -> &[Field] {
        &self.entries
    }

    /// The size of all entries (4.1).
    pub fn size(&self) -> usize {
        self.entries.iter().map(entry_size).sum()
    }

    fn resize(&mut self, max_size: usize) {
        self.max_size = max_size;
        self.evict();
    }

    fn insert(&mut self, entry: Field) {
        self.entries.insert(0, entry);
        self.evict();
    }

    /// Drops the oldest until the rest fits; an entry larger than the table empties it (4.4).
    fn evict(&mut self) {
        while self.size() > self.max_size {
            self.entries.pop();
        }
    }

    /// Static and dynamic table in one address space (2.3.3).
    fn get(&self, index: usize) -> Result<Field, HpackError> {
        match index {
            0 => error("index 0"),
            1..=61 => {
                let (name, value) = STATIC_TABLE[index - 1];
                Ok(field(name, value))
            }
            _ => match self.entries.get(index - 62) {
                Some(entry) => Ok(entry.clone()),
                None => error(format!("index {index} with {} dynamic entries", self.entries.len())),
            },
        }
    }

    fn find(&self, matches: impl Fn(&[u8], &[u8]) -> bool) -> Option<usize> {
        let fixed = STATIC_TABLE.iter().position(|(name, value)| matches(name.as_bytes(), value.as_bytes()));
        let dynamic = || self.entries.iter().position(|(name, value)| matches(name, value));
        fixed.map(|at| at + 1).or_else(|| dynamic().map(|at| at + 62))
    }
}

fn entry_size((name, value): &Field) -> usize {
    name.len() + value.len() + 32
}

/// The side that receives field blocks.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// Its dynamic table.
    pub table: Table,
    limit: usize,
    /// A block must begin with a size update at most this large: the limit was lowered below the table's size (4.2).
    update_needed: Option<usize>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { table: Table::new(), limit: 4096, update_needed: None }
    }
}

impl Decoder {
    /// Our SETTINGS_HEADER_TABLE_SIZE was acknowledged with this value.
    pub fn set_limit(&mut self, limit: usize) {
        if limit < self.table.max_size {
            self.update_needed = Some(self.update_needed.map_or(limit, |before| before.min(limit)));
        }
        self.limit = limit;
    }

    /// Whether the next block must begin with a size update.
    pub fn owes_update(&self) -> bool {
        self.update_needed.is_some()
    }

    /// Decodes one whole field block.
    pub fn decode(&mut self, block: &[u8]) -> Result<Vec<Line>, HpackError> {
        let mut rest = block;
        let mut lines = Vec::new();
        while let Some(&first) = rest.first() {
            if first & 0xe0 == 0x20 {
                if !lines.is_empty() {
                    return error("a table size update after a field line (4.2)");
                }
                self.size_update(take_integer(&mut rest, 5)?)?;
                continue;
            }
            self.update_came()?;
            lines.push(self.line(first, &mut rest)?);
        }
        // A block without any line, too, has to begin with it (RFC 9113 section 4.3.1).
        self.update_came()?;
        Ok(lines)
    }

    fn update_came(&self) -> Result<(), HpackError> {
        match self.update_needed {
            Some(limit) => error(format!("no table size update to {limit} or less came first (4.2)")),
            None => Ok(()),
        }
    }

    fn size_update(&mut self, size: usize) -> Result<(), HpackError> {
        if size > self.limit {
            return error(format!("a table size update to {size} above {} (6.3)", self.limit));
        }
        if self.update_needed.is_some_and(|lowest| size <= lowest) {
            self.update_needed = None;
        }
        self.table.resize(size);
        Ok(())
    }

    fn line(&mut self, first: u8, rest: &mut &[u8]) -> Result<Line, HpackError> {
        if first & 0x80 != 0 {
            let field = self.table.get(take_integer(rest, 7)?)?;
            return Ok(Line { field, never_indexed: false });
        }
        let (prefix, indexed, never_indexed) = match first {
            0x40..=0x7f => (6, true, false),
            0x10..=0x1f => (4, false, true),
            _ => (4, false, false),
        };
        let name = match take_integer(rest, prefix)? {
            0 => take_string(rest)?,
            index => self.table.get(index)?.0,
        };
        let field = (name, take_string(rest)?);
        if indexed {
            self.table.insert(field.clone());
        }
        Ok(Line { field, never_indexed })
    }
}

/// How the encoder represents a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexing {
    /// Indexed where possible, else literal with incremental indexing (6.2.1).
    Incremental,
    /// Literal without indexing (6.2.2), although an entry may exist.
    Without,
    /// Literal never indexed (6.2.3).
    Never,
    /// As [`Incremental`](Self::Incremental), but for the value of `:path`: a literal that enters no table, as nghttp2 sends it.
    ButPath,
    /// Only lines with a name of one's own (`x-`) enter the table, in which the newest is the first again and again.
    OwnNames,
}

impl Indexing {
    /// What is done with lines of this name.
    fn of(self, name: &[u8]) -> Self {
        match self {
            Self::ButPath if name != b":path" => Self::Incremental,
            Self::OwnNames if name.starts_with(b"x-") => Self::Incremental,
            Self::ButPath | Self::OwnNames => Self::Without,
            same => same,
        }
    }
}

/// The side that sends field blocks.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// Its dynamic table.
    pub table: Table,
    /// Size updates that the next block must begin with.
    updates: Vec<usize>,
    /// Whether strings are Huffman-encoded.
    pub huffman: bool,
    /// The largest table this encoder uses although the peer allows more.
    pub own_limit: usize,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { table: Table::new(), updates: Vec::new(), huffman: true, own_limit: 4096 }
    }
}

impl Encoder {
    /// An encoder that does or does not Huffman-encode.
    pub fn new(huffman: bool) -> Self {
        Self { huffman, ..Self::default() }
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE is now this.
    pub fn set_limit(&mut self, limit: usize) {
        let size = limit.min(self.own_limit);
        if self.updates.last().copied().unwrap_or(self.table.max_size) == size {
            return;
        }
        // Of several changes between two blocks the smallest must be told, then the last (4.2).
        let smallest = self.updates.iter().copied().min().map_or(size, |before| before.min(size));
        self.updates = if smallest < size { vec![smallest, size] } else { vec![size] };
    }

    /// Encodes a field section, each line represented as is said of its name.
    pub fn encode(&mut self, fields: &[Field], indexing: Indexing) -> Vec<u8> {
        let mut block = Vec::new();
        for size in std::mem::take(&mut self.updates) {
            put_integer(&mut block, 0x20, 5, size);
            self.table.resize(size);
        }
        for field in fields {
            self.line(&mut block, field, indexing.of(&field.0));
        }
        block
    }

    fn line(&mut self, block: &mut Vec<u8>, field: &Field, indexing: Indexing) {
        let whole = self.table.find(|name, value| name == field.0 && value == field.1);
        if let (Some(index), Indexing::Incremental) = (whole, indexing) {
            return put_integer(block, 0x80, 7, index);
        }
        let name = self.table.find(|name, _| name == field.0).unwrap_or(0);
        match indexing {
            Indexing::Incremental => put_integer(block, 0x40, 6, name),
            Indexing::Never => put_integer(block, 0x10, 4, name),
            _ => put_integer(block, 0x00, 4, name),
        }
        if name == 0 {
            put_string(block, &field.0, self.huffman);
        }
        put_string(block, &field.1, self.huffman);
        if indexing == Indexing::Incremental {
            self.table.insert(field.clone());
        }
    }
}

/// Section 5.1.
fn take_integer(rest: &mut &[u8], prefix: u32) -> Result<usize, HpackError> {
    let mut take = || {
        let (&octet, tail) =
            rest.split_first().ok_or_else(|| HpackError("a block ends inside an integer".into()))?;
        *rest = tail;
        Ok::<_, HpackError>(octet)
    };
    let full = (1_u64 << prefix) - 1;
    let mut value = u64::from(take()?) & full;
    if value == full {
        let mut shift = 0;
        loop {
            let octet = take()?;
            value += u64::from(octet & 0x7f) << shift;
            shift += 7;
            if octet & 0x80 == 0 {
                break;
            }
            if shift > 28 {
                return error("an integer of too many octets");
            }
        }
    }
    usize::try_from(value).map_err(|_| HpackError("an integer too large".into()))
}

fn put_integer(block: &mut Vec<u8>, pattern: u8, prefix: u32, value: usize) {
    let full = (1_usize << prefix) - 1;
    let low = |value: usize| u8::try_from(value).expect("the caller cut it to seven bits or less");
    if value < full {
        return block.push(pattern | low(value));
    }
    block.push(pattern | low(full));
    let mut value = value - full;
    while value >= 128 {
        block.push(0x80 | low(value % 128));
        value /= 128;
    }
    block.push(low(value));
}

/// Section 5.2.
fn take_string(rest: &mut &[u8]) -> Result<Vec<u8>, HpackError> {
    let huffman = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = take_integer(rest, 7)?;
    let Some((octets, tail)) = rest.split_at_checked(length) else {
        return error("a block ends inside a string");
    };
    *rest = tail;
    if huffman {
        huffman::decode(octets).map_err(|text| HpackError(text.into()))
    } else {
        Ok(octets.to_vec())
    }
}

fn put_string(block: &mut Vec<u8>, octets: &[u8], huffman: bool) {
    let (pattern, octets) = if huffman { (0x80, huffman::encode(octets)) } else { (0, octets.to_vec()) };
    put_integer(block, pattern, 7, octets.len());
    block.extend(octets);
}

/// Appendix A.
#[rustfmt::skip]
const STATIC_TABLE: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""),
    ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""),
    ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""),
    ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""),
    ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""), ("retry-after", ""),
    ("server", ""), ("set-cookie", ""), ("strict-transport-security", ""), ("transfer-encoding", ""),
    ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
];

#[cfg(test)]
mod tests;
