//! Who sends next: streams with something to send take turns of one frame.

use crate::h2::streams::{Ready, Stream, StreamKey, Streams};
use crate::list::List;

/// Streams that could send as far as they themselves are concerned. Whether the connection's window and outbox have
/// room is asked when a frame is cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schedule {
    ready: List<Stream, Ready>,
}

impl Schedule {
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Lets a stream take turns from now on, if it has something to send and a window for it.
    pub(crate) fn wake(&mut self, streams: &mut Streams, key: StreamKey) {
        if streams.slab.get(key).is_some_and(Stream::can_send) {
            self.ready.push_back(&mut streams.slab, key);
        }
    }

    /// Whose turn it is.
    pub(crate) fn front(&self) -> Option<StreamKey> {
        self.ready.front()
    }

    /// The stream whose turn it was has had it; it stays if it can send more.
    pub(crate) fn turn_over(&mut self, streams: &mut Streams, key: StreamKey) {
        self.ready.unlink(&mut streams.slab, key);
        self.wake(streams, key);
    }

    pub(crate) fn remove(&mut self, streams: &mut Streams, key: StreamKey) {
        self.ready.unlink(&mut streams.slab, key);
    }
}
