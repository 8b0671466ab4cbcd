//! What will happen, drawn from a seed.

use shuntyard_core::config::{Balance, Protocol, Saturation, Scope};

use crate::generate::generate;
use crate::net::PipePolicy;
use crate::rng::Choices;
use crate::scenario::{Backend, Exchange, PeerPlan, ResponseKind, Scenario, Session};

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
}

impl Fault {
    /// Whether requests may not get their response.
    pub fn hurts(self) -> bool {
        matches!(self, Self::Leaves(_) | Self::Breaks(_))
    }
}

/// A scenario, and who speaks HTTP/1.1 in it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Clients, backends and the network between.
    pub scenario: Scenario,
    /// Of each client: `None` for HTTP/2, or whether it sends its requests before the first response.
    pub clients: Vec<Option<bool>>,
    /// Of each backend: `None` for HTTP/2.
    pub backends: Vec<Option<Fault>>,
}

/// Octets of content at most: they are sent as fast as pipes take them.
const CONTENT_MAX: u64 = 5000;

/// The plan of a seed. At least one side speaks HTTP/1.1 somewhere.
pub fn plan(seed: u64) -> Plan {
    let drawn = generate(seed);
    let mut choices = Choices::new(seed, "http1");
    let sessions = drawn.sessions.into_iter().take(6).map(plain_session).collect();
    let count = choices.between(1, 3) as u8;
    let backends: Vec<Backend> = (1..=count).map(Backend::new).collect();
    let faults = [Fault::Nothing, Fault::Nothing, Fault::SaysClose(0), Fault::SaysClose(2)];
    let hurts = [Fault::Leaves(0), Fault::Leaves(3), Fault::Breaks(0), Fault::Breaks(2)];
    let harmless = choices.chance(60);
    let of_backend = |choices: &mut Choices| {
        let fault = if harmless { *choices.pick(&faults) } else { *choices.pick(&hurts) };
        choices.chance(70).then_some(fault)
    };
    let voices: Vec<Option<Fault>> = backends.iter().map(|_| of_backend(&mut choices)).collect();
    let mut scenario = Scenario::new(seed, sessions, backends);
    let none = voices.iter().all(Option::is_none);
    let clients = scenario.sessions.iter().map(|_| (none || choices.chance(60)).then(|| choices.chance(30)));
    let clients = clients.collect();
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

/// The same client without what HTTP/1.1 has no word for, and without faults of its own.
fn plain_session(session: Session) -> Session {
    let exchanges = session.exchanges.into_iter().take(10).map(plain_exchange).collect();
    let network = session.network.map(|policy| PipePolicy {
        reset_after: None,
        fin_after: None,
        // A pipe for single octets would take its time.
        capacity: policy.capacity.max(200),
        ..policy
    });
    let (n, start, concurrency) = (session.n, session.start, session.concurrency);
    Session { n, start, concurrency, network, peer: PeerPlan::default(), ..Session::new(exchanges) }
}

fn plain_exchange(drawn: Exchange) -> Exchange {
    let mut exchange = Exchange { rid: drawn.rid, ..drawn };
    let (request, response) = (&mut exchange.request, &mut exchange.response);
    (request.host, request.path) = ("sim.example".to_owned(), "/r".to_owned());
    (request.expect, request.cancel) = (false, None);
    request.content = request.content.min(CONTENT_MAX);
    // Cookie crumbs are joined on their way to HTTP/1.1.
    request.extras = request.extras.min(3);
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
            plan.clients.iter().any(Option::is_some) || plan.backends.iter().any(Option::is_some)
        };
        assert!(plans.iter().all(speaks));
        let hurts =
            plans.iter().flat_map(|plan| &plan.backends).flatten().filter(|fault| fault.hurts()).count();
        assert!((5..80).contains(&hurts), "{hurts}");
        assert!(!Fault::SaysClose(1).hurts() && Fault::Leaves(0).hurts());
    }
}
