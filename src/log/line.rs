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
    if end.outcome == Outcome::Complete && end.attempts <= 1 {
        return tracing::trace!(request = end.request.0, status = end.status, "complete");
    }
    let last = attempts.last();
    let endpoint = last.map_or("-", |attempt| &attempt.endpoint);
    let upstream = last.map(|attempt| &*attempt.upstream).or(end.upstream.as_deref()).unwrap_or("-");
    let (outcome, fault) = outcome(end.outcome);
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
    match fault? {
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

/// The identifier that somebody before us gave the request, where it is a sober one.
fn request_id(end: &EndRecord) -> Option<&str> {
    let id = end.fields.get(b"x-request-id")?;
    let is_sober = |octet: &u8| octet.is_ascii_alphanumeric() || b"._-".contains(octet);
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
pub(super) mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::{Value, json};
    use shuntyard_core::error::ErrorCode;
    use shuntyard_core::fields::{FieldLine, FieldSection};
    use shuntyard_core::gateway::RequestId;
    use shuntyard_core::time::Instant;

    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_nanos(micros * 1000)
    }

    pub(in crate::log) fn finished(fields: &[(&[u8], &[u8])]) -> Finished {
        let mut section = FieldSection::new();
        fields.iter().for_each(|(name, value)| section.push(FieldLine::new(name, value, 1)));
        let attempt = AttemptRecord {
            request: RequestId(7),
            number: 1,
            upstream: Arc::from("api"),
            endpoint: Arc::from("127.0.0.1:9000"),
            engine: 3,
            stream_id: 5,
            outcome: AttemptOutcome::Complete,
            status: 200,
            request_octets: 1,
            response_octets: 2,
            thawed: at(1100),
            sent: Some(at(1100)),
            responded: Some(at(1500)),
            ended: at(1900),
        };
        let end = EndRecord {
            request: RequestId(7),
            tls: None,
            client: "[::1]:50000".parse::<std::net::SocketAddr>().expect("an address").into(),
            version: Version::Http2,
            fields: section,
            route: Some(Arc::from("v1")),
            upstream: Some(Arc::from("api")),
            status: 200,
            outcome: Outcome::Complete,
            request_octets: 1,
            response_octets: 2,
            attempts: 1,
            maybe_executed: 0,
            accepted: at(1000),
            frozen: at(1000),
            thawed: Some(at(1100)),
            responded: Some(at(1500)),
            ended: at(2000),
        };
        let at = UNIX_EPOCH + Duration::from_secs(784_111_777);
        Finished { end, attempts: vec![attempt], at, worker: 2 }
    }

    fn parsed(finished: &Finished, query: bool) -> Value {
        let mut line = Vec::new();
        put(&mut line, finished, query, &ForwardingConfig::default());
        assert_eq!(line.iter().filter(|&&octet| octet == b'\n').count(), 1, "one line");
        serde_json::from_slice(&line).expect("JSON")
    }

    const GET: [(&[u8], &[u8]); 4] = [
        (b":method", b"GET"),
        (b":authority", b"a.test:80"),
        (b":path", b"/x?secret=1"),
        (b"cookie", b"c=1"),
    ];

    #[test]
    fn a_line_has_all_that_is_known() {
        let line = parsed(&finished(&GET), false);
        let expected = json!({
            "time": "1994-11-06T08:49:36.999000Z", "worker": 2, "client.address": "::1", "client.port": 50000,
            "http.request.method": "GET", "url.path": "/x", "server.address": "a.test", "server.port": 80,
            "network.protocol.version": "2", "http.response.status_code": 200, "http.route": "v1",
            "request_bytes": 1, "response_bytes": 2, "duration_us": 1000, "queue_us": 100, "ttfb_us": 500,
            "upstream": "api", "endpoint": "127.0.0.1:9000", "engine": 3, "backend_stream": 5, "attempts": 1,
            "maybe_executed": 0, "outcome": "complete", "flags": "-", "error": null,
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn behind_trusted_proxies_the_client_is_the_last_that_is_none_of_them() {
        let trusted = ["::1", "10.0.0.0/8"].map(|peers| peers.parse().expect("peers"));
        let trusting = ForwardingConfig { trusted: trusted.into(), ..ForwardingConfig::default() };
        let said = |values: &[&'static str], forwarding: &ForwardingConfig| {
            let fields: Vec<_> =
                values.iter().map(|value| (&b"x-forwarded-for"[..], value.as_bytes())).collect();
            let mut line = Vec::new();
            put(&mut line, &finished(&[&GET[..], &fields].concat()), false, forwarding);
            let line: Value = serde_json::from_slice(&line).expect("JSON");
            let word = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
            (word("client.address"), word("network.peer.address"), line["client.port"] == 50000)
        };
        let seen = |client: &str| (client.to_owned(), "::1".to_owned(), false);
        let alone = ("::1".to_owned(), "-".to_owned(), true);
        for (values, expected) in [
            // The gateway's own entry, the peer, stands behind all others.
            (&["6.6.6.6, 192.0.2.7, 10.1.1.1, ::1"][..], seen("192.0.2.7")),
            (&["6.6.6.6", "192.0.2.7:4711", "10.1.1.1"], seen("192.0.2.7")),
            (&["[2001:db8::7]:80, ::1"], seen("2001:db8::7")),
            (&["10.2.2.2, 10.1.1.1, ::1"], seen("10.2.2.2")),
            // As IPv6 maps IPv4, they are the same.
            (&["::ffff:192.0.2.7, ::ffff:10.1.1.1", "[::ffff:10.1.1.2]:80"], seen("192.0.2.7")),
            (&["192.0.2.7, unknown, 10.1.1.1, ::1"], seen("10.1.1.1")),
            (&["unknown, ::1"], alone.clone()),
            (&["::1"], alone.clone()),
            (&[], alone.clone()),
        ] {
            assert_eq!(said(values, &trusting), expected, "{values:?}");
        }
        // Whoever is not trusted may say what he likes.
        assert_eq!(said(&["192.0.2.7"], &ForwardingConfig::default()), alone);
    }

    #[test]
    fn rfc9110_4_2_hosts_and_ports() {
        for (authority, host, port) in [
            ("a.test", "a.test", None),
            ("a.test:8443", "a.test", Some(8443)),
            ("[::1]", "::1", None),
            ("[::1]:80", "::1", Some(80)),
            ("10.0.0.1:", "10.0.0.1", None),
            ("a:65536", "a", None),
            ("", "", None),
        ] {
            let line = parsed(&finished(&[(b":authority", authority.as_bytes())]), false);
            assert_eq!(
                (&line["server.address"], &line["server.port"]),
                (&json!(host), &json!(port)),
                "{authority}"
            );
        }
    }

    /// As it was on the wire.
    #[test]
    fn an_upgrade_is_a_get_that_was_answered_with_101() {
        let mut finished =
            finished(&[(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":path", b"/")]);
        let said = |finished: &Finished| {
            let line = parsed(finished, false);
            (line["http.request.method"].clone(), line["http.response.status_code"].clone())
        };
        assert_eq!(said(&finished), (json!("CONNECT"), json!(200)));
        finished.end.version = Version::Http11;
        assert_eq!(said(&finished), (json!("GET"), json!(101)));
        finished.end.status = 403;
        assert_eq!(said(&finished), (json!("GET"), json!(403)));
    }

    #[test]
    fn the_version_is_the_clients() {
        for (version, word) in [(Version::Http10, "1.0"), (Version::Http11, "1.1"), (Version::Http2, "2")] {
            let mut finished = finished(&GET);
            finished.end.version = version;
            assert_eq!(parsed(&finished, false)["network.protocol.version"], word);
        }
    }

    #[test]
    fn what_is_secret_is_never_written_and_the_query_only_where_it_is_wanted() {
        let fields =
            [&GET[..], &[(b"authorization", b"Basic secret"), (b"proxy-authorization", b"secret")]].concat();
        assert!(!parsed(&finished(&fields), false).to_string().contains("secret"));
        assert_eq!(parsed(&finished(&fields), true)["url.query"], "secret=1");
    }

    #[test]
    fn whatever_a_peer_sends_is_escaped() {
        let path = b"/\"\\\n\x01\xff\xe2\x80\xa8</script>";
        let line = parsed(&finished(&[(b":method", b"BREW"), (b":path", path)]), false);
        assert_eq!(line["url.path"], "/\"\\\n\u{1}\u{fffd}\u{2028}</script>");
        assert_eq!((&line["http.request.method"], &line["server.address"]), (&json!("BREW"), &Value::Null));
    }

    #[test]
    fn flags_tell_the_end_first_and_then_what_was_got_over() {
        let mut finished = finished(&GET);
        let again = finished.attempts[0].clone();
        finished.attempts[0].outcome =
            AttemptOutcome::Unprocessed(Cause::BackendReset(ErrorCode::REFUSED_STREAM));
        finished.attempts.push(again);
        finished.end.attempts = 2;
        let line = parsed(&finished, false);
        assert_eq!((&line["flags"], &line["error"]), (&json!("UR"), &Value::Null));
        assert_eq!(line["tries"].as_array().map(Vec::len), Some(2));
        assert_eq!(line["tries"][0]["outcome"], "unprocessed");

        finished.end.outcome = Outcome::LocalReply(Cause::ConnectionTimeout);
        let line = parsed(&finished, false);
        assert_eq!((&line["flags"], &line["error"]), (&json!("UF,UR"), &json!("connection_timeout")));
        finished.end.outcome = Outcome::ClientGone;
        assert_eq!(parsed(&finished, false)["flags"], "DR,UR");
        (finished.end.responded, finished.attempts) = (None, Vec::new());
        let line = parsed(&finished, false);
        // Where it would have gone is the route's word.
        assert_eq!((&line["flags"], &line["endpoint"]), (&json!("DC"), &Value::Null));
        assert_eq!(line["upstream"], "api");
    }

    /// An answer of the gateway may take its time to leave: that is no time in a queue.
    #[test]
    fn whoever_was_answered_here_waited_until_then() {
        let mut finished = finished(&GET);
        let waited = |finished: &Finished| parsed(finished, false)["queue_us"].clone();
        assert_eq!(waited(&finished), 100);
        finished.attempts.clear();
        finished.end.outcome = Outcome::LocalReply(Cause::ProxyLoop);
        assert_eq!((waited(&finished), parsed(&finished, false)["flags"].clone()), (json!(500), json!("-")));
        finished.end.responded = None;
        assert_eq!(waited(&finished), 1000);
    }

    #[test]
    fn identifiers_of_others_are_kept_where_they_are_sober() {
        let with = |name: &'static [u8], value: &'static [u8]| {
            parsed(&finished(&[&GET[..], &[(name, value)]].concat()), false)
        };
        assert_eq!(with(b"x-request-id", b"a.b_c-1")["request_id"], "a.b_c-1");
        assert_eq!(with(b"x-request-id", b"a b")["request_id"], Value::Null);
        let trace: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(with(b"traceparent", trace)["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        let zero: &[u8] = b"00-00000000000000000000000000000000-b7ad6b7169203331-01";
        assert_eq!(with(b"traceparent", zero)["trace_id"], Value::Null);
    }
}
