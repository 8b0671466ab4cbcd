//! The reference: a file with every key at its default, written from what the sections declare.

use crate::config::Flags;
use crate::config::section::{Declared, Report, Standing};

/// The least that works. The reference is what is declared while it is read.
pub(super) const LEAST: &str = "\
[[listen]]
address = \":8080\"
[[route]]
upstream = \"app\"
[upstream.app]
endpoints = [\"127.0.0.1:9000\"]
";

const PREAMBLE: &str = "\
# Every key of shuntyard's configuration, with its unit, its range and its default. Keys that have no default are shown
# as comments. This text is itself a configuration.
";

/// Every section with its keys.
pub(super) fn declared() -> Vec<Declared> {
    let mut report = Report::default();
    // It is correct, which a test holds; its values are not wanted.
    let _ = super::read(LEAST, &Flags::default(), &mut report);
    report.declared
}

/// The reference, as TOML.
pub(crate) fn reference() -> String {
    let mut text = PREAMBLE.to_owned();
    declared().iter().for_each(|section| write(section, &mut text));
    text
}

fn write(section: &Declared, text: &mut String) {
    text.push_str(&format!("\n# {}\n", section.what));
    let hidden = if section.optional { "# " } else { "" };
    if !section.header.is_empty() {
        text.push_str(hidden);
        text.push_str(&section.header);
        text.push('\n');
    }
    for key in &section.keys {
        let (line, standing) = match &key.standing {
            Standing::Default(value) => (format!("{hidden}{} = {value}", key.name), ""),
            Standing::Required(example) => (format!("{hidden}{} = {example}", key.name), "; must be there"),
            Standing::Absent(example) => (format!("# {} = {example}", key.name), ""),
        };
        text.push_str(&format!("# {} ({}{standing})\n{line}\n", key.what, key.kind));
    }
    for (name, feature) in &section.later {
        text.push_str(&format!("# not yet: {name} ({feature})\n"));
    }
}
