//! What counters must say, made from the records of the same requests.
#![allow(unreachable_pub, reason = "a module of test binaries")]

use std::collections::BTreeMap;

use shuntyard_core::counters::{BOUNDARIES, Durations, Fault, Histogram, PerCause};
use shuntyard_core::gateway::Snapshot;
use shuntyard_core::record::{AttemptOutcome, AttemptRecord, Cause, EndRecord, Outcome};
use shuntyard_core::time::{Duration, Instant};

/// Numbers by name: what was counted, or what should have been.
type Sums = BTreeMap<String, u64>;

/// Every number in the snapshots of all workers equals what the records of their requests add up to. Nothing may be
/// under way.
pub fn assert_agree(snapshots: &[Snapshot], ends: &[EndRecord], attempts: &[AttemptRecord]) {
    let (counted, recorded) = (counted(snapshots), recorded(ends, attempts));
    let names: std::collections::BTreeSet<_> = counted.keys().chain(recorded.keys()).collect();
    let value = |sums: &Sums, name: &String| sums.get(name).copied().unwrap_or(0);
    let wrong: Vec<_> = names
        .into_iter()
        .map(|name| (name, value(&counted, name), value(&recorded, name)))
        .filter(|(_, counted, recorded)| counted != recorded)
        .collect();
    assert!(wrong.is_empty(), "name, counted, recorded: {wrong:#?}");
    let accepted: u64 = snapshots.iter().map(Snapshot::started).sum();
    let ended: u64 = snapshots.iter().map(Snapshot::ended).sum();
    assert_eq!((accepted, ended), (ends.len() as u64, ends.len() as u64), "requests accepted and ended");
}

fn counted(snapshots: &[Snapshot]) -> Sums {
    let mut sums = Sums::new();
    let mut add = |name: String, value: u64| *sums.entry(name).or_default() += value;
    for snapshot in snapshots {
        let routes = snapshot.routes.iter().map(|route| (&*route.name, &route.counters));
        for (name, of) in routes.chain([("-", &snapshot.unrouted)]) {
            let named = |what: &str| format!("route {name} {what}");
            add(named("Complete"), of.complete);
            add(named("LocalReply"), of.local_replies);
            add(named("Truncated"), of.truncated);
            add(named("ClientGone"), of.client_gone);
            add(named("ClientError"), of.client_errors);
            add(named("attempts"), of.attempts);
            add(named("maybe executed"), of.maybe_executed);
            add(named("request octets"), of.request_octets);
            add(named("response octets"), of.response_octets);
            of.statuses.0.iter().enumerate().for_each(|(class, &n)| add(named(&format!("{class}xx")), n));
            causes(&of.causes).for_each(|(cause, n)| add(named(&cause), n));
            durations(&of.durations).for_each(|(what, n)| add(named(&what), n));
            histogram(&of.first_octet).for_each(|(what, n)| add(named(&format!("first octet {what}")), n));
        }
        for upstream in &snapshot.upstreams {
            let waits: u64 = upstream.counters.waits.count();
            add(format!("upstream {} thaws", upstream.name), waits);
            causes(&upstream.counters.retries).for_each(|(cause, n)| add(format!("retries {cause}"), n));
            for endpoint in &upstream.endpoints {
                let of = &endpoint.counters;
                let named = |what: &str| format!("endpoint {} {what}", endpoint.label);
                add(named("begun"), of.attempts);
                add(named("Complete"), of.complete);
                add(named("Unprocessed"), of.unprocessed);
                add(named("Failed"), of.failed);
                add(named("Abandoned"), of.abandoned);
                add(named("request octets"), of.request_octets);
                add(named("response octets"), of.response_octets);
                of.statuses.0.iter().enumerate().for_each(|(class, &n)| add(named(&format!("{class}xx")), n));
                causes(&of.causes).for_each(|(cause, n)| add(named(&cause), n));
                durations(&of.durations).for_each(|(what, n)| add(named(&what), n));
                histogram(&of.first_octet)
                    .for_each(|(what, n)| add(named(&format!("first octet {what}")), n));
            }
        }
    }
    sums
}

fn recorded(ends: &[EndRecord], attempts: &[AttemptRecord]) -> Sums {
    let mut sums = Sums::new();
    let mut add = |name: String, value: u64| *sums.entry(name).or_default() += value;
    for end in ends {
        let named = |what: &str| format!("route {} {what}", end.route.as_deref().unwrap_or("-"));
        let (outcome, cause, fault) = match end.outcome {
            Outcome::Complete => ("Complete", None, ""),
            Outcome::LocalReply(cause) => ("LocalReply", Some(cause), cause.name()),
            Outcome::Truncated(cause) => ("Truncated", Some(cause), cause.name()),
            Outcome::ClientGone => ("ClientGone", None, "client_gone"),
            Outcome::ClientError => ("ClientError", None, "client_error"),
        };
        add(named(outcome), 1);
        cause.iter().for_each(|cause| add(named(cause.name()), 1));
        add(named("attempts"), end.attempts.into());
        add(named("maybe executed"), end.maybe_executed.into());
        add(named("request octets"), end.request_octets);
        add(named("response octets"), end.response_octets);
        add(named(&format!("{}xx", end.status / 100)), 1);
        let (bucket, micros) = observed(end.accepted, end.ended);
        let series = format!("took {} {fault}", end.status);
        add(named(&format!("{series} in {bucket}")), 1);
        add(named(&format!("{series} micros")), micros);
        if let Some(at) = end.responded {
            let (bucket, micros) = observed(end.accepted, at);
            add(named(&format!("first octet in {bucket}")), 1);
            add(named("first octet micros"), micros);
        }
    }
    for (place, attempt) in attempts.iter().enumerate() {
        add(format!("upstream {} thaws", attempt.upstream), 1);
        let (outcome, cause, fault) = match attempt.outcome {
            AttemptOutcome::Complete => ("Complete", None, ""),
            AttemptOutcome::Unprocessed(cause) => ("Unprocessed", Some(cause), cause.name()),
            AttemptOutcome::Failed(cause) => ("Failed", Some(cause), cause.name()),
            AttemptOutcome::Abandoned => ("Abandoned", None, "abandoned"),
        };
        // It was sent again if another attempt of the same request follows.
        let again = |later: &AttemptRecord| later.request == attempt.request;
        if let Some(cause) = cause.filter(|_| attempts[place + 1..].iter().any(again)) {
            add(format!("retries {}", cause.name()), 1);
        }
        let named = |what: &str| format!("endpoint {} {what}", attempt.endpoint);
        add(named("begun"), 1);
        add(named(outcome), 1);
        cause.iter().for_each(|cause| add(named(cause.name()), 1));
        add(named("request octets"), attempt.request_octets);
        add(named("response octets"), attempt.response_octets);
        add(named(&format!("{}xx", attempt.status / 100)), 1);
        let (bucket, micros) = observed(attempt.thawed, attempt.ended);
        let series = format!("took {} {fault}", attempt.status);
        add(named(&format!("{series} in {bucket}")), 1);
        add(named(&format!("{series} micros")), micros);
        if let Some(at) = attempt.responded {
            let (bucket, micros) = observed(attempt.thawed, at);
            add(named(&format!("first octet in {bucket}")), 1);
            add(named("first octet micros"), micros);
        }
    }
    sums
}

/// The bucket of a duration by linear search from the other end than the histogram's own, and its microseconds.
fn observed(from: Instant, to: Instant) -> (usize, u64) {
    let duration = to.saturating_since(from);
    let bucket = BOUNDARIES.iter().rposition(|&boundary| duration > boundary).map_or(0, |below| below + 1);
    (bucket, Duration::as_micros(&duration) as u64)
}

fn causes(of: &PerCause) -> impl Iterator<Item = (String, u64)> {
    of.iter().map(|(cause, n): (Cause, u64)| (cause.name().to_owned(), n))
}

fn histogram(of: &Histogram) -> impl Iterator<Item = (String, u64)> {
    let buckets = of.buckets.iter().enumerate().map(|(bucket, &n)| (format!("in {bucket}"), n));
    buckets.chain([("micros".to_owned(), of.sum_micros)])
}

/// By status and fault; methods are added up, for records of attempts do not have them.
fn durations(of: &Durations) -> impl Iterator<Item = (String, u64)> {
    of.iter().flat_map(|(labels, of)| {
        let series = format!("took {} {}", labels.status, labels.fault.map_or("", Fault::name));
        histogram(of).map(move |(what, n)| (format!("{series} {what}"), n))
    })
}
