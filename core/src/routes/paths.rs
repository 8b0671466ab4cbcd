//! Routes by their paths: the first that matches is found without a look at those that do not.

use std::collections::BTreeMap;

use crate::config::PathPattern;

/// Routes of one host, by their places among all.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    /// The first that takes any path.
    any: Option<u32>,
    exact: BTreeMap<Box<[u8]>, u32>,
    /// In the order of their octets.
    prefixes: Vec<Prefix>,
}

#[derive(Clone, Debug)]
struct Prefix {
    path: Box<[u8]>,
    /// The first route of this prefix, or of a shorter one that it begins with.
    first: u32,
    /// The longest of those shorter ones.
    shorter: Option<usize>,
}

impl Paths {
    /// The paths of routes in their order.
    pub(super) fn new<'a>(routes: impl Iterator<Item = (u32, &'a PathPattern)>) -> Self {
        let (mut paths, mut prefixes) = (Self::default(), BTreeMap::<Box<[u8]>, u32>::new());
        for (place, pattern) in routes {
            match pattern {
                PathPattern::Any => _ = paths.any.get_or_insert(place),
                PathPattern::Exact(path) => _ = paths.exact.entry(path.as_bytes().into()).or_insert(place),
                PathPattern::Prefix(path) => _ = prefixes.entry(path.as_bytes().into()).or_insert(place),
            }
        }
        // In this order whatever a prefix begins with stands before it, with nothing between but what begins with that.
        let mut open: Vec<usize> = Vec::new();
        for (at, (path, place)) in prefixes.into_iter().enumerate() {
            while open.last().is_some_and(|&other| !path.starts_with(&paths.prefixes[other].path)) {
                open.pop();
            }
            let shorter = open.last().copied();
            let first = shorter.map_or(place, |other| place.min(paths.prefixes[other].first));
            paths.prefixes.push(Prefix { path, first, shorter });
            open.push(at);
        }
        paths
    }

    /// The first route that matches the path.
    #[inline(always)]
    pub(super) fn first(&self, path: &[u8]) -> Option<u32> {
        let exact = self.exact.get(path).copied();
        [self.any, exact, self.first_prefix(path)].into_iter().flatten().min()
    }

    /// All prefixes of a path begin what stands last before it.
    fn first_prefix(&self, path: &[u8]) -> Option<u32> {
        let mut at = self.prefixes.partition_point(|prefix| *prefix.path <= *path).checked_sub(1)?;
        loop {
            let prefix = self.prefixes.get(at)?;
            if path.starts_with(&prefix.path) {
                return Some(prefix.first);
            }
            at = prefix.shorter?;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_pattern() -> impl Strategy<Value = PathPattern> {
        let path = || "/[ab/]{0,5}".prop_map(Into::into);
        prop_oneof![
            1 => Just(PathPattern::Any),
            4 => path().prop_map(PathPattern::Exact),
            8 => path().prop_map(PathPattern::Prefix),
        ]
    }

    fn matches(pattern: &PathPattern, path: &str) -> bool {
        match pattern {
            PathPattern::Any => true,
            PathPattern::Exact(exact) => path == &**exact,
            PathPattern::Prefix(prefix) => path.starts_with(&**prefix),
        }
    }

    proptest! {
        #[test]
        fn the_first_that_matches_is_found(
            patterns in prop::collection::vec(any_pattern(), 0..30),
            paths in prop::collection::vec("/?[ab/]{0,7}", 1..20),
        ) {
            let table = Paths::new((0..).zip(&patterns));
            for path in paths {
                let first = patterns.iter().position(|pattern| matches(pattern, &path));
                prop_assert_eq!(table.first(path.as_bytes()), first.map(|at| at as u32), "{}", path);
            }
        }
    }
}
