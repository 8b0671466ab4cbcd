//! Where a peer is: one type for IPv4, IPv6 and Unix sockets.

use core::fmt;
pub use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The address of a peer or of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// An IPv4 or IPv6 address with its port. [`From`] makes it of what a socket tells.
    Inet(SocketAddr),
    /// The path of a Unix socket.
    Unix(Arc<str>),
}

impl Address {
    /// The address of nobody.
    pub const fn unspecified() -> Self {
        Self::Inet(SocketAddr::new(IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED), 0))
    }

    /// What it is, if it was made without [`From`]: a mapped IPv4 address is none of IPv6.
    pub fn canonical(self) -> Self {
        match self {
            Self::Inet(address) => address.into(),
            Self::Unix(_) => self,
        }
    }
}

/// An IPv4 address that an IPv6 socket tells as a mapped one (`::ffff:192.0.2.1`, RFC 4291 section 2.5.5.2) is what it is.
impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(match address.ip().to_canonical() {
            ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
            IpAddr::V6(_) => address,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_what_they_are() {
        let told = |text: &str| Address::from(text.parse::<SocketAddr>().unwrap()).to_string();
        assert_eq!(told("[::ffff:192.0.2.1]:80"), "192.0.2.1:80");
        assert_eq!(told("192.0.2.1:80"), "192.0.2.1:80");
        assert_eq!(told("[fe80::1%3]:80"), "[fe80::1%3]:80");
        let raw = Address::Inet("[::ffff:192.0.2.1]:80".parse().unwrap());
        assert_eq!(raw.canonical().to_string(), "192.0.2.1:80");
    }
}
