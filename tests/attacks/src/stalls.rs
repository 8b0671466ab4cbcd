//! Waiting, and being waited for.

use std::io;
use std::thread;
use std::time::Duration;

use shuntyard_sim::refcodec::frame::{Frame, INITIAL_WINDOW_SIZE, PREFACE};

pub use crate::floods::open_downloads;
use crate::peer::Peer;

/// How long somebody reads who means to stop.
const GREEDY: Duration = Duration::from_millis(500);

/// Nothing yet.
pub fn say_nothing(_: &mut Peer) -> io::Result<()> {
    Ok(())
}

/// Nothing any more.
pub fn silence(_: &mut Peer) -> io::Result<()> {
    thread::sleep(Duration::from_millis(20));
    Ok(())
}

/// A hundred downloads of 2 MiB by somebody who gives no window.
pub fn open_without_window(peer: &mut Peer) -> io::Result<()> {
    peer.greet_with(vec![(INITIAL_WINDOW_SIZE, 0)])?;
    let frames: Vec<_> = (0..100).map(|_| peer.request("GET", "/attack/big", &[], true).1).collect();
    peer.frames(frames)
}

/// An octet of window for each stream.
pub fn dribble(peer: &mut Peer) -> io::Result<()> {
    let frames = (0..100).map(|n| Frame::WindowUpdate { stream: 2 * n + 1, increment: 1 });
    peer.frames(frames.collect::<Vec<_>>())
}

/// As much as shows whether the connection still stands.
pub fn pings_seldom(peer: &mut Peer) -> io::Result<()> {
    thread::sleep(Duration::from_millis(200));
    peer.frames([Frame::Ping { ack: false, opaque: [0; 8] }])
}

/// Eighty downloads without end, by somebody whose windows have room for everything.
pub fn open_endless(peer: &mut Peer) -> io::Result<()> {
    peer.greet_with(vec![(INITIAL_WINDOW_SIZE, 0x7fff_ffff)])?;
    let mut frames = vec![Frame::WindowUpdate { stream: 0, increment: 0x7fff_0000 }];
    frames.extend((0..80).map(|_| peer.request("GET", "/attack/endless", &[], true).1));
    peer.frames(frames)
}

/// Reads greedily, until the proxy thinks much of the connection, and then no more.
pub fn greedy_then_deaf(peer: &mut Peer) -> io::Result<()> {
    if peer.age() < GREEDY {
        return silence(peer);
    }
    peer.stop_reading();
    pings_seldom(peer)
}

/// The preface, one octet now and then.
pub fn one_octet(peer: &mut Peer) -> io::Result<()> {
    let at = usize::try_from(peer.said()).unwrap_or(usize::MAX);
    thread::sleep(Duration::from_millis(400));
    peer.say(PREFACE.get(at..=at).unwrap_or_default())
}

/// A field block, one octet now and then.
pub fn slow_continuations(peer: &mut Peer) -> io::Result<()> {
    thread::sleep(Duration::from_millis(400));
    if peer.has_opened() {
        return peer.frames([Frame::Continuation { stream: 1, block: vec![0x82], end_headers: false }]);
    }
    let stream = peer.new_stream();
    let (padding, priority) = (None, None);
    peer.frames([Frame::Headers {
        stream,
        block: vec![0x82],
        padding,
        priority,
        end_headers: false,
        end: true,
    }])
}
