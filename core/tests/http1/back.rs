//! Backends of HTTP/1.1 behind clients of HTTP/2 and HTTP/1.1.

use http::Request;
use shuntyard_core::config::{ConnectionConfig, EndpointConfig, Protocol};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::Command;
use shuntyard_core::h2::{ClientEvent, StreamKey};
use shuntyard_core::key::ConnId;
use shuntyard_core::record::{AttemptOutcome, Cause, Outcome};
use shuntyard_core::time::Duration;
use shuntyard_requirements::req;

use crate::memory::Memory;
use crate::memory::talk::{ask, content, events, get, post, requests};
use crate::said;

/// A gateway whose only endpoint speaks HTTP/1.1, as the test says.
fn memory() -> Memory {
    let mut memory = Memory::new(|config| config.upstreams[0].endpoints[0].protocol = Protocol::Http1);
    memory.mute_backends = true;
    memory
}

fn statuses(seen: &[ClientEvent]) -> Vec<u16> {
    let status = |event: &ClientEvent| match event {
        ClientEvent::Response { response, .. } => Some(response.status().as_u16()),
        _ => None,
    };
    seen.iter().filter_map(status).collect()
}

fn start(memory: &mut Memory) -> (ConnId, StreamKey) {
    let client = memory.connect(ConnectionConfig::default());
    let stream = ask(memory, client, "/1");
    (client, stream)
}

#[test]
fn requests_one_after_the_other_reuse_one_connection() {
    let mut memory = memory();
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..3 {
        ask(&mut memory, client, &format!("/{n}"));
        let backend = memory.backends()[0];
        let request = said(&mut memory, backend);
        assert!(request.starts_with(&format!("GET /{n} HTTP/1.1\r\nhost: example.com\r\n")), "{request}");
        assert!(request.ends_with("\r\n\r\n") && !request.contains("connection:"), "{request}");
        memory.inject(backend, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        let seen = events(&mut memory, client);
        assert_eq!((statuses(&seen), content(&seen)), (vec![200], (b"hi".to_vec(), true)));
    }
    assert_eq!(memory.dials.len(), 1);
    assert_eq!(memory.attempts.iter().map(|attempt| attempt.stream_id).collect::<Vec<_>>(), [1, 2, 3]);
}

/// B76: an error whose content was replaced leaves its connection as it was.
#[test]
fn b76_a_replaced_error_does_not_end_the_connection() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints[0].protocol = Protocol::Http1;
        config.routes[0].replace_errors = vec![500];
    });
    memory.mute_backends = true;
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..3 {
        ask(&mut memory, client, &format!("/{n}"));
        let backend = memory.backends()[0];
        memory.inject(backend, b"HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n5\r\npanic");
        let seen = events(&mut memory, client);
        let own = b"500 Internal Server Error\n".to_vec();
        assert_eq!((statuses(&seen), content(&seen)), (vec![500], (own, true)));
        memory.inject(backend, b"\r\n5\r\nat 17\r\n0\r\n\r\n");
        assert!(memory.closed.is_empty());
    }
    assert_eq!(memory.dials.len(), 1);
}

#[test]
fn each_request_under_way_has_a_connection_up_to_the_maximum() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints[0].protocol = Protocol::Http1;
        config.upstreams[0].http1_connections_max = 3;
    });
    memory.mute_backends = true;
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..5 {
        ask(&mut memory, client, &format!("/{n}"));
    }
    assert_eq!(memory.dials.len(), 3);
    assert_eq!(memory.gateway.view().frozen, 2);
    for _ in 0..5 {
        for backend in memory.backends() {
            if !said(&mut memory, backend).is_empty() {
                memory.inject(backend, b"HTTP/1.1 204 No Content\r\n\r\n");
            }
        }
    }
    assert_eq!(statuses(&events(&mut memory, client)), [204; 5]);
    assert_eq!(memory.dials.len(), 3);
}

#[test]
fn content_is_counted_or_chunked_and_so_is_the_answer() {
    let mut memory = memory();
    let client = memory.connect(ConnectionConfig::default());
    let stream = memory.client(client).send_request(&post("/"), false).expect("a slot");
    memory.client(client).send_data(stream, b"up", true).expect("open");
    memory.settle();
    let backend = memory.backends()[0];
    let request = said(&mut memory, backend);
    assert!(
        request.contains("transfer-encoding: chunked\r\n") && request.ends_with("2\r\nup\r\n0\r\n\r\n"),
        "{request}"
    );
    memory.inject(
        backend,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ndown\r\n0\r\nx-sum: 1\r\n\r\n",
    );
    let seen = events(&mut memory, client);
    assert_eq!(content(&seen).0, b"down");
    assert!(
        seen.iter()
            .any(|event| matches!(event, ClientEvent::Trailers { trailers, .. } if trailers["x-sum"] == "1"))
    );

    let counted = Request::post("http://example.com/").header("content-length", "2").body(()).expect("one");
    let stream = memory.client(client).send_request(&counted, false).expect("a slot");
    memory.client(client).send_data(stream, b"up", true).expect("open");
    memory.settle();
    let request = said(&mut memory, backend);
    assert!(request.contains("content-length: 2\r\n") && request.ends_with("\r\n\r\nup"), "{request}");
}

#[test]
fn a_response_until_close_ends_with_the_connection() {
    let mut memory = memory();
    let (client, _) = start(&mut memory);
    let backend = memory.backends()[0];
    memory.inject(backend, b"HTTP/1.0 200 OK\r\n\r\nall of");
    memory.inject(backend, b" it");
    memory.shut(backend);
    let seen = events(&mut memory, client);
    assert_eq!(content(&seen), (b"all of it".to_vec(), true));
    assert_eq!(memory.records[0].outcome, Outcome::Complete);
    assert!(memory.closed.contains(&backend));
    ask(&mut memory, client, "/2");
    assert_eq!(memory.dials.len(), 2);
}

#[test]
fn a_response_that_is_cut_short_is_an_error() {
    let mut memory = memory();
    let (client, _) = start(&mut memory);
    let backend = memory.backends()[0];
    memory.inject(backend, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    memory.shut(backend);
    let seen = events(&mut memory, client);
    assert!(seen.iter().any(|event| matches!(event, ClientEvent::Reset { .. })), "{seen:?}");
    assert!(matches!(memory.records[0].outcome, Outcome::Truncated(_)));
}

/// A client whose second request is on its way to a backend that has answered the first.
fn asked_twice() -> (Memory, ConnId, ConnId) {
    let mut memory = memory();
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/1");
    let backend = memory.backends()[0];
    memory.inject(backend, b"HTTP/1.1 204 No Content\r\n\r\n");
    ask(&mut memory, client, "/2");
    (memory, client, backend)
}

#[test]
fn a_connection_that_was_stale_costs_an_idempotent_request_nothing() {
    let (mut memory, client, backend) = asked_twice();
    // It had closed before it read that.
    memory.shut(backend);
    assert_eq!(memory.dials.len(), 2);
    let fresh = memory.backends()[0];
    assert_ne!(fresh, backend);
    assert!(said(&mut memory, fresh).starts_with("GET /2 "));
    memory.inject(fresh, b"HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(statuses(&events(&mut memory, client)), [204, 204]);
}

/// RFC 9112 section 2.2: half of an empty line is no more a response than all of it.
#[test]
fn rfc9112_2_2_half_an_empty_line_in_front_of_its_end_begins_no_response() {
    for last in [&b""[..], b"\r", b"\r\n", b"\r\n\r"] {
        let (mut memory, client, backend) = asked_twice();
        if !last.is_empty() {
            memory.inject(backend, last);
        }
        memory.shut(backend);
        assert_eq!(memory.dials.len(), 2, "{last:?}");
        let fresh = memory.backends()[0];
        assert!(said(&mut memory, fresh).starts_with("GET /2 "), "{last:?}");
        memory.inject(fresh, b"HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(statuses(&events(&mut memory, client)), [204, 204], "{last:?}");
    }
}

/// So many connections that have been used, and are idle.
fn with_idle(
    count: usize,
    change: impl FnOnce(&mut shuntyard_core::config::Config),
) -> (Memory, ConnId, Vec<ConnId>) {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints[0].protocol = Protocol::Http1;
        change(config);
    });
    memory.mute_backends = true;
    let client = memory.connect(ConnectionConfig::default());
    for _ in 0..count {
        ask(&mut memory, client, "/before");
    }
    let idle = memory.backends();
    for &backend in &idle {
        said(&mut memory, backend);
        memory.inject(backend, b"HTTP/1.1 204 No Content\r\n\r\n");
        memory.wait(Duration::from_secs(1));
    }
    assert_eq!((idle.len(), statuses(&events(&mut memory, client))), (count, vec![204; count]));
    (memory, client, idle)
}

/// The connection of these on which this is waited for.
fn asked(memory: &mut Memory, of: &[ConnId], line: &str) -> ConnId {
    let asked = of.iter().copied().find(|&backend| said(memory, backend).starts_with(line));
    asked.unwrap_or_else(|| panic!("{line} is nowhere"))
}

/// A backend that was started anew knows none of its connections any more.
#[test]
fn rfc9112_9_3_1_where_one_was_stale_those_that_were_idle_as_long_are_not_tried() {
    for method in ["GET", "POST"] {
        let (mut memory, client, idle) = with_idle(3, |_| {});
        let request = Request::builder().method(method).uri("http://example.com/2").body(()).expect("one");
        memory.client(client).send_request(&request, true).expect("a slot");
        memory.settle();
        let stale = asked(&mut memory, &idle, method);
        memory.kill(stale);
        if method == "POST" {
            // Nobody knows whether it has been executed. The next one need not find out.
            assert_eq!(statuses(&events(&mut memory, client)), [502]);
            memory.client(client).send_request(&request, true).expect("a slot");
            memory.settle();
        }
        for old in &idle {
            assert!(
                !said(&mut memory, *old).contains("/2"),
                "{method}: tried on one that was idle for longer"
            );
        }
        assert_eq!(memory.dials.len(), 4, "{method}");
        let now = memory.backends();
        let fresh = asked(&mut memory, &now, method);
        memory.inject(fresh, b"HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(statuses(&events(&mut memory, client)), [204], "{method}");
    }
}

/// So many connections that have stood for ten seconds and were never used, because the configuration wants so many.
fn with_kept(count: u32) -> (Memory, ConnId, Vec<ConnId>) {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints[0].protocol = Protocol::Http1;
        config.upstreams[0].connections_min = count;
    });
    memory.mute_backends = true;
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    memory.wait(Duration::from_secs(10));
    let kept = memory.backends();
    assert_eq!(kept.len(), count as usize);
    (memory, client, kept)
}

/// Likewise where none of them was ever used: they are kept because the configuration wants so many.
#[test]
fn rfc9112_9_3_1_one_that_was_kept_and_never_used_can_be_stale() {
    let (mut memory, client, kept) = with_kept(3);
    ask(&mut memory, client, "/");
    let stale = asked(&mut memory, &kept, "GET / ");
    memory.kill(stale);
    for &old in &kept {
        assert_eq!(said(&mut memory, old), "", "tried on one that was kept for as long");
    }
    let now = memory.backends();
    let fresh = asked(&mut memory, &now, "GET / ");
    memory.inject(fresh, b"HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(statuses(&events(&mut memory, client)), [204]);
}

/// What a server says that has waited for a request for too long, as HAProxy and others do.
const TOO_LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 4\r\n\r\nlate";

/// RFC 9110 section 15.5.9: it crosses the request on a connection that was idle, and is no answer to it.
#[test]
fn rfc9110_15_5_9_a_timeout_that_crosses_a_request_is_not_its_answer() {
    req!("9110-15.5.9-01");
    for (method, kept) in [("GET", false), ("POST", false), ("POST", true)] {
        let (mut memory, client, idle) = if kept { with_kept(3) } else { with_idle(3, |_| {}) };
        let request = Request::builder().method(method).uri("http://example.com/2").body(()).expect("one");
        memory.client(client).send_request(&request, true).expect("a slot");
        memory.settle();
        let stale = asked(&mut memory, &idle, method);
        // However it comes.
        let (first, rest) = TOO_LATE.split_at(if kept { 20 } else { TOO_LATE.len() });
        memory.inject(stale, first);
        memory.wait(Duration::from_millis(1));
        if kept {
            memory.inject(stale, rest);
        }
        for old in &idle {
            assert_eq!(said(&mut memory, *old), "", "tried on one that was idle for as long");
        }
        let now = memory.backends();
        let fresh = asked(&mut memory, &now, method);
        memory.inject(fresh, b"HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(statuses(&events(&mut memory, client)), [204], "{method}");
        let record = memory.records.last().expect("a record");
        assert_eq!((record.attempts, record.maybe_executed), (2, 0));
        let attempt = memory.attempts.iter().rev().nth(1).expect("an attempt");
        assert_eq!(attempt.outcome, AttemptOutcome::Unprocessed(Cause::ConnectionTerminated));
        assert_eq!(attempt.status, 408);
        memory.wait(Duration::from_secs(3));
        assert!(idle.iter().all(|old| !memory.backends().contains(old)), "they are gone");
    }
}

/// On a connection that was not idle, or goes on, or for a request that cannot be sent again, or long behind it, it is an answer like any other.
#[test]
fn rfc9110_15_5_9_any_other_408_is_an_answer() {
    let persistent = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 4\r\n\r\nlate";
    for (what, answer) in [
        ("fresh", TOO_LATE),
        ("busy", TOO_LATE),
        ("persistent", &persistent[..]),
        ("long", TOO_LATE),
        ("late", TOO_LATE),
    ] {
        let (mut memory, client, idle) = with_idle(1, |config| config.upstreams[0].retry.replay_octets = 10);
        let path = format!("/{what}");
        match what {
            // Another one is dialled, and asked as soon as it stands.
            "fresh" => _ = ask(&mut memory, client, "/slow"),
            "busy" => {
                ask(&mut memory, client, "/quick");
                memory.inject(idle[0], b"HTTP/1.1 204 No Content\r\n\r\n");
                events(&mut memory, client);
            }
            _ => {}
        }
        if what == "long" {
            let stream = memory.client(client).send_request(&post(&path), false).expect("a slot");
            memory.client(client).send_data(stream, &[7; 100], true).expect("open");
        } else {
            memory.client(client).send_request(&get(&path), true).expect("a slot");
        }
        memory.settle();
        let all = memory.backends();
        let backend = all.into_iter().find(|&of| said(&mut memory, of).contains(&path)).expect("the request");
        if what == "late" {
            memory.wait(Duration::from_secs(2));
        }
        memory.inject(backend, answer);
        let seen = events(&mut memory, client);
        assert_eq!((statuses(&seen), content(&seen)), (vec![408], (b"late".to_vec(), true)), "{what}");
    }
}

/// RFC 9112 section 2.2: an empty line of a backend behind its content costs neither the connection nor the next request.
#[test]
fn rfc9112_9_2_an_empty_line_behind_content_is_not_the_next_response() {
    for is_late in [false, true] {
        let mut memory = memory();
        let client = memory.connect(ConnectionConfig::default());
        for path in ["/1", "/2", "/3"] {
            ask(&mut memory, client, path);
            let backend = memory.backends()[0];
            if is_late && path != "/1" {
                memory.inject(backend, b"\r\n");
            }
            memory.inject(backend, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
            if !is_late {
                memory.inject(backend, b"\r\n");
            }
            assert_eq!(statuses(&events(&mut memory, client)), [200], "{path}");
        }
        assert_eq!(memory.dials.len(), 1);
    }
}

/// What has been of use since is not stale; and one that breaks with a response begun, or at its first request, says nothing of others.
#[test]
fn a_connection_that_breaks_ends_no_others_but_those_as_stale() {
    // Adopted first, and lost when another has answered.
    let (mut memory, client, idle) = with_idle(2, |_| {});
    ask(&mut memory, client, "/slow");
    let slow = asked(&mut memory, &idle, "GET /slow");
    ask(&mut memory, client, "/quick");
    let quick = asked(&mut memory, &idle, "GET /quick");
    memory.inject(quick, b"HTTP/1.1 204 No Content\r\n\r\n");
    memory.kill(slow);
    assert_eq!(asked(&mut memory, &[quick], "GET /slow"), quick);
    assert_eq!(memory.dials.len(), 2);
    // Some of its answer came.
    for begun in ["H", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"] {
        let (mut memory, client, idle) = with_idle(2, |_| {});
        ask(&mut memory, client, "/begun");
        let backend = asked(&mut memory, &idle, "GET /begun");
        memory.inject(backend, begun.as_bytes());
        memory.kill(backend);
        assert_eq!(memory.backends().len(), 1, "{begun}");
        assert_eq!(memory.dials.len(), 2, "{begun}");
    }
}

#[test]
fn an_idle_connection_goes_before_its_backend_closes_it() {
    for (line, millis) in [
        ("Keep-Alive: timeout=5", 4000),
        ("keep-alive: max=99, Timeout=5", 4000),
        ("Keep-Alive: timeout=7, max=3\r\nKeep-Alive: timeout=5", 4000),
        ("Keep-Alive: timeout=1", 500),
        ("Keep-Alive: timeout=600", 60_000),
        ("Keep-Alive: timeout=", 60_000),
        ("Keep-Alive: time=5", 60_000),
        ("Keep-Alive: timeout=-5", 60_000),
        ("Keep-Alive: 5", 60_000),
    ] {
        let mut memory = memory();
        let (client, _) = start(&mut memory);
        let backend = memory.backends()[0];
        for path in ["/2", "/3"] {
            memory.inject(backend, format!("HTTP/1.1 204 No Content\r\n{line}\r\n\r\n").as_bytes());
            memory.wait(Duration::from_millis(millis - 1));
            ask(&mut memory, client, path);
            assert!(said(&mut memory, backend).contains(path), "{line}: it can be used until then");
        }
        memory.inject(backend, format!("HTTP/1.1 204 No Content\r\n{line}\r\n\r\n").as_bytes());
        memory.wait(Duration::from_millis(millis));
        assert!(memory.shutdowns.contains(&backend), "{line}");
        ask(&mut memory, client, "/4");
        assert_eq!(memory.dials.len(), 2, "{line}");
    }
    // Its last word counts; and a minimum is kept by another connection.
    let mut memory = memory();
    let (client, _) = start(&mut memory);
    let backend = memory.backends()[0];
    memory.inject(backend, b"HTTP/1.1 204 No Content\r\nkeep-alive: timeout=5\r\n\r\n");
    ask(&mut memory, client, "/2");
    memory.inject(backend, b"HTTP/1.1 204 No Content\r\n\r\n");
    memory.wait(Duration::from_secs(10));
    assert!(memory.shutdowns.is_empty());
    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints[0].protocol = Protocol::Http1;
        config.upstreams[0].connections_min = 1;
    });
    memory.mute_backends = true;
    let (_, _) = start(&mut memory);
    let backend = memory.backends()[0];
    memory.inject(backend, b"HTTP/1.1 204 No Content\r\nkeep-alive: timeout=5\r\n\r\n");
    memory.wait(Duration::from_secs(100));
    assert!(memory.shutdowns.contains(&backend));
    assert_eq!(memory.dials.len(), 2);
}

#[test]
fn an_idle_connection_that_closes_is_not_used_again() {
    let mut memory = memory();
    let (client, _) = start(&mut memory);
    let backend = memory.backends()[0];
    memory.inject(backend, b"HTTP/1.1 204 No Content\r\n\r\n");
    memory.shut(backend);
    assert_eq!(memory.gateway.view().backends, 0);
    ask(&mut memory, client, "/2");
    assert_eq!(memory.dials.len(), 2);
}

#[test]
fn octets_that_nobody_asked_for_are_no_response() {
    let mut memory = memory();
    let (client, _) = start(&mut memory);
    let backend = memory.backends()[0];
    memory
        .inject(backend, b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
    ask(&mut memory, client, "/2");
    let seen = events(&mut memory, client);
    assert_eq!(statuses(&seen), [204]);
    assert_eq!(memory.dials.len(), 2, "the connection is given up");
}

#[test]
fn malformed_responses_are_never_repaired() {
    for wrong in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\nx: a\n\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "garbage\r\n\r\n",
    ] {
        let mut memory = memory();
        let (client, _) = start(&mut memory);
        let backend = memory.backends()[0];
        memory.inject(backend, wrong.as_bytes());
        assert_eq!(statuses(&events(&mut memory, client)), [502], "{wrong:?}");
        assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::BackendProtocol), "{wrong:?}");
        assert!(memory.closed.contains(&backend) || memory.shutdowns.contains(&backend), "{wrong:?}");
    }
}

#[test]
fn a_cancelled_request_takes_its_connection_with_it() {
    let mut memory = memory();
    let (client, stream) = start(&mut memory);
    let backend = memory.backends()[0];
    memory.client(client).reset(stream, ErrorCode::CANCEL);
    memory.settle();
    assert!(memory.closed.contains(&backend) || memory.shutdowns.contains(&backend));
    assert_eq!(memory.records[0].outcome, Outcome::ClientGone);
}

#[test]
fn what_a_backend_wants_over_http1_goes_to_one_that_speaks_it() {
    let other: core::net::SocketAddr = "127.0.0.1:9001".parse().expect("an address");
    let mut memory = Memory::new(|config| {
        let http1 = EndpointConfig {
            protocol: Protocol::Http1,
            ..EndpointConfig::from(shuntyard_core::address::Address::from(other))
        };
        config.upstreams[0].endpoints.push(http1);
    });
    let client = memory.connect(ConnectionConfig::default());
    memory.client(client).send_request(&get("/"), true).expect("a slot");
    memory.settle();
    let first = memory.backends()[0];
    let (stream, _) = requests(&mut memory, first).pop().expect("the request");
    memory.mute_backends = true;
    memory.backend(first).reset(stream, ErrorCode::HTTP_1_1_REQUIRED);
    memory.settle();
    assert_eq!(memory.dials.last(), Some(&other.into()));
    let second = *memory.backends().iter().find(|&&id| id != first).expect("another");
    assert!(said(&mut memory, second).starts_with("GET / HTTP/1.1\r\n"));
    memory.inject(second, b"HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(statuses(&events(&mut memory, client)), [204]);
    // Without such an endpoint it ends.
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/");
    let backend = memory.backends()[0];
    let (stream, _) = requests(&mut memory, backend).pop().expect("the request");
    memory.backend(backend).reset(stream, ErrorCode::HTTP_1_1_REQUIRED);
    memory.settle();
    assert_eq!(statuses(&events(&mut memory, client)), [502]);
}

/// It wants no more of a request, and says that it goes. While its response goes on the request may, too: it may be what is answered.
#[test]
fn rfc9112_9_5_a_backend_that_answers_early_and_goes_gets_no_more() {
    req!("9112-9.5-06");
    let mut memory = memory();
    let client = memory.connect(ConnectionConfig::default());
    let stream = memory.client(client).send_request(&post("/"), false).expect("a slot");
    let upload = |memory: &mut Memory, octets: &[u8]| {
        let sent = memory.client(client).send_data(stream, octets, false).is_ok();
        memory.settle();
        sent
    };
    assert!(upload(&mut memory, b"begun"));
    let backend = memory.backends()[0];
    assert!(said(&mut memory, backend).ends_with("\r\n5\r\nbegun\r\n"));
    memory.inject(backend, b"HTTP/1.1 413 \r\nconnection: close\r\ncontent-length: 2\r\n\r\nn");
    assert!(upload(&mut memory, b"more"));
    assert_eq!(said(&mut memory, backend), "4\r\nmore\r\n");
    memory.inject(backend, b"o");
    assert_eq!(memory.shutdowns, [backend]);
    let seen = events(&mut memory, client);
    assert_eq!((statuses(&seen), content(&seen)), (vec![413], (b"no".to_vec(), true)));
    // The client is told, and what it had on its way goes nowhere.
    assert!(
        matches!(seen.last(), Some(ClientEvent::Reset { error_code: ErrorCode::NO_ERROR, .. })),
        "{seen:?}"
    );
    assert!(!upload(&mut memory, b"even more"));
    assert_eq!(said(&mut memory, backend), "");
}

#[test]
fn a_drain_closes_idle_connections() {
    let mut memory = memory();
    let (_, _) = start(&mut memory);
    let backend = memory.backends()[0];
    memory.inject(backend, b"HTTP/1.1 204 No Content\r\n\r\n");
    let deadline = Duration::from_secs(30);
    memory.gateway.handle_command(Command::Drain { deadline }, memory.now);
    memory.settle();
    memory.wait(Duration::from_secs(10));
    assert_eq!(memory.drained, Some(0), "long before the deadline");
}

#[test]
fn http1_on_both_sides() {
    let mut memory = memory();
    let client = memory.connect_mute();
    memory.inject(client, b"GET /a HTTP/1.1\r\nhost: a\r\ncookie: x=1\r\n\r\n");
    let backend = *memory.backends().iter().find(|&&id| id != client).expect("a backend");
    let request = said(&mut memory, backend);
    assert!(request.starts_with("GET /a HTTP/1.1\r\nhost: a\r\ncookie: x=1\r\n"), "{request}");
    memory.inject(backend, b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc");
    let response = said(&mut memory, client);
    assert!(response.contains("content-length: 3\r\n") && response.ends_with("\r\n\r\nabc"), "{response}");
}
