//! The floors of the core: each file uses its own floor and those below, never one above.
//!
//! ARCHITECTURE.md tells what stands on them. A new file gets its line in [`FLOORS`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What stands on which floor, by path below `src` without `.rs`. A folder takes its files along, unless they have a
/// line of their own.
const FLOORS: &[(&str, &[&str])] = &[
    ("0 words", &["address", "config", "error", "random", "time", "tls"]),
    ("1 storage", &["deadline", "key", "ledger", "list", "outbox", "parcel", "window"]),
    (
        "2 codecs",
        &[
            "fields",
            "frame",
            "h1/content",
            "h1/framing",
            "h1/head",
            "h1/scan",
            "h1/survey",
            "h1/target",
            "h1/upgrade",
            "h1/write",
            "hpack",
            "message",
            "priority",
            "strategies",
        ],
    ),
    (
        "3 stream",
        &[
            "h2/budget",
            "h2/event",
            "h2/schedule",
            "h2/settings",
            "h2/state",
            "h2/streams",
            "h2/traffic",
            "h2/unsent",
        ],
    ),
    (
        "4 connection",
        &[
            "h1/again",
            "h1/client",
            "h1/connection",
            "h1/ends",
            "h1/exchange",
            "h1/mod",
            "h1/recv",
            "h1/send",
            "h1/server",
            "h2/charge",
            "h2/client",
            "h2/connection",
            "h2/cut",
            "h2/dormant",
            "h2/endpoint",
            "h2/mod",
            "h2/priorities",
            "h2/recv",
            "h2/recv_fields",
            "h2/send",
            "h2/server",
            "session",
        ],
    ),
    ("5 request", &["counters", "hooks", "record", "request", "routes"]),
    ("6 engine", &["engine", "registry"]),
    ("7 gateway", &["gateway"]),
];

/// Longer files have more than one idea.
const LINES_MAX: usize = 500;

#[test]
fn every_file_uses_lower_floors_only() {
    let sources = sources();
    let mut wrong = Vec::new();
    for (module, source) in &sources {
        let Some(own) = floor_of(module) else {
            if module != "lib" {
                wrong.push(format!("src/{module}.rs stands on no floor: give it a line in FLOORS"));
            }
            continue;
        };
        for (line, path) in paths(source) {
            let Some(target) = resolve(module, &path, &sources) else {
                wrong.push(format!("src/{module}.rs:{line}: {} names no file", path.join("::")));
                continue;
            };
            let Some(floor) = floor_of(&target) else { continue };
            if floor > own {
                let (above, here) = (FLOORS[floor].0, FLOORS[own].0);
                let path = path.join("::");
                wrong.push(format!(
                    "src/{module}.rs:{line}: {path} goes up: {target} is on floor {above}, this file on {here}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_line_of_the_table_names_a_file() {
    let sources = sources();
    for entry in FLOORS.iter().flat_map(|(_, entries)| entries.iter()) {
        let folder = format!("{entry}/");
        assert!(
            sources.keys().any(|module| module == entry || module.starts_with(&folder)),
            "{entry} is in FLOORS and nowhere else"
        );
    }
}

#[test]
fn no_file_is_longer_than_500_lines() {
    for (module, source) in sources() {
        let lines = source.lines().count();
        assert!(lines <= LINES_MAX, "src/{module}.rs has {lines} lines");
    }
}

#[test]
fn lib_rs_lists_modules_under_their_floor() {
    let mut floor = None;
    for (number, line) in (1..).zip(sources()["lib"].lines()) {
        if let Some(heading) = line.strip_prefix("// Floor") {
            let digits = heading.chars().filter(char::is_ascii_digit);
            floor = Some(digits.map(|digit| digit as usize - '0' as usize).collect::<Vec<_>>());
        }
        let Some(module) = line
            .strip_prefix("pub ")
            .unwrap_or(line)
            .strip_prefix("mod ")
            .and_then(|line| line.strip_suffix(';'))
        else {
            continue;
        };
        let own = floor_of(module).or_else(|| floor_of(&format!("{module}/mod")));
        let (own, listed) =
            (own.expect("every module has a floor"), floor.as_ref().expect("a floor's comment"));
        assert!(listed.contains(&own), "src/lib.rs:{number}: {module} is on floor {}", FLOORS[own].0);
    }
}

/// What the test itself relies on.
#[test]
fn paths_are_found_wherever_they_hide() {
    let found = |source: &str| -> Vec<String> {
        paths(source).into_iter().map(|(line, path)| format!("{line} {}", path.join("::"))).collect()
    };
    assert_eq!(found("use crate::key::{ConnId,\n Key};\n"), ["1 crate::key::ConnId", "2 crate::key::Key"]);
    assert_eq!(
        found("use crate::{h2::{Role, state::State}, list::*};"),
        ["1 crate::h2::Role", "1 crate::h2::state::State", "1 crate::list::*"]
    );
    assert_eq!(
        found("fn f() -> crate::time::Instant { super::g() }"),
        ["1 crate::time::Instant", "1 super::g"]
    );
    assert_eq!(
        found("/// [`a`](crate::gateway)\n// crate::gateway\nx /* crate::a */ (\"crate::b\", 'c')"),
        [""; 0]
    );
    assert_eq!(
        found("use crate::a;\n#[cfg(test)]\nmod tests {\n    use crate::gateway::G;\n}\n"),
        ["1 crate::a"]
    );
    assert_eq!(found("#[cfg(test)]\nmod tests;\nfn f(a: crate::b::C<'_>) {}"), ["3 crate::b::C"]);
    assert_eq!(found("use crate::{a::B as C, d as e};"), ["1 crate::a::B", "1 crate::d"]);
    assert_eq!(found("macro_rules! m { () => { $crate::b::C } }"), ["1 crate::b::C"]);
}

/// The sources outside of tests, by path below `src` without `.rs`.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = module_name(&root, &path);
                if !module.split('/').any(|part| part == "tests") {
                    sources.insert(module, fs::read_to_string(&path).expect("a source is text"));
                }
            }
        }
    }
    assert!(sources.contains_key("lib"), "no sources in {}", root.display());
    sources
}

fn module_name(root: &Path, path: &Path) -> String {
    let below: PathBuf = path.strip_prefix(root).expect("it was found there").with_extension("");
    below.iter().map(|part| part.to_str().expect("names are ASCII")).collect::<Vec<_>>().join("/")
}

/// The index in [`FLOORS`] of the longest entry that covers the file.
fn floor_of(module: &str) -> Option<usize> {
    let covers =
        |entry: &str| module == entry || module.strip_prefix(entry).is_some_and(|rest| rest.starts_with('/'));
    let entries =
        (0..).zip(FLOORS).flat_map(|(floor, (_, entries))| entries.iter().map(move |entry| (floor, entry)));
    entries.filter(|(_, entry)| covers(entry)).max_by_key(|(_, entry)| entry.len()).map(|(floor, _)| floor)
}

/// The file that a path leads to: the longest part of the path that is one.
fn resolve(module: &str, path: &[String], sources: &BTreeMap<String, String>) -> Option<String> {
    let mut at: Vec<&str> = module.split('/').collect();
    if at.last() == Some(&"mod") {
        at.pop();
    }
    for step in path {
        match step.as_str() {
            "crate" => at.clear(),
            "super" => _ = at.pop(),
            "self" => {}
            name => at.push(name),
        }
    }
    while !at.is_empty() {
        let file = at.join("/");
        let folder = format!("{file}/mod");
        if let Some(found) = [file, folder].into_iter().find(|file| sources.contains_key(file)) {
            return Some(found);
        }
        at.pop();
    }
    // What stands in the root itself.
    (path.len() <= 2).then(|| "lib".to_owned())
}

/// Every path that starts with `crate` or `super`, outside of comments, strings and tests, with its line.
fn paths(source: &str) -> Vec<(usize, Vec<String>)> {
    let words = without_tests(words(source));
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let starts =
            matches!(words[at].1.as_str(), "crate" | "super") && (at == 0 || words[at - 1].1 != "::");
        if starts && words.get(at + 1).is_some_and(|(_, next)| next == "::") {
            at = path(&words, at, &mut Vec::new(), &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Follows one path, into braces too. Returns where it ends.
fn path(
    words: &[(usize, String)],
    mut at: usize,
    prefix: &mut Vec<String>,
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let depth = prefix.len();
    loop {
        let (line, word) = &words[at];
        prefix.push(word.clone());
        at += 1;
        let separated = words.get(at).is_some_and(|(_, next)| next == "::");
        match words.get(at + 1).map(|(_, next)| next.as_str()) {
            Some("{") if separated => {
                at += 2;
                while at < words.len() && words[at].1 != "}" {
                    at = if words[at].1 == "," { at + 1 } else { path(words, at, prefix, found) };
                }
                at += 1;
                break;
            }
            Some(next)
                if separated && next.starts_with(|c: char| c == '*' || c == '_' || c.is_alphabetic()) =>
            {
                at += 1
            }
            _ => {
                found.push((*line, prefix.clone()));
                let renamed = words.get(at).is_some_and(|(_, next)| next == "as");
                at += if renamed { 2 } else { 0 };
                break;
            }
        }
    }
    prefix.truncate(depth);
    at
}

/// Drops each item that bears `#[cfg(test)]`.
fn without_tests(words: Vec<(usize, String)>) -> Vec<(usize, String)> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let marked = words[at..].len() >= MARK.len() && (0..MARK.len()).all(|n| words[at + n].1 == MARK[n]);
        if !marked {
            kept.push(words[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0;
        while at < words.len() {
            match words[at].1.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            let over = depth == 0 && matches!(words[at].1.as_str(), "}" | ";");
            at += 1;
            if over {
                break;
            }
        }
    }
    kept
}

/// Rust's words as far as this test needs them: names, `::`, single characters; no comments, no literals of text.
fn words(source: &str) -> Vec<(usize, String)> {
    let octets = source.as_bytes();
    let (mut words, mut at, mut line) = (Vec::new(), 0, 1);
    while at < octets.len() {
        let start = at;
        at = match &octets[at..] {
            [b'/', b'/', ..] => end_of(octets, at, b"\n"),
            [b'/', b'*', ..] => end_of(octets, at, b"*/"),
            [b'r', b'#' | b'"', ..] if raw_string(octets, at).is_some() => {
                raw_string(octets, at).unwrap_or(at + 1)
            }
            [b'"', ..] => quoted(octets, at),
            [b'\'', b'\\', ..] => quoted(octets, at),
            [b'\'', _, b'\'', ..] => at + 3,
            [b':', b':', ..] => at + 2,
            [b'a'..=b'z' | b'A'..=b'Z' | b'_', ..] => {
                let is_name = |&octet: &u8| octet.is_ascii_alphanumeric() || octet == b'_';
                octets[at..].iter().position(|octet| !is_name(octet)).map_or(octets.len(), |n| at + n)
            }
            _ => at + 1,
        };
        let word = &octets[start..at];
        if !word.starts_with(b"//")
            && !word.starts_with(b"/*")
            && !matches!(word[0], b'"' | b'\'' | b' ' | b'\n')
        {
            words.push((line, String::from_utf8_lossy(word).into_owned()));
        }
        line += word.iter().filter(|&&octet| octet == b'\n').count();
    }
    words
}

fn end_of(octets: &[u8], from: usize, end: &[u8]) -> usize {
    let found = octets[from..].windows(end.len()).position(|window| window == end);
    found.map_or(octets.len(), |n| from + n + end.len())
}

/// The end of a literal whose closing quote is its opening one.
fn quoted(octets: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < octets.len() && octets[at] != octets[from] {
        at += if octets[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_string(octets: &[u8], from: usize) -> Option<usize> {
    let hashes = octets[from + 1..].iter().take_while(|&&octet| octet == b'#').count();
    if octets.get(from + 1 + hashes) != Some(&b'"') {
        return None;
    }
    let end = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    Some(end_of(octets, from + 2 + hashes, &end))
}
