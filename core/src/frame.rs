//! Frames without state: octets to [`Frame`] and back (RFC 9113 sections 4.1 and 6).
//!
//! What a frame means on its stream, or at this moment of the connection, stands in higher floors. What can be said of
//! a frame alone (its size, its padding, whether it may name a stream) is said here, once.

mod parse;
mod put;

#[cfg(test)]
mod tests;

pub use parse::{Frame, FrameError, SettingsEntries, parse};
pub(crate) use put::field_block_len_max;
pub use put::{
    put_data, put_field_block, put_goaway, put_ping, put_rst_stream, put_settings, put_settings_ack,
    put_window_update,
};

use crate::error::ConnectionError;

/// Octets of a frame header (RFC 9113 section 4.1).
pub const HEADER_LEN: usize = 9;
/// SETTINGS_MAX_FRAME_SIZE before any SETTINGS frame, in octets; also its smallest value (RFC 9113 section 6.5.2).
pub const DEFAULT_MAX_FRAME_SIZE: u32 = 16_384;
/// The largest length that a frame header can hold, in octets (RFC 9113 section 4.2).
pub const MAX_FRAME_SIZE: u32 = (1 << 24) - 1;
/// The octets that a client sends first (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream identifier without its reserved bit (RFC 9113 section 4.1).
const STREAM_ID_MASK: u32 = 0x7fff_ffff;

/// Flags of frames. A bit that a frame type does not define is ignored (RFC 9113 section 4.1).
pub mod flags {
    /// DATA, HEADERS: the sender ends the stream.
    pub const END_STREAM: u8 = 0x01;
    /// SETTINGS, PING: an acknowledgement.
    pub const ACK: u8 = 0x01;
    /// HEADERS, PUSH_PROMISE, CONTINUATION: the field block ends with this frame.
    pub const END_HEADERS: u8 = 0x04;
    /// DATA, HEADERS, PUSH_PROMISE: a pad length and padding are present.
    pub const PADDED: u8 = 0x08;
    /// HEADERS: the five octets of deprecated priority information are present.
    pub const PRIORITY: u8 = 0x20;
}

/// The type of a frame (RFC 9113 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameType {
    /// Content (6.1).
    Data,
    /// The first part of a field block (6.2).
    Headers,
    /// A deprecated priority signal (6.3).
    Priority,
    /// The abnormal end of a stream (6.4).
    RstStream,
    /// Settings or their acknowledgement (6.5).
    Settings,
    /// The announcement of a pushed stream (6.6).
    PushPromise,
    /// A round trip (6.7).
    Ping,
    /// The end of the connection is near (6.8).
    GoAway,
    /// More of a flow-control window (6.9).
    WindowUpdate,
    /// A further part of a field block (6.10).
    Continuation,
    /// A priority signal (RFC 9218 section 7.1).
    PriorityUpdate,
    /// A type that is not known here: ignored (4.1).
    Unknown(u8),
}

impl FrameType {
    /// The type that an octet names.
    #[inline]
    pub const fn from_octet(octet: u8) -> Self {
        match octet {
            0x0 => Self::Data,
            0x1 => Self::Headers,
            0x2 => Self::Priority,
            0x3 => Self::RstStream,
            0x4 => Self::Settings,
            0x5 => Self::PushPromise,
            0x6 => Self::Ping,
            0x7 => Self::GoAway,
            0x8 => Self::WindowUpdate,
            0x9 => Self::Continuation,
            0x10 => Self::PriorityUpdate,
            unknown => Self::Unknown(unknown),
        }
    }

    /// The octet that names the type.
    #[inline]
    pub const fn to_octet(self) -> u8 {
        match self {
            Self::Data => 0x0,
            Self::Headers => 0x1,
            Self::Priority => 0x2,
            Self::RstStream => 0x3,
            Self::Settings => 0x4,
            Self::PushPromise => 0x5,
            Self::Ping => 0x6,
            Self::GoAway => 0x7,
            Self::WindowUpdate => 0x8,
            Self::Continuation => 0x9,
            Self::PriorityUpdate => 0x10,
            Self::Unknown(octet) => octet,
        }
    }
}

/// The nine octets in front of every payload (RFC 9113 section 4.1).
///
/// ```
/// use shuntyard_core::frame::{FrameHeader, FrameType, flags};
///
/// let header = FrameHeader { length: 5, frame_type: FrameType::Data, flags: flags::END_STREAM, stream_id: 3 };
/// assert_eq!(header.encode(), [0, 0, 5, 0, 1, 0, 0, 0, 3]);
/// assert_eq!(FrameHeader::decode(&header.encode()), header);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Octets of the payload, 0 to [`MAX_FRAME_SIZE`].
    pub length: u32,
    /// The type.
    pub frame_type: FrameType,
    /// The [`flags`], undefined bits included.
    pub flags: u8,
    /// The stream, or 0 for the connection. 31 bits.
    pub stream_id: u32,
}

impl FrameHeader {
    /// Reads a header; the reserved bit is ignored. Every header is legal as far as it goes.
    #[inline]
    pub const fn decode(octets: &[u8; HEADER_LEN]) -> Self {
        let &[l0, l1, l2, frame_type, flags, ref stream_id @ ..] = octets;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            frame_type: FrameType::from_octet(frame_type),
            flags,
            stream_id: u32::from_be_bytes(*stream_id) & STREAM_ID_MASK, // 9113-4.1-04
        }
    }

    /// Writes the header, with the low 24 bits of the length and the low 31 bits of the stream identifier.
    #[inline]
    pub const fn encode(self) -> [u8; HEADER_LEN] {
        let [_, l0, l1, l2] = self.length.to_be_bytes();
        let [s0, s1, s2, s3] = (self.stream_id & STREAM_ID_MASK).to_be_bytes(); // 9113-4.1-04
        [l0, l1, l2, self.frame_type.to_octet(), self.flags, s0, s1, s2, s3]
    }

    /// Refuses a frame longer than the SETTINGS_MAX_FRAME_SIZE that we announced, before its payload is awaited.
    ///
    /// RFC 9113 section 4.2 allows a stream error for some types; whoever ignores the limit gets no second frame.
    ///
    /// # Errors
    ///
    /// Its length is more than `max_frame_size`.
    // 9113-4.2-02, 9113-4.2-03
    #[inline]
    pub const fn check_length(self, max_frame_size: u32) -> Result<(), ConnectionError> {
        if self.length > max_frame_size { Err(ConnectionError::FrameTooLarge) } else { Ok(()) }
    }

    /// 9113-4.1-03: other bits are not looked at.
    #[inline]
    const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}
