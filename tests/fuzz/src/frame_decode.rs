//! Any octets, as frames: our reading of them is that of the simulator's codec, frame by frame and error by error, and
//! what we write reads back as what was written.
//!
//! How octets are cut is none of a frame's business; `connection` tries that.

use shuntyard_core::error::ErrorCode;
use shuntyard_core::frame::{self, Frame, FrameError, FrameHeader, FrameType, HEADER_LEN, flags};
use shuntyard_sim::refcodec::frame::Frame as Reference;

/// The whole check: an octet that chooses SETTINGS_MAX_FRAME_SIZE, then frames.
pub fn run(data: &[u8]) {
    let Some((&size, mut rest)) = data.split_first() else { return };
    let max = [16_384, 16_385, 1 << 20, frame::MAX_FRAME_SIZE][usize::from(size % 4)];
    while let Some((header, behind)) = rest.split_first_chunk::<HEADER_LEN>() {
        let header = FrameHeader::decode(header);
        assert_eq!(FrameHeader::decode(&header.encode()), header);
        let reference = Reference::decode(rest, max as usize);
        if let Err(error) = header.check_length(max) {
            assert!(reference.is_err(), "a frame too long for us alone: {header:?}");
            assert_eq!(error.code(), ErrorCode::FRAME_SIZE_ERROR, "{header:?}");
            return;
        }
        let Some((payload, behind)) = behind.split_at_checked(header.length as usize) else {
            assert!(matches!(reference, Ok(None)), "incomplete for us alone: {reference:?}");
            return;
        };
        rest = behind;
        match (frame::parse(header, payload), reference) {
            (Ok(ours), Ok(Some((reference, taken)))) => {
                assert_eq!(taken, HEADER_LEN + payload.len());
                same(&ours, &reference, payload);
                reads_back(&ours);
            }
            (Err(error), Err(_)) => has_the_right_code(header, payload, error),
            // An error of a stream only: the reference reads on (6.3).
            (Err(error), Ok(Some((Reference::Unknown { kind: 2, .. }, _)))) => {
                assert_ne!(payload.len(), 5);
                has_the_right_code(header, payload, error);
            }
            // The reference knows nothing of RFC 9218.
            (Err(error), Ok(Some((Reference::Unknown { kind: 0x10, stream, payload, .. }, _)))) => {
                has_the_right_code(header, &payload, error);
                let names_none = payload.first_chunk().is_none_or(|id| u32::from_be_bytes(*id) << 1 == 0);
                assert!(stream != 0 || names_none, "{header:?}");
            }
            (ours, reference) => panic!("we say {ours:?}, the reference {reference:?}"),
        }
    }
    assert!(matches!(Reference::decode(rest, max as usize), Ok(None)), "less than a header");
}

/// What RFC 9113 section 6 and RFC 9218 section 7.1 say of a frame that is wrong: whose error it is, and which.
fn has_the_right_code(header: FrameHeader, payload: &[u8], error: FrameError) {
    let (of, code) = match error {
        FrameError::Connection(error) => (0, error.code()),
        FrameError::Stream(stream, error) => (stream, error.code()),
    };
    let wants_stream = match header.encode()[3] {
        0..=3 | 5 | 9 => Some(true),
        4 | 6 | 7 | 0x10 => Some(false),
        _ => None,
    };
    let is_padded = header.flags & flags::PADDED != 0
        && matches!(header.frame_type, FrameType::Data | FrameType::Headers);
    let pads = payload.first().map_or(0, |&octets| usize::from(octets) + 1);
    let expected = match header.frame_type {
        _ if wants_stream.is_some_and(|wants| wants != (header.stream_id > 0)) => {
            (0, ErrorCode::PROTOCOL_ERROR)
        }
        // 6.1: padding as long as the payload, or longer. No pad length at all is too small a frame (4.2).
        _ if is_padded && !payload.is_empty() && pads > payload.len() => (0, ErrorCode::PROTOCOL_ERROR),
        FrameType::Priority => (header.stream_id, ErrorCode::FRAME_SIZE_ERROR),
        FrameType::PriorityUpdate if payload.len() >= 4 => (0, ErrorCode::PROTOCOL_ERROR),
        _ => (0, ErrorCode::FRAME_SIZE_ERROR),
    };
    assert_eq!((of, code), expected, "{header:?}, {error:?}");
}

/// Whether both codecs read the same.
fn same(ours: &Frame<'_>, reference: &Reference, payload: &[u8]) {
    let padding_of = |padding: &Option<u8>| padding.map_or(0, |octets| u32::from(octets) + 1);
    let dependency_of = |[a, b, c, d, _]: &[u8; 5]| u32::from_be_bytes([*a, *b, *c, *d]) & 0x7fff_ffff;
    let agree = match (ours, reference) {
        (
            Frame::Data { stream_id, data, offset, padding, end_stream },
            Reference::Data { stream, content, padding: theirs, end },
        ) => {
            assert_eq!(&payload[*offset..*offset + data.len()], *data, "where the content stands");
            let counted = data.len() as u64 + u64::from(*padding);
            assert_eq!(counted, reference.flow_controlled_length());
            (stream_id, *data, *padding, end_stream) == (stream, content, padding_of(theirs), end)
        }
        (
            Frame::Headers { stream_id, fragment, end_stream, end_headers, dependency },
            Reference::Headers { stream, block, priority, end_headers: whole, end, .. },
        ) => {
            (stream_id, *fragment, end_stream, end_headers) == (stream, block, end, whole)
                && *dependency == priority.as_ref().map(dependency_of)
        }
        (Frame::Priority { stream_id, dependency }, Reference::Priority { stream, priority }) => {
            stream_id == stream && *dependency == dependency_of(priority)
        }
        (Frame::RstStream { stream_id, error_code }, Reference::RstStream { stream, code }) => {
            stream_id == stream && error_code.0 == *code
        }
        (Frame::Settings { entries }, Reference::Settings { ack: false, settings }) => {
            entries.clone().eq(settings.iter().copied()) && entries.len() == settings.len()
        }
        (Frame::SettingsAck, Reference::Settings { ack: true, .. }) => true,
        (Frame::PushPromise { stream_id }, Reference::PushPromise { stream }) => stream_id == stream,
        (Frame::Ping { payload }, Reference::Ping { ack: false, opaque })
        | (Frame::PingAck { payload }, Reference::Ping { ack: true, opaque }) => payload == opaque,
        (
            Frame::GoAway { last_stream_id, error_code, debug_data },
            Reference::GoAway { last_stream, code, debug },
        ) => last_stream_id == last_stream && error_code.0 == *code && debug_data == debug,
        (
            Frame::WindowUpdate { stream_id, increment },
            Reference::WindowUpdate { stream, increment: theirs },
        ) => stream_id == stream && increment == theirs,
        (
            Frame::Continuation { stream_id, fragment, end_headers },
            Reference::Continuation { stream, block, end_headers: whole },
        ) => (stream_id, *fragment, end_headers) == (stream, block, whole),
        (
            Frame::PriorityUpdate { stream_id, value },
            Reference::Unknown { kind: 0x10, stream: 0, payload, .. },
        ) => payload
            .split_first_chunk()
            .is_some_and(|(id, rest)| *stream_id == u32::from_be_bytes(*id) & 0x7fff_ffff && *value == rest),
        (Frame::Unknown { frame_type, stream_id }, Reference::Unknown { kind, stream, .. }) => {
            (frame_type, stream_id) == (kind, stream)
        }
        _ => false,
    };
    assert!(agree, "we read {ours:?}, the reference {reference:?}");
}

/// What we write of a frame reads back as that frame: all but padding, priority and frames that we never send.
fn reads_back(read: &Frame<'_>) {
    let mut out = b"before".to_vec();
    let start = out.len();
    match read {
        Frame::Data { stream_id, data, end_stream, .. } => {
            frame::put_data(&mut out, *stream_id, data, *end_stream);
        }
        Frame::Headers { stream_id, fragment, end_stream, .. } => {
            return blocks_read_back(*stream_id, fragment, *end_stream);
        }
        Frame::RstStream { stream_id, error_code } => {
            frame::put_rst_stream(&mut out, *stream_id, *error_code);
        }
        Frame::Settings { entries } => frame::put_settings(&mut out, &entries.clone().collect::<Vec<_>>()),
        Frame::SettingsAck => frame::put_settings_ack(&mut out),
        Frame::Ping { payload } => frame::put_ping(&mut out, *payload, false),
        Frame::PingAck { payload } => frame::put_ping(&mut out, *payload, true),
        Frame::GoAway { last_stream_id, error_code, debug_data } => {
            frame::put_goaway(&mut out, *last_stream_id, ErrorCode(error_code.0), debug_data);
        }
        Frame::WindowUpdate { stream_id, increment } => {
            frame::put_window_update(&mut out, *stream_id, *increment);
        }
        Frame::Priority { .. }
        | Frame::PushPromise { .. }
        | Frame::Continuation { .. }
        | Frame::PriorityUpdate { .. }
        | Frame::Unknown { .. } => return,
    }
    assert_eq!(&out[..start], b"before", "what stood there is left alone");
    let (header, payload) = out[start..].split_first_chunk::<HEADER_LEN>().expect("a header was written");
    let again = frame::parse(FrameHeader::decode(header), payload).expect("what we write is sound");
    match (read, &again) {
        (
            Frame::Data { stream_id, data, end_stream, .. },
            Frame::Data { stream_id: id, data: content, offset: 0, padding: 0, end_stream: end },
        ) => assert_eq!((stream_id, data, end_stream), (id, content, end)),
        _ => assert_eq!(read, &again),
    }
}

/// A field block through HEADERS and CONTINUATION of small frames.
fn blocks_read_back(stream_id: u32, block: &[u8], end_stream: bool) {
    let max = 1 + block.len() as u32 / 3;
    let mut out = Vec::new();
    frame::put_field_block(&mut out, stream_id, end_stream, max, |out| out.extend_from_slice(block));
    let (mut rest, mut whole, mut ended, mut count) = (out.as_slice(), Vec::new(), false, 0);
    while let Some((header, behind)) = rest.split_first_chunk::<HEADER_LEN>() {
        assert!(!ended, "nothing follows END_HEADERS");
        let header = FrameHeader::decode(header);
        assert!(header.length <= max, "no frame is larger than asked for");
        let (payload, behind) = behind.split_at(header.length as usize);
        rest = behind;
        match frame::parse(header, payload).expect("what we write is sound") {
            Frame::Headers { stream_id: id, fragment, end_stream: end, end_headers, dependency: None } => {
                assert_eq!((id, end, count), (stream_id, end_stream, 0));
                whole.extend_from_slice(fragment);
                ended = end_headers;
            }
            Frame::Continuation { stream_id: id, fragment, end_headers } => {
                assert!(id == stream_id && count > 0);
                whole.extend_from_slice(fragment);
                ended = end_headers;
            }
            other => panic!("{other:?} in a field block"),
        }
        count += 1;
    }
    assert!(rest.is_empty() && ended && whole == block, "the block reads back");
}
