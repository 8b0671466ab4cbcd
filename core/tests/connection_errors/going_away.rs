//! Section 6.8: GOAWAY in both directions.

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::{ConnectionError as Fatal, ErrorCode};
use shuntyard_core::h2::{OpenError, Role};
use shuntyard_requirements::req;

use crate::wire::*;
use crate::*;

const PROTOCOL_ERROR: ErrorCode = ErrorCode::PROTOCOL_ERROR;
const FRAME_SIZE_ERROR: ErrorCode = ErrorCode::FRAME_SIZE_ERROR;

#[test]
fn rfc9113_6_8_goaway() {
    req!("9113-6.8-04", "9113-7-01");
    end_the_connection(
        &BOTH,
        vec![
            ("on a stream", frame(GOAWAY, 0, OPEN, &[0; 8]), Fatal::StreamIdNonZero, PROTOCOL_ERROR),
            ("seven octets", frame(GOAWAY, 0, 0, &[0; 7]), Fatal::FrameTooShort, FRAME_SIZE_ERROR),
            (
                "a last stream that rises",
                [goaway(3, ErrorCode::NO_ERROR), goaway(5, ErrorCode::NO_ERROR)].concat(),
                Fatal::GoAwayIncreased,
                PROTOCOL_ERROR,
            ),
        ],
    );
    let mut streams = streams(Role::Server);
    let with_debug_data =
        frame(GOAWAY, 0, 0, &[&[0; 4][..], &0xbad_c0deu32.to_be_bytes(), b"debug data"].concat());
    let told = streams.subject.hear(&with_debug_data);
    assert_eq!(told, vec![Told::GoAway { last: 0, code: ErrorCode(0xbad_c0de) }]);
    nothing_else_is_disturbed(streams, "a client that goes finishes its streams");
}

#[test]
fn rfc9113_6_8_streams_above_the_last_were_not_processed() {
    req!("9113-6.8-01");
    let mut subject = Subject::with(Role::Client, ConnectionConfig::default(), &[(INITIAL_WINDOW_SIZE, 0)]);
    let keys = [1, 3, 5, 7].map(|_| subject.open("POST", false));
    subject.connection.send_data(keys[3], b"queued", true).expect("an open stream");
    subject.speak();
    // Two steps: the announcement excludes nothing, but opens nothing either.
    let told = subject.hear(&goaway(0x7fff_ffff, ErrorCode::NO_ERROR));
    assert_eq!(told, vec![Told::GoAway { last: 0x7fff_ffff, code: ErrorCode::NO_ERROR }]);
    assert_eq!(subject.connection.open(&request("GET"), true), Err(OpenError::GoingAway));
    let told = subject.hear(&goaway(3, ErrorCode::NO_ERROR));
    let unprocessed = [keys[3], keys[2]].map(|key| Told::Unprocessed { key });
    assert_eq!(
        told[1..],
        unprocessed,
        "the newest first: whoever queues them again in front keeps their order"
    );
    assert_eq!(subject.connection.open_streams(), 2);
    // Nothing of a stream that is gone is sent, and what may come for it is discarded.
    assert_eq!(
        subject.hear(&[window_update(7, 99), headers(5, &OK, true), data(7, b"x", true)].concat()),
        vec![]
    );
    assert_eq!(subject.speak(), vec![]);
    // The last step further down, after one of the others has ended.
    subject.hear(&headers(1, &OK, true));
    let told = subject.hear(&goaway(1, ErrorCode::INTERNAL_ERROR));
    assert_eq!(told[1..], [Told::Unprocessed { key: keys[1] }]);
    subject.connection.send_data(keys[0], b"", true).expect("the request goes on");
    assert_eq!((subject.speak().len(), subject.connection.open_streams()), (1, 0));
}

#[test]
fn rfc9113_6_8_an_excluded_stream_that_its_owner_resets_is_told_once() {
    let mut subject = Subject::client();
    let keys = [1, 3].map(|_| subject.open("GET", true));
    subject.speak();
    let octets = goaway(0, ErrorCode::NO_ERROR);
    let mut input = shuntyard_core::h2::Input::new(&octets);
    let first = subject.connection.poll_event(&mut input).expect("no error");
    assert!(matches!(first, Some(shuntyard_core::h2::Event::GoAway { .. })));
    subject.connection.reset(keys[0], ErrorCode::CANCEL);
    assert_eq!(subject.hear(b""), vec![Told::Unprocessed { key: keys[1] }]);
    assert_eq!(subject.hear(b""), vec![]);
}

#[test]
fn rfc9113_6_8_our_goaway_in_two_steps() {
    req!("9113-5.4-03", "9113-6.8-05", "9113-6.8-06", "9113-6.8-08", "9113-6.8-09", "9113-8.7-03");
    let mut subject = Subject::server();
    subject.hear(&headers(1, &get(), true));
    subject.connection.announce_goaway();
    subject.connection.announce_goaway();
    let said = subject.speak();
    assert_eq!((said.len(), said[0].word(0), said[0].word(1)), (1, 0x7fff_ffff, 0));
    // What was on its way is served.
    let told = subject.hear(&headers(3, &post(), false));
    let [Told::Request { key, .. }] = told[..] else { panic!("{told:?}") };
    subject.connection.goaway();
    subject.connection.goaway();
    subject.connection.announce_goaway();
    let said = subject.speak();
    assert_eq!((said.len(), said[0].word(0), said[0].word(1)), (1, 3, 0), "named once, and never raised");
    // Later streams are ignored, but their blocks are decoded and their content is credited.
    let late = [
        headers(5, &[post(), kept_line("x-kept", "late")].concat(), false),
        data(5, &[0; 1000], false),
        headers(5, &line("a", "b"), true),
        rst_stream(7, ErrorCode::CANCEL),
    ];
    let (told, error) = subject.try_hear(&late[..3].concat());
    assert_eq!((told, error), (vec![], None));
    assert_eq!(subject.speak(), vec![]);
    let told = subject.hear(&[data(3, b"x", false), headers(3, &[NEWEST], true)].concat());
    let [_, Told::Trailers { fields, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(fields, &[("x-kept".to_owned(), "late".to_owned())]);
    subject.respond(key, true);
    assert_eq!(subject.speak().len(), 1);
    // An error afterwards names no higher stream than before (6.8).
    ends_the_connection(&mut subject, "an error", &late[3], Fatal::StreamIdle, PROTOCOL_ERROR, 3);
}

#[test]
fn rfc9113_6_8_a_client_says_goaway_too() {
    let mut subject = Subject::client();
    let key = subject.open("GET", true);
    subject.connection.goaway();
    let said = subject.speak();
    assert_eq!((said[1].frame_type, said[1].word(0)), (GOAWAY, 0), "a server has opened no stream");
    assert_eq!(subject.connection.open(&request("GET"), true), Err(OpenError::GoingAway));
    assert_eq!(subject.hear(&headers(1, &OK, false)).len(), 1, "its streams go on");
    let told = subject.hear(&data(1, b"x", true));
    assert_eq!(told, vec![Told::Data { key, content: b"x".to_vec(), end: true }]);
}

/// Of an error that ends the connection every stream's owner hears: none is lost although it was about to be reset.
#[test]
fn rfc9113_5_4_1_all_streams_are_left_for_their_owner_to_take() {
    for role in BOTH {
        let mut subject = streams(role).subject;
        for (n, id) in [OPEN, HALF_CLOSED].into_iter().enumerate() {
            let key = subject.connection.abandon_stream();
            assert!(key.is_some(), "{role:?}: stream {n} of {id}");
        }
        assert_eq!(subject.connection.abandon_stream(), None);
    }
    let config = ConnectionConfig { max_queued_control_frames: 8, ..ConnectionConfig::default() };
    let mut subject = Subject::with(Role::Server, config, &[]);
    subject.hear(&headers(1, &post(), false));
    subject.hear(&ping(b"12345678").repeat(8));
    let (told, error) = subject.try_hear(&window_update(1, 0));
    assert_eq!((told, error), (vec![], Some(Fatal::ControlFramesQueued)));
    assert!(
        subject.connection.abandon_stream().is_some(),
        "the stream that was to be reset has an owner still"
    );
}

/// Who has used the last identifier that there is can open no stream behind the announcement: that was the last word.
#[test]
fn rfc9113_6_8_behind_the_last_identifier_the_announcement_is_final() {
    for (id, is_final) in [(0x7fff_ffff, true), (0x7fff_fffd, false)] {
        let mut server = Subject::server();
        assert_eq!(server.hear(&headers(id, &get(), true)).len(), 1);
        server.connection.announce_goaway();
        assert_eq!(server.connection.goaway_is_final(), is_final);
        server.connection.goaway();
        assert!(server.connection.goaway_is_final());
    }
}
