//! Deadlines of the gateway.

use crate::config::{ConfigError, range_duration};
use crate::time::Duration;

/// Deadlines of the gateway. Each goes by progress, from the first octet of what it watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From accept to the end of the client's preface with its SETTINGS.
    pub preface: Duration,
    /// From the order to connect until the connection stands.
    pub connect: Duration,
    /// From a request's hand-over to the backend until its final response head.
    pub response: Duration,
    /// A front without any stream.
    pub front_idle: Duration,
    /// A backend connection without any stream.
    pub backend_idle: Duration,
    /// A connection that is being closed: how long the peer's input is discarded.
    pub linger: Duration,
    /// Output waits and the peer takes none of it: of a connection, or of a stream whose window stays closed.
    pub write_stall: Duration,
    /// A stream whose response has begun, or whose request has not ended, and on which no content moves either way.
    pub stream_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            preface: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            response: Duration::from_secs(60),
            front_idle: Duration::from_secs(75),
            backend_idle: Duration::from_secs(60),
            linger: Duration::from_secs(2),
            write_stall: Duration::from_secs(60),
            stream_idle: Duration::from_secs(300),
        }
    }
}

impl Timeouts {
    /// Checks that each lies between a millisecond and a day.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let all = [
            ("preface", self.preface),
            ("connect", self.connect),
            ("response", self.response),
            ("front_idle", self.front_idle),
            ("backend_idle", self.backend_idle),
            ("linger", self.linger),
            ("write_stall", self.write_stall),
            ("stream_idle", self.stream_idle),
        ];
        all.into_iter().try_for_each(|(name, duration)| range_duration(name, duration))
    }
}
