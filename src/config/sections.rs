//! The sections of the file: every key with its meaning, its kind, its range, and where its value goes.
//! Defaults are those of the core.

use std::num::NonZeroUsize;
use std::time::Duration;

use shuntyard_core::config::{
    Balance, Config, EndpointConfig, HeaderRule, HostPattern, MAX_WINDOW, PathPattern, Protocol, RetryConfig,
    Saturation, Scope, UpstreamConfig,
};

use crate::address::{EndpointAddress, ListenAddress, Scheme};
use crate::cli::{Adapter, MAX_WORKERS};
use crate::config::code::Code;
use crate::config::kind::{At, Flag, Fraction, List, Number, Size, Time, Words};
use crate::config::problem::{Problem, Span};
use crate::config::section::{Located, Section};
use crate::config::text::{AUTHORITY, DESTINATION, ENDPOINT, HOST, LISTEN, NAME, PATH, TOKEN, UPGRADE};
use crate::config::{Defaults, forwarding, header, limits, tls};
use crate::observation::ObserveArgs;
use crate::tls::{BackFiles, FrontFiles};

/// What stands in a file, value by value.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) adapter: Adapter,
    pub(super) workers: Option<NonZeroUsize>,
    pub(super) ready_delay: Duration,
    pub(super) drain_timeout: Duration,
    pub(super) observe: ObserveArgs,
    pub(super) places: Places,
    pub(super) listen: Vec<Listen>,
    /// Whether there is any, be it a wrong one.
    pub(super) has_route: bool,
    pub(super) routes: Vec<Route>,
    pub(super) upstreams: Vec<Upstream>,
    /// Whether it says how many connections one client may have, otherwise than by the default.
    pub(super) share_written: bool,
    /// All that has a default in the core; upstreams and routes are still to come.
    pub(super) config: Config,
}

/// Where in the file some of that stands.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) admin: Option<Span>,
    pub(super) access_log: Option<Span>,
}

/// A `[[route]]`.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) at: Span,
    pub(super) name: Option<String>,
    pub(super) host: HostPattern,
    pub(super) path: PathPattern,
    /// A host or a path was wrong, which has been said: what it serves is not known.
    pub(super) vague: bool,
    /// `None` where it is missing or wrong, which has been said.
    pub(super) upstream: Option<Located<String>>,
    pub(super) authority: Option<String>,
    pub(super) map_back: bool,
    pub(super) replace_errors: Vec<u16>,
    pub(super) timeout: Option<Duration>,
    pub(super) upgrades: Vec<String>,
    pub(super) connect: bool,
    pub(super) request_headers: Vec<HeaderRule>,
    pub(super) response_headers: Vec<HeaderRule>,
}

/// A `[[listen]]`.
#[derive(Debug)]
pub(super) struct Listen {
    /// `None` where it is missing or wrong, which has been said.
    pub(super) address: Option<Located<ListenAddress>>,
    /// What is spoken there, and where that is said.
    pub(super) spoken: (Vec<Offer>, Option<Span>),
    /// A balancer says first whose each connection is.
    pub(super) introduced: bool,
    /// What TLS needs, and where that is said.
    pub(super) tls: Option<Located<FrontFiles>>,
}

/// A protocol, and whether TLS stands in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    H2,
    H2c,
    Http1,
}

impl Offer {
    pub(super) const fn protocol(self) -> Protocol {
        match self {
            Self::H2 | Self::H2c => Protocol::Http2,
            Self::Http1 => Protocol::Http1,
        }
    }
}

/// An `[upstream.NAME]`.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) name: Located<String>,
    pub(super) endpoints: Vec<Located<EndpointAddress>>,
    /// What those speak that do not say.
    pub(super) protocol: Scheme,
    /// What TLS needs, and where that is said.
    pub(super) tls: Option<Located<BackFiles>>,
    /// Where it is said how much is kept to be sent again.
    pub(super) replay: Option<Span>,
    /// The rest of it; endpoints are still to come.
    pub(super) config: UpstreamConfig,
}

/// The longest of all times.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
pub(super) const TIME: Time = Time { min: Duration::from_millis(1), max: DAY };
/// All of a file.
pub(super) fn document(section: &mut Section<'_, '_>) -> Document {
    let mut config = Config::of_upstream(UpstreamConfig::new("none", Vec::new()));
    config.upstreams.clear();
    config.routes.clear();
    let Defaults { mut adapter, mut ready_delay, mut drain_timeout } = Defaults::VALUE;
    let adapters = Words { words: &[("mio", Adapter::Mio), ("tokio", Adapter::Tokio)], later: &[] };
    section.take("adapter", "what drives the sockets", &adapters, &mut adapter);
    let threads = Number { min: 1, max: MAX_WORKERS as u32, of: "threads" };
    let what = "threads that serve, each with connections of its own; without it, one for each processor";
    let workers = section
        .optional("workers", what, &threads, "2")
        .and_then(|found| NonZeroUsize::new(usize::try_from(found.value).ok()?));
    let what = "the name in `via` fields (RFC 9110 section 7.6.3); gateways in a row need different ones";
    section.take("via", what, &TOKEN, &mut config.via);
    forwarding::section(section, &mut config);
    let (observe, places) = observe(section);
    let listen = section.list("listen", "where clients connect to; without any: 127.0.0.1:8080", listen);
    let what = "which upstream serves a request: the first route that matches, top to bottom";
    let routes = section.list("route", what, route);
    let upstreams = section.named("upstream", "a group of endpoints that serve the same requests", upstream);
    let share_written = section.group(
        "limits",
        "limits of each worker, each with a default; 0 is an error, not \"off\", but for replay_memory and replay_memory_per_client",
        |limits| {
            let share_written = limits::of_clients(limits, &mut config);
            let list = limits::of_connections(limits, &mut config);
            limits::of_memory(limits, &mut config, list);
            limits::of_time(limits, &mut config);
            share_written
        },
    );
    section.group("drain", "the end: SIGTERM, SIGINT and SIGQUIT let requests finish", |drain| {
        let from_none = Time { min: Duration::ZERO, max: DAY };
        let what = "so long before a drain /readyz says 503 already, while all are served as before: time for balancers to look elsewhere; another signal ends it. \
            It comes on top of `timeout`";
        drain.take("ready_delay", what, &from_none, &mut ready_delay);
        let what = "after so long connections are closed; stops requests that never end";
        drain.take("timeout", what, &from_none, &mut drain_timeout);
    });
    Document {
        adapter,
        workers,
        ready_delay,
        drain_timeout,
        observe,
        places,
        listen,
        has_route: section.has("route"),
        routes,
        upstreams,
        share_written,
        config,
    }
}

/// What there is to see of a server, and where that is said.
fn observe(section: &mut Section<'_, '_>) -> (ObserveArgs, Places) {
    let (mut observe, mut places) = (ObserveArgs::default(), Places::default());
    let (mut allow_remote, mut query) = (false, false);
    section.group("admin", "the admin address: /status, /metrics, /livez, /readyz", |admin| {
        let what = "where it is; without it, nowhere";
        let address = admin.optional("address", what, &LISTEN, "\"127.0.0.1:9901\"");
        let what =
            "whether others than this machine may reach it: whoever can is told everything there is to see";
        admin.take("allow_remote", what, &Flag, &mut allow_remote);
        observe.admin = address.map(|found| {
            places.admin = Some(found.at);
            found.value
        });
    });
    section.group("access_log", "a line for each request that has ended", |log| {
        let what = "a file, which SIGUSR1 opens again, or - for standard output; without it, there is no log";
        observe.access_log = log.optional("path", what, &DESTINATION, "\"-\"").map(|found| {
            places.access_log = Some(found.at);
            found.value
        });
        let format = Words { words: &[("json", Json)], later: &[("combined", "the combined format")] };
        log.take("format", "how a line looks", &format, &mut { Json });
        log.take("query", "whether query strings are shown", &Flag, &mut query);
    });
    (observe.admin_allow_remote, observe.access_log_query) = (Some(allow_remote), Some(query));
    (observe, places)
}

#[derive(Clone, Copy, PartialEq)]
struct Json;

fn listen(section: &mut Section<'_, '_>) -> Listen {
    let what = "HOST:PORT, [IPv6]:PORT, :PORT for all addresses, unix:/PATH, or fd:NAME for sockets that systemd passes by this name (FileDescriptorName)";
    let address = section.required("address", what, &LISTEN, "\":8080\"");
    let protocols = List {
        of: Words {
            words: &[("h2", Offer::H2), ("h2c", Offer::H2c), ("http/1.1", Offer::Http1)],
            later: &[("h3", "HTTP/3")],
        },
        min: 1,
        max: 4,
    };
    let has_tls = section.has("tls");
    let mut spoken = vec![if has_tls { Offer::H2 } else { Offer::H2c }, Offer::Http1];
    let what = "what is spoken there: with TLS \"h2\" and \"http/1.1\", offered in this order (ALPN); in clear \"h2c\" and \"http/1.1\", which a client's first octets tell";
    let said = section.take("protocols", what, &protocols, &mut spoken);
    let tls = tls::front(section, &spoken);
    let mut introduced = false;
    let what = "whether a balancer stands in front that says of every connection whose it is: PROXY protocol, version 1 or 2, before TLS; without such a header a connection is closed. Only where nobody else can connect: whoever can is whoever they say";
    section.take("accept_proxy_protocol", what, &Flag, &mut introduced);
    let instead = "list them in [forwarding]: they hold for every listener";
    section.later("trusted_proxies", "trust by listener", instead);
    Listen { address, spoken: (spoken, said), introduced, tls }
}

fn route(section: &mut Section<'_, '_>) -> Route {
    let what = "names it in records and figures; without it, host and path do";
    let name = section.optional("name", what, &NAME, "\"api\"");
    let what = "the host that it serves, or *.DOMAIN for all below a domain; without it, all";
    let host = section.optional("host", what, &HOST, "\"api.example.com\"");
    let what = "the path that it serves, or with a slash at its end all that begin so; without it, all";
    let path = section.optional("path", what, &PATH, "\"/v1/\"");
    let vague = host.is_none() && section.has("host") || path.is_none() && section.has("path");
    let upstream = section.required("upstream", "who serves its requests", &NAME, "\"app\"");
    let what = "the host, or host:port, that its backends are asked for; without it, the one that the client asked for";
    let authority = section.optional("authority", what, &AUTHORITY, "\"app.internal\"");
    let mut map_back = true;
    let what = "whether that authority is taken out of Location, Content-Location, URI, Destination, Link and the domains of cookies, and the one that was asked for out of a request's Destination";
    section.take("map_back", what, &Flag, &mut map_back);
    let statuses = List { of: Number { min: 400_u16, max: 599, of: "statuses" }, min: 0, max: 200 };
    let mut replace_errors = Vec::new();
    let what = "statuses of backends whose content clients do not see, but a line that names the status";
    section.take("replace_errors", what, &statuses, &mut replace_errors);
    let what = "from a request's head to the end of its response; without it, no such limit; stops responses that never end";
    let timeout = section.optional("timeout", what, &TIME, "\"15s\"");
    let protocols = List { of: UPGRADE, min: 0, max: 16 };
    let mut upgrades = vec!["websocket".to_owned()];
    let what = "protocols that its requests may change to, NAME or NAME/VERSION: `Upgrade` of a GET, or extended CONNECT (RFC 8441). After a reload this holds for clients' HTTP/1.1 connections that come then";
    section.take("upgrades", what, &protocols, &mut upgrades);
    let mut connect = false;
    let what = "whether CONNECT is passed on, for the backend to answer; not together with `authority`";
    let said = section.take("connect", what, &Flag, &mut connect);
    if let (true, Some(at), Some(authority)) = (connect, said, &authority) {
        let title = "a CONNECT leads where its client says, and `authority` would change that";
        let problem = Problem::new(Code::Contradiction, title, at).label("CONNECT is passed on");
        let help = "take one of them out, or give each a [[route]] of its own";
        section.refuse(problem.related(authority.at.clone(), "this would be its target").help(help));
    }
    let what = "changes of the head that the backend gets";
    let request_headers = section.group("request_headers", what, header::rules);
    let what = "changes of the head that the client gets of the backend's response; trailers and interim responses come without what is set or removed";
    let response_headers = section.group("response_headers", what, header::rules);
    Route {
        at: section.at(),
        name: name.map(|found| found.value),
        host: host.map(|found| found.value).unwrap_or_default(),
        path: path.map(|found| found.value).unwrap_or_default(),
        vague,
        upstream,
        authority: authority.map(|found| found.value),
        map_back,
        replace_errors,
        timeout: timeout.map(|found| found.value),
        upgrades,
        connect,
        request_headers,
        response_headers,
    }
}

fn upstream(section: &mut Section<'_, '_>, name: Located<&str>) -> Upstream {
    let mut config = UpstreamConfig::new(name.value, Vec::new());
    if !(1..=256).contains(&name.value.len()) {
        let title = "the name of an upstream must have between 1 and 256 octets";
        section.refuse(Problem::new(Code::OutOfRange, title, name.at.clone()));
    }
    let endpoints = List { of: At(ENDPOINT), min: 1, max: 1024 };
    let what = "HOST:PORT, [IPv6]:PORT or unix:/PATH, behind h2c://, http:// (HTTP/1.1), h2:// (HTTP/2 over TLS) or https:// (either over TLS) where they differ from `protocol`; names are resolved while serving. A name is one endpoint, however many addresses it has: each new connection goes to the next of them, and over HTTP/2 one connection, to one address, is often all there is; where all are to serve, write each down";
    let endpoints = section.required("endpoints", what, &endpoints, "[\"127.0.0.1:9000\"]");
    let protocols = Words {
        words: &[
            ("h2c", Scheme::H2c),
            ("http/1.1", Scheme::Http),
            ("h2", Scheme::H2),
            ("https", Scheme::Https),
        ],
        later: &[],
    };
    let what = "what is spoken with endpoints whose address has no scheme: over TLS HTTP/2 (\"h2\"), or what the endpoint prefers (\"https\")";
    let mut protocol = Scheme::H2c;
    section.take("protocol", what, &protocols, &mut protocol);
    let balance = Words {
        words: &[("least-active", Balance::LeastActive), ("round-robin", Balance::RoundRobin)],
        later: &[],
    };
    section.take("balance", "which endpoint gets the next request", &balance, &mut config.balance);
    let share = Words {
        words: &[("client", Scope::Client), ("worker", Scope::Worker), ("none", Scope::None)],
        later: &[("process", "connections that workers share")],
    };
    let what = "who may share a connection at a time: the requests of one client, all of a worker, or nobody; an idle one is for whoever comes";
    section.take("share", what, &share, &mut config.share);
    let saturation = Words {
        words: &[("dial", Saturation::Dial), ("queue", Saturation::Queue), ("refuse", Saturation::Refuse)],
        later: &[],
    };
    let what = "when every connection is full: make one more, wait, or answer 503. With \"queue\" and \"refuse\" an endpoint gets one connection, or as many as `connections` has for `min`, whatever its `max` is; over HTTP/1.1 each is one request at a time";
    section.take("on_saturation", what, &saturation, &mut config.on_saturation);
    let streams = Number { min: 0, max: MAX_WINDOW, of: "streams" };
    let what = "what a new connection may open before its backend told a limit; 0 waits for it";
    section.take("assumed_streams", what, &streams, &mut config.assumed_streams);
    let all = endpoints.iter().flat_map(|found| &found.value).map(|endpoint| endpoint.value.config(protocol));
    let all: Vec<_> = all.collect();
    let speaks = [Protocol::Http2, Protocol::Http1]
        .map(|protocol| all.iter().any(|endpoint: &EndpointConfig| endpoint.may_speak(protocol)));
    connections(section, &mut config, speaks);
    section.group("queue", "requests that wait for a stream", |queue| {
        let length = Number { min: 1, max: 1_000_000, of: "requests" };
        queue.take(
            "max",
            "how many, on each worker; one more is answered 503; stops queues that grow faster than backends serve",
            &length,
            &mut config.queue_max,
        );
        queue.take(
            "timeout",
            "how long; then they are answered 503; stops waits without end",
            &TIME,
            &mut config.queue_timeout,
        );
    });
    let replay =
        section.group("retry", "when a request is sent again", |group| retry(group, &mut config.retry));
    let without = "leave it out: an endpoint rests for a second after a connection that could not be made";
    let tls = tls::back(section);
    section.later("outlier", "outlier detection", without);
    section.later("health", "health checks", without);
    section.later("discover", "discovery", "list the endpoints; a SIGHUP reads the file again");
    let instead = "leave it out: /readyz says whether the program serves, whatever its upstreams do";
    section.later("required_for_ready", "upstreams that /readyz asks for", instead);
    Upstream {
        name: Located { value: name.value.to_owned(), at: name.at },
        endpoints: endpoints.map(|found| found.value).unwrap_or_default(),
        protocol,
        tls,
        replay,
        config,
    }
}

/// `speaks`: whether there are endpoints that may speak HTTP/2, and HTTP/1.1: what is kept of each is held against what there may be of it.
fn connections(section: &mut Section<'_, '_>, config: &mut UpstreamConfig, speaks: [bool; 2]) {
    section.group("connections", "connections to one endpoint, of one worker", |group| {
        let kept = Number { min: 0, max: 1024, of: "connections" };
        let min = group.take("min", "kept although nobody needs them", &kept, &mut config.connections_min);
        let made = Number { min: 1, max: 100_000, of: "connections" };
        let of_http2 = "that take requests, at most; over HTTP/2 as many again may be ending";
        let max = group.take("max", of_http2, &made, &mut config.connections_max);
        let what = "the same where HTTP/1.1 is spoken: each request under way needs one";
        let max_http1 = group.take("max_http1", what, &made, &mut config.http1_connections_max);
        let least = config.connections_min;
        let limits =
            [("max", max, config.connections_max), ("max_http1", max_http1, config.http1_connections_max)];
        let held = limits.into_iter().zip(speaks).filter(|(_, is_spoken)| *is_spoken);
        for (name, max, most) in held.map(|(limit, _)| limit) {
            let Some(place) = min.clone().or_else(|| max.clone()).filter(|_| least > most) else { continue };
            let title = format!("`min` is {least}, which is more than `{name}`, {most}");
            let problem = Problem::new(Code::Contradiction, title, place);
            group.refuse(match max.filter(|_| min.is_some()) {
                Some(max) => problem.label("more than are made").related(max, "no more than these"),
                None => {
                    problem.label(format!("the other one is {}", if min.is_some() { most } else { least }))
                }
            });
        }
    });
}

/// Says where the buffer stands.
fn retry(group: &mut Section<'_, '_>, retry: &mut RetryConfig) -> Option<Span> {
    let attempts = Number { min: 1, max: 100, of: "attempts" };
    let what =
        "in all, where an earlier one may have been executed; idempotent methods only; 1 is none again";
    group.take("attempts", what, &attempts, &mut retry.attempts);
    let unprocessed = Number { min: 1, max: 1000, of: "attempts" };
    let what = "in all, where backends proved that they processed none (RFC 9113 section 8.7)";
    group.take("unprocessed_attempts", what, &unprocessed, &mut retry.unprocessed_attempts);
    let what = "the part of the upstream's requests, of each worker's own, that may be sent again although they may have been executed";
    group.take("budget", what, &Fraction, &mut retry.budget_percent);
    let buffer = Size { min: 0, max: 1 << 30 };
    let what = "content of one request that is kept to be sent again";
    group.take("replay_buffer", what, &buffer, &mut retry.replay_octets)
}
