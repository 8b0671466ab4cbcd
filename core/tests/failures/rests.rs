//! How long an endpoint rests that could not be dialled, while it serves, and who hears of the end.

use core::time::Duration;

use http::Method;
use shuntyard_core::config::{Config, ConnectionConfig, EndpointConfig, Host, Scope};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::EndpointState;
use shuntyard_core::key::ConnId;

use crate::memory::Memory;
use crate::memory::talk::{answer_all, events, ok, requests};
use crate::support::{send, with_client};
use crate::wire::{goaway, settings, settings_ack};

/// How the first endpoint stands.
fn state(memory: &Memory) -> EndpointState {
    memory.gateway.snapshot(100, memory.now).upstreams[0].endpoints[0].state
}

/// A gateway that is to keep two connections, of which one stands, and whose next dials are refused.
fn with_half_of_two() -> (Memory, ConnId) {
    let (mut memory, client) = with_client(|config| config.upstreams[0].connections_min = 2);
    memory.hold_connects = true;
    memory.wait(Duration::from_secs(1));
    memory.settle();
    memory.refuse = true;
    memory.release_connects();
    let one = memory.backends()[0];
    for other in memory.backends().into_iter().filter(|&other| other != one) {
        memory.kill(other);
    }
    (memory, client)
}

/// So many seconds, in each of which ten requests are answered.
fn serve(memory: &mut Memory, client: ConnId, seconds: u32) {
    for _ in 0..10 * seconds {
        send(memory, client, Method::GET, "/", b"");
        assert_eq!(answer_all(memory), ["/"]);
        events(memory, client);
        memory.wait(Duration::from_millis(100));
    }
}

/// Whoever serves is there: it is asked again after a second, and not after thirty; nor is it dialled with each answer.
#[test]
fn an_endpoint_that_serves_rests_for_a_second_at_most() {
    let (mut memory, client) = with_half_of_two();
    let before = memory.dials.len();
    serve(&mut memory, client, 60);
    let dials = memory.dials.len() - before;
    assert!((50..=61).contains(&dials), "{dials} dials in a minute");
    memory.refuse = false;
    serve(&mut memory, client, 2);
    assert_eq!((memory.backends().len(), state(&memory)), (2, EndpointState::Ready));
}

/// Who serves nobody rests as before: one, two, four, eight, sixteen and thirty seconds.
#[test]
fn an_endpoint_that_serves_nobody_rests_longer_each_time() {
    let (mut memory, _) = with_half_of_two();
    let before = memory.dials.len();
    memory.wait(Duration::from_secs(60));
    assert!((4..=6).contains(&(memory.dials.len() - before)), "{} dials in a minute", memory.dials.len());
}

/// Its connections say that they go as soon as they stand.
fn end_in_vain(memory: &mut Memory, conns: impl IntoIterator<Item = ConnId>) {
    for conn in conns {
        memory.inject(conn, &[settings(&[]), settings_ack(), goaway(0, ErrorCode::NO_ERROR)].concat());
        memory.kill(conn);
    }
}

/// Its connections have ended in vain, until one serves somebody.
#[test]
fn an_endpoint_whose_connections_ended_in_vain_is_used_again_once_one_serves() {
    let (mut memory, client) = with_client(|config| config.upstreams[0].connections_min = 2);
    memory.mute_backends = true;
    memory.settle();
    let mut rests = 0;
    while rests < 4 {
        let was = state(&memory);
        let conns = memory.backends();
        end_in_vain(&mut memory, conns);
        rests += u32::from(state(&memory) != was && state(&memory) == EndpointState::Resting);
        memory.wait(Duration::from_millis(1));
    }
    memory.mute_backends = false;
    memory.wait(Duration::from_secs(1));
    assert_eq!(state(&memory), EndpointState::Resting, "for eight seconds");
    // A request that comes is worth a try.
    send(&mut memory, client, Method::GET, "/", b"");
    assert_eq!((memory.backends().len(), state(&memory)), (1, EndpointState::Resting));
    assert_eq!(answer_all(&mut memory), ["/"]);
    assert_eq!((memory.backends().len(), state(&memory)), (2, EndpointState::Ready));
}

/// Two clients with engines of their own, and an endpoint beside the first of which nobody knows yet where it is.
fn clients_apart(config: &mut Config) {
    let unknown = Host::Name { name: "backend.example".into(), port: 80 };
    let other = EndpointConfig { host: unknown, ..config.upstreams[0].endpoints[0].clone() };
    config.upstreams[0].endpoints.push(other);
    config.upstreams[0].share = Scope::Client;
}

/// Whoever waits for the end of the rest hears of it.
#[test]
fn who_waits_for_an_endpoint_hears_that_it_serves() {
    let (mut memory, client) = with_client(clients_apart);
    send(&mut memory, client, Method::GET, "/slow", b"");
    let stands = memory.backends()[0];
    send(&mut memory, client, Method::GET, "/quick", b"");
    let asked = requests(&mut memory, stands);
    assert_eq!(asked.len(), 2);
    let waits = memory.connect(ConnectionConfig::default());
    memory.refuse = true;
    send(&mut memory, waits, Method::GET, "/waits", b"");
    // It was dialled now, in one second and in three, and would be in seven.
    memory.wait(Duration::from_millis(4500));
    assert_eq!((memory.dials.len(), memory.gateway.view().frozen), (4, 1));
    memory.refuse = false;
    memory.backend(stands).send_response(asked[1].0, &ok(), true).expect("open");
    memory.settle();
    assert_eq!((memory.dials.len(), memory.gateway.view().frozen), (5, 0));
}

/// What is sent away by a new configuration has not served for that.
#[test]
fn connections_that_are_sent_away_do_not_make_up_for_those_that_ended_in_vain() {
    for sent_away in [false, true] {
        let (mut memory, _) = with_client(|config| config.upstreams[0].connections_min = 2);
        let keep = |memory: &mut Memory, count| {
            memory.reconfigure(|config| {
                (config.upstreams[0].connections_min, config.upstreams[0].connections_max) = (count, count);
            });
        };
        keep(&mut memory, 2);
        memory.wait(Duration::from_secs(1));
        let mut stands = memory.backends()[0];
        memory.mute_backends = true;
        // The first of them has stood for a while.
        for n in 0..5 {
            assert_eq!((memory.backends().len(), state(&memory)), (2, EndpointState::Ready), "{n}");
            if n == 4 && sent_away {
                let new = memory.backends().into_iter().find(|&conn| conn != stands).expect("another");
                memory.inject(new, &[settings(&[]), settings_ack()].concat());
                keep(&mut memory, 1);
                memory.wait(Duration::from_secs(5));
                assert_eq!(memory.backends(), [new]);
                keep(&mut memory, 2);
                stands = new;
            }
            let others: Vec<_> = memory.backends().into_iter().filter(|&conn| conn != stands).collect();
            end_in_vain(&mut memory, others);
        }
        assert_eq!(state(&memory), EndpointState::Resting, "{sent_away}");
    }
}
