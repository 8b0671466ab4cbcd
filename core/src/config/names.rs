//! Names in groups: what a listener asks of those who come for some of its names, and not of others.

use crate::config::{ConfigError, HostPattern, range};

/// Groups of names. A name that is in none is with all others that are in none; of several groups that it is in, the first is its.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameGroups(pub Vec<Vec<HostPattern>>);

impl NameGroups {
    /// The group of a name, by its place. Upper and lower case are the same, and so is a name with the root's dot at its end.
    pub fn of(&self, name: &[u8]) -> Option<usize> {
        let name = name.strip_suffix(b".").unwrap_or(name);
        let is_in = |pattern: &HostPattern| match pattern {
            HostPattern::Any => true,
            HostPattern::Exact(host) => name.eq_ignore_ascii_case(host.as_bytes()),
            HostPattern::Below(domain) => {
                let domain = domain.as_bytes();
                let Some(at) = name.len().checked_sub(domain.len() + 1).filter(|at| *at > 0) else {
                    return false;
                };
                name[at] == b'.' && name[at + 1..].eq_ignore_ascii_case(domain)
            }
        };
        self.0.iter().position(|group| group.iter().any(is_in))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        range("groups of names", self.0.len() as u64, 0, 256)?;
        self.0.iter().flatten().try_for_each(|pattern| pattern.validate("name"))
    }
}

impl HostPattern {
    /// Whether some host could match it: a registered name or an address (RFC 3986 section 3.2.2), that of IPv6 without brackets.
    pub(super) fn validate(&self, field: &'static str) -> Result<(), ConfigError> {
        let (Self::Exact(host) | Self::Below(host)) = self else { return Ok(()) };
        range(field, host.len() as u64, 1, 253)?;
        // A star is none that anybody has: `Below` is meant.
        let of_name = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~!$&'()+,;=%".contains(&octet);
        let is_address = || matches!(self, Self::Exact(_)) && host.parse::<core::net::Ipv6Addr>().is_ok();
        if host.bytes().all(of_name) || is_address() {
            return Ok(());
        }
        Err(ConfigError::HostPattern { pattern: host.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_none_could_be_are_no_patterns() {
        for host in ["a.example", "a.example.", "localhost", "127.0.0.1", "::1", "a_b", "A.Example"] {
            assert_eq!(HostPattern::Exact(host.into()).validate("name"), Ok(()), "{host}");
        }
        for host in ["a.example:8080", "[::1]", "*.example.com", "http://a", "a/b", "a b", "\u{e4}.example"] {
            for pattern in [HostPattern::Exact(host.into()), HostPattern::Below(host.into())] {
                assert_eq!(pattern.validate("name"), Err(ConfigError::HostPattern { pattern: host.into() }));
            }
        }
        assert!(HostPattern::Below("::1".into()).validate("name").is_err());
    }

    #[test]
    fn a_name_is_in_the_first_group_that_has_it() {
        let exact = |host: &str| HostPattern::Exact(host.into());
        let groups = NameGroups(vec![
            vec![exact("Admin.example.com"), exact("a.example")],
            vec![HostPattern::Below("example.com".into())],
        ]);
        let of = [
            ("admin.example.com", Some(0)),
            ("ADMIN.example.COM.", Some(0)),
            ("a.example", Some(0)),
            ("www.example.com", Some(1)),
            ("a.b.example.com", Some(1)),
            ("example.com", None),
            (".example.com", None),
            ("wexample.com", None),
            ("b.example", None),
            ("", None),
        ];
        of.iter().for_each(|(name, group)| assert_eq!(groups.of(name.as_bytes()), *group, "{name}"));
    }
}
