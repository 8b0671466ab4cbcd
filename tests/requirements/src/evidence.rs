//! What a test leaves behind when it has run to its end.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

/// Requirements that a test is showing. Writes them down where it is dropped without a panic; made by
/// [`req!`](crate::req).
#[derive(Debug)]
#[must_use = "evidence that is dropped at once shows nothing"]
pub struct Evidence {
    ids: &'static [&'static str],
    file: &'static str,
    path: &'static str,
}

impl Evidence {
    /// Evidence for these ids. `path` is that of a function inside the test.
    pub const fn of(ids: &'static [&'static str], file: &'static str, path: &'static str) -> Self {
        Self { ids, file, path }
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let test = test_name(self.path);
            for id in self.ids {
                append(&format!("{id}\t{}\t{test}\n", self.file.replace('\\', "/")));
            }
        }
    }
}

/// Writes down that a check of this requirement was evaluated `times`, and never failed.
pub fn counted(id: &str, times: u64) {
    append(&format!("{id}\tpolice\t{times}\n"));
}

/// `tests::rule::{{closure}}::here` is `rule`.
fn test_name(path: &str) -> &str {
    let names = path.split("::").filter(|name| !name.starts_with("{{"));
    let mut names = names.collect::<Vec<_>>();
    names.pop();
    names.pop().unwrap_or(path)
}

/// One line, once a process, in one write: test binaries may run side by side.
fn append(line: &str) {
    static WRITTEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let Some(log) = std::env::var_os("REQ_LOG") else { return };
    let Ok(mut written) = WRITTEN.lock() else { return };
    if !written.insert(line.to_owned()) {
        return;
    }
    let file = OpenOptions::new().append(true).create(true).open(Path::new(&log));
    if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
        // The test itself is no worse for it; the check misses the line.
        eprintln!("REQ_LOG {}: {error}", Path::new(&log).display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_test_is_the_function_around() {
        assert_eq!(test_name("core::frame::tests::rule::here"), "rule");
        assert_eq!(test_name("credit::rule::{{closure}}::{{closure}}::here"), "rule");
        assert_eq!(test_name("main::here"), "main");
    }
}
