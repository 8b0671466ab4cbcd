//! Every limit and every threshold, with its default and its reason; validated once.

use core::fmt;

use crate::address::Address;
use crate::time::Duration;

/// The largest flow-control window (RFC 9113 section 6.9.1).
pub const MAX_WINDOW: u32 = (1 << 31) - 1;
/// The window that every connection and stream starts with (RFC 9113 section 6.9.2).
pub const DEFAULT_WINDOW: u32 = 65_535;

/// What one HTTP/2 connection announces and tolerates, in either role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// SETTINGS_HEADER_TABLE_SIZE that we announce, in octets. 0 to 65,536.
    pub header_table_size: u32,
    /// The largest dynamic table that our encoder uses although the peer allows more, in octets. 0 to 65,536.
    pub encoder_table_size: u32,
    /// SETTINGS_MAX_CONCURRENT_STREAMS that a server announces. 1 to 2^31-1. nghttpx and HAProxy: 100.
    pub max_concurrent_streams: u32,
    /// SETTINGS_INITIAL_WINDOW_SIZE that we announce, in octets. 0 to 2^31-1.
    pub initial_window_size: u32,
    /// The connection's receive window, in octets. 65,535 to 2^31-1 (it cannot start lower, RFC 9113 6.9.2).
    pub connection_window_size: u32,
    /// SETTINGS_MAX_HEADER_LIST_SIZE that we announce and hold, with 32 octets a field (6.5.2). nghttpx: 64 KiB.
    pub max_header_list_size: u32,
    /// Fields of one section, each cookie crumb counted. Envoy and nghttpx: 100; Sozu: 128.
    pub max_fields: u32,
    /// CONTINUATION frames of one field block. nghttp2: 8.
    pub max_continuations: u32,
    /// Settings in one SETTINGS frame. nghttp2: 32.
    pub max_settings: u32,
    /// Answers to control frames (acknowledgements, resets) that may wait in the outbox. nghttp2: 1000.
    pub max_queued_control_frames: u32,
    /// Interim responses before the final one. Go: 5 by count, others by octets.
    pub max_interim_responses: u32,
    /// Whether a request must say its authority, in `:authority` or in `host`: who guesses one routes by accident.
    pub authority_required: bool,
    /// Octets in the outbox above which no DATA is cut; at twice as many no input is read.
    pub outbox_high_mark: usize,
    /// How many streams a client opens before the server's first SETTINGS came. RFC 9113 6.5.2 recommends 100 or more.
    pub assumed_max_concurrent_streams: u32,
    /// How many streams a client opens where the server allows more or announces no limit.
    pub max_concurrent_streams_cap: u32,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            header_table_size: 4096,
            encoder_table_size: 4096,
            max_concurrent_streams: 100,
            initial_window_size: DEFAULT_WINDOW,
            connection_window_size: 1 << 20,
            max_header_list_size: 64 << 10,
            max_fields: 128,
            max_continuations: 8,
            max_settings: 32,
            max_queued_control_frames: 1000,
            max_interim_responses: 16,
            authority_required: true,
            outbox_high_mark: 128 << 10,
            assumed_max_concurrent_streams: 100,
            max_concurrent_streams_cap: 250,
        }
    }
}

impl ConnectionConfig {
    /// Checks every value against its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let max_window = u64::from(MAX_WINDOW);
        range("header_table_size", self.header_table_size.into(), 0, 65_536)?;
        range("encoder_table_size", self.encoder_table_size.into(), 0, 65_536)?;
        range("max_concurrent_streams", self.max_concurrent_streams.into(), 1, max_window)?;
        range("initial_window_size", self.initial_window_size.into(), 0, max_window)?;
        range(
            "connection_window_size",
            self.connection_window_size.into(),
            DEFAULT_WINDOW.into(),
            max_window,
        )?;
        range("max_header_list_size", self.max_header_list_size.into(), 256, 16 << 20)?;
        range("max_fields", self.max_fields.into(), 8, 65_535)?;
        range("max_continuations", self.max_continuations.into(), 0, 1024)?;
        range("max_settings", self.max_settings.into(), 6, 2730)?;
        range("max_queued_control_frames", self.max_queued_control_frames.into(), 8, 1_000_000)?;
        range("max_interim_responses", self.max_interim_responses.into(), 1, 1000)?;
        range("outbox_high_mark", self.outbox_high_mark as u64, 1, 1 << 30)?;
        range("assumed_max_concurrent_streams", self.assumed_max_concurrent_streams.into(), 1, max_window)?;
        range("max_concurrent_streams_cap", self.max_concurrent_streams_cap.into(), 1, max_window)
    }
}

/// Deadlines of the gateway. Each goes by progress, from the first octet of what it watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From accept to the end of the client's preface with its SETTINGS.
    pub preface: Duration,
    /// From the order to connect until the connection stands.
    pub connect: Duration,
    /// From a request's hand-over to the backend until its final response head.
    pub response: Duration,
    /// How long a request may wait frozen.
    pub queue: Duration,
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
            queue: Duration::from_secs(10),
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
            ("queue", self.queue),
            ("front_idle", self.front_idle),
            ("backend_idle", self.backend_idle),
            ("linger", self.linger),
            ("write_stall", self.write_stall),
            ("stream_idle", self.stream_idle),
        ];
        all.into_iter().try_for_each(|(name, duration)| {
            range(name, u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), 1, 86_400_000)
        })
    }
}

/// Where requests go: one upstream with its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// The endpoints, HTTP/2 with prior knowledge. At least one.
    pub endpoints: Vec<Address>,
    /// Backend connections to one endpoint. 1 to 1024.
    pub max_connections_per_endpoint: u32,
    /// How often a request is handed to a backend when backends prove that they did not process it. 1 to 1000.
    pub max_attempts: u32,
    /// Frozen requests that may wait. 1 to 1,000,000; one more is answered 503.
    pub max_queued: u32,
}

impl UpstreamConfig {
    /// An upstream with these endpoints and default limits.
    pub fn new(endpoints: Vec<Address>) -> Self {
        Self { endpoints, max_connections_per_endpoint: 16, max_attempts: 32, max_queued: 10_000 }
    }
}

/// The configuration of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Connections from clients.
    pub front: ConnectionConfig,
    /// Connections to backends.
    pub backend: ConnectionConfig,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// Where requests go.
    pub upstream: UpstreamConfig,
    /// Client connections at a time. One more pauses the listeners.
    pub max_fronts: u32,
    /// Octets of backend stream windows that may be promised at a time: the worker's byte ledger.
    pub ledger_octets: u64,
    /// Octets of clients' stream windows for which memory is kept, so that uploads that wait do not stop others of the same
    /// client; above that they do.
    pub upload_ledger_octets: u64,
    /// Octets that one `recv_buf` offers at most. At least 33 KiB, so that the largest frame fits twice.
    pub recv_buffer_octets: usize,
    /// The name in `via` fields (RFC 9110 section 7.6.3).
    pub via: String,
    /// Whether the gateway emits [`Action::Record`](crate::gateway::Action::Record)s.
    pub records: bool,
}

impl Config {
    /// Defaults with these endpoints.
    pub fn new(endpoints: Vec<Address>) -> Self {
        Self {
            front: ConnectionConfig::default(),
            backend: ConnectionConfig { max_concurrent_streams: 1, ..ConnectionConfig::default() },
            timeouts: Timeouts::default(),
            upstream: UpstreamConfig::new(endpoints),
            max_fronts: 100_000,
            ledger_octets: 1 << 30,
            upload_ledger_octets: 256 << 20,
            recv_buffer_octets: 256 << 10,
            via: "shuntyard".to_owned(),
            records: false,
        }
    }

    /// Checks every value against its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.front.validate()?;
        self.backend.validate()?;
        self.timeouts.validate()?;
        range("endpoints", self.upstream.endpoints.len() as u64, 1, 1024)?;
        range("max_connections_per_endpoint", self.upstream.max_connections_per_endpoint.into(), 1, 1024)?;
        range("max_attempts", self.upstream.max_attempts.into(), 1, 1000)?;
        range("max_queued", self.upstream.max_queued.into(), 1, 1_000_000)?;
        range("max_fronts", self.max_fronts.into(), 1, 10_000_000)?;
        range(
            "ledger_octets",
            self.ledger_octets,
            u64::from(self.backend.initial_window_size).max(1),
            1 << 40,
        )?;
        range("upload_ledger_octets", self.upload_ledger_octets, 0, 1 << 40)?;
        range("recv_buffer_octets", self.recv_buffer_octets as u64, 33 << 10, 16 << 20)?;
        range("via", self.via.len() as u64, 1, 256)?;
        token("via", &self.via)
    }
}

fn range(name: &'static str, value: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(ConfigError::OutOfRange { name, value, min, max }) }
}

/// RFC 9110 section 5.6.2.
fn token(name: &'static str, text: &str) -> Result<(), ConfigError> {
    let is_token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    if text.bytes().all(is_token) { Ok(()) } else { Err(ConfigError::NotToken { name }) }
}

/// What is wrong with a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A number lies outside its range.
    OutOfRange {
        /// The field.
        name: &'static str,
        /// Its value; of a duration, in milliseconds; of a list or a text, its length.
        value: u64,
        /// The smallest value allowed.
        min: u64,
        /// The largest value allowed.
        max: u64,
    },
    /// A text has characters that no token has (RFC 9110 section 5.6.2).
    NotToken {
        /// The field.
        name: &'static str,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { name, value, min, max } => {
                write!(f, "{name} is {value}, but must lie between {min} and {max}")
            }
            Self::NotToken { name } => {
                write!(f, "{name} may have letters, digits and !#$%&'*+-.^_`|~ only")
            }
        }
    }
}

impl core::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new(vec![Address::unspecified()])
    }

    #[test]
    fn defaults_are_valid() {
        assert_eq!(config().validate(), Ok(()));
    }

    #[test]
    fn a_deadline_of_no_time_would_never_end() {
        let mut config = config();
        config.timeouts.front_idle = Duration::ZERO;
        let error = ConfigError::OutOfRange { name: "front_idle", value: 0, min: 1, max: 86_400_000 };
        assert_eq!(config.validate(), Err(error));
    }

    #[test]
    fn via_is_a_token() {
        let mut config = config();
        config.via = "a\r\nb".to_owned();
        assert_eq!(config.validate(), Err(ConfigError::NotToken { name: "via" }));
        config.via = String::new();
        assert!(config.validate().is_err());
    }
}
