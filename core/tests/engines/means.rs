//! What a connection to a backend takes of the system: descriptors, ports, memory.

use shuntyard_core::config::{ConnectionConfig, EndpointConfig, Host, Protocol, Saturation, Scope};
use shuntyard_core::gateway::{Command, EndpointState};
use shuntyard_core::key::ConnId;
use shuntyard_core::record::{Cause, Doing, Outcome};
use shuntyard_core::time::Duration;

use crate::endpoints::address;
use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, events, get};

/// Each request has a connection of its own.
fn one_each(protocol: Protocol) -> Memory {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints[0].protocol = protocol;
        config.upstreams[0].share = Scope::None;
        (config.upstreams[0].connections_max, config.upstreams[0].http1_connections_max) = (1000, 1000);
    });
    memory.mute_backends = protocol == Protocol::Http1;
    memory
}

/// So many requests, of as many clients.
fn ask_all(memory: &mut Memory, count: usize) -> Vec<ConnId> {
    let asks = |_| {
        let client = memory.connect(ConnectionConfig::default());
        ask(memory, client, "/");
        client
    };
    (0..count).map(asks).collect()
}

fn status(memory: &mut Memory, client: ConnId) -> Option<u16> {
    use shuntyard_core::h2::ClientEvent;
    events(memory, client).iter().find_map(|event| match event {
        ClientEvent::Response { response, .. } => Some(response.status().as_u16()),
        _ => None,
    })
}

/// Dials that were ordered before go on to succeed: that is no reason for all who wait to dial again, each time.
#[test]
fn where_the_system_has_nothing_it_is_not_asked_again_and_again() {
    const STAND: usize = 20;
    const WAIT: usize = 50;
    for protocol in [Protocol::Http2, Protocol::Http1] {
        let mut memory = one_each(protocol);
        memory.hold_connects = true;
        ask_all(&mut memory, STAND);
        assert_eq!(memory.dials.len(), STAND);
        memory.exhausted = true;
        ask_all(&mut memory, WAIT);
        for _ in 0..STAND {
            memory.release_connect();
        }
        assert!(memory.dials.len() <= STAND + WAIT, "{} dials of {protocol:?}", memory.dials.len());
        assert_eq!((memory.records.len(), memory.gateway.view().frozen), (0, WAIT));
        // It is tried again from time to time, and only tried.
        let before = memory.dials.len();
        memory.wait(Duration::from_secs(1));
        let tried = memory.dials.len() - before;
        assert!((9..=10).contains(&tried), "{tried} dials in a second");
        memory.exhausted = false;
        memory.hold_connects = false;
        memory.wait(Duration::from_millis(100));
        assert_eq!((memory.dials.len() - before - tried, memory.gateway.view().frozen), (WAIT, 0));
    }
}

/// The endpoint has not failed: it was never asked.
#[test]
fn what_the_system_lacks_is_the_gateways_doing() {
    let mut memory = one_each(Protocol::Http2);
    memory.exhausted = true;
    let client = ask_all(&mut memory, 1)[0];
    let of = &memory.gateway.snapshot(0, memory.now).upstreams[0].endpoints[0];
    assert_eq!(of.state, EndpointState::Ready);
    let failed: Vec<_> = of.counters.dials_failed.iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(failed, [(Cause::SystemLimit, 1)]);
    let patience = memory.config().upstreams[0].queue_timeout;
    memory.wait(patience);
    assert_eq!(status(&mut memory, client), Some(503));
    assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::SystemLimit));
    assert_eq!(Cause::SystemLimit.doing(), Doing::Gateway);
}

/// Ports are of an address: where one has none left, or the system cannot reach its kind at all, another is tried at once.
#[test]
fn another_address_may_have_what_one_has_not() {
    let mut memory = Memory::new(|config| {
        let host = Host::Name { name: "backend.example".into(), port: 9000 };
        config.upstreams[0].endpoints = vec![EndpointConfig { host, protocol: Protocol::Http2, tls: None }];
        config.upstreams[0].share = Scope::None;
        config.upstreams[0].connections_max = 1000;
    });
    memory.settle();
    let (name, port) = memory.lookups[0].clone();
    let addresses = vec![address(1), address(2)];
    memory.gateway.handle_command(Command::Resolved { name, port, addresses }, memory.now);
    memory.portless = Some(address(1));
    for client in ask_all(&mut memory, 20) {
        answer_all(&mut memory);
        assert_eq!(status(&mut memory, client), Some(200));
    }
}

/// Who does not wait for a connection does not wait for what one takes either.
#[test]
fn who_is_refused_where_all_is_taken_is_refused_where_the_system_has_nothing() {
    let mut memory = Memory::new(|config| config.upstreams[0].on_saturation = Saturation::Refuse);
    memory.exhausted = true;
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get("/"), true).expect("a slot");
    memory.settle();
    assert_eq!(status(&mut memory, client), Some(503));
}

/// Clients with engines of their own have none to dial with either: one of them tries for all.
#[test]
fn one_tries_for_all_clients() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].share = Scope::Client;
        config.upstreams[0].connections_max = 1000;
    });
    memory.exhausted = true;
    let clients = ask_all(&mut memory, 30);
    let before = memory.dials.len();
    assert_eq!(before, 1, "the others know");
    memory.wait(Duration::from_secs(1));
    assert!(memory.dials.len() - before <= 10, "{} dials", memory.dials.len());
    memory.exhausted = false;
    memory.wait(Duration::from_millis(100));
    assert_eq!(answer_all(&mut memory).len(), clients.len());
    for client in clients {
        assert_eq!(status(&mut memory, client), Some(200));
    }
}
