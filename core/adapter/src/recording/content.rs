//! Which octets of a connection's direction are content of HTTP/2: what stands in DATA frames, pad lengths left out.

use shuntyard_core::frame::{FrameHeader, FrameType, HEADER_LEN, PREFACE, flags};

/// How far a direction has come. It does not judge: of octets that are no HTTP/2 it calls some content that are none, and
/// the gateway has ended such a connection by then.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// So many octets of a client's preface have come.
    Preface(usize),
    /// So many octets of a frame header have.
    Header(usize, [u8; HEADER_LEN]),
    /// So many octets of a payload are missing, the first of which is a pad length.
    PadLength(u32),
    /// So many octets of a payload are missing, and whether they are content.
    Payload(u32, bool),
    /// It does not speak HTTP/2.
    Foreign,
}

impl Content {
    /// A direction from its begin.
    pub(crate) fn new(from_client: bool) -> Self {
        Self { state: if from_client { State::Preface(0) } else { State::Header(0, [0; HEADER_LEN]) } }
    }

    /// Whether these octets, which come next, go on with what can only be HTTP/2. Of a direction that begins with a client's preface.
    pub(crate) fn is_http2_with(&self, octets: &[u8]) -> bool {
        match self.state {
            State::Foreign => false,
            State::Preface(have) => {
                let expected = &PREFACE[have..];
                let n = octets.len().min(expected.len());
                octets[..n] == expected[..n]
            }
            State::Header(..) | State::PadLength(_) | State::Payload(..) => true,
        }
    }

    /// Whether the whole of a client's preface has come.
    pub(crate) fn is_http2(&self) -> bool {
        !matches!(self.state, State::Foreign | State::Preface(_))
    }

    /// Shows the next octets in pieces, each with whether it is content. Content comes frame by frame, what is between as
    /// one piece.
    pub(crate) fn split<'a>(&mut self, octets: &'a [u8], mut show: impl FnMut(&'a [u8], bool)) {
        let (mut begin, mut rest) = (octets, octets);
        while !rest.is_empty() {
            let (skipped, content) = match self.whole_frame(rest) {
                Some(whole) => whole,
                None => match self.step(rest) {
                    (n, true) => (0, n),
                    (n, false) => (n, 0),
                },
            };
            rest = &rest[skipped..];
            if content > 0 {
                let before = begin.len() - rest.len();
                if before > 0 {
                    show(&begin[..before], false);
                }
                show(&rest[..content], true);
                rest = &rest[content..];
                begin = rest;
            }
        }
        if !begin.is_empty() {
            show(begin, false);
        }
    }

    /// A frame without padding that stands whole at the front: its octets up to content, and those of content. Most do, and
    /// need no second look.
    #[inline]
    fn whole_frame(&self, octets: &[u8]) -> Option<(usize, usize)> {
        let State::Header(0, _) = self.state else { return None };
        let ([l0, l1, l2, kind, bits, ..], behind) = octets.split_first_chunk::<HEADER_LEN>()?;
        let length = u32::from_be_bytes([0, *l0, *l1, *l2]) as usize;
        let is_data = *kind == FrameType::Data.to_octet();
        if length > behind.len() || is_data && bits & flags::PADDED != 0 {
            return None;
        }
        Some(if is_data { (HEADER_LEN, length) } else { (HEADER_LEN + length, 0) })
    }

    /// Takes one piece: how long it is, and whether it is content. `octets` is not empty.
    fn step(&mut self, octets: &[u8]) -> (usize, bool) {
        match self.state {
            State::Foreign => (octets.len(), false),
            State::Preface(have) => {
                let expected = &PREFACE[have..];
                let n = octets.len().min(expected.len());
                self.state = match octets[..n] == expected[..n] {
                    false => State::Foreign,
                    true if n == expected.len() => State::Header(0, [0; HEADER_LEN]),
                    true => State::Preface(have + n),
                };
                (n, false)
            }
            State::Header(have, mut header) => {
                let n = octets.len().min(HEADER_LEN - have);
                header[have..have + n].copy_from_slice(&octets[..n]);
                self.state = if have + n == HEADER_LEN {
                    payload_of(FrameHeader::decode(&header))
                } else {
                    State::Header(have + n, header)
                };
                (n, false)
            }
            State::PadLength(left) => {
                self.state = payload(left - 1, true);
                (1, false)
            }
            State::Payload(left, content) => {
                let n = octets.len().min(left as usize);
                self.state = payload(left - n as u32, content);
                (n, content)
            }
        }
    }
}

fn payload_of(header: FrameHeader) -> State {
    match header.frame_type {
        FrameType::Data if header.length > 0 && header.flags & flags::PADDED != 0 => {
            State::PadLength(header.length)
        }
        FrameType::Data => payload(header.length, true),
        _ => payload(header.length, false),
    }
}

fn payload(left: u32, content: bool) -> State {
    if left == 0 { State::Header(0, [0; HEADER_LEN]) } else { State::Payload(left, content) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shuntyard_core::frame;

    /// The octets with content as zeros, through pieces of this size.
    fn without(octets: &[u8], size: usize) -> Vec<u8> {
        let (mut content, mut out) = (Content::new(true), Vec::new());
        for piece in octets.chunks(size) {
            content.split(piece, |octets, is_content| {
                assert!(!octets.is_empty());
                if is_content {
                    out.resize(out.len() + octets.len(), 0);
                } else {
                    out.extend_from_slice(octets);
                }
            });
        }
        out
    }

    #[test]
    fn data_is_content_and_nothing_else_is() {
        let (mut octets, mut expected) = (PREFACE.to_vec(), PREFACE.to_vec());
        for (said, zeros) in [(b"secret".as_slice(), [0; 6].as_slice()), (b"", b"")] {
            for (out, data) in [(&mut octets, said), (&mut expected, zeros)] {
                frame::put_settings(out, &[(1, 2)]);
                frame::put_data(out, 1, data, true);
                frame::put_ping(out, *b"pingpong", false);
            }
        }
        // A padded frame: pad length 2, content of 3, padding of 2.
        for (out, data) in [(&mut octets, b"abc".as_slice()), (&mut expected, &[0; 3])] {
            out.extend([0, 0, 6, 0, flags::PADDED, 0, 0, 0, 1, 2]);
            out.extend(data);
            out.extend([0, 0]);
            frame::put_settings_ack(out);
        }
        for size in [1, 2, 9, 10, 1000] {
            assert_eq!(without(&octets, size), expected, "pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_http_2_is_kept() {
        let octets = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n\0\0\x05\0\0\0\0\0\x01hello";
        assert_eq!(without(octets, 7), octets);
    }
}
