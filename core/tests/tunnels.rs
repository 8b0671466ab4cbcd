//! Tunnels: extended CONNECT from client to backend (RFC 8441), and who must not have one.

mod memory;

use http::{Method, Request, Response, StatusCode};
use memory::Memory;
use memory::talk::{ask, content, events, ok, requests};
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::{ClientEvent, Protocol, ServerEvent, StreamKey};
use shuntyard_core::key::ConnId;
use shuntyard_core::record::{AttemptOutcome, Cause, Outcome};
use shuntyard_requirements::req;

fn offering() -> ConnectionConfig {
    ConnectionConfig { extended_connect: true, ..ConnectionConfig::default() }
}

/// A gateway in front of backends that understand extended CONNECT.
fn memory() -> Memory {
    let mut memory = Memory::new(|_| {});
    memory.backend_config = offering();
    memory
}

fn upgrade(protocol: &str) -> Request<()> {
    Request::builder()
        .method(Method::CONNECT)
        .uri("http://example.com/chat?room=1")
        .header("sec-websocket-version", "13")
        .extension(Protocol(protocol.to_owned()))
        .body(())
        .expect("a request")
}

fn ask_for_tunnel(memory: &mut Memory, client: ConnId, protocol: &str) -> StreamKey {
    memory.learn_offers(client);
    let stream = memory.client(client).send_request(&upgrade(protocol), false).expect("a slot");
    memory.settle();
    stream
}

/// A tunnel whose backend has agreed: both of its ends.
fn tunnel(memory: &mut Memory) -> ((ConnId, StreamKey), (ConnId, StreamKey)) {
    tunnel_of(memory, ConnectionConfig::default())
}

fn tunnel_of(memory: &mut Memory, config: ConnectionConfig) -> ((ConnId, StreamKey), (ConnId, StreamKey)) {
    let client = memory.connect(config);
    let stream = ask_for_tunnel(memory, client, "websocket");
    let backend = memory.backends()[0];
    let (far, request) = requests(memory, backend).pop().expect("the request");
    assert_eq!(request.method(), Method::CONNECT);
    assert_eq!(request.extensions().get::<Protocol>(), Some(&Protocol("websocket".to_owned())));
    assert_eq!(request.uri().path_and_query().expect("a path").as_str(), "/chat?room=1");
    memory.backend(backend).send_response(far, &ok(), false).expect("an open stream");
    memory.settle();
    assert!(matches!(&events(memory, client)[..], [ClientEvent::Response { end: false, .. }]));
    ((client, stream), (backend, far))
}

fn content_at(memory: &mut Memory, backend: ConnId) -> (Vec<u8>, bool) {
    let mut octets = Vec::new();
    let mut ended = false;
    while let Some(event) = memory.backend(backend).poll_event().expect("a sound connection") {
        if let ServerEvent::Data { data, end, stream, credit, .. } = event {
            octets.extend_from_slice(&data);
            ended |= end;
            memory.backend(backend).release(stream, credit);
        }
    }
    (octets, ended)
}

/// RFC 8441 section 5, RFC 9113 section 8.5: what broke is not this gateway.
#[test]
fn a_tunnel_that_breaks_with_its_backend_is_cancelled() {
    let mut memory = memory();
    let ((client, stream), (backend, _)) = tunnel(&mut memory);
    memory.kill(backend);
    let seen = events(&mut memory, client);
    let cancelled = |event: &ClientEvent| matches!(event, ClientEvent::Reset { stream: of, error_code } if (*of, *error_code) == (stream, ErrorCode::CANCEL));
    assert!(matches!(&seen[..], [event] if cancelled(event)), "{seen:?}");

    let mut memory = Memory::new(|config| config.routes[0].connect = true);
    let client = memory.connect(ConnectionConfig::default());
    let connect = Request::connect("example.com:443").body(()).expect("a request");
    memory.client(client).send_request(&connect, false).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let (far, _) = requests(&mut memory, backend).pop().expect("the request");
    memory.backend(backend).send_response(far, &ok(), false).expect("an open stream");
    memory.settle();
    memory.kill(backend);
    let seen = events(&mut memory, client);
    let failed = |event: &ClientEvent| matches!(event, ClientEvent::Reset { error_code, .. } if *error_code == ErrorCode::CONNECT_ERROR);
    assert!(matches!(&seen[..], [ClientEvent::Response { .. }, event] if failed(event)), "{seen:?}");
}

#[test]
fn b73_octets_go_both_ways_and_either_side_ends_first() {
    req!("8441-3-02", "8441-4-01", "8441-4-03", "8441-5-01");
    for client_first in [true, false] {
        let mut memory = memory();
        let ((client, stream), (backend, far)) = tunnel(&mut memory);
        memory.client(client).send_data(stream, b"ping", client_first).expect("open");
        memory.settle();
        assert_eq!(content_at(&mut memory, backend), (b"ping".to_vec(), client_first));
        memory.backend(backend).send_data(far, b"pong", !client_first).expect("open");
        memory.settle();
        assert_eq!(content(&events(&mut memory, client)), (b"pong".to_vec(), !client_first));
        assert!(memory.records.is_empty(), "one direction is still open");
        if client_first {
            memory.backend(backend).send_data(far, b"last words", true).expect("still open");
            memory.settle();
            assert_eq!(content(&events(&mut memory, client)), (b"last words".to_vec(), true));
        } else {
            memory.client(client).send_data(stream, b"last words", true).expect("still open");
            memory.settle();
            assert_eq!(content_at(&mut memory, backend), (b"last words".to_vec(), true));
        }
        let outcomes: Vec<_> = memory.records.iter().map(|record| record.outcome).collect();
        assert_eq!(outcomes, [Outcome::Complete]);
        let view = memory.gateway.view();
        assert_eq!((view.live, view.reserved_octets), (0, 0));
    }
}

#[test]
fn a_tunnel_that_breaks_is_reset_on_the_other_side() {
    let mut memory = memory();
    let ((client, stream), (backend, far)) = tunnel(&mut memory);
    memory.client(client).send_data(stream, b"", true).expect("open");
    memory.settle();
    memory.backend(backend).send_data(far, b"what was on its way", false).expect("open");
    memory.settle();
    memory.kill(backend);
    let seen = events(&mut memory, client);
    assert_eq!(content(&seen), (b"what was on its way".to_vec(), false));
    assert!(matches!(seen.last(), Some(ClientEvent::Reset { .. })), "{seen:?}");
    assert_eq!(memory.records[0].outcome, Outcome::Truncated(Cause::ConnectionTerminated));
}

#[test]
fn a_bare_end_waits_for_the_octets_before_it() {
    let mut memory = memory();
    let config = ConnectionConfig { initial_window_size: 1000, ..ConnectionConfig::default() };
    let ((client, stream), (backend, far)) = tunnel_of(&mut memory, config);
    memory.client(client).send_data(stream, b"", true).expect("open");
    memory.settle();
    // More than the client's window, all of which the gateway takes; then nothing but the end.
    memory.backend(backend).send_data(far, &[7; 50_000], false).expect("open");
    memory.settle();
    content_at(&mut memory, backend);
    memory.backend(backend).send_data(far, b"", true).expect("open");
    memory.settle();
    assert!(memory.records.is_empty(), "octets wait for the client");
    let (mut all, mut ended) = (0, false);
    for _ in 0..60 {
        for event in events(&mut memory, client) {
            if let ClientEvent::Data { stream, data, credit, end } = event {
                all += data.len();
                ended |= end;
                memory.client(client).release(stream, credit);
            }
        }
        memory.settle();
        content_at(&mut memory, backend);
        memory.settle();
    }
    assert_eq!((all, ended), (50_000, true));
    assert_eq!(memory.records[0].outcome, Outcome::Complete);
}

/// The backend has said all that it had to say, and wants no more of what the client sends: so end nghttpx and Go's server.
#[test]
fn rfc9113_8_1_a_tunnel_whose_backend_has_ended_may_be_reset_without_an_error() {
    req!("9113-8.1-07");
    // All that it said had left; or it waits for the client's window, its end with it.
    for (octets, together) in [(4, true), (4, false), (50_000, true), (50_000, false)] {
        let mut memory = memory();
        let config = ConnectionConfig { initial_window_size: 1000, ..ConnectionConfig::default() };
        let ((client, stream), (backend, far)) = tunnel_of(&mut memory, config);
        memory.client(client).send_data(stream, b"unread", false).expect("open");
        memory.settle();
        memory.backend(backend).send_data(far, &vec![7; octets], true).expect("open");
        if !together {
            memory.settle();
        }
        memory.backend(backend).reset(far, ErrorCode::NO_ERROR);
        let (mut all, mut ended, mut reset) = (0, false, None);
        for _ in 0..60 {
            memory.settle();
            for event in events(&mut memory, client) {
                match event {
                    ClientEvent::Data { stream, data, credit, end } => {
                        all += data.len();
                        ended |= end;
                        memory.client(client).release(stream, credit);
                        // It may not have heard yet that nobody listens.
                        let _ = memory.client(client).send_data(stream, b"more", false);
                    }
                    ClientEvent::Reset { error_code, .. } => reset = Some(error_code),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!((all, ended, reset), (octets, true, Some(ErrorCode::NO_ERROR)), "{octets}, {together}");
        let outcomes: Vec<_> = memory.records.iter().map(|record| record.outcome).collect();
        assert_eq!(outcomes, [Outcome::Complete]);
        assert_eq!(memory.attempts[0].outcome, AttemptOutcome::Complete);
        let view = memory.gateway.view();
        assert_eq!((view.requests, view.reserved_octets, view.buffered_octets), (0, 0, 0));
        assert_eq!(memory.backends(), [backend], "others may use the connection");
    }
}

/// One that has not ended, or ends with an error, has broken off.
#[test]
fn a_tunnel_that_is_reset_before_its_end_is_broken() {
    for (end, code) in [(false, ErrorCode::NO_ERROR), (true, ErrorCode::CANCEL)] {
        let mut memory = memory();
        let ((client, _), (backend, far)) = tunnel(&mut memory);
        memory.backend(backend).send_data(far, b"half a word", end).expect("open");
        memory.settle();
        memory.backend(backend).reset(far, code);
        memory.settle();
        let seen = events(&mut memory, client);
        assert!(
            matches!(seen.last(), Some(ClientEvent::Reset { error_code, .. }) if *error_code == ErrorCode::CANCEL)
        );
        assert_eq!(memory.records[0].outcome, Outcome::Truncated(Cause::BackendReset(code)));
    }
}

#[test]
fn a_slow_reader_holds_the_other_end_of_its_tunnel() {
    let mut memory = memory();
    let ((client, stream), (backend, _)) = tunnel(&mut memory);
    // Nobody reads at the backend: two windows and no more are taken.
    memory.client(client).send_data(stream, &vec![7; 1 << 20], false).expect("open");
    memory.settle();
    let waiting = memory.client(client).queued(stream);
    assert!(waiting >= (1 << 20) - 2 * 65_535, "{waiting} octets wait");
    let mut all = 0;
    loop {
        let (octets, _) = content_at(&mut memory, backend);
        if octets.is_empty() {
            break;
        }
        all += octets.len();
        memory.settle();
        // The client hears of its windows.
        assert!(events(&mut memory, client).is_empty());
        memory.settle();
    }
    assert_eq!(all, 1 << 20);
}

#[test]
fn a_backend_that_refuses_a_tunnel_gives_an_ordinary_response() {
    let mut memory = memory();
    let client = memory.connect(ConnectionConfig::default());
    ask_for_tunnel(&mut memory, client, "websocket");
    let backend = memory.backends()[0];
    let (far, _) = requests(&mut memory, backend).pop().expect("the request");
    let refusal = Response::builder().status(StatusCode::FORBIDDEN).body(()).expect("a response");
    memory.backend(backend).send_response(far, &refusal, false).expect("open");
    memory.backend(backend).send_data(far, b"no", true).expect("open");
    memory.settle();
    let seen = events(&mut memory, client);
    assert_eq!(content(&seen), (b"no".to_vec(), true));
    assert_eq!(memory.records[0].outcome, Outcome::Complete);
}

#[test]
fn rfc8441_3_a_backend_that_offers_no_tunnels_is_asked_for_none() {
    req!("9113-5.5-05");
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    // Its SETTINGS are awaited first.
    ask_for_tunnel(&mut memory, client, "websocket");
    let seen = events(&mut memory, client);
    assert!(
        matches!(&seen[0], ClientEvent::Response { response, .. } if response.status() == 502),
        "{seen:?}"
    );
    assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::NoTunnel));
    let backend = memory.backends()[0];
    assert!(requests(&mut memory, backend).is_empty());
    // The connection serves others.
    ask(&mut memory, client, "/");
    assert_eq!(requests(&mut memory, backend).len(), 1);
}

/// Its backend has not said yet whether it offers tunnels; whoever needs none does not wait for that.
#[test]
fn a_request_for_a_tunnel_holds_up_nobody_else() {
    let mut memory = Memory::new(|config| config.upstreams[0].assumed_streams = 10);
    memory.mute_backends = true;
    let client = memory.connect(ConnectionConfig::default());
    ask_for_tunnel(&mut memory, client, "websocket");
    let backend = memory.backends()[0];
    ask(&mut memory, client, "/1");
    ask_for_tunnel(&mut memory, client, "websocket");
    ask(&mut memory, client, "/2");
    let view = memory.gateway.view();
    assert_eq!((view.live, view.frozen), (2, 2), "the tunnels wait");
    // It does offer them: SETTINGS_ENABLE_CONNECT_PROTOCOL.
    memory.inject(backend, &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1]);
    let view = memory.gateway.view();
    assert_eq!((view.live, view.frozen, memory.dials.len()), (4, 0, 1));
}

#[test]
fn only_what_the_route_allows_is_passed_on() {
    req!("9110-8.6-06", "9110-9.3.6-05", "9110-9.3.6-06");
    let mut memory = memory();
    let client = memory.connect(ConnectionConfig::default());
    ask_for_tunnel(&mut memory, client, "connect-udp");
    let connect = Request::connect("example.com:443").body(()).expect("a request");
    memory.client(client).send_request(&connect, false).expect("a slot");
    memory.settle();
    let outcomes: Vec<_> = memory.records.iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::LocalReply(Cause::NotServed); 2]);

    let mut memory = Memory::new(|config| config.routes[0].connect = true);
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&connect, false).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let (far, request) = requests(&mut memory, backend).pop().expect("the request");
    assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::CONNECT, "example.com:443"));
    // It says a length, which a tunnel has not.
    let agreed = Response::builder().header("content-length", "5").body(()).expect("a response");
    memory.backend(backend).send_response(far, &agreed, false).expect("open");
    memory.settle();
    let seen = events(&mut memory, client);
    let [ClientEvent::Response { response, end: false, .. }] = &seen[..] else { panic!("{seen:?}") };
    assert!(!response.headers().contains_key("content-length"));
}

#[test]
fn rfc8441_3_clients_are_told_that_tunnels_are_understood() {
    req!("8441-3-03");
    let mut memory = memory();
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    let frames = memory.sent_to(client);
    let setting = [0, 8, 0, 0, 0, 1];
    assert!(frames.windows(6).any(|octets| octets == setting), "{frames:?}");
}

/// Its answer is HTTP's: one of gRPC's, whose status is 200, would say that the tunnel stands.
#[test]
fn a_tunnel_that_is_refused_here_is_not_answered_in_the_form_of_grpc() {
    let mut memory = memory();
    let client = memory.connect(ConnectionConfig::default());
    memory.learn_offers(client);
    let mut request = upgrade("connect-udp");
    request.headers_mut().insert("content-type", "application/grpc".parse().expect("a value"));
    memory.client(client).send_request(&request, false).expect("a slot");
    memory.settle();
    let seen = events(&mut memory, client);
    assert!(
        matches!(&seen[0], ClientEvent::Response { response, .. } if response.status() == 501),
        "{seen:?}"
    );
}

/// What a backend said is forgotten with the connection on which it said so: it may have been told to allow tunnels since.
#[test]
fn a_backend_that_offered_none_is_asked_again_once_its_connection_is_gone() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    ask_for_tunnel(&mut memory, client, "websocket");
    let refused: Vec<_> = memory.records.iter().map(|record| record.outcome).collect();
    assert_eq!(refused, [Outcome::LocalReply(Cause::NoTunnel)]);
    ask_for_tunnel(&mut memory, client, "websocket");
    assert_eq!((memory.records.len(), memory.dials.len()), (2, 1), "as long as it stands that is so");
    let first = memory.backends()[0];
    memory.backend_config = offering();
    memory.kill(first);
    ask_for_tunnel(&mut memory, client, "websocket");
    let backend = memory.backends()[0];
    assert_eq!((requests(&mut memory, backend).len(), memory.records.len()), (1, 2));
}
