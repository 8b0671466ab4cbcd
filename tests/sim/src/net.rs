//! Connections: two pipes of octets each, with capacity, delay, segmentation, short writes, FIN and RST.

use std::collections::VecDeque;

use crate::cut::{Cutter, Segmentation};
use crate::rng::Choices;
use crate::world::{Nanos, Wake, World};

/// How one direction of a connection behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipePolicy {
    /// Octets that fit between writer and reader. At least 1.
    pub capacity: u32,
    /// From writing to arrival.
    pub delay: Nanos,
    /// Some pieces take so much longer at most, most of them hardly; none overtakes another.
    pub jitter: Nanos,
    /// Between two pieces of one write.
    pub gap: Nanos,
    /// How writes are cut.
    pub segmentation: Segmentation,
    /// In this many of 100 writes only a part is taken.
    pub short_writes: u8,
    /// From when on nothing arrives, and for how long.
    pub stall: Option<(Nanos, Nanos)>,
    /// The writer's end is reset once this many octets were written in total.
    pub reset_after: Option<u64>,
    /// The writer's direction ends with FIN once this many octets were written in total; what it writes then is lost.
    pub fin_after: Option<u64>,
}

impl Default for PipePolicy {
    fn default() -> Self {
        Self {
            capacity: 1 << 20,
            delay: 50_000,
            jitter: 0,
            gap: 0,
            segmentation: Segmentation::Whole,
            short_writes: 0,
            stall: None,
            reset_after: None,
            fin_after: None,
        }
    }
}

/// The two ends of a link: the one that connected, and the one that accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It asked for the connection.
    Initiator = 0,
    /// It accepted the connection.
    Acceptor = 1,
}

impl End {
    /// The other end.
    pub fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Acceptor,
            Self::Acceptor => Self::Initiator,
        }
    }
}

/// What reading once gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// One piece, or as much of it as was asked for.
    Octets(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// The writer has finished.
    Fin,
    /// The connection is gone.
    Reset,
}

/// What writing once gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// This many octets were taken; 0 where the pipe is full.
    Taken(usize),
    /// The connection is gone.
    Reset,
}

#[derive(Clone, Debug)]
enum Piece {
    /// Octets, and how many of them were read.
    Octets(Vec<u8>, usize),
    Fin,
}

#[derive(Clone, Debug)]
struct Pipe {
    policy: PipePolicy,
    choices: Choices,
    transit: VecDeque<(Nanos, Piece)>,
    /// Octets in `transit`.
    used: usize,
    written: u64,
    last_arrival: Nanos,
    cutter: Cutter,
    finished: bool,
    /// A writer was told that there is no room.
    writer_waits: bool,
}

/// One connection.
#[derive(Clone, Debug)]
pub struct Link {
    /// Towards the acceptor, towards the initiator.
    pipes: [Pipe; 2],
    /// From when each end sees a reset.
    reset_at: [Option<Nanos>; 2],
    /// Ends that closed both directions.
    closed: [bool; 2],
    wakes: [Wake; 2],
}

impl Link {
    /// A connection whose initiator writes under `policies[0]` and whose acceptor writes under `policies[1]`.
    /// Of each end something must be woken when it has something to do.
    pub fn new(seed: u64, label: &str, policies: [PipePolicy; 2], wakes: [Wake; 2]) -> Self {
        let pipe = |policy, end: u8| Pipe {
            policy,
            choices: Choices::new(seed, format!("{label}.pipe{end}")),
            transit: VecDeque::new(),
            used: 0,
            written: 0,
            last_arrival: 0,
            cutter: Cutter::new(end == 0),
            finished: false,
            writer_waits: false,
        };
        let [first, second] = policies;
        Self { pipes: [pipe(first, 0), pipe(second, 1)], reset_at: [None; 2], closed: [false; 2], wakes }
    }

    /// What was to break it off after so many octets of this end will not.
    pub fn mend(&mut self, end: End) {
        let policy = &mut self.pipes[end as usize].policy;
        (policy.reset_after, policy.fin_after) = (None, None);
    }

    /// Whether this end has closed both directions or was reset.
    pub fn is_over(&self, end: End, now: Nanos) -> bool {
        self.closed[end as usize] || self.is_reset(end, now)
    }

    /// Takes the next piece that has arrived at `end`.
    pub fn read(&mut self, end: End, max: usize, world: &mut World) -> Read {
        let now = world.now();
        if self.is_reset(end, now) {
            return Read::Reset;
        }
        let writer = self.wakes[end.other() as usize];
        let pipe = &mut self.pipes[end.other() as usize];
        match pipe.transit.front_mut() {
            Some((at, _)) if *at > now => Read::Nothing,
            None => Read::Nothing,
            Some((_, Piece::Fin)) => Read::Fin,
            Some((_, Piece::Octets(octets, from))) => {
                let to = octets.len().min(from.saturating_add(max));
                let taken = octets[*from..to].to_vec();
                *from = to;
                if to == octets.len() {
                    pipe.transit.pop_front();
                }
                pipe.used -= taken.len();
                if std::mem::take(&mut pipe.writer_waits) {
                    world.wake(now + pipe.policy.delay, writer);
                }
                Read::Octets(taken)
            }
        }
    }

    /// Writes at `end`; what is taken arrives later, cut as the policy says.
    pub fn write(&mut self, end: End, octets: &[u8], world: &mut World) -> Write {
        let now = world.now();
        if self.is_reset(end, now) || self.pipes[end as usize].finished {
            return Write::Reset;
        }
        let reader = end.other();
        if self.closed[reader as usize] {
            // The other side's kernel answers with RST; what was written is lost.
            let delay = self.pipes[end as usize].policy.delay + self.pipes[reader as usize].policy.delay;
            self.reset_at(end, now + delay, world);
            return Write::Taken(octets.len());
        }
        let reader_wake = self.wakes[reader as usize];
        let pipe = &mut self.pipes[end as usize];
        let n = pipe.admit(octets.len());
        for piece in pipe.cutter.cut(&octets[..n], pipe.policy.segmentation, &mut pipe.choices) {
            let earliest = if pipe.last_arrival == 0 { 0 } else { pipe.last_arrival + pipe.policy.gap };
            let at = pipe.arrival(now).max(earliest);
            pipe.last_arrival = at;
            pipe.transit.push_back((at, Piece::Octets(piece, 0)));
            world.wake(at, reader_wake);
        }
        let (reset_after, fin_after, written) =
            (pipe.policy.reset_after, pipe.policy.fin_after, pipe.written);
        if reset_after.is_some_and(|limit| written >= limit) {
            self.reset(end, world);
        }
        if fin_after.is_some_and(|limit| written >= limit) {
            self.finish(end, world);
        }
        Write::Taken(n)
    }

    /// Finishes the sending direction of `end`.
    pub fn finish(&mut self, end: End, world: &mut World) {
        let pipe = &mut self.pipes[end as usize];
        if std::mem::replace(&mut pipe.finished, true) {
            return;
        }
        let at = pipe.arrival(world.now()).max(pipe.last_arrival);
        pipe.last_arrival = at;
        pipe.transit.push_back((at, Piece::Fin));
        world.wake(at, self.wakes[end.other() as usize]);
    }

    /// Closes both directions of `end`. Unread octets turn the close into a reset, as kernels do.
    pub fn close(&mut self, end: End, world: &mut World) {
        if std::mem::replace(&mut self.closed[end as usize], true) {
            return;
        }
        if self.pipes[end.other() as usize].used > 0 {
            self.reset(end, world);
        } else {
            self.finish(end, world);
        }
    }

    /// Resets the connection from `end`: both directions are gone, unread octets are lost.
    pub fn reset(&mut self, end: End, world: &mut World) {
        let (now, delay) = (world.now(), self.pipes[end as usize].policy.delay);
        self.reset_at(end, now, world);
        self.reset_at(end.other(), now + delay, world);
    }

    fn reset_at(&mut self, end: End, at: Nanos, world: &mut World) {
        let slot = &mut self.reset_at[end as usize];
        if slot.is_none_or(|before| at < before) {
            *slot = Some(at);
            world.wake(at, self.wakes[end as usize]);
        }
    }

    fn is_reset(&self, end: End, now: Nanos) -> bool {
        self.reset_at[end as usize].is_some_and(|at| at <= now)
    }
}

impl Pipe {
    /// When what is written now arrives at the earliest.
    fn arrival(&mut self, now: Nanos) -> Nanos {
        let mut at = now + self.policy.delay;
        if self.policy.jitter > 0 {
            // A heavy tail: each doubling of the wait is half as likely.
            let halvings = self.choices.draw().trailing_zeros().min(16);
            at += self.policy.jitter >> (16 - halvings);
        }
        match self.policy.stall {
            Some((from, length)) if (from..from + length).contains(&at) => from + length,
            _ => at,
        }
    }

    /// How many of `n` octets fit now, perhaps fewer as a short write.
    fn admit(&mut self, n: usize) -> usize {
        let room = (self.policy.capacity.max(1) as usize).saturating_sub(self.used);
        let mut fits = n.min(room);
        if fits > 1 && self.policy.short_writes > 0 && self.choices.chance(self.policy.short_writes.into()) {
            fits = usize::try_from(self.choices.between(1, fits as u64)).expect("at most `fits`");
        }
        self.writer_waits |= fits < n;
        self.used += fits;
        self.written += fits as u64;
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAKES: [Wake; 2] = [Wake::Client(0), Wake::Backend(0)];

    fn link(policy: PipePolicy) -> Link {
        Link::new(1, "t", [policy, PipePolicy::default()], WAKES)
    }

    fn read_all(link: &mut Link, end: End, world: &mut World) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| match link.read(end, 1000, world) {
            Read::Octets(octets) => Some(octets),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn octets_arrive_after_the_delay_in_pieces_with_gaps() {
        let mut world = World::default();
        let policy =
            PipePolicy { delay: 10, gap: 5, segmentation: Segmentation::Fixed(2), ..PipePolicy::default() };
        let mut link = link(policy);
        assert_eq!(link.write(End::Initiator, b"abcde", &mut world), Write::Taken(5));
        assert_eq!(link.read(End::Acceptor, 9, &mut world), Read::Nothing);
        world.advance(10);
        assert_eq!(link.read(End::Acceptor, 9, &mut world), Read::Octets(b"ab".to_vec()));
        assert_eq!(link.read(End::Acceptor, 9, &mut world), Read::Nothing);
        world.advance(20);
        assert_eq!(link.read(End::Acceptor, 1, &mut world), Read::Octets(b"c".to_vec()));
        assert_eq!(read_all(&mut link, End::Acceptor, &mut world), [b"d".to_vec(), b"e".to_vec()]);
    }

    #[test]
    fn a_full_pipe_wakes_its_writer_when_there_is_room() {
        let mut world = World::default();
        let mut link = link(PipePolicy { capacity: 3, delay: 0, ..PipePolicy::default() });
        assert_eq!(link.write(End::Initiator, b"abcde", &mut world), Write::Taken(3));
        assert_eq!(link.write(End::Initiator, b"de", &mut world), Write::Taken(0));
        while world.pop_due().is_some() {}
        assert_eq!(link.read(End::Acceptor, 2, &mut world), Read::Octets(b"ab".to_vec()));
        assert_eq!(world.pop_due(), Some(Wake::Client(0)));
        assert_eq!(link.write(End::Initiator, b"de", &mut world), Write::Taken(2));
    }

    #[test]
    fn fin_comes_after_the_octets_and_the_other_direction_lives() {
        let mut world = World::default();
        let mut link = link(PipePolicy { delay: 0, ..PipePolicy::default() });
        link.write(End::Initiator, b"a", &mut world);
        link.finish(End::Initiator, &mut world);
        assert_eq!(link.read(End::Acceptor, 9, &mut world), Read::Octets(b"a".to_vec()));
        assert_eq!(link.read(End::Acceptor, 9, &mut world), Read::Fin);
        assert_eq!(link.write(End::Acceptor, b"b", &mut world), Write::Taken(1));
        assert_eq!(link.write(End::Initiator, b"b", &mut world), Write::Reset);
    }

    #[test]
    fn closing_with_unread_octets_resets_and_loses_them() {
        let mut world = World::default();
        let mut link = link(PipePolicy { delay: 0, ..PipePolicy::default() });
        link.write(End::Initiator, b"request", &mut world);
        link.write(End::Acceptor, b"answer", &mut world);
        link.close(End::Acceptor, &mut world);
        world.advance(1_000_000);
        assert_eq!(link.read(End::Initiator, 9, &mut world), Read::Reset);
        assert_eq!(link.write(End::Initiator, b"x", &mut world), Write::Reset);
    }

    #[test]
    fn writing_to_who_has_closed_is_answered_with_a_reset() {
        let mut world = World::default();
        let mut link = link(PipePolicy::default());
        link.close(End::Acceptor, &mut world);
        assert_eq!(link.write(End::Initiator, b"x", &mut world), Write::Taken(1));
        world.advance(1_000_000);
        assert_eq!(link.read(End::Initiator, 9, &mut world), Read::Reset);
    }

    #[test]
    fn a_reset_planned_after_so_many_octets_comes() {
        let mut world = World::default();
        let mut link = link(PipePolicy { reset_after: Some(3), ..PipePolicy::default() });
        assert_eq!(link.write(End::Initiator, b"ab", &mut world), Write::Taken(2));
        assert!(!link.is_over(End::Initiator, world.now()));
        assert_eq!(link.write(End::Initiator, b"cd", &mut world), Write::Taken(2));
        assert!(link.is_over(End::Initiator, world.now()));
        world.advance(1_000_000);
        assert_eq!(link.read(End::Acceptor, 9, &mut world), Read::Reset);
    }

    #[test]
    fn short_writes_take_a_part_and_lose_nothing() {
        let mut world = World::default();
        let mut link = link(PipePolicy { short_writes: 100, delay: 0, ..PipePolicy::default() });
        let octets: Vec<u8> = (0..200).collect();
        let mut written = 0;
        while written < octets.len() {
            let Write::Taken(n) = link.write(End::Initiator, &octets[written..], &mut world) else {
                panic!()
            };
            written += n;
        }
        let pieces = read_all(&mut link, End::Acceptor, &mut world);
        assert!(pieces.len() > 1);
        assert_eq!(pieces.concat(), octets);
    }
}
