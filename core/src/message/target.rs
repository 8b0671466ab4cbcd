//! The parts of a request's target: scheme, authority, path (RFC 9113 section 8.3.1, RFC 3986 section 3).

use core::net::Ipv6Addr;

use super::{Malformed, Method, octets};

/// A scheme, case-insensitive (RFC 9110 section 4.2.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
    Other,
}

impl Scheme {
    pub(super) fn parse(value: &[u8]) -> Result<Self, Malformed> {
        match value {
            b"https" => Ok(Self::Https),
            b"http" => Ok(Self::Http),
            [first, ..] if first.is_ascii_alphabetic() && octets::all(value, octets::SCHEME) => {
                Ok(if value.eq_ignore_ascii_case(b"https") {
                    Self::Https
                } else if value.eq_ignore_ascii_case(b"http") {
                    Self::Http
                } else {
                    Self::Other
                })
            }
            _ => Err(Malformed::SchemeInvalid),
        }
    }

    pub(super) const fn default_port(self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https => Some(443),
            Self::Other => None,
        }
    }
}

/// An absolute path with an optional query, or the asterisk of OPTIONS. The same for every scheme, although RFC 9113
/// would let some have an empty path: no other hop of HTTP could be told of it.
pub(super) fn check_path(path: &[u8], method: Method) -> Result<(), Malformed> {
    match path {
        [b'/', rest @ ..] if octets::all_path(rest) => Ok(()),
        b"*" if method == Method::Options => Ok(()), // 9113-8.3.1-11, 9110-7.1-01
        _ => Err(Malformed::PathInvalid),
    }
}

/// `host [ ":" port ]` without userinfo.
#[derive(Clone, Copy)]
pub(super) struct Authority<'a> {
    /// Never empty; of an IPv6 address with its brackets.
    host: &'a [u8],
    /// `None` where it is absent or empty.
    pub(super) port: Option<u16>,
}

impl<'a> Authority<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        let end = if value.first() == Some(&b'[') {
            1 + value.iter().position(|&octet| octet == b']')?
        } else {
            value.iter().position(|&octet| octet == b':').unwrap_or(value.len())
        };
        let (host, port) = value.split_at(end);
        let valid = if value.first() == Some(&b'[') { is_ip_literal(host) } else { is_reg_name(host) };
        let port = match port {
            [] | [b':'] => None,
            [b':', digits @ ..] => Some(parse_port(digits)?),
            _ => return None,
        };
        valid.then_some(Self { host, port })
    }

    /// 9113-8.3.1-05: letter case and the default port make no difference (RFC 3986 section 6.2.3).
    pub(super) fn is_same(self, other: Self, default_port: Option<u16>) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.or(default_port) == other.port.or(default_port)
    }
}

/// An IPv6 address in brackets. Nobody has defined a later version of IP literals, and zones have no meaning elsewhere.
fn is_ip_literal(host: &[u8]) -> bool {
    let [b'[', address @ .., b']'] = host else { return false };
    str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// A registered name or an IPv4 address, with whole percent-encodings only. 9110-4.2.1-02, 9110-4.2.2-02: not empty.
fn is_reg_name(host: &[u8]) -> bool {
    octets::all(host, octets::REG_NAME)
        && host.split(|&octet| octet == b'%').skip(1).all(
            |rest| matches!(rest, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()),
        )
}

fn parse_port(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0u16, |port, octet| {
        let digit = octet.is_ascii_digit().then(|| u16::from(octet - b'0'))?;
        port.checked_mul(10)?.checked_add(digit)
    })
}
