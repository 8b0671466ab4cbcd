//! RFC 9113 sections 4 and 6, tried exhaustively against a reference that was written down from the text.

use shuntyard_requirements::req;

use proptest::prelude::*;

use super::*;
use crate::error::{ErrorCode, StreamError};

mod writing;

/// What section 6 wants to happen.
#[derive(Debug, PartialEq)]
enum Verdict {
    Accept,
    Ignore,
    Stream(ErrorCode),
    Connection(ErrorCode),
}

/// Section 6 as plainly as can be, one arm a subsection. Shares nothing with the code it judges.
fn reference(frame_type: u8, flags: u8, stream_id: u32, payload: &[u8]) -> Verdict {
    let wrong = Verdict::Connection(ErrorCode(0x1));
    let wrong_size = Verdict::Connection(ErrorCode(0x6));
    let length = payload.len();
    let acknowledges = flags & 0b0000_0001 != 0;
    let padded = flags & 0b0000_1000 != 0;
    let prioritised = flags & 0b0010_0000 != 0;
    match frame_type {
        // 6.1: with a stream; "the padding is the length of the frame payload or greater" is a PROTOCOL_ERROR.
        0 if stream_id == 0 => wrong,
        0 if padded && length == 0 => wrong_size,
        0 if padded && usize::from(payload[0]) >= length => wrong,
        0 => Verdict::Accept,
        // 6.2: the same, and five octets of priority information that must find room (4.2).
        1 if stream_id == 0 => wrong,
        1 if padded && length == 0 => wrong_size,
        1 if padded && usize::from(payload[0]) >= length => wrong,
        1 if prioritised && padded && length - 1 - usize::from(payload[0]) < 5 => wrong_size,
        1 if prioritised && !padded && length < 5 => wrong_size,
        1 => Verdict::Accept,
        // 6.3: five octets, or a stream error.
        2 if stream_id == 0 => wrong,
        2 if length != 5 => Verdict::Stream(ErrorCode(0x6)),
        2 => Verdict::Accept,
        // 6.4
        3 if stream_id == 0 => wrong,
        3 if length != 4 => wrong_size,
        3 => Verdict::Accept,
        // 6.5
        4 if stream_id != 0 => wrong,
        4 if acknowledges && length != 0 => wrong_size,
        4 if !length.is_multiple_of(6) => wrong_size,
        4 => Verdict::Accept,
        // 6.6: whatever else it says, its arrival is the error (8.4), for the connection to tell.
        5 if stream_id == 0 => wrong,
        5 => Verdict::Accept,
        // 6.7
        6 if stream_id != 0 => wrong,
        6 if length != 8 => wrong_size,
        6 => Verdict::Accept,
        // 6.8
        7 if stream_id != 0 => wrong,
        7 if length < 8 => wrong_size,
        7 => Verdict::Accept,
        // 6.9: with or without a stream; an increment of 0 is judged where the stream is known.
        8 if length != 4 => wrong_size,
        8 => Verdict::Accept,
        // 6.10
        9 if stream_id == 0 => wrong,
        9 => Verdict::Accept,
        // RFC 9218 7.1; which stream it is about is judged elsewhere, and no payload here names stream 0.
        0x10 if stream_id != 0 => wrong,
        0x10 if length < 4 => wrong_size,
        0x10 => Verdict::Accept,
        // 4.1
        10.. => Verdict::Ignore,
    }
}

fn verdict(result: &Result<Frame<'_>, FrameError>, stream_id: u32) -> Verdict {
    match result {
        Ok(Frame::Unknown { .. }) => Verdict::Ignore,
        Ok(_) => Verdict::Accept,
        Err(FrameError::Connection(cause)) => Verdict::Connection(cause.code()),
        Err(FrameError::Stream(stream, cause)) => {
            assert_eq!(*stream, stream_id);
            Verdict::Stream(cause.code())
        }
    }
}

/// Every octet of an accepted frame is where section 6 says.
fn assert_faithful(frame: &Frame<'_>, flags: u8, payload: &[u8]) {
    let bit = |bit: u8| flags >> bit & 1 == 1;
    let front = usize::from(bit(3));
    let back = payload.first().filter(|_| bit(3)).map_or(0, |&pad_length| pad_length.into());
    match *frame {
        Frame::Data { data, offset, padding, end_stream, .. } => {
            assert_eq!((offset, padding as usize, end_stream), (front, front + back, bit(0)));
            assert_eq!(data, &payload[front..payload.len() - back]);
        }
        Frame::Headers { fragment, end_stream, end_headers, dependency, .. } => {
            let skipped = front + if bit(5) { 5 } else { 0 };
            assert_eq!(fragment, &payload[skipped..payload.len() - back]);
            assert_eq!((end_stream, end_headers, dependency.is_some()), (bit(0), bit(2), bit(5)));
        }
        Frame::Continuation { fragment, end_headers, .. } => {
            assert_eq!((fragment, end_headers), (payload, bit(2)));
        }
        Frame::SettingsAck | Frame::PingAck { .. } => assert!(bit(0)),
        Frame::Settings { ref entries } => assert!(!bit(0) && entries.len() * 6 == payload.len()),
        Frame::Ping { payload: octets } => assert!(!bit(0) && octets == payload),
        Frame::GoAway { debug_data, .. } => assert_eq!(debug_data, &payload[8..]),
        Frame::Priority { .. }
        | Frame::RstStream { .. }
        | Frame::PushPromise { .. }
        | Frame::WindowUpdate { .. }
        | Frame::Unknown { .. } => {}
        Frame::PriorityUpdate { value, .. } => assert_eq!(value, &payload[4..]),
    }
}

/// Every type, every combination of flags, lengths around every limit of section 6, pad lengths around the payload's
/// length, and each kind of stream identifier, the reserved bit included.
#[test]
fn rfc9113_6_every_header_gets_the_verdict_of_the_text() {
    req!(
        "9113-4.1-02",
        "9113-4.1-03",
        "9113-4.1-04",
        "9113-4.2-02",
        "9113-4.2-03",
        "9113-6.1-05",
        "9113-6.1-07",
        "9113-6.2-06",
        "9113-6.2-07",
        "9113-6.3-01",
        "9113-6.3-02",
        "9113-6.4-04",
        "9113-6.4-07",
        "9113-6.5-04",
        "9113-6.5-06",
        "9113-6.5-08",
        "9113-6.6-07",
        "9113-6.7-06",
        "9113-6.7-07",
        "9113-6.8-04",
        "9113-6.9-06",
        "9113-6.10-04"
    );
    const LENGTHS: [usize; 17] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 18, 300, 16_384];
    const STREAM_IDS: [u32; 5] = [0, 1, 2, 0x7fff_ffff, 0x8000_0000];
    let mut payload: Vec<u8> = (0..16_384u32).map(|i| (i % 251) as u8).collect();
    for length in LENGTHS {
        let payload = &mut payload[..length];
        let pad_lengths = [0, 1, length.wrapping_sub(6), length.wrapping_sub(1), length, 255];
        for pad_length in pad_lengths.into_iter().filter_map(|pad_length| u8::try_from(pad_length).ok()) {
            if let Some(first) = payload.first_mut() {
                *first = pad_length;
            }
            for (frame_type, flags) in (0..=u16::MAX).map(|bits| bits.to_be_bytes().into()) {
                for stream_id in STREAM_IDS {
                    try_one(frame_type, flags, stream_id, payload);
                }
            }
        }
    }
}

fn try_one(frame_type: u8, flags: u8, wire_stream_id: u32, payload: &[u8]) {
    let [_, l0, l1, l2] = (payload.len() as u32).to_be_bytes();
    let [s0, s1, s2, s3] = wire_stream_id.to_be_bytes();
    let header = FrameHeader::decode(&[l0, l1, l2, frame_type, flags, s0, s1, s2, s3]);
    let stream_id = wire_stream_id & 0x7fff_ffff;
    assert_eq!((header.length as usize, header.flags, header.stream_id), (payload.len(), flags, stream_id));
    let result = parse(header, payload);
    let expected = reference(frame_type, flags, stream_id, payload);
    assert_eq!(verdict(&result, stream_id), expected, "{header:?} {:?}", payload.first());
    if let Ok(frame) = result {
        assert_faithful(&frame, flags, payload);
    }
}

#[test]
fn rfc9113_4_2_frames_above_the_limit() {
    req!("9113-4.2-01", "9113-4.2-02");
    let header = |length| FrameHeader { length, frame_type: FrameType::Data, flags: 0, stream_id: 1 };
    assert_eq!(header(16_384).check_length(DEFAULT_MAX_FRAME_SIZE), Ok(()));
    let too_large = Err(ConnectionError::FrameTooLarge);
    assert_eq!(header(16_385).check_length(DEFAULT_MAX_FRAME_SIZE), too_large);
    assert_eq!(header(MAX_FRAME_SIZE).check_length(MAX_FRAME_SIZE), Ok(()));
}

#[test]
fn rfc9113_6_causes() {
    let cause = |frame_type, flags, stream_id, payload: &[u8]| {
        let length = payload.len() as u32;
        parse(FrameHeader { length, frame_type, flags, stream_id }, payload).unwrap_err()
    };
    let padding = ConnectionError::PaddingTooLong.into();
    assert_eq!(cause(FrameType::Data, flags::PADDED, 1, &[1]), padding);
    assert_eq!(cause(FrameType::Headers, flags::PADDED, 1, &[2, 0]), padding);
    assert_eq!(cause(FrameType::Headers, flags::PRIORITY, 1, &[0; 4]), ConnectionError::FrameTooShort.into());
    assert_eq!(cause(FrameType::Data, 0, 0, &[]), ConnectionError::StreamIdZero.into());
    assert_eq!(cause(FrameType::Ping, 0, 1, &[0; 8]), ConnectionError::StreamIdNonZero.into());
    assert_eq!(cause(FrameType::RstStream, 0, 1, &[0; 5]), ConnectionError::RstStreamSize.into());
    assert_eq!(cause(FrameType::Settings, 0, 0, &[0; 5]), ConnectionError::SettingsSize.into());
    let not_empty = ConnectionError::SettingsAckNotEmpty.into();
    assert_eq!(cause(FrameType::Settings, flags::ACK, 0, &[0; 6]), not_empty);
    assert_eq!(cause(FrameType::Ping, 0, 0, &[0; 7]), ConnectionError::PingSize.into());
    assert_eq!(cause(FrameType::GoAway, 0, 0, &[0; 7]), ConnectionError::FrameTooShort.into());
    assert_eq!(cause(FrameType::WindowUpdate, 0, 0, &[0; 3]), ConnectionError::WindowUpdateSize.into());
    let priority = FrameError::Stream(9, StreamError::PrioritySize);
    assert_eq!(cause(FrameType::Priority, 0, 9, &[0; 4]), priority);
    assert_eq!(priority.to_string(), "stream 9: a PRIORITY frame is not 5 octets long (6.3)");
}

#[test]
fn rfc9113_6_numbers_lose_their_reserved_bit() {
    let read = |frame_type, flags, stream_id, payload: &'static [u8]| {
        let length = payload.len() as u32;
        parse(FrameHeader { length, frame_type, flags, stream_id }, payload).unwrap()
    };
    let frame = read(FrameType::Priority, 0, 3, &[0x80, 0, 0, 5, 9]);
    assert_eq!(frame, Frame::Priority { stream_id: 3, dependency: 5 });
    let frame = read(FrameType::WindowUpdate, 0, 0, &[0x80, 0, 0, 0]);
    assert_eq!(frame, Frame::WindowUpdate { stream_id: 0, increment: 0 });
    let frame = read(FrameType::GoAway, 0, 0, &[0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 2, b'x']);
    let error_code = ErrorCode(0x8000_0002);
    assert_eq!(frame, Frame::GoAway { last_stream_id: 0x7fff_ffff, error_code, debug_data: b"x" });
    let Frame::Headers { dependency, fragment, .. } =
        read(FrameType::Headers, flags::PRIORITY | flags::PADDED, 1, &[2, 0x80, 0, 0, 1, 255, 7, 8, 9])
    else {
        panic!("HEADERS are HEADERS");
    };
    assert_eq!((dependency, fragment), (Some(1), &[7][..]));
}

#[test]
fn rfc9113_6_5_1_settings_in_order() {
    let payload = [0, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0, 0, 3];
    let header = FrameHeader { length: 18, frame_type: FrameType::Settings, flags: 0, stream_id: 0 };
    let Ok(Frame::Settings { entries }) = parse(header, &payload) else { panic!("SETTINGS are SETTINGS") };
    assert_eq!(entries.len(), 3);
    assert_eq!(entries.collect::<Vec<_>>(), [(1, 2), (0xffff, u32::MAX), (1, 3)]);
}

#[test]
fn types_are_octets() {
    for octet in 0..=u8::MAX {
        assert_eq!(FrameType::from_octet(octet).to_octet(), octet);
    }
    assert_eq!(FrameType::from_octet(0xa), FrameType::Unknown(0xa));
}

proptest! {
    #[test]
    fn rfc9113_4_1_headers_survive_the_wire(length in 0..=MAX_FRAME_SIZE, octet: u8, flags: u8, stream_id in 0..1u32 << 31) {
        let header = FrameHeader { length, frame_type: FrameType::from_octet(octet), flags, stream_id };
        prop_assert_eq!(FrameHeader::decode(&header.encode()), header);
    }

    #[test]
    fn rfc9113_4_1_only_the_reserved_bit_is_lost(mut octets: [u8; HEADER_LEN]) {
        let header = FrameHeader::decode(&octets);
        octets[5] &= 0x7f;
        prop_assert_eq!(header.encode(), octets);
    }

    #[test]
    fn any_octets_end_in_a_frame_or_an_error(
        length: u32, octet in 0u8..12, flags: u8, stream_id: u32, payload in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let frame_type = FrameType::from_octet(octet);
        let lie = FrameHeader { length, frame_type, flags, stream_id };
        if length as usize != payload.len() {
            prop_assert_eq!(parse(lie, &payload), Err(ConnectionError::Internal.into()));
        }
        let truth = FrameHeader { length: payload.len() as u32, ..lie };
        prop_assert_eq!(verdict(&parse(truth, &payload), stream_id), reference(octet, flags, stream_id, &payload));
    }
}
