//! Frames of any values into one HTTP/2 connection of either role, and its output under the eyes of a reference.
//!
//! All that `connection` promises holds. Beyond it, told by the simulator's codec: SETTINGS and PING are acknowledged
//! once and in order; each stream is `1xx* HEADERS DATA* [trailers]` or a prefix of it, reset at most once and silent
//! behind its end; messages are well-formed; and nobody sends more content than the peer ever allowed.

use std::collections::BTreeMap;

use shuntyard_core::h2::Role;
use shuntyard_sim::refcodec::frame::{Frame, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, Reader};
use shuntyard_sim::refcodec::hpack::Decoder;
use shuntyard_sim::refcodec::message::{Section, malformed};
use shuntyard_sim::refcodec::value_of;

use crate::connection::{Case, check, output};
use crate::octets::Octets;
use crate::speech::Speech;

/// Octets of a peer's speech at most: the fuzzer should go for other frames, not for more of them.
const SPEECH_MAX: usize = 200_000;

/// The whole check: an octet of flags, cuts, then frames.
pub fn run(data: &[u8]) {
    let mut octets = Octets(data);
    let flags = octets.octet();
    let cuts = octets.run(8).iter().map(|&cut| usize::from(cut)).collect();
    let (mut speech, mut said) = (Speech::default(), Vec::new());
    while !octets.is_empty() && said.len() < SPEECH_MAX {
        said.extend(speech.say(&mut octets));
    }
    let role = if flags & 1 == 0 { Role::Server } else { Role::Client };
    let case = Case { role, open: true, manners: flags >> 2, cuts, octets: &said };
    check(&case);
    let allowed = Allowed::by(&said);
    judge(role, &output(&case), &allowed);
}

/// What the peer allowed at any time, and what it wants acknowledged.
#[derive(Debug)]
struct Allowed {
    /// Beside the empty one that opens every case.
    settings: usize,
    pings: Vec<[u8; 8]>,
    max_frame: usize,
    initial_window: u64,
    /// Increments by stream, 0 for the connection.
    increments: BTreeMap<u32, u64>,
}

impl Allowed {
    fn by(said: &[u8]) -> Self {
        let mut allowed = Self {
            settings: 1,
            pings: Vec::new(),
            max_frame: 16_384,
            initial_window: 65_535,
            increments: BTreeMap::new(),
        };
        let mut reader = Reader::new(false);
        reader.push(said);
        // What the reference cannot read, nobody may act upon.
        while let Ok(Some(frame)) = reader.next_frame() {
            match frame {
                Frame::Settings { ack: false, settings } => {
                    allowed.settings += 1;
                    for (id, value) in settings {
                        match id {
                            MAX_FRAME_SIZE => allowed.max_frame = allowed.max_frame.max(value as usize),
                            INITIAL_WINDOW_SIZE => {
                                allowed.initial_window = allowed.initial_window.max(value.into());
                            }
                            _ => {}
                        }
                    }
                }
                Frame::Ping { ack: false, opaque } => allowed.pings.push(opaque),
                Frame::WindowUpdate { stream, increment } => {
                    *allowed.increments.entry(stream).or_default() += u64::from(increment);
                }
                _ => {}
            }
        }
        allowed
    }

    fn window(&self, stream: u32) -> u64 {
        let initial = if stream == 0 { 65_535 } else { self.initial_window };
        initial + self.increments.get(&stream).copied().unwrap_or_default()
    }
}

/// What we sent on a stream.
#[derive(Debug, Default)]
struct Sent {
    head: bool,
    ended: bool,
    reset: bool,
    content: u64,
}

fn judge(role: Role, output: &[u8], allowed: &Allowed) {
    let mut reader = Reader::new(role == Role::Client);
    reader.max_frame_size = allowed.max_frame;
    reader.push(output);
    let (mut decoder, mut block) = (Decoder::default(), None);
    decoder.set_limit(1 << 31);
    let mut streams: BTreeMap<u32, Sent> = BTreeMap::new();
    let (mut acknowledged, mut pings, mut total) = (0, Vec::new(), 0);
    while let Some(frame) = reader.next_frame().expect("frames that the reference can read") {
        let sent = streams.entry(frame.stream()).or_default();
        if frame.stream() != 0 && !matches!(frame, Frame::WindowUpdate { .. }) {
            assert!(!sent.reset, "{frame} behind RST_STREAM");
            assert!(!sent.ended || matches!(frame, Frame::RstStream { .. }), "{frame} behind END_STREAM");
        }
        match frame {
            Frame::Settings { ack, .. } => acknowledged += usize::from(ack),
            Frame::Ping { ack: true, opaque } => pings.push(opaque),
            Frame::RstStream { .. } => sent.reset = true,
            Frame::Data { stream, content, end, .. } => {
                assert!(sent.head, "DATA before a final head on stream {stream}");
                (sent.content, sent.ended) = (sent.content + content.len() as u64, end);
                total += content.len() as u64;
                assert!(sent.content <= allowed.window(stream), "more on {stream} than its window");
                assert!(total <= allowed.window(0), "more than the connection's window");
            }
            Frame::Headers { stream, block: octets, end_headers, end, .. } => {
                block = Some((stream, octets, end));
                if end_headers {
                    head(role, block.take(), &mut decoder, sent);
                }
            }
            Frame::Continuation { stream, block: octets, end_headers } => {
                let (of, begun, _) = block.as_mut().expect("CONTINUATION follows HEADERS");
                assert_eq!(*of, stream, "field blocks are not interleaved");
                begun.extend(octets);
                if end_headers {
                    head(role, block.take(), &mut decoder, sent);
                }
            }
            Frame::Ping { ack: false, .. } | Frame::GoAway { .. } | Frame::WindowUpdate { .. } => {}
            Frame::Priority { .. } | Frame::PushPromise { .. } | Frame::Unknown { .. } => {
                panic!("we never send {frame}")
            }
        }
    }
    assert!(acknowledged <= allowed.settings, "{acknowledged} acknowledgements of {}", allowed.settings);
    assert!(allowed.pings.starts_with(&pings), "PINGs are answered in order: {pings:?}");
}

fn head(role: Role, block: Option<(u32, Vec<u8>, bool)>, decoder: &mut Decoder, sent: &mut Sent) {
    let (stream, block, end) = block.expect("a block was begun");
    let lines = decoder.decode(&block).unwrap_or_else(|error| panic!("stream {stream}: {error}"));
    let fields: Vec<_> = lines.into_iter().map(|line| line.field).collect();
    let section = match (sent.head, role) {
        (true, _) => Section::Trailers,
        (false, Role::Server) => Section::Response,
        (false, Role::Client) => Section::Request,
    };
    assert_eq!(malformed(section, &fields), None, "on stream {stream}");
    let interim = value_of(&fields, ":status").is_some_and(|status| status.starts_with(b"1"));
    assert!(section != Section::Trailers || end, "trailers end a stream");
    (sent.head, sent.ended) = (!interim, end);
}
