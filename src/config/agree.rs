//! What must hold between the values of a file: names that refer to each other, things that are there twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use shuntyard_core::address::Address;
use shuntyard_core::config::{
    Config, Host, HostPattern, ListenerConfig, NameGroups, PathPattern, Protocol, RouteConfig, UpstreamConfig,
};

use crate::address::overlaps;
use crate::admin;
use crate::config::code::Code;
use crate::config::pattern::{write_host, write_path};
use crate::config::problem::{Problem, Span};
use crate::config::section::Located;
use crate::config::sections::{Document, Listen, Offer, Route, Upstream};
use crate::config::similar::similar;
use crate::config::value::write_size;
use crate::config::{Flags, Written};
use crate::failure::{Failure, NOT_PASSED};
use crate::observation::admin_address;
use crate::prepare::{can_be_opened, shared_with_admin};
use crate::tls::{BackFiles, BadFile, BadFiles, Clients, FrontFiles, of_upstreams};

/// What a file says, when all of it is held against the rest.
pub(super) struct Agreed {
    pub(super) written: Vec<Written>,
    pub(super) listen: Vec<Address>,
    pub(super) listen_tls: Vec<(Address, FrontFiles)>,
    pub(super) back_tls: BTreeMap<Arc<str>, BackFiles>,
    pub(super) config: Config,
}

/// The addresses to listen on and the configuration of the core, which are right if nothing is added to the problems. What flags say comes
/// before what the file says.
pub(super) fn agree(document: Document, flags: &Flags, problems: &mut Vec<Problem>) -> Agreed {
    let admin = admin_is_served(&document, flags, problems);
    log_can_be_opened(&document, flags, problems);
    // In whose place flags have others, those need no addresses here, nor files.
    let Listeners { in_clear, with_tls, taken } =
        if flags.names_listeners { Listeners::default() } else { listeners(&document, problems) };
    admin.iter().for_each(|admin| admin_is_apart(admin, &taken, problems));
    document.listen.iter().for_each(|listen| speaks_what_it_can(listen, flags, problems));
    let written = document.listen.iter().filter_map(written).collect();
    routes_lead_somewhere(&document, problems);
    every_route_is_reached(&document.routes, problems);
    let Document { routes, upstreams, mut config, .. } = document;
    // As they are bound: those in clear come first. What holds for all needs no word.
    config.listeners =
        in_clear.iter().chain(with_tls.iter().map(|(listener, _)| listener)).cloned().collect();
    let nobody_shows = with_tls.iter().all(|(_, files)| files.clients.clients == Clients::Off);
    if nobody_shows
        && config.listeners.iter().all(|listener| *listener == ListenerConfig::new(listener.address.clone()))
    {
        config.listeners.clear();
    }
    upstreams.iter().for_each(|upstream| keeps_what_it_may(upstream, &config, problems));
    let said: BTreeMap<_, _> = upstreams.iter().map(|of| (of.name.value.clone(), of.tls.clone())).collect();
    config.upstreams = upstreams.into_iter().map(|upstream| with_endpoints(upstream, problems)).collect();
    config.routes = routes.into_iter().filter_map(route).collect();
    let say = |name: &str| said.get(name)?.as_ref().map(|found| found.value.clone());
    let back_tls = of_upstreams(&config, say);
    for (name, tls) in said.iter().filter_map(|(name, tls)| Some((name, tls.as_ref()?))) {
        check_back(tls, back_tls.contains_key(name.as_str()), problems);
    }
    let listen = in_clear.into_iter().map(|listener| listener.address).collect();
    let listen_tls = with_tls.into_iter().map(|(listener, files)| (listener.address, files)).collect();
    Agreed { written, listen, listen_tls, back_tls, config }
}

/// Whether the admin address is one that is served, if it is the file's that holds. Says which that is.
fn admin_is_served(
    document: &Document,
    Flags { observe: flags, .. }: &Flags,
    problems: &mut Vec<Problem>,
) -> Option<Located<Address>> {
    let Document { observe, places, .. } = document;
    let (address, at) = (observe.admin.as_ref().filter(|_| flags.admin.is_none())?, places.admin.clone()?);
    let allow_remote = flags.before(observe.clone()).allows_remote();
    let failure = match admin_address(address, allow_remote) {
        Ok(address) => return Some(Located { value: Address::Inet(address), at }),
        Err(failure) => failure,
    };
    let (code, help) = match failure {
        Failure::AdminAddress { reason: admin::Refused::Remote(_) } => {
            (Code::AdminAddress, "listen on 127.0.0.1, or write `allow_remote = true` below")
        }
        Failure::ListenName { .. } => {
            (Code::NameUnresolved, "listen on an address of this machine: \"127.0.0.1:9901\"")
        }
        _ => (
            Code::AdminAddress,
            "write HOST:PORT, as in \"127.0.0.1:9901\": Unix sockets and those of systemd are not served there",
        ),
    };
    problems.push(Problem::new(code, failure.to_string(), at).label("not served").help(help));
    None
}

/// Whether no listener takes the admin address.
fn admin_is_apart(admin: &Located<Address>, taken: &[(Address, Span)], problems: &mut Vec<Problem>) {
    let Some((other, first)) = taken.iter().find(|(other, _)| overlaps(&admin.value, other)) else { return };
    let failure = shared_with_admin(other, &admin.value);
    let problem =
        Problem::new(Code::ListenerTwice, failure.to_string(), admin.at.clone()).label("and again here");
    let problem = problem.related(first.clone(), "taken here");
    problems.push(failure.help().into_iter().fold(problem, Problem::help));
}

/// Whether the access log can be opened, if it is the file's that holds, and is to be.
fn log_can_be_opened(document: &Document, flags: &Flags, problems: &mut Vec<Problem>) {
    let Document { observe, places, .. } = document;
    let (Some(log), Some(at)) = (&observe.access_log, &places.access_log) else { return };
    if !flags.used_here || flags.observe.access_log.is_some() {
        return;
    }
    if let Err(failure) = can_be_opened(log) {
        let problem = Problem::new(Code::AccessLog, failure.to_string(), at.clone()).label("not written to");
        // The next start may find the folder, or the right to write there.
        let problem = problem.passing(true);
        problems.push(failure.help().into_iter().fold(problem, Problem::help));
    }
}

/// Whether the files of an upstream can be used, and are.
fn check_back(tls: &Located<BackFiles>, is_used: bool, problems: &mut Vec<Problem>) {
    if !is_used {
        let title = "no endpoint of this upstream speaks TLS";
        let problem = Problem::new(Code::Contradiction, title, tls.at.clone()).label("would not be used");
        problems.push(problem.help("write `protocol = \"h2\"`, or h2:// or https:// in front of endpoints"));
    } else {
        cannot_be("used", tls.value.check(), &tls.at, problems);
    }
}

/// What is wrong with each of the files of TLS that are named here.
fn cannot_be(what: &str, checked: Result<(), BadFiles>, at: &Span, problems: &mut Vec<Problem>) {
    for bad in checked.err().into_iter().flat_map(|BadFiles(all)| all) {
        let passing = bad.may_pass();
        let BadFile { path, reason, trouble } = bad;
        let title = format!("{}: {reason}", path.display());
        let problem =
            Problem::new(Code::BadCertificate, title, at.clone()).label(format!("cannot be {what}"));
        problems.push(problem.help(trouble.help()).passing(passing));
    }
}

/// Where clients connect to, with what more is said of each address. They stay together: port 0 may be there more than once, so an address alone tells
/// nothing.
#[derive(Default)]
struct Listeners {
    in_clear: Vec<ListenerConfig>,
    with_tls: Vec<(ListenerConfig, FrontFiles)>,
    /// The addresses of all, and where each stands.
    taken: Vec<(Address, Span)>,
}

fn listeners(document: &Document, problems: &mut Vec<Problem>) -> Listeners {
    let mut taken: Vec<(Address, Span)> = Vec::new();
    let (mut in_clear, mut with_tls) = (Vec::new(), Vec::new());
    for Listen { address: listen, tls, introduced, spoken: (offers, _) } in &document.listen {
        let Some(listen) = listen else { continue };
        let addresses = listen.value.resolve().unwrap_or_else(|reason| {
            let title = format!("cannot listen on {}: {reason}", listen.value);
            let of_machine = "listen on an address of this machine, as in \"127.0.0.1:8080\" or \":8080\"";
            let (code, label, help) = match listen.value.is_passed() {
                true => (Code::NotPassed, "nobody has opened it", NOT_PASSED),
                false => (Code::NameUnresolved, "this name has no address", of_machine),
            };
            problems.push(Problem::new(code, title, listen.at.clone()).label(label).help(help));
            Vec::new()
        });
        let overlap = |address: &&Address| taken.iter().any(|(other, _)| overlaps(address, other));
        if let Some(address) = addresses.iter().find(overlap) {
            let other = taken.iter().find(|(other, _)| overlaps(address, other));
            let title = format!("two listeners take {}", listen.value);
            let mut problem =
                Problem::new(Code::ListenerTwice, title, listen.at.clone()).label("and again here");
            if let Some((_, first)) = other {
                problem = problem.related(first.clone(), "taken here");
            }
            problems.push(problem.help("take one of them out"));
            continue;
        }
        let (only, introduced) = (only(offers), *introduced);
        let names = tls.iter().flat_map(|tls| &tls.value.by_name).map(|(names, _)| names.clone());
        let groups = NameGroups(names.collect());
        let config = |address: &Address| ListenerConfig {
            address: address.clone(),
            only,
            introduced,
            groups: groups.clone(),
        };
        let told = addresses.iter().map(config);
        match tls {
            Some(tls) => with_tls.extend(told.map(|listener| (listener, tls.value.clone()))),
            None => in_clear.extend(told),
        }
        taken.extend(addresses.into_iter().map(|address| (address, listen.at.clone())));
    }
    Listeners { in_clear, with_tls, taken }
}

/// `None` where the address is missing, which has been said.
fn written(listen: &Listen) -> Option<Written> {
    let Listen { address, tls, introduced, spoken: (offers, _) } = listen;
    let (address, tls) = (address.as_ref()?.value.clone(), tls.as_ref().map(|tls| tls.value.clone()));
    Some(Written { address, tls, introduced: *introduced, only: only(offers) })
}

/// Whether what is spoken goes with TLS or with its absence, and whether the files of TLS can be used.
fn speaks_what_it_can(listen: &Listen, flags: &Flags, problems: &mut Vec<Problem>) {
    let Listen { spoken: (spoken, at), tls, .. } = listen;
    let (wrong, title, help) = match tls {
        Some(_) => (Offer::H2c, "HTTP/2 is called \"h2\" over TLS", "write \"h2\" instead of \"h2c\""),
        None => (
            Offer::H2,
            "HTTP/2 is called \"h2c\" without TLS",
            "write \"h2c\", or say `tls` for this listener",
        ),
    };
    if let Some(at) = at.as_ref().filter(|_| spoken.contains(&wrong)) {
        let problem = Problem::new(Code::Contradiction, title, at.clone()).label("not spoken here");
        problems.push(problem.help(help));
    }
    // What is missing has been said.
    let is_served = |tls: &&Located<FrontFiles>| !flags.names_listeners && !tls.value.identities.is_empty();
    if let Some(tls) = tls.as_ref().filter(is_served) {
        cannot_be("served", tls.value.check(), &tls.at, problems);
    }
}

/// The only protocol of those that are offered.
fn only(offers: &[Offer]) -> Option<Protocol> {
    let first = offers.first()?.protocol();
    offers.iter().all(|offer| offer.protocol() == first).then_some(first)
}

fn routes_lead_somewhere(document: &Document, problems: &mut Vec<Problem>) {
    if !document.has_route {
        let problem =
            Problem::of_file(Code::NoRoute, "there is no [[route]]: every request would be answered 404");
        let name = document.upstreams.first().map_or("app", |upstream| &upstream.name.value);
        problems.push(problem.help(format!("[[route]] with `upstream = {name:?}` serves everything")));
    }
    let places: BTreeMap<&str, &Span> =
        document.upstreams.iter().map(|upstream| (&*upstream.name.value, &upstream.name.at)).collect();
    for route in &document.routes {
        let Some(upstream) = &route.upstream else { continue };
        let name = &*upstream.value;
        if places.contains_key(name) {
            continue;
        }
        let title = format!("route refers to upstream `{name}`, which is not defined");
        let problem = Problem::new(Code::UpstreamUndefined, title, upstream.at.clone())
            .label(format!("no [upstream.{name}] section"));
        let meant = similar(name, places.keys().copied());
        problems.push(match meant.and_then(|meant| places.get(meant).map(|at| (meant, at))) {
            Some((meant, at)) => problem
                .related((*at).clone(), "a similar name is defined here")
                .help(format!("did you mean `{meant}`?")),
            None => problem.help(format!("define it: [upstream.{name}] with its `endpoints`")),
        });
    }
}

/// The paths of one host's routes, with the places of these routes.
#[derive(Default)]
struct Paths<'a> {
    any: Option<&'a Span>,
    exact: BTreeMap<&'a str, &'a Span>,
    prefix: BTreeMap<&'a str, &'a Span>,
}

impl<'a> Paths<'a> {
    fn add(&mut self, path: &'a PathPattern, at: &'a Span) {
        match path {
            PathPattern::Any => _ = self.any.get_or_insert(at),
            PathPattern::Exact(path) => _ = self.exact.entry(path).or_insert(at),
            PathPattern::Prefix(path) => _ = self.prefix.entry(path).or_insert(at),
        }
    }

    /// The route that serves whatever one of this path would.
    fn covering(&self, path: &PathPattern) -> Option<&'a Span> {
        let beginning = |path: &str| {
            let ends = path.match_indices('/').map(|(slash, _)| slash + 1);
            ends.filter_map(|end| self.prefix.get(&path[..end])).next().copied()
        };
        let found = match path {
            PathPattern::Any => None,
            PathPattern::Exact(path) => self.exact.get(&**path).copied().or_else(|| beginning(path)),
            PathPattern::Prefix(path) => beginning(path),
        };
        self.any.or(found)
    }
}

/// A host, with whether all below it are meant; `None` for all.
type HostKey<'a> = Option<(&'a str, bool)>;

fn every_route_is_reached(routes: &[Route], problems: &mut Vec<Problem>) {
    let mut above: BTreeMap<HostKey<'_>, Paths<'_>> = BTreeMap::new();
    for route in routes.iter().filter(|route| !route.vague) {
        let own = match &route.host {
            HostPattern::Any => None,
            HostPattern::Exact(host) => Some((&**host, false)),
            HostPattern::Below(domain) => Some((&**domain, true)),
        };
        let domains =
            own.into_iter().flat_map(|(host, _)| host.match_indices('.').map(|(dot, _)| &host[dot + 1..]));
        let wider = domains.map(|domain| Some((domain, true)));
        let covering = [None, own]
            .into_iter()
            .chain(wider)
            .filter_map(|host| above.get(&host)?.covering(&route.path))
            .min_by_key(|at| at.start);
        if let Some(at) = covering {
            let title = "this route serves nothing: one above it serves all that it would";
            let problem = Problem::new(Code::NeverReached, title, route.at.clone()).label("never reached");
            let help = "the first route that matches wins: move this one up, or take it out";
            problems.push(problem.related(at.clone(), "this one matches first").help(help));
            continue;
        }
        above.entry(own).or_default().add(&route.path, &route.at);
    }
}

/// Whether what is kept of one request fits into the memory for that. Nothing is kept where there is none, on purpose.
fn keeps_what_it_may(upstream: &Upstream, config: &Config, problems: &mut Vec<Problem>) {
    let (Some(at), octets) = (&upstream.replay, u64::from(upstream.config.retry.replay_octets)) else {
        return;
    };
    let pools = [
        ("replay_memory", config.replay_ledger_octets),
        ("replay_memory_per_client", config.replay_front_octets),
    ];
    if let Some((pool, room)) = pools.into_iter().find(|&(_, room)| room < octets) {
        let title = format!(
            "`replay_buffer` is {}, which is more than `{pool}`, {}",
            write_size(octets),
            write_size(room)
        );
        let problem = Problem::new(Code::Contradiction, title, at.clone()).label("never kept whole");
        problems.push(problem.help(format!("take less, or give [limits] more `{pool}`")));
    }
}

fn with_endpoints(upstream: Upstream, problems: &mut Vec<Problem>) -> UpstreamConfig {
    let Upstream { endpoints, protocol, tls, mut config, .. } = upstream;
    let is_named = tls.is_some_and(|tls| tls.value.server_name.is_some());
    let mut seen = BTreeMap::new();
    for endpoint in endpoints {
        let own = endpoint.value.config(protocol);
        if let Some(first) = seen.get(&own.host) {
            let title = format!("{} is an endpoint twice", endpoint.value);
            let problem = Problem::new(Code::EndpointTwice, title, endpoint.at).label("and again here");
            problems.push(problem.related(Span::clone(first), "listed here").help("take one of them out"));
            continue;
        }
        if own.tls.is_some() && matches!(own.host, Host::Address(Address::Unix(_))) && !is_named {
            let title = format!("nobody has said who {} has to be", endpoint.value);
            let problem =
                Problem::new(Code::Contradiction, title, endpoint.at.clone()).label("TLS without a name");
            problems.push(problem.help("name it: tls = { server_name = \"...\" } of the upstream"));
        }
        seen.insert(own.host.clone(), endpoint.at);
        config.endpoints.push(own);
    }
    config
}

/// `None` where its upstream is missing, which has been said.
fn route(route: Route) -> Option<RouteConfig> {
    let name = route.name.unwrap_or_else(|| {
        let mut name = write_host(&route.host) + &write_path(&route.path);
        name.truncate(256);
        name
    });
    Some(RouteConfig {
        host: route.host,
        path: route.path,
        authority: route.authority.as_deref().map(Into::into),
        map_back: route.map_back,
        replace_errors: route.replace_errors,
        timeout: route.timeout,
        upgrades: route.upgrades.into_iter().map(Arc::from).collect(),
        connect: route.connect,
        request_headers: route.request_headers,
        response_headers: route.response_headers,
        ..RouteConfig::any(name, Arc::<str>::from(route.upstream?.value))
    })
}
