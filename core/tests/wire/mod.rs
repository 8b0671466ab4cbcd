//! HTTP/2 octets made and read by hand, and the connection that gets them: no codec of the crate stands in between.
#![allow(unreachable_pub, dead_code, reason = "a module of several test binaries")]

use std::sync::Arc;

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::{ConnectionError, ErrorCode, StreamError};
use shuntyard_core::fields::FieldSection;
use shuntyard_core::h2::{Connection, Event, Input, Role, StreamKey};
use shuntyard_core::window::{Both, Credit};

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const PRIORITY: u8 = 0x2;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const PUSH_PROMISE: u8 = 0x5;
pub const PING: u8 = 0x6;
pub const GOAWAY: u8 = 0x7;
pub const WINDOW_UPDATE: u8 = 0x8;
pub const CONTINUATION: u8 = 0x9;
pub const PRIORITY_UPDATE: u8 = 0x10;

pub const END_STREAM: u8 = 0x1;
pub const ACK: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;
pub const WITH_PRIORITY: u8 = 0x20;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Identifiers of settings.
pub const HEADER_TABLE_SIZE: u16 = 0x1;
pub const ENABLE_PUSH: u16 = 0x2;
pub const MAX_CONCURRENT_STREAMS: u16 = 0x3;
pub const INITIAL_WINDOW_SIZE: u16 = 0x4;
pub const MAX_FRAME_SIZE: u16 = 0x5;

/// One frame as it stands on the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub frame_type: u8,
    pub flags: u8,
    pub stream_id: u32,
    pub payload: Vec<u8>,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { frame_type, flags, stream_id, payload } = self;
        write!(f, "[type {frame_type} flags {flags:#x} stream {stream_id} {} octets", payload.len())?;
        if payload.len() <= 16 { write!(f, " {payload:?}]") } else { write!(f, "]") }
    }
}

impl Frame {
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The `n`th 32 bits of the payload.
    pub fn word(&self, n: usize) -> u32 {
        u32::from_be_bytes(self.payload[4 * n..4 * n + 4].try_into().expect("four octets"))
    }
}

/// RFC 9218 section 7.1.
pub fn priority_update(stream_id: u32, value: &str) -> Vec<u8> {
    frame(PRIORITY_UPDATE, 0, 0, &[&stream_id.to_be_bytes()[..], value.as_bytes()].concat())
}

pub fn frame(frame_type: u8, flags: u8, stream_id: u32, payload: &[u8]) -> Vec<u8> {
    let mut octets = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    octets.extend([frame_type, flags]);
    octets.extend(stream_id.to_be_bytes());
    octets.extend(payload);
    octets
}

/// Takes all whole frames from the front of `octets`.
pub fn take_frames(octets: &mut Vec<u8>) -> Vec<Frame> {
    let (mut frames, mut at) = (Vec::new(), 0);
    while let Some(header) = octets.get(at..at + 9) {
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let Some(payload) = octets.get(at + 9..at + 9 + length) else { break };
        frames.push(Frame {
            frame_type: header[3],
            flags: header[4],
            stream_id: u32::from_be_bytes([header[5], header[6], header[7], header[8]]),
            payload: payload.to_vec(),
        });
        at += 9 + length;
    }
    octets.drain(..at);
    frames
}

fn ended(end: bool) -> u8 {
    if end { END_STREAM } else { 0 }
}

pub fn data(stream_id: u32, content: &[u8], end: bool) -> Vec<u8> {
    frame(DATA, ended(end), stream_id, content)
}

/// DATA with `padding` octets of padding behind the content.
pub fn padded_data(stream_id: u32, content: &[u8], padding: u8, end: bool) -> Vec<u8> {
    let mut payload = vec![padding];
    payload.extend(content);
    payload.extend(vec![0; padding.into()]);
    frame(DATA, PADDED | ended(end), stream_id, &payload)
}

pub fn headers(stream_id: u32, block: &[u8], end: bool) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | ended(end), stream_id, block)
}

pub fn rst_stream(stream_id: u32, code: ErrorCode) -> Vec<u8> {
    frame(RST_STREAM, 0, stream_id, &code.0.to_be_bytes())
}

pub fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let payload = entries.iter().flat_map(|(identifier, value)| {
        identifier.to_be_bytes().into_iter().chain(value.to_be_bytes()).collect::<Vec<_>>()
    });
    frame(SETTINGS, 0, 0, &payload.collect::<Vec<_>>())
}

pub fn settings_ack() -> Vec<u8> {
    frame(SETTINGS, ACK, 0, &[])
}

pub fn ping(payload: &[u8; 8]) -> Vec<u8> {
    frame(PING, 0, 0, payload)
}

pub fn goaway(last_stream_id: u32, code: ErrorCode) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last_stream_id.to_be_bytes(), code.0.to_be_bytes()].concat())
}

pub fn window_update(stream_id: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream_id, &increment.to_be_bytes())
}

pub fn priority(stream_id: u32, dependency: u32) -> Vec<u8> {
    frame(PRIORITY, 0, stream_id, &[&dependency.to_be_bytes()[..], &[15]].concat())
}

/// A string literal without Huffman coding.
fn string(octets: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    if octets.len() < 127 {
        coded.push(octets.len() as u8);
    } else {
        coded.push(127);
        let mut rest = octets.len() - 127;
        while rest >= 128 {
            coded.push(rest as u8 | 128);
            rest /= 128;
        }
        coded.push(rest as u8);
    }
    coded.extend(octets);
    coded
}

/// A field line that no table keeps.
pub fn line(name: &str, value: &str) -> Vec<u8> {
    [&[0x00][..], &string(name.as_bytes()), &string(value.as_bytes())].concat()
}

/// A field line that both tables keep: it is entry [`NEWEST`] from then on.
pub fn kept_line(name: &str, value: &str) -> Vec<u8> {
    [&[0x40][..], &string(name.as_bytes()), &string(value.as_bytes())].concat()
}

/// The newest entry of the dynamic table as an indexed field.
pub const NEWEST: u8 = 0x80 | 62;

/// `:method GET`, `:scheme http`, `:path /` and an authority.
pub fn get() -> Vec<u8> {
    [&[0x82, 0x86, 0x84][..], &line(":authority", "example.com")].concat()
}

/// The same with POST.
pub fn post() -> Vec<u8> {
    [&[0x83, 0x86, 0x84][..], &line(":authority", "example.com")].concat()
}

/// `:status 200`.
pub const OK: [u8; 1] = [0x88];

/// What a connection told its owner, without the borrowed octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Request { id: u32, key: StreamKey, fields: Vec<(String, String)>, end: bool },
    TooLarge { key: StreamKey },
    Interim { key: StreamKey, status: u16 },
    Response { key: StreamKey, status: u16, fields: Vec<(String, String)>, end: bool },
    Data { key: StreamKey, content: Vec<u8>, end: bool },
    Trailers { key: StreamKey, fields: Vec<(String, String)> },
    Reset { key: StreamKey, code: ErrorCode },
    Failed { key: StreamKey, error: StreamError },
    Unprocessed { key: StreamKey },
    Reprioritized { key: StreamKey },
    Settings,
    GoAway { last: u32, code: ErrorCode },
    PingAck([u8; 8]),
}

impl Told {
    fn of(event: &Event<'_>, connection: &Connection) -> Self {
        match event {
            Event::Request { stream, fields, end, .. } => Self::Request {
                id: connection.stream_id(*stream).expect("a new stream"),
                key: *stream,
                fields: lines(fields),
                end: *end,
            },
            Event::RequestRefused { stream, .. } => Self::TooLarge { key: *stream },
            Event::Interim { stream, head, .. } => Self::Interim { key: *stream, status: head.status },
            Event::Response { stream, head, fields, end, .. } => {
                Self::Response { key: *stream, status: head.status, fields: lines(fields), end: *end }
            }
            Event::Data { stream, data, end, .. } => {
                Self::Data { key: *stream, content: data.to_vec(), end: *end }
            }
            Event::Trailers { stream, fields, .. } => Self::Trailers { key: *stream, fields: lines(fields) },
            Event::Reset { stream, error_code, .. } => Self::Reset { key: *stream, code: *error_code },
            Event::Failed { stream, error, .. } => Self::Failed { key: *stream, error: *error },
            Event::Unprocessed { stream, .. } => Self::Unprocessed { key: *stream },
            Event::Reprioritized { stream, .. } => Self::Reprioritized { key: *stream },
            Event::Settings => Self::Settings,
            Event::GoAway { last_stream_id, error_code, .. } => {
                Self::GoAway { last: *last_stream_id, code: *error_code }
            }
            Event::PingAck { payload } => Self::PingAck(*payload),
        }
    }
}

fn lines(fields: &FieldSection) -> Vec<(String, String)> {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    fields.iter().map(|line| (text(line.name), text(line.value))).collect()
}

/// A connection, its inbox, and the credit that its owner has not given back.
#[derive(Debug)]
pub struct Subject {
    pub role: Role,
    pub connection: Connection,
    inbox: Vec<u8>,
    /// Content whose credit is not given back at once.
    pub keep_credit: bool,
    pub held: Vec<(StreamKey, Credit<Both>)>,
    outbox: Vec<u8>,
}

impl Subject {
    /// Nothing was exchanged yet.
    pub fn fresh(role: Role, config: ConnectionConfig) -> Self {
        config.validate().expect("a valid configuration");
        let connection = Connection::new(role, Arc::new(config), 1, 0);
        Self { role, connection, inbox: vec![], keep_credit: false, held: vec![], outbox: vec![] }
    }

    /// Both sides have sent and acknowledged their SETTINGS; `theirs` are the peer's.
    pub fn with(role: Role, config: ConnectionConfig, theirs: &[(u16, u32)]) -> Self {
        let mut subject = Self::fresh(role, config);
        let preface = if role == Role::Server { PREFACE } else { &[] };
        let told = subject.hear(&[preface, &settings(theirs), &settings_ack()].concat());
        assert_eq!(told, vec![Told::Settings]);
        subject.speak();
        subject
    }

    pub fn server() -> Self {
        Self::with(Role::Server, ConnectionConfig::default(), &[])
    }

    pub fn client() -> Self {
        Self::with(Role::Client, ConnectionConfig::default(), &[])
    }

    /// Octets arrive; what they mean, until the connection fails.
    pub fn try_hear(&mut self, octets: &[u8]) -> (Vec<Told>, Option<ConnectionError>) {
        self.inbox.extend(octets);
        let inbox = std::mem::take(&mut self.inbox);
        let mut input = Input::new(&inbox);
        let mut told = Vec::new();
        let error = loop {
            match self.connection.poll_event(&mut input) {
                Ok(Some(event)) => {
                    told.push(Told::of(&event, &self.connection));
                    if let Event::Data { stream, credit, .. } = event {
                        self.credit(stream, credit);
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        self.inbox = input.remaining().to_vec();
        (told, error)
    }

    fn credit(&mut self, key: StreamKey, credit: Credit<Both>) {
        if self.keep_credit { self.held.push((key, credit)) } else { self.connection.release(key, credit) }
    }

    /// Octets arrive that must not end the connection.
    #[track_caller]
    pub fn hear(&mut self, octets: &[u8]) -> Vec<Told> {
        let (told, error) = self.try_hear(octets);
        assert_eq!(error, None, "the connection goes on");
        told
    }

    /// Gives back what is held.
    pub fn release_all(&mut self) {
        for (key, credit) in std::mem::take(&mut self.held) {
            self.connection.release(key, credit);
        }
    }

    /// Takes all output.
    pub fn speak_octets(&mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        loop {
            while self.connection.cut().is_some() {}
            let n = self.connection.transmit().len();
            if n == 0 {
                return octets;
            }
            octets.extend(self.connection.transmit());
            self.connection.sent(n);
        }
    }

    /// Takes all output as frames; a client's preface is dropped.
    pub fn speak(&mut self) -> Vec<Frame> {
        let octets = self.speak_octets();
        self.outbox.extend(octets);
        if self.outbox.starts_with(PREFACE) {
            self.outbox.drain(..PREFACE.len());
        }
        take_frames(&mut self.outbox)
    }

    /// Client: opens a stream with a request.
    #[track_caller]
    pub fn open(&mut self, method: &str, end: bool) -> StreamKey {
        self.connection.open(&request(method), end).expect("a stream can be opened")
    }

    /// Server: answers with 200.
    #[track_caller]
    pub fn respond(&mut self, key: StreamKey, end: bool) {
        self.connection.send_head(key, &section(&[(":status", "200")]), end).expect("an open stream");
    }
}

pub fn section(lines: &[(&str, &str)]) -> FieldSection {
    let mut fields = FieldSection::new();
    for (name, value) in lines {
        fields.push(shuntyard_core::fields::FieldLine::new(name.as_bytes(), value.as_bytes(), 1));
    }
    fields
}

pub fn request(method: &str) -> FieldSection {
    section(&[(":method", method), (":scheme", "http"), (":authority", "example.com"), (":path", "/")])
}
