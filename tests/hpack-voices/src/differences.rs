//! Where our verdict on a block is not that of another, by right: each difference with an example and its reason.

use shuntyard_core::hpack::DecodeError;

/// One difference.
pub struct Difference {
    /// The other voice.
    pub voice: &'static str,
    /// Our cause where we refuse, the other's words where it does.
    pub error: &'static str,
    /// Our SETTINGS_HEADER_TABLE_SIZE before the example.
    pub limit: u32,
    /// A block that shows it, the first of its connection.
    pub example: &'static [u8],
    /// Why ours is right, or as right.
    pub reason: &'static str,
}

/// What we refuse and the other accepts.
pub const WE_ARE_STRICTER: &[Difference] = &[
    Difference {
        voice: "nghttp2",
        error: "SizeUpdatesTooMany",
        limit: 4096,
        example: &[0x20, 0x21, 0x22],
        reason: "an encoder has reason for two (4.2)",
    },
    Difference {
        voice: "loona-hpack",
        error: "SizeUpdatesTooMany",
        limit: 4096,
        example: &[0x20, 0x21, 0x22, 0x82],
        reason: "the same",
    },
    Difference {
        voice: "loona-hpack",
        error: "SizeUpdateMisplaced",
        limit: 4096,
        example: &[0x82, 0x20, 0x82],
        reason: "it must come first (4.2)",
    },
    Difference {
        voice: "loona-hpack",
        error: "SizeUpdateMissing",
        limit: 100,
        example: &[0x82],
        reason: "a lowered limit must be acknowledged first (4.2)",
    },
];

/// What the other refuses and we accept.
pub const WE_ARE_LAXER: &[Difference] = &[
    Difference {
        voice: "loona-hpack",
        error: "SizeUpdateAtEnd",
        limit: 4096,
        example: &[0x20],
        reason: "at the end, but first as well (4.2)",
    },
    Difference {
        voice: "loona-hpack",
        error: "TooManyOctets",
        limit: 4096,
        example: &[0x3f, 0x80, 0x80, 0x80, 0x80, 0x00, 0x82],
        reason: "it stops below 2^32; both are limits of the implementation (5.1)",
    },
];

/// Whether it is on the list that we refuse for this cause and `voice` accepts.
pub fn may_be_stricter(voice: &str, ours: DecodeError) -> bool {
    let ours = format!("{ours:?}");
    WE_ARE_STRICTER.iter().any(|entry| entry.voice == voice && entry.error == ours)
}

/// Whether it is on the list that `voice` refuses with these words and we accept.
pub fn may_be_laxer(voice: &str, theirs: &str) -> bool {
    WE_ARE_LAXER.iter().any(|entry| entry.voice == voice && theirs.contains(entry.error))
}
