//! HTTP/1.1 in front, and to backends: curl in every version that it speaks, and load.

use std::process::Command;

use crate::content::same;
use crate::load::h2load;
use crate::process::{Process, Program, run};
use crate::runner::Peers;
use crate::scripts::{ADAPTERS, Backend, Served, python, script};

/// How curl asks, and the version of the answer.
const VERSIONS: [(&str, &str); 4] = [
    ("--http1.0", "1.1"),
    ("--http1.1", "1.1"),
    // `Upgrade: h2c`: RFC 9113 has taken it back, and the request is served as it came.
    ("--http2", "1.1"),
    ("--http2-prior-knowledge", "2"),
];

/// curl that says status and version in its last line, and writes what came into `body`.
fn curl(peers: &Peers, served: &Served, version: &str) -> Command {
    let mut command = peers.command("curl");
    command
        .args(["-sS", version, "-w", "%{http_code} %{http_version}", "-o"])
        .arg(served.folder.path("body"));
    command
}

fn body(served: &Served) -> Vec<u8> {
    std::fs::read(served.folder.path("body")).unwrap()
}

#[track_caller]
fn answered(command: &mut Command, expected: String) {
    let output = run(command);
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{command:?}: {output:?}");
    assert!(output.status.success(), "{output:?}");
}

/// GET, HEAD, POST, ranges.
pub(crate) fn requests(peers: &Peers) {
    let served = Served::new();
    served.everywhere(peers, |program, backend| {
        for (version, answer) in VERSIONS {
            let ask = |status: u16, arguments: &[&str], path: &str| {
                let mut command = curl(peers, &served, version);
                answered(command.args(arguments).arg(program.url(path)), format!("{status} {answer}"));
            };
            ask(200, &[], "/page");
            same(&body(&served), &served.page);
            ask(404, &[], "/nothing");
            ask(200, &["-I"], "/page");
            let head = String::from_utf8(body(&served)).unwrap();
            assert!(head.contains("content-length: 100000\r\n") && head.ends_with("\r\n\r\n"), "{head}");
            let upload = format!("@{}", served.folder.path("page").display());
            ask(200, &["--data-binary", &upload], "/upload");
            same(&body(&served), &served.page);
            if version != "--http1.0" {
                ask(200, &["-H", "transfer-encoding: chunked", "--data-binary", &upload], "/upload");
                same(&body(&served), &served.page);
            }
            // nghttpd knows no ranges.
            if backend == "HTTP/1.1 backend" {
                ask(206, &["-r", "1000-1099"], "/page");
                same(&body(&served), &served.page[1000..1100]);
            }
        }
    });
}

/// 100 MiB each way, and in chunks, for a client of HTTP/1.0 too, which does not know them.
pub(crate) fn large_content(peers: &Peers) {
    let served = Served::new();
    served.everywhere(peers, |program, backend| {
        for (version, answer) in VERSIONS {
            let mut paths = vec!["/large"];
            paths.extend((backend == "HTTP/1.1 backend").then_some("/chunked"));
            for path in paths {
                let mut command = curl(peers, &served, version);
                answered(command.arg(program.url(path)), format!("200 {answer}"));
                same(&body(&served), &served.large);
            }
            let mut command = curl(peers, &served, version);
            command.arg("-T").arg(served.folder.path("large")).arg(program.url("/upload"));
            answered(&mut command, format!("200 {answer}"));
            same(&body(&served), &served.large);
        }
    });
}

/// The client gets its 100 before it sends content: curl would wait ten seconds for it here.
pub(crate) fn expect_continue(peers: &Peers) {
    let served = Served::new();
    served.everywhere(peers, |program, backend| {
        let mut command = curl(peers, &served, "--http1.1");
        command.args(["-v", "--expect100-timeout", "10", "--max-time", "9", "-H", "expect: 100-continue"]);
        let output = run(command.arg("-T").arg(served.folder.path("page")).arg(program.url("/upload")));
        assert_eq!(output.stdout, b"200 1.1", "{backend}: {output:?}");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(log.contains("< HTTP/1.1 100 Continue"), "{backend}: {log}");
        same(&body(&served), &served.page);
    });
}

pub(crate) fn load(peers: &Peers) {
    let served = Served::new();
    served.everywhere(peers, |program, _| {
        h2load(peers, 5000, &["--h1", "-c", "20"], &program.url("/page"));
        let upload = served.folder.path("page");
        h2load(peers, 1000, &["--h1", "-c", "10", "-d", upload.to_str().unwrap()], &program.url("/upload"));
        let output = run(peers.command("wrk").args(["-t1", "-c20", "-d2"]).arg(program.url("/page")));
        let report = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && report.contains("requests in"), "{report}");
        assert!(!report.contains("Non-2xx") && !report.contains("Socket errors"), "{report}");
    });
}

/// The head of a response is there before its content is, and each event before the next.
pub(crate) fn events(peers: &Peers) {
    let served = Served::new();
    let backends = [
        ("http", Backend::start(python(peers, "origin.py").arg(served.folder.path("")))),
        ("h2c", Backend::start(peers.command("node").arg(script("events_backend.mjs")))),
    ];
    for (scheme, backend) in &backends {
        for adapter in ADAPTERS {
            let program = backend.behind(scheme, adapter);
            for (version, answer) in VERSIONS {
                follow(peers, &program, version, answer);
            }
            program.end();
        }
    }
}

fn follow(peers: &Peers, program: &Program, version: &str, answer: &str) {
    let mut command = peers.command("curl");
    // Not -i: curl keeps such heads back until there is content.
    let mut client = Process::spawn(command.args(["-sS", "-N", "-v", version]).arg(program.url("/events")));
    let line = |beginning: &str| {
        client.find_line(beginning, |line| line.starts_with(beginning).then_some(()));
    };
    let goes_on = || {
        let answer = run(peers.command("curl").args(["-sS", "--http1.1"]).arg(program.url("/go")));
        assert_eq!(answer.stdout, b"gone on\n");
    };
    line(&format!("< HTTP/{answer} 200"));
    line("< content-type: text/event-stream");
    assert!(!client.log().contains("data:"), "{}", client.log());
    goes_on();
    line("data: first");
    assert!(!client.log().contains("data: last"), "{}", client.log());
    goes_on();
    line("data: last");
    assert!(client.wait().success(), "{}", client.log());
}
