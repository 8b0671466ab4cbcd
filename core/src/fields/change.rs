//! Changes of field sections that are known beforehand: the header rules of a route.

use crate::config::HeaderRule;
use crate::fields::{FieldFacts, FieldLine, FieldSection, Origin};

/// Header rules, made ready: what there is to know of a line is found out once, not for each message.
///
/// ```
/// use shuntyard_core::config::HeaderRule;
/// use shuntyard_core::fields::{FieldChanges, FieldLine, FieldSection};
///
/// let seed = 1;
/// let mut fields = FieldSection::new();
/// fields.push(FieldLine::new(b"server", b"origin/1.0", seed));
/// let rules = [
///     HeaderRule::Remove { name: "server".into() },
///     HeaderRule::Set { name: "x-served-by".into(), value: "here".into() },
/// ];
/// FieldChanges::new(&rules, seed).apply(&mut fields);
/// assert_eq!((fields.get(b"server"), fields.get(b"x-served-by")), (None, Some(&b"here"[..])));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldChanges(Box<[Change]>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    name: Box<[u8]>,
    facts: FieldFacts,
    /// Lines that bear the name leave.
    remove: bool,
    /// A line of this value is appended.
    value: Option<Box<[u8]>>,
}

impl FieldChanges {
    /// Makes rules ready that are valid. `seed` as for [`FieldFacts::of`].
    pub fn new(rules: &[HeaderRule], seed: u64) -> Self {
        Self(rules.iter().map(|rule| Change::new(rule, seed)).collect())
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes the changes, in order.
    pub fn apply(&self, fields: &mut FieldSection) {
        for change in &self.0 {
            if change.remove {
                fields.remove(&change.name, &change.facts);
            }
            if let Some(value) = &change.value {
                let (facts, origin) = (change.facts, Origin::NONE);
                fields.push(FieldLine { name: &change.name, value, facts, never_indexed: false, origin });
            }
        }
    }

    /// Takes the fields out of trailers that the head does not have, or has otherwise.
    pub fn strip(&self, trailers: &mut FieldSection) {
        self.0
            .iter()
            .filter(|change| change.remove)
            .for_each(|change| trailers.remove(&change.name, &change.facts));
    }
}

impl Change {
    fn new(rule: &HeaderRule, seed: u64) -> Self {
        let name: Box<[u8]> = rule.name().as_bytes().into();
        let value: Option<Box<[u8]>> = rule.value().map(|value| value.as_bytes().into());
        let facts = FieldFacts::of(&name, value.as_deref().unwrap_or_default(), seed);
        Self { name, facts, remove: !matches!(rule, HeaderRule::Add { .. }), value }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fields::FieldName;

    const SEED: u64 = 3;

    fn rule((kind, name, value): (u8, String, String)) -> HeaderRule {
        let (name, value) = (name.into(), value.into());
        match kind {
            0 => HeaderRule::Set { name, value },
            1 => HeaderRule::Add { name, value },
            _ => HeaderRule::Remove { name },
        }
    }

    fn any_rule() -> impl Strategy<Value = HeaderRule> {
        let name = prop_oneof!["[a-c]", "accept|expect|cookie|te|host|via|content-length|:path|keep-alive|X"];
        (0..3u8, name, "[ a-c\r]{0,2}").prop_map(rule)
    }

    /// The same on a list of pairs.
    fn model(pairs: &mut Vec<(String, String)>, rules: &[HeaderRule]) {
        for rule in rules {
            if !matches!(rule, HeaderRule::Add { .. }) {
                pairs.retain(|(name, _)| name != rule.name());
            }
            pairs.extend(rule.value().map(|value| (rule.name().to_owned(), value.to_owned())));
        }
    }

    proptest! {
        /// The words of `config` and those of `message` agree: a valid rule makes a line that passes everywhere.
        #[test]
        fn what_is_valid_is_well_formed(rule in any_rule()) {
            let valid = rule.validate().is_ok();
            let changes = FieldChanges::new(&[rule], SEED);
            let facts = changes.0[0].facts;
            let reserved = facts.name.is_pseudo() || matches!(
                facts.name,
                FieldName::ConnectionSpecific | FieldName::Te | FieldName::Host | FieldName::ContentLength | FieldName::Expect | FieldName::Via
            );
            let removes = changes.0[0].value.is_none();
            let well_formed = if removes { facts.name_well_formed } else { facts.well_formed };
            prop_assert_eq!(valid, well_formed && !reserved);
        }

        #[test]
        fn changes_are_made_in_order(
            before in prop::collection::vec(("[a-d]", "[x-z]"), 0..8),
            rules in prop::collection::vec((0..3u8, "[a-d]", "[x-z]").prop_map(rule), 0..8),
        ) {
            let mut fields = FieldSection::new();
            before.iter().for_each(|(name, value)| fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), SEED)));
            FieldChanges::new(&rules, SEED).apply(&mut fields);
            let mut after = before;
            model(&mut after, &rules);
            let mut expected = FieldSection::new();
            after.iter().for_each(|(name, value)| expected.push(FieldLine::new(name.as_bytes(), value.as_bytes(), SEED)));
            prop_assert_eq!((fields.size(), &fields), (expected.size(), &expected));
        }
    }
}
