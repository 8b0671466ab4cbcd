//! Model clients against model backends with nothing between them but the network: the simulator's own footing.

use std::sync::Arc;

use shuntyard_sim::backend::BackendConn;
use shuntyard_sim::client::Client;
use shuntyard_sim::cut::Segmentation;
use shuntyard_sim::net::{Link, PipePolicy};
use shuntyard_sim::refcodec::frame;
use shuntyard_sim::refcodec::hpack::Indexing;
use shuntyard_sim::scenario::{Backend, BackendFault, Exchange, GoAwayLast, Leave, Phase, Scenario, Session};
use shuntyard_sim::truth;
use shuntyard_sim::world::{MICRO, MILLI, Wake, World};

/// Runs the first session against the first backend until nothing happens any more.
fn run(session: Session, backend: Backend) -> Client {
    let scenario = Scenario::new(1, vec![session.clone()], vec![backend.clone()]);
    let mut world = World::default();
    let wakes = [Wake::Client(0), Wake::Backend(0)];
    let mut link = Link::new(1, "direct", session.network, wakes);
    let mut client = Client::new(session, wakes[0]);
    let fault = backend.fault.map(|(_, fault)| fault);
    let mut server = BackendConn::new(backend, fault, Arc::new(scenario.exchanges()), wakes[1], &mut world);
    world.wake(0, wakes[0]);
    world.wake(0, wakes[1]);
    for _ in 0..2_000_000 {
        while let Some(who) = world.pop_due() {
            match who {
                Wake::Client(_) => client.wake(&mut link, &mut world).unwrap(),
                _ => server.wake(&mut link, &mut world).unwrap(),
            }
        }
        let Some(next) = world.next_at() else { return client };
        world.advance(next);
    }
    panic!("it never comes to rest");
}

fn assert_all_true(client: &Client) {
    for (exchange, answer) in client.session().exchanges.iter().zip(&client.answers) {
        assert!(answer.ended && answer.reset.is_none(), "{}: {answer:?}", exchange.rid);
        let head = answer.head.as_ref().unwrap();
        assert_eq!(truth::field_difference(exchange.rid, &truth::response_head(exchange), head), None);
        assert_eq!((answer.content, answer.first_wrong), (truth::response_length(exchange), None));
        assert_eq!(answer.trailers.is_some(), exchange.response.trailers);
        assert_eq!(answer.interim.len(), usize::from(exchange.response.interim));
    }
    assert!(client.is_acknowledged());
}

fn mixed(count: u64) -> Vec<Exchange> {
    let one = |rid: u64| {
        let mut exchange = if rid.is_multiple_of(2) {
            Exchange::get(rid, rid * 9000)
        } else {
            Exchange::echo(rid, rid * 7000)
        };
        exchange.response.interim = u8::try_from(rid % 3).unwrap();
        exchange.response.trailers = rid % 4 == 1;
        exchange.request.trailers = rid % 5 == 1;
        exchange.request.declare_length = rid.is_multiple_of(3);
        exchange.response.pace.padding = (rid % 7 == 3).then_some(200);
        exchange.request.pace.frame = 1 + usize::try_from(rid).unwrap() * 1000;
        exchange
    };
    (0..count).map(one).collect()
}

#[test]
fn plain_sessions_complete() {
    assert_all_true(&run(Session::new(mixed(25)), Backend::new(1)));
}

#[test]
fn every_segmentation_small_windows_and_slow_readers_complete() {
    for segmentation in [
        Segmentation::Fixed(1),
        Segmentation::Fixed(7),
        Segmentation::Random(3000),
        Segmentation::FrameBoundary,
    ] {
        let mut session = Session::new(mixed(8));
        session.network =
            [PipePolicy { segmentation, capacity: 3000, short_writes: 50, gap: 10, ..PipePolicy::default() };
                2];
        session.peer.initial_window = 0;
        session.peer.window_at_open = 100;
        session.peer.grant_percent = 100;
        session.peer.indexing = Indexing::Without;
        session.peer.block_max = 5;
        session.peer.read = Some((500, 20 * MICRO));
        let mut backend = Backend::new(1);
        backend.peer.initial_window = 1000;
        backend.peer.max_concurrent = Some(2);
        backend.peer.header_table = 0;
        backend.peer.later_settings =
            vec![(MILLI, frame::INITIAL_WINDOW_SIZE, 10), (MILLI, frame::HEADER_TABLE_SIZE, 300)];
        backend.peer.pings = Some((3, MILLI));
        assert_all_true(&run(session, backend));
    }
}

#[test]
fn an_early_response_ends_the_upload() {
    let mut exchange = Exchange::echo(1, 500_000);
    exchange.response.kind = shuntyard_sim::scenario::ResponseKind::Source(10);
    exchange.response.early = true;
    assert_all_true(&run(Session::new(vec![exchange]), Backend::new(1)));
}

#[test]
fn faults_have_the_outcome_they_should() {
    let mut backend = Backend::new(1);
    backend.fault = Some((1, BackendFault::GoAway { after: 2, last: GoAwayLast::Before, code: 0 }));
    let mut session = Session::new(mixed(3));
    session.concurrency = 3;
    let client = run(session, backend.clone());
    assert!(client.answers[0].ended, "{:?}", client.answers[0]);
    assert!(client.answers[1].dropped, "{:?}", client.answers[1]);

    backend.fault = Some((1, BackendFault::Leave { after: 1, how: Leave::Reset }));
    let client = run(Session::new(mixed(3)), backend.clone());
    assert!(client.answers.iter().all(|answer| answer.dropped));

    backend.fault = None;
    let mut exchange = Exchange::get(1, 1000);
    exchange.response.reset = Some((Phase::ResponseHead, frame::CANCEL));
    let mut cancelled = Exchange::echo(2, 100_000);
    cancelled.request.cancel = Some(Phase::Sent(20_000));
    let client = run(Session::new(vec![exchange, cancelled, Exchange::get(3, 5)]), backend);
    assert_eq!((client.answers[0].reset, client.answers[0].ended), (Some(frame::CANCEL), false));
    assert!(client.answers[1].cancelled && client.answers[2].ended);
}
