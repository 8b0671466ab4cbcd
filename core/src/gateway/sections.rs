//! The memory for field sections of requests that are under way: their heads, kept to be sent again, and trailers, which wait behind
//! content. There is so much for a worker, however many clients it has: each connection has a share of that, and so has each client with all of its
//! connections, for heads that are larger than most.

use crate::counters::Limit;
use crate::fields::FieldSection;
use crate::gateway::conn::Side;
use crate::gateway::{ConnId, Gateway};
use crate::ledger::Reservation;
use crate::record::Cause;
use crate::request::RequestKey;
use crate::time::Instant;

/// Into so many shares the memory for heads is divided, one of which a connection of a client may hold; but one head in any case, and so many of the
/// largest where there is little memory.
pub(super) const SHARES: u64 = 256;
const HEADS_MIN: u64 = 4;
/// A client with all of its connections may hold so many shares by large heads: some come from behind an address that is many people's.
const SHARES_OF_CLIENT: u64 = 32;
/// What is no larger is not counted by client, which takes a look-up. Most heads are smaller.
const SMALL: u32 = 2 << 10;

impl Gateway {
    /// The memory for a request's head, unless all of it is taken, or all of its client's share.
    #[inline]
    pub(super) fn reserve_head(&mut self, front: ConnId, fields: &mut FieldSection) -> Option<Reservation> {
        fields.fit();
        let octets = octets_of(fields);
        let held = if self.has_share(front, 0, octets) { self.heads.reserve(octets) } else { None };
        match held {
            Some(_) => self.charge_heads(front, 0, octets),
            None => self.account.hit(Limit::Heads),
        }
        held
    }

    /// Whether a request of the client may hold so many octets in place of those before.
    fn has_share(&self, front: ConnId, before: u32, octets: u32) -> bool {
        let Some(Side::Front { heads, peer, .. }) = self.conns.get(front).map(|entry| &entry.side) else {
            return true;
        };
        let least = u64::from(self.config.front.max_header_list_size) * HEADS_MIN;
        let share = (self.config.head_ledger_octets / SHARES).max(least);
        let (before, octets) = (u64::from(before), u64::from(octets));
        let fits = |held: u64, share: u64| held <= before || held - before + octets <= share;
        fits(u64::from(*heads), share)
            && (octets <= u64::from(SMALL) || fits(self.clients.heads_of(peer), share * SHARES_OF_CLIENT))
    }

    /// A request of the client holds so many octets in place of those before.
    fn charge_heads(&mut self, front: ConnId, before: u32, octets: u32) {
        let Some(Side::Front { heads, peer, .. }) = self.conns.get_mut(front).map(|entry| &mut entry.side)
        else {
            return;
        };
        *heads = heads.saturating_sub(before).saturating_add(octets);
        let large = |octets: u32| if octets > SMALL { octets } else { 0 };
        if large(before) != large(octets) {
            self.clients.hold_heads(peer, large(before), large(octets));
        }
    }

    /// A request of the client is over, whose head and trailers held this.
    #[inline]
    pub(super) fn end_sections(&mut self, front: ConnId, sections: Option<Reservation>) {
        let Some(sections) = sections else { return };
        self.charge_heads(front, sections.octets(), 0);
        self.release_sections(sections);
    }

    /// A request is over. Its record, if somebody reads them, holds its head until it is taken.
    #[inline(always)]
    fn release_sections(&mut self, sections: Reservation) {
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
        let (front, held) = (request.awaiting.front.conn, &mut request.awaiting.sections);
        let before = held.as_ref().map_or(0, Reservation::octets);
        let sum = before.saturating_add(octets_of(&fields).saturating_mul(2));
        if self.has_share(front, before, sum) && self.raise_sections(key, sum) {
            self.charge_heads(front, before, sum);
            return Some(fields);
        }
        self.account.hit(Limit::Heads);
        self.keep_section(fields);
        self.cancel_backend(key, now);
        self.fail_request(key, Cause::MemoryLimit, now);
        None
    }
}

impl Gateway {
    fn raise_sections(&mut self, key: RequestKey, octets: u32) -> bool {
        let held = self.requests.get_mut(key).map(|request| &mut request.awaiting.sections);
        held.is_some_and(|held| self.heads.raise(held, octets))
    }
}

/// The size that SETTINGS_MAX_HEADER_LIST_SIZE counts by. The memory is at most twice that, or small: what a section has of lines before it
/// goes by who used it last, and must change nothing.
pub(super) fn octets_of(fields: &FieldSection) -> u32 {
    u32::try_from(fields.size()).unwrap_or(u32::MAX)
}
