//! Header rules of a route, as they are written: `remove`, then `set`, then `add`.

use std::sync::Arc;

use shuntyard_core::config::HeaderRule;
use toml::Spanned;
use toml::de::DeValue;

use crate::config::code::Code;
use crate::config::kind::{Kind, List, wrong_type};
use crate::config::problem::{Problem, Span};
use crate::config::section::Section;

/// Reads the rules of one direction.
pub(super) fn rules(section: &mut Section<'_, '_>) -> Vec<HeaderRule> {
    let names = List { of: FieldName, min: 0, max: 256 };
    let mut removed = Vec::new();
    section.take("remove", "fields that are taken out", &names, &mut removed);
    let (mut set, mut added) = (Lines::default(), Lines::default());
    let what = "fields that get this value and no other; behind `remove`";
    section.take("set", what, &FieldLines { one_value: true }, &mut set);
    let what = "lines that are added, a value or a list of them for each field; behind `set`";
    section.take("add", what, &FieldLines { one_value: false }, &mut added);
    let remove = removed.into_iter().map(|name| HeaderRule::Remove { name });
    let set = set.0.into_iter().map(|(name, value)| HeaderRule::Set { name, value });
    let add = added.0.into_iter().map(|(name, value)| HeaderRule::Add { name, value });
    remove.chain(set).chain(add).collect()
}

/// The name of a field.
struct FieldName;

/// Fields with their values.
struct FieldLines {
    one_value: bool,
}

/// Names and values of fields, a line each.
#[derive(Default)]
struct Lines(Vec<(Arc<str>, Arc<str>)>);

impl Kind for FieldName {
    type Value = Arc<str>;

    fn describe(&self) -> String {
        "names of fields".to_owned()
    }

    fn write(&self, name: &Arc<str>) -> String {
        format!("{name:?}")
    }

    fn read(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Arc<str>, Vec<Problem>> {
        let Some(text) = value.get_ref().as_str() else {
            return wrong_type(key, value, "the name of a field in quotes", None);
        };
        let name: Arc<str> = text.to_ascii_lowercase().into();
        allowed(HeaderRule::Remove { name: Arc::clone(&name) }, value.span())?;
        Ok(name)
    }
}

impl Kind for FieldLines {
    type Value = Lines;

    fn describe(&self) -> String {
        if self.one_value { "names and values" } else { "names and values, or lists of values" }.to_owned()
    }

    fn write(&self, lines: &Lines) -> String {
        let line = |(name, value): &(Arc<str>, Arc<str>)| format!("{name:?} = {value:?}");
        let lines: Vec<_> = lines.0.iter().map(line).collect();
        if lines.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", lines.join(", ")) }
    }

    fn read(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Lines, Vec<Problem>> {
        let Some(fields) = value.get_ref().as_table() else {
            let help = "as in { x-forwarded-proto = \"https\" }".to_owned();
            return wrong_type(key, value, "a group of names and values", Some(help));
        };
        let (mut lines, mut problems) = (Lines::default(), Vec::new());
        for (name, value) in fields.iter() {
            let values = match value.get_ref().as_array() {
                Some(values) if !self.one_value => &values[..],
                Some(_) | None => std::slice::from_ref(value),
            };
            for value in values {
                match line(name, value) {
                    Ok(line) => lines.0.push(line),
                    Err(problem) => problems.extend(problem),
                }
            }
        }
        if problems.is_empty() { Ok(lines) } else { Err(problems) }
    }
}

fn line(
    name: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
) -> Result<(Arc<str>, Arc<str>), Vec<Problem>> {
    let Some(text) = value.get_ref().as_str() else {
        return wrong_type(name.get_ref(), value, "a text", None);
    };
    let line: (Arc<str>, Arc<str>) = (name.get_ref().to_ascii_lowercase().into(), text.into());
    allowed(HeaderRule::Remove { name: Arc::clone(&line.0) }, name.span())?;
    let rule = HeaderRule::Set { name: Arc::clone(&line.0), value: Arc::clone(&line.1) };
    allowed(rule, value.span())?;
    Ok(line)
}

/// The core says which names and values there may be.
fn allowed(rule: HeaderRule, at: Span) -> Result<(), Vec<Problem>> {
    rule.validate().map_err(|error| {
        let label = if rule.value().is_some() { "this value" } else { "this name" };
        vec![Problem::new(Code::BadField, error.to_string(), at).label(label)]
    })
}
