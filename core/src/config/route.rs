//! Routes: which upstream serves a request.

use std::sync::Arc;

use crate::config::{ConfigError, HeaderRule, range, range_duration};
use crate::time::Duration;

/// One route. Of the routes of a configuration the first that matches serves a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// Names it in records and figures. Not empty.
    pub name: Arc<str>,
    /// The authorities that it serves.
    pub host: HostPattern,
    /// The paths that it serves.
    pub path: PathPattern,
    /// The name of the upstream.
    pub upstream: Arc<str>,
    /// The authority by which its backends are asked, `host` or `host:port`; `None`: the one that the client asked for.
    pub authority: Option<Arc<str>>,
    /// Whether that authority is taken out of `location`, `content-location`, `uri`, `destination`, `link` and the domains of cookies in responses, so that
    /// clients stay with the name that they know, and theirs out of `destination` in requests. Without another authority nothing is.
    pub map_back: bool,
    /// Statuses of backends whose content is replaced by a line of the gateway's own; the head stays, but for what it says of the
    /// content. Calls by gRPC have no such content. 400 to 599, at most 200.
    pub replace_errors: Vec<u16>,
    /// From a request's head to the end of its response; `None` for no such limit. A millisecond to a day.
    pub timeout: Option<Duration>,
    /// The protocols that its requests may upgrade to, by `Upgrade` over HTTP/1.1 or by extended CONNECT over HTTP/2 (RFC 8441).
    /// Names with or without a version (RFC 9110 section 7.8), at most 16. HTTP/1.1 connections that stand keep to those that there were when they came.
    pub upgrades: Vec<Arc<str>>,
    /// Whether it serves plain CONNECT (RFC 9110 section 9.3.6), which a backend then answers. Not with another authority: that is
    /// where a CONNECT leads.
    pub connect: bool,
    /// Changes of the head that a backend gets, made anew for each attempt. At most 256.
    pub request_headers: Vec<HeaderRule>,
    /// Changes of the final response head of a backend. What the gateway answers by itself stays as it is: a rule that
    /// lets caches keep a page would let them keep its absence. Trailers and interim responses come without what is set or removed. At most 256.
    pub response_headers: Vec<HeaderRule>,
}

impl RouteConfig {
    /// What its header rules add to a head at most, in octets as RFC 9113 section 6.5.2 counts them.
    pub(super) fn added(&self) -> u32 {
        [&self.request_headers, &self.response_headers]
            .map(|rules| HeaderRule::added(rules))
            .into_iter()
            .max()
            .unwrap_or(0)
    }
}

/// Which hosts a route serves. Ports are not looked at, nor upper and lower case. Others will come: who matches it has an arm for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostPattern {
    /// All, and requests that name none.
    #[default]
    Any,
    /// This one, without port; an IPv6 address without brackets.
    Exact(Arc<str>),
    /// Every name below this domain (`example.com` for `*.example.com`), not the domain itself.
    Below(Arc<str>),
}

/// Which paths a route serves: octet by octet, without the query. Others will come: who matches it has an arm for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PathPattern {
    /// All.
    #[default]
    Any,
    /// This one, which begins with a slash, or is the star of OPTIONS.
    Exact(Arc<str>),
    /// All that begin so, with a slash.
    Prefix(Arc<str>),
}

impl PathPattern {
    /// Whether some path could match it (RFC 9113 section 8.3.1): that of OPTIONS may be a star.
    fn validate(&self) -> Result<(), ConfigError> {
        let (Self::Exact(path) | Self::Prefix(path)) = self else { return Ok(()) };
        range("route path", path.len() as u64, 1, 4096)?;
        let of_path = |octet: u8| octet.is_ascii_graphic() && !matches!(octet, b'?' | b'#');
        if &**path == "*" || (path.starts_with('/') && path.bytes().all(of_path)) {
            return Ok(());
        }
        Err(ConfigError::PathPattern { pattern: path.clone() })
    }
}

impl RouteConfig {
    /// A route that serves every request.
    pub fn any(name: impl Into<Arc<str>>, upstream: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            host: HostPattern::Any,
            path: PathPattern::Any,
            upstream: upstream.into(),
            authority: None,
            map_back: true,
            replace_errors: Vec::new(),
            timeout: None,
            upgrades: vec!["websocket".into()],
            connect: false,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
        }
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    ///
    /// A value lies outside its range, host or path could match nothing, the authority is none, or it stands beside CONNECT, or a header rule is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        range("route upgrades", self.upgrades.len() as u64, 0, 16)?;
        self.upgrades.iter().try_for_each(|upgrade| crate::config::protocol("route upgrade", upgrade))?;
        range("route replace_errors", self.replace_errors.len() as u64, 0, 200)?;
        let in_range = |&status: &u16| range("route replace_errors", u64::from(status), 400, 599);
        self.replace_errors.iter().try_for_each(in_range)?;
        range("route name", self.name.len() as u64, 1, 256)?;
        self.host.validate("route host")?;
        self.path.validate()?;
        if let Some(authority) = &self.authority
            && !is_authority(authority)
        {
            return Err(ConfigError::Authority { route: Arc::clone(&self.name) });
        }
        if self.authority.is_some() && self.connect {
            return Err(ConfigError::ConnectElsewhere { route: Arc::clone(&self.name) });
        }
        for rules in [&self.request_headers, &self.response_headers] {
            range("header rules", rules.len() as u64, 0, 256)?;
            rules.iter().try_for_each(HeaderRule::validate)?;
        }
        self.timeout.map_or(Ok(()), |timeout| range_duration("route timeout", timeout))
    }
}

/// A host or an IPv6 address in brackets, and perhaps a port (RFC 9110 section 4.2.1).
fn is_authority(text: &str) -> bool {
    if text.len() > 260 {
        return false;
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_name = |name: &str| {
        let of_name = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
        !name.is_empty() && name.bytes().all(of_name)
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<core::net::Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    is_host
        && port.is_none_or(|port| {
            port.bytes().all(|octet| octet.is_ascii_digit()) && port.parse::<u16>().is_ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_leads_where_its_client_says() {
        let route = RouteConfig { connect: true, ..RouteConfig::any("a", "b") };
        assert_eq!(route.validate(), Ok(()));
        let route = RouteConfig { authority: Some("app".into()), ..route };
        assert_eq!(route.validate(), Err(ConfigError::ConnectElsewhere { route: "a".into() }));
        assert_eq!(RouteConfig { connect: false, ..route }.validate(), Ok(()));
    }

    #[test]
    fn paths_that_none_could_be_are_no_patterns() {
        for path in ["/", "/v1", "/v1/", "/a%20b", "/a`b", "*"] {
            assert_eq!(PathPattern::Exact(path.into()).validate(), Ok(()), "{path}");
            assert_eq!(PathPattern::Prefix(path.into()).validate(), Ok(()), "{path}");
        }
        for path in ["internal/", "/a?b", "/a#b", "/a b", "/\u{e4}", "**"] {
            for path in [PathPattern::Exact(path.into()), PathPattern::Prefix(path.into())] {
                let route = RouteConfig { path, ..RouteConfig::any("a", "b") };
                assert!(matches!(route.validate(), Err(ConfigError::PathPattern { .. })), "{route:?}");
            }
        }
    }

    #[test]
    fn authorities() {
        for good in ["app", "app.internal:8080", "10.0.0.1", "[::1]", "[2001:db8::1]:443", "a_b-c.d"] {
            assert!(is_authority(good), "{good}");
        }
        for bad in
            ["", ":80", "a b", "a:b", "a:", "a:70000", "a:+1", "::1", "[::1", "[x]:1", "u@a", "a/b", "\u{e9}"]
        {
            assert!(!is_authority(bad), "{bad}");
        }
    }
}
