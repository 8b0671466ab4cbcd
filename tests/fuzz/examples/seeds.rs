//! Writes a first corpus for each target into a folder, to be minimised by `cargo fuzz cmin`:
//!
//!     cargo run -p shuntyard-fuzz-bodies --example seeds -- FOLDER
//!
//! It is made of what the simulator's gateway wrote, of data of others where it is at hand (`SHUNTYARD_DATA`), and of
//! chance.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use shuntyard_core::frame::PREFACE;
use shuntyard_core::random::Random;
use shuntyard_fuzz_bodies::TARGETS;
use shuntyard_hpack_voices::stories;
use shuntyard_sim::generate::generate;
use shuntyard_sim::run::run_with;

/// Octets of a seed at most.
const SEED_MAX: usize = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("which folder?")?);
    for (target, _) in TARGETS {
        fs::create_dir_all(folder.join(target))?;
        for n in 0..40_u64 {
            write(&folder, target, &format!("chance-{n}"), &chance(n))?;
        }
    }
    wire(&folder)?;
    messages(&folder)?;
    introductions(&folder)?;
    parties(&folder)?;
    blocks(&folder)?;
    clients(&folder)
}

fn write(folder: &Path, target: &str, name: &str, octets: &[u8]) -> std::io::Result<()> {
    fs::write(folder.join(target).join(name), &octets[..octets.len().min(SEED_MAX)])
}

fn chance(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let len = 20 << (seed % 6);
    (0..len).map(|_| random.next_u64() as u8).collect()
}

/// What the gateway wrote on each link of some scenarios.
fn wire(folder: &Path) -> Result<(), Box<dyn Error>> {
    for seed in 0..60 {
        let Ok(report) = run_with(&generate(seed), true) else { continue };
        for (link, output) in report.outputs.iter().enumerate().filter(|(_, output)| !output.is_empty()) {
            let name = format!("wire-{seed}-{link}");
            let frames = output.strip_prefix(PREFACE).unwrap_or(output);
            write(folder, "frame_decode", &name, &[&[0][..], frames].concat())?;
            // To a server what was said to a backend, to a client what was said to a client.
            let flags = if output.starts_with(PREFACE) { 2 } else { 3 };
            write(folder, "connection", &name, &[&[flags, 0][..], output].concat())?;
        }
    }
    Ok(())
}

/// Handshakes of all kinds that nobody meddles with, in pieces of several sizes, with something said behind them.
fn parties(folder: &Path) -> Result<(), Box<dyn Error>> {
    for kind in 0..64 {
        for (n, cut) in [7, 190].into_iter().enumerate() {
            let mut script = vec![kind, n as u8];
            script.extend([
                2, cut, 0, cut, 2, 199, 0, 199, 3, 1, 3, 1, 3, 1, 4, 99, 0, cut, 1, 5, 150, 9, 2, cut, 3,
            ]);
            script.extend([14, 3, 4, 210, 2, 1, 12, 9, 1, 10, 3, 11, 1]);
            write(folder, "tls", &format!("parties-{kind}-{n}"), &script)?;
        }
    }
    Ok(())
}

/// HTTP/1.1, in all the ways in which a message may end, and some in which it must not.
fn messages(folder: &Path) -> Result<(), Box<dyn Error>> {
    let requests = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\nX: y\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloPUT /b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
        "POST http://b:81?c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n5;x=\"y\"\r\nhello\r\n0\r\nSum: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HEAD / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\nCookie: a\r\nCookie: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nabc",
        "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\nabc",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\nGET / HTTP/2.0\r\n\r\n",
    ];
    let responses = [
        "HTTP/1.1 103 \r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nSum: 1\r\n\r\nHTTP/1.1 200 OK\r\n",
        "HTTP/1.0 200 OK\r\nX : y\r\n\r\nhello",
        "HTTP/1.1 101 \r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nabc",
        "HTTP/1.1 204 \r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nConnection: close\r\n\r\n",
    ];
    let sides = [(0_u8, &requests[..]), (1, &responses[..])];
    for (side, texts) in sides {
        for (n, text) in texts.iter().enumerate() {
            for (flags, cuts) in
                [(0_u8, &[][..]), (2, &[1, 1, 2, 3, 5, 8, 13, 21]), (8, &[40, 1]), (12, &[1]), (16, &[])]
            {
                let octets = [&[side | flags, cuts.len() as u8], cuts, text.as_bytes()].concat();
                write(folder, "h1", &format!("message-{side}-{n}-{flags}"), &octets)?;
            }
        }
    }
    Ok(())
}

/// Headers of the PROXY protocol, whole and broken off.
fn introductions(folder: &Path) -> Result<(), Box<dyn Error>> {
    let lines = [
        "TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET",
        "TCP6 2001:db8::1 ::ffff:192.0.2.2 0 65535\r\n",
        "UNKNOWN ffff::f 1\r\n",
        "UNKNOWN\r\n",
        "TCP4 192.0.2.01 192.0.2.2 +1 00443\r\n",
        "UDP4 192.0.2.1 192.0.2.2 56324 443\r\n",
    ];
    for (n, line) in lines.iter().enumerate() {
        write(folder, "proxy_protocol", &format!("line-{n}"), &[&[2], line.as_bytes()].concat())?;
    }
    for (n, (command, family, octets)) in [
        (0x21, 0x11, 12),
        (0x21, 0x21, 36),
        (0x21, 0x31, 216),
        (0x20, 0, 0),
        (0x20, 0xff, 3),
        (0x21, 0, 7),
        (0x21, 0x12, 12),
    ]
    .into_iter()
    .enumerate()
    {
        for tlv in [&[][..], &[4, 0, 3, 0, 0, 0]] {
            let length = octets + tlv.len();
            let head = [1, command, family, (length >> 8) as u8, length as u8];
            let addresses: Vec<_> = (0..octets).map(|n| if n < 8 { b'/' + n as u8 } else { 0 }).collect();
            let name = format!("binary-{n}-{}", tlv.len());
            write(folder, "proxy_protocol", &name, &[&head[..], &addresses, tlv, b"PRI"].concat())?;
        }
    }
    Ok(())
}

/// The first blocks of recorded connections.
fn blocks(folder: &Path) -> Result<(), Box<dyn Error>> {
    for encoder in stories::encoders().unwrap_or_default() {
        for story in stories::of_encoder(&encoder).into_iter().step_by(8) {
            let mut octets = Vec::new();
            for case in story.cases.iter().take(12) {
                let Some(block) = case.block.as_ref().filter(|block| block.len() <= 250) else { break };
                octets.extend([255, block.len() as u8]);
                octets.extend(block);
            }
            write(folder, "hpack_decode_diff", &story.name.replace('/', "-"), &octets)?;
        }
    }
    Ok(())
}

/// Recorded clients, as frames.
fn clients(folder: &Path) -> Result<(), Box<dyn Error>> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("SHUNTYARD_DATA").map_or_else(beside, PathBuf::from);
    let Ok(entries) = fs::read_dir(data.join("nghttp2-corpus/corpus/nghttp")) else {
        eprintln!("SKIPPED recorded clients: no {}", data.display());
        return Ok(());
    };
    for (n, entry) in entries.enumerate() {
        let octets = fs::read(entry?.path())?;
        let frames = octets.strip_prefix(PREFACE).unwrap_or(&octets);
        write(folder, "frame_decode", &format!("client-{n}"), &[&[0][..], frames].concat())?;
    }
    Ok(())
}
