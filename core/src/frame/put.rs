//! Frames to octets, appended to a buffer. Never padded. 9113-4.1-03, 9113-4.1-04: no undefined flag set, reserved
//! bits 0.

use super::{FrameHeader, FrameType, HEADER_LEN, MAX_FRAME_SIZE, STREAM_ID_MASK, flags};
use crate::error::ErrorCode;

/// SETTINGS with these identifiers and values, in this order (RFC 9113 section 6.5). At most 2730 fit every peer.
pub fn put_settings(out: &mut Vec<u8>, entries: &[(u16, u32)]) {
    put_header(out, entries.len() * 6, FrameType::Settings, 0, 0); // 9113-6.5-05
    for (identifier, value) in entries {
        out.extend_from_slice(&identifier.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// The acknowledgement of the peer's SETTINGS (RFC 9113 section 6.5.3).
pub fn put_settings_ack(out: &mut Vec<u8>) {
    put_header(out, 0, FrameType::Settings, flags::ACK, 0); // 9113-6.5-03, 9113-6.5-05
}

/// PING, or with `ack` the answer to one (RFC 9113 section 6.7).
pub fn put_ping(out: &mut Vec<u8>, payload: [u8; 8], ack: bool) {
    // 9113-6.7-01, 9113-6.7-04
    put_header(out, payload.len(), FrameType::Ping, if ack { flags::ACK } else { 0 }, 0);
    out.extend_from_slice(&payload);
}

/// GOAWAY (RFC 9113 section 6.8). `debug` is for diagnosis and should be short.
pub fn put_goaway(out: &mut Vec<u8>, last_stream_id: u32, code: ErrorCode, debug: &[u8]) {
    put_header(out, 8 + debug.len(), FrameType::GoAway, 0, 0);
    out.extend_from_slice(&(last_stream_id & STREAM_ID_MASK).to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(debug);
}

/// WINDOW_UPDATE for a stream, or for the connection with `stream_id` 0 (RFC 9113 section 6.9). `increment` is in
/// octets, 1 to 2^31-1.
pub fn put_window_update(out: &mut Vec<u8>, stream_id: u32, increment: u32) {
    put_header(out, 4, FrameType::WindowUpdate, 0, stream_id);
    out.extend_from_slice(&(increment & STREAM_ID_MASK).to_be_bytes());
}

/// RST_STREAM (RFC 9113 section 6.4).
pub fn put_rst_stream(out: &mut Vec<u8>, stream_id: u32, code: ErrorCode) {
    put_header(out, 4, FrameType::RstStream, 0, stream_id);
    out.extend_from_slice(&code.0.to_be_bytes());
}

/// One DATA frame (RFC 9113 section 6.1). `data` is no longer than the peer's SETTINGS_MAX_FRAME_SIZE.
///
/// # Panics
///
/// If `data` is longer than [`MAX_FRAME_SIZE`]: no header can say that.
pub fn put_data(out: &mut Vec<u8>, stream_id: u32, data: &[u8], end_stream: bool) {
    put_header(out, data.len(), FrameType::Data, if end_stream { flags::END_STREAM } else { 0 }, stream_id);
    out.extend_from_slice(data);
}

/// So many octets at most [`put_field_block`] appends of a section of this size: no line takes more in its encoded form, and frames are not smaller
/// than 16,384 octets (RFC 9113 section 4.2).
pub(crate) const fn field_block_len_max(size: usize) -> usize {
    // Two changes of the table's size may stand in front (RFC 7541 section 4.2); and while the last string is tried as a code it may take four octets for one.
    2 * HEADER_LEN + 12 + size + size / 1024 + 4 * 126
}

/// HEADERS with what `encode` appends, and CONTINUATION frames where that is longer than `max_frame_size` (RFC 9113
/// section 4.3). `encode` must leave alone what stands in the buffer already.
///
/// ```
/// let mut out = Vec::new();
/// shuntyard_core::frame::put_field_block(&mut out, 1, true, 16_384, |block| block.push(0x82));
/// assert_eq!(out, [0, 0, 1, 1, 5, 0, 0, 0, 1, 0x82]);
/// ```
///
/// # Panics
///
/// If `encode` removes octets that it found in the buffer.
pub fn put_field_block(
    out: &mut Vec<u8>,
    stream_id: u32,
    end_stream: bool,
    max_frame_size: u32,
    encode: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_LEN]);
    encode(out);
    let max = max_frame_size.clamp(1, MAX_FRAME_SIZE) as usize;
    let length = out.len() - start - HEADER_LEN;
    let end_stream = if end_stream { flags::END_STREAM } else { 0 };
    let first = FrameHeader {
        length: length.min(max) as u32,
        frame_type: FrameType::Headers,
        flags: if length <= max { end_stream | flags::END_HEADERS } else { end_stream },
        stream_id,
    };
    out[start..start + HEADER_LEN].copy_from_slice(&first.encode());
    // 9113-4.3-01, 9113-6.2-03, 9113-8.1-02: nothing comes between.
    if length > max {
        put_continuations(out, start + HEADER_LEN + max, stream_id, max);
    }
}

/// Cuts the octets from `start` on into CONTINUATION frames of at most `max` octets.
#[cold]
fn put_continuations(out: &mut Vec<u8>, start: usize, stream_id: u32, max: usize) {
    let block = out.split_off(start);
    let mut fragments = block.chunks(max).peekable();
    while let Some(fragment) = fragments.next() {
        let flags = if fragments.peek().is_none() { flags::END_HEADERS } else { 0 }; // 9113-6.10-01
        put_header(out, fragment.len(), FrameType::Continuation, flags, stream_id);
        out.extend_from_slice(fragment);
    }
}

#[inline]
fn put_header(out: &mut Vec<u8>, length: usize, frame_type: FrameType, flags: u8, stream_id: u32) {
    assert!(length <= MAX_FRAME_SIZE as usize, "the payload of a frame must fit its 24 bits of length");
    let header = FrameHeader { length: length as u32, frame_type, flags, stream_id };
    out.extend_from_slice(&header.encode());
}
