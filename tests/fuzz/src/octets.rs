//! A fuzzer's octets as a source of choices.
//!
//! Lengths stand before what they measure, so that a mutation stays where it is. Where the octets end, every choice is
//! the first one.

/// What is left of the input.
#[derive(Clone, Copy, Debug)]
pub struct Octets<'a>(pub &'a [u8]);

impl<'a> Octets<'a> {
    /// Whether all choices are made.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next octet, 0 behind the end.
    pub fn octet(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// Two octets, big-endian.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.octet(), self.octet()])
    }

    /// Four octets, big-endian.
    pub fn u32(&mut self) -> u32 {
        u32::from(self.u16()) << 16 | u32::from(self.u16())
    }

    /// A number of any size that takes few octets: a byte, or a byte shifted, or four of them.
    pub fn number(&mut self) -> u32 {
        match self.octet() {
            small @ 0..=199 => small.into(),
            shift @ 200..=231 => (u32::from(self.octet()) << (shift - 200)).wrapping_add(1),
            232..=243 => (1 << 31) - u32::from(self.octet()),
            244..=255 => self.u32(),
        }
    }

    /// One of several; the list is not empty.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::from(self.octet()) % from.len()].clone()
    }

    /// The next octets, their number first, `most` of them at most.
    pub fn run(&mut self, most: usize) -> &'a [u8] {
        let wanted = match self.octet() {
            short @ 0..=250 => usize::from(short),
            _ => usize::from(self.u16()),
        };
        let (run, rest) = self.0.split_at(wanted.min(most).min(self.0.len()));
        self.0 = rest;
        run
    }
}
