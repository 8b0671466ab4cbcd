//! The program among those who look after it: health checks, systemd, whoever renews its certificates.

mod process;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime};

use process::{PATIENCE, Process, Program, run, shuntyard};

const BACKEND: [&str; 2] = ["--backend", "h2c://127.0.0.1:9"];
const ADMIN: [&str; 2] = ["--admin", "127.0.0.1:0"];

/// A listener on a port that the kernel picks, in front of nobody.
const SERVING: &str = "[[listen]]\naddress = \"127.0.0.1:0\"\n[[route]]\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"127.0.0.1:9\"]\n";

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("shuntyard-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays lies in a temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where the admin address is.
fn admin(process: &Process) -> String {
    process.find_line("the admin address", |line| {
        Some(line.strip_prefix("status on http://")?.strip_suffix("/status")?.to_owned())
    })
}

/// Waits until it does: signals are heard from then on.
fn listens(process: &Process) {
    process.find_line("that it listens", |line| line.starts_with("listening on").then_some(()));
}

/// The exit code of a health check, and its line.
fn health(args: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = run(&mut shuntyard(&[&["health"], args].concat()));
    let said = String::from_utf8([stdout, stderr].concat()).unwrap();
    assert_eq!(said.matches('\n').count(), 1, "{said}");
    (status.code().unwrap(), said)
}

#[test]
fn health_asks_the_admin_address_and_its_exit_code_tells() {
    let delay = ["--ready-delay", "60s", "--workers", "2"];
    let mut program = Program::start(&[&BACKEND[..], &ADMIN, &delay].concat());
    let address = admin(&program.process);
    for path in ["/livez", "/readyz"] {
        let args = ["--admin", &*address, "--ready"];
        let args = if path == "/readyz" { &args[..] } else { &args[..2] };
        assert_eq!(health(args), (0, format!("{address}{path}: ok\n")));
    }
    // A file says it, too, whatever else is wrong there now.
    let folder = Folder::new("health");
    let file = folder.file("a.toml", &format!("unknown = 1\n[admin]\naddress = {address:?}\n"));
    assert_eq!(health(&["--config", &file]).0, 0);
    // Alive, and not ready any more.
    program.process.signal("TERM");
    program.process.find_line("the delay", |line| line.contains("not ready any more").then_some(()));
    let ready = ["--admin", &*address, "--ready"];
    assert_eq!(health(&ready), (1, format!("error: {address}/readyz: draining (503)\n")));
    assert_eq!(health(&ready[..2]).0, 0);
    // Stopped as a whole, it accepts and says nothing.
    program.process.signal("STOP");
    let (code, said) = health(&["--admin", &address, "--timeout", "300ms"]);
    assert_eq!((code, &*said), (1, &*format!("error: {address}/livez: no answer within 300ms\n")));
    program.process.signal("CONT");
    program.process.signal("TERM");
    assert_eq!(program.process.wait().code(), Some(0));
    let refused = format!("error: {address}/livez: connection refused\n");
    assert_eq!(health(&ready[..2]), (1, refused));
}

#[test]
fn health_says_when_nobody_can_be_asked() {
    let folder = Folder::new("nobody");
    let nobody = folder.file("nobody.toml", "[limits]\n");
    let wrong = folder.file("wrong.toml", "[admin]\naddress = \"8080\"\n");
    let cases: [(&[&str], &str); 5] = [
        (&["--config", &nobody], "there is no `address` in [admin]"),
        (&["--config", &wrong], "wrong.toml: 2:11: "),
        (&["--config", "/nonexistent"], "no such file"),
        (&["--admin", "unix:/run/a"], "none of HOST:PORT"),
        (&["--admin", "127.0.0.1:0"], "port 0"),
    ];
    for (args, words) in cases {
        let (code, said) = health(args);
        assert!(code == 1 && said.contains(words), "{args:?}: {said}");
    }
    // Who asks knows two exit codes, whatever is wrong: to Docker 2 is none that it may have.
    for args in [&["health"][..], &["health", "--admin", "127.0.0.1:1", "--timeout", "0s"]] {
        let Output { status, stdout, stderr } = run(&mut shuntyard(args));
        assert!(status.code() == Some(1) && stdout.is_empty() && stderr.starts_with(b"error: "), "{args:?}");
    }
    assert_eq!(run(&mut shuntyard(&["health", "--help"])).status.code(), Some(0));
    assert_eq!(run(&mut shuntyard(&["replay"])).status.code(), Some(2));
}

/// Where a service manager would hear, and what it heard but for signs of life.
struct Hears(UnixDatagram, String);

impl Hears {
    fn new(folder: &Folder) -> Self {
        let path = folder.0.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket, path.to_str().unwrap().to_owned())
    }

    fn any(&self) -> String {
        let mut octets = [0; 4096];
        let n = self.0.recv(&mut octets).unwrap();
        String::from_utf8(octets[..n].to_vec()).unwrap()
    }

    fn next(&self) -> String {
        std::iter::repeat_with(|| self.any()).find(|said| said != "WATCHDOG=1").unwrap()
    }
}

#[test]
fn systemd_is_told_how_it_goes() {
    let folder = Folder::new("notify");
    let hears = Hears::new(&folder);
    let file = folder.file("a.toml", &format!("{SERVING}[drain]\nready_delay = \"60s\"\n"));
    let mut command = shuntyard(&["run", "--config", &file, "--workers", "2"]);
    // A sign of life each second.
    command.env("NOTIFY_SOCKET", &hears.1).env("WATCHDOG_USEC", "2000000");
    let mut process = Process::spawn(&mut command);
    let serving = |revision| {
        format!(
            "READY=1\nSTATUS=Serving revision {revision}: 1 listener, 1 route, 1 upstream with 1 endpoint"
        )
    };
    assert_eq!(hears.next(), serving(1));
    process.find_line("where it listens", |line| line.contains("listening on").then_some(()));
    assert_eq!(hears.any(), "WATCHDOG=1");
    assert_eq!(hears.any(), "WATCHDOG=1");
    let reloading = || {
        process.signal("HUP");
        let said = hears.next();
        let at = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{said}"));
        assert!(at.parse::<u64>().unwrap() > 0);
    };
    reloading();
    assert_eq!(hears.next(), serving(2));
    folder.file("a.toml", "nothing");
    reloading();
    assert_eq!(hears.next(), format!("{}; the last reload was refused", serving(2)));
    process.signal("TERM");
    assert_eq!(hears.next(), "STOPPING=1\nSTATUS=Serving, not ready any more: draining in 60s");
    process.signal("TERM");
    assert_eq!(hears.next(), "STOPPING=1\nSTATUS=Draining for 25s at most");
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
}

/// Nobody is waiting for it, and what cannot be told stops nothing.
#[test]
fn a_manager_that_is_not_there_stops_nothing() {
    for name in ["/nonexistent/notify", "vsock:2:1"] {
        let mut command = shuntyard(&[&["run", "--listen", "127.0.0.1:0"], &BACKEND[..]].concat());
        command.env("NOTIFY_SOCKET", name);
        let mut process = Process::spawn(&mut command);
        process.find_line("that it is not told", |line| line.contains("service manager").then_some(()));
        listens(&process);
        process.signal("TERM");
        assert_eq!(process.wait().code(), Some(0), "{}", process.log());
    }
}

/// The program as systemd would start it, with a socket by this name. It is its descriptor 3.
fn activated(name: &str, socket: OwnedFd, args: &[&str]) -> Process {
    let of_program = shuntyard(args);
    let mut command = Command::new("sh");
    command.args(["-c", "exec 3<&0 0</dev/null; LISTEN_PID=$$ exec \"$@\"", "sh"]);
    command.arg(of_program.get_program()).args(of_program.get_args());
    for (variable, value) in of_program.get_envs() {
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }
    command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", name);
    Process::spawn_with(&mut command, socket.into())
}

/// The end of a program that should not run: its exit code and all that it said.
fn refused(mut process: Process) -> (i32, String) {
    let status = process.wait();
    (status.code().unwrap(), process.log())
}

#[test]
fn a_socket_that_systemd_has_opened_outlives_the_program() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let args = ["run", "--listen", "fd:http", "--workers", "2", "--backend", "http://127.0.0.1:9"];
    let start = || {
        let process = activated("http", listener.try_clone().unwrap().into(), &args);
        let listening = format!("listening on {address} (HTTP/2, HTTP/1.1)");
        process.find_line("the address", |line| (line == listening).then_some(()));
        process
    };
    let ask = || {
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        client
    };
    let answer = |mut client: TcpStream| {
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    };
    let mut first = start();
    // Each worker may be the one that accepts.
    for client in [(); 8].map(|()| ask()) {
        assert!(answer(client).starts_with("HTTP/1.1 502 "));
    }
    first.signal("TERM");
    assert_eq!(first.wait().code(), Some(0), "{}", first.log());
    // Nobody is refused: whoever comes now is served by the next.
    let waiting = ask();
    let mut next = start();
    assert!(answer(waiting).starts_with("HTTP/1.1 502 "));
    next.signal("TERM");
    assert_eq!(next.wait().code(), Some(0), "{}", next.log());
}

#[test]
fn unix_sockets_are_taken_over_too_and_keep_their_file() {
    let folder = Folder::new("passed");
    let path = folder.0.join("http.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let file = folder.file("a.toml", &SERVING.replace("127.0.0.1:0", "fd:http"));
    let mut process = activated("http", listener.into(), &["run", "--config", &file]);
    let listening = format!("listening on unix:{} (HTTP/2, HTTP/1.1)", path.display());
    process.find_line("the address", |line| (line == listening).then_some(()));
    UnixStream::connect(&path).unwrap();
    // It is still there for a reload.
    process.signal("HUP");
    process.find_line("the reload", |line| line.contains("revision 2").then_some(()));
    assert!(!process.log().contains("needs a restart"), "{}", process.log());
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
    assert!(path.exists());
}

#[test]
fn a_socket_that_was_not_passed_is_an_error_that_says_what_was() {
    let folder = Folder::new("not-passed");
    let file = folder.file("a.toml", &SERVING.replace("127.0.0.1:0", "fd:https"));
    let by_flag = [&["run", "--listen", "fd:https"], &BACKEND[..]].concat();
    let by_file = ["run", "--config", &*file];
    let listener = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    for args in [&by_flag[..], &by_file] {
        let (code, said) = refused(activated("http", listener(), args));
        assert_eq!(code, 78, "{said}");
        assert!(
            said.contains("cannot listen on fd:https: no socket was passed by this name; passed were: http")
        );
        assert!(said.contains("FileDescriptorName="), "{said}");
    }
    let (code, said) = refused(activated("http", listener(), &by_file));
    assert!(code == 78 && said.contains("error[G0017]"), "{said}");
    // What is for another process is nobody's here.
    let mut command = shuntyard(&by_flag);
    command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "https").env("LISTEN_PID", "1");
    let output = run(&mut command);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(78) && said.contains("no socket was passed to this process"),
        "{said}"
    );
    // One end of a connection is no listener.
    let (stream, _other) = UnixStream::pair().unwrap();
    let (code, said) = refused(activated("https", stream.into(), &by_flag));
    assert!(code == 78 && said.contains("no socket that listens"), "{said}");
    // A check is no service, and cannot know.
    for args in [by_flag, by_file.to_vec()] {
        let output = run(&mut shuntyard(&[&["check"], &args[1..]].concat()));
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // The admin address would be bound a second time.
    let admin = ["run", "--listen", "fd:http", "--admin", "fd:http"];
    let (code, said) = refused(activated("http", listener(), &[&admin[..], &BACKEND].concat()));
    assert!(code == 78 && said.contains("none of HOST:PORT"), "{said}");
}

#[test]
fn a_socket_that_nobody_accepts_from_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let args = [&["run", "--listen", "127.0.0.1:0"], &BACKEND[..]].concat();
    let mut process = activated("http", listener.into(), &args);
    process.find_line("the warning", |line| line.contains("no listener is fd:http").then_some(()));
    listens(&process);
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
}

/// The lines of one section of a unit.
fn section(unit: &str, name: &str) -> Vec<String> {
    let lines = unit.lines().skip_while(|line| *line != format!("[{name}]")).skip(1);
    lines.take_while(|line| !line.starts_with('[')).map(str::to_owned).collect()
}

/// The units of `contrib/systemd`, with this program in the place of the installed one.
#[test]
fn the_units_are_such_as_systemd_takes() {
    let service = include_str!("../contrib/systemd/shuntyard.service");
    let says = |of: &str, line: &str| section(service, of).iter().any(|is| is == line);
    // By its defaults systemd gives up after half a second of what may pass, and takes the socket down with it.
    assert!(says("Service", "RestartSec=2s") && says("Unit", "StartLimitIntervalSec=0"), "{service}");
    assert!(says("Service", "RestartPreventExitStatus=2 78") && says("Service", "SuccessExitStatus=3"));
    // What is recorded outlives the service: its /var/tmp does not.
    assert!(says("Service", "StateDirectory=shuntyard") || !says("Service", "PrivateTmp=yes"), "{service}");
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        // Seen also where the test passes, and counted by .ci/run.
        let _ = writeln!(std::io::stderr(), "SKIPPED systemd-analyze is not installed");
        return;
    }
    let folder = Folder::new("units");
    let units = ["shuntyard.service", "shuntyard.socket"].map(|name| {
        let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/systemd").join(name);
        let text = std::fs::read_to_string(unit).unwrap();
        folder.file(name, &text.replace("/usr/bin/shuntyard", env!("CARGO_BIN_EXE_shuntyard")))
    });
    let output = run(Command::new("systemd-analyze").arg("verify").args(units));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// The files of a certificate for `name` that expires so many days from now, and of its key.
fn identity(folder: &Folder, name: &str, days: i64) -> [String; 2] {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let since_1970 = Duration::from_secs((now() + days * 86_400).try_into().unwrap());
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_1970;
    let cert = params.self_signed(&key).unwrap().pem();
    [folder.file(&format!("{name}.pem"), &cert), folder.file(&format!("{name}.key"), &key.serialize_pem())]
}

/// Seconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

#[test]
fn certificates_that_expire_are_told_of_in_time() {
    let folder = Folder::new("expires");
    let [soon, later] = [("soon", 5), ("later", 50)].map(|(name, days)| identity(&folder, name, days));
    let pairs = [&soon, &later].map(|[cert, key]| ["--cert", cert, "--key", key]).concat();
    let listen = ["--listen-tls", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0"];
    let program = Program::start(&[&listen[..], &pairs, &BACKEND, &ADMIN].concat());
    let address = admin(&program.process);
    let expires = |[cert, _]: &[String; 2]| {
        let mut client = TcpStream::connect(&address).unwrap();
        client.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut metrics = String::new();
        client.read_to_string(&mut metrics).unwrap();
        let series = format!("shuntyard_tls_certificate_not_after_seconds{{file=\"{cert}\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&series)?.parse::<f64>().ok());
        let value = value.unwrap_or_else(|| panic!("{series} in {metrics}"));
        ((value as i64 - now()) as f64 / 86_400.0).round() as i64
    };
    assert_eq!((expires(&soon), expires(&later)), (5, 50));
    let warning = |file: &str| format!("warning: the certificate in {file} expires in ");
    let told = warning(&soon[0]);
    program.process.find_line("the warning", |line| line.starts_with(&told).then_some(()));
    assert!(!program.process.log().contains(&warning(&later[0])), "{}", program.process.log());
    // What is shown is what counts.
    identity(&folder, "soon", 500);
    program.process.signal("HUP");
    program.process.find_line("the reload", |line| line.contains("are shown from now on").then_some(()));
    let until = Instant::now() + PATIENCE;
    while expires(&soon) != 500 {
        assert!(Instant::now() < until);
    }
    // Once a day it is told of, and for each file, however many show it.
    assert_eq!(program.process.log().matches("expires in").count(), 1, "{}", program.process.log());
    program.end();
}
