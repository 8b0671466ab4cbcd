//! No polling: a program that nobody asks for anything makes no system calls.

use std::thread;
use std::time::Duration;

use crate::nghttpd::{Folder, Nghttpd};
use crate::process::{Program, run};
use crate::runner::Peers;

/// With a client's and a backend's connection open and idle. Timers are far away then: the next is 20 seconds off.
pub(crate) fn makes_no_system_calls(peers: &Peers) {
    for adapter in ["mio", "tokio"] {
        let folder = Folder::new();
        folder.write("index.html", "hello\n");
        let backend = Nghttpd::start(peers, &folder, &[]);
        let [flag, url] = backend.backend();
        let program = Program::start(&["--adapter", adapter, "--workers", "2", &flag, &url]);
        let client = std::net::TcpStream::connect(("127.0.0.1", program.port())).unwrap();
        let answer = run(peers.command("curl").args(["-sS", "--http2-prior-knowledge", &program.url("/")]));
        assert_eq!(answer.stdout, b"hello\n");
        // What the last answer leaves behind (lingering, closing) is over by then.
        thread::sleep(Duration::from_secs(4));
        let pid = program.process.id().to_string();
        let mut strace = peers.command("timeout");
        strace.args(["-s", "INT", "3", "strace", "-f", "-qq", "-e", "signal=none", "-p", &pid]);
        let output = run(&mut strace);
        let trace = String::from_utf8_lossy(&output.stderr).into_owned();
        // strace shows the calls in which it found the threads asleep; none may return, none may begin.
        let asleep = [
            "epoll_wait(",
            "epoll_pwait(",
            "futex(",
            "restart_syscall(",
            "poll(",
            "read(",
            "recvfrom(",
            "accept4(",
        ];
        let lines: Vec<&str> = trace.lines().filter(|line| !line.trim().is_empty()).collect();
        let busy: Vec<_> = lines
            .iter()
            .filter(|line| {
                !(asleep.iter().any(|call| line.contains(call)) && line.contains("<unfinished")
                    || line.contains("<detached")
                    || line.contains(" resuming"))
            })
            .collect();
        assert!(!lines.is_empty(), "strace saw no thread at all");
        // tokio's alarm sleeps until a deadline that has been cancelled since, and finds out when it wakes: once.
        let most = if adapter == "mio" { 0 } else { 8 };
        assert!(busy.len() <= most, "{adapter}: {busy:#?}");
        drop(client);
        program.end();
    }
}
