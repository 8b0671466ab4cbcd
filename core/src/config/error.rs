//! What is wrong with a configuration.

use core::fmt;
use std::sync::Arc;

use crate::address::Address;
use crate::config::{Host, Protocol};

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number lies outside its range.
    OutOfRange {
        /// The field.
        name: &'static str,
        /// Its value; of a duration, in milliseconds; of a list or a text, its length.
        value: u64,
        /// The smallest value allowed.
        min: u64,
        /// The largest value allowed.
        max: u64,
    },
    /// Clients may speak nothing.
    NoProtocol,
    /// Two upstreams have the same name.
    UpstreamRepeated {
        /// The name.
        name: Arc<str>,
    },
    /// An upstream has the same endpoint twice.
    EndpointRepeated {
        /// The upstream.
        upstream: Arc<str>,
        /// The endpoint.
        endpoint: Host,
    },
    /// There is no such host: no request would match it.
    HostPattern {
        /// What should be one.
        pattern: Arc<str>,
    },
    /// There is no such path: no request would match it.
    PathPattern {
        /// What should be one, or its beginning.
        pattern: Arc<str>,
    },
    /// A route leads nowhere.
    UpstreamUnknown {
        /// The route.
        route: Arc<str>,
        /// The name that no upstream has.
        upstream: Arc<str>,
    },
    /// A route asks its backends by what is no authority.
    Authority {
        /// The route.
        route: Arc<str>,
    },
    /// A route serves CONNECT, and asks its backends by another authority: that would lead elsewhere than its client said.
    ConnectElsewhere {
        /// The route.
        route: Arc<str>,
    },
    /// A text has characters that no token has (RFC 9110 section 5.6.2).
    NotToken {
        /// The field.
        name: &'static str,
    },
    /// A header rule's name is no token in lower case (RFC 9113 section 8.2.1).
    HeaderName {
        /// The name.
        name: Arc<str>,
    },
    /// A header rule touches a field that frames, routes or holds back messages, or that the gateway writes itself.
    HeaderReserved {
        /// The name.
        name: Arc<str>,
    },
    /// A header rule's value has characters that no field value has, or blanks at an end (RFC 9110 section 5.5).
    HeaderValue {
        /// The name of the field.
        name: Arc<str>,
    },
    /// More is said of a listener that is none, or twice of one, or a socket was opened for one. Adapters find it, who know where they listen; so do they find what follows.
    ListenerUnknown {
        /// Where it would be.
        address: Address,
    },
    /// A listener asks for certificates for some names, and other names are said to the gateway.
    ListenerGroups {
        /// Where it is.
        address: Address,
    },
    /// A listener offers a protocol by TLS that the gateway is told not to speak there.
    ListenerProtocol {
        /// Where it is.
        address: Address,
        /// What it offers.
        protocol: Protocol,
    },
    /// An upstream has an endpoint that speaks TLS, and nobody has said how to speak it there.
    UpstreamTls {
        /// The upstream.
        upstream: Arc<str>,
    },
    /// A Unix socket that speaks TLS, and nobody has said which name its certificate has to be for.
    EndpointUnnamed {
        /// The endpoint.
        endpoint: Host,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { name, value, min, max } => {
                write!(f, "{name} is {value}, but must lie between {min} and {max}")
            }
            Self::NoProtocol => f.write_str("clients may speak neither HTTP/1.1 nor HTTP/2"),
            Self::UpstreamRepeated { name } => write!(f, "there are two upstreams named {name}"),
            Self::EndpointRepeated { upstream, endpoint } => {
                write!(f, "upstream {upstream} has the endpoint {endpoint} twice")
            }
            Self::HostPattern { pattern } => {
                write!(f, "no host is `{pattern}`: hosts stand without port, brackets and star")
            }
            Self::PathPattern { pattern } => {
                write!(
                    f,
                    "no path is or begins with `{pattern}`: paths begin with a slash, and end before the query"
                )
            }
            Self::UpstreamUnknown { route, upstream } => {
                write!(f, "route {route} leads to the upstream {upstream}, which does not exist")
            }
            Self::Authority { route } => {
                write!(f, "the authority of route {route} is neither HOST nor HOST:PORT")
            }
            Self::ConnectElsewhere { route } => {
                write!(f, "route {route} serves CONNECT, whose target another authority would change")
            }
            Self::NotToken { name } => {
                write!(f, "{name} may have letters, digits and !#$%&'*+-.^_`|~ only")
            }
            Self::HeaderName { name } => {
                let name = name.escape_debug();
                write!(f, "header `{name}` may have small letters, digits and !#$%&'*+-.^_`|~ only")
            }
            Self::HeaderReserved { name } => {
                write!(
                    f,
                    "header `{name}` frames, routes or holds back messages, so that no rule may touch it"
                )
            }
            Self::HeaderValue { name } => {
                write!(f, "the value of header `{name}` has control characters, or a blank at an end")
            }
            Self::ListenerUnknown { address } => {
                write!(f, "more is said of {address} than that somebody listens there, and nobody does")
            }
            Self::ListenerGroups { address } => {
                write!(f, "the groups of names of {address} are others than those that TLS has there")
            }
            Self::ListenerProtocol { address, protocol } => {
                let protocol = match protocol {
                    Protocol::Http1 => "HTTP/1.1",
                    Protocol::Http2 => "HTTP/2",
                };
                write!(f, "TLS offers {protocol} on {address}, where it is not to be spoken")
            }
            Self::UpstreamTls { upstream } => {
                write!(f, "upstream {upstream} has endpoints that speak TLS, and nobody has said how")
            }
            Self::EndpointUnnamed { endpoint } => {
                write!(f, "{endpoint} speaks TLS, and nobody has said who it has to be")
            }
        }
    }
}

impl core::error::Error for ConfigError {}
