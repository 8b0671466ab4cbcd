//! Lines that a gateway adds to messages again and again, made once.

use crate::fields::{FieldFacts, FieldSection, Origin, OwnOrigins};

/// A line of our own.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The name, and the value behind it.
    octets: Box<[u8]>,
    name_len: usize,
    facts: FieldFacts,
    origin: Origin,
}

impl Line {
    /// `name_facts`: those of the name.
    pub(super) fn new(
        (name, name_facts): (&[u8], &FieldFacts),
        value: &[u8],
        seed: u64,
        origins: &mut OwnOrigins,
    ) -> Self {
        let octets = [name, value].concat().into();
        let facts = name_facts.with_value(value, seed);
        Self { octets, name_len: name.len(), facts, origin: origins.next() }
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.octets[self.name_len..]
    }

    /// Appends it to a message.
    pub(super) fn push(&self, fields: &mut FieldSection) {
        fields.push_joined(&self.octets, self.name_len, &self.facts, self.origin);
    }
}
