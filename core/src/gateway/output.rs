//! What waits in a client's outbox. Content stops at its mark, but heads of responses enter at once, for the order of encoding is the order on the
//! wire: memory beyond what twice the mark and one section need is the worker's for heads, until it has been given back. Each client has a share of that.

use crate::config::Config;
use crate::counters::Limit;
use crate::fields::FieldSection;
use crate::gateway::conn::{Life, Side};
use crate::gateway::sections::{SHARES, octets_of};
use crate::gateway::{ConnId, Gateway};
use crate::ledger::Reservation;
use crate::record::Cause;
use crate::request::RequestKey;
use crate::time::Instant;

impl Gateway {
    /// The memory for a section of a backend that is about to enter its client's outbox; says whether there is any.
    #[inline(always)]
    pub(super) fn reserve_output(&mut self, key: RequestKey, fields: &FieldSection) -> bool {
        let Some(request) = self.requests.get(key) else { return true };
        let front = request.awaiting.front.conn;
        let Some(entry) = self.conns.get_mut(front) else { return true };
        let section = octets_of(fields) as usize;
        // Mostly next to nothing waits, and memory for twice the mark is there.
        if section + entry.session.output_waiting() <= self.config.front.outbox_high_mark / 2 {
            return true;
        }
        let memory = entry.session.output_memory(section);
        memory <= 2 * self.config.front.outbox_high_mark || self.reserve_beyond(front, memory)
    }

    /// The same for trailers. Where they wait while the outbox is full they have the memory of their request.
    pub(super) fn reserve_last_output(&mut self, key: RequestKey, fields: &FieldSection) -> bool {
        let front = self.requests.get(key).and_then(|request| self.conns.get(request.awaiting.front.conn));
        front.is_some_and(|entry| entry.session.trailers_wait()) || self.reserve_output(key, fields)
    }

    fn reserve_beyond(&mut self, front: ConnId, memory: usize) -> bool {
        // Who takes nothing is not to have the memory of all.
        let share = u32::try_from(self.config.head_ledger_octets / SHARES).unwrap_or(u32::MAX);
        let share = share.max(self.config.backend.max_header_list_size);
        let octets = beyond(&self.config, memory);
        let Some(Side::Front { beyond, .. }) = self.conns.get_mut(front).map(|entry| &mut entry.side) else {
            return true;
        };
        let held = beyond.as_ref().map_or(0, Reservation::octets);
        if octets <= held || (octets <= share && self.heads.raise(beyond, octets)) {
            return true;
        }
        self.account.hit(Limit::Heads);
        false
    }

    /// There is no memory for a response's head or trailers.
    pub(super) fn refuse_output(&mut self, key: RequestKey, now: Instant) {
        self.cancel_backend(key, now);
        self.fail_request(key, Cause::MemoryLimit, now);
    }

    /// So many octets of the connection's output have left. Says whether it is still there, and stands: of one that does not nothing is shown.
    pub(super) fn output_left(&mut self, conn: ConnId, n: usize, now: Instant) -> bool {
        let Some(entry) = self.conns.get_mut(conn).filter(|entry| entry.life != Life::Connecting) else {
            return false;
        };
        entry.session.sent(n);
        if n > 0 {
            entry.waiting_since = Some(now);
            Self::asked(entry, now);
        }
        if let Side::Front { beyond: held @ Some(_), .. } = &mut entry.side {
            let octets = beyond(&self.config, entry.session.output_memory(0));
            let surplus = held.as_mut().map(|held| held.trim(octets));
            held.take_if(|held| held.octets() == 0);
            surplus.into_iter().for_each(|surplus| self.heads.give_back(surplus));
        }
        true
    }
}

/// What an outbox with so much memory has of the worker's memory for heads: half of what is beyond the bound of a connection, for that memory
/// counts twice (`config/bound`).
fn beyond(config: &Config, memory: usize) -> u32 {
    let excess = (memory as u64)
        .saturating_sub(config.outbox_memory(&config.front, config.backend.max_header_list_size));
    u32::try_from(excess.div_ceil(2)).unwrap_or(u32::MAX)
}
