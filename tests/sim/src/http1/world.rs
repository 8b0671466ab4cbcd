//! The run: events in, actions done, and what holds at each moment and at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use shuntyard_core::address::Address;
use shuntyard_core::gateway::{
    Accepted, Action, Closed, Command, ConnId, Connected, Gateway, Outcome, Record, RecvBuf, RequestId, View,
};
use shuntyard_core::time::{Duration, Instant, WallClock};

use super::peers::{Backend1, Client1};
use super::plan::{Fault, Plan, Role};
use super::rogues::{BackendRogue, ROGUE, Rogue};
use super::tunnels::{Tunnel, is_refused};
use crate::backend::{BackendConn, Scripts};
use crate::client::{Answer, Client};
use crate::invariants;
use crate::ledger::{Checks, Violation};
use crate::net::{End, Link, PipePolicy, Read, Write};
use crate::refcodec::value_of;
use crate::scenario::{Exchange, Method};
use crate::truth::{self, Direction};
use crate::world::{Nanos, SECOND, Wake, World};

/// What a run without violation leaves.
#[derive(Clone, Debug)]
pub struct Report {
    /// Requests that clients had in their scripts.
    pub requests: u64,
    /// Of these: answered whole by a backend.
    pub complete: u64,
    /// Heads that came to backends of HTTP/1.1.
    pub executed: u64,
    /// How often each check was made.
    pub checks: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
enum Voice {
    Http2(Box<Client>),
    Http1(Box<Client1>),
    Rogue(Box<Rogue>),
    Tunnel(Box<Tunnel>),
}

#[derive(Debug)]
enum Server {
    Http2(Box<BackendConn>),
    Http1(Box<Backend1>),
}

#[derive(Clone, Copy, Debug)]
struct Conn {
    link: usize,
    end: End,
    connecting: bool,
    paused: bool,
    read_closed: bool,
    writable: bool,
}

/// By when every client must be done, and how long the drain at the end may take.
const SAFETY: Nanos = 600 * SECOND;
const DRAIN: Nanos = 5 * SECOND;
/// Moments in one run, and turns in one moment.
const MOMENTS_MAX: u64 = 2_000_000;
const TURNS_MAX: u32 = 100_000;

struct Run<'a> {
    plan: &'a Plan,
    scripts: Scripts,
    gateway: Gateway,
    world: World,
    links: Vec<Link>,
    conns: BTreeMap<ConnId, Conn>,
    by_link: BTreeMap<usize, ConnId>,
    ready: BTreeSet<usize>,
    clients: Vec<Voice>,
    front_links: Vec<Option<usize>>,
    servers: BTreeMap<usize, Server>,
    targets: BTreeMap<usize, SocketAddr>,
    started: BTreeSet<RequestId>,
    ended: BTreeMap<RequestId, (Option<u64>, Outcome)>,
    drained: bool,
    checks: Checks,
}

/// Runs a plan.
pub fn run(plan: &Plan) -> Result<Report, Violation> {
    let mut run = Run::new(plan)?;
    run.until(SAFETY, |run| run.clients.iter().all(Voice::is_done))?;
    let open: Vec<usize> = (0..run.clients.len()).filter(|&at| !run.clients[at].is_done()).collect();
    run.checks.check("LIVE", open.is_empty(), || format!("clients {open:?} wait for ever"))?;
    let now = run.now();
    run.gateway.handle_command(Command::Drain { deadline: Duration::from_nanos(DRAIN) }, now);
    let limit = run.world.now() + 2 * DRAIN;
    run.until(limit, |run| run.drained)?;
    run.judge()
}

impl Voice {
    fn is_done(&self) -> bool {
        match self {
            Self::Http2(client) => client.is_done(),
            Self::Http1(client) => client.is_done(),
            Self::Rogue(client) => client.is_done(),
            Self::Tunnel(client) => client.is_done(),
        }
    }

    fn answers(&self) -> &[Answer] {
        match self {
            Self::Http2(client) => &client.answers,
            Self::Http1(client) => &client.answers,
            Self::Rogue(_) | Self::Tunnel(_) => &[],
        }
    }
}

impl Server {
    /// Requests that it has taken, if it does nothing wrong.
    fn unharmed(&self) -> &[u64] {
        match self {
            Self::Http2(server) => &server.taken,
            Self::Http1(server) if !server.fault.hurts() => &server.executed,
            Self::Http1(_) => &[],
        }
    }
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan) -> Result<Self, Violation> {
        let scenario = &plan.scenario;
        let (begin, mut world) = (Instant::ZERO, World::default());
        let wall = WallClock { at: begin, unix_seconds: 1_700_000_000 };
        let gateway = Gateway::new(scenario.config.clone(), scenario.seed, begin, wall)
            .map_err(|error| Violation { id: "SIM", message: format!("the configuration: {error}") })?;
        let mut clients = Vec::new();
        for (at, (session, voice)) in scenario.sessions.iter().zip(&plan.clients).enumerate() {
            world.wake(session.start, Wake::Client(at));
            clients.push(match *voice {
                Role::Http2 => Voice::Http2(Box::new(Client::new(session.clone(), Wake::Client(at)))),
                Role::Http1 { pipelines } => {
                    Voice::Http1(Box::new(Client1::new(session.exchanges.clone(), pipelines)))
                }
                Role::Rogue(what) => Voice::Rogue(Box::new(Rogue::new(what, session.exchanges[0].clone()))),
                Role::Tunnel(tunnel) => {
                    Voice::Tunnel(Box::new(Tunnel::new(tunnel, session.exchanges[0].rid)))
                }
            });
        }
        let mut scripts = scenario.exchanges();
        for (session, role) in scenario.sessions.iter().zip(&plan.clients) {
            // What no backend may see is nobody's.
            if matches!(role, Role::Rogue(what) if !what.is_forwarded()) {
                scripts.remove(&session.exchanges[0].rid);
            }
        }
        Ok(Self {
            plan,
            scripts: Scripts::new(scripts),
            gateway,
            world,
            links: Vec::new(),
            conns: BTreeMap::new(),
            by_link: BTreeMap::new(),
            ready: BTreeSet::new(),
            front_links: vec![None; clients.len()],
            clients,
            servers: BTreeMap::new(),
            targets: BTreeMap::new(),
            started: BTreeSet::new(),
            ended: BTreeMap::new(),
            drained: false,
            checks: Checks::default(),
        })
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.world.now())
    }

    fn until(&mut self, limit: Nanos, done: impl Fn(&Self) -> bool) -> Result<(), Violation> {
        for _ in 0..MOMENTS_MAX {
            while let Some(wake) = self.world.pop_due() {
                self.dispatch(wake)?;
            }
            self.turn()?;
            if self.world.next_at().is_some_and(|at| at <= self.world.now()) {
                continue;
            }
            self.holds()?;
            if done(self) {
                return Ok(());
            }
            let timeout = self.gateway.poll_timeout().map(Instant::as_nanos);
            match [self.world.next_at(), timeout].into_iter().flatten().min() {
                Some(at) if at <= limit => self.world.advance(at),
                _ => return Ok(()),
            }
        }
        Err(Violation { id: "LIVE", message: format!("no end at {} ns", self.world.now()) })
    }

    /// L3, N1, W4, T1, T2, T3: what holds after every step.
    fn holds(&mut self) -> Result<(), Violation> {
        let (view, next) = (self.gateway.view(), self.gateway.poll_timeout());
        let earliest = self.gateway.earliest_deadline();
        invariants::t1_the_earliest_deadline_is_named(&mut self.checks, next, earliest)?;
        let places = view.frozen + view.live + view.finished;
        let open = self.started.len() - self.ended.len();
        self.checks.check("L3", view.requests == places && open == places, || {
            format!("{open} requests by the records, {view:?}")
        })?;
        let (checks, seen, config) = (&mut self.checks, self.gateway.inspect(), &self.plan.scenario.config);
        invariants::n1_each_ledger_and_each_share(checks, &view, &seen, config)?;
        invariants::w4_no_octet_is_uncredited(checks, &view)?;
        invariants::t2_t3_each_has_its_deadline(checks, &view, &seen)
    }

    fn dispatch(&mut self, wake: Wake) -> Result<(), Violation> {
        let wrong =
            |who: String| move |message| Violation { id: "C8", message: format!("{who} sees: {message}") };
        match wake {
            Wake::Client(at) => {
                let link = match self.front_links[at] {
                    Some(link) => link,
                    None => self.connect_client(at),
                };
                let (link, world) = (&mut self.links[link], &mut self.world);
                match &mut self.clients[at] {
                    Voice::Http2(client) => client.wake(link, world),
                    Voice::Http1(client) => client.wake(link, world),
                    Voice::Rogue(client) => client.wake(link, world),
                    Voice::Tunnel(client) => client.wake(link, world),
                }
                .map_err(wrong(format!("client {at}")))
            }
            Wake::Backend(at) => {
                let (link, world) = (&mut self.links[at], &mut self.world);
                match self.servers.get_mut(&at) {
                    Some(Server::Http2(server)) => server.wake(link, world),
                    Some(Server::Http1(server)) => server.wake(link, world),
                    None => Ok(()),
                }
                .map_err(wrong(format!("the backend on link {at}")))
            }
            Wake::Gateway(link) => {
                self.ready.insert(link);
                Ok(())
            }
            Wake::ConnectAnswer(link) => {
                self.stands(link);
                Ok(())
            }
        }
    }

    fn connect_client(&mut self, at: usize) -> usize {
        let (link, session) = (self.links.len(), &self.plan.scenario.sessions[at]);
        let wakes = [Wake::Client(at), Wake::Gateway(link)];
        let label = format!("client{}", session.n);
        self.links.push(Link::new(self.plan.scenario.seed, &label, session.network, wakes));
        self.front_links[at] = Some(link);
        let address = |host, port| Address::from(SocketAddr::from(([192, 0, 2, host], port)));
        let info = Accepted { peer: address(1, 2000 + at as u16), local: address(9, 80) };
        let id = self.gateway.handle_accept(info, self.now());
        self.add(id, link, End::Acceptor, false);
        link
    }

    fn stands(&mut self, link: usize) {
        let (Some(&id), target) = (self.by_link.get(&link), self.targets[&link]) else { return };
        let backends = &self.plan.scenario.backends;
        let Some(at) = backends.iter().position(|backend| backend.address == target) else { return };
        let (me, scripts) = (Wake::Backend(link), self.scripts.clone());
        let server = match self.plan.backends[at] {
            None => {
                let conn = BackendConn::new(backends[at].clone(), None, scripts, me, &mut self.world);
                Server::Http2(Box::new(conn))
            }
            Some(fault) => Server::Http1(Box::new(Backend1::new(scripts, me, link, fault))),
        };
        self.servers.insert(link, server);
        self.world.wake(self.world.now(), me);
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.connecting = false;
        }
        self.gateway.handle_connected(id, Connected::default(), self.now());
        self.ready.insert(link);
    }

    fn add(&mut self, id: ConnId, link: usize, end: End, connecting: bool) {
        let conn = Conn { link, end, connecting, paused: false, read_closed: false, writable: false };
        self.conns.insert(id, conn);
        self.by_link.insert(link, id);
        self.ready.insert(link);
    }

    fn forget(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.remove(&id) {
            self.by_link.remove(&conn.link);
            self.links[conn.link].close(conn.end, &mut self.world);
        }
    }

    /// All there is to do at this moment.
    fn turn(&mut self) -> Result<(), Violation> {
        for _ in 0..TURNS_MAX {
            let mut busy = false;
            for link in std::mem::take(&mut self.ready) {
                while self.read(link) {
                    busy = true;
                }
            }
            if self.gateway.poll_timeout().is_some_and(|at| at <= self.now()) {
                self.gateway.handle_timeout(self.now());
                busy = true;
            }
            busy |= self.act()?;
            let writable: Vec<ConnId> =
                self.conns.iter().filter(|(_, conn)| conn.writable).map(|(&id, _)| id).collect();
            for id in writable {
                busy |= self.write(id);
            }
            busy |= self.act()?;
            if !busy {
                return Ok(());
            }
        }
        Err(Violation { id: "T5", message: format!("the gateway spins at {} ns", self.world.now()) })
    }

    /// Reads one piece; whether there may be more.
    fn read(&mut self, link: usize) -> bool {
        let (now, most) = (self.now(), self.plan.scenario.adapter.read_max);
        let Some(&id) = self.by_link.get(&link) else { return false };
        let Some(conn) = self.conns.get_mut(&id) else { return false };
        if conn.connecting || conn.paused || conn.read_closed {
            return false;
        }
        let buffer = match self.gateway.recv_buf(id) {
            RecvBuf::Buffer(buffer) => buffer,
            RecvBuf::Pause => {
                conn.paused = true;
                return false;
            }
            RecvBuf::Gone => return false,
        };
        match self.links[link].read(conn.end, buffer.len().min(most.max(1)), &mut self.world) {
            Read::Octets(octets) => {
                buffer[..octets.len()].copy_from_slice(&octets);
                self.gateway.handle_recv(id, octets.len(), now);
            }
            Read::Nothing => return false,
            Read::Fin => {
                conn.read_closed = true;
                self.gateway.handle_read_closed(id, now);
            }
            Read::Reset => {
                self.forget(id);
                self.gateway.handle_closed(id, Closed::Reset, now);
                return false;
            }
        }
        true
    }

    /// Writes until there is no more or no room; whether anything left.
    fn write(&mut self, id: ConnId) -> bool {
        let (now, most) = (self.now(), self.plan.scenario.adapter.write_max);
        let mut moved = false;
        while let Some(&conn) = self.conns.get(&id) {
            let Some(waiting) = self.gateway.poll_transmit(id, now) else {
                self.conns.entry(id).and_modify(|conn| conn.writable = false);
                return moved;
            };
            let octets = &waiting[..waiting.len().min(most.max(1))];
            match self.links[conn.link].write(conn.end, octets, &mut self.world) {
                Write::Taken(0) => return moved,
                Write::Taken(n) => self.gateway.handle_sent(id, n, now),
                Write::Reset => {
                    self.forget(id);
                    self.gateway.handle_closed(id, Closed::Reset, now);
                }
            }
            moved = true;
        }
        moved
    }

    fn act(&mut self) -> Result<bool, Violation> {
        let mut acted = false;
        while let Some(action) = self.gateway.poll_action() {
            acted = true;
            match action {
                Action::Connect { conn, target, .. } => {
                    let Address::Inet(target) = target else { continue };
                    let link = self.links.len();
                    let wakes = [Wake::Gateway(link), Wake::Backend(link)];
                    let (seed, label) = (self.plan.scenario.seed, format!("backend{link}"));
                    let backends = &self.plan.scenario.backends;
                    let backend = backends.iter().find(|backend| backend.address == target);
                    let network = backend.map_or([PipePolicy::default(); 2], |backend| backend.network);
                    self.links.push(Link::new(seed, &label, network, wakes));
                    self.targets.insert(link, target);
                    self.add(conn, link, End::Initiator, true);
                    self.world.wake(self.world.now() + 100_000, Wake::ConnectAnswer(link));
                }
                Action::Readable(id) => {
                    if let Some(conn) = self.conns.get_mut(&id) {
                        conn.paused = false;
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
                        self.links[conn.link].finish(conn.end, &mut self.world);
                    }
                }
                Action::Close(id) => self.forget(id),
                Action::Abort(id) => {
                    if let Some(conn) = self.conns.remove(&id) {
                        self.by_link.remove(&conn.link);
                        self.links[conn.link].reset(conn.end, &mut self.world);
                    }
                }
                Action::Record(record) => self.record(&record)?,
                Action::Drained { .. } => self.drained = true,
                Action::Accepting(_) | Action::Resolve { .. } => {}
            }
        }
        Ok(acted)
    }

    /// L1: each request begins once and ends once.
    fn record(&mut self, record: &Record) -> Result<(), Violation> {
        match record {
            Record::Started { request, .. } => {
                let fresh = self.started.insert(*request);
                self.checks.check("L1", fresh, || format!("{request:?} started twice"))
            }
            Record::Ended(end) => {
                let known = self.started.contains(&end.request);
                let fresh = self.ended.insert(end.request, (invariants::rid_of(end), end.outcome)).is_none();
                self.checks
                    .check("L1", known && fresh, || format!("{:?} ended, {known}, {fresh}", end.request))
            }
            Record::Attempt(_) => Ok(()),
        }
    }

    fn judge(mut self) -> Result<Report, Violation> {
        let view = self.gateway.view();
        let nothing = self.drained && self.conns.is_empty() && view == View::default();
        let (drained, conns) = (self.drained, self.conns.len());
        self.checks.check("Q1", nothing, || format!("drained {drained}, {conns} connections, {view:?}"))?;
        let open: Vec<_> = self.started.iter().filter(|id| !self.ended.contains_key(id)).collect();
        self.checks.check("L1", open.is_empty(), || format!("no end record for {open:?}"))?;
        let hurts = self.plan.backends.iter().flatten().any(|fault| fault.hurts());
        // Who came to a backend that does nothing wrong is answered, whatever others have done before.
        let unharmed: BTreeSet<u64> = self.servers.values().flat_map(Server::unharmed).copied().collect();
        let (mut requests, mut complete) = (0, BTreeSet::new());
        for (at, voice) in self.clients.iter().enumerate() {
            let http2 = self.plan.clients[at] == Role::Http2;
            let rid = self.plan.scenario.sessions[at].exchanges.first().map_or(0, |exchange| exchange.rid);
            if let Voice::Tunnel(tunnel) = voice {
                let spoken = self.plan.backends.iter().any(Option::is_some);
                let as_it_should = match (tunnel.status, is_refused(rid)) {
                    _ if tunnel.is_whole() => !is_refused(rid),
                    (Some(403), refused) => refused,
                    (Some(501..=504), _) => hurts || !spoken,
                    _ => hurts,
                };
                self.checks.check("L7", as_it_should, || format!("tunnel {rid}: {tunnel:?}"))?;
                complete.extend((tunnel.is_whole() || tunnel.status == Some(403)).then_some(rid));
            }
            if let Voice::Rogue(rogue) = voice {
                let told = rogue.status.is_some() || !rogue.what.is_told();
                self.checks.check("L7", told, || format!("{:?} is not told what is wrong", rogue.what))?;
            }
            // An error that is made before the end of a request in chunks is the last answer of its connection, and what was sent behind has none.
            let mut is_over = false;
            // Over HTTP/1.1 nothing comes behind a response that breaks.
            let mut breaks = false;
            for (exchange, answer) in self.plan.scenario.sessions[at].exchanges.iter().zip(voice.answers()) {
                requests += 1;
                if answer.ended && answer.is_from_backend() {
                    complete.insert(exchange.rid);
                }
                let passed_on = answer.status() == Some(ROGUE) && !self.may_pass_on(exchange, answer);
                self.checks.check("L6", !passed_on, || {
                    format!("request {}: a response that broke the rules: {answer:?}", exchange.rid)
                })?;
                breaks = hurts && (!unharmed.contains(&exchange.rid) || !http2 && breaks);
                is_true(&mut self.checks, exchange, answer, http2, !breaks && !is_over)?;
                let closes = answer
                    .head
                    .as_deref()
                    .and_then(|head| value_of(head, "connection"))
                    .is_some_and(|value| value == b"close");
                let in_chunks = exchange.request.content > 0 && !exchange.request.declare_length
                    || exchange.request.trailers;
                is_over |= closes && in_chunks && answer.status().is_some_and(|status| status >= 400);
            }
        }
        let whole = |&(rid, outcome): &(Option<u64>, Outcome)| rid.filter(|_| outcome == Outcome::Complete);
        let told: BTreeSet<u64> = self.ended.values().filter_map(whole).collect();
        // A record tells what has left. Where connections break, what has left may be lost on its way.
        let true_to_life = if hurts { complete.is_subset(&told) } else { told == complete };
        self.checks.check("L2", true_to_life, || {
            let differ: Vec<&u64> = told.symmetric_difference(&complete).collect();
            let records: Vec<_> = self.ended.values().filter(|(rid, _)| rid.is_some_and(|rid| differ.contains(&&rid))).collect();
            format!("requests {differ:?} are complete by their records, or by their clients, and not by both: {records:?}")
        })?;
        let executed = self.executions()?;
        Ok(Report { requests, complete: complete.len() as u64, executed, checks: self.checks.by_id() })
    }

    /// Whether a client may see the head of a response that breaks the rules: where its chunks do, which come behind it. Of one to HEAD they are no part, so
    /// that nothing is wrong with it.
    fn may_pass_on(&self, exchange: &Exchange, answer: &Answer) -> bool {
        let breaks = |fault: &Fault| matches!(fault, Fault::Rogue(_, BackendRogue::BadChunk));
        let whole = exchange.request.method == Method::Head;
        self.plan.backends.iter().flatten().any(breaks) && (whole || !answer.ended)
    }

    /// R3: a request that is not idempotent is executed once at most, others as often as the configuration allows.
    fn executions(&mut self) -> Result<u64, Violation> {
        let mut times: BTreeMap<u64, u32> = BTreeMap::new();
        for server in self.servers.values() {
            if let Server::Http1(server) = server {
                server.executed.iter().for_each(|&rid| *times.entry(rid).or_default() += 1);
            }
        }
        let retries = self.plan.scenario.config.upstreams[0].retry.attempts;
        for (rid, &count) in &times {
            let most = if self.scripts[rid].request.method == Method::Post { 1 } else { retries };
            self.checks.check("R3", count <= most, || {
                format!("request {rid} came to backends {count} times, at most {most} may be")
            })?;
        }
        Ok(times.values().map(|&count| u64::from(count)).sum())
    }
}

/// L7, D2: the answer is the script's, or, where something has hurt, the gateway's own or none. (Whether one that breaks the rules may be seen was looked at.)
fn is_true(
    checks: &mut Checks,
    exchange: &Exchange,
    answer: &Answer,
    http2: bool,
    exact: bool,
) -> Result<(), Violation> {
    let rid = exchange.rid;
    checks.check("D2", answer.first_wrong.is_none(), || format!("request {rid}: {answer:?}"))?;
    let backends = answer.ended && answer.is_from_backend();
    checks.check("L7", backends || !exact, || format!("request {rid} is not answered: {answer:?}"))?;
    if !backends {
        let own = !answer.ended || matches!(answer.status(), Some(ROGUE | 502..=504));
        return checks.check("L7", own, || format!("request {rid}: {answer:?}"));
    }
    let head = answer.head.as_deref().unwrap_or_default();
    let difference = super::difference(rid, &truth::response_head(exchange), head);
    let trailers = match &answer.trailers {
        Some(trailers) => {
            let owed = truth::trailers(exchange, Direction::Response);
            exchange.response.trailers && truth::field_difference(rid, &owed, trailers).is_none()
        }
        // A client of HTTP/1.1 that has not asked for trailers need not get them (RFC 9110 section 6.5.1).
        None => !http2 || !exchange.response.trailers,
    };
    let whole = answer.content == truth::response_length(exchange)
        && answer.interim.len() == usize::from(exchange.response.interim);
    checks.check("L7", difference.is_none() && whole && trailers, || {
        format!("request {rid}: {difference:?}, {answer:?}")
    })
}
