//! Any octets into one HTTP/1.1 connection of either role, and what it takes of them on to the next hop.
//!
//! Nothing panics or loops, no more than a head is kept of the input, and the same is told however the octets are cut, and whether
//! heads that come again are remembered or not. Each request that a server takes is written by a client and read by another voice
//! (httparse, with the plainest reading of lengths and chunks beside it): it is one request, the same, with the same content, and
//! nothing behind it. What a server answers is read in the same way: a response to each request, in order.

use std::sync::Arc;

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::fields::{FieldLine, FieldName, FieldSection};
use shuntyard_core::h1::Connection;
use shuntyard_core::h2::{Event, Input, Role, StreamKey};
use shuntyard_core::message::{Method, RequestHead};

use crate::octets::Octets;

const SEED: u64 = 5;
const HEAD_MAX: usize = 1000;
/// Rounds of answers; sixteen requests at a time are more than an input has.
const ROUNDS: usize = 200;

/// The whole check: an octet of flags, cuts, then what the peer says.
pub fn run(data: &[u8]) {
    let mut octets = Octets(data);
    let flags = octets.octet();
    let cuts: Vec<usize> = octets.run(16).iter().map(|&cut| usize::from(cut)).collect();
    let role = if flags & 1 == 0 { Role::Server } else { Role::Client };
    let mut whole = Owner::new(role, flags);
    whole.connection = whole.connection.with_identity(1);
    let whole = whole.play(octets.0, &[]);
    let cut = Owner::new(role, flags).play(octets.0, &cuts);
    assert_eq!(cut.told, whole.told, "cut by {cuts:?}");
    assert_eq!(cut.out, whole.out, "cut by {cuts:?}");
}

/// A request that was taken.
struct Taken {
    stream: StreamKey,
    head: Option<RequestHead>,
    fields: FieldSection,
    content: Vec<u8>,
    trailers: Option<FieldSection>,
    is_whole: bool,
    is_answered: bool,
}

struct Owner {
    connection: Connection,
    flags: u8,
    inbox: Vec<u8>,
    taken: Vec<Taken>,
    told: Vec<String>,
    out: Vec<u8>,
}

struct Played {
    told: Vec<String>,
    out: Vec<u8>,
}

impl Owner {
    fn new(role: Role, flags: u8) -> Self {
        let window = if flags & 2 == 0 { 65_535 } else { 5 };
        let config = ConnectionConfig {
            initial_window_size: window,
            outbox_high_mark: 300,
            ..ConnectionConfig::default()
        };
        let mut connection = Connection::new(role, Arc::new(config), SEED, HEAD_MAX);
        if role == Role::Client {
            let asked: [(&str, &str); 5] = match flags >> 2 & 3 {
                0 => {
                    [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("x", "y")]
                }
                1 => [
                    (":method", "HEAD"),
                    (":scheme", "http"),
                    (":authority", "a"),
                    (":path", "/"),
                    ("x", "y"),
                ],
                2 => [
                    (":method", "POST"),
                    (":scheme", "http"),
                    (":authority", "a"),
                    (":path", "/"),
                    ("x", "y"),
                ],
                _ => [
                    (":method", "CONNECT"),
                    (":protocol", "x"),
                    (":scheme", "http"),
                    (":authority", "a"),
                    (":path", "/"),
                ],
            };
            // A tunnel's direction may have ended before it stands.
            let end = flags >> 2 & 3 < 3 || flags & 16 > 0;
            connection.open(&section(&asked), end).expect("the first has a slot");
            connection.sent(usize::MAX);
        }
        Self { connection, flags, inbox: Vec::new(), taken: Vec::new(), told: Vec::new(), out: Vec::new() }
    }

    fn play(mut self, octets: &[u8], cuts: &[usize]) -> Played {
        let mut rest = octets;
        for &cut in cuts {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            self.recv(piece);
            rest = behind;
        }
        self.recv(rest);
        for _ in 0..ROUNDS {
            let before = (self.told.len(), self.out.len());
            self.answer_next();
            self.take_output();
            self.recv(&[]);
            if (self.told.len(), self.out.len()) == before {
                break;
            }
        }
        self.connection.read_closed();
        self.recv(&[]);
        self.take_output();
        self.judge();
        Played { told: self.told, out: self.out }
    }

    fn recv(&mut self, octets: &[u8]) {
        self.inbox.extend_from_slice(octets);
        let inbox = std::mem::take(&mut self.inbox);
        let mut input = Input::new(&inbox);
        while !self.connection.is_congested() {
            let Some(event) = self.connection.poll_event(&mut input).expect("errors are told otherwise")
            else {
                break;
            };
            self.hear(event);
        }
        self.inbox = input.remaining().to_vec();
        assert!(self.inbox.len() <= HEAD_MAX || self.connection.is_congested(), "more than a head is kept");
    }

    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Request { stream, head, fields, end } => {
                // Only of who remembers heads has the section an origin.
                let lines: Vec<_> = fields.iter().collect();
                self.told.push(format!("request {lines:?} {end}"));
                self.taken.push(Taken {
                    stream,
                    head: Some(head),
                    fields,
                    content: Vec::new(),
                    trailers: None,
                    is_whole: end,
                    is_answered: false,
                });
            }
            Event::RequestRefused { stream, refusal } => {
                self.told.push(format!("refused {refusal:?}"));
                self.taken.push(Taken {
                    stream,
                    head: None,
                    fields: FieldSection::new(),
                    content: Vec::new(),
                    trailers: None,
                    is_whole: false,
                    is_answered: false,
                });
            }
            Event::Data { stream, data, credit, end, .. } => {
                // Pieces are as the input was cut.
                if let Some(taken) = self.taken.iter_mut().find(|taken| taken.stream == stream) {
                    taken.content.extend_from_slice(data);
                    taken.is_whole |= end;
                }
                if end {
                    self.told.push("end".into());
                }
                self.connection.release(stream, credit);
            }
            Event::Trailers { stream, fields, .. } => {
                self.told.push(format!("trailers {fields:?}"));
                if let Some(taken) = self.taken.iter_mut().find(|taken| taken.stream == stream) {
                    taken.trailers = Some(fields);
                    taken.is_whole = true;
                }
            }
            // Which of the places it had that were free before is nobody's concern.
            Event::Failed { error, .. } => self.told.push(format!("failed {error:?}")),
            event => self.told.push(format!("{event:?}")),
        }
    }

    /// The oldest request that has none gets its answer: in one of some ways.
    fn answer_next(&mut self) {
        let flags = self.flags;
        let n = self.taken.iter().filter(|taken| taken.is_answered).count();
        let Some(taken) = self.taken.iter_mut().find(|taken| !taken.is_answered) else { return };
        taken.is_answered = true;
        let length = [("content-length", "2")];
        let fields: &[(&str, &str)] = if (flags >> 4).wrapping_add(n as u8) & 1 == 0 { &length } else { &[] };
        let head = section(&[&[(":status", "203")], fields].concat());
        // A stream that has failed is gone.
        if self.connection.send_head(taken.stream, &head, false).is_err() {
            return;
        }
        let _ = self.connection.send_data(taken.stream, b"o", false);
        let _ = self.connection.send_data(taken.stream, b"k", true);
        while self.connection.cut().is_some() {}
        self.connection.reset(taken.stream, ErrorCode::NO_ERROR);
    }

    fn take_output(&mut self) {
        while self.connection.has_output() {
            while self.connection.cut().is_some() {}
            let output = self.connection.transmit();
            // The end of a tunnel is no octet.
            assert!(!output.is_empty() || self.connection.is_write_closed(), "output was announced");
            self.out.extend_from_slice(output);
            let n = output.len();
            self.connection.sent(n);
        }
    }

    fn judge(&self) {
        for taken in &self.taken {
            if let Some(head) = taken.head.filter(|head| taken.is_whole && head.method != Method::Connect) {
                check_relayed(taken, &head);
            }
        }
        let is_server = !self.taken.is_empty();
        let has_tunnel =
            self.taken.iter().any(|taken| taken.head.is_some_and(|head| head.method == Method::Connect));
        if is_server && !has_tunnel && !self.connection.has_failed() {
            let mut rest = &self.out[..];
            for taken in self.taken.iter().filter(|taken| taken.is_answered) {
                let to_head = taken.head.is_some_and(|head| head.method == Method::Head);
                let Some(behind) = response(rest, to_head) else { break };
                rest = behind;
            }
            // What a client that cannot be understood is told at last.
            assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400 "), "{}", rest.escape_ascii());
        }
    }
}

/// The request as the next hop gets it.
fn check_relayed(taken: &Taken, head: &RequestHead) {
    let config = Arc::new(ConnectionConfig::default());
    let mut client = Connection::new(Role::Client, config, SEED, HEAD_MAX);
    let end = taken.content.is_empty() && taken.trailers.is_none();
    let stream = client.open(&taken.fields, end).expect("the first has a slot");
    if !end {
        client.send_data(stream, &taken.content, taken.trailers.is_none()).expect("content fits");
        if let Some(trailers) = &taken.trailers {
            _ = client.send_trailers(stream, trailers.clone()).expect("they follow content");
        }
    }
    while client.cut().is_some() {}
    let octets = client.transmit();
    let (lines, content, rest) =
        read(octets, head.method == Method::Connect).expect("another voice reads it");
    assert_eq!(content, taken.content, "{}", octets.escape_ascii());
    assert!(rest.is_empty(), "a second message: {}", octets.escape_ascii());
    let first = |name: &str| lines.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
    let hosts = lines.iter().filter(|(name, _)| name == "host").count();
    assert_eq!(hosts, 1);
    assert_eq!(first("host").as_deref(), taken.fields.value_of(FieldName::Authority));
    let method = taken.fields.value_of(FieldName::Method).unwrap_or_default();
    assert!(octets.starts_with(method));
}

type Message<'a> = (Vec<(String, Vec<u8>)>, Vec<u8>, &'a [u8]);

/// The plainest reading of one request.
fn read(octets: &[u8], is_tunnel: bool) -> Option<Message<'_>> {
    let mut headers = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(end) = request.parse(octets).ok()? else { return None };
    let lines: Vec<(String, Vec<u8>)> =
        request.headers.iter().map(|one| (one.name.to_ascii_lowercase(), one.value.to_vec())).collect();
    if is_tunnel {
        return Some((lines, Vec::new(), &octets[end..]));
    }
    let (content, rest) = content(&lines, &octets[end..], false)?;
    Some((lines, content, rest))
}

/// One final response, and what stands behind it.
fn response(octets: &[u8], to_head: bool) -> Option<&[u8]> {
    let mut headers = [httparse::EMPTY_HEADER; 256];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = response.parse(octets).ok()? else { return None };
    if response.code != Some(203) {
        return None;
    }
    if to_head {
        return Some(&octets[end..]);
    }
    let lines: Vec<(String, Vec<u8>)> =
        response.headers.iter().map(|one| (one.name.to_ascii_lowercase(), one.value.to_vec())).collect();
    let (content, rest) = content(&lines, &octets[end..], true)?;
    assert_eq!(content, b"ok");
    Some(rest)
}

fn content<'a>(
    lines: &[(String, Vec<u8>)],
    octets: &'a [u8],
    until_close: bool,
) -> Option<(Vec<u8>, &'a [u8])> {
    let all = |wanted: &str| lines.iter().filter(|(name, _)| name == wanted).collect::<Vec<_>>();
    match (&all("transfer-encoding")[..], &all("content-length")[..]) {
        ([], []) if until_close => Some((octets.to_vec(), &[])),
        ([], []) => Some((Vec::new(), octets)),
        ([], [(_, value)]) => {
            let length: usize = std::str::from_utf8(value).ok()?.parse().ok()?;
            let (content, rest) = octets.split_at_checked(length)?;
            Some((content.to_vec(), rest))
        }
        ([(_, value)], []) if value == b"chunked" => chunks(octets),
        _ => panic!("a message with two ends: {lines:?}"),
    }
}

fn chunks(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut content = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            break;
        }
        let (chunk, behind) = rest.split_at_checked(size)?;
        content.extend_from_slice(chunk);
        rest = behind.strip_prefix(b"\r\n")?;
    }
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let line = &rest[..end];
        rest = &rest[end + 2..];
        if line.is_empty() {
            return Some((content, rest));
        }
    }
}

fn section(lines: &[(&str, &str)]) -> FieldSection {
    let mut fields = FieldSection::new();
    for (name, value) in lines {
        fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), SEED));
    }
    fields
}
