//! The configuration as its operator meets it: the commands, what comes before what, the files that cannot be read.

mod process;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Output;

use process::{Process, run, shuntyard};

/// A file with this text, for as long as this value lives.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("shuntyard-{}-{name}.toml", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // It is in a folder for what may go.
        let _ = fs::remove_file(&self.0);
    }
}

/// A listener on a port that the kernel picks, in front of nobody.
const GOOD: &str = "\
    [[listen]]\naddress = \"127.0.0.1:0\"\n\
    [[route]]\nupstream = \"app\"\n\
    [upstream.app]\nendpoints = [\"127.0.0.1:9\"]\n";

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn check_says_what_there_is_to_serve_and_takes_no_port() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let file = File::new("good", GOOD.replace("127.0.0.1:0", &address));
    let output = run(&mut shuntyard(&["check", "--config", file.name()]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let expected = format!("{}: valid: 1 listener, 1 route, 1 upstream with 1 endpoint\n", file.name());
    let told = stdout(&output);
    assert!(told.starts_with(&expected), "{told}");
    assert!(told.contains("\nmemory: ") && told.contains(" client connections\n"), "{told}");

    let output = run(&mut shuntyard(&["run", "--config", file.name()]));
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(
        message.starts_with(&format!("error: cannot listen on {address}: address already in use")),
        "{message}"
    );
}

#[test]
fn check_and_run_refuse_alike_with_78() {
    let file = File::new("wrong", GOOD.replace("upstream = ", "upstraem = "));
    let outputs = ["check", "run"].map(|command| run(&mut shuntyard(&[command, "-c", file.name()])));
    for output in &outputs {
        assert_eq!(output.status.code(), Some(78));
        assert_eq!(stdout(output), "");
    }
    let message = stderr(&outputs[0]);
    assert_eq!(message, stderr(&outputs[1]));
    let place = format!("--> {}:4:1", file.name());
    for words in [
        "error[G0001]: unknown key `upstraem` in [[route]]",
        "error[G0004]",
        &place,
        "did you mean `upstream`?",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
}

#[test]
fn files_that_cannot_be_read_have_their_own_words() {
    let binary = File::new("binary", b"via = \"\xff\"\n");
    let large = File::new("large", vec![b'#'; (16 << 20) + 1]);
    let folder = std::env::temp_dir();
    let cases = [
        ("/nowhere/shuntyard.toml", "cannot read the configuration: no such file or directory"),
        (folder.to_str().unwrap(), "cannot read the configuration: it is a directory"),
        (binary.name(), "the file is no text: line 1 has octets that are not UTF-8"),
        (large.name(), "the file has more than 16 MiB"),
    ];
    for (path, words) in cases {
        let output = run(&mut shuntyard(&["check", "--config", path]));
        assert_eq!(output.status.code(), Some(78), "{path}");
        let message = stderr(&output);
        assert!(
            message.starts_with(&format!("error[G0013]: {words}")) && message.contains(path),
            "{message}"
        );
    }
}

#[test]
fn the_reference_is_valid_and_every_code_is_explained() {
    let output = run(&mut shuntyard(&["config", "reference"]));
    let file = File::new("reference", &output.stdout);
    let checked = run(&mut shuntyard(&["check", "--config", file.name()]));
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));

    let all = stdout(&run(&mut shuntyard(&["config", "explain"])));
    for code in ["G0001", "G0005", "G0103"] {
        let one = stdout(&run(&mut shuntyard(&["config", "explain", &code.to_lowercase()])));
        assert!(one.starts_with(&format!("{code}: ")) && all.contains(&one), "{one}");
    }
    let unknown = run(&mut shuntyard(&["config", "explain", "G9999"]));
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("there is no such code"), "{}", stderr(&unknown));
}

/// Flag, variable, file, default: each of them is seen when what comes before it is gone.
#[test]
fn flags_come_before_variables_before_the_file_before_the_defaults() {
    let with = File::new("with", format!("{GOOD}[drain]\ntimeout = \"7s\"\n"));
    let without = File::new("without", GOOD);
    let cases = [
        (&with, Some("8s"), Some("9s"), "9s"),
        (&with, Some("8s"), None, "8s"),
        (&with, None, None, "7s"),
        (&without, None, None, "25s"),
    ];
    for (file, variable, flag, expected) in cases {
        let mut args = vec!["run", "--config", file.name()];
        args.extend(flag.iter().flat_map(|flag| ["--drain-timeout", flag]));
        let mut command = shuntyard(&args);
        command.envs(variable.map(|value| ("SHUNTYARD_DRAIN_TIMEOUT", value)));
        let mut process = Process::spawn(&mut command);
        process.find_line("the listener", |line| line.starts_with("listening on 127.0.0.1:").then_some(()));
        process.signal("TERM");
        assert_eq!(process.wait().code(), Some(0), "{}", process.log());
        let words = format!("SIGTERM: draining for {expected} at most");
        assert!(process.log().contains(&words), "{}", process.log());
    }
}

/// Flags, variables, and the exit code.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], i32);

/// A variable that says of a switch that it is off says what holds without it.
#[test]
fn switches_that_are_off_are_not_there() {
    let file = File::new("switches", GOOD);
    let of_file = ["--config", file.name()];
    let of_flags = ["--backend", "h2://127.0.0.1:9", "--backend-insecure"];
    let insecure = "SHUNTYARD_BACKEND_INSECURE";
    let cases: [Case<'_>; 8] = [
        (&of_file, &[("SHUNTYARD_RECORD_CONTENT", "false")], 0),
        (&of_file, &[("SHUNTYARD_RECORD_CONTENT", "true")], 2),
        (&[], &[(insecure, "false"), ("SHUNTYARD_CONFIG", file.name())], 0),
        (&[], &[(insecure, "true"), ("SHUNTYARD_CONFIG", file.name())], 2),
        // The command line decides: the variables are for backends that it does not have.
        (&of_file, &[(insecure, "1"), ("SHUNTYARD_BACKEND_CA", "/x")], 0),
        // It is asked for, and not there.
        (&of_flags[..2], &[(insecure, "false"), ("SHUNTYARD_BACKEND_CA", "/nonexistent")], 1),
        (&of_flags[..2], &[(insecure, "true"), ("SHUNTYARD_BACKEND_CA", "/nonexistent")], 2),
        (&of_flags, &[("SHUNTYARD_BACKEND_CA", "/nonexistent")], 2),
    ];
    for (args, variables, code) in cases {
        let mut command = shuntyard(&[&["check"], args].concat());
        let output = run(command.envs(variables.iter().copied()));
        assert_eq!(output.status.code(), Some(code), "{args:?} {variables:?}: {}", stderr(&output));
    }
}

/// A word that means neither opens nothing.
#[test]
fn a_switch_is_on_or_off_and_nothing_else() {
    let check = |variable: &str, value: &str, backend: &str| {
        let mut command = shuntyard(&["check", "--backend", backend]);
        let output = run(command.env(format!("SHUNTYARD_{variable}"), value));
        (output.status.code(), stderr(&output))
    };
    let secure = "h2://127.0.0.1:9";
    for value in ["true", "True", "yes", "on", "1", "false", "no", "off", "0"] {
        assert_eq!(check("BACKEND_INSECURE", value, secure).0, Some(0), "{value}");
    }
    for variable in ["BACKEND_INSECURE", "ADMIN_ALLOW_REMOTE", "ACCESS_LOG_QUERY", "RECORD_CONTENT"] {
        for value in ["disabled", "fasle", "none"] {
            let (code, said) = check(variable, value, secure);
            assert!(code == Some(2) && said.contains(&format!("'{value}'")), "{variable}: {said}");
        }
    }
    // How often it is said is a number.
    let clear = "h2c://127.0.0.1:9";
    assert_eq!(check("VERBOSE", "2", clear).0, Some(0));
    let (code, said) = check("VERBOSE", "true", clear);
    assert!(code == Some(2) && said.contains("1 tells of requests that went wrong, 2 of all"), "{said}");
}

/// What a flag says of the admin address is said of that in the file, too, and instead of it.
#[test]
fn flags_for_the_admin_address_come_before_the_file() {
    let remote = File::new("remote", format!("{GOOD}[admin]\naddress = \"0.0.0.0:39910\"\n"));
    let cases: [(&[&str], i32); 6] = [
        (&[], 78),
        (&["--admin-allow-remote"], 0),
        (&["--admin", "127.0.0.1:39911"], 0),
        (&["--admin", "0.0.0.0:39911"], 78),
        (&["--admin", "0.0.0.0:39911", "--admin-allow-remote"], 0),
        (&["--admin", "0.0.0.0:39911", "--admin-allow-remote=false"], 78),
    ];
    for (args, code) in cases {
        let output = run(&mut shuntyard(&[&["check", "--config", remote.name()], args].concat()));
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
    }
    // A variable that says no comes before a file that says yes.
    let allowed = format!("{GOOD}[admin]\naddress = \"0.0.0.0:39911\"\nallow_remote = true\n");
    let allowed = File::new("remote-allowed", allowed);
    for (value, code) in [("", 0), ("true", 0), ("false", 78)] {
        let mut command = shuntyard(&["check", "--config", allowed.name()]);
        let output = run(command.env("SHUNTYARD_ADMIN_ALLOW_REMOTE", value));
        assert_eq!(output.status.code(), Some(code), "{value}: {}", stderr(&output));
    }
}

#[test]
fn flags_for_listeners_take_the_place_of_those_in_the_file() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = GOOD.replace("127.0.0.1:0", &taken.local_addr().unwrap().to_string());
    let file = File::new("listeners", text);
    let warning = "left out: 1 listener of the file, with its TLS and whatever else it says, for --listen";
    let output = run(&mut shuntyard(&["check", "-c", file.name(), "--listen", "127.0.0.1:0"]));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains(&format!("\nwarning: {warning}")), "{told}");
    let mut process = Process::spawn(&mut shuntyard(&["run", "-c", file.name(), "--listen", "127.0.0.1:0"]));
    process.find_line("the warning", |line| line.contains(warning).then_some(()));
    process.find_line("the listener", |line| line.starts_with("listening on 127.0.0.1:").then_some(()));
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
}

#[test]
fn a_hangup_without_a_file_changes_nothing_and_says_so() {
    let mut process =
        Process::spawn(&mut shuntyard(&["run", "--listen", "127.0.0.1:0", "--backend", "h2c://127.0.0.1:9"]));
    process.find_line("the listener", |line| line.starts_with("listening on").then_some(()));
    process.signal("HUP");
    process.find_line("the answer", |line| line.contains("there is no configuration file").then_some(()));
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
}

#[test]
fn the_file_says_where_to_see_what_happens() {
    let log = std::env::temp_dir().join(format!("shuntyard-{}-access.json", std::process::id()));
    let seeing = format!("{GOOD}[admin]\naddress = \"127.0.0.1:0\"\n[access_log]\npath = {log:?}\n");
    let file = File::new("seeing", &seeing);
    let mut process = Process::spawn(&mut shuntyard(&["run", "-c", file.name()]));
    process.find_line("the page", |line| line.contains("status on http://127.0.0.1:").then_some(()));
    assert!(log.exists());
    fs::write(&file.0, seeing.replace("[access_log]\n", "[access_log]\nquery = true\n")).unwrap();
    process.signal("HUP");
    process.find_line("the answer", |line| line.contains("admin or access_log changed").then_some(()));
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
    fs::remove_file(log).unwrap();
}
