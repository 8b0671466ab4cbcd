//! The program among those who look after it: health checks, systemd, whoever renews its certificates.

mod process;

use std::path::PathBuf;
use std::process::Output;

use process::{Process, Program, run, shuntyard};

const BACKEND: [&str; 2] = ["--backend", "h2c://127.0.0.1:9"];
const ADMIN: [&str; 2] = ["--admin", "127.0.0.1:0"];

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
    for args in [&["health"][..], &["health", "--admin", "127.0.0.1:1", "--timeout", "0s"]] {
        assert_eq!(run(&mut shuntyard(args)).status.code(), Some(2), "{args:?}");
    }
}
