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
    // Of an upstream of the file, where there is one: its name is what stands in headers.
    let places = report.declared.iter().map(|section| Place::of(&section.header, &all));
    let upstream = places.filter_map(|place| place.upstream).next().unwrap_or_else(|| EXAMPLE.to_owned());
    let problem = |unknown: &Unknown| {
        let Unknown { name, at, section } = unknown;
        let own = &report.declared[*section];
        let title = match own.header.as_str() {
            "" => format!("unknown key or section `{name}`"),
            header => format!("unknown key `{name}` in {header}"),
        };
        let place = Place::of(&own.header, &all);
        let help = Help { name, own, upstream: place.upstream.as_ref().unwrap_or(&upstream), all: &all };
        Problem::new(Code::UnknownKey, title, at.clone()).help(help.text(&place.path))
    };
    report.unknown.iter().map(problem).collect()
}

/// The name of the upstream of the reference, which all sections are declared of.
const EXAMPLE: &str = "app";

/// Keys under the names that other programs have for them: the section as the reference has it, or none for all, the name, where
/// the key stands.
const ALIASES: [(Option<&str>, &str, &str, &str); 4] = [
    (Some("upstream.app"), "max_connections", "upstream.app.connections", "max"),
    (Some("upstream.app"), "min_connections", "upstream.app.connections", "min"),
    (None, "drain_timeout", "drain", "timeout"),
    (None, "queue_timeout", "upstream.app.queue", "timeout"),
];

/// Where a section stands.
struct Place {
    /// Its path as the reference has it.
    path: String,
    /// The name of its upstream as the file has it, in quotes where it needs them.
    upstream: Option<String>,
}

impl Place {
    fn of(header: &str, all: &[Declared]) -> Self {
        let path = bare(header);
        let named = path.strip_prefix("upstream.").and_then(|rest| {
            // A name in quotes may have dots of its own, so what stands behind it is looked for from the end.
            let groups = all.iter().filter_map(|section| bare(&section.header).strip_prefix("upstream.app"));
            let name = |group| rest.strip_suffix(group).filter(|name| !name.is_empty());
            groups.filter_map(|group| Some((name(group)?, group))).min_by_key(|(name, _)| name.len())
        });
        match named {
            Some((name, group)) => {
                Self { path: format!("upstream.{EXAMPLE}{group}"), upstream: Some(name.to_owned()) }
            }
            None => Self { path: path.to_owned(), upstream: None },
        }
    }
}

/// A header without its brackets.
fn bare(header: &str) -> &str {
    header.trim_matches(['[', ']'])
}

/// What helps whoever wrote a key.
struct Help<'a> {
    name: &'a str,
    own: &'a Declared,
    /// The upstream that is meant where one is.
    upstream: &'a str,
    all: &'a [Declared],
}

impl Help<'_> {
    /// The section's path is that of the reference.
    fn text(&self, path: &str) -> String {
        let alias = ALIASES
            .iter()
            .find(|(section, name, ..)| *name == self.name && section.is_none_or(|section| section == path));
        if let Some((_, _, section, key)) = alias {
            return format!("it is `{key}` of {}", self.written(&format!("[{section}]")));
        }
        let has = |section: &&Declared| section.keys.iter().any(|key| key.name == self.name);
        let groups = || self.all.iter().filter(|section| group_of(&section.header, path).is_some());
        if let Some(homes) = self.homes(groups().filter(has)) {
            return homes;
        }
        let groups = groups().filter_map(|section| group_of(&section.header, path));
        let mut keys: Vec<_> = self.own.keys.iter().map(|key| key.name).chain(groups).collect();
        keys.dedup();
        if let Some(meant) = similar(self.name, keys.iter().copied()) {
            return format!("did you mean `{meant}`?");
        }
        let mut others = self.all.iter().filter(has);
        match (others.next(), others.next()) {
            (Some(home), _) if home.header.is_empty() => {
                return format!(
                    "`{}` stands before the first section: move it to the top of the file",
                    self.name
                );
            }
            (Some(home), None) => return format!("it is a key of {}", self.written(&home.header)),
            _ => {}
        }
        let keys: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
        match keys.split_last() {
            Some((last, [])) => format!("there is only {last}"),
            Some((last, rest)) => format!("there are {} and {last}", rest.join(", ")),
            None => "there are no keys here".to_owned(),
        }
    }

    /// That these sections have the key.
    fn homes<'b>(&self, sections: impl Iterator<Item = &'b Declared>) -> Option<String> {
        let headers: Vec<_> = sections.map(|section| self.written(&section.header)).collect();
        let (last, rest) = headers.split_last()?;
        let others = if rest.is_empty() { String::new() } else { format!("{} and of ", rest.join(", of ")) };
        Some(format!("it is a key of {others}{last}"))
    }

    /// A header of the reference as the file would have it.
    fn written(&self, header: &str) -> String {
        let behind = header.strip_prefix("[upstream.").and_then(|rest| rest.strip_prefix(EXAMPLE));
        behind.map_or_else(|| header.to_owned(), |behind| format!("[upstream.{}{behind}", self.upstream))
    }
}

/// The name by which a section stands in the one of this path, where it does.
fn group_of<'a>(header: &'a str, parent: &str) -> Option<&'a str> {
    let path = bare(header);
    if parent.is_empty() {
        return (!path.is_empty()).then(|| path.split('.').next().unwrap_or(path));
    }
    path.strip_prefix(parent)?.strip_prefix('.').filter(|name| !name.contains('.'))
}
