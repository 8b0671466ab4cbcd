//! Strategies for property tests with `proptest`: what HTTP/2 peers may send, and how they may break the rules.
//!
//! Only with the feature `proptest`, for tests of the core and of what is built upon it. Cases are drawn so that rules
//! meet: names that HPACK's tables have beside others, lengths around limits, never-indexed lines among the rest.
//!
//! ```
//! use proptest::prelude::*;
//! use shuntyard_core::message::{self, RequestRules};
//! use shuntyard_core::strategies;
//!
//! proptest!(|(lines in strategies::request())| {
//!     let fields = strategies::section(&lines, 7);
//!     prop_assert!(message::request(&fields, &RequestRules::default()).is_ok());
//! });
//! ```

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::config::{ConnectionConfig, MAX_WINDOW};
use crate::fields::{FieldLine, FieldSection};
use crate::frame::{FrameHeader, FrameType, MAX_FRAME_SIZE, flags};
use crate::message::Malformed;

/// A field line that owns its octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The name.
    pub name: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// Whether it came as a never-indexed literal (RFC 7541 section 6.2.3).
    pub never_indexed: bool,
}

impl Line {
    /// A line that may be indexed.
    pub fn new(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        Self { name: name.as_ref().to_vec(), value: value.as_ref().to_vec(), never_indexed: false }
    }
}

/// The lines as a field section. `seed` as for [`FieldLine::new`].
pub fn section(lines: &[Line], seed: u64) -> FieldSection {
    let mut fields = FieldSection::new();
    for line in lines {
        let made = FieldLine::new(&line.name, &line.value, seed);
        fields.push(FieldLine { never_indexed: line.never_indexed, ..made });
    }
    fields
}

/// Names that the static table has, that HTTP treats specially, that nobody knows, and that are none.
const NAMES: [&str; 16] = [
    ":method",
    ":path",
    ":status",
    "accept-encoding",
    "authorization",
    "cookie",
    "date",
    "etag",
    "set-cookie",
    "te",
    "x-a",
    "x-b",
    "x-c",
    "x-longer-name-of-a-field",
    "X-Not-Well-Formed",
    "",
];
const VALUES: [&str; 14] = [
    "",
    "GET",
    "/",
    "200",
    "201",
    "gzip, deflate",
    "a",
    "b",
    "c",
    "d",
    "trailers",
    "Mon, 21 Oct 2013 20:13:21 GMT",
    "a value of some more than twenty octets",
    "^^^\u{20ac}\\^",
];

/// Any field line, well-formed or not, such that many lines of a connection are the same or have the same name.
pub fn any_line() -> impl Strategy<Value = Line> {
    let name = prop_oneof![9 => select(&NAMES[..]).prop_map(Vec::from), 1 => vec(any::<u8>(), 0..40)];
    let value = prop_oneof![
        16 => select(&VALUES[..]).prop_map(Vec::from),
        3 => vec(any::<u8>(), 0..200),
        1 => (0_usize..5000).prop_map(|length| vec![b'v'; length]),
    ];
    (name, value, prop::bool::weighted(0.05)).prop_map(|(name, value, never_indexed)| Line {
        name,
        value,
        never_indexed,
    })
}

/// A well-formed field line of no special meaning to HTTP: fit for heads and trailers of both directions.
pub fn field_line() -> impl Strategy<Value = Line> {
    let known =
        || select(&["accept", "etag", "set-cookie", "user-agent", "x-a", "x-b"][..]).prop_map(String::from);
    let name = prop_oneof![3 => known(), 1 => "x-[a-z0-9!#$%&'*+.^_`|~-]{0,20}"];
    // Opaque octets inside, no white space at the edges (RFC 9113 section 8.2.1).
    let value = prop_oneof![
        "[!-~]?",
        "[!-~][ -~]{0,40}[!-~]",
        vec(0x80..=0xff_u8, 1..9).prop_map(|octets| octets.iter().map(|&octet| char::from(octet)).collect()),
    ];
    (name, value, prop::bool::weighted(0.1)).prop_map(|(name, value, never_indexed)| Line {
        name: name.into_bytes(),
        value: value.chars().map(|octet| octet as u8).collect(),
        never_indexed,
    })
}

/// A well-formed line that HTTP/1.1 has another form for, or none: a crumb of a cookie (RFC 9113 section 8.2.3), `http2-settings`, which is of one
/// connection there (RFC 7540 section 3.2.1), and values of octets that HTTP/2 lets pass (RFC 9113 section 10.3).
fn line_of_http2() -> impl Strategy<Value = Line> {
    const CONTROLS: &str = concat!(
        r"[\x01-\x08\x0b\x0c\x0e-\x1f!-\x7f]",
        r"[\x01-\x09\x0b\x0c\x0e-\x7f]{0,10}",
        r"[\x01-\x08\x0b\x0c\x0e-\x1f!-\x7f]"
    );
    let name = select(&["cookie", "cookie", "http2-settings", "x-a"][..]);
    (name, prop_oneof!["[!-~]?", CONTROLS]).prop_map(|(name, value)| Line::new(name, value))
}

fn field_lines() -> impl Strategy<Value = Vec<Line>> {
    vec(prop_oneof![3 => field_line(), 1 => line_of_http2()], 0..8)
}

/// The header section of a well-formed request (RFC 9113 section 8.3.1), pseudo-header fields in any order. Not CONNECT.
pub fn request() -> impl Strategy<Value = Vec<Line>> {
    let pseudo = (
        "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}".prop_filter("CONNECT has a form of its own", |m| m != "CONNECT"),
        "[A-Za-z][A-Za-z0-9+.-]{0,6}",
        "[A-Za-z0-9._~!$&'()*+,;=-]{1,20}(:[0-9]{0,4})?",
        "/[!\"$-~]{0,40}",
    );
    let pseudo = pseudo.prop_map(|(method, scheme, authority, path)| {
        let values = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)];
        values.map(|(name, value)| Line::new(name, value)).to_vec()
    });
    (pseudo.prop_shuffle(), field_lines()).prop_map(|(pseudo, rest)| [pseudo, rest].concat())
}

/// The header section of a well-formed response (RFC 9113 section 8.3.2), interim or final.
pub fn response() -> impl Strategy<Value = Vec<Line>> {
    let status = prop_oneof![select(&[100_u16, 103, 200, 204, 304, 404, 500][..]), 102..=999_u16];
    (status, field_lines())
        .prop_map(|(status, rest)| [vec![Line::new(":status", status.to_string())], rest].concat())
}

/// A well-formed trailer section (RFC 9113 section 8.1).
pub fn trailers() -> impl Strategy<Value = Vec<Line>> {
    field_lines()
}

/// The header section of a request with exactly one flaw, and the flaw.
pub fn flawed_request() -> impl Strategy<Value = (Vec<Line>, Malformed)> {
    (request(), 0..FLAWS.len(), any::<Index>()).prop_map(|(mut lines, flaw, at)| {
        let (flaw, break_it) = FLAWS[flaw];
        break_it(&mut lines, at);
        (lines, flaw)
    })
}

type Breaker = fn(&mut Vec<Line>, Index);

/// Pseudo-header fields of [`request`].
const PSEUDO: usize = 4;

/// Each breaks a request in one way, at a place that is drawn.
const FLAWS: [(Malformed, Breaker); 12] = [
    (Malformed::BadField, |lines, at| insert_behind(lines, at, "X-Upper", "v")),
    (Malformed::BadField, |lines, at| insert_behind(lines, at, "a b", "v")),
    (Malformed::BadField, |lines, at| insert_behind(lines, at, "x", "a\r\nb")),
    (Malformed::BadField, |lines, at| insert_behind(lines, at, "x", " a")),
    (Malformed::ConnectionSpecific, |lines, at| insert_behind(lines, at, "connection", "close")),
    (Malformed::ConnectionSpecific, |lines, at| insert_behind(lines, at, "transfer-encoding", "chunked")),
    (Malformed::Te, |lines, at| insert_behind(lines, at, "te", "gzip")),
    (Malformed::ContentLengthInvalid, |lines, at| insert_behind(lines, at, "content-length", "1x")),
    (Malformed::UnknownPseudo, |lines, at| lines.insert(at.index(PSEUDO + 1), Line::new(":unknown", "v"))),
    (Malformed::ResponsePseudoInRequest, |lines, at| {
        lines.insert(at.index(PSEUDO + 1), Line::new(":status", "200"));
    }),
    (Malformed::PseudoDoubled, |lines, at| {
        let again = lines[at.index(PSEUDO)].clone();
        lines.insert(at.index(PSEUDO + 1), again);
    }),
    (Malformed::PseudoAfterRegular, |lines, at| {
        let late = lines.remove(at.index(PSEUDO));
        lines.extend([Line::new("x", "v"), late]);
    }),
];

fn insert_behind(lines: &mut Vec<Line>, at: Index, name: &str, value: &str) {
    let at = PSEUDO + at.index(lines.len() - PSEUDO + 1);
    lines.insert(at, Line::new(name, value));
}

/// A size for HPACK's dynamic table: none, a few entries, the default, more than anybody grants.
pub fn header_table_size() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 0_u32..300, 0_u32..8192, Just(4096), Just(u32::MAX)]
}

/// The entries of a SETTINGS frame that either side may send (RFC 9113 section 6.5.2), unknown ones included.
pub fn settings() -> impl Strategy<Value = Vec<(u16, u32)>> {
    let entry = prop_oneof![
        (Just(0x1), header_table_size()),
        (Just(0x2), Just(0)),
        (Just(0x3), prop_oneof![0..4_u32, any::<u32>()]),
        (Just(0x4), prop_oneof![0..4_u32, 0..=MAX_WINDOW]),
        (Just(0x5), prop_oneof![Just(16_384), 16_384..=MAX_FRAME_SIZE]),
        (Just(0x6), any::<u32>()),
        (Just(0x9), 0..=1_u32),
        (0xa..=u16::MAX, any::<u32>()),
    ];
    vec(entry, 0..8)
}

/// A frame that obeys everything that section 6 of RFC 9113 says of a frame alone. Flags without meaning may be set.
/// Field blocks are any octets.
pub fn frame() -> impl Strategy<Value = (FrameHeader, Vec<u8>)> {
    let stream_id = prop_oneof![1..20_u32, 1..=0x7fff_ffff_u32];
    let entries = settings().prop_map(|entries| {
        let octets =
            |(identifier, value): (u16, u32)| [&identifier.to_be_bytes()[..], &value.to_be_bytes()].concat();
        entries.into_iter().flat_map(octets).collect::<Vec<u8>>()
    });
    let octets = |range: std::ops::Range<usize>| vec(any::<u8>(), range);
    let padded = (octets(0..60), any::<u8>(), prop::option::of(0..30_u8));
    let octet = prop_oneof![12 => 0..11_u8, 1 => Just(0x10)];
    (stream_id, octet, any::<u8>(), padded, entries, octets(8..40)).prop_map(
        |(stream_id, octet, any_flags, (mut content, more, padding), entries, long)| {
            let frame_type = FrameType::from_octet(octet);
            let (of_stream, payload, flags) = match frame_type {
                FrameType::Data | FrameType::Headers => {
                    let kept = any_flags & !flags::PADDED & !flags::PRIORITY;
                    match padding {
                        None => (true, content, kept),
                        Some(padding) => {
                            content.insert(0, padding);
                            content.extend(core::iter::repeat_n(0, padding.into()));
                            (true, content, kept | flags::PADDED)
                        }
                    }
                }
                FrameType::Priority => (true, long[..5].to_vec(), any_flags),
                FrameType::RstStream => (true, long[..4].to_vec(), any_flags),
                FrameType::Settings if any_flags & flags::ACK != 0 => (false, Vec::new(), any_flags),
                FrameType::Settings => (false, entries, any_flags),
                FrameType::Ping => (false, long[..8].to_vec(), any_flags),
                FrameType::GoAway => (false, long, any_flags),
                FrameType::WindowUpdate => (more % 2 == 0, long[..4].to_vec(), any_flags),
                FrameType::PushPromise => {
                    // The stream that is promised (section 6.6).
                    content.splice(0..0, [0, 0, more, 2]);
                    (true, content, any_flags & !flags::PADDED)
                }
                FrameType::Continuation => (true, content, any_flags),
                FrameType::PriorityUpdate => {
                    content.splice(0..0, [more, 0, 0, 1]);
                    (false, content, any_flags)
                }
                FrameType::Unknown(_) => (more % 2 == 0, content, any_flags),
            };
            let stream_id = if of_stream { stream_id } else { 0 };
            (FrameHeader { length: payload.len() as u32, frame_type, flags, stream_id }, payload)
        },
    )
}

/// A configuration of a connection that is valid, and tight as often as not.
pub fn connection_config() -> impl Strategy<Value = ConnectionConfig> {
    let window = select(&[0_u32, 1, 37, 1000, 16_384, 65_535, 100_000, MAX_WINDOW][..]);
    let connection = select(&[65_535_u32, 70_000, 1 << 20, MAX_WINDOW][..]);
    let tables = (0..=65_536_u32, 0..=65_536_u32);
    let limits = (select(&[1_u32, 3, 100, MAX_WINDOW][..]), 256..100_000_u32, 8..200_u32, 0..9_u32);
    let mark = select(&[1_usize, 1000, 128 << 10][..]);
    (window, connection, tables, limits, mark, any::<bool>()).prop_map(
        |(window, connection, (decoding, encoding), (streams, size, fields, parts), mark, authority)| {
            ConnectionConfig {
                header_table_size: decoding,
                encoder_table_size: encoding,
                max_concurrent_streams: streams,
                initial_window_size: window,
                connection_window_size: connection,
                max_header_list_size: size,
                max_fields: fields,
                max_continuations: parts,
                authority_required: authority,
                outbox_high_mark: mark,
                ..ConnectionConfig::default()
            }
        },
    )
}

/// Ways to hand octets over: the lengths of the pieces, of which the last takes what is left.
pub fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        Just(Vec::new()),
        vec(1..4_usize, 0..200),
        vec(prop_oneof![1..20_usize, 1..20_000_usize], 0..20),
    ]
}

/// The pieces of `octets` that [`cuts`] describes; together they are the whole.
pub fn pieces<'a>(octets: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = octets;
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, behind) = rest.split_at(rest.len().min(*cut));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}
