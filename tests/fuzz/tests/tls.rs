//! The body of the fuzz target `tls`, without a fuzzer: over scripts of chance.

use shuntyard_core::random::Random;
use shuntyard_fuzz_bodies::tls::run;

/// How many scripts are tried: SHUNTYARD_SEEDS, or some.
fn seeds() -> u64 {
    std::env::var("SHUNTYARD_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(400)
}

/// A few steps that carry octets on, so that most handshakes come to their end, among steps of any kind.
fn script(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut script = vec![random.next_u64() as u8, (random.next_u64() % 8) as u8 / 3];
    for _ in 0..4 + random.next_u64() % 30 {
        match random.next_u64() % 4 {
            0 => script.push(1),
            1 => script.push(3),
            2 => script.extend([(random.next_u64() % 6) as u8, random.next_u64() as u8]),
            _ => script.extend([random.next_u64() as u8, random.next_u64() as u8, random.next_u64() as u8]),
        }
    }
    script
}

#[test]
fn scripts_of_chance_hold() {
    for seed in 0..seeds() {
        let outcome = std::panic::catch_unwind(|| run(&script(seed)));
        if let Err(panic) = outcome {
            eprintln!("failed on seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
