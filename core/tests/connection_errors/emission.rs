//! What we send: forms of frames, their order, and what must never follow.

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::h2::Role;
use shuntyard_requirements::req;

use crate::wire::*;
use crate::*;

/// Client: a long queue on an open stream, of which the outbox took its share.
fn uploading(theirs: &[(u16, u32)]) -> (Subject, StreamKey) {
    let mut subject = Subject::with(Role::Client, ConnectionConfig::default(), theirs);
    let key = subject.open("POST", false);
    subject.connection.send_data(key, &[7; 400_000], true).expect("an open stream");
    (subject, key)
}

/// A request head whose block takes more than `octets`.
fn long_head(octets: usize) -> shuntyard_core::fields::FieldSection {
    let value = "\u{7f}".repeat(octets / 3);
    section(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "example.com"),
        (":path", "/"),
        ("x-a", &value),
        ("x-b", &value),
        ("x-c", &value),
    ])
}

#[test]
fn rfc9113_4_1_no_frame_is_longer_than_the_peer_allows() {
    req!("9113-4.1-01", "9113-4.3-01", "9113-6.2-03", "9113-6.10-01", "9113-8.1-02");
    for (theirs, max) in [(vec![], 16_384), (vec![(MAX_FRAME_SIZE, 20_000)], 20_000)] {
        let windows = [(INITIAL_WINDOW_SIZE, 1 << 20)];
        let (mut subject, _) = uploading(&[&windows[..], &theirs].concat());
        subject.hear(&window_update(0, 1 << 20));
        subject.connection.open(&long_head(45_000), true).expect("a slot");
        let said = subject.speak();
        let lengths = said.iter().map(|frame| frame.payload.len());
        assert!(lengths.clone().all(|length| length <= max), "{lengths:?}");
        let block = said.iter().position(|frame| frame.stream_id == 3).expect("a second request");
        let parts = &said[block..block + 3];
        assert_eq!(
            parts.iter().map(|part| part.frame_type).collect::<Vec<_>>(),
            [HEADERS, CONTINUATION, CONTINUATION]
        );
        assert!(parts.iter().all(|part| part.stream_id == 3), "{parts:?}");
        let ends: Vec<_> = parts.iter().map(|part| part.has(END_HEADERS)).collect();
        assert_eq!(ends, [false, false, true]);
        assert_eq!((parts[0].payload.len(), parts[1].payload.len()), (max, max), "cut no sooner than needed");
        assert_eq!(said.iter().filter(|frame| frame.stream_id == 3).count(), 3);
    }
}

/// The flags that section 6 defines for each type, as far as we have a use for them.
fn defined_flags(frame_type: u8) -> u8 {
    match frame_type {
        DATA => END_STREAM,
        HEADERS => END_STREAM | END_HEADERS,
        SETTINGS | PING => ACK,
        CONTINUATION => END_HEADERS,
        RST_STREAM | GOAWAY | WINDOW_UPDATE => 0,
        other => panic!("a frame of type {other}"),
    }
}

/// A little of everything that a connection can say.
fn everything(role: Role) -> Vec<Frame> {
    let config = ConnectionConfig {
        header_table_size: 5000,
        initial_window_size: 100_000,
        ..ConnectionConfig::default()
    };
    let mut subject = Subject::fresh(role, config);
    let preface = if role == Role::Server { PREFACE } else { &[] };
    subject.hear(&[preface, &settings(&[(INITIAL_WINDOW_SIZE, 1 << 20)]), &settings_ack()].concat());
    let keys: Vec<StreamKey> = match role {
        Role::Server => [1, 3, 5].map(|id| match subject.hear(&headers(id, &post(), false))[..] {
            [Told::Request { key, .. }] => key,
            _ => panic!("a request"),
        }),
        Role::Client => [1, 3, 5].map(|_| subject.open("POST", false)),
    }
    .to_vec();
    if role == Role::Server {
        keys.iter().for_each(|&key| subject.respond(key, false));
    } else {
        subject.connection.open(&long_head(20_000), true).expect("a slot");
        subject.hear(&headers(1, &OK, false));
    }
    subject.connection.send_data(keys[0], &[7; 50_000], true).expect("an open stream");
    subject.connection.send_trailers(keys[1], section(&[("a", "b")])).expect("an open stream");
    subject.hear(&[ping(b"question"), data(1, &[7; 16_000], false).repeat(5), settings(&[])].concat());
    subject.connection.reset(keys[2], ErrorCode::CANCEL);
    subject.connection.ping(*b"our own.");
    let mut said = subject.speak();
    subject.connection.goaway();
    let _ = subject.try_hear(&window_update(0, 0));
    said.extend(subject.speak());
    said
}

#[test]
fn rfc9113_4_1_frames_have_no_undefined_flag_and_no_reserved_bit() {
    req!(
        "9113-4.1-03",
        "9113-4.1-04",
        "9113-6.1-04",
        "9113-6.2-05",
        "9113-6.4-03",
        "9113-6.5-03",
        "9113-6.5-05",
        "9113-6.7-01",
        "9113-6.7-04",
        "9113-6.10-03"
    );
    for role in BOTH {
        let said = everything(role);
        let mut types: Vec<u8> = said.iter().map(|frame| frame.frame_type).collect();
        types.sort_unstable();
        types.dedup();
        let all = [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION];
        let expected = if role == Role::Client { &all[..] } else { &all[..7] };
        assert_eq!(types, expected, "{role:?}: {said:?}");
        for frame in &said {
            assert_eq!(frame.flags & !defined_flags(frame.frame_type), 0, "{frame:?}");
            assert_eq!(frame.stream_id >> 31, 0, "{frame:?}");
            let of_a_stream = matches!(frame.frame_type, DATA | HEADERS | RST_STREAM | CONTINUATION);
            let of_the_connection = matches!(frame.frame_type, SETTINGS | PING | GOAWAY);
            assert!(!of_a_stream || frame.stream_id != 0, "{frame:?}");
            assert!(!of_the_connection || frame.stream_id == 0, "{frame:?}");
            match frame.frame_type {
                PING => assert_eq!(frame.payload.len(), 8),
                SETTINGS if frame.has(ACK) => assert_eq!(frame.payload.len(), 0),
                SETTINGS => assert_eq!(frame.payload.len() % 6, 0),
                WINDOW_UPDATE | GOAWAY => assert_eq!(frame.word(0) >> 31, 0, "{frame:?}"),
                _ => {}
            }
        }
        let answer = said.iter().find(|frame| frame.frame_type == PING && frame.has(ACK)).expect("an answer");
        assert_eq!(answer.payload, b"question");
    }
}

#[test]
fn rfc9113_5_1_1_our_streams_are_odd_and_rise() {
    req!("9113-5.1.1-01", "9113-5.1.1-02");
    let mut subject = Subject::client();
    let first = subject.open("GET", true);
    subject.connection.reset(first, ErrorCode::CANCEL);
    (0..3).for_each(|_| _ = subject.open("GET", true));
    let said = subject.speak();
    let opened = said.iter().filter(|frame| frame.frame_type == HEADERS);
    assert_eq!(opened.map(|frame| frame.stream_id).collect::<Vec<_>>(), [1, 3, 5, 7]);
}

/// What waits for windows or for its turn does not stand in front of an answer.
#[test]
fn rfc9113_6_7_an_answer_to_ping_goes_before_content_that_waits() {
    req!("9113-6.7-03");
    let (mut subject, key) = uploading(&[(INITIAL_WINDOW_SIZE, 1 << 20)]);
    let before = subject.speak();
    let sent: usize =
        before.iter().filter(|frame| frame.frame_type == DATA).map(|frame| frame.payload.len()).sum();
    assert_eq!(sent, 65_535, "the connection's window is closed");
    subject.hear(&[window_update(0, 1 << 20), ping(b"question")].concat());
    let said = subject.speak();
    assert_eq!((said[0].frame_type, said[0].has(ACK)), (PING, true), "{said:?}");
    assert!(said.len() > 2 && said[1..].iter().all(|frame| frame.frame_type == DATA), "{said:?}");
    assert_eq!(subject.connection.queued(key), 0);
}

/// With both of our windows used up everything but content is taken and acted on.
#[test]
fn rfc9113_6_9_frames_without_flow_control_need_no_window() {
    req!("9113-6.9-01");
    let config = ConnectionConfig {
        initial_window_size: 65_535,
        connection_window_size: 65_535,
        ..ConnectionConfig::default()
    };
    let mut subject = Subject::with(Role::Server, config, &[(INITIAL_WINDOW_SIZE, 0)]);
    subject.keep_credit = true;
    subject.hear(&headers(1, &post(), false));
    let content = [data(1, &[7; 16_384], false).repeat(3), data(1, &[7; 16_383], false)].concat();
    assert_eq!(subject.hear(&content).len(), 4);
    let frames = [
        settings(&[]),
        ping(b"question"),
        priority(1, 9),
        headers(3, &get(), true),
        headers(5, &post(), false),
        rst_stream(5, ErrorCode::CANCEL),
        window_update(3, 100),
        headers(1, &line("a", "b"), true),
    ];
    let told = subject.hear(&frames.concat());
    let [
        Told::Settings,
        Told::Request { key, .. },
        Told::Request { .. },
        Told::Reset { .. },
        Told::Trailers { .. },
    ] = told[..]
    else {
        panic!("{told:?}")
    };
    subject.respond(key, false);
    subject.connection.send_data(key, &[7; 100], true).expect("an open stream");
    let said: Vec<_> = subject.speak().iter().map(|frame| frame.frame_type).collect();
    assert_eq!(said, [SETTINGS, PING, HEADERS, DATA]);
}

/// Nothing that waited for the stream is sent once it is reset by the other side, not even credit.
#[test]
fn rfc9113_6_4_nothing_is_sent_on_a_stream_that_the_peer_reset() {
    req!("9113-5.1-09", "9113-6.4-01");
    let (mut subject, key) = uploading(&[(INITIAL_WINDOW_SIZE, 1 << 20)]);
    subject.keep_credit = true;
    subject.hear(&[headers(1, &OK, false), data(1, &[7; 16_000], false)].concat());
    subject.speak();
    subject
        .hear(&[rst_stream(1, ErrorCode::CANCEL), window_update(0, 1 << 20), window_update(1, 9)].concat());
    subject.release_all();
    assert!(subject.connection.send_data(key, b"x", true).is_err());
    assert!(subject.connection.send_trailers(key, section(&[("a", "b")])).is_err());
    subject.connection.reset(key, ErrorCode::CANCEL);
    assert_eq!(subject.speak().iter().filter(|frame| frame.stream_id == 1).count(), 0);
}

/// The same once we have reset it, and once both sides have ended it.
#[test]
fn rfc9113_5_1_nothing_is_sent_on_a_closed_stream() {
    req!("9113-5.1-09", "9113-5.4.2-02");
    for role in BOTH {
        let mut streams = streams(role);
        let [_, _, ended, reset_by_peer, reset_by_us] = streams.keys;
        for key in [ended, reset_by_peer, reset_by_us] {
            assert!(streams.subject.connection.send_data(key, b"x", true).is_err());
            assert!(streams.subject.connection.send_trailers(key, section(&[("a", "b")])).is_err());
            assert!(
                streams.subject.connection.send_head(key, &section(&[(":status", "200")]), true).is_err()
            );
            streams.subject.connection.reset(key, ErrorCode::CANCEL);
        }
        assert_eq!(streams.subject.speak(), vec![], "{role:?}");
    }
}

/// Content alone stops no reading, however small the outbox: two peers who did so would wait for each other.
#[test]
fn content_that_waits_to_leave_lets_input_in() {
    for mark in [1, 100, 8_192, 16_393, 65_536] {
        let config = ConnectionConfig { outbox_high_mark: mark, ..ConnectionConfig::default() };
        let mut subject = Subject::with(Role::Server, config, &[(4, 1 << 20)]);
        let told = subject.hear(&[headers(1, &get(), true), window_update(0, 1 << 20)].concat());
        let [Told::Request { key, .. }] = told[..] else { panic!("{told:?}") };
        subject.speak_octets();
        subject.connection.send_head(key, &section(&[(":status", "200")]), false).expect("open");
        subject.connection.send_data(key, &[7; 500_000], true).expect("open");
        while subject.connection.cut().is_some() {}
        assert!(subject.connection.transmit().len() >= mark && !subject.connection.is_congested(), "{mark}");
    }
}
