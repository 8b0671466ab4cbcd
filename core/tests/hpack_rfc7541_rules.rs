//! The rules of RFC 7541, one test a rule, named by section.

use shuntyard_core::fields::{FieldLine, FieldName, FieldSection, Origin};
use shuntyard_core::hpack::{
    DecodeError, Decoded, Decoder, Encoder, IndexingPolicy, LimitHit, SectionLimits,
};
use shuntyard_requirements::req;

const SEED: u64 = 0x7541;
const NO_LIMITS: SectionLimits = SectionLimits { size: u32::MAX, fields: u32::MAX };

fn decoder() -> Decoder {
    Decoder::new(4096, SEED, 1)
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, DecodeError> {
    let mut fields = FieldSection::new();
    let result = decoder.decode(block, NO_LIMITS, &mut fields);
    assert!(result.is_ok() || fields.is_empty());
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    result.map(|_| fields.iter().map(|line| (text(line.name), text(line.value))).collect())
}

fn line<'a>(name: &'a str, value: &'a str) -> FieldLine<'a> {
    FieldLine::new(name.as_bytes(), value.as_bytes(), SEED)
}

fn encode(encoder: &mut Encoder, lines: &[FieldLine<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    encoder.begin(&mut block);
    for line in lines {
        encoder.line(line, &mut block);
    }
    block
}

/// A literal with incremental indexing, of few octets, in plain octets.
fn indexed_literal(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0x40, name.len() as u8];
    block.extend_from_slice(name.as_bytes());
    block.push(value.len() as u8);
    block.extend_from_slice(value.as_bytes());
    block
}

#[test]
fn nothing_is_allocated_before_it_is_used() {
    let (mut encoder, mut decoder) = (Encoder::new(65_536), decoder());
    let block = encode(&mut encoder, &[line(":method", "GET"), line(":path", "/changing")]);
    assert_eq!(decode(&mut decoder, &block).map(|lines| lines.len()), Ok(2));
    assert_eq!((encoder.capacity(), decoder.capacity()), (0, 0));
    assert!(size_of::<Decoder>() <= 144, "{}", size_of::<Decoder>());
    assert!(size_of::<Encoder>() <= 200, "{}", size_of::<Encoder>());
}

#[test]
fn rfc7541_2_3_2_duplicate_entries_are_legal() {
    req!("7541-2.3.2-01");
    let mut decoder = decoder();
    let block = [indexed_literal("a", "b"), indexed_literal("a", "b"), vec![0xbe, 0xbf]].concat();
    assert_eq!(decode(&mut decoder, &block).map(|lines| lines.len()), Ok(4));
    assert_eq!(decoder.entry_count(), 2);
}

#[test]
fn rfc7541_2_3_3_index_beyond_both_tables() {
    req!("7541-2.3.3-01");
    let mut decoder = decoder();
    decode(&mut decoder, &indexed_literal("a", "b")).unwrap();
    assert_eq!(decode(&mut decoder, &[0xbe]), Ok(vec![("a".into(), "b".into())]));
    for block in
        [&[0xbf][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0x07], &[0x7f, 0x00, 0x00], &[0x0f, 0x30, 0x00]]
    {
        assert_eq!(decode(&mut decoder, block), Err(DecodeError::IndexUnknown), "{block:x?}");
    }
}

#[test]
fn rfc7541_4_2_the_encoder_announces_the_smallest_and_the_last_size() {
    req!("7541-4.2-01", "7541-4.2-02", "7541-4.2-03", "7541-6.3-01");
    let mut encoder = Encoder::new(4096);
    encode(&mut encoder, &[line("a", "b")]);
    assert_eq!(encode(&mut encoder, &[]), [], "nothing changed");
    for octets in [3000, 100, 2000] {
        encoder.set_peer_max_table_size(octets);
    }
    assert_eq!(encode(&mut encoder, &[]), [0x3f, 0x45, 0x3f, 0xb1, 0x0f], "100, then 2000");
    assert_eq!(encoder.entry_count(), 1, "100 octets are enough for it");
    encoder.set_peer_max_table_size(0);
    encoder.set_peer_max_table_size(2000);
    assert_eq!(encode(&mut encoder, &[]), [0x20, 0x3f, 0xb1, 0x0f]);
    assert_eq!(encoder.entry_count(), 0);
    encoder.set_peer_max_table_size(u32::MAX);
    assert_eq!(
        encode(&mut encoder, &[]),
        [0x3f, 0xe1, 0x1f],
        "our own cap of 4096 once, no smaller one before it"
    );
    encoder.set_peer_max_table_size(5000);
    assert_eq!(encode(&mut encoder, &[]), [], "the cap still holds");
}

#[test]
fn rfc7541_4_2_an_encoder_with_a_cap_below_the_default_says_so() {
    req!("7541-4.2-01", "7541-6.3-01");
    assert_eq!(encode(&mut Encoder::new(0), &[line("a", "b")]), [0x20, 0x00, 0x01, b'a', 0x01, b'b']);
    let mut large = Encoder::new(65_536);
    assert_eq!(encode(&mut large, &[]), [], "more than the default only where the peer allows it");
    large.set_peer_max_table_size(65_536);
    assert_eq!(encode(&mut large, &[]), [0x3f, 0xe1, 0xff, 0x03]);
}

#[test]
fn rfc7541_4_2_a_lowered_limit_must_be_announced() {
    req!("7541-4.2-02");
    let lowered = || {
        let mut decoder = decoder();
        decode(&mut decoder, &indexed_literal("a", "b")).unwrap();
        // What is known as a whole, or but for its path, is no exception.
        for path in *b"1234555" {
            decode(&mut decoder, &[0x82, 4, 2, b'/', path]).unwrap();
        }
        decoder.set_max_table_size(100);
        decoder
    };
    for block in [&[0x82][..], &[], &[0xbe], &[0x82, 4, 2, b'/', b'5'], &[0x82, 4, 2, b'/', b'6']] {
        assert_eq!(decode(&mut lowered(), block), Err(DecodeError::SizeUpdateMissing), "{block:x?}");
    }
    assert_eq!(decode(&mut lowered(), &[0x3f, 0x46]), Err(DecodeError::SizeUpdateTooLarge));
    let mut decoder = lowered();
    assert_eq!(decode(&mut decoder, &[0x3f, 0x45, 0xbe]).map(|lines| lines.len()), Ok(1));
    assert_eq!(decode(&mut decoder, &[0x82]).map(|lines| lines.len()), Ok(1), "once is enough");
}

#[test]
fn rfc7541_4_2_the_smallest_of_several_limits_must_be_announced() {
    req!("7541-4.2-03");
    let flapped = || {
        let mut decoder = decoder();
        decoder.set_max_table_size(100);
        decoder.set_max_table_size(4096);
        decoder
    };
    assert_eq!(decode(&mut flapped(), &[0x82]), Err(DecodeError::SizeUpdateMissing));
    assert_eq!(
        decode(&mut flapped(), &[0x3f, 0xe1, 0x1f]),
        Err(DecodeError::SizeUpdateMissing),
        "4096 alone"
    );
    assert_eq!(decode(&mut flapped(), &[0x3f, 0x45, 0x3f, 0xe1, 0x1f]), Ok(vec![]));
    assert_eq!(decode(&mut flapped(), &[0x20]), Ok(vec![]));
}

#[test]
fn rfc7541_4_2_no_update_is_due_where_the_table_is_small_already() {
    let mut decoder = decoder();
    decode(&mut decoder, &[0x3f, 0x45]).unwrap();
    decoder.set_max_table_size(2000);
    assert_eq!(decode(&mut decoder, &[0x82]).map(|lines| lines.len()), Ok(1));
    decoder.set_max_table_size(65_536);
    assert_eq!(decode(&mut decoder, &[0x82]).map(|lines| lines.len()), Ok(1), "raising asks for nothing");
}

#[test]
fn rfc7541_4_2_updates_only_at_the_start_and_at_most_two() {
    req!("7541-4.2-02");
    assert_eq!(decode(&mut decoder(), &[0x82, 0x20]), Err(DecodeError::SizeUpdateMisplaced));
    assert_eq!(decode(&mut decoder(), &[0x20, 0x21, 0x82]).map(|lines| lines.len()), Ok(1));
    assert_eq!(decode(&mut decoder(), &[0x20, 0x21, 0x22]), Err(DecodeError::SizeUpdatesTooMany));
}

#[test]
fn rfc7541_4_4_a_name_may_come_from_an_entry_that_its_line_evicts() {
    let mut decoder = Decoder::new(40, SEED, 1);
    decode(&mut decoder, &indexed_literal("name", "old")).unwrap();
    assert_eq!(decode(&mut decoder, &[0x7e, 0x01, b'x']), Ok(vec![("name".into(), "x".into())]));
    assert_eq!(decoder.entries().collect::<Vec<_>>(), [(&b"name"[..], &b"x"[..])]);
    let block = [&[0x7e, 0x20][..], &[b'x'; 32]].concat();
    assert_eq!(decode(&mut decoder, &block).map(|lines| lines[0].0.clone()), Ok("name".into()));
    assert_eq!(decoder.entry_count(), 0, "larger than the table");
}

#[test]
fn rfc7541_5_1_integers_beyond_the_limits() {
    req!("7541-5.1-01");
    for block in [&[0xff, 0x80, 0x80, 0x80, 0x80, 0x10][..], &[0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]] {
        assert_eq!(decode(&mut decoder(), block), Err(DecodeError::IntegerOverflow), "{block:x?}");
    }
    let length = [0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert_eq!(decode(&mut decoder(), &length), Err(DecodeError::IntegerOverflow));
}

#[test]
fn rfc7541_5_2_huffman_violations() {
    req!("7541-5.2-01", "7541-5.2-02", "7541-5.2-03");
    for (string, error) in [
        (&[0xff, 0xff, 0xff, 0xff][..], DecodeError::HuffmanEos),
        (&[0x07, 0xff], DecodeError::HuffmanPaddingTooLong),
        (&[0x00], DecodeError::HuffmanPaddingInvalid),
    ] {
        let as_value = [&[0x04, 0x80 | string.len() as u8][..], string].concat();
        let as_name = [&[0x00, 0x80 | string.len() as u8][..], string, &[0x00]].concat();
        assert_eq!(decode(&mut decoder(), &as_value), Err(error));
        assert_eq!(decode(&mut decoder(), &as_name), Err(error));
    }
}

#[test]
fn every_block_cut_short_is_truncated() {
    let lines = [line(":authority", "example.com"), line("x-a", "b\u{fc}c"), line("etag", "\"\"")];
    for whole in
        [&lines[0..1], &lines[1..2], &lines[2..3]].map(|lines| encode(&mut Encoder::new(4096), lines))
    {
        for end in 1..whole.len() {
            assert_eq!(
                decode(&mut decoder(), &whole[..end]),
                Err(DecodeError::Truncated),
                "{whole:x?} {end}"
            );
        }
    }
}

#[test]
fn rfc7541_6_1_index_zero() {
    req!("7541-6.1-01");
    assert_eq!(decode(&mut decoder(), &[0x80]), Err(DecodeError::IndexZero));
}

#[test]
fn rfc7541_6_2_3_never_indexed_stays_never_indexed() {
    req!("7541-6.2.3-01", "7541-6.2.3-02", "7541-6.2.3-03", "7541-7.1.3-01", "7541-7.1.3-02");
    let mut fields = FieldSection::new();
    let block =
        [&[0x10, 0x01, b'a', 0x01, b'b'][..], &[0x11, 0x01, b'h'], &[0x00, 0x01, b'c', 0x00]].concat();
    decoder().decode(&block, NO_LIMITS, &mut fields).unwrap();
    assert_eq!(fields.iter().map(|line| line.never_indexed).collect::<Vec<_>>(), [true, true, false]);
    let mut encoder = Encoder::new(4096);
    let mut forwarded = Vec::new();
    encoder.encode(&fields, &mut forwarded);
    assert_eq!(forwarded[..8], block[..8]);
    assert_eq!(encoder.entry_count(), 1, "only the third");
}

#[test]
fn rfc7541_7_1_3_not_even_where_the_table_or_the_static_table_has_the_line() {
    req!("7541-6.2.3-02", "7541-7.1.3-01", "7541-7.1.3-02");
    let mut encoder = Encoder::new(4096);
    encode(&mut encoder, &[line("x-key", "value")]);
    let block = encode(&mut encoder, &[line("x-key", "value").never_indexed()]);
    assert_eq!(block[..2], [0x1f, 0x2f], "name by index 62");
    assert_eq!(encode(&mut encoder, &[line(":method", "GET").never_indexed()])[0], 0x12);
}

#[test]
fn rfc7541_7_1_credentials_never_enter_the_table() {
    let mut encoder = Encoder::new(4096);
    for (name, value) in
        [("authorization", "Basic YTpi"), ("proxy-authorization", "Basic YTpi"), ("cookie", "sid=12345")]
    {
        let block = encode(&mut encoder, &[line(name, value)]);
        let mut fields = FieldSection::new();
        decoder().decode(&block, NO_LIMITS, &mut fields).unwrap();
        assert!(fields.iter().all(|line| line.never_indexed), "{name}");
    }
    assert_eq!(encoder.entry_count(), 0);
}

#[test]
fn rfc7541_6_3_update_beyond_the_limit() {
    req!("7541-6.3-02");
    assert_eq!(decode(&mut decoder(), &[0x3f, 0xe2, 0x1f]), Err(DecodeError::SizeUpdateTooLarge));
    assert_eq!(decode(&mut decoder(), &[0x3f, 0xe1, 0x1f]), Ok(vec![]));
}

#[test]
fn rfc9113_6_5_2_limits_count_every_line() {
    let block = [&[0x82, 0x87][..], &indexed_literal("x-a", "b"), &[0xbe]].concat();
    let whole = (7 + 3) + (7 + 5) + 2 * (3 + 1) + 4 * 32;
    let decode = |limits| {
        let (mut decoder, mut fields) = (decoder(), FieldSection::new());
        let decoded = decoder.decode(&block, limits, &mut fields).unwrap();
        assert_eq!(decoder.entry_count(), 1, "the table follows in any case");
        (decoded, fields.len())
    };
    assert_eq!(decode(SectionLimits { size: whole, fields: 4 }), (Decoded::Whole, 4));
    assert_eq!(decode(SectionLimits { size: whole - 1, fields: 4 }), (Decoded::OverLimit(LimitHit::Size), 0));
    assert_eq!(decode(SectionLimits { size: whole, fields: 3 }), (Decoded::OverLimit(LimitHit::Fields), 0));
    assert_eq!(decode(SectionLimits { size: 0, fields: 0 }), (Decoded::OverLimit(LimitHit::Fields), 0));
    assert_eq!(decode(SectionLimits { size: 0, fields: 1 }), (Decoded::OverLimit(LimitHit::Size), 0));
}

#[test]
fn an_error_beyond_the_limit_is_still_an_error() {
    let mut fields = FieldSection::new();
    let none = SectionLimits { size: 0, fields: 0 };
    assert_eq!(decoder().decode(&[0x82, 0x80], none, &mut fields), Err(DecodeError::IndexZero));
    let padding = [0x82, 0x04, 0x81, 0x00];
    assert_eq!(decoder().decode(&padding, none, &mut fields), Err(DecodeError::HuffmanPaddingInvalid));
}

#[test]
fn facts_travel_with_the_line() {
    let mut decoder = decoder();
    let mut fields = FieldSection::new();
    let block = [indexed_literal("x-a", "b"), indexed_literal("X-A", "b"), vec![0xbf, 0xbe, 0x87]].concat();
    decoder.decode(&block, NO_LIMITS, &mut fields).unwrap();
    let all: Vec<_> = fields.iter().collect();
    for decoded in &all {
        assert_eq!(decoded.facts, FieldLine::new(decoded.name, decoded.value, SEED).facts);
    }
    assert_eq!(
        all.iter().map(|line| line.facts.well_formed).collect::<Vec<_>>(),
        [true, false, true, false, true]
    );
    assert_eq!(all[4].facts.name, FieldName::Scheme);
    assert_eq!((all[0].origin, all[1].origin), (all[2].origin, all[3].origin));
    assert!(all[0].origin != all[1].origin && all[0].origin != Origin::NONE && all[4].origin == Origin::NONE);
}

#[test]
fn an_origin_is_translated_only_while_both_sides_mean_the_same_line() {
    let mut encoder = Encoder::new(4096);
    let (first, second) = (Origin(1 << 32 | 1), Origin(2 << 32 | 1));
    let (a, b) = (line("x-a", "1"), line("x-b", "2"));
    let literal = encode(&mut encoder, &[FieldLine { origin: first, ..a }]);
    assert_eq!(literal[0], 0x40);
    assert_eq!(encode(&mut encoder, &[FieldLine { origin: first, ..a }]), [0xbe]);
    assert_eq!(
        encode(&mut encoder, &[FieldLine { origin: second, ..b }])[0],
        0x40,
        "another decoder's entry 1"
    );
    assert_eq!(encode(&mut encoder, &[FieldLine { origin: first, ..a }]), [0xbf]);
    assert_eq!(encode(&mut encoder, &[FieldLine { origin: second, ..b }]), [0xbe]);
    encoder.set_peer_max_table_size(0);
    encoder.set_peer_max_table_size(4096);
    let again = encode(&mut encoder, &[FieldLine { origin: first, ..a }]);
    assert_eq!(again[4..], literal, "our entry died: a literal after the size updates");
}

#[test]
fn lines_with_the_same_hashes_are_told_apart() {
    let mut encoder = Encoder::new(4096);
    let a = line("x-a", "1");
    encode(&mut encoder, &[a]);
    for other in [line("x-a", "2"), line("x-b", "1"), line("x-", "a1")] {
        let mut collision = other;
        (collision.facts.line_hash, collision.facts.name_hash) = (a.facts.line_hash, a.facts.name_hash);
        let block = encode(&mut encoder, &[collision]);
        let mut decoder = decoder();
        decode(&mut decoder, &indexed_literal("x-a", "1")).unwrap();
        for _ in 1..encoder.entry_count() - 1 {
            decode(&mut decoder, &indexed_literal("filler", "")).unwrap();
        }
        let expected = [other.name, other.value].map(|octets| String::from_utf8_lossy(octets).into_owned());
        assert_eq!(decode(&mut decoder, &block), Ok(vec![expected.into()]));
    }
}

#[test]
fn a_translation_needs_no_search() {
    let mut encoder = Encoder::new(4096);
    let mut relayed = FieldLine { origin: Origin(1 << 32 | 1), ..line("x-a", "1") };
    encode(&mut encoder, &[relayed]);
    // A search by this hash would find nothing.
    relayed.facts.line_hash ^= 1;
    assert_eq!(encode(&mut encoder, &[relayed]), [0xbe]);
    assert_eq!(encode(&mut encoder, &[FieldLine { origin: Origin::NONE, ..relayed }])[0], 0x7e);
}

/// Section 4.4: a literal that is too large to enter empties the table behind what the same block says of it. What is kept of a section
/// that comes again is not such a block.
#[test]
fn rfc7541_4_4_a_block_that_empties_its_own_table_is_not_sent_again() {
    let mut policy = IndexingPolicy::default();
    policy.table_quarters_max = 255;
    let (mut inward, mut first) = (Encoder::new(4096), Decoder::new(4096, SEED, 1));
    let (mut outward, mut last) = (Encoder::with_policy(4096, policy), Decoder::new(4096, SEED, 2));
    outward.set_peer_max_table_size(64);
    let mut carry = |from: &FieldSection, again: bool| {
        let (mut block, mut came) = (Vec::new(), FieldSection::new());
        if again {
            inward.encode(from, &mut block);
            assert_eq!(first.decode(&block, NO_LIMITS, &mut came), Ok(Decoded::Whole));
        } else {
            came = from.clone();
        }
        block.clear();
        outward.encode(&came, &mut block);
        let mut arrived = FieldSection::new();
        assert_eq!(last.decode(&block, NO_LIMITS, &mut arrived), Ok(Decoded::Whole));
        assert_eq!(arrived, *from);
    };
    let section = |lines: &[(&str, &str)]| {
        let mut fields = FieldSection::new();
        lines.iter().for_each(|(name, value)| {
            fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), SEED));
        });
        fields
    };
    let (small, large) = (("a", "b"), ("c", "e".repeat(38)));
    for round in 0..8 {
        carry(&section(&[small, (large.0, &large.1)]), true);
        if round == 3 {
            carry(&section(&[small]), false);
        }
    }
}
