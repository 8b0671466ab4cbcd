//! httpwg, a conformance suite for RFC 9113, against the program.

use std::collections::BTreeSet;

use crate::nghttpd::{Folder, Nghttpd};
use crate::process::{Program, run};
use crate::runner::Peers;

/// Each failure that is expected, in backquotes behind a dash, with its reason.
const NOTES: &str = include_str!("httpwg.md");
/// Of 107.
const PASSED_MIN: usize = 103;

pub(crate) fn conformance(peers: &Peers) {
    let folder = Folder::new();
    folder.write("index.html", "A page that is long enough for its content to be cut in several frames.\n");
    let backend = Nghttpd::start(peers, &folder, &[]);
    let program = Program::start(&backend.backend().each_ref().map(|argument| argument.as_str()));
    let address = format!("127.0.0.1:{}", program.port());
    let mut command = peers.command("httpwg");
    // One after the other, and patient: a machine that is busy is no violation.
    command.env("SEQUENTIAL", "1").args(["-v", "--frame-timeout", "1000", "--connect-timeout", "5000"]);
    let output = run(command.args(["--address", &address]));
    let report = String::from_utf8_lossy(&output.stderr);
    // What is indented are backtraces of httpwg itself.
    let report: String = report.split_inclusive('\n').filter(|line| !line.starts_with(' ')).collect();
    let begun = names(&report, "Running test: ");
    let passed = names(&report, "Test passed: ");
    assert!(begun.len() >= 107, "{report}");
    let failed: BTreeSet<_> = begun.difference(&passed).copied().collect();
    let expected: BTreeSet<_> = NOTES.lines().filter_map(expected_failure).collect();
    println!("  httpwg: {} of {} passed; failed: {failed:?}", passed.len(), begun.len());
    let unexpected: Vec<_> = failed.difference(&expected).collect();
    assert!(unexpected.is_empty(), "not in tests/peers/httpwg.md: {unexpected:?}\n{report}");
    assert!(passed.len() >= PASSED_MIN, "{report}");
    program.end();
}

fn names<'a>(report: &'a str, mark: &str) -> BTreeSet<&'a str> {
    report.lines().filter_map(|line| Some(line.split_once(mark)?.1.trim_end())).collect()
}

fn expected_failure(line: &str) -> Option<&str> {
    line.strip_prefix("- `")?.split_once('`').map(|(name, _)| name)
}
