//! Which field sections are well-formed HTTP/2 messages (RFC 9113 sections 8.1 to 8.3 and 8.5), in one place.
//!
//! The rules work on what is known of each line already ([`FieldFacts`](crate::fields::FieldFacts)): only the values of
//! pseudo-header fields and of the few fields that frame or route a message are looked at again. A malformed message is
//! refused, never repaired.

mod malformed;
mod octets;
mod refusal;
mod target;

#[cfg(test)]
mod tests;

pub use malformed::Malformed;
pub use refusal::Refusal;

use crate::fields::{FieldLine, FieldName, FieldSection, Unread};
use target::{Authority, Scheme};

/// What a request must satisfy beyond RFC 9113.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRules {
    /// Whether we announced SETTINGS_ENABLE_CONNECT_PROTOCOL, so that `:protocol` may come (RFC 8441). Default: no.
    pub extended_connect: bool,
    /// Whether a request for an `http` or `https` target must say its authority, in `:authority` or in `host`. RFC 9113
    /// leaves that open, RFC 9114 section 4.3.1 demands it. Default: yes, since a gateway that guesses an authority
    /// routes by accident.
    pub authority_required: bool,
}

impl Default for RequestRules {
    fn default() -> Self {
        Self { extended_connect: false, authority_required: true }
    }
}

/// What a well-formed request says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The length of the content, in octets, where `content-length` says it. `None` for CONNECT: what follows its head
    /// is a tunnel, not content (RFC 9110 section 9.3.6).
    pub content_length: Option<u64>,
    /// Whether several lines say the same `content-length`. Whoever forwards the request keeps one of them (RFC 9110
    /// section 8.6).
    pub content_length_repeated: bool,
    /// Whether the client waits for 100 (Continue) (RFC 9110 section 10.1.1).
    pub expect_continue: bool,
    /// Whether there is an `:authority`.
    pub has_authority: bool,
    /// Whether there is a `host`. Beside an `:authority` it names the same host and port.
    pub has_host: bool,
    /// Whether there is a `via`.
    pub has_via: bool,
    /// Whether it is an extended CONNECT: CONNECT with a `:protocol` (RFC 8441 section 4).
    pub extended_connect: bool,
}

/// What a well-formed response, interim or final, says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code, 100 to 999 without 101. Below 200 the response is interim (RFC 9110 section 15.2).
    pub status: u16,
    /// The length of the content, in octets, where `content-length` says it. A response to HEAD, and 304, have no
    /// content in spite of it (RFC 9113 section 8.1.1).
    pub content_length: Option<u64>,
    /// Whether several lines say the same `content-length`, as in [`RequestHead`].
    pub content_length_repeated: bool,
    /// Whether a server of HTTP/1.1 was asked for an upgrade, and has answered the request as if it had not been (RFC 9110 section
    /// 7.8): a 2xx opens no tunnel then.
    pub declines_upgrade: bool,
}

/// Responses with this status have no content (RFC 9110 section 6.4.1).
pub(crate) const fn is_bare(status: u16) -> bool {
    matches!(status, 204 | 205 | 304)
}

/// The version of HTTP by which a message came (RFC 9110 section 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

/// A request method (RFC 9110 section 9), case-sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
    /// OPTIONS.
    Options,
    /// CONNECT.
    Connect,
    /// TRACE.
    Trace,
    /// PATCH (RFC 5789).
    Patch,
    /// Any other token.
    Other,
}

impl Method {
    /// The method that `token` names, or `None` where it is no token (RFC 9110 section 5.6.2).
    pub fn from_token(token: &[u8]) -> Option<Self> {
        Some(match token {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"CONNECT" => Self::Connect,
            b"TRACE" => Self::Trace,
            b"PATCH" => Self::Patch,
            other => return octets::all(other, octets::TOKEN).then_some(Self::Other),
        })
    }

    /// Its name; `_OTHER` for a token that is not known, as OpenTelemetry has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Connect => "CONNECT",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other => "_OTHER",
        }
    }

    /// Whether sending it twice does what sending it once does (RFC 9110 section 9.2.2), as far as is known.
    pub const fn is_idempotent(self) -> bool {
        match self {
            Self::Get | Self::Head | Self::Put | Self::Delete | Self::Options | Self::Trace => true,
            Self::Post | Self::Connect | Self::Patch | Self::Other => false,
        }
    }
}

/// Checks the header section of a request.
///
/// # Errors
///
/// The first rule found broken; where several are, which one is told may change.
///
/// ```
/// use shuntyard_core::fields::{FieldLine, FieldSection};
/// use shuntyard_core::message::{self, Malformed, Method, RequestRules};
///
/// let mut fields = FieldSection::new();
/// for (name, value) in [(":method", "GET"), (":scheme", "https"), (":authority", "example.org"), (":path", "/")] {
///     fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), 0));
/// }
/// let rules = RequestRules::default();
/// assert_eq!(message::request(&fields, &rules).unwrap().method, Method::Get);
///
/// fields.push(FieldLine::new(b"connection", b"close", 0));
/// assert_eq!(message::request(&fields, &rules), Err(Malformed::ConnectionSpecific));
/// ```
pub fn request(fields: &FieldSection, rules: &RequestRules) -> Result<RequestHead, Malformed> {
    let lines = Lines::read(fields)?;
    if lines.status.is_some() {
        return Err(Malformed::ResponsePseudoInRequest); // 9113-8.3-02
    }
    if lines.hosts > 1 {
        return Err(Malformed::HostRepeated);
    }
    let method = lines.method.ok_or(Malformed::MethodMissing)?; // 9113-8.3.1-12
    let method = Method::from_token(method).ok_or(Malformed::MethodInvalid)?;
    match (method, lines.protocol) {
        (Method::Connect, None) => connect_target(&lines)?,
        (Method::Connect, Some(protocol)) if rules.extended_connect => {
            if !octets::is_protocol(protocol) {
                return Err(Malformed::ProtocolInvalid);
            }
            target(&lines, method, rules)?;
        }
        (_, Some(_)) => return Err(Malformed::ProtocolUnexpected),
        (_, None) => target(&lines, method, rules)?,
    }
    Ok(RequestHead {
        method,
        content_length: lines.content_length.filter(|_| method != Method::Connect),
        content_length_repeated: lines.content_length_repeated,
        expect_continue: lines.expect_continue,
        has_authority: lines.authority.is_some(),
        has_host: lines.host.is_some(),
        has_via: lines.via,
        extended_connect: lines.protocol.is_some(),
    })
}

/// Checks the header section of a response, interim or final.
///
/// # Errors
///
/// The first rule found broken; where several are, which one is told may change.
pub fn response(fields: &FieldSection) -> Result<ResponseHead, Malformed> {
    let lines = Lines::read(fields)?;
    if lines.has_request_pseudo() {
        return Err(Malformed::RequestPseudoInResponse); // 9113-8.3-02
    }
    if lines.te {
        return Err(Malformed::Te);
    }
    // 9113-8.3.2-01
    let status = match *lines.status.ok_or(Malformed::StatusMissing)? {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => return Err(Malformed::StatusInvalid),
    };
    // RFC 9113 section 8.6.
    if status == 101 {
        return Err(Malformed::StatusSwitchingProtocols);
    }
    // RFC 9110 section 8.6 forbids both; a 204 that says 0 is common and harmless, and is forwarded without.
    match (status, lines.content_length) {
        (100..=199, Some(_)) | (204, Some(1..)) => return Err(Malformed::ContentLengthForbidden),
        _ => {}
    }
    Ok(ResponseHead {
        status,
        content_length: lines.content_length,
        content_length_repeated: lines.content_length_repeated,
        declines_upgrade: false,
    })
}

/// Checks a trailer section.
///
/// # Errors
///
/// The first rule found broken. Fields that frame or route a message are among them: the head has been forwarded, and a
/// later hop may merge what must not be merged (RFC 9110 section 6.5.1).
pub fn trailers(fields: &FieldSection) -> Result<(), Malformed> {
    for line in fields.iter() {
        let name = line.facts.name;
        if name.is_pseudo() {
            return Err(Malformed::PseudoInTrailers); // 9113-8.1-03, 9113-8.1-04, 9113-8.3-03
        }
        if !line.facts.well_formed {
            return Err(Malformed::BadField); // 9113-8.2.1-07
        }
        match name {
            FieldName::ConnectionSpecific => return Err(Malformed::ConnectionSpecific),
            FieldName::Te => return Err(Malformed::Te),
            FieldName::ContentLength | FieldName::Host => return Err(Malformed::HeadFieldInTrailers),
            _ => {}
        }
    }
    Ok(())
}

/// Whether this may be the `:path` of a request with this method (RFC 9113 section 8.3.1).
pub(crate) fn is_path(value: &[u8], method: &[u8]) -> bool {
    Method::from_token(method).is_some_and(|method| target::check_path(value, method).is_ok())
}

/// Whether the value is a host with an optional port: an `:authority`, or a `host`.
pub(crate) fn is_authority(value: &[u8]) -> bool {
    Authority::parse(value).is_some()
}

/// Whether the value is a token (RFC 9110 section 5.6.2).
pub(crate) fn is_token(value: &[u8]) -> bool {
    octets::all(value, octets::TOKEN)
}

/// Whether a request that is well-formed and has another path is so with this one: nothing that is told of it hangs on the path.
pub(crate) fn admits_path(head: &RequestHead, path: Unread<'_>) -> bool {
    path.facts().well_formed && target::check_path(path.read().value, head.method).is_ok()
}

/// The values that decide, each seen at most once.
#[derive(Default)]
struct Lines<'a> {
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    hosts: usize,
    content_length: Option<u64>,
    content_length_repeated: bool,
    expect_continue: bool,
    te: bool,
    via: bool,
}

impl<'a> Lines<'a> {
    /// One pass over a header section, with the rules that requests and responses share (RFC 9113 sections 8.2 and 8.3).
    fn read(fields: &'a FieldSection) -> Result<Self, Malformed> {
        let mut lines = Self::default();
        let mut regular = false;
        for line in fields.unread() {
            let facts = line.facts();
            if !facts.well_formed {
                // 9113-8.2.1-07, 9113-8.2.1-08, 9113-8.3-04
                let unknown = facts.name == FieldName::UnknownPseudo;
                return Err(if unknown { Malformed::UnknownPseudo } else { Malformed::BadField });
            }
            if !facts.name.is_pseudo() {
                regular = true;
            } else if regular {
                return Err(Malformed::PseudoAfterRegular); // 9113-8.3-05, 9113-8.3-06
            }
            // Most lines mean nothing to us.
            if facts.name != FieldName::Other {
                lines.take(line.read())?;
            }
        }
        Ok(lines)
    }

    fn take(&mut self, line: FieldLine<'a>) -> Result<(), Malformed> {
        match line.facts.name {
            FieldName::Method => once(&mut self.method, line.value),
            FieldName::Scheme => once(&mut self.scheme, line.value),
            FieldName::Authority => once(&mut self.authority, line.value),
            FieldName::Path => once(&mut self.path, line.value),
            FieldName::Protocol => once(&mut self.protocol, line.value),
            FieldName::Status => once(&mut self.status, line.value),
            FieldName::UnknownPseudo => Err(Malformed::UnknownPseudo),
            FieldName::ConnectionSpecific => Err(Malformed::ConnectionSpecific), // 9113-8.2.2-02
            FieldName::Te if line.value.eq_ignore_ascii_case(b"trailers") => {
                self.te = true;
                Ok(())
            }
            FieldName::Te => Err(Malformed::Te), // 9113-8.2.2-03
            FieldName::Host => {
                self.host = Some(line.value);
                self.hosts += 1;
                Ok(())
            }
            FieldName::ContentLength => self.content_length(line.value),
            FieldName::Expect => {
                self.expect_continue |= line.value.eq_ignore_ascii_case(b"100-continue");
                Ok(())
            }
            FieldName::Via => {
                self.via = true;
                Ok(())
            }
            FieldName::Cookie
            | FieldName::SetCookie
            | FieldName::Credentials
            | FieldName::Date
            | FieldName::Forwarding
            | FieldName::MaxForwards
            | FieldName::ContentType
            | FieldName::Priority
            | FieldName::Other => Ok(()),
        }
    }

    /// RFC 9110 section 8.6. A list is refused, even of equal numbers; equal lines are not.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let length = decimal(value).ok_or(Malformed::ContentLengthInvalid)?; // 9112-6.3-04, 9110-8.6-10
        match self.content_length.replace(length) {
            None => Ok(()),
            Some(before) if before == length => {
                self.content_length_repeated = true;
                Ok(())
            }
            Some(_) => Err(Malformed::ContentLengthConflict),
        }
    }

    fn has_request_pseudo(&self) -> bool {
        [self.method, self.scheme, self.authority, self.path, self.protocol].iter().any(Option::is_some)
    }
}

fn once<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8]) -> Result<(), Malformed> {
    // 9113-8.3-07, 9113-8.3-08
    if slot.replace(value).is_some() { Err(Malformed::PseudoDoubled) } else { Ok(()) }
}

/// Scheme, path and authority of any request but a plain CONNECT (RFC 9113 section 8.3.1).
fn target(lines: &Lines<'_>, method: Method, rules: &RequestRules) -> Result<(), Malformed> {
    // 9113-8.3.1-12
    let scheme = Scheme::parse(lines.scheme.ok_or(Malformed::SchemeMissing)?)?;
    target::check_path(lines.path.ok_or(Malformed::PathMissing)?, method)?;
    let authority = lines.authority.map(|value| Authority::parse(value).ok_or(Malformed::AuthorityInvalid));
    match (authority.transpose()?, lines.host) {
        (Some(authority), Some(host)) => check_host(lines, authority, host, scheme.default_port()),
        (Some(_), None) => Ok(()),
        (None, Some(host)) => Authority::parse(host).map(|_| ()).ok_or(Malformed::HostInvalid),
        (None, None) if rules.authority_required && scheme != Scheme::Other => {
            Err(Malformed::AuthorityMissing)
        }
        (None, None) => Ok(()),
    }
}

/// RFC 9113 section 8.5: host and port, nothing else. There is no default port (RFC 9110 section 9.3.6).
fn connect_target(lines: &Lines<'_>) -> Result<(), Malformed> {
    if lines.scheme.is_some() || lines.path.is_some() {
        return Err(Malformed::ConnectForm); // 9113-8.5-01
    }
    let authority = lines.authority.ok_or(Malformed::ConnectForm)?;
    let authority = Authority::parse(authority).ok_or(Malformed::AuthorityInvalid)?;
    if authority.port.is_none_or(|port| port == 0) {
        return Err(Malformed::ConnectForm); // 9110-9.3.6-02
    }
    lines.host.map_or(Ok(()), |host| check_host(lines, authority, host, None))
}

/// `host` names what `:authority` names (RFC 9113 section 8.3.1).
fn check_host(
    lines: &Lines<'_>,
    authority: Authority<'_>,
    host: &[u8],
    default_port: Option<u16>,
) -> Result<(), Malformed> {
    if lines.authority == Some(host) {
        return Ok(());
    }
    let host = Authority::parse(host).ok_or(Malformed::HostInvalid)?;
    if authority.is_same(host, default_port) { Ok(()) } else { Err(Malformed::AuthorityMismatch) }
}

/// `1*DIGIT` (RFC 9110 section 8.6).
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |number, octet| {
        let digit = octet.is_ascii_digit().then(|| u64::from(octet - b'0'))?;
        number.checked_mul(10)?.checked_add(digit) // 9110-8.6-08
    })
}
