//! Any text as a configuration file.
//!
//! Nothing panics. Either all of it is refused, and each problem is drawn with its code, with its place where it has one
//! inside the text, and with the words that lead on; or the configuration is one from which a gateway can be made, and
//! drained. The same text has the same verdict.
//!
//! The files are the program's, by their paths: its library shows no more than a configuration of the core.
#![forbid(unsafe_code)]
#![allow(dead_code, unused_imports, reason = "the rest of the program is not here")]

#[path = "../../../../src/address.rs"]
mod address;
#[path = "../../../../src/admin/mod.rs"]
mod admin;
#[path = "../../../../src/cli.rs"]
mod cli;
#[path = "../../../../src/config/mod.rs"]
mod config;
#[path = "../../../../src/descriptors.rs"]
mod descriptors;
#[path = "../../../../src/diagnostics.rs"]
mod diagnostics;
#[path = "../../../../src/failure.rs"]
mod failure;
#[path = "../../../../src/log/mod.rs"]
mod log;
#[path = "../../../../src/observation.rs"]
mod observation;
#[path = "../../../../src/prepare.rs"]
mod prepare;
#[path = "../../../../src/pulse.rs"]
mod pulse;
#[path = "../../../../src/reload.rs"]
mod reload;
#[path = "../../../../src/settings.rs"]
mod settings;
#[path = "../../../../src/systemd/mod.rs"]
mod systemd;
#[path = "../../../../src/throttle.rs"]
mod throttle;
#[path = "../../../../src/tls/mod.rs"]
mod tls;

use std::time::Duration;

use shuntyard_core::gateway::{Action, Command, Gateway};
use shuntyard_core::time::{Instant, WallClock};

/// What messages call the text.
const NAME: &str = "fuzz.toml";

/// The whole check.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = || config::of_text(NAME.to_owned(), text.to_owned());
    let verdict = read();
    assert_eq!(verdict, read(), "the same text");
    match verdict {
        Ok(file) => is_usable(file),
        Err(refused) => is_drawn(text, &refused),
    }
}

/// A gateway can be made of it, and ends.
fn is_usable(file: config::FromFile) {
    let now = Instant::ZERO;
    let wall = WallClock { at: now, unix_seconds: 784_111_777 };
    let mut gateway = Gateway::new(file.config, 1, now, wall).expect("what was accepted is valid");
    gateway.handle_command(Command::Drain { deadline: Duration::from_secs(1) }, now);
    let mut drained = false;
    while let Some(action) = gateway.poll_action() {
        drained |= matches!(action, Action::Drained { .. });
    }
    assert!(drained, "nobody is there");
}

/// Every problem has a code, a place that lies in the text, and words that lead on.
fn is_drawn(text: &str, refused: &config::Refused) {
    let drawn = refused.draw(false);
    let heads: Vec<&str> = drawn.lines().filter(|line| line.starts_with("error[G")).collect();
    let count = refused.count();
    assert!(count.starts_with(&format!("{} error", heads.len())), "{count}, and {heads:?} are drawn");
    let place = format!("--> {NAME}");
    let places: Vec<&str> = drawn.lines().filter_map(|line| line.trim_start().strip_prefix(&place)).collect();
    assert_eq!(places.len(), heads.len(), "a place each:\n{drawn}");
    // A newline at the end begins one more line, of which something may be missing.
    let lines = text.lines().count() + 1;
    for place in places.into_iter().filter(|place| !place.is_empty()) {
        let line = place.split(':').nth(1).and_then(|line| line.parse::<usize>().ok());
        assert!(line.is_some_and(|line| (1..=lines).contains(&line)), "line {place} of {lines}");
    }
    let first = heads[0].trim_start_matches("error[").split(']').next().unwrap_or_default();
    assert!(first.parse::<config::Code>().is_ok(), "{first} is explained");
    assert!(drawn.contains(&format!("config explain {first}")), "it leads on:\n{drawn}");
}
