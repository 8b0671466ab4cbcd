//! Scenarios as text: one line a part, and of each part only what differs from the default.
//!
//! ```text
//! scenario seed=42 drain=1000000
//! config front.max_concurrent_streams=7 timeouts.response=50ms
//! upstream name=default endpoints=10.0.0.1:8080 retry.attempts=2
//! route name=default upstream=default
//! backend address=10.0.0.1:8080 fault=1/goaway:1:newest:0
//! session n=0 patient=false
//!   exchange rid=1 request.method=POST request.content=30
//! ```
//!
//! Durations that are plain numbers are in nanoseconds. `#` begins a comment line.

mod tables;
pub(crate) mod word;

use std::fmt;

use shuntyard_core::config::{RouteConfig, UpstreamConfig};

use crate::scenario::{AdapterPlan, Backend, Exchange, Scenario, Session};
use tables::Fields;

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for TextError {}

/// The text of a scenario.
pub fn print(scenario: &Scenario) -> String {
    let mut scenario = scenario.clone();
    let mut plain = Scenario::new(0, Vec::new(), Vec::new());
    let mut lines = vec![
        line("scenario", &mut scenario, &mut plain),
        line("config", &mut scenario.config, &mut plain.config),
        line("adapter", &mut scenario.adapter, &mut AdapterPlan::default()),
    ];
    for upstream in &mut scenario.config.upstreams {
        lines.push(line("upstream", upstream, &mut UpstreamConfig::new("", Vec::new())));
    }
    for route in &mut scenario.config.routes {
        lines.push(line("route", route, &mut RouteConfig::any("", "")));
    }
    for backend in &mut scenario.backends {
        lines.push(line("backend", backend, &mut Backend::new(0)));
    }
    for session in &mut scenario.sessions {
        lines.push(line("session", session, &mut Session::new(Vec::new())));
        for exchange in &mut session.exchanges {
            lines.push(line("  exchange", exchange, &mut Exchange::get(0, 0)));
        }
    }
    // What says nothing of its own is left out; but a session and a backend are there even so.
    lines.retain(|line| !["scenario", "config", "adapter"].contains(&line.as_str()));
    lines.join("\n") + "\n"
}

fn line(kind: &str, part: &mut dyn Fields, plain: &mut dyn Fields) -> String {
    let mut line = kind.to_owned();
    for ((name, slot), (_, default)) in part.fields().into_iter().zip(plain.fields()) {
        let word = slot.get();
        if word != default.get() {
            line.push_str(&format!(" {name}={word}"));
        }
    }
    line
}

/// The scenario of a text.
pub fn parse(text: &str) -> Result<Scenario, TextError> {
    let mut scenario = Scenario::new(0, Vec::new(), Vec::new());
    scenario.config.upstreams.clear();
    scenario.config.routes.clear();
    for (at, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        let Some(kind) = words.next().filter(|kind| !kind.starts_with('#')) else { continue };
        read_line(&mut scenario, kind, words)
            .map_err(|message| TextError { line: at + 1, message: format!("{kind}: {message}") })?;
    }
    Ok(scenario)
}

fn read_line<'a>(
    scenario: &mut Scenario,
    kind: &str,
    words: impl Iterator<Item = &'a str>,
) -> Result<(), String> {
    match kind {
        "scenario" => set_all(scenario, words),
        "config" => set_all(&mut scenario.config, words),
        "adapter" => set_all(&mut scenario.adapter, words),
        "upstream" => {
            scenario.config.upstreams.push(UpstreamConfig::new("", Vec::new()));
            set_all(scenario.config.upstreams.last_mut().expect("it was just pushed"), words)
        }
        "route" => {
            scenario.config.routes.push(RouteConfig::any("", ""));
            set_all(scenario.config.routes.last_mut().expect("it was just pushed"), words)
        }
        "backend" => {
            scenario.backends.push(Backend::new(0));
            set_all(scenario.backends.last_mut().expect("it was just pushed"), words)
        }
        "session" => {
            scenario.sessions.push(Session::new(Vec::new()));
            set_all(scenario.sessions.last_mut().expect("it was just pushed"), words)
        }
        "exchange" => {
            let session = scenario.sessions.last_mut().ok_or("no session stands before it")?;
            session.exchanges.push(Exchange::get(0, 0));
            set_all(session.exchanges.last_mut().expect("it was just pushed"), words)
        }
        _ => Err("no such part".to_owned()),
    }
}

fn set_all<'a>(part: &mut dyn Fields, words: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut fields = part.fields();
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("{word} is not name=value"))?;
        let (_, slot) =
            fields.iter_mut().find(|(other, _)| other == name).ok_or_else(|| format!("no field {name}"))?;
        if !slot.set(value) {
            return Err(format!("{value} is no value of {name}"));
        }
    }
    Ok(())
}
