//! What HTTP clients of other languages do by themselves: pools, chunks, versions.

use std::process::Command;

use crate::process::{Program, run};
use crate::runner::Peers;
use crate::scripts::{LARGE, Served, fine, python, script};

/// Each client GETs, POSTs and downloads through both adapters, from backends of both versions.
fn works(peers: &Peers, client: impl Fn() -> Command) {
    let served = Served::new();
    served.everywhere(peers, |program, backend| {
        fine(backend, client().arg(place(program)).arg(served.folder.path("")));
    });
}

fn place(program: &Program) -> String {
    format!("127.0.0.1:{}", program.port())
}

pub(crate) fn python_http_client(peers: &Peers) {
    works(peers, || python(peers, "http_client.py"));
}

pub(crate) fn python_httpx(peers: &Peers) {
    works(peers, || python(peers, "httpx_client.py"));
}

pub(crate) fn node(peers: &Peers) {
    works(peers, || {
        let mut command = peers.command("node");
        command.arg(script("node_client.mjs"));
        command
    });
}

pub(crate) fn java(peers: &Peers) {
    works(peers, || {
        let mut command = peers.command("java");
        command.arg(script("Client.java"));
        command
    });
}

pub(crate) fn go(peers: &Peers) {
    let built = crate::nghttpd::Folder::new();
    let mut build = peers.command("go");
    build.args(["build", "-o"]).arg(built.path("client")).arg(script("client.go"));
    // It wants a cache, wherever its user lives.
    build.env("GOCACHE", built.path("cache")).env("GOFLAGS", "-mod=mod").env("GOPROXY", "off");
    let output = run(&mut build);
    assert!(output.status.success(), "{output:?}");
    works(peers, || Command::new(built.path("client")));
}

/// A page that fetches: what it has got stands in its text.
pub(crate) fn browser(peers: &Peers) {
    const PAGE: &str = r#"<!doctype html><title>fetches</title><p id=out>waiting</p><script>
        const length = async (answer) => (await (await answer).arrayBuffer()).byteLength;
        const pages = Array.from({ length: 8 }, (_, n) => length(fetch("/page?" + n)));
        const upload = length(fetch("/upload", { method: "POST", body: new Uint8Array(100000) }));
        Promise.all([...pages, upload, length(fetch("/large"))]).then(
          (all) => (document.getElementById("out").textContent = "got " + all),
          (error) => (document.getElementById("out").textContent = "failed " + error));
        </script>"#;
    let served = Served::new();
    served.folder.write("index.html", PAGE);
    served.everywhere(peers, |program, backend| {
        let dom = chromium(peers, &["--virtual-time-budget=20000"], &program.url("/index.html"));
        let expected = format!("got {}{LARGE}", "100000,".repeat(9));
        assert!(dom.contains(&expected), "{backend}: {dom}");
    });
}

/// What has become of a document by the time that it is finished, or, with a budget of virtual time, that its fetches
/// are. The virtual clock makes WebSockets wait.
pub(crate) fn chromium(peers: &Peers, more: &[&str], url: &str) -> String {
    let profile = crate::nghttpd::Folder::new();
    let mut command = peers.command("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"])
        .args(["--disable-dev-shm-usage", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path("browser").display()))
        .args(more)
        .arg(url);
    let output = run(&mut command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
