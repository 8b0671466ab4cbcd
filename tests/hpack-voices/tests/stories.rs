//! Every recorded story, read as recorded and written anew.

use std::collections::HashSet;

use shuntyard_core::hpack::{Decoder, Encoder};
use shuntyard_hpack_voices::{Deflater, Inflater, Ours, SEED, Voice, all, section, stories};

/// Seen in some stories: SETTINGS_HEADER_TABLE_SIZE of the first block where it is not the default.
fn size_before(voice: &mut dyn Voice, case: &stories::Case) {
    if let Some(size) = case.table_size {
        voice.set_max_table_size(size);
    }
}

#[test]
fn every_recorded_block_is_decoded() {
    let Some(encoders) = stories::encoders() else { return };
    let (mut executed, mut blocks, mut without_blocks) = (0, 0, 0);
    for story in encoders.iter().flat_map(|folder| stories::of_encoder(folder)) {
        let mut ours = Ours(Decoder::new(4096, SEED, 1));
        if story.cases.iter().all(|case| case.block.is_none()) {
            without_blocks += 1;
            continue;
        }
        for (n, case) in story.cases.iter().enumerate() {
            size_before(&mut ours, case);
            let block = case.block.as_ref().unwrap();
            assert_eq!(ours.decode(block).as_ref(), Ok(&case.lines), "{} {n}", story.name);
            blocks += 1;
        }
        executed += 1;
    }
    eprintln!("stories: {executed} decoded ({blocks} blocks), {without_blocks} skipped, being plain lists");
    assert!(executed > 0);
}

#[test]
fn every_list_is_encoded_and_read_by_all_voices() {
    let Some(encoders) = stories::encoders() else { return };
    let (mut executed, mut blocks, mut seen_before) = (0, 0, 0);
    let mut seen = HashSet::new();
    for story in encoders.iter().flat_map(|folder| stories::of_encoder(folder)) {
        // Most encoders were given the same lists.
        let lists: Vec<_> = story.cases.iter().map(|case| (case.lines.clone(), case.table_size)).collect();
        if !seen.insert(lists) {
            seen_before += 1;
            continue;
        }
        let mut encoder = Encoder::new(4096);
        let mut voices = all();
        for (n, case) in story.cases.iter().enumerate() {
            if let Some(size) = case.table_size {
                encoder.set_peer_max_table_size(size);
            }
            let mut block = Vec::new();
            encoder.encode(&section(&case.lines), &mut block);
            for voice in &mut voices {
                size_before(&mut **voice, case);
                let decoded = voice.decode(&block);
                assert_eq!(decoded.as_ref(), Ok(&case.lines), "{} {n} read by {}", story.name, voice.name());
            }
            blocks += 1;
        }
        executed += 1;
    }
    eprintln!(
        "stories: {executed} encoded ({blocks} blocks) and read by all, {seen_before} skipped, being the same"
    );
    assert!(executed > 0);
}

#[test]
fn blocks_are_as_small_as_those_of_nghttp2() {
    let Some(encoders) = stories::encoders() else { return };
    let (mut ours, mut theirs, mut blocks) = (0, 0, 0);
    let raw = encoders.iter().find(|folder| folder.ends_with("raw-data")).unwrap();
    for story in stories::of_encoder(raw) {
        let (mut encoder, mut deflater, mut inflater) =
            (Encoder::new(4096), Deflater::new(4096), Inflater::new());
        for case in &story.cases {
            let mut block = Vec::new();
            encoder.encode(&section(&case.lines), &mut block);
            assert_eq!(inflater.decode(&block).as_ref(), Ok(&case.lines));
            ours += block.len();
            theirs += deflater.encode(&case.lines).len();
            blocks += 1;
        }
    }
    eprintln!("{blocks} blocks: {ours} octets, nghttp2 {theirs}");
    assert!(ours * 100 <= theirs * 102, "{ours} octets, nghttp2 {theirs}");
}
