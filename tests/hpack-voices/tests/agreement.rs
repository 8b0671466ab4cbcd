//! On valid blocks all voices agree, whoever wrote them, and the tables are the same.

use proptest::collection::vec;
use proptest::prelude::*;
use shuntyard_core::fields::{FieldLine, FieldSection};
use shuntyard_core::hpack::{Decoded, Decoder, Encoder};
use shuntyard_hpack_voices::{
    Deflater, Inflater, Line, NO_LIMITS, SEED, Voice, all, lines, property, section,
};

fn name() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        ":method",
        ":path",
        ":status",
        "accept-encoding",
        "authorization",
        "cookie",
        "date",
        "etag",
        "x-a",
        "x-b",
        "x-longer-name-of-a-field",
    ];
    prop_oneof![9 => prop::sample::select(known.to_vec()).prop_map(Vec::from), 1 => vec(any::<u8>(), 0..40)]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let known =
        ["", "GET", "/", "200", "gzip, deflate", "a", "b", "Mon, 21 Oct 2013 20:13:21 GMT", "\u{20ac}"];
    prop_oneof![
        16 => prop::sample::select(known.to_vec()).prop_map(Vec::from),
        3 => vec(any::<u8>(), 0..200),
        1 => (0_usize..5000).prop_map(|len| vec![b'v'; len]),
    ]
}

/// Blocks, some after a change of SETTINGS_HEADER_TABLE_SIZE by the decoder.
fn connection() -> impl Strategy<Value = Vec<(Option<u32>, Vec<Line>)>> {
    let table_size = prop_oneof![Just(0), 0_u32..300, 0_u32..8192, Just(4096), Just(65_536)];
    vec((prop::option::weighted(0.2, table_size), vec((name(), value()), 1..12)), 0..40)
}

fn entries<'a>(table: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<Line> {
    table.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

proptest! {
    #![proptest_config(property(200))]

    #[test]
    fn what_we_write_is_read_by_all(blocks in connection(), cap in prop_oneof![Just(0), 0_u32..8192]) {
        let mut encoder = Encoder::new(cap);
        let mut voices = all();
        for (size, lines) in &blocks {
            if let Some(size) = *size {
                encoder.set_peer_max_table_size(size);
                voices.iter_mut().for_each(|voice| voice.set_max_table_size(size));
            }
            let mut block = Vec::new();
            encoder.encode(&section(lines), &mut block);
            for voice in &mut voices {
                let read = voice.decode(&block);
                prop_assert_eq!(read.as_ref(), Ok(lines), "read by {}", voice.name());
            }
        }
    }

    #[test]
    fn what_nghttp2_writes_is_read_by_us(blocks in connection(), cap in prop_oneof![Just(0), 0_usize..8192]) {
        let mut deflater = Deflater::new(cap);
        let mut decoder = Decoder::new(4096, SEED, 1);
        let mut inflater = Inflater::new();
        for (size, sent) in &blocks {
            if let Some(size) = *size {
                deflater.set_peer_max_table_size(size);
                inflater.set_max_table_size(size);
                decoder.set_max_table_size(size);
            }
            let block = deflater.encode(sent);
            let mut fields = FieldSection::new();
            prop_assert_eq!(decoder.decode(&block, NO_LIMITS, &mut fields), Ok(Decoded::Whole));
            prop_assert_eq!(&lines(&fields), sent);
            let read = inflater.decode(&block);
            prop_assert_eq!(read.as_ref(), Ok(sent));
            prop_assert_eq!(entries(decoder.entries()), inflater.entries());
        }
    }

    #[test]
    fn marks_and_tables_are_the_same_in_nghttp2(blocks in vec(vec((name(), value(), any::<bool>()), 1..12), 0..20)) {
        let mut encoder = Encoder::new(4096);
        let (mut decoder, mut inflater) = (Decoder::new(4096, SEED, 1), Inflater::new());
        for block in &blocks {
            let mut sent = FieldSection::new();
            for (name, value, never_indexed) in block {
                sent.push(FieldLine { never_indexed: *never_indexed, ..FieldLine::new(name, value, SEED) });
            }
            let (mut octets, mut received) = (Vec::new(), FieldSection::new());
            encoder.encode(&sent, &mut octets);
            decoder.decode(&octets, NO_LIMITS, &mut received).unwrap();
            let ours: Vec<_> = received.iter().map(|line| line.never_indexed).collect();
            let theirs: Vec<_> = inflater.decode_marked(&octets).unwrap().iter().map(|(_, mark)| *mark).collect();
            prop_assert_eq!(ours, theirs);
            prop_assert!(sent.iter().zip(received.iter()).all(|(a, b)| b.never_indexed || !a.never_indexed));
            prop_assert_eq!(entries(decoder.entries()), inflater.entries());
            prop_assert_eq!(entries(encoder.entries()), inflater.entries());
        }
    }
}
