//! What there is to know of a field line, found out once.

use super::name::{self, FieldName};
use super::{FieldLine, Origin};

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
    /// Whether the value has no control character but HTAB (RFC 9110 section 5.5): every parser of HTTP/1.1 takes it for what it is.
    pub value_is_text: bool,
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
        // Names of the static table are tokens in lower case.
        let well_formed = static_name != 0 || name::is_well_formed(name, class);
        Self {
            name: class,
            static_name,
            static_line: 0,
            well_formed,
            name_well_formed: well_formed,
            value_is_text: true,
            name_hash: if static_name == 0 { fold(hash(seed, name)) } else { static_hash(static_name) },
            line_hash: 0,
        }
    }

    /// The facts of a line with the same name and this value. The name's octets are not looked at again.
    #[inline(always)]
    pub fn with_value(self, value: &[u8], seed: u64) -> Self {
        let static_line = name::static_line(self.static_name, value);
        if static_line != 0 {
            let (well_formed, line_hash) = (self.name_well_formed, static_hash(static_line));
            return Self { static_line, well_formed, value_is_text: true, line_hash, ..self };
        }
        let (hash, has_control) = look_at(seed ^ u64::from(self.name_hash), value);
        let value_is_text =
            !has_control || value.iter().all(|&octet| octet == b'\t' || !octet.is_ascii_control());
        // 9113-8.2.1-02: NUL, LF and CR are controls.
        let well_formed = self.name_well_formed
            && !begins_or_ends_blank(value)
            && (value_is_text || !value.iter().any(|octet| matches!(octet, 0 | b'\n' | b'\r')));
        Self { static_line, well_formed, value_is_text, line_hash: fold(hash), ..self }
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
            value_is_text: true,
            name_hash: static_hash(static_name),
            line_hash: static_hash(index),
        }
    }
}

impl<'a> FieldLine<'a> {
    /// A line with the same name and this value, as sensitive as it was. It came from no table. `seed` as for [`FieldFacts::of`].
    pub fn with_value(self, value: &'a [u8], seed: u64) -> Self {
        Self { value, facts: self.facts.with_value(value, seed), origin: Origin::NONE, ..self }
    }
}

/// What stands for a hash where the static table says which name or line it is: known to everybody, and different for each of the 61, so that
/// only what is made of several can be alike.
const fn static_hash(index: u8) -> u32 {
    (index as u32).wrapping_mul(0x9e37_79b9)
}

/// 9113-8.2.1-05, 9113-8.2.1-06, 9110-5.5-04: no SP or HTAB at either end.
fn begins_or_ends_blank(value: &[u8]) -> bool {
    let blank = |octet: Option<&u8>| matches!(octet, Some(b' ' | b'\t'));
    blank(value.first()) || blank(value.last())
}

/// A hash over eight octets at a time.
pub(crate) fn hash(seed: u64, octets: &[u8]) -> u64 {
    let key = key(seed);
    words(octets).fold(begin(seed, octets), |state, word| mix(state, word, key))
}

/// A short hash, by which octets that come again are guessed to be the same.
#[inline]
pub(crate) fn fingerprint(seed: u64, octets: &[u8]) -> u32 {
    fold(hash(seed, octets))
}

/// The same hash, and whether one of the octets is a control (HTAB among them), in one pass.
#[inline]
fn look_at(seed: u64, octets: &[u8]) -> (u64, bool) {
    let key = key(seed);
    let (hash, graphic) = words(octets).fold((begin(seed, octets), HIGHEST), |(state, graphic), word| {
        (mix(state, word, key), graphic & no_controls(word))
    });
    (hash, graphic != HIGHEST)
}

pub(super) const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

fn begin(seed: u64, octets: &[u8]) -> u64 {
    seed ^ (octets.len() as u64).wrapping_mul(MULTIPLIER)
}

/// What words are multiplied by.
fn key(seed: u64) -> u64 {
    (seed ^ MULTIPLIER) | 1
}

/// Multiplies, and folds the upper half of the product onto the lower: whatever bits two words differ in, how their hashes differ hangs on the
/// factor. By a known one, or of the lower half alone, words could be made that collide.
pub(crate) fn mix(state: u64, word: u64, key: u64) -> u64 {
    let product = u128::from(state ^ word) * u128::from(key);
    product as u64 ^ (product >> 64) as u64
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
/// The highest bit of each octet.
const HIGHEST: u64 = ONES * 0x80;

/// Has the highest bit of each octet that is neither below SP nor DEL.
fn no_controls(word: u64) -> u64 {
    // Of seven bits, and one more than before: DEL is 0 now, SP 0x21.
    let next = ((word & !HIGHEST) + ONES) & !HIGHEST;
    (next + ONES * 0x5f) | word
}

/// All octets in words. Those that are left over come with some before them once more; where there are less than eight
/// altogether, once more or with spaces. Strings of the same length differ in their words where they differ.
fn words(octets: &[u8]) -> impl Iterator<Item = u64> {
    const SPACES: u64 = u64::from_le_bytes([b' '; 8]);
    let (whole, rest) = octets.as_chunks::<8>();
    let last = if let Some(&last) = octets.last_chunk::<8>() {
        (!rest.is_empty()).then_some(u64::from_le_bytes(last))
    } else if let (Some(&first), Some(&last)) = (octets.first_chunk::<4>(), octets.last_chunk::<4>()) {
        Some(u64::from(u32::from_le_bytes(first)) | u64::from(u32::from_le_bytes(last)) << 32)
    } else if let (Some(&first), Some(&middle), Some(&last)) =
        (octets.first(), octets.get(octets.len() / 2), octets.last())
    {
        Some(u64::from_le_bytes([first, middle, last, b' ', b' ', b' ', b' ', b' ']))
    } else {
        Some(SPACES)
    };
    whole.iter().map(|&word| u64::from_le_bytes(word)).chain(last)
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

    /// Where only the value is exchanged, an encoder sends the line that was.
    #[test]
    fn another_value_has_facts_of_its_own() {
        let first = FieldLine { origin: Origin(1 << 32 | 1), ..FieldLine::new(b":status", b"200", 7) };
        for value in ["404", "299", "a\nb"] {
            let line = first.never_indexed().with_value(value.as_bytes(), 7);
            assert_eq!(line, FieldLine::new(b":status", value.as_bytes(), 7).never_indexed());
        }
    }

    /// Every octet, at every place of values of every length up to three words.
    #[test]
    fn controls_are_found_wherever_they_stand() {
        req!("9113-8.2.1-02");
        for len in 1..=24 {
            for at in 0..len {
                for octet in 0..=255 {
                    let mut value = vec![0xb5; len];
                    value[at] = octet;
                    let facts = FieldFacts::of(b"x", &value, 0);
                    let blank = matches!(octet, b' ' | b'\t') && (at == 0 || at == len - 1);
                    let well_formed = !matches!(octet, 0 | b'\n' | b'\r') && !blank;
                    let is_text = octet == b'\t' || !octet.is_ascii_control();
                    assert_eq!(
                        (facts.well_formed, facts.value_is_text),
                        (well_formed, is_text),
                        "{value:x?}"
                    );
                }
            }
        }
    }

    #[test]
    fn strings_that_differ_anywhere_differ_in_their_words() {
        for len in 1..=24 {
            for at in 0..len {
                let mut value = vec![b'a'; len];
                let before: Vec<_> = words(&value).collect();
                value[at] = b'b';
                assert!(!before.iter().copied().eq(words(&value)), "{at} of {len}");
            }
        }
    }

    /// Pairs of bits that made up for each other whatever the seed when the lower half of a product was all.
    #[test]
    fn nobody_makes_values_that_collide_for_every_seed() {
        let value = |n: usize| {
            let mut value = *b"abcdefghabcdefghabcdefghabcdefghabcdefghabcdefghabcdefghabcdefgh";
            for word in (0..7).filter(|word| n & 1 << word != 0) {
                value[8 * word + 7] ^= 0x80;
                value[8 * word + 10] ^= 0x40;
            }
            value
        };
        for seed in [0, 1, 0x1234_5678_9abc_def0] {
            let of = |n| hash(seed, &value(n));
            let mut all: Vec<_> = (0..128).map(of).collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), 128, "{seed}");
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
