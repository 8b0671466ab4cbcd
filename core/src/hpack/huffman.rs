//! Huffman coding of strings (RFC 7541 section 5.2).

use super::DecodeError;
use super::huffman_table::{
    CODES, LENGTHS, LIMITS, LONGEST, PLACES, SHORT_BITS, SHORT_CODES, SHORTEST, SYMBOLS_BY_CODE,
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

/// Appends what `coded` stands for. On an error more may have been appended.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let start = out.len();
    // As many symbols as there can be. Written to in place: to push each costs twice as much.
    out.resize(start + coded.len() * 8 / SHORTEST, 0);
    let target = &mut out[start..];
    let mut written = 0;
    let mut bits = Bits { next: 0, held: 0, rest: coded };
    loop {
        bits.fill();
        while bits.held >= SHORT_BITS {
            let short = SHORT_CODES[bits.top(SHORT_BITS)];
            if short == 0 {
                break;
            }
            bits.skip(usize::from(short & 0xf));
            target[written] = (short >> 4) as u8;
            written += 1;
        }
        if bits.held < LONGEST && bits.rest.is_empty() {
            break;
        }
        // A long code, or too few bits: then the next round has more.
        if bits.held >= LONGEST {
            target[written] = bits.take_symbol()?;
            written += 1;
        }
    }
    while let Some(symbol) = bits.take_last()? {
        target[written] = symbol;
        written += 1;
    }
    out.truncate(start + written);
    Ok(())
}

/// What is not decoded yet.
struct Bits<'a> {
    /// The next bits, the first one topmost, zeros behind them.
    next: u64,
    /// How many those are.
    held: usize,
    /// The octets behind them.
    rest: &'a [u8],
}

impl Bits<'_> {
    /// Takes octets while they fit.
    #[inline]
    fn fill(&mut self) {
        if self.held <= 32
            && let Some((word, rest)) = self.rest.split_first_chunk::<4>()
        {
            self.next |= u64::from(u32::from_be_bytes(*word)) << (32 - self.held);
            self.held += 32;
            self.rest = rest;
            return;
        }
        while self.held <= 56
            && let Some((&octet, rest)) = self.rest.split_first()
        {
            self.next |= u64::from(octet) << (56 - self.held);
            self.held += 8;
            self.rest = rest;
        }
    }

    /// The first `n` bits: 1 to 63.
    #[inline]
    fn top(&self, n: usize) -> usize {
        self.next.wrapping_shr(64 - n as u32) as usize
    }

    /// Drops the first `n` bits, of which there are as many.
    #[inline]
    fn skip(&mut self, n: usize) {
        self.next = self.next.wrapping_shl(n as u32);
        self.held = self.held.wrapping_sub(n);
    }

    /// Takes the symbol whose code stands topmost.
    fn take_symbol(&mut self) -> Result<u8, DecodeError> {
        let (symbol, length) = self.symbol();
        self.skip(length);
        symbol.ok_or(DecodeError::HuffmanEos) // 7541-5.2-03
    }

    /// Takes one of the last symbols, with no octets behind the bits that are held; `None` where padding is all that is left.
    fn take_last(&mut self) -> Result<Option<u8>, DecodeError> {
        let held = self.held;
        if held == 0 {
            return Ok(None);
        }
        let (_, length) = self.symbol();
        if length <= held {
            self.take_symbol().map(Some)
        } else if self.top(held) != (1 << held) - 1 {
            Err(DecodeError::HuffmanPaddingInvalid) // 7541-5.2-02
        } else if held > 7 {
            Err(DecodeError::HuffmanPaddingTooLong) // 7541-5.2-01
        } else {
            Ok(None)
        }
    }

    /// The symbol whose code stands topmost, `None` for EOS, and the length of its code.
    #[inline]
    fn symbol(&self) -> (Option<u8>, usize) {
        let short = SHORT_CODES[self.top(SHORT_BITS)];
        if short != 0 { (Some((short >> 4) as u8), usize::from(short & 0xf)) } else { self.long_symbol() }
    }

    #[cold]
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
