//! Plain integers, kept where things happen: what metrics and status pages are made of.
//!
//! They cost an addition each: nothing is hashed, and memory is taken only when a combination of labels is seen for the
//! first time. They only rise, and their sums equal those of the [records](crate::record), whether records are wanted or
//! not.

mod histogram;
mod per;

pub use histogram::{BOUNDARIES, Durations, Fault, Histogram, Labels};
pub use per::{Limit, PerCause, PerCode, PerError, PerStatus};

use crate::error::{ConnectionError, StreamError};
pub use crate::h2::Traffic;
use crate::message::Method;
use crate::record::{AttemptOutcome, Cause, Outcome};
use crate::time::{Duration, Instant};

/// What happened to the requests of one route, as its clients saw it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteCounters {
    /// Requests accepted.
    pub started: u64,
    /// Requests whose response left whole.
    pub complete: u64,
    /// Requests that the gateway answered itself.
    pub local_replies: u64,
    /// Requests whose response had begun and was cut short.
    pub truncated: u64,
    /// Requests whose client went away.
    pub client_gone: u64,
    /// Requests whose client broke the protocol.
    pub client_errors: u64,
    /// Attempts of all requests that have ended.
    pub attempts: u64,
    /// Of these: those that a backend may have executed although nothing of their response was passed on.
    pub maybe_executed: u64,
    /// Octets of content received from clients.
    pub request_octets: u64,
    /// Octets of content cut for clients.
    pub response_octets: u64,
    /// By the class of the status that left.
    pub statuses: PerStatus,
    /// Answers of the gateway and truncated responses, by their cause.
    pub causes: PerCause,
    /// From the head of a request to its end.
    pub durations: Durations,
    /// From the head of a request to the head of its response.
    pub first_octet: Histogram,
}

/// What a request was, at its end.
#[derive(Clone, Copy, Debug)]
pub struct RequestEnd {
    /// Its method.
    pub method: Method,
    /// The status that left, or 0.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Octets of content received from the client.
    pub request_octets: u64,
    /// Octets of content cut for the client.
    pub response_octets: u64,
    /// How often it was handed to a backend.
    pub attempts: u32,
    /// Of these: those that may have been executed in vain.
    pub maybe_executed: u32,
    /// From its head to its end.
    pub duration: Duration,
    /// From its head to that of its response, where there was one.
    pub first_octet: Option<Duration>,
}

impl RouteCounters {
    /// A request is over.
    #[inline(always)]
    pub fn ended(&mut self, end: &RequestEnd) {
        let (fault, counter) = match end.outcome {
            Outcome::Complete => (None, &mut self.complete),
            Outcome::LocalReply(cause) => (Some(Fault::Cause(cause)), &mut self.local_replies),
            Outcome::Truncated(cause) => (Some(Fault::Cause(cause)), &mut self.truncated),
            Outcome::ClientGone => (Some(Fault::ClientGone), &mut self.client_gone),
            Outcome::ClientError => (Some(Fault::ClientError), &mut self.client_errors),
        };
        *counter += 1;
        if let Some(Fault::Cause(cause)) = fault {
            self.causes.add(cause);
        }
        self.attempts += u64::from(end.attempts);
        self.maybe_executed += u64::from(end.maybe_executed);
        self.request_octets += end.request_octets;
        self.response_octets += end.response_octets;
        self.statuses.add(end.status);
        self.durations.observe(Labels { method: end.method, status: end.status, fault }, end.duration);
        if let Some(first_octet) = end.first_octet {
            self.first_octet.observe(first_octet);
        }
    }

    /// Requests that have ended.
    pub fn ends(&self) -> u64 {
        self.complete + self.local_replies + self.truncated + self.client_gone + self.client_errors
    }

    /// Adds what another gateway counted of the same route.
    pub fn merge(&mut self, other: &Self) {
        self.started += other.started;
        self.complete += other.complete;
        self.local_replies += other.local_replies;
        self.truncated += other.truncated;
        self.client_gone += other.client_gone;
        self.client_errors += other.client_errors;
        self.attempts += other.attempts;
        self.maybe_executed += other.maybe_executed;
        self.request_octets += other.request_octets;
        self.response_octets += other.response_octets;
        self.statuses.merge(&other.statuses);
        self.causes.merge(&other.causes);
        self.durations.merge(&other.durations);
        self.first_octet.merge(&other.first_octet);
    }
}

/// What happened to the requests of one upstream, all its endpoints together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpstreamCounters {
    /// How long requests waited frozen, each time that they were thawed.
    pub waits: Histogram,
    /// Requests handed to a backend again, by what ended the attempt before.
    pub retries: PerCause,
}

impl UpstreamCounters {
    /// Adds what another gateway counted of the same upstream.
    pub fn merge(&mut self, other: &Self) {
        self.waits.merge(&other.waits);
        self.retries.merge(&other.retries);
    }
}

/// What happened at one endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointCounters {
    /// Its connections.
    pub wire: SideCounters,
    /// By what it was: connections that could not be made, or were lost before the backend's SETTINGS came; those that ended as soon as they stood, from the
    /// fourth in a row on; and each time that no address was found for the endpoint's name and none is known.
    pub dials_failed: PerCause,
    /// GOAWAY frames that came from it, by their code.
    pub goaways: PerCode,
    /// Attempts begun.
    pub attempts: u64,
    /// Attempts whose response was received whole.
    pub complete: u64,
    /// Attempts that the backend has proved not to have processed.
    pub unprocessed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts that nobody was interested in any more.
    pub abandoned: u64,
    /// Attempts that failed or were not processed, by their cause.
    pub causes: PerCause,
    /// By the class of the status that came.
    pub statuses: PerStatus,
    /// Octets of content that left in ended attempts.
    pub request_octets: u64,
    /// Octets of content that came in ended attempts.
    pub response_octets: u64,
    /// From the thawing of a request to the end of the attempt.
    pub durations: Durations,
    /// From the thawing of a request to the head of the response.
    pub first_octet: Histogram,
    /// The failure that came last, and when.
    pub last_failure: Option<(Instant, Cause)>,
}

/// What an attempt was, at its end.
#[derive(Clone, Copy, Debug)]
pub struct AttemptEnd {
    /// The request's method.
    pub method: Method,
    /// The status that came, or 0.
    pub status: u16,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// Octets of content that left.
    pub request_octets: u64,
    /// Octets of content that came.
    pub response_octets: u64,
    /// From its begin to its end.
    pub duration: Duration,
    /// From its begin to the head of the response, where one came.
    pub first_octet: Option<Duration>,
    /// When it ended.
    pub at: Instant,
}

impl EndpointCounters {
    /// An attempt is over.
    pub fn ended(&mut self, end: &AttemptEnd) {
        let (fault, counter) = match end.outcome {
            AttemptOutcome::Complete => (None, &mut self.complete),
            AttemptOutcome::Unprocessed(cause) => (Some(Fault::Cause(cause)), &mut self.unprocessed),
            AttemptOutcome::Failed(cause) => (Some(Fault::Cause(cause)), &mut self.failed),
            AttemptOutcome::Abandoned => (Some(Fault::Abandoned), &mut self.abandoned),
        };
        *counter += 1;
        if let Some(Fault::Cause(cause)) = fault {
            self.causes.add(cause);
            self.last_failure = Some((end.at, cause));
        }
        self.statuses.add(end.status);
        self.request_octets += end.request_octets;
        self.response_octets += end.response_octets;
        self.durations.observe(Labels { method: end.method, status: end.status, fault }, end.duration);
        if let Some(first_octet) = end.first_octet {
            self.first_octet.observe(first_octet);
        }
    }

    /// No connection came about, or none that is of use.
    pub fn dial_failed(&mut self, cause: Cause, at: Instant) {
        self.dials_failed.add(cause);
        self.last_failure = Some((at, cause));
    }

    /// Attempts that have ended.
    pub fn ends(&self) -> u64 {
        self.complete + self.unprocessed + self.failed + self.abandoned
    }

    /// Adds what another gateway counted of the same endpoint.
    pub fn merge(&mut self, other: &Self) {
        self.durations.merge(&other.durations);
        self.add(other);
    }

    /// Takes over what the same gateway has counted of an endpoint that is gone.
    pub fn take_over(&mut self, other: &Self) {
        self.durations.take_over(&other.durations);
        self.add(other);
    }

    /// All but the durations.
    fn add(&mut self, other: &Self) {
        self.wire.merge(&other.wire);
        self.dials_failed.merge(&other.dials_failed);
        self.goaways.merge(&other.goaways);
        self.attempts += other.attempts;
        self.complete += other.complete;
        self.unprocessed += other.unprocessed;
        self.failed += other.failed;
        self.abandoned += other.abandoned;
        self.causes.merge(&other.causes);
        self.statuses.merge(&other.statuses);
        self.request_octets += other.request_octets;
        self.response_octets += other.response_octets;
        self.first_octet.merge(&other.first_octet);
        self.last_failure = self.last_failure.max(other.last_failure);
    }
}

/// What happened on the connections of one side: clients', or one endpoint's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SideCounters {
    /// Connections accepted, or ordered.
    pub opened: u64,
    /// Of these: those that are gone.
    pub closed: u64,
    /// What has passed on all of them.
    pub traffic: Traffic,
    /// Connections that ended because the peer broke the protocol, in the order of [`ConnectionError::ALL`].
    pub connection_errors: PerError<{ ConnectionError::ALL.len() }>,
    /// Streams that ended because the peer broke the protocol, in the order of [`StreamError::ALL`].
    pub stream_errors: PerError<{ StreamError::ALL.len() }>,
}

impl SideCounters {
    /// The connection ended for this.
    pub fn connection_error(&mut self, error: ConnectionError) {
        self.connection_errors.add(error as usize);
    }

    /// A stream ended for this.
    pub fn stream_error(&mut self, error: StreamError) {
        self.stream_errors.add(error as usize);
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.traffic.merge(&other.traffic);
        self.connection_errors.merge(&other.connection_errors);
        self.stream_errors.merge(&other.stream_errors);
    }
}
