//! The gateway: everything an adapter sees. Events are its `handle_*` methods, actions come out of its `poll_*` methods.

mod contract;

pub use contract::{Accepted, Action, Closed, Command, ConnId, ConnMarker, Connected, RecvBuf, Transmit};
pub use crate::record::{Cause, EndRecord, Outcome, Record, RequestId};

use crate::config::{Config, ConfigError};
use crate::time::{Instant, WallClock};

/// A gateway: a pure function of configuration, seed, events and time.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
}

impl Gateway {
    /// A gateway without any connection.
    pub fn new(config: Config, _seed: u64, _now: Instant, _wall: WallClock) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { config })
    }

    /// A client's connection was accepted. The gateway always gives it an id; past its limits it closes it.
    pub fn handle_accept(&mut self, _info: Accepted, _now: Instant) -> ConnId {
        ConnId::from_bits(self.config.max_fronts.into())
    }
    /// A connection that [`Action::Connect`] asked for stands.
    pub fn handle_connected(&mut self, _conn: ConnId, _facts: Connected, _now: Instant) {}
    /// Where to read to.
    pub fn recv_buf(&mut self, _conn: ConnId) -> RecvBuf<'_> {
        RecvBuf::Gone
    }
    /// `n` octets were read into the buffer that `recv_buf(conn)` just lent.
    pub fn handle_recv(&mut self, _conn: ConnId, _n: usize, _now: Instant) {}
    /// The peer has shut its sending direction down.
    pub fn handle_read_closed(&mut self, _conn: ConnId, _now: Instant) {}
    /// `n` octets of what `poll_transmit` showed left.
    pub fn handle_sent(&mut self, _conn: ConnId, _n: usize, _now: Instant) {}
    /// The transport of the connection is gone.
    pub fn handle_closed(&mut self, _conn: ConnId, _why: Closed, _now: Instant) {}
    /// It is (at least) the time that `poll_timeout` named.
    pub fn handle_timeout(&mut self, _now: Instant) {}
    /// The operator wants something.
    pub fn handle_command(&mut self, _command: Command, _now: Instant) {}
    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        None
    }
    /// Octets to write to a connection. Cuts DATA frames: so the moment is an input.
    pub fn poll_transmit(&mut self, _conn: ConnId, _now: Instant) -> Option<Transmit<'_>> {
        None
    }
    /// When `handle_timeout` is wanted at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}
