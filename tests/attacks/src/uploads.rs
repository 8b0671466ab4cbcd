//! Content of requests, within the windows that the proxy gives.

use std::io;
use std::thread;
use std::time::Duration;

use crate::peer::Peer;

/// What one request of many is: as much as RFC 9113 lets everybody send at first.
const CONTENT: u64 = 65_535;
/// Frames of one turn.
const BURST: usize = 200;

fn open(peer: &mut Peer, uploads: usize, path: &str) -> io::Result<()> {
    peer.greet()?;
    let frames: Vec<_> = (0..uploads).map(|_| peer.request("POST", path, &[], false).1).collect();
    peer.frames(frames)
}

/// One upload to an origin that reads none.
pub fn open_unread(peer: &mut Peer) -> io::Result<()> {
    open(peer, 1, "/attack/unread")
}

/// As many as a connection may have, likewise.
pub fn open_many_unread(peer: &mut Peer) -> io::Result<()> {
    open(peer, 100, "/attack/unread")
}

/// One upload that the origin reads.
pub fn open_read(peer: &mut Peer) -> io::Result<()> {
    open(peer, 1, "/attack/upload")
}

/// Content for each upload, as much as the windows allow: a single one without end, each of many up to 65,535 octets.
pub fn fill(peer: &mut Peer) -> io::Result<()> {
    let opened: Vec<_> = peer.opened().collect();
    let bound = if opened.len() == 1 { u64::MAX } else { CONTENT };
    let before = peer.said();
    for stream in opened {
        let wanted = bound.saturating_sub(peer.uploaded(stream));
        peer.upload(stream, usize::try_from(wanted).unwrap_or(usize::MAX), 1)?;
    }
    if peer.said() == before {
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// DATA of one octet each.
pub fn tiny_data(peer: &mut Peer) -> io::Result<()> {
    let before = peer.said();
    peer.upload(1, 1, BURST)?;
    if peer.said() == before {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
