//! The program in the hands of its operator: what is checked before it runs, reloads, the admin address, figures.

#[path = "../core/transport/tests/common/mod.rs"]
mod authority;
mod process;

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use authority::Authority;
use process::{PATIENCE, Process, Program, run, shuntyard};

const BACKEND: [&str; 2] = ["--backend", "h2c://127.0.0.1:9"];
const ADMIN: [&str; 2] = ["--admin", "127.0.0.1:0"];

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("shuntyard-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays lies in a temporary folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A configuration with one upstream of these endpoints, of HTTP/1.1.
fn serving(endpoints: &[&str]) -> String {
    format!("[[route]]\nupstream = \"app\"\n[upstream.app]\nendpoints = {endpoints:?}\n")
}

/// Answers every request over HTTP/1.1 with 204, until the test ends.
fn backend() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = |mut client: TcpStream| {
        let mut head = Vec::new();
        let mut octet = [0];
        while client.read(&mut octet).is_ok_and(|n| n > 0) {
            head.extend(octet);
            if head.ends_with(b"\r\n\r\n") {
                head.clear();
                if client.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_err() {
                    return;
                }
            }
        }
    };
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(client));
        }
    });
    format!("http://{address}")
}

/// One request over HTTP/1.1 on a connection of its own, with the whole answer.
fn get(port: u16, path: &str) -> String {
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

/// The files of a certificate and its key.
fn identity(folder: &Folder) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
    (folder.file("cert.pem", &pem), folder.file("key.pem", &key.serialize_pem()))
}

/// Where the admin address is.
fn admin(process: &Process) -> u16 {
    process.find_line("the admin address", |line| {
        line.strip_prefix("status on http://127.0.0.1:")?.strip_suffix("/status")?.parse().ok()
    })
}

/// The value of a series of /metrics; 0 where there is none.
fn figure(port: u16, series: &str) -> f64 {
    let metrics = get(port, "/metrics");
    let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().unwrap())
}

#[test]
fn silent_clients_of_the_admin_address_keep_nobody_waiting() {
    let program = Program::start(&[&BACKEND[..], &ADMIN].concat());
    let port = admin(&program.process);
    let silent: Vec<_> = (0..10).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    assert!(get(port, "/livez").starts_with("HTTP/1.1 200 "));
    for mut client in silent {
        client.set_nonblocking(true).unwrap();
        let unanswered = client.read(&mut [0; 16]).unwrap_err();
        assert_eq!(unanswered.kind(), ErrorKind::WouldBlock, "it was waited for");
    }
    // However many there are, others are heard.
    let silent: Vec<_> = (0..100).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    assert!(get(port, "/livez").starts_with("HTTP/1.1 200 "));
    drop(silent);
    program.end();
}

#[test]
fn check_and_run_refuse_the_same() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let other = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let folder = Folder::new("refuse");
    let backend_tls = ["--backend", "h2://127.0.0.1:9", "--backend-ca", "/nonexistent"];
    let port = other.rsplit_once(':').unwrap().1;
    let everywhere = format!(":{port}");
    let (cert, key) = identity(&folder);
    let cases: [(&[&str], &str, i32); 12] = [
        (&["--listen", &everywhere, "--admin", &other], "takes along", 78),
        (&["--listen", &everywhere, "--listen", &other], "two listeners cannot share", 78),
        (
            &["--listen", &everywhere, "--listen-tls", &other, "--cert", &cert, "--key", &key],
            "a listener with TLS and one without cannot share",
            78,
        ),
        (
            &["--listen-tls", "127.0.0.1:0", "--cert", "/nonexistent", "--key", "/nonexistent"],
            "/nonexistent: no such",
            1,
        ),
        (&["--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"], "can be reached from other machines", 78),
        // It may have an address at the next start.
        (&["--listen", "127.0.0.1:0", "--admin", "nosuch.invalid:1"], "cannot listen on nosuch.invalid:1", 1),
        (
            &["--listen", "127.0.0.1:0", "--access-log", "/nonexistent/x"],
            "the access log /nonexistent/x: no such",
            1,
        ),
        (&["--listen", "127.0.0.1:0", "--access-log", "/"], "the access log /: it is a directory", 1),
        (&["--listen", "127.0.0.1:0", "--record", "/nonexistent/x"], "/nonexistent/x: no such", 1),
        (&["--listen", "127.0.0.1:0", "--admin", "unix:/tmp/a"], "none of HOST:PORT", 78),
        (&["--listen", &taken, "--admin", &taken], "cannot share", 78),
        (&["--listen", &other, "--listen", &taken, "--admin", &taken], "cannot share", 78),
    ];
    let cases = cases.map(|(args, words, code)| ([args, &BACKEND].concat(), words, code));
    let listen = [&["--listen", "127.0.0.1:0"], &backend_tls[..]].concat();
    let unnamed = folder.file(
        "unnamed.toml",
        &format!("[admin]\naddress = \"nosuch.invalid:1\"\n{}", serving(&["127.0.0.1:9"])),
    );
    let log = folder
        .file("log.toml", &format!("[access_log]\npath = \"/nonexistent/x\"\n{}", serving(&["127.0.0.1:9"])));
    // A file that is not there yet may be at the next start.
    let tls =
        "[[listen]]\naddress = \"127.0.0.1:0\"\ntls = { cert = \"/nonexistent\", key = \"/nonexistent\" }\n";
    let no_key = folder.file("no-key.toml", &format!("{tls}{}", serving(&["127.0.0.1:9"])));
    let of_files = [
        (listen, "/nonexistent: no such", 1),
        // No certificate is for it, so no request could be served.
        (vec!["--listen", "127.0.0.1:0", "--backend", "h2://unix:/run/a.sock"], "/run/a.sock", 78),
        (vec!["--config", &*no_key], "/nonexistent: no such", 1),
        (vec!["--config", &*unnamed], "cannot listen on nosuch.invalid:1", 1),
        (vec!["--listen", "127.0.0.1:0", "--config", &*log], "the access log /nonexistent/x: no such", 1),
    ];
    for (args, words, code) in cases.into_iter().chain(of_files) {
        let outputs = ["check", "run"].map(|command| run(&mut shuntyard(&[&[command], &args[..]].concat())));
        for output in outputs {
            let message = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
            assert!(message.contains(words), "{args:?}: {message}");
        }
    }
}

/// Whoever mends one thing need not ask again for the next, and what may pass hides nothing that cannot.
#[test]
fn all_that_is_wrong_is_told_at_once() {
    let folder = Folder::new("all");
    let told = |args: &[&str]| {
        let outputs = ["check", "run"].map(|command| run(&mut shuntyard(&[&[command], args].concat())));
        let [checked, ran] = outputs.map(|of| (of.status.code(), String::from_utf8(of.stderr).unwrap()));
        assert_eq!(checked, ran);
        checked
    };
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let text = |admin: &str| {
        format!(
            "[admin]\naddress = {admin:?}\n[access_log]\npath = \"/nonexistent/log\"\n\
             [[listen]]\naddress = {free:?}\n\
             [[listen]]\naddress = \"127.0.0.1:0\"\ntls = {{ cert = \"/nonexistent/cert\", key = \"/nonexistent/key\" }}\n{}",
            serving(&["127.0.0.1:9"])
        )
    };
    let file = folder.file("a.toml", &text(&free));
    let (code, said) = told(&["--config", &file]);
    assert_eq!(code, Some(78), "{said}");
    for words in [
        "error[G0016]: /nonexistent/cert: no such file",
        "error[G0016]: /nonexistent/key: no such file",
        "error[G0018]: cannot open the access log /nonexistent/log: no such file",
        "the folder of the file must be there",
        &format!("error[G0101]: a listener and the admin address cannot share {free}"),
        "each of them needs an address, or a port, of its own",
        &format!("--> {file}:2:11"),
        &format!("--> {file}:4:8"),
        &format!("4 errors in {file}"),
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // What is left may pass.
    let (code, said) = told(&["--config", &folder.file("b.toml", &text("127.0.0.1:0"))]);
    assert!(code == Some(1) && said.contains("3 errors in "), "{said}");
    // Likewise of flags, and of both.
    let flags = ["--access-log", "/", "--record", "/nonexistent/today"];
    let listen = ["--listen-tls", &free, "--cert", "/nonexistent/cert", "--key", "/nonexistent/key"];
    let of_flags = [
        "error: cannot open the access log /: it is a directory\n  = help: name a file in it\n",
        "error: cannot record to /nonexistent/today: no such file or directory\n  = help: the folder",
        "error: /nonexistent/cert: no such file",
        "error: /nonexistent/key: no such file",
    ];
    let (code, said) = told(&[&flags[..], &listen, &["--admin", &free], &BACKEND].concat());
    let share = format!("error: a listener and the admin address cannot share {free}\n  = help: each");
    assert!(
        code == Some(78) && of_flags.iter().chain([&&*share]).all(|words| said.contains(words)),
        "{said}"
    );
    let remote = ["--listen", "nosuch.invalid:1", "--admin", "0.0.0.0:0"];
    let (code, said) = told(&[&remote[..], &BACKEND].concat());
    assert!(
        code == Some(78) && said.contains("nosuch.invalid:1") && said.contains("0.0.0.0:0 can be"),
        "{said}"
    );
    // What has no address yet hides nothing else.
    let spoilt = folder.file("spoilt.pem", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    let not_base64 = format!("error: {spoilt}: it cannot be read: what stands in a section is not base64");
    let of_backend = ["--backend", "h2://127.0.0.1:9", "--backend-ca", &spoilt];
    let names = ["--listen", "nosuch.invalid:1", "--listen", "nosuch.invalid:2"];
    let (code, said) = told(&[&names[..], &of_backend].concat());
    let unnamed = ["cannot listen on nosuch.invalid:1", "cannot listen on nosuch.invalid:2"];
    assert!(
        code == Some(78) && unnamed.iter().chain([&&*not_base64]).all(|words| said.contains(words)),
        "{said}"
    );
    let names = ["--listen-tls", "127.0.0.1:0", "--listen-tls", "nosuch.invalid:1"];
    let certificate = ["--cert", &spoilt, "--key", &spoilt];
    let shared = ["--listen", &free, "--listen", &free, "--admin", &free];
    let (code, said) = told(&[&names[..], &certificate, &shared, &BACKEND].concat());
    let all = [unnamed[0], &not_base64, &share];
    assert!(code == Some(78) && all.iter().all(|words| said.contains(words)), "{said}");
    assert_eq!(said.matches("error: ").count(), 3, "{said}");
    let wrong = folder.file("c.toml", "unknown = 1\n");
    let (code, said) = told(&[&flags[..], &listen, &["--config", &wrong]].concat());
    let unknown = "error[G0001]: unknown key or section `unknown`";
    assert!(
        code == Some(78) && of_flags.iter().chain([&unknown]).all(|words| said.contains(words)),
        "{said}"
    );
    let output = run(&mut shuntyard(&[&["check", "--log-format", "json"], &flags[..], &BACKEND].concat()));
    let said = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() == 2 && lines[0]["help"] == "the folder of the file must be there", "{said}");
}

#[test]
fn a_configuration_that_is_a_pipe_stops_no_signal() {
    let folder = Folder::new("pipe");
    let file = folder.file("a.toml", &serving(&["127.0.0.1:9"]));
    let mut program = Program::start(&["--config", &file]);
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    program.process.signal("HUP");
    thread::sleep(Duration::from_millis(100));
    program.process.signal("TERM");
    program.process.find_line("the drain", |line| line.starts_with("SIGTERM: draining").then_some(()));
    assert_eq!(program.process.wait().code(), Some(0), "{}", program.process.log());
    assert!(program.process.log().contains("reload refused"), "{}", program.process.log());
}

#[test]
fn what_was_counted_of_an_endpoint_stays_counted_when_it_goes() {
    let folder = Folder::new("counted");
    let (first, second) = (backend(), backend());
    let file = folder.file("a.toml", &serving(&[&first]));
    let program = Program::start(&[&["--config", &*file], &ADMIN[..]].concat());
    let admin = admin(&program.process);
    assert!(get(program.port(), "/").starts_with("HTTP/1.1 204 "));
    // Of all endpoints together.
    let sent = "shuntyard_status_wire_backend_sent";
    let octets = || {
        let status = get(admin, "/status.json");
        let (_, json) = status.split_once("\r\n\r\n").unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        json["backend"]["traffic"]["sent_bytes"].as_u64().unwrap_or_else(|| panic!("{sent}: {json}"))
    };
    let before = octets();
    assert!(before > 0);
    let upstream = serving(&[&second]).replace("app", "other");
    for text in [serving(&[&second]), upstream] {
        folder.file("a.toml", &text);
        let told = program.process.log().matches("reloaded").count();
        program.process.signal("HUP");
        program.process.find_lines("the reload", told + 1, |line| line.contains("reloaded").then_some(()));
        assert!(octets() >= before, "{} after {before}", octets());
    }
    program.end();
}

/// The series of /metrics that only go up.
fn counters(admin: u16) -> BTreeMap<String, f64> {
    let metrics = get(admin, "/metrics");
    let (_, metrics) = metrics.split_once("\r\n\r\n").unwrap();
    let of_line = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let name = series.split('{').next()?;
        let is_counter = ["_total", "_count", "_bucket", "_sum"].iter().any(|end| name.ends_with(end));
        is_counter.then(|| (series.to_owned(), value.parse().unwrap()))
    };
    metrics.lines().filter(|line| !line.starts_with('#')).filter_map(of_line).collect()
}

/// One that is served under the same name counts on, whatever else changes; one that is not is finished, and nobody needs to be called for it.
#[test]
fn an_endpoint_that_is_finished_is_neither_down_nor_forgotten() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let slow = format!("http://{}", listener.local_addr().unwrap());
    let (folder, quick) = (Folder::new("finished"), backend());
    let file = folder.file("a.toml", &serving(&[&slow]));
    let program = Program::start(&[&["--config", &*file, "--workers", "2"], &ADMIN[..]].concat());
    let admin = admin(&program.process);
    let reload = |text: &str| {
        folder.file("a.toml", text);
        let told = program.process.log().matches("reloaded").count();
        program.process.signal("HUP");
        program.process.find_lines("the reload", told + 1, |line| line.contains("reloaded").then_some(()));
    };
    let up = format!("shuntyard_endpoint_up{{upstream=\"app\",endpoint=\"{slow}\"}}");
    let queue = "shuntyard_backend_queue_limit{upstream=\"app\"}";
    let has = |series: &str| get(admin, "/metrics").lines().any(|line| line.starts_with(series));
    let mut client = TcpStream::connect(("127.0.0.1", program.port())).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let (mut upstream, _) = listener.accept().unwrap();
    let limit = figure(admin, queue);
    assert!(has(&up) && limit > 0.0);
    let before = counters(admin);
    // Another scope: what there is of the upstream is finished beside its successor.
    reload(&format!("{}share = \"client\"\n", serving(&[&slow])));
    let fallen = |now: &BTreeMap<String, f64>| {
        let of = |(series, value): &(&String, &f64)| now.get(*series).copied().unwrap_or(0.0) < **value;
        before.iter().find(of).map(|(series, _)| series.clone())
    };
    assert_eq!((fallen(&counters(admin)), figure(admin, queue)), (None, limit));
    // Another endpoint: the slow one's request is not done.
    reload(&serving(&[&quick]));
    let status = get(admin, "/status.json");
    assert!(!has(&up), "{}", get(admin, "/metrics"));
    assert!(status.contains("\"up\":null"), "{status}");
    reload(&serving(&[&slow]));
    assert!(has(&up));
    upstream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
    client.read_exact(&mut [0; 12]).unwrap();
    assert_eq!(fallen(&counters(admin)), None);
    program.end();
}

/// The series of /metrics and their order are the same from scrape to scrape, whichever worker answers first.
#[test]
fn workers_have_their_numbers_for_good() {
    let folder = Folder::new("numbers");
    let log = folder.0.join("log");
    let args = ["--backend", &*backend(), "--workers", "3", "--access-log", log.to_str().unwrap()];
    let program = Program::start(&[&args[..], &ADMIN].concat());
    let admin = admin(&program.process);
    let clients: Vec<_> = (0..12)
        .map(|_| {
            let mut client = TcpStream::connect(("127.0.0.1", program.port())).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            client.read_exact(&mut [0; 12]).unwrap();
            client
        })
        .collect();
    let workers = || {
        let status = get(admin, "/status.json");
        let (_, json) = status.split_once("\r\n\r\n").unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        let clients = json["clients"].as_array().unwrap().iter();
        clients
            .map(|of| (of["address"].to_string(), of["worker"].as_u64().unwrap()))
            .collect::<BTreeMap<_, _>>()
    };
    let first = workers();
    assert_eq!(first.len(), clients.len());
    for _ in 0..30 {
        assert_eq!(workers(), first);
    }
    assert_eq!(figure(admin, "shuntyard_front_connections_closed_total"), 0.0);
    drop(clients);
    let until = Instant::now() + PATIENCE;
    while figure(admin, "shuntyard_front_connections_closed_total") < 12.0 {
        assert!(Instant::now() < until);
    }
    program.end();
    // The log says the same of each.
    let lines = fs::read_to_string(&log).unwrap();
    let mut seen = 0;
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let address = format!("\"127.0.0.1:{}\"", line["client.port"]);
        assert_eq!(line["worker"].as_u64(), first.get(&address).copied(), "{line}");
        seen += 1;
    }
    assert_eq!(seen, 12);
}

/// Who never becomes a client is counted, whether or not a line says so.
#[test]
fn handshakes_that_fail_are_a_figure() {
    let folder = Folder::new("handshakes");
    let (cert, key) = identity(&folder);
    let tls = format!("[[listen]]\naddress = \"127.0.0.1:0\"\ntls = {{ cert = {cert:?}, key = {key:?} }}\n");
    let behind = "[[listen]]\naddress = \"127.0.0.1:0\"\naccept_proxy_protocol = true\n";
    let file = folder.file("a.toml", &format!("{tls}{behind}{}", serving(&["127.0.0.1:9"])));
    let process = Process::spawn(&mut shuntyard(&[&["run", "--config", &*file], &ADMIN[..]].concat()));
    // The one in clear is first, and keeps the PROXY protocol that was asked for.
    let port = |what: &'static str| {
        process.find_line(what, |line| {
            let rest = line.strip_prefix("listening on 127.0.0.1:")?.strip_suffix(what)?;
            rest.split(' ').next()?.parse::<u16>().ok()
        })
    };
    let (behind, tls) = (port(", behind the PROXY protocol)"), port(" over TLS)"));
    let admin = admin(&process);
    let failed = |reason: &str| {
        figure(admin, &format!("shuntyard_front_handshakes_failed_total{{reason=\"{reason}\"}}"))
    };
    assert_eq!((failed("not_introduced"), failed("tls_protocol_error")), (0.0, 0.0));
    for port in [behind, tls, tls] {
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.write_all(b"no more of this than of that\r\n\r\n").unwrap();
        // How it ends is not the point.
        let _ = client.read_to_end(&mut Vec::new());
    }
    let until = Instant::now() + PATIENCE;
    while (failed("not_introduced"), failed("tls_protocol_error")) != (1.0, 2.0) {
        assert!(Instant::now() < until, "{}", get(admin, "/metrics"));
    }
    process.signal("TERM");
}

/// Behind the PROXY protocol, too, it is time that ran out, and not a header that was wrong.
#[test]
fn who_is_not_introduced_in_time_has_run_out_of_it() {
    let folder = Folder::new("late");
    let text = "[[listen]]\naddress = \"127.0.0.1:0\"\naccept_proxy_protocol = true\n[limits]\npreface_timeout = \"100ms\"\n";
    let file = folder.file("a.toml", &format!("{text}{}", serving(&["127.0.0.1:9"])));
    for adapter in ["mio", "tokio"] {
        let args = ["run", "--config", &*file, "--adapter", adapter];
        let process = Process::spawn(&mut shuntyard(&[&args[..], &ADMIN[..]].concat()));
        let port = process.find_line("the port", |line| {
            line.strip_prefix("listening on 127.0.0.1:")?.split(' ').next()?.parse::<u16>().ok()
        });
        let admin = admin(&process);
        for said in [&b""[..], b"PROXY TCP4 "] {
            let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            client.write_all(said).unwrap();
            // How it ends is not the point.
            let _ = client.read_to_end(&mut Vec::new());
        }
        let counted = || {
            let of = |reason| format!("shuntyard_front_handshakes_failed_total{{reason=\"{reason}\"}}");
            let late = "shuntyard_protocol_errors_total{side=\"front\",level=\"connection\",code=\"preface_timeout\"}";
            (figure(admin, &of("timeout")), figure(admin, late), figure(admin, &of("not_introduced")))
        };
        let until = Instant::now() + PATIENCE;
        while counted() != (2.0, 2.0, 0.0) {
            assert!(Instant::now() < until, "{adapter}: {}", get(admin, "/metrics"));
        }
        process.signal("TERM");
    }
}

/// Balancers look elsewhere before nobody is accepted any more.
#[test]
fn a_drain_is_announced_before_it_begins() {
    let folder = Folder::new("announced");
    let drain = |delay: &str| format!("{}[drain]\nready_delay = {delay:?}\n", serving(&[&backend()]));
    let file = folder.file("a.toml", &drain("24h"));
    let begun = |process: &Process| {
        process.find_line("the drain", |line| line.starts_with("SIGTERM: draining for").then_some(()));
    };
    let mut program = Program::start(&[&["--config", &*file], &ADMIN[..]].concat());
    let admin = admin(&program.process);
    assert!(get(admin, "/readyz").starts_with("HTTP/1.1 200 "));
    program.process.signal("TERM");
    program.process.find_line("the announcement", |line| {
        line.starts_with("SIGTERM: not ready any more, and draining in ").then_some(())
    });
    assert!(get(admin, "/readyz").starts_with("HTTP/1.1 503 "));
    assert!(get(admin, "/livez").starts_with("HTTP/1.1 200 "));
    assert!(get(program.port(), "/").starts_with("HTTP/1.1 204 "));
    assert!(!program.process.log().contains("draining for"), "{}", program.process.log());
    // A second signal does not wait for it; it does not end the program.
    program.process.signal("TERM");
    begun(&program.process);
    assert_eq!(program.process.wait().code(), Some(0), "{}", program.process.log());

    // A flag comes first.
    let mut program = Program::start(&["--config", &file, "--ready-delay", "50ms"]);
    program.process.signal("TERM");
    begun(&program.process);
    assert_eq!(program.process.wait().code(), Some(0), "{}", program.process.log());
    assert!(program.process.log().contains("draining in 50ms"), "{}", program.process.log());
}

/// A worker that has nothing to finish ends before the others. What it has counted was counted.
#[test]
fn counters_do_not_fall_in_a_drain() {
    for adapter in ["mio", "tokio"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let slow = format!("http://{}", listener.local_addr().unwrap());
        let folder = Folder::new(&format!("falling-{adapter}"));
        let route = "[[route]]\npath = \"/slow\"\nupstream = \"slow\"\n";
        let text = format!("{route}{}[upstream.slow]\nendpoints = [{slow:?}]\n", serving(&[&backend()]));
        let file = folder.file("a.toml", &text);
        let args = ["--config", &*file, "--workers", "2", "--adapter", adapter];
        let mut program = Program::start(&[&args[..], &ADMIN].concat());
        let admin = admin(&program.process);
        for _ in 0..40 {
            assert!(get(program.port(), "/").starts_with("HTTP/1.1 204 "));
        }
        let mut client = TcpStream::connect(("127.0.0.1", program.port())).unwrap();
        client.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let (mut upstream, _) = listener.accept().unwrap();
        assert_eq!(figure(admin, "shuntyard_workers"), 2.0);
        let mut before = counters(admin);
        let requests = |counters: &BTreeMap<String, f64>| {
            let of = |(series, _): &(&String, &f64)| series.starts_with("shuntyard_requests_total");
            counters.iter().filter(of).map(|(_, value)| value).sum::<f64>()
        };
        assert_eq!(requests(&before), 40.0);
        program.process.signal("TERM");
        let until = Instant::now() + PATIENCE;
        loop {
            let now = counters(admin);
            for (series, value) in &before {
                let after = now.get(series).copied().unwrap_or(0.0);
                assert!(after >= *value, "{adapter}: {series} was {value} and is {after}");
            }
            before = now;
            // The worker that the slow request is on is the last.
            if figure(admin, "shuntyard_workers") == 1.0 && requests(&before) == 40.0 {
                break;
            }
            assert!(Instant::now() < until, "{adapter}: no worker has ended");
        }
        let active = requests_under_way(admin);
        assert_eq!(active, 1.0, "{adapter}");
        upstream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
        assert_eq!(program.process.wait().code(), Some(0), "{}", program.process.log());
    }
}

/// Requests under way, of all routes.
fn requests_under_way(admin: u16) -> f64 {
    let metrics = get(admin, "/metrics");
    let lines = metrics.lines().filter(|line| line.starts_with("http_server_active_requests"));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[test]
fn a_reload_that_was_refused_is_a_warning_and_a_figure() {
    let folder = Folder::new("refused");
    let file = folder.file("a.toml", &serving(&["127.0.0.1:9"]));
    let program = Program::start(&[&["--config", &*file], &ADMIN[..]].concat());
    let admin = admin(&program.process);
    let success = || figure(admin, "shuntyard_config_last_reload_success");
    let reloads = |result| figure(admin, &format!("shuntyard_config_reloads_total{{result=\"{result}\"}}"));
    assert_eq!((success(), reloads("success"), reloads("refused")), (1.0, 0.0, 0.0));
    folder.file("a.toml", "nonsense");
    program.process.signal("HUP");
    program
        .process
        .find_line("the refusal", |line| line.starts_with("warning: reload refused").then_some(()));
    let place = format!("1 error in {file}: 1:9: not TOML: ");
    assert!(program.process.log().contains(&place), "{}", program.process.log());
    assert_eq!((success(), reloads("success"), reloads("refused")), (0.0, 0.0, 1.0));
    assert!(get(admin, "/status.json").contains(r#""revision":1"#));
    let told = format!("run `shuntyard check --config {file}` to see everything");
    program.process.find_line("what to do", |line| line.contains(&told).then_some(()));
    let loaded = figure(admin, "shuntyard_config_loaded_timestamp_seconds");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((now - 1000.0..=now).contains(&loaded), "{loaded}");
    folder.file("a.toml", &format!("{}[access_log]\npath = \"-\"\n", serving(&["127.0.0.1:9"])));
    program.process.signal("HUP");
    program.process.find_line("what stays", |line| {
        (line.starts_with("warning: reload: admin or access_log") && line.contains("needs a restart"))
            .then_some(())
    });
    assert_eq!((success(), reloads("success"), reloads("refused")), (1.0, 1.0, 1.0));
    assert!(get(admin, "/status.json").contains(r#""revision":2"#));
    // A start would be refused with it.
    folder.file("a.toml", &format!("{}[access_log]\npath = \"/nonexistent/x\"\n", serving(&["127.0.0.1:9"])));
    program.process.signal("HUP");
    program.process.find_line("the second refusal", |line| {
        (line.starts_with("warning: reload refused") && line.contains("/nonexistent/x: no such"))
            .then_some(())
    });
    assert_eq!((success(), reloads("success"), reloads("refused")), (0.0, 1.0, 2.0));
    assert!(get(admin, "/status.json").contains(r#""revision":2"#));
    program.end();
}

/// There is nothing to read again but certificates.
#[test]
fn a_hangup_without_a_file_is_in_the_figures_too() {
    let folder = Folder::new("hangup");
    let (cert, _) = identity(&folder);
    let ca = folder.file("ca.pem", &fs::read_to_string(cert).unwrap());
    let args = ["--backend", "h2://127.0.0.1:9", "--backend-ca", &*ca];
    let program = Program::start(&[&args, &ADMIN[..]].concat());
    let admin = admin(&program.process);
    let success = || figure(admin, "shuntyard_config_last_reload_success");
    let reloads = |result| figure(admin, &format!("shuntyard_config_reloads_total{{result=\"{result}\"}}"));
    let text = fs::read_to_string(&ca).unwrap();
    fs::remove_file(&ca).unwrap();
    program.process.signal("HUP");
    program
        .process
        .find_line("the failure", |line| line.contains("certificates of upstreams stay").then_some(()));
    assert_eq!((success(), reloads("success"), reloads("refused")), (0.0, 0.0, 1.0));
    folder.file("ca.pem", &text);
    program.process.signal("HUP");
    program.process.find_line("success", |line| line.contains("no configuration file to read").then_some(()));
    assert_eq!((success(), reloads("success"), reloads("refused")), (1.0, 1.0, 1.0));
    program.end();
}

/// What a listener shows is what was wanted, too.
#[test]
fn certificates_of_listeners_that_stay_are_in_the_figures() {
    let folder = Folder::new("stale");
    let (cert, key) = identity(&folder);
    let tls = ["--listen-tls", "127.0.0.1:0", "--cert", &cert, "--key", &key];
    let program = Program::start(&[&BACKEND[..], &tls, &ADMIN].concat());
    let admin = admin(&program.process);
    let success = || figure(admin, "shuntyard_config_last_reload_success");
    let reloads = |result| figure(admin, &format!("shuntyard_config_reloads_total{{result=\"{result}\"}}"));
    let stale = || figure(admin, "shuntyard_tls_files_stale");
    assert_eq!((success(), stale()), (1.0, 0.0));
    let text = fs::read_to_string(&key).unwrap();
    fs::remove_file(&key).unwrap();
    program.process.signal("HUP");
    program
        .process
        .find_line("the failure", |line| line.contains("bad of listeners' files stays").then_some(()));
    program.process.find_line("what stays", |line| line.contains("the old ones stay").then_some(()));
    assert_eq!((success(), reloads("success"), reloads("refused")), (0.0, 0.0, 1.0));
    // Whoever says so counts a moment later.
    for _ in 0..100 {
        if stale() == 1.0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(stale(), 1.0);
    // Nobody need ask for what is good again, but for the word that it is.
    folder.file("key.pem", &text);
    program.process.signal("HUP");
    program.process.find_line("success", |line| line.contains("no configuration file to read").then_some(()));
    assert_eq!((success(), reloads("success"), reloads("refused")), (1.0, 1.0, 1.0));
    program.end();
}

/// A start with such a file would fail, so a reload with it does; and what needs a restart is not counted before.
#[test]
fn a_reload_takes_no_bad_certificate_and_counts_what_is_served() {
    let folder = Folder::new("reload-tls");
    let (cert, key) = identity(&folder);
    let listen = |more: &str| {
        let tls = format!("tls = {{ cert = {cert:?}, key = {key:?} }}");
        format!("[[listen]]\naddress = \"127.0.0.1:0\"\n{tls}\n{more}{}", serving(&["127.0.0.1:9"]))
    };
    let file = folder.file("a.toml", &listen(""));
    let mut process = Process::spawn(&mut shuntyard(&["run", "--config", &file]));
    let told = |words: &'static str| {
        process.find_line(words, |line| line.contains(words).then_some(()));
    };
    told("listening on");
    folder.file("a.toml", &listen("[[listen]]\naddress = \"127.0.0.1:0\"\n"));
    process.signal("HUP");
    told("revision 2, 1 listener,");
    told("listen changed in the file, which needs a restart");
    fs::write(&cert, "nothing").unwrap();
    process.signal("HUP");
    told("reload refused, still serving revision 2");
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
}

/// Opening a pipe waits for its reader.
#[test]
fn an_access_log_that_is_a_pipe_is_waited_for_with_a_word() {
    let folder = Folder::new("log-pipe");
    let pipe = folder.0.join("log");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let args = [&["run", "--listen", "127.0.0.1:0", "--access-log", pipe.to_str().unwrap()], &BACKEND[..]];
    let mut process = Process::spawn(&mut shuntyard(&args.concat()));
    process.find_line("for whom it waits", |line| line.contains("the access log is a pipe").then_some(()));
    let reader = fs::File::open(&pipe).unwrap();
    process.find_line("that it listens", |line| line.starts_with("listening on").then_some(()));
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
    drop(reader);
}

#[test]
fn the_log_says_which_upstream_could_not_be_dialled() {
    let folder = Folder::new("dialled");
    let file = folder.file("a.toml", &serving(&["127.0.0.1:9"]));
    let log = folder.file("log", "");
    let program = Program::start(&["--config", &file, "--access-log", &log]);
    assert!(get(program.port(), "/").starts_with("HTTP/1.1 502 "));
    program.end();
    let line = fs::read_to_string(&log).unwrap();
    assert!(line.contains(r#""upstream":"app""#), "{line}");
}

/// Whose word about clients is taken is in the log from the first request on, and another after a reload.
#[test]
fn the_log_believes_proxies_that_are_trusted_now() {
    let folder = Folder::new("trusted");
    let nobody = serving(&[&backend()]);
    let trusted = format!("{nobody}[forwarding]\ntrusted_proxies = [\"127.0.0.1\"]\n");
    let (told, own) = ("192.0.2.7", "127.0.0.1");
    for (n, texts, clients) in [(1, [&trusted, &nobody], [told, own]), (2, [&nobody, &trusted], [own, told])]
    {
        let file = folder.file("a.toml", texts[0]);
        let log = folder.0.join(format!("log{n}"));
        let program = Program::start(&["--config", &file, "--access-log", log.to_str().unwrap()]);
        let ask = |path: &str| {
            let mut client = TcpStream::connect(("127.0.0.1", program.port())).unwrap();
            let fields = "host: a\r\nx-forwarded-for: 192.0.2.7\r\nconnection: close\r\n";
            client.write_all(format!("GET {path} HTTP/1.1\r\n{fields}\r\n").as_bytes()).unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
            line_of(&log, &format!("\"url.path\":\"{path}\""))["client.address"].clone()
        };
        assert_eq!(ask("/before"), clients[0]);
        folder.file("a.toml", texts[1]);
        program.process.signal("HUP");
        program.process.find_line("the reload", |line| line.contains("reloaded").then_some(()));
        assert_eq!(ask("/after"), clients[1]);
        program.end();
    }
}

/// The line of a log that has these words, when it is there.
fn line_of(log: &std::path::Path, words: &str) -> serde_json::Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let lines = fs::read_to_string(log).unwrap();
        if let Some(line) = lines.lines().find(|line| line.contains(words)) {
            return serde_json::from_str(line).unwrap();
        }
        assert!(Instant::now() < until, "{words} is not in {lines}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_log_shows_queries_to_who_asks_for_them() {
    let folder = Folder::new("queries");
    for (name, more, query) in [("none", &[][..], None), ("all", &["--access-log-query"][..], Some("b=1"))] {
        let log = folder.0.join(name);
        let args = ["--backend", &*backend(), "--access-log", log.to_str().unwrap()];
        let program = Program::start(&[&args[..], more].concat());
        assert!(get(program.port(), "/a?b=1").starts_with("HTTP/1.1 204 "));
        let line = line_of(&log, "\"url.path\":\"/a\"");
        assert_eq!(line.get("url.query").and_then(|query| query.as_str()), query, "{line}");
        program.end();
    }
}

/// A browser may be told that any name means this machine: the pages are for those who say which machine they mean, unless others may come anyway.
#[test]
fn the_admin_address_answers_to_names_of_this_machine_only_unless_others_may_come() {
    for (more, host, status) in [
        (&[][..], "evil.example", "403"),
        (&[], "127.0.0.1", "200"),
        (&["--admin-allow-remote"], "evil.example", "200"),
    ] {
        let program = Program::start(&[&BACKEND[..], &ADMIN, more].concat());
        let mut client = TcpStream::connect(("127.0.0.1", admin(&program.process))).unwrap();
        client.write_all(format!("GET /livez HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).unwrap();
        let mut line = [0; 12];
        client.read_exact(&mut line).unwrap();
        assert_eq!(String::from_utf8_lossy(&line), format!("HTTP/1.1 {status}"), "{host} {more:?}");
        program.end();
    }
}

/// Stderr says which address did not answer, and why: access log and figures need not be there.
#[test]
fn a_dial_that_fails_is_told_with_its_address_and_the_systems_reason() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = Folder::new("refused-dial");
    let socket = folder.0.join("no.sock");
    for adapter in ["mio", "tokio"] {
        let backends = [format!("http://{address}"), format!("http://unix:{}", socket.display())];
        let told = [
            format!("warning: cannot connect to {address}: connection refused"),
            format!("warning: cannot connect to unix:{}: no such file", socket.display()),
        ];
        for (backend, told) in backends.iter().zip(told) {
            let program = Program::start(&["--backend", backend, "--adapter", adapter]);
            assert!(get(program.port(), "/").starts_with("HTTP/1.1 502 "));
            program.process.find_line(&told, |line| line.starts_with(&told).then_some(()));
            program.end();
        }
    }
}

/// Whoever leaves the scheme out means HTTP/2, often without knowing.
#[test]
fn a_backend_of_http1_that_is_taken_for_one_of_http2_is_named() {
    for adapter in ["mio", "tokio"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                // How it ends is not the point.
                let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
                let _ = client.read(&mut [0; 1024]);
            }
        });
        let folder = Folder::new(&format!("mistaken-{adapter}"));
        let file = folder.file("a.toml", &serving(&[&address]));
        let args = ["--config", &*file, "--adapter", adapter];
        let program = Program::start(&[&args[..], &ADMIN].concat());
        for _ in 0..2 {
            assert!(get(program.port(), "/").starts_with("HTTP/1.1 502 "));
        }
        let told = format!(
            "warning: {address} answered in HTTP/1.1, where HTTP/2 was expected: write http://{address}"
        );
        program.process.find_line("what to write", |line| (line == told).then_some(()));
        let log = program.process.log();
        assert_eq!(log.matches("answered in HTTP/1.1").count(), 1, "{log}");
        let code = "shuntyard_protocol_errors_total{side=\"backend\",level=\"connection\",code=\"answered_in_http1\"}";
        assert!(figure(admin(&program.process), code) >= 1.0);
        program.end();
    }
}

/// Who holds as many connections as there are descriptors takes none from backends.
#[test]
fn idle_clients_leave_descriptors_for_backends() {
    let folder = Folder::new("descriptors");
    for adapter in ["mio", "tokio"] {
        let text = serving(&[&backend()]).replace("[[route]]", "[[route]]\npath = \"/app\"");
        let limits = "[limits]\nmax_connections_per_client = 1000\n";
        let file = folder.file("a.toml", &format!("{limits}{text}"));
        let always = ["run", "--adapter", adapter, "--listen", "127.0.0.1:0", "--workers", "1"];
        let program = shuntyard(&[&always[..], &["--config", &file]].concat());
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"ulimit -n 60; exec "$@""#, "sh"])
            .arg(program.get_program())
            .args(program.get_args());
        let mut process = Process::spawn(&mut command);
        let port = process.find_line("the port", |line| {
            line.strip_prefix("listening on 127.0.0.1:")?.split(' ').next()?.parse::<u16>().ok()
        });
        process.find_line("the warning", |line| {
            let is_warning =
                line.starts_with("warning: max_connections_per_client is 1000, and max_connections ");
            is_warning.then_some(())
        });
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /app HTTP/1.1\r\nhost: a\r\n").unwrap();
        let mut status = [0; 12];
        client.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 404", "{adapter}");
        let held: Vec<_> = (0..80).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
        // Nothing tells when all of those were accepted who will be.
        thread::sleep(Duration::from_millis(200));
        client.write_all(b"connection: close\r\n\r\n").unwrap();
        let mut rest = String::new();
        client.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("HTTP/1.1 204 "), "{adapter}: {rest}");
        drop(held);
        process.signal("TERM");
        assert_eq!(process.wait().code(), Some(0), "{}", process.log());
    }
}

/// However few there may be, and whatever the default says of more.
#[test]
fn one_client_does_not_take_all_connections() {
    let folder = Folder::new("share");
    let limited = |limits: &str| folder.file("a.toml", &format!("{limits}{}", serving(&["127.0.0.1:9"])));
    for (limits, descriptors) in [("[limits]\nmax_connections = 20\n", 1000), ("", 200)] {
        let file = limited(limits);
        let program = shuntyard(&[
            "run",
            "--listen",
            "0.0.0.0:0",
            "--workers",
            "1",
            "--config",
            &file,
            ADMIN[0],
            ADMIN[1],
        ]);
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -n {descriptors}; exec \"$@\""), "sh"])
            .arg(program.get_program())
            .args(program.get_args());
        let mut process = Process::spawn(&mut command);
        let admin = admin(&process);
        let port = process.find_line("the port", |line| {
            line.strip_prefix("listening on 0.0.0.0:")?.split(' ').next()?.parse::<u16>().ok()
        });
        // Each has begun a request, and makes no room.
        let held: Vec<_> = (0..200)
            .map(|_| {
                let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
                // It may have been turned away already.
                let _ = client.write_all(b"GET / HTTP/1.1\r\n");
                client
            })
            .collect();
        // Another address of this machine is another client. If all is taken, it waits.
        let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        client.bind(&std::net::SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
        client.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
        let mut client = TcpStream::from(client);
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        assert!(figure(admin, "shuntyard_limits_hit_total{limit=\"max_connections_per_client\"}") >= 100.0);
        drop(held);
        process.signal("TERM");
        assert_eq!(process.wait().code(), Some(0), "{}", process.log());
    }
    // Whoever has said how many gets as many, and a word.
    let file = limited("[limits]\nmax_connections = 20\nmax_connections_per_client = 20\n");
    let output = run(&mut shuntyard(&["check", "--config", &file]));
    let said = String::from_utf8(output.stdout).unwrap();
    let words =
        "warning: max_connections_per_client is 20, and max_connections 20: one client may take them all\n";
    assert!(output.status.code() == Some(0) && said.contains(words), "{said}");
}

/// A backend that accepts and never answers, until the test ends; and how many connections it has.
fn silent_backend() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        let mut held = Vec::new();
        for client in listener.incoming().map_while(Result::ok) {
            held.push(client);
            counted.store(held.len(), Ordering::Relaxed);
        }
    });
    (format!("http://{address}"), count)
}

/// Connections to backends take no descriptors from clients, nor from the admin address.
#[test]
fn silent_backends_leave_descriptors_for_the_admin_address() {
    let folder = Folder::new("descriptors-of-backends");
    for adapter in ["mio", "tokio"] {
        let (backend, count) = silent_backend();
        let limits = "[limits]\nmax_connections_per_client = 1000\n";
        let text = [limits, &serving(&[&backend]), "connections = { max_http1 = 2000 }\n"].concat();
        let file = folder.file("a.toml", &text);
        let always = ["run", "--adapter", adapter, "--listen", "127.0.0.1:0", "--workers", "1"];
        let program = shuntyard(&[&always[..], &ADMIN, &["--config", &file]].concat());
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"ulimit -n 200; exec "$@""#, "sh"])
            .arg(program.get_program())
            .args(program.get_args());
        let process = Process::spawn(&mut command);
        let port = process.find_line("the port", |line| {
            line.strip_prefix("listening on 127.0.0.1:")?.split(' ').next()?.parse::<u16>().ok()
        });
        let asks = |_| {
            let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            client
        };
        let held: Vec<_> = (0..150).map(asks).collect();
        let until = Instant::now() + PATIENCE;
        while count.load(Ordering::Relaxed) < 20 {
            assert!(Instant::now() < until, "{adapter}: {}", process.log());
            thread::sleep(Duration::from_millis(10));
        }
        // Nothing tells when all of those have asked who will.
        thread::sleep(Duration::from_millis(300));
        let admin = admin(&process);
        assert!(get(admin, "/livez").starts_with("HTTP/1.1 200 "), "{adapter}");
        let metrics = get(admin, "/metrics");
        let mut failures =
            metrics.lines().filter(|line| line.starts_with("shuntyard_backend_dial_failures_total{"));
        assert!(failures.next().is_some_and(|line| line.ends_with(" 0")), "{adapter}: {metrics}");
        let connections = count.load(Ordering::Relaxed);
        assert!(connections <= 50, "{adapter}: {connections} of 200");
        drop(held);
    }
}

#[test]
fn a_flag_decides_whether_there_is_a_file_whatever_variables_say() {
    let folder = Folder::new("variables");
    let file = folder.file("a.toml", &serving(&["127.0.0.1:9"]));
    let check = |args: &[&str], variables: &[(&str, &str)]| {
        let output = run(shuntyard(&[&["check"], args].concat()).envs(variables.iter().copied()));
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let backend = ("SHUNTYARD_BACKEND", "h2c://127.0.0.1:9");
    let share = ("SHUNTYARD_SHARE", "none");
    let config = ("SHUNTYARD_CONFIG", &*file);
    let (code, said) = check(&["--config", &file], &[backend, share]);
    assert!(code == Some(0) && said.starts_with(&file), "{said}");
    let (code, said) = check(&BACKEND, &[config]);
    assert!(code == Some(0) && said.starts_with("these flags"), "{said}");
    for (args, variables, words) in [
        (
            &[][..],
            &[config, backend][..],
            "the variable SHUNTYARD_CONFIG cannot be used with the variable SHUNTYARD_BACKEND",
        ),
        (
            &["--config", &file, BACKEND[0], BACKEND[1]],
            &[],
            "the argument '--config <FILE>' cannot be used with the argument '--backend <URL>'",
        ),
        (
            &["--share", "none"],
            &[config],
            "the variable SHUNTYARD_CONFIG cannot be used with the argument '--share <SHARE>'",
        ),
    ] {
        let (code, said) = check(args, variables);
        assert!(code == Some(2) && said.contains(words), "{said}");
    }
}

/// A unit leaves one out by setting it to nothing.
#[test]
fn a_variable_that_is_empty_is_none() {
    let names = [
        "ADMIN",
        "LISTEN",
        "LISTEN_TLS",
        "CERT",
        "KEY",
        "WORKERS",
        "ACCESS_LOG",
        "CONFIG",
        "SHARE",
        "DRAIN_TIMEOUT",
    ];
    let mut command = shuntyard(&[&["check"], &BACKEND[..]].concat());
    let output = run(command.envs(names.map(|name| (format!("SHUNTYARD_{name}"), ""))));
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.code() == Some(0) && said.starts_with("these flags"), "{said}");
}

/// Whatever they look like: who says so knows that they are others.
#[test]
fn certificates_are_read_again_at_a_hangup() {
    let folder = Folder::new("certificates");
    let (cert, key) = identity(&folder);
    let pem = fs::read_to_string(&cert).unwrap();
    let tls = ["--listen-tls", "127.0.0.1:0", "--cert", &cert, "--key", &key];
    let program = Program::start(&[&BACKEND[..], &tls].concat());
    let told = |words: &'static str| {
        program
            .process
            .find_line(words, |line| (line.contains("cert.pem") && line.contains(words)).then_some(()));
    };
    program.process.signal("HUP");
    told("were read again and are shown from now on");
    folder.file("cert.pem", "nothing");
    told("the old ones stay");
    folder.file("cert.pem", &pem);
    told("have changed and are shown from now on");
    program.end();
}

/// A gateway that speaks TLS, and one before it that shows it a certificate.
struct Chain {
    back: Process,
    front: Program,
}

impl Chain {
    /// `trust`: what the one before is told of the other's certificate.
    fn start(folder: &Folder, trust: &str) -> Self {
        let authority = Authority::new();
        let (cert, key) = authority.issue_pem(&["origin.test"], |_| {});
        let cert = folder.file("cert.pem", std::str::from_utf8(&cert).unwrap());
        let key = folder.file("key.pem", std::str::from_utf8(&key).unwrap());
        let ca = folder.file("ca.pem", std::str::from_utf8(&authority.pem()).unwrap());
        let tls = format!(
            "tls = {{ cert = {cert:?}, key = {key:?}, client_auth = \"required\", client_ca = {ca:?} }}\n"
        );
        let listen = format!("[[listen]]\naddress = \"127.0.0.1:0\"\n{tls}");
        let file = folder.file("back.toml", &format!("{listen}{}", serving(&[&backend()])));
        let back = Process::spawn(&mut shuntyard(&[&["run", "--config", &*file], &ADMIN[..]].concat()));
        let port = back.find_line("the port of TLS", |line| {
            let rest = line.strip_prefix("listening on 127.0.0.1:")?.strip_suffix(" over TLS)")?;
            rest.split(' ').next()?.parse::<u16>().ok()
        });
        // Nobody but the one behind ends a connection in the time of a test.
        let limits = "[limits]\nbackend_idle_timeout = \"1h\"\n";
        let shown = format!("[upstream.app.tls]\n{trust}\ncert = {cert:?}\nkey = {key:?}\n");
        // Two gateways in a row need names of their own.
        let text =
            format!("via = \"before\"\n{}{shown}{limits}", serving(&[&format!("https://127.0.0.1:{port}")]));
        let front = Program::start(&["--config", &folder.file("front.toml", &text)]);
        Self { back, front }
    }
}

/// Who has shown a certificate is asked to come again when other authorities are trusted, and nobody when the same were read again.
#[test]
fn clients_with_certificates_part_when_their_authorities_change() {
    let folder = Folder::new("parted");
    let Chain { back, front } = Chain::start(&folder, "insecure = true");
    let admin = admin(&back);
    let closed = || figure(admin, "shuntyard_front_connections_closed_total");
    assert!(get(front.port(), "/").starts_with("HTTP/1.1 204 "));
    back.signal("HUP");
    back.find_line("the hangup", |line| line.contains("were read again").then_some(()));
    assert!(get(front.port(), "/").starts_with("HTTP/1.1 204 "));
    assert_eq!(closed(), 0.0, "nothing has changed");
    folder.file("ca.pem", std::str::from_utf8(&Authority::new().pem()).unwrap());
    back.signal("HUP");
    let until = Instant::now() + Duration::from_secs(30);
    while closed() == 0.0 {
        assert!(Instant::now() < until, "the connection stays: {}", back.log());
        thread::sleep(Duration::from_millis(20));
    }
    front.end();
    back.signal("TERM");
}

/// RFC 9110 section 4.3.4: it is logged. Access log and figures need not be there.
#[test]
fn a_backend_that_does_not_prove_itself_is_told() {
    let folder = Folder::new("unproven");
    let other = folder.file("other.pem", std::str::from_utf8(&Authority::new().pem()).unwrap());
    let trust = format!("ca = {other:?}\nserver_name = \"origin.test\"");
    let Chain { back, front } = Chain::start(&folder, &trust);
    assert!(get(front.port(), "/").starts_with("HTTP/1.1 502 "));
    front.process.find_line("the reason", |line| {
        line.starts_with("warning: TLS with 127.0.0.1 of upstream app failed: ").then_some(())
    });
    front.end();
    back.signal("TERM");
}
