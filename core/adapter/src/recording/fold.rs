//! A running hash of 64 bits, the same on every machine: over actions, over octets, and as a checksum of chunks.
//!
//! Each step is a bijection of the state for a given word and of the word for a given state: two inputs that differ in one
//! word never give the same.

use std::hash::Hasher;

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fold(pub(crate) u64);

impl Fold {
    /// Sixteen bits of it.
    pub(crate) fn check(self) -> u16 {
        (self.0 >> 48) as u16
    }
}

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        let (words, rest) = octets.as_chunks::<8>();
        words.iter().for_each(|word| self.write_u64(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.write_u64(u64::from_le_bytes(last));
        }
        self.write_u64(octets.len() as u64);
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(value.into());
    }

    fn write_u128(&mut self, value: u128) {
        self.write_u64(value as u64);
        self.write_u64((value >> 64) as u64);
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(MULTIPLIER);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(octets: &[u8]) -> u64 {
        let mut fold = Fold::default();
        fold.write(octets);
        fold.0
    }

    #[test]
    fn every_bit_counts() {
        let octets: Vec<u8> = (0..100).collect();
        for at in 0..octets.len() {
            for bit in 0..8 {
                let mut other = octets.clone();
                other[at] ^= 1 << bit;
                assert_ne!(of(&other), of(&octets), "octet {at}, bit {bit}");
            }
        }
        assert_ne!(of(&[0; 8]), of(&[0; 7]));
    }
}
