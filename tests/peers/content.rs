//! Content of any length, the same octets at both ends.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Write as _};
use std::path::Path;
use std::process::Command;

use crate::nghttpd::{Folder, Nghttpd};
use crate::process::{Program, run};
use crate::runner::Peers;

/// Octets without a pattern that framing could keep by chance: xorshift64*.
pub(crate) fn octets(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut octets = Vec::with_capacity(length + 8);
    while octets.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        octets.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    octets.truncate(length);
    octets
}

/// Says where octets differ; the octets themselves would fill the screen.
#[track_caller]
pub(crate) fn same(received: &[u8], expected: &[u8]) {
    let difference = received.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!((received.len(), difference), (expected.len(), None), "(length, first difference)");
}

/// 64 MiB, or 1 GiB with SHUNTYARD_LARGE=1.
fn large() -> usize {
    if std::env::var_os("SHUNTYARD_LARGE").is_some_and(|value| value == "1") { 1 << 30 } else { 64 << 20 }
}

const PIECE: usize = 1 << 20;

fn write_large(path: &Path) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    for number in 0..large() / PIECE {
        file.write_all(&octets(number as u64, PIECE)).unwrap();
    }
    file.flush().unwrap();
}

fn check_large(path: &Path) {
    assert_eq!(std::fs::metadata(path).unwrap().len(), large() as u64);
    let mut file = BufReader::new(File::open(path).unwrap());
    let mut piece = vec![0; PIECE];
    for number in 0..large() / PIECE {
        file.read_exact(&mut piece).unwrap();
        same(&piece, &octets(number as u64, PIECE));
    }
}

fn curl(peers: &Peers) -> Command {
    let mut command = peers.command("curl");
    command.args(["-sS", "--http2-prior-knowledge", "-w", "%{http_code}"]);
    command
}

fn start(peers: &Peers, folder: &Folder) -> (Nghttpd, Program) {
    write_large(&folder.path("large"));
    let backend = Nghttpd::start(peers, folder, &["--echo-upload"]);
    let program = Program::start(&backend.backend().each_ref().map(|argument| argument.as_str()));
    (backend, program)
}

pub(crate) fn large_download(peers: &Peers) {
    let folder = Folder::new();
    let (_backend, program) = start(peers, &folder);
    let body = folder.path("body");
    let output = run(curl(peers).arg("-o").arg(&body).arg(program.url("/large")));
    assert!(output.status.success() && output.stdout == b"200", "{output:?}");
    check_large(&body);
    program.end();
}

/// The backend sends back what it got: the same octets pass twice.
pub(crate) fn large_upload(peers: &Peers) {
    let folder = Folder::new();
    let (_backend, program) = start(peers, &folder);
    let body = folder.path("body");
    let mut command = curl(peers);
    command.arg("-T").arg(folder.path("large")).arg("-o").arg(&body).arg(program.url("/upload"));
    let output = run(&mut command);
    assert!(output.status.success() && output.stdout == b"200", "{output:?}");
    check_large(&body);
    program.end();
}

/// nghttp opens windows otherwise than curl does.
pub(crate) fn large_content_with_nghttp(peers: &Peers) {
    let folder = Folder::new();
    let (_backend, program) = start(peers, &folder);
    let large = folder.path("large");
    for arguments in [vec![], vec!["-d".as_ref(), large.as_os_str()]] {
        let body = folder.path("body");
        let mut command = Command::new("sh");
        // Its output goes to a file: a gigabyte is no string.
        command.args(["-c", r#"out=$1; shift; exec "$@" > "$out""#, "sh"]).arg(&body);
        command.arg(peers.command("nghttp").get_program()).args(arguments).arg(program.url("/large"));
        let output = run(&mut command);
        assert!(output.status.success(), "{output:?}");
        check_large(&body);
    }
    program.end();
}
