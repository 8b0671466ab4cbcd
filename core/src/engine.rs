//! An engine: the owner of one backend connection, from the order to connect until the connection is given up.

use crate::h2::Connection;
use crate::key::ConnId;
use crate::request::RequestKey;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineTarget {
    /// A connection.
    Conn(ConnId),
    /// A request.
    Request(RequestKey),
    /// The drain of the whole gateway.
    Drain,
    /// The pause after a dial that failed.
    Redial,
}

/// How far an engine has come. What the peer says moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnginePhase {
    /// The connection does not stand yet.
    Connecting,
    /// Requests can be thawed on it, slots permitting.
    Open,
    /// The backend or the gateway goes away: what is live is finished, nothing new is thawed.
    Draining,
}

/// An engine.
#[derive(Debug)]
pub struct Engine {
    /// The endpoint, by its place in the configuration.
    pub endpoint: usize,
    phase: EnginePhase,
}

impl Engine {
    /// An engine whose connection was ordered.
    pub const fn new(endpoint: usize) -> Self {
        Self { endpoint, phase: EnginePhase::Connecting }
    }

    /// How far it has come.
    pub const fn phase(&self) -> EnginePhase {
        self.phase
    }

    /// The connection stands.
    pub const fn connected(&mut self) {
        if matches!(self.phase, EnginePhase::Connecting) {
            self.phase = EnginePhase::Open;
        }
    }

    /// Nothing new is thawed from now on.
    pub const fn drain(&mut self) {
        self.phase = EnginePhase::Draining;
    }

    /// How many requests could be thawed now, by the peer's limit and our own (RFC 9113 section 5.1.2).
    pub fn free_slots(&self, connection: &Connection) -> u32 {
        match self.phase {
            EnginePhase::Open => connection.open_slots(),
            EnginePhase::Connecting | EnginePhase::Draining => 0,
        }
    }

    /// A stream for one request: a free slot under the peer's limit, and the memory for what the backend may send on it.
    pub fn permit(&self, connection: &Connection, ledger: &mut Ledger, octets: u32) -> Option<Permit> {
        if self.free_slots(connection) == 0 { None } else { ledger.reserve(octets) }
    }
}

/// The right to open one backend stream, with the memory reserved that its window promises. It goes back to the
/// [`Ledger`]; it can be neither copied nor made.
///
/// ```compile_fail
/// let permit = shuntyard_core::engine::Permit { octets: 0 };
/// ```
#[must_use = "a permit that is not given back is memory lost"]
#[derive(Debug)]
pub struct Permit {
    octets: u32,
}

/// The worker's account of memory that windows have promised: the memory is there before the window is.
#[derive(Clone, Debug)]
pub struct Ledger {
    limit: u64,
    reserved: u64,
}

impl Ledger {
    /// An account of `limit` octets.
    pub const fn new(limit: u64) -> Self {
        Self { limit, reserved: 0 }
    }

    /// Octets reserved.
    pub const fn reserved(&self) -> u64 {
        self.reserved
    }

    fn reserve(&mut self, octets: u32) -> Option<Permit> {
        let reserved = self.reserved.checked_add(octets.into()).filter(|&reserved| reserved <= self.limit)?;
        self.reserved = reserved;
        Some(Permit { octets })
    }

    /// The stream is over and nothing of it is buffered any more.
    pub const fn give_back(&mut self, permit: Permit) {
        let Permit { octets } = permit;
        self.reserved = self.reserved.saturating_sub(octets as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_is_never_overdrawn() {
        let mut ledger = Ledger::new(100);
        let first = ledger.reserve(60).expect("there is room");
        assert!(ledger.reserve(41).is_none());
        let second = ledger.reserve(40).expect("exactly enough");
        ledger.give_back(first);
        assert_eq!(ledger.reserved(), 40);
        ledger.give_back(second);
        assert_eq!(ledger.reserved(), 0);
    }
}
