//! Properties of frames, settings, and messages through both of a connection's codecs (floors 2 and 3), each against a model that is too
//! simple to be wrong. Storage, windows and the ledger, which are private, have theirs beside the code; HPACK's are in `hpack_properties`.

use proptest::collection::vec;
use proptest::prelude::*;
use shuntyard_core::fields::FieldSection;
use shuntyard_core::frame::{
    self, DEFAULT_MAX_FRAME_SIZE, Frame, FrameHeader, FrameType, HEADER_LEN, MAX_FRAME_SIZE, flags,
};
use shuntyard_core::h2::settings::{PeerSettings, SettingsChange};
use shuntyard_core::h2::{Client, ClientEvent, Role, Server, ServerEvent};
use shuntyard_core::hpack::{Decoded, Decoder, Encoder, SectionLimits};
use shuntyard_core::message::{self, RequestRules};
use shuntyard_core::strategies::{self, Line};

/// What RFC 9113 section 6.5.3 says in one line: the last value of each setting holds.
fn last(entries: &[(u16, u32)], identifier: u16) -> Option<u32> {
    entries.iter().rev().find(|(other, _)| *other == identifier).map(|&(_, value)| value)
}

fn encoded(encoder: &mut Encoder, fields: &FieldSection) -> Vec<u8> {
    let mut block = Vec::new();
    encoder.encode(fields, &mut block);
    block
}

/// What stands in DATA or HEADERS without priority, but for padding (RFC 9113 sections 6.1 and 6.2); `None` where there is more padding than room.
fn unpadded(of: u8, payload: &[u8]) -> Option<&[u8]> {
    if of & flags::PADDED == 0 {
        return Some(payload);
    }
    let (&padding, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(padding.into())?)
}

proptest! {
    #[test]
    fn a_legal_frame_is_read_whatever_flags_it_has((header, payload) in strategies::frame()) {
        let read = frame::parse(FrameHeader::decode(&header.encode()), &payload);
        prop_assert!(read.is_ok(), "{header:?} {read:?}");
        // One octet less or more is another frame, or none: never a panic, never octets from elsewhere.
        for length in [payload.len(), payload.len().wrapping_sub(1), payload.len() + 1] {
            let mut other = payload.clone();
            other.resize(length.min(payload.len() + 1), 0);
            let header = FrameHeader { length: other.len() as u32, ..header };
            let ends = header.flags & flags::END_STREAM != 0;
            match frame::parse(header, &other) {
                Ok(Frame::Data { data, end_stream, .. } | Frame::Headers { fragment: data, end_stream, .. }) => {
                    prop_assert_eq!((Some(data), end_stream), (unpadded(header.flags, &other), ends));
                }
                Ok(Frame::Continuation { fragment, .. }) => prop_assert_eq!(fragment, &other[..]),
                Ok(_) => {}
                Err(_) if matches!(header.frame_type, FrameType::Data | FrameType::Headers) => {
                    prop_assert_eq!(unpadded(header.flags, &other), None);
                }
                Err(_) => {}
            }
        }
    }

    /// Whatever the block and the limit, the parts are one block again, and no part is longer than it may be.
    #[test]
    fn a_field_block_is_whole_again_behind_its_frames(
        block in vec(any::<u8>(), 0..5000),
        max in prop_oneof![1..300_u32, Just(DEFAULT_MAX_FRAME_SIZE), Just(MAX_FRAME_SIZE)],
        stream_id in 1..=0x7fff_ffff_u32,
        end: bool,
    ) {
        let mut octets = Vec::new();
        frame::put_field_block(&mut octets, stream_id, end, max, |out| out.extend(&block));
        let (mut rest, mut whole, mut ended) = (&octets[..], Vec::<u8>::new(), false);
        while let Some((header, behind)) = rest.split_first_chunk::<HEADER_LEN>() {
            let header = FrameHeader::decode(header);
            let (payload, behind) = behind.split_at(header.length as usize);
            rest = behind;
            prop_assert!(header.length <= max && header.stream_id == stream_id && !ended);
            match frame::parse(header, payload) {
                Ok(Frame::Headers { fragment, end_stream, end_headers, .. }) => {
                    prop_assert!(whole.is_empty() && end_stream == end);
                    whole.extend(fragment);
                    ended = end_headers;
                }
                Ok(Frame::Continuation { fragment, end_headers, .. }) => {
                    prop_assert!(!fragment.is_empty());
                    whole.extend(fragment);
                    ended = end_headers;
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert!(ended && rest.is_empty());
        prop_assert_eq!(whole, block);
    }

    #[test]
    fn the_last_value_of_each_setting_holds(frames in vec(strategies::settings(), 0..6)) {
        let mut settings = PeerSettings::default();
        let (mut window, mut table) = (i64::from(settings.initial_window_size), settings.header_table_size);
        for entries in &frames {
            let before = settings;
            let change = settings.apply(Role::Server, entries.iter().copied(), 32).expect("legal settings");
            let SettingsChange { window_delta, header_table_size, .. } = change;
            window += window_delta;
            prop_assert_eq!(window, i64::from(settings.initial_window_size));
            let smallest = entries.iter().filter(|(identifier, _)| *identifier == 1).map(|&(_, size)| size).min();
            // Our encoder hears of every size that it must not have missed, the smallest and the last.
            match header_table_size {
                Some(sizes) => {
                    prop_assert_eq!((Some(sizes.smallest), Some(sizes.last)), (smallest, last(entries, 1)));
                    table = sizes.last;
                }
                None => prop_assert!(smallest.is_none_or(|smallest| smallest >= before.header_table_size)),
            }
            prop_assert_eq!(table, settings.header_table_size);
            prop_assert_eq!(settings.max_frame_size, last(entries, 5).unwrap_or(before.max_frame_size));
            let streams = last(entries, 3).or(before.max_concurrent_streams);
            prop_assert_eq!(settings.max_concurrent_streams, streams);
            prop_assert_eq!(settings.initial_window_size, last(entries, 4).unwrap_or(before.initial_window_size));
        }
    }

    /// HPACK changes nothing that the rules of messages look at: a request is as well-formed, or as flawed, behind it.
    #[test]
    fn messages_are_the_same_behind_hpack(
        requests in vec((strategies::request(), strategies::flawed_request()), 1..8),
        sizes in (strategies::header_table_size(), strategies::header_table_size()),
    ) {
        let limits = SectionLimits { size: u32::MAX, fields: u32::MAX };
        let (mut encoder, mut decoder) = (Encoder::new(sizes.0), Decoder::new(4096, 7, 1));
        encoder.set_peer_max_table_size(sizes.1);
        decoder.set_max_table_size(sizes.1);
        let rules = RequestRules::default();
        for (good, (flawed, flaw)) in requests {
            for (lines, expected) in [(good, None), (flawed, Some(flaw))] {
                let sent = strategies::section(&lines, 7);
                let mut received = FieldSection::new();
                let block = encoded(&mut encoder, &sent);
                prop_assert_eq!(decoder.decode(&block, limits, &mut received), Ok(Decoded::Whole));
                prop_assert_eq!(message::request(&received, &rules).err(), expected);
                prop_assert_eq!(message::request(&sent, &rules), message::request(&received, &rules));
            }
        }
    }

    /// A client and a server of any valid configuration, joined by octets that arrive in any pieces: the request comes.
    #[test]
    fn a_request_arrives_in_any_pieces(
        configs in (strategies::connection_config(), strategies::connection_config()),
        lines in vec(strategies::field_line(), 0..4),
        cuts in strategies::cuts(),
    ) {
        let limits = (configs.1.max_header_list_size as usize, configs.1.max_fields as usize);
        let mut client = Client::new(configs.0, 1).expect("a valid configuration");
        let mut server = Server::new(configs.1, 2).expect("a valid configuration");
        let mut request = http::Request::get("http://a.example/").body(()).expect("a request");
        for Line { name, value, .. } in &lines {
            let name = http::HeaderName::from_bytes(name).expect("a well-formed name");
            request.headers_mut().append(name, http::HeaderValue::from_bytes(value).expect("a well-formed value"));
        }
        // The preface leaves first: a tight outbox takes no request before.
        let mut octets = client.poll_transmit().expect("the preface").to_vec();
        client.handle_sent(octets.len());
        client.send_request(&request, true).expect("a slot");
        octets.extend(client.poll_transmit().expect("a request"));
        let mut arrived = None;
        for piece in strategies::pieces(&octets, &cuts) {
            server.handle_recv(piece);
            while let Some(event) = server.poll_event().expect("no error") {
                if let ServerEvent::Request { stream, request, .. } = event {
                    prop_assert!(arrived.replace((stream, request)).is_none());
                }
            }
        }
        // `:method GET`, `:scheme http`, `:authority a.example`, `:path /`, and 32 octets a line.
        let size = 42 + 43 + 51 + 38 + lines.iter().map(|line| line.name.len() + line.value.len() + 32).sum::<usize>();
        let fits = size <= limits.0 && lines.len() + 4 <= limits.1;
        prop_assert_eq!(arrived.is_some(), fits, "{} octets in {} lines", size, lines.len() + 4);
        let Some((stream, got)) = arrived else { return Ok(()) };
        prop_assert_eq!(got.headers(), request.headers());
        let response = http::Response::builder().status(204).body(()).expect("a response");
        server.send_response(stream, &response, true).expect("an open stream");
        client.handle_recv(server.poll_transmit().expect("a response"));
        let mut answered = false;
        while let Some(event) = client.poll_event().expect("no error") {
            answered |= matches!(event, ClientEvent::Response { end: true, .. });
        }
        prop_assert!(answered);
    }
}
