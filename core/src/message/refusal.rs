//! Why a request is answered before anybody has looked at what it asks for.

/// Why a request is refused by its form alone. Over HTTP/2 a malformed request is an error of its stream (RFC 9113 section
/// 8.1.1), so that only [`HeadTooLarge`](Self::HeadTooLarge) comes from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Its head exceeds the limits (431).
    HeadTooLarge,
    /// Its request line exceeds them (414).
    TargetTooLong,
    /// It is malformed (400).
    Malformed,
    /// It is of a version that nobody here speaks, be it a minor one (505).
    VersionUnsupported,
    /// It has a transfer coding that nobody here knows (501; RFC 9112 section 6.1).
    CodingUnsupported,
}
