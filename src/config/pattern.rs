//! Which hosts and paths a route serves, as they are written.

use std::net::IpAddr;

use shuntyard_core::config::{HostPattern, PathPattern};

/// A host, or `*.` and a domain. The error says why not.
pub(super) fn parse_host(text: &str) -> Result<HostPattern, String> {
    if text == "*" {
        return Err("without the key a route serves all hosts".to_owned());
    }
    if text.contains("://") || text.contains('/') {
        return Err("a host has neither scheme nor path".to_owned());
    }
    if text.parse::<IpAddr>().is_ok() {
        return Ok(HostPattern::Exact(text.into()));
    }
    if text.contains([':', '[', ']']) {
        return Err("hosts stand without port, and IPv6 addresses without brackets".to_owned());
    }
    let (host, below) = text.strip_prefix("*.").map_or((text, false), |domain| (domain, true));
    if host.contains('*') {
        return Err("a star stands for the first part only, as in *.example.com".to_owned());
    }
    if host.split('.').any(str::is_empty) {
        return Err("a part between two dots is empty".to_owned());
    }
    let of_host = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
    match host.len() {
        1..=253 if host.bytes().all(of_host) => {
            let host = host.to_ascii_lowercase().into();
            Ok(if below { HostPattern::Below(host) } else { HostPattern::Exact(host) })
        }
        1..=253 => Err("it has other characters than ASCII letters, digits, dots and hyphens".to_owned()),
        length => Err(format!("it has {length} characters: no host has more than 253")),
    }
}

/// A path; with a slash at its end, all paths that begin so. The error says why not.
pub(super) fn parse_path(text: &str) -> Result<PathPattern, String> {
    if !text.starts_with('/') {
        return Err("a path begins with a slash".to_owned());
    }
    if text.contains(['?', '#']) {
        return Err("a path ends before the query".to_owned());
    }
    if text.ends_with('*') {
        return Err("what begins so is written with a slash at its end, without a star".to_owned());
    }
    if !text.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err("other characters are percent-encoded, as clients send them".to_owned());
    }
    match text.len() {
        1..=4096 if text.ends_with('/') => Ok(PathPattern::Prefix(text.into())),
        1..=4096 => Ok(PathPattern::Exact(text.into())),
        length => Err(format!("it has {length} characters: 4096 is the most")),
    }
}

/// As it is written; `*` for all.
pub(super) fn write_host(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Any => "*".to_owned(),
        HostPattern::Exact(host) => host.to_string(),
        HostPattern::Below(domain) => format!("*.{domain}"),
    }
}

/// As it is written; nothing for all.
pub(super) fn write_path(pattern: &PathPattern) -> String {
    match pattern {
        PathPattern::Any => String::new(),
        PathPattern::Exact(path) | PathPattern::Prefix(path) => path.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_and_written_alike() {
        for text in ["api.example.com", "*.example.com", "localhost", "127.0.0.1", "::1", "a_b.c"] {
            assert_eq!(write_host(&parse_host(text).unwrap()), text);
        }
        assert_eq!(parse_host("*.Example.com"), Ok(HostPattern::Below("example.com".into())));
        for wrong in
            ["", "*", "*.", "a.*.b", "a:80", "[::1]", "http://a", "a/b", "a..b", ".a", "a.", "ä.de", "a b"]
        {
            assert!(parse_host(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn paths_are_read_and_written_alike() {
        assert_eq!(parse_path("/v1/"), Ok(PathPattern::Prefix("/v1/".into())));
        assert_eq!(parse_path("/v1"), Ok(PathPattern::Exact("/v1".into())));
        assert_eq!(parse_path("/"), Ok(PathPattern::Prefix("/".into())));
        for wrong in ["", "v1", "/a?b", "/a#b", "/v1/*", "/a b", "/ä"] {
            assert!(parse_path(wrong).is_err(), "{wrong}");
        }
    }
}
