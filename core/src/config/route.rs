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
    /// From a request's head to the end of its response; `None` for no such limit. A millisecond to a day.
    pub timeout: Option<Duration>,
    /// The protocols that its requests may upgrade to, by `Upgrade` over HTTP/1.1 or by extended CONNECT over HTTP/2 (RFC 8441).
    /// At most 16.
    pub upgrades: Vec<Arc<str>>,
    /// Whether it serves plain CONNECT (RFC 9110 section 9.3.6), which a backend then answers.
    pub connect: bool,
    /// Changes of the head that a backend gets, made anew for each attempt. At most 256.
    pub request_headers: Vec<HeaderRule>,
    /// Changes of the final response head of a backend. What the gateway answers by itself stays as it is: a rule that
    /// lets caches keep a page would let them keep its absence. At most 256.
    pub response_headers: Vec<HeaderRule>,
}

/// Which hosts a route serves. Ports are not looked at, nor upper and lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostPattern {
    /// All, and requests that name none.
    #[default]
    Any,
    /// This one.
    Exact(Arc<str>),
    /// Every name below this domain (`example.com` for `*.example.com`), not the domain itself.
    Below(Arc<str>),
}

/// Which paths a route serves: octet by octet, without the query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PathPattern {
    /// All.
    #[default]
    Any,
    /// This one.
    Exact(Arc<str>),
    /// All that begin so.
    Prefix(Arc<str>),
}

impl RouteConfig {
    /// A route that serves every request.
    pub fn any(name: impl Into<Arc<str>>, upstream: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            host: HostPattern::Any,
            path: PathPattern::Any,
            upstream: upstream.into(),
            timeout: None,
            upgrades: vec!["websocket".into()],
            connect: false,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
        }
    }

    /// Checks every value against its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        range("route upgrades", self.upgrades.len() as u64, 0, 16)?;
        self.upgrades.iter().try_for_each(|upgrade| crate::config::token("route upgrade", upgrade))?;
        range("route name", self.name.len() as u64, 1, 256)?;
        match &self.host {
            HostPattern::Any => {}
            HostPattern::Exact(host) | HostPattern::Below(host) => {
                range("route host", host.len() as u64, 1, 253)?;
            }
        }
        match &self.path {
            PathPattern::Any => {}
            PathPattern::Exact(path) | PathPattern::Prefix(path) => {
                range("route path", path.len() as u64, 1, 4096)?;
            }
        }
        for rules in [&self.request_headers, &self.response_headers] {
            range("header rules", rules.len() as u64, 0, 256)?;
            rules.iter().try_for_each(HeaderRule::validate)?;
        }
        self.timeout.map_or(Ok(()), |timeout| range_duration("route timeout", timeout))
    }
}
