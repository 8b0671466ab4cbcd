//! `shuntyard demo`: origins, the gateway and clients in one process, on real sockets, with every octet verified.
//!
//! ```text
//!   clients                gateway                origins
//!   one thread,    -TLS->  as `shuntyard    --->  a, b, c: a thread each,
//!   core's Client          run` has it            core's Server
//!                             ^
//!   the story (main thread) orders, watches and shows
//! ```

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::cli::DemoArgs;
use crate::failure::Failure;
use crate::signals::{self, Reactions};

mod certificate;
mod client;
mod content;
mod figures;
mod gateway;
mod json;
mod link;
mod origin;
mod screen;
mod secure;
mod session;
mod story;
mod table;
mod work;

use certificate::{Certificate, CertificateFile};
use client::{Clients, Load};
use gateway::Gateway;
use origin::Origin;
use screen::Screen;
use story::{Cast, PATIENCE, Story};

/// Requests under way on each client's connection.
const STREAMS: usize = 8;
/// Threads of the gateway: they show that workers share nothing, and leave a small machine to its other users.
const WORKERS: usize = 2;
/// How long the gateway that stays waits for requests at its end.
const KEEP_DRAIN: Duration = Duration::from_secs(5);

/// Tells the story.
pub(crate) fn run(args: DemoArgs) -> Result<(), Failure> {
    let certificate =
        Certificate::new().map_err(|error| Failure::System { what: "cannot make a certificate", error })?;
    let file = CertificateFile::write(&certificate)
        .map_err(|error| Failure::System { what: "cannot write the certificate to a file", error })?;
    let signals = watch_signals(file.path().to_owned())?;
    // Half of the clients need more connections than there are origins: each worker of the gateway uses all of them.
    let limit = (args.clients / 4).max(1);
    let origins = ["a", "b", "c"]
        .into_iter()
        .map(|name| Origin::start(name, limit.into()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|error| Failure::System { what: "cannot start an origin", error })?;
    let addresses: Vec<SocketAddr> = origins.iter().map(|origin| origin.address).collect();
    let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(WORKERS);
    let workers = NonZeroUsize::new(workers).unwrap_or(NonZeroUsize::MIN);
    let start = || Gateway::start(&addresses, workers, args.adapter, certificate.front.clone());
    let gateway = start()?;
    let status = format!("status page: http://{}/status", gateway.admin);
    let curl = format!("over TLS: {}", gateway.curl(&file, ""));
    let load = Load {
        gateway: gateway.address,
        tls: certificate.back.clone(),
        clients: args.clients.into(),
        streams: STREAMS,
        patience: PATIENCE,
    };
    let client_count = load.clients;
    let clients =
        Clients::start(load).map_err(|error| Failure::System { what: "cannot start the clients", error })?;
    let cast = Cast { origins, gateway, clients, client_count, workers: workers.get() };

    let screen = Screen::new(args.json);
    let mut story = Story::new(cast, screen, signals, Duration::from_secs(args.seconds.into()));
    story.screen.say(Duration::ZERO, &status);
    story.screen.say(Duration::ZERO, &curl);
    let (summary, interrupted) = story.tell();
    let broken =
        summary.promises.iter().filter(|promise| !promise.held).map(|promise| promise.name).collect();
    story.screen.conclude(&summary);
    if args.keep && !interrupted {
        keep(&mut story, start()?, &file)?;
    }
    kept(broken)
}

fn kept(broken: Vec<&'static str>) -> Result<(), Failure> {
    if broken.is_empty() { Ok(()) } else { Err(Failure::PromisesBroken { names: broken }) }
}

/// The first signal shortens the story, the second ends the program, and nothing is left behind.
fn watch_signals(file: PathBuf) -> Result<Receiver<()>, Failure> {
    let (sender, receiver) = channel();
    let on_first = move |_: &str| {
        // A story that is over listens no longer.
        let _ = sender.send(());
    };
    signals::watch(Reactions {
        first: Box::new(on_first),
        later: Box::new(move |_| {
            // Gone already is as good.
            let _ = std::fs::remove_file(&file);
            std::process::exit(1)
        }),
        hangup: None,
    })
    .map_err(|error| Failure::System { what: "cannot watch for signals", error })?;
    Ok(receiver)
}

/// Serves whoever comes, with a gateway like the one that was drained, until a signal.
fn keep(story: &mut Story, mut gateway: Gateway, file: &CertificateFile) -> Result<(), Failure> {
    let elapsed = story.elapsed();
    story.screen.say(elapsed, "a gateway like the one that drained stays up, until a signal; try:");
    story.screen.say(elapsed, &gateway.curl(file, ""));
    story.screen.say(elapsed, &format!("{} -v -o /dev/null", gateway.curl(file, "content/1/1000?trailers")));
    let status = format!("status page: http://{}/status", gateway.admin);
    story.screen.say(elapsed, &status);
    for origin in &story.origins {
        story.screen.say(elapsed, &format!("origin {}: http://{}/", origin.name, origin.address));
    }
    // An error says that no signal can come any more.
    let _ = story.signals.recv();
    gateway.drain(KEEP_DRAIN);
    let ended = wait_for_end(&gateway, KEEP_DRAIN + Duration::from_secs(1));
    match gateway.end() {
        Some(gateway::End::Drained { cut: 0 }) if ended => Ok(()),
        Some(gateway::End::Drained { cut: connections }) => Err(Failure::Cut { connections, hurried: true }),
        Some(gateway::End::Failed(error)) => Err(Failure::System { what: "the event loop failed", error }),
        Some(gateway::End::Panicked) | None => {
            Err(Failure::PromisesBroken { names: vec!["a drain ends in time"] })
        }
    }
}

fn wait_for_end(gateway: &Gateway, limit: Duration) -> bool {
    let begun = std::time::Instant::now();
    while !gateway.has_ended() {
        if begun.elapsed() > limit {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}
