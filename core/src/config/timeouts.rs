//! Deadlines of the gateway.

use crate::config::{ConfigError, range_duration};
use crate::time::Duration;

/// Deadlines of the gateway. Each goes by progress, from the first octet of what it watches. A millisecond to a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From accept to the end of the client's preface with its SETTINGS. Default: 10 s.
    pub preface: Duration,
    /// From the order to connect until the connection stands. Default: 5 s.
    pub connect: Duration,
    /// From the moment at which the end of a request was cut for the backend until its final response head: a long upload is no slow backend.
    /// A request that never ends has `stream_idle`. Default: 60 s.
    pub response: Duration,
    /// From the first octet of a client's field block to its last, whatever else it does meanwhile. Default: 10 s.
    pub field_block: Duration,
    /// A front without any stream. Default: 75 s.
    pub front_idle: Duration,
    /// A backend connection without any stream. Default: 60 s.
    pub backend_idle: Duration,
    /// A connection of a client, from its begin: then it is asked to leave, so that balancers can spread clients anew. A tenth
    /// more or less, so that not all go at once. Default: an hour.
    pub front_age: Duration,
    /// A backend connection, from its begin: then it takes no more requests. A tenth more or less. Default: an hour.
    pub backend_age: Duration,
    /// A backend connection on which nothing was heard for so long is suspected when it is used again: the request goes
    /// out at once, and a PING with it. Default: a second.
    pub suspect_idle: Duration,
    /// A backend connection on which nothing was heard for so long while streams wait is suspected. Default: 20 s.
    pub suspect_silent: Duration,
    /// How long the answer to a PING may take before the connection is given up. Default: 5 s.
    pub ping: Duration,
    /// A connection that is being closed: how long the peer's input is discarded. Default: 2 s.
    pub linger: Duration,
    /// Output waits and the peer takes none of it, or a client's response waits and less than 16 KiB of it, or of what there is, are taken. Default: 60 s.
    pub write_stall: Duration,
    /// A stream whose response has begun, or whose request has not ended, and on which no content moves either way. Default: 300 s.
    pub stream_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            preface: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            response: Duration::from_secs(60),
            field_block: Duration::from_secs(10),
            front_idle: Duration::from_secs(75),
            backend_idle: Duration::from_secs(60),
            front_age: Duration::from_secs(3600),
            backend_age: Duration::from_secs(3600),
            suspect_idle: Duration::from_secs(1),
            suspect_silent: Duration::from_secs(20),
            ping: Duration::from_secs(5),
            linger: Duration::from_secs(2),
            write_stall: Duration::from_secs(60),
            stream_idle: Duration::from_secs(300),
        }
    }
}

impl Timeouts {
    /// Checks that each lies between a millisecond and a day.
    ///
    /// # Errors
    ///
    /// A value lies outside its range: [`ConfigError::OutOfRange`] names it.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let all = [
            ("preface", self.preface),
            ("connect", self.connect),
            ("response", self.response),
            ("field_block", self.field_block),
            ("front_idle", self.front_idle),
            ("backend_idle", self.backend_idle),
            ("front_age", self.front_age),
            ("backend_age", self.backend_age),
            ("suspect_idle", self.suspect_idle),
            ("suspect_silent", self.suspect_silent),
            ("ping", self.ping),
            ("linger", self.linger),
            ("write_stall", self.write_stall),
            ("stream_idle", self.stream_idle),
        ];
        all.into_iter().try_for_each(|(name, duration)| range_duration(name, duration))
    }
}
