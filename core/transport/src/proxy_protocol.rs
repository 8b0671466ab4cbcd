//! The PROXY protocol, versions 1 and 2: a balancer says in front of all octets whose connection it is. Whoever takes these words from
//! anybody lets them be whoever they want, so a listener expects them of all or of none.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::{self, FromStr};

use shuntyard_core::address::{Address, SocketAddr};

/// Octets that a header may have, with all that a balancer adds to it (TLVs). Larger ones are refused for their announced length.
pub const INTRODUCTION_OCTETS: usize = 4096;

/// The longest line of version 1, its end included.
const LINE_MAX: usize = 107;
const LINE_BEGIN: &[u8] = b"PROXY ";
/// What version 2 begins with: no other protocol does.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;
/// A path of a Unix socket, filled up with zeros.
const PATH: usize = 108;

/// A header that has come whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The client. `None` where the balancer speaks for itself (LOCAL), or knows no address (UNKNOWN, UNSPEC): then the
    /// peer of the connection is.
    pub client: Option<Address>,
    /// Octets of the header. What comes behind them is the client's.
    pub octets: usize,
}

/// Why a connection's first octets are no header: one variant a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotIntroduced {
    /// They begin like neither version.
    NoHeader,
    /// The connection ended before the header did.
    Interrupted,
    /// The connection was closed here before it had come whole: the time for it was over.
    TimedOut,
    /// A line that does not end within 107 octets.
    LineTooLong,
    /// A line with another protocol than TCP4, TCP6 and UNKNOWN.
    LineProtocol,
    /// A line that is not two addresses and two ports behind single spaces, or whose addresses are not of its protocol.
    LineAddresses,
    /// Another version than 2 behind the signature of version 2.
    Version,
    /// Neither LOCAL nor PROXY.
    Command,
    /// A family and a transport that do not exist together.
    Family,
    /// Less than the addresses of the family need.
    TooShort,
    /// More than [`INTRODUCTION_OCTETS`].
    TooLong,
    /// The path of a Unix socket that is no text.
    Path,
}

impl fmt::Display for NotIntroduced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHeader => "it does not begin with a header of the PROXY protocol",
            Self::Interrupted => "it ended within the header",
            Self::TimedOut => "no whole header came in time",
            Self::LineTooLong => "the line of version 1 has more than 107 octets",
            Self::LineProtocol => "the line of version 1 names another protocol than TCP4, TCP6 and UNKNOWN",
            Self::LineAddresses => "the line of version 1 has other addresses than its protocol's, or none",
            Self::Version => "the version behind the signature is not 2",
            Self::Command => "the command is neither LOCAL nor PROXY",
            Self::Family => "there is no such family of addresses",
            Self::TooShort => "the header is shorter than its addresses",
            Self::TooLong => "the header has more than 4096 octets",
            Self::Path => "the path of the client's socket is no text",
        })
    }
}

impl core::error::Error for NotIntroduced {}

/// Reads the header that the first octets of a connection are; `None` where more of it is still to come. The answer is the same
/// however the octets were cut.
///
/// # Errors
/// They are none, and cannot become one.
pub fn introduction(octets: &[u8]) -> Result<Option<Introduction>, NotIntroduced> {
    let begins = |with: &[u8]| {
        let n = octets.len().min(with.len());
        octets[..n] == with[..n]
    };
    if begins(SIGNATURE) {
        version_2(octets)
    } else if begins(LINE_BEGIN) {
        version_1(octets)
    } else {
        Err(NotIntroduced::NoHeader)
    }
}

fn version_1(octets: &[u8]) -> Result<Option<Introduction>, NotIntroduced> {
    let window = &octets[..octets.len().min(LINE_MAX)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if octets.len() < LINE_MAX { Ok(None) } else { Err(NotIntroduced::LineTooLong) };
    };
    let words = &octets[LINE_BEGIN.len().min(end)..end];
    let client = if words.starts_with(b"UNKNOWN") && matches!(words.get(7), None | Some(b' ')) {
        // Whatever stands behind it says nothing.
        None
    } else {
        let words = str::from_utf8(words).map_err(|_| NotIntroduced::LineAddresses)?;
        Some(match words.split_once(' ') {
            Some(("TCP4", rest)) => source::<Ipv4Addr>(rest)?,
            Some(("TCP6", rest)) => source::<Ipv6Addr>(rest)?,
            _ => return Err(NotIntroduced::LineProtocol),
        })
    };
    Ok(Some(Introduction { client, octets: end + 2 }))
}

/// The first of two addresses with its port. The second is held against the grammar, too.
fn source<Ip: FromStr + Into<IpAddr>>(words: &str) -> Result<Address, NotIntroduced> {
    let wrong = NotIntroduced::LineAddresses;
    let mut words = words.split(' ');
    let mut word = || words.next().ok_or(wrong);
    let (from, to, port, other) = (word()?, word()?, word()?, word()?);
    let (Ok(from), Ok(_), true) = (from.parse::<Ip>(), to.parse::<Ip>(), words.next().is_none()) else {
        return Err(wrong);
    };
    let (Some(port), Some(_)) = (port_of(port), port_of(other)) else { return Err(wrong) };
    Ok(Address::from(SocketAddr::new(from.into(), port)))
}

/// A number without sign and without zeros in front.
fn port_of(word: &str) -> Option<u16> {
    let is_number =
        word.bytes().all(|octet| octet.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    if is_number { word.parse().ok() } else { None }
}

fn version_2(octets: &[u8]) -> Result<Option<Introduction>, NotIntroduced> {
    let Some((&[command, family, high, low], behind)) =
        octets.get(SIGNATURE.len()..).and_then(|rest| rest.split_first_chunk())
    else {
        // What is wrong shows as soon as it is there.
        return octets.get(SIGNATURE.len()).map_or(Ok(None), |&command| is_proxied(command).map(|_| None));
    };
    let is_proxied = is_proxied(command)?;
    let announced = usize::from(u16::from_be_bytes([high, low]));
    if FIXED + announced > INTRODUCTION_OCTETS {
        return Err(NotIntroduced::TooLong);
    }
    // LOCAL: whatever family it names is not looked at.
    let addresses = if is_proxied { addresses_of(family)? } else { Family::Unspecified };
    if announced < addresses.octets() {
        return Err(NotIntroduced::TooShort);
    }
    let Some(behind) = behind.get(..announced) else { return Ok(None) };
    Ok(Some(Introduction { client: addresses.source(behind)?, octets: FIXED + announced }))
}

fn is_proxied(octet: u8) -> Result<bool, NotIntroduced> {
    match (octet >> 4, octet & 0xf) {
        (2, 0) => Ok(false),
        (2, 1) => Ok(true),
        (2, _) => Err(NotIntroduced::Command),
        _ => Err(NotIntroduced::Version),
    }
}

/// What kind of addresses a header of version 2 has.
#[derive(Clone, Copy)]
enum Family {
    /// None that would say anything.
    Unspecified,
    /// Those of datagrams, which are no connections: they are passed over, as the protocol has it for what a receiver does not support.
    PassedOver(usize),
    Inet,
    Inet6,
    Unix,
}

const fn addresses_of(octet: u8) -> Result<Family, NotIntroduced> {
    Ok(match octet {
        0x00 => Family::Unspecified,
        0x12 => Family::PassedOver(Family::Inet.octets()),
        0x22 => Family::PassedOver(Family::Inet6.octets()),
        0x32 => Family::PassedOver(Family::Unix.octets()),
        0x11 => Family::Inet,
        0x21 => Family::Inet6,
        0x31 => Family::Unix,
        _ => return Err(NotIntroduced::Family),
    })
}

impl Family {
    /// Two addresses, and two ports where there are ports.
    const fn octets(self) -> usize {
        match self {
            Self::Unspecified => 0,
            Self::PassedOver(octets) => octets,
            Self::Inet => 2 * (4 + 2),
            Self::Inet6 => 2 * (16 + 2),
            Self::Unix => 2 * PATH,
        }
    }

    /// The client's. What follows behind both addresses are TLVs, which say nothing that is asked for here.
    fn source(self, addresses: &[u8]) -> Result<Option<Address>, NotIntroduced> {
        let inet = |ip: IpAddr, ports: &[u8]| {
            let port = ports.first_chunk().map_or(0, |port| u16::from_be_bytes(*port));
            Some(Address::from(SocketAddr::new(ip, port)))
        };
        let short = NotIntroduced::TooShort;
        Ok(match self {
            Self::Unspecified | Self::PassedOver(_) => None,
            Self::Inet => {
                let (ip, rest) = addresses.split_first_chunk::<4>().ok_or(short)?;
                inet(Ipv4Addr::from(*ip).into(), rest.get(4..).ok_or(short)?)
            }
            Self::Inet6 => {
                let (ip, rest) = addresses.split_first_chunk::<16>().ok_or(short)?;
                inet(Ipv6Addr::from(*ip).into(), rest.get(16..).ok_or(short)?)
            }
            Self::Unix => {
                let path = addresses.get(..PATH).ok_or(short)?;
                let path = path.split(|&octet| octet == 0).next().unwrap_or_default();
                let path = str::from_utf8(path).map_err(|_| NotIntroduced::Path)?;
                if path.chars().any(char::is_control) {
                    return Err(NotIntroduced::Path);
                }
                Some(Address::Unix(path.into()))
            }
        })
    }
}
