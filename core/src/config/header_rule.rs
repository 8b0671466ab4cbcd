//! Header rules: what a route changes about the fields of its messages.

use std::sync::Arc;

use crate::config::{ConfigError, range};

/// One change of a field section. The rules of a route apply in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderRule {
    /// The field has this value and no other.
    Set {
        /// The field.
        name: Arc<str>,
        /// Its value.
        value: Arc<str>,
    },
    /// The field has one more line, behind those that are there.
    Add {
        /// The field.
        name: Arc<str>,
        /// The value of the line.
        value: Arc<str>,
    },
    /// The field is not there.
    Remove {
        /// The field.
        name: Arc<str>,
    },
}

/// Fields that say how a message is framed, where it goes or what it waits for, or that are the gateway's own business: no rule touches them.
const RESERVED: &[&str] = &[
    // RFC 9113 section 8.2.2.
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    // RFC 9110 section 8.6: it follows the content.
    "content-length",
    // RFC 9113 section 8.3.1: HTTP/2 says it in `:authority`.
    "host",
    // RFC 9110 section 10.1.1: a client that said it waits for an answer to it.
    "expect",
    // RFC 9110 section 7.6.3: what others wrote stays, and the gateway writes its own.
    "via",
];

impl HeaderRule {
    /// The field that it is about.
    pub fn name(&self) -> &str {
        match self {
            Self::Set { name, .. } | Self::Add { name, .. } | Self::Remove { name } => name,
        }
    }

    /// The value that it writes.
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::Set { value, .. } | Self::Add { value, .. } => Some(value),
            Self::Remove { .. } => None,
        }
    }

    /// What these rules add to a head at most, in octets as RFC 9113 section 6.5.2 counts them.
    pub(super) fn added(rules: &[Self]) -> u32 {
        let line = |rule: &Self| rule.value().map_or(0, |value| rule.name().len() + value.len() + 32);
        u32::try_from(rules.iter().map(line).sum::<usize>()).unwrap_or(u32::MAX)
    }

    /// Checks name and value: the name is a token in lower case (RFC 9113 section 8.2.1) of at most 256 octets, and not one
    /// that frames, routes or holds back a message; the value is a field value (RFC 9110 section 5.5) of at most 8192 octets.
    ///
    /// # Errors
    ///
    /// Name or value is not like that: [`ConfigError`] says how.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let name = self.name();
        range("header name", name.len() as u64, 1, 256)?;
        let fault = |of: fn(Arc<str>) -> ConfigError| Err(of(name.into()));
        let lower =
            |octet: u8| octet.is_ascii_alphanumeric() && !octet.is_ascii_uppercase() || is_symbol(octet);
        if !name.bytes().all(lower) {
            return fault(|name| ConfigError::HeaderName { name });
        }
        if RESERVED.contains(&name) {
            return fault(|name| ConfigError::HeaderReserved { name });
        }
        let Some(value) = self.value() else { return Ok(()) };
        range("header value", value.len() as u64, 0, 8192)?;
        let visible = |octet: u8| matches!(octet, b' ' | b'\t' | 0x21..=0x7e | 0x80..);
        let blank = |octet: Option<u8>| matches!(octet, Some(b' ' | b'\t'));
        if !value.bytes().all(visible) || blank(value.bytes().next()) || blank(value.bytes().last()) {
            return fault(|name| ConfigError::HeaderValue { name });
        }
        Ok(())
    }
}

/// The characters of a token beside letters and digits (RFC 9110 section 5.6.2).
fn is_symbol(octet: u8) -> bool {
    b"!#$%&'*+-.^_`|~".contains(&octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<(), ConfigError> {
        HeaderRule::Set { name: name.into(), value: value.into() }.validate()
    }

    #[test]
    fn names_are_tokens_in_lower_case() {
        for good in ["x", "x-a.b_c", "set-cookie", "!#$%&'*+-.^_`|~09az"] {
            assert_eq!(set(good, "v"), Ok(()), "{good}");
        }
        for bad in ["X-Upper", "a b", "a:b", ":path", "x\r\ny", "\u{e9}"] {
            assert_eq!(set(bad, "v"), Err(ConfigError::HeaderName { name: bad.into() }));
        }
        assert!(matches!(set("", "v"), Err(ConfigError::OutOfRange { value: 0, .. })));
        assert!(matches!(set(&"x".repeat(257), "v"), Err(ConfigError::OutOfRange { value: 257, .. })));
    }

    #[test]
    fn what_frames_or_routes_a_message_is_not_touched() {
        for name in RESERVED.iter().copied() {
            let error = Err(ConfigError::HeaderReserved { name: name.into() });
            assert_eq!(set(name, "v"), error);
            assert_eq!(HeaderRule::Add { name: name.into(), value: "v".into() }.validate(), error);
            assert_eq!(HeaderRule::Remove { name: name.into() }.validate(), error);
        }
    }

    #[test]
    fn rfc9110_5_5_values() {
        for good in ["", "a b\tc", "\u{e9}", "\"q\""] {
            assert_eq!(set("x", good), Ok(()), "{good:?}");
        }
        for bad in [" a", "a ", "\ta", "a\t", " ", "a\r\nb: c", "a\nb", "a\0b", "a\u{7f}"] {
            assert_eq!(set("x", bad), Err(ConfigError::HeaderValue { name: "x".into() }), "{bad:?}");
        }
        assert!(matches!(set("x", &"v".repeat(8193)), Err(ConfigError::OutOfRange { value: 8193, .. })));
    }
}
