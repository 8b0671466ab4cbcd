//! Any octets into one HTTP/1.1 connection of either role, and what it takes of them on to the next hop.
//!
//! Nothing panics or loops, no more than a head is kept of the input, and the same is told however the octets are cut, and whether
//! heads that come again are remembered or not. Each request that a server takes is written by a client and read by another voice
//! (httparse, with the plainest reading of lengths and chunks beside it): it is one request, with the same target, fields, content and trailers, and
//! nothing behind it. What a server answers is read in the same way: to each request its own response, in order, and none is missing where the
//! connection has not failed.

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
/// The longest line with a chunk's size: sixteen digits, 4096 octets of extensions, and its end.
const CHUNK_LINE_MAX: usize = 16 + 4096 + 2;

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
    /// The number of its answer, which its connection has taken whole.
    answer: Option<usize>,
    /// Its client has broken a rule behind its head.
    has_failed: bool,
}

struct Owner {
    role: Role,
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
        Self {
            role,
            connection,
            flags,
            inbox: Vec::new(),
            taken: Vec::new(),
            told: Vec::new(),
            out: Vec::new(),
        }
    }

    fn play(mut self, octets: &[u8], cuts: &[usize]) -> Played {
        let mut rest = octets;
        for &cut in cuts {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            self.recv(piece);
            rest = behind;
        }
        self.recv(rest);
        // A round is an answer, and a request is more than an octet.
        for _ in 0..=octets.len() {
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
        let kept_max = if self.is_in_content() { CHUNK_LINE_MAX } else { HEAD_MAX };
        let n = self.inbox.len();
        assert!(
            n <= kept_max || self.connection.is_congested(),
            "{n} octets are kept, of {kept_max} at most"
        );
    }

    /// Whether the line of a chunk may be what has come in part.
    fn is_in_content(&self) -> bool {
        self.role == Role::Client || self.taken.last().is_some_and(|taken| !taken.is_whole)
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
                    answer: None,
                    has_failed: false,
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
                    answer: None,
                    has_failed: false,
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
            Event::Failed { stream, error, .. } => {
                self.told.push(format!("failed {error:?}"));
                let failed = self.taken.iter_mut().find(|taken| taken.stream == stream);
                failed.into_iter().for_each(|taken| taken.has_failed = true);
            }
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
        let (status, content) = answer(n);
        let head = section(&[&[(":status", &*status)], fields].concat());
        // A stream that has failed is gone.
        if self.connection.send_head(taken.stream, &head, false).is_err() {
            return;
        }
        let (first, second) = content.split_at(1);
        let whole = self.connection.send_data(taken.stream, first.as_bytes(), false).is_ok()
            && self.connection.send_data(taken.stream, second.as_bytes(), true).is_ok();
        taken.answer = whole.then_some(n);
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
            if taken.is_whole && taken.head.is_some_and(|head| head.method != Method::Connect) {
                check_relayed(taken);
            }
        }
        let is_server = !self.taken.is_empty();
        let has_tunnel =
            self.taken.iter().any(|taken| taken.head.is_some_and(|head| head.method == Method::Connect));
        if is_server && !has_tunnel && !self.connection.has_failed() {
            let mut rest = &self.out[..];
            for taken in &self.taken {
                let Some(n) = taken.answer else {
                    assert!(taken.has_failed, "a request has no answer: {}", self.out.escape_ascii());
                    continue;
                };
                let to_head = taken.head.is_some_and(|head| head.method == Method::Head);
                let behind = response(rest, n, to_head);
                rest = behind.unwrap_or_else(|| panic!("no answer {n}: {}", self.out.escape_ascii()));
            }
            // What a client that cannot be understood is told at last, or one whose trailers are too large.
            let has_large_trailers = self.taken.last().is_some_and(|taken| taken.has_failed);
            let is_last = rest.is_empty()
                || rest.starts_with(b"HTTP/1.1 400 ")
                || has_large_trailers && rest.starts_with(b"HTTP/1.1 431 ");
            assert!(is_last, "{}", rest.escape_ascii());
        }
    }
}

/// The request as the next hop gets it.
fn check_relayed(taken: &Taken) {
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
    let message = read(octets).unwrap_or_else(|| panic!("another voice reads it: {}", octets.escape_ascii()));
    assert_eq!(message.content, taken.content, "{}", octets.escape_ascii());
    assert!(message.rest.is_empty(), "a second message: {}", octets.escape_ascii());
    let value = |name| taken.fields.value_of(name).unwrap_or_default().to_vec();
    let said = (message.method.into_bytes(), message.target.into_bytes());
    assert_eq!(said, (value(FieldName::Method), value(FieldName::Path)), "{}", octets.escape_ascii());
    let hosts: Vec<_> =
        message.lines.iter().filter(|(name, _)| name == "host").map(|(_, value)| value).collect();
    assert_eq!(hosts, [&value(FieldName::Authority)]);
    assert_eq!(
        message.lines.iter().filter(|line| is_relayed(line)).cloned().collect::<Vec<_>>(),
        lines_of(&taken.fields)
    );
    let trailers = taken.trailers.as_ref().map_or_else(Vec::new, lines_of);
    assert_eq!(message.trailers, trailers, "{}", octets.escape_ascii());
}

type Line = (String, Vec<u8>);

/// Whether the line is one that the next hop gets as it came. Others are of one connection, or say where the message ends.
fn is_relayed((name, _): &Line) -> bool {
    const OWN: [&str; 9] = [
        "host",
        "content-length",
        "transfer-encoding",
        "te",
        "connection",
        "proxy-connection",
        "keep-alive",
        "upgrade",
        "http2-settings",
    ];
    !OWN.contains(&&**name) && !name.starts_with(':')
}

/// The lines of a section that the next hop gets: crumbs joined (RFC 9113 section 8.2.3), and control octets, of which a server of HTTP/1.1 takes none.
fn lines_of(fields: &FieldSection) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for one in fields.iter() {
        let name = String::from_utf8_lossy(one.name).into_owned();
        match lines.iter_mut().find(|(other, _)| name == "cookie" && *other == name) {
            Some((_, crumbs)) => crumbs.extend([b"; ", one.value].concat()),
            None => lines.push((name, one.value.to_vec())),
        }
    }
    lines.retain(is_relayed);
    // An empty crumb ends the line with a blank, which nobody reads.
    lines.iter_mut().for_each(|(_, value)| value.truncate(value.trim_ascii_end().len()));
    lines
}

/// The status and the content of the answer with this number: no two among those that an input has are the same.
fn answer(n: usize) -> (String, String) {
    ((230 + n % 60).to_string(), format!("{:02}", n % 100))
}

/// A request as another voice reads it.
struct Message<'a> {
    method: String,
    target: String,
    lines: Vec<Line>,
    content: Vec<u8>,
    trailers: Vec<Line>,
    rest: &'a [u8],
}

/// The plainest reading of one request.
fn read(octets: &[u8]) -> Option<Message<'_>> {
    let mut headers = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(end) = request.parse(octets).ok()? else { return None };
    let (method, target) = (request.method?.to_owned(), request.path?.to_owned());
    let lines = lines_read(request.headers);
    let Content { content, trailers, rest } = content(&lines, &octets[end..], false)?;
    Some(Message { method, target, lines, content, trailers, rest })
}

fn lines_read(headers: &[httparse::Header<'_>]) -> Vec<Line> {
    headers.iter().map(|one| (one.name.to_ascii_lowercase(), one.value.to_vec())).collect()
}

/// The final response with this number, and what stands behind it.
fn response(octets: &[u8], n: usize, to_head: bool) -> Option<&[u8]> {
    let mut headers = [httparse::EMPTY_HEADER; 256];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = response.parse(octets).ok()? else { return None };
    let (status, expected) = answer(n);
    if response.code?.to_string() != status {
        return None;
    }
    if to_head {
        return Some(&octets[end..]);
    }
    let lines = lines_read(response.headers);
    let Content { content, rest, .. } = content(&lines, &octets[end..], true)?;
    assert_eq!(content, expected.as_bytes());
    Some(rest)
}

/// What follows a head.
struct Content<'a> {
    content: Vec<u8>,
    trailers: Vec<Line>,
    rest: &'a [u8],
}

fn content<'a>(lines: &[Line], octets: &'a [u8], until_close: bool) -> Option<Content<'a>> {
    let all = |wanted: &str| lines.iter().filter(|(name, _)| name == wanted).collect::<Vec<_>>();
    let plain = |content: &[u8], rest| Content { content: content.to_vec(), trailers: Vec::new(), rest };
    match (&all("transfer-encoding")[..], &all("content-length")[..]) {
        ([], []) if until_close => Some(plain(octets, &[])),
        ([], []) => Some(plain(b"", octets)),
        ([], [(_, value)]) => {
            let length: usize = std::str::from_utf8(value).ok()?.parse().ok()?;
            let (content, rest) = octets.split_at_checked(length)?;
            Some(plain(content, rest))
        }
        ([(_, value)], []) if value == b"chunked" => chunks(octets),
        _ => panic!("a message with two ends: {lines:?}"),
    }
}

fn chunks(mut rest: &[u8]) -> Option<Content<'_>> {
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
    let mut trailers = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let line = &rest[..end];
        rest = &rest[end + 2..];
        if line.is_empty() {
            return Some(Content { content, trailers, rest });
        }
        let colon = line.windows(2).position(|two| two == b": ")?;
        let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
        // Blanks around a value are not of it (RFC 9112 section 5.1).
        trailers.push((name, line[colon + 2..].trim_ascii().to_vec()));
    }
}

fn section(lines: &[(&str, &str)]) -> FieldSection {
    let mut fields = FieldSection::new();
    for (name, value) in lines {
        fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), SEED));
    }
    fields
}
