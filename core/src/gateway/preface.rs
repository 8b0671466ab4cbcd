//! What a client speaks, told by its first octets (RFC 9113 section 3.3: prior knowledge).

use std::sync::Arc;

use crate::address::Address;
use crate::config;
use crate::frame::PREFACE;
use crate::gateway::{ConnId, Gateway};
use crate::h1;
use crate::h2::Role;
use crate::session::Session;
use crate::time::Instant;

/// A request line that has not ended by then is none.
const LINE_MAX: usize = 8 << 10;

const HTTP1_ANSWER: &[u8] = b"HTTP/1.1 505 HTTP Version Not Supported\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 59\r\n\
    connection: close\r\n\
    \r\n\
    This listener speaks HTTP/2 with prior knowledge (h2c) only";

const CONTENT_LEN: usize = 59;

const _: () =
    assert!(HTTP1_ANSWER.len() == 41 + 41 + 20 + 19 + 2 + CONTENT_LEN, "content-length and content agree");

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

/// Whether octets that are not HTTP/2's preface are taken for HTTP/1. Told by the first of them, however many there are: whatever
/// begins like a method, or with an empty line (RFC 9112 section 2.2), gets its answer in HTTP/1. Only a preface that is wrong
/// behind its first line is told so in HTTP/2.
fn may_be_http1(octets: &[u8]) -> bool {
    let begins = |octet: &u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~\r\n".contains(octet);
    octets.first().is_some_and(begins) && !octets.starts_with(&PREFACE[..16])
}

impl Gateway {
    /// Whether the octets may be given to the session, which is HTTP/1.1 or HTTP/2 from then on. HTTP/2 finds its own words for
    /// what is neither. A client of HTTP/1, where that is not spoken, gets an answer that it understands.
    pub(super) fn check_preface(&mut self, id: ConnId, octets: &[u8], now: Instant) -> bool {
        if self.conns.get(id).is_some_and(|entry| entry.agreed == Some(config::Protocol::Http2)) {
            return true;
        }
        let (http1, http2) = self.spoken_with(id);
        match classify(octets) {
            Protocol::Http2 if http2 || octets.is_empty() => true,
            _ if http1 && (may_be_http1(octets) || !http2) => {
                self.speak_http1(id, now);
                true
            }
            Protocol::Http2 | Protocol::Unknown => true,
            Protocol::Undecided => false,
            Protocol::Http1 => {
                // 9110-9.3.2-01
                let content = if octets.starts_with(b"HEAD ") { CONTENT_LEN } else { 0 };
                if let Some(entry) = self.conns.get_mut(id) {
                    entry.session.answer_instead(&HTTP1_ANSWER[..HTTP1_ANSWER.len() - content]);
                }
                self.close_after_answer(id);
                false
            }
        }
    }
}

impl Gateway {
    /// Whether HTTP/1.1 and HTTP/2 are spoken with the client, by what its listener says.
    pub(super) fn spoken_with(&self, id: ConnId) -> (bool, bool) {
        match self.conns.get(id).and_then(|entry| entry.only) {
            None => (self.config.http1, self.config.http2),
            Some(config::Protocol::Http1) => (true, false),
            Some(config::Protocol::Http2) => (false, true),
        }
    }

    /// What is said of the listener at which a client came in.
    pub(super) fn only_at(&self, local: &Address) -> Option<config::Protocol> {
        self.listener_at(local)?.only
    }

    /// What more is said of the listener at which a client came in.
    fn listener_at(&self, local: &Address) -> Option<&config::ListenerConfig> {
        self.config.listeners.iter().find(|listener| listener.address == *local)
    }

    /// A session of HTTP/1.1, of either role.
    pub(super) fn new_http1(&mut self, role: Role) -> Session {
        let config = match role {
            Role::Server => &self.front_config,
            Role::Client => &self.backend_config,
        };
        // A head lies whole in the receive buffer, behind what was there before.
        let head_max = (config.max_header_list_size as usize).min(self.config.recv_buffer_octets / 2);
        let nonces = self.random.next_u64();
        let config = Arc::clone(config);
        let identity = self.new_identity();
        let session = h1::Connection::new(role, config, self.seed, head_max);
        Session::H1(Box::new(session.with_nonces(nonces).with_identity(identity)))
    }

    pub(super) fn speak_http1(&mut self, id: ConnId, now: Instant) {
        let session = self.new_http1(Role::Server);
        if let Some(entry) = self.conns.get_mut(id) {
            let is_leaving = entry.session.is_going_away();
            entry.session = if entry.tls.is_some() { session.over_tls() } else { session };
            if is_leaving {
                entry.session.announce_goaway();
            }
        }
        self.lend_outbox(id);
        self.established(id, now);
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
