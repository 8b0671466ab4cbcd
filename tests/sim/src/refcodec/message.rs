//! When a message of HTTP/2 is well-formed: RFC 9113 section 8, as functions that give the reason where it is not.

use super::{Field, value_of};

/// Which section of a message fields are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// A request's head (8.3.1).
    Request,
    /// An interim or final response's head (8.3.2).
    Response,
    /// Trailers (8.1).
    Trailers,
}

/// Fields that speak of one connection and have no place in HTTP/2 (8.2.2).
pub const CONNECTION_SPECIFIC: [&str; 5] =
    ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"];

/// The reason why a field section is malformed, if it is.
pub fn malformed(section: Section, fields: &[Field]) -> Option<String> {
    let mut regular_seen = false;
    for (at, (name, value)) in fields.iter().enumerate() {
        if let Some(reason) = malformed_octets(name, value) {
            return Some(format!("{}: {reason}", String::from_utf8_lossy(name)));
        }
        if name.first() != Some(&b':') {
            regular_seen = true;
            if let Some(reason) = forbidden(name, value) {
                return Some(format!("{}: {reason}", String::from_utf8_lossy(name)));
            }
            continue;
        }
        if regular_seen {
            return Some("a pseudo-header field after a regular one (8.3)".into());
        }
        let allowed: &[&[u8]] = match section {
            Section::Request => &[b":method", b":scheme", b":authority", b":path", b":protocol"],
            Section::Response => &[b":status"],
            Section::Trailers => &[],
        };
        if !allowed.contains(&name.as_slice()) {
            return Some(format!("{} does not belong into {section:?} (8.3)", String::from_utf8_lossy(name)));
        }
        if fields[..at].iter().any(|(before, _)| before == name) {
            return Some(format!("{} twice (8.3)", String::from_utf8_lossy(name)));
        }
    }
    match section {
        Section::Request => malformed_control_data(fields),
        Section::Response => {
            let status = value_of(fields, ":status").unwrap_or_default();
            let fine = status.len() == 3
                && status.iter().all(u8::is_ascii_digit)
                && status >= b"100".as_slice()
                && status != b"101";
            (!fine).then(|| format!(":status {:?} (8.3.2, 8.6)", String::from_utf8_lossy(status)))
        }
        Section::Trailers => None,
    }
}

fn malformed_control_data(fields: &[Field]) -> Option<String> {
    let method = value_of(fields, ":method");
    let (scheme, path) = (value_of(fields, ":scheme"), value_of(fields, ":path"));
    if method == Some(b"CONNECT") && value_of(fields, ":protocol").is_none() {
        let fine = scheme.is_none() && path.is_none() && value_of(fields, ":authority").is_some();
        return (!fine).then(|| "CONNECT takes :authority, neither :scheme nor :path (8.5)".into());
    }
    if method.is_none_or(<[u8]>::is_empty) || scheme.is_none_or(<[u8]>::is_empty) {
        return Some(":method and :scheme are needed (8.3.1)".into());
    }
    let fine =
        path.is_some_and(|path| path.starts_with(b"/") || (path == b"*" && method == Some(b"OPTIONS")));
    (!fine).then(|| ":path must begin with a slash, or be * of OPTIONS (8.3.1)".into())
}

/// Section 8.2.1, and that a name is a token of RFC 9110 section 5.6.2.
fn malformed_octets(name: &[u8], value: &[u8]) -> Option<&'static str> {
    let token = name.strip_prefix(b":").unwrap_or(name);
    if token.is_empty() {
        return Some("an empty name");
    }
    if token.iter().any(u8::is_ascii_uppercase) {
        return Some("uppercase in a name");
    }
    if !token.iter().all(|octet| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(octet)) {
        return Some("a name that is no token");
    }
    if value.iter().any(|octet| matches!(octet, 0 | b'\r' | b'\n')) {
        return Some("NUL, CR or LF in a value");
    }
    let space = |octet: Option<&u8>| matches!(octet, Some(b' ' | b'\t'));
    (space(value.first()) || space(value.last())).then_some("white space around a value")
}

/// Section 8.2.2.
fn forbidden(name: &[u8], value: &[u8]) -> Option<&'static str> {
    if CONNECTION_SPECIFIC.iter().any(|connection| connection.as_bytes() == name) {
        return Some("a connection-specific field");
    }
    (name == b"te" && !value.eq_ignore_ascii_case(b"trailers")).then_some("te other than trailers")
}

/// The length that `content-length` announces; an error where it is not one number (RFC 9110 section 8.6).
pub fn content_length(fields: &[Field]) -> Result<Option<u64>, String> {
    let mut length = None;
    for (_, value) in fields.iter().filter(|(name, _)| name == b"content-length") {
        let text = String::from_utf8_lossy(value);
        let number = (!value.is_empty() && value.iter().all(u8::is_ascii_digit))
            .then(|| text.parse::<u64>().ok())
            .flatten();
        let number = number.ok_or_else(|| format!("content-length {text:?}"))?;
        if length.is_some_and(|before| before != number) {
            return Err("content-length twice with different values".into());
        }
        length = Some(number);
    }
    Ok(length)
}

/// The size of a field section as SETTINGS_MAX_HEADER_LIST_SIZE counts it (6.5.2).
pub fn list_size(fields: &[Field]) -> u64 {
    fields.iter().map(|(name, value)| (name.len() + value.len()) as u64 + 32).sum()
}

#[cfg(test)]
mod tests {
    use super::super::field;
    use super::*;

    fn request(extra: &[(&str, &str)]) -> Vec<Field> {
        let base = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];
        base.iter().chain(extra).map(|(name, value)| field(name, value)).collect()
    }

    #[test]
    fn well_formed_messages_pass() {
        assert_eq!(malformed(Section::Request, &request(&[("te", "trailers"), ("x-a", "")])), None);
        assert_eq!(malformed(Section::Response, &[field(":status", "103"), field("link", "</a>")]), None);
        assert_eq!(malformed(Section::Trailers, &[field("x-sum", "1")]), None);
        let connect = [field(":method", "CONNECT"), field(":authority", "a:1")];
        assert_eq!(malformed(Section::Request, &connect), None);
    }

    #[test]
    fn each_rule_fires() {
        for (name, value) in [
            ("X-A", "1"),
            ("a b", "1"),
            ("", "1"),
            ("x", "a\r\nb"),
            ("x", "a\0"),
            ("x", " a"),
            ("x", "a\t"),
            ("connection", "close"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip"),
            (":path", "/again"),
            (":status", "200"),
        ] {
            assert!(malformed(Section::Request, &request(&[(name, value)])).is_some(), "{name:?}: {value:?}");
        }
        for status in ["", "20", "2000", "abc", "101", "099"] {
            assert!(malformed(Section::Response, &[field(":status", status)]).is_some(), "{status}");
        }
        assert!(malformed(Section::Response, &[]).is_some());
        assert!(malformed(Section::Trailers, &[field(":status", "200")]).is_some());
        let late = [field("x", "1"), field(":status", "200")];
        assert!(malformed(Section::Response, &late).is_some());
        assert!(malformed(Section::Request, &request(&[])[..3]).is_some(), "no :path");
    }

    #[test]
    fn content_lengths() {
        assert_eq!(content_length(&[]), Ok(None));
        assert_eq!(
            content_length(&[field("content-length", "10"), field("content-length", "10")]),
            Ok(Some(10))
        );
        for bad in ["", "-1", "1, 1", "1 ", "99999999999999999999"] {
            assert!(content_length(&[field("content-length", bad)]).is_err(), "{bad}");
        }
        assert!(content_length(&[field("content-length", "1"), field("content-length", "2")]).is_err());
    }
}
