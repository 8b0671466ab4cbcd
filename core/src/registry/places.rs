//! Places for connections to backends, of all upstreams together, and who waits for one.

use std::collections::VecDeque;

use crate::key::{ConnId, EntryKey, UpstreamKey};
use crate::registry::Registry;

/// All places of a gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// How many there are.
    most: u32,
    /// How many are taken, by connections from the order to connect to their end.
    taken: u32,
    /// Upstreams that wanted one where none was left, each once, in turn.
    waiting: VecDeque<UpstreamKey>,
    /// Whose turn it is.
    granted: Option<UpstreamKey>,
    /// Upstreams whose endpoints have fewer connections than they should, for which none was left either: when nobody else waits.
    short: Vec<UpstreamKey>,
    /// Whose place will be free in a moment.
    leaving: Option<ConnId>,
}

impl Places {
    const fn is_left(&self) -> bool {
        self.taken < self.most
    }

    /// A connection was ordered. Who had waited for that waits for the next one.
    pub(super) const fn take(&mut self) {
        self.taken = self.taken.saturating_add(1);
        self.granted = None;
    }
}

impl Registry {
    /// There are so many places from now on.
    pub(crate) const fn set_places(&mut self, most: u32) {
        self.places.most = most;
    }

    /// Whether the upstream may have another connection: nobody has waited for the place longer.
    pub(crate) fn has_place(&self, upstream: UpstreamKey) -> bool {
        let Places { waiting, granted, .. } = &self.places;
        self.places.is_left() && (waiting.is_empty() || *granted == Some(upstream))
    }

    /// Whether there may be a connection that nobody waits for.
    pub(crate) fn has_spare_place(&self) -> bool {
        let Places { waiting, granted, .. } = &self.places;
        self.places.is_left() && waiting.is_empty() && granted.is_none()
    }

    /// Endpoints of the upstream have to have fewer connections than they should for now.
    pub(crate) fn stay_short(&mut self, upstream: UpstreamKey) {
        if let Some(of) = self.upstreams.get_mut(upstream)
            && !core::mem::replace(&mut of.short, true)
        {
            self.places.short.push(upstream);
        }
    }

    /// The upstream wants another connection, and has to wait for its place.
    pub(crate) fn await_place(&mut self, upstream: UpstreamKey) {
        if let Some(of) = self.upstreams.get_mut(upstream)
            && !core::mem::replace(&mut of.awaits_place, true)
        {
            self.places.waiting.push_back(upstream);
        }
    }

    /// Whether the entry waits for a place.
    pub(crate) fn awaits_place(&self, entry: EntryKey) -> bool {
        let upstream = || self.upstreams.get(self.entries.get(entry)?.upstream);
        // Mostly nobody does.
        !self.places.waiting.is_empty() && upstream().is_some_and(|of| of.awaits_place)
    }

    /// Whether a request waits for a place, and none is free, nor will be in a moment.
    #[inline]
    pub(crate) fn wants_place(&mut self) -> bool {
        // Of some all requests have gone, and they wait no more.
        while let Some(&first) = self.places.waiting.front()
            && self.upstreams.get(first).is_none_or(|of| of.queued == 0)
        {
            self.end_waiting();
        }
        !self.places.waiting.is_empty() && !self.is_place_near()
    }

    /// Whether a place is free, or will be in a moment.
    pub(super) const fn is_place_near(&self) -> bool {
        self.places.is_left() || self.places.leaving.is_some()
    }

    /// The connection goes to make room.
    pub(crate) const fn makes_room(&mut self, conn: ConnId) {
        self.places.leaving = Some(conn);
    }

    /// The place of a connection is free.
    pub(crate) fn leave_place(&mut self, conn: ConnId) {
        self.places.taken = self.places.taken.saturating_sub(1);
        self.places.leaving = self.places.leaving.filter(|&other| other != conn);
    }

    /// A free place goes to whoever has waited longest, and is looked at. Says whether there was somebody.
    #[inline]
    pub(crate) fn grant_place(&mut self) -> bool {
        self.places.granted = None;
        if !self.places.is_left() {
            return false;
        }
        let Some(upstream) = self.end_waiting() else {
            let short = self.places.short.pop();
            self.short.extend(short);
            return short.is_some();
        };
        self.places.granted = Some(upstream);
        self.wake_upstream(upstream);
        true
    }

    /// Whoever has waited longest waits no more.
    fn end_waiting(&mut self) -> Option<UpstreamKey> {
        let upstream = self.places.waiting.pop_front()?;
        if let Some(of) = self.upstreams.get_mut(upstream) {
            of.awaits_place = false;
        }
        Some(upstream)
    }
}
