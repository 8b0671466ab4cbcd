//! The four forms of a request's target (RFC 9112 section 3.2).

/// A target, in parts that [`message::request`](crate::message::request) still has to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// `/path?query` (3.2.1), or `*` (3.2.4).
    Origin(&'a [u8]),
    /// `http://authority/path?query` (3.2.2).
    Absolute {
        /// `http` or `https`.
        scheme: &'static [u8],
        /// What stands between the slashes.
        authority: &'a [u8],
        /// What follows, possibly nothing.
        path: &'a [u8],
    },
    /// `host:port`, of CONNECT (3.2.3).
    Authority(&'a [u8]),
}

impl<'a> Target<'a> {
    /// Tells the form; `None` where it is none that the method may have.
    pub(crate) fn parse(method: &[u8], target: &'a [u8]) -> Option<Self> {
        if method == b"CONNECT" {
            return Some(Self::Authority(target));
        }
        if matches!(target, [b'/', ..] | b"*") {
            return Some(Self::Origin(target));
        }
        let at = target.windows(3).position(|octets| octets == b"://")?;
        let schemes: [&'static [u8]; 2] = [b"http", b"https"];
        let scheme = schemes.into_iter().find(|scheme| scheme.eq_ignore_ascii_case(&target[..at]))?;
        let rest = &target[at + 3..];
        let end = rest.iter().position(|octet| matches!(octet, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        Some(Self::Absolute { scheme, authority, path }) // 9112-3.2.2-06
    }
}

/// Puts what `:path` is for the path of an absolute form: never empty (RFC 9112 sections 3.2.1 and 3.2.4).
pub(crate) fn put_path(out: &mut Vec<u8>, method: &[u8], path: &[u8]) {
    match path {
        [] if method == b"OPTIONS" => out.push(b'*'), // 9112-3.2.4-02
        // 9112-3.2.1-02
        [] | [b'?', ..] => out.push(b'/'),
        _ => {}
    }
    out.extend_from_slice(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9112_3_2_forms() {
        let absolute = |scheme, authority, path| Some(Target::Absolute { scheme, authority, path });
        for (method, target, expected) in [
            ("GET", "/a?b", Some(Target::Origin(b"/a?b"))),
            ("GET", "//a", Some(Target::Origin(b"//a"))),
            ("OPTIONS", "*", Some(Target::Origin(b"*"))),
            ("GET", "http://a/b", absolute(b"http", b"a", b"/b")),
            ("GET", "HTTPS://a:1", absolute(b"https", b"a:1", b"")),
            ("GET", "http://a?b://c/", absolute(b"http", b"a", b"?b://c/")),
            ("GET", "http://", absolute(b"http", b"", b"")),
            ("GET", "ftp://a/", None),
            ("GET", "http:/a", None),
            ("GET", "a:80", None),
            ("GET", "a/b", None),
            ("GET", "**", None),
            ("GET", "", None),
            ("CONNECT", "a:80", Some(Target::Authority(b"a:80"))),
            ("CONNECT", "/", Some(Target::Authority(b"/"))),
        ] {
            assert_eq!(Target::parse(method.as_bytes(), target.as_bytes()), expected, "{method} {target}");
        }
        for (method, path, expected) in [
            ("GET", "", "/"),
            ("OPTIONS", "", "*"),
            ("OPTIONS", "?a", "/?a"),
            ("GET", "?a", "/?a"),
            ("OPTIONS", "/", "/"),
        ] {
            let mut out = Vec::new();
            put_path(&mut out, method.as_bytes(), path.as_bytes());
            assert_eq!(out, expected.as_bytes());
        }
    }
}
