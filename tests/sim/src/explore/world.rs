//! One state of a small world: the gateway, its peers, its monitors; what can happen, and what comes of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use shuntyard_core::gateway::{
    Accepted, Action, Cause, Closed, Command, ConnId, Connected, EndRecord, Gateway, Outcome, Record,
    RecvBuf, View,
};
use shuntyard_core::time::{Duration, Instant, WallClock};

use super::digest::Digest;
use super::link::{Life, Link, Talk};
use super::scopes::Scope;
use crate::backend::Scripts;
use crate::invariants::{self, Scene};
use crate::ledger::{Attempt, Ledger, Violation};
use crate::police::{Police, Side};
use crate::refcodec::frame::{CANCEL, REFUSED_STREAM};
use crate::world::SECOND;

/// Rounds at one moment at most.
const TURNS_MAX: usize = 1000;
/// RFC 9113 section 7: INTERNAL_ERROR.
const INTERNAL_ERROR: u32 = 2;

/// So much time may pass where everybody does what is right, for pauses of requests that were refused and for the rest of an endpoint: of
/// three losses the longest is four seconds.
const HEALS_WITHIN: Duration = Duration::from_secs(5);

/// Something that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "a link is a connection, counted from the first; a stream is a stream")]
pub enum Event {
    /// A client sends the head of its next request.
    Open { link: usize },
    /// A backend sends the head of a response, with END_STREAM where there is no content.
    Head { link: usize, stream: u32 },
    /// A peer sends one octet of content.
    Octet { link: usize, stream: u32, end: bool },
    /// A peer ends its message by an empty DATA frame.
    End { link: usize, stream: u32 },
    /// A peer resets a stream.
    Reset { link: usize, stream: u32, code: u32 },
    /// A peer lets the gateway send one octet more.
    Credit { link: usize, stream: u32 },
    /// A dial succeeds.
    Stands { link: usize },
    /// A dial is refused.
    Refused { link: usize },
    /// A backend sends its first SETTINGS, with SETTINGS_MAX_CONCURRENT_STREAMS.
    Greet { link: usize, limit: u32 },
    /// A backend tells another limit.
    Limit { link: usize, limit: u32 },
    /// A backend sends GOAWAY.
    GoAway { link: usize, last: u32 },
    /// The transport is reset.
    Lost { link: usize },
    /// A peer ends its direction, as the gateway has.
    Finish { link: usize },
    /// The peer's socket takes what the gateway has shown.
    Take { link: usize },
    /// It is the time of the gateway's next deadline.
    Timer,
    /// The operator orders a drain.
    Drain,
}

/// One state.
pub struct World {
    gateway: Gateway,
    now: Instant,
    scope: std::sync::Arc<Scope>,
    scripts: Scripts,
    links: Vec<Link>,
    police: Vec<Police>,
    ledger: Ledger,
    /// Requests whose end record was looked at (L2).
    judged: BTreeSet<u64>,
    losses: u32,
    timers: u32,
    drained: bool,
    /// Since when everybody does what is right.
    heals_since: Option<Instant>,
}

impl World {
    /// The begin: all clients have connected, and SETTINGS were exchanged.
    pub(super) fn new(scope: &Scope) -> Result<Self, Violation> {
        let (now, exchanges) = (Instant::ZERO, scope.clients.iter().flatten());
        let scripts: Scripts =
            std::sync::Arc::new(exchanges.map(|exchange| (exchange.rid, exchange.clone())).collect());
        let wall = WallClock { at: now, unix_seconds: 784_111_777 };
        let gateway = Gateway::new(scope.config.clone(), 1, now, wall)
            .map_err(|error| Violation { id: "SIM", message: error.to_string() })?;
        let mut ledger = Ledger::new(Scripts::clone(&scripts)).limited(&scope.config);
        ledger.upstream_of = scripts.keys().map(|&rid| (rid, 0)).collect();
        let mut world = Self {
            gateway,
            now,
            scope: std::sync::Arc::new(scope.clone()),
            scripts,
            links: Vec::new(),
            police: Vec::new(),
            ledger,
            judged: BTreeSet::new(),
            losses: 0,
            timers: 0,
            drained: false,
            heals_since: None,
        };
        for client in 0..scope.clients.len() {
            let port = 5000 + u16::try_from(client).expect("few clients");
            let peer = SocketAddr::from(([192, 0, 2, 1], port)).into();
            let local = SocketAddr::from(([192, 0, 2, 9], 80)).into();
            let conn = world.gateway.handle_accept(Accepted { peer, local }, now);
            world.add(conn, Side::Front, Life::Standing);
        }
        world.settle()?;
        while let Some(link) = (0..world.links.len()).find(|&link| world.waits(link)) {
            world.apply(Event::Take { link })?;
        }
        Ok(world)
    }

    /// A copy that goes on independently.
    pub(super) fn fork(&self) -> Self {
        Self {
            gateway: self.gateway.fork().expect("a gateway without hooks"),
            now: self.now,
            scope: self.scope.clone(),
            scripts: self.scripts.clone(),
            links: self.links.clone(),
            police: self.police.clone(),
            ledger: self.ledger.clone(),
            judged: self.judged.clone(),
            ..*self
        }
    }

    /// What tells it from other states.
    pub(super) fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        digest.take((self.losses, self.timers, self.drained, self.ledger.draining));
        self.links.iter().for_each(|link| digest.link(link));
        for (&rid, trace) in &self.ledger.traces {
            digest.take(rid);
            let over = trace.is_answered() && trace.attempts.iter().all(Attempt::is_over);
            if !(over && self.judged.contains(&rid)) {
                digest.trace(trace, self.now.as_nanos());
            }
        }
        let order: Vec<ConnId> = self.links.iter().map(|link| link.conn).collect();
        digest.value() ^ self.gateway.digest(self.now, &order)
    }

    fn add(&mut self, conn: ConnId, side: Side, life: Life) {
        let (link, config) = (self.links.len(), &self.scope.config);
        let own = if side == Side::Front { &config.front } else { &config.backend };
        let growth = u64::from(own.connection_window_size) - 65_535;
        let assumed = config.backend.assumed_max_concurrent_streams;
        let stall = u64::try_from(config.timeouts.write_stall.as_nanos()).unwrap_or(u64::MAX);
        let mut police = Police::new(link, side, growth, assumed).patient(true).stalled_after(stall);
        if side == Side::Backend {
            let backend = &config.backend;
            police.stream_growth =
                u64::from(backend.stream_window_max.saturating_sub(backend.initial_window_size));
        }
        self.police.push(police);
        self.links.push(Link::new(conn, side, life, &self.scope.peers[usize::from(side == Side::Backend)]));
    }

    /// Everything that can happen now.
    pub(super) fn events(&self) -> Vec<Event> {
        let (scope, mut events) = (&self.scope, Vec::new());
        if self.drained {
            return events;
        }
        let loses = self.losses < scope.losses_max;
        for (link, entry) in self.links.iter().enumerate() {
            match entry.life {
                Life::Dialling => {
                    events.push(Event::Stands { link });
                    events.extend(loses.then_some(Event::Refused { link }));
                }
                Life::Standing => self.events_on(link, entry, &mut events),
                Life::Over => {}
            }
        }
        if self.timers < scope.timers_max && self.gateway.poll_timeout().is_some() {
            events.push(Event::Timer);
        }
        if scope.drain && !self.ledger.draining {
            events.push(Event::Drain);
        }
        events
    }

    fn events_on(&self, link: usize, entry: &Link, events: &mut Vec<Event>) {
        let scope = &self.scope;
        if self.waits(link) {
            events.push(Event::Take { link });
        }
        if entry.shut && !entry.finished {
            events.push(Event::Finish { link });
        }
        if entry.finished {
            return;
        }
        match entry.side {
            Side::Front => {
                if entry.opened < scope.clients[link].len() && !entry.shut {
                    events.push(Event::Open { link });
                }
                events.extend(scope.leaving.then_some(Event::Lost { link }));
            }
            Side::Backend => {
                if self.losses < scope.losses_max {
                    events.push(Event::Lost { link });
                }
                let Some(told) = entry.limit else {
                    events.extend(scope.limits.iter().map(|&limit| Event::Greet { link, limit }));
                    return;
                };
                if entry.limits_told < scope.limits_told_max {
                    let others = scope.limits.iter().filter(|&&limit| limit != told);
                    events.extend(others.map(|&limit| Event::Limit { link, limit }));
                }
                if scope.goaway && entry.goaway.is_none() {
                    self.goaways(link, entry, events);
                }
            }
        }
        for (&stream, talk) in &entry.streams {
            self.events_of_stream((link, stream), entry, talk, events);
        }
    }

    /// A backend leaves out what it has not begun to answer, or nothing.
    fn goaways(&self, link: usize, entry: &Link, events: &mut Vec<Event>) {
        let answered = entry.streams.iter().filter(|(_, talk)| talk.head).map(|(&stream, _)| stream).max();
        let newest = entry.streams.keys().copied().max();
        let mut lasts = vec![answered.unwrap_or(0), newest.unwrap_or(0), u32::MAX >> 1];
        lasts.dedup();
        events.extend(lasts.into_iter().map(|last| Event::GoAway { link, last }));
    }

    fn events_of_stream(
        &self,
        (link, stream): (usize, u32),
        entry: &Link,
        talk: &Talk,
        events: &mut Vec<Event>,
    ) {
        if entry.side == Side::Backend && !talk.head {
            events.push(Event::Head { link, stream });
            events.extend(self.scope.resets.then_some(Event::Reset { link, stream, code: REFUSED_STREAM }));
        } else if !talk.done {
            if talk.said < talk.total && entry.room(stream) > 0 {
                events.push(Event::Octet { link, stream, end: false });
                let last = talk.said + 1 == talk.total;
                events.extend(last.then_some(Event::Octet { link, stream, end: true }));
            }
            if talk.said == talk.total {
                events.push(Event::End { link, stream });
            }
        }
        if talk.credited < talk.heard && !talk.whole {
            events.push(Event::Credit { link, stream });
        }
        if self.scope.resets {
            let code = if entry.side == Side::Front { CANCEL } else { INTERNAL_ERROR };
            events.push(Event::Reset { link, stream, code });
        }
    }

    /// Whether the gateway's output waits for the link's socket.
    fn waits(&self, link: usize) -> bool {
        self.scope.crossing && self.links[link].life == Life::Standing && self.police[link].waiting() > 0
    }

    /// A copy in which everybody does what is right from now on.
    pub(super) fn healed(&self) -> Self {
        Self { heals_since: Some(self.now), ..self.fork() }
    }

    /// For how long everybody has done what is right.
    pub(super) fn heals_for(&self) -> Duration {
        self.heals_since.map_or(Duration::ZERO, |since| self.now.saturating_since(since))
    }

    /// LIVE: whoever had all its time left when everybody began to do what is right is served, and waits for no deadline: time passes only for pauses and
    /// for rests. (An earlier version let as much time pass as there was: a gateway that asks no backend for anything answers each request
    /// with 503 when its time is over, and kept every promise.)
    fn live_nobody_is_told_that_its_time_is_over(&self, record: &EndRecord) -> Result<(), Violation> {
        let Some(since) = self.heals_since else { return Ok(()) };
        let (Outcome::LocalReply(cause) | Outcome::Truncated(cause)) = record.outcome else { return Ok(()) };
        let timeouts = &self.scope.config.timeouts;
        let limit = match cause {
            Cause::QueueLimit | Cause::ConnectionTimeout => self.scope.config.upstreams[0].queue_timeout,
            Cause::ResponseTimeout => timeouts.response,
            Cause::StreamIdle => timeouts.stream_idle,
            _ => return Ok(()),
        };
        let used = since.saturating_since(record.accepted);
        if used + HEALS_WITHIN >= limit || self.ledger.draining {
            return Ok(());
        }
        Err(Violation {
            id: "LIVE",
            message: format!("everybody does what is right, and there is {record:?}"),
        })
    }

    /// What happens next where everybody does what is right. `None` where all requests have ended and a drain is over.
    pub(super) fn healing(&self) -> Result<Option<Event>, Violation> {
        if self.drained {
            return Ok(None);
        }
        for (link, entry) in self.links.iter().enumerate() {
            let event = match entry.life {
                Life::Dialling => Some(Event::Stands { link }),
                Life::Standing => self.healing_on(link, entry),
                Life::Over => None,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        let open = self.ledger.traces.iter().find(|(_, trace)| trace.front.is_some() && !trace.is_answered());
        if let Some((rid, trace)) = open
            && self.gateway.poll_timeout().is_none_or(|at| at > self.now + Duration::from_secs(3600))
        {
            return Err(Violation { id: "LIVE", message: format!("request {rid} never ends: {trace:?}") });
        }
        let drains = self.ledger.draining || open.is_some();
        Ok(Some(if drains { Event::Timer } else { Event::Drain }))
    }

    fn healing_on(&self, link: usize, entry: &Link) -> Option<Event> {
        if self.waits(link) {
            return Some(Event::Take { link });
        }
        if entry.finished {
            return None;
        }
        if entry.shut {
            return Some(Event::Finish { link });
        }
        if entry.side == Side::Backend {
            match entry.limit {
                None => return Some(Event::Greet { link, limit: 1 }),
                Some(0) => return Some(Event::Limit { link, limit: 1 }),
                Some(_) => {}
            }
        }
        entry.streams.iter().find_map(|(&stream, talk)| {
            if talk.credited < talk.heard && !talk.whole {
                return Some(Event::Credit { link, stream });
            }
            if !talk.head {
                return Some(Event::Head { link, stream });
            }
            if talk.done {
                return None;
            }
            let end = talk.said + 1 >= talk.total;
            match talk.said < talk.total {
                true if entry.room(stream) == 0 => None,
                true => Some(Event::Octet { link, stream, end }),
                false => Some(Event::End { link, stream }),
            }
        })
    }

    /// After the drain: Q1 and the accounts of what has ended.
    pub(super) fn is_over(&mut self) -> Result<(), Violation> {
        let open = self.links.iter().filter(|link| link.life != Life::Over).count();
        let view = self.gateway.view();
        invariants::q1_nothing_is_left(&mut self.ledger, self.drained, open, &view)?;
        invariants::l1_every_request_has_ended(&mut self.ledger)?;
        invariants::e6_no_request_is_lost(&mut self.ledger)?;
        invariants::l2_records_tell_what_happened(&mut self.ledger)
    }

    /// An event happens, and all that follows from it at once.
    pub(super) fn apply(&mut self, event: Event) -> Result<(), Violation> {
        self.happen(event)?;
        self.settle()?;
        self.every_step()
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Open { link } => {
                let exchange = self.scope.clients[link][self.links[link].opened].clone();
                self.links[link].open(&exchange);
            }
            Event::Head { link, stream } => self.links[link].head(stream, &self.scripts),
            Event::Octet { link, stream, end } => self.links[link].data(stream, 1, end),
            Event::End { link, stream } => self.links[link].data(stream, 0, true),
            Event::Reset { link, stream, code } => self.links[link].reset(stream, code),
            Event::Credit { link, stream } => self.links[link].credit(stream),
            Event::Stands { link } => {
                self.links[link].life = Life::Standing;
                self.gateway.handle_connected(self.links[link].conn, Connected::default(), self.now);
            }
            Event::Refused { link } => {
                self.losses += 1;
                self.police[link].lost(self.ledger.now);
                self.lost(link, Closed::ConnectRefused);
            }
            Event::Greet { link, limit } => {
                self.links[link].greet(limit, &self.scripts).map_err(|message| wrong(link, message))?;
            }
            Event::Limit { link, limit } => self.links[link].tell_limit(limit),
            Event::GoAway { link, last } => self.links[link].go_away(last),
            Event::Lost { link } => {
                self.losses += u32::from(self.links[link].side == Side::Backend);
                self.police[link].gone(&mut self.ledger);
                self.over(link);
                self.lost(link, Closed::Reset);
            }
            Event::Finish { link } => {
                self.links[link].finished = true;
                self.police[link].gone(&mut self.ledger);
                self.over(link);
                self.gateway.handle_read_closed(self.links[link].conn, self.now);
            }
            Event::Take { link } => self.take(link)?,
            Event::Timer => {
                self.timers += 1;
                self.now = self.gateway.poll_timeout().map_or(self.now, |at| at.max(self.now));
                self.gateway.handle_timeout(self.now);
            }
            Event::Drain => {
                let deadline = Duration::from_secs(5);
                self.ledger.drains(self.now.as_nanos(), 5 * SECOND);
                self.gateway.handle_command(Command::Drain { deadline }, self.now);
            }
        }
        Ok(())
    }

    fn lost(&mut self, link: usize, why: Closed) {
        self.links[link].end();
        self.gateway.handle_closed(self.links[link].conn, why, self.now);
    }

    /// The gateway knows that the connection is over.
    fn over(&mut self, link: usize) {
        self.police[link].lost(self.ledger.now);
        if self.links[link].side == Side::Front {
            self.ledger.fronts_over.entry(link).or_insert(self.ledger.now);
        }
    }

    /// All that the gateway wants, and all that peers have to say to it, until there is nothing.
    fn settle(&mut self) -> Result<(), Violation> {
        self.ledger.now = self.now.as_nanos();
        for _ in 0..TURNS_MAX {
            let mut busy = false;
            for link in 0..self.links.len() {
                busy |= self.give(link)?;
            }
            for link in 0..self.links.len() {
                busy |= self.show(link)?;
            }
            // Last, since what has left may lead to actions.
            while let Some(action) = self.gateway.poll_action() {
                busy = true;
                self.execute(action)?;
            }
            if !busy {
                return Ok(());
            }
        }
        Err(Violation { id: "T5", message: "the gateway spins".to_owned() })
    }

    /// What the peer says arrives; whether there was anything.
    fn give(&mut self, link: usize) -> Result<bool, Violation> {
        let entry = &mut self.links[link];
        let octets = entry.output();
        if entry.life != Life::Standing || octets.is_empty() || entry.paused || entry.finished {
            return Ok(false);
        }
        match self.gateway.recv_buf(entry.conn) {
            RecvBuf::Buffer(buffer) => buffer[..octets.len()].copy_from_slice(&octets),
            RecvBuf::Pause => {
                (entry.paused, self.police[link].paused) = (true, true);
                return Ok(false);
            }
            RecvBuf::Gone => return Ok(false),
        }
        if let Some(peer) = &mut entry.peer {
            peer.sent(octets.len());
        }
        self.police[link].delivered(&octets, true, &mut self.ledger)?;
        self.gateway.handle_recv(self.links[link].conn, octets.len(), self.now);
        Ok(true)
    }

    /// The gateway shows what it wants to write, which leaves at once unless frames are to cross; whether there was anything.
    fn show(&mut self, link: usize) -> Result<bool, Violation> {
        if !self.links[link].writable || self.links[link].life != Life::Standing {
            return Ok(false);
        }
        let shown = self.gateway.poll_transmit(self.links[link].conn, self.now);
        let Some(all) = shown.map(<[u8]>::to_vec) else {
            self.links[link].writable = false;
            return Ok(false);
        };
        let new = &all[self.police[link].waiting()..];
        let busy = !new.is_empty();
        self.police[link].emitted(new, &mut self.ledger)?;
        if !self.scope.crossing {
            self.taken(link, &all)?;
        }
        Ok(busy)
    }

    fn take(&mut self, link: usize) -> Result<(), Violation> {
        let waiting = self.police[link].waiting();
        let shown = self.gateway.shown(self.links[link].conn);
        let octets = shown[..waiting].to_vec();
        self.links[link].writable = true;
        self.taken(link, &octets)
    }

    fn taken(&mut self, link: usize, octets: &[u8]) -> Result<(), Violation> {
        self.police[link].sent(octets.len(), &mut self.ledger)?;
        self.gateway.handle_sent(self.links[link].conn, octets.len(), self.now);
        if self.links[link].finished {
            return Ok(());
        }
        self.links[link].hear(octets, &self.scripts).map_err(|message| wrong(link, message))
    }

    fn execute(&mut self, action: Action) -> Result<(), Violation> {
        match action {
            Action::Connect { conn, .. } => {
                let link = self.links.len();
                self.ledger.targets.insert(link, super::scopes::backend_address());
                self.ledger.dialled.push(link);
                self.add(conn, Side::Backend, Life::Dialling);
            }
            Action::Readable(conn) => {
                if let Some(link) = self.find(conn) {
                    (self.links[link].paused, self.police[link].paused) = (false, false);
                }
            }
            Action::Writable(conn) => {
                if let Some(link) = self.find(conn) {
                    self.links[link].writable = true;
                }
            }
            Action::Shutdown(conn) => {
                if let Some(link) = self.find(conn) {
                    self.links[link].shut = true;
                    self.police[link].ended_by_gateway(&mut self.ledger);
                }
            }
            Action::Close(conn) | Action::Abort(conn) => {
                if let Some(link) = self.find(conn) {
                    self.police[link].ended_by_gateway(&mut self.ledger);
                    self.over(link);
                    self.links[link].end();
                }
            }
            Action::Record(record) => {
                self.ledger.record(&record)?;
                if let Record::Ended(record) = *record {
                    let (ledger, config) = (&mut self.ledger, &self.scope.config);
                    invariants::t4_no_deadline_acts_early(ledger, &record, config)?;
                    invariants::r8_the_unprocessed_go_again(ledger, &self.police, &record, config)?;
                    invariants::e6_only_the_hopeless_are_told(ledger, &self.police, &record, config)?;
                    self.live_nobody_is_told_that_its_time_is_over(&record)?;
                }
            }
            Action::Drained { .. } => self.drained = true,
            Action::Accepting(_) | Action::Resolve { .. } => {}
        }
        Ok(())
    }

    fn find(&self, conn: ConnId) -> Option<usize> {
        self.links.iter().position(|link| link.conn == conn && link.life != Life::Over)
    }

    fn every_step(&mut self) -> Result<(), Violation> {
        let (view, seen) = (self.gateway.view(), self.gateway.inspect());
        let next = self.gateway.poll_timeout();
        if view.queued > 0 {
            self.ledger.queued_at = self.now.as_nanos();
        }
        if self.drained {
            let nothing = view == View::default();
            return self.ledger.check("Q1", nothing, || format!("drained, and there is {view:?}"));
        }
        let spins = next.is_some_and(|at| at <= self.now);
        self.ledger
            .check("T5", !spins, || format!("a deadline is due at {next:?}, and it is {:?}", self.now))?;
        let mut checks = std::mem::take(&mut self.ledger.checks);
        let scene = Scene {
            ledger: &self.ledger,
            checks: &mut checks,
            police: &self.police,
            view: &view,
            seen: &seen,
            config: &self.scope.config,
            next_timeout: next.map(Instant::as_nanos),
            draining: self.ledger.draining,
            late: false,
            // States that are alike may have come about in turns that are not.
            turns: &mut invariants::Turns::default(),
            beside: &mut invariants::Beside::default(),
            slack: 1,
        };
        let over = invariants::every_step(scene);
        self.ledger.checks = checks;
        self.ledger.thawed.clear();
        self.ledger.dialled.clear();
        over?.iter().for_each(|rid| _ = self.ledger.active.remove(rid));
        if !self.scope.crossing {
            // What leaves is with the peer at once, so that nothing comes behind a record.
            self.judged.extend(self.ledger.end_records.iter().filter_map(invariants::rid_of));
            invariants::l2_records_tell_what_happened(&mut self.ledger)?;
        }
        Ok(())
    }
}

fn wrong(link: usize, message: String) -> Violation {
    Violation { id: "PEER", message: format!("link {link} sees: {message}") }
}
