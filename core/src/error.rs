//! Every cause for which a peer is told that something went wrong, one variant a cause.
//!
//! A cause knows its error code (RFC 9113 section 7). Tests and records name the cause; the wire carries the code.

use core::fmt;

/// An error code as it stands in RST_STREAM and GOAWAY frames (RFC 9113 section 7).
///
/// 9113-7-01: unknown codes are legal and carry no special meaning, so this is a number with names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// The condition is no error: a graceful shutdown, or a stream nobody needs any longer.
    pub const NO_ERROR: Self = Self(0x0);
    /// The peer broke the protocol and no narrower code fits.
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    /// We met an unexpected condition of our own.
    pub const INTERNAL_ERROR: Self = Self(0x2);
    /// The peer broke the flow-control protocol.
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    /// A SETTINGS frame was not acknowledged in time.
    pub const SETTINGS_TIMEOUT: Self = Self(0x4);
    /// A frame came for a stream whose sender had closed it.
    pub const STREAM_CLOSED: Self = Self(0x5);
    /// A frame of impossible size.
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    /// The stream was refused before any processing; it may be tried again.
    pub const REFUSED_STREAM: Self = Self(0x7);
    /// The stream is no longer needed.
    pub const CANCEL: Self = Self(0x8);
    /// The compression state cannot be kept.
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    /// The connection behind a CONNECT request was reset.
    pub const CONNECT_ERROR: Self = Self(0xa);
    /// The peer causes excessive load.
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);
    /// The transport is not secure enough.
    pub const INADEQUATE_SECURITY: Self = Self(0xc);
    /// The request must be made over HTTP/1.1.
    pub const HTTP_1_1_REQUIRED: Self = Self(0xd);

    /// The name that RFC 9113 gives the code, or `None` for a code it does not know.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NO_ERROR => "NO_ERROR",
            Self::PROTOCOL_ERROR => "PROTOCOL_ERROR",
            Self::INTERNAL_ERROR => "INTERNAL_ERROR",
            Self::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR",
            Self::SETTINGS_TIMEOUT => "SETTINGS_TIMEOUT",
            Self::STREAM_CLOSED => "STREAM_CLOSED",
            Self::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR",
            Self::REFUSED_STREAM => "REFUSED_STREAM",
            Self::CANCEL => "CANCEL",
            Self::COMPRESSION_ERROR => "COMPRESSION_ERROR",
            Self::CONNECT_ERROR => "CONNECT_ERROR",
            Self::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM",
            Self::INADEQUATE_SECURITY => "INADEQUATE_SECURITY",
            Self::HTTP_1_1_REQUIRED => "HTTP_1_1_REQUIRED",
            _ => return None,
        })
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "ErrorCode({:#x})", self.0),
        }
    }
}

/// Declares an enum of causes, each with its error code and a sentence for people.
macro_rules! causes {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $code:ident, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name { $(#[doc = $text] $(#[$doc])* $variant,)* }

        impl $name {
            /// Every cause, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The error code that tells the peer (RFC 9113 section 7).
            pub const fn code(self) -> ErrorCode {
                match self { $(Self::$variant => ErrorCode::$code,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)* })
            }
        }

        impl core::error::Error for $name {}
    };
}

causes! {
    /// Why a whole connection must end (RFC 9113 section 5.4.1).
    ConnectionError {
        PrefaceInvalid = PROTOCOL_ERROR, "the connection preface is not that of HTTP/2 (3.4)";
        SettingsNotFirst = PROTOCOL_ERROR, "the first frame is not SETTINGS (3.4)";
        AnsweredInHttp1 = PROTOCOL_ERROR, "the server speaks HTTP/1.1, where HTTP/2 was to be known beforehand (3.3)";
        FrameTooLarge = FRAME_SIZE_ERROR, "a frame exceeds SETTINGS_MAX_FRAME_SIZE (4.2)";
        FrameTooShort = FRAME_SIZE_ERROR, "a frame is too small for its mandatory fields (4.2)";
        StreamIdZero = PROTOCOL_ERROR, "a frame that belongs to a stream names stream 0 (6.1-6.4, 6.6, 6.10)";
        StreamIdNonZero = PROTOCOL_ERROR, "a frame that belongs to the connection names a stream (6.5, 6.7, 6.8)";
        StreamIdParity = PROTOCOL_ERROR, "a stream is opened with an identifier of the other side (5.1.1)";
        StreamIdDecreased = PROTOCOL_ERROR, "a stream identifier is not greater than the ones before (5.1.1)";
        StreamIdle = PROTOCOL_ERROR, "a frame came for an idle stream (5.1)";
        StreamClosed = STREAM_CLOSED, "a frame came for a stream that its sender had ended (5.1)";
        ResetUnheeded = STREAM_CLOSED, "DATA goes on behind our reset, beyond what the windows had left for it (5.1)";
        PaddingTooLong = PROTOCOL_ERROR, "padding is as long as the frame or longer (6.1, 6.2)";
        PrioritySize = FRAME_SIZE_ERROR, "a PRIORITY frame for no open stream is not 5 octets long (6.3)";
        RstStreamSize = FRAME_SIZE_ERROR, "a RST_STREAM frame is not 4 octets long (6.4)";
        SettingsSize = FRAME_SIZE_ERROR, "a SETTINGS frame is not a multiple of 6 octets long (6.5)";
        SettingsAckNotEmpty = FRAME_SIZE_ERROR, "a SETTINGS acknowledgement carries settings (6.5)";
        SettingsAckUnexpected = PROTOCOL_ERROR, "a SETTINGS acknowledgement for no SETTINGS frame (6.5.3)";
        SettingsTooMany = ENHANCE_YOUR_CALM, "a SETTINGS frame carries more settings than the limit (10.5)";
        EnablePushInvalid = PROTOCOL_ERROR, "SETTINGS_ENABLE_PUSH is neither 0 nor 1, or 1 from a server (6.5.2)";
        InitialWindowSizeInvalid = FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE exceeds 2^31-1 (6.5.2)";
        MaxFrameSizeInvalid = PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE lies outside 2^14 to 2^24-1 (6.5.2)";
        EnableConnectProtocolInvalid = PROTOCOL_ERROR, "SETTINGS_ENABLE_CONNECT_PROTOCOL is not 0 or 1, or returned to 0 (RFC 8441 3)";
        NoRfc7540PrioritiesInvalid = PROTOCOL_ERROR, "SETTINGS_NO_RFC7540_PRIORITIES is neither 0 nor 1 (RFC 9218 2.1)";
        InitialWindowSizeOverflow = FLOW_CONTROL_ERROR, "a change of SETTINGS_INITIAL_WINDOW_SIZE overflows a stream's window (6.9.2)";
        PriorityUpdateStream = PROTOCOL_ERROR, "PRIORITY_UPDATE names stream 0 or a pushed stream (RFC 9218 7.1)";
        PriorityUpdateTooMany = PROTOCOL_ERROR, "PRIORITY_UPDATE for more streams than may be open (RFC 9218 7.1)";
        PriorityUpdateFromServer = PROTOCOL_ERROR, "PRIORITY_UPDATE came from a server (RFC 9218 7.1)";
        PushPromise = PROTOCOL_ERROR, "PUSH_PROMISE came although push is disabled or from a client (6.6, 8.4)";
        PingSize = FRAME_SIZE_ERROR, "a PING frame is not 8 octets long (6.7)";
        GoAwayIncreased = PROTOCOL_ERROR, "GOAWAY raises the last stream identifier (6.8)";
        WindowUpdateSize = FRAME_SIZE_ERROR, "a WINDOW_UPDATE frame is not 4 octets long (6.9)";
        WindowUpdateZero = PROTOCOL_ERROR, "WINDOW_UPDATE with an increment of 0 for the connection (6.9)";
        WindowOverflow = FLOW_CONTROL_ERROR, "the connection's window is raised above 2^31-1 (6.9.1)";
        WindowExceeded = FLOW_CONTROL_ERROR, "DATA exceeds the connection's window (6.9.1)";
        ContinuationExpected = PROTOCOL_ERROR, "a field block is interrupted (4.3, 6.10)";
        ContinuationUnexpected = PROTOCOL_ERROR, "CONTINUATION without an open field block (6.10)";
        ContinuationTooMany = ENHANCE_YOUR_CALM, "a field block has too many CONTINUATION frames or an empty one (10.5.1)";
        FieldBlockTooLarge = ENHANCE_YOUR_CALM, "a field block exceeds the budget for decoding it (10.5.1)";
        Compression = COMPRESSION_ERROR, "a field block cannot be decompressed (4.3)";
        ControlFramesQueued = ENHANCE_YOUR_CALM, "more answers to control frames are queued than the limit (10.5)";
        Misuse = ENHANCE_YOUR_CALM, "the peer costs more than it brings: resets, PINGs and the like (10.5)";
        PrefaceTimeout = PROTOCOL_ERROR, "the connection preface did not come in time (3.4)";
        FieldBlockTimeout = ENHANCE_YOUR_CALM, "a field block was not complete in time (10.5)";
        Internal = INTERNAL_ERROR, "a condition of our own";
    }
}

causes! {
    /// Why one stream must end while the connection goes on (RFC 9113 section 5.4.2).
    StreamError {
        Malformed = PROTOCOL_ERROR, "the message is malformed (8.1.1)"; // 9113-8.1.1-03
        ContentLengthMismatch = PROTOCOL_ERROR, "the content is not as long as content-length says (8.1.1)";
        FieldsTooLarge = ENHANCE_YOUR_CALM, "the field section exceeds our limits (10.5.1)";
        TrailersWithoutEnd = PROTOCOL_ERROR, "a second field section does not end the stream (8.1)";
        DataBeforeHeaders = PROTOCOL_ERROR, "DATA came before the final header section (8.1)";
        InterimEnded = PROTOCOL_ERROR, "an interim response ends the stream (8.1)";
        InterimTooMany = ENHANCE_YOUR_CALM, "more interim responses than the limit (10.5)";
        StreamLimit = REFUSED_STREAM, "the stream exceeds SETTINGS_MAX_CONCURRENT_STREAMS (5.1.2)";
        HalfClosed = STREAM_CLOSED, "a frame came after its sender had ended the stream (5.1)";
        PrioritySize = FRAME_SIZE_ERROR, "a PRIORITY frame is not 5 octets long (6.3)";
        PrioritySelf = PROTOCOL_ERROR, "a stream depends on itself (RFC 7540 5.3.1)";
        WindowUpdateZero = PROTOCOL_ERROR, "WINDOW_UPDATE with an increment of 0 (6.9)";
        WindowOverflow = FLOW_CONTROL_ERROR, "a window is raised above 2^31-1 (6.9.1)";
        WindowExceeded = FLOW_CONTROL_ERROR, "DATA exceeds the stream's window (6.9.1)";
    }
}
