//! `/metrics`: the counters of all workers, as OpenMetrics or as plain text. Nothing is registered: each scrape is made
//! from the snapshots of its moment, and no worker knows that somebody scrapes.

mod failures;
mod program;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Mutex;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use shuntyard_core::counters::{BOUNDARIES, Histogram, Labels, Limit, SideCounters};
use shuntyard_core::gateway::EngineState;

use crate::admin::About;
use crate::admin::sight::{EndpointSight, Sight};
use failures::{by_cause, protocol_errors, seen};

/// What a scraper asks for that knows OpenMetrics.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text";
pub(super) const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
pub(super) const TEXT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The figures as OpenMetrics 1.0.
pub(super) fn open_metrics(sight: &Sight, about: &About) -> String {
    let mut out = String::new();
    // Writing to memory does not fail.
    let _ = text::encode(&mut out, &registry(sight, about));
    out
}

/// The figures as plain text, version 0.0.4.
pub(super) fn text(sight: &Sight, about: &About) -> String {
    let mut out = String::new();
    let _ = prometheus_text::encode(&mut out, &registry(sight, about));
    out
}

fn registry(sight: &Sight, about: &About) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Figures(Mutex::new(families(sight, about)))));
    registry
}

/// A label set. A value that is empty counts as absent, so it is left out.
type Set = Vec<(&'static str, String)>;

#[derive(Debug)]
enum Points {
    Counters(Vec<(Set, u64)>),
    Seconds(Vec<(Set, f64)>),
    Gauges(Vec<(Set, f64)>),
    Histograms(Vec<(Set, Histogram)>),
    Info(Set),
}

#[derive(Debug)]
struct Family {
    name: &'static str,
    unit: Option<Unit>,
    help: &'static str,
    points: Points,
}

#[derive(Debug)]
struct Figures(Mutex<Vec<Family>>);

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Ok(families) = self.0.lock() else { return Ok(()) };
        for Family { name, unit, help, points } in families.iter() {
            let kind = match points {
                Points::Counters(_) | Points::Seconds(_) => MetricType::Counter,
                Points::Gauges(_) => MetricType::Gauge,
                Points::Histograms(_) => MetricType::Histogram,
                Points::Info(_) => MetricType::Info,
            };
            let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
            match points {
                Points::Counters(points) => counters(&mut metric, points)?,
                Points::Seconds(points) => counters(&mut metric, points)?,
                Points::Gauges(points) => gauges(&mut metric, points)?,
                Points::Histograms(points) => histograms(&mut metric, points)?,
                Points::Info(set) => metric.encode_info(set)?,
            }
        }
        Ok(())
    }
}

fn counters(metric: &mut MetricEncoder<'_>, points: &[(Set, impl EncodeCounterValue)]) -> fmt::Result {
    for (set, value) in points {
        metric.encode_family(set)?.encode_counter::<NoLabelSet, _, u64>(value, None)?;
    }
    Ok(())
}

fn gauges(metric: &mut MetricEncoder<'_>, points: &[(Set, impl EncodeGaugeValue)]) -> fmt::Result {
    points.iter().try_for_each(|(set, value)| metric.encode_family(set)?.encode_gauge(value))
}

fn histograms(metric: &mut MetricEncoder<'_>, points: &[(Set, Histogram)]) -> fmt::Result {
    for (set, histogram) in points {
        let bounds = BOUNDARIES.iter().map(|boundary| boundary.as_secs_f64()).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(histogram.buckets).collect();
        let sum = histogram.sum_micros as f64 / 1e6;
        metric.encode_family(set)?.encode_histogram::<NoLabelSet>(sum, histogram.count(), &buckets, None)?;
    }
    Ok(())
}

fn families(sight: &Sight, about: &About) -> Vec<Family> {
    let mut families = Families(Vec::new());
    families.program(sight, about);
    families.requests(sight);
    families.backends(sight);
    families.attempts(sight);
    families.wire(sight);
    families.handshakes(about);
    families.limits(sight);
    families.process(about);
    families.0
}

struct Families(Vec<Family>);

impl Families {
    fn add(&mut self, name: &'static str, unit: Option<Unit>, help: &'static str, points: Points) {
        self.0.push(Family { name, unit, help, points });
    }

    fn count(&mut self, name: &'static str, help: &'static str, points: Vec<(Set, u64)>) {
        self.add(name, None, help, Points::Counters(points));
    }

    fn octets(&mut self, name: &'static str, help: &'static str, points: Vec<(Set, u64)>) {
        self.add(name, Some(Unit::Bytes), help, Points::Counters(points));
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, points: Vec<(Set, f64)>) {
        self.add(name, None, help, Points::Gauges(points));
    }

    fn bytes(&mut self, name: &'static str, help: &'static str, points: Vec<(Set, f64)>) {
        self.add(name, Some(Unit::Bytes), help, Points::Gauges(points));
    }

    /// Where nothing was measured there is no histogram: of many endpoints most lines would be nothing else.
    fn seconds(&mut self, name: &'static str, help: &'static str, points: Vec<(Set, Histogram)>) {
        let points = points.into_iter().filter(|(_, histogram)| histogram.count() > 0).collect();
        self.add(name, Some(Unit::Seconds), help, Points::Histograms(points));
    }
}

impl Families {
    fn requests(&mut self, sight: &Sight) {
        let routes = || sight.routes.iter().map(|(name, of)| (of_route(name.as_deref()), &of.counters));
        let mut durations = Vec::new();
        for (route, of) in routes() {
            let series = of.durations.iter();
            durations.extend(series.map(|(labels, of)| (labelled(&route, labels, 500), of.clone())));
        }
        self.seconds("http_server_request_duration", "From the head of a request to its end", durations);
        self.gauge(
            "http_server_active_requests",
            "Requests that have not ended",
            sight.routes.iter().map(|(name, of)| (of_route(name.as_deref()), of.active as f64)).collect(),
        );
        self.seconds(
            "shuntyard_first_byte",
            "From the head of a request to the head of its response",
            routes().map(|(set, of)| (set, of.first_octet.clone())).collect(),
        );
        let mut ends = Vec::new();
        for (route, of) in routes() {
            let outcomes = [
                ("complete", of.complete),
                ("local_reply", of.local_replies),
                ("truncated", of.truncated),
                ("client_gone", of.client_gone),
                ("client_error", of.client_errors),
            ];
            ends.extend(outcomes.map(|(outcome, n)| (with(&route, "outcome", outcome), n)));
        }
        self.count("shuntyard_requests", "Requests that have ended, by how", ends);
        let causes = routes().flat_map(|(route, of)| by_cause(route, "error_type", &of.causes)).collect();
        self.count(
            "shuntyard_request_failures",
            "Requests without a whole response of a backend, by why, but for those that are the gateway's to answer",
            causes,
        );
        self.count(
            "shuntyard_maybe_executed",
            "Attempts that a backend may have executed although the client got nothing of their response",
            routes().map(|(set, of)| (set, of.maybe_executed)).collect(),
        );
        let sent = routes().map(|(set, of)| (set, of.response_octets)).collect();
        let received = routes().map(|(set, of)| (set, of.request_octets)).collect();
        self.octets("shuntyard_request_content", "Content received from clients", received);
        self.octets("shuntyard_response_content", "Content sent to clients", sent);
    }

    fn backends(&mut self, sight: &Sight) {
        let upstreams = || sight.upstreams.iter().map(|(name, of)| (set([("upstream", &**name)]), of));
        self.gauge(
            "shuntyard_backend_queue_length",
            "Requests that wait for a stream",
            upstreams().map(|(set, of)| (set, of.queued as f64)).collect(),
        );
        self.gauge(
            "shuntyard_backend_queue_limit",
            "Requests that may wait for a stream",
            upstreams().filter_map(|(set, of)| Some((set, of.queue_max? as f64))).collect(),
        );
        self.seconds(
            "shuntyard_queue",
            "How long requests waited for a stream, each time they got one",
            upstreams().map(|(set, of)| (set, of.counters.waits.clone())).collect(),
        );
        let retries =
            upstreams().flat_map(|(set, of)| by_cause(set, "reason", &of.counters.retries)).collect();
        self.count("shuntyard_retries", "Requests sent again, by what ended the attempt before", retries);
        let all = upstreams().map(|(set, of)| (set, seen(&of.counters.retries))).collect();
        self.count(
            "shuntyard_requests_sent_again",
            "Requests sent again, whatever ended the attempt before",
            all,
        );
        let mut connections = Vec::new();
        for (place, of) in endpoints(sight) {
            let states = EngineState::ALL.into_iter().zip(of.connections);
            connections.extend(states.map(|(state, n)| (with(&place, "state", state.name()), n as f64)));
        }
        self.gauge(
            "shuntyard_backend_connections",
            "Connections to backends, by how they stand",
            connections,
        );
        self.gauge(
            "shuntyard_backend_streams",
            "Requests on streams of backends",
            endpoints(sight).map(|(place, of)| (place, of.active as f64)).collect(),
        );
        self.gauge(
            "shuntyard_endpoint_up",
            "1 unless no worker has an address for the endpoint or its last dial failed a moment ago",
            endpoints(sight)
                .filter_map(|(place, of)| Some((place, f64::from(u8::from(of.is_up()?)))))
                .collect(),
        );
    }

    fn attempts(&mut self, sight: &Sight) {
        let mut durations = Vec::new();
        let mut ends = Vec::new();
        for (place, of) in endpoints(sight) {
            let of = &of.counters;
            let series = of.durations.iter();
            durations.extend(series.map(|(labels, of)| (labelled(&place, labels, 400), of.clone())));
            let outcomes = [
                ("complete", of.complete),
                ("unprocessed", of.unprocessed),
                ("failed", of.failed),
                ("abandoned", of.abandoned),
            ];
            ends.extend(outcomes.map(|(outcome, n)| (with(&place, "outcome", outcome), n)));
        }
        self.seconds("http_client_request_duration", "From a stream of a backend to its end", durations);
        self.seconds(
            "shuntyard_backend_first_byte",
            "From a stream of a backend to the head of its response",
            endpoints(sight).map(|(place, of)| (place, of.counters.first_octet.clone())).collect(),
        );
        self.count("shuntyard_attempts", "Streams of backends that have ended, by how", ends);
        let causes =
            endpoints(sight).flat_map(|(place, of)| by_cause(place, "error_type", &of.counters.causes));
        let causes = causes.collect();
        self.count("shuntyard_attempt_failures", "Streams of backends that have failed, by why", causes);
        let dials =
            endpoints(sight).flat_map(|(place, of)| by_cause(place, "error_type", &of.counters.dials_failed));
        let dials = dials.collect();
        self.count(
            "shuntyard_backend_dials_failed",
            "Connections to backends that did not come about or ended as soon as they stood, and names without an address, by why",
            dials,
        );
        let all = endpoints(sight).map(|(place, of)| (place, seen(&of.counters.dials_failed))).collect();
        self.count(
            "shuntyard_backend_dial_failures",
            "All of shuntyard_backend_dials_failed, whatever the reason",
            all,
        );
        let goaways = endpoints(sight).flat_map(|(place, of)| {
            let seen = of.counters.goaways.iter().filter(|&(_, n)| n > 0);
            seen.map(move |(code, n)| (with(&place, "code", code), n)).collect::<Vec<_>>()
        });
        let goaways = goaways.collect();
        self.count("shuntyard_backend_goaway_received", "GOAWAY frames of backends, by their code", goaways);
        let sent = endpoints(sight).map(|(place, of)| (place, of.counters.request_octets)).collect();
        let received = endpoints(sight).map(|(place, of)| (place, of.counters.response_octets)).collect();
        self.octets("shuntyard_backend_request_content", "Content sent to backends", sent);
        self.octets("shuntyard_backend_response_content", "Content received from backends", received);
    }

    fn wire(&mut self, sight: &Sight) {
        let fronts = vec![(Vec::new(), sight.totals.fronts as f64)];
        self.gauge("shuntyard_front_connections", "Connections of clients", fronts);
        let opened = vec![(Vec::new(), sight.front.opened)];
        self.count("shuntyard_front_connections_opened", "Connections of clients that were accepted", opened);
        let closed = vec![(Vec::new(), sight.front.closed)];
        self.count("shuntyard_front_connections_closed", "Connections of clients that are gone", closed);
        let opened = endpoints(sight).map(|(place, of)| (place, of.counters.wire.opened)).collect();
        self.count(
            "shuntyard_backend_connections_opened",
            "Connections to backends that were ordered",
            opened,
        );
        let front = directions(&Vec::new(), &sight.front).into();
        self.octets("shuntyard_front_wire", "Octets of frames exchanged with clients", front);
        let backend =
            endpoints(sight).flat_map(|(place, of)| directions(&place, &of.counters.wire)).collect();
        self.octets("shuntyard_backend_wire", "Octets of frames exchanged with backends", backend);
        let sides = sides(sight);
        let mut resets = Vec::new();
        for (name, side) in &sides {
            let side_set = set([("side", name)]);
            resets.push((with(&side_set, "direction", "recv"), side.traffic.resets_recv));
            resets.push((with(&side_set, "direction", "sent"), side.traffic.resets_sent));
        }
        self.count("shuntyard_resets", "Streams that were reset, by whom", resets);
        let peaks = sides.iter().map(|(name, side)| (set([("side", name)]), side.traffic.misuse_peak.into()));
        self.gauge(
            "shuntyard_misuse_peak",
            "The most points that one peer has owed (max_misuse)",
            peaks.collect(),
        );
        let goaway = |of: fn(&SideCounters) -> u64| {
            sides.iter().map(|(name, side)| (set([("side", name)]), of(side))).collect()
        };
        let (sent, received) = (goaway(|of| of.traffic.goaways_sent), goaway(|of| of.traffic.goaways_recv));
        self.count("shuntyard_goaway_sent", "GOAWAY frames sent", sent);
        self.count("shuntyard_goaway_received", "GOAWAY frames received", received);
        let errors: Vec<_> = sides.iter().flat_map(|(name, side)| protocol_errors(name, side)).collect();
        let all = sides.iter().map(|(name, side)| {
            let n = protocol_errors(name, side).iter().map(|(_, n)| n).sum();
            (set([("side", name)]), n)
        });
        self.count(
            "shuntyard_peer_errors",
            "All of shuntyard_protocol_errors of a side, whatever the rule",
            all.collect(),
        );
        self.count(
            "shuntyard_protocol_errors",
            "Rules of HTTP that peers broke, and what they did not say in time",
            errors,
        );
    }

    fn handshakes(&mut self, about: &About) {
        let failed = about.handshakes.read().map(|(reason, n)| (set([("reason", reason)]), n)).collect();
        self.count(
            "shuntyard_front_handshakes_failed",
            "Connections of clients whose TLS, or whose header of the PROXY protocol, did not come about, by why",
            failed,
        );
    }

    fn limits(&mut self, sight: &Sight) {
        let hits = hits(sight).map(|(key, n, _)| (set([("limit", key)]), n)).collect();
        self.count("shuntyard_limits_hit", "How often somebody ran into a limit, by its key", hits);
        let buffered = vec![(Vec::new(), sight.totals.buffered_octets as f64)];
        self.bytes("shuntyard_buffered", "Octets that wait, in all buffers", buffered);
        let ledgers = [
            ("responses", sight.ledger),
            ("uploads", sight.uploads),
            ("replays", sight.replays),
            ("heads", sight.heads),
        ];
        let reserved = ledgers.map(|(name, (reserved, _))| (set([("ledger", name)]), reserved as f64));
        self.bytes(
            "shuntyard_ledger_reserved",
            "Memory reserved: promised to peers in windows, kept to be sent again, or for heads",
            reserved.into(),
        );
        let limit = ledgers.map(|(name, (_, limit))| (set([("ledger", name)]), limit as f64));
        self.bytes("shuntyard_ledger_limit", "Memory that may be reserved", limit.into());
    }
}

/// How often somebody ran into each limit, by its key, and whose doing that is.
pub(super) fn hits(sight: &Sight) -> impl Iterator<Item = (&'static str, u64, &'static str)> {
    // SETTINGS_MAX_CONCURRENT_STREAMS is told to clients, who as a rule keep to it. Who does not is a client that asks wrongly, as with a large head.
    let of_client = Limit::RequestHead.doing().name();
    let streams = ("max_concurrent_streams", sight.front.traffic.over_limit, of_client);
    let limits = Limit::ALL.into_iter().zip(sight.limits);
    limits.map(|(limit, n)| (key(limit), n, limit.doing().name())).chain([streams])
}

/// What an operator knows a limit by: its key in `[limits]`, or of an upstream.
const fn key(limit: Limit) -> &'static str {
    match limit {
        Limit::Fronts => "max_connections",
        Limit::FrontsPerClient => "max_connections_per_client",
        Limit::Queue => "queue.max",
        Limit::Ledger => "response_memory",
        Limit::Share => "response_memory_per_client",
        Limit::UploadLedger => "request_memory",
        Limit::Heads => "head_memory",
        Limit::RequestHead => "max_header_list_size",
    }
}

fn set<const N: usize>(labels: [(&'static str, &str); N]) -> Set {
    let some = labels.into_iter().filter(|(_, value)| !value.is_empty());
    some.map(|(name, value)| (name, value.to_owned())).collect()
}

fn with(set: &Set, name: &'static str, value: &str) -> Set {
    let mut set = set.clone();
    set.push((name, value.to_owned()));
    set
}

/// A request that no route serves has an empty label: the same as none.
fn of_route(name: Option<&str>) -> Set {
    set([("http_route", name.unwrap_or_default())])
}

fn endpoints(sight: &Sight) -> impl Iterator<Item = (Set, &EndpointSight)> {
    sight.upstreams.iter().flat_map(|(upstream, of)| {
        of.endpoints
            .iter()
            .map(|(endpoint, of)| (set([("upstream", &**upstream), ("endpoint", &**endpoint)]), of))
    })
}

/// OpenTelemetry's labels, but for the protocol's version, which would double the series. `error_type` is there where something went wrong; a
/// status is an error, too, for a server from 500, for a client from 400 on. Where only the class of a status is known, it is `5xx`.
fn labelled(place: &Set, labels: Labels, errors_from: u16) -> Set {
    let mut set = with(place, "http_request_method", labels.method.name());
    let class = labels.class();
    let status = match labels.status {
        0 => String::new(),
        _ if labels.is_folded() && class == 0 => String::new(),
        _ if labels.is_folded() => format!("{class}xx"),
        status => status.to_string(),
    };
    let error = match labels.fault.filter(|fault| fault.is_failure()) {
        Some(fault) => fault.name().to_owned(),
        None if class >= errors_from / 100 => status.clone(),
        None => String::new(),
    };
    set.push(("http_response_status_code", status));
    set.push(("error_type", error));
    set.retain(|(_, value)| !value.is_empty());
    set
}

fn directions(of: &Set, side: &SideCounters) -> [(Set, u64); 2] {
    [
        (with(of, "direction", "recv"), side.traffic.recv_octets),
        (with(of, "direction", "sent"), side.traffic.sent_octets),
    ]
}

/// Clients' connections, and all backends' together.
fn sides(sight: &Sight) -> [(&'static str, &SideCounters); 2] {
    [("front", &sight.front), ("backend", &sight.backend)]
}
