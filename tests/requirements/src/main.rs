//! `cargo run -p shuntyard-requirements -- LOG` holds the tables against the log of a test run; with `--fill` it writes
//! into the tables which tests name which row.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::ExitCode;

use shuntyard_requirements::sources::Named;
use shuntyard_requirements::table::{self, Disposition, RFCS, Row};

const USAGE: &str = "usage: shuntyard-requirements LOG | --fill\n\
    LOG is the file that REQ_LOG named when the tests ran; --fill writes the column `where` from the sources";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match &args[..] {
        [flag] if flag == "--fill" => fill(),
        [log] if !log.starts_with('-') => check(log),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the column `where` of all rows but those whose place is a file of the sources.
fn fill() -> Result<(), String> {
    let named = Named::read().map_err(|error| error.to_string())?;
    for rfc in RFCS {
        let mut rows = table::read(rfc)?;
        for row in rows.iter_mut().filter(|row| row.disposition != Disposition::Type) {
            row.places = named.places(&row.id);
        }
        table::write(rfc, &rows).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Every place that a table names must have left its line in the log.
fn check(log: &str) -> Result<(), String> {
    let text = fs::read_to_string(log).map_err(|error| format!("{log}: {error}"))?;
    let logged = Logged::parse(&text)?;
    let named = Named::read().map_err(|error| error.to_string())?;
    let rows = table::read_all()?;
    let mut wrong = Vec::new();
    let known: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    for id in logged.tests.keys().chain(logged.police.keys()).filter(|id| !known.contains(id.as_str())) {
        wrong.push(format!("{id} was logged and is in no table"));
    }
    for row in rows.iter().filter(|row| row.disposition.needs_evidence()) {
        wrong.extend(logged.missing(row, &named));
    }
    print_numbers(&rows, &logged);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// What tests and police left behind.
#[derive(Default)]
struct Logged {
    /// Id to `file::test`.
    tests: BTreeMap<String, BTreeSet<String>>,
    /// Id to how often it was checked.
    police: BTreeMap<String, u64>,
}

impl Logged {
    fn parse(text: &str) -> Result<Self, String> {
        let mut logged = Self::default();
        for line in text.lines() {
            let columns: Vec<&str> = line.split('\t').collect();
            let [id, file, test] = columns[..] else { return Err(format!("{line:?} is no line of a log")) };
            if file == "police" {
                let times: u64 = test.parse().map_err(|_| format!("{line:?} counts nothing"))?;
                *logged.police.entry(id.to_owned()).or_default() += times;
            } else {
                let stem = file.strip_suffix(".rs").unwrap_or(file);
                logged.tests.entry(id.to_owned()).or_default().insert(format!("{stem}::{test}"));
            }
        }
        Ok(logged)
    }

    /// What the row promises and nobody did.
    fn missing(&self, row: &Row, named: &Named) -> Vec<String> {
        let id = &row.id;
        let mut missing = Vec::new();
        for place in named.tests.get(id).into_iter().flatten() {
            if !self.tests.get(id).is_some_and(|ran| ran.contains(place)) {
                missing.push(format!("{id}: {place} did not run to its end"));
            }
        }
        if named.police.contains_key(id) && self.police.get(id).is_none_or(|&times| times == 0) {
            missing.push(format!("{id}: the police never checked it"));
        }
        if named.places(id).is_empty() {
            missing.push(format!("{id}: nothing shows it"));
        }
        missing
    }
}

fn print_numbers(rows: &[Row], logged: &Logged) {
    print!("{:<6}", "RFC");
    Disposition::ALL.iter().for_each(|disposition| print!(" {disposition:>17}"));
    println!(" {:>6} {:>10}", "rows", "MUST todo");
    for rfc in RFCS {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.id.starts_with(rfc)).collect();
        print!("{rfc:<6}");
        for disposition in Disposition::ALL {
            print!(" {:>17}", rows.iter().filter(|row| row.disposition == disposition).count());
        }
        let todo = rows.iter().filter(|row| row.disposition == Disposition::Todo && row.is_must()).count();
        println!(" {:>6} {todo:>10}", rows.len());
    }
    let tests: BTreeSet<&String> = logged.tests.values().flatten().collect();
    let checks: u64 = logged.police.values().sum();
    println!(
        "{} ids shown by {} tests, {} by {checks} checks of the police",
        logged.tests.len(),
        tests.len(),
        logged.police.len()
    );
}
