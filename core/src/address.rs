//! Where a peer is: one type for IPv4, IPv6 and Unix sockets.

use core::fmt;
pub use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The address of a peer or of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// An IPv4 or IPv6 address with its port.
    Inet(SocketAddr),
    /// The path of a Unix socket.
    Unix(Arc<str>),
}

impl Address {
    /// The address of nobody.
    pub const fn unspecified() -> Self {
        Self::Inet(SocketAddr::new(IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED), 0))
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(address)
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
