//! Memory that passes from one connection to the next, so that neither idle connections hold any nor busy ones ask for it.

use crate::fields::{FieldName, FieldSection};
use crate::gateway::{ConnId, Gateway};
use crate::routes::Route;
use crate::session::Session;

/// What one piece may hold to be worth keeping, in octets.
const PIECE_OCTETS_MAX: usize = 64 << 10;
/// How many outboxes are kept: so many connections are rarely written to in one turn.
const OUTBOXES_MAX: usize = 256;
/// What the sections may hold together, in octets: those of some thousand requests.
const SECTION_OCTETS_MAX: usize = 4 << 20;
/// What the outboxes may.
const OUTBOX_OCTETS_MAX: usize = 1 << 20;

/// What waits for use.
#[derive(Debug, Default)]
pub(super) struct Spare {
    sections: Vec<FieldSection>,
    section_octets: usize,
    outboxes: Vec<Vec<u8>>,
    outbox_octets: usize,
}

/// Whether a piece of this capacity is kept beside pieces of `held` octets, `max` of which may be.
fn is_worth_keeping(capacity: usize, held: usize, max: usize) -> bool {
    (1..=PIECE_OCTETS_MAX).contains(&capacity) && held + capacity <= max
}

impl Spare {
    /// Keeps the memory of a section for the next one.
    pub(super) fn keep_section(&mut self, mut fields: FieldSection) {
        // What it shares is not its own to be kept.
        fields.clear();
        if is_worth_keeping(fields.capacity(), self.section_octets, SECTION_OCTETS_MAX) {
            self.section_octets += fields.capacity();
            self.sections.push(fields);
        }
    }

    /// Memory for a section. New, where none is kept.
    pub(super) fn take_section(&mut self) -> FieldSection {
        let Some(section) = self.sections.pop() else { return FieldSection::roomy() };
        self.section_octets -= section.capacity();
        section
    }

    /// Memory for what goes out, where there is none. Whoever takes none here and gives some back fills the store for nothing.
    #[inline]
    pub(super) fn lend_outbox(&mut self, session: &mut Session) {
        if session.outbox_capacity() == 0
            && let Some(spare) = self.outboxes.pop()
        {
            self.outbox_octets -= spare.capacity();
            session.give_outbox_memory(spare);
        }
    }

    /// The head that a backend gets, where the route changes it, or a hook may. The original stays, for the next attempt
    /// starts from it.
    pub(super) fn changed(
        &mut self,
        original: &FieldSection,
        route: Option<&Route>,
        hooked: bool,
        seed: u64,
    ) -> Option<FieldSection> {
        let changes = route.map(|route| &route.request_headers).filter(|changes| !changes.is_empty());
        let authority = route.and_then(|route| route.authority.as_ref());
        if changes.is_none() && authority.is_none() && !hooked {
            return None;
        }
        let mut fields = self.take_section();
        fields.copy_from(original);
        if let Some((authority, _)) = authority
            && fields.replace_value(FieldName::Authority, authority.as_bytes(), seed)
        {
            // It named the other one.
            fields.retain(|line| line.facts.name != FieldName::Host);
        }
        if let Some(changes) = changes {
            changes.apply(&mut fields);
        }
        Some(fields)
    }
}

impl Gateway {
    /// Keeps the memory of a section for the next one.
    pub(super) fn keep_section(&mut self, fields: FieldSection) {
        self.spare.keep_section(fields);
    }

    /// Lends memory for what the connection is about to send.
    pub(super) fn lend_outbox(&mut self, id: ConnId) {
        if let Some(entry) = self.conns.get_mut(id) {
            self.spare.lend_outbox(&mut entry.session);
        }
    }

    /// Takes back what an empty outbox holds.
    pub(super) fn keep_outbox(&mut self, id: ConnId) {
        let Some(entry) = self.conns.get_mut(id) else { return };
        let memory = entry.session.take_outbox_memory();
        let wanted = self.spare.outboxes.len() < OUTBOXES_MAX;
        if wanted && is_worth_keeping(memory.capacity(), self.spare.outbox_octets, OUTBOX_OCTETS_MAX) {
            self.spare.outbox_octets += memory.capacity();
            self.spare.outboxes.push(memory);
        }
    }
}
