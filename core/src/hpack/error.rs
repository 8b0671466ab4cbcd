//! Why a field block cannot be decoded.

use core::fmt;

/// Why a field block cannot be decoded, or is not. Each is a connection error of type COMPRESSION_ERROR (RFC 9113 section 4.3), but for the last,
/// which is rather one of ENHANCE_YOUR_CALM (section 10.5): the decoder has lost step with its peer and must not be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DecodeError {
    /// The block ends within a representation.
    Truncated,
    /// An integer exceeds 2^32-1 or is spread over more octets than such an integer needs (RFC 7541 section 5.1).
    IntegerOverflow,
    /// An indexed field with index 0 (RFC 7541 section 6.1).
    IndexZero,
    /// An index beyond both tables (RFC 7541 section 2.3.3).
    IndexUnknown,
    /// A Huffman-coded string contains EOS (RFC 7541 section 5.2).
    HuffmanEos,
    /// The padding of a Huffman-coded string is not the start of the code of EOS (RFC 7541 section 5.2).
    HuffmanPaddingInvalid,
    /// The padding of a Huffman-coded string is longer than 7 bits (RFC 7541 section 5.2).
    HuffmanPaddingTooLong,
    /// A dynamic table size update exceeds our SETTINGS_HEADER_TABLE_SIZE (RFC 7541 section 6.3).
    SizeUpdateTooLarge,
    /// A dynamic table size update after a field (RFC 7541 section 4.2).
    SizeUpdateMisplaced,
    /// The first block after we lowered the limit does not start with an update to a size within it
    /// (RFC 7541 section 4.2).
    SizeUpdateMissing,
    /// More than two dynamic table size updates in one block (RFC 7541 section 4.2).
    SizeUpdatesTooMany,
    /// Behind the line that exceeded the limits of the section came literals of four times its size, and of 1 MiB at least: by names that
    /// stand in the table two octets of a block copy thousands.
    LiteralsTooMany,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the block ends within a representation",
            Self::IntegerOverflow => "an integer is too large or too long (5.1)",
            Self::IndexZero => "an indexed field has index 0 (6.1)",
            Self::IndexUnknown => "an index lies beyond both tables (2.3.3)",
            Self::HuffmanEos => "a Huffman-coded string contains EOS (5.2)",
            Self::HuffmanPaddingInvalid => "the padding of a Huffman-coded string is not that of EOS (5.2)",
            Self::HuffmanPaddingTooLong => "the padding of a Huffman-coded string exceeds 7 bits (5.2)",
            Self::SizeUpdateTooLarge => "a table size update exceeds the limit (6.3)",
            Self::SizeUpdateMisplaced => "a table size update after a field (4.2)",
            Self::SizeUpdateMissing => "no table size update although the limit was lowered (4.2)",
            Self::SizeUpdatesTooMany => "more than two table size updates (4.2)",
            Self::LiteralsTooMany => "literals go on far beyond the limit of the section",
        })
    }
}

impl core::error::Error for DecodeError {}
