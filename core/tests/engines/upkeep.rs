//! What keeps engines in good order: shares of memory, windows that grow, PING on suspicion, age, a minimum.

use shuntyard_core::config::{ConnectionConfig, Saturation, Scope};
use shuntyard_core::h2::ClientEvent;
use shuntyard_core::key::ConnId;
use shuntyard_core::record::{Cause, Outcome};
use shuntyard_core::time::Duration;

use crate::memory::Memory;
use crate::memory::talk::{answer_all, ask, events, get, ok, requests};

/// Frames of a type, and without the ACK flag where the type has one, that a peer has got since it was asked last.
fn frames(memory: &mut Memory, conn: ConnId, of: u8) -> usize {
    let taken = memory.sent_to(conn);
    let mut rest = taken.strip_prefix(shuntyard_core::frame::PREFACE).unwrap_or(&taken);
    let mut count = 0;
    while let Some((head, tail)) = rest.split_at_checked(9) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        count += usize::from(head[3] == of && (of != PING || head[4] & 1 == 0));
        rest = &tail[length.min(tail.len())..];
    }
    count
}

const PING: u8 = 6;
const GOAWAY: u8 = 7;

fn pings(memory: &mut Memory, backend: ConnId) -> usize {
    frames(memory, backend, PING)
}

#[test]
fn b05_reuse_after_a_while_asks_once_and_the_request_goes_out_at_once() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/1");
    answer_all(&mut memory);
    let backend = memory.backends()[0];
    memory.sent_to(backend);
    memory.wait(Duration::from_secs(2));
    ask(&mut memory, client, "/2");
    assert_eq!(requests(&mut memory, backend).len(), 1);
    assert_eq!(pings(&mut memory, backend), 1);
}

#[test]
fn b06_reuse_within_a_second_asks_nothing() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/1");
    answer_all(&mut memory);
    let backend = memory.backends()[0];
    memory.sent_to(backend);
    memory.wait(Duration::from_millis(900));
    ask(&mut memory, client, "/2");
    assert_eq!(pings(&mut memory, backend), 0);
}

/// A backend that has fallen silent with one request under way.
fn silent() -> (Memory, ConnId, ConnId) {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/1");
    answer_all(&mut memory);
    let backend = memory.backends()[0];
    memory.sent_to(backend);
    memory.wait(Duration::from_secs(2));
    memory.mute(backend);
    (memory, client, backend)
}

#[test]
fn b07_f24_there_is_no_second_ping_before_the_answer() {
    let (mut memory, client, backend) = silent();
    for n in 0..5 {
        ask(&mut memory, client, &format!("/{n}"));
        memory.wait(Duration::from_millis(500));
    }
    assert_eq!(pings(&mut memory, backend), 1);
}

#[test]
fn b09_a_ping_without_an_answer_ends_the_connection() {
    let (mut memory, client, backend) = silent();
    ask(&mut memory, client, "/lost");
    memory.wait(Duration::from_secs(6));
    assert!(memory.closed.contains(&backend));
    // What was asked in vain is asked again on a fresh connection, for it is idempotent; the next request follows it.
    assert_eq!(answer_all(&mut memory), ["/lost"]);
    ask(&mut memory, client, "/next");
    assert_eq!(answer_all(&mut memory), ["/next"]);
    assert_eq!(memory.dials.len(), 2);
}

/// The answer to a PING may come together with that to the request: the silence that follows is another one.
#[test]
fn b09_a_backend_that_answers_both_at_once_is_asked_in_the_next_silence() {
    let mut memory = Memory::new(|_| {});
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/1");
    answer_all(&mut memory);
    let backend = memory.backends()[0];
    for n in 2..5 {
        memory.sent_to(backend);
        memory.wait(Duration::from_secs(2));
        ask(&mut memory, client, &format!("/{n}"));
        assert_eq!(answer_all(&mut memory), [format!("/{n}")]);
        assert_eq!(pings(&mut memory, backend), 1, "{n}");
    }
    memory.wait(Duration::from_secs(2));
    memory.mute(backend);
    ask(&mut memory, client, "/lost");
    memory.wait(Duration::from_secs(6));
    assert!(memory.closed.contains(&backend));
    assert_eq!(answer_all(&mut memory), ["/lost"]);
}

/// A backend that lets a request wait, and is suspected after 20 seconds of silence.
fn slow() -> (Memory, ConnId) {
    let mut memory = Memory::new(|config| {
        config.timeouts.response = Duration::from_secs(300);
        config.timeouts.suspect_silent = Duration::from_secs(20);
    });
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/slow");
    let backend = memory.backends()[0];
    memory.sent_to(backend);
    (memory, backend)
}

/// So many seconds pass, in which the backend answers what is asked of it. Says how many PINGs that were.
fn listen(memory: &mut Memory, backend: ConnId, seconds: u64) -> usize {
    for _ in 0..seconds {
        memory.wait(Duration::from_secs(1));
        requests(memory, backend);
        memory.settle();
    }
    pings(memory, backend)
}

#[test]
fn a_backend_that_answers_pings_is_asked_once_in_a_silence() {
    let (mut memory, backend) = slow();
    assert_eq!(listen(&mut memory, backend, 200), 1);
    assert_eq!(memory.gateway.view().live, 1);
}

/// Its host may have died since it answered: who is given a request then is asked once more, and no third time.
#[test]
fn a_backend_that_answered_is_asked_once_more_where_a_request_is_given_to_it() {
    for dies in [true, false] {
        let (mut memory, backend) = slow();
        let client = *memory.peers.keys().next().expect("the client");
        assert_eq!(listen(&mut memory, backend, 30), 1);
        if dies {
            memory.mute(backend);
            ask(&mut memory, client, "/after");
            memory.wait(Duration::from_secs(10));
            assert_eq!(pings(&mut memory, backend), 1);
            assert!(memory.closed.contains(&backend));
            continue;
        }
        for n in 0..5 {
            ask(&mut memory, client, &format!("/{n}"));
            assert_eq!(listen(&mut memory, backend, 5), usize::from(n == 0), "{n}");
        }
        assert!(!memory.closed.contains(&backend));
    }
}

/// The question may wait behind much that a backend takes slowly. It is asked when it has left.
#[test]
fn f24_a_backend_that_reads_slowly_is_not_given_up_for_a_question_it_has_not_seen() {
    let mut memory = Memory::new(|config| {
        config.timeouts.response = Duration::from_secs(300);
        config.timeouts.suspect_silent = Duration::from_secs(1);
        config.timeouts.write_stall = Duration::from_secs(300);
    });
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..20 {
        ask(&mut memory, client, &format!("/slow/{n}"));
    }
    let backend = memory.backends()[0];
    memory.deafen(backend);
    for n in 20..40 {
        ask(&mut memory, client, &format!("/slow/{n}"));
    }
    // An octet every four seconds.
    for _ in 0..15 {
        memory.wait(Duration::from_secs(4));
        assert!(memory.gateway.poll_transmit(backend, memory.now).is_some());
        memory.gateway.handle_sent(backend, 1, memory.now);
        memory.settle();
    }
    assert!(!memory.closed.contains(&backend), "it reads");
    memory.wait(Duration::from_secs(11));
    assert!(memory.closed.contains(&backend), "it has gone");
}

/// Octets that have left may wait in the memory of the system, before a backend that reads slowly: as long as that makes room, somebody reads. Where it has
/// room for all nobody knows.
#[test]
fn f24_a_backend_that_takes_what_follows_the_question_is_there() {
    for (takes_all, seconds) in [(false, 60), (true, 5)] {
        let mut memory = Memory::new(|config| {
            config.timeouts.response = Duration::from_secs(300);
            config.timeouts.suspect_silent = Duration::from_secs(1);
            config.timeouts.write_stall = Duration::from_secs(300);
        });
        let client = memory.connect(ConnectionConfig::default());
        ask(&mut memory, client, "/slow");
        let backend = memory.backends()[0];
        memory.sent_to(backend);
        memory.mute(backend);
        memory.wait(Duration::from_millis(1500));
        assert_eq!(pings(&mut memory, backend), 1);
        memory.deafen(backend);
        for n in 0..seconds {
            assert!(!memory.closed.contains(&backend), "{takes_all}: given up after {n} s");
            ask(&mut memory, client, &format!("/{n}"));
            let waits = memory.gateway.poll_transmit(backend, memory.now).map_or(0, <[u8]>::len);
            memory.gateway.handle_sent(backend, if takes_all { waits } else { 1 }, memory.now);
            memory.wait(Duration::from_secs(1));
        }
        memory.wait(Duration::from_secs(if takes_all { 0 } else { 11 }));
        assert!(memory.closed.contains(&backend), "{takes_all}: it has gone");
    }
}

/// An answer has its time from when the question has left.
#[test]
fn f24_an_answer_has_its_time_from_when_the_question_has_left() {
    let mut memory = Memory::new(|config| {
        config.timeouts.response = Duration::from_secs(300);
        config.timeouts.suspect_silent = Duration::from_secs(1);
    });
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/slow");
    let backend = memory.backends()[0];
    memory.deafen(backend);
    memory.wait(Duration::from_millis(5900));
    memory.mute(backend);
    memory.hear(backend);
    memory.wait(Duration::from_secs(4));
    assert!(!memory.closed.contains(&backend));
    memory.wait(Duration::from_secs(2));
    assert!(memory.closed.contains(&backend));
}

/// A backend that has answered and has been heard since may fall silent again.
#[test]
fn f24_each_silence_is_noticed() {
    let (mut memory, backend) = slow();
    let (stream, _) = requests(&mut memory, backend).remove(0);
    assert_eq!(listen(&mut memory, backend, 50), 1);
    memory.backend(backend).send_response(stream, &ok(), false).expect("open");
    memory.settle();
    assert_eq!(listen(&mut memory, backend, 50), 1, "another silence");
    memory.backend(backend).send_data(stream, b"content", false).expect("open");
    memory.settle();
    memory.mute(backend);
    memory.wait(Duration::from_secs(30));
    assert!(memory.closed.contains(&backend), "it is gone, and the next silence shows that");
}

#[test]
fn t5_a_backend_that_has_not_spoken_is_not_looked_at() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].assumed_streams = 2;
        config.timeouts.suspect_silent = Duration::from_secs(1);
        config.timeouts.response = Duration::from_secs(300);
    });
    memory.mute_backends = true;
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/first");
    ask(&mut memory, client, "/second");
    assert_eq!(memory.gateway.view().live, 2);
    memory.wait(Duration::from_secs(5));
    assert!(memory.gateway.poll_timeout() > Some(memory.now), "it waits for the preface and nothing else");
    // Once it has spoken, it is: SETTINGS, and then no word.
    let backend = memory.backends()[0];
    memory.sent_to(backend);
    memory.inject(backend, &[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    memory.wait(Duration::from_millis(1500));
    let sent = memory.sent_to(backend);
    assert!(sent.windows(5).any(|frame| frame == [0, 0, 8, 6, 0]), "no PING in {sent:?}");
}

#[test]
fn b49_a_client_holds_no_more_memory_than_its_share_and_disturbs_nobody() {
    let mut memory = Memory::new(|config| config.ledger_front_octets = 10 * 65_535);
    let greedy = memory.connect(ConnectionConfig::default());
    for n in 0..50 {
        memory.client(greedy).send_request(&get(&format!("/greedy/{n}")), true).expect("a slot");
    }
    memory.settle();
    assert_eq!((memory.gateway.view().live, memory.gateway.view().frozen), (10, 40));
    let modest = memory.connect(ConnectionConfig::default());
    ask(&mut memory, modest, "/modest");
    assert_eq!(memory.gateway.view().live, 11);
    let mut served = 0;
    while served < 51 {
        let n = answer_all(&mut memory).len();
        assert!(n > 0, "{served} served, and then nobody");
        served += n;
    }
    let view = memory.gateway.view();
    assert_eq!((view.reserved_octets, view.frozen), (0, 0));
}

/// A backend that sends as much as it may, to a client that takes all. Says the largest window that the backend had.
fn largest_window(memory: &mut Memory) -> usize {
    let client = memory.connect(ConnectionConfig {
        initial_window_size: 1 << 30,
        connection_window_size: 1 << 30,
        ..ConnectionConfig::default()
    });
    let stream = ask(memory, client, "/large");
    let backend = memory.backends()[0];
    let (at, _) = requests(memory, backend)[0];
    memory.backend(backend).send_response(at, &ok(), false).expect("an open stream");
    memory.backend(backend).send_data(at, &vec![7; 16 << 20], true).expect("an open stream");
    let (mut got, mut largest) = (0, 0);
    for round in 0.. {
        assert!(round < 10_000, "{got} octets after {round} rounds");
        if got == 16 << 20 {
            break;
        }
        requests(memory, backend);
        memory.settle();
        largest = largest.max(memory.gateway.view().reserved_octets);
        for event in events(memory, client) {
            if let ClientEvent::Data { data, credit, .. } = event {
                got += data.len();
                memory.client(client).release(stream, credit);
            }
        }
    }
    assert_eq!(memory.gateway.view().reserved_octets, 0, "it shrinks back");
    usize::try_from(largest).expect("a size")
}

#[test]
fn b44_f39_a_window_that_is_used_up_grows_inside_the_ledger() {
    let mut memory = Memory::new(|_| {});
    assert_eq!(largest_window(&mut memory), 1 << 20);
    let mut memory = Memory::new(|config| config.ledger_octets = 300_000);
    let largest = largest_window(&mut memory);
    assert!((65_536..=300_000).contains(&largest), "{largest}");
    let mut memory = Memory::new(|config| config.backend.stream_window_max = 65_535);
    assert_eq!(largest_window(&mut memory), 65_535);
}

#[test]
fn b78_connections_have_an_age_and_requests_move_to_the_next() {
    let mut memory = Memory::new(|config| {
        config.timeouts.backend_age = Duration::from_secs(100);
        config.timeouts.response = Duration::from_secs(1000);
        config.timeouts.suspect_silent = Duration::from_secs(1000);
    });
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/long");
    memory.wait(Duration::from_secs(111));
    ask(&mut memory, client, "/young");
    assert_eq!(memory.dials.len(), 2);
    assert_eq!(answer_all(&mut memory).len(), 2, "what is under way on the old one is finished");
    assert!(memory.records.iter().all(|record| record.outcome == Outcome::Complete));
}

#[test]
fn a_client_whose_time_is_over_is_asked_to_leave_and_loses_nothing() {
    let mut memory = Memory::new(|config| {
        config.timeouts.front_age = Duration::from_secs(100);
        config.timeouts.suspect_idle = Duration::from_secs(1000);
    });
    let client = memory.connect(ConnectionConfig::default());
    memory.settle();
    let mut seconds = 0;
    while !memory.closed.contains(&client) {
        assert!(seconds < 130, "nobody asked it to leave");
        // Once it was told of the end, it asks for nothing more.
        if memory.client(client).send_request(&get("/"), true).is_ok() {
            memory.settle();
            answer_all(&mut memory);
        }
        memory.wait(Duration::from_secs(1));
        seconds += 1;
    }
    assert!((90..=113).contains(&seconds), "after {seconds} seconds");
    assert_eq!(
        frames(&mut memory, client, GOAWAY),
        2,
        "B55: first that the end is near, then the last stream"
    );
    assert!(memory.records.iter().all(|record| record.outcome == Outcome::Complete));
}

#[test]
fn b78_a_minimum_of_connections_is_kept_and_used() {
    let mut memory = Memory::new(|config| config.upstreams[0].connections_min = 2);
    memory.settle();
    for backend in memory.backends() {
        while memory.backend(backend).poll_event().expect("a sound connection").is_some() {}
    }
    memory.settle();
    assert_eq!(memory.gateway.view().backends, 2, "before the first request");
    assert_eq!(memory.gateway.view().engines, 0);
    let gone = memory.backends()[0];
    memory.kill(gone);
    assert_eq!(memory.gateway.view().backends, 2, "one that is gone is replaced");
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/");
    assert_eq!(answer_all(&mut memory), ["/"]);
    memory.wait(Duration::from_secs(130));
    assert_eq!(memory.gateway.view().backends, 2, "idleness does not end them");
    assert_eq!(memory.dials.len(), 3);
}

/// Who came at one moment is not asked to leave at one: that would bring all of them back together.
#[test]
fn clients_of_one_moment_leave_over_at_least_a_tenth_of_their_time() {
    const AGE: u64 = 1000;
    let mut memory = Memory::new(|config| {
        config.timeouts.front_age = Duration::from_secs(AGE);
        config.timeouts.front_idle = Duration::from_secs(10 * AGE);
    });
    let mut clients: Vec<_> = (0..50).map(|_| memory.connect(ConnectionConfig::default())).collect();
    memory.settle();
    let mut left = Vec::new();
    for second in (0..=AGE + AGE / 10 + 10).step_by(5) {
        clients.retain(|&client| {
            let stays = frames(&mut memory, client, GOAWAY) == 0;
            left.extend((!stays).then_some(second));
            stays
        });
        memory.wait(Duration::from_secs(5));
    }
    assert_eq!((left.len(), clients.len()), (50, 0), "{left:?}");
    let (first, last) = (left[0], left[49]);
    assert!(first >= AGE - AGE / 10 && last - first >= AGE / 10, "{left:?}");
}

/// More are not dialled for whoever waits, but those that are there serve.
#[test]
fn a_minimum_serves_where_requests_wait_for_what_there_is() {
    for share in [Scope::Worker, Scope::Client, Scope::None] {
        let mut memory = Memory::new(|config| {
            config.upstreams[0].connections_min = 3;
            config.upstreams[0].share = share;
            config.upstreams[0].on_saturation = Saturation::Queue;
        });
        memory.backend_config.max_concurrent_streams = 1;
        memory.settle();
        let client = memory.connect(ConnectionConfig::default());
        (0..6).for_each(|n| _ = ask(&mut memory, client, &format!("/{n}")));
        let busy = memory.backends().into_iter().map(|backend| requests(&mut memory, backend).len());
        assert_eq!(busy.sum::<usize>(), 3, "{share:?}");
        assert_eq!((memory.gateway.view().frozen, memory.dials.len()), (3, 3), "{share:?}");
    }
}

/// What is beyond the minimum goes when its time is over.
#[test]
fn b78_idle_connections_beyond_the_minimum_go() {
    let mut memory = Memory::new(|config| {
        config.upstreams[0].connections_min = 1;
        config.upstreams[0].share = Scope::None;
    });
    let client = memory.connect(ConnectionConfig::default());
    for n in 0..4 {
        ask(&mut memory, client, &format!("/{n}"));
    }
    assert_eq!(answer_all(&mut memory).len(), 4);
    assert_eq!(memory.gateway.view().backends, 4, "one for each request");
    let idle = memory.config().timeouts.backend_idle;
    memory.wait(3 * idle);
    assert_eq!(memory.gateway.view().backends, 1);
    assert_eq!(memory.dials.len(), 4, "nobody replaces what nobody needs");
}

#[test]
fn a_minimum_does_not_dial_a_dead_endpoint_without_end() {
    let mut memory = Memory::new(|config| config.upstreams[0].connections_min = 1);
    memory.refuse = true;
    memory.settle();
    memory.wait(Duration::from_secs(60));
    assert!((5..=8).contains(&memory.dials.len()), "{} dials in a minute", memory.dials.len());
    let client = memory.connect(ConnectionConfig::default());
    ask(&mut memory, client, "/");
    assert_eq!(memory.records[0].outcome, Outcome::LocalReply(Cause::ConnectionRefused));
}
