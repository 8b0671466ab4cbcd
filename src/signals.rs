//! Signals: the first one drains, one that comes later ends the program, SIGHUP reloads.

use std::io;
use std::ops::ControlFlow;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// What is done at a signal of this name; where it breaks, it is not done again.
pub(crate) type Later = dyn FnMut(&str) -> ControlFlow<()> + Send;

/// What is done at which signal. The names of the signals that end the program are told.
pub(crate) struct Reactions {
    /// At the first SIGTERM, SIGINT or SIGQUIT.
    pub(crate) first: Box<dyn FnOnce(&str) + Send>,
    /// At each that comes later, until it breaks. From then on the signals have their usual effect.
    pub(crate) later: Box<Later>,
    /// At every SIGHUP. `None`: it ends the program, as usual.
    pub(crate) hangup: Option<Box<dyn Fn() + Send>>,
}

/// Reacts to signals on a thread of its own.
pub(crate) fn watch(reactions: Reactions) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT])?;
    if reactions.hangup.is_some() {
        signals.add_signal(SIGHUP)?;
    }
    let watch = move || {
        let Reactions { first, mut later, hangup } = reactions;
        let (mut first, mut is_over) = (Some(first), false);
        for signal in signals.forever() {
            if let Some(react) = hangup.as_ref().filter(|_| signal == SIGHUP) {
                react();
            } else if let Some(react) = first.take() {
                react(name(signal));
            } else if !is_over {
                is_over = later(name(signal)).is_break();
            } else {
                // What should have ended by now has not.
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch).map(drop)
}

fn name(signal: i32) -> &'static str {
    signal_hook::low_level::signal_name(signal).unwrap_or("signal")
}
