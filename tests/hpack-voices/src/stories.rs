//! Recorded connections of hpack-test-case: lists of fields, and the blocks that other encoders made of them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Line;

/// The blocks of one direction of a connection.
pub struct Story {
    /// Encoder and number.
    pub name: String,
    /// The blocks in order.
    pub cases: Vec<Case>,
}

/// One block.
pub struct Case {
    /// What it stands for.
    pub lines: Vec<Line>,
    /// Its octets, where an encoder has spoken.
    pub block: Option<Vec<u8>>,
    /// SETTINGS_HEADER_TABLE_SIZE as changed before this block.
    pub table_size: Option<u32>,
}

/// The folders of all encoders (`raw-data`, the plain lists, among them), or `None` where the data is absent.
///
/// The data lies in `$SHUNTYARD_DATA/hpack-test-case`, by default `../shared/data` beside the workspace.
pub fn encoders() -> Option<Vec<PathBuf>> {
    let data = std::env::var_os("SHUNTYARD_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let folder = data.join("hpack-test-case");
    let Ok(entries) = fs::read_dir(&folder) else {
        let _ = writeln!(std::io::stderr(), "SKIPPED no {}", folder.display());
        return None;
    };
    let mut folders: Vec<_> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    Some(folders)
}

/// The stories of an encoder.
pub fn of_encoder(folder: &Path) -> Vec<Story> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(story)
        .collect()
}

fn story(path: &PathBuf) -> Story {
    let text = fs::read(path).unwrap();
    let story: Value = serde_json::from_slice(&text).unwrap();
    let name = path.iter().rev().take(2).map(|part| part.to_string_lossy()).collect::<Vec<_>>();
    Story {
        name: format!("{}/{}", name[1], name[0]),
        cases: story["cases"].as_array().unwrap().iter().map(case).collect(),
    }
}

fn case(case: &Value) -> Case {
    let lines = case["headers"].as_array().unwrap().iter().flat_map(|line| line.as_object().unwrap());
    Case {
        lines: lines.map(|(name, value)| (name.clone().into(), value.as_str().unwrap().into())).collect(),
        block: case["wire"].as_str().map(octets),
        table_size: case["header_table_size"].as_u64().map(|octets| octets.try_into().unwrap()),
    }
}

fn octets(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
