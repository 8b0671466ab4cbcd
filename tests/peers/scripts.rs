//! Peers in other languages: the programs in `scripts/`, and two of them as backends.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::content::octets;
use crate::nghttpd::{Folder, Nghttpd};
use crate::process::{Process, Program, run};
use crate::runner::Peers;

pub(crate) const ADAPTERS: [&str; 2] = ["mio", "tokio"];

/// What a gateway is expected to carry at once without a second thought.
pub(crate) const LARGE: usize = 100 << 20;

pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/scripts").join(name)
}

/// A script of Python that finds what .ci/run has installed.
pub(crate) fn python(peers: &Peers, name: &str) -> Command {
    let mut command = peers.command("python3");
    if let Some(folder) = std::env::var_os("SHUNTYARD_PEERS") {
        command.env("PYTHONPATH", Path::new(&folder).join("python"));
    }
    command.arg(script(name));
    command
}

/// Runs a client that checks everything by itself and says `fine` at its end.
#[track_caller]
pub(crate) fn fine(what: &str, command: &mut Command) {
    let output = run(command);
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.ends_with("fine\n"), "{what}: {said}\n{complaint}");
}

/// A backend that prints its port.
pub(crate) struct Backend {
    _process: Process,
    port: u16,
}

impl Backend {
    pub(crate) fn start(command: &mut Command) -> Self {
        let process = Process::spawn(command);
        let port = process
            .find_line("the port of a backend", |line| line.strip_prefix("listening on ")?.parse().ok());
        Self { _process: process, port }
    }

    /// The program in front of it, which speaks `scheme` with it.
    pub(crate) fn behind(&self, scheme: &str, adapter: &str) -> Program {
        Program::start(&["--adapter", adapter, "--backend", &self.url(scheme)])
    }

    /// Its URL as a backend.
    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }
}

/// A folder with a page and something large.
pub(crate) struct Served {
    pub(crate) folder: Folder,
    pub(crate) page: Vec<u8>,
    pub(crate) large: Vec<u8>,
}

impl Served {
    pub(crate) fn new() -> Self {
        let served = Self { folder: Folder::new(), page: octets(5, 100_000), large: octets(6, LARGE) };
        served.folder.write("page", &served.page);
        served.folder.write("large", &served.large);
        served
    }

    /// Calls `test` with the program under each adapter in front of a backend of either version, and says which it is.
    pub(crate) fn everywhere(&self, peers: &Peers, test: impl Fn(&Program, &str)) {
        let nghttpd = Nghttpd::start(peers, &self.folder, &["--echo-upload"]);
        let origin = Backend::start(python(peers, "origin.py").arg(self.folder.path("")));
        for adapter in ADAPTERS {
            let [flag, url] = nghttpd.backend();
            let program = Program::start(&["--adapter", adapter, &flag, &url]);
            test(&program, "HTTP/2 backend");
            program.end();
            let program = origin.behind("http", adapter);
            test(&program, "HTTP/1.1 backend");
            program.end();
        }
    }
}
