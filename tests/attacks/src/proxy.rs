//! The proxies that are attacked, as processes.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Whom to attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// shuntyard on mio.
    Mio,
    /// shuntyard on tokio.
    Tokio,
    /// nghttpx of nghttp2.
    Nghttpx,
    /// HAProxy.
    Haproxy,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Mio, Self::Tokio, Self::Nghttpx, Self::Haproxy];

    /// As it is called on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mio => "mio",
            Self::Tokio => "tokio",
            Self::Nghttpx => "nghttpx",
            Self::Haproxy => "haproxy",
        }
    }

    /// Whether it is shuntyard.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Mio | Self::Tokio)
    }

    /// Whether it can be started here.
    pub fn is_installed(self) -> bool {
        match self {
            Self::Mio | Self::Tokio => program().exists(),
            Self::Nghttpx | Self::Haproxy => Command::new(self.name())
                .arg("-v")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success()),
        }
    }
}

/// The program of this workspace, built for release.
fn program() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    target.join("release/shuntyard")
}

/// A proxy that runs. It ends with this value.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    address: SocketAddr,
    configuration: Option<PathBuf>,
}

impl Proxy {
    /// Starts one with one worker and its own defaults. shuntyard may be told to have `clocks`, or none that could end what is attacked.
    ///
    /// # Errors
    ///
    /// It cannot be started, or does not listen within ten seconds.
    pub fn start(kind: Kind, origin: SocketAddr, clocks: bool) -> io::Result<Self> {
        match kind {
            Kind::Mio | Kind::Tokio => Self::shuntyard(kind, origin, clocks),
            Kind::Nghttpx | Kind::Haproxy => Self::other(kind, origin),
        }
    }

    fn shuntyard(kind: Kind, origin: SocketAddr, clocks: bool) -> io::Result<Self> {
        let file = temporary(&format!("{}-{}.toml", kind.name(), origin.port()));
        fs::write(&file, shuntyard(kind, origin, clocks))?;
        let mut command = Command::new(program());
        command.args(["run", "--config"]).arg(&file);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let errors = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut lines = BufReader::new(errors).lines();
        let address = loop {
            let line = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
            if let Some(rest) = line.strip_prefix("listening on ") {
                let address = rest.split(' ').next().unwrap_or_default();
                break address.parse().map_err(io::Error::other)?;
            }
        };
        // Nobody may be stopped by a pipe that is full.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(Self { child, address, configuration: Some(file) })
    }

    fn other(kind: Kind, origin: SocketAddr) -> io::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (port, behind) = (address.port(), origin.port());
        let mut command = Command::new(kind.name());
        let mut configuration = None;
        if kind == Kind::Nghttpx {
            command.args(["--conf=/dev/null", "--workers=1", "--errorlog-file=/dev/null"]);
            command.arg(format!("--frontend=127.0.0.1,{port};no-tls"));
            command.arg(format!("--backend=127.0.0.1,{behind};;proto=h2"));
        } else {
            let file = temporary(&format!("{port}.cfg"));
            fs::write(&file, haproxy(port, behind))?;
            command.arg("-db").arg("-f").arg(&file);
            configuration = Some(file);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let proxy = Self { child, address, configuration };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(proxy)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has used so far, with its children.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        let mut family = vec![self.child.id()];
        family.extend(children(self.child.id()));
        for id in family {
            // One that has just ended uses nothing.
            let Some((cpu, resident)) = usage_of(id) else { continue };
            usage.cpu += cpu;
            usage.resident += resident;
        }
        usage
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for id in children(self.child.id()) {
            // It may have ended by itself.
            let _ = Command::new("kill").arg("-KILL").arg(id.to_string()).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(file) = &self.configuration {
            let _ = fs::remove_file(file);
        }
    }
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("attacks-{}-{name}", std::process::id()))
}

fn shuntyard(kind: Kind, origin: SocketAddr, clocks: bool) -> String {
    let deadlines = [
        "preface_timeout",
        "header_timeout",
        "idle_timeout",
        "response_timeout",
        "stream_idle_timeout",
        "write_timeout",
        "ping_timeout",
    ];
    let limits: String = deadlines.iter().map(|name| format!("{name} = \"1h\"\n")).collect();
    format!(
        "adapter = \"{}\"\nworkers = 1\n[[listen]]\naddress = \"127.0.0.1:0\"\n[[route]]\nupstream = \"origin\"\n\
         [upstream.origin]\nendpoints = [\"h2c://{origin}\"]\n[limits]\n{}",
        kind.name(),
        if clocks { "" } else { &limits }
    )
}

fn haproxy(port: u16, behind: u16) -> String {
    format!(
        "global\n  nbthread 1\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         frontend f\n  bind 127.0.0.1:{port}\n  default_backend b\nbackend b\n  server s 127.0.0.1:{behind} proto h2\n"
    )
}

/// What a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Time of processors.
    pub cpu: Duration,
    /// Octets in memory now.
    pub resident: u64,
}

/// Clock ticks of /proc are a hundredth of a second on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);

fn stat(id: u32) -> Option<Vec<u64>> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name may hold anything; numbers follow its last parenthesis, state first.
    let (_, behind) = stat.rsplit_once(')')?;
    Some(behind.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect())
}

fn usage_of(id: u32) -> Option<(Duration, u64)> {
    let numbers = stat(id)?;
    let ticks = numbers.get(11)? + numbers.get(12)?;
    Some((TICK * u32::try_from(ticks).ok()?, resident(id)?))
}

/// To the page: what `stat` says of it is behind by some hundreds of KiB.
fn resident(id: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

fn children(parent: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| stat(*id).is_some_and(|numbers| numbers.get(1) == Some(&u64::from(parent)))).collect()
}
