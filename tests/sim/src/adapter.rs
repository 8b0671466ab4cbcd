//! An adapter as the contract wants it: events in, actions done, sleep until `poll_timeout` and nothing sooner.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, ConfigError};
use shuntyard_core::gateway::{
    Accepted, Action, Closed, Command, ConnId, Connected, Gateway, Record, RecvBuf,
};
use shuntyard_core::time::{Duration, Instant, WallClock};

use crate::invariants;
use crate::ledger::Violation;
use crate::net::{End, Read, Write};
use crate::rng::{Choices, FNV_START, fnv};
use crate::scenario::{AdapterPlan, Scenario};
use crate::stage::{ConnectAnswer, Stage};
use crate::world::Nanos;

mod hostile;

#[derive(Clone, Copy, Debug)]
struct Conn {
    link: usize,
    end: End,
    connecting: bool,
    paused: bool,
    read_closed: bool,
    writable: bool,
}

/// The gateway with its sockets.
#[derive(Debug)]
pub struct Adapter {
    gateway: Gateway,
    plan: AdapterPlan,
    /// What it wanted before anything happened.
    begun: VecDeque<Action>,
    conns: BTreeMap<ConnId, Conn>,
    by_link: BTreeMap<usize, ConnId>,
    /// Links on which something may be read or written.
    ready: BTreeSet<usize>,
    /// Clients that wait to be accepted.
    backlog: Vec<usize>,
    accepting: bool,
    draining: bool,
    hash: u64,
    /// No event has gone in since there was nothing left to do or to write.
    quiet: bool,
    choices: Choices,
    /// Connections that are gone.
    stale: Vec<ConnId>,
    /// How often all of the gateway was looked at.
    looked_at: u32,
    /// What the gateway's clock shows at the begin.
    epoch: Nanos,
    /// How much later than due the next timer comes.
    lateness: Nanos,
    /// The limits that deadlines are judged by.
    config: Config,
    /// When the gateway wants to be woken, by what it said at the end of the last turn.
    next: Option<Nanos>,
    /// The gateway was told or asked something since this was taken back.
    pub stirred: bool,
    /// When `Action::Drained` came.
    pub drained: Option<Nanos>,
    /// Events told.
    pub events: u64,
    /// Actions executed.
    pub actions: u64,
    /// Octets written.
    pub octets: u64,
    /// Octets read.
    pub received: u64,
    /// How often it was asked for output, or for what was not due.
    pub asked: u64,
}

/// Clients' ports: one a link.
const PORTS: usize = 60_000;
const PORT_FIRST: u16 = 1024;

/// How often the gateway may ask for something at one moment before it is said to spin.
const TURNS_MAX: u32 = 100_000;

impl Adapter {
    /// An adapter with a new gateway.
    pub fn new(scenario: &Scenario) -> Result<Self, ConfigError> {
        Self::with_epoch(scenario, 0)
    }

    /// The same, whose clock shows `epoch` at the begin (X3).
    pub fn with_epoch(scenario: &Scenario, epoch: Nanos) -> Result<Self, ConfigError> {
        let begin = Instant::from_nanos(epoch);
        let wall = WallClock { at: begin, unix_seconds: 1_700_000_000 };
        let gateway = Gateway::new(scenario.config.clone(), scenario.seed, begin, wall)?;
        Ok(Self {
            gateway,
            plan: scenario.adapter,
            begun: VecDeque::new(),
            conns: BTreeMap::new(),
            by_link: BTreeMap::new(),
            ready: BTreeSet::new(),
            backlog: Vec::new(),
            accepting: true,
            draining: false,
            hash: FNV_START,
            quiet: false,
            choices: Choices::new(scenario.seed, "adapter"),
            stale: Vec::new(),
            looked_at: 0,
            epoch,
            lateness: 0,
            config: scenario.config.clone(),
            next: None,
            stirred: true,
            drained: None,
            events: 0,
            actions: 0,
            octets: 0,
            received: 0,
            asked: 0,
        })
    }

    /// Connections that come and go before anything happens: the slots of later ones are others (X4).
    pub fn warm(&mut self, count: usize) {
        let now = self.instant(0);
        let local = Address::from(SocketAddr::from(([192, 0, 2, 9], 80)));
        let accepted = || Accepted { peer: local.clone(), local: local.clone() };
        let ids: Vec<ConnId> = (0..count).map(|_| self.gateway.handle_accept(accepted(), now)).collect();
        ids.into_iter().for_each(|id| self.gateway.handle_closed(id, Closed::Reset, now));
        // What the gateway wants at its begin is done later, whoever came and went.
        let wanted = core::iter::from_fn(|| self.gateway.poll_action());
        self.begun = wanted.filter(|action| matches!(action, Action::Connect { .. })).collect();
    }

    /// The running hash over actions and transmitted octets (X1).
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The gateway, to look at.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// From here on a copy of the gateway is in its place (X5).
    pub fn fork(&mut self) {
        if let Some(copy) = self.gateway.fork() {
            self.gateway = copy;
        }
    }

    /// Connections that are open here.
    pub fn open(&self) -> usize {
        self.conns.len()
    }

    /// When the gateway wants to be woken, at the end of a turn.
    pub fn next_at(&self) -> Option<Nanos> {
        self.next
    }

    fn next_now(&self) -> Option<Nanos> {
        let due = self.gateway.poll_timeout()?.as_nanos().saturating_sub(self.epoch);
        Some(due + self.lateness)
    }

    /// Whether a timer is due and has not been brought.
    pub fn is_late(&self, now: Nanos) -> bool {
        self.gateway.poll_timeout().is_some_and(|at| at <= self.instant(now))
    }

    /// The gateway's word for a moment of the world.
    fn instant(&self, at: Nanos) -> Instant {
        Instant::from_nanos(self.epoch + at)
    }

    /// An event goes in.
    fn told(&mut self) {
        (self.quiet, self.stirred) = (false, true);
        self.events += 1;
    }

    /// A client's connection waits at the listener.
    pub fn offer(&mut self, link: usize) {
        self.backlog.push(link);
    }

    /// Whether a client's connection waits to be accepted.
    pub fn waits(&self, link: usize) -> bool {
        self.backlog.contains(&link)
    }

    /// Whether the gateway's end of a link is closed.
    pub fn has_closed(&self, link: usize) -> bool {
        !self.by_link.contains_key(&link) && !self.waits(link)
    }

    /// Something may have happened on a link.
    pub fn ready(&mut self, link: usize) {
        self.ready.insert(link);
    }

    /// A connect has its answer.
    pub fn connect_answer(&mut self, link: usize, stage: &mut Stage) {
        let (Some(&id), Some(answer)) = (self.by_link.get(&link), stage.connect_answer(link)) else { return };
        let now = self.instant(stage.now());
        match answer {
            ConnectAnswer::Stands => {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.connecting = false;
                }
                self.told();
                self.gateway.handle_connected(id, Connected::default(), now);
            }
            ConnectAnswer::Refused => {
                self.forget(id);
                stage.police[link].lost(stage.world.now());
                stage.police[link].closed = true;
                stage.links[link].close(End::Initiator, &mut stage.world);
                self.told();
                self.gateway.handle_closed(id, Closed::ConnectRefused, now);
            }
        }
    }

    /// The operator wants a drain.
    pub fn drain(&mut self, deadline: Nanos, now: Nanos) {
        self.told();
        self.draining = true;
        let now = self.instant(now);
        self.gateway.handle_command(Command::Drain { deadline: Duration::from_nanos(deadline) }, now);
    }

    /// The operator wants another configuration.
    pub fn configure(&mut self, config: &Config, now: Nanos) {
        self.told();
        self.config = config.clone();
        let now = self.instant(now);
        self.gateway.handle_command(Command::Configure(Box::new(config.clone())), now);
    }

    /// Does all there is to do at this moment.
    pub fn turn(&mut self, stage: &mut Stage) -> Result<(), Violation> {
        let due = self.next.is_some_and(|at| at <= stage.now());
        let offered = (self.accepting || self.draining) && !self.backlog.is_empty();
        if self.ready.is_empty() && !(due || offered || self.stirred) {
            // Peers were busy with themselves.
            if self.plan.hostile == 0 && self.plan.spurious == 0 {
                return Ok(());
            }
            self.be_difficult(stage)?;
        } else {
            self.work(stage)?;
        }
        self.next = self.next_now();
        Ok(())
    }

    fn work(&mut self, stage: &mut Stage) -> Result<(), Violation> {
        for _ in 0..TURNS_MAX {
            self.accept(stage);
            let mut busy = self.read_ready(stage)?;
            busy |= self.settle(stage)?;
            if self.next_now().is_some_and(|at| at <= stage.now()) {
                self.told();
                self.gateway.handle_timeout(self.instant(stage.now()));
                self.lateness = if self.plan.late > 0 { self.choices.between(0, self.plan.late) } else { 0 };
                self.settle(stage)?;
                let (next, now) = (self.next_now(), stage.now());
                let moved = next.is_none_or(|at| at > now) || self.lateness == 0;
                stage
                    .ledger
                    .check("T5", moved, || format!("a timer is due again at {next:?}, now is {now}"))?;
                // Leftover work makes the timeout "now" and must move something; else time never goes on.
                busy = true;
            }
            if !busy {
                self.quiet = true;
                return self.be_difficult(stage);
            }
        }
        let message = format!("the gateway spins at {} ns, timeout {:?}", stage.now(), self.next_now());
        Err(Violation { id: "T5", message })
    }

    fn accept(&mut self, stage: &mut Stage) {
        if !self.accepting {
            if self.draining {
                // Its socket listens no more.
                let waiting = std::mem::take(&mut self.backlog);
                waiting.into_iter().for_each(|link| stage.links[link].close(End::Acceptor, &mut stage.world));
            }
            return;
        }
        for link in std::mem::take(&mut self.backlog) {
            let peer = Self::address_of(link);
            let local = SocketAddr::from(([192, 0, 2, 9], 80));
            let info = Accepted { peer: peer.into(), local: local.into() };
            self.told();
            let id = self.gateway.handle_accept(info, self.instant(stage.now()));
            self.add(id, link, End::Acceptor, false);
            self.ready.insert(link);
        }
    }

    /// The address of the client on a link.
    fn address_of(link: usize) -> SocketAddr {
        let port = u16::try_from(link % PORTS).expect("less than 2^16") + PORT_FIRST;
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn add(&mut self, id: ConnId, link: usize, end: End, connecting: bool) {
        let conn = Conn { link, end, connecting, paused: false, read_closed: false, writable: false };
        self.conns.insert(id, conn);
        self.by_link.insert(link, id);
    }

    fn forget(&mut self, id: ConnId) -> Option<Conn> {
        let conn = self.conns.remove(&id)?;
        self.by_link.remove(&conn.link);
        self.remember_stale(id);
        Some(conn)
    }

    fn read_ready(&mut self, stage: &mut Stage) -> Result<bool, Violation> {
        let mut busy = false;
        for link in std::mem::take(&mut self.ready) {
            let Some(&id) = self.by_link.get(&link) else { continue };
            while self.read_once(id, stage)? {
                busy = true;
                if self.plan.eager {
                    self.settle(stage)?;
                }
            }
        }
        Ok(busy)
    }

    /// Reads one piece; whether there may be more.
    fn read_once(&mut self, id: ConnId, stage: &mut Stage) -> Result<bool, Violation> {
        let now = self.instant(stage.now());
        let Some(conn) = self.conns.get_mut(&id) else { return Ok(false) };
        if conn.connecting || conn.paused || conn.read_closed {
            return Ok(false);
        }
        let buffer = match self.gateway.recv_buf(id) {
            RecvBuf::Buffer(buffer) => buffer,
            RecvBuf::Pause => {
                conn.paused = true;
                stage.police[conn.link].paused = true;
                return Ok(false);
            }
            RecvBuf::Gone => return Ok(false),
        };
        let most = buffer.len().min(self.plan.read_max.max(1));
        match stage.links[conn.link].read(conn.end, most, &mut stage.world) {
            Read::Octets(octets) => {
                buffer[..octets.len()].copy_from_slice(&octets);
                stage.delivered(conn.link, &octets, std::mem::take(&mut self.quiet))?;
                self.told();
                self.received += octets.len() as u64;
                self.gateway.handle_recv(id, octets.len(), now);
            }
            Read::Nothing => return Ok(false),
            Read::Fin => {
                conn.read_closed = true;
                let (link, end) = (conn.link, conn.end);
                self.told();
                stage.half_closed(link, end);
                self.gateway.handle_read_closed(id, now);
            }
            Read::Reset => {
                self.lost(id, stage);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The transport is gone.
    fn lost(&mut self, id: ConnId, stage: &mut Stage) {
        let Some(conn) = self.forget(id) else { return };
        stage.links[conn.link].close(conn.end, &mut stage.world);
        stage.police[conn.link].gone(&mut stage.ledger);
        stage.over(conn.link, conn.end);
        stage.police[conn.link].closed = true;
        self.told();
        self.gateway.handle_closed(id, Closed::Reset, self.instant(stage.now()));
    }

    /// Takes and executes actions, and writes, until there is none; whether there was any. Actions are asked for last: what
    /// a question for output frees may lead to some, even where nothing of it could be written.
    fn settle(&mut self, stage: &mut Stage) -> Result<bool, Violation> {
        let mut busy = false;
        for _ in 0..TURNS_MAX {
            let acted = self.act(stage)?;
            let writable: Vec<ConnId> =
                self.conns.iter().filter(|(_, conn)| conn.writable).map(|(&id, _)| id).collect();
            let mut wrote = false;
            for &id in &writable {
                wrote |= self.transmit(id, stage)?;
            }
            let acted_after = !wrote && !writable.is_empty() && self.act(stage)?;
            busy |= acted || wrote || acted_after;
            if !(acted || wrote || acted_after) {
                return Ok(busy);
            }
        }
        Err(Violation { id: "T5", message: format!("actions without end at {} ns", stage.now()) })
    }

    /// Takes and executes actions until there is none; whether there was any.
    fn act(&mut self, stage: &mut Stage) -> Result<bool, Violation> {
        let mut acted = false;
        while let Some(action) = self.begun.pop_front().or_else(|| self.gateway.poll_action()) {
            acted = true;
            self.execute(action, stage)?;
        }
        Ok(acted)
    }

    fn execute(&mut self, action: Action, stage: &mut Stage) -> Result<(), Violation> {
        self.actions += 1;
        self.stirred = true;
        let text = self.without_epoch(&action);
        self.hash = fnv(fnv(self.hash, &stage.now().to_le_bytes()), text.as_bytes());
        stage.ledger.note(|| in_short(&action, text));
        match action {
            // Model backends have addresses, not names.
            Action::Resolve { .. } => {}
            Action::Connect { conn, target, .. } => {
                let Address::Inet(target) = target else {
                    return Err(Violation { id: "SIM", message: format!("connect to {target}") });
                };
                let link = stage.connect_backend(target);
                stage.ledger.dialled.push(link);
                self.add(conn, link, End::Initiator, true);
            }
            Action::Readable(id) => {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.paused = false;
                    let now = stage.now();
                    stage.police[conn.link].resumed(now);
                    self.ready.insert(conn.link);
                }
            }
            Action::Writable(id) => {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.writable = true;
                }
            }
            Action::Shutdown(id) => {
                if let Some(conn) = self.conns.get(&id) {
                    stage.links[conn.link].finish(conn.end, &mut stage.world);
                    stage.police[conn.link].ended_by_gateway(&mut stage.ledger);
                }
            }
            Action::Close(id) | Action::Abort(id) => {
                if let Some(conn) = self.forget(id) {
                    stage.abandon_connect(conn.link);
                    stage.links[conn.link].close(conn.end, &mut stage.world);
                    stage.police[conn.link].ended_by_gateway(&mut stage.ledger);
                    stage.over(conn.link, conn.end);
                    stage.police[conn.link].closed = true;
                }
            }
            Action::Accepting(accepting) => self.accepting = accepting,
            Action::Record(record) => {
                stage.ledger.record(&record)?;
                if let Record::Ended(record) = *record {
                    invariants::t4_no_deadline_acts_early(&mut stage.ledger, &record, &self.config)?;
                    invariants::r8_the_unprocessed_go_again(
                        &mut stage.ledger,
                        &stage.police,
                        &record,
                        &self.config,
                    )?;
                    invariants::e6_only_the_hopeless_are_told(
                        &mut stage.ledger,
                        &stage.police,
                        &record,
                        &self.config,
                    )?;
                }
            }
            Action::Drained { .. } => self.drained = Some(stage.now()),
        }
        Ok(())
    }

    /// The words of an action; in records times count from the world's begin.
    fn without_epoch(&self, action: &Action) -> String {
        let since = |at: &mut Instant| *at = Instant::from_nanos(at.as_nanos().saturating_sub(self.epoch));
        let Action::Record(record) = action else { return format!("{action:?}") };
        let mut record = record.clone();
        match &mut *record {
            Record::Started { at, .. } => since(at),
            Record::Attempt(attempt) => {
                since(&mut attempt.thawed);
                since(&mut attempt.ended);
                attempt.sent.iter_mut().chain(&mut attempt.responded).for_each(since);
            }
            Record::Ended(end) => {
                since(&mut end.accepted);
                since(&mut end.frozen);
                since(&mut end.ended);
                end.thawed.iter_mut().chain(&mut end.responded).for_each(since);
            }
        }
        format!("Record({record:?})")
    }

    /// Writes what there is until the gateway has no more or the pipe is full; whether anything left.
    fn transmit(&mut self, id: ConnId, stage: &mut Stage) -> Result<bool, Violation> {
        let mut moved = false;
        loop {
            let Some(&conn) = self.conns.get(&id).filter(|conn| conn.writable) else { return Ok(moved) };
            let now = self.instant(stage.now());
            self.stirred = true;
            self.asked += 1;
            let Some(waiting) = self.gateway.poll_transmit(id, now) else {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.writable = false;
                }
                return Ok(moved);
            };
            let octets = &waiting[..waiting.len().min(self.plan.write_max.max(1))];
            let shown = stage.police[conn.link].waiting();
            stage.emitted(conn.link, waiting.get(shown..).unwrap_or_default())?;
            match stage.links[conn.link].write(conn.end, octets, &mut stage.world) {
                Write::Taken(0) => {
                    // Full: the link wakes us when there is room.
                    return Ok(moved);
                }
                Write::Taken(n) => {
                    moved = true;
                    self.octets += n as u64;
                    self.hash = fnv(fnv(self.hash, &id.to_bits().to_le_bytes()), &octets[..n]);
                    stage.sent(conn.link, &octets[..n])?;
                    self.events += 1;
                    self.gateway.handle_sent(id, n, now);
                }
                Write::Reset => {
                    self.lost(id, stage);
                    return Ok(true);
                }
            }
        }
    }
}

/// An action as a line of a log: a record without the request's fields.
fn in_short(action: &Action, text: String) -> String {
    let Action::Record(record) = action else { return text };
    match &**record {
        Record::Started { request, .. } => format!("{request:?} starts"),
        Record::Attempt(a) => format!("{:?} attempt {} ends: {:?}", a.request, a.number, a.outcome),
        Record::Ended(end) => format!("{:?} ends: {:?}, status {}", end.request, end.outcome, end.status),
    }
}
