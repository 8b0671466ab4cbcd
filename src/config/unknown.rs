//! Keys that nobody reads: what may have been meant.

use crate::config::code::Code;
use crate::config::problem::Problem;
use crate::config::section::{Declared, Report, Unknown};
use crate::config::similar::similar;

/// What is said of each of them.
pub(super) fn problems(report: &Report) -> Vec<Problem> {
    if report.unknown.is_empty() {
        return Vec::new();
    }
    let all = super::reference::declared();
    let problem = |unknown: &Unknown| {
        let Unknown { name, at, section } = unknown;
        let own = &report.declared[*section];
        let title = match own.header.as_str() {
            "" => format!("unknown key or section `{name}`"),
            header => format!("unknown key `{name}` in {header}"),
        };
        Problem::new(Code::UnknownKey, title, at.clone()).help(help(name, own, &all))
    };
    report.unknown.iter().map(problem).collect()
}

fn help(name: &str, own: &Declared, all: &[Declared]) -> String {
    let has = |section: &&Declared| section.keys.iter().any(|key| key.name == name);
    match all.iter().find(has) {
        Some(home) if home.header.is_empty() => {
            return format!("`{name}` stands before the first section: move it to the top of the file");
        }
        Some(home) => return format!("it is a key of {}", home.header),
        None => {}
    }
    let groups = all.iter().filter_map(|section| group_of(&section.header, &own.header));
    let mut keys: Vec<_> = own.keys.iter().map(|key| key.name).chain(groups).collect();
    keys.dedup();
    if let Some(meant) = similar(name, keys.iter().copied()) {
        return format!("did you mean `{meant}`?");
    }
    let keys: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
    match keys.split_last() {
        Some((last, [])) => format!("there is only {last}"),
        Some((last, rest)) => format!("there are {} and {last}", rest.join(", ")),
        None => "there are no keys here".to_owned(),
    }
}

/// The name by which a section stands in another one, where it does.
fn group_of<'a>(header: &'a str, parent: &str) -> Option<&'a str> {
    let path = header.trim_matches(['[', ']']);
    // The names of upstreams differ from file to file; what stands in them does not.
    let depth = |path: &str| path.split('.').filter(|part| !part.is_empty()).count();
    let parent = parent.trim_matches(['[', ']']);
    let root = |path: &str| path.split('.').next().unwrap_or_default().to_owned();
    match depth(parent) {
        0 => (!path.is_empty()).then(|| path.split('.').next().unwrap_or(path)),
        of_parent => {
            let inside = root(path) == root(parent) && depth(path) == of_parent + 1;
            path.rsplit('.').next().filter(|_| inside)
        }
    }
}
