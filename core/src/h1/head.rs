//! Heads and trailers as they come: octets to field sections in the form of HTTP/2, so that the rules of
//! [`message`](crate::message) and everything above hold for both protocols.
//!
//! `httparse` splits a section whose end was found into lines. What it is lenient about is refused: LF without CR before
//! ([`scan`](super::scan)), empty lines in front. What goes beyond grammar is decided here, in `framing` and in `message`.

use core::mem::MaybeUninit;
use std::sync::Arc;

use httparse::{Header, ParserConfig};

use crate::config::ConnectionConfig;
use crate::error::StreamError;
use crate::fields::{FieldFacts, FieldLine, FieldName, FieldSection, Origin};
use crate::h1::framing::{self, Framing};
use crate::h1::survey::{Nominated, Survey};
use crate::h1::target::{self, Target};
use crate::h1::upgrade::{self, Upgrade};
use crate::message::{self, Method, Refusal, RequestHead, RequestRules, ResponseHead, Version};

/// What is demanded of a section.
#[derive(Clone, Debug)]
pub(crate) struct Rules<'a> {
    /// Keys the hashes of fields.
    pub(crate) seed: u64,
    /// The most that a section may count, with 32 octets a line as in HTTP/2, in octets.
    pub(crate) size_max: u32,
    /// The most lines, control data among them.
    pub(crate) fields_max: u32,
    /// Whether a request must say its authority.
    pub(crate) authority_required: bool,
    /// The scheme of targets that do not say theirs.
    pub(crate) scheme: &'static str,
    /// Which upgrades may be given.
    pub(crate) config: &'a ConnectionConfig,
}

/// What the head of a request says beside its fields.
#[derive(Clone, Debug)]
pub(crate) struct RequestParts {
    pub(crate) head: RequestHead,
    pub(crate) version: Version,
    /// The client wants the connection to go on (RFC 9112 section 9.3).
    pub(crate) persistent: bool,
    pub(crate) framing: Framing,
    /// The client may hold its content back until it is told to go on (RFC 9110 section 10.1.1). Whatever exactly it says, and
    /// whoever it says it to: somebody in front of us may take it for that.
    pub(crate) expects: bool,
    pub(crate) upgrade: Option<Box<Upgrade>>,
    pub(crate) nominated: Option<Box<Nominated>>,
}

/// What the head of a response says beside its fields.
#[derive(Debug)]
pub(crate) struct ResponseParts {
    pub(crate) head: ResponseHead,
    pub(crate) version: Version,
    pub(crate) persistent: bool,
    /// There should be no content, and the head says that there is.
    pub(crate) is_doubtful: bool,
    /// How long the connection may be idle, in seconds, where the server has said so.
    pub(crate) idle_max: Option<u32>,
    pub(crate) framing: Framing,
    pub(crate) nominated: Option<Box<Nominated>>,
}

/// So many lines are looked at without asking for memory.
const LINES_ON_STACK: usize = 128;

/// Lends memory for as many lines as a section may have.
macro_rules! with_lines {
    ($rules:expr, $lines:ident => $body:expr) => {{
        let mut few = [const { MaybeUninit::uninit() }; LINES_ON_STACK];
        let mut many = Vec::new();
        let max = $rules.fields_max as usize;
        let $lines: &mut [MaybeUninit<Header<'_>>] = if max <= LINES_ON_STACK {
            &mut few[..max]
        } else {
            many.resize_with(max, MaybeUninit::uninit);
            &mut many
        };
        $body
    }};
}

/// Reads the head of a request, of which `octets` are all, its empty line included. Where it is refused, `fields` may hold
/// anything.
pub(crate) fn request(
    octets: &[u8],
    rules: &Rules<'_>,
    fields: &mut FieldSection,
) -> Result<RequestParts, Refusal> {
    with_lines!(rules, lines => {
        let mut request = httparse::Request::new(&mut []);
        // An empty line in front is not for the head to skip.
        let starts = octets.first().is_some_and(|octet| !octet.is_ascii_whitespace());
        let parsed = ParserConfig::default().parse_request_with_uninit_headers(&mut request, octets, lines);
        match parsed {
            Ok(status) if starts && status.is_complete() => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
            Err(httparse::Error::Version) if names_a_version(octets) => {
                return Err(Refusal::VersionUnsupported);
            }
            // 9112-2.2-04, 9112-2.2-09, 9112-5.1-01, 9112-5.2-02
            Ok(_) | Err(_) => return Err(Refusal::Malformed), // 9112-2.2-10
        }
        let (Some(method), Some(path), Some(minor)) = (request.method, request.path, request.version) else {
            return Err(Refusal::Malformed);
        };
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        let survey = Survey::of(request.headers).ok_or(Refusal::Malformed)?;
        request_parts((method.as_bytes(), path.as_bytes(), version), request.headers, &survey, rules, fields)
    })
}

/// Whether the first line is one of another version, as it may be of HTTP/2.0.
fn names_a_version(octets: &[u8]) -> bool {
    let line = octets.split(|&octet| octet == b'\r').next().unwrap_or_default();
    let mut parts = line.split(|&octet| octet == b' ');
    let (method, target, version) = (parts.next(), parts.next(), parts.next());
    let has_both = [method, target].iter().all(|part| part.is_some_and(|part| !part.is_empty()));
    let is_version = matches!(
        version,
        Some([b'H', b'T', b'T', b'P', b'/', a, b'.', b]) if a.is_ascii_digit() && b.is_ascii_digit()
    );
    has_both && is_version && parts.next().is_none()
}

fn request_parts(
    (method, target, version): (&[u8], &[u8], Version),
    headers: &[Header<'_>],
    survey: &Survey<'_>,
    rules: &Rules<'_>,
    fields: &mut FieldSection,
) -> Result<RequestParts, Refusal> {
    let target = Target::parse(method, target).ok_or(Refusal::Malformed)?;
    check_host(version, survey, target)?;
    let upgrade = wanted_upgrade((method, version), survey, rules)?;
    push_control_data(fields, (method, target), survey.host, upgrade.as_deref(), rules);
    let drop_length = upgrade.is_some();
    push_lines(fields, headers, survey, rules, |name| match name {
        FieldName::ContentLength => !drop_length,
        // 9110-10.1.1-07
        FieldName::Expect => version > Version::Http10,
        _ => true,
    });
    if upgrade.is_some() {
        fields.retain(|line| line.name != b"sec-websocket-key");
    }
    if survey.te_trailers {
        fields.push(FieldLine::new(b"te", b"trailers", rules.seed));
    }
    if is_too_large(fields, rules) {
        return Err(Refusal::HeadTooLarge);
    }
    let of_message =
        RequestRules { extended_connect: upgrade.is_some(), authority_required: rules.authority_required };
    let head = message::request(fields, &of_message).map_err(|_| Refusal::Malformed)?;
    let framing = match head.method {
        Method::Connect if upgrade.is_some() => Framing::Tunnel,
        // RFC 9110 section 9.3.6: content of CONNECT means nothing, and its octets could be taken for the tunnel's.
        Method::Connect if survey.lengths > 0 || survey.codings != framing::Codings::None => {
            return Err(Refusal::Malformed);
        }
        Method::Connect => Framing::Tunnel,
        _ => framing::request(version, survey.codings, survey.lengths, head.content_length)?,
    };
    let expects = survey.expects && version > Version::Http10;
    let (persistent, nominated) = (survey.is_persistent(version), survey.nominated_behind(framing));
    Ok(RequestParts { head, version, persistent, framing, expects, upgrade, nominated })
}

/// RFC 9112 section 3.2: one `Host`, and a valid one, even where the target says the authority.
fn check_host(version: Version, survey: &Survey<'_>, target: Target<'_>) -> Result<(), Refusal> {
    let missing = survey.hosts == 0 && version > Version::Http10;
    let says_other = !matches!(target, Target::Origin(_));
    let invalid = says_other && survey.host.is_some_and(|host| !message::is_authority(host));
    // 9112-3.2-06
    if missing || survey.hosts > 1 || invalid { Err(Refusal::Malformed) } else { Ok(()) }
}

/// The upgrade that the request asks for, and may be given (RFC 9110 section 7.8): to one protocol, before any content.
/// h2c is never offered. What cannot be given is ignored; a WebSocket without its key is an error of the client.
fn wanted_upgrade(
    (method, version): (&[u8], Version),
    survey: &Survey<'_>,
    rules: &Rules<'_>,
) -> Result<Option<Box<Upgrade>>, Refusal> {
    let has_content = survey.codings != framing::Codings::None || survey.has_length;
    let Some(protocol) = survey.upgrade.filter(|_| survey.upgrade_option && !has_content) else {
        return Ok(None);
    };
    let allowed = |own: &Arc<str>| own.as_bytes().eq_ignore_ascii_case(protocol);
    // 9110-7.8-03, 9110-7.8-09, 9110-7.8-11
    let can = method == b"GET" && version > Version::Http10 && !protocol.eq_ignore_ascii_case(b"h2c");
    if !can || !rules.config.upgrades.iter().any(allowed) {
        return Ok(None);
    }
    let mut accept = None;
    if upgrade::is_websocket(protocol) {
        accept = Some(survey.websocket_key.and_then(upgrade::accept).ok_or(Refusal::Malformed)?);
    }
    Ok(Some(Box::new(Upgrade { protocol: protocol.to_ascii_lowercase().into(), accept })))
}

/// The request line and `Host` as pseudo-header fields (RFC 9113 section 8.3.1).
fn push_control_data(
    fields: &mut FieldSection,
    (method, target): (&[u8], Target<'_>),
    host: Option<&[u8]>,
    upgrade: Option<&Upgrade>,
    rules: &Rules<'_>,
) {
    let mut push = |name: &[u8], value: &[u8]| fields.push(FieldLine::new(name, value, rules.seed));
    push(b":method", if upgrade.is_some() { b"CONNECT" } else { method });
    if let Some(upgrade) = upgrade {
        push(b":protocol", &upgrade.protocol);
    }
    match target {
        Target::Authority(authority) => push(b":authority", authority),
        Target::Origin(path) => {
            push(b":scheme", rules.scheme.as_bytes());
            if let Some(host) = host {
                push(b":authority", host);
            }
            push(b":path", path);
        }
        // 9112-3.2.2-03, 9112-3.2.2-04, 9112-3.2.2-05: whatever `Host` says.
        Target::Absolute { scheme, authority, path } => {
            push(b":scheme", scheme);
            push(b":authority", authority);
            let mut whole = Vec::with_capacity(path.len() + 1);
            target::put_path(&mut whole, method, path);
            push(b":path", &whole);
        }
    }
}

/// Lines without those that concern this connection only (RFC 9110 section 7.6.1), and without `Host` and `TE`, which have
/// been looked at; names in lower case.
fn push_lines(
    fields: &mut FieldSection,
    headers: &[Header<'_>],
    survey: &Survey<'_>,
    rules: &Rules<'_>,
    wanted: impl Fn(FieldName) -> bool,
) {
    let lines = fields.lines_mut();
    for header in headers {
        let out = lines.draft();
        let (start, name_len) = (out.len(), header.name.len());
        out.extend_from_slice(header.name.as_bytes());
        out[start..].make_ascii_lowercase(); // 9113-8.2-01
        out.extend_from_slice(header.value);
        let name = &out[start..start + name_len];
        let facts = FieldFacts::of(name, header.value, rules.seed);
        // 9113-10.3-02, 9113-8.2.2-04, 9110-7.6.1-02, 9110-7.6-01
        let kept = match facts.name {
            FieldName::ConnectionSpecific | FieldName::Host | FieldName::Te => false,
            other => wanted(other) && name != b"http2-settings" && !survey.is_nominated(name),
        };
        if kept {
            lines.push_drafted(start, name_len, &facts, false, Origin::NONE);
        } else {
            out.truncate(start);
        }
    }
}

fn is_too_large(fields: &FieldSection, rules: &Rules) -> bool {
    fields.size() > rules.size_max as usize || fields.len() > rules.fields_max as usize
}

/// What the response answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: Method,
    pub(crate) upgrade: Option<&'a Upgrade>,
}

/// Reads the head of a response, as [`request`] does. One that agrees to the upgrade that was asked for becomes a 200
/// (RFC 8441 section 5).
pub(crate) fn response(
    octets: &[u8],
    asked: Asked<'_>,
    rules: &Rules<'_>,
    fields: &mut FieldSection,
) -> Result<ResponseParts, StreamError> {
    with_lines!(rules, lines => {
        let mut response = httparse::Response::new(&mut []);
        let starts = octets.first().is_some_and(|octet| !octet.is_ascii_whitespace());
        let mut config = ParserConfig::default();
        config.allow_spaces_after_header_name_in_responses(true); // 9112-5.1-02
        match config.parse_response_with_uninit_headers(&mut response, octets, lines) {
            Ok(status) if starts && status.is_complete() => {}
            Err(httparse::Error::TooManyHeaders) => return Err(StreamError::FieldsTooLarge),
            Ok(_) | Err(_) => return Err(StreamError::Malformed), // 9112-2.2-04, 9112-5.2-03
        }
        let (Some(status), Some(minor)) = (response.code, response.version) else {
            return Err(StreamError::Malformed);
        };
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        let survey = Survey::of(response.headers).ok_or(StreamError::Malformed)?;
        response_parts((status, version), response.headers, &survey, asked, rules, fields)
    })
}

fn response_parts(
    (status, version): (u16, Version),
    headers: &[Header<'_>],
    survey: &Survey<'_>,
    asked: Asked<'_>,
    rules: &Rules<'_>,
    fields: &mut FieldSection,
) -> Result<ResponseParts, StreamError> {
    let switched = status == 101 && asked.upgrade.is_some_and(|upgrade| agrees(survey, upgrade));
    if status == 101 && !switched {
        return Err(StreamError::Malformed);
    }
    let agreed = asked.method == Method::Connect && (200..300).contains(&status);
    let tunnel = switched || (agreed && asked.upgrade.is_none());
    let shown = if switched { 200 } else { status };
    let digits = [b'0' + (shown / 100 % 10) as u8, b'0' + (shown / 10 % 10) as u8, b'0' + (shown % 10) as u8];
    fields.push(FieldLine::new(b":status", &digits, rules.seed));
    let ends_here = !tunnel && framing::ends_with_head(status);
    // 9112-6.3-01: what frames a message means nothing in front of a tunnel, nor where the head is the end.
    let frames = !tunnel && !ends_here;
    push_lines(fields, headers, survey, rules, |name| name != FieldName::ContentLength || frames);
    if switched {
        fields.retain(|line| line.name != b"sec-websocket-accept");
    }
    if is_too_large(fields, rules) {
        return Err(StreamError::FieldsTooLarge);
    }
    let mut head = message::response(fields)?;
    // RFC 9110 section 7.8: 2xx to an upgrade is an answer to the GET that it is over HTTP/1.1. Taken for anything else, it would open
    // the tunnel of an extended CONNECT.
    head.declines_upgrade = agreed && !tunnel;
    let framing = if tunnel {
        Framing::Tunnel
    } else {
        let answers = (status, asked.method == Method::Head);
        let framing = framing::response(version, survey.codings, head.content_length, answers);
        framing.map_err(|_| StreamError::Malformed)?
    };
    // RFC 9112 section 6.1: no server may send that. What this one believes to have sent behind it nobody knows.
    let is_doubtful = ends_here && (survey.has_length || survey.codings != framing::Codings::None);
    // Who has answered by HTTP/1.0 knows no chunks, which the next request may have (9112-6.1-10).
    let persistent = version > Version::Http10
        && survey.is_persistent(version)
        && !is_doubtful
        && !matches!(framing, Framing::UntilClose | Framing::Tunnel);
    let (idle_max, nominated) = (survey.idle_max, survey.nominated_behind(framing));
    Ok(ResponseParts { head, version, persistent, is_doubtful, idle_max, framing, nominated })
}

/// Whether 101 agrees to what was asked for (RFC 9110 section 15.2.2, RFC 6455 section 4.1).
fn agrees(survey: &Survey<'_>, upgrade: &Upgrade) -> bool {
    let to_it = survey.upgrade.is_some_and(|to| to.eq_ignore_ascii_case(&upgrade.protocol));
    let proven = upgrade.accept.is_none_or(|accept| survey.websocket_accept == Some(&accept[..]));
    survey.upgrade_option && to_it && proven
}

/// Reads a trailer section, of which `octets` are all, its empty line included. Lines that the head has `nominated` as its
/// connection's own stay behind (RFC 9110 section 7.6.1).
pub(crate) fn trailers(
    octets: &[u8],
    rules: &Rules<'_>,
    nominated: Option<&Nominated>,
    fields: &mut FieldSection,
) -> Result<(), StreamError> {
    let ends = octets.iter().filter(|&&octet| octet == b'\n').count();
    let mut headers = vec![httparse::EMPTY_HEADER; ends.min(rules.fields_max as usize)];
    let headers = match httparse::parse_headers(octets, &mut headers) {
        Ok(httparse::Status::Complete((_, headers))) => headers,
        Err(httparse::Error::TooManyHeaders) => return Err(StreamError::FieldsTooLarge),
        Ok(httparse::Status::Partial) | Err(_) => return Err(StreamError::Malformed),
    };
    let lines = fields.lines_mut();
    for header in headers {
        let out = lines.draft();
        let (start, name_len) = (out.len(), header.name.len());
        out.extend_from_slice(header.name.as_bytes());
        out[start..].make_ascii_lowercase(); // 9113-8.2-01
        out.extend_from_slice(header.value);
        let name = &out[start..start + name_len];
        // 9110-7.6.1-02
        if name == b"http2-settings" || nominated.is_some_and(|nominated| nominated.has(name)) {
            out.truncate(start);
            continue;
        }
        let facts = FieldFacts::of(name, header.value, rules.seed);
        lines.push_drafted(start, name_len, &facts, false, Origin::NONE);
    }
    if is_too_large(fields, rules) {
        return Err(StreamError::FieldsTooLarge);
    }
    Ok(message::trailers(fields)?)
}
