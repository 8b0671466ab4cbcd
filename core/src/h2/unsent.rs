//! Why a stream was not opened, and why nothing was sent on one.

use core::fmt;

/// Why no stream could be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// A server opens no streams: we never push.
    NotClient,
    /// The peer's limit or our own is reached; later there may be room.
    NoSlot,
    /// The connection is going away, failed, or has no stream identifiers left: take another.
    GoingAway,
    /// An extended CONNECT (RFC 8441 section 3), and the peer has not said that it understands it. Before its SETTINGS came it may say so later.
    /// [`Client`](crate::h2::Client) looks, [`Connection`](crate::h2::Connection) does not.
    NotOffered,
    /// The head is no well-formed request, or over HTTP/1.1 the request cannot end as it says. Nothing was written.
    /// [`Client`](crate::h2::Client) looks, [`Connection`](crate::h2::Connection) does not.
    Malformed,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotClient => "only clients open streams",
            Self::NoSlot => "the limit of concurrent streams is reached",
            Self::GoingAway => "the connection takes no new streams",
            Self::NotOffered => "the peer has not offered extended CONNECT",
            Self::Malformed => "it is no well-formed request",
        })
    }
}

impl core::error::Error for OpenError {}

/// Why nothing was sent on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The stream is closed, or its sending side is.
    Gone,
    /// A message is a head, content and trailers, in this order; interim heads come before the final one, and none ends a message
    /// (RFC 9113 section 8.1).
    OutOfOrder,
    /// The response has no content: it answers HEAD, or its status is 204, 205 or 304 (RFC 9110 section 6.4.1). It may still end.
    NoContent,
    /// There is no such response over HTTP/2: 101 (RFC 9113 section 8.6).
    Status,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "the stream is closed for sending",
            Self::OutOfOrder => "the parts of a message come in another order",
            Self::NoContent => "the response has no content",
            Self::Status => "no response over HTTP/2 has this status",
        })
    }
}

impl core::error::Error for SendError {}
