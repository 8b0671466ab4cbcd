//! The memory for field sections of requests that are under way: their heads, kept to be sent again, and trailers, which wait behind
//! content. There is so much for a worker, however many clients it has.

use crate::counters::Limit;
use crate::fields::FieldSection;
use crate::gateway::Gateway;
use crate::ledger::Reservation;
use crate::record::Cause;
use crate::request::RequestKey;
use crate::time::Instant;

impl Gateway {
    /// The memory for a request's head, unless all of it is taken.
    pub(super) fn reserve_head(&mut self, fields: &mut FieldSection) -> Option<Reservation> {
        fields.fit();
        let held = self.heads.reserve(octets_of(fields));
        if held.is_none() {
            self.account.hit(Limit::Heads);
        }
        held
    }

    /// A request is over. Its record, if somebody reads them, holds its head until it is taken.
    #[inline(always)]
    pub(super) fn release_sections(&mut self, sections: Reservation) {
        if !self.config.records {
            return self.heads.give_back(sections);
        }
        match &mut self.recorded {
            Some(recorded) => recorded.merge(sections),
            none @ None => *none = Some(sections),
        }
    }

    /// All records have been taken.
    #[inline]
    pub(super) fn records_taken(&mut self) {
        if let Some(recorded) = self.recorded.take() {
            self.heads.give_back(recorded);
        }
    }

    /// The memory for trailers, and for the copy that is kept to be sent again, until their request is over. Where there is none, the
    /// request fails. Nothing comes back then, nor where the request is gone.
    pub(super) fn reserve_trailers(
        &mut self,
        key: RequestKey,
        mut fields: FieldSection,
        now: Instant,
    ) -> Option<FieldSection> {
        fields.fit();
        let Some(request) = self.requests.get_mut(key) else {
            self.keep_section(fields);
            return None;
        };
        let held = &mut request.awaiting.sections;
        let sum =
            held.as_ref().map_or(0, Reservation::octets).saturating_add(octets_of(&fields).saturating_mul(2));
        if self.heads.raise(held, sum) {
            return Some(fields);
        }
        self.account.hit(Limit::Heads);
        self.keep_section(fields);
        self.cancel_backend(key, now);
        self.fail_request(key, Cause::MemoryLimit, now);
        None
    }
}

/// The size that SETTINGS_MAX_HEADER_LIST_SIZE counts by. The memory is at most twice that, or small: what a section has of lines before it
/// goes by who used it last, and must change nothing.
pub(super) fn octets_of(fields: &FieldSection) -> u32 {
    u32::try_from(fields.size()).unwrap_or(u32::MAX)
}
