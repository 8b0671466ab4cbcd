//! One connection: its parts, its life, and what its owner may ask of it.
//!
//! `recv` turns octets into events, `server` and `client` say what heads mean, `send` turns commands into octets.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::config::ConnectionConfig;
use crate::fields::FieldSection;
use crate::h1::again::Again;
use crate::h1::content::Incoming;
use crate::h1::exchange::{Exchange, Sending};
use crate::h1::framing::Framing;
use crate::h1::head::Rules;
use crate::h1::scan::Scan;
use crate::h2::{Misuse, Role, Stream, StreamKey, Traffic};
use crate::key::Slab;
use crate::message::Version;
use crate::outbox::OctetQueue;
use crate::random::Random;
use crate::window::{Both, ConnectionLevel, Credit, StreamLevel};

/// Octets of a request's content that are read and dropped behind a response that came before their end; beyond them it is
/// cheaper to close the connection.
pub(crate) const DROPPED_MAX: usize = 64 << 10;

/// Memory for so many exchanges stays between requests: what the first one asks for.
pub(crate) const KEPT_EXCHANGES: usize = 4;

/// What the input is.
#[derive(Clone, Debug)]
pub(crate) enum Recv {
    /// The head of a request; or of the response to the open exchange.
    Head,
    /// Content of an exchange.
    Content(StreamKey, Incoming),
    /// Content that nobody wants any more; so many octets of it may come.
    Dropped(Incoming, usize),
    /// Server: behind this request, which would end HTTP here and is not answered yet (RFC 9110 7.8, 9.3.6): a tunnel's, perhaps.
    Undecided(StreamKey),
    /// Nothing that is looked at.
    Closed,
}

/// Of a server: what its client hears where the content of a request cannot be read and nothing else has been said, and whether it still has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Nothing,
    /// 400 is still to be said.
    OwesBadRequest,
    /// So is 431: trailers exceed the limits (RFC 6585 section 5).
    OwesTooLarge,
    BadRequest,
    TooLarge,
}

/// One HTTP/1.1 connection of either role.
///
/// The verbs and the events are those of [`h2::Connection`](crate::h2::Connection); a stream is one request with its response.
/// What differs is said on the [module's page](super).
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) role: Role,
    pub(crate) config: Arc<ConnectionConfig>,
    pub(crate) seed: u64,
    /// Where the nonces of WebSocket come from.
    pub(crate) random: Random,
    /// Targets that do not say a scheme have `https`.
    pub(crate) is_tls: bool,
    pub(crate) head_max: usize,
    pub(crate) recv: Recv,
    pub(crate) scan: Scan,
    pub(crate) again: Again,
    pub(crate) exchanges: Slab<Exchange, Stream>,
    /// Their keys, the oldest first: responses leave in this order.
    pub(crate) order: VecDeque<StreamKey>,
    /// How many exchanges ever were.
    pub(crate) last_id: u32,
    /// The version of the last head that came.
    pub(crate) version: Version,
    /// Client: how long the connection may be idle by what the server said last, in seconds.
    pub(crate) idle_max: Option<u32>,
    /// Empty lines that came in front of the next head.
    pub(crate) empty_lines: u8,
    pub(crate) misuse: Misuse,
    /// Heads and trailer sections that came whole.
    pub(crate) sections_received: u64,
    /// The next request is there, and must wait for those before it.
    pub(crate) is_held: bool,
    /// Server: the first request is the last.
    pub(crate) is_leaving: bool,
    /// No exchange begins behind those that are open.
    pub(crate) is_closing: bool,
    /// An error ended it: nothing more is put into the outbox.
    pub(crate) has_failed: bool,
    /// The peer has closed its side.
    pub(crate) read_closed: bool,
    /// Our side of a tunnel has ended.
    pub(crate) write_closed: bool,
    /// The end of the last message in the outbox is the end of the connection.
    pub(crate) ends_unframed: bool,
    /// Such a message was broken off.
    pub(crate) is_cut_short: bool,
    /// Server: whether a status of its own follows all other answers.
    pub(crate) refused: Refused,
    /// Server: 408 (Request Timeout) does.
    pub(crate) owes_request_timeout: bool,
    pub(crate) outbox: OctetQueue,
    pub(crate) traffic: Traffic,
    pub(crate) spare_fields: FieldSection,
}

impl Connection {
    /// A connection whose transport stands.
    ///
    /// `seed` keys the hashes of fields, as in HTTP/2. `head_max`: octets of a head, of all that stands in front of content, or
    /// of a trailer section; less than what its owner can hold of the input, for a head is looked at when it is whole.
    pub fn new(role: Role, config: Arc<ConnectionConfig>, seed: u64, head_max: usize) -> Self {
        Self {
            role,
            config,
            seed,
            random: Random::new(seed),
            is_tls: false,
            head_max,
            recv: Recv::Head,
            scan: Scan::default(),
            again: Again::default(),
            exchanges: Slab::default(),
            order: VecDeque::new(),
            last_id: 0,
            version: Version::Http11,
            idle_max: None,
            empty_lines: 0,
            misuse: Misuse::default(),
            sections_received: 0,
            is_held: false,
            is_leaving: false,
            is_closing: false,
            has_failed: false,
            read_closed: false,
            write_closed: false,
            ends_unframed: false,
            is_cut_short: false,
            refused: Refused::Nothing,
            owes_request_timeout: false,
            outbox: OctetQueue::default(),
            traffic: Traffic::default(),
            spare_fields: FieldSection::new(),
        }
    }

    /// The same connection, over TLS: targets that do not say a scheme have `https`.
    pub fn over_tls(self) -> Self {
        Self { is_tls: true, ..self }
    }

    /// The same connection with nonces of its own: connections with the same `seed` would send the same
    /// `Sec-WebSocket-Key`.
    pub fn with_nonces(self, seed: u64) -> Self {
        Self { random: Random::new(seed), ..self }
    }

    pub(crate) fn rules(&self) -> Rules<'_> {
        Rules {
            seed: self.seed,
            size_max: self.config.max_header_list_size,
            fields_max: self.config.max_fields,
            authority_required: self.config.authority_required,
            scheme: if self.is_tls { "https" } else { "http" },
            config: &self.config,
        }
    }

    /// What waits to be written.
    pub fn transmit(&self) -> &[u8] {
        self.outbox.as_slice()
    }

    /// Whether there is output, or some could be cut.
    pub fn has_output(&self) -> bool {
        !self.outbox.is_empty() || (!self.has_failed && self.current().is_some_and(Exchange::has_output))
    }

    /// The exchange whose message leaves now.
    pub(crate) fn current(&self) -> Option<&Exchange> {
        self.exchanges.get(*self.order.front()?)
    }

    /// `n` octets of [`transmit`](Self::transmit) left.
    pub fn sent(&mut self, n: usize) {
        self.traffic.sent_octets += self.outbox.pass_on(n) as u64;
    }

    /// How many octets ever left.
    pub fn octets_sent(&self) -> u64 {
        self.traffic.sent_octets
    }

    /// How many octets will have left when what waits in the outbox now has.
    pub fn octets_queued(&self) -> u64 {
        self.traffic.sent_octets + self.outbox.len() as u64
    }

    /// Whether no further input should be taken in: so much output waits (of a server; responses make none); or the owner holds as much content
    /// as it was promised; or the next request must wait for those before it. Ask again when [`poll_event`](Self::poll_event) had no more events.
    pub fn is_congested(&self) -> bool {
        let full = self.role == Role::Server && self.outbox.len() >= self.config.outbox_congested();
        full || self.is_held || self.room().is_some_and(|(room, _)| room == 0)
    }

    /// Whether input may be taken in again. It may become so with every octet that leaves, with released content, and with
    /// the end of an exchange.
    pub fn has_room(&self) -> bool {
        let full = self.role == Role::Server && self.outbox.len() > self.config.outbox_high_mark;
        !full && !self.is_held && self.room().is_none_or(|(room, window)| room >= window.div_ceil(2).max(1))
    }

    /// Octets of content that may be taken now, and at most; `None` where none is received.
    fn room(&self) -> Option<(u32, u32)> {
        let Recv::Content(key, _) = &self.recv else { return None };
        let exchange = self.exchanges.get(*key)?;
        Some((exchange.room(), exchange.window))
    }

    /// Octets of content that the owner is told of a stream before it has released some.
    pub fn stream_recv_window(&self) -> u32 {
        // Of a window without any octet nothing could ever be told.
        self.config.initial_window_size.max(1)
    }

    /// The same of this stream; nothing where the peer may send no more.
    pub fn recv_window_size(&self, key: StreamKey) -> Option<u32> {
        Some(self.exchanges.get(key).filter(|exchange| exchange.recv_open)?.window)
    }

    /// The stream's window grows by so much. The owner has the memory for it.
    pub fn widen_recv_window(&mut self, key: StreamKey, by: u32) {
        if let Some(exchange) = self.exchanges.get_mut(key).filter(|exchange| exchange.recv_open) {
            exchange.window = exchange.window.saturating_add(by);
        }
    }

    /// Gives received octets back on both levels.
    pub fn release(&mut self, key: StreamKey, credit: Credit<Both>) {
        let (stream, connection) = credit.split();
        self.release_stream(key, stream);
        self.release_connection(connection);
    }

    /// Gives received octets back to their stream, if it is still there.
    pub fn release_stream(&mut self, key: StreamKey, credit: Credit<StreamLevel>) {
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.unreleased = exchange.unreleased.saturating_sub(credit.octets());
        }
    }

    /// There is no window of the connection: streams do not share it.
    #[expect(clippy::needless_pass_by_value, reason = "credit is given back by giving it away")]
    pub fn release_connection(&mut self, credit: Credit<ConnectionLevel>) {
        let _ = credit.octets();
    }

    /// Server: the status by which the connection itself answers a request whose content could not be read, behind those before it, if it does.
    pub fn refused(&self) -> Option<u16> {
        match self.refused {
            Refused::Nothing => None,
            Refused::OwesBadRequest | Refused::BadRequest => Some(400),
            Refused::OwesTooLarge | Refused::TooLarge => Some(431),
        }
    }

    /// Server: whether what was sent ahead, and waits for the end of those before it, is another request.
    pub(crate) fn expects_request(&self) -> bool {
        matches!(self.recv, Recv::Head) && !self.is_closing
    }

    /// Whether an error ended the connection. What is in the outbox may still be written, then it must be closed: a message
    /// was broken off.
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Whether it is known what the peer allows: there is nothing to be told.
    pub fn is_established(&self) -> bool {
        true
    }

    /// Client: the tag of the request that is under way, where nothing of its response has come.
    pub fn unanswered_request(&self) -> Option<u64> {
        let is_unanswered = |exchange: &&Exchange| exchange.recv_open && !exchange.is_answered;
        let is_asked = self.role == Role::Client && matches!(self.recv, Recv::Head);
        Some(self.current().filter(|_| is_asked).filter(is_unanswered)?.tag)
    }

    /// The seed of its hashes: for [`FieldLine::new`](crate::fields::FieldLine::new).
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The version of the last message that came: for `via`.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Streams that their owner is not done with, or whose content still waits.
    pub fn open_streams(&self) -> usize {
        let is_open = |exchange: &Exchange| !exchange.is_left || !exchange.queue.is_empty();
        self.exchanges.iter().filter(|(_, exchange)| is_open(exchange)).count()
    }

    /// What has passed so far.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// What we may send, which nothing limits, and what the peer may. For snapshots.
    pub fn windows(&self) -> (i32, i32) {
        (i32::MAX, self.room().map_or(0, |(room, _)| i32::try_from(room).unwrap_or(i32::MAX)))
    }

    /// Which exchange of the connection it is, counted from 1.
    pub fn stream_id(&self, stream: StreamKey) -> Option<u32> {
        Some(self.exchanges.get(stream)?.id)
    }

    /// Attaches a number to a stream that its events will bear.
    pub fn set_tag(&mut self, stream: StreamKey, tag: u64) -> Option<u32> {
        let exchange = self.exchanges.get_mut(stream)?;
        exchange.tag = tag;
        Some(exchange.id)
    }

    /// Octets of content that wait in a stream's queue.
    pub fn queued(&self, stream: StreamKey) -> usize {
        self.exchanges.get(stream).map_or(0, |exchange| exchange.queue.len())
    }

    /// Octets that wait in the outbox and in all streams' queues. Walks all streams: for snapshots.
    pub fn buffered(&self) -> usize {
        let waiting = |(_, exchange): (_, &Exchange)| exchange.queue.len() + exchange.heads.len();
        self.outbox.len() + self.exchanges.iter().map(waiting).sum::<usize>()
    }

    /// Whether the peer has begun a head, or a trailer section, and not ended it, where `rest` is its input that was not
    /// taken.
    pub fn is_in_field_block(&self, rest: &[u8]) -> bool {
        match &self.recv {
            Recv::Head => !rest.is_empty() && !self.is_held,
            Recv::Content(_, incoming) | Recv::Dropped(incoming, _) => incoming.is_in_trailers(rest),
            Recv::Undecided(_) | Recv::Closed => false,
        }
    }

    /// Server: the tag of the request whose trailer section has begun, and not ended, where `rest` is the input that was not taken.
    pub fn request_in_trailers(&self, rest: &[u8]) -> Option<u64> {
        let Recv::Content(key, incoming) = &self.recv else { return None };
        Some(self.exchanges.get(*key).filter(|_| incoming.is_in_trailers(rest))?.tag)
    }

    /// How many heads and trailer sections of the peer came whole.
    pub fn field_blocks_received(&self) -> u64 {
        self.sections_received
    }

    /// Takes the memory of an empty outbox away: many connections can share it.
    pub fn take_outbox_memory(&mut self) -> Vec<u8> {
        self.outbox.take_memory()
    }

    /// Gives memory to an outbox that has none.
    pub fn give_outbox_memory(&mut self, memory: Vec<u8>) {
        self.outbox.give_memory(memory);
    }

    /// Octets of memory that the outbox holds.
    pub fn outbox_capacity(&self) -> usize {
        self.outbox.capacity()
    }

    /// Gives the memory of a field section back for the next one.
    pub fn recycle(&mut self, fields: FieldSection) {
        self.spare_fields.take_memory_of(fields);
    }

    /// Takes the memory for the next field section out: many connections can share it. Empty where there is none.
    pub fn take_spare(&mut self) -> FieldSection {
        core::mem::take(&mut self.spare_fields)
    }

    /// Whether the next field section would be made of new memory.
    pub fn lacks_spare(&self) -> bool {
        self.spare_fields.capacity() == 0
    }

    /// No request begins behind those that are there.
    pub fn goaway(&mut self) {
        self.is_closing = true;
    }

    /// Whether everything that is served has been.
    pub fn goaway_is_final(&self) -> bool {
        self.is_over()
    }

    /// Whether no exchange is open and none will be: the connection is to be closed when its output has left.
    pub fn is_over(&self) -> bool {
        // A server may have requests in its input that wait for others.
        let ended = match self.role {
            Role::Server => matches!(self.recv, Recv::Closed),
            Role::Client => self.read_closed,
        };
        (self.is_closing || self.has_failed || ended) && self.open_streams() == 0 // 9112-9.6-06
    }

    /// Whether nothing will be written behind what the outbox holds, although the peer may still send: our side of a tunnel
    /// has ended.
    pub fn is_write_closed(&self) -> bool {
        self.write_closed
    }

    /// Whether a tunnel goes on whose peer has ended its half.
    pub fn is_half_open(&self) -> bool {
        let tunnel = |exchange: &Exchange| exchange.sending == Sending::Content(Framing::Tunnel);
        self.current().is_some_and(|exchange| !exchange.recv_open && tunnel(exchange))
    }

    /// Whether new exchanges can never begin again.
    pub fn is_going_away(&self) -> bool {
        // A response that ended before its request leaves a connection that nobody can send on.
        let early = |exchange: &Exchange| !exchange.recv_open && exchange.sending != Sending::Over;
        let outrun = self.role == Role::Client && self.current().is_some_and(early);
        self.is_leaving || self.is_closing || self.has_failed || self.read_closed || outrun
    }
}
