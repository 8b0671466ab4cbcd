//! Any octets, cut anywhere, into one HTTP/2 connection of either role.
//!
//! Nothing panics; how the octets are cut changes neither events nor output; what is said to the peer is always whole
//! frames that a decoder of its own can follow; and an error ends the connection with GOAWAY and its code.

use std::sync::Arc;

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ConnectionError;
use shuntyard_core::fields::{FieldLine, FieldSection};
use shuntyard_core::frame::{self, Frame, FrameHeader, HEADER_LEN, PREFACE};
use shuntyard_core::h2::{Client, Connection, Event, Input, Role, Server, StreamKey};
use shuntyard_core::hpack::{Decoded, Decoder, SectionLimits};
use shuntyard_core::window::{Both, Credit};

const SEED: u64 = 7;

/// What to do with a connection. All of it comes from the fuzzer, or is chosen by a test.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// Which end of the connection we are.
    pub role: Role,
    /// The peer has said its preface and an empty SETTINGS frame already, so that the octets begin with what matters.
    pub open: bool,
    /// How the owner behaves: bits.
    pub manners: u8,
    /// Sizes of the pieces that the octets come in, over and over; none: they come at once.
    pub cuts: Vec<usize>,
    /// What the peer sends.
    pub octets: &'a [u8],
}

impl<'a> Case<'a> {
    /// The case that the fuzzer's octets stand for: one of flags, one that says how many cuts follow, the cuts, the
    /// peer's octets. Lengths come first, so that a mutation stays where it is.
    pub fn from_fuzzer(data: &'a [u8]) -> Self {
        let (&[flags, cuts], rest) = data.split_first_chunk().unwrap_or((&[0, 0], data));
        let (cuts, octets) = rest.split_at(usize::from(cuts % 16).min(rest.len()));
        Self {
            role: if flags & 1 == 0 { Role::Server } else { Role::Client },
            open: flags & 2 == 0,
            manners: flags >> 2,
            cuts: cuts.iter().map(|&cut| cut.into()).collect(),
            octets,
        }
    }
}

/// The whole check, for the fuzzer.
pub fn run(data: &[u8]) {
    check(&Case::from_fuzzer(data));
}

/// The whole check.
///
/// # Panics
///
/// Where a promise is broken.
pub fn check(case: &Case<'_>) {
    let whole = receive(&Case { cuts: Vec::new(), ..case.clone() });
    check_output(case.role, &whole);
    if !case.cuts.is_empty() {
        assert_eq!(receive(case), whole, "cut-independence: {:?}", case.cuts);
    }
    if !case.open && case.manners == 0 {
        covers(case);
    }
}

/// What a case makes us say.
pub fn output(case: &Case<'_>) -> Vec<u8> {
    receive(case).output
}

/// What came of a case: all that its owner and its peer could see.
#[derive(Debug, PartialEq)]
struct Seen {
    events: Vec<String>,
    output: Vec<u8>,
    error: Option<ConnectionError>,
}

fn receive(case: &Case<'_>) -> Seen {
    let mut owner = Owner::new(case);
    let mut held = Vec::new();
    for piece in pieces(case) {
        held.extend_from_slice(piece);
        let mut input = Input::new(&held);
        while owner.take(&mut input) {}
        let taken = held.len() - input.remaining().len();
        held.drain(..taken);
    }
    owner.finish()
}

/// The peer's octets in the pieces that the case asks for.
fn pieces<'a>(case: &Case<'a>) -> Vec<&'a [u8]> {
    if case.cuts.is_empty() {
        return vec![case.octets];
    }
    // Cuts of nothing only would never come to an end.
    let cuts = case.cuts.iter().copied().cycle().take(2 * case.octets.len() + case.cuts.len());
    let (mut pieces, mut rest) = (Vec::new(), case.octets);
    for cut in cuts {
        if rest.is_empty() {
            return pieces;
        }
        let (piece, behind) = rest.split_at(cut.min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

/// Somebody who owns a connection and answers what it tells, always alike.
struct Owner {
    connection: Connection,
    manners: u8,
    events: Vec<String>,
    error: Option<ConnectionError>,
    /// Credit that is given back at the end only.
    owed: Vec<(StreamKey, Credit<Both>)>,
}

/// Answers have content; else they end with their head.
const ANSWERS_WITH_CONTENT: u8 = 1;
/// More content than any window allows.
const LONG_CONTENT: u8 = 2;
/// Messages end with trailers.
const TRAILERS: u8 = 4;
/// Credit is kept until the end.
const KEEPS_CREDIT: u8 = 8;
/// Streams are reset as soon as content comes.
const RESETS: u8 = 16;
/// The end is announced at the beginning.
const GOES_AWAY: u8 = 32;

impl Owner {
    fn new(case: &Case<'_>) -> Self {
        let mut connection = Connection::new(case.role, Arc::new(ConnectionConfig::default()), SEED, 1);
        if case.open {
            let mut hello = if case.role == Role::Server { PREFACE.to_vec() } else { Vec::new() };
            frame::put_settings(&mut hello, &[]);
            let mut input = Input::new(&hello);
            while let Ok(Some(_)) = connection.poll_event(&mut input) {}
        }
        let mut owner =
            Self { connection, manners: case.manners, events: Vec::new(), error: None, owed: Vec::new() };
        if case.role == Role::Client {
            for method in ["GET", "HEAD", "POST"] {
                owner.ask(method);
            }
        }
        if owner.is(GOES_AWAY) {
            owner.connection.announce_goaway();
            owner.connection.ping(*b"goodbye!");
        }
        owner
    }

    fn is(&self, manner: u8) -> bool {
        self.manners & manner != 0
    }

    fn ask(&mut self, method: &str) {
        let lines = [(":method", method), (":scheme", "http"), (":authority", "example.com"), (":path", "/")];
        let fields = section(&lines);
        let stream =
            self.connection.open(&fields, method != "POST").expect("the first streams of a connection");
        if method == "POST" {
            self.send(stream);
        }
    }

    /// Lets the connection take one event from `input`; says whether there may be another.
    fn take(&mut self, input: &mut Input<'_>) -> bool {
        match self.connection.poll_event(input) {
            Ok(Some(event)) => {
                assert_eq!(self.error, None, "an event behind the end: {event:?}");
                self.events.push(format!("{event:?}"));
                self.answer(event);
                true
            }
            Ok(None) => false,
            Err(error) => {
                assert_eq!(self.error.replace(error), None, "a connection ends once");
                assert!(input.remaining().is_empty(), "input behind the end is discarded");
                false
            }
        }
    }

    fn answer(&mut self, event: Event<'_>) {
        match event {
            Event::Request { stream, .. } | Event::RequestRefused { stream, .. } => {
                let with_content = self.is(ANSWERS_WITH_CONTENT);
                let head = section(&[(":status", "200"), ("x-answer", "42")]);
                self.connection.send_head(stream, &head, !with_content).expect("a stream that is new");
                if with_content {
                    self.send(stream);
                }
            }
            Event::Data { stream, data, credit, .. } => {
                assert_eq!(credit.octets() as usize, data.len());
                if self.is(RESETS) && !data.is_empty() {
                    self.connection.reset(stream, shuntyard_core::error::ErrorCode::CANCEL);
                }
                if self.is(KEEPS_CREDIT) {
                    self.owed.push((stream, credit));
                } else {
                    self.connection.release(stream, credit);
                }
            }
            Event::Interim { fields, .. }
            | Event::Response { fields, .. }
            | Event::Trailers { fields, .. } => {
                self.connection.recycle(fields);
            }
            Event::Reset { .. }
            | Event::Failed { .. }
            | Event::Unprocessed { .. }
            | Event::Reprioritized { .. }
            | Event::Settings
            | Event::GoAway { .. }
            | Event::PingAck { .. } => {}
        }
    }

    /// Content, and the end of the message. An HPACK error of the peer may have ended everything meanwhile.
    fn send(&mut self, stream: StreamKey) {
        let len = if self.is(LONG_CONTENT) { 100_000 } else { 100 };
        let trailers = self.is(TRAILERS);
        let sent = self.connection.send_data(stream, &vec![b'x'; len], !trailers);
        assert!(
            sent.is_ok_and(|sent| sent.cut <= len && (sent.cut == len || sent.waits)),
            "an open stream takes content"
        );
        if trailers {
            self.connection.send_trailers(stream, section(&[("x-sum", "17")])).expect("an open stream");
        }
    }

    fn finish(mut self) -> Seen {
        for (stream, credit) in self.owed.drain(..) {
            self.connection.release(stream, credit);
        }
        let failed = self.connection.has_failed();
        assert_eq!(failed, self.error.is_some());
        let mut output = Vec::new();
        while self.connection.has_output() {
            while let Some(cut) = self.connection.cut() {
                assert!(cut.octets > 0 || cut.end, "a cut of nothing");
            }
            let octets = self.connection.transmit();
            if octets.is_empty() {
                // A stream whose window was narrowed stands in line until its turn comes.
                assert!(!self.connection.has_output(), "what cannot leave is announced without end");
                break;
            }
            output.extend_from_slice(octets);
            let n = octets.len();
            self.connection.sent(n);
        }
        while let Some((stream, _)) = self.connection.abandon_stream() {
            assert_eq!(self.connection.stream_id(stream), None);
        }
        assert_eq!(self.connection.open_streams(), 0);
        Seen { events: self.events, output, error: self.error }
    }
}

fn section(lines: &[(&str, &str)]) -> FieldSection {
    let mut fields = FieldSection::new();
    for (name, value) in lines {
        fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), SEED));
    }
    fields
}

/// The output as a peer sees it.
fn check_output(role: Role, seen: &Seen) {
    let mut rest = seen.output.as_slice();
    if rest.is_empty() {
        assert_eq!(role, Role::Server, "a client speaks first");
        assert_eq!(seen.error, None);
        return;
    }
    if role == Role::Client {
        rest = rest.strip_prefix(PREFACE).expect("a client begins with the preface");
    }
    let mut decoder = Decoder::new(4096, SEED, 2);
    let (mut count, mut block, mut last_goaway) = (0, None::<Vec<u8>>, None);
    while let Some((header, behind)) = rest.split_first_chunk::<HEADER_LEN>() {
        let header = FrameHeader::decode(header);
        let (payload, behind) = behind.split_at_checked(header.length as usize).expect("whole frames");
        rest = behind;
        let frame = frame::parse(header, payload).expect("sound frames");
        assert!(count > 0 || matches!(frame, Frame::Settings { .. }), "SETTINGS come first: {frame:?}");
        count += 1;
        last_goaway = None;
        let (fragment, end) = match frame {
            Frame::Headers { fragment, end_headers, .. } if block.is_none() => (fragment, end_headers),
            Frame::Continuation { fragment, end_headers, .. } if block.is_some() => (fragment, end_headers),
            Frame::Headers { .. } | Frame::Continuation { .. } => panic!("field blocks are not interleaved"),
            _ => {
                assert!(block.is_none(), "field blocks are not interrupted");
                if let Frame::GoAway { error_code, .. } = frame {
                    last_goaway = Some(error_code);
                }
                continue;
            }
        };
        let mut octets = block.take().unwrap_or_default();
        octets.extend_from_slice(fragment);
        if end {
            let limits = SectionLimits { size: u32::MAX, fields: u32::MAX };
            let decoded = decoder.decode(&octets, limits, &mut FieldSection::new());
            assert_eq!(decoded, Ok(Decoded::Whole));
        } else {
            block = Some(octets);
        }
    }
    assert!(rest.is_empty() && block.is_none(), "whole frames");
    assert_ne!(seen.error, Some(ConnectionError::Internal), "no peer brings that about");
    if let Some(error) = seen.error {
        assert_eq!(last_goaway, Some(error.code()), "{error}");
    }
}

/// [`Client`] and [`Server`], who speak the types of the `http` crate.
fn covers(case: &Case<'_>) {
    let config = ConnectionConfig::default();
    match case.role {
        Role::Server => {
            let mut server = Server::new(config, SEED).expect("the defaults are valid");
            server.handle_recv(case.octets);
            while let Ok(Some(_)) = server.poll_event() {}
        }
        Role::Client => {
            let mut client = Client::new(config, SEED).expect("the defaults are valid");
            let request = http::Request::get("http://example.com/").body(()).expect("a request");
            client.send_request(&request, true).expect("the first stream of a connection");
            client.handle_recv(case.octets);
            while let Ok(Some(_)) = client.poll_event() {}
        }
    }
}
