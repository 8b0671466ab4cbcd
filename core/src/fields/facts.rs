//! What there is to know of a field line, found out once.

use super::name::{self, FieldName};

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

/// 9113-8.2.1-02, 9113-8.2.1-05, 9113-8.2.1-06, 9110-5.5-04: no NUL, LF or CR anywhere, no SP or HTAB at either end.
fn value_is_well_formed(value: &[u8]) -> bool {
    let blank = |octet: Option<&u8>| matches!(octet, Some(b' ' | b'\t'));
    !blank(value.first())
        && !blank(value.last())
        && !value.iter().fold(false, |bad, &octet| bad | matches!(octet, 0 | b'\n' | b'\r'))
}

/// A multiply-rotate hash over eight octets at a time.
pub(crate) fn hash(seed: u64, octets: &[u8]) -> u64 {
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

/// The same in 32 bits.
pub(crate) fn fold(hash: u64) -> u32 {
    (hash ^ hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use shuntyard_requirements::req;

    use super::*;

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
