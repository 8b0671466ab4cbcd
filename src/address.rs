//! Addresses as an operator writes them, and what the system's resolver makes of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::os::unix;
use std::str::FromStr;

use shuntyard_core::address::Address;
use shuntyard_core::config::{Alpn, EndpointConfig, Host, Protocol};

use crate::systemd;

/// Where clients connect to: the value of a `--listen`, or of an `address` in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress(Listen);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Listen {
    /// Every address of this machine.
    Everywhere {
        port: u16,
    },
    At(Place),
    /// Sockets that were passed by this name.
    Passed(String),
}

/// Where a backend is: an entry of `endpoints` in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndpointAddress {
    place: Place,
    /// What its URL says that it speaks.
    scheme: Option<Scheme>,
}

/// What is spoken with a backend, and whether by TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// HTTP/2 with prior knowledge.
    H2c,
    /// HTTP/1.1.
    Http,
    /// HTTP/2 over TLS.
    H2,
    /// HTTP/2 or HTTP/1.1 over TLS, as ALPN decides.
    Https,
}

impl Scheme {
    const ALL: [(&'static str, Self); 4] =
        [("h2c", Self::H2c), ("http", Self::Http), ("h2", Self::H2), ("https", Self::Https)];

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, scheme)| *scheme)
    }

    const fn spoken(self) -> (Protocol, Option<Alpn>) {
        match self {
            Self::H2c => (Protocol::Http2, None),
            Self::Http => (Protocol::Http1, None),
            Self::H2 => (Protocol::Http2, Some(Alpn::Http2)),
            Self::Https => (Protocol::Http2, Some(Alpn::Either)),
        }
    }
}

/// The value of a `--backend`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint(EndpointAddress);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A host, without brackets, and a port.
    Inet(String, u16),
    Unix(String),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("fd:") {
            // What systemd takes for one (FileDescriptorName=).
            let of_name = |octet: u8| octet.is_ascii_graphic() && octet != b':';
            return if (1..=255).contains(&name.len()) && name.bytes().all(of_name) {
                Ok(Self(Listen::Passed(name.to_owned())))
            } else {
                Err("the name of a socket that is passed is missing or has another form, as in fd:https"
                    .to_owned())
            };
        }
        match text.strip_prefix(':').and_then(|port| port.parse().ok()) {
            Some(port) => Ok(Self(Listen::Everywhere { port })),
            None => text.parse().map(Listen::At).map(Self),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Listen::Everywhere { port } => write!(f, ":{port}"),
            Listen::At(place) => place.fmt(f),
            Listen::Passed(name) => write!(f, "fd:{name}"),
        }
    }
}

impl ListenAddress {
    /// All addresses that the name stands for. An error says why there are none, in words.
    pub(crate) fn resolve(&self) -> Result<Vec<Address>, String> {
        match &self.0 {
            Listen::Everywhere { port } => Ok(vec![Address::Inet(everywhere(*port))]),
            Listen::At(place) => place.resolve(),
            Listen::Passed(name) => systemd::addresses(name),
        }
    }

    /// Whether somebody else must have opened it.
    pub(crate) fn is_passed(&self) -> bool {
        matches!(self.0, Listen::Passed(_))
    }
}

/// A socket on the unspecified IPv6 address serves IPv4 as well. Where the system has no IPv6, IPv4 is all there is.
fn everywhere(port: u16) -> SocketAddr {
    let has_ipv6 = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).is_ok();
    let host = if has_ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    SocketAddr::new(host, port)
}

impl FromStr for EndpointAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, place) = match text.split_once("://") {
            Some((scheme, place)) => match Scheme::parse(scheme) {
                Some(scheme) => (Some(scheme), place),
                None => return Err(format!("{scheme}:// is not served")),
            },
            None => (None, text),
        };
        match place.strip_suffix('/').unwrap_or(place).parse()? {
            Place::Inet(_, 0) => Err("nobody listens on port 0".to_owned()),
            place @ (Place::Inet(..) | Place::Unix(_)) => Ok(Self { place, scheme }),
        }
    }
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = Scheme::ALL.iter().find(|(_, scheme)| Some(*scheme) == self.scheme) {
            write!(f, "{name}://")?;
        }
        self.place.fmt(f)
    }
}

impl EndpointAddress {
    /// The endpoint, which speaks by `scheme` if its URL does not say otherwise.
    pub(crate) fn config(&self, scheme: Scheme) -> EndpointConfig {
        let (protocol, tls) = self.scheme.unwrap_or(scheme).spoken();
        EndpointConfig { host: self.host(), protocol, tls }
    }

    /// Where it is, as a name where it has one.
    fn host(&self) -> Host {
        match &self.place {
            Place::Unix(path) => Host::Address(Address::Unix(path.as_str().into())),
            Place::Inet(host, port) => match host.parse() {
                Ok(ip) => Host::Address(Address::Inet(SocketAddr::new(ip, *port))),
                Err(_) => Host::Name { name: host.as_str().into(), port: *port },
            },
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, _)) = text.split_once("://") else {
            return Err("a backend is a URL, as in h2c://127.0.0.1:9000".to_owned());
        };
        if Scheme::parse(scheme).is_none() {
            return Err(format!("unknown scheme {scheme}: write h2c://, http://, h2:// or https://"));
        }
        text.parse().map(Self)
    }
}

impl Endpoint {
    /// The endpoint.
    pub(crate) fn config(&self) -> EndpointConfig {
        let Self(address) = self;
        address.config(Scheme::H2c)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() || path.contains('\0') {
                Err("the path of the Unix socket is missing, as in unix:/run/app.sock".to_owned())
            } else if unix::net::SocketAddr::from_pathname(path).is_err() {
                Err(format!("the path has {} octets, more than the system takes for a socket", path.len()))
            } else {
                Ok(Self::Unix(path.to_owned()))
            };
        }
        let usage = || "an address is HOST:PORT, [IPv6]:PORT or unix:/PATH".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(usage)?;
        let port = port.parse().map_err(|_| format!("{port:?} is no port (0 to 65535)"))?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        if host.is_empty() || (bracketed.is_none() && host.contains(':')) {
            return Err(usage());
        }
        // The zone of a link-local IPv6 address stands behind a percent sign.
        let of_host = |octet: u8| octet.is_ascii_alphanumeric() || b"-._:%".contains(&octet);
        if host.len() > 253 || !host.bytes().all(of_host) {
            return Err("the host has characters that no host has".to_owned());
        }
        if host.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.')
            && host.parse::<Ipv4Addr>().is_err()
        {
            return Err(format!("{host} is no IPv4 address"));
        }
        Ok(Self::Inet(host.to_owned(), port))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Inet(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

impl Place {
    /// Asks the system's resolver; an address is its own name. An error says why, in words.
    fn resolve(&self) -> Result<Vec<Address>, String> {
        let (host, port) = match self {
            Self::Unix(path) => return Ok(vec![Address::Unix(path.as_str().into())]),
            Self::Inet(host, port) => (host.as_str(), *port),
        };
        let found = (host, port).to_socket_addrs().map_err(|error| error.to_string())?;
        let mut addresses = Vec::new();
        for address in found.map(Address::Inet) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() { Err("the name has no address".to_owned()) } else { Ok(addresses) }
    }
}

/// Whether the system would refuse the second of these, or one of them would get nothing.
pub(crate) fn overlaps(a: &Address, b: &Address) -> bool {
    match (a, b) {
        (Address::Unix(a), Address::Unix(b)) => a == b,
        (Address::Inet(a), Address::Inet(b)) => {
            // The unspecified IPv6 address takes IPv4 along.
            let takes = |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
            let same = a.ip() == b.ip() || takes(a.ip(), b.ip()) || takes(b.ip(), a.ip());
            a.port() != 0 && a.port() == b.port() && same
        }
        (Address::Unix(_), Address::Inet(_)) | (Address::Inet(_), Address::Unix(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written_alike() {
        for text in ["127.0.0.1:8080", "[::1]:0", "localhost:65535", "unix:/run/a.sock"] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        let wrong =
            ["", "127.0.0.1", ":8080", "::1:80", "host:65536", "host:", "unix:", "user@host:1", "a/b:1"];
        for text in wrong {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
        let of_length = |octets: usize| format!("unix:/{}", "a".repeat(octets - 1)).parse::<Place>();
        assert!(of_length(100).is_ok() && of_length(108).is_err());
    }

    #[test]
    fn listeners_are_addresses_of_this_machine() {
        let listen: ListenAddress = "[::1]:443".parse().unwrap();
        assert_eq!(listen.resolve().unwrap(), [Address::Inet("[::1]:443".parse().unwrap())]);
        let everywhere: ListenAddress = ":8080".parse().unwrap();
        assert_eq!(everywhere.to_string(), ":8080");
        let addresses = everywhere.resolve().unwrap();
        assert!(
            matches!(&addresses[..], [Address::Inet(at)] if at.ip().is_unspecified() && at.port() == 8080)
        );
        assert!(":http".parse::<ListenAddress>().is_err());
        let passed: ListenAddress = "fd:web.https".parse().unwrap();
        assert!(passed.is_passed() && passed.to_string() == "fd:web.https");
        for wrong in ["fd:", "fd:a:b", "fd:a b", "fd:\u{e9}", &format!("fd:{}", "a".repeat(256))] {
            assert!(wrong.parse::<ListenAddress>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn endpoints_are_addresses_or_names() {
        let host = |text: &str| text.parse::<EndpointAddress>().unwrap().host();
        assert_eq!(host("127.0.0.1:9"), Host::Address(Address::Inet("127.0.0.1:9".parse().unwrap())));
        assert_eq!(host("[::1]:9"), Host::Address(Address::Inet("[::1]:9".parse().unwrap())));
        assert_eq!(host("unix:/run/a.sock"), Host::Address(Address::Unix("/run/a.sock".into())));
        assert_eq!(host("app:9"), Host::Name { name: "app".into(), port: 9 });
        for wrong in ["h3://a:1", "a:0", "http://", "h2c://a:0", ":1", "300.0.0.1:1", "a b:1"] {
            assert!(wrong.parse::<EndpointAddress>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn schemes_say_what_is_spoken() {
        let spoken = |text: &str| {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.0.to_string(), text);
            (endpoint.config().protocol, endpoint.config().tls)
        };
        assert_eq!(spoken("h2c://127.0.0.1:9"), (Protocol::Http2, None));
        assert_eq!(spoken("http://app:80"), (Protocol::Http1, None));
        assert_eq!(spoken("h2://app:443"), (Protocol::Http2, Some(Alpn::Http2)));
        assert_eq!(spoken("https://app:443"), (Protocol::Http2, Some(Alpn::Either)));
        assert!("ftp://app:21".parse::<Endpoint>().is_err());
        assert!("app:9000".parse::<Endpoint>().is_err());
    }
}
