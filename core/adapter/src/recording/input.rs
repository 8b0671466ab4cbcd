//! The inputs of a gateway, as they stand in a recording.

use std::fmt;

use shuntyard_core::address::Address;
use shuntyard_core::gateway::{Accepted, Closed, Command, ConnId, Connected};
use shuntyard_core::time::Duration;

use crate::recording::word::{Word, put_octets, take_octets};

/// Something that a gateway was told or asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// `handle_accept`.
    Accept(Accepted),
    /// `handle_arriving`.
    Arriving(Accepted),
    /// `handle_introduced`.
    Introduced(ConnId, Option<Address>),
    /// `handle_connected`.
    Connected(ConnId, Connected),
    /// `recv_buf` and `handle_recv` of these octets. Content that was not recorded is zeros.
    Received(ConnId, Vec<u8>),
    /// `handle_read_closed`.
    ReadClosed(ConnId),
    /// `poll_transmit`.
    Transmit(ConnId),
    /// `handle_sent` of so many octets.
    Sent(ConnId, usize),
    /// `handle_closed`.
    Closed(ConnId, Closed),
    /// `handle_timeout`.
    Timeout,
    /// `handle_command`.
    Command(Command),
    /// `poll_action`, so many times.
    Actions(u64),
}

/// An input with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Since the input before.
    pub(crate) since: Duration,
    pub(crate) input: Input,
    /// What the hash was afterwards, of inputs that bring something out.
    pub(crate) check: Option<u16>,
}

pub(crate) const ACCEPT: u8 = 0;
pub(crate) const CONNECTED: u8 = 1;
pub(crate) const RECEIVED: u8 = 2;
pub(crate) const READ_CLOSED: u8 = 3;
pub(crate) const TRANSMIT: u8 = 4;
pub(crate) const SENT: u8 = 5;
pub(crate) const CLOSED: u8 = 6;
pub(crate) const TIMEOUT: u8 = 7;
pub(crate) const COMMAND: u8 = 8;
pub(crate) const ACTIONS: u8 = 9;
pub(crate) const ARRIVING: u8 = 10;
pub(crate) const INTRODUCED: u8 = 11;

/// How often `poll_action` is called in one input at most: so a replay takes as long as its file is large.
pub(crate) const POLLED_MAX: u64 = 1024;

/// Octets that come in one input at most: as many as a gateway may be told to lend memory for (`recv_buffer_octets`).
const RECEIVED_MAX: usize = 16 << 20;

/// Appends octets that came as pieces: those that are kept, each behind its length, and between them lengths of content.
#[derive(Debug)]
pub(crate) struct Pieces<'a> {
    out: &'a mut Vec<u8>,
    /// The last piece was kept: content stands next, perhaps none.
    kept: bool,
}

impl<'a> Pieces<'a> {
    /// `total` octets follow.
    pub(crate) fn new(total: usize, out: &'a mut Vec<u8>) -> Self {
        total.put(out);
        Self { out, kept: false }
    }

    pub(crate) fn add(&mut self, piece: &[u8], is_content: bool) {
        // A reader stops where it has all: behind that it would take a piece of nothing for the next input.
        if piece.is_empty() {
            return;
        }
        if is_content != self.kept {
            // Two pieces of a kind follow each other: nothing of the other stands between.
            0_usize.put(self.out);
        }
        if is_content {
            piece.len().put(self.out);
        } else {
            put_octets(piece, self.out);
        }
        self.kept = !is_content;
    }
}

fn take_pieces(input: &mut &[u8]) -> Option<Vec<u8>> {
    let total = usize::take(input).filter(|total| *total <= RECEIVED_MAX)?;
    let (mut octets, mut kept) = (Vec::new(), false);
    while octets.len() < total {
        if kept {
            let gap = usize::take(input).filter(|gap| *gap <= total - octets.len())?;
            octets.resize(octets.len() + gap, 0);
        } else {
            octets.extend_from_slice(take_octets(input)?);
        }
        kept = !kept;
    }
    (octets.len() == total).then_some(octets)
}

impl Entry {
    /// The next entry of a payload that is not empty.
    pub(crate) fn take(payload: &mut &[u8]) -> Option<Self> {
        let (&tag, rest) = payload.split_first()?;
        *payload = rest;
        let since = if tag == ACTIONS { Duration::ZERO } else { Duration::take(payload)? };
        let input = match tag {
            ACCEPT => Input::Accept(Accepted::take(payload)?),
            ARRIVING => Input::Arriving(Accepted::take(payload)?),
            INTRODUCED => Input::Introduced(ConnId::take(payload)?, Word::take(payload)?),
            CONNECTED => Input::Connected(ConnId::take(payload)?, Connected::take(payload)?),
            RECEIVED => Input::Received(ConnId::take(payload)?, take_pieces(payload)?),
            READ_CLOSED => Input::ReadClosed(ConnId::take(payload)?),
            TRANSMIT => Input::Transmit(ConnId::take(payload)?),
            SENT => Input::Sent(ConnId::take(payload)?, usize::take(payload)?),
            CLOSED => Input::Closed(ConnId::take(payload)?, Closed::take(payload)?),
            TIMEOUT => Input::Timeout,
            COMMAND => Input::Command(Command::take(payload)?),
            ACTIONS => Input::Actions(u64::take(payload).filter(|n| *n <= POLLED_MAX)?),
            _ => return None,
        };
        let check = if matches!(tag, ACCEPT | ARRIVING | TRANSMIT | SENT | ACTIONS) {
            let (octets, rest) = payload.split_first_chunk()?;
            *payload = rest;
            Some(u16::from_le_bytes(*octets))
        } else {
            None
        };
        Some(Self { since, input, check })
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept(info) => write!(f, "a client's connection from {} is accepted", info.peer),
            Self::Arriving(info) => write!(f, "a client from {} is accepted, and shakes hands", info.peer),
            Self::Introduced(conn, Some(client)) => write!(f, "{conn:?} is a connection of {client}"),
            Self::Introduced(conn, None) => write!(f, "{conn:?} is a connection of its peer itself"),
            Self::Connected(conn, _) => write!(f, "the connection {conn:?} stands"),
            Self::Received(conn, octets) => write!(f, "{} octets come from {conn:?}", octets.len()),
            Self::ReadClosed(conn) => write!(f, "{conn:?} has shut its sending direction down"),
            Self::Transmit(conn) => write!(f, "output for {conn:?} is asked for"),
            Self::Sent(conn, n) => write!(f, "{n} octets have left for {conn:?}"),
            Self::Closed(conn, why) => write!(f, "{conn:?} is gone: {why:?}"),
            Self::Timeout => f.write_str("a deadline has come"),
            Self::Command(Command::Drain { .. }) => f.write_str("the operator drains"),
            Self::Command(Command::Part { listener }) => {
                write!(f, "clients of {listener} are asked to leave")
            }
            Self::Command(Command::WallClock(_)) => f.write_str("the civil time is told"),
            Self::Command(Command::Resolved { name, .. }) => write!(f, "{name} is resolved"),
            Self::Command(Command::Configure(_)) => f.write_str("a new configuration comes"),
            Self::Actions(n) => write!(f, "actions are asked for, {n} times"),
        }
    }
}
