//! A passive monitor of one connection at the gateway's socket boundary.
//!
//! It sees exactly what was delivered to the core and what the core emitted, decodes both with `refcodec`, keeps its own
//! account of windows, limits and acknowledgements, and raises on any emission that breaks a rule.

mod acknowledged;
mod budget;
mod half;
mod inbound;
mod outbound;
mod told;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::ledger::{Ledger, Violation};
use crate::refcodec::frame::{Frame, Reader};
use crate::refcodec::hpack::Decoder;
use crate::world::Nanos;
pub(crate) use budget::BUDGET;
use half::Half;

/// Which side of the gateway a connection is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Towards a client.
    Front,
    /// Towards a backend.
    Backend,
}

/// How far the message that the gateway sends on a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Nothing,
    Head,
    Ended,
}

#[derive(Clone, Debug)]
struct Stream {
    rid: Option<u64>,
    /// What the gateway may send.
    window: i64,
    /// Flow-controlled octets that came.
    received: u64,
    /// Of these: padding.
    padding: u64,
    /// Octets that the gateway gave back.
    credited: u64,
    progress: Progress,
    /// The head that the gateway sent announced this much content.
    declared: Option<u64>,
    /// Octets of content that the gateway sent.
    sent: u64,
    /// It sent trailers.
    trailers: bool,
    /// Where in its output the gateway's HEADERS began.
    head_at: u64,
    reset_by_gateway: bool,
    ended_by_peer: bool,
    /// RST_STREAM came.
    reset_by_peer: bool,
    /// What leaves now was made in knowledge of it.
    reset_known: bool,
    /// What leaves now was made in knowledge of the peer's end.
    end_known: bool,
}

/// The monitor of one connection.
#[derive(Clone, Debug)]
pub struct Police {
    link: usize,
    side: Side,
    inbound: Half,
    outbound: Half,
    streams: BTreeMap<u32, Stream>,
    /// What the gateway may send on the connection.
    window: i64,
    /// The peer's settings in force: acknowledged by the gateway, in the order of its output.
    initial_window: i64,
    max_concurrent: Option<u32>,
    assumed_max_concurrent: u32,
    peer_settings: VecDeque<Vec<(u16, u32)>>,
    peer_pings: VecDeque<[u8; 8]>,
    gateway_settings: VecDeque<Vec<(u16, u32)>>,
    /// Flow-controlled octets that came, and credit for them.
    received: u64,
    credited: u64,
    /// Credit beyond what came that the configuration allows the connection to begin with.
    growth: u64,
    /// By how much the window of a stream may grow beyond its initial size.
    pub(crate) stream_growth: u64,
    highest: u32,
    last_goaway: Option<u32>,
    peer_goaway_known: bool,
    peer_goaway_came: bool,
    /// The last stream that the peer's GOAWAY names, which the gateway may not have read yet.
    peer_last_stream: u32,
    ended_by_gateway: bool,
    peer_gone: bool,
    /// Where in its output the gateway's next frame begins, and where its last HEADERS began.
    outbound_at: u64,
    block_at: u64,
    /// Streams whose HEADERS were shown and have not begun to leave, with where they begin.
    unsent: VecDeque<(u64, u32)>,
    /// Octets that the gateway showed, and those of them that left.
    shown: u64,
    sent: u64,
    /// The most of them that ever waited.
    peak: usize,
    /// What the peer has cost for nothing, and what it may (N5).
    misused: budget::Misused,
    budget: u64,
    /// When it took back requests lately.
    taken_back: VecDeque<Nanos>,
    /// The peer may break the protocol.
    hostile: bool,
    /// It did, so that nobody can say what its octets mean any more.
    inbound_broken: bool,
    /// The adapter was told not to read: what was delivered may not have been looked at.
    pub paused: bool,
    /// The peer's SETTINGS came.
    established: bool,
    /// Streams on which either side is not done.
    open: BTreeSet<u32>,
    /// The gateway knows that the connection is over.
    over: bool,
    /// Since when it has been no engine's any more.
    retired: Option<Nanos>,
    /// The gateway's socket is closed.
    pub(crate) closed: bool,
    /// Since when no stream is open.
    idle_since: Nanos,
    /// Streams (0: the connection) whose window the peer raised beyond 2^31-1.
    overflowed: BTreeSet<u32>,
    /// The same where the gateway must have counted alike.
    overflowed_for_sure: BTreeSet<u32>,
    /// The peer may be slower than the gateway's patience.
    slow: bool,
    /// When it was made.
    born: Nanos,
    /// Since when output has waited and nothing of it was taken, and for how long it may.
    waits_since: Option<Nanos>,
    write_stall: Nanos,
    /// Where acknowledgements end that have not left, and how many there may be.
    answers: VecDeque<u64>,
    answers_max: usize,
}

impl Police {
    /// A monitor of a connection that has just begun. `growth` is by how much the gateway's connection window may exceed
    /// 65,535; `assumed` how many streams it may open before SETTINGS came.
    pub fn new(link: usize, side: Side, growth: u64, assumed: u32) -> Self {
        let half = |preface| Half {
            reader: Reader::new(preface),
            decoder: Decoder::default(),
            block: None,
            frames: 0,
        };
        Self {
            link,
            side,
            inbound: half(side == Side::Front),
            outbound: half(side == Side::Backend),
            streams: BTreeMap::new(),
            window: 65_535,
            initial_window: 65_535,
            max_concurrent: None,
            assumed_max_concurrent: assumed,
            peer_settings: VecDeque::new(),
            peer_pings: VecDeque::new(),
            gateway_settings: VecDeque::new(),
            received: 0,
            credited: 0,
            growth,
            stream_growth: 0,
            highest: 0,
            last_goaway: None,
            peer_goaway_known: false,
            peer_goaway_came: false,
            peer_last_stream: u32::MAX,
            ended_by_gateway: false,
            peer_gone: false,
            outbound_at: if side == Side::Backend { 24 } else { 0 },
            block_at: 0,
            unsent: VecDeque::new(),
            shown: 0,
            sent: 0,
            peak: 0,
            misused: budget::Misused::default(),
            budget: BUDGET.into(),
            taken_back: VecDeque::new(),
            hostile: false,
            inbound_broken: false,
            paused: false,
            established: false,
            open: BTreeSet::new(),
            over: false,
            retired: None,
            closed: false,
            idle_since: 0,
            overflowed: BTreeSet::new(),
            overflowed_for_sure: BTreeSet::new(),
            slow: false,
            born: 0,
            waits_since: None,
            write_stall: Nanos::MAX,
            answers: VecDeque::new(),
            answers_max: usize::MAX,
        }
    }

    /// The same for a peer that may break the protocol.
    pub fn tolerant(mut self, hostile: bool) -> Self {
        self.hostile = hostile;
        self
    }

    /// The same for a peer that may be too slow for a deadline.
    pub fn patient(mut self, slow: bool) -> Self {
        self.slow = slow;
        self
    }

    /// The same for a gateway that gives up who takes no output for so long.
    pub fn stalled_after(mut self, write_stall: Nanos) -> Self {
        self.write_stall = write_stall;
        self
    }

    /// The same for a connection that is made now.
    pub fn born_at(mut self, now: Nanos) -> Self {
        self.born = now;
        self
    }

    /// How long ago it was made.
    pub fn age(&self, now: Nanos) -> Nanos {
        now.saturating_sub(self.born)
    }

    /// Whether it is over, or its peer has said that it goes away.
    pub fn is_leaving(&self) -> bool {
        self.over || self.peer_goaway_came
    }

    /// Whether its peer has processed nothing: no response of its had content or an end. Where many of these end as soon as they stand, more of them are
    /// no use.
    pub fn processed_nothing(&self) -> bool {
        self.streams.values().all(|stream| stream.received == 0 && !stream.ended_by_peer)
    }

    /// The same for a gateway that lets no more answers than so many wait for one peer.
    pub fn answered_at_most(mut self, answers_max: usize) -> Self {
        self.answers_max = answers_max;
        self
    }

    /// The same for a gateway that bears so much of one peer.
    pub fn borne_up_to(mut self, budget: u64) -> Self {
        self.budget = budget;
        self
    }

    /// N5: an acknowledgement was emitted. With the one that is too many the connection ends.
    fn answer_out(&mut self, ledger: &mut Ledger) -> Result<(), Violation> {
        self.answers.push_back(self.outbound_at);
        let (link, waiting, most) = (self.link, self.answers.len(), self.answers_max.saturating_add(1));
        ledger.check("N5", waiting <= most, || {
            format!("link {link}: {waiting} acknowledgements wait for a peer that takes none, of {most}")
        })
    }

    /// Octets were delivered to the gateway. Where it was `quiet` before (nothing left to do or to write), whatever leaves
    /// from now on was made in knowledge of the first frame; of the frames behind it that cannot be said.
    pub fn delivered(&mut self, octets: &[u8], quiet: bool, ledger: &mut Ledger) -> Result<(), Violation> {
        if self.inbound_broken {
            return Ok(());
        }
        self.inbound.reader.push(octets);
        let mut known = quiet && self.waiting() == 0;
        loop {
            let result = next(&mut self.inbound.reader, "SIM").and_then(|frame| match frame {
                Some(frame) => self.frame_in(frame, std::mem::take(&mut known), ledger).map(|()| true),
                None => Ok(false),
            });
            match result {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(_) if self.hostile => {
                    self.inbound_broken = true;
                    return Ok(());
                }
                Err(violation) => return Err(violation),
            }
        }
    }

    /// The gateway shows octets that it wants to write, each once: from here on it cannot take them back. They may leave
    /// much later, or never.
    pub fn emitted(&mut self, octets: &[u8], ledger: &mut Ledger) -> Result<(), Violation> {
        self.outbound.reader.push(octets);
        self.shown += octets.len() as u64;
        self.peak = self.peak.max(self.waiting());
        self.waits_since.get_or_insert(ledger.now);
        loop {
            let read = next(&mut self.outbound.reader, "C4");
            ledger.require(&["9113-4.1-01"], "C4", read.is_ok(), || format!("{:?}", read.as_ref().err()))?;
            let Some(frame) = read? else { return Ok(()) };
            self.frame_out(frame, ledger)?;
        }
    }

    /// Whether it is a connection to a backend.
    pub fn is_backend(&self) -> bool {
        self.side == Side::Backend
    }

    /// Whether the gateway has said nothing yet.
    pub fn is_silent(&self) -> bool {
        self.outbound.frames < 2
    }

    /// Whether the peer may break the protocol.
    pub fn is_hostile(&self) -> bool {
        self.hostile
    }

    /// R3: octets left. What was given up because nothing of it had left, and is with another backend, must not be among
    /// them. (A backend that left the stream out of its GOAWAY ignores it, as one that reset it does.)
    pub fn sent(&mut self, octets: usize, ledger: &mut Ledger) -> Result<(), Violation> {
        self.sent += octets as u64;
        self.waits_since = (self.waiting() > 0).then_some(ledger.now);
        while self.answers.front().is_some_and(|&end| end <= self.sent) {
            self.answers.pop_front();
        }
        while self.unsent.front().is_some_and(|&(at, _)| at < self.sent) {
            let Some((_, stream)) = self.unsent.pop_front() else { break };
            let trace = self.streams.get(&stream).and_then(|entry| ledger.traces.get(&entry.rid?));
            let Some([before @ .., _]) = trace.map(|trace| trace.attempts.as_slice()) else { continue };
            let elsewhere = before.iter().any(|attempt| {
                (attempt.link, attempt.stream) == (self.link, stream)
                    && attempt.lost
                    && !attempt.left_out
                    && attempt.reset.is_none()
            });
            let link = self.link;
            ledger.check("R3", !elsewhere, || {
                format!("link {link}: stream {stream} leaves after all, its request is with another backend")
            })?;
        }
        Ok(())
    }

    /// Octets that were shown and have not left.
    pub fn waiting(&self) -> usize {
        usize::try_from(self.shown - self.sent).expect("an outbox fits memory")
    }

    /// Whether so much output has waited once that there may have been no memory for more heads: beside twice the mark a section has a
    /// place, and of the ledger each client has a share.
    pub fn was_full(&self, config: &shuntyard_core::config::Config) -> bool {
        let beyond = if config.head_ledger_octets < 256 << 20 { 20_000 } else { 800_000 };
        self.peak >= 2 * config.front.outbox_high_mark + beyond
    }

    /// The peer is gone, whether the gateway has noticed or not. After the gateway's own end that excuses nothing.
    pub fn gone(&mut self, ledger: &mut Ledger) {
        self.peer_gone |= !self.ended_by_gateway;
        self.retired.get_or_insert(ledger.now);
        self.end_attempts(ledger);
    }

    fn end_attempts(&mut self, ledger: &mut Ledger) {
        for (&stream, entry) in &self.streams {
            let Some(rid) = entry.rid else { continue };
            match self.side {
                Side::Front if self.ended_by_gateway => {}
                Side::Front => ledger.trace(rid).client_gone = true,
                Side::Backend => {
                    if let Some(attempt) = ledger.attempt(rid, self.link, stream) {
                        attempt.lost = true;
                        // What is shown already and leaves later is no such thing: only the end of the connection can tell.
                        attempt.never_left = self.ended() && self.sent <= entry.head_at;
                    }
                }
            }
        }
    }

    /// The gateway has ended its sending direction or the whole connection.
    pub fn ended_by_gateway(&mut self, ledger: &mut Ledger) {
        self.ended_by_gateway = true;
        self.over = true;
        self.retired.get_or_insert(ledger.now);
        if self.side == Side::Backend {
            self.gone(ledger);
        } else if self.outbound.frames == 0
            || ledger.drain.is_some_and(|(_, over)| ledger.now >= over)
            || self.takes_nothing(ledger.now)
        {
            // A client that is turned away before a word was said: none of its requests was looked at. Who takes no output
            // cannot be answered. And at the deadline of a drain whoever is left is cut. (An earlier version excused that from the order on.)
            let rids = self.streams.values().filter_map(|entry| entry.rid);
            rids.for_each(|rid| ledger.trace(rid).left_out = true);
        }
    }

    /// Whether the peer has taken no output for as long as the gateway waits for that.
    fn takes_nothing(&self, now: Nanos) -> bool {
        self.waiting() > 0
            && self.waits_since.is_some_and(|since| now.saturating_sub(since) >= self.write_stall)
    }

    /// Nothing can leave any more.
    fn ended(&self) -> bool {
        self.over || self.peer_gone
    }

    /// Whether the connection is over, as far as the gateway knows.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The gateway was told that the transport is gone.
    pub fn lost(&mut self, now: Nanos) {
        self.over = true;
        self.retired.get_or_insert(now);
    }

    /// Notes whether a stream is open.
    fn follow(&mut self, stream: u32, now: Nanos) {
        if self.streams.get(&stream).is_some_and(Stream::is_open) {
            self.open.insert(stream);
        } else if self.open.remove(&stream) && self.open.is_empty() {
            self.idle_since = now;
        }
    }

    /// Octets of a stream's content (without padding) that were credited.
    pub(crate) fn credit_of(&self, stream: u32) -> Option<u64> {
        let own = |entry: &Stream| entry.credited.saturating_sub(entry.padding + self.stream_growth);
        self.streams.get(&stream).map(own)
    }

    /// The window that a stream leaves open for the peer, of `begins` octets when it was opened, where the peer may still use it.
    pub(crate) fn open_window_of(&self, stream: u32, begins: u64) -> Option<u64> {
        let entry = self.streams.get(&stream).filter(|entry| entry.is_open() && !entry.ended_by_peer)?;
        Some((begins + entry.credited).saturating_sub(entry.received))
    }

    fn new_stream(&self, rid: Option<u64>) -> Stream {
        Stream {
            rid,
            window: self.initial_window,
            received: 0,
            padding: 0,
            credited: 0,
            progress: Progress::Nothing,
            declared: None,
            sent: 0,
            trailers: false,
            head_at: 0,
            reset_by_gateway: false,
            ended_by_peer: false,
            reset_by_peer: false,
            reset_known: false,
            end_known: false,
        }
    }

    fn name(&self, stream: u32) -> String {
        format!("link {} ({:?}), stream {stream}", self.link, self.side)
    }
}

impl Stream {
    fn is_open(&self) -> bool {
        let over = self.progress == Progress::Ended && self.ended_by_peer;
        !(over || self.reset_by_gateway || self.reset_by_peer)
    }
}

fn next(reader: &mut Reader, id: &'static str) -> Result<Option<Frame>, Violation> {
    reader.next_frame().map_err(|error| Violation { id, message: error.to_string() })
}
