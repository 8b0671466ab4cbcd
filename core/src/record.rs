//! What is written down about a request: one start and one end, whatever happens.

use std::sync::Arc;

use crate::address::Address;
use crate::error::ErrorCode;
use crate::fields::{FieldName, FieldSection};
use crate::hooks::HookFailed;
use crate::key::ConnId;
use crate::message::{Refusal, Version};
use crate::time::Instant;
use crate::tls::{TlsFacts, TlsFailure, TlsFault};

/// Names one request for the life of a gateway; counts up from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One line of the gateway's account of its requests.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A request was accepted: its head was complete, or it is answered unseen, with 431, or over HTTP/1.1 with 400, 414, 501 or 505. Over HTTP/2 a
    /// malformed head is no request (RFC 9113 section 8.1.1): its stream is reset, and nothing is written down.
    Started {
        /// The request.
        request: RequestId,
        /// The client's connection.
        client: ConnId,
        /// The client's stream. Over HTTP/1.1 its requests are counted: 1 is the first.
        stream_id: u32,
        /// When.
        at: Instant,
    },
    /// A request was handed to a backend, and that is over: written once for each time, before the request's end.
    Attempt(AttemptRecord),
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
    /// The response had begun and could not be finished: the client's stream was reset. Or a drain had no more time for
    /// the request, or its client took no output, whether it had begun or not.
    Truncated(Cause),
    /// The client reset the stream or went away.
    ClientGone,
    /// The client broke the protocol on this stream, or on its connection.
    ClientError,
}

/// Why the gateway could not get a (whole) response. The names are those of RFC 9209 where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// No endpoint accepted a connection.
    ConnectionRefused,
    /// No connection within the deadline.
    ConnectionTimeout,
    /// The backend connection was lost.
    ConnectionTerminated,
    /// The backend reset the stream with this code.
    BackendReset(ErrorCode),
    /// The backend ended its HTTP/1.1 connection in the middle of the response.
    ResponseIncomplete,
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
    /// The system has no descriptor, port or memory for a connection.
    SystemLimit,
    /// There is no memory left for heads or trailers.
    MemoryLimit,
    /// The gateway is draining.
    Draining,
    /// The upstream has no endpoint any more.
    NoEndpoint,
    /// No address is known for any endpoint's name.
    NameUnresolved,
    /// Nobody said in time where any endpoint is.
    NameTimeout,
    /// The request's head exceeds the limits.
    RequestHeadTooLarge,
    /// The request's head is larger than its backend takes (SETTINGS_MAX_HEADER_LIST_SIZE, RFC 9113 section 6.5.2).
    BackendHeadLimit,
    /// The request line exceeds the limits.
    RequestTargetTooLong,
    /// The request is malformed.
    RequestMalformed,
    /// The request is of a version that is not spoken here.
    VersionUnsupported,
    /// The request has a transfer coding that is not known here.
    CodingUnsupported,
    /// No route serves the request.
    NoRoute,
    /// The request is one that this gateway does not serve.
    NotServed,
    /// The request has been here before: it has gone in a circle.
    ProxyLoop,
    /// No endpoint of the upstream offers tunnels.
    NoTunnel,
    /// OPTIONS asked for the gateway itself, by `max-forwards` (RFC 9110 section 7.6.2).
    LastForward,
    /// A hook answered, with a status of its own.
    HookAnswered,
    /// A hook failed, or made what is not well-formed, for this reason.
    HookFailed(HookFailed),
    /// TLS with the backend failed, for this reason.
    Tls(TlsFailure),
    /// The connection was opened for a name with other demands on clients' certificates than the one that is asked for.
    Misdirected,
}

/// Whose doing it is that a request got no (whole) response of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doing {
    /// The client's, by what it asked for or how, or because it stood still.
    Client,
    /// The operator's, on purpose: a drain, or a hook that answers.
    Operator,
    /// The backend's, or that of the way to it.
    Backend,
    /// The gateway's: it has not enough of something, or a hook of its own has failed.
    Gateway,
}

impl Doing {
    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Operator => "operator",
            Self::Backend => "backend",
            Self::Gateway => "gateway",
        }
    }
}

impl Cause {
    /// The status of a response that the gateway must make itself, and RFC 9209's word for the cause.
    pub const fn status(self) -> (u16, &'static str) {
        match self {
            Self::ConnectionRefused => (502, "connection_refused"),
            Self::ConnectionTimeout => (504, "connection_timeout"),
            Self::ConnectionTerminated => (502, "connection_terminated"),
            Self::BackendReset(_) | Self::ResponseIncomplete => (502, "http_response_incomplete"),
            Self::ResponseTimeout => (504, "http_response_timeout"),
            Self::StreamIdle => (408, "http_request_error"),
            Self::BackendProtocol => (502, "http_protocol_error"),
            Self::ResponseHeadTooLarge => (502, "http_response_header_section_size"),
            Self::QueueLimit | Self::SystemLimit => (503, "connection_limit_reached"),
            Self::Draining | Self::MemoryLimit => (503, "proxy_internal_response"),
            Self::NameUnresolved => (502, "dns_error"),
            Self::NameTimeout => (504, "dns_timeout"),
            Self::NoEndpoint => (503, "destination_unavailable"),
            Self::RequestHeadTooLarge | Self::BackendHeadLimit => (431, "http_request_error"),
            Self::RequestTargetTooLong => (414, "http_request_error"),
            Self::RequestMalformed => (400, "http_request_error"),
            Self::VersionUnsupported => (505, "http_request_error"),
            Self::CodingUnsupported => (501, "http_request_error"),
            Self::NoRoute => (404, "destination_not_found"),
            Self::NotServed => (501, "http_request_error"),
            Self::Misdirected => (421, "http_request_error"),
            Self::ProxyLoop => (502, "proxy_loop_detected"),
            Self::LastForward => (200, "proxy_internal_response"),
            Self::NoTunnel => (502, "http_protocol_error"),
            // The answer is the hook's.
            Self::HookAnswered => (500, "proxy_internal_response"),
            Self::HookFailed(_) => (500, "proxy_internal_error"),
            Self::Tls(failure) => match failure.group() {
                TlsFault::Protocol => (502, "tls_protocol_error"),
                TlsFault::Certificate => (502, "tls_certificate_error"),
                TlsFault::Alert => (502, "tls_alert_received"),
            },
        }
    }

    /// Every cause once; for resets of backends any code stands for all, for failures of TLS one of each fault, for those of
    /// hooks any.
    pub const ALL: [Self; 33] = [
        Self::ConnectionRefused,
        Self::ConnectionTimeout,
        Self::ConnectionTerminated,
        Self::BackendReset(ErrorCode::CANCEL),
        Self::ResponseTimeout,
        Self::StreamIdle,
        Self::BackendProtocol,
        Self::ResponseHeadTooLarge,
        Self::QueueLimit,
        Self::Draining,
        Self::NoEndpoint,
        Self::NameUnresolved,
        Self::RequestHeadTooLarge,
        Self::NoRoute,
        Self::NotServed,
        Self::HookAnswered,
        Self::HookFailed(HookFailed::Own("")),
        Self::RequestTargetTooLong,
        Self::RequestMalformed,
        Self::VersionUnsupported,
        Self::CodingUnsupported,
        Self::ProxyLoop,
        Self::NoTunnel,
        Self::LastForward,
        Self::Tls(TlsFailure::Misbehaved),
        Self::Tls(TlsFailure::CertificateInvalid),
        Self::Tls(TlsFailure::AlertReceived(40)),
        Self::MemoryLimit,
        Self::Misdirected,
        Self::NameTimeout,
        Self::BackendHeadLimit,
        Self::ResponseIncomplete,
        Self::SystemLimit,
    ];

    /// Whether the request was refused by its form alone: nobody knows what it asked for, nor by which method.
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::RequestHeadTooLarge
                | Self::RequestTargetTooLong
                | Self::RequestMalformed
                | Self::VersionUnsupported
                | Self::CodingUnsupported
        )
    }

    /// Its place in [`ALL`](Self::ALL).
    pub const fn index(self) -> usize {
        self.words().0
    }

    /// A word of its own for it, in figures.
    pub const fn name(self) -> &'static str {
        self.words().1
    }

    /// Whose doing it is: who watches a gateway need not come for what its clients did.
    pub const fn doing(self) -> Doing {
        match self {
            Self::RequestHeadTooLarge
            | Self::BackendHeadLimit
            | Self::RequestTargetTooLong
            | Self::RequestMalformed
            | Self::VersionUnsupported
            | Self::CodingUnsupported
            | Self::NoRoute
            | Self::NotServed
            | Self::Misdirected
            | Self::LastForward
            // Where it is the backend that stands still, it is a `ResponseTimeout`.
            | Self::StreamIdle => Doing::Client,
            Self::Draining | Self::HookAnswered => Doing::Operator,
            Self::ConnectionRefused
            | Self::ConnectionTimeout
            | Self::ConnectionTerminated
            | Self::BackendReset(_)
            | Self::ResponseIncomplete
            | Self::ResponseTimeout
            | Self::BackendProtocol
            | Self::ResponseHeadTooLarge
            | Self::NameUnresolved
            | Self::NameTimeout
            | Self::NoTunnel
            | Self::Tls(_) => Doing::Backend,
            // Whoever has two gateways of one name in a row has to come.
            Self::ProxyLoop => Doing::Gateway,
            Self::QueueLimit | Self::MemoryLimit | Self::NoEndpoint | Self::HookFailed(_) => Doing::Gateway,
            Self::SystemLimit => Doing::Gateway,
        }
    }

    /// Whether somebody did not get what was asked for. An answer that only the gateway can give is none of a backend and a success all the same.
    pub const fn is_failure(self) -> bool {
        !matches!(self, Self::LastForward)
    }

    /// A flag for it in access logs: Envoy's letters, for operators know them, and `LR` for what is answered here without a letter of theirs. `-`: none, as for a loop.
    pub const fn flag(self) -> &'static str {
        self.words().2
    }

    const fn words(self) -> (usize, &'static str, &'static str) {
        match self {
            Self::ConnectionRefused => (0, "connection_refused", "UF"),
            Self::ConnectionTimeout => (1, "connection_timeout", "UF"),
            Self::ConnectionTerminated => (2, "connection_terminated", "UC"),
            Self::BackendReset(_) => (3, "backend_reset", "UR"),
            Self::ResponseTimeout => (4, "response_timeout", "UT"),
            Self::StreamIdle => (5, "stream_idle", "SI"),
            Self::BackendProtocol => (6, "backend_protocol", "UPE"),
            Self::ResponseHeadTooLarge => (7, "response_head_too_large", "UPE"),
            Self::QueueLimit => (8, "queue_limit", "UO"),
            Self::Draining => (9, "draining", "OM"),
            Self::NoEndpoint => (10, "no_endpoint", "UH"),
            Self::NameUnresolved => (11, "name_unresolved", "DF"),
            Self::RequestHeadTooLarge => (12, "request_head_too_large", "DPE"),
            Self::NoRoute => (13, "no_route", "NR"),
            Self::NotServed => (14, "not_served", "LR"),
            Self::HookAnswered => (15, "hook_answered", "LR"),
            Self::HookFailed(_) => (16, "hook_failed", "LR"),
            Self::RequestTargetTooLong => (17, "request_target_too_long", "DPE"),
            Self::RequestMalformed => (18, "request_malformed", "DPE"),
            Self::VersionUnsupported => (19, "version_unsupported", "DPE"),
            Self::CodingUnsupported => (20, "coding_unsupported", "DPE"),
            Self::ProxyLoop => (21, "proxy_loop", "-"),
            Self::NoTunnel => (22, "no_tunnel", "UPE"),
            Self::LastForward => (23, "last_forward", "LR"),
            Self::Tls(failure) => match failure.group() {
                TlsFault::Protocol => (24, "tls_protocol_error", "UF"),
                TlsFault::Certificate => (25, "tls_certificate_error", "UF"),
                TlsFault::Alert => (26, "tls_alert_received", "UF"),
            },
            Self::MemoryLimit => (27, "memory_limit", "OM"),
            Self::Misdirected => (28, "misdirected", "NR"),
            Self::NameTimeout => (29, "name_timeout", "DF"),
            Self::BackendHeadLimit => (30, "backend_head_limit", "DPE"),
            Self::ResponseIncomplete => (31, "response_incomplete", "UC"),
            Self::SystemLimit => (32, "system_limit", "OM"),
        }
    }
}

impl From<Refusal> for Cause {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::HeadTooLarge => Self::RequestHeadTooLarge,
            Refusal::TargetTooLong => Self::RequestTargetTooLong,
            Refusal::Malformed => Self::RequestMalformed,
            Refusal::VersionUnsupported => Self::VersionUnsupported,
            Refusal::CodingUnsupported => Self::CodingUnsupported,
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttemptOutcome {
    /// The response was received whole.
    Complete,
    /// The backend proved that it did not process the request (RFC 9113 section 8.7).
    Unprocessed(Cause),
    /// It failed, and the backend may have executed the request.
    Failed(Cause),
    /// The client lost interest, or the gateway did, and the backend may have executed the request.
    Abandoned,
}

impl AttemptOutcome {
    /// What was wrong, where something was.
    pub const fn cause(self) -> Option<Cause> {
        match self {
            Self::Complete | Self::Abandoned => None,
            Self::Unprocessed(cause) | Self::Failed(cause) => Some(cause),
        }
    }
}

/// One handing over of a request to a backend.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRecord {
    /// The request.
    pub request: RequestId,
    /// Counted from 1.
    pub number: u32,
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The endpoint, as it is written in the configuration.
    pub endpoint: Arc<str>,
    /// The engine, by the number of its connection: counted up over the life of a gateway.
    pub engine: u64,
    /// The stream's identifier on the backend connection.
    pub stream_id: u32,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The status of the backend's final response, or 0 where none came.
    pub status: u16,
    /// Octets of content that left for the backend.
    pub request_octets: u64,
    /// Octets of content that came from the backend.
    pub response_octets: u64,
    /// When it began.
    pub thawed: Instant,
    /// When the end of the request had been cut for the backend.
    pub sent: Option<Instant>,
    /// When the head of the final response came: the first octet from the backend.
    pub responded: Option<Instant>,
    /// When it ended: the last octet from the backend, where it was complete.
    pub ended: Instant,
}

/// The one completion of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct EndRecord {
    /// The request.
    pub request: RequestId,
    /// The client.
    pub client: Address,
    /// What the handshake of its connection found; `None` in clear.
    pub tls: Option<Arc<TlsFacts>>,
    /// The version of HTTP in which it has asked.
    pub version: Version,
    /// The request's head as the client sent it, with what is owed to a message that goes on: `via`, and what a backend is
    /// told of the client. Header rules leave no trace in it.
    pub fields: FieldSection,
    /// The route, where one serves the request.
    pub route: Option<Arc<str>>,
    /// The upstream of that route, whether or not a connection to it came about.
    pub upstream: Option<Arc<str>>,
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
    /// Of these: how many a backend may have executed although nothing of their response was passed on.
    pub maybe_executed: u32,
    /// When the request's head was complete.
    pub accepted: Instant,
    /// When it was last frozen: accepted, or taken back from a backend.
    pub frozen: Instant,
    /// When it was last thawed.
    pub thawed: Option<Instant>,
    /// When the final response head was passed on: the first octet to the client.
    pub responded: Option<Instant>,
    /// When it ended: the last octet to the client, where it was complete.
    pub ended: Instant,
}

impl EndRecord {
    /// A value of the request's head; `None` where it has no such field.
    pub fn field(&self, name: FieldName) -> Option<&[u8]> {
        self.fields.value_of(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_place_and_a_word_of_its_own() {
        let names: std::collections::BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.name()).collect();
        assert_eq!(names.len(), Cause::ALL.len());
        (0..).zip(Cause::ALL).for_each(|(index, cause)| assert_eq!(cause.index(), index, "{cause:?}"));
    }

    /// Who is asked wrong answers so: with a status from 400 to 499, or one that says what is not spoken here. A 5xx without one to blame is a failure that
    /// somebody has to come for.
    #[test]
    fn whose_doing_a_cause_is_agrees_with_its_status() {
        for cause in Cause::ALL {
            let (status, _) = cause.status();
            let of_client = (400..500).contains(&status) || [501, 505].contains(&status);
            let exceptions = cause == Cause::LastForward;
            assert_eq!(cause.doing() == Doing::Client, of_client || exceptions, "{cause:?}");
            assert!(cause.is_failure() || status < 400, "{cause:?}");
        }
    }

    /// What operators know of Envoy, one for one.
    #[test]
    fn flags_are_those_of_the_failure_table() {
        for (cause, flag) in [
            (Cause::NoRoute, "NR"),
            (Cause::Misdirected, "NR"),
            (Cause::NoEndpoint, "UH"),
            (Cause::ConnectionRefused, "UF"),
            (Cause::ConnectionTerminated, "UC"),
            (Cause::BackendReset(ErrorCode::CANCEL), "UR"),
            (Cause::ResponseIncomplete, "UC"),
            (Cause::ResponseTimeout, "UT"),
            (Cause::BackendProtocol, "UPE"),
            (Cause::QueueLimit, "UO"),
            (Cause::MemoryLimit, "OM"),
            (Cause::SystemLimit, "OM"),
            (Cause::Draining, "OM"),
            (Cause::RequestHeadTooLarge, "DPE"),
            (Cause::BackendHeadLimit, "DPE"),
            (Cause::StreamIdle, "SI"),
            (Cause::NotServed, "LR"),
            (Cause::ProxyLoop, "-"),
        ] {
            assert_eq!(cause.flag(), flag, "{cause:?}");
        }
    }
}
