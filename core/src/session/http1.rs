//! What there is over HTTP/1.1 alone.

use std::sync::Arc;

use crate::h2::StreamKey;
use crate::session::Session;
use crate::time::Duration;

impl Session {
    /// Client: how long the connection may be idle, where the backend has said so. HTTP/2 says goodbye instead.
    pub(crate) fn idle_max(&self) -> Option<Duration> {
        if let Self::H1(session) = self { session.idle_max() } else { None }
    }

    /// Client: the tag of the request that waits for the first octet of its response.
    pub(crate) fn unanswered_request(&self) -> Option<u64> {
        if let Self::H1(session) = self { session.unanswered_request() } else { None }
    }

    /// Server: the next response says that it is the last. Says whether it can: HTTP/2 has GOAWAY.
    pub(crate) fn leave_in_turn(&mut self) -> bool {
        let Self::H1(session) = self else { return false };
        session.announce_goaway();
        true
    }

    /// Server: the head of a request over HTTP/1.1 has not come in time. Says whether others before it are answered first.
    pub(crate) fn refuse_late_request(&mut self) -> bool {
        if let Self::H1(session) = self { session.refuse_late_request() } else { false }
    }

    /// Server: the tag of the request over HTTP/1.1 whose trailer section has begun, and not ended.
    pub(crate) fn request_in_trailers(&self, rest: &[u8]) -> Option<u64> {
        if let Self::H1(session) = self { session.request_in_trailers(rest) } else { None }
    }

    /// Client: whether no other request follows this one, for what it proves of its client.
    pub(crate) fn is_last_by_proof(&self, stream: StreamKey) -> bool {
        matches!(self, Self::H1(session) if session.is_last_by_proof(stream))
    }

    /// Server: an upgrade is not given; says whether there was one. HTTP/2 knows none that would be another request without.
    pub(crate) fn decline_upgrade(&mut self, stream: StreamKey) -> bool {
        if let Self::H1(session) = self { session.decline_upgrade(stream) } else { false }
    }

    /// Server: what a response to this request offers if it says that an upgrade is needed.
    pub(crate) fn offer_upgrades(&mut self, stream: StreamKey, protocols: &[Arc<str>]) {
        if let Self::H1(session) = self {
            session.offer_upgrades(stream, protocols);
        }
    }
}
