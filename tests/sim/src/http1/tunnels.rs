//! Tunnels of HTTP/1.1: a client that asks for one by `upgrade` or CONNECT, and the echo at its other end.

use super::peers::Wire;
use crate::net::{End, Link};
use crate::refcodec::{Field, value_of};
use crate::truth::{self, Direction};
use crate::world::World;

/// The protocol that clients ask for: nobody knows it, so that there is no more to it than its name.
pub(super) const PROTOCOL: &str = "echo";

/// How a client asks for a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelPlan {
    /// By CONNECT (RFC 9110 section 9.3.6), else by `upgrade` (section 7.8).
    pub connect: bool,
    /// Octets that it sends, and wants back.
    pub octets: u64,
    /// In pieces of so many, of which the next waits for the echo of the one before.
    pub piece: u64,
}

impl TunnelPlan {
    fn head(&self, rid: u64) -> Vec<u8> {
        if self.connect {
            return format!(
                "CONNECT far.example:443 HTTP/1.1\r\nhost: far.example:443\r\nx-rid: {rid}\r\n\r\n"
            )
            .into();
        }
        format!(
            "GET /r HTTP/1.1\r\nhost: sim.example\r\nx-rid: {rid}\r\nconnection: upgrade\r\nupgrade: {PROTOCOL}\r\n\r\n"
        )
        .into()
    }
}

/// Which requests for tunnels are refused, by their backend.
pub(super) fn is_refused(rid: u64) -> bool {
    rid.is_multiple_of(4)
}

/// A client that asks for a tunnel.
#[derive(Debug)]
pub(super) struct Tunnel {
    plan: TunnelPlan,
    rid: u64,
    wire: Wire,
    asked: bool,
    /// What came before the answer's head was whole.
    head: Vec<u8>,
    /// The status of the answer.
    pub(super) status: Option<u16>,
    sent: u64,
    heard: u64,
}

impl Tunnel {
    pub(super) fn new(plan: TunnelPlan, rid: u64) -> Self {
        let wire = Wire::new(End::Initiator);
        Self { plan, rid, wire, asked: false, head: Vec::new(), status: None, sent: 0, heard: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.wire.is_closed()
    }

    fn stands(&self) -> bool {
        self.status == Some(if self.plan.connect { 200 } else { 101 })
    }

    /// Whether it had a tunnel, and every octet of it came back.
    pub(super) fn is_whole(&self) -> bool {
        self.stands() && self.heard == self.plan.octets
    }

    /// Looks at its link. An error says what the gateway did wrong.
    pub(super) fn wake(&mut self, link: &mut Link, world: &mut World) -> Result<(), String> {
        if !std::mem::replace(&mut self.asked, true) {
            self.wire.say(&self.plan.head(self.rid));
        }
        let octets = self.wire.read_raw(link, world);
        self.hear(octets)?;
        if self.stands() && self.heard == self.sent && self.sent < self.plan.octets {
            let n = self.plan.piece.max(1).min(self.plan.octets - self.sent);
            self.wire.say(&truth::content(self.rid, Direction::Request, self.sent, n as usize));
            self.sent += n;
        }
        self.wire.write(link, world);
        if self.is_whole() && self.wire.has_said_all() {
            self.wire.finish(link, world);
        }
        let refused = self.status.is_some() && !self.stands();
        if self.wire.is_over() || refused {
            self.wire.close(link, world);
        }
        Ok(())
    }

    fn hear(&mut self, mut octets: Vec<u8>) -> Result<(), String> {
        if self.status.is_none() {
            self.head.append(&mut octets);
            let Some(at) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(()) };
            octets = self.head.split_off(at + 4);
            let text = String::from_utf8_lossy(&self.head).to_lowercase();
            let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
            self.status =
                Some(status.filter(|_| text.starts_with("http/1.1 ")).ok_or(format!("a head {text:?}"))?);
            let names = |line: &str| text.contains(&format!("\r\n{line}\r\n"));
            let upgraded = names("connection: upgrade") && names(&format!("upgrade: {PROTOCOL}"));
            if self.status == Some(101) && (self.plan.connect || !upgraded) {
                return Err(format!("another protocol than was asked for: {text:?}"));
            }
            if self.stands()
                && (text.contains("\r\ncontent-length:") || text.contains("\r\ntransfer-encoding:"))
            {
                return Err(format!("a tunnel with a length (9110 9.3.6): {text:?}"));
            }
        }
        if !self.stands() {
            return Ok(());
        }
        if truth::first_wrong(self.rid, Direction::Request, self.heard, &octets).is_some() {
            return Err(format!("the tunnel of {} gives back other octets", self.rid));
        }
        self.heard += octets.len() as u64;
        if self.heard > self.sent { Err("a tunnel gives back more than it was given".into()) } else { Ok(()) }
    }
}

/// Whether a request asks a backend for a tunnel, and its answer.
pub(super) fn answer(method: &str, fields: &[Field], rid: u64) -> Option<&'static [u8]> {
    let upgrade = value_of(fields, "upgrade").is_some_and(|value| value == PROTOCOL.as_bytes());
    let connect = method == "CONNECT";
    match (connect, upgrade) {
        (false, false) => None,
        _ if is_refused(rid) => Some(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n"),
        (true, _) => Some(b"HTTP/1.1 200 Yes\r\n\r\n"),
        (false, true) => Some(b"HTTP/1.1 101 Yes\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n"),
    }
}
