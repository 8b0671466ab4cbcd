//! Section 10.5: limits that are ours.

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::{ConnectionError as Fatal, ErrorCode, StreamError};
use shuntyard_core::h2::Role;
use shuntyard_requirements::req;

use crate::wire::*;
use crate::*;

const CALM: ErrorCode = ErrorCode::ENHANCE_YOUR_CALM;

fn started(fragment: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_STREAM, 1, fragment)
}

fn continued(fragment: &[u8]) -> Vec<u8> {
    frame(CONTINUATION, 0, 1, fragment)
}

fn ended(fragment: &[u8]) -> Vec<u8> {
    frame(CONTINUATION, END_HEADERS, 1, fragment)
}

#[test]
fn rfc9113_10_5_1_continuation_frames() {
    req!("9113-10.5-02", "9113-10.5-03");
    let block = get();
    let eight = |last: Vec<u8>| {
        let parts: Vec<_> = block[..8].iter().map(|octet| continued(&[*octet])).take(7).collect();
        [started(b""), parts.concat(), last].concat()
    };
    let told = Subject::server().hear(&eight(ended(&block[7..])));
    assert!(matches!(told[..], [Told::Request { .. }]), "eight are allowed: {told:?}");
    let nine = [eight(continued(&block[7..8])), ended(&block[8..])].concat();
    let empty = [started(&block), continued(b"")].concat();
    for (what, octets) in [("nine", nine), ("an empty one in between", empty)] {
        ends_the_connection(&mut Subject::server(), what, &octets, Fatal::ContinuationTooMany, CALM, 0);
    }
    let told = Subject::server().hear(&[started(&block), ended(b"")].concat());
    assert!(matches!(told[..], [Told::Request { .. }]), "an empty last one has a use");
}

#[test]
fn rfc9113_10_5_1_the_budget_of_a_field_block() {
    req!("9113-10.5-02");
    // A block of so many octets, with a field that makes it as long, in frames of no more than 16,000.
    let block = |octets: usize| [get(), line("a", &"x".repeat(octets))].concat();
    let framed = |block: &[u8], part: usize| {
        let mut parts = block.chunks(part);
        let (first, last) = (parts.next().expect("a frame"), parts.next_back().expect("another"));
        [started(first), parts.flat_map(continued).collect(), ended(last)].concat()
    };
    for (list_size, decoded, not) in
        [(40_000, 79_000, 81_000), (4_000, 9_000, 66_000), (4_000, 64_000, 66_000)]
    {
        let config = ConnectionConfig { max_header_list_size: list_size, ..ConnectionConfig::default() };
        let server = || Subject::with(Role::Server, config.clone(), &[]);
        for part in [decoded / 2 + 100, 5_000].map(|part: usize| part.clamp(decoded / 8, 16_000)) {
            let told = server().hear(&framed(&block(decoded), part));
            assert!(matches!(told[..], [Told::TooLarge { .. }]), "{decoded} by {part}: {told:?}");
        }
        let octets = framed(&block(not), 16_000);
        ends_the_connection(&mut server(), "more is not", &octets, Fatal::FieldBlockTooLarge, CALM, 0);
    }
}

/// A section beyond the limits is answered on its stream, and the tables stay in step.
#[test]
fn rfc9113_10_5_1_field_section_size_and_count() {
    req!("9113-10.5-02", "9113-10.5.1-02", "9113-6.5.2-12", "9110-5.4-01");
    let sizes =
        ConnectionConfig { max_header_list_size: 1000, max_fields: 10, ..ConnectionConfig::default() };
    let crumbs = [get(), line("cookie", "a=1").repeat(7)].concat();
    let blocks = [
        (
            "a long value",
            [get(), kept_line("x-first", "1"), line("long", &"x".repeat(900)), kept_line("x-second", "2")]
                .concat(),
        ),
        (
            "many fields",
            [get(), kept_line("x-first", "1"), vec![NEWEST; 7], kept_line("x-second", "2")].concat(),
        ),
        ("cookie crumbs", [crumbs, kept_line("x-first", "1"), kept_line("x-second", "2")].concat()),
        (
            "indexed fields of 32 octets each",
            [get(), kept_line("x-first", "1"), vec![NEWEST; 100], kept_line("x-second", "2")].concat(),
        ),
    ];
    for (what, block) in blocks {
        for end in [true, false] {
            let mut subject = Subject::with(Role::Server, sizes.clone(), &[]);
            let told = subject.hear(&headers(1, &block, end));
            let [Told::TooLarge { key }] = told[..] else { panic!("{what}: {told:?}") };
            assert_eq!(subject.connection.stream_id(key), Some(1), "it can be answered");
            let told = subject.hear(&headers(3, &[get(), vec![NEWEST, NEWEST + 1]].concat(), true));
            let [Told::Request { fields, .. }] = &told[..] else { panic!("{what}: {told:?}") };
            assert_eq!((fields[4].1.as_str(), fields[5].1.as_str()), ("2", "1"), "{what}");
            subject.connection.send_head(key, &section(&[(":status", "431")]), true).expect("an open stream");
            assert_eq!(subject.connection.open_streams(), if end { 1 } else { 2 });
        }
    }
    let ten = [get(), line("a", "b").repeat(6)].concat();
    let told = Subject::with(Role::Server, sizes.clone(), &[]).hear(&headers(1, &ten, true));
    assert!(matches!(told[..], [Told::Request { .. }]), "exactly ten fields");
}

#[test]
fn rfc9113_10_5_1_trailers_and_responses_beyond_the_limits() {
    req!("9113-10.5.1-02");
    let config = ConnectionConfig { max_fields: 10, ..ConnectionConfig::default() };
    let many = [line("a", "b").repeat(11), kept_line("x-late", "two")].concat();
    let mut streams = server_streams(config.clone());
    let told = streams.subject.hear(&headers(OPEN, &many, true));
    assert_eq!(told, vec![Told::Failed { key: streams.keys[0], error: StreamError::FieldsTooLarge }]);
    only_reset(&mut streams.subject, OPEN, CALM, "trailers");
    let told = streams.subject.hear(&headers(IDLE, &[get(), vec![NEWEST]].concat(), true));
    assert!(matches!(&told[..], [Told::Request { fields, .. }] if fields[4].1 == "two"));

    let mut streams = client_streams(config);
    let told = streams.subject.hear(&headers(HALF_CLOSED, &[&OK[..], &many].concat(), true));
    assert_eq!(told, vec![Told::Failed { key: streams.keys[1], error: StreamError::FieldsTooLarge }]);
    only_reset(&mut streams.subject, HALF_CLOSED, CALM, "a response");
    streams.subject.open("GET", true);
    let told = streams.subject.hear(&headers(IDLE, &[OK[0], NEWEST], true));
    assert!(matches!(&told[..], [Told::Response { fields, .. }] if fields[1].1 == "two"));
}

#[test]
fn rfc9113_10_5_settings_in_one_frame() {
    req!("9113-10.5-02");
    for role in BOTH {
        let mut subject = Subject::with(role, ConnectionConfig::default(), &[]);
        assert_eq!(subject.hear(&settings(&[(0xf000, 1); 32])), vec![Told::Settings]);
        subject.speak();
        ends_the_connection(
            &mut subject,
            "33",
            &settings(&[(0xf000, 1); 33]),
            Fatal::SettingsTooMany,
            CALM,
            0,
        );
    }
}

/// Something to ask for the `n`th time.
type Question = fn(u32) -> Vec<u8>;

/// A peer that asks and never reads is not answered for ever; one that reads may go on asking.
#[test]
fn rfc9113_10_5_answers_that_wait() {
    req!("9113-10.5-02", "9113-10.5-03");
    let config = ConnectionConfig { max_queued_control_frames: 20, ..ConnectionConfig::default() };
    let questions: [(_, Question); 3] = [
        ("PING", |_| ping(b"12345678")),
        ("SETTINGS", |_| settings(&[])),
        ("bad requests", |n| headers(2 * n + 1, &[0x82], true)),
    ];
    for (what, question) in questions {
        let mut subject = Subject::with(Role::Server, config.clone(), &[]);
        for n in 0..20 {
            subject.hear(&question(n));
        }
        let last_stream_id = if what == "bad requests" { 41 } else { 0 };
        ends_the_connection(
            &mut subject,
            what,
            &question(20),
            Fatal::ControlFramesQueued,
            CALM,
            last_stream_id,
        );
        let mut subject = Subject::with(Role::Server, config.clone(), &[]);
        for n in 0..100 {
            subject.hear(&question(n));
            assert_eq!(subject.speak().len(), 1, "{what}");
        }
    }
}

#[test]
fn rfc9113_10_5_interim_responses() {
    let config = ConnectionConfig { max_interim_responses: 3, ..ConnectionConfig::default() };
    let mut streams = client_streams(config);
    let hints = headers(HALF_CLOSED, &line(":status", "103"), false);
    assert_eq!(streams.subject.hear(&hints.repeat(3)).len(), 3);
    let told = streams.subject.hear(&hints);
    assert_eq!(told, vec![Told::Failed { key: streams.keys[1], error: StreamError::InterimTooMany }]);
    only_reset(&mut streams.subject, HALF_CLOSED, CALM, "the fourth");
    nothing_else_is_disturbed(streams, "the fourth");
}

/// After an error nothing is cut any more: neither the queue's content nor its end.
#[test]
fn rfc9113_5_4_1_queues_of_a_failed_connection_are_not_sent() {
    req!("9113-5.4.1-02");
    let theirs = [(INITIAL_WINDOW_SIZE, 1 << 20)];
    for trailers in [false, true] {
        let mut subject = Subject::with(Role::Server, ConnectionConfig::default(), &theirs);
        let told = subject.hear(&[window_update(0, 1 << 20), headers(1, &get(), true)].concat());
        let [Told::Request { key, .. }] = told[..] else { panic!("{told:?}") };
        subject.respond(key, false);
        subject.connection.send_data(key, &[0; 300_000], !trailers).expect("an open stream");
        if trailers {
            subject.connection.send_trailers(key, section(&[("a", "b")])).expect("an open stream");
        }
        assert!(subject.connection.queued(key) > 0);
        let (_, error) = subject.try_hear(&window_update(0, 0));
        assert_eq!(error, Some(Fatal::WindowUpdateZero));
        assert!(!subject.connection.transmit().is_empty());
        subject.connection.sent(usize::MAX);
        assert!(subject.connection.cut().is_none());
        assert!(!subject.connection.has_output());
        assert!(subject.connection.send_data(key, b"more", true).is_err());
    }
}

/// What the owner commands is no answer. Nothing new is opened while as many resets wait as there are slots.
#[test]
fn requests_and_resets_that_nobody_takes_come_to_an_end() {
    let mut subject = Subject::client();
    let mut opened = 0;
    while let Ok(key) = subject.connection.open(&request("GET"), true) {
        subject.connection.reset(key, ErrorCode::CANCEL);
        opened += 1;
        assert!(subject.connection.buffered() < 300_000);
    }
    assert!(opened == 250 && !subject.connection.has_failed(), "{opened} were opened");
    assert_eq!(subject.connection.open_slots(), 0);
    subject.speak();
    assert_eq!(subject.connection.open_slots(), 250);
}
