//! The invariants that span connections, each a function with its id, its words and its reasons; those of one connection
//! stand in `police`. `table` says of each where it is checked, or why it is not.
//!
//! A check that turns out to be too strict is corrected where it stands, with the reason; it is never silenced for a seed.

mod beside;
mod data;
mod endings;
mod engines;
mod lifecycle;
mod limits;
mod retry;
mod table;
mod timers;
mod windows;

pub use beside::*;
pub use data::*;
pub use endings::*;
pub use engines::*;
pub(crate) use lifecycle::rid_of;
pub use lifecycle::*;
pub use limits::*;
pub use retry::*;
pub use table::*;
pub use timers::*;
pub use windows::*;

use shuntyard_core::config::Config;
use shuntyard_core::gateway::{Inspection, View};

use crate::ledger::{Checks, Ledger, Violation};
use crate::police::Police;

/// What the checks of each step look at, in a moment in which the gateway has nothing left to do.
pub struct Scene<'a> {
    /// The account of all requests.
    pub ledger: &'a Ledger,
    /// Counts what is checked.
    pub checks: &'a mut Checks,
    /// The monitor of each link.
    pub police: &'a [Police],
    /// The gateway as it shows itself.
    pub view: &'a View,
    /// What it shows of what is limited for each one alone.
    pub seen: &'a Inspection,
    /// Its configuration.
    pub config: &'a Config,
    /// When it wants to be woken.
    pub next_timeout: Option<u64>,
    /// A drain was ordered.
    pub draining: bool,
    /// A timer is due and has not been brought yet.
    pub late: bool,
    /// Whose turn it was.
    pub turns: &'a mut Turns,
    /// Who waits beside idle connections, and since when.
    pub beside: &'a mut Beside,
    /// How late timers come at most, with some time for octets on their way.
    pub slack: u64,
}

/// Everything that holds after every step. Says which requests are over and need not be looked at any more.
pub fn every_step(mut scene: Scene<'_>) -> Result<Vec<u64>, Violation> {
    let scene = &mut scene;
    l3_places_add_up(scene.ledger, scene.checks, scene.view)?;
    e_engines_and_queue(scene)?;
    e8_nobody_waits_for_long_beside_an_idle_connection(scene)?;
    n_within_limits(scene)?;
    n5_nobody_is_borne_for_ever(scene)?;
    t_deadlines_are_armed(scene)?;
    w2_an_overflow_is_an_error(scene)?;
    w4_no_octet_is_uncredited(scene.checks, scene.view)?;
    for thaw in &scene.ledger.thawed {
        e8_first_come_first_thawed(scene, thaw.rid)?;
        r2_one_stream_at_a_time(scene, thaw.rid)?;
        r7_pauses_are_kept(scene.ledger, scene.checks, thaw)?;
    }
    if !scene.ledger.thawed.is_empty() {
        i3_clients_take_turns(scene)?;
    }
    let mut over = Vec::new();
    for &rid in &scene.ledger.active {
        let Some(trace) = scene.ledger.traces.get(&rid) else { continue };
        w3_credit_follows_content(scene, rid, trace)?;
        e3_frozen_requests_get_no_credit(scene, rid, trace)?;
        w5_what_is_held_fits_the_window(scene, rid, trace)?;
        w6_what_can_leave_has_left(scene, rid, trace)?;
        d4_the_end_leaves_at_once(scene, rid, trace)?;
        e10_who_has_gone_holds_no_stream(scene, rid, trace)?;
        if trace.is_answered() && trace.attempts.iter().all(crate::ledger::Attempt::is_over) {
            over.push(rid);
        }
    }
    Ok(over)
}
