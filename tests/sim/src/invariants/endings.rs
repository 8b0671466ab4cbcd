//! Rest, drain, and what comparing runs shows.

use shuntyard_core::gateway::View;

use crate::ledger::{Ledger, Violation};
use crate::police::Police;
use crate::world::Nanos;

/// **C5** (at rest). Each SETTINGS and PING was acknowledged. Order and number are the police's.
pub fn c5_everything_is_acknowledged(ledger: &mut Ledger, police: &Police) -> Result<(), Violation> {
    let open = police.unacknowledged();
    ledger.check("C5", open.is_none(), || open.unwrap_or_default())
}

/// **Q1** (after the drain). `Drained` came, no connection is left, and the gateway holds nothing.
pub fn q1_nothing_is_left(
    ledger: &mut Ledger,
    drained: bool,
    links: usize,
    view: &View,
) -> Result<(), Violation> {
    ledger.check("Q1", drained, || "no Action::Drained".into())?;
    ledger.check("Q1", links == 0, || format!("{links} connections of the adapter are open"))?;
    ledger.check("Q1", *view == View::default(), || format!("{view:?}"))
}

/// **Q2** (after the drain). It ended by its deadline, whatever peers did. A timer that the adapter brought late may make it
/// later by as much.
pub fn q2_the_drain_ended_in_time(
    ledger: &mut Ledger,
    ended: Option<Nanos>,
    deadline: Nanos,
) -> Result<(), Violation> {
    ledger.check("Q2", ended.is_some_and(|at| at <= deadline), || {
        format!("the drain ended at {ended:?}, its deadline was {deadline}")
    })
}

/// **X1** (by comparing runs). The same scenario gives the same log of actions and octets.
pub fn x1_runs_are_equal(ledger: &mut Ledger, first: u64, second: u64) -> Result<(), Violation> {
    ledger.check("X1", first == second, || format!("log hashes {first:016x} and {second:016x}"))
}

/// **X6** (when the adapter breaks the contract). An event that is nobody's changes nothing and asks for nothing.
pub fn x6_spurious_events_change_nothing(
    ledger: &mut Ledger,
    event: &'static str,
    before: &View,
    after: &View,
    action: Option<String>,
) -> Result<(), Violation> {
    ledger.check("X6", action.is_none(), || format!("{event} leads to {action:?}"))?;
    ledger.check("X6", before == after, || format!("{event} changes {before:?} to {after:?}"))
}
