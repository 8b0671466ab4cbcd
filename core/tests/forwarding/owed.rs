//! What a gateway adds to messages: `via`, `date`, what it knows of the client; and its own answers to calls by gRPC.

use std::time::Duration;

use shuntyard_core::error::ErrorCode;
use shuntyard_requirements::req;

use crate::rig::{Rig, Said};
use crate::wire::*;

#[test]
fn b69_via_says_who_forwarded_both_ways_or_one() {
    req!("9110-7.6.3-02");
    for (in_responses, expected) in [(true, Some("2.0 yard")), (false, None)] {
        let mut rig = Rig::new(|config| {
            config.via = "yard".to_owned();
            config.via_in_responses = in_responses;
        });
        rig.client_says(&headers(1, &get(), true));
        assert_eq!(rig.said_to_backend()[0].value("via"), Some("2.0 yard"));
        rig.backend_says(&headers(1, &OK, true));
        assert_eq!(rig.said_to_client()[0].value("via"), expected);
    }
}

#[test]
fn rfc9110_7_6_a_request_that_has_been_here_goes_no_further() {
    req!("9110-7.6-02", "9209-2.1.1-01");
    let mut rig = Rig::new(|_| {});
    rig.client_says(&headers(1, &[get(), line("via", "1.1 other, 2.0 shuntyard")].concat(), true));
    let said = rig.said_to_client();
    assert_eq!(said[0].value(":status"), Some("502"));
    assert_eq!(said[0].value("proxy-status"), Some("shuntyard; error=proxy_loop_detected"));
    assert!(rig.backends.is_empty());
    rig.client_says(&headers(3, &[get(), line("via", "2.0 shuntyard-2")].concat(), true));
    assert_eq!(rig.backends.len(), 1, "another gateway is no circle");
}

#[test]
fn rfc9110_6_6_1_a_response_without_date_gets_one() {
    req!("9110-6.6.1-04");
    let answered = |lines: &[Vec<u8>]| {
        let mut rig = Rig::new(|_| {});
        rig.client_says(&headers(1, &get(), true));
        let interim = headers(1, &line(":status", "103"), false);
        rig.backend_says(&[interim, headers(1, &[&OK[..], &lines.concat()].concat(), true)].concat());
        let said = rig.said_to_client();
        assert_eq!(said[0].value("date"), None, "an interim response needs none");
        said[1].value("date").map(str::to_owned)
    };
    assert_eq!(answered(&[]).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    let own = "Sat, 05 Nov 1994 08:49:37 GMT";
    assert_eq!(answered(&[line("date", own)]).as_deref(), Some(own));
}

#[test]
fn b69_backends_are_told_of_the_client_and_not_what_it_makes_up() {
    let lies =
        [line("x-forwarded-for", "203.0.113.9"), line("forwarded", "for=b"), line("x-forwarded-ssl", "on")]
            .concat();
    let told = |trusted: &[&str]| {
        let trusted = trusted.iter().map(|peers| peers.parse().expect("peers")).collect();
        let mut rig = Rig::new(|config| config.forwarding.trusted = trusted);
        rig.client_says(&headers(1, &[get(), lies.clone()].concat(), true));
        let said = rig.said_to_backend().remove(0);
        ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-ssl", "forwarded"]
            .map(|name| said.value(name).map(str::to_owned))
    };
    let lines = |lines: [Option<&str>; 5]| lines.map(|line| line.map(str::to_owned));
    let host = Some("example.com");
    assert_eq!(told(&[]), lines([Some("127.0.0.1"), Some("http"), host, None, None]));
    let behind = [Some("203.0.113.9, 127.0.0.1"), Some("http"), host, Some("on"), Some("for=b")];
    assert_eq!(told(&["127.0.0.0/8"]), lines(behind));
}

/// A call that nobody serves, one that is lost, and one whose backend takes too long.
#[test]
fn grpc_calls_are_answered_by_trailers_only() {
    let call = |path: &str| {
        let kind = line("content-type", "application/grpc+proto");
        [post(), line("te", "trailers"), kind, line("x-path", path)].concat()
    };
    let expected = |said: &Said, status: &str, error: &str| {
        assert!(matches!(said, Said::Fields { end: true, .. }), "{said:?}");
        let values = [":status", "content-type", "grpc-status", "grpc-message", "proxy-status"]
            .map(|name| said.value(name).unwrap_or_default());
        assert_eq!(values, ["200", "application/grpc", status, error, &format!("shuntyard; error={error}")]);
        assert!(said.value("date").is_some() && said.value("content-length").is_none(), "{said:?}");
    };
    let mut rig = Rig::new(|config| config.routes.clear());
    rig.client_says(&headers(1, &call("/nowhere"), false));
    let said = rig.said_to_client();
    expected(&said[0], "12", "destination_not_found");
    assert_eq!(said[1..], [Said::Reset { stream: 1, code: ErrorCode::NO_ERROR }]);

    let mut rig = Rig::new(|config| config.upstreams[0].retry.attempts = 1);
    rig.client_says(&headers(1, &call("/lost"), true));
    let backend = rig.backend();
    rig.lose(backend);
    expected(&rig.said_to_client()[0], "14", "connection_terminated");

    rig.client_says(&headers(3, &call("/slow"), true));
    rig.pass(Duration::from_secs(3_000));
    expected(&rig.said_to_client()[0], "4", "http_response_timeout");

    // gRPC-Web is another protocol.
    let mut rig = Rig::new(|config| config.routes.clear());
    rig.client_says(&headers(1, &[post(), line("content-type", "application/grpc-web")].concat(), true));
    assert_eq!(rig.said_to_client()[0].value(":status"), Some("404"));
}

/// Fields pass as they are; frames are for the gateway alone. A frozen request heeds both.
#[test]
fn rfc9218_7_a_frozen_request_is_moved_by_a_later_signal() {
    req!("9218-7-03");
    let mut rig = Rig::new(|config| config.upstreams[0].connections_max = 1);
    let ask = |id: u32, signal: &str| headers(id, &[get(), line("priority", signal)].concat(), true);
    rig.client_says(&ask(1, "u=3"));
    let backend = rig.backend();
    rig.hear(backend, &settings(&[(MAX_CONCURRENT_STREAMS, 1)]));
    rig.client_says(&[ask(3, "u=2"), ask(5, "u=4")].concat());
    rig.client_says(&[priority_update(5, "u=1"), priority_update(3, "unreadable!")].concat());
    assert_eq!(rig.said_to_backend().len(), 1);
    rig.backend_says(&headers(1, &[&OK[..], &line("priority", "u=6")].concat(), true));
    assert_eq!(rig.said_to_client()[0].value("priority"), Some("u=6"));
    assert_eq!(rig.said_to_backend()[0].value("priority"), Some("u=4"), "moved, and not rewritten");
    rig.backend_says(&headers(3, &OK, true));
    assert_eq!(rig.said_to_backend()[0].value("priority"), Some("u=2"));
}
