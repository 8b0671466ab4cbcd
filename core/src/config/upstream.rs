//! Upstreams: where requests go, and how many at a time.

use core::fmt;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::address::Address;
use crate::config::{ConfigError, range, range_duration};
use crate::time::Duration;

/// A group of endpoints that serve the same requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Names it in routes, records and figures. 1 to 256 octets, and unique.
    pub name: Arc<str>,
    /// The endpoints. 1 to 1024, each once.
    pub endpoints: Vec<EndpointConfig>,
    /// Which endpoint gets the next request.
    pub balance: Balance,
    /// Who may share a backend connection.
    pub share: Scope,
    /// What happens to a request when every engine is full.
    pub on_saturation: Saturation,
    /// Connections to one endpoint, of one worker, that are kept although nobody needs them, and serve whatever `on_saturation` says. 0 to 1024. Default: 0.
    pub connections_min: u32,
    /// Connections to one endpoint, of one worker, that take requests: over HTTP/2 as many again may be about to end. 1 to 100,000, and
    /// at least `connections_min` where an endpoint may speak HTTP/2. Default: 16.
    pub connections_max: u32,
    /// The same for an endpoint that speaks HTTP/1.1, where each request under way needs a connection. 1 to 100,000. No more than
    /// these are kept of a minimum. Default: 256.
    pub http1_connections_max: u32,
    /// How many streams a connection may open before its backend's SETTINGS came, where no earlier connection to the
    /// endpoint has told. 0 to 2^32-1; 0 waits for the SETTINGS; RFC 9113 section 6.5.2 would let one assume 100. Default: 0.
    pub assumed_streams: u32,
    /// Frozen requests that may wait. 1 to 1,000,000; one more is answered 503. Once half of the places are taken, a client (an address, of IPv6 a
    /// network of 64 bits) may have as many of the others as are still left, so that none takes all. A request that was on a backend and waits
    /// again is not refused, though it takes a place. Default: 10,000.
    pub queue_max: u32,
    /// How long a request may wait frozen. A millisecond to a day. Default: 10 s.
    pub queue_timeout: Duration,
    /// When a request is sent again.
    pub retry: RetryConfig,
}

/// One endpoint of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointConfig {
    /// Where it is.
    pub host: Host,
    /// What it speaks. Where TLS decides, what is hoped for.
    pub protocol: Protocol,
    /// What TLS has to agree on; `None` in clear.
    pub tls: Option<Alpn>,
}

/// What ALPN (RFC 7301) has to agree on with an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alpn {
    /// HTTP/2, or nothing comes of it.
    Http2,
    /// HTTP/2 or HTTP/1.1, as the endpoint likes.
    Either,
}

/// What is spoken with an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/2 with prior knowledge (RFC 9113 section 3.3).
    #[default]
    Http2,
    /// HTTP/1.1: a connection carries one request at a time.
    Http1,
}

impl EndpointConfig {
    /// Whether this may be what is spoken with it.
    pub fn may_speak(&self, protocol: Protocol) -> bool {
        self.protocol == protocol || self.tls == Some(Alpn::Either)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        match &self.host {
            Host::Name { name, .. } => range("endpoint name", name.len() as u64, 1, 253),
            Host::Address(_) => Ok(()),
        }
    }
}

impl fmt::Display for EndpointConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.tls, self.protocol) {
            (None, Protocol::Http2) => self.host.fmt(f),
            (None, Protocol::Http1) => write!(f, "http://{}", self.host),
            (Some(Alpn::Http2), _) => write!(f, "h2://{}", self.host),
            (Some(Alpn::Either), _) => write!(f, "https://{}", self.host),
        }
    }
}

/// Where an endpoint is: an address, or a name that somebody has to resolve.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An address.
    Address(Address),
    /// A name. The gateway asks for its addresses with [`Action::Resolve`](crate::gateway::Action::Resolve).
    Name {
        /// The name, without port. 1 to 253 octets.
        name: Arc<str>,
        /// The port.
        port: u16,
    },
}

impl Host {
    /// What it is called in a certificate: a name, or an address without its port. Sockets of this machine have none.
    pub fn name(&self) -> Arc<str> {
        match self {
            Self::Address(Address::Inet(address)) => address.ip().to_string().into(),
            Self::Address(Address::Unix(_)) => "".into(),
            Self::Name { name, .. } => name.clone(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name { name, port } => write!(f, "{name}:{port}"),
        }
    }
}

impl From<Address> for EndpointConfig {
    fn from(address: Address) -> Self {
        Self { host: Host::Address(address), protocol: Protocol::Http2, tls: None }
    }
}

/// Who may share an engine, and with it a backend connection. Others will come: who matches it has an arm for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The requests of one client connection.
    Client,
    /// All clients of a worker.
    #[default]
    Worker,
    /// Nobody: a connection carries one request at a time.
    None,
}

/// What happens to a request when every engine is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Saturation {
    /// One more connection is made, up to the maximum (`connections_max`, `http1_connections_max`); then it waits.
    #[default]
    Dial,
    /// It waits for a stream of the one connection that each endpoint has: of the maxima there is no more used than that, and over HTTP/1.1 an endpoint serves
    /// one request at a time.
    Queue,
    /// It is answered 503. Endpoints have one connection each, as with `Queue`.
    Refuse,
}

/// Which endpoint gets the next request. Others will come: who matches it has an arm for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Balance {
    /// The one with the fewest requests under way; of equals, the one that comes first.
    #[default]
    LeastActive,
    /// Each in turn.
    RoundRobin,
}

/// When a request is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryConfig {
    /// How often a request is handed to a backend at most, where an earlier attempt may have been executed: such an
    /// attempt is followed by another one only if the method is idempotent (RFC 9110 section 9.2.2). 1 to 100. Default: 2.
    pub attempts: u32,
    /// How often a request is handed to a backend at most, where every attempt was proved not to have been processed
    /// (RFC 9113 section 8.7). 1 to 1000. Default: 32.
    pub unprocessed_attempts: u32,
    /// Retries of requests that may have been executed, in percent of all requests of the upstream. An upstream with few
    /// requests may retry ten a second all the same; with 0 there are no retries. 0 to 100. Default: 20.
    pub budget_percent: u32,
    /// Octets of a request's content that are kept to be sent again. A request with more is sent once. 0 to 2^30. Default: 64 KiB.
    pub replay_octets: u32,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { attempts: 2, unprocessed_attempts: 32, budget_percent: 20, replay_octets: 64 << 10 }
    }
}

impl UpstreamConfig {
    /// How many connections to the endpoint there may be, whatever is spoken with it. Over HTTP/2 as many again may be about to end, with streams that
    /// last long: they have their successors.
    pub fn most_connections(&self, endpoint: &EndpointConfig) -> u32 {
        let of_http2 = self.connections_max.saturating_mul(2);
        match (endpoint.protocol, endpoint.tls) {
            (_, Some(Alpn::Either)) => of_http2.max(self.http1_connections_max),
            (Protocol::Http1, _) => self.http1_connections_max,
            (Protocol::Http2, _) => of_http2,
        }
    }

    /// An upstream with these endpoints and default limits.
    pub fn new(name: impl Into<Arc<str>>, endpoints: Vec<Address>) -> Self {
        Self {
            name: name.into(),
            endpoints: endpoints.into_iter().map(EndpointConfig::from).collect(),
            balance: Balance::default(),
            share: Scope::default(),
            on_saturation: Saturation::default(),
            connections_min: 0,
            connections_max: 16,
            http1_connections_max: 256,
            assumed_streams: 0,
            queue_max: 10_000,
            queue_timeout: Duration::from_secs(10),
            retry: RetryConfig::default(),
        }
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    ///
    /// A value lies outside its range: [`ConfigError::OutOfRange`] names it. An endpoint is there twice.
    pub fn validate(&self) -> Result<(), ConfigError> {
        range("upstream name", self.name.len() as u64, 1, 256)?;
        range("endpoints", self.endpoints.len() as u64, 1, 1024)?;
        let mut seen = BTreeSet::new();
        for endpoint in &self.endpoints {
            endpoint.validate()?;
            if !seen.insert(endpoint) {
                let endpoint = endpoint.host.clone();
                return Err(ConfigError::EndpointRepeated { upstream: self.name.clone(), endpoint });
            }
        }
        range("connections_min", self.connections_min.into(), 0, 1024)?;
        let is_http2 = self.endpoints.iter().any(|endpoint| endpoint.may_speak(Protocol::Http2));
        let least = if is_http2 { self.connections_min.max(1) } else { 1 };
        range("connections_max", self.connections_max.into(), least.into(), 100_000)?;
        range("http1_connections_max", self.http1_connections_max.into(), 1, 100_000)?;
        range("queue_max", self.queue_max.into(), 1, 1_000_000)?;
        range_duration("queue_timeout", self.queue_timeout)?;
        range("retry attempts", self.retry.attempts.into(), 1, 100)?;
        range("unprocessed_attempts", self.retry.unprocessed_attempts.into(), 1, 1000)?;
        range("budget_percent", self.retry.budget_percent.into(), 0, 100)?;
        range("replay_octets", self.retry.replay_octets.into(), 0, 1 << 30)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After any change of the configuration one of the two would take nothing more.
    #[test]
    fn an_endpoint_is_there_once() {
        let address = |port: u16| Address::from(core::net::SocketAddr::from(([127, 0, 0, 1], port)));
        let mut upstream = UpstreamConfig::new("app", vec![address(1), address(2)]);
        assert_eq!(upstream.validate(), Ok(()));
        upstream.endpoints[1].host = Host::Address(address(1));
        let repeated =
            ConfigError::EndpointRepeated { upstream: "app".into(), endpoint: Host::Address(address(1)) };
        assert_eq!(upstream.validate(), Err(repeated));
        // Who speaks otherwise is another one.
        upstream.endpoints[1].protocol = Protocol::Http1;
        assert_eq!(upstream.validate(), Ok(()));
        upstream.endpoints[1].host = Host::Name { name: "".into(), port: 80 };
        let unnamed = ConfigError::OutOfRange { name: "endpoint name", value: 0, min: 1, max: 253 };
        assert_eq!(upstream.validate(), Err(unnamed));
    }
}
