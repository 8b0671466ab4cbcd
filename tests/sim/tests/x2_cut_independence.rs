//! X2: how octets are cut over several `handle_recv` at one moment, before one round of output, changes nothing.

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
        policy.segmentation = Segmentation::Whole;
    }
    scenario.sessions.iter_mut().for_each(|session| session.network[0].segmentation = towards_gateway);
    scenario.backends.iter_mut().for_each(|backend| backend.network[1].segmentation = towards_gateway);
    scenario.config.front.outbox_high_mark = 1 << 30;
    scenario.config.backend.outbox_high_mark = 1 << 30;
    scenario
}

/// Actions other than those that speak of reading and writing.
fn effects(report: &Report) -> Vec<&String> {
    report.log.iter().filter(|line| !line.contains(" Writable(") && !line.contains(" Readable(")).collect()
}

#[test]
fn x2_output_does_not_depend_on_cuts() {
    const SEEDS: std::ops::Range<u64> = 2000..2040;
    println!("seeds {SEEDS:?}");
    let mut octets = 0;
    for seed in SEEDS {
        let run =
            |how| run_with(&scenario(seed, how), true).unwrap_or_else(|failure| panic!("{how:?}: {failure}"));
        let whole = run(Segmentation::Whole);
        octets += whole.octets;
        for how in [Segmentation::Fixed(1), Segmentation::Random(100), Segmentation::FrameBoundary] {
            let cut = run(how);
            assert_eq!(effects(&whole), effects(&cut), "seed {seed}, {how:?}");
            assert_eq!(whole.outputs.len(), cut.outputs.len(), "seed {seed}, {how:?}");
            for (link, (one, two)) in whole.outputs.iter().zip(&cut.outputs).enumerate() {
                let at = one.iter().zip(two).position(|(a, b)| a != b);
                assert!(
                    one == two,
                    "seed {seed}, {how:?}, link {link}: {} and {} octets, first difference at {at:?}",
                    one.len(),
                    two.len()
                );
            }
        }
    }
    assert!(octets > 100_000, "only {octets} octets were compared");
}
