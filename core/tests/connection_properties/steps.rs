//! What may happen between two connections, and how they may be configured.
#![allow(unreachable_pub, reason = "a module of one test binary")]

use proptest::prelude::*;
use shuntyard_core::config::ConnectionConfig;

/// What happens next; `side` 0 is the client, 1 the server.
#[derive(Clone, Debug)]
pub enum Step {
    /// A request, with this much content each way, in parts of this size.
    Open {
        contents: [usize; 2],
        ending: Ending,
    },
    /// More of a message of this side is handed to its connection.
    Push {
        side: usize,
        message: usize,
        octets: usize,
    },
    /// Octets leave the connection.
    Emit {
        side: usize,
        octets: usize,
    },
    /// Octets arrive at the other side.
    Deliver {
        side: usize,
        octets: usize,
    },
    /// The owner gives credit back.
    Release {
        side: usize,
        octets: u32,
    },
    Reset {
        side: usize,
        message: usize,
    },
}

/// How messages end.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    WithContent,
    EmptyFrame,
    Trailers,
}

pub fn step() -> impl Strategy<Value = Step> {
    let ending = prop::sample::select(&[Ending::WithContent, Ending::EmptyFrame, Ending::Trailers][..]);
    let octets = || prop_oneof![1..40usize, 1..40_000usize];
    let side = || 0..2usize;
    prop_oneof![
        3 => (any::<[u16; 2]>(), ending).prop_map(|(parts, ending)| Step::Open { contents: parts.map(usize::from), ending }),
        6 => (side(), 0..8usize, octets()).prop_map(|(side, message, octets)| Step::Push { side, message, octets }),
        6 => (side(), octets()).prop_map(|(side, octets)| Step::Emit { side, octets }),
        6 => (side(), octets()).prop_map(|(side, octets)| Step::Deliver { side, octets }),
        4 => (side(), 1..40_000u32).prop_map(|(side, octets)| Step::Release { side, octets }),
        1 => (side(), 0..8usize).prop_map(|(side, message)| Step::Reset { side, message }),
    ]
}

pub fn config() -> impl Strategy<Value = ConnectionConfig> {
    let window = prop::sample::select(&[1u32, 37, 1000, 16_384, 65_535, 100_000][..]);
    let connection = prop::sample::select(&[65_535u32, 70_000, 1 << 20][..]);
    let mark = prop::sample::select(&[1usize, 1000, 128 << 10][..]);
    let streams = prop::sample::select(&[1u32, 3, 100][..]);
    (window, connection, mark, streams).prop_map(|(window, connection, mark, streams)| ConnectionConfig {
        initial_window_size: window,
        connection_window_size: connection,
        outbox_high_mark: mark,
        max_concurrent_streams: streams,
        ..ConnectionConfig::default()
    })
}
