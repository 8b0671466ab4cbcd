//! The content of messages as it comes: counted, in chunks, or until the connection is closed (RFC 9112 sections 6 and 7).

use crate::error::StreamError;
use crate::h1::framing::Framing;
use crate::h1::scan::{Found, Scan};

/// Octets of chunk extensions that a request may have in all, and each line of a response: it may go on for days. They are dropped: nobody knows
/// any (RFC 9112 section 7.1.1).
const EXTENSIONS_MAX: u32 = 4096;
/// Digits of a chunk's size: as many as 64 bits need.
const SIZE_DIGITS_MAX: usize = 16;
/// What stands around a chunk at least: its size in one digit, and two ends of lines. One with less content is tiny.
const CHUNK_FRAME: u64 = 5;

/// Content that is being received.
#[derive(Clone, Debug)]
pub(crate) enum Incoming {
    /// So many octets are still to come.
    Length(u64),
    /// Chunks.
    Chunked(Chunks),
    /// Everything, until the peer closes its side.
    UntilClose,
}

/// Where in the chunked coding the input stands (RFC 9112 section 7.1).
#[derive(Clone, Debug)]
pub(crate) struct Chunks {
    step: Step,
    extensions_left: u32,
    /// They are those of a response.
    by_line: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The line with a chunk's size.
    Size,
    /// So many octets of a chunk are still to come, and whether it is tiny.
    Data(u64, bool),
    /// The end of the line behind them, and whether it was.
    DataEnd(bool),
    /// Behind the last chunk: the trailer section, of which an empty one is only the end of a line.
    Trailers,
}

/// What could be taken of the content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Nothing before more octets come, or there is room for them.
    Nothing,
    /// Octets of content, and whether the message ends with them.
    Data(&'a [u8], bool),
    /// A trailer section with its empty line. The message ends with it.
    Trailers(&'a [u8]),
}

impl Incoming {
    /// What is received where a message is framed like this; `None` where there is no content.
    pub(crate) fn new(framing: Framing, is_response: bool) -> Option<Self> {
        match framing {
            Framing::None | Framing::Length(0) => None,
            Framing::Length(length) => Some(Self::Length(length)),
            Framing::Chunked => Some(Self::Chunked(Chunks::new(is_response))),
            Framing::UntilClose | Framing::Tunnel => Some(Self::UntilClose),
        }
    }

    /// Takes the next piece from the front of `octets`; says how many octets it took. `room`: octets of content that may be
    /// taken. `section_max`: octets of a trailer section.
    pub(crate) fn take<'a>(
        &mut self,
        octets: &'a [u8],
        scan: &mut Scan,
        room: usize,
        section_max: usize,
    ) -> Result<(Piece<'a>, usize), StreamError> {
        match self {
            Self::Length(left) => {
                let data = take_data(octets, room, left);
                let piece = if data.is_empty() { Piece::Nothing } else { Piece::Data(data, *left == 0) };
                Ok((piece, data.len()))
            }
            Self::Chunked(chunks) => chunks.take(octets, scan, room, section_max),
            Self::UntilClose => {
                let data = &octets[..octets.len().min(room)];
                let piece = if data.is_empty() { Piece::Nothing } else { Piece::Data(data, false) };
                Ok((piece, data.len()))
            }
        }
    }

    /// Whether what was taken last is the end of a chunk with less content than what stands around it, however it was cut on its way.
    pub(crate) const fn ends_tiny_chunk(&self) -> bool {
        matches!(self, Self::Chunked(Chunks { step: Step::DataEnd(true), .. }))
    }

    /// Whether a trailer section has begun, and not ended, where `rest` is what was not taken.
    pub(crate) fn is_in_trailers(&self, rest: &[u8]) -> bool {
        matches!(self, Self::Chunked(Chunks { step: Step::Trailers, .. })) && !rest.is_empty()
    }
}

fn take_data<'a>(octets: &'a [u8], room: usize, left: &mut u64) -> &'a [u8] {
    let n = octets.len().min(room).min(usize::try_from(*left).unwrap_or(usize::MAX));
    *left -= n as u64;
    &octets[..n]
}

impl Chunks {
    fn new(is_response: bool) -> Self {
        Self { step: Step::Size, extensions_left: EXTENSIONS_MAX, by_line: is_response }
    }

    fn take<'a>(
        &mut self,
        octets: &'a [u8],
        scan: &mut Scan,
        room: usize,
        section_max: usize,
    ) -> Result<(Piece<'a>, usize), StreamError> {
        let mut taken = 0;
        loop {
            let rest = &octets[taken..];
            // 9112-6.1-01, 9112-7.1-02
            match &mut self.step {
                Step::Size => {
                    let line_max = SIZE_DIGITS_MAX + self.extensions_left as usize + 2;
                    let end = match scan.line(rest, line_max) {
                        Found::Whole(end) => end,
                        Found::Partial => return Ok((Piece::Nothing, taken)),
                        Found::TooLong | Found::BareLineEnd => return Err(StreamError::Malformed),
                    };
                    let size = self.size(&rest[..end - 2]).ok_or(StreamError::Malformed)?;
                    self.step = if size == 0 { Step::Trailers } else { Step::Data(size, size < CHUNK_FRAME) };
                    taken += end;
                }
                Step::Data(left, tiny) => {
                    let data = take_data(rest, room, left);
                    taken += data.len();
                    let mut end = false;
                    if *left == 0 {
                        self.step = Step::DataEnd(*tiny);
                        // Most messages end right behind their last chunk: one event instead of two.
                        if octets[taken..].starts_with(b"\r\n0\r\n\r\n") {
                            taken += 7;
                            end = true;
                        }
                    }
                    let piece = if data.is_empty() { Piece::Nothing } else { Piece::Data(data, end) };
                    return Ok((piece, taken));
                }
                Step::DataEnd(_) => {
                    let Some(line_end) = rest.get(..2) else {
                        let wrong = rest.first().is_some_and(|&octet| octet != b'\r');
                        let nothing = Ok((Piece::Nothing, taken));
                        return if wrong { Err(StreamError::Malformed) } else { nothing };
                    };
                    if line_end != b"\r\n" {
                        return Err(StreamError::Malformed);
                    }
                    self.step = Step::Size;
                    taken += 2;
                }
                Step::Trailers => return trailers(rest, scan, section_max, taken),
            }
        }
    }

    /// `chunk-size [ chunk-ext ]`, without the end of the line.
    fn size(&mut self, line: &[u8]) -> Option<u64> {
        let digits = line.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
        let (size, extensions) = line.split_at(digits);
        if !(1..=SIZE_DIGITS_MAX).contains(&digits) || !are_extensions(extensions) {
            return None;
        }
        let left = self.extensions_left.checked_sub(u32::try_from(extensions.len()).ok()?)?;
        if !self.by_line {
            self.extensions_left = left;
        }
        let digit = |octet: &u8| u64::from((*octet as char).to_digit(16).unwrap_or(0));
        // 9112-7.1-03: sixteen digits fit.
        Some(size.iter().fold(0, |number, octet| number << 4 | digit(octet)))
    }
}

/// 9112-7.1.1-01: whether something that is ignored stands where extensions may stand: nothing, or a semicolon,
/// possibly behind blanks, and visible octets.
fn are_extensions(octets: &[u8]) -> bool {
    let begins = octets.trim_ascii_start().first().is_none_or(|&octet| octet == b';');
    let is_text = |&octet: &u8| octet == b'\t' || (octet >= b' ' && octet != 0x7f);
    octets.is_empty() || (begins && !octets.trim_ascii_start().is_empty() && octets.iter().all(is_text))
}

fn trailers<'a>(
    rest: &'a [u8],
    scan: &mut Scan,
    section_max: usize,
    taken: usize,
) -> Result<(Piece<'a>, usize), StreamError> {
    match rest {
        [b'\r', b'\n', ..] => return Ok((Piece::Data(&[], true), taken + 2)),
        [] | [b'\r'] => return Ok((Piece::Nothing, taken)),
        _ => {}
    }
    match scan.section(rest, section_max) {
        Found::Whole(end) => Ok((Piece::Trailers(&rest[..end]), taken + end)),
        Found::Partial => Ok((Piece::Nothing, taken)),
        Found::TooLong => Err(StreamError::FieldsTooLarge),
        Found::BareLineEnd => Err(StreamError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Content, trailer section, whether the message ended, and how many octets it took.
    type Taken = (Vec<u8>, Option<Vec<u8>>, bool, usize);

    /// Everything that can be taken of a request's octets that come in pieces.
    fn take_all(octets: &[u8], step: usize) -> Result<Taken, StreamError> {
        take_all_of(false, octets, step)
    }

    fn take_all_of(is_response: bool, octets: &[u8], step: usize) -> Result<Taken, StreamError> {
        let mut incoming = Incoming::new(Framing::Chunked, is_response).unwrap();
        let (mut scan, mut at, mut seen) = (Scan::default(), 0, 0);
        let (mut content, mut section, mut end) = (Vec::new(), None, false);
        while !end {
            let (piece, taken) = incoming.take(&octets[at..seen], &mut scan, usize::MAX, 1000)?;
            at += taken;
            match piece {
                Piece::Nothing if seen == octets.len() && taken == 0 => break,
                Piece::Nothing => seen = octets.len().min(seen + step),
                Piece::Data(data, last) => {
                    content.extend_from_slice(data);
                    end = last;
                }
                Piece::Trailers(octets) => {
                    section = Some(octets.to_vec());
                    end = true;
                }
            }
        }
        Ok((content, section, end, at))
    }

    #[test]
    fn rfc9112_7_1_chunks_however_they_are_cut() {
        let octets =
            b"5\r\nhello\r\n0000A;a=\"b;\"\t; c\r\n, worlds!?\r\nb \t;x\r\n01234567890\r\n0;last\r\n\r\nGET";
        for step in 1..octets.len() {
            let (content, section, end, at) = take_all(octets, step).unwrap();
            assert_eq!(content, b"hello, worlds!?01234567890", "cut into pieces of {step}");
            assert_eq!((section, end, at), (None, true, octets.len() - 3));
        }
        let octets = b"1\r\na\r\n0\r\nx: 1\r\ny:\r\n\r\n";
        for step in 1..octets.len() {
            let (content, section, end, at) = take_all(octets, step).unwrap();
            assert_eq!((&content[..], section.as_deref()), (&b"a"[..], Some(&b"x: 1\r\ny:\r\n\r\n"[..])));
            assert_eq!((end, at), (true, octets.len()));
        }
    }

    #[test]
    fn rfc9112_7_1_what_is_no_chunk() {
        let long = [b"1;".as_slice(), &[b'x'; EXTENSIONS_MAX as usize], b"\r\na\r\n"].concat();
        let sum =
            b"1;".iter().chain(&[b'x'; 700]).chain(b"\r\na\r\n").copied().collect::<Vec<u8>>().repeat(6);
        for bad in [
            &b"\r\n"[..],
            b"x\r\n",
            b" 1\r\na\r\n",
            b"+1\r\na\r\n",
            b"-1\r\na\r\n",
            b"0x1\r\na\r\n",
            b"1 \r\na\r\n",
            b"1\t\r\na\r\n",
            b"1 x\r\na\r\n",
            b"1_0\r\n",
            b"1\na\r\n",
            b"1\ra\r\n",
            b"1\r\r\na\r\n",
            b"1;a\0\r\na\r\n",
            b"1;a\x7f\r\na\r\n",
            b"1;a\nb\r\na\r\n",
            b"10000000000000000\r\n",
            b"00000000000000001\r\na\r\n",
            b"ffffffffffffffff0\r\n",
            b"1\r\nab\r\n",
            b"1\r\na\n0\r\n\r\n",
            b"1\r\na\r0\r\n\r\n",
            b"0\r\nx: 1\n\r\n",
            b"0\n\r\n",
            &long,
            &sum,
        ] {
            for step in [1, 2, bad.len()] {
                let result = take_all(bad, step);
                assert_eq!(result, Err(StreamError::Malformed), "{:?}", bad.escape_ascii().to_string());
            }
        }
        let mut chunks = Chunks { extensions_left: 0, ..Chunks::new(false) };
        for (line, size) in [("0", 0), ("7fFF", 0x7fff), ("0123456789abcdef", 0x123_4567_89ab_cdef)] {
            assert_eq!(chunks.size(line.as_bytes()), Some(size));
        }
        assert_eq!(chunks.size(b"fffffffffffffffe"), Some(u64::MAX - 1));
        let (content, .., end, _) = take_all(b"ffffffffffffffff\r\nabc", 1).unwrap();
        assert_eq!((&content[..], end), (&b"abc"[..], false));
        let trailers = [b"0\r\nx: ".as_slice(), &[b'x'; 1000], b"\r\n\r\n"].concat();
        assert_eq!(take_all(&trailers, 1), Err(StreamError::FieldsTooLarge));
        assert_eq!(take_all(&trailers, 5000), Err(StreamError::FieldsTooLarge));
    }

    /// A line of a response is as long as before, however many there were.
    #[test]
    fn rfc9112_7_1_1_extensions_of_a_response_are_limited_line_by_line() {
        let line = [b"1;".as_slice(), &[b'x'; 700], b"\r\na\r\n"].concat().repeat(6);
        let (content, .., at) = take_all_of(true, &line, 100).unwrap();
        assert_eq!((&content[..], at), (&b"aaaaaa"[..], line.len()));
        let long = [b"1;".as_slice(), &[b'x'; EXTENSIONS_MAX as usize], b"\r\na\r\n"].concat();
        assert_eq!(take_all_of(true, &long, 100), Err(StreamError::Malformed));
    }

    #[test]
    fn content_is_taken_as_far_as_there_is_room() {
        let mut scan = Scan::default();
        let of = |framing| Incoming::new(framing, false);
        let mut incoming = of(Framing::Length(5)).unwrap();
        assert_eq!(incoming.take(b"abcdefg", &mut scan, 3, 0), Ok((Piece::Data(b"abc", false), 3)));
        assert_eq!(incoming.take(b"defg", &mut scan, 0, 0), Ok((Piece::Nothing, 0)));
        assert_eq!(incoming.take(b"defg", &mut scan, 9, 0), Ok((Piece::Data(b"de", true), 2)));
        let mut incoming = of(Framing::Chunked).unwrap();
        assert_eq!(
            incoming.take(b"3\r\nabc\r\n0\r\n\r\n", &mut scan, 2, 0),
            Ok((Piece::Data(b"ab", false), 5))
        );
        assert_eq!(incoming.take(b"c\r\n0\r\n\r\n", &mut scan, 0, 0), Ok((Piece::Nothing, 0)));
        assert_eq!(incoming.take(b"c\r\n0\r\n\r\n", &mut scan, 1, 0), Ok((Piece::Data(b"c", true), 8)));
        assert!(of(Framing::Length(0)).is_none() && of(Framing::None).is_none());
    }
}
