//! Clients that have been idle longest sleep, and nobody notices.

use http::Request;
use shuntyard_core::config::{ConnectionConfig, Scope};
use shuntyard_core::h2::ClientEvent;
use shuntyard_core::key::ConnId;
use shuntyard_core::time::Duration;

use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, events, get};

/// Who was heard less long ago does not sleep.
const AWAKE_MIN: Duration = Duration::from_millis(100);

/// A gateway that lets so many idle clients stay awake, and clients that have asked once.
fn asked_once(fronts_awake: u32, clients: usize, share: Scope) -> (Memory, Vec<ConnId>) {
    let mut memory = Memory::new(|config| {
        config.fronts_awake = fronts_awake;
        config.upstreams[0].share = share;
    });
    let clients = (0..clients).map(|_| memory.connect(ConnectionConfig::default())).collect::<Vec<_>>();
    for &client in &clients {
        asks(&mut memory, client, "/first");
    }
    (memory, clients)
}

fn asks(memory: &mut Memory, client: ConnId, path: &str) {
    memory.wait(AWAKE_MIN);
    let request = Request::get(format!("http://example.com{path}")).header("x-client", "one of many clients");
    let request = request.body(()).expect("a request");
    memory.client(client).send_request(&request, true).expect("a slot");
    memory.settle();
    assert_eq!(answer_all(memory), [path]);
    let heard = events(memory, client);
    assert!(matches!(heard[..], [ClientEvent::Response { end: true, .. }]), "{heard:?}");
}

#[test]
fn those_sleep_that_have_been_idle_longest() {
    let (mut memory, clients) = asked_once(3, 20, Scope::Worker);
    assert_eq!(memory.gateway.view().asleep, 17);
    for &client in &clients {
        asks(&mut memory, client, "/again");
        assert!((16..=17).contains(&memory.gateway.view().asleep), "{:?}", memory.gateway.view());
    }
    let (memory, _) = asked_once(20, 20, Scope::Worker);
    assert_eq!(memory.gateway.view().asleep, 0);
}

/// In scope `client` what belongs to a client stays: its engines, which others must not get.
#[test]
fn engines_of_a_client_wait_for_it() {
    for share in [Scope::Worker, Scope::Client, Scope::None] {
        let (mut memory, clients) = asked_once(0, 5, share);
        let dials = memory.dials.len();
        assert!(memory.gateway.view().asleep >= 3, "{:?}", memory.gateway.view());
        for &client in &clients {
            asks(&mut memory, client, "/again");
        }
        assert_eq!(memory.dials.len(), dials, "{share:?}");
    }
}

#[test]
fn whoever_has_something_under_way_stays_awake() {
    let (mut memory, clients) = asked_once(0, 4, Scope::Worker);
    ask(&mut memory, clients[0], "/waits");
    // Part of a frame: what comes next belongs to it.
    memory.inject(clients[1], &[0, 0, 8, 6]);
    for _ in 0..10 {
        memory.connect(ConnectionConfig::default());
        memory.settle();
        memory.wait(AWAKE_MIN);
    }
    let view = memory.gateway.view();
    // The last ones are looked at with those that fall idle next.
    assert!((3..=4).contains(&(view.fronts - view.asleep)), "{view:?}");
    memory.inject(clients[1], &[0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(answer_all(&mut memory), ["/waits"]);
    // Among them an answer to a PING that it has not sent.
    events(&mut memory, clients[1]);
    asks(&mut memory, clients[1], "/again");
}

#[test]
fn sleepers_hear_of_a_drain() {
    let (mut memory, clients) = asked_once(0, 3, Scope::Worker);
    assert!(memory.gateway.view().asleep > 0);
    let deadline = Duration::from_secs(5);
    memory.gateway.handle_command(shuntyard_core::gateway::Command::Drain { deadline }, memory.now);
    memory.settle();
    for &client in &clients {
        let heard = events(&mut memory, client);
        assert!(heard.iter().any(|event| matches!(event, ClientEvent::GoAway { .. })), "{heard:?}");
        assert!(memory.client(client).send_request(&get("/late"), true).is_err());
    }
}

/// To wake costs more than a frame: no peer can have it for each of its frames.
#[test]
fn who_was_heard_a_moment_ago_stays_awake() {
    let (mut memory, clients) = asked_once(0, 20, Scope::Worker);
    memory.wait(AWAKE_MIN);
    for &client in &clients {
        memory.inject(client, &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
    assert_eq!(memory.gateway.view().asleep, 0);
    for &client in &clients {
        events(&mut memory, client);
    }
    for _ in 0..3 {
        clients.iter().for_each(|&client| asks(&mut memory, client, "/again"));
    }
    assert!(memory.gateway.view().asleep >= 17, "{:?}", memory.gateway.view());
}

/// A client that wakes for a request that goes on is told when its connection is too old.
#[test]
fn who_has_slept_grows_old() {
    for fronts_awake in [0, 1, 2, 1000] {
        let mut memory = Memory::new(|config| {
            config.fronts_awake = fronts_awake;
            config.timeouts.front_age = Duration::from_secs(10);
        });
        let clients: Vec<_> = (0..4).map(|_| memory.connect(ConnectionConfig::default())).collect();
        clients.iter().for_each(|&client| asks(&mut memory, client, "/first"));
        clients.iter().for_each(|&client| asks(&mut memory, client, "/second"));
        assert_eq!(memory.gateway.view().asleep > 0, fronts_awake < 4, "{:?}", memory.gateway.view());
        for &client in &clients {
            ask(&mut memory, client, "/waits");
        }
        memory.wait(Duration::from_secs(12));
        for &client in &clients {
            let heard = events(&mut memory, client);
            let is_told = heard.iter().any(|event| matches!(event, ClientEvent::GoAway { .. }));
            assert!(is_told, "{fronts_awake} awake: {heard:?}");
        }
    }
}
