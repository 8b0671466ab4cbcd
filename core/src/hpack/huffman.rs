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

/// So many octets are looked at together: the codes of those that field lines are made of take 5 to 8 bits.
const GROUP: usize = 8;
/// Room is made for the codes of so many octets at a time, each of which takes less than 32 bits.
const AT_A_TIME: usize = 16 * GROUP;

/// Appends the code of `octets`.
pub(super) fn encode(octets: &[u8], out: &mut Vec<u8>) {
    let mut code = Code::default();
    for some in octets.chunks(AT_A_TIME) {
        let start = out.len();
        out.resize(start + 4 * some.len() + size_of::<u64>(), 0);
        let mut room = &mut out[start..];
        let (groups, rest) = some.as_chunks::<GROUP>();
        for group in groups {
            room = code.push_all(group, room);
        }
        room = code.push_all(rest, room);
        let left = room.len();
        out.truncate(out.len() - left);
    }
    if code.held > 0 {
        // Padded with the most significant bits of EOS, which are ones.
        out.push((code.bits << (8 - code.held)) as u8 | 0xff >> code.held);
    }
}

/// Bits that are no whole octets yet.
#[derive(Clone, Copy, Default)]
struct Code {
    /// The lowest are those. What stands above them was moved on.
    bits: u64,
    /// How many: less than 8 between two groups.
    held: u32,
}

impl Code {
    /// Moves the codes of a group to the begin of the room, and says what is left of that.
    #[inline(always)]
    fn push_all<'a>(&mut self, group: &[u8], room: &'a mut [u8]) -> &'a mut [u8] {
        let mut next = *self;
        for &octet in group {
            next.push(octet);
        }
        if next.held < u64::BITS {
            *self = next;
            self.move_to(room)
        } else {
            self.push_each(group, room)
        }
    }

    /// The same where some are rare ones, with long codes.
    #[cold]
    #[inline(never)]
    fn push_each<'a>(&mut self, octets: &[u8], mut room: &'a mut [u8]) -> &'a mut [u8] {
        for &octet in octets {
            self.push(octet);
            room = self.move_to(room);
        }
        room
    }

    /// Appends the code of an octet. Where more bits come together than there is room for, the highest are lost.
    #[inline(always)]
    fn push(&mut self, octet: u8) {
        let length = u32::from(LENGTHS[usize::from(octet)]);
        self.bits = self.bits.wrapping_shl(length) | u64::from(CODES[usize::from(octet)]);
        self.held = self.held.wrapping_add(length);
    }

    /// Moves whole octets out of less than 64 bits.
    #[inline(always)]
    fn move_to<'a>(&mut self, room: &'a mut [u8]) -> &'a mut [u8] {
        let whole = self.held / 8;
        if let Some(place) = room.first_chunk_mut() {
            *place = self.bits.wrapping_shl(self.held.wrapping_neg()).to_be_bytes();
        }
        self.held %= 8;
        &mut room[whole as usize..]
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
