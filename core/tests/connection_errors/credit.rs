//! Sections 5.2 and 6.9: windows of both sides, and where received octets go back.

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::{ConnectionError as Fatal, ErrorCode, StreamError};
use shuntyard_core::h2::Role;
use shuntyard_requirements::req;

use crate::wire::*;
use crate::*;

const PROTOCOL_ERROR: ErrorCode = ErrorCode::PROTOCOL_ERROR;
const FRAME_SIZE_ERROR: ErrorCode = ErrorCode::FRAME_SIZE_ERROR;
const FLOW_CONTROL_ERROR: ErrorCode = ErrorCode::FLOW_CONTROL_ERROR;
const MAX: u32 = 0x7fff_ffff;

#[test]
fn rfc9113_6_9_window_update() {
    req!("9113-6.9-03", "9113-6.9-06", "9113-6.9.1-03", "9113-6.9.1-04");
    let of_size = |size| frame(WINDOW_UPDATE, 0, OPEN, &vec![1; size]);
    end_the_connection(
        &BOTH,
        vec![
            ("three octets", of_size(3), Fatal::WindowUpdateSize, FRAME_SIZE_ERROR),
            ("five octets", of_size(5), Fatal::WindowUpdateSize, FRAME_SIZE_ERROR),
            ("0 for the connection", window_update(0, 0), Fatal::WindowUpdateZero, PROTOCOL_ERROR),
            (
                "6.9.1: the connection above 2^31-1",
                window_update(0, MAX),
                Fatal::WindowOverflow,
                FLOW_CONTROL_ERROR,
            ),
        ],
    );
    for victim in [OPEN, HALF_CLOSED] {
        let rows = vec![
            ("0 for a stream", window_update(victim, 0), StreamError::WindowUpdateZero, PROTOCOL_ERROR),
            (
                "6.9.1: a stream above 2^31-1",
                window_update(victim, MAX),
                StreamError::WindowOverflow,
                FLOW_CONTROL_ERROR,
            ),
        ];
        if victim == HALF_CLOSED {
            reset_one_stream(&BOTH, victim, rows);
        } else {
            for (what, octets, error, code) in rows {
                let mut streams = streams(Role::Server);
                assert_eq!(streams.subject.hear(&octets), vec![Told::Failed { key: streams.keys[0], error }]);
                only_reset(&mut streams.subject, victim, code, what);
            }
        }
    }
    let mut streams = streams(Role::Server);
    assert_eq!(
        streams.subject.hear(&[window_update(0, MAX - 65_535), window_update(OPEN, MAX - 65_535)].concat()),
        vec![]
    );
    nothing_else_is_disturbed(streams, "windows of exactly 2^31-1");
}

#[test]
fn rfc9113_6_9_1_data_beyond_our_windows() {
    req!("9113-6.9-02");
    // The stream's window: the connection goes on, and gets the octets back.
    let config = ConnectionConfig { initial_window_size: 1000, ..ConnectionConfig::default() };
    for octets in [
        data(OPEN, &[0; 1001], true),
        padded_data(OPEN, &[0; 1000], 0, true),
        padded_data(OPEN, &[0; 800], 200, false),
    ] {
        let mut streams = server_streams(config.clone());
        let told = streams.subject.hear(&octets);
        assert_eq!(told, vec![Told::Failed { key: streams.keys[0], error: StreamError::WindowExceeded }]);
        only_reset(&mut streams.subject, OPEN, FLOW_CONTROL_ERROR, "the stream's window");
    }
    // The connection's.
    let config = ConnectionConfig {
        connection_window_size: 65_535,
        initial_window_size: 1 << 20,
        ..ConnectionConfig::default()
    };
    let mut streams = server_streams(config);
    streams.subject.keep_credit = true;
    let parts = [data(OPEN, &[0; 16_384], false).repeat(3), data(OPEN, &[0; 16_383], false)].concat();
    assert_eq!(streams.subject.hear(&parts).len(), 4);
    ends_the_connection(
        &mut streams.subject,
        "the connection's window",
        &data(OPEN, b"x", false),
        Fatal::WindowExceeded,
        FLOW_CONTROL_ERROR,
        RESET_BY_US,
    );
}

/// Whatever becomes of DATA, the connection gets all of its octets back, padding included: 640 KiB pass through a
/// window of 64 KiB.
#[test]
fn rfc9113_6_9_dropped_data_is_credited_to_the_connection() {
    req!("9113-6.8-09", "9113-6.9-05");
    let config = ConnectionConfig { connection_window_size: 65_535, ..ConnectionConfig::default() };
    for role in BOTH {
        for what in ["reset by us", "gone with an error"] {
            let mut subject = Subject::with(role, config.clone(), &[]);
            let mut announced = 0;
            for n in 0..40 {
                let id = 2 * n + 1;
                let key = match role {
                    Role::Client => subject.open("POST", true),
                    Role::Server => match subject.hear(&headers(id, &post(), false))[..] {
                        [Told::Request { key, .. }] => key,
                        ref other => panic!("{other:?}"),
                    },
                };
                if what == "reset by us" {
                    subject.connection.reset(key, ErrorCode::CANCEL);
                } else {
                    subject.hear(&window_update(id, 0));
                }
                let octets = if n % 2 == 0 {
                    data(id, &[0; 16_000], n == 38)
                } else {
                    padded_data(id, &[0; 16_000], 255, false)
                };
                assert_eq!(subject.hear(&octets), vec![], "{what}");
                announced += connection_credit(&subject.speak());
            }
            let sent = 20 * 16_000 + 20 * 16_256;
            assert!(announced <= sent && sent - announced < 65_536 / 2, "{what}: {announced} of {sent}");
        }
    }
    // Streams that were refused, and streams behind our GOAWAY.
    let config = ConnectionConfig { max_concurrent_streams: 1, ..config };
    let mut subject = Subject::with(Role::Server, config, &[]);
    subject.hear(&headers(1, &post(), false));
    for n in 1..=80 {
        if n == 40 {
            subject.connection.goaway();
        }
        let id = 2 * n + 1;
        subject.hear(&headers(id, &post(), false));
        assert_eq!(subject.hear(&data(id, &[0; 16_384], false)), vec![]);
        subject.speak();
    }
}

fn connection_credit(said: &[Frame]) -> usize {
    let updates = said.iter().filter(|frame| frame.frame_type == WINDOW_UPDATE && frame.stream_id == 0);
    updates.map(|frame| frame.word(0) as usize).sum()
}

#[test]
fn rfc9113_6_9_errors_on_streams_credit_the_connection() {
    req!("9113-6.9-05");
    let config = ConnectionConfig {
        connection_window_size: 65_535,
        max_concurrent_streams: 1000,
        ..ConnectionConfig::default()
    };
    let mut subject = Subject::with(Role::Server, config, &[]);
    let mut sent = 0;
    for n in 0..60 {
        let id = 2 * n + 1;
        subject.hear(&headers(id, &[post(), line("content-length", "5")].concat(), false));
        // Too much for its content-length, and on the next stream DATA behind the end.
        let told = if n % 2 == 0 {
            subject.hear(&padded_data(id, &[0; 9000], 99, false))
        } else {
            subject.hear(&[data(id, b"12345", true), data(id, &[0; 9000], false)].concat())
        };
        assert!(matches!(told.last(), Some(Told::Failed { .. })), "{told:?}");
        sent += if n % 2 == 0 { 9100 } else { 9005 };
        assert!(subject.speak().iter().all(|frame| frame.frame_type != GOAWAY), "after {sent} octets");
    }
}

/// Padding goes back at once and on both levels, although the content is held.
#[test]
fn rfc9113_6_9_padding_is_credited_on_both_levels() {
    req!("9113-6.9-05");
    let config = ConnectionConfig { connection_window_size: 65_535, ..ConnectionConfig::default() };
    let mut subject = Subject::with(Role::Server, config, &[]);
    subject.keep_credit = true;
    subject.hear(&headers(1, &post(), false));
    let (mut on_stream, mut on_connection) = (0, 0);
    for _ in 0..1000 {
        let told = subject.hear(&padded_data(1, b"x", 255, false));
        assert!(matches!(&told[..], [Told::Data { content, .. }] if content == b"x"), "{told:?}");
        for frame in subject.speak() {
            assert_eq!(frame.frame_type, WINDOW_UPDATE);
            *(if frame.stream_id == 0 { &mut on_connection } else { &mut on_stream }) += frame.word(0);
        }
    }
    let padding = 256 * 1000;
    for announced in [on_stream, on_connection] {
        assert!(announced <= padding && padding - announced < 65_536 / 2, "{announced} of {padding}");
    }
    assert_eq!(subject.held.len(), 1000);
}

#[test]
fn rfc9113_6_9_2_windows_follow_the_initial_size() {
    req!(
        "9113-5.2.1-02",
        "9113-6.5-02",
        "9113-6.5.3-01",
        "9113-6.5.3-02",
        "9113-6.9.1-01",
        "9113-6.9.2-01",
        "9113-6.9.2-02"
    );
    let mut subject = Subject::with(Role::Client, ConnectionConfig::default(), &[(INITIAL_WINDOW_SIZE, 10)]);
    let key = subject.open("POST", false);
    subject.connection.send_data(key, &[1; 100], true).expect("an open stream");
    assert_eq!(content(&subject.speak()), (10, false));
    subject.hear(&settings(&[(INITIAL_WINDOW_SIZE, 25)]));
    assert_eq!(content(&subject.speak()), (15, false), "wider: the queue moves");
    subject.hear(&settings(&[(INITIAL_WINDOW_SIZE, 5)]));
    assert_eq!(content(&subject.speak()), (0, false));
    // The window is -20 now.
    subject.hear(&window_update(1, 20));
    assert_eq!(content(&subject.speak()), (0, false), "0 is not positive");
    subject.hear(&window_update(1, 1));
    assert_eq!(content(&subject.speak()), (1, false));
    subject.hear(&settings(&[(INITIAL_WINDOW_SIZE, 0), (INITIAL_WINDOW_SIZE, 1000)]));
    assert_eq!(content(&subject.speak()), (74, true), "only the last value of a frame counts");
}

/// Octets of content and whether it ended.
fn content(said: &[Frame]) -> (usize, bool) {
    let frames = said.iter().filter(|frame| frame.frame_type == DATA);
    frames
        .fold((0, false), |(octets, end), frame| (octets + frame.payload.len(), end | frame.has(END_STREAM)))
}

#[test]
fn rfc9113_6_9_2_an_initial_size_that_overflows_a_window() {
    req!("9113-6.9.2-03");
    for role in BOTH {
        let mut subject = streams(role).subject;
        subject.hear(&window_update(OPEN, 1));
        let last_stream_id = if role == Role::Server { RESET_BY_US } else { 0 };
        let octets = settings(&[(INITIAL_WINDOW_SIZE, MAX)]);
        let error = Fatal::InitialWindowSizeOverflow;
        ends_the_connection(
            &mut subject,
            "one octet too many",
            &octets,
            error,
            FLOW_CONTROL_ERROR,
            last_stream_id,
        );
    }
}

#[test]
fn rfc9113_6_9_1_an_empty_end_needs_no_window() {
    req!("9113-5.2.1-02", "9113-6.9.1-01", "9113-6.9.1-02");
    let mut subject = Subject::with(Role::Client, ConnectionConfig::default(), &[(INITIAL_WINDOW_SIZE, 4)]);
    let key = subject.open("POST", false);
    subject.connection.send_data(key, b"1234", false).expect("an open stream");
    subject.hear(&settings(&[(INITIAL_WINDOW_SIZE, 0)]));
    assert_eq!(content(&subject.speak()), (4, false));
    subject.connection.send_data(key, b"", true).expect("an open stream");
    assert_eq!(content(&subject.speak()), (0, true), "at a window of -4");
    let empty = subject.open("POST", false);
    subject.connection.send_data(empty, b"", true).expect("an open stream");
    assert_eq!(content(&subject.speak()), (0, true), "at a window of 0");
    // The connection's window at 0 stops content, and nothing but content.
    let mut subject = Subject::client();
    let first = subject.open("POST", false);
    subject.hear(&window_update(1, 1 << 20));
    subject.connection.send_data(first, &[0; 100_000], true).expect("an open stream");
    assert_eq!(content(&subject.speak()), (65_535, false));
    let second = subject.open("POST", false);
    subject.connection.send_data(second, b"", true).expect("an open stream");
    let third = subject.open("POST", false);
    subject.connection.send_trailers(third, section(&[("a", "b")])).expect("an open stream");
    let said = subject.speak();
    assert_eq!(said.iter().filter(|frame| frame.has(END_STREAM)).count(), 2, "{said:?}");
    subject.hear(&window_update(0, 1 << 20));
    assert_eq!(content(&subject.speak()), (100_000 - 65_535, true));
}

/// Trailers for which there was no room wait for that, and not for windows, which they need not, or for who has more to say.
#[test]
fn rfc9113_5_2_trailers_that_waited_for_room_wait_for_no_window() {
    req!("9113-5.2.1-02", "9113-6.9.1-01");
    for open in [false, true] {
        let mut subject = Subject::client();
        let first = subject.open("POST", false);
        let second = subject.open("POST", false);
        if open {
            subject.hear(&window_update(0, 1 << 30));
        }
        subject.hear(&window_update(1, 1 << 20));
        subject.connection.send_data(first, &[0; 1 << 20], false).expect("an open stream");
        subject.speak();
        for n in 0..16_000_u64 {
            subject.connection.ping(n.to_be_bytes());
        }
        subject.connection.send_data(first, &[0; 1 << 20], false).expect("an open stream");
        let end = subject.connection.send_trailers(second, section(&[("a", "b")])).expect("an open stream");
        assert!(!end, "there is no room");
        let said = subject.speak();
        let is_end = |frame: &&Frame| frame.stream_id == 3 && frame.has(END_STREAM);
        let first = said.iter().find(|frame| frame.stream_id != 0);
        assert!(first.is_some_and(|frame| is_end(&frame)), "{open}: {first:?}");
    }
}

#[test]
fn rfc9113_5_2_windows_are_kept_while_others_wait() {
    req!("9113-5.2.1-02", "9113-6.9.1-01");
    let mut subject = Subject::with(Role::Client, ConnectionConfig::default(), &[(INITIAL_WINDOW_SIZE, 0)]);
    let keys = [1, 3, 5].map(|_| subject.open("POST", false));
    for key in keys {
        subject.connection.send_data(key, &[0; 40_000], true).expect("an open stream");
    }
    subject.speak();
    // Streams without a window of their own take nothing of the connection's.
    subject.hear(&window_update(3, 40_000));
    assert_eq!(content(&subject.speak()), (40_000, true));
    subject.hear(&window_update(1, 40_000));
    assert_eq!(content(&subject.speak()), (25_535, false), "the rest of the connection's window");
    // A reset returns nothing that was sent, and the turn passes on.
    subject.connection.reset(keys[0], ErrorCode::CANCEL);
    subject.hear(&[window_update(5, 40_000), window_update(0, 40_000)].concat());
    assert_eq!(content(&subject.speak()), (40_000, true));
}

/// A peer that ends its message with an empty frame needs no window for it, even where ours became negative.
#[test]
fn rfc9113_6_9_1_an_empty_end_is_taken_at_a_negative_window() {
    let config = ConnectionConfig { initial_window_size: 100, ..ConnectionConfig::default() };
    let mut subject = Subject::fresh(Role::Server, config);
    subject.keep_credit = true;
    subject
        .hear(&[PREFACE, &settings(&[]), &headers(1, &post(), false), &data(1, &[7; 1000], false)].concat());
    // Now the client counts -900 octets for the stream.
    let told = subject.hear(&[settings_ack(), data(1, b"", true)].concat());
    assert!(matches!(told[..], [Told::Data { end: true, .. }]), "{told:?}");
}

/// What was given back before our smaller initial size was acknowledged is announced when the peer cannot know it: it
/// waits for the announcement with a window below 1.
#[test]
fn rfc9113_6_9_2_credit_is_announced_when_the_window_shrinks_below_it() {
    let config = ConnectionConfig { initial_window_size: 100, ..ConnectionConfig::default() };
    let mut subject = Subject::fresh(Role::Server, config);
    subject
        .hear(&[PREFACE, &settings(&[]), &headers(1, &post(), false), &data(1, &[7; 300], false)].concat());
    subject.speak();
    subject.hear(&settings_ack());
    let said = subject.speak();
    let updates: Vec<_> =
        said.iter().map(|frame| (frame.frame_type, frame.stream_id, frame.word(0))).collect();
    assert_eq!(updates, [(WINDOW_UPDATE, 1, 300)], "the client is at -200 octets");
    assert_eq!(subject.hear(&data(1, &[7; 100], true)).len(), 1);
}

#[test]
fn streams_take_turns_of_one_frame() {
    let mut subject =
        Subject::with(Role::Client, ConnectionConfig::default(), &[(INITIAL_WINDOW_SIZE, 1 << 20)]);
    let first = subject.open("POST", false);
    subject.connection.send_data(first, &[0; 150_000], true).expect("an open stream");
    let second = subject.open("POST", false);
    subject.connection.send_data(second, &[0; 150_000], true).expect("an open stream");
    subject.speak();
    subject.hear(&window_update(0, 1 << 20));
    let order: Vec<_> = subject.speak().iter().map(|frame| frame.stream_id).collect();
    assert!(order[..10].windows(2).all(|pair| pair[0] != pair[1]), "{order:?}");
}

/// A thread of the client's has content for a stream, waits for the connection's window alone, and does not look again whether the stream is
/// still there.
#[test]
fn late_content_may_wait_for_the_window_of_the_connection() {
    let config = ConnectionConfig { connection_window_size: 65_535, ..ConnectionConfig::default() };
    let mut subject = Subject::with(Role::Server, config, &[]);
    subject.keep_credit = true;
    let keys = [1, 3].map(|id| match subject.hear(&headers(id, &post(), false))[..] {
        [Told::Request { key, .. }] => key,
        ref other => panic!("{other:?}"),
    });
    for octets in [16_384, 16_384, 16_384, 16_383] {
        subject.hear(&data(1, &vec![0; octets], false));
    }
    for key in keys {
        subject.respond(key, true);
        subject.connection.reset(key, ErrorCode::NO_ERROR);
    }
    subject.release_all();
    subject.speak_octets();
    assert_eq!(subject.try_hear(&data(3, &[0; 16_384], false)), (vec![], None));
}
