//! Scenarios that once broke a promise: each file of `regressions` is run, and holds now.
//!
//! `SHUNTYARD_SCENARIO=NAME` runs one of them (or a file by its path) and shows its last actions and frames.

use std::path::{Path, PathBuf};

use shuntyard_sim::run::run_with;
use shuntyard_sim::text;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions")
}

fn assert_holds(path: &Path, show: bool) {
    let name = path.display();
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let scenario = text::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    match run_with(&scenario, show) {
        Ok(report) => {
            report.log.iter().filter(|_| show).for_each(|line| println!("{line}"));
            println!("{name}: fine, hash {:016x}", report.hash);
        }
        Err(failure) => {
            failure.log.iter().rev().take(300).rev().for_each(|line| println!("{line}"));
            panic!("{name}: {failure}");
        }
    }
}

#[test]
fn scenarios_that_once_failed() {
    if let Ok(name) = std::env::var("SHUNTYARD_SCENARIO") {
        let by_name = folder().join(format!("{name}.txt"));
        return assert_holds(if by_name.exists() { &by_name } else { Path::new(&name) }, true);
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the folder is there")
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(!files.is_empty(), "no scenario in {}", folder().display());
    files.iter().for_each(|path| assert_holds(path, false));
}
