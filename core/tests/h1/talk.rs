//! A connection with the memory its owner keeps for it, and its events as values.
#![allow(unreachable_pub, dead_code, reason = "a module of a test binary")]

use std::sync::Arc;

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::{ErrorCode, StreamError};
use shuntyard_core::fields::{FieldLine, FieldSection};
use shuntyard_core::h1::Connection;
use shuntyard_core::h2::{Event, Input, Role, StreamKey};
use shuntyard_core::message::Refusal;
use shuntyard_core::window::{Both, Credit};

pub const SEED: u64 = 7;
pub const HEAD_MAX: usize = 2000;

/// What was told, without keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// `name: value` lines; whether the message ends.
    Request(Vec<String>, bool),
    Refused(Refusal),
    Interim(Vec<String>),
    Response(Vec<String>, bool),
    Data(String, bool),
    Trailers(Vec<String>),
    Reset(ErrorCode),
    Failed(StreamError),
    Unprocessed,
}

pub struct Talk {
    pub connection: Connection,
    /// Input that was not taken.
    pub inbox: Vec<u8>,
    /// The streams that began here, in order.
    pub streams: Vec<StreamKey>,
    /// Credit that is given back at once, or kept.
    pub kept: Option<Vec<(StreamKey, Credit<Both>)>>,
}

pub fn lines(fields: &FieldSection) -> Vec<String> {
    let text = |octets: &[u8]| octets.iter().map(|&octet| char::from(octet)).collect::<String>();
    fields.iter().map(|line| format!("{}: {}", text(line.name), text(line.value))).collect()
}

/// `name: value` lines to a section.
pub fn section(lines: &[&str]) -> FieldSection {
    let mut fields = FieldSection::new();
    for line in lines {
        let (name, value) = line.split_at(1 + line[1..].find(':').expect("a colon"));
        let value: Vec<u8> = value[1..].trim().chars().map(|octet| octet as u8).collect();
        fields.push(FieldLine::new(name.as_bytes(), &value, SEED));
    }
    fields
}

impl Talk {
    pub fn new(role: Role) -> Self {
        Self::with(role, ConnectionConfig::default())
    }

    pub fn with(role: Role, config: ConnectionConfig) -> Self {
        let connection = Connection::new(role, Arc::new(config), SEED, HEAD_MAX);
        Self { connection, inbox: Vec::new(), streams: Vec::new(), kept: None }
    }

    /// The same, with a name in origins: what comes again is known.
    pub fn with_identity(self) -> Self {
        Self { connection: self.connection.with_identity(3), ..self }
    }

    pub fn server() -> Self {
        Self::new(Role::Server)
    }

    pub fn client() -> Self {
        Self::new(Role::Client)
    }

    /// Takes the octets in, as far as they may be.
    pub fn recv(&mut self, octets: impl AsRef<[u8]>) -> Vec<Told> {
        self.inbox.extend_from_slice(octets.as_ref());
        let mut all = Vec::new();
        let inbox = std::mem::take(&mut self.inbox);
        let mut input = Input::new(&inbox);
        while !self.connection.is_congested() {
            let Some(event) = self.connection.poll_event(&mut input).expect("no error of the connection")
            else {
                break;
            };
            let (told, credit) = tell(&mut self.streams, event);
            all.push(told);
            match (credit, &mut self.kept) {
                (Some(credit), Some(kept)) => kept.push(credit),
                (Some((stream, credit)), None) => self.connection.release(stream, credit),
                (None, _) => {}
            }
        }
        self.inbox = input.remaining().to_vec();
        all
    }

    /// What came in is looked at again.
    pub fn again(&mut self) -> Vec<Told> {
        self.recv("")
    }

    /// All output there is.
    pub fn out(&mut self) -> String {
        let mut all = Vec::new();
        loop {
            while self.connection.cut().is_some() {}
            let n = self.connection.transmit().len();
            if n == 0 {
                assert!(!self.connection.has_output());
                return all.iter().map(|&octet| char::from(octet)).collect();
            }
            all.extend_from_slice(self.connection.transmit());
            self.connection.sent(n);
        }
    }

    pub fn last(&self) -> StreamKey {
        *self.streams.last().expect("a stream has begun")
    }

    /// Answers a stream with a head and content.
    pub fn answer(&mut self, stream: StreamKey, head: &[&str], content: &str) {
        self.connection
            .send_head(stream, &section(head), content.is_empty())
            .expect("the stream waits for it");
        if !content.is_empty() {
            self.connection.send_data(stream, content.as_bytes(), true).expect("content fits");
        }
    }

    pub fn open(&mut self, head: &[&str], end: bool) -> StreamKey {
        let stream = self.connection.open(&section(head), end).expect("there is a slot");
        self.streams.push(stream);
        stream
    }
}

fn tell(streams: &mut Vec<StreamKey>, event: Event<'_>) -> (Told, Option<(StreamKey, Credit<Both>)>) {
    let told = match event {
        Event::Request { stream, fields, end, .. } => {
            streams.push(stream);
            Told::Request(lines(&fields), end)
        }
        Event::RequestRefused { stream, refusal } => {
            streams.push(stream);
            Told::Refused(refusal)
        }
        Event::Interim { fields, .. } => Told::Interim(lines(&fields)),
        Event::Response { fields, end, .. } => Told::Response(lines(&fields), end),
        Event::Data { stream, data, credit, end, .. } => {
            let text = data.iter().map(|&octet| char::from(octet)).collect();
            return (Told::Data(text, end), Some((stream, credit)));
        }
        Event::Trailers { fields, .. } => Told::Trailers(lines(&fields)),
        Event::Reset { error_code, .. } => Told::Reset(error_code),
        Event::Failed { error, .. } => Told::Failed(error),
        Event::Unprocessed { .. } => Told::Unprocessed,
        event @ (Event::Reprioritized { .. }
        | Event::Settings
        | Event::GoAway { .. }
        | Event::PingAck { .. }) => panic!("{event:?} is of HTTP/2"),
    };
    (told, None)
}

pub fn request(lines: &[&str], end: bool) -> Told {
    Told::Request(lines.iter().map(|&line| line.to_owned()).collect(), end)
}

pub fn response(lines: &[&str], end: bool) -> Told {
    Told::Response(lines.iter().map(|&line| line.to_owned()).collect(), end)
}

pub fn data(content: &str, end: bool) -> Told {
    Told::Data(content.to_owned(), end)
}

/// A request for `/path` of host `a`.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}
