//! What shows only from outside of the process.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::peers::{PATIENCE, Peer};
use crate::process::Program;

/// A server with nothing to do sleeps: a second in which no thread of it wakes up must come. (One that wakes up at
/// times of its own never has one.) Its next deadline lies a minute ahead.
#[test]
fn an_idle_server_sleeps() {
    if !fs::exists("/proc/self/task").is_ok_and(|exists| exists) {
        let _ = writeln!(std::io::stderr(), "SKIPPED this system does not tell how often threads wake up");
        return;
    }
    for adapter in ["mio", "tokio"] {
        let program = Program::start(&["--adapter", adapter, "--backend", "h2c://127.0.0.1:9"]);
        let stream = TcpStream::connect(("127.0.0.1", program.port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut idle = Peer::on(Box::new(stream));
        assert_eq!(idle.ask("/").status, 502);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let before = wake_ups(&program);
            thread::sleep(Duration::from_secs(1));
            if wake_ups(&program) == before {
                break;
            }
            assert!(Instant::now() < deadline, "{adapter} wakes up without a reason");
        }
        drop(idle);
        program.end();
    }
}

/// How often the threads of the program went to sleep so far.
fn wake_ups(program: &Program) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", program.process.id())).unwrap();
    let statuses = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap());
    let count = |status: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse().ok()
    };
    statuses.map(|status| count(&status).expect("Linux counts them")).sum()
}
