//! An engine: the owner of one backend connection, from the order to connect until the connection is given up.

use crate::h2::Connection;
use crate::ledger::{Ledger, Permit};

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
    /// The streams that may be open before the peer's SETTINGS came.
    streams_assumed: u32,
}

impl Engine {
    /// An engine whose connection was ordered. Until the peer's SETTINGS come, at most `streams_assumed` streams are open.
    pub const fn new(endpoint: usize, streams_assumed: u32) -> Self {
        Self { endpoint, phase: EnginePhase::Connecting, streams_assumed }
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
            EnginePhase::Open if connection.is_established() => connection.open_slots(),
            EnginePhase::Open => {
                let left = self.streams_assumed.saturating_sub(connection.open_streams() as u32);
                connection.open_slots().min(left)
            }
            EnginePhase::Connecting | EnginePhase::Draining => 0,
        }
    }

    /// A stream for one request: a free slot under the peer's limit, and the memory for what the backend may send on it.
    pub fn permit(&self, connection: &Connection, ledger: &mut Ledger, octets: u32) -> Option<Permit> {
        if self.free_slots(connection) == 0 { None } else { ledger.reserve(octets).map(Permit::new) }
    }
}
