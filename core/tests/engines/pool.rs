//! Engines that run out of requests: they are deregistered in one step, and their connections serve the next.

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::ServerEvent;
use shuntyard_core::time::Duration;

use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask};

#[test]
fn b31_b33_out_of_requests_and_deregistered_are_one_step() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/1");
    assert_eq!(memory.gateway.view().engines, 1);
    answer_all(&mut memory);
    let view = memory.gateway.view();
    assert_eq!((view.engines, view.backends), (0, 1), "the connection stays, with its session");
}

#[test]
fn b02_b34_the_next_request_adopts_the_connection() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..4 {
        ask(&mut memory, client, &format!("/{n}"));
        answer_all(&mut memory);
    }
    assert_eq!(memory.dials.len(), 1);
    let streams: Vec<_> = memory.attempts.iter().map(|attempt| attempt.stream_id).collect();
    assert_eq!(streams, [1, 3, 5, 7]);
}

#[test]
fn b04_an_idle_connection_says_goaway_before_it_closes() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/");
    answer_all(&mut memory);
    let backend = memory.backends()[0];
    let goaway = |memory: &mut Memory| {
        let events = std::iter::from_fn(|| memory.backend(backend).poll_event().expect("a sound connection"));
        events
            .filter(|event| matches!(event, ServerEvent::GoAway { error_code: ErrorCode::NO_ERROR, .. }))
            .count()
            > 0
    };
    assert!(!goaway(&mut memory));
    // Step by step: once the connection is closed nobody can be asked any more.
    let mut said = false;
    while !said && memory.closed.is_empty() {
        memory.wait(Duration::from_secs(1));
        said = goaway(&mut memory);
        assert!(memory.now.as_nanos() < 120_000_000_000, "no GOAWAY within two idle times");
    }
    assert!(said, "it was closed without a word");
    memory.wait(Duration::from_secs(10));
    assert_eq!(memory.gateway.view().backends, 0);
    // B19: whoever comes later finds a new engine.
    ask(&mut memory, client, "/later");
    assert_eq!(memory.dials.len(), 2);
}

#[test]
fn b78_an_idle_connection_that_is_gone_is_not_adopted() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/1");
    answer_all(&mut memory);
    let idle = memory.backends()[0];
    memory.kill(idle);
    ask(&mut memory, client, "/2");
    assert_eq!(answer_all(&mut memory), ["/2"]);
    assert_eq!(memory.dials.len(), 2);
}
