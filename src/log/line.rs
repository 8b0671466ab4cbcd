//! One request as one JSON object. Names are OpenTelemetry's where it has some.
//!
//! Of the request's fields only what is named here is ever written: no `authorization`, no `cookie`, and the query of its
//! target only where the operator asked for it.

use std::time::SystemTime;

use shuntyard_core::address::Address;
use shuntyard_core::config::ForwardingConfig;
use shuntyard_core::counters::Fault;
use shuntyard_core::fields::FieldName;
use shuntyard_core::gateway::{AttemptOutcome, AttemptRecord, Cause, EndRecord, Outcome};
use shuntyard_core::message::Version;
use shuntyard_core::tls::TlsFacts;

use crate::log::Finished;
use crate::log::client::behind_proxies;
use crate::log::object::Object;

/// The longest identifier of a request that is believed.
const REQUEST_ID_MAX: usize = 128;

/// Appends the line. What proxies say of clients is believed as `forwarding` has it.
pub(super) fn put(out: &mut Vec<u8>, finished: &Finished, query: bool, forwarding: &ForwardingConfig) {
    let mut object = Object::begin(out);
    request(&mut object, finished, query, forwarding);
    response(&mut object, finished);
    object.end();
    out.push(b'\n');
}

/// What went otherwise than well, for whoever wants to know more.
pub(super) fn diagnose(finished: &Finished) {
    let Finished { end, attempts, .. } = finished;
    let (outcome, fault) = outcome(end.outcome);
    if !fault.is_some_and(Fault::is_failure) && end.attempts <= 1 {
        return tracing::trace!(request = end.request.0, status = end.status, "complete");
    }
    let last = attempts.last();
    let endpoint = last.map_or("-", |attempt| &attempt.endpoint);
    let upstream = last.map(|attempt| &*attempt.upstream).or(end.upstream.as_deref()).unwrap_or("-");
    // Where it came to a good end after all: what it has got over.
    let got_over = || attempts.iter().rev().find_map(|attempt| attempt.outcome.cause()).map(Cause::name);
    let cause = fault.map(Fault::name).or_else(got_over).unwrap_or("-");
    let method = String::from_utf8_lossy(method(end).unwrap_or(b"-"));
    let (status, attempts, worker) = (end.status, end.attempts, finished.worker);
    let (request, method) = (end.request.0, &*method);
    let reason = fault.and_then(reason);
    let error_reason = reason.as_deref();
    tracing::debug!(
        request,
        worker,
        method,
        status,
        attempts,
        upstream,
        endpoint,
        outcome,
        cause,
        error_reason
    );
}

/// The method as it was on the wire.
fn method(end: &EndRecord) -> Option<&[u8]> {
    if is_upgrade(end) { Some(b"GET") } else { end.field(FieldName::Method) }
}

/// Who asked for what.
fn request(line: &mut Object<'_>, finished: &Finished, query: bool, forwarding: &ForwardingConfig) {
    let Finished { end, at, worker, .. } = finished;
    line.text("time", &began(*at, end));
    line.number("worker", *worker as u64);
    let (peer, port) = parts(&end.client);
    let port = port.map(u64::from);
    match behind_proxies(end, forwarding) {
        Some(client) => {
            line.text("client.address", &client.to_string());
            line.text("network.peer.address", &peer);
            port.into_iter().for_each(|port| line.number("network.peer.port", port));
        }
        None => {
            line.text("client.address", &peer);
            port.into_iter().for_each(|port| line.number("client.port", port));
        }
    }
    if let Some(tls) = &end.tls {
        handshake(line, tls);
    }
    line.octets("http.request.method", method(end));
    let target = end.field(FieldName::Path).unwrap_or_default();
    let mut parts = target.splitn(2, |&octet| octet == b'?');
    line.octets("url.path", parts.next());
    if let Some(part) = parts.next().filter(|_| query) {
        line.octets("url.query", Some(part));
    }
    let authority = end.field(FieldName::Authority).or_else(|| end.field(FieldName::Host));
    let (host, port) = authority.map(host_and_port).unzip();
    line.octets("server.address", host);
    port.flatten().into_iter().for_each(|port| line.number("server.port", port.into()));
    line.text("network.protocol.version", version(end.version));
}

/// What the handshake of the client's connection found, in OpenTelemetry's names. A certificate that is told of was verified.
fn handshake(line: &mut Object<'_>, tls: &TlsFacts) {
    line.word("tls.client.server_name", tls.server_name.as_deref());
    line.flag("tls.resumed", tls.resumed);
    if let Some(digest) = &tls.certificate {
        let digest: String = digest.iter().map(|octet| format!("{octet:02X}")).collect();
        line.text("tls.client.hash.sha256", &digest);
        line.word("tls.client.subject", tls.subject.as_deref());
    }
}

/// Whether it came by `Upgrade`, and only here and at other places that think in HTTP/2 is an extended CONNECT.
fn is_upgrade(end: &EndRecord) -> bool {
    end.version < Version::Http2 && end.field(FieldName::Protocol).is_some()
}

/// The status that was on the wire: of an upgrade that was agreed to 101.
fn status(end: &EndRecord) -> u16 {
    if is_upgrade(end) && (200..300).contains(&end.status) { 101 } else { end.status }
}

/// Both parts of an authority. An IPv6 address stands without its brackets, as those of clients do.
fn host_and_port(authority: &[u8]) -> (&[u8], Option<u16>) {
    let colon = authority.iter().rposition(|&octet| octet == b':').filter(|_| !authority.ends_with(b"]"));
    let (host, port) = authority.split_at(colon.unwrap_or(authority.len()));
    let bare = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
    (bare, str::from_utf8(port.get(1..).unwrap_or_default()).ok().and_then(|port| port.parse().ok()))
}

/// The version as OpenTelemetry writes it.
fn version(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
        Version::Http2 => "2",
    }
}

/// What came of it.
fn response(line: &mut Object<'_>, Finished { end, attempts, .. }: &Finished) {
    line.status("http.response.status_code", status(end));
    line.word("http.route", end.route.as_deref());
    line.number("request_bytes", end.request_octets);
    line.number("response_bytes", end.response_octets);
    line.span("duration_us", end.accepted, Some(end.ended));
    // Until a backend got it, or the gateway answered by itself; who left before either has waited all the time.
    let thawed = attempts.first().map(|attempt| attempt.thawed);
    line.span("queue_us", end.accepted, thawed.or(end.responded).or(Some(end.ended)));
    line.span("ttfb_us", end.accepted, end.responded);
    let last = attempts.last();
    line.word("upstream", last.map(|attempt| &*attempt.upstream).or(end.upstream.as_deref()));
    line.word("endpoint", last.map(|attempt| &*attempt.endpoint));
    if let Some(last) = last {
        line.number("engine", last.engine);
        line.number("backend_stream", last.stream_id.into());
    }
    line.number("attempts", end.attempts.into());
    line.number("maybe_executed", end.maybe_executed.into());
    let (word, fault) = outcome(end.outcome);
    line.text("outcome", word);
    line.text("flags", &flags(end, attempts));
    line.word("error", error(fault));
    fault.and_then(reason).into_iter().for_each(|reason| line.text("error_reason", &reason));
    request_id(end).into_iter().for_each(|id| line.text("request_id", id));
    trace_id(end).into_iter().for_each(|id| line.text("trace_id", id));
    // Where there is more to tell than the last one's place.
    if attempts.len() > 1 || (fault.is_some() && !attempts.is_empty()) {
        line.list("tries", attempts, attempt);
    }
}

fn attempt(line: &mut Object<'_>, of: &AttemptRecord) {
    let (word, cause) = match of.outcome {
        AttemptOutcome::Complete => ("complete", None),
        AttemptOutcome::Unprocessed(cause) => ("unprocessed", Some(cause)),
        AttemptOutcome::Failed(cause) => ("failed", Some(cause)),
        AttemptOutcome::Abandoned => ("abandoned", None),
    };
    line.text("endpoint", &of.endpoint);
    line.number("engine", of.engine);
    line.number("backend_stream", of.stream_id.into());
    line.text("outcome", word);
    line.word("error", cause.map(Cause::name));
    line.status("status_code", of.status);
    line.number("request_bytes", of.request_octets);
    line.number("response_bytes", of.response_octets);
    line.span("duration_us", of.thawed, Some(of.ended));
    line.span("ttfb_us", of.thawed, of.responded);
}

fn outcome(outcome: Outcome) -> (&'static str, Option<Fault>) {
    match outcome {
        Outcome::Complete => ("complete", None),
        Outcome::LocalReply(cause) => ("local_reply", Some(Fault::Cause(cause))),
        Outcome::Truncated(cause) => ("truncated", Some(Fault::Cause(cause))),
        Outcome::ClientGone => ("client_gone", Some(Fault::ClientGone)),
        Outcome::ClientError => ("client_error", Some(Fault::ClientError)),
    }
}

/// What that does not say.
fn reason(fault: Fault) -> Option<String> {
    match fault {
        Fault::Cause(Cause::Tls(failure)) => Some(failure.to_string()),
        Fault::Cause(Cause::HookFailed(failed)) => Some(failed.to_string()),
        _ => None,
    }
}

/// RFC 9209's word for what went wrong; `null` where nothing did, or nothing of ours.
fn error(fault: Option<Fault>) -> Option<&'static str> {
    match fault.filter(|fault| fault.is_failure())? {
        Fault::Cause(cause) => Some(cause.status().1),
        Fault::ClientError => Some("http_request_error"),
        Fault::ClientGone | Fault::Abandoned | Fault::Other => None,
    }
}

/// Envoy's letters: how it ended, and before that what was got over. `-` where there is nothing to say.
fn flags(end: &EndRecord, attempts: &[AttemptRecord]) -> String {
    let last = match end.outcome {
        Outcome::Complete => None,
        Outcome::LocalReply(cause) | Outcome::Truncated(cause) => Some(cause.flag()),
        Outcome::ClientGone if end.responded.is_some() => Some("DR"),
        Outcome::ClientGone => Some("DC"),
        Outcome::ClientError => Some("DPE"),
    };
    let earlier = attempts.iter().filter_map(|attempt| attempt.outcome.cause()).map(Cause::flag);
    let mut flags: Vec<&str> = Vec::new();
    for flag in last.into_iter().chain(earlier).filter(|flag| *flag != "-") {
        if !flags.contains(&flag) {
            flags.push(flag);
        }
    }
    if flags.is_empty() { "-".to_owned() } else { flags.join(",") }
}

fn parts(address: &Address) -> (String, Option<u16>) {
    match address {
        Address::Inet(address) => (address.ip().to_string(), Some(address.port())),
        Address::Unix(path) => (format!("unix:{path}"), None),
    }
}

/// When the request's head was complete.
fn began(ended: SystemTime, end: &EndRecord) -> String {
    let duration = end.ended.saturating_since(end.accepted);
    rfc3339(ended.checked_sub(duration).unwrap_or(ended))
}

/// Microseconds in UTC.
pub(crate) fn rfc3339(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| String::new(), |at| format!("{at:.6}"))
}

/// Likewise without fractions: a date for people.
pub(crate) fn rfc3339_seconds(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| String::new(), |at| format!("{at:.0}"))
}

/// The identifier that somebody before us gave the request, where it is a sober one: whoever searches for it need escape nothing.
fn request_id(end: &EndRecord) -> Option<&str> {
    let id = end.fields.get(b"x-request-id")?;
    let is_sober = |octet: &u8| octet.is_ascii_graphic() && !b"\"'\\".contains(octet);
    let sober = (1..=REQUEST_ID_MAX).contains(&id.len()) && id.iter().all(is_sober);
    std::str::from_utf8(id).ok().filter(|_| sober)
}

/// The trace that the request belongs to (W3C Trace Context, `traceparent`).
fn trace_id(end: &EndRecord) -> Option<&str> {
    let value = std::str::from_utf8(end.fields.get(b"traceparent")?).ok()?;
    let mut parts = value.split('-');
    let (version, id) = (parts.next()?, parts.next()?);
    let is_hex = |text: &str| text.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'));
    let sound = version.len() == 2 && is_hex(version) && id.len() == 32 && is_hex(id);
    (sound && id.bytes().any(|octet| octet != b'0')).then_some(id)
}

#[cfg(test)]
pub(super) mod tests;
