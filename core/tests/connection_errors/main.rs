//! Every error of RFC 9113 sections 3 to 8 that a peer can commit on one connection, each met as the text says: with its
//! code, as an error of the connection or of the stream, and in the second case with nothing else disturbed.

mod credit;
mod emission;
mod frames;
mod going_away;
mod limits;
mod messages;
mod misuse;
mod paths;
mod priorities;
mod settings;
mod streams;
#[path = "../wire/mod.rs"]
mod wire;

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::{ConnectionError, ErrorCode, StreamError};
use shuntyard_core::h2::{Role, StreamKey};
use wire::*;

/// What the peer does, what it sends, and what it must meet.
type Row<E> = (&'static str, Vec<u8>, E, ErrorCode);

/// A connection with streams in every state, the identifiers the same for both roles.
struct Streams {
    subject: Subject,
    keys: [StreamKey; 5],
}

pub(crate) const OPEN: u32 = 1;
/// The peer has ended it (server) or we have (client).
const HALF_CLOSED: u32 = 3;
const ENDED: u32 = 5;
const RESET_BY_PEER: u32 = 7;
const RESET_BY_US: u32 = 9;
const IDLE: u32 = 11;

fn server_streams(config: ConnectionConfig) -> Streams {
    let mut subject = Subject::with(Role::Server, config, &[]);
    let mut keys = Vec::new();
    for id in [OPEN, HALF_CLOSED, ENDED, RESET_BY_PEER, RESET_BY_US] {
        let end = matches!(id, HALF_CLOSED | ENDED);
        let block = if id == OPEN { [post(), kept_line("x-kept", "one")].concat() } else { post() };
        match &subject.hear(&headers(id, &block, end))[..] {
            [Told::Request { key, .. }] => keys.push(*key),
            other => panic!("{other:?}"),
        }
    }
    subject.respond(keys[2], true);
    subject.hear(&rst_stream(RESET_BY_PEER, ErrorCode::CANCEL));
    subject.connection.reset(keys[4], ErrorCode::CANCEL);
    subject.speak();
    Streams { subject, keys: keys.try_into().expect("five") }
}

fn client_streams(config: ConnectionConfig) -> Streams {
    let mut subject = Subject::with(Role::Client, config, &[]);
    let keys = [OPEN, HALF_CLOSED, ENDED, RESET_BY_PEER, RESET_BY_US].map(|id| {
        let end = matches!(id, HALF_CLOSED | ENDED);
        subject.open("POST", end)
    });
    subject.hear(&headers(OPEN, &[&OK[..], &kept_line("x-kept", "one")].concat(), false));
    subject.hear(&headers(ENDED, &OK, true));
    subject.hear(&rst_stream(RESET_BY_PEER, ErrorCode::CANCEL));
    subject.connection.reset(keys[4], ErrorCode::CANCEL);
    subject.speak();
    Streams { subject, keys }
}

fn streams(role: Role) -> Streams {
    match role {
        Role::Server => server_streams(ConnectionConfig::default()),
        Role::Client => client_streams(ConnectionConfig::default()),
    }
}

const BOTH: [Role; 2] = [Role::Server, Role::Client];

/// Each row ends a connection that was in good order.
#[track_caller]
fn end_the_connection(roles: &[Role], rows: Vec<Row<ConnectionError>>) {
    for &role in roles {
        for (what, octets, error, code) in &rows {
            let mut subject = streams(role).subject;
            let last_stream_id = if role == Role::Server { RESET_BY_US } else { 0 };
            ends_the_connection(
                &mut subject,
                &format!("{role:?}: {what}"),
                octets,
                *error,
                *code,
                last_stream_id,
            );
        }
    }
}

/// The octets end the connection: GOAWAY is the last frame (5.4.1), and nothing the peer or the owner does adds one.
#[track_caller]
fn ends_the_connection(
    subject: &mut Subject,
    what: &str,
    octets: &[u8],
    error: ConnectionError,
    code: ErrorCode,
    last_stream_id: u32,
) {
    let (told, failed) = subject.try_hear(octets);
    assert_eq!(failed, Some(error), "{what}, after {told:?}");
    assert_eq!(error.code(), code, "{what}");
    let said = subject.speak();
    let [.., last] = &said[..] else { panic!("{what}: nothing was said") };
    assert_eq!((last.frame_type, last.word(0), last.word(1)), (GOAWAY, last_stream_id, code.0), "{what}");
    assert_eq!(said.iter().filter(|frame| frame.frame_type == GOAWAY).count(), 1, "{what}");
    assert!(subject.connection.has_failed(), "{what}");
    assert_eq!(
        subject.try_hear(&[&ping(b"too late")[..], &headers(901, &get(), true)].concat()),
        (vec![], None)
    );
    subject.connection.ping(*b"too late");
    subject.connection.goaway();
    while let Some((key, _)) = subject.connection.abandon_stream() {
        subject.connection.reset(key, ErrorCode::CANCEL);
        assert!(subject.connection.send_data(key, b"too late", true).is_err(), "{what}");
    }
    assert_eq!(subject.speak(), vec![], "{what}: nothing follows GOAWAY");
}

/// Each row resets stream `victim`, of which the owner is told once, and leaves everything else as it was.
#[track_caller]
fn reset_one_stream(roles: &[Role], victim: u32, rows: Vec<Row<StreamError>>) {
    for &role in roles {
        for (what, octets, error, code) in &rows {
            let what = format!("{role:?}: {what}");
            let mut streams = streams(role);
            let key = streams.subject.connection.clone();
            let told = streams.subject.hear(octets);
            let failed: Vec<_> = told.iter().filter(|told| matches!(told, Told::Failed { .. })).collect();
            let [Told::Failed { key: gone, error: cause }] = failed[..] else { panic!("{what}: {told:?}") };
            assert_eq!((cause, error.code()), (error, *code), "{what}");
            assert_eq!(key.stream_id(*gone), Some(victim), "{what}");
            only_reset(&mut streams.subject, victim, *code, &what);
            nothing_else_is_disturbed(streams, &what);
        }
    }
}

/// Exactly one RST_STREAM was sent, and what may still be on its way for the stream is discarded without an answer.
#[track_caller]
fn only_reset(subject: &mut Subject, victim: u32, code: ErrorCode, what: &str) {
    let said = subject.speak();
    let resets: Vec<_> = said.iter().filter(|frame| frame.frame_type == RST_STREAM).collect();
    assert_eq!(resets.len(), 1, "{what}: {said:?}");
    assert_eq!((resets[0].stream_id, resets[0].word(0)), (victim, code.0), "{what}");
    assert!(said.iter().all(|frame| frame.frame_type != GOAWAY), "{what}");
    let late = [
        // Content may be on its way only where the peer had not ended the stream.
        data(victim, b"", false),
        headers(victim, &line("late", "trailers"), true),
        window_update(victim, 1),
        rst_stream(victim, ErrorCode::CANCEL),
    ];
    assert_eq!(subject.hear(&late.concat()), vec![], "{what}");
    assert_eq!(subject.speak(), vec![], "{what}: no answer to late frames (5.4.2)");
}

/// Another stream completes, the tables are in step, a new stream can be opened.
#[track_caller]
fn nothing_else_is_disturbed(streams: Streams, what: &str) {
    let Streams { mut subject, keys } = streams;
    let told = subject.hear(&data(OPEN, b"rest", true));
    assert_eq!(told, vec![Told::Data { key: keys[0], content: b"rest".to_vec(), end: true }], "{what}");
    let kept = ("x-kept".to_owned(), "one".to_owned());
    match subject.role {
        Role::Server => {
            subject.respond(keys[0], true);
            let said = subject.speak();
            assert!(
                said.len() == 1 && said[0].has(END_STREAM) && said[0].stream_id == OPEN,
                "{what}: {said:?}"
            );
            let told = subject.hear(&headers(101, &[get(), vec![NEWEST]].concat(), true));
            assert!(
                matches!(&told[..], [Told::Request { fields, .. }] if fields.last() == Some(&kept)),
                "{what}"
            );
        }
        Role::Client => {
            subject.connection.send_data(keys[0], b"rest", true).expect("an open stream");
            let key = subject.open("GET", true);
            let said = subject.speak();
            assert!(said[0].has(END_STREAM) && said[0].stream_id == OPEN, "{what}: {said:?}");
            let told = subject.hear(&headers(said[1].stream_id, &[OK[0], NEWEST], true));
            let [Told::Response { key: answered, fields, .. }] = &told[..] else {
                panic!("{what}: {told:?}")
            };
            assert_eq!((*answered, fields.last()), (key, Some(&kept)), "{what}");
        }
    }
}
