//! Sections that come again are changed in the same way again: what left then is copied.

use crate::fields::{FieldSection, Origin, OwnOrigins};

/// How many sections are remembered, by their places. A power of two.
const REMEMBERED: usize = 128;

/// What sections were changed to, by the origins of what came. No two connections have sections of the same origin, so what hangs on
/// the connection need not be looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Changed(Vec<Known>);

#[derive(Clone, Debug, Default)]
struct Known {
    came: Origin,
    left: FieldSection,
    /// Of what left, so that most others need not be compared with it.
    hash: u64,
    /// Who asked for the place last. Where more take turns than there are places, hardly anything is kept, and little is lost.
    next: Origin,
}

impl Changed {
    /// Changes a section as it was changed before; says whether it was.
    #[inline]
    pub(super) fn again(&mut self, fields: &mut FieldSection) -> bool {
        let came = fields.origin();
        let known = self.0.get_mut(came.spread() % REMEMBERED);
        let Some(known) = known.filter(|known| known.came == came && came != Origin::NONE) else {
            return false;
        };
        known.next = came;
        *fields = known.left.share();
        true
    }

    /// The section from there was changed to this one. If its place is free, or nobody else has asked for it since this one did, it gets it, and
    /// what it was changed to has an origin from now on, which all have that are equal to it.
    pub(super) fn remember(&mut self, came: Origin, left: &mut FieldSection, origins: &mut OwnOrigins) {
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
        let hash = left.hash();
        let same = self.0.iter().find(|known| known.hash == hash).map(|known| &known.left);
        let origin = same.filter(|same| **same == *left).map(FieldSection::origin);
        let origin = origin.unwrap_or_else(|| origins.next());
        let known = &mut self.0[place];
        left.set_origin(origin);
        known.came = came;
        known.hash = hash;
        known.left = left.share();
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
        changed.remember(Origin::NONE, &mut stranger, &mut own);
        assert!(!changed.again(&mut stranger) && stranger.origin() == Origin::NONE);
        let mut given = Vec::new();
        for n in 0..3 * REMEMBERED {
            let (came, name) = (came.next(), n.to_string());
            assert!(!changed.again(&mut section(b"a", came)));
            let mut left = section(name.as_bytes(), Origin::NONE);
            changed.remember(came, &mut left, &mut own);
            if left.origin() == Origin::NONE {
                // Another one has the place, and loses it now.
                assert!(!changed.again(&mut section(b"a", came)));
                changed.remember(came, &mut left, &mut own);
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
            (0..2).for_each(|_| changed.remember(came, &mut left, &mut own));
            left.origin()
        };
        let first = leaves(section(b"a", Origin::NONE));
        assert!(first != Origin::NONE && leaves(section(b"a", Origin::NONE)) == first);
        assert_ne!(leaves(section(b"b", Origin::NONE)), first);
        let mut secret = FieldSection::new();
        secret.push(FieldLine::new(b"a", b"value", 1).never_indexed());
        assert_ne!(leaves(secret), first, "a mark makes a difference");
    }
}
