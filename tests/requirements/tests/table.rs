//! The tables are whole, agree with the sources, and owe nothing that they must not owe. Whether what they promise was
//! shown by a run is asked by the command of this crate, which needs the run first.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use shuntyard_requirements::sources::{Named, workspace};
use shuntyard_requirements::table::{self, Disposition, RFCS, Row};

fn rows() -> Vec<Row> {
    table::read_all().expect("the tables can be read")
}

fn fails(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_row_is_in_the_table_of_its_rfc_once() {
    let mut wrong = Vec::new();
    for rfc in RFCS {
        let mut seen = BTreeSet::new();
        for row in table::read(rfc).expect("the table can be read") {
            if !row.id.starts_with(&format!("{rfc}-")) || !shuntyard_requirements::sources::is_id(&row.id) {
                wrong.push(format!("{} is no id of {rfc}.tsv", row.id));
            }
            if !seen.insert(row.id.clone()) {
                wrong.push(format!("{} has two rows", row.id));
            }
        }
    }
    fails(wrong);
}

#[test]
fn every_sentence_has_a_row_and_every_row_its_sentence() {
    let Some(lists) = table::lists() else {
        // Not captured by the test runner.
        let _ = writeln!(std::io::stderr(), "SKIPPED the lists of sentences are not here");
        return;
    };
    let mut wrong = Vec::new();
    for rfc in RFCS {
        let list = lists.join(format!("rfc{rfc}-requirements.tsv"));
        // The rows of RFC 7239 are written by hand, and their hashes are of our own words.
        if rfc == "7239" && !list.exists() {
            continue;
        }
        let sentences = table::sentences(&list).expect("the list can be read");
        let rows = table::read(rfc).expect("the table can be read");
        let rows: BTreeMap<&str, &Row> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
        for sentence in &sentences {
            match rows.get(sentence.id.as_str()) {
                None => wrong.push(format!("{} has no row", sentence.id)),
                Some(row) if row.sentence != sentence.hash => {
                    wrong.push(format!("{}: the sentence is another than that of the row", sentence.id));
                }
                Some(row) if row.level != sentence.level => {
                    wrong.push(format!(
                        "{}: {} in the list, {} in the row",
                        row.id, sentence.level, row.level
                    ));
                }
                Some(_) => {}
            }
        }
        let ids: BTreeSet<&str> = sentences.iter().map(|sentence| sentence.id.as_str()).collect();
        wrong.extend(rows.keys().filter(|id| !ids.contains(*id)).map(|id| format!("{id} is no sentence")));
    }
    fails(wrong);
}

#[test]
fn every_disposition_gives_what_it_owes() {
    let mut wrong = Vec::new();
    for row in rows() {
        let Row { id, disposition, places, note, .. } = &row;
        if disposition.needs_note() && note.is_empty() {
            wrong.push(format!("{id}: {disposition} without a reason"));
        }
        let permission = matches!(disposition, Disposition::PermissionUsed | Disposition::PermissionUnused);
        if permission && row.is_must() {
            wrong.push(format!("{id}: {} is no permission", row.level));
        }
        if *disposition == Disposition::Type {
            let there = |place: &String| workspace().join(place).is_file();
            if places.is_empty() || !places.iter().all(there) {
                wrong.push(format!("{id}: {places:?} are not the files that make it so"));
            }
        } else if disposition.needs_evidence() && places.is_empty() {
            wrong.push(format!("{id}: {disposition}, and nothing shows it"));
        }
    }
    fails(wrong);
}

#[test]
fn the_sources_and_the_tables_name_the_same() {
    let named = Named::read().expect("the sources can be read");
    let rows = rows();
    let known: BTreeMap<&str, &Row> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
    let mut wrong = Vec::new();
    for (id, places) in named.tests.iter().chain(&named.police).chain(&named.beside) {
        if !known.contains_key(id.as_str()) {
            wrong.push(format!("{id} of {places:?} is in no table"));
        }
    }
    for row in &rows {
        let places = named.places(&row.id);
        match row.disposition {
            Disposition::Type if !places.is_empty() => {
                wrong.push(format!("{}: by construction, and yet {places:?}", row.id));
            }
            Disposition::Type => {}
            _ if places != row.places => wrong.push(format!(
                "{}: the table says {:?}, the sources {places:?}; `cargo run -p shuntyard-requirements -- --fill`",
                row.id, row.places
            )),
            Disposition::NotApplicable | Disposition::Todo if !places.is_empty() => {
                wrong.push(format!("{}: {}, and yet {places:?}", row.id, row.disposition));
            }
            Disposition::Police if !named.police.contains_key(&row.id) => {
                wrong.push(format!("{}: the police does not check it", row.id));
            }
            Disposition::Test
            | Disposition::Adapter
            | Disposition::Police
            | Disposition::PermissionUsed
            | Disposition::PermissionUnused
            | Disposition::Exception
            | Disposition::NotApplicable
            | Disposition::Todo => {}
        }
    }
    fails(wrong);
}

/// RFC 9113 but for TLS (its section 9.2 and the list of cipher suites), and RFC 7541, are done.
#[test]
fn no_obligation_of_http_2_and_hpack_is_left_to_do() {
    let owed = |row: &&Row| row.disposition == Disposition::Todo && row.is_must();
    let later = |id: &str| id.starts_with("9113-9.2") || id.starts_with("9113-A-");
    let done = |id: &str| id.starts_with("7541-") || id.starts_with("9113-") && !later(id);
    fails(rows().iter().filter(owed).filter(|row| done(&row.id)).map(ToString::to_string).collect());
}

/// What no line obeys, but the whole program, and so has no line to stand beside.
const BESIDE_NOTHING: [(&str, &str); 3] = [
    ("9113-6.9-01", "no frame but DATA is held against a window"),
    ("9113-8.3-01", "no name with a colon is written but those of RFC 9113 and RFC 8441"),
    ("7541-2.3.2-01", "no entry is looked for before another one is inserted"),
];

/// Whether the file holds code of the program, and no tests.
fn is_code(file: &str) -> bool {
    let folders = ["core/src/", "core/adapter/src/", "core/transport/src/"];
    let is_test = file.contains("/tests/") || file.ends_with("/tests.rs");
    folders.iter().any(|folder| file.starts_with(folder)) && !is_test
}

#[test]
fn what_tests_show_of_http_2_and_hpack_stands_beside_the_code_that_obeys_it() {
    let named = Named::read().expect("the sources can be read");
    let beside = |id: &str| named.beside.get(id).is_some_and(|files| files.iter().any(|file| is_code(file)));
    let is_asked = |row: &&Row| {
        let rfc = ["9113-", "7541-"].iter().any(|rfc| row.id.starts_with(rfc));
        rfc && row.is_must() && row.disposition == Disposition::Test
    };
    let rows = rows();
    let asked: BTreeSet<&str> = rows.iter().filter(is_asked).map(|row| row.id.as_str()).collect();
    let excused: BTreeSet<&str> = BESIDE_NOTHING.iter().map(|(id, _)| *id).collect();
    let mut wrong = Vec::new();
    for id in asked.difference(&excused).filter(|id| !beside(id)) {
        wrong.push(format!("{id} stands beside no code"));
    }
    for id in excused.iter().filter(|id| beside(id) || !asked.contains(*id)) {
        wrong.push(format!("{id} needs no excuse"));
    }
    fails(wrong);
}
