//! What comparing runs shows: the same scenario in other words, with more beside it, cut at every moment, under other scopes.

use shuntyard_core::config::{RouteConfig, Scope, UpstreamConfig};
use shuntyard_sim::cut::Segmentation;
use shuntyard_sim::generate::generate;
use shuntyard_sim::run::{Cut, Options, Report, run, run_as, run_with};
use shuntyard_sim::scenario::{Backend, Exchange, Leave, Scenario, Session};
use shuntyard_sim::world::SECOND;

fn assert_runs(scenario: &Scenario, options: Options) -> Report {
    run_as(scenario, options).unwrap_or_else(|failure| panic!("{options:?}: {failure}"))
}

/// Two clients and two backends with a little of everything.
fn mixed() -> Scenario {
    let first = Session::new(vec![Exchange::get(1, 300), Exchange::echo(2, 200), Exchange::get(3, 0)]);
    let second = Session { n: 1, ..Session::new(vec![Exchange::echo(4, 100), Exchange::get(5, 50)]) };
    Scenario::new(5, vec![first, second], vec![Backend::new(1), Backend::new(2)])
}

#[test]
fn x3_a_later_begin_changes_nothing() {
    for seed in 3000..3010 {
        let scenario = generate(seed);
        let now = assert_runs(&scenario, Options::default());
        let later = assert_runs(&scenario, Options { epoch: 77_777 * SECOND, ..Options::default() });
        assert_eq!(now.hash, later.hash, "seed {seed}");
    }
}

#[test]
fn x4_other_slots_change_nothing() {
    for seed in 3030..3040 {
        let scenario = generate(seed);
        let one = assert_runs(&scenario, Options { keep: true, ..Options::default() });
        let other = assert_runs(&scenario, Options { keep: true, warm: 5, ..Options::default() });
        assert_eq!(one.outputs.len(), other.outputs.len(), "seed {seed}");
        assert_eq!(undated(one), undated(other), "seed {seed}");
    }
}

/// The answers without the time: who comes first is dated earlier.
fn undated(report: Report) -> impl PartialEq + std::fmt::Debug {
    let mut answers = report.answers;
    for head in answers.values_mut().filter_map(|answer| answer.head.as_mut()) {
        head.retain(|(name, _)| name != b"date");
    }
    answers
}

#[test]
fn q3_rounds_of_work_leave_nothing_behind() {
    let rounds = |count: usize| {
        let session = |n: usize| {
            let rid = 10 * n as u64;
            let exchanges = vec![Exchange::get(rid + 1, 90_000), Exchange::echo(rid + 2, 70_000)];
            let start = n as u64 * SECOND;
            let leave = Some((start + SECOND / 2, Leave::Close));
            Session { n, start, leave, ..Session::new(exchanges) }
        };
        let scenario = Scenario::new(1, (0..count).map(session).collect(), vec![Backend::new(1)]);
        run(&scenario).unwrap_or_else(|failure| panic!("{failure}")).rest
    };
    let (few, many) = (rounds(2), rounds(9));
    assert_eq!((few.fronts, few.requests, few.buffered_octets), (0, 0, 0));
    assert_eq!(few, many);
}

/// Two upstreams; the second session uses the second one alone.
fn apart(neighbour: bool) -> Scenario {
    let mut backends = vec![Backend::new(1), Backend::new(2)];
    backends[1].peer.initial_window = 1000;
    let mut own = Session::new(vec![Exchange::get(1, 50_000), Exchange::echo(2, 9_000)]);
    own.exchanges.iter_mut().for_each(|exchange| exchange.request.host = "own.example".to_owned());
    let mut other = Session { n: 1, start: 300_000, ..Session::new(vec![Exchange::echo(3, 80_000)]) };
    other.exchanges[0].request.host = "other.example".to_owned();
    let sessions = if neighbour { vec![own, other] } else { vec![own] };
    let mut scenario = Scenario::new(2, sessions, backends);
    scenario.config.upstreams = vec![
        UpstreamConfig::new("own", vec![scenario.backends[0].address.into()]),
        UpstreamConfig::new("other", vec![scenario.backends[1].address.into()]),
    ];
    let route = |name: &str| {
        let mut route = RouteConfig::any(name, name);
        route.host = shuntyard_core::config::HostPattern::Exact(format!("{name}.example").into());
        route
    };
    scenario.config.routes = vec![route("own"), route("other")];
    scenario
}

#[test]
fn i1_who_shares_nothing_notices_nothing() {
    let [alone, beside] = [false, true]
        .map(|neighbour| run_with(&apart(neighbour), true).unwrap_or_else(|failure| panic!("{failure}")));
    assert!(alone.outputs[0].len() > 50_000);
    // The drain at the end comes at another time: what is compared is what the client got before.
    assert_eq!(alone.answers[&1], beside.answers[&1]);
    assert_eq!(alone.answers[&2], beside.answers[&2]);
    assert_eq!(alone.outputs[0], beside.outputs[0]);
}

#[test]
fn w8_streams_that_stand_still_change_no_other() {
    let scenario = |stalled: bool| {
        let own = Session::new(vec![Exchange::get(1, 200_000), Exchange::echo(2, 100_000)]);
        let mut still =
            Session { n: 1, ..Session::new((10..20).map(|rid| Exchange::get(rid, 90_000)).collect()) };
        still.peer.grant_percent = 101;
        let sessions = if stalled { vec![own, still] } else { vec![own] };
        let mut scenario = Scenario::new(3, sessions, vec![Backend::new(1)]);
        scenario.config.upstreams[0].connections_max = 1;
        scenario
    };
    let [alone, beside] =
        [false, true].map(|stalled| run(&scenario(stalled)).unwrap_or_else(|failure| panic!("{failure}")));
    assert!(beside.answers[&10].content < 90_000, "it stands still");
    for rid in [1, 2] {
        assert!(alone.answers[&rid].ended);
        assert_eq!(alone.answers[&rid].content, beside.answers[&rid].content);
        assert!(beside.answers[&rid].ended, "request {rid} waits for streams that stand still");
    }
}

/// S3: one thing goes wrong at every moment of a run that is healthy otherwise. Whom it cannot have touched is answered as ever, and who
/// comes then is served.
#[test]
fn s3_something_goes_wrong_at_every_moment() {
    let scenario = mixed();
    let moments = assert_runs(&scenario, Options::default()).steps;
    let cuts = [
        Cut::Client(Leave::Close),
        Cut::Client(Leave::Reset),
        Cut::Backend(Leave::Close),
        Cut::Backend(Leave::Reset),
        Cut::GoAway { serves: true },
        Cut::GoAway { serves: false },
        Cut::Jump,
        Cut::Drain,
        Cut::Configure { same: false },
    ];
    assert!(moments > 15, "{moments}");
    for at in 1..=moments {
        for cut in cuts {
            assert_runs(&scenario, Options { cut: Some((at, cut)), ..Options::default() });
        }
    }
    println!("{moments} moments, {} kinds of cuts", cuts.len());
}

/// What clients saw of their own requests. Where something is done at a moment of its own nobody probes at the end.
fn scripted(mut report: Report) -> impl PartialEq + std::fmt::Debug {
    report.answers.retain(|&rid, _| rid < 10);
    undated(report)
}

/// A configuration that is given again changes nothing, whenever it comes.
#[test]
fn s4_the_same_configuration_at_every_moment_changes_nothing() {
    let scenario = mixed();
    let plain = assert_runs(&scenario, Options::default());
    let moments = plain.steps;
    let plain = scripted(plain);
    for at in 1..=moments {
        let cut = Some((at, Cut::Configure { same: true }));
        let again = assert_runs(&scenario, Options { cut, ..Options::default() });
        assert_eq!(scripted(again), plain, "configured at moment {at}");
    }
}

/// S5: all that a client sends in one piece, cut in two at every octet, and octet by octet.
#[test]
fn s5_input_is_cut_in_two_at_every_octet() {
    let mut scenario = Scenario::new(
        9,
        vec![Session { patient: false, ..Session::new(vec![Exchange::get(1, 30), Exchange::echo(2, 40)]) }],
        vec![Backend::new(1)],
    );
    let whole = run_with(&scenario, true).unwrap_or_else(|failure| panic!("{failure}"));
    let octets = 400;
    for at in (1..octets).map(Segmentation::SplitAt).chain([Segmentation::Fixed(1)]) {
        scenario.sessions[0].network[0].segmentation = at;
        let cut = run_with(&scenario, true).unwrap_or_else(|failure| panic!("{at:?}: {failure}"));
        assert_eq!(whole.outputs, cut.outputs, "{at:?}");
    }
}

/// S6: who shares a connection with whom changes nothing that clients see.
#[test]
fn s6_scopes_change_no_answer() {
    let mut compared = 0;
    for seed in (4000..4300).filter(|&seed| !generate(seed).has_faults()).take(10) {
        let seen = [Scope::Worker, Scope::Client, Scope::None].map(|share| {
            let mut scenario = generate(seed);
            scenario.config.upstreams.iter_mut().for_each(|upstream| upstream.share = share);
            let report = run(&scenario).unwrap_or_else(|failure| panic!("seed {seed}, {share:?}: {failure}"));
            let answer =
                |a: &shuntyard_sim::client::Answer| (a.status(), a.content, a.ended, a.trailers.is_some());
            report.answers.iter().map(|(&rid, seen)| (rid, answer(seen))).collect::<Vec<_>>()
        });
        assert_eq!(seen[0], seen[1], "seed {seed}");
        assert_eq!(seen[0], seen[2], "seed {seed}");
        compared += seen[0].len();
    }
    assert!(compared > 50, "{compared} answers compared");
}
