//! Sections that differ in the value of `:path` alone: what a browser asks for on one connection, calls of many methods.
//!
//! What they have in common is kept once, their form. A form has no path, so that whoever forgets to look for it sends none rather than
//! another's. A section that has one shares its lines and holds its path itself.

use std::sync::Arc;

use super::lines::{Entry, Lines, Unread};
use super::{FieldName, FieldSection, Origin};

/// All of a section but the value of its only `:path`.
#[derive(Clone, Debug)]
pub(crate) struct FieldForm(Arc<Lines>);

impl FieldForm {
    /// The form of a section, with an origin that no other form or section has. `None` where there is not exactly one path.
    pub(crate) fn of(section: &FieldSection, origin: Origin) -> Option<Self> {
        (section.unread().filter(is_path).count() == 1).then(|| Self::around(section, true, origin))
    }

    /// All of a section but the values of paths, of which there may be any number; with the Huffman codes of values, or without.
    fn around(section: &FieldSection, with_codes: bool, origin: Origin) -> Self {
        let mut form = Lines::default();
        form.entries.reserve_exact(section.len());
        for line in section.unread() {
            form.push_unread(line, !is_path(&line), with_codes);
        }
        form.octets.shrink_to_fit();
        form.origin = origin;
        Self(Arc::new(form))
    }

    /// What a section is to be recognised by, itself or one that differs in its path. `None` where it has more than one path.
    pub(crate) fn to_recognise(section: &FieldSection) -> Option<Self> {
        if let Some(shared) = section.shared.as_ref().filter(|lines| lines.is_bare()) {
            return Some(Self(Arc::clone(shared)));
        }
        (section.unread().filter(is_path).count() <= 1).then(|| Self::around(section, false, Origin::NONE))
    }

    /// The path of a section that has the same lines in the same order with the same marks but for the value of that. One that shares lines
    /// is taken for another unless they are these, and so is one whose octets do not lie side by side, without codes between them.
    #[inline]
    pub(crate) fn recognise<'a>(&self, section: &'a FieldSection) -> Option<Option<Unread<'a>>> {
        let Some(shared) = &section.shared else { return self.compare(&section.own) };
        let path = section.form().map(|(_, path)| path);
        let is_whole = path.is_some() == self.0.names.has(FieldName::Path);
        (Arc::ptr_eq(shared, &self.0) && is_whole).then_some(path)
    }

    fn compare<'a>(&self, others: &'a Lines) -> Option<Option<Unread<'a>>> {
        let own = &*self.0;
        if own.entries.len() != others.entries.len() {
            return None;
        }
        // The lines of a form lie side by side. Those behind the path stand so much further back.
        let (mut shift, mut path, mut line) = (0, 0..0, None);
        for (entry, other) in own.entries.iter().zip(&others.entries) {
            let mut value_len = entry.value_len;
            let start = entry.start + shift;
            if other.facts.name == FieldName::Path {
                // A second one would hide what stands between them.
                if line.is_some() {
                    return None;
                }
                (value_len, shift) = (other.value_len, other.value_len);
                let value = (start + entry.name_len) as usize;
                path = value..value + shift as usize;
                line = Some(Unread { octets: &others.octets, entry: other });
            }
            let place = (other.start, other.name_len, other.value_len, other.code_len);
            if place != (start, entry.name_len, value_len, 0) || entry.never_indexed != other.never_indexed {
                return None;
            }
        }
        let (before, behind) = own.octets.split_at(path.start);
        // Where it has its path in place of another line there may be fewer octets.
        let theirs = others.octets.get(path.end..path.end + behind.len());
        (*before == others.octets[..path.start] && theirs == Some(behind)).then_some(line)
    }

    /// What all sections of this form have in common: the same lines in the same order with the same marks, but for the value of `:path`.
    #[cfg(test)]
    pub(crate) fn origin(&self) -> Origin {
        self.0.origin
    }

    /// The size of a section of this form, and how many lines it has, without the value of its path.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.0.size as usize, self.0.entries.len())
    }

    /// The line that stands for the path.
    pub(crate) fn path(&self) -> Option<Unread<'_>> {
        let entry = self.0.find(FieldName::Path)?;
        Some(Unread { octets: &self.0.octets, entry })
    }

    /// Octets of memory held, with all who have it.
    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// A hash of all lines, as [`FieldSection::hash`].
    pub(crate) fn hash(&self) -> u64 {
        super::hash_of(self.0.entries.iter().map(|entry| (&entry.facts, true)))
    }
}

#[inline]
fn is_path(line: &Unread<'_>) -> bool {
    line.facts().name == FieldName::Path
}

impl PartialEq for FieldForm {
    /// Same lines, same order, same never-indexed marks.
    fn eq(&self, other: &Self) -> bool {
        let lines = |form: &Self| FieldSection::of_shared(Arc::clone(&form.0));
        lines(self) == lines(other)
    }
}

impl FieldSection {
    /// The form that the section has, and its path, where others have that form as well. Of such a section no other [`origin`](Self::origin)
    /// is known.
    #[inline]
    pub(crate) fn form(&self) -> Option<(Origin, Unread<'_>)> {
        let (Some(form), Some(entry)) = (&self.shared, self.own.entries.first()) else { return None };
        Some((form.origin, Unread { octets: &self.own.octets, entry }))
    }

    /// Of what is found out about a section and does not hang on the value of its path: where it came from.
    #[inline]
    pub(crate) fn form_or_origin(&self) -> Origin {
        match self.origin() {
            Origin::NONE => self.form().map_or(Origin::NONE, |(form, _)| form),
            origin => origin,
        }
    }

    /// A hash of all lines but for the value of a path, as that of a [`FieldForm`], without a look at their octets.
    pub(crate) fn form_hash(&self) -> u64 {
        super::hash_of(self.unread().map(|line| (line.facts(), !is_path(&line))))
    }

    /// The first line that is a path.
    pub(crate) fn path(&self) -> Option<Unread<'_>> {
        self.unread().find(is_path)
    }

    /// Becomes the same section as that one, which is kept.
    #[inline(always)]
    pub(crate) fn become_shared(&mut self, kept: &Self) {
        match &kept.shared {
            // What it has shared before is exchanged, and nothing else of it has to be dropped.
            Some(lines) if kept.own.entries.is_empty() && !self.has_memory() => {
                (self.own.size, self.own.names, self.own.origin) = (lines.size, lines.names, lines.origin);
                self.shared = Some(Arc::clone(lines));
            }
            _ => *self = kept.share(),
        }
    }

    /// The same section with a form that nobody else has so far. `None` where it has more than one path.
    pub(super) fn with_own_form(&self) -> Option<Self> {
        let form = FieldForm::to_recognise(self)?;
        let Some(path) = self.path() else { return Some(Self::of_shared(form.0)) };
        let mut section = Self { own: Lines::default(), shared: Some(form.0) };
        section.take_path(path);
        Some(section)
    }

    /// Becomes that section, which has the same form and a path of its own.
    pub(super) fn take_path_of(&mut self, other: &Self) {
        if let Some(path) = other.path() {
            self.take_path(path);
        }
    }

    fn take_path(&mut self, path: Unread<'_>) {
        let Self { own, shared: Some(form) } = self else { return };
        own.clear();
        own.push_unread(path, true, true);
        (own.size, own.names) = (form.size + path.entry.value_len, form.names);
    }

    /// The section, which has a path and nothing else, or has a form already, gets this form. Says whether it could.
    pub(crate) fn take_form(&mut self, form: &FieldForm) -> bool {
        let [Entry { facts, value_len, .. }] = self.own.entries[..] else { return false };
        if facts.name != FieldName::Path {
            return false;
        }
        (self.own.size, self.own.names, self.own.origin) =
            (form.0.size + value_len, form.0.names, Origin::NONE);
        self.shared = Some(Arc::clone(&form.0));
        true
    }
}

impl Lines {
    /// Whether they lie side by side, without codes.
    fn is_bare(&self) -> bool {
        let octets = self.entries.iter().map(|entry| (entry.name_len + entry.value_len) as usize);
        octets.sum::<usize>() == self.octets.len()
    }

    /// Appends a line, or its name alone.
    fn push_unread(&mut self, line: Unread<'_>, with_value: bool, with_code: bool) {
        let Unread { octets, entry } = line;
        let mut entry = *entry;
        if !with_code {
            entry.code_len = 0;
        }
        if !with_value {
            (entry.value_len, entry.code_len, entry.origin) = (0, 0, Origin::NONE);
            (entry.facts.static_line, entry.facts.line_hash) = (0, 0);
        }
        let start = self.octets.len() as u32;
        self.octets.extend_from_slice(&octets[entry.start as usize..][..entry.octets_len()]);
        entry.start = start;
        self.size += entry.size();
        self.names.add(entry.facts.name);
        self.entries.push(entry);
    }

    /// These are the path of the section of that form: becomes all of its lines.
    #[cold]
    pub(super) fn complete(&mut self, form: &Self) {
        let moved = self.octets.len() as u32;
        self.octets.extend_from_slice(&form.octets);
        let path = self.entries.pop();
        for entry in &form.entries {
            let common = Entry { start: entry.start + moved, ..*entry };
            self.entries.push(path.filter(|path| path.facts.name == entry.facts.name).unwrap_or(common));
        }
        self.size = form.size + path.map_or(0, |path| path.value_len);
        (self.names, self.origin) = (form.names, Origin::NONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{FieldFacts, FieldLine, OwnOrigins};

    const SEED: u64 = 7;

    fn section(path: &[u8]) -> FieldSection {
        let mut fields = FieldSection::new();
        fields.push(FieldLine::new(b":method", b"GET", SEED));
        fields.push(FieldLine::new(b":path", path, SEED).never_indexed());
        fields.lines_mut().keep_code(b"c");
        fields.push(FieldLine::new(b"accept", b"*/*", SEED));
        fields
    }

    /// The same section, sharing all but its path.
    fn apart(path: &[u8], form: &FieldForm) -> FieldSection {
        let mut fields = FieldSection::new();
        fields.push(FieldLine::new(b":path", path, SEED).never_indexed());
        fields.lines_mut().keep_code(b"c");
        assert!(fields.take_form(form));
        fields
    }

    fn form() -> FieldForm {
        FieldForm::of(&section(b"/first"), OwnOrigins::default().next()).expect("it has one path")
    }

    #[test]
    fn a_section_with_a_form_reads_as_any_other() {
        let form = form();
        for path in [&b"/another"[..], b"", b"/", b"/first"] {
            let (whole, apart) = (section(path), apart(path, &form));
            assert_eq!((&apart, apart.len(), apart.size()), (&whole, whole.len(), whole.size()));
            assert_eq!((apart.value_of(FieldName::Path), apart.get(b":path")), (Some(path), Some(path)));
            assert!(apart.has(FieldName::Path) && !apart.is_empty() && !apart.has(FieldName::Te));
            assert_eq!((apart.hash(), format!("{apart:?}").is_empty()), (whole.hash(), false));
            assert_eq!(apart.value_of(FieldName::Method), Some(&b"GET"[..]));
            let all = |fields: &FieldSection| -> Vec<_> {
                let of = |line: Unread<'_>| (line.read().facts, line.code().map(<[u8]>::to_vec));
                fields.unread().map(of).collect()
            };
            assert_eq!(all(&apart), all(&whole));
            assert_eq!((apart.origin(), apart.form_or_origin()), (Origin::NONE, form.origin()));
            assert_eq!(apart.form().map(|(_, path)| path.read().value), Some(path));
            assert!(whole.form().is_none() && apart.capacity() > form.capacity());
        }
    }

    #[test]
    fn whatever_alters_one_alters_it_alone() {
        let (form, mut copy) = (form(), FieldSection::new());
        let alterations: [&dyn Fn(&mut FieldSection); 10] = [
            &|_| {},
            &|fields| fields.push(FieldLine::new(b"b", b"", SEED)),
            &|fields| fields.push_value_of(FieldName::Path, b"was", |line| (line.facts, line.origin)),
            &|fields| fields.remove(b":path", &FieldFacts::of_name(b":path", SEED)),
            &|fields| fields.retain(|line| line.name != b":method"),
            &|fields| assert!(fields.replace_value(FieldName::Path, b"/third", SEED)),
            &|fields| fields.set_origin(Origin::NONE),
            &|fields| fields.move_to(|| unreachable!("it has memory of its own")),
            &FieldSection::fit,
            &FieldSection::clear,
        ];
        for (at, alter) in alterations.iter().enumerate() {
            let (mut whole, apart) = (section(b"/second"), apart(b"/second", &form));
            copy.copy_from(&apart);
            let (mut cloned, mut shared) = (apart.clone(), apart.share());
            let (mut apart, kept) = (apart, shared.share());
            alter(&mut whole);
            for fields in [&mut apart, &mut copy, &mut cloned, &mut shared] {
                alter(fields);
                assert_eq!(
                    (&*fields, fields.size(), fields.len()),
                    (&whole, whole.size(), whole.len()),
                    "{at}"
                );
            }
            assert_eq!(kept, section(b"/second"), "{at}");
        }
        assert_eq!(apart(b"/third", &form), section(b"/third"));
    }

    #[test]
    fn a_form_knows_no_path_and_is_equal_to_that_of_another() {
        let first = form();
        let of = |fields: &FieldSection| FieldForm::of(fields, Origin::NONE);
        let other = of(&section(b"/other")).expect("one path");
        assert!(
            first == other && first.hash() == other.hash() && first.size() == (5 + 7 + 3 + 6 + 3 + 96, 3)
        );
        assert!(first.path().is_some_and(|path| path.read().value.is_empty() && path.code().is_none()));
        let again = of(&apart(b"/second", &first)).expect("one path");
        assert!(again == first && again.origin() == Origin::NONE);
        let mut marked = section(b"/other");
        marked.push(FieldLine::new(b"b", b"", SEED));
        assert!(of(&marked).is_some_and(|form| form != first));
        assert!(marked.replace_value(FieldName::Path, b"", SEED));
        marked.push(FieldLine::new(b":path", b"/second", SEED));
        assert!(of(&marked).is_none(), "two paths");
        let mut bare = FieldSection::new();
        assert!(of(&bare).is_none() && !bare.take_form(&first));
        bare.push(FieldLine::new(b"accept", b"", SEED));
        assert!(of(&bare).is_none() && !bare.take_form(&first), "no path");
        assert!(!section(b"/").take_form(&first), "more than a path");
    }
}
