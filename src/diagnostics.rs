//! What the program says about itself, on stderr: a line an event, as text or as JSON.
//!
//! Nothing here has spans, so that one small subscriber is enough.
//!
//! Lines are made where something happens, and written on a thread of their own behind a queue of bounded length: whoever reads stderr and is stuck
//! must not stop workers. When the queue is full, lines are counted instead.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _, Write as _};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use clap::ValueEnum;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::log::rfc3339;

/// Lines that may wait to be written.
const QUEUE_MAX: usize = 1024;
/// How long the end of the program waits for what is queued.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// Who writes, once somebody does.
static WRITER: OnceLock<Writer> = OnceLock::new();
/// Lines that came while the queue was full.
static LOST: AtomicU64 = AtomicU64::new(0);

struct Writer {
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
}

enum Order {
    Write(String),
    /// Write that, and nothing more.
    End(String),
}

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
pub(crate) fn start(verbose: u8, format: LogFormat) -> io::Result<()> {
    let level = match verbose {
        0 => Level::INFO,
        1 => Level::DEBUG,
        2.. => Level::TRACE,
    };
    let colour =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (orders, ordered) = sync_channel(QUEUE_MAX);
    let thread =
        thread::Builder::new().name("diagnostics".to_owned()).spawn(move || obey(&ordered, format))?;
    // A second start changes nothing.
    let _ = WRITER.set(Writer { orders, thread });
    let _ = tracing::subscriber::set_global_default(Diagnostics { level, format, colour });
    if format == LogFormat::Json {
        std::panic::set_hook(Box::new(tell_of_panic));
    }
    Ok(())
}

/// Whoever reads objects would not take the lines of the standard library for one. As there nothing is queued: the program may end at once.
fn tell_of_panic(panic: &PanicHookInfo<'_>) {
    let current = thread::current();
    let name = current.name().unwrap_or("without a name");
    let said = panic.payload_as_str().unwrap_or("without a word");
    // Where `RUST_BACKTRACE` says so, as there.
    let trace = Backtrace::capture();
    write(&last([
        ("message", Some(format!("the thread {name} has panicked: {said}"))),
        ("place", panic.location().map(ToString::to_string)),
        ("backtrace", (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string())),
    ]));
}

/// Writes what is queued, and `last` behind it: the program ends. What a stderr that takes nothing does not get within a while is lost.
pub(crate) fn end(last: String) {
    let Some(Writer { orders, thread }) = WRITER.get() else { return write(&last) };
    let until = Instant::now() + END_PATIENCE;
    let mut order = Some(Order::End(last));
    while !thread.is_finished() && Instant::now() < until {
        order = order.and_then(|order| match orders.try_send(order) {
            Err(TrySendError::Full(order)) => Some(order),
            Ok(()) | Err(TrySendError::Disconnected(_)) => None,
        });
        thread::sleep(Duration::from_millis(1));
    }
}

fn obey(orders: &Receiver<Order>, format: LogFormat) {
    for order in orders {
        match order {
            Order::Write(line) => write(&line),
            Order::End(last) => return write(&last),
        }
        let lost = LOST.swap(0, Ordering::Relaxed);
        if lost > 0 {
            write(&lack(lost, format));
        }
    }
}

/// Why the program ends, as JSON: what has a name and is there.
pub(crate) fn last<const N: usize>(parts: [(&str, Option<String>); N]) -> String {
    let mut object = head(Level::ERROR);
    object.extend(parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), part?.into()))));
    format!("{}\n", Value::Object(object))
}

fn write(text: &str) {
    // Nobody is left to tell when stderr is closed.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// That lines are missing.
fn lack(lost: u64, format: LogFormat) -> String {
    let message = "lines are missing here or before: stderr could not be written fast enough";
    match format {
        LogFormat::Text => format!("warning: {message} lost={lost}\n"),
        LogFormat::Json => {
            let mut object = head(Level::WARN);
            object.insert("message".to_owned(), message.into());
            object.insert("lost".to_owned(), lost.into());
            format!("{}\n", Value::Object(object))
        }
    }
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
        let queued = WRITER.get().map(|writer| writer.orders.try_send(Order::Write(line)));
        if let Some(Err(_)) = queued {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
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
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

fn json(event: &Event<'_>) -> String {
    let mut visit = Json(head(*event.metadata().level()));
    event.record(&mut visit);
    format!("{}\n", Value::Object(visit.0))
}

fn head(level: Level) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("time".to_owned(), rfc3339(SystemTime::now()).into());
    object.insert("level".to_owned(), level.as_str().to_lowercase().into());
    object
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
