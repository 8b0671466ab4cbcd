//! `cargo run -p shuntyard-planted [-- [--bases N] [NAME...]]`: plants the bugs in a copy, builds it, and says after
//! how many seeds the simulator found each, from N places of the seeds. Fails where one was not found, or where what told
//! is not what should have.

use std::process::{Command, ExitCode};

use shuntyard_planted::{Bug, bugs, copy};

const USAGE: &str = "usage: shuntyard-planted [--bases N] [NAME...]";

/// Places among the seeds at which the search begins, without any wish of the caller.
const BASES: u64 = 3;

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run(mut words: impl Iterator<Item = String>) -> Result<bool, String> {
    let all = bugs();
    let (mut bases, mut names) = (BASES, Vec::new());
    while let Some(word) = words.next() {
        match word.as_str() {
            "--bases" => bases = words.next().and_then(|text| text.parse().ok()).ok_or(USAGE)?,
            name if all.iter().any(|bug| bug.name == name) => names.push(word),
            _ => return Err(format!("no bug has the name {word}\n{USAGE}")),
        }
    }
    let place = copy::make(&all)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // Its dependencies are those of the project, which are there.
    command.args(["run", "--quiet", "--offline", "--", &bases.to_string()]).current_dir(&place);
    command.env("CARGO_TARGET_DIR", place.join("target"));
    let wanted = |bug: &Bug| if names.is_empty() { bug.open.is_none() } else { names.contains(&bug.name) };
    for (at, bug) in all.iter().enumerate() {
        if let (true, Some(why)) = (names.is_empty(), &bug.open) {
            println!("{:38} open: {why}", bug.name);
        }
        if !wanted(bug) {
            continue;
        }
        let (finds, small) = (bug.finds.join(" "), bug.small.as_deref().unwrap_or_default());
        let world = if bug.http1 { "http1" } else { "" };
        command.arg(format!("{}|{}|{}|{finds}|{small}|{world}", at + 1, bug.name, bug.within));
    }
    let status = command.status().map_err(|error| format!("cargo: {error}"))?;
    Ok(status.success())
}
