//! `shuntyard demo` as a user's script sees it.

mod process;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use process::{PATIENCE, Process};
use serde_json::Value;
use shuntyard_core::config::Protocol;
use shuntyard_core::time::Instant;
use shuntyard_transport::{BackTls, Plain, Spare, Transport, Trust};

#[test]
fn the_demo_ends_by_itself_and_every_promise_held() {
    let output = Command::new(env!("CARGO_BIN_EXE_shuntyard"))
        .args(["demo", "--seconds", "3", "--json"])
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");

    let objects: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    let (summary, before) = objects.split_last().expect("some output");
    assert!(summary["requests"].as_u64().expect("a number") > 0);
    assert_eq!(summary["failed"], 0);
    assert!(summary["octets_verified"].as_u64().expect("a number") > 0);
    assert_eq!(summary["complaints"].as_array().map(Vec::len), Some(0));
    let promises = summary["promises"].as_array().expect("promises");
    assert!(promises.len() >= 8 && promises.iter().all(|promise| promise["held"] == true), "{promises:?}");

    let steps = before.iter().filter(|object| object["step"].is_string()).count();
    let seconds = before.iter().filter(|object| object["requests"].is_u64()).count();
    assert!(steps >= 7 && seconds >= 3, "{stdout}");
}

/// File and port of the line that the demo prints for curl.
fn curl_line(line: &str) -> Option<(PathBuf, u16)> {
    let step = serde_json::from_str::<Value>(line).ok()?;
    let (_, command) = step["step"].as_str()?.split_once("curl --cacert ")?;
    let (file, url) = command.split_once(' ')?;
    let port = url.strip_prefix("https://localhost:")?.strip_suffix('/')?;
    Some((file.into(), port.parse().ok()?))
}

/// Asks for `/` by HTTP/1.1 and TLS, as curl would by this line, trusting nobody but who is in the file. Until the server says that it ends.
fn ask(file: &PathBuf, port: u16) -> String {
    let trust = Trust::Authorities(fs::read(file).expect("the certificate"));
    let tls = BackTls::new(&trust, None, None).expect("an authority");
    let mut transport = Transport::back_by(&tls, "localhost", Protocol::Http1).expect("a name");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the gateway");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let (mut spare, mut heard) = (Spare::default(), Vec::new());
    let mut room = vec![0; 32 << 10];
    loop {
        match transport.poll_plain(&mut room) {
            Plain::Octets(n) => heard.extend_from_slice(&room[..n]),
            Plain::Connected(_) => {
                let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
                transport.seal(request, &mut spare, Instant::ZERO);
            }
            Plain::Starved => {
                stream.write_all(transport.pending()).expect("the gateway listens");
                transport.left(transport.pending().len());
                let n = stream.read(transport.recv_buf(&mut spare).expect("room")).expect("it answers");
                assert_ne!(n, 0, "cut: {}", String::from_utf8_lossy(&heard));
                transport.received(n);
            }
            Plain::Ended => return String::from_utf8(heard).expect("UTF-8"),
            Plain::Failed(failure) => panic!("{failure}"),
        }
    }
}

#[test]
fn whoever_trusts_the_certificate_that_the_demo_names_is_served_and_its_file_goes_with_it() {
    for adapter in ["mio", "tokio"] {
        let mut demo = Process::spawn(Command::new(env!("CARGO_BIN_EXE_shuntyard")).args([
            "demo",
            "--seconds",
            "2",
            "--json",
            "--clients",
            "2",
            "--keep",
            "--adapter",
            adapter,
        ]));
        // While it works, and once more of the gateway that stays.
        let (file, port) = demo.find_line("a line for curl", curl_line);
        let said = ask(&file, port);
        assert!(
            said.starts_with("HTTP/1.1 200 ") && said.contains("An origin of shuntyard's demo."),
            "{said}"
        );
        let (file, port) = demo.find_lines("another line for curl", 2, curl_line).remove(1);
        let said = ask(&file, port);
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        demo.signal("TERM");
        // Who looked in is not taken for a client whose requests are counted twice.
        assert_eq!(demo.wait().code(), Some(0), "{}", demo.log());
        assert!(!file.exists(), "{file:?} is left behind");
    }
}

#[test]
fn the_second_signal_leaves_no_file_behind_either() {
    let mut demo = Process::spawn(Command::new(env!("CARGO_BIN_EXE_shuntyard")).args([
        "demo",
        "--json",
        "--clients",
        "1",
    ]));
    let (file, _) = demo.find_line("a line for curl", curl_line);
    assert!(file.exists());
    // Whether the first has been heard when the second comes shows in the drain that it begins.
    demo.signal("TERM");
    demo.find_line("the drain", |line| line.contains("drain").then_some(()));
    demo.signal("TERM");
    demo.wait();
    assert!(!file.exists(), "{file:?} is left behind");
}

#[test]
fn numbers_out_of_range_are_bad_usage() {
    for arguments in [["--seconds", "0"], ["--clients", "0"], ["--clients", "101"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_shuntyard"))
            .arg("demo")
            .args(arguments)
            .output()
            .expect("it starts");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}
