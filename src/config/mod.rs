//! The configuration file: TOML in, the core's configuration out, or everything that is wrong with it.
//!
//! ```text
//!   text --toml--> tables with spans --sections--> values with spans --agree--> Config
//!                        |                   |                     |
//!                        +-------------------+---------------------+--> Problems, drawn with their places
//! ```
//!
//! Each key is declared where it is read (`sections`), so the reference is what an empty file declares.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, Protocol};
use toml::de::DeTable;

mod agree;
mod code;
mod forwarding;
mod header;
mod kind;
mod limits;
mod pattern;
mod problem;
mod reference;
mod section;
mod sections;
mod similar;
#[cfg(test)]
mod tests;
mod text;
mod tls;
mod unknown;
mod value;

pub(crate) use code::Code;
pub(crate) use limits::share_of_client;
pub(crate) use problem::Refused;
pub(crate) use reference::reference;
pub(crate) use sections::DAY;
pub(crate) use value::{parse_time, write_time};

use crate::address::ListenAddress;
use crate::cli::Adapter;
use crate::observation::ObserveArgs;
use crate::tls::{BackFiles, FrontFiles};
use problem::{Problem, Source};
use section::{Report, Section};

/// What flags say, and with it that the file need not be right about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) observe: ObserveArgs,
    /// They have listeners in place of those of the file.
    pub(crate) names_listeners: bool,
    /// What the file names is to be used here: more than its text is asked for.
    pub(crate) used_here: bool,
}

/// A `[[listen]]` as it is written. What its name stands for, and in which order, may be something else each time that somebody asks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) address: ListenAddress,
    pub(crate) tls: Option<FrontFiles>,
    pub(crate) introduced: bool,
    pub(crate) only: Option<Protocol>,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FromFile {
    pub(crate) adapter: Adapter,
    /// `None`: one for each processor.
    pub(crate) workers: Option<NonZeroUsize>,
    /// Its listeners.
    pub(crate) written: Vec<Written>,
    /// Their addresses. May be empty, and is where flags have others.
    pub(crate) listen: Vec<Address>,
    /// Those with TLS.
    pub(crate) listen_tls: Vec<(Address, FrontFiles)>,
    /// What TLS with upstreams needs, by their names: of all that speak it.
    pub(crate) back_tls: BTreeMap<Arc<str>, BackFiles>,
    pub(crate) ready_delay: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) observe: ObserveArgs,
    /// It says how many connections one client may have, otherwise than by the default.
    pub(crate) share_written: bool,
    pub(crate) config: Config,
}

impl FromFile {
    /// What holds where there is no file, with this configuration of the core.
    pub(crate) fn without_file(config: Config) -> Self {
        let Defaults { adapter, ready_delay, drain_timeout } = Defaults::VALUE;
        Self {
            adapter,
            workers: None,
            written: Vec::new(),
            listen: Vec::new(),
            listen_tls: Vec::new(),
            back_tls: BTreeMap::new(),
            ready_delay,
            drain_timeout,
            observe: ObserveArgs::default(),
            share_written: false,
            config,
        }
    }
}

/// What the program has defaults for. Those of the core are in the core.
struct Defaults {
    adapter: Adapter,
    ready_delay: Duration,
    drain_timeout: Duration,
}

impl Defaults {
    const VALUE: Self =
        Self { adapter: Adapter::Mio, ready_delay: Duration::ZERO, drain_timeout: Duration::from_secs(25) };
}

/// Larger files are something else.
const MAX_OCTETS: u64 = 16 << 20;

/// A pipe has nothing to say a second time, and may never end.
pub(crate) fn may_be_read_again(path: &Path) -> Result<(), Refused> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        let title = "cannot read the configuration again: it is not a file".to_owned();
        let source = Source { name: path.display().to_string(), text: String::new() };
        return Err(Refused::new(source, vec![Problem::of_file(Code::Unreadable, title)]));
    }
    Ok(())
}

/// Reads a file: syntax, values, and what must hold between them and with these flags. Binds nothing.
pub(crate) fn load(path: &Path, flags: &Flags) -> Result<FromFile, Refused> {
    parse(source(path)?, flags)
}

/// The admin address that a file says. What else is wrong there is no matter: what runs has read it when it was right.
pub(crate) fn admin_of(path: &Path) -> Result<Option<ListenAddress>, Refused> {
    let source = source(path)?;
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    let mut problems: Vec<_> = errors.iter().map(|error| syntax(&source.text, error)).collect();
    let mut report = Report::default();
    let what = "keys without a section come first";
    let document = Section::read_document(&mut report, what, table.get_ref(), sections::document);
    let admin = document.observe.admin;
    if admin.is_none() {
        problems.append(&mut report.problems);
    } else {
        problems.clear();
    }
    if problems.is_empty() { Ok(admin) } else { Err(Refused::new(source, problems)) }
}

/// The text of a file.
fn source(path: &Path) -> Result<Source, Refused> {
    let name = path.display().to_string();
    let mut octets = Vec::new();
    let refused = |code, title: String, help: Option<&str>| {
        let problem = Problem::of_file(code, title);
        let problem = help.into_iter().fold(problem, Problem::help);
        Refused::new(Source { name: name.clone(), text: String::new() }, vec![problem])
    };
    let read = File::open(path).and_then(|file| file.take(MAX_OCTETS + 1).read_to_end(&mut octets));
    if let Err(error) = read {
        let title = format!("cannot read the configuration: {}", crate::failure::plainly(&error));
        let help = match error.kind() {
            io::ErrorKind::PermissionDenied => Some("the file must be readable for the user of this program"),
            _ => None,
        };
        return Err(refused(Code::Unreadable, title, help));
    }
    if octets.len() as u64 > MAX_OCTETS {
        return Err(refused(Code::Unreadable, "the file has more than 16 MiB".to_owned(), None));
    }
    match String::from_utf8(octets) {
        Ok(text) => Ok(Source { name, text }),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|&&octet| octet == b'\n').count() + 1;
            let title = format!("the file is no text: line {line} has octets that are not UTF-8");
            Err(refused(Code::Unreadable, title, None))
        }
    }
}

/// What a text says, which messages name like this.
pub(crate) fn of_text(name: String, text: String) -> Result<FromFile, Refused> {
    parse(Source { name, text }, &Flags::default())
}

fn parse(source: Source, flags: &Flags) -> Result<FromFile, Refused> {
    match read(&source.text, flags, &mut Report::default()) {
        Ok(from_file) => Ok(from_file),
        Err(problems) => Err(Refused::new(source, problems)),
    }
}

/// Reads a text. What is declared on the way goes to the report.
fn read(text: &str, flags: &Flags, report: &mut Report) -> Result<FromFile, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors.iter().map(|error| syntax(text, error)).collect());
    }
    let what = "keys without a section come first";
    let document = Section::read_document(report, what, table.get_ref(), sections::document);
    let (adapter, workers) = (document.adapter, document.workers);
    let (ready_delay, drain_timeout) = (document.ready_delay, document.drain_timeout);
    let (observe, share_written) = (document.observe.clone(), document.share_written);
    let mut problems = unknown::problems(report);
    problems.append(&mut report.problems);
    let agreed = agree::agree(document, flags, &mut problems);
    let agree::Agreed { written, listen, listen_tls, back_tls, config } = agreed;
    if problems.is_empty()
        // Every key has been held against its range; this is about the whole, such as the number of routes.
        && let Err(error) = config.validate()
    {
        problems.push(Problem::of_file(Code::OutOfRange, error.to_string()));
    }
    if problems.is_empty() {
        Ok(FromFile {
            adapter,
            workers,
            written,
            listen,
            listen_tls,
            back_tls,
            ready_delay,
            drain_timeout,
            observe,
            share_written,
            config,
        })
    } else {
        Err(problems)
    }
}

fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let title = format!("not TOML: {}", error.message());
    let Some(at) = error.span() else { return Problem::of_file(Code::NotToml, title) };
    let unquoted =
        text.get(at.clone()).filter(|_| error.message().starts_with("string values must be quoted"));
    let problem = Problem::new(Code::NotToml, title, at);
    match unquoted.filter(|word| !word.is_empty()) {
        Some(word) => problem.help(format!("write it in quotes: \"{word}\"")),
        None => problem,
    }
}
