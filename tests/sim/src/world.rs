//! Virtual time: a clock and a queue of things to come, ordered by (time, order of entry).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A moment of the simulated world, in nanoseconds since its begin.
pub type Nanos = u64;
/// One microsecond.
pub const MICRO: Nanos = 1_000;
/// One millisecond.
pub const MILLI: Nanos = 1_000_000;
/// One second.
pub const SECOND: Nanos = 1_000_000_000;

/// Who is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wake {
    /// The model client with this number looks at its connection and at its own clock.
    Client(usize),
    /// The model backend on this link does.
    Backend(usize),
    /// The gateway's end of this link may have something to read or room to write.
    Gateway(usize),
    /// The attempt to connect this link has its answer.
    ConnectAnswer(usize),
}

/// The clock and the queue.
#[derive(Clone, Debug, Default)]
pub struct World {
    now: Nanos,
    order: u64,
    queue: BinaryHeap<Reverse<(Nanos, u64, Wake)>>,
}

impl World {
    /// The present moment.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Wakes someone at `at`, or now where that has passed.
    pub fn wake(&mut self, at: Nanos, who: Wake) {
        self.order += 1;
        self.queue.push(Reverse((at.max(self.now), self.order, who)));
    }

    /// When the next thing happens.
    pub fn next_at(&self) -> Option<Nanos> {
        self.queue.peek().map(|Reverse((at, ..))| *at)
    }

    /// Moves the clock forward. It never goes back.
    pub fn advance(&mut self, to: Nanos) {
        self.now = self.now.max(to);
    }

    /// The next that is due at the present moment.
    pub fn pop_due(&mut self) -> Option<Wake> {
        if self.next_at()? > self.now {
            return None;
        }
        self.queue.pop().map(|Reverse((.., who))| who)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_happen_in_order_of_time_then_of_entry() {
        let mut world = World::default();
        world.wake(20, Wake::Client(0));
        world.wake(10, Wake::Client(1));
        world.wake(10, Wake::Backend(2));
        assert_eq!((world.next_at(), world.pop_due()), (Some(10), None));
        world.advance(10);
        assert_eq!(
            [world.pop_due(), world.pop_due(), world.pop_due()],
            [Some(Wake::Client(1)), Some(Wake::Backend(2)), None]
        );
        world.advance(30);
        world.advance(5);
        world.wake(1, Wake::Client(9));
        assert_eq!(
            (world.now(), world.pop_due(), world.pop_due()),
            (30, Some(Wake::Client(0)), Some(Wake::Client(9)))
        );
    }
}
