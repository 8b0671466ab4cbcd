//! Where our verdict on a block is not that of another, by right: each difference with an example and its reason.

use shuntyard_core::hpack::DecodeError;

/// One difference.
pub struct Difference {
    /// The other voice.
    pub voice: &'static str,
    /// Our cause where we refuse, the other's words where it does.
    pub error: &'static str,
    /// What our SETTINGS_HEADER_TABLE_SIZE became before the example.
    pub limits: &'static [u32],
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
        limits: &[4096],
        example: &[0x20, 0x21, 0x22],
        reason: "an encoder has reason for two (4.2)",
    },
    Difference {
        voice: "loona-hpack",
        error: "SizeUpdatesTooMany",
        limits: &[4096],
        example: &[0x20, 0x21, 0x22, 0x82],
        reason: "the same",
    },
    Difference {
        voice: "loona-hpack",
        error: "SizeUpdateMisplaced",
        limits: &[4096],
        example: &[0x82, 0x20, 0x82],
        reason: "it must come first (4.2)",
    },
    Difference {
        voice: "loona-hpack",
        error: "SizeUpdateMissing",
        limits: &[100],
        example: &[0x82],
        reason: "a lowered limit must be acknowledged first (4.2)",
    },
];

/// What the other refuses and we accept.
pub const WE_ARE_LAXER: &[Difference] = &[
    Difference {
        voice: "loona-hpack",
        error: "SizeUpdateAtEnd",
        limits: &[4096],
        example: &[0x20],
        reason: "at the end, but first as well (4.2)",
    },
    Difference {
        voice: "loona-hpack",
        error: "TooManyOctets",
        limits: &[4096],
        example: &[0x3f, 0x80, 0x80, 0x80, 0x80, 0x00, 0x82],
        reason: "it stops below 2^32; both are limits of the implementation (5.1)",
    },
    Difference {
        voice: "nghttp2",
        error: "the first update is above the lowest limit",
        limits: &[9, 28],
        example: &[0x3b, 0x20, 0x82],
        reason: "the second is below it, and no line stands between: the table is empty to both (4.2)",
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
