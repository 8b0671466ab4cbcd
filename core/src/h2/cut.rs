//! What waits in streams becomes frames: DATA, trailers, bare ends.

use crate::frame::DEFAULT_MAX_FRAME_SIZE;
use crate::h2::connection::{Connection, Phase};
use crate::h2::streams::StreamKey;

/// What [`Connection::cut`] put into the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Its stream. Stale where the cut closed it.
    pub stream: StreamKey,
    /// The owner's tag.
    pub tag: u64,
    /// Octets of content.
    pub octets: u32,
    /// The message ends with it.
    pub end: bool,
}

/// What became of content that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Octets of it that were put into the outbox at once.
    pub cut: usize,
    /// The rest of it waits, or what came before does, and its end with that: each [`Cut`] tells of a part.
    pub waits: bool,
}

impl Connection {
    /// Cuts the next frame from the stream whose turn it is, unless the outbox is full, no window is open, or the
    /// connection has failed.
    pub fn cut(&mut self) -> Option<Cut> {
        loop {
            if self.outbox.len() >= self.config.outbox_high_mark || self.phase == Phase::Failed {
                return None;
            }
            let key = self.schedule.front()?;
            let Some(stream) = self.streams.slab.get(key) else {
                self.schedule.remove(&mut self.streams, key);
                continue;
            };
            // 9113-5.2.1-02, 9113-6.9.1-01
            let room = stream.send_window.available().min(self.send_window.available());
            let n = stream.queue.len().min(room).min(DEFAULT_MAX_FRAME_SIZE as usize); // 9113-4.1-01
            if n == 0 && !stream.queue.is_empty() {
                if stream.send_window.available() > 0 {
                    return None;
                }
                self.schedule.turn_over(&mut self.streams, key);
                continue;
            }
            return Some(self.cut_frame(key, n));
        }
    }

    /// One frame of `n` octets, or the trailers, or the bare end.
    fn cut_frame(&mut self, key: StreamKey, n: usize) -> Cut {
        let mut cut = Cut { stream: key, tag: 0, octets: n as u32, end: false };
        let Some(stream) = self.streams.slab.get_mut(key) else { return cut };
        cut.tag = stream.tag;
        let mut queue = core::mem::take(&mut stream.queue);
        let last = n == queue.len();
        let trailers = if last { stream.trailers.take() } else { None };
        cut.end = last && stream.end_queued;
        let end_in_data = cut.end && trailers.is_none();
        // A stream with something queued is open for sending, and the connection has not failed: neither call can.
        if n > 0 || end_in_data {
            let _ = self.put_data(key, &queue.as_slice()[..n], end_in_data);
        }
        if let Some(trailers) = trailers {
            let _ = self.send_fields(key, &trailers, true);
        }
        queue.consume_and_fit(n);
        if let Some(stream) = self.streams.slab.get_mut(key) {
            stream.queue = queue;
        }
        // A stream that is over has had its turn as well: else others of its kind would follow it for ever.
        self.schedule.turn_over(&mut self.streams, key);
        cut
    }
}
