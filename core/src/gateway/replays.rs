//! What is kept of requests' content, so that it can be sent again: the worker's memory for that, with a share for each client.

use crate::gateway::conn::{Conn, Side};
use crate::gateway::spare::Spare;
use crate::key::{ConnMarker, Slab};
use crate::ledger::Ledger;
use crate::outbox::OctetQueue;
use crate::request::{Awaiting, Replay};

/// The memory, and what of it one client's requests may hold.
#[derive(Clone, Debug)]
pub(super) struct Replays {
    ledger: Ledger,
    share: u64,
}

type Conns = Slab<Conn, ConnMarker>;

impl Replays {
    pub(super) const fn new(octets: u64, share: u64) -> Self {
        Self { ledger: Ledger::new(octets), share }
    }

    /// Other limits: what is held already stays.
    pub(super) const fn set_limits(&mut self, octets: u64, share: u64) {
        self.ledger.set_limit(octets);
        self.share = share;
    }

    /// Octets held.
    pub(super) const fn reserved(&self) -> u64 {
        self.ledger.reserved()
    }

    /// Content is given to a backend, which keeps at most `max` octets of a request for another attempt.
    pub(super) fn keep(
        &mut self,
        data: &[u8],
        max: u32,
        awaiting: &mut Awaiting,
        conns: &mut Conns,
        spare: &mut Spare,
    ) {
        self.change(awaiting, conns, |replay, ledger, room| replay.keep(data, max.min(room), ledger, spare));
    }

    /// The same for content that waited, which is moved.
    pub(super) fn keep_all(
        &mut self,
        content: OctetQueue,
        max: u32,
        awaiting: &mut Awaiting,
        conns: &mut Conns,
        spare: &mut Spare,
    ) {
        self.change(awaiting, conns, |replay, ledger, room| {
            replay.keep_all(content, max.min(room), ledger, spare);
        });
    }

    /// The request will not be sent again.
    #[inline]
    pub(super) fn end(&mut self, awaiting: &mut Awaiting, conns: &mut Conns, spare: &mut Spare) {
        // Most requests have no content.
        if awaiting.replay.reserved() == 0 {
            return awaiting.replay.end(&mut self.ledger, spare);
        }
        self.change(awaiting, conns, |replay, ledger, _| replay.end(ledger, spare));
    }

    /// The request is over.
    #[inline]
    pub(super) fn settle(&mut self, awaiting: &mut Awaiting, conns: &mut Conns, spare: &mut Spare) {
        if awaiting.replay.reserved() == 0 {
            return awaiting.replay.settle(&mut self.ledger, spare);
        }
        self.change(awaiting, conns, |replay, ledger, _| replay.settle(ledger, spare));
    }

    /// Changes what is kept of one request, which may hold `room` octets in all, and keeps account of its client's.
    #[inline]
    fn change(
        &mut self,
        awaiting: &mut Awaiting,
        conns: &mut Conns,
        change: impl FnOnce(&mut Replay, &mut Ledger, u32),
    ) {
        let before = awaiting.replay.reserved();
        let mut no_client = 0;
        let held = match conns.get_mut(awaiting.front.conn).map(|entry| &mut entry.side) {
            Some(Side::Front { replayed, .. }) => replayed,
            // It has gone, and its requests with it.
            Some(Side::Backend(_)) | None => &mut no_client,
        };
        let others = held.saturating_sub(before.into());
        let room = u32::try_from(self.share.saturating_sub(others)).unwrap_or(u32::MAX);
        change(&mut awaiting.replay, &mut self.ledger, room);
        *held = others.saturating_add(awaiting.replay.reserved().into());
    }
}
