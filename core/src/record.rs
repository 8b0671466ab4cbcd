//! What is written down about a request: one start and one end, whatever happens.

use crate::address::Address;
use crate::error::ErrorCode;
use crate::time::Instant;

/// Names one request for the life of a gateway; counts up from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One line of the gateway's account of its requests.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A complete request head was accepted.
    Started {
        /// The request.
        request: RequestId,
        /// When.
        at: Instant,
    },
    /// The request is over: written exactly once for each `Started`.
    Ended(EndRecord),
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The backend's response left whole.
    Complete,
    /// The gateway answered by itself.
    LocalReply(Cause),
    /// The response had begun and could not be finished: the client's stream was reset.
    Truncated(Cause),
    /// The client reset the stream or went away.
    ClientGone,
    /// The client broke the protocol on this stream.
    ClientError,
}

/// Why the gateway could not get a (whole) response. The names are those of RFC 9209 where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// No endpoint accepted a connection.
    ConnectionRefused,
    /// No connection within the deadline.
    ConnectionTimeout,
    /// The backend connection was lost.
    ConnectionTerminated,
    /// The backend reset the stream with this code.
    BackendReset(ErrorCode),
    /// No response head in time.
    ResponseTimeout,
    /// No content moved on the stream for too long, in either direction, or the client's window stayed closed.
    StreamIdle,
    /// The backend broke the protocol.
    BackendProtocol,
    /// The response head exceeds the limits.
    ResponseHeadTooLarge,
    /// The queue is full, or the request waited in it too long.
    QueueLimit,
    /// The gateway is draining.
    Draining,
    /// The request is one that this gateway does not serve.
    NotServed,
}

impl Cause {
    /// The status of a response that the gateway must make itself, and RFC 9209's word for the cause.
    pub fn status(self) -> (u16, &'static str) {
        match self {
            Self::ConnectionRefused => (502, "connection_refused"),
            Self::ConnectionTimeout => (504, "connection_timeout"),
            Self::ConnectionTerminated => (502, "connection_terminated"),
            Self::BackendReset(_) => (502, "http_response_incomplete"),
            Self::ResponseTimeout => (504, "http_response_timeout"),
            Self::StreamIdle => (408, "http_request_error"),
            Self::BackendProtocol => (502, "http_protocol_error"),
            Self::ResponseHeadTooLarge => (502, "http_response_header_section_size"),
            Self::QueueLimit => (503, "connection_limit_reached"),
            Self::Draining => (503, "proxy_internal_response"),
            Self::NotServed => (501, "http_request_error"),
        }
    }
}

/// The one completion of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct EndRecord {
    /// The request.
    pub request: RequestId,
    /// The client.
    pub client: Address,
    /// The status that the client got, or 0 where none left.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Octets of content received from the client.
    pub request_octets: u64,
    /// Octets of content cut for the client.
    pub response_octets: u64,
    /// How often it was handed to a backend.
    pub attempts: u32,
    /// The endpoint of the last attempt.
    pub endpoint: Option<Address>,
    /// When the request's head was complete.
    pub accepted: Instant,
    /// When it was last thawed.
    pub thawed: Option<Instant>,
    /// When the final response head was passed on.
    pub responded: Option<Instant>,
    /// When it ended.
    pub ended: Instant,
}
