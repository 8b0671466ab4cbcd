//! The core is pure: what it may depend on stands here, and what of std it must not touch in `core/clippy.toml`.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// The crates that the core may be built from, itself included. `itoa` is a part of `http`.
const ALLOWED: &[&str] = &["bytes", "http", "httparse", "itoa", "sha1_smol", "shuntyard-core"];

#[test]
fn the_core_depends_on_what_is_allowed_and_nothing_else() {
    let Some(tree) = cargo(&["tree", "-p", "shuntyard-core", "-e", "normal", "--prefix", "none"]) else {
        return;
    };
    let mut found: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, ALLOWED, "\n{tree}");
}

/// What may be switched on: a look into the gateway, a copy of it, and strategies for tests. Nothing is on by default.
const FEATURES: &[&str] = &["observe = []", "fork = [\"observe\"]", "proptest = [\"dep:proptest\"]"];

#[test]
fn the_core_has_no_build_script_and_few_features() {
    let manifest = include_str!("../Cargo.toml");
    let features = manifest.split("[features]").nth(1).and_then(|rest| rest.split("\n[").next());
    let lines = features.unwrap_or_default().lines().map(str::trim);
    let found: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(found, FEATURES);
    for section in ["[build-dependencies", "build ="] {
        assert!(!manifest.lines().any(|line| line.starts_with(section)), "core/Cargo.toml has {section}");
    }
    assert!(!Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs").exists());
    let lib = include_str!("../src/lib.rs");
    assert!(lib.contains("#![forbid(unsafe_code)]"));
}

/// The features add one module whose every method borrows the gateway shared, one that knows no gateway, a number that nobody in the
/// core asks for, and what it takes to copy a gateway; and nothing in the core can change behind a shared borrow. So actions are the same with and without it.
#[test]
fn the_feature_observe_only_reads() {
    let observe = include_str!("../src/gateway/observe.rs");
    assert!(observe.contains("&self") && !observe.contains("mut "), "gateway/observe.rs changes something");
    assert!(
        !include_str!("../src/gateway/digest.rs").contains("Gateway"),
        "gateway/digest.rs knows a gateway"
    );
    let mut sites = Vec::new();
    each_source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut |path, source| {
        for cell in ["Cell<", "Mutex<", "RwLock<", "Atomic", "static mut", "thread_local!"] {
            assert!(!source.contains(cell), "{} has {cell}", path.display());
        }
        assert!(!source.contains(".work()"), "{} asks what was counted", path.display());
        if path.ends_with("gateway/work.rs") {
            assert_eq!(
                (source.matches("pub fn ").count(), source.matches("pub fn work(&self) -> u64").count()),
                (1, 1)
            );
            return;
        }
        let lines: Vec<_> = source.lines().map(str::trim).collect();
        for (n, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("feature =")) {
            let strategies =
                *line == "#[cfg(feature = \"proptest\")]" && lines[n + 1] == "pub mod strategies;";
            // What is moved and never copied elsewhere: the core does not compile if it copies any of them by itself.
            if strategies || *line == "#[cfg_attr(feature = \"fork\", derive(Clone))]" {
                continue;
            }
            let is_known = matches!(*line, "#[cfg(feature = \"observe\")]" | "#[cfg(feature = \"fork\")]");
            assert!(is_known, "{} line {}: {line}", path.display(), n + 1);
            sites.push(lines[n + 1].to_owned());
        }
    });
    sites.sort();
    let known = [
        "impl Clone for Relay {",
        "impl Transform for Lost {",
        "mod digest;",
        "mod fork;",
        "mod observe;",
        "pub use observe::{Glance, Inspection, Wait, Whereabouts};",
        "pub(crate) fn iter(&self) -> impl Iterator<Item = (DeadlineKey, u8, Instant, T)> {",
        "pub(super) fn is_some(&self) -> bool {",
        "pub(super) fn most(&self) -> u32 {",
        "struct Lost;",
    ];
    assert_eq!(sites, known);
}

fn each_source(folder: &Path, show: &mut impl FnMut(&Path, &str)) {
    for entry in std::fs::read_dir(folder).expect("the sources can be read") {
        let path = entry.expect("the sources can be read").path();
        if path.is_dir() {
            each_source(&path, show);
        } else {
            show(&path, &std::fs::read_to_string(&path).expect("the sources can be read"));
        }
    }
}

/// What cargo prints, or nothing where it cannot be asked: a test binary may run where no toolchain is.
fn cargo(args: &[&str]) -> Option<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(args).args(["--offline", "--locked"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    match command.output() {
        Ok(output) if output.status.success() => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => panic!("cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            // Not captured by the test runner.
            let _ = writeln!(std::io::stderr(), "SKIPPED {args:?}: cargo cannot be run here: {error}");
            None
        }
    }
}
