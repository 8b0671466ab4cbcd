//! Field lines that many keep: each is kept once.
//!
//! What connections have in their compression tables while they sleep is mostly the same: how browsers name themselves, what a server says
//! of itself. A line that was asked for twice stands here, and whoever keeps it has a reference in place of its octets.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{FieldFacts, FieldLine, Origin};

/// A line, with what is known of it.
#[derive(Debug)]
pub struct SharedLine {
    /// The name, and the value behind it.
    octets: Box<[u8]>,
    name_len: u32,
    facts: FieldFacts,
}

impl SharedLine {
    /// The line. It has no origin.
    pub fn read(&self) -> FieldLine<'_> {
        let (name, value) = self.octets.split_at(self.name_len as usize);
        FieldLine { name, value, facts: self.facts, never_indexed: false, origin: Origin::NONE }
    }

    fn is(&self, name: &[u8], value: &[u8]) -> bool {
        self.octets.split_at(self.name_len as usize) == (name, value)
    }
}

/// The lines that are shared, within bounds.
#[derive(Debug, Default)]
pub struct SharedLines {
    /// By the hash of name and value.
    lines: BTreeMap<u32, Arc<SharedLine>>,
    /// Hashes of lines that were asked for, each at its place, so that one that nobody else has stands nowhere; empty until used.
    seen: Vec<u32>,
    /// How many asked where there was no room, since those were dropped that nobody keeps.
    refused: usize,
}

/// Shorter lines are no longer than what a reference costs, in octets.
const OCTETS_MIN: usize = 16;
/// Longer ones are rarely of many, and the most that are shared are to have a bound.
const OCTETS_MAX: usize = 512;
/// How many are shared.
const LINES_MAX: usize = 4096;
/// How many hashes are remembered.
const SEEN: usize = 4096;

impl SharedLines {
    /// The line in common with others, if it has been asked for before. `line_hash` is what its [`FieldFacts`] say with this `seed`.
    pub fn share(&mut self, line_hash: u32, name: &[u8], value: &[u8], seed: u64) -> Option<Arc<SharedLine>> {
        let len = name.len() + value.len();
        if !(OCTETS_MIN..=OCTETS_MAX).contains(&len) {
            return None;
        }
        if let Some(line) = self.lines.get(&line_hash) {
            // Whoever makes two lines collide shares one of them less.
            return line.is(name, value).then(|| Arc::clone(line));
        }
        self.seen.resize(SEEN, 0);
        if core::mem::replace(&mut self.seen[line_hash as usize % SEEN], line_hash) != line_hash
            || !self.has_room()
        {
            return None;
        }
        let facts = FieldFacts::of(name, value, seed);
        let line = Arc::new(SharedLine {
            octets: [name, value].concat().into(),
            name_len: name.len() as u32,
            facts,
        });
        self.lines.insert(line_hash, Arc::clone(&line));
        Some(line)
    }

    /// Whether one more line may be shared. Those that nobody keeps are looked for once for as many as asked in vain as there may be: to look
    /// costs as much as all of them.
    fn has_room(&mut self) -> bool {
        if self.lines.len() < LINES_MAX {
            return true;
        }
        if self.refused == 0 {
            self.lines.retain(|_, line| Arc::strong_count(line) > 1);
        }
        self.refused = (self.refused + 1) % LINES_MAX;
        self.lines.len() < LINES_MAX
    }

    /// How many lines are shared.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u64 = 3;

    fn share(lines: &mut SharedLines, name: &[u8], value: &[u8]) -> Option<Arc<SharedLine>> {
        lines.share(FieldFacts::of(name, value, SEED).line_hash, name, value, SEED)
    }

    #[test]
    fn a_line_is_shared_from_the_second_time_on() {
        let mut lines = SharedLines::default();
        assert!(share(&mut lines, b"user-agent", b"somebody/1.0").is_none());
        let second = share(&mut lines, b"user-agent", b"somebody/1.0").expect("it came before");
        let third = share(&mut lines, b"user-agent", b"somebody/1.0").expect("it came before");
        assert!(Arc::ptr_eq(&second, &third));
        assert_eq!(second.read(), FieldLine::new(b"user-agent", b"somebody/1.0", SEED));
        for _ in 0..3 {
            assert!(share(&mut lines, b"a", b"short").is_none());
            assert!(share(&mut lines, b"long", &[b'v'; OCTETS_MAX]).is_none());
        }
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn another_line_with_the_same_hash_is_not_taken_for_it() {
        let mut lines = SharedLines::default();
        for _ in 0..2 {
            lines.share(7, b"user-agent", b"somebody/1.0", SEED);
        }
        assert_eq!(lines.len(), 1);
        assert!(lines.share(7, b"user-agent", b"somebody/2.0", SEED).is_none());
        assert!(
            lines.share(7, b"user-agen", b"tsomebody/1.0", SEED).is_none(),
            "the same octets, otherwise divided"
        );
    }

    #[test]
    fn lines_that_nobody_keeps_make_room_for_others() {
        let mut lines = SharedLines::default();
        let twice = |lines: &mut SharedLines, n: usize| {
            let value = format!("a value with the number {n}");
            share(lines, b"x", value.as_bytes());
            share(lines, b"x", value.as_bytes())
        };
        let kept: Vec<_> = (0..LINES_MAX).filter_map(|n| twice(&mut lines, n)).collect();
        assert_eq!(kept.len(), LINES_MAX);
        assert!((0..100).all(|n| twice(&mut lines, LINES_MAX + n).is_none()), "all are in use");
        drop(kept);
        let again = (0..2 * LINES_MAX).filter_map(|n| twice(&mut lines, 2 * LINES_MAX + n)).count();
        assert!(again > LINES_MAX / 2, "{again}");
        assert!(lines.len() <= LINES_MAX);
    }

    /// To look for those that are free is to pass by all: it is not done for each that becomes so.
    #[test]
    fn who_is_free_is_looked_for_rarely() {
        let mut lines = SharedLines::default();
        let mut twice = |n: usize| {
            let value = format!("a value with the number {n}");
            share(&mut lines, b"x", value.as_bytes());
            share(&mut lines, b"x", value.as_bytes())
        };
        let mut kept: Vec<_> = (0..LINES_MAX).filter_map(&mut twice).collect();
        kept.pop();
        kept.extend(twice(LINES_MAX));
        assert_eq!(kept.len(), LINES_MAX, "the free one has made room");
        kept.pop();
        let asks: Vec<_> = (LINES_MAX..2 * LINES_MAX).map(|n| twice(n + 1).is_some()).collect();
        assert_eq!(asks.iter().position(|&shared| shared), Some(LINES_MAX - 1), "as many have asked in vain");
    }
}
