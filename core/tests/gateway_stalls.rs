//! Content that stands still: nobody holds a backend's stream for ever.

mod memory;

use core::time::Duration;

use http::{Request, Response};
use memory::Memory;
use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::{ClientEvent, ServerEvent};
use shuntyard_core::record::{Cause, Outcome};
use shuntyard_core::time::Instant;

#[test]
fn a_client_whose_window_stays_closed_loses_its_stream_and_nobody_elses() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig { initial_window_size: 0, ..ConnectionConfig::default() });
    memory
        .client(client)
        .send_request(&Request::get("http://a/").body(()).expect("a request"), true)
        .expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let Ok(Some(ServerEvent::Request { stream, .. })) = memory.backend(backend).poll_event() else {
        panic!("the request did not arrive")
    };
    memory.backend(backend).send_response(stream, &Response::new(()), false).expect("an open stream");
    memory.backend(backend).send_data(stream, &[1; 1000], false).expect("an open stream");
    for second in [59, 61, 119, 121] {
        memory.settle();
        assert_eq!(memory.records.len(), 0, "before second {second}");
        memory.now = Instant::ZERO + Duration::from_secs(second);
        memory.gateway.handle_timeout(memory.now);
        if !memory.records.is_empty() || memory.gateway.view().requests == 0 {
            break;
        }
    }
    memory.settle();
    assert_eq!(memory.records[0].outcome, Outcome::Truncated(Cause::StreamIdle));
    assert_eq!((memory.gateway.view().live, memory.gateway.view().reserved_octets), (0, 0));
    let mut last = None;
    while let Some(event) = memory.client(client).poll_event().expect("a sound connection") {
        last = Some(event);
    }
    assert!(matches!(last, Some(ClientEvent::Reset { .. })), "{last:?}");
    let reset = memory.backend(backend).poll_event();
    assert!(matches!(reset, Ok(Some(ServerEvent::Reset { error_code: ErrorCode::CANCEL, .. }))), "{reset:?}");
}

#[test]
fn an_upload_that_stands_still_is_answered_in_time() {
    let mut memory = Memory::new(|config| config.timeouts.stream_idle = Duration::from_secs(30));
    let client = memory.connect(ConnectionConfig::default());
    let stream = memory
        .client(client)
        .send_request(&Request::post("http://a/").body(()).expect("a request"), false)
        .expect("a slot");
    memory.client(client).send_data(stream, b"half", false).expect("an open stream");
    memory.settle();
    memory.now = Instant::ZERO + Duration::from_secs(31);
    memory.gateway.handle_timeout(memory.now);
    memory.settle();
    assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::StreamIdle));
    assert_eq!(memory.gateway.view().live, 0);
}
