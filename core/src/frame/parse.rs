//! Payloads to frames.

use core::fmt;

use super::{FrameHeader, FrameType, STREAM_ID_MASK, flags};
use crate::error::{ConnectionError, ErrorCode, StreamError};

/// A frame whose size, padding and stream identifier are as its type demands (RFC 9113 section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Content (6.1).
    Data {
        /// Not 0.
        stream_id: u32,
        /// The content without padding.
        data: &'a [u8],
        /// Where `data` begins in the payload: 0, or 1 behind a pad length.
        offset: usize,
        /// Octets beyond `data` that count against the windows: the pad length and the padding. 0 to 256.
        padding: u32,
        /// The sender ends the stream.
        end_stream: bool,
    },
    /// The first part of a field block (6.2).
    Headers {
        /// Not 0.
        stream_id: u32,
        /// Octets for HPACK.
        fragment: &'a [u8],
        /// The sender ends the stream.
        end_stream: bool,
        /// No CONTINUATION follows.
        end_headers: bool,
        /// The stream that the deprecated priority information names, if there is any. It may be this very stream.
        dependency: Option<u32>,
    },
    /// A deprecated priority signal (6.3).
    Priority {
        /// Not 0.
        stream_id: u32,
        /// The stream that it depends on. It may be this very stream.
        dependency: u32,
    },
    /// The abnormal end of a stream (6.4).
    RstStream {
        /// Not 0.
        stream_id: u32,
        /// Why.
        error_code: ErrorCode,
    },
    /// The peer's settings (6.5).
    Settings {
        /// In order of appearance.
        entries: SettingsEntries<'a>,
    },
    /// The acknowledgement of ours (6.5.3).
    SettingsAck,
    /// Push. It is always an error for us (8.4), so nothing more is read of it.
    PushPromise {
        /// Not 0.
        stream_id: u32,
    },
    /// A PING to answer (6.7).
    Ping {
        /// Opaque data to send back.
        payload: [u8; 8],
    },
    /// The answer to ours (6.7).
    PingAck {
        /// The opaque data that we sent.
        payload: [u8; 8],
    },
    /// The end of the connection is near (6.8).
    GoAway {
        /// The last stream that the peer may have processed.
        last_stream_id: u32,
        /// Why.
        error_code: ErrorCode,
        /// Opaque octets, for diagnosis only.
        debug_data: &'a [u8],
    },
    /// More of a flow-control window (6.9).
    WindowUpdate {
        /// The stream, or 0 for the connection.
        stream_id: u32,
        /// In octets, 0 to 2^31-1. What 0 means depends on the stream: an error of it, or of the connection.
        increment: u32,
    },
    /// A further part of a field block (6.10).
    Continuation {
        /// Not 0.
        stream_id: u32,
        /// Octets for HPACK.
        fragment: &'a [u8],
        /// No further CONTINUATION follows.
        end_headers: bool,
    },
    /// A priority signal (RFC 9218 section 7.1).
    PriorityUpdate {
        /// The stream that it is about. Not 0.
        stream_id: u32,
        /// A Priority Field Value.
        value: &'a [u8],
    },
    /// A frame of unknown type, ignored outside of field blocks (4.1, 5.5).
    Unknown {
        /// Its type.
        frame_type: u8,
        /// Its stream, or 0.
        stream_id: u32,
    },
}

/// What a frame breaks, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The connection must end.
    Connection(ConnectionError),
    /// This stream must end.
    Stream(u32, StreamError),
}

impl From<ConnectionError> for FrameError {
    fn from(cause: ConnectionError) -> Self {
        Self::Connection(cause)
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(cause) => cause.fmt(f),
            Self::Stream(stream_id, cause) => write!(f, "stream {stream_id}: {cause}"),
        }
    }
}

impl core::error::Error for FrameError {}

/// The settings of a SETTINGS frame as identifier and value, in order of appearance (RFC 9113 section 6.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsEntries<'a>(&'a [[u8; 6]]);

impl Iterator for SettingsEntries<'_> {
    type Item = (u16, u32);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[i0, i1, v0, v1, v2, v3], rest) = self.0.split_first()?;
        self.0 = rest;
        Some((u16::from_be_bytes([i0, i1]), u32::from_be_bytes([v0, v1, v2, v3])))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len(), Some(self.0.len()))
    }
}

impl ExactSizeIterator for SettingsEntries<'_> {}

/// Reads one frame. `payload` holds exactly the `header.length` octets behind the header.
///
/// # Errors
///
/// What RFC 9113 section 6 says of a frame of this type with this size, padding and stream identifier. Where several
/// rules are broken, the stream identifier comes first. A payload of another length than the header says is
/// [`ConnectionError::Internal`].
///
/// ```
/// use shuntyard_core::frame::{Frame, FrameHeader, FrameType, parse};
///
/// let header = FrameHeader { length: 4, frame_type: FrameType::WindowUpdate, flags: 0, stream_id: 1 };
/// assert_eq!(parse(header, &[0, 0, 1, 0]), Ok(Frame::WindowUpdate { stream_id: 1, increment: 256 }));
/// ```
#[inline]
pub fn parse(header: FrameHeader, payload: &[u8]) -> Result<Frame<'_>, FrameError> {
    if payload.len() != header.length as usize {
        return Err(ConnectionError::Internal.into());
    }
    match header.frame_type {
        FrameType::Data => data(header, payload),
        FrameType::Headers => headers(header, payload),
        FrameType::Priority => priority(header, payload),
        FrameType::RstStream => rst_stream(header, payload),
        FrameType::Settings => settings(header, payload),
        FrameType::PushPromise => Ok(Frame::PushPromise { stream_id: stream(header)? }),
        FrameType::Ping => ping(header, payload),
        FrameType::GoAway => goaway(header, payload),
        FrameType::WindowUpdate => window_update(header, payload),
        FrameType::Continuation => Ok(Frame::Continuation {
            stream_id: stream(header)?,
            fragment: payload,
            end_headers: header.has(flags::END_HEADERS),
        }),
        FrameType::PriorityUpdate => priority_update(header, payload),
        FrameType::Unknown(frame_type) => Ok(Frame::Unknown { frame_type, stream_id: header.stream_id }),
    }
}

#[inline]
fn data(header: FrameHeader, payload: &[u8]) -> Result<Frame<'_>, FrameError> {
    let stream_id = stream(header)?;
    let (data, padding) = unpad(header, payload)?;
    Ok(Frame::Data {
        stream_id,
        data,
        offset: usize::from(header.has(flags::PADDED)),
        padding,
        end_stream: header.has(flags::END_STREAM),
    })
}

#[inline]
fn headers(header: FrameHeader, payload: &[u8]) -> Result<Frame<'_>, FrameError> {
    let stream_id = stream(header)?;
    let (mut fragment, _) = unpad(header, payload)?;
    let mut dependency = None;
    if header.has(flags::PRIORITY) {
        let Some(([on @ .., _weight], rest)) = fragment.split_first_chunk::<5>() else {
            return Err(ConnectionError::FrameTooShort.into()); // 9113-4.2-03
        };
        dependency = Some(u32::from_be_bytes(*on) & STREAM_ID_MASK);
        fragment = rest;
    }
    Ok(Frame::Headers {
        stream_id,
        fragment,
        end_stream: header.has(flags::END_STREAM),
        end_headers: header.has(flags::END_HEADERS),
        dependency,
    })
}

fn priority(header: FrameHeader, payload: &[u8]) -> Result<Frame<'_>, FrameError> {
    let stream_id = stream(header)?;
    let &[d0, d1, d2, d3, _weight] = payload else {
        return Err(FrameError::Stream(stream_id, StreamError::PrioritySize)); // 9113-6.3-02
    };
    Ok(Frame::Priority { stream_id, dependency: u32::from_be_bytes([d0, d1, d2, d3]) & STREAM_ID_MASK })
}

fn rst_stream(header: FrameHeader, payload: &[u8]) -> Result<Frame<'_>, FrameError> {
    let stream_id = stream(header)?;
    let octets = payload.try_into().map_err(|_| ConnectionError::RstStreamSize)?; // 9113-6.4-07
    Ok(Frame::RstStream { stream_id, error_code: ErrorCode(u32::from_be_bytes(octets)) })
}

fn settings(header: FrameHeader, payload: &[u8]) -> Result<Frame<'_>, FrameError> {
    connection(header)?;
    if header.has(flags::ACK) {
        return if payload.is_empty() {
            Ok(Frame::SettingsAck)
        } else {
            Err(ConnectionError::SettingsAckNotEmpty.into()) // 9113-6.5-04
        };
    }
    match payload.as_chunks::<6>() {
        (entries, []) => Ok(Frame::Settings { entries: SettingsEntries(entries) }),
        _ => Err(ConnectionError::SettingsSize.into()), // 9113-6.5-08
    }
}

fn ping(header: FrameHeader, payload: &[u8]) -> Result<Frame<'_>, FrameError> {
    connection(header)?;
    let payload = payload.try_into().map_err(|_| ConnectionError::PingSize)?; // 9113-6.7-07
    Ok(if header.has(flags::ACK) { Frame::PingAck { payload } } else { Frame::Ping { payload } })
}

fn goaway(header: FrameHeader, payload: &[u8]) -> Result<Frame<'_>, FrameError> {
    connection(header)?;
    let Some((&[l0, l1, l2, l3, e0, e1, e2, e3], debug_data)) = payload.split_first_chunk::<8>() else {
        return Err(ConnectionError::FrameTooShort.into());
    };
    Ok(Frame::GoAway {
        last_stream_id: u32::from_be_bytes([l0, l1, l2, l3]) & STREAM_ID_MASK,
        error_code: ErrorCode(u32::from_be_bytes([e0, e1, e2, e3])),
        debug_data,
    })
}

/// 9218-7.1-01, 9218-7.1-02, 9218-7.1-09
fn priority_update(header: FrameHeader, payload: &[u8]) -> Result<Frame<'_>, FrameError> {
    connection(header)?;
    let Some((id, value)) = payload.split_first_chunk::<4>() else {
        return Err(ConnectionError::FrameTooShort.into());
    };
    match u32::from_be_bytes(*id) & STREAM_ID_MASK {
        0 => Err(ConnectionError::PriorityUpdateStream.into()),
        stream_id => Ok(Frame::PriorityUpdate { stream_id, value }),
    }
}

#[inline]
fn window_update(header: FrameHeader, payload: &[u8]) -> Result<Frame<'_>, FrameError> {
    let octets = payload.try_into().map_err(|_| ConnectionError::WindowUpdateSize)?; // 9113-6.9-06
    Ok(Frame::WindowUpdate {
        stream_id: header.stream_id,
        increment: u32::from_be_bytes(octets) & STREAM_ID_MASK,
    })
}

/// 9113-6.1-05, 9113-6.2-06, 9113-6.3-01, 9113-6.4-04, 9113-6.6-07, 9113-6.10-04
#[inline]
fn stream(header: FrameHeader) -> Result<u32, ConnectionError> {
    if header.stream_id == 0 { Err(ConnectionError::StreamIdZero) } else { Ok(header.stream_id) }
}

/// 9113-6.5-06, 9113-6.7-06, 9113-6.8-04
#[inline]
fn connection(header: FrameHeader) -> Result<(), ConnectionError> {
    if header.stream_id == 0 { Ok(()) } else { Err(ConnectionError::StreamIdNonZero) }
}

/// What lies between pad length and padding, and how many octets these two take (RFC 9113 sections 6.1 and 6.2).
#[inline]
fn unpad(header: FrameHeader, payload: &[u8]) -> Result<(&[u8], u32), ConnectionError> {
    if !header.has(flags::PADDED) {
        return Ok((payload, 0));
    }
    let Some((&pad_length, rest)) = payload.split_first() else {
        return Err(ConnectionError::FrameTooShort);
    };
    let Some((content, _padding)) =
        rest.len().checked_sub(pad_length.into()).and_then(|end| rest.split_at_checked(end))
    else {
        return Err(ConnectionError::PaddingTooLong); // 9113-6.1-07, 9113-6.2-07
    };
    Ok((content, u32::from(pad_length) + 1))
}
