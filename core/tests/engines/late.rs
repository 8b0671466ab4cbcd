//! Endpoints that are late, and what those are told who have waited for them in vain.

use http::{Method, Request};
use shuntyard_core::address::Address;
use shuntyard_core::config::{ConnectionConfig, EndpointConfig, Host, Protocol, Saturation, Scope};
use shuntyard_core::gateway::Closed;
use shuntyard_core::key::ConnId;
use shuntyard_core::record::{Cause, Outcome};
use shuntyard_core::time::Duration;

use crate::endpoints::address;
use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, get, ok, requests};

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Endpoints of which none answers a dial.
fn silent(ports: core::ops::RangeInclusive<u16>) -> Memory {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints = ports.map(|port| address(port).into()).collect();
    });
    memory.hold_connects = true;
    memory
}

fn dials(ports: &[u16]) -> Vec<Address> {
    ports.iter().map(|&port| address(port)).collect()
}

/// The dial that was ordered last succeeds, those before it do not yet.
fn release_last(memory: &mut Memory) {
    let last = memory.held.pop().expect("a dial");
    let before = core::mem::replace(&mut memory.held, vec![last]);
    memory.release_connects();
    memory.hold_connects = true;
    memory.held = before;
}

#[test]
fn an_endpoint_that_does_not_answer_keeps_nobody_from_the_next_for_long() {
    let mut memory = silent(9001..=9003);
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/");
    memory.wait(millis(499));
    assert_eq!(memory.dials, dials(&[9001]));
    memory.wait(millis(2));
    assert_eq!(memory.dials, dials(&[9001, 9002]));
    memory.wait(millis(500));
    assert_eq!(memory.dials, dials(&[9001, 9002, 9003]));
    release_last(&mut memory);
    assert_eq!(answer_all(&mut memory), ["/"]);
    // Both have the time that a connection may take, and then they have failed.
    memory.wait(millis(3_998));
    assert_eq!(memory.aborted.len() + memory.closed.len(), 0);
    memory.wait(millis(2_000));
    assert_eq!(memory.aborted.len() + memory.closed.len(), 2);
    // Where none stands, what was reached the last time is tried first.
    memory.kill(memory.backends()[0]);
    memory.wait(millis(10_000));
    ask(&mut memory, client, "/again");
    assert_eq!(memory.dials.last(), Some(&address(9003)));
    release_last(&mut memory);
    assert_eq!(answer_all(&mut memory), ["/again"]);
    assert!(memory.records.iter().all(|record| record.outcome == Outcome::Complete));
}

/// However many wait, one endpoint is dialled for them at a time, where nothing speaks against it.
#[test]
fn b27_who_waits_for_a_first_connection_does_not_dial_all_endpoints() {
    let mut memory = silent(9001..=9003);
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..10 {
        memory.client(client).send_request(&get(&format!("/{n}")), true).expect("a slot");
    }
    memory.settle();
    assert_eq!(memory.dials.len(), 2, "by rank, and by the policy");
}

/// One that accepts and says nothing is no better.
#[test]
fn a_backend_that_says_nothing_keeps_nobody_from_the_next_for_long() {
    let mut memory = silent(9001..=9002);
    memory.hold_connects = false;
    memory.mute_backends = true;
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/");
    memory.mute_backends = false;
    memory.wait(millis(501));
    assert_eq!(memory.dials, dials(&[9001, 9002]));
    let backend = memory.backends()[1];
    let request = requests(&mut memory, backend);
    assert_eq!(request.len(), 1);
}

/// An endpoint alone is dialled once, however long it takes.
#[test]
fn b27_who_is_late_is_not_dialled_again() {
    for protocol in [Protocol::Http2, Protocol::Http1] {
        let mut memory = silent(9001..=9001);
        memory.reconfigure(|config| {
            config.upstreams[0].endpoints[0].protocol = protocol;
            config.upstreams[0].on_saturation = Saturation::Dial;
        });
        let client = memory.connect(ConnectionConfig::default());
        ask(&mut memory, client, "/");
        memory.wait(millis(4_900));
        assert_eq!(memory.dials.len(), 1, "{protocol:?}");
    }
}

fn outcome_after(memory: &mut Memory, wait: Duration) -> Outcome {
    let client = memory.connect(ConnectionConfig::default());
    ask(memory, client, "/");
    memory.wait(wait);
    memory.records[0].outcome
}

#[test]
fn b53_who_has_waited_for_a_connection_in_vain_is_told_so() {
    let timeout = |cause| Outcome::LocalReply(cause);
    // The queue's time is over before that of the dial.
    let mut memory = silent(9001..=9001);
    memory.reconfigure(|config| config.upstreams[0].queue_timeout = millis(2_000));
    assert_eq!(outcome_after(&mut memory, millis(2_001)), timeout(Cause::ConnectionTimeout));
    // All were tried.
    let mut memory = silent(9001..=9002);
    assert_eq!(outcome_after(&mut memory, millis(5_600)), timeout(Cause::ConnectionTimeout));
    assert_eq!(memory.dials, dials(&[9001, 9002]));
    // Nobody says where it is.
    let mut memory = Memory::new(|config| {
        let host = Host::Name { name: "backend.example".into(), port: 9000 };
        config.upstreams[0].endpoints = vec![EndpointConfig { host, protocol: Protocol::Http2, tls: None }];
    });
    assert_eq!(outcome_after(&mut memory, millis(10_001)), timeout(Cause::NameTimeout));
    // One that stands has no slot.
    let mut memory = Memory::new(|config| config.upstreams[0].on_saturation = Saturation::Queue);
    memory.backend_config.max_concurrent_streams = 1;
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/1");
    ask(&mut memory, client, "/2");
    memory.wait(millis(10_001));
    assert_eq!(memory.records[0].outcome, timeout(Cause::QueueLimit));
}

/// A dial that a reload has no more use for has not failed: who waits for it is tried at another endpoint.
#[test]
fn who_waits_for_an_endpoint_that_a_reload_removes_waits_for_another() {
    let mut memory = silent(9001..=9002);
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/");
    let first = memory.held.pop().expect("a dial");
    memory.gateway.handle_closed(first, Closed::ConnectRefused, memory.now);
    memory.settle();
    assert_eq!(memory.dials, dials(&[9001, 9002]), "the first rests");
    memory.reconfigure(|config| _ = config.upstreams[0].endpoints.pop());
    assert_eq!(memory.records.len(), 0, "nothing drains");
    memory.wait(millis(1_001));
    release_last(&mut memory);
    assert_eq!(answer_all(&mut memory), ["/"]);
}

/// RFC 9113 section 10.5.1: one that is sent all the same may cost the connection, with all that others have on it.
#[test]
fn a_head_larger_than_its_backend_takes_is_431_and_others_go_on() {
    let mut memory = Memory::new(|_| {});
    memory.backend_config.max_header_list_size = 1_000;
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/small");
    let large =
        Request::get("http://example.com/large").header("x", "v".repeat(900)).body(()).expect("a request");
    memory.client(client).send_request(&large, true).expect("a slot");
    memory.settle();
    assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::BackendHeadLimit));
    assert_eq!((memory.records[0].status, memory.records[0].attempts), (431, 0));
    memory.client(client).send_request(&get("/another"), true).expect("a slot");
    memory.settle();
    let mut paths = answer_all(&mut memory);
    paths.sort();
    assert_eq!(paths, ["/another", "/small"]);
    assert_eq!(memory.gateway.view().reserved_octets, 0);
}

/// An endpoint that takes no large heads has fewest requests, and would stay the best for all that it turns down.
#[test]
fn a_head_larger_than_an_endpoint_takes_goes_to_another_and_holds_nobody_up() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints = (9001..=9002).map(|port| address(port).into()).collect();
        config.upstreams[0].on_saturation = Saturation::Queue;
    });
    let client = memory.connect(ConnectionConfig::default());
    let ask_large = |memory: &mut Memory, path: &str, octets: usize| {
        let head = Request::get(format!("http://example.com{path}")).header("x", "v".repeat(octets));
        memory.client(client).send_request(&head.body(()).expect("a request"), true).expect("a slot");
        memory.settle();
    };
    memory.backend_config.max_header_list_size = 1_000;
    ask(&mut memory, client, "/first");
    assert_eq!(answer_all(&mut memory), ["/first"]);
    memory.backend_config.max_header_list_size = 5_000;
    memory.backend_config.max_concurrent_streams = 1;
    ask_large(&mut memory, "/large", 900);
    assert_eq!(memory.dials, dials(&[9001, 9002]));
    // The other one is full now. Who can do with the first is not behind those who cannot.
    ask_large(&mut memory, "/waits", 900);
    ask(&mut memory, client, "/small");
    assert_eq!((memory.gateway.view().live, memory.gateway.view().frozen), (2, 1));
    // Nobody takes this one.
    ask_large(&mut memory, "/too-large", 6_000);
    assert_eq!(memory.records.len(), 2);
    assert_eq!(memory.records[1].outcome, Outcome::LocalReply(Cause::BackendHeadLimit));
    let mut paths = answer_all(&mut memory);
    paths.sort();
    assert_eq!(paths, ["/large", "/small"]);
    assert_eq!(answer_all(&mut memory), ["/waits"]);
    let by: Vec<_> = memory.attempts.iter().map(|attempt| &*attempt.endpoint).collect();
    assert_eq!(by.iter().filter(|endpoint| **endpoint == "127.0.0.1:9002").count(), 2, "{by:?}");
    assert!(memory.records.iter().all(|record| record.attempts <= 1));
    assert_eq!(memory.gateway.view().reserved_octets, 0);
}

/// Whether an endpoint that cannot be reached would take what another has turned down is not known: nobody waits for it, and least of all before others.
#[test]
fn a_head_that_was_turned_down_waits_for_nobody_who_cannot_be_reached() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints = (9001..=9002).map(|port| address(port).into()).collect();
    });
    memory.dead = Some(address(9002));
    memory.backend_config.max_header_list_size = 1_000;
    let client = memory.connect(ConnectionConfig::default());
    for _ in 0..2 {
        let head = Request::get("http://example.com/").header("x", "v".repeat(900));
        memory.client(client).send_request(&head.body(()).expect("a request"), true).expect("a slot");
        memory.settle();
    }
    assert_eq!(memory.dials, dials(&[9001, 9002]));
    let told: Vec<_> = memory.records.iter().map(|record| record.outcome).collect();
    assert_eq!(told, [Outcome::LocalReply(Cause::BackendHeadLimit); 2]);
    ask(&mut memory, client, "/small");
    assert_eq!(answer_all(&mut memory), ["/small"]);
}

/// Where each request needs a connection of its own, those who wait for an endpoint that is late get one of another, and the late one is not dialled
/// for them once more.
#[test]
fn b27_who_waits_for_a_late_endpoint_gets_a_connection_of_a_prompt_one() {
    let mut memory = silent(9001..=9002);
    memory.reconfigure(|config| {
        config.upstreams[0].share = Scope::None;
        config.upstreams[0].connections_max = 100;
    });
    let client = memory.connect(ConnectionConfig::default());
    (0..20).for_each(|n| _ = ask(&mut memory, client, &format!("/{n}")));
    let at = |memory: &Memory, port| memory.dials.iter().filter(|&to| *to == address(port)).count();
    assert_eq!((at(&memory, 9001), at(&memory, 9002)), (10, 10));
    let ordered = core::mem::take(&mut memory.held).into_iter().zip(memory.dials.clone());
    let (prompt, late): (Vec<_>, Vec<_>) = ordered.partition(|(_, to)| *to == address(9001));
    memory.held = prompt.into_iter().map(|(conn, _)| conn).collect();
    memory.release_connects();
    memory.hold_connects = true;
    memory.held = late.into_iter().map(|(conn, _)| conn).collect();
    assert_eq!((memory.gateway.view().live, memory.dials.len()), (10, 20));
    memory.wait(millis(501));
    assert_eq!((at(&memory, 9001), at(&memory, 9002)), (20, 10));
}

/// Others have all connections of the endpoint that serves: it is those which were waited for, not the one that cannot be reached.
#[test]
fn b53_who_has_waited_for_others_connections_is_told_so() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints = (9001..=9002).map(|port| address(port).into()).collect();
        config.upstreams[0].share = Scope::Client;
        config.upstreams[0].connections_max = 1;
    });
    memory.dead = Some(address(9002));
    let [first, second] = [(); 2].map(|()| memory.connect(ConnectionConfig::default()));
    ask(&mut memory, first, "/served");
    ask(&mut memory, second, "/waits");
    assert_eq!((memory.gateway.view().live, memory.gateway.view().frozen), (1, 1));
    memory.wait(millis(10_001));
    assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::QueueLimit));
}

/// Answers what has reached other connections than this one. Says what that was.
fn answered_by_others(memory: &mut Memory, mute: ConnId) -> Vec<String> {
    let mut paths = Vec::new();
    for backend in memory.backends().into_iter().filter(|&backend| backend != mute) {
        for (stream, request) in requests(memory, backend) {
            memory.backend(backend).send_response(stream, &ok(), true).expect("an open stream");
            paths.push(request.uri().path().to_owned());
        }
    }
    memory.settle();
    paths
}

/// What a backend has allowed holds on a new connection only until that is late: then nobody else is put on it, and who is there is tried elsewhere as soon
/// as it has failed, where that is safe.
#[test]
fn a_backend_that_never_says_what_it_allows_keeps_nobody_for_long() {
    for method in [Method::GET, Method::POST] {
        let mut memory = silent(9001..=9002);
        memory.hold_connects = false;
        let client = memory.connect(ConnectionConfig::default());
        ask(&mut memory, client, "/before");
        assert_eq!(answer_all(&mut memory), ["/before"]);
        memory.kill(memory.backends()[0]);
        memory.mute_backends = true;
        let uri = "http://example.com/first";
        let first = Request::builder().method(method.clone()).uri(uri).body(()).expect("a request");
        memory.client(client).send_request(&first, true).expect("a slot");
        memory.settle();
        assert_eq!((memory.gateway.view().live, memory.dials.clone()), (1, dials(&[9001, 9001])));
        let mute = memory.backends()[0];
        memory.sent_to(mute);
        memory.mute_backends = false;
        memory.wait(millis(501));
        for n in 0..20 {
            let path = format!("/{n}");
            ask(&mut memory, client, &path);
            assert_eq!(answered_by_others(&mut memory, mute), [path]);
        }
        assert_eq!(memory.sent_to(mute), b"", "nothing more");
        memory.wait(millis(10_000));
        let again = answered_by_others(&mut memory, mute);
        let last = memory.records.last().expect("a record");
        let told = (last.outcome, last.attempts, last.maybe_executed);
        if method == Method::GET {
            assert_eq!((&again[..], told), (&["/first".to_owned()][..], (Outcome::Complete, 2, 1)));
        } else {
            let timeout = Outcome::LocalReply(Cause::ConnectionTimeout);
            assert_eq!((&again[..], told), (&[][..], (timeout, 1, 1)));
        }
        assert_eq!(memory.gateway.view().requests, 0);
    }
}

/// Of one that could not be dialled when that was tried last nothing is assumed.
#[test]
fn nothing_is_sent_to_a_backend_in_doubt_before_it_has_said_what_it_allows() {
    let mut memory = silent(9001..=9001);
    memory.reconfigure(|config| config.upstreams[0].assumed_streams = 100);
    memory.hold_connects = false;
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/before");
    assert_eq!(answer_all(&mut memory), ["/before"]);
    memory.dead = Some(address(9001));
    memory.kill(memory.backends()[0]);
    ask(&mut memory, client, "/refused");
    assert_eq!(memory.records.len(), 2);
    (memory.dead, memory.mute_backends) = (None, true);
    memory.wait(millis(1_001));
    ask(&mut memory, client, "/waits");
    assert_eq!((memory.gateway.view().live, memory.gateway.view().frozen), (0, 1));
    let backend = memory.backends()[0];
    memory.inject(backend, &[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    assert_eq!((memory.gateway.view().live, memory.gateway.view().frozen), (1, 0));
}
