//! Texts that have a form of their own: addresses, hosts, paths, names.

use shuntyard_adapter::transport::{BackTls, Trust};
use shuntyard_core::config::{HostPattern, PathPattern, RouteConfig};

use crate::address::{EndpointAddress, ListenAddress};
use crate::config::code::Code;
use crate::config::kind::Text;
use crate::config::pattern::{parse_host, parse_path, write_host, write_path};
use crate::log::Destination;

pub(super) const LISTEN: Text<ListenAddress> = Text {
    what: "an address to listen on",
    code: Code::NotAddress,
    parse: |text| text.parse(),
    write: ListenAddress::to_string,
    help: "write \"HOST:PORT\", \"[IPv6]:PORT\", \":PORT\" for all addresses, \"unix:/PATH\", or \"fd:NAME\" for sockets of systemd",
};
pub(super) const ENDPOINT: Text<EndpointAddress> = Text {
    what: "an endpoint",
    code: Code::NotAddress,
    parse: |text| text.parse(),
    write: EndpointAddress::to_string,
    help: "write \"HOST:PORT\", \"[IPv6]:PORT\" or \"unix:/PATH\", with h2c://, http://, h2:// or https:// in front if need be",
};
pub(super) const DESTINATION: Text<Destination> = Text {
    what: "a path or -",
    code: Code::BadPath,
    parse: |text| text.parse(),
    write: |destination| match destination {
        Destination::Stdout => "-".to_owned(),
        Destination::File(path) => path.display().to_string(),
    },
    help: "write the path of a file, or \"-\" for standard output",
};
pub(super) const HOST: Text<HostPattern> = Text {
    what: "a host or \"*.DOMAIN\"",
    code: Code::BadHost,
    parse: parse_host,
    write: write_host,
    help: "write a host (\"api.example.com\"), or \"*.example.com\" for all below a domain",
};
pub(super) const AUTHORITY: Text<String> = Text {
    what: "a host, or a host with a port",
    code: Code::BadHost,
    parse: |text| {
        let route = RouteConfig { authority: Some(text.into()), ..RouteConfig::any("route", "upstream") };
        route.validate().map(|()| text.to_owned()).map_err(|_| "it has another form".to_owned())
    },
    write: String::clone,
    help: "write \"app.internal\", \"app.internal:8080\" or \"[::1]:8080\"",
};
pub(super) const SERVER_NAME: Text<String> = Text {
    what: "a host or an address that certificates are for",
    code: Code::BadHost,
    parse: |text| match BackTls::new(&Trust::Nobody, None, Some(text)) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("it has another form".to_owned()),
    },
    write: String::clone,
    help: "write one host (\"app.internal\"), without port, or an IP address",
};
pub(super) const PATH: Text<PathPattern> = Text {
    what: "a path",
    code: Code::BadPath,
    parse: parse_path,
    write: write_path,
    help: "write one path (\"/ping\"), or with a slash at its end all that begin so (\"/v1/\")",
};
pub(super) const NAME: Text<String> = Text {
    what: "a name of 1 to 256 octets",
    code: Code::OutOfRange,
    parse: |text| match text.len() {
        1..=256 => Ok(text.to_owned()),
        length => Err(format!("it has {length} octets")),
    },
    write: String::clone,
    help: "names are for people and for figures: keep them short",
};
/// RFC 9110 section 7.8: a protocol's name, perhaps with its version.
pub(super) const UPGRADE: Text<String> = Text {
    what: "a protocol to change to, a token or two with a slash between them (RFC 9110 section 7.8)",
    code: Code::OutOfRange,
    parse: |text| {
        // It is never given (README): what is asked for behind it would be served as HTTP/1.1 all the same.
        if text.eq_ignore_ascii_case("h2c") {
            return Err("HTTP/2 is not changed to: clients begin with it".to_owned());
        }
        let route = RouteConfig { upgrades: vec![text.into()], ..RouteConfig::any("route", "upstream") };
        route.validate().map(|()| text.to_owned()).map_err(|_| "it has another form".to_owned())
    },
    write: String::clone,
    help: "write \"websocket\", or a name with a version, as in \"tls/1.0\"",
};
/// RFC 9110 section 5.6.2.
pub(super) const TOKEN: Text<String> = Text {
    what: "a token of 1 to 256 characters (RFC 9110 section 5.6.2)",
    code: Code::OutOfRange,
    parse: |text| {
        let of_token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
        match text.len() {
            1..=256 if text.bytes().all(of_token) => Ok(text.to_owned()),
            1..=256 => Err("it has other characters than letters, digits and !#$%&'*+-.^_`|~".to_owned()),
            length => Err(format!("it has {length} octets")),
        }
    },
    write: String::clone,
    help: "one word, as in \"shuntyard\"",
};
