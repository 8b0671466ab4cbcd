//! What is written is what section 6 shows, and is read back as what was meant.

use shuntyard_requirements::req;

use super::*;

/// Reads all frames of `octets`, and fails if anything is left.
fn read(mut octets: &[u8]) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    while let Some((header, rest)) = octets.split_first_chunk::<HEADER_LEN>() {
        let header = FrameHeader::decode(header);
        let (payload, rest) = rest.split_at(header.length as usize);
        frames.push(parse(header, payload).unwrap());
        octets = rest;
    }
    assert!(octets.is_empty());
    frames
}

fn put(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0xaa];
    write(&mut out);
    assert_eq!(out.remove(0), 0xaa, "writers append");
    out
}

#[test]
fn rfc9113_6_octets_of_each_frame() {
    req!("9113-4.1-03", "9113-4.1-04", "9113-6.5-03", "9113-6.7-01", "9113-6.7-04");
    let out = put(|out| put_settings(out, &[(1, 2), (0xffff, u32::MAX)]));
    assert_eq!(out, [0, 0, 12, 4, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 255, 255, 255, 255, 255, 255]);
    assert_eq!(put(|out| put_settings(out, &[])), [0, 0, 0, 4, 0, 0, 0, 0, 0]);
    assert_eq!(put(put_settings_ack), [0, 0, 0, 4, 1, 0, 0, 0, 0]);
    let octets = [1, 2, 3, 4, 5, 6, 7, 8];
    let out = put(|out| put_ping(out, octets, false));
    assert_eq!(out, [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    let out = put(|out| put_ping(out, octets, true));
    assert_eq!(out, [0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    let out = put(|out| put_goaway(out, u32::MAX, ErrorCode::ENHANCE_YOUR_CALM, b"x"));
    assert_eq!(out, [0, 0, 9, 7, 0, 0, 0, 0, 0, 0x7f, 255, 255, 255, 0, 0, 0, 0xb, b'x']);
    let out = put(|out| put_window_update(out, u32::MAX, u32::MAX));
    assert_eq!(out, [0, 0, 4, 8, 0, 0x7f, 255, 255, 255, 0x7f, 255, 255, 255]);
    let out = put(|out| put_rst_stream(out, 3, ErrorCode::CANCEL));
    assert_eq!(out, [0, 0, 4, 3, 0, 0, 0, 0, 3, 0, 0, 0, 8]);
    assert_eq!(put(|out| put_data(out, 5, b"hi", false)), [0, 0, 2, 0, 0, 0, 0, 0, 5, b'h', b'i']);
    assert_eq!(put(|out| put_data(out, 5, b"", true)), [0, 0, 0, 0, 1, 0, 0, 0, 5]);
}

#[test]
fn rfc9113_6_what_is_written_is_read_back() {
    let mut out = Vec::new();
    put_settings(&mut out, &[(3, 100)]);
    put_settings_ack(&mut out);
    put_ping(&mut out, [7; 8], false);
    put_ping(&mut out, [8; 8], true);
    put_window_update(&mut out, 0, 1);
    put_rst_stream(&mut out, 1, ErrorCode::NO_ERROR);
    put_data(&mut out, 3, b"data", true);
    put_goaway(&mut out, 3, ErrorCode::PROTOCOL_ERROR, b"why");
    let frames = read(&out);
    let Frame::Settings { entries } = &frames[0] else { panic!("SETTINGS came first") };
    assert_eq!(entries.clone().collect::<Vec<_>>(), [(3, 100)]);
    let expected = [
        Frame::SettingsAck,
        Frame::Ping { payload: [7; 8] },
        Frame::PingAck { payload: [8; 8] },
        Frame::WindowUpdate { stream_id: 0, increment: 1 },
        Frame::RstStream { stream_id: 1, error_code: ErrorCode::NO_ERROR },
        Frame::Data { stream_id: 3, data: b"data", offset: 0, padding: 0, end_stream: true },
        Frame::GoAway { last_stream_id: 3, error_code: ErrorCode::PROTOCOL_ERROR, debug_data: b"why" },
    ];
    assert_eq!(frames[1..], expected);
}

/// Every length of a block around every limit of a frame, on both sides of each cut.
#[test]
fn rfc9113_4_3_field_blocks_are_cut_where_the_frame_ends() {
    req!("9113-4.1-01", "9113-4.3-01", "9113-6.2-03", "9113-6.10-01", "9113-8.1-02");
    for max_frame_size in 1..=12 {
        for length in 0..=40u8 {
            for end_stream in [false, true] {
                let block: Vec<u8> = (0..length).collect();
                let out = put(|out| {
                    put_field_block(out, 9, end_stream, max_frame_size, |out| out.extend_from_slice(&block));
                });
                assert_block(&read(&out), &block, end_stream, max_frame_size as usize);
            }
        }
    }
}

fn assert_block(frames: &[Frame<'_>], block: &[u8], ends: bool, max: usize) {
    assert_eq!(frames.len(), block.len().div_ceil(max).max(1), "no frame more than needed");
    let mut fragments = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        let (part, last) = match *frame {
            Frame::Headers { stream_id: 9, fragment, end_stream, end_headers, dependency: None } => {
                assert!(index == 0 && end_stream == ends);
                (fragment, end_headers)
            }
            Frame::Continuation { stream_id: 9, fragment, end_headers } => {
                assert!(index > 0 && !fragment.is_empty());
                (fragment, end_headers)
            }
            ref other => panic!("{other:?} within a field block"),
        };
        assert!(part.len() <= max);
        assert_eq!(last, index + 1 == frames.len(), "END_HEADERS stands on the last frame");
        fragments.extend_from_slice(part);
    }
    assert_eq!(fragments, block);
}

#[test]
fn a_frame_size_that_no_peer_can_announce_does_no_harm() {
    let encode = |out: &mut Vec<u8>| out.extend_from_slice(b"abc");
    assert_eq!(read(&put(|out| put_field_block(out, 1, false, 0, encode))).len(), 3);
    assert_eq!(read(&put(|out| put_field_block(out, 1, false, u32::MAX, encode))).len(), 1);
}

#[test]
#[should_panic = "24 bits"]
fn more_data_than_a_header_can_say_is_not_written() {
    put_data(&mut Vec::new(), 1, &vec![0; MAX_FRAME_SIZE as usize + 1], false);
}
