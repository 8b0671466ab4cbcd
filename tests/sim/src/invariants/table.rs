//! All invariants by number: what each says, when it is looked at, and where, or why not.

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
    /// What holds, in a sentence.
    pub says: &'static str,
    /// After every step, at rest, at the end of a run, or by comparing runs.
    pub when: &'static str,
    /// What is done about it.
    pub state: State,
}

const fn row(id: &'static str, says: &'static str, when: &'static str, state: State) -> Invariant {
    Invariant { id, says, when, state }
}

use State::{Elsewhere, Follows, Open, Swarm, Test};

/// The 76 invariants: those of the design in its order, with one that came later (R8).
pub const ALL: [Invariant; 76] = [
    row("L1", "each request has one start record and one end record, the start first", "step, end", Swarm),
    row(
        "L2",
        "records of requests and attempts tell what crossed the wires: outcome, status, octets, attempts",
        "end",
        Swarm,
    ),
    row(
        "L3",
        "each request that has not ended is in exactly one place, and the queue holds the frozen ones",
        "step",
        Swarm,
    ),
    row(
        "L4",
        "nothing is sent on a stream of which the gateway knows that its peer has reset it",
        "step",
        Swarm,
    ),
    row(
        "L5",
        "on each stream there is one message: interim responses, a head, content of the length it says, at most one section of trailers, one end and nothing behind it",
        "step",
        Swarm,
    ),
    row(
        "L6",
        "a response that broke off or is malformed at its backend never ends cleanly at its client",
        "step",
        Swarm,
    ),
    row("L7", "who is touched by no fault gets exactly the response of the script", "end", Swarm),
    row(
        "L8",
        "of an attempt that failed the client sees nothing: the head is that of the last attempt",
        "step",
        Swarm,
    ),
    row(
        "D1",
        "what leaves of content is a prefix of what came, and all of it where it ends cleanly",
        "step",
        Swarm,
    ),
    row(
        "D2",
        "each octet of content and each tagged field is that of its request, at its place",
        "step",
        Swarm,
    ),
    row(
        "D3",
        "fields arrive as they left, in their order, but for those that a gateway owes; trailers stay trailers",
        "step",
        Swarm,
    ),
    row(
        "D4",
        "the end of a message leaves with its last octet, and waits for no window, turn or timer",
        "step",
        Swarm,
    ),
    row("D5", "a response that is complete before its upload reaches the client whole", "end", Swarm),
    row(
        "D6",
        "content of a request that expects 100 (Continue) is not sent before the client sends it",
        "step",
        Follows("the client decides when content follows; that none leaves before it came is D1"),
    ),
    row("E1", "no endpoint has more connections that take requests than its upstream allows", "step", Swarm),
    row("E2", "while a request is frozen its client sees nothing of it but a final error", "step", Swarm),
    row("E3", "while a request is frozen its client gets no credit for it", "step", Swarm),
    row(
        "E4",
        "who is frozen waits for memory or for an engine that there is or that is being dialled",
        "step",
        Swarm,
    ),
    row("E5", "a backend connection that nobody needs is given up when its idle time is over", "step", Swarm),
    row(
        "E6",
        "no request is lost with an engine: each is answered, reset, left out or its client is gone",
        "end",
        Swarm,
    ),
    row("E7", "each engine has a connection of its own", "step", Swarm),
    row(
        "E8",
        "who is frozen goes first come first served within a client and a class, and at once where a slot is free",
        "step",
        Swarm,
    ),
    row(
        "E9",
        "the end of one request changes no other",
        "end",
        Follows(
            "L7 judges each request by what touches itself: its script, its client, its upstream. Whatever becomes of others, it must have its response",
        ),
    ),
    row(
        "E10",
        "who has gone holds no stream at a backend, and nothing is asked for it any more",
        "step",
        Swarm,
    ),
    row("E11", "only requests that may share a connection do", "step", Swarm),
    row(
        "E12",
        "what the gateway holds for live is what has an attempt on the wires that is not over",
        "step",
        Swarm,
    ),
    row("R1", "only a request whose content has been kept from its first octet is sent again", "step", Swarm),
    row("R2", "nothing of a response has left for the client when its request is sent again", "step", Swarm),
    row(
        "R3",
        "what may have been executed is sent again only if it is idempotent, and what was given up never leaves after all",
        "step",
        Swarm,
    ),
    row(
        "R4",
        "attempts that may have been executed are no more than configured, whatever ended them",
        "step",
        Swarm,
    ),
    row("R5", "all attempts have the same fields, but for those that tell of the attempt", "step", Swarm),
    row(
        "R6",
        "no stream is opened on a connection whose backend is known to have said GOAWAY",
        "step",
        Swarm,
    ),
    row("R7", "who was refused goes again only after its pause", "step", Swarm),
    row(
        "R8",
        "who was refused or left out is sent again as often as configured before it is told",
        "step",
        Swarm,
    ),
    row(
        "W1",
        "content leaves only within the windows of its stream and its connection, padding included",
        "step",
        Swarm,
    ),
    row("W2", "a window that is raised beyond 2^31-1 ends its stream or its connection", "step", Swarm),
    row(
        "W3",
        "credit goes back only for what came, and of content as it leaves on the other side",
        "step",
        Swarm,
    ),
    row(
        "W4",
        "no credit is lost: where no stream is open the window of the connection is open again",
        "step, rest",
        Swarm,
    ),
    row("W5", "what is held of a stream fits the window that its sender was given", "step", Swarm),
    row("W6", "what could leave has left: nothing waits for an event that has happened", "step", Swarm),
    row(
        "W7",
        "a changed initial window moves the windows of open streams by the difference, below 0 too",
        "step",
        Follows(
            "W1 goes by windows that each acknowledged change has moved, below 0 too, and W6 by the same: who moves them otherwise sends too much or waits",
        ),
    ),
    row(
        "W8",
        "streams that stand still change no other stream of their connection",
        "runs",
        Test("w8_streams_that_stand_still_change_no_other"),
    ),
    row("C1", "field blocks are understood by a decoder with the table that the peer has", "step", Swarm),
    row(
        "C2",
        "a lowered limit of the table is followed by the size updates of RFC 7541 section 4.2",
        "step",
        Swarm,
    ),
    row("C3", "a line that must never be indexed leaves as such a line", "step", Swarm),
    row("C4", "frames come in an order and on streams on which RFC 9113 allows them", "step", Swarm),
    row("C5", "each SETTINGS and each PING is acknowledged once, in order", "step, rest", Swarm),
    row("C6", "no more streams are open at a backend than it allows when one is opened", "step", Swarm),
    row("C7", "the last stream that GOAWAY names never rises", "step", Swarm),
    row(
        "C8",
        "what an HTTP/1.1 peer reads is the messages that were meant, by a strict grammar",
        "step",
        Test("c8_seeds_of_both_versions_without_a_violation"),
    ),
    row(
        "N1",
        "memory that is promised stays within each ledger and each share of a client, and octets within what windows and outboxes may hold",
        "step",
        Swarm,
    ),
    row("N2", "connections, streams and queues stay within their limits, each by itself", "step", Swarm),
    row(
        "N3",
        "what is allocated is bounded by what N1 and N2 count",
        "step",
        Open(
            "the world's memory is in the same program as the gateway's: an allocator that tells them apart marks each \
             piece with its owner, which takes unsafe code, and the workspace forbids that. What a gateway holds is bounded by \
             a formula that core/tests/engines/memory_bound.rs exhausts, and tests/attacks looks from outside at how much a \
             process grows",
        ),
    ),
    row("N4", "a step does no more work than what came and went pays for", "step", Swarm),
    row(
        "N5",
        "who costs more than its budget is sent away, and who keeps to the protocol is not",
        "step",
        Swarm,
    ),
    row(
        "N6",
        "a client opens no more streams at backends in a time than it may",
        "step",
        Follows(
            "no rate of streams is configured: who opens streams and resets them spends the budget of N5, which ends its \
             connection, and at no time are more open than C6 and N2 allow",
        ),
    ),
    row("T1", "the timeout that is named is the earliest of all deadlines", "step", Swarm),
    row("T2", "whoever waits has a deadline of its own", "step", Swarm),
    row("T3", "no deadline is for what is gone", "step", Swarm),
    row(
        "T4",
        "no deadline of a request acts before its time: of its response, its queue, its content that stands still (those of connections are the core's tests' alone)",
        "step",
        Swarm,
    ),
    row("T5", "after a timer nothing is due at once again", "step", Swarm),
    row("Q1", "after a drain nothing is left", "end", Swarm),
    row("Q2", "a drain ends by its deadline", "end", Swarm),
    row(
        "Q3",
        "rounds of the same work leave nothing behind",
        "runs",
        Test("q3_rounds_of_work_leave_nothing_behind"),
    ),
    row(
        "X1",
        "the same scenario gives the same actions and octets",
        "runs",
        Test("x1_two_runs_in_two_threads_are_equal"),
    ),
    row(
        "X2",
        "how input is cut makes no difference to what comes out",
        "runs",
        Test("x2_output_does_not_depend_on_cuts"),
    ),
    row("X3", "another begin of the clock changes nothing", "runs", Test("x3_a_later_begin_changes_nothing")),
    row("X4", "other places in tables change nothing", "runs", Test("x4_other_slots_change_nothing")),
    row("X5", "a copy of a gateway goes on like the gateway", "runs", Test("x5_a_copy_goes_on_alike")),
    row("X6", "an event that is nobody's changes nothing and is counted", "step", Swarm),
    row(
        "X7",
        "what an adapter has recorded on sockets replays to the same",
        "runs",
        Elsewhere("tests/peers", "recordings_replay_to_the_same"),
    ),
    row(
        "I1",
        "who shares nothing with a client notices nothing of it",
        "runs",
        Test("i1_who_shares_nothing_notices_nothing"),
    ),
    row(
        "I2",
        "the faults of one upstream change no request of another",
        "end",
        Follows(
            "L7 once more: a request is excused by faults of its own upstream, never by those of another",
        ),
    ),
    row("I3", "clients of one queue take turns", "step", Swarm),
    row("A1", "every field section that leaves is well-formed", "step", Swarm),
    row("A2", "nothing that a peer does makes the gateway panic or overflow", "end", Swarm),
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

/// Invariants whose calls mostly look at nothing that they are about, and which count when there was.
const RARE: [&str; 9] = ["L7", "W2", "W6", "D4", "E5", "E6", "R8", "N5", "Q2"];

/// Of these: those for which there never was.
pub fn never_arose(premises: &BTreeMap<&'static str, u64>) -> Vec<&'static str> {
    RARE.into_iter().filter(|id| !premises.contains_key(id)).collect()
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
        assert!(ALL.iter().all(|invariant| invariant.says.len() > 20), "each says what holds");
    }
}
