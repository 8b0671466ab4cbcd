//! Each rule of the police fires on a violation made by hand, and stays silent on the same traffic without it.

use std::sync::Arc;

use shuntyard_sim::invariants;
use shuntyard_sim::ledger::{Checks, Ledger, Violation};
use shuntyard_sim::police::{Police, Side};
use shuntyard_sim::refcodec::frame::{self, Frame};
use shuntyard_sim::refcodec::hpack::{Encoder, Indexing};
use shuntyard_sim::refcodec::{Field, field};
use shuntyard_sim::scenario::{Exchange, Scenario, Session};
use shuntyard_sim::truth::{self, Direction};

type Outcome = Result<(), Violation>;

/// A front on link 0, a backend on link 1, and three requests: 1 and 3 are GETs of 500 octets, 2 echoes 300 octets.
struct Wire {
    police: [Police; 2],
    ledger: Ledger,
    inbound: [Encoder; 2],
    outbound: [Encoder; 2],
}

const FRONT: usize = 0;
const BACKEND: usize = 1;

impl Wire {
    fn bare() -> Self {
        let exchanges = vec![Exchange::get(1, 500), Exchange::echo(2, 300), Exchange::get(3, 500)];
        let scripts = Arc::new(Scenario::new(0, vec![Session::new(exchanges)], vec![]).exchanges());
        let police = [Police::new(FRONT, Side::Front, 0, 100), Police::new(BACKEND, Side::Backend, 0, 100)];
        let coders = || [Encoder::default(), Encoder::default()];
        Self { police, ledger: Ledger::new(scripts), inbound: coders(), outbound: coders() }
    }

    /// Prefaces and SETTINGS have passed in all directions.
    fn new() -> Self {
        let mut wire = Self::bare();
        let empty = || Frame::Settings { ack: false, settings: vec![] };
        wire.raw_in(FRONT, frame::PREFACE).unwrap();
        wire.raw_out(BACKEND, frame::PREFACE).unwrap();
        for link in [FRONT, BACKEND] {
            wire.receive(link, &empty());
            wire.emit(link, &empty()).unwrap();
            wire.emit(link, &Frame::Settings { ack: true, settings: vec![] }).unwrap();
            wire.receive(link, &Frame::Settings { ack: true, settings: vec![] });
        }
        wire
    }

    fn raw_in(&mut self, link: usize, octets: &[u8]) -> Outcome {
        self.police[link].delivered(octets, true, &mut self.ledger)
    }

    fn raw_out(&mut self, link: usize, octets: &[u8]) -> Outcome {
        self.police[link].emitted(octets, &mut self.ledger)?;
        self.police[link].sent(octets.len(), &mut self.ledger)
    }

    fn receive(&mut self, link: usize, frame: &Frame) {
        self.raw_in(link, &frame.encode()).unwrap();
    }

    fn emit(&mut self, link: usize, frame: &Frame) -> Outcome {
        self.raw_out(link, &frame.encode())
    }

    fn receive_fields(&mut self, link: usize, stream: u32, fields: &[Field], end: bool) {
        let block = self.inbound[link].encode(fields, Indexing::Incremental);
        self.receive(link, &headers(stream, block, end));
    }

    fn emit_fields(&mut self, link: usize, stream: u32, fields: &[Field], end: bool) -> Outcome {
        let block = self.outbound[link].encode(fields, Indexing::Incremental);
        self.emit(link, &headers(stream, block, end))
    }

    fn exchange(&self, rid: u64) -> Exchange {
        self.ledger.scripts[&rid].clone()
    }

    /// Request `rid` comes on the front's stream `front`.
    fn ask(&mut self, rid: u64, front: u32, end: bool) {
        let head = truth::request_head(&self.exchange(rid));
        self.receive_fields(FRONT, front, &head, end);
    }

    /// Request `rid` goes to the backend's stream `back`.
    fn forward(&mut self, rid: u64, back: u32, end: bool) -> Outcome {
        let head = truth::request_head(&self.exchange(rid));
        self.emit_fields(BACKEND, back, &head, end)
    }

    /// The octets of request `rid` on the backend's stream `back`.
    fn again(&mut self, rid: u64, back: u32) -> Vec<u8> {
        let block =
            self.outbound[BACKEND].encode(&truth::request_head(&self.exchange(rid)), Indexing::Incremental);
        headers(back, block, false).encode()
    }

    /// The response's head comes from the backend.
    fn answer(&mut self, rid: u64, back: u32) {
        let head = truth::response_head(&self.exchange(rid));
        self.receive_fields(BACKEND, back, &head, false);
    }

    /// The response's head goes to the client.
    fn relay(&mut self, rid: u64, front: u32) -> Outcome {
        let head = truth::response_head(&self.exchange(rid));
        self.emit_fields(FRONT, front, &head, false)
    }

    /// Request 1 has come, gone to the backend, and its response's head went back.
    fn relayed() -> Self {
        let mut wire = Self::new();
        wire.ask(1, 1, true);
        wire.forward(1, 1, true).unwrap();
        wire.answer(1, 1);
        wire.relay(1, 1).unwrap();
        wire
    }
}

fn headers(stream: u32, block: Vec<u8>, end: bool) -> Frame {
    Frame::Headers { stream, block, padding: None, priority: None, end_headers: true, end }
}

fn data(stream: u32, content: Vec<u8>, end: bool) -> Frame {
    Frame::Data { stream, content, padding: None, end }
}

fn response(rid: u64, from: u64, length: usize) -> Vec<u8> {
    truth::content(rid, Direction::Response, from, length)
}

fn settings(pairs: &[(u16, u32)]) -> Frame {
    Frame::Settings { ack: false, settings: pairs.to_vec() }
}

fn assert_breaks(id: &str, outcome: Outcome) {
    let violation = outcome.expect_err("nothing was noticed");
    assert_eq!(violation.id, id, "{violation}");
}

#[test]
fn a_relayed_exchange_is_clean() {
    let mut wire = Wire::relayed();
    wire.receive(BACKEND, &data(1, response(1, 0, 500), true));
    wire.emit(FRONT, &data(1, response(1, 0, 500), true)).unwrap();
    wire.emit(BACKEND, &Frame::WindowUpdate { stream: 0, increment: 500 }).unwrap();
    assert!(wire.ledger.traces[&1].is_answered());
    for id in ["A1", "C4", "C5", "C6", "D1", "D2", "E2", "L4", "L5", "R6", "W1", "W3"] {
        assert!(wire.ledger.checks.by_id().contains_key(id), "{id} was not evaluated");
    }
}

#[test]
fn c4_the_first_frame_is_settings() {
    let mut wire = Wire::bare();
    assert_breaks("C4", wire.emit(FRONT, &Frame::Ping { ack: false, opaque: [0; 8] }));
}

#[test]
fn c4_frames_are_no_larger_than_the_peer_allows_once_it_is_acknowledged() {
    let mut wire = Wire::relayed();
    let large =
        |frame: u32| Frame::Unknown { kind: 99, stream: 0, flags: 0, payload: vec![0; frame as usize] };
    wire.emit(FRONT, &large(16_384)).unwrap();
    wire.receive(FRONT, &settings(&[(frame::MAX_FRAME_SIZE, 20_000)]));
    assert_breaks("C4", wire.emit(FRONT, &large(16_385)));
    let mut wire = Wire::relayed();
    wire.receive(FRONT, &settings(&[(frame::MAX_FRAME_SIZE, 20_000)]));
    wire.emit(FRONT, &Frame::Settings { ack: true, settings: vec![] }).unwrap();
    wire.emit(FRONT, &large(20_000)).unwrap();
}

#[test]
fn c4_field_blocks_are_contiguous() {
    for interruption in [
        Frame::Ping { ack: false, opaque: [0; 8] },
        Frame::Continuation { stream: 3, block: vec![], end_headers: true },
        headers(3, vec![], true),
    ] {
        let mut wire = Wire::new();
        wire.ask(1, 1, true);
        let block = wire.outbound[FRONT].encode(&[field(":status", "200")], Indexing::Incremental);
        let open = Frame::Headers {
            stream: 1,
            block,
            padding: None,
            priority: None,
            end_headers: false,
            end: false,
        };
        wire.emit(FRONT, &open).unwrap();
        assert_breaks("C4", wire.emit(FRONT, &interruption));
    }
    assert_breaks(
        "C4",
        Wire::new().emit(FRONT, &Frame::Continuation { stream: 1, block: vec![], end_headers: true }),
    );
}

#[test]
fn c4_streams_are_odd_and_known() {
    let mut wire = Wire::new();
    wire.ask(1, 1, true);
    assert_breaks("C4", wire.forward(1, 2, true));
    assert_breaks("C4", Wire::new().emit_fields(FRONT, 1, &[field(":status", "200")], true));
    assert_breaks("C4", Wire::new().emit(FRONT, &data(1, vec![], true)));
    assert_breaks("C4", Wire::new().emit(FRONT, &Frame::RstStream { stream: 1, code: 8 }));
    assert_breaks("C4", Wire::new().emit(FRONT, &Frame::WindowUpdate { stream: 1, increment: 1 }));
    assert_breaks("C4", Wire::new().emit(FRONT, &Frame::PushPromise { stream: 1 }));
}

#[test]
fn c4_stream_identifiers_rise() {
    let mut wire = Wire::new();
    wire.ask(1, 1, true);
    wire.ask(3, 3, true);
    wire.forward(1, 5, true).unwrap();
    assert_breaks("C4", wire.forward(3, 3, true));
}

#[test]
fn c4_a_stream_is_reset_once_and_takes_nothing_after_it() {
    let reset = Frame::RstStream { stream: 1, code: 8 };
    let mut wire = Wire::relayed();
    wire.emit(FRONT, &reset).unwrap();
    let mut other = Wire { police: wire.police.clone(), ledger: wire.ledger.clone(), ..Wire::bare() };
    assert_breaks("C4", wire.emit(FRONT, &reset));
    assert_breaks("C4", other.emit(FRONT, &data(1, vec![], false)));
}

#[test]
fn c4_no_reset_in_answer_to_a_reset_or_on_a_closed_stream() {
    let reset = Frame::RstStream { stream: 1, code: 8 };
    let mut wire = Wire::relayed();
    wire.receive(FRONT, &reset);
    assert_breaks("C4", wire.emit(FRONT, &reset));
    let mut wire = Wire::relayed();
    wire.receive(BACKEND, &data(1, response(1, 0, 500), true));
    wire.emit(FRONT, &data(1, response(1, 0, 500), true)).unwrap();
    assert_breaks("C4", wire.emit(FRONT, &reset));
}

#[test]
fn l4_nothing_follows_the_peers_reset_unless_it_was_under_way() {
    let mut wire = Wire::relayed();
    wire.receive(FRONT, &Frame::RstStream { stream: 1, code: 8 });
    assert_breaks("L4", wire.emit(FRONT, &data(1, vec![], false)));
    // The gateway had output waiting when the reset came: it may not have known.
    let mut wire = Wire::relayed();
    wire.raw_in(
        FRONT,
        &[Frame::Ping { ack: true, opaque: [0; 8] }, Frame::RstStream { stream: 1, code: 8 }]
            .map(|f| f.encode())
            .concat(),
    )
    .unwrap();
    wire.emit(FRONT, &data(1, vec![], false)).unwrap();
}

#[test]
fn c5_acknowledgements_are_due_once_and_in_order() {
    let ack = Frame::Settings { ack: true, settings: vec![] };
    let pong = |n| Frame::Ping { ack: true, opaque: [n; 8] };
    assert_breaks("C5", Wire::new().emit(FRONT, &ack));
    assert_breaks("C5", Wire::new().emit(FRONT, &pong(1)));
    let mut wire = Wire::new();
    for n in [1, 2] {
        wire.receive(FRONT, &Frame::Ping { ack: false, opaque: [n; 8] });
    }
    assert!(wire.police[FRONT].unacknowledged().is_some());
    assert_breaks("C5", wire.emit(FRONT, &pong(2)));
}

#[test]
fn c6_no_more_streams_than_the_backend_allows() {
    let with_limit = |limit: u32| {
        let mut wire = Wire::new();
        wire.ask(1, 1, true);
        wire.ask(3, 3, true);
        wire.receive(BACKEND, &settings(&[(frame::MAX_CONCURRENT_STREAMS, limit)]));
        wire.emit(BACKEND, &Frame::Settings { ack: true, settings: vec![] }).unwrap();
        wire
    };
    assert_breaks("C6", with_limit(0).forward(1, 1, true));
    let mut wire = with_limit(1);
    wire.forward(1, 1, true).unwrap();
    assert_breaks("C6", wire.forward(3, 3, true));
    // A stream that both sides have ended counts no more.
    let mut wire = with_limit(1);
    wire.forward(1, 1, true).unwrap();
    wire.answer(1, 1);
    wire.receive(BACKEND, &data(1, vec![], true));
    wire.forward(3, 3, true).unwrap();
    // Before SETTINGS the assumption holds.
    let mut wire = Wire::bare();
    wire.police[BACKEND] = Police::new(BACKEND, Side::Backend, 0, 0);
    wire.raw_out(BACKEND, frame::PREFACE).unwrap();
    wire.emit(BACKEND, &settings(&[])).unwrap();
    assert_breaks("C6", wire.forward(1, 1, true));
}

#[test]
fn c7_goaway_never_rises() {
    let goaway = |last_stream| Frame::GoAway { last_stream, code: 0, debug: vec![] };
    let mut wire = Wire::new();
    wire.emit(FRONT, &goaway(5)).unwrap();
    wire.emit(FRONT, &goaway(3)).unwrap();
    assert_breaks("C7", wire.emit(FRONT, &goaway(5)));
}

#[test]
fn r6_no_stream_is_opened_after_goaway() {
    let mut wire = Wire::new();
    wire.ask(1, 1, true);
    wire.receive(BACKEND, &Frame::GoAway { last_stream: 0, code: 0, debug: vec![] });
    assert_breaks("R6", wire.forward(1, 1, true));
}

#[test]
fn w1_data_stays_within_both_windows() {
    // The stream's: lowered by SETTINGS, in force from the acknowledgement.
    let mut wire = Wire::relayed();
    wire.receive(BACKEND, &data(1, response(1, 0, 500), false));
    wire.receive(FRONT, &settings(&[(frame::INITIAL_WINDOW_SIZE, 100)]));
    wire.emit(FRONT, &data(1, response(1, 0, 101), false)).unwrap();
    wire.emit(FRONT, &Frame::Settings { ack: true, settings: vec![] }).unwrap();
    wire.emit(FRONT, &data(1, vec![], false)).unwrap();
    assert_breaks("W1", wire.emit(FRONT, &data(1, response(1, 101, 1), false)));
    // The same with the credit it needs; padding counts.
    let mut wire = Wire::relayed();
    wire.receive(BACKEND, &data(1, response(1, 0, 500), false));
    wire.receive(FRONT, &settings(&[(frame::INITIAL_WINDOW_SIZE, 0)]));
    wire.emit(FRONT, &Frame::Settings { ack: true, settings: vec![] }).unwrap();
    wire.receive(FRONT, &Frame::WindowUpdate { stream: 1, increment: 10 });
    let padded =
        |n, pad| Frame::Data { stream: 1, content: response(1, 0, n), padding: Some(pad), end: false };
    wire.emit(FRONT, &padded(5, 4)).unwrap();
    assert_breaks("W1", wire.emit(FRONT, &padded(0, 0)));
}

#[test]
fn w1_the_connections_window_binds_too() {
    let mut wire = Wire::relayed();
    wire.receive(FRONT, &settings(&[(frame::INITIAL_WINDOW_SIZE, 1 << 20)]));
    wire.emit(FRONT, &Frame::Settings { ack: true, settings: vec![] }).unwrap();
    let padding = || Frame::Data { stream: 1, content: vec![], padding: Some(255), end: false };
    for _ in 0..255 {
        wire.emit(FRONT, &padding()).unwrap();
    }
    assert_breaks("W1", wire.emit(FRONT, &padding()));
}

#[test]
fn w3_no_credit_beyond_what_came() {
    let credit = |stream, increment| Frame::WindowUpdate { stream, increment };
    assert_breaks("W3", Wire::new().emit(FRONT, &credit(0, 1)));
    assert_breaks("C4", Wire::new().emit(FRONT, &credit(0, 0)));
    let mut wire = Wire::new();
    wire.ask(2, 1, false);
    wire.receive(FRONT, &data(1, truth::content(2, Direction::Request, 0, 10), false));
    wire.emit(FRONT, &credit(0, 10)).unwrap();
    wire.emit(FRONT, &credit(1, 10)).unwrap();
    assert_breaks("W3", wire.emit(FRONT, &credit(1, 1)));
}

#[test]
fn l5_messages_have_their_parts_in_order() {
    let status = |code: &str| vec![field(":status", code), field("x-rid", "1")];
    let mut wire = Wire::new();
    wire.ask(1, 1, true);
    assert_breaks("L5", wire.emit(FRONT, &data(1, vec![1], false)));
    let mut wire = Wire::new();
    wire.ask(1, 1, true);
    assert_breaks("L5", wire.emit_fields(FRONT, 1, &status("103"), true));
    let mut wire = Wire::relayed();
    assert_breaks("L5", wire.emit_fields(FRONT, 1, &[field("x-trailer", "1")], false));
    let mut wire = Wire::new();
    wire.ask(1, 1, true);
    wire.emit_fields(FRONT, 1, &[field(":status", "502")], true).unwrap();
    assert_breaks("L5", wire.emit(FRONT, &data(1, vec![], true)));
}

#[test]
fn l5_content_is_as_long_as_announced() {
    let mut wire = Wire::relayed();
    wire.receive(BACKEND, &data(1, response(1, 0, 400), true));
    assert_breaks("L5", wire.emit(FRONT, &data(1, response(1, 0, 400), true)));
}

#[test]
fn a1_no_forbidden_field_is_emitted() {
    for bad in [("connection", "close"), ("X-Upper", "1"), ("x", "a\nb"), (":path", "/")] {
        let mut wire = Wire::new();
        wire.ask(1, 1, true);
        assert_breaks(
            "A1",
            wire.emit_fields(FRONT, 1, &[field(":status", "502"), field(bad.0, bad.1)], true),
        );
    }
    let mut wire = Wire::new();
    wire.ask(1, 1, true);
    assert_breaks("A1", wire.emit_fields(BACKEND, 1, &[field(":method", "GET"), field("x-rid", "1")], true));
}

#[test]
fn d2_content_and_fields_belong_to_their_request() {
    let mut wire = Wire::relayed();
    wire.receive(BACKEND, &data(1, response(1, 0, 500), false));
    assert_breaks("D2", wire.emit(FRONT, &data(1, response(1, 1, 10), false)));
    let mut wire = Wire::relayed();
    wire.receive(BACKEND, &data(1, response(1, 0, 500), false));
    assert_breaks("D2", wire.emit(FRONT, &data(1, response(3, 0, 10), false)));
    let mut wire = Wire::new();
    wire.ask(1, 1, true);
    let mut head = truth::request_head(&wire.exchange(1));
    head.retain(|(name, _)| name != b"x-tag");
    assert_breaks("D2", wire.emit_fields(BACKEND, 1, &head, true));
    let mut wire = Wire::new();
    wire.ask(1, 1, true);
    let mut head = truth::request_head(&wire.exchange(1));
    head.push(field("x-other", "r3.request.0"));
    assert_breaks("D2", wire.emit_fields(BACKEND, 1, &head, true));
    let bare = [field(":method", "GET"), field(":scheme", "http"), field(":path", "/")];
    assert_breaks("D2", Wire::new().emit_fields(BACKEND, 1, &bare, true));
}

#[test]
fn d1_l6_no_more_leaves_than_came_and_no_end_before_the_end() {
    let content = |length| truth::content(2, Direction::Request, 0, length);
    let upload = || {
        let mut wire = Wire::new();
        wire.ask(2, 1, false);
        wire.receive(FRONT, &data(1, content(100), false));
        wire.forward(2, 1, false).unwrap();
        wire
    };
    assert_breaks("D1", upload().emit(BACKEND, &data(1, content(101), false)));
    assert_breaks("D1", upload().emit(BACKEND, &data(1, content(100), true)));
    let mut wire = Wire::relayed();
    wire.receive(BACKEND, &data(1, response(1, 0, 100), false));
    assert_breaks("D1", wire.emit(FRONT, &data(1, response(1, 0, 101), false)));
    let mut wire = Wire::relayed();
    wire.receive(BACKEND, &data(1, response(1, 0, 500), false));
    assert_breaks("L6", wire.emit(FRONT, &data(1, response(1, 0, 500), true)));
}

#[test]
fn e2_nothing_of_a_frozen_request_is_shown() {
    let mut wire = Wire::new();
    wire.ask(1, 1, true);
    assert_breaks("E2", wire.relay(1, 1));
    let mut wire = Wire::new();
    wire.ask(1, 1, true);
    wire.forward(1, 1, true).unwrap();
    let interim = truth::interim_head(&wire.exchange(1));
    assert_breaks("E2", wire.emit_fields(FRONT, 1, &interim, false));
    let mut wire = Wire::new();
    wire.ask(1, 1, true);
    assert_breaks("E2", wire.emit_fields(FRONT, 1, &[field(":status", "200")], true));
}

#[test]
fn r2_r3_requests_are_sent_again_only_where_that_is_safe() {
    let twice = |rid: u64, between: &dyn Fn(&mut Wire)| {
        let mut wire = Wire::new();
        wire.ask(rid, 1, rid != 2);
        wire.forward(rid, 1, rid != 2).unwrap();
        between(&mut wire);
        wire.forward(rid, 3, rid != 2)
    };
    let refused = |code| move |wire: &mut Wire| wire.receive(BACKEND, &Frame::RstStream { stream: 1, code });
    let passed_on = |wire: &mut Wire| {
        wire.answer(1, 1);
        let head = truth::response_head(&wire.exchange(1));
        wire.emit_fields(FRONT, 1, &head, false).unwrap();
    };
    assert_breaks("R2", twice(1, &passed_on));
    assert_breaks("R3", twice(2, &refused(frame::CANCEL)));
    twice(2, &refused(frame::REFUSED_STREAM)).unwrap();
    let lost = |wire: &mut Wire| wire.police[BACKEND].gone(&mut wire.ledger);
    twice(1, &lost).unwrap();
    assert_breaks("R3", twice(2, &lost));
}

#[test]
fn r7_who_was_refused_twice_waits() {
    for (waited, fine) in [(4_999_999, false), (5_000_000, true)] {
        let mut wire = Wire::new();
        wire.ask(1, 1, true);
        for stream in [1, 3] {
            wire.forward(1, stream, true).unwrap();
            wire.receive(BACKEND, &Frame::RstStream { stream, code: frame::REFUSED_STREAM });
        }
        wire.ledger.now = waited;
        wire.forward(1, 5, true).unwrap();
        let last = *wire.ledger.thawed.last().expect("it went to a backend");
        let outcome = invariants::r7_pauses_are_kept(&wire.ledger, &mut Checks::default(), &last);
        if fine { outcome.unwrap() } else { assert_breaks("R7", outcome) }
    }
}

#[test]
fn r3_a_request_of_which_no_octet_left_may_go_again() {
    let mut wire = Wire::new();
    wire.ask(2, 1, false);
    // Shown, and never written.
    let octets = wire.again(2, 1);
    wire.police[BACKEND].emitted(&octets, &mut wire.ledger).unwrap();
    wire.police[BACKEND].gone(&mut wire.ledger);
    let again = wire.again(2, 3);
    wire.police[BACKEND].emitted(&again, &mut wire.ledger).unwrap();
    // What was written off must not be written.
    assert_breaks("R3", wire.police[BACKEND].sent(octets.len(), &mut wire.ledger));
}
