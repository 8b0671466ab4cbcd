//! What the names of fields mean to HTTP.

/// A field name as far as HTTP, HPACK or a gateway treats it specially.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FieldName {
    /// `:method` (RFC 9113 section 8.3.1).
    Method,
    /// `:scheme` (RFC 9113 section 8.3.1).
    Scheme,
    /// `:authority` (RFC 9113 section 8.3.1).
    Authority,
    /// `:path` (RFC 9113 section 8.3.1).
    Path,
    /// `:protocol` (RFC 8441 section 4).
    Protocol,
    /// `:status` (RFC 9113 section 8.3.2).
    Status,
    /// Another name that starts with a colon: always malformed (RFC 9113 section 8.3).
    UnknownPseudo,
    /// `connection`, `proxy-connection`, `keep-alive`, `transfer-encoding`, `upgrade`: malformed in HTTP/2 (8.2.2).
    ConnectionSpecific,
    /// `te`: only with the value `trailers` (RFC 9113 section 8.2.2).
    Te,
    /// `host`.
    Host,
    /// `content-length`.
    ContentLength,
    /// `cookie`, possibly one crumb of several (RFC 9113 section 8.2.3).
    Cookie,
    /// `set-cookie`.
    SetCookie,
    /// `authorization` or `proxy-authorization`.
    Credentials,
    /// `expect`.
    Expect,
    /// `via` (RFC 9110 section 7.6.3).
    Via,
    /// `date`.
    Date,
    /// `forwarded` (RFC 7239), or a name that begins with `x-forwarded-`, or would if `_` were `-`: to many applications it is.
    Forwarding,
    /// `max-forwards` (RFC 9110 section 7.6.2).
    MaxForwards,
    /// `content-type`.
    ContentType,
    /// `priority` (RFC 9218 section 5).
    Priority,
    /// Any other.
    Other,
}

impl FieldName {
    /// What a name means, in lower case.
    pub const fn of(name: &[u8]) -> Self {
        classify(name).0
    }

    /// Whether it names a pseudo-header field.
    pub const fn is_pseudo(self) -> bool {
        (self as u8) <= Self::UnknownPseudo as u8
    }
}

/// A set of meanings.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FieldNames(u32);

impl FieldNames {
    pub(super) const NONE: Self = Self(0);

    #[inline]
    pub(super) fn add(&mut self, name: FieldName) {
        self.0 |= 1 << name as u32;
    }

    #[inline]
    pub(super) const fn has(self, name: FieldName) -> bool {
        self.0 & 1 << name as u32 != 0
    }
}

const _: () = assert!((FieldName::Other as u32) < u32::BITS, "a bit for each");

/// The meaning of a name and the first static table entry that bears it (RFC 7541 appendix A), or 0.
pub(super) const fn classify(name: &[u8]) -> (FieldName, u8) {
    use FieldName::{
        Authority, ConnectionSpecific, ContentLength, ContentType, Cookie, Credentials, Date, Expect,
        Forwarding, Host, MaxForwards, Method, Other, Path, Priority, Protocol, Scheme, SetCookie, Status,
        Te, UnknownPseudo, Via,
    };
    match name {
        b":authority" => (Authority, 1),
        b":method" => (Method, 2),
        b":path" => (Path, 4),
        b":scheme" => (Scheme, 6),
        b":status" => (Status, 8),
        b":protocol" => (Protocol, 0),
        [b':', ..] => (UnknownPseudo, 0),
        b"connection" | b"proxy-connection" | b"keep-alive" | b"upgrade" => (ConnectionSpecific, 0),
        b"transfer-encoding" => (ConnectionSpecific, 57),
        b"te" => (Te, 0),
        b"host" => (Host, 38),
        b"content-length" => (ContentLength, 28),
        b"cookie" => (Cookie, 32),
        b"set-cookie" => (SetCookie, 55),
        b"authorization" => (Credentials, 23),
        b"proxy-authorization" => (Credentials, 49),
        b"expect" => (Expect, 35),
        b"via" => (Via, 60),
        b"date" => (Date, 33),
        b"priority" => (Priority, 0),
        b"forwarded" => (Forwarding, 0),
        [b'x', b'-' | b'_', b'f', b'o', b'r', b'w', b'a', b'r', b'd', b'e', b'd', b'-' | b'_', ..] => {
            (Forwarding, 0)
        }
        b"accept-charset" => (Other, 15),
        b"accept-encoding" => (Other, 16),
        b"accept-language" => (Other, 17),
        b"accept-ranges" => (Other, 18),
        b"accept" => (Other, 19),
        b"access-control-allow-origin" => (Other, 20),
        b"age" => (Other, 21),
        b"allow" => (Other, 22),
        b"cache-control" => (Other, 24),
        b"content-disposition" => (Other, 25),
        b"content-encoding" => (Other, 26),
        b"content-language" => (Other, 27),
        b"content-location" => (Other, 29),
        b"content-range" => (Other, 30),
        b"content-type" => (ContentType, 31),
        b"etag" => (Other, 34),
        b"expires" => (Other, 36),
        b"from" => (Other, 37),
        b"if-match" => (Other, 39),
        b"if-modified-since" => (Other, 40),
        b"if-none-match" => (Other, 41),
        b"if-range" => (Other, 42),
        b"if-unmodified-since" => (Other, 43),
        b"last-modified" => (Other, 44),
        b"link" => (Other, 45),
        b"location" => (Other, 46),
        b"max-forwards" => (MaxForwards, 47),
        b"proxy-authenticate" => (Other, 48),
        b"range" => (Other, 50),
        b"referer" => (Other, 51),
        b"refresh" => (Other, 52),
        b"retry-after" => (Other, 53),
        b"server" => (Other, 54),
        b"strict-transport-security" => (Other, 56),
        b"user-agent" => (Other, 58),
        b"vary" => (Other, 59),
        b"www-authenticate" => (Other, 61),
        _ => (Other, 0),
    }
}

/// The static table entry (RFC 7541 appendix A) with this value among those whose name the entry `static_name` was the
/// first to bear, or 0.
#[inline(always)]
pub(super) fn static_line(static_name: u8, value: &[u8]) -> u8 {
    match (static_name, value) {
        (2, b"GET") => 2,
        (2, b"POST") => 3,
        (4, b"/") => 4,
        (4, b"/index.html") => 5,
        (6, b"http") => 6,
        (6, b"https") => 7,
        (8, b"200") => 8,
        (8, b"204") => 9,
        (8, b"206") => 10,
        (8, b"304") => 11,
        (8, b"400") => 12,
        (8, b"404") => 13,
        (8, b"500") => 14,
        (16, b"gzip, deflate") => 16,
        (2 | 4 | 6 | 8 | 16, _) => 0,
        (_, b"") => static_name,
        _ => 0,
    }
}

/// 9113-8.2.1-02, 9113-8.2.1-03, 9113-8.2.1-04, and the token rule of RFC 9110 section 5.1: lower-case token
/// characters only. Of the names with a colon only the defined pseudo-header fields pass.
pub(super) fn is_well_formed(name: &[u8], class: FieldName) -> bool {
    if class.is_pseudo() {
        return class != FieldName::UnknownPseudo;
    }
    !name.is_empty() && name.iter().fold(true, |good, &octet| good & TOKEN[octet as usize])
}

/// `tchar` of RFC 9110 section 5.6.2 without upper-case letters.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let allowed = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
    let mut i = 0;
    while i < allowed.len() {
        table[allowed[i] as usize] = true;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use shuntyard_requirements::req;

    use super::*;

    #[test]
    fn rfc9113_8_2_1_names() {
        req!("9113-8.2.1-02", "9113-8.2.1-03", "9113-8.2.1-04");
        let good = |name: &[u8]| is_well_formed(name, classify(name).0);
        for octet in 0..=255u8 {
            let allowed =
                octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&octet);
            assert_eq!(good(&[b'x', octet]), allowed, "{octet:#x}");
        }
        assert!(!good(b"") && !good(b":unknown") && !good(b":") && good(b":path"));
    }
}
