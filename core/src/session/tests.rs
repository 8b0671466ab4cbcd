use std::sync::Arc;

use http::Request;

use super::*;
use crate::config::ConnectionConfig;
use crate::h2::{Client, Connection, Role};

/// A client's connection on which something was asked and taken back, and that stream.
fn idle() -> (Session, StreamKey) {
    let mut client = Client::new(ConnectionConfig::default(), 1).expect("a configuration");
    let mut server = Connection::new(Role::Server, Arc::new(ConnectionConfig::default()), 1, 7);
    let request = Request::get("http://example.com/").body(()).expect("a request");
    let stream = client.send_request(&request, true).expect("a slot");
    client.reset(stream, ErrorCode::CANCEL);
    let mut gone = None;
    for _ in 0..2 {
        let octets = client.poll_transmit().unwrap_or_default().to_vec();
        client.handle_sent(octets.len());
        let mut input = Input::new(&octets);
        while let Some(event) = server.poll_event(&mut input).expect("a sound connection") {
            if let Event::Request { stream, fields, .. } = event {
                gone = Some(stream);
                server.recycle(fields);
            }
        }
        client.handle_recv(server.transmit());
        server.sent(server.transmit().len());
        while let Ok(Some(_)) = client.poll_event() {}
    }
    (Session::H2(Box::new(server)), gone.expect("a request"))
}

/// What is asked of a session that wakes nobody, in words.
fn answers(session: &mut Session, gone: StreamKey) -> Vec<String> {
    let fields = FieldSection::new();
    vec![
        format!("{:?}", (session.awaits_preface(), session.peer_streams_max(), session.version())),
        format!("{:?}", (session.urgency(gone), session.stands_in_line(gone), session.is_half_open())),
        format!("{:?}", (session.is_over(), session.is_cut_short(), session.owes_end())),
        format!("{:?}", (session.is_write_closed(), session.read_closed(), session.transmit())),
        format!("{:?}", (session.has_output(), session.is_congested(), session.has_room())),
        format!("{:?}", (session.has_failed(), session.is_established(), session.offers_tunnels())),
        format!("{:?}", (session.open(&fields, true), session.open_slots(), session.open_streams())),
        format!("{:?}", session.send_head(gone, &fields, true)),
        format!("{:?}", session.send_data(gone, b"late", true)),
        format!("{:?}", session.send_trailers(gone, FieldSection::new())),
        format!("{:?}", (session.has_sent(gone), session.cut(), session.is_strained())),
        format!("{:?}", (session.stream_recv_window(), session.recv_window_size(gone))),
        format!("{:?}", (session.queued(gone), session.fit_queue(gone), session.buffered())),
        format!("{:?}", (session.set_tag(gone, 1), session.stream_id(gone), session.abandon_stream())),
        format!("{:?}", (session.goaway_is_final(), session.is_going_away(), session.windows())),
        format!("{:?}", (session.octets_sent(), session.octets_queued(), session.traffic())),
        format!("{:?}", (session.credit_lost(), session.is_in_field_block(&[]))),
        format!("{:?}", (session.field_blocks_received(), session.peer_head_max(), session.trailers_wait())),
    ]
}

/// Whoever asks need not know who sleeps: the answers are those of one who is awake and has nothing to do.
#[test]
fn who_sleeps_answers_as_if_awake() {
    let (mut awake, gone) = idle();
    let mut asleep = awake.clone();
    assert!(asleep.sleep(&mut SharedLines::default()).is_some() && asleep.is_asleep());
    assert_eq!(answers(&mut asleep, gone), answers(&mut awake, gone));
    assert!(asleep.is_asleep(), "a question wakes nobody");
    // What is to happen on it does.
    asleep.goaway();
    awake.goaway();
    assert!(!asleep.is_asleep());
    assert_eq!(asleep.transmit(), awake.transmit());
}
