//! What an operator sees of the program: the access log, the admin address, diagnostics.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::Value;
use shuntyard_core::address::Address;
use shuntyard_core::error::ErrorCode;

use crate::peers::{Origin, PATIENCE, Peer, backend};
use crate::process::{Program, run, shuntyard};

const ADAPTERS: [&str; 2] = ["mio", "tokio"];

/// The program with an admin address, which is told too.
fn watched(args: &[&str]) -> (Program, SocketAddr) {
    let program = Program::start(&[args, &["--admin", "127.0.0.1:0"]].concat());
    let admin = program.process.find_line("the admin address", |line| {
        line.strip_prefix("status on http://")?.strip_suffix("/status")?.parse().ok()
    });
    (program, admin)
}

fn address(program: &Program) -> Address {
    Address::Inet(([127, 0, 0, 1], program.port()).into())
}

/// Sends these octets and takes all that comes.
fn exchange(admin: SocketAddr, octets: &str) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(octets.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The status and the content of an answer to a GET.
fn get(admin: SocketAddr, target: &str, accept: &str) -> (u16, String) {
    let answer =
        exchange(admin, &format!("GET {target} HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\n\r\n"));
    let (head, content) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let length = content.len();
    assert!(head.contains(&format!("content-length: {length}\r\n")), "{head}");
    assert!(head.contains("cache-control: no-store\r\n"), "{head}");
    (status, content.to_owned())
}

fn status(admin: SocketAddr) -> Value {
    let (status, content) = get(admin, "/status.json", "*/*");
    assert_eq!(status, 200, "{content}");
    serde_json::from_str(&content).expect("JSON")
}

fn log_file(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.log", std::process::id()));
    // It may be there from an earlier run of the same number.
    let _ = fs::remove_file(&path);
    path
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "no line is torn");
    text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
}

/// Whatever happens to requests: each that was accepted has one line.
#[test]
fn the_access_log_has_one_line_for_each_accepted_request() {
    for adapter in ADAPTERS {
        let (origin, config) = Origin::start();
        let backend = format!("h2c://{}", config.upstreams[0].endpoints[0].host);
        let path = log_file(adapter);
        let args = ["--adapter", adapter, "--workers", "2", "--backend", &backend];
        let (program, admin) = watched(&[&args[..], &["--access-log", path.to_str().unwrap()]].concat());

        for round in 0..6 {
            let mut client = Peer::connect(&address(&program));
            let asked: Vec<_> = (0..30).map(|n| client.get(&format!("/{round}/{n}?secret={n}"))).collect();
            if round == 2 {
                client.http.reset(asked[7], ErrorCode::CANCEL);
            }
            // Some go away at once.
            if round < 4 && round != 2 {
                client.responses(&asked);
            }
        }
        let moved = path.with_extension("1");
        fs::rename(&path, &moved).unwrap();
        program.process.signal("USR1");
        program.process.find_line("the new file", |line| line.contains("opened again").then_some(()));
        let mut client = Peer::connect(&address(&program));
        for _ in 0..5 {
            client.ask("/after");
        }
        let accepted = status(admin)["routes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|route| route["started"].as_u64().unwrap())
            .sum::<u64>();
        drop(client);
        program.end();
        origin.end();

        let (old, new) = (lines(&moved), lines(&path));
        assert!(new.len() >= 5 && old.len() >= 90, "{adapter}: {} and {} lines", old.len(), new.len());
        assert_eq!((old.len() + new.len()) as u64, accepted, "{adapter}");
        let last = new.last().unwrap();
        assert_eq!(last["url.path"], "/after");
        assert_eq!((&last["http.response.status_code"], &last["flags"]), (&200.into(), &"-".into()));
        assert_eq!((&last["upstream"], &last["attempts"]), (&"default".into(), &1.into()));
        assert!(old.iter().all(|line| !line.to_string().contains("secret")), "queries are not shown");
        fs::remove_file(path).unwrap();
        fs::remove_file(moved).unwrap();
    }
}

#[test]
fn the_admin_address_tells_what_there_is() {
    for adapter in ADAPTERS {
        let (origin, config) = Origin::start();
        let backend = format!("h2c://{}", config.upstreams[0].endpoints[0].host);
        let (program, admin) = watched(&["--adapter", adapter, "--backend", &backend]);
        let mut client = Peer::connect(&address(&program));
        for _ in 0..7 {
            assert_eq!(client.ask("/x").status, 200);
        }

        let seen = status(admin);
        assert_eq!((&seen["adapter"], &seen["draining"]), (&adapter.into(), &false.into()));
        assert_eq!((&seen["clients"].as_array().unwrap().len(), &seen["totals"]["clients"]), (&1, &1.into()));
        for ledger in ["ledger", "uploads", "replays", "heads"] {
            let of = &seen[ledger];
            assert!(of["reserved"].is_u64() && of["limit"].as_u64() > Some(0), "{ledger}: {of}");
        }
        let endpoint = &seen["upstreams"][0]["endpoints"][0];
        assert_eq!((&endpoint["complete"], &endpoint["up"]), (&7.into(), &true.into()));
        assert_eq!(get(admin, "/status?format=json", "text/html").1.get(..1), Some("{"));
        assert_eq!(get(admin, "/status", "application/json").1.get(..1), Some("{"));
        assert!(get(admin, "/status", "text/html").1.starts_with("<!doctype html>"));

        let (_, plain) = get(admin, "/metrics", "*/*");
        assert!(
            plain.contains("\nshuntyard_requests_total{http_route=\"default\",outcome=\"complete\"} 7\n"),
            "{plain}"
        );
        assert!(!plain.contains("# EOF"), "{plain}");
        for ledger in ["responses", "uploads", "replays", "heads"] {
            let limit = format!("\nshuntyard_ledger_limit_bytes{{ledger=\"{ledger}\"}} ");
            assert!(plain.contains(&limit), "{plain}");
        }
        let (_, open) = get(admin, "/metrics", "application/openmetrics-text;version=1.0.0");
        assert!(
            open.contains("# UNIT http_server_request_duration_seconds seconds\n")
                && open.ends_with("# EOF\n"),
            "{open}"
        );

        for healthy in ["/livez", "/readyz", "/healthz"] {
            assert_eq!(get(admin, healthy, "*/*"), (200, "ok\n".to_owned()), "{healthy}");
        }
        assert_eq!(get(admin, "/config", "*/*").0, 404);
        drop(client);
        program.end();
        origin.end();
    }
}

/// A GET changes nothing, and nothing else is served.
#[test]
fn the_admin_address_serves_gets_of_limited_size_in_limited_time() {
    let (program, admin) = watched(&["--backend", "h2c://127.0.0.1:9"]);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = exchange(
            admin,
            &format!("{method} /status HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"),
        );
        assert!(
            answer.starts_with("HTTP/1.1 405 ") && answer.contains("\r\nallow: GET, HEAD\r\n"),
            "{answer}"
        );
    }
    let head = exchange(admin, "HEAD /livez HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(exchange(admin, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(
        exchange(admin, &format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(8192))).starts_with("HTTP/1.1 431 ")
    );
    // One that says nothing is told so, and the next is served.
    let mut silent = TcpStream::connect(admin).unwrap();
    silent.write_all(b"GET /livez HT").unwrap();
    assert_eq!(get(admin, "/livez", "*/*").0, 200);
    let mut answer = String::new();
    silent.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    drop(silent);
    program.end();
}

#[test]
fn a_server_that_drains_lives_and_is_not_ready() {
    for adapter in ADAPTERS {
        let (listener, config) = backend();
        let backend = format!("h2c://{}", config.upstreams[0].endpoints[0].host);
        let (mut program, admin) = watched(&["--adapter", adapter, "--workers", "2", "--backend", &backend]);
        let mut client = Peer::connect(&address(&program));
        let asked = client.get("/slow");
        let mut upstream = Peer::accept(&listener);
        let (stream, _) = upstream.request();
        program.process.signal("TERM");
        program.process.find_line("the drain", |line| line.contains("draining").then_some(()));
        // The signal is told before the workers hear of it.
        let deadline = std::time::Instant::now() + PATIENCE;
        while get(admin, "/readyz", "*/*").0 == 200 {
            assert!(std::time::Instant::now() < deadline, "it stays ready");
        }
        assert_eq!(get(admin, "/readyz", "*/*"), (503, "draining\n".to_owned()));
        // One of the two workers has nothing to do and has ended.
        assert_eq!(get(admin, "/livez", "*/*").0, 200);
        upstream.answer(stream, b"done");
        assert_eq!(client.response(asked).content, b"done");
        drop((client, upstream));
        assert_eq!(program.process.wait().code(), Some(0));
    }
}

#[test]
fn an_admin_address_that_others_can_reach_is_refused_unless_it_is_wanted() {
    let args = ["run", "--listen", "127.0.0.1:0", "--backend", "h2c://127.0.0.1:9", "--admin", "0.0.0.0:0"];
    let output = run(&mut shuntyard(&args));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{message}");
    assert!(
        message.contains("can be reached from other machines") && message.contains("--admin-allow-remote")
    );
    let program =
        Program::start(&["--backend", "h2c://127.0.0.1:9", "--admin", "0.0.0.0:0", "--admin-allow-remote"]);
    program
        .process
        .find_line("the admin address", |line| line.starts_with("status on http://0.0.0.0:").then_some(()));
    program.end();
}

#[test]
fn an_access_log_that_cannot_be_opened_ends_the_program() {
    let args =
        ["run", "--listen", "127.0.0.1:0", "--backend", "h2c://127.0.0.1:9", "--access-log", "/nowhere/a"];
    let output = run(&mut shuntyard(&args));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("cannot open the access log /nowhere/a: no such file or directory"),
        "{message}"
    );
}

#[test]
fn diagnostics_are_text_or_json_and_tell_more_where_it_is_wanted() {
    let program = Program::start(&["--backend", "h2c://127.0.0.1:9", "-v"]);
    assert_eq!(Peer::connect(&address(&program)).ask("/").status, 502);
    let line =
        program.process.find_line("the failure", |line| line.starts_with("debug: ").then(|| line.to_owned()));
    // Whichever worker it was.
    let (before, behind) = line.split_once(" worker=").expect("a worker");
    let behind = behind.trim_start_matches(|c: char| c.is_ascii_digit());
    let expected = "method=GET status=502 attempts=0 upstream=default endpoint=- outcome=local_reply cause=connection_refused";
    assert_eq!((before, behind.trim_start()), ("debug: request=0", expected));
    program.end();

    let args = ["run", "--listen", "127.0.0.1:0", "--backend", "h2c://127.0.0.1:9", "--log-format", "json"];
    let mut process = crate::process::Process::spawn(&mut shuntyard(&args));
    let line = process.find_line("a listener", |line| line.contains("listening").then(|| line.to_owned()));
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["level"], "info");
    assert!(line["message"].as_str().unwrap().starts_with("listening on 127.0.0.1:"), "{line}");
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0));
}
