//! Child processes of tests: their output by line, their end by their pid. No child outlives its test.
// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What should happen and has not by then never will. Nothing is measured by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A child that runs beside the test.
pub(crate) struct Process {
    child: Child,
    log: Arc<Log>,
}

/// What a child has written, and how many of its outputs may still bring something.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    open: Mutex<usize>,
    grown: Condvar,
    ended: Condvar,
}

impl Process {
    /// Starts it. Both its outputs go to one log.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::spawn_with(command, Stdio::null())
    }

    /// Likewise with this as its standard input.
    pub(crate) fn spawn_with(command: &mut Command, stdin: Stdio) -> Self {
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let log = Arc::<Log>::default();
        log.follow(child.stdout.take());
        log.follow(child.stderr.take());
        Self { child, log }
    }

    /// Its process identifier.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The first line, of those that came and those to come, for which `read` gives something.
    pub(crate) fn find_line<T>(&self, what: &str, read: impl Fn(&str) -> Option<T>) -> T {
        self.find_lines(what, 1, read).remove(0)
    }

    /// Likewise the first `n` lines.
    pub(crate) fn find_lines<T>(&self, what: &str, n: usize, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().unwrap();
        loop {
            let mut found: Vec<T> = lines.iter().filter_map(|line| read(line)).collect();
            if found.len() >= n {
                found.truncate(n);
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                panic!("{what} did not come; what came was:\n{}", lines.join("\n"));
            }
            lines = self.log.grown.wait_timeout(lines, left.min(Duration::from_millis(100))).unwrap().0;
        }
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        self.log.lines.lock().unwrap().join("\n")
    }

    /// Sends the signal of this name (TERM, INT).
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    /// Waits for its own end, and for all that it wrote before.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = wait(&mut self.child, &self.log);
        self.log.wait_until_read();
        status
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Log {
    fn follow(self: &Arc<Self>, output: Option<impl Read + Send + 'static>) {
        let (log, output) = (self.clone(), BufReader::new(output.expect("it was piped")));
        *log.open.lock().unwrap() += 1;
        thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                log.lines.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
                log.grown.notify_all();
            }
            *log.open.lock().unwrap() -= 1;
            log.ended.notify_all();
        });
    }

    /// A child's end is seen before its last lines are read, by a thread of their own.
    fn wait_until_read(&self) {
        let open = self.open.lock().unwrap();
        let (open, _) = self.ended.wait_timeout_while(open, PATIENCE, |open| *open > 0).unwrap();
        assert_eq!(*open, 0, "it ended, and somebody still holds its output");
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = wait(&mut child, &Log::default());
    Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

fn collect(output: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    let mut output = output.expect("it was piped");
    thread::spawn(move || {
        let mut octets = Vec::new();
        // What came before a failure to read is what came.
        let _ = output.read_to_end(&mut octets);
        octets
    })
}

fn wait(child: &mut Child, log: &Log) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it did not end; it said:\n{}", log.lines.lock().unwrap().join("\n"));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The built program with these arguments and without this environment's own settings for it, but for the adapter:
/// `SHUNTYARD_ADAPTER=tokio cargo test` tries the other one.
pub(crate) fn shuntyard(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shuntyard"));
    command.args(args);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SHUNTYARD_") && name != "SHUNTYARD_ADAPTER" {
            command.env_remove(name);
        }
    }
    command
}

/// The program, listening.
pub(crate) struct Program {
    pub(crate) process: Process,
    port: u16,
    _recording: Recording,
}

/// What a gateway was told, recorded: it stays where a test fails.
pub(crate) struct Recording(PathBuf);

impl Recording {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("recording-{}-{number}", std::process::id());
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    /// What the files' names begin with.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// One a worker.
    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> {
        (0..).map(|worker| self.0.with_extension(worker.to_string())).take_while(|file| file.exists())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        for file in self.files().collect::<Vec<_>>() {
            if thread::panicking() {
                eprintln!("what the gateway was told: shuntyard replay {}", file.display());
            } else {
                // One that stays lies in target.
                let _ = std::fs::remove_file(file);
            }
        }
    }
}

impl Program {
    /// `shuntyard run` on a port that the kernel picks with these arguments, and one worker if they don't say.
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut command = shuntyard(&[&["run", "--listen", "127.0.0.1:0"], args].concat());
        let recording = Recording::new();
        command.env("SHUNTYARD_WORKERS", "1").env("SHUNTYARD_RECORD", &recording.0);
        let process = Process::spawn(&mut command);
        let port = process.find_line("the line that names the port", |line| {
            // Text or JSON.
            let (_, rest) = line.split_once("listening on 127.0.0.1:")?;
            rest.split_once(" (HTTP/2, HTTP/1.1)")?.0.parse().ok()
        });
        Self { process, port, _recording: recording }
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a path, which begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Drains it. It must end well.
    pub(crate) fn end(mut self) {
        self.process.signal("TERM");
        let status = self.process.wait();
        assert_eq!(status.code(), Some(0), "{}", self.process.log());
    }
}
