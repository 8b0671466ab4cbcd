//! Memory and windows: who gets more, who gives back, and who merely waits for others.

use http::Request;
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::counters::Limit;
use shuntyard_core::h2::{ClientEvent, StreamKey};
use shuntyard_core::key::ConnId;
use shuntyard_core::record::{Cause, Outcome};
use shuntyard_core::time::Duration;

use crate::memory::Memory;
use crate::memory::talk::{ask, events, ok, post, requests};

const FIRST_WINDOW: u64 = 65_535;

fn roomy() -> ConnectionConfig {
    ConnectionConfig {
        initial_window_size: 1 << 30,
        connection_window_size: 1 << 30,
        ..ConnectionConfig::default()
    }
}

/// A response that has begun.
fn begun(memory: &mut Memory, client: ConnId, path: &str) -> (StreamKey, ConnId, StreamKey) {
    let stream = ask(memory, client, path);
    let backend = memory.backends()[0];
    let (at, _) = requests(memory, backend)[0];
    memory.backend(backend).send_response(at, &ok(), false).expect("an open stream");
    (stream, backend, at)
}

/// The client takes all that is there. Says how many octets that were.
fn take(memory: &mut Memory, client: ConnId, stream: StreamKey) -> usize {
    let mut octets = 0;
    for backend in memory.backends() {
        requests(memory, backend);
    }
    memory.settle();
    for event in events(memory, client) {
        if let ClientEvent::Data { data, credit, .. } = event {
            octets += data.len();
            memory.client(client).release(stream, credit);
        }
    }
    memory.settle();
    octets
}

/// However much passes on it, a stream that is not held up by its window gets no larger one: its memory would be missed by requests to come.
#[test]
fn b44_what_comes_slowly_needs_no_larger_window() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(roomy());
    let (stream, backend, at) = begun(&mut memory, client, "/watch");
    for _ in 0..200 {
        memory.backend(backend).send_data(at, &[7; 10_000], false).expect("an open stream");
        assert_eq!(take(&mut memory, client, stream), 10_000);
        memory.wait(Duration::from_millis(100));
    }
    assert_eq!(memory.gateway.view().reserved_octets, FIRST_WINDOW);
    // Then it comes fast.
    for _ in 0..20 {
        memory.backend(backend).send_data(at, &[7; 60_000], false).expect("an open stream");
        let mut octets = 0;
        while octets < 60_000 {
            octets += take(&mut memory, client, stream);
        }
    }
    assert!(memory.gateway.view().reserved_octets > FIRST_WINDOW);
}

#[test]
fn b44_f39_windows_that_grow_leave_half_of_the_memory_to_requests_to_come() {
    let mut memory = Memory::new(|config| config.ledger_octets = 2 << 20);
    let clients: Vec<_> = (0..4).map(|_| memory.connect(roomy())).collect();
    let mut streams = Vec::new();
    for &client in &clients {
        streams.push(begun(&mut memory, client, "/fast"));
    }
    for _ in 0..200 {
        for (&client, &(stream, backend, at)) in clients.iter().zip(&streams) {
            memory.backend(backend).send_data(at, &[7; 30_000], false).expect("an open stream");
            take(&mut memory, client, stream);
        }
    }
    let reserved = memory.gateway.view().reserved_octets;
    assert!((5 * FIRST_WINDOW..=1 << 20).contains(&reserved), "{reserved}");
    // As many as there is memory for are thawed.
    for n in 0..15 {
        let client = memory.connect_from(10 + n, ConnectionConfig::default());
        ask(&mut memory, client, &format!("/{n}"));
    }
    assert_eq!(memory.gateway.view().frozen, 0);
}

/// So do those of one client, of its share: it asks for more beside what it takes fast. What it may not have yet is counted.
#[test]
fn b44_windows_that_grow_leave_half_of_a_share_to_further_requests() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(roomy());
    let streams: Vec<_> = (0..6).map(|n| begun(&mut memory, client, &format!("/fast/{n}"))).collect();
    for _ in 0..400 {
        for &(stream, backend, at) in &streams {
            memory.backend(backend).send_data(at, &[7; 30_000], false).expect("an open stream");
            take(&mut memory, client, stream);
        }
    }
    let share = memory.config().ledger_front_octets;
    let reserved = memory.gateway.view().reserved_octets;
    assert!((share / 4..=share / 2).contains(&reserved), "{reserved}");
    let limit = |memory: &Memory| memory.gateway.snapshot(0, memory.now).limits[Limit::Share as usize];
    for n in 0..40 {
        ask(&mut memory, client, &format!("/{n}"));
    }
    assert_eq!((memory.gateway.view().frozen, limit(&memory)), (0, 0));
    for n in 0..40 {
        ask(&mut memory, client, &format!("/more/{n}"));
    }
    assert!(memory.gateway.view().frozen > 0 && limit(&memory) == 1);
}

/// A response behind others on its connection is not ended for that, as long as its client takes those.
#[test]
fn b65_a_response_that_waits_for_its_turn_is_not_late() {
    let mut memory = Memory::new(|config| config.timeouts.stream_idle = Duration::from_secs(1_000));
    let client = memory.connect(ConnectionConfig {
        initial_window_size: 1 << 30,
        connection_window_size: 65_535,
        ..ConnectionConfig::default()
    });
    let mut ask_with_priority = |path: &str| {
        let request = Request::get(format!("http://example.com{path}")).header("priority", "u=3").body(());
        let stream = memory.client(client).send_request(&request.expect("a request"), true).expect("a slot");
        memory.settle();
        stream
    };
    let first = ask_with_priority("/first");
    ask_with_priority("/second");
    let backend = memory.backends()[0];
    for (at, _) in requests(&mut memory, backend) {
        memory.backend(backend).send_response(at, &ok(), false).expect("an open stream");
        memory.backend(backend).send_data(at, &[7; 4 << 20], true).expect("an open stream");
    }
    // A frame in ten seconds: the first takes all of that.
    let mut credits = std::collections::VecDeque::new();
    let mut seconds = 0;
    let mut pass = |memory: &mut Memory, takes: bool| {
        memory.settle();
        requests(memory, backend);
        memory.settle();
        for event in events(memory, client) {
            match event {
                ClientEvent::Data { credit, stream, .. } => credits.push_back((stream, credit)),
                ClientEvent::Reset { .. } => {}
                _ => {}
            }
        }
        if takes && seconds % 10 == 0 {
            // Windows are told of once half of them is owed.
            for (stream, credit) in credits.drain(..) {
                memory.client(client).release(stream, credit);
            }
        }
        seconds += 1;
        memory.wait(Duration::from_secs(1));
    };
    for _ in 0..300 {
        pass(&mut memory, true);
    }
    assert_eq!(memory.records.len(), 0, "{:?}", memory.records.first().map(|record| record.outcome));
    // Its client takes nothing any more: all that waits ends.
    for _ in 0..130 {
        if memory.records.len() < 2 {
            pass(&mut memory, false);
        }
    }
    let outcomes: Vec<_> = memory.records.iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::Truncated(Cause::StreamIdle); 2]);
    let _ = first;
}

/// What a request's content has needed is another's once it has left, however long the response takes.
#[test]
fn memory_for_content_that_has_left_is_given_back() {
    let mut memory = Memory::new(|config| config.upload_ledger_octets = FIRST_WINDOW);
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..5 {
        let stream = memory.client(client).send_request(&post(&format!("/{n}")), false).expect("a slot");
        memory.client(client).send_data(stream, b"content", true).expect("an open stream");
        memory.settle();
    }
    assert_eq!(memory.gateway.view().live, 5);
    let snapshot = memory.gateway.snapshot(10, memory.now);
    assert_eq!(snapshot.limits[Limit::UploadLedger as usize], 0);
}
