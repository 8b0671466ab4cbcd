//! Section 6.5: SETTINGS of both sides.

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::{ConnectionError as Fatal, ErrorCode};
use shuntyard_core::h2::{OpenError, Role};
use shuntyard_requirements::req;

use crate::wire::*;
use crate::*;

const PROTOCOL_ERROR: ErrorCode = ErrorCode::PROTOCOL_ERROR;
const FRAME_SIZE_ERROR: ErrorCode = ErrorCode::FRAME_SIZE_ERROR;
const FLOW_CONTROL_ERROR: ErrorCode = ErrorCode::FLOW_CONTROL_ERROR;

#[test]
fn rfc9113_6_5_settings() {
    req!("9113-6.5-04", "9113-6.5-05", "9113-6.5-06", "9113-6.5-07", "9113-6.5-08");
    end_the_connection(
        &BOTH,
        vec![
            ("on a stream", frame(SETTINGS, 0, OPEN, &[]), Fatal::StreamIdNonZero, PROTOCOL_ERROR),
            (
                "an acknowledgement on a stream",
                frame(SETTINGS, ACK, OPEN, &[]),
                Fatal::StreamIdNonZero,
                PROTOCOL_ERROR,
            ),
            (
                "an acknowledgement with a payload",
                frame(SETTINGS, ACK, 0, &[0; 6]),
                Fatal::SettingsAckNotEmpty,
                FRAME_SIZE_ERROR,
            ),
            ("five octets", frame(SETTINGS, 0, 0, &[0; 5]), Fatal::SettingsSize, FRAME_SIZE_ERROR),
            ("seven octets", frame(SETTINGS, 0, 0, &[0; 7]), Fatal::SettingsSize, FRAME_SIZE_ERROR),
            ("6.5.3: a second acknowledgement", settings_ack(), Fatal::SettingsAckUnexpected, PROTOCOL_ERROR),
        ],
    );
}

#[test]
fn rfc9113_6_5_2_values() {
    req!(
        "9113-5.5-01",
        "9113-6.5-03",
        "9113-6.5-07",
        "9113-6.5.2-03",
        "9113-6.5.2-06",
        "9113-6.5.2-09",
        "9113-6.5.2-11",
        "9113-6.5.2-13",
        "9113-6.5.3-03"
    );
    let push = |value| settings(&[(ENABLE_PUSH, value)]);
    let window = |value| settings(&[(INITIAL_WINDOW_SIZE, value)]);
    let size = |value| settings(&[(MAX_FRAME_SIZE, value)]);
    end_the_connection(
        &BOTH,
        vec![
            ("ENABLE_PUSH 2", push(2), Fatal::EnablePushInvalid, PROTOCOL_ERROR),
            (
                "INITIAL_WINDOW_SIZE 2^31",
                window(1 << 31),
                Fatal::InitialWindowSizeInvalid,
                FLOW_CONTROL_ERROR,
            ),
            (
                "INITIAL_WINDOW_SIZE 2^32-1",
                window(u32::MAX),
                Fatal::InitialWindowSizeInvalid,
                FLOW_CONTROL_ERROR,
            ),
            ("MAX_FRAME_SIZE 16,383", size(16_383), Fatal::MaxFrameSizeInvalid, PROTOCOL_ERROR),
            ("MAX_FRAME_SIZE 2^24", size(1 << 24), Fatal::MaxFrameSizeInvalid, PROTOCOL_ERROR),
            (
                "the second of two",
                settings(&[(MAX_FRAME_SIZE, 16_384), (MAX_FRAME_SIZE, 0)]),
                Fatal::MaxFrameSizeInvalid,
                PROTOCOL_ERROR,
            ),
        ],
    );
    end_the_connection(
        &[Role::Client],
        vec![("ENABLE_PUSH 1 from a server", push(1), Fatal::EnablePushInvalid, PROTOCOL_ERROR)],
    );
    for role in BOTH {
        let mut streams = streams(role);
        let fine = settings(&[
            (ENABLE_PUSH, 0),
            (MAX_FRAME_SIZE, 16_384),
            (MAX_FRAME_SIZE, (1 << 24) - 1),
            (INITIAL_WINDOW_SIZE, 0x7fff_0000),
            (INITIAL_WINDOW_SIZE, 65_535),
            (0, 1),
            (0xffff, u32::MAX),
        ]);
        assert_eq!(streams.subject.hear(&fine), vec![Told::Settings]);
        let said = streams.subject.speak();
        assert_eq!(
            (said.len(), said[0].frame_type, said[0].flags, said[0].payload.len()),
            (1, SETTINGS, ACK, 0)
        );
        nothing_else_is_disturbed(streams, "legal settings");
    }
}

#[test]
fn rfc9113_6_5_2_our_own_first_settings() {
    req!("9113-6.5.2-04", "9113-6.5.2-05", "9113-6.5.2-10", "9218-2.1-03");
    for role in BOTH {
        let mut subject = Subject::fresh(role, ConnectionConfig::default());
        if role == Role::Server {
            assert_eq!(subject.speak(), vec![], "a server waits for the client's octets");
            subject.hear(PREFACE);
        }
        let said = subject.speak();
        let entries: Vec<_> = said[0]
            .payload
            .chunks(6)
            .map(|entry| {
                (u16::from_be_bytes([entry[0], entry[1]]), u32::from_be_bytes(entry[2..].try_into().unwrap()))
            })
            .collect();
        let push = entries.iter().find(|(identifier, _)| *identifier == ENABLE_PUSH);
        match role {
            Role::Client => assert_eq!(push, Some(&(ENABLE_PUSH, 0)), "8.4: we refuse push"),
            Role::Server => {
                assert_eq!(push, None, "a server must not set it to 1");
                assert!(entries.contains(&(MAX_CONCURRENT_STREAMS, 100)));
                assert!(entries.contains(&(9, 1)), "SETTINGS_NO_RFC7540_PRIORITIES");
            }
        }
    }
}

#[test]
fn rfc9113_6_5_3_each_frame_is_acknowledged_once_and_in_order() {
    req!("9113-6.5.3-04", "9113-6.7-02");
    let mut subject = Subject::server();
    subject.hear(&[settings(&[]), ping(b"between.")].concat());
    subject.hear(&settings(&[(INITIAL_WINDOW_SIZE, 7)]));
    let said: Vec<_> = subject.speak().iter().map(|frame| (frame.frame_type, frame.flags)).collect();
    assert_eq!(said, [(SETTINGS, ACK), (PING, ACK), (SETTINGS, ACK)]);
}

/// Before the acknowledgement of ours the peer goes by the defaults, afterwards by what we announced.
#[test]
fn rfc9113_6_5_3_our_window_holds_from_the_acknowledgement_on() {
    req!("9113-6.9.2-01", "9113-6.9.3-01", "9113-6.9.3-02");
    for (size, first, second) in [(100, 65_535, 100), (1 << 20, 65_535, 1 << 20)] {
        let config = ConnectionConfig {
            initial_window_size: size,
            connection_window_size: 1 << 21,
            ..ConnectionConfig::default()
        };
        let mut subject = Subject::fresh(Role::Server, config);
        subject.keep_credit = true;
        subject.hear(&[PREFACE, &settings(&[]), &headers(1, &post(), false)].concat());
        subject.speak();
        assert_eq!(received(&mut subject, 1, first), first, "before: a whole default window");
        subject.hear(&settings_ack());
        subject.hear(&headers(3, &post(), false));
        assert_eq!(received(&mut subject, 3, second), second, "after: a whole announced window");
        // One octet more is one too many, on the new stream at least.
        let told = subject.hear(&data(3, b"x", false));
        assert!(matches!(told[..], [Told::Failed { error: StreamError::WindowExceeded, .. }]), "{told:?}");
    }
}

/// Sends `octets` of content in frames of at most 16,384; says how much was taken.
fn received(subject: &mut Subject, stream_id: u32, octets: usize) -> usize {
    let frames =
        vec![7u8; octets].chunks(16_384).map(|part| data(stream_id, part, false)).collect::<Vec<_>>();
    let told = subject.hear(&frames.concat());
    told.iter().map(|told| if let Told::Data { content, .. } = told { content.len() } else { 0 }).sum()
}

#[test]
fn rfc9113_5_1_2_the_peer_limits_our_streams() {
    req!("9113-5.1.2-01", "9113-6.5-02", "9113-6.5.2-07", "9113-6.5.3-01");
    let theirs =
        |limit| Subject::with(Role::Client, ConnectionConfig::default(), &[(MAX_CONCURRENT_STREAMS, limit)]);
    let mut subject = theirs(2);
    assert_eq!(subject.connection.open_slots(), 2);
    let first = subject.open("GET", true);
    subject.open("GET", true);
    assert_eq!(subject.connection.open(&request("GET"), true), Err(OpenError::NoSlot));
    subject.hear(&headers(1, &OK, true));
    assert_eq!((subject.connection.open_slots(), subject.connection.stream_id(first)), (1, None));
    // Lowered below what is open: nothing is closed, nothing opened until there is room.
    subject.open("GET", true);
    subject.hear(&settings(&[(MAX_CONCURRENT_STREAMS, 0)]));
    assert_eq!((subject.connection.open_streams(), subject.connection.open_slots()), (2, 0));
    subject.hear(&[headers(3, &OK, true), headers(5, &OK, true)].concat());
    assert_eq!(subject.connection.open(&request("GET"), true), Err(OpenError::NoSlot), "0 means none");
    subject.hear(&settings(&[(MAX_CONCURRENT_STREAMS, 1)]));
    subject.open("GET", true);
    assert_eq!(theirs(u32::MAX).connection.open_slots(), 250, "our own limit holds too");
    let mut early = Subject::fresh(Role::Client, ConnectionConfig::default());
    assert_eq!(early.connection.open_slots(), 100, "assumed before the peer's SETTINGS");
    early.hear(&settings(&[(MAX_CONCURRENT_STREAMS, 3)]));
    assert_eq!(early.connection.open_slots(), 3);
}
