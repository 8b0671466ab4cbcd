//! What waits for a response, whoever has the rest of the request.

use std::sync::Arc;

use crate::deadline::DeadlineKey;
use crate::fields::FieldSection;
use crate::hooks::Relay;
use crate::key::{EndpointKey, LaneKey, UpstreamKey};
use crate::ledger::{Permit, Reservation};
use crate::list::{Linked, Links};
use crate::message::{RequestHead, Version};
use crate::outbox::OctetQueue;
use crate::record::{AttemptOutcome, Cause, RequestId};
use crate::request::{Arrived, Attempt, FrontAddress, Live, Needs, Place, Replay};
use crate::routes::Route;
use crate::time::{Duration, Instant};
use crate::window::{ConnectionLevel, Credit, StreamLevel};

/// How far the response has come on its way to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponsePhase {
    /// Nothing but interim responses was passed on.
    Awaited,
    /// The final head with this status was passed on.
    Begun(u16),
    /// The gateway answers by itself, with this status.
    Local(u16, Cause),
}

/// How far a tunnel has come to its end. Either side may end first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tunnel {
    /// The client's end was passed on, or nobody wants it any more.
    pub client_ended: bool,
    /// The backend's end has come, and waits behind what came before it.
    pub backend_ends: bool,
    /// The backend's end was passed on.
    pub backend_ended: bool,
}

/// What stays with the front stream until the request is over: its content while nobody takes it, the credit owed to
/// both sides, and the duties of its end.
#[cfg_attr(feature = "fork", derive(Clone))]
#[derive(Debug)]
pub(crate) struct Awaiting {
    /// Names it in records.
    pub id: RequestId,
    /// Where the response goes.
    pub front: FrontAddress,
    /// What the request's fields say.
    pub head: RequestHead,
    /// In which the client has asked.
    pub version: Version,
    /// Who serves it; `None`: nobody does.
    pub route: Option<Arc<Route>>,
    /// Its lane in the queue of frozen requests, once it was there.
    pub lane: Option<LaneKey>,
    /// Of the client's requests the more urgent are thawed first: 0 to 7 (RFC 9218 section 4.1).
    pub urgency: u8,
    /// Content that no engine has taken yet.
    pub content: OctetQueue,
    /// The client has ended the request.
    pub content_end: bool,
    /// Trailers that no engine has taken yet.
    pub trailers: Option<FieldSection>,
    /// The memory for content that waits. With it the client's connection gets its credit at once, so that an upload that
    /// cannot go on does not stop the others.
    pub upload: Option<Reservation>,
    /// The memory for its head and for trailers, its own and those of the response.
    pub sections: Option<Reservation>,
    /// Owed to the client's stream for content that has not left.
    pub request_credit: Credit<StreamLevel>,
    /// Owed to the client's connection for content that has not left: only without that memory.
    pub request_connection_credit: Credit<ConnectionLevel>,
    /// Owed to the backend's stream for content that has not left.
    pub response_credit: Credit<StreamLevel>,
    /// What the content of the response passes through.
    pub relay: Option<Box<Relay>>,
    /// Fields that hooks have set or removed in the response: its trailers do not have them.
    pub kept_out: Option<Box<FieldSection>>,
    /// It has become a tunnel.
    pub tunnel: Option<Tunnel>,
    /// How far the response has come.
    pub response: ResponsePhase,
    /// The deadline of the queue or of the response.
    pub deadline: Option<DeadlineKey>,
    /// When content moved the last time, either way.
    pub progress_at: Instant,
    /// How much content had been cut for its client, on whichever stream, when it was last found to wait for others: the last digits.
    pub cut_before: u32,
    /// The deadline of the whole exchange, where the route has one.
    pub total: Option<DeadlineKey>,
    /// What a backend was given, for another attempt.
    pub replay: Replay,
    /// It was refused, and rests before it goes back to the queue.
    pub paused: bool,
    /// It waits in a queue of which more than half was taken, and its client's places there are counted.
    pub crowds: bool,
    /// What it has reserved of the ledger while more than half of that was, counted for its client.
    pub crowds_memory: u32,
    /// How much of the response must have left when it is looked at next, if any of it waits.
    pub due: u64,
    /// Since when.
    pub due_since: Instant,
    /// The endpoint that failed it last: another one is preferred.
    pub avoid: Option<EndpointKey>,
    /// What it needs of a backend.
    pub needs: Needs,
    /// How large its head is as a backend would get it, where one does not take it; or 0.
    pub large_head: u32,
    /// How long it waited frozen before it was thawed the last time.
    pub waited: Duration,
    /// How long backends had the whole request in attempts that came to nothing.
    pub tried: Duration,
    /// Octets of content received.
    pub request_octets: u64,
    /// Octets of content sent.
    pub response_octets: u64,
    /// What ended the last attempt, until the next begins.
    pub last_failure: Option<Cause>,
    /// How often it was thawed.
    pub attempts: u32,
    /// Of these attempts: how many a backend may have executed although no response of theirs was passed on.
    pub maybe_executed: u32,
    /// When the head was complete.
    pub accepted: Instant,
    /// When it was last frozen.
    pub frozen: Instant,
    /// When it was last thawed.
    pub thawed: Option<Instant>,
    /// When the final response head was passed on.
    pub responded: Option<Instant>,
}

/// Who takes so much content in the time that a stream may stand still takes turns. PINGs, heads and an octet now and then are no turns.
pub(crate) const TAKEN: u64 = 16 << 10;

impl Awaiting {
    /// Whose backends serve it, if anybody's do.
    pub(crate) fn upstream(&self) -> Option<UpstreamKey> {
        self.route.as_ref().map(|route| route.upstream)
    }

    /// So much of the response waits for its client: if all that was due has left, this is due from now on.
    #[inline]
    pub(crate) fn falls_due(&mut self, waiting: usize, now: Instant) {
        if self.response_octets >= self.due {
            self.set_due(waiting, now);
        }
    }

    /// So much of the response waits for its client: [enough](TAKEN) of it is due from now on.
    pub(crate) fn set_due(&mut self, waiting: usize, now: Instant) {
        self.due = self.response_octets + (waiting as u64).min(TAKEN);
        self.due_since = now;
    }

    /// What waits for the response to this request, and its head, which does not.
    pub(super) fn new(arrived: Arrived) -> (Self, FieldSection) {
        let at = arrived.at;
        let awaiting = Self {
            id: arrived.id,
            front: arrived.front,
            head: arrived.head,
            version: arrived.version,
            route: arrived.route,
            lane: None,
            urgency: arrived.urgency,
            content: OctetQueue::default(),
            content_end: arrived.end,
            trailers: None,
            upload: None,
            sections: arrived.sections,
            request_credit: Credit::none(),
            request_connection_credit: Credit::none(),
            response_credit: Credit::none(),
            relay: None,
            kept_out: None,
            tunnel: None,
            response: ResponsePhase::Awaited,
            deadline: None,
            progress_at: at,
            cut_before: 0,
            total: None,
            replay: Replay::default(),
            paused: false,
            crowds: false,
            crowds_memory: 0,
            due: 0,
            due_since: at,
            avoid: None,
            needs: if arrived.head.extended_connect { Needs::Tunnel } else { Needs::Anything },
            large_head: 0,
            waited: Duration::ZERO,
            tried: Duration::ZERO,
            request_octets: 0,
            response_octets: 0,
            last_failure: None,
            attempts: 0,
            maybe_executed: 0,
            accepted: at,
            frozen: at,
            thawed: None,
            responded: None,
        };
        (awaiting, arrived.fields)
    }

    /// An attempt is over of whose response nothing was passed on.
    pub(crate) fn count(&mut self, how: AttemptOutcome) {
        match how {
            AttemptOutcome::Complete | AttemptOutcome::Unprocessed(_) => {}
            AttemptOutcome::Failed(_) | AttemptOutcome::Abandoned => self.maybe_executed += 1,
        }
    }

    /// The attempt was lost, and the request waits again, with all that was given away.
    pub(crate) fn take_back(&mut self, attempt: &Attempt, now: Instant) {
        self.waited += attempt.thawed.saturating_since(self.frozen);
        self.tried += attempt.had_for(now);
        self.frozen = now;
        self.avoid = Some(attempt.endpoint.key);
        (self.content, self.trailers) = self.replay.take(self.request_credit.octets());
    }

    /// The status that the client got, or 0 where none left.
    pub(crate) fn status(&self) -> u16 {
        match self.response {
            ResponsePhase::Awaited => 0,
            ResponsePhase::Begun(status) | ResponsePhase::Local(status, _) => status,
        }
    }
}

/// A request of the gateway: what waits, and where the rest is.
#[cfg_attr(feature = "fork", derive(Clone))]
#[derive(Debug)]
pub(crate) struct Request {
    /// What stays with the front.
    pub awaiting: Awaiting,
    /// Its original head: what is sent is made from it, anew for each attempt.
    pub fields: FieldSection,
    /// Where it is.
    pub place: Place,
    /// Its place in its lane while it is frozen.
    queue: Links,
}

impl Request {
    pub(super) fn new(awaiting: Awaiting, fields: FieldSection, place: Place) -> Self {
        Self { awaiting, fields, place, queue: Links::default() }
    }

    /// Takes the request off its backend stream, if it is on one, to put it elsewhere.
    pub(crate) fn take_live(&mut self) -> Option<Live> {
        match self.place.take() {
            Place::Live(live) => Some(live),
            other => {
                self.place = other;
                None
            }
        }
    }

    /// Puts the request on a backend stream: it is frozen. Its content passes through `relay`, and some trailers are kept out.
    pub(crate) fn thaw(
        &mut self,
        permit: Permit,
        attempt: Attempt,
        (relay, kept_out): (Option<Box<Relay>>, Option<Box<FieldSection>>),
    ) {
        self.place = match self.place.take() {
            Place::Frozen(frozen) => Place::Live(Live { relay, kept_out, ..frozen.thaw(permit, attempt) }),
            other => other,
        };
    }

    /// It was frozen, and will never be thawed. Says whether it was.
    pub(crate) fn abandon(&mut self) -> bool {
        match self.place.take() {
            Place::Frozen(frozen) => {
                self.place = Place::Finished(frozen.abandon());
                true
            }
            other => {
                self.place = other;
                false
            }
        }
    }

    /// Nothing more will be exchanged with a backend about it. Says what is known of the attempt, if it was on a stream.
    pub(crate) fn finish(&mut self) -> Option<Attempt> {
        let (finished, attempt) = self.take_live()?.finish();
        self.place = Place::Finished(finished);
        Some(attempt)
    }

    /// The one completion: the memory that the request held, if it is finished.
    pub(crate) fn settle(&mut self) -> Option<Option<Reservation>> {
        match self.place.take() {
            Place::Finished(finished) => Some(finished.settle()),
            other => {
                self.place = other;
                None
            }
        }
    }

    /// Octets that wait to be transformed, both ways.
    pub(crate) fn relayed_octets(&self) -> usize {
        let outgoing = match &self.place {
            Place::Live(live) => live.relay.as_deref(),
            Place::Frozen(_) | Place::Finished(_) => None,
        };
        let relays = [outgoing, self.awaiting.relay.as_deref()];
        relays.into_iter().flatten().map(Relay::waiting).sum()
    }

    /// The request's stream of a backend, where it has one.
    pub(crate) fn live_mut(&mut self) -> Option<&mut Live> {
        match &mut self.place {
            Place::Live(live) => Some(live),
            Place::Frozen(_) | Place::Finished(_) => None,
        }
    }
}

/// Names the lane of frozen requests.
#[derive(Debug)]
pub(crate) enum Queued {}

impl Linked<Queued> for Request {
    fn links(&self) -> &Links {
        &self.queue
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.queue
    }
}
