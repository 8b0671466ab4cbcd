//! One request with its response, on either side of it.

use crate::fields::FieldSection;
use crate::h1::framing::Framing;
use crate::h1::survey::Nominated;
use crate::h1::upgrade::Upgrade;
use crate::message::{Method, Version};
use crate::outbox::OctetQueue;

/// How far our message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// Its head is still to be written.
    Head,
    /// Content, framed like this. A length counts down what may still be sent.
    Content(Framing),
    /// It lies whole in the outbox.
    Over,
}

/// One request with its response.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// 1 for the first of the connection.
    pub(crate) id: u32,
    pub(crate) tag: u64,
    pub(crate) method: Method,
    /// Server: the client's version. Client: not known before the response.
    pub(crate) version: Version,
    /// Whether other requests may be served beside it (RFC 9112 section 9.3.2).
    pub(crate) is_safe: bool,
    pub(crate) upgrade: Option<Box<Upgrade>>,
    /// Fields that the peer's trailers do not bring on.
    pub(crate) nominated: Option<Box<Nominated>>,

    /// More of the peer's message is to come.
    pub(crate) recv_open: bool,
    /// Content may still be told to the owner, who releases what it has; more is not taken.
    pub(crate) window: u32,
    /// Octets told and not released.
    pub(crate) unreleased: u32,
    /// Server: the client may wait for 100 (Continue), and neither got it nor went on without.
    pub(crate) awaits_continue: bool,
    /// Client: how many octets had left when the first of the request was next.
    pub(crate) begins_at: u64,
    /// Client: something of the response came, be it an interim one.
    pub(crate) is_answered: bool,
    pub(crate) interim_responses: u32,

    pub(crate) sending: Sending,
    /// Server: heads that wait for the responses before.
    pub(crate) heads: Vec<u8>,
    /// Content that waits for room, or for its turn.
    pub(crate) queue: OctetQueue,
    /// Our message ends behind `queue` and `trailers`, or has ended.
    pub(crate) end_queued: bool,
    pub(crate) trailers: Option<Box<FieldSection>>,
    /// Client: a tunnel that the server has not agreed to. Octets that it does not take for a tunnel's it would read as its
    /// next request.
    pub(crate) awaits_tunnel: bool,
    /// Client: the server may take what follows on the connection for this client's. Nothing does.
    pub(crate) proves_connection: bool,
    /// The owner is done with it, and what is left waits for its turn.
    pub(crate) is_left: bool,
    /// It ends without a whole response: so does the connection, when its turn comes.
    pub(crate) is_broken: bool,
}

impl Exchange {
    pub(crate) fn new(id: u32, method: Method, window: u32) -> Self {
        Self {
            id,
            tag: 0,
            method,
            version: Version::Http11,
            is_safe: false,
            upgrade: None,
            nominated: None,
            recv_open: false,
            window,
            unreleased: 0,
            awaits_continue: false,
            begins_at: 0,
            is_answered: false,
            interim_responses: 0,
            sending: Sending::Head,
            heads: Vec::new(),
            queue: OctetQueue::default(),
            end_queued: false,
            trailers: None,
            awaits_tunnel: false,
            proves_connection: false,
            is_left: false,
            is_broken: false,
        }
    }

    /// Octets of content that may be told to the owner.
    pub(crate) fn room(&self) -> u32 {
        self.window.saturating_sub(self.unreleased)
    }

    /// Octets of heads and trailers that wait for the responses before, or behind content.
    pub(crate) fn sections_waiting(&self) -> usize {
        self.heads.len() + self.trailers.as_ref().map_or(0, |trailers| trailers.size())
    }

    /// Whether our message is whole, if it is not in the outbox yet.
    pub(crate) fn is_answer_whole(&self) -> bool {
        self.sending == Sending::Over || (self.end_queued && self.sending != Sending::Head)
    }

    /// Whether our message has begun and not ended, and only the end of the connection will end it. That of a tunnel ends no
    /// message, and must not destroy what is still on its way (RFC 9110 section 9.3.6).
    pub(crate) fn ends_unframed(&self) -> bool {
        self.sending == Sending::Content(Framing::UntilClose)
    }

    /// Whether something waits that could be cut when it is its turn.
    pub(crate) fn has_output(&self) -> bool {
        let ends = self.end_queued && matches!(self.sending, Sending::Content(_));
        !self.awaits_tunnel && (!self.queue.is_empty() || ends)
    }
}

/// The methods whose requests do nothing but ask (RFC 9110 section 9.2.1).
pub(crate) const fn is_safe(method: Method) -> bool {
    matches!(method, Method::Get | Method::Head | Method::Options | Method::Trace)
}

/// Whether a request begins with a safe method; `None` where more octets are needed to say.
pub(crate) fn begins_safely(octets: &[u8]) -> Option<bool> {
    let safe = [&b"GET "[..], b"HEAD ", b"OPTIONS ", b"TRACE "];
    if safe.iter().any(|token| octets.starts_with(token)) {
        return Some(true);
    }
    if safe.iter().any(|token| token.starts_with(octets)) { None } else { Some(false) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h1::connection::{Connection, KEPT_EXCHANGES};
    use crate::h2::Role;

    #[test]
    fn a_connection_at_rest_holds_no_memory_for_exchanges() {
        let mut connection = Connection::new(Role::Server, Default::default(), 1, 4096);
        let memory = |connection: &Connection| (connection.exchanges.capacity(), connection.order.capacity());
        let serve = |connection: &mut Connection, count: usize| {
            let keys: Vec<_> =
                (0..count).map(|_| connection.insert(Exchange::new(0, Method::Get, 1))).collect();
            for key in keys {
                connection.rest();
                assert!(memory(connection).0 >= count && memory(connection).1 >= count);
                connection.remove(key);
            }
        };
        // From one request to the next it stays, for as many as one asks for.
        serve(&mut connection, 1);
        assert_eq!(memory(&connection), (1, KEPT_EXCHANGES));
        connection.rest();
        assert_eq!(memory(&connection), (0, 0));
        serve(&mut connection, KEPT_EXCHANGES + 1);
        assert_eq!(memory(&connection), (0, 0));
    }

    #[test]
    fn rfc9110_9_2_1_safe_methods_are_told_early() {
        for safe in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            assert!(is_safe(Method::from_token(safe.as_bytes()).unwrap()));
            let line = format!("{safe} / HTTP/1.1");
            assert_eq!(begins_safely(line.as_bytes()), Some(true));
            (0..=safe.len()).for_each(|n| assert_eq!(begins_safely(&line.as_bytes()[..n]), None));
        }
        for other in ["P", "GETT", "GET\t", "get ", "POST ", "\0", "TRACK"] {
            assert_eq!(begins_safely(other.as_bytes()), Some(false), "{other}");
        }
    }
}
