//! Clients of HTTP/1.1 in front of HTTP/2 backends.

use http::{HeaderMap, Response};
use shuntyard_core::config::{ConnectionConfig, HeaderRule, ListenerConfig, Protocol};
use shuntyard_core::counters::Limit;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::ServerEvent;
use shuntyard_core::key::ConnId;
use shuntyard_core::message::Version;
use shuntyard_core::record::{Cause, Outcome};
use shuntyard_core::time::Duration;
use shuntyard_requirements::req;

use crate::memory::talk::{ask, events, ok, requests};
use crate::memory::{Memory, Peer};
use crate::said;

const GET: &str = "GET / HTTP/1.1\r\nhost: example.com\r\n\r\n";

/// Sends a request, and has every backend answer with these octets.
fn exchange(memory: &mut Memory, client: ConnId, request: &str, content: &[u8]) -> String {
    memory.inject(client, request.as_bytes());
    let backend = backend(memory);
    for (stream, _) in requests(memory, backend) {
        memory.backend(backend).send_response(stream, &ok(), content.is_empty()).expect("open");
        if !content.is_empty() {
            memory.backend(backend).send_data(stream, content, true).expect("open");
        }
    }
    memory.settle();
    said(memory, client)
}

fn backend(memory: &Memory) -> ConnId {
    let is_backend = |peer: &Peer| matches!(peer, Peer::Backend(_));
    *memory.peers.iter().find(|(_, peer)| is_backend(peer)).expect("a backend").0
}

#[test]
fn b01_b02_requests_one_after_the_other_reuse_one_session() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    for _ in 0..4 {
        memory.inject(client, GET.as_bytes());
        let backend = backend(&memory);
        let (stream, request) = requests(&mut memory, backend).pop().expect("the request");
        assert_eq!(request.uri().to_string(), "http://example.com/");
        memory.backend(backend).send_response(stream, &ok(), false).expect("open");
        memory.backend(backend).send_data(stream, b"hello", true).expect("open");
        memory.settle();
        let response = said(&mut memory, client);
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        assert!(response.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{response}");
    }
    assert_eq!(memory.dials.len(), 1);
    let streams: Vec<_> = memory.attempts.iter().map(|attempt| attempt.stream_id).collect();
    assert_eq!(streams, [1, 3, 5, 7]);
}

#[test]
fn b03_what_reaches_the_backend_does_not_depend_on_the_protocol_in_front() {
    let seen = |http1: bool| {
        let mut memory = Memory::new(|_| {});
        if http1 {
            let client = memory.connect_mute();
            memory.inject(
                client,
                b"GET /a?b HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n",
            );
        } else {
            let client = memory.connect(ConnectionConfig::default());
            let request =
                http::Request::get("http://example.com/a?b").header("accept", "*/*").body(()).expect("one");
            memory.client(client).send_request(&request, true).expect("a slot");
            memory.settle();
        }
        let backend = backend(&memory);
        let (_, request) = requests(&mut memory, backend).pop().expect("the request");
        let mut headers = request.headers().clone();
        // The version by which the gateway received it (RFC 9110 section 7.6.3).
        headers.remove("via");
        (request.method().clone(), request.uri().to_string(), headers)
    };
    assert_eq!(seen(true), seen(false));
}

#[test]
fn rfc9110_5_5_blanks_around_a_value_are_no_part_of_it() {
    req!("9110-5.5-01");
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    memory.inject(client, b"GET / HTTP/1.1\r\nhost:a\r\nx-a: \t b c\t \r\nx-b:\r\n\r\n");
    let backend = backend(&memory);
    let (_, request) = requests(&mut memory, backend).pop().expect("the request");
    assert_eq!([&request.headers()["x-a"], &request.headers()["x-b"]], ["b c", ""]);
}

#[test]
fn one_session_is_shared_by_many_clients() {
    let mut memory = Memory::new(|_| {});
    let clients: Vec<_> = (0..5).map(|_| memory.connect_mute()).collect();
    for &client in &clients {
        memory.inject(client, GET.as_bytes());
    }
    let http2 = memory.connect(ConnectionConfig::default());
    ask(&mut memory, http2, "/six");
    assert_eq!(memory.dials.len(), 1);
    let backend = backend(&memory);
    let waiting = requests(&mut memory, backend);
    assert_eq!(waiting.len(), 6);
    for (stream, _) in waiting {
        memory.backend(backend).send_response(stream, &ok(), true).expect("open");
    }
    memory.settle();
    for &client in &clients {
        assert!(said(&mut memory, client).starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(events(&mut memory, http2).len(), 1);
}

#[test]
fn content_and_trailers_go_up_and_down() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    memory.inject(
        client,
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n",
    );
    let backend = backend(&memory);
    let (mut content, mut trailers, mut stream) = (Vec::new(), None, None);
    while let Some(event) = memory.backend(backend).poll_event().expect("sound") {
        match event {
            ServerEvent::Request { stream: key, .. } => stream = Some(key),
            ServerEvent::Data { data, .. } => content.extend_from_slice(&data),
            ServerEvent::Trailers { trailers: fields, .. } => trailers = Some(fields),
            _ => {}
        }
    }
    assert_eq!(
        (content.as_slice(), trailers.expect("trailers")["x-sum"].as_bytes()),
        (&b"abc"[..], &b"1"[..])
    );
    let stream = stream.expect("a request");
    memory.backend(backend).send_response(stream, &ok(), false).expect("open");
    memory.backend(backend).send_data(stream, b"down", false).expect("open");
    let mut fields = HeaderMap::new();
    fields.insert("x-sum", "2".parse().expect("a value"));
    memory.backend(backend).send_trailers(stream, &fields).expect("open");
    memory.settle();
    let response = said(&mut memory, client);
    assert!(response.ends_with("4\r\ndown\r\n0\r\nx-sum: 2\r\n\r\n"), "{response}");
}

#[test]
fn pipelined_requests_are_answered_in_order_and_run_side_by_side() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    let three = "GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\nGET /3 HTTP/1.1\r\nhost: a\r\n\r\n";
    memory.inject(client, three.as_bytes());
    let backend = backend(&memory);
    let mut waiting = requests(&mut memory, backend);
    assert_eq!(waiting.len(), 3, "safe methods run side by side");
    waiting.reverse();
    for (stream, request) in waiting {
        memory.backend(backend).send_response(stream, &ok(), false).expect("open");
        memory.backend(backend).send_data(stream, request.uri().path().as_bytes(), true).expect("open");
        memory.settle();
    }
    let response = said(&mut memory, client);
    let at = |path: &str| response.find(path).expect(path);
    assert!(at("/1\r\n") < at("/2\r\n") && at("/2\r\n") < at("/3\r\n"), "{response}");
    assert_eq!(memory.records.len(), 3);
}

/// A response that waits for others has not left, whether content waits with it or not.
#[test]
fn a_response_without_content_is_complete_when_its_turn_has_come() {
    let two =
        |second: &str| format!("GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET {second} HTTP/1.1\r\nhost: a\r\n\r\n");
    for (second, breaks) in [("/2", false), ("/2", true), ("http:/", false), ("http:/", true)] {
        let mut memory = Memory::new(|_| {});
        let client = memory.connect_mute();
        memory.inject(client, two(second).as_bytes());
        let backend = backend(&memory);
        let waiting = requests(&mut memory, backend);
        for (stream, _) in &waiting[1..] {
            memory.backend(backend).send_response(*stream, &ok(), true).expect("open");
        }
        memory.backend(backend).send_response(waiting[0].0, &ok(), false).expect("open");
        memory.settle();
        assert!(memory.records.is_empty(), "{second}");
        // However long the first one takes.
        for _ in 0..10 {
            memory.wait(Duration::from_secs(20));
            memory.backend(backend).send_data(waiting[0].0, b"more", false).expect("open");
            memory.settle();
        }
        assert!(memory.records.is_empty(), "{second}");
        if breaks {
            memory.backend(backend).reset(waiting[0].0, ErrorCode::INTERNAL_ERROR);
        } else {
            memory.backend(backend).send_data(waiting[0].0, b"end", true).expect("open");
        }
        memory.settle();
        assert_eq!(said(&mut memory, client).matches("HTTP/1.1 ").count(), if breaks { 1 } else { 2 });
        let whole = |outcome: &Outcome| matches!(outcome, Outcome::Complete | Outcome::LocalReply(_));
        let outcomes: Vec<_> = memory.records.iter().map(|record| record.outcome).collect();
        assert!(outcomes.len() == 2 && outcomes.iter().all(|of| whole(of) != breaks), "{outcomes:?}");
    }
}

#[test]
fn rfc9112_9_3_2_an_unsafe_request_waits_for_those_before_it() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    let two = "GET /1 HTTP/1.1\r\nhost: a\r\n\r\nPOST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhiGET /3 HTTP/1.1\r\nhost: a\r\n\r\n";
    memory.inject(client, two.as_bytes());
    let backend = backend(&memory);
    for path in ["/1", "/2", "/3"] {
        let (stream, request) = requests(&mut memory, backend).pop().expect(path);
        assert_eq!(request.uri().path(), path);
        memory.backend(backend).send_response(stream, &ok(), true).expect("open");
        memory.settle();
    }
    assert_eq!(said(&mut memory, client).matches("HTTP/1.1 200").count(), 3);
}

#[test]
fn a_request_that_is_malformed_gets_400_and_the_connection_closes() {
    for wrong in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\nhost: a\n\n",
        "GARBAGE\r\n\r\n",
    ] {
        let mut memory = Memory::new(|_| {});
        let client = memory.connect_mute();
        memory.inject(client, wrong.as_bytes());
        let response = said(&mut memory, client);
        assert!(response.starts_with("HTTP/1.1 400 "), "{wrong:?}: {response}");
        assert!(response.contains("connection: close\r\n"), "{response}");
        assert_eq!(memory.shutdowns, [client], "{wrong:?}");
        assert!(memory.dials.is_empty(), "no octet of it reaches a backend");
        assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::RequestMalformed));
    }
}

/// Half a request: no answer of the gateway's own kind, but one by its name.
#[test]
fn answers_to_what_is_no_whole_request_say_whose_they_are() {
    let broken = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n";
    for (half, status) in [(broken, "400 Bad Request"), ("GET / HTTP/1.1\r\nhos", "408 Request Timeout")] {
        let mut memory = Memory::new(|config| config.via = "a.gateway".into());
        let client = memory.connect_mute();
        memory.inject(client, half.as_bytes());
        memory.wait(Duration::from_secs(60));
        let expected = format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\
             proxy-status: a.gateway; error=http_request_error\r\n\r\n"
        );
        assert_eq!(said(&mut memory, client), expected);
    }
}

/// Trailers are fields as those of heads are, and who cannot read a request to its end has answered it.
#[test]
fn what_a_client_hears_of_content_that_cannot_be_read_is_in_its_record() {
    let post = |rest: &str| format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{rest}");
    let long = format!("0\r\nx-a: {}\r\n\r\n", "a".repeat(5000));
    let many = format!("0\r\n{}\r\n", "x-a: 1\r\n".repeat(120));
    for (rest, status) in [("nonsense\r\n", 400), (&long, 431), (&many, 431)] {
        let mut memory = Memory::new(|config| {
            (config.front.max_header_list_size, config.front.max_fields) = (4096, 100);
        });
        let client = memory.connect_mute();
        memory.inject(client, post(rest).as_bytes());
        assert!(said(&mut memory, client).starts_with(&format!("HTTP/1.1 {status} ")), "{status}");
        let record = &memory.records[0];
        assert_eq!((record.status, record.outcome), (status, Outcome::ClientError));
        let hits = memory.gateway.snapshot(0, memory.now).limits[Limit::RequestHead as usize];
        assert_eq!(hits, u64::from(status == 431));
    }
}

/// There is no gRPC over HTTP/1.1: 200 would say that all is well.
#[test]
fn a_call_over_http_1_is_answered_as_any_request() {
    for version in ["1.0", "1.1"] {
        let mut memory = Memory::new(|config| config.routes.clear());
        let client = memory.connect_mute();
        let request = format!("POST / HTTP/{version}\r\nhost: a\r\ncontent-type: application/grpc\r\n\r\n");
        memory.inject(client, request.as_bytes());
        let said = said(&mut memory, client);
        assert!(said.starts_with("HTTP/1.1 404 ") && !said.contains("grpc-status"), "{said}");
    }
}

/// A request without a stream, or a stream that failed: never both.
#[test]
fn a_rule_that_a_client_breaks_is_counted_once() {
    let content = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n";
    for (broken, counts) in [(content, (1, 0)), ("GET / HTTP/1.1\r\n\r\n", (0, 1))] {
        let mut memory = Memory::new(|_| {});
        let client = memory.connect_mute();
        memory.inject(client, broken.as_bytes());
        let front = memory.gateway.snapshot(0, memory.now).front;
        let streams: u64 = front.stream_errors.0.iter().sum();
        assert_eq!((streams, front.traffic.malformed), counts, "{broken:?}");
    }
}

#[test]
fn other_refusals_have_their_own_status() {
    for (request, status) in [
        ("PRI * HTTP/2.1\r\n\r\n".to_owned(), "505"),
        ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n".to_owned(), "501"),
        (format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(70_000)), "431"),
        (format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(130_000)), "414"),
    ] {
        let mut memory = Memory::new(|_| {});
        let client = memory.connect_mute();
        memory.inject(client, request.as_bytes());
        let response = said(&mut memory, client);
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {response}");
    }
}

#[test]
fn http10_and_connection_close_end_the_connection_behind_the_response() {
    for (request, framing) in [
        ("GET / HTTP/1.0\r\n\r\n", "\r\n\r\nhello"),
        ("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let mut memory = Memory::new(|config| config.front.authority_required = false);
        memory.backend_config.authority_required = false;
        let client = memory.connect_mute();
        let response = exchange(&mut memory, client, request, b"hello");
        assert!(response.contains("connection: close\r\n") && response.ends_with(framing), "{response}");
        assert_eq!(memory.shutdowns, [client]);
    }
    let mut memory = Memory::new(|config| config.front.authority_required = false);
    memory.backend_config.authority_required = false;
    let client = memory.connect_mute();
    let request = "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n";
    let response = exchange(&mut memory, client, request, b"");
    assert!(response.to_lowercase().contains("connection: keep-alive\r\n"), "{response}");
    assert!(memory.shutdowns.is_empty());
}

#[test]
fn a_client_that_has_ended_its_requests_still_gets_its_responses() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    memory.inject(client, GET.as_bytes());
    let backend = backend(&memory);
    memory.shut(client);
    let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
    memory.backend(backend).send_response(stream, &ok(), true).expect("open");
    memory.settle();
    assert!(said(&mut memory, client).starts_with("HTTP/1.1 200 "));
    assert_eq!(memory.closed, [client], "nothing more can come");
    assert_eq!(memory.records[0].outcome, Outcome::Complete);
    assert_eq!(memory.records[0].version, Version::Http11);
}

#[test]
fn a_request_that_is_cut_short_is_cancelled_behind() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    memory.inject(client, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf");
    let backend = backend(&memory);
    assert_eq!(requests(&mut memory, backend).len(), 1);
    memory.shut(client);
    let reset = std::iter::from_fn(|| memory.backend(backend).poll_event().expect("sound"))
        .any(|event| matches!(event, ServerEvent::Reset { error_code: ErrorCode::CANCEL, .. }));
    assert!(reset);
    assert_eq!(memory.records[0].outcome, Outcome::ClientGone);
    assert_eq!(memory.closed, [client]);
}

#[test]
fn a_response_that_breaks_off_never_ends_cleanly() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    memory.inject(client, GET.as_bytes());
    let backend = backend(&memory);
    let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
    memory.backend(backend).send_response(stream, &ok(), false).expect("open");
    memory.backend(backend).send_data(stream, b"half", false).expect("open");
    memory.settle();
    memory.backend(backend).reset(stream, ErrorCode::INTERNAL_ERROR);
    memory.settle();
    let response = said(&mut memory, client);
    assert!(response.ends_with("4\r\nhalf\r\n"), "{response}");
    assert!(memory.shutdowns.contains(&client) || memory.closed.contains(&client));
}

#[test]
fn a_slow_backend_holds_the_upload_of_its_client() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    memory.inject(client, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1048576\r\n\r\n");
    let backend = backend(&memory);
    let mut given = 0;
    let chunk = [7; 16 << 10];
    while let shuntyard_core::gateway::RecvBuf::Buffer(_) = memory.gateway.recv_buf(client) {
        memory.inject(client, &chunk);
        given += chunk.len();
        assert!(given < 1 << 20, "nothing holds it");
    }
    assert!(given <= 4 * 65_536, "{given} octets were taken");
    // It goes on as the backend reads.
    let mut read = 0;
    for _ in 0..1000 {
        while let Some(event) = memory.backend(backend).poll_event().expect("sound") {
            if let ServerEvent::Data { stream, data, credit, .. } = event {
                read += data.len();
                memory.backend(backend).release(stream, credit);
            }
        }
        memory.settle();
        if given < 1 << 20
            && let shuntyard_core::gateway::RecvBuf::Buffer(_) = memory.gateway.recv_buf(client)
        {
            memory.inject(client, &chunk);
            given += chunk.len();
        }
    }
    assert_eq!((given, read), (1 << 20, 1 << 20));
}

#[test]
fn an_early_response_lets_the_connection_serve_the_next_request() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    memory.inject(client, b"POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf ");
    let backend = backend(&memory);
    let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
    let response = Response::builder().status(413).body(()).expect("one");
    memory.backend(backend).send_response(stream, &response, true).expect("open");
    memory.settle();
    assert!(said(&mut memory, client).starts_with("HTTP/1.1 413 "));
    memory.inject(client, b"rest!GET /2 HTTP/1.1\r\nhost: a\r\n\r\n");
    answer_rest(&mut memory, backend);
    assert!(said(&mut memory, client).starts_with("HTTP/1.1 200 "));
}

fn answer_rest(memory: &mut Memory, backend: ConnId) {
    for (stream, _) in requests(memory, backend) {
        memory.backend(backend).send_response(stream, &ok(), true).expect("open");
    }
    memory.settle();
}

#[test]
fn b71_interim_responses_reach_the_client() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    memory.inject(client, b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
    let backend = backend(&memory);
    let (stream, request) = requests(&mut memory, backend).pop().expect("the request");
    assert_eq!(request.headers()["expect"], "100-continue");
    let go_on = Response::builder().status(100).body(()).expect("one");
    memory.backend(backend).send_response(stream, &go_on, false).expect("open");
    memory.settle();
    assert!(said(&mut memory, client).starts_with("HTTP/1.1 100 "));
    memory.inject(client, b"hi");
    answer_early(&mut memory, backend, stream);
    assert!(said(&mut memory, client).starts_with("HTTP/1.1 200 "));
}

/// L8: what a client has not seen rules no second attempt out.
#[test]
fn rfc9110_15_2_interim_responses_that_a_client_does_not_get_cost_it_nothing() {
    for (version, attempts) in [("1.0", 2), ("1.1", 1)] {
        let mut memory = Memory::new(|_| {});
        let client = memory.connect_mute();
        memory.inject(client, format!("GET / HTTP/{version}\r\nhost: a\r\n\r\n").as_bytes());
        let first = backend(&memory);
        let (stream, _) = requests(&mut memory, first).pop().expect("the request");
        let hints = Response::builder().status(103).body(()).expect("a response");
        memory.backend(first).send_response(stream, &hints, false).expect("open");
        memory.settle();
        memory.kill(first);
        assert_eq!(said(&mut memory, client).contains(" 502 "), attempts == 1, "{version}");
        assert_eq!(memory.dials.len(), attempts, "{version}");
    }
}

#[test]
fn interim_responses_come_without_what_header_rules_take_out() {
    let mut memory = Memory::new(|config| {
        config.routes[0].response_headers = vec![
            HeaderRule::Remove { name: "x-internal".into() },
            HeaderRule::Set { name: "link".into(), value: "</b>".into() },
            HeaderRule::Add { name: "x-added".into(), value: "1".into() },
        ];
    });
    let client = memory.connect_mute();
    memory.inject(client, GET.as_bytes());
    let backend = backend(&memory);
    let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
    let hints =
        Response::builder().status(103).header("x-internal", "7").header("link", "</a>").header("x-y", "z");
    memory.backend(backend).send_response(stream, &hints.body(()).expect("a response"), false).expect("open");
    memory.settle();
    let interim = said(&mut memory, client);
    assert!(interim.starts_with("HTTP/1.1 103 ") && interim.contains("x-y: z\r\n"), "{interim}");
    assert!(["x-internal", "link", "x-added"].iter().all(|name| !interim.contains(name)), "{interim}");
    memory.backend(backend).send_response(stream, &ok(), true).expect("open");
    memory.settle();
    let response = said(&mut memory, client);
    assert!(["link: </b>\r\n", "x-added: 1\r\n"].iter().all(|line| response.contains(line)), "{response}");
}

fn answer_early(memory: &mut Memory, backend: ConnId, stream: shuntyard_core::h2::StreamKey) {
    memory.backend(backend).send_response(stream, &ok(), true).expect("open");
    memory.settle();
}

#[test]
fn slow_heads_and_idle_connections_are_closed_in_time() {
    req!("9112-9.5-01");
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    memory.inject(client, b"GET / HT");
    memory.wait(Duration::from_secs(200));
    assert!(said(&mut memory, client).starts_with("HTTP/1.1 408 "), "a head that does not end");
    assert!(memory.closed.contains(&client));
    // Our side first, so that what was said arrives.
    assert_eq!((&memory.shutdowns[..], &memory.aborted[..]), (&[client][..], &[][..]));

    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    let response = exchange(&mut memory, client, GET, b"");
    assert!(response.starts_with("HTTP/1.1 200 "));
    memory.wait(Duration::from_secs(1000));
    assert!(memory.closed.contains(&client), "an idle connection");
    assert!(memory.shutdowns.contains(&client) && memory.aborted.is_empty(), "gracefully");
    assert_eq!(said(&mut memory, client), "");
}

/// RFC 9112 section 9.5: what is on its way when the connection has had its time is served, and its response says that it was the last.
#[test]
fn rfc9112_9_6_a_client_whose_time_is_over_hears_so_with_its_next_response() {
    let aged = |age: u64| {
        let mut memory = Memory::new(|config| {
            config.timeouts.front_age = Duration::from_secs(age);
            let silence = Duration::from_secs(1000);
            (config.timeouts.suspect_idle, config.timeouts.suspect_silent) = (silence, silence);
        });
        let client = memory.connect_mute();
        let response = exchange(&mut memory, client, GET, b"");
        assert!(
            response.starts_with("HTTP/1.1 200 ") && !response.contains("connection: close"),
            "{response}"
        );
        (memory, client)
    };
    // Idle, then it asks.
    let (mut memory, client) = aged(30);
    memory.wait(Duration::from_secs(40));
    assert!(memory.shutdowns.is_empty() && memory.closed.is_empty(), "a request may be on its way");
    let post = "POST / HTTP/1.1\r\nhost: example.com\r\ncontent-length: 2\r\n\r\nhi";
    let response = exchange(&mut memory, client, post, b"");
    assert!(
        response.starts_with("HTTP/1.1 200 ") && response.contains("connection: close\r\n"),
        "{response}"
    );
    assert_eq!(memory.shutdowns, [client]);
    // Idle, and it asks for nothing.
    let (mut memory, client) = aged(30);
    memory.wait(Duration::from_secs(80));
    assert!(memory.shutdowns.contains(&client) && said(&mut memory, client).is_empty());
    // In the middle of its next head.
    let (mut memory, client) = aged(30);
    memory.wait(Duration::from_secs(26));
    memory.inject(client, b"GET / HTTP/1.1\r\nhost: ");
    memory.wait(Duration::from_secs(9));
    let response = exchange(&mut memory, client, "a\r\n\r\n", b"");
    assert!(
        response.starts_with("HTTP/1.1 200 ") && response.contains("connection: close\r\n"),
        "{response}"
    );
    // While a request is under way whose response has not begun; then while one has.
    for begun in [false, true] {
        let (mut memory, client) = aged(30);
        memory.wait(Duration::from_secs(26));
        memory.inject(client, GET.as_bytes());
        let backend = backend(&memory);
        let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
        if begun {
            memory.backend(backend).send_response(stream, &ok(), false).expect("open");
            memory.settle();
        }
        memory.wait(Duration::from_secs(9));
        if begun {
            memory.backend(backend).send_data(stream, b"", true).expect("open");
        } else {
            memory.backend(backend).send_response(stream, &ok(), true).expect("open");
        }
        memory.settle();
        let response = said(&mut memory, client);
        assert_eq!(response.contains("connection: close\r\n"), !begun, "{response}");
        assert_eq!(memory.shutdowns.contains(&client), !begun);
        if begun {
            let response = exchange(&mut memory, client, GET, b"");
            assert!(response.contains("connection: close\r\n"), "{response}");
        }
    }
}

#[test]
fn a_late_head_costs_the_requests_before_it_nothing() {
    let mut memory = Memory::new(|config| config.timeouts.suspect_silent = Duration::from_secs(1000));
    let client = memory.connect_mute();
    memory.inject(client, format!("{GET}GET /2").as_bytes());
    memory.wait(Duration::from_secs(30));
    let backend = backend(&memory);
    let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
    assert_eq!((said(&mut memory, client).as_str(), memory.closed.len()), ("", 0));
    memory.backend(backend).send_response(stream, &ok(), true).expect("open");
    memory.settle();
    let response = said(&mut memory, client);
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    assert!(response.contains("\r\n\r\nHTTP/1.1 408 Request Timeout\r\nconnection: close\r\n"), "{response}");
    assert!(memory.shutdowns.contains(&client) && memory.records[0].outcome == Outcome::Complete);
}

/// The requests before it are no less to be answered where the connection ends with them, which the last answer says instead of 408.
#[test]
fn a_late_head_costs_the_requests_before_it_nothing_on_a_connection_that_ends() {
    for is_drain in [true, false] {
        let mut memory = Memory::new(|config| {
            config.timeouts.suspect_silent = Duration::from_secs(1000);
            if !is_drain {
                config.timeouts.front_age = Duration::from_secs(5);
            }
        });
        let client = memory.connect_mute();
        memory.inject(client, format!("{GET}GET /2").as_bytes());
        if is_drain {
            let deadline = Duration::from_secs(100);
            memory.gateway.handle_command(shuntyard_core::gateway::Command::Drain { deadline }, memory.now);
            memory.settle();
        }
        memory.wait(Duration::from_secs(30));
        let backend = backend(&memory);
        let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
        assert_eq!((said(&mut memory, client).as_str(), memory.closed.len()), ("", 0));
        memory.backend(backend).send_response(stream, &ok(), true).expect("open");
        memory.settle();
        let response = said(&mut memory, client);
        let is_last = response.contains("connection: close\r\n") && response.ends_with("\r\n\r\n");
        assert!(response.starts_with("HTTP/1.1 200 ") && is_last, "{response}");
        assert_eq!(response.matches("HTTP/1.1 ").count(), 1, "{response}");
        assert!(memory.shutdowns.contains(&client) && memory.records[0].outcome == Outcome::Complete);
    }
}

#[test]
fn who_has_begun_to_ask_is_not_idle() {
    let mut memory = Memory::new(|config| config.timeouts.field_block = Duration::from_secs(20));
    let client = memory.connect_mute();
    exchange(&mut memory, client, GET, b"");
    memory.wait(Duration::from_secs(70));
    memory.inject(client, b"GET / HTTP/1.1\r\nhost: ");
    memory.wait(Duration::from_secs(10));
    assert!(exchange(&mut memory, client, "a\r\n\r\n", b"").starts_with("HTTP/1.1 200 "));
    // Its own deadline is that of a head.
    memory.wait(Duration::from_secs(70));
    memory.inject(client, b"GET / HTTP/1.1\r\nhost: ");
    memory.wait(Duration::from_secs(21));
    assert!(said(&mut memory, client).starts_with("HTTP/1.1 408 "));
}

/// What is on its way when a drain begins is answered, and no more: a client cannot know before.
#[test]
fn b67_a_drain_answers_who_is_asking() {
    let mut memory = Memory::new(|_| {});
    let clients = [(); 4].map(|()| memory.connect_mute());
    let [fresh, slow, late, idle] = clients;
    for client in clients {
        assert!(exchange(&mut memory, client, GET, b"").starts_with("HTTP/1.1 200 "));
    }
    let (begun, rest) = GET.split_at(20);
    memory.inject(slow, begun.as_bytes());
    memory.inject(late, begun.as_bytes());
    let command = shuntyard_core::gateway::Command::Drain { deadline: Duration::from_secs(60) };
    memory.gateway.handle_command(command, memory.now);
    memory.settle();
    // Idle connections have a moment for what is on its way.
    memory.wait(Duration::from_millis(400));
    assert_eq!(memory.shutdowns, []);
    let is_last =
        |response: &str| response.starts_with("HTTP/1.1 200 ") && response.contains("connection: close\r\n");
    let response = exchange(&mut memory, fresh, GET, b"");
    assert!(is_last(&response), "{response}");
    memory.wait(Duration::from_millis(200));
    assert_eq!(memory.shutdowns, [fresh, idle]);
    // A head that has begun has the time that heads have.
    memory.wait(Duration::from_secs(5));
    let response = exchange(&mut memory, slow, rest, b"");
    assert!(is_last(&response), "{response}");
    memory.wait(Duration::from_secs(5));
    assert!(said(&mut memory, late).starts_with("HTTP/1.1 408 "));
    assert!(clients.iter().all(|client| memory.shutdowns.contains(client)));
}

#[test]
fn a_drain_says_connection_close_and_lets_requests_finish() {
    let mut memory = Memory::new(|_| {});
    let (busy, idle) = (memory.connect_mute(), memory.connect_mute());
    assert!(exchange(&mut memory, idle, GET, b"").starts_with("HTTP/1.1 200 "));
    memory.inject(busy, GET.as_bytes());
    let command = shuntyard_core::gateway::Command::Drain { deadline: Duration::from_secs(30) };
    memory.gateway.handle_command(command, memory.now);
    memory.settle();
    memory.wait(Duration::from_secs(5));
    let backend = backend(&memory);
    answer_rest(&mut memory, backend);
    let response = said(&mut memory, busy);
    assert!(
        response.starts_with("HTTP/1.1 200 ") && response.contains("connection: close\r\n"),
        "{response}"
    );
    memory.wait(Duration::from_secs(20));
    assert_eq!(memory.drained, Some(0));
}

#[test]
fn where_http1_is_not_spoken_clients_are_told_so() {
    let mut memory = Memory::new(|config| config.http1 = false);
    let client = memory.connect_mute();
    memory.inject(client, GET.as_bytes());
    assert!(said(&mut memory, client).starts_with("HTTP/1.1 505 "));

    let mut memory = Memory::new(|config| config.http2 = false);
    let client = memory.connect_mute();
    memory.inject(client, shuntyard_core::frame::PREFACE);
    assert!(said(&mut memory, client).starts_with("HTTP/1.1 505 "));
}

#[test]
fn each_listener_speaks_what_it_says_and_a_new_configuration_changes_nothing_of_it() {
    let address: core::net::SocketAddr = "127.0.0.1:50001".parse().expect("an address");
    for (only, spoken) in [(Protocol::Http2, false), (Protocol::Http1, true)] {
        let listener = ListenerConfig { only: Some(only), ..ListenerConfig::new(address.into()) };
        let mut memory = Memory::new(|config| config.listeners = vec![listener]);
        memory.reconfigure(|config| config.listeners.clear());
        let (http1, http2) = (memory.connect_mute(), memory.connect_mute());
        memory.inject(http1, GET.as_bytes());
        memory.inject(http2, shuntyard_core::frame::PREFACE);
        assert_eq!(said(&mut memory, http1).starts_with("HTTP/1.1 505 "), !spoken);
        assert_eq!(memory.sent_to(http2).starts_with(b"HTTP/1.1 505 "), spoken);
    }
}

/// Whoever waits for the response before is not to blame, nor is its client.
#[test]
fn a_response_that_waits_for_its_turn_is_not_one_that_nobody_reads() {
    let mut memory = Memory::new(|config| {
        let long = Duration::from_secs(400);
        (config.timeouts.response, config.timeouts.suspect_silent) = (long, long);
    });
    let client = memory.connect_mute();
    memory.inject(client, (GET.to_owned() + GET).as_bytes());
    let backend = backend(&memory);
    let asked: Vec<_> = requests(&mut memory, backend).into_iter().map(|(stream, _)| stream).collect();
    let [first, second] = asked[..] else { panic!("{asked:?}") };
    memory.backend(backend).send_response(second, &ok(), false).expect("open");
    memory.backend(backend).send_data(second, b"half, ", false).expect("open");
    memory.settle();
    memory.wait(Duration::from_secs(390));
    assert_eq!(memory.records.len(), 0);
    memory.backend(backend).send_response(first, &ok(), true).expect("open");
    memory.backend(backend).send_data(second, b"whole", true).expect("open");
    memory.settle();
    let said = said(&mut memory, client);
    assert!(said.ends_with("\r\nb\r\nhalf, whole\r\n0\r\n\r\n"), "{said}");
    let outcomes: Vec<_> = memory.records.iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::Complete; 2]);
}
