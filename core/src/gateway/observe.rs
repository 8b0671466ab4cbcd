//! What a recorder or a replay looks at, with the feature `observe`. It only reads: nothing in here can change what the
//! gateway does.

use std::collections::BTreeMap;

use crate::deadline::DeadlineKey;
use crate::gateway::conn::{Age, Conn, Life, Side};
use crate::gateway::dispatch::{offers, wanted_by};
use crate::gateway::due::DeadlineTarget;
use crate::gateway::{ConnId, Gateway, digest};
use crate::record::RequestId;
use crate::registry::Means;
use crate::request::{Place, Request};
use crate::time::Instant;

impl Gateway {
    /// The first `n` octets of the buffer that `recv_buf(conn)` lent just before: what `handle_recv(conn, n)` will take.
    /// `None` where it was not lent to this connection.
    pub fn lent(&self, conn: ConnId, n: usize) -> Option<&[u8]> {
        let (_, held) = self.lent.filter(|&(lent_to, _)| lent_to == conn)?;
        self.recv_buffer.get(held..held.saturating_add(n).min(self.recv_buffer.len()))
    }

    /// What `poll_transmit(conn)` showed and `handle_sent` has not taken yet.
    pub fn shown(&self, conn: ConnId) -> &[u8] {
        match self.conns.get(conn) {
            Some(entry) if entry.life != Life::Connecting => entry.session.transmit(),
            Some(_) | None => &[],
        }
    }
}

impl Gateway {
    /// Octets of memory that what waits for the peer of a connection holds.
    pub fn outbox_memory(&self, conn: ConnId) -> usize {
        self.conns.get(conn).map_or(0, |entry| entry.session.outbox_capacity())
    }

    /// The earliest of all deadlines, found by a look at each: what `poll_timeout` must name.
    pub fn earliest_deadline(&self) -> Option<Instant> {
        self.deadlines.iter().map(|(_, _, at, _)| at).min()
    }

    /// What one alone has of what is limited for each, and what waits without a deadline. It walks everything.
    pub fn inspect(&self) -> Inspection {
        let beyond = |queued: usize, most: u32| queued.saturating_sub(most as usize);
        let queues = self.registry.upstreams().map(|(_, of)| beyond(of.queued(), of.config().queue_max));
        let clients = || {
            self.conns.iter().filter_map(|(_, conn)| match &conn.side {
                Side::Front { reserved, replayed, .. } => Some((*reserved, *replayed, conn)),
                Side::Backend(_) => None,
            })
        };
        let waits = |request: &Request| match request.place {
            Place::Frozen(_) | Place::Live(_) => true,
            Place::Finished(_) => false,
        };
        let bare = |request: &Request| waits(request) && request.awaiting.deadline.is_none();
        Inspection {
            permits: self.ledger.reserved(),
            uploads: self.uploads.reserved(),
            replays: self.replays.reserved(),
            front_permits: clients().map(|(reserved, ..)| reserved).max().unwrap_or_default(),
            front_replays: clients().map(|(_, replayed, _)| replayed).max().unwrap_or_default(),
            front_streams: clients().map(|(.., conn)| conn.session.open_streams()).max().unwrap_or_default(),
            client_fronts: self.clients.most(),
            queue_beyond: queues.sum(),
            stray_deadlines: self.deadlines.iter().filter(|&(key, .., of)| !self.holds(of, key)).count(),
            unwatched_conns: self.conns.iter().filter(|(_, conn)| is_unwatched(conn)).count(),
            unwatched_requests: self.requests.iter().filter(|(_, request)| bare(request)).count(),
        }
    }

    /// Whether what a deadline is for is there and knows of it.
    fn holds(&self, target: DeadlineTarget, key: DeadlineKey) -> bool {
        match target {
            DeadlineTarget::Conn(id) => self.conns.get(id).is_some_and(|conn| has_armed(conn, key)),
            DeadlineTarget::Request(of) => self.requests.get(of).is_some_and(|request| {
                [request.awaiting.deadline, request.awaiting.total].contains(&Some(key))
            }),
            DeadlineTarget::Drain => self.drain.is_some(),
            DeadlineTarget::Rest(endpoint) => {
                self.registry.endpoint(endpoint).is_some_and(|of| of.rest_deadline == Some(key))
            }
            DeadlineTarget::Means(endpoint) => {
                self.registry.endpoint(endpoint).is_some_and(|of| of.means == Means::Wanting)
            }
            DeadlineTarget::Resolve(endpoint) => {
                self.registry.endpoint(endpoint).is_some_and(|of| of.resolve_deadline == Some(key))
            }
        }
    }
}

/// What one alone has of what is limited for each, and what should not be there at all, in a moment in which nothing is left to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Octets reserved for what backends may send.
    pub permits: u64,
    /// Octets reserved for clients' content.
    pub uploads: u64,
    /// Octets kept to be sent again.
    pub replays: u64,
    /// The most that one client's connection has of `permits`.
    pub front_permits: u64,
    /// The most that one client's connection has of `replays`.
    pub front_replays: u64,
    /// The most streams that are open on one client's connection.
    pub front_streams: usize,
    /// The most connections that one client has.
    pub client_fronts: u32,
    /// Requests that wait beyond the limits of their queues, each queue by itself.
    pub queue_beyond: usize,
    /// Requests that wait, frozen or with a backend, without a deadline.
    pub unwatched_requests: usize,
    /// Connections in a phase that has a deadline, without it.
    pub unwatched_conns: usize,
    /// Deadlines of what is gone, or has another one in its place.
    pub stray_deadlines: usize,
}

/// Whether the connection lacks a deadline that its phase needs.
fn is_unwatched(conn: &Conn) -> bool {
    let stalls = conn.session.has_output() && conn.write_deadline.is_none();
    let rests = (!conn.established || conn.session.open_streams() == 0) && conn.deadline.is_none();
    match conn.life {
        Life::Connecting | Life::Lingering => conn.deadline.is_none(),
        Life::Open => stalls || rests,
        Life::Flushing => stalls,
    }
}

/// Whether the connection knows of the deadline.
fn has_armed(conn: &Conn, key: DeadlineKey) -> bool {
    let age = match conn.age_deadline {
        Age::Armed(key) => Some(key),
        Age::Endless | Age::Asleep(_) => None,
    };
    let engine = match &conn.side {
        Side::Backend(engine) => [engine.easing, engine.leftovers.as_ref().and_then(|of| of.deadline)],
        Side::Front { .. } => [None; 2],
    };
    let block = conn.block_deadline.map(|(_, key)| key);
    let vigil = conn.vigil.as_ref().and_then(|vigil| vigil.deadline());
    [conn.deadline, block, conn.write_deadline, age, vigil].contains(&Some(key))
        || engine.contains(&Some(key))
}

/// Where a request is, as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// It is frozen, and this keeps it so.
    Frozen(Wait),
    /// It is with a backend.
    Live {
        /// The backend's connection.
        conn: ConnId,
        /// Its stream there.
        stream_id: u32,
    },
    /// No backend has to do with it any more.
    Finished,
}

/// Why a request is frozen. Right after the gateway was asked for actions it is the truth; before that it may be that it
/// has not been looked at yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It waits in no queue: it is sent again after a pause.
    Paused,
    /// No engine serves its queue, and none is on its way.
    NoEngine,
    /// There are engines, and none of them has offered what it needs.
    NotOffered {
        /// How many.
        engines: usize,
    },
    /// Engines are on their way, and none is there.
    Connecting {
        /// How many.
        engines: usize,
    },
    /// All engines are as busy as their backends allow.
    Busy {
        /// Those whose backend has told its limits.
        engines: usize,
        /// Those on their way.
        connecting: usize,
    },
    /// An engine is free: memory for the response is missing, or others come first.
    Memory,
}

/// One request, as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Names it in records.
    pub request: RequestId,
    /// The client's connection.
    pub front: ConnId,
    /// The client's stream.
    pub stream_id: u32,
    /// How often it was handed to a backend.
    pub attempts: u32,
    /// Where it is.
    pub place: Whereabouts,
}

impl Gateway {
    /// Every request on this stream of a client that has not ended: of this connection, or of all. It walks all of them, where the connection is there.
    pub fn glances(&self, conn: Option<ConnId>, stream_id: u32) -> impl Iterator<Item = Glance> {
        let there = conn.is_none_or(|conn| self.conns.get(conn).is_some());
        let requests = there.then(|| self.requests.iter()).into_iter().flatten();
        requests.filter_map(move |(_, request)| {
            let awaiting = &request.awaiting;
            let front = awaiting.front.conn;
            // Which stream it is, and why it waits, takes a look at more than it.
            let wanted = conn.is_none_or(|conn| conn == front) && self.stream_id(awaiting.front) == stream_id;
            wanted.then(|| Glance {
                request: awaiting.id,
                front,
                stream_id,
                attempts: awaiting.attempts,
                place: match &request.place {
                    Place::Frozen(_) => Whereabouts::Frozen(self.why_frozen(request)),
                    Place::Live(live) => {
                        Whereabouts::Live { conn: live.conn(), stream_id: live.attempt.stream_id }
                    }
                    Place::Finished(_) => Whereabouts::Finished,
                },
            })
        })
    }

    fn why_frozen(&self, request: &Request) -> Wait {
        if request.awaiting.paused {
            return Wait::Paused;
        }
        let entry = request.awaiting.lane.and_then(|lane| self.registry.entry_of(lane));
        let seats = entry.and_then(|entry| self.registry.entry(entry)).map_or(&[][..], |entry| &entry.seats);
        let connecting = seats.iter().filter(|seat| seat.dialling).count();
        let there = seats.len() - connecting;
        let wanted = wanted_by(&request.awaiting);
        let is_fit = |id| self.conns.get(id).is_some_and(|conn| offers(conn, wanted));
        let engines = seats.iter().filter(|seat| !seat.dialling && is_fit(seat.conn)).count();
        if seats.iter().any(|seat| is_fit(seat.conn) && self.has_free_slot(seat.conn)) {
            Wait::Memory
        } else if engines > 0 {
            Wait::Busy { engines, connecting }
        } else if connecting > 0 {
            Wait::Connecting { engines: connecting }
        } else if there > 0 {
            Wait::NotOffered { engines: there }
        } else {
            Wait::NoEngine
        }
    }

    fn has_free_slot(&self, conn: ConnId) -> bool {
        self.conns.get(conn).is_some_and(|entry| match &entry.side {
            Side::Backend(engine) => engine.free_slots(&entry.session) > 0,
            Side::Front { .. } => false,
        })
    }
}

impl Gateway {
    /// A number for everything that what the gateway does from `now` on depends on, apart from its configuration. Times
    /// count from `now`. Counters, names for records and memory that is kept for use are left out, and keys are renamed: what
    /// is told apart is who is who, not in which place of a slab anybody stands.
    ///
    /// Deadlines of one moment come without their order: they act together. Connections come in the order of `order`, which
    /// is their order for whoever is outside, and behind them those that it does not name: the places they have here mean
    /// nothing.
    ///
    /// It is a hash of what `Debug` says: so whatever a part has is in it as soon as it is there, which a list of
    /// what matters could not promise. Two gateways with one number are taken for the same; those with two may still be.
    pub fn digest(&self, now: Instant, order: &[ConnId]) -> u64 {
        let Self {
            config: _,
            front_config: _,
            backend_config: _,
            seed: _,
            random,
            wall: _,
            forward: _,
            conns,
            fronts,
            clients,
            dormancy: _,
            requests,
            registry,
            routes: _,
            account: _,
            ledger,
            uploads,
            replays,
            heads,
            recorded,
            deadlines,
            actions,
            recv_buffer: _,
            recv_octets: _,
            lent: _,
            spare: _,
            hooks: _,
            output: _,
            next_request: _,
            next_engine: _,
            revisited,
            unwatched,
            next_identity: _,
            accepting,
            dispatch_at,
            drain,
            ignored_events: _,
            work: _,
        } = self;
        let deadline = |(key, kind, at, target)| format!("deadline: {key:?} {kind} {at:?} {target:?} ");
        let named = order.iter().filter_map(|&id| conns.get(id).map(|conn| (id, conn)));
        let others = conns.iter().filter(|(id, _)| !order.contains(id));
        let conns: Vec<_> = named.chain(others).collect();
        let requests: BTreeMap<_, _> =
            requests.iter().map(|(key, request)| (request.awaiting.id, (key, request))).collect();
        digest::of(
            now,
            format_args!(
                "{order:?} {random:?} {conns:?} {fronts} {clients:?} {requests:?} {registry:?} {ledger:?} {uploads:?} {replays:?} {heads:?} {recorded:?} \
                 {actions:?} {revisited:?} {unwatched:?} {accepting} {dispatch_at:?} {drain:?} "
            ),
            deadlines.iter().map(deadline),
        )
    }
}
