//! What the program says about itself, on stderr: a line an event, as text or as JSON.
//!
//! Nothing here has spans, so that one small subscriber is enough.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _, Write as _};
use std::time::SystemTime;

use clap::ValueEnum;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::log::rfc3339;

/// How diagnostics look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people; whoever collects stderr adds the time
    #[default]
    Text,
    /// An object a line, with the time
    Json,
}

/// Writes events of this program to stderr from now on: warnings and what an operator wants to know; with `verbose` 1
/// also what went wrong with single requests, with 2 everything.
pub(crate) fn start(verbose: u8, format: LogFormat) {
    let level = match verbose {
        0 => Level::INFO,
        1 => Level::DEBUG,
        2.. => Level::TRACE,
    };
    let colour =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // A second start changes nothing.
    let _ = tracing::subscriber::set_global_default(Diagnostics { level, format, colour });
}

struct Diagnostics {
    level: Level,
    format: LogFormat,
    colour: bool,
}

impl Subscriber for Diagnostics {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level && metadata.target().starts_with("shuntyard") && metadata.is_event()
    }

    fn event(&self, event: &Event<'_>) {
        let line = match self.format {
            LogFormat::Text => text(event, self.colour),
            LogFormat::Json => json(event),
        };
        // Nobody is left to tell when stderr is closed.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// `warning: message name=value`: what is fine needs no word for it.
fn text(event: &Event<'_>, colour: bool) -> String {
    let (word, paint) = match *event.metadata().level() {
        Level::ERROR => ("error: ", "\x1b[1;31m"),
        Level::WARN => ("warning: ", "\x1b[1;33m"),
        Level::INFO => ("", ""),
        Level::DEBUG => ("debug: ", "\x1b[2m"),
        Level::TRACE => ("trace: ", "\x1b[2m"),
    };
    let mut fields = Text { message: String::new(), others: String::new() };
    event.record(&mut fields);
    let Text { message, others } = fields;
    let others = if message.is_empty() { others.trim_start() } else { &others };
    let (paint, plain) = if colour && !word.is_empty() { (paint, "\x1b[0m") } else { ("", "") };
    format!("{paint}{word}{plain}{message}{others}\n")
}

struct Text {
    message: String,
    others: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = printable(&format!("{value:?}"));
        match field.name() {
            "message" => self.message = value,
            name => _ = write!(self.others, " {name}={value}"),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        _ = write!(self.others, " {}={}", field.name(), printable(value));
    }
}

/// No text of others moves a cursor or begins a line.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

fn json(event: &Event<'_>) -> String {
    let mut object = Map::new();
    object.insert("time".to_owned(), rfc3339(SystemTime::now()).into());
    object.insert("level".to_owned(), event.metadata().level().as_str().to_lowercase().into());
    let mut visit = Json(object);
    event.record(&mut visit);
    format!("{}\n", Value::Object(visit.0))
}

struct Json(Map<String, Value>);

impl Visit for Json {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}
