//! Small worlds, explored to the end: every order in which a few events can happen, on the shipped core (S4).
//!
//! A state is a copy of the whole gateway with its peers, which speak frame by frame. From each state every event that can
//! happen is tried on a copy; states that are the same in all that can still happen are met once. In each state all
//! invariants of a step hold, police included; from each state everybody can be healed, and then all requests end, and a
//! drain leaves nothing. So what is found to hold holds in all orders of events up to the depth that was reached, and in
//! all orders there are where nothing new was left.
//!
//! The digest holds the gateway (`Gateway::digest`), the peers, and the account of each request, but not the monitors' own
//! account of every frame: of two ways to a state the monitors judge what went on along the first.

mod digest;
mod link;
mod scopes;
mod world;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use scopes::{Scope, scopes};
use shuntyard_core::time::Duration;
pub use world::{Event, World};

use crate::ledger::Violation;

/// Whoever is not done when everybody has done what is right for so long never will be.
const HOUR: Duration = Duration::from_secs(3600);

/// What an exploration has found, apart from violations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Events that were tried.
    pub steps: usize,
    /// The longest of the shortest ways from the begin to a state.
    pub depth: usize,
    /// Nothing new was left: the states are all there are.
    pub closed: bool,
    /// States in which nothing could happen any more.
    pub ends: usize,
    /// New states at each depth, from the begin: what one step more costs.
    pub layers: Vec<usize>,
}

/// A violation, and the shortest way to it.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What was broken.
    pub violation: Violation,
    /// The events from the begin, in order.
    pub way: Vec<Event>,
}

impl std::fmt::Display for Counterexample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.violation)?;
        self.way.iter().try_for_each(|event| writeln!(f, "    {event:?}"))
    }
}

/// How far to look.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Events in a row at most.
    pub depth: usize,
    /// Different states at most. A depth that could not be looked through whole does not count.
    pub states: usize,
}

/// Where a state was met first.
#[derive(Clone, Copy)]
struct Origin {
    before: u64,
    event: Event,
}

struct Search<'a> {
    scope: &'a Scope,
    /// The worlds along the way to the state that was looked at last, the begin first, each with the event that led to it.
    path: Vec<(Option<Event>, World)>,
    /// By digest; the begin has none.
    met: HashMap<u64, Option<Origin>>,
    /// States from which all is known to end well, with how long everybody had done what is right when they were met.
    healthy: HashSet<(u64, Duration)>,
    explored: Explored,
}

/// Explores a scope, breadth first.
///
/// # Errors
///
/// The first violation, with one of the shortest ways to it.
pub fn explore(scope: &Scope, bounds: Bounds) -> Result<Explored, Box<Counterexample>> {
    let begin = World::new(scope).map_err(|violation| Counterexample { violation, way: Vec::new() })?;
    let digest = begin.digest();
    let mut search = Search {
        scope,
        path: vec![(None, begin)],
        met: HashMap::from([(digest, None)]),
        healthy: HashSet::new(),
        explored: Explored { states: 1, layers: vec![1], ..Explored::default() },
    };
    let mut layer = vec![digest];
    while !layer.is_empty() && search.explored.depth < bounds.depth {
        let mut next = Vec::new();
        for digest in layer {
            let world = search.world(digest)?;
            search.expand(digest, &world, &mut next)?;
            if search.explored.states >= bounds.states {
                return Ok(search.explored);
            }
        }
        search.explored.closed = next.is_empty();
        if let Some(&digest) = next.last() {
            search.explored.depth += 1;
            search.explored.layers.push(next.len());
            search.retrace(digest)?;
        }
        layer = next;
    }
    Ok(search.explored)
}

impl Search<'_> {
    /// The world of a state that was met. Worlds are not kept, for there are many and they are large, but made again from those
    /// on the way: the states of one depth are looked at in the order in which they were met, so that the way to one shares
    /// most of its begin with the way to the one before.
    fn world(&mut self, digest: u64) -> Result<World, Box<Counterexample>> {
        let way = self.way(digest);
        let known = self.path.iter().skip(1).zip(&way);
        let shared = known.take_while(|((event, _), other)| *event == Some(**other)).count();
        self.path.truncate(1 + shared);
        for &event in &way[shared..] {
            let mut world = self.path[self.path.len() - 1].1.fork();
            let outcome = guarded(|| world.apply(event));
            outcome.map_err(|violation| Counterexample { violation, way: way.clone() })?;
            self.path.push((Some(event), world));
        }
        Ok(self.path[self.path.len() - 1].1.fork())
    }

    /// Tries everything that can happen in a state.
    fn expand(&mut self, digest: u64, world: &World, next: &mut Vec<u64>) -> Result<(), Box<Counterexample>> {
        self.heal(digest, world)?;
        let events = world.events();
        self.explored.ends += usize::from(events.is_empty());
        for event in events {
            self.explored.steps += 1;
            let mut after = world.fork();
            let outcome = guarded(|| after.apply(event));
            if let Err(violation) = outcome {
                let mut way = self.way(digest);
                way.push(event);
                return Err(Box::new(Counterexample { violation, way }));
            }
            let reached = after.digest();
            if let Entry::Vacant(place) = self.met.entry(reached) {
                place.insert(Some(Origin { before: digest, event }));
                self.explored.states += 1;
                next.push(reached);
            }
        }
        Ok(())
    }

    /// From here on everybody does what is right: all requests end, and after a drain nothing is left. It stops where it
    /// comes to a state of which that is known.
    fn heal(&mut self, digest: u64, world: &World) -> Result<(), Box<Counterexample>> {
        let mut way = Vec::new();
        let mut passed = Vec::new();
        let mut world = world.healed();
        let mut at = (digest, Duration::ZERO);
        let outcome = guarded(|| {
            while self.healthy.insert(at) {
                passed.push(at);
                let Some(event) = world.healing()? else { return world.is_over() };
                way.push(event);
                world.apply(event)?;
                at = (world.digest(), world.heals_for());
                if passed.contains(&at) || world.heals_for() > HOUR {
                    let message = format!("healed, it goes round in circles: {event:?}");
                    return Err(Violation { id: "LIVE", message });
                }
            }
            Ok(())
        });
        outcome.map_err(|violation| {
            let way = self.way(digest).into_iter().chain(way).collect();
            Box::new(Counterexample { violation, way })
        })
    }

    /// X5: the same events on one gateway, without any copies, lead to the same state.
    fn retrace(&self, digest: u64) -> Result<(), Box<Counterexample>> {
        let way = self.way(digest);
        let outcome = guarded(|| {
            let mut world = World::new(self.scope)?;
            way.iter().try_for_each(|&event| world.apply(event))?;
            let same = world.digest() == digest;
            let message = || "without copies the same events lead elsewhere".to_owned();
            if same { Ok(()) } else { Err(Violation { id: "X5", message: message() }) }
        });
        outcome.map_err(|violation| Box::new(Counterexample { violation, way }))
    }

    fn way(&self, mut digest: u64) -> Vec<Event> {
        let mut way = Vec::new();
        while let Some(Some(origin)) = self.met.get(&digest) {
            way.push(origin.event);
            digest = origin.before;
        }
        way.reverse();
        way
    }
}

/// A panic is a violation like others (A2).
fn guarded(act: impl FnOnce() -> Result<(), Violation>) -> Result<(), Violation> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Violation { id: "A2", message: format!("panic: {}", text.unwrap_or_default()) })
    })
}
