//! nghttpd as a backend, with a folder of its own.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{PATIENCE, Process};
use crate::runner::Peers;

/// A folder that goes with its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("peers-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays lies in target.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running nghttpd that serves a folder.
pub(crate) struct Nghttpd {
    pub(crate) process: Process,
    pub(crate) port: u16,
    arguments: Vec<String>,
}

impl Nghttpd {
    /// On a port that was free just now.
    pub(crate) fn start(peers: &Peers, folder: &Folder, arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(process) = spawn(peers, folder, port, &arguments) {
                return Self { process, port, arguments };
            }
        }
        panic!("nghttpd found no port");
    }

    /// Again on the same port, after it was killed.
    pub(crate) fn restart(&mut self, peers: &Peers, folder: &Folder) {
        self.process = spawn(peers, folder, self.port, &self.arguments).expect("the port is still free");
    }

    /// The arguments that name it to the program.
    pub(crate) fn backend(&self) -> [String; 2] {
        ["--backend".to_owned(), format!("h2c://127.0.0.1:{}", self.port)]
    }

    /// How many connections there are to it now. `None` where the system does not say.
    pub(crate) fn connections(&self) -> Option<usize> {
        const ESTABLISHED: &str = "01";
        let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
        let peer = format!("0100007F:{:04X}", self.port);
        let is_to_peer = |line: &&str| {
            let mut columns = line.split_whitespace().skip(2);
            columns.next() == Some(&peer) && columns.next() == Some(ESTABLISHED)
        };
        Some(table.lines().filter(is_to_peer).count())
    }
}

/// `None` where it ends before it listens.
fn spawn(peers: &Peers, folder: &Folder, port: u16, arguments: &[String]) -> Option<Process> {
    let mut command = peers.command("nghttpd");
    command.args(["--no-tls", "--address=127.0.0.1", "--htdocs"]).arg(&folder.0);
    let mut process = Process::spawn(command.args(arguments).arg(port.to_string()));
    let deadline = Instant::now() + PATIENCE;
    while process.is_running() {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(process);
        }
        assert!(Instant::now() < deadline, "nghttpd does not listen: {}", process.log());
        thread::sleep(Duration::from_millis(5));
    }
    None
}
