//! Lines side by side in one piece of memory, with what is known of each.

use super::{FIELD_OVERHEAD, FieldFacts, FieldLine, FieldName, FieldNames, Origin};

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) start: u32,
    pub(super) name_len: u32,
    pub(super) value_len: u32,
    /// Behind the value lies its Huffman code, of so many octets; 0 where it does not.
    pub(super) code_len: u32,
    pub(super) facts: FieldFacts,
    pub(super) never_indexed: bool,
    pub(super) origin: Origin,
}

impl Entry {
    /// Of name, value and code.
    pub(super) const fn octets_len(&self) -> usize {
        (self.name_len + self.value_len + self.code_len) as usize
    }

    /// The share of the size of a section (RFC 9113 section 6.5.2).
    pub(super) const fn size(&self) -> u32 {
        self.name_len + self.value_len + FIELD_OVERHEAD as u32
    }
}

/// The lines of a section.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    pub(super) octets: Vec<u8>,
    pub(super) entries: Vec<Entry>,
    /// 32 bits are enough: sections are bounded by whoever fills them.
    pub(super) size: u32,
    /// The meanings of all names, so that most questions for a field that is not there end here.
    pub(super) names: FieldNames,
    /// Of the lines as they are; none where a line was altered since.
    pub(super) origin: Origin,
}

impl Lines {
    /// Removes all lines and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.octets.clear();
        self.entries.clear();
        self.size = 0;
        self.names = FieldNames::NONE;
        self.origin = Origin::NONE;
    }

    /// Becomes equal to others, in its own memory.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.octets.clone_from(&other.octets);
        self.entries.clone_from(&other.entries);
        (self.size, self.names, self.origin) = (other.size, other.names, other.origin);
    }

    /// Octets of memory held.
    pub(super) fn capacity(&self) -> usize {
        self.octets.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    pub(super) fn line(&self, entry: &Entry) -> FieldLine<'_> {
        line(&self.octets, entry)
    }

    /// Gives memory back that no line needs.
    pub(super) fn fit(&mut self) {
        let all = self.entries.iter().map(Entry::octets_len).sum::<usize>();
        let mut octets = Vec::with_capacity(all);
        for entry in &mut self.entries {
            let start = octets.len() as u32;
            octets.extend_from_slice(&self.octets[entry.start as usize..][..entry.octets_len()]);
            entry.start = start;
        }
        self.octets = octets;
        self.entries.shrink_to_fit();
    }

    /// Where the octets of a line can be composed behind those of the lines before, for
    /// [`push_drafted`](Self::push_drafted) or to be truncated again.
    #[inline]
    pub(crate) fn draft(&mut self) -> &mut Vec<u8> {
        &mut self.octets
    }

    /// Makes a line of the octets drafted from `start` on.
    #[inline]
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

    /// Appends a line whose name and value lie side by side.
    #[inline]
    pub(crate) fn push_joined(&mut self, octets: &[u8], name_len: usize, facts: &FieldFacts, origin: Origin) {
        let start = self.octets.len();
        self.octets.extend_from_slice(octets);
        self.push_entry(start, name_len, octets.len() - name_len, facts, false, origin);
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

    /// The first line that means this.
    pub(super) fn find(&self, name: FieldName) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.facts.name == name)
    }
}

/// A line whose octets nobody has looked at: what is known of it is mostly enough.
#[derive(Clone, Copy)]
pub(crate) struct Unread<'a> {
    pub(super) octets: &'a [u8],
    pub(super) entry: &'a Entry,
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

#[inline]
pub(super) fn line<'a>(octets: &'a [u8], entry: &Entry) -> FieldLine<'a> {
    let octets = &octets[entry.start as usize..][..(entry.name_len + entry.value_len) as usize];
    let (name, value) = octets.split_at(entry.name_len as usize);
    FieldLine { name, value, facts: entry.facts, never_indexed: entry.never_indexed, origin: entry.origin }
}
