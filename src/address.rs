//! Addresses as an operator writes them, and what the system's resolver makes of them.

use std::net::ToSocketAddrs as _;
use std::str::FromStr;

use shuntyard_core::address::Address;

use crate::failure::Failure;

/// The value of a `--listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress(Place);

/// The value of a `--backend`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    url: String,
    place: Result<Place, Unsupported>,
}

/// A scheme that is understood and not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsupported {
    /// `https://`, `h2://`: TLS.
    Tls,
    /// `http://`: HTTP/1.1.
    Http1,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A host, without brackets, and a port.
    Inet(String, u16),
    Unix(String),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl ListenAddress {
    /// All addresses that the name stands for.
    pub(crate) fn resolve(&self) -> Result<Vec<Address>, Failure> {
        self.0.resolve().map_err(|reason| Failure::ListenName { name: self.0.to_string(), reason })
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, place)) = text.split_once("://") else {
            return Err("a backend is a URL, as in h2c://127.0.0.1:9000".to_owned());
        };
        let place = match scheme {
            "h2c" => Ok(place.strip_suffix('/').unwrap_or(place).parse()?),
            "https" | "h2" => Err(Unsupported::Tls),
            "http" => Err(Unsupported::Http1),
            _ => return Err(format!("unknown scheme {scheme}: write h2c://")),
        };
        Ok(Self { url: text.to_owned(), place })
    }
}

impl Endpoint {
    /// All addresses that the name stands for.
    pub(crate) fn resolve(&self) -> Result<Vec<Address>, Failure> {
        match &self.place {
            Ok(place) => {
                place.resolve().map_err(|reason| Failure::BackendName { url: self.url.clone(), reason })
            }
            Err(unsupported) => {
                Err(Failure::BackendScheme { url: self.url.clone(), unsupported: *unsupported })
            }
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() || path.contains('\0') {
                Err("the path of the Unix socket is missing, as in unix:/run/app.sock".to_owned())
            } else {
                Ok(Self::Unix(path.to_owned()))
            };
        }
        let usage = || "an address is HOST:PORT, [IPv6]:PORT or unix:/PATH".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(usage)?;
        let port = port.parse().map_err(|_| format!("{port:?} is no port (0 to 65535)"))?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        if host.is_empty() || (bracketed.is_none() && host.contains(':')) || host.contains(['/', '@', '?']) {
            return Err(usage());
        }
        Ok(Self::Inet(host.to_owned(), port))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
    }

    #[test]
    fn addresses_need_no_resolver() {
        let listen: ListenAddress = "[::1]:443".parse().unwrap();
        assert_eq!(listen.resolve().unwrap(), [Address::Inet("[::1]:443".parse().unwrap())]);
        let backend: Endpoint = "h2c://unix:/run/a.sock".parse().unwrap();
        assert_eq!(backend.resolve().unwrap(), [Address::Unix("/run/a.sock".into())]);
        let backend: Endpoint = "h2c://127.0.0.1:9/".parse().unwrap();
        assert_eq!(backend.resolve().unwrap(), [Address::Inet("127.0.0.1:9".parse().unwrap())]);
    }

    #[test]
    fn schemes_that_are_not_served_are_told_from_unknown_ones() {
        let https: Endpoint = "https://app:443".parse().unwrap();
        assert_eq!(https.place, Err(Unsupported::Tls));
        let http: Endpoint = "http://app:80".parse().unwrap();
        assert_eq!(http.place, Err(Unsupported::Http1));
        assert!("ftp://app:21".parse::<Endpoint>().is_err());
        assert!("app:9000".parse::<Endpoint>().is_err());
    }
}
