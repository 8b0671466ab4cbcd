//! One run: the safety phase, rest, the drain, and what must hold at each.

use std::collections::BTreeMap;
use std::fmt;

use shuntyard_core::config::Config;
use shuntyard_core::counters::Limit;
use shuntyard_core::gateway::{EndRecord, View};
use shuntyard_core::time::{Duration, Instant};

use crate::adapter::Adapter;
use crate::client::{Answer, Client};
use crate::generate::AMPLE_DRAIN;
use crate::invariants::{self, Beside, Paid, Scene, Turns};
use crate::ledger::{Attempt, Violation};
use crate::net::End;
use crate::probe;
use crate::refcodec::frame::{CANCEL, REFUSED_STREAM};
use crate::scenario::{Exchange, Leave, Method, Scenario};
use crate::stage::Stage;
use crate::truth;
use crate::world::{Nanos, SECOND, Wake};

/// What a run without violation leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The running hash over the gateway's actions and octets (X1).
    pub hash: u64,
    /// What became of each request.
    pub answers: BTreeMap<u64, Answer>,
    /// How often each check was made.
    pub checks: BTreeMap<&'static str, u64>,
    /// How often there was what a check is about, where that is rarer.
    pub premises: BTreeMap<&'static str, u64>,
    /// The same by requirement of an RFC.
    pub requirements: BTreeMap<&'static str, u64>,
    /// What the gateway wrote on each link, where it was asked to be kept.
    pub outputs: Vec<Vec<u8>>,
    /// Actions and frames in order, where they were asked to be kept.
    pub log: Vec<String>,
    /// Moments at which something happened.
    pub steps: u64,
    /// Events that the gateway was given, and actions it gave.
    pub events: u64,
    /// Octets that the gateway wrote.
    pub octets: u64,
    /// Attempts on backends.
    pub attempts: u64,
    /// How often somebody ran into each limit of the gateway.
    pub limits: [u64; Limit::ALL.len()],
    /// The gateway when everybody had come to rest, before the drain.
    pub rest: View,
    /// When it ended, in virtual time.
    pub ended: Nanos,
}

/// A run that broke a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The promise.
    pub violation: Violation,
    /// The scenario's seed.
    pub seed: u64,
    /// When, in virtual time.
    pub at: Nanos,
    /// Actions and frames in order, where they were kept.
    pub log: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} at {} ns: {}", self.seed, self.at, self.violation)
    }
}

/// Runs a scenario.
pub fn run(scenario: &Scenario) -> Result<Report, Box<Failure>> {
    run_with(scenario, false)
}

/// How a scenario is run, where it is not run just so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep the log of actions and frames and each link's output.
    pub keep: bool,
    /// What the gateway's clock shows at the begin.
    pub epoch: Nanos,
    /// Connections that come and go before anything happens.
    pub warm: usize,
    /// Each time after so many moments the gateway is exchanged for a copy of it.
    pub fork: Option<u64>,
    /// Something that goes wrong at this moment, counted from the first.
    pub cut: Option<(u64, Cut)>,
    /// The canary: of what the gateway emits this octet is another for those who judge it, so that the run must fail.
    pub canary: Option<u64>,
}

/// Something that goes wrong at a moment of one's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The first client goes away.
    Client(Leave),
    /// The first backend connection is closed or reset by its backend.
    Backend(Leave),
    /// The first backend connection goes away with GOAWAY: its backend serves what it has got, or nothing that is under way.
    GoAway {
        /// What it has got.
        serves: bool,
    },
    /// Half a minute passes at once.
    Jump,
    /// The operator orders the drain.
    Drain,
    /// The operator gives the same configuration again, or one in which the last endpoint of each upstream with several is missing.
    Configure {
        /// The same.
        same: bool,
    },
}

/// Runs a scenario and, where `keep`, keeps the log of actions and frames and each link's output.
pub fn run_with(scenario: &Scenario, keep: bool) -> Result<Report, Box<Failure>> {
    run_as(scenario, Options { keep, ..Options::default() })
}

/// Runs a scenario in a way of one's own. A panic is a violation like others (A2).
pub fn run_as(scenario: &Scenario, options: Options) -> Result<Report, Box<Failure>> {
    let outcome = std::panic::catch_unwind(|| run_unguarded(scenario, options));
    let outcome = outcome.map(|outcome| {
        outcome.map(|mut report| {
            // Once a run: it came to its end.
            report.checks.insert("A2", 1);
            report
        })
    });
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let violation = Violation { id: "A2", message: format!("panic: {}", text.unwrap_or_default()) };
        Err(Box::new(Failure { violation, seed: scenario.seed, at: 0, log: Vec::new() }))
    })
}

fn run_unguarded(scenario: &Scenario, options: Options) -> Result<Report, Box<Failure>> {
    let mut run = Run::new(scenario, options)
        .map_err(|violation| Box::new(Failure { violation, seed: scenario.seed, at: 0, log: Vec::new() }))?;
    match run.play(scenario) {
        Ok(()) => Ok(run.report()),
        Err(violation) => {
            let (at, log) = (run.stage.now(), run.stage.ledger.log.take().unwrap_or_default());
            Err(Box::new(Failure { violation, seed: scenario.seed, at, log }))
        }
    }
}

/// How long after the last answer the world is let come to rest.
const REST: Nanos = 20 * SECOND;
/// Moments in one run at most, beside those that content takes where each octet arrives alone, and those in which octets come to somebody
/// who has closed: a hostile peer may have a MiB of them on its way.
const STEPS_MAX: u64 = 1_000_000;
/// Moments that an octet of content may take: on four ways, and as much again for windows and attempts.
const STEPS_OF_AN_OCTET: u64 = 8;

struct Run {
    stage: Stage,
    adapter: Adapter,
    clients: Vec<Client>,
    links: Vec<Option<usize>>,
    config: Config,
    jumps: Vec<(Nanos, Nanos)>,
    draining: bool,
    /// When the drain was ordered, and by when it must have ended.
    drain_by: Option<(Nanos, Nanos)>,
    epoch: Nanos,
    slack: Nanos,
    cut: Option<(u64, Cut)>,
    fork: Option<u64>,
    rest: View,
    limits: [u64; Limit::ALL.len()],
    turns: Turns,
    beside: Beside,
    /// The gateway's work so far, and what has paid for it (N4).
    worked: (u64, Paid),
    steps: u64,
    steps_max: u64,
    /// Moments in which octets came to a connection that the gateway had closed, and nothing else happened.
    steps_in_vain: u64,
}

impl Run {
    fn new(scenario: &Scenario, options: Options) -> Result<Self, Violation> {
        let refused =
            |error| Violation { id: "SIM", message: format!("the configuration is refused: {error}") };
        let mut stage = Stage::new(scenario);
        stage.keep_outputs = options.keep;
        stage.canary = options.canary;
        let mut adapter = Adapter::with_epoch(scenario, options.epoch).map_err(refused)?;
        adapter.warm(options.warm);
        stage.ledger.log = options.keep.then(Vec::new);
        let mut clients = Vec::new();
        for (at, session) in scenario.sessions.iter().enumerate() {
            clients.push(Client::new(session.clone(), Wake::Client(at)));
            stage.world.wake(session.start, Wake::Client(at));
            if let Some((leave, _)) = session.leave {
                stage.world.wake(leave, Wake::Client(at));
            }
        }
        let links = vec![None; clients.len()];
        let scripts = scenario.exchanges();
        let octets =
            scripts.values().map(|e| e.request.content + truth::response_length(e) + truth::bulk_length(e));
        let (config, mut jumps) = (scenario.config.clone(), scenario.jumps.clone());
        jumps.sort_unstable_by(|a, b| b.cmp(a));
        let slack = scenario.adapter.late + 2 * SECOND + jumps.iter().map(|(_, by)| by).sum::<Nanos>();
        stage.ledger.slack = slack;
        Ok(Self {
            stage,
            adapter,
            clients,
            links,
            config,
            jumps,
            draining: false,
            drain_by: None,
            epoch: options.epoch,
            slack,
            cut: options.cut,
            fork: options.fork,
            rest: View::default(),
            limits: [0; Limit::ALL.len()],
            turns: Turns::default(),
            beside: Beside::default(),
            worked: (0, Paid::default()),
            steps: 0,
            steps_in_vain: 0,
            steps_max: STEPS_MAX + STEPS_OF_AN_OCTET * octets.sum::<u64>(),
        })
    }

    fn play(&mut self, scenario: &Scenario) -> Result<(), Violation> {
        let jumps: Nanos = scenario.jumps.iter().map(|(_, by)| by).sum();
        if let Some(at) = scenario.drain_at {
            self.until(at, |_| false)?;
            self.drain(scenario.drain, scenario.adapter.late);
        }
        self.until(scenario.safety + jumps, |run| run.clients.iter().all(Client::is_done))?;
        let open: Vec<usize> = (0..self.clients.len()).filter(|&at| !self.clients[at].is_done()).collect();
        self.stage.ledger.check("LIVE", open.is_empty(), || format!("clients {open:?} wait for ever"))?;
        self.until(self.stage.now() + REST, |_| false)?;
        // A jump of the clock may have been all the rest there was: what it has delayed begins behind it.
        self.jumps.clear();
        if !scenario.jumps.is_empty() {
            self.until(self.stage.now() + REST, |_| false)?;
        }
        self.rest = self.adapter.gateway().view();
        // After a jump of the clock duties of peers that fell into it are done at the very end: that is no rest.
        let (cut, drained) = (self.cut.map(|(_, cut)| cut), self.drain_by.is_some());
        let jumped = cut == Some(Cut::Jump) || !scenario.jumps.is_empty();
        if !jumped && !drained {
            self.at_rest()?;
        }
        self.stage.heal();
        if !drained {
            self.probe(scenario)?;
        }
        self.drain(scenario.drain, scenario.adapter.late);
        let (_, deadline) = self.drain_by.unwrap_or_default();
        self.until(deadline + REST, |run| run.adapter.drained.is_some())?;
        // After a drain was ordered a jump moves its deadline.
        if cut != Some(Cut::Jump) && (scenario.drain_at.is_none() || scenario.jumps.is_empty()) {
            invariants::q2_the_drain_ended_in_time(&mut self.stage.ledger, self.adapter.drained, deadline)?;
        }
        let (drained, links) = (self.adapter.drained.is_some(), self.adapter.open());
        self.limits =
            self.adapter.gateway().snapshot(0, Instant::from_nanos(self.epoch + self.stage.now())).limits;
        let view = self.adapter.gateway().view();
        invariants::q1_nothing_is_left(&mut self.stage.ledger, drained, links, &view)?;
        invariants::l1_every_request_has_ended(&mut self.stage.ledger)?;
        invariants::e6_no_request_is_lost(&mut self.stage.ledger)?;
        invariants::l2_records_tell_what_happened(&mut self.stage.ledger)?;
        self.answers_are_true(scenario)
    }

    /// The drain is ordered, where it was not.
    fn drain(&mut self, time: Nanos, late: Nanos) {
        if self.drain_by.is_some() {
            return;
        }
        self.draining = true;
        let left = self.adapter.gateway().view().requests > 0;
        self.stage.ledger.checks.premise("Q2", left);
        let now = self.stage.now();
        self.stage.ledger.drains(now, time);
        self.drain_by = Some((now, now + time + late));
        self.adapter.drain(time, now);
    }

    /// Who comes when all is over but what lasts for ever is served.
    fn probe(&mut self, scenario: &Scenario) -> Result<(), Violation> {
        let (at, now, began) = (self.clients.len(), self.stage.now(), self.steps);
        self.clients.push(Client::new(probe::session(scenario, now), Wake::Client(at)));
        self.links.push(None);
        self.stage.world.wake(now, Wake::Client(at));
        self.until(now + scenario.safety, |run| run.clients[at].is_done())?;
        let client = &self.clients[at];
        self.stage.ledger.check("LIVE", client.is_done(), || "the probe waits for ever".into())?;
        // What goes wrong only now may hit it as it may hit others.
        if self.cut.is_some_and(|(moment, _)| (began..=self.steps).contains(&moment)) {
            return Ok(());
        }
        for (exchange, answer) in client.session().exchanges.iter().zip(&client.answers) {
            probe::is_served(&mut self.stage.ledger, scenario, exchange, answer)?;
        }
        Ok(())
    }

    /// Steps until `done`, or until nothing happens before `limit`.
    fn until(&mut self, limit: Nanos, done: impl Fn(&Self) -> bool) -> Result<(), Violation> {
        loop {
            self.step()?;
            if done(self) {
                return Ok(());
            }
            let next = [self.stage.world.next_at(), self.adapter.next_at()].into_iter().flatten().min();
            match next {
                Some(at) if at <= limit => {
                    self.stage.world.advance(at);
                    while self.jumps.last().is_some_and(|&(from, _)| from <= at) {
                        let by = self.jumps.pop().map_or(0, |(_, by)| by);
                        self.stage.world.advance(self.stage.now() + by);
                    }
                }
                _ => {
                    self.stage.world.advance(limit);
                    return Ok(());
                }
            }
        }
    }

    /// Everything that happens at this moment.
    fn step(&mut self) -> Result<(), Violation> {
        self.steps += 1;
        let steps = self.steps;
        self.stage.ledger.now = self.stage.now();
        let most = self.steps_max + self.steps_in_vain;
        self.stage.ledger.check("LIVE", steps < most, || format!("no end after {steps} steps"))?;
        if self.cut.is_some_and(|(at, _)| at == steps) {
            self.make_cut();
        }
        if self.fork.is_some_and(|every| steps.is_multiple_of(every)) {
            self.adapter.fork();
        }
        let mut in_vain = self.stage.world.next_at() == Some(self.stage.now());
        while let Some(wake) = self.stage.world.pop_due() {
            in_vain &= matches!(wake, Wake::Gateway(link) if self.adapter.has_closed(link));
            self.dispatch(wake)?;
        }
        self.adapter.turn(&mut self.stage)?;
        self.steps_in_vain += u64::from(in_vain && !self.adapter.stirred);
        // Where the gateway was told and asked nothing, nothing can have changed.
        if self.adapter.stirred && self.stage.world.next_at().is_none_or(|at| at > self.stage.now()) {
            self.adapter.stirred = false;
            let gateway = self.adapter.gateway();
            let (view, next, earliest) =
                (gateway.view(), gateway.poll_timeout(), gateway.earliest_deadline());
            let seen = gateway.inspect();
            let Stage { ledger, police, .. } = &mut self.stage;
            let now = ledger.now;
            if view.queued > 0 {
                ledger.queued_at = now;
            }
            let mut checks = std::mem::take(&mut ledger.checks);
            invariants::t1_the_earliest_deadline_is_named(&mut checks, next, earliest)?;
            let paid = Paid::by(&self.adapter);
            let (since, before) = std::mem::replace(&mut self.worked, (gateway.work(), paid));
            invariants::n4_work_is_paid_for(
                &mut checks,
                gateway.work() - since,
                &paid.since(&before),
                view.engines,
            )?;
            let scene = Scene {
                ledger,
                checks: &mut checks,
                police,
                view: &view,
                seen: &seen,
                config: &self.config,
                next_timeout: self.adapter.next_at(),
                draining: self.draining,
                late: self.adapter.is_late(now),
                turns: &mut self.turns,
                beside: &mut self.beside,
                slack: self.slack,
            };
            let over = invariants::every_step(scene);
            ledger.checks = checks;
            ledger.thawed.clear();
            ledger.dialled.clear();
            over?.iter().for_each(|rid| _ = ledger.active.remove(rid));
        }
        Ok(())
    }

    fn make_cut(&mut self) {
        let Some((_, cut)) = self.cut else { return };
        let stage = &mut self.stage;
        let how = |how, link: usize, end, stage: &mut Stage| match how {
            Leave::Reset => stage.links[link].reset(end, &mut stage.world),
            Leave::Close | Leave::HalfClose => stage.links[link].close(end, &mut stage.world),
        };
        match cut {
            Cut::Client(leave) => {
                if let Some(link) = self.links[0] {
                    how(leave, link, End::Initiator, stage);
                    stage.client_left(link);
                }
            }
            Cut::Backend(leave) => {
                if let Some(&link) = stage.backend_conns.keys().next() {
                    how(leave, link, End::Acceptor, stage);
                }
            }
            Cut::Jump => stage.world.advance(stage.world.now() + 30 * SECOND),
            Cut::Configure { same } => {
                if !same {
                    for upstream in &mut self.config.upstreams {
                        upstream.endpoints.truncate(1.max(upstream.endpoints.len() - 1));
                    }
                    stage.ledger.upstreams.clone_from(&self.config.upstreams);
                }
                self.adapter.configure(&self.config, stage.now());
            }
            Cut::GoAway { serves } => {
                if let Some(conn) = stage.backend_conns.values_mut().next() {
                    conn.say_goodbye(serves, &mut stage.world);
                }
            }
            Cut::Drain => self.drain(SECOND, 0),
        }
    }

    fn dispatch(&mut self, wake: Wake) -> Result<(), Violation> {
        let stage = &mut self.stage;
        let wrong =
            |who: String| move |message| Violation { id: "PEER", message: format!("{who} sees: {message}") };
        match wake {
            Wake::Client(at) => {
                let link = *self.links[at].get_or_insert_with(|| {
                    let link = stage.connect_client(at, self.clients[at].session());
                    self.adapter.offer(link);
                    link
                });
                let result = self.clients[at].wake(&mut stage.links[link], &mut stage.world);
                if self.clients[at].session().hostile.is_none() {
                    result.map_err(wrong(format!("client {at}")))?;
                }
                if stage.links[link].is_over(End::Initiator, stage.world.now()) {
                    stage.client_left(link);
                }
            }
            Wake::Backend(link) => {
                let result = stage.wake_backend(link);
                if !stage.police[link].is_hostile() {
                    result.map_err(wrong(format!("the backend on link {link}")))?;
                }
            }
            Wake::Gateway(link) => self.adapter.ready(link),
            Wake::ConnectAnswer(link) => self.adapter.connect_answer(link, stage),
        }
        Ok(())
    }

    /// Nothing is asked any more and everything had time to arrive.
    fn at_rest(&mut self) -> Result<(), Violation> {
        let Stage { ledger, police, links, world, .. } = &mut self.stage;
        for (link, police) in links.iter().zip(police) {
            let over = |end| link.is_over(end, world.now());
            if !over(End::Initiator) && !over(End::Acceptor) && !police.is_hostile() {
                invariants::c5_everything_is_acknowledged(ledger, police)?;
                invariants::w4_no_credit_is_lost(ledger, police)?;
            }
        }
        for (at, client) in self.clients.iter().enumerate() {
            // Whoever waits to be accepted has not been heard.
            let heard = self.links[at].is_some_and(|link| !self.adapter.waits(link));
            let well = client.is_acknowledged() || client.session().hostile.is_some() || !heard;
            ledger.check("C5", well, || format!("client {at} waits for an acknowledgement"))?;
        }
        Ok(())
    }

    /// L7, D2: what the clients got.
    fn answers_are_true(&mut self, scenario: &Scenario) -> Result<(), Violation> {
        let all = scenario.touches_all();
        let sick = scenario.touched_upstreams();
        for (at, (client, link)) in self.clients.iter().zip(&self.links).enumerate() {
            let full = link.is_some_and(|link| self.stage.police[link].was_full(&self.config));
            for (exchange, answer) in client.session().exchanges.iter().zip(&client.answers) {
                let drained = self.drain_touches(scenario, exchange.rid);
                let cut = self.cut_touches(at, exchange);
                let ledger = &mut self.stage.ledger;
                invariants::d2_content_is_true(ledger, exchange.rid, answer.first_wrong)?;
                let refused = answer.reset == Some(REFUSED_STREAM) && !client.session().patient;
                let healthy = scenario.upstream_of(exchange).is_some_and(|u| !sick.contains(&u.name));
                let own = client.session().is_touched()
                    || exchange.is_touched()
                    || refused
                    || answer.reset == Some(CANCEL) && client.session().takes_slowly()
                    || full && (answer.status() == Some(503) || answer.reset.is_some())
                    || scenario.stands_in_its_own_way(client.session());
                let touched = all || own || !healthy || cut;
                let crowded_out =
                    scenario.is_crowded() && invariants::l7_there_was_no_room(ledger, exchange.rid, answer);
                let touched = touched || crowded_out || drained;
                let exact = !touched && !invariants::l7_the_queue_was_long(ledger, exchange.rid, answer);
                invariants::l7_answers_are_the_scripts(ledger, exchange, answer, exact, full)?;
            }
        }
        Ok(())
    }

    /// Whether what goes wrong at a moment of one's choice may have kept a request from its response.
    fn cut_touches(&self, client: usize, exchange: &Exchange) -> bool {
        let ledger = &self.stage.ledger;
        let attempts = || ledger.traces.get(&exchange.rid).into_iter().flat_map(|trace| &trace.attempts);
        let begun = |attempt: &Attempt| attempt.head || attempt.interim > 0;
        let safe = exchange.request.method == Method::Get;
        match self.cut {
            // What follows when a connection is over is the same for everybody else.
            Some((_, Cut::Client(_))) => client == 0,
            // What may not be sent again may have been executed.
            Some((_, Cut::Backend(_))) => attempts().any(|attempt| {
                attempt.lost && !attempt.ended && (begun(attempt) || !safe && !attempt.never_left)
            }),
            Some((_, Cut::GoAway { .. })) => {
                attempts().any(|attempt| attempt.left_out && !attempt.ended && begun(attempt))
            }
            Some((_, Cut::Jump)) => true,
            Some((_, Cut::Drain)) => {
                !self.drain_by.is_some_and(|(at, _)| self.was_accepted(exchange.rid, at))
            }
            Some((_, Cut::Configure { .. })) | None => false,
        }
    }

    /// Whether a request was accepted before this moment.
    fn was_accepted(&self, rid: u64, before: Nanos) -> bool {
        let moment = Instant::from_nanos(self.epoch + before);
        let accepted =
            |record: &EndRecord| invariants::rid_of(record) == Some(rid) && record.accepted < moment;
        self.stage.ledger.end_records.iter().any(accepted)
    }

    /// Whether a drain that came early may have kept a request from its response: where it had not begun, or the drain had a deadline that is
    /// of any account, or what has left is given no time to arrive.
    fn drain_touches(&self, scenario: &Scenario, rid: u64) -> bool {
        let Some(at) = scenario.drain_at else { return false };
        let hasty = scenario.config.timeouts.linger < Duration::from_secs(2);
        hasty || scenario.drain < AMPLE_DRAIN || !scenario.jumps.is_empty() || !self.was_accepted(rid, at)
    }

    fn report(self) -> Report {
        let pair = |client: &Client| {
            let rids = client.session().exchanges.iter().map(|exchange| exchange.rid);
            rids.zip(client.answers.clone()).collect::<Vec<_>>()
        };
        Report {
            hash: self.adapter.hash(),
            answers: self.clients.iter().flat_map(pair).collect(),
            attempts: self.stage.ledger.traces.values().map(|trace| trace.attempts.len() as u64).sum(),
            checks: self.stage.ledger.checks.by_id(),
            premises: self.stage.ledger.checks.premises().clone(),
            requirements: self.stage.ledger.requirements.clone(),
            outputs: self.stage.outputs.clone(),
            log: self.stage.ledger.log.clone().unwrap_or_default(),
            limits: self.limits,
            steps: self.steps,
            events: self.adapter.events + self.adapter.actions,
            octets: self.adapter.octets,
            rest: self.rest,
            ended: self.stage.now(),
        }
    }
}
