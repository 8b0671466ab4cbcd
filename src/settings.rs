//! What the program serves with: flags and variables first, then the file, then the defaults.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, Protocol, UpstreamConfig};

use crate::address::ListenAddress;
use crate::cli::{Adapter, ServeArgs};
use crate::config::{self, Flags, FromFile, Written};
use crate::failure::{Failure, Failures};
use crate::observation::ObserveArgs;
use crate::tls::{self, BackFiles, ClientFiles, FrontFiles, IdentityFiles};

/// Where clients connect to if nobody says.
const DEFAULT_LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 8080);

/// Everything that is decided before a server is made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) adapter: Adapter,
    pub(crate) workers: NonZeroUsize,
    /// As many as somebody has said. How many processors there are may change.
    pub(crate) workers_written: Option<NonZeroUsize>,
    pub(crate) listen: Vec<Address>,
    pub(crate) listen_tls: Vec<(Address, FrontFiles)>,
    /// By the names of upstreams.
    pub(crate) back_tls: BTreeMap<Arc<str>, BackFiles>,
    /// Between /readyz and a drain.
    pub(crate) ready_delay: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) observe: ObserveArgs,
    /// Somebody has said how many connections one client may have, otherwise than by the default.
    pub(crate) share_written: bool,
    pub(crate) config: Config,
    /// The listeners of the file, if they are served.
    pub(crate) listen_written: Vec<Written>,
    /// Listeners of the file in whose place others were named.
    pub(crate) replaced: usize,
}

impl Settings {
    /// Reads the file, if there is one. A start, a reload and a check all begin here.
    pub(crate) fn new(args: &ServeArgs) -> Result<Self, Failure> {
        let mut failures = Failures::default();
        let from_file = match &args.config {
            Some(path) => {
                let names_listeners = !args.listen.is_empty() || !args.listen_tls.is_empty();
                let flags = Flags { observe: args.observe.clone(), names_listeners, used_here: true };
                failures.take(config::load(path, &flags).map_err(Failure::Refused))
            }
            None => {
                let config = of_flags(args);
                let back_tls = back_tls_of_flags(args, &config);
                Some(FromFile { back_tls, ..FromFile::without_file(config) })
            }
        };
        let (listen, listen_tls) =
            (failures.take(addresses(&args.listen)), failures.take(listeners_tls(args)));
        let (Some(mut from_file), Some(mut listen), Some(mut listen_tls)) = (from_file, listen, listen_tls)
        else {
            return Err(failures.into_one());
        };
        let mut replaced = 0;
        if listen.is_empty() && listen_tls.is_empty() {
            (listen, listen_tls) = (from_file.listen, from_file.listen_tls);
        } else {
            replaced = std::mem::take(&mut from_file.written).len();
        }
        if listen.is_empty() && listen_tls.is_empty() {
            listen.push(Address::Inet(DEFAULT_LISTEN.into()));
        }
        let observe = args.observe.before(from_file.observe);
        from_file.config.records = observe.wants_records();
        from_file.config.validate().map_err(Failure::Config)?;
        let workers = args.workers.or(from_file.workers);
        Ok(Self {
            adapter: args.adapter.unwrap_or(from_file.adapter),
            workers: workers.unwrap_or_else(processors),
            workers_written: workers,
            listen,
            listen_tls,
            back_tls: from_file.back_tls,
            ready_delay: args.ready_delay.unwrap_or(from_file.ready_delay),
            drain_timeout: args.drain_timeout.unwrap_or(from_file.drain_timeout),
            observe,
            share_written: from_file.share_written,
            config: from_file.config,
            listen_written: from_file.written,
            replaced,
        })
    }

    /// What of the file is not served although it is sound, for whoever has forgotten a variable: it may have asked clients for certificates.
    pub(crate) fn warning(&self) -> Option<String> {
        let what = count(self.replaced, "listener");
        let flags = "--listen or --listen-tls (SHUNTYARD_LISTEN, SHUNTYARD_LISTEN_TLS) name others";
        (self.replaced > 0).then(|| {
            format!("left out: {what} of the file, with its TLS and whatever else it says, for {flags}")
        })
    }

    /// That one client may have all that there is, where somebody has said so.
    pub(crate) fn share_warning(&self) -> Option<String> {
        let (share, all) = (self.config.max_fronts_per_client, self.config.max_fronts);
        (self.share_written && share >= all).then(|| {
            format!("max_connections_per_client is {share}, and max_connections {all}: one client may take them all")
        })
    }

    /// What there is to serve, in words.
    pub(crate) fn summary(&self) -> String {
        let endpoints = self.config.upstreams.iter().map(|upstream| upstream.endpoints.len()).sum();
        format!(
            "{}, {}, {} with {}",
            count(self.listen.len() + self.listen_tls.len(), "listener"),
            count(self.config.routes.len(), "route"),
            count(self.config.upstreams.len(), "upstream"),
            count(endpoints, "endpoint"),
        )
    }
}

/// One upstream, which serves everything.
fn of_flags(args: &ServeArgs) -> Config {
    let mut upstream = UpstreamConfig::new("default", Vec::new());
    for backend in &args.backend {
        let endpoint = backend.config();
        if !upstream.endpoints.contains(&endpoint) {
            upstream.endpoints.push(endpoint);
        }
    }
    upstream.share = args.share.map(Into::into).unwrap_or_default();
    Config::of_upstream(upstream)
}

/// What the upstream of the flags needs, if it speaks TLS.
fn back_tls_of_flags(args: &ServeArgs, config: &Config) -> BTreeMap<Arc<str>, BackFiles> {
    let files =
        BackFiles { ca: args.backend_ca.clone(), insecure: args.backend_insecure, ..BackFiles::default() };
    tls::of_upstreams(config, |_| Some(files.clone()))
}

/// What is wrong with the files of TLS that flags name, whether or not all else that they say can be served.
pub(crate) fn look_at_files(args: &ServeArgs, failures: &mut Failures) {
    // How many there are of each is told with the listeners.
    if let Ok(files) = front_files(args)
        && !args.listen_tls.is_empty()
    {
        failures.take(files.check());
    }
    if args.config.is_none() {
        let of_upstreams = back_tls_of_flags(args, &of_flags(args));
        of_upstreams.values().for_each(|files| _ = failures.take(files.check()));
    }
}

/// The addresses of all flags, each of them once.
fn addresses(listen: &[ListenAddress]) -> Result<Vec<Address>, Failure> {
    let mut failures = Failures::default();
    let addresses = found(listen, &mut failures);
    failures.or(Ok::<_, Failure>(addresses))
}

/// Those that there are.
pub(crate) fn found(listen: &[ListenAddress], failures: &mut Failures) -> Vec<Address> {
    let mut addresses = Vec::new();
    for listen in listen {
        let named = |reason| match listen.is_passed() {
            true => Failure::NotPassed { name: listen.to_string(), reason },
            false => Failure::ListenName { name: listen.to_string(), reason },
        };
        for address in failures.take(listen.resolve().map_err(named)).unwrap_or_default() {
            let port_to_be_picked = matches!(&address, Address::Inet(address) if address.port() == 0);
            if port_to_be_picked || !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    addresses
}

/// Likewise those with TLS: each shows the certificates of the flags.
fn listeners_tls(args: &ServeArgs) -> Result<Vec<(Address, FrontFiles)>, Failure> {
    let mut failures = Failures::default();
    let files = failures.take(front_files(args));
    let addresses = failures.or(addresses(&args.listen_tls))?;
    Ok(files.map_or_else(Vec::new, |files| addresses.into_iter().map(|it| (it, files.clone())).collect()))
}

/// The certificates of the flags.
fn front_files(args: &ServeArgs) -> Result<FrontFiles, Failure> {
    if args.cert.len() != args.key.len() {
        return Err(Failure::KeysUnpaired { certs: args.cert.len(), keys: args.key.len() });
    }
    let pairs = args.cert.iter().zip(&args.key);
    Ok(FrontFiles {
        identities: pairs.map(|(cert, key)| IdentityFiles { cert: cert.clone(), key: key.clone() }).collect(),
        protocols: vec![Protocol::Http2, Protocol::Http1],
        clients: ClientFiles::default(),
        by_name: Vec::new(),
    })
}

fn processors() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// A number and what it counts.
pub(crate) fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}
