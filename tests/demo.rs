//! `shuntyard demo` as a user's script sees it.

use std::process::{Command, Stdio};

use serde_json::Value;

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
