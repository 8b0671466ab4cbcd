//! The program as its operator sees it: arguments, messages, exit codes, signals.

mod process;

use std::fs::{self, DirEntry};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use process::{PATIENCE, Process, Program, run, shuntyard};

/// A backend that nobody asks.
const BACKEND: [&str; 2] = ["--backend", "h2c://127.0.0.1:9"];

/// Preface, SETTINGS and `GET http://a/` on stream 1.
const REQUEST: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\0\x04\0\0\0\0\0\
    \0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x01\x01a";

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A program with a request under way that its backend never answers.
fn program_with_hanging_request(args: &[&str]) -> (Program, [TcpStream; 2]) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let backend = format!("h2c://{}", listener.local_addr().unwrap());
    let program = Program::start(&[&["--backend", &backend], args].concat());
    let mut client = TcpStream::connect(("127.0.0.1", program.port())).unwrap();
    client.write_all(REQUEST).unwrap();
    let (mut upstream, _) = listener.accept().unwrap();
    upstream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Its SETTINGS: no request comes before them.
    upstream.write_all(b"\0\0\0\x04\0\0\0\0\0").unwrap();
    // The request has arrived when its HEADERS have: behind the preface, the only frame of type 1 on stream 1.
    let mut octets: Vec<u8> = Vec::new();
    while !octets.windows(7).any(|head| head[0] == 1 && head[2..] == [0, 0, 0, 1, 0x82]) {
        let mut buffer = [0; 1024];
        let n = upstream.read(&mut buffer).unwrap();
        assert_ne!(n, 0, "the gateway ended its connection: {octets:?}");
        octets.extend(&buffer[..n]);
    }
    (program, [client, upstream])
}

#[test]
fn version_goes_to_stdout() {
    for args in [["version"], ["--version"]] {
        let output = run(&mut shuntyard(&args));
        assert_eq!(output.status.code(), Some(0));
        let expected = format!("shuntyard {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }
}

#[test]
fn bad_usage_ends_with_2_and_says_what_is_wrong() {
    let cases: [(&[&str], &str); 17] = [
        (&[], "Usage: shuntyard"),
        (&["run", BACKEND[0], BACKEND[1], "--cert", "a.pem", "--key", "a.key"], "--listen-tls"),
        (&["check", "--config", "a.toml", "--cert", "a.pem", "--key", "a.key"], "--listen-tls"),
        (&["run", BACKEND[0], BACKEND[1], "--backend-ca", "ca.pem"], "for backends of TLS"),
        (&["run", "--backend", "http://127.0.0.1:9", "--backend-insecure"], "for backends of TLS"),
        (&["run", BACKEND[0], BACKEND[1], "--record-content"], "needs '--record <FILE>'"),
        (&["run"], "--backend <URL>"),
        (&["run", "--bakend", "h2c://127.0.0.1:9"], "--bakend"),
        (&["run", "--backend", "127.0.0.1:9"], "a backend is a URL"),
        (&["run", "--backend", "ftp://127.0.0.1:9"], "unknown scheme ftp"),
        (&["run", BACKEND[0], BACKEND[1], "--config", "a.toml"], "cannot be used with"),
        (&["run", BACKEND[0], BACKEND[1], "--listen", "8080"], "HOST:PORT"),
        (&["run", BACKEND[0], BACKEND[1], "--workers", "0"], "between 1 and 1024"),
        (&["run", BACKEND[0], BACKEND[1], "--drain-timeout", "25"], "unit"),
        // As in a file.
        (&["run", BACKEND[0], BACKEND[1], "--drain-timeout", "99999999999h"], "between 0s and 24h"),
        (&["run", BACKEND[0], BACKEND[1], "--ready-delay", "25h"], "between 0s and 24h"),
        (&["run", BACKEND[0], BACKEND[1], "--admin-allow-remote=fasle"], "'fasle'"),
    ];
    for (args, words) in cases {
        let output = run(&mut shuntyard(args));
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn a_taken_port_ends_with_1_and_one_message() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for workers in ["1", "2"] {
        let listen = ["run", "--listen", &address.to_string(), "--workers", workers];
        let output = run(&mut shuntyard(&[&listen[..], &BACKEND].concat()));
        assert_eq!(output.status.code(), Some(1));
        let port = address.port();
        let expected = format!(
            "error: cannot listen on {address}: address already in use\n  \
             = help: `ss -ltnp 'sport = :{port}'` shows who listens there\n"
        );
        assert_eq!(stderr(&output), expected);
    }
}

#[test]
fn a_file_of_tls_that_cannot_be_used_ends_the_program_and_says_why() {
    let listen = ["run", "--listen-tls", "127.0.0.1:0", "--backend", "h2c://127.0.0.1:9"];
    let folder = std::env::temp_dir().join(format!("shuntyard-pem-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let pem = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap().cert.pem();
    let (empty, begun) = (file("empty.pem", ""), file("begun.pem", &pem[..pem.len() / 2]));
    let spoilt = file("spoilt.pem", &pem.replacen("\nM", "\n!", 1));
    let cases: [(&[&str], &str, i32); 8] = [
        (&["--cert", &spoilt, "--key", &spoilt], "what stands in a section is not base64", 78),
        // Somebody may be about to write it, or in the middle of that.
        (&["--cert", &empty, "--key", &empty], "there is nothing in it", 1),
        (&["--cert", &begun, "--key", &begun], "the section CERTIFICATE does not end", 1),
        // What cannot pass counts, whatever else may.
        (&["--cert", &begun, "--key", &spoilt], "the section CERTIFICATE does not end", 78),
        (&["--cert", &empty, "--key", "Cargo.toml"], "Cargo.toml: there is no private key in it", 78),
        (&["--cert", "Cargo.toml", "--key", "Cargo.toml"], "Cargo.toml: there is no certificate in it", 78),
        (&["--cert", "/no/cert", "--key", "/no/key"], "/no/cert: no such file or directory", 1),
        (&["--cert", "a", "--cert", "b", "--key", "c"], "--cert is there 2 times, --key 1 times", 78),
    ];
    for (files, words, code) in cases {
        let output = run(&mut shuntyard(&[&listen[..], files].concat()));
        assert_eq!(output.status.code(), Some(code), "{words}");
        let message = stderr(&output);
        assert!(message.starts_with("error: ") && message.contains(words), "{message}");
        assert!(message.contains("\n  = help: "), "{message}");
        assert_eq!(
            message.contains("PEM"),
            !words.contains("no such file") && !files.contains(&"c"),
            "{message}"
        );
    }
    let backend = ["--backend", "h2://127.0.0.1:9", "--backend-ca", "Cargo.toml"];
    let output = run(&mut shuntyard(&[&["run", "--listen", "127.0.0.1:0"], &backend[..]].concat()));
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("Cargo.toml: there is no certificate of an authority in it"));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn each_listener_is_named_and_variables_stand_in_for_flags() {
    let mut command = shuntyard(&["run"]);
    command
        .env("SHUNTYARD_LISTEN", "127.0.0.1:0,127.0.0.1:0")
        .env("SHUNTYARD_BACKEND", "h2c://127.0.0.1:9,h2c://127.0.0.1:10")
        .env("SHUNTYARD_WORKERS", "2");
    let mut process = Process::spawn(&mut command);
    let ports = process.find_lines("two listeners", 2, |line| {
        let rest = line.strip_prefix("listening on 127.0.0.1:")?;
        rest.strip_suffix(" (HTTP/2, HTTP/1.1)")?.parse::<u16>().ok()
    });
    assert_ne!(ports[0], ports[1]);
    for port in ports {
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn each_signal_drains_an_idle_program_which_ends_well() {
    for signal in ["TERM", "INT", "QUIT"] {
        let mut program = Program::start(&BACKEND);
        program.process.signal(signal);
        assert_eq!(program.process.wait().code(), Some(0), "{signal}");
        let expected = format!("SIG{signal}: draining for 25s at most; once more to end now");
        assert!(program.process.log().contains(&expected), "{}", program.process.log());
    }
}

/// Whoever should read stderr is stuck.
#[test]
fn nobody_waits_for_who_reads_stderr() {
    let (pipe, stderr) = UnixStream::pair().unwrap();
    stderr.set_nonblocking(true).unwrap();
    while (&stderr).write(&[b'.'; 4096]).is_ok() {}
    stderr.set_nonblocking(false).unwrap();
    let path = std::env::temp_dir().join(format!("shuntyard-stuck-{}.sock", std::process::id()));
    let listen = format!("unix:{}", path.display());
    let mut command = shuntyard(&[&["run", "--listen", &listen][..], &BACKEND].concat());
    let mut child = command.stdout(Stdio::null()).stderr(OwnedFd::from(stderr)).spawn().unwrap();
    drop(command);
    let deadline = Instant::now() + PATIENCE;
    let mut client = loop {
        match UnixStream::connect(&path) {
            Ok(client) => break client,
            Err(error) if Instant::now() > deadline => panic!("it does not listen: {error}"),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    };
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut status = [0; 12];
    let answered = client.read_exact(&mut status).map(|()| status);
    drop(client);
    let kill = format!("kill -TERM {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut ended = None;
    while ended.is_none() && Instant::now() < deadline {
        ended = child.try_wait().unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    // It may have ended by itself.
    let _ = child.kill();
    child.wait().unwrap();
    drop(pipe);
    assert_eq!(answered.ok().as_ref(), Some(b"HTTP/1.1 502"));
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
}

#[test]
fn a_drain_that_runs_out_of_time_ends_with_3() {
    let (mut program, _streams) = program_with_hanging_request(&["--drain-timeout", "100ms"]);
    program.process.signal("TERM");
    assert_eq!(program.process.wait().code(), Some(3));
    assert!(
        program.process.log().contains("error: 1 connection was cut before its requests were done"),
        "{}",
        program.process.log()
    );
}

/// A worker that is woken by signals again and again still knows what time it is.
#[test]
fn signals_put_no_deadline_off() {
    for adapter in ["mio", "tokio"] {
        let (mut program, _streams) =
            program_with_hanging_request(&["--adapter", adapter, "--drain-timeout", "500ms"]);
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", program.process.id())) else {
            let _ =
                writeln!(std::io::stderr(), "SKIPPED this system does not tell which threads a process has");
            return;
        };
        let is_worker = |task: &DirEntry| {
            fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "worker-0")
        };
        let worker = tasks.map(Result::unwrap).find(is_worker).expect("it has a worker");
        program.process.signal("TERM");
        let kill = format!("kill -USR1 {}", worker.file_name().display());
        for _ in 0..100 {
            if !program.process.is_running() {
                break;
            }
            // It may be about to end.
            let _ = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status().unwrap();
            thread::sleep(Duration::from_millis(100));
        }
        assert!(!program.process.is_running(), "{adapter} has not ended");
        assert_eq!(program.process.wait().code(), Some(3));
    }
}

#[test]
fn a_second_signal_ends_a_drain() {
    let (mut program, _streams) = program_with_hanging_request(&["--drain-timeout", "24h"]);
    program.process.signal("TERM");
    program.process.find_line("the drain", |line| line.starts_with("SIGTERM: draining").then_some(()));
    program.process.signal("INT");
    assert_eq!(program.process.wait().code(), Some(3));
    let log = program.process.log();
    assert!(log.contains("error: 1 connection was cut") && !log.contains("--drain-timeout"), "{log}");
}

/// Whoever collects lines as JSON gets the last ones so, too.
#[test]
fn the_end_is_json_where_lines_are() {
    let json = ["--log-format", "json"];
    let (mut program, _streams) =
        program_with_hanging_request(&[&json[..], &["--drain-timeout", "100ms"]].concat());
    program.process.signal("TERM");
    assert_eq!(program.process.wait().code(), Some(3));
    let last = last_of_json(&program.process.log());
    assert_eq!(last["message"], "1 connection was cut before its requests were done");
    assert_eq!(last["help"], "a longer --drain-timeout lets them finish");

    let output = run(&mut shuntyard(&[&["run", "--config", "/no/a.toml"], &json[..]].concat()));
    assert_eq!(output.status.code(), Some(78));
    let last = last_of_json(&stderr(&output));
    let message = last["message"].as_str().unwrap();
    assert!(message.starts_with("1 error in /no/a.toml: cannot read"), "{message}");
    assert!(last["details"].as_str().unwrap().starts_with("error[G0013]: cannot read"), "{last}");
}

/// The last of these lines, all of which are objects with a time and a level.
fn last_of_json(lines: &str) -> serde_json::Value {
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let objects: Vec<serde_json::Value> = lines.lines().map(read).collect();
    assert!(
        objects.iter().all(|object| object["time"].is_string() && object["level"].is_string()),
        "{lines}"
    );
    let last = objects.last().unwrap();
    assert_eq!(last["level"], "error", "{lines}");
    last.clone()
}

#[test]
fn an_access_log_that_cannot_be_opened_is_named() {
    let log = ["--listen", "127.0.0.1:0", "--access-log", "/no/log"];
    let output = run(&mut shuntyard(&[&["run"], &log[..], &BACKEND].concat()));
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    let expected =
        "error: cannot open the access log /no/log: no such file or directory\n  = help: the folder";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn a_client_of_http_1_is_served() {
    let program = Program::start(&BACKEND);
    let mut client = TcpStream::connect(("127.0.0.1", program.port())).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("connection_refused"), "{answer}");
    drop(client);
    program.end();
}

/// Many systems begin with 1024 for whoever does not ask for more.
#[test]
fn a_program_takes_all_descriptors_that_it_may_have_and_says_if_they_are_few() {
    say_that_descriptors_are_few("", "", "200 descriptors");
    say_that_descriptors_are_few("[limits]\nmax_connections = 1000\n", "", "warning: 200 descriptors");
    // Over HTTP/2 as many again may be about to end.
    let line = say_that_descriptors_are_few(
        "[limits]\nmax_connections = 20\n",
        "connections = { max = 500 }\n",
        "warning: 200 descriptors",
    );
    assert!(!line.contains("max_connections is") && line.contains("may need 1000"), "{line}");
}

/// The default is more than most systems give: only what somebody has asked for is worth a warning. What was said comes back.
fn say_that_descriptors_are_few(limits: &str, upstream: &str, said: &str) -> String {
    let file = std::env::temp_dir().join(format!("shuntyard-few-{}.toml", std::process::id()));
    let served = "[[route]]\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"h2c://127.0.0.1:9\"]\n";
    fs::write(&file, format!("{limits}{served}{upstream}")).unwrap();
    let args = ["run", "--listen", "127.0.0.1:0", "--workers", "1", "--config", file.to_str().unwrap()];
    let program = shuntyard(&args);
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"ulimit -Sn 100; ulimit -Hn 200; exec "$@""#, "sh"])
        .arg(program.get_program())
        .args(program.get_args());
    let mut process = Process::spawn(&mut command);
    let line = process.find_line("that they are few", |line| {
        line.starts_with(&format!("{said} are all that the system gives (ulimit -Hn)"))
            .then(|| line.to_owned())
    });
    process.find_line("the port", |line| line.starts_with("listening on").then_some(()));
    if let Ok(limits) = fs::read_to_string(format!("/proc/{}/limits", process.id())) {
        let open = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        assert_eq!(open.split_whitespace().nth(3), Some("200"), "{open}");
    }
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
    fs::remove_file(&file).unwrap();
    line
}

/// Connections wait in the kernel's queue until there are descriptors again.
#[test]
fn a_program_without_descriptors_says_so_and_goes_on_when_it_has_some() {
    for adapter in ["mio", "tokio"] {
        run_out_of_descriptors(adapter);
    }
}

fn run_out_of_descriptors(adapter: &str) {
    let always = ["run", "--adapter", adapter, "--listen", "127.0.0.1:0", "--workers", "1"];
    let mut process = Process::spawn(&mut shuntyard(&[&always[..], &BACKEND].concat()));
    let port = process.find_line("the port", |line| {
        line.strip_prefix("listening on 127.0.0.1:")?.split(' ').next()?.parse::<u16>().ok()
    });
    // It keeps within what it was started with: somebody takes that away.
    let pid = process.id().to_string();
    let Ok(lowered) = Command::new("prlimit").args(["--pid", &pid, "--nofile=40:40"]).status() else {
        let _ = writeln!(std::io::stderr(), "SKIPPED there is no prlimit");
        return;
    };
    assert!(lowered.success());
    let connect = || TcpStream::connect(("127.0.0.1", port)).unwrap();
    let held: Vec<_> = (0..60).map(|_| connect()).collect();
    process
        .find_line("trouble", |line| line.starts_with("warning: cannot accept on 127.0.0.1:").then_some(()));
    let mut client = connect();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    drop(held);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    process.signal("TERM");
    drop(client);
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
}
