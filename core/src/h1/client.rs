//! Client: requests are opened one at a time, and their responses read.

use crate::error::StreamError;
use crate::fields::{FieldName, FieldSection};
use crate::h1::connection::{Connection, Recv};
use crate::h1::content::Incoming;
use crate::h1::exchange::{Exchange, Sending};
use crate::h1::framing::Framing;
use crate::h1::head::{self, Asked, ResponseParts};
use crate::h1::recv::Step;
use crate::h1::scan::Found;
use crate::h1::upgrade::{self, Upgrade};
use crate::h1::write;
use crate::h2::{Event, Input, OpenError, Role, StreamKey};
use crate::message::{self, Method, RequestHead, RequestRules};
use crate::time::Duration;

/// So long before a server closes an idle connection nobody sends on it any more: its clock began earlier than ours.
const IDLE_MARGIN: Duration = Duration::from_secs(1);

/// Whether a request's credentials would be those of all that follow on its connection (RFC 4559 section 6; RFC 9110 section 3.3): it is the last.
fn proves_connection(fields: &FieldSection) -> bool {
    let begins_with = |value: &[u8], scheme: &[u8]| {
        value.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    if !fields.has(FieldName::Credentials) {
        return false;
    }
    let credentials = fields.iter().filter(|line| line.facts.name == FieldName::Credentials);
    credentials
        .map(|line| line.value)
        .any(|value| begins_with(value, b"ntlm") || begins_with(value, b"negotiate"))
}

impl Connection {
    /// Client: how many exchanges could begin now: one, or none.
    pub fn open_slots(&self) -> u32 {
        let free = self.role == Role::Client && self.order.is_empty() && !self.is_congested();
        u32::from(free && !self.is_going_away())
    }

    /// Client: whether the request is the last on its connection, for credentials that hold for all that follow (RFC 4559 section 6).
    pub fn is_last_by_proof(&self, key: StreamKey) -> bool {
        self.exchanges.get(key).is_some_and(|exchange| exchange.proves_connection)
    }

    /// Client: how long the connection may be idle, where the server has said when it closes it. Somewhat less, for a request that crosses its end is
    /// lost, and mostly nobody may send it again (RFC 9112 section 9.3.1).
    pub fn idle_max(&self) -> Option<Duration> {
        let said = Duration::from_secs(self.idle_max?.into());
        Some(said.saturating_sub(IDLE_MARGIN).max(said / 2))
    }

    /// Client: begins an exchange with a request head; with `end`, of a request without content, or for a tunnel that nothing
    /// goes into. What is no well-formed request is not written.
    ///
    /// # Errors
    ///
    /// It is a server's connection, takes no request now or none any more, or the head is none that HTTP/1.1 can have.
    pub fn open(&mut self, fields: &FieldSection, end: bool) -> Result<StreamKey, OpenError> {
        if self.role == Role::Server {
            return Err(OpenError::NotClient);
        }
        if self.is_going_away() {
            return Err(OpenError::GoingAway);
        }
        if self.open_slots() == 0 {
            return Err(OpenError::NoSlot);
        }
        let rules = RequestRules { extended_connect: true, authority_required: false };
        // 9113-10.3-01, 9112-2.2-03, 9112-5.2-01
        let head = message::request(fields, &rules).map_err(|_| OpenError::Malformed)?;
        let framing = request_framing(&head, end).ok_or(OpenError::Malformed)?;
        let key = self.insert(Exchange {
            begins_at: self.octets_queued(),
            recv_open: true,
            end_queued: end,
            proves_connection: proves_connection(fields),
            ..Exchange::new(0, head.method, self.stream_recv_window())
        });
        let nonce = self.write_request(&head, fields, framing);
        let Some(exchange) = self.exchanges.get_mut(key) else { return Ok(key) };
        exchange.sending = Sending::Content(framing);
        exchange.awaits_tunnel = framing == Framing::Tunnel;
        exchange.upgrade = fields.value_of(FieldName::Protocol).map(|protocol| {
            let accept = nonce.as_ref().and_then(|key| upgrade::accept(key));
            Box::new(Upgrade { protocol: protocol.to_ascii_lowercase().into(), accept })
        });
        self.traffic.requests += 1;
        // A tunnel's end waits for the server's agreement, like all that goes into it.
        if end && framing != Framing::Tunnel {
            self.end_message(key);
        }
        Ok(key)
    }

    fn write_request(
        &mut self,
        head: &RequestHead,
        fields: &FieldSection,
        framing: Framing,
    ) -> Option<[u8; upgrade::KEY_LEN]> {
        let websocket = fields.value_of(FieldName::Protocol).is_some_and(upgrade::is_websocket);
        let nonce = websocket.then(|| {
            upgrade::key(u128::from(self.random.next_u64()) << 64 | u128::from(self.random.next_u64()))
        });
        write::request(self.outbox.tail_for(write::len_max(fields)), head, fields, framing, nonce.as_ref());
        nonce
    }

    /// The next response, interim or final.
    pub(crate) fn recv_response<'a>(&mut self, input: &mut Input<'a>) -> Step<'a> {
        // 9112-9.2-02: a server may end its content with one of its own (RFC 9112 section 2.2).
        self.skip_empty_lines(input);
        if !begins_response(input.remaining()) {
            return Step::Wait;
        }
        // 9112-9.2-01
        let awaited = self.order.front().and_then(|&key| Some((key, self.exchanges.get(key)?)));
        let Some((key, exchange)) = awaited.filter(|(_, exchange)| exchange.recv_open) else {
            // 9112-9.2-02, 9112-6.3-15: nobody asked for it.
            self.is_closing = true;
            self.recv = Recv::Closed;
            return Step::Again;
        };
        if self.traffic.sent_octets <= exchange.begins_at {
            return self.overtaken(input, key);
        }
        let octets = match self.scan.section(input.remaining(), self.head_max) {
            Found::Partial => return Step::Wait,
            Found::Whole(end) => input.take(end).unwrap_or_default(),
            Found::TooLong => return self.fail_response(input, key, StreamError::FieldsTooLarge),
            Found::BareLineEnd => return self.fail_response(input, key, StreamError::Malformed),
        };
        self.empty_lines = 0;
        self.sections_received += 1;
        let mut fields = core::mem::take(&mut self.spare_fields);
        let rules = self.rules();
        let Some(exchange) = self.exchanges.get(key) else { return Step::Wait };
        let asked = Asked { method: exchange.method, upgrade: exchange.upgrade.as_deref() };
        match head::response(octets, asked, &rules, &mut fields) {
            Ok(parts) if parts.head.status < 200 => self.recv_interim(input, key, parts, fields),
            Ok(parts) => Step::Tell(self.recv_final(key, parts, fields)),
            Err(error) => {
                self.recycle(fields);
                self.fail_response(input, key, error)
            }
        }
    }

    /// The server spoke before it was asked, as one does that closes an idle connection. Nothing of the request has left, and
    /// nothing will.
    fn overtaken<'a>(&mut self, input: &mut Input<'a>, key: StreamKey) -> Step<'a> {
        input.take_all();
        self.outbox.clear();
        let tag = self.remove(key).map_or(0, |exchange| exchange.tag);
        self.break_off();
        Step::Tell(Event::Unprocessed { stream: key, tag })
    }

    fn recv_interim<'a>(
        &mut self,
        input: &mut Input<'a>,
        key: StreamKey,
        parts: ResponseParts,
        fields: FieldSection,
    ) -> Step<'a> {
        let max = self.config.max_interim_responses;
        self.is_closing |= parts.is_doubtful;
        let Some(exchange) = self.exchanges.get_mut(key) else { return Step::Wait };
        exchange.is_answered = true;
        exchange.interim_responses += 1;
        if exchange.interim_responses > max {
            self.recycle(fields);
            return self.fail_response(input, key, StreamError::InterimTooMany);
        }
        Step::Tell(Event::Interim { stream: key, tag: exchange.tag, head: parts.head, fields })
    }

    fn recv_final<'a>(&mut self, key: StreamKey, parts: ResponseParts, fields: FieldSection) -> Event<'a> {
        let ResponseParts { head, version, persistent, idle_max, framing, nominated, .. } = parts;
        self.version = version;
        self.idle_max = idle_max;
        self.is_closing |= !persistent; // 9112-9.3-04, 9112-9.6-08
        let mut tag = 0;
        if let Some(exchange) = self.exchanges.get_mut(key) {
            tag = exchange.tag;
            exchange.is_answered = true;
            exchange.nominated = nominated;
            self.is_closing |= exchange.proves_connection;
            if core::mem::take(&mut exchange.awaits_tunnel) && framing != Framing::Tunnel {
                // Declined: what would have gone into the tunnel goes nowhere. Behind CONNECT nobody knows what the server
                // makes of it.
                exchange.queue.clear();
                exchange.sending = Sending::Over;
                self.is_closing |= exchange.upgrade.is_none();
            }
        }
        let incoming = Incoming::new(framing, true);
        let end = incoming.is_none();
        match incoming {
            Some(incoming) => self.recv = Recv::Content(key, incoming),
            None => self.recv_over(key),
        }
        Event::Response { stream: key, tag, head, fields, end }
    }

    /// 9112-6.3-06: what the server says cannot be understood, nor what it says next.
    fn fail_response<'a>(&mut self, input: &mut Input<'a>, key: StreamKey, error: StreamError) -> Step<'a> {
        input.take_all();
        let tag = self.remove(key).map_or(0, |exchange| exchange.tag);
        self.break_off();
        Step::Tell(Event::Failed { stream: key, tag, error })
    }
}

/// Whether so much of the input is more than the beginning of an empty line (RFC 9112 section 2.2).
pub(crate) const fn begins_response(octets: &[u8]) -> bool {
    !matches!(octets, [] | [b'\r'])
}

/// How the content of a request is framed; `None` where it could not end as its head says.
fn request_framing(head: &RequestHead, end: bool) -> Option<Framing> {
    match head.content_length {
        _ if head.method == Method::Connect => Some(Framing::Tunnel),
        Some(1..) if end => None,
        Some(length) => Some(Framing::Length(length)),
        None if end => Some(Framing::None),
        None => Some(Framing::Chunked), // 9112-6.3-12
    }
}
