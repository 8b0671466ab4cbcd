//! What the gateway says where it has to speak for itself: to clients that do not speak HTTP/2, and of causes and codes.

use std::net::SocketAddr;

use shuntyard_core::config::Config;
use shuntyard_core::error::ErrorCode;
use shuntyard_core::gateway::{Accepted, Action, ConnId, Gateway, RecvBuf};
use shuntyard_core::record::Cause;
use shuntyard_core::time::{Instant, WallClock};
use shuntyard_core::tls::TlsFailure;
use shuntyard_requirements::req;

const NOW: Instant = Instant::ZERO;

/// A gateway with one client.
fn gateway() -> (Gateway, ConnId) {
    let address: SocketAddr = "127.0.0.1:9000".parse().unwrap();
    let wall = WallClock { at: NOW, unix_seconds: 0 };
    let config = Config { http1: false, ..Config::new(vec![address.into()]) };
    let mut gateway = Gateway::new(config, 1, NOW, wall).unwrap();
    let conn = gateway.handle_accept(Accepted { peer: address.into(), local: address.into() }, NOW);
    (gateway, conn)
}

fn hear(gateway: &mut Gateway, conn: ConnId, octets: &[u8]) {
    let RecvBuf::Buffer(buffer) = gateway.recv_buf(conn) else { panic!("it does not read") };
    buffer[..octets.len()].copy_from_slice(octets);
    gateway.handle_recv(conn, octets.len(), NOW);
}

fn actions(gateway: &mut Gateway) -> Vec<Action> {
    std::iter::from_fn(|| gateway.poll_action()).collect()
}

/// However its request line is cut, and whatever follows.
#[test]
fn a_client_of_http_1_gets_one_answer_that_it_understands_and_is_closed() {
    for cut in 1..20 {
        let (mut gateway, conn) = gateway();
        let request = b"GET /path HTTP/1.1\r\nhost: example.com\r\n\r\n";
        hear(&mut gateway, conn, &request[..cut]);
        if cut < 18 {
            assert_eq!(actions(&mut gateway), [], "a line that has not ended may become anything");
        }
        hear(&mut gateway, conn, &request[cut..]);
        assert_eq!(actions(&mut gateway), [Action::Writable(conn)]);
        let answer = gateway.poll_transmit(conn, NOW).expect("an answer").to_vec();
        let text = String::from_utf8(answer.clone()).expect("text");
        let (head, content) = text.split_once("\r\n\r\n").expect("a head and content");
        assert!(head.starts_with("HTTP/1.1 505 "), "{head}");
        assert!(head.contains(&format!("content-length: {}", content.len())), "{head}");
        gateway.handle_sent(conn, answer.len(), NOW);
        assert_eq!(actions(&mut gateway), [Action::Shutdown(conn)]);
        // Its input does not matter any more, and its end ends all.
        hear(&mut gateway, conn, b"GET /again HTTP/1.1\r\n\r\n");
        gateway.handle_read_closed(conn, NOW);
        assert_eq!(actions(&mut gateway), [Action::Close(conn)]);
    }
}

#[test]
fn rfc9110_9_3_2_such_an_answer_to_head_has_no_content() {
    req!("9110-9.3.2-01");
    let (mut gateway, conn) = gateway();
    hear(&mut gateway, conn, b"HEAD /path HTTP/1.1\r\nhost: example.com\r\n\r\n");
    let answer = gateway.poll_transmit(conn, NOW).expect("an answer").to_vec();
    assert!(answer.starts_with(b"HTTP/1.1 505 ") && answer.ends_with(b"\r\n\r\n"));
}

/// RFC 9209 section 2.3 recommends a status for each of its words.
#[test]
fn causes_have_the_words_and_the_status_that_rfc_9209_recommends() {
    let by_the_book = [
        (Cause::ConnectionRefused, "connection_refused", 502),
        (Cause::ConnectionTimeout, "connection_timeout", 504),
        (Cause::ConnectionTerminated, "connection_terminated", 502),
        (Cause::BackendReset(ErrorCode::CANCEL), "http_response_incomplete", 502),
        (Cause::ResponseIncomplete, "http_response_incomplete", 502),
        (Cause::ResponseTimeout, "http_response_timeout", 504),
        (Cause::BackendProtocol, "http_protocol_error", 502),
        (Cause::ResponseHeadTooLarge, "http_response_header_section_size", 502),
        (Cause::QueueLimit, "connection_limit_reached", 503),
        (Cause::SystemLimit, "connection_limit_reached", 503),
        (Cause::NameUnresolved, "dns_error", 502),
        (Cause::NameTimeout, "dns_timeout", 504),
        (Cause::Tls(TlsFailure::NotTls), "tls_protocol_error", 502),
        (Cause::Tls(TlsFailure::CertificateExpired), "tls_certificate_error", 502),
        (Cause::Tls(TlsFailure::AlertReceived(40)), "tls_alert_received", 502),
    ];
    for (cause, word, status) in by_the_book {
        assert_eq!(cause.status(), (status, word), "{cause:?}");
    }
    // These words go with whatever status is sent, so the status has to say it: RFC 9110 section 15.
    for (cause, word, status) in [
        (Cause::StreamIdle, "http_request_error", 408),
        (Cause::BackendHeadLimit, "http_request_error", 431),
        (Cause::NotServed, "http_request_error", 501),
        (Cause::Draining, "proxy_internal_response", 503),
    ] {
        assert_eq!(cause.status(), (status, word), "{cause:?}");
    }
    // Recommended is 500, which would say that the gateway is broken.
    assert_eq!(Cause::NoRoute.status(), (404, "destination_not_found"));
}

/// RFC 9113 section 7, in the order of the registry.
#[test]
fn error_codes_bear_the_names_of_rfc_9113() {
    let names = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    for (code, name) in (0..).zip(names) {
        assert_eq!(ErrorCode(code).name(), Some(name));
        assert_eq!(format!("{:?}", ErrorCode(code)), name);
    }
    assert_eq!(ErrorCode(14).name(), None);
    assert_eq!(format!("{:?}", ErrorCode(0xff)), "ErrorCode(0xff)");
}

/// RFC 8446 section 6.2, in the order of its registry.
#[test]
fn alerts_of_tls_bear_the_names_of_rfc_8446() {
    let names = [
        (10, "unexpected_message"),
        (20, "bad_record_mac"),
        (22, "record_overflow"),
        (40, "handshake_failure"),
        (42, "bad_certificate"),
        (43, "unsupported_certificate"),
        (44, "certificate_revoked"),
        (45, "certificate_expired"),
        (46, "certificate_unknown"),
        (47, "illegal_parameter"),
        (48, "unknown_ca"),
        (49, "access_denied"),
        (50, "decode_error"),
        (51, "decrypt_error"),
        (70, "protocol_version"),
        (71, "insufficient_security"),
        (80, "internal_error"),
        (86, "inappropriate_fallback"),
        (90, "user_canceled"),
        (109, "missing_extension"),
        (110, "unsupported_extension"),
        (112, "unrecognized_name"),
        (116, "certificate_required"),
        (120, "no_application_protocol"),
    ];
    for (description, name) in names {
        let text = TlsFailure::AlertReceived(description).to_string();
        assert_eq!(text, format!("the peer sent the alert {name}"));
    }
    assert_eq!(TlsFailure::AlertReceived(1).to_string(), "the peer sent the alert 1");
}
