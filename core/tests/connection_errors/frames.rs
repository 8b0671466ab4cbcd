//! Sections 3.4, 4.1 to 4.3, and the forms of the frames of section 6.

use shuntyard_core::config::ConnectionConfig;
use shuntyard_core::error::{ConnectionError as Fatal, ErrorCode, StreamError};
use shuntyard_core::h2::Role;
use shuntyard_requirements::req;

use crate::wire::*;
use crate::*;

const PROTOCOL_ERROR: ErrorCode = ErrorCode::PROTOCOL_ERROR;
const FRAME_SIZE_ERROR: ErrorCode = ErrorCode::FRAME_SIZE_ERROR;

#[test]
fn rfc9113_3_4_the_preface() {
    req!("9113-3.4-01", "9113-3.4-04", "9113-5.4-01", "9113-5.4-02", "9113-5.4-05", "9113-5.4.1-01");
    let rows: Vec<(&str, Role, Vec<u8>, Fatal)> = vec![
        ("a request of HTTP/1.1", Role::Server, b"GET / HTTP/1.1\r\n\r\n".to_vec(), Fatal::PrefaceInvalid),
        ("the first octet", Role::Server, b"Q".to_vec(), Fatal::PrefaceInvalid),
        ("the last octet", Role::Server, [&PREFACE[..23], b"\r"].concat(), Fatal::PrefaceInvalid),
        ("no SETTINGS", Role::Server, [PREFACE, &ping(b"12345678")].concat(), Fatal::SettingsNotFirst),
        ("an acknowledgement", Role::Server, [PREFACE, &settings_ack()].concat(), Fatal::SettingsNotFirst),
        (
            "HEADERS first",
            Role::Server,
            [PREFACE, &headers(1, &get(), true)].concat(),
            Fatal::SettingsNotFirst,
        ),
        ("no SETTINGS from a server", Role::Client, ping(b"12345678"), Fatal::SettingsNotFirst),
        (
            "a server of HTTP/1.1",
            Role::Client,
            b"HTTP/1.1 400 Bad Request\r\n".to_vec(),
            Fatal::AnsweredInHttp1,
        ),
        ("its first octets", Role::Client, b"HTTP/1.0 ".to_vec(), Fatal::AnsweredInHttp1),
        ("another protocol", Role::Client, b"SSH-2.0-OpenSSH\r\n".to_vec(), Fatal::SettingsNotFirst),
        ("a client that answers", Role::Server, [PREFACE, b"HTTP/1.1 "].concat(), Fatal::SettingsNotFirst),
        ("an unknown frame first", Role::Client, frame(0xfa, 0, 0, b""), Fatal::SettingsNotFirst),
    ];
    for (what, role, octets, error) in rows {
        let mut subject = Subject::fresh(role, ConnectionConfig::default());
        ends_the_connection(&mut subject, what, &octets, error, PROTOCOL_ERROR, 0);
    }
}

#[test]
fn rfc9113_3_4_settings_come_first_and_are_acknowledged_after_the_preface() {
    req!("9113-3.3-02", "9113-3.4-01", "9113-3.4-02", "9113-3.4-03", "9113-6.5-01", "9113-6.5-05");
    for role in BOTH {
        let mut subject = Subject::fresh(role, ConnectionConfig::default());
        let preface = if role == Role::Server { PREFACE } else { b"" };
        assert_eq!(subject.hear(&[preface, &settings(&[])].concat()), vec![Told::Settings]);
        let octets = subject.speak_octets();
        let mut octets = octets.strip_prefix(PREFACE).unwrap_or(&octets).to_vec();
        let said = take_frames(&mut octets);
        assert_eq!((said[0].frame_type, said[0].flags, said[0].stream_id), (SETTINGS, 0, 0), "{role:?}");
        assert_eq!(said.iter().filter(|frame| frame.frame_type == SETTINGS && frame.has(ACK)).count(), 1);
    }
}

#[test]
fn rfc9113_4_1_unknown_frames_unused_flags_and_the_reserved_bit_are_ignored() {
    req!("9113-4.1-02", "9113-4.1-03", "9113-4.1-04", "9113-5.5-01", "9113-5.5-02");
    for role in BOTH {
        let mut streams = streams(role);
        for stream_id in [0, OPEN, ENDED, IDLE, IDLE + 1] {
            let told = streams.subject.hear(&frame(0xee, 0xff, stream_id, &[7; 100]));
            assert_eq!(told, vec![]);
        }
        assert_eq!(streams.subject.speak(), vec![]);
        // Flags that DATA, PING and WINDOW_UPDATE do not define, and the reserved bit of each header and identifier.
        let odd = [
            frame(DATA, 0xf6, OPEN | 1 << 31, b"x"),
            frame(WINDOW_UPDATE, 0xff, 1 << 31, &(1 << 31 | 1u32).to_be_bytes()),
            frame(PING, 0xfe, 0, b"12345678"),
            frame(PRIORITY, 0xff, OPEN, &[0x80, 0, 0, 0, 15]),
        ];
        let told = streams.subject.hear(&odd.concat());
        assert!(matches!(&told[..], [Told::Data { content, end: false, .. }] if content == b"x"), "{told:?}");
        let said = streams.subject.speak();
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!((said[0].frame_type, said[0].flags, &said[0].payload[..]), (PING, ACK, &b"12345678"[..]));
        nothing_else_is_disturbed(streams, "unknown frames");
    }
}

#[test]
fn rfc9113_4_2_frame_sizes() {
    req!("9113-4.2-01", "9113-4.2-02", "9113-4.2-03");
    let too_large = |frame_type, stream_id| frame(frame_type, 0, stream_id, &[0; 16_385]);
    let mut rows: Vec<Row<Fatal>> = (0..=CONTINUATION)
        .map(|frame_type| {
            let stream_id = u32::from(!matches!(frame_type, SETTINGS | PING | GOAWAY));
            (
                "a frame of 16,385 octets",
                too_large(frame_type, stream_id),
                Fatal::FrameTooLarge,
                FRAME_SIZE_ERROR,
            )
        })
        .collect();
    rows.push((
        "an unknown frame of 16,385 octets",
        too_large(0xee, 0),
        Fatal::FrameTooLarge,
        FRAME_SIZE_ERROR,
    ));
    // Refused before its octets come.
    rows.push(("2^24-1", vec![255, 255, 255, DATA, 0, 0, 0, 0, 1], Fatal::FrameTooLarge, FRAME_SIZE_ERROR));
    end_the_connection(&BOTH, rows);

    let mut streams = streams(Role::Server);
    let told = streams.subject.hear(&data(OPEN, &[1; 16_384], false));
    assert!(matches!(&told[..], [Told::Data { content, .. }] if content.len() == 16_384));
}

#[test]
fn rfc9113_4_3_field_blocks() {
    req!("9113-4.3-01", "9113-4.3-02", "9113-4.3-03", "9113-5.5-03", "9113-6.2-04", "9113-6.10-02");
    let open = frame(HEADERS, 0, IDLE, &[0x82]);
    let then = |next: Vec<u8>| [&open[..], &next].concat();
    let expected = |what, octets| (what, octets, Fatal::ContinuationExpected, PROTOCOL_ERROR);
    end_the_connection(
        &[Role::Server],
        vec![
            expected("DATA inside", then(data(OPEN, b"x", false))),
            expected("HEADERS inside", then(headers(IDLE, &get(), true))),
            expected("PING inside", then(ping(b"12345678"))),
            expected("SETTINGS inside", then(settings(&[]))),
            expected("RST_STREAM of the very stream inside", then(rst_stream(IDLE, ErrorCode::CANCEL))),
            expected("5.5: an unknown frame inside", then(frame(0xee, 0, IDLE, b""))),
            expected("CONTINUATION of another stream", then(frame(CONTINUATION, END_HEADERS, OPEN, b""))),
            expected("CONTINUATION of stream 0", then(frame(CONTINUATION, END_HEADERS, 0, b""))),
            expected("GOAWAY inside", then(goaway(0, ErrorCode::NO_ERROR))),
        ],
    );
    let broken = |what, stream_id, block: &[u8]| {
        (what, headers(stream_id, block, true), Fatal::Compression, ErrorCode::COMPRESSION_ERROR)
    };
    end_the_connection(
        &[Role::Server],
        vec![broken("index 0", IDLE, &[0x80]), broken("half a literal", IDLE, &[0x40, 9])],
    );
    // On streams that are gone the block is decoded all the same.
    let rows = vec![
        broken("an index beyond the table", OPEN, &[0xff, 0x7f]),
        broken("a size update above the limit", RESET_BY_US, &[0x3f, 0xff, 0x7f]),
        broken("a size update behind a field", OPEN, &[0x88, 0x20]),
        broken("a bad Huffman code", RESET_BY_US, &[0x00, 0x81, 0x00, 0x00]),
    ];
    end_the_connection(&BOTH, rows);
}

#[test]
fn rfc9113_4_3_1_a_smaller_table_must_be_announced_after_the_acknowledgement() {
    req!("9113-4.3.1-02");
    let config = ConnectionConfig { header_table_size: 100, ..ConnectionConfig::default() };
    let unacknowledged = || {
        let mut subject = Subject::fresh(Role::Server, config.clone());
        subject.hear(&[PREFACE, &settings(&[])].concat());
        subject.hear(&headers(1, &[get(), kept_line("x-kept", "one")].concat(), true));
        subject.speak();
        subject
    };
    let mut subject = unacknowledged();
    let told = subject.hear(&headers(3, &[get(), vec![NEWEST]].concat(), true));
    assert!(matches!(told[..], [Told::Request { .. }]), "the default holds until the acknowledgement");
    let late = [settings_ack(), headers(5, &get(), true)].concat();
    ends_the_connection(
        &mut subject,
        "no update",
        &late,
        Fatal::Compression,
        ErrorCode::COMPRESSION_ERROR,
        3,
    );
    let mut subject = unacknowledged();
    let large = [settings_ack(), headers(3, &[&[0x3f, 70][..], &get()].concat(), true)].concat();
    ends_the_connection(&mut subject, "101", &large, Fatal::Compression, ErrorCode::COMPRESSION_ERROR, 1);
    let mut subject = unacknowledged();
    let told =
        subject.hear(&[settings_ack(), headers(3, &[&[0x3f, 69][..], &get()].concat(), true)].concat());
    assert!(matches!(told[..], [Told::Request { .. }]), "exactly 100 is fine");
}

#[test]
fn rfc9113_4_3_1_our_encoder_announces_a_smaller_table() {
    req!("9113-4.3.1-01", "7541-4.2-02", "7541-4.2-03");
    let mut subject = Subject::with(Role::Client, ConnectionConfig::default(), &[]);
    let fields = section(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("x-note", "kept")]);
    subject.connection.open(&fields, true).expect("a slot");
    subject.speak();
    subject.hear(&settings(&[(HEADER_TABLE_SIZE, 0), (HEADER_TABLE_SIZE, 100)]));
    subject.connection.open(&fields, true).expect("a slot");
    let said = subject.speak();
    let [ack, request] = &said[..] else { panic!("{said:?}") };
    assert!(ack.has(ACK));
    assert_eq!(request.payload[..3], [0x20, 0x3f, 69], "the smallest size, then the last (RFC 7541 4.2)");
}

#[test]
fn rfc9113_6_1_data() {
    req!("9113-6.1-04", "9113-6.1-05", "9113-6.1-06", "9113-6.1-07");
    end_the_connection(
        &BOTH,
        vec![
            ("DATA on stream 0", data(0, b"x", false), Fatal::StreamIdZero, PROTOCOL_ERROR),
            (
                "padding as long as the frame",
                frame(DATA, PADDED, OPEN, &[3, 0, 0]),
                Fatal::PaddingTooLong,
                PROTOCOL_ERROR,
            ),
            (
                "padding longer than the frame",
                frame(DATA, PADDED, OPEN, &[255]),
                Fatal::PaddingTooLong,
                PROTOCOL_ERROR,
            ),
            ("no pad length", frame(DATA, PADDED, OPEN, &[]), Fatal::FrameTooShort, FRAME_SIZE_ERROR),
        ],
    );
    reset_one_stream(
        &[Role::Server],
        HALF_CLOSED,
        vec![
            (
                "DATA after the end",
                data(HALF_CLOSED, b"x", false),
                StreamError::HalfClosed,
                ErrorCode::STREAM_CLOSED,
            ),
            (
                "an empty end after the end",
                data(HALF_CLOSED, b"", true),
                StreamError::HalfClosed,
                ErrorCode::STREAM_CLOSED,
            ),
        ],
    );
}

#[test]
fn rfc9113_6_2_headers() {
    req!("9113-6.2-05", "9113-6.2-06", "9113-6.2-07");
    end_the_connection(
        &BOTH,
        vec![
            ("HEADERS on stream 0", headers(0, &get(), true), Fatal::StreamIdZero, PROTOCOL_ERROR),
            (
                "padding too long",
                frame(HEADERS, PADDED | END_HEADERS, OPEN, &[3, 0, 0]),
                Fatal::PaddingTooLong,
                PROTOCOL_ERROR,
            ),
            (
                "padding over priority",
                frame(HEADERS, PADDED | WITH_PRIORITY | END_HEADERS, OPEN, &[2, 0, 0, 0, 0, 0, 0]),
                Fatal::FrameTooShort,
                FRAME_SIZE_ERROR,
            ),
            (
                "no pad length",
                frame(HEADERS, PADDED | END_HEADERS, OPEN, &[]),
                Fatal::FrameTooShort,
                FRAME_SIZE_ERROR,
            ),
            (
                "priority of four octets",
                frame(HEADERS, WITH_PRIORITY | END_HEADERS, OPEN, &[0; 4]),
                Fatal::FrameTooShort,
                FRAME_SIZE_ERROR,
            ),
        ],
    );
    // Padding and priority are parsed and dropped.
    let mut subject = Subject::server();
    let payload = [&[2, 0x80, 0, 0, 9, 255][..], &get(), &[0, 0]].concat();
    let told = subject.hear(&frame(HEADERS, PADDED | WITH_PRIORITY | END_HEADERS | END_STREAM, 1, &payload));
    assert!(matches!(&told[..], [Told::Request { end: true, fields, .. }] if fields.len() == 4), "{told:?}");
}

#[test]
fn rfc9113_6_3_priority() {
    req!("9113-6.3-01", "9113-6.3-02", "9218-2.1-06");
    end_the_connection(&BOTH, vec![("stream 0", priority(0, 1), Fatal::StreamIdZero, PROTOCOL_ERROR)]);
    reset_one_stream(
        &BOTH,
        HALF_CLOSED,
        vec![(
            "four octets",
            frame(PRIORITY, 0, HALF_CLOSED, &[0; 4]),
            StreamError::PrioritySize,
            FRAME_SIZE_ERROR,
        )],
    );
    for role in BOTH {
        let mut streams = streams(role);
        for stream_id in [OPEN, HALF_CLOSED, ENDED, RESET_BY_PEER, RESET_BY_US, IDLE, IDLE + 1, 0x7fff_ffff] {
            assert_eq!(streams.subject.hear(&priority(stream_id, 99)), vec![], "stream {stream_id}");
        }
        assert_eq!(streams.subject.speak(), vec![]);
        nothing_else_is_disturbed(streams, "PRIORITY opens and closes nothing");
    }
}

#[test]
fn rfc9113_6_4_rst_stream() {
    req!("9113-5.4.2-04", "9113-6.4-03", "9113-6.4-04", "9113-6.4-06", "9113-6.4-07", "9113-7-01");
    let of_size = |size| frame(RST_STREAM, 0, OPEN, &vec![0; size]);
    end_the_connection(
        &BOTH,
        vec![
            ("stream 0", rst_stream(0, ErrorCode::CANCEL), Fatal::StreamIdZero, PROTOCOL_ERROR),
            ("an idle stream", rst_stream(IDLE, ErrorCode::CANCEL), Fatal::StreamIdle, PROTOCOL_ERROR),
            (
                "an idle stream of the server",
                rst_stream(2, ErrorCode::CANCEL),
                Fatal::StreamIdle,
                PROTOCOL_ERROR,
            ),
            ("three octets", of_size(3), Fatal::RstStreamSize, FRAME_SIZE_ERROR),
            ("five octets", of_size(5), Fatal::RstStreamSize, FRAME_SIZE_ERROR),
        ],
    );
    for role in BOTH {
        let mut streams = streams(role);
        let code = ErrorCode(0xdead_beef);
        let told = streams.subject.hear(&rst_stream(HALF_CLOSED, code));
        assert_eq!(
            told,
            vec![Told::Reset { key: streams.keys[1], code }],
            "7: unknown codes mean nothing special"
        );
        assert!(streams.subject.connection.send_data(streams.keys[1], b"x", true).is_err());
        streams.subject.connection.reset(streams.keys[1], ErrorCode::CANCEL);
        assert_eq!(streams.subject.hear(&rst_stream(HALF_CLOSED, code)), vec![]);
        assert_eq!(streams.subject.speak(), vec![], "5.4.2: no RST_STREAM in answer to RST_STREAM");
        nothing_else_is_disturbed(streams, "RST_STREAM");
    }
}

#[test]
fn rfc9113_6_6_push_promise() {
    req!("9113-6.5.2-02", "9113-6.6-07", "9113-6.6-09", "9113-6.6-12", "9113-8.4-07");
    let promise = |stream_id, payload: &[u8]| frame(PUSH_PROMISE, END_HEADERS, stream_id, payload);
    let block = [&2u32.to_be_bytes()[..], &get()].concat();
    let refused = |what, octets| (what, octets, Fatal::PushPromise, PROTOCOL_ERROR);
    end_the_connection(
        &BOTH,
        vec![
            refused("on an open stream", promise(OPEN, &block)),
            refused("on a half-closed stream", promise(HALF_CLOSED, &block)),
            refused("on a stream that was reset", promise(RESET_BY_US, &block)),
            refused("on an idle stream", promise(IDLE, &block)),
            refused("without a promised stream", promise(OPEN, &[])),
            ("on stream 0", promise(0, &block), Fatal::StreamIdZero, PROTOCOL_ERROR),
        ],
    );
}

#[test]
fn rfc9113_6_7_ping() {
    req!("9113-6.7-01", "9113-6.7-02", "9113-6.7-04", "9113-6.7-05", "9113-6.7-06", "9113-6.7-07");
    end_the_connection(
        &BOTH,
        vec![
            ("on a stream", frame(PING, 0, OPEN, &[0; 8]), Fatal::StreamIdNonZero, PROTOCOL_ERROR),
            ("seven octets", frame(PING, 0, 0, &[0; 7]), Fatal::PingSize, FRAME_SIZE_ERROR),
            ("nine octets", frame(PING, ACK, 0, &[0; 9]), Fatal::PingSize, FRAME_SIZE_ERROR),
            ("none", frame(PING, 0, 0, &[]), Fatal::PingSize, FRAME_SIZE_ERROR),
        ],
    );
    for role in BOTH {
        let mut streams = streams(role);
        assert_eq!(
            streams
                .subject
                .hear(&[ping(b"\0\x01\xff first"[..8].try_into().unwrap()), ping(b"second..")].concat()),
            vec![]
        );
        let said = streams.subject.speak();
        let answers: Vec<_> =
            said.iter().map(|frame| (frame.frame_type, frame.flags, &frame.payload[..])).collect();
        assert_eq!(answers, [(PING, ACK, &b"\0\x01\xff firs"[..8]), (PING, ACK, &b"second.."[..])]);
        let told = streams.subject.hear(&frame(PING, ACK, 0, b"not ours"));
        assert_eq!(told, vec![Told::PingAck(*b"not ours")]);
        assert_eq!(streams.subject.speak(), vec![], "no answer to an answer");
    }
}

#[test]
fn rfc9113_6_10_continuation() {
    req!("9113-6.10-03", "9113-6.10-04", "9113-6.10-05", "9113-6.10-06");
    let expected = |what, octets| (what, octets, Fatal::ContinuationUnexpected, PROTOCOL_ERROR);
    let continuation = |stream_id| frame(CONTINUATION, END_HEADERS, stream_id, &[0x82]);
    end_the_connection(
        &BOTH,
        vec![
            ("stream 0", continuation(0), Fatal::StreamIdZero, PROTOCOL_ERROR),
            expected("behind nothing", continuation(OPEN)),
            expected("on an idle stream", continuation(IDLE)),
        ],
    );
    let whole = [headers(IDLE, &get(), true), continuation(IDLE)].concat();
    let mut subject = streams(Role::Server).subject;
    ends_the_connection(
        &mut subject,
        "behind END_HEADERS",
        &whole,
        Fatal::ContinuationUnexpected,
        PROTOCOL_ERROR,
        IDLE,
    );
    // One field over three frames, cut inside its name.
    let block = [get(), kept_line("x-cut", "somewhere")].concat();
    let (a, b) = (block.len() - 12, block.len() - 5);
    let cut = [
        frame(HEADERS, END_STREAM, 1, &block[..a]),
        frame(CONTINUATION, 0, 1, &block[a..b]),
        frame(CONTINUATION, END_HEADERS, 1, &block[b..]),
    ];
    let told = Subject::server().hear(&cut.concat());
    let [Told::Request { fields, end: true, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(fields.last(), Some(&("x-cut".to_owned(), "somewhere".to_owned())));
}
