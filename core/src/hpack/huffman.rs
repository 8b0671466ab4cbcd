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
    let mut held = 0;
    for &octet in octets {
        let symbol = usize::from(octet);
        let length = u32::from(LENGTHS[symbol]);
        bits = bits << length | u64::from(CODES[symbol]);
        held += length;
        // Fewer than 32 bits stay, and no code is longer than 30: 64 are enough.
        if held >= 32 {
            held -= 32;
            out.extend_from_slice(&((bits >> held) as u32).to_be_bytes());
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

/// Appends what `coded` stands for. On an error some of it may have been appended.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let start = out.len();
    out.resize(start + coded.len() * 8 / SHORTEST, 0);
    let mut symbols = Symbols { bits: 0, held: 0, target: &mut out[start..], written: 0 };
    let (words, rest) = coded.as_chunks::<4>();
    for word in words {
        symbols.feed(u32::from_be_bytes(*word), 32);
        while symbols.held >= LONGEST {
            symbols.take()?;
        }
    }
    for octet in rest {
        symbols.feed(u32::from(*octet), 8);
    }
    let end = start + symbols.finish()?;
    out.truncate(end);
    Ok(())
}

/// Bits not yet decoded, the next one topmost, and where their symbols go.
struct Symbols<'a> {
    bits: u64,
    held: usize,
    target: &'a mut [u8],
    written: usize,
}

impl Symbols<'_> {
    #[inline]
    fn feed(&mut self, octets: u32, length: usize) {
        self.bits |= u64::from(octets) << (64 - length - self.held);
        self.held += length;
    }

    /// Decodes one symbol. The bits held must start with a whole code.
    #[inline]
    fn take(&mut self) -> Result<(), DecodeError> {
        let (symbol, length) = self.next();
        self.put(symbol, length)
    }

    #[inline]
    fn put(&mut self, symbol: Option<u8>, length: usize) -> Result<(), DecodeError> {
        let Some(octet) = symbol else { return Err(DecodeError::HuffmanEos) };
        // In range: there is room for as many symbols as codes of the shortest length.
        self.target[self.written] = octet;
        self.written += 1;
        self.bits <<= length;
        self.held -= length;
        Ok(())
    }

    /// Decodes what is left and checks the padding. Returns how many symbols there were.
    fn finish(mut self) -> Result<usize, DecodeError> {
        while self.held > 0 {
            let (symbol, length) = self.next();
            let held = self.bits >> (64 - self.held);
            if length <= self.held {
                self.put(symbol, length)?;
            } else if held != (1 << self.held) - 1 {
                return Err(DecodeError::HuffmanPaddingInvalid); // 7541-5.2-02
            } else if self.held > 7 {
                return Err(DecodeError::HuffmanPaddingTooLong); // 7541-5.2-01
            } else {
                break;
            }
        }
        Ok(self.written)
    }

    /// The symbol whose code stands topmost, `None` for EOS, and the length of its code.
    #[inline]
    fn next(&self) -> (Option<u8>, usize) {
        let short = SHORT_CODES[(self.bits >> (64 - SHORT_BITS)) as usize];
        if short != 0 { (Some((short >> 4) as u8), usize::from(short & 0xf)) } else { self.next_long() }
    }

    #[cold]
    fn next_long(&self) -> (Option<u8>, usize) {
        let top = self.bits >> 32;
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
