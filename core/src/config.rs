//! Every limit and every threshold, with its default and its reason; validated once.

mod bound;
mod connection;
mod error;
mod forwarding;
mod header_rule;
mod names;
mod route;
mod timeouts;
mod upstream;

use std::sync::Arc;

pub use bound::MemoryBound;
#[cfg(test)]
pub(crate) use bound::{class_octets, table_octets};
pub use connection::ConnectionConfig;
pub use error::ConfigError;
pub use forwarding::{ForwardingConfig, NotPeers, Peers};
pub use header_rule::HeaderRule;
pub use names::NameGroups;
pub use route::{HostPattern, PathPattern, RouteConfig};
pub use timeouts::Timeouts;
pub use upstream::{
    Alpn, Balance, EndpointConfig, Host, Protocol, RetryConfig, Saturation, Scope, UpstreamConfig,
};

use crate::address::Address;
use crate::time::Duration;

/// The largest flow-control window (RFC 9113 section 6.9.1).
pub const MAX_WINDOW: u32 = (1 << 31) - 1;
/// The window that every connection and stream starts with (RFC 9113 section 6.9.2).
pub const DEFAULT_WINDOW: u32 = 65_535;

/// The configuration of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Connections from clients.
    pub front: ConnectionConfig,
    /// Connections to backends.
    pub backend: ConnectionConfig,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// Where requests go. 1 to 10,000; names are unique.
    pub upstreams: Vec<UpstreamConfig>,
    /// Which upstream serves a request: the first route that matches. A request that none matches is answered 404.
    /// 0 to 100,000.
    pub routes: Vec<RouteConfig>,
    /// Whether clients may speak HTTP/1.1. They or HTTP/2 it must be.
    pub http1: bool,
    /// Whether clients may speak HTTP/2, with prior knowledge (RFC 9113 section 3.3).
    pub http2: bool,
    /// Listeners of which more is said, each once. A new configuration changes nothing of them: they are as bound as their sockets.
    pub listeners: Vec<ListenerConfig>,
    /// Client connections at a time. Where so many are there, the one that has been idle longest is closed; while none is idle, the
    /// listeners rest. 1 to 10,000,000. Default: 100,000.
    pub max_fronts: u32,
    /// Client connections at a time of one address, or of one IPv6 network of 64 bits. One more is closed at once. Those that come by Unix
    /// sockets are nobody's. 1 to 10,000,000. Default: 25,000.
    pub max_fronts_per_client: u32,
    /// Connections to backends at a time, of all upstreams. At so many the one that has been idle longest is closed for whoever needs another; while none is
    /// idle, requests wait as where an endpoint has all connections that it may have, upstreams in turn. 1 to 4,294,967,295. Default: 4,294,967,295.
    pub backends_max: u32,
    /// Client connections that may be idle and keep the memory that they work with. Of more, those sleep that have been idle longest: they
    /// keep what HTTP/2 makes both sides remember, and nothing else. 0 to 10,000,000. Default: 256.
    pub fronts_awake: u32,
    /// Octets of backend stream windows that may be promised at a time: the worker's byte ledger. Once more than half is, all connections of a client (an
    /// address) have as much of the rest as is left. At least one initial window of a backend's
    /// stream, at most 2^40. Default: 1 GiB.
    pub ledger_octets: u64,
    /// Octets of that ledger that the requests of one client connection may hold: what exceeds it waits frozen, and disturbs
    /// no other client. At least one such window, at most 2^40. Default: 6400 KiB, a hundred windows of 65,535 octets.
    pub ledger_front_octets: u64,
    /// Octets of clients' stream windows for which memory is kept, so that uploads that wait do not stop others of the same
    /// client; above that they do. 0 to 2^40. Default: 256 MiB.
    pub upload_ledger_octets: u64,
    /// Octets of request content that are kept, so that requests which were not processed can be sent again whole. Counts 4.25
    /// times in the memory of a gateway: what is sent again lies in its stream's queue, too, both in memory that grows by doubling. 0 (no content is kept) to 2^40. Default: 64 MiB.
    pub replay_ledger_octets: u64,
    /// Octets of that memory that the requests of one client connection may hold. 0 to 2^40. Default: 896 KiB.
    pub replay_front_octets: u64,
    /// Octets of memory for heads of requests under way and for trailers, and for heads of responses beyond what an outbox may hold. 0 to 2^40.
    /// Default: 256 MiB. Above it new requests are answered 503, and an exchange whose response's head or trailers find none fails.
    ///
    /// - By heads of responses one connection of a client may hold a 256th of it, or one `max_header_list_size` of a backend if that is more.
    /// - By heads of requests and by trailers it may hold a 256th, four times `max_header_list_size`, or 2 KiB for each stream that it may have,
    ///   whichever is the most.
    /// - All connections of a client may hold 32 times what one may by requests' heads of more than 2 KiB, but no more than half of all memory for
    ///   heads; though never less than what one may, which in a small memory can be more than half of it.
    pub head_ledger_octets: u64,
    /// Octets that one `recv_buf` offers at most. At least 33 KiB, so that the largest frame fits twice; at most 16 MiB. Default: 256 KiB.
    pub recv_buffer_octets: usize,
    /// The name in `via` fields (RFC 9110 section 7.6.3). A request that bears it already has come in a circle: gateways in a
    /// row need names of their own. A token (RFC 9110 section 5.6.2) of 1 to 256 octets. Default: `shuntyard`.
    pub via: String,
    /// Whether responses get a `via` as well; RFC 9110 section 7.6.3 leaves that to gateways. Default: yes.
    pub via_in_responses: bool,
    /// What backends are told of clients.
    pub forwarding: ForwardingConfig,
    /// Whether the gateway emits [`Action::Record`](crate::gateway::Action::Record)s.
    pub records: bool,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Where it is: [`Accepted::local`](crate::gateway::Accepted) of its connections.
    pub address: Address,
    /// The only protocol that is spoken there; `None`: whatever may be spoken at all.
    pub only: Option<Protocol>,
    /// A balancer stands in front that says of each connection whose it is (the PROXY protocol). The adapter reads that before all else,
    /// and its own peers are not taken for clients.
    pub introduced: bool,
    /// Names whose clients are asked for certificates in a way of their own. A request for a name of another group than the one
    /// for which its connection was opened (SNI) is misdirected (421, RFC 9110 section 15.5.20). Where the adapter asks by name, these are the same
    /// names.
    pub groups: NameGroups,
}

impl ListenerConfig {
    /// A listener of which nothing more is said.
    pub fn new(address: Address) -> Self {
        Self { address, only: None, introduced: false, groups: NameGroups::default() }
    }
}

impl Config {
    /// Defaults with one upstream of these endpoints, which serves every request.
    pub fn new(endpoints: Vec<Address>) -> Self {
        Self::of_upstream(UpstreamConfig::new("default", endpoints))
    }

    /// Defaults with one upstream, which serves every request.
    pub fn of_upstream(upstream: UpstreamConfig) -> Self {
        Self {
            front: ConnectionConfig { extended_connect: true, ..ConnectionConfig::default() },
            backend: ConnectionConfig { max_concurrent_streams: 1, ..ConnectionConfig::default() },
            timeouts: Timeouts::default(),
            routes: vec![RouteConfig::any("default", Arc::clone(&upstream.name))],
            upstreams: vec![upstream],
            http1: true,
            http2: true,
            listeners: Vec::new(),
            max_fronts: 100_000,
            max_fronts_per_client: 25_000,
            backends_max: u32::MAX,
            fronts_awake: 256,
            ledger_octets: 1 << 30,
            ledger_front_octets: 6400 << 10,
            upload_ledger_octets: 256 << 20,
            replay_ledger_octets: 64 << 20,
            replay_front_octets: 896 << 10,
            head_ledger_octets: 256 << 20,
            recv_buffer_octets: 256 << 10,
            via: "shuntyard".to_owned(),
            via_in_responses: true,
            forwarding: ForwardingConfig::default(),
            records: false,
        }
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    ///
    /// A value lies outside its range, or two of them contradict each other: [`ConfigError`] says which.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.front.validate()?;
        self.backend.validate()?;
        self.timeouts.validate()?;
        if !self.http1 && !self.http2 {
            return Err(ConfigError::NoProtocol);
        }
        // A single connection may begin without windows. Behind a gateway's nothing with content would ever pass.
        for side in [&self.front, &self.backend] {
            range("initial_window_size", side.initial_window_size.into(), 1, u64::from(MAX_WINDOW))?;
        }
        range("upstreams", self.upstreams.len() as u64, 1, 10_000)?;
        range("routes", self.routes.len() as u64, 0, 100_000)?;
        self.upstreams.iter().try_for_each(UpstreamConfig::validate)?;
        self.routes.iter().try_for_each(RouteConfig::validate)?;
        self.names_agree()?;
        range("max_fronts", self.max_fronts.into(), 1, 10_000_000)?;
        range("max_fronts_per_client", self.max_fronts_per_client.into(), 1, 10_000_000)?;
        range("backends_max", self.backends_max.into(), 1, u32::MAX.into())?;
        range("fronts_awake", self.fronts_awake.into(), 0, 10_000_000)?;
        range("ledger_octets", self.ledger_octets, u64::from(self.backend.initial_window_size), 1 << 40)?;
        let window = u64::from(self.backend.initial_window_size);
        range("ledger_front_octets", self.ledger_front_octets, window, 1 << 40)?;
        range("upload_ledger_octets", self.upload_ledger_octets, 0, 1 << 40)?;
        range("replay_ledger_octets", self.replay_ledger_octets, 0, 1 << 40)?;
        range("replay_front_octets", self.replay_front_octets, 0, 1 << 40)?;
        range("head_ledger_octets", self.head_ledger_octets, 0, 1 << 40)?;
        range("recv_buffer_octets", self.recv_buffer_octets as u64, 33 << 10, 16 << 20)?;
        range("via", self.via.len() as u64, 1, 256)?;
        token("via", &self.via)?;
        self.listeners.iter().try_for_each(|listener| listener.groups.validate())?;
        self.forwarding.validate()
    }

    /// Every upstream's name is its own, and every route names one.
    fn names_agree(&self) -> Result<(), ConfigError> {
        let mut names = std::collections::BTreeSet::new();
        if let Some(again) = self.upstreams.iter().find(|upstream| !names.insert(&upstream.name)) {
            return Err(ConfigError::UpstreamRepeated { name: Arc::clone(&again.name) });
        }
        match self.routes.iter().find(|route| !names.contains(&route.upstream)) {
            Some(route) => Err(ConfigError::UpstreamUnknown {
                route: Arc::clone(&route.name),
                upstream: Arc::clone(&route.upstream),
            }),
            None => Ok(()),
        }
    }
}

fn range(name: &'static str, value: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(ConfigError::OutOfRange { name, value, min, max }) }
}

fn range_duration(name: &'static str, value: Duration) -> Result<(), ConfigError> {
    range(name, u64::try_from(value.as_millis()).unwrap_or(u64::MAX), 1, 86_400_000)
}

/// RFC 9110 section 5.6.2.
fn token(name: &'static str, text: &str) -> Result<(), ConfigError> {
    let is_token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    if text.bytes().all(is_token) { Ok(()) } else { Err(ConfigError::NotToken { name }) }
}

/// RFC 9110 section 7.8: the name of a protocol, perhaps with its version.
fn protocol(name: &'static str, text: &str) -> Result<(), ConfigError> {
    text.splitn(2, '/').try_for_each(|part| {
        range(name, part.len() as u64, 1, 256)?;
        token(name, part)
    })
}

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
    fn routes_lead_somewhere_and_names_are_unique() {
        let mut config = config();
        config.routes[0].upstream = "site".into();
        assert!(matches!(config.validate(), Err(ConfigError::UpstreamUnknown { .. })));
        config.upstreams.push(UpstreamConfig::new("site", vec![Address::unspecified()]));
        assert_eq!(config.validate(), Ok(()));
        config.upstreams.push(UpstreamConfig::new("site", vec![Address::unspecified()]));
        assert_eq!(config.validate(), Err(ConfigError::UpstreamRepeated { name: "site".into() }));
    }

    /// What a field's comment says behind "Default: " is what it is.
    #[test]
    fn comments_tell_the_defaults_that_there_are() {
        let upstream = UpstreamConfig::new("site", Vec::new());
        let told = [
            told(include_str!("config.rs"), &format!("{:?}", config())),
            told(include_str!("config/connection.rs"), &format!("{:?}", ConnectionConfig::default())),
            told(include_str!("config/timeouts.rs"), &format!("{:?}", Timeouts::default())),
            told(include_str!("config/upstream.rs"), &format!("{upstream:?}")),
        ];
        assert_eq!(told, [13, 19, 14, 10], "fields whose default is told");
    }

    /// How many fields of a source tell their defaults. `values` is what `Debug` makes of the defaults.
    fn told(source: &str, values: &str) -> usize {
        let (mut comment, mut told) = (String::new(), 0);
        for line in source.lines().map(str::trim) {
            if let Some(more) = line.strip_prefix("///") {
                comment.push_str(more);
                continue;
            }
            let field = line.strip_prefix("pub ").and_then(|line| line.split_once(": "));
            let of_field = core::mem::take(&mut comment);
            let default = of_field.split_once("Default: ").map(|(_, rest)| rest);
            if let (Some((field, _)), Some(default)) = (field, default) {
                let value = value_of(default);
                let is = |end: char| values.contains(&format!("{field}: {value}{end}"));
                assert!(is(',') || is(' '), "{field} is not {value}: {values}");
                told += 1;
            }
        }
        told
    }

    /// What `Debug` would show.
    fn value_of(told: &str) -> String {
        let told = told.split(['.', ';']).next().unwrap_or_default().split(", ").next().unwrap_or_default();
        let (number, unit) = told.split_once(' ').unwrap_or((told, ""));
        let number = number.replace(',', "");
        let octets = |shift: u32| (number.parse::<u64>().expect("a number") << shift).to_string();
        match (&*number, unit) {
            ("yes", "") => "true".to_owned(),
            ("no", "") => "false".to_owned(),
            ("a", "second") => "1s".to_owned(),
            ("an", "hour") => "3600s".to_owned(),
            (_, "KiB") => octets(10),
            (_, "MiB") => octets(20),
            (_, "GiB") => octets(30),
            (_, "s") => format!("{number}s"),
            ("`websocket`", "") => "[\"websocket\"]".to_owned(),
            (quoted, "") if quoted.starts_with('`') => quoted.replace('`', "\""),
            _ => number,
        }
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
