//! Many requests at a time: none fails, and backends see few connections.

use crate::content::octets;
use crate::nghttpd::{Folder, Nghttpd};
use crate::process::{Program, run};
use crate::runner::Peers;

/// Runs h2load; all of its requests must be answered with 2xx.
pub(crate) fn h2load(peers: &Peers, requests: usize, arguments: &[&str], url: &str) {
    let count = requests.to_string();
    let output = run(peers.command("h2load").args(["-n", &count]).args(arguments).arg(url));
    let report = String::from_utf8(output.stdout).unwrap();
    let expected = format!(
        "{requests} total, {requests} started, {requests} done, {requests} succeeded, \
         0 failed, 0 errored, 0 timeout"
    );
    assert!(report.contains(&expected), "{report}");
    assert!(report.contains(&format!("status codes: {requests} 2xx, 0 3xx, 0 4xx, 0 5xx")), "{report}");
}

fn start(peers: &Peers, folder: &Folder, nghttpd: &[&str], more: &[&str]) -> (Nghttpd, Program) {
    folder.write("index.html", "hello\n");
    let backend = Nghttpd::start(peers, folder, nghttpd);
    let [flag, url] = backend.backend();
    let program = Program::start(&[&[flag.as_str(), &url], more].concat());
    (backend, program)
}

/// 1000 streams at a time at most.
pub(crate) fn streams_share_connections(peers: &Peers) {
    // The smaller of the backend's limit and of what one connection is trusted with (250) counts.
    for (limit, connections) in [("20", 16), ("100", 10), ("1000", 4)] {
        let folder = Folder::new();
        let (backend, program) = start(peers, &folder, &["--max-concurrent-streams", limit], &[]);
        h2load(peers, 20_000, &["-c", "10", "-m", "100"], &program.url("/"));
        if let Some(count) = backend.connections() {
            assert!((1..=connections).contains(&count), "limit {limit}: {count} connections");
        }
        program.end();
    }
}

pub(crate) fn one_connection(peers: &Peers) {
    let folder = Folder::new();
    let (backend, program) = start(peers, &folder, &[], &[]);
    h2load(peers, 5_000, &["-c", "1", "-m", "100"], &program.url("/"));
    if let Some(count) = backend.connections() {
        assert_eq!(count, 1);
    }
    program.end();
}

pub(crate) fn posts(peers: &Peers) {
    let folder = Folder::new();
    let upload = folder.write("upload", octets(4, 20_000));
    let (_backend, program) = start(peers, &folder, &["--echo-upload"], &[]);
    let data = upload.to_str().unwrap();
    h2load(peers, 5_000, &["-c", "10", "-m", "20", "-d", data], &program.url("/upload"));
    program.end();
}

pub(crate) fn several_workers(peers: &Peers) {
    let folder = Folder::new();
    let (_backend, program) = start(peers, &folder, &[], &["--workers", "3"]);
    h2load(peers, 20_000, &["-c", "30", "-m", "30"], &program.url("/"));
    program.end();
}
