//! HPACK: header compression for HTTP/2 (RFC 7541).
//!
//! A [`Decoder`] turns field blocks into field sections, an [`Encoder`] the reverse. Both keep a dynamic table that
//! lives as long as the connection and changes with every block, so blocks must pass in the order of the wire, each
//! exactly once, and a block that fails to decode ends the connection.
//!
//! What makes a gateway cheap: what is known of a field line is computed when it enters the decoder's table. An
//! indexed field is from then on copied without a look at its octets, and bears the [origin](crate::fields::Origin)
//! by which the encoder on the other side remembers its own entry for it: one index in, one index out.
//!
//! ```
//! use shuntyard_core::fields::{FieldLine, FieldSection};
//! use shuntyard_core::hpack::{Decoded, Decoder, Encoder, SectionLimits};
//!
//! let mut sent = FieldSection::new();
//! sent.push(FieldLine::new(b":method", b"GET", 1));
//! sent.push(FieldLine::new(b"x-request-class", b"interactive", 1));
//!
//! let mut encoder = Encoder::new(4096);
//! let mut decoder = Decoder::new(4096, 1, 0);
//! let limits = SectionLimits { size: 65_536, fields: 128 };
//! let mut received = FieldSection::new();
//! for expected_octets in [23, 2] {
//!     let mut block = Vec::new();
//!     encoder.encode(&sent, &mut block);
//!     assert_eq!(decoder.decode(&block, limits, &mut received), Ok(Decoded::Whole));
//!     assert_eq!((&received, block.len()), (&sent, expected_octets));
//! }
//! ```

mod decoder;
mod dynamic_table;
mod encoder;
mod error;
mod forms;
mod huffman;
mod huffman_table;
mod integer;
mod packed;
mod policy;
mod recognised;
mod resent;
mod static_table;

pub use decoder::{Decoded, Decoder, LimitHit, SectionLimits};
pub use encoder::Encoder;
pub use error::DecodeError;
pub(crate) use packed::{Packed, Packing};
pub use policy::{Indexing, IndexingPolicy, NameNotStatic};

/// The largest dynamic table that either side may use before it has heard of another limit (RFC 9113 section 6.5.2).
pub const DEFAULT_TABLE_SIZE: u32 = 4096;
