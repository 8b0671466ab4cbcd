//! A second HTTP/2 codec, written naively from RFC 9113 and RFC 7541 alone.
//!
//! It shares no code with the core: where both agree, they agree about the RFC and not about a mistake. Nothing in it is
//! fast, and nothing in it should become so.

pub mod frame;
pub mod hpack;
pub mod http1;
pub mod huffman;
pub mod message;

/// A field line: name and value.
pub type Field = (Vec<u8>, Vec<u8>);

/// A field line from text.
pub fn field(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Field {
    (name.as_ref().to_vec(), value.as_ref().to_vec())
}

/// The first value of a field, if it is there.
pub fn value_of<'a>(fields: &'a [Field], name: &str) -> Option<&'a [u8]> {
    fields.iter().find(|(candidate, _)| candidate == name.as_bytes()).map(|(_, value)| value.as_slice())
}
