//! The static table (RFC 7541 appendix A).

use crate::fields::FieldFacts;

/// How many entries the static table has; dynamic entries bear the indices above.
pub(super) const STATIC_ENTRIES: u32 = 61;

/// A line of the static table.
pub(super) struct StaticEntry {
    /// The name, and the value behind it.
    pub(super) octets: &'static [u8],
    pub(super) name_len: usize,
    pub(super) facts: FieldFacts,
}

impl StaticEntry {
    pub(super) fn name(&self) -> &'static [u8] {
        &self.octets[..self.name_len]
    }
}

/// The entry with this index (1 to 61).
#[inline]
pub(super) fn get(index: u32) -> Option<&'static StaticEntry> {
    ENTRIES.get((index as usize).wrapping_sub(1))
}

macro_rules! entry {
    ($index:literal, $name:literal, $value:literal) => {
        StaticEntry {
            octets: concat!($name, $value).as_bytes(),
            name_len: $name.len(),
            facts: FieldFacts::of_static_line($name.as_bytes(), $index),
        }
    };
}

static ENTRIES: [StaticEntry; STATIC_ENTRIES as usize] = [
    entry!(1, ":authority", ""),
    entry!(2, ":method", "GET"),
    entry!(3, ":method", "POST"),
    entry!(4, ":path", "/"),
    entry!(5, ":path", "/index.html"),
    entry!(6, ":scheme", "http"),
    entry!(7, ":scheme", "https"),
    entry!(8, ":status", "200"),
    entry!(9, ":status", "204"),
    entry!(10, ":status", "206"),
    entry!(11, ":status", "304"),
    entry!(12, ":status", "400"),
    entry!(13, ":status", "404"),
    entry!(14, ":status", "500"),
    entry!(15, "accept-charset", ""),
    entry!(16, "accept-encoding", "gzip, deflate"),
    entry!(17, "accept-language", ""),
    entry!(18, "accept-ranges", ""),
    entry!(19, "accept", ""),
    entry!(20, "access-control-allow-origin", ""),
    entry!(21, "age", ""),
    entry!(22, "allow", ""),
    entry!(23, "authorization", ""),
    entry!(24, "cache-control", ""),
    entry!(25, "content-disposition", ""),
    entry!(26, "content-encoding", ""),
    entry!(27, "content-language", ""),
    entry!(28, "content-length", ""),
    entry!(29, "content-location", ""),
    entry!(30, "content-range", ""),
    entry!(31, "content-type", ""),
    entry!(32, "cookie", ""),
    entry!(33, "date", ""),
    entry!(34, "etag", ""),
    entry!(35, "expect", ""),
    entry!(36, "expires", ""),
    entry!(37, "from", ""),
    entry!(38, "host", ""),
    entry!(39, "if-match", ""),
    entry!(40, "if-modified-since", ""),
    entry!(41, "if-none-match", ""),
    entry!(42, "if-range", ""),
    entry!(43, "if-unmodified-since", ""),
    entry!(44, "last-modified", ""),
    entry!(45, "link", ""),
    entry!(46, "location", ""),
    entry!(47, "max-forwards", ""),
    entry!(48, "proxy-authenticate", ""),
    entry!(49, "proxy-authorization", ""),
    entry!(50, "range", ""),
    entry!(51, "referer", ""),
    entry!(52, "refresh", ""),
    entry!(53, "retry-after", ""),
    entry!(54, "server", ""),
    entry!(55, "set-cookie", ""),
    entry!(56, "strict-transport-security", ""),
    entry!(57, "transfer-encoding", ""),
    entry!(58, "user-agent", ""),
    entry!(59, "vary", ""),
    entry!(60, "via", ""),
    entry!(61, "www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7541_appendix_a_facts_agree_with_those_of_any_line() {
        for (index, entry) in (1..).zip(&ENTRIES) {
            let (name, value) = entry.octets.split_at(entry.name_len);
            assert_eq!(entry.facts, FieldFacts::of(name, value, 0x5eed), "{index}");
            assert_eq!(entry.facts.static_line, index);
            let first = (1..).zip(&ENTRIES).find(|(_, other)| other.name() == name).map(|(first, _)| first);
            assert_eq!(Some(entry.facts.static_name), first, "{index}");
        }
    }

    #[test]
    fn other_values_are_no_static_lines() {
        for entry in &ENTRIES {
            let facts = FieldFacts::of(entry.name(), b"something else", 7);
            assert_eq!((facts.static_name, facts.static_line), (entry.facts.static_name, 0));
        }
        assert_eq!(FieldFacts::of(b":path", b"", 7).static_line, 0);
        assert_eq!(FieldFacts::of(b"x-unknown", b"", 7).static_line, 0);
    }

    #[test]
    fn index_range() {
        assert!(get(0).is_none() && get(62).is_none());
        assert_eq!(get(1).map(StaticEntry::name), Some(&b":authority"[..]));
        assert_eq!(get(61).map(StaticEntry::name), Some(&b"www-authenticate"[..]));
    }
}
