//! Requests that wait beside connections which could serve them.

use std::collections::BTreeMap;

use shuntyard_core::config::Host;

use super::{Scene, has_memory, is_free, is_of_one_upstream, leads_to, who_is_frozen};
use crate::ledger::Violation;
use crate::world::Nanos;

/// Who has waited without a break, and which connections were idle and free meanwhile: since when.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    frozen: BTreeMap<u64, Nanos>,
    idle: BTreeMap<usize, Nanos>,
}

/// **E8** once more (after every step), with time: nobody is frozen for longer than a connection may take to come while one of its upstream is idle
/// and free all that time. At once it need not go there, for the gateway may prefer another endpoint, and dial it. It is looked at
/// while memory cannot be what somebody waits for, and at endpoints that cannot have been let rest. (An earlier version knew only connections that carry something
/// already: who was left beside an idle one, because of another endpoint that does not answer, was seen by nobody.)
pub fn e8_nobody_waits_for_long_beside_an_idle_connection(scene: &mut Scene<'_>) -> Result<(), Violation> {
    if scene.view.queued == 0 || !has_memory(scene) {
        *scene.beside = Beside::default();
        return Ok(());
    }
    let (ledger, police, now) = (scene.ledger, scene.police, scene.ledger.now);
    let frozen = who_is_frozen(scene);
    let idle =
        |&link: &usize| police[link].open_streams() == 0 && is_free(scene, link) && is_sound(scene, link);
    let idle: Vec<usize> = (0..police.len()).filter(idle).collect();
    scene.beside.frozen.retain(|rid, _| frozen.iter().any(|(other, ..)| other == rid));
    scene.beside.idle.retain(|link, _| idle.contains(link));
    frozen.iter().for_each(|&(rid, ..)| _ = scene.beside.frozen.entry(rid).or_insert(now));
    idle.iter().for_each(|&link| _ = scene.beside.idle.entry(link).or_insert(now));
    let connect = u64::try_from(scene.config.timeouts.connect.as_nanos()).unwrap_or(u64::MAX);
    let most = connect.saturating_add(scene.slack);
    for (rid, _, upstream) in frozen {
        let serves = |link: usize| leads_to(ledger, link, upstream);
        let Some(link) = idle.iter().copied().find(|&link| serves(link)) else { continue };
        let since = scene.beside.frozen[&rid].max(scene.beside.idle[&link]);
        scene.checks.check("E8", now - since <= most, || {
            format!("request {rid} has been frozen for {} ns while link {link} was idle", now - since)
        })?;
    }
    Ok(())
}

/// Whether the link leads to an endpoint of one upstream that has not given cause to let it rest.
fn is_sound(scene: &Scene<'_>, link: usize) -> bool {
    let (targets, now) = (&scene.ledger.targets, scene.ledger.now);
    let Some(&target) = targets.get(&link) else { return false };
    let rests = |(&at, &to): (&usize, &_)| to == target && scene.police[at].may_rest_its_endpoint(now);
    is_of_one_upstream(scene.ledger, &Host::Address(target.into())) && !targets.iter().any(rests)
}
