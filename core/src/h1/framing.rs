//! Where a message ends: every decision about it, for requests and responses, is here (RFC 9112 section 6).
//!
//! Whoever reads the same octets in another way can be made to see another request. So what is not said plainly is refused,
//! and what is forwarded is framed anew.

use crate::message::{Refusal, Version};

/// How the end of a message's content is told (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no content.
    None,
    /// So many octets, as content-length says.
    Length(u64),
    /// The chunked transfer coding (section 7.1).
    Chunked,
    /// The connection is closed: of responses only.
    UntilClose,
    /// Not content but the octets of a tunnel (RFC 9110 sections 7.8 and 9.3.6).
    Tunnel,
}

/// What all transfer-encoding lines of a message say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Codings {
    /// There is none.
    #[default]
    None,
    /// Exactly `chunked`.
    Chunked,
    /// Codings that nobody here knows, and `chunked` behind them.
    Unknown,
    /// The last one is not `chunked`: the end of the content cannot be told.
    Endless,
    /// No list of codings, or `chunked` is not the last one.
    Invalid,
}

impl Codings {
    /// Reads one more line of transfer-encoding.
    pub(crate) fn add(&mut self, value: &[u8]) {
        for coding in value.split(|&octet| octet == b',') {
            let coding = coding.trim_ascii();
            let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            *self = match *self {
                _ if coding.is_empty() => Self::Invalid,
                Self::None if is_chunked => Self::Chunked,
                Self::Endless if is_chunked => Self::Unknown,
                Self::None | Self::Endless => Self::Endless,
                Self::Chunked | Self::Unknown | Self::Invalid => Self::Invalid,
            };
        }
    }
}

/// How the content of a request is framed (RFC 9112 section 6.3). `lengths`: how many content-length lines there are, which
/// say `length`. Not for CONNECT.
pub(crate) fn request(
    version: Version,
    codings: Codings,
    lengths: usize,
    length: Option<u64>,
) -> Result<Framing, Refusal> {
    match (codings, lengths) {
        (Codings::None, 0) => Ok(Framing::None),
        // Equal lines could be taken for one (RFC 9110 section 8.6). Nobody honest sends them.
        (Codings::None, 1) => Ok(length.map_or(Framing::None, Framing::Length)),
        // HTTP/1.0 has no transfer codings (9112-6.1-14), and no length goes with one (9112-6.1-12).
        (Codings::Chunked, 0) if version == Version::Http11 => Ok(Framing::Chunked),
        (Codings::Unknown, 0) if version == Version::Http11 => Err(Refusal::CodingUnsupported), // 9112-6.1-09
        (_, _) => Err(Refusal::Malformed), // 9112-6.3-03, 9112-6.3-05
    }
}

/// The framing of a response cannot be trusted (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Untrusted;

/// Whether a response with this status ends with its head, whatever that says (RFC 9112 section 6.3, rule 1).
pub(crate) const fn ends_with_head(status: u16) -> bool {
    matches!(status, 100..=199 | 204)
}

/// How the content of a response is framed (RFC 9112 section 6.3). `to_head`: the request was HEAD. Not for responses
/// that open a tunnel.
pub(crate) fn response(
    version: Version,
    codings: Codings,
    length: Option<u64>,
    (status, to_head): (u16, bool),
) -> Result<Framing, Untrusted> {
    if ends_with_head(status) {
        return Ok(Framing::None);
    }
    let chunked = match (codings, length) {
        (Codings::None, _) => false,
        (Codings::Chunked, None) if version == Version::Http11 => true,
        _ => return Err(Untrusted), // 9112-6.3-02
    };
    Ok(match length {
        _ if to_head || status == 304 => Framing::None,
        _ if chunked => Framing::Chunked,
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    })
}
