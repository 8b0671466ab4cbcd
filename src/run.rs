//! `shuntyard run`: from the settings to a server and its end.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use shuntyard_adapter::{Handle, Options};
use shuntyard_core::config::Protocol;

use crate::cli::ServeArgs;
use crate::descriptors::{self, Few, Shared};
use crate::failure::Failure;
use crate::log::Trust;
use crate::observation::Observation;
use crate::prepare::Prepared;
use crate::reload::Current;
use crate::server::Server;
use crate::signals::{self, Reactions};
use crate::systemd::{self, Manager};
use crate::tls::{self, Watched};

/// Serves until a signal has drained the server.
pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    systemd::take();
    let (mut settings, Prepared { mut fronts, upstreams, admin }) = Prepared::all(&args)?;
    let trust = Trust::default();
    trust.set(settings.config.forwarding.clone());
    let mut observation = Observation::start(&settings.observe, admin, trust.clone())?;
    settings.warning().iter().for_each(|warning| tracing::warn!("{warning}"));
    for name in systemd::unused(&settings) {
        tracing::warn!("nobody accepts from the socket that was passed as {name}: no listener is fd:{name}");
    }
    let shared = Shared::new(&settings);
    let few = descriptors::take_all(&mut settings, shared);
    let adapter = settings.adapter;
    let listen_tls = fronts.iter().map(|front| (front.address.clone(), front.tls.clone())).collect();
    let upstreams = Arc::new(upstreams);
    let options = Options {
        listen_tls,
        opened: systemd::used(&settings),
        backs: upstreams.backs(),
        workers: settings.workers,
        observer: Some(observation.observer()),
        recording: args.record.clone().options(),
        ..Options::new(settings.listen.clone())
    };
    let said_of = settings.config.listeners.clone();
    let in_clear = settings.listen.len();
    let server = Server::bind(settings.adapter, settings.config.clone(), options)?;
    let bound = server.local_addrs().iter().skip(in_clear);
    fronts.iter_mut().zip(bound).for_each(|(front, address)| front.address = address.clone());
    let handle = server.handle();
    few.iter().for_each(Few::tell);
    settings.share_warning().iter().for_each(|warning| tracing::warn!("{warning}"));
    let manager = Manager::of_environment();
    let shared = (Arc::clone(&upstreams), trust);
    let current = Arc::new(Current::new(args, settings, handle.clone(), shared, manager.clone()));
    // Before signals are: a SIGHUP has somebody to look at certificates from the first on.
    let watcher = tls::watch(Watched { fronts, upstreams, handle })
        .map_err(|error| Failure::System { what: "cannot start a thread", error })?;
    current.watched_by(watcher);
    let hurried = watch_signals(&server, &current, &manager)
        .map_err(|error| Failure::System { what: "cannot watch for signals", error })?;
    for (number, address) in server.local_addrs().iter().enumerate() {
        let tls = if number < in_clear { "" } else { " over TLS" };
        let said = said_of.get(number);
        let spoken = spoken(said.and_then(|said| said.only));
        let behind =
            if said.is_some_and(|said| said.introduced) { ", behind the PROXY protocol" } else { "" };
        tracing::info!("listening on {address} ({spoken}{tls}{behind})");
    }
    observation.attend(server.handle(), adapter.name(), Arc::clone(&current))?;
    manager
        .attend(server.handle(), move || current.sentence())
        .map_err(|error| Failure::System { what: "cannot start a thread", error })?;
    let exit = server.run();
    observation.end();
    let exit = exit.map_err(|error| Failure::System { what: "the event loop failed", error })?;
    match exit.cut {
        0 => Ok(()),
        connections => Err(Failure::Cut { connections, hurried: hurried.load(Ordering::Relaxed) }),
    }
}

/// What clients may speak there.
fn spoken(only: Option<Protocol>) -> &'static str {
    match only {
        Some(Protocol::Http2) => "HTTP/2",
        Some(Protocol::Http1) => "HTTP/1.1",
        None => "HTTP/2, HTTP/1.1",
    }
}

/// What is set once a signal has ended a drain.
fn watch_signals(server: &Server, current: &Arc<Current>, manager: &Manager) -> io::Result<Arc<AtomicBool>> {
    let hurried = Arc::<AtomicBool>::default();
    let hurry = Arc::clone(&hurried);
    let stop = server.handle();
    let reload = current.reloader()?;
    let drain = Arc::new(Drain {
        handle: server.handle(),
        current: Arc::clone(current),
        manager: manager.clone(),
        has_begun: AtomicBool::new(false),
    });
    let announced = Arc::clone(&drain);
    signals::watch(Reactions {
        first: Box::new(move |signal| announced.announce(signal)),
        later: Box::new(move |signal| {
            if drain.begin(signal) {
                return ControlFlow::Continue(());
            }
            tracing::info!("{signal}: ending now");
            hurry.store(true, Ordering::Relaxed);
            stop.stop();
            ControlFlow::Break(())
        }),
        hangup: Some(Box::new(reload)),
    })?;
    Ok(hurried)
}

/// A drain, which may be announced to balancers before it begins.
struct Drain {
    handle: Handle,
    current: Arc<Current>,
    manager: Manager,
    has_begun: AtomicBool,
}

impl Drain {
    /// Begins it after the delay, which is waited for elsewhere: signals are heard meanwhile.
    fn announce(self: Arc<Self>, signal: &str) {
        self.current.leave();
        let delay = self.current.ready_delay();
        if delay.is_zero() {
            self.begin(signal);
            return;
        }
        tracing::info!("{signal}: not ready any more, and draining in {delay:?}; once more to drain now");
        self.manager.stopping(&format!("Serving, not ready any more: draining in {delay:?}"));
        let (waiting, name) = (Arc::clone(&self), signal.to_owned());
        let wait = move || {
            thread::sleep(delay);
            waiting.begin(&name);
        };
        if thread::Builder::new().name("drain".to_owned()).spawn(wait).is_err() {
            self.begin(signal);
        }
    }

    /// Begins it, unless it has begun. Says which.
    fn begin(&self, signal: &str) -> bool {
        let begins = !self.has_begun.swap(true, Ordering::Relaxed);
        if begins {
            let timeout = self.current.drain_timeout();
            tracing::info!("{signal}: draining for {timeout:?} at most; once more to end now");
            self.handle.drain(timeout);
            self.manager.stopping(&format!("Draining for {timeout:?} at most"));
        }
        begins
    }
}
