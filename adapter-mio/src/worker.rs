//! One worker: a thread's poll, listeners, sockets and gateway, and the loop that drives them.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::Receiver;

use mio::event::Event;
use mio::{Events, Poll, Token};
use shuntyard_adapter::transport::{FrontTls, Spare};
use shuntyard_adapter::{
    ACCEPT_PAUSE, Admission, BACKLOG, Backs, Clock, Desk, Order, Recorded, TURN_ACCEPTS, TURN_OCTETS,
    WALL_CLOCK_INTERVAL, is_transient, resolve, transfer_failure, wall_clock,
};
use shuntyard_core::gateway::{Accepted, Action, Closed, Command, ConnId, RecvBuf};
use shuntyard_core::time::{Duration, Instant};

use crate::connecting::Again;
use crate::listener::Listener;
use crate::socket::{Sockets, Stream};
use crate::{Notice, Observer};

/// Events taken from the kernel at a time.
const EVENTS: usize = 1024;

/// The token of the waker.
pub(crate) const WAKE: Token = Token(usize::MAX);

/// The token of the listener with this number. Connections have the slab's indices, far below.
pub(crate) fn listener_token(number: usize) -> Token {
    Token(usize::MAX - 1 - number)
}

/// A thread's share of the server. It shares nothing with the others.
pub(crate) struct Worker {
    /// Counted from 0.
    number: usize,
    pub(crate) gateway: Recorded,
    pub(crate) poll: Poll,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) backs: Backs,
    /// Dials that are made again, the first first.
    pub(crate) again: VecDeque<Again>,
    pub(crate) sockets: Sockets,
    /// Memory for one connection with TLS at a time.
    pub(crate) spare: Spare,
    /// Clients whose handshakes are under way.
    pub(crate) handshakes: Admission,
    /// Connections whose turn to read, or to learn how connecting went, has come. Each stands here once at most.
    pub(crate) ready: VecDeque<ConnId>,
    /// Connections with output and room for it. Each stands here once at most.
    dirty: Vec<ConnId>,
    /// Where answers of other threads are handed in.
    desk: Desk,
    orders: Receiver<Order>,
    woken: bool,
    /// Whether the gateway takes new connections.
    pub(crate) accepting: bool,
    /// Until when nothing is accepted for lack of descriptors.
    pub(crate) accept_pause: Option<Instant>,
    clock: Clock,
    /// When this turn began. The clock is read once a turn.
    pub(crate) now: Instant,
    wall_clock_told: Instant,
    observer: Option<Observer>,
    /// The end: so many connections were cut.
    done: Option<u32>,
}

impl Worker {
    pub(crate) fn new(
        (number, gateway): (usize, Recorded),
        poll: Poll,
        (listeners, backs): (Vec<Listener>, Backs),
        (desk, orders): (Desk, Receiver<Order>),
        clock: Clock,
        observer: Option<Observer>,
    ) -> Self {
        let now = clock.now();
        Self {
            number,
            gateway,
            poll,
            listeners,
            backs,
            again: VecDeque::new(),
            sockets: Sockets::default(),
            spare: Spare::default(),
            handshakes: Admission::default(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            desk,
            orders,
            woken: false,
            accepting: true,
            accept_pause: None,
            clock,
            now,
            wall_clock_told: now,
            observer,
            done: None,
        }
    }

    /// Serves until it is drained or stopped; says how many connections were cut.
    pub(crate) fn run(mut self) -> io::Result<u32> {
        let mut events = Events::with_capacity(EVENTS);
        self.settle();
        loop {
            if let Some(cut) = self.done {
                return Ok(cut);
            }
            let polled = self.poll.poll(&mut events, self.patience());
            self.now = self.clock.now();
            match polled {
                Ok(()) => self.turn(&events),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {} // By a signal: it sleeps on.
                Err(error) => return Err(error),
            }
        }
    }

    /// All that is ready is read, each client's requests going to their engines before the next is read; then who has output is written to once.
    fn turn(&mut self, events: &Events) {
        self.tell_wall_clock();
        self.connect_again();
        for event in events {
            self.note(event);
        }
        self.accept();
        for _ in 0..self.ready.len() {
            if let Some(conn) = self.ready.pop_front() {
                self.serve(conn);
                self.act(); // Responses to one client come back together then.
            }
        }
        if self.gateway.poll_timeout().is_some_and(|at| at <= self.now) {
            self.gateway.handle_timeout(self.now);
        }
        self.settle();
        if std::mem::take(&mut self.woken) {
            self.obey();
        }
    }

    /// How long the poll may sleep.
    fn patience(&self) -> Option<Duration> {
        let may_accept = |listener: &Listener| listener.ready && self.may_accept(listener);
        if !self.ready.is_empty() || self.listeners.iter().any(may_accept) {
            return Some(Duration::ZERO);
        }
        let accept_again = self.accept_pause.filter(|_| self.accepting);
        let connect_again = self.again.front().map(|again| again.at);
        let until = self
            .gateway
            .poll_timeout()
            .into_iter()
            .chain(accept_again)
            .chain(connect_again)
            .chain(self.room_wanted_at())
            .min()?;
        Some(until.saturating_since(self.now))
    }

    fn tell_wall_clock(&mut self) {
        if self.now.saturating_since(self.wall_clock_told) >= WALL_CLOCK_INTERVAL {
            self.wall_clock_told = self.now;
            self.gateway.handle_command(Command::WallClock(wall_clock(self.now)), self.now);
        }
    }
}

/// What comes in.
impl Worker {
    /// Writes down what an event says. Nothing is closed meanwhile, so that no event meets another connection than its own.
    fn note(&mut self, event: &Event) {
        let token = event.token();
        if token == WAKE {
            self.woken = true;
            return;
        }
        let Some(socket) = self.sockets.by_token(token) else {
            let number = usize::MAX - 1 - token.0;
            if let Some(listener) = self.listeners.get_mut(number) {
                listener.ready = true;
            }
            return;
        };
        let over = event.is_error() || event.is_read_closed();
        socket.readable |= event.is_readable() || over;
        socket.read_closed |= over;
        socket.writable |= socket.dialled.is_none() && (event.is_writable() || event.is_error());
        // Of a Unix socket a client that has closed is not told by an error, but by both directions that are over; one of them may be ours.
        let hung_up = event.is_write_closed() && socket.front && socket.stream.is_unix() && !socket.shut;
        socket.failed |= event.is_error() || hung_up;
        let conn = socket.conn;
        if (socket.dialled.is_some() || socket.wants_turn()) && !std::mem::replace(&mut socket.listed, true) {
            self.ready.push_back(conn);
        }
        if socket.wants_write() && !std::mem::replace(&mut socket.dirty, true) {
            self.dirty.push(conn);
        }
    }

    fn accept(&mut self) {
        if self.accept_pause.is_some_and(|until| until <= self.now) {
            self.accept_pause = None;
        }
        for number in 0..self.listeners.len() {
            for _ in 0..TURN_ACCEPTS {
                let listener = self.listeners.get(number);
                if !listener.is_some_and(|listener| self.may_accept(listener))
                    || !self.accept_one(number, false)
                {
                    break;
                }
            }
        }
    }

    /// Accepts a connection from the listener. Says whether there may be another. `ends`: there is no further try.
    fn accept_one(&mut self, number: usize, ends: bool) -> bool {
        let Some(listener) = self.listeners.get_mut(number).filter(|listener| listener.ready) else {
            return false;
        };
        match listener.accept() {
            Ok((stream, info)) => {
                let (tls, introduced) = (listener.tls.clone(), listener.introduced);
                self.admit(stream, info, tls.as_ref(), introduced);
                // The gateway may have had enough with this one.
                self.act();
                true
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    listener.ready = false;
                    false
                }
                _ if is_transient(&error) => true,
                _ if ends => {
                    let listener = listener.address().clone();
                    self.observe(Notice::AcceptEnded { listener, error });
                    false
                }
                _ => {
                    let listener = listener.address().clone();
                    self.accept_pause = Some(self.now + ACCEPT_PAUSE);
                    self.observe(Notice::AcceptPaused { listener, error, pause: ACCEPT_PAUSE });
                    false
                }
            },
        }
    }

    /// Whether connections may be accepted from there. Handshakes are bounded: whoever comes beyond waits in the kernel's queue.
    fn may_accept(&self, listener: &Listener) -> bool {
        self.accepting
            && self.accept_pause.is_none()
            && (listener.tls.is_none() || self.handshakes.has_room(self.now))
    }

    fn admit(&mut self, stream: Stream, info: Accepted, tls: Option<&FrontTls>, introduced: bool) {
        if tls.is_none() && !introduced {
            let conn = self.gateway.handle_accept(info, self.now);
            return self.add(conn, stream, None);
        }
        self.admit_arriving(stream, info, tls, introduced);
    }

    /// A connection's turn: to learn how connecting went, or to read.
    fn serve(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        socket.listed = false;
        if socket.dialled.is_some() {
            self.finish_connecting(conn);
        } else if socket.ended || socket.is_lost() {
            self.close(conn, Closed::Reset);
        } else {
            self.read(conn);
        }
    }

    pub(crate) fn read(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        if let Some(introducing) = socket.introducing.take() {
            return self.read_introduction(conn, introducing);
        }
        if let Some(secured) = socket.secured.take() {
            return self.read_secured(conn, secured);
        }
        let mut octets = 0;
        while socket.readable {
            if octets >= TURN_OCTETS {
                socket.listed = true;
                self.ready.push_back(conn);
                return;
            }
            let buffer = match self.gateway.recv_buf(conn) {
                RecvBuf::Buffer(buffer) => buffer,
                RecvBuf::Pause => return self.pause(conn),
                RecvBuf::Gone => return,
            };
            let room = buffer.len();
            match socket.stream.read(buffer) {
                Ok(0) => {
                    // An end behind a failure is no end in good order.
                    if let Some(why) = socket.broken {
                        return self.close(conn, why);
                    }
                    socket.readable = false;
                    socket.ended = true;
                    self.gateway.handle_read_closed(conn, self.now);
                    // A reset that came with the end: no further event tells of it.
                    if socket.failed {
                        return self.close(conn, Closed::Reset);
                    }
                }
                Ok(n) => {
                    octets += n;
                    socket.readable = n == room || socket.may_end();
                    self.gateway.handle_recv(conn, n, self.now);
                }
                Err(error) => match (error.kind(), socket.broken) {
                    (io::ErrorKind::WouldBlock, Some(why)) => return self.close(conn, why),
                    (io::ErrorKind::WouldBlock, None) => socket.readable = false,
                    (io::ErrorKind::Interrupted, _) => {}
                    _ => return self.close(conn, transfer_failure(&error)),
                },
            }
        }
    }

    /// The gateway wants no input for now. Where it waits for output to leave, and none can, that will never change.
    pub(crate) fn pause(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        match socket.broken.filter(|_| self.gateway.waits_for_output(conn)) {
            Some(why) => self.close(conn, why),
            None => {
                socket.paused = true;
                // A reset that came with what was read: no further event tells of it.
                if socket.is_lost() {
                    self.close(conn, Closed::Reset);
                }
            }
        }
    }

    /// Does what was ordered from outside.
    fn obey(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Drain(deadline) => self.drain(deadline),
                Order::Stop => {
                    self.drain(Duration::ZERO);
                    self.gateway.handle_timeout(self.now);
                    self.settle();
                    let fronts = u32::try_from(self.sockets.fronts()).unwrap_or(u32::MAX);
                    self.done.get_or_insert(fronts);
                }
                Order::Command(command) => {
                    self.gateway.handle_command(command, self.now);
                    self.settle();
                }
                Order::Inspect(look) => look(&self.gateway, self.now),
            }
        }
    }

    fn drain(&mut self, deadline: Duration) {
        // Whoever stands in the kernel's queue is connected as far as they know: they are served, not reset, as long as there are descriptors and
        // places for them. Each socket is closed right behind its queue, for whoever still comes would be; one that was
        // passed to this process stays open elsewhere.
        while let Some(listener) = self.listeners.first_mut() {
            listener.remove_name();
            listener.ready = true;
            // The kernel lets one more wait than it was told.
            let _ = (0..=BACKLOG).all(|_| self.accepting && self.accept_one(0, true));
            self.listeners.remove(0).deregister(self.poll.registry());
        }
        self.gateway.handle_command(Command::Drain { deadline }, self.now);
        self.settle();
    }
}

/// What goes out.
impl Worker {
    /// Does what the gateway asks for and writes its output, until it asks for nothing more.
    fn settle(&mut self) {
        loop {
            self.act();
            if self.dirty.is_empty() {
                return;
            }
            let mut dirty = std::mem::take(&mut self.dirty);
            for conn in dirty.drain(..) {
                self.write(conn);
            }
            // Writing adds nothing to the list: only actions do.
            self.dirty = dirty;
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.gateway.poll_action() {
            match action {
                Action::Connect { conn, target, secure } => self.connect(conn, target, secure.as_ref()),
                Action::Readable(conn) => self.resume(conn),
                Action::Writable(conn) => self.expect_output(conn),
                Action::Resolve { name, port } => {
                    resolve(name, port, self.desk.clone(), self.observer.clone());
                }
                Action::Shutdown(conn) => {
                    if let Some(socket) = self.sockets.get_mut(conn) {
                        if let Some(secured) = &mut socket.secured {
                            secured.shut_down();
                            self.expect_output(conn);
                            continue;
                        }
                        socket.shut_down();
                    }
                }
                Action::Close(conn) => {
                    self.take_leave(conn, None);
                    self.forget(conn);
                }
                Action::Abort(conn) => {
                    if let Some(socket) = self.sockets.get_mut(conn) {
                        socket.stream.reset_on_close();
                    }
                    self.forget(conn);
                }
                Action::Accepting(accepting) => self.accepting = accepting,
                Action::Record(record) => self.observe(Notice::Record { worker: self.number, record }),
                Action::Drained { cut } => self.done = Some(cut),
            }
        }
        while let Some(endpoint) = self.gateway.take_mistaken() {
            self.observe(Notice::AnsweredInHttp1 { endpoint });
        }
        while let Some((endpoint, code, debug_data)) = self.gateway.take_farewell() {
            self.observe(Notice::GoAway { endpoint, code, debug_data });
        }
    }

    fn resume(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        socket.paused = false;
        self.enlist(conn);
    }

    /// If there may be something to read, its turn will come.
    pub(crate) fn enlist(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        if socket.wants_turn() && !std::mem::replace(&mut socket.listed, true) {
            self.ready.push_back(conn);
        }
    }

    fn expect_output(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        socket.has_output = true;
        if socket.wants_write() && !std::mem::replace(&mut socket.dirty, true) {
            self.dirty.push(conn);
        }
    }

    /// Writes until there is nothing more or no room.
    pub(crate) fn write(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        socket.dirty = false;
        if socket.broken.is_some() {
            return;
        }
        if let Some(secured) = socket.secured.take() {
            return self.write_secured(conn, secured);
        }
        while socket.writable {
            let Some(octets) = self.gateway.poll_transmit(conn, self.now) else {
                socket.has_output = false;
                return;
            };
            match socket.stream.write(octets) {
                Ok(n) => {
                    socket.writable = n == octets.len();
                    self.gateway.handle_sent(conn, n, self.now);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => socket.writable = false,
                    io::ErrorKind::Interrupted => {}
                    _ => return self.broke(conn, transfer_failure(&error)),
                },
            }
        }
    }

    pub(crate) fn observe(&self, notice: Notice) {
        if let Some(observer) = &self.observer {
            observer(notice);
        }
    }
}
