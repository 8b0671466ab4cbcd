//! A script of inputs, played to a gateway.
#![allow(unreachable_pub, reason = "a module of one test binary")]

use std::collections::{BTreeMap, BTreeSet};

use shuntyard_core::config::Config;
use shuntyard_core::gateway::{Accepted, Action, Closed, Command, ConnId, Connected, Gateway, RecvBuf, View};
use shuntyard_core::record::Record;
use shuntyard_core::time::{Duration, Instant, WallClock};

use crate::record::{Input, Script};

/// All that can be seen of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The actions of each round, but for those that only say that there is output.
    pub actions: Vec<String>,
    /// The octets of each round by connection.
    pub output: Vec<BTreeMap<ConnId, Vec<u8>>>,
    pub view: View,
    pub ignored: u64,
    /// Events without meaning that were played besides.
    pub noise: u64,
    /// Octets had to wait because reading was paused.
    pub paused: bool,
    /// Somebody has slept.
    pub slept: bool,
}

impl Outcome {
    /// The same without what peers cannot tell: whether somebody has slept, and what records say of where fields came from, which only makes
    /// that quick what is done with them next.
    pub fn outside(mut self) -> Self {
        self.slept = false;
        const ORIGIN: &str = "Origin(";
        for action in &mut self.actions {
            let mut parts = action.split(ORIGIN);
            let first = parts.next().unwrap_or_default().to_owned();
            *action =
                parts.fold(first, |text, part| text + part.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        self
    }
}

pub struct Replay {
    pub gateway: Gateway,
    base: u64,
    pub now: Instant,
    conns: BTreeSet<ConnId>,
    gone: Vec<ConnId>,
    /// Octets that arrived while reading was paused.
    backlog: BTreeMap<ConnId, Vec<u8>>,
    pub outcome: Outcome,
    noisy: bool,
    /// What passes before each round.
    pace: Duration,
    /// For the recorder: connections ordered, and connections closed.
    dials: Vec<ConnId>,
    closed: Vec<ConnId>,
}

impl Replay {
    pub fn new(script: &Script, base: u64) -> Self {
        Self::of(script, base, 1)
    }

    /// The same where so many idle clients stay awake.
    pub fn of(script: &Script, base: u64, fronts_awake: u32) -> Self {
        let endpoints: [core::net::SocketAddr; 2] =
            ["127.0.0.1:9000", "127.0.0.1:9001"].map(|text| text.parse().unwrap());
        let mut config = Config::new(endpoints.map(Into::into).to_vec());
        config.records = true;
        config.ledger_octets = script.ledger_octets;
        config.front.outbox_high_mark = script.outbox_high_mark;
        config.backend.outbox_high_mark = script.outbox_high_mark;
        config.recv_buffer_octets = 33 << 10;
        config.fronts_awake = fronts_awake;
        let now = Instant::from_nanos(base);
        let wall = WallClock { at: now, unix_seconds: 784_111_777 };
        Self {
            gateway: Gateway::new(config, 7, now, wall).expect("a valid configuration"),
            base,
            now,
            conns: BTreeSet::new(),
            gone: Vec::new(),
            backlog: BTreeMap::new(),
            outcome: Outcome::default(),
            noisy: false,
            pace: Duration::ZERO,
            dials: Vec::new(),
            closed: Vec::new(),
        }
    }

    /// Plays events without meaning between the others.
    pub fn with_noise(self) -> Self {
        Self { noisy: true, ..self }
    }

    /// Lets so much time pass before each round that who has nothing to do may fall asleep.
    pub fn unhurried(self) -> Self {
        Self { pace: Duration::from_millis(100), ..self }
    }

    pub fn conns(&self) -> &BTreeSet<ConnId> {
        &self.conns
    }

    pub fn take_dials(&mut self) -> Vec<ConnId> {
        std::mem::take(&mut self.dials)
    }

    pub fn take_closed(&mut self) -> Vec<ConnId> {
        std::mem::take(&mut self.closed)
    }

    /// Plays the whole script; `cut` says into which sizes to cut what is received, the rest being one piece.
    pub fn run(mut self, script: &Script, mut cut: impl FnMut(usize) -> Vec<usize>) -> Outcome {
        for input in &script.inputs {
            self.play(input, &mut cut);
        }
        self.outcome.view = self.gateway.view();
        self.outcome.ignored = self.gateway.ignored_events();
        self.outcome
    }

    pub fn play(&mut self, input: &Input, cut: &mut impl FnMut(usize) -> Vec<usize>) {
        // When actions are asked for is an input too, for frozen requests are thawed then: always before each input.
        self.act();
        if self.noisy {
            self.make_noise();
        }
        match input {
            Input::Accept => {
                let peer: core::net::SocketAddr = "127.0.0.1:50000".parse().unwrap();
                let id =
                    self.gateway.handle_accept(Accepted { peer: peer.into(), local: peer.into() }, self.now);
                self.conns.insert(id);
            }
            Input::Connected(id) => {
                self.conns.insert(*id);
                self.gateway.handle_connected(*id, Connected::default(), self.now);
            }
            Input::Refused(id) => self.gateway.handle_closed(*id, Closed::ConnectRefused, self.now),
            Input::Recv(id, octets) => {
                let mut rest = &octets[..];
                for size in cut(octets.len()) {
                    let (piece, behind) = rest.split_at(size.min(rest.len()));
                    self.recv(*id, piece);
                    rest = behind;
                }
                self.recv(*id, rest);
            }
            Input::ReadClosed(id) if self.conns.contains(id) => {
                self.gateway.handle_read_closed(*id, self.now)
            }
            Input::Closed(id) if self.conns.remove(id) => {
                self.gone.push(*id);
                self.gateway.handle_closed(*id, Closed::Reset, self.now);
            }
            Input::ReadClosed(_) | Input::Closed(_) => {}
            Input::Time(ms) => {
                self.now = self.now + Duration::from_millis(*ms);
                self.gateway.handle_timeout(self.now);
            }
            Input::Drain => {
                let deadline = Duration::from_secs(3);
                self.gateway.handle_command(Command::Drain { deadline }, self.now);
            }
            Input::Round => {
                self.now = self.now + self.pace;
                self.round();
                self.outcome.slept |= self.gateway.view().asleep > 0;
            }
        }
    }

    fn recv(&mut self, id: ConnId, octets: &[u8]) {
        self.backlog.entry(id).or_default().extend(octets);
        self.read_on(id);
    }

    /// Hands over what the gateway takes.
    fn read_on(&mut self, id: ConnId) -> bool {
        let Some(backlog) = self.backlog.get_mut(&id) else { return false };
        let before = backlog.len();
        while !backlog.is_empty() {
            let buffer = match self.gateway.recv_buf(id) {
                RecvBuf::Buffer(buffer) => buffer,
                RecvBuf::Pause => {
                    self.outcome.paused = true;
                    break;
                }
                RecvBuf::Gone => break,
            };
            assert!(!buffer.is_empty(), "never empty");
            let n = backlog.len().min(buffer.len());
            buffer[..n].copy_from_slice(&backlog[..n]);
            backlog.drain(..n);
            self.gateway.handle_recv(id, n, self.now);
        }
        backlog.len() < before
    }

    /// All output and all actions, until there are no more.
    fn round(&mut self) {
        let mut output: BTreeMap<ConnId, Vec<u8>> = BTreeMap::new();
        loop {
            let mut moved = self.act();
            for id in self.conns.clone() {
                while let Some(octets) = self.gateway.poll_transmit(id, self.now).map(<[u8]>::to_vec) {
                    output.entry(id).or_default().extend(&octets);
                    self.gateway.handle_sent(id, octets.len(), self.now);
                    moved = true;
                }
                moved |= self.read_on(id);
            }
            if !moved {
                break;
            }
        }
        self.outcome.output.push(output);
        self.outcome.actions.push("round".to_owned());
    }

    fn act(&mut self) -> bool {
        let mut moved = false;
        while let Some(action) = self.gateway.poll_action() {
            moved = true;
            if let Action::Close(id) | Action::Abort(id) = action {
                self.conns.remove(&id);
                self.gone.push(id);
                self.closed.push(id);
            }
            if let Action::Connect { conn, .. } = action {
                self.dials.push(conn);
            }
            let text = match &action {
                Action::Writable(_) | Action::Readable(_) => continue,
                Action::Record(record) => self.record(record),
                other => format!("{other:?}"),
            };
            self.outcome.actions.push(text);
        }
        moved
    }

    /// A record with its times counted from the beginning.
    fn record(&self, record: &Record) -> String {
        let since = |at: Instant| Instant::from_nanos(at.as_nanos() - self.base);
        match record.clone() {
            Record::Started { request, client, stream_id, at } => {
                format!("{request:?} of {client:?}/{stream_id} at {:?}", since(at))
            }
            Record::Attempt(mut attempt) => {
                attempt.thawed = since(attempt.thawed);
                attempt.sent = attempt.sent.map(since);
                attempt.responded = attempt.responded.map(since);
                attempt.ended = since(attempt.ended);
                format!("{attempt:?}")
            }
            Record::Ended(mut end) => {
                end.accepted = since(end.accepted);
                end.frozen = since(end.frozen);
                end.ended = since(end.ended);
                end.thawed = end.thawed.map(since);
                end.responded = end.responded.map(since);
                format!("{end:?}")
            }
        }
    }

    /// Events for connections that are gone or never were, and events that nothing led up to.
    fn make_noise(&mut self) {
        let (gateway, now) = (&mut self.gateway, self.now);
        let stale =
            [self.gone.last().copied(), self.gone.first().copied(), Some(ConnId::from_bits(0x7_0000_0fff))];
        for id in stale.into_iter().flatten() {
            gateway.handle_sent(id, 10, now);
            gateway.handle_recv(id, 10, now);
            gateway.handle_read_closed(id, now);
            gateway.handle_closed(id, Closed::Reset, now);
            gateway.handle_connected(id, Connected::default(), now);
            self.outcome.noise += 5;
            assert!(matches!(gateway.recv_buf(id), RecvBuf::Gone));
            assert!(gateway.poll_transmit(id, now).is_none());
        }
        for &id in &self.conns {
            // Nothing was lent, and it stands already.
            gateway.handle_recv(id, 10, now);
            gateway.handle_connected(id, Connected::default(), now);
            self.outcome.noise += 2;
            gateway.handle_sent(id, 0, now);
        }
        if gateway.poll_timeout().is_none_or(|at| at > now) {
            gateway.handle_timeout(now);
        }
    }
}
