//! Heads of HTTP/1.1 among the octets that leave, told from content by how our own messages are framed (RFC 9112 section 6).
//!
//! What leaves is ours, and well-formed: it is followed, not judged. What content says changes nothing of what is taken for
//! one, so that a replay, where content may be zeros, takes the same for it.

use std::str;

/// Octets of a line that are looked at: longer ones say nothing of the framing.
const LINE: usize = 48;

/// How far a direction has come.
#[derive(Clone, Debug)]
pub(crate) struct Heads {
    state: State,
    of_responses: bool,
    /// The begin of the line that has not ended.
    line: [u8; LINE],
    /// Octets of it.
    len: usize,
    head: Head,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    /// So many octets of content follow.
    Content(u64),
    /// The line in front of a chunk, or the trailers behind the last.
    Chunks,
    /// So many octets of a chunk follow.
    Chunk(u64),
    /// The end of a line behind a chunk.
    ChunkEnd,
    Trailers,
    /// Content, a tunnel or something else, to the end: it cannot be told.
    Untold,
}

/// What the head that has not ended has said so far.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    begun: bool,
    status: u16,
    length: Option<u64>,
    chunked: bool,
    /// A tunnel may follow.
    tunnel: bool,
}

impl Heads {
    pub(crate) fn new(of_responses: bool) -> Self {
        Self { state: State::Head, of_responses, line: [0; LINE], len: 0, head: Head::default() }
    }

    /// Shows the next octets in pieces, each with whether it is content. `unsure`: a response may be one without content for what its
    /// request was, whatever it says of it.
    pub(crate) fn split<'a>(&mut self, octets: &'a [u8], unsure: bool, mut show: impl FnMut(&'a [u8], bool)) {
        let (mut begin, mut rest) = (octets, octets);
        while let Some((&octet, behind)) = rest.split_first() {
            let content = match self.state {
                State::Content(left) | State::Chunk(left) => left.min(rest.len() as u64) as usize,
                State::Untold => rest.len(),
                State::Head | State::Chunks | State::ChunkEnd | State::Trailers => {
                    rest = behind;
                    self.take(octet, unsure);
                    continue;
                }
            };
            let before = begin.len() - rest.len();
            if before > 0 {
                show(&begin[..before], false);
            }
            show(&rest[..content], true);
            rest = &rest[content..];
            begin = rest;
            self.state = match self.state {
                State::Content(left) if left == content as u64 => State::Head,
                State::Content(left) => State::Content(left - content as u64),
                State::Chunk(left) if left == content as u64 => State::ChunkEnd,
                State::Chunk(left) => State::Chunk(left - content as u64),
                other => other,
            };
        }
        if !begin.is_empty() {
            show(begin, false);
        }
    }

    /// Takes an octet of a line.
    fn take(&mut self, octet: u8, unsure: bool) {
        if octet != b'\n' {
            if let Some(place) = self.line.get_mut(self.len) {
                *place = octet;
            }
            self.len += 1;
            return;
        }
        let line = self.line;
        let line = &line[..self.len.min(LINE)];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.len = 0;
        self.state = match self.state {
            State::Head if line.is_empty() => self.follow(unsure),
            State::Head => {
                self.head.hear(line, self.of_responses);
                State::Head
            }
            State::Chunks => match str::from_utf8(line).map(|line| u64::from_str_radix(line, 16)) {
                Ok(Ok(0)) => State::Trailers,
                Ok(Ok(size)) => State::Chunk(size),
                _ => State::Untold,
            },
            State::ChunkEnd => State::Chunks,
            State::Trailers if line.is_empty() => State::Head,
            other => other,
        };
    }

    /// What follows the head that has ended (RFC 9112 section 6.3).
    fn follow(&mut self, unsure: bool) -> State {
        let Head { begun, status, length, chunked, tunnel } = std::mem::take(&mut self.head);
        let by_length = |left| if left == 0 { State::Head } else { State::Content(left) };
        match (self.of_responses, length) {
            _ if !begun || tunnel => State::Untold,
            (true, _) if status < 200 => State::Head,
            (true, _) if unsure => State::Untold,
            (true, _) if status == 204 || status == 304 => State::Head,
            _ if chunked => State::Chunks,
            (_, Some(length)) => by_length(length),
            (true, None) => State::Untold,
            (false, None) => State::Head,
        }
    }
}

impl Head {
    fn hear(&mut self, line: &[u8], of_responses: bool) {
        if !std::mem::replace(&mut self.begun, true) {
            if of_responses {
                let status = line.get(9..12).and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
                self.status = status.unwrap_or(101);
            }
            self.tunnel = if of_responses { self.status == 101 } else { line.starts_with(b"CONNECT ") };
            return;
        }
        let Some(colon) = line.iter().position(|octet| *octet == b':') else { return };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"content-length") {
            self.length = str::from_utf8(value).ok().and_then(|value| value.trim().parse().ok());
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.tunnel |= !of_responses;
        }
    }
}

/// Looks for methods whose responses are framed in a way of their own (RFC 9112 section 6.3): where their names never came, not even as content,
/// nobody has asked by them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Methods {
    last: u64,
    pub(crate) found: bool,
}

impl Methods {
    pub(crate) fn look(&mut self, octets: &[u8]) {
        const HEAD: u64 = u64::from_be_bytes(*b"\0\0\0\0HEAD");
        const CONNECT: u64 = u64::from_be_bytes(*b"\0CONNECT");
        if self.found {
            return;
        }
        for &octet in octets {
            self.last = self.last << 8 | u64::from(octet);
            self.found |= self.last & (u64::MAX >> 32) == HEAD || self.last & (u64::MAX >> 8) == CONNECT;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The octets with content as dots, however they are cut.
    fn without(of_responses: bool, unsure: bool, octets: &str) -> String {
        let told = |size| {
            let (mut heads, mut out) = (Heads::new(of_responses), Vec::new());
            for piece in octets.as_bytes().chunks(size) {
                heads.split(piece, unsure, |octets, is_content| {
                    assert!(!octets.is_empty());
                    if is_content {
                        out.resize(out.len() + octets.len(), b'.');
                    } else {
                        out.extend_from_slice(octets);
                    }
                });
            }
            String::from_utf8(out).unwrap()
        };
        let whole = told(octets.len());
        [1, 2, 3, 7].into_iter().for_each(|size| assert_eq!(told(size), whole, "pieces of {size}"));
        whole
    }

    #[test]
    fn rfc9112_6_3_heads_are_told_from_content() {
        let head = |more: &str| format!("HTTP/1.1 200 OK\r\n{more}\r\n");
        let sized = head("Content-Length: 3\r\n");
        let chunked = head("transfer-encoding: chunked\r\n");
        let none = "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n";
        let interim = "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n";
        let empty = head("content-length: 0\r\n");
        let said = |abc: &str, xs: &str, rest: &str| {
            let parts = format!("{none}{sized}{abc}{interim}{chunked}2\r\n{xs}\r\n11\r\n{}", xs.repeat(8));
            format!("{parts}{}\r\n0\r\nx: y\r\n\r\n{empty}{sized}{abc}{}{rest}", &xs[..1], head("a: b\r\n"))
        };
        // The last is one that ends with its connection.
        let (said, told) = (said("\r\n\r", "xx", "HTTP/1.1"), said("...", "..", "........"));
        assert_eq!(without(true, false, &said), told);
        let after_first = |octets: &str| format!("{sized}{}", ".".repeat(octets.len() - sized.len()));
        let twice = format!("{sized}abc{sized}abc");
        assert_eq!(without(true, true, &twice), after_first(&twice));
    }

    #[test]
    fn rfc9112_6_3_requests_end_as_they_say() {
        let said = "GET / HTTP/1.1\r\nhost: a\r\n\r\nPOST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi\
                    PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n\
                    GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\nwhatever";
        let told =
            said.replace("hi", "..").replace("1\r\na\r\n", "1\r\n.\r\n").replace("whatever", "........");
        assert_eq!(without(false, false, said), told);
        assert_eq!(without(false, false, "CONNECT a:1 HTTP/1.1\r\n\r\nab"), "CONNECT a:1 HTTP/1.1\r\n\r\n..");
    }

    #[test]
    fn a_long_line_says_nothing_of_the_framing() {
        let name = "x".repeat(LINE - 3);
        let said = format!("GET / HTTP/1.1\r\n{name}: content-length: 7\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        assert_eq!(without(false, false, &said), said);
    }

    #[test]
    fn methods_are_found_however_they_are_cut() {
        for (octets, found) in
            [("GET /HEA D", false), ("GET /HEAD", true), ("x CONNECT", true), ("CONNEC T", false)]
        {
            for size in [1, 3, 100] {
                let mut methods = Methods::default();
                octets.as_bytes().chunks(size).for_each(|piece| methods.look(piece));
                assert_eq!(methods.found, found, "{octets} in pieces of {size}");
            }
        }
    }
}
