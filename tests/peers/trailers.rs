//! Trailer sections in both directions.

use crate::nghttpd::{Folder, Nghttpd};
use crate::process::{Program, run};
use crate::runner::Peers;

pub(crate) fn of_a_response(peers: &Peers) {
    let folder = Folder::new();
    folder.write("page", "hello\n");
    let backend = Nghttpd::start(peers, &folder, &["--trailer=x-checksum: 0123"]);
    let program = Program::start(&backend.backend().each_ref().map(|argument| argument.as_str()));

    let output = run(peers.command("nghttp").arg("-v").arg(program.url("/page")));
    let log = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{log}");
    let (content, trailers) = (log.find("recv DATA"), log.find("x-checksum: 0123"));
    assert!(content.is_some() && content < trailers, "{log}");
    program.end();
}

pub(crate) fn of_a_request(peers: &Peers) {
    let folder = Folder::new();
    let upload = folder.write("upload", "hello\n");
    let backend = Nghttpd::start(peers, &folder, &["--verbose", "--echo-upload"]);
    let program = Program::start(&backend.backend().each_ref().map(|argument| argument.as_str()));
    let mut command = peers.command("nghttp");
    command.args(["--trailer", "x-checksum: 4567", "-d"]).arg(upload).arg(program.url("/upload"));
    let output = run(&mut command);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"hello\n");
    backend.process.find_line("the trailer section", |line| line.contains("x-checksum: 4567").then_some(()));
    program.end();
}
