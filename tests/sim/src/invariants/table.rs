//! All invariants by number: when each is looked at, and where, or why not.

use std::collections::BTreeMap;

/// What is done about an invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Checked in every run of the swarm; the checks are counted under its id.
    Swarm,
    /// Checked by a test that compares runs or looks at one in its own way.
    Test(&'static str),
    /// Nothing of its own to look at: it holds by what is said here.
    Follows(&'static str),
    /// Checked by a test of another crate, since it needs what is only there: the folder of its source, and its name.
    Elsewhere(&'static str, &'static str),
    /// Cannot hold as it was written, or cannot be looked at; why, and what holds instead.
    Open(&'static str),
}

/// One invariant.
#[derive(Clone, Copy, Debug)]
pub struct Invariant {
    /// Its number.
    pub id: &'static str,
    /// After every step, at rest, at the end of a run, or by comparing runs.
    pub when: &'static str,
    /// What is done about it.
    pub state: State,
}

const fn row(id: &'static str, when: &'static str, state: State) -> Invariant {
    Invariant { id, when, state }
}

use State::{Elsewhere, Follows, Open, Swarm, Test};

/// The 76 invariants: those of the design in its order, with one that came later (R8).
pub const ALL: [Invariant; 76] = [
    row("L1", "step, end", Swarm),
    row("L2", "end", Swarm),
    row("L3", "step", Swarm),
    row("L4", "step", Swarm),
    row("L5", "step", Swarm),
    row("L6", "step", Swarm),
    row("L7", "end", Swarm),
    row("L8", "step", Swarm),
    row("D1", "step", Swarm),
    row("D2", "step", Swarm),
    row("D3", "step", Swarm),
    row("D4", "step", Swarm),
    row("D5", "end", Swarm),
    row(
        "D6",
        "step",
        Follows("the client decides when content follows; that none leaves before it came is D1"),
    ),
    row("E1", "step", Swarm),
    row("E2", "step", Swarm),
    row("E3", "step", Swarm),
    row("E4", "step", Swarm),
    row("E5", "step", Swarm),
    row("E6", "end", Swarm),
    row("E7", "step", Swarm),
    row("E8", "step", Swarm),
    row("E9", "end", Swarm),
    row("E10", "step", Swarm),
    row("E11", "step", Swarm),
    row("E12", "step", Swarm),
    row("R1", "step", Swarm),
    row("R2", "step", Swarm),
    row("R3", "step", Swarm),
    row("R4", "step", Swarm),
    row("R5", "step", Swarm),
    row("R6", "step", Swarm),
    row("R7", "step", Swarm),
    row("R8", "step", Swarm),
    row("W1", "step", Swarm),
    row("W2", "step", Swarm),
    row("W3", "step", Swarm),
    row("W4", "step, rest", Swarm),
    row("W5", "step", Swarm),
    row("W6", "step", Swarm),
    row("W7", "step", Swarm),
    row("W8", "runs", Test("w8_streams_that_stand_still_change_no_other")),
    row("C1", "step", Swarm),
    row("C2", "step", Swarm),
    row("C3", "step", Swarm),
    row("C4", "step", Swarm),
    row("C5", "step, rest", Swarm),
    row("C6", "step", Swarm),
    row("C7", "step", Swarm),
    row("C8", "step", Test("c8_seeds_of_both_versions_without_a_violation")),
    row("N1", "step", Swarm),
    row("N2", "step", Swarm),
    row(
        "N3",
        "step",
        Open(
            "the world's memory is in the same program as the gateway's: an allocator that tells them apart marks each \
             piece with its owner, which takes unsafe code, and the workspace forbids that. What a gateway holds is bounded by \
             a formula that core/tests/engines/memory_bound.rs exhausts, and tests/attacks looks from outside at how much a \
             process grows",
        ),
    ),
    row("N4", "step", Swarm),
    row("N5", "step", Swarm),
    row(
        "N6",
        "step",
        Follows(
            "no rate of streams is configured: who opens streams and resets them spends the budget of N5, which ends its \
             connection, and at no time are more open than C6 and N2 allow",
        ),
    ),
    row("T1", "step", Swarm),
    row("T2", "step", Swarm),
    row("T3", "step", Swarm),
    row("T4", "step", Swarm),
    row("T5", "step", Swarm),
    row("Q1", "end", Swarm),
    row("Q2", "end", Swarm),
    row("Q3", "runs", Test("q3_rounds_of_work_leave_nothing_behind")),
    row("X1", "runs", Test("x1_two_runs_in_two_threads_are_equal")),
    row("X2", "runs", Test("x2_output_does_not_depend_on_cuts")),
    row("X3", "runs", Test("x3_a_later_begin_changes_nothing")),
    row("X4", "runs", Test("x4_other_slots_change_nothing")),
    row("X5", "runs", Test("x5_a_copy_goes_on_alike")),
    row("X6", "step", Swarm),
    row("X7", "runs", Elsewhere("tests/peers", "recordings_replay_to_the_same")),
    row("I1", "runs", Test("i1_who_shares_nothing_notices_nothing")),
    row("I2", "end", Swarm),
    row("I3", "step", Swarm),
    row("A1", "step", Swarm),
    row("A2", "step", Swarm),
];

/// Lines for people: each invariant, when it is looked at, how often it was, or why it is not.
pub fn lines(checks: &BTreeMap<&'static str, u64>) -> Vec<String> {
    let line = |invariant: &Invariant| {
        let state = match invariant.state {
            Swarm => format!("{} checks", checks.get(invariant.id).copied().unwrap_or(0)),
            Test(name) => format!("by {name}"),
            Elsewhere(folder, name) => format!("by {name} in {folder}"),
            Follows(why) => format!("follows: {why}"),
            Open(why) => format!("open: {why}"),
        };
        format!("{:4} {:11} {state}", invariant.id, invariant.when)
    };
    ALL.iter().map(line).collect()
}

/// Invariants that the swarm should have looked at and never did.
pub fn never_checked(checks: &BTreeMap<&'static str, u64>) -> Vec<&'static str> {
    let unseen = |invariant: &&Invariant| {
        invariant.state == Swarm && checks.get(invariant.id).copied().unwrap_or(0) == 0
    };
    ALL.iter().filter(unseen).map(|invariant| invariant.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_there_once() {
        let mut ids: Vec<&str> = ALL.iter().map(|invariant| invariant.id).collect();
        let order = [("L", 8), ("D", 6), ("E", 12), ("R", 8), ("W", 8), ("C", 8), ("N", 6), ("T", 5)];
        let order = order.into_iter().chain([("Q", 3), ("X", 7), ("I", 3), ("A", 2)]);
        let expected: Vec<String> =
            order.flat_map(|(group, count)| (1..=count).map(move |n| format!("{group}{n}"))).collect();
        assert_eq!(ids, expected);
        ids.dedup();
        assert_eq!(ids.len(), 76);
    }
}
