//! One HTTP/1.1 exchange: a head of limited size within a deadline, an answer, the end of the connection.

use std::borrow::Cow;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// From the connection to the end of the request's head.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
/// For each write of the answer, and for the client's end behind it.
const WRITE_PATIENCE: Duration = Duration::from_secs(1);
/// The whole answer must have left by then.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// Octets of a request's head.
const HEAD_MAX: usize = 8 << 10;
/// Field lines of a request.
const FIELDS_MAX: usize = 64;
/// Octets of an answer in one write.
const PIECE: usize = 64 << 10;

/// A request that may be answered.
pub(super) struct Asked<'a> {
    /// The target, in origin form.
    pub(super) target: &'a str,
    accept: &'a str,
}

impl<'a> Asked<'a> {
    #[cfg(test)]
    pub(super) fn of(target: &'a str) -> Self {
        Self { target, accept: "" }
    }

    /// Whether `accept` names the type (RFC 9110 section 12.5.1). Weights are not looked at, but for 0.
    pub(super) fn accepts(&self, media_type: &str) -> bool {
        self.accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(media_type));
            named && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
    }
}

/// An answer.
pub(super) struct Reply {
    status: u16,
    content_type: &'static str,
    content: Cow<'static, [u8]>,
}

impl Reply {
    #[cfg(test)]
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    pub(super) fn new(status: u16, content_type: &'static str, content: String) -> Self {
        Self { status, content_type, content: content.into_bytes().into() }
    }

    pub(super) fn text(status: u16, line: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{line}\n"))
    }
}

/// By which names requests may ask for this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// An IP address or localhost. A browser may be told that any other name means this machine, by whoever owns the name: then the pages of
    /// that name would read what is here.
    OfThisMachine,
    /// Any: others can reach it anyway.
    All,
}

impl Names {
    fn allow(self, authority: &str) -> bool {
        self == Self::All || is_of_this_machine(authority)
    }
}

/// Whether the authority, with a port or without, is an address or localhost.
fn is_of_this_machine(authority: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|octet| octet.is_ascii_digit());
    if let Some((address, rest)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let has_end = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return has_end && address.parse::<Ipv6Addr>().is_ok();
    }
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => host,
        _ => authority,
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4())
}

/// A target in absolute form in its parts (RFC 9112 section 3.2.2).
fn of_absolute(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = target.split_once("://").filter(|(scheme, _)| !scheme.contains(['/', '?']))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    scheme.eq_ignore_ascii_case("http").then_some((authority, target))
}

/// Takes one request from the connection and answers it. `owed`: an answer is, from the end of the request's head until it has left.
pub(super) fn serve(
    mut stream: &TcpStream,
    owed: &AtomicBool,
    names: Names,
    answer: impl FnOnce(&Asked<'_>) -> Reply,
) {
    let mut head = Vec::new();
    let (reply, with_content) = match read_head(&mut stream, &mut head) {
        Ok(()) => {
            owed.store(true, Ordering::Relaxed);
            judge(&head, names, answer)
        }
        Err(Trouble::TooLarge) => (Reply::text(431, "the request's head is too large"), true),
        Err(Trouble::Slow) => (Reply::text(408, "the request did not come in time"), true),
        Err(Trouble::Gone) => return,
    };
    // A client that has gone meanwhile is none of our business.
    let sent = send(&mut stream, &reply, with_content);
    owed.store(false, Ordering::Relaxed);
    let _ = sent.and_then(|()| linger(&mut stream));
}

enum Trouble {
    TooLarge,
    Slow,
    Gone,
}

fn read_head(stream: &mut &TcpStream, head: &mut Vec<u8>) -> Result<(), Trouble> {
    let until = Instant::now() + HEAD_PATIENCE;
    let mut buffer = [0; 1024];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return Err(Trouble::Slow);
        }
        match stream.read(&mut buffer) {
            Ok(0) => return Err(Trouble::Gone),
            Ok(n) => head.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(Trouble::Slow);
            }
            Err(_) => return Err(Trouble::Gone),
        }
        if head.len() > HEAD_MAX {
            return Err(Trouble::TooLarge);
        }
        if head.windows(4).any(|end| end == b"\r\n\r\n") || head.windows(2).any(|end| end == b"\n\n") {
            return Ok(());
        }
    }
}

/// The answer, and whether its content is sent.
fn judge(head: &[u8], names: Names, answer: impl FnOnce(&Asked<'_>) -> Reply) -> (Reply, bool) {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(head);
    if parsed == Err(httparse::Error::TooManyHeaders) {
        return (Reply::text(431, &format!("the request has more than {FIELDS_MAX} header fields")), true);
    }
    let (Ok(httparse::Status::Complete(_)), Some(method), Some(target)) =
        (parsed, request.method, request.path)
    else {
        return (Reply::text(400, "this is no HTTP/1.1 request"), true);
    };
    let with_content = method != "HEAD";
    if !matches!(method, "GET" | "HEAD") {
        return (Reply::text(405, "only GET is served here"), true);
    }
    let values = |name: &'static str| {
        let named = request.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| std::str::from_utf8(field.value).unwrap_or("?"))
    };
    // What the target says is what holds, whatever `host` does.
    let (authority, target) = match of_absolute(target) {
        Some((authority, target)) => (Some(authority), target),
        None => (None, target),
    };
    // Browsers always say which host they mean.
    if !authority.into_iter().chain(values("host")).all(|authority| names.allow(authority)) {
        let words = "asked for by a name: say 127.0.0.1, [::1] or localhost, or allow others to reach this \
                     (--admin-allow-remote)";
        return (Reply::text(403, words), with_content);
    }
    let target = if target.is_empty() { "/" } else { target };
    // RFC 9110 section 5.3: several lines are one list.
    let accept = values("accept").collect::<Vec<_>>().join(",");
    (answer(&Asked { target, accept: &accept }), with_content)
}

fn send(stream: &mut &TcpStream, reply: &Reply, with_content: bool) -> io::Result<()> {
    let Reply { status, content_type, content } = reply;
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    };
    let allow = if *status == 405 { "allow: GET, HEAD\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n{allow}\
         cache-control: no-store\r\nx-content-type-options: nosniff\r\n\
         content-security-policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
         connect-src 'self'; img-src data:\r\nconnection: close\r\n\r\n",
        content.len()
    );
    let until = Instant::now() + ANSWER_PATIENCE;
    stream.set_write_timeout(Some(WRITE_PATIENCE))?;
    stream.write_all(head.as_bytes())?;
    for piece in content.chunks(PIECE).filter(|_| with_content) {
        if Instant::now() >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.write_all(piece)?;
    }
    Ok(())
}

/// A close with input unread makes the kernel reset the connection, which may destroy what is on its way: the client's end is waited for.
fn linger(stream: &mut &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let until = Instant::now() + WRITE_PATIENCE;
    let mut rest = [0; 1024];
    for _ in 0..HEAD_MAX / rest.len() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        stream.set_read_timeout(Some(left))?;
        if stream.read(&mut rest)? == 0 {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &[u8]) -> u16 {
        judge(head, Names::OfThisMachine, |_| Reply::text(200, "ok")).0.status
    }

    /// The status, and the path that was asked for.
    fn asked(head: &str, names: Names) -> (u16, String) {
        let mut path = String::new();
        let answer = |asked: &Asked<'_>| {
            path = asked.target.to_owned();
            Reply::text(200, "ok")
        };
        let status = judge(head.as_bytes(), names, answer).0.status;
        (status, path)
    }

    #[test]
    fn names_that_others_may_own_are_refused() {
        let of = |host: &str, names| asked(&format!("GET /status HTTP/1.1\r\nhost: {host}\r\n\r\n"), names).0;
        for host in
            ["127.0.0.1", "127.0.0.1:9901", "LocalHost:9901", "localhost", "[::1]:9901", "[::1]", "10.0.0.1"]
        {
            assert_eq!(of(host, Names::OfThisMachine), 200, "{host}");
        }
        let others = [
            "a.test",
            "a.test:9901",
            "localhost.a.test",
            "127.0.0.1.a.test",
            "",
            ":9901",
            "[a.test]:9901",
            "\u{e9}",
        ];
        for host in others {
            assert_eq!(of(host, Names::OfThisMachine), 403, "{host}");
            assert_eq!(of(host, Names::All), 200, "{host}");
        }
        // One of two is enough to be refused.
        let two = "GET / HTTP/1.1\r\nhost: localhost\r\nhost: a.test\r\n\r\n";
        assert_eq!(asked(two, Names::OfThisMachine).0, 403);
    }

    /// RFC 9112 section 3.2.2.
    #[test]
    fn targets_in_absolute_form_are_understood() {
        let of = |target: &str| {
            asked(&format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n"), Names::OfThisMachine)
        };
        assert_eq!(of("http://127.0.0.1:9901/readyz"), (200, "/readyz".to_owned()));
        assert_eq!(of("HTTP://localhost/status?format=json"), (200, "/status?format=json".to_owned()));
        assert_eq!(of("http://localhost"), (200, "/".to_owned()));
        assert_eq!(of("http://localhost?a"), (200, "?a".to_owned()));
        assert_eq!(of("http://a.test/readyz").0, 403);
        assert_eq!(of("/status?of=http://a.test/"), (200, "/status?of=http://a.test/".to_owned()));
    }

    #[test]
    fn only_sound_requests_that_change_nothing_are_answered() {
        assert_eq!(status(b"GET /status HTTP/1.1\r\nhost: localhost\r\n\r\n"), 200);
        assert_eq!(status(b"HEAD / HTTP/1.0\r\n\r\n"), 200);
        assert_eq!(status(b"POST /status HTTP/1.1\r\nhost: a\r\n\r\n"), 405);
        assert_eq!(status(b"PRI * HTTP/2.0\r\n\r\n"), 400);
        assert_eq!(status(b"\x16\x03\x01\r\n\r\n"), 400);
    }

    #[test]
    fn a_head_of_more_fields_than_are_read_is_too_large() {
        let with = |fields: usize| {
            let head = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(fields));
            judge(head.as_bytes(), Names::OfThisMachine, |_| Reply::text(200, "ok")).0
        };
        assert_eq!([with(FIELDS_MAX).status, with(FIELDS_MAX + 1).status], [200, 431]);
        assert_eq!(&*with(FIELDS_MAX + 1).content, b"the request has more than 64 header fields\n");
    }

    #[test]
    fn rfc9110_5_3_several_lines_of_accept_are_one_list() {
        let head = b"GET / HTTP/1.1\r\naccept: text/html\r\nAccept: application/json;q=0.5\r\n\r\n";
        let mut accepted = (false, false);
        let answer = |asked: &Asked<'_>| {
            accepted = (asked.accepts("text/html"), asked.accepts("application/json"));
            Reply::text(200, "ok")
        };
        judge(head, Names::OfThisMachine, answer);
        assert_eq!(accepted, (true, true));
    }

    #[test]
    fn accept_is_read_by_its_names() {
        let accepts = |accept, name| Asked { target: "/", accept }.accepts(name);
        assert!(accepts("text/html, application/JSON;q=0.9", "application/json"));
        assert!(!accepts("application/json;q=0", "application/json"));
        assert!(!accepts("*/*", "application/json"));
        assert!(!accepts("", "application/json"));
    }
}
