//! The last of what a backend takes on its connection is kept for those streams that have little under way.
//!
//! A connection is shared, and so is its window: where a backend gives octets back as they are read, as servers in Go or on hyper do, one upload that
//! nobody reads takes all of it, and every other upload on the connection stands still with it. So a stream may have as much under way as it likes while more
//! than a quarter of the window is free; of that quarter it gets no more than leaves a third of what it has itself under way. However many are stuck, the
//! next finds something (as in Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998).
//!
//! Others give octets back once half of the window has been read. That comes before three quarters, so that nobody who is read waits for long; but there the
//! rest is not enough for anybody while one is stuck.

use crate::h2::connection::{Connection, Phase};
use crate::h2::settings::Role;
use crate::h2::streams::Stream;

/// One in so many octets of the connection's window is the reserve.
const RESERVE: usize = 4;

impl Connection {
    /// How many octets the windows let the stream send now (RFC 9113 sections 5.2.1, 6.9.1).
    #[inline]
    pub(super) fn room_for(&self, stream: &Stream) -> usize {
        let free = self.send_window.available();
        let room = stream.send_window.available().min(free);
        // Clients have their windows for themselves.
        if self.role == Role::Server || room == 0 {
            room
        } else {
            room.min(self.room_beside_others(stream, free))
        }
    }

    fn room_beside_others(&self, stream: &Stream, free: usize) -> usize {
        let reserve = self.send_window_peak as usize / RESERVE;
        let above = free.saturating_sub(reserve);
        let under_way = i64::from(self.peer.initial_window_size) - i64::from(stream.send_window.get());
        let under_way = usize::try_from(under_way).unwrap_or(0);
        // So much that three times of what is left then are what it has under way then.
        above.max((3 * free).saturating_sub(under_way) / 4)
    }

    /// The peer has opened the connection's window.
    pub(super) fn window_opened(&mut self) {
        if self.role == Role::Client {
            self.send_window_peak = self.send_window_peak.max(self.send_window.available() as u32);
        }
    }

    /// Whether streams that have much under way may go on.
    pub(super) fn is_reserve_free(&self) -> bool {
        self.send_window.available() > self.send_window_peak as usize / RESERVE
    }

    /// Whether there is output, or some could be cut. Where the peer has narrowed windows since, nothing may come of a cut; it is not
    /// promised again then.
    pub fn has_output(&self) -> bool {
        let has_turn = self.schedule.has_turn(self.send_window.available() > 0);
        let cuttable = has_turn || (self.schedule.has_parked() && self.is_reserve_free());
        !self.transmit().is_empty() || (cuttable && self.phase != Phase::Failed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::ConnectionConfig;
    use crate::fields::{FieldLine, FieldSection};
    use crate::frame;
    use crate::h2::{Input, StreamKey};

    const SEED: u64 = 1;

    /// A connection to a backend that gives back what it reads at once, on the streams where it reads.
    struct Backend {
        client: Connection,
        window: u32,
        read: Vec<u32>,
        arrived: Vec<(u32, u32)>,
    }

    impl Backend {
        fn new(read: &[u32], window: u32) -> Self {
            let config = Arc::new(ConnectionConfig::default());
            let client = Connection::new(Role::Client, config, SEED, 0);
            let mut backend = Self { client, window, read: read.to_vec(), arrived: Vec::new() };
            let mut octets = Vec::new();
            frame::put_settings(
                &mut octets,
                &[(crate::h2::settings::identifier::INITIAL_WINDOW_SIZE, window)],
            );
            frame::put_window_update(&mut octets, 0, window - 65_535);
            backend.tell(&octets);
            backend
        }

        fn tell(&mut self, octets: &[u8]) {
            let mut input = Input::new(octets);
            while self.client.poll_event(&mut input).expect("nothing is wrong").is_some() {}
        }

        fn post(&mut self, octets: usize) -> StreamKey {
            let mut fields = FieldSection::new();
            for (name, value) in
                [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/")]
            {
                fields.push(FieldLine::new(name.as_bytes(), value.as_bytes(), SEED));
            }
            let key = self.client.open(&fields, false).expect("there is a slot");
            self.client.send_data(key, &vec![b'x'; octets], true).expect("it is open");
            key
        }

        /// Gives so many octets of a stream back.
        fn give_back(&mut self, id: u32, octets: u32) {
            let mut back = Vec::new();
            frame::put_window_update(&mut back, 0, octets);
            frame::put_window_update(&mut back, id, octets);
            self.tell(&back);
        }

        /// What there is goes over, and back.
        fn carry(&mut self) {
            while self.client.has_output() {
                while self.client.cut().is_some() {}
                let octets = self.client.transmit().to_vec();
                self.client.sent(octets.len());
                let mut rest = octets.strip_prefix(frame::PREFACE).unwrap_or(&octets);
                while let Some((&[a, b, c, kind, _, id @ ..], tail)) = rest.split_first_chunk::<9>() {
                    let len = u32::from_be_bytes([0, a, b, c]);
                    rest = &tail[len as usize..];
                    let id = u32::from_be_bytes(id);
                    if kind == 0 && len > 0 {
                        self.arrived.push((id, len));
                        if self.read.contains(&id) {
                            self.give_back(id, len);
                        }
                    }
                }
            }
        }

        fn arrived(&self, id: u32) -> u32 {
            self.arrived.iter().filter(|(of, _)| *of == id).map(|(_, octets)| octets).sum()
        }
    }

    /// One upload that nobody reads has three quarters of the window; all others go on, and come to their ends.
    #[test]
    fn an_upload_that_nobody_reads_leaves_room_for_others() {
        let mut backend = Backend::new(&[3, 5], 1 << 20);
        backend.post(4 << 20);
        backend.carry();
        assert_eq!(backend.arrived(1), 3 << 18);
        for id in [3, 5] {
            backend.post(2 << 20);
            backend.carry();
            assert_eq!(backend.arrived(id), 2 << 20, "{id}");
        }
        assert_eq!(backend.arrived(1), 3 << 18);
        // A second one that is stuck has three quarters of what is left.
        backend.post(1 << 20);
        backend.carry();
        assert_eq!((backend.arrived(7), backend.window), (3 << 16, 1 << 20));
        // Somebody reads after all: each goes on.
        backend.read.extend([1, 7]);
        backend.give_back(1, 3 << 18);
        backend.carry();
        backend.give_back(7, 3 << 16);
        backend.carry();
        assert_eq!((backend.arrived(1), backend.arrived(7)), (4 << 20, 1 << 20));
        assert!(backend.client.schedule.is_empty() && !backend.client.schedule.has_parked());
    }

    /// Alone, and read, an upload comes to its end whatever the windows are.
    #[test]
    fn an_upload_that_is_read_is_held_up_by_nothing() {
        for window in [65_536, 65_539, 100_000, 1 << 20] {
            let mut backend = Backend::new(&[1, 3], window);
            backend.post(3_000_000);
            backend.post(3_000_000);
            backend.carry();
            assert_eq!((backend.arrived(1), backend.arrived(3)), (3_000_000, 3_000_000), "{window}");
            assert!(backend.client.schedule.is_empty() && !backend.client.schedule.has_parked());
        }
    }
}
