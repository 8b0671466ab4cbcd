//! What a recorder or a replay looks at, with the feature `observe`. It only reads: nothing in here can change what the
//! gateway does.

use crate::gateway::conn::{Life, Side};
use crate::gateway::{ConnId, Gateway};
use crate::record::RequestId;
use crate::request::{Place, Request};

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
    /// No engine serves its queue, and none is on its way.
    NoEngine,
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
    /// Every request that has not ended. It walks all of them.
    pub fn glances(&self) -> impl Iterator<Item = Glance> {
        self.requests.iter().map(|(_, request)| {
            let awaiting = &request.awaiting;
            let front = awaiting.front;
            Glance {
                request: awaiting.id,
                front: front.conn,
                stream_id: self
                    .conns
                    .get(front.conn)
                    .and_then(|entry| entry.session.stream_id(front.stream))
                    .unwrap_or(0),
                attempts: awaiting.attempts,
                place: match &request.place {
                    Place::Frozen(_) => Whereabouts::Frozen(self.why_frozen(request)),
                    Place::Live(live) => {
                        Whereabouts::Live { conn: live.conn(), stream_id: live.attempt.stream_id }
                    }
                    Place::Finished(_) | Place::Moving => Whereabouts::Finished,
                },
            }
        })
    }

    fn why_frozen(&self, request: &Request) -> Wait {
        let entry = request.awaiting.lane.and_then(|lane| self.registry.entry_of(lane));
        let seats = entry.and_then(|entry| self.registry.entry(entry)).map_or(&[][..], |entry| &entry.seats);
        let connecting = seats.iter().filter(|seat| seat.dialling).count();
        let engines = seats.len() - connecting;
        if seats.iter().any(|seat| self.has_free_slot(seat.conn)) {
            Wait::Memory
        } else if engines > 0 {
            Wait::Busy { engines, connecting }
        } else if connecting > 0 {
            Wait::Connecting { engines: connecting }
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
