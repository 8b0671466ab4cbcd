//! Normal traffic never meets a limit: whoever only asks and answers owes less than a quarter of what ends a connection, on either side.

use crate::clients::chromium;
use crate::content::octets;
use crate::figures::metrics;
use crate::load::h2load;
use crate::nghttpd::{Folder, Nghttpd};
use crate::process::{Program, run};
use crate::runner::Peers;
use crate::scripts::{Backend, fine, python};
use crate::tls::{Files, port_of};

/// `max_misuse`, unless somebody says otherwise.
const BUDGET: u32 = 10_000;

/// The program in front of a backend with everything as it is by default, and its admin address.
fn start(backend: &str, more: &[&str]) -> (Program, String) {
    let program = Program::start(&[&["--backend", backend, "--admin", "127.0.0.1:0"], more].concat());
    let admin = program.process.find_line("the admin address", |line| {
        Some(line.strip_prefix("status on http://")?.strip_suffix("/status")?.to_owned())
    });
    (program, admin)
}

/// Nobody owed much, and no limit was met.
#[track_caller]
fn is_spared(what: &str, program: Program, admin: &str) {
    let text = metrics(admin, "text/plain");
    let values = |name: &str| {
        let samples =
            text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' ')).collect::<Vec<_>>();
        assert!(!samples.is_empty(), "{name}: {text}");
        samples
            .into_iter()
            .map(|(labels, value)| (labels.to_owned(), value.parse::<f64>().unwrap()))
            .collect::<Vec<_>>()
    };
    for (side, points) in values("shuntyard_misuse_peak") {
        println!("{what}: {side} owed {points} points at most");
        assert!(points <= f64::from(BUDGET / 4), "{what}: {side} owed {points} points");
    }
    for (limit, hits) in values("shuntyard_limits_hit") {
        assert_eq!(hits, 0.0, "{what}: {limit}");
    }
    program.end();
}

pub(crate) fn loads(peers: &Peers) {
    let folder = Folder::new();
    folder.write("index.html", "hello\n");
    let upload = folder.write("upload", octets(4, 20_000)).display().to_string();
    let nghttpd = Nghttpd::start(peers, &folder, &["--echo-upload"]);
    let [_, url] = nghttpd.backend();
    let (program, admin) = start(&url, &[]);
    h2load(peers, 20_000, &["-c", "10", "-m", "100"], &program.url("/"));
    h2load(peers, 3_000, &["-c", "3", "-m", "100", "-d", &upload], &program.url("/upload"));
    is_spared("h2load", program, &admin);
}

pub(crate) fn large_content(peers: &Peers) {
    let folder = Folder::new();
    let large = folder.write("large", octets(5, 64 << 20));
    let nghttpd = Nghttpd::start(peers, &folder, &["--echo-upload"]);
    let [_, url] = nghttpd.backend();
    for version in ["--http2-prior-knowledge", "--http1.1"] {
        let (program, admin) = start(&url, &[]);
        let mut command = peers.command("curl");
        command.args(["-sS", version, "-w", "%{http_code}", "-o", "/dev/null", "-T"]).arg(&large);
        let output = run(command.arg(program.url("/upload")));
        assert!(output.status.success() && output.stdout == b"200", "{output:?}");
        is_spared(version, program, &admin);
    }
}

/// Cancellations and deadlines that pass are in it.
pub(crate) fn grpc(peers: &Peers) {
    let backend = Backend::start(python(peers, "grpc_calls.py").arg("serve"));
    let (program, admin) = start(&backend.url("h2c"), &[]);
    let place = format!("127.0.0.1:{}", program.port());
    fine("grpc", python(peers, "grpc_calls.py").arg("call").arg(place));
    is_spared("gRPC", program, &admin);
}

/// A page that asks for eighty things at once, and takes thirty of them back.
pub(crate) fn browser(peers: &Peers) {
    const HTML: &str = r#"<!doctype html><title>budgets</title><p id=out>waiting</p><script>
        const get = (n, signal) => fetch("/page?" + n, { signal }).then((a) => a.arrayBuffer()).then(() => "got", () => "left");
        const stop = new AbortController();
        const kept = Array.from({ length: 50 }, (_, n) => get(n));
        const left = Array.from({ length: 30 }, (_, n) => get(100 + n, stop.signal));
        setTimeout(() => stop.abort(), 1);
        Promise.all([...kept, ...left]).then((all) => (document.getElementById("out").textContent = "done " + all.slice(0, 50).every((one) => one == "got")));
        </script>"#;
    let files = Files::new();
    files.0.write("index.html", HTML);
    files.0.write("page", octets(6, 100_000));
    let nghttpd = Nghttpd::start(peers, &files.0, &[]);
    let [_, url] = nghttpd.backend();
    let (cert, key) = (files.path("cert.pem"), files.path("key.pem"));
    let (program, admin) = start(&url, &["--listen-tls", "127.0.0.1:0", "--cert", &cert, "--key", &key]);
    let port = port_of(&program);
    let url = format!("https://127.0.0.1:{port}/index.html");
    let dom = chromium(peers, &["--ignore-certificate-errors", "--virtual-time-budget=20000"], &url);
    assert!(dom.contains("done true"), "{dom}");
    is_spared("Chromium", program, &admin);
}
