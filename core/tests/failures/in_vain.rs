//! Backends whose connections end as soon as they stand: who dials again at once, each time, dials as fast as the network lets it.

use core::time::Duration;

use http::Method;
use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, EndpointConfig, Protocol};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::EndpointState;
use shuntyard_core::h2::ClientEvent;
use shuntyard_core::key::ConnId;

use crate::memory::Memory;
use crate::memory::talk::{answer_all, events, ok, requests};
use crate::support::{send, with_client};
use crate::wire::{frame, goaway, rst_stream, settings, settings_ack};

/// How connections end.
type End = fn(&mut Memory, ConnId);

/// What a backend says at first; it allows no stream.
fn greeting() -> Vec<u8> {
    [settings(&[(3, 0)]), settings_ack()].concat()
}

const ENDS: [(&str, End); 4] = [
    ("reset behind SETTINGS", |memory, conn| {
        memory.inject(conn, &greeting());
        memory.kill(conn);
    }),
    ("GOAWAY behind SETTINGS", |memory, conn| {
        memory.inject(conn, &[greeting(), goaway(0, ErrorCode::NO_ERROR)].concat());
        memory.kill(conn);
    }),
    ("nonsense behind SETTINGS", |memory, conn| {
        memory.inject(conn, &[greeting(), frame(0, 0, 0, b"DATA of no stream")].concat());
        memory.kill(conn);
    }),
    ("reset in the middle of SETTINGS", |memory, conn| {
        memory.inject(conn, &greeting()[..5]);
        memory.kill(conn);
    }),
];

/// How often it is dialled without a rest. What has not said what it allows cannot be dialled, as far as anybody knows.
fn at_once(what: &str) -> usize {
    if what == "reset in the middle of SETTINGS" { 1 } else { 4 }
}

/// Ends every connection that is there, within a millisecond.
fn end_all(memory: &mut Memory, end: End) {
    memory.wait(Duration::from_millis(1));
    for conn in memory.backends() {
        end(memory, conn);
    }
}

fn statuses(memory: &mut Memory, client: ConnId) -> Vec<u16> {
    let status = |event| match event {
        ClientEvent::Response { response, .. } => Some(response.status().as_u16()),
        _ => None,
    };
    events(memory, client).into_iter().filter_map(status).collect()
}

/// How often the backend is dialled in a minute.
fn dials(change: impl FnOnce(&mut Config), end: End, ask: bool) -> usize {
    let (mut memory, client) = with_client(change);
    memory.mute_backends = true;
    for n in 0..60_000 {
        if ask && n % 100 == 0 {
            send(&mut memory, client, Method::GET, "/", b"");
        }
        end_all(&mut memory, end);
        if ask {
            events(&mut memory, client);
        }
    }
    memory.dials.len()
}

#[test]
fn an_endpoint_whose_connections_end_in_vain_rests() {
    for (what, end) in ENDS {
        // Each request that finds nobody is one more try, and no more.
        let asked = dials(|_| {}, end, true);
        assert!((300..=604).contains(&asked), "{what}: {asked} dials for 600 requests");
        // Then with one, two, four, eight, sixteen and thirty seconds between.
        let kept = dials(|config| config.upstreams[0].connections_min = 1, end, false);
        assert_eq!(kept, at_once(what) + 5, "{what}");
        for more in [2, 3, 5] {
            let kept = dials(|config| config.upstreams[0].connections_min = more, end, false);
            assert!((6..=24).contains(&kept), "{what}: {kept} dials, where {more} are to be kept");
        }
    }
}

/// One that sends all away that it is asked for is no better: nothing of that has come to anything.
#[test]
fn an_endpoint_that_sends_each_request_away_rests() {
    let ends: [(&str, End); 2] = [
        ("GOAWAY", |memory, conn| {
            memory.inject(conn, &[settings(&[]), settings_ack()].concat());
            memory.inject(conn, &goaway(0, ErrorCode::NO_ERROR));
            memory.kill(conn);
        }),
        ("a reset, and GOAWAY", |memory, conn| {
            memory.inject(conn, &[settings(&[]), settings_ack()].concat());
            let refused = rst_stream(1, ErrorCode::REFUSED_STREAM);
            memory.inject(conn, &[refused, goaway(1, ErrorCode::NO_ERROR)].concat());
            memory.kill(conn);
        }),
    ];
    for (what, end) in ends {
        let asked = dials(|_| {}, end, true);
        assert!((300..=700).contains(&asked), "{what}: {asked} dials for 600 requests");
    }
}

/// A request that it may have processed is a use, however it ends.
#[test]
fn an_endpoint_that_may_have_processed_what_it_was_asked_for_does_not_rest() {
    let (mut memory, client) = with_client(|_| {});
    memory.mute_backends = true;
    for n in 0..20 {
        send(&mut memory, client, Method::POST, "/", b"");
        let conn = memory.backends()[0];
        memory.inject(conn, &[settings(&[]), settings_ack()].concat());
        memory.inject(conn, &goaway(1, ErrorCode::NO_ERROR));
        memory.kill(conn);
        assert_eq!((statuses(&mut memory, client), memory.dials.len()), (vec![502], n + 1));
    }
}

/// Nobody else serves who waits: as where the endpoint cannot be dialled they are told, and not after the whole time of the queue.
#[test]
fn who_waits_for_connections_that_end_in_vain_is_told() {
    for (what, end) in ENDS {
        let (mut memory, client) = with_client(|_| {});
        memory.mute_backends = true;
        send(&mut memory, client, Method::GET, "/", b"");
        for _ in 0..10 {
            end_all(&mut memory, end);
        }
        assert_eq!((statuses(&mut memory, client), memory.dials.len()), (vec![502], at_once(what)), "{what}");
    }
}

/// A backend that leaves is followed by its successor at once, and one that serves is dialled whenever it is needed.
#[test]
fn connections_that_have_served_do_not_end_in_vain() {
    let (mut memory, client) = with_client(|_| {});
    for n in 0..100 {
        send(&mut memory, client, Method::GET, "/", b"");
        assert_eq!(answer_all(&mut memory), ["/"]);
        let backend = memory.backends()[0];
        memory.kill(backend);
        assert_eq!(memory.dials.len(), n + 1);
    }
    assert_eq!(statuses(&mut memory, client), [200; 100]);
}

/// Of several behind one address one is about to leave: the others serve, and what it does is not held against them.
#[test]
fn connections_that_serve_make_up_for_those_that_do_not() {
    let (mut memory, client) = with_client(|config| config.upstreams[0].connections_min = 2);
    memory.wait(Duration::from_secs(2));
    memory.settle();
    let serves = memory.backends()[0];
    memory.mute_backends = true;
    for n in 0..50 {
        let others: Vec<_> = memory.backends().into_iter().filter(|&conn| conn != serves).collect();
        assert_eq!((others.len(), memory.dials.len()), (1, n + 2), "it is dialled at once");
        ENDS[0].1(&mut memory, others[0]);
        send(&mut memory, client, Method::GET, "/", b"");
        for (stream, _) in requests(&mut memory, serves) {
            memory.backend(serves).send_response(stream, &ok(), true).expect("an open stream");
        }
        memory.settle();
    }
    assert_eq!(statuses(&mut memory, client), [200; 50]);
}

/// Over HTTP/1.1 nobody says that a request was not processed.
const HTTP1_ENDS: [(&str, End); 2] = [
    ("closed", |memory, conn| {
        memory.peers.remove(&conn);
        memory.shut(conn);
    }),
    ("reset", |memory, conn| memory.kill(conn)),
];

fn http1(config: &mut Config) {
    config.upstreams[0].endpoints[0].protocol = Protocol::Http1;
}

fn two_of_http1(config: &mut Config) {
    http1(config);
    let other: core::net::SocketAddr = "127.0.0.1:9001".parse().expect("an address");
    let other = EndpointConfig { protocol: Protocol::Http1, ..Address::from(other).into() };
    config.upstreams[0].endpoints.push(other);
}

#[test]
fn an_endpoint_of_http1_whose_connections_end_in_vain_rests() {
    for (what, end) in HTTP1_ENDS {
        let asked = dials(http1, end, true);
        assert!((300..=610).contains(&asked), "{what}: {asked} dials for 600 requests");
    }
}

/// Whoever waits is told, and does not wait for the whole time of the queue; what is not sent again is told at once.
#[test]
fn who_waits_for_connections_of_http1_that_end_in_vain_is_told() {
    for (what, end) in HTTP1_ENDS {
        let (mut memory, client) = with_client(|config| {
            http1(config);
            config.upstreams[0].http1_connections_max = 1;
        });
        memory.mute_backends = true;
        for _ in 0..10 {
            send(&mut memory, client, Method::GET, "/", b"");
        }
        for _ in 0..4 {
            end_all(&mut memory, end);
        }
        assert_eq!((statuses(&mut memory, client), memory.dials.len()), (vec![502; 10], 4), "{what}");
        assert_eq!(memory.gateway.view().requests, 0);
        for n in 5..10 {
            send(&mut memory, client, Method::POST, "/", b"once");
            assert_eq!(memory.dials.len(), n, "a request that comes is worth a try");
            end_all(&mut memory, end);
            assert_eq!((statuses(&mut memory, client), memory.dials.len()), (vec![502], n), "{what}");
        }
    }
}

/// How the first endpoint stands.
fn state(memory: &Memory) -> EndpointState {
    memory.gateway.snapshot(100, memory.now).upstreams[0].endpoints[0].state
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Another endpoint serves: hardly anybody is given to the one that does not, though that comes first.
#[test]
fn an_endpoint_of_http1_that_ends_in_vain_is_passed_over() {
    for (what, end) in HTTP1_ENDS {
        let (mut memory, client) = with_client(two_of_http1);
        memory.mute_backends = true;
        for n in 0..100 {
            let dials = memory.dials.len();
            send(&mut memory, client, Method::POST, "/", b"once");
            let is_useless = memory.dials.get(dials).is_some_and(|at| at.to_string() == "127.0.0.1:9000");
            for conn in memory.backends() {
                if memory.sent_to(conn).is_empty() {
                    continue;
                }
                if is_useless {
                    end(&mut memory, conn);
                } else {
                    memory.inject(conn, ANSWER);
                }
            }
            let expected = if n < 4 { 502 } else { 200 };
            assert_eq!(statuses(&mut memory, client), [expected], "{what}, {n}");
        }
    }
}

/// One that a client has given up before the backend said a word makes up for nothing.
#[test]
fn an_endpoint_of_http1_that_ends_in_vain_is_passed_over_whoever_gives_up_between() {
    let (mut memory, client) = with_client(two_of_http1);
    memory.mute_backends = true;
    let (mut failed, mut served) = (0, 0);
    for n in 0..100 {
        let dials = memory.dials.len();
        let stream = send(&mut memory, client, Method::POST, "/", b"once");
        let is_useless = memory.dials.get(dials).is_some_and(|at| at.to_string() == "127.0.0.1:9000");
        for conn in memory.backends() {
            if memory.sent_to(conn).is_empty() {
                continue;
            }
            if is_useless && n % 4 == 3 {
                memory.client(client).reset(stream, ErrorCode::CANCEL);
                memory.settle();
            } else if is_useless {
                memory.kill(conn);
            } else {
                memory.inject(conn, ANSWER);
            }
        }
        for status in statuses(&mut memory, client) {
            *(if status == 502 { &mut failed } else { &mut served }) += 1;
        }
    }
    assert!(failed <= 4 && served >= 90, "{failed} failed, {served} served");
}

/// A word of an answer, an answer before it, or a while that it stood: then it was of some use.
#[test]
fn connections_of_http1_that_were_of_some_use_do_not_end_in_vain() {
    for (what, end) in HTTP1_ENDS {
        for use_of_it in ["a word", "an answer", "a while"] {
            let (mut memory, client) = with_client(http1);
            memory.mute_backends = true;
            for n in 1..20 {
                send(&mut memory, client, Method::POST, "/", b"once");
                let conn = memory.backends()[0];
                match use_of_it {
                    "a word" => memory.inject(conn, &ANSWER[..5]),
                    "an answer" => {
                        memory.inject(conn, ANSWER);
                        assert_eq!(statuses(&mut memory, client), [200]);
                        send(&mut memory, client, Method::POST, "/", b"once");
                    }
                    _ => memory.wait(Duration::from_secs(1)),
                }
                end(&mut memory, conn);
                assert_eq!((statuses(&mut memory, client), memory.dials.len()), (vec![502], n));
                assert_eq!(state(&memory), EndpointState::Ready, "{what} behind {use_of_it}");
            }
        }
    }
}

/// Who takes requests back ends connections, which says nothing of the endpoint.
#[test]
fn a_client_that_cancels_over_http1_sends_no_endpoint_to_rest() {
    let (mut memory, client) = with_client(http1);
    memory.mute_backends = true;
    for n in 1..20 {
        let stream = send(&mut memory, client, Method::GET, "/cancelled", b"");
        memory.client(client).reset(stream, ErrorCode::CANCEL);
        memory.settle();
        assert_eq!(memory.dials.len(), n);
        assert_eq!(state(&memory), EndpointState::Ready);
    }
}
