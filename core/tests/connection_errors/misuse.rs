//! Section 10.5: what a peer may cost beyond what it brings.

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::{ConnectionError, ErrorCode};
use shuntyard_core::h2::{Role, Sent};
use shuntyard_core::time::Duration;
use shuntyard_requirements::req;

use crate::wire::*;

/// One more of the same, the `n`th.
type More = fn(u32) -> Vec<u8>;

/// What a peer does without end, and how often it may at once with the default budget of 10,000 points.
const MISUSES: [(&str, More, u32); 9] = [
    (
        "rapid resets",
        |n| [headers(2 * n + 1, &get(), true), rst_stream(2 * n + 1, ErrorCode::CANCEL)].concat(),
        166,
    ),
    ("resets that it provokes", |n| headers(2 * n + 1, &[0x82], true), 166),
    // More field lines than the limit, each a reference to an entry of the static table.
    ("heads beyond the limits", |n| headers(2 * n + 1, &[get(), vec![0xa0; 1000]].concat(), true), 50),
    ("SETTINGS", |_| settings(&[]), 100),
    ("PING", |_| ping(b"12345678"), 1000),
    ("answers to no PING", |_| frame(6, 1, 0, &[0; 8]), 1000),
    ("PRIORITY", |_| priority(1, 0), 1000),
    ("frames of unknown types", |_| frame(0xee, 0, 0, &[]), 1000),
    ("WINDOW_UPDATE", |_| window_update(0, 1), 10_000),
];

fn config() -> ConnectionConfig {
    // What waits to be answered has a limit of its own.
    ConnectionConfig { max_queued_control_frames: 1_000_000, ..ConnectionConfig::default() }
}

/// How often the peer may do so until the connection ends.
fn tolerated(subject: &mut Subject, more: More) -> u32 {
    for n in 0..100_000 {
        match subject.try_hear(&more(n)).1 {
            None => drop(subject.speak_octets()),
            Some(ConnectionError::Misuse) => return n,
            Some(other) => panic!("{other:?}"),
        }
    }
    panic!("nothing ends it");
}

#[test]
fn rfc9113_10_5_each_misuse_ends_the_connection_within_its_budget() {
    req!("9113-10.5-02");
    for (what, more, most) in MISUSES {
        let mut subject = Subject::with(Role::Server, config(), &[]);
        assert_eq!(tolerated(&mut subject, more), most, "{what}");
        let frames = subject.speak();
        let goaway = frames.last().expect("GOAWAY");
        assert_eq!((goaway.frame_type, goaway.word(1)), (7, ErrorCode::ENHANCE_YOUR_CALM.0), "{what}");
    }
}

#[test]
fn empty_data_is_misuse_too() {
    let mut subject = Subject::with(Role::Server, config(), &[]);
    subject.hear(&headers(1, &post(), false));
    assert_eq!(tolerated(&mut subject, |_| data(1, b"", false)), 1000);
}

/// Windows bound what comes late and has content; of the rest a head, an end and a reset are free, and what follows costs what it costs anywhere.
#[test]
fn what_means_nothing_any_more_is_misuse() {
    let late: [(&str, More, u32); 5] = [
        ("empty DATA", |_| data(1, b"", false), 1003),
        ("its end again and again", |_| data(1, b"", true), 1003),
        ("padding", |_| padded_data(1, b"", 5, false), 1003),
        ("trailers", |_| headers(1, &line("a", "b"), true), 1003),
        ("resets", |_| rst_stream(1, ErrorCode::CANCEL), 1003),
    ];
    for (what, more, most) in late {
        let mut subject = Subject::with(Role::Server, config(), &[]);
        let told = subject.hear(&headers(1, &post(), false));
        let [Told::Request { key, .. }] = told[..] else { panic!("{told:?}") };
        subject.connection.reset(key, ErrorCode::NO_ERROR);
        assert_eq!(tolerated(&mut subject, more), most, "{what}");
    }
}

/// RFC 9113 section 5.1: who has not seen our reset yet is no worse for it.
#[test]
fn what_was_on_its_way_when_its_stream_was_reset_costs_nothing() {
    // Calls that are all refused at once, by a head alone.
    let mut server = Subject::server();
    for n in 0..3000 {
        let id = 2 * n + 1;
        let told = server.hear(&headers(id, &post(), false));
        let [Told::Request { key, .. }] = told[..] else { panic!("{told:?}") };
        server.respond(key, true);
        server.connection.reset(key, ErrorCode::NO_ERROR);
        server.speak_octets();
        server.hear(&[data(id, &[1; 100], false), data(id, b"", true)].concat());
    }
    assert_eq!(server.connection.misuse(), 0);
    // Requests that are all taken back, and all answered.
    let config = ConnectionConfig { misuse_max: 500, ..ConnectionConfig::default() };
    let mut client = Subject::with(Role::Client, config, &[]);
    let keys: Vec<_> = (0..250).map(|_| client.open("GET", true)).collect();
    keys.iter().for_each(|&key| client.connection.reset(key, ErrorCode::CANCEL));
    client.speak_octets();
    for n in 0..250 {
        let id = 2 * n + 1;
        let early = headers(id, &line(":status", "103"), false);
        client.hear(
            &[early, headers(id, &OK, false), data(id, &[1; 100], false), data(id, b"", true)].concat(),
        );
    }
    assert_eq!(client.connection.misuse(), 0);
}

/// Clients ask, and reset: a backend whose answers are too large for us is no worse than one whose answers are not, for its connection is everybody's.
#[test]
fn a_backends_late_head_costs_the_same_however_large_it_is() {
    let mut client = Subject::with(Role::Client, ConnectionConfig::default(), &[]);
    let keys: Vec<_> = (0..100).map(|_| client.open("GET", true)).collect();
    keys.iter().for_each(|&key| client.connection.reset(key, ErrorCode::CANCEL));
    client.speak_octets();
    for n in 0..100 {
        client.hear(&headers(2 * n + 1, &[line(":status", "200"), vec![0xa0; 1000]].concat(), true));
    }
    assert_eq!(client.connection.misuse(), 0);
}

#[test]
fn requests_behind_our_goaway_are_misuse_in_the_end() {
    let mut subject = Subject::with(Role::Server, config(), &[]);
    subject.hear(&headers(1, &post(), false));
    subject.connection.goaway();
    assert_eq!(tolerated(&mut subject, |n| headers(2 * n + 3, &get(), true)), 1000);
}

/// A head beyond the limits costs its decoding, whatever else it is refused for.
#[test]
fn heads_beyond_the_limits_cost_the_same_wherever_they_are_refused() {
    let bomb: More = |n| headers(2 * n + 1001, &[get(), vec![0xa0; 1000]].concat(), true);
    let mut full = Subject::with(Role::Server, config(), &[]);
    (0..100).for_each(|n| _ = full.hear(&headers(2 * n + 1, &post(), false)));
    assert_eq!(tolerated(&mut full, bomb), 50, "no stream is free");
    let mut leaving = Subject::with(Role::Server, config(), &[]);
    leaving.hear(&headers(1, &post(), false));
    leaving.connection.goaway();
    assert_eq!(tolerated(&mut leaving, bomb), 50, "behind our GOAWAY");
    let trailers: More =
        |n| [headers(2 * n + 1, &post(), false), headers(2 * n + 1, &[0xa0; 1000], true)].concat();
    let mut subject = Subject::with(Role::Server, config(), &[]);
    assert_eq!(tolerated(&mut subject, trailers), 50, "trailers");
}

/// A name that stands in the table is copied by two octets of a block.
#[test]
fn literals_without_end_behind_a_limit_end_the_connection() {
    let bomb = |n: usize| [kept_line(&"x".repeat(4000), ""), [0x7e, 0].repeat(n)].concat();
    let mut subject = Subject::with(Role::Server, config(), &[]);
    let told = subject.hear(&headers(1, &[get(), bomb(200)].concat(), true));
    assert!(matches!(told[..], [Told::TooLarge { .. }]), "{told:?}");
    let (_, error) = subject.try_hear(&headers(3, &[get(), bomb(400)].concat(), true));
    assert_eq!(error, Some(ConnectionError::Misuse));
    assert_eq!(subject.speak().last().map(|frame| frame.word(1)), Some(ErrorCode::ENHANCE_YOUR_CALM.0));
}

#[test]
fn padding_is_misuse_where_it_is_more_than_content() {
    let mut subject = Subject::with(Role::Server, config(), &[]);
    subject.hear(&headers(1, &post(), false));
    assert_eq!(tolerated(&mut subject, |_| padded_data(1, b"five5", 5, false)), 10_000);
    let mut subject = Subject::with(Role::Server, config(), &[]);
    subject.hear(&headers(1, &post(), false));
    subject.hear(&[padded_data(1, b"five5", 4, false), data(1, b"t", false)].concat());
    subject.hear(&padded_data(1, b"x", 200, true));
    assert_eq!(
        subject.connection.misuse(),
        0,
        "neither little padding, nor little content, nor the last frame"
    );
}

#[test]
fn useful_work_pays_for_what_comes_with_it() {
    // As many resets as whole requests, for ever.
    let mut subject = Subject::with(Role::Server, config(), &[]);
    for n in 0..10_000 {
        let (whole, cancelled) = (4 * n + 1, 4 * n + 3);
        let told = subject.hear(&headers(whole, &get(), true));
        let [Told::Request { key, .. }] = &told[..] else { panic!("{told:?}") };
        subject.respond(*key, true);
        subject.hear(&headers(cancelled, &get(), true));
        subject.hear(&rst_stream(cancelled, ErrorCode::CANCEL));
        subject.speak_octets();
    }
    assert!(subject.connection.misuse() <= 200);
    // A PING and two window updates beside each frame of content.
    let mut subject = Subject::with(Role::Server, config(), &[]);
    subject.hear(&headers(1, &post(), false));
    for _ in 0..5_000 {
        subject.hear(&[data(1, &[7; 16_000], false), ping(b"12345678"), window_update(0, 1)].concat());
        subject.release_all();
        subject.speak_octets();
    }
    assert!(subject.connection.misuse() <= 100);
}

/// Who measures the round trip (gRPC does, with a PING for each frame) and gives windows back at once owes nothing, whatever the content's size.
#[test]
fn a_frame_of_content_pays_for_a_ping_and_two_windows() {
    let mut subject = Subject::with(Role::Server, config(), &[]);
    let told = subject.hear(&headers(1, &get(), true));
    let [Told::Request { key, .. }] = told[..] else { panic!("{told:?}") };
    subject.respond(key, false);
    for _ in 0..20_000 {
        assert_eq!(subject.connection.send_data(key, b"m", false), Ok(Sent { cut: 1, waits: false }));
        subject.hear(&[ping(b"12345678"), window_update(1, 1), window_update(0, 1)].concat());
        subject.speak_octets();
    }
    assert!(subject.connection.misuse() <= 12);
}

#[test]
fn time_pays_as_well() {
    let mut subject = Subject::with(Role::Server, config(), &[]);
    let second = Duration::from_secs(1);
    for n in 0..3_300 {
        // 33 resets a second.
        let id = 2 * n + 1;
        subject.hear(&headers(id, &get(), true));
        subject.hear(&rst_stream(id, ErrorCode::CANCEL));
        subject.speak_octets();
        if n % 33 == 32 {
            subject.connection.forgive(second);
        }
    }
    assert!(subject.connection.misuse() <= 3_300);
}

/// What a backend refuses answers requests of ours, which is no misuse.
#[test]
fn a_backend_may_refuse_what_it_likes() {
    let mut subject = Subject::with(Role::Client, config(), &[]);
    for n in 0..1_000 {
        subject.open("GET", true);
        subject.speak_octets();
        subject.hear(&rst_stream(2 * n + 1, ErrorCode::REFUSED_STREAM));
    }
    assert_eq!(subject.connection.misuse(), 0);
    assert_eq!(tolerated(&mut subject, |_| settings(&[])), 100, "but it has a budget as well");
}

/// Who asks for what a backend answers wrongly takes nothing from others on the same connection.
#[test]
fn errors_of_a_backend_cost_the_requests_that_they_answer() {
    let mut client = Subject::client();
    let other = client.open("GET", true);
    for _ in 0..1000 {
        let key = client.open("GET", true);
        let id = client.connection.stream_id(key).expect("it is open");
        client.speak();
        let told = client.hear(&headers(id, &[&OK[..], &line("connection", "close")].concat(), true));
        assert!(matches!(told[..], [Told::Failed { .. }]), "{told:?}");
        assert_eq!(client.speak().len(), 1, "RST_STREAM");
    }
    let told = client.hear(&headers(1, &OK, true));
    assert!(matches!(told[..], [Told::Response { key, .. }] if key == other), "{told:?}");
}
