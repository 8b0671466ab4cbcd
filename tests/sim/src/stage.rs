//! What the gateway's adapter and the model peers act on: time, links, and the monitors at the gateway's sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::backend::{BackendConn, Scripts};
use crate::ledger::{Ledger, Violation};
use crate::net::{End, Link, PipePolicy};
use crate::police::{Police, Side};
use crate::scenario::{Backend, BackendFault, Scenario, Session};
use crate::world::{Nanos, Wake, World};

/// How an attempt to connect ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectAnswer {
    /// It stands.
    Stands,
    /// It was refused.
    Refused,
}

/// The world around the gateway.
#[derive(Debug)]
pub struct Stage {
    /// Time.
    pub world: World,
    /// Every connection there ever was.
    pub links: Vec<Link>,
    /// The monitor of each link at the gateway's socket.
    pub police: Vec<Police>,
    /// What crossed the sockets.
    pub ledger: Ledger,
    /// Octets that the gateway wrote on each link, where they are kept.
    pub outputs: Vec<Vec<u8>>,
    /// Whether they are kept.
    pub keep_outputs: bool,
    /// The octet of all that the gateway emits which the monitors see changed.
    pub canary: Option<u64>,
    /// The model backend on each link that a backend accepted.
    pub backend_conns: BTreeMap<usize, BackendConn>,
    /// The answer of each connect that is under way.
    answers: BTreeMap<usize, (usize, ConnectAnswer)>,
    seed: u64,
    backends: Vec<Backend>,
    /// Attempts to connect to each backend.
    attempts: Vec<u32>,
    scripts: Scripts,
    /// Some response breaks the protocol.
    scripts_are_hostile: bool,
    front_growth: u64,
    backend_growth: u64,
    stream_growth: u64,
    assumed: u32,
    write_stall: Nanos,
    answers_max: [usize; 2],
    budgets: [u64; 2],
    /// Deadlines may come before peers do what they wait for.
    slow: bool,
    /// Faults are over, those excepted that last for ever: everything new is healthy.
    pub healed: bool,
}

/// The ledger of a scenario.
fn ledger(scenario: &Scenario, scripts: &Scripts) -> Ledger {
    let mut ledger = Ledger::new(Scripts::clone(scripts)).limited(&scenario.config);
    for (&rid, exchange) in scripts.iter() {
        let served = scenario.upstream_of(exchange);
        let at = served.and_then(|of| scenario.config.upstreams.iter().position(|u| u.name == of.name));
        ledger.upstream_of.extend(at.map(|at| (rid, at)));
        ledger.expecting.extend(exchange.request.expect.then_some(rid));
    }
    ledger
}

impl Stage {
    /// The stage of a scenario, nobody on it yet.
    pub fn new(scenario: &Scenario) -> Self {
        let scripts = Scripts::new(scenario.exchanges());
        let growth = |config: &shuntyard_core::config::ConnectionConfig| {
            u64::from(config.connection_window_size) - 65_535
        };
        Self {
            world: World::default(),
            links: Vec::new(),
            police: Vec::new(),
            ledger: ledger(scenario, &scripts),
            outputs: Vec::new(),
            keep_outputs: false,
            canary: None,
            backend_conns: BTreeMap::new(),
            answers: BTreeMap::new(),
            seed: scenario.seed,
            attempts: vec![0; scenario.backends.len()],
            backends: scenario.backends.clone(),
            scripts_are_hostile: scripts.values().any(|exchange| exchange.response.mischief.is_some()),
            scripts,
            front_growth: growth(&scenario.config.front),
            backend_growth: growth(&scenario.config.backend),
            stream_growth: stream_growth(&scenario.config.backend),
            assumed: scenario.config.backend.assumed_max_concurrent_streams,
            write_stall: u64::try_from(scenario.config.timeouts.write_stall.as_nanos()).unwrap_or(u64::MAX),
            answers_max: [&scenario.config.front, &scenario.config.backend]
                .map(|side| side.max_queued_control_frames as usize),
            budgets: [&scenario.config.front, &scenario.config.backend].map(|side| side.misuse_max.into()),
            slow: scenario.touches_all(),
            healed: false,
        }
    }

    /// A client connects to the gateway: the number of the link.
    pub fn connect_client(&mut self, client: usize, session: &Session) -> usize {
        let link = self.links.len();
        let wakes = [Wake::Client(client), Wake::Gateway(link)];
        let pipes = Link::new(self.seed, &format!("client{}", session.n), session.network, wakes);
        self.add(pipes, Side::Front, session.hostile.is_some(), session.is_touched());
        link
    }

    /// The gateway connects to an address: the number of the link. The answer wakes `ConnectAnswer`.
    pub fn connect_backend(&mut self, target: SocketAddr) -> usize {
        let link = self.links.len();
        self.ledger.targets.insert(link, target);
        let at = self.backends.iter().position(|backend| backend.address == target);
        let Some(at) = at else {
            let wakes = [Wake::Gateway(link), Wake::Backend(link)];
            self.add(
                Link::new(self.seed, "nowhere", [PipePolicy::default(); 2], wakes),
                Side::Backend,
                false,
                false,
            );
            self.answers.insert(link, (0, ConnectAnswer::Refused));
            self.world.wake(self.world.now(), Wake::ConnectAnswer(link));
            return link;
        };
        self.attempts[at] += 1;
        let fault = self.fault(at);
        let backend = &self.backends[at];
        let mut network = backend.network;
        let own = &mut network[End::Acceptor as usize];
        match fault {
            Some(BackendFault::ResetAfter(octets)) => own.reset_after = Some(octets),
            Some(BackendFault::FinAfter(octets)) => own.fin_after = Some(octets),
            _ => {}
        }
        let label = format!("backend{at}.{}", self.attempts[at]);
        let answer =
            if fault == Some(BackendFault::Refuse) { ConnectAnswer::Refused } else { ConnectAnswer::Stands };
        if fault != Some(BackendFault::NoAnswer) {
            self.world.wake(self.world.now() + backend.connect_delay, Wake::ConnectAnswer(link));
        }
        self.answers.insert(link, (at, answer));
        let hostile = matches!(fault, Some(BackendFault::Mischief { .. })) || self.scripts_are_hostile;
        let pipes = Link::new(self.seed, &label, network, [Wake::Gateway(link), Wake::Backend(link)]);
        self.add(pipes, Side::Backend, hostile, fault.is_some());
        link
    }

    /// The answer that is due on a link. Where the connection stands, a model backend is on its other end now.
    pub fn connect_answer(&mut self, link: usize) -> Option<ConnectAnswer> {
        let (at, answer) = self.answers.remove(&link)?;
        if answer == ConnectAnswer::Stands {
            let fault = self.fault(at);
            let me = Wake::Backend(link);
            let conn =
                BackendConn::new(self.backends[at].clone(), fault, self.scripts.clone(), me, &mut self.world);
            self.backend_conns.insert(link, conn);
            self.world.wake(self.world.now(), me);
        }
        Some(answer)
    }

    /// A connect that is given up: no answer will come.
    pub fn abandon_connect(&mut self, link: usize) {
        self.answers.remove(&link);
    }

    /// A model backend looks at its link.
    pub fn wake_backend(&mut self, link: usize) -> Result<(), String> {
        let Some(conn) = self.backend_conns.get_mut(&link) else { return Ok(()) };
        conn.wake(&mut self.links[link], &mut self.world)
    }

    /// The client on a link is gone, whether the gateway has noticed or not.
    pub fn client_left(&mut self, link: usize) {
        self.police[link].gone(&mut self.ledger);
    }

    /// Octets were delivered to the gateway; `quiet` where it had nothing left to do or to write before.
    pub fn delivered(&mut self, link: usize, octets: &[u8], quiet: bool) -> Result<(), Violation> {
        self.police[link].delivered(octets, quiet, &mut self.ledger)
    }

    /// The gateway shows octets that it wants to write: what it emits, in the words of the invariants.
    pub fn emitted(&mut self, link: usize, octets: &[u8]) -> Result<(), Violation> {
        if let Some(at) = self.canary {
            let mut octets = octets.to_vec();
            self.canary = at.checked_sub(octets.len() as u64);
            if self.canary.is_none()
                && let Some(octet) = octets.get_mut(at as usize)
            {
                *octet ^= 1;
            }
            return self.police[link].emitted(&octets, &mut self.ledger);
        }
        self.police[link].emitted(octets, &mut self.ledger)
    }

    /// Octets left for the link.
    pub fn sent(&mut self, link: usize, octets: &[u8]) -> Result<(), Violation> {
        if self.keep_outputs {
            self.outputs[link].extend_from_slice(octets);
        }
        self.police[link].sent(octets.len(), &mut self.ledger)
    }

    /// The present moment.
    pub fn now(&self) -> Nanos {
        self.world.now()
    }

    fn fault(&self, backend: usize) -> Option<BackendFault> {
        let (connections, fault) = self.backends[backend].fault?;
        let for_ever = crate::probe::lasts((connections, fault));
        (for_ever || self.attempts[backend] <= connections && !self.healed).then_some(fault)
    }

    /// Faults are over, those excepted that last for ever: on connections that stand, and on new ones.
    pub fn heal(&mut self) {
        self.healed = true;
        for (&link, conn) in &mut self.backend_conns {
            if conn.heal() {
                self.links[link].mend(End::Acceptor);
            }
        }
    }

    /// The gateway knows that the connection is over.
    pub fn over(&mut self, link: usize, end: End) {
        self.police[link].lost(self.world.now());
        if end == End::Acceptor {
            self.ledger.fronts_over.entry(link).or_insert(self.ledger.now);
        }
    }

    /// The gateway knows that the peer will send no more. Over HTTP/2 that ends the connection.
    pub fn half_closed(&mut self, link: usize, end: End) {
        self.police[link].gone(&mut self.ledger);
        self.over(link, end);
    }

    fn add(&mut self, link: Link, side: Side, hostile: bool, slow: bool) {
        let growth = if side == Side::Front { self.front_growth } else { self.backend_growth };
        let mut police = Police::new(self.links.len(), side, growth, self.assumed);
        if side == Side::Backend {
            police.stream_growth = self.stream_growth;
        }
        let police = police
            .born_at(self.world.now())
            .tolerant(hostile)
            .patient(self.slow || slow)
            .stalled_after(self.write_stall);
        let at = usize::from(side == Side::Backend);
        self.police.push(police.answered_at_most(self.answers_max[at]).borne_up_to(self.budgets[at]));
        self.outputs.push(Vec::new());
        self.links.push(link);
    }
}

/// By how much a backend's stream window may grow beyond its initial size.
fn stream_growth(config: &shuntyard_core::config::ConnectionConfig) -> u64 {
    u64::from(config.stream_window_max.saturating_sub(config.initial_window_size))
}
