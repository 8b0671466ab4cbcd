//! Invariants that span connections fire on violations made by hand: those for which a few lines make a world. The others are told by
//! bugs that are planted (`tests/planted`), those of one connection by `police.rs`.

use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, Host, Scope};
use shuntyard_core::fields::{FieldLine, FieldSection};
use shuntyard_core::gateway::{
    AttemptOutcome, AttemptRecord, Cause, ConnId, EndRecord, Inspection, Outcome, Record, RequestId, View,
};
use shuntyard_core::time::{Duration, Instant};
use shuntyard_sim::client::Answer;
use shuntyard_sim::invariants::{self, Beside, Scene, Turns};
use shuntyard_sim::ledger::{Attempt, Checks, Head, Ledger, Thaw, Trace, Violation};
use shuntyard_sim::police::{Police, Side};
use shuntyard_sim::refcodec::field;
use shuntyard_sim::refcodec::frame::{Frame, PREFACE, REFUSED_STREAM};
use shuntyard_sim::scenario::{Backend, Exchange, Scenario};
use shuntyard_sim::truth;
use shuntyard_sim::world::SECOND;

fn assert_breaks(id: &str, outcome: Result<(), Violation>) {
    assert_eq!(outcome.expect_err("nothing was noticed").id, id);
}

fn started(n: u64) -> Record {
    Record::Started { request: RequestId(n), client: ConnId::from_bits(0), stream_id: 1, at: Instant::ZERO }
}

/// A ledger in which one head came and its request was started.
fn with_one() -> Ledger {
    let mut ledger = Ledger { heads: 1, ..Ledger::default() };
    ledger.record(&started(0)).unwrap();
    ledger
}

#[test]
fn l1_one_start_and_one_end() {
    assert_breaks("L1", Ledger::default().record(&started(0)));
    assert_breaks("L1", with_one().record(&started(0)));
    let mut ledger = with_one();
    assert_breaks("L1", invariants::l1_every_request_has_ended(&mut ledger));
    ledger.ended.insert(RequestId(0));
    invariants::l1_every_request_has_ended(&mut ledger).unwrap();
    ledger.trace(7).attempts.push(Attempt::default());
    ledger.trace(8).attempts.push(Attempt::default());
    assert_breaks("L1", invariants::l1_every_request_has_ended(&mut ledger));
}

#[test]
fn l3_places() {
    let view = |requests, frozen, queued, live| View { requests, frozen, queued, live, ..View::default() };
    let judge = |view: &View| invariants::l3_places_add_up(&with_one(), &mut Checks::default(), view);
    judge(&view(1, 1, 1, 0)).unwrap();
    judge(&view(1, 0, 0, 1)).unwrap();
    for wrong in [view(1, 0, 0, 0), view(1, 1, 1, 1), view(1, 1, 0, 0), view(0, 0, 0, 0), view(2, 1, 1, 1)] {
        assert_breaks("L3", judge(&wrong));
    }
}

#[test]
fn e6_lost_requests() {
    let mut ledger = Ledger::default();
    ledger.trace(1).front = Some((0, 1));
    assert_breaks("E6", invariants::e6_no_request_is_lost(&mut ledger));
    for answered in [
        Trace { ended: true, ..Trace::default() },
        Trace { reset: Some(7), ..Trace::default() },
        Trace { client_gone: true, ..Trace::default() },
        Trace { left_out: true, ..Trace::default() },
    ] {
        ledger.traces.insert(1, Trace { front: Some((0, 1)), ..answered });
        invariants::e6_no_request_is_lost(&mut ledger).unwrap();
    }
}

#[test]
fn d1_d2_e2_on_traces() {
    let attempt = Attempt { received: 10, head: true, ..Attempt::default() };
    let trace = Trace { head: Some(Head::Backend), sent: 10, attempts: vec![attempt], ..Trace::default() };
    let judge = |trace: &Trace, rule: fn(&mut Ledger, u64) -> Result<(), Violation>| {
        let mut ledger = Ledger::default();
        ledger.traces.insert(1, trace.clone());
        rule(&mut ledger, 1)
    };
    judge(&trace, invariants::d1_content_is_a_prefix).unwrap();
    judge(&trace, invariants::e2_a_frozen_request_shows_nothing).unwrap();
    assert_breaks("D1", judge(&Trace { sent: 11, ..trace.clone() }, invariants::d1_content_is_a_prefix));
    assert_breaks("D1", judge(&Trace { ended: true, ..trace.clone() }, invariants::d1_content_is_a_prefix));
    let nowhere = Trace { attempts: vec![], ..trace.clone() };
    assert_breaks("E2", judge(&nowhere, invariants::e2_a_frozen_request_shows_nothing));
    let interim = Trace { interim: 1, ..trace };
    assert_breaks("E2", judge(&interim, invariants::e2_a_frozen_request_shows_nothing));
    assert_breaks("D2", invariants::d2_content_is_true(&mut Ledger::default(), 1, Some(3)));
}

/// A front (link 0) whose client sent 100 octets on stream 1 and got `credit` of them back, and an idle backend (link 1).
/// Request 9 with these attempts, passed on to the client on link 0.
fn with_attempts(attempts: Vec<Attempt>) -> Ledger {
    let mut ledger = Ledger::default();
    let head = Some(Head::Backend);
    ledger.traces.insert(9, Trace { front: Some((0, 1)), head, attempts, ..Trace::default() });
    ledger
}

#[test]
fn l6_what_broke_off_or_is_malformed() {
    let judge = |attempt| invariants::l6_only_whole_responses_end_cleanly(&mut with_attempts(attempt), 9);
    let whole = Attempt { head: true, ended: true, ..Attempt::default() };
    judge(vec![Attempt::default(), whole.clone()]).unwrap();
    assert_breaks("L6", judge(vec![]));
    assert_breaks("L6", judge(vec![whole.clone(), Attempt { head: true, ..Attempt::default() }]));
    assert_breaks("L6", judge(vec![Attempt { malformed: true, ..whole }]));
    // An answer of the gateway's own has no backend to be whole.
    let mut own = with_attempts(vec![]);
    own.trace(9).head = Some(Head::Local(502));
    invariants::l6_only_whole_responses_end_cleanly(&mut own, 9).unwrap();
}

#[test]
fn l8_the_head_of_another_attempt() {
    let attempt = |link| Attempt { link, stream: 3, ..Attempt::default() };
    let judge = |from: &str| {
        let mut ledger = with_attempts(vec![attempt(1), attempt(2)]);
        invariants::l8_the_head_is_the_last_attempts(&mut ledger, 9, &[field("x-from", from)])
    };
    judge("2.3").unwrap();
    ["1.3", "2.1", ""].into_iter().for_each(|from| assert_breaks("L8", judge(from)));
}

#[test]
fn e10_a_request_for_whom_nobody_waits() {
    let judge = |change: fn(&mut Ledger)| {
        let mut ledger = with_attempts(vec![Attempt::default()]);
        change(&mut ledger);
        invariants::e10_nothing_is_asked_for_who_has_gone(&mut ledger, 9)
    };
    judge(|_| {}).unwrap();
    // That it has gone is nobody's fault before it is known.
    judge(|ledger| ledger.trace(9).client_gone = true).unwrap();
    assert_breaks("E10", judge(|ledger| ledger.trace(9).gone_known = true));
    assert_breaks("E10", judge(|ledger| _ = ledger.fronts_over.insert(0, 0)));
}

#[test]
fn r4_r5_too_many_attempts_and_other_ones() {
    let attempt = |path, reset| {
        let fields = vec![field(":method", "GET"), field(":path", path)];
        Attempt { fields, reset, ..Attempt::default() }
    };
    let judge = |attempts| invariants::r4_r5_attempts_are_few_and_alike(&mut with_attempts(attempts), 9);
    let refused = Some(REFUSED_STREAM);
    judge(vec![attempt("/", None), attempt("/", None)]).unwrap();
    assert_breaks("R5", judge(vec![attempt("/", refused), attempt("/other", None)]));
    let retry = Scenario::new(0, vec![], vec![Backend::new(1)]).config.upstreams[0].retry.clone();
    let most = retry.attempts as usize;
    judge(vec![attempt("/", None); most]).unwrap();
    assert_breaks("R4", judge(vec![attempt("/", None); most + 1]));
    let all = (retry.unprocessed_attempts + retry.attempts) as usize;
    judge(vec![attempt("/", refused); all - 1]).unwrap();
    assert_breaks("R4", judge(vec![attempt("/", refused); all]));
}

/// Nothing has happened in this step but what the ledger and the police know of.
fn in_scene<R>(
    (ledger, police, config): (&Ledger, &[Police], &Config),
    slack: u64,
    judge: impl FnOnce(&mut Scene<'_>) -> R,
) -> R {
    judge(&mut Scene {
        ledger,
        checks: &mut Checks::default(),
        police,
        view: &View::default(),
        seen: &Inspection::default(),
        config,
        next_timeout: None,
        draining: false,
        late: false,
        turns: &mut Turns::default(),
        beside: &mut Beside::default(),
        slack,
    })
}

fn with_credit(credit: u32) -> (Ledger, [Police; 2]) {
    let mut ledger = Ledger::default();
    let mut police = [Police::new(0, Side::Front, 1000, 1), Police::new(1, Side::Backend, 0, 1)];
    let headers = Frame::Headers {
        stream: 1,
        block: vec![],
        padding: None,
        priority: None,
        end_headers: true,
        end: false,
    };
    let content = Frame::Data { stream: 1, content: vec![0; 100], padding: None, end: false };
    let inbound = [PREFACE.to_vec(), headers.encode(), content.encode()].concat();
    police[0].delivered(&inbound, true, &mut ledger).unwrap();
    let settings = Frame::Settings { ack: false, settings: vec![] };
    police[0].emitted(&settings.encode(), &mut ledger).unwrap();
    police[0].emitted(&Frame::WindowUpdate { stream: 1, increment: credit }.encode(), &mut ledger).unwrap();
    (ledger, police)
}

#[test]
fn w3_credit_runs_no_further_than_content() {
    for (forwarded, fine) in [(60, true), (59, false)] {
        let (mut ledger, mut police) = with_credit(60);
        let attempt = Attempt { link: 1, stream: 1, request_sent: forwarded, ..Attempt::default() };
        let trace = Trace { front: Some((0, 1)), received: 100, attempts: vec![attempt], ..Trace::default() };
        open_backend_stream(&mut police[1]);
        ledger.traces.insert(1, trace.clone());
        let config = Scenario::new(0, vec![], vec![]).config;
        let judge = |scene: &mut Scene<'_>| invariants::w3_credit_follows_content(scene, 1, &trace);
        let result = in_scene((&ledger, &police, &config), 0, judge);
        if fine { result.unwrap() } else { assert_breaks("W3", result) }
    }
}

fn open_backend_stream(police: &mut Police) {
    let mut ledger = Ledger::default();
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("x-rid", "9")];
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
    let mut encoder = shuntyard_sim::refcodec::hpack::Encoder::default();
    let block = encoder.encode(&fields, shuntyard_sim::refcodec::hpack::Indexing::Without);
    let headers =
        Frame::Headers { stream: 1, block, padding: None, priority: None, end_headers: true, end: false };
    let settings = Frame::Settings { ack: false, settings: vec![] };
    police.emitted(&[PREFACE.to_vec(), settings.encode(), headers.encode()].concat(), &mut ledger).unwrap();
}

#[test]
fn w4_no_credit_is_lost_at_rest() {
    let (mut ledger, mut police) = with_credit(1);
    // With the stream open content may be held.
    invariants::w4_no_credit_is_lost(&mut ledger, &police[0]).unwrap();
    police[0].emitted(&Frame::RstStream { stream: 1, code: 8 }.encode(), &mut ledger).unwrap();
    invariants::w4_no_credit_is_lost(&mut ledger, &police[0]).unwrap();
    let content = Frame::Data { stream: 1, content: vec![0; 16_384], padding: None, end: false }.encode();
    for _ in 0..3 {
        police[0].delivered(&content, true, &mut ledger).unwrap();
    }
    assert_breaks("W4", invariants::w4_no_credit_is_lost(&mut ledger, &police[0]));
}

#[test]
fn c5_at_rest() {
    let (mut ledger, mut police) = with_credit(1);
    invariants::c5_everything_is_acknowledged(&mut ledger, &police[0]).unwrap();
    let ping = Frame::Ping { ack: false, opaque: [0; 8] };
    police[0].delivered(&ping.encode(), true, &mut ledger).unwrap();
    assert_breaks("C5", invariants::c5_everything_is_acknowledged(&mut ledger, &police[0]));
}

#[test]
fn q1_and_x1() {
    let mut ledger = Ledger::default();
    invariants::q1_nothing_is_left(&mut ledger, true, 0, &View::default()).unwrap();
    let left = View { engines: 1, ..View::default() };
    assert_breaks("Q1", invariants::q1_nothing_is_left(&mut ledger, false, 0, &View::default()));
    assert_breaks("Q1", invariants::q1_nothing_is_left(&mut ledger, true, 1, &View::default()));
    assert_breaks("Q1", invariants::q1_nothing_is_left(&mut ledger, true, 0, &left));
    invariants::x1_runs_are_equal(&mut ledger, 1, 1).unwrap();
    assert_breaks("X1", invariants::x1_runs_are_equal(&mut ledger, 1, 2));
}

#[test]
fn t1_the_earliest_deadline_is_named() {
    let at = |n| Some(Instant::from_nanos(n));
    let judged = |next, earliest| {
        invariants::t1_the_earliest_deadline_is_named(&mut Checks::default(), next, earliest)
    };
    judged(at(5), at(5)).unwrap();
    judged(None, None).unwrap();
    assert_breaks("T1", judged(at(6), at(5)));
    assert_breaks("T1", judged(None, at(5)));
}

fn judged(answer: &Answer, exact: bool) -> Result<(), Violation> {
    invariants::l7_answers_are_the_scripts(
        &mut Ledger::default(),
        &Exchange::get(1, 10),
        answer,
        exact,
        false,
    )
}

fn local(status: &str) -> Answer {
    Answer { head: Some(vec![field(":status", status)]), ended: true, ..Answer::default() }
}

#[test]
fn l7_answers_that_are_not_the_scripts() {
    let head = truth::response_head(&Exchange::get(1, 10));
    let right = Answer { head: Some(head.clone()), content: 10, ended: true, ..Answer::default() };
    judged(&right, true).unwrap();
    judged(&Answer { reset: Some(8), ..Answer::default() }, false).unwrap();
    judged(&local("503"), false).unwrap();
    for (wrong, exact) in [
        (Answer::default(), true),
        (local("503"), true),
        (local("200"), false),
        (Answer { content: 9, ..right.clone() }, false),
        (Answer { trailers: Some(vec![]), ..right.clone() }, false),
        (Answer { interim: vec![vec![]], ..right.clone() }, false),
        (Answer { head: Some(head[..2].to_vec()), ..right }, false),
    ] {
        assert_eq!(judged(&wrong, exact).map_err(|violation| violation.id), Err("L7"), "{wrong:?}");
    }
}

/// Request 9 of the client on link 1 waits for its queue's 200 seconds, while others go to the backend in these of them.
fn long_queue(share: Scope, seconds: &[u64], link: usize, answer: &Answer) -> bool {
    let mut config = Scenario::new(0, vec![], vec![]).config;
    config.upstreams[0].share = share;
    config.upstreams[0].queue_timeout = Duration::from_secs(200);
    let mut ledger = Ledger::default().limited(&config);
    ledger.traces.insert(9, Trace { front: Some((1, 1)), head: Some(Head::Local(503)), ..Trace::default() });
    for (rid, &at) in (10..).zip(seconds) {
        let attempts = vec![Attempt { opened: at * SECOND, ..Attempt::default() }];
        ledger.traces.insert(rid, Trace { front: Some((link, 1)), attempts, ..Trace::default() });
    }
    ledger.upstream_of.extend((9..20).map(|rid| (rid, 0)));
    invariants::l7_the_queue_was_long(&ledger, 9, answer)
}

#[test]
fn l7_a_queue_that_moves_and_one_that_does_not() {
    let (moves, told) = ([0, 30, 80, 120, 170], local("503"));
    assert!(long_queue(Scope::None, &moves, 0, &told));
    assert!(!long_queue(Scope::None, &moves, 0, &local("502")));
    // Of scope `client` each has a queue of its own.
    assert!(long_queue(Scope::Client, &moves, 1, &told));
    assert!(!long_queue(Scope::Client, &moves, 0, &told));
    let stands: [&[u64]; 4] = [&[], &[60, 90, 120, 170], &[30, 80, 131, 170], &[30, 80, 120, 149]];
    for stands in stands {
        assert!(!long_queue(Scope::None, stands, 0, &told), "{stands:?}");
    }
}

/// Moments in which requests of the clients on these links go to a backend, while a request of that on link 1 waits all along.
fn i3_in(moments: &[&[usize]]) -> Result<(), Violation> {
    let config = Scenario::new(0, vec![], vec![]).config;
    let police = [Police::new(0, Side::Front, 0, 1), Police::new(1, Side::Front, 0, 1)];
    let (mut turns, mut next) = (Turns::default(), 10);
    for links in moments {
        let mut ledger = Ledger { upstreams: config.upstreams.clone(), ..Ledger::default() };
        let thawed = links.iter().map(|&link| {
            next += 1;
            (next, link)
        });
        let thawed: Vec<_> = thawed.collect();
        ledger.thawed = thawed.iter().map(|&(rid, _)| Thaw { rid, attempt: 0, at: 0, heads: 0 }).collect();
        for (rid, link) in thawed.into_iter().chain([(9, 1)]) {
            ledger.trace(rid).front = Some((link, 1));
            ledger.upstream_of.insert(rid, 0);
        }
        ledger.active.insert(9);
        let mut scene = Scene {
            ledger: &ledger,
            checks: &mut Checks::default(),
            police: &police,
            view: &View::default(),
            seen: &Inspection::default(),
            config: &config,
            next_timeout: None,
            draining: false,
            late: false,
            turns: &mut turns,
            beside: &mut Beside::default(),
            slack: 0,
        };
        invariants::i3_clients_take_turns(&mut scene)?;
    }
    Ok(())
}

#[test]
fn i3_clients_take_turns() {
    i3_in(&[&[0], &[0]]).unwrap();
    assert_breaks("I3", i3_in(&[&[0], &[0], &[0]]));
    i3_in(&[&[0], &[0], &[1], &[0], &[0]]).unwrap();
    assert_breaks("I3", i3_in(&[&[0], &[1], &[0], &[0], &[0]]));
    // Of one moment the order is not known: the turn of its own may have been before those two, among them or behind them.
    i3_in(&[&[0], &[0, 0, 1]]).unwrap();
    i3_in(&[&[0], &[0, 1, 0], &[0, 0]]).unwrap();
    assert_breaks("I3", i3_in(&[&[0, 0, 0]]));
    assert_breaks("I3", i3_in(&[&[0], &[0, 1, 0, 0]]));
}

/// Request 9 was answered by a backend with 200 and no content; its record says what is asked for.
fn l2_of(trace: Trace, outcome: Outcome, status: u16) -> Result<(), Violation> {
    let mut ledger = Ledger::default();
    ledger.traces.insert(9, trace);
    ledger.end_records.push(end_of_9(outcome, status));
    invariants::l2_records_tell_what_happened(&mut ledger)
}

fn end_of_9(outcome: Outcome, status: u16) -> EndRecord {
    let mut fields = FieldSection::new();
    fields.push(FieldLine::new(b"x-rid", b"9", 0));
    EndRecord {
        request: RequestId(0),
        client: Address::Unix("/client".into()),
        tls: None,
        version: shuntyard_core::message::Version::Http2,
        fields,
        route: None,
        upstream: None,
        status,
        outcome,
        request_octets: 0,
        response_octets: 0,
        attempts: 0,
        maybe_executed: 0,
        accepted: Instant::ZERO,
        frozen: Instant::ZERO,
        thawed: None,
        responded: None,
        ended: Instant::ZERO,
    }
}

/// A POST of eight octets that was answered with nine, by the first endpoint of the default configuration, and what is written down of it.
fn l2_of_attempt(change: fn(&mut Attempt, &mut AttemptRecord, &mut EndRecord)) -> Result<(), Violation> {
    let config = Scenario::new(0, vec![], vec![Backend::new(1)]).config;
    let upstream = &config.upstreams[0];
    let endpoint = &upstream.endpoints[0];
    let Host::Address(Address::Inet(target)) = endpoint.host else { panic!("{endpoint}") };
    let mut attempt = Attempt {
        link: 3,
        stream: 1,
        request_sent: 8,
        request_ended: true,
        head: true,
        status: Some(200),
        received: 9,
        ended: true,
        ended_in_time: true,
        ..Attempt::default()
    };
    let mut record = AttemptRecord {
        request: RequestId(0),
        number: 1,
        upstream: upstream.name.clone(),
        endpoint: endpoint.to_string().into(),
        engine: 0,
        stream_id: 1,
        outcome: AttemptOutcome::Complete,
        status: 200,
        request_octets: 8,
        response_octets: 9,
        thawed: Instant::ZERO,
        sent: None,
        responded: None,
        ended: Instant::ZERO,
    };
    let mut end = end_of_9(Outcome::Complete, 200);
    (end.request_octets, end.response_octets, end.attempts) = (8, 9, 1);
    change(&mut attempt, &mut record, &mut end);
    let mut ledger = Ledger::default().limited(&config);
    ledger.targets.insert(3, target);
    ledger.upstream_of.insert(9, 0);
    let seen = Trace { head: Some(Head::Backend), status: Some(200), ended: true, ..Trace::default() };
    ledger.traces.insert(9, Trace { received: 8, sent: 9, attempts: vec![attempt], ..seen });
    ledger.attempt_records.push(record);
    ledger.end_records.push(end);
    invariants::l2_records_tell_what_happened(&mut ledger)
}

#[test]
fn l2_attempts() {
    l2_of_attempt(|_, _, _| {}).unwrap();
    // Where its end was not passed on, more may have come than was counted, and been cut than has left.
    l2_of_attempt(|attempt, _, end| {
        (attempt.request_ended, attempt.request_sent, end.request_octets) = (false, 4, 6);
    })
    .unwrap();
    // What was reset may have been given up before its end was seen.
    l2_of_attempt(|attempt, record, _| {
        (attempt.reset_by_gateway, record.outcome) = (true, AttemptOutcome::Abandoned);
    })
    .unwrap();
    let wrong: [fn(&mut Attempt, &mut AttemptRecord, &mut EndRecord); 11] = [
        |_, record, _| record.outcome = AttemptOutcome::Abandoned,
        |_, record, _| record.outcome = AttemptOutcome::Failed(Cause::ConnectionTerminated),
        |_, record, _| record.status = 204,
        |_, record, _| record.request_octets = 7,
        |_, record, _| record.request_octets = 9,
        |_, record, _| record.response_octets = 8,
        |_, record, _| record.endpoint = "10.9.9.9:1".into(),
        |_, record, _| record.upstream = "other".into(),
        |_, record, _| record.stream_id = 3,
        |_, _, end| end.request_octets = 7,
        |_, _, end| end.request_octets = 9,
    ];
    for (n, change) in wrong.into_iter().enumerate() {
        assert_eq!(l2_of_attempt(change).map_err(|violation| violation.id), Err("L2"), "case {n}");
    }
}

#[test]
fn l2_outcomes_and_status() {
    use shuntyard_core::gateway::Cause::QueueLimit;
    let whole = Trace { head: Some(Head::Backend), status: Some(200), ended: true, ..Trace::default() };
    l2_of(whole.clone(), Outcome::Complete, 200).unwrap();
    assert_breaks("L2", l2_of(whole.clone(), Outcome::Complete, 201));
    for wrong in [Outcome::ClientGone, Outcome::LocalReply(QueueLimit), Outcome::Truncated(QueueLimit)] {
        assert_breaks("L2", l2_of(whole.clone(), wrong, 200));
    }
    let own = Trace { head: Some(Head::Local(503)), ended: true, ..Trace::default() };
    l2_of(own.clone(), Outcome::LocalReply(QueueLimit), 503).unwrap();
    assert_breaks("L2", l2_of(own.clone(), Outcome::LocalReply(QueueLimit), 502));
    assert_breaks("L2", l2_of(own, Outcome::Truncated(QueueLimit), 503));
    assert_breaks("L2", l2_of(Trace::default(), Outcome::ClientGone, 0));
    let gone = Trace { front: Some((0, 1)), client_gone: true, ..Trace::default() };
    l2_of(gone.clone(), Outcome::ClientGone, 0).unwrap();
    // What is made for a client that has gone is complete as long as nobody knows that it has.
    l2_of(gone.clone(), Outcome::Complete, 200).unwrap();
    assert_breaks("L2", l2_of(Trace { gone_known: true, ..gone.clone() }, Outcome::Complete, 200));
    let known_since = |since| {
        let mut ledger = Ledger::default();
        ledger.traces.insert(9, gone.clone());
        ledger.fronts_over.insert(0, since);
        ledger
            .end_records
            .push(EndRecord { ended: Instant::from_nanos(5), ..end_of_9(Outcome::Complete, 200) });
        invariants::l2_records_tell_what_happened(&mut ledger)
    };
    known_since(5).unwrap();
    assert_breaks("L2", known_since(4));
}

/// What is said of a gateway that shows itself so, in a moment in which nobody crossed its sockets.
fn seen(seen: Inspection, view: View) -> Result<Vec<u64>, Violation> {
    let config = Scenario::new(0, vec![], vec![]).config;
    invariants::every_step(Scene {
        ledger: &Ledger::default(),
        checks: &mut Checks::default(),
        police: &[],
        view: &view,
        seen: &seen,
        config: &config,
        next_timeout: Some(1),
        draining: false,
        late: false,
        turns: &mut Turns::default(),
        beside: &mut Beside::default(),
        slack: 0,
    })
}

#[test]
fn n1_n2_each_limit_alone() {
    let config = Scenario::new(0, vec![], vec![]).config;
    let none = Inspection::default();
    seen(none, View::default()).unwrap();
    let sum = |seen: &Inspection| seen.permits + seen.uploads + seen.replays;
    let full = |permits, uploads, replays| Inspection { permits, uploads, replays, ..none };
    let (a, b, c) = (config.ledger_octets, config.upload_ledger_octets, config.replay_ledger_octets);
    let all = full(a, b, c);
    seen(all, View { reserved_octets: sum(&all), ..View::default() }).unwrap();
    // One too many in one of them, while the others have room for it.
    for over in [full(a + 1, 0, 0), full(0, b + 1, 0), full(0, 0, c + 1)] {
        assert_breaks("N1", seen(over, View { reserved_octets: sum(&over), ..View::default() }).map(drop));
    }
    for (id, over) in [
        ("N1", Inspection { front_permits: config.ledger_front_octets + 1, ..none }),
        ("N1", Inspection { front_replays: config.replay_front_octets + 1, ..none }),
        ("N1", Inspection { uploads: 1, ..none }),
        ("N2", Inspection { client_fronts: config.max_fronts_per_client + 1, ..none }),
        ("N2", Inspection { front_streams: config.front.max_concurrent_streams as usize + 1, ..none }),
        ("N2", Inspection { queue_beyond: 1, ..none }),
        ("T2", Inspection { unwatched_requests: 1, ..none }),
        ("T2", Inspection { unwatched_conns: 1, ..none }),
        ("T3", Inspection { stray_deadlines: 1, ..none }),
    ] {
        assert_breaks(id, seen(over, View::default()).map(drop));
    }
    for crowd in [
        View { fronts: config.max_fronts as usize + 1, ..View::default() },
        View { backends: config.backends_max as usize + 1, ..View::default() },
    ] {
        assert_breaks("N2", seen(none, crowd).map(drop));
    }
}

#[test]
fn r1_more_than_is_kept() {
    let config = Scenario::new(0, vec![], vec![]).config;
    let most = u64::from(config.upstreams[0].retry.replay_octets);
    for (given, fine) in [(most, true), (most + 1, false)] {
        let mut ledger = Ledger::default().limited(&config);
        ledger.upstream_of.insert(9, 0);
        ledger.trace(9).attempts.push(Attempt { request_sent: given, ..Attempt::default() });
        let result = invariants::r1_only_what_may_be_kept_is_sent_again(&mut ledger, 9);
        if fine { result.unwrap() } else { assert_breaks("R1", result) }
    }
}

/// A ledger in which request 9 of the client on link 0 waits for an upstream of one endpoint, to which link 1 leads.
fn waiting_for_one_endpoint() -> (shuntyard_core::config::Config, Ledger) {
    let config = Scenario::new(0, vec![], vec![Backend::new(1)]).config;
    let mut ledger = Ledger::default().limited(&config);
    let Host::Address(Address::Inet(target)) = config.upstreams[0].endpoints[0].host else {
        panic!("an address")
    };
    ledger.targets.insert(1, target);
    ledger.upstream_of.insert(9, 0);
    ledger.trace(9).front = Some((0, 1));
    ledger.active.insert(9);
    (config, ledger)
}

#[test]
fn e8_nobody_waits_for_long_beside_an_idle_connection() {
    let (config, mut ledger) = waiting_for_one_endpoint();
    let mut police = [Police::new(0, Side::Front, 0, 1), Police::new(1, Side::Backend, 0, 1)];
    let settings = |ack, settings| Frame::Settings { ack, settings }.encode();
    police[1].delivered(&settings(false, vec![(3, 1)]), true, &mut ledger).unwrap();
    let said = [PREFACE.to_vec(), settings(false, vec![]), settings(true, vec![])].concat();
    police[1].emitted(&said, &mut ledger).unwrap();
    police[1].sent(said.len(), &mut ledger).unwrap();
    let mut beside = Beside::default();
    let mut judge = |ledger: &Ledger, police: &[Police]| {
        invariants::e8_nobody_waits_for_long_beside_an_idle_connection(&mut Scene {
            ledger,
            checks: &mut Checks::default(),
            police,
            view: &View { queued: 1, requests: 1, ..View::default() },
            seen: &Inspection::default(),
            config: &config,
            next_timeout: None,
            draining: false,
            late: false,
            turns: &mut Turns::default(),
            beside: &mut beside,
            slack: SECOND,
        })
    };
    let connect = u64::try_from(config.timeouts.connect.as_nanos()).unwrap();
    judge(&ledger, &police).unwrap();
    ledger.now = connect + SECOND;
    judge(&ledger, &police).unwrap();
    ledger.now += 1;
    assert_breaks("E8", judge(&ledger, &police));
    // Whoever was not free in between is counted anew.
    police[1].paused = true;
    judge(&ledger, &police).unwrap();
    police[1].paused = false;
    judge(&ledger, &police).unwrap();
}

/// As many as are the minimum stay, and no more.
#[test]
fn e5_more_than_the_minimum_stay() {
    let (mut config, mut ledger) = waiting_for_one_endpoint();
    let target = ledger.targets[&1];
    ledger.targets.insert(2, target);
    let mut police =
        [0, 1, 2].map(|link| Police::new(link, if link == 0 { Side::Front } else { Side::Backend }, 0, 1));
    for police in &mut police[1..] {
        let settings = Frame::Settings { ack: false, settings: vec![] }.encode();
        police.delivered(&settings, true, &mut ledger).unwrap();
    }
    let idle = u64::try_from(config.timeouts.backend_idle.as_nanos()).unwrap();
    ledger.now = 3 * idle;
    let mut judge = |min| {
        config.upstreams[0].connections_min = min;
        in_scene((&ledger, &police, &config), SECOND, invariants::e5_idle_connections_go)
    };
    assert_breaks("E5", judge(0));
    assert_breaks("E5", judge(1));
    judge(2).unwrap();
}

/// The time in a queue is that of the request's own upstream.
#[test]
fn t4_e6_another_upstreams_queue_excuses_nobody() {
    let (mut config, mut ledger) = waiting_for_one_endpoint();
    let mut other = config.upstreams[0].clone();
    (other.name, other.queue_max) = ("other".into(), 1);
    other.queue_timeout = Duration::from_millis(1);
    config.upstreams[0].queue_timeout = Duration::from_secs(10);
    config.upstreams[0].queue_max = 10_000;
    config.upstreams.push(other);
    ledger.upstreams.clone_from(&config.upstreams);
    ledger.now = SECOND;
    let police = [Police::new(0, Side::Front, 0, 1), Police::new(1, Side::Backend, SECOND / 2, 1)];
    let after = |cause, seconds| {
        let mut record = end_of_9(Outcome::LocalReply(cause), 503);
        record.ended = Instant::ZERO + Duration::from_secs(seconds);
        record
    };
    let mut judge = |record: &EndRecord| {
        invariants::t4_no_deadline_acts_early(&mut ledger, record, &config)?;
        invariants::e6_only_the_hopeless_are_told(&mut ledger, &police, record, &config)
    };
    assert_breaks("T4", judge(&after(Cause::QueueLimit, 9)));
    judge(&after(Cause::QueueLimit, 10)).unwrap();
    assert_breaks("E6", judge(&after(Cause::ConnectionTimeout, 9)));
    judge(&after(Cause::ConnectionTimeout, 10)).unwrap();
}

#[test]
fn e6_told_although_somebody_comes_or_nobody_has_failed_lately() {
    let judge = |change: fn(&mut Police), now| {
        let (config, mut ledger) = waiting_for_one_endpoint();
        let mut police = [Police::new(0, Side::Front, 0, 1), Police::new(1, Side::Backend, 0, 1)];
        change(&mut police[1]);
        ledger.now = now;
        let record = end_of_9(Outcome::LocalReply(Cause::ConnectionRefused), 502);
        invariants::e6_only_the_hopeless_are_told(&mut ledger, &police, &record, &config)
    };
    judge(|police| police.lost(SECOND), 2 * SECOND).unwrap();
    // It is being dialled; and that it was dialled in vain was long ago.
    assert_breaks("E6", judge(|_| {}, SECOND));
    assert_breaks("E6", judge(|police| police.lost(SECOND), 62 * SECOND));
}

#[test]
fn r8_a_drain_excuses_who_came_behind_it_and_who_is_left_at_its_end() {
    let judge = |arrived, now| {
        let (_, mut ledger) = waiting_for_one_endpoint();
        ledger.drains(10, 10);
        ledger.now = now;
        ledger.trace(9).arrived = arrived;
        let trace = ledger.trace(9).clone();
        ledger.drain_excuses(&trace)
    };
    assert!(!judge(9, 19) && judge(10, 19) && judge(9, 20));
}
