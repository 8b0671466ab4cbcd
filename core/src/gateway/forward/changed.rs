//! Sections that come again are changed in the same way again: what left then is copied.

use crate::fields::{FieldForm, FieldSection, Origin, OwnOrigins};

/// How many sections are remembered, by their places. A power of two.
const REMEMBERED: usize = 128;

/// What sections were changed to, by the origins of what came. No two connections have sections of the same origin, so what hangs on
/// the connection need not be looked at. Sections of one form are changed in one way, for nothing that is done hangs on the path.
#[derive(Clone, Debug, Default)]
pub(super) struct Changed(Vec<Known>);

#[derive(Clone, Debug, Default)]
struct Known {
    came: Origin,
    left: Left,
    /// Of what left, so that most others need not be compared with it.
    hash: u64,
    /// Who asked for the place last. Where more take turns than there are places, hardly anything is kept, and little is lost.
    next: Origin,
}

/// What left.
#[derive(Clone, Debug)]
enum Left {
    Section(FieldSection),
    /// All of it but the path, which is the one that came.
    Form(FieldForm),
}

impl Default for Left {
    fn default() -> Self {
        Self::Section(FieldSection::new())
    }
}

impl Changed {
    /// Changes a section as it was changed before, or one of its form was; says whether that is known.
    #[inline(always)]
    pub(super) fn again(&mut self, fields: &mut FieldSection) -> bool {
        let came = fields.form_or_origin();
        let known = self.0.get_mut(came.spread() % REMEMBERED);
        let Some(known) = known.filter(|known| known.came == came && came != Origin::NONE) else {
            return false;
        };
        known.next = came;
        match &known.left {
            Left::Section(left) => fields.become_shared(left),
            Left::Form(left) => return fields.take_form(left),
        }
        true
    }

    /// The section from there, of which all but the path came or all, was changed to this one. If its place is free, or nobody else has asked
    /// for it since this one did, it gets it, and what it was changed to has an origin from now on, which all have that are equal to it.
    pub(super) fn remember(
        &mut self,
        (came, is_form): (Origin, bool),
        left: &mut FieldSection,
        origins: &mut OwnOrigins,
    ) {
        if came == Origin::NONE {
            return;
        }
        if self.0.is_empty() {
            self.0 = vec![Known::default(); REMEMBERED];
        }
        let place = came.spread() % REMEMBERED;
        let known = &mut self.0[place];
        if core::mem::replace(&mut known.next, came) != came && known.came != Origin::NONE {
            return;
        }
        // Clients that ask for the same in the same way have one section, and backends get one block.
        let (left, hash) = if is_form {
            let Some(form) = FieldForm::of(left, origins.next()) else { return };
            let hash = form.hash();
            let same = self.0.iter().filter(|known| known.hash == hash).find_map(|known| match &known.left {
                Left::Form(same) if *same == form => Some(same.clone()),
                Left::Form(_) | Left::Section(_) => None,
            });
            (Left::Form(same.unwrap_or(form)), hash)
        } else {
            let hash = left.hash();
            let same = self.0.iter().filter(|known| known.hash == hash).find_map(|known| match &known.left {
                Left::Section(same) if same == left => Some(same.origin()),
                Left::Section(_) | Left::Form(_) => None,
            });
            left.set_origin(same.unwrap_or_else(|| origins.next()));
            (Left::Section(left.share()), hash)
        };
        self.0[place] = Known { came, left, hash, next: came };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::FieldLine;

    fn section(name: &[u8], origin: Origin) -> FieldSection {
        let mut fields = FieldSection::new();
        fields.push(FieldLine::new(name, b"value", 1));
        fields.set_origin(origin);
        fields
    }

    #[test]
    fn what_left_is_copied_and_has_an_origin_that_nothing_else_has() {
        let (mut changed, mut own, mut came) =
            (Changed::default(), OwnOrigins::default(), OwnOrigins::default());
        let mut stranger = section(b"a", Origin::NONE);
        changed.remember((Origin::NONE, false), &mut stranger, &mut own);
        assert!(!changed.again(&mut stranger) && stranger.origin() == Origin::NONE);
        let mut given = Vec::new();
        for n in 0..3 * REMEMBERED {
            let (came, name) = (came.next(), n.to_string());
            assert!(!changed.again(&mut section(b"a", came)));
            let mut left = section(name.as_bytes(), Origin::NONE);
            changed.remember((came, false), &mut left, &mut own);
            if left.origin() == Origin::NONE {
                // Another one has the place, and loses it now.
                assert!(!changed.again(&mut section(b"a", came)));
                changed.remember((came, false), &mut left, &mut own);
            }
            assert!(left.origin() != Origin::NONE && !given.contains(&left.origin()));
            given.push(left.origin());
            let mut again = section(b"a", came);
            assert!(changed.again(&mut again));
            assert_eq!((again.origin(), again), (left.origin(), left));
        }
    }

    #[test]
    fn what_is_equal_has_one_origin() {
        let (mut changed, mut own, mut came) =
            (Changed::default(), OwnOrigins::default(), OwnOrigins::default());
        let mut leaves = |mut left: FieldSection| {
            let came = came.next();
            (0..2).for_each(|_| changed.remember((came, false), &mut left, &mut own));
            left.origin()
        };
        let first = leaves(section(b"a", Origin::NONE));
        assert!(first != Origin::NONE && leaves(section(b"a", Origin::NONE)) == first);
        assert_ne!(leaves(section(b"b", Origin::NONE)), first);
        let mut secret = FieldSection::new();
        secret.push(FieldLine::new(b"a", b"value", 1).never_indexed());
        assert_ne!(leaves(secret), first, "a mark makes a difference");
    }

    /// A section with this path and a line of this name.
    fn with_path(path: &[u8], name: &[u8]) -> FieldSection {
        let mut fields = FieldSection::new();
        fields.push(FieldLine::new(b":path", path, 1));
        fields.push(FieldLine::new(name, b"value", 1));
        fields
    }

    #[test]
    fn sections_of_one_form_keep_their_paths() {
        let (mut changed, mut own, mut came) =
            (Changed::default(), OwnOrigins::default(), OwnOrigins::default());
        let mut comes = |name| FieldForm::of(&with_path(b"/", name), came.next()).expect("a path");
        let forms = [comes(b"a"), comes(b"b"), comes(b"a")];
        let section = |path: &[u8], form: &FieldForm| {
            let mut fields = FieldSection::new();
            fields.push(FieldLine::new(b":path", path, 1));
            assert!(fields.take_form(form));
            fields
        };
        for (form, name) in forms.iter().zip([&b"more"[..], b"else", b"more"]) {
            let mut first = section(b"/first", form);
            assert!(!changed.again(&mut first) && first == section(b"/first", form));
            let mut left = with_path(b"/first", name);
            let before = left.clone();
            changed.remember((form.origin(), true), &mut left, &mut own);
            assert_eq!((&left, left.origin()), (&before, Origin::NONE));
        }
        let mut left = |path: &[u8], form| {
            let mut fields = section(path, form);
            assert!(changed.again(&mut fields));
            fields
        };
        let lefts = forms.each_ref().map(|form| left(b"/second", form));
        let expected = [&b"more"[..], b"else", b"more"].map(|name| with_path(b"/second", name));
        assert_eq!(lefts, expected);
        let [first, second, third] = lefts.map(|fields| fields.form_or_origin());
        assert!(first != Origin::NONE && first == third && first != second, "what is equal has one origin");
        // One that differs in a mark alone has the same hash, and an origin of its own.
        let mut marked = with_path(b"/", b"else");
        marked.retain(|line| line.name == b":path");
        marked.push(FieldLine::new(b"more", b"value", 1).never_indexed());
        let secret = FieldForm::of(&marked, came.next()).expect("a path");
        changed.remember((secret.origin(), true), &mut marked, &mut own);
        let mut again = section(b"/third", &secret);
        assert!(changed.again(&mut again) && again.iter().any(|line| line.never_indexed));
        assert!(![Origin::NONE, first, second].contains(&again.form_or_origin()));
        // As a whole it is another one.
        let mut whole = with_path(b"/second", b"more");
        (0..2).for_each(|_| changed.remember((came.next(), false), &mut whole, &mut own));
        assert!(whole.origin() != Origin::NONE && whole.origin() != first);
    }
}
