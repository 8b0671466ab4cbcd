//! Who waits, and where there would be room for it: connections that are idle and of no use, that were adopted and not used, and
//! whose backend allows no stream.

use shuntyard_core::config::{Balance, ConnectionConfig, Saturation, Scope};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::key::ConnId;
use shuntyard_core::time::Duration;

use crate::endpoints::address;
use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, events, ok, requests};

/// SETTINGS with SETTINGS_MAX_CONCURRENT_STREAMS of 0.
const NO_STREAMS: [u8; 15] = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0];

/// Two idle connections at one endpoint, the one used last allows nothing.
#[test]
fn another_idle_connection_is_adopted() {
    let mut memory = Memory::new(|config| config.upstreams[0].share = Scope::Client);
    let clients: Vec<_> = (0..2).map(|_| memory.connect(ConnectionConfig::default())).collect();
    clients.iter().for_each(|&client| _ = ask(&mut memory, client, "/first"));
    assert_eq!(answer_all(&mut memory).len(), 2);
    let backends = memory.backends();
    assert_eq!(backends.len(), 2);
    memory.mute(backends[1]);
    memory.inject(backends[1], &NO_STREAMS);
    ask(&mut memory, clients[0], "/second");
    let at_once = answer_of(&mut memory, backends[0]);
    memory.wait(Duration::from_secs(5));
    let later = answer_of(&mut memory, backends[0]);
    assert_eq!((at_once, later), (vec!["/second".to_owned()], vec![]));
}

/// What a connection that is gone said of its streams holds nobody up.
#[test]
fn a_limit_of_nothing_dies_with_its_connection() {
    let mut memory = Memory::new(|config| config.upstreams[0].share = Scope::Client);
    let clients: Vec<_> = (0..2).map(|_| memory.connect(ConnectionConfig::default())).collect();
    ask(&mut memory, clients[0], "/long");
    let long = memory.backends();
    ask(&mut memory, clients[1], "/short");
    let short: Vec<_> = memory.backends().into_iter().filter(|conn| !long.contains(conn)).collect();
    let (stream, _) = requests(&mut memory, short[0]).remove(0);
    memory.backend(short[0]).send_response(stream, &ok(), true).expect("open");
    memory.settle();
    memory.inject(short[0], &NO_STREAMS);
    memory.kill(short[0]);
    ask(&mut memory, clients[1], "/next");
    memory.wait(Duration::from_secs(5));
    let dials = memory.dials.len();
    assert_eq!(
        dials,
        3,
        "/next waits although the endpoint may have {} connections",
        memory.config().upstreams[0].connections_max
    );
}

fn answer_of(memory: &mut Memory, backend: ConnId) -> Vec<String> {
    let mut paths = Vec::new();
    for (stream, request) in requests(memory, backend) {
        memory.backend(backend).send_response(stream, &ok(), true).expect("open");
        paths.push(request.uri().path().to_owned());
    }
    memory.settle();
    paths
}

/// One endpoint whose idle connection allows nothing, and another: dials at once, later, and when somebody else asks; requests that have ended.
fn with_a_closed_idle_connection(on_saturation: Saturation) -> (usize, usize, usize, usize) {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].on_saturation = on_saturation;
        config.upstreams[0].endpoints = (9001..=9002).map(|port| address(port).into()).collect();
    });
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/first");
    assert_eq!(answer_all(&mut memory), ["/first"]);
    let first = memory.backends()[0];
    memory.mute(first);
    memory.inject(first, &NO_STREAMS);
    ask(&mut memory, client, "/second");
    let at_once = memory.dials.len();
    memory.wait(Duration::from_secs(5));
    let later = memory.dials.len();
    let ended = memory.records.len();
    ask(&mut memory, client, "/third");
    (at_once, later, ended, memory.dials.len())
}

#[test]
fn an_idle_connection_without_slots_holds_up_nobody() {
    assert_eq!(with_a_closed_idle_connection(Saturation::Dial), (2, 2, 1, 2));
}

#[test]
fn who_may_wait_waits_for_another_endpoint() {
    assert_eq!(with_a_closed_idle_connection(Saturation::Queue), (2, 2, 1, 2));
}

#[test]
fn who_may_be_refused_is_not_where_another_endpoint_is_left() {
    assert_eq!(with_a_closed_idle_connection(Saturation::Refuse), (2, 2, 1, 2));
}

/// A rest that an answer has cut short is over for everybody.
#[test]
fn a_rest_that_was_cut_short_wakes_who_waits() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].share = Scope::Client;
        config.upstreams[0].connections_max = 2;
        config.upstreams[0].endpoints = (9001..=9002).map(|port| address(port).into()).collect();
    });
    let clients: Vec<_> = (0..4).map(|_| memory.connect(ConnectionConfig::default())).collect();
    // The second endpoint is the only one for a while, and is full.
    memory.dead = Some(address(9001));
    ask(&mut memory, clients[0], "/0");
    ask(&mut memory, clients[1], "/1");
    for backend in memory.backends() {
        requests(&mut memory, backend);
    }
    assert_eq!(memory.backends().len(), 2);
    memory.wait(Duration::from_secs(3));
    // A dial to the first that takes a while, and one beside it that fails at once.
    memory.dead = None;
    memory.hold_connects = true;
    ask(&mut memory, clients[2], "/2");
    assert_eq!(memory.held.len(), 1, "{:?}", memory.dials);
    memory.dead = Some(address(9001));
    ask(&mut memory, clients[3], "/3");
    memory.dead = None;
    let dials = memory.dials.len();
    memory.release_connects();
    let at_once = memory.dials.len() - dials;
    let began = memory.now;
    while memory.dials.len() == dials && memory.now < began + Duration::from_secs(20) {
        memory.wait(Duration::from_millis(100));
    }
    assert_eq!((at_once, memory.now.saturating_since(began)), (1, Duration::ZERO), "{:?}", memory.records);
}

/// SETTINGS that allow nothing, and GOAWAY, while a long response is under way: the usual way to leave.
#[test]
fn who_leaves_in_good_order_is_replaced() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/long");
    let first = memory.backends()[0];
    memory.mute(first);
    memory.inject(first, &NO_STREAMS);
    memory.inject(first, &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    ask(&mut memory, client, "/next");
    let at_once = memory.dials.len();
    memory.wait(Duration::from_secs(5));
    assert_eq!((at_once, memory.dials.len()), (2, 2));
}

/// An idle connection that was adopted for a request that its client's share held up, and that was taken back.
#[test]
fn what_was_adopted_and_not_used_is_idle_again() {
    let mut memory = Memory::new(|config| {
        config.ledger_front_octets = 70_000;
        config.upstreams[0].share = Scope::Client;
        config.upstreams[0].connections_max = 1;
        config.upstreams[0].endpoints = (9001..=9002).map(|port| address(port).into()).collect();
    });
    let clients: Vec<_> = (0..2).map(|_| memory.connect(ConnectionConfig::default())).collect();
    ask(&mut memory, clients[0], "/long");
    let long = memory.backends()[0];
    ask(&mut memory, clients[1], "/short");
    let other = memory.backends().into_iter().find(|&conn| conn != long).expect("a second connection");
    let (stream, _) = requests(&mut memory, other).remove(0);
    memory.backend(other).send_response(stream, &ok(), true).expect("open");
    memory.settle();
    assert_eq!(memory.gateway.view().engines, 1);
    let held = ask(&mut memory, clients[0], "/held");
    assert_eq!(memory.gateway.view().frozen, 1);
    memory.client(clients[0]).reset(held, ErrorCode::CANCEL);
    memory.settle();
    let engines = memory.gateway.view().engines;
    ask(&mut memory, clients[1], "/again");
    let at_once = requests(&mut memory, other).len();
    memory.wait(Duration::from_secs(5));
    assert_eq!((engines, at_once, requests(&mut memory, other).len()), (1, 1, 0));
}

/// The limit is of connections that take requests: what goes on on one that goes away stops nobody.
#[test]
fn who_goes_away_with_a_long_stream_has_its_successor_where_there_is_to_be_one_connection() {
    let mut memory = Memory::new(|config| config.upstreams[0].connections_max = 1);
    let client = memory.connect(ConnectionConfig::default());
    let mut leave = |path: &str, dials: usize| {
        ask(&mut memory, client, path);
        let last = *memory.backends().last().expect("a backend");
        memory.mute(last);
        memory.inject(last, &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        ask(&mut memory, client, "/next");
        assert_eq!(memory.dials.len(), dials, "{path}");
    };
    leave("/long", 2);
    // But there are not more of them than of the others: the first of them is over, for nobody else could be served.
    leave("/longer", 3);
    let view = memory.gateway.view();
    assert_eq!((view.backends, view.live, view.frozen), (2, 4, 0), "what it carried is asked for again");
}

/// A reload leaves one connection that serves, and more that do not than there may be: when that one is gone another is made.
#[test]
fn who_takes_leave_keeps_nobody_from_an_endpoint() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].connections_max = 4;
        config.backend.max_concurrent_streams_cap = 1;
    });
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..4 {
        ask(&mut memory, client, &format!("/long/{n}"));
    }
    memory.reconfigure(|config| config.upstreams[0].connections_max = 1);
    let dials = memory.dials.len();
    let view = memory.gateway.view();
    assert_eq!((view.backends, view.live, dials), (4, 4, 4));
    let serves = memory.backends()[3];
    memory.kill(serves);
    events(&mut memory, client);
    ask(&mut memory, client, "/next");
    assert!(memory.dials.len() > dials, "{:?}", memory.records);
}

/// A connection with a stream that lasts does not pin its place when it has become old, and those that last stay where they are.
#[test]
fn what_lasts_longer_than_a_connection_may_leaves_room_for_the_others() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].connections_max = 1;
        config.timeouts.backend_age = Duration::from_secs(100);
        config.timeouts.response = Duration::from_secs(80_000);
        config.timeouts.suspect_silent = Duration::from_secs(80_000);
        config.timeouts.suspect_idle = Duration::from_secs(80_000);
    });
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..10 {
        ask(&mut memory, client, &format!("/long/{n}"));
        memory.wait(Duration::from_secs(150));
        assert_eq!((memory.gateway.view().frozen, memory.gateway.view().live), (0, n + 1));
        assert!(memory.dials.len() <= 2);
    }
}

/// A GOAWAY without SETTINGS beside it.
#[test]
fn who_says_goaway_alone_is_replaced() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/long");
    let first = memory.backends()[0];
    memory.mute(first);
    memory.inject(first, &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    ask(&mut memory, client, "/next");
    assert_eq!(memory.dials.len(), 2);
}

const GOAWAY_BEHIND_1: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];

/// Answers what reached those that have not taken their leave. Says how many requests that were.
fn answer_those_that_stay(memory: &mut Memory, left: &[ConnId]) -> usize {
    let mut answered = 0;
    for conn in memory.backends().into_iter().filter(|conn| !left.contains(conn)) {
        for (stream, _) in requests(memory, conn) {
            memory.backend(conn).send_response(stream, &ok(), true).expect("open");
            answered += 1;
        }
    }
    memory.settle();
    answered
}

/// The connection takes its leave with what it carries.
fn leave(memory: &mut Memory, conn: ConnId, left: &mut Vec<ConnId>) {
    memory.mute(conn);
    memory.inject(conn, &GOAWAY_BEHIND_1);
    left.push(conn);
}

/// Nobody is cut off for a request that another endpoint serves.
#[test]
fn who_takes_leave_stays_while_another_endpoint_serves() {
    for balance in [Balance::RoundRobin, Balance::LeastActive] {
        let mut memory = Memory::new(|config| {
            config.upstreams[0].connections_max = 1;
            config.upstreams[0].balance = balance;
            config.upstreams[0].endpoints = (9001..=9002).map(|port| address(port).into()).collect();
        });
        let client = memory.connect(ConnectionConfig::default());
        let (mut left, mut known) = (Vec::new(), Vec::new());
        let of_first = |memory: &Memory| memory.dials.iter().filter(|&at| *at == address(9001)).count();
        for n in 0..20 {
            ask(&mut memory, client, &format!("/{n}"));
            let new = memory.backends().into_iter().find(|conn| !known.contains(conn));
            known.extend(new);
            if let Some(conn) = new.filter(|_| memory.dials.last() == Some(&address(9001)) && left.len() < 2)
            {
                leave(&mut memory, conn, &mut left);
            }
            answer_those_that_stay(&mut memory, &left);
        }
        assert_eq!(left.len(), of_first(&memory), "{balance:?}: nobody was dialled in their place");
        assert!(memory.gateway.view().live > 0, "{balance:?}");
    }
}

/// Of those that take their leave one goes that carries nothing, if there is one.
#[test]
fn who_carries_nothing_makes_room_before_who_does() {
    let mut memory = Memory::new(|config| config.upstreams[0].connections_max = 1);
    let client = memory.connect(ConnectionConfig::default());
    let mut left = Vec::new();
    ask(&mut memory, client, "/long");
    let long = memory.backends()[0];
    leave(&mut memory, long, &mut left);
    ask(&mut memory, client, "/short");
    assert_eq!(answer_those_that_stay(&mut memory, &left), 1);
    // It leaves, and takes its time.
    let short = memory.backends().into_iter().find(|&conn| conn != long).expect("another");
    leave(&mut memory, short, &mut left);
    assert_eq!((memory.gateway.view().backends, memory.gateway.view().live), (2, 1));
    ask(&mut memory, client, "/next");
    assert_eq!((memory.dials.len(), memory.gateway.view().live), (3, 2));
    assert_eq!(memory.attempts.len(), 1, "the long one goes on: {:?}", memory.attempts);
}
