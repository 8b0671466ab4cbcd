//! `shuntyard run`: from the settings to a server and its end.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use shuntyard_adapter::{BindError, Exit, Handle, Notice, Observer, Options};
use shuntyard_core::address::Address;
use shuntyard_core::config::Config;

use crate::cli::{Adapter, ServeArgs};
use crate::failure::Failure;
use crate::reload::Current;
use crate::settings::Settings;
use crate::signals::{self, Reactions};

/// The same trouble is told again after this time.
const NOTICE_INTERVAL: Duration = Duration::from_secs(10);

/// Serves until a signal has drained the server.
pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    let settings = Settings::new(&args)?;
    let options = Options {
        workers: settings.workers,
        seed: seed(),
        observer: Some(observer()),
        recording: args.record.clone().options(),
        ..Options::new(settings.listen.clone())
    };
    let server = Server::bind(settings.adapter, settings.config.clone(), options)?;
    watch_signals(&server, args, settings)
        .map_err(|error| Failure::System { what: "cannot watch for signals", error })?;
    for address in server.local_addrs() {
        say(&format!("listening on {address} (HTTP/2 with prior knowledge)"));
    }
    let exit = server.run().map_err(|error| Failure::System { what: "the event loop failed", error })?;
    match exit.cut {
        0 => Ok(()),
        connections => Err(Failure::Cut { connections }),
    }
}

fn watch_signals(server: &Server, args: ServeArgs, settings: Settings) -> io::Result<()> {
    let (first, second) = (server.handle(), server.handle());
    let current = Arc::new(Current::new(args, settings, server.handle()));
    let reloaded = Arc::clone(&current);
    signals::watch(Reactions {
        first: Box::new(move |signal| {
            let timeout = current.drain_timeout();
            say(&format!("{signal}: draining for {timeout:?} at most; once more to end now"));
            first.drain(timeout);
        }),
        second: Box::new(move |signal| {
            say(&format!("{signal}: ending now"));
            second.stop();
        }),
        hangup: Some(Box::new(move || reloaded.reload().iter().for_each(|line| say(line)))),
    })
}

/// A server on either adapter.
enum Server {
    Mio(shuntyard_mio::Server),
    Tokio(shuntyard_tokio::Server),
}

impl Server {
    fn bind(adapter: Adapter, config: Config, options: Options) -> Result<Self, BindError> {
        match adapter {
            Adapter::Mio => shuntyard_mio::Server::bind(config, options).map(Self::Mio),
            Adapter::Tokio => shuntyard_tokio::Server::bind(config, options).map(Self::Tokio),
        }
    }

    fn local_addrs(&self) -> &[Address] {
        match self {
            Self::Mio(server) => server.local_addrs(),
            Self::Tokio(server) => server.local_addrs(),
        }
    }

    fn handle(&self) -> Handle {
        match self {
            Self::Mio(server) => server.handle(),
            Self::Tokio(server) => server.handle(),
        }
    }

    fn run(self) -> io::Result<Exit> {
        match self {
            Self::Mio(server) => server.run(),
            Self::Tokio(server) => server.run(),
        }
    }
}

/// Different with every start: std seeds its hasher from the system's randomness.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn observer() -> Observer {
    let last_said = Mutex::new(None::<Instant>);
    Arc::new(move |notice| {
        let (listener, error) = match notice {
            Notice::AcceptPaused { listener, error, .. } => (listener, error),
            Notice::RecordingEnded { file, error } => {
                return say(&format!("nothing more is recorded to {}: {error}", file.display()));
            }
            _ => return,
        };
        // Another worker may be about to say the same.
        let Ok(mut last_said) = last_said.try_lock() else { return };
        if last_said.is_none_or(|at| at.elapsed() >= NOTICE_INTERVAL) {
            *last_said = Some(Instant::now());
            say(&format!("cannot accept on {listener}: {error}; trying again"));
        }
    })
}

/// One line to stderr. Nobody is left to tell when it is closed.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
