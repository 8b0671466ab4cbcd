//! On blocks that may be wrong, our verdict is that of nghttp2 and loona-hpack but for a written list of differences.

use std::collections::BTreeMap;
use std::sync::Mutex;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use shuntyard_core::hpack::Encoder;
use shuntyard_hpack_voices::differences::{Difference, WE_ARE_LAXER, WE_ARE_STRICTER};
use shuntyard_hpack_voices::{property, section, strict};

/// Representations and pieces of them, right and wrong; dynamic indices around the end of a small table.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let string = || {
        prop_oneof![
            4 => vec(any::<u8>(), 0..6).prop_map(|octets| [vec![octets.len() as u8], octets].concat()),
            4 => vec(any::<u8>(), 0..6).prop_map(|octets| [vec![0x80 | octets.len() as u8], octets].concat()),
            2 => (vec(b' '..=b'~', 0..40)).prop_map(|text| huffman_coded(&text)),
            1 => (vec(b'0'..=b'z', 0..12), vec(prop::sample::select(vec![0xff, 0x7f, 0xfe, 0x00]), 0..5))
                .prop_map(|(text, padding)| padded(&huffman_coded(&text), &padding)),
            1 => (vec(b'0'..=b'z', 0..12), Just(vec![0xff; 4]))
                .prop_map(|(text, eos)| padded(&huffman_coded(&text), &eos)),
            1 => (0_u8..=255, vec(any::<u8>(), 0..3)).prop_map(|(len, octets)| [vec![len], octets].concat()),
        ]
    };
    let index = prop_oneof![0_u8..4, 58_u8..70, Just(0_u8)];
    prop_oneof![
        4 => index.prop_map(|index| vec![0x80 | index]),
        4 => (prop::sample::select(vec![0x40, 0x00, 0x10]), string(), string())
            .prop_map(|(pattern, name, value)| [vec![pattern], name, value].concat()),
        4 => (prop_oneof![0x41_u8..=0x7e, 0x01_u8..0x0f, 0x11_u8..0x1f], string())
            .prop_map(|(first, value)| [vec![first], value].concat()),
        2 => (0x20_u8..=0x3e).prop_map(|update| vec![update]),
        1 => (0_u8..=255, 0_u8..0x40).prop_map(|(low, high)| vec![0x3f, low | 0x80, high]),
        1 => (prop::sample::select(vec![0xff, 0x7f, 0x3f, 0x1f, 0x0f]), vec(prop_oneof![0x80_u8..=0xff, Just(0x80)], 0..7), 0_u8..0x80)
            .prop_map(|(first, mut octets, last)| { octets.insert(0, first); octets.push(last); octets }),
        1 => vec(any::<u8>(), 0..4),
    ]
}

/// A string literal, by our encoder: a value that it has to Huffman-code.
fn huffman_coded(text: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    Encoder::new(4096).encode(&section(&[(b"age".to_vec(), text.to_vec())]), &mut block);
    // Behind the literal's first two octets (index 21), or the index alone where the value is empty.
    block.split_off(2.min(block.len()))
}

/// A short string literal with octets added within it.
fn padded(string: &[u8], padding: &[u8]) -> Vec<u8> {
    let Some((first, octets)) = string.split_first() else { return vec![0x80] };
    [&[first + padding.len() as u8][..], octets, padding].concat()
}

static TALLY: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());

fn count(what: String) {
    *TALLY.lock().unwrap().entry(what).or_default() += 1;
}

fn compare(before: &[u8], block: &[u8]) -> Result<(), TestCaseError> {
    let mut voices = strict();
    for voice in &mut voices {
        voice.decode(before).unwrap();
    }
    let (ours, others) = voices.split_first_mut().unwrap();
    let verdict = ours.decode(block);
    count(format!("shuntyard: {}", verdict.as_ref().map_or_else(String::as_str, |_| "accepted")));
    for other in others {
        let who = other.name();
        match (&verdict, other.decode(block)) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, &theirs, "{}", who),
            (Err(_), Err(_)) => {}
            (Err(error), Ok(_)) => {
                let allowed = WE_ARE_STRICTER.iter().any(|entry| entry.voice == who && entry.error == *error);
                prop_assert!(allowed, "{who} accepts: {error}");
                count(format!("{who} accepts: {error}"));
            }
            (Ok(_), Err(error)) => {
                let allowed =
                    WE_ARE_LAXER.iter().any(|entry| entry.voice == who && error.contains(entry.error));
                prop_assert!(allowed, "{who} refuses: {error}");
                count(format!("{who} refuses: {error}"));
            }
        }
    }
    Ok(())
}

/// Three entries for the table.
fn before() -> Vec<u8> {
    let lines = [("x-first", "1"), (":authority", "example.com"), ("x-third", "a longer value")];
    let mut block = Vec::new();
    Encoder::new(4096).encode(&section(&lines.map(|(name, value)| (name.into(), value.into()))), &mut block);
    block
}

#[test]
fn verdicts_agree() {
    let config = ProptestConfig { source_file: Some(file!()), ..property(20_000) };
    let mut runner = TestRunner::new(config);
    let before = before();
    runner.run(&vec(piece(), 0..6), |pieces| compare(&before, &pieces.concat())).unwrap();
    runner.run(&vec(any::<u8>(), 0..40), |octets| compare(&before, &octets)).unwrap();
    for (what, times) in &*TALLY.lock().unwrap() {
        eprintln!("{times:6} {what}");
    }
}

/// Nothing random: every block of one and two octets, and Huffman-coded values of two.
#[test]
fn verdicts_agree_on_all_short_blocks() {
    let before = before();
    for a in 0..=255 {
        compare(&before, &[a]).unwrap();
        for b in 0..=255 {
            compare(&before, &[a, b]).unwrap();
        }
        for b in [0x00, 0x07, 0x1f, 0x3f, 0x7f, 0xfe, 0xff] {
            compare(&before, &[0x01, 0x82, a, b]).unwrap();
        }
    }
}

#[test]
fn every_difference_on_the_list_is_real() {
    let verdicts = |difference: &Difference| {
        let mut voices = strict();
        for &limit in difference.limits {
            voices.iter_mut().for_each(|voice| voice.set_max_table_size(limit));
        }
        let other = voices.iter().position(|voice| voice.name() == difference.voice).unwrap();
        (voices[0].decode(difference.example), voices[other].decode(difference.example))
    };
    for difference in WE_ARE_STRICTER {
        let (ours, theirs) = verdicts(difference);
        assert!(
            ours.as_ref().is_err_and(|ours| ours == difference.error) && theirs.is_ok(),
            "{}: {ours:?} {theirs:?}",
            difference.voice
        );
    }
    for difference in WE_ARE_LAXER {
        let (ours, theirs) = verdicts(difference);
        assert!(
            ours.is_ok() && theirs.as_ref().is_err_and(|theirs| theirs.contains(difference.error)),
            "{}: {theirs:?}",
            difference.voice
        );
    }
}
