//! The gateway where two things happen at once, or none where one was expected.

mod memory;

use core::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response};
use memory::Memory;
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::{Action, Connected, RecvBuf};
use shuntyard_core::h2::{ServerEvent, StreamKey};
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

/// A request that was handed over with its trailers is not sent again without them.
#[test]
fn a_refused_request_with_trailers_is_not_repeated_in_part() {
    for late in [false, true] {
        let mut memory = Memory::new(|_| {});
        let client = memory.connect(ConnectionConfig::default());
        let stream = memory.client(client).send_request(&request("POST"), false).expect("a slot");
        if late {
            memory.settle();
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("checksum", HeaderValue::from_static("17"));
        memory.client(client).send_trailers(stream, &trailers).expect("an open stream");
        memory.settle();
        let backend = memory.backends()[0];
        let stream = arrived(&mut memory, backend);
        memory.backend(backend).reset(stream, ErrorCode::REFUSED_STREAM);
        memory.settle();
        assert!(matches!(memory.backend(backend).poll_event(), Ok(None)), "late: {late}");
        assert_eq!(memory.records[0].status, 502);
    }
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
