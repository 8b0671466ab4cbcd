//! Numbers and octets in one piece of memory of exactly their size: for what is kept for long and looked at rarely.

/// Writes a parcel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packer {
    octets: Vec<u8>,
}

/// Reads a parcel in the order in which it was written. Behind its end there are zeros and nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unpacker<'a> {
    rest: &'a [u8],
}

/// Seven bits an octet, the low ones first; all but the last octet have the eighth.
const MORE: u8 = 0x80;

impl Packer {
    /// A number: the smaller, the fewer octets.
    pub(crate) fn number(&mut self, number: impl Into<u64>) {
        let mut left: u64 = number.into();
        while left >= u64::from(MORE) {
            self.octets.push(left as u8 | MORE);
            left >>= 7;
        }
        self.octets.push(left as u8);
    }

    /// A number that may not be there.
    pub(crate) fn perhaps(&mut self, number: Option<u32>) {
        self.number(number.map_or(0, |number| u64::from(number) + 1));
    }

    /// Octets.
    pub(crate) fn octets(&mut self, octets: &[u8]) {
        self.number(octets.len() as u64);
        self.octets.extend_from_slice(octets);
    }

    /// The parcel.
    pub(crate) fn finish(self) -> Box<[u8]> {
        self.octets.into()
    }
}

impl<'a> Unpacker<'a> {
    /// Of this parcel.
    pub(crate) const fn new(parcel: &'a [u8]) -> Self {
        Self { rest: parcel }
    }

    /// The next number.
    pub(crate) fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        while let Some((&octet, rest)) = self.rest.split_first() {
            self.rest = rest;
            number |= u64::from(octet & !MORE).checked_shl(shift).unwrap_or(0);
            shift += 7;
            if octet < MORE {
                break;
            }
        }
        number
    }

    /// The next number, which was written as one of 32 bits.
    pub(crate) fn small(&mut self) -> u32 {
        self.number() as u32
    }

    /// The next number, which may not be there.
    pub(crate) fn perhaps(&mut self) -> Option<u32> {
        self.number().checked_sub(1).map(|number| number as u32)
    }

    /// The next number, which was written as a truth.
    pub(crate) fn truth(&mut self) -> bool {
        self.number() != 0
    }

    /// The next octets.
    pub(crate) fn octets(&mut self) -> &'a [u8] {
        let len = usize::try_from(self.number()).unwrap_or(usize::MAX).min(self.rest.len());
        let (octets, rest) = self.rest.split_at(len);
        self.rest = rest;
        octets
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn behind_the_end_there_is_nothing() {
        let mut parcel = Unpacker::new(&[0xff, 0xff]);
        assert_eq!(parcel.number(), 0x3fff, "whatever else it might have been");
        assert_eq!((parcel.number(), parcel.perhaps(), parcel.octets()), (0, None, &b""[..]));
        assert_eq!(Unpacker::new(&[9, 1, 2]).octets(), [1, 2]);
        let mut long = [0xff; 20];
        long[19] = 1;
        assert_eq!(Unpacker::new(&long).number(), u64::MAX);
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(all in prop::collection::vec((any::<u64>(), 0..64u32, any::<Option<u32>>(), prop::collection::vec(any::<u8>(), 0..300)), 0..20)) {
            let mut parcel = Packer::default();
            for (number, shift, small, octets) in &all {
                parcel.number(number >> shift);
                parcel.perhaps(*small);
                parcel.octets(octets);
            }
            let parcel = parcel.finish();
            let mut parcel = Unpacker::new(&parcel);
            for (number, shift, small, octets) in &all {
                prop_assert_eq!(parcel.number(), number >> shift);
                prop_assert_eq!(parcel.perhaps(), *small);
                prop_assert_eq!(parcel.octets(), &octets[..]);
            }
            prop_assert!(parcel.rest.is_empty());
        }
    }
}
