//! Content that passes through transforms: nothing stalls, nothing overruns, nothing is left.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response};
use proptest::prelude::*;
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::{ClientEvent, ServerEvent, StreamKey};
use shuntyard_core::hooks::{Context, HeadMut, HookFailed, Hooks, OUTPUT_OCTETS, Transform, Verdict};
use shuntyard_core::key::ConnId;
use shuntyard_core::message::{RequestHead, ResponseHead};
use shuntyard_core::record::{Cause, Outcome};
use shuntyard_core::window::{Both, Credit};

use crate::memory::Memory;
use crate::transforms::*;
use crate::{get, post, requests, response};

type Make = fn() -> Box<dyn Transform>;
/// What a transform makes of a whole content.
type Expected = fn(&[u8]) -> Vec<u8>;

/// Transforms the content of every request and response that `x-plain` does not except.
struct Transforming {
    request: Option<Make>,
    response: Option<Make>,
}

impl Hooks for Transforming {
    fn request(
        &mut self,
        _: &Context<'_>,
        request: &mut HeadMut<'_, RequestHead>,
    ) -> Result<Verdict, HookFailed> {
        if let Some(make) = self.request.filter(|_| request.get("x-plain").is_none()) {
            request.transform(make());
        }
        Ok(Verdict::Forward)
    }

    fn response(
        &mut self,
        _: &Context<'_>,
        response: &mut HeadMut<'_, ResponseHead>,
    ) -> Result<Verdict, HookFailed> {
        if let Some(make) = self.response.filter(|_| response.get("x-plain").is_none()) {
            response.transform(make());
        }
        Ok(Verdict::Forward)
    }
}

fn memory(request: Option<Make>, response: Option<Make>) -> Memory {
    Memory::of(|_| {}, |gateway| gateway.with_hooks(Box::new(Transforming { request, response })))
}

/// What a peer got of one message.
#[derive(Default, Debug)]
struct Got {
    content: Vec<u8>,
    length: Option<String>,
    trailers: Option<HeaderMap>,
    ended: bool,
    reset: Option<ErrorCode>,
}

/// A client and its one exchange, with a backend that takes and gives as the test says.
struct Exchange {
    memory: Memory,
    client: ConnId,
    stream: StreamKey,
    backend: ConnId,
    backend_stream: StreamKey,
    to_backend: Got,
    to_client: Got,
    /// Window that the client has not given back.
    kept: Vec<Credit<Both>>,
    /// The most that the gateway held.
    peak: usize,
}

impl Exchange {
    fn start(mut memory: Memory, request: &Request<()>, end: bool) -> Self {
        let client = memory.connect(ConnectionConfig::default());
        let stream = memory.client(client).send_request(request, end).expect("a slot");
        memory.settle();
        let backend = memory.backends()[0];
        let (backend_stream, arrived) = requests(&mut memory, backend).remove(0);
        let length = arrived.headers().get("content-length").map(|value| value.to_str().unwrap().to_owned());
        let to_backend = Got { length, ..Got::default() };
        let (to_client, kept, peak) = (Got::default(), Vec::new(), 0);
        Self { memory, client, stream, backend, backend_stream, to_backend, to_client, kept, peak }
    }

    fn respond(&mut self, head: &Response<()>, content: &[u8], end: bool) {
        let backend = self.memory.backend(self.backend);
        backend.send_response(self.backend_stream, head, false).expect("an open stream");
        backend.send_data(self.backend_stream, content, end).expect("an open stream");
    }

    /// Everything moves until nothing does; the client gives its window back or keeps it.
    fn run(&mut self, client_reads: bool) {
        let mut waiting = None;
        loop {
            self.memory.settle();
            self.peak = self.peak.max(self.memory.gateway.view().buffered_octets);
            let moved = self.backend_hears() | self.client_hears() | (client_reads && self.release());
            // A peer that hears of a wider window tells nobody, but goes on sending.
            let before = waiting.replace(self.waiting());
            if !moved && before == waiting {
                return;
            }
        }
    }

    /// Octets that client and backend have not sent.
    fn waiting(&mut self) -> (usize, usize) {
        let Self { client, stream, backend, backend_stream, .. } = *self;
        (self.memory.client(client).queued(stream), self.memory.backend(backend).queued(backend_stream))
    }

    fn release(&mut self) -> bool {
        let kept = std::mem::take(&mut self.kept);
        let released = !kept.is_empty();
        kept.into_iter().for_each(|credit| self.memory.client(self.client).release(self.stream, credit));
        released
    }

    fn backend_hears(&mut self) -> bool {
        let mut heard = false;
        while let Some(event) = self.memory.backend(self.backend).poll_event().expect("a sound connection") {
            heard = true;
            match event {
                ServerEvent::Data { stream, data, credit, end, .. } => {
                    self.to_backend.content.extend_from_slice(&data);
                    self.to_backend.ended |= end;
                    self.memory.backend(self.backend).release(stream, credit);
                }
                ServerEvent::Trailers { trailers, .. } => {
                    self.to_backend.trailers = Some(trailers);
                    self.to_backend.ended = true;
                }
                ServerEvent::Reset { error_code, .. } => self.to_backend.reset = Some(error_code),
                _ => {}
            }
        }
        heard
    }

    fn client_hears(&mut self) -> bool {
        let mut heard = false;
        while let Some(event) = self.memory.client(self.client).poll_event().expect("a sound connection") {
            heard = true;
            match event {
                ClientEvent::Response { response, end, .. } => {
                    let length = response.headers().get("content-length");
                    self.to_client.length = length.map(|value| value.to_str().unwrap().to_owned());
                    self.to_client.ended = end;
                }
                ClientEvent::Data { data, credit, end, .. } => {
                    self.to_client.content.extend_from_slice(&data);
                    self.to_client.ended |= end;
                    self.kept.push(credit);
                }
                ClientEvent::Trailers { trailers, .. } => {
                    self.to_client.trailers = Some(trailers);
                    self.to_client.ended = true;
                }
                ClientEvent::Reset { error_code, .. } => self.to_client.reset = Some(error_code),
                _ => {}
            }
        }
        heard
    }

    /// Nothing is left of the request.
    fn assert_over(&self) {
        let view = self.memory.gateway.view();
        assert_eq!((view.requests, view.reserved_octets, view.buffered_octets), (0, 0, 0));
        assert_eq!((self.memory.records.len(), self.memory.attempts.len()), (1, 1));
    }
}

fn content(octets: usize) -> Vec<u8> {
    (0..octets).map(|n| (n % 251) as u8).collect()
}

const MIB: usize = 1 << 20;
/// A stream's window, a step's output, two outboxes to their mark and a frame beyond, and frame heads.
const HELD_MAX: usize = 65_535 + OUTPUT_OCTETS + 2 * ((128 << 10) + (17 << 10)) + 4096;

#[test]
fn b52_responses_that_shrink_to_a_fifth_do_not_stall() {
    let mut exchange = Exchange::start(memory(None, Some(|| Box::new(Squeeze::default()))), &get(), true);
    let content = content(8 * MIB);
    let head = Response::builder().header("content-length", content.len()).body(()).expect("a response");
    exchange.respond(&head, &content, true);
    exchange.run(true);
    assert!(exchange.to_client.ended && exchange.to_client.content == squeezed(&content));
    assert_eq!(exchange.to_client.length, None, "it has another length");
    assert!(exchange.peak < HELD_MAX, "{}", exchange.peak);
    exchange.assert_over();
    let (record, attempt) = (&exchange.memory.records[0], &exchange.memory.attempts[0]);
    assert_eq!((attempt.response_octets, record.response_octets), (8 << 20, (8 * MIB).div_ceil(5) as u64));
}

#[test]
fn b52_responses_that_grow_five_times_overrun_nothing() {
    let mut exchange = Exchange::start(memory(None, Some(|| Box::new(Stretch::new()))), &get(), true);
    let content = content(2 * MIB);
    exchange.respond(&Response::new(()), &content, true);
    exchange.run(true);
    assert!(exchange.to_client.ended && exchange.to_client.content == stretched(&content));
    assert!(exchange.peak < HELD_MAX, "{}", exchange.peak);
    exchange.assert_over();
}

#[test]
fn b52_requests_of_another_length_neither_stall_nor_overrun() {
    let cases: [(Make, Expected); 2] =
        [(|| Box::new(Squeeze::default()), squeezed), (|| Box::new(Stretch::new()), stretched)];
    for (make, expected) in cases {
        let content = content(2 * MIB);
        let head =
            Request::post("http://a/").header("content-length", content.len()).body(()).expect("a request");
        let mut exchange = Exchange::start(memory(Some(make), None), &head, false);
        exchange
            .memory
            .client(exchange.client)
            .send_data(exchange.stream, &content, true)
            .expect("an open stream");
        exchange.run(true);
        assert!(exchange.to_backend.ended && exchange.to_backend.content == expected(&content));
        assert_eq!(exchange.to_backend.length, None);
        assert!(exchange.peak < HELD_MAX, "{}", exchange.peak);
        exchange.respond(&Response::new(()), b"", true);
        exchange.run(true);
        exchange.assert_over();
        let (record, attempt) = (&exchange.memory.records[0], &exchange.memory.attempts[0]);
        assert_eq!(
            (record.request_octets, attempt.request_octets),
            (2 << 20, expected(&content).len() as u64)
        );
    }
}

/// A client that reads nothing: the backend gets its window back for the octets whose output has left, and no more.
#[test]
fn f6_credit_is_for_the_octets_of_the_backend_whose_output_has_left() {
    let mut exchange = Exchange::start(memory(None, Some(|| Box::new(Stretch::new()))), &get(), true);
    exchange.respond(&Response::new(()), &content(MIB), true);
    exchange.run(false);
    // The client's window is full of what was made of a fifth as many octets; what the backend has sent beyond them is a
    // window of its own at most, of which less than half was given back without being announced.
    assert_eq!(exchange.to_client.content.len(), 65_535);
    let taken = MIB - exchange.memory.backend(exchange.backend).queued(exchange.backend_stream);
    assert!((65_535..=65_535 + 65_535 / 5).contains(&taken), "{taken}");
    exchange.run(true);
    assert!(exchange.to_client.ended && exchange.to_client.content.len() == 5 * MIB + 3);
    exchange.assert_over();
}

/// The same, where all that was read has become nothing yet.
#[test]
fn f6_what_becomes_nothing_is_credited_at_once() {
    let mut exchange = Exchange::start(memory(None, Some(|| Box::new(Hold::default()))), &get(), true);
    let content = content(MIB);
    exchange.respond(&Response::new(()), &content, false);
    exchange.run(false);
    assert_eq!(exchange.memory.backend(exchange.backend).queued(exchange.backend_stream), 0);
    assert_eq!(exchange.to_client.content.len(), 0);
    exchange
        .memory
        .backend(exchange.backend)
        .send_data(exchange.backend_stream, b"", true)
        .expect("an open stream");
    exchange.run(true);
    assert!(exchange.to_client.ended && exchange.to_client.content == content);
    exchange.assert_over();
}

#[test]
fn a_transform_without_end_is_held_by_the_clients_window() {
    let mut exchange = Exchange::start(memory(None, Some(|| Box::new(Endless))), &get(), true);
    exchange.respond(&Response::new(()), b"x", true);
    exchange.run(false);
    assert_eq!(exchange.to_client.content.len(), 65_535);
    assert!(exchange.peak < HELD_MAX, "{}", exchange.peak);
    let client = exchange.client;
    exchange.memory.kill(client);
    assert_eq!(exchange.memory.gateway.view().requests, 0);
}

#[test]
fn trailers_follow_what_became_of_the_content_both_ways() {
    let make: Make = || Box::new(Stretch::new());
    let mut exchange = Exchange::start(memory(Some(make), Some(make)), &post(), false);
    let mut trailers = HeaderMap::new();
    trailers.insert("sum", HeaderValue::from_static("1"));
    let content = content(100_000);
    let client = exchange.memory.client(exchange.client);
    client.send_data(exchange.stream, &content, false).expect("an open stream");
    client.send_trailers(exchange.stream, &trailers).expect("an open stream");
    exchange.run(true);
    assert!(exchange.to_backend.content == stretched(&content));
    assert_eq!((exchange.to_backend.ended, exchange.to_backend.trailers.as_ref()), (true, Some(&trailers)));
    exchange.respond(&Response::new(()), &content, false);
    exchange
        .memory
        .backend(exchange.backend)
        .send_trailers(exchange.backend_stream, &trailers)
        .expect("it is open");
    exchange.run(true);
    assert!(exchange.to_client.content == stretched(&content));
    assert_eq!((exchange.to_client.ended, exchange.to_client.trailers.as_ref()), (true, Some(&trailers)));
    exchange.assert_over();
}

/// The memory for output is everybody's: who says that he has written more than he did passes nothing on of those before.
#[test]
fn a_transform_that_lies_shows_nothing_of_another() {
    let mut exchange = Exchange::start(memory(None, Some(|| Box::new(Lies::default()))), &get(), true);
    exchange.respond(&Response::new(()), b"secret", false);
    exchange.run(true);
    exchange
        .memory
        .backend(exchange.backend)
        .send_data(exchange.backend_stream, b"public", true)
        .expect("it is open");
    exchange.run(true);
    assert!(exchange.to_client.ended);
    assert_eq!(exchange.to_client.content, b"secret\0\0\0\0\0\0");
}

#[test]
fn a_transform_that_fails_ends_the_response_visibly_and_disturbs_nobody() {
    let mut exchange = Exchange::start(memory(None, Some(|| Box::new(Breaks(100_000)))), &get(), true);
    exchange.respond(&Response::new(()), &content(MIB), true);
    exchange.run(true);
    assert_eq!(
        (exchange.to_client.ended, exchange.to_client.reset),
        (false, Some(ErrorCode::INTERNAL_ERROR))
    );
    assert_eq!(exchange.to_backend.reset, Some(ErrorCode::CANCEL));
    assert_eq!(exchange.memory.records[0].outcome, Outcome::Truncated(Cause::HookFailed(BROKEN)));
    exchange.assert_over();
    let (client, backend) = (exchange.client, exchange.backend);
    let plain = Request::get("http://a/").header("x-plain", "1").body(()).expect("a request");
    exchange.memory.client(client).send_request(&plain, true).expect("a slot");
    exchange.memory.settle();
    assert_eq!(requests(&mut exchange.memory, backend).len(), 1, "the connection goes on");
}

#[test]
fn a_transform_that_fails_on_a_request_is_500() {
    let mut exchange = Exchange::start(memory(Some(|| Box::new(Breaks(10))), None), &post(), false);
    exchange
        .memory
        .client(exchange.client)
        .send_data(exchange.stream, &content(100), true)
        .expect("an open stream");
    exchange.memory.settle();
    exchange.backend_hears();
    assert_eq!((exchange.to_backend.content.len(), exchange.to_backend.reset), (10, Some(ErrorCode::CANCEL)));
    assert_eq!(response(&mut exchange.memory, exchange.client).status(), 500);
    assert_eq!(exchange.memory.records[0].outcome, Outcome::LocalReply(Cause::HookFailed(BROKEN)));
    exchange.assert_over();
}

/// The second attempt begins with the first octet, through a transform of its own.
#[test]
fn b81_content_is_transformed_anew_for_each_attempt() {
    let mut exchange = Exchange::start(memory(Some(|| Box::new(Stretch::new())), None), &post(), false);
    let content = content(16 << 10);
    exchange
        .memory
        .client(exchange.client)
        .send_data(exchange.stream, &content[..9000], false)
        .expect("it is open");
    exchange.run(true);
    assert_eq!(exchange.to_backend.content.len(), 45_000);
    exchange.memory.backend(exchange.backend).reset(exchange.backend_stream, ErrorCode::REFUSED_STREAM);
    exchange.memory.settle();
    exchange.memory.wait(Duration::from_secs(2));
    let arrived = loop {
        match exchange.memory.backend(exchange.backend).poll_event().expect("a sound connection") {
            Some(ServerEvent::Request { stream, .. }) => break stream,
            Some(_) => {}
            None => panic!("no second attempt came"),
        }
    };
    (exchange.backend_stream, exchange.to_backend) = (arrived, Got::default());
    exchange
        .memory
        .client(exchange.client)
        .send_data(exchange.stream, &content[9000..], true)
        .expect("it is open");
    exchange.run(true);
    assert!(exchange.to_backend.ended && exchange.to_backend.content == stretched(&content));
    exchange.respond(&Response::new(()), b"", true);
    exchange.run(true);
    assert!(exchange.to_client.ended);
    let view = exchange.memory.gateway.view();
    assert_eq!((view.requests, view.reserved_octets, view.buffered_octets), (0, 0, 0));
}

/// Where there is no content there is nothing to transform, and nothing comes of nothing.
#[test]
fn messages_without_content_are_not_transformed() {
    let make: Make = || Box::new(Stretch::new());
    let cases = [("HEAD", 200, None), ("GET", 204, None), ("GET", 304, None)];
    for (method, status, length) in cases {
        let request = Request::builder().method(method).uri("http://a/").body(()).expect("a request");
        let mut exchange = Exchange::start(memory(Some(make), Some(make)), &request, true);
        let mut head = Response::builder().status(status);
        if status != 204 {
            head = head.header("content-length", 5);
        }
        // The end comes apart from the head.
        exchange.respond(&head.body(()).expect("a response"), b"", true);
        exchange.run(true);
        assert!(exchange.to_client.ended && exchange.to_client.content.is_empty(), "{method} {status}");
        assert_eq!(exchange.to_client.length, length, "{method} {status}");
        exchange.assert_over();
    }
    let mut exchange = Exchange::start(memory(Some(make), Some(make)), &get(), true);
    let backend = exchange.memory.backend(exchange.backend);
    let empty = Response::builder().header("content-length", 0).body(()).expect("a response");
    backend.send_response(exchange.backend_stream, &empty, true).expect("an open stream");
    exchange.run(true);
    assert_eq!((exchange.to_client.ended, exchange.to_client.length.as_deref()), (true, Some("0")));
    exchange.assert_over();
}

#[test]
fn a_client_that_goes_leaves_nothing_behind() {
    let make: Make = || Box::new(Stretch::new());
    let mut exchange = Exchange::start(memory(Some(make), Some(make)), &post(), false);
    exchange
        .memory
        .client(exchange.client)
        .send_data(exchange.stream, &content(MIB), false)
        .expect("an open stream");
    exchange.respond(&Response::new(()), &content(MIB), false);
    exchange.run(false);
    exchange.memory.client(exchange.client).reset(exchange.stream, ErrorCode::CANCEL);
    exchange.run(false);
    assert_eq!(exchange.to_backend.reset, Some(ErrorCode::CANCEL));
    exchange.assert_over();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However content is cut, and however slowly it is read: the same octets come out, and none are kept.
    #[test]
    fn any_cut_makes_the_same_content(
        up in prop::collection::vec(0..40_000usize, 0..6),
        down in prop::collection::vec(0..40_000usize, 0..6),
        squeeze: bool,
        reads in prop::collection::vec(any::<bool>(), 12),
    ) {
        let (make, expected): (Make, Expected) = if squeeze {
            (|| Box::new(Squeeze::default()), squeezed)
        } else {
            (|| Box::new(Stretch::new()), stretched)
        };
        let mut exchange = Exchange::start(memory(Some(make), Some(make)), &post(), false);
        let (up_content, down_content) = (content(up.iter().sum()), content(down.iter().sum()));
        exchange.respond(&Response::new(()), b"", false);
        let (mut at_up, mut at_down) = (0, 0);
        for turn in 0..6 {
            if let Some(octets) = up.get(turn) {
                let part = &up_content[at_up..at_up + octets];
                exchange.memory.client(exchange.client).send_data(exchange.stream, part, false).expect("it is open");
                at_up += octets;
            }
            exchange.run(reads[2 * turn]);
            if let Some(octets) = down.get(turn) {
                let part = &down_content[at_down..at_down + octets];
                exchange.memory.backend(exchange.backend).send_data(exchange.backend_stream, part, false).expect("it is open");
                at_down += octets;
            }
            exchange.run(reads[2 * turn + 1]);
        }
        exchange.memory.client(exchange.client).send_data(exchange.stream, b"", true).expect("it is open");
        exchange.run(true);
        prop_assert!(exchange.to_backend.ended && exchange.to_backend.content == expected(&up_content));
        exchange.memory.backend(exchange.backend).send_data(exchange.backend_stream, b"", true).expect("it is open");
        exchange.run(true);
        prop_assert!(exchange.to_client.ended && exchange.to_client.content == expected(&down_content));
        prop_assert!(exchange.peak < 2 * HELD_MAX);
        exchange.assert_over();
    }
}
