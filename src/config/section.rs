//! A section of the file while it is read. Whoever reads a key declares it by that: its meaning, its kind, its default.
//! So the keys that are known, the reference that is printed and what is done with a value stand in one place.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::code::Code;
use crate::config::kind::Kind;
use crate::config::problem::{Problem, Span};

/// What reading a file brings to light beside its values.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) problems: Vec<Problem>,
    /// The sections in the order in which they were read.
    pub(super) declared: Vec<Declared>,
    pub(super) unknown: Vec<Unknown>,
}

/// A key that nobody reads.
#[derive(Debug)]
pub(super) struct Unknown {
    pub(super) name: String,
    pub(super) at: Span,
    /// Its section's place among those declared.
    pub(super) section: usize,
}

/// A section as it was declared.
#[derive(Debug)]
pub(super) struct Declared {
    /// As it stands above the keys: `[limits]`. Empty for those without a section.
    pub(super) header: String,
    pub(super) what: &'static str,
    pub(super) keys: Vec<DeclaredKey>,
    /// The section need not be there, and means something if it is.
    pub(super) optional: bool,
    /// Keys that are refused, with the feature they wait for.
    pub(super) later: Vec<(&'static str, &'static str)>,
    /// The names of all that may stand in it.
    pub(super) known: Vec<&'static str>,
}

/// A key as it was declared.
#[derive(Debug)]
pub(super) struct DeclaredKey {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    /// Its kind with unit and range.
    pub(super) kind: String,
    pub(super) standing: Standing,
}

/// What holds where a key is not in the file. Values are in TOML.
#[derive(Debug)]
pub(super) enum Standing {
    /// This.
    Default(String),
    /// Nothing; one could write this.
    Absent(String),
    /// It must be there, as in this.
    Required(String),
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) at: Span,
}

/// A section while it is read.
#[derive(Debug)]
pub(super) struct Section<'r, 't> {
    report: &'r mut Report,
    declared: usize,
    /// Its path, as in `upstream.app`. Empty for the keys without a section.
    path: String,
    /// Where it begins.
    at: Span,
    table: Option<&'t DeTable<'t>>,
}

impl<'r, 't> Section<'r, 't> {
    /// Reads the keys of a document.
    pub(super) fn read_document<T>(
        report: &'r mut Report,
        what: &'static str,
        table: &'t DeTable<'t>,
        read: impl FnOnce(&mut Section<'_, 't>) -> T,
    ) -> T {
        let place = Place { path: String::new(), header: String::new(), at: 0..0 };
        Section::read(report, what, place, Some(table), read)
    }

    fn read<T>(
        report: &mut Report,
        what: &'static str,
        place: Place,
        table: Option<&'t DeTable<'t>>,
        read: impl FnOnce(&mut Section<'_, 't>) -> T,
    ) -> T {
        let Place { path, header, at } = place;
        let (keys, later, known) = (Vec::new(), Vec::new(), Vec::new());
        report.declared.push(Declared { header, what, keys, optional: false, later, known });
        let declared = report.declared.len() - 1;
        let mut section = Section { report, declared, path, at, table };
        let value = read(&mut section);
        section.note_unknown();
        value
    }

    /// Where the section begins.
    pub(super) fn at(&self) -> Span {
        self.at.clone()
    }

    /// Whether the file has this key here.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(name))
    }

    /// Says that something is wrong.
    pub(super) fn refuse(&mut self, problem: Problem) {
        self.report.problems.push(problem);
    }

    /// Reads the key into `place`, whose value is the default.
    pub(super) fn take<K: Kind>(
        &mut self,
        name: &'static str,
        what: &'static str,
        kind: &K,
        place: &mut K::Value,
    ) -> Option<Span> {
        self.declare(name, what, kind, Standing::Default(kind.write(place)));
        let found = self.find(name, kind)?;
        *place = found.value;
        Some(found.at)
    }

    /// Reads a key that need not be there.
    pub(super) fn optional<K: Kind>(
        &mut self,
        name: &'static str,
        what: &'static str,
        kind: &K,
        example: &str,
    ) -> Option<Located<K::Value>> {
        self.declare(name, what, kind, Standing::Absent(example.to_owned()));
        self.find(name, kind)
    }

    /// Reads a key that must be there.
    pub(super) fn required<K: Kind>(
        &mut self,
        name: &'static str,
        what: &'static str,
        kind: &K,
        example: &str,
    ) -> Option<Located<K::Value>> {
        self.declare(name, what, kind, Standing::Required(example.to_owned()));
        if self.table.is_some() && !self.has(name) {
            let header = &self.report.declared[self.declared].header;
            let title = format!("{header} has no `{name}`");
            let problem = Problem::new(Code::Missing, title, self.at())
                .label(format!("`{name}` is missing here"))
                .help(format!("as in `{name} = {example}`"));
            self.refuse(problem);
        }
        self.find(name, kind)
    }

    /// A key whose feature is not there yet. `instead` says what to do without.
    pub(super) fn later(&mut self, name: &'static str, feature: &'static str, instead: &str) {
        self.knows(name);
        self.report.declared[self.declared].later.push((name, feature));
        let Some((key, _)) = self.table.and_then(|table| table.get_key_value(name)) else { return };
        let problem = Problem::new(Code::NotYet, format!("`{name}` is not served yet"), key.span())
            .label(format!("this version does not have {feature}"))
            .help(instead);
        self.refuse(problem);
    }

    /// Reads a group of keys: `[name]`, or `name = { ... }`.
    pub(super) fn group<T>(
        &mut self,
        name: &'static str,
        what: &'static str,
        read: impl FnOnce(&mut Section<'_, 't>) -> T,
    ) -> T {
        self.knows(name);
        let found = self.table.and_then(|table| table.get(name));
        let path = self.path_of(name);
        let table = found.and_then(|value| self.table_of(name, &path, value));
        let at = found.map_or_else(|| self.at(), Spanned::span);
        let place = Place { header: format!("[{path}]"), path, at };
        Section::read(self.report, what, place, table, read)
    }

    /// Reads a group that means something by being there.
    pub(super) fn optional_group<T>(
        &mut self,
        name: &'static str,
        what: &'static str,
        read: impl FnOnce(&mut Section<'_, 't>) -> T,
    ) -> Option<T> {
        let there = self.has(name);
        let value = self.group(name, what, |section| {
            section.report.declared[section.declared].optional = true;
            read(section)
        });
        there.then_some(value)
    }

    /// Reads the groups that may be there many times: `[[name]]`. Where there is none, one is declared that means something if it is there.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        what: &'static str,
        mut read: impl FnMut(&mut Section<'_, 't>) -> T,
    ) -> Vec<T> {
        self.knows(name);
        let path = self.path_of(name);
        let place = |at| Place { path: path.clone(), header: format!("[[{path}]]"), at };
        let Some(value) = self.table.and_then(|table| table.get(name)) else {
            let at = self.at();
            Section::read(self.report, what, place(at), None, |section| {
                section.report.declared[section.declared].optional = true;
                read(section);
            });
            return Vec::new();
        };
        let Some(entries) = value.get_ref().as_array() else {
            let title = format!("`{name}` is {}, but may be there many times", article(value.get_ref()));
            let problem = Problem::new(Code::WrongType, title, value.span())
                .label(format!("expected [[{path}]]"))
                .help(format!("write it with two brackets: [[{path}]]"));
            self.refuse(problem);
            return Vec::new();
        };
        let mut all = Vec::new();
        for entry in entries.iter() {
            let Some(table) = self.table_of(name, &path, entry) else { continue };
            all.push(Section::read(self.report, what, place(entry.span()), Some(table), &mut read));
        }
        all
    }

    /// Reads the groups that have names of their own: `[name.app]`.
    pub(super) fn named<T>(
        &mut self,
        name: &'static str,
        what: &'static str,
        mut read: impl FnMut(&mut Section<'_, 't>, Located<&'t str>) -> T,
    ) -> Vec<T> {
        self.knows(name);
        let Some(value) = self.table.and_then(|table| table.get(name)) else { return Vec::new() };
        let Some(groups) = self.table_of(name, name, value) else { return Vec::new() };
        let mut all = Vec::new();
        for (key, group) in groups.iter() {
            let path = format!("{name}.{}", bare(key.get_ref()));
            let Some(table) = self.table_of(key.get_ref(), &path, group) else { continue };
            let place = Place { header: format!("[{path}]"), path, at: group.span() };
            let own = Located { value: key.get_ref().as_ref(), at: key.span() };
            all.push(Section::read(self.report, what, place, Some(table), |section| read(section, own)));
        }
        all
    }

    fn declare<K: Kind>(&mut self, name: &'static str, what: &'static str, kind: &K, standing: Standing) {
        self.knows(name);
        let key = DeclaredKey { name, what, kind: kind.describe(), standing };
        self.report.declared[self.declared].keys.push(key);
    }

    fn find<K: Kind>(&mut self, name: &str, kind: &K) -> Option<Located<K::Value>> {
        let value = self.table?.get(name)?;
        match kind.read(name, value) {
            Ok(read) => Some(Located { value: read, at: value.span() }),
            Err(problems) => {
                self.report.problems.extend(problems);
                None
            }
        }
    }

    fn table_of(
        &mut self,
        name: &str,
        path: &str,
        value: &'t Spanned<DeValue<'t>>,
    ) -> Option<&'t DeTable<'t>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let title = format!("`{name}` is {}, but must be a section", article(value.get_ref()));
            let problem = Problem::new(Code::WrongType, title, value.span())
                .label("expected keys and values")
                .help(format!("write it as a section, [{path}], or with its keys in braces"));
            self.refuse(problem);
        }
        table
    }

    fn path_of(&self, name: &str) -> String {
        let name = bare(name);
        if self.path.is_empty() { name } else { format!("{}.{name}", self.path) }
    }

    fn knows(&mut self, name: &'static str) {
        self.report.declared[self.declared].known.push(name);
    }

    fn note_unknown(&mut self) {
        let Some(table) = self.table else { return };
        let Report { declared, unknown, .. } = &mut *self.report;
        let known = &declared[self.declared].known;
        for (key, _) in table.iter().filter(|(key, _)| !known.contains(&key.get_ref().as_ref())) {
            let (name, at) = (key.get_ref().to_string(), key.span());
            unknown.push(Unknown { name, at, section: self.declared });
        }
    }
}

/// Where a section is, and how it is named.
struct Place {
    path: String,
    header: String,
    at: Span,
}

/// A key as it is written: in quotes where it must be.
fn bare(name: &str) -> String {
    let is_bare = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    if !name.is_empty() && name.bytes().all(is_bare) { name.to_owned() } else { format!("{name:?}") }
}

/// What a value is, in words.
pub(super) fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
