//! The queue of frozen requests: bounded, fair, without polling; and what happens when every engine is full.

use shuntyard_core::config::{ConnectionConfig, Saturation};
use shuntyard_core::frame;
use shuntyard_core::h2::ClientEvent;
use shuntyard_core::record::{Cause, Outcome};
use shuntyard_core::time::Duration;

use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, events, get, post};

/// RFC 9113 section 6.5.2.
const MAX_CONCURRENT_STREAMS: u16 = 3;

/// A gateway before one backend that allows so many streams.
fn saturated(policy: Saturation, streams: u32, connections: u32) -> Memory {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].on_saturation = policy;
        config.upstreams[0].connections_max = connections;
    });
    memory.backend_config.max_concurrent_streams = streams;
    memory
}

fn ask_many(memory: &mut Memory, count: usize) -> shuntyard_core::key::ConnId {
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..count {
        memory.client(client).send_request(&get(&format!("/{n}")), true).expect("a slot");
    }
    memory.settle();
    client
}

#[test]
fn b27_policy_dial_makes_as_many_engines_as_are_needed() {
    let mut memory = saturated(Saturation::Dial, 10, 16);
    ask_many(&mut memory, 100);
    let view = memory.gateway.view();
    assert_eq!((view.live, view.frozen, view.engines), (100, 0, 10));
}

#[test]
fn b27_policy_dial_stops_at_the_maximum() {
    let mut memory = saturated(Saturation::Dial, 10, 3);
    ask_many(&mut memory, 100);
    let view = memory.gateway.view();
    assert_eq!((view.live, view.frozen, view.engines), (30, 70, 3));
}

#[test]
fn b27_policy_queue_waits_for_the_one_connection() {
    let mut memory = saturated(Saturation::Queue, 10, 16);
    ask_many(&mut memory, 100);
    let view = memory.gateway.view();
    assert_eq!((view.live, view.frozen, view.engines), (10, 90, 1));
    for _ in 0..10 {
        assert_eq!(answer_all(&mut memory).len(), 10, "e8: as many are thawed as slots are freed");
    }
    assert_eq!(memory.dials.len(), 1);
}

#[test]
fn b27_policy_refuse_answers_503_and_serves_who_fits() {
    let mut memory = saturated(Saturation::Refuse, 10, 16);
    let client = ask_many(&mut memory, 100);
    let refused = events(&mut memory, client)
        .iter()
        .filter(|event| matches!(event, ClientEvent::Response { response, .. } if response.status() == 503))
        .count();
    assert_eq!(refused, 90);
    assert!(memory.records.iter().all(|record| record.outcome == Outcome::LocalReply(Cause::QueueLimit)));
    assert_eq!(answer_all(&mut memory).len(), 10);
    assert_eq!(memory.dials.len(), 1);
}

#[test]
fn b28_a_limit_that_changes_is_obeyed_without_further_events() {
    let mut memory = saturated(Saturation::Queue, 2, 1);
    memory.mute_backends = true;
    ask_many(&mut memory, 6);
    let backend = memory.backends()[0];
    let say = |memory: &mut Memory, limit: u32| {
        let mut settings = Vec::new();
        frame::put_settings(&mut settings, &[(MAX_CONCURRENT_STREAMS, limit)]);
        memory.inject(backend, &settings);
    };
    assert_eq!(memory.gateway.view().live, 0, "nothing is assumed before the SETTINGS");
    say(&mut memory, 2);
    assert_eq!(memory.gateway.view().live, 2);
    say(&mut memory, 4);
    assert_eq!(memory.gateway.view().live, 4, "raised: those that wait start at once");
    say(&mut memory, 0);
    let mut responses = Vec::new();
    for stream in [1, 3, 5, 7] {
        frame::put_field_block(&mut responses, stream, true, 16_384, |block| block.push(0x88));
    }
    memory.inject(backend, &responses);
    assert_eq!((memory.gateway.view().live, memory.gateway.view().frozen), (0, 2), "0: none is opened");
    memory.wait(Duration::from_secs(11));
    assert_eq!(memory.gateway.view().frozen, 0, "the queue's deadline applies");
    assert!(
        memory.records[4..].iter().all(|record| record.outcome == Outcome::LocalReply(Cause::QueueLimit))
    );
}

#[test]
fn the_queue_is_bounded() {
    let mut memory = saturated(Saturation::Queue, 1, 1);
    memory.reconfigure(|config| config.upstreams[0].queue_max = 5);
    ask_many(&mut memory, 1);
    let client = ask_many(&mut memory, 9);
    let refused = |event: &ClientEvent| matches!(event, ClientEvent::Response { response, .. } if response.status() == 503);
    assert_eq!(events(&mut memory, client).into_iter().filter(refused).count(), 5);
    assert_eq!((memory.gateway.view().queued, memory.records.len()), (4, 5), "one place is for others");
    let other = memory.connect_from(2, ConnectionConfig::default());
    ask(&mut memory, other, "/");
    ask(&mut memory, other, "/");
    assert_eq!((memory.gateway.view().queued, memory.records.len()), (5, 6));
    assert_eq!(events(&mut memory, other).into_iter().filter(refused).count(), 1);
}

/// However many connections a client has, it leaves places of a queue to others, and they to those who come after them.
#[test]
fn i3_f44_no_client_takes_all_places_of_a_queue() {
    let mut memory = saturated(Saturation::Queue, 1, 1);
    memory.reconfigure(|config| config.upstreams[0].queue_max = 32);
    ask_many(&mut memory, 1);
    for round in 0..2 {
        let mut queued = Vec::new();
        for (address, connections) in [(1, 4), (2, 1), (3, 1), (4, 1)] {
            for _ in 0..connections {
                let client = memory.connect_from(address, ConnectionConfig::default());
                (0..10).for_each(|n| _ = ask(&mut memory, client, &format!("/{n}")));
            }
            queued.push(memory.gateway.view().queued);
        }
        // Of the second half each has as many as it leaves.
        assert_eq!(queued, [24, 28, 30, 31], "round {round}");
        while memory.gateway.view().queued > 0 {
            answer_all(&mut memory);
        }
    }
}

#[test]
fn i3_f44_a_client_with_many_requests_does_not_starve_one_with_few() {
    let mut memory = saturated(Saturation::Queue, 2, 1);
    memory.reconfigure(|config| config.front.max_concurrent_streams = 1000);
    let greedy =
        memory.connect(ConnectionConfig { max_concurrent_streams_cap: 1000, ..ConnectionConfig::default() });
    memory.settle();
    while memory.client(greedy).poll_event().expect("a sound connection").is_some() {}
    for n in 0..1000 {
        memory.client(greedy).send_request(&get(&format!("/greedy/{n}")), true).expect("a slot");
    }
    memory.settle();
    let modest = ask_many(&mut memory, 10);
    let (mut rounds, mut served) = (0, 0);
    while served < 10 {
        answer_all(&mut memory);
        served += events(&mut memory, modest).len();
        rounds += 1;
        assert!(rounds <= 11, "two at a time, one of each client: {served} after {rounds} rounds");
    }
    assert!(memory.gateway.view().queued > 900);
}

#[test]
fn b22_b23_the_order_of_a_client_is_that_of_arrival() {
    let mut memory = saturated(Saturation::Queue, 1, 1);
    ask_many(&mut memory, 5);
    let order: Vec<String> = (0..5).flat_map(|_| answer_all(&mut memory)).collect();
    assert_eq!(order, ["/0", "/1", "/2", "/3", "/4"]);
}

#[test]
fn b35_t5_a_queue_of_frozen_requests_causes_no_wake_ups() {
    let mut memory = saturated(Saturation::Queue, 1, 1);
    ask_many(&mut memory, 50);
    let due = memory.gateway.poll_timeout().expect("the queue has a deadline");
    assert!(due >= memory.now + Duration::from_secs(10), "nothing is due before the queue's deadline");
    assert_eq!(memory.gateway.poll_action(), None);
    let before = memory.gateway.view();
    memory.gateway.handle_timeout(memory.now + Duration::from_secs(9));
    assert_eq!(memory.gateway.poll_action(), None);
    assert_eq!(memory.gateway.view(), before);
}

#[test]
fn b36_f13_a_request_is_given_to_a_running_engine_without_any_timer() {
    let mut memory = saturated(Saturation::Queue, 10, 1);
    let client = ask_many(&mut memory, 1);
    ask(&mut memory, client, "/pushed");
    assert_eq!((memory.gateway.view().live, memory.gateway.view().frozen), (2, 0));
}

#[test]
fn b50_an_upload_without_data_is_parked_and_goes_on_by_event() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    let stream = memory.client(client).send_request(&crate::memory::talk::post("/"), false).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    assert_eq!(crate::memory::talk::requests(&mut memory, backend).len(), 1);
    memory.client(client).send_data(stream, b"late", true).expect("an open stream");
    memory.settle();
    let event = memory.backend(backend).poll_event().expect("a sound connection");
    assert!(
        matches!(event, Some(shuntyard_core::h2::ServerEvent::Data { ref data, end: true, .. }) if &data[..] == b"late"),
        "{event:?}"
    );
}

#[test]
fn b28_a_backend_that_allows_no_stream_is_neither_given_up_nor_dialled_again_while_requests_wait() {
    let mut memory = saturated(Saturation::Dial, 1, 16);
    memory.mute_backends = true;
    memory.reconfigure(|config| {
        config.timeouts.backend_idle = Duration::from_millis(100);
        config.upstreams[0].queue_timeout = Duration::from_secs(5);
    });
    ask_many(&mut memory, 3);
    let backend = memory.backends()[0];
    let mut settings = Vec::new();
    frame::put_settings(&mut settings, &[(MAX_CONCURRENT_STREAMS, 0)]);
    memory.inject(backend, &settings);
    memory.wait(Duration::from_secs(4));
    assert_eq!((memory.dials.len(), memory.gateway.view().frozen), (1, 3));
    memory.wait(Duration::from_secs(2));
    assert_eq!(memory.records.len(), 3, "the queue's deadline applies");
}

#[test]
fn content_of_a_request_that_is_answered_here_is_not_kept() {
    let mut memory = saturated(Saturation::Queue, 1, 1);
    memory.reconfigure(|config| config.upstreams[0].queue_timeout = Duration::from_secs(5));
    let shut = ConnectionConfig { initial_window_size: 0, ..ConnectionConfig::default() };
    let client = memory.connect(shut);
    ask(&mut memory, client, "/live");
    let frozen = memory.client(client).send_request(&post("/frozen"), false).expect("a slot");
    memory.client(client).send_data(frozen, &[1; 30_000], false).expect("an open stream");
    memory.settle();
    assert!(memory.gateway.view().buffered_octets >= 30_000);
    memory.wait(Duration::from_secs(6));
    // The client's window leaves no room for what is said: then that is left out, and its request is over.
    let view = memory.gateway.view();
    assert_eq!((view.frozen, view.requests), (0, 1));
    assert!(view.buffered_octets < 1000, "{view:?}");
}
