//! What all clients share, and what one of them may have of it.

use shuntyard_core::config::{ConnectionConfig, HostPattern, Protocol, Saturation};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::ClientEvent;
use shuntyard_core::key::ConnId;
use shuntyard_core::record::{Cause, Outcome};
use shuntyard_core::time::Duration;

use crate::is_answered_within_a_second;
use crate::memory::Memory;
use crate::memory::talk::{answer_with, ask, content, events, get, post, requests};
use crate::wire::window_update;

/// One that is opened by a window of no octet.
fn shut() -> ConnectionConfig {
    ConnectionConfig { initial_window_size: 0, ..ConnectionConfig::default() }
}

fn held_by_heads(memory: &Memory) -> u64 {
    memory.gateway.snapshot(0, memory.now).heads.0
}

fn promised(memory: &Memory) -> u64 {
    memory.gateway.snapshot(0, memory.now).ledger.0
}

/// Every request that has come is answered 405.
fn refuse_all(memory: &mut Memory) -> usize {
    let refused = http::Response::builder().status(405).body(()).expect("a response");
    let mut answered = 0;
    for backend in memory.backends() {
        for (stream, _) in requests(memory, backend) {
            memory.backend(backend).send_response(stream, &refused, true).expect("an open stream");
            answered += 1;
        }
    }
    memory.settle();
    answered
}

fn is_gone(memory: &mut Memory, client: ConnId) -> bool {
    memory.closed.contains(&client) || memory.client(client).has_failed()
}

/// A POST that is never ended is answered at once, as by 404 or 405, and taken back from its backend. The client pays for that as for its own resets.
#[test]
fn uploads_that_are_answered_early_are_paid_for() {
    for replaced in [vec![], vec![405]] {
        answered_early(replaced);
    }
}

/// The same whether the gateway's own content stands in place of the backend's.
fn answered_early(replaced: Vec<u16>) {
    let mut memory = Memory::new(|config| config.routes[0].replace_errors = replaced);
    let attacker = memory.connect(ConnectionConfig::default());
    memory.settle();
    let mut taken_back = 0;
    while taken_back < 1_000 && !is_gone(&mut memory, attacker) {
        let Ok(_) = memory.client(attacker).send_request(&post("/refused"), false) else { break };
        memory.settle();
        taken_back += refuse_all(&mut memory);
        events(&mut memory, attacker);
    }
    // A frame of content that no window cut short pays twelve points back.
    assert!((160..=210).contains(&taken_back), "{taken_back} requests");
    let bystander = memory.connect_from(2, ConnectionConfig::default());
    ask(&mut memory, bystander, "/bystander");
    assert!(is_answered_within_a_second(&mut memory, "/bystander"));
}

/// Over HTTP/1.1 each of them costs a backend its connection.
#[test]
fn uploads_that_cost_connections_are_paid_for() {
    let mut memory = Memory::new(|config| config.upstreams[0].endpoints[0].protocol = Protocol::Http1);
    memory.mute_backends = true;
    let attacker = memory.connect(ConnectionConfig::default());
    memory.settle();
    let mut cost = 0;
    while cost < 1_000 && !is_gone(&mut memory, attacker) {
        let Ok(_) = memory.client(attacker).send_request(&post("/refused"), false) else { break };
        memory.settle();
        for backend in memory.backends() {
            memory.inject(backend, b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n");
            memory.shut(backend);
            cost += 1;
        }
        events(&mut memory, attacker);
    }
    assert!((160..=170).contains(&cost), "{cost} connections");
}

/// Who sends what was asked for owes nothing, however early it is answered.
#[test]
fn content_pays_for_answers_before_its_end() {
    let mut memory = Memory::new(|config| config.upstreams[0].endpoints[0].protocol = Protocol::Http1);
    memory.mute_backends = true;
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    for n in 0..1_000 {
        let stream = memory.client(client).send_request(&post("/busy"), false).expect("a slot");
        memory.client(client).send_data(stream, &[7; 16_000], false).expect("an open stream");
        memory.settle();
        for backend in memory.backends() {
            memory.inject(backend, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
            memory.shut(backend);
        }
        assert!(!events(&mut memory, client).is_empty(), "request {n}");
        assert!(!is_gone(&mut memory, client), "request {n}");
    }
}

/// What is discarded pays for nothing: the answer was there before it came.
#[test]
fn content_that_is_thrown_away_pays_for_no_resets() {
    let mut memory = Memory::new(|config| config.routes[0].host = HostPattern::Exact("example.com".into()));
    let attacker = memory.connect(ConnectionConfig::default());
    memory.settle();
    let mut taken_back = 0;
    while taken_back < 1_000 && !is_gone(&mut memory, attacker) {
        let nowhere = http::Request::post("http://nowhere/").body(()).expect("a request");
        let Ok(waste) = memory.client(attacker).send_request(&nowhere, false) else { break };
        let Ok(stream) = memory.client(attacker).send_request(&get("/"), true) else { break };
        let _ = memory.client(attacker).send_data(waste, &[7; 16_000], true);
        memory.client(attacker).reset(stream, ErrorCode::CANCEL);
        memory.settle();
        events(&mut memory, attacker);
        taken_back += 1;
    }
    assert!(taken_back < 400, "{taken_back} requests were taken back");
}

/// An answer of the gateway waits for nobody: where its client takes no content, it has none, and its request holds nothing.
#[test]
fn answers_that_nobody_takes_hold_no_memory() {
    let mut memory = Memory::new(|config| config.routes[0].host = HostPattern::Exact("example.com".into()));
    let attacker = memory.connect(shut());
    memory.settle();
    for _ in 0..100 {
        let request = http::Request::get("http://nowhere/").header("cookie", "c".repeat(1_500));
        let request = request.body(()).expect("a request");
        memory.client(attacker).send_request(&request, true).expect("a slot");
    }
    memory.settle();
    assert_eq!(held_by_heads(&memory), 0);
    assert_eq!(memory.records.len(), 100);
    assert!(memory.records.iter().all(|record| record.outcome == Outcome::LocalReply(Cause::NoRoute)));
    // It is whole, as far as it goes.
    assert_eq!(events(&mut memory, attacker).len(), 100);
}

/// Widens every stream's window by an octet.
fn trickle(memory: &mut Memory, client: ConnId, streams: u32) {
    let frames: Vec<_> = (0..streams).map(|n| window_update(2 * n + 1, 1)).collect();
    memory.inject(client, &frames.concat());
}

/// An octet now and then is no progress: the memory of responses is not held by it.
#[test]
fn who_takes_an_octet_a_minute_stands_still() {
    let mut memory = Memory::new(|_| {});
    let attacker = memory.connect(shut());
    memory.settle();
    for n in 0..50 {
        ask(&mut memory, attacker, &format!("/{n}"));
    }
    assert_eq!(answer_with(&mut memory, 60_000), 50);
    assert!(promised(&memory) > 50 * 50_000);
    for _ in 0..2 {
        trickle(&mut memory, attacker, 50);
        for _ in 0..50 {
            memory.wait(Duration::from_secs(1));
            // It is asked whether it is there.
            answer_with(&mut memory, 0);
        }
    }
    assert_eq!(promised(&memory), 0, "a period is enough to see that");
    let outcomes: Vec<_> = memory.records.iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::Truncated(Cause::StreamIdle); 50]);
}

/// What is taken at 16 KiB a minute goes on, as long as that takes.
#[test]
fn who_takes_enough_of_a_response_is_served() {
    let mut memory = Memory::new(|_| {});
    let client =
        memory.connect(ConnectionConfig { initial_window_size: 16_500, ..ConnectionConfig::default() });
    memory.settle();
    ask(&mut memory, client, "/large");
    assert_eq!(answer_with(&mut memory, 60_000), 1);
    let mut had = 0;
    for _ in 0..4 {
        for event in events(&mut memory, client) {
            if let ClientEvent::Data { stream, data, credit, .. } = event {
                had += data.len();
                memory.client(client).release(stream, credit);
            }
        }
        memory.settle();
        memory.wait(Duration::from_secs(55));
    }
    assert_eq!(had, 60_000);
    assert_eq!(memory.records[0].outcome, Outcome::Complete);
}

/// More connections than one, from one address, do not have the last of the memory for responses; and what they give back serves those of them that wait.
#[test]
fn a_client_does_not_take_the_last_of_the_ledger() {
    let mut memory = Memory::new(|config| {
        config.ledger_octets = 64 << 16;
        config.upstreams[0].on_saturation = Saturation::Queue;
        config.upstreams[0].queue_timeout = Duration::from_secs(100);
    });
    let connections: Vec<_> = (0..16).map(|_| memory.connect(shut())).collect();
    memory.settle();
    for &client in &connections {
        for n in 0..5 {
            ask(&mut memory, client, &format!("/{n}"));
        }
    }
    let held = promised(&memory);
    let windows = (held / 65_535) as usize;
    assert!((47..=50).contains(&windows), "{windows} of 64");
    let other = memory.connect_from(2, ConnectionConfig::default());
    memory.settle();
    ask(&mut memory, other, "/other");
    assert_eq!(answer_with(&mut memory, 10_000), windows + 1, "the other one's, too");
    assert_eq!(content(&events(&mut memory, other)).0.len(), 10_000);
    // Those whose windows stay shut are over after a while, and who waited for them has its turn.
    for _ in 0..4 {
        memory.wait(Duration::from_secs(30));
        answer_with(&mut memory, 10);
    }
    let refused = memory.records.iter().filter(|record| record.status == 503).count();
    assert_eq!(refused, 0, "nobody waited in vain");
}

/// Whoever's memory it was that is free: who waits for some has it.
#[test]
fn memory_of_others_ends_the_wait() {
    let mut memory = Memory::new(|config| {
        config.ledger_octets = 64 * 65_535;
        config.upstreams[0].on_saturation = Saturation::Queue;
    });
    let other = memory.connect_from(2, ConnectionConfig::default());
    let slow = memory.connect(ConnectionConfig::default());
    memory.settle();
    let theirs: Vec<_> = (0..32).map(|n| ask(&mut memory, other, &format!("/theirs/{n}"))).collect();
    for n in 0..17 {
        ask(&mut memory, slow, &format!("/slow/{n}"));
    }
    assert_eq!((memory.gateway.view().live, memory.gateway.view().frozen), (49, 0));
    // All the same client: one of them takes its request back again.
    let [gone, waits] = [(); 2].map(|()| memory.connect(ConnectionConfig::default()));
    memory.settle();
    let stream = ask(&mut memory, gone, "/gone");
    ask(&mut memory, waits, "/waits");
    assert_eq!(memory.gateway.view().frozen, 2, "seventeen of the thirty-two that were left are the most");
    memory.client(gone).reset(stream, ErrorCode::CANCEL);
    memory.settle();
    assert_eq!(memory.gateway.view().frozen, 1);
    for stream in theirs.into_iter().take(2) {
        memory.client(other).reset(stream, ErrorCode::CANCEL);
        memory.settle();
    }
    assert_eq!(memory.gateway.view().frozen, 0);
}

/// However many connections of a client that has too much already wait: they take nobody else's turn.
#[test]
fn who_has_too_much_has_one_turn_among_the_others() {
    let mut memory = Memory::new(|config| {
        config.ledger_octets = 64 * 65_535;
        config.upstreams[0].on_saturation = Saturation::Queue;
    });
    let slow = memory.connect(ConnectionConfig::default());
    memory.settle();
    for n in 0..49 {
        ask(&mut memory, slow, &format!("/slow/{n}"));
    }
    assert_eq!((memory.gateway.view().live, memory.gateway.view().frozen), (49, 0));
    for _ in 0..80 {
        let idle = memory.connect(ConnectionConfig::default());
        memory.settle();
        let stream = ask(&mut memory, idle, "/idle");
        assert_eq!(memory.gateway.view().frozen, 1);
        memory.client(idle).reset(stream, ErrorCode::CANCEL);
        memory.settle();
    }
    let [has, waits] = [(); 2].map(|()| memory.connect_from(2, ConnectionConfig::default()));
    memory.settle();
    let theirs: Vec<_> = (0..8).map(|n| ask(&mut memory, has, &format!("/theirs/{n}"))).collect();
    ask(&mut memory, waits, "/waits");
    assert_eq!((memory.gateway.view().live, memory.gateway.view().frozen), (57, 1));
    for stream in theirs {
        memory.client(has).reset(stream, ErrorCode::CANCEL);
        memory.settle();
    }
    assert_eq!((memory.gateway.view().live, memory.gateway.view().frozen), (50, 0));
}
