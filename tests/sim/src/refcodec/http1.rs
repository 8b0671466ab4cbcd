//! HTTP/1.1 messages, read strictly and written plainly (RFC 9112). What more than one reading could be made of is refused: a
//! gateway has no reason to send it (C8).

use std::collections::VecDeque;

use super::{Field, field, value_of};

/// What comes out of the octets of one direction, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The three words of the first line, and the fields; no content of this message has come yet.
    Head([String; 3], Vec<Field>),
    /// Some content.
    Content(Vec<u8>),
    /// The message is whole; its trailers.
    End(Vec<Field>),
}

/// How much is left of the content of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// A head is next.
    Nothing,
    /// So many octets.
    Octets(u64),
    /// The size of a chunk is next.
    ChunkSize,
    /// So many octets of a chunk, and its line's end.
    Chunk(u64),
}

/// Reads messages of one direction of a connection.
#[derive(Clone, Debug)]
pub struct Reader {
    buffer: Vec<u8>,
    left: Left,
    requests: bool,
    /// For each response that is to come: whether it answers HEAD and has no content.
    bodiless: VecDeque<bool>,
}

impl Reader {
    /// A reader of requests, or of responses.
    pub fn new(requests: bool) -> Self {
        Self { buffer: Vec::new(), left: Left::Nothing, requests, bodiless: VecDeque::new() }
    }

    /// A request was sent whose response is awaited; `head` where its method is HEAD.
    pub fn expect(&mut self, head: bool) {
        self.bodiless.push_back(head);
    }

    /// Octets came.
    pub fn push(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
    }

    /// Whether a message has begun and is not whole.
    pub fn is_within(&self) -> bool {
        self.left != Left::Nothing || !self.buffer.is_empty()
    }

    /// The next part, once it is there.
    pub fn next_part(&mut self) -> Result<Option<Part>, String> {
        match self.left {
            Left::Nothing => self.head(),
            Left::Octets(0) => {
                self.left = Left::Nothing;
                Ok(Some(Part::End(Vec::new())))
            }
            Left::Octets(n) => {
                let content = self.take(n);
                self.left = Left::Octets(n - content.len() as u64);
                Ok((!content.is_empty()).then_some(Part::Content(content)))
            }
            Left::ChunkSize => self.chunk_size(),
            Left::Chunk(0) => {
                if self.buffer.len() < 2 {
                    return Ok(None);
                }
                if !self.buffer.starts_with(b"\r\n") {
                    return Err("a chunk has no end".into());
                }
                self.buffer.drain(..2);
                self.left = Left::ChunkSize;
                self.next_part()
            }
            Left::Chunk(n) => {
                let content = self.take(n);
                self.left = Left::Chunk(n - content.len() as u64);
                Ok((!content.is_empty()).then_some(Part::Content(content)))
            }
        }
    }

    fn take(&mut self, most: u64) -> Vec<u8> {
        let n = usize::try_from(most).unwrap_or(usize::MAX).min(self.buffer.len());
        self.buffer.drain(..n).collect()
    }

    /// The lines up to an empty one, without their ends, if that is there.
    fn section(&mut self) -> Result<Option<Vec<String>>, String> {
        let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
        let (text, all) = match end {
            _ if self.buffer.starts_with(b"\r\n") => (0, 2),
            Some(at) => (at, at + 4),
            None => return Ok(None),
        };
        let octets: Vec<u8> = self.buffer.drain(..all).take(text).collect();
        let text = String::from_utf8(octets).map_err(|_| "a head that is no text")?;
        let lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
        let stray = lines.iter().find(|line| line.contains(['\r', '\n', '\0']));
        match stray {
            Some(line) => Err(format!("CR, LF or NUL inside of {line:?} (9112 2.2)")),
            None => Ok(Some(if text.is_empty() { Vec::new() } else { lines })),
        }
    }

    fn head(&mut self) -> Result<Option<Part>, String> {
        let Some(lines) = self.section()? else { return Ok(None) };
        let [first, rest @ ..] = lines.as_slice() else { return Err("an empty line for a head".into()) };
        let words: Vec<String> = first.splitn(3, ' ').map(str::to_owned).collect();
        let words: [String; 3] = words.try_into().map_err(|_| format!("a first line {first:?}"))?;
        let version = if self.requests { &words[2] } else { &words[0] };
        if version != "HTTP/1.1" {
            return Err(format!("the version of {first:?}"));
        }
        let fields = rest.iter().map(|line| field_of(line)).collect::<Result<Vec<Field>, String>>()?;
        self.left = if self.requests {
            if fields.iter().filter(|(name, _)| name == b"host").count() != 1 {
                return Err(format!("not one host (9112 3.2): {fields:?}"));
            }
            framing(&fields)?.unwrap_or(Left::Octets(0))
        } else {
            let interim = words[1].starts_with('1');
            let head = if interim { Some(false) } else { self.bodiless.pop_front() };
            let head = head.ok_or("a response that nobody asked for")?;
            let none = interim || head || words[1] == "204" || words[1] == "304";
            let framing = framing(&fields)?;
            if (interim || words[1] == "204") && framing.is_some() {
                return Err(format!("a length for {} (9110 8.6)", words[1]));
            }
            let until_close = "a response that only the end of its connection ends";
            if none { Left::Octets(0) } else { framing.ok_or(until_close)? }
        };
        Ok(Some(Part::Head(words, fields)))
    }

    fn chunk_size(&mut self) -> Result<Option<Part>, String> {
        let Some(at) = self.buffer.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let line = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
        let size = u64::from_str_radix(&line, 16).map_err(|_| format!("a chunk's size {line:?}"))?;
        if size > 0 {
            self.buffer.drain(..at + 2);
            self.left = Left::Chunk(size);
            return self.next_part();
        }
        // Behind the last chunk a section of trailers follows, which may be empty.
        let last: Vec<u8> = self.buffer.drain(..at + 2).collect();
        let Some(lines) = self.section()? else {
            self.buffer.splice(..0, last);
            return Ok(None);
        };
        self.left = Left::Nothing;
        let trailers = lines.iter().map(|line| field_of(line)).collect::<Result<Vec<Field>, String>>()?;
        let framing = trailers.iter().any(|(name, _)| matches!(name.as_slice(), b"content-length" | b"host"));
        if framing { Err("framing in trailers (9110 6.5.1)".into()) } else { Ok(Some(Part::End(trailers))) }
    }
}

/// Which of the two ways a message says where it ends; both, or one twice, is a way to smuggle (9112 section 6.3).
fn framing(fields: &[Field]) -> Result<Option<Left>, String> {
    let all = |wanted: &[u8]| fields.iter().filter(|(name, _)| name == wanted).count();
    match (all(b"content-length"), all(b"transfer-encoding")) {
        (0, 0) => Ok(None),
        (1, 0) => {
            let text = String::from_utf8_lossy(value_of(fields, "content-length").unwrap_or_default());
            let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
            let length = text.parse().ok().filter(|_| digits);
            Ok(Some(Left::Octets(length.ok_or(format!("content-length: {text}"))?)))
        }
        (0, 1) if value_of(fields, "transfer-encoding") == Some(b"chunked") => Ok(Some(Left::ChunkSize)),
        _ => Err(format!("more than one length (9112 6.3): {fields:?}")),
    }
}

fn field_of(line: &str) -> Result<Field, String> {
    let (name, value) = line.split_once(':').ok_or(format!("no field line: {line:?}"))?;
    let token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("a field name in {line:?} (9112 5.1)"));
    }
    Ok(field(name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])))
}

/// A message with all of its content: with its length where that is declared, else in chunks of `chunk` octets. `None` for
/// content where there can be none.
pub fn message(
    first: &str,
    fields: &[Field],
    content: Option<(&[u8], usize)>,
    trailers: &[Field],
) -> Vec<u8> {
    let mut octets = format!("{first}\r\n").into_bytes();
    let line = |octets: &mut Vec<u8>, name: &[u8], value: &[u8]| {
        octets.extend([name, b": ", value, b"\r\n"].concat());
    };
    for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with(b":")) {
        line(&mut octets, name, value);
    }
    let declared = value_of(fields, "content-length").is_some();
    match content {
        Some((content, _)) if declared => {
            octets.extend_from_slice(b"\r\n");
            octets.extend_from_slice(content);
        }
        Some((content, chunk)) => {
            line(&mut octets, b"transfer-encoding", b"chunked");
            octets.extend_from_slice(b"\r\n");
            for piece in content.chunks(chunk.max(1)) {
                octets.extend(format!("{:x}\r\n", piece.len()).into_bytes());
                octets.extend([piece, b"\r\n"].concat());
            }
            octets.extend_from_slice(b"0\r\n");
            trailers.iter().for_each(|(name, value)| line(&mut octets, name, value));
            octets.extend_from_slice(b"\r\n");
        }
        None => octets.extend_from_slice(b"\r\n"),
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(requests: bool, octets: &[u8]) -> Result<Vec<Part>, String> {
        let mut reader = Reader::new(requests);
        reader.expect(false);
        let mut parts = Vec::new();
        for &octet in octets {
            reader.push(&[octet]);
            while let Some(part) = reader.next_part()? {
                parts.push(part);
            }
        }
        if reader.is_within() { Err("it is not whole".into()) } else { Ok(parts) }
    }

    #[test]
    fn what_is_written_is_read_octet_by_octet() {
        let fields = [field("host", "a"), field("x-a", "1")];
        let trailers = [field("x-t", "2")];
        let chunked = message("POST / HTTP/1.1", &fields, Some((b"hello", 2)), &trailers);
        let parts = read(true, &chunked).unwrap();
        let content: Vec<u8> = parts
            .iter()
            .flat_map(|part| if let Part::Content(octets) = part { octets.clone() } else { vec![] })
            .collect();
        assert_eq!(content, b"hello");
        assert_eq!(parts.last(), Some(&Part::End(trailers.to_vec())));
        let declared = [field("content-length", "5")];
        let whole = message("HTTP/1.1 200 OK", &declared, Some((b"hello", 2)), &[]);
        assert_eq!(read(false, &whole).unwrap().last(), Some(&Part::End(vec![])));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for wrong in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
            "GET / HTTP/1.0\r\nhost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\n1",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n1",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1;x=y\r\na\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        ] {
            assert!(read(true, wrong.as_bytes()).is_err(), "{wrong:?}");
        }
        for wrong in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ] {
            assert!(read(false, wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }
}
