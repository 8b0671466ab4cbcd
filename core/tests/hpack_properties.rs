//! What must hold of encoder and decoder over any sequence of blocks and table sizes.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use shuntyard_core::fields::{FieldLine, FieldSection, Origin};
use shuntyard_core::hpack::{Decoded, Decoder, Encoder, Indexing, IndexingPolicy, SectionLimits};
use shuntyard_core::strategies::{self, Line, any_line, header_table_size};
use shuntyard_requirements::req;

#[path = "hpack_properties/paths.rs"]
mod paths;
#[path = "hpack_properties/written.rs"]
mod written;

const SEED: u64 = 0x7541;
const NO_LIMITS: SectionLimits = SectionLimits { size: u32::MAX, fields: u32::MAX };

#[derive(Clone, Debug)]
enum Step {
    Block(Vec<Line>),
    /// The decoder's side changes SETTINGS_HEADER_TABLE_SIZE.
    TableSize(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = header_table_size().prop_map(Step::TableSize);
    let step = prop_oneof![5 => vec(any_line(), 0..12).prop_map(Step::Block), 1 => size];
    vec(step, 0..60)
}

/// A block of few representations: sizes that change, entries that do not fit, indices that may name nothing.
fn strange_block() -> impl Strategy<Value = Vec<u8>> {
    let update =
        prop_oneof![Just(vec![0x20]), Just(vec![0x3e]), Just(vec![0x3f, 31]), Just(vec![0x3f, 129, 2])];
    let literal = |first: u8| move |n: u8| [&[first, 1, b'x', n][..], &vec![b'y'; n.into()]].concat();
    let representation = prop_oneof![
        3 => (0x81_u8..0x84).prop_map(|index| vec![index]),
        3 => (0xbe_u8..0xc0).prop_map(|index| vec![index]),
        3 => (0_u8..40).prop_map(literal(0x40)),
        1 => (0_u8..3).prop_map(literal(0x10)),
    ];
    (prop::option::weighted(0.2, update), vec(representation, 0..3))
        .prop_map(|(update, rest)| update.into_iter().chain(rest).flatten().collect())
}

/// What a request may ask for: a path as a literal of any kind, or none, or two, between lines that are often the same.
fn asking() -> impl Strategy<Value = Vec<u8>> {
    let plain = |value: &str| {
        let octets = value.as_bytes();
        let len = if octets.len() < 127 {
            vec![octets.len() as u8]
        } else {
            vec![127, 0x80 | ((octets.len() - 127) & 0x7f) as u8, ((octets.len() - 127) >> 7) as u8]
        };
        [&len, octets].concat()
    };
    let coded = |value: &str| {
        // As our encoder has it: the name is an index, the string behind it is coded if that is shorter.
        let block = encoded(&mut Encoder::new(0), &section(&[Line::new(":path", value)]));
        block[1..].to_vec()
    };
    let long = "/long".repeat(60);
    let values =
        ["", "/a", "/b?c=d", "*", "/a b", "/\0", "/\u{e9}", "/x#y", "/a/longer/path/than/most", &long];
    let mut strings: Vec<_> = values.iter().map(|value| plain(value)).collect();
    strings.extend(["/aaa", "/eeeee", "/a/longer/path/than/most", &long].map(coded));
    // Neither shorter than what it stands for; then one that is no code.
    strings.extend([vec![0x82, 0x60, 0x7f], vec![0x80], vec![0x81, 0x00]]);
    let string = prop_oneof![20 => 0..strings.len() - 1, 1 => Just(strings.len() - 1)]
        .prop_map(move |which| strings[which].clone());
    let name = prop_oneof![
        8 => Just(vec![4_u8]),
        2 => Just(vec![5]),
        3 => Just(vec![0x14]),
        1 => Just(vec![0x44]),
        1 => Just(vec![0x0f, 47]),
        1 => Just([&[0, 5][..], b":path"].concat()),
        1 => Just([&[0, 5][..], b":pate"].concat()),
    ];
    let before =
        prop::sample::select(vec![vec![0x82], vec![0x83, 0x86], vec![], vec![0x82, 4, 1, b'/'], vec![0xbe]]);
    let behind = prop::sample::select(vec![
        vec![0x86],
        vec![],
        vec![0x86, 0x90],
        [&[0x10, 1][..], b"n", &[1], b"v"].concat(),
        vec![0xbe],
        vec![0x84],
    ]);
    let path = prop::option::weighted(0.95, (name, string)).prop_map(Option::unwrap_or_default);
    let inserts = vec![0x40, 1, b'x', 1, b'y'];
    let asks = (before, path, behind)
        .prop_map(|(before, (name, string), behind)| [before, name, string, behind].concat());
    prop_oneof![30 => asks, 1 => Just(inserts)]
}

fn section(lines: &[Line]) -> FieldSection {
    strategies::section(lines, SEED)
}

fn encoded(encoder: &mut Encoder, fields: &FieldSection) -> Vec<u8> {
    let mut block = Vec::new();
    encoder.encode(fields, &mut block);
    block
}

fn decoded(decoder: &mut Decoder, block: &[u8]) -> FieldSection {
    let mut fields = FieldSection::new();
    assert_eq!(decoder.decode(block, NO_LIMITS, &mut fields), Ok(Decoded::Whole));
    fields
}

/// What arrives of what is sent: the policy may add the never-indexed mark.
fn expected(sent: &FieldSection) -> FieldSection {
    let mut fields = FieldSection::new();
    for line in sent.iter() {
        let never = line.facts.static_line == 0
            && IndexingPolicy::default().decide(&line, u32::MAX) == Indexing::Never;
        fields.push(FieldLine { never_indexed: line.never_indexed || never, ..line });
    }
    fields
}

fn assert_same_tables(encoder: &Encoder, decoder: &Decoder) {
    assert!(encoder.entries().eq(decoder.entries()));
    assert_eq!(encoder.table_size(), decoder.table_size());
    let size: usize = decoder.entries().map(|(name, value)| name.len() + value.len() + 32).sum();
    assert_eq!((decoder.table_size(), decoder.entries().count()), (size, decoder.entry_count()));
}

/// Where a gateway sends on what it got, and another encoder that remembers nothing of where lines came from.
struct NextHop {
    outward: Encoder,
    searching: Encoder,
    last: Decoder,
}

impl NextHop {
    fn new() -> Self {
        Self { outward: Encoder::new(4096), searching: Encoder::new(4096), last: Decoder::new(4096, SEED, 9) }
    }

    fn set_table_size(&mut self, size: u32) {
        self.outward.set_peer_max_table_size(size);
        self.searching.set_peer_max_table_size(size);
        self.last.set_max_table_size(size);
    }

    /// The same octets from both encoders, and what was sent.
    #[track_caller]
    fn gets(&mut self, relayed: &FieldSection, sent: &FieldSection) {
        let block = encoded(&mut self.outward, relayed);
        let mut searched = Vec::new();
        self.searching.begin(&mut searched);
        for line in relayed.iter() {
            self.searching.line(&FieldLine { origin: Origin::NONE, ..line }, &mut searched);
        }
        assert_eq!(block, searched);
        assert_eq!(decoded(&mut self.last, &block), expected(sent));
        assert_same_tables(&self.outward, &self.last);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::with_cases(400)
    })]

    #[test]
    fn what_is_encoded_is_decoded_and_the_tables_stay_equal(steps in steps(), cap in header_table_size()) {
        req!("7541-2.1-01", "7541-2.1-02", "7541-4.2-01");
        let (mut encoder, mut decoder) = (Encoder::new(cap), Decoder::new(4096, SEED, 1));
        let mut limit = 4096;
        for step in &steps {
            match step {
                Step::Block(lines) => {
                    let sent = section(lines);
                    let received = decoded(&mut decoder, &encoded(&mut encoder, &sent));
                    prop_assert_eq!(&received, &expected(&sent));
                    for (a, b) in received.iter().zip(sent.iter()) {
                        prop_assert_eq!(a.facts, b.facts);
                    }
                    assert_same_tables(&encoder, &decoder);
                    prop_assert!(decoder.table_size() <= limit.min(cap) as usize);
                }
                Step::TableSize(size) => {
                    limit = *size;
                    encoder.set_peer_max_table_size(limit);
                    decoder.set_max_table_size(limit);
                }
            }
        }
    }

    #[test]
    fn limits_keep_the_tables_in_step(
        steps in steps(),
        limits in vec((0_u32..400, 0_u32..8), 60),
    ) {
        let (mut encoder, mut whole) = (Encoder::new(4096), Decoder::new(4096, SEED, 1));
        let (mut limited, mut none) = (Decoder::new(4096, SEED, 1), Decoder::new(4096, SEED, 1));
        for (step, (size, fields)) in steps.iter().zip(limits) {
            match step {
                Step::Block(lines) => {
                    let block = encoded(&mut encoder, &section(lines));
                    let all = decoded(&mut whole, &block);
                    let mut kept = FieldSection::new();
                    let result = limited.decode(&block, SectionLimits { size, fields }, &mut kept).unwrap();
                    if all.size() <= size as usize && all.len() <= fields as usize {
                        prop_assert_eq!((result, &kept), (Decoded::Whole, &all));
                    } else {
                        prop_assert!(matches!(result, Decoded::OverLimit(_)));
                        prop_assert!(kept.is_empty());
                    }
                    none.decode(&block, SectionLimits { size: 0, fields: 0 }, &mut kept).unwrap();
                    prop_assert!(whole.entries().eq(limited.entries()) && whole.entries().eq(none.entries()));
                }
                Step::TableSize(size) => {
                    encoder.set_peer_max_table_size(*size);
                    for decoder in [&mut whole, &mut limited, &mut none] {
                        decoder.set_max_table_size(*size);
                    }
                }
            }
        }
    }

    /// Few sections, often: what is kept of a block is what decoding it anew would give, whatever happens to the tables in between.
    #[test]
    fn blocks_that_come_again_mean_the_same(
        pool in vec(vec(any_line(), 0..5), 1..4),
        steps in vec((0_usize..4, prop::option::weighted(0.05, header_table_size())), 0..80),
        limits in (0_u32..400, 0_u32..8),
    ) {
        let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::new(4096, SEED, 1));
        let mut limited = Decoder::new(4096, SEED, 1);
        let mut known = BTreeMap::new();
        for (which, size) in steps {
            if let Some(size) = size {
                encoder.set_peer_max_table_size(size);
                decoder.set_max_table_size(size);
                limited.set_max_table_size(size);
            }
            let sent = section(&pool[which % pool.len()]);
            let block = encoded(&mut encoder, &sent);
            let received = decoded(&mut decoder, &block);
            prop_assert_eq!(&received, &expected(&sent));
            assert_same_tables(&encoder, &decoder);
            if received.origin() != Origin::NONE {
                prop_assert_eq!(known.entry(received.origin().0).or_insert_with(|| received.clone()), &received);
            }
            let mut kept = FieldSection::new();
            let result = limited.decode(&block, SectionLimits { size: limits.0, fields: limits.1 }, &mut kept);
            let fits = received.size() <= limits.0 as usize && received.len() <= limits.1 as usize;
            prop_assert_eq!(result == Ok(Decoded::Whole), fits);
            prop_assert!(result != Ok(Decoded::Whole) || kept == received);
        }
    }

    /// The same of blocks as no encoder of ours makes them. Behind each stands a line that never came before, so that the second decoder
    /// keeps nothing of any.
    #[test]
    fn what_is_kept_of_strange_blocks_is_what_decoding_gives(
        pool in vec(strange_block(), 1..4),
        steps in vec(0_usize..4, 0..80),
    ) {
        let (mut decoder, mut forgetful) = (Decoder::new(300, SEED, 1), Decoder::new(300, SEED, 1));
        for (number, which) in steps.into_iter().enumerate() {
            let block = &pool[which % pool.len()];
            let (mut kept, mut anew) = (FieldSection::new(), FieldSection::new());
            let result = decoder.decode(block, NO_LIMITS, &mut kept);
            let different = [&block[..], &[0, 1, b'n', 1, number as u8]].concat();
            prop_assert_eq!(result, forgetful.decode(&different, NO_LIMITS, &mut anew));
            prop_assert_eq!(anew.origin(), Origin::NONE);
            anew.retain(|line| line.name != b"n");
            let origins = |fields: &FieldSection| fields.iter().map(|line| line.origin).collect::<Vec<_>>();
            prop_assert_eq!(origins(&kept), origins(&anew));
            prop_assert_eq!(kept, anew);
            prop_assert!(decoder.entries().eq(forgetful.entries()));
        }
    }

    /// What is kept of blocks that differ in their paths is what decoding them gives, and so is what the next hop gets of it. In front of what
    /// the second decoder reads stands a line that never came before, so that it keeps nothing.
    #[test]
    fn blocks_with_other_paths_mean_what_they_say(
        blocks in vec(asking(), 0..120),
        limits in (0_u32..600, 0_u32..5),
        size in prop::option::weighted(0.1, header_table_size()),
    ) {
        let (mut decoder, mut forgetful) = (Decoder::new(4096, SEED, 1), Decoder::new(4096, SEED, 1));
        let mut limited = Decoder::new(4096, SEED, 2);
        let mut next = NextHop::new();
        let half = blocks.len() / 2;
        for (number, block) in blocks.iter().enumerate() {
            if let Some(size) = size.filter(|_| number == half) {
                next.set_table_size(size);
            }
            let (mut kept, mut anew) = (FieldSection::new(), FieldSection::new());
            let result = decoder.decode(block, NO_LIMITS, &mut kept);
            let different = [&[0, 1, b'-', 1, number as u8], &block[..]].concat();
            prop_assert_eq!(result, forgetful.decode(&different, NO_LIMITS, &mut anew));
            anew.retain(|line| line.name != b"-");
            let all = |fields: &FieldSection| -> Vec<_> {
                fields.iter().map(|line| (line.origin, line.facts, line.never_indexed)).collect()
            };
            prop_assert_eq!(all(&kept), all(&anew));
            prop_assert_eq!((&kept, kept.size(), kept.len()), (&anew, anew.size(), anew.len()));
            prop_assert!(decoder.entries().eq(forgetful.entries()));
            let mut within = FieldSection::new();
            let limited = limited.decode(block, SectionLimits { size: limits.0, fields: limits.1 }, &mut within);
            if result.is_err() {
                prop_assert_eq!(limited, result);
                break;
            }
            let fits = kept.size() <= limits.0 as usize && kept.len() <= limits.1 as usize;
            prop_assert_eq!(limited == Ok(Decoded::Whole), fits);
            prop_assert!(!fits || within == kept);
            next.gets(&kept, &anew);
        }
    }

    /// The next hop gets of sections that come again what it would get of any, whatever its tables do in between; and of those that are made
    /// here, by the last one.
    #[test]
    fn sections_that_are_sent_again_say_the_same(
        pool in vec(vec(any_line(), 0..6), 1..5),
        steps in vec((0_usize..4, 0_usize..5, 0_usize..5, prop::option::weighted(0.05, header_table_size())), 0..120),
    ) {
        let mut inward: Vec<_> =
            (0..3).map(|identity| (Encoder::new(4096), Decoder::new(4096, SEED, identity))).collect();
        let mut next = NextHop::new();
        for (connection, which, path, size) in steps {
            if let Some(size) = size {
                next.set_table_size(size);
            }
            let mut sent = section(&pool[which % pool.len()]);
            match path {
                0 => {}
                1 => sent.push(FieldLine::new(b":path", b"/", SEED).never_indexed()),
                _ => sent.push(FieldLine::new(b":path", &[b"/a", &[b'?'; 4][path..]].concat(), SEED)),
            }
            match inward.get_mut(connection) {
                Some((encoder, decoder)) => next.gets(&decoded(decoder, &encoded(encoder, &sent)), &sent),
                None => next.gets(&sent, &sent),
            }
        }
    }

    /// A gateway: several connections in, one out. Translations are a short cut to where the search leads, no more.
    #[test]
    fn translations_change_nothing(
        blocks in vec((0_usize..4, vec(any_line(), 0..12)), 0..80),
        in_size in header_table_size(),
        out_sizes in vec(prop::option::weighted(0.1, header_table_size()), 80),
    ) {
        let mut inward: Vec<_> = (0..4).map(|identity| {
            let mut encoder = Encoder::new(65_536);
            let mut decoder = Decoder::new(4096, SEED, identity);
            encoder.set_peer_max_table_size(in_size);
            decoder.set_max_table_size(in_size);
            (encoder, decoder)
        }).collect();
        let mut next = NextHop::new();
        for ((connection, lines), out_size) in blocks.iter().zip(out_sizes) {
            if let Some(size) = out_size {
                next.set_table_size(size);
            }
            let (encoder, decoder) = &mut inward[*connection];
            let sent = section(lines);
            next.gets(&decoded(decoder, &encoded(encoder, &sent)), &sent);
        }
    }

    #[test]
    fn no_octets_make_the_decoder_panic(
        blocks in vec((vec(any::<u8>(), 0..200), header_table_size()), 1..8),
        limits in (0_u32..2000, 0_u32..20),
    ) {
        let mut decoder = Decoder::new(4096, SEED, 1);
        let mut fields = FieldSection::new();
        for (block, size) in &blocks {
            let (size_limit, field_limit) = limits;
            let limits = SectionLimits { size: size_limit, fields: field_limit };
            if decoder.decode(block, limits, &mut fields).is_err() {
                prop_assert!(fields.is_empty());
                break;
            }
            prop_assert!(fields.size() <= size_limit as usize && fields.len() <= field_limit as usize);
            decoder.set_max_table_size(*size);
        }
    }

    #[test]
    fn no_damage_to_a_block_makes_the_decoder_panic(
        before in vec(any_line(), 0..12),
        lines in vec(any_line(), 1..12),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        end in any::<prop::sample::Index>(),
    ) {
        let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::new(4096, SEED, 1));
        decoded(&mut decoder, &encoded(&mut encoder, &section(&before)));
        let mut block = encoded(&mut encoder, &section(&lines));
        for (at, octet) in &damage {
            let at = at.index(block.len());
            block[at] = *octet;
        }
        block.truncate(end.index(block.len() + 1));
        let mut fields = FieldSection::new();
        let result = decoder.decode(&block, NO_LIMITS, &mut fields);
        prop_assert!(result.is_ok() || fields.is_empty());
        prop_assert!(decoder.table_size() <= 4096);
    }
}

#[test]
fn a_block_is_known_from_its_second_time_on_until_the_table_changes() {
    let mut decoder = Decoder::new(4096, SEED, 1);
    let mut known = |block: &[u8]| {
        let origin = decoded(&mut decoder, block).origin();
        (origin != Origin::NONE).then_some(origin)
    };
    // Static lines only; a literal that enters the table; two others; one that updates the size to what it is.
    let (get, insert, post) = (&[0x82, 0x86][..], &[0x40, 1, b'x', 1, b'y'][..], &[0x83][..]);
    assert_eq!(known(get), None);
    let number = known(get).expect("it has come before");
    assert_eq!((known(get), known(post), known(get)), (Some(number), None, Some(number)));
    assert!(known(post).is_some_and(|other| other != number));
    assert_eq!(known(get), Some(number), "two are kept");
    assert_eq!(known(insert), None);
    assert_eq!((known(insert), known(get)), (None, None), "the table has changed");
    assert!(known(get).is_some_and(|other| other != number));
    let update = [&[0x3f, 0xe1, 0x1f], get].concat();
    assert_eq!([known(&update), known(&update), known(&update)], [None; 3]);
}

/// RFC 7541 section 4.4: what did not fit into an empty table has changed nothing, and enters a larger one all the same.
#[test]
fn a_block_that_comes_again_enters_a_table_that_has_grown() {
    let mut decoder = Decoder::new(4096, SEED, 1);
    let insert = &[0x40, 1, b'x', 1, b'y'][..];
    let (to_nothing, to_4096) = (&[0x20, 0x82][..], &[0x3f, 0xe1, 0x1f, 0x82][..]);
    for block in [to_nothing, insert, insert, insert, to_4096, insert] {
        decoded(&mut decoder, block);
    }
    assert_eq!(decoder.entry_count(), 1);
    assert_eq!(decoded(&mut decoder, &[0xbe]).get(b"x"), Some(&b"y"[..]));
}
