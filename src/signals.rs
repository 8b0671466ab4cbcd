//! Signals: the first one drains, the second one ends the program.

use std::io;
use std::thread;

use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// Calls `on_first` at the first SIGTERM, SIGINT or SIGQUIT and `on_second` at the second one, on a thread of its own.
/// From then on the signals have their usual effect. Their names are told to both.
pub(crate) fn watch(
    on_first: impl FnOnce(&str) + Send + 'static,
    on_second: impl FnOnce(&str) + Send + 'static,
) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT])?;
    let watch = move || {
        let mut arrivals = signals.forever();
        if let Some(signal) = arrivals.next() {
            on_first(name(signal));
        }
        if let Some(signal) = arrivals.next() {
            on_second(name(signal));
        }
        if let Some(signal) = arrivals.next() {
            // What should have ended by now has not.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch).map(drop)
}

fn name(signal: i32) -> &'static str {
    signal_hook::low_level::signal_name(signal).unwrap_or("signal")
}
