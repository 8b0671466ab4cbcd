//! Memory for what hooks and header rules add: promised like all else, and bounded where clients take nothing.

use bytes::Bytes;
use http::{Request, Response};
use shuntyard_core::config::{Config, ConnectionConfig, HeaderRule};
use shuntyard_core::fields::FieldSection;
use shuntyard_core::h2::ClientEvent;
use shuntyard_core::hooks::{Context, HeadMut, HookFailed, Hooks, OUTPUT_OCTETS, Verdict};
use shuntyard_core::key::ConnId;
use shuntyard_core::message::ResponseHead;
use shuntyard_core::record::{Cause, EndRecord, Outcome};
use shuntyard_core::time::Duration;

use crate::memory::Memory;
use crate::{get, requests};

/// Answers everything by itself, in the same way.
struct Answers(Response<Bytes>);

impl Hooks for Answers {
    fn arrived(&mut self, _: &Context<'_>, _: &FieldSection) -> Verdict {
        Verdict::Answer(self.0.clone())
    }
}

fn answering(answer: Response<Bytes>) -> Memory {
    let share = |config: &mut Config| config.head_ledger_octets = 1 << 20;
    Memory::of(share, |gateway| gateway.with_hooks(Box::new(Answers(answer))))
}

const STREAMS: usize = 100;

/// A hundred requests of a client that has this window for responses.
fn asked(memory: &mut Memory, initial_window_size: u32) -> ConnId {
    let client = memory.connect(ConnectionConfig { initial_window_size, ..ConnectionConfig::default() });
    memory.settle();
    for _ in 0..STREAMS {
        memory.client(client).send_request(&get(), true).expect("a slot");
        memory.settle();
    }
    client
}

fn content(octets: usize) -> Bytes {
    (0..octets).map(|n| (n % 251) as u8).collect::<Vec<_>>().into()
}

#[test]
fn an_answer_waits_where_the_hook_has_it() {
    let mut memory = answering(Response::new(content(1 << 20)));
    let client = asked(&mut memory, 0);
    let view = memory.gateway.view();
    assert_eq!(view.requests, STREAMS);
    assert!(view.buffered_octets <= STREAMS * OUTPUT_OCTETS, "{view:?}");
    let begun = memory.now;
    memory.now = memory.now + Duration::from_secs(3);
    memory.kill(client);
    // Their heads had come at once, whatever their content waited for.
    let came = |of: &EndRecord| (of.responded, of.ended) == (Some(begun), memory.now);
    assert_eq!(memory.records.iter().filter(|record| came(record)).count(), STREAMS);
    let first = &memory.gateway.snapshot(0, memory.now).routes[0].counters.first_octet;
    assert_eq!((first.count(), first.sum_micros), (STREAMS as u64, 0));
    let view = memory.gateway.view();
    assert_eq!((view.requests, view.buffered_octets), (0, 0));
}

#[test]
fn an_answer_of_any_length_comes_whole() {
    for octets in [0, 1, OUTPUT_OCTETS - 1, OUTPUT_OCTETS, OUTPUT_OCTETS + 1, 2 * OUTPUT_OCTETS, 1 << 20] {
        for http1 in [false, true] {
            let mut memory = answering(Response::new(content(octets)));
            if http1 {
                let client = memory.connect_mute();
                for method in ["GET", "HEAD", "GET"] {
                    memory.inject(client, format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes());
                    let said = memory.sent_to(client);
                    let head = said.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
                    let expected = if method == "HEAD" { Bytes::new() } else { content(octets) };
                    assert!(said[head..] == expected, "{octets} {method}");
                }
            } else {
                let client = memory.connect(ConnectionConfig::default());
                let mut came = Vec::new();
                let mut ended = false;
                memory.client(client).send_request(&get(), true).expect("a slot");
                memory.settle();
                while let Some(event) = memory.client(client).poll_event().expect("a sound connection") {
                    match event {
                        ClientEvent::Response { end, .. } => ended |= end,
                        ClientEvent::Data { stream, data, credit, end } => {
                            came.extend_from_slice(&data);
                            ended |= end;
                            memory.client(client).release(stream, credit);
                            memory.settle();
                        }
                        _ => {}
                    }
                }
                assert!(ended && came == content(octets), "{octets}");
            }
            let view = memory.gateway.view();
            assert_eq!((view.requests, view.buffered_octets), (0, 0), "{octets} {http1}");
            let hooked = |outcome| outcome == Outcome::LocalReply(Cause::HookAnswered);
            assert!(memory.records.iter().all(|record| hooked(record.outcome)));
            let expected = octets as u64;
            assert!(memory.records.iter().all(|record| [0, expected].contains(&record.response_octets)));
            assert_eq!(memory.records[0].response_octets, expected);
        }
    }
}

fn respond_to_all(memory: &mut Memory) {
    for backend in memory.backends() {
        for (stream, _) in requests(memory, backend) {
            memory.backend(backend).send_response(stream, &Response::new(()), true).expect("an open stream");
            memory.settle();
        }
    }
}

/// The memory of an outbox, which goes to twice its mark, a head and a frame, in a power of two.
fn outbox_max(config: &Config, head: usize) -> usize {
    let section = head.max(config.backend.max_header_list_size as usize);
    (2 * config.front.outbox_high_mark + section + (16 << 10) + 9).next_power_of_two()
}

/// Answers in place of every response, which come however full its client's outbox is.
struct AnswersLate(Response<Bytes>);

impl Hooks for AnswersLate {
    fn response(
        &mut self,
        _: &Context<'_>,
        _: &mut HeadMut<'_, ResponseHead>,
    ) -> Result<Verdict, HookFailed> {
        Ok(Verdict::Answer(self.0.clone()))
    }
}

#[test]
fn heads_of_answers_have_the_memory_of_heads() {
    let large = "x".repeat(100_000);
    let answer = Response::builder().header("x-large", &large).body(Bytes::new()).expect("an answer");
    let share = |config: &mut Config| config.head_ledger_octets = 1 << 20;
    let mut memory = Memory::of(share, |gateway| gateway.with_hooks(Box::new(AnswersLate(answer))));
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    memory.deafen(client);
    for _ in 0..STREAMS {
        memory.client(client).send_request(&get(), true).expect("a slot");
    }
    memory.settle();
    respond_to_all(&mut memory);
    let view = memory.gateway.view();
    let max = outbox_max(memory.config(), large.len());
    assert!(view.buffered_octets <= max, "{max}: {view:?}");
}

#[test]
fn what_header_rules_add_has_the_memory_of_heads() {
    let rule = |n| HeaderRule::Set { name: format!("x-{n}").into(), value: "x".repeat(8192).into() };
    let mut memory = Memory::new(|config| {
        config.routes[0].response_headers = (0..12).map(rule).collect();
        config.head_ledger_octets = 1 << 20;
    });
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    memory.deafen(client);
    for _ in 0..STREAMS {
        let request = Request::get("http://example.com/").body(()).expect("a request");
        memory.client(client).send_request(&request, true).expect("a slot");
    }
    memory.settle();
    respond_to_all(&mut memory);
    let view = memory.gateway.view();
    let max = outbox_max(memory.config(), 12 * (8192 + 64));
    assert!(view.buffered_octets <= max, "{max}: {view:?}");
    memory.hear(client);
    let is_refused = |outcome| outcome == Outcome::LocalReply(Cause::MemoryLimit);
    assert!(memory.records.iter().any(|end| is_refused(end.outcome)));
    assert!(memory.records.iter().any(|end| end.outcome == Outcome::Complete));
    assert_eq!(memory.gateway.view().head_octets, 0, "everything is given back");
}

/// What rules add to one head is in the bound, for each connection on either side: in memory that grows by doubling.
#[test]
fn the_bound_knows_header_rules() {
    let rules = || -> Vec<_> {
        let rule = |n| HeaderRule::Add { name: format!("x-{n}").into(), value: "x".repeat(8192).into() };
        (0..100).map(rule).collect()
    };
    let plain = Memory::new(|_| {}).config().clone();
    let (mut asking, mut answering) = (plain.clone(), plain.clone());
    asking.routes[0].request_headers = rules();
    answering.routes[0].response_headers = rules();
    let connections = u64::from(plain.max_fronts);
    let least = plain.memory_bound().total() + connections * (100 * 8192 / 2);
    for config in [asking, answering] {
        assert!(config.memory_bound().total() >= least);
    }
}
