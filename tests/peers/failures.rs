//! Peers that vanish, and an end in mid-work.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Instant;

use crate::content::{octets, same};
use crate::nghttpd::{Folder, Nghttpd};
use crate::process::{PATIENCE, Process, Program, run};
use crate::runner::Peers;

fn curl(peers: &Peers) -> Command {
    let mut command = peers.command("curl");
    command.args(["-sS", "--http2-prior-knowledge", "-w", "%{http_code}"]);
    command
}

fn program(backend: &Nghttpd) -> Program {
    Program::start(&backend.backend().each_ref().map(|argument| argument.as_str()))
}

/// The backend is told to stop (RST_STREAM), and the connection to it goes on.
pub(crate) fn killed_client(peers: &Peers) {
    let folder = Folder::new();
    folder.write("large", octets(5, 32 << 20));
    folder.write("page", "hello\n");
    let backend = Nghttpd::start(peers, &folder, &["--verbose"]);
    let program = program(&backend);
    let mut command = curl(peers);
    command.args(["--limit-rate", "100k", "-o", "/dev/null"]).arg(program.url("/large"));
    let mut client = Process::spawn(&mut command);
    backend.process.find_line("the response's beginning", |line| line.contains("send DATA").then_some(()));
    client.kill();
    let reset = |line: &str| line.contains("recv RST_STREAM").then(|| line.to_owned());
    backend.process.find_line("the end of the backend stream", reset);
    let output = run(curl(peers).arg("-o").arg(folder.path("body")).arg(program.url("/page")));
    assert_eq!(output.stdout, b"200", "{output:?}");
    assert_eq!(std::fs::read(folder.path("body")).unwrap(), b"hello\n");
    if let Some(count) = backend.connections() {
        assert_eq!(count, 1, "the backend connection is still the same");
    }
    program.end();
}

pub(crate) fn killed_backend(peers: &Peers) {
    let folder = Folder::new();
    folder.write("page", "hello\n");
    let mut backend = Nghttpd::start(peers, &folder, &[]);
    let program = program(&backend);
    let status = || {
        let output = run(curl(peers).args(["-o", "/dev/null"]).arg(program.url("/page")));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(status(), "200");
    for _ in 0..2 {
        backend.process.kill();
        assert_eq!(status(), "502");
        backend.restart(peers, &folder);
        assert_eq!(status(), "200");
    }
    program.end();
}

/// A request that the backend may have begun to work on is sent once more where that does no harm (RFC 9110 section 9.2.2),
/// and else not: then 502.
pub(crate) fn backend_lost_in_mid_request(peers: &Peers) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let backend = format!("h2c://{}", listener.local_addr().unwrap());
    let program = Program::start(&["--backend", &backend]);
    for (method, attempts) in [("GET", 2), ("POST", 1)] {
        let mut command = curl(peers);
        command.args(["-o", "/dev/null", "-X", method]).arg(program.url("/"));
        let client = thread::spawn(move || run(&mut command));
        for _ in 0..attempts {
            let (upstream, _) = listener.accept().unwrap();
            drop(read_request(upstream));
        }
        let output = client.join().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, b"502");
    }
    program.end();
}

/// Reads up to the HEADERS of stream 1. The preface is answered with SETTINGS.
fn read_request(mut stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
    stream.read_exact(&mut [0; 24]).unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; length as usize]).unwrap();
        if head[3] == 1 {
            return stream;
        }
    }
}

/// What was promised before the signal is kept, to the last octet; new clients are refused.
pub(crate) fn drain_in_mid_download(peers: &Peers) {
    let folder = Folder::new();
    let content = octets(6, 6 << 20);
    folder.write("large", &content);
    let backend = Nghttpd::start(peers, &folder, &[]);
    let mut program = program(&backend);
    let body = folder.path("body");
    let mut command = curl(peers);
    command.args(["--limit-rate", "4M", "-o"]).arg(&body).arg(program.url("/large"));
    let mut client = Process::spawn(&mut command);
    let deadline = Instant::now() + PATIENCE;
    while std::fs::metadata(&body).map_or(0, |body| body.len()) == 0 {
        assert!(client.is_running() && Instant::now() < deadline, "{}", client.log());
        thread::yield_now();
    }
    program.process.signal("TERM");
    program.process.find_line("the drain", |line| line.starts_with("SIGTERM: draining").then_some(()));
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", program.port())).is_ok() {
        assert!(Instant::now() < deadline, "new clients are taken yet: {}", program.process.log());
        thread::yield_now();
    }
    assert!(client.wait().success(), "{}", client.log());
    same(&std::fs::read(body).unwrap(), &content);
    assert_eq!(program.process.wait().code(), Some(0), "{}", program.process.log());
}
