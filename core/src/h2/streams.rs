//! The streams of one connection: found by key in constant time, by identifier by bisection.

use std::collections::VecDeque;

use crate::fields::FieldSection;
use crate::h2::state::{ClosedBy, State};
use crate::key::{Key, Slab};
use crate::list::{Linked, Links};
use crate::message::Method;
use crate::outbox::OctetQueue;
use crate::parcel::{Packer, Unpacker};
use crate::priority::{Priority, Signal};
use crate::window::{RecvWindow, SendWindow};

/// The address of a stream; stale once the stream is closed on both sides.
pub type StreamKey = Key<Stream>;

/// What may come next of the peer's message (RFC 9113 section 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A header section: of the request, of an interim or of the final response.
    Head,
    /// Content and trailers. `left` counts down what content-length promised.
    Content { left: Option<u64> },
    /// DATA of a CONNECT tunnel, nothing else (section 8.5).
    Tunnel,
}

/// One stream.
#[derive(Clone, Debug)]
pub struct Stream {
    pub(crate) id: u32,
    pub(crate) state: State,
    pub(crate) tag: u64,
    pub(crate) recv_window: RecvWindow,
    pub(crate) send_window: SendWindow,
    pub(crate) expected: Expected,
    pub(crate) interim_responses: u32,
    /// Client: the request's method, on which depends what its response may hold. Server: HEAD, where somebody has said that the response has no
    /// content ([`Connection::without_content`](super::Connection)).
    pub(crate) method: Option<Method>,
    /// Content that waits for its window or its turn.
    pub(crate) queue: OctetQueue,
    /// Our message's final head has been sent.
    pub(crate) head_sent: bool,
    /// The message ends behind `queue` and `trailers`, or has ended: the owner may append nothing more.
    pub(crate) end_queued: bool,
    pub(crate) trailers: Option<Box<FieldSection>>,
    /// How urgent it is to send.
    pub(crate) priority: Priority,
    /// Server: what the response says of that, which goes over what the client says (RFC 9218 section 8).
    pub(crate) answered: Signal,
    /// Of the schedule's groups the one where it stood last.
    pub(crate) group: u8,
    /// Server: the answer was made here, and has cost nobody behind us anything that resets would have to be paid for by.
    pub(crate) earns_nothing: bool,
    pub(crate) ready: Links,
}

/// Who says nothing of priorities takes turns with others.
pub(crate) const TAKES_TURNS: Priority = Priority { urgency: 3, incremental: true };

impl Stream {
    pub(crate) fn new(id: u32, state: State, recv_window: RecvWindow, send_window: SendWindow) -> Self {
        Self {
            id,
            state,
            tag: 0,
            recv_window,
            send_window,
            expected: Expected::Head,
            interim_responses: 0,
            method: None,
            queue: OctetQueue::default(),
            head_sent: false,
            end_queued: false,
            trailers: None,
            priority: TAKES_TURNS,
            answered: Signal::default(),
            group: 0,
            earns_nothing: false,
            ready: Links::default(),
        }
    }

    /// Whether something waits to be cut.
    pub(crate) fn has_output(&self) -> bool {
        !self.queue.is_empty() || (self.end_queued && self.state.may_send())
    }

    /// Whether something could be cut now as far as this stream's own window goes. An end without octets needs none.
    pub(crate) fn can_send(&self) -> bool {
        if self.queue.is_empty() { self.has_output() } else { self.send_window.available() > 0 }
    }
}

/// Names the list of streams that have something to send.
#[derive(Clone, Debug)]
pub(crate) enum Ready {}

impl Linked<Ready> for Stream {
    fn links(&self) -> &Links {
        &self.ready
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.ready
    }
}

/// How many closed streams are remembered, to tell a peer's late frame from its mistake.
const REMEMBERED: usize = 32;

/// How many that are gone may stand among others by identifier, beside as many as there are.
const GONE_MAX: usize = 32;

/// The streams of one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams {
    pub(crate) slab: Slab<Stream>,
    /// By identifier. Identifiers only grow, so that insertion is at the end. Those that are gone are taken out when they stand in front, or
    /// when there are too many of them.
    by_id: VecDeque<(u32, StreamKey)>,
    /// Who was found last: frames of one stream mostly follow each other.
    found: Option<StreamKey>,
    /// The last streams that closed, in a ring.
    closed: Vec<(u32, ClosedBy)>,
    closed_at: usize,
}

impl Streams {
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    #[inline(always)]
    pub(crate) fn insert(&mut self, stream: Stream) -> StreamKey {
        let id = stream.id;
        let key = self.slab.insert(stream);
        debug_assert!(self.by_id.back().is_none_or(|&(last, _)| last < id));
        self.by_id.push_back((id, key));
        key
    }

    /// The stream of that identifier, while it is there.
    #[inline(always)]
    pub(crate) fn find(&mut self, id: u32) -> Option<StreamKey> {
        let is_it = |&key: &StreamKey| self.slab.get(key).is_some_and(|stream| stream.id == id);
        if let Some(key) = self.found.filter(is_it) {
            return Some(key);
        }
        let key = self.key_of(id)?;
        self.slab.get(key)?;
        self.found = Some(key);
        Some(key)
    }

    /// The key of that identifier, stale where the stream is gone.
    #[inline(always)]
    fn key_of(&self, id: u32) -> Option<StreamKey> {
        let &(oldest, _) = self.by_id.front()?;
        // Mostly no identifier was left out: each is by two higher than the one before.
        match self.by_id.get(id.checked_sub(oldest)? as usize / 2) {
            Some(&(other, key)) if other == id => Some(key),
            _ => self.search(id),
        }
    }

    #[cold]
    fn search(&self, id: u32) -> Option<StreamKey> {
        let at = self.by_id.binary_search_by_key(&id, |&(id, _)| id).ok()?;
        self.by_id.get(at).map(|&(_, key)| key)
    }

    /// Drops a closed stream and remembers how it closed. It must not be in a list any more.
    pub(crate) fn remove(&mut self, key: StreamKey, by: ClosedBy) {
        let Some(id) = self.slab.get(key).map(|stream| stream.id) else { return };
        self.slab.discard(key);
        // Who stands in front is there, unless it was this one.
        if self.by_id.front().is_some_and(|&(oldest, _)| oldest == id) {
            self.by_id.pop_front();
            while let Some(&(_, first)) = self.by_id.front()
                && self.slab.get(first).is_none()
            {
                self.by_id.pop_front();
            }
        }
        if self.by_id.len() > 2 * self.slab.len() + GONE_MAX {
            self.by_id.retain(|&(_, key)| self.slab.get(key).is_some());
        }
        self.remember(id, by);
    }

    pub(crate) fn remember(&mut self, id: u32, by: ClosedBy) {
        if self.closed.len() < REMEMBERED {
            self.closed.push((id, by));
        } else {
            self.closed[self.closed_at] = (id, by);
            self.closed_at = (self.closed_at + 1) % REMEMBERED;
        }
    }

    /// How a stream closed that existed once.
    pub(crate) fn closed_by(&self, id: u32) -> ClosedBy {
        self.closed.iter().rev().find(|&&(other, _)| other == id).map_or(ClosedBy::Forgotten, |&(_, by)| by)
    }

    /// What is to be known of streams that are gone. `None` where some are there.
    pub(crate) fn pack(&self, newest: u32, parcel: &mut Packer) -> Option<()> {
        let Self { slab, by_id, found: _, closed, closed_at } = self;
        let generation = slab.next_generation().filter(|_| by_id.is_empty())?;
        parcel.number(generation);
        parcel.number(closed.len() as u64);
        // Small numbers: the last that closed were mostly the last that were opened.
        for &(id, by) in closed[*closed_at..].iter().chain(&closed[..*closed_at]) {
            parcel.number(newest.wrapping_sub(id));
            parcel.number(by as u8);
        }
        Some(())
    }

    pub(crate) fn unpack(newest: u32, parcel: &mut Unpacker<'_>) -> Self {
        let slab = Slab::beginning_with(parcel.small());
        let closed = (0..parcel.number()).map(|_| {
            let id = newest.wrapping_sub(parcel.small());
            let by = parcel.number();
            (id, ClosedBy::ALL.into_iter().find(|&other| other as u64 == by).unwrap_or(ClosedBy::Forgotten))
        });
        Self { closed: closed.collect(), slab, ..Self::default() }
    }

    /// The stream with the highest identifier. Those that are gone behind it are taken out, so that whoever drops one after the other passes
    /// by none of them twice.
    pub(crate) fn newest(&mut self) -> Option<StreamKey> {
        while let Some(&(_, last)) = self.by_id.back() {
            if self.slab.get(last).is_some() {
                return Some(last);
            }
            self.by_id.pop_back();
        }
        None
    }

    /// Streams in the order of their identifiers.
    pub(crate) fn keys(&self) -> impl DoubleEndedIterator<Item = (u32, StreamKey)> {
        self.by_id.iter().copied().filter(|&(_, key)| self.slab.get(key).is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn stream(id: u32) -> Stream {
        Stream::new(id, State::Open, RecvWindow::new(0), SendWindow::new(0))
    }

    proptest! {
        #[test]
        fn streams_are_found_by_identifier_while_they_are_there(
            steps in prop::collection::vec((0..3u8, any::<prop::sample::Index>(), 0..3u32), 0..300),
        ) {
            let (mut streams, mut there, mut last) = (Streams::default(), BTreeMap::new(), 1);
            for (step, which, skipped) in steps {
                if step == 0 && !there.is_empty() {
                    let (&id, &key) = there.iter().nth(which.index(there.len())).expect("one of them");
                    streams.remove(key, ClosedBy::EndStream);
                    there.remove(&id);
                    prop_assert_eq!(streams.closed_by(id), ClosedBy::EndStream);
                } else {
                    last += 2 + 2 * skipped * u32::from(step == 2);
                    there.insert(last, streams.insert(stream(last)));
                }
                for id in 0..last + 4 {
                    prop_assert_eq!(streams.find(id), there.get(&id).copied(), "{}", id);
                }
                prop_assert!(streams.keys().eq(there.iter().map(|(&id, &key)| (id, key))));
                prop_assert!(streams.by_id.len() <= 2 * there.len() + GONE_MAX);
                prop_assert_eq!(streams.by_id.is_empty(), there.is_empty());
            }
            while let Some(key) = streams.newest() {
                let newest = there.pop_last();
                prop_assert_eq!(newest.map(|(_, key)| key), Some(key));
                streams.remove(key, ClosedBy::OurReset);
                prop_assert!(streams.by_id.len() <= 2 * there.len() + GONE_MAX);
            }
            prop_assert!(there.is_empty());
        }
    }

    /// Those that are gone take no more room than those that are there, even behind one that stays for long.
    #[test]
    fn behind_one_that_stays_few_that_are_gone_are_kept() {
        let mut streams = Streams::default();
        let first = streams.insert(stream(1));
        for id in (3..1001).step_by(2) {
            let next = streams.insert(stream(id));
            streams.remove(next, ClosedBy::EndStream);
            assert!(streams.by_id.len() <= 2 + GONE_MAX, "{}", streams.by_id.len());
            assert_eq!((streams.find(1), streams.find(id)), (Some(first), None));
        }
        streams.remove(first, ClosedBy::EndStream);
        assert!(streams.by_id.is_empty());
    }

    /// The end of a connection passes by each of its streams once.
    #[test]
    fn who_drops_the_newest_one_after_the_other_leaves_nothing_behind_the_next() {
        let mut streams = Streams::default();
        (0..1000).for_each(|n| _ = streams.insert(stream(2 * n + 1)));
        for left in (0..1000).rev() {
            let newest = streams.newest().expect("some are left");
            streams.remove(newest, ClosedBy::OurReset);
            assert_eq!(streams.slab.len(), left);
            assert!(streams.by_id.len() <= left + 1, "{} of {left}", streams.by_id.len());
        }
        assert_eq!(streams.newest(), None);
    }
}
