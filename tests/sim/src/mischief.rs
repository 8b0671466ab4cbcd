//! How hostile clients break the protocol, or strain it: the octets of each act.

use crate::peer::Peer;
use crate::refcodec::frame::{self, CANCEL, Frame};
use crate::refcodec::{Field, field};
use crate::scenario::{ClientMischief, Exchange, Session};
use crate::truth;
use crate::world::{MICRO, Nanos};

/// From one act of a hostile client to the next.
pub const BETWEEN_ACTS: Nanos = 10 * MICRO;

/// The requests that a hostile client makes beside its script, each short.
pub fn decoys(session: &Session) -> Vec<Exchange> {
    let acts = session.hostile.map_or(0, |(_, acts, _)| acts);
    (0..acts).map(|act| decoy(session.n, act)).collect()
}

/// Decoys are numbered from here on.
const DECOYS: u64 = 1_000_000_000;

/// Whether a request is a hostile client's beside its script: its content is whatever the act wants.
pub fn is_decoy(rid: u64) -> bool {
    rid >= DECOYS
}

/// The request of one act.
fn decoy(session: usize, act: u32) -> Exchange {
    let mut decoy = Exchange::get(DECOYS + session as u64 * 1_000_000 + u64::from(act), 10);
    if act % 2 == 1 {
        decoy.request.method = crate::scenario::Method::Post;
    }
    decoy
}

/// Whether an act ends with a peer that reads no more.
pub fn stops_reading(what: ClientMischief) -> bool {
    what == ClientMischief::UnreadAnswers
}

/// Whether an act ends with a peer that writes no more.
pub fn stops_writing(what: ClientMischief) -> bool {
    what == ClientMischief::HalfFrame
}

/// Does one act: octets go to the peer's output.
pub fn act(what: ClientMischief, session: usize, act: u32, peer: &mut Peer) {
    let decoy = decoy(session, act);
    let head = truth::request_head(&decoy);
    let repeat = |peer: &mut Peer, frame: Frame| (0..50).for_each(|_| peer.raw(&frame.encode()));
    match what {
        ClientMischief::RapidReset => {
            let stream = peer.open(&head, true);
            peer.reset(stream, CANCEL);
        }
        ClientMischief::ProvokedResets => {
            let stream = peer.open(&head, false);
            peer.raw(&Frame::WindowUpdate { stream, increment: 0 }.encode());
        }
        ClientMischief::Continuations | ClientMischief::InterruptedBlock => {
            unfinished_block(what, act, &head, peer)
        }
        ClientMischief::HeaderBomb => _ = peer.open(&many(head, "x-bomb", &"b".repeat(3000), 2000), true),
        ClientMischief::Crumbs => _ = peer.open(&many(head, "cookie", "crumb=1", 3000), true),
        ClientMischief::Pings | ClientMischief::UnreadAnswers => (0..50).for_each(|_| peer.send_ping()),
        ClientMischief::Settings => (0..50).for_each(|_| peer.send_settings(Vec::new())),
        ClientMischief::EmptyData => {
            let stream = if act == 0 { peer.open(&head, false) } else { peer.newest_stream() };
            repeat(peer, Frame::Data { stream, content: Vec::new(), padding: None, end: false });
        }
        ClientMischief::Priorities => repeat(peer, Frame::Priority { stream: 1, priority: [0, 0, 0, 3, 9] }),
        ClientMischief::WindowOverflow => {
            // A stream first: behind an error of the connection nothing else is looked at.
            let stream = if act.is_multiple_of(2) { peer.open(&head, false) } else { 0 };
            for _ in 0..2 {
                peer.raw(&Frame::WindowUpdate { stream, increment: (1 << 31) - 1 }.encode());
            }
        }
        ClientMischief::WindowFlapping => {
            let value = if act.is_multiple_of(2) { 0 } else { 20_000 };
            peer.send_settings(vec![(frame::INITIAL_WINDOW_SIZE, value)]);
        }
        ClientMischief::TableFlapping => {
            let last = if act.is_multiple_of(2) { 4096 } else { 100 };
            peer.send_settings(vec![(frame::HEADER_TABLE_SIZE, 0), (frame::HEADER_TABLE_SIZE, last)]);
        }
        ClientMischief::UnknownFrames => unknown_frames(peer),
        ClientMischief::NotHttp2 => peer.raw(b"GET / HTTP/1.1\r\nhost: sim.example\r\n\r\n"),
        // A request that waits for 100 (Continue) is open still, and what came on it would be its content.
        ClientMischief::ClosedStream if peer.is_sending(1) => peer.send_ping(),
        ClientMischief::HalfFrame => peer.raw(&[0, 0, 8, 6, 0]),
        ClientMischief::IdleStream
        | ClientMischief::ClosedStream
        | ClientMischief::EvenStream
        | ClientMischief::OldStream
        | ClientMischief::PushPromise
        | ClientMischief::BadPadding
        | ClientMischief::TooLargeFrame
        | ClientMischief::ZeroIncrement
        | ClientMischief::BadSettings
        | ClientMischief::BadHpack => peer.raw(&wrong_frame(what, act, peer.newest_stream())),
        ClientMischief::BadPseudo => _ = peer.open(&bad_pseudo(head, act), true),
        ClientMischief::LengthMismatch => {
            let stream = peer.open(&many(head, "content-length", "10", 1), false);
            peer.send_data(stream, vec![7; 5], None, true);
        }
        ClientMischief::BadOctets => {
            let value = ["a\r\nx-smuggled: 1", "a\0b", " a", "a\n"][act as usize % 4];
            _ = peer.open(&many(head, "x-bad", value, 1), true);
        }
        ClientMischief::ConnectionFields => {
            let names = ["connection", "transfer-encoding", "upgrade", "keep-alive", "te"];
            _ = peer.open(&many(head, names[act as usize % names.len()], "close", 1), true);
        }
        ClientMischief::WindowExceeded => {
            let stream = peer.open(&head, false);
            repeat(peer, Frame::Data { stream, content: vec![0; 16_384], padding: None, end: false });
        }
    }
}

fn many(mut head: Vec<Field>, name: &str, value: &str, count: usize) -> Vec<Field> {
    head.extend(std::iter::repeat_n(field(name, value), count));
    head
}

fn bad_pseudo(mut head: Vec<Field>, act: u32) -> Vec<Field> {
    match act % 5 {
        0 => head.retain(|(name, _)| name != b":path"),
        1 => head.insert(0, field(":method", "GET")),
        2 => head.push(field(":authority", "late.example")),
        3 => head.insert(0, field(":status", "200")),
        _ => head.push(field("X-Upper", "1")),
    }
    head
}

fn unfinished_block(what: ClientMischief, act: u32, head: &[Field], peer: &mut Peer) {
    let block = peer.encode(head);
    let stream = peer.take_stream();
    let half = block.len() / 2;
    let begin = Frame::Headers {
        stream,
        block: block[..half].to_vec(),
        padding: None,
        priority: None,
        end_headers: false,
        end: true,
    };
    peer.raw(&begin.encode());
    if what == ClientMischief::InterruptedBlock {
        return peer.raw(&Frame::Ping { ack: false, opaque: [1; 8] }.encode());
    }
    for piece in 0..100 {
        // Every other time the pieces carry nothing: frames cost work even so.
        let block = if act.is_multiple_of(2) { Vec::new() } else { vec![0x80 | 2] };
        let last = piece == 99;
        peer.raw(&Frame::Continuation { stream, block, end_headers: last }.encode());
    }
}

fn unknown_frames(peer: &mut Peer) {
    let unknown = |length: u8, kind: u8, flags: u8| {
        let mut octets = vec![0, 0, length, kind, flags, 0, 0, 0, 0];
        octets.extend(vec![0xa5; usize::from(length)]);
        octets
    };
    peer.raw(&unknown(0, 0x2a, 0xff));
    peer.raw(&unknown(200, 0xbb, 0));
    peer.send_settings(vec![(0xf00d, 7), (0, 0)]);
}

fn wrong_frame(what: ClientMischief, act: u32, newest: u32) -> Vec<u8> {
    let data = |stream| Frame::Data { stream, content: vec![1; 10], padding: None, end: false }.encode();
    let headers = |stream, block| {
        Frame::Headers { stream, block, padding: None, priority: None, end_headers: true, end: true }.encode()
    };
    match what {
        ClientMischief::IdleStream => data(newest + 100),
        ClientMischief::ClosedStream => data(1),
        ClientMischief::EvenStream => headers(newest + 101, vec![0x82, 0x84, 0x86]),
        ClientMischief::OldStream => headers(newest.saturating_sub(2).max(1), vec![0x82, 0x84, 0x86]),
        ClientMischief::PushPromise => vec![0, 0, 5, 5, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0x82],
        ClientMischief::BadPadding => vec![0, 0, 3, 0, 8, 0, 0, 0, 1, 200, 0, 0],
        ClientMischief::TooLargeFrame => [vec![0, 0x80, 0, 0, 0, 0, 0, 0, 1], vec![0; 0x8000]].concat(),
        ClientMischief::ZeroIncrement => Frame::WindowUpdate { stream: 0, increment: 0 }.encode(),
        ClientMischief::BadHpack => headers(newest + 2, vec![0xff; 12]),
        _ => match act % 4 {
            0 => Frame::Settings { ack: false, settings: vec![(frame::MAX_FRAME_SIZE, 1)] }.encode(),
            1 => {
                Frame::Settings { ack: false, settings: vec![(frame::INITIAL_WINDOW_SIZE, 1 << 31)] }.encode()
            }
            2 => Frame::Settings { ack: false, settings: vec![(frame::ENABLE_PUSH, 2)] }.encode(),
            _ => vec![0, 0, 5, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5],
        },
    }
}
