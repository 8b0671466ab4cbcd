//! Looks at the workers, shared among all who ask: each costs every worker a walk through all it has.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::admin::CONNECTIONS_SHOWN;
use crate::admin::sight::Sight;

/// From the end of one look to the begin of the next, however many ask: so there are ten a second at most, and workers serve between them.
const PAUSE: Duration = Duration::from_millis(100);

/// The looks of an admin address, one at a time.
#[derive(Default)]
pub(super) struct Looks {
    last: Mutex<Last>,
    /// Who waits for the one that is under way, or for the next.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Last {
    ended: Option<Instant>,
    /// What was seen, while somebody waits who may share it.
    shared: Option<Shared>,
}

struct Shared {
    began: Instant,
    /// Connections that were listed.
    connections_max: usize,
    sight: Arc<Sight>,
}

impl Looks {
    /// What there is to see, with at least so many connections listed: nobody is told what was there before it asked. Who asks while others do shares the look
    /// that comes next.
    pub(super) fn sight(&self, connections_max: usize, take: impl FnOnce(usize) -> Sight) -> Arc<Sight> {
        let asked = Instant::now();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // It is whole after every change.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let others = self.waiting.fetch_sub(1, Ordering::Relaxed) > 1;
        let serves = |of: &&Shared| of.began >= asked && of.connections_max >= connections_max;
        if let Some(shared) = last.shared.as_ref().filter(serves) {
            let sight = Arc::clone(&shared.sight);
            last.shared.take_if(|_| !others);
            return sight;
        }
        if let Some(ended) = last.ended {
            thread::sleep(PAUSE.saturating_sub(ended.elapsed()));
        }
        let began = Instant::now();
        // Whoever waits may want to see as much as anybody does.
        let is_alone = self.waiting.load(Ordering::Relaxed) == 0;
        let connections_max = if is_alone { connections_max } else { connections_max.max(CONNECTIONS_SHOWN) };
        let sight = Arc::new(take(connections_max));
        last.ended = Some(Instant::now());
        let is_awaited = self.waiting.load(Ordering::Relaxed) > 0;
        last.shared = is_awaited.then(|| Shared { began, connections_max, sight: Arc::clone(&sight) });
        sight
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn whoever_asks_together_shares_a_look_and_none_is_older_than_its_question() {
        let (looks, taken) = (Looks::default(), Mutex::new(Vec::new()));
        let look = |n: usize| {
            let asked = SystemTime::now();
            let sight = looks.sight(n, |n| {
                taken.lock().unwrap().push(n);
                let sight = Sight::new((BTreeMap::new(), BTreeSet::new()), &[]);
                thread::sleep(Duration::from_millis(20));
                sight
            });
            assert!(sight.time >= asked, "it was seen before");
        };
        let began = Instant::now();
        thread::scope(|scope| (0..32).for_each(|n| _ = scope.spawn(move || look(n % 2 * 100))));
        let looks_taken = taken.lock().unwrap().len();
        // Whoever came too late for one, and the lists that another does not have.
        let most = began.elapsed().as_millis() as usize / 100 + 2;
        assert!((2..=most).contains(&looks_taken), "{looks_taken} looks");
        assert!(looks.last.lock().unwrap().shared.is_none(), "nobody waits for it");
    }
}
