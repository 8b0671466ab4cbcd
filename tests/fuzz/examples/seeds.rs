//! Writes a first corpus for each target into a folder, to be minimised by `cargo fuzz cmin`:
//!
//!     cargo run -p shuntyard-fuzz-bodies --example seeds -- FOLDER
//!
//! It is made of what the simulator's gateway wrote, of data of others where it is at hand (`SHUNTYARD_DATA`), and of
//! chance.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use shuntyard_core::frame::PREFACE;
use shuntyard_core::random::Random;
use shuntyard_fuzz_bodies::TARGETS;
use shuntyard_hpack_voices::stories;
use shuntyard_sim::generate::generate;
use shuntyard_sim::run::run_with;

/// Octets of a seed at most.
const SEED_MAX: usize = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("which folder?")?);
    for (target, _) in TARGETS {
        fs::create_dir_all(folder.join(target))?;
        for n in 0..40_u64 {
            write(&folder, target, &format!("chance-{n}"), &chance(n))?;
        }
    }
    wire(&folder)?;
    blocks(&folder)?;
    clients(&folder)
}

fn write(folder: &Path, target: &str, name: &str, octets: &[u8]) -> std::io::Result<()> {
    fs::write(folder.join(target).join(name), &octets[..octets.len().min(SEED_MAX)])
}

fn chance(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let len = 20 << (seed % 6);
    (0..len).map(|_| random.next_u64() as u8).collect()
}

/// What the gateway wrote on each link of some scenarios.
fn wire(folder: &Path) -> Result<(), Box<dyn Error>> {
    for seed in 0..60 {
        let Ok(report) = run_with(&generate(seed), true) else { continue };
        for (link, output) in report.outputs.iter().enumerate().filter(|(_, output)| !output.is_empty()) {
            let name = format!("wire-{seed}-{link}");
            let frames = output.strip_prefix(PREFACE).unwrap_or(output);
            write(folder, "frame_decode", &name, &[&[0][..], frames].concat())?;
            // To a server what was said to a backend, to a client what was said to a client.
            let flags = if output.starts_with(PREFACE) { 2 } else { 3 };
            write(folder, "connection", &name, &[&[flags, 0][..], output].concat())?;
        }
    }
    Ok(())
}

/// The first blocks of recorded connections.
fn blocks(folder: &Path) -> Result<(), Box<dyn Error>> {
    for encoder in stories::encoders().unwrap_or_default() {
        for story in stories::of_encoder(&encoder).into_iter().step_by(8) {
            let mut octets = Vec::new();
            for case in story.cases.iter().take(12) {
                let Some(block) = case.block.as_ref().filter(|block| block.len() <= 250) else { break };
                octets.extend([255, block.len() as u8]);
                octets.extend(block);
            }
            write(folder, "hpack_decode_diff", &story.name.replace('/', "-"), &octets)?;
        }
    }
    Ok(())
}

/// Recorded clients, as frames.
fn clients(folder: &Path) -> Result<(), Box<dyn Error>> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("SHUNTYARD_DATA").map_or_else(beside, PathBuf::from);
    let Ok(entries) = fs::read_dir(data.join("nghttp2-corpus/corpus/nghttp")) else {
        eprintln!("SKIPPED recorded clients: no {}", data.display());
        return Ok(());
    };
    for (n, entry) in entries.enumerate() {
        let octets = fs::read(entry?.path())?;
        let frames = octets.strip_prefix(PREFACE).unwrap_or(&octets);
        write(folder, "frame_decode", &format!("client-{n}"), &[&[0][..], frames].concat())?;
    }
    Ok(())
}
