//! The body of the fuzz target `gateway_events`, without a fuzzer: over its saved inputs, changed at random.

use std::path::Path;

use shuntyard_core::random::Random;
use shuntyard_fuzz_bodies::gateway_events::run;

/// How many inputs are tried: SHUNTYARD_SEEDS, or some.
fn seeds() -> u64 {
    std::env::var("SHUNTYARD_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

fn below(random: &mut Random, limit: usize) -> usize {
    (random.next_u64() % limit.max(1) as u64) as usize
}

/// A few octets other than they were, pieces again, pieces left out; and now and then a client that shakes hands or is introduced.
fn changed(octets: &[u8], random: &mut Random) -> Vec<u8> {
    let mut octets = octets.to_vec();
    for _ in 0..1 + below(random, 8) {
        let at = below(random, octets.len() + 1);
        let end = (at + below(random, 40)).min(octets.len());
        match random.next_u64() % 6 {
            0 if at < octets.len() => octets[at] = random.next_u64() as u8,
            1 => octets.extend_from_within(at..end),
            2 => _ = octets.drain(at..end),
            // Accepts one, of any kind.
            3 => _ = octets.splice(at..at, [0, 216 + below(random, 40) as u8]),
            // Says of one of the first connections that its handshake is done.
            4 => _ = octets.splice(at..at, [7, below(random, 4) as u8, random.next_u64() as u8, 1, 1, 0]),
            // A command: clients of a listener part, or one is introduced.
            _ => _ = octets.splice(at..at, [17, 200 + below(random, 36) as u8, below(random, 4) as u8, 1, 0]),
        }
    }
    octets
}

#[test]
fn saved_inputs_hold_when_they_are_changed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/gateway_events");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("a corpus")
        .map(|entry| entry.expect("a folder that can be read").path())
        .collect();
    files.sort();
    for seed in 0..seeds() {
        let mut random = Random::new(seed);
        let file = &files[below(&mut random, files.len())];
        let input = changed(&std::fs::read(file).expect("a file that can be read"), &mut random);
        if let Err(panic) = std::panic::catch_unwind(|| run(&input)) {
            eprintln!("failed on seed {seed}, made of {}", file.display());
            std::panic::resume_unwind(panic);
        }
    }
}
