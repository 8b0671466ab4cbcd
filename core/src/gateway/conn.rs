//! What the gateway keeps of one connection.

use core::num::NonZeroU16;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::address::Address;
use crate::config::Protocol;
use crate::deadline::DeadlineKey;
use crate::engine::Engine;
use crate::gateway::dormant::Wakefulness;
use crate::gateway::vigil::Vigil;
use crate::gateway::{Action, ConnId, Gateway};
use crate::h2::{Connection, Role};
use crate::ledger::Reservation;
use crate::outbox::{Held, Loudness};
use crate::registry::FrontLanes;
use crate::session::Session;
use crate::time::Instant;
use crate::tls::TlsFacts;

/// How far the life of a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// The transport does not stand yet: a backend is dialled, or a client shakes hands.
    Connecting,
    /// Octets flow both ways.
    Open,
    /// What waits is flushed; then the sending direction is shut down.
    Flushing,
    /// The peer's input is discarded for a while: closing with input unread makes the kernel reset the connection and
    /// destroys what is still on its way to the peer.
    Lingering,
}

/// Which side of the gateway a connection is on.
#[cfg_attr(feature = "fork", derive(Clone))]
#[derive(Debug)]
pub(super) enum Side {
    /// A client's.
    Front {
        /// The client.
        peer: Address,
        /// Where its frozen requests wait.
        lanes: FrontLanes,
        /// What its requests have reserved of the ledger.
        reserved: u64,
        /// What is kept of their content to be sent again.
        replayed: u64,
        /// What heads and trailers of its requests hold of the memory for them.
        heads: u32,
        /// Memory for heads that its outbox holds beyond what the bound of a connection has for it.
        beyond: Option<Reservation>,
        /// They have reserved as much as one client may: its lanes take no turns.
        held: bool,
        /// It is known whose it is, and counts as that client's.
        counted: bool,
        /// It was idle, and takes its leave to make room for another.
        shed: bool,
        /// Whether there was much output at once lately.
        loudness: Loudness,
    },
    /// To a backend.
    Backend(Engine),
}

impl Side {
    /// A client that has asked for nothing yet.
    pub(super) fn front(peer: Address, counted: bool) -> Self {
        Self::Front {
            peer,
            lanes: FrontLanes::default(),
            reserved: 0,
            replayed: 0,
            heads: 0,
            beyond: None,
            held: false,
            counted,
            shed: false,
            loudness: Loudness::QUIET,
        }
    }

    /// Whether there was much output at once lately.
    pub(super) const fn loudness(&mut self) -> &mut Loudness {
        match self {
            Self::Front { loudness, .. } => loudness,
            Self::Backend(engine) => &mut engine.loudness,
        }
    }
}

/// When a connection has had its time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Age {
    /// Not at all, or it has.
    #[default]
    Endless,
    /// With this deadline.
    Armed(DeadlineKey),
    /// Then, if it is still there: it sleeps, and has been idle for too long before.
    Asleep(Instant),
}

impl Age {
    /// The deadline, if one is armed; none is armed any more.
    pub(super) fn disarm(&mut self) -> Option<DeadlineKey> {
        match core::mem::take(self) {
            Self::Armed(key) => Some(key),
            Self::Endless | Self::Asleep(_) => None,
        }
    }
}

/// One connection.
#[cfg_attr(feature = "fork", derive(Clone))]
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) session: Session,
    pub(super) side: Side,
    pub(super) life: Life,
    /// Octets received that do not make a whole frame, or that wait because reading is paused.
    pub(super) inbox: Held,
    /// The adapter was told to leave the socket alone.
    pub(super) paused: bool,
    /// The adapter was told of output, and has not seen its end since.
    pub(super) announced: bool,
    /// The adapter was told to shut our sending direction down, for half of a tunnel.
    pub(super) shut: bool,
    /// The peer's FIN came.
    pub(super) read_closed: bool,
    /// Input discarded while lingering.
    pub(super) discarded: u32,
    /// Preface, idleness or lingering.
    pub(super) deadline: Option<DeadlineKey>,
    /// A field block that the client has begun: the last digits of its number, and by when it must end.
    pub(super) block_deadline: Option<(u32, DeadlineKey)>,
    /// Output that the peer does not take.
    pub(super) write_deadline: Option<DeadlineKey>,
    /// The end of its time.
    pub(super) age_deadline: Age,
    /// Whether it may sleep, of a client.
    pub(super) wakefulness: Wakefulness,
    /// Of a backend: whether it is still there.
    pub(super) vigil: Option<Box<Vigil>>,
    /// Since when output waits without progress; `None` where none waits.
    pub(super) waiting_since: Option<Instant>,
    /// The peer's SETTINGS came.
    pub(super) established: bool,
    /// Until when time has been made use of for what the peer has cost.
    pub(super) forgiven: Instant,
    /// When it was accepted, or ordered.
    pub(super) since: Instant,
    /// What the handshake found, where there is TLS.
    pub(super) tls: Option<Arc<TlsFacts>>,
    /// What both sides have agreed on before the first octet (ALPN).
    pub(super) agreed: Option<Protocol>,
    /// All that is spoken at its listener, where that is one.
    pub(super) only: Option<Protocol>,
    /// Which of the listeners of which more is said it came through, counted from 1.
    pub(super) listener: Option<NonZeroU16>,
    /// Which of those that hooks are told of, likewise.
    pub(super) hooks_place: Option<NonZeroU16>,
}

/// Counted from 1: small where there is none. None, too, of more than can be counted.
pub(super) fn place(index: usize) -> Option<NonZeroU16> {
    u16::try_from(index).ok()?.checked_add(1).and_then(NonZeroU16::new)
}

/// The same counted from 0.
pub(super) fn index(place: NonZeroU16) -> usize {
    usize::from(place.get()) - 1
}

impl Conn {
    pub(super) fn new(session: Session, side: Side, life: Life, now: Instant) -> Self {
        let vigil = matches!(side, Side::Backend(_)).then(|| Box::new(Vigil::new(now)));
        Self {
            session,
            side,
            life,
            inbox: Held::default(),
            paused: false,
            announced: false,
            shut: false,
            read_closed: false,
            discarded: 0,
            deadline: None,
            block_deadline: None,
            write_deadline: None,
            age_deadline: Age::Endless,
            wakefulness: Wakefulness::new(now),
            vigil,
            waiting_since: None,
            established: false,
            forgiven: now,
            since: now,
            tls: None,
            agreed: None,
            only: None,
            listener: None,
            hooks_place: None,
        }
    }

    /// Time makes up for what the peer has cost, and for what it had to bear.
    pub(super) fn forgive(&mut self, now: Instant) {
        let time = now.saturating_since(self.forgiven);
        self.forgiven = self.forgiven + self.session.forgive(time);
    }

    /// [`Gateway::touch`], for whoever has the connection at hand.
    #[inline(always)]
    pub(super) fn show(&mut self, id: ConnId, actions: &mut VecDeque<Action>, revisited: &mut Vec<ConnId>) {
        if !self.announced && self.life != Life::Connecting && self.session.has_output() {
            self.announced = true;
            actions.push_back(Action::Writable(id));
        }
        if self.wants_a_visit() {
            revisited.push(id);
        }
    }

    pub(super) fn is_front(&self) -> bool {
        matches!(self.side, Side::Front { .. })
    }

    /// Whether its client has begun to ask for something: a head that has not come whole, or, over HTTP/1.1, what was sent ahead and waits for its turn.
    pub(super) fn is_asking(&self) -> bool {
        let sent_ahead = matches!(&self.session, Session::H1(session) if session.expects_request());
        self.block_deadline.is_some() || self.is_front() && sent_ahead && self.has_unread()
    }

    pub(super) fn engine_mut(&mut self) -> Option<&mut Engine> {
        match &mut self.side {
            Side::Backend(engine) => Some(engine),
            Side::Front { .. } => None,
        }
    }
}

/// Sessions of HTTP/2.
impl Gateway {
    pub(super) fn new_connection(&mut self, role: Role) -> Box<Connection> {
        let identity = self.new_identity();
        let config = match role {
            Role::Server => &self.front_config,
            Role::Client => &self.backend_config,
        };
        Box::new(Connection::new(role, Arc::clone(config), self.seed, identity))
    }

    /// Names a session in the origins of its sections and lines.
    pub(super) fn new_identity(&mut self) -> u32 {
        self.next_identity = self.next_identity.saturating_add(1);
        self.next_identity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every idle connection costs beside its compression tables. An idle client of HTTP/1.1 has three deadlines and one
    /// lane: with its session that is less than 1 KiB.
    #[test]
    fn a_connection_stays_small() {
        let sizes = [
            ("connection", size_of::<Conn>(), 240),
            ("asleep", size_of::<crate::h2::Dormant>(), 40),
            ("HTTP/1.1", size_of::<crate::h1::Connection>(), 432),
            ("deadline", size_of::<crate::deadline::Deadline<crate::gateway::due::DeadlineTarget>>(), 56),
            ("lane", size_of::<crate::registry::Lane>(), 72),
            ("stream", size_of::<crate::h2::Stream>(), 128),
        ];
        for (what, octets, max) in sizes {
            assert!(octets <= max, "{what}: {octets} octets");
        }
    }
}
