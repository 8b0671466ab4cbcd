//! Liveness: when the scripted work is done, faults that end have ended and those that last for ever go on. Who comes then is
//! served by whoever is well, and answered by the gateway where nobody is.
//!
//! A run that only passes because its faults pass away would hide a gateway that stays broken behind them.

use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, Host, UpstreamConfig};

use crate::client::Answer;
use crate::ledger::{Ledger, Violation};
use crate::scenario::{Backend, BackendFault, Exchange, Scenario, Session};
use crate::world::Nanos;

/// Where the numbers of probing requests begin: far beyond those of scripts, and below those of decoys.
const PROBES: u64 = 500_000_000;

/// One request for each route.
pub fn exchanges(config: &Config) -> Vec<Exchange> {
    let probe = |(rid, route)| {
        let mut exchange = Exchange::get(rid, 10);
        (exchange.request.host, exchange.request.path) = crate::generate::wanted(route);
        exchange
    };
    (PROBES..).zip(&config.routes).map(probe).collect()
}

/// A client that connects now and asks them all.
pub fn session(scenario: &Scenario, now: Nanos) -> Session {
    let n = scenario.sessions.iter().map(|session| session.n + 1).max().unwrap_or(0);
    Session { n, start: now, ..Session::new(exchanges(&scenario.config)) }
}

/// **LIVE** (when the probing client is done). Where every endpoint of its upstream is well, and no limit is so tight that
/// healthy requests fall to it, a probing request was answered by a backend.
pub fn is_served(
    ledger: &mut Ledger,
    scenario: &Scenario,
    exchange: &Exchange,
    answer: &Answer,
) -> Result<(), Violation> {
    let rid = exchange.rid;
    let well = scenario.upstream_of(exchange).is_some_and(|upstream| is_well(scenario, upstream));
    let served = answer.ended && answer.is_from_backend()
        || scenario.is_crowded() && crate::invariants::l7_there_was_no_room(ledger, rid, answer);
    ledger.check("LIVE", served || !well, || {
        format!("probe {rid} is not served, and nothing is wrong: {answer:?}")
    })
}

fn is_well(scenario: &Scenario, upstream: &UpstreamConfig) -> bool {
    let well = |host: &Host| match host {
        Host::Address(Address::Inet(address)) => {
            let backend = scenario.backends.iter().find(|backend| backend.address == *address);
            backend.is_some_and(|backend| !is_sick_for_ever(backend) && !backend.may_allow_nothing())
        }
        Host::Address(Address::Unix(_)) | Host::Name { .. } => false,
    };
    // The probe is one client more, and may find that hostile ones have left no room.
    let tight =
        scenario.has_tight_limits() || (scenario.config.max_fronts as usize) < scenario.sessions.len() + 2;
    !tight && upstream.endpoints.iter().all(|endpoint| well(&endpoint.host))
}

/// Whether something is wrong with every connection to it.
fn is_sick_for_ever(backend: &Backend) -> bool {
    let healed = Backend { fault: backend.fault.filter(|&fault| lasts(fault)), ..backend.clone() };
    healed.is_touched()
}

/// Whether a fault never ends: it hits every connection.
pub fn lasts((connections, _): (u32, BackendFault)) -> bool {
    connections == u32::MAX
}
