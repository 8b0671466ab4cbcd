//! The tables: one line a sentence.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The RFCs that have a table.
pub const RFCS: [&str; 8] = ["9113", "7541", "9110", "9112", "8441", "9218", "9209", "7239"];

/// The first line of each table.
pub const HEADING: &str = "id\tlevel\tdisposition\twhere\tnote\tsentence";

/// What becomes of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disposition {
    /// Tests show it.
    Test,
    /// Tests with an adapter or the program show it.
    Adapter,
    /// The simulator's police checks it on every emission.
    Police,
    /// It holds by construction: `where` names the file that makes it so.
    Type,
    /// A permission that is made use of.
    PermissionUsed,
    /// A permission that is not.
    PermissionUnused,
    /// It is not obeyed, or not to the letter, for a reason.
    Exception,
    /// It does not concern this program, for a reason.
    NotApplicable,
    /// To be done: the note names the theme.
    Todo,
}

impl Disposition {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 9] = [
        Self::Test,
        Self::Adapter,
        Self::Police,
        Self::Type,
        Self::PermissionUsed,
        Self::PermissionUnused,
        Self::Exception,
        Self::NotApplicable,
        Self::Todo,
    ];

    /// The word in the tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Adapter => "adapter",
            Self::Police => "police",
            Self::Type => "type",
            Self::PermissionUsed => "permission-used",
            Self::PermissionUnused => "permission-unused",
            Self::Exception => "exception",
            Self::NotApplicable => "na",
            Self::Todo => "todo",
        }
    }

    /// Whether a run must have shown it.
    pub const fn needs_evidence(self) -> bool {
        matches!(self, Self::Test | Self::Adapter | Self::Police)
    }

    /// Whether the note must say something.
    pub const fn needs_note(self) -> bool {
        matches!(self, Self::Type | Self::Exception | Self::NotApplicable | Self::Todo)
    }
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// RFC, section, number of the sentence in its section.
    pub id: String,
    /// The strongest keyword of the sentence.
    pub level: String,
    /// What becomes of it.
    pub disposition: Disposition,
    /// The places that show it: `file::test`, or the file that makes it so.
    pub places: Vec<String>,
    /// Why, in our own words.
    pub note: String,
    /// The [`hash`] of the sentence.
    pub sentence: String,
}

impl Row {
    /// Whether the keyword is one of obligation.
    pub fn is_must(&self) -> bool {
        is_must(&self.level)
    }

    fn parse(line: &str) -> Result<Self, String> {
        let columns: Vec<&str> = line.split('\t').collect();
        let [id, level, disposition, places, note, sentence] = columns[..] else {
            return Err(format!("{line:?} has {} columns, not 6", columns.len()));
        };
        let known = Disposition::ALL.into_iter().find(|known| known.word() == disposition);
        Ok(Self {
            id: id.to_owned(),
            level: level.to_owned(),
            disposition: known.ok_or_else(|| format!("{id}: {disposition:?} is no disposition"))?,
            places: places.split(", ").filter(|place| !place.is_empty()).map(str::to_owned).collect(),
            note: note.to_owned(),
            sentence: sentence.to_owned(),
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, level, disposition, places, note, sentence } = self;
        write!(f, "{id}\t{level}\t{disposition}\t{}\t{note}\t{sentence}", places.join(", "))
    }
}

/// MUST, SHALL and REQUIRED, negated or not.
pub fn is_must(level: &str) -> bool {
    ["MUST", "SHALL", "REQUIRED"].iter().any(|word| level.starts_with(word))
}

/// The folder with the tables.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The table of an RFC.
///
/// # Errors
///
/// The file cannot be read, or a line is none of a table.
pub fn read(rfc: &str) -> Result<Vec<Row>, String> {
    let path = folder().join(format!("{rfc}.tsv"));
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut lines = text.lines();
    if lines.next() != Some(HEADING) {
        return Err(format!("{rfc}.tsv does not begin with {HEADING:?}"));
    }
    lines.map(|line| Row::parse(line).map_err(|error| format!("{rfc}.tsv: {error}"))).collect()
}

/// Writes the table of an RFC.
///
/// # Errors
///
/// The file cannot be written.
pub fn write(rfc: &str, rows: &[Row]) -> std::io::Result<()> {
    let lines = rows.iter().map(|row| format!("{row}\n"));
    fs::write(folder().join(format!("{rfc}.tsv")), format!("{HEADING}\n{}", lines.collect::<String>()))
}

/// Every row of every table.
///
/// # Errors
///
/// As [`read`].
pub fn read_all() -> Result<Vec<Row>, String> {
    Ok(RFCS.iter().map(|rfc| read(rfc)).collect::<Result<Vec<_>, _>>()?.concat())
}

/// A sentence of the source list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// As [`Row::id`].
    pub id: String,
    /// As [`Row::level`].
    pub level: String,
    /// The [`hash`] of its text.
    pub hash: String,
}

/// The sentences of an RFC, from a list with a heading that names the columns `id`, `level` and `sentence`.
///
/// # Errors
///
/// The list cannot be read or lacks a column.
pub fn sentences(list: &Path) -> Result<Vec<Sentence>, String> {
    let text = fs::read_to_string(list).map_err(|error| format!("{}: {error}", list.display()))?;
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let heading = lines.next().unwrap_or_default();
    let column = |name| heading.iter().position(|column| *column == name).ok_or(format!("no column {name}"));
    let (id, level, sentence) = (column("id")?, column("level")?, column("sentence")?);
    lines
        .map(|columns| {
            let at = |n: usize| columns.get(n).copied().ok_or(format!("{columns:?} is too short"));
            Ok(Sentence { id: at(id)?.to_owned(), level: at(level)?.to_owned(), hash: hash(at(sentence)?) })
        })
        .collect()
}

/// Where the lists of sentences lie: in `rfc` beside the folder that `SHUNTYARD_DATA` names. `None` where they are not.
pub fn lists() -> Option<PathBuf> {
    let beside = || folder().join("../../../shared/data");
    let data = std::env::var_os("SHUNTYARD_DATA").map_or_else(beside, PathBuf::from);
    Some(data.join("../rfc")).filter(|lists| lists.is_dir())
}

/// FNV-1a in 64 bits: enough to see that a sentence is another.
pub fn hash(sentence: &str) -> String {
    let step = |hash: u64, octet: u8| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", sentence.trim().bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_written() {
        let line = "9113-6.3-02\tMUST\ttest\ta::b, c::d\tas it says\t0123456789abcdef";
        let row = Row::parse(line).unwrap();
        assert_eq!((row.to_string(), row.places.len(), row.is_must()), (line.to_owned(), 2, true));
        assert!(Row::parse(&line.replace("test\t", "maybe\t")).is_err());
        assert!(Row::parse("9113-6.3-02\tMUST").is_err());
    }

    #[test]
    fn hashes_are_those_of_fnv_1a() {
        assert_eq!(hash(""), "cbf29ce484222325");
        assert_eq!(hash(" a\n"), "af63dc4c8601ec8c");
    }
}
