//! The body of the fuzz target `h1`, without a fuzzer: over its saved inputs, changed at random.

use std::path::Path;

use shuntyard_core::random::Random;
use shuntyard_fuzz_bodies::h1;

/// Pieces that change what a message is.
const PIECES: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    ",",
    "0\r\n\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\n\r\n",
];

#[test]
fn saved_inputs_hold_when_they_are_changed() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/h1");
    let entries = std::fs::read_dir(corpus).expect("a corpus").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries.collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).expect("a file")).collect();
    let seeds = std::env::var("SHUNTYARD_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3000);
    for seed in 0..seeds {
        let mut random = Random::new(seed);
        let input = changed(&inputs[below(&mut random, inputs.len())], &mut random);
        if let Err(panic) = std::panic::catch_unwind(|| h1::run(&input)) {
            eprintln!("failed on seed {seed}: {}", input.escape_ascii());
            std::panic::resume_unwind(panic);
        }
    }
}

fn below(random: &mut Random, limit: usize) -> usize {
    (random.next_u64() % limit as u64) as usize
}

/// A few octets, or pieces, other than they were.
fn changed(octets: &[u8], random: &mut Random) -> Vec<u8> {
    let mut octets = octets.to_vec();
    for _ in 0..below(random, 5) {
        let at = below(random, octets.len());
        match random.next_u64() % 6 {
            0 => octets[at] = random.next_u64() as u8,
            1 => octets[at] ^= 1 << (random.next_u64() % 8),
            2 => _ = octets.drain(at..(at + below(random, 12)).min(octets.len() - 1).max(at)),
            3 => {
                let end = (at + below(random, 60)).min(octets.len());
                octets.extend_from_within(at..end);
            }
            _ => {
                let piece = PIECES[below(random, PIECES.len())];
                octets.splice(at..at, piece.bytes());
            }
        }
    }
    octets
}
