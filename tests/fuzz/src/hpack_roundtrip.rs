//! Field sections through our encoder, a reference decoder, our decoder, and on through a second encoder as a gateway
//! does: what arrives is what was sent, tables agree (C1), size updates come as RFC 7541 section 4.2 wants them (C2),
//! and what came never-indexed leaves so (C3).

use shuntyard_core::fields::{FieldLine, FieldSection};
use shuntyard_core::hpack::{Decoded, Decoder, Encoder};
use shuntyard_hpack_voices::{NO_LIMITS, SEED};
use shuntyard_sim::refcodec::hpack::Decoder as Reference;

use crate::octets::Octets;

/// Names and values worth repeating.
const NAMES: &[&[u8]] = &[
    b":method",
    b":path",
    b":status",
    b":authority",
    b"accept-encoding",
    b"authorization",
    b"cookie",
    b"date",
    b"etag",
    b"set-cookie",
    b"range",
    b"via",
    b"x-a",
    b"x-b",
    b"x-longer-name-of-a-field",
    b"",
];
const VALUES: &[&[u8]] = &[
    b"",
    b"GET",
    b"/",
    b"200",
    b"gzip, deflate",
    b"a",
    b"b",
    b"Mon, 21 Oct 2013 20:13:21 GMT",
    b"\xff\x00\n",
];

/// The whole check: an octet for the encoder's cap, then changes of the peer's limit and sections.
pub fn run(data: &[u8]) {
    let mut octets = Octets(data);
    let mut first = Hop::new(octets.number() % 70_000);
    let mut second = Hop::new(octets.number() % 70_000);
    let mut decoders = [Decoder::new(4096, SEED, 1), Decoder::new(4096, SEED, 2)];
    let mut sources = [Encoder::new(4096), Encoder::new(4096)];
    while !octets.is_empty() {
        match octets.octet() {
            0..=15 => first.set_limit(octets.number() % 70_000),
            16..=31 => second.set_limit(octets.number() % 70_000),
            which => {
                let lines = section(&mut octets);
                first.carry(&lines);
                // Two peers whose lines reach the same encoder, as many clients share a backend's connection.
                let peer = usize::from(which % 2);
                let mut block = Vec::new();
                sources[peer].encode(&lines, &mut block);
                let mut read = FieldSection::new();
                assert_eq!(decoders[peer].decode(&block, NO_LIMITS, &mut read), Ok(Decoded::Whole));
                assert_eq!(list(&read), list(&lines));
                for (line, sent) in read.iter().zip(lines.iter()) {
                    assert_eq!(line.facts, sent.facts, "facts are the same wherever they are computed");
                }
                second.carry(&read);
            }
        }
    }
}

/// Lines, some of them known, some any octets, some marked.
fn section(octets: &mut Octets<'_>) -> FieldSection {
    let mut fields = FieldSection::new();
    for _ in 0..octets.octet() % 24 {
        let kind = octets.octet();
        let name = if kind & 7 == 0 { octets.run(300) } else { octets.pick(NAMES) };
        let value = if kind & 24 == 0 { octets.run(5000) } else { octets.pick(VALUES) };
        let line = FieldLine::new(name, value, SEED);
        fields.push(if kind & 32 == 0 { line } else { line.never_indexed() });
    }
    fields
}

fn list(fields: &FieldSection) -> Vec<(&[u8], &[u8])> {
    fields.iter().map(|line| (line.name, line.value)).collect()
}

/// One direction of a connection: our encoder and a reference decoder.
struct Hop {
    encoder: Encoder,
    decoder: Reference,
    cap: u32,
    /// The limits that the peer announced since the last block.
    limits: Vec<u32>,
    /// The size that the table has now.
    size: u32,
}

impl Hop {
    fn new(cap: u32) -> Self {
        let encoder = Encoder::new(cap);
        Self { encoder, decoder: Reference::default(), cap, limits: Vec::new(), size: 4096 }
    }

    fn set_limit(&mut self, octets: u32) {
        self.limits.push(octets);
        self.encoder.set_peer_max_table_size(octets);
        self.decoder.set_limit(octets as usize);
    }

    fn carry(&mut self, fields: &FieldSection) {
        let mut block = b"before".to_vec();
        self.encoder.encode(fields, &mut block);
        let block = block.strip_prefix(b"before").expect("what stood there is left alone");
        self.updates_are_right(block);
        let read = self.decoder.decode(block).unwrap_or_else(|error| panic!("{error}: {block:02x?}"));
        let lines = read.iter().map(|line| (&*line.field.0, &*line.field.1));
        assert!(lines.eq(list(fields)), "{read:?} instead of {fields:?}");
        for (line, sent) in read.iter().zip(fields.iter()) {
            assert!(line.never_indexed || !sent.never_indexed, "C3: {line:?} was marked");
        }
        let theirs = self.decoder.table.entries().iter().map(|(name, value)| (&**name, &**value));
        assert!(self.encoder.entries().eq(theirs), "C1: the tables differ");
        assert_eq!(self.encoder.table_size(), self.decoder.table.size());
        let most = self.cap.max(4096) as usize;
        assert!(self.encoder.capacity() <= 8 * most + 16_384, "{} octets held", self.encoder.capacity());
    }

    /// C2: the smallest size that the table had to take comes first, then the one that it has; nothing else does.
    fn updates_are_right(&mut self, block: &[u8]) {
        let sizes = std::mem::take(&mut self.limits).into_iter().map(|limit| limit.min(self.cap));
        // Before the first block the encoder may also have to say that it uses less than the default.
        let start = self.size.min(self.cap);
        let (smallest, last) = sizes.fold((start, start), |(smallest, _), size| (smallest.min(size), size));
        let mut expected = Vec::new();
        if smallest < self.size && smallest < last {
            expected.push(smallest);
            self.size = smallest;
        }
        if last != self.size {
            expected.push(last);
        }
        self.size = last;
        let (mut rest, mut said) = (block, Vec::new());
        while rest.first().is_some_and(|first| first & 0xe0 == 0x20) {
            said.push(integer(&mut rest));
        }
        assert_eq!(said, expected, "C2");
    }
}

/// An integer of five bits and what follows (RFC 7541 section 5.1), as our encoder writes it.
fn integer(rest: &mut &[u8]) -> u32 {
    let take = |rest: &mut &[u8]| {
        let (&first, behind) = rest.split_first().expect("an integer is whole");
        *rest = behind;
        u32::from(first)
    };
    let mut value = take(rest) & 31;
    let mut shift = 0;
    while value >= 31 || shift > 0 {
        let octet = take(rest);
        value += (octet & 127) << shift;
        shift += 7;
        if octet < 128 {
            break;
        }
    }
    value
}
