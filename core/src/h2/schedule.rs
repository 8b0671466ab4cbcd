//! Who sends next (RFC 9218 section 10): the most urgent streams first; of these the incremental ones take turns of one
//! frame, and the others come one after the other.

use crate::h2::streams::{Expected, Ready, Stream, StreamKey, Streams};
use crate::list::List;

/// One frame of so many goes to a stream less urgent than others, each level in turn: whoever sends without end at one
/// level does not stop the rest for ever (RFC 9218 section 10).
const YIELD_EVERY: u32 = 32;

/// Streams that could send as far as they themselves are concerned. Whether the connection's window and outbox have
/// room is asked when a frame is cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schedule {
    /// Which of the groups have streams, one bit each: the more urgent the lower.
    filled: u32,
    turns: u32,
    /// There only while some stream waits, or did and is still open.
    groups: Option<Box<[Group; GROUPS]>>,
}

type Group = List<Stream, Ready>;

/// For each urgency the streams that come one after the other, and those that take turns; and then those that only end.
const GROUPS: usize = 17;

/// Nothing but trailers is left to be sent. They wait for room, but for no window and no turn.
const ENDS: u8 = 16;

/// The group that a stream belongs to. A tunnel always shares: it may never end (RFC 9218 section 10.1).
fn group_of(stream: &Stream) -> u8 {
    if stream.queue.is_empty() && stream.trailers.is_some() {
        return ENDS;
    }
    let shares = stream.priority.incremental || stream.expected == Expected::Tunnel;
    stream.priority.urgency.min(7) * 2 + u8::from(shares)
}

impl Schedule {
    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// A schedule of nobody that has given so many turns.
    pub(crate) fn of_nobody(turns: u32) -> Self {
        Self { turns, ..Self::default() }
    }

    /// How many turns it has given.
    pub(crate) const fn turns(&self) -> u32 {
        self.turns
    }

    /// Lets a stream take turns from now on, if it has something to send and a window for it.
    pub(crate) fn wake(&mut self, streams: &mut Streams, key: StreamKey) {
        let Some(stream) = streams.slab.get_mut(key).filter(|stream| stream.can_send()) else { return };
        if stream.ready.is_linked() {
            return;
        }
        let (group, id) = (group_of(stream), stream.id);
        stream.group = group;
        let list = &mut self.groups.get_or_insert_default()[usize::from(group) % GROUPS];
        if group % 2 == 1 || group == ENDS {
            list.push_back(&mut streams.slab, key);
        } else {
            // 9218-10-03: in the order of identifiers. Mostly the newest is the last, and the oldest the first.
            let id_of = |streams: &Streams, key| streams.slab.get(key).map_or(0, |stream| stream.id);
            let mut after = list.back();
            if list.front().is_some_and(|front| id < id_of(streams, front)) {
                after = None;
            }
            while let Some(other) = after.filter(|&other| id_of(streams, other) > id) {
                after = list.before(&streams.slab, other);
            }
            list.insert_after(&mut streams.slab, after, key);
        }
        self.filled |= 1 << group;
    }

    /// Whose turn it is.
    pub(crate) fn front(&self) -> Option<StreamKey> {
        let groups = self.groups.as_ref()?;
        groups[self.group()?].front()
    }

    /// Whether anybody could send, where the connection's window is open or is not.
    pub(crate) const fn has_turn(&self, open: bool) -> bool {
        (open && self.filled != 0) || self.has_ends()
    }

    const fn has_ends(&self) -> bool {
        self.filled >> ENDS != 0
    }

    /// Before all, who needs no turn. 9218-10-01: the most urgent level that has anybody; 9218-10-05: but for one turn in
    /// [`YIELD_EVERY`], which the others have one after the other. Where a level has both kinds, the kinds alternate.
    fn group(&self) -> Option<usize> {
        let mut filled = self.filled;
        if filled == 0 {
            return None;
        }
        if self.has_ends() {
            return Some(ENDS.into());
        }
        let mut kind = self.turns;
        if self.turns % YIELD_EVERY == YIELD_EVERY - 1 {
            let (given, first) = (self.turns / YIELD_EVERY, filled.trailing_zeros() / 2);
            let others = filled & !(0b11 << (2 * first));
            let from = others >> (2 * (given % 8)) << (2 * (given % 8));
            filled = [from, others].into_iter().find(|&levels| levels != 0).unwrap_or(filled);
            // These turns are all odd: here the kinds alternate by themselves, and each time that all levels have had theirs.
            kind = given + given / 8;
        }
        let level = filled.trailing_zeros() / 2;
        let shares = match filled >> (2 * level) & 0b11 {
            0b11 => kind % 2,
            0b10 => 1,
            _ => 0,
        };
        Some((2 * level + shares) as usize)
    }

    /// The stream whose turn it was has had it; it stays if it can send more.
    pub(crate) fn turn_over(&mut self, streams: &mut Streams, key: StreamKey) {
        self.turns = self.turns.wrapping_add(1);
        let Some(stream) = streams.slab.get(key) else { return };
        let group = group_of(stream);
        if stream.can_send() && group == stream.group && group.is_multiple_of(2) && stream.ready.is_linked() {
            return;
        }
        self.unlink(streams, key);
        self.wake(streams, key);
    }

    /// The stream has another priority from now on.
    pub(crate) fn move_to_its_group(&mut self, streams: &mut Streams, key: StreamKey) {
        if self.unlink(streams, key) {
            self.wake(streams, key);
        }
    }

    pub(crate) fn remove(&mut self, streams: &mut Streams, key: StreamKey) {
        self.unlink(streams, key);
        // Idle connections hold no memory.
        if self.filled == 0 && streams.len() <= 1 {
            self.groups = None;
        }
    }

    fn unlink(&mut self, streams: &mut Streams, key: StreamKey) -> bool {
        // Mostly nobody waits.
        let Some(groups) = self.groups.as_mut() else { return false };
        let Some(group) = streams.slab.get(key).map(|stream| stream.group) else { return false };
        let Some(list) = groups.get_mut(usize::from(group)) else { return false };
        let was = list.unlink(&mut streams.slab, key);
        if list.is_empty() {
            self.filled &= !(1 << group);
        }
        was
    }
}

#[cfg(test)]
mod tests {
    use shuntyard_requirements::req;

    use super::*;
    use crate::h2::state::State;
    use crate::priority::Priority;
    use crate::window::{RecvWindow, SendWindow};

    /// A schedule with these streams, by identifier, urgency and whether they share, each with enough to send.
    struct Bench {
        streams: Streams,
        schedule: Schedule,
    }

    impl Bench {
        fn new(all: &[(u32, u8, bool)]) -> Self {
            let mut bench = Self { streams: Streams::default(), schedule: Schedule::default() };
            for &(id, urgency, incremental) in all {
                let (receive, send) = (RecvWindow::new(1), SendWindow::new(1 << 20));
                let mut stream = Stream::new(id, State::Open, receive, send);
                stream.priority = Priority { urgency, incremental };
                stream.queue.extend(b"content");
                bench.streams.insert(stream);
            }
            bench
        }

        fn key(&mut self, id: u32) -> StreamKey {
            self.streams.find(id).expect("it is there")
        }

        fn wake(&mut self, ids: &[u32]) {
            for &id in ids {
                let key = self.key(id);
                self.schedule.wake(&mut self.streams, key);
            }
        }

        fn turns(&mut self, n: usize) -> Vec<u32> {
            (0..n).map_while(|_| self.turn()).collect()
        }

        fn turn(&mut self) -> Option<u32> {
            let key = self.schedule.front()?;
            let id = self.streams.slab.get(key)?.id;
            self.schedule.turn_over(&mut self.streams, key);
            Some(id)
        }

        /// Everything that the stream had to send has left.
        fn done(&mut self, id: u32) {
            let key = self.key(id);
            if let Some(stream) = self.streams.slab.get_mut(key) {
                stream.queue.consume(7);
            }
            self.schedule.turn_over(&mut self.streams, key);
        }
    }

    #[test]
    fn rfc9218_10_the_more_urgent_come_first() {
        req!("9218-10-01", "9218-10-03");
        let mut bench =
            Bench::new(&[(1, 7, false), (3, 3, false), (5, 0, false), (7, 3, false), (9, 3, false)]);
        bench.wake(&[9, 1, 7, 5, 3]);
        for id in [5, 3, 7, 9, 1] {
            assert_eq!(bench.turns(3), [id; 3]);
            bench.done(id);
        }
        assert!(bench.schedule.is_empty() && bench.turn().is_none());
    }

    #[test]
    fn rfc9218_10_incremental_ones_take_turns_and_kinds_alternate() {
        req!("9218-10-02", "9218-10-04");
        let mut bench = Bench::new(&[(1, 3, true), (3, 3, true), (5, 4, true)]);
        bench.wake(&[3, 1, 5]);
        assert_eq!(bench.turns(4), [3, 1, 3, 1]);
        let mut bench = Bench::new(&[(1, 3, true), (3, 3, false), (5, 3, true), (7, 3, false)]);
        bench.wake(&[1, 3, 5, 7]);
        assert_eq!(bench.turns(8), [3, 1, 3, 5, 3, 1, 3, 5]);
    }

    /// Whatever is sent above, and below.
    #[test]
    fn rfc9218_10_no_level_starves() {
        req!("9218-10-05");
        let mut bench = Bench::new(&[(1, 0, false), (3, 3, true), (5, 7, false), (7, 5, false)]);
        bench.wake(&[1, 3, 5, 7]);
        let turns = bench.turns(8 * YIELD_EVERY as usize);
        let of = |id| turns.iter().filter(|turn| **turn == id).count();
        assert_eq!([of(1), of(3), of(7), of(5)], [turns.len() - 8, 4, 2, 2]);
        // Beside one other it is one turn in 32, whatever the two levels.
        for (urgent, other) in [(0, 1), (3, 4), (3, 7), (6, 7)] {
            let mut bench = Bench::new(&[(1, urgent, false), (3, other, true)]);
            bench.wake(&[1, 3]);
            let turns = bench.turns(8 * YIELD_EVERY as usize);
            assert_eq!(turns.iter().filter(|turn| **turn == 3).count(), 8, "{urgent} {other}");
        }
    }

    /// A level may have both kinds, of which both are to have something of what is left.
    #[test]
    fn rfc9218_10_no_kind_of_a_level_starves() {
        req!("9218-10-05");
        let mut bench = Bench::new(&[(1, 0, false), (3, 3, false), (5, 3, true)]);
        bench.wake(&[1, 3, 5]);
        let turns = bench.turns(16 * YIELD_EVERY as usize);
        let of = |id| turns.iter().filter(|turn| **turn == id).count();
        assert_eq!([of(3), of(5)], [8, 8]);
    }

    #[test]
    fn rfc9218_10_1_tunnels_share() {
        req!("9218-10.1-01");
        let mut bench = Bench::new(&[(1, 3, false), (3, 3, false)]);
        let key = bench.key(3);
        bench.streams.slab.get_mut(key).expect("it is there").expected = Expected::Tunnel;
        bench.wake(&[1, 3]);
        assert_eq!(bench.turns(4), [1, 3, 1, 3]);
    }

    #[test]
    fn another_priority_is_another_place() {
        let mut bench = Bench::new(&[(1, 3, false), (3, 3, false)]);
        bench.wake(&[1, 3]);
        let key = bench.key(3);
        bench.streams.slab.get_mut(key).expect("it is there").priority.urgency = 1;
        bench.schedule.move_to_its_group(&mut bench.streams, key);
        assert_eq!(bench.turns(2), [3, 3]);
        bench.done(3);
        bench.schedule.move_to_its_group(&mut bench.streams, key);
        assert_eq!(bench.turns(1), [1], "who has nothing to send has no place");
    }

    #[test]
    fn memory_goes_with_the_last_stream() {
        let mut bench = Bench::new(&[(1, 3, false), (3, 3, true)]);
        bench.wake(&[1, 3]);
        for id in [1, 3] {
            let key = bench.key(id);
            bench.schedule.remove(&mut bench.streams, key);
            bench.streams.remove(key, crate::h2::state::ClosedBy::EndStream);
        }
        assert!(bench.schedule.is_empty() && bench.schedule.groups.is_none());
    }
}
