//! Section 5.1: frames in every state of a stream, identifiers, and how many streams there may be.

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::{ConnectionError as Fatal, ErrorCode, StreamError};
use shuntyard_core::h2::Role;
use shuntyard_requirements::req;

use crate::wire::*;
use crate::*;

const PROTOCOL_ERROR: ErrorCode = ErrorCode::PROTOCOL_ERROR;
const STREAM_CLOSED: ErrorCode = ErrorCode::STREAM_CLOSED;

#[test]
fn rfc9113_5_1_idle() {
    req!("9113-5.1-01", "9113-5.1-02", "9113-5.1-14", "9113-5.4-05");
    let idle = |what, octets| (what, octets, Fatal::StreamIdle, PROTOCOL_ERROR);
    end_the_connection(
        &BOTH,
        vec![
            idle("DATA", data(IDLE, b"x", true)),
            idle("RST_STREAM", rst_stream(IDLE, ErrorCode::CANCEL)),
            idle("WINDOW_UPDATE", window_update(IDLE, 1)),
            idle("WINDOW_UPDATE with an increment of 0", window_update(IDLE, 0)),
            idle("DATA on a stream that only a server could open", data(2, b"x", true)),
            idle("WINDOW_UPDATE on such a stream", window_update(2, 1)),
        ],
    );
    end_the_connection(
        &[Role::Client],
        vec![
            idle("a response to no request", headers(IDLE, &OK, true)),
            idle("a stream that the server opens", headers(2, &OK, true)),
        ],
    );
}

#[test]
fn rfc9113_5_1_half_closed_remote() {
    req!("9113-5.1-08", "9113-5.4-01", "9113-5.4.2-02", "9113-6.1-06", "9113-6.9-04");
    let closed = |what, octets| (what, octets, StreamError::HalfClosed, STREAM_CLOSED);
    reset_one_stream(
        &[Role::Server],
        HALF_CLOSED,
        vec![
            closed("DATA", data(HALF_CLOSED, b"x", false)),
            closed("DATA with END_STREAM", data(HALF_CLOSED, b"x", true)),
            closed("HEADERS", headers(HALF_CLOSED, &get(), true)),
            closed("trailers", headers(HALF_CLOSED, &line("a", "b"), true)),
        ],
    );
    let mut streams = streams(Role::Server);
    let allowed = [window_update(HALF_CLOSED, 9), priority(HALF_CLOSED, OPEN)];
    assert_eq!(streams.subject.hear(&allowed.concat()), vec![]);
    streams.subject.respond(streams.keys[1], true);
    assert_eq!(streams.subject.speak().len(), 1);
    nothing_else_is_disturbed(streams, "WINDOW_UPDATE and PRIORITY");
}

#[test]
fn rfc9113_5_1_closed_by_its_sender() {
    req!("9113-5.1-10", "9113-6.1-06", "9113-6.9-04");
    let closed = |what, octets| (what, octets, Fatal::StreamClosed, STREAM_CLOSED);
    let mut rows = Vec::new();
    for stream_id in [ENDED, RESET_BY_PEER] {
        rows.push(closed("DATA", data(stream_id, b"x", false)));
        rows.push(closed("DATA with END_STREAM", data(stream_id, b"", true)));
        rows.push(closed("HEADERS", headers(stream_id, &OK, true)));
    }
    end_the_connection(&BOTH, rows);
    for role in BOTH {
        let mut streams = streams(role);
        for stream_id in [ENDED, RESET_BY_PEER] {
            let allowed = [
                window_update(stream_id, 1),
                window_update(stream_id, 0),
                rst_stream(stream_id, ErrorCode::CANCEL),
                priority(stream_id, OPEN),
                priority(stream_id, stream_id),
            ];
            assert_eq!(streams.subject.hear(&allowed.concat()), vec![]);
        }
        assert_eq!(streams.subject.speak(), vec![]);
        nothing_else_is_disturbed(streams, "frames that may have crossed the end");
    }
}

#[test]
fn rfc9113_5_1_closed_by_us() {
    req!("9113-5.1-11", "9113-5.4.2-01", "9113-6.4-02");
    for role in BOTH {
        let mut streams = streams(role);
        // The field block is decoded although nobody wants it (4.3): entry 62 is its line from now on.
        let late = [
            headers(RESET_BY_US, &[&OK[..], &kept_line("x-late", "two")].concat(), false),
            data(RESET_BY_US, &[1; 16_384], false),
            headers(RESET_BY_US, &line("a", "b"), true),
            rst_stream(RESET_BY_US, ErrorCode::CANCEL),
            window_update(RESET_BY_US, 0x7fff_ffff),
        ];
        assert_eq!(streams.subject.hear(&late.concat()), vec![]);
        assert_eq!(streams.subject.speak(), vec![]);
        let block = if role == Role::Server { get() } else { OK.to_vec() };
        let block = [&block[..], &[NEWEST, NEWEST + 1]].concat();
        if role == Role::Client {
            streams.subject.open("GET", true);
        }
        let told = streams.subject.hear(&headers(IDLE, &block, true));
        let ([Told::Request { fields, .. }] | [Told::Response { fields, .. }]) = &told[..] else {
            panic!("{told:?}")
        };
        let tail: Vec<_> = fields.iter().rev().take(2).map(|(_, value)| value.as_str()).collect();
        assert_eq!(tail, ["one", "two"]);
    }
}

/// DATA of so many octets in all.
fn late(stream_id: u32, octets: usize) -> Vec<u8> {
    vec![7; octets].chunks(16_384).flat_map(|content| data(stream_id, content, false)).collect()
}

/// The connection ends with the first octet that windows had no room for.
#[track_caller]
fn goes_on_for(subject: &mut Subject, stream_id: u32, octets: usize) {
    assert_eq!(subject.hear(&late(stream_id, octets)), vec![], "what was on its way");
    let last = if subject.role == Role::Server { stream_id } else { 0 };
    let one_more = data(stream_id, b"x", false);
    ends_the_connection(subject, "one more", &one_more, Fatal::ResetUnheeded, STREAM_CLOSED, last);
}

/// Whoever obeys windows cannot send more before it knows of our reset than they had left, and its reading goes in order: what
/// is given back afterwards serves other streams.
#[test]
fn rfc9113_5_1_late_data_ends_with_the_windows_that_it_had() {
    req!("9113-5.1-11", "9113-5.1-12");
    goes_on_for(&mut streams(Role::Server).subject, RESET_BY_US, 65_535);
    // On a backend's connection others would be hurt: there each frame more costs.
    let mut backend = streams(Role::Client).subject;
    let before = backend.connection.misuse();
    assert_eq!(backend.hear(&late(RESET_BY_US, 65_535)), vec![]);
    assert_eq!(backend.connection.misuse(), before);
    assert_eq!(backend.hear(&data(RESET_BY_US, b"x", false)), vec![]);
    assert_eq!(backend.connection.misuse(), before + 10);
    let of = |stream, connection| {
        let config = ConnectionConfig {
            initial_window_size: stream,
            connection_window_size: connection,
            ..ConnectionConfig::default()
        };
        Subject::with(Role::Server, config, &[])
    };
    let open = |subject: &mut Subject, id: u32| match subject.hear(&headers(id, &post(), false))[..] {
        [Told::Request { key, .. }] => key,
        ref other => panic!("{other:?}"),
    };
    // What it had sent before is not there again.
    let mut subject = of(70_000, 1 << 20);
    let key = open(&mut subject, 1);
    subject.keep_credit = true;
    subject.hear(&late(1, 50_000));
    subject.connection.reset(key, ErrorCode::CANCEL);
    goes_on_for(&mut subject, 1, 20_000);
    // Two streams share the connection's window.
    let mut subject = of(70_000, 100_000);
    let keys = [1, 3].map(|id| open(&mut subject, id));
    for key in keys {
        subject.connection.reset(key, ErrorCode::CANCEL);
    }
    subject.hear(&late(1, 50_000));
    let (told, failed) = subject.try_hear(&late(3, 50_001));
    assert_eq!((told, failed), (vec![], Some(Fatal::ResetUnheeded)));
    // Whoever has ended its message has nothing on its way.
    let mut subject = of(70_000, 1 << 20);
    let key = open(&mut subject, 1);
    subject.hear(&data(1, b"", true));
    subject.connection.reset(key, ErrorCode::CANCEL);
    goes_on_for(&mut subject, 1, 0);
    // Many more than are remembered.
    let mut subject = of(70_000, 1 << 30);
    for n in 0..100 {
        let key = open(&mut subject, 2 * n + 1);
        subject.connection.reset(key, ErrorCode::CANCEL);
    }
    for n in 0..100 {
        assert_eq!(subject.hear(&late(2 * n + 1, 70_000)), vec![]);
    }
    goes_on_for(&mut subject, 199, 0);
}

/// Content of streams that never came to be is on its way as well.
#[test]
fn rfc9113_5_1_late_data_of_refused_streams() {
    req!("9113-5.1-11", "9113-6.8-09");
    let config = ConnectionConfig { max_concurrent_streams: 1, ..ConnectionConfig::default() };
    let mut subject = Subject::with(Role::Server, config, &[]);
    let requests = [headers(1, &get(), true), headers(3, &post(), false), headers(5, &post(), true)];
    subject.hear(&requests.concat());
    goes_on_for(&mut subject, 5, 65_535);
    let mut subject = Subject::server();
    subject.connection.goaway();
    subject.hear(&headers(1, &post(), false));
    assert_eq!(subject.hear(&late(1, 65_535)), vec![]);
    assert_eq!(subject.try_hear(&late(1, 1)).1, Some(Fatal::ResetUnheeded));
}

/// A peer may go by our SETTINGS before we know of it.
#[test]
fn rfc9113_5_1_late_data_before_settings_are_acknowledged() {
    req!("9113-5.1-11");
    let config = ConnectionConfig { initial_window_size: 100_000, ..ConnectionConfig::default() };
    let mut subject = Subject::fresh(Role::Server, config);
    let told = subject.hear(&[PREFACE, &settings(&[]), &headers(1, &post(), false)].concat());
    let [Told::Settings, Told::Request { key, .. }] = told[..] else { panic!("{told:?}") };
    subject.connection.reset(key, ErrorCode::CANCEL);
    subject.speak();
    subject.hear(&settings_ack());
    goes_on_for(&mut subject, 1, 100_000);
}

#[test]
fn rfc9113_5_1_1_identifiers() {
    req!("9113-5.1.1-01", "9113-5.1.1-02", "9113-5.1.1-03");
    end_the_connection(
        &[Role::Server],
        vec![("an even identifier", headers(12, &get(), true), Fatal::StreamIdParity, PROTOCOL_ERROR)],
    );
    let mut subject = streams(Role::Server).subject;
    let decreased = [headers(21, &get(), true), headers(13, &get(), true)].concat();
    ends_the_connection(
        &mut subject,
        "13 behind 21",
        &decreased,
        Fatal::StreamIdDecreased,
        PROTOCOL_ERROR,
        21,
    );
    // What was passed over is closed (5.1.1): frames for it are no frames for an idle stream.
    let mut subject = streams(Role::Server).subject;
    subject.hear(&headers(21, &get(), true));
    let late =
        [data(13, b"x", true), rst_stream(15, ErrorCode::CANCEL), window_update(17, 1), priority(19, 1)];
    assert_eq!(subject.hear(&late.concat()), vec![]);
    // The last identifier of all.
    let told = subject.hear(&headers(0x7fff_ffff, &get(), true));
    assert!(matches!(told[..], [Told::Request { .. }]));
}

#[test]
fn rfc9113_5_1_1_a_stream_identifier_is_not_used_twice() {
    req!("9113-5.1.1-02", "9113-5.1.1-03");
    let mut subject = Subject::server();
    for id in (1..=201).step_by(2) {
        let told = subject.hear(&headers(id, &get(), true));
        let [Told::Request { key, .. }] = told[..] else { panic!("{told:?}") };
        subject.respond(key, true);
    }
    subject.speak();
    ends_the_connection(
        &mut subject,
        "stream 1 again",
        &headers(1, &get(), true),
        Fatal::StreamIdDecreased,
        PROTOCOL_ERROR,
        201,
    );
}

#[test]
fn rfc9113_5_1_2_streams_beyond_our_limit_are_refused() {
    req!("9113-5.1.2-02", "9113-8.7-02", "9113-8.7-03");
    let config = ConnectionConfig { max_concurrent_streams: 2, ..ConnectionConfig::default() };
    let mut subject = Subject::with(Role::Server, config, &[]);
    let first = subject.hear(&headers(1, &get(), true));
    let [Told::Request { key: first, .. }] = first[..] else { panic!("{first:?}") };
    subject.hear(&headers(3, &post(), false));
    let told = subject.hear(&headers(5, &[post(), kept_line("x-refused", "kept")].concat(), false));
    assert_eq!(told, vec![], "the owner never hears of it");
    let said = subject.speak();
    assert_eq!((said.len(), said[0].frame_type, said[0].stream_id), (1, RST_STREAM, 5));
    assert_eq!(said[0].word(0), ErrorCode::REFUSED_STREAM.0);
    // What the client sent before it heard of that is discarded; 8.7: nothing of it was processed.
    assert_eq!(
        subject.hear(&[data(5, &[0; 9000], false), headers(5, &line("a", "b"), true)].concat()),
        vec![]
    );
    subject.respond(first, true);
    let told = subject.hear(&headers(7, &[get(), vec![NEWEST]].concat(), true));
    let [Told::Request { fields, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(fields.last(), Some(&("x-refused".to_owned(), "kept".to_owned())), "the tables are in step");
}

#[test]
fn rfc7540_5_3_1_a_stream_cannot_depend_on_itself() {
    reset_one_stream(
        &BOTH,
        HALF_CLOSED,
        vec![("PRIORITY", priority(HALF_CLOSED, HALF_CLOSED), StreamError::PrioritySelf, PROTOCOL_ERROR)],
    );
    let mut streams = streams(Role::Server);
    let payload = [&IDLE.to_be_bytes()[..], &[0], &get()].concat();
    let told =
        streams.subject.hear(&frame(HEADERS, WITH_PRIORITY | END_HEADERS | END_STREAM, IDLE, &payload));
    assert_eq!(told, vec![]);
    only_reset(&mut streams.subject, IDLE, PROTOCOL_ERROR, "HEADERS");
    nothing_else_is_disturbed(streams, "HEADERS");
}

/// RFC 9218 section 2.1: who says that the signals of RFC 7540 mean nothing is not held to their rules.
#[test]
fn rfc9218_2_1_a_stream_may_depend_on_itself_where_that_means_nothing() {
    req!("9218-2.1-06");
    let mut subject = Subject::with(Role::Server, ConnectionConfig::default(), &[(9, 1)]);
    let payload = [&1_u32.to_be_bytes()[..], &[0], &post()].concat();
    let told = subject.hear(&frame(HEADERS, WITH_PRIORITY | END_HEADERS, 1, &payload));
    assert!(matches!(told[..], [Told::Request { .. }]), "{told:?}");
    assert_eq!((subject.hear(&priority(1, 1)), subject.speak_octets()), (vec![], vec![]));
}
