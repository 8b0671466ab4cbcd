//! What the demo shows: a table that is redrawn in place on a terminal, otherwise a JSON object a line.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use super::figures::{Lap, Times};
use super::gateway::Balance;
use super::origin::Status;
use super::{json, table};

/// All that is shown of a moment.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) elapsed: Duration,
    pub(super) length: Duration,
    pub(super) clients: usize,
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) octets: u64,
    pub(super) in_flight: usize,
    /// The last whole second.
    pub(super) lap: Lap,
    pub(super) gateway: SocketAddr,
    pub(super) workers: usize,
    pub(super) balance: Balance,
    pub(super) origins: Vec<(&'static str, SocketAddr, Status)>,
}

/// Something that the gateway owes, and whether it was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Promise {
    pub(super) name: &'static str,
    pub(super) held: bool,
}

/// What the whole run has shown.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    pub(super) elapsed: Duration,
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) octets: u64,
    pub(super) times: Times,
    pub(super) retried: u64,
    /// Requests that finished after the drain was ordered.
    pub(super) drained: u64,
    /// What happened meanwhile, in words that follow "while".
    pub(super) meanwhile: Vec<&'static str>,
    pub(super) promises: Vec<Promise>,
    /// The first failures, in words.
    pub(super) complaints: Vec<String>,
}

/// Where it is shown.
#[derive(Debug)]
pub(super) struct Screen {
    form: Form,
}

#[derive(Debug)]
enum Form {
    Table { rows: usize, colour: bool },
    Json,
}

/// Escape sequences (ECMA-48): the rest of the line or of the screen cleared; lines cut at the right edge, or continued.
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR: &str = "\x1b[J";
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

impl Screen {
    /// A table on a terminal that can move its cursor, unless JSON is asked for.
    pub(super) fn new(json: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let form = if json || dumb || !io::stdout().is_terminal() {
            Form::Json
        } else {
            let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            Form::Table { rows: 0, colour }
        };
        Self { form }
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.form, Form::Table { .. })
    }

    /// Shows the moment: in place, or on a line.
    pub(super) fn show(&mut self, snapshot: &Snapshot) {
        match &mut self.form {
            Form::Json => write(&format!("{}\n", json::second(snapshot))),
            Form::Table { rows, colour } => {
                let size = terminal_size::terminal_size();
                let (width, height) = size.map_or((80, 24), |(width, height)| (width.0, height.0));
                let lines = table::lines(snapshot, width.into(), *colour);
                // The cursor stands below the table, on a line of its own.
                let shown = lines.len().min(usize::from(height).saturating_sub(1));
                let mut text = back(*rows) + NO_WRAP;
                for line in &lines[..shown] {
                    text += line;
                    text += CLEAR_LINE;
                    text += "\n";
                }
                write(&(text + WRAP + CLEAR));
                *rows = shown;
            }
        }
    }

    /// Says what was done, in a line that stays.
    pub(super) fn say(&mut self, elapsed: Duration, what: &str) {
        match &mut self.form {
            Form::Json => write(&format!("{}\n", json::step(elapsed, what))),
            Form::Table { rows, .. } => {
                let seconds = elapsed.as_secs_f64();
                write(&format!("{}{seconds:5.1} s  {what}{CLEAR_LINE}\n{CLEAR}", back(*rows)));
                *rows = 0;
            }
        }
    }

    /// Says what the run has proved.
    pub(super) fn conclude(&mut self, summary: &Summary) {
        match &mut self.form {
            Form::Json => write(&format!("{}\n", json::summary(summary))),
            Form::Table { rows, colour } => {
                *rows = 0;
                write(&table::conclusion(summary, *colour));
            }
        }
    }
}

/// Moves the cursor to the first of so many lines above.
fn back(rows: usize) -> String {
    if rows == 0 { "\r".to_owned() } else { format!("\r\x1b[{rows}A") }
}

/// Whoever closed stdout does not want to know.
fn write(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}
