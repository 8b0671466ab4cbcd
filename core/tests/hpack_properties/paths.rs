//! Sections that are known but for their path.

use super::*;

/// Blocks that differ in their paths are told apart from those that come again: their sections have no origin, and need not.
#[test]
fn a_path_that_changes_is_all_that_is_decoded() {
    let (mut decoder, mut encoder) = (Decoder::new(4096, SEED, 1), Encoder::new(4096));
    let block = |path: &str| {
        let path = [&[4, path.len() as u8], path.as_bytes()].concat();
        [&[0x82, 0x86][..], &path, &[0x90]].concat()
    };
    let mut capacities = Vec::new();
    for n in 0..6 {
        let fields = decoded(&mut decoder, &block(&format!("/{n}")));
        assert_eq!((fields.get(b":path"), fields.len()), (Some(format!("/{n}").as_bytes()), 4));
        assert_eq!(fields.origin(), Origin::NONE);
        let sent = encoded(&mut encoder, &fields);
        assert_eq!(sent, [&[0x82, 0x86, 4, 2, b'/', b'0' + n][..], &[0x90]].concat());
        capacities.push((decoder.capacity(), encoder.capacity()));
    }
    assert_eq!(capacities[0], (0, 0));
    assert!(capacities[1].0 > 0 && capacities[2].1 > 0, "what is kept is counted");
    assert_eq!(capacities[2], capacities[5], "no more than once");
    // One that comes again is known as a whole from then on.
    let again = |decoder: &mut Decoder| decoded(decoder, &block("/7")).origin();
    assert_eq!(again(&mut decoder), Origin::NONE);
    let origin = again(&mut decoder);
    assert!(origin != Origin::NONE && again(&mut decoder) == origin);
}

/// Whatever has two paths, or another name of five octets where a path stood, is no section that is known but for its path.
#[test]
fn what_has_two_paths_is_not_taken_for_what_has_one() {
    let known: [&[(&str, &str)]; 3] = [
        &[(":path", "/a"), ("range", "")],
        &[(":path", "/a"), ("range", "xx:path")],
        &[("range", ""), (":path", "/a")],
    ];
    let others: [&[(&str, &str)]; 5] = [
        &[(":path", "/0123456789"), (":path", "")],
        &[(":path", "rangexx"), (":path", "/b")],
        &[(":path", ""), (":path", "/0123456789")],
        &[("range", "/a"), ("range", "")],
        &[("range", ""), ("range", "/a")],
    ];
    let section = |lines: &[(&str, &str)]| {
        let mut fields = FieldSection::new();
        lines.iter().for_each(|(name, value)| {
            fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), SEED));
        });
        fields
    };
    for known in known {
        let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::new(4096, SEED, 1));
        let three = [known; 3];
        for lines in three.into_iter().chain(others) {
            let fields = section(lines);
            assert_eq!(decoded(&mut decoder, &encoded(&mut encoder, &fields)), fields);
        }
    }
}

/// Decoders beyond those that can be told apart give no origins (RFC 7541 knows no such limit), and what they read is sent on all the same.
#[test]
fn what_a_decoder_without_origins_has_read_is_sent_on_whole() {
    for identity in [1 << 30, u32::MAX] {
        let (mut decoder, mut next) = (Decoder::new(4096, SEED, identity), Decoder::new(4096, SEED, 2));
        let mut encoder = Encoder::new(4096);
        for n in [0, 1, 2, 3, 3, 3, 3, 4, 5] {
            let fields = decoded(&mut decoder, &[0x82, 0x86, 4, 2, b'/', b'0' + n, 0x90]);
            assert_eq!((fields.origin(), fields.len()), (Origin::NONE, 4));
            let sent = decoded(&mut next, &encoded(&mut encoder, &fields));
            assert_eq!(sent.get(b":path"), Some(&[b'/', b'0' + n][..]));
            assert_eq!(sent, fields);
        }
    }
}

/// Where the policy lets paths into the table, none is put between what stood around another: it may have to enter.
#[test]
fn paths_that_enter_the_table_are_encoded_with_their_sections() {
    let mut policy = IndexingPolicy::default();
    policy.set(":path", Indexing::Index).expect("a name of the static table");
    let (mut decoder, mut encoder) = (Decoder::new(4096, SEED, 1), Encoder::with_policy(4096, policy));
    let mut next = Decoder::new(4096, SEED, 2);
    let mut seen = 0;
    // "/c" comes again when it is in the encoder's table, and no more what its own decoder has seen last.
    for path in *b"abcdefcgh" {
        let fields = decoded(&mut decoder, &[0x82, 0x86, 4, 2, b'/', path, 0x90]);
        seen += usize::from(fields.origin() == Origin::NONE);
        assert_eq!(decoded(&mut next, &encoded(&mut encoder, &fields)), fields, "{}", char::from(path));
        assert_eq!(next.entry_count(), encoder.entry_count());
    }
    assert_eq!((seen, encoder.entry_count()), (9, 8));
}
