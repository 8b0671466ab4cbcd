//! The gateway where two things happen at once, or none where one was expected.

#[allow(dead_code, reason = "shared with other test binaries")]
mod memory;

use core::time::Duration;

use http::{Request, Response};
use memory::Memory;
use memory::talk::{answer_all, ask, events};
use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, ConfigError, ConnectionConfig};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::{Action, Connected, RecvBuf};
use shuntyard_core::h2::{ClientEvent, ServerEvent, StreamKey};
use shuntyard_core::key::ConnId;
use shuntyard_core::time::Instant;

fn request(method: &str) -> Request<()> {
    Request::builder().method(method).uri("http://example.com/").body(()).expect("a request")
}

fn ok() -> Response<()> {
    Response::builder().status(200).body(()).expect("a response")
}

/// The one request that reached the backend, whose content's credit the backend keeps.
fn arrived(memory: &mut Memory, backend: ConnId) -> StreamKey {
    let mut arrived = None;
    while let Some(event) = memory.backend(backend).poll_event().expect("a sound connection") {
        if let ServerEvent::Request { stream, .. } = event {
            assert_eq!(arrived.replace(stream), None);
        }
    }
    arrived.expect("a request")
}

fn at_ms(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

/// What a client or backend has to say is read, and nothing is written.
fn read(memory: &mut Memory, conn: ConnId, octets: &[u8]) {
    let RecvBuf::Buffer(buffer) = memory.gateway.recv_buf(conn) else { panic!("reading is not paused") };
    buffer[..octets.len()].copy_from_slice(octets);
    memory.gateway.handle_recv(conn, octets.len(), memory.now);
}

/// An upload that an early response ends is dropped: its octets go back although the response still waits.
#[test]
fn w4_an_upload_that_lost_its_use_is_credited_at_once() {
    let mut memory = Memory::new(|config| config.front.connection_window_size = 65_535);
    memory.backend_config.initial_window_size = 1000;
    let client = memory.connect(ConnectionConfig { initial_window_size: 100, ..ConnectionConfig::default() });
    memory.client(client).send_request(&request("GET"), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let stream = arrived(&mut memory, backend);
    memory.backend(backend).send_response(stream, &ok(), true).expect("an open stream");
    memory.settle();
    let first = memory.client(client).send_request(&request("POST"), false).expect("a slot");
    memory.client(client).send_data(first, &[1; 65_535], false).expect("an open stream");
    memory.settle();
    let stream = arrived(&mut memory, backend);
    memory.backend(backend).send_response(stream, &ok(), false).expect("an open stream");
    memory.backend(backend).send_data(stream, &[2; 1000], true).expect("an open stream");
    memory.settle();
    let second = memory.client(client).send_request(&request("POST"), false).expect("a slot");
    memory.client(client).send_data(second, &[3; 30_000], true).expect("an open stream");
    while let Ok(Some(_)) = memory.client(client).poll_event() {}
    memory.settle();
    assert_eq!(memory.client(client).queued(second), 0, "nothing holds the second upload up");
}

/// Time in which there was nothing to write is no stall.
#[test]
fn t4_output_stalls_from_the_moment_at_which_it_waits() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&request("GET"), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let stream = arrived(&mut memory, backend);
    // A long poll is answered after 58.5 seconds, and the client's socket is full.
    memory.now = at_ms(58_500);
    memory.gateway.handle_timeout(memory.now);
    memory.backend(backend).send_response(stream, &ok(), true).expect("an open stream");
    let octets = memory.backend(backend).poll_transmit().expect("a response").to_vec();
    read(&mut memory, backend, &octets);
    assert!(memory.gateway.poll_transmit(client, memory.now).is_some());
    let mut closed_at = None;
    for ms in (59_000..200_000).step_by(500) {
        // Told again and again that nothing left.
        memory.gateway.handle_sent(client, 0, at_ms(ms));
        memory.gateway.handle_timeout(at_ms(ms));
        while let Some(action) = memory.gateway.poll_action() {
            if action == Action::Close(client) {
                closed_at.get_or_insert(ms);
            }
        }
    }
    let closed_at = closed_at.expect("a client that takes nothing is given up");
    assert!(
        (118_500..=178_500).contains(&closed_at),
        "one period to two after the response was there: {closed_at}"
    );
}

#[test]
fn x6_a_fin_on_a_connection_that_does_not_stand_is_ignored() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&request("GET"), true).expect("a slot");
    let octets = memory.client(client).poll_transmit().expect("a request").to_vec();
    read(&mut memory, client, &octets);
    let actions: Vec<_> = std::iter::from_fn(|| memory.gateway.poll_action()).collect();
    let dialled = actions.iter().find_map(|action| match action {
        Action::Connect { conn, .. } => Some(*conn),
        _ => None,
    });
    let dialled = dialled.expect("a dial");
    memory.gateway.handle_read_closed(dialled, memory.now);
    assert_eq!(memory.gateway.ignored_events(), 1);
    memory.gateway.handle_connected(dialled, Connected::default(), memory.now);
    assert!(matches!(memory.gateway.recv_buf(dialled), RecvBuf::Buffer(_)));
}

/// A server is silent before the preface, and a connection that does not stand shows nothing.
#[test]
fn what_was_not_shown_has_not_left() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    memory.gateway.handle_sent(client, 100, memory.now);
    assert_eq!(memory.gateway.ignored_events(), 0);
    memory.hold_connects = true;
    ask(&mut memory, client, "/");
    let backend = memory.held[0];
    memory.gateway.handle_sent(backend, 100, memory.now);
    assert_eq!(memory.gateway.ignored_events(), 1);
    memory.release_connects();
    assert_eq!(answer_all(&mut memory), ["/"]);
    let answered = |event: &ClientEvent| matches!(event, ClientEvent::Response { .. });
    assert!(events(&mut memory, client).iter().any(answered));
}

/// Nothing with content would ever pass.
#[test]
fn no_window_begins_with_nothing() {
    for (front, backend) in [(0, 1), (1, 0), (1, 1)] {
        let mut config = Config::new(vec![Address::unspecified()]);
        config.front.initial_window_size = front;
        config.backend.initial_window_size = backend;
        let wrong = ConfigError::OutOfRange {
            name: "initial_window_size",
            value: 0,
            min: 1,
            max: u64::from(shuntyard_core::config::MAX_WINDOW),
        };
        assert_eq!(config.validate(), if front * backend == 0 { Err(wrong) } else { Ok(()) });
    }
}

/// A deadline that is over when it is armed would be armed again for ever.
#[test]
fn t5_no_timeout_is_zero() {
    let mut config = Config::new(vec![]);
    config.timeouts.front_idle = Duration::ZERO;
    let error = config.validate().expect_err("nothing lasts no time");
    assert!(matches!(error, ConfigError::OutOfRange { name: "front_idle", value: 0, .. }), "{error}");
}

/// A backend to which no connection may be made would be one whose requests wait for ever.
#[test]
fn an_upstream_without_connections_is_refused() {
    let upstream = Memory::new(|_| {}).config().upstreams[0].clone();
    for (protocol, name) in [("HTTP/2", "connections_max"), ("HTTP/1.1", "http1_connections_max")] {
        let mut upstream = upstream.clone();
        let max = if protocol == "HTTP/2" {
            &mut upstream.connections_max
        } else {
            &mut upstream.http1_connections_max
        };
        *max = 0;
        let error = upstream.validate().expect_err(protocol);
        assert!(matches!(error, ConfigError::OutOfRange { name: of, value: 0, .. } if of == name), "{error}");
    }
}

/// E9: a client that opens and resets streams as fast as it can (CVE-2023-44487) costs the others nothing: neither their
/// backend connection nor memory without limit.
#[test]
fn e9_rapid_resets_disturb_nobody_else() {
    let mut memory = Memory::new(|_| {});
    let victim = memory.connect(ConnectionConfig::default());
    memory.client(victim).send_request(&request("GET"), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let stream = arrived(&mut memory, backend);
    let attacker = memory.connect(ConnectionConfig::default());
    memory.settle();
    // The backend reads nothing meanwhile.
    for _ in 0..50 {
        for _ in 0..100 {
            let stream = memory.client(attacker).send_request(&request("GET"), true).expect("a slot");
            memory.client(attacker).reset(stream, ErrorCode::CANCEL);
        }
        let octets = memory.client(attacker).poll_transmit().expect("requests").to_vec();
        memory.client(attacker).handle_sent(octets.len());
        read(&mut memory, attacker, &octets);
    }
    assert!(memory.gateway.view().buffered_octets < 512 << 10, "{:?}", memory.gateway.view());
    memory.settle();
    assert_eq!(memory.backends().first(), Some(&backend), "the shared connection stands");
    memory.backend(backend).send_response(stream, &ok(), true).expect("an open stream");
    memory.settle();
    let record = memory.records.iter().find(|record| record.request.0 == 0).expect("the victim's record");
    assert_eq!(record.status, 200);
}

/// The connection fails while its buffer is lent, and what it held is dropped: what is read meanwhile is of no use, and does no harm.
#[test]
fn a_buffer_is_lent_while_what_was_held_goes() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect_mute();
    // The preface, and the most of a frame that never becomes whole.
    memory.inject(
        client,
        &[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\x10\0\x04\0\0\0\0\0"[..], &[0; 2_000]].concat(),
    );
    let RecvBuf::Buffer(buffer) = memory.gateway.recv_buf(client) else { panic!("it takes input") };
    buffer[..1_500].fill(0);
    memory.now = memory.now + Duration::from_secs(60);
    memory.gateway.handle_timeout(memory.now);
    let said = memory.gateway.poll_transmit(client, memory.now).map_or(0, <[u8]>::len);
    memory.gateway.handle_sent(client, said, memory.now);
    assert_eq!(memory.gateway.view().buffered_octets, 0, "what it held is gone");
    memory.gateway.handle_recv(client, 1_500, memory.now);
    assert_eq!(memory.gateway.view().buffered_octets, 0);
}
