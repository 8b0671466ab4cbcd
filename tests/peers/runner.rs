//! Runs cases one after the other and counts what ran and what was skipped.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// One test with what it needs to run.
pub(crate) struct Case {
    name: &'static str,
    needs: &'static [&'static str],
    test: fn(&Peers),
}

pub(crate) const fn case(name: &'static str, needs: &'static [&'static str], test: fn(&Peers)) -> Case {
    Case { name, needs, test }
}

/// The programs that were found.
pub(crate) struct Peers {
    found: HashMap<&'static str, PathBuf>,
}

impl Peers {
    /// A command that runs the peer.
    pub(crate) fn command(&self, name: &str) -> Command {
        Command::new(self.found.get(name).unwrap_or_else(|| panic!("{name} is not among the case's needs")))
    }
}

/// What the command line asks for: the part of libtest's that cargo and people use.
struct Arguments {
    list: bool,
    exact: bool,
    ignored: bool,
    filters: Vec<String>,
    skips: Vec<String>,
}

/// Runs the cases that the command line names, or all.
pub(crate) fn run(cases: &[Case]) -> ExitCode {
    let arguments = Arguments::read(std::env::args().skip(1));
    let chosen: Vec<_> = cases.iter().filter(|case| arguments.choose(case.name)).collect();
    if arguments.list {
        chosen.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    let required = std::env::var_os("REQUIRE_PEERS").is_some_and(|value| value == "1");
    let peers = find_peers(&chosen);
    println!("\nrunning {} cases with peers", chosen.len());
    let (mut passed, mut failed, mut skipped) = (0, Vec::new(), 0);
    for case in chosen {
        let missing: Vec<_> =
            case.needs.iter().copied().filter(|peer| !peers.found.contains_key(peer)).collect();
        if !missing.is_empty() && !required {
            println!("case {} ... skipped: {} not found", case.name, missing.join(", "));
            skipped += 1;
        } else if missing.is_empty() && catch_unwind(AssertUnwindSafe(|| (case.test)(&peers))).is_ok() {
            println!("case {} ... ok", case.name);
            passed += 1;
        } else {
            println!("case {} ... FAILED", case.name);
            missing.iter().for_each(|peer| println!("  {peer} was not found, and REQUIRE_PEERS is 1"));
            failed.push(case.name);
        }
    }
    failed.iter().for_each(|name| println!("failed: {name}"));
    println!("\npeers: {passed} passed, {} failed, {skipped} skipped", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Arguments {
    fn read(mut args: impl Iterator<Item = String>) -> Self {
        let mut arguments =
            Self { list: false, exact: false, ignored: false, filters: Vec::new(), skips: Vec::new() };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--list" => arguments.list = true,
                "--exact" => arguments.exact = true,
                "--ignored" => arguments.ignored = true,
                "--skip" => arguments.skips.extend(args.next()),
                "--test-threads" | "--format" | "--color" => drop(args.next()),
                flag if flag.starts_with('-') => {}
                _ => arguments.filters.push(arg),
            }
        }
        arguments
    }

    fn choose(&self, name: &str) -> bool {
        let matches = |filter: &String| if self.exact { name == filter } else { name.contains(&**filter) };
        // None of the cases is marked as ignored.
        !self.ignored
            && (self.filters.is_empty() || self.filters.iter().any(matches))
            && !self.skips.iter().any(matches)
    }
}

fn find_peers(cases: &[&Case]) -> Peers {
    let peers = std::env::var_os("SHUNTYARD_PEERS").map(PathBuf::from);
    let own = peers.as_ref().map(|folder| folder.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    // nghttpd lies where the PATH of a common user does not lead.
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let folders: Vec<_> = own.into_iter().chain(std::env::split_paths(&path)).chain(system).collect();
    let package = |name: &str| Some(peers.as_ref()?.join("python").join(name)).filter(|path| path.is_dir());
    let find = |name: &str| match name.strip_prefix("python:") {
        Some(name) => package(name),
        None => folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()),
    };
    let names = cases.iter().flat_map(|case| case.needs).copied();
    Peers { found: names.filter_map(|name| Some((name, find(name)?))).collect() }
}
