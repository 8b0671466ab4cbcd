//! Dynamic tables that are kept for long and looked at rarely: their lines in a parcel, those of many connections by reference.

use std::sync::Arc;

use super::dynamic_table::DynamicTable;
use crate::fields::{FieldLine, SharedLine, SharedLines};
use crate::parcel::{Packer, Unpacker};

/// What tables are packed into.
#[derive(Debug)]
pub(crate) struct Packing<'a> {
    pub(crate) parcel: Packer,
    /// The lines that are kept by reference, in order.
    pub(crate) references: Vec<Arc<SharedLine>>,
    shared: &'a mut SharedLines,
    seed: u64,
}

/// What tables are unpacked from.
#[derive(Debug)]
pub(crate) struct Packed<'a> {
    pub(crate) parcel: Unpacker<'a>,
    references: core::slice::Iter<'a, Arc<SharedLine>>,
    seed: u64,
}

/// Stands for a line by reference where others have the length of their name, and one more.
const REFERENCE: u64 = 0;

impl<'a> Packing<'a> {
    /// Packs lines whose hashes are keyed with `seed`.
    pub(crate) fn new(shared: &'a mut SharedLines, seed: u64) -> Self {
        Self { parcel: Packer::default(), references: Vec::new(), shared, seed }
    }

    /// The entries of a table, the oldest first. `line_hash` is what is known of each.
    pub(super) fn table<T>(&mut self, table: &DynamicTable<T>, line_hash: impl Fn(&T) -> u32) {
        let living = table.len() as u64;
        self.parcel.number(table.max_size());
        self.parcel.number(table.inserted() - living);
        self.parcel.number(living);
        for number in table.inserted() - living..table.inserted() {
            let Some(line) = table.get(number + 1) else { continue };
            let (name, value) = line.octets.split_at(line.name_len);
            if let Some(line) = self.shared.share(line_hash(line.note), name, value, self.seed) {
                self.parcel.number(REFERENCE);
                self.references.push(line);
            } else {
                self.parcel.number(name.len() as u64 + REFERENCE + 1);
                self.parcel.octets(line.octets);
            }
        }
    }
}

impl<'a> Packed<'a> {
    /// Unpacks what was packed with the same `seed`.
    pub(crate) fn new(parcel: Unpacker<'a>, references: &'a [Arc<SharedLine>], seed: u64) -> Self {
        Self { parcel, references: references.iter(), seed }
    }

    /// Keys the hashes.
    pub(super) const fn seed(&self) -> u64 {
        self.seed
    }

    /// An empty table like the one that was packed before its oldest entry was inserted, and how many entries that one had.
    pub(super) fn table<T>(&mut self) -> (DynamicTable<T>, u64) {
        let max_size = self.parcel.small();
        let inserted = self.parcel.number();
        (DynamicTable::after(max_size, inserted), self.parcel.number())
    }

    /// The next entry.
    pub(super) fn line(&mut self) -> Option<FieldLine<'a>> {
        match self.parcel.number().checked_sub(REFERENCE + 1) {
            None => self.references.next().map(|line| line.read()),
            Some(name_len) => {
                let (name, value) = self.parcel.octets().split_at_checked(name_len as usize)?;
                Some(FieldLine::new(name, value, self.seed))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fields::{FieldLine, FieldSection};
    use crate::hpack::{Decoded, Decoder, Encoder, SectionLimits};

    use super::*;

    const SEED: u64 = 5;

    /// Two ends of a connection, of which both may fall asleep between any two blocks.
    struct Talk {
        encoder: Encoder,
        decoder: Decoder,
        shared: SharedLines,
    }

    impl Talk {
        fn sleep(&mut self) {
            let mut packing = Packing::new(&mut self.shared, SEED);
            self.encoder.pack(&mut packing);
            self.decoder.pack(&mut packing);
            let references = packing.references;
            let parcel = packing.parcel.finish();
            let mut packed = Packed::new(Unpacker::new(&parcel), &references, SEED);
            self.encoder = Encoder::unpack(&mut packed, 4096);
            self.decoder = Decoder::unpack(&mut packed);
        }

        fn say(&mut self, fields: &FieldSection) -> Vec<u8> {
            let (mut block, mut heard) = (Vec::new(), FieldSection::new());
            self.encoder.encode(fields, &mut block);
            let limits = SectionLimits { size: 1 << 16, fields: 1000 };
            assert_eq!(self.decoder.decode(&block, limits, &mut heard), Ok(Decoded::Whole));
            assert_eq!(&heard, fields);
            assert!(self.encoder.entries().eq(self.decoder.entries()));
            block
        }
    }

    fn section(n: usize) -> FieldSection {
        let mut fields = FieldSection::new();
        let odd = format!("{}-{}", "v".repeat(n * 31 % 700), n % 17);
        for (name, value) in [
            (":status", "200"),
            ("server", "some server with a long name"),
            ("etag", &*format!("\"{}\"", n % 5)),
            ("x-odd", &odd),
            (&*format!("x-name-{}", n % 11), "the same"),
        ] {
            fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), SEED));
        }
        fields
    }

    /// Whether they have slept cannot be told from what they say.
    #[test]
    fn who_has_slept_goes_on_as_before() {
        let talk = || Talk {
            encoder: Encoder::new(4096),
            decoder: Decoder::new(4096, SEED, 1),
            shared: SharedLines::default(),
        };
        let (mut sleeper, mut other) = (talk(), talk());
        for n in 0..500 {
            if n % 3 == 0 {
                sleeper.sleep();
            }
            if n % 100 == 50 {
                for encoder in [&mut sleeper.encoder, &mut other.encoder] {
                    encoder.set_peer_max_table_size(100);
                    encoder.set_peer_max_table_size(2000 + n);
                }
            }
            if n % 100 == 51 {
                sleeper.sleep();
            }
            assert_eq!(sleeper.say(&section(n as usize % 40)), other.say(&section(n as usize % 40)), "{n}");
        }
        assert!(!sleeper.shared.is_empty());
        // 7541-4.2-01: it is due still.
        for talk in [&mut sleeper, &mut other] {
            talk.decoder.set_max_table_size(10);
        }
        sleeper.sleep();
        for talk in [&mut sleeper, &mut other] {
            let limits = SectionLimits { size: 1 << 16, fields: 1000 };
            assert!(talk.decoder.decode(&[0x82], limits, &mut FieldSection::new()).is_err());
        }
    }

    /// Origins are given once: what an encoder elsewhere remembers of a line or a section must not come to stand for another.
    #[test]
    fn origins_are_not_given_again() {
        let mut talk = Talk {
            encoder: Encoder::new(4096),
            decoder: Decoder::new(4096, SEED, 1),
            shared: SharedLines::default(),
        };
        let mut origins = Vec::new();
        let limits = SectionLimits { size: 1 << 16, fields: 1000 };
        for n in 0..6 {
            let mut heard = FieldSection::new();
            // An entry, then the same block three times.
            let literal = [0x40, 1, b'x', 1, b'0' + n];
            talk.decoder.decode(&literal, limits, &mut heard).expect("a block");
            origins.extend(heard.iter().map(|line| (0, line.origin)));
            for _ in 0..3 {
                talk.decoder.decode(&[0xbe], limits, &mut heard).expect("a block");
            }
            origins.push((1, heard.origin()));
            // The same with another path each time.
            for octet in *b"abc" {
                let block = [0xbe, 4, 2, b'/', octet];
                talk.decoder.decode(&block, limits, &mut heard).expect("a block");
            }
            assert_eq!(heard.origin(), crate::fields::Origin::NONE);
            origins.push((1, heard.form_or_origin()));
            talk.sleep();
        }
        assert!(origins.iter().all(|(_, origin)| *origin != crate::fields::Origin::NONE));
        for (at, origin) in origins.iter().enumerate() {
            assert!(!origins[at + 1..].contains(origin), "{at}");
        }
    }
}
