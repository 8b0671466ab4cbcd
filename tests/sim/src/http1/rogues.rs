//! Who breaks the rules of HTTP/1.1: clients, once each on a connection of their own, and backends in a response.

use super::peers::Wire;
use crate::net::{End, Link};
use crate::refcodec::http1::{Part, message};
use crate::refcodec::{Field, field, value_of};
use crate::scenario::Exchange;
use crate::truth::{self, Direction};
use crate::world::World;

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientRogue {
    /// A first line of two words.
    BadLine,
    /// A version of its own.
    BadVersion,
    /// No `host` (RFC 9112 section 3.2).
    NoHost,
    /// Two of them.
    TwoHosts,
    /// Two lengths that differ (section 6.3).
    TwoLengths,
    /// A length and chunks (section 6.1).
    BothFramings,
    /// A transfer coding that is not chunked in the end.
    OtherCoding,
    /// A field line that goes on in the next (section 5.2).
    Folded,
    /// A blank between a name and its colon (section 5.1).
    BlankName,
    /// NUL in a value.
    Nul,
    /// CR in a value.
    BareCr,
    /// A head without end.
    EndlessHead,
    /// A head that stops for ever.
    HalfHead,
    /// Octets that are no text.
    NoText,
    /// A chunk whose size is no number.
    BadChunk,
    /// A chunk's size with more digits than any number has.
    HugeChunk,
    /// A chunk that is longer than its size.
    LongChunk,
    /// It ends its direction in the middle of its content.
    Finishes,
    /// It goes away in the middle of its content.
    Leaves,
}

impl ClientRogue {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::BadLine,
        Self::BadVersion,
        Self::NoHost,
        Self::TwoHosts,
        Self::TwoLengths,
        Self::BothFramings,
        Self::OtherCoding,
        Self::Folded,
        Self::BlankName,
        Self::Nul,
        Self::BareCr,
        Self::EndlessHead,
        Self::HalfHead,
        Self::NoText,
        Self::BadChunk,
        Self::HugeChunk,
        Self::LongChunk,
        Self::Finishes,
        Self::Leaves,
    ];

    /// Whether its head is sound, so that a backend may see it.
    pub fn is_forwarded(self) -> bool {
        matches!(self, Self::BadChunk | Self::HugeChunk | Self::LongChunk | Self::Finishes | Self::Leaves)
    }

    /// Statuses of which it is told one (RFC 9112 section 3, RFC 6585 section 5, RFC 9110 sections 15.5.9 and 15.6), where it is
    /// told what was wrong. Of who breaks off its content, or breaks its framing behind a head that was sound, a backend may have thought otherwise.
    fn statuses(self) -> &'static [u16] {
        match self {
            Self::BadLine | Self::NoHost | Self::TwoHosts | Self::TwoLengths | Self::BothFramings => &[400],
            Self::Folded | Self::BlankName | Self::Nul | Self::BareCr | Self::NoText => &[400],
            Self::BadVersion => &[400, 505],
            Self::OtherCoding => &[400, 501],
            Self::EndlessHead => &[431],
            Self::HalfHead => &[408],
            Self::BadChunk | Self::HugeChunk | Self::LongChunk => &[400, 502, 503, 504],
            Self::Finishes | Self::Leaves => &[400, 408, 502, 503, 504],
        }
    }

    /// Whether it is told, whatever becomes of others.
    pub(super) fn is_told(self) -> bool {
        // Of octets that are no text this world reads no answer.
        !self.is_forwarded() && self != Self::NoText
    }

    /// What it says, for a request whose content is in chunks.
    fn octets(self, exchange: &Exchange) -> Vec<u8> {
        let rid = exchange.rid;
        let with = |lines: &str| {
            format!("POST /r HTTP/1.1\r\nhost: sim.example\r\nx-rid: {rid}\r\n{lines}\r\n").into_bytes()
        };
        // Behind a chunk that is sound: what follows, with two octets that are the content's next.
        let chunk = |before: &str, behind: &str| {
            let head: Vec<Field> = std::iter::once(field("host", "sim.example"))
                .chain(truth::request_head(exchange))
                .filter(|(name, _)| name != b"content-length")
                .collect();
            let octets = truth::content(rid, Direction::Request, 0, 12);
            let mut whole = message("POST /r HTTP/1.1", &head, Some((&octets[..10], 10)), &[]);
            whole.truncate(whole.len() - b"0\r\n\r\n".len());
            [&whole, before.as_bytes(), &octets[10..], behind.as_bytes()].concat()
        };
        match self {
            Self::BadLine => format!("POST /r\r\nhost: sim.example\r\nx-rid: {rid}\r\n\r\n").into_bytes(),
            Self::BadVersion => {
                format!("POST /r HTTP/1.x\r\nhost: sim.example\r\nx-rid: {rid}\r\n\r\n").into()
            }
            Self::NoHost => format!("POST /r HTTP/1.1\r\nx-rid: {rid}\r\ncontent-length: 0\r\n\r\n").into(),
            Self::TwoHosts => with("host: other.example\r\ncontent-length: 0\r\n"),
            Self::TwoLengths => with("content-length: 1\r\ncontent-length: 2\r\n"),
            Self::BothFramings => with("content-length: 5\r\ntransfer-encoding: chunked\r\n"),
            Self::OtherCoding => with("transfer-encoding: chunked, gzip\r\n"),
            Self::Folded => with("x-long: a\r\n b\r\ncontent-length: 0\r\n"),
            Self::BlankName => with("content-length : 5\r\n"),
            Self::Nul => with("x-nul: a\0b\r\n"),
            Self::BareCr => with("x-cr: a\rb\r\n"),
            Self::EndlessHead => {
                [b"POST /r HTTP/1.1\r\nhost: a\r\nx-long: ".to_vec(), vec![b'a'; 300 << 10]].concat()
            }
            Self::HalfHead => b"POST /r HTTP/1.1\r\nhost: sim.ex".to_vec(),
            Self::NoText => (0..=255).rev().cycle().take(2000).collect(),
            Self::BadChunk => chunk("zz\r\n", "\r\n0\r\n\r\n"),
            Self::HugeChunk => chunk("fffffffffffffffff\r\n", "\r\n0\r\n\r\n"),
            Self::LongChunk => chunk("1\r\n", "\r\n0\r\n\r\n"),
            Self::Finishes | Self::Leaves => chunk("5\r\n", ""),
        }
    }
}

/// A client that breaks the rules, and takes what comes.
#[derive(Debug)]
pub(super) struct Rogue {
    pub(super) what: ClientRogue,
    exchange: Exchange,
    wire: Wire,
    asked: bool,
    /// The status of the one answer there may be.
    pub(super) status: Option<u16>,
    ended: bool,
}

impl Rogue {
    pub(super) fn new(what: ClientRogue, exchange: Exchange) -> Self {
        Self { what, exchange, wire: Wire::new(End::Initiator), asked: false, status: None, ended: false }
    }

    pub(super) fn is_done(&self) -> bool {
        self.wire.is_closed()
    }

    /// Looks at its link. An error says what the gateway did wrong.
    pub(super) fn wake(&mut self, link: &mut Link, world: &mut World) -> Result<(), String> {
        if !std::mem::replace(&mut self.asked, true) {
            self.wire.say(&self.what.octets(&self.exchange));
            self.wire.expect(false);
        }
        if self.what == ClientRogue::NoText {
            // Whoever says nothing that could be HTTP/1.1 is told so in HTTP/2.
            drop(self.wire.read_raw(link, world));
        } else {
            for part in self.wire.read(link, world)? {
                self.part(part)?;
            }
        }
        self.wire.write(link, world);
        if self.wire.has_said_all() {
            match self.what {
                ClientRogue::Finishes => self.wire.finish(link, world),
                ClientRogue::Leaves => self.wire.close(link, world),
                _ => {}
            }
        }
        if self.wire.is_over() {
            self.wire.close(link, world);
        }
        Ok(())
    }

    fn part(&mut self, part: Part) -> Result<(), String> {
        match part {
            Part::Head([_, status, _], fields) if !self.ended => {
                let status = status.parse().map_err(|_| format!("a status {status}"))?;
                let last = value_of(&fields, "connection").is_some_and(|value| value == b"close");
                if !self.what.statuses().contains(&status) || !last {
                    return Err(format!("{:?} is answered by {status}, {fields:?}", self.what));
                }
                self.status = Some(status);
                Ok(())
            }
            Part::Content(_) => Ok(()),
            Part::End(_) if !self.ended => {
                self.ended = true;
                Ok(())
            }
            Part::Head(..) | Part::End(_) => Err(format!("{:?} is answered twice", self.what)),
        }
    }
}

/// The status of responses that break the rules, which nobody else gives: where it arrives, the gateway has passed one on.
pub(super) const ROGUE: u16 = 299;

/// What a backend does in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendRogue {
    /// A status that is no number.
    BadStatus,
    /// A version of its own.
    BadVersion,
    /// A field line without a colon.
    BadField,
    /// NUL in a value.
    Nul,
    /// Two lengths that differ.
    TwoLengths,
    /// A length and chunks.
    BothFramings,
    /// A chunk whose size is no number.
    BadChunk,
    /// A head without end.
    EndlessHead,
    /// An end in the middle of the head.
    HalfHead,
    /// A second response, for which nobody has asked.
    Twice,
    /// A protocol for which nobody has asked (RFC 9110 section 7.8).
    Switches,
    /// Interim responses without end.
    Interims,
    /// Octets that are no text.
    NoText,
}

impl BackendRogue {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::BadStatus,
        Self::BadVersion,
        Self::BadField,
        Self::Nul,
        Self::TwoLengths,
        Self::BothFramings,
        Self::BadChunk,
        Self::EndlessHead,
        Self::HalfHead,
        Self::Twice,
        Self::Switches,
        Self::Interims,
        Self::NoText,
    ];

    /// What it says in place of a response that is sound, and whether it goes away then.
    pub(super) fn octets(self, sound: Vec<u8>) -> (Vec<u8>, bool) {
        let with = |lines: &str| format!("HTTP/1.1 {ROGUE} No\r\n{lines}\r\n").into_bytes();
        let octets = match self {
            Self::BadStatus => b"HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n".to_vec(),
            Self::BadVersion => format!("HTTP/2.0 {ROGUE} OK\r\ncontent-length: 0\r\n\r\n").into_bytes(),
            Self::BadField => with("content-length: 0\r\nno colon\r\n"),
            Self::Nul => with("content-length: 0\r\nx-nul: a\0b\r\n"),
            Self::TwoLengths => with("content-length: 1\r\ncontent-length: 2\r\n"),
            Self::BothFramings => with("content-length: 5\r\ntransfer-encoding: chunked\r\n"),
            Self::BadChunk => with("transfer-encoding: chunked\r\n\r\nzz\r\nab"),
            Self::EndlessHead => {
                [format!("HTTP/1.1 {ROGUE} OK\r\nx-long: ").into_bytes(), vec![b'a'; 300 << 10]].concat()
            }
            Self::HalfHead => format!("HTTP/1.1 {ROGUE} OK\r\ncontent-le").into_bytes(),
            Self::Twice => {
                [sound, format!("HTTP/1.1 {ROGUE} None\r\ncontent-length: 0\r\n\r\n").into_bytes()].concat()
            }
            Self::Switches => b"HTTP/1.1 101 Now\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n".to_vec(),
            Self::Interims => b"HTTP/1.1 103 Hints\r\n\r\n".repeat(200),
            Self::NoText => (0..=255).rev().cycle().take(2000).collect(),
        };
        (octets, self == Self::HalfHead)
    }
}
