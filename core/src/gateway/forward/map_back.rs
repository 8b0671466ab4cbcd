//! Names of a backend in its responses, where it was asked by a name that clients do not know; and theirs in requests, where it does not know that.
//!
//! A reference that begins with that name becomes one without any (RFC 3986 section 4.2), which a client resolves against what it
//! asked for: so it stays with the scheme and host that it used, whatever is in front of us.

use crate::fields::{FieldLine, FieldName, FieldSection};

/// Rewrites `location`, `content-location`, `uri`, `destination` (RFC 4918 section 10.3), the targets of `link` (RFC 8288) and the
/// domains of cookies that name `authority`.
pub(in crate::gateway) fn map_back(fields: &mut FieldSection, authority: &str, seed: u64) {
    let mapped = |line: &FieldLine<'_>| match line.name {
        b"location" | b"content-location" | b"uri" | b"destination" => relative(line.value, authority),
        b"link" => linked(line.value, authority),
        _ if line.facts.name == FieldName::SetCookie => without_domain(line.value, authority),
        _ => None,
    };
    rewrite(fields, mapped, seed);
}

/// Rewrites `destination` (RFC 4918 section 10.3) of a request that names the authority which its client has asked: the backend knows itself by
/// another name, and would take it for a strange server's.
pub(in crate::gateway) fn map_forth(fields: &mut FieldSection, asked: &[u8], seed: u64) {
    let Ok(asked) = core::str::from_utf8(asked) else { return };
    let mapped = |line: &FieldLine<'_>| match line.name {
        b"destination" => relative(line.value, asked),
        _ => None,
    };
    rewrite(fields, mapped, seed);
}

/// Gives lines for which there is another value that value.
fn rewrite(fields: &mut FieldSection, mapped: impl Fn(&FieldLine<'_>) -> Option<Vec<u8>>, seed: u64) {
    if !fields.iter().any(|line| mapped(&line).is_some()) {
        return;
    }
    let mut whole = FieldSection::new();
    for line in fields.iter() {
        match mapped(&line) {
            None => whole.push(line),
            Some(value) => {
                let never_indexed = line.never_indexed;
                whole.push(FieldLine { never_indexed, ..FieldLine::new(line.name, &value, seed) });
            }
        }
    }
    *fields = whole;
}

/// The reference without scheme and authority, if it names this authority.
fn relative(reference: &[u8], authority: &str) -> Option<Vec<u8>> {
    let (default_port, rest) = strip(reference, b"http://")
        .map(|rest| (80, rest))
        .or_else(|| strip(reference, b"https://").map(|rest| (443, rest)))?;
    let end = rest.iter().position(|octet| matches!(octet, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (named, path) = rest.split_at(end);
    let with_port = |authority: &[u8]| {
        let (host, port) = host_and_port(authority);
        (host.to_ascii_lowercase(), port.map_or(default_port.to_string().into_bytes(), <[u8]>::to_vec))
    };
    if with_port(named) != with_port(authority.as_bytes()) {
        return None;
    }
    // Two slashes would begin with another authority; browsers see none of the tabs between them.
    let mut seen = path.iter().filter(|&&octet| octet != b'\t');
    let before: &[u8] = match (seen.next(), seen.next()) {
        (Some(b'/'), Some(b'/' | b'\\')) => b"/.",
        (Some(b'/'), _) => b"",
        _ => b"/",
    };
    Some([before, path].concat())
}

/// The links whose targets are the backend's, with targets that are relative. A target stands in angle brackets, and `<` stands
/// elsewhere in quoted strings only.
fn linked(links: &[u8], authority: &str) -> Option<Vec<u8>> {
    let mut changed = Vec::new();
    let (mut rest, mut quoted, mut is_changed) = (links, false, false);
    // Behind the last `>` no target ends: nobody looks further for one.
    let last = links.iter().rposition(|&octet| octet == b'>').unwrap_or(0);
    while let Some((&octet, behind)) = rest.split_first() {
        let opens = octet == b'<' && !quoted && links.len() - behind.len() <= last;
        let target = if opens { behind.iter().position(|&octet| octet == b'>') } else { None };
        let escapes = quoted && octet == b'\\' && !behind.is_empty();
        quoted ^= octet == b'"';
        let taken = match target {
            Some(end) => {
                let found = relative(&behind[..end], authority);
                is_changed |= found.is_some();
                changed.push(b'<');
                changed.extend_from_slice(found.as_deref().unwrap_or(&behind[..end]));
                changed.push(b'>');
                end + 2
            }
            None => {
                let taken = 1 + usize::from(escapes);
                changed.extend_from_slice(&rest[..taken]);
                taken
            }
        };
        rest = &rest[taken..];
    }
    is_changed.then_some(changed)
}

fn strip<'a>(reference: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = reference.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn host_and_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let after_host = authority.iter().rposition(|&octet| octet == b']').map_or(0, |at| at + 1);
    match authority[after_host..].iter().position(|&octet| octet == b':') {
        Some(at) => {
            let (host, port) = authority.split_at(after_host + at);
            (host, Some(&port[1..]).filter(|port| !port.is_empty()))
        }
        None => (authority, None),
    }
}

/// The cookie without the attribute that names the backend's host (RFC 6265 section 5.2.3): it is of the host that was asked.
fn without_domain(cookie: &[u8], authority: &str) -> Option<Vec<u8>> {
    let (host, _) = host_and_port(authority.as_bytes());
    let names_it = |attribute: &&[u8]| {
        let attribute = attribute.trim_ascii();
        let Some(domain) = strip(attribute, b"domain").map(<[u8]>::trim_ascii) else { return false };
        let Some(domain) = domain.strip_prefix(b"=").map(<[u8]>::trim_ascii) else { return false };
        domain.strip_prefix(b".").unwrap_or(domain).eq_ignore_ascii_case(host)
    };
    let mut parts = cookie.split(|&octet| octet == b';');
    let pair = parts.next()?;
    if !parts.clone().any(|attribute| names_it(&attribute)) {
        return None;
    }
    let kept = core::iter::once(pair).chain(parts.filter(|attribute| !names_it(attribute)));
    Some(kept.collect::<Vec<_>>().join(&b';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b68_references_to_the_backend_become_relative() {
        let of = |authority: &str, reference: &str| {
            relative(reference.as_bytes(), authority)
                .map(|octets| String::from_utf8(octets).expect("it was text"))
        };
        for (authority, reference, expected) in [
            ("app:8080", "http://app:8080/a?b#c", "/a?b#c"),
            ("app:8080", "HTTPS://APP:8080/a", "/a"),
            ("app", "http://app:80/", "/"),
            ("app:443", "https://app", "/"),
            ("app", "http://app?q", "/?q"),
            ("app", "http://app:/x", "/x"),
            ("[::1]:81", "http://[::1]:81/x", "/x"),
            ("app", "http://app//evil.example/", "/.//evil.example/"),
            ("app", "http://app/\\evil.example/", "/./\\evil.example/"),
            ("app", "http://app/\t/evil.example/", "/./\t/evil.example/"),
            ("app", "http://app/\t\t\\evil.example/", "/./\t\t\\evil.example/"),
        ] {
            assert_eq!(of(authority, reference).as_deref(), Some(expected), "{reference}");
        }
        for (authority, reference) in [
            ("app:8080", "http://app/"),
            ("app", "https://app:80/"),
            ("app", "http://application/"),
            ("app", "http://user@app/"),
            ("app", "ftp://app/"),
            ("app", "/a"),
            ("app", "//app/a"),
            ("app", "http:"),
        ] {
            assert_eq!(of(authority, reference), None, "{reference}");
        }
    }

    #[test]
    fn b68_targets_of_links_become_relative() {
        let of = |links: &str| {
            linked(links.as_bytes(), "app:81").map(|octets| String::from_utf8(octets).expect("it was text"))
        };
        for (links, expected) in [
            ("<http://app:81/a.css>; rel=preload; as=style", "</a.css>; rel=preload; as=style"),
            ("<http://cdn/x>; rel=y, <http://APP:81>;rel=next", "<http://cdn/x>; rel=y, </>;rel=next"),
            (
                r#"<http://app:81/a>; title="<http://app:81/b>, \"<http://app:81/c>", </d>"#,
                r#"</a>; title="<http://app:81/b>, \"<http://app:81/c>", </d>"#,
            ),
        ] {
            assert_eq!(of(links).as_deref(), Some(expected), "{links}");
        }
        for other in
            ["", "</a>; rel=b", "<http://app:81/a", "<http://app:82/a>", r#"a="<http://app:81/b>"#, "\"\\"]
        {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn b68_cookies_of_the_backend_are_of_the_host_that_was_asked() {
        let of = |cookie: &str| {
            without_domain(cookie.as_bytes(), "app.test:81")
                .map(|octets| String::from_utf8(octets).expect("it was text"))
        };
        assert_eq!(of("a=b; Domain=app.test; Path=/").as_deref(), Some("a=b; Path=/"));
        assert_eq!(of("a=b; domain = .APP.test").as_deref(), Some("a=b"));
        for other in
            ["a=b", "domain=app.test", "a=b; Domain=test", "a=b; Domain", "a=b; Domains=app.test", ""]
        {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
