//! The routing table: which upstream serves a request.
//!
//! The first route that matches wins. Routes are indexed by their hosts and there by their paths, so that it costs a request nothing
//! how many there are.

mod paths;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{HostPattern, PathPattern, RouteConfig};
use crate::fields::{FieldChanges, FieldName, FieldSection, Origin};
use crate::key::UpstreamKey;
use crate::time::Duration;
use paths::Paths;

/// A route as a request bears it: it stays as it was when the request came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// Names it in records and figures.
    pub name: Arc<str>,
    /// Who serves its requests.
    pub upstream: UpstreamKey,
    /// Where its requests are counted.
    pub number: u32,
    /// The authority by which its backends are asked, if not by that of the request; and whether it is mapped back.
    pub authority: Option<(Arc<str>, bool)>,
    /// Statuses whose content is replaced.
    pub replace_errors: Vec<u16>,
    /// From a request's head to the end of its response.
    pub timeout: Option<Duration>,
    /// The protocols that its requests may upgrade to (RFC 9110 section 7.8), in lower case.
    pub upgrades: Vec<Arc<str>>,
    /// Whether it serves CONNECT.
    pub connect: bool,
    /// What changes about the head that a backend gets.
    pub request_headers: FieldChanges,
    /// What changes about the head that a backend answers with.
    pub response_headers: FieldChanges,
}

impl Route {
    /// Whether its requests may become a tunnel of this protocol. Upper and lower case are the same, as RFC 9110 section 7.8
    /// advises.
    pub(crate) fn allows_upgrade(&self, protocol: &[u8]) -> bool {
        self.upgrades.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(protocol))
    }
}

/// All routes, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    routes: Vec<Arc<Route>>,
    /// Routes for all hosts.
    any: Paths,
    /// By the host, in lower case.
    exact: BTreeMap<Box<[u8]>, Paths>,
    /// By the domain below which hosts must be, in lower case.
    below: BTreeMap<Box<[u8]>, Paths>,
    /// How long the longest of these domains is: a host may have as many dots as a request has octets.
    longest: usize,
    /// What sections that come again are for, by the places of their origins.
    known: Vec<(Origin, Option<u32>)>,
}

/// Of how many sections that is known.
const KNOWN: usize = 64;

/// Places of routes with their paths, in order.
type Places<'a> = Vec<(u32, &'a PathPattern)>;

impl Routes {
    /// A table of these routes. A route whose upstream `find` does not know is left out. `seed` keys the hashes of field
    /// lines; `number` says where the requests of a route's name are counted.
    pub(crate) fn new(
        configs: &[RouteConfig],
        seed: u64,
        find: impl Fn(&str) -> Option<UpstreamKey>,
        mut number: impl FnMut(&Arc<str>) -> u32,
    ) -> Self {
        let mut table = Self::default();
        let mut any = Places::new();
        let (mut exact, mut below) =
            (BTreeMap::<Box<[u8]>, Places<'_>>::new(), BTreeMap::<Box<[u8]>, Places<'_>>::new());
        for config in configs {
            let Some(upstream) = find(&config.upstream) else { continue };
            let place = table.routes.len() as u32;
            let route = Route {
                name: Arc::clone(&config.name),
                upstream,
                number: number(&config.name),
                authority: config.authority.clone().map(|authority| (authority, config.map_back)),
                replace_errors: config.replace_errors.clone(),
                timeout: config.timeout,
                upgrades: config.upgrades.clone(),
                connect: config.connect,
                request_headers: FieldChanges::new(&config.request_headers, seed),
                response_headers: FieldChanges::new(&config.response_headers, seed),
            };
            table.routes.push(Arc::new(route));
            let key = |host: &str| {
                host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase().into_bytes().into_boxed_slice()
            };
            let places = match &config.host {
                HostPattern::Any => &mut any,
                HostPattern::Exact(host) => exact.entry(key(host)).or_default(),
                HostPattern::Below(domain) => below.entry(key(domain)).or_default(),
            };
            places.push((place, &config.path));
        }
        let by_path = |places: Places<'_>| Paths::new(places.into_iter());
        table.any = by_path(any);
        table.exact = exact.into_iter().map(|(host, places)| (host, by_path(places))).collect();
        table.longest = below.keys().map(|domain| domain.len()).max().unwrap_or(0);
        table.below = below.into_iter().map(|(domain, places)| (domain, by_path(places))).collect();
        table
    }

    /// The route of a request with these fields. `None`: nobody serves it.
    #[inline]
    pub(crate) fn of(&mut self, fields: &FieldSection) -> Option<&Arc<Route>> {
        let origin = fields.origin();
        let place = match self.known.get(origin.spread() % KNOWN) {
            Some(&(of, place)) if of == origin && origin != Origin::NONE => place,
            _ => self.learn(fields),
        };
        self.at(place?)
    }

    fn learn(&mut self, fields: &FieldSection) -> Option<u32> {
        let host = || fields.value_of(FieldName::Host);
        let authority = fields.value_of(FieldName::Authority).or_else(host).unwrap_or_default();
        let place = self.place_of(authority, fields.value_of(FieldName::Path).unwrap_or_default());
        let origin = fields.origin();
        if origin != Origin::NONE {
            self.known.resize(KNOWN, (Origin::NONE, None));
            self.known[origin.spread() % KNOWN] = (origin, place);
        }
        place
    }

    fn at(&self, place: u32) -> Option<&Arc<Route>> {
        self.routes.get(place as usize)
    }

    fn place_of(&self, authority: &[u8], path: &[u8]) -> Option<u32> {
        let path = path.split(|&octet| octet == b'?').next().unwrap_or(path);
        let mut best = self.any.first(path);
        if !self.exact.is_empty() || !self.below.is_empty() {
            let host = lower(host_of(authority));
            best = earlier(best, self.exact.get(&host[..]).and_then(|paths| paths.first(path)));
            if !self.below.is_empty() {
                let from = host.len().saturating_sub(self.longest + 1);
                for dot in (from..host.len()).filter(|&at| host[at] == b'.') {
                    let below = self.below.get(&host[dot + 1..]).and_then(|paths| paths.first(path));
                    best = earlier(best, below);
                }
            }
        }
        best
    }
}

/// In lower case, as nearly all come.
fn lower(host: &[u8]) -> Cow<'_, [u8]> {
    if host.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

fn earlier(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The host of an authority: without its port, without the brackets that an IPv6 address has there, and without the dot at the end of
/// a name that is a full one.
pub(crate) fn host_of(authority: &[u8]) -> &[u8] {
    if let Some(rest) = authority.strip_prefix(b"[") {
        return rest.split(|&octet| octet == b']').next().unwrap_or(rest);
    }
    let host = authority.split(|&octet| octet == b':').next().unwrap_or(authority);
    host.strip_suffix(b".").unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Slab;

    fn table(routes: &[(&str, HostPattern, PathPattern)]) -> Routes {
        let configs: Vec<_> = routes
            .iter()
            .map(|(name, host, path)| RouteConfig {
                host: host.clone(),
                path: path.clone(),
                ..RouteConfig::any(*name, "site")
            })
            .collect();
        let key = Slab::<(), crate::key::UpstreamMarker>::default().insert(());
        Routes::new(&configs, 0, |_| Some(key), |_| 0)
    }

    fn name<'a>(routes: &'a Routes, authority: &str, path: &str) -> Option<&'a str> {
        routes.at(routes.place_of(authority.as_bytes(), path.as_bytes())?).map(|route| &*route.name)
    }

    #[test]
    fn the_first_route_that_matches_wins() {
        let exact = |host: &str| HostPattern::Exact(host.into());
        let prefix = |path: &str| PathPattern::Prefix(path.into());
        let routes = table(&[
            ("old", exact("api.example.com"), prefix("/v1/")),
            ("sub", HostPattern::Below("example.com".into()), prefix("/v1/")),
            ("ping", HostPattern::Any, PathPattern::Exact("/ping".into())),
            ("api", exact("API.example.com"), PathPattern::Any),
            ("v6", exact("::1"), PathPattern::Any),
            ("full", exact("full.example.org."), PathPattern::Any),
        ]);
        assert_eq!(name(&routes, "api.example.com", "/v1/users?x=/"), Some("old"));
        assert_eq!(name(&routes, "Api.Example.com:8443", "/v1/"), Some("old"));
        assert_eq!(name(&routes, "api.example.com", "/v1"), Some("api"));
        assert_eq!(name(&routes, "api.example.com.", "/v1/"), Some("old"));
        assert_eq!(name(&routes, "api.example.com.:80", "/"), Some("api"));
        assert_eq!(name(&routes, "api.example.com..", "/"), None);
        assert_eq!(name(&routes, "full.example.org", "/"), Some("full"));
        assert_eq!(name(&routes, "a.b.example.com", "/v1/"), Some("sub"));
        assert_eq!(name(&routes, "example.com", "/v1/"), None);
        assert_eq!(name(&routes, "notexample.com", "/v1/"), None);
        // However many dots there are, those in front of the longest domain are not looked at.
        let (long, host) = (format!("{}example.com", "a.".repeat(2_000)), "a.".repeat(2_000));
        assert_eq!((name(&routes, &long, "/v1/"), name(&routes, &host, "/v1/")), (Some("sub"), None));
        assert_eq!(routes.longest, "example.com".len());
        assert_eq!(name(&routes, "api.example.com", "/ping?now"), Some("ping"));
        assert_eq!(name(&routes, "", "/ping"), Some("ping"));
        assert_eq!(name(&routes, "[::1]:80", "/"), Some("v6"));
        assert_eq!(name(&routes, "elsewhere", "/"), None);
    }
}
