//! With the feature `observe`, text to a number: what `Debug` says of a gateway, without what makes no difference.

use core::fmt::{self, Write};

use crate::time::Instant;

/// Types that only count what happened, so that nothing that is done depends on them but which memory is used for it, and parts of the
/// configuration.
const LEFT_OUT: &[&str] = &[
    "Account",
    "ConnectionConfig",
    "EndpointCounters",
    "Loudness",
    "Route",
    "RouteCounters",
    "SideCounters",
    "Traffic",
    "UpstreamConfig",
    "UpstreamCounters",
    "Wakefulness",
];
/// Where in the output of a connection a head begins: whether it has left is seen by what is in its outbox. And turns by their
/// numbers: in a line the links say the order.
const PLACES: &[&str] = &["head_at", "ping_at", "recv_at", "seen_at", "turn_taken", "turns_taken"];
/// Fields that hold keys of deadlines: a slab of its own, whose keys must not be taken for those of others.
const DEADLINES: &[&str] =
    &["age_deadline", "deadline", "easing", "rest_deadline", "total", "write_deadline"];
/// Fields that hold keys as numbers.
const KEYS: &[&str] = &["head", "next", "prev", "tail"];
/// A stream's tag is the key of its request, and one more: 0 is none.
const TAG: &str = "tag";

/// The number of a text, and of entries behind it whose order means nothing.
pub(super) fn of(now: Instant, text: fmt::Arguments<'_>, entries: impl Iterator<Item = String>) -> u64 {
    let mut digest = Digest::new(now);
    // It cannot fail: the sink takes everything, and `Debug` of our own types has no errors of its own.
    let _ = digest.write_fmt(text).and_then(|()| digest.in_no_order(entries));
    digest.hash
}

/// Hashes text as it is written, word by word: the numbers in `Instant(...)` count from a moment, the keys of slabs are
/// numbered in the order in which they come, and what is named in [`LEFT_OUT`] is left out.
struct Digest {
    hash: u64,
    now: u64,
    /// The letters and digits of the word that is being written.
    word: Vec<u8>,
    meaning: Meaning,
    /// Keys by their numbers.
    keys: Vec<u64>,
    /// How many brackets of something that is left out are open.
    skipped: u32,
}

/// What the next word is, if it is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Itself,
    Instant,
    Key,
    Tag,
    Place,
    Deadline,
}

impl Digest {
    fn new(now: Instant) -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            now: now.as_nanos(),
            word: Vec::new(),
            meaning: Meaning::Itself,
            keys: Vec::new(),
            skipped: 0,
        }
    }

    /// FNV-1a, with a turn, so that the high half knows of the low one.
    fn take(&mut self, part: u64) {
        self.hash = (self.hash ^ part).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    /// Entries whose order means nothing. Keys that stand in none but one of them are all alike.
    fn in_no_order(&mut self, entries: impl Iterator<Item = String>) -> fmt::Result {
        let (begin, mut sum) = (self.hash, 0_u64);
        let known = self.keys.len();
        for entry in entries {
            self.hash = begin;
            self.write_str(&entry)?;
            sum = sum.wrapping_add(self.hash);
            self.keys.truncate(known);
        }
        self.hash = begin;
        self.take(sum);
        Ok(())
    }

    fn letters(&mut self, letters: &[u8]) {
        if self.skipped == 0 {
            self.word.extend_from_slice(letters);
        }
    }

    /// What stands between words.
    fn mark(&mut self, octet: u8) {
        if self.skipped > 0 {
            match octet {
                b'{' | b'(' | b'[' => self.skipped += 1,
                // The bracket with which it began closes last.
                b'}' | b')' | b']' if self.skipped == 2 => self.skipped = 0,
                b'}' | b')' | b']' => self.skipped -= 1,
                _ => {}
            }
        } else {
            if !self.word.is_empty() {
                self.end_of_word(octet);
            }
            self.take(octet.into());
        }
    }

    fn end_of_word(&mut self, behind: u8) {
        let word = core::mem::take(&mut self.word);
        let number = if word[0].is_ascii_digit() { Number::of(&word) } else { Number::None };
        match (number, self.meaning) {
            (Number::Plain(nanos), Meaning::Instant) => self.take(nanos.wrapping_sub(self.now)),
            (Number::Plain(bits), Meaning::Key) => self.key(bits),
            (Number::Plain(bits), Meaning::Tag) => self.key(bits.wrapping_sub(1)),
            (Number::Plain(_), Meaning::Place) => {}
            (Number::Key(bits), Meaning::Deadline) => self.key(!bits),
            (Number::Key(bits), _) => self.key(bits),
            (Number::Plain(number), _) => self.take(number),
            (Number::None, _) => self.plain(&word),
        }
        self.meaning = match behind {
            b'(' if word == b"Instant" => Meaning::Instant,
            b'(' if word == b"Some" || word == b"Armed" => self.meaning,
            b':' => Meaning::of_field(&word),
            _ => Meaning::Itself,
        };
        if behind == b' ' && LEFT_OUT.iter().any(|name| name.as_bytes() == word) {
            self.skipped = 1;
        }
        self.word = word;
        self.word.clear();
    }

    fn plain(&mut self, word: &[u8]) {
        for part in word.chunks(8) {
            let mut octets = [0; 8];
            octets[..part.len()].copy_from_slice(part);
            self.take(u64::from_le_bytes(octets));
        }
    }

    fn key(&mut self, bits: u64) {
        let number = self.keys.iter().position(|&known| known == bits).unwrap_or_else(|| {
            self.keys.push(bits);
            self.keys.len() - 1
        });
        self.take(number as u64);
    }
}

impl Meaning {
    /// Of what stands in a field.
    fn of_field(name: &[u8]) -> Self {
        let is_in = |names: &[&str]| names.iter().any(|other| other.as_bytes() == name);
        match () {
            () if is_in(KEYS) => Self::Key,
            () if is_in(DEADLINES) => Self::Deadline,
            () if name == TAG.as_bytes() => Self::Tag,
            () if is_in(PLACES) => Self::Place,
            () => Self::Itself,
        }
    }
}

/// A word that is a number, or what [`Key`](crate::key::Key) says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    None,
    Plain(u64),
    Key(u64),
}

impl Number {
    fn of(word: &[u8]) -> Self {
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0_u64, |number, &octet| {
                let digit = octet.is_ascii_digit().then(|| u64::from(octet - b'0'))?;
                number.checked_mul(10)?.checked_add(digit)
            })
        };
        let Some(at) = word.iter().position(|&octet| octet == b'v') else {
            return number(word).map_or(Self::None, Self::Plain);
        };
        match (number(&word[..at]), number(&word[at + 1..])) {
            (Some(index), Some(generation)) if at + 1 < word.len() => Self::Key(generation << 32 | index),
            _ => Self::None,
        }
    }
}

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|octet| !octet.is_ascii_alphanumeric() && *octet != b'_') {
            self.letters(&rest[..at]);
            self.mark(rest[at]);
            rest = &rest[at + 1..];
        }
        self.letters(rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(now: u64, text: &str) -> u64 {
        let mut digest = Digest::new(Instant::from_nanos(now));
        digest.write_str(text).expect("a hash takes everything");
        digest.write_str(";").expect("a hash takes everything");
        digest.hash
    }

    #[test]
    fn times_count_from_now() {
        assert_eq!(hash(10, "at: Instant(17)"), hash(110, "at: Instant(117)"));
        assert_ne!(hash(10, "at: Instant(17)"), hash(10, "at: Instant(18)"));
        assert_ne!(hash(10, "at: Other(17)"), hash(110, "at: Other(117)"));
        assert_ne!(hash(10, "Instant(17), 17"), hash(110, "Instant(117), 117"));
    }

    #[test]
    fn keys_are_told_apart_and_not_named() {
        assert_eq!(hash(0, "{0v1: a, 1v0: b}, 0v1"), hash(0, "{0v7: a, 3v2: b}, 0v7"));
        assert_ne!(hash(0, "{0v1: a, 1v0: b}, 0v1"), hash(0, "{0v1: a, 1v0: b}, 1v0"));
        assert_eq!(hash(0, "0v1, head: 4294967296"), hash(0, "2v0, head: 2"), "the same in one number");
        assert_ne!(hash(0, "0v1, head: 4294967296"), hash(0, "2v0, head: 3"));
        assert_ne!(hash(0, "other: 1"), hash(0, "other: 2"));
        assert_eq!(
            hash(0, "1v0, deadline: Some(1v0)"),
            hash(0, "1v0, deadline: Some(2v0)"),
            "of other slabs"
        );
        assert_eq!(hash(0, "head_at: 1, 5"), hash(0, "head_at: 2, 5"));
        assert_eq!(hash(0, "ping_at: 1, 5"), hash(0, "ping_at: 2, 5"));
    }

    #[test]
    fn of_entries_without_an_order_keys_that_stand_nowhere_else_are_alike() {
        let of = |entries: [&str; 2]| {
            of(Instant::ZERO, format_args!("0v1;"), entries.into_iter().map(|entry| format!("{entry};")))
        };
        assert_eq!(of(["a 5v1", "b 6v1"]), of(["b 5v1", "a 6v1"]));
        assert_ne!(of(["a 0v1", "b 6v1"]), of(["b 0v1", "a 6v1"]), "one of them is known");
        assert_ne!(of(["a 5v1", "b 6v1"]), of(["a 5v1", "a 6v1"]));
    }

    #[test]
    fn counters_and_configuration_are_left_out_and_nothing_behind_them() {
        assert_eq!(hash(0, "Traffic { a: [1], b: 2 }, c: 3"), hash(0, "Traffic { a: [], b: 7 }, c: 3"));
        assert_ne!(hash(0, "Traffic { a: [1] }, c: 3"), hash(0, "Traffic { a: [1] }, c: 4"));
        assert_ne!(hash(0, "Other { a: 1 }"), hash(0, "Other { a: 2 }"));
    }
}
