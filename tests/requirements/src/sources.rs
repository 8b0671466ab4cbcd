//! Where in the sources a requirement is named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::table::RFCS;

/// The folders whose sources are read, below the workspace.
const FOLDERS: [&str; 6] = ["core", "adapter-mio", "adapter-tokio", "src", "tests", "fuzz"];
/// The simulator's police: an id in a literal is one that it checks.
const POLICE: &str = "tests/sim/src/police/";
/// This crate speaks of ids without showing any.
const OWN: &str = "tests/requirements/";

/// Who names which requirement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Tests with a `req!`: id to `file::test`.
    pub tests: BTreeMap<String, BTreeSet<String>>,
    /// Checks of the police: id to `file::function`.
    pub police: BTreeMap<String, BTreeSet<String>>,
    /// Comments beside the code: id to `file`.
    pub beside: BTreeMap<String, BTreeSet<String>>,
}

impl Named {
    /// Reads all sources of the workspace.
    ///
    /// # Errors
    ///
    /// A folder or a source cannot be read.
    pub fn read() -> std::io::Result<Self> {
        let root = workspace();
        let mut named = Self::default();
        for folder in FOLDERS {
            for path in rust_files(&root.join(folder))? {
                let inside = path.strip_prefix(&root).unwrap_or(&path);
                let file = inside.to_string_lossy().replace('\\', "/");
                if !file.starts_with(OWN) {
                    named.add(&file, &fs::read_to_string(&path)?);
                }
            }
        }
        Ok(named)
    }

    /// Reads one source.
    pub fn add(&mut self, file: &str, source: &str) {
        let stem = file.strip_suffix(".rs").unwrap_or(file);
        let (mut function, mut inside_req) = (String::new(), false);
        for line in source.lines() {
            let (code, comment) = line.split_once("//").unwrap_or((line, ""));
            if let Some(name) = function_of(code) {
                function = name.to_owned();
            }
            let arguments = code.split_once("req!(").map(|(_, arguments)| arguments);
            inside_req |= arguments.is_some();
            for id in ids(code, '"') {
                let place = if function.is_empty() { stem.to_owned() } else { format!("{stem}::{function}") };
                if inside_req {
                    self.tests.entry(id.to_owned()).or_default().insert(place);
                } else if file.starts_with(POLICE) {
                    self.police.entry(id.to_owned()).or_default().insert(place);
                }
            }
            inside_req &= !arguments.unwrap_or(code).contains(')');
            for id in ids(comment, ' ') {
                self.beside.entry(id.to_owned()).or_default().insert(file.to_owned());
            }
        }
    }

    /// The places that show a requirement, tests first.
    pub fn places(&self, id: &str) -> Vec<String> {
        let both = [&self.tests, &self.police].into_iter().filter_map(|named| named.get(id));
        both.flatten().cloned().collect()
    }
}

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_path_buf()
}

fn rust_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop().filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The function that begins on this line.
fn function_of(code: &str) -> Option<&str> {
    let code = code.trim_start();
    let head = code.split_once("fn ").filter(|(before, _)| {
        before.split_whitespace().all(|word| word.starts_with("pub") || word == "const" || word == "async")
    });
    let name = head?.1;
    Some(&name[..name.find(|c: char| !c.is_alphanumeric() && c != '_')?])
}

/// What looks like the id of a requirement and stands between two `fences` (or at the edge of the text).
fn ids(text: &str, fence: char) -> impl Iterator<Item = &str> {
    let ends = move |c: char| c == fence || matches!(c, ',' | ':' | ';' | '.') && fence == ' ';
    text.split(fence).map(move |word| word.trim_end_matches(ends)).filter(|word| is_id(word))
}

/// An RFC that has a table, a section, two digits.
pub fn is_id(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    let [rfc, section, number] = parts[..] else { return false };
    let digits = |text: &str, len| text.len() == len && text.bytes().all(|octet| octet.is_ascii_digit());
    let in_section = |octet: u8| octet.is_ascii_digit() || octet == b'.' || octet.is_ascii_uppercase();
    RFCS.contains(&rfc) && !section.is_empty() && section.bytes().all(in_section) && digits(number, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_where_they_stand() {
        let mut named = Named::default();
        named.add(
            "core/tests/a.rs",
            "#[test]\nfn rule() {\n    req!(\"9113-6.3-01\", \"9113-A-01\");\n    let x = \"9113-6.3-09\";\n}\n\
             pub fn other() { req!(\n\"7541-2.1-01\",\n);\n}\n",
        );
        let place =
            |id| named.tests.get(id).map(|places| places.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(place("9113-6.3-01"), Some(vec!["core/tests/a::rule"]));
        assert_eq!(place("9113-A-01"), Some(vec!["core/tests/a::rule"]));
        assert_eq!(place("7541-2.1-01"), Some(vec!["core/tests/a::other"]));
        assert_eq!(place("9113-6.3-09"), None);
    }

    #[test]
    fn the_police_and_comments_have_lists_of_their_own() {
        let mut named = Named::default();
        named.add("tests/sim/src/police/out.rs", "    fn data(&mut self) { check(\"9113-6.9.1-01\") }\n");
        named.add("core/src/a.rs", "let x = 1; // 9113-6.9.1-02, 9113-6.9.1-03: why\n");
        assert_eq!(named.places("9113-6.9.1-01"), ["tests/sim/src/police/out::data"]);
        assert_eq!(named.beside.keys().collect::<Vec<_>>(), ["9113-6.9.1-02", "9113-6.9.1-03"]);
        assert!(named.tests.is_empty());
    }

    #[test]
    fn other_words_are_no_ids() {
        for word in ["9113", "9113-6.3", "9113-6.3-1", "913-6.3-01", "2026-11-25", "9113--01", "x9113-6.3-01"]
        {
            assert!(!is_id(word), "{word}");
        }
        assert!(is_id("9110-15.3.7.2-10"));
    }
}
