//! How backends break the protocol: the octets.

use crate::peer::Peer;
use crate::refcodec::field;
use crate::refcodec::frame::{self, Frame};
use crate::scenario::{BackendMischief, Exchange, ResponseMischief};
use crate::truth::{self, Direction};

fn headers(stream: u32, block: Vec<u8>, end_headers: bool) -> Vec<u8> {
    Frame::Headers { stream, block, padding: None, priority: None, end_headers, end: false }.encode()
}

/// Breaks the protocol of the connection; `stream` is the newest.
pub(super) fn on_connection(what: BackendMischief, peer: &mut Peer, stream: u32) {
    let data = |length| Frame::Data { stream, content: vec![9; length], padding: None, end: false }.encode();
    match what {
        BackendMischief::NotHttp2 => peer.raw(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n"),
        BackendMischief::BadHpack => peer.raw(&headers(stream, vec![0xff; 12], true)),
        BackendMischief::PushPromise => {
            let promise = [0, 0, 5, 5, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0x82];
            peer.raw(&promise);
        }
        // So far ahead that it is idle for the gateway, too, whatever is on its way.
        BackendMischief::WrongStream => peer.raw(&headers(stream + 1_000_000, vec![0x88], true)),
        BackendMischief::TooLargeFrame => peer.raw(&data(0x8000)),
        BackendMischief::WindowOverflow => {
            for _ in 0..2 {
                peer.raw(&Frame::WindowUpdate { stream: 0, increment: (1 << 31) - 1 }.encode());
            }
        }
        BackendMischief::WindowExceeded => (0..200).for_each(|_| peer.raw(&data(16_384))),
        BackendMischief::BadSettings => {
            peer.raw(&Frame::Settings { ack: false, settings: vec![(frame::MAX_FRAME_SIZE, 5)] }.encode());
        }
        BackendMischief::InterruptedBlock => {
            peer.raw(&headers(stream, vec![0x88], false));
            peer.raw(&Frame::Ping { ack: false, opaque: [3; 8] }.encode());
        }
        BackendMischief::SettingsFlood => (0..5000).for_each(|_| peer.send_settings(Vec::new())),
        BackendMischief::PingFlood => (0..5000).for_each(|_| peer.send_ping()),
        BackendMischief::UnknownFrames => {
            peer.raw(&[0, 0, 2, 0x77, 0xff, 0, 0, 0, 0, 1, 2]);
            peer.send_settings(vec![(0xbeef, 1)]);
        }
    }
}

/// Breaks the protocol on one stream, in place of the response. The stream is left as it is then.
pub(super) fn on_stream(what: ResponseMischief, peer: &mut Peer, stream: u32, exchange: &Exchange) {
    let head = truth::response_head(exchange);
    let with = |name: &str, value: &str| [head.clone(), vec![field(name, value)]].concat();
    let content = |length| truth::content(exchange.rid, Direction::Response, 0, length);
    let without_length: Vec<_> = head.iter().filter(|(name, _)| name != b"content-length").cloned().collect();
    let declared = |length: &str| [without_length.clone(), vec![field("content-length", length)]].concat();
    let data = |peer: &mut Peer, length: usize, end| {
        peer.raw(&Frame::Data { stream, content: content(length), padding: None, end }.encode());
    };
    match what {
        ResponseMischief::NoStatus => peer.send_fields(stream, &head[1..], true),
        ResponseMischief::InterimStorm => {
            (0..100).for_each(|_| peer.send_fields(stream, &truth::interim_head(exchange), false));
        }
        ResponseMischief::DataFirst => data(peer, 5, true),
        ResponseMischief::DataAfterEnd => {
            let ended = [without_length, vec![field("content-length", "0")]].concat();
            peer.send_fields(stream, &ended, true);
            data(peer, 5, false);
        }
        ResponseMischief::TooShort => {
            peer.send_fields(stream, &declared("10"), false);
            data(peer, 5, true);
        }
        ResponseMischief::TooLong => {
            peer.send_fields(stream, &declared("3"), false);
            data(peer, 5, true);
        }
        ResponseMischief::TrailersWithoutEnd => {
            peer.send_fields(stream, &without_length, false);
            data(peer, 5, false);
            peer.send_fields(stream, &truth::trailers(exchange, Direction::Response), false);
        }
        ResponseMischief::BadField => peer.send_fields(stream, &with("x-bad", "a\r\nb: c"), true),
        ResponseMischief::TooManyFields => {
            let many = std::iter::repeat_n(field("x-many", "1"), 2000);
            let fields: Vec<_> = head.into_iter().chain(many).collect();
            peer.send_fields(stream, &fields, true);
        }
        ResponseMischief::Stops => {
            peer.send_fields(stream, &declared("10"), false);
            data(peer, 5, false);
        }
        ResponseMischief::Uppercase => peer.send_fields(stream, &with("X-Upper", "1"), true),
        ResponseMischief::ConnectionField => peer.send_fields(stream, &with("connection", "close"), true),
        ResponseMischief::InterimWithEnd => {
            peer.send_fields(stream, &truth::interim_head(exchange), true);
        }
    }
}
