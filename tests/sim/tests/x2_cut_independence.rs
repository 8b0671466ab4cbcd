//! X2: how octets are cut over several `handle_recv` at one moment, before one round of output, changes nothing.

use std::ops::Range;

use shuntyard_sim::cut::Segmentation;
use shuntyard_sim::generate::generate;
use shuntyard_sim::run::{Report, run_with};
use shuntyard_sim::scenario::{AdapterPlan, Scenario};

/// The scenario of a seed in which everything written at one moment arrives at one moment, cut as said, and in which no
/// outbox is ever so full that input is held back: then all input comes before one round of output.
fn scenario(seed: u64, towards_gateway: Segmentation) -> Scenario {
    let mut scenario = generate(seed);
    scenario.adapter = AdapterPlan { eager: false, ..AdapterPlan::default() };
    let sessions = scenario.sessions.iter_mut().flat_map(|session| &mut session.network);
    let backends = scenario.backends.iter_mut().flat_map(|backend| &mut backend.network);
    for policy in sessions.chain(backends) {
        (policy.gap, policy.short_writes, policy.capacity) = (0, 0, 16 << 20);
        (policy.jitter, policy.stall) = (0, None);
        policy.segmentation = Segmentation::Whole;
    }
    scenario.sessions.iter_mut().for_each(|session| session.network[0].segmentation = towards_gateway);
    scenario.backends.iter_mut().for_each(|backend| backend.network[1].segmentation = towards_gateway);
    // With pauses more comes at one moment on several connections, and which of them is first depends on the pieces.
    let exchanges = scenario.sessions.iter_mut().flat_map(|session| &mut session.exchanges);
    exchanges.for_each(|exchange| exchange.response.interim_pause = 0);
    // Who makes room in a full table is who has said nothing yet: of several that speak at one moment, whose pieces are read last.
    scenario.config.max_fronts = 100_000;
    scenario.config.front.outbox_high_mark = 1 << 30;
    scenario.config.backend.outbox_high_mark = 1 << 30;
    scenario
}

/// Actions other than those that speak of reading and writing.
fn effects(report: &Report) -> Vec<&String> {
    let hints = [" Writable(", " Readable(", " link "];
    report.log.iter().filter(|line| !hints.iter().any(|hint| line.contains(hint))).collect()
}

/// What differs between two runs, if anything.
fn difference(whole: &Report, cut: &Report) -> Option<String> {
    let (one, two) = (effects(whole), effects(cut));
    let action = one.iter().zip(&two).position(|(a, b)| a != b);
    for (link, (one, two)) in whole.outputs.iter().zip(&cut.outputs).enumerate() {
        if one != two {
            let at = one.iter().zip(two).position(|(a, b)| a != b);
            return Some(format!(
                "link {link}: {} and {} octets, first difference at {at:?}",
                one.len(),
                two.len()
            ));
        }
    }
    (one != two).then(|| format!("{:?}", action.map(|at| (one[at], two[at]))))
}

fn compare(seeds: Range<u64>, take: fn(&Scenario) -> bool) {
    println!("seeds {seeds:?}");
    let mut octets = 0;
    let mut differences = Vec::new();
    for seed in seeds.filter(|&seed| take(&generate(seed))) {
        let run =
            |how| run_with(&scenario(seed, how), true).unwrap_or_else(|failure| panic!("{how:?}: {failure}"));
        let whole = run(Segmentation::Whole);
        octets += whole.octets;
        for how in [Segmentation::Fixed(1), Segmentation::Random(100), Segmentation::FrameBoundary] {
            differences
                .extend(difference(&whole, &run(how)).map(|text| format!("seed {seed}, {how:?}: {text}")));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert!(octets > 100_000, "only {octets} octets were compared");
}

#[test]
fn x2_output_does_not_depend_on_cuts() {
    compare(2000..2100, |scenario| !scenario.has_faults());
}

/// Refused and ended streams of one moment free slots: which frozen request gets which must not depend on whether they
/// came in one `handle_recv` or in two (seed 2011).
#[test]
fn x2_output_does_not_depend_on_cuts_in_the_face_of_faults() {
    compare(2000..2060, Scenario::has_faults);
}
