//! Sections that come again are changed in the same way again: what leaves is then known by an origin of its own.

use crate::fields::{Origin, OwnOrigins};

/// How many sections are remembered, by their places. A power of two.
const REMEMBERED: usize = 128;

/// The origins of sections that came, each with that of what it was changed to. No two connections have sections of the same origin,
/// so what hangs on the connection need not be looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Changed(Vec<(Origin, Origin)>);

impl Changed {
    /// The origin of what the section from there is changed to. None of one that has none.
    pub(super) fn origin(&mut self, came: Origin, origins: &mut OwnOrigins) -> Origin {
        if came == Origin::NONE {
            return came;
        }
        if self.0.is_empty() {
            self.0 = vec![(Origin::NONE, Origin::NONE); REMEMBERED];
        }
        let known = &mut self.0[came.spread() % REMEMBERED];
        if known.0 != came {
            *known = (came, origins.next());
        }
        known.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_given_to_one_section_only() {
        let (mut changed, mut own, mut came) =
            (Changed::default(), OwnOrigins::default(), OwnOrigins::default());
        assert_eq!(changed.origin(Origin::NONE, &mut own), Origin::NONE);
        let mut given = Vec::new();
        for _ in 0..3 * REMEMBERED {
            let came = came.next();
            let origin = changed.origin(came, &mut own);
            assert!(origin != Origin::NONE && !given.contains(&origin));
            assert_eq!(changed.origin(came, &mut own), origin);
            given.push(origin);
        }
    }
}
