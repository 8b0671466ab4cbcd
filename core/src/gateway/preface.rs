//! What a client speaks, told by its first octets (RFC 9113 section 3.3: prior knowledge).

use crate::frame::PREFACE;
use crate::gateway::{ConnId, Gateway};

/// A request line that has not ended by then is none.
const LINE_MAX: usize = 8 << 10;

const HTTP1_ANSWER: &[u8] = b"HTTP/1.1 505 HTTP Version Not Supported\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 59\r\n\
    connection: close\r\n\
    \r\n\
    This listener speaks HTTP/2 with prior knowledge (h2c) only";

const _: () = assert!(HTTP1_ANSWER.len() == 41 + 41 + 20 + 19 + 2 + 59, "content-length and content agree");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// The octets are, or begin, HTTP/2's preface.
    Http2,
    /// A request line of HTTP/1.
    Http1,
    /// A line of text that has not ended.
    Undecided,
    /// Neither.
    Unknown,
}

fn classify(octets: &[u8]) -> Protocol {
    let n = octets.len().min(PREFACE.len());
    if octets[..n] == PREFACE[..n] {
        return Protocol::Http2;
    }
    let line = &octets[..octets.len().min(LINE_MAX)];
    let end = line.iter().position(|&octet| octet == b'\n');
    let line = &line[..end.unwrap_or(line.len())];
    let is_text = line.iter().all(|&octet| matches!(octet, b'\t' | b'\r' | b' '..=b'~' | 0x80..));
    match end {
        Some(_) if is_text && line.windows(8).any(|part| part == b" HTTP/1.") => Protocol::Http1,
        None if is_text && octets.len() < LINE_MAX => Protocol::Undecided,
        _ => Protocol::Unknown,
    }
}

impl Gateway {
    /// Whether the octets may be given to HTTP/2, which also finds its own words for what is neither. A client of
    /// HTTP/1 gets an answer that it understands.
    pub(super) fn check_preface(&mut self, id: ConnId, octets: &[u8]) -> bool {
        match classify(octets) {
            Protocol::Http2 | Protocol::Unknown => true,
            Protocol::Undecided => false,
            Protocol::Http1 => {
                if let Some(entry) = self.conns.get_mut(id) {
                    entry.session.answer_instead(HTTP1_ANSWER);
                }
                self.close_after_answer(id);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_octets_tell_the_protocol() {
        for n in 0..=PREFACE.len() {
            assert_eq!(classify(&PREFACE[..n]), Protocol::Http2);
        }
        assert_eq!(classify(b"GET / HTTP/1.1\r\n"), Protocol::Http1);
        assert_eq!(classify(b"PRI * HTTP/1.1\r\n"), Protocol::Http1);
        assert_eq!(classify(b"GET / HT"), Protocol::Undecided);
        assert_eq!(classify(b"PRI * HTTP/2.0\r\n\r\nXX"), Protocol::Unknown);
        assert_eq!(classify(b"\x16\x03\x01\x02\x00\x01"), Protocol::Unknown);
        assert_eq!(classify(&[b'A'; LINE_MAX]), Protocol::Unknown);
    }
}
