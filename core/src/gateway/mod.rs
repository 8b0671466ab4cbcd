//! The gateway: everything an adapter sees. Events are its `handle_*` methods, actions come out of its `poll_*` methods.
//!
//! # The contract
//!
//! After any `handle_*`, take [`poll_action`](Gateway::poll_action) until it is empty, do what it names, and sleep until
//! [`poll_timeout`](Gateway::poll_timeout) or a socket. What [`Action::Writable`] names is written until
//! [`poll_transmit`](Gateway::poll_transmit) says `None`, for only then there will be another; where the socket takes no more, once it does. For the
//! rest polling more, less or in another order is correct, only slower; the same order gives the same actions, to the bit. Events for connections
//! that are gone are ignored and counted.
//!
//! ```
//! use shuntyard_core::config::Config;
//! use shuntyard_core::gateway::{Accepted, Action, Gateway, RecvBuf};
//! use shuntyard_core::time::{Instant, WallClock};
//!
//! let now = Instant::ZERO;
//! let backend = "127.0.0.1:9000".parse::<core::net::SocketAddr>()?;
//! let client = "127.0.0.1:50000".parse::<core::net::SocketAddr>()?;
//! let wall = WallClock { at: now, unix_seconds: 0 };
//! let mut gateway = Gateway::new(Config::new(vec![backend.into()]), 1, now, wall)?;
//!
//! let conn = gateway.handle_accept(Accepted { peer: client.into(), local: client.into() }, now);
//! let preface = shuntyard_core::frame::PREFACE;
//! if let RecvBuf::Buffer(buffer) = gateway.recv_buf(conn) {
//!     buffer[..preface.len()].copy_from_slice(preface);
//! }
//! gateway.handle_recv(conn, preface.len(), now);
//! assert_eq!(gateway.poll_action(), Some(Action::Writable(conn)), "our SETTINGS wait");
//! while let Some(n) = gateway.poll_transmit(conn, now).map(<[u8]>::len) {
//!     gateway.handle_sent(conn, n, now);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is left to whoever drives it
//!
//! - **Actions are taken behind writing, too.** `poll_transmit` and `handle_sent` may free what somebody waits for.
//! - **Nothing is waited for.** [`Action::Connect`] and [`Action::Resolve`], answered by [`Command::Resolved`], are done beside the loop.
//! - **A backend to which nothing can be written any more is read out** before [`handle_closed`](Gateway::handle_closed) is said: what it has sent may
//!   be its answer, or say why it has gone. Not so where [`recv_buf`](Gateway::recv_buf) says [`RecvBuf::Pause`] and
//!   [`waits_for_output`](Gateway::waits_for_output): nothing will ever be read then. Clients' connections are over at once.
//! - **Civil time is told** from time to time ([`Command::WallClock`]), for `date` fields.
//! - **What an operator is to hear** is asked for: [`take_mistaken`](Gateway::take_mistaken) and [`take_farewell`](Gateway::take_farewell), until `None`.
//!
//! The example `own_loop` does that on sockets of the standard library, for a backend without a name.

mod account;
mod age;
mod answer;
mod arrival;
mod backend;
mod clients;
mod closing;
mod configure;
mod conn;
mod contract;
mod crowd;
mod deadlines;
mod dial;
#[cfg(feature = "observe")]
mod digest;
mod dispatch;
mod dormant;
mod due;
mod engines;
#[cfg(feature = "fork")]
mod fork;
mod forward;
mod front;
mod hooked;
mod leftover;
mod means;
mod minimum;
#[cfg(feature = "observe")]
mod observe;
mod outcome;
mod output;
mod preface;
mod relay;
mod replace;
mod replays;
mod reply;
mod resume;
mod retry;
mod sections;
mod snapshot;
mod spare;
#[cfg(test)]
mod tests;
mod tunnel;
mod view;
mod vigil;
mod windows;
mod work;

use std::collections::VecDeque;
use std::sync::Arc;

pub use contract::{Accepted, Action, Closed, Command, ConnId, ConnMarker, Connected, RecvBuf, Secure};
#[cfg(feature = "observe")]
pub use observe::{Glance, Inspection, Wait, Whereabouts};
pub use snapshot::{
    EndpointSnapshot, EndpointState, EngineSnapshot, EngineState, FrontSnapshot, Link, RouteSnapshot,
    Snapshot, UpstreamSnapshot,
};
pub use view::View;

use crate::config::{Config, ConfigError};
use crate::error::ConnectionError;
use crate::h2::{Input, Role};
use crate::key::Slab;
use crate::ledger::{Ledger, Reservation};
use crate::random::Random;
pub use crate::record::{AttemptOutcome, AttemptRecord, Cause, EndRecord, Outcome, Record, RequestId};
use crate::registry::Registry;
use crate::request::{Request, RequestKey};
use crate::routes::Routes;
use crate::session::Session;
use crate::time::{Instant, WallClock};
use crate::tls::TlsFailure;
use conn::{Conn, Life, Side};
use due::{Armed, Kind};
use forward::Forward;
use replays::Replays;

/// A gateway: a pure function of configuration, seed, events and time.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    front_config: Arc<crate::config::ConnectionConfig>,
    backend_config: Arc<crate::config::ConnectionConfig>,
    /// Keys the hashes of field lines.
    seed: u64,
    /// Spreads what would happen to all at once.
    random: Random,
    wall: WallClock,
    forward: Forward,
    conns: Slab<Conn, ConnMarker>,
    fronts: usize,
    clients: clients::Clients,
    dormancy: dormant::Dormancy,
    requests: Slab<Request>,
    registry: Registry,
    routes: Routes,
    account: account::Account,
    ledger: Ledger,
    /// The account of clients' stream windows.
    uploads: Ledger,
    /// The account of content that is kept to be sent again.
    replays: Replays,
    /// The account of heads and trailers.
    heads: Ledger,
    /// Of that, what records hold that nobody has taken yet.
    recorded: Option<Reservation>,
    deadlines: Armed,
    actions: VecDeque<Action>,
    /// The one buffer that sockets are read into. What is no whole frame moves to its connection.
    recv_buffer: Vec<u8>,
    /// How large it is made: the most of all configurations so far, for it never shrinks, and whether it was asked for before another one shows nowhere.
    recv_octets: usize,
    /// Whom the buffer was lent to, and behind how many octets of that connection's inbox.
    lent: Option<(ConnId, usize)>,
    spare: spare::Spare,
    /// The hooks of whoever embeds the gateway.
    hooks: hooked::Hooked,
    /// Where transforms put their output, one after the other.
    output: Vec<u8>,
    next_request: u64,
    next_engine: u64,
    /// Connections whose input may be taken up again, or that are over.
    revisited: Vec<ConnId>,
    /// Requests that came since frozen ones were last looked at, or whose response has begun since.
    unwatched: Vec<RequestKey>,
    next_identity: u32,
    accepting: bool,
    /// Since when something happened after which a frozen request might be thawed.
    dispatch_at: Option<Instant>,
    drain: Option<closing::Drain>,
    ignored_events: u64,
    work: work::Work,
}

impl Gateway {
    /// A gateway without any connection. `seed` keys hashes: unpredictable in production, or clients could make them collide, and fixed in tests, for
    /// the same seed with the same events gives the same actions.
    ///
    /// # Errors
    ///
    /// A value of the configuration lies outside its range.
    pub fn new(config: Config, seed: u64, now: Instant, wall: WallClock) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut random = Random::new(seed);
        let seed = random.next_u64();
        let mut gateway = Self {
            front_config: Arc::new(tunnel::front_config(&config)),
            backend_config: Arc::new(config.backend.clone()),
            seed,
            random,
            wall,
            forward: Forward::new(&config, seed),
            conns: Slab::default(),
            fronts: 0,
            clients: clients::Clients::default(),
            dormancy: dormant::Dormancy::default(),
            requests: Slab::default(),
            registry: Registry::default(),
            routes: Routes::default(),
            account: account::Account::default(),
            ledger: Ledger::new(config.ledger_octets),
            uploads: Ledger::new(config.upload_ledger_octets),
            replays: Replays::new(config.replay_ledger_octets, config.replay_front_octets),
            heads: Ledger::new(config.head_ledger_octets),
            recorded: None,
            deadlines: Armed::default(),
            actions: VecDeque::new(),
            recv_buffer: Vec::new(),
            recv_octets: config.recv_buffer_octets,
            lent: None,
            spare: spare::Spare::default(),
            hooks: hooked::Hooked::default(),
            output: Vec::new(),
            next_request: 0,
            next_engine: 1,
            revisited: Vec::new(),
            unwatched: Vec::new(),
            next_identity: 0,
            accepting: true,
            dispatch_at: Some(now),
            drain: None,
            ignored_events: 0,
            work: work::Work::default(),
            config,
        };
        gateway.route_anew();
        Ok(gateway)
    }

    /// A client's connection was accepted. Past the limits of clients, or in a drain, it is closed at once, before a word is
    /// said: what it speaks is not known yet.
    pub fn handle_accept(&mut self, info: Accepted, now: Instant) -> ConnId {
        let peer = info.peer.canonical();
        let has_room = self.admit(Some(&peer), now);
        let (side, session) = (Side::front(peer, true), Session::H2(self.new_connection(Role::Server)));
        let (only, hooks_place) = (self.only_at(&info.local), self.hooks.place_of(&info.local));
        let id = self.conns.insert(Conn { only, hooks_place, ..Conn::new(session, side, Life::Open, now) });
        self.account.front.opened += 1;
        self.arm_conn(id, Kind::Preface, now);
        if !has_room {
            self.close_now(id, now);
        } else if self.drain.is_some() {
            self.close_gracefully(id, Cause::Draining, now);
        }
        self.pace_accepting();
        self.touch(id);
        id
    }

    /// A connection that [`Action::Connect`] asked for stands, or one of [`handle_arriving`](Self::handle_arriving).
    pub fn handle_connected(&mut self, conn: ConnId, facts: Connected, now: Instant) {
        let Some(entry) = self.conns.get_mut(conn).filter(|entry| entry.life == Life::Connecting) else {
            self.ignored_events += 1;
            return;
        };
        if entry.is_front() {
            return self.arrived(conn, facts, now);
        }
        entry.life = Life::Open;
        entry.tls = facts.tls;
        entry.vigil.iter_mut().for_each(|vigil| vigil.stands(now));
        self.agreed_with_backend(conn, facts.protocol);
        let Some(entry) = self.conns.get_mut(conn) else { return };
        if let Some(engine) = entry.engine_mut() {
            engine.connected();
            self.registry.stands(engine.endpoint);
            if let Some(entry) = engine.entry {
                self.registry.wake(entry);
            }
        }
        if entry.session.is_established() {
            self.settings_came(conn, now);
        } else {
            self.arm_dial(conn, Kind::Preface, now);
        }
        self.touch(conn);
        self.dispatch_at = Some(now);
    }

    /// Where to read to.
    pub fn recv_buf(&mut self, conn: ConnId) -> RecvBuf<'_> {
        let Some(entry) = self.conns.get_mut(conn).filter(|entry| entry.life != Life::Connecting) else {
            return RecvBuf::Gone;
        };
        if entry.paused || entry.read_closed {
            return RecvBuf::Pause;
        }
        if self.recv_buffer.is_empty() {
            self.recv_buffer.resize(self.recv_octets, 0);
        }
        let held = entry.inbox.len();
        self.lent = Some((conn, held));
        RecvBuf::Buffer(&mut self.recv_buffer[held..])
    }

    /// `n` octets were read into the buffer that `recv_buf(conn)` lent just before.
    pub fn handle_recv(&mut self, conn: ConnId, n: usize, now: Instant) {
        let standing = |&(lent_to, _): &(ConnId, usize)| lent_to == conn && self.conns.get(conn).is_some();
        let Some((lent_to, held)) = self.lent.take().filter(standing) else {
            self.ignored_events += 1;
            return;
        };
        self.heard(conn, now);
        self.take_in(lent_to, held, n, now);
        self.dispatch_at = Some(now);
    }

    /// The peer has shut its sending direction down. Over HTTP/2 that ends the connection; over HTTP/1.1 a request that is
    /// whole is still answered.
    pub fn handle_read_closed(&mut self, conn: ConnId, now: Instant) {
        let standing = |entry: &&mut Conn| entry.life != Life::Connecting && !entry.read_closed;
        let Some(entry) = self.conns.get_mut(conn).filter(standing) else {
            self.ignored_events += 1;
            return;
        };
        entry.read_closed = true;
        match entry.life {
            Life::Open if entry.session.read_closed() => self.input_ended(conn, now),
            Life::Open => self.end_conn(conn, Cause::ConnectionTerminated, now),
            Life::Connecting | Life::Flushing => {}
            Life::Lingering => self.close_now(conn, now),
        }
        self.dispatch_at = Some(now);
    }

    /// `n` octets of what `poll_transmit` showed left. Only this advances the output.
    pub fn handle_sent(&mut self, conn: ConnId, n: usize, now: Instant) {
        if !self.output_left(conn, n, now) {
            self.ignored_events += 1;
            return;
        }
        self.resume(conn, now);
        self.flush(conn, now);
        // With it a place may have become free.
        if self.conns.get(conn).is_none() {
            self.dispatch_at = Some(now);
        }
    }

    /// The transport of the connection is gone: nothing can be read or written any more.
    pub fn handle_closed(&mut self, conn: ConnId, why: Closed, now: Instant) {
        if self.conns.get(conn).is_none() {
            self.ignored_events += 1;
            return;
        }
        if why == Closed::Tls(TlsFailure::TimedOut) {
            self.count_connection_error(conn, ConnectionError::PrefaceTimeout);
        }
        self.remove_conn(conn, why.cause(), now);
        self.dispatch_at = Some(now);
    }

    /// It is the time that `poll_timeout` named, or later. Earlier calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((kind, target)) = self.deadlines.pop_expired(now) {
            self.work.steps(1);
            self.expire(Kind::from_index(kind), target, now);
        }
        self.go_on_draining(now);
        self.dispatch_at = Some(now);
    }

    /// The operator wants something.
    pub fn handle_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Drain { deadline } => self.begin_drain(deadline, now),
            Command::Part { listener } => self.part(&listener, now),
            Command::WallClock(wall) => self.wall = wall,
            Command::Resolved { name, port, addresses } => self.name_resolved((name, port), &addresses, now),
            Command::Configure(config) => self.configure(*config, now),
        }
        self.dispatch_at = Some(now);
    }

    /// The next thing to do.
    ///
    /// Frozen requests are thawed here, when output is asked for, and not while input comes: a GOAWAY behind the frame that
    /// freed a slot is heeded, and how the input was cut changes nothing.
    pub fn poll_action(&mut self) -> Option<Action> {
        if let Some(now) = self.dispatch_at.take() {
            self.revisit(now);
            self.dispatch(now);
        }
        let action = self.actions.pop_front();
        if action.is_none() {
            self.records_taken();
        }
        action
    }

    /// Octets to write to a connection, never none. DATA is cut here, so that the moment of asking is an input too.
    pub fn poll_transmit(&mut self, conn: ConnId, now: Instant) -> Option<&[u8]> {
        self.fill_outbox(conn, now);
        self.slot_freed(conn, now);
        // What left may have freed memory for those who wait.
        self.dispatch_at = Some(now);
        self.flush(conn, now);
        let entry = self.conns.get_mut(conn)?;
        if entry.life == Life::Connecting || entry.session.transmit().is_empty() {
            entry.announced = false;
            self.keep_outbox(conn);
            return None;
        }
        Some(self.conns.get_mut(conn)?.look_at_output())
    }

    /// When `handle_timeout` is wanted at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Takes what is whole, unless the connection's input is held back; says how many octets are left for its inbox.
    fn receive(&mut self, id: ConnId, octets: &[u8], now: Instant) -> usize {
        self.lend_outbox(id);
        let mut input = Input::new(octets);
        loop {
            self.work.steps(1);
            let Some(mut entry) = self.conns.get_mut(id) else { return 0 };
            if entry.life == Life::Lingering || entry.life == Life::Flushing && entry.session.has_failed() {
                self.discard(id, input.remaining().len(), now);
                return 0;
            }
            if entry.session.awaits_preface() {
                if !self.check_preface(id, input.remaining(), now) {
                    break;
                }
                let Some(told) = self.conns.get_mut(id) else { return 0 };
                entry = told;
            }
            if entry.session.lacks_spare() {
                entry.session.recycle(self.spare.take_section());
            }
            if entry.session.is_congested() {
                entry.paused = true;
                break;
            }
            let is_front = entry.is_front();
            let window = if is_front { 0 } else { entry.session.stream_recv_window() };
            let polled = entry.session.poll_event(&mut input);
            if !is_front && entry.session.stream_recv_window() < window {
                // Our SETTINGS were acknowledged: there may be memory for the windows of new streams. X2: before what came behind that.
                self.slot_freed(id, now);
            }
            match polled {
                Ok(Some(event)) if is_front => self.front_event(id, event, now),
                Ok(Some(event)) => self.backend_event(id, event, now),
                Ok(None) => {
                    if let Some(entry) = self.conns.get_mut(id) {
                        entry.paused = entry.session.is_congested();
                    }
                    break;
                }
                Err(error) => {
                    self.connection_failed(id, error, now);
                    return 0;
                }
            }
        }
        if let Some(entry) = self.conns.get_mut(id) {
            let spare = entry.session.take_spare();
            self.keep_section(spare);
        }
        self.watch_field_block(id, input.remaining(), now);
        self.keep_outbox(id);
        self.touch(id);
        input.remaining().len()
    }

    /// Cuts what windows and outbox allow, and gives the other side credit for it.
    fn fill_outbox(&mut self, id: ConnId, now: Instant) {
        if let Some(entry) = self.conns.get_mut(id).filter(|entry| entry.session.has_output()) {
            self.spare.lend_outbox(entry);
        }
        while let Some(cut) = self.conns.get_mut(id).and_then(|entry| entry.session.cut()) {
            self.work.steps(1);
            self.content_left(id, cut, now);
        }
    }

    /// Something has changed for the connection. Tells the adapter that it has output, once until it has seen the end of it; and
    /// remembers connections whose input may go on, or that are over.
    #[inline(always)]
    fn touch(&mut self, id: ConnId) {
        if let Some(entry) = self.conns.get_mut(id) {
            entry.show(id, &mut self.actions, &mut self.revisited);
        }
    }
}
