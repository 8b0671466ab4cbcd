//! Clients that ask for more than their share.

use crate::is_answered_within_a_second;
use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, events, get, requests};
use http::{Method, Request};
use shuntyard_core::config::{ConnectionConfig, Saturation};
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::ClientEvent;
use shuntyard_core::record::{Cause, Outcome};
use shuntyard_core::time::Duration;

/// CVE-2023-44487: a client opens and resets streams as fast as it can, so that each gets as far as it may.
#[test]
fn rapid_resets_reach_no_backend_in_numbers_and_end_the_connection() {
    let mut memory = Memory::new(|_| {});
    let bystander = memory.connect(ConnectionConfig::default());
    ask(&mut memory, bystander, "/first");
    answer_all(&mut memory);
    events(&mut memory, bystander);
    let shared = memory.backends()[0];
    let attacker = memory.connect(ConnectionConfig::default());
    memory.settle();
    let mut reached = 0;
    for n in 0..2_000 {
        if memory.closed.contains(&attacker) || memory.client(attacker).has_failed() {
            break;
        }
        let Ok(stream) = memory.client(attacker).send_request(&get("/attack"), true) else { break };
        memory.settle();
        memory.client(attacker).reset(stream, ErrorCode::CANCEL);
        memory.settle();
        for backend in memory.backends() {
            reached += requests(&mut memory, backend).len();
        }
        memory.settle();
        // A bystander is served all the while.
        if n % 10 == 0 {
            ask(&mut memory, bystander, "/bystander");
            assert!(is_answered_within_a_second(&mut memory, "/bystander"));
            assert_eq!(events(&mut memory, bystander).len(), 1);
        }
    }
    assert!(reached <= 200, "{reached} requests reached the backend");
    memory.wait(Duration::from_secs(10));
    assert!(memory.closed.contains(&attacker));
    ask(&mut memory, bystander, "/last");
    assert_eq!(answer_all(&mut memory), ["/last"]);
    assert!(!memory.closed.contains(&shared), "the connection to the backend has lived through it");
}

/// What we answer by ourselves has cost no backend anything: it does not pay for requests that are taken back from one, however many answers there are for each.
#[test]
fn rapid_resets_are_not_paid_for_with_answers_of_our_own() {
    let taken_back = [0, 1, 5, 20].map(resets_among_own_answers);
    assert_eq!(taken_back, [167; 4], "requests were taken back");
}

/// How many requests a client can take back for each of which it has so many answers of ours.
fn resets_among_own_answers(answers: usize) -> usize {
    let mut memory = Memory::new(|_| {});
    let attacker = memory.connect(ConnectionConfig::default());
    memory.settle();
    let tunnel =
        || Request::builder().method(Method::CONNECT).uri("example.com:443").body(()).expect("a request");
    let mut taken_back = 0;
    while taken_back < 2_000 && !memory.client(attacker).has_failed() {
        for _ in 0..answers {
            let _ = memory.client(attacker).send_request(&tunnel(), true);
            memory.settle();
        }
        // It takes what it is told, so that answers have content.
        let mut told = 0;
        for event in events(&mut memory, attacker) {
            if let ClientEvent::Data { stream, credit, .. } = event {
                memory.client(attacker).release(stream, credit);
                told += 1;
            }
        }
        if memory.shutdowns.contains(&attacker) {
            break;
        }
        assert_eq!(told, answers);
        let Ok(stream) = memory.client(attacker).send_request(&get("/attack"), true) else { break };
        memory.settle();
        memory.client(attacker).reset(stream, ErrorCode::CANCEL);
        memory.settle();
        taken_back += 1;
        for backend in memory.backends() {
            requests(&mut memory, backend);
        }
        if memory.closed.contains(&attacker) {
            break;
        }
    }
    taken_back
}

/// The heads of one client's requests leave memory for those of others, over however many connections they come.
#[test]
fn a_client_has_its_share_of_the_memory_for_heads() {
    for connections in [1, 40] {
        let mut memory = Memory::new(|config| {
            config.head_ledger_octets = 8 << 20;
            config.front.max_header_list_size = 16 << 10;
            config.front.max_concurrent_streams = 100;
            config.upstreams[0].on_saturation = Saturation::Queue;
        });
        let large = "v".repeat(10_000);
        for _ in 0..connections {
            let attacker = memory.connect(ConnectionConfig::default());
            memory.settle();
            for _ in 0..100 {
                let request = Request::get("http://a/").header("cookie", &large).body(()).expect("a request");
                let _ = memory.client(attacker).send_request(&request, true);
                memory.settle();
            }
        }
        let held = memory.gateway.snapshot(0, memory.now).heads.0;
        // 2 KiB for each stream that it may have; half of all, in which each head counts in whole KiB.
        let share = if connections == 1 { 100 * 2048 } else { (8 << 20) / 2 };
        assert!(held > share - share / 10 && held <= share, "{held} octets by {connections} connections");
        let refused = Outcome::LocalReply(Cause::MemoryLimit);
        assert!(memory.records.iter().any(|record| record.outcome == refused));
    }
}

/// One client that opens all the connections it may leaves room for others.
#[test]
fn a_client_has_no_more_connections_than_its_share() {
    let mut memory = Memory::new(|config| config.max_fronts_per_client = 3);
    let clients: Vec<_> = (0..5).map(|_| memory.connect(ConnectionConfig::default())).collect();
    memory.settle();
    assert_eq!(memory.gateway.view().fronts, 3, "who is too many takes no place meanwhile");
    let closed = |memory: &Memory| clients.iter().filter(|client| memory.closed.contains(client)).count();
    assert_eq!(closed(&memory), 2, "the fourth and the fifth");
    memory.kill(clients[0]);
    let another = memory.connect(ConnectionConfig::default());
    memory.settle();
    ask(&mut memory, another, "/room");
    assert_eq!(answer_all(&mut memory), ["/room"]);
}

/// Behind a balancer it is known only after a while whose a connection is: until then it counts as nobody's.
#[test]
fn a_client_behind_a_balancer_has_no_more_than_its_share_either() {
    use shuntyard_core::address::{Address, SocketAddr};
    use shuntyard_core::config::ListenerConfig;
    use shuntyard_core::gateway::{Accepted, Connected};

    let address = |text: &str| Address::from(text.parse::<SocketAddr>().unwrap());
    let (listener, balancer) = (address("10.0.0.1:80"), address("10.0.0.2:5000"));
    let mut memory = Memory::new(|config| {
        config.max_fronts_per_client = 2;
        config.listeners =
            vec![ListenerConfig { introduced: true, ..ListenerConfig::new(address("10.0.0.1:80")) }];
    });
    let mut arrive = |client: Option<Option<&str>>| {
        let info = Accepted { peer: balancer.clone(), local: listener.clone() };
        let id = memory.gateway.handle_arriving(info, memory.now);
        if let Some(client) = client {
            memory.gateway.handle_introduced(id, client.map(address), memory.now);
            memory.gateway.handle_connected(id, Connected::default(), memory.now);
        }
        // One that may not stay is forgotten at once.
        let stays = memory.gateway.ignored_events() == 0;
        if !stays {
            memory.gateway.handle_closed(id, shuntyard_core::gateway::Closed::Reset, memory.now);
        }
        (id, stays)
    };
    let _unknown: Vec<_> = (0..5).map(|_| arrive(None)).collect();
    let of = |client| Some(Some(client));
    assert!(arrive(of("192.0.2.1:1")).1 && arrive(of("192.0.2.1:2")).1 && arrive(of("192.0.2.2:1")).1);
    // The balancer itself is a client like any other, once it has said so.
    assert!(arrive(Some(None)).1 && arrive(Some(None)).1);
    assert!(!arrive(of("192.0.2.1:3")).1, "a third");
    assert_eq!(memory.gateway.view().fronts, 5 + 5);
}

/// An IPv6 socket tells of clients over IPv4 as of one network.
#[test]
fn clients_over_ipv4_are_told_apart_however_they_are_told_of() {
    use shuntyard_core::address::{Address, SocketAddr};
    use shuntyard_core::config::ListenerConfig;
    use shuntyard_core::gateway::Accepted;

    let raw = |text: &str| Address::Inet(text.parse::<SocketAddr>().unwrap());
    let (plain, balanced) = (raw("[::]:80"), raw("[::]:81"));
    for way in 0..3 {
        let mut memory = Memory::new(|config| {
            config.max_fronts_per_client = 1;
            config.listeners =
                vec![ListenerConfig { introduced: true, ..ListenerConfig::new(balanced.clone()) }];
        });
        let gateway = &mut memory.gateway;
        for text in ["[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1", "[::ffff:192.0.2.1]:2", "192.0.2.2:3"] {
            let peer = raw(text);
            match way {
                0 => drop(gateway.handle_accept(Accepted { peer, local: plain.clone() }, memory.now)),
                1 => drop(gateway.handle_arriving(Accepted { peer, local: plain.clone() }, memory.now)),
                _ => {
                    let info = Accepted { peer: raw("10.0.0.2:5000"), local: balanced.clone() };
                    let conn = gateway.handle_arriving(info, memory.now);
                    gateway.handle_introduced(conn, Some(peer), memory.now);
                }
            }
        }
        assert_eq!(memory.gateway.view().fronts, 2, "of each of the two its first");
        let snapshot = memory.gateway.snapshot(100, memory.now);
        let clients = snapshot.fronts.iter().map(|front| front.peer.to_string());
        assert!(
            clients.clone().all(|client| client.starts_with("192.0.2.")),
            "{:?}",
            clients.collect::<Vec<_>>()
        );
    }
}

/// A table full of clients that only stay: who has been idle longest makes room, and who works stays.
#[test]
fn idle_clients_make_room_for_new_ones() {
    let mut memory = Memory::new(|config| config.max_fronts = 4);
    let mut clients = Vec::new();
    for n in 0..3 {
        clients.push(memory.connect(ConnectionConfig::default()));
        memory.settle();
        memory.wait(Duration::from_secs(n + 1));
    }
    // The first of them works.
    ask(&mut memory, clients[0], "/works");
    clients.push(memory.connect(ConnectionConfig::default()));
    memory.settle();
    memory.wait(Duration::from_secs(5));
    assert!(memory.closed.contains(&clients[1]), "idle longest");
    assert!([0, 2, 3].iter().all(|&n| !memory.closed.contains(&clients[n])));
    assert_eq!(answer_all(&mut memory), ["/works"]);
    let newcomer = memory.connect(ConnectionConfig::default());
    memory.settle();
    ask(&mut memory, newcomer, "/new");
    assert_eq!(answer_all(&mut memory), ["/new"]);
}

/// Many clients take back what they ask for, each within its budget. The backend's connection is shared, and bears a hundred: it lives, the
/// requests wait rather than being refused, and somebody who asks in earnest is served among them.
#[test]
fn resets_of_many_clients_reach_a_backend_at_a_bounded_rate() {
    let mut memory = Memory::new(|config| config.upstreams[0].connections_max = 1);
    let bystander = memory.connect(ConnectionConfig::default());
    ask(&mut memory, bystander, "/first");
    answer_all(&mut memory);
    let attackers: Vec<_> = (0..20).map(|_| memory.connect(ConnectionConfig::default())).collect();
    memory.settle();
    let mut reached = 0;
    for _ in 0..30 {
        for &attacker in &attackers {
            let Ok(stream) = memory.client(attacker).send_request(&get("/attack"), true) else { continue };
            memory.settle();
            memory.client(attacker).reset(stream, ErrorCode::CANCEL);
            memory.settle();
            for backend in memory.backends() {
                reached += requests(&mut memory, backend).len();
            }
        }
    }
    assert!((90..=100).contains(&reached), "{reached} of 600 requests reached the backend");
    ask(&mut memory, bystander, "/bystander");
    assert!(is_answered_within_a_second(&mut memory, "/bystander"));
    assert_eq!(memory.dials.len(), 1, "the connection lives");
    assert!(memory.records.iter().all(|record| record.status != 503), "nobody was refused");
    memory.wait(Duration::from_secs(10));
    ask(&mut memory, bystander, "/last");
    assert_eq!(answer_all(&mut memory), ["/last"], "at once");
}

/// What is answered makes up for what is taken back: one in twenty strains nobody, however fast they come.
#[test]
fn answers_make_up_for_resets() {
    let mut memory = Memory::new(|config| config.upstreams[0].connections_max = 1);
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    for n in 0..4_000 {
        let stream = ask(&mut memory, client, "/");
        if n % 20 == 0 {
            let backend = memory.backends()[0];
            assert_eq!(requests(&mut memory, backend).len(), 1, "request {n} is there at once");
            memory.client(client).reset(stream, ErrorCode::CANCEL);
            memory.settle();
        } else {
            assert_eq!(answer_all(&mut memory).len(), 1, "request {n} is answered at once");
        }
        events(&mut memory, client);
    }
    assert_eq!(memory.dials.len(), 1);
}

/// While all clients work none is sent away; as soon as one rests its place is free.
#[test]
fn who_becomes_idle_in_a_full_table_makes_room() {
    let mut memory = Memory::new(|config| config.max_fronts = 2);
    let clients = [(); 2].map(|()| memory.connect(ConnectionConfig::default()));
    memory.settle();
    clients.iter().for_each(|&client| _ = ask(&mut memory, client, "/work"));
    memory.wait(Duration::from_secs(1));
    assert!(memory.closed.is_empty());
    assert_eq!(answer_all(&mut memory).len(), 2);
    memory.wait(Duration::from_secs(5));
    assert_eq!(memory.closed.len(), 1, "one place is enough");
}

/// Crumbs of a cookie that a table repeats for an octet each, to a backend of HTTP/1.1, where they are one line (RFC 9113 section 8.2.3): each
/// is as long as a head may be, and one connection has a 256th of `head_memory` for them.
#[test]
fn crumbs_that_are_joined_are_no_longer_than_heads_may_be() {
    use crate::wire::{PREFACE, get, headers, settings, settings_ack};

    let mut memory = Memory::new(|config| {
        config.upstreams[0].endpoints[0].protocol = shuntyard_core::config::Protocol::Http1
    });
    memory.mute_backends = true;
    let attacker = memory.connect_mute();
    // Literal with incremental indexing, name 32 of the static table; a length of 500 behind a prefix of seven bits.
    let crumb = [&[0x60, 0x7f, 0xf5, 0x02][..], &[b'c'; 500]].concat();
    let opening =
        [PREFACE.to_vec(), settings(&[]), settings_ack(), headers(1, &[get(), crumb].concat(), true)];
    memory.inject(attacker, &opening.concat());
    let mut sent = 0;
    for n in 1..=99 {
        let request = headers(2 * n + 1, &[get(), vec![0xbe; 110]].concat(), true);
        sent += request.len();
        memory.inject(attacker, &request);
    }
    assert_eq!(sent, 14_454);
    let heads: Vec<_> =
        memory.backends().into_iter().filter(|&id| id != attacker).map(|id| memory.sent_to(id)).collect();
    assert_eq!(heads.iter().map(Vec::len).collect::<Vec<_>>(), [vec![651], vec![55_369; 17]].concat());
    let refused = Outcome::LocalReply(Cause::MemoryLimit);
    assert_eq!(memory.records.iter().filter(|record| record.outcome == refused).count(), 82);
    let lines = |head: &Vec<u8>| head.windows(9).filter(|octets| octets == b"\r\ncookie:").count();
    assert!(heads.iter().all(|head| lines(head) == 1));
}
