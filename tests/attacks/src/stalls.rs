//! Waiting, and being waited for.

use std::io;
use std::thread;
use std::time::Duration;

use shuntyard_sim::refcodec::frame::{Frame, INITIAL_WINDOW_SIZE, PREFACE};

pub use crate::floods::open_downloads;
use crate::peer::Peer;

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

/// Ten uploads to an origin that reads none.
pub fn open_uploads(peer: &mut Peer) -> io::Result<()> {
    peer.greet()?;
    let frames: Vec<_> = (0..10).map(|_| peer.request("POST", "/attack/unread", &[], false).1).collect();
    peer.frames(frames)
}

/// As much content as the proxy takes, within what RFC 9113 gives everybody at first.
pub fn uploads(peer: &mut Peer) -> io::Result<()> {
    if peer.said() > 60_000 {
        return silence(peer);
    }
    let data =
        |n: u32| Frame::Data { stream: 2 * n + 1, content: vec![b'u'; 600], padding: None, end: false };
    peer.frames((0..10).map(data).collect::<Vec<_>>())
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
