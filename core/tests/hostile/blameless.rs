//! What looks like misuse and is somebody else's doing: it may come at any rate, and costs its client nothing.

use http::{Request, Response};
use shuntyard_core::config::{ConnectionConfig, Protocol, Saturation};
use shuntyard_core::gateway::RecvBuf;
use shuntyard_core::h2::{ClientEvent, Protocol as Asked, ServerEvent};
use shuntyard_core::hooks::{Context, HeadMut, HookFailed, Hooks, Step, Transform, Verdict};
use shuntyard_core::message::{RequestHead, ResponseHead};
use shuntyard_core::record::{Cause, Outcome};
use shuntyard_core::time::Duration;

use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, events, ok, post, requests};
use crate::wire::{PREFACE, get, headers, ping, settings, settings_ack};

/// More than twice as many as a client could pay for.
const TIMES: usize = 400;

const UPGRADE: &[u8] = b"GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
      sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Over HTTP/1.1 nothing pays back but time, of which none passes.
#[test]
fn a_backend_that_declines_upgrades() {
    let mut memory = Memory::new(|config| config.upstreams[0].endpoints[0].protocol = Protocol::Http1);
    memory.mute_backends = true;
    let client = memory.connect_mute();
    for n in 0..TIMES {
        memory.inject(client, UPGRADE);
        let backend = memory.backends().into_iter().find(|&id| id != client).expect("a backend");
        memory.inject(backend, b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
        let said = memory.sent_to(client);
        assert!(said.starts_with(b"HTTP/1.1 403 "), "{n}: {}", said.escape_ascii());
    }
    assert_eq!(memory.closed, []);
}

/// Takes no response.
struct Disliking;

impl Hooks for Disliking {
    fn response(
        &mut self,
        _: &Context<'_>,
        _: &mut HeadMut<'_, ResponseHead>,
    ) -> Result<Verdict, HookFailed> {
        Err(HookFailed::Own("disliked"))
    }
}

/// Who asks for a tunnel sends nothing before it stands: a backend of HTTP/2 hears the end of it, and no reset, which it might count, whatever a hook makes
/// of its answer.
#[test]
fn a_backend_of_http2_that_declines_tunnels() {
    for (http2, hooked) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut memory = match hooked {
            false => Memory::new(|_| {}),
            true => Memory::of(|_| {}, |gateway| gateway.with_hooks(Box::new(Disliking))),
        };
        let said: &[u8] = if hooked { b"HTTP/1.1 500 " } else { b"HTTP/1.1 403 " };
        memory.backend_config.extended_connect = true;
        let client = if http2 { memory.connect(ConnectionConfig::default()) } else { memory.connect_mute() };
        if http2 {
            memory.learn_offers(client);
        }
        for n in 0..TIMES {
            if http2 {
                let tunnel = Request::connect("http://example.com/chat")
                    .extension(Asked("websocket".to_owned()))
                    .body(())
                    .expect("a request");
                memory.client(client).send_request(&tunnel, false).expect("a slot");
                memory.settle();
            } else {
                memory.inject(client, UPGRADE);
            }
            let backend = memory.backends().into_iter().find(|&id| id != client).expect("a backend");
            let (mut asked, mut resets) = (None, 0);
            let forbidden = Response::builder().status(403).body(()).expect("a response");
            while let Some(event) = memory.backend(backend).poll_event().expect("a sound connection") {
                match event {
                    ServerEvent::Request { stream, .. } => asked = Some(stream),
                    ServerEvent::Reset { .. } => resets += 1,
                    _ => {}
                }
            }
            let stream = asked.unwrap_or_else(|| panic!("{n}"));
            memory.backend(backend).send_response(stream, &forbidden, true).expect("open");
            memory.settle();
            assert_eq!(resets, 0, "{n}");
            if http2 {
                assert!(matches!(events(&mut memory, client)[0], ClientEvent::Response { .. }), "{n}");
            } else {
                assert!(memory.sent_to(client).starts_with(said), "{n}");
            }
        }
        assert_eq!((&memory.closed[..], memory.gateway.view().requests), (&[][..], 0));
    }
}

/// What is left of an address's memory for heads is gone, by its other connections.
#[test]
fn neighbours_with_large_heads() {
    let mut memory = Memory::new(|config| {
        config.head_ledger_octets = 8 << 20;
        config.upstreams[0].on_saturation = Saturation::Queue;
    });
    let request =
        |octets| Request::get("http://a/").header("cookie", "v".repeat(octets)).body(()).expect("a request");
    for _ in 0..30 {
        let neighbour = memory.connect(ConnectionConfig::default());
        memory.settle();
        for _ in 0..15 {
            _ = memory.client(neighbour).send_request(&request(10_000), true);
        }
        memory.settle();
    }
    assert!(memory.gateway.snapshot(0, memory.now).heads.0 > (7 << 20) / 2);
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    memory.records.clear();
    for n in 0..TIMES {
        memory
            .client(client)
            .send_request(&request(10_000), true)
            .unwrap_or_else(|error| panic!("{n}: {error}"));
        memory.settle();
        assert!(!events(&mut memory, client).is_empty(), "request {n}");
    }
    let refused = |outcome| outcome == Outcome::LocalReply(Cause::MemoryLimit);
    assert_eq!(memory.records.iter().filter(|record| refused(record.outcome)).count(), TIMES);
    assert!(!memory.closed.contains(&client) && !memory.client(client).has_failed());
}

/// Fails with the first octet of each upload.
struct Failing;

impl Hooks for Failing {
    fn request(
        &mut self,
        _: &Context<'_>,
        request: &mut HeadMut<'_, RequestHead>,
    ) -> Result<Verdict, HookFailed> {
        request.transform(Box::new(Self));
        Ok(Verdict::Forward)
    }
}

impl Transform for Failing {
    fn transform(&mut self, _: &[u8], _: bool, _: &mut [u8]) -> Result<Step, HookFailed> {
        Err(HookFailed::Own("broken"))
    }
}

#[test]
fn a_hook_that_fails() {
    let mut memory = Memory::of(|_| {}, |gateway| gateway.with_hooks(Box::new(Failing)));
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    for n in 0..TIMES {
        let stream = memory
            .client(client)
            .send_request(&post("/"), false)
            .unwrap_or_else(|error| panic!("{n}: {error}"));
        memory.client(client).send_data(stream, b"a", false).expect("open");
        memory.settle();
        assert!(!events(&mut memory, client).is_empty(), "request {n}");
    }
    assert!(!memory.closed.contains(&client) && !memory.client(client).has_failed());
}

/// Its uploads have been answered early, so that it owes more than it may. What it has sent before it can know of that costs nothing, and what it sends of another
/// upload pays.
#[test]
fn content_behind_answers_that_came_early() {
    let mut memory = Memory::new(|config| config.front.misuse_max = 100);
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    let uploads =
        [(); 3].map(|()| memory.client(client).send_request(&post("/upload"), false).expect("a slot"));
    memory.settle();
    let backend = memory.backends()[0];
    let mut asked = requests(&mut memory, backend);
    let (last, _) = asked.remove(0);
    for (stream, _) in asked {
        memory.backend(backend).send_response(stream, &ok(), true).expect("open");
    }
    memory.settle();
    let owed = |memory: &Memory| memory.gateway.snapshot(0, memory.now).front.traffic.misuse_peak;
    assert!(owed(&memory) > 100);
    for stream in [uploads[1], uploads[2], uploads[0]] {
        memory
            .client(client)
            .send_data(stream, &[7; 16_000], stream == uploads[0])
            .expect("it has heard of nothing");
        memory.settle();
    }
    assert_eq!(requests(&mut memory, backend).len(), 0);
    memory.backend(backend).send_response(last, &ok(), true).expect("open");
    memory.settle();
    let answers = |events: Vec<ClientEvent>| {
        events.iter().filter(|event| matches!(event, ClientEvent::Response { .. })).count()
    };
    assert_eq!(answers(events(&mut memory, client)), 3);
    ask(&mut memory, client, "/next");
    assert_eq!(answer_all(&mut memory).len(), 1);
}

/// What it has sent waits here for as long as it takes nothing. When that is looked at the time since has been paid.
#[test]
fn time_in_which_its_input_waits() {
    let mut memory = Memory::new(|config| config.front.outbox_high_mark = 1);
    let client = memory.connect_mute();
    memory.inject(client, &[PREFACE.to_vec(), settings(&[]), settings_ack()].concat());
    memory.sent_to(client);
    memory.deafen(client);
    // Answers to the last of them have no room any more.
    let asks = |count| ping(b"is it so").repeat(count);
    memory.inject(client, &[asks(970), headers(1, &get(), true), asks(150)].concat());
    assert!(matches!(memory.gateway.recv_buf(client), RecvBuf::Pause));
    memory.wait(Duration::from_secs(10));
    memory.hear(client);
    assert_eq!(memory.sent_to(client).len(), asks(1_120).len(), "all of them are answered");
    assert_eq!(memory.shutdowns, []);
}
