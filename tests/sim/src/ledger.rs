//! What crossed the gateway's sockets, request by request: the ground on which invariants stand.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;

use shuntyard_core::config::{Config, UpstreamConfig};
use shuntyard_core::gateway::{AttemptRecord, EndRecord, Record, RequestId};

use crate::backend::Scripts;
use crate::refcodec::Field;
use crate::world::Nanos;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant.
    pub id: &'static str,
    /// What was seen.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.message)
    }
}

/// How often each check was made. Ids are a letter and a number, so that counting needs no search.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    counts: Vec<(&'static str, u64)>,
    /// How often there was what the check is about.
    premises: BTreeMap<&'static str, u64>,
}

const NUMBERS: usize = 16;

impl Checks {
    /// Counts a check, and fails where it does not hold.
    pub fn check(
        &mut self,
        id: &'static str,
        holds: bool,
        message: impl FnOnce() -> String,
    ) -> Result<(), Violation> {
        if self.counts.is_empty() {
            self.counts = vec![("", 0); 26 * NUMBERS];
        }
        let letter = usize::from(id.as_bytes()[0].saturating_sub(b'A')).min(25);
        let digits = id.as_bytes()[1..].iter().take_while(|octet| octet.is_ascii_digit());
        let number = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
        let (name, count) = &mut self.counts[letter * NUMBERS + number.min(NUMBERS - 1)];
        *name = id;
        *count += 1;
        if holds { Ok(()) } else { Err(Violation { id, message: message() }) }
    }

    /// Counts that there was what a check is about, where most of its calls look at nothing of the kind.
    pub fn premise(&mut self, id: &'static str, holds: bool) {
        if holds {
            *self.premises.entry(id).or_default() += 1;
        }
    }

    /// How often there was, by id.
    pub fn premises(&self) -> &BTreeMap<&'static str, u64> {
        &self.premises
    }

    /// The counts by id.
    pub fn by_id(&self) -> BTreeMap<&'static str, u64> {
        self.counts.iter().filter(|(_, count)| *count > 0).copied().collect()
    }
}

/// One request on one backend stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// The link of the backend connection.
    pub link: usize,
    /// The stream.
    pub stream: u32,
    /// When its head was shown.
    pub opened: Nanos,
    /// Its backend may break the rules of the connection: what it says then may not be looked at.
    pub hostile: bool,
    /// Octets of the request's content that left for the backend.
    pub request_sent: u64,
    /// END_STREAM left for the backend.
    pub request_ended: bool,
    /// The gateway reset the stream.
    pub reset_by_gateway: bool,
    /// Interim responses that came.
    pub interim: u32,
    /// The final response's head came.
    pub head: bool,
    /// The status in it.
    pub status: Option<u16>,
    /// Octets of content that came.
    pub received: u64,
    /// END_STREAM came.
    pub ended: bool,
    /// It came on a connection that the gateway had not ended.
    pub ended_in_time: bool,
    /// RST_STREAM came with this code.
    pub reset: Option<u32>,
    /// GOAWAY came and does not cover the stream.
    pub left_out: bool,
    /// It came when the attempt was over, so that nobody went by it.
    pub told_late: bool,
    /// The connection is gone.
    pub lost: bool,
    /// It went before any octet of the request left.
    pub never_left: bool,
    /// The response is not a well-formed message.
    pub malformed: bool,
    /// The response's head announced this much content.
    pub declared: Option<u64>,
    /// The head of the request as it left for the backend.
    pub fields: Vec<Field>,
    /// When it was over by what the backend said.
    pub refused_at: Option<Nanos>,
}

impl Attempt {
    /// Whether nothing more can come of it.
    pub fn is_over(&self) -> bool {
        self.reset_by_gateway || self.ended || self.reset.is_some() || self.left_out || self.lost
    }

    /// Whether the backend said that it did not process it, or cannot have seen it.
    pub fn is_unprocessed(&self) -> bool {
        self.left_out || self.never_left || self.reset == Some(crate::refcodec::frame::REFUSED_STREAM)
    }
}

/// What the client's side saw leave as the head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A backend's.
    Backend,
    /// The gateway's own, with this status.
    Local(u16),
}

/// A request goes to a backend.
#[derive(Clone, Copy, Debug)]
pub struct Thaw {
    /// The request.
    pub rid: u64,
    /// Its place among the attempts of the request, from 0.
    pub attempt: usize,
    /// When.
    pub at: Nanos,
    /// Heads of requests that had come from clients by then.
    pub heads: u64,
}

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Link and stream of the client.
    pub front: Option<(usize, u32)>,
    /// When its head came.
    pub arrived: Nanos,
    /// Its place among the heads of all requests, from 1.
    pub nth: u64,
    /// Octets of content that came from the client.
    pub received: u64,
    /// The client's END_STREAM came.
    pub request_ended: bool,
    /// The client reset the stream or its connection is gone.
    pub client_gone: bool,
    /// The client has reset the stream, and what leaves now was made in knowledge of it.
    pub gone_known: bool,
    /// Interim responses that left for the client.
    pub interim: u32,
    /// The final response's head that left for the client.
    pub head: Option<Head>,
    /// The status in it, where it is a backend's.
    pub status: Option<u16>,
    /// Octets of content that left for the client.
    pub sent: u64,
    /// END_STREAM left for the client.
    pub ended: bool,
    /// RST_STREAM left for the client with this code.
    pub reset: Option<u32>,
    /// The gateway's GOAWAY does not cover the stream.
    pub left_out: bool,
    /// The request is not a well-formed message.
    pub malformed: bool,
    /// Lines of the request, and of responses, that came with the order never to index them.
    pub never: [BTreeSet<Field>; 2],
    /// On backends, in order.
    pub attempts: Vec<Attempt>,
}

impl Trace {
    /// Whether the client has its answer, or wants none.
    pub fn is_answered(&self) -> bool {
        self.ended || self.reset.is_some() || self.client_gone || self.left_out
    }
}

/// All requests, the gateway's records about them, and how often each check was made.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// What is true of each request.
    pub scripts: Scripts,
    /// By number.
    pub traces: BTreeMap<u64, Trace>,
    /// Heads of requests that came from clients.
    pub heads: u64,
    /// Records that began a request.
    pub started: BTreeSet<RequestId>,
    /// Records that ended one.
    pub ended: BTreeSet<RequestId>,
    /// The records themselves.
    pub end_records: Vec<EndRecord>,
    /// Those of attempts.
    pub attempt_records: Vec<AttemptRecord>,
    /// Requests that may not be over: what the invariants of each step look at.
    pub active: BTreeSet<u64>,
    /// A drain was ordered.
    pub draining: bool,
    /// When it was ordered, and when its time is over.
    pub drain: Option<(Nanos, Nanos)>,
    /// Links of connections that were ordered in this step.
    pub dialled: Vec<usize>,
    /// Requests that went to a backend in this step, in order.
    pub thawed: Vec<Thaw>,
    /// Links of clients that the gateway knows to be over, and since when.
    pub fronts_over: BTreeMap<usize, Nanos>,
    /// The upstreams.
    pub upstreams: Vec<UpstreamConfig>,
    /// Which of them serves each request, where one does.
    pub upstream_of: BTreeMap<u64, usize>,
    /// Requests whose clients wait for 100 (Continue) before they send content.
    pub expecting: BTreeSet<u64>,
    /// The address that each backend link leads to.
    pub targets: BTreeMap<usize, SocketAddr>,
    /// Frozen requests that the configuration allows.
    pub queued_max: usize,
    /// Endpoints that there are.
    pub endpoints: usize,
    /// Checks made.
    pub checks: Checks,
    /// The same by the RFC's requirement that the check shows.
    pub requirements: BTreeMap<&'static str, u64>,
    /// What happened at the gateway's boundary, one line each, where it is kept.
    pub log: Option<Vec<String>>,
    /// The present moment, for the log.
    pub now: Nanos,
    /// How much later than due timers may come, and with jumps of the clock.
    pub slack: Nanos,
    /// When requests were last seen to wait in the gateway's queues.
    pub queued_at: Nanos,
}

impl Ledger {
    /// A ledger for these requests.
    pub fn new(scripts: Scripts) -> Self {
        Self { scripts, ..Self::default() }
    }

    /// The same with the limits of a configuration.
    pub fn limited(mut self, config: &Config) -> Self {
        self.upstreams.clone_from(&config.upstreams);
        for upstream in &config.upstreams {
            self.endpoints += upstream.endpoints.len();
            self.queued_max = self.queued_max.saturating_add(upstream.queue_max as usize);
        }
        self
    }

    /// Counts a check, and fails where it does not hold.
    pub fn check(
        &mut self,
        id: &'static str,
        holds: bool,
        message: impl FnOnce() -> String,
    ) -> Result<(), Violation> {
        self.checks.check(id, holds, message)
    }

    /// As [`check`](Self::check), and counts the requirements of RFCs that it shows.
    pub fn require(
        &mut self,
        requirements: &[&'static str],
        id: &'static str,
        holds: bool,
        message: impl FnOnce() -> String,
    ) -> Result<(), Violation> {
        requirements.iter().for_each(|requirement| *self.requirements.entry(requirement).or_default() += 1);
        self.check(id, holds, message)
    }

    /// L1: each request has exactly one start record and at most one end record, the start first.
    pub fn record(&mut self, record: &Record) -> Result<(), Violation> {
        match record {
            Record::Started { request, .. } => {
                let fresh = self.started.insert(*request);
                self.check("L1", fresh, || format!("{request:?} started twice"))?;
                let (started, heads) = (self.started.len() as u64, self.heads);
                self.check("L1", started <= heads, || {
                    format!("{started} requests started, {heads} heads came")
                })
            }
            Record::Attempt(attempt) => {
                let known = self.started.contains(&attempt.request) && !self.ended.contains(&attempt.request);
                self.attempt_records.push(attempt.clone());
                self.check("L1", known, || format!("an attempt of no request: {attempt:?}"))
            }
            Record::Ended(end) => {
                let known = self.started.contains(&end.request);
                self.check("L1", known, || format!("{:?} ended and never started", end.request))?;
                let fresh = self.ended.insert(end.request);
                self.end_records.push(end.clone());
                self.check("L1", fresh, || format!("{:?} ended twice", end.request))
            }
        }
    }

    /// The upstream that serves a request.
    pub fn upstream(&self, rid: u64) -> Option<&UpstreamConfig> {
        self.upstreams.get(*self.upstream_of.get(&rid)?)
    }

    /// A drain is ordered.
    pub fn drains(&mut self, now: Nanos, time: Nanos) {
        self.draining = true;
        self.drain = Some((now, now.saturating_add(time)));
    }

    /// Whether a drain has kept a request from what is owed to others: it came when the drain was ordered, or its time is over.
    pub fn drain_excuses(&self, trace: &Trace) -> bool {
        self.drain.is_some_and(|(ordered, over)| trace.arrived >= ordered || self.now >= over)
    }

    /// Adds a line to the log, where it is kept.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(format!("{} {}", self.now, line()));
        }
    }

    /// The trace of a request.
    pub fn trace(&mut self, rid: u64) -> &mut Trace {
        self.traces.entry(rid).or_default()
    }

    /// The attempt of a request on a backend's stream.
    pub fn attempt(&mut self, rid: u64, link: usize, stream: u32) -> Option<&mut Attempt> {
        let attempts = &mut self.traces.get_mut(&rid)?.attempts;
        attempts.iter_mut().rev().find(|attempt| (attempt.link, attempt.stream) == (link, stream))
    }
}
