//! Content that proves itself: a pure function of the request's number and the offset.
//!
//! Whoever knows the number knows every octet, so that an octet that is missing, twice there, altered or another
//! response's is seen where it lies.

use std::fmt;

use shuntyard_core::random::Random;

/// Octets that are made or compared at a time.
const BLOCK: usize = 4096;
const WORD: usize = size_of::<u64>();

/// Writes the octets of request `number` from `offset` on.
pub(super) fn fill(number: u64, offset: u64, octets: &mut [u8]) {
    let key = Random::new(number).next_u64();
    let mut offset = offset;
    let mut rest = octets;
    while !rest.is_empty() {
        let word = Random::new(key.wrapping_add(offset / WORD as u64)).next_u64().to_le_bytes();
        let from = (offset % WORD as u64) as usize;
        let n = rest.len().min(WORD - from);
        let (now, later) = rest.split_at_mut(n);
        now.copy_from_slice(&word[from..from + n]);
        rest = later;
        offset += n as u64;
    }
}

/// Follows content as it arrives.
#[derive(Debug)]
pub(super) struct Verifier {
    number: u64,
    size: u64,
    offset: u64,
}

/// What is wrong with content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The first octet that is not what it should be.
    Differs { offset: u64 },
    /// It ended early.
    Short { offset: u64, size: u64 },
    /// It went on beyond its end.
    Long { size: u64 },
}

impl Verifier {
    pub(super) fn new(number: u64, size: u64) -> Self {
        Self { number, size, offset: 0 }
    }

    /// The next octets.
    pub(super) fn take(&mut self, octets: &[u8]) -> Result<(), Fault> {
        if octets.len() as u64 > self.size - self.offset {
            return Err(Fault::Long { size: self.size });
        }
        let mut expected = [0; BLOCK];
        for octets in octets.chunks(BLOCK) {
            let expected = &mut expected[..octets.len()];
            fill(self.number, self.offset, expected);
            if octets != expected {
                let same = octets.iter().zip(expected).take_while(|(octet, expected)| octet == expected);
                return Err(Fault::Differs { offset: self.offset + same.count() as u64 });
            }
            self.offset += octets.len() as u64;
        }
        Ok(())
    }

    /// The content has ended.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        if self.offset == self.size {
            Ok(())
        } else {
            Err(Fault::Short { offset: self.offset, size: self.size })
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs { offset } => write!(f, "the octet at {offset} is a wrong one"),
            Self::Short { offset, size } => write!(f, "the content ended after {offset} of {size} octets"),
            Self::Long { size } => write!(f, "more content than its {size} octets"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(number: u64, size: usize) -> Vec<u8> {
        let mut content = vec![0; size];
        fill(number, 0, &mut content);
        content
    }

    fn verify(number: u64, size: usize, pieces: &[&[u8]]) -> Result<(), Fault> {
        let mut verifier = Verifier::new(number, size as u64);
        pieces.iter().try_for_each(|piece| verifier.take(piece))?;
        verifier.finish()
    }

    #[test]
    fn content_is_the_same_however_it_is_cut() {
        let whole = content(7, 20_000);
        for cut in [0, 1, 7, 8, 9, 4095, 4096, 4097, 19_999, 20_000] {
            let (head, tail) = whole.split_at(cut);
            assert_eq!(verify(7, whole.len(), &[head, tail]), Ok(()));
            let mut again = vec![0; tail.len()];
            fill(7, cut as u64, &mut again);
            assert_eq!(again, tail);
        }
    }

    #[test]
    fn one_flipped_bit_is_noticed_wherever_it_is() {
        let whole = content(3, 10_000);
        for offset in [0, 1, 4095, 4096, 9_999] {
            for bit in 0..8 {
                let mut wrong = whole.clone();
                wrong[offset] ^= 1 << bit;
                let fault = Fault::Differs { offset: offset as u64 };
                assert_eq!(verify(3, wrong.len(), &[&wrong]), Err(fault));
            }
        }
    }

    #[test]
    fn lost_doubled_and_foreign_octets_are_noticed() {
        let whole = content(3, 10_000);
        let (size, other) = (whole.len(), content(4, 10_000));
        assert_eq!(verify(3, size, &[&whole[..9_999]]), Err(Fault::Short { offset: 9_999, size: 10_000 }));
        assert_eq!(verify(3, size, &[]), Err(Fault::Short { offset: 0, size: 10_000 }));
        assert_eq!(verify(3, size, &[&whole, &[0]]), Err(Fault::Long { size: 10_000 }));
        let skipped = verify(3, size, &[&whole[..5_000], &whole[5_001..]]);
        assert!(matches!(skipped, Err(Fault::Differs { offset: 5_000..5_010 })), "{skipped:?}");
        let doubled = verify(3, size, &[&whole[..5_000], &whole[4_999..9_999]]);
        assert!(matches!(doubled, Err(Fault::Differs { offset: 5_000..5_010 })), "{doubled:?}");
        let mixed = verify(3, size, &[&whole[..5_000], &other[5_000..]]);
        assert!(matches!(mixed, Err(Fault::Differs { offset: 5_000..5_010 })), "{mixed:?}");
    }
}
