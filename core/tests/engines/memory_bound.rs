//! Memory stays under the bound that the configuration tells, queues what has no reservation, and comes back.

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::h2::{ClientEvent, ServerEvent};
use shuntyard_core::key::ConnId;

use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, events, get, ok, post, requests};

const CLIENTS: usize = 50;
const STREAMS: usize = 40;

/// Sends as much of a response as the backend may for every request that came.
fn flood(memory: &mut Memory) -> usize {
    let mut answered = 0;
    for backend in memory.backends() {
        let mut arrived = Vec::new();
        while let Some(event) = memory.backend(backend).poll_event().expect("a sound connection") {
            if let ServerEvent::Request { stream, .. } = event {
                arrived.push(stream);
            }
        }
        for stream in arrived {
            answered += 1;
            memory.backend(backend).send_response(stream, &ok(), false).expect("an open stream");
            memory.backend(backend).send_data(stream, &vec![7; 200_000], true).expect("an open stream");
        }
    }
    memory.settle();
    answered
}

#[test]
fn b49_f1_clients_that_do_not_read_hold_no_more_than_the_bound() {
    let mut memory = Memory::new(|config| {
        config.ledger_octets = 100 * 65_535;
        config.ledger_front_octets = 10 * 65_535;
        config.upload_ledger_octets = 1 << 20;
        config.max_fronts = 50;
    });
    let bound = memory.config().memory_bound();
    let deaf = ConnectionConfig { initial_window_size: 0, ..ConnectionConfig::default() };
    let clients: Vec<ConnId> = (0..CLIENTS).map(|_| memory.connect(deaf.clone())).collect();
    memory.settle();
    for &client in &clients {
        for n in 0..STREAMS {
            memory.client(client).send_request(&get(&format!("/{n}")), true).expect("a slot");
        }
    }
    memory.settle();
    while flood(&mut memory) > 0 {}
    let view = memory.gateway.view();
    assert_eq!(view.requests, CLIENTS * STREAMS);
    assert!(view.frozen >= CLIENTS * STREAMS - 100, "what has no reservation waits: {view:?}");
    assert!(view.live + view.finished > 50, "{view:?}");
    let held = |name: &str| bound.terms.iter().find(|(of, _)| *of == name).expect("a term").1;
    assert!(view.reserved_octets <= held("content from backends"));
    assert!((view.buffered_octets as u64) < bound.total());
    // Content alone, without outboxes: what the ledger promised.
    let outboxes = CLIENTS * 2 * 128 * 1024;
    assert!(view.buffered_octets as u64 <= held("content from backends") + outboxes as u64, "{view:?}");
    for client in clients {
        memory.kill(client);
    }
    let view = memory.gateway.view();
    assert_eq!(
        (view.requests, view.reserved_octets, view.buffered_octets),
        (0, 0, 0),
        "everything is given back"
    );
}

#[test]
fn b49_uploads_that_no_backend_reads_hold_no_more_than_their_windows() {
    let mut memory = Memory::new(|config| {
        config.upload_ledger_octets = 0;
        config.front.connection_window_size = 200_000;
        config.upstreams[0].retry.replay_octets = 0;
    });
    let client = memory.connect(ConnectionConfig::default());
    memory.backend_config.initial_window_size = 0;
    for n in 0..10 {
        let stream = memory.client(client).send_request(&post(&format!("/{n}")), false).expect("a slot");
        memory.client(client).send_data(stream, &[1; 100_000], true).expect("an open stream");
    }
    memory.settle();
    let view = memory.gateway.view();
    assert!(view.buffered_octets <= 200_000, "{view:?}");
    assert!(events(&mut memory, client).is_empty());
}

/// Heads as large as they may be, of requests that nobody answers.
#[test]
fn heads_hold_no_more_than_their_memory_and_what_is_above_is_told_at_once() {
    const MEMORY: u64 = 1 << 20;
    let mut memory = Memory::new(|config| config.head_ledger_octets = MEMORY);
    let large = "x".repeat(30_000);
    let clients: Vec<ConnId> = (0..10).map(|_| memory.connect(ConnectionConfig::default())).collect();
    memory.settle();
    let mut refused = 0;
    for &client in &clients {
        for n in 0..STREAMS {
            let mut request = get(&format!("/{n}"));
            request.headers_mut().insert("x-large", large.parse().expect("a value"));
            memory.client(client).send_request(&request, true).expect("a slot");
            memory.settle();
        }
        assert!(memory.gateway.view().head_octets <= MEMORY);
        for event in events(&mut memory, client) {
            let ClientEvent::Response { response, end: false, .. } = event else { continue };
            assert_eq!(response.status(), 503);
            assert!(response.headers().contains_key("retry-after"));
            refused += 1;
        }
    }
    let fit = CLIENTS * STREAMS / 5 - refused;
    assert!((10..=35).contains(&fit), "{fit} of 30 KiB in 1 MiB");
    let answered = answer_all(&mut memory).len();
    assert_eq!(answered, fit);
    assert_eq!(memory.gateway.view().head_octets, 0, "everything is given back");
    ask(&mut memory, clients[0], "/small");
    assert_eq!(answer_all(&mut memory), ["/small"]);
}

/// Trailers that would have to wait, and find no memory.
#[test]
fn trailers_without_memory_end_their_exchange_and_no_other() {
    let mut memory = Memory::new(|config| config.head_ledger_octets = 8 << 10);
    let client = memory.connect(ConnectionConfig { initial_window_size: 1, ..ConnectionConfig::default() });
    memory.settle();
    let large = ask(&mut memory, client, "/large");
    ask(&mut memory, client, "/small");
    let backend = memory.backends()[0];
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-large", "x".repeat(20_000).parse().expect("a value"));
    for (stream, request) in requests(&mut memory, backend) {
        memory.backend(backend).send_response(stream, &ok(), false).expect("an open stream");
        memory.backend(backend).send_data(stream, b"content", false).expect("an open stream");
        let trailers =
            if request.uri().path() == "/large" { trailers.clone() } else { http::HeaderMap::new() };
        memory.backend(backend).send_trailers(stream, &trailers).expect("an open stream");
    }
    memory.settle();
    let reset = events(&mut memory, client).into_iter().find_map(|event| match event {
        ClientEvent::Reset { stream, .. } => Some(stream),
        _ => None,
    });
    assert_eq!(reset, Some(large));
    assert_eq!(memory.gateway.view().requests, 1, "the other goes on");
}

/// What a backend says to a client that takes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Head,
    Interims,
    Trailers,
}

/// Says it on all streams but the first few.
fn say(memory: &mut Memory, backend: ConnId, says: Says, but: usize) {
    let mut large = http::HeaderMap::new();
    large.insert("x-large", "x".repeat(30_000).parse().expect("a value"));
    for (stream, _) in requests(memory, backend).split_off(but) {
        let mut response = ok();
        match says {
            Says::Head => *response.headers_mut() = large.clone(),
            Says::Interims => {
                let mut early = http::Response::builder().status(103).body(()).expect("a response");
                *early.headers_mut() = large.clone();
                let go_on = http::Response::builder().status(100).body(()).expect("a response");
                for interim in [[&early; 10].as_slice(), &[&go_on]].concat() {
                    memory.backend(backend).send_response(stream, interim, false).expect("an open stream");
                }
            }
            Says::Trailers => {}
        }
        let end = says != Says::Trailers;
        memory.backend(backend).send_response(stream, &response, end).expect("an open stream");
        if !end {
            memory.backend(backend).send_trailers(stream, &large).expect("an open stream");
        }
        memory.settle();
    }
}

const HEADS: u64 = 64 << 20;
/// What of that one connection may have.
const SHARE: usize = 256 << 10;

/// Sections as large as they may be, for a client that takes no octet: what is beyond twice the mark of its outbox is its share of the worker's memory
/// for heads. Responses whose heads find none there are refused, those whose early hints do lose them. Others are not disturbed.
#[test]
fn heads_for_a_client_that_reads_nothing_hold_no_more_than_their_memory() {
    const MARK: usize = 64 << 10;
    for says in [Says::Head, Says::Interims, Says::Trailers] {
        let mut memory = Memory::new(|config| {
            config.head_ledger_octets = HEADS;
            config.front.outbox_high_mark = MARK;
        });
        let client = memory.connect(ConnectionConfig::default());
        memory.settle();
        memory.deafen(client);
        for n in 0..STREAMS {
            memory.client(client).send_request(&get(&format!("/{n}")), true).expect("a slot");
        }
        memory.settle();
        let backend = memory.backends()[0];
        say(&mut memory, backend, says, 0);
        let view = memory.gateway.view();
        assert!(view.head_octets > 30_000 && view.head_octets <= HEADS, "{says:?}: {view:?}");
        assert!(view.buffered_octets <= 2 * SHARE, "{says:?}: {view:?}");
        if says != Says::Trailers {
            let other = memory.connect(ConnectionConfig::default());
            ask(&mut memory, other, "/other");
            assert_eq!(answer_all(&mut memory), ["/other"], "{says:?}");
        }
        memory.hear(client);
        let (mut early, mut go_on, mut whole, mut refused) = (0, 0, 0, 0);
        for event in events(&mut memory, client) {
            match event {
                ClientEvent::Interim { response, .. } if response.status() == 100 => go_on += 1,
                ClientEvent::Interim { .. } => early += 1,
                ClientEvent::Response { response, .. } if response.status() == 503 => refused += 1,
                ClientEvent::Reset { .. } => refused += 1,
                ClientEvent::Response { end: true, .. } | ClientEvent::Trailers { .. } => whole += 1,
                _ => {}
            }
        }
        let view = memory.gateway.view();
        assert!(whole >= 1 && (refused >= 1) == (says != Says::Interims), "{says:?}: {whole}, {refused}");
        assert!(says != Says::Interims || (1..100).contains(&early), "{early}");
        assert!(says != Says::Interims || go_on == STREAMS, "9110-15.2-04: {go_on}");
        assert_eq!((whole + refused, view.requests, view.head_octets), (STREAMS, 0, 0), "{says:?}: {view:?}");
    }
}

/// A client that has asked a hundred times, and reads nothing any more.
#[cfg(feature = "observe")]
struct Deaf {
    memory: Memory,
    client: ConnId,
    backend: ConnId,
    /// What its outbox may have, without what heads bring: its term in the bound, that is twice the mark, a frame and a section.
    own: usize,
}

/// `heads`: octets of memory for heads, of all.
#[cfg(feature = "observe")]
fn a_hundred_asked(heads: u64) -> Deaf {
    const MARK: usize = 200 << 10;
    let mut memory = Memory::new(|config| {
        config.head_ledger_octets = heads;
        config.front.outbox_high_mark = MARK;
        config.backend.outbox_high_mark = MARK;
    });
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    memory.deafen(client);
    for n in 0..100 {
        memory.client(client).send_request(&get(&format!("/{n}")), true).expect("a slot");
    }
    memory.settle();
    let backend = memory.backends()[0];
    let octets = 2 * MARK + (16 << 10) + 9 + memory.config().backend.max_header_list_size as usize;
    Deaf { memory, client, backend, own: octets.next_power_of_two() / 8 * 9 }
}

/// An outbox has memory of powers of two: what it grows to is accounted for, and not what it holds.
#[cfg(feature = "observe")]
#[test]
fn the_memory_that_heads_make_an_outbox_take_is_accounted_for() {
    let Deaf { mut memory, client, backend, own } = a_hundred_asked(256 << 20);
    let mut most = 0;
    for (n, (stream, _)) in requests(&mut memory, backend).into_iter().enumerate() {
        let mut response = ok();
        for line in 0..5 {
            let value = format!("{n}{line}{}", "~".repeat(2000));
            response.headers_mut().append("x-large", value.parse().expect("a value"));
        }
        memory.backend(backend).send_response(stream, &response, true).expect("an open stream");
        memory.settle();
        let held = memory.gateway.outbox_memory(client);
        let heads = memory.gateway.view().head_octets as usize;
        assert!(held <= own + 2 * heads, "{held} octets, {heads} reserved");
        most = most.max(held);
    }
    assert!(most > own, "{most} of {own}");
}

/// What nobody asks for memory for may enter an outbox behind heads at any time, also when some of it has left.
#[cfg(feature = "observe")]
#[test]
fn what_enters_an_outbox_unasked_has_memory_when_some_of_it_has_left() {
    let Deaf { mut memory, client, backend, own } = a_hundred_asked(1 << 30);
    // Heads until there is room for a few resets, and no more.
    let mut begun = Vec::new();
    for (stream, _) in requests(&mut memory, backend) {
        let waits = memory.gateway.poll_transmit(client, memory.now).map_or(0, <[u8]>::len);
        let room = memory.gateway.outbox_memory(client).saturating_sub(waits);
        let is_last = memory.gateway.outbox_memory(client) > own && room < 15_500;
        let mut response = ok();
        // There must be room for the longest form that the last may have.
        let (mut left, line) = if is_last { (room.saturating_sub(850), 15_000) } else { (12_000, 1900) };
        while left > 0 {
            let octets = left.min(line);
            // No two are the same, which would be an octet each.
            let value = format!("{:~<octets$}", begun.len() * 100_000 + left);
            response.headers_mut().append("x-large", value.parse().expect("a value"));
            left -= octets;
        }
        memory.backend(backend).send_response(stream, &response, false).expect("an open stream");
        memory.settle();
        begun.push(stream);
        if is_last {
            break;
        }
    }
    let held = memory.gateway.outbox_memory(client);
    memory.gateway.poll_transmit(client, memory.now);
    memory.gateway.handle_sent(client, 1, memory.now);
    assert_eq!(memory.gateway.outbox_memory(client), held);
    // A backend's resets are ours for the client.
    for &stream in &begun {
        memory.backend(backend).reset(stream, shuntyard_core::error::ErrorCode::INTERNAL_ERROR);
    }
    memory.settle();
    let grown = memory.gateway.outbox_memory(client);
    let heads = memory.gateway.view().head_octets as usize;
    assert!(grown > held, "{grown} of {held}, {} resets", begun.len());
    // It asks for an eighth more where some has left (`outbox`).
    assert!(grown <= (own + 2 * heads) / 8 * 9, "{grown} octets, {heads} reserved");
}

/// The same where responses wait in their exchanges for those before.
#[test]
fn heads_that_wait_for_their_turn_hold_no_more_than_their_memory() {
    for says in [Says::Head, Says::Interims, Says::Trailers] {
        let mut memory = Memory::new(|config| {
            config.head_ledger_octets = HEADS;
            config.front.outbox_high_mark = 1;
        });
        let client = memory.connect_mute();
        for n in 0..16 {
            let request = format!("GET /{n} HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n");
            memory.inject(client, request.as_bytes());
        }
        let backend = memory.backends().into_iter().find(|&of| of != client).expect("a backend");
        // The first has no answer: all others wait for it.
        say(&mut memory, backend, says, 1);
        let view = memory.gateway.view();
        assert!(view.head_octets > 30_000 && view.head_octets <= HEADS, "{says:?}: {view:?}");
        assert!(view.buffered_octets <= 2 * SHARE, "{says:?}: {view:?}");
        memory.kill(client);
        assert_eq!(memory.gateway.view().head_octets, 0, "{says:?}");
    }
}

/// Trailers of uploads whose clients take them back wait with them, and go with them.
#[test]
fn trailers_for_a_backend_that_reads_nothing_wait_in_their_streams() {
    const MARK: usize = 16 << 10;
    let mut memory = Memory::new(|config| config.backend.outbox_high_mark = MARK);
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/first");
    assert_eq!(answer_all(&mut memory), ["/first"]);
    let backend = memory.backends()[0];
    memory.deafen(backend);
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-large", "x".repeat(30_000).parse().expect("a value"));
    for n in 0..20 {
        let stream = memory.client(client).send_request(&post(&format!("/{n}")), false).expect("a slot");
        memory.client(client).send_data(stream, b"content", false).expect("an open stream");
        memory.client(client).send_trailers(stream, &trailers).expect("an open stream");
        memory.settle();
        memory.client(client).reset(stream, shuntyard_core::error::ErrorCode::CANCEL);
        memory.settle();
    }
    let view = memory.gateway.view();
    assert!(view.buffered_octets <= (64 << 10) + 2 * 30_000, "{view:?}");
    assert_eq!(view.head_octets, 0);
}

/// Whoever reads records has their heads in memory until he takes them: they are heads of requests as long.
#[test]
fn heads_in_records_that_nobody_has_taken_are_accounted_for() {
    const MEMORY: u64 = 256 << 10;
    let mut memory = Memory::new(|config| config.head_ledger_octets = MEMORY);
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    // Large heads in few octets, and answered at once: nobody has tunnels.
    for n in 0..31 {
        let mut request = http::Request::connect(format!("{n}.example:1")).body(()).expect("a request");
        for _ in 0..10 {
            request.headers_mut().append("x-large", "x".repeat(2000).parse().expect("a value"));
        }
        memory.client(client).send_request(&request, true).expect("a slot");
        if n == 0 {
            memory.settle();
            memory.records.clear();
        }
    }
    memory.settle();
    let kept: usize = memory.records.iter().map(|record| record.fields.size()).sum();
    let statuses: Vec<_> = memory.records.iter().map(|record| record.status).collect();
    assert_eq!(statuses.len(), 30);
    assert!(kept > 100_000 && kept <= MEMORY as usize, "{kept}: {statuses:?}");
    assert_eq!(memory.gateway.view().head_octets, 0, "all have been taken");
}

/// Windows grow from one size to another, and each lies in a queue of the next power of two.
#[test]
fn the_bound_takes_windows_at_the_size_at_which_they_need_most() {
    let content = |initial, most| {
        let mut config = shuntyard_core::config::Config::new(Vec::new());
        (config.backend.initial_window_size, config.backend.stream_window_max) = (initial, most);
        config.ledger_octets = 100 << 20;
        let bound = config.memory_bound();
        let term = bound.terms.iter().find(|(name, _)| *name == "content from backends");
        term.expect("the term").1 >> 20
    };
    assert_eq!(content(1 << 16, 1 << 20), 112, "and an eighth");
    assert_eq!(content(1 << 16, (1 << 20) + (1 << 17)), 200, "eighty-nine of 1.125 MiB");
    assert_eq!(content((1 << 16) + (1 << 13), 1 << 20), 200, "as much with the first");
}

/// Numbers, not formulas: who changes what is counted changes them here, too.
#[test]
fn the_bound_of_a_small_configuration_in_numbers() {
    let mut config =
        shuntyard_core::config::Config::new(vec![shuntyard_core::address::Address::unspecified()]);
    config.max_fronts = 10;
    config.front.max_concurrent_streams = 8;
    config.front.connection_window_size = 65_535;
    config.upstreams[0].connections_max = 3;
    config.upstreams[0].http1_connections_max = 5;
    config.ledger_octets = 10 << 20;
    config.ledger_front_octets = 1 << 20;
    config.upload_ledger_octets = 65_535 * 4;
    config.replay_ledger_octets = 1 << 20;
    config.head_ledger_octets = 3 << 20;
    assert_eq!(config.validate(), Ok(()));
    let bound = config.memory_bound();
    let expected = [
        // Ten of 147,453 for windows, 589,824 for the outbox, 524,288 for the inbox, 19,968 for tables, 8192 for answers, 28,672 for all else.
        ("client connections", 13_183_970),
        // 161 of the first size of windows, each of 65,536 octets and an eighth; ten of 1 MiB and an eighth are less.
        ("content from backends", 11_870_208),
        ("shared buffers", 10_747_904),
        // Three, and as many again that are ending: as those of clients, without windows.
        ("backend connections", 7_025_664),
        ("heads and trailers", 6_291_456),
        ("content kept to be sent again", 4_456_448),
        ("requests", 80 * 12_288),
        ("content from clients", 294_912),
        ("places in queues", 2560),
    ];
    assert_eq!(bound.terms, expected);
    assert_eq!(bound.total(), 54_856_162);
}
