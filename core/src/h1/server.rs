//! Server: heads of requests, in order and within bounds.

use std::sync::Arc;

use crate::fields::FieldSection;
use crate::h1::connection::{Connection, Recv};
use crate::h1::content::Incoming;
use crate::h1::exchange::{self, Exchange, Sending};
use crate::h1::head::RequestParts;
use crate::h1::recv::Step;
use crate::h1::scan::Found;
use crate::h1::upgrade::Upgrade;
use crate::h2::{Event, Input, StreamKey};
use crate::message::{Method, Refusal, Version};

/// Requests that are served at a time. Clients that pipeline send a handful.
const PIPELINED_MAX: usize = 16;
/// Empty lines that may come in front of a head (RFC 9112 section 2.2): old peers send one behind content.
const EMPTY_LINES_MAX: u8 = 4;

impl Connection {
    /// The connection is to end: the next response whose head is still to be written says so, be it to a request that is still to come. A client
    /// that has been answered, or has asked for nothing yet, may be asking in this moment, and cannot know (RFC 9112 section 9.6).
    /// [`goaway`](Self::goaway) ends it without.
    pub fn announce_goaway(&mut self) {
        let last = self.order.back().and_then(|&key| self.exchanges.get(key));
        if last.is_some_and(|last| last.sending == Sending::Head && !last.is_left) {
            self.is_closing = true;
        } else {
            self.is_leaving = true;
        }
    }

    /// The upgrade that a request asked for is not given (RFC 9110 section 7.8): what came is answered as the GET that it is over
    /// HTTP/1.1. Says whether there was one that could still be given.
    pub fn decline_upgrade(&mut self, key: StreamKey) -> bool {
        let is_open = |exchange: &&mut Exchange| exchange.sending == Sending::Head && !exchange.is_left;
        let Some(exchange) = self.exchanges.get_mut(key).filter(is_open) else { return false };
        if exchange.method != Method::Connect || exchange.upgrade.take().is_none() {
            return false;
        }
        (exchange.method, exchange.is_safe) = (Method::Get, true);
        (exchange.recv_open, exchange.awaits_continue) = (false, false);
        if matches!(self.recv, Recv::Undecided(of) if of == key) {
            self.recv = Recv::Head;
            self.is_held = false;
        }
        true
    }

    /// What a response to this request offers if it says that an upgrade is needed (426, RFC 9110 section 15.5.22).
    pub fn offer_upgrades(&mut self, key: StreamKey, protocols: &[Arc<str>]) {
        let may = |exchange: &&mut Exchange| exchange.upgrade.is_none() && exchange.method != Method::Connect;
        let Some(exchange) = self.exchanges.get_mut(key).filter(may) else { return };
        if !protocols.is_empty() {
            exchange.upgrade =
                Some(Box::new(Upgrade { protocol: protocols.join(", ").into_bytes().into(), accept: None }));
        }
    }

    /// The next request, if it may begin.
    pub(crate) fn recv_request<'a>(&mut self, input: &mut Input<'a>) -> Step<'a> {
        if self.is_closing {
            // 9112-9.6-05, 9112-9.6-07
            self.recv = Recv::Closed;
            return Step::Again;
        }
        self.skip_empty_lines(input);
        self.is_held = !self.may_begin(input.remaining());
        if self.is_held || input.remaining().is_empty() {
            return Step::Wait;
        }
        let section_max = self.head_max;
        let found = match self.scan.section(input.remaining(), section_max) {
            Found::Partial => return Step::Wait,
            Found::Whole(end) => Ok(end),
            // 9112-3-03
            Found::TooLong if !input.remaining()[..section_max].contains(&b'\n') => {
                Err(Refusal::TargetTooLong)
            }
            Found::TooLong => Err(Refusal::HeadTooLarge), // 9110-5.4-01
            Found::BareLineEnd => Err(Refusal::Malformed),
        };
        let Some(octets) = found.ok().and_then(|end| input.take(end)) else {
            return self.refuse(input, found.err().unwrap_or(Refusal::Malformed));
        };
        self.empty_lines = 0;
        self.sections_received += 1;
        if let Some((parts, fields)) = self.known_request(octets) {
            return self.begin(parts, fields);
        }
        let mut fields = core::mem::take(&mut self.spare_fields);
        match self.read_request(octets, &mut fields) {
            Ok(parts) => self.begin(parts, fields),
            Err(refusal) => {
                self.recycle(fields);
                self.refuse(input, refusal)
            }
        }
    }

    /// 9112-2.2-07. One too many is left to be refused.
    pub(crate) fn skip_empty_lines(&mut self, input: &mut Input<'_>) {
        while input.remaining().starts_with(b"\r\n") && self.empty_lines < EMPTY_LINES_MAX {
            input.take(2);
            self.empty_lines += 1;
            self.scan.reset();
        }
    }

    /// Whether a request that begins like this may be served beside those that are (9112-9.3.2-02).
    fn may_begin(&self, octets: &[u8]) -> bool {
        let Some(last) = self.order.back().and_then(|&key| self.exchanges.get(key)) else { return true };
        let may = last.is_safe && self.order.len() < PIPELINED_MAX;
        octets.is_empty() || (may && exchange::begins_safely(octets) != Some(false))
    }

    fn begin<'a>(&mut self, parts: RequestParts, fields: FieldSection) -> Step<'a> {
        let RequestParts { head, version, persistent, framing, expects, upgrade, nominated } = parts;
        self.version = version;
        self.is_closing |= !persistent || self.is_leaving; // 9112-9.6-03
        let incoming = Incoming::new(framing, false);
        let is_tunnel = head.method == Method::Connect;
        let end = incoming.is_none();
        let stream = self.insert(Exchange {
            version,
            // What a client of HTTP/1.0 is answered may end with the connection.
            is_safe: exchange::is_safe(head.method) && version > Version::Http10,
            upgrade,
            nominated,
            recv_open: !end,
            awaits_continue: expects && !end,
            ..Exchange::new(0, head.method, self.stream_recv_window())
        });
        self.recv = match incoming {
            _ if is_tunnel => Recv::Undecided(stream),
            Some(incoming) => Recv::Content(stream, incoming),
            None => Recv::Head,
        };
        self.traffic.requests += 1;
        Step::Tell(Event::Request { stream, head, fields, end })
    }

    /// A request that cannot be read is answered in its turn, and is the last.
    fn refuse<'a>(&mut self, input: &mut Input<'a>, refusal: Refusal) -> Step<'a> {
        input.take_all();
        self.traffic.malformed += u64::from(refusal == Refusal::Malformed);
        self.is_closing = true; // 9112-6.1-13
        self.recv = Recv::Closed;
        let stream = self.insert(Exchange::new(0, Method::Other, self.stream_recv_window()));
        Step::Tell(Event::RequestRefused { stream, refusal })
    }

    /// A new exchange, behind all others.
    pub(crate) fn insert(&mut self, exchange: Exchange) -> StreamKey {
        self.last_id = self.last_id.wrapping_add(1);
        let key = self.exchanges.insert(Exchange { id: self.last_id, ..exchange });
        self.order.push_back(key);
        key
    }
}
