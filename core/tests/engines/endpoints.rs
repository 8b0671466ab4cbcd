//! Which endpoint gets the next request, and what is known of endpoints.

use std::collections::BTreeMap;

use shuntyard_core::address::{Address, SocketAddr};
use shuntyard_core::config::{Balance, ConnectionConfig, EndpointConfig, Host, Protocol, UpstreamConfig};
use shuntyard_core::gateway::Command;
use shuntyard_core::record::{Cause, Outcome};
use shuntyard_core::time::Duration;

use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, events, get, requests};

pub(crate) fn address(port: u16) -> Address {
    SocketAddr::from(([127, 0, 0, 1], port)).into()
}

fn three(balance: Balance) -> Memory {
    Memory::new(|config| {
        config.upstreams[0].balance = balance;
        config.upstreams[0].endpoints = (9001..=9003).map(|port| address(port).into()).collect();
    })
}

/// Requests by endpoint, of those that have ended.
fn shares(memory: &Memory) -> Vec<usize> {
    let mut shares = BTreeMap::<&str, usize>::new();
    for attempt in &memory.attempts {
        *shares.entry(&attempt.endpoint).or_default() += 1;
    }
    shares.into_values().collect()
}

#[test]
fn least_active_spreads_what_is_under_way() {
    let mut memory = three(Balance::LeastActive);
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..30 {
        ask(&mut memory, client, &format!("/{n}"));
    }
    answer_all(&mut memory);
    assert_eq!(shares(&memory), [10, 10, 10]);
    assert_eq!(memory.dials.len(), 3);
}

#[test]
fn round_robin_takes_each_in_turn() {
    let mut memory = three(Balance::RoundRobin);
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..31 {
        ask(&mut memory, client, &format!("/{n}"));
        answer_all(&mut memory);
    }
    let shares = shares(&memory);
    assert!(shares.iter().all(|&share| (9..=12).contains(&share)), "{shares:?}");
}

#[test]
fn one_request_after_the_other_needs_one_connection() {
    let mut memory = three(Balance::LeastActive);
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..10 {
        ask(&mut memory, client, &format!("/{n}"));
        answer_all(&mut memory);
    }
    assert_eq!(memory.dials.len(), 1);
}

/// Who tries is served by another one at once. The one that refuses would be next all the time, for the others are at work.
#[test]
fn b53_an_endpoint_that_refuses_is_passed_over_and_rests_longer_each_time() {
    const STEP: Duration = Duration::from_millis(100);
    let mut memory = three(Balance::LeastActive);
    let day = Duration::from_secs(80_000);
    memory.reconfigure(|config| {
        (config.timeouts.response, config.timeouts.suspect_silent) = (day, day);
    });
    memory.dead = Some(address(9001));
    let client = memory.connect(ConnectionConfig::default());
    // The second goes where the first is while a connection is made, the third to that.
    for path in ["/works/1", "/works/2", "/works/3"] {
        ask(&mut memory, client, path);
    }
    let backends = memory.backends();
    let mut at_work: Vec<_> = backends.into_iter().map(|of| requests(&mut memory, of).len()).collect();
    at_work.sort_unstable();
    assert_eq!(at_work, [1, 2]);
    assert_eq!(memory.dials, [address(9001), address(9002), address(9003)]);
    let (mut since, mut rests) = (memory.now, Vec::new());
    for n in 0..920 {
        memory.wait(STEP);
        let dials = memory.dials.len();
        ask(&mut memory, client, &format!("/{n}"));
        assert_eq!(answer_all(&mut memory), [format!("/{n}")], "at once");
        events(&mut memory, client);
        if memory.dials.len() > dials {
            assert_eq!(memory.dials[dials..], [address(9001)]);
            rests.push(memory.now.saturating_since(since).as_secs_f64());
            since = memory.now;
        }
    }
    assert_eq!(rests, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
    assert!(memory.records.iter().all(|record| record.outcome == Outcome::Complete));
}

#[test]
fn b53_where_all_refuse_those_who_wait_are_told_once_each_was_tried() {
    let mut memory = three(Balance::LeastActive);
    memory.refuse = true;
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..7 {
        memory.client(client).send_request(&get(&format!("/{n}")), true).expect("a slot");
    }
    memory.settle();
    assert_eq!(memory.dials, [address(9001), address(9002), address(9003)]);
    assert_eq!(memory.records.len(), 7);
    let refused = Outcome::LocalReply(Cause::ConnectionRefused);
    assert!(memory.records.iter().all(|record| record.outcome == refused && record.attempts == 0));
}

fn named() -> Memory {
    let host = Host::Name { name: "backend.example".into(), port: 9000 };
    Memory::new(|config| {
        config.upstreams[0].endpoints = vec![EndpointConfig { host, protocol: Protocol::Http2, tls: None }]
    })
}

fn resolved(memory: &mut Memory, addresses: Vec<Address>) {
    let command = Command::Resolved { name: "backend.example".into(), port: 9000, addresses };
    memory.gateway.handle_command(command, memory.now);
    memory.settle();
}

#[test]
fn a_name_is_resolved_before_it_is_dialled_and_requests_wait_for_it() {
    let mut memory = named();
    memory.settle();
    assert_eq!(memory.lookups, [("backend.example".into(), 9000)], "asked for at once");
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/");
    assert_eq!((memory.dials.len(), memory.gateway.view().frozen), (0, 1));
    resolved(&mut memory, vec![address(9001), address(9002)]);
    assert_eq!(memory.dials, [address(9001)]);
    assert_eq!(answer_all(&mut memory), ["/"]);
    assert_eq!(&*memory.attempts[0].endpoint, "backend.example:9000");
}

#[test]
fn another_address_of_the_name_is_tried_where_one_refuses() {
    let mut memory = named();
    memory.dead = Some(address(9001));
    memory.settle();
    resolved(&mut memory, vec![address(9001), address(9002)]);
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/");
    assert_eq!(memory.dials, [address(9001), address(9002)]);
    assert_eq!(answer_all(&mut memory), ["/"], "at once");
    // The next dial begins with the one that is dead.
    memory.kill(memory.backends()[0]);
    ask(&mut memory, client, "/again");
    assert_eq!(memory.dials[2..], [address(9001), address(9002)]);
    assert_eq!(answer_all(&mut memory), ["/again"]);
    assert!(memory.records.iter().all(|record| record.outcome == Outcome::Complete));
}

#[test]
fn b53_an_endpoint_rests_when_each_address_of_its_name_has_refused() {
    let mut memory = named();
    memory.settle();
    resolved(&mut memory, vec![address(9001), address(9002)]);
    memory.refuse = true;
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/");
    memory.wait(Duration::from_millis(500));
    assert_eq!(memory.dials, [address(9001), address(9002)], "each once");
    assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::ConnectionRefused));
}

#[test]
fn a_name_that_nobody_knows_is_502_dns_error() {
    let mut memory = named();
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/1");
    resolved(&mut memory, Vec::new());
    assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::NameUnresolved));
    // The next request asks again, and a name that was known stays known.
    memory.wait(Duration::from_secs(1));
    ask(&mut memory, client, "/2");
    assert_eq!(memory.lookups.len(), 2);
    resolved(&mut memory, vec![address(9001)]);
    memory.wait(Duration::from_secs(40));
    assert!(memory.lookups.len() > 2, "looked up from time to time");
    resolved(&mut memory, Vec::new());
    ask(&mut memory, client, "/3");
    assert!(answer_all(&mut memory).contains(&"/3".to_owned()));
}

/// However often requests ask while nobody knows a name, it is looked up from time to time, and not ever more often.
#[test]
fn lookups_of_a_name_do_not_multiply() {
    let mut memory = named();
    memory.settle();
    resolved(&mut memory, Vec::new());
    let client = memory.connect(ConnectionConfig::default());
    let mut answered = 1;
    let mut wait = |memory: &mut Memory, seconds: u64| {
        let before = memory.lookups.len();
        for _ in 0..seconds {
            memory.wait(Duration::from_secs(1));
            while answered < memory.lookups.len() {
                answered += 1;
                resolved(memory, Vec::new());
            }
        }
        memory.lookups.len() - before
    };
    for n in 0..20 {
        ask(&mut memory, client, &format!("/{n}"));
        wait(&mut memory, 1);
    }
    assert!(wait(&mut memory, 120) <= 5, "{} lookups", memory.lookups.len());
}

/// All names are asked for at once when a gateway begins, and by every worker: from then on they go apart.
#[test]
fn lookups_of_many_names_spread() {
    let name = |n: u16| (std::sync::Arc::<str>::from(format!("backend{n}.example")), 9000);
    let mut memory = Memory::new(|config| {
        let hosts = (0..40).map(name).map(|(name, port)| Host::Name { name, port });
        let endpoints = hosts.map(|host| EndpointConfig { host, protocol: Protocol::Http2, tls: None });
        config.upstreams[0].endpoints = endpoints.collect();
    });
    memory.settle();
    assert_eq!(memory.lookups, (0..40).map(name).collect::<Vec<_>>());
    for (name, port) in memory.lookups.clone() {
        let command = Command::Resolved { name, port, addresses: vec![address(9001)] };
        memory.gateway.handle_command(command, memory.now);
    }
    memory.settle();
    let asked_by = |memory: &mut Memory, seconds| {
        memory.wait(Duration::from_secs(seconds));
        memory.lookups.len() - 40
    };
    let by = [26, 4, 4].map(|seconds| asked_by(&mut memory, seconds));
    assert!(by[0] == 0 && (5..35).contains(&by[1]) && by[2] == 40, "after 26, 30 and 34 seconds: {by:?}");
}

/// Each would take the answer to the other's question, the first that comes for both.
#[test]
fn a_name_that_two_upstreams_have_is_asked_for_once() {
    let host = Host::Name { name: "backend.example".into(), port: 9000 };
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints = vec![EndpointConfig { host, protocol: Protocol::Http2, tls: None }];
        config.upstreams.push(UpstreamConfig { name: "other".into(), ..config.upstreams[0].clone() });
    });
    memory.settle();
    assert_eq!(memory.lookups.len(), 1);
    resolved(&mut memory, vec![address(9001)]);
    memory.wait(Duration::from_secs(34));
    assert_eq!(memory.lookups.len(), 2, "of what was for both");
}
