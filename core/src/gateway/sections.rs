//! The memory for field sections of requests that are under way: their heads, kept to be sent again, and trailers, which wait behind
//! content. There is so much for a worker, however many clients it has: each connection has a share of that, and so has each client with all of its
//! connections, for heads that are larger than most.

use crate::config::Config;
use crate::counters::Limit;
use crate::fields::FieldSection;
use crate::gateway::conn::Side;
use crate::gateway::{ConnId, Gateway};
use crate::ledger::Reservation;
use crate::record::Cause;
use crate::request::RequestKey;
use crate::time::Instant;

/// Into so many shares the memory for heads is divided, one of which a connection of a client may hold; but so many of the largest heads in any
/// case, and a small one for each stream that it may have.
pub(super) const SHARES: u64 = 256;
const HEADS_MIN: u64 = 4;
/// A client with all of its connections may hold so many shares by large heads, but not more than half of all: some come from behind an address that
/// is many people's.
const SHARES_OF_CLIENT: u64 = 32;
/// What is no larger is not counted by client, which takes a look-up. Most heads are smaller.
const SMALL: u32 = 2 << 10;

/// What a connection of a client may hold by heads.
fn share(config: &Config) -> u64 {
    let front = &config.front;
    let heads = u64::from(front.max_header_list_size) * HEADS_MIN;
    let streams = u64::from(front.max_concurrent_streams) * u64::from(SMALL);
    // A connection counts in 32 bits.
    (config.head_ledger_octets / SHARES).max(heads).max(streams).min(u32::MAX.into())
}

/// Who has no room for a head, or trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// The connection, which has it all itself.
    Connection,
    /// Its client, with all of its connections.
    Client,
}

/// What a client may hold by large heads, of whose connections each may hold so much.
fn share_of_client(config: &Config, share: u64) -> u64 {
    (share * SHARES_OF_CLIENT).min(config.head_ledger_octets / 2).max(share)
}

impl Gateway {
    /// The memory for a request's head, unless all of it is taken, or all of its client's share.
    #[inline]
    pub(super) fn reserve_head(&mut self, front: ConnId, fields: &mut FieldSection) -> Option<Reservation> {
        fields.fit();
        let octets = octets_of(fields);
        let share = self.take_share(front, 0, octets);
        let held = if share.is_ok() { self.heads.reserve(octets) } else { None };
        if held.is_none() {
            self.account.hit(Limit::Heads);
            match share {
                Ok(()) => self.change_share(front, octets, 0),
                // It was decoded for nothing: a client that goes on like that pays for it.
                Err(Full::Connection) => {
                    self.conns.get_mut(front).into_iter().for_each(|entry| entry.session.charge_reset());
                }
                // Others may have taken what was left of it.
                Err(Full::Client) => {}
            }
        }
        held
    }

    /// A request of the client is to hold so many octets in place of those before. Says who has no room for it, if somebody has none.
    fn take_share(&mut self, front: ConnId, before: u32, octets: u32) -> Result<(), Full> {
        let Some(Side::Front { heads, peer, .. }) = self.conns.get(front).map(|entry| &entry.side) else {
            return Ok(());
        };
        let share = share(&self.config);
        let fits = |held: u64, share: u64| {
            held <= before.into() || held - u64::from(before) + u64::from(octets) <= share
        };
        if !fits(u64::from(*heads), share) {
            return Err(Full::Connection);
        }
        if octets > SMALL && !fits(self.clients.heads_of(peer), share_of_client(&self.config, share)) {
            return Err(Full::Client);
        }
        self.change_share(front, before, octets);
        Ok(())
    }

    /// A request of the client holds so many octets in place of those before.
    fn change_share(&mut self, front: ConnId, before: u32, octets: u32) {
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
        self.change_share(front, sections.octets(), 0);
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
        let Some(request) = self.requests.get(key) else {
            self.keep_section(fields);
            return None;
        };
        let front = request.awaiting.front.conn;
        let before = request.awaiting.sections.as_ref().map_or(0, Reservation::octets);
        let sum = before.saturating_add(octets_of(&fields).saturating_mul(2));
        let share = self.take_share(front, before, sum);
        if share.is_ok() {
            let held = self.requests.get_mut(key).map(|request| &mut request.awaiting.sections);
            if held.is_some_and(|held| self.heads.raise(held, sum)) {
                return Some(fields);
            }
            self.change_share(front, sum, before);
        }
        self.account.hit(Limit::Heads);
        self.keep_section(fields);
        // The worker's shortage is nobody's doing, and neither are trailers of a backend, which come behind all of the request.
        if share == Err(Full::Connection)
            && self.requests.get(key).is_some_and(|request| !request.awaiting.content_end)
        {
            self.charge_client(key);
        }
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
