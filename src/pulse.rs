//! Whether workers turn: each is asked something, and answers between two turns.

use std::collections::BTreeMap;
use std::time::Duration;

use shuntyard_adapter::Handle;
use shuntyard_core::gateway::Gateway;

/// How long a worker may take to answer before it counts as stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// Asks every worker; answers come with the workers' numbers. `None`: one of them does not answer in time. Those that have ended are left out.
pub(crate) fn ask<T: Send + 'static>(
    handle: &Handle,
    look: impl Fn(&Gateway, shuntyard_core::time::Instant) -> T + Clone + Send + 'static,
) -> Option<BTreeMap<usize, T>> {
    let (answers, stuck) = handle.inspect_or_stuck(PATIENCE, look);
    stuck.is_empty().then_some(answers)
}
