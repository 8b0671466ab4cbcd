//! Frames of RFC 9113 section 6: octets to values and back.

use std::fmt;

/// What a client sends before its first frame (3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// SETTINGS_HEADER_TABLE_SIZE (6.5.2).
pub const HEADER_TABLE_SIZE: u16 = 1;
/// SETTINGS_ENABLE_PUSH (6.5.2).
pub const ENABLE_PUSH: u16 = 2;
/// SETTINGS_MAX_CONCURRENT_STREAMS (6.5.2).
pub const MAX_CONCURRENT_STREAMS: u16 = 3;
/// SETTINGS_INITIAL_WINDOW_SIZE (6.5.2).
pub const INITIAL_WINDOW_SIZE: u16 = 4;
/// SETTINGS_MAX_FRAME_SIZE (6.5.2).
pub const MAX_FRAME_SIZE: u16 = 5;
/// SETTINGS_MAX_HEADER_LIST_SIZE (6.5.2).
pub const MAX_HEADER_LIST_SIZE: u16 = 6;

/// NO_ERROR (7).
pub const NO_ERROR: u32 = 0;
/// REFUSED_STREAM (7).
pub const REFUSED_STREAM: u32 = 7;
/// ENHANCE_YOUR_CALM (7).
pub const ENHANCE_YOUR_CALM: u32 = 0xb;
/// HTTP_1_1_REQUIRED (7).
pub const HTTP_1_1_REQUIRED: u32 = 0xd;
/// CANCEL (7).
pub const CANCEL: u32 = 8;

const END_STREAM: u8 = 0x01;
const ACK: u8 = 0x01;
const END_HEADERS: u8 = 0x04;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// DATA (6.1).
    Data {
        /// The stream.
        stream: u32,
        /// Octets of content, without padding.
        content: Vec<u8>,
        /// Octets of padding, where the frame is padded.
        padding: Option<u8>,
        /// END_STREAM.
        end: bool,
    },
    /// HEADERS (6.2).
    Headers {
        /// The stream.
        stream: u32,
        /// A piece of a field block.
        block: Vec<u8>,
        /// Octets of padding, where the frame is padded.
        padding: Option<u8>,
        /// The five octets of priority, where there are any.
        priority: Option<[u8; 5]>,
        /// END_HEADERS.
        end_headers: bool,
        /// END_STREAM.
        end: bool,
    },
    /// PRIORITY (6.3).
    Priority {
        /// The stream.
        stream: u32,
        /// Its five octets.
        priority: [u8; 5],
    },
    /// RST_STREAM (6.4).
    RstStream {
        /// The stream.
        stream: u32,
        /// The error code.
        code: u32,
    },
    /// SETTINGS (6.5).
    Settings {
        /// ACK.
        ack: bool,
        /// Identifiers and values in order.
        settings: Vec<(u16, u32)>,
    },
    /// PUSH_PROMISE (6.6), not taken apart: nobody here may send one.
    PushPromise {
        /// The stream.
        stream: u32,
    },
    /// PING (6.7).
    Ping {
        /// ACK.
        ack: bool,
        /// Its eight octets.
        opaque: [u8; 8],
    },
    /// GOAWAY (6.8).
    GoAway {
        /// The last stream that was or may be processed.
        last_stream: u32,
        /// The error code.
        code: u32,
        /// Octets for people.
        debug: Vec<u8>,
    },
    /// WINDOW_UPDATE (6.9).
    WindowUpdate {
        /// The stream, or 0 for the connection.
        stream: u32,
        /// The increment.
        increment: u32,
    },
    /// CONTINUATION (6.10).
    Continuation {
        /// The stream.
        stream: u32,
        /// A piece of a field block.
        block: Vec<u8>,
        /// END_HEADERS.
        end_headers: bool,
    },
    /// A frame of another type: to be ignored (4.1).
    Unknown {
        /// Its type.
        kind: u8,
        /// The stream.
        stream: u32,
        /// Its flags.
        flags: u8,
        /// Its payload.
        payload: Vec<u8>,
    },
}

impl fmt::Display for Frame {
    /// One line for people: lengths in place of octets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = self.stream();
        match self {
            Self::Data { content, end, .. } => {
                write!(f, "DATA {stream}, {} octets, end {end}", content.len())
            }
            Self::Headers { block, end, .. } => {
                write!(f, "HEADERS {stream}, {} octets, end {end}", block.len())
            }
            Self::RstStream { code, .. } => write!(f, "RST_STREAM {stream}, code {code}"),
            Self::Settings { ack: true, .. } => write!(f, "SETTINGS ack"),
            Self::Settings { settings, .. } => write!(f, "SETTINGS {settings:?}"),
            Self::GoAway { last_stream, code, .. } => write!(f, "GOAWAY last {last_stream}, code {code}"),
            Self::WindowUpdate { increment, .. } => write!(f, "WINDOW_UPDATE {stream}, {increment}"),
            Self::Ping { ack, .. } => write!(f, "PING ack {ack}"),
            Self::Continuation { block, .. } => write!(f, "CONTINUATION {stream}, {} octets", block.len()),
            Self::Priority { .. } => write!(f, "PRIORITY {stream}"),
            Self::PushPromise { .. } => write!(f, "PUSH_PROMISE {stream}"),
            Self::Unknown { kind, .. } => write!(f, "type {kind} on {stream}"),
        }
    }
}

/// Why octets are not a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameError(pub String);

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Frame {
    /// The stream that the frame belongs to, 0 for the connection.
    pub fn stream(&self) -> u32 {
        match self {
            Self::Data { stream, .. }
            | Self::Headers { stream, .. }
            | Self::Priority { stream, .. }
            | Self::RstStream { stream, .. }
            | Self::PushPromise { stream }
            | Self::WindowUpdate { stream, .. }
            | Self::Continuation { stream, .. }
            | Self::Unknown { stream, .. } => *stream,
            Self::Settings { .. } | Self::Ping { .. } | Self::GoAway { .. } => 0,
        }
    }

    /// What a DATA frame takes from the windows: all of its payload (6.9.1).
    pub fn flow_controlled_length(&self) -> u64 {
        match self {
            Self::Data { content, padding, .. } => {
                content.len() as u64 + padding.map_or(0, |pad| u64::from(pad) + 1)
            }
            _ => 0,
        }
    }

    /// Nine octets of header and the payload.
    pub fn encode(&self) -> Vec<u8> {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let pad = |payload: &mut Vec<u8>, padding: Option<u8>| {
            if let Some(padding) = padding {
                payload.insert(0, padding);
                payload.extend(vec![0; usize::from(padding)]);
            }
        };
        let (kind, flags, payload) = match self {
            Self::Data { content, padding, end, .. } => {
                let mut payload = content.clone();
                pad(&mut payload, *padding);
                (0, flag(*end, END_STREAM) | flag(padding.is_some(), PADDED), payload)
            }
            Self::Headers { block, padding, priority, end_headers, end, .. } => {
                let mut payload = priority.map_or(Vec::new(), |octets| octets.to_vec());
                payload.extend(block);
                pad(&mut payload, *padding);
                let flags = flag(*end, END_STREAM)
                    | flag(*end_headers, END_HEADERS)
                    | flag(padding.is_some(), PADDED)
                    | flag(priority.is_some(), PRIORITY);
                (1, flags, payload)
            }
            Self::Priority { priority, .. } => (2, 0, priority.to_vec()),
            Self::RstStream { code, .. } => (3, 0, code.to_be_bytes().to_vec()),
            Self::Settings { ack, settings } => {
                let pairs = settings
                    .iter()
                    .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
                (4, flag(*ack, ACK), pairs.collect())
            }
            Self::PushPromise { .. } => (5, END_HEADERS, vec![0; 4]),
            Self::Ping { ack, opaque } => (6, flag(*ack, ACK), opaque.to_vec()),
            Self::GoAway { last_stream, code, debug } => {
                (7, 0, [&last_stream.to_be_bytes()[..], &code.to_be_bytes(), debug].concat())
            }
            Self::WindowUpdate { increment, .. } => (8, 0, increment.to_be_bytes().to_vec()),
            Self::Continuation { block, end_headers, .. } => {
                (9, flag(*end_headers, END_HEADERS), block.clone())
            }
            Self::Unknown { kind, flags, payload, .. } => (*kind, *flags, payload.clone()),
        };
        let length = u32::try_from(payload.len()).expect("nobody here makes a frame of 4 GiB");
        let mut octets = length.to_be_bytes()[1..].to_vec();
        octets.extend([kind, flags]);
        octets.extend(self.stream().to_be_bytes());
        octets.extend(payload);
        octets
    }

    /// The first frame of `octets` and how many octets it took; `None` while it is incomplete.
    pub fn decode(octets: &[u8], max_frame_size: usize) -> Result<Option<(Self, usize)>, FrameError> {
        let Some(header) = octets.get(..9) else { return Ok(None) };
        let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
        if length > max_frame_size {
            return Err(FrameError(format!("a frame of {length} octets exceeds SETTINGS_MAX_FRAME_SIZE")));
        }
        let Some(payload) = octets.get(9..9 + length) else { return Ok(None) };
        let stream = be32(&header[5..]) & 0x7fff_ffff;
        Ok(Some((decode_payload(header[3], header[4], stream, payload)?, 9 + length)))
    }
}

fn decode_payload(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<Frame, FrameError> {
    let of_stream = matches!(kind, 0..=3 | 5 | 9);
    let of_connection = matches!(kind, 4 | 6 | 7);
    if of_stream && stream == 0 {
        return Err(FrameError(format!("a frame of type {kind} on stream 0")));
    }
    if of_connection && stream != 0 {
        return Err(FrameError(format!("a frame of type {kind} on stream {stream}")));
    }
    Ok(match kind {
        0 => {
            let (padding, content) = unpad(flags, payload)?;
            Frame::Data { stream, content: content.to_vec(), padding, end: flags & END_STREAM != 0 }
        }
        1 => {
            let (padding, mut block) = unpad(flags, payload)?;
            let mut priority = None;
            if flags & PRIORITY != 0 {
                let five =
                    block.get(..5).ok_or_else(|| FrameError("HEADERS too short for its priority".into()))?;
                priority = Some(five.try_into().expect("five octets were taken"));
                block = &block[5..];
            }
            let (end_headers, end) = (flags & END_HEADERS != 0, flags & END_STREAM != 0);
            Frame::Headers { stream, block: block.to_vec(), padding, priority, end_headers, end }
        }
        // Of another length it is an error of its stream only (6.3): who reads on must not lose what follows.
        2 => match payload.try_into() {
            Ok(priority) => Frame::Priority { stream, priority },
            Err(_) => Frame::Unknown { kind, stream, flags, payload: payload.to_vec() },
        },
        3 => Frame::RstStream { stream, code: u32::from_be_bytes(exactly("RST_STREAM", payload)?) },
        4 => decode_settings(flags, payload)?,
        5 => Frame::PushPromise { stream },
        6 => Frame::Ping { ack: flags & ACK != 0, opaque: exactly("PING", payload)? },
        7 => {
            let (fixed, debug) = payload
                .split_at_checked(8)
                .ok_or_else(|| FrameError("GOAWAY of less than 8 octets".into()))?;
            Frame::GoAway {
                last_stream: be32(fixed) & 0x7fff_ffff,
                code: be32(&fixed[4..]),
                debug: debug.to_vec(),
            }
        }
        8 => {
            let increment = u32::from_be_bytes(exactly("WINDOW_UPDATE", payload)?) & 0x7fff_ffff;
            Frame::WindowUpdate { stream, increment }
        }
        9 => Frame::Continuation { stream, block: payload.to_vec(), end_headers: flags & END_HEADERS != 0 },
        _ => Frame::Unknown { kind, stream, flags, payload: payload.to_vec() },
    })
}

fn decode_settings(flags: u8, payload: &[u8]) -> Result<Frame, FrameError> {
    let ack = flags & ACK != 0;
    if !payload.len().is_multiple_of(6) || (ack && !payload.is_empty()) {
        return Err(FrameError(format!("SETTINGS of {} octets, ack {ack}", payload.len())));
    }
    let settings =
        payload.chunks(6).map(|six| (u16::from_be_bytes([six[0], six[1]]), be32(&six[2..]))).collect();
    Ok(Frame::Settings { ack, settings })
}

fn unpad(flags: u8, payload: &[u8]) -> Result<(Option<u8>, &[u8]), FrameError> {
    if flags & PADDED == 0 {
        return Ok((None, payload));
    }
    let (&padding, rest) = payload.split_first().ok_or_else(|| FrameError("no Pad Length".into()))?;
    let content =
        rest.len().checked_sub(padding.into()).ok_or_else(|| FrameError("too much padding".into()))?;
    Ok((Some(padding), &rest[..content]))
}

fn exactly<const N: usize>(name: &str, payload: &[u8]) -> Result<[u8; N], FrameError> {
    payload.try_into().map_err(|_| FrameError(format!("{name} of {} octets", payload.len())))
}

fn be32(octets: &[u8]) -> u32 {
    octets.iter().take(4).fold(0, |value, &octet| value << 8 | u32::from(octet))
}

/// Octets as they come, frames as they are complete.
#[derive(Clone, Debug)]
pub struct Reader {
    octets: Vec<u8>,
    /// Octets at the begin that were taken already.
    taken: usize,
    preface_missing: bool,
    /// The largest payload accepted: what this side announced as SETTINGS_MAX_FRAME_SIZE.
    pub max_frame_size: usize,
}

impl Reader {
    /// A reader of what a client sends (`preface`) or of what a server sends.
    pub fn new(preface: bool) -> Self {
        Self { octets: Vec::new(), taken: 0, preface_missing: preface, max_frame_size: 16_384 }
    }

    /// Adds octets.
    pub fn push(&mut self, octets: &[u8]) {
        self.octets.drain(..std::mem::take(&mut self.taken));
        self.octets.extend_from_slice(octets);
    }

    /// Octets that are not yet a whole frame.
    pub fn pending(&self) -> usize {
        self.octets.len() - self.taken
    }

    /// Takes the next whole frame.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.preface_missing {
            let n = self.octets.len().min(PREFACE.len());
            if self.octets[..n] != PREFACE[..n] {
                return Err(FrameError("not the connection preface (3.4)".into()));
            }
            if n < PREFACE.len() {
                return Ok(None);
            }
            self.taken = n;
            self.preface_missing = false;
        }
        let next = Frame::decode(&self.octets[self.taken..], self.max_frame_size)?;
        let Some((frame, n)) = next else {
            self.octets.drain(..std::mem::take(&mut self.taken));
            return Ok(None);
        };
        self.taken += n;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Frame> {
        vec![
            Frame::Data { stream: 1, content: b"abc".to_vec(), padding: None, end: false },
            Frame::Data { stream: 3, content: vec![], padding: Some(0), end: true },
            Frame::Data { stream: 3, content: b"x".to_vec(), padding: Some(255), end: true },
            Frame::Headers {
                stream: 5,
                block: vec![0x82],
                padding: Some(2),
                priority: Some([0x80, 0, 0, 1, 9]),
                end_headers: true,
                end: true,
            },
            Frame::Priority { stream: 7, priority: [0, 0, 0, 1, 15] },
            Frame::RstStream { stream: 7, code: CANCEL },
            Frame::Settings { ack: false, settings: vec![(MAX_CONCURRENT_STREAMS, 100), (99, u32::MAX)] },
            Frame::Settings { ack: true, settings: vec![] },
            Frame::Ping { ack: true, opaque: *b"12345678" },
            Frame::GoAway { last_stream: 9, code: NO_ERROR, debug: b"bye".to_vec() },
            Frame::WindowUpdate { stream: 0, increment: 0x7fff_ffff },
            Frame::Continuation { stream: 5, block: vec![1, 2], end_headers: false },
            Frame::Unknown { kind: 200, stream: 1, flags: 255, payload: vec![7] },
        ]
    }

    #[test]
    fn frames_survive_octet_by_octet() {
        let mut reader = Reader::new(true);
        let mut seen = Vec::new();
        let octets: Vec<u8> =
            PREFACE.iter().copied().chain(samples().iter().flat_map(Frame::encode)).collect();
        for octet in octets {
            reader.push(&[octet]);
            seen.extend(reader.next_frame().unwrap());
        }
        assert_eq!((seen, reader.pending()), (samples(), 0));
    }

    #[test]
    fn a_data_frame_on_the_wire() {
        let frame = Frame::Data { stream: 1, content: b"hi".to_vec(), padding: Some(1), end: true };
        assert_eq!(frame.encode(), [0, 0, 4, 0, 0x09, 0, 0, 0, 1, 1, b'h', b'i', 0]);
        assert_eq!(frame.flow_controlled_length(), 4);
    }

    #[test]
    fn sizes_and_streams_are_checked() {
        for (kind, stream, payload) in [
            (0, 0, &b""[..]),
            (1, 0, b""),
            (2, 0, b"12345"),
            (3, 1, b"123"),
            (4, 0, b"12345"),
            (4, 1, b""),
            (6, 0, b"1234567"),
            (7, 0, b"1234567"),
            (8, 0, b"123"),
        ] {
            assert!(decode_payload(kind, 0, stream, payload).is_err(), "type {kind}");
        }
        assert!(decode_payload(0, PADDED, 1, &[2, 0]).is_err());
        assert!(decode_payload(4, ACK, 0, &[0; 6]).is_err());
        assert!(Frame::decode(&[0, 0x40, 1, 0, 0, 0, 0, 0, 1], 16_384).is_err());
        assert!(Reader::new(true).next_frame().is_ok());
        let mut reader = Reader::new(true);
        reader.push(b"GET / HTTP/1.1");
        assert!(reader.next_frame().is_err());
    }
}
