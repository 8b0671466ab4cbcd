//! Huffman coding of strings (RFC 7541 section 5.2).

use super::DecodeError;
use super::huffman_table::{
    CODES, LENGTHS, LIMITS, LONGEST, PLACES, SHORT_BITS, SHORT_CODES, SYMBOLS_BY_CODE,
};

/// How many octets the code of `octets` takes.
pub(super) fn encoded_len(octets: &[u8]) -> usize {
    let bits: usize = octets.iter().map(|&octet| usize::from(LENGTHS[usize::from(octet)])).sum();
    bits.div_ceil(8)
}

/// Appends the code of `octets`.
pub(super) fn encode(octets: &[u8], out: &mut Vec<u8>) {
    let mut bits = 0_u64;
    let mut held = 0_u32;
    for &octet in octets {
        let symbol = usize::from(octet);
        let length = u32::from(LENGTHS[symbol]);
        // Nothing wraps: fewer than 32 bits stay, and no code is longer than 30.
        bits = bits.wrapping_shl(length) | u64::from(CODES[symbol]);
        held = held.wrapping_add(length);
        if held >= 32 {
            held -= 32;
            out.extend_from_slice(&(bits.wrapping_shr(held) as u32).to_be_bytes());
        }
    }
    // Padded with the most significant bits of EOS, which are ones.
    let padding = held.wrapping_neg() % 8;
    bits = bits << padding | ((1 << padding) - 1);
    held += padding;
    while held > 0 {
        held -= 8;
        out.push((bits >> held) as u8);
    }
}

/// How often [`SHORT_CODES`] is asked between two looks at what is left: no more than 48 bits are taken by that, and no more than
/// eight symbols come of it.
const STEPS: usize = 4;

/// Appends what `coded` stands for. On an error more may have been appended.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let mut bits = Bits { next: 0, held: 0, rest: coded };
    loop {
        bits.fill();
        // What stands before a long code is taken; in front of it nothing happens any more.
        let (mut symbols, mut taken, mut short) = (0_u64, 0_u32, 0);
        for _ in 0..STEPS {
            short = SHORT_CODES[bits.top(SHORT_BITS)];
            symbols |= u64::from(short & 0xffff).wrapping_shl(taken);
            // In the lower octet the bits of symbols, in the upper those of their codes: neither overflows.
            taken = taken.wrapping_add(short >> 16);
            bits.next = bits.next.wrapping_shl(short >> 24);
        }
        bits.skipped((taken >> 8) as usize)?;
        out.extend_from_slice(&symbols.to_le_bytes());
        out.truncate(out.len() - (8 - (taken as usize & 0xff) / 8));
        if bits.is_over() {
            return Ok(());
        }
        if short == 0 {
            out.push(bits.take_long()?);
        }
    }
}

/// What is not decoded yet.
struct Bits<'a> {
    /// The next bits, the first one topmost. Behind the last of all stand ones, as far as they have been filled up.
    next: u64,
    /// How many of these are no such ones and have been taken from `rest`: less than 64. Some more may be here already.
    held: usize,
    /// The octets behind them.
    rest: &'a [u8],
}

impl Bits<'_> {
    /// Takes octets while they fit, so that there are at least 56 bits, or all and ones behind them.
    #[inline]
    fn fill(&mut self) {
        let Some(word) = self.rest.first_chunk::<8>() else { return self.fill_last() };
        self.next |= u64::from_be_bytes(*word) >> (self.held & 63);
        self.rest = &self.rest[(63_usize.wrapping_sub(self.held) >> 3) & 7..];
        self.held |= 56;
    }

    fn fill_last(&mut self) {
        let mut word = u64::MAX;
        for &octet in self.rest {
            word = word << 8 | u64::from(octet);
        }
        self.next |= word.rotate_right(8 * self.rest.len() as u32) >> (self.held & 63);
        let fit = self.rest.len().min((63 - self.held) / 8);
        self.rest = &self.rest[fit..];
        self.held += 8 * fit;
    }

    /// The first `n` bits: 1 to 63.
    #[inline]
    fn top(&self, n: usize) -> usize {
        self.next.wrapping_shr(64 - n as u32) as usize
    }

    /// The first `n` bits are dropped already. Of what begins with bits and ends in the ones behind them no code is made.
    #[inline]
    fn skipped(&mut self, n: usize) -> Result<(), DecodeError> {
        self.held = self.held.checked_sub(n).ok_or(DecodeError::HuffmanPaddingInvalid)?; // 7541-5.2-02
        Ok(())
    }

    /// Whether nothing but padding is left: what it may be.
    #[inline]
    fn is_over(&self) -> bool {
        let ones = u64::MAX >> (self.held & 63);
        self.rest.is_empty() && self.held < 8 && (self.next | ones) == u64::MAX
    }

    /// Takes the symbol whose code stands topmost and is a long one.
    #[cold]
    fn take_long(&mut self) -> Result<u8, DecodeError> {
        self.fill();
        let (symbol, length) = self.long_symbol();
        if length <= self.held {
            self.next <<= length;
            self.held -= length;
            symbol.ok_or(DecodeError::HuffmanEos) // 7541-5.2-03
        } else if self.next != u64::MAX {
            Err(DecodeError::HuffmanPaddingInvalid) // 7541-5.2-02
        } else {
            Err(DecodeError::HuffmanPaddingTooLong) // 7541-5.2-01
        }
    }

    /// The symbol whose code stands topmost, `None` for EOS, and the length of its code.
    fn long_symbol(&self) -> (Option<u8>, usize) {
        let top = self.next >> 32;
        let mut length = SHORT_BITS + 1;
        while length < LONGEST && top >= LIMITS[length] {
            length += 1;
        }
        let code = (top >> (32 - length)) as u32;
        let symbol = SYMBOLS_BY_CODE[(code - PLACES[length]) as usize];
        (u8::try_from(symbol).ok(), length)
    }
}

#[cfg(test)]
mod tests;
