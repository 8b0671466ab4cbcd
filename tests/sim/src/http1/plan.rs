//! What will happen, drawn from a seed.

use shuntyard_core::config::{Balance, Config, Protocol, Saturation, Scope};
use shuntyard_core::time::Duration;

use super::rogues::{BackendRogue, ClientRogue};
use super::tunnels::{PROTOCOL, TunnelPlan};
use crate::generate::generate;
use crate::net::PipePolicy;
use crate::rng::Choices;
use crate::scenario::{Backend, Exchange, Method, PeerPlan, ResponseKind, Scenario, Session};

/// What goes wrong on each connection of a backend of HTTP/1.1, after so many responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Nothing,
    /// It says that the connection ends with the response, and that is so: no fault at all.
    SaysClose(u32),
    /// It takes a request and goes away.
    Leaves(u32),
    /// It goes away an octet before the end of a response.
    Breaks(u32),
    /// It breaks the rules in a response.
    Rogue(u32, BackendRogue),
}

impl Fault {
    /// Whether requests may not get their response.
    pub fn hurts(self) -> bool {
        matches!(self, Self::Leaves(_) | Self::Breaks(_) | Self::Rogue(..))
    }
}

/// What a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One of HTTP/2.
    Http2,
    /// One of HTTP/1.1, and whether it sends its requests before the first response.
    Http1 {
        /// All at once.
        pipelines: bool,
    },
    /// One that breaks the rules with the one request it has.
    Rogue(ClientRogue),
    /// One that asks for a tunnel with the one request it has.
    Tunnel(TunnelPlan),
}

/// A scenario, and who speaks HTTP/1.1 in it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Clients, backends and the network between.
    pub scenario: Scenario,
    /// What each client is.
    pub clients: Vec<Role>,
    /// Of each backend: `None` for HTTP/2.
    pub backends: Vec<Option<Fault>>,
}

/// Requests of clients that have one begin at this number.
const OTHERS: u64 = 1_000_000;
/// Octets of content at most: they are sent as fast as pipes take them.
const CONTENT_MAX: u64 = 5000;

/// The plan of a seed. At least one side speaks HTTP/1.1 somewhere.
pub fn plan(seed: u64) -> Plan {
    let drawn = generate(seed);
    let mut choices = Choices::new(seed, "http1");
    let sessions = drawn.sessions.into_iter().take(6).map(plain_session).collect();
    let count = choices.between(1, 3) as u8;
    let mut backends: Vec<Backend> = (1..=count).map(Backend::new).collect();
    let faults = [Fault::Nothing, Fault::Nothing, Fault::SaysClose(0), Fault::SaysClose(2)];
    let rogue = Fault::Rogue(choices.between(0, 2) as u32, *choices.pick(&BackendRogue::ALL));
    let hurts = [Fault::Leaves(0), Fault::Leaves(3), Fault::Breaks(0), Fault::Breaks(2), rogue, rogue];
    let harmless = choices.chance(60);
    let of_backend = |choices: &mut Choices| {
        let fault = if harmless { *choices.pick(&faults) } else { *choices.pick(&hurts) };
        choices.chance(70).then_some(fault)
    };
    let voices: Vec<Option<Fault>> = backends.iter().map(|_| of_backend(&mut choices)).collect();
    for ((backend, of), voice) in backends.iter_mut().zip(drawn.backends.iter().cycle()).zip(&voices) {
        // What a rogue says behind a response and comes late is taken for the next one, and nobody can tell.
        if !matches!(voice, Some(Fault::Rogue(..))) {
            backend.network = of.network.map(plain_network);
        }
    }
    let mut scenario = Scenario::new(seed, sessions, backends);
    let none = voices.iter().all(Option::is_none);
    let role = |choices: &mut Choices| match none || choices.chance(60) {
        true => Role::Http1 { pipelines: choices.chance(30) },
        false => Role::Http2,
    };
    let mut clients: Vec<Role> = scenario.sessions.iter().map(|_| role(&mut choices)).collect();
    // To HTTP/2 a tunnel by CONNECT leads only where its backend knows of it, which those here do not.
    others(&mut scenario, &mut clients, &mut choices, voices.iter().all(Option::is_some));
    limits(&mut scenario.config, &drawn.config);
    scenario.adapter.read_max = drawn.adapter.read_max;
    scenario.adapter.write_max = drawn.adapter.write_max;
    let upstream = &mut scenario.config.upstreams[0];
    upstream.balance = *choices.pick(&[Balance::LeastActive, Balance::RoundRobin]);
    upstream.share = *choices.pick(&[Scope::Worker, Scope::Worker, Scope::Client]);
    upstream.on_saturation = *choices.pick(&[Saturation::Dial, Saturation::Queue]);
    upstream.http1_connections_max = *choices.pick(&[256, 1, 3]);
    for (endpoint, voice) in upstream.endpoints.iter_mut().zip(&voices) {
        endpoint.protocol = if voice.is_some() { Protocol::Http1 } else { Protocol::Http2 };
    }
    Plan { scenario, clients, backends: voices }
}

/// Windows, outboxes and buffers as they were drawn, with memory for all; deadlines are so long that only faults reach them.
fn limits(config: &mut Config, drawn: &Config) {
    let windows = (config.front.initial_window_size, config.front.connection_window_size);
    (config.front, config.backend) = (drawn.front.clone(), drawn.backend.clone());
    // Who breaks the rules behind a head is known before the head is passed on: where content is read at once.
    (config.front.initial_window_size, config.front.connection_window_size) = windows;
    config.recv_buffer_octets = drawn.recv_buffer_octets;
    config.upload_ledger_octets = drawn.upload_ledger_octets;
    let window = u64::from(config.backend.initial_window_size.max(65_535));
    config.ledger_octets = config.ledger_octets.max(64 * window);
    config.ledger_front_octets = config.ledger_front_octets.max(64 * window);
    config.timeouts.response = Duration::from_secs(200);
    config.upstreams[0].queue_timeout = Duration::from_secs(200);
}

/// The same without faults. A pipe for single octets would take its time.
fn plain_network(policy: PipePolicy) -> PipePolicy {
    PipePolicy { reset_after: None, fin_after: None, capacity: policy.capacity.max(200), ..policy }
}

/// Clients with one request: some break the rules, some ask for tunnels.
fn others(scenario: &mut Scenario, clients: &mut Vec<Role>, choices: &mut Choices, may_connect: bool) {
    let (rogues, tunnels) = (choices.chance(40), choices.chance(40));
    let mut add = |role: Role, choices: &mut Choices| {
        let n = scenario.sessions.len();
        let mut exchange = plain_exchange(Exchange::get(OTHERS + n as u64, 0));
        exchange.request.method = if matches!(role, Role::Rogue(_)) { Method::Post } else { Method::Get };
        exchange.request.content = if matches!(role, Role::Rogue(_)) { 100 } else { 0 };
        let start = choices.between(0, 3_000_000);
        scenario.sessions.push(Session { n, start, ..Session::new(vec![exchange]) });
        clients.push(role);
    };
    for _ in 0..if rogues { choices.between(1, 3) } else { 0 } {
        let what = *choices.pick(&ClientRogue::ALL);
        add(Role::Rogue(what), choices);
    }
    for _ in 0..if tunnels { choices.between(1, 3) } else { 0 } {
        let (octets, piece) = (choices.between(0, 5000), *choices.pick(&[10_000, 700, 100]));
        let connect = may_connect && choices.chance(40);
        add(Role::Tunnel(TunnelPlan { connect, octets, piece }), choices);
    }
    let route = &mut scenario.config.routes[0];
    (route.upgrades, route.connect) = (vec![PROTOCOL.into()], true);
}

/// The same client without what HTTP/1.1 has no word for, and without faults of its own.
fn plain_session(session: Session) -> Session {
    let exchanges = session.exchanges.into_iter().take(10).map(plain_exchange).collect();
    let network = session.network.map(plain_network);
    let (n, start, concurrency) = (session.n, session.start, session.concurrency);
    Session { n, start, concurrency, network, peer: PeerPlan::default(), ..Session::new(exchanges) }
}

fn plain_exchange(drawn: Exchange) -> Exchange {
    let mut exchange = Exchange { rid: drawn.rid, ..drawn };
    let (request, response) = (&mut exchange.request, &mut exchange.response);
    (request.host, request.path) = ("sim.example".to_owned(), "/r".to_owned());
    (request.expect, request.cancel) = (false, None);
    // HTTP/1.1 has less room for heads.
    (request.bulk, response.bulk) = (0, 0);
    request.content = request.content.min(CONTENT_MAX);
    // Cookie crumbs are joined on their way to HTTP/1.1.
    request.extras = request.extras.min(3);
    // Nobody there looks for a number in a path.
    request.alike = false;
    // A length that is declared rules chunks out, and with them trailers.
    request.declare_length &= !request.trailers;
    response.declare_length &= !response.trailers;
    (response.early, response.reset, response.mischief) = (false, None, None);
    if let ResponseKind::Source(octets) = &mut response.kind {
        *octets = (*octets).min(CONTENT_MAX);
    }
    exchange
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn someone_speaks_http1_and_some_faults_hurt() {
        let plans: Vec<Plan> = (0..40).map(plan).collect();
        let speaks = |plan: &Plan| {
            plan.clients.iter().any(|role| *role != Role::Http2) || plan.backends.iter().any(Option::is_some)
        };
        assert!(plans.iter().all(speaks));
        let hurts =
            plans.iter().flat_map(|plan| &plan.backends).flatten().filter(|fault| fault.hurts()).count();
        assert!((5..80).contains(&hurts), "{hurts}");
        assert!(!Fault::SaysClose(1).hurts() && Fault::Leaves(0).hurts());
    }
}
