//! With the feature `observe`, text to a number: what `Debug` says of a gateway, without what makes no difference.

use core::fmt::{self, Write};

use crate::time::Instant;

/// Types that only count what happened, so that nothing that is done depends on them, and parts of the configuration.
const LEFT_OUT: &[&str] = &[
    "Account",
    "ConnectionConfig",
    "EndpointCounters",
    "Route",
    "RouteCounters",
    "SideCounters",
    "Traffic",
    "UpstreamConfig",
    "UpstreamCounters",
];
/// Where in the output of a connection a head begins: whether it has left is seen by what is in its outbox.
const PLACE: &str = "head_at";
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

    /// Entries whose order means nothing.
    fn in_no_order(&mut self, entries: impl Iterator<Item = String>) -> fmt::Result {
        let (begin, mut sum) = (self.hash, 0_u64);
        for entry in entries {
            self.hash = begin;
            self.write_str(&entry)?;
            sum = sum.wrapping_add(self.hash);
        }
        self.hash = begin;
        self.take(sum);
        Ok(())
    }

    fn octet(&mut self, octet: u8) {
        if self.skipped > 0 {
            match octet {
                b'{' | b'(' | b'[' => self.skipped += 1,
                // The bracket with which it began closes last.
                b'}' | b')' | b']' if self.skipped == 2 => self.skipped = 0,
                b'}' | b')' | b']' => self.skipped -= 1,
                _ => {}
            }
        } else if octet.is_ascii_alphanumeric() || octet == b'_' {
            self.word.push(octet);
        } else {
            if !self.word.is_empty() {
                self.end_of_word(octet);
            }
            self.take(octet.into());
        }
    }

    fn end_of_word(&mut self, behind: u8) {
        let word = core::mem::take(&mut self.word);
        let number = number_of(&word);
        match (number, key_of(&word)) {
            (Some(nanos), _) if self.meaning == Meaning::Instant => self.take(nanos.wrapping_sub(self.now)),
            (Some(bits), _) if self.meaning == Meaning::Key => self.key(bits),
            (Some(bits), _) if self.meaning == Meaning::Tag => self.key(bits.wrapping_sub(1)),
            (Some(_), _) if self.meaning == Meaning::Place => {}
            (_, Some(bits)) if self.meaning == Meaning::Deadline => self.key(!bits),
            (_, Some(bits)) => self.key(bits),
            _ => word.iter().for_each(|&octet| self.take(octet.into())),
        }
        self.meaning = match behind {
            b'(' if word == b"Instant" => Meaning::Instant,
            b':' if KEYS.iter().any(|key| key.as_bytes() == word) => Meaning::Key,
            b'(' if word == b"Some" => self.meaning,
            b':' if DEADLINES.iter().any(|name| name.as_bytes() == word) => Meaning::Deadline,
            b':' if word == TAG.as_bytes() => Meaning::Tag,
            b':' if word == PLACE.as_bytes() => Meaning::Place,
            _ => Meaning::Itself,
        };
        if behind == b' ' && LEFT_OUT.iter().any(|name| name.as_bytes() == word) {
            self.skipped = 1;
        }
        self.word = word;
        self.word.clear();
    }

    fn key(&mut self, bits: u64) {
        let number = self.keys.iter().position(|&known| known == bits).unwrap_or_else(|| {
            self.keys.push(bits);
            self.keys.len() - 1
        });
        self.take(number as u64);
    }
}

fn number_of(word: &[u8]) -> Option<u64> {
    let digit = |number: u64, &octet: &u8| {
        let digit = octet.is_ascii_digit().then(|| u64::from(octet - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    };
    word.iter().try_fold(0, digit)
}

/// What [`Key`](crate::key::Key) says of itself.
fn key_of(word: &[u8]) -> Option<u64> {
    let at = word.iter().position(|&octet| octet == b'v').filter(|&at| at > 0 && at + 1 < word.len())?;
    Some(number_of(&word[at + 1..])? << 32 | number_of(&word[..at])?)
}

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|octet| self.octet(octet));
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
    }

    #[test]
    fn counters_and_configuration_are_left_out_and_nothing_behind_them() {
        assert_eq!(hash(0, "Traffic { a: [1], b: 2 }, c: 3"), hash(0, "Traffic { a: [], b: 7 }, c: 3"));
        assert_ne!(hash(0, "Traffic { a: [1] }, c: 3"), hash(0, "Traffic { a: [1] }, c: 4"));
        assert_ne!(hash(0, "Other { a: 1 }"), hash(0, "Other { a: 2 }"));
    }
}
