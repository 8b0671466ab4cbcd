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

const GET: [(&[u8], &[u8]); 4] =
    [(b":method", b"GET"), (b":authority", b"a.test:80"), (b":path", b"/x?secret=1"), (b"cookie", b"c=1")];

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
        let fields: Vec<_> = values.iter().map(|value| (&b"x-forwarded-for"[..], value.as_bytes())).collect();
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
    let mut finished = finished(&[(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":path", b"/")]);
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

/// Nor is what only the gateway can answer, and has answered.
#[test]
fn an_answer_that_is_no_failure_is_no_error() {
    let mut finished = finished(&GET);
    finished.attempts.clear();
    for (cause, error) in
        [(Cause::LastForward, Value::Null), (Cause::NoRoute, json!("destination_not_found"))]
    {
        finished.end.outcome = Outcome::LocalReply(cause);
        let line = parsed(&finished, false);
        assert_eq!((&line["error"], &line["outcome"]), (&error, &json!("local_reply")));
    }
}

#[test]
fn identifiers_of_others_are_kept_where_they_are_sober() {
    let with = |name: &'static [u8], value: &'static [u8]| {
        parsed(&finished(&[&GET[..], &[(name, value)]].concat()), false)
    };
    assert_eq!(with(b"x-request-id", b"a.b_c-1")["request_id"], "a.b_c-1");
    // Base64, and what others put together of several parts.
    for id in ["q+/Zk9w==", "Root=1-67891233-abcdef", "a:b", "~!#$%&()*,;<>?@[]^`{|}"] {
        assert_eq!(with(b"x-request-id", id.as_bytes().to_vec().leak())["request_id"], id);
    }
    for id in [&b"a b"[..], b"a\"b", b"a'b", b"a\\b", b"a\tb", b"a\x7f", b"\xc3\xa9", b"", &[b'a'; 129]] {
        assert_eq!(with(b"x-request-id", id)["request_id"], Value::Null, "{}", id.escape_ascii());
    }
    assert_eq!(with(b"x-request-id", &[b'a'; 128])["request_id"], "a".repeat(128));
    let trace: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(with(b"traceparent", trace)["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    let zero: &[u8] = b"00-00000000000000000000000000000000-b7ad6b7169203331-01";
    assert_eq!(with(b"traceparent", zero)["trace_id"], Value::Null);
}
