//! What the proxy allows to be sent: read off its SETTINGS and WINDOW_UPDATE (RFC 9113 section 6.9), and off the ends of streams (section 5.1.2).

use std::collections::HashMap;

use shuntyard_sim::refcodec::frame::{Frame, INITIAL_WINDOW_SIZE};

/// What stands in front of each frame.
const HEADER: usize = 9;
/// What every window is at first.
const FIRST: i64 = 65_535;
/// The default of `SETTINGS_MAX_FRAME_SIZE`.
const MAX_FRAME_SIZE: usize = 16_384;

/// The windows of one connection. What is no HTTP/2 comes to nothing here.
#[derive(Debug)]
pub struct Windows {
    connection: i64,
    initial: i64,
    /// Streams that the proxy has ended.
    over: u64,
    /// What each stream has got beyond the initial window, less what it has used.
    streams: HashMap<u32, i64>,
    /// The front of a frame that has not come whole.
    frame: Vec<u8>,
    /// Octets to come of a frame that says nothing of windows.
    skipped: usize,
}

impl Default for Windows {
    fn default() -> Self {
        let (streams, frame) = (HashMap::new(), Vec::new());
        Self { connection: FIRST, initial: FIRST, over: 0, streams, frame, skipped: 0 }
    }
}

impl Windows {
    /// Octets that came.
    pub fn hear(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let skipped = self.skipped.min(octets.len());
            self.skipped -= skipped;
            octets = octets.get(skipped..).unwrap_or_default();
            let missing = self.length().saturating_sub(self.frame.len());
            let (now, later) = octets.split_at(missing.min(octets.len()));
            self.frame.extend_from_slice(now);
            octets = later;
            if self.frame.len() >= HEADER && self.frame.len() == self.length() {
                self.read();
            }
        }
    }

    /// Octets of the frame that are wanted: its header, and more if it is one that says something of windows.
    fn length(&self) -> usize {
        match *self.frame.as_slice() {
            [_, high, low, 4 | 8, ..] if self.frame.len() >= HEADER => {
                HEADER + usize::from(u16::from_be_bytes([high, low]))
            }
            _ => HEADER,
        }
    }

    fn read(&mut self) {
        let frame = std::mem::take(&mut self.frame);
        if let [top, high, low, kind, flags, ..] = *frame.as_slice()
            && !matches!(kind, 4 | 8)
        {
            // END_STREAM of DATA and HEADERS, or RST_STREAM.
            self.over += u64::from(matches!((kind, flags & 1), (0 | 1, 1) | (3, _)));
            self.skipped = u32::from_be_bytes([0, top, high, low]) as usize;
            return;
        }
        match Frame::decode(&frame, usize::MAX) {
            Ok(Some((Frame::Settings { settings, .. }, _))) => {
                let of_streams = settings.iter().rfind(|(name, _)| *name == INITIAL_WINDOW_SIZE);
                self.initial = of_streams.map_or(self.initial, |&(_, value)| value.into());
            }
            Ok(Some((Frame::WindowUpdate { stream: 0, increment }, _))) => {
                self.connection += i64::from(increment);
            }
            Ok(Some((Frame::WindowUpdate { stream, increment }, _))) => {
                *self.streams.entry(stream).or_default() += i64::from(increment);
            }
            _ => {}
        }
    }

    /// How many streams the proxy has ended.
    pub const fn over(&self) -> u64 {
        self.over
    }

    /// Takes as much of a stream's window and of the connection's as one frame of `wanted` octets at most may have, and says how much.
    pub fn take(&mut self, stream: u32, wanted: usize) -> usize {
        let more = self.streams.entry(stream).or_default();
        let window = self.connection.min(self.initial + *more);
        let taken = wanted.min(MAX_FRAME_SIZE).min(usize::try_from(window).unwrap_or(0));
        *more -= taken as i64;
        self.connection -= taken as i64;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Vec<u8> {
        let frames = [
            Frame::Settings { ack: false, settings: vec![(INITIAL_WINDOW_SIZE, 100)] },
            Frame::Data { stream: 1, content: vec![8; 300], padding: None, end: false },
            Frame::Data { stream: 1, content: vec![1; 9], padding: None, end: true },
            Frame::RstStream { stream: 5, code: 8 },
            Frame::WindowUpdate { stream: 0, increment: 1_000 },
            Frame::WindowUpdate { stream: 3, increment: 50 },
        ];
        frames.iter().flat_map(Frame::encode).collect()
    }

    #[test]
    fn windows_are_read_however_their_frames_are_cut() {
        for cut in [1, 2, 7, 10, 1_000] {
            let mut windows = Windows::default();
            said().chunks(cut).for_each(|piece| windows.hear(piece));
            assert_eq!((windows.connection, windows.initial, windows.over()), (66_535, 100, 2), "{cut}");
            assert_eq!([windows.take(3, 1_000), windows.take(3, 1_000), windows.take(5, 60)], [150, 0, 60]);
            assert_eq!(windows.connection, 66_535 - 210);
        }
    }

    #[test]
    fn a_frame_is_no_longer_than_it_may_be_and_the_connection_is_used_up_in_the_end() {
        let mut windows = Windows::default();
        assert_eq!(windows.take(1, 60_000), 16_384);
        let rest: usize = (1..100).map(|n| windows.take(2 * n + 1, 1_000)).sum();
        assert_eq!(rest, 65_535 - 16_384);
    }

    #[test]
    fn what_is_no_http2_says_nothing() {
        let mut windows = Windows::default();
        windows.hear(&b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".repeat(10));
        assert_eq!((windows.connection, windows.initial), (FIRST, FIRST));
    }
}
