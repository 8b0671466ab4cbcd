//! The ends of connections and streams: GOAWAY, resets, and what is sent again.

use std::time::Duration;

use shuntyard_core::error::ErrorCode;
use shuntyard_requirements::req;

use crate::rig::{Rig, Said};
use crate::wire::*;

const MINUTES: Duration = Duration::from_secs(300);

/// A request is with a backend. If that is lost, so is the request.
fn asked() -> Rig {
    let mut rig = Rig::new(|config| config.upstreams[0].retry.attempts = 1);
    rig.client_says(&headers(1, &get(), true));
    assert!(matches!(rig.said_to_backend()[..], [Said::Fields { stream: 1, end: true, .. }]));
    rig
}

#[test]
fn rfc9113_5_4_1_an_error_ends_the_connection_behind_goaway() {
    req!("9113-5.4.1-01", "9113-5.4.1-02", "9113-5.4.1-04", "9113-6.8-02");
    let error = Said::GoAway { last: 1, code: ErrorCode::PROTOCOL_ERROR };
    let mut rig = asked();
    rig.client_says(&window_update(0, 0));
    assert_eq!(rig.said_to_client(), [error, Said::Shutdown]);
    rig.pass(MINUTES);
    assert_eq!(rig.said_to_client(), [Said::Close]);
    // The same towards a backend, which opens no streams.
    let mut rig = asked();
    rig.backend_says(&window_update(0, 0));
    let error = Said::GoAway { last: 0, code: ErrorCode::PROTOCOL_ERROR };
    assert_eq!(rig.said_to_backend(), [error, Said::Shutdown]);
    rig.pass(MINUTES);
    assert_eq!(rig.said_to_backend(), [Said::Close]);
}

#[test]
fn rfc9113_6_8_connections_that_are_idle_end_with_goaway() {
    req!("9113-5.4.1-04", "9113-6.8-02", "9113-9.1-03");
    let mut rig = asked();
    rig.backend_says(&headers(1, &OK, true));
    rig.said_to_client();
    rig.said_to_backend();
    rig.pass(MINUTES);
    let (to_client, to_backend) = (rig.said_to_client(), rig.said_to_backend());
    assert_eq!(to_client, [Said::GoAway { last: 1, code: ErrorCode::NO_ERROR }, Said::Shutdown]);
    assert_eq!(to_backend, [Said::GoAway { last: 0, code: ErrorCode::NO_ERROR }, Said::Shutdown]);
}

#[test]
fn rfc9113_6_8_goaway_is_answered_with_goaway_when_the_last_stream_is_done() {
    req!("9113-6.8-01", "9113-6.8-03", "9113-9.1-03");
    let mut rig = asked();
    let first = rig.backend();
    rig.backend_says(&goaway(1, ErrorCode::NO_ERROR));
    assert_eq!(rig.said_to_backend(), [], "its stream goes on");
    rig.client_says(&headers(3, &get(), true));
    assert_ne!(rig.backend(), first, "new streams go to another connection");
    rig.hear(first, &headers(1, &OK, true));
    assert_eq!(rig.said(first), [Said::GoAway { last: 0, code: ErrorCode::NO_ERROR }, Said::Shutdown]);
}

/// The backend needs no more of the upload, and says so behind its whole response.
#[test]
fn rfc9113_8_1_a_reset_without_error_takes_no_response_away() {
    req!("9113-8.1-07");
    let mut rig = Rig::new(|_| {});
    rig.client_says(&[headers(1, &post(), false), data(1, b"upload", false)].concat());
    let response = [headers(1, &OK, false), data(1, b"whole", true), rst_stream(1, ErrorCode::NO_ERROR)];
    rig.backend_says(&response.concat());
    let said = rig.said_to_client();
    let content = Said::Content { stream: 1, octets: b"whole".to_vec(), end: true };
    assert_eq!((said[0].value(":status"), &said[1]), (Some("200"), &content));
    assert_eq!(said[2..], [Said::Reset { stream: 1, code: ErrorCode::NO_ERROR }]);
}

#[test]
fn rfc9113_8_7_what_was_not_processed_is_sent_again() {
    req!("9113-8.7-01");
    for refusal in [rst_stream(1, ErrorCode::REFUSED_STREAM), goaway(0, ErrorCode::NO_ERROR)] {
        let mut rig = Rig::new(|_| {});
        rig.client_says(&headers(1, &post(), true));
        rig.said_to_backend();
        let first = rig.backend();
        rig.backend_says(&refusal);
        let backend = rig.backend();
        let again = rig.said(backend);
        let again: Vec<_> = again.iter().filter(|said| matches!(said, Said::Fields { .. })).collect();
        assert_eq!(again.len(), 1, "{again:?}");
        assert_eq!(again[0].value(":method"), Some("POST"));
        assert_eq!(backend == first, refusal[3] == RST_STREAM);
        let Said::Fields { stream, .. } = *again[0] else { panic!("a request") };
        rig.backend_says(&headers(stream, &OK, true));
        assert_eq!(rig.said_to_client()[0].value(":status"), Some("200"));
    }
}

/// Whether a backend that vanishes has acted on a request nobody knows.
#[test]
fn rfc9110_9_2_2_what_may_have_been_processed_is_not_sent_again() {
    req!("9110-9.2.2-01", "9110-9.2.2-02", "9113-8.7-02");
    let mut rig = Rig::new(|_| {});
    rig.client_says(&headers(1, &post(), true));
    let first = rig.backend();
    rig.lose(first);
    assert_eq!((rig.backends.len(), rig.said_to_client()[0].value(":status")), (1, Some("502")));
    let mut rig = Rig::new(|_| {});
    rig.client_says(&headers(1, &post(), true));
    rig.said_to_backend();
    rig.backend_says(&rst_stream(1, ErrorCode::INTERNAL_ERROR));
    assert_eq!((rig.said_to_backend(), rig.said_to_client()[0].value(":status")), (vec![], Some("502")));
}
