//! `/status` as JSON: what the page draws, and what a script may read.

use std::time::Duration;

use serde_json::{Value, json};
use shuntyard_core::counters::{Histogram, PerCause, SideCounters, Traffic};
use shuntyard_core::gateway::{Cause, EngineState, FrontSnapshot, Snapshot};

use crate::admin::About;
use crate::admin::metrics::hits;
use crate::admin::sight::{EndpointSight, RouteSight, Sight, UpstreamSight};
use crate::log::rfc3339;

/// The whole document.
pub(super) fn json(sight: &Sight, about: &About) -> String {
    let totals = &sight.totals;
    let workers = sight.workers.iter().map(|(number, of)| (*number, of));
    let [written, dropped, failed] = about.log.as_ref().map_or([0; 3], |log| log.read());
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "adapter": about.adapter,
        "workers": about.handle.workers(),
        "stuck": sight.stuck,
        "time": rfc3339(sight.time),
        "started": rfc3339(about.started),
        "uptime_s": about.started.elapsed().unwrap_or_default().as_secs(),
        "draining": sight.draining(),
        "leaving": about.is_leaving(),
        "config": about.current.as_ref().map(|current| {
            let (revision, age, reloads) = current.standing();
            json!({
                "revision": revision, "age_s": age.as_secs(), "stale": reloads.stale,
                "reloads": reloads.succeeded, "refused": reloads.refused,
                "tls_files_stale": current.stale_files(),
            })
        }),
        "totals": {
            "clients": totals.fronts, "backend_connections": totals.backends, "engines": totals.engines,
            "requests": totals.requests, "frozen": totals.frozen, "live": totals.live,
            "finished": totals.finished, "buffered_bytes": totals.buffered_octets,
        },
        "ledger": { "reserved": sight.ledger.0, "limit": sight.ledger.1 },
        "uploads": { "reserved": sight.uploads.0, "limit": sight.uploads.1 },
        "replays": { "reserved": sight.replays.0, "limit": sight.replays.1 },
        "heads": { "reserved": sight.heads.0, "limit": sight.heads.1 },
        "front": side(&sight.front),
        "backend": side(&sight.backend),
        "limits": hits(sight).map(|(key, n, doing)| {
            json!({ "limit": key, "hits": n, "doing": doing })
        }).collect::<Value>(),
        "doing": doing(),
        "access_log": { "written": written, "dropped": dropped, "failed": failed },
        "routes": sight.routes.iter().map(|(name, of)| route(name.as_deref(), of)).collect::<Value>(),
        "upstreams": sight.upstreams.iter().map(|(name, of)| upstream(name, of)).collect::<Value>(),
        "clients": workers.clone().flat_map(|(n, of)| of.fronts.iter().map(move |front| client(n, front)))
            .collect::<Value>(),
        "engines": workers.clone().flat_map(|(n, of)| engines(n, of)).collect::<Value>(),
        "links": workers.flat_map(|(n, of)| links(n, of)).collect::<Value>(),
    })
    .to_string()
}

fn route(name: Option<&str>, RouteSight { counters: of, active }: &RouteSight) -> Value {
    json!({
        "name": name, "active": active,
        "started": of.started, "ended": of.ends(), "complete": of.complete, "local_replies": of.local_replies,
        "truncated": of.truncated, "client_gone": of.client_gone, "client_errors": of.client_errors,
        "attempts": of.attempts, "maybe_executed": of.maybe_executed,
        "request_bytes": of.request_octets, "response_bytes": of.response_octets,
        "statuses": of.statuses.0, "causes": causes(&of.causes),
        "durations": histogram(&all(&of.durations)), "first_byte": histogram(&of.first_octet),
    })
}

fn upstream(name: &str, of: &UpstreamSight) -> Value {
    json!({
        "name": name, "queued": of.queued, "queue_max": of.queue_max,
        "retries": causes(&of.counters.retries), "queue": histogram(&of.counters.waits),
        "endpoints": of.endpoints.iter().map(|(label, of)| endpoint(label, of)).collect::<Value>(),
    })
}

fn endpoint(label: &str, of: &EndpointSight) -> Value {
    let counters = &of.counters;
    let states = EngineState::ALL.iter().zip(of.connections);
    json!({
        "name": label,
        "up": of.is_up(),
        "states": of.served().map(|state| state.name()).collect::<Value>(),
        "connections": states.map(|(state, n)| (state.name().to_owned(), n.into())).collect::<serde_json::Map<_, _>>(),
        "active": of.active,
        "streams_max": of.streams_max,
        "attempts": counters.attempts, "complete": counters.complete, "unprocessed": counters.unprocessed,
        "failed": counters.failed, "abandoned": counters.abandoned,
        "request_bytes": counters.request_octets, "response_bytes": counters.response_octets,
        "causes": causes(&counters.causes), "dials_failed": causes(&counters.dials_failed),
        "durations": histogram(&all(&counters.durations)), "first_byte": histogram(&counters.first_octet),
        "last_failure": of.last_failure.map(|(age, cause)| json!({ "cause": cause, "ms_ago": age })),
        "wire": side(&counters.wire),
    })
}

fn client(worker: usize, of: &FrontSnapshot) -> Value {
    json!({
        "worker": worker, "id": of.id.to_string(), "address": of.peer.to_string(), "age_ms": millis(of.age),
        "streams": of.streams, "frozen": of.frozen, "closing": of.closing, "paused": of.paused,
        "send_window": of.windows.0, "recv_window": of.windows.1, "buffered_bytes": of.buffered,
        "traffic": traffic(&of.traffic),
    })
}

fn engines(worker: usize, of: &Snapshot) -> impl Iterator<Item = Value> {
    of.upstreams.iter().flat_map(move |upstream| {
        upstream.endpoints.iter().flat_map(move |endpoint| {
            endpoint.engines.iter().map(move |engine| {
                json!({
                    "worker": worker, "number": engine.number, "upstream": &*upstream.name,
                    "endpoint": &*endpoint.label, "state": engine.state.name(), "age_ms": millis(engine.age),
                    "streams": engine.streams, "slots": engine.slots, "send_window": engine.windows.0,
                    "recv_window": engine.windows.1, "buffered_bytes": engine.buffered,
                    "traffic": traffic(&engine.traffic),
                })
            })
        })
    })
}

fn links(worker: usize, of: &Snapshot) -> impl Iterator<Item = Value> {
    of.links.iter().map(move |link| {
        json!({ "worker": worker, "client": link.front.to_string(), "engine": link.engine, "streams": link.streams })
    })
}

fn side(of: &SideCounters) -> Value {
    json!({ "opened": of.opened, "closed": of.closed, "traffic": traffic(&of.traffic) })
}

fn traffic(of: &Traffic) -> Value {
    json!({
        "recv_bytes": of.recv_octets, "sent_bytes": of.sent_octets, "requests": of.requests,
        "resets_recv": of.resets_recv, "resets_sent": of.resets_sent,
        "goaways_recv": of.goaways_recv, "goaways_sent": of.goaways_sent, "misuse_peak": of.misuse_peak,
    })
}

/// Whose doing each cause is.
fn doing() -> Value {
    let all = Cause::ALL.iter().map(|cause| (cause.name().to_owned(), cause.doing().name().into()));
    all.collect::<serde_json::Map<_, _>>().into()
}

/// Those that were seen.
fn causes(of: &PerCause) -> Value {
    let seen = of.iter().filter(|&(_, n)| n > 0);
    seen.map(|(cause, n)| (cause.name().to_owned(), n.into())).collect::<serde_json::Map<_, _>>().into()
}

fn all(of: &shuntyard_core::counters::Durations) -> Histogram {
    let mut sum = Histogram::default();
    of.iter().for_each(|(_, one)| sum.merge(one));
    sum
}

fn histogram(of: &Histogram) -> Value {
    json!({ "buckets": of.buckets, "count": of.count(), "sum_us": of.sum_micros })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
