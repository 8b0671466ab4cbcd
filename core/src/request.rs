//! The life of a request, in values that are moved: `Arrived`, frozen, live, finished, settled.
//!
//! *Authority is a value, an address is a key.* A request stands in one slab, in exactly one [`Place`], and the place owns
//! what may be done: a [`Frozen`] can be thawed and nothing else, a [`Live`] can be finished or frozen again, a [`Finished`]
//! can be settled. What must not happen does not compile:
//!
//! Thawing needs a permit, and moves the frozen request:
//! ```
//! # use shuntyard_core::{h2::StreamKey, key::ConnId, ledger::Permit, request::{Frozen, Live}};
//! fn thaw(frozen: Frozen, permit: Permit, conn: ConnId, stream: StreamKey) -> Live {
//!     frozen.thaw(permit, conn, stream)
//! }
//! ```
//! ```compile_fail
//! # use shuntyard_core::{h2::StreamKey, key::ConnId, ledger::Permit, request::{Frozen, Live}};
//! fn thaw_twice(frozen: Frozen, a: Permit, b: Permit, conn: ConnId, stream: StreamKey) -> (Live, Live) {
//!     (frozen.thaw(a, conn, stream), frozen.thaw(b, conn, stream))
//! }
//! ```
//! A live request is finished once, and settling wants the proof:
//! ```
//! # use shuntyard_core::{fields::FieldSection, request::{Finished, Live}};
//! fn finish(live: Live) -> (Finished, FieldSection) {
//!     live.finish()
//! }
//! ```
//! ```compile_fail
//! # use shuntyard_core::{fields::FieldSection, request::{Finished, Live}};
//! fn finish_twice(live: Live) -> ((Finished, FieldSection), (Finished, FieldSection)) {
//!     (live.finish(), live.finish())
//! }
//! ```
//! ```compile_fail
//! # use shuntyard_core::request::Finished;
//! fn forge() -> Finished {
//!     Finished { held: None }
//! }
//! ```
//! ```compile_fail
//! # use shuntyard_core::{h2::StreamKey, request::Frozen};
//! fn write_while_frozen(frozen: &Frozen) -> StreamKey {
//!     frozen.stream()
//! }
//! ```

use crate::address::Address;
use crate::deadline::DeadlineKey;
use crate::fields::FieldSection;
use crate::h2::StreamKey;
use crate::key::{ConnId, Key};
use crate::ledger::{Permit, Reservation};
use crate::list::{Linked, Links};
use crate::message::RequestHead;
use crate::outbox::OctetQueue;
use crate::record::{EndRecord, Outcome, RequestId};
use crate::time::Instant;
use crate::window::{ConnectionLevel, Credit, StreamLevel};

/// The address of a request.
pub type RequestKey = Key<Request>;

/// Whom an engine answers to: the stream of a client's connection in this gateway.
///
/// Requests that cross to another worker will have a second kind of address; nobody but this type knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrontAddress {
    /// The client's connection.
    pub conn: ConnId,
    /// Its stream.
    pub stream: StreamKey,
}

/// A request whose head is complete and which nobody has seen yet.
#[derive(Debug)]
pub struct Arrived {
    /// Names it in records.
    pub id: RequestId,
    /// Where its response goes.
    pub front: FrontAddress,
    /// What its fields say.
    pub head: RequestHead,
    /// Its fields, as they will leave.
    pub fields: FieldSection,
    /// It has no content.
    pub end: bool,
    /// When it came.
    pub at: Instant,
}

impl Arrived {
    /// Divides the request: what goes to an engine, and what stays to wait for the response.
    pub fn freeze(self) -> Request {
        let Self { id, front, head, fields, end, at } = self;
        let awaiting = Awaiting {
            id,
            front,
            head,
            content: OctetQueue::default(),
            content_end: end,
            trailers: None,
            upload: None,
            request_credit: Credit::none(),
            request_connection_credit: Credit::none(),
            response_credit: Credit::none(),
            response: ResponsePhase::Awaited,
            deadline: None,
            progress_at: at,
            content_given: false,
            request_octets: 0,
            response_octets: 0,
            attempts: 0,
            endpoint: None,
            accepted: at,
            thawed: None,
            responded: None,
        };
        Request { awaiting, place: Place::Frozen(Frozen { fields }), queue: Links::default() }
    }
}

/// A request on its way to an engine: its head. Nothing of it is emitted to anyone; its content waits with
/// [`Awaiting`], bounded by the window that the client was given.
#[derive(Debug)]
pub struct Frozen {
    fields: FieldSection,
}

impl Frozen {
    /// The head to send.
    pub fn fields(&self) -> &FieldSection {
        &self.fields
    }

    /// The engine gave it a stream.
    pub fn thaw(self, permit: Permit, conn: ConnId, stream: StreamKey) -> Live {
        Live { fields: self.fields, permit, conn, stream }
    }

    /// It will never be thawed.
    pub fn abandon(self) -> (Finished, FieldSection) {
        (Finished { held: None }, self.fields)
    }
}

/// A request that has a stream of a backend connection.
#[derive(Debug)]
pub struct Live {
    /// Kept until it ends, for it may have to be sent again.
    fields: FieldSection,
    permit: Permit,
    conn: ConnId,
    stream: StreamKey,
}

impl Live {
    /// The backend connection.
    pub fn conn(&self) -> ConnId {
        self.conn
    }

    /// Its stream.
    pub fn stream(&self) -> StreamKey {
        self.stream
    }

    /// The backend provably did not process it: it may go to another engine.
    pub fn refreeze(self) -> (Frozen, Permit) {
        (Frozen { fields: self.fields }, self.permit)
    }

    /// Nothing more will be exchanged with the backend about it. The memory stays reserved while octets of the response
    /// wait for the client.
    pub fn finish(self) -> (Finished, FieldSection) {
        (Finished { held: Some(self.permit.into()) }, self.fields)
    }
}

/// The proof that no engine holds the request any more.
#[derive(Debug)]
pub struct Finished {
    held: Option<Reservation>,
}

impl Finished {
    /// Only so many octets of the response still wait: the rest of the memory goes back to the ledger.
    pub fn trim(&mut self, octets: u32) -> Option<Reservation> {
        self.held.as_mut().map(|held| held.trim(octets))
    }
}

/// Where a request is. It owns what may be done with the request there.
#[derive(Debug)]
pub enum Place {
    /// On its way to an engine.
    Frozen(Frozen),
    /// On a backend stream.
    Live(Live),
    /// Done with the backend; what is left of the response leaves.
    Finished(Finished),
    /// Being moved, inside one step.
    Moving,
}

impl Place {
    /// Takes the authority out, to put another in.
    pub fn take(&mut self) -> Self {
        core::mem::replace(self, Self::Moving)
    }
}

/// How far the response has come on its way to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponsePhase {
    /// Nothing but interim responses was passed on.
    Awaited,
    /// The final head with this status was passed on.
    Begun(u16),
    /// The gateway answers by itself, with this status.
    Local(u16, crate::record::Cause),
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineTarget {
    /// A connection.
    Conn(ConnId),
    /// A request.
    Request(RequestKey),
    /// The drain of the whole gateway.
    Drain,
    /// The pause after a dial that failed.
    Redial(usize),
}

/// What stays with the front stream until the request is over: its content while nobody takes it, the credit owed to
/// both sides, and the duties of its end.
#[derive(Debug)]
pub struct Awaiting {
    /// Names it in records.
    pub id: RequestId,
    /// Where the response goes.
    pub front: FrontAddress,
    /// What the request's fields say.
    pub head: RequestHead,
    /// Content that no engine has taken yet.
    pub content: OctetQueue,
    /// The client has ended the request.
    pub content_end: bool,
    /// Trailers that no engine has taken yet.
    pub trailers: Option<FieldSection>,
    /// The memory for content that waits. With it the client's connection gets its credit at once, so that an upload that
    /// cannot go on does not stop the others.
    pub upload: Option<Reservation>,
    /// Owed to the client's stream for content that has not left.
    pub request_credit: Credit<StreamLevel>,
    /// Owed to the client's connection for content that has not left: only without that memory.
    pub request_connection_credit: Credit<ConnectionLevel>,
    /// Owed to the backend's stream for content that has not left.
    pub response_credit: Credit<StreamLevel>,
    /// How far the response has come.
    pub response: ResponsePhase,
    /// The deadline of the queue or of the response.
    pub deadline: Option<DeadlineKey<DeadlineTarget>>,
    /// When content moved the last time, either way.
    pub progress_at: Instant,
    /// Content was given to a backend, and not kept: the request cannot be sent again.
    pub content_given: bool,
    /// Octets of content received.
    pub request_octets: u64,
    /// Octets of content sent.
    pub response_octets: u64,
    /// How often it was thawed.
    pub attempts: u32,
    /// The endpoint of the last attempt, by its place in the configuration.
    pub endpoint: Option<usize>,
    /// When the head was complete.
    pub accepted: Instant,
    /// When it was last thawed.
    pub thawed: Option<Instant>,
    /// When the final response head was passed on.
    pub responded: Option<Instant>,
}

impl Awaiting {
    /// The one completion of a request. The memory that it held, if any, goes back to the ledger.
    pub fn settle(
        &self,
        finished: Finished,
        outcome: Outcome,
        client: Address,
        endpoint: Option<Address>,
        now: Instant,
    ) -> (EndRecord, Option<Reservation>) {
        let status = match self.response {
            ResponsePhase::Awaited => 0,
            ResponsePhase::Begun(status) | ResponsePhase::Local(status, _) => status,
        };
        let record = EndRecord {
            request: self.id,
            client,
            status,
            outcome,
            request_octets: self.request_octets,
            response_octets: self.response_octets,
            attempts: self.attempts,
            endpoint,
            accepted: self.accepted,
            thawed: self.thawed,
            responded: self.responded,
            ended: now,
        };
        (record, finished.held)
    }
}

/// A request of the gateway: what waits, and where the rest is.
#[derive(Debug)]
pub struct Request {
    /// What stays with the front.
    pub awaiting: Awaiting,
    /// Where it is.
    pub place: Place,
    /// Its place in the queue while it is frozen.
    queue: Links,
}

impl Request {
    /// Takes the request off its backend stream, if it is on one, to put it elsewhere.
    pub fn take_live(&mut self) -> Option<Live> {
        match self.place.take() {
            Place::Live(live) => Some(live),
            place @ (Place::Frozen(_) | Place::Finished(_) | Place::Moving) => {
                self.place = place;
                None
            }
        }
    }

    /// Takes the request out of the queue's hands, if it is frozen, to put it elsewhere.
    pub fn take_frozen(&mut self) -> Option<Frozen> {
        match self.place.take() {
            Place::Frozen(frozen) => Some(frozen),
            place @ (Place::Live(_) | Place::Finished(_) | Place::Moving) => {
                self.place = place;
                None
            }
        }
    }
}

/// Names the queue of frozen requests.
#[derive(Debug)]
pub enum Queued {}

impl Linked<Queued> for Request {
    fn links(&self) -> &Links {
        &self.queue
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.queue
    }
}
