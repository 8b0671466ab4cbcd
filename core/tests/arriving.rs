//! Connections in front of which a handshake of TLS stands, as the core sees them: they are there, and say nothing yet.

#[allow(dead_code, reason = "shared with other test binaries")]
mod memory;

use std::net::SocketAddr;
use std::sync::Arc;

use memory::talk::{answer_all, ask, events};
use memory::{Memory, Peer};
use shuntyard_core::config::{Alpn, ConnectionConfig, HostPattern, ListenerConfig, NameGroups, Protocol};
use shuntyard_core::fields::FieldSection;
use shuntyard_core::gateway::{Accepted, Closed, Command, Connected, RecvBuf};
use shuntyard_core::h2::{Client, ClientEvent};
use shuntyard_core::hooks::{Context, Hooks, Verdict};
use shuntyard_core::key::ConnId;
use shuntyard_core::record::{Cause, Outcome};
use shuntyard_core::time::Duration;
use shuntyard_core::tls::{TlsFacts, TlsFailure};

fn arrive(memory: &mut Memory) -> ConnId {
    let peer: SocketAddr = "192.0.2.1:50000".parse().expect("an address");
    let id = memory.gateway.handle_arriving(Accepted { peer: peer.into(), local: peer.into() }, memory.now);
    memory.settle();
    id
}

/// The handshake is over; `protocol` is what it has agreed on.
fn shaken(memory: &mut Memory, id: ConnId, protocol: Option<Protocol>) {
    let tls = Some(Arc::new(TlsFacts::default()));
    memory.gateway.handle_connected(id, Connected { protocol, tls }, memory.now);
    memory.settle();
}

fn client(memory: &mut Memory, id: ConnId) {
    let client = Client::new(ConnectionConfig::default(), 1).expect("a valid configuration");
    memory.peers.insert(id, Peer::Client(Box::new(client)));
}

fn said(memory: &mut Memory, id: ConnId) -> String {
    String::from_utf8(memory.sent_to(id)).expect("text")
}

fn statuses(memory: &mut Memory, id: ConnId) -> Vec<u16> {
    let status = |event: &ClientEvent| match event {
        ClientEvent::Response { response, .. } => Some(response.status().as_u16()),
        _ => None,
    };
    events(memory, id).iter().filter_map(status).collect()
}

#[test]
fn nothing_is_read_or_written_before_the_handshake_is_done() {
    let mut memory = Memory::new(|_| ());
    let id = arrive(&mut memory);
    assert!(matches!(memory.gateway.recv_buf(id), RecvBuf::Gone));
    assert!(memory.gateway.poll_transmit(id, memory.now).is_none());
    assert_eq!(memory.gateway.view().fronts, 1, "but it counts");
    // Octets that come all the same are nobody's.
    let ignored = memory.gateway.ignored_events();
    memory.gateway.handle_recv(id, 10, memory.now);
    assert_eq!(memory.gateway.ignored_events(), ignored + 1);
}

#[test]
fn what_alpn_has_chosen_is_spoken_and_otherwise_http1() {
    let mut memory = Memory::new(|_| ());
    let id = arrive(&mut memory);
    shaken(&mut memory, id, Some(Protocol::Http2));
    client(&mut memory, id);
    ask(&mut memory, id, "/");
    answer_all(&mut memory);
    assert_eq!(statuses(&mut memory, id), [200]);
    for protocol in [Some(Protocol::Http1), None] {
        let mut memory = Memory::new(|_| ());
        let id = arrive(&mut memory);
        shaken(&mut memory, id, protocol);
        memory.inject(id, b"GET / HTTP/1.1\r\nhost: example.com\r\n\r\n");
        answer_all(&mut memory);
        assert!(said(&mut memory, id).starts_with("HTTP/1.1 200 "), "{protocol:?}");
    }
}

/// RFC 9113 section 3.3: over TLS HTTP/2 is agreed on, or not spoken.
#[test]
fn rfc9113_3_3_who_has_agreed_on_nothing_does_not_get_http2() {
    let mut memory = Memory::new(|_| ());
    let id = arrive(&mut memory);
    shaken(&mut memory, id, None);
    memory.inject(id, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    assert!(said(&mut memory, id).starts_with("HTTP/1.1 "), "an answer of HTTP/1.1");
    assert_eq!(memory.dials.len(), 0);
    // Where HTTP/1.1 is not spoken, there is nothing to say.
    let mut memory = Memory::new(|config| config.http1 = false);
    let id = arrive(&mut memory);
    shaken(&mut memory, id, None);
    assert_eq!((memory.closed.clone(), said(&mut memory, id)), (vec![id], String::new()));
}

/// In a drain, too, there are no more than may be.
#[test]
fn who_arrives_in_a_drain_counts() {
    let mut memory = Memory::new(|config| config.max_fronts = 1);
    memory.gateway.handle_command(Command::Drain { deadline: Duration::from_secs(60) }, memory.now);
    let first = arrive(&mut memory);
    let second = arrive(&mut memory);
    assert_eq!(memory.closed, [second]);
    assert_ne!(first, second);
}

/// RFC 7301 section 3.2: what was chosen is definitive for the connection.
#[test]
fn whoever_has_agreed_on_one_protocol_and_speaks_another_is_not_served() {
    let mut memory = Memory::new(|_| ());
    let id = arrive(&mut memory);
    shaken(&mut memory, id, Some(Protocol::Http2));
    memory.inject(id, b"GET / HTTP/1.1\r\nhost: example.com\r\n\r\n");
    assert_eq!((memory.started, memory.dials.len()), (0, 0));
    memory.wait(Duration::from_secs(30));
    assert_eq!(memory.gateway.view().fronts, 0);
}

#[test]
fn a_handshake_that_never_ends_has_the_deadline_of_the_preface() {
    let mut memory = Memory::new(|config| config.timeouts.preface = Duration::from_secs(10));
    let id = arrive(&mut memory);
    memory.wait(Duration::from_millis(9_999));
    assert_eq!(memory.closed, []);
    memory.wait(Duration::from_millis(1));
    assert_eq!(memory.closed, [id]);
    // What its adapter says of it later is of nobody.
    let ignored = memory.gateway.ignored_events();
    shaken(&mut memory, id, None);
    assert_eq!(memory.gateway.ignored_events(), ignored + 1);
}

#[test]
fn a_handshake_that_failed_leaves_nothing() {
    let mut memory = Memory::new(|_| ());
    let id = arrive(&mut memory);
    memory.gateway.handle_closed(id, Closed::Tls(TlsFailure::NotTls), memory.now);
    memory.settle();
    assert_eq!((memory.gateway.view().fronts, memory.gateway.poll_timeout()), (0, None));
    assert_eq!(memory.records.len(), 0);
}

#[test]
fn beyond_the_limit_of_clients_nobody_shakes_hands() {
    let mut memory = Memory::new(|config| config.max_fronts = 1);
    let first = arrive(&mut memory);
    let second = arrive(&mut memory);
    assert_eq!(memory.closed, [second]);
    shaken(&mut memory, first, Some(Protocol::Http2));
    assert_eq!(memory.gateway.view().fronts, 1);
}

/// Whoever shakes hands while the gateway drains cannot know of that: what it asks for at once is answered, with the word that it is the last
/// (RFC 9113 section 6.8, RFC 9112 section 9.6).
#[test]
fn a_drain_lets_handshakes_end_and_answers_what_is_asked_behind_them() {
    for protocol in [Some(Protocol::Http2), Some(Protocol::Http1), None] {
        for http1 in [false, true] {
            if (protocol == Some(Protocol::Http2)) == http1 {
                continue;
            }
            let mut memory = Memory::new(|_| ());
            let busy = memory.connect(ConnectionConfig::default());
            ask(&mut memory, busy, "/");
            let before = arrive(&mut memory);
            let drain = Command::Drain { deadline: Duration::from_secs(60) };
            memory.gateway.handle_command(drain, memory.now);
            memory.settle();
            let after = arrive(&mut memory);
            for id in [before, after] {
                shaken(&mut memory, id, protocol);
                assert_eq!((&memory.closed[..], &memory.shutdowns[..]), (&[][..], &[][..]));
                if http1 {
                    memory.inject(id, b"GET / HTTP/1.1\r\nhost: example.com\r\n\r\n");
                } else {
                    client(&mut memory, id);
                    ask(&mut memory, id, "/");
                }
            }
            answer_all(&mut memory);
            for id in [before, after] {
                if http1 {
                    let said = said(&mut memory, id);
                    assert!(
                        said.starts_with("HTTP/1.1 200 ") && said.contains("connection: close\r\n"),
                        "{said}"
                    );
                } else {
                    let events = events(&mut memory, id);
                    let told = |event: &ClientEvent| matches!(event, ClientEvent::GoAway { .. });
                    assert!(events.iter().any(told), "{events:?}");
                    let answered = |event: &ClientEvent| matches!(event, ClientEvent::Response { .. });
                    assert!(events.iter().any(answered), "{events:?}");
                }
            }
            assert_eq!(statuses(&mut memory, busy), [200]);
            memory.wait(Duration::from_secs(10));
            assert_eq!(
                (memory.drained, memory.gateway.poll_timeout()),
                (Some(0), None),
                "{protocol:?} {http1}"
            );
        }
    }
}

/// It does not wait for those who then say nothing, whatever they have agreed on: half a second is a round trip, amply.
#[test]
fn a_drain_does_not_wait_for_who_says_nothing_behind_the_handshake() {
    for protocol in [Some(Protocol::Http2), Some(Protocol::Http1), None] {
        let mut memory = Memory::new(|_| ());
        let id = arrive(&mut memory);
        memory.gateway.handle_command(Command::Drain { deadline: Duration::from_secs(60) }, memory.now);
        memory.wait(Duration::from_secs(2));
        shaken(&mut memory, id, protocol);
        memory.wait(Duration::from_millis(499));
        assert_eq!(memory.shutdowns, [], "{protocol:?}");
        memory.wait(Duration::from_millis(1));
        assert_eq!(memory.shutdowns, [id], "{protocol:?}");
    }
}

/// Nor for those who have said HTTP/2's preface and nothing more.
#[test]
fn a_drain_ends_who_answers_no_ping_behind_the_handshake() {
    let mut memory = Memory::new(|_| ());
    let id = arrive(&mut memory);
    memory.gateway.handle_command(Command::Drain { deadline: Duration::from_secs(60) }, memory.now);
    memory.settle();
    shaken(&mut memory, id, Some(Protocol::Http2));
    memory.inject(id, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    memory.wait(Duration::from_millis(499));
    assert_eq!(memory.shutdowns, []);
    memory.wait(Duration::from_millis(1));
    assert_eq!(memory.shutdowns, [id]);
}

/// Of one that came in a drain no deadline is left: neither of its age nor of its leave.
#[test]
fn who_came_in_a_drain_and_went_has_no_deadlines() {
    for protocol in [Some(Protocol::Http2), Some(Protocol::Http1), None] {
        let mut memory = Memory::new(|_| ());
        let busy = memory.connect(ConnectionConfig::default());
        ask(&mut memory, busy, "/");
        memory.gateway.handle_command(Command::Drain { deadline: Duration::from_secs(60) }, memory.now);
        memory.settle();
        let before = memory.gateway.view().deadlines;
        let id = arrive(&mut memory);
        shaken(&mut memory, id, protocol);
        memory.gateway.handle_closed(id, Closed::Reset, memory.now);
        memory.settle();
        assert_eq!(memory.gateway.view().deadlines, before, "{protocol:?}");
    }
}

/// A gateway whose endpoint may choose, and who shakes hands when the test says so.
fn of_either() -> Memory {
    let mut memory = Memory::new(|config| config.upstreams[0].endpoints[0].tls = Some(Alpn::Either));
    memory.hold_connects = true;
    memory
}

fn dialled(memory: &mut Memory, protocol: Protocol) -> ConnId {
    let id = memory.held.pop().expect("a dial");
    memory.peers.insert(id, Peer::Mute);
    shaken(memory, id, Some(protocol));
    id
}

#[test]
fn a_backend_that_chooses_http_1_is_spoken_to_in_it_and_expected_to_choose_it_again() {
    let mut memory = of_either();
    let front = memory.connect(ConnectionConfig::default());
    for n in 0..2 {
        ask(&mut memory, front, &format!("/{n}"));
        let backend = dialled(&mut memory, Protocol::Http1);
        let request = said(&mut memory, backend);
        assert!(request.starts_with(&format!("GET /{n} HTTP/1.1\r\n")), "{request}");
        memory.inject(backend, b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
        memory.shut(backend);
        assert_eq!(statuses(&mut memory, front), [204]);
    }
    // And where it changes its mind, so does the gateway.
    ask(&mut memory, front, "/2");
    let backend = dialled(&mut memory, Protocol::Http2);
    assert!(memory.sent_to(backend).starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
}

#[test]
fn a_handshake_that_failed_with_a_backend_is_told_by_its_own_cause() {
    let mut memory = of_either();
    let front = memory.connect(ConnectionConfig::default());
    ask(&mut memory, front, "/");
    let failure = TlsFailure::CertificateExpired;
    for id in std::mem::take(&mut memory.held) {
        memory.gateway.handle_closed(id, Closed::Tls(failure), memory.now);
    }
    memory.settle();
    assert_eq!(statuses(&mut memory, front), [502]);
    assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::Tls(failure)));
}

/// A gateway whose listener asks for certificates in a way of its own where clients come for `admin.example`.
fn guarded() -> Memory {
    let listener: SocketAddr = "192.0.2.1:50000".parse().expect("an address");
    let groups = NameGroups(vec![vec![HostPattern::Exact("admin.example".into())]]);
    Memory::new(|config| {
        config.listeners = vec![ListenerConfig { groups, ..ListenerConfig::new(listener.into()) }];
    })
}

/// A connection that was opened for this name.
fn opened_for(memory: &mut Memory, name: Option<&str>, protocol: Protocol) -> ConnId {
    let id = arrive(memory);
    let tls = TlsFacts { server_name: name.map(Arc::from), ..TlsFacts::default() };
    let facts = Connected { protocol: Some(protocol), tls: Some(Arc::new(tls)) };
    memory.gateway.handle_connected(id, facts, memory.now);
    memory.settle();
    id
}

/// RFC 9110 section 15.5.20: what a client has shown for one name, it has not shown for another.
#[test]
fn a_request_for_a_name_with_other_demands_is_misdirected() {
    let table = [
        (None, "example.com", 200),
        (None, "admin.example", 421),
        (None, "ADMIN.example.:443", 421),
        (Some("example.com"), "b.example", 200),
        (Some("example.com"), "admin.example:8443", 421),
        (Some("admin.example"), "admin.example", 200),
        (Some("admin.example"), "example.com", 421),
    ];
    for (name, authority, status) in table {
        let mut memory = guarded();
        let id = opened_for(&mut memory, name, Protocol::Http2);
        client(&mut memory, id);
        let request = http::Request::get(format!("https://{authority}/")).body(()).expect("a request");
        memory.client(id).send_request(&request, true).expect("a slot");
        memory.settle();
        answer_all(&mut memory);
        assert_eq!(statuses(&mut memory, id), [status], "{name:?} {authority}");
        let outcome = if status == 200 { Outcome::Complete } else { Outcome::LocalReply(Cause::Misdirected) };
        assert_eq!(memory.records[0].outcome, outcome);
        // The connection serves on, and so does HTTP/1.1.
        let id = opened_for(&mut memory, name, Protocol::Http1);
        memory.inject(id, format!("GET / HTTP/1.1\r\nhost: {authority}\r\n\r\n").as_bytes());
        answer_all(&mut memory);
        assert!(said(&mut memory, id).starts_with(&format!("HTTP/1.1 {status} ")));
    }
    // Whoever names nobody asks for nobody's.
    let mut memory = guarded();
    let id = opened_for(&mut memory, Some("admin.example"), Protocol::Http1);
    memory.inject(id, b"GET / HTTP/1.0\r\n\r\n");
    answer_all(&mut memory);
    let said = said(&mut memory, id);
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
}

/// A call by gRPC has both: the status of HTTP for what makes its connections, and its own, which is what gRPC makes of an HTTP status that it does not
/// know (UNKNOWN).
#[test]
fn a_call_by_grpc_that_is_misdirected_is_told_so_in_http_and_in_grpc() {
    let mut memory = guarded();
    let id = opened_for(&mut memory, Some("example.com"), Protocol::Http2);
    client(&mut memory, id);
    let call = http::Request::post("https://admin.example/a.B/c").header("content-type", "application/grpc");
    memory.client(id).send_request(&call.body(()).expect("a request"), true).expect("a slot");
    memory.settle();
    let events = events(&mut memory, id);
    let answer = events.iter().find_map(|event| match event {
        ClientEvent::Response { response, end: true, .. } => Some(response),
        _ => None,
    });
    let answer = answer.expect("an answer without content");
    assert_eq!((answer.status().as_u16(), answer.headers()["grpc-status"].as_bytes()), (421, &b"2"[..]));
    assert_eq!(answer.headers()["content-type"], "application/grpc");
}

/// What a client has shown is told to hooks and written down.
#[test]
fn hooks_and_records_know_who_a_client_has_proved_to_be() {
    struct Doorman;
    impl Hooks for Doorman {
        fn arrived(&mut self, context: &Context<'_>, _: &FieldSection) -> Verdict {
            let subject = context.tls.and_then(|tls| tls.subject.as_deref());
            let status = if subject == Some("CN=friend") { 202 } else { 403 };
            Verdict::Answer(http::Response::builder().status(status).body("".into()).expect("a response"))
        }
    }
    for (subject, status) in [(Some("CN=friend"), 202), (Some("CN=stranger"), 403), (None, 403)] {
        let mut memory = Memory::of(|_| (), |gateway| gateway.with_hooks(Box::new(Doorman)));
        let certificate = subject.map(|_| Arc::new([7; 32]));
        let verified = certificate.is_some();
        let tls = Arc::new(TlsFacts {
            certificate,
            subject: subject.map(Arc::from),
            verified,
            ..TlsFacts::default()
        });
        let id = arrive(&mut memory);
        let facts = Connected { protocol: Some(Protocol::Http2), tls: Some(tls.clone()) };
        memory.gateway.handle_connected(id, facts, memory.now);
        memory.settle();
        client(&mut memory, id);
        ask(&mut memory, id, "/");
        assert_eq!(statuses(&mut memory, id), [status]);
        assert_eq!(memory.records[0].tls, Some(tls));
    }
    // In clear there is nothing to know.
    let mut memory = Memory::new(|_| ());
    let front = memory.connect(ConnectionConfig::default());
    ask(&mut memory, front, "/");
    answer_all(&mut memory);
    assert_eq!(memory.records[0].tls, None);
}

/// Who is trusted has changed: those who have shown a certificate finish what they have begun, and come again.
#[test]
fn clients_with_certificates_are_asked_to_leave_where_others_are_trusted_now() {
    let mut memory = guarded();
    let listener: SocketAddr = "192.0.2.1:50000".parse().expect("an address");
    let mut known = |certificate: Option<[u8; 32]>| {
        let tls = TlsFacts { certificate: certificate.map(Arc::new), ..TlsFacts::default() };
        let id = arrive(&mut memory);
        let facts = Connected { protocol: Some(Protocol::Http2), tls: Some(Arc::new(tls)) };
        memory.gateway.handle_connected(id, facts, memory.now);
        client(&mut memory, id);
        memory.settle();
        id
    };
    let (shown, silent) = (known(Some([7; 32])), known(None));
    for id in [shown, silent] {
        ask(&mut memory, id, "/begun");
    }
    let elsewhere: SocketAddr = "192.0.2.2:50000".parse().expect("an address");
    for (listener, leaves) in [(elsewhere, false), (listener, true)] {
        memory.gateway.handle_command(Command::Part { listener: listener.into() }, memory.now);
        memory.settle();
        for id in [shown, silent] {
            let told = events(&mut memory, id);
            let goaway = told.iter().any(|event| matches!(event, ClientEvent::GoAway { .. }));
            assert_eq!(goaway, leaves && id == shown);
        }
    }
    answer_all(&mut memory);
    memory.wait(Duration::from_secs(10));
    assert_eq!((statuses_of_records(&memory), &memory.closed[..]), (vec![200, 200], &[shown][..]));
}

fn statuses_of_records(memory: &Memory) -> Vec<u16> {
    memory.records.iter().map(|record| record.status).collect()
}
