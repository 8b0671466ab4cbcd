//! The copy of the core and the simulator that the bugs are planted in: a workspace of its own below `target`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::table::{Bug, planted};

/// Whether a bug is switched on, in the copy of the core.
const SWITCH: &str = "//! Which planted bug this thread has.

use std::cell::Cell;

thread_local! {
    static BUG: Cell<usize> = const { Cell::new(0) };
}

/// From now on this thread has the bug with this number; 0: none.
pub fn set(bug: usize) {
    BUG.with(|of| of.set(bug));
}

/// Whether this thread has the bug.
#[inline]
pub fn is(bug: usize) -> bool {
    BUG.with(|of| of.get() == bug)
}
";

/// The core's first file, which names the others.
const LIB: &str = "core/src/lib.rs";

/// The program of the copy.
const PROGRAM: &str = include_str!("../world/src/main.rs");

const MANIFEST: &str = "[package]
name = \"planted-world\"
version = \"0.1.0\"
edition = \"2024\"

[dependencies]
shuntyard-core.workspace = true
shuntyard-sim.workspace = true

[workspace]
members = [\"core\", \"sim\"]
";

/// What else the manifest of the copy says.
const PROFILE: &str = "
[profile.dev]
opt-level = 2
debug = false
debug-assertions = true
overflow-checks = true
incremental = true
";

/// The folder of the project.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where the copy stands.
pub fn place() -> PathBuf {
    project().join("target/planted")
}

/// Makes the copy, or brings it up to date: what is the same is not touched, so that little is built again.
pub fn make(bugs: &[Bug]) -> Result<PathBuf, String> {
    let (from, to) = (project(), place());
    let source = |file: &str| read(&from.join(file));
    let mut texts = planted(bugs, source)?;
    let lib = texts.remove(LIB).map_or_else(|| source(LIB), Ok)?;
    texts.insert(LIB.to_owned(), lib + "\npub mod planted;\n");
    for (folder, name) in [("core", "core"), ("tests/sim", "sim")] {
        for file in sources(&from, &format!("{folder}/src"))? {
            let text = texts.get(&file).cloned().map_or_else(|| source(&file), Ok)?;
            write(&to.join(name).join(&file[folder.len() + 1..]), &text)?;
        }
        write(&to.join(name).join("Cargo.toml"), &manifest_of(&source(&format!("{folder}/Cargo.toml"))?))?;
    }
    write(&to.join("core/src/planted.rs"), SWITCH)?;
    write(&to.join("src/main.rs"), PROGRAM)?;
    write(&to.join("Cargo.toml"), &workspace_of(&source("Cargo.toml")?))?;
    write(&to.join("Cargo.lock"), &source("Cargo.lock")?)?;
    Ok(to)
}

/// The workspace's shared words, without what the copy has not.
fn workspace_of(manifest: &str) -> String {
    let mut kept = String::from(MANIFEST);
    for section in ["workspace.package", "workspace.lints.rust", "workspace.lints.clippy"] {
        kept.push_str(&section_of(manifest, section));
    }
    let dependencies = section_of(manifest, "workspace.dependencies");
    let here = |line: &&str| !line.contains("path = ");
    dependencies.lines().filter(here).for_each(|line| kept = format!("{kept}{line}\n"));
    kept.push_str("shuntyard-core = { path = \"core\" }\nshuntyard-sim = { path = \"sim\" }\n");
    kept + PROFILE
}

/// A section of a manifest with its head.
fn section_of(manifest: &str, name: &str) -> String {
    let head = format!("[{name}]");
    let mut inside = false;
    let mut lines = String::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.trim() == head;
        }
        if inside {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    lines
}

/// A member's manifest without what only its tests need.
fn manifest_of(manifest: &str) -> String {
    let tests = section_of(manifest, "dev-dependencies");
    manifest.replace(&tests, "")
}

/// The files of a folder and of those in it, from the folder of the project.
fn sources(project: &Path, folder: &str) -> Result<Vec<String>, String> {
    let failed = |error| format!("{folder}: {error}");
    let mut files = Vec::new();
    for entry in fs::read_dir(project.join(folder)).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            files.extend(sources(project, &name)?);
        } else {
            files.push(name);
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes what is not there yet.
fn write(path: &Path, text: &str) -> Result<(), String> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let failed = |error| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)
}
