//! An engine: the owner of one backend connection, from the order to connect until the connection is given up.
//!
//! While it has requests it has a seat in an [entry](crate::registry::Entry) of the registry. Out of requests it has none:
//! its connection is idle, with the session alive on it, until another entry adopts it.

use crate::deadline::DeadlineKey;
use crate::h2::StreamKey;
use crate::key::{EndpointId, EntryKey};
use crate::ledger::{Ledger, Permit};
use crate::outbox::Loudness;
use crate::session::Session;
use crate::time::Instant;

/// How far an engine has come. What the peer says moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnginePhase {
    /// The connection does not stand yet.
    Connecting,
    /// Requests can be thawed on it, slots permitting.
    Open,
    /// The backend or the gateway goes away: what is live is finished, nothing new is thawed.
    Draining,
}

/// Streams of an engine whose content nobody wants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leftovers {
    /// The streams, in the order in which their time ends.
    pub streams: Vec<Leftover>,
    /// When the first of them has had its time.
    pub deadline: Option<DeadlineKey>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leftover {
    /// The stream.
    pub stream: StreamKey,
    /// Octets that may still come.
    pub octets: u32,
    /// When they must be over.
    pub until: Instant,
}

/// An engine.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    /// Numbers the backend connections of a gateway, for records.
    pub number: u64,
    /// Where its connection goes.
    pub endpoint: EndpointId,
    /// Whose requests it serves; `None` while it is idle, or drains, or connects for somebody who has gone.
    pub entry: Option<EntryKey>,
    /// Its connection waits at its endpoint for an entry that adopts it.
    pub idle: bool,
    /// It has not told its limits in good time.
    pub slow: bool,
    /// Its backend allows no stream on it for now, which its endpoint counts.
    pub barred: bool,
    /// Its backend understands requests for tunnels, which its endpoint counts.
    pub offers_tunnels: bool,
    /// Its backend has seen too many requests taken back, and rests: the next look at it.
    pub easing: Option<DeadlineKey>,
    /// Streams whose requests have got another answer, if there are any.
    pub leftovers: Option<Box<Leftovers>>,
    /// Requests that it was of no use to: not processed, as its backend has said or is known, or lost without a word.
    pub in_vain: u16,
    /// Whether there was much output at once lately.
    pub loudness: Loudness,
    phase: EnginePhase,
    /// The streams that may be open before the peer's SETTINGS came.
    streams_assumed: u32,
    /// The streams that may be open by the upstream's scope.
    streams_cap: u32,
}

impl Engine {
    /// An engine whose connection was ordered, of the entry if it is for one. At most `streams_cap` streams are ever open on it, and until the
    /// peer's SETTINGS come at most `streams_assumed`.
    pub(crate) const fn new(
        number: u64,
        endpoint: EndpointId,
        entry: Option<EntryKey>,
        (streams_assumed, streams_cap): (u32, u32),
    ) -> Self {
        let phase = EnginePhase::Connecting;
        Self {
            number,
            endpoint,
            entry,
            idle: false,
            slow: false,
            barred: false,
            offers_tunnels: false,
            easing: None,
            leftovers: None,
            in_vain: 0,
            loudness: Loudness::QUIET,
            phase,
            streams_assumed,
            streams_cap,
        }
    }

    /// How far it has come.
    pub(crate) const fn phase(&self) -> EnginePhase {
        self.phase
    }

    /// The connection stands.
    pub(crate) const fn connected(&mut self) {
        if matches!(self.phase, EnginePhase::Connecting) {
            self.phase = EnginePhase::Open;
        }
    }

    /// Nothing new is thawed from now on.
    pub(crate) const fn drain(&mut self) {
        self.phase = EnginePhase::Draining;
    }

    /// How many requests could be thawed now, by the peer's limit and our own (RFC 9113 section 5.1.2).
    #[inline(always)]
    pub(crate) fn free_slots(&self, session: &Session) -> u32 {
        let limit = match self.phase {
            EnginePhase::Open if session.is_established() => self.streams_cap,
            // Who keeps others waiting for so long may never tell them.
            EnginePhase::Open if self.slow => 0,
            EnginePhase::Open => self.streams_assumed.min(self.streams_cap),
            EnginePhase::Connecting | EnginePhase::Draining => 0,
        };
        limit.saturating_sub(session.open_streams() as u32).min(session.open_slots())
    }

    /// A stream for one request: a free slot under the peer's limit, and the memory for what the backend may send on it.
    pub(crate) fn permit(&self, session: &Session, ledger: &mut Ledger, octets: u32) -> Option<Permit> {
        if self.free_slots(session) == 0 { None } else { ledger.reserve(octets).map(Permit::new) }
    }
}
