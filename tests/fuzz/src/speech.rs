//! What a peer says, as frames of any values in any order: choices to octets, by the simulator's codec.

use shuntyard_sim::refcodec::frame::{self, Frame};
use shuntyard_sim::refcodec::hpack::{Encoder, Indexing};
use shuntyard_sim::refcodec::{Field, field};

use crate::octets::Octets;

/// A peer with its compression state.
#[derive(Clone, Debug, Default)]
pub struct Speech {
    encoder: Encoder,
    last: Vec<u8>,
}

const SETTINGS: &[u16] = &[
    frame::HEADER_TABLE_SIZE,
    frame::ENABLE_PUSH,
    frame::MAX_CONCURRENT_STREAMS,
    frame::INITIAL_WINDOW_SIZE,
    frame::MAX_FRAME_SIZE,
    frame::MAX_HEADER_LIST_SIZE,
    8,
    0xfade,
];
const METHODS: &[&str] = &["GET", "POST", "HEAD", "OPTIONS", "CONNECT", "PUT"];
const STATUSES: &[&str] = &["200", "204", "304", "100", "103", "101", "404", "500", "42"];
const EXTRA: &[(&str, &str)] = &[
    ("content-length", "0"),
    ("content-length", "5"),
    ("content-length", "100"),
    ("cookie", "a=b"),
    ("cookie", "a-longer-crumb=with-a-longer-value"),
    ("expect", "100-continue"),
    ("te", "trailers"),
    ("via", "1.1 somebody"),
    ("host", "example.com"),
    ("x-kind", "fine"),
    ("authorization", "secret"),
    ("connection", "close"),
    ("max-forwards", "0"),
    ("priority", "u=1, i"),
];

/// What clients and backends of HTTP/1.1 say, in part or to whoever speaks another version.
const HTTP1: &[&str] = &[
    "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /b HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\nhello",
    "HTTP/1.1 101 Yes\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.0 204 No\r\nconnection: close\r\n\r\n",
];

impl Speech {
    /// The octets of one frame, or of several that belong together.
    pub fn say(&mut self, octets: &mut Octets<'_>) -> Vec<u8> {
        let kind = octets.octet();
        let said = match kind % 20 {
            0..=2 => self.head(octets, Head::Request),
            3..=5 => self.head(octets, Head::Response),
            6 => self.head(octets, Head::Trailers),
            7..=9 => data(octets).encode(),
            19 => self.again(octets),
            kind => self.other(kind, octets),
        };
        self.last.clone_from(&said);
        said
    }

    fn head(&mut self, octets: &mut Octets<'_>, kind: Head) -> Vec<u8> {
        let (stream, flags) = (stream(octets), octets.octet());
        let fields = fields(kind, octets);
        let indexing =
            [Indexing::Incremental, Indexing::Without, Indexing::Never][usize::from(flags >> 6) % 3];
        let mut block = self.encoder.encode(&fields, indexing);
        let rest = if flags & 8 != 0 { block.split_off(block.len() / 2) } else { Vec::new() };
        let mut said = Frame::Headers {
            stream,
            block,
            padding: (flags & 16 != 0).then(|| octets.octet()),
            priority: (flags & 32 != 0).then_some([0, 0, 0, flags & 3, 15]),
            end_headers: flags & 8 == 0,
            end: flags & 4 != 0,
        }
        .encode();
        if flags & 8 != 0 {
            said.extend(Frame::Continuation { stream, block: rest, end_headers: true }.encode());
        }
        said
    }

    fn other(&mut self, kind: u8, octets: &mut Octets<'_>) -> Vec<u8> {
        match kind {
            10 => Frame::RstStream { stream: stream(octets), code: octets.octet().into() },
            11 => {
                let count = octets.octet() % 6;
                let settings = (0..count).map(|_| (octets.pick(SETTINGS), octets.number())).collect();
                Frame::Settings { ack: false, settings }
            }
            12 => Frame::Settings { ack: true, settings: Vec::new() },
            13 | 14 => {
                let stream = if kind == 13 { 0 } else { stream(octets) };
                Frame::WindowUpdate { stream, increment: octets.number() }
            }
            15 => Frame::Ping { ack: octets.octet() & 1 != 0, opaque: [octets.octet(); 8] },
            16 => Frame::GoAway {
                last_stream: octets.number(),
                code: octets.octet().into(),
                debug: octets.run(20).to_vec(),
            },
            17 => {
                let (kind, flags, stream) = (octets.octet(), octets.octet(), stream(octets));
                Frame::Unknown { kind, flags, stream, payload: octets.run(300).to_vec() }
            }
            _ if octets.octet() & 1 == 0 => return octets.pick(HTTP1).as_bytes().to_vec(),
            _ => return octets.run(300).to_vec(),
        }
        .encode()
    }

    /// The last again, many times, or one octet of it changed, or only its beginning.
    fn again(&mut self, octets: &mut Octets<'_>) -> Vec<u8> {
        let (how, at) = (octets.octet(), usize::from(octets.octet()));
        let mut said = self.last.clone();
        match how % 3 {
            0 => said = said.repeat(at.min(60_000 / said.len().max(1))),
            1 if !said.is_empty() => {
                let at = at % said.len();
                said[at] ^= 1 << (how >> 5);
            }
            _ => said.truncate(at),
        }
        said
    }
}

/// What a field block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    Request,
    Response,
    Trailers,
}

fn fields(kind: Head, octets: &mut Octets<'_>) -> Vec<Field> {
    let mut fields = match kind {
        Head::Request => {
            let (method, path) = (octets.pick(METHODS), octets.pick(&["/", "/b"]));
            let all = [(":method", method), (":scheme", "http"), (":authority", "a"), (":path", path)];
            // RFC 9110 section 9.3.6, or RFC 8441.
            let taken = match (method, octets.pick(&["", "x", "y"])) {
                ("CONNECT", "") => vec![all[0], (":authority", "a:1")],
                ("CONNECT", protocol) => all.into_iter().chain([(":protocol", protocol)]).collect(),
                _ => all.to_vec(),
            };
            taken.into_iter().map(|(name, value)| field(name, value)).collect()
        }
        Head::Response => vec![field(":status", octets.pick(STATUSES))],
        Head::Trailers => Vec::new(),
    };
    for _ in 0..octets.octet() % 5 {
        match octets.octet() {
            at @ 0..=199 => {
                let (name, value) = EXTRA[usize::from(at) % EXTRA.len()];
                fields.push(field(name, value));
            }
            200..=229 => fields.push(field(octets.run(40), octets.run(200))),
            long => fields.push(field("x-long", vec![b'l'; usize::from(long) * 100])),
        }
    }
    fields
}

fn data(octets: &mut Octets<'_>) -> Frame {
    let (stream, flags) = (stream(octets), octets.octet());
    let len = (octets.number() as usize).min(20_000);
    Frame::Data {
        stream,
        content: vec![b'd'; len],
        padding: (flags & 2 != 0).then(|| octets.octet()),
        end: flags & 1 != 0,
    }
}

/// Mostly one of the first that a client opens.
fn stream(octets: &mut Octets<'_>) -> u32 {
    match octets.octet() {
        near @ 0..=239 => 2 * u32::from(near % 8) + 1,
        even @ 240..=247 => 2 * u32::from(even - 240),
        _ => octets.number(),
    }
}
