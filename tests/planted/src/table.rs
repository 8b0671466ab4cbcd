//! The table of bugs, and how they get into the text of the core.

use std::collections::BTreeMap;

/// The table.
const TABLE: &str = include_str!("../bugs.txt");

/// One bug.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bug {
    /// Its name.
    pub name: String,
    /// What is wrong, in a sentence.
    pub what: String,
    /// Invariants of which one must tell.
    pub finds: Vec<String>,
    /// Within how many seeds.
    pub within: u64,
    /// It is looked for where peers speak HTTP/1.1.
    pub http1: bool,
    /// The small world whose exploration must find it, too, where one must.
    pub small: Option<String>,
    /// Why nobody finds it yet, where nobody does: it is not searched unless it is named.
    pub open: Option<String>,
    /// What is changed: the file, the lines, and the lines that stand there instead.
    pub changes: Vec<Change>,
}

/// A change of one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The file, from the folder of the project.
    pub file: String,
    /// Its lines, without their indentation.
    pub was: Vec<String>,
    /// What stands there instead.
    pub is: Vec<String>,
}

/// All bugs of the table, in its order. The number of a bug is its place, counted from 1.
///
/// # Panics
///
/// The table has a line that means nothing.
pub fn bugs() -> Vec<Bug> {
    parse(TABLE).unwrap_or_else(|error| panic!("bugs.txt: {error}"))
}

/// The bugs of a table.
pub fn parse(table: &str) -> Result<Vec<Bug>, String> {
    let mut bugs: Vec<Bug> = Vec::new();
    for (at, line) in table.lines().enumerate() {
        let wrong = |why: &str| format!("line {}: {why}: {line}", at + 1);
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        if word == "bug" {
            bugs.push(Bug { name: rest.to_owned(), ..Bug::default() });
            continue;
        }
        if word.is_empty() || word == "#" {
            continue;
        }
        let bug = bugs.last_mut().ok_or_else(|| wrong("no bug stands before it"))?;
        match word {
            "what" => rest.clone_into(&mut bug.what),
            "finds" => bug.finds = rest.split_whitespace().map(str::to_owned).collect(),
            "http1" => bug.http1 = true,
            "small" => bug.small = Some(rest.to_owned()),
            "open" => bug.open = Some(rest.to_owned()),
            "within" => bug.within = rest.parse().map_err(|_| wrong("no number"))?,
            "in" => bug.changes.push(Change { file: rest.to_owned(), ..Change::default() }),
            "-" | "+" => {
                let change = bug.changes.last_mut().ok_or_else(|| wrong("no file stands before it"))?;
                let lines = if word == "-" { &mut change.was } else { &mut change.is };
                lines.push(rest.to_owned());
            }
            _ => return Err(wrong("no such word")),
        }
    }
    Ok(bugs)
}

/// The texts of the files that bugs change, with all of them in. `read` gives the text of a file.
pub fn planted(
    bugs: &[Bug],
    read: impl Fn(&str) -> Result<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    let mut places: BTreeMap<String, Vec<(usize, usize, &Bug, String)>> = BTreeMap::new();
    for (at, bug) in bugs.iter().enumerate() {
        for change in &bug.changes {
            let text = read(&change.file)?;
            let first = find(&text, &change.was)
                .map_err(|times| format!("{}: its lines stand {times} times in {}", bug.name, change.file))?;
            let question = format!("crate::planted::is({})", at + 1);
            let is = change.is.join("\n").replace("PLANTED", &question);
            places.entry(change.file.clone()).or_default().push((first, change.was.len(), bug, is));
        }
    }
    let mut texts = BTreeMap::new();
    for (file, mut changes) in places {
        changes.sort_by_key(|&(first, ..)| first);
        for pair in changes.windows(2) {
            if pair[0].0 + pair[0].1 > pair[1].0 {
                return Err(format!(
                    "{} and {} change the same lines of {file}",
                    pair[0].2.name, pair[1].2.name
                ));
            }
        }
        let text = read(&file)?;
        let mut lines: Vec<&str> = text.lines().collect();
        for (first, count, _, is) in changes.iter().rev() {
            lines.splice(*first..first + count, [is.as_str()]);
        }
        texts.insert(file, lines.join("\n") + "\n");
    }
    Ok(texts)
}

/// The one place of these lines in a text, or how many there are.
fn find(text: &str, wanted: &[String]) -> Result<usize, usize> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    if wanted.is_empty() {
        return Err(0);
    }
    let is_here = |window: &[&str]| window.iter().zip(wanted).all(|(line, wanted)| line == wanted);
    let found = lines.windows(wanted.len()).enumerate().filter(|(_, window)| is_here(window));
    match found.map(|(at, _)| at).collect::<Vec<_>>().as_slice() {
        [at] => Ok(*at),
        many => Err(many.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(file: &str) -> Result<String, String> {
        let path = format!("{}/../../{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
    }

    #[test]
    fn every_bug_still_fits_the_core() {
        let bugs = bugs();
        let searched = bugs.iter().filter(|bug| bug.open.is_none()).count();
        assert!(searched >= 25, "{searched} bugs");
        let mut names: Vec<&str> = bugs.iter().map(|bug| bug.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), bugs.len(), "a name stands twice");
        for bug in &bugs {
            let whole = !bug.what.is_empty() && !bug.finds.is_empty() && bug.within > 0;
            assert!(whole && !bug.changes.is_empty(), "{bug:?}");
            assert!(bug.changes.iter().any(|change| change.is.concat().contains("PLANTED")), "{}", bug.name);
        }
        planted(&bugs, source).unwrap_or_else(|error| panic!("{error}"));
    }

    #[test]
    fn lines_that_are_gone_or_stand_twice_are_noticed() {
        let table = "bug b\nwhat it\nfinds L1\nwithin 1\nin f\n- a\n- b\n+ if PLANTED { c }\n";
        let bugs = parse(table).expect("a table");
        let with = |text: &'static str| planted(&bugs, |_| Ok(text.to_owned()));
        assert_eq!(with("x\n  a\n\tb\ny\n").expect("fits")["f"], "x\nif crate::planted::is(1) { c }\ny\n");
        assert!(with("a\nx\nb\n").unwrap_err().contains("0 times"));
        assert!(with("a\nb\na\nb\n").unwrap_err().contains("2 times"));
        assert!(parse("what\n").is_err() && parse("bug b\nhello\n").is_err());
    }

    #[test]
    fn two_bugs_in_the_same_lines_are_noticed() {
        let one = "bug b\nin f\n- a\n- b\n+ PLANTED\nbug c\nin f\n- b\n+ PLANTED\n";
        let bugs = parse(one).expect("a table");
        assert!(planted(&bugs, |_| Ok("a\nb\n".to_owned())).unwrap_err().contains("same lines"));
    }
}
