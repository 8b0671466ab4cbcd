//! Content that stands still: nobody holds a backend's stream for ever.

mod memory;

use core::time::Duration;

use http::{Request, Response};
use memory::Memory;
use memory::talk::{ask, events, get, ok, post, requests};
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
    let events = events(&mut memory, client);
    assert!(matches!(events[..], [.., ClientEvent::Reset { .. }, ClientEvent::GoAway { .. }]), "{events:?}");
    let reset = memory.backend(backend).poll_event();
    assert!(matches!(reset, Ok(Some(ServerEvent::Reset { error_code: ErrorCode::CANCEL, .. }))), "{reset:?}");
}

/// CVE-2016-1546: its connection ends with the last of its streams, rather than being kept for the time of an idle one.
#[test]
fn a_client_that_takes_nothing_of_all_it_asked_for_is_gone_after_a_minute() {
    // Backends of these tests answer no PING unless somebody looks.
    let mut memory = Memory::new(|config| config.timeouts.suspect_silent = Duration::from_secs(3600));
    let [deaf, waiting] = [(); 2]
        .map(|()| memory.connect(ConnectionConfig { initial_window_size: 0, ..ConnectionConfig::default() }));
    for (client, path) in [(deaf, "/"), (deaf, "/"), (waiting, "/"), (waiting, "/nothing-yet")] {
        ask(&mut memory, client, path);
    }
    for backend in memory.backends() {
        for (stream, request) in requests(&mut memory, backend) {
            memory.backend(backend).send_response(stream, &ok(), false).expect("an open stream");
            if request.uri().path() == "/" {
                memory.backend(backend).send_data(stream, &[1; 1000], true).expect("an open stream");
            }
        }
    }
    memory.settle();
    memory.wait(Duration::from_secs(59));
    assert_eq!(
        (memory.records.len(), memory.shutdowns.len()),
        (0, 0),
        "they have a minute: {:?}",
        memory.records
    );
    memory.wait(Duration::from_secs(2));
    assert_eq!(memory.records.len(), 3);
    assert!(memory.records.iter().all(|record| record.outcome == Outcome::Truncated(Cause::StreamIdle)));
    assert_eq!(memory.shutdowns, [deaf], "the other one waits for something");
}

/// A client that has asked for so much at once, and has been sent what the connection's window had at first: no stream's own window holds anything up.
fn waiting_for_the_connection(memory: &mut Memory, requests_sent: usize) -> shuntyard_core::key::ConnId {
    let config = ConnectionConfig {
        initial_window_size: (1 << 31) - 1,
        connection_window_size: 65_535,
        ..ConnectionConfig::default()
    };
    let client = memory.connect(config);
    memory.learn_offers(client);
    for n in 0..requests_sent {
        ask(memory, client, &format!("/{n}"));
    }
    let mut answered = 0;
    for backend in memory.backends() {
        for (stream, _) in requests(memory, backend) {
            memory.backend(backend).send_response(stream, &ok(), false).expect("an open stream");
            memory.backend(backend).send_data(stream, &[1; 128 << 10], true).expect("an open stream");
            answered += 1;
        }
    }
    for _ in 0..3 {
        memory.settle();
        for backend in memory.backends() {
            requests(memory, backend);
        }
    }
    memory.settle();
    assert_eq!((answered, memory.records.len()), (requests_sent, 0));
    client
}

/// RFC 9113 section 10.5, CVE-2016-1546 and CVE-2018-17189: the connection's window holds up all of its streams, none of which waits for another. Signs of life and an octet
/// now and then are not what they wait for.
#[test]
fn b65_a_client_that_opens_no_window_of_its_connection_loses_all_streams() {
    const STREAMS: usize = 50;
    let window_update_by_one = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    for (what, sign, every) in
        [("pings", &ping[..], 5), ("a window", &window_update_by_one, 50), ("nothing", &[], 50)]
    {
        // Backends of these tests answer no PING unless somebody looks.
        let mut memory = Memory::new(|config| config.timeouts.suspect_silent = Duration::from_secs(3600));
        let client = waiting_for_the_connection(&mut memory, STREAMS);
        let until = memory.now + Duration::from_secs(180);
        while memory.now < until && memory.records.len() < STREAMS {
            if !sign.is_empty() {
                memory.inject(client, &sign.repeat(if sign == ping { 100 } else { 1 }));
            }
            memory.wait(Duration::from_secs(every));
        }
        // An octet now and then is no progress of the one whose turn it is either.
        assert_eq!(memory.records.len(), STREAMS, "{what}");
        let stalled = Outcome::Truncated(Cause::StreamIdle);
        assert!(memory.records.iter().all(|record| record.outcome == stalled), "{what}");
        assert_eq!(memory.gateway.view().requests, 0, "{what}");
    }
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

/// Many backends end a response by an empty DATA frame. It may come while content still waits for the client's window.
#[test]
fn a_bare_end_waits_for_the_content_before_it() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig { initial_window_size: 2, ..ConnectionConfig::default() });
    memory.client(client).send_request(&get("/"), true).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let (stream, _) = requests(&mut memory, backend).remove(0);
    memory.backend(backend).send_response(stream, &ok(), false).expect("an open stream");
    memory.backend(backend).send_data(stream, b"abc", false).expect("an open stream");
    memory.settle();
    memory.backend(backend).send_data(stream, b"", true).expect("an open stream");
    memory.settle();
    assert!(memory.records.is_empty(), "an octet waits: {:?}", memory.records);
    let (mut content, mut ended) = (Vec::new(), false);
    while let Some(event) = memory.client(client).poll_event().expect("a sound connection") {
        match event {
            ClientEvent::Data { stream, data, credit, end } => {
                content.extend_from_slice(&data);
                ended = end;
                memory.client(client).release(stream, credit);
                memory.settle();
            }
            ClientEvent::Reset { .. } => panic!("a whole response ends cleanly"),
            _ => {}
        }
    }
    assert_eq!((content.as_slice(), ended), (&b"abc"[..], true));
    assert_eq!((memory.records[0].outcome, memory.records[0].response_octets), (Outcome::Complete, 3));
}

/// The same of an upload: the backend has its time for the response from the end of the request, and not before.
#[test]
fn a_bare_end_of_an_upload_waits_for_the_content_before_it() {
    let mut memory = Memory::new(|config| config.timeouts.response = Duration::from_secs(5));
    memory.backend_config.initial_window_size = 2;
    let client = memory.connect(ConnectionConfig::default());
    let stream = memory.client(client).send_request(&post("/"), false).expect("a slot");
    memory.settle();
    memory.client(client).send_data(stream, b"abc", false).expect("an open stream");
    memory.settle();
    memory.client(client).send_data(stream, b"", true).expect("an open stream");
    memory.settle();
    memory.wait(Duration::from_secs(6));
    assert!(memory.records.is_empty(), "an octet of the request waits: {:?}", memory.records);
    let backend = memory.backends()[0];
    assert_eq!(requests(&mut memory, backend).len(), 1);
    memory.settle();
    assert!(memory.records.is_empty(), "the request has left: {:?}", memory.records);
    memory.wait(Duration::from_secs(6));
    assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::ResponseTimeout));
}

/// RFC 9113 section 8.1: who has answered whole before the request was, wants no more of it; and the reset that says so takes
/// nothing of the answer away.
#[test]
fn an_upload_that_was_answered_is_ended_on_both_sides() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig { initial_window_size: 2, ..ConnectionConfig::default() });
    let upload = memory.client(client).send_request(&post("/"), false).expect("a slot");
    memory.settle();
    let backend = memory.backends()[0];
    let (stream, _) = requests(&mut memory, backend).remove(0);
    memory.backend(backend).send_response(stream, &ok(), false).expect("an open stream");
    memory.backend(backend).send_data(stream, b"abc", true).expect("an open stream");
    memory.settle();
    let told = memory.backend(backend).poll_event();
    assert!(
        matches!(told, Ok(Some(ServerEvent::Reset { .. }))),
        "the backend is told to wait no more: {told:?}"
    );
    let (mut content, mut reset) = (Vec::new(), None);
    while let Some(event) = memory.client(client).poll_event().expect("a sound connection") {
        match event {
            ClientEvent::Data { stream, data, credit, .. } => {
                content.extend_from_slice(&data);
                memory.client(client).release(stream, credit);
                memory.settle();
            }
            ClientEvent::Reset { stream, error_code } => reset = Some((stream, error_code)),
            _ => {}
        }
    }
    assert_eq!((content.as_slice(), reset), (&b"abc"[..], Some((upload, ErrorCode::NO_ERROR))));
    assert_eq!(memory.records[0].outcome, Outcome::Complete);
}
