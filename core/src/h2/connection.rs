//! One connection: its parts, its life, and what its owner may ask of it.
//!
//! `recv` turns octets into events, `send` turns commands into frames.

use std::sync::Arc;

use crate::config::{ConnectionConfig, DEFAULT_WINDOW};
use crate::error::{ConnectionError, ErrorCode};
use crate::fields::FieldSection;
use crate::frame;
use crate::h2::budget::{Misuse, QueuedFrames, cost};
use crate::h2::priorities::Signals;
use crate::h2::recv_fields::KnownHeads;
use crate::h2::schedule::Schedule;
use crate::h2::settings::{LocalSettings, PeerSettings, Role};
use crate::h2::state::ClosedBy;
use crate::h2::streams::{StreamKey, Streams};
use crate::h2::traffic::Traffic;
use crate::hpack::{Decoder, Encoder};
use crate::outbox::OctetQueue;
use crate::window::{RecvWindow, SendWindow};

/// How far the peer's side of the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Server: the client's 24 octets are awaited (RFC 9113 section 3.4).
    Preface,
    /// The peer's first frame is awaited, which must be SETTINGS.
    Settings,
    /// Frames of all kinds.
    Open,
    /// An error ended it; input is discarded.
    Failed,
}

/// A field block whose CONTINUATION frames are awaited (RFC 9113 section 4.3).
#[derive(Clone, Debug)]
pub(crate) struct OpenBlock {
    pub(crate) stream_id: u32,
    pub(crate) end_stream: bool,
    pub(crate) self_dependent: bool,
    pub(crate) continuations: u32,
    pub(crate) fragments: Vec<u8>,
}

/// One HTTP/2 connection of either role.
///
/// Octets go in through [`poll_event`](Self::poll_event), commands are methods, octets come out of
/// [`transmit`](Self::transmit). It has no clock: deadlines are its owner's.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) role: Role,
    pub(crate) config: Arc<ConnectionConfig>,
    pub(crate) phase: Phase,
    pub(crate) local: LocalSettings,
    pub(crate) peer: PeerSettings,
    pub(crate) peer_settings_seen: bool,
    pub(crate) seed: u64,
    pub(crate) decoder: Decoder,
    pub(crate) encoder: Encoder,
    pub(crate) recv_window: RecvWindow,
    pub(crate) send_window: SendWindow,
    /// What the peer has ever given that window: the last digits.
    pub(crate) window_given: u32,
    /// SETTINGS_INITIAL_WINDOW_SIZE that the peer has acknowledged.
    pub(crate) initial_recv_window: u32,
    pub(crate) streams: Streams,
    pub(crate) schedule: Schedule,
    pub(crate) signals: Signals,
    pub(crate) open_block: Option<Box<OpenBlock>>,
    /// Field blocks that came whole.
    pub(crate) blocks_received: u64,
    /// Server: the highest stream that the client opened.
    pub(crate) last_peer_stream_id: u32,
    /// Client: the next stream to open. Above 2^31-1 none is left.
    pub(crate) next_stream_id: u32,
    /// The last stream identifier of our latest GOAWAY.
    pub(crate) goaway_sent: Option<u32>,
    /// The last stream identifier of the peer's latest GOAWAY.
    pub(crate) goaway_received: Option<u32>,
    /// Streams that the peer's GOAWAY excluded, still to be told to the owner, the newest first: so they keep their order in front of others.
    pub(crate) excluded: Vec<StreamKey>,
    pub(crate) outbox: OctetQueue,
    pub(crate) traffic: Traffic,
    pub(crate) answers: QueuedFrames,
    /// Client: our resets. A stream keeps its slot until its reset has left.
    pub(crate) resets: QueuedFrames,
    pub(crate) misuse: Misuse,
    /// Where the last frame of a message ends, in the octets that the connection sends.
    pub(crate) messages_end: u64,
    /// Octets that may still come on streams that we reset ([`expect_late`](Self::expect_late)).
    pub(crate) late_octets: u32,
    /// Points of frames without use that may still come on them ([`spend_late`](Self::spend_late)).
    pub(crate) late_points: u32,
    /// What the peer has to bear of us: requests that we have taken back.
    pub(crate) strain: Misuse,
    /// PINGs of ours that were not answered.
    pub(crate) pings_out: u32,
    pub(crate) spare_fields: FieldSection,
    /// What field blocks that come again were found to be, by their origins.
    pub(crate) known_heads: KnownHeads,
}

impl Connection {
    /// A connection whose transport stands. Its first frames are in the outbox at once.
    ///
    /// `seed` keys the hashes of fields; connections that exchange field sections share it. `identity` names the
    /// decoder and must be unique among them. The configuration is one that [`validate`](ConnectionConfig::validate) has passed: nothing is checked
    /// here, and outside of its ranges a connection may stand still (a mark of 0) or break the protocol (a window above 2^31-1).
    pub fn new(role: Role, config: Arc<ConnectionConfig>, seed: u64, identity: u32) -> Self {
        let mut connection = Self {
            role,
            phase: if role == Role::Server { Phase::Preface } else { Phase::Settings },
            local: LocalSettings::new(&config, role),
            peer: PeerSettings::default(),
            peer_settings_seen: false,
            seed,
            decoder: Decoder::new(4096, seed, identity),
            encoder: Encoder::new(config.encoder_table_size),
            recv_window: RecvWindow::new(DEFAULT_WINDOW),
            send_window: SendWindow::new(DEFAULT_WINDOW),
            window_given: DEFAULT_WINDOW,
            initial_recv_window: DEFAULT_WINDOW,
            streams: Streams::default(),
            schedule: Schedule::default(),
            signals: Signals::default(),
            open_block: None,
            blocks_received: 0,
            last_peer_stream_id: 0,
            next_stream_id: 1, // 9113-5.1.1-01
            goaway_sent: None,
            goaway_received: None,
            excluded: Vec::new(),
            outbox: OctetQueue::default(),
            traffic: Traffic::default(),
            answers: QueuedFrames::default(),
            resets: QueuedFrames::default(),
            misuse: Misuse::default(),
            messages_end: 0,
            late_octets: 0,
            late_points: 0,
            strain: Misuse::default(),
            pings_out: 0,
            spare_fields: FieldSection::new(),
            known_heads: KnownHeads::default(),
            config,
        };
        connection.put_preface(); // 9113-3.4-03: in front of all acknowledgements
        connection
    }

    /// RFC 9113 section 3.4: the client's octets, then SETTINGS; the connection's window beyond 65,535 follows.
    fn put_preface(&mut self) {
        let out = self.outbox.tail();
        if self.role == Role::Client {
            out.extend_from_slice(frame::PREFACE);
        }
        frame::put_settings(out, &self.local.entries()); // 9113-3.3-02, 9113-6.5-01
        if let Some(increment) = self.recv_window.grow(self.config.connection_window_size) {
            frame::put_window_update(out, 0, increment);
        }
    }

    /// What waits to be written, cut so far. A server speaks only after the client's 24 octets came, for before them the
    /// client may turn out to speak something else.
    pub fn transmit(&self) -> &[u8] {
        if self.awaits_preface() { &[] } else { self.outbox.as_slice() }
    }

    /// Whether there is output, or some could be cut. Where the peer has narrowed windows since, nothing may come of a cut; it is not
    /// promised again then.
    pub fn has_output(&self) -> bool {
        let cuttable = self.schedule.has_turn(self.send_window.available() > 0);
        !self.transmit().is_empty() || (cuttable && self.phase != Phase::Failed)
    }

    /// Server: whether the client's 24 octets are still to come.
    pub fn awaits_preface(&self) -> bool {
        self.phase == Phase::Preface
    }

    /// The peer does not speak HTTP/2: it gets these octets instead of all that waits, and the connection has failed.
    pub fn answer_instead(&mut self, octets: &[u8]) {
        self.outbox.clear();
        self.outbox.extend(octets);
        self.phase = Phase::Failed;
    }

    /// `n` octets of [`transmit`](Self::transmit) left: what it does not show cannot have.
    pub fn sent(&mut self, n: usize) {
        self.traffic.sent_octets += self.outbox.pass_on(n.min(self.transmit().len())) as u64;
        self.answers.advance(self.traffic.sent_octets);
        self.resets.advance(self.traffic.sent_octets);
    }

    /// How many octets ever left.
    pub fn octets_sent(&self) -> u64 {
        self.traffic.sent_octets
    }

    /// How many octets will have left when what waits in the outbox now has.
    pub fn octets_queued(&self) -> u64 {
        self.traffic.sent_octets + self.outbox.len() as u64
    }

    /// Whether the peer has begun a field block and not ended it, where `rest` is its input that makes no whole frame.
    pub fn is_in_field_block(&self, rest: &[u8]) -> bool {
        let begins = rest
            .get(3)
            .is_some_and(|&octet| frame::FrameType::from_octet(octet) == frame::FrameType::Headers);
        self.open_block.is_some() || (begins && self.phase == Phase::Open)
    }

    /// How many field blocks of the peer came whole.
    pub fn field_blocks_received(&self) -> u64 {
        self.blocks_received
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

    /// Whether so much output waits that no further input should be taken in. DATA stops at the high mark, so what
    /// lies beyond are answers to a peer that asks and does not read.
    pub fn is_congested(&self) -> bool {
        !self.awaits_preface() && self.outbox.len() >= self.config.outbox_congested()
    }

    /// Whether so much of the output has left that input may be taken in again: well below the mark at which it stopped, so
    /// that a peer that takes little at a time does not make us stop and go with each octet.
    pub fn has_room(&self) -> bool {
        self.transmit().len() <= self.config.outbox_high_mark
    }

    /// What the peer may send on a stream that is opened now, in octets: the larger of what it goes by and what it will.
    pub fn stream_recv_window(&self) -> u32 {
        self.initial_recv_window.max(self.config.initial_window_size)
    }

    /// Whether an error ended the connection.
    pub fn has_failed(&self) -> bool {
        self.phase == Phase::Failed
    }

    /// Whether the peer's first SETTINGS came.
    pub fn is_established(&self) -> bool {
        self.peer_settings_seen
    }

    /// What the peer announced.
    pub fn peer_settings(&self) -> &PeerSettings {
        &self.peer
    }

    /// The seed of its hashes: for [`FieldLine::new`](crate::fields::FieldLine::new).
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Streams that are open in at least one direction.
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// What has passed so far.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The connection's windows: what we may send, and what the peer may. For snapshots.
    pub fn windows(&self) -> (i32, i32) {
        (self.send_window.get(), self.recv_window.available())
    }

    /// Octets of the peer's whose credit nobody can give back any more: those of the connection that were not released although
    /// no stream is left. There are none; for tests.
    pub fn credit_lost(&self) -> u64 {
        if self.streams.len() == 0 { self.recv_window.unreleased() } else { 0 }
    }

    /// The identifier of a stream on the wire.
    pub fn stream_id(&self, stream: StreamKey) -> Option<u32> {
        Some(self.streams.slab.get(stream)?.id)
    }

    /// Attaches a number to a stream that its events will bear. Says the identifier of the stream.
    pub fn set_tag(&mut self, stream: StreamKey, tag: u64) -> Option<u32> {
        let stream = self.streams.slab.get_mut(stream)?;
        stream.tag = tag;
        Some(stream.id)
    }

    /// Octets of content that wait in a stream's queue.
    pub fn queued(&self, stream: StreamKey) -> usize {
        self.streams.slab.get(stream).map_or(0, |stream| stream.queue.len())
    }

    /// Octets that wait in the outbox and in all streams' queues. Walks all streams: for snapshots.
    pub fn buffered(&self) -> usize {
        self.outbox.len() + self.streams.slab.iter().map(|(_, stream)| stream.queue.len()).sum::<usize>()
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
        !self.spare_fields.has_memory()
    }

    /// Takes any stream out, without telling the peer: for an owner whose transport is gone. `None` where none is left.
    pub fn abandon_stream(&mut self) -> Option<(StreamKey, u64)> {
        let key = self.streams.newest()?;
        let tag = self.streams.slab.get(key).map_or(0, |stream| stream.tag);
        self.forget(key, ClosedBy::OurReset);
        Some((key, tag))
    }

    /// Client: how many streams can be opened now. Before the peer's SETTINGS an assumption holds
    /// (RFC 9113 section 6.5.2), later the peer's limit, and always our own. None while the outbox is congested: requests
    /// that nobody takes, each followed by its reset, would fill it without limit; for the same reason a stream that we reset counts
    /// until its reset has left (CVE-2023-44487). And none while the peer [is strained](Self::is_strained).
    #[inline(always)]
    pub fn open_slots(&self) -> u32 {
        let ended =
            self.phase == Phase::Failed || self.goaway_sent.is_some() || self.goaway_received.is_some();
        let rests = self.is_congested() || self.is_strained();
        if ended || rests || self.role == Role::Server || self.next_stream_id > stream_id_max() {
            return 0;
        }
        let limit = match (self.peer_settings_seen, self.peer.max_concurrent_streams) {
            (false, _) => self.config.assumed_max_concurrent_streams,
            (true, None) => u32::MAX,
            (true, Some(limit)) => limit,
        };
        let taken = self.streams.len() + self.resets.len();
        limit.min(self.config.max_concurrent_streams_cap).saturating_sub(taken as u32) // 9113-5.1.2-01
    }

    /// Whether a GOAWAY of ours named the last stream that is served.
    pub fn goaway_is_final(&self) -> bool {
        self.goaway_sent.is_some_and(|last| last != stream_id_max() || last == self.last_peer_stream_id)
    }

    /// Whether new streams can ever be opened again: no GOAWAY in either direction, identifiers left.
    pub fn is_going_away(&self) -> bool {
        self.phase == Phase::Failed
            || self.goaway_sent.is_some()
            || self.goaway_received.is_some()
            || self.next_stream_id > stream_id_max()
    }

    /// The error ends the connection: GOAWAY is queued (RFC 9113 section 5.4.1), nothing else will be. Streams stay
    /// until [`abandon_stream`](Self::abandon_stream) took them.
    pub fn fail(&mut self, error: ConnectionError) {
        if self.phase == Phase::Failed {
            return;
        }
        self.put_goaway(self.last_peer_stream_id, error.code()); // 9113-5.4.1-01, 9113-5.4-05
        self.phase = Phase::Failed;
    }

    /// Announces that the connection ends soon: first with the highest identifier, so that requests on their way are
    /// still served (RFC 9113 section 6.8).
    pub fn announce_goaway(&mut self) {
        if self.goaway_sent.is_none() && self.phase != Phase::Failed {
            self.put_goaway(stream_id_max(), ErrorCode::NO_ERROR);
        }
    }

    /// Says which streams will be served; later ones are ignored.
    pub fn goaway(&mut self) {
        if self.goaway_sent.is_none_or(|last| last > self.last_peer_stream_id) && self.phase != Phase::Failed
        {
            self.put_goaway(self.last_peer_stream_id, ErrorCode::NO_ERROR);
        }
    }

    fn put_goaway(&mut self, last_stream_id: u32, error_code: ErrorCode) {
        // 9113-6.8-06: the last stream identifier never increases.
        let last_stream_id = self.goaway_sent.map_or(last_stream_id, |last| last.min(last_stream_id));
        self.goaway_sent = Some(last_stream_id);
        self.traffic.goaways_sent += 1;
        frame::put_goaway(self.outbox.tail(), last_stream_id, error_code, &[]);
    }

    /// Sends a PING.
    pub fn ping(&mut self, payload: [u8; 8]) {
        if self.phase != Phase::Failed {
            frame::put_ping(self.outbox.tail(), payload, false);
            self.pings_out = self.pings_out.saturating_add(1);
        }
    }

    /// An answer to the peer was put into the outbox.
    pub(crate) fn count_answer(&mut self) -> Result<(), ConnectionError> {
        let room = self.check_room_for_answer();
        self.answers.push(self.octets_queued());
        room
    }

    /// Whether one more answer may wait in the outbox.
    pub(crate) fn check_room_for_answer(&self) -> Result<(), ConnectionError> {
        let full = self.answers.len() >= self.config.max_queued_control_frames as usize;
        if full { Err(ConnectionError::ControlFramesQueued) } else { Ok(()) }
    }

    /// Drops a stream where it stands, out of every list. Says its identifier and its tag, if it was there.
    pub(crate) fn forget(&mut self, key: StreamKey, by: ClosedBy) -> Option<(u32, u64)> {
        self.schedule.remove(&mut self.streams, key);
        let stream = self.streams.slab.get(key)?;
        let (id, tag) = (stream.id, stream.tag);
        let late = if stream.state.may_recv() { stream.recv_window.available() } else { 0 };
        self.streams.remove(key, by);
        if by == ClosedBy::OurReset {
            self.expect_late_frames();
            self.expect_late(late);
        }
        Some((id, tag))
    }

    /// We reset a stream whose window had so many octets left. The peer may use them up before it knows (RFC 9113 section 5.1), and no more: what
    /// widens a stream's window later it reads behind the reset. The connection's window it may have taken later, where a thread of its waited for that
    /// one alone; all such streams together stay within its size, so that one number stands for all of them, the forgotten ones included.
    pub(crate) fn expect_late(&mut self, left: i32) {
        let stream = left.saturating_add_unsigned(self.unacknowledged_window()).max(0).unsigned_abs();
        self.late_octets = self.late_octets.saturating_add(stream).min(self.recv_window.size());
    }

    /// What our SETTINGS add to the window of each stream: the peer goes by them before we know that it does.
    pub(crate) fn unacknowledged_window(&self) -> u32 {
        self.config.initial_window_size.saturating_sub(self.initial_recv_window)
    }

    /// We reset a stream, and frames of it may be on their way.
    pub(crate) fn expect_late_frames(&mut self) {
        self.late_points = (self.late_points + cost::LATE).min(cost::LATE_MAX);
    }

    /// The peer cost so many points by frames on a stream that is gone. What it may have sent before it knew of our reset costs nothing.
    pub(crate) fn spend_late(&mut self, points: u32) -> Result<(), ConnectionError> {
        let free = points.min(self.late_points);
        self.late_points -= free;
        self.spend(points - free)
    }

    /// DATA came on a stream that is gone. More than there may be ends a client's connection; a backend's carries others' requests, and pays.
    pub(crate) fn recv_late(&mut self, octets: u32) -> Result<(), ConnectionError> {
        match (self.late_octets.checked_sub(octets), self.role) {
            (Some(left), _) => self.late_octets = left,
            (None, Role::Server) => return Err(ConnectionError::ResetUnheeded), // 9113-5.1-12
            (None, Role::Client) => return self.spend(cost::IGNORED),
        }
        Ok(())
    }
}

/// The highest stream identifier (RFC 9113 section 5.1.1).
pub(crate) const fn stream_id_max() -> u32 {
    0x7fff_ffff
}
