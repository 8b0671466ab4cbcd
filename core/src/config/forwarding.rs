//! What backends are told of clients, and whose word is taken for it.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use crate::address::Address;
use crate::config::{ConfigError, range};

/// What backends are told of the client, its scheme and the authority that it asked for.
///
/// What a peer that is not trusted says of clients before it is removed in any case. What a trusted one says stays, and what
/// the gateway has to say goes behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardingConfig {
    /// `x-forwarded-for`, `x-forwarded-proto` and `x-forwarded-host`. Default: yes, as applications expect of a gateway.
    pub x_forwarded: bool,
    /// `forwarded` (RFC 7239). Default: no; applications that read both may be told two different things.
    pub forwarded: bool,
    /// Whether `forwarded` names a client by a word that tells its connections apart and nothing else (RFC 7239 section 6.3).
    /// Default: no.
    pub obfuscate: bool,
    /// Peers that are gateways of ours: their word is taken. Default: nobody. At most 1024.
    pub trusted: Vec<Peers>,
}

/// Some peers: a block of addresses, or all that come by Unix sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Addresses whose first bits are these (RFC 4632 section 3.1): at most 32 bits of an IPv4 address, 128 of an IPv6 one.
    Block {
        /// The first address.
        first: IpAddr,
        /// How many bits count.
        bits: u32,
    },
    /// Peers on Unix sockets.
    Unix,
}

impl Default for ForwardingConfig {
    fn default() -> Self {
        Self { x_forwarded: true, forwarded: false, obfuscate: false, trusted: Vec::new() }
    }
}

impl ForwardingConfig {
    /// Checks every value against its range.
    ///
    /// # Errors
    ///
    /// A value lies outside its range: [`ConfigError::OutOfRange`] names it.
    pub fn validate(&self) -> Result<(), ConfigError> {
        range("trusted peers", self.trusted.len() as u64, 0, 1024)?;
        self.trusted.iter().try_for_each(Peers::validate)
    }

    /// Whether this peer's word is taken.
    pub fn trusts(&self, peer: &Address) -> bool {
        self.trusted.iter().any(|peers| peers.contain(peer))
    }
}

impl Peers {
    fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::Block { first, bits } => range("bits", (*bits).into(), 0, width(first).into()),
            Self::Unix => Ok(()),
        }
    }

    /// Whether the peer is one of them.
    pub fn contain(&self, peer: &Address) -> bool {
        match (self, peer) {
            (Self::Unix, Address::Unix(_)) => true,
            (Self::Block { first, bits }, Address::Inet(peer)) => {
                let (first, peer) = (*first, peer.ip());
                let away = width(&first).saturating_sub(*bits);
                let differ = (number(first) ^ number(peer)).checked_shr(away).unwrap_or(0);
                first.is_ipv4() == peer.is_ipv4() && differ == 0
            }
            (Self::Unix, Address::Inet(_)) | (Self::Block { .. }, Address::Unix(_)) => false,
        }
    }
}

/// Bits in front of an address of IPv4 that IPv6 maps.
const MAPPED_BITS: u32 = 96;

const fn width(address: &IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block { first, bits } if *bits == width(first) => first.fmt(f),
            Self::Block { first, bits } => write!(f, "{first}/{bits}"),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// A text that names no peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPeers {
    /// What stands before the slash is no address.
    Address,
    /// What stands behind it is no number of bits of such an address.
    Bits,
    /// Bits are set that do not count: perhaps another address or another number is meant.
    SurplusBits,
}

impl fmt::Display for NotPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "it begins with no IPv4 or IPv6 address",
            Self::Bits => "behind the slash stands no number of bits of such an address",
            Self::SurplusBits => "the address has bits behind those that count",
        })
    }
}

impl core::error::Error for NotPeers {}

impl FromStr for Peers {
    type Err = NotPeers;

    /// `10.0.0.0/8`, `2001:db8::/32`, a single address, or `unix`.
    fn from_str(text: &str) -> Result<Self, NotPeers> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let first: IpAddr = address.parse().map_err(|_| NotPeers::Address)?;
        let width = width(&first);
        let bits = match bits {
            None => width,
            Some(bits) if bits.bytes().all(|octet| octet.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= width).ok_or(NotPeers::Bits)?
            }
            Some(_) => return Err(NotPeers::Bits),
        };
        let kept = number(first).checked_shr(width - bits).unwrap_or(0);
        let cleared = kept.checked_shl(width - bits).unwrap_or(0);
        if cleared != number(first) {
            return Err(NotPeers::SurplusBits);
        }
        // Peers of IPv4 have no other addresses (`Address`), so a block of IPv4 as IPv6 maps it (RFC 4291 section 2.5.5.2) is one of IPv4.
        Ok(match (first.to_canonical(), bits.checked_sub(MAPPED_BITS)) {
            (first @ IpAddr::V4(_), Some(bits)) if width == 128 => Self::Block { first, bits },
            _ => Self::Block { first, bits },
        })
    }
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::*;

    fn peer(text: &str) -> Address {
        SocketAddr::new(text.parse().expect("an address"), 1).into()
    }

    #[test]
    fn blocks_contain_what_begins_as_they_do() {
        for (peers, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "ffff::", "10.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"),
            ("::1", "::1", "::2"),
            ("10.0.0.0/8", "::ffff:10.1.1.1", "::10.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.1.1.1", "11.0.0.0"),
            ("::ffff:0:0/96", "255.255.255.255", "::1"),
            ("::ffff:192.0.2.7", "::ffff:192.0.2.7", "192.0.2.6"),
        ] {
            let peers: Peers = peers.parse().expect("peers");
            assert!(peers.contain(&peer(inside)) && !peers.contain(&peer(outside)), "{peers}");
            assert_eq!(peers.to_string().parse(), Ok(peers));
            assert_eq!(peers.validate(), Ok(()));
        }
        let unix = Address::Unix("/run/a".into());
        assert!(Peers::Unix.contain(&unix) && !Peers::Unix.contain(&peer("10.0.0.1")));
        assert!(!"0.0.0.0/0".parse::<Peers>().expect("peers").contain(&unix));
    }

    #[test]
    fn what_names_no_peers_is_refused() {
        for (text, error) in [
            ("", NotPeers::Address),
            ("example.com", NotPeers::Address),
            ("10.0.0.0:80", NotPeers::Address),
            ("10.0.0.0/33", NotPeers::Bits),
            ("10.0.0.0/", NotPeers::Bits),
            ("10.0.0.0/+8", NotPeers::Bits),
            ("::/129", NotPeers::Bits),
            ("10.0.0.1/8", NotPeers::SurplusBits),
            ("::1/0", NotPeers::SurplusBits),
        ] {
            assert_eq!(text.parse::<Peers>(), Err(error), "{text}");
        }
        let wide = Peers::Block { first: IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED), bits: 33 };
        assert!(wide.validate().is_err());
    }
}
