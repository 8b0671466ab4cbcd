//! The admin address in the eyes of those who read it: Prometheus's own checker, Python's parser, a browser.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::nghttpd::{Folder, Nghttpd};
use crate::process::{Process, Program, run};
use crate::runner::Peers;

/// A program with an admin address in front of a backend, and one endpoint that nobody answers at.
fn watched(peers: &Peers, folder: &Folder) -> (Nghttpd, Program, String) {
    folder.write("index.html", "x".repeat(2000));
    let backend = Nghttpd::start(peers, folder, &[]);
    let [flag, url] = backend.backend();
    let dead = ["--backend", "h2c://127.0.0.1:9", "--admin", "127.0.0.1:0"];
    let program = Program::start(&[&[&flag, &*url][..], &dead].concat());
    let admin = program.process.find_line("the admin address", |line| {
        Some(line.strip_prefix("status on http://")?.strip_suffix("/status")?.to_owned())
    });
    (backend, program, admin)
}

fn load(peers: &Peers, program: &Program, requests: &str) -> Command {
    let mut command = peers.command("h2load");
    command.args(["-n", requests, "-c", "5", "-m", "10"]).arg(program.url("/index.html"));
    command
}

pub(crate) fn metrics(admin: &str, accept: &str) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").expect("a head").1.to_owned()
}

/// Gives the text to a command and takes what it says.
fn read_by(command: &mut Command, text: &str) -> (bool, String) {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// It says what is against Prometheus's customs, and ends with 3 if something is.
pub(crate) fn promtool(peers: &Peers) {
    let folder = Folder::new();
    let (_backend, program, admin) = watched(peers, &folder);
    assert!(run(&mut load(peers, &program, "500")).status.success());
    let text = metrics(&admin, "*/*");
    let (fine, said) = read_by(peers.command("promtool").args(["check", "metrics"]), &text);
    assert!(fine && said.is_empty(), "{said}\n{text}");
    program.end();
}

/// Both forms say the same: as many requests as were sent.
pub(crate) fn python(peers: &Peers) {
    let folder = Folder::new();
    let (_backend, program, admin) = watched(peers, &folder);
    assert!(run(&mut load(peers, &program, "500")).status.success());
    for (form, accept) in [("openmetrics", "application/openmetrics-text"), ("prometheus", "text/plain")] {
        let text = metrics(&admin, accept);
        let (fine, said) = read_by(peers.command("prometheus-parse").arg(form), &text);
        assert!(fine, "{form}: {said}\n{text}");
        let samples: Vec<_> = said.lines().collect();
        let value = |start: &str| {
            let of = samples
                .iter()
                .filter(|line| line.starts_with(start))
                .filter_map(|line| line.rsplit(' ').next());
            of.map(|value| value.parse::<f64>().unwrap()).sum::<f64>()
        };
        assert_eq!(value("shuntyard_requests_total "), 500.0, "{form}: {said}");
        assert_eq!(value("http_server_request_duration_seconds_count "), 500.0, "{form}");
        assert!(value("shuntyard_front_wire_bytes_total ") > 500.0 * 2000.0, "{form}");
        assert!(samples.len() > 100, "{form}: {said}");
    }
    program.end();
}

/// The page draws what there is, with nothing from outside: no name can be resolved in that browser.
pub(crate) fn browser(peers: &Peers) {
    let folder = Folder::new();
    let (backend, program, admin) = watched(peers, &folder);
    let mut load = Process::spawn(&mut load(peers, &program, "100000000"));
    let picture = folder.path("status.png");
    let dom = browse(peers, &folder, &admin, &["--dump-dom"]);
    let label = format!("127.0.0.1:{}", backend.port);
    assert!(dom.contains(&label), "the endpoint is not drawn: {dom}");
    let drawn = dom.split("data-drawn=\"").nth(1).and_then(|rest| rest.split('"').next());
    let drawn: u32 = drawn.and_then(|times| times.parse().ok()).expect("it was drawn");
    assert!(drawn >= 2, "it is drawn again and again");
    assert!(dom.contains("<polyline class=\"spark\"") && dom.contains("class=\"link"), "{dom}");
    assert!(dom.contains("connection refused"), "the dead endpoint needs somebody: {dom}");
    browse(peers, &folder, &admin, &[&format!("--screenshot={}", picture.display())]);
    let octets = std::fs::read(&picture).expect("a picture");
    assert!(octets.starts_with(b"\x89PNG") && octets.len() > 30_000, "{} octets", octets.len());
    if let Some(keep) = std::env::var_os("SHUNTYARD_KEEP_PICTURE") {
        std::fs::copy(&picture, keep).expect("it can be kept");
    }
    load.kill();
    program.end();
}

fn browse(peers: &Peers, folder: &Folder, admin: &str, what: &[&str]) -> String {
    let mut command = peers.command("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--hide-scrollbars"])
        .args(["--window-size=1280,1000", "--virtual-time-budget=8000"])
        .arg(format!("--user-data-dir={}", folder.path(&format!("browser{}", what[0].len())).display()))
        .args(what)
        .arg(format!("http://{admin}/status"));
    let output = run(&mut command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
