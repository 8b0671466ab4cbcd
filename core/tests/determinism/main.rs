//! The gateway as a pure function of its inputs: the same again, in another thread, cut differently, at another time,
//! among events that mean nothing. proptest prints the seed of a failure.

mod record;
mod replay;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use record::{Script, Step, session, step};
use replay::{Outcome, Replay};

const MARKS: &[usize] = &[1, 300, 5000, 128 << 10];

/// Steps in which clients fall idle again and again.
const LONG: core::ops::Range<usize> = 50..200;

/// Runs a script as it was recorded.
fn run(script: &Script) -> Outcome {
    Replay::new(script, 0).run(script, |_| vec![])
}

/// The same, where so many idle clients stay awake and the others have the time to fall asleep.
fn unhurried(script: &Script, fronts_awake: u32) -> Outcome {
    Replay::of(script, 0, fronts_awake).unhurried().run(script, |_| vec![])
}

/// `marks`: how much output may wait before reading is paused.
fn scripts(marks: &'static [usize]) -> impl Strategy<Value = Script> {
    scripts_of(1..50, marks)
}

/// Of so many steps.
fn scripts_of(steps: core::ops::Range<usize>, marks: &'static [usize]) -> impl Strategy<Value = Script> {
    let marks = prop::sample::select(marks);
    let ledger = prop::sample::select(&[65_535u64, 150_000, 1 << 30][..]);
    let steps: BoxedStrategy<Vec<Step>> = prop::collection::vec(step(), steps).boxed();
    (marks, ledger, steps).prop_map(|(mark, ledger, steps)| session(mark, ledger, &steps))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn x1_the_same_inputs_give_the_same_octets(script in scripts(MARKS)) {
        let first = run(&script);
        let again = script.clone();
        let second = std::thread::spawn(move || run(&again)).join().expect("no panic");
        prop_assert_eq!(first, second);
    }

    /// X2, where all of them are taken: however the octets of one moment are cut, what comes out before the next is the same for each connection, and so
    /// are the other actions.
    #[test]
    fn x2_cuts_change_nothing(script in scripts(&[128 << 10]), sizes in prop::collection::vec(1..3000usize, 1..12)) {
        let whole = run(&script);
        prop_assume!(!whole.paused);
        let mut sizes = sizes.into_iter().cycle();
        let cut = Replay::new(&script, 0).run(&script, |_| vec![sizes.next().unwrap_or(1)]);
        prop_assert_eq!(&whole, &cut);
        let single = Replay::new(&script, 0).run(&script, |octets| vec![1; octets.min(3000)]);
        prop_assert_eq!(&whole, &single);
    }

    /// Who has slept goes on as before: nobody can tell.
    #[test]
    fn x_sleep_changes_nothing(script in scripts_of(LONG, MARKS)) {
        let with = |fronts_awake| unhurried(&script, fronts_awake).outside();
        let awake = with(1000);
        prop_assert_eq!(&awake, &with(1));
        prop_assert_eq!(&awake, &with(0));
    }

    #[test]
    fn x3_another_beginning_of_time_changes_nothing(script in scripts(MARKS), hours in 1..100_000u64) {
        let shifted = Replay::new(&script, hours * 3_600_000_000_000).run(&script, |_| vec![]);
        prop_assert_eq!(run(&script), shifted);
    }

    #[test]
    fn x6_events_without_meaning_change_nothing_and_are_counted(script in scripts(MARKS)) {
        let mut outcome = Replay::new(&script, 0).with_noise().run(&script, |_| vec![]);
        let expected = run(&script);
        prop_assert_eq!(expected.ignored, 0);
        prop_assert_eq!(outcome.ignored, outcome.noise);
        (outcome.ignored, outcome.noise) = (0, 0);
        prop_assert_eq!(expected, outcome);
    }

    /// Q1, Q2, L1: a drain ends by its deadline, nothing is left, and every request was started and ended once.
    #[test]
    fn q1_after_a_drain_nothing_is_left(script in scripts(MARKS)) {
        let outcome = run(&script);
        prop_assert_eq!(outcome.view, Default::default());
        let count = |start: &str| outcome.actions.iter().filter(|action| action.starts_with(start)).count();
        prop_assert_eq!(count("RequestId("), count("EndRecord"));
        prop_assert_eq!(count("Drained"), 1);
    }
}

/// One number for all that a fixed choice of scripts brings about. `.ci/run` compares it between a core with the feature
/// `observe` and one without: it only reads, so the numbers are equal.
#[test]
fn the_hash_of_all_actions() {
    let mut runner = TestRunner::deterministic();
    let (mut hash, mut octets) = (0xcbf2_9ce4_8422_2325_u64, 0);
    for _ in 0..100 {
        let script = scripts(MARKS).new_tree(&mut runner).expect("nothing is filtered").current();
        let text = format!("{:?}", run(&script));
        octets += text.len();
        hash = text
            .bytes()
            .fold(hash, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3));
    }
    assert!(octets > 100_000, "{octets} octets are no proof");
    println!("observe={} hash={hash:016x}", cfg!(feature = "observe"));
}

/// Or nothing would be shown by what is the same with and without sleepers.
#[test]
fn somebody_sleeps_in_many_scripts() {
    let mut runner = TestRunner::deterministic();
    let mut script = || scripts_of(LONG, MARKS).new_tree(&mut runner).expect("nothing is filtered").current();
    let slept = (0..100).filter(|_| unhurried(&script(), 0).slept).count();
    assert!(slept > 15, "{slept} of 100");
}
