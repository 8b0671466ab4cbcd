//! Single requests: methods, status, content.

use std::process::Command;
use std::thread;

use crate::content::{octets, same};
use crate::nghttpd::{Folder, Nghttpd};
use crate::process::{Process, Program, run, shuntyard};
use crate::runner::Peers;

/// A program in front of an nghttpd that sends uploads back, and a page of some length.
struct Line {
    folder: Folder,
    backend: Nghttpd,
    program: Program,
    page: Vec<u8>,
}

fn line(peers: &Peers) -> Line {
    let folder = Folder::new();
    let page = octets(1, 100_000);
    folder.write("page", &page);
    let backend = Nghttpd::start(peers, &folder, &["--echo-upload"]);
    let program = Program::start(&backend.backend().each_ref().map(|argument| argument.as_str()));
    Line { folder, backend, program, page }
}

/// curl that speaks HTTP/2 at once and ends with its status as the last line of stdout.
fn curl(peers: &Peers) -> Command {
    let mut command = peers.command("curl");
    command.args(["-sS", "--http2-prior-knowledge", "-w", "%{http_code} %{http_version}"]);
    command
}

pub(crate) fn curl_get(peers: &Peers) {
    let line = line(peers);
    let (body, head) = (line.folder.path("body"), line.folder.path("head"));
    let output = run(curl(peers).arg("-o").arg(&body).arg("-D").arg(&head).arg(line.program.url("/page")));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"200 2");
    same(&std::fs::read(body).unwrap(), &line.page);
    let head = std::fs::read_to_string(head).unwrap();
    assert!(head.contains("content-length: 100000\r\n") && head.contains("via: 2.0 shuntyard\r\n"), "{head}");
    line.program.end();
}

pub(crate) fn curl_head(peers: &Peers) {
    let line = line(peers);
    let output = run(curl(peers).arg("-I").arg(line.program.url("/page")));
    assert!(output.status.success(), "{output:?}");
    let head = String::from_utf8(output.stdout).unwrap();
    assert!(head.starts_with("HTTP/2 200") && head.contains("content-length: 100000\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n200 2"), "content came: {head}");
    line.program.end();
}

pub(crate) fn curl_post(peers: &Peers) {
    let line = line(peers);
    for length in [0, 1, 16_384, 65_535, 1_000_000] {
        let (upload, body) = (line.folder.write("upload", octets(2, length)), line.folder.path("body"));
        let data = format!("@{}", upload.display());
        let mut command = curl(peers);
        command.args(["--data-binary", &data]).arg("-o").arg(&body).arg(line.program.url("/upload"));
        let output = run(&mut command);
        assert!(output.status.success(), "{length}: {output:?}");
        assert_eq!(output.stdout, b"200 2", "{length}");
        same(&std::fs::read(&body).unwrap_or_default(), &octets(2, length));
    }
    line.program.end();
}

pub(crate) fn curl_not_found(peers: &Peers) {
    let line = line(peers);
    let output = run(curl(peers).arg("-o").arg(line.folder.path("body")).arg(line.program.url("/nothing")));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"404 2");
    line.program.end();
}

/// Processes, not streams: with prior knowledge curl 7.88 uses no connection twice, whoever the server is.
pub(crate) fn many_curls(peers: &Peers) {
    let line = line(peers);
    thread::scope(|scope| {
        for number in 0..24 {
            let body = line.folder.path(&format!("body-{number}"));
            let mut command = curl(peers);
            command.arg(line.program.url("/page")).arg("-o").arg(&body);
            let page = &line.page;
            scope.spawn(move || {
                let output = run(&mut command);
                assert!(output.status.success() && output.stdout == b"200 2", "{output:?}");
                same(&std::fs::read(body).unwrap(), page);
            });
        }
    });
    line.program.end();
}

pub(crate) fn curl_over_a_unix_socket(peers: &Peers) {
    let line = line(peers);
    // The names of Unix sockets are short; the test's folder may lie deep.
    let socket = std::env::temp_dir().join(format!("shuntyard-peers-{}.sock", std::process::id()));
    let listen = format!("unix:{}", socket.display());
    let [flag, backend] = line.backend.backend();
    let mut process = Process::spawn(&mut shuntyard(&["run", "--listen", &listen, &flag, &backend]));
    process.find_line("the listener", |line| line.starts_with("listening on unix:").then_some(()));
    let body = line.folder.path("body");
    let mut command = curl(peers);
    command.arg("--unix-socket").arg(&socket).arg("-o").arg(&body).arg("http://localhost/page");
    let output = run(&mut command);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"200 2");
    same(&std::fs::read(body).unwrap(), &line.page);
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
    assert!(!socket.exists());
}

pub(crate) fn nghttp_get(peers: &Peers) {
    let line = line(peers);
    let output = run(peers.command("nghttp").arg(line.program.url("/page")));
    assert!(output.status.success(), "{:?}", output.stderr);
    same(&output.stdout, &line.page);
    line.program.end();
}

pub(crate) fn nghttp_head(peers: &Peers) {
    let line = line(peers);
    let mut command = peers.command("nghttp");
    let output = run(command.args(["-v", "-H", ":method: HEAD"]).arg(line.program.url("/page")));
    let log = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{log}");
    assert!(log.contains(":status: 200") && log.contains("content-length: 100000"), "{log}");
    assert!(!log.contains("recv DATA"), "{log}");
    line.program.end();
}

pub(crate) fn nghttp_post(peers: &Peers) {
    let line = line(peers);
    let content = octets(3, 200_000);
    let upload = line.folder.write("upload", &content);
    let output = run(peers.command("nghttp").arg("-d").arg(upload).arg(line.program.url("/upload")));
    assert!(output.status.success(), "{:?}", output.stderr);
    same(&output.stdout, &content);
    line.program.end();
}
