//! Which field lines our encoder puts into its dynamic table.

use crate::fields::{FIELD_OVERHEAD, FieldFacts, FieldLine, FieldName};

/// How a line that the tables do not hold is represented (RFC 7541 section 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Indexing {
    /// With incremental indexing: it enters the table (6.2.1).
    Index,
    /// Without indexing: it does not, and a later hop may decide anew (6.2.2).
    WithoutIndexing,
    /// Never indexed: no later hop may put it into a table either (6.2.3).
    Never,
}

/// Decides how lines are represented, by name and size of the value.
///
/// Two reasons keep a line out of the table. Values that hardly ever come again would push out what does come again. And
/// whoever can make us encode guesses beside a secret in the same table can see by the size when a guess is right
/// (RFC 7541 section 7.1): values worth guessing must not enter a table, least of all one that several clients share.
///
/// A line that is [marked](FieldLine::never_indexed) is never indexed whatever the policy says.
///
/// ```
/// use shuntyard_core::fields::FieldLine;
/// use shuntyard_core::hpack::{Indexing, IndexingPolicy};
///
/// let mut policy = IndexingPolicy::default();
/// policy.set("if-range", Indexing::WithoutIndexing)?;
/// let line = FieldLine::new(b"if-range", b"\"67ab43\"", 0);
/// assert_eq!(policy.decide(&line, 4096), Indexing::WithoutIndexing);
/// # Ok::<(), shuntyard_core::hpack::NameNotStatic>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexingPolicy {
    /// Names that are not to be indexed: bit n stands for the name of entry n of the static table.
    without_indexing: u64,
    /// Names that are never to be indexed, likewise.
    never: u64,
    /// A `cookie` whose value has fewer octets than this is never indexed: it may be short enough to be guessed.
    pub cookie_octets_min: u16,
    /// A line is indexed only if its entry takes at most this many quarters of the table. 0 to 4.
    pub table_quarters_max: u8,
}

impl Default for IndexingPolicy {
    /// As nghttp2 decides: without indexing `:path`, `age`, `content-length`, `etag`, `if-modified-since`,
    /// `if-none-match`, `location`, `set-cookie` and lines that need more than three quarters of the table; never
    /// `authorization`, `proxy-authorization`, and `cookie` of fewer than 20 octets; all others indexed.
    fn default() -> Self {
        const PATH: u64 = 1 << 4;
        const AGE: u64 = 1 << 21;
        const AUTHORIZATION: u64 = 1 << 23;
        const CONTENT_LENGTH: u64 = 1 << 28;
        const ETAG: u64 = 1 << 34;
        const IF_MODIFIED_SINCE: u64 = 1 << 40;
        const IF_NONE_MATCH: u64 = 1 << 41;
        const LOCATION: u64 = 1 << 46;
        const PROXY_AUTHORIZATION: u64 = 1 << 49;
        const SET_COOKIE: u64 = 1 << 55;
        Self {
            without_indexing: PATH
                | AGE
                | CONTENT_LENGTH
                | ETAG
                | IF_MODIFIED_SINCE
                | IF_NONE_MATCH
                | LOCATION
                | SET_COOKIE,
            never: AUTHORIZATION | PROXY_AUTHORIZATION,
            cookie_octets_min: 20,
            table_quarters_max: 3,
        }
    }
}

impl IndexingPolicy {
    /// Sets what happens to lines with this name, which the static table must know. For others there is the mark on
    /// the line.
    ///
    /// # Errors
    ///
    /// The static table does not know the name.
    pub fn set(&mut self, name: &str, indexing: Indexing) -> Result<(), NameNotStatic> {
        let bit = match FieldFacts::of_name(name.as_bytes(), 0).static_name {
            0 => return Err(NameNotStatic),
            static_name => 1 << static_name,
        };
        self.without_indexing &= !bit;
        self.never &= !bit;
        match indexing {
            Indexing::Index => {}
            Indexing::WithoutIndexing => self.without_indexing |= bit,
            Indexing::Never => self.never |= bit,
        }
        Ok(())
    }

    /// How to represent `line` while the table's maximum size is `table_size` octets.
    pub fn decide(&self, line: &FieldLine<'_>, table_size: u32) -> Indexing {
        let name = bit_of(line);
        let guessable =
            || line.facts.name == FieldName::Cookie && line.value.len() < usize::from(self.cookie_octets_min);
        let entry_size = (line.name.len() + line.value.len() + FIELD_OVERHEAD) as u64;
        let too_large = || entry_size * 4 > u64::from(table_size) * u64::from(self.table_quarters_max);
        // 7541-6.2.3-01, 7541-7.1.3-01
        if line.never_indexed || name & self.never != 0 || guessable() {
            Indexing::Never
        } else if name & self.without_indexing != 0 || too_large() {
            Indexing::WithoutIndexing
        } else {
            Indexing::Index
        }
    }

    /// Whether no line with this name enters a table, whatever its size.
    #[inline]
    pub(super) fn excludes_name(&self, line: &FieldLine<'_>) -> bool {
        bit_of(line) & (self.without_indexing | self.never) != 0
    }
}

/// The bit of the line's name; none for one that the static table does not know.
#[inline]
fn bit_of(line: &FieldLine<'_>) -> u64 {
    1_u64.checked_shl(line.facts.static_name.into()).unwrap_or(0) & !1
}

/// An [`IndexingPolicy`] knows only names of the static table (RFC 7541 appendix A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameNotStatic;

impl core::fmt::Display for NameNotStatic {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the name does not stand in HPACK's static table")
    }
}

impl core::error::Error for NameNotStatic {}

#[cfg(test)]
mod tests {
    use super::*;
    use Indexing::{Index, Never, WithoutIndexing};

    fn decided(policy: &IndexingPolicy, name: &str, value: &str) -> Indexing {
        policy.decide(&FieldLine::new(name.as_bytes(), value.as_bytes(), 7), 4096)
    }

    #[test]
    fn rfc7541_7_1_default() {
        let policy = IndexingPolicy::default();
        for name in [
            ":path",
            "age",
            "content-length",
            "etag",
            "if-modified-since",
            "if-none-match",
            "location",
            "set-cookie",
        ] {
            assert_eq!(decided(&policy, name, "value"), WithoutIndexing, "{name}");
        }
        for name in ["authorization", "proxy-authorization"] {
            assert_eq!(decided(&policy, name, "value"), Never, "{name}");
            assert_eq!(decided(&policy, name, &"long".repeat(1000)), Never, "{name}");
        }
        for name in
            [":method", ":authority", ":status", "user-agent", "date", "x-other", "", "www-authenticate"]
        {
            assert_eq!(decided(&policy, name, "value"), Index, "{name}");
        }
        assert_eq!(decided(&policy, "cookie", &"c".repeat(19)), Never);
        assert_eq!(decided(&policy, "cookie", &"c".repeat(20)), Index);
    }

    #[test]
    fn three_quarters_of_the_table() {
        let policy = IndexingPolicy::default();
        let of_size = |size: usize| decided(&policy, "x", &"v".repeat(size - 33));
        assert_eq!(of_size(3072), Index);
        assert_eq!(of_size(3073), WithoutIndexing);
        assert_eq!(policy.decide(&FieldLine::new(b"x", b"", 0), 0), WithoutIndexing);
    }

    #[test]
    fn names_can_be_set() {
        let mut policy = IndexingPolicy::default();
        policy.set("authorization", Index).unwrap();
        policy.set("www-authenticate", Never).unwrap();
        policy.set(":status", WithoutIndexing).unwrap();
        assert_eq!(decided(&policy, "authorization", "v"), Index);
        assert_eq!(decided(&policy, "www-authenticate", "v"), Never);
        assert_eq!(decided(&policy, ":status", "201"), WithoutIndexing);
        assert_eq!(policy.set("x-other", Never), Err(NameNotStatic));
        assert_eq!(decided(&policy, "x-other", "v"), Index);
    }

    #[test]
    fn rfc7541_6_2_3_the_mark_outweighs_the_policy() {
        let line = FieldLine::new(b"x", b"v", 0).never_indexed();
        assert_eq!(IndexingPolicy::default().decide(&line, 4096), Never);
    }
}
