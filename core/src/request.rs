//! The life of a request, in values that are moved: `Arrived`, frozen, live, finished, settled.
//!
//! *Authority is a value, an address is a key.* A request stands in one slab, in exactly one [`Place`], and the place owns
//! what may be done: a [`Frozen`] can be thawed and nothing else, a [`Live`] can be finished or frozen again, a [`Finished`]
//! can be settled. What must not happen does not compile:
//!
//! Thawing needs a permit, and moves the frozen request:
//! ```
//! # use shuntyard_core::{ledger::Permit, request::{Attempt, Frozen, Live}};
//! fn thaw(frozen: Frozen, permit: Permit, attempt: Attempt) -> Live {
//!     frozen.thaw(permit, attempt)
//! }
//! ```
//! ```compile_fail
//! # use shuntyard_core::{ledger::Permit, request::{Attempt, Frozen, Live}};
//! fn thaw_twice(frozen: Frozen, a: Permit, b: Permit, attempt: Attempt) -> (Live, Live) {
//!     (frozen.thaw(a, attempt), frozen.thaw(b, attempt))
//! }
//! ```
//! A live request is finished once, and settling wants the proof:
//! ```
//! # use shuntyard_core::request::{Attempt, Finished, Live};
//! fn finish(live: Live) -> (Finished, Attempt) {
//!     live.finish()
//! }
//! ```
//! ```compile_fail
//! # use shuntyard_core::request::{Attempt, Finished, Live};
//! fn finish_twice(live: Live) -> ((Finished, Attempt), (Finished, Attempt)) {
//!     (live.finish(), live.finish())
//! }
//! ```
//! ```compile_fail
//! # use shuntyard_core::request::Finished;
//! fn forge(finished: &Finished) -> Finished {
//!     Finished { ..*finished }
//! }
//! ```
//! ```compile_fail
//! # use shuntyard_core::{h2::StreamKey, request::Frozen};
//! fn write_while_frozen(frozen: &Frozen) -> StreamKey {
//!     frozen.stream()
//! }
//! ```

mod awaiting;
mod needs;
mod replay;
mod retry;

use std::sync::Arc;

use crate::fields::FieldSection;
use crate::h2::StreamKey;
use crate::hooks::Relay;
use crate::key::{ConnId, EndpointId, Key};
use crate::ledger::{Permit, Reservation};
use crate::message::{RequestHead, Version};
use crate::record::RequestId;
use crate::routes::Route;
use crate::time::{Duration, Instant};
pub(crate) use awaiting::{Awaiting, Queued, Request, ResponsePhase, TAKEN, Tunnel};
pub(crate) use needs::{ByNeeds, Needs, Unserved};
pub(crate) use replay::{ContentMemory, Replay};
pub(crate) use retry::{Loss, next_attempt};

/// The address of a request.
pub(crate) type RequestKey = Key<Request>;

/// Whom an engine answers to: the stream of a client's connection in this gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrontAddress {
    /// The client's connection.
    pub conn: ConnId,
    /// Its stream.
    pub stream: StreamKey,
}

/// A request whose head is complete and which nobody has seen yet.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// Names it in records.
    pub id: RequestId,
    /// Where its response goes.
    pub front: FrontAddress,
    /// What its fields say.
    pub head: RequestHead,
    /// In which the client has asked.
    pub version: Version,
    /// Who serves it; `None`: nobody does.
    pub route: Option<Arc<Route>>,
    /// Its fields, as they will leave.
    pub fields: FieldSection,
    /// The memory that they were granted, where they were.
    pub sections: Option<Reservation>,
    /// How soon it is wanted (RFC 9218 section 4.1).
    pub urgency: u8,
    /// It has no content.
    pub end: bool,
    /// When it came.
    pub at: Instant,
}

impl Arrived {
    /// Divides the request: what goes to an engine, and what stays to wait for the response.
    pub(crate) fn freeze(self) -> Request {
        let (awaiting, fields) = Awaiting::new(self);
        Request::new(awaiting, fields, Place::Frozen(Frozen(())))
    }
}

/// A request on its way to an engine. Nothing of it is emitted to anyone; its content waits with
/// `Awaiting`, bounded by the window that the client was given.
#[cfg_attr(feature = "fork", derive(Clone))]
#[derive(Debug)]
pub struct Frozen(());

impl Frozen {
    /// The engine gave it a stream.
    pub fn thaw(self, permit: Permit, attempt: Attempt) -> Live {
        Live { permit, attempt, pace: (attempt.thawed, 0), relay: None, kept_out: None }
    }

    /// It will never be thawed.
    pub fn abandon(self) -> Finished {
        Finished { held: None }
    }
}

/// One handing over of a request to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// The endpoint that has it.
    pub endpoint: EndpointId,
    /// The backend connection.
    pub conn: ConnId,
    /// Its stream.
    pub stream: StreamKey,
    /// The stream's identifier on the wire.
    pub stream_id: u32,
    /// Where its head begins, in the octets that the connection sends.
    pub head_at: u64,
    /// When it began.
    pub thawed: Instant,
    /// When the end of the request had been cut for the backend.
    pub sent: Option<Instant>,
    /// When the head of the final response came.
    pub responded: Option<Instant>,
    /// Its status, or 0.
    pub status: u16,
    /// Octets of content cut for the backend.
    pub request_octets: u64,
    /// Octets of content that came from the backend.
    pub response_octets: u64,
}

impl Attempt {
    /// How long the backend has had the whole request.
    pub fn had_for(&self, now: Instant) -> Duration {
        self.sent.map_or(Duration::ZERO, |sent| now.saturating_since(sent))
    }
}

/// A request that has a stream of a backend connection.
#[cfg_attr(feature = "fork", derive(Clone))]
#[derive(Debug)]
pub struct Live {
    permit: Permit,
    /// What is known of the attempt so far.
    pub attempt: Attempt,
    /// When how much of the response's content had come: where its speed is measured from.
    pub pace: (Instant, u64),
    /// What the content of this attempt passes through.
    pub relay: Option<Box<Relay>>,
    /// Fields that hooks have set or removed for it: its trailers do not have them.
    pub kept_out: Option<Box<FieldSection>>,
}

impl Live {
    /// The backend connection.
    pub fn conn(&self) -> ConnId {
        self.attempt.conn
    }

    /// Its stream.
    pub fn stream(&self) -> StreamKey {
        self.attempt.stream
    }

    /// Octets of memory reserved for what the backend may send.
    pub fn reserved(&self) -> u32 {
        self.permit.octets()
    }

    /// The stream's window grew by memory that the ledger has given.
    pub fn widen(&mut self, by: Reservation) {
        self.permit.widen(by);
    }

    /// The backend did not process it, or may process it twice: it may go to another engine.
    pub fn refreeze(self) -> (Frozen, Permit, Attempt) {
        (Frozen(()), self.permit, self.attempt)
    }

    /// Nothing more will be exchanged with the backend about it. The memory stays reserved while octets of the response
    /// wait for the client.
    pub fn finish(self) -> (Finished, Attempt) {
        (Finished { held: Some(self.permit.into()) }, self.attempt)
    }
}

/// The proof that no engine holds the request any more.
#[cfg_attr(feature = "fork", derive(Clone))]
#[derive(Debug)]
pub struct Finished {
    held: Option<Reservation>,
}

impl Finished {
    /// Only so many octets of the response still wait: the rest of the memory goes back to the ledger.
    pub fn trim(&mut self, octets: u32) -> Option<Reservation> {
        self.held.as_mut().map(|held| held.trim(octets))
    }

    /// The one completion: the memory that the request held.
    pub fn settle(self) -> Option<Reservation> {
        self.held
    }
}

/// Where a request is. It owns what may be done with the request there.
#[cfg_attr(feature = "fork", derive(Clone))]
#[derive(Debug)]
pub enum Place {
    /// On its way to an engine.
    Frozen(Frozen),
    /// On a backend stream.
    Live(Live),
    /// Done with the backend; what is left of the response leaves.
    Finished(Finished),
}

impl Place {
    /// Takes the authority out, to put another in. What is not put back is over.
    fn take(&mut self) -> Self {
        core::mem::replace(self, Self::Finished(Finished { held: None }))
    }
}
