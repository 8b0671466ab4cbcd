//! What a peer may make us queue, and what it may cost us (RFC 9113 section 10.5).

use std::collections::VecDeque;

use crate::parcel::{Packer, Unpacker};
use crate::time::Duration;

/// What a frame costs that no useful work stands against, in points. The proportions are those of the limits that others have: where
/// a thousand PINGs are tolerated at once, so are some hundred and sixty resets; a client may take back all its hundred streams at once.
pub(crate) mod cost {
    /// A stream that the peer reset, or that it made us reset (CVE-2019-9514, CVE-2023-44487, CVE-2025-8671).
    pub(crate) const RESET: u32 = 60;
    /// A request that we take back from a backend. The strictest peers bear a hundred.
    pub(crate) const TAKEN_BACK: u32 = 100;
    /// A request's head beyond the limits: decoded for the table's sake, and answered, which earns half of it (CVE-2016-6581).
    pub(crate) const HEAD_TOO_LARGE: u32 = 200;
    /// SETTINGS behind the first (CVE-2019-9515).
    pub(crate) const SETTINGS: u32 = 100;
    /// PING (CVE-2019-9512), or the answer to one that nobody sent.
    pub(crate) const PING: u32 = 10;
    /// GOAWAY. Two are what a peer needs.
    pub(crate) const GOAWAY: u32 = 10;
    /// PRIORITY, PRIORITY_UPDATE (CVE-2019-9513), frames of unknown types, and HEADERS and RST_STREAM of streams that are gone.
    pub(crate) const IGNORED: u32 = 10;
    /// What a stream that we reset adds to what frames that were on their way may cost in all: a head, an end and a reset.
    pub(crate) const LATE: u32 = 3 * IGNORED;
    /// What they may cost at most: of a thousand streams.
    pub(crate) const LATE_MAX: u32 = 1000 * LATE;
    /// DATA without content that ends nothing (CVE-2019-9518), or whose stream is gone.
    pub(crate) const EMPTY_DATA: u32 = 10;
    /// DATA of less content than padding, that ends nothing.
    pub(crate) const PADDING: u32 = 1;
    /// So many frames of DATA with next to nothing in them, one after the other (RFC 9113 section 10.5).
    pub(crate) const TINY_DATA: u32 = 1;
    /// HTTP/1.1: a client's chunk of fewer than five octets.
    pub(crate) const TINY_CHUNK: u32 = 1;
    /// WINDOW_UPDATE (CVE-2019-9511).
    pub(crate) const WINDOW_UPDATE: u32 = 1;
}

/// What a backend is made to bear of requests that are taken back: a hundred beyond what it answers, as much as the strictest peers do. Its
/// connection is shared, so that one client's resets would be everybody's trouble.
pub(crate) const STRAIN_MAX: u32 = 9_900;
/// What a message that came whole earns: more than a reset costs, so that a browser may cancel what it likes.
const MESSAGE_EARNS: u32 = 100;
/// So many octets of content earn a point: a full frame of DATA stands against 64 updates of windows.
const OCTETS_PER_POINT: u32 = 256;
/// What a second earns: 55 resets.
const POINTS_PER_SECOND: u64 = 3_300;

/// DATA of less content than this is tiny. It is passed on at once, as a frame of its own, by whoever has it from a client that may be
/// one of many: so [`TINY_FRAMES`] of them cost no more than one update of a window, and some four hundred thousand a second nothing.
const TINY_OCTETS: usize = 16;
const TINY_FRAMES: u8 = 128;

/// What a peer has cost beyond what it has brought. Useful work and time pay it back, down to nothing and no further.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Misuse {
    points: u32,
    /// Frames of tiny DATA that have cost nothing yet.
    tiny: u8,
    /// HTTP/1.1: octets of content that have earned nothing yet.
    unearned: u8,
}

impl Misuse {
    /// The peer cost so many points. Says whether that is more than `max` in all.
    #[must_use]
    pub(crate) const fn spend(&mut self, points: u32, max: u32) -> bool {
        self.points = self.points.saturating_add(points);
        self.points > max
    }

    /// So many points more, up to `max`: whoever owes has paid in a while.
    pub(crate) const fn bear(&mut self, points: u32, max: u32) {
        let sum = self.points.saturating_add(points);
        self.points = if sum > max { max } else { sum };
    }

    /// What DATA costs that ends nothing, or whose stream is gone.
    pub(crate) const fn cost_of_data(&mut self, content: usize, padding: u32) -> u32 {
        if content == 0 {
            return cost::EMPTY_DATA;
        }
        if padding as usize > content {
            return cost::PADDING;
        }
        if content >= TINY_OCTETS {
            return 0;
        }
        self.tiny += 1;
        if self.tiny < TINY_FRAMES {
            return 0;
        }
        self.tiny = 0;
        cost::TINY_DATA
    }

    /// A frame of content left that no window cut short. A peer may ask how long that took, and give both windows back.
    pub(crate) const fn frame(&mut self) {
        self.points = self.points.saturating_sub(cost::PING + 2 * cost::WINDOW_UPDATE);
    }

    /// Content went through, in either direction.
    pub(crate) const fn content(&mut self, octets: u32) {
        self.points = self.points.saturating_sub(octets / OCTETS_PER_POINT);
    }

    /// Content of HTTP/1.1 came. What it earns does not hang on how it was cut.
    pub(crate) const fn piece(&mut self, octets: u32) {
        let sum = self.unearned as u32 + octets;
        self.content(sum);
        self.unearned = (sum % OCTETS_PER_POINT) as u8;
    }

    /// A message came whole, or left.
    pub(crate) const fn message(&mut self) {
        self.points = self.points.saturating_sub(MESSAGE_EARNS);
    }

    /// So much time passed. Says how much of it was made use of: the rest is to be counted again.
    pub(crate) fn forgive(&mut self, time: Duration) -> Duration {
        if self.points == 0 {
            return time;
        }
        let point = Duration::from_nanos(1_000_000_000 / POINTS_PER_SECOND);
        let earned = time.as_nanos() / point.as_nanos();
        self.points = self.points.saturating_sub(u32::try_from(earned).unwrap_or(u32::MAX));
        if self.points == 0 { time } else { Duration::from_nanos(point.as_nanos() as u64 * earned as u64) }
    }

    pub(crate) fn pack(self, parcel: &mut Packer) {
        let Self { points, tiny, unearned } = self;
        parcel.number(points);
        parcel.number(tiny);
        parcel.number(unearned);
    }

    pub(crate) fn unpack(parcel: &mut Unpacker<'_>) -> Self {
        Self { points: parcel.small(), tiny: parcel.small() as u8, unearned: parcel.small() as u8 }
    }

    /// Points that are owed: for snapshots.
    pub(crate) const fn points(&self) -> u32 {
        self.points
    }
}

/// Frames of one kind that wait in the outbox, by the place of their last octet: answers to control frames, which a peer that asks and
/// never reads would make pile up without limit (CVE-2019-9512, -9514, -9515), or resets.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueuedFrames {
    ends: VecDeque<u64>,
}

impl QueuedFrames {
    /// A frame was queued; its last octet is the `end`-th that this connection ever queued.
    pub(crate) fn push(&mut self, end: u64) {
        self.ends.push_back(end);
    }

    /// Everything up to the `sent`-th octet left. Memory goes with the last frame: idle connections hold none.
    pub(crate) fn advance(&mut self, sent: u64) {
        while self.ends.front().is_some_and(|&end| end <= sent) {
            self.ends.pop_front();
        }
        if self.ends.is_empty() && self.ends.capacity() > 0 {
            self.ends = VecDeque::new();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misuse_is_paid_back_by_work_and_by_time() {
        let mut misuse = Misuse::default();
        assert!(!misuse.spend(10_000, 10_000));
        assert!(misuse.spend(1, 10_000), "one more is too many");
        misuse.message();
        misuse.content(25_600);
        assert_eq!(misuse.points(), 9_801);
        // A third of a millisecond pays a point, and what is less is not lost.
        let mut left = Duration::ZERO;
        for _ in 0..1000 {
            left += Duration::from_micros(100);
            left = left.saturating_sub(misuse.forgive(left));
        }
        assert!((9_801 - 331..=9_801 - 329).contains(&misuse.points()), "{}", misuse.points());
        assert_eq!(misuse.forgive(Duration::from_secs(10)), Duration::from_secs(10));
        misuse.message();
        assert_eq!(misuse.points(), 0, "nothing is saved up");
    }

    #[test]
    fn answers_leave_with_their_last_octet() {
        let mut answers = QueuedFrames::default();
        answers.push(17);
        answers.push(34);
        answers.advance(16);
        assert_eq!(answers.len(), 2);
        answers.advance(17);
        assert_eq!(answers.len(), 1);
        answers.advance(100);
        assert_eq!((answers.len(), answers.ends.capacity()), (0, 0));
    }
}
