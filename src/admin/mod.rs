//! The admin address: what there is to see of a running server, over HTTP/1.1.
//!
//! One short exchange a connection, on a thread of its own. A GET changes nothing. What is shown is fetched by waking the
//! workers, each of which looks into its own gateway between two turns; whoever asks at the same time shares a look.

mod exchange;
mod guests;
mod looks;
mod metrics;
mod process;
mod sight;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use shuntyard_adapter::Handle;

use crate::failure::Failure;
use crate::log::Counts;
use crate::observation::Handshakes;
use crate::pulse;
use crate::reload::Current;
use exchange::{Asked, Names, Reply};
pub(crate) use guests::GUESTS_MAX;
use guests::Guests;
use looks::Looks;
use sight::{Sight, Told};

/// How long nothing is accepted when accepting fails.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that the page draws, of clients and of each endpoint, a worker.
const CONNECTIONS_SHOWN: usize = 100;

const PAGE: &str = include_str!("page.html");

/// Why an admin address is not taken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refused {
    /// It is no address with a port.
    NoPort,
    /// Others can reach it.
    Remote(SocketAddr),
}

/// An admin address that was taken and is not served yet.
pub(crate) struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    names: Names,
}

/// Whom the admin address tells about.
pub(crate) struct About {
    handle: Handle,
    adapter: &'static str,
    log: Option<Arc<Counts>>,
    /// `None`: it has no configuration that could be read again.
    current: Option<Arc<Current>>,
    handshakes: Arc<Handshakes>,
    started: std::time::SystemTime,
    told: Told,
    looks: Looks,
}

impl About {
    /// The server of this handle.
    pub(crate) fn new(handle: Handle, adapter: &'static str) -> Self {
        let started = std::time::SystemTime::now();
        let (handshakes, told, looks) = (Arc::default(), Told::default(), Looks::default());
        Self { handle, adapter, log: None, current: None, handshakes, started, told, looks }
    }

    /// Likewise with what became of its access log, its configuration, and clients whose handshakes have failed.
    pub(crate) fn with(
        self,
        log: Option<Arc<Counts>>,
        current: Arc<Current>,
        handshakes: Arc<Handshakes>,
    ) -> Self {
        Self { log, current: Some(current), handshakes, ..self }
    }

    /// What there is to see, with so many connections.
    fn sight(&self, connections_max: usize) -> Arc<Sight> {
        self.looks.sight(connections_max, |connections_max| Sight::take(self, connections_max))
    }

    /// Whether a drain is about to begin.
    fn is_leaving(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.is_leaving())
    }
}

impl Admin {
    /// Takes the address. Where others are not allowed to reach it, nor are they by a name that they may have made mean this machine.
    pub(crate) fn bind(address: SocketAddr, allow_remote: bool) -> Result<Self, Failure> {
        let bound = TcpListener::bind(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) =
            bound.map_err(|error| Failure::Listen { address: address.into(), error })?;
        let names = if allow_remote { Names::All } else { Names::OfThisMachine };
        Ok(Self { listener, address, names })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves it until the program ends.
    pub(crate) fn serve(self, about: About) -> io::Result<()> {
        let (guests, about, names) = (Arc::new(Guests::default()), Arc::new(about), self.names);
        let serve = move || {
            loop {
                let served = self.listener.accept().and_then(|(stream, _)| {
                    let about = Arc::clone(&about);
                    guests.serve(stream, move |stream, owed| {
                        exchange::serve(stream, owed, names, |asked| answer(asked, &about));
                    })
                });
                if served.is_err() {
                    thread::sleep(ACCEPT_PAUSE);
                }
            }
        };
        thread::Builder::new().name("admin".to_owned()).spawn(serve).map(drop)
    }
}

fn answer(asked: &Asked<'_>, about: &About) -> Reply {
    let (path, query) = asked.target.split_once('?').unwrap_or((asked.target, ""));
    let path = if path.is_empty() { "/" } else { path };
    let wants_json = query.split('&').any(|part| part == "format=json") || asked.accepts("application/json");
    match path {
        "/status" | "/" if !wants_json => Reply::new(200, "text/html; charset=utf-8", PAGE.into()),
        "/status" | "/" | "/status.json" => {
            let sight = about.sight(CONNECTIONS_SHOWN);
            Reply::new(200, "application/json", status::json(&sight, about))
        }
        "/metrics" => {
            let sight = about.sight(0);
            if asked.accepts(metrics::OPEN_METRICS) {
                Reply::new(200, metrics::OPEN_METRICS_TYPE, metrics::open_metrics(&sight, about))
            } else {
                Reply::new(200, metrics::TEXT_TYPE, metrics::text(&sight, about))
            }
        }
        "/livez" | "/healthz" => live(about),
        "/readyz" => ready(about),
        _ => {
            Reply::text(404, "not found: /status, /status.json, /metrics, /livez, /readyz, /healthz are here")
        }
    }
}

/// Whether every worker that has not ended still turns.
fn live(about: &About) -> Reply {
    if is_turning(about) { Reply::text(200, "ok") } else { stuck() }
}

/// Whether new clients are served.
fn ready(about: &About) -> Reply {
    match ask(about, |gateway, _| gateway.is_draining()) {
        Some(_) if about.is_leaving() => Reply::text(503, "draining"),
        Some(workers) if workers.is_empty() || workers.values().any(|drains| *drains) => {
            Reply::text(503, "draining")
        }
        Some(_) => Reply::text(200, "ok"),
        None => stuck(),
    }
}

fn stuck() -> Reply {
    Reply::text(503, "a worker does not answer")
}

fn is_turning(about: &About) -> bool {
    ask(about, |_, _| ()).is_some()
}

/// Asks every worker ([`pulse::ask`]).
fn ask<T: Send + 'static>(
    about: &About,
    look: impl Fn(&shuntyard_core::gateway::Gateway, shuntyard_core::time::Instant) -> T + Clone + Send + 'static,
) -> Option<BTreeMap<usize, T>> {
    pulse::ask(&about.handle, look)
}
