//! Every target over its saved corpus, without a fuzzer, and the list of targets against what cargo-fuzz sees.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use shuntyard_fuzz_bodies::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// What lies in a folder, in order.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<_> = entries.map(|entry| entry.expect("a folder that can be read").path()).collect();
    entries.sort();
    entries
}

#[test]
fn every_saved_input_holds() {
    for (target, body) in TARGETS {
        let files = entries(&fuzz().join("corpus").join(target));
        assert!(!files.is_empty(), "{target} has no corpus");
        println!("{target}: {} inputs", files.len());
        for file in files {
            let data = std::fs::read(&file).expect("a file that can be read");
            if let Err(panic) = std::panic::catch_unwind(|| body(&data)) {
                eprintln!("failed on {}", file.display());
                std::panic::resume_unwind(panic);
            }
        }
    }
}

#[test]
fn every_target_is_known_to_cargo_fuzz() {
    let names: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let stem = |path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let files: BTreeSet<_> = entries(&fuzz().join("fuzz_targets")).into_iter().map(stem).collect();
    let corpora: BTreeSet<_> = entries(&fuzz().join("corpus")).into_iter().map(stem).collect();
    assert_eq!(files, names, "fuzz/fuzz_targets");
    assert_eq!(corpora, names, "fuzz/corpus");
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).expect("the manifest of the targets");
    for name in names {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "{name} in fuzz/Cargo.toml"
        );
    }
}
