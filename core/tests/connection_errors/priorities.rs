//! RFC 9218: priority signals, what they may name, and in which order responses leave.

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::{ConnectionError, ErrorCode};
use shuntyard_core::h2::{Role, StreamKey};
use shuntyard_core::priority::Priority;
use shuntyard_requirements::req;

use crate::wire::*;
use crate::{OPEN, end_the_connection};

#[test]
fn rfc9218_7_1_frames_that_end_the_connection() {
    req!("9218-7.1-01", "9218-7.1-02", "9218-7.1-08", "9218-7.1-09", "9218-7.1-11");
    let with = |stream_id: u32, payload: &[u8]| frame(PRIORITY_UPDATE, 0, stream_id, payload);
    let (protocol, size) = (ErrorCode::PROTOCOL_ERROR, ErrorCode::FRAME_SIZE_ERROR);
    let on_stream = with(OPEN, &[0, 0, 0, OPEN as u8]);
    end_the_connection(
        &[Role::Server],
        vec![
            ("on a stream", on_stream, ConnectionError::StreamIdNonZero, protocol),
            ("about stream 0", priority_update(0, "u=1"), ConnectionError::PriorityUpdateStream, protocol),
            (
                "the reserved bit",
                priority_update(1 << 31, ""),
                ConnectionError::PriorityUpdateStream,
                protocol,
            ),
            ("about a push", priority_update(2, "u=1"), ConnectionError::PriorityUpdateStream, protocol),
            ("too short", with(0, &[0, 0, 1]), ConnectionError::FrameTooShort, size),
        ],
    );
    let from_server = priority_update(OPEN, "u=1");
    let error = ConnectionError::PriorityUpdateFromServer;
    end_the_connection(&[Role::Client], vec![("from a server", from_server, error, protocol)]);
}

fn priority(urgency: u8, incremental: bool) -> Priority {
    Priority { urgency, incremental }
}

/// The client opens a stream with these lines beside its usual ones.
fn open(server: &mut Subject, id: u32, lines: &[(&str, &str)]) -> StreamKey {
    let more: Vec<_> = lines.iter().map(|(name, value)| line(name, value)).collect();
    let told = server.hear(&headers(id, &[get(), more.concat()].concat(), true));
    let [Told::Request { key, .. }] = told[..] else { panic!("{told:?}") };
    key
}

#[test]
fn rfc9218_7_signals_for_streams_to_come_are_kept() {
    req!("9218-7-03", "9218-7.1-04", "9218-7.1-05");
    let config = ConnectionConfig { max_concurrent_streams: 3, ..ConnectionConfig::default() };
    let mut server = Subject::with(Role::Server, config.clone(), &[]);
    let updates = [
        priority_update(5, "u=7"),
        priority_update(3, "u=2, i"),
        priority_update(5, "u=1"),
        priority_update(5, "no dictionary!"),
    ];
    assert_eq!(server.hear(&updates.concat()), []);
    let first = open(&mut server, 1, &[]);
    assert_eq!(server.connection.priority(first), priority(3, false), "it speaks of priorities");
    // Stream 3 is passed over, and its signal with it. The frame goes over the field.
    let fifth = open(&mut server, 5, &[("priority", "u=6")]);
    assert_eq!(server.connection.priority(fifth), priority(1, false));
    assert_eq!(server.hear(&priority_update(3, "u=0")), [], "a stream that is closed");
    assert_eq!(server.hear(&priority_update(7, "u=0")), []);
    let (told, error) = server.try_hear(&priority_update(9, "u=0"));
    assert_eq!((told, error), (vec![], Some(ConnectionError::PriorityUpdateTooMany)));

    // Before the client has acknowledged our SETTINGS it cannot know the limit.
    let mut server = Subject::fresh(Role::Server, ConnectionConfig { misuse_max: 1_000_000, ..config });
    server.hear(&[PREFACE, &settings(&[])].concat());
    let many: Vec<_> = (0..20_000).map(|n| priority_update(2 * n + 1, "u=1")).collect();
    assert_eq!(server.hear(&many.concat()), []);
    let key = open(&mut server, 1, &[]);
    assert_eq!(server.connection.priority(key), priority(1, false));
    let late = open(&mut server, 30_001, &[]);
    assert_eq!(server.connection.priority(late), priority(3, false), "not all are kept");
}

#[test]
fn rfc9218_5_fields_of_requests_and_responses() {
    req!("9218-4-01");
    let mut server = Subject::server();
    let silent = open(&mut server, 1, &[]);
    let turns = priority(3, true);
    assert_eq!(server.connection.priority(silent), turns, "a client that has never heard of it");
    let key = open(&mut server, 3, &[("priority", "u=5, i")]);
    assert_eq!(server.connection.priority(key), priority(5, true));
    let defaults = open(&mut server, 5, &[]);
    assert_eq!(server.connection.priority(defaults), Priority::default());
    // RFC 9218 section 8: what the response says goes over what the client says, then and later.
    let head = section(&[(":status", "200"), ("priority", "u=1")]);
    server.connection.send_head(key, &head, false).expect("an open stream");
    assert_eq!(server.connection.priority(key), priority(1, true));
    assert_eq!(server.hear(&priority_update(3, "u=7")), [Told::Reprioritized { key }]);
    assert_eq!(server.connection.priority(key), priority(1, false));
    assert_eq!(server.hear(&priority_update(3, "nothing!")), []);
    // Whoever says in SETTINGS that it knows has its silence taken for the defaults.
    let mut server = Subject::with(Role::Server, ConnectionConfig::default(), &[(0x9, 1)]);
    let key = open(&mut server, 1, &[]);
    assert_eq!(server.connection.priority(key), Priority::default());
}

/// The streams of the DATA frames that leave, in order, without repetitions.
fn order(server: &mut Subject) -> Vec<u32> {
    let mut order: Vec<u32> =
        server.speak().iter().filter(|frame| frame.frame_type == DATA).map(|frame| frame.stream_id).collect();
    order.dedup();
    order
}

#[test]
fn rfc9218_10_responses_leave_in_the_order_of_their_urgency() {
    req!("9218-10-01", "9218-10-02", "9218-10-03", "9218-10-04");
    let mut server =
        Subject::with(Role::Server, ConnectionConfig::default(), &[(INITIAL_WINDOW_SIZE, 1 << 20)]);
    let signals = [(1, "u=5"), (3, "u=5"), (5, "u=1, i"), (7, "u=1, i"), (9, "u=3")];
    let keys = signals.map(|(id, signal)| open(&mut server, id, &[("priority", signal)]));
    // The connection's window of 65,535 octets does not hold the first, so that the others wait.
    keys.iter().for_each(|key| server.respond(*key, false));
    for key in keys.iter().rev() {
        server.connection.send_data(*key, &[0; 70_000], true).expect("an open stream");
    }
    assert_eq!(order(&mut server), [9], "it left before there was a choice");
    server.hear(&priority_update(3, "u=0"));
    server.hear(&window_update(0, 1 << 20));
    assert_eq!(order(&mut server), [3, 7, 5, 7, 5, 7, 5, 7, 5, 7, 5, 9, 1]);
}

/// A stream that ends with a frame has had its turn: kinds and levels take theirs although each has one frame only.
#[test]
fn rfc9218_10_streams_of_one_frame_do_not_starve_others() {
    req!("9218-10-04", "9218-10-05");
    // How many go before: of the same level every other one, of a more urgent one 63 until it yields for the first time.
    for (signal, others, most) in [("u=3, i", "u=3", 1), ("u=7", "u=0", 63)] {
        let mut server =
            Subject::with(Role::Server, ConnectionConfig::default(), &[(INITIAL_WINDOW_SIZE, 1 << 20)]);
        let bulk = open(&mut server, 1, &[("priority", signal)]);
        server.respond(bulk, false);
        server.connection.send_data(bulk, &[0; 200_000], true).expect("an open stream");
        assert_eq!(order(&mut server), [1], "what the connection's window holds");
        for n in 1..=90 {
            let key = open(&mut server, 2 * n + 1, &[("priority", others)]);
            server.respond(key, false);
            server.connection.send_data(key, &[0; 100], true).expect("an open stream");
        }
        server.hear(&window_update(0, 1 << 20));
        let order = order(&mut server);
        let before = order.iter().position(|&id| id == 1).expect("it is sent");
        assert!(before <= most, "{signal} behind {before} others");
    }
}

/// What was signalled for a stream that came to nothing does not count against those to come.
#[test]
fn rfc9218_7_1_a_signal_goes_with_its_stream_whatever_becomes_of_that() {
    req!("9218-7.1-04");
    let config = ConnectionConfig {
        max_concurrent_streams: 1,
        max_header_list_size: 256,
        ..ConnectionConfig::default()
    };
    let mut server = Subject::with(Role::Server, config, &[]);
    for id in [1, 5, 9] {
        assert_eq!(server.hear(&priority_update(id, "u=1")), []);
        let large = [get(), line("x", &"v".repeat(300))].concat();
        let told = server.hear(&headers(id, &large, true));
        let [Told::TooLarge { key }] = told[..] else { panic!("{told:?}") };
        server.connection.reset(key, ErrorCode::NO_ERROR);
        server.speak();
    }
}

/// An announcement of the end names no stream yet: those that come are served, by their priority.
#[test]
fn a_signal_that_comes_early_counts_after_the_announcement_too() {
    let mut subject = Subject::server();
    subject.connection.announce_goaway();
    let told = subject.hear(&[priority_update(1, "u=0"), headers(1, &get(), true)].concat());
    let [Told::Request { key, .. }] = told[..] else { panic!("{told:?}") };
    assert_eq!(subject.connection.priority(key), priority(0, false));
}
