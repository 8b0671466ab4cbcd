//! Why a message is malformed, one variant a cause.

use core::fmt;

use crate::error::StreamError;

macro_rules! causes {
    ($($variant:ident, $text:literal;)*) => {
        /// Why a message is malformed (RFC 9113 section 8.1.1). On the wire all are a stream error of type
        /// PROTOCOL_ERROR, or an answer 400 in front of it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Malformed { $(#[doc = $text] $variant,)* }

        impl Malformed {
            /// Every cause, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
        }

        impl fmt::Display for Malformed {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)* })
            }
        }
    };
}

causes! {
    BadField, "a field name or value holds an octet that it must not (8.2.1)";
    ConnectionSpecific, "a connection-specific field (8.2.2)";
    Te, "te says anything but trailers, or does not stand in the head of a request (8.2.2)";
    UnknownPseudo, "an undefined pseudo-header field (8.3)";
    PseudoAfterRegular, "a pseudo-header field behind a regular one (8.3)";
    PseudoDoubled, "a pseudo-header field comes twice (8.3)";
    PseudoInTrailers, "a pseudo-header field in trailers (8.1)";
    HeadFieldInTrailers, "content-length or host in trailers (RFC 9110 6.5.1)";
    ResponsePseudoInRequest, ":status in a request (8.3)";
    RequestPseudoInResponse, "a pseudo-header field of requests in a response (8.3)";
    MethodMissing, "no :method (8.3.1)";
    MethodInvalid, ":method is not a token (8.3.1)";
    SchemeMissing, "no :scheme (8.3.1)";
    SchemeInvalid, ":scheme is not the scheme of a URI (8.3.1)";
    PathMissing, "no :path (8.3.1)";
    PathInvalid, ":path is neither an absolute path nor the * of OPTIONS (8.3.1)";
    AuthorityMissing, "neither :authority nor host (8.3.1)";
    AuthorityInvalid, ":authority is not a host with an optional port (8.3.1)";
    AuthorityMismatch, "host differs from :authority (8.3.1)";
    HostInvalid, "host is not a host with an optional port (RFC 9110 7.2)";
    HostRepeated, "several host fields (RFC 9110 7.2)";
    ConnectForm, "CONNECT with :scheme or :path, or without host and port (8.5)";
    ProtocolUnexpected, ":protocol without CONNECT, or although extended CONNECT is not enabled (RFC 8441 4)";
    ProtocolInvalid, ":protocol is not a protocol's name (RFC 8441 4)";
    StatusMissing, "no :status (8.3.2)";
    StatusInvalid, ":status is not a number from 100 to 999 (8.3.2)";
    StatusSwitchingProtocols, "101 (Switching Protocols) (8.6)";
    ContentLengthInvalid, "content-length is not a number below 2^64 (RFC 9110 8.6)";
    ContentLengthConflict, "several content-length fields differ (RFC 9110 8.6)";
    ContentLengthForbidden, "content-length in a response that cannot have content (RFC 9110 8.6)";
}

impl core::error::Error for Malformed {}

impl From<Malformed> for StreamError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}
