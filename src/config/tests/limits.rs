use crate::config::reference::declared;
use crate::config::section::Standing;

/// A limit without a reason is one that nobody dares to change.
#[test]
fn every_limit_and_every_timeout_says_what_it_stops() {
    for section in declared() {
        let is_limits = section.header == "[limits]";
        let watched = section.keys.iter().filter(|key| is_limits || key.name.ends_with("timeout"));
        for key in watched {
            let stops = key.what.split_once("; stops ").map(|(_, stops)| stops);
            assert!(stops.is_some_and(|stops| !stops.contains(';')), "{}: {}", key.name, key.what);
        }
    }
}

#[test]
fn the_table_in_security_md_is_that_of_the_reference() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/SECURITY.md")).unwrap();
    let sections = declared();
    let limits = sections.iter().find(|section| section.header == "[limits]").unwrap();
    let row = |key: &crate::config::section::DeclaredKey| {
        let Standing::Default(default) = &key.standing else { panic!("{} has no default", key.name) };
        let (_, stops) = key.what.split_once("; stops ").unwrap_or_default();
        format!("| `{}` | {} | {} | {stops} |", key.name, default.trim_matches('"'), key.kind)
    };
    let wanted: Vec<String> = limits.keys.iter().map(row).collect();
    let head = "| key | default | unit, range | stops |";
    let found: Vec<&str> = text
        .lines()
        .skip_while(|line| *line != head)
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert!(found == wanted, "SECURITY.md must have:\n{}\n", wanted.join("\n"));
}
